//! The payload of a trust bundle: for the service to write, for the verifier to read.

use serde::Serialize;
use serde_json::Value;

use crate::{
    MAX_INTEGER, b64,
    code::{Code, Error},
    digest::sha256,
    entry::KeyUse,
    fields::{ANY, Codes, Obj},
    json,
    jwk::Jwk,
    jws::Compact,
};

/// Most keys, proofs and credential types of one bundle.
const MAX_ITEMS: usize = 1_000;

const CODES: Codes = Codes::one(Code::BundleMalformed);

/// What a trust bundle says, member by member as it is written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BundlePayload {
    /// The issuer of the tokens.
    pub iss: String,
    /// Signing time, Unix seconds.
    pub iat: u64,
    /// End of use, Unix seconds.
    pub exp: u64,
    /// Rises with every change.
    pub version: u64,
    /// Keys of the service, past ones included.
    pub keys: Vec<BundleKey>,
    /// The log's vkey.
    pub log: String,
    /// tlog-policy text with exactly the log's own `log` line.
    pub witness_policy: String,
    /// URI of the status list aggregation.
    pub status: String,
    /// Credential types.
    pub vct: Vec<VctMetadata>,
    /// A signed checkpoint, verbatim.
    pub checkpoint: String,
    /// The log's key entries with their proofs.
    pub proofs: Vec<BundleProof>,
}

/// One key of the service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BundleKey {
    /// The key.
    pub jwk: Jwk,
    /// Its thumbprint.
    pub kid: String,
    /// What it signs.
    #[serde(rename = "use")]
    pub usage: KeyUse,
    /// Start of use, Unix seconds.
    pub from: u64,
    /// End of use, Unix seconds, inclusive; none while in use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<u64>,
    /// When it was revoked, Unix seconds. Everything it ever signed is refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revoked: Option<u64>,
}

/// A credential type with its metadata document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct VctMetadata {
    /// The type.
    pub vct: String,
    /// The metadata document, verbatim.
    pub metadata: String,
    /// `sha256-` and base64 of its SHA-256 (W3C Subresource Integrity).
    pub integrity: String,
}

/// A key entry and its tlog-proof.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BundleProof {
    /// The entry's canonical JSON text.
    pub entry: String,
    /// The proof, verbatim.
    pub proof: String,
}

impl BundleKey {
    /// A key in use from a time on.
    pub fn new(jwk: Jwk, usage: KeyUse, from: u64) -> Self {
        Self {
            jwk,
            kid: jwk.thumbprint(),
            usage,
            from,
            to: None,
            revoked: None,
        }
    }

    /// Whether the key was in use at a time (Unix seconds). Says nothing about revocation.
    pub fn covers(&self, time: u64) -> bool {
        self.from <= time && self.to.is_none_or(|to| time <= to)
    }

    fn read(item: &Value, pointer: &str) -> Result<Self, Error> {
        let object = Obj::new(
            item,
            pointer,
            &CODES,
            &["jwk", "kid", "use", "from", "to", "revoked"],
        )?;
        let jwk = Jwk::parse(object.need("jwk")?)
            .map_err(|error| object.invalid("jwk", error.detail()))?;
        let kid = jwk.thumbprint();
        if object.string("kid")? != kid {
            return Err(object.invalid("kid", "not the key's thumbprint"));
        }
        Ok(Self {
            jwk,
            kid,
            usage: object.word("use", KeyUse::parse)?,
            from: object.int("from", ANY)?,
            to: object.opt("to", |o, n| o.int(n, ANY))?,
            revoked: object.opt("revoked", |o, n| o.int(n, ANY))?,
        })
    }
}

impl VctMetadata {
    /// A type with its metadata document; the integrity value is computed.
    pub fn new(vct: impl Into<String>, metadata: impl Into<String>) -> Self {
        let metadata = metadata.into();
        Self {
            vct: vct.into(),
            integrity: integrity(&metadata),
            metadata,
        }
    }
}

/// The integrity value of a document.
pub(super) fn integrity(document: &str) -> String {
    format!("sha256-{}", b64::std_encode(sha256(document.as_bytes()).0))
}

