//! Commands that ask a running service for what they would otherwise need its directory for.

use serde_json::Value;

use crate::support::{Dir, Ran, SEED, Serving, bearer, imported, market, run, six_rows};

#[test]
fn a_service_says_when_it_is_ready_and_what_it_is() {
    let dir = market();
    let data = dir.file("data");
    let listed = run(["keys", "list", "--json", "--data", &data]).json();
    let serving = Serving::on(&data);
    let ready = &serving.ready;
    assert_eq!(
        (&ready["ready"], &ready["version"]),
        (&true.into(), &env!("CARGO_PKG_VERSION").into())
    );
    let origin = ready["origin"].as_str().unwrap();
    assert!(
        listed["log"]
            .as_str()
            .unwrap()
            .starts_with(&format!("{origin}+"))
    );
    assert_eq!(ready["issuer"], "http://127.0.0.1:8080");
    let audited = run(["audit", &serving.url, "--json"]).json();
    assert_eq!(audited["audit"]["size"], ready["log_size"]);
}

#[test]
fn who_holds_the_directory_is_named_and_what_goes_on_beside() {
    let dir = market();
    let data = dir.file("data");
    let serving = Serving::on(&data);
    let why = run(["policy", "set", "--seeds", "bob", "--data", &data]).fails(1, "data.locked");
    assert!(why.contains("`epoch`"), "{why}");
    if cfg!(target_os = "linux") {
        assert!(why.contains(&format!("process {}", serving.pid())), "{why}");
    }
    for beside in [
        &["scores"][..],
        &["policy", "show"],
        &["policy", "diff", "--seeds", "bob"],
        &["keys", "list"],
        &["doctor"],
        &["fsck"],
        &["access", "list"],
    ] {
        run(beside.iter().copied().chain(["--data", data.as_str()])).ok();
    }
}

#[test]
fn an_epoch_an_explanation_and_a_bundle_come_from_the_service_too() {
    let dir = market();
    let data = dir.file("data");
    let offline = run(["explain", "bob", "--json", "--data", &data]).json();
    let shown = run(["explain", "bob", "--data", &data]).ok();
    let serving = Serving::on(&data);
    let url = serving.url.as_str();
    let token = bearer(&dir, &data, "operator");
    // By name for an operator, by DID for everybody.
    let named = ["explain", "bob", "--url", url];
    assert_eq!(
        run(named.into_iter().chain(["--token", &token])).ok(),
        shown
    );
    let did = offline["agent"].as_str().unwrap();
    let public = run(["explain", did, "--json", "--url", url]).json();
    assert_eq!(public, offline);
    assert!(run(named).usage().contains("--token"));
    run(["explain", "nobody", "--url", url, "--token", &token]).fails(1, "agent.unknown");

    let done = run(["epoch", "--url", url, "--token", &token, "--json"]).json();
    assert_eq!(
        (&done["number"], &done["statements"]),
        (&2.into(), &4.into())
    );
    let said = run(["epoch", "--url", url, "--token", &token]).ok();
    assert!(
        said.contains("epoch 3: 4 agents scored from 6 reports"),
        "{said}"
    );
    run([
        "epoch",
        "--url",
        url,
        "--token",
        &token,
        "--as-of",
        "9999999999",
    ])
    .fails(1, "epoch.as_of_in_future");
    run(["epoch", "--url", url]).usage();
    let out = dir.file("bundle");
    run(["trust-bundle", "--url", url, "--out", &out]).ok();
    let state = dir.file("state");
    run(["audit", url, "--trust", &out, "--state", &state]).ok();
}

/// Trades of today, which a running service takes.
fn recent(dir: &Dir, data: &str) -> String {
    let audited = run(["audit", data, "--json"]).json();
    assert_eq!(audited["agrees"], true);
    let ready = run([
        "token", "request", "--alias", "bob", "--json", "--data", data,
    ])
    .json();
    // Tokens live for a day: this is the machine's clock without a clock of the test's own.
    let now = ready["expires_at"].as_u64().unwrap() - 86_400;
    let rows = six_rows().map(|row| {
        let (time, rest) = row.split_once(',').unwrap();
        let age = 1_790_000_500 - time.parse::<u64>().unwrap();
        format!("{},new-{rest}", now - age)
    });
    let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
    dir.csv("recent.csv", &rows)
}

