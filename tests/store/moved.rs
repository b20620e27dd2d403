//! A log that moves from one database to another: the same log, and never two that may go on.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use goodstanding::{
    app::{App, Open},
    audit::{self, DirSource},
    clock::Clock,
    code::{Code, Fault},
    fsck,
    keys::change::{Change, From},
    log::{moved::Mark, tenure::COPY},
    moving::{self, End, Move, Request},
    store::{
        Place, Store as _,
        cluster::Cluster as _,
        sqlite::{FILE, SqliteStore},
    },
    token::keys,
};
use goodstanding_verify::entry::KeyUse;

use crate::{
    history::{self, damage},
    support::{T0, agent, postgres::Database},
    whole::{assert_same, everything, told, told_by},
};

pub(crate) const NOW: u64 = T0 + 10;

fn sqlite(data: &Path) -> End {
    End::Directory(data.to_owned())
}

fn postgres(database: &Database) -> End {
    End::Server(database.url())
}

pub(crate) fn request(from: End, to: End, data: &Path) -> Request {
    Request {
        from,
        to,
        data: data.to_owned(),
        now_s: NOW,
    }
}

/// A directory of one's own with the same in it.
pub(crate) fn copied(data: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    history::copy(data, copy.path());
    copy
}

/// Moves the file away, as the error says.
pub(crate) fn put_away(data: &Path) -> PathBuf {
    let away = data.join("old");
    std::fs::create_dir_all(&away).unwrap();
    for name in [FILE, &format!("{FILE}-wal"), &format!("{FILE}-shm")] {
        let moved = std::fs::rename(data.join(name), away.join(name));
        assert!(moved.is_ok() || name != FILE);
    }
    away
}

pub(crate) async fn open(data: &Path, url: Option<String>) -> Result<Arc<App>, Fault> {
    App::open(Open {
        database_url: url,
        clock: Clock::manual(NOW * 1000),
        ..Open::new(data)
    })
    .await
}

/// Opens and closes; whether the log may go on there.
pub(crate) async fn goes_on(data: &Path, url: Option<String>) -> Result<(), Fault> {
    open(data, url).await?.close().await;
    Ok(())
}

pub(crate) async fn refused(data: &Path, url: Option<String>) {
    let fault = goes_on(data, url).await.unwrap_err();
    assert!(fault.is(Code::DataMoved), "{fault:?}");
}

/// Writes something: a key that takes over.
pub(crate) async fn rotate(app: &Arc<App>) {
    let usage = KeyUse::Token;
    let from = From::Announced;
    keys::change(app, Change::Rotate { usage, from }, None)
        .await
        .unwrap();
    app.log.publish().await.unwrap();
}

/// `fsck` and a whole audit find nothing wrong; the size of the log.
pub(crate) async fn sound(data: &Path, place: &Place) -> u64 {
    let options = fsck::Options {
        place: Some(place.clone()),
        ..fsck::Options::new(NOW)
    };
    let outcome = fsck::run(data, &options).await.unwrap();
    assert!(outcome.ok && outcome.complete, "{outcome:#?}");
    let source = DirSource::on(data, place).await.unwrap();
    let options = audit::Options {
        now_s: NOW,
        ..audit::Options::default()
    };
    let audited = audit::audit(&source, &options, &|_, _| ()).await.unwrap();
    source.close().await;
    assert!(audited.size <= outcome.size);
    outcome.size
}

/// None also where there is no database yet.
pub(crate) async fn mark(place: &Place) -> Option<Mark> {
    let mut snapshot = place.snapshot().await.ok()?;
    let mark = snapshot.meta(COPY).await;
    snapshot.close().await;
    mark.ok()?.as_deref().map(Mark::of)
}

