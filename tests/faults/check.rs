//! The full check that follows every fault: everything that is stored is derived again, independently of the code that
//! stored it, from the entries up, with `goodstanding_verify` alone.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use goodstanding::{
    audit::{self, DirSource},
    fsck,
    keys::KeyFile,
};
use goodstanding_verify::{
    checkpoint::SignedCheckpoint,
    digest::sha256,
    entry::{Body, Entry},
    frontier::Frontier,
    merkle::{self, Hash, leaf_hash},
    note::VerifierKey,
    proof::TlogProof,
    report::ReportId,
};
use sqlx::{
    ConnectOptions as _, Connection as _, Executor as _, Row as _, SqliteConnection,
    sqlite::SqliteConnectOptions,
};

/// Leaves that an earlier check of the same log went through completely: they must be the same, and need no second look.
#[derive(Clone, Default)]
pub(crate) struct Known {
    pub leaves: Vec<Hash>,
    /// They are not even read again, nor their complete tiles: for many looks at a long log.
    pub unread: bool,
}

impl Known {
    pub(crate) fn of(leaves: &[Hash]) -> Self {
        Self {
            leaves: leaves.to_vec(),
            unread: false,
        }
    }

    fn unread(&self) -> usize {
        if self.unread { self.leaves.len() } else { 0 }
    }
}

/// An acknowledgement as a client keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Acknowledged {
    pub index: u64,
    pub id: String,
    pub proof: Option<String>,
}

/// What a directory holds that passed the check.
#[derive(Debug, Default)]
pub(crate) struct Checked {
    pub leaves: Vec<Hash>,
    /// From `first` on.
    entries: Vec<Vec<u8>>,
    first: usize,
    /// Report id → index.
    pub reports: BTreeMap<ReportId, u64>,
    /// Size of the newest published checkpoint.
    pub published: Option<u64>,
    /// Size that the head guard holds.
    pub guard: Option<u64>,
    key: Option<VerifierKey>,
}

impl Checked {
    pub(crate) fn size(&self) -> u64 {
        self.leaves.len() as u64
    }

    /// Every acknowledged report is where its client was told, and every receipt verifies and lies on this very tree.
    pub(crate) fn holds<'a>(&self, ledger: impl IntoIterator<Item = &'a Acknowledged>) {
        let mut promised = BTreeMap::new();
        for told in ledger {
            let entry = self
                .entries
                .get(usize::try_from(told.index).unwrap() - self.first)
                .unwrap_or_else(|| panic!("acknowledged entry {} is missing", told.index));
            match Entry::parse(entry).unwrap().body {
                Body::Report { id, .. } => assert_eq!(
                    id.to_string(),
                    told.id,
                    "entry {} is another report than the acknowledged one",
                    told.index
                ),
                other => panic!("entry {} is no report but {other:?}", told.index),
            }
            let Some(proof) = &told.proof else { continue };
            let proof = TlogProof::parse(proof).unwrap();
            assert_eq!(proof.index, told.index);
            let signed = proof.signed_checkpoint().unwrap();
            let checkpoint = signed.verify_log(self.key.as_ref().unwrap()).unwrap();
            proof.verify_inclusion(entry, checkpoint).unwrap();
            promised.insert(checkpoint.size, checkpoint.root);
        }
        assert_on_tree(&self.leaves, &promised, "a receipt's checkpoint");
    }
}

/// Every promised (size, root) is a prefix of the tree over `leaves`.
fn assert_on_tree(leaves: &[Hash], promised: &BTreeMap<u64, Hash>, what: &str) {
    let mut frontier = Frontier::default();
    let mut leaves = leaves.iter();
    for (size, root) in promised {
        while frontier.size() < *size {
            let leaf = leaves
                .next()
                .unwrap_or_else(|| panic!("{what} of {size} entries is ahead of the log"));
            frontier.push(*leaf);
        }
        assert_eq!(
            frontier.root(),
            *root,
            "{what} of {size} entries is on another tree"
        );
    }
}