#[test]
fn an_import_through_the_service_names_its_agents_if_an_operator_sends_it() {
    // The other directory knows the clock; the service's has never heard of these agents.
    let known = market();
    let file = recent(&known, &known.file("data"));
    let (dir, data) = (Dir::new(), known.file("served"));
    let serving = Serving::on(&data);
    let url = serving.url.as_str();
    let import = ["import", &file, "--url", url, "--key-seed", SEED];
    let first = run(import);
    assert!(first.err.contains("DIDs only"), "{first:?}");
    first.ok();
    let operator = bearer(&dir, &data, "operator");
    let explain = |name: &str| run(["explain", name, "--url", url, "--token", &operator]);
    explain("alice").fails(1, "agent.unknown");
    let with_token = |more: [&str; 2], seed: &str| -> Ran {
        let import = ["import", &file, "--url", url, "--key-seed", seed, "--json"];
        run(import.into_iter().chain(more))
    };
    let again = with_token(["--token", &operator], SEED).json();
    assert_eq!(
        (&again["new"], &again["already_there"]),
        (&0.into(), &6.into())
    );
    // Known, but in no epoch yet: the name was understood.
    explain("alice").fails(1, "epoch.unknown");
    explain("nobody").fails(1, "agent.unknown");
    // The same names by other keys are refused before anything is sent, and others than operators name nobody.
    let taken = with_token(["--token", &operator], "another");
    assert_eq!(error_of(&taken), "agent.alias_taken");
    let auditor = bearer(&dir, &data, "auditor");
    assert_eq!(
        error_of(&with_token(["--token", &auditor], SEED)),
        "auth.forbidden"
    );
    // In the directory they are names like any other.
    drop(serving);
    run(["policy", "set", "--seeds", "alice,carol", "--data", &data]).ok();
    run(["epoch", "--data", &data]).ok();
    let scores = run(["scores", "--json", "--data", &data]).json();
    let names: Vec<_> = scores
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|row| row["alias"].as_str())
        .collect();
    assert_eq!(names.len(), 4, "{names:?}");
}

fn error_of(ran: &Ran) -> String {
    assert_eq!(ran.code, Some(1), "{ran:?}");
    let told: Value = serde_json::from_str(&ran.out).unwrap();
    told["error"]["code"].as_str().unwrap().to_owned()
}

#[test]
fn missing_witnesses_are_a_warning_in_the_service_s_log_and_explained_to_the_user() {
    let (dir, data) = imported();
    let witness = "witness.example/w1+df1c0a35+BIE5dw6ofRdfVqNUZsNMfszLjYqRtO43ol32D1uPybOU";
    let settings = format!(
        "timeout_ms = 50\npolicy = '''\nwitness w1 {witness} http://127.0.0.1:9/\nquorum w1\n'''\n"
    );
    dir.write("data/witnesses.toml", settings);
    let set = run(["policy", "set", "--seeds", "alice,carol", "--data", &data]);
    for part in ["Logged and durable", "not published yet", "doctor"] {
        assert!(set.err.contains(part), "{part}: {set:?}");
    }
    set.ok();
    let serving = Serving::on(&data);
    // The signed entry is there, a checkpoint over it is not: this is a 503 that nobody has to act on.
    let answer = http_get(&serving.url, "/v1/log/inclusion?index=11");
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    let logged = || serving.log();
    for _ in 0..100 {
        if logged().contains("status=503") {
            break;
        }
        let _ = http_get(&serving.url, "/livez");
    }
    let log = logged();
    let line = log.lines().find(|line| line.contains("status=503"));
    assert!(line.is_some_and(|line| line.contains("WARN")), "{log}");
    // That publishing waits is for somebody to act on, and is said once and not with every request.
    let errors: Vec<_> = log.lines().filter(|line| line.contains("ERROR")).collect();
    assert!(errors.iter().all(|line| line.contains("publish")), "{log}");
    // Who writes over the service is told as well.
    let token = bearer(&dir, &data, "operator");
    for args in [
        &["epoch"][..],
        &["keys", "rotate", "casework", "--now", "--yes"],
    ] {
        let service = ["--json", "--url", &serving.url, "--token", &token];
        let ran = run(args.iter().copied().chain(service));
        for part in ["Logged and durable", "not published yet", "/readyz"] {
            assert!(ran.err.contains(part), "{part}: {ran:?}");
        }
        assert_eq!(ran.json()["published"], false);
    }
}

/// One request, as plain as can be.
fn http_get(url: &str, path: &str) -> String {
    use std::io::{Read as _, Write as _};
    let address = url.strip_prefix("http://").unwrap();
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}
