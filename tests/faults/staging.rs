//! Epochs beside ingest: reports are acknowledged while rows of an epoch are staged, and whatever happens in the middle, an epoch is whole
//! or not there.

use std::{
    path::Path,
    sync::{Arc, LazyLock},
    time::{Duration, Instant},
};

use goodstanding::{
    app::App,
    code::Fault,
    epoch::{self, Summary},
    fsck, ingest,
    store::{self, Error, snapshot::Table, sqlite::FILE},
};
use goodstanding_verify::{did::Did, report::Report};
use sqlx::{Connection as _, SqliteConnection, sqlite::SqliteConnectOptions};

use super::{
    check::{Acknowledged, fsck_and_audit, full_check},
    crash::operator_token,
    double::{Faults, Gate, Mode, Step},
    grow::{at, copy, fresh, grow_with, grown},
    history::{damage, number},
    server::Server,
};
use crate::support::{T0, agent, report};

/// The time at which the scenarios play.
const NOW: u64 = T0 + 10;
/// Agents of a log with more statements than are staged at a time.
const MANY: u64 = 8_500;
const STAGED: &str = "SELECT coalesce(sum(leaves), 0) FROM staging";
const ROWS: &str =
    "SELECT (SELECT count(*) FROM statements) + (SELECT count(*) FROM tiles WHERE tree > 0)";

/// A trust root's report on somebody new.
fn on_another(n: u32) -> String {
    report(
        &agent(n % 2),
        &agent(1000 + n),
        &format!("many-{n}"),
        T0 - 60,
    )
}

/// A log of [`MANY`] agents, made once.
static LARGE: LazyLock<tempfile::TempDir> = LazyLock::new(|| {
    let data = tempfile::tempdir().unwrap();
    let path = data.path().to_owned();
    let made = async move {
        grown(&path, 10).await;
        grow_with(&path, 10 + MANY, on_another).await;
        let app = App::open(at(&path, T0)).await.unwrap();
        app.log.publish().await.unwrap();
        app.close().await;
    };
    // Whoever asks for it first is in a runtime already.
    std::thread::spawn(move || tokio::runtime::Runtime::new().unwrap().block_on(made))
        .join()
        .unwrap();
    data
});

/// A copy of it.
fn large() -> tempfile::TempDir {
    let data = tempfile::tempdir().unwrap();
    copy(LARGE.path(), data.path());
    data
}

async fn open(data: &Path, faults: &Faults) -> Arc<App> {
    let doubles = faults.clone();
    let app = App::open_through(at(data, NOW), |parts| doubles.through(parts));
    app.await.unwrap()
}

fn begin(app: &Arc<App>) -> tokio::task::JoinHandle<Result<Summary, Fault>> {
    let app = app.clone();
    tokio::spawn(async move { epoch::run(&app, None).await })
}

/// That no epoch is there for anybody who asks, whatever is staged.
async fn no_epoch(app: &App, data: &Path) {
    assert_eq!(app.store.epoch(None).await.unwrap(), None);
    assert_eq!(app.store.statements(1, 0, 9).await.unwrap(), []);
    let of = app.store.statements_of(&agent(1000).did(), 99, 9).await;
    assert_eq!(of.unwrap(), []);
    assert_eq!(app.store.reached().await.unwrap(), []);
    nothing_counted(data).await;
}

/// That a view of the database has no statements, and no tiles but the log's.
async fn nothing_counted(data: &Path) {
    let mut view = store::snapshot(data).await.unwrap();
    assert_eq!(view.count(Table::Statements).await.unwrap(), 0);
    assert_eq!(view.statements(1, 0, 9).await.unwrap(), []);
    let tiles = view.tiles(None, 100_000).await.unwrap();
    assert_eq!(view.count(Table::Tiles).await.unwrap(), tiles.len() as u64);
    assert!(tiles.iter().all(|tile| tile.tree == 0));
    assert_eq!(view.tile(1, 0, 0).await.unwrap(), None);
    assert!(view.dangling().await.unwrap().is_empty());
    view.close().await;
}

