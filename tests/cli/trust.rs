//! A marketplace's first trust bundle, and the ones after it.

use serde_json::Value;

use crate::support::{Ran, Serving, market, run};

#[test]
fn a_first_bundle_is_held_to_a_key_that_is_known() {
    let dir = market();
    let data = dir.file("data");
    let listed = run(["keys", "list", "--json", "--data", &data]).json();
    let log_key = listed["log"].as_str().unwrap();
    let pin = run(["trust-bundle", "--json", "--data", &data]).json();
    let pin = pin["signer"].as_str().unwrap();
    // Another log of the same name, as an attacker would run it.
    let other = market();
    let impostor = Serving::on(&other.file("data"));
    let serving = Serving::on(&data);
    let held = dir.file("trust.jwt");
    let update = |url: &str, more: &[&str]| -> Ran {
        let args = ["trust", "update", "--trust", &held, "--url", url];
        run(args.into_iter().chain(more.iter().copied()))
    };
    let is_there = || std::path::Path::new(&held).exists();

    let why = update(&serving.url, &[]).usage();
    assert!(why.contains("--log-key") && why.contains("--pin"), "{why}");
    update(&serving.url, &["--log-key", "nonsense"]).usage();
    let refused = update(&impostor.url, &["--log-key", log_key]);
    assert_eq!(refused.code, Some(3), "{refused:?}");
    assert!(
        refused.err.contains("[bundle.log_changed]") && refused.err.contains(log_key),
        "{refused:?}"
    );
    let refused = update(&impostor.url, &["--pin", pin]);
    assert_eq!(refused.code, Some(3));
    assert!(refused.err.contains("[bundle.pin_mismatch]"), "{refused:?}");
    assert!(!is_there());

    let first = update(&serving.url, &["--log-key", log_key, "--json"]).json();
    assert_eq!(
        (&first["held"], &first["signer"]),
        (&Value::Null, &pin.into())
    );
    assert_eq!(first["revocation_checked"], false);
    assert!(is_there());
    // The same command goes on working: the log's key is compared again, the pin was for the first.
    let again = update(&serving.url, &["--log-key", log_key]).ok();
    assert!(again.contains("already current"), "{again}");
    let wrong = impostor.ready["origin"].as_str().unwrap();
    let theirs = run(["keys", "list", "--json", "--url", &impostor.url]).json();
    let theirs = theirs["log"].as_str().unwrap();
    assert!(theirs.starts_with(wrong));
    let refused = update(&serving.url, &["--log-key", theirs]);
    assert_eq!(refused.code, Some(3));

    std::fs::remove_file(&held).unwrap();
    let said = update(&serving.url, &["--pin", pin]).ok();
    assert!(
        said.contains("as --pin wants it") && said.contains(log_key),
        "{said}"
    );
    assert!(!said.contains("NOT CHECKED"), "{said}");
    // A log's key does not tell a stolen bundle key from a good one; an audit with the bundle does.
    std::fs::remove_file(&held).unwrap();
    let said = update(&serving.url, &["--log-key", log_key]).ok();
    let next = format!("audit {} --trust {held}", serving.url);
    assert!(
        said.contains("NOT CHECKED: that the log has not revoked") && said.contains(&next),
        "{said}"
    );
    run(["audit", &serving.url, "--trust", &held]).ok();
}
