//! What changes the service's keys: pure, from the key ring and a wish to the key events that fulfil it.
//!
//! All events of a change go into the log together, the new key first, so that no prefix of the log leaves a use without a key.

use goodstanding_verify::{
    entry::{KeyAction, KeyEntry, KeyUse},
    jwk::Jwk,
    keyring::{KeyRing, RingKey},
};

use crate::code::{Code, Fault};

/// How long before it signs a new key is announced, seconds: the life of a trust bundle, so that every bundle in use by then
/// lists it.
pub const ANNOUNCE_S: u64 = 7 * 86_400;

/// When a new key takes over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum From {
    /// When every bundle in use lists it.
    Announced,
    /// At once, by the clock of who does it: whoever asks may have thought for a while, and read another clock.
    Now,
    /// At this time, Unix seconds.
    At(u64),
}

/// What is to happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A new key takes over.
    Rotate {
        /// Which kind of key.
        usage: KeyUse,
        /// When.
        from: From,
    },
    /// A key stops signing; what it signed stays valid.
    Retire {
        /// Which kind of key.
        usage: KeyUse,
        /// Its thumbprint.
        kid: String,
        /// When, Unix seconds; `None` = now.
        from: Option<u64>,
    },
    /// Nothing that a key ever signed counts any more. If nothing else could sign, a new key takes over at once.
    Revoke {
        /// Which kind of key.
        usage: KeyUse,
        /// Its thumbprint.
        kid: String,
    },
}

impl Change {
    /// Which kind of key it is about.
    pub fn usage(&self) -> KeyUse {
        match self {
            Self::Rotate { usage, .. }
            | Self::Retire { usage, .. }
            | Self::Revoke { usage, .. } => *usage,
        }
    }
}

/// What a change comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plan {
    /// These events, in this order; a key that they add is the one offered.
    Events(Vec<KeyEntry>),
    /// It was done before: this key is announced already.
    Announced(RingKey),
}

/// How long ago "now" may be, seconds: opening a directory takes time, and clocks differ.
const MOMENT_S: u64 = 60;

/// Plans a change at `now` (Unix seconds). `fresh` makes a key that the ring does not have, and is asked only if one is needed.
///
/// # Errors
/// `key.unknown`, `key.only_one`, `key.event_invalid`, `request.parameter_invalid` for a time in the past, and those of `fresh`.
pub fn plan(
    ring: &KeyRing,
    change: &Change,
    now: u64,
    fresh: impl FnOnce() -> Result<Jwk, Fault>,
) -> Result<Plan, Fault> {
    let events = match change {
        Change::Rotate { usage, from } => {
            if *from == From::Announced
                && let Some(announced) = announced(ring, *usage, now)
            {
                return Ok(Plan::Announced(*announced));
            }
            let from = match *from {
                From::Announced => now.saturating_add(ANNOUNCE_S),
                From::Now => now,
                From::At(from) => not_past(from, now)?,
            };
            rotation(ring, *usage, from, fresh()?)
        }
        Change::Retire { usage, kid, from } => {
            let key = find(ring, *usage, kid)?;
            let from = from.unwrap_or(now);
            let from = not_past(from, now)?;
            // One that has not begun never will.
            vec![event(key, KeyAction::Retire, from.max(key.from))]
        }
        Change::Revoke { usage, kid } => {
            let key = find(ring, *usage, kid)?;
            let mut events = Vec::new();
            let revoke = event(key, KeyAction::Revoke, now);
            if gap(&after(ring, &[revoke])?, *usage, now).is_some() {
                let new = add(*usage, fresh()?, now);
                events.push(new);
                // Until the one that is announced takes over, if there is one.
                if let Some(next) = announced(ring, *usage, now).filter(|next| next.jwk != key.jwk)
                {
                    events.push(KeyEntry {
                        action: KeyAction::Retire,
                        from: next.from,
                        ..new
                    });
                }
            }
            events.push(revoke);
            events
        }
    };
    let ring = after(ring, &events)?;
    match gap(&ring, change.usage(), now) {
        None => Ok(Plan::Events(events)),
        Some(at) => Err(Fault::new(
            Code::KeyOnlyOne,
            format!("no {} key could sign at {at}", change.usage()),
        )),
    }
}

/// The first moment from `now` on (Unix seconds) at which no key of this use signs; `None` if there is none.
pub fn gap(ring: &KeyRing, usage: KeyUse, now: u64) -> Option<u64> {
    // Keys only stop at their ends: between two of them nothing gets worse.
    let ends = ring
        .keys()
        .iter()
        .filter(|key| key.usage == usage)
        .filter_map(|key| key.to)
        .filter(|to| *to > now);
    let mut moments: Vec<u64> = ends.chain([now]).collect();
    moments.sort_unstable();
    moments
        .into_iter()
        .find(|moment| ring.signing(usage, *moment).is_none())
}

