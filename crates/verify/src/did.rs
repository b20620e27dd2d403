//! `did:key` identifiers of Ed25519 keys (W3C CCG did:key, multicodec 0xed01, multibase base58btc).
//!
//! An agent *is* its key: a [`Did`] holds the 32 bytes and can check signatures by them.

use std::fmt;

use ed25519_dalek::{Signature, VerifyingKey};

use crate::code::{Code, Error, excerpt};

/// What every DID here starts with; `z6Mk` follows from the multicodec prefix.
const PREFIX: &str = "did:key:";
/// Multicodec `ed25519-pub`, as varint.
const MULTICODEC: [u8; 2] = [0xed, 0x01];
/// The digits of base58btc.
const BASE58: &[u8; 58] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
/// 58^5, below 2^32.
const FIVE_DIGITS: u64 = 656_356_768;
/// `did:key:` and 48 characters of multibase.
const DID_LENGTH: usize = 56;

/// A `did:key` of an Ed25519 key that is a canonical, full-order point.
///
/// Ordered by key bytes, which is also the order of the text: all have one length and base58 keeps numeric order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Did([u8; 32]);

impl Did {
    /// Reads `did:key:z6Mk…`.
    ///
    /// # Errors
    /// `did.invalid` for any other text, `key.weak` for a small-order key.
    pub fn parse(text: &str) -> Result<Self, Error> {
        // The length comes first: base58 decoding is quadratic.
        let invalid = || {
            Error::new(
                Code::DidInvalid,
                format!("not an Ed25519 did:key: {}", excerpt(text)),
            )
        };
        if text.len() != DID_LENGTH {
            return Err(invalid());
        }
        let multibase = text
            .strip_prefix(PREFIX)
            .and_then(|rest| rest.strip_prefix('z'))
            .ok_or_else(invalid)?;
        let mut bytes = [0_u8; 34];
        let length = bs58::decode(multibase)
            .onto(&mut bytes[..])
            .map_err(|_| invalid())?;
        let key = bytes
            .strip_prefix(&MULTICODEC)
            .and_then(|key| <&[u8; 32]>::try_from(key).ok());
        match key {
            Some(key) if length == bytes.len() => Self::from_key_bytes(key),
            _ => Err(invalid()),
        }
    }

    /// The DID of a public key.
    ///
    /// # Errors
    /// `did.invalid` if the bytes are not the canonical encoding of a point, `key.weak` if the point has small order.
    pub fn from_key_bytes(key: &[u8; 32]) -> Result<Self, Error> {
        check_public_key(key, Code::DidInvalid)?;
        Ok(Self(*key))
    }

    /// The 32 bytes of the public key.
    pub fn key_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The multibase part: `z6Mk…`.
    pub fn multibase(&self) -> String {
        // The number in words of 32 bits; the multicodec prefix is the first.
        let [high, low] = MULTICODEC;
        let mut number = [u32::from_be_bytes([0, 0, high, low]); 9];
        let (words, _) = self.0.as_chunks::<4>();
        for (slot, word) in number.iter_mut().skip(1).zip(words) {
            *slot = u32::from_be_bytes(*word);
        }
        let mut text = [b'1'; 50];
        // Five digits at a time from the end, so that a division is one of 64 bits.
        for digits in text.rchunks_exact_mut(5) {
            let mut rest = 0_u64;
            for word in &mut number {
                let whole = rest << 32 | u64::from(*word);
                *word = u32::try_from(whole / FIVE_DIGITS).unwrap_or(u32::MAX);
                rest = whole % FIVE_DIGITS;
            }
            for digit in digits.iter_mut().rev() {
                let place = usize::try_from(rest % 58).unwrap_or_default();
                *digit = BASE58.get(place).copied().unwrap_or(b'1');
                rest /= 58;
            }
        }
        // The prefix makes it 47 digits, whatever the key.
        let [_, _, _, digits @ ..] = text;
        let mut multibase = String::with_capacity(48);
        multibase.push('z');
        multibase.extend(digits.iter().copied().map(char::from));
        multibase
    }

    /// The verification method: `<did>#<multibase>`, which is the `kid` of what the agent signs.
    pub fn method_id(&self) -> String {
        let multibase = self.multibase();
        format!("{PREFIX}{multibase}#{multibase}")
    }

    /// Reads a verification method id back into its DID.
    ///
    /// # Errors
    /// As [`Did::parse`]; `did.invalid` too if the fragment is not the DID's own.
    pub fn parse_method_id(text: &str) -> Result<Self, Error> {
        let (did, fragment) = text.split_once('#').ok_or_else(|| {
            Error::new(Code::DidInvalid, format!("no fragment: {}", excerpt(text)))
        })?;
        if did.strip_prefix(PREFIX) != Some(fragment) {
            return Err(Error::new(
                Code::DidInvalid,
                format!("fragment is not the key: {}", excerpt(text)),
            ));
        }
        Self::parse(did)
    }

    /// The key as a decoded point.
    pub(crate) fn verifying_key(&self) -> Result<VerifyingKey, Error> {
        VerifyingKey::from_bytes(&self.0)
            .map_err(|_| Error::new(Code::DidInvalid, "public key is not a point"))
    }

