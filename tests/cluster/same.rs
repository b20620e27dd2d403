//! The same commands on SQLite and on PostgreSQL, with the same keys: the same log, the same scores, byte for byte.
//!
//! What is no function of the input: the log time of the events that are no import (a policy, an epoch), and an epoch's salt,
//! which is random. Everything before the first of them is compared as it is, signatures included; they themselves without these
//! members; and the score root of either side has to follow from the other side's statements and its own salt.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

use goodstanding::{
    log::{prove, tree::Touched},
    store::{Place, Store, StoredStatement},
};
use goodstanding_verify::{b64, merkle, statement};
use serde_json::Value;

use crate::support::{postgres::Database, shared};

/// What is imported.
struct Set {
    reports: &'static str,
    seeds: &'static str,
    preset: &'static str,
    /// Entries, and rows of the table of scores, that there are at least.
    at_least: (usize, usize),
}

const MARKET: Set = Set {
    reports: "data/market-103/reports-all.csv.gz",
    seeds: "data/market-103/seeds.txt",
    preset: "agent-market",
    at_least: (8_000, 400),
};
/// 35,592 ratings.
const RATING_NETWORK: Set = Set {
    reports: "data/bitcoin-otc/reports.csv.gz",
    seeds: "data/bitcoin-otc/seeds.txt",
    preset: "rating-network",
    at_least: (35_592, 5_000),
};

/// One of the two.
struct Side {
    binary: PathBuf,
    data: PathBuf,
    database_url: Option<String>,
}

impl Side {
    fn run(&self, args: &[&str]) -> Vec<u8> {
        let mut command = Command::new(&self.binary);
        command.args(args).arg("--data").arg(&self.data);
        if let Some(url) = &self.database_url {
            command.env("GOODSTANDING_DATABASE_URL", url);
        }
        let ran = command.output().unwrap();
        assert!(ran.status.success(), "{args:?}: {ran:?}");
        ran.stdout
    }

    async fn store(&self) -> Arc<dyn Store> {
        let place = Place::of(&self.data, self.database_url.as_deref()).unwrap();
        place.reader().await.unwrap()
    }

    fn import(&self, file: &Path) -> Value {
        let file = file.to_str().unwrap();
        let told = self.run(&[
            "import",
            file,
            "--historical",
            "--json",
            "--key-seed",
            "a secret of the test",
            "--issuer",
            "https://issuer.example",
            "--origin",
            "log.example",
        ]);
        serde_json::from_slice(&told).unwrap()
    }
}

/// A report as it is stored: index, log time, id, whether historical, its successor, signed bytes.
type Row = (u64, u64, [u8; 32], bool, Option<u64>, String);

/// Everything of the log, and what is stored beside it.
#[derive(Debug, PartialEq)]
struct Log {
    entries: Vec<Vec<u8>>,
    bodies: Vec<(u64, Option<String>, Option<u64>)>,
    reports: Vec<Row>,
    aliases: Vec<(String, String)>,
    note: String,
    root: [u8; 32],
    published: String,
}

async fn log_of(store: &dyn Store) -> Log {
    let head = store.head().await.unwrap().unwrap();
    let (mut bodies, mut reports) = (Vec::new(), Vec::new());
    let mut from = 0;
    loop {
        let page = store.log_bodies(from, head.size, 500).await.unwrap();
        let Some(last) = page.last() else { break };
        from = last.index + 1;
        bodies.extend(page.into_iter().map(|b| (b.index, b.jws, b.erased_by)));
    }
    from = 0;
    loop {
        let page = store.bodies(from, head.size, 500).await.unwrap();
        let Some(last) = page.last() else { break };
        from = last.index + 1;
        let row = |r: goodstanding::store::StoredReport| {
            (
                r.index,
                r.at_ms,
                r.id.0,
                r.historical,
                r.superseded_by,
                r.jws,
            )
        };
        reports.extend(page.into_iter().map(row));
    }
    let aliases = store.aliases().await.unwrap();
    Log {
        entries: store.entries(0, head.size).await.unwrap(),
        bodies,
        reports,
        aliases: aliases
            .into_iter()
            .map(|(a, did)| (a, did.to_string()))
            .collect(),
        note: head.note,
        root: head.root,
        published: store.published().await.unwrap().unwrap().note,
    }
}

/// An entry without what is no function of the input.
fn masked(entry: &[u8]) -> Value {
    let mut entry: Value = serde_json::from_slice(entry).unwrap();
    for member in ["at", "score_root", "salt_key_sha256"] {
        entry.as_object_mut().unwrap().remove(member);
    }
    entry
}

async fn statements(store: &dyn Store) -> Vec<StoredStatement> {
    let mut all = Vec::new();
    loop {
        let page = store.statements(1, all.len() as u64, 500).await.unwrap();
        if page.is_empty() {
            return all;
        }
        all.extend(page);
    }
}

/// What these statements come to with this salt, computed here and by nothing that any command ran.
fn score_root(statements: &[StoredStatement], salt: &[u8; 32]) -> [u8; 32] {
    let mut edge = goodstanding::log::tree::Edge::default();
    edge.append(
        statements.iter().map(|of| {
            let claims = serde_json::from_str(&of.claims).unwrap();
            let told = statement::disclosures(&claims, salt, &of.agent).unwrap();
            statement::Statement::new(of.agent, of.epoch, told.iter().map(|d| d.digest))
                .unwrap()
                .leaf_hash()
        }),
        &mut Touched::new(),
    );
    edge.root()
}

