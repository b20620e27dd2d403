//! What goes to a witness and comes back from it (C2SP tlog-witness), to the byte.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "tests"
)]

use ed25519_dalek::{Signer as _, SigningKey};
use goodstanding_verify::{
    Code,
    checkpoint::SignedCheckpoint,
    merkle::{self, Hash, leaf_hash},
    note::{KeyKind, Signature, VerifierKey, cosignature_message},
    witness::{AddCheckpoint, MAX_ANSWER_BYTES, cosignature, told_size},
};
use proptest::prelude::*;

const WITNESS: &str = "witness.example/w1+df1c0a35+BIE5dw6ofRdfVqNUZsNMfszLjYqRtO43ol32D1uPybOU";
const COSIGNATURE: &str = "\u{2014} witness.example/w1 3xwKNQAAAABpVbkAMLY9z79o5q/k5uf9KhAa4CzgOZQLod8gORXl/hxJJxofclHDISoeN9WWp0N90G8YGTnYyg3tLTZLR5Pa/a8ACg==\n";
const COSIGNED_AT: u64 = 1_767_225_600;
const CHECKPOINT: &str = "log.example/rep
8
XcnaeacGWamtVZy3Ad7ZoqudgjqtL0lgz+Nw7/RgQyg=

\u{2014} log.example/rep 177tYqm0+JZB0rKlWAcaWRebmLX/VNwwuxstFSDDSqpt4yV6fiaJTu482plEDQuAtourRXP56zk3ClaCyd5uqjskkA0=
";
/// From 6 to 8, as an independent witness accepted it.
const BODY: &str = "old 6
DrxdNDf74tsVi58Sah0RjjCBgQMdCpSfje3t68VY72o=
yoVOoSjtBQtBs1/8G4e46yveRh6eO1WW7Oa51ZdaCuA=
037kGJdt2VdTwcc4Yrk5j6Kiz5tP8P3+izDNlSCWFLc=

log.example/rep
8
XcnaeacGWamtVZy3Ad7ZoqudgjqtL0lgz+Nw7/RgQyg=

\u{2014} log.example/rep 177tYqm0+JZB0rKlWAcaWRebmLX/VNwwuxstFSDDSqpt4yV6fiaJTu482plEDQuAtourRXP56zk3ClaCyd5uqjskkA0=
";

fn signed() -> SignedCheckpoint {
    SignedCheckpoint::parse(CHECKPOINT).unwrap()
}

fn witness() -> VerifierKey {
    VerifierKey::parse(WITNESS).unwrap()
}

/// The code of a refused answer.
fn refused(answer: &str) -> Code {
    cosignature(answer, &signed(), &witness())
        .unwrap_err()
        .code()
}

/// A cosignature line by another key over the same checkpoint.
fn other_line(name: &str, seed: u8) -> String {
    let key = SigningKey::from_bytes(&[seed; 32]);
    let public = key.verifying_key();
    let vkey = VerifierKey::new(name, KeyKind::CosignatureV1, public.as_bytes()).unwrap();
    let message = cosignature_message(COSIGNED_AT, &signed().note().text);
    let signature = key.sign(message.as_bytes()).to_bytes();
    let line = Signature {
        name: name.to_owned(),
        key_id: vkey.key_id(),
        signature: [COSIGNED_AT.to_be_bytes().as_slice(), &signature].concat(),
    };
    format!("{line}\n")
}

#[test]
fn the_reference_request_to_the_byte() {
    let leaves: Vec<Hash> = [
        b"".as_slice(),
        b"\x00",
        b"\x10",
        b"\x20\x21",
        b"\x30\x31",
        b"\x40\x41\x42\x43",
        b"\x50\x51\x52\x53\x54\x55\x56\x57",
        b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
    ]
    .iter()
    .map(|entry| leaf_hash(entry))
    .collect();
    let request = AddCheckpoint {
        old: 6,
        proof: merkle::consistency_path(&leaves, 6).unwrap(),
        checkpoint: CHECKPOINT.to_owned(),
    };
    assert_eq!(request.to_string(), BODY);
    assert_eq!(AddCheckpoint::parse(BODY), Ok(request));
}

#[test]
fn a_first_request_has_no_proof() {
    let request = AddCheckpoint {
        old: 0,
        proof: Vec::new(),
        checkpoint: CHECKPOINT.to_owned(),
    };
    assert_eq!(request.to_string(), format!("old 0\n\n{CHECKPOINT}"));
    assert_eq!(AddCheckpoint::parse(&request.to_string()), Ok(request));
}

