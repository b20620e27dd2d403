//! A small market from import to verified token, without a service.

use serde_json::Value;

use crate::support::{Dir, Ran, SEED, run, run_with, six_rows};

/// A market with an epoch, a token of bob's and the trust bundle.
fn market() -> Dir {
    let dir = crate::support::market();
    let (data, token, bundle) = (dir.file("data"), dir.file("token"), dir.file("bundle"));
    let request = ["token", "request", "--alias", "bob", "--out", &token];
    run(request.into_iter().chain(["--data", &data])).ok();
    run(["trust-bundle", "--data", &data, "--out", &bundle]).ok();
    dir
}

fn present(dir: &Dir, more: &[&str]) -> Ran {
    let token = dir.file("token");
    let mut args = vec![
        "token",
        "present",
        &token,
        "--alias",
        "bob",
        "--key-seed",
        SEED,
        "--aud",
        "shop",
        "--nonce",
        "n1",
    ];
    args.extend(more);
    run(args)
}

fn verify(dir: &Dir, presentation: &str, more: &[&str]) -> Ran {
    let bundle = dir.file("bundle");
    let mut args = vec!["token", "verify", "-", "--trust", &bundle];
    args.extend(more);
    run_with(args, presentation)
}

const SHOP: [&str; 4] = ["--aud", "shop", "--nonce", "n1"];

#[test]
fn from_trades_to_a_verified_token() {
    let dir = market();
    let data = dir.file("data");
    let presentation = present(&dir, &[]).ok();
    let said = verify(&dir, &presentation, &SHOP).ok();
    for line in [
        "valid",
        "holder: proven",
        "status: unchecked",
        "witnesses: unwitnessed",
    ] {
        assert!(said.lines().any(|l| l == line), "{line}: {said}");
    }
    // The trades are of September 2026, and so is the score, whenever it was logged.
    assert!(said.contains("score of:  2026-09-2"), "{said}");
    let mut json = vec!["--json"];
    json.extend(SHOP);
    let verdict = verify(&dir, &presentation, &json).json();
    let as_of = verdict["as_of"].as_u64().unwrap();
    assert!((1_790_000_000..1_790_001_000).contains(&as_of), "{as_of}");
    let logged_after = verdict["entry_at"].as_u64().unwrap() / 1000 - as_of;
    assert!(
        verdict["score_age_s"].as_u64() >= Some(logged_after),
        "{verdict}"
    );
    let claims = verdict["claims"].as_object().unwrap();
    assert_eq!(
        claims.keys().collect::<Vec<_>>(),
        ["flags", "lower_bp", "state"]
    );
    let scores = run(["scores", "--format", "json", "--data", &data]).json();
    let row = |alias: &str| {
        scores
            .as_array()
            .unwrap()
            .iter()
            .find(|row| row["alias"] == alias)
            .unwrap()
            .clone()
    };
    assert_eq!(row("bob")["lower_bp"], claims["lower_bp"]);
    assert_eq!(row("bob")["agent"], verdict["subject"]);
    assert!(row("bob")["lower_bp"].as_u64() > row("mallory")["lower_bp"].as_u64());
    assert_eq!(row("bob")["suspicion_sybil_ring"], 0);

    // Everything, and without asking who presents it.
    let all = present(&dir, &["--disclose", "all"]).ok();
    let verdict = verify(&dir, &all, &["--json", "--no-key-binding"]).json();
    assert_eq!(
        (
            &verdict["holder"],
            verdict["claims"].as_object().unwrap().len()
        ),
        (&"not proven".into(), 24)
    );
    let waived = verify(&dir, &presentation, &["--no-key-binding"]).ok();
    assert!(
        waived.lines().any(|line| line == "holder: not proven"),
        "{waived}"
    );

    let explained = run(["explain", "bob", "--data", &data, "--json"]).json();
    assert_eq!(explained["contributions"].as_array().unwrap().len(), 2);
    let shown = run([
        "explain",
        row("bob")["agent"].as_str().unwrap(),
        "--data",
        &data,
    ])
    .ok();
    assert!(
        shown.contains("alice") && shown.contains("carol") && shown.contains("countersigned"),
        "{shown}"
    );
    run(["explain", "nobody", "--data", &data]).fails(1, "agent.unknown");
}

