//! The store on SQLite: one writer connection, a pool of readers, native SQL.
//!
//! `synchronous=FULL` in WAL mode: a commit returns only after its WAL frames are synced, so what was acknowledged
//! survives a crash and a power cut. Both that and a SQLite without the WAL-reset race (≥ 3.51.3) are asserted at start.

mod erase;
pub mod file;
pub mod load;
mod read;
pub mod snapshot;
mod staging;
mod write;

use std::{path::Path, time::Duration};

use async_trait::async_trait;
use goodstanding_verify::{did::Did, report::ReportId};
use sqlx::{
    Row as _, SqlitePool,
    migrate::Migrator,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use super::{
    AdmissionFacts, AdmissionQuery, Commit, Error, Head, IssuedToken, Published, ReportFilter,
    Staged, StagingKey, Store, StoredBody, StoredEpoch, StoredErasure, StoredReport,
    StoredStatement, Tree,
    convert::{bytes32, did, report_id, role_number, storable, to_i64, to_u64, tree_number},
};
use crate::log::tree::{Tile, TileId, Touched};

static MIGRATIONS: Migrator = sqlx::migrate!("migrations/sqlite");

/// Name of the database in a data directory.
pub const FILE: &str = "goodstanding.sqlite";
/// Older versions can lose committed transactions when a checkpoint races with a WAL reset.
const OLDEST_SQLITE: (u32, u32, u32) = (3, 51, 3);
const READERS: u32 = 4;
/// Page cache of the writer, in KiB as SQLite wants it (negative). What it looks up and inserts lies all over the indexes;
/// with the default of 2 MiB it would fetch the same pages again for every batch.
const WRITER_CACHE: &str = "-65536";
const BUSY: Duration = Duration::from_secs(5);

/// A SQLite database file, opened as the only writer of its directory.
#[derive(Debug)]
pub struct SqliteStore {
    writer: SqlitePool,
    readers: SqlitePool,
}

impl SqliteStore {
    /// Opens the file, making it if `create`, and brings its schema up to date.
    ///
    /// # Errors
    /// When it cannot be opened, its schema is newer than this program, or SQLite is too old or not set to sync fully.
    pub async fn open(path: &Path, create: bool) -> Result<Self, Error> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(BUSY)
            .create_if_missing(create);
        let writer = pool(1)
            .connect_with(
                options
                    .clone()
                    .pragma("secure_delete", "FAST")
                    .pragma("cache_size", WRITER_CACHE),
            )
            .await
            .map_err(unavailable)?;
        assert_settings(&writer).await?;
        MIGRATIONS
            .run(&writer)
            .await
            .map_err(|e| Error::Unsupported(e.to_string()))?;
        let readers = pool(READERS)
            .connect_with(options.read_only(true))
            .await
            .map_err(unavailable)?;
        let store = Self { writer, readers };
        // A kill between an erasure's commit and its scrubbing leaves the bytes in the write-ahead log.
        store.empty_wal().await?;
        Ok(store)
    }
}

impl SqliteStore {
    /// Opens an existing file for reading only, beside whoever writes to it, also on a file system that cannot be written.
    ///
    /// # Errors
    /// When it cannot be opened, or has a write-ahead log that cannot be read where nothing can be written.
    pub async fn open_reader(path: &Path) -> Result<Self, Error> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .read_only(true)
            .busy_timeout(BUSY);
        let connected = match connect_reader(options.clone()).await {
            // SQLite shares an index of the write-ahead log in a file beside it and cannot make that here. Where there is no
            // such log, nobody is writing, and the database file is all there is.
            Err(_) if !has_wal(path) => connect_reader(options.immutable(true)).await,
            other => other,
        };
        let pool = connected.map_err(unavailable)?;
        Ok(Self {
            writer: pool.clone(),
            readers: pool,
        })
    }
}

/// Whether a write-ahead log with something in it stands beside the database.
fn has_wal(path: &Path) -> bool {
    let mut wal = path.as_os_str().to_owned();
    wal.push("-wal");
    std::fs::metadata(Path::new(&wal)).map_or_else(
        |error| error.kind() != std::io::ErrorKind::NotFound,
        |wal| wal.len() > 0,
    )
}

