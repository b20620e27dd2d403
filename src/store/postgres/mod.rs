//! The store on PostgreSQL (13 or newer): one writer connection, a pool of readers, native SQL.
//!
//! A commit returns only after the server has made it durable: `fsync`, `full_page_writes` and `synchronous_commit` are asserted at
//! start, for every connection, and again by every transaction as it commits. READ COMMITTED is enough, and pinned: whoever commits
//! waits for the head's row and then looks whether it still is what the commit was planned on. Every reading question is one
//! statement, so nothing but the writer, and an epoch that is staged beside it, ever opens a
//! transaction.

mod admission;
mod cluster;
mod erase;
pub mod load;
pub mod look;
mod read;
mod schema;
mod scratch;
mod scrub;
mod session;
pub mod snapshot;
mod sql;
mod staging;
mod write;

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use goodstanding_verify::{did::Did, report::ReportId};
use sqlx::{Connection as _, PgPool, postgres::PgConnectOptions};

pub use schema::MIGRATE_COMMAND;
pub use scratch::Scratch;
pub use session::{Purpose, pool};
pub use sql::all as statements;

use self::{cluster::Desk, scrub::Scrubbing};
use super::{
    AdmissionFacts, AdmissionQuery, Commit, Error, Head, IssuedToken, Published, ReportFilter,
    Staged, StagingKey, Store, StoredBody, StoredEpoch, StoredErasure, StoredReport,
    StoredStatement, Tree,
};
use crate::log::tree::{Tile, TileId, Touched};

/// How a database is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Connections for reading; one more is the writer's.
    pub readers: u32,
    /// Whether to bring the schema up to date; otherwise one that is not this program's is refused.
    pub migrate: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            readers: 8,
            migrate: false,
        }
    }
}

/// A PostgreSQL database.
pub struct PostgresStore {
    writer: PgPool,
    readers: PgPool,
    /// For rows of an epoch under computation, beside the writer's.
    staging: PgPool,
    /// For what a process itself has to read, whatever it is asked by others.
    own: PgPool,
    desk: Arc<Desk>,
    options: PgConnectOptions,
    scrubbing: Arc<Scrubbing>,
}

/// Connections of a process that follows or writes, for reading what it goes on from.
const OWN: u32 = 2;

impl PostgresStore {
    /// Connects to `postgres://user:password@host:port/database`; what the URL leaves out comes from `PGHOST` and its like, and a password
    /// also from the file that `PGPASSFILE` names.
    ///
    /// # Errors
    /// [`Error::Unsupported`] when the URL cannot be read, the server is too old, not UTF-8 or may lose commits, or the schema
    /// is older or newer than this program; [`Error::Unavailable`] when it cannot be reached.
    pub async fn connect(url: &str, options: Options) -> Result<Self, Error> {
        Self::open(url, options, Purpose::Writing).await
    }

    /// Connects for reading only: the server may be a standby. What it would write fails, and it starts nothing by itself.
    ///
    /// # Errors
    /// As [`Self::connect`], but for settings that only matter to who writes.
    pub async fn connect_reader(url: &str) -> Result<Self, Error> {
        Self::open(url, Options::default(), Purpose::Reading).await
    }

    async fn open(url: &str, options: Options, purpose: Purpose) -> Result<Self, Error> {
        let application = cluster::application_name()?;
        let connect = session::options(url)?.application_name(&application);
        let mut first = session::connect_for(&connect, purpose).await?;
        if options.migrate {
            schema::migrate(&mut first).await?;
        }
        schema::check(&mut first).await?;
        // A connection that cannot be closed in an orderly way is closed nevertheless.
        let _ = first.close().await;
        let store = Self {
            writer: pool(1, purpose).connect_lazy_with(connect.clone()),
            staging: pool(1, Purpose::Passing).connect_lazy_with(connect.clone()),
            desk: Arc::new(Desk::new(&connect, application)),
            own: pool(OWN, Purpose::Reading).connect_lazy_with(connect.clone()),
            readers: pool(options.readers, Purpose::Reading).connect_lazy_with(connect.clone()),
            options: connect,
            scrubbing: Arc::default(),
        };
        if purpose == Purpose::Writing {
            store.resume_scrubbing().await?;
        }
        Ok(store)
    }
}

