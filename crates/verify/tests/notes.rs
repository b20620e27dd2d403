//! Notes, checkpoints, cosignatures, tlog-proofs and witness policies against the published vectors and another crate.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use ed25519_dalek::{Signer as _, SigningKey};
use goodstanding_verify::{
    checkpoint::{Checkpoint, SignedCheckpoint},
    code::Code,
    merkle::{self, leaf_hash},
    note::{KeyKind, Note, Signature, VerifierKey, cosignature_message, key_id},
    proof::TlogProof,
    witness_policy::WitnessPolicy,
};

const LOG: &str = "log.example/rep+d7beed62+AYqI4910CfGV/VLbLTy6XXLKZwm/HZQSG/N0iAG0D29c";
const WITNESS: &str = "witness.example/w1+df1c0a35+BIE5dw6ofRdfVqNUZsNMfszLjYqRtO43ol32D1uPybOU";
const PROOF: &str = "c2sp.org/tlog-proof@v1
index 5
vBoGQ7EuTS18d5GPROD095qDi2z57FtcKD4fTYhZnms=
yoVOoSjtBQtBs1/8G4e46yveRh6eO1WW7Oa51ZdaCuA=
037kGJdt2VdTwcc4Yrk5j6Kiz5tP8P3+izDNlSCWFLc=

log.example/rep
8
XcnaeacGWamtVZy3Ad7ZoqudgjqtL0lgz+Nw7/RgQyg=

\u{2014} log.example/rep 177tYqm0+JZB0rKlWAcaWRebmLX/VNwwuxstFSDDSqpt4yV6fiaJTu482plEDQuAtourRXP56zk3ClaCyd5uqjskkA0=
\u{2014} witness.example/w1 3xwKNQAAAABpVbkAMLY9z79o5q/k5uf9KhAa4CzgOZQLod8gORXl/hxJJxofclHDISoeN9WWp0N90G8YGTnYyg3tLTZLR5Pa/a8ACg==
";
const ENTRY: &[u8] = b"\x40\x41\x42\x43";
const COSIGNED_AT: u64 = 1_767_225_600;

fn policy(rest: &str) -> WitnessPolicy {
    WitnessPolicy::parse(&format!("log {LOG}\nwitness w1 {WITNESS}\n{rest}")).unwrap()
}

/// A witness or log of our own.
fn signer(seed: u8, name: &str, kind: KeyKind) -> (SigningKey, VerifierKey) {
    let key = SigningKey::from_bytes(&[seed; 32]);
    let vkey = VerifierKey::new(name, kind, key.verifying_key().as_bytes()).unwrap();
    (key, vkey)
}

fn sign(key: &SigningKey, vkey: &VerifierKey, text: &str, time: u64) -> Signature {
    let signature = match vkey.kind() {
        KeyKind::Ed25519 => key.sign(text.as_bytes()).to_bytes().to_vec(),
        KeyKind::CosignatureV1 => [
            time.to_be_bytes().to_vec(),
            key.sign(cosignature_message(time, text).as_bytes())
                .to_bytes()
                .to_vec(),
        ]
        .concat(),
    };
    Signature {
        name: vkey.name().to_owned(),
        key_id: vkey.key_id(),
        signature,
    }
}

#[test]
fn specification_vector() {
    let key =
        VerifierKey::parse("example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k")
            .unwrap();
    let text = "This is an example message.\n\n\u{2014} example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n";
    let note = Note::parse(text).unwrap();
    assert_eq!(note.text, "This is an example message.\n");
    assert_eq!(note.to_string(), text);
    assert_eq!(
        note.verify(std::slice::from_ref(&key)).unwrap()[0].time,
        None
    );
    let altered = Note::parse(&text.replace("message", "massage")).unwrap();
    assert_eq!(
        altered.verify(&[key]).unwrap_err().code(),
        Code::NoteSignatureInvalid
    );
    let other = VerifierKey::parse(LOG).unwrap();
    assert_eq!(
        note.verify(&[other]).unwrap_err().code(),
        Code::NoteSignatureInvalid
    );
}

