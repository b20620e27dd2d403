//! Signed notes: reading and writing are the identity on text, and a fixed key verifies what it signed and nothing else.
#![no_main]

use std::collections::BTreeSet;

use ed25519_dalek::Signer as _;
use goodstanding_fuzz::{LOG_KEY, POLICY, SIGNED_TEXTS, key};
use goodstanding_verify::note::{Note, Signature, VerifierKey};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(vkey) = VerifierKey::parse(text) {
        assert_eq!(vkey.to_string(), text);
    }
    let mut keys = vec![LOG_KEY.clone()];
    keys.extend(POLICY.witnesses().map(|(_, key)| key.clone()));
    if let Ok(note) = Note::parse(text) {
        assert_eq!(note.to_string(), text);
        if let Ok(verified) = note.verify(&keys) {
            assert!(SIGNED_TEXTS.contains(&note.text), "{note}");
            let distinct: BTreeSet<usize> = verified.iter().map(|v| v.key).collect();
            assert_eq!(distinct.len(), verified.len(), "{note}");
        }
    }

    // The text as the log's key signs it.
    if text.ends_with('\n') && !text.bytes().any(|b| b < 0x20 && b != b'\n') {
        let signature = key("log").sign(text.as_bytes()).to_bytes().to_vec();
        let mut note = Note {
            text: text.to_owned(),
            signatures: vec![Signature {
                name: LOG_KEY.name().to_owned(),
                key_id: LOG_KEY.key_id(),
                signature,
            }],
        };
        assert_eq!(Note::parse(&note.to_string()).as_ref(), Ok(&note));
        assert_eq!(note.verify(&keys).expect("signed").len(), 1);
        note.text.push('\n');
        assert!(note.verify(&keys).is_err());
    }
});
