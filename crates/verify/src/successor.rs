//! The notice that a log has ended (`docs/FORMATS.md` §10): `typ: log-successor+jwt` by a bundle key of the service.
//!
//! A log's key never rotates. When it is lost, stolen or retired the log ends, and this notice says at which tree, why, and
//! which log goes on. Whoever holds a trust bundle from before checks it with that bundle alone.

use serde::Serialize;
use serde_json::Value;

use crate::{
    bundle::TrustBundle,
    code::{Code, Error, excerpt},
    digest::Digest,
    entry::KeyUse,
    fields::{ANY, Codes, Obj},
    jws::{Compact, SERVICE_ALGS},
    keyring::KeyRing,
    note::VerifierKey,
};

/// `typ` of the notice.
pub const SUCCESSOR_TYP: &str = "log-successor+jwt";
/// Largest notice, bytes of the compact JWS.
pub const MAX_NOTICE_BYTES: usize = 16_384;

const CODES: Codes = Codes::one(Code::SuccessorMalformed);

/// Why a log ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EndReason {
    /// Somebody else may have its key.
    Compromised,
    /// Nobody has its key any more.
    Lost,
    /// Its operator wanted it to.
    Retired,
}

impl EndReason {
    /// Every value.
    pub const ALL: &'static [Self] = &[Self::Compromised, Self::Lost, Self::Retired];

    /// The wire name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Compromised => "compromised",
            Self::Lost => "lost",
            Self::Retired => "retired",
        }
    }

    /// The value with this wire name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|reason| reason.as_str() == name)
    }
}

impl Serialize for EndReason {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// The log that goes on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Successor {
    /// Its origin, which is its key's name.
    pub origin: String,
    /// Its verifier key.
    pub vkey: String,
    /// Where the service is that runs it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

impl Successor {
    /// A successor whose parts fit together.
    ///
    /// # Errors
    /// `successor.malformed` when `vkey` is no verifier key of that origin, or `url` is no http(s) URL.
    pub fn new(origin: String, vkey: String, url: Option<String>) -> Result<Self, Error> {
        let malformed = |why: String| Error::new(Code::SuccessorMalformed, why);
        let key = VerifierKey::parse(&vkey)
            .map_err(|e| malformed(format!("/successor/vkey: {}", e.detail())))?;
        if key.name() != origin {
            let why = format!("/successor/vkey: the key of {}", excerpt(key.name()));
            return Err(malformed(why));
        }
        if let Some(url) = &url
            && (!(url.starts_with("https://") || url.starts_with("http://")) || url.len() > 2_048)
        {
            return Err(malformed("/successor/url: not an http(s) URL".to_owned()));
        }
        Ok(Self { origin, vkey, url })
    }
}

/// What a notice says, member by member as it is written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Notice {
    /// The issuer.
    pub iss: String,
    /// When the log ended, Unix seconds.
    pub iat: u64,
    /// Origin of the log that ended.
    pub origin: String,
    /// Its verifier key.
    pub vkey: String,
    /// Size of its last signed tree.
    pub size: u64,
    /// Root of that tree, base64. What is beyond it, or beside it, is not this log.
    #[serde(serialize_with = "std_base64")]
    pub root: Digest,
    /// Why it ended.
    pub reason: EndReason,
    /// The log that goes on, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub successor: Option<Successor>,
}

fn std_base64<S: serde::Serializer>(root: &Digest, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&root.to_std())
}

impl Notice {
    /// Verifies a notice by a held bundle, whose age does not matter: signed by one of its unrevoked bundle keys that was in
    /// use at `iat`, of its issuer, and about its log.
    ///
    /// # Errors
    /// `successor.malformed`, `successor.signature_invalid`, `successor.log_mismatch`.
    pub fn verify(jws: &str, held: &TrustBundle) -> Result<Self, Error> {
        let key = |kid: &str, iat| {
            let key = held.key(kid, KeyUse::Bundle)?;
            (key.revoked.is_none() && key.covers(iat)).then_some(key.jwk.x)
        };
        Self::verify_by(jws, held.iss(), &held.payload().log, key)
    }

    /// Verifies a notice by what the log itself says: signed by a bundle key of its ring that was in use at `iat`, of this
    /// issuer, and about the log with this verifier key.
    ///
    /// # Errors
    /// Those of [`Self::verify`].
    pub fn verify_by_ring(jws: &str, ring: &KeyRing, iss: &str, log: &str) -> Result<Self, Error> {
        let key = |kid: &str, iat: u64| {
            let key = ring.key(KeyUse::Bundle, kid)?;
            let in_use = key.from <= iat
                && key.to.is_none_or(|to| iat < to)
                && key.revoked.is_none_or(|at| iat <= at);
            in_use.then_some(key.jwk.x)
        };
        Self::verify_by(jws, iss, log, key)
    }

    fn verify_by(
        jws: &str,
        iss: &str,
        log: &str,
        key: impl FnOnce(&str, u64) -> Option<[u8; 32]>,
    ) -> Result<Self, Error> {
        let malformed = |error: Error| error.recode(Code::SuccessorMalformed);
        let untrusted = |why: &str| Error::new(Code::SuccessorSignatureInvalid, why);
        if jws.len() > MAX_NOTICE_BYTES {
            return Err(Error::new(
                Code::SuccessorMalformed,
                "more than 16,384 bytes",
            ));
        }
        let compact = Compact::parse(jws).map_err(malformed)?;
        let kid = compact
            .exact_header(SUCCESSOR_TYP, SERVICE_ALGS)
            .map_err(malformed)?;
        let notice = Self::read(&compact.payload_json().map_err(malformed)?)?;
        let key = key(kid, notice.iat)
            .ok_or_else(|| untrusted("kid is no bundle key that is known and was in use"))?;
        if !compact.is_signed_by(&key) {
            return Err(untrusted("not signed by the key that kid names"));
        }
        if notice.iss != iss || notice.vkey != log {
            return Err(Error::new(
                Code::SuccessorLogMismatch,
                format!("log {}", excerpt(&notice.vkey)),
            ));
        }
        Ok(notice)
    }

    fn read(payload: &Value) -> Result<Self, Error> {
        let known = [
            "iss",
            "iat",
            "origin",
            "vkey",
            "size",
            "root",
            "reason",
            "successor",
        ];
        let object = Obj::new(payload, "", &CODES, &known)?;
        let origin = object.owned("origin", 1..=2_048)?;
        let vkey = object.owned("vkey", 1..=4_096)?;
        if VerifierKey::parse(&vkey).is_ok_and(|key| key.name() != origin) {
            return Err(object.invalid("vkey", "not the origin's"));
        }
        let successor = object.opt("successor", |object, name| {
            let inner = object.object(name, &["origin", "vkey", "url"])?;
            Successor::new(
                inner.owned("origin", 1..=2_048)?,
                inner.owned("vkey", 1..=4_096)?,
                inner.opt("url", |o, n| o.owned(n, 1..=2_048))?,
            )
        })?;
        Ok(Self {
            iss: object.owned("iss", 1..=2_048)?,
            iat: object.int("iat", ANY)?,
            origin,
            vkey,
            size: object.int("size", ANY)?,
            root: object.hash("root")?,
            reason: object.word("reason", EndReason::parse)?,
            successor,
        })
    }
}