impl fmt::Debug for PostgresStore {
    /// Where, but not with which password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore")
            .field("host", &self.options.get_host())
            .field("port", &self.options.get_port())
            .field("user", &self.options.get_username())
            .field("database", &self.options.get_database())
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Store for PostgresStore {
    async fn head(&self) -> Result<Option<Head>, Error> {
        self.read_head().await
    }

    async fn commit(&self, commit: &Commit) -> Result<(), Error> {
        let written = self.write_commit(commit).await;
        // Also when the outcome is unknown.
        if commit.erasure.is_some() {
            self.erasure_committed();
        }
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

    fn apart(&self) -> Option<Arc<dyn Store>> {
        Some(Arc::new(Self {
            writer: self.writer.clone(),
            staging: self.staging.clone(),
            readers: self.own.clone(),
            own: self.own.clone(),
            desk: self.desk.clone(),
            options: self.options.clone(),
            scrubbing: self.scrubbing.clone(),
        }))
    }

    async fn publish(&self, checkpoint: &Published) -> Result<(), Error> {
        self.write_published(checkpoint).await
    }

    async fn checkpoints(&self, from: u64, limit: u32) -> Result<Vec<Published>, Error> {
        self.read_checkpoints(sql::CHECKPOINTS, from, limit).await
    }

    async fn published(&self) -> Result<Option<Published>, Error> {
        self.read_published(None).await
    }

    async fn newest_checkpoints(&self, before: u64, limit: u32) -> Result<Vec<Published>, Error> {
        self.read_checkpoints(sql::NEWEST_CHECKPOINTS, before, limit)
            .await
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
        Ok(self.read_tiles(tree, &[id]).await?.remove(&id))
    }

    async fn tiles(&self, tree: Tree, ids: &[TileId]) -> Result<Touched, Error> {
        self.read_tiles(tree, ids).await
    }

    async fn entries(&self, start: u64, end: u64) -> Result<Vec<Vec<u8>>, Error> {
        self.read_entries(start, end).await
    }

    async fn events(&self, kind: &str, before: u64) -> Result<Vec<(u64, Vec<u8>)>, Error> {
        self.read_events(kind, before).await
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
        self.scrubbed().await
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
        self.read_reached().await
    }

    async fn set_aliases(&self, aliases: &[(String, Did)]) -> Result<(), Error> {
        self.write_aliases(aliases).await
    }

    async fn agent_of_alias(&self, alias: &str) -> Result<Option<Did>, Error> {
        self.read_agent_of_alias(alias).await
    }

    async fn aliases(&self) -> Result<Vec<(String, Did)>, Error> {
        self.read_aliases().await
    }

    async fn add_token(&self, token: &IssuedToken) -> Result<bool, Error> {
        self.write_token(token).await
    }

    async fn status_list(&self, list: u64) -> Result<(u64, Vec<u64>), Error> {
        self.read_status_list(list).await
    }

    async fn newest_status_list(&self) -> Result<Option<u64>, Error> {
        self.read_newest_status_list().await
    }

    async fn meta(&self, key: &str) -> Result<Option<String>, Error> {
        self.read_meta(key).await
    }

    async fn set_meta(&self, key: &str, value: &str) -> Result<(), Error> {
        self.write_meta(sql::SET_META, key, value).await
    }

    async fn replace_meta(&self, key: &str, value: &str) -> Result<(), Error> {
        self.write_meta(sql::REPLACE_META, key, value).await
    }

    async fn close(&self) {
        self.stop_scrubbing().await;
        self.desk.close().await;
        self.readers.close().await;
        self.own.close().await;
        self.staging.close().await;
        self.writer.close().await;
    }
}
