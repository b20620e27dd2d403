//! `keys`, `erase` and `access` on a data directory, and on the service that runs on it.

use serde_json::Value;

use crate::support::{Dir, Serving, imported, run, six_rows};

fn active(data: &str, usage: &str) -> String {
    let listed = run(["keys", "list", "--json", "--data", data]).json();
    let items = listed["items"].as_array().unwrap();
    let key = items
        .iter()
        .find(|key| key["use"] == usage && key["state"] == "active");
    key.unwrap()["kid"].as_str().unwrap().to_owned()
}

#[test]
fn keys_are_listed_rotated_retired_and_revoked() {
    let (dir, data) = imported();
    let first = active(&data, "token");
    let listed = run(["keys", "list", "--data", &data]).ok();
    assert!(listed.contains(&first) && listed.contains("never rotates"));

    let announced = run(["keys", "rotate", "token", "--json", "--data", &data]).json();
    assert_eq!(announced["changed"], true);
    let new = announced["events"][0]["kid"].as_str().unwrap();
    assert!(
        dir.path()
            .join(format!("data/keys/token-{new}.json"))
            .exists()
    );
    assert_eq!(active(&data, "token"), first);
    let again = run(["keys", "rotate", "token", "--json", "--data", &data]).json();
    assert_eq!(again["changed"], false);
    // Sooner than bundles are renewed: only who says so gets it.
    let soon = ["keys", "rotate", "token", "--now", "--data", &data];
    let why = run(soon).usage();
    assert!(
        why.contains("token.key_unknown") && why.contains("--yes"),
        "{why}"
    );
    run(["keys", "rotate", "token", "--from", "1", "--data", &data]).usage();
    assert_eq!(active(&data, "token"), first);
    run(soon.into_iter().chain(["--yes"])).ok();
    assert_ne!(active(&data, "token"), first);
    // Nobody verifies by this one yet.
    run(["keys", "rotate", "casework", "--now", "--data", &data]).ok();

    let only = active(&data, "status");
    run(["keys", "retire", "status", &only, "--data", &data]).fails(1, "key.only_one");
    run([
        "keys", "revoke", "status", &only, "--reason", "stolen", "--data", &data,
    ])
    .ok();
    assert_ne!(active(&data, "status"), only);
    run(["keys", "revoke", "status", "x", "--data", &data]).fails(1, "key.unknown");
    let why = run(["keys", "rotate", "log", "--data", &data]).fails(1, "key.log_fixed");
    assert!(why.contains("docs/OPERATIONS.md"), "{why}");
    run(["keys", "rotate", "access", "--data", &data]).usage();
    // What was made of it all still verifies.
    run([
        "trust-bundle",
        "--data",
        &data,
        "--out",
        &dir.file("bundle"),
    ])
    .ok();
}

#[test]
fn a_lost_key_is_noticed_and_replaced() {
    let (dir, data) = imported();
    let kid = active(&data, "token");
    std::fs::remove_file(dir.path().join("data/keys/token.json")).unwrap();
    let advice = run(["epoch", "--data", &data]).fails(1, "key.unusable");
    let expected = format!("goodstanding keys revoke token {kid}");
    assert!(advice.contains(&expected), "{advice}");
    run(["keys", "revoke", "token", &kid, "--data", &data]).ok();
    assert_ne!(active(&data, "token"), kid);
    run(["policy", "set", "--seeds", "alice", "--data", &data]).ok();
    run(["epoch", "--data", &data]).ok();
}

#[test]
fn a_report_is_erased_in_the_data_directory() {
    let (dir, data) = imported();
    run(["policy", "set", "--seeds", "alice,carol", "--data", &data]).ok();
    let id = report_id(&dir);
    run(["erase", &id, "--reason", "spite", "--data", &data]).usage();
    run(["erase", "x", "--reason", "malware", "--data", &data]).usage();
    let erased = run([
        "erase", &id, "--reason", "malware", "--yes", "--json", "--data", &data,
    ])
    .json();
    assert_eq!(
        (&erased["erased"], &erased["reason"]),
        (&true.into(), &"malware".into())
    );
    run(["erase", &id, "--reason", "malware", "--data", &data]).usage();
    run([
        "erase", &id, "--reason", "malware", "--yes", "--data", &data,
    ])
    .fails(1, "report.erased");
    run(["epoch", "--data", &data]).ok();
    let unknown = "A".repeat(43);
    run([
        "erase", &unknown, "--reason", "malware", "--yes", "--data", &data,
    ])
    .fails(1, "report.unknown");
}

