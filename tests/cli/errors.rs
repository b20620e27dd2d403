//! What goes wrong outside of anything that the program is about: ports, full disks, files. All of it has a code.

use std::{net::TcpListener, process::Stdio};

use serde_json::Value;

use crate::support::{Ran, command, imported, market, run};

/// Fails with this code on standard error, and with `--json` as an object on standard output.
fn both_ways(args: &[&str], code: &str) -> String {
    let why = run(args.iter().copied()).fails(1, code);
    let told = run(args.iter().copied().chain(["--json"]));
    assert_eq!(told.code, Some(1), "{told:?}");
    let told: Value = serde_json::from_str(&told.out).unwrap();
    assert_eq!(told["error"]["code"], code);
    assert!(
        why.contains(told["error"]["detail"].as_str().unwrap()),
        "{why}"
    );
    why
}

#[test]
fn a_port_that_is_taken_is_named() {
    let (_dir, data) = imported();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let serve = ["serve", "--data", &data, "--listen", &address];
    let why = both_ways(&serve, "serve.cannot_listen");
    assert!(why.contains(&address) && why.contains("--listen"), "{why}");
}

#[test]
fn settings_that_cannot_be_read_are_named_with_their_place() {
    let (dir, data) = imported();
    let file = dir.write("settings.toml", "queue = 7\nquue = 8\n");
    let serve = ["serve", "--data", &data, "--config", &file];
    let why = both_ways(&serve, "config.invalid");
    assert!(
        why.contains("settings.toml") && why.contains("line 2"),
        "{why}"
    );
    let absent = dir.file("absent.toml");
    both_ways(
        &["serve", "--data", &data, "--config", &absent],
        "input.unreadable",
    );
    dir.write("data/witnesses.toml", "policy = 7");
    both_ways(&["epoch", "--data", &data], "witness.settings_invalid");
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_behind_standard_output_is_no_success() {
    let dir = market();
    let data = dir.file("data");
    for args in [
        vec!["scores", "--format", "csv"],
        vec!["scores", "--json"],
        vec!["policy", "show"],
        vec!["fsck"],
    ] {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full");
        let ran = command(args.iter().copied().chain(["--data", data.as_str()]))
            .stdin(Stdio::null())
            .stdout(full.unwrap())
            .output();
        let why = Ran::of(ran.unwrap()).fails(1, "output.unwritable");
        assert!(why.contains("No space left"), "{args:?}: {why}");
    }
}

#[test]
fn files_that_cannot_be_read_or_written_have_a_code() {
    let (dir, data) = imported();
    let nowhere = dir.file("no/such/folder/file");
    let bundle = ["trust-bundle", "--data", &data, "--out", &nowhere];
    both_ways(&bundle, "output.unwritable");
    both_ways(
        &[
            "token",
            "verify",
            &nowhere,
            "--trust",
            &nowhere,
            "--no-key-binding",
        ],
        "input.unreadable",
    );
    // A folder is no file.
    both_ways(&["audit", &data, "--trust", &data], "input.unreadable");
    both_ways(&["keygen", "--out", &nowhere], "key.unusable");
}

#[test]
fn wrong_usage_has_its_exit_code_and_is_json_too() {
    let (_dir, data) = imported();
    let erase = [
        "erase", "x", "--reason", "malware", "--yes", "--data", &data,
    ];
    let why = run(erase).usage();
    assert!(why.starts_with("error[usage]: "), "{why}");
    for args in [&erase[..], &["no-such-command"][..]] {
        let told = run(args.iter().copied().chain(["--json"]));
        assert_eq!(told.code, Some(2));
        let told: Value = serde_json::from_str(&told.out).unwrap();
        assert_eq!(told["error"]["code"], "usage");
    }
}