#[test]
fn own_vectors_are_reproduced() {
    for (seed, name, kind, vkey) in [
        (1, "log.example/rep", KeyKind::Ed25519, LOG),
        (2, "witness.example/w1", KeyKind::CosignatureV1, WITNESS),
    ] {
        let (key, ours) = signer(seed, name, kind);
        assert_eq!(ours.to_string(), vkey);
        assert_eq!(VerifierKey::parse(vkey).unwrap(), ours);
        assert_eq!(
            key_id(name, kind, key.verifying_key().as_bytes()),
            ours.key_id()
        );
    }
    let proof = TlogProof::parse(PROOF).unwrap();
    assert_eq!(proof.to_string(), PROOF);
    let signed = proof.signed_checkpoint().unwrap();
    let body = signed.checkpoint().body();
    let (log_key, log) = signer(1, "log.example/rep", KeyKind::Ed25519);
    let (witness_key, witness) = signer(2, "witness.example/w1", KeyKind::CosignatureV1);
    let note = Note {
        text: body.clone(),
        signatures: vec![
            sign(&log_key, &log, &body, 0),
            sign(&witness_key, &witness, &body, COSIGNED_AT),
        ],
    };
    assert_eq!(note.to_string(), proof.checkpoint);
    let proven = proof.verify(ENTRY, &policy("quorum w1\n")).unwrap();
    assert_eq!(proven.quorum.witnesses, [("w1".to_owned(), COSIGNED_AT)]);
    assert_eq!(proven.checkpoint.size, 8);
    assert_eq!(
        proof
            .verify(b"other", &policy("quorum w1\n"))
            .unwrap_err()
            .code(),
        Code::ProofInclusionInvalid
    );
}

#[test]
fn agrees_with_signed_note() {
    let (log_key, log) = signer(1, "log.example/rep", KeyKind::Ed25519);
    let body = Checkpoint::new(log.name(), 1, leaf_hash(b"")).body();
    let note = Note {
        text: body.clone(),
        signatures: vec![sign(&log_key, &log, &body, 0)],
    }
    .to_string();
    let theirs = signed_note::Note::from_bytes(note.as_bytes()).unwrap();
    let verifier = signed_note::StandardVerifier::new(&log.to_string()).unwrap();
    let (verified, unverified) = theirs
        .verify(&signed_note::VerifierList::new(vec![Box::new(verifier)]))
        .unwrap();
    assert_eq!((verified.len(), unverified.len()), (1, 0));
    assert_eq!(theirs.to_bytes(), note.as_bytes());
    let ours = SignedCheckpoint::parse(&note).unwrap();
    assert_eq!(ours.verify_log(&log).unwrap().size, 1);
}

#[test]
fn malformed_notes_keys_checkpoints_proofs() {
    for bad in [
        "",
        "x\n",
        "x\n\n",
        "x\n\nno signature\n",
        "x\n\n\u{2014} a AAAA\n",
        "x\n\n\u{2014} a+b AAAAAAAA\n",
        "x\n\n\u{2014} a AAAAAAA=",
        "x\r\n\n\u{2014} a AAAAAAA=\n",
        "x\n\n- a AAAAAAA=\n",
        "x\n\n\u{2014} a AAAAAAA=\n\n",
    ] {
        assert_eq!(
            Note::parse(bad).unwrap_err().code(),
            Code::NoteMalformed,
            "{bad:?}"
        );
    }
    let line = "\u{2014} a AAAAAAA=\n";
    assert!(Note::parse(&format!("x\n\n{}", line.repeat(100))).is_ok());
    assert_eq!(
        Note::parse(&format!("x\n\n{}", line.repeat(101)))
            .unwrap_err()
            .code(),
        Code::NoteMalformed
    );
    assert!(Note::parse(&format!("{}\n\n{line}", "x".repeat(1_000_000))).is_err());
    assert_eq!(
        Note::parse(&format!("a\n\nb\n\n{line}")).unwrap().text,
        "a\n\nb\n"
    );
    for bad in [
        "",
        "a",
        "a+b",
        "a+00000000+AAAA",
        &LOG.replace("d7beed62", "d7beed63"),
        &LOG.replace("d7beed62", "D7BEED62"),
        &LOG.replace("log.example/rep", "log example"),
        &LOG.replace("+AY", "+BY"),
    ] {
        assert_eq!(
            VerifierKey::parse(bad).unwrap_err().code(),
            Code::NoteKeyInvalid,
            "{bad}"
        );
    }
    let root = "XcnaeacGWamtVZy3Ad7ZoqudgjqtL0lgz+Nw7/RgQyg=";
    assert!(Checkpoint::parse(&format!("o\n0\n{root}\nmore\n")).is_ok());
    for bad in [
        String::new(),
        "o\n".to_owned(),
        format!("\n8\n{root}\n"),
        format!("o\n08\n{root}\n"),
        format!("o\n+8\n{root}\n"),
        format!("o\n18446744073709551616\n{root}\n"),
        format!("o\n8\n{root}"),
        format!("o\n8\n{root}\n\n"),
        format!("o\n8\n{}\n", &root[1..]),
        "o\n\n".to_owned(),
    ] {
        assert_eq!(
            Checkpoint::parse(&bad).unwrap_err().code(),
            Code::CheckpointMalformed,
            "{bad:?}"
        );
    }
    assert_eq!(
        SignedCheckpoint::parse("x").unwrap_err().code(),
        Code::CheckpointMalformed
    );
    let with_extra = PROOF.replace("index 5", "extra AQID\nindex 5");
    assert_eq!(
        TlogProof::parse(&with_extra).unwrap().extra,
        Some(vec![1, 2, 3])
    );
    assert_eq!(
        TlogProof::parse(&with_extra).unwrap().to_string(),
        with_extra
    );
    for bad in [
        PROOF.replace("@v1", "@v2"),
        PROOF.replace("index 5", "index 05"),
        PROOF.replace("index 5\n", ""),
        PROOF.replace("index 5", "extra ?\nindex 5"),
        PROOF.replace("037k", "37k"),
        PROOF.split_inclusive("\n\n").next().unwrap().to_owned(),
        PROOF.replacen(
            "index 5\n",
            &format!("index 5\n{}", format!("{root}\n").repeat(62)),
            1,
        ),
    ] {
        assert_eq!(
            TlogProof::parse(&bad).unwrap_err().code(),
            Code::ProofMalformed,
            "{bad}"
        );
    }
    // No hash lines: the tree has one entry.
    assert_eq!(
        TlogProof::parse("c2sp.org/tlog-proof@v1\nindex 0\n\nx")
            .unwrap()
            .path,
        Vec::<merkle::Hash>::new()
    );
}

