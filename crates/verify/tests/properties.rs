//! Properties: no input panics, nothing altered verifies, everything written reads back.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::{path::Path, sync::LazyLock};

use ed25519_dalek::SigningKey;
use goodstanding_verify::{
    b64,
    bundle::TrustBundle,
    checkpoint::{Checkpoint, SignedCheckpoint},
    code::Code,
    did::Did,
    digest::Digest,
    entry::{Body, Entry, EpochEntry, ErasureReason, KeyAction, KeyEntry, KeyUse},
    jwk::Jwk,
    jws::{self, Compact},
    note::{Note, VerifierKey},
    proof::TlogProof,
    report::{Report, ReportId},
    sdjwt::{self, SdJwt},
    statement::Statement,
    status::StatusList,
    token::{self, HolderCheck, Requirement, Requirements},
    witness_policy::WitnessPolicy,
};
use proptest::{collection::vec, prelude::*};
use serde_json::{Value, json};

fn vector(file: &str, name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/vectors")
        .join(file);
    let text = std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let cases: Value = serde_json::from_str(&text).unwrap();
    let case = cases
        .as_array()
        .unwrap()
        .iter()
        .find(|case| case["name"] == name);
    case.unwrap_or_else(|| panic!("{file}: no {name}")).clone()
}

fn text(case: &Value, name: &str) -> String {
    case[name].as_str().unwrap().to_owned()
}

static TOKEN: LazyLock<Value> = LazyLock::new(|| vector("token.json", "presented_three_claims"));
static REPORT: LazyLock<String> =
    LazyLock::new(|| text(&vector("reports.json", "purchase_minimal"), "jws"));
static BUNDLE_JWS: LazyLock<String> =
    LazyLock::new(|| text(&vector("trust-bundle.json", "valid"), "jws"));
static STATUS_JWS: LazyLock<String> =
    LazyLock::new(|| text(&vector("status-list.json", "valid"), "jws"));
static BUNDLE: LazyLock<TrustBundle> =
    LazyLock::new(|| TrustBundle::parse(&BUNDLE_JWS, None, now()).unwrap());

fn now() -> u64 {
    TOKEN["now"].as_u64().unwrap()
}

fn requirements() -> Requirements {
    Requirements::new(HolderCheck::Required {
        aud: text(&TOKEN, "aud"),
        nonce: text(&TOKEN, "nonce"),
    })
}

/// The text with one character replaced.
fn bend(text: &str, at: prop::sample::Index, with: char) -> Option<String> {
    let chars: Vec<char> = text.chars().collect();
    let at = at.index(chars.len());
    (chars[at] != with).then(|| {
        chars
            .iter()
            .enumerate()
            .map(|(i, c)| if i == at { with } else { *c })
            .collect()
    })
}

fn any_did() -> impl Strategy<Value = Did> {
    any::<[u8; 32]>().prop_map(|seed| {
        Did::from_key_bytes(SigningKey::from_bytes(&seed).verifying_key().as_bytes()).unwrap()
    })
}

fn any_digest() -> impl Strategy<Value = Digest> {
    any::<[u8; 32]>().prop_map(Digest)
}

fn integer() -> impl Strategy<Value = u64> {
    0..=goodstanding_verify::MAX_INTEGER
}

fn any_body() -> impl Strategy<Value = Body> {
    let epoch = (
        1..=goodstanding_verify::MAX_INTEGER,
        integer(),
        integer(),
        integer(),
        integer(),
        any_digest(),
        any_digest(),
        any_digest(),
        1..99_u32,
    )
        .prop_map(
            |(
                number,
                as_of,
                log_size,
                policy,
                statements,
                score_root,
                flags_root,
                salt_key_sha256,
                code,
            )| {
                Body::Epoch(EpochEntry {
                    number,
                    as_of,
                    log_size,
                    policy,
                    statements,
                    score_root,
                    flags_root,
                    salt_key_sha256,
                    code: format!("goodstanding-score/{code}"),
                })
            },
        );
    let key = (
        prop::sample::select(KeyUse::ALL),
        prop::sample::select(KeyAction::ALL),
        any_did(),
        integer(),
    )
        .prop_map(|(usage, action, did, from)| {
            Body::Key(KeyEntry {
                usage,
                action,
                jwk: Jwk::from(did),
                from,
            })
        });
    prop_oneof![
        epoch,
        key,
        (1..99_u64, ".*").prop_map(|(version, name)| Body::Policy {
            version,
            policy: json!({"preset": name})
        }),
        (any::<[u8; 32]>(), any::<bool>()).prop_map(|(id, historical)| Body::Report {
            id: ReportId(id),
            historical
        }),
        (any_digest(), any_did(), any_did())
            .prop_filter("two keys", |(_, a, b)| a != b)
            .prop_map(|(id, old, new)| Body::Rotation { id, old, new }),
        (any_digest(), any_did()).prop_map(|(id, agent)| Body::Recovery { id, agent }),
        (any_digest(), any::<[u8; 32]>()).prop_map(|(id, report)| Body::Reply {
            id,
            report: ReportId(report)
        }),
        (any_digest(), any_digest()).prop_map(|(id, flag)| Body::Appeal { id, flag }),
        (any_digest(), any_digest()).prop_map(|(id, flag)| Body::Decision { id, flag }),
        (any_digest(), prop::sample::select(ErasureReason::ALL))
            .prop_map(|(of, reason)| Body::Erasure { of, reason }),
    ]
}

