//! The service's keys as the log tells them: which were added, retired and revoked, and when.

use crate::{
    code::{Code, Error},
    entry::{KeyAction, KeyEntry, KeyUse},
    jwk::Jwk,
};

/// A key of the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RingKey {
    /// What it signs.
    pub usage: KeyUse,
    /// The key.
    pub jwk: Jwk,
    /// It signs from this time on, Unix seconds.
    pub from: u64,
    /// It signs until this time, Unix seconds.
    pub to: Option<u64>,
    /// Nothing that it ever signed counts any more; Unix seconds.
    pub revoked: Option<u64>,
}

impl RingKey {
    /// Whether it may sign at `now` (Unix seconds).
    pub fn signs_at(&self, now: u64) -> bool {
        self.revoked.is_none() && self.from <= now && self.to.is_none_or(|to| now < to)
    }
}

/// All keys of a log prefix, in the order they were added.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyRing {
    keys: Vec<RingKey>,
}

impl KeyRing {
    /// Takes the next key entry of the log.
    ///
    /// # Errors
    /// `key.event_invalid` when it does not follow from those before: a key is added once for a use, retired once and not
    /// before it begins, revoked once, and after that nothing more happens to it.
    pub fn apply(&mut self, event: &KeyEntry) -> Result<(), Error> {
        let kid = event.jwk.thumbprint();
        let refuse = |why: &str| {
            let detail = format!("{} of {} key {kid}: {why}", event.action, event.usage);
            Err(Error::new(Code::KeyEventInvalid, detail))
        };
        let held = self
            .keys
            .iter_mut()
            .find(|key| key.usage == event.usage && key.jwk == event.jwk);
        match (event.action, held) {
            (KeyAction::Add, None) => {
                self.keys.push(RingKey {
                    usage: event.usage,
                    jwk: event.jwk,
                    from: event.from,
                    to: None,
                    revoked: None,
                });
                Ok(())
            }
            (KeyAction::Add, Some(_)) => refuse("it was added before"),
            (_, None) => refuse("it was never added"),
            (_, Some(key)) if key.revoked.is_some() => refuse("it is revoked"),
            (KeyAction::Retire, Some(key)) => {
                if key.to.is_some() {
                    return refuse("it was retired before");
                }
                if event.from < key.from {
                    return refuse("it would end before it begins");
                }
                key.to = Some(event.from);
                Ok(())
            }
            (KeyAction::Revoke, Some(key)) => {
                key.revoked = Some(event.from);
                Ok(())
            }
        }
    }

    /// Every key, in the order they were added.
    pub fn keys(&self) -> &[RingKey] {
        &self.keys
    }

    /// The key with this use and thumbprint.
    pub fn key(&self, usage: KeyUse, kid: &str) -> Option<&RingKey> {
        self.keys
            .iter()
            .find(|key| key.usage == usage && key.jwk.thumbprint() == kid)
    }

    /// The key that signs at `now` (Unix seconds): of those that may, the one that began last; of two that began at the
    /// same time, the one added last.
    pub fn signing(&self, usage: KeyUse, now: u64) -> Option<&RingKey> {
        self.keys
            .iter()
            .filter(|key| key.usage == usage && key.signs_at(now))
            .max_by_key(|key| key.from)
    }
}
