//! An honest market to audit, and a forger with the log's own key.
#![allow(
    unreachable_pub,
    clippy::allow_attributes,
    reason = "shared by the tests of this binary"
)]

use std::path::{Path, PathBuf};

use goodstanding::{
    audit::{DirSource, Disagreement, Failure, Options, Summary, audit},
    keys::KeyFile,
    log::{
        sequencer::Submission,
        sign::LogSigner,
        tree::{Edge, Touched},
    },
};
use goodstanding_verify::{merkle::leaf_hash, report::Report};
use serde_json::{Value, json};
use sqlx::{Connection as _, Row as _, SqliteConnection, sqlite::SqliteConnectOptions};

use crate::support::{Service, T0, agent, payload, sign};

/// The subject of one trade says the same of its buyer.
pub fn answer(n: u32, trade: &str, time: u64) -> String {
    let (buyer, seller) = (agent(n % 8), agent(10 + n % 4));
    let mut other = payload(&seller, &buyer, trade, time);
    other["trade"]["role"] = json!("seller");
    sign(&seller, &other)
}

/// The buyer's report on trade `n`.
pub fn purchase(n: u32, trade: &str, time: u64) -> String {
    let (buyer, seller) = (agent(n % 8), agent(10 + n % 4));
    sign(&buyer, &payload(&buyer, &seller, trade, time))
}

/// A market with everything in it that an audit has rules for: matched and unilateral reports, a supersession, a historical
/// import, two policies with seeds, two epochs; more than two full tiles.
pub async fn market() -> Service {
    let service = Service::start(T0).await;
    // An operator's import of a trade that ended a year ago.
    let old = purchase(3, "t-old", T0 - 31_536_000);
    let submission = Submission {
        report: Report::verify(&old).unwrap(),
        jws: old,
        historical_ms: Some((T0 - 31_536_000) * 1000),
    };
    let patience = std::time::Duration::from_secs(5);
    let answers = service.app.log.submit(vec![submission], false, patience);
    answers.await.unwrap().remove(0).unwrap();
    trade(&service, 0..240).await;
    service.set_seeds(&[0, 1]).await;
    goodstanding::epoch::run(&service.app, None).await.unwrap();
    service.clock.set_ms((T0 + 3600) * 1000);
    // A buyer changes its mind.
    let (buyer, seller) = (agent(0), agent(10));
    let first = service.entry(report_index(&service, "t-0").await).await;
    let first: Value = serde_json::from_slice(&first).unwrap();
    let mut second = payload(&buyer, &seller, "t-0", T0 - 60);
    second["jti"] = json!("jti-t-0-again");
    second["supersedes"] = first["id"].clone();
    second["outcome"] = json!({"status": "failed"});
    let (status, _) = service.submit(sign(&buyer, &second)).await;
    assert_eq!(status, 201);
    trade(&service, 240..400).await;
    service.set_seeds(&[1, 2]).await;
    goodstanding::epoch::run(&service.app, None).await.unwrap();
    service.app.log.publish().await.unwrap();
    service
}

/// The entry of the first buyer's report on a trade.
async fn report_index(service: &Service, trade: &str) -> u64 {
    let found = service
        .get_json(&format!(
            "/v1/reports?trade_id={trade}&reporter={}",
            agent(0).did()
        ))
        .await;
    found["items"][0]["leaf_index"].as_u64().unwrap()
}

/// Trades; two of three are reported by both sides.
pub async fn trade(service: &Service, trades: std::ops::Range<u32>) {
    let mut lines = Vec::new();
    for n in trades {
        let id = format!("t-{n}");
        lines.push(purchase(n, &id, T0 - 60));
        if n % 3 != 0 {
            lines.push(answer(n, &id, T0 - 60));
        }
    }
    let answers = service.submit_lines(&lines).await;
    assert!(
        answers.iter().all(|a| a["leaf_index"].is_u64()),
        "{answers:?}"
    );
}

/// A copy of a data directory, and SQL on it.
pub struct Copy {
    dir: tempfile::TempDir,
}