/// A connection that was used once: SQLite opens the files only then.
async fn connect_reader(options: SqliteConnectOptions) -> Result<SqlitePool, sqlx::Error> {
    let pool = pool(1).connect_with(options).await?;
    sqlx::query("SELECT count(*) FROM sqlite_schema")
        .execute(&pool)
        .await?;
    Ok(pool)
}

/// A pool that keeps its connections: a file's never go stale. Without time limits sqlx starts no maintenance task either,
/// which in 0.9.0 can spin for ever while the process ends (transact-rs/sqlx#3645).
fn pool(connections: u32) -> SqlitePoolOptions {
    SqlitePoolOptions::new()
        .max_connections(connections)
        .idle_timeout(None)
        .max_lifetime(None)
}

async fn assert_settings(pool: &SqlitePool) -> Result<(), Error> {
    let version: String = sqlx::query_scalar("SELECT sqlite_version()")
        .fetch_one(pool)
        .await
        .map_err(unavailable)?;
    let mut parts = version.split('.').map(|p| p.parse::<u32>().unwrap_or(0));
    let mut next = || parts.next().unwrap_or(0);
    if (next(), next(), next()) < OLDEST_SQLITE {
        return Err(Error::Unsupported(format!(
            "SQLite {version} is older than 3.51.3"
        )));
    }
    let synchronous: i64 = sqlx::query_scalar("PRAGMA synchronous")
        .fetch_one(pool)
        .await
        .map_err(unavailable)?;
    let journal: String = sqlx::query_scalar("PRAGMA journal_mode")
        .fetch_one(pool)
        .await
        .map_err(unavailable)?;
    if synchronous != 2 || journal != "wal" {
        return Err(Error::Unsupported(format!(
            "synchronous={synchronous}, journal_mode={journal}; FULL (2) and wal are needed"
        )));
    }
    Ok(())
}

fn published_row(row: &sqlx::sqlite::SqliteRow) -> Result<Published, Error> {
    Ok(Published {
        size: to_u64(row.get(0))?,
        published_ms: to_u64(row.get(1))?,
        note: row.get(2),
    })
}