#[test]
fn surplus_hashes_are_refused() {
    let surplus = PROOF.replacen(
        "index 5\n",
        "index 5\nXcnaeacGWamtVZy3Ad7ZoqudgjqtL0lgz+Nw7/RgQyg=\n",
        1,
    );
    let error = TlogProof::parse(&surplus)
        .unwrap()
        .verify(ENTRY, &policy("quorum none\n"))
        .unwrap_err();
    assert_eq!(error.code(), Code::ProofInclusionInvalid);
}

#[test]
fn policies_read_back_and_refuse() {
    let (_, w2) = signer(3, "w2.example", KeyKind::CosignatureV1);
    let (_, w3) = signer(4, "w3.example", KeyKind::CosignatureV1);
    let text = format!(
        "log {LOG} https://log.example/\nwitness w1 {WITNESS}\nwitness w2 {w2} https://w2.example/\nwitness w3 {w3}\n\
         group g 2 w2 w3\ngroup h any w1 g\nquorum h\n"
    );
    let policy = WitnessPolicy::parse(&text).unwrap();
    assert_eq!(policy.to_string(), text);
    assert_eq!(policy.witnesses().count(), 3);
    assert_eq!(policy.witness_urls().count(), 1);
    let spaced = format!(
        "# a comment\n\n{}",
        text.replace(' ', "\t ").replace("quorum", "  quorum")
    );
    assert_eq!(WitnessPolicy::parse(&spaced).unwrap(), policy);
    for bad in [
        String::new(),
        format!("log {LOG}\n"),
        "quorum none\n".to_owned(),
        format!("log {LOG}\nquorum none\nquorum none\n"),
        format!("log {LOG}\nquorum x\n"),
        format!("log {LOG}\nlog {LOG}\nquorum none\n"),
        format!("log {WITNESS}\nquorum none\n"),
        format!("log {LOG}\nwitness w {LOG}\nquorum none\n"),
        format!("log {LOG}\nwitness none {WITNESS}\nquorum none\n"),
        format!("log {LOG}\nwitness a {WITNESS}\nwitness b {WITNESS}\nquorum a\n"),
        format!("log {LOG}\nwitness a {WITNESS}\nwitness a {w2}\nquorum a\n"),
        format!("log {LOG}\ngroup g any a\nwitness a {WITNESS}\nquorum g\n"),
        format!("log {LOG}\nwitness a {WITNESS}\ngroup g 2 a\nquorum g\n"),
        format!("log {LOG}\nwitness a {WITNESS}\ngroup g 0 a\nquorum g\n"),
        format!("log {LOG}\nwitness a {WITNESS}\ngroup g any a a\nquorum g\n"),
        format!("log {LOG}\nwitness a {WITNESS}\ngroup g any a\ngroup h any a\nquorum g\n"),
        format!("log {LOG}\ngroup g all\nquorum g\n"),
        format!("log {LOG}\r\nquorum none\r\n"),
        format!("log {LOG}\nwhat\nquorum none\n"),
    ] {
        assert_eq!(
            WitnessPolicy::parse(&bad).unwrap_err().code(),
            Code::WitnessPolicyMalformed,
            "{bad}"
        );
    }
}