/// Every parser of the crate, on one input.
fn parse_everything(text: &str) {
    let _ = Report::verify(text);
    let _ = Report::parse_admitted(text);
    let _ = Compact::parse(text);
    let _ = jws::verify_agent(text, "t+jwt");
    let _ = Note::parse(text);
    let _ = VerifierKey::parse(text);
    let _ = Checkpoint::parse(text);
    let _ = SignedCheckpoint::parse(text);
    let _ = TlogProof::parse(text);
    let _ = WitnessPolicy::parse(text);
    let _ = Entry::parse(text.as_bytes());
    let _ = Statement::parse(text.as_bytes());
    let _ = Digest::parse(text);
    let _ = Requirement::parse(text);
    let _ = StatusList::decode(1, text);
    let _ = TrustBundle::parse(text, None, 0);
    let _ = sdjwt::select(text, &["a"]);
    let _ = SdJwt::parse(text).map(|parts| sdjwt::process(&json!({}), &parts.disclosures));
    let _ = token::verify(text, &BUNDLE, &requirements(), Some(text), 0);
}

proptest! {
    #[test]
    fn no_text_panics(text in ".*") {
        parse_everything(&text);
    }

    #[test]
    fn no_line_structure_panics(text in "(\u{2014} )?[a-z0-9+/= \n.~-]{0,200}\n?") {
        parse_everything(&text);
    }

    #[test]
    fn no_json_panics(header in "\\{(\"(alg|typ|kid)\":\"[a-zA-Z+]{0,9}\",?){0,4}\\}", payload in "[\\[{][\\[\\]{}\",:0-9a-z]{0,60}", entry: Vec<u8>) {
        let jws = format!("{}.{}.{}", b64::url_encode(&header), b64::url_encode(&payload), b64::url_encode([0; 64]));
        parse_everything(&jws);
        parse_everything(&format!("{jws}~{}~{jws}", b64::url_encode(&payload)));
        parse_everything(&payload);
        let _ = Entry::parse(&entry);
        let _ = Statement::parse(&entry);
    }

    #[test]
    fn no_altered_report_verifies(at: prop::sample::Index, with in "[A-Za-z0-9_.=~ -]") {
        if let Some(bent) = bend(&REPORT, at, with.chars().next().unwrap()) {
            prop_assert!(Report::verify(&bent).is_err());
            parse_everything(&bent);
        }
    }

    #[test]
    fn no_altered_token_verifies(at: prop::sample::Index, with in "[A-Za-z0-9_.=~ -]") {
        let token = text(&TOKEN, "token");
        if let Some(bent) = bend(&token, at, with.chars().next().unwrap()) {
            prop_assert!(token::verify(&bent, &BUNDLE, &requirements(), None, now()).is_err());
        }
    }

    #[test]
    fn no_altered_bundle_or_status_list_verifies(at: prop::sample::Index, with in "[A-Za-z0-9_.=~ -]") {
        let with = with.chars().next().unwrap();
        if let Some(bent) = bend(&BUNDLE_JWS, at, with) {
            prop_assert!(TrustBundle::parse(&bent, None, now()).is_err());
        }
        if let Some(bent) = bend(&STATUS_JWS, at, with) {
            prop_assert!(StatusList::verify(&bent, "https://goodstanding.example/v1/status-lists/1", &BUNDLE, now()).is_err());
        }
    }

    #[test]
    fn no_altered_proof_verifies(index in 0..6_usize, at: prop::sample::Index, with in "[ -~\n]") {
        let good = &BUNDLE.payload().proofs[index % BUNDLE.payload().proofs.len()];
        let policy = BUNDLE.witness_policy();
        let verify = |entry: &str, proof: &str| TlogProof::parse(proof).and_then(|proof| proof.verify(entry.as_bytes(), policy));
        let proven = verify(&good.entry, &good.proof).unwrap();
        let with = with.chars().next().unwrap();
        if let Some(bent) = bend(&good.proof, at, with)
            && let Ok(quorum) = verify(&good.entry, &bent)
        {
            // A line that names no known witness any more is ignored; the quorum must then be smaller, and still be met.
            prop_assert!(quorum.quorum.witnesses.len() < proven.quorum.witnesses.len());
        }
        if let Some(bent) = bend(&good.entry, at, with) {
            prop_assert!(verify(&bent, &good.proof).is_err());
        }
    }

    #[test]
    fn entries_read_back(at in integer(), body in any_body()) {
        let entry = Entry { at, body };
        let bytes = entry.to_bytes().unwrap();
        prop_assert_eq!(Entry::parse(&bytes), Ok(entry));
    }

    #[test]
    fn statements_read_back(agent in any_did(), epoch in 1..=goodstanding_verify::MAX_INTEGER, digests in vec(any_digest(), 0..64)) {
        let statement = Statement::new(agent, epoch, digests).unwrap();
        prop_assert_eq!(Statement::parse(&statement.to_bytes()), Ok(statement));
    }

    #[test]
    fn checkpoints_read_back(origin in "[!-~]{1,40}", size: u64, root: [u8; 32]) {
        let checkpoint = Checkpoint::new(origin, size, root);
        prop_assert_eq!(Checkpoint::parse(&checkpoint.body()), Ok(checkpoint));
    }

    #[test]
    fn proofs_read_back(index: u64, path in vec(any::<[u8; 32]>(), 0..=64), extra: Option<Vec<u8>>) {
        let proof = TlogProof { extra, index, path, checkpoint: "c\n".to_owned() };
        prop_assert_eq!(TlogProof::parse(&proof.to_string()), Ok(proof));
    }
}

