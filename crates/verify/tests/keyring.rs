//! Key events in the order of the log: what they make, and which do not follow.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use ed25519_dalek::SigningKey;
use goodstanding_verify::{
    Code,
    did::Did,
    entry::{KeyAction, KeyEntry, KeyUse},
    jwk::Jwk,
    keyring::KeyRing,
};
use proptest::prelude::*;

fn jwk(seed: u8) -> Jwk {
    let key = SigningKey::from_bytes(&[seed; 32]);
    Jwk::from(Did::from_key_bytes(key.verifying_key().as_bytes()).unwrap())
}

fn event(usage: KeyUse, action: KeyAction, seed: u8, from: u64) -> KeyEntry {
    KeyEntry {
        usage,
        action,
        jwk: jwk(seed),
        from,
    }
}

use KeyAction::{Add, Retire, Revoke};
use KeyUse::{Bundle, Status, Token};

fn ring(events: &[KeyEntry]) -> KeyRing {
    let mut ring = KeyRing::default();
    for event in events {
        ring.apply(event).unwrap();
    }
    ring
}

#[test]
fn a_rotation() {
    let ring = ring(&[
        event(Token, Add, 1, 100),
        event(Status, Add, 2, 100),
        event(Token, Add, 3, 200),
        event(Token, Retire, 1, 250),
    ]);
    let signing = |usage, now| ring.signing(usage, now).map(|key| key.jwk);
    assert_eq!(signing(Token, 99), None, "not before it begins");
    assert_eq!(signing(Token, 100), Some(jwk(1)));
    assert_eq!(signing(Token, 199), Some(jwk(1)));
    assert_eq!(signing(Token, 200), Some(jwk(3)), "the one that began last");
    assert_eq!(signing(Token, 1_000), Some(jwk(3)));
    assert_eq!(signing(Status, 1_000), Some(jwk(2)));
    assert_eq!(signing(Bundle, 1_000), None);
    let first = ring.key(Token, &jwk(1).thumbprint()).unwrap();
    assert_eq!(
        (first.from, first.to, first.revoked),
        (100, Some(250), None)
    );
    assert!(
        first.signs_at(249) && !first.signs_at(250),
        "until, not through"
    );
    assert_eq!(ring.key(Status, &jwk(1).thumbprint()), None);
    let order: Vec<_> = ring.keys().iter().map(|key| key.jwk).collect();
    assert_eq!(order, [jwk(1), jwk(2), jwk(3)]);
}

#[test]
fn of_two_that_begin_together_the_one_added_last_signs() {
    let ring = ring(&[event(Token, Add, 5, 100), event(Token, Add, 4, 100)]);
    assert_eq!(ring.signing(Token, 100).unwrap().jwk, jwk(4));
}

#[test]
fn a_revoked_key_never_signed() {
    let ring = ring(&[
        event(Token, Add, 1, 100),
        event(Token, Add, 2, 200),
        event(Token, Revoke, 2, 300),
    ]);
    let key = ring.key(Token, &jwk(2).thumbprint()).unwrap();
    assert_eq!(key.revoked, Some(300));
    for now in [200, 299, 300, 301] {
        assert!(!key.signs_at(now), "also before: {now}");
        assert_eq!(ring.signing(Token, now).unwrap().jwk, jwk(1));
    }
}

#[test]
fn one_key_may_have_two_uses_with_fates_of_their_own() {
    let ring = ring(&[
        event(Token, Add, 1, 100),
        event(Status, Add, 1, 100),
        event(Token, Revoke, 1, 150),
    ]);
    assert_eq!(ring.signing(Token, 200), None);
    assert_eq!(ring.signing(Status, 200).unwrap().jwk, jwk(1));
}

#[test]
fn events_that_do_not_follow_change_nothing() {
    let add = event(Token, Add, 1, 100);
    let retire = event(Token, Retire, 1, 200);
    let revoke = event(Token, Revoke, 1, 300);
    for (before, bad) in [
        (vec![], event(Token, Retire, 1, 200)),
        (vec![], event(Token, Revoke, 1, 200)),
        (vec![add], event(Token, Add, 1, 100)),
        (vec![add], event(Token, Add, 1, 500)),
        (vec![add], event(Status, Retire, 1, 200)),
        (vec![add], event(Token, Retire, 2, 200)),
        (vec![add], event(Token, Retire, 1, 99)),
        (vec![add, retire], event(Token, Retire, 1, 300)),
        (vec![add, retire], event(Token, Add, 1, 300)),
        (vec![add, revoke], event(Token, Revoke, 1, 400)),
        (vec![add, revoke], event(Token, Retire, 1, 400)),
        (vec![add, revoke], event(Token, Add, 1, 400)),
        (vec![add, retire, revoke], event(Token, Revoke, 1, 400)),
    ] {
        let mut ring = ring(&before);
        let held = ring.clone();
        let error = ring.apply(&bad).unwrap_err();
        assert_eq!(
            error.code(),
            Code::KeyEventInvalid,
            "{bad:?} after {before:?}"
        );
        assert_eq!(ring, held);
    }
    // What does follow, beside them.
    ring(&[add, event(Token, Retire, 1, 100)]);
    ring(&[add, retire, revoke]);
    ring(&[add, event(Token, Revoke, 1, 0)]);
}

proptest! {
    /// Whatever the events: each key once for a use, and the signing one is one that may sign, and none that may began later.
    #[test]
    fn the_ring_stays_in_order(
        events in prop::collection::vec((0_usize..2, 0_usize..3, 1_u8..4, 0_u64..8), 0..40),
        now in 0_u64..10,
    ) {
        let mut ring = KeyRing::default();
        for (usage, action, seed, from) in events {
            let before = ring.clone();
            let event = event([Token, Status][usage], [Add, Retire, Revoke][action], seed, from);
            if ring.apply(&event).is_err() {
                prop_assert_eq!(&ring, &before);
            } else {
                prop_assert_ne!(&ring, &before);
            }
            for usage in [Token, Status] {
                let may: Vec<_> = ring.keys().iter().filter(|k| k.usage == usage && k.signs_at(now)).collect();
                let last = may.iter().map(|k| k.from).max();
                prop_assert_eq!(ring.signing(usage, now).map(|k| k.from), last);
                prop_assert!(ring.signing(usage, now).is_none_or(|k| may.contains(&k)));
            }
            let mut names: Vec<_> = ring.keys().iter().map(|k| (k.usage, k.jwk.thumbprint())).collect();
            let count = names.len();
            names.sort();
            names.dedup();
            prop_assert_eq!(names.len(), count);
        }
    }
}
