//! The writer's side: one transaction a commit, sets by `unnest`, compare-and-swap on the head.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::Duration,
};

use goodstanding_verify::did::Did;

use super::{
    PostgresStore,
    cluster::Desk,
    erase::erase,
    session::{Failure, Held},
    sql, staging,
};
use crate::{
    log::tree::{Tile, TileId},
    store::{
        Commit, Error, Head, IssuedToken, NewEntry, NewEpoch, NewReport, Published, StagingKey,
        Tree,
        convert::{Piece, role_number, storable, storable_commit, to_i64, tree_number},
    },
};

/// Rows of one statement, so that its size and time stay bounded, whatever the size of an epoch.
const ROWS: usize = 5000;
/// How often a transaction is tried that the server rolls back for the sake of another one.
const TRIES: u32 = 4;
/// What is waited before the second try; twice as long before each further one.
const PAUSE: Duration = Duration::from_millis(10);

/// What one transaction does. As data, so that it can be done again.
#[derive(Clone, Copy)]
pub(super) enum Work<'a> {
    Commit(&'a Commit),
    Confirm(&'a Head),
    Publish(&'a Published),
    Aliases(&'a [(String, Did)]),
    Token(&'a IssuedToken),
    /// With one of the two statements that write a setting.
    Meta(&'static str, &'a str, &'a str),
    ClaimStaging(Option<&'a StagingKey>),
    Stage(&'a StagingKey, Piece<'a>),
    ClearStaging(Option<&'a StagingKey>),
}

impl Work<'_> {
    /// Whether nobody relies on it before a commit that comes after it.
    fn is_passing(&self) -> bool {
        matches!(
            self,
            Self::ClaimStaging(_) | Self::Stage(..) | Self::ClearStaging(_)
        )
    }
}

impl PostgresStore {
    /// Does `work` as one transaction, durable if somebody relies on it, or nothing of it; again when the server asks for that. Gives the
    /// number of rows that the last statement wrote, and of staging how many statements are staged.
    ///
    /// If the answer to COMMIT is missing, the outcome is unknown and nothing is tried again.
    pub(super) async fn transaction(&self, work: Work<'_>) -> Result<u64, Error> {
        let pool = if work.is_passing() {
            &self.staging
        } else {
            &self.writer
        };
        let mut tries = 1;
        loop {
            let mut tx = Held::from(pool).await?;
            let failure = match attempt(&mut tx, &self.desk, work).await {
                Ok(rows) => {
                    tx.release();
                    return Ok(rows);
                }
                Err(failure) => failure,
            };
            tx.abandon(&failure).await;
            if !failure.is_transient() || tries == TRIES {
                return Err(failure.into());
            }
            tracing::warn!(
                tries,
                "the database rolled a transaction back; trying again"
            );
            tokio::time::sleep(PAUSE * 2_u32.pow(tries - 1)).await;
            tries += 1;
        }
    }

    pub(super) async fn write_commit(&self, commit: &Commit) -> Result<(), Error> {
        storable_commit(commit)?;
        self.transaction(Work::Commit(commit)).await.map(drop)
    }

    pub(super) async fn confirm_head(&self, head: &Head) -> Result<(), Error> {
        match self.transaction(Work::Confirm(head)).await? {
            1 => Ok(()),
            _ => Err(Error::HeadMoved),
        }
    }

    pub(super) async fn write_published(&self, checkpoint: &Published) -> Result<(), Error> {
        storable(&checkpoint.note)?;
        self.transaction(Work::Publish(checkpoint)).await.map(drop)
    }

    pub(super) async fn write_aliases(&self, aliases: &[(String, Did)]) -> Result<(), Error> {
        for (alias, _) in aliases {
            storable(alias)?;
        }
        self.transaction(Work::Aliases(aliases)).await.map(drop)
    }

    /// Whether the place was free, and the agent known.
    pub(super) async fn write_token(&self, token: &IssuedToken) -> Result<bool, Error> {
        Ok(self.transaction(Work::Token(token)).await? == 1)
    }

    pub(super) async fn write_meta(
        &self,
        sql: &'static str,
        key: &str,
        value: &str,
    ) -> Result<(), Error> {
        let work = Work::Meta(sql, storable(key)?, storable(value)?);
        self.transaction(work).await.map(drop)
    }
}

async fn attempt(tx: &mut Held, desk: &Desk, work: Work<'_>) -> Result<u64, Failure> {
    // Not `Connection::begin`: it is the one that can leak. Whether it may write, the session says.
    tx.execute(sqlx::query("BEGIN ISOLATION LEVEL READ COMMITTED"))
        .await?;
    desk.fence(tx).await?;
    let rows = run(tx, work).await?;
    if work.is_passing() {
        tx.execute(sqlx::query("COMMIT")).await?;
    } else {
        tx.commit().await?;
    }
    Ok(rows)
}

async fn run(tx: &mut Held, work: Work<'_>) -> Result<u64, Failure> {
    let query = match work {
        Work::Commit(commit) => {
            apply(tx, commit).await?;
            return Ok(1);
        }
        Work::Aliases(aliases) => {
            set_aliases(tx, aliases).await?;
            return Ok(1);
        }
        Work::ClaimStaging(key) => return staging::claim(tx, key).await,
        Work::Stage(key, piece) => {
            staging::insert_piece(tx, key, piece).await?;
            return Ok(piece.end());
        }
        Work::ClearStaging(key) => return staging::remove_some(tx, key).await,
        Work::Confirm(head) => sqlx::query(sql::CONFIRM_HEAD)
            .bind(to_i64(head.size)?)
            .bind(head.root.as_slice()),
        Work::Publish(checkpoint) => sqlx::query(sql::PUBLISH)
            .bind(to_i64(checkpoint.size)?)
            .bind(to_i64(checkpoint.published_ms)?)
            .bind(&checkpoint.note),
        Work::Token(token) => sqlx::query(sql::ADD_TOKEN)
            .bind(to_i64(token.list)?)
            .bind(to_i64(token.idx)?)
            .bind(to_i64(token.epoch)?)
            .bind(to_i64(token.iat)?)
            .bind(to_i64(token.exp)?)
            .bind(token.agent.key_bytes().as_slice()),
        Work::Meta(sql, key, value) => sqlx::query(sql).bind(key).bind(value),
    };
    Ok(tx.execute(query).await?.rows_affected())
}

async fn set_aliases(tx: &mut Held, aliases: &[(String, Did)]) -> Result<(), Failure> {
    let agents = aliases.iter().map(|(_, did)| *did).collect();
    intern(tx, &agents, &BTreeSet::new()).await?;
    // One by one, in the order given: a name may move from one agent to another within one call.
    for (alias, did) in aliases {
        let query = sqlx::query(sql::SET_ALIAS)
            .bind(alias)
            .bind(did.key_bytes().as_slice());
        tx.execute(query).await?;
    }
    Ok(())
}

/// Everything that a commit changes. Most commits are two statements after the head's: names, and rows.
async fn apply(tx: &mut Held, commit: &Commit) -> Result<(), Failure> {
    swap_head(tx, commit).await?;
    let agents = commit.reports.iter().flat_map(|r| [r.reporter, r.subject]);
    let agents = agents.collect();
    let markets = commit.reports.iter().map(|r| r.market.as_str()).collect();
    intern(tx, &agents, &markets).await?;
    insert_rows(tx, commit).await?;
    if let Some(epoch) = &commit.epoch {
        insert_epoch(tx, epoch).await?;
    }
    if let Some(erasure) = &commit.erasure {
        erase(tx, erasure).await?;
    }
    Ok(())
}

/// Moves the head from where the commit was planned on.
async fn swap_head(tx: &mut Held, commit: &Commit) -> Result<(), Failure> {
    let head = &commit.head;
    let sql = match &commit.expected {
        None => sql::FIRST_HEAD,
        Some(_) => sql::SWAP_HEAD,
    };
    let mut query = sqlx::query(sql)
        .bind(to_i64(head.size)?)
        .bind(head.root.as_slice())
        .bind(to_i64(head.at_ms)?)
        .bind(&head.note);
    if let Some((size, root)) = &commit.expected {
        query = query.bind(to_i64(*size)?).bind(root.as_slice());
    }
    match tx.execute(query).await?.rows_affected() {
        1 => Ok(()),
        _ => Err(Error::HeadMoved.into()),
    }
}

/// Gives agents and markets the numbers that rows know them by.
pub(super) async fn intern(
    tx: &mut Held,
    agents: &BTreeSet<Did>,
    markets: &BTreeSet<&str>,
) -> Result<(), Failure> {
    let keys: Vec<_> = agents
        .iter()
        .map(|did| did.key_bytes().as_slice())
        .collect();
    let names: Vec<&str> = markets.iter().copied().collect();
    for (keys, names) in chunks(&keys, &names) {
        tx.execute(sqlx::query(sql::INTERN).bind(keys).bind(names))
            .await?;
    }
    Ok(())
}

/// Two lists in pieces of bounded size, side by side; the shorter one ends in empty pieces.
fn chunks<'a, A, B>(one: &'a [A], other: &'a [B]) -> impl Iterator<Item = (&'a [A], &'a [B])> {
    let count = one.len().max(other.len()).div_ceil(ROWS);
    (0..count).map(|n| (piece(one, n), piece(other, n)))
}

fn piece<T>(of: &[T], n: usize) -> &[T] {
    of.chunks(ROWS).nth(n).unwrap_or_default()
}

/// Entries, reports with what comes with them, and tiles.
async fn insert_rows(tx: &mut Held, commit: &Commit) -> Result<(), Failure> {
    let superseded = Superseded::by(&commit.reports)?;
    if !superseded.before.is_empty() {
        let (old, by): (Vec<i64>, Vec<i64>) = superseded.before.iter().unzip();
        let query = sqlx::query(sql::SUPERSEDE).bind(old).bind(by);
        tx.execute(query).await?;
    }
    let tiles = tile_rows(&commit.tiles)?;
    let most = commit
        .entries
        .len()
        .max(commit.reports.len())
        .max(tiles.len());
    for n in 0..most.div_ceil(ROWS) {
        let rows = Rows {
            entries: piece(&commit.entries, n),
            reports: piece(&commit.reports, n),
            superseded_by: piece(&superseded.within, n),
            tiles: piece(&tiles, n),
        };
        rows.insert(tx).await?;
    }
    Ok(())
}

/// Which reports a batch replaces: the unique index of current reports must never see two, so old rows are told before new
/// ones come, and new ones that are replaced within the batch come as replaced.
struct Superseded {
    /// Index of a report from before the batch, and of the one that replaces it.
    before: BTreeMap<i64, i64>,
    /// For each report of the batch, the index of the one that replaces it.
    within: Vec<Option<i64>>,
}

impl Superseded {
    fn by(reports: &[NewReport]) -> Result<Self, Error> {
        let mut places = HashMap::<u64, usize>::with_capacity(reports.len());
        let mut before = BTreeMap::new();
        let mut within = vec![None; reports.len()];
        let all: BTreeSet<u64> = reports.iter().map(|r| r.index).collect();
        for (place, report) in reports.iter().enumerate() {
            let by = to_i64(report.index)?;
            // The first to replace a report does; the index of current reports refuses a second.
            if let Some(old) = report.supersedes {
                if let Some(replaced) = places.get(&old).and_then(|i| within.get_mut(*i)) {
                    replaced.get_or_insert(by);
                } else if !all.contains(&old) {
                    before.entry(to_i64(old)?).or_insert(by);
                }
            }
            places.insert(report.index, place);
        }
        Ok(Self { before, within })
    }
}

/// What one statement inserts.
struct Rows<'a> {
    entries: &'a [NewEntry],
    reports: &'a [NewReport],
    /// Of the reports.
    superseded_by: &'a [Option<i64>],
    tiles: &'a [TileRow],
}

impl Rows<'_> {
    async fn insert(&self, tx: &mut Held) -> Result<(), Failure> {
        let (entries, reports, tiles) = (self.entries, self.reports, self.tiles);
        let indices = numbers(reports.iter().map(|r| r.index))?;
        let documents = reports.iter().zip(&indices).flat_map(|(report, index)| {
            let of = |sha256: &'_ [u8; 32]| (sha256.to_vec(), *index);
            report.documents.iter().map(of).collect::<Vec<_>>()
        });
        let (digests, of): (Vec<Vec<u8>>, Vec<i64>) = documents.unzip();
        let query = sqlx::query(sql::INSERT_ROWS)
            .bind(&indices)
            .bind(column(reports, |r| r.id.0.as_slice()))
            .bind(numbers(reports.iter().map(|r| r.at_ms))?)
            .bind(column(reports, |r| r.reporter.key_bytes().as_slice()))
            .bind(column(reports, |r| r.subject.key_bytes().as_slice()))
            .bind(column(reports, |r| r.market.as_str()))
            .bind(column(reports, |r| r.trade_id.as_str()))
            .bind(column(reports, |r| role_number(r.role)))
            .bind(column(reports, |r| r.jti.as_str()))
            .bind(column(reports, |r| r.historical))
            .bind(column(reports, |r| r.alone))
            .bind(self.superseded_by)
            .bind(numbers(entries.iter().map(|e| e.index))?)
            .bind(numbers(entries.iter().map(|e| e.at_ms))?)
            .bind(column(entries, |e| e.kind))
            .bind(column(entries, |e| e.bytes.as_slice()))
            .bind(column(reports, |r| r.jws.as_str()))
            .bind(digests)
            .bind(of)
            .bind(column(tiles, |t| t.tree))
            .bind(column(tiles, |t| t.level))
            .bind(column(tiles, |t| t.n))
            .bind(column(tiles, |t| t.hashes.as_slice()));
        let done = tx.execute(query).await?;
        Ok(all_named(done.rows_affected(), reports.len())?)
    }
}

/// Rows are joined to the agents and markets that they name; one without them would be left out silently.
pub(super) fn all_named(inserted: u64, wanted: usize) -> Result<(), Error> {
    if usize::try_from(inserted) == Ok(wanted) {
        return Ok(());
    }
    Err(Error::Corrupt(format!(
        "{inserted} of {wanted} rows have the agents and markets that they name"
    )))
}

/// A tile as it is stored.
pub(super) struct TileRow {
    tree: i64,
    level: i16,
    n: i64,
    hashes: Vec<u8>,
}

/// One statement cannot write a row twice: the last one counts.
pub(super) fn tile_rows(tiles: &[(Tree, TileId, Tile)]) -> Result<Vec<TileRow>, Error> {
    let mut rows = BTreeMap::new();
    for (tree, id, tile) in tiles {
        let row = TileRow {
            tree: tree_number(*tree)?,
            level: i16::from(id.level),
            n: to_i64(id.n)?,
            hashes: tile.concat(),
        };
        rows.insert((row.tree, row.level, row.n), row);
    }
    Ok(rows.into_values().collect())
}

/// Tiles without anything beside them.
pub(super) async fn insert_tiles(tx: &mut Held, tiles: &[TileRow]) -> Result<(), Failure> {
    for tiles in tiles.chunks(ROWS) {
        let query = sqlx::query(sql::INSERT_TILES)
            .bind(column(tiles, |t| t.tree))
            .bind(column(tiles, |t| t.level))
            .bind(column(tiles, |t| t.n))
            .bind(column(tiles, |t| t.hashes.as_slice()));
        tx.execute(query).await?;
    }
    Ok(())
}

async fn insert_epoch(tx: &mut Held, epoch: &NewEpoch) -> Result<(), Failure> {
    let query = sqlx::query(sql::INSERT_EPOCH)
        .bind(to_i64(epoch.number)?)
        .bind(to_i64(epoch.index)?)
        .bind(epoch.salt_key.as_slice());
    tx.execute(query).await?;
    staging::take_staged(tx, epoch).await
}

fn numbers(of: impl Iterator<Item = u64>) -> Result<Vec<i64>, Error> {
    of.map(to_i64).collect()
}

pub(super) fn column<'a, R, T>(rows: &'a [R], of: impl FnMut(&'a R) -> T) -> Vec<T> {
    rows.iter().map(of).collect()
}
