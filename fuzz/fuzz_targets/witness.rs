//! Requests to witnesses and their answers: one reading each; no cosignature that the witness did not make. In the text,
//! `$cosignature` stands for a true one and `$name` for the witness.
#![no_main]

use std::sync::LazyLock;

use ed25519_dalek::{Signer as _, SigningKey};
use goodstanding_fuzz::{LOG, text};
use goodstanding_verify::{
    checkpoint::SignedCheckpoint,
    note::{KeyKind, Signature, VerifierKey, cosignature_message},
    witness::{AddCheckpoint, cosignature, told_size},
};
use libfuzzer_sys::fuzz_target;

const TIME: u64 = 1_767_225_600;
const NAME: &str = "witness.example/fuzz";

static SIGNED: LazyLock<SignedCheckpoint> = LazyLock::new(|| {
    SignedCheckpoint::parse(text(&LOG, "signed_checkpoint")).expect("a checkpoint")
});
static KEY: LazyLock<SigningKey> = LazyLock::new(|| SigningKey::from_bytes(&[77; 32]));
static WITNESS: LazyLock<VerifierKey> = LazyLock::new(|| {
    let public = KEY.verifying_key();
    VerifierKey::new(NAME, KeyKind::CosignatureV1, public.as_bytes()).expect("a key")
});
static LINE: LazyLock<Signature> = LazyLock::new(|| {
    let message = cosignature_message(TIME, &SIGNED.note().text);
    let signature = KEY.sign(message.as_bytes()).to_bytes();
    Signature {
        name: NAME.to_owned(),
        key_id: WITNESS.key_id(),
        signature: [TIME.to_be_bytes().as_slice(), &signature].concat(),
    }
});

fuzz_target!(|text: &str| {
    let text = text
        .replace("$cosignature", &LINE.to_string())
        .replace("$name", NAME);
    if let Ok(request) = AddCheckpoint::parse(&text) {
        assert!(request.proof.len() <= 63);
        assert_eq!(request.to_string(), text);
    }
    if let Ok(size) = told_size(&text) {
        assert_eq!(format!("{size}\n"), text);
    }
    match cosignature(&text, &SIGNED, &WITNESS) {
        Ok((line, time)) => {
            assert_eq!((&line, time), (&*LINE, TIME));
            let body = SIGNED.to_string();
            let cosigned = SignedCheckpoint::parse(&format!("{body}{line}\n")).expect("a note");
            let times = cosigned.cosignatures(std::slice::from_ref(&WITNESS));
            assert_eq!(times.map(|times| times.len()), Ok(1));
        }
        // The very line alone is always taken.
        Err(error) => assert_ne!(text, format!("{}\n", *LINE), "{error}"),
    }
});