pub(crate) async fn told_at(place: &Place) -> Vec<String> {
    let mut snapshot = place.snapshot().await.unwrap();
    let told = told(snapshot.as_mut()).await;
    snapshot.close().await;
    told
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn there_and_back_every_row_is_as_it_was() {
    let data = everything().await;
    let data = data.path();
    let before = told_by(data).await;
    let database = Database::new().await;
    let (here, there) = (sqlite(data), postgres(&database));
    let moved = moving::run(&request(here.clone(), there.clone(), data))
        .await
        .unwrap();
    assert!(!moved.resumed);
    assert!(!moved.to.contains("goodstanding:"), "{}", moved.to);
    assert_same(&before, &told_at(&there.place()).await);
    assert_eq!(sound(data, &there.place()).await, moved.size);
    refused(data, None).await;
    // The old file is in the way until somebody moves it.
    let back = request(there.clone(), here.clone(), data);
    let fault = moving::run(&back).await.unwrap_err();
    assert!(fault.is(Code::DataNotEmpty), "{fault:?}");
    let away = put_away(data);
    moving::run(&back).await.unwrap();
    assert_same(&before, &told_by(data).await);
    assert_eq!(sound(data, &here.place()).await, moved.size);
    refused(data, Some(database.url())).await;
    goes_on(data, None).await.unwrap();
    // The file that was moved first cannot come back.
    std::fs::copy(away.join(FILE), data.join(FILE)).unwrap();
    refused(data, None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_goes_on_after_each_move_is_one_log() {
    let data = everything().await;
    let data = data.path();
    let database = Database::new().await;
    let (here, there) = (sqlite(data), postgres(&database));
    let moved = moving::run(&request(here.clone(), there.clone(), data))
        .await
        .unwrap();
    let app = open(data, Some(database.url())).await.unwrap();
    rotate(&app).await;
    // While a service runs, nothing moves: by its directory, and by its lead.
    let back = request(there.clone(), here.clone(), data);
    let fault = moving::run(&back).await.unwrap_err();
    assert!(fault.is(Code::DataLocked), "{fault:?}");
    let elsewhere = copied(data);
    put_away(elsewhere.path());
    let from_elsewhere = request(there.clone(), sqlite(elsewhere.path()), elsewhere.path());
    let fault = moving::run(&from_elsewhere).await.unwrap_err();
    assert!(fault.is(Code::DataLocked), "{fault:?}");
    app.close().await;
    let later = sound(data, &there.place()).await;
    assert!(later > moved.size);
    put_away(data);
    moving::run(&back).await.unwrap();
    assert_eq!(sound(data, &here.place()).await, later);
    goes_on(data, None).await.unwrap();
    // Also for a process that did not look at the mark when it started.
    let store = database.store().await;
    let error = store.try_lead(goodstanding::log::cluster::LEASE).await;
    assert!(error.unwrap_err().to_string().contains("has moved to"));
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn to_another_directory_keys_and_guard_go_along() {
    let data = everything().await;
    let target = tempfile::tempdir().unwrap();
    let to = target.path().join("new");
    let moved = moving::run(&request(sqlite(data.path()), sqlite(&to), data.path()))
        .await
        .unwrap();
    assert_eq!(moved.data, to);
    assert_same(&told_by(data.path()).await, &told_by(&to).await);
    assert_eq!(sound(&to, &sqlite(&to).place()).await, moved.size);
    goes_on(&to, None).await.unwrap();
    refused(data.path(), None).await;
    assert!(
        mark(&sqlite(data.path()).place())
            .await
            .is_some_and(|m| matches!(m, Mark::Moved { .. }))
    );
    // No backup of a database that has moved: restoring one takes its mark off.
    let out = target.path().join("backup");
    let fault = goodstanding::backup::make(data.path(), &out, true, NOW).await;
    assert!(fault.unwrap_err().is(Code::DataMoved));
}

/// Where a move ends before its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Prepared,
    Copying(u32),
    Copied,
    Checked,
    Left,
}

/// Moves as far as that, and drops it, as a process that ends does. How far it came: copying may be faster than it is interrupted.
async fn interrupted(request: &Request, at: At) -> At {
    let mut moving = Move::prepare(request).await.unwrap();
    if at == At::Prepared {
        return at;
    }
    if let At::Copying(polls) = at {
        let mut copying = Box::pin(moving.copy());
        for _ in 0..polls {
            let done = std::future::poll_fn(|context| {
                std::task::Poll::Ready(copying.as_mut().poll(context).is_ready())
            });
            if done.await {
                return At::Copied;
            }
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
        return at;
    }
    moving.copy().await.unwrap();
    if at == At::Copied {
        return at;
    }
    moving.check().await.unwrap();
    if at == At::Checked {
        return at;
    }
    moving.leave().await.unwrap();
    at
}

/// Interrupts a move of a copy of `data` and looks at both ends; then tries again.
async fn at_every_point(data: &Path, to_server: bool) {
    for at in [
        At::Prepared,
        At::Copying(1),
        At::Copying(40),
        At::Copying(120),
        At::Copied,
        At::Checked,
        At::Left,
    ] {
        let source = copied(data);
        let (database, folder) = (Database::new().await, tempfile::tempdir().unwrap());
        let (to, url) = if to_server {
            (postgres(&database), Some(database.url()))
        } else {
            (sqlite(folder.path()), None)
        };
        let target = if to_server {
            source.path()
        } else {
            folder.path()
        };
        let request = request(sqlite(source.path()), to.clone(), source.path());
        let at = interrupted(&request, at).await;
        let has_left = at == At::Left;
        if has_left {
            refused(source.path(), None).await;
        }
        // Nobody may write to the target once there is anything in it.
        let marked = mark(&to.place()).await;
        if marked.is_some() {
            assert!(matches!(marked, Some(Mark::Moving(_))), "{at:?}");
            refused(target, url.clone()).await;
        } else {
            assert!(matches!(at, At::Prepared | At::Copying(_)), "{at:?}");
        }
        if !has_left {
            goes_on(source.path(), None).await.unwrap();
        }
        match moving::run(&request).await {
            Ok(moved) => {
                assert_eq!(moved.resumed, has_left, "{at:?}");
                assert!(!matches!(at, At::Copied | At::Checked), "{at:?}");
                sound(target, &to.place()).await;
                refused(source.path(), None).await;
                goes_on(target, url).await.unwrap();
            }
            // A whole copy is of an older state by now.
            Err(fault) => {
                assert!(fault.is(Code::DataNotEmpty), "{at:?}: {fault:?}");
                assert!(matches!(at, At::Copied | At::Checked), "{at:?}: {fault:?}");
                goes_on(source.path(), None).await.unwrap();
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn interrupted_on_the_way_to_a_server_one_end_at_most_goes_on() {
    let data = everything().await;
    at_every_point(data.path(), true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn interrupted_on_the_way_to_a_directory_one_end_at_most_goes_on() {
    let data = everything().await;
    at_every_point(data.path(), false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn interrupted_on_the_way_back_one_end_at_most_goes_on() {
    let data = everything().await;
    for at in [At::Copied, At::Left] {
        let data = copied(data.path());
        let data = data.path();
        let database = Database::new().await;
        let (here, there) = (sqlite(data), postgres(&database));
        moving::run(&request(here.clone(), there.clone(), data))
            .await
            .unwrap();
        put_away(data);
        let back = request(there.clone(), here.clone(), data);
        interrupted(&back, at).await;
        refused(data, None).await;
        if at == At::Left {
            refused(data, Some(database.url())).await;
            assert!(moving::run(&back).await.unwrap().resumed);
            goes_on(data, None).await.unwrap();
        } else {
            goes_on(data, Some(database.url())).await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_log_does_not_move() {
    let data = everything().await;
    for statement in [
        "UPDATE entries SET at_ms = at_ms - 1000000 WHERE idx = 30",
        "UPDATE statements SET claims = '{}' WHERE leaf = 0",
        "DELETE FROM tiles WHERE tree = 0 AND level = 0 AND n = 1",
    ] {
        let source = copied(data.path());
        damage(source.path(), &[statement]).await;
        let database = Database::new().await;
        let request = request(sqlite(source.path()), postgres(&database), source.path());
        let fault = moving::run(&request).await.unwrap_err();
        assert!(fault.is(Code::StoreCorrupt), "{statement}: {fault:?}");
        assert_eq!(mark(&request.from.place()).await, None, "{statement}");
        assert!(matches!(
            mark(&request.to.place()).await,
            Some(Mark::Moving(_))
        ));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_may_not_be_moved_is_refused_and_left_as_it_was() {
    let data = everything().await;
    let database = Database::new().await;
    let to = postgres(&database);
    let moving = |data: &Path| {
        let request = request(sqlite(data), to.clone(), data);
        async move { moving::run(&request).await.unwrap_err() }
    };
    let nothing = tempfile::tempdir().unwrap();
    assert!(moving(nothing.path()).await.is(Code::DataMissing));
    let app = open(data.path(), None).await.unwrap();
    assert!(moving(data.path()).await.is(Code::DataLocked));
    app.close().await;
    // Put in the place of the database that crashed here.
    let crashed = copied(data.path());
    std::fs::write(crashed.path().join("log.state"), "open\nanother\n").unwrap();
    assert!(moving(crashed.path()).await.is(Code::DataOtherCopy));
    let backup = tempfile::tempdir().unwrap();
    goodstanding::backup::make(data.path(), backup.path(), true, NOW)
        .await
        .unwrap();
    assert!(moving(backup.path()).await.is(Code::DataOtherCopy));
    let store = database.store().await;
    store
        .set_aliases(&[("somebody".to_owned(), agent(1).did())])
        .await
        .unwrap();
    store.close().await;
    assert!(moving(data.path()).await.is(Code::DataNotEmpty));
    let own = SqliteStore::open(&data.path().join(FILE), false)
        .await
        .unwrap();
    assert_eq!(own.meta(COPY).await.unwrap(), None);
    own.close().await;
}
