//! What admission has to remember of every report, in a scratch SQLite file instead of memory: which ids, jtis and
//! documents came before, which report is the current one on each side of each trade, and who reported alone when.
//!
//! Keys are SHA-256 digests cut to 16 bytes. Rows go in and questions are asked a window at a time: one statement takes
//! all keys of a window packed into one blob and unpacks them over a table of small numbers, so a row costs a B-tree step
//! and little else. The file is scratch: it records the size that it is at, and is made anew when in doubt.

use std::{
    collections::{HashMap, HashSet},
    path::{Path, PathBuf},
};

use goodstanding_verify::report::ReportId;
use sqlx::{
    ConnectOptions as _, Connection as _, Row as _, SqliteConnection,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};

use super::window::Key;
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

    /// Records the reports of a window: `rows` has 41 bytes for every entry, zeros where it is no report.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) async fn add_reports(&mut self, first: u64, rows: &[u8]) -> Result<(), Fault> {
        let sql = "INSERT INTO reports (idx, row) SELECT ?3 + n, substr(?1, n * 41 + 1, 41) FROM seq \
                   WHERE n < ?2 AND substr(?1, n * 41 + 1, 32) <> zeroblob(32)";
        self.packed(sql, rows, 41, first).await.map(|_| ())
    }

    /// Records the jtis of a window, and returns the entries whose jti was there before with the index of the first.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) async fn add_jtis(
        &mut self,
        first: u64,
        keys: &[Key],
    ) -> Result<HashMap<u64, u64>, Fault> {
        let insert = "INSERT OR IGNORE INTO jtis (key, idx) SELECT substr(?1, n * 16 + 1, 16), ?3 + n FROM seq \
                      WHERE n < ?2 AND substr(?1, n * 16 + 1, 16) <> zeroblob(16)";
        let rows = keys.concat();
        let done = sqlx::query(insert)
            .bind(rows.as_slice())
            .bind(to_i64(u64::try_from(keys.len()).unwrap_or(0))?)
            .bind(to_i64(first)?)
            .execute(&mut self.connection)
            .await
            .map_err(|e| unusable(&self.path, &e))?;
        let wanted = keys.iter().filter(|key| **key != Key::default()).count();
        if usize::try_from(done.rows_affected()).ok() == Some(wanted) {
            return Ok(HashMap::new());
        }
        let sql = "SELECT ?3 + n, j.idx FROM seq CROSS JOIN jtis j WHERE n < ?2 AND j.key = substr(?1, n * 16 + 1, 16) \
                   AND j.idx <> ?3 + n";
        let twice = self.packed(sql, &rows, 16, first).await?;
        Ok(twice.into_iter().collect())
    }

    /// The current reports on the sides of a window; by place in `keys`.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(super) async fn sides(&mut self, keys: &[Key]) -> Result<HashMap<usize, Current>, Fault> {
        let sql = "SELECT n, max(s.report) FROM seq CROSS JOIN sides s WHERE n < ?2 \
                   AND s.key = substr(?1, n * 16 + 1, 16) AND ?3 = 0 GROUP BY n";
        let found = self.packed(sql, &keys.concat(), 16, 0).await?;
        Ok(found
            .into_iter()
            .map(|(n, current)| {
                let current = Current {
                    index: current / 2,
                    seller: current % 2 == 1,
                };
                (usize::try_from(n).unwrap_or(usize::MAX), current)
            })
            .collect())
    }

    /// Records the reports of a window on their sides, which makes them the current ones: `sellers` says which of them sold.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) async fn set_sides(
        &mut self,
        first: u64,
        keys: &[Key],
        sellers: &[u8],
    ) -> Result<(), Fault> {
        let sql = "INSERT OR IGNORE INTO sides (key, report) \
                   SELECT substr(?1, n * 17 + 1, 16), 2 * (?3 + n) + (substr(?1, n * 17 + 17, 1) = x'01') FROM seq \
                   WHERE n < ?2 AND substr(?1, n * 17 + 1, 16) <> zeroblob(16)";
        let mut rows = Vec::with_capacity(keys.len() * 17);
        for (key, seller) in keys.iter().zip(sellers) {
            rows.extend_from_slice(key);
            rows.push(*seller);
        }
        self.packed(sql, &rows, 17, first).await.map(|_| ())
    }

    /// Which of these documents came before.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(super) async fn known_documents(&mut self, keys: &[Key]) -> Result<HashSet<Key>, Fault> {
        let sql = "SELECT n, 0 FROM seq WHERE n < ?2 AND ?3 = 0 AND EXISTS (SELECT 1 FROM documents \
                   WHERE key >= substr(?1, n * 16 + 1, 16) AND key <= substr(?1, n * 16 + 1, 16) || x'ffffffffffffffff')";
        let found = self.packed(sql, &keys.concat(), 16, 0).await?;
        let key = |(n, _): (u64, u64)| keys.get(usize::try_from(n).ok()?).copied();
        Ok(found.into_iter().filter_map(key).collect())
    }

    /// Records documents and the indices of the reports that brought them.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) async fn add_documents(&mut self, documents: &[(Key, u64)]) -> Result<(), Fault> {
        let sql = "INSERT OR IGNORE INTO documents (key) SELECT substr(?1, n * 24 + 1, 24) FROM seq WHERE n < ?2 AND ?3 = 0";
        let mut rows = Vec::with_capacity(documents.len() * 24);
        for (key, index) in documents {
            rows.extend_from_slice(key);
            rows.extend_from_slice(&index.to_be_bytes());
        }
        self.packed(sql, &rows, 24, 0).await.map(|_| ())
    }

    /// Forgets everything about a report that only its bytes told. Whoever comes later cannot know it, and the log does not
    /// go by it any more.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) async fn forget(&mut self, index: u64) -> Result<(), Fault> {
        if !self.by_place {
            for sql in [
                "CREATE INDEX jtis_place ON jtis (idx)",
                "CREATE INDEX sides_place ON sides (report)",
                "CREATE INDEX documents_place ON documents (substr(key, 17, 8))",
                "CREATE INDEX alone_place ON alone (substr(key, 25, 8))",
            ] {
                self.run(sql).await?;
            }
            self.set_meta("by_place", "1").await?;
            self.by_place = true;
        }
        let number = to_i64(index)?;
        let place = index.to_be_bytes();
        let deletes = [
            sqlx::query("DELETE FROM jtis WHERE idx = ?").bind(number),
            sqlx::query("DELETE FROM sides WHERE report >= 2 * ?1 AND report <= 2 * ?1 + 1")
                .bind(number),
            sqlx::query("DELETE FROM documents WHERE substr(key, 17, 8) = ?").bind(&place[..]),
            sqlx::query("DELETE FROM alone WHERE substr(key, 25, 8) = ?").bind(&place[..]),
        ];
        for delete in deletes {
            let done = delete.execute(&mut self.connection).await;
            done.map_err(|e| unusable(&self.path, &e))?;
        }
        Ok(())
    }

    /// How many reports on its word alone each reporter has since a log time (Unix milliseconds); one answer each.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(super) async fn count_alone(&mut self, asked: &[(Key, u64)]) -> Result<Vec<u64>, Fault> {
        let sql = "SELECT n, (SELECT count(*) FROM alone WHERE key >= substr(?1, n * 24 + 1, 24) \
                   AND key < substr(?1, n * 24 + 1, 16) || x'ffffffffffffffff') FROM seq WHERE n < ?2 AND ?3 = 0 ORDER BY n";
        let mut rows = Vec::with_capacity(asked.len() * 24);
        for (reporter, since_ms) in asked {
            rows.extend_from_slice(reporter);
            rows.extend_from_slice(&since_ms.to_be_bytes());
        }
        let counts = self.packed(sql, &rows, 24, 0).await?;
        Ok(counts.into_iter().map(|(_, count)| count).collect())
    }

    /// Records reports on their reporters' word alone: reporter, log time (Unix milliseconds), index.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) async fn add_alone(&mut self, alone: &[(Key, u64, u64)]) -> Result<(), Fault> {
        let sql = "INSERT OR IGNORE INTO alone (key) SELECT substr(?1, n * 32 + 1, 32) FROM seq WHERE n < ?2 AND ?3 = 0";
        let mut rows = Vec::with_capacity(alone.len() * 32);
        for (reporter, at_ms, index) in alone {
            rows.extend_from_slice(reporter);
            rows.extend_from_slice(&at_ms.to_be_bytes());
            rows.extend_from_slice(&index.to_be_bytes());
        }
        self.packed(sql, &rows, 32, 0).await.map(|_| ())
    }

    /// The report with this id.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(super) async fn find(&mut self, id: &ReportId) -> Result<Option<Remembered>, Fault> {
        if !self.by_id {
            // Needed only once something was erased, and until then not worth a random write a report.
            self.run("CREATE INDEX reports_id ON reports (substr(row, 1, 32))")
                .await?;
            self.set_meta("by_id", "1").await?;
            self.by_id = true;
        }
        let row = sqlx::query(
            "SELECT idx, row FROM reports WHERE substr(row, 1, 32) = ? ORDER BY idx LIMIT 1",
        )
        .bind(id.0.as_slice())
        .fetch_optional(&mut self.connection)
        .await
        .map_err(|e| unusable(&self.path, &e))?;
        row.as_ref().map(remembered).transpose()
    }

    /// The report of an entry.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(super) async fn report_at(&mut self, index: u64) -> Result<Option<Remembered>, Fault> {
        Ok(self.reports(index, index.saturating_add(1)).await?.pop())
    }

    /// The report entries with index in `start..end`, ascending.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(super) async fn reports(&mut self, start: u64, end: u64) -> Result<Vec<Remembered>, Fault> {
        let rows =
            sqlx::query("SELECT idx, row FROM reports WHERE idx >= ? AND idx < ? ORDER BY idx")
                .bind(to_i64(start)?)
                .bind(to_i64(end)?)
                .fetch_all(&mut self.connection)
                .await
                .map_err(|e| unusable(&self.path, &e))?;
        rows.iter().map(remembered).collect()
    }

    /// Records a report whose bytes are gone, or what became known of it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) async fn set_erased(&mut self, erased: &Erased) -> Result<(), Fault> {
        let done = sqlx::query(
            "INSERT INTO erased (idx, id, at_ms, entry) VALUES (?, ?, ?, ?) \
             ON CONFLICT (idx) DO UPDATE SET at_ms = coalesce(excluded.at_ms, at_ms), entry = coalesce(excluded.entry, entry)",
        )
        .bind(to_i64(erased.index)?)
        .bind(erased.id.0.as_slice())
        .bind(erased.at_ms.map(to_i64).transpose()?)
        .bind(erased.entry.map(to_i64).transpose()?)
        .execute(&mut self.connection)
        .await;
        done.map(|_| ()).map_err(|e| unusable(&self.path, &e))
    }

    /// Everything that [`Self::set_erased`] recorded.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(super) async fn erased(&mut self) -> Result<Vec<Erased>, Fault> {
        let rows = sqlx::query("SELECT idx, id, at_ms, entry FROM erased ORDER BY idx")
            .fetch_all(&mut self.connection)
            .await
            .map_err(|e| unusable(&self.path, &e))?;
        let read = |row: &sqlx::sqlite::SqliteRow| {
            let id: &[u8] = row.get(1);
            Ok(Erased {
                index: to_u64(row.get(0))?,
                id: ReportId(id.try_into().map_err(|_| damaged())?),
                at_ms: row.get::<Option<i64>, _>(2).map(to_u64).transpose()?,
                entry: row.get::<Option<i64>, _>(3).map(to_u64).transpose()?,
                held: false,
            })
        };
        rows.iter().map(read).collect()
    }

    /// Records an entry that is no report.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) async fn add_event(&mut self, index: u64, bytes: &[u8]) -> Result<(), Fault> {
        let done = sqlx::query("INSERT INTO events (idx, bytes) VALUES (?, ?)")
            .bind(to_i64(index)?)
            .bind(bytes)
            .execute(&mut self.connection)
            .await;
        done.map(|_| ()).map_err(|e| unusable(&self.path, &e))
    }

    /// All entries that are no reports, ascending.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(super) async fn events(&mut self) -> Result<Vec<(u64, Vec<u8>)>, Fault> {
        let rows = sqlx::query("SELECT idx, bytes FROM events ORDER BY idx")
            .fetch_all(&mut self.connection)
            .await
            .map_err(|e| unusable(&self.path, &e))?;
        rows.iter()
            .map(|row| Ok((to_u64(row.get(0))?, row.get(1))))
            .collect()
    }
}

fn remembered(row: &sqlx::sqlite::SqliteRow) -> Result<Remembered, Fault> {
    let bytes: &[u8] = row.get(1);
    let (id, rest) = bytes.split_first_chunk::<32>().ok_or_else(damaged)?;
    let (at_ms, rest) = rest.split_first_chunk::<8>().ok_or_else(damaged)?;
    Ok(Remembered {
        index: to_u64(row.get(0))?,
        id: ReportId(*id),
        at_ms: u64::from_be_bytes(*at_ms),
        historical: rest == [1],
    })
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
