//! What admission has to remember of every report, in a scratch SQLite file instead of memory: which ids, jtis and
//! documents came before, which report is the current one on each side of each trade, and who reported alone when.
//!
//! Keys are SHA-256 digests cut to 16 bytes. Rows go in and questions are asked a window at a time: one statement takes
//! all keys of a window packed into one blob and unpacks them over a table of small numbers, so a row costs a B-tree step
//! and little else. The file is scratch: it records the size that it is at, and is made anew when in doubt.

mod keys;
mod rows;

use std::path::{Path, PathBuf};

use goodstanding_verify::report::ReportId;
use sqlx::{
    ConnectOptions as _, Connection as _, Row as _, SqliteConnection,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};

use crate::code::{Code, Fault};

/// Version of the layout; another one is made anew.
const LAYOUT: &str = "2";
/// Page cache, KiB: all the memory that the index takes.
const CACHE_KIB: u32 = 16_384;
/// Largest window, entries.
pub(super) const WINDOW: u64 = 2048;

const SCHEMA: &str = "\
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE seq (n INTEGER PRIMARY KEY) STRICT;
INSERT INTO seq WITH RECURSIVE s (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM s WHERE n < 16383) SELECT n FROM s;
-- One row a report entry: id (32 bytes), log time in ms (8, big-endian), 1 if historical.
CREATE TABLE reports (idx INTEGER PRIMARY KEY, row BLOB NOT NULL) STRICT;
CREATE TABLE jtis (key BLOB PRIMARY KEY, idx INTEGER NOT NULL) STRICT, WITHOUT ROWID;
-- The reports on one side of one trade, the newest of them the current one: twice its index, plus one for the seller's side.
CREATE TABLE sides (key BLOB, report INTEGER, PRIMARY KEY (key, report)) STRICT, WITHOUT ROWID;
-- Document (16 bytes), index of a report that brought it (8, big-endian).
CREATE TABLE documents (key BLOB PRIMARY KEY) STRICT, WITHOUT ROWID;
-- Reporter (16 bytes), log time in ms (8, big-endian), index (8, big-endian).
CREATE TABLE alone (key BLOB PRIMARY KEY) STRICT, WITHOUT ROWID;
-- Reports whose bytes are gone, and the erasure entry that says so once it was met.
CREATE TABLE erased (idx INTEGER PRIMARY KEY, id BLOB NOT NULL, at_ms INTEGER, entry INTEGER) STRICT;
CREATE TABLE events (idx INTEGER PRIMARY KEY, bytes BLOB NOT NULL) STRICT;
";

/// The current report on a side of a trade.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Current {
    /// Index of its entry.
    pub(super) index: u64,
    /// Whether its reporter sold.
    pub(super) seller: bool,
}

/// A report whose bytes are gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Erased {
    /// Index of its entry.
    pub(super) index: u64,
    /// Its id.
    pub(super) id: ReportId,
    /// Its log time, Unix milliseconds, where it is known.
    pub(super) at_ms: Option<u64>,
    /// Index of the erasure entry, once that was met.
    pub(super) entry: Option<u64>,
    /// Whether this audit has its bytes all the same.
    pub(super) held: bool,
}

/// A report entry as remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Remembered {
    /// Index of its entry.
    pub(super) index: u64,
    /// Its id.
    pub(super) id: ReportId,
    /// Its log time, Unix milliseconds.
    pub(super) at_ms: u64,
    /// Whether an operator imported it.
    pub(super) historical: bool,
}

/// The index.
#[derive(Debug)]
pub(super) struct Index {
    connection: SqliteConnection,
    path: PathBuf,
    /// Removed when it is closed.
    temporary: bool,
    /// Whether reports can be found by their id: only once something was erased.
    by_id: bool,
    /// Whether what is known of a report can be found by its place: likewise.
    by_place: bool,
}

impl Index {
    /// Opens the index beside a state file, or makes it; `None` makes a temporary one.
    ///
    /// # Errors
    /// `audit.state_unusable` when the file cannot be made.
    pub(super) async fn open(path: Option<&Path>) -> Result<Self, Fault> {
        let Some(path) = path else {
            return Self::make(temporary_path()?, true).await;
        };
        if path.exists() {
            // Whatever is wrong with a scratch file, a new one is the answer.
            match Self::reopen(path).await {
                Ok(Some(index)) => return Ok(index),
                Ok(None) | Err(_) => remove(path),
            }
        }
        Self::make(path.to_owned(), false).await
    }

    async fn connect(
        path: &Path,
        temporary: bool,
        create: bool,
    ) -> Result<SqliteConnection, Fault> {
        // Losing the file costs time only, so nothing is synced; the journal keeps a killed audit's file whole.
        let journal = if temporary {
            SqliteJournalMode::Off
        } else {
            SqliteJournalMode::Delete
        };
        SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(create)
            .journal_mode(journal)
            .synchronous(SqliteSynchronous::Off)
            .pragma("cache_size", format!("-{CACHE_KIB}"))
            .pragma("locking_mode", "EXCLUSIVE")
            .connect()
            .await
            .map_err(|e| unusable(path, &e))
    }

