//! One consistent view of a whole database, row by row as it is stored: what `fsck`, `backup`, `doctor` and a move to another
//! database read.
//!
//! A view is of the moment at which it was opened, so a service may go on writing meanwhile. Nothing here interprets a row:
//! columns that contradict each other are the caller's finding, not an error. Whatever grows with the log is read in ranges of
//! leaf indices or in pages, so memory does not grow with it.

pub(super) mod range;
mod rows;

use std::fmt;

use async_trait::async_trait;

use super::Error;
pub use rows::*;

/// A table, by the name that it has in every database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names are the tables'")]
pub enum Table {
    Meta,
    Checkpoints,
    Entries,
    Tiles,
    Agents,
    Markets,
    Reports,
    Bodies,
    Documents,
    Erased,
    Epochs,
    Statements,
    Tokens,
}

impl Table {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Meta => "meta",
            Self::Checkpoints => "checkpoints",
            Self::Entries => "entries",
            Self::Tiles => "tiles",
            Self::Agents => "agents",
            Self::Markets => "markets",
            Self::Reports => "reports",
            Self::Bodies => "bodies",
            Self::Documents => "documents",
            Self::Erased => "erased",
            Self::Epochs => "epochs",
            Self::Statements => "statements",
            Self::Tokens => "tokens",
        }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A table whose rows have a leaf of the log each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the tables'")]
pub enum PerLeaf {
    Entries,
    Reports,
    Bodies,
}

impl PerLeaf {
    /// The table.
    pub const fn table(self) -> Table {
        match self {
            Self::Entries => Table::Entries,
            Self::Reports => Table::Reports,
            Self::Bodies => Table::Bodies,
        }
    }
}

/// A database at one moment.
///
/// Ranges are of leaf indices, end exclusive. Pages begin at a place (`from`) or behind one (`after`, `None` = at the start), are
/// ascending, and have at most `limit` rows; an empty one is behind the last row. Every method fails with
/// [`Error::Unavailable`] when the database cannot be read, and with [`Error::Corrupt`] when it is damaged.
#[async_trait]
pub trait Snapshot: fmt::Debug + Send {
    /// What problems call the database: its file's name, say.
    fn name(&self) -> &str;

    /// What the database is, and how it runs.
    async fn engine(&mut self) -> Result<Engine, Error>;

    /// What the database's own check of what it has on disk finds, at most `limit` lines. `quick` leaves out what takes long.
    async fn integrity(&mut self, limit: u32, quick: bool) -> Result<Vec<String>, Error>;

    /// Rows that refer to rows that do not exist, counted by table.
    async fn dangling(&mut self) -> Result<Vec<Dangling>, Error>;

    /// Where applied migrations and schema are not this program's.
    async fn schema_differences(&mut self) -> Result<Vec<String>, Error>;

    /// How many rows a table has.
    async fn count(&mut self, table: Table) -> Result<u64, Error>;

    /// Leaf indices of rows that are not in `0..size`, at most 1000.
    async fn outside(&mut self, table: PerLeaf, size: u64) -> Result<Vec<i64>, Error>;

    /// All settings of the data directory, ascending by key.
    async fn settings(&mut self) -> Result<Vec<(String, String)>, Error>;

    /// A setting of the data directory.
    async fn meta(&mut self, key: &str) -> Result<Option<String>, Error>;

    /// The newest signed checkpoint.
    async fn head(&mut self) -> Result<Option<HeadRow>, Error>;

    /// A page of published checkpoints by size.
    async fn checkpoints(&mut self, from: u64, limit: u32) -> Result<Vec<CheckpointRow>, Error>;

    /// The newest published checkpoint.
    async fn published(&mut self) -> Result<Option<CheckpointRow>, Error>;

    /// One more than the highest index of an entry; 0 where there is none.
    async fn reach(&mut self) -> Result<u64, Error>;

    /// Entries of a range, ascending.
    async fn entries(&mut self, start: u64, end: u64) -> Result<Vec<EntryRow>, Error>;

    /// A page of the entries of a kind other than reports: index and bytes.
    async fn events(
        &mut self,
        kind: &str,
        from: u64,
        limit: u32,
    ) -> Result<Vec<(u64, Vec<u8>)>, Error>;

    /// The newest entry of a kind other than reports: index and bytes.
    async fn newest_event(&mut self, kind: &str) -> Result<Option<(u64, Vec<u8>)>, Error>;

    /// A page of agents by key.
    async fn agents(&mut self, after: Option<&[u8]>, limit: u32) -> Result<Vec<AgentRow>, Error>;

    /// Reports of a range with their bodies, ascending.
    async fn reports(&mut self, start: u64, end: u64) -> Result<Vec<ReportRow>, Error>;

    /// What stands around the reports of a range on their trades: one for each that [`Self::reports`] has, in its order.
    async fn neighbours(&mut self, start: u64, end: u64) -> Result<Vec<Neighbours>, Error>;

    /// The body of a report.
    async fn body(&mut self, index: u64) -> Result<Option<String>, Error>;

    /// Indices of a range that have a body and no report, ascending.
    async fn stray_bodies(&mut self, start: u64, end: u64) -> Result<Vec<u64>, Error>;

    /// Whether a report below `index` has this document, and whether `index` itself has it.
    async fn document(&mut self, sha256: &[u8; 32], index: u64) -> Result<(bool, bool), Error>;

    /// A page of documents by digest and index.
    async fn documents(
        &mut self,
        after: Option<&DocumentRow>,
        limit: u32,
    ) -> Result<Vec<DocumentRow>, Error>;

    /// A page of erased reports by index. The first has those with an impossible index too.
    async fn erased(&mut self, from: u64, limit: u32) -> Result<Vec<ErasedRow>, Error>;

    /// A tile's bytes.
    async fn tile(&mut self, tree: u64, level: u8, n: u64) -> Result<Option<Vec<u8>>, Error>;

    /// A page of tiles by tree, level and number, without their hashes.
    async fn tiles(&mut self, after: Option<TileRow>, limit: u32) -> Result<Vec<TileRow>, Error>;

    /// The same with the hashes of each, up to 8 KiB.
    async fn whole_tiles(
        &mut self,
        after: Option<TileRow>,
        limit: u32,
    ) -> Result<Vec<(TileRow, Vec<u8>)>, Error>;

    /// A page of epochs by number. The first has those with an impossible number too.
    async fn epochs(&mut self, from: u64, limit: u32) -> Result<Vec<EpochRow>, Error>;

    /// How many agents flow reached in the newest epoch.
    async fn reached(&mut self) -> Result<u64, Error>;

    /// A page of an epoch's statements by leaf.
    async fn statements(
        &mut self,
        epoch: u64,
        from: u64,
        limit: u32,
    ) -> Result<Vec<StatementRow>, Error>;

    /// A page of issued tokens by their places, list and index.
    async fn tokens(
        &mut self,
        after: Option<(u64, u64)>,
        limit: u32,
    ) -> Result<Vec<TokenRow>, Error>;

    /// Tokens that cannot have been issued: no statement of their agent in their epoch, impossible times, or a place
    /// beyond `places`; at most 1000.
    async fn odd_tokens(&mut self, places: u64) -> Result<Vec<OddToken>, Error>;

    /// Lets go of the view.
    async fn close(self: Box<Self>);
}