#[test]
fn what_does_not_verify_is_exit_code_3_with_its_code() {
    let dir = market();
    let good = present(&dir, &[]).ok();
    verify(&dir, &good, &["--aud", "other", "--nonce", "n1"]).fails(3, "holder.aud_mismatch");
    verify(&dir, &good, &["--aud", "shop", "--nonce", "n2"]).fails(3, "holder.nonce_mismatch");
    let demanding = |more: &[&'static str]| [&SHOP[..], more].concat();
    verify(&dir, &good, &demanding(&["--min-lower-bp", "9999"]))
        .fails(3, "claims.lower_bound_too_low");
    verify(&dir, &good, &demanding(&["--require", "reports>=1"]))
        .fails(3, "claims.required_missing");
    verify(&dir, &good, &demanding(&["--require", "state=contested"]))
        .fails(3, "claims.requirement_unmet");
    verify(&dir, &good, &demanding(&["--now", "4000000000"])).fails(3, "bundle.expired");
    verify(
        &dir,
        &good,
        &demanding(&["--pin", "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"]),
    )
    .fails(3, "bundle.pin_mismatch");
    // The token as issued, without a key binding.
    verify(&dir, &dir.read("token"), &SHOP).fails(3, "holder.missing");
    // One bit of the issuer's signature.
    let (jwt, rest) = good.split_once('~').unwrap();
    let (head, signature) = jwt.rsplit_once('.').unwrap();
    let first = if signature.starts_with('A') { 'B' } else { 'A' };
    verify(
        &dir,
        &format!("{head}.{first}{}~{rest}", &signature[1..]),
        &SHOP,
    )
    .fails(3, "token.signature_invalid");
    // A disclosure less than the holder signed, and one that is not the token's.
    let mut parts: Vec<&str> = good.trim().split('~').collect();
    let taken = parts.remove(1);
    verify(&dir, &parts.join("~"), &SHOP).fails(3, "holder.sd_hash_mismatch");
    parts.insert(1, taken);
    parts.insert(1, "WyJhYSIsImxvd2VyX2JwIiw5OTAwXQ");
    let ran = verify(&dir, &parts.join("~"), &[&SHOP[..], &["--json"]].concat());
    let shown: Value = serde_json::from_str(&ran.out).unwrap();
    assert!(
        shown["error"]["code"]
            .as_str()
            .unwrap()
            .starts_with("disclosure."),
        "{ran:?}"
    );
    assert_eq!(ran.code, Some(3));
}

#[test]
fn presenting_says_what_will_not_do() {
    let dir = market();
    let ran = present(&dir, &["--disclose", "state,reports"]);
    assert!(
        ran.err.contains("without lower_bp, flags no verifier"),
        "{ran:?}"
    );
    verify(&dir, &ran.ok(), &SHOP).fails(3, "claims.required_missing");
    present(&dir, &["--disclose", "beauty"]).fails(1, "disclosure.unmatched");
    let token = dir.file("token");
    let other = [
        "token",
        "present",
        &token,
        "--alias",
        "alice",
        "--key-seed",
        SEED,
        "--aud",
        "a",
        "--nonce",
        "n",
    ];
    run(other).fails(1, "holder.not_subject");
    run([
        "token",
        "request",
        "--data",
        &dir.file("data"),
        "--alias",
        "nobody",
    ])
    .fails(1, "agent.unknown");
}

#[test]
fn policies_are_shown_compared_and_set_once() {
    let dir = market();
    let data = dir.file("data");
    let policy = |more: &[&str]| run([&["policy"], more, &["--data", &data, "--json"]].concat());
    let before = policy(&["show"]).json();
    assert_eq!(
        (
            &before["version"],
            before["policy"]["seeds"].as_array().unwrap().len()
        ),
        (&2.into(), 2)
    );
    // Looking changes nothing.
    let change = [
        "--preset",
        "rating-network",
        "--currency",
        "SEK=95",
        "--currency",
        "EUR=1080",
    ];
    let seen = policy(&[&["diff"], &change[..]].concat()).json();
    let pointers: Vec<_> = seen["changed"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| c["pointer"].as_str().unwrap())
        .collect();
    assert!(
        pointers.contains(&"/currencies/SEK") && pointers.contains(&"/preset"),
        "{pointers:?}"
    );
    assert!(!pointers.contains(&"/seeds"), "a preset keeps the seeds");
    assert_eq!(policy(&["show"]).json(), before);
    let set = policy(&[&["set"], &change[..]].concat()).json();
    assert_eq!(
        (&set["version"], &set["changed"]),
        (&3.into(), &seen["changed"])
    );
    // The same again is no entry.
    let again = policy(&["set", "--currency", "SEK=95"]).json();
    assert_eq!(
        (&again["version"], &again["index"], &again["changed"]),
        (&3.into(), &set["index"], &Value::Array(vec![]))
    );
    policy(&["set", "--seeds", "alice,nobody"]).fails(1, "agent.unknown");
    policy(&["set", "--preset", "nonsense"]).fails(1, "policy.preset_unknown");
    policy(&["set", "--currency", "USD=0"]).fails(1, "policy.member_invalid");
    // What was shown can be set again from a file.
    let file = dir.write("policy.json", before["policy"].to_string());
    let back = policy(&["set", "--file", &file]).json();
    assert_eq!(back["version"], 4);
    assert_eq!(policy(&["show"]).json()["policy"], before["policy"]);
    let granted = run([
        "access", "grant", "--role", "operator", "--data", &data, "--json",
    ])
    .json();
    assert_eq!(granted["token"].as_str().unwrap().split('.').count(), 3);
}

#[test]
fn no_seeds_no_epoch_and_no_epoch_no_scores() {
    let dir = Dir::new();
    let (file, data) = (dir.csv("trades.csv", &six_rows()), dir.file("data"));
    run([
        "import",
        &file,
        "--historical",
        "--data",
        &data,
        "--key-seed",
        SEED,
    ])
    .ok();
    run(["scores", "--data", &data]).fails(1, "epoch.unknown");
    run(["epoch", "--data", &data]).fails(1, "policy.no_seeds");
    run(["policy", "set", "--seeds", "alice", "--data", &data]).ok();
    let epoch = run(["epoch", "--data", &data, "--json"]).json();
    // Imported trades are scored as of their own time.
    assert_eq!(epoch["as_of"], 1_790_000_400_u64);
    run(["epoch", "--as-of", "1790000399", "--data", &data]).fails(1, "epoch.as_of_decreases");
}

#[test]
fn what_would_make_another_log_is_refused_and_changes_nothing() {
    let dir = Dir::new();
    let (file, data) = (dir.csv("trades.csv", &six_rows()), dir.file("data"));
    // The log would begin in the year 2121 and take nothing until then.
    let late: Vec<String> = six_rows()
        .iter()
        .map(|row| row.replacen("1790", "4790", 1))
        .collect();
    let late = dir.csv(
        "late.csv",
        &late.iter().map(String::as_str).collect::<Vec<_>>(),
    );
    let import = |file: &str| {
        run([
            "import",
            file,
            "--historical",
            "--data",
            &data,
            "--key-seed",
            SEED,
        ])
    };
    import(&late).fails(1, "report.historical_in_future");
    assert!(!std::path::Path::new(&data).exists());
    import(&file).ok();
    // A lost log key is not replaced, by reading commands least of all.
    let key = std::path::Path::new(&data).join("keys/log.json");
    let aside = dir.file("log.json");
    std::fs::rename(&key, &aside).unwrap();
    run(["trust-bundle", "--data", &data]).fails(1, "key.unusable");
    assert!(!key.exists());
    std::fs::rename(&aside, &key).unwrap();
    run(["trust-bundle", "--data", &data]).ok();
    // Nobody takes all trust roots away by an empty list.
    run(["policy", "set", "--seeds", "", "--data", &data]).fails(1, "policy.seeds_empty");
    let bad = dir.file("policy.json");
    let mut policy = run(["policy", "show", "--json", "--data", &data]).json()["policy"].clone();
    policy["scoring"]["z_milli"] = serde_json::json!(-1);
    std::fs::write(&bad, policy.to_string()).unwrap();
    let told =
        run(["policy", "set", "--file", &bad, "--data", &data]).fails(1, "policy.member_invalid");
    assert!(told.contains("/scoring/z_milli"), "{told}");
}

#[test]
fn wrong_usage_is_json_too_where_json_is_asked_for() {
    let ran = run(["token", "verify", "--json"]);
    let told: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(told["error"]["code"], "usage");
    ran.usage();
}