impl BundlePayload {
    /// Reads the payload; its signature and proofs are checked elsewhere.
    pub(super) fn read(payload: &Value) -> Result<Self, Error> {
        let known = [
            "iss",
            "iat",
            "exp",
            "version",
            "keys",
            "log",
            "witness_policy",
            "status",
            "vct",
            "checkpoint",
            "proofs",
        ];
        let object = Obj::new(payload, "", &CODES, &known)?;
        let keys = object.array("keys", MAX_ITEMS)?;
        let keys = keys
            .into_iter()
            .map(|(pointer, item)| BundleKey::read(item, &pointer))
            .collect::<Result<Vec<_>, _>>()?;
        for (index, key) in keys.iter().enumerate() {
            if keys
                .iter()
                .take(index)
                .any(|other| other.kid == key.kid && other.usage == key.usage)
            {
                return Err(Error::new(
                    Code::BundleMalformed,
                    format!("/keys/{index}: given twice"),
                ));
            }
        }
        let vct = object
            .array("vct", MAX_ITEMS)?
            .into_iter()
            .map(|(pointer, item)| {
                let object = Obj::new(item, &pointer, &CODES, &["vct", "metadata", "integrity"])?;
                let text = |name| object.string(name).map(str::to_owned);
                Ok(VctMetadata {
                    vct: text("vct")?,
                    metadata: text("metadata")?,
                    integrity: text("integrity")?,
                })
            });
        let vct = vct.collect::<Result<_, Error>>()?;
        let proofs = object
            .array("proofs", MAX_ITEMS)?
            .into_iter()
            .map(|(pointer, item)| {
                let object = Obj::new(item, &pointer, &CODES, &["entry", "proof"])?;
                let text = |name| object.string(name).map(str::to_owned);
                Ok(BundleProof {
                    entry: text("entry")?,
                    proof: text("proof")?,
                })
            });
        let proofs = proofs.collect::<Result<_, Error>>()?;
        let text = |name| object.string(name).map(str::to_owned);
        Ok(Self {
            iss: object.owned("iss", 1..=2_048)?,
            iat: object.int("iat", ANY)?,
            exp: object.int("exp", ANY)?,
            version: object.int("version", 1..=MAX_INTEGER)?,
            keys,
            log: text("log")?,
            witness_policy: text("witness_policy")?,
            status: text("status")?,
            vct,
            checkpoint: text("checkpoint")?,
            proofs,
        })
    }

    /// The key with this thumbprint and use, revoked or not.
    pub fn key(&self, kid: &str, usage: KeyUse) -> Option<&BundleKey> {
        self.keys
            .iter()
            .find(|key| key.kid == kid && key.usage == usage)
    }

    /// The signing key must be one of the bundle's own, for bundles, unrevoked and in use at `iat`.
    pub(super) fn check_signer(&self, compact: &Compact<'_>, kid: &str) -> Result<(), Error> {
        let key = self
            .key(kid, KeyUse::Bundle)
            .filter(|key| key.revoked.is_none() && key.covers(self.iat));
        let key = key.ok_or_else(|| {
            Error::new(
                Code::BundleKeyUnknown,
                "kid is no current bundle key of /keys",
            )
        })?;
        if compact.is_signed_by(&key.jwk.x) {
            Ok(())
        } else {
            Err(Error::new(
                Code::BundleSignatureInvalid,
                "not signed by the key that kid names",
            ))
        }
    }

    /// Every metadata document must match its integrity value and describe its type.
    pub(super) fn check_metadata(&self) -> Result<(), Error> {
        for (index, metadata) in self.vct.iter().enumerate() {
            if integrity(&metadata.metadata) != metadata.integrity {
                return Err(Error::new(
                    Code::BundleIntegrityMismatch,
                    format!("/vct/{index}/integrity"),
                ));
            }
            let document = json::parse_foreign(metadata.metadata.as_bytes()).ok();
            if document
                .as_ref()
                .and_then(|document| document.get("vct"))
                .and_then(Value::as_str)
                != Some(&metadata.vct)
            {
                return Err(Error::new(
                    Code::BundleMalformed,
                    format!("/vct/{index}/metadata: not of this vct"),
                ));
            }
        }
        Ok(())
    }
}
