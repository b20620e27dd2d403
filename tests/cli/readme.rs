//! The README's walks, run as they stand.

use std::{path::Path, process::Command};

use crate::support::Dir;

/// The shell lines of the first code block after `heading`.
fn block(heading: &str) -> String {
    let readme = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md"));
    let readme = readme.unwrap();
    let rest = readme.split_once(heading).unwrap().1;
    rest.split("```").nth(1).unwrap().to_owned()
}

fn run_in(dir: &Dir, script: &str) -> String {
    let program = Path::new(env!("CARGO_BIN_EXE_goodstanding"));
    let path = format!(
        "{}:{}",
        program.parent().unwrap().display(),
        std::env::var("PATH").unwrap()
    );
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let home = dir.file("walk");
    std::fs::create_dir_all(&home).unwrap();
    let link = Path::new(&home).join("docs");
    if !link.exists() {
        std::os::unix::fs::symlink(docs, link).unwrap();
    }
    let ran = Command::new("sh")
        .args(["-e", "-c", script])
        .current_dir(&home)
        .env("PATH", path)
        .env_remove("GOODSTANDING_DATA")
        .output()
        .unwrap();
    let out = String::from_utf8(ran.stdout).unwrap();
    let err = String::from_utf8(ran.stderr).unwrap();
    assert!(ran.status.success(), "{out}\n{err}");
    out
}

#[test]
fn the_walk_with_a_file_ends_in_a_valid_token() {
    let dir = Dir::new();
    let script = block("## Walk through it").replace("cargo build", ": cargo build");
    let out = run_in(&dir, &script);
    assert!(out.contains("valid\nagent:"), "{out}");
    assert!(out.contains("holder: proven"), "{out}");
}

#[test]
fn the_walk_with_a_service_ends_in_a_receipt() {
    let dir = Dir::new();
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    // Another port, because the usual one may be taken here; and the service ends with the walk.
    let script = block("As a service")
        .replace("--data served &", &format!("--data served --listen 127.0.0.1:{port} > /dev/null 2>&1 & server=$!; trap 'kill $server' EXIT; sleep 2 #"))
        .replace("127.0.0.1:8080", &format!("127.0.0.1:{port}"));
    let out = run_in(&dir, &script);
    assert!(out.contains("\"level\":\"unilateral\""), "{out}");
    let receipt = std::fs::read_to_string(Path::new(&dir.file("walk")).join("receipt.txt"));
    assert!(receipt.unwrap().starts_with("c2sp.org/tlog-proof@v1\n"));
}
