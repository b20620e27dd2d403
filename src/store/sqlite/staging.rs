//! The rows of an epoch under computation: in their tables before the epoch is, a transaction for every few hundred.
//!
//! The one row of `staging` says whose they are and how far they go. Whoever stages moves it on from where it stood, and the commit of
//! the epoch takes it away from where it has to stand by then: nothing is staged twice, left out, or mixed with another computation's.

use std::collections::BTreeSet;

use goodstanding_verify::{did::Did, tile::TILE_BITS};
use sqlx::{QueryBuilder, Row as _, Sqlite, SqliteConnection};

use super::{
    SqliteStore, to_i64, to_u64, unavailable,
    write::{ROWS, insert_tile, intern_agents, number},
};
use crate::store::{
    Error, NewEpoch, Staged, StagingKey, Tree,
    convert::{Piece, pieces, storable_part},
};

/// Statements that one transaction stages or removes: there is one connection that writes, and a commit of reports waits for one of
/// these at most, since who waits is served in turn.
const PIECE: usize = 500;

fn token(key: Option<&StagingKey>) -> Option<&[u8]> {
    key.map(|key| key.0.as_slice())
}

impl SqliteStore {
    pub(super) async fn claim(&self, key: Option<StagingKey>) -> Result<u64, Error> {
        // Where nobody is to stage and nobody did, nothing is written.
        let sql = match key {
            None => "UPDATE staging SET token = ? WHERE one = 1 RETURNING leaves",
            Some(_) => {
                "INSERT INTO staging (one, token, leaves) VALUES (1, ?, 0) \
                 ON CONFLICT (one) DO UPDATE SET token = excluded.token RETURNING leaves"
            }
        };
        let mut leaves = 0;
        self.transaction(async |tx| {
            let row = sqlx::query(sql)
                .bind(token(key.as_ref()))
                .fetch_optional(tx)
                .await
                .map_err(unavailable)?;
            leaves = row.map_or(Ok(0), |row| to_u64(row.get(0)))?;
            Ok(())
        })
        .await?;
        Ok(leaves)
    }

    pub(super) async fn stage_part(&self, key: StagingKey, part: &Staged) -> Result<(), Error> {
        storable_part(part)?;
        for piece in pieces(part, PIECE) {
            self.transaction(async |tx| insert_piece(tx, key, piece).await)
                .await?;
        }
        Ok(())
    }

    pub(super) async fn clear_some(&self, key: Option<StagingKey>) -> Result<bool, Error> {
        let mut left = 0;
        self.transaction(async |tx| {
            left = remove_some(tx, key).await?;
            Ok(())
        })
        .await?;
        Ok(left == 0)
    }
}

async fn insert_piece(
    tx: &mut SqliteConnection,
    key: StagingKey,
    piece: Piece<'_>,
) -> Result<(), Error> {
    let epoch = to_i64(piece.epoch)?;
    let moved = sqlx::query(
        "UPDATE staging SET epoch = ?1, leaves = ?2 WHERE one = 1 AND token = ?3 AND leaves = ?4 \
         AND (epoch = ?1 OR leaves = 0) AND NOT EXISTS (SELECT 1 FROM epochs WHERE number >= ?1)",
    )
    .bind(epoch)
    .bind(to_i64(piece.end())?)
    .bind(key.0.as_slice())
    .bind(to_i64(piece.leaf)?)
    .execute(&mut *tx)
    .await
    .map_err(unavailable)?;
    if moved.rows_affected() != 1 {
        return Err(Error::Unstaged);
    }
    let agents: BTreeSet<Did> = piece.statements.iter().map(|s| s.0).collect();
    let agents = intern_agents(tx, &agents).await?;
    let mut rows = Vec::with_capacity(piece.statements.len());
    for (leaf, (agent, reached, claims)) in (to_i64(piece.leaf)?..).zip(piece.statements) {
        rows.push((leaf, number(&agents, agent)?, reached, claims));
    }
    if !rows.is_empty() {
        QueryBuilder::<Sqlite>::new(
            "INSERT INTO statements (epoch, leaf, agent, reached, claims) ",
        )
        .push_values(rows, |mut row, (leaf, agent, reached, claims)| {
            row.push_bind(epoch).push_bind(leaf).push_bind(agent);
            row.push_bind(reached).push_bind(claims.as_str());
        })
        .build()
        .execute(&mut *tx)
        .await
        .map_err(unavailable)?;
    }
    for (id, tile) in piece.tiles.into_iter().flatten() {
        insert_tile(tx, Tree::Epoch(piece.epoch), *id, tile).await?;
    }
    Ok(())
}

