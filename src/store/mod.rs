//! What the service keeps: a trait of domain verbs, and the databases behind it.
//!
//! The log is the truth; the database is its working copy. Every write goes through one task
//! ([`crate::log::sequencer`]), which is never cancelled, but for rows of an epoch that nobody sees before that task logs it; reads
//! may come from anywhere.

pub mod cluster;
mod convert;
pub mod load;
mod place;
pub mod postgres;
pub mod snapshot;
pub mod sqlite;
mod types;

pub use place::Place;
pub use types::*;

use std::{path::Path, sync::Arc};

use async_trait::async_trait;
use goodstanding_verify::{did::Did, report::ReportId};

use self::{snapshot::Snapshot, sqlite::snapshot::SqliteSnapshot};
use crate::log::tree::{Tile, TileId, Touched};

/// The tree that a tile belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tree {
    /// The log.
    Log,
    /// The score tree of an epoch.
    Epoch(u64),
}

/// Why the store could not do what was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The head was not the one the commit was planned on: another writer, or a commit that had gone through after all.
    #[error("the log's head is not where the commit expected it")]
    HeadMoved,
    /// Nothing was written: another process has taken over the writing.
    #[error("another process writes by now")]
    Deposed,
    /// The database cannot be reached, is busy, full or read-only. Whether a commit went through is unknown.
    #[error("the database is unavailable: {0}")]
    Unavailable(String),
    /// Nothing was written: what this computation staged is not there, or not all of it. Another one began, a report was erased, or
    /// another process has taken over the writing.
    #[error("the rows that were staged of the epoch are not there any more")]
    Unstaged,
    /// What is stored contradicts itself.
    #[error("the database is corrupt: {0}")]
    Corrupt(String),
    /// The database is not one that this program can use.
    #[error("the database cannot be used: {0}")]
    Unsupported(String),
}

