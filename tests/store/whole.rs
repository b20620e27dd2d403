//! Whole databases: one with everything in it, and all that a snapshot says of one, as text.

use std::path::Path;

use goodstanding::{
    casework::erasure::erase,
    epoch,
    keys::change::{Change, From},
    store::{
        Store as _,
        snapshot::{PerLeaf, Snapshot, Table},
        sqlite::{FILE, SqliteStore},
    },
    token::keys,
};
use goodstanding_verify::{
    entry::{ErasureReason, KeyUse},
    report::ReportId,
};

use crate::{
    history::{busy_service, damage},
    support::{T0, agent},
};

/// A directory with something in every table: reports and attestations, epochs, tokens, one of them revoked, aliases, a rotated key,
/// erased reports.
pub(crate) async fn everything() -> tempfile::TempDir {
    let service = busy_service().await;
    let app = &service.app;
    for at in [5, 300] {
        let report = &app.store.log_bodies(at, at + 50, 1).await.unwrap()[0];
        let jws = report.jws.as_ref().unwrap();
        let id = ReportId(goodstanding_verify::digest::sha256(jws.as_bytes()).0);
        erase(app, id, ErasureReason::PersonalData).await.unwrap();
    }
    let (usage, from) = (KeyUse::Status, From::Announced);
    keys::change(app, Change::Rotate { usage, from }, None)
        .await
        .unwrap();
    service.clock.set_ms((T0 + 3) * 1000);
    epoch::run(app, None).await.unwrap();
    app.log.publish().await.unwrap();
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
    let revoke =
        "UPDATE tokens SET revoked = 1 WHERE (list, idx) = (SELECT list, idx FROM tokens LIMIT 1)";
    damage(data.path(), &[revoke]).await;
    data
}

const TABLES: [Table; 13] = [
    Table::Meta,
    Table::Checkpoints,
    Table::Entries,
    Table::Tiles,
    Table::Agents,
    Table::Markets,
    Table::Reports,
    Table::Bodies,
    Table::Documents,
    Table::Erased,
    Table::Epochs,
    Table::Statements,
    Table::Tokens,
];
/// Rows of a page: small, so that there are many.
const PAGE: u32 = 13;
/// Settings that opening and moving change.
const CHANGING: [&str; 2] = ["tenure", "copy"];

/// Everything that a snapshot says, but for what names the database: a line each.
pub(crate) async fn told(of: &mut dyn Snapshot) -> Vec<String> {
    let mut lines = Vec::new();
    macro_rules! tell {
        ($($of:expr),*) => { lines.push(format!(concat!(stringify!($($of),*), " {:?}"), ($($of),*))) };
    }
    for table in TABLES.into_iter().filter(|table| *table != Table::Meta) {
        tell!(table, of.count(table).await.unwrap());
    }
    for (key, value) in of.settings().await.unwrap() {
        if !CHANGING.contains(&key.as_str()) {
            assert_eq!(of.meta(&key).await.unwrap().as_ref(), Some(&value));
            tell!(key, value);
        }
    }
    tell!(of.dangling().await.unwrap());
    tell!(of.schema_differences().await.unwrap());
    tell!(of.meta("no such setting").await.unwrap());
    tell!(of.head().await.unwrap());
    tell!(of.published().await.unwrap());
    let reach = of.reach().await.unwrap();
    tell!(reach);
    for table in [PerLeaf::Entries, PerLeaf::Reports, PerLeaf::Bodies] {
        tell!(of.outside(table, reach / 2).await.unwrap());
    }
    let mut start = 0;
    while start <= reach {
        let end = start + 50;
        tell!(of.entries(start, end).await.unwrap());
        tell!(of.reports(start, end).await.unwrap());
        tell!(of.neighbours(start, end).await.unwrap());
        tell!(of.stray_bodies(start, end).await.unwrap());
        tell!(of.body(start).await.unwrap());
        start = end;
    }
    for kind in ["report", "policy", "key", "epoch", "erasure", "none"] {
        tell!(of.newest_event(kind).await.unwrap());
        for from in [0, 3, u64::MAX] {
            tell!(of.events(kind, from, PAGE).await.unwrap());
        }
    }
    lists(of, &mut lines).await;
    scores(of, &mut lines).await;
    lines
}

async fn lists(of: &mut dyn Snapshot, lines: &mut Vec<String>) {
    let mut size = 0;
    while let Some(last) = page(lines, of.checkpoints(size, 2).await.unwrap()) {
        size = last.size + 1;
    }
    let mut after = None;
    while let Some(last) = page(lines, of.agents(after.as_deref(), PAGE).await.unwrap()) {
        after = Some(last.key);
    }
    let mut after = None;
    while let Some(last) = page(lines, of.documents(after.as_ref(), 1).await.unwrap()) {
        let sha256 = last.sha256.as_slice().try_into().unwrap();
        for index in [last.idx, last.idx + 1] {
            let found = of.document(&sha256, index).await.unwrap();
            lines.push(format!("document {index} {found:?}"));
        }
        after = Some(last);
    }
    let mut from = 0;
    while let Some(last) = page(lines, of.erased(from, 1).await.unwrap()) {
        from = last.idx.saturating_add(1);
    }
    let mut after = None;
    while let Some(last) = page(lines, of.tiles(after, PAGE).await.unwrap()) {
        let level = u8::try_from(last.level).unwrap();
        let tile = of.tile(last.tree, level, last.n).await.unwrap();
        lines.push(format!("{tile:?}"));
        after = Some(last);
    }
    let mut after = None;
    while let Some((last, _)) = page(lines, of.whole_tiles(after, PAGE).await.unwrap()) {
        after = Some(last);
    }
    lines.push(format!("{:?}", of.tile(0, 5, 77).await.unwrap()));
}

async fn scores(of: &mut dyn Snapshot, lines: &mut Vec<String>) {
    let mut from = 0;
    while let Some(last) = page(lines, of.epochs(from, 1).await.unwrap()) {
        let mut leaf = 0;
        while let Some(stated) = page(lines, of.statements(last.number, leaf, PAGE).await.unwrap())
        {
            leaf = stated.leaf + 1;
        }
        from = last.number.saturating_add(1);
    }
    let mut after = None;
    while let Some(last) = page(lines, of.tokens(after, 1).await.unwrap()) {
        after = Some((last.list, last.idx));
    }
    lines.push(format!("reached {}", of.reached().await.unwrap()));
    for places in [1 << 20, 1] {
        lines.push(format!("odd {:?}", of.odd_tokens(places).await.unwrap()));
    }
}

/// Notes a page; its last row.
fn page<T: std::fmt::Debug>(lines: &mut Vec<String>, rows: Vec<T>) -> Option<T> {
    lines.push(format!("{rows:?}"));
    rows.into_iter().next_back()
}

/// The first difference, for people.
pub(crate) fn assert_same(one: &[String], other: &[String]) {
    for (one, other) in one.iter().zip(other) {
        assert!(one == other, "{one:.2000}\n{other:.2000}");
    }
    assert_eq!(one.len(), other.len());
}

/// All that the database of a directory says.
pub(crate) async fn told_by(data: &Path) -> Vec<String> {
    let mut snapshot = goodstanding::store::snapshot(data).await.unwrap();
    let told = told(snapshot.as_mut()).await;
    snapshot.close().await;
    told
}
