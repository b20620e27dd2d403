//! A whole database copied into an empty one: every row as it was, and nothing that `fsck` or an audit could tell.

use std::path::Path;

use goodstanding::{
    audit::{self, DirSource},
    casework::erasure::erase,
    epoch,
    fsck::{self, Options},
    store::{
        self, Error, Store as _,
        load::{Load, copy},
        sqlite::{FILE, SqliteStore, load::SqliteLoad},
    },
};
use goodstanding_verify::{entry::ErasureReason, report::ReportId};
use sqlx::{
    Connection as _, Row as _, SqliteConnection, ValueRef as _,
    sqlite::{SqliteConnectOptions, SqliteRow},
};

use crate::{
    history::{self, busy_service, damage, number},
    support::{T0, agent},
};

/// What every table says, numbers of agents and markets replaced by what they stand for, read past our own code.
const DUMP: [&str; 14] = [
    "SELECT * FROM meta ORDER BY key",
    "SELECT * FROM head",
    "SELECT * FROM checkpoints ORDER BY size",
    "SELECT * FROM entries ORDER BY idx",
    "SELECT * FROM tiles ORDER BY tree, level, n",
    "SELECT key, alias FROM agents ORDER BY key",
    "SELECT name FROM markets ORDER BY name",
    "SELECT r.idx, r.id, r.at_ms, a.key, s.key, m.name, r.trade_id, r.role, r.jti, r.historical, r.alone, r.superseded_by \
     FROM reports r JOIN agents a ON a.id = r.reporter JOIN agents s ON s.id = r.subject JOIN markets m ON m.id = r.market \
     ORDER BY r.idx",
    "SELECT * FROM bodies ORDER BY idx",
    "SELECT * FROM documents ORDER BY sha256, idx",
    "SELECT * FROM erased ORDER BY idx",
    "SELECT * FROM epochs ORDER BY number",
    "SELECT s.epoch, s.leaf, a.key, s.reached, s.claims FROM statements s JOIN agents a ON a.id = s.agent \
     ORDER BY s.epoch, s.leaf",
    "SELECT t.list, t.idx, a.key, t.epoch, t.iat, t.exp, t.revoked FROM tokens t JOIN agents a ON a.id = t.agent \
     ORDER BY t.list, t.idx",
];

/// A value with its type.
fn value(row: &SqliteRow, column: usize) -> String {
    let raw = row.try_get_raw(column).unwrap();
    let kind = raw.type_info().to_string();
    match kind.as_str() {
        "NULL" => kind,
        "INTEGER" => format!("{kind} {}", row.get_unchecked::<i64, _>(column)),
        "TEXT" => format!("{kind} {}", row.get_unchecked::<String, _>(column)),
        "BLOB" => format!("{kind} {:?}", row.get_unchecked::<Vec<u8>, _>(column)),
        other => panic!("a value of type {other}"),
    }
}

/// The rows of every table.
async fn dump(data: &Path) -> Vec<Vec<String>> {
    let options = SqliteConnectOptions::new()
        .filename(data.join(FILE))
        .read_only(true);
    let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
    let mut tables = Vec::new();
    for sql in DUMP {
        let rows = sqlx::query(sql).fetch_all(&mut connection).await.unwrap();
        let line = |row: &SqliteRow| {
            let values: Vec<_> = (0..row.len()).map(|column| value(row, column)).collect();
            values.join("|")
        };
        tables.push(rows.iter().map(line).collect());
    }
    connection.close().await.unwrap();
    tables
}

/// A copy of the database of `data` in a new directory; keys, guard and log state are copied as files.
async fn copied(data: &Path) -> Result<tempfile::TempDir, Error> {
    let target = tempfile::tempdir().unwrap();
    history::copy(data, target.path());
    for name in [FILE, &format!("{FILE}-wal"), &format!("{FILE}-shm")] {
        let _ = std::fs::remove_file(target.path().join(name));
    }
    let mut from = store::snapshot(data).await?;
    let mut to: Box<dyn Load> = Box::new(SqliteLoad::create(&target.path().join(FILE)).await?);
    let done = copy(from.as_mut(), to.as_mut()).await;
    from.close().await;
    done?;
    to.finish().await?;
    Ok(target)
}

