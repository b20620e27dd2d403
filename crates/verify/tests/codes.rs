//! Every code of the registry is produced: by a golden vector (`golden.rs` checks that each really yields its code) or here.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::{collections::BTreeSet, path::Path};

use ed25519_dalek::{Signer as _, SigningKey};
use goodstanding_verify::{
    amount::Amount,
    b64,
    bundle::{MAX_BUNDLE_BYTES, TrustBundle},
    checkpoint::SignedCheckpoint,
    claims,
    code::{Code, Error},
    did::Did,
    digest::Digest,
    entry::{KeyAction, KeyEntry, KeyUse},
    json::{parse, parse_canonical},
    jwk::Jwk,
    jws,
    keyring::KeyRing,
    merkle::{EMPTY_ROOT, verify_consistency, verify_inclusion},
    note::{KeyKind, Note, Signature, VerifierKey},
    status::{StatusList, encode},
    tile::{TilePath, parse_tile},
    tile_reader::TileReader,
    token::Requirement,
    witness::{AddCheckpoint, cosignature},
    witness_policy::WitnessPolicy,
};
use serde_json::{Value, json};

fn from_vectors() -> BTreeSet<Code> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors");
    let files = [
        "reports",
        "entries",
        "statement",
        "checkpoints",
        "trust-bundle",
        "status-list",
        "successor",
        "token",
    ];
    let mut codes = BTreeSet::new();
    for file in files {
        let text = std::fs::read_to_string(folder.join(format!("{file}.json")))
            .unwrap_or_else(|error| panic!("{file}: {error}"));
        for case in serde_json::from_str::<Value>(&text)
            .unwrap()
            .as_array()
            .unwrap()
        {
            if let Some(name) = case["code"].as_str() {
                codes.insert(
                    Code::parse(name)
                        .unwrap_or_else(|| panic!("{file}: {name} is not in the registry")),
                );
            }
        }
    }
    codes
}

fn sign(header: &Value, payload: &Value, seed: u8) -> String {
    let input = format!(
        "{}.{}",
        b64::url_encode(header.to_string()),
        b64::url_encode(payload.to_string())
    );
    let signature = SigningKey::from_bytes(&[seed; 32]).sign(input.as_bytes());
    format!("{input}.{}", b64::url_encode(signature.to_bytes()))
}

fn did(seed: u8) -> Did {
    Did::from_key_bytes(
        SigningKey::from_bytes(&[seed; 32])
            .verifying_key()
            .as_bytes(),
    )
    .unwrap()
}