/// What the product's own `fsck` and `audit` say of a directory with a published checkpoint: nothing is wrong.
pub(crate) async fn fsck_and_audit(dir: &Path, at: &str) {
    let now_s = goodstanding::clock::Clock::System.now_s();
    let outcome = fsck::run(dir, &fsck::Options::new(now_s)).await.unwrap();
    assert!(outcome.ok && outcome.complete, "{at}: {outcome:#?}");
    let source = DirSource::open(dir).await.unwrap();
    let options = audit::Options {
        now_s,
        ..audit::Options::default()
    };
    let audited = audit::audit(&source, &options, &|_, _| ()).await;
    source.close().await;
    assert!(audited.is_ok(), "{at}: {audited:?}");
}

/// The full check of a directory that nobody has open, or that this process has. Panics at the first thing that is wrong.
pub(crate) async fn full_check(dir: &Path) -> Checked {
    full_check_from(dir, &mut Known::default()).await
}

/// [`full_check`], with a shorter look at what is `known`; what is checked becomes known.
pub(crate) async fn full_check_from(dir: &Path, known: &mut Known) -> Checked {
    // Before the database, so that it can only be behind it if a publishing comes in between.
    let guard = match std::fs::read_to_string(dir.join("head.guard")) {
        Ok(text) => Some(SignedCheckpoint::parse(&text).unwrap()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => panic!("head guard: {error}"),
    };
    // What is known was checked before: SQLite's own check of every page is for a first look.
    let Some(mut database) = open(dir, known.leaves.is_empty()).await else {
        assert!(guard.is_none(), "a head guard without a database");
        return Checked::default();
    };
    database.execute("BEGIN").await.unwrap();
    let checked = Check {
        database: &mut database,
        known,
        guard,
    }
    .run(dir)
    .await;
    database.close().await.unwrap();
    checked
}

/// Opens the database for reading; `None` before it has tables.
async fn open(dir: &Path, thoroughly: bool) -> Option<SqliteConnection> {
    let file = dir.join("goodstanding.sqlite");
    let journal = dir.join("goodstanding.sqlite-journal");
    // A database that was killed while it was made has a journal to roll back, which only a writer can: then in a copy.
    let (file, copy) = if journal.exists() {
        let copy = tempfile::tempdir().unwrap();
        for name in ["goodstanding.sqlite", "goodstanding.sqlite-journal"] {
            std::fs::copy(dir.join(name), copy.path().join(name)).unwrap();
        }
        (copy.path().join("goodstanding.sqlite"), Some(copy))
    } else {
        (file, None)
    };
    if !file.exists() {
        return None;
    }
    let mut database = SqliteConnectOptions::new()
        .filename(&file)
        .read_only(copy.is_none())
        .connect()
        .await
        .unwrap();
    if thoroughly {
        let integrity: String = sqlx::query_scalar("PRAGMA integrity_check")
            .fetch_one(&mut database)
            .await
            .unwrap();
        assert_eq!(integrity, "ok", "SQLite itself finds damage");
    }
    let tables: i64 =
        sqlx::query_scalar("SELECT count(*) FROM sqlite_schema WHERE name IN ('head', 'meta')")
            .fetch_one(&mut database)
            .await
            .unwrap();
    (tables == 2).then_some(database)
}

struct Check<'a> {
    database: &'a mut SqliteConnection,
    known: &'a mut Known,
    guard: Option<SignedCheckpoint>,
}