/// Some report of the data directory: entries hold its id as text.
fn report_id(dir: &Dir) -> String {
    let database = std::fs::read(dir.path().join("data/goodstanding.sqlite")).unwrap();
    let text = String::from_utf8_lossy(&database);
    let at = text.find(r#""id":""#).unwrap() + 6;
    text[at..at + 43].to_owned()
}

#[test]
fn a_running_service_is_operated_with_a_token_that_can_be_taken_back() {
    let (dir, data) = imported();
    let id = report_id(&dir);
    let serving = Serving::on(&data);
    let url = serving.url.as_str();
    // Beside the service: the directory is taken, the record of access is not.
    run(["keys", "rotate", "token", "--data", &data]).fails(1, "data.locked");
    let granted = run([
        "access", "grant", "--role", "operator", "--json", "--data", &data,
    ])
    .json();
    let token = dir.write("token", granted["token"].as_str().unwrap());
    let token = format!("@{token}");
    let on_service = ["--url", url, "--token", &token];

    let rotated = run(["keys", "rotate", "token", "--json"]
        .into_iter()
        .chain(on_service))
    .json();
    assert_eq!(rotated["changed"], true);
    let remote = run(["keys", "list", "--json", "--url", url]).json();
    let local = run(["keys", "list", "--json", "--data", &data]).json();
    assert_eq!(remote, local);
    run(["erase", &id, "--reason", "court_order", "--yes"]
        .into_iter()
        .chain(on_service))
    .ok();
    run(["keys", "retire", "token", "x"]
        .into_iter()
        .chain(on_service))
    .fails(1, "key.unknown");

    let jti = granted["jti"].as_str().unwrap();
    let listed = run(["access", "list", "--json", "--data", &data]).json();
    assert_eq!(
        (&listed["items"][0]["jti"], &listed["items"][0]["state"]),
        (&Value::from(jti), &Value::from("good"))
    );
    run(["access", "revoke", "nobody", "--data", &data]).fails(1, "access.unknown");
    run(["access", "revoke", "--data", &data]).usage();
    run(["access", "revoke", jti, "--data", &data]).ok();
    run(["keys", "rotate", "status"].into_iter().chain(on_service)).fails(1, "auth.invalid");
    run(["access", "grant", "--role", "operator", "--data", &data]).ok();
    let all = run(["access", "revoke", "--all", "--json", "--data", &data]).json();
    assert_eq!(all["revoked"].as_array().unwrap().len(), 1);
    run(["keys", "rotate", "token", "--url", url]).usage();
}

#[test]
fn an_ended_log_is_announced_to_those_who_hold_its_bundle() {
    let (dir, data) = imported();
    let bundle = dir.file("bundle");
    run(["trust-bundle", "--data", &data, "--out", &bundle]).ok();
    // The one that goes on.
    let other = Dir::new();
    let next = other.file("data");
    let file = other.csv("trades.csv", &six_rows());
    run([
        "import",
        &file,
        "--historical",
        "--data",
        &next,
        "--key-seed",
        "s",
        "--issuer",
        "https://next.example",
    ])
    .ok();
    let listed = run(["keys", "list", "--json", "--data", &next]).json();
    let vkey = listed["log"].as_str().unwrap();
    let end = |origin: &str| {
        run([
            "keys",
            "end-log",
            "--reason",
            "compromised",
            "--successor-origin",
            origin,
            "--successor-key",
            vkey,
            "--successor-url",
            "https://next.example",
            "--yes",
            "--json",
            "--data",
            &data,
        ])
    };
    end("other.example").usage();
    let ended = end("next.example").json();
    assert_eq!(ended["ended"]["successor"]["vkey"], vkey);
    end("next.example").fails(1, "log.ended");
    run(["epoch", "--data", &data]).fails(1, "log.ended");

    let serving = Serving::on(&data);
    let updated = run([
        "trust",
        "update",
        "--trust",
        &bundle,
        "--url",
        &serving.url,
        "--json",
    ])
    .json();
    assert_eq!(updated["log_ended"]["reason"], "compromised");
    let said = run(["trust", "update", "--trust", &bundle, "--url", &serving.url]);
    assert!(
        said.err.contains("has ended (compromised)") && said.err.contains("https://next.example"),
        "{said:#?}"
    );
    said.ok();
}

/// A service's clock is not the client's: the client does not say what time it takes now to be.
#[test]
fn now_is_left_to_the_service() {
    use std::io::{BufRead as _, BufReader, Read as _, Write as _};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let heard = std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let mut stream = BufReader::new(stream);
        let mut length = 0;
        let mut line = String::new();
        while stream.read_line(&mut line).unwrap() > 2 {
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            line.clear();
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).unwrap();
        let answer = r#"{"changed":true,"events":[],"keys":[],"published":true}"#;
        let head = "HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length:";
        let stream = stream.get_mut();
        write!(stream, "{head} {}\r\n\r\n{answer}", answer.len()).unwrap();
        serde_json::from_slice::<Value>(&body).unwrap()
    });
    let mut args = vec!["keys", "rotate", "casework", "--now", "--json"];
    args.extend(["--url", &url, "--token", "x"]);
    let ran = run(args);
    assert_eq!(ran.json()["changed"], true);
    let sent = heard.join().unwrap();
    assert_eq!(
        sent,
        serde_json::json!({"use": "casework", "action": "rotate", "from": "now"})
    );
}