/// The ring after these events.
///
/// # Errors
/// `key.event_invalid` when one does not follow from what came before.
pub fn after(ring: &KeyRing, events: &[KeyEntry]) -> Result<KeyRing, Fault> {
    let mut ring = ring.clone();
    for event in events {
        ring.apply(event)?;
    }
    Ok(ring)
}

/// A key that will sign and does not yet, with no end: a rotation that was announced.
fn announced(ring: &KeyRing, usage: KeyUse, now: u64) -> Option<&RingKey> {
    let mut keys = ring.keys().iter().filter(|key| key.usage == usage);
    keys.find(|key| key.from > now && key.to.is_none() && key.revoked.is_none())
}

/// The new key from `from` on, and every other one until then. One that was to begin later never begins.
fn rotation(ring: &KeyRing, usage: KeyUse, from: u64, fresh: Jwk) -> Vec<KeyEntry> {
    let others = ring
        .keys()
        .iter()
        .filter(|key| key.usage == usage && key.to.is_none() && key.revoked.is_none());
    let retired = others.map(|key| event(key, KeyAction::Retire, from.max(key.from)));
    std::iter::once(add(usage, fresh, from))
        .chain(retired)
        .collect()
}

fn add(usage: KeyUse, jwk: Jwk, from: u64) -> KeyEntry {
    KeyEntry {
        usage,
        action: KeyAction::Add,
        jwk,
        from,
    }
}

fn event(key: &RingKey, action: KeyAction, from: u64) -> KeyEntry {
    KeyEntry {
        usage: key.usage,
        action,
        jwk: key.jwk,
        from,
    }
}

fn find<'a>(ring: &'a KeyRing, usage: KeyUse, kid: &str) -> Result<&'a RingKey, Fault> {
    ring.key(usage, kid).ok_or_else(|| {
        let kid: String = kid.chars().take(64).collect();
        Fault::new(Code::KeyUnknown, format!("no {usage} key {kid}"))
    })
}

