//! The rows of an epoch under computation: in their tables before the epoch is, a transaction for every few thousand.
//!
//! The one row of `staging` says whose they are and how far they go. Whoever stages moves it on from where it stood, and the commit of
//! the epoch takes it away from where it has to stand by then: nothing is staged twice, left out, or mixed with another computation's.
//! The row is locked first, so that a transaction whose answer is missing is over before the next one looks. These transactions wait for no standby: the
//! commit that logs the epoch comes after them, and waits for all of it.

use std::collections::BTreeSet;

use goodstanding_verify::tile::TILE_BITS;
use sqlx::Row as _;

use super::{
    PostgresStore,
    session::{Failure, Held},
    sql,
    write::{Work, all_named, column, insert_tiles, intern, tile_rows},
};
use crate::store::{
    Error, NewEpoch, Staged, StagingKey, Tree,
    convert::{Piece, pieces, storable_part, to_i64, to_u64},
};

/// Statements that one transaction stages.
const PIECE: usize = 4096;
/// Statements that one transaction removes.
const REMOVED: i64 = 2048;

fn token(key: Option<&StagingKey>) -> Option<&[u8]> {
    key.map(|key| key.0.as_slice())
}

impl PostgresStore {
    pub(super) async fn claim(&self, key: Option<StagingKey>) -> Result<u64, Error> {
        self.transaction(Work::ClaimStaging(key.as_ref())).await
    }

    pub(super) async fn stage_part(&self, key: StagingKey, part: &Staged) -> Result<(), Error> {
        storable_part(part)?;
        for piece in pieces(part, PIECE) {
            self.transaction(Work::Stage(&key, piece)).await?;
        }
        Ok(())
    }

    pub(super) async fn clear_some(&self, key: Option<StagingKey>) -> Result<bool, Error> {
        Ok(self.transaction(Work::ClearStaging(key.as_ref())).await? == 0)
    }
}

/// How many statements are staged.
pub(super) async fn claim(tx: &mut Held, key: Option<&StagingKey>) -> Result<u64, Failure> {
    let query = match key {
        None => sqlx::query(sql::DISOWN_STAGED),
        Some(_) => sqlx::query(sql::CLAIM_STAGING).bind(token(key)),
    };
    let row = tx.optional(query).await?;
    Ok(row.map_or(Ok(0), |row| to_u64(row.get(0)))?)
}

pub(super) async fn insert_piece(
    tx: &mut Held,
    key: &StagingKey,
    piece: Piece<'_>,
) -> Result<(), Failure> {
    let (epoch, leaf) = (to_i64(piece.epoch)?, to_i64(piece.leaf)?);
    let moved = sqlx::query(sql::STAGE)
        .bind(token(Some(key)))
        .bind(epoch)
        .bind(leaf)
        .bind(to_i64(piece.end())?);
    if tx.execute(moved).await?.rows_affected() != 1 {
        return Err(Error::Unstaged.into());
    }
    let rows = piece.statements;
    let agents = rows.iter().map(|s| s.0).collect();
    intern(tx, &agents, &BTreeSet::new()).await?;
    let query = sqlx::query(sql::INSERT_STATEMENTS)
        .bind(epoch)
        .bind((leaf..).take(rows.len()).collect::<Vec<i64>>())
        .bind(column(rows, |s| s.0.key_bytes().as_slice()))
        .bind(column(rows, |s| s.1))
        .bind(column(rows, |s| s.2.as_str()));
    let done = tx.execute(query).await?;
    // Agents go with an erasure only, and that ends the staging first.
    all_named(done.rows_affected(), rows.len())?;
    if let Some(tiles) = piece.tiles {
        let tree = Tree::Epoch(piece.epoch);
        let tiles: Vec<_> = tiles.iter().map(|(id, t)| (tree, *id, t.clone())).collect();
        insert_tiles(tx, &tile_rows(&tiles)?).await?;
    }
    Ok(())
}

/// Removes the last of what is staged, and gives how many statements are left.
pub(super) async fn remove_some(tx: &mut Held, key: Option<&StagingKey>) -> Result<u64, Failure> {
    let held = sqlx::query(sql::HOLD_STAGING).bind(token(key));
    let row = tx.optional(held).await?.ok_or(Error::Unstaged)?;
    let (Some(epoch), leaves) = (row.get::<Option<i64>, _>(0), row.get::<i64, _>(1)) else {
        return Ok(0);
    };
    let left = leaves.saturating_sub(REMOVED).max(0);
    let removed = sqlx::query(sql::REMOVE_STAGED).bind(epoch).bind(left);
    let rows = tx.all(removed).await?;
    let agents: Vec<i64> = rows.iter().map(|row| row.get(0)).collect();
    let lowest = (left > 0).then_some(0_i16);
    let tiles = sqlx::query(sql::REMOVE_STAGED_TILES)
        .bind(epoch)
        .bind(left >> TILE_BITS)
        .bind(lowest);
    tx.execute(tiles).await?;
    tx.execute(sqlx::query(sql::DROP_UNNAMED).bind(agents))
        .await?;
    let moved = sqlx::query(sql::SHORTEN_STAGED).bind(left);
    tx.execute(moved).await?;
    Ok(to_u64(left)?)
}

/// Makes what is staged the epoch's.
pub(super) async fn take_staged(tx: &mut Held, epoch: &NewEpoch) -> Result<(), Failure> {
    let query = sqlx::query(sql::TAKE_STAGED)
        .bind(token(Some(&epoch.staged)))
        .bind(to_i64(epoch.number)?)
        .bind(to_i64(epoch.statements)?);
    match tx.execute(query).await?.rows_affected() {
        1 => Ok(()),
        _ => Err(Error::Unstaged.into()),
    }
}

/// Ends whatever is staged for an epoch that may have read what is erased now, and waits for what is being staged.
pub(super) async fn end_staging(tx: &mut Held) -> Result<(), Failure> {
    tx.execute(sqlx::query(sql::DISOWN_STAGED)).await?;
    Ok(())
}
