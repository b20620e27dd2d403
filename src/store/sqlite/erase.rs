//! Erasure: what it takes out of the database, and out of the database's files.

use sqlx::{Row as _, SqliteConnection, sqlite::SqliteRow};

use super::{SqliteStore, report_id, staging::unstage_agents, to_i64, to_u64, unavailable};
use crate::store::{Error, NewErasure, StoredBody, StoredErasure};
use goodstanding_verify::report::ReportId;

fn stored_erasure(row: &SqliteRow) -> Result<StoredErasure, Error> {
    Ok(StoredErasure {
        index: to_u64(row.get(0))?,
        id: report_id(row.get(1))?,
        by: to_u64(row.get(2))?,
        entry: row.get(3),
    })
}

impl SqliteStore {
    /// The record of an erased report.
    pub(super) async fn read_erased(&self, id: &ReportId) -> Result<Option<StoredErasure>, Error> {
        let row = sqlx::query(
            "SELECT x.idx, x.id, x.by, e.bytes FROM erased x JOIN entries e ON e.idx = x.by WHERE x.id = ?",
        )
        .bind(id.0.to_vec())
        .fetch_optional(&self.readers)
        .await
        .map_err(unavailable)?;
        row.as_ref().map(stored_erasure).transpose()
    }

    /// How many reports below `log_size` an entry at or above it erased.
    pub(super) async fn read_erased_since(&self, log_size: u64) -> Result<u64, Error> {
        let count: i64 =
            sqlx::query_scalar("SELECT count(*) FROM erased WHERE by >= ?1 AND idx < ?1")
                .bind(to_i64(log_size)?)
                .fetch_one(&self.readers)
                .await
                .map_err(unavailable)?;
        to_u64(count)
    }

    /// Bodies and the places of erased ones, ascending.
    pub(super) async fn read_log_bodies(
        &self,
        start: u64,
        end: u64,
        limit: u32,
    ) -> Result<Vec<StoredBody>, Error> {
        let rows = sqlx::query(
            "SELECT idx, jws, NULL FROM bodies WHERE idx >= ?1 AND idx < ?2 \
             UNION ALL SELECT idx, NULL, by FROM erased WHERE idx >= ?1 AND idx < ?2 ORDER BY 1 LIMIT ?3",
        )
        .bind(to_i64(start)?)
        .bind(to_i64(end)?)
        .bind(limit)
        .fetch_all(&self.readers)
        .await
        .map_err(unavailable)?;
        rows.iter()
            .map(|row| {
                Ok(StoredBody {
                    index: to_u64(row.get(0))?,
                    jws: row.get(1),
                    erased_by: row.get::<Option<i64>, _>(2).map(to_u64).transpose()?,
                })
            })
            .collect()
    }

    /// Overwrites what deleted rows leave behind in their pages and in pages that came free. `FAST`, the standing setting,
    /// does the first only: it costs nothing, and keeps page splits from leaving copies of rows where no later deletion finds them.
    pub(super) async fn secure_delete(&self, on: bool) -> Result<(), Error> {
        let pragma = if on {
            "PRAGMA secure_delete = ON"
        } else {
            "PRAGMA secure_delete = FAST"
        };
        sqlx::query(pragma)
            .fetch_optional(&self.writer)
            .await
            .map_err(unavailable)?;
        Ok(())
    }

    /// Moves the write-ahead log into the database file and empties it; `false` while a reader still needs it.
    pub(super) async fn empty_wal(&self) -> Result<bool, Error> {
        let row = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)")
            .fetch_one(&self.writer)
            .await
            .map_err(unavailable)?;
        Ok(row.get::<i64, _>(0) == 0)
    }
}

/// Takes a report's body and every trace of its content out of the working copy, and leaves that it was erased.
pub(super) async fn erase(tx: &mut SqliteConnection, erasure: &NewErasure) -> Result<(), Error> {
    let index = to_i64(erasure.index)?;
    let row = sqlx::query(
        "SELECT reporter, subject, market, trade_id, superseded_by FROM reports WHERE idx = ? AND id = ?",
    )
    .bind(index)
    .bind(erasure.of.0.to_vec())
    .fetch_optional(&mut *tx)
    .await
    .map_err(unavailable)?
    .ok_or_else(|| Error::Corrupt(format!("report {} is not at {index}", erasure.of)))?;
    let (reporter, subject, market): (i64, i64, i64) = (row.get(0), row.get(1), row.get(2));
    let (trade_id, superseded_by): (String, Option<i64>) = (row.get(3), row.get(4));
    for delete in [
        "DELETE FROM documents WHERE idx = ?",
        "DELETE FROM bodies WHERE idx = ?",
        "DELETE FROM reports WHERE idx = ?",
    ] {
        sqlx::query(delete)
            .bind(index)
            .execute(&mut *tx)
            .await
            .map_err(unavailable)?;
    }
    // Whoever has only the bodies that are left sees the report before it followed by the one after it.
    sqlx::query(
        "UPDATE reports SET superseded_by = ? WHERE trade_id = ? AND market = ? AND reporter = ? AND subject = ? AND superseded_by = ?",
    )
    .bind(superseded_by)
    .bind(&trade_id)
    .bind(market)
    .bind(reporter)
    .bind(subject)
    .bind(index)
    .execute(&mut *tx)
    .await
    .map_err(unavailable)?;
    sqlx::query("DELETE FROM markets WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM reports WHERE market = ?1)")
        .bind(market)
        .execute(&mut *tx)
        .await
        .map_err(unavailable)?;
    unstage_agents(tx, [reporter, subject]).await?;
    for agent in [reporter, subject] {
        sqlx::query(
            "DELETE FROM agents WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM reports WHERE reporter = ?1) \
             AND NOT EXISTS (SELECT 1 FROM reports WHERE subject = ?1) AND NOT EXISTS (SELECT 1 FROM statements WHERE agent = ?1) \
             AND NOT EXISTS (SELECT 1 FROM tokens WHERE agent = ?1)",
        )
        .bind(agent)
        .execute(&mut *tx)
        .await
        .map_err(unavailable)?;
    }
    sqlx::query("INSERT INTO erased (idx, id, by) VALUES (?, ?, ?)")
        .bind(index)
        .bind(erasure.of.0.to_vec())
        .bind(to_i64(erasure.by)?)
        .execute(&mut *tx)
        .await
        .map_err(unavailable)?;
    Ok(())
}