/// Its statements, of all agents and in the order of the leaves.
async fn whole(app: &App, summary: &Summary) {
    let (mut leaf, mut last) = (0, None::<Did>);
    loop {
        let page = app.store.statements(summary.number, leaf, 5000).await;
        let page = page.unwrap();
        if page.is_empty() {
            break;
        }
        for statement in page {
            assert_eq!(statement.leaf, leaf);
            assert!(last.is_none_or(|last| last < statement.agent));
            (leaf, last) = (leaf + 1, Some(statement.agent));
        }
    }
    assert_eq!(leaf, summary.statements);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reports_are_acknowledged_while_an_epoch_is_staged() {
    let data = large();
    let faults = Faults::default();
    let app = open(data.path(), &faults).await;
    let before = app.log.shared().size();
    let gate = Gate::closed();
    faults.script().gate = Some(gate.clone());
    let epoch = begin(&app);
    let mut ledger = Vec::new();
    // Twice: before anything is staged, and before what is left of it.
    for chunk in 0..2 {
        gate.held().await;
        for n in 0..20 {
            let jws = fresh("meanwhile", chunk * 20 + n, NOW - 5);
            let (admitted, proof) = ingest::submit_one(&app, jws).await.unwrap();
            assert!(admitted.new);
            ledger.push(Acknowledged {
                index: admitted.index,
                id: admitted.id.to_string(),
                proof: Some(proof),
            });
        }
        app.log.publish().await.unwrap();
        no_epoch(&app, data.path()).await;
        let second = epoch::run(&app, None).await.unwrap_err();
        assert_eq!(second.code(), "epoch.running");
        assert!(!epoch.is_finished());
        gate.open();
    }
    let summary = epoch.await.unwrap().unwrap();
    // Over the log as it was, and logged behind everything that came in meanwhile.
    assert_eq!((summary.number, summary.log_size), (1, before));
    assert_eq!(summary.index, before + 40);
    assert!(summary.statements > MANY);
    whole(&app, &summary).await;
    faults.script().gate = None;
    app.log.publish().await.unwrap();
    let next = epoch::run(&app, None).await.unwrap();
    assert_eq!(next.log_size, summary.index + 1);
    app.log.publish().await.unwrap();
    app.close().await;
    assert_eq!(number(data.path(), STAGED).await, 0);
    full_check(data.path()).await.holds(&ledger);
    fsck_and_audit(data.path(), "with two epochs").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_erasure_in_the_middle_leaves_no_epoch_and_nothing_of_the_agent() {
    let (base, data) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    grown(base.path(), 90).await;
    copy(base.path(), data.path());
    let faults = Faults::default();
    let app = open(data.path(), &faults).await;
    let jws = on_another(7);
    let id = Report::verify(&jws).unwrap().id;
    ingest::submit_one(&app, jws).await.unwrap();
    let gate = Gate::closed();
    faults.script().gate = Some(gate.clone());
    let epoch = begin(&app);
    gate.held().await;
    // As another process would, which knows nothing of this one's epoch.
    let event = goodstanding::log::sequencer::Event {
        body: goodstanding_verify::entry::Body::Erasure {
            of: goodstanding_verify::digest::Digest(id.0),
            reason: goodstanding_verify::entry::ErasureReason::PersonalData,
        },
        at_ms: None,
        epoch: None,
    };
    app.log.log(event).await.unwrap();
    gate.open();
    let fault = epoch.await.unwrap().unwrap_err();
    assert_eq!(fault.code(), "epoch.running", "{fault}");
    no_epoch(&app, data.path()).await;
    faults.script().gate = None;
    let summary = epoch::run(&app, None).await.unwrap();
    whole(&app, &summary).await;
    app.log.publish().await.unwrap();
    app.close().await;
    let key = agent(1007).did();
    let mut view = store::snapshot(data.path()).await.unwrap();
    let agents = view.agents(None, 1000).await.unwrap();
    assert!(
        agents.iter().all(|a| a.key != key.key_bytes()),
        "it is named"
    );
    view.close().await;
    full_check(data.path()).await;
    fsck_and_audit(data.path(), "after an erasure").await;
}

/// How each step goes wrong, once with something left of an earlier epoch and once without.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_step_of_staging_fails() {
    let base = tempfile::tempdir().unwrap();
    grown(base.path(), 300).await;
    let mut produced = 0;
    for step in [Step::Claim, Step::Stage, Step::Clear] {
        for mode in [Mode::Fails, Mode::Persists] {
            for left_over in [false, true] {
                let case = format!("{step:?} {mode:?} left over: {left_over}");
                let data = tempfile::tempdir().unwrap();
                copy(base.path(), data.path());
                let faults = Faults::default();
                let app = open(data.path(), &faults).await;
                if left_over {
                    // Staged, and its commit and what would remove it fail.
                    {
                        let mut script = faults.script();
                        script.plan(Step::Commit, Mode::Fails);
                        script.plan(Step::Clear, Mode::Fails);
                    }
                    epoch::run(&app, None).await.unwrap_err();
                    no_epoch(&app, data.path()).await;
                    assert!(number(data.path(), STAGED).await > 0, "{case}");
                }
                faults.script().plan(step, mode);
                let happens = step != Step::Clear || left_over;
                let run = epoch::run(&app, None).await;
                assert_eq!(run.is_err(), happens, "{case}: {run:?}");
                if let Err(fault) = run {
                    assert_eq!(fault.code(), "store.unavailable", "{case}: {fault}");
                    no_epoch(&app, data.path()).await;
                    // Reports go on.
                    let jws = fresh("after", 0, NOW - 5);
                    ingest::submit_one(&app, jws).await.unwrap();
                    full_check(data.path()).await;
                    let summary = epoch::run(&app, None).await.unwrap();
                    assert_eq!(summary.number, 1, "{case}");
                }
                produced += faults.script().produced;
                app.log.publish().await.unwrap();
                app.close().await;
                assert_eq!(number(data.path(), STAGED).await, 0, "{case}");
                full_check(data.path()).await;
                fsck_and_audit(data.path(), &case).await;
            }
        }
    }
    println!("staging: {produced} faults");
    assert_eq!(produced, 22, "a fault never happened");
}

/// Waits until the database says so.
async fn until(data: &Path, sql: &'static str, is: impl Fn(i64) -> bool) -> i64 {
    let options = SqliteConnectOptions::new()
        .filename(data.join(FILE))
        .read_only(true);
    let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
    let deadline = Instant::now() + Duration::from_mins(1);
    loop {
        let now: i64 = sqlx::query_scalar(sql)
            .fetch_one(&mut connection)
            .await
            .unwrap();
        if is(now) {
            connection.close().await.unwrap();
            return now;
        }
        assert!(Instant::now() < deadline, "{sql}: {now}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_while_it_stages_it_leaves_no_half_epoch() {
    let data = large();
    let operator = operator_token(data.path());
    let client = goodstanding::net::builder().build().unwrap();
    let ask = |url: &str| {
        client
            .post(format!("{url}/v1/epochs"))
            .bearer_auth(&operator)
    };
    // After the first rows, in the middle, and when nearly all of them are there.
    for least in [1, 4000, 8192] {
        let mut server = Server::start(data.path(), &[]);
        until(data.path(), STAGED, |staged| staged == 0).await;
        let asked = tokio::spawn(ask(&server.url).send());
        let staged = until(data.path(), STAGED, |staged| staged >= least).await;
        server.kill();
        asked.await.unwrap().expect_err("it was acknowledged");
        let left = number(data.path(), STAGED).await;
        assert!(left >= staged, "what was staged is not durable");
        // As it lies there: nothing of it counts, and a copy is a good one.
        nothing_counted(data.path()).await;
        assert_eq!(number(data.path(), "SELECT count(*) FROM epochs").await, 0);
        full_check(data.path()).await;
        fsck_and_audit(data.path(), "killed").await;
        let outcome = fsck::run(data.path(), &fsck::Options::new(NOW)).await;
        assert_eq!(outcome.unwrap().checked.statements, 0);
    }
    // Backed up in that state, started by itself: it goes away without another epoch.
    let kept = tempfile::tempdir().unwrap();
    copy(data.path(), kept.path());
    let server = Server::start(data.path(), &[]);
    until(data.path(), ROWS, |rows| rows == 0).await;
    let answer = ask(&server.url).send().await.unwrap();
    assert_eq!(answer.status().as_u16(), 201);
    let told: serde_json::Value = answer.json().await.unwrap();
    assert_eq!(told["number"], 1);
    assert!(told["statements"].as_u64().unwrap() > MANY, "{told}");
    drop(server);
    full_check(data.path()).await;
    fsck_and_audit(data.path(), "with an epoch").await;
    // Its rows are counted from there on, and those of nothing else.
    let rows = number(data.path(), "SELECT count(*) FROM statements").await;
    assert_eq!(told["statements"], rows);
    damage(
        kept.path(),
        &["UPDATE staging SET epoch = 9 WHERE leaves > 0"],
    )
    .await;
    let outcome = fsck::run(kept.path(), &fsck::Options::new(NOW)).await;
    assert!(!outcome.unwrap().ok, "rows of no epoch that nobody staged");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_removes_what_is_staged_while_reports_come_in() {
    let data = large();
    let faults = Faults::default();
    let app = open(data.path(), &faults).await;
    {
        let mut script = faults.script();
        script.plan(Step::Commit, Mode::Fails);
        script.plan(Step::Clear, Mode::Fails);
    }
    epoch::run(&app, None).await.unwrap_err();
    app.close().await;
    assert!(number(data.path(), STAGED).await > 8192);
    // The first steps of removing fail; reports do not.
    let faults = Faults::default();
    faults.script().plan(Step::Clear, Mode::Persists);
    let app = open(data.path(), &faults).await;
    for n in 0..20 {
        let jws = fresh("started", n, NOW - 5);
        ingest::submit_one(&app, jws).await.unwrap();
    }
    until(data.path(), ROWS, |rows| rows == 0).await;
    assert_eq!(faults.script().produced, 1);
    // Whoever was to log it cannot any more.
    let key = goodstanding::store::StagingKey([1; 16]);
    let late = app.store.clear_staging(Some(key)).await.unwrap_err();
    assert!(matches!(late, Error::Unstaged), "{late}");
    app.log.publish().await.unwrap();
    app.close().await;
    full_check(data.path()).await;
    fsck_and_audit(data.path(), "after the start").await;
}
