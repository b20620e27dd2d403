//! One directory, one writer: a second one is refused, reading goes on beside it, and a killed one leaves nothing in the way.

use std::{
    path::Path,
    process::{Command, Output},
};

use serde_json::Value;

use super::{
    check::{fsck_and_audit, full_check},
    grow::{fresh, grown},
    server::Server,
    strace::output_of,
};

fn run(data: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_goodstanding"));
    command
        .arg("--json")
        .args(arguments)
        .arg("--data")
        .arg(data);
    output_of(command.env("RUST_LOG", "off"))
}

fn code(output: &Output) -> Option<String> {
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    answer["error"]["code"].as_str().map(str::to_owned)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_has_one_writer_and_a_killed_one_frees_it() {
    let room = tempfile::tempdir().unwrap();
    let data = room.path().join("data");
    grown(&data, 300).await;
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_secs();
    let file = room.path().join("report.jwt");
    std::fs::write(&file, fresh("two", 0, now - 1)).unwrap();
    let submit = ["submit", file.to_str().unwrap()];
    assert!(run(&data, &["epoch"]).status.success());

    let mut first = Server::start(&data, &[]);
    // It has the directory once it answers.
    reqwest::get(format!("{}/livez", first.url)).await.unwrap();
    for writer in [
        &["serve", "--listen", "127.0.0.1:0"][..],
        &submit,
        &["epoch"],
        &[
            "policy",
            "set",
            "--seeds",
            "did:key:z6MktwupdmLXVVqTzCw4i46r4uGyosGXRnR3XjN4Zq7oMMsw",
        ],
    ] {
        let output = run(&data, writer);
        assert_eq!(output.status.code(), Some(1), "{writer:?}: {output:?}");
        assert_eq!(code(&output).as_deref(), Some("data.locked"), "{writer:?}");
    }
    for reader in [
        &["scores"][..],
        &["policy", "show"],
        &["access", "grant", "--role", "operator"],
    ] {
        let output = run(&data, reader);
        assert!(output.status.success(), "{reader:?}: {output:?}");
    }
    // The first one is as it was.
    let jws = std::fs::read_to_string(&file).unwrap();
    let answer = goodstanding::net::builder()
        .build()
        .unwrap()
        .post(format!("{}/v1/reports", first.url))
        .header("content-type", "application/jwt")
        .body(jws)
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 201);

    // The file of a killed one is no lock, whatever stands in it.
    first.kill();
    std::fs::write(data.join("lock"), "4711\n").unwrap();
    let output = run(&data, &submit);
    assert!(output.status.success(), "{output:?}");
    let stored: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        stored["leaf_index"], 301,
        "the report of before, recognised"
    );
    let checked = full_check(&data).await;
    fsck_and_audit(&data, "together").await;
    assert_eq!((checked.size(), checked.published), (302, Some(302)));
}