    /// Whether `kid` is the verification method of the DID with this text: `<did>#<multibase>`.
    pub(crate) fn is_method_of(did: &str, kid: &str) -> bool {
        kid.strip_prefix(did)
            .and_then(|rest| rest.strip_prefix('#'))
            .is_some_and(|fragment| did.strip_prefix(PREFIX) == Some(fragment))
    }

    /// Checks a signature with the strict rule (no small-order key or R, canonical S).
    pub fn verify_strict(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        verify_strict(&self.0, message, signature)
    }
}

/// Refuses what is not the canonical encoding of a full-order point.
pub(crate) fn check_public_key(key: &[u8; 32], invalid: Code) -> Result<(), Error> {
    // y must be below p = 2^255 − 19; the decoder alone would take two spellings of some points.
    let [first, middle @ .., last] = key;
    if last & 0x7f == 0x7f && middle.iter().all(|b| *b == 0xff) && *first >= 0xed {
        return Err(Error::new(invalid, "public key is not a canonical point"));
    }
    let point = VerifyingKey::from_bytes(key)
        .map_err(|_| Error::new(invalid, "public key is not a point"))?;
    if point.is_weak() {
        return Err(Error::new(Code::KeyWeak, "public key has small order"));
    }
    Ok(())
}

/// The one signature rule of this project: `ed25519-dalek`'s `verify_strict`.
pub(crate) fn verify_strict(key: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> bool {
    VerifyingKey::from_bytes(key).is_ok_and(|key| {
        key.verify_strict(message, &Signature::from_bytes(signature))
            .is_ok()
    })
}

impl fmt::Display for Did {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}", self.multibase())
    }
}

impl fmt::Debug for Did {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::str::FromStr for Did {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::parse(text)
    }
}

impl serde::Serialize for Did {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Did {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ed25519_dalek::SigningKey;
    use proptest::prelude::*;

    fn did(seed: [u8; 32]) -> Did {
        Did::from_key_bytes(SigningKey::from_bytes(&seed).verifying_key().as_bytes()).unwrap()
    }

    #[test]
    fn refuses_other_spellings() {
        let text = did([1; 32]).to_string();
        assert_eq!(Did::parse(&text).unwrap().to_string(), text);
        for bad in [
            String::new(),
            text.replace("did:key", "did:KEY"),
            text.replace("did:key", "did:web"),
            text.replacen('z', "Z", 1),
            format!("{text} "),
            format!("{text}#x"),
            text.replacen("z6Mk", "z6Ml", 1),
            text.replacen("z6Mk", "z0Mk", 1),
            format!("did:key:z1{}", &text[10..]),
        ] {
            assert_eq!(
                Did::parse(&bad).unwrap_err().code(),
                Code::DidInvalid,
                "{bad}"
            );
        }
    }

    #[test]
    fn refuses_weak_and_non_canonical_keys() {
        let mut identity = [0; 32];
        identity[0] = 1;
        assert_eq!(
            Did::from_key_bytes(&identity).unwrap_err().code(),
            Code::KeyWeak
        );
        assert_eq!(
            Did::from_key_bytes(&[0; 32]).unwrap_err().code(),
            Code::KeyWeak
        );
        let mut not_canonical = [0xff; 32];
        not_canonical[31] = 0x7f;
        for first in 0xed..=0xff {
            not_canonical[0] = first;
            assert_eq!(
                Did::from_key_bytes(&not_canonical).unwrap_err().code(),
                Code::DidInvalid
            );
        }
        let mut no_point = [0; 32];
        no_point[0] = 2;
        assert_eq!(
            Did::from_key_bytes(&no_point).unwrap_err().code(),
            Code::DidInvalid
        );
    }

    #[test]
    fn method_ids() {
        let did = did([2; 32]);
        assert_eq!(Did::parse_method_id(&did.method_id()), Ok(did));
        assert!(Did::parse_method_id(&did.to_string()).is_err());
        assert!(Did::parse_method_id(&format!("{did}#z6Mk")).is_err());
        let (text, other) = (did.to_string(), super::tests::did([3; 32]));
        assert!(Did::is_method_of(&text, &did.method_id()));
        for kid in [
            text.clone(),
            format!("{text}#"),
            format!("{text}#z6Mk"),
            format!("{text}#{}x", did.multibase()),
            format!("{text}#{}", other.multibase()),
            other.method_id(),
        ] {
            assert!(!Did::is_method_of(&text, &kid), "{kid}");
        }
    }

    proptest! {
        #[test]
        fn order_of_bytes_is_order_of_text(a: [u8; 32], b: [u8; 32]) {
            let (a, b) = (did(a), did(b));
            prop_assert_eq!(a.cmp(&b), a.to_string().cmp(&b.to_string()));
            prop_assert_eq!(a.to_string().len(), DID_LENGTH);
            prop_assert_eq!(Did::parse(&a.to_string()), Ok(a));
            // An epoch writes them by the million; the crate that reads them says the same.
            let bytes = [&MULTICODEC[..], a.key_bytes()].concat();
            prop_assert_eq!(a.multibase(), format!("z{}", bs58::encode(bytes).into_string()));
        }

        #[test]
        fn never_panics(text in ".*", tail in "[1-9A-HJ-NP-Za-km-z]{47}") {
            let _ = Did::parse(&text);
            let _ = Did::parse(&format!("did:key:z{tail}"));
        }
    }
}