/// Everything the service asks of a database.
///
/// Reads see committed state only. Methods that write are called by the writer task alone and are marked so. Every
/// implementation behaves alike, which `tests/store` holds against each: a number above `i64::MAX` is [`Error::Unsupported`]
/// wherever it comes, and so is text with U+0000 that is to be written; asked for, such text is not found. A write that would break
/// a rule of the tables (an index, id or name taken twice) is [`Error::Unavailable`] and leaves nothing.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// The newest signed head, `None` before the first commit.
    async fn head(&self) -> Result<Option<Head>, Error>;

    /// Writer only. Applies a commit as one durable transaction, or nothing of it.
    ///
    /// # Errors
    /// [`Error::HeadMoved`] when the head is not `commit.expected`; [`Error::Unstaged`] when an epoch's rows are not staged; after
    /// [`Error::Unavailable`] the outcome is unknown.
    async fn commit(&self, commit: &Commit) -> Result<(), Error>;

    /// Makes `key` the one that may stage from here on, or nobody (`None`), and gives how many statements are staged: another
    /// computation's, which [`Self::clear_staging`] removes before new ones can come.
    ///
    /// Staging is for whoever has the turn at writing, beside the writer task: a transaction of its own each time, never a long one.
    /// No reader sees a staged row, nor a [`Snapshot`]. They survive a crash, and are nobody's after it.
    async fn claim_staging(&self, key: Option<StagingKey>) -> Result<u64, Error>;

    /// Stages rows of one epoch, in leaf order. After an error some of them may be staged, and this computation has failed.
    ///
    /// # Errors
    /// [`Error::Unstaged`] when the key is not the one that may, the first leaf is not the next one, or the epoch is logged already.
    async fn stage(&self, key: StagingKey, part: &Staged) -> Result<(), Error>;

    /// Removes some of what is staged, the last leaves first, and the agents that nothing else names; `true` when nothing is left.
    ///
    /// # Errors
    /// [`Error::Unstaged`] when the key is another one by now, and nothing was removed.
    async fn clear_staging(&self, key: Option<StagingKey>) -> Result<bool, Error>;

    /// Writer only. Returns when this head, and everything before it, is as durable as a commit that returned: it writes the head once more as it
    /// is. What is seen in a database need not be durable if the answer to its commit is missing: a server that crashed, or stopped to
    /// wait for its standby, shows what no standby has.
    ///
    /// # Errors
    /// [`Error::HeadMoved`] when the head is another one.
    async fn confirm(&self, head: &Head) -> Result<(), Error>;

    /// The same store by connections of its own, where others could use up those for reading; `None` where there is nothing to gain.
    /// Closing either closes both.
    fn apart(&self) -> Option<Arc<dyn Store>> {
        None
    }

    /// Writer only. Records a checkpoint as published, durably. One of a size that was published before replaces it: it is
    /// the same tree head, with other cosignatures.
    async fn publish(&self, checkpoint: &Published) -> Result<(), Error>;

    /// Published checkpoints with size at or above `from`, ascending.
    async fn checkpoints(&self, from: u64, limit: u32) -> Result<Vec<Published>, Error>;

    /// The newest published checkpoint.
    async fn published(&self) -> Result<Option<Published>, Error>;

    /// Published checkpoints of sizes below `before`, newest first.
    async fn newest_checkpoints(&self, before: u64, limit: u32) -> Result<Vec<Published>, Error>;

    /// The published checkpoint of exactly this size.
    async fn published_of(&self, size: u64) -> Result<Option<Published>, Error>;

    /// What the store knows that bears on admitting these reports: one answer each, in order. Called by the writer, on
    /// its own connection, so that slow readers cannot hold it up.
    async fn admission_facts(
        &self,
        asked: &[AdmissionQuery<'_>],
    ) -> Result<Vec<AdmissionFacts>, Error>;

    /// A tile's hashes at the newest width.
    async fn tile(&self, tree: Tree, id: TileId) -> Result<Option<Tile>, Error>;

    /// Those of these tiles of one tree that there are, at the newest width.
    async fn tiles(&self, tree: Tree, ids: &[TileId]) -> Result<Touched, Error> {
        let mut found = Touched::new();
        for id in ids {
            if let Some(tile) = self.tile(tree, *id).await? {
                found.insert(*id, tile);
            }
        }
        Ok(found)
    }

    /// Entry bytes of indices `start..end`, in order.
    async fn entries(&self, start: u64, end: u64) -> Result<Vec<Vec<u8>>, Error>;

    /// Entries that are not reports with index below `before`, ascending: (index, bytes).
    async fn events(&self, kind: &str, before: u64) -> Result<Vec<(u64, Vec<u8>)>, Error>;

    /// Admitted reports with index in `start..end`, at most `limit`, ascending, bodies included.
    async fn bodies(&self, start: u64, end: u64, limit: u32) -> Result<Vec<StoredReport>, Error>;

    /// The bodies of entries with index in `start..end`, erased ones included, at most `limit`, ascending.
    async fn log_bodies(&self, start: u64, end: u64, limit: u32) -> Result<Vec<StoredBody>, Error>;

    /// The record of an erased report.
    async fn erased(&self, id: &ReportId) -> Result<Option<StoredErasure>, Error>;

    /// How many reports with index below `log_size` were erased by an entry at or above it: what an epoch over that prefix
    /// may have used and nobody can read any more.
    async fn erased_since(&self, log_size: u64) -> Result<u64, Error>;

    /// Writer only. Takes what was deleted out of the database's files, as far as that database can (docs/OPERATIONS.md says
    /// what remains); `false` when a reader still holds on to it or the work still goes on, and it has to be asked again.
    async fn scrub(&self) -> Result<bool, Error>;

    /// One report by its id.
    async fn report(&self, id: &ReportId) -> Result<Option<StoredReport>, Error>;

    /// Reports that match a filter, ascending by index.
    async fn reports(&self, filter: &ReportFilter) -> Result<Vec<StoredReport>, Error>;

    /// Either party's newest report with index below `before` on one trade: at most two.
    async fn current_reports(
        &self,
        market: &str,
        trade_id: &str,
        parties: [&Did; 2],
        before: u64,
    ) -> Result<Vec<StoredReport>, Error>;

    /// The smallest index whose entry has log time at or after `at_ms`; the size of the log if there is none.
    async fn index_at(&self, at_ms: u64) -> Result<u64, Error>;

    /// Which of these attestations and receipts came with a report before. Called by the writer.
    async fn known_documents(&self, digests: &[[u8; 32]]) -> Result<Vec<[u8; 32]>, Error>;

    /// The first reports that bring this attestation or receipt, ascending by index, at most `limit`.
    async fn reports_with_document(
        &self,
        sha256: &[u8; 32],
        limit: u32,
    ) -> Result<Vec<StoredReport>, Error>;

    /// The newest report of all.
    async fn newest_report(&self) -> Result<Option<StoredReport>, Error>;

    /// The epoch with this number, or the newest.
    async fn epoch(&self, number: Option<u64>) -> Result<Option<StoredEpoch>, Error>;

    /// Epochs with number below `before`, newest first.
    async fn epochs(&self, before: u64, limit: u32) -> Result<Vec<StoredEpoch>, Error>;

    /// Statements of an epoch from leaf `from` on, ascending.
    async fn statements(
        &self,
        epoch: u64,
        from: u64,
        limit: u32,
    ) -> Result<Vec<StoredStatement>, Error>;

    /// An agent's statements with epoch below `before`, newest first.
    async fn statements_of(
        &self,
        agent: &Did,
        before: u64,
        limit: u32,
    ) -> Result<Vec<StoredStatement>, Error>;

    /// Agents that flow reached in the newest epoch.
    async fn reached(&self) -> Result<Vec<Did>, Error>;

    /// Names an agent in this store only (imports do). Writer only.
    async fn set_aliases(&self, aliases: &[(String, Did)]) -> Result<(), Error>;

    /// The agent behind an alias.
    async fn agent_of_alias(&self, alias: &str) -> Result<Option<Did>, Error>;

    /// All aliases.
    async fn aliases(&self) -> Result<Vec<(String, Did)>, Error>;

    /// Writer only. Records an issued token under a fresh place of a status list; `false` when the place is taken.
    async fn add_token(&self, token: &IssuedToken) -> Result<bool, Error>;

    /// How many tokens status list `list` has, and the places of its revoked ones.
    async fn status_list(&self, list: u64) -> Result<(u64, Vec<u64>), Error>;

    /// Number of the newest status list with a token in it.
    async fn newest_status_list(&self) -> Result<Option<u64>, Error>;

    /// A setting that the data directory was made with.
    async fn meta(&self, key: &str) -> Result<Option<String>, Error>;

    /// Writes a setting that changes, durably. Writer only.
    async fn replace_meta(&self, key: &str, value: &str) -> Result<(), Error>;

    /// Writes a setting once. Writer only.
    async fn set_meta(&self, key: &str, value: &str) -> Result<(), Error>;

    /// Closes all connections; a later call on the store fails.
    async fn close(&self);
}

/// What the database of a data directory contains now, read beside whoever writes to it.
///
/// # Errors
/// [`Error::Unavailable`] when it cannot be read, [`Error::Corrupt`] when it is no database.
pub async fn snapshot(data: &Path) -> Result<Box<dyn Snapshot>, Error> {
    Ok(Box::new(
        SqliteSnapshot::open(&data.join(sqlite::FILE)).await?,
    ))
}
