//! SHA-256 digests and their spellings.

use std::fmt;

use sha2::{Digest as _, Sha256};

use crate::{
    b64,
    code::{Code, Error},
};

/// A SHA-256 digest. Displayed as unpadded base64url (43 characters).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub [u8; 32]);

/// SHA-256 of `bytes`.
pub fn sha256(bytes: &[u8]) -> Digest {
    Digest(Sha256::digest(bytes).into())
}

impl Digest {
    /// Reads 43 characters of base64url, 44 of base64 or 64 of lowercase hex.
    ///
    /// # Errors
    /// `digest.invalid` for anything else.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let bytes = match text.len() {
            43 => b64::url_decode_32(text),
            44 => b64::std_decode_32(text),
            64 => from_hex(text),
            _ => None,
        };
        bytes.map(Self).ok_or_else(|| {
            Error::new(
                Code::DigestInvalid,
                "neither base64url, base64 nor lowercase hex of 32 bytes",
            )
        })
    }

    /// Reads exactly the base64url form, which ids have.
    ///
    /// # Errors
    /// `digest.invalid`.
    pub fn parse_url(text: &str) -> Result<Self, Error> {
        b64::url_decode_32(text)
            .map(Self)
            .ok_or_else(|| Error::new(Code::DigestInvalid, "not 43 characters of base64url"))
    }

    /// Reads exactly the padded base64 form, which hashes in log entries have.
    ///
    /// # Errors
    /// `digest.invalid`.
    pub fn parse_std(text: &str) -> Result<Self, Error> {
        b64::std_decode_32(text)
            .map(Self)
            .ok_or_else(|| Error::new(Code::DigestInvalid, "not 44 characters of base64"))
    }

    /// The digest as padded base64 (44 characters).
    pub fn to_std(self) -> String {
        b64::std_encode(self.0)
    }

    /// The digest as lowercase hex (64 characters).
    pub fn to_hex(self) -> String {
        to_hex(&self.0)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&b64::url_encode(self.0))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

impl serde::Serialize for Digest {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Lowercase hex of `bytes`.
pub fn to_hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .filter_map(|nibble| char::from_digit(u32::from(nibble), 16))
        .collect()
}

/// The bytes of lowercase hex of the fixed length `N`, or `None`.
pub(crate) fn from_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digit = |b: u8| match b {
        b'0'..=b'9' => Some(b.wrapping_sub(b'0')),
        b'a'..=b'f' => Some(b.wrapping_sub(b'a').wrapping_add(10)),
        _ => None,
    };
    let mut out = [0; N];
    let mut bytes = text.bytes();
    for slot in &mut out {
        *slot = digit(bytes.next()?)? << 4 | digit(bytes.next()?)?;
    }
    bytes.next().is_none().then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_spellings_of_one_digest() {
        let digest = sha256(b"");
        assert_eq!(
            digest.to_hex(),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
        for text in [digest.to_string(), digest.to_std(), digest.to_hex()] {
            assert_eq!(Digest::parse(&text), Ok(digest));
        }
        assert_eq!(Digest::parse_url(&digest.to_string()), Ok(digest));
        assert_eq!(Digest::parse_std(&digest.to_std()), Ok(digest));
        let upper = digest.to_hex().to_uppercase();
        for bad in ["", "x", upper.as_str(), &digest.to_std().replace('=', "A")] {
            assert_eq!(Digest::parse(bad).unwrap_err().code(), Code::DigestInvalid);
        }
    }
}
