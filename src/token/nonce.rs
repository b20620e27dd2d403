//! Nonces for proofs of possession: an HMAC over time and randomness, so that nothing is stored until one is used.

use std::{collections::BTreeMap, sync::Mutex};

use goodstanding_verify::{b64, digest::sha256};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::{
    code::{Code, Fault},
    keys::SecretKey,
};

/// How long a nonce is good for, seconds.
pub const NONCE_LIFE_S: u64 = 300;
/// Used nonces that are remembered; more at once means somebody burns them on purpose.
const MOST_USED: usize = 100_000;
const TIME: usize = 8;
const RANDOM: usize = 16;
const TAG: usize = 16;

/// Makes and takes nonces.
pub struct Nonces {
    key: zeroize::Zeroizing<[u8; 32]>,
    /// Nonce → when it expires, for those used.
    used: Mutex<BTreeMap<[u8; RANDOM], u64>>,
}

impl std::fmt::Debug for Nonces {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Nonces")
    }
}

impl Nonces {
    /// With a fresh key: nonces do not outlive the process.
    ///
    /// # Errors
    /// When the operating system gives no randomness.
    pub fn new() -> Result<Self, Fault> {
        let mut key = zeroize::Zeroizing::new([0; 32]);
        random(key.as_mut_slice())?;
        Ok(Self {
            key,
            used: Mutex::default(),
        })
    }

    /// With a key that all processes have which share the service's keys: each takes the nonces of the others. Which were used is
    /// known to the process that took them only.
    pub fn shared(access_key: &SecretKey) -> Self {
        // Signatures of Ed25519 are a function of key and text (RFC 8032), and nobody else has this one.
        let signature = access_key.sign(b"goodstanding nonces");
        Self {
            key: zeroize::Zeroizing::new(sha256(&signature).0),
            used: Mutex::default(),
        }
    }

    /// A new nonce.
    ///
    /// # Errors
    /// When the operating system gives no randomness.
    pub fn issue(&self, now_s: u64) -> Result<String, Fault> {
        let mut bytes = Vec::with_capacity(TIME + RANDOM + TAG);
        bytes.extend_from_slice(&now_s.to_be_bytes());
        let mut fresh = [0; RANDOM];
        random(&mut fresh)?;
        bytes.extend_from_slice(&fresh);
        let tag = self.tag(&bytes);
        bytes.extend_from_slice(&tag);
        Ok(b64::url_encode(&bytes))
    }

    /// Uses a nonce up.
    ///
    /// # Errors
    /// `token.nonce_unknown` when it is not ours, too old, or used before.
    pub fn take(&self, nonce: &str, now_s: u64) -> Result<(), Fault> {
        let unknown = |why: &str| Fault::new(Code::NonceUnknown, why);
        let bytes = b64::url_decode(nonce).ok_or_else(|| unknown("not a nonce of this service"))?;
        let (signed, tag) = bytes
            .split_at_checked(TIME + RANDOM)
            .ok_or_else(|| unknown("not a nonce of this service"))?;
        let mut mac = self.mac();
        mac.update(signed);
        mac.verify_truncated_left(tag)
            .ok()
            .filter(|()| tag.len() == TAG)
            .ok_or_else(|| unknown("not a nonce of this service"))?;
        let (time, fresh) = signed.split_at(TIME);
        let issued = u64::from_be_bytes(time.try_into().unwrap_or_default());
        let fresh: [u8; RANDOM] = fresh.try_into().unwrap_or_default();
        let expires = issued.saturating_add(NONCE_LIFE_S);
        if now_s > expires {
            return Err(unknown("the nonce has expired"));
        }
        let mut used = self
            .used
            .lock()
            .map_err(|_| Fault::new(Code::Internal, "nonce table poisoned"))?;
        if used.len() >= MOST_USED {
            used.retain(|_, expires| *expires >= now_s);
        }
        if used.len() >= MOST_USED {
            return Err(unknown("too many nonces were used at once"));
        }
        match used.insert(fresh, expires) {
            None => Ok(()),
            Some(_) => Err(unknown("the nonce was used before")),
        }
    }

    fn mac(&self) -> Hmac<Sha256> {
        Hmac::new_from_slice(self.key.as_slice())
            .unwrap_or_else(|_| unreachable!("HMAC takes keys of any length"))
    }

    fn tag(&self, bytes: &[u8]) -> [u8; TAG] {
        let mut mac = self.mac();
        mac.update(bytes);
        let mut tag = [0; TAG];
        tag.copy_from_slice(&mac.finalize().into_bytes()[..TAG]);
        tag
    }
}

fn random(bytes: &mut [u8]) -> Result<(), Fault> {
    getrandom::fill(bytes).map_err(|e| Fault::new(Code::Internal, format!("no random bytes: {e}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nonce_is_good_once_and_for_five_minutes() {
        let nonces = Nonces::new().unwrap();
        let nonce = nonces.issue(1000).unwrap();
        assert!(nonces.take(&nonce, 1300).is_ok());
        assert!(nonces.take(&nonce, 1300).is_err());
        let old = nonces.issue(1000).unwrap();
        assert!(nonces.take(&old, 1301).is_err());
        let foreign = Nonces::new().unwrap().issue(1000).unwrap();
        assert!(nonces.take(&foreign, 1000).is_err());
        for garbage in ["", "AAAA", "!", &nonce[..10], &format!("{nonce}AAAA")] {
            assert!(nonces.take(garbage, 1000).is_err(), "{garbage}");
        }
    }
}
