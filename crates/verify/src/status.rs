//! Status lists (Token Status List, draft-ietf-oauth-status-list): one value for each issued token, signed by the service.

use miniz_oxide::{deflate::compress_to_vec_zlib, inflate::decompress_to_vec_zlib_with_limit};
use serde_json::Value;

use crate::{
    CLOCK_SKEW_S, MAX_INTEGER, b64,
    bundle::TrustBundle,
    code::{Code, Error, excerpt},
    entry::KeyUse,
    fields::{ANY, Codes, Obj},
    jwk::Jwk,
    jws::{Compact, SERVICE_ALGS},
};

/// `typ` of a status list.
pub const STATUS_TYP: &str = "statuslist+jwt";
/// Largest inflated list, bytes: a few KiB of deflate can hide far more.
pub const MAX_INFLATED_BYTES: usize = 1 << 20;
/// Largest status list JWT, bytes: an incompressible list of the largest size.
const MAX_JWS_BYTES: usize = 2 << 20;

const CODES: Codes = Codes::one(Code::StatusMalformed);

/// A list of status values, `bits` (1, 2, 4 or 8) each, packed from the least significant bit of each byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusList {
    bits: u32,
    bytes: Vec<u8>,
}

/// Packed status bytes as `lst`: base64url of zlib, level 9.
pub fn encode(bytes: &[u8]) -> String {
    b64::url_encode(compress_to_vec_zlib(bytes, 9))
}

impl StatusList {
    /// The list of these members of `status_list`.
    ///
    /// # Errors
    /// `status.malformed`.
    pub fn decode(bits: u64, lst: &str) -> Result<Self, Error> {
        let malformed = |why: &str| Error::new(Code::StatusMalformed, why);
        let bits = match bits {
            1 => 1,
            2 => 2,
            4 => 4,
            8 => 8,
            _ => return Err(malformed("/status_list/bits: not 1, 2, 4 or 8")),
        };
        let deflated =
            b64::url_decode(lst).ok_or_else(|| malformed("/status_list/lst: not base64url"))?;
        let bytes = decompress_to_vec_zlib_with_limit(&deflated, MAX_INFLATED_BYTES)
            .map_err(|_| malformed("/status_list/lst: not zlib of at most 1 MiB"))?;
        Ok(Self { bits, bytes })
    }

    /// Verifies a status list by the keys of a bundle: signature, subject, times; then inflates it.
    ///
    /// # Errors
    /// `status.*`: syntax, then signature, then `uri_mismatch`, then times.
    pub fn verify(jws: &str, uri: &str, bundle: &TrustBundle, now: u64) -> Result<Self, Error> {
        let untrusted = |why: &str| Error::new(Code::StatusSignatureInvalid, why);
        let (compact, kid, payload) = Self::open(jws)?;
        let key = bundle
            .key(&kid, KeyUse::Status)
            .ok_or_else(|| untrusted("kid is no status key of the bundle"))?;
        let claims = StatusClaims::read(&payload)?;
        if key.revoked.is_some() || !key.covers(claims.iat) {
            return Err(untrusted("the key is revoked or was not in use at iat"));
        }
        claims.finish(&compact, &key.jwk, uri, now)
    }

    /// As [`StatusList::verify`], with one key known to be right.
    ///
    /// # Errors
    /// As [`StatusList::verify`].
    pub fn verify_with_key(jws: &str, uri: &str, key: &Jwk, now: u64) -> Result<Self, Error> {
        let (compact, kid, payload) = Self::open(jws)?;
        if kid != key.thumbprint() {
            return Err(Error::new(
                Code::StatusSignatureInvalid,
                "kid is another key",
            ));
        }
        StatusClaims::read(&payload)?.finish(&compact, key, uri, now)
    }

    fn open(jws: &str) -> Result<(Compact<'_>, String, Value), Error> {
        let malformed = |error: Error| error.recode(Code::StatusMalformed);
        if jws.len() > MAX_JWS_BYTES {
            return Err(Error::new(Code::StatusMalformed, "more than 2 MiB"));
        }
        let compact = Compact::parse(jws).map_err(malformed)?;
        let kid = compact
            .exact_header(STATUS_TYP, SERVICE_ALGS)
            .map_err(malformed)?
            .to_owned();
        let payload = compact.payload_json().map_err(malformed)?;
        Ok((compact, kid, payload))
    }

    /// The value at an index: 0 valid, 1 invalid, 2 suspended. `None` beyond the list.
    pub fn get(&self, index: u64) -> Option<u8> {
        let bit = index.checked_mul(u64::from(self.bits))?;
        let byte = self.bytes.get(usize::try_from(bit >> 3).ok()?)?;
        let mask = u8::MAX.checked_shr(8_u32.checked_sub(self.bits)?)?;
        Some(byte.checked_shr(u32::try_from(bit & 7).ok()?)? & mask)
    }

    /// Refuses an index that is not valid.
    ///
    /// # Errors
    /// `status.index_out_of_range`, `status.revoked`, `status.suspended`; `status.malformed` for a reserved value.
    pub fn check(&self, index: u64) -> Result<(), Error> {
        let refuse = |code, detail: String| Err(Error::new(code, detail));
        match self.get(index) {
            Some(0) => Ok(()),
            Some(1) => refuse(Code::StatusRevoked, format!("index {index}")),
            Some(2) => refuse(Code::StatusSuspended, format!("index {index}")),
            Some(value) => refuse(
                Code::StatusMalformed,
                format!("reserved value {value} at index {index}"),
            ),
            None => refuse(Code::StatusIndexOutOfRange, format!("index {index}")),
        }
    }
}

/// The payload of a status list, well-formed.
struct StatusClaims<'a> {
    sub: &'a str,
    iat: u64,
    exp: u64,
    bits: u64,
    lst: &'a str,
}

impl<'a> StatusClaims<'a> {
    fn read(payload: &'a Value) -> Result<Self, Error> {
        let object = Obj::new(
            payload,
            "",
            &CODES,
            &["sub", "iat", "exp", "ttl", "status_list"],
        )?;
        object.int("ttl", 1..=MAX_INTEGER)?;
        let list = object.object("status_list", &["bits", "lst", "aggregation_uri"])?;
        list.opt("aggregation_uri", Obj::string)?;
        Ok(Self {
            sub: object.string("sub")?,
            iat: object.int("iat", ANY)?,
            exp: object.int("exp", ANY)?,
            bits: list.int("bits", 1..=8)?,
            lst: list.string("lst")?,
        })
    }

    fn finish(
        &self,
        compact: &Compact<'_>,
        key: &Jwk,
        uri: &str,
        now: u64,
    ) -> Result<StatusList, Error> {
        if !compact.is_signed_by(&key.x) {
            return Err(Error::new(
                Code::StatusSignatureInvalid,
                "not signed by the key that kid names",
            ));
        }
        if self.sub != uri {
            return Err(Error::new(
                Code::StatusUriMismatch,
                format!("list {}", excerpt(self.sub)),
            ));
        }
        if self.iat > now.saturating_add(CLOCK_SKEW_S) {
            return Err(Error::new(
                Code::StatusNotYetValid,
                format!("iat {}, now {now}", self.iat),
            ));
        }
        if self.exp.saturating_add(CLOCK_SKEW_S) <= now {
            return Err(Error::new(
                Code::StatusExpired,
                format!("exp {}, now {now}", self.exp),
            ));
        }
        StatusList::decode(self.bits, self.lst)
    }
}