impl Copy {
    pub fn of(original: &Path) -> Self {
        // A connection that is just being closed takes its files beside the database away.
        for _ in 0..50 {
            let dir = tempfile::tempdir().unwrap();
            match copy(original, dir.path()) {
                Ok(()) => return Self { dir },
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                    std::thread::sleep(std::time::Duration::from_millis(20));
                }
                Err(error) => panic!("{error}"),
            }
        }
        panic!("{} does not come to rest", original.display());
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    pub async fn connect(&self) -> SqliteConnection {
        let options = SqliteConnectOptions::new()
            .filename(self.path().join("goodstanding.sqlite"))
            .foreign_keys(false);
        SqliteConnection::connect_with(&options).await.unwrap()
    }

    /// Runs statements; every one has to change something.
    pub async fn sql(&self, statements: &[&str]) {
        let mut db = self.connect().await;
        for statement in statements {
            let text = sqlx::AssertSqlSafe((*statement).to_owned());
            let done = sqlx::query(text).execute(&mut db).await.unwrap();
            let is_schema = statement.starts_with("DROP");
            assert!(is_schema || done.rows_affected() > 0, "{statement}");
        }
        db.close().await.unwrap();
    }

    /// Changes the first byte of a stored tile.
    pub async fn change_tile(&self, level: u8, n: u64) {
        let mut db = self.connect().await;
        let n = i64::try_from(n).unwrap();
        let mut hashes: Vec<u8> =
            sqlx::query_scalar("SELECT hashes FROM tiles WHERE tree = 0 AND level = ? AND n = ?")
                .bind(i64::from(level))
                .bind(n)
                .fetch_one(&mut db)
                .await
                .unwrap();
        hashes[0] ^= 1;
        sqlx::query("UPDATE tiles SET hashes = ? WHERE tree = 0 AND level = ? AND n = ?")
            .bind(hashes)
            .bind(i64::from(level))
            .bind(n)
            .execute(&mut db)
            .await
            .unwrap();
        db.close().await.unwrap();
    }

    /// All entries.
    pub async fn entries(&self) -> Vec<Value> {
        let mut db = self.connect().await;
        let rows = sqlx::query("SELECT bytes FROM entries ORDER BY idx")
            .fetch_all(&mut db)
            .await
            .unwrap();
        let parse =
            |row: &sqlx::sqlite::SqliteRow| serde_json::from_slice(row.get::<&[u8], _>(0)).unwrap();
        rows.iter().map(parse).collect()
    }

    /// The first entry for which this holds.
    pub async fn find(&self, is_it: impl Fn(&Value) -> bool) -> (u64, Value) {
        let entries = self.entries().await;
        let place = entries.iter().position(is_it).unwrap();
        (place as u64, entries[place].clone())
    }

    /// Puts another entry into the place of one.
    pub async fn replace_entry(&self, index: u64, entry: &Value) {
        let mut db = self.connect().await;
        let done = sqlx::query("UPDATE entries SET bytes = ? WHERE idx = ?")
            .bind(canonical(entry))
            .bind(i64::try_from(index).unwrap())
            .execute(&mut db)
            .await
            .unwrap();
        assert_eq!(done.rows_affected(), 1);
        db.close().await.unwrap();
    }

    /// Adds an entry, with a report's bytes if it is one; returns its index.
    pub async fn append(&self, entry: &Value, jws: Option<&str>) -> u64 {
        let mut db = self.connect().await;
        let index: i64 = sqlx::query_scalar("SELECT max(idx) + 1 FROM entries")
            .fetch_one(&mut db)
            .await
            .unwrap();
        sqlx::query("INSERT INTO entries (idx, at_ms, kind, bytes) VALUES (?, ?, ?, ?)")
            .bind(index)
            .bind(entry["at"].as_i64().unwrap())
            .bind(entry["kind"].as_str().unwrap())
            .bind(canonical(entry))
            .execute(&mut db)
            .await
            .unwrap();
        if let Some(jws) = jws {
            for text in [
                "DROP INDEX IF EXISTS reports_jti",
                "DROP INDEX IF EXISTS reports_current",
            ] {
                sqlx::query(text).execute(&mut db).await.unwrap();
            }
            // The working copy's row only makes the body servable; its other columns are not looked at. An id that is
            // there already gets another row, as a forger's would.
            let id = goodstanding_verify::digest::sha256(format!("{jws}{index}").as_bytes());
            sqlx::query(
                "INSERT INTO reports (idx, id, at_ms, reporter, subject, market, trade_id, role, jti, historical, alone) \
                 VALUES (?, ?, ?, 1, 2, 1, 'x', 0, ?, 0, 0)",
            )
            .bind(index)
            .bind(id.0.to_vec())
            .bind(entry["at"].as_i64().unwrap())
            .bind(format!("forged {index}"))
            .execute(&mut db)
            .await
            .unwrap();
            sqlx::query("INSERT INTO bodies (idx, jws) VALUES (?, ?)")
                .bind(index)
                .bind(jws)
                .execute(&mut db)
                .await
                .unwrap();
        }
        db.close().await.unwrap();
        u64::try_from(index).unwrap()
    }