#[test]
fn malformed_requests() {
    let hash = "037kGJdt2VdTwcc4Yrk5j6Kiz5tP8P3+izDNlSCWFLc=";
    let lines = |n: usize| format!("{hash}\n").repeat(n);
    assert_eq!(
        AddCheckpoint::parse(&format!("old 6\n{}\n{CHECKPOINT}", lines(63)))
            .map(|request| request.proof.len()),
        Ok(63)
    );
    for bad in [
        String::new(),
        "old 6".to_owned(),
        "old 6\n\n".to_owned(),
        format!("old 06\n\n{CHECKPOINT}"),
        format!("old -6\n\n{CHECKPOINT}"),
        format!("old 18446744073709551616\n\n{CHECKPOINT}"),
        format!("Old 6\n\n{CHECKPOINT}"),
        format!("old  6\n\n{CHECKPOINT}"),
        format!("old 6 \n\n{CHECKPOINT}"),
        format!("\nold 6\n\n{CHECKPOINT}"),
        format!("old 6\r\n\r\n{CHECKPOINT}"),
        format!("old 6\n{}\n{CHECKPOINT}", lines(64)),
        format!("old 6\n{}\n\n{CHECKPOINT}", &hash[..43]),
        format!("old 6\n{hash}=\n\n{CHECKPOINT}"),
        format!("old 6\n {hash}\n\n{CHECKPOINT}"),
        format!("old 6\nAAAA\n\n{CHECKPOINT}"),
    ] {
        let code = AddCheckpoint::parse(&bad).map_err(|e| e.code());
        assert_eq!(code, Err(Code::WitnessMalformed), "{bad:.60}");
    }
}

#[test]
fn the_reference_cosignature() {
    let (line, time) = cosignature(COSIGNATURE, &signed(), &witness()).unwrap();
    assert_eq!(time, COSIGNED_AT);
    assert_eq!(format!("{line}\n"), COSIGNATURE);
    // With it, the checkpoint is the cosigned one.
    let cosigned = SignedCheckpoint::parse(&format!("{CHECKPOINT}{line}\n")).unwrap();
    assert_eq!(cosigned.cosignatures(&[witness()]).unwrap().len(), 1);
}

#[test]
fn lines_of_unknown_keys_are_ignored() {
    // A type that we do not know: ML-DSA-44, some 2.4 kB.
    let long = Signature {
        name: "witness.example/w1".to_owned(),
        key_id: [1, 2, 3, 4],
        signature: vec![9; 2_428],
    };
    let others = format!("{}{long}\n", other_line("witness.example/w2", 40));
    // The same name under another key is another key.
    let namesake = other_line("witness.example/w1", 41);
    for answer in [
        format!("{COSIGNATURE}{others}"),
        format!("{others}{COSIGNATURE}"),
        format!("{others}{namesake}{COSIGNATURE}{namesake}"),
    ] {
        let (_, time) = cosignature(&answer, &signed(), &witness()).unwrap();
        assert_eq!(time, COSIGNED_AT);
    }
    for nothing_of_ours in [others, namesake] {
        assert_eq!(refused(&nothing_of_ours), Code::WitnessMalformed);
    }
}

#[test]
fn a_line_of_the_known_key_must_verify() {
    let key = SigningKey::from_bytes(&[2; 32]);
    let witness = witness();
    let line = |time: u64, text: &str, key: &SigningKey| {
        let signature = key
            .sign(cosignature_message(time, text).as_bytes())
            .to_bytes();
        let line = Signature {
            name: witness.name().to_owned(),
            key_id: witness.key_id(),
            signature: [time.to_be_bytes().as_slice(), &signature].concat(),
        };
        format!("{line}\n")
    };
    let text = signed().note().text.clone();
    assert_eq!(
        line(COSIGNED_AT, &text, &key),
        COSIGNATURE,
        "the reference's witness seed"
    );
    let other_size = text.replacen("\n8\n", "\n7\n", 1);
    assert_ne!(other_size, text);
    let truncated = Signature {
        name: witness.name().to_owned(),
        key_id: witness.key_id(),
        signature: vec![0; 71],
    };
    for bad in [
        // By another key, over another checkpoint, with another time than was signed.
        line(COSIGNED_AT, &text, &SigningKey::from_bytes(&[3; 32])),
        line(COSIGNED_AT, &other_size, &key),
        COSIGNATURE.replacen("AAAABp", "AAAABq", 1),
        format!("{truncated}\n"),
    ] {
        assert_eq!(refused(&bad), Code::WitnessCosignatureInvalid, "{bad}");
        // Also when a good line follows: such a witness is not to be trusted with either.
        assert_eq!(
            refused(&format!("{bad}{COSIGNATURE}")),
            Code::WitnessCosignatureInvalid
        );
    }
    // The log's own key is no witness.
    let log = "log.example/rep+d7beed62+AYqI4910CfGV/VLbLTy6XXLKZwm/HZQSG/N0iAG0D29c";
    let log = VerifierKey::parse(log).unwrap();
    let (_, own) = CHECKPOINT.split_once("\n\n").unwrap();
    let code = cosignature(own, &signed(), &log).map_err(|e| e.code());
    assert_eq!(code, Err(Code::WitnessCosignatureInvalid));
}

