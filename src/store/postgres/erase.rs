//! Erasure: what it takes out of the working copy.

use sqlx::Row as _;

use super::{
    session::{Failure, Held},
    sql,
    staging::end_staging,
};
use crate::store::{Error, NewErasure, convert::to_i64};

/// Takes a report's body and every trace of its content out of the working copy, and leaves that it was erased.
pub(super) async fn erase(tx: &mut Held, erasure: &NewErasure) -> Result<(), Failure> {
    // Before any agent is looked at: a transaction that stages holds on to those that it names.
    end_staging(tx).await?;
    let index = to_i64(erasure.index)?;
    let of = erasure.of.0.as_slice();
    let query = sqlx::query(sql::ERASE_REPORT).bind(index).bind(of);
    let row = tx
        .optional(query)
        .await?
        .ok_or_else(|| Error::Corrupt(format!("report {} is not at {index}", erasure.of)))?;
    let (reporter, subject, market): (i64, i64, i64) = (row.get(0), row.get(1), row.get(2));
    let (trade_id, superseded_by): (String, Option<i64>) = (row.get(3), row.get(4));
    for delete in [sql::ERASE_DOCUMENTS, sql::ERASE_BODY] {
        tx.execute(sqlx::query(delete).bind(index)).await?;
    }
    let close = sqlx::query(sql::CLOSE_CHAIN)
        .bind(superseded_by)
        .bind(&trade_id)
        .bind(market)
        .bind(reporter)
        .bind(subject)
        .bind(index);
    tx.execute(close).await?;
    tx.execute(sqlx::query(sql::DROP_MARKET).bind(market))
        .await?;
    let staged = sqlx::query(sql::UNSTAGE_AGENTS)
        .bind(reporter)
        .bind(subject);
    tx.execute(staged).await?;
    let agents = sqlx::query(sql::DROP_AGENTS).bind(reporter).bind(subject);
    tx.execute(agents).await?;
    let record = sqlx::query(sql::INSERT_ERASED)
        .bind(index)
        .bind(of)
        .bind(to_i64(erasure.by)?);
    tx.execute(record).await?;
    Ok(())
}