#[test]
fn weaker_policies() {
    let witnesses: Vec<String> = (0..20)
        .map(|i| {
            format!(
                "witness w{i} {}\n",
                signer(10 + i, &format!("w{i}.example"), KeyKind::CosignatureV1).1
            )
        })
        .collect();
    let policy = |list: &[usize], rest: &str| {
        let list: String = list.iter().map(|i| witnesses[*i].as_str()).collect();
        WitnessPolicy::parse(&format!("log {LOG}\n{list}{rest}")).unwrap()
    };
    let none = policy(&[], "quorum none\n");
    let two = policy(&[0, 1, 2], "group g 2 w0 w1 w2\nquorum g\n");
    let three = policy(&[0, 1, 2], "group g all w0 w1 w2\nquorum g\n");
    let any = policy(&[0, 1, 2], "group g any w0 w1 w2\nquorum g\n");
    let fewer = policy(&[0, 1], "group g all w0 w1\nquorum g\n");
    let replaced = policy(&[0, 1, 3], "group g 2 w0 w1 w3\nquorum g\n");
    let one_more = policy(&[0, 1, 2, 3], "group g 3 w0 w1 w2 w3\nquorum g\n");
    for (new, held, weaker) in [
        (&two, &none, false),
        (&none, &two, true),
        (&two, &two, false),
        (&three, &two, false),
        (&two, &three, true),
        (&any, &two, true),
        (&fewer, &two, true),
        (&replaced, &two, true),
        (&one_more, &two, false),
        (&none, &none, false),
    ] {
        assert_eq!(new.is_weaker_than(held), weaker, "{new}\nheld\n{held}");
    }
    let all: Vec<usize> = (0..20).collect();
    let names: Vec<String> = all.iter().map(|i| format!("w{i}")).collect();
    let many = |k: usize| {
        policy(
            &all,
            &format!("group g {k} {}\nquorum g\n", names.join(" ")),
        )
    };
    assert!(!many(11).is_weaker_than(&many(11)));
    assert!(many(10).is_weaker_than(&many(11)));
}

#[test]
fn deep_groups_do_not_recurse() {
    let mut text = format!("log {LOG}\nwitness g0 {WITNESS}\n");
    let groups: Vec<String> = (1..2_000)
        .map(|i| format!("group g{i} any g{}\n", i - 1))
        .collect();
    text.push_str(&groups.concat());
    text.push_str("quorum g1999\n");
    let policy = WitnessPolicy::parse(&text).unwrap();
    assert_eq!(
        TlogProof::parse(PROOF)
            .unwrap()
            .verify(ENTRY, &policy)
            .unwrap()
            .quorum
            .total,
        1
    );
}

#[test]
fn checkpoints_of_others() {
    let signed = TlogProof::parse(PROOF)
        .unwrap()
        .signed_checkpoint()
        .unwrap();
    let (_, other) = signer(9, "other.example", KeyKind::Ed25519);
    assert_eq!(
        signed.verify_log(&other).unwrap_err().code(),
        Code::CheckpointOriginMismatch
    );
    let (_, impostor) = signer(9, "log.example/rep", KeyKind::Ed25519);
    assert_eq!(
        signed.verify_log(&impostor).unwrap_err().code(),
        Code::CheckpointSignatureInvalid
    );
    let (_, absent) = signer(9, "w9.example", KeyKind::CosignatureV1);
    let policy =
        WitnessPolicy::parse(&format!("log {LOG}\nwitness w9 {absent}\nquorum w9\n")).unwrap();
    assert_eq!(
        policy.evaluate(&signed).unwrap_err().code(),
        Code::CheckpointQuorumMissed
    );
    let policy = WitnessPolicy::parse(&format!("log {other}\nlog {LOG}\nquorum none\n")).unwrap();
    assert!(!policy.evaluate(&signed).unwrap().required);
}
