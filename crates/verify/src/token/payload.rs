//! The payload of a token, member by member.

use serde_json::Value;

use crate::{
    MAX_INTEGER,
    code::{Code, Error},
    did::Did,
    digest::Digest,
    fields::{ANY, Codes, Obj},
    jwk::Jwk,
    statement::parse_digests,
};

const CODES: Codes = Codes::one(Code::TokenMalformed);

/// A well-formed payload; nothing in it is verified yet.
pub(super) struct TokenPayload<'a> {
    pub(super) iss: &'a str,
    /// Unix seconds, like the two below.
    pub(super) iat: u64,
    pub(super) nbf: u64,
    pub(super) exp: u64,
    pub(super) vct: &'a str,
    pub(super) sub: Did,
    /// `cnf.jwk`
    pub(super) cnf: Jwk,
    pub(super) status_index: u64,
    pub(super) status_uri: &'a str,
    pub(super) epoch: u64,
    /// The statement's digests, in its order.
    pub(super) sd: Vec<Digest>,
    pub(super) anchor: Anchor<'a>,
}

/// The way into the log, as it stands.
pub(super) struct Anchor<'a> {
    /// Leaf index in the score tree.
    pub(super) index: u64,
    /// base64url of the concatenated hashes.
    pub(super) path: &'a str,
    /// The epoch entry's canonical JSON text.
    pub(super) epoch_entry: &'a str,
    /// Its tlog-proof, verbatim.
    pub(super) proof: &'a str,
}

impl<'a> TokenPayload<'a> {
    pub(super) fn read(payload: &'a Value) -> Result<Self, Error> {
        let known = [
            "iss", "iat", "nbf", "exp", "vct", "sub", "cnf", "status", "epoch", "_sd", "_sd_alg",
            "anchor",
        ];
        let object = Obj::new(payload, "", &CODES, &known)?;
        object.word("_sd_alg", |alg| (alg == "sha-256").then_some(()))?;
        let cnf = object.object("cnf", &["jwk"])?;
        let status = object
            .object("status", &["status_list"])?
            .object("status_list", &["idx", "uri"])?;
        let anchor = object.object("anchor", &["index", "path", "epoch_entry", "proof"])?;
        let sd = parse_digests(&object, "_sd")?;
        if !sd.is_sorted_by_key(Digest::to_string) {
            return Err(object.invalid("_sd", "not ascending"));
        }
        Ok(Self {
            iss: object.string("iss")?,
            iat: object.int("iat", ANY)?,
            nbf: object.int("nbf", ANY)?,
            exp: object.int("exp", ANY)?,
            vct: object.string("vct")?,
            sub: object.did("sub")?,
            cnf: Jwk::parse(cnf.need("jwk")?)
                .map_err(|error| cnf.invalid("jwk", error.detail()))?,
            status_index: status.int("idx", ANY)?,
            status_uri: status.string("uri")?,
            epoch: object.int("epoch", 1..=MAX_INTEGER)?,
            sd,
            anchor: Anchor {
                index: anchor.int("index", ANY)?,
                path: anchor.string("path")?,
                epoch_entry: anchor.string("epoch_entry")?,
                proof: anchor.string("proof")?,
            },
        })
    }
}