/// A file that SQLite finds damaged does not come back by waiting; everything else may.
#[expect(clippy::needless_pass_by_value, reason = "what map_err hands over")]
fn unavailable(error: sqlx::Error) -> Error {
    let damaged = match &error {
        sqlx::Error::Database(inner) => inner
            .code()
            .and_then(|code| code.parse::<i64>().ok())
            // SQLITE_CORRUPT and SQLITE_NOTADB, whatever their extended codes.
            .is_some_and(|code| matches!(code & 0xff, 11 | 26)),
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => true,
        _ => false,
    };
    if damaged {
        Error::Corrupt(error.to_string())
    } else {
        Error::Unavailable(error.to_string())
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn head(&self) -> Result<Option<Head>, Error> {
        self.read_head().await
    }

    async fn commit(&self, commit: &Commit) -> Result<(), Error> {
        if commit.erasure.is_none() {
            return self.write_commit(commit).await;
        }
        self.secure_delete(true).await?;
        let written = self.write_commit(commit).await;
        // What was written stands, whether or not the setting could be turned back.
        let _ = self.secure_delete(false).await;
        written
    }

    async fn claim_staging(&self, key: Option<StagingKey>) -> Result<u64, Error> {
        self.claim(key).await
    }

    async fn stage(&self, key: StagingKey, part: &Staged) -> Result<(), Error> {
        self.stage_part(key, part).await
    }

    async fn clear_staging(&self, key: Option<StagingKey>) -> Result<bool, Error> {
        self.clear_some(key).await
    }

    async fn confirm(&self, head: &Head) -> Result<(), Error> {
        self.confirm_head(head).await
    }

    async fn publish(&self, checkpoint: &Published) -> Result<(), Error> {
        // Again after an interruption, or with more cosignatures: the time of the first publishing stays.
        sqlx::query("INSERT INTO checkpoints (size, published_ms, note) VALUES (?, ?, ?) ON CONFLICT (size) DO UPDATE SET note = excluded.note")
            .bind(to_i64(checkpoint.size)?)
            .bind(to_i64(checkpoint.published_ms)?)
            .bind(storable(&checkpoint.note)?)
            .execute(&self.writer)
            .await
            .map_err(unavailable)?;
        Ok(())
    }

    async fn checkpoints(&self, from: u64, limit: u32) -> Result<Vec<Published>, Error> {
        let rows = sqlx::query(
            "SELECT size, published_ms, note FROM checkpoints WHERE size >= ? ORDER BY size LIMIT ?",
        )
        .bind(to_i64(from)?)
        .bind(limit)
        .fetch_all(&self.readers)
        .await
        .map_err(unavailable)?;
        rows.iter().map(published_row).collect()
    }

    async fn published(&self) -> Result<Option<Published>, Error> {
        self.read_published(None).await
    }

    async fn newest_checkpoints(&self, before: u64, limit: u32) -> Result<Vec<Published>, Error> {
        let rows = sqlx::query(
            "SELECT size, published_ms, note FROM checkpoints WHERE size < ? ORDER BY size DESC LIMIT ?",
        )
        .bind(to_i64(before)?)
        .bind(limit)
        .fetch_all(&self.readers)
        .await
        .map_err(unavailable)?;
        rows.iter().map(published_row).collect()
    }

    async fn published_of(&self, size: u64) -> Result<Option<Published>, Error> {
        self.read_published(Some(size)).await
    }

    async fn admission_facts(
        &self,
        asked: &[AdmissionQuery<'_>],
    ) -> Result<Vec<AdmissionFacts>, Error> {
        self.read_admission_facts(asked).await
    }

    async fn tile(&self, tree: Tree, id: TileId) -> Result<Option<Tile>, Error> {
        self.read_tile(tree, id).await
    }

    async fn tiles(&self, tree: Tree, ids: &[TileId]) -> Result<Touched, Error> {
        self.read_tiles(tree, ids).await
    }

    async fn entries(&self, start: u64, end: u64) -> Result<Vec<Vec<u8>>, Error> {
        sqlx::query_scalar("SELECT bytes FROM entries WHERE idx >= ? AND idx < ? ORDER BY idx")
            .bind(to_i64(start)?)
            .bind(to_i64(end)?)
            .fetch_all(&self.readers)
            .await
            .map_err(unavailable)
    }

    async fn events(&self, kind: &str, before: u64) -> Result<Vec<(u64, Vec<u8>)>, Error> {
        // The writer reads its own policy entry back right after committing it; readers see it too.
        let rows = sqlx::query("SELECT idx, bytes FROM entries WHERE kind = ? AND kind <> 'report' AND idx < ? ORDER BY idx")
            .bind(kind)
            .bind(to_i64(before)?)
            .fetch_all(&self.readers)
            .await
            .map_err(unavailable)?;
        rows.iter()
            .map(|row| Ok((to_u64(row.get(0))?, row.get(1))))
            .collect()
    }

    async fn bodies(&self, start: u64, end: u64, limit: u32) -> Result<Vec<StoredReport>, Error> {
        self.read_bodies(start, end, limit).await
    }

    async fn log_bodies(&self, start: u64, end: u64, limit: u32) -> Result<Vec<StoredBody>, Error> {
        self.read_log_bodies(start, end, limit).await
    }

    async fn erased(&self, id: &ReportId) -> Result<Option<StoredErasure>, Error> {
        self.read_erased(id).await
    }

    async fn erased_since(&self, log_size: u64) -> Result<u64, Error> {
        self.read_erased_since(log_size).await
    }

    async fn scrub(&self) -> Result<bool, Error> {
        self.empty_wal().await
    }

    async fn report(&self, id: &ReportId) -> Result<Option<StoredReport>, Error> {
        self.read_report(id).await
    }

    async fn reports(&self, filter: &ReportFilter) -> Result<Vec<StoredReport>, Error> {
        self.read_reports(filter).await
    }

    async fn current_reports(
        &self,
        market: &str,
        trade_id: &str,
        parties: [&Did; 2],
        before: u64,
    ) -> Result<Vec<StoredReport>, Error> {
        self.read_current_reports(market, trade_id, parties, before)
            .await
    }

    async fn index_at(&self, at_ms: u64) -> Result<u64, Error> {
        self.read_index_at(at_ms).await
    }

    async fn known_documents(&self, digests: &[[u8; 32]]) -> Result<Vec<[u8; 32]>, Error> {
        self.read_known_documents(digests).await
    }

    async fn reports_with_document(
        &self,
        sha256: &[u8; 32],
        limit: u32,
    ) -> Result<Vec<StoredReport>, Error> {
        self.read_reports_with_document(sha256, limit).await
    }

    async fn newest_report(&self) -> Result<Option<StoredReport>, Error> {
        self.read_newest_report().await
    }

    async fn epoch(&self, number: Option<u64>) -> Result<Option<StoredEpoch>, Error> {
        self.read_epoch(number).await
    }

    async fn epochs(&self, before: u64, limit: u32) -> Result<Vec<StoredEpoch>, Error> {
        self.read_epochs(before, limit).await
    }

    async fn statements(
        &self,
        epoch: u64,
        from: u64,
        limit: u32,
    ) -> Result<Vec<StoredStatement>, Error> {
        self.read_statements(epoch, from, limit).await
    }

    async fn statements_of(
        &self,
        agent: &Did,
        before: u64,
        limit: u32,
    ) -> Result<Vec<StoredStatement>, Error> {
        self.read_statements_of(agent, before, limit).await
    }

    async fn reached(&self) -> Result<Vec<Did>, Error> {
        let keys: Vec<Vec<u8>> = sqlx::query_scalar(
            "SELECT a.key FROM statements s JOIN agents a ON a.id = s.agent \
             WHERE s.epoch = (SELECT max(number) FROM epochs) AND s.reached = 1",
        )
        .fetch_all(&self.readers)
        .await
        .map_err(unavailable)?;
        keys.iter().map(|key| did(key)).collect()
    }

    async fn set_aliases(&self, aliases: &[(String, Did)]) -> Result<(), Error> {
        self.write_aliases(aliases).await
    }

    async fn agent_of_alias(&self, alias: &str) -> Result<Option<Did>, Error> {
        let key: Option<Vec<u8>> = sqlx::query_scalar("SELECT key FROM agents WHERE alias = ?")
            .bind(alias)
            .fetch_optional(&self.readers)
            .await
            .map_err(unavailable)?;
        key.map(|key| did(&key)).transpose()
    }

    async fn aliases(&self) -> Result<Vec<(String, Did)>, Error> {
        let rows =
            sqlx::query("SELECT alias, key FROM agents WHERE alias IS NOT NULL ORDER BY key")
                .fetch_all(&self.readers)
                .await
                .map_err(unavailable)?;
        rows.iter()
            .map(|row| Ok((row.get(0), did(row.get(1))?)))
            .collect()
    }

    async fn add_token(&self, token: &IssuedToken) -> Result<bool, Error> {
        self.write_token(token).await
    }

    async fn status_list(&self, list: u64) -> Result<(u64, Vec<u64>), Error> {
        let count: i64 = sqlx::query_scalar("SELECT count(*) FROM tokens WHERE list = ?")
            .bind(to_i64(list)?)
            .fetch_one(&self.readers)
            .await
            .map_err(unavailable)?;
        let revoked: Vec<i64> = sqlx::query_scalar(
            "SELECT idx FROM tokens WHERE list = ? AND revoked = 1 ORDER BY idx",
        )
        .bind(to_i64(list)?)
        .fetch_all(&self.readers)
        .await
        .map_err(unavailable)?;
        Ok((
            to_u64(count)?,
            revoked.into_iter().map(to_u64).collect::<Result<_, _>>()?,
        ))
    }

    async fn newest_status_list(&self) -> Result<Option<u64>, Error> {
        let list: Option<i64> = sqlx::query_scalar("SELECT max(list) FROM tokens")
            .fetch_one(&self.readers)
            .await
            .map_err(unavailable)?;
        list.map(to_u64).transpose()
    }

    async fn meta(&self, key: &str) -> Result<Option<String>, Error> {
        sqlx::query_scalar("SELECT value FROM meta WHERE key = ?")
            .bind(key)
            .fetch_optional(&self.readers)
            .await
            .map_err(unavailable)
    }

    async fn set_meta(&self, key: &str, value: &str) -> Result<(), Error> {
        sqlx::query("INSERT INTO meta (key, value) VALUES (?, ?)")
            .bind(storable(key)?)
            .bind(storable(value)?)
            .execute(&self.writer)
            .await
            .map_err(unavailable)?;
        Ok(())
    }

    async fn replace_meta(&self, key: &str, value: &str) -> Result<(), Error> {
        sqlx::query("INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value")
            .bind(storable(key)?)
            .bind(storable(value)?)
            .execute(&self.writer)
            .await
            .map_err(unavailable)?;
        Ok(())
    }

    async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}