/// Removes the last of what is staged, and gives how many statements are left.
async fn remove_some(tx: &mut SqliteConnection, key: Option<StagingKey>) -> Result<i64, Error> {
    let row = sqlx::query("SELECT epoch, leaves FROM staging WHERE one = 1 AND token IS ?")
        .bind(token(key.as_ref()))
        .fetch_optional(&mut *tx)
        .await
        .map_err(unavailable)?
        .ok_or(Error::Unstaged)?;
    let (Some(epoch), leaves) = (row.get::<Option<i64>, _>(0), row.get::<i64, _>(1)) else {
        return Ok(0);
    };
    let most = i64::try_from(PIECE).unwrap_or(i64::MAX);
    let left = leaves.saturating_sub(most).max(0);
    let rows = sqlx::query("DELETE FROM statements WHERE epoch = ? AND leaf >= ? RETURNING agent")
        .bind(epoch)
        .bind(left)
        .fetch_all(&mut *tx)
        .await
        .map_err(unavailable)?;
    let (tiles, moved) = if left == 0 {
        (
            "DELETE FROM tiles WHERE tree = ?1 AND n >= ?2",
            "UPDATE staging SET epoch = NULL, leaves = ? WHERE one = 1",
        )
    } else {
        (
            "DELETE FROM tiles WHERE tree = ?1 AND level = 0 AND n >= ?2",
            "UPDATE staging SET leaves = ? WHERE one = 1",
        )
    };
    sqlx::query(tiles)
        .bind(epoch)
        .bind(left >> TILE_BITS)
        .execute(&mut *tx)
        .await
        .map_err(unavailable)?;
    let agents: Vec<i64> = rows.iter().map(|row| row.get(0)).collect();
    drop_agents(tx, &agents).await?;
    sqlx::query(moved)
        .bind(left)
        .execute(&mut *tx)
        .await
        .map_err(unavailable)?;
    Ok(left)
}

/// Takes away those of these agents that came with a staged statement and nothing else names.
async fn drop_agents(tx: &mut SqliteConnection, agents: &[i64]) -> Result<(), Error> {
    for chunk in agents.chunks(ROWS) {
        let mut query = QueryBuilder::<Sqlite>::new("DELETE FROM agents WHERE id IN (");
        let mut list = query.separated(", ");
        for agent in chunk {
            list.push_bind(*agent);
        }
        query.push(
            ") AND alias IS NULL AND NOT EXISTS (SELECT 1 FROM reports WHERE reporter = agents.id) \
             AND NOT EXISTS (SELECT 1 FROM reports WHERE subject = agents.id) \
             AND NOT EXISTS (SELECT 1 FROM statements WHERE agent = agents.id) \
             AND NOT EXISTS (SELECT 1 FROM tokens WHERE agent = agents.id)",
        );
        query.build().execute(&mut *tx).await.map_err(unavailable)?;
    }
    Ok(())
}

/// Makes what is staged the epoch's.
pub(super) async fn take_staged(tx: &mut SqliteConnection, epoch: &NewEpoch) -> Result<(), Error> {
    let taken = sqlx::query(
        "DELETE FROM staging WHERE one = 1 AND token = ?1 AND leaves = ?2 AND (epoch = ?3 OR leaves = 0)",
    )
    .bind(epoch.staged.0.as_slice())
    .bind(to_i64(epoch.statements)?)
    .bind(to_i64(epoch.number)?)
    .execute(&mut *tx)
    .await
    .map_err(unavailable)?;
    if taken.rows_affected() == 1 {
        Ok(())
    } else {
        Err(Error::Unstaged)
    }
}

/// Ends whatever is staged for an epoch that may have read what is erased now, and takes these agents out of it: what is left of it
/// names nobody for whose sake a row would have to stay.
pub(super) async fn unstage_agents(
    tx: &mut SqliteConnection,
    agents: [i64; 2],
) -> Result<(), Error> {
    sqlx::query("UPDATE staging SET token = NULL WHERE one = 1 AND token IS NOT NULL")
        .execute(&mut *tx)
        .await
        .map_err(unavailable)?;
    sqlx::query(
        "DELETE FROM statements WHERE agent IN (?, ?) AND epoch = (SELECT epoch FROM staging WHERE one = 1)",
    )
    .bind(agents[0])
    .bind(agents[1])
    .execute(tx)
    .await
    .map_err(unavailable)?;
    Ok(())
}