    async fn reopen(path: &Path) -> Result<Option<Self>, Fault> {
        let mut index = Self {
            connection: Self::connect(path, false, false).await?,
            path: path.to_owned(),
            temporary: false,
            by_id: false,
            by_place: false,
        };
        if index.meta("layout").await?.as_deref() != Some(LAYOUT)
            || index.meta("boot").await? != Some(boot())
        {
            index.close().await;
            return Ok(None);
        }
        index.by_id = index.meta("by_id").await?.is_some();
        index.by_place = index.meta("by_place").await?.is_some();
        index.run("BEGIN").await?;
        Ok(Some(index))
    }

    async fn make(path: PathBuf, temporary: bool) -> Result<Self, Fault> {
        let mut index = Self {
            connection: Self::connect(&path, temporary, true).await?,
            path,
            temporary,
            by_id: false,
            by_place: false,
        };
        index.run("BEGIN").await?;
        sqlx::raw_sql(SCHEMA)
            .execute(&mut index.connection)
            .await
            .map_err(|e| unusable(&index.path, &e))?;
        index.set_meta("layout", LAYOUT).await?;
        // What is not synced survives a kill, not a crash of the machine.
        index.set_meta("boot", &boot()).await?;
        Ok(index)
    }

    /// Empties the index.
    ///
    /// # Errors
    /// When the file cannot be made.
    pub(super) async fn restart(self) -> Result<Self, Fault> {
        let (path, temporary) = (self.path.clone(), self.temporary);
        self.close().await;
        remove(&path);
        Self::make(path, temporary).await
    }

    /// Makes everything so far permanent.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) async fn save(&mut self, snapshot: &str) -> Result<(), Fault> {
        self.set_meta("snapshot", snapshot).await?;
        self.run("COMMIT").await?;
        self.run("BEGIN").await
    }

    /// What was given to the last [`Self::save`].
    ///
    /// # Errors
    /// When it cannot be read.
    pub(super) async fn snapshot(&mut self) -> Result<Option<String>, Fault> {
        self.meta("snapshot").await
    }

    /// Closes the file; what was not saved is forgotten, and so is a temporary file.
    pub(super) async fn close(self) {
        let Self {
            mut connection,
            path,
            temporary,
            ..
        } = self;
        let _ = sqlx::query("ROLLBACK").execute(&mut connection).await;
        let _ = connection.close().await;
        if temporary {
            remove(&path);
        }
    }

    async fn run(&mut self, sql: &'static str) -> Result<(), Fault> {
        let done = sqlx::query(sql).execute(&mut self.connection).await;
        done.map(|_| ()).map_err(|e| unusable(&self.path, &e))
    }

    /// A note kept with the index.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(super) async fn note(&mut self, key: &str) -> Result<Option<String>, Fault> {
        self.meta(key).await
    }

    /// Keeps a note with the index.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) async fn keep(&mut self, key: &str, value: &str) -> Result<(), Fault> {
        self.set_meta(key, value).await
    }

    async fn meta(&mut self, key: &str) -> Result<Option<String>, Fault> {
        sqlx::query_scalar("SELECT value FROM meta WHERE key = ?")
            .bind(key)
            .fetch_optional(&mut self.connection)
            .await
            .map_err(|e| unusable(&self.path, &e))
    }

    async fn set_meta(&mut self, key: &str, value: &str) -> Result<(), Fault> {
        let done = sqlx::query(
            "INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
        )
        .bind(key)
        .bind(value)
        .execute(&mut self.connection)
        .await;
        done.map(|_| ()).map_err(|e| unusable(&self.path, &e))
    }

    /// Runs one packed statement: `?1` the rows of `width` bytes each, `?2` how many, `?3` the first index.
    async fn packed(
        &mut self,
        sql: &'static str,
        rows: &[u8],
        width: usize,
        first: u64,
    ) -> Result<Vec<(u64, u64)>, Fault> {
        let count = to_i64(u64::try_from(rows.len() / width).unwrap_or(0))?;
        let found = sqlx::query(sql)
            .bind(rows)
            .bind(count)
            .bind(to_i64(first)?)
            .fetch_all(&mut self.connection)
            .await
            .map_err(|e| unusable(&self.path, &e))?;
        let pair = |row: &sqlx::sqlite::SqliteRow| Ok((to_u64(row.get(0))?, to_u64(row.get(1))?));
        found.iter().map(pair).collect()
    }
}

/// What tells one run of the machine from the next, where the system says it.
fn boot() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .map(|id| id.trim().to_owned())
        .unwrap_or_default()
}

fn temporary_path() -> Result<PathBuf, Fault> {
    let mut name = [0; 8];
    getrandom::fill(&mut name)
        .map_err(|e| Fault::new(Code::Internal, format!("no random bytes: {e}")))?;
    let name = format!("goodstanding-audit-{:016x}", u64::from_be_bytes(name));
    Ok(std::env::temp_dir().join(name))
}

/// A file and its journal; one that is not there is as good as removed.
fn remove(path: &Path) {
    let _ = std::fs::remove_file(path);
    let mut journal = path.as_os_str().to_owned();
    journal.push("-journal");
    let _ = std::fs::remove_file(journal);
}

fn unusable(path: &Path, error: &sqlx::Error) -> Fault {
    Fault::new(
        Code::AuditState,
        format!("the index {}: {error}", path.display()),
    )
}

fn damaged() -> Fault {
    Fault::new(Code::AuditState, "the index is damaged; remove it")
}

fn to_i64(n: u64) -> Result<i64, Fault> {
    i64::try_from(n).map_err(|_| damaged())
}

fn to_u64(n: i64) -> Result<u64, Fault> {
    u64::try_from(n).map_err(|_| damaged())
}