#[test]
fn holder_check_waived_still_refuses_a_wrong_key_binding() {
    let token = text(&TOKEN, "token");
    let waived = Requirements::new(HolderCheck::Waived);
    let verify = |token: &str| token::verify(token, &BUNDLE, &waived, None, now());
    assert_eq!(verify(&token).unwrap().holder, token::Holder::NotProven);
    let (presented, kb) = token.rsplit_once('~').unwrap();
    assert_eq!(
        verify(&format!("{presented}~")).unwrap().holder,
        token::Holder::NotProven
    );
    let (signed, _) = kb.rsplit_once('.').unwrap();
    let forged = format!("{presented}~{signed}.{}", b64::url_encode([1; 64]));
    assert_eq!(
        verify(&forged).unwrap_err().code(),
        Code::HolderSignatureInvalid
    );
}

#[test]
fn a_stricter_witness_policy_can_be_asked_for() {
    let strict = BUNDLE
        .payload()
        .witness_policy
        .replace("group all-of-them 2", "group all-of-them 3");
    let none = format!("log {}\nquorum none\n", BUNDLE.log());
    let bundle = BUNDLE.with_witness_policy(&strict, false).unwrap();
    assert_eq!(bundle.witness_policy().to_string(), strict);
    let weaker = BUNDLE.with_witness_policy(&none, false).unwrap_err();
    assert_eq!(weaker.code(), Code::BundleWeakerWitnesses);
    let unwitnessed = BUNDLE.with_witness_policy(&none, true).unwrap();
    let verdict = token::verify(
        &text(&TOKEN, "token"),
        &unwitnessed,
        &requirements(),
        None,
        now(),
    )
    .unwrap();
    assert_eq!(
        serde_json::to_value(verdict).unwrap()["witnessed"],
        "unwitnessed"
    );
    // An override outlives an update.
    let newer = text(&vector("trust-bundle.json", "update_newer"), "jws");
    let updated = bundle.accept_update(&newer, false, now()).unwrap();
    assert_eq!(updated.witness_policy().to_string(), strict);
    // A bundle that expired can still be updated, but not used.
    let late = BUNDLE.payload().exp + 60;
    assert_eq!(
        TrustBundle::parse(&BUNDLE_JWS, None, late)
            .unwrap_err()
            .code(),
        Code::BundleExpired
    );
    assert!(TrustBundle::parse_any_time(&BUNDLE_JWS, None).is_ok());
}
