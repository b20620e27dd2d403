//! A whole database copied into an empty one, of the same kind or another: indices, times, signed notes, salt keys, tokens and
//! aliases as they are.
//!
//! What is read is one [`Snapshot`]; what is written becomes durable all at once, at the end. In between it goes in chunks of
//! a few megabytes at most. Nothing is checked but that every row arrived: run `fsck` on the copy.

use std::fmt;

use async_trait::async_trait;

use super::{
    Error,
    snapshot::{
        AgentRow, CheckpointRow, DocumentRow, EntryRow, EpochRow, ErasedRow, HeadRow, ReportRow,
        Snapshot, StatementRow, Table, TileRow, TokenRow,
    },
};

/// Leaf indices of one chunk of entries or reports; an entry has up to 64 KiB.
const LEAVES: u64 = 256;
/// Tiles of one chunk, of up to 8 KiB.
const TILES: u32 = 256;
/// Rows of one chunk of everything else.
const PAGE: u32 = 1000;

/// An empty database that is being filled. What it was given is there once it is finished, and not before.
///
/// Rows come in the order of the methods: agents before whatever names them, epochs before statements. A row that refers to
/// something that is not there is [`Error::Corrupt`], a number that does not fit [`Error::Unsupported`].
#[async_trait]
pub trait Load: fmt::Debug + Send {
    /// Settings of the data directory.
    async fn settings(&mut self, rows: &[(String, String)]) -> Result<(), Error>;

    /// Agents, with their aliases.
    async fn agents(&mut self, rows: &[AgentRow]) -> Result<(), Error>;

    /// Entries of the log.
    async fn entries(&mut self, rows: &[EntryRow]) -> Result<(), Error>;

    /// Reports, their markets and their bodies.
    async fn reports(&mut self, rows: &[ReportRow]) -> Result<(), Error>;

    /// The index of documents.
    async fn documents(&mut self, rows: &[DocumentRow]) -> Result<(), Error>;

    /// Reports that were erased.
    async fn erased(&mut self, rows: &[ErasedRow]) -> Result<(), Error>;

    /// Tiles, each with its hashes.
    async fn tiles(&mut self, rows: &[(TileRow, Vec<u8>)]) -> Result<(), Error>;

    /// Epochs.
    async fn epochs(&mut self, rows: &[EpochRow]) -> Result<(), Error>;

    /// Statements of an epoch.
    async fn statements(&mut self, epoch: u64, rows: &[StatementRow]) -> Result<(), Error>;

    /// Issued tokens.
    async fn tokens(&mut self, rows: &[TokenRow]) -> Result<(), Error>;

    /// Published checkpoints.
    async fn checkpoints(&mut self, rows: &[CheckpointRow]) -> Result<(), Error>;

    /// The head.
    async fn head(&mut self, row: &HeadRow) -> Result<(), Error>;

    /// How many rows a table has by now.
    async fn count(&mut self, table: Table) -> Result<u64, Error>;

    /// Makes all of it durable. Without it, nothing of it stays.
    ///
    /// # Errors
    /// When it cannot be made durable; whether it is there all the same is unknown.
    async fn finish(self: Box<Self>) -> Result<(), Error>;
}

/// Tables that are copied, in the order in which they are compared.
const TABLES: [Table; 13] = [
    Table::Meta,
    Table::Agents,
    Table::Markets,
    Table::Entries,
    Table::Reports,
    Table::Bodies,
    Table::Documents,
    Table::Erased,
    Table::Tiles,
    Table::Epochs,
    Table::Statements,
    Table::Tokens,
    Table::Checkpoints,
];

/// Copies everything, and compares how much arrived. The caller finishes the load.
///
/// # Errors
/// [`Error::Corrupt`] when rows contradict each other in a way that no database of ours takes, or are where no reading
/// finds them; those of either side.
pub async fn copy(from: &mut dyn Snapshot, to: &mut dyn Load) -> Result<(), Error> {
    to.settings(&from.settings().await?).await?;
    let mut last: Option<AgentRow> = None;
    loop {
        let after = last.as_ref().map(|row| row.key.as_slice());
        let page = from.agents(after, PAGE).await?;
        let Some(end) = page.last() else { break };
        to.agents(&page).await?;
        last = Some(end.clone());
    }
    leaves(from, to).await?;
    records(from, to).await?;
    scores(from, to).await?;
    let mut size = 0;
    loop {
        let page = from.checkpoints(size, PAGE).await?;
        let Some(end) = page.last() else { break };
        to.checkpoints(&page).await?;
        size = end.size.saturating_add(1);
    }
    if let Some(head) = from.head().await? {
        to.head(&head).await?;
    }
    for table in TABLES {
        let (read, written) = (from.count(table).await?, to.count(table).await?);
        if read != written {
            let detail = format!("{written} of {read} rows of {table} could be copied: run `fsck`");
            return Err(Error::Corrupt(detail));
        }
    }
    Ok(())
}

/// What has a leaf of the log: entries, then reports with their bodies.
async fn leaves(from: &mut dyn Snapshot, to: &mut dyn Load) -> Result<(), Error> {
    let reach = from.reach().await?;
    let mut start = 0;
    while start < reach {
        let end = reach.min(start.saturating_add(LEAVES));
        to.entries(&from.entries(start, end).await?).await?;
        to.reports(&from.reports(start, end).await?).await?;
        start = end;
    }
    Ok(())
}

/// Documents, erasures and tiles.
async fn records(from: &mut dyn Snapshot, to: &mut dyn Load) -> Result<(), Error> {
    let mut last = None;
    loop {
        let mut page = from.documents(last.as_ref(), PAGE).await?;
        to.documents(&page).await?;
        let Some(end) = page.pop() else { break };
        last = Some(end);
    }
    let mut next = 0;
    loop {
        let page = from.erased(next, PAGE).await?;
        let Some(end) = page.last() else { break };
        to.erased(&page).await?;
        next = end.idx.saturating_add(1);
    }
    let mut last = None;
    loop {
        let page = from.whole_tiles(last, TILES).await?;
        let Some((end, _)) = page.last() else { break };
        to.tiles(&page).await?;
        last = Some(*end);
    }
    Ok(())
}

/// Epochs, each with its statements, and the tokens over them.
async fn scores(from: &mut dyn Snapshot, to: &mut dyn Load) -> Result<(), Error> {
    let mut number = 0;
    loop {
        let page = from.epochs(number, PAGE).await?;
        let Some(end) = page.last() else { break };
        to.epochs(&page).await?;
        for epoch in &page {
            let mut leaf = 0;
            loop {
                let page = from.statements(epoch.number, leaf, PAGE).await?;
                let Some(end) = page.last() else { break };
                to.statements(epoch.number, &page).await?;
                leaf = end.leaf.saturating_add(1);
            }
        }
        number = end.number.saturating_add(1);
    }
    let mut last = None;
    loop {
        let page = from.tokens(last, PAGE).await?;
        let Some(end) = page.last() else { break };
        to.tokens(&page).await?;
        last = Some((end.list, end.idx));
    }
    Ok(())
}
