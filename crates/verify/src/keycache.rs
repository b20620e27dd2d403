//! Keys that were read before: for those who verify many reports of the same agents.
//!
//! Reading a did:key costs a square root in the field (twice: once to refuse what is no full-order point, once to check a
//! signature), as much as a third of the signature check itself. The cache keeps the decoded point under the DID's text.
//! It only ever holds what [`Did::parse`] accepted, and the point that it returns is the one that those bytes decode to, so
//! the acceptance set is that of [`Did::verify_strict`].

use std::{cell::RefCell, collections::HashMap};

use ed25519_dalek::{Signature, VerifyingKey};

use crate::{code::Error, did::Did};

/// Decoded keys by DID text, at most twice `capacity` of them. Not shared between threads: each has its own.
#[derive(Debug)]
pub struct KeyCache {
    capacity: usize,
    held: RefCell<Generations>,
}

/// Two generations instead of a clock: what was used since the last turn survives the next one.
#[derive(Debug, Default)]
struct Generations {
    young: HashMap<String, CachedKey>,
    old: HashMap<String, CachedKey>,
}

/// An agent's key, ready to check signatures.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CachedKey {
    pub(crate) did: Did,
    key: VerifyingKey,
}

impl CachedKey {
    /// The strict rule, with the point at hand.
    pub(crate) fn verify_strict(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        self.key
            .verify_strict(message, &Signature::from_bytes(signature))
            .is_ok()
    }
}

impl KeyCache {
    /// An empty cache. One key takes about 350 bytes.
    pub fn new(capacity: usize) -> Self {
        Self {
            capacity: capacity.max(1),
            held: RefCell::default(),
        }
    }

    /// The key behind a DID's text.
    ///
    /// # Errors
    /// As [`Did::parse`]; faults are not remembered.
    pub(crate) fn read(&self, text: &str) -> Result<CachedKey, Error> {
        if let Some(found) = self.find(text) {
            return Ok(found);
        }
        let did = Did::parse(text)?;
        let found = CachedKey {
            did,
            key: did.verifying_key()?,
        };
        if let Ok(mut held) = self.held.try_borrow_mut() {
            held.insert(text, found, self.capacity);
        }
        Ok(found)
    }

    fn find(&self, text: &str) -> Option<CachedKey> {
        let mut held = self.held.try_borrow_mut().ok()?;
        if let Some(found) = held.young.get(text) {
            return Some(*found);
        }
        let found = held.old.get(text).copied()?;
        held.insert(text, found, self.capacity);
        Some(found)
    }
}

impl Generations {
    fn insert(&mut self, text: &str, key: CachedKey, capacity: usize) {
        if self.young.len() >= capacity {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(text.to_owned(), key);
    }
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::{Signer as _, SigningKey};

    use super::*;

    fn signer(n: u8) -> (SigningKey, String) {
        let key = SigningKey::from_bytes(&[n; 32]);
        let did = Did::from_key_bytes(key.verifying_key().as_bytes()).unwrap();
        (key, did.to_string())
    }

    #[test]
    fn says_what_a_fresh_key_says_and_stays_within_its_bounds() {
        let cache = KeyCache::new(3);
        for round in 0..3 {
            for n in 1..=20 {
                let (key, text) = signer(n);
                let signature = key.sign(b"message").to_bytes();
                let cached = cache.read(&text).unwrap();
                assert_eq!(cached.did, Did::parse(&text).unwrap());
                assert!(cached.verify_strict(b"message", &signature), "{round}");
                assert!(!cached.verify_strict(b"massage", &signature), "{round}");
                let held = cache.held.borrow();
                assert!(held.young.len() <= 3 && held.old.len() <= 3);
            }
        }
    }

    #[test]
    fn refuses_what_did_parse_refuses() {
        let cache = KeyCache::new(8);
        let mut identity = [0; 34];
        identity[..3].copy_from_slice(&[0xed, 0x01, 1]);
        let weak = format!("did:key:z{}", bs58::encode(identity).into_string());
        for bad in ["", "did:key:z", weak.as_str(), "did:web:example.org"] {
            for _ in 0..2 {
                let refused = cache.read(bad).map(|found| found.did);
                assert_eq!(refused, Did::parse(bad), "{bad}");
                assert!(refused.is_err());
            }
        }
    }

    #[test]
    fn what_is_in_use_survives_a_turn() {
        let cache = KeyCache::new(2);
        let (_, kept) = signer(1);
        for n in 2..40 {
            cache.read(&kept).unwrap();
            cache.read(&signer(n).1).unwrap();
            assert!(cache.find(&kept).is_some(), "{n}");
        }
    }
}