/// The program: the one that `GOODSTANDING_BINARY` names, as `tests/evaluate.sh` does with the released one, else the one under test.
fn binary() -> PathBuf {
    let named = std::env::var_os("GOODSTANDING_BINARY");
    named.map_or_else(|| env!("CARGO_BIN_EXE_goodstanding").into(), PathBuf::from)
}

fn took<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let began = Instant::now();
    let done = work();
    (done, began.elapsed())
}

/// Imports with the program `binary` into both, sets a policy, computes an epoch, and compares everything.
async fn same_on_both(binary: &Path, set: &Set) {
    let reports = shared(set.reports);
    let seeds = format!("@{}", shared(set.seeds).display());
    let database = Database::new().await;
    database.store().await.close().await;
    let dir = tempfile::tempdir().unwrap();
    let sides = [
        Side {
            binary: binary.to_owned(),
            data: dir.path().join("file"),
            database_url: None,
        },
        Side {
            binary: binary.to_owned(),
            data: dir.path().join("server"),
            database_url: Some(database.url()),
        },
    ];
    let (told, on_file) = took(|| sides[0].import(&reports));
    assert_eq!(told["new"], told["rows"]);
    fs::create_dir_all(sides[1].data.join("keys")).unwrap();
    for file in fs::read_dir(sides[0].data.join("keys")).unwrap() {
        let file = file.unwrap();
        fs::copy(
            file.path(),
            sides[1].data.join("keys").join(file.file_name()),
        )
        .unwrap();
    }
    let (again, on_server) = took(|| sides[1].import(&reports));
    for member in ["rows", "new", "already_there", "refused"] {
        assert_eq!(again[member], told[member], "{member}");
    }

    let (file, server) = (sides[0].store().await, sides[1].store().await);
    let (one, other) = (log_of(file.as_ref()).await, log_of(server.as_ref()).await);
    assert!(one.entries.len() >= set.at_least.0 && one.bodies.len() == one.reports.len());
    // Not assert_eq: nobody reads thousands of reports.
    assert!(one.entries == other.entries, "entries");
    assert!(
        one.bodies == other.bodies && one.reports == other.reports,
        "reports"
    );
    assert_eq!((one.root, &one.note), (other.root, &other.note));
    assert!(one == other, "aliases, or the published checkpoint");
    let imported = one.root;
    // Not only the end: a proof of any tree size is the same.
    let size = one.entries.len() as u64;
    for size in [1, 255, 256, 257, size / 2, size - 1] {
        let edges = [&file, &server].map(|store| prove::edge(store.as_ref(), size));
        let [one, other] = edges;
        assert_eq!(
            one.await.unwrap().root(),
            other.await.unwrap().root(),
            "{size}"
        );
    }

    let as_of = one.reports.iter().map(|r| r.1).max().unwrap() / 1000;
    let (mut scores, mut epochs) = (Vec::new(), Vec::new());
    for side in &sides {
        side.run(&["policy", "set", "--preset", set.preset, "--seeds", &seeds]);
        let (_, epoch) = took(|| side.run(&["epoch", "--as-of", &as_of.to_string()]));
        epochs.push(epoch);
        scores.push(side.run(&["scores", "--format", "csv"]));
    }
    assert!(scores[0] == scores[1], "scores");
    assert!(scores[0].split(|b| *b == b'\n').count() > set.at_least.1);

    let end = size + 2;
    let (events, others) = (
        file.entries(size, end + 1).await.unwrap(),
        server.entries(size, end + 1).await.unwrap(),
    );
    assert_eq!(
        (events.len(), others.len()),
        (2, 2),
        "a policy and an epoch"
    );
    for (one, other) in events.iter().zip(&others) {
        assert_eq!(masked(one), masked(other));
    }
    let (one, other) = (
        statements(file.as_ref()).await,
        statements(server.as_ref()).await,
    );
    assert!(one == other, "statements");
    for (store, of) in [(&file, &other), (&server, &one)] {
        let epoch = store.epoch(None).await.unwrap().unwrap();
        let entry = goodstanding::epoch::entry_of(&epoch).unwrap();
        assert_eq!(entry.score_root.0, score_root(of, &epoch.salt_key));
        let head = store.head().await.unwrap().unwrap();
        let entries = store.entries(0, head.size).await.unwrap();
        let leaves: Vec<_> = entries.iter().map(|e| merkle::leaf_hash(e)).collect();
        let mut edge = goodstanding::log::tree::Edge::default();
        edge.append(leaves, &mut Touched::new());
        assert_eq!(edge.root(), head.root);
    }
    assert_eq!(
        file.reached().await.unwrap().len(),
        server.reached().await.unwrap().len()
    );
    println!(
        "{size} entries, root {}, {} statements, {} bytes of scores: the same on both\n\
         import  {on_file:.2?} SQLite, {on_server:.2?} PostgreSQL\n\
         epoch   {:.2?} SQLite, {:.2?} PostgreSQL",
        b64::std_encode(imported),
        one.len(),
        scores[0].len(),
        epochs[0],
        epochs[1]
    );
    // Connections of these would keep the database from being dropped in order.
    file.close().await;
    server.close().await;
}

#[tokio::test]
async fn an_imported_market_is_the_same_on_both_databases() {
    same_on_both(&binary(), &MARKET).await;
}

#[tokio::test]
#[ignore = "takes long with a debug build; tests/evaluate.sh runs it"]
async fn an_imported_rating_network_is_the_same_on_both_databases() {
    same_on_both(&binary(), &RATING_NETWORK).await;
}