/// What the vectors do not reach: the building blocks' own codes, and limits too large for a file.
fn here() -> Vec<(Code, Error)> {
    let mut identity = [0; 32];
    identity[0] = 1;
    let iss = did(1);
    let header = |name: &str, value: &str| {
        let mut header = json!({"alg": "EdDSA", "typ": "t+jwt", "kid": iss.method_id()});
        header[name] = json!(value);
        header
    };
    let good = header("typ", "t+jwt");
    let payload = json!({"iss": iss});
    let agent = |jws: &str| jws::verify_agent(jws, "t+jwt").unwrap_err();
    assert_eq!(
        jws::verify_agent(&sign(&good, &payload, 1), "t+jwt")
            .unwrap()
            .iss,
        iss
    );
    let note = "x\n\n\u{2014} a AAAAAAA=\n";
    let zero = [0; 32];
    let witness = SigningKey::from_bytes(&[2; 32]).verifying_key();
    let witness = VerifierKey::new("w", KeyKind::CosignatureV1, witness.as_bytes()).unwrap();
    let checkpoint = format!(
        "x\n0\n{}\n\n\u{2014} x AAAAAAA=\n",
        b64::std_encode(EMPTY_ROOT)
    );
    let checkpoint = SignedCheckpoint::parse(&checkpoint).unwrap();
    let forged = Signature {
        name: "w".to_owned(),
        key_id: witness.key_id(),
        signature: vec![0; 72],
    };
    let retire = KeyEntry {
        usage: KeyUse::Token,
        action: KeyAction::Retire,
        jwk: Jwk::from(iss),
        from: 0,
    };
    let mut reader = TileReader::new(1, zero);
    let edge = TilePath::parse("0/000.p/1").unwrap();
    vec![
        (Code::AmountInvalid, Amount::parse("1e3").unwrap_err()),
        (Code::DigestInvalid, Digest::parse("x").unwrap_err()),
        (
            Code::DidInvalid,
            Did::parse("did:web:example.com").unwrap_err(),
        ),
        (Code::KeyWeak, Did::from_key_bytes(&identity).unwrap_err()),
        (Code::JwkInvalid, Jwk::parse(&json!({})).unwrap_err()),
        (Code::JsonMalformed, parse(b"{").unwrap_err().into()),
        (
            Code::JsonDuplicateMember,
            parse(br#"{"a":1,"a":1}"#).unwrap_err().into(),
        ),
        (
            Code::JsonNumberOutOfRange,
            parse(b"0.5").unwrap_err().into(),
        ),
        (
            Code::JsonNotCanonical,
            parse_canonical(b" 1").unwrap_err().into(),
        ),
        (Code::JwsMalformed, agent("a.b")),
        (
            Code::JwsHeaderInvalid,
            agent(&sign(&header("crit", "x"), &payload, 1)),
        ),
        (
            Code::JwsAlgUnsupported,
            agent(&sign(&header("alg", "Ed25519"), &payload, 1)),
        ),
        (
            Code::JwsTypWrong,
            agent(&sign(&header("typ", "u+jwt"), &payload, 1)),
        ),
        (
            Code::JwsKidMismatch,
            agent(&sign(&header("kid", &did(2).method_id()), &payload, 1)),
        ),
        (Code::JwsSignatureInvalid, agent(&sign(&good, &payload, 2))),
        (Code::NoteMalformed, Note::parse("x").unwrap_err()),
        (Code::NoteKeyInvalid, VerifierKey::parse("x").unwrap_err()),
        (
            Code::NoteSignatureInvalid,
            Note::parse(note).unwrap().verify(&[]).unwrap_err(),
        ),
        (
            Code::ProofInclusionInvalid,
            verify_inclusion(0, 0, &zero, &[], &zero).unwrap_err(),
        ),
        (
            Code::ProofConsistencyInvalid,
            verify_consistency(2, 1, &zero, &zero, &[]).unwrap_err(),
        ),
        (Code::TileMalformed, parse_tile(&[0; 31], 1).unwrap_err()),
        (
            Code::TileInconsistent,
            reader.add(edge, &[1; 32]).unwrap_err(),
        ),
        (
            Code::WitnessMalformed,
            AddCheckpoint::parse("new 1\n\n").unwrap_err(),
        ),
        (
            Code::WitnessCosignatureInvalid,
            cosignature(&format!("{forged}\n"), &checkpoint, &witness).unwrap_err(),
        ),
        (
            Code::KeyEventInvalid,
            KeyRing::default().apply(&retire).unwrap_err(),
        ),
        (
            Code::WitnessPolicyMalformed,
            WitnessPolicy::parse("").unwrap_err(),
        ),
        (
            Code::BundleTooLarge,
            TrustBundle::parse(&"x".repeat(MAX_BUNDLE_BYTES + 1), None, 0).unwrap_err(),
        ),
        (Code::KeyEventInvalid, {
            let event = KeyEntry {
                usage: KeyUse::Token,
                action: KeyAction::Retire,
                jwk: Jwk::from(did(1)),
                from: 0,
            };
            KeyRing::default().apply(&event).unwrap_err()
        }),
        (
            Code::StatusSuspended,
            StatusList::decode(2, &encode(&[2]))
                .unwrap()
                .check(0)
                .unwrap_err(),
        ),
        (
            Code::ClaimsMalformed,
            claims::check("lower_bp", &json!(10_001)).unwrap_err(),
        ),
        (
            Code::RequirementMalformed,
            Requirement::parse("lower_bp>=x").unwrap_err(),
        ),
    ]
}

#[test]
fn every_code_is_produced() {
    let mut produced = from_vectors();
    for (wanted, error) in here() {
        assert_eq!(error.code(), wanted, "{error}");
        produced.insert(wanted);
    }
    let never: Vec<&str> = Code::ALL
        .iter()
        .filter(|code| !produced.contains(code))
        .map(|code| code.as_str())
        .collect();
    assert!(never.is_empty(), "never produced: {never:?}");
}

#[test]
fn service_documents() {
    let key = Jwk::from(did(1));
    let header = |kid: &str, alg: &str| json!({"alg": alg, "typ": "t+jwt", "kid": kid});
    let verify = |jws: &str| jws::verify_service(jws, "t+jwt", &key).map_err(|error| error.code());
    let kid = key.thumbprint();
    for alg in ["EdDSA", "Ed25519"] {
        assert_eq!(
            verify(&sign(&header(&kid, alg), &json!({"a": 1}), 1)),
            Ok(json!({"a": 1}))
        );
    }
    assert_eq!(
        verify(&sign(&header(&kid, "none"), &json!({}), 1)),
        Err(Code::JwsAlgUnsupported)
    );
    assert_eq!(
        verify(&sign(&header("x", "EdDSA"), &json!({}), 1)),
        Err(Code::JwsKidMismatch)
    );
    assert_eq!(
        verify(&sign(&header(&kid, "EdDSA"), &json!({}), 2)),
        Err(Code::JwsSignatureInvalid)
    );
    assert_eq!(
        verify(&sign(&header(&kid, "EdDSA"), &json!([]), 1)),
        Err(Code::JwsMalformed)
    );
}

#[test]
fn claims_have_types() {
    let kinds = json!({"service": {"lower_bp": 1, "score_bp": 2, "reports": 3}});
    let band = |from: u64| json!({"from_milli": from, "lower_bp": 1, "score_bp": 2, "reports": 3});
    for (name, good) in [
        ("lower_bp", json!(10_000)),
        ("reports", json!(9_007_199_254_740_991_u64)),
        ("state", json!("contested")),
        ("flags", json!(["sybil_ring"])),
        ("by_kind", kinds),
        ("by_amount_band", json!([band(0), band(5)])),
        ("markets", json!([{"market": "m", "reports": 1}])),
        ("lower_gte_5000", json!(false)),
    ] {
        assert_eq!(claims::check(name, &good), Ok(()), "{name}");
    }
    for (name, bad) in [
        ("lower_bp", json!("1")),
        ("lower_bp", json!(-1)),
        ("lower_bp", json!(null)),
        ("reports", json!(1.5)),
        ("state", json!("good")),
        ("flags", json!([1])),
        (
            "by_kind",
            json!({"barter": {"lower_bp": 1, "score_bp": 2, "reports": 3}}),
        ),
        (
            "by_kind",
            json!({"service": {"lower_bp": 1, "score_bp": 2, "reports": 3, "x": 0}}),
        ),
        ("by_amount_band", json!([band(5), band(0)])),
        (
            "markets",
            json!(vec![json!({"market": "m", "reports": 1}); 9]),
        ),
        ("lower_gte_5000", json!(1)),
        ("iss", json!("x")),
    ] {
        assert_eq!(
            claims::check(name, &bad).unwrap_err().code(),
            Code::ClaimsMalformed,
            "{name} {bad}"
        );
    }
    assert!(claims::NAMES.is_sorted());
}
