//! Witness policies: the text form has one reading; who asks for no less than the golden policy accepts nothing that it refuses
//! for want of witnesses. `$0` to `$9` in the text stand for the keys of witnesses, `$log` for the log's.
#![no_main]

use std::sync::LazyLock;

use ed25519_dalek::SigningKey;
use goodstanding_fuzz::{CHECKPOINTS, LOG_KEY, POLICY, text};
use goodstanding_verify::{
    Code,
    checkpoint::SignedCheckpoint,
    note::{KeyKind, VerifierKey},
    witness_policy::WitnessPolicy,
};
use libfuzzer_sys::fuzz_target;

/// Comparing policies takes 2^n steps.
const MAX_WITNESSES: usize = 8;

/// Those of the golden policy in the order of their names, then others.
static WITNESSES: LazyLock<Vec<String>> = LazyLock::new(|| {
    let mut keys: Vec<String> = POLICY.witnesses().map(|(_, key)| key.to_string()).collect();
    keys.sort();
    keys.extend((0..10).map(|n| {
        let public = SigningKey::from_bytes(&[100 + n; 32]).verifying_key();
        let name = format!("x{n}");
        let key = VerifierKey::new(&name, KeyKind::CosignatureV1, public.as_bytes());
        key.expect("a key").to_string()
    }));
    keys.truncate(10);
    keys
});
static SIGNED: LazyLock<Vec<SignedCheckpoint>> = LazyLock::new(|| {
    let cases = CHECKPOINTS.cases();
    let parse = |case| SignedCheckpoint::parse(text(case, "signed_checkpoint"));
    cases
        .map(|case| parse(case).expect("well-formed"))
        .collect()
});

fuzz_target!(|text: &str| {
    let mut text = text.replace("$log", &LOG_KEY.to_string());
    for (n, key) in WITNESSES.iter().enumerate() {
        text = text.replace(&format!("${n}"), key);
    }
    let Ok(policy) = WitnessPolicy::parse(&text) else {
        return;
    };
    let written = policy.to_string();
    let again = WitnessPolicy::parse(&written);
    assert_eq!(again.as_ref(), Ok(&policy), "{written}");
    assert_eq!(again.map(|policy| policy.to_string()), Ok(written));

    let few = policy.witnesses().count() <= MAX_WITNESSES;
    let strong = few && !policy.is_weaker_than(&POLICY);
    if few {
        assert!(!policy.is_weaker_than(&policy));
        assert!(strong || POLICY.wants_quorum());
    }
    for signed in SIGNED.iter() {
        let Ok(quorum) = policy.evaluate(signed) else {
            continue;
        };
        assert_eq!(quorum.required, policy.wants_quorum());
        assert!(quorum.witnesses.len() <= quorum.total);
        assert!(!strong || quorum.total >= POLICY.witnesses().count());
        assert!(policy.is_met(&quorum, |_| true));
        assert_eq!(policy.is_met(&quorum, |_| false), !quorum.required);
        if let Err(error) = POLICY.evaluate(signed) {
            assert!(!strong || error.code() != Code::CheckpointQuorumMissed);
        }
    }
});