#[test]
fn what_is_no_list_of_signature_lines() {
    for bad in [
        String::new(),
        "\n".to_owned(),
        "ok\n".to_owned(),
        COSIGNATURE.trim_end().to_owned(),
        format!("\n{COSIGNATURE}"),
        format!("{COSIGNATURE}\n"),
        format!("{COSIGNATURE}\n{COSIGNATURE}"),
        format!("{COSIGNATURE}no line\n"),
        format!("more text\n\n{COSIGNATURE}"),
        format!("{CHECKPOINT}{COSIGNATURE}"),
        COSIGNATURE.replace('\n', "\r\n"),
        COSIGNATURE.replace('\u{2014}', "-"),
    ] {
        assert_eq!(refused(&bad), Code::WitnessMalformed, "{bad:?}");
    }
}

#[test]
fn an_answer_has_64_kib_at_most() {
    let filler = |bytes: usize| {
        let line = |signature: Vec<u8>| {
            let line = Signature {
                name: "x".to_owned(),
                key_id: [0; 4],
                signature,
            };
            format!("{line}\n")
        };
        let mut text = line(vec![0; bytes * 3 / 4]);
        while text.len() > bytes {
            text = line(vec![0; text.len() * 3 / 4 - 9 - (text.len() - bytes)]);
        }
        text
    };
    let small = format!(
        "{}{COSIGNATURE}",
        filler(MAX_ANSWER_BYTES - COSIGNATURE.len())
    );
    assert!(small.len() <= MAX_ANSWER_BYTES && small.len() > MAX_ANSWER_BYTES - 200);
    assert!(cosignature(&small, &signed(), &witness()).is_ok());
    let large = format!("{}{COSIGNATURE}", filler(MAX_ANSWER_BYTES));
    assert!(large.len() > MAX_ANSWER_BYTES);
    assert_eq!(refused(&large), Code::WitnessMalformed);
}

#[test]
fn the_size_in_a_409() {
    for (answer, size) in [("0\n", 0), ("8\n", 8), ("18446744073709551615\n", u64::MAX)] {
        assert_eq!(told_size(answer), Ok(size));
    }
    for bad in [
        "",
        "\n",
        "8",
        "8\n\n",
        "08\n",
        "+8\n",
        "-8\n",
        " 8\n",
        "8 \n",
        "8\r\n",
        "eight\n",
        "18446744073709551616\n",
        "8\n9\n",
        "0x8\n",
    ] {
        let code = told_size(bad).map_err(|e| e.code());
        assert_eq!(code, Err(Code::WitnessMalformed), "{bad:?}");
    }
}

proptest! {
    #[test]
    fn requests_are_read_as_they_are_written(old: u64, proof in prop::collection::vec(any::<Hash>(), 0..64)) {
        let request = AddCheckpoint { old, proof, checkpoint: CHECKPOINT.to_owned() };
        prop_assert_eq!(AddCheckpoint::parse(&request.to_string()), Ok(request));
    }

    #[test]
    fn no_text_panics(text in "(old [0-9]{0,3}\n)?[A-Za-z0-9+/=\n \u{2014}]{0,200}") {
        if let Ok(request) = AddCheckpoint::parse(&text) {
            prop_assert_eq!(request.to_string(), text.clone());
        }
        prop_assert!(cosignature(&text, &signed(), &witness()).is_err());
        if let Ok(size) = told_size(&text) {
            prop_assert_eq!(format!("{size}\n"), text);
        }
    }
}
