//! What jobs and answers carry beside what they say: which job an answer is to, and that a process of this log wrote it.
//!
//! The table that they go through belongs to the database, and who may write there could ask for anything in a process's name:
//! reports without signatures, policies, erasures, the end of the log. So both ways are sealed with a key that only those have who
//! have the service's keys. What is sent twice is as harmless as what a process repeats.

use goodstanding_verify::digest::sha256;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::{
    code::{Code, Fault},
    keys::SecretKey,
    store::cluster::Mark,
};

const MAC: usize = 32;

/// Which way something goes. An answer is no job.
#[derive(Clone, Copy, Debug)]
pub(super) enum Way {
    ToWriter = 1,
    Back = 2,
}

/// Makes and checks the seals of one service.
pub struct Seal(zeroize::Zeroizing<[u8; 32]>);

impl std::fmt::Debug for Seal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seal")
    }
}

impl Seal {
    /// That of all processes which have this key: all that serve one log.
    pub fn shared(access_key: &SecretKey) -> Self {
        // Signatures of Ed25519 are a function of key and text (RFC 8032), and nobody else has this one.
        let signature = access_key.sign(b"goodstanding jobs");
        Self(zeroize::Zeroizing::new(sha256(&signature).0))
    }

    /// A job or an answer as it is sent: mark, HMAC-SHA256 (RFC 2104) over way, mark and bytes, bytes.
    pub(super) fn put(&self, way: Way, mark: &Mark, bytes: &[u8]) -> Vec<u8> {
        let mac = self.mac(way, mark, bytes).finalize().into_bytes();
        [mark.as_slice(), mac.as_slice(), bytes].concat()
    }

    /// The mark, and what was sealed with it; `None`: nobody who has the key wrote this.
    pub(super) fn take<'a>(&self, way: Way, sealed: &'a [u8]) -> Option<(Mark, &'a [u8])> {
        let (mark, rest) = sealed.split_first_chunk::<16>()?;
        let (mac, bytes) = rest.split_first_chunk::<MAC>()?;
        let checked = self.mac(way, mark, bytes).verify_slice(mac);
        checked.ok().map(|()| (*mark, bytes))
    }

    fn mac(&self, way: Way, mark: &Mark, bytes: &[u8]) -> Hmac<Sha256> {
        let mac = Hmac::<Sha256>::new_from_slice(self.0.as_slice())
            .unwrap_or_else(|_| unreachable!("HMAC takes keys of any length"));
        mac.chain_update([way as u8])
            .chain_update(mark)
            .chain_update(bytes)
    }
}

/// For a new job.
///
/// # Errors
/// `internal` without random bytes.
pub(super) fn new_mark() -> Result<Mark, Fault> {
    let mut mark = Mark::default();
    getrandom::fill(&mut mark)
        .map_err(|e| Fault::new(Code::Internal, format!("no random bytes: {e}")))?;
    Ok(mark)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sealed_is_taken_and_nothing_else() {
        let seal = Seal::shared(&SecretKey::from_seed(&[1; 32]));
        let (one, other) = (new_mark().unwrap(), new_mark().unwrap());
        assert_ne!(one, other);
        let sealed = seal.put(Way::ToWriter, &one, b"job");
        assert_eq!(
            seal.take(Way::ToWriter, &sealed),
            Some((one, b"job".as_slice()))
        );
        assert_eq!(seal.take(Way::Back, &sealed), None, "a job is no answer");
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert_eq!(seal.take(Way::ToWriter, &changed), None, "byte {at}");
            assert_eq!(seal.take(Way::ToWriter, &sealed[..at]), None, "{at} bytes");
        }
        let stranger = Seal::shared(&SecretKey::from_seed(&[2; 32]));
        assert_eq!(stranger.take(Way::ToWriter, &sealed), None);
    }
}
