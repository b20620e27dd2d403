//! An agent's side: keys, signing, and what it is told when something is wrong.

use serde_json::{Value, json};

use crate::support::{Dir, run, run_with};

fn key(dir: &Dir, name: &str) -> (String, String) {
    let file = dir.file(name);
    let did = run(["keygen", "--out", &file]).ok().trim().to_owned();
    assert!(did.starts_with("did:key:z6Mk"), "{did}");
    (file, did)
}

fn report(sub: &str) -> Value {
    json!({
        "sub": sub,
        "trade": {
            "id": "t1", "market": "https://m.example", "kind": "service", "role": "buyer", "amount": "1.5",
            "currency": "USD", "closed_at": 1_790_000_000,
        },
        "outcome": {"status": "fulfilled", "quality_bp": 9000},
    })
}

#[test]
fn a_report_is_signed_with_what_was_missing_filled_in() {
    let dir = Dir::new();
    let ((alice, alice_did), (bob, bob_did)) = (key(&dir, "alice.json"), key(&dir, "bob.json"));
    let jws = run_with(
        ["sign", "-", "--agent", &alice],
        &report(&bob_did).to_string(),
    )
    .ok();
    assert_eq!(jws.trim().split('.').count(), 3);
    let both = run_with(
        ["--json", "sign", "-", "--agent", &alice],
        &report(&bob_did).to_string(),
    )
    .json();
    assert_eq!(both["report_id"].as_str().unwrap().len(), 43);

    // With the counterparty's terms as evidence.
    let terms = json!({
        "trade_id": "t1", "market": "https://m.example", "buyer": alice_did, "seller": bob_did, "kind": "service",
        "amount": "1.50", "currency": "USD", "iat": 1_789_999_000, "promise": {"quality_bp": 9500},
    });
    let terms = run_with(
        ["sign", "-", "--agent", &bob, "--terms"],
        &terms.to_string(),
    )
    .ok();
    let mut with_terms = report(&bob_did);
    with_terms["evidence"] = json!([{"type": "terms", "document": terms.trim()}]);
    let file = dir.write("report.json", with_terms.to_string());
    run(["sign", &file, "--agent", &alice]).ok();
    with_terms["trade"]["amount"] = "2".into();
    run_with(["sign", "-", "--agent", &alice], &with_terms.to_string())
        .fails(1, "report.terms_mismatch");
}

#[test]
fn what_the_service_would_refuse_is_not_signed() {
    let dir = Dir::new();
    let ((alice, alice_did), (_, bob_did)) = (key(&dir, "alice.json"), key(&dir, "bob.json"));
    let sign = |payload: &Value| run_with(["sign", "-", "--agent", &alice], &payload.to_string());
    sign(&report(&alice_did)).fails(1, "report.self_rating");
    let mut bad = report(&bob_did);
    bad["outcome"] = json!({"status": "fulfilled"});
    let advice = sign(&bad).fails(1, "report.quality_required");
    assert!(advice.contains("Add outcome.quality_bp"), "{advice}");
    bad = report(&bob_did);
    bad["trade"]["amount"] = json!("1e3");
    sign(&bad).fails(1, "report.amount_invalid");
    bad = report(&bob_did);
    bad["iss"] = bob_did.clone().into();
    sign(&bad).fails(1, "report.kid_mismatch");
    run_with(["sign", "-", "--agent", &alice], r#"{"sub":1,"sub":2}"#)
        .fails(1, "json.duplicate_member");
    run_with(["sign", "-", "--agent", &alice], "[]").fails(1, "input.unreadable");
    run(["sign", &dir.file("absent"), "--agent", &alice]).fails(1, "input.unreadable");
    run(["sign", "-", "--agent", &dir.file("absent")]).fails(1, "key.unusable");
}

#[test]
fn errors_are_json_for_programs_and_secrets_stay_in_their_file() {
    let dir = Dir::new();
    let (alice, _) = key(&dir, "alice.json");
    let secret: Value = serde_json::from_str(&dir.read("alice.json")).unwrap();
    let again = run(["--json", "keygen", "--out", &alice]);
    assert_eq!(again.code, Some(1));
    assert!(!format!("{again:?}").contains(secret["d"].as_str().unwrap()));
    let shown: Value = serde_json::from_str(&again.out).unwrap();
    assert_eq!(shown["error"]["code"], "key.unusable");
    assert!(
        shown["error"]["detail"]
            .as_str()
            .unwrap()
            .contains("alice.json")
    );
}

#[test]
fn wrong_usage_is_exit_code_2() {
    for args in [
        &["sign"][..],
        &["nonsense"],
        &["token", "verify", "x~", "--trust", "b"],
        &["token", "verify", "x~", "--trust", "b", "--aud", "a"],
        &[
            "token",
            "verify",
            "x~",
            "--trust",
            "b",
            "--no-key-binding",
            "--require",
            "beauty>=5",
        ],
        &["token", "request"],
        &["token", "request", "--agent", "k.json"],
        &[
            "token", "present", "x~", "--alias", "a", "--aud", "x", "--nonce", "y",
        ],
        &[
            "import",
            "x.csv",
            "--key-seed",
            "s",
            "--historical",
            "--url",
            "http://127.0.0.1:1",
        ],
        &["policy", "set", "--currency", "EUR"],
        &["access", "grant"],
    ] {
        run(args.iter().copied()).usage();
    }
}

#[test]
fn unreachable_services_and_missing_data_are_named() {
    let dir = Dir::new();
    let (alice, bob) = (key(&dir, "alice.json"), key(&dir, "bob.json"));
    let jws = run_with(
        ["sign", "-", "--agent", &alice.0],
        &report(&bob.1).to_string(),
    )
    .ok();
    run_with(["submit", "-", "--url", "http://127.0.0.1:1"], &jws).fails(1, "client.unreachable");
    let https = run_with(["submit", "-", "--url", "https://127.0.0.1:1"], &jws)
        .fails(1, "client.unreachable");
    assert!(https.contains("https://127.0.0.1:1"), "{https}");
    run_with(["submit", "-", "--url", "http://127.0.0.1:1"], "\n").fails(1, "input.unreadable");
    let data = dir.file("nothing-here");
    for command in ["epoch", "scores", "trust-bundle"] {
        run([command, "--data", &data]).fails(1, "data.missing");
    }
    assert!(
        !dir.path().join("nothing-here").exists(),
        "looking made a directory"
    );
    let script = run(["completions", "bash"]).ok();
    assert!(script.contains("goodstanding"));
}