impl Check<'_> {
    async fn run(mut self, dir: &Path) -> Checked {
        let head = sqlx::query("SELECT size, root, at_ms, note FROM head")
            .fetch_optional(&mut *self.database)
            .await
            .unwrap();
        let Some(head) = head else {
            assert!(self.guard.is_none(), "a head guard before the first entry");
            for table in ["entries", "reports", "bodies", "tiles", "checkpoints"] {
                assert_eq!(self.count(table).await, 0, "{table} before the first entry");
            }
            return Checked::default();
        };
        let key = self.log_key(dir).await;
        let (entries, leaves, newest_at, events) = self.entries().await;
        let (size, root) = (leaves.len() as u64, merkle::root(&leaves));

        let note: String = head.get(3);
        let signed = SignedCheckpoint::parse(&note).unwrap();
        let checkpoint = signed.verify_log(&key).unwrap();
        assert_eq!(
            (checkpoint.size, checkpoint.root),
            (size, root),
            "the signed head is not the tree of all entries"
        );
        assert_eq!(head.get::<i64, _>(0), i64::try_from(size).unwrap());
        assert_eq!(head.get::<Vec<u8>, _>(1), root);
        assert_eq!(head.get::<i64, _>(2), i64::try_from(newest_at).unwrap());

        self.tiles(0, &leaves).await;
        self.epochs(&events).await;
        let gone = self.erasures(&events).await;
        let reports = self.reports(&entries, &gone).await;
        let mut promised = self.published(&key).await;
        let published = promised.last_key_value().map(|(size, _)| *size);
        let guard = self.guard.as_ref().map(|guard| {
            let guard = guard.verify_log(&key).unwrap();
            let recorded = promised.insert(guard.size, guard.root);
            assert!(
                recorded.is_none_or(|root| root == guard.root),
                "the guard has another tree"
            );
            guard.size
        });
        assert_on_tree(&leaves, &promised, "a published or guarded checkpoint");
        assert!(
            guard <= published,
            "the guard ({guard:?}) is ahead of what is recorded as published ({published:?})"
        );
        let first = self.known.unread();
        self.known.leaves.clone_from(&leaves);
        Checked {
            leaves,
            entries,
            first,
            reports,
            published,
            guard,
            key: Some(key),
        }
    }

    async fn count(&mut self, table: &'static str) -> i64 {
        let sql = sqlx::AssertSqlSafe(format!("SELECT count(*) FROM {table}"));
        sqlx::query_scalar(sql)
            .fetch_one(&mut *self.database)
            .await
            .unwrap()
    }

    async fn log_key(&mut self, dir: &Path) -> VerifierKey {
        let origin: String = sqlx::query_scalar("SELECT value FROM meta WHERE key = 'origin'")
            .fetch_one(&mut *self.database)
            .await
            .unwrap();
        let key = KeyFile::read(&dir.join("keys/log.json")).unwrap();
        let signer = goodstanding::log::sign::LogSigner::new(&origin, key);
        signer.vkey().parse().unwrap()
    }

    /// Entries: contiguous, canonical, `at` never going back, columns as in the bytes.
    async fn entries(&mut self) -> (Vec<Vec<u8>>, Vec<Hash>, u64, Vec<(u64, Entry)>) {
        let unread = self.known.unread();
        let rows = sqlx::query(
            "SELECT idx, at_ms, kind, bytes FROM entries WHERE idx >= ?1 OR kind <> 'report' OR idx = ?1 - 1 ORDER BY idx",
        )
        .bind(i64::try_from(unread).unwrap())
        .fetch_all(&mut *self.database)
        .await
        .unwrap();
        let (mut entries, mut events) = (Vec::new(), Vec::new());
        let mut leaves = self.known.leaves[..unread].to_vec();
        let mut newest_at = 0;
        for row in &rows {
            let index = usize::try_from(row.get::<i64, _>(0)).unwrap();
            let bytes: Vec<u8> = row.get(3);
            let at_ms = u64::try_from(row.get::<i64, _>(1)).unwrap();
            assert!(at_ms >= newest_at, "log time goes back at entry {index}");
            newest_at = at_ms;
            let leaf = leaf_hash(&bytes);
            let kind: String = row.get(2);
            let is_known = self.known.leaves.get(index);
            if let Some(known) = is_known {
                assert_eq!(leaf, *known, "entry {index} is not what it was before");
            }
            if is_known.is_none() || kind != "report" {
                let entry = Entry::parse(&bytes).unwrap();
                assert_eq!(entry.at, at_ms, "entry {index}");
                assert_eq!(entry.body.kind(), kind, "entry {index}");
                assert_eq!(
                    entry.to_bytes().unwrap(),
                    bytes,
                    "entry {index} is not canonical"
                );
                if kind != "report" {
                    events.push((index as u64, entry));
                }
            }
            if index >= unread {
                assert_eq!(leaves.len(), index, "a gap in the entries");
                leaves.push(leaf);
                entries.push(bytes);
            }
        }
        assert!(
            leaves.len() >= self.known.leaves.len(),
            "entries that were there before are gone"
        );
        (entries, leaves, newest_at, events)
    }

    /// Exactly the tiles that `leaves` make, at their newest width.
    async fn tiles(&mut self, tree: i64, leaves: &[Hash]) {
        let unread = if tree == 0 {
            self.known.unread() / 256
        } else {
            0
        };
        let rows = sqlx::query(
            "SELECT level, n, hashes FROM tiles WHERE tree = ? AND (level > 0 OR n >= ?) ORDER BY level, n",
        )
        .bind(tree)
        .bind(i64::try_from(unread).unwrap())
        .fetch_all(&mut *self.database)
        .await
        .unwrap();
        let mut stored = rows
            .iter()
            .map(|row| (row.get::<i64, _>(0), row.get::<i64, _>(1), row));
        let mut nodes = leaves.to_vec();
        for level in 0.. {
            let from = if level == 0 { unread } else { 0 };
            for (n, tile) in (0..).zip(nodes.chunks(256)).skip(from) {
                let (stored_level, stored_n, row) = stored
                    .next()
                    .unwrap_or_else(|| panic!("tile {level}/{n} of tree {tree} is missing"));
                assert_eq!((stored_level, stored_n), (level, n), "tree {tree}");
                assert!(
                    row.get::<Vec<u8>, _>(2) == tile.concat(),
                    "tile {level}/{n} of tree {tree} is not what the entries make"
                );
            }
            nodes = nodes.chunks_exact(256).map(merkle::root).collect();
            if nodes.is_empty() {
                break;
            }
        }
        assert!(
            stored.next().is_none(),
            "tree {tree} has a tile that no entry makes"
        );
    }

    /// Every epoch entry has its row, its statements and its score tree, and no row is without an entry.
    async fn epochs(&mut self, events: &[(u64, Entry)]) {
        let rows = sqlx::query("SELECT number, idx, salt_key FROM epochs ORDER BY number")
            .fetch_all(&mut *self.database)
            .await
            .unwrap();
        let mut rows = rows.iter();
        let mut trees = BTreeSet::from([0]);
        for (index, entry) in events {
            let Body::Epoch(epoch) = &entry.body else {
                continue;
            };
            let row = rows.next().expect("an epoch entry without its row");
            let number = i64::try_from(epoch.number).unwrap();
            assert_eq!(row.get::<i64, _>(0), number);
            assert_eq!(row.get::<i64, _>(1), i64::try_from(*index).unwrap());
            assert_eq!(sha256(&row.get::<Vec<u8>, _>(2)), epoch.salt_key_sha256);
            assert!(epoch.log_size <= *index);
            let statements: i64 =
                sqlx::query_scalar("SELECT count(*) FROM statements WHERE epoch = ?")
                    .bind(number)
                    .fetch_one(&mut *self.database)
                    .await
                    .unwrap();
            assert_eq!(u64::try_from(statements).unwrap(), epoch.statements);
            let tiles: Vec<Vec<u8>> = sqlx::query_scalar(
                "SELECT hashes FROM tiles WHERE tree = ? AND level = 0 ORDER BY n",
            )
            .bind(number)
            .fetch_all(&mut *self.database)
            .await
            .unwrap();
            let leaves: Vec<Hash> = tiles
                .concat()
                .chunks_exact(32)
                .map(|leaf| leaf.try_into().unwrap())
                .collect();
            assert_eq!(leaves.len() as u64, epoch.statements);
            assert_eq!(merkle::root(&leaves), epoch.score_root.0, "epoch {number}");
            self.tiles(number, &leaves).await;
            trees.insert(number);
        }
        assert!(rows.next().is_none(), "an epoch row without its entry");
        // What a crash left of an epoch that was not logged: leaves from the first on, as many as it says, of the next epoch.
        let staged: Option<(i64, i64, i64)> = sqlx::query_as(
            "SELECT epoch, leaves, (SELECT count(*) FROM statements s WHERE s.epoch = g.epoch AND s.leaf < g.leaves) \
             FROM staging g WHERE epoch IS NOT NULL",
        )
        .fetch_optional(&mut *self.database)
        .await
        .unwrap();
        if let Some((epoch, leaves, rows)) = staged {
            assert_eq!(leaves, rows, "rows that are staged");
            assert_eq!(Some(&(epoch - 1)), trees.last(), "staged and logged");
            trees.insert(epoch);
        }
        let stated: Vec<i64> = sqlx::query_scalar("SELECT DISTINCT epoch FROM statements")
            .fetch_all(&mut *self.database)
            .await
            .unwrap();
        assert!(
            stated.iter().all(|epoch| trees.contains(epoch)),
            "statements of an epoch that is not there"
        );
        let stored: Vec<i64> = sqlx::query_scalar("SELECT DISTINCT tree FROM tiles")
            .fetch_all(&mut *self.database)
            .await
            .unwrap();
        assert!(
            stored.iter().all(|tree| trees.contains(tree)),
            "tiles of a tree that is not there"
        );
    }

    /// Every erasure entry has its row and took the report away, and no row is without an entry. Indices of what is gone.
    async fn erasures(&mut self, events: &[(u64, Entry)]) -> BTreeSet<u64> {
        let rows = sqlx::query("SELECT idx, id, by FROM erased ORDER BY by")
            .fetch_all(&mut *self.database)
            .await
            .unwrap();
        let mut rows = rows.iter();
        let mut gone = BTreeSet::new();
        for (by, entry) in events {
            let Body::Erasure { of, .. } = &entry.body else {
                continue;
            };
            let row = rows.next().expect("an erasure entry without its row");
            let index: i64 = row.get(0);
            assert_eq!(row.get::<Vec<u8>, _>(1), of.0);
            assert_eq!(row.get::<i64, _>(2), i64::try_from(*by).unwrap());
            for left in [
                "SELECT count(*) FROM bodies WHERE idx = ?",
                "SELECT count(*) FROM reports WHERE idx = ?",
                "SELECT count(*) FROM documents WHERE idx = ?",
            ] {
                let left: i64 = sqlx::query_scalar(left)
                    .bind(index)
                    .fetch_one(&mut *self.database)
                    .await
                    .unwrap();
                assert_eq!(left, 0, "something is left of erased report {index}");
            }
            gone.insert(u64::try_from(index).unwrap());
        }
        assert!(rows.next().is_none(), "an erasure row without its entry");
        gone
    }

    /// Every report entry has its row and its body, but those that are `gone`, and there are no others.
    async fn reports(
        &mut self,
        entries: &[Vec<u8>],
        gone: &BTreeSet<u64>,
    ) -> BTreeMap<ReportId, u64> {
        let from = i64::try_from(self.known.leaves.len()).unwrap();
        let rows = sqlx::query(
            "SELECT r.idx, r.id, r.at_ms, r.historical, b.jws FROM reports r LEFT JOIN bodies b ON b.idx = r.idx \
             WHERE r.idx >= ? ORDER BY r.idx",
        )
        .bind(from)
        .fetch_all(&mut *self.database)
        .await
        .unwrap();
        let mut rows = rows.iter();
        let mut reports = BTreeMap::new();
        let first = self.known.unread();
        let entries = (first..).zip(entries).skip(self.known.leaves.len() - first);
        for (index, bytes) in entries {
            let entry = Entry::parse(bytes).unwrap();
            let Body::Report { id, historical } = entry.body else {
                continue;
            };
            if gone.contains(&(index as u64)) {
                continue;
            }
            let row = rows
                .next()
                .unwrap_or_else(|| panic!("report entry {index} has no row"));
            assert_eq!(usize::try_from(row.get::<i64, _>(0)).unwrap(), index);
            assert_eq!(row.get::<Vec<u8>, _>(1), id.0);
            assert_eq!(u64::try_from(row.get::<i64, _>(2)).unwrap(), entry.at);
            assert_eq!(row.get::<bool, _>(3), historical);
            let jws: Option<String> = row.get(4);
            let jws = jws.unwrap_or_else(|| panic!("report entry {index} has no body"));
            assert_eq!(
                sha256(jws.as_bytes()).0,
                id.0,
                "the body of {index} is another report"
            );
            let before = reports.insert(id, index as u64);
            assert!(before.is_none(), "report {id} stands twice");
        }
        assert!(rows.next().is_none(), "a report row without its entry");
        assert_eq!(
            self.count("bodies").await,
            self.count("reports").await,
            "bodies without reports"
        );
        reports
    }

    /// Every published checkpoint verifies.
    async fn published(&mut self, key: &VerifierKey) -> BTreeMap<u64, Hash> {
        let rows = sqlx::query("SELECT size, note FROM checkpoints ORDER BY size")
            .fetch_all(&mut *self.database)
            .await
            .unwrap();
        let mut promised = BTreeMap::new();
        for row in &rows {
            let signed = SignedCheckpoint::parse(&row.get::<String, _>(1)).unwrap();
            let checkpoint = signed.verify_log(key).unwrap();
            assert_eq!(
                u64::try_from(row.get::<i64, _>(0)).unwrap(),
                checkpoint.size
            );
            promised.insert(checkpoint.size, checkpoint.root);
        }
        promised
    }
}
