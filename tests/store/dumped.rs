//! What `pg_dump` makes of a log, restored by `pg_restore`: of a stopped service the log, of an earlier moment a fork that is refused.

use std::{
    path::Path,
    process::{Command, Output},
};

use goodstanding::{
    code::Code,
    fsck,
    moving::{self, End},
    store::Place,
};

use crate::{
    moved::{NOW, goes_on, open, request, rotate, sound},
    support::postgres::{Database, tool},
    whole::everything,
};

fn ran(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {errors}");
    output
}

fn dump(database: &Database, to: &Path) {
    let mut dump = Command::new(tool("pg_dump"));
    ran(dump
        .args(["--format=custom", "--file"])
        .arg(to)
        .arg(database.url()));
}

async fn restored(from: &Path) -> Database {
    let database = Database::new().await;
    let mut restore = Command::new(tool("pg_restore"));
    ran(restore
        .args(["--exit-on-error", "--dbname", &database.url()])
        .arg(from));
    database
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dump_of_an_earlier_moment_is_not_served() {
    let data = everything().await;
    let data = data.path();
    let database = Database::new().await;
    let to = End::Server(database.url());
    moving::run(&request(End::Directory(data.to_owned()), to, data))
        .await
        .unwrap();
    let dumps = tempfile::tempdir().unwrap();
    let (earlier, newest) = (dumps.path().join("earlier"), dumps.path().join("newest"));
    // Of a running service, and it goes on in the same turn.
    let app = open(data, Some(database.url())).await.unwrap();
    dump(&database, &earlier);
    rotate(&app).await;
    app.close().await;
    dump(&database, &newest);

    let behind = restored(&earlier).await;
    let fault = goes_on(data, Some(behind.url())).await.unwrap_err();
    assert!(fault.is(Code::LogBehindGuard), "{fault:?}");
    // Nor by any command that would write; by the process's own words.
    for command in [
        &["serve", "--listen", "127.0.0.1:0"][..],
        &["serve", "--listen", "127.0.0.1:0", "--role", "api"],
        &["epoch"],
        &["keys", "rotate", "status"],
        &["policy", "set", "--preset", "agent-market"],
    ] {
        // What is not refused would go on.
        let refused = Command::new("timeout")
            .args(["60", env!("CARGO_BIN_EXE_goodstanding")])
            .args(command)
            .arg("--data")
            .arg(data)
            .env("GOODSTANDING_DATABASE_URL", behind.url())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&refused.stderr);
        assert_eq!(refused.status.code(), Some(1), "{command:?}: {said}");
        assert!(
            said.contains("error[log.behind_guard]"),
            "{command:?}: {said}"
        );
    }
    let options = fsck::Options {
        place: Some(Place::Server(behind.url())),
        ..fsck::Options::new(NOW)
    };
    let outcome = fsck::run(data, &options).await.unwrap();
    // The guard is all that is wrong: a restored schema is the schema.
    let codes: Vec<_> = outcome.counts.keys().copied().collect();
    assert_eq!(codes, ["fsck.guard"], "{outcome:?}");

    // Of the stopped service, it is the log.
    let whole = restored(&newest).await;
    goes_on(data, Some(whole.url())).await.unwrap();
    sound(data, &Place::Server(whole.url())).await;
    // And by that it had a turn that the database it came from never had.
    let fault = goes_on(data, Some(database.url())).await.unwrap_err();
    assert!(fault.is(Code::DataOtherCopy), "{fault:?}");
}
