//! Backups beside a writing service, and ways back that never sign a second history.

use std::path::{Path, PathBuf};

use goodstanding::{
    app::{App, Open},
    backup::{self, Made, Restore, Restored},
    clock::Clock,
    code::Fault,
    fsck, ingest,
};
use goodstanding_verify::checkpoint::SignedCheckpoint;

use crate::{
    history::{busy_service, copy, number},
    support::{Service, T0, agent, report},
};

async fn open(data: &Path) -> Result<std::sync::Arc<App>, Fault> {
    let open = Open {
        clock: Clock::manual((T0 + 20) * 1000),
        ..Open::new(data)
    };
    App::open(open).await
}

/// Why a directory is not served.
async fn refusal(data: &Path) -> &'static str {
    match open(data).await {
        Ok(app) => {
            app.close().await;
            "served"
        }
        Err(fault) => fault.code(),
    }
}

async fn make(data: &Path, out: &Path) -> Made {
    backup::make(data, out, true, T0).await.unwrap()
}

async fn restore(
    backup: &Path,
    data: &Path,
    newest: Option<&str>,
    nothing_newer: bool,
) -> Result<Restored, Fault> {
    let request = Restore {
        backup: backup.to_owned(),
        data: data.to_owned(),
        newest: newest.map(|text| ("newest".to_owned(), text.to_owned())),
        nothing_newer,
        now_s: T0 + 20,
    };
    backup::restore(&request).await
}

async fn refused(
    backup: &Path,
    data: &Path,
    newest: Option<&str>,
    nothing_newer: bool,
) -> &'static str {
    restore(backup, data, newest, nothing_newer)
        .await
        .unwrap_err()
        .code()
}

async fn submit(app: &App, trade: &str) -> String {
    let (_, receipt) = ingest::submit_one(app, report(&agent(5), &agent(6), trade, T0 - 60))
        .await
        .unwrap();
    receipt
}

fn checkpoint(data: &Path) -> String {
    std::fs::read_to_string(data.join("head.guard")).unwrap()
}

/// Takes the database away as a dead disk would, and leaves guard, state and keys.
fn lose_database(data: &Path) {
    for name in [
        "goodstanding.sqlite",
        "goodstanding.sqlite-wal",
        "goodstanding.sqlite-shm",
    ] {
        let _ = std::fs::remove_file(data.join(name));
    }
}

async fn is_clean(data: &Path) {
    let outcome = fsck::run(data, &fsck::Options::new(T0 + 20)).await.unwrap();
    assert!(outcome.ok, "{:#?}", outcome.problems);
}

#[tokio::test]
async fn a_copy_beside_a_writing_service_is_a_prefix_and_goes_on() {
    let service = busy_service().await;
    let room = tempfile::tempdir().unwrap();
    let before = service.log_size();
    let (done, stop) = tokio::sync::oneshot::channel::<()>();
    let writing = async {
        let mut stop = stop;
        let mut n = 0_u32;
        while stop.try_recv().is_err() {
            let lines: Vec<_> = (0..20)
                .map(|i| report(&agent(20 + i), &agent(60), &format!("w-{n}-{i}"), T0 - 60))
                .collect();
            service.submit_lines(&lines).await;
            n += 1;
        }
        n
    };
    let out = room.path().join("backup");
    let copying = async {
        // Not before the writer is at it.
        while service.log_size() < before + 40 {
            tokio::task::yield_now().await;
        }
        let made = make(service.data.path(), &out).await;
        done.send(()).unwrap();
        made
    };
    let (_, made) = tokio::join!(writing, copying);
    assert!(made.size > before && made.size <= service.log_size());
    is_clean(&out).await;

    let data = room.path().join("data");
    let restored = restore(&out, &data, None, true).await.unwrap();
    assert_eq!(
        (restored.size, &restored.root, restored.vouched_by),
        (made.size, &made.root, "operator")
    );
    is_clean(&data).await;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        for file in std::fs::read_dir(data.join("keys")).unwrap() {
            assert_eq!(
                file.unwrap().metadata().unwrap().permissions().mode() & 0o777,
                0o600
            );
        }
    }
    // Root and log are those of the service at that size, and it goes on from there.
    let app = open(&data).await.unwrap();
    let head = app.store.head().await.unwrap().unwrap();
    assert_eq!(head.size, made.size);
    let theirs = service.app.store.entries(0, made.size).await.unwrap();
    assert_eq!(app.store.entries(0, made.size).await.unwrap(), theirs);
    submit(&app, "goes-on").await;
    app.close().await;
    is_clean(&data).await;
    assert_eq!(refusal(&data).await, "served");
    service.stop().await;
}