/// The time asked for, or now if that has just passed: whoever says "now" reads another clock, and a moment earlier.
fn not_past(from: u64, now: u64) -> Result<u64, Fault> {
    if from.saturating_add(MOMENT_S) < now {
        let detail = format!("from {from} is in the past, now is {now}");
        return Err(Fault::new(Code::ParameterInvalid, detail));
    }
    Ok(from.max(now))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::SecretKey;

    const NOW: u64 = 1_767_225_600;
    const USE: KeyUse = KeyUse::Bundle;

    fn jwk(n: u8) -> Jwk {
        Jwk::from(SecretKey::from_seed(&[n; 32]).did())
    }

    fn begun() -> KeyRing {
        after(&KeyRing::default(), &[add(USE, jwk(1), NOW - 100)]).unwrap()
    }

    fn events(ring: &KeyRing, change: &Change, now: u64, fresh: u8) -> Vec<KeyEntry> {
        match plan(ring, change, now, || Ok(jwk(fresh))).unwrap() {
            Plan::Events(events) => events,
            Plan::Announced(key) => panic!("{key:?}"),
        }
    }

    fn rotate(from: Option<u64>) -> Change {
        let from = from.map_or(From::Announced, From::At);
        Change::Rotate { usage: USE, from }
    }

    fn revoke(n: u8) -> Change {
        Change::Revoke {
            usage: USE,
            kid: jwk(n).thumbprint(),
        }
    }

    fn retire(n: u8, from: Option<u64>) -> Change {
        Change::Retire {
            usage: USE,
            kid: jwk(n).thumbprint(),
            from,
        }
    }

    fn signs(ring: &KeyRing, at: u64) -> Option<Jwk> {
        ring.signing(USE, at).map(|key| key.jwk)
    }

    #[test]
    fn a_rotation_is_announced_for_the_life_of_a_bundle_and_leaves_no_gap() {
        let ring = after(&begun(), &events(&begun(), &rotate(None), NOW, 2)).unwrap();
        let switch = NOW + ANNOUNCE_S;
        assert_eq!(signs(&ring, switch - 1), Some(jwk(1)));
        assert_eq!(signs(&ring, switch), Some(jwk(2)));
        assert_eq!(gap(&ring, USE, NOW), None);
        // Asked again, it is done already.
        let again = plan(&ring, &rotate(None), NOW + 1, || Ok(jwk(3))).unwrap();
        assert!(matches!(again, Plan::Announced(key) if key.jwk == jwk(2)));
        // After it took effect the next one may be announced.
        assert_eq!(events(&ring, &rotate(None), switch, 3).len(), 2);
    }

    #[test]
    fn a_moment_ago_is_now() {
        for from in [NOW - MOMENT_S, NOW - 1, NOW] {
            let ring = after(&begun(), &events(&begun(), &rotate(Some(from)), NOW, 2)).unwrap();
            assert_eq!(signs(&ring, NOW), Some(jwk(2)));
            assert_eq!(
                signs(&ring, NOW - 1),
                Some(jwk(1)),
                "nothing is changed in the past"
            );
        }
    }

    #[test]
    fn now_is_the_clock_of_who_does_it() {
        let change = Change::Rotate {
            usage: USE,
            from: From::Now,
        };
        for now in [NOW, NOW + 10 * MOMENT_S] {
            let ring = after(&begun(), &events(&begun(), &change, now, 2)).unwrap();
            assert_eq!(signs(&ring, now - 1), Some(jwk(1)));
            assert_eq!(signs(&ring, now), Some(jwk(2)));
        }
    }

    #[test]
    fn a_rotation_now_overtakes_one_that_was_announced() {
        let ring = after(&begun(), &events(&begun(), &rotate(None), NOW, 2)).unwrap();
        let ring = after(&ring, &events(&ring, &rotate(Some(NOW)), NOW, 3)).unwrap();
        for at in [
            NOW,
            NOW + ANNOUNCE_S - 1,
            NOW + ANNOUNCE_S,
            NOW + 10 * ANNOUNCE_S,
        ] {
            assert_eq!(signs(&ring, at), Some(jwk(3)), "{at}");
        }
    }

    #[test]
    fn the_only_key_is_replaced_when_revoked_and_cannot_be_retired() {
        let error = plan(&begun(), &retire(1, None), NOW, || Ok(jwk(2))).unwrap_err();
        assert!(error.is(Code::KeyOnlyOne));
        let error = plan(&begun(), &retire(1, Some(NOW + 50)), NOW, || Ok(jwk(2))).unwrap_err();
        assert!(error.is(Code::KeyOnlyOne) && error.detail().ends_with(&(NOW + 50).to_string()));
        let revoked = events(&begun(), &revoke(1), NOW, 2);
        assert_eq!(revoked[0], add(USE, jwk(2), NOW));
        assert_eq!(
            (revoked[1].action, revoked[1].jwk),
            (KeyAction::Revoke, jwk(1))
        );
        assert_eq!(
            signs(&after(&begun(), &revoked).unwrap(), NOW),
            Some(jwk(2))
        );
    }

    #[test]
    fn revoking_the_active_key_before_a_rotation_bridges_until_then() {
        let ring = after(&begun(), &events(&begun(), &rotate(None), NOW, 2)).unwrap();
        let ring = after(&ring, &events(&ring, &revoke(1), NOW + 5, 3)).unwrap();
        assert_eq!(signs(&ring, NOW + 5), Some(jwk(3)));
        assert_eq!(signs(&ring, NOW + ANNOUNCE_S), Some(jwk(2)));
        assert_eq!(gap(&ring, USE, NOW + 5), None);
    }

    #[test]
    fn revoking_the_announced_key_keeps_somebody_signing() {
        let ring = after(&begun(), &events(&begun(), &rotate(None), NOW, 2)).unwrap();
        let ring = after(&ring, &events(&ring, &revoke(2), NOW + 5, 3)).unwrap();
        assert_eq!(gap(&ring, USE, NOW + 5), None);
        assert_eq!(signs(&ring, NOW + 2 * ANNOUNCE_S), Some(jwk(3)));
    }

    #[test]
    fn a_retired_key_is_revoked_without_a_new_one() {
        let ring = after(&begun(), &events(&begun(), &rotate(Some(NOW)), NOW, 2)).unwrap();
        assert_eq!(events(&ring, &revoke(1), NOW + 1, 3).len(), 1);
        // The announced one that is not needed never begins.
        let ring = after(&ring, &events(&ring, &rotate(Some(NOW + 500)), NOW + 2, 3)).unwrap();
        let error = plan(&ring, &retire(3, None), NOW + 3, || Ok(jwk(4))).unwrap_err();
        assert!(error.is(Code::KeyOnlyOne));
    }

    #[test]
    fn what_does_not_follow_is_refused() {
        for (change, code) in [
            (retire(9, None), "key.unknown"),
            (revoke(9), "key.unknown"),
            (
                rotate(Some(NOW - MOMENT_S - 1)),
                "request.parameter_invalid",
            ),
            (
                retire(1, Some(NOW - MOMENT_S - 1)),
                "request.parameter_invalid",
            ),
        ] {
            assert_eq!(
                plan(&begun(), &change, NOW, || Ok(jwk(2)))
                    .unwrap_err()
                    .code(),
                code
            );
        }
        let ring = after(&begun(), &events(&begun(), &revoke(1), NOW, 2)).unwrap();
        let error = plan(&ring, &revoke(1), NOW + 1, || Ok(jwk(3))).unwrap_err();
        assert_eq!(error.code(), "key.event_invalid");
    }
}
