//! Key binding (RFC 9901 §4.3): that the presenter holds the subject's key, here and now.

use serde_json::Value;

use super::Holder;
use crate::{
    code::{Code, Error, excerpt},
    fields::{ANY, Codes, Obj},
    jwk::Jwk,
    jws::{Compact, SERVICE_ALGS},
    sdjwt::{SdJwt, sd_hash},
};

/// `typ` of a key-binding JWT.
pub const KB_TYP: &str = "kb+jwt";
/// How far `iat` of a key-binding JWT may be from now, either way, seconds.
pub const MAX_KB_SKEW_S: u64 = 300;

const CODES: Codes = Codes::one(Code::HolderMalformed);

/// What the relying party asks of the presenter. It decides; whether a key-binding JWT came along does not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HolderCheck {
    /// A key-binding JWT for this audience and nonce.
    Required {
        /// The relying party, exactly as it named itself.
        aud: String,
        /// The nonce it gave.
        nonce: String,
    },
    /// None: the verdict will say that the holder is not proven.
    Waived,
}

/// Checks the key-binding JWT. Where it is waived but present, its signature and `sd_hash` must still be right.
pub(super) fn check(
    parts: &SdJwt<'_>,
    key: &Jwk,
    wanted: &HolderCheck,
    now: u64,
) -> Result<Holder, Error> {
    let refuse = |code, detail: String| Err(Error::new(code, detail));
    let Some(kb) = parts.kb_jwt else {
        return match wanted {
            HolderCheck::Required { .. } => {
                refuse(Code::HolderMissing, "no key-binding JWT".to_owned())
            }
            HolderCheck::Waived => Ok(Holder::NotProven),
        };
    };
    let malformed = |error: Error| error.recode(Code::HolderMalformed);
    let compact = Compact::parse(kb).map_err(malformed)?;
    check_header(&compact)?;
    let payload = compact.payload_json().map_err(malformed)?;
    let object = Obj::new(&payload, "", &CODES, &["iat", "aud", "nonce", "sd_hash"])?;
    let (iat, aud, nonce) = (
        object.int("iat", ANY)?,
        object.string("aud")?,
        object.string("nonce")?,
    );
    let hash = object.string("sd_hash")?;
    if !compact.is_signed_by(&key.x) {
        return refuse(
            Code::HolderSignatureInvalid,
            "not signed by the subject's key".to_owned(),
        );
    }
    if let HolderCheck::Required {
        aud: wanted_aud,
        nonce: wanted_nonce,
    } = wanted
    {
        if aud != wanted_aud {
            return refuse(Code::HolderAudMismatch, format!("aud {}", excerpt(aud)));
        }
        if nonce != wanted_nonce {
            return refuse(
                Code::HolderNonceMismatch,
                format!("nonce {}", excerpt(nonce)),
            );
        }
    }
    if hash != sd_hash(parts.presented) {
        return refuse(
            Code::HolderSdHashMismatch,
            "sd_hash is of another presentation".to_owned(),
        );
    }
    match wanted {
        HolderCheck::Waived => Ok(Holder::NotProven),
        HolderCheck::Required { .. } if iat.abs_diff(now) > MAX_KB_SKEW_S => {
            refuse(Code::HolderIatOutOfRange, format!("iat {iat}, now {now}"))
        }
        HolderCheck::Required { .. } => Ok(Holder::Proven),
    }
}

/// `typ`, `alg`, and at most a `kid`, which some wallets add; the key is the token's `cnf` in any case.
fn check_header(compact: &Compact<'_>) -> Result<(), Error> {
    let header = compact.header();
    let known = header.iter().all(|(name, value)| {
        matches!(name.as_str(), "alg" | "typ" | "kid") && matches!(value, Value::String(_))
    });
    let alg = compact
        .header_str("alg")
        .is_some_and(|alg| SERVICE_ALGS.contains(&alg));
    if known && alg && compact.header_str("typ") == Some(KB_TYP) {
        Ok(())
    } else {
        Err(Error::new(
            Code::HolderMalformed,
            "header is not typ kb+jwt and alg EdDSA",
        ))
    }
}