#[tokio::test]
async fn nothing_is_overwritten_and_nothing_half_is_left() {
    let data = busy_service().await.stop().await;
    let room = tempfile::tempdir().unwrap();
    let out = room.path().join("backup");
    make(data.path(), &out).await;
    let again = backup::make(data.path(), &out, true, T0).await.unwrap_err();
    assert_eq!(again.code(), "data.not_empty");
    // A database that is not what it signed is not copied.
    crate::history::damage(
        data.path(),
        &["UPDATE tiles SET hashes = zeroblob(length(hashes)) WHERE tree = 0 AND level = 1"],
    )
    .await;
    let bad = room.path().join("bad");
    assert_eq!(
        backup::make(data.path(), &bad, true, T0)
            .await
            .unwrap_err()
            .code(),
        "store.corrupt"
    );
    assert!(!bad.exists());
    // Where data is, nothing is restored; neither beside a left-over write-ahead log.
    assert_eq!(
        refused(&out, data.path(), None, true).await,
        "data.not_empty"
    );
    let target = room.path().join("target");
    std::fs::create_dir(&target).unwrap();
    std::fs::write(target.join("goodstanding.sqlite-wal"), "old").unwrap();
    assert_eq!(refused(&out, &target, None, true).await, "data.not_empty");
    std::fs::remove_file(target.join("goodstanding.sqlite-wal")).unwrap();
    std::fs::create_dir(target.join("keys")).unwrap();
    std::fs::write(target.join("keys/log.json"), "another").unwrap();
    assert_eq!(refused(&out, &target, None, true).await, "data.not_empty");
    // A backup is not a data directory, and looking at it does not change it.
    assert_eq!(refusal(&out).await, "data.other_copy");
    is_clean(&out).await;
    restore(&out, &room.path().join("fresh"), None, true)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_backup_that_is_not_as_it_was_made_is_refused() {
    let data = busy_service().await.stop().await;
    let room = tempfile::tempdir().unwrap();
    let out = room.path().join("backup");
    make(data.path(), &out).await;
    let target = room.path().join("target");
    let attack = |name: &str, change: &dyn Fn(&Path)| -> PathBuf {
        let dir = room.path().join(name);
        copy(&out, &dir);
        change(&dir);
        dir
    };
    let edit = |dir: &Path, from: &str, to: &str| {
        let path = dir.join("manifest.json");
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{from}");
        std::fs::write(path, text.replacen(from, to, 1)).unwrap();
    };
    let size = format!(
        "\"size\": {}",
        number(data.path(), "SELECT size FROM head").await
    );
    for dir in [
        attack("no-manifest", &|dir| {
            std::fs::remove_file(dir.join("manifest.json")).unwrap();
        }),
        attack("key-gone", &|dir| {
            std::fs::remove_file(dir.join("keys/token.json")).unwrap();
        }),
        attack("key-other", &|dir| {
            std::fs::write(dir.join("keys/token.json"), "{}").unwrap();
        }),
        attack("database-bit", &|dir| {
            let path = dir.join("goodstanding.sqlite");
            let mut bytes = std::fs::read(&path).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            std::fs::write(path, bytes).unwrap();
        }),
        attack("way-out", &|dir| {
            edit(dir, "keys/token.json", "../token.json");
        }),
        attack("version", &|dir| edit(dir, "\"v\": 1", "\"v\": 2")),
        attack("member", &|dir| edit(dir, "\"v\": 1", "\"v\": 1, \"w\": 1")),
        attack("issuer", &|dir| {
            edit(dir, "\"issuer\": \"", "\"issuer\": \"x");
        }),
    ] {
        assert_eq!(
            refused(&dir, &target, None, true).await,
            "backup.invalid",
            "{}",
            dir.display()
        );
        assert!(!target.exists());
    }
    // The size is for people; what counts is the head.
    let dir = attack("size", &|dir| edit(dir, &size, "\"size\": 1"));
    restore(&dir, &target, None, true).await.unwrap();
}

#[tokio::test]
async fn what_was_published_is_never_taken_back() {
    let service = busy_service().await;
    let room = tempfile::tempdir().unwrap();
    let out = room.path().join("backup");
    make(service.data.path(), &out).await;
    let data = service.stop().await;
    let app = open(data.path()).await.unwrap();
    let receipt = submit(&app, "later").await;
    app.close().await;
    let newest = checkpoint(data.path());
    let target = room.path().join("fresh");
    // On another machine somebody has to say what was newest.
    assert_eq!(
        refused(&out, &target, None, false).await,
        "backup.newest_unknown"
    );
    for document in [newest.as_str(), receipt.as_str()] {
        assert_eq!(
            refused(&out, &target, Some(document), false).await,
            "log.behind_guard"
        );
    }
    // In place, the guard knows, and no word of the operator's changes that.
    lose_database(data.path());
    for nothing_newer in [false, true] {
        assert_eq!(
            refused(&out, data.path(), None, nothing_newer).await,
            "log.behind_guard"
        );
    }
    // The database by hand into the directory: a copy that restore has not looked at.
    std::fs::copy(
        out.join("goodstanding.sqlite"),
        data.path().join("goodstanding.sqlite"),
    )
    .unwrap();
    assert_eq!(refusal(data.path()).await, "data.other_copy");
    assert!(!target.exists());
}

#[tokio::test]
async fn a_clean_stop_vouches_for_its_backup_and_a_crash_does_not() {
    let data = busy_service().await.stop().await;
    let room = tempfile::tempdir().unwrap();
    let out = room.path().join("backup");
    make(data.path(), &out).await;
    let clean = room.path().join("clean");
    copy(data.path(), &clean);
    lose_database(&clean);
    let restored = restore(&out, &clean, None, false).await.unwrap();
    assert_eq!(restored.vouched_by, "guard");
    assert_eq!(refusal(&clean).await, "served");

    // The process dies; what it had signed beyond the guard nobody can tell.
    let crashed = room.path().join("crashed");
    copy(data.path(), &crashed);
    let app = open(&crashed).await.unwrap();
    let running = room.path().join("running");
    copy(&crashed, &running);
    app.close().await;
    assert_eq!(
        refusal(&running).await,
        "served",
        "its own database goes on after a crash"
    );
    let app = open(&crashed).await.unwrap();
    copy(&crashed, &running);
    app.close().await;
    lose_database(&running);
    assert_eq!(
        refused(&out, &running, None, false).await,
        "backup.newest_unknown"
    );
    assert_eq!(
        restore(&out, &running, Some(&checkpoint(data.path())), false)
            .await
            .unwrap()
            .vouched_by,
        "newest"
    );
    assert_eq!(refusal(&running).await, "served");
}

#[tokio::test]
async fn an_older_database_is_noticed_where_the_guard_cannot() {
    let data = busy_service().await.stop().await;
    let room = tempfile::tempdir().unwrap();
    let old = room.path().join("old.sqlite");
    std::fs::copy(data.path().join("goodstanding.sqlite"), &old).unwrap();
    // A receipt is given and the machine dies before that is published: the guard has the size of the old file.
    let app = open(data.path()).await.unwrap();
    let guard = checkpoint(data.path());
    submit(&app, "acknowledged").await;
    let dead = room.path().join("dead");
    copy(data.path(), &dead);
    app.close().await;
    std::fs::write(dead.join("head.guard"), guard).unwrap();
    let at_death = room.path().join("at-death");
    copy(&dead, &at_death);
    // The database it had goes on; the old file, which the guard would let pass, does not.
    assert_eq!(refusal(&at_death).await, "served");
    lose_database(&dead);
    std::fs::copy(&old, dead.join("goodstanding.sqlite")).unwrap();
    assert_eq!(refusal(&dead).await, "data.other_copy");
    // Nor does a directory whose state file was taken away.
    std::fs::remove_file(dead.join("log.state")).unwrap();
    assert_eq!(refusal(&dead).await, "data.other_copy");
}

#[tokio::test]
async fn forks_and_other_logs_are_told_apart() {
    let service = busy_service().await;
    let room = tempfile::tempdir().unwrap();
    let early = room.path().join("early");
    make(service.data.path(), &early).await;
    let data = service.stop().await;
    // Two histories from one state, each signed by the log's key.
    let (one, other) = (room.path().join("one"), room.path().join("other"));
    for (dir, trade) in [(&one, "a"), (&other, "b")] {
        restore(&early, dir, None, true).await.unwrap();
        let app = open(dir).await.unwrap();
        submit(&app, trade).await;
        app.close().await;
    }
    let out = room.path().join("backup");
    make(&one, &out).await;
    let target = room.path().join("target");
    let theirs = checkpoint(&other);
    let signed = SignedCheckpoint::parse(&theirs).unwrap();
    assert_eq!(
        number(&one, "SELECT size FROM head").await,
        i64::try_from(signed.checkpoint().size).unwrap()
    );
    assert_eq!(
        refused(&out, &target, Some(&theirs), false).await,
        "backup.fork"
    );
    lose_database(&other);
    assert_eq!(refused(&out, &other, None, true).await, "log.behind_guard");
    // A checkpoint of another log says nothing about this one.
    let stranger = Service::start(T0).await.stop().await;
    assert!(
        refused(&out, &target, Some(&checkpoint(stranger.path())), false)
            .await
            .starts_with("checkpoint.")
    );
    std::fs::write(data.path().join("head.guard"), checkpoint(stranger.path())).unwrap();
    assert_eq!(refusal(data.path()).await, "data.guard_other_log");
    // The same history's newest checkpoint is what is asked for.
    restore(&out, &target, Some(&checkpoint(&one)), false)
        .await
        .unwrap();
    assert_eq!(refusal(&target).await, "served");
}
