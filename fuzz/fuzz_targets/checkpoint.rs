//! Checkpoints: reading and writing are the identity on text; only what the keys of the vectors signed is verified.
#![no_main]

use goodstanding_fuzz::{LOG_KEY, POLICY, SIGNED_TEXTS};
use goodstanding_verify::{
    checkpoint::{Checkpoint, SignedCheckpoint},
    note::VerifierKey,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(checkpoint) = Checkpoint::parse(text) {
        assert_eq!(checkpoint.body(), text);
    }
    let Ok(signed) = SignedCheckpoint::parse(text) else {
        return;
    };
    assert_eq!(signed.to_string(), text);
    let body = &signed.note().text;
    assert_eq!(&signed.checkpoint().body(), body);

    let by_log = signed.verify_log(&LOG_KEY).is_ok();
    let witnesses: Vec<VerifierKey> = POLICY.witnesses().map(|(_, key)| key.clone()).collect();
    let cosigned = signed.cosignatures(&witnesses);
    if by_log || cosigned.as_ref().is_ok_and(|times| !times.is_empty()) {
        assert!(SIGNED_TEXTS.contains(body), "{signed}");
    }
    match POLICY.evaluate(&signed) {
        Ok(quorum) => {
            assert!(by_log && quorum.witnesses.len() >= 2);
            assert_eq!(
                Ok(quorum.witnesses.len()),
                cosigned.map(|times| times.len())
            );
        }
        Err(_) => assert!(!by_log || !cosigned.is_ok_and(|times| times.len() >= 2)),
    }
});