    /// Adds a report and its entry.
    pub async fn append_report(&self, jws: &str, at: u64) -> u64 {
        let id = goodstanding_verify::digest::sha256(jws.as_bytes()).to_string();
        let entry = json!({"v": 1, "kind": "report", "at": at, "id": id});
        self.append(&entry, Some(jws)).await
    }

    /// `at` of the newest entry.
    pub async fn now(&self) -> u64 {
        self.entries().await.last().unwrap()["at"].as_u64().unwrap()
    }

    pub fn signer(&self) -> LogSigner {
        let key = KeyFile::read(&self.path().join("keys/log.json")).unwrap();
        let origin = {
            let guard = std::fs::read_to_string(self.path().join("head.guard")).unwrap();
            guard.lines().next().unwrap().to_owned()
        };
        LogSigner::new(&origin, key)
    }

    /// Rebuilds tree and checkpoint over whatever the entries are now, and signs it with the log's real key.
    pub async fn resign(&self) -> u64 {
        let mut db = self.connect().await;
        let rows = sqlx::query("SELECT bytes FROM entries ORDER BY idx")
            .fetch_all(&mut db)
            .await
            .unwrap();
        let (mut edge, mut tiles) = (Edge::default(), Touched::new());
        edge.append(
            rows.iter().map(|row| leaf_hash(row.get::<&[u8], _>(0))),
            &mut tiles,
        );
        sqlx::query("DELETE FROM tiles WHERE tree = 0")
            .execute(&mut db)
            .await
            .unwrap();
        for (id, tile) in tiles {
            sqlx::query("INSERT INTO tiles (tree, level, n, hashes) VALUES (0, ?, ?, ?)")
                .bind(i64::from(id.level))
                .bind(i64::try_from(id.n).unwrap())
                .bind(tile.concat())
                .execute(&mut db)
                .await
                .unwrap();
        }
        let note = self.signer().checkpoint(edge.size(), &edge.root());
        let size = i64::try_from(edge.size()).unwrap();
        for text in [
            "DELETE FROM checkpoints WHERE size >= ?1 OR ?2 = ''",
            "INSERT INTO checkpoints (size, published_ms, note) VALUES (?1, 0, ?2)",
        ] {
            sqlx::query(text)
                .bind(size)
                .bind(&note)
                .execute(&mut db)
                .await
                .unwrap();
        }
        db.close().await.unwrap();
        edge.size()
    }

    pub async fn audit(&self, options: &Options) -> Result<Summary, Failure> {
        let source = DirSource::open(self.path()).await.unwrap();
        let done = audit(&source, options, &|_, _| ()).await;
        source.close().await;
        done
    }

    /// What an audit finds wrong.
    pub async fn found(&self, options: &Options) -> Disagreement {
        found(self.audit(options).await)
    }
}

/// The disagreement that an audit has to end with.
pub fn found(done: Result<Summary, Failure>) -> Disagreement {
    match done {
        Err(Failure::Disagrees(found)) => *found,
        other => panic!("not a disagreement: {other:?}"),
    }
}

/// The fault of operation that an audit has to end with.
pub fn fault(done: Result<Summary, Failure>) -> goodstanding::code::Fault {
    match done {
        Err(Failure::Fault(fault)) => fault,
        other => panic!("not a fault: {other:?}"),
    }
}

pub fn canonical(entry: &Value) -> Vec<u8> {
    goodstanding_verify::json::canonical(entry).unwrap()
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(to)?;
    for file in std::fs::read_dir(from)? {
        let file = file?;
        let target: PathBuf = to.join(file.file_name());
        if file.file_type()?.is_dir() {
            copy(&file.path(), &target)?;
        } else {
            std::fs::copy(file.path(), target)?;
        }
    }
    Ok(())
}