/// A directory with something in every table: reports and attestations, epochs, tokens, one of them revoked, an alias, an
/// import, erased reports.
async fn everything() -> tempfile::TempDir {
    let service = busy_service().await;
    let app = &service.app;
    let data = service.data.path();
    for at in [5, 300] {
        let report = &app.store.log_bodies(at, at + 50, 1).await.unwrap()[0];
        let jws = report.jws.as_ref().unwrap();
        let id = ReportId(goodstanding_verify::digest::sha256(jws.as_bytes()).0);
        erase(app, id, ErasureReason::PersonalData).await.unwrap();
    }
    service.clock.set_ms((T0 + 3) * 1000);
    epoch::run(app, None).await.unwrap();
    app.log.publish().await.unwrap();
    assert_eq!(number(data, "SELECT count(*) FROM erased").await, 2);
    let data = service.stop().await;
    let store = SqliteStore::open(&data.path().join(FILE), false)
        .await
        .unwrap();
    let names = [
        ("known".to_owned(), agent(1).did()),
        ("never traded".to_owned(), agent(77).did()),
    ];
    store.set_aliases(&names).await.unwrap();
    store.close().await;
    damage(
        data.path(),
        &["UPDATE tokens SET revoked = 1 WHERE (list, idx) = (SELECT list, idx FROM tokens LIMIT 1)"],
    )
    .await;
    data
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_is_the_same_row_by_row() {
    let data = everything().await;
    let target = copied(data.path()).await.unwrap();
    let (before, after) = (dump(data.path()).await, dump(target.path()).await);
    for (sql, (before, after)) in DUMP.iter().zip(before.iter().zip(&after)) {
        assert!(!before.is_empty(), "nothing to copy: {sql}");
        assert!(before == after, "{sql}");
    }

    let outcome = fsck::run(target.path(), &Options::new(T0 + 10))
        .await
        .unwrap();
    assert!(outcome.ok && outcome.complete, "{outcome:#?}");
    assert_eq!(outcome.size, fsck_size(data.path()).await);

    let source = DirSource::open(target.path()).await.unwrap();
    let options = audit::Options {
        now_s: T0 + 10,
        ..audit::Options::default()
    };
    let audited = audit::audit(&source, &options, &|_, _| ()).await;
    source.close().await;
    assert_eq!(audited.unwrap().size, outcome.size);
}

async fn fsck_size(data: &Path) -> u64 {
    let outcome = fsck::run(data, &Options::new(T0 + 10)).await.unwrap();
    assert!(outcome.ok, "{outcome:#?}");
    outcome.size
}

#[tokio::test]
async fn what_no_reading_finds_is_not_lost_in_silence() {
    let data = everything().await;
    for (name, statement) in [
        (
            "a stray body",
            "INSERT INTO bodies (idx, jws) VALUES (100000, 'x')",
        ),
        (
            "a report beyond its entry",
            "UPDATE reports SET idx = 100000 WHERE idx = 99",
        ),
        (
            "an agent that is gone",
            "DELETE FROM agents WHERE id = (SELECT reporter FROM reports LIMIT 1)",
        ),
        (
            "a negative entry",
            "INSERT INTO entries (idx, at_ms, kind, bytes) VALUES (-1, 0, 'report', x'00')",
        ),
        (
            "a statement of no epoch",
            "UPDATE statements SET epoch = 9 WHERE epoch = 1 AND leaf = 0",
        ),
    ] {
        let broken = tempfile::tempdir().unwrap();
        history::copy(data.path(), broken.path());
        damage(broken.path(), &[statement]).await;
        match copied(broken.path()).await {
            Err(Error::Corrupt(_)) => {}
            other => panic!("{name}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn nothing_is_there_before_the_end_and_nothing_is_overwritten() {
    let data = everything().await;
    let target = tempfile::tempdir().unwrap();
    let file = target.path().join(FILE);
    let mut from = store::snapshot(data.path()).await.unwrap();
    let mut to = SqliteLoad::create(&file).await.unwrap();
    copy(from.as_mut(), &mut to).await.unwrap();
    from.close().await;
    // As if the process had ended here.
    drop(to);
    for table in ["meta", "head", "entries", "agents"] {
        let sql = format!("SELECT count(*) FROM {table}");
        assert_eq!(number(target.path(), &sql).await, 0, "{table}");
    }
    let again = SqliteLoad::create(&file).await;
    assert!(matches!(again, Err(Error::Unsupported(_))), "{again:?}");
}
