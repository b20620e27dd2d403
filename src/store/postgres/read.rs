//! The readers' side. Each question is one statement, so that its answer is of one moment without a transaction.

use goodstanding_verify::{did::Did, report::ReportId};
use sqlx::{Row as _, postgres::PgRow};

use super::{
    PostgresStore,
    session::{all, one, optional},
    sql,
};
use crate::{
    log::tree::{Tile, TileId, Touched},
    store::{
        Error, Head, Published, ReportFilter, StoredBody, StoredEpoch, StoredErasure, StoredReport,
        StoredStatement, Tree,
        convert::{bytes32, did, report_id, tile, to_i64, to_u64, tree_number},
    },
};

/// Text to compare with. PostgreSQL takes none with U+0000; as nothing stored contains one, NULL, which equals nothing, stands for it.
pub(super) fn comparable(text: &str) -> Option<&str> {
    (!text.contains('\0')).then_some(text)
}

pub(super) fn index(row: &PgRow, column: usize) -> Result<Option<u64>, Error> {
    row.get::<Option<i64>, _>(column).map(to_u64).transpose()
}

fn head(row: &PgRow) -> Result<Head, Error> {
    Ok(Head {
        size: to_u64(row.get(0))?,
        root: bytes32(row.get(1))?,
        at_ms: to_u64(row.get(2))?,
        note: row.get(3),
    })
}

fn published(row: &PgRow) -> Result<Published, Error> {
    Ok(Published {
        size: to_u64(row.get(0))?,
        published_ms: to_u64(row.get(1))?,
        note: row.get(2),
    })
}

fn stored_report(row: &PgRow) -> Result<StoredReport, Error> {
    Ok(StoredReport {
        index: to_u64(row.get(0))?,
        at_ms: to_u64(row.get(1))?,
        id: report_id(row.get(2))?,
        historical: row.get(3),
        superseded_by: index(row, 4)?,
        jws: row.get(5),
    })
}

fn stored_epoch(row: &PgRow) -> Result<StoredEpoch, Error> {
    Ok(StoredEpoch {
        number: to_u64(row.get(0))?,
        index: to_u64(row.get(1))?,
        salt_key: bytes32(row.get(2))?,
        entry: row.get(3),
    })
}

fn stored_statement(row: &PgRow) -> Result<StoredStatement, Error> {
    Ok(StoredStatement {
        epoch: to_u64(row.get(0))?,
        leaf: to_u64(row.get(1))?,
        agent: did(row.get(2))?,
        claims: row.get(3),
    })
}

fn stored_erasure(row: &PgRow) -> Result<StoredErasure, Error> {
    Ok(StoredErasure {
        index: to_u64(row.get(0))?,
        id: report_id(row.get(1))?,
        by: to_u64(row.get(2))?,
        entry: row.get(3),
    })
}

fn found_tile(row: &PgRow) -> Result<(TileId, Tile), Error> {
    let level: i16 = row.get(0);
    let level = u8::try_from(level).map_err(|_| Error::Corrupt(format!("tile level {level}")))?;
    let n = to_u64(row.get(1))?;
    Ok((TileId { level, n }, tile(row.get(2))?))
}

impl PostgresStore {
    pub(super) async fn read_head(&self) -> Result<Option<Head>, Error> {
        let row = optional(&self.readers, sqlx::query(sql::HEAD)).await?;
        row.as_ref().map(head).transpose()
    }

    /// The published checkpoint of this size, or the newest.
    pub(super) async fn read_published(
        &self,
        size: Option<u64>,
    ) -> Result<Option<Published>, Error> {
        let query = sqlx::query(sql::PUBLISHED).bind(size.map(to_i64).transpose()?);
        let row = optional(&self.readers, query).await?;
        row.as_ref().map(published).transpose()
    }

    /// `sql` takes a size and a limit.
    pub(super) async fn read_checkpoints(
        &self,
        sql: &'static str,
        size: u64,
        limit: u32,
    ) -> Result<Vec<Published>, Error> {
        let query = sqlx::query(sql).bind(to_i64(size)?).bind(i64::from(limit));
        let rows = all(&self.readers, query).await?;
        rows.iter().map(published).collect()
    }

    pub(super) async fn read_tiles(&self, tree: Tree, ids: &[TileId]) -> Result<Touched, Error> {
        if ids.is_empty() {
            return Ok(Touched::new());
        }
        let mut places = Vec::with_capacity(ids.len());
        for id in ids {
            places.push(to_i64(id.n)?);
        }
        let levels: Vec<_> = ids.iter().map(|id| i16::from(id.level)).collect();
        let query = sqlx::query(sql::TILES)
            .bind(tree_number(tree)?)
            .bind(levels)
            .bind(places);
        let rows = all(&self.readers, query).await?;
        rows.iter().map(found_tile).collect()
    }

    pub(super) async fn read_entries(&self, start: u64, end: u64) -> Result<Vec<Vec<u8>>, Error> {
        let query = sqlx::query(sql::ENTRIES)
            .bind(to_i64(start)?)
            .bind(to_i64(end)?);
        let rows = all(&self.readers, query).await?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }

    pub(super) async fn read_events(
        &self,
        kind: &str,
        before: u64,
    ) -> Result<Vec<(u64, Vec<u8>)>, Error> {
        let query = sqlx::query(sql::EVENTS)
            .bind(comparable(kind))
            .bind(to_i64(before)?);
        let rows = all(&self.readers, query).await?;
        let event = |row: &PgRow| Ok((to_u64(row.get(0))?, row.get(1)));
        rows.iter().map(event).collect()
    }

    pub(super) async fn read_bodies(
        &self,
        start: u64,
        end: u64,
        limit: u32,
    ) -> Result<Vec<StoredReport>, Error> {
        let query = sqlx::query(sql::BODIES)
            .bind(to_i64(start)?)
            .bind(to_i64(end)?)
            .bind(i64::from(limit));
        let rows = all(&self.readers, query).await?;
        rows.iter().map(stored_report).collect()
    }

    pub(super) async fn read_log_bodies(
        &self,
        start: u64,
        end: u64,
        limit: u32,
    ) -> Result<Vec<StoredBody>, Error> {
        let query = sqlx::query(sql::LOG_BODIES)
            .bind(to_i64(start)?)
            .bind(to_i64(end)?)
            .bind(i64::from(limit));
        let body = |row: &PgRow| {
            Ok(StoredBody {
                index: to_u64(row.get(0))?,
                jws: row.get(1),
                erased_by: row.get::<Option<i64>, _>(2).map(to_u64).transpose()?,
            })
        };
        all(&self.readers, query).await?.iter().map(body).collect()
    }

    pub(super) async fn read_erased(&self, id: &ReportId) -> Result<Option<StoredErasure>, Error> {
        let query = sqlx::query(sql::ERASED).bind(id.0.as_slice());
        let row = optional(&self.readers, query).await?;
        row.as_ref().map(stored_erasure).transpose()
    }

    pub(super) async fn read_erased_since(&self, log_size: u64) -> Result<u64, Error> {
        let query = sqlx::query(sql::ERASED_SINCE).bind(to_i64(log_size)?);
        to_u64(one(&self.readers, query).await?.get(0))
    }

    pub(super) async fn read_report(&self, id: &ReportId) -> Result<Option<StoredReport>, Error> {
        let query = sqlx::query(sql::REPORT).bind(id.0.as_slice());
        let row = optional(&self.readers, query).await?;
        row.as_ref().map(stored_report).transpose()
    }

    pub(super) async fn read_reports(
        &self,
        filter: &ReportFilter,
    ) -> Result<Vec<StoredReport>, Error> {
        let sql = sql::reports([
            filter.subject.is_some(),
            filter.reporter.is_some(),
            filter.market.is_some(),
            filter.trade_id.is_some(),
        ]);
        // Made of constants only.
        let mut query = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(to_i64(filter.from_index)?)
            .bind(i64::from(filter.limit));
        for agent in [&filter.subject, &filter.reporter].into_iter().flatten() {
            query = query.bind(agent.key_bytes().as_slice());
        }
        for text in [&filter.market, &filter.trade_id].into_iter().flatten() {
            query = query.bind(comparable(text));
        }
        let rows = all(&self.readers, query).await?;
        rows.iter().map(stored_report).collect()
    }

    pub(super) async fn read_current_reports(
        &self,
        market: &str,
        trade_id: &str,
        parties: [&Did; 2],
        before: u64,
    ) -> Result<Vec<StoredReport>, Error> {
        let [one, other] = parties.map(|did| did.key_bytes().as_slice());
        let query = sqlx::query(sql::CURRENT_REPORTS)
            .bind(comparable(market))
            .bind(comparable(trade_id))
            .bind(vec![one, other])
            .bind(vec![other, one])
            .bind(to_i64(before)?);
        let rows = all(&self.readers, query).await?;
        rows.iter().map(stored_report).collect()
    }

    pub(super) async fn read_index_at(&self, at_ms: u64) -> Result<u64, Error> {
        let query = sqlx::query(sql::INDEX_AT).bind(to_i64(at_ms)?);
        let row = one(&self.readers, query).await?;
        let (low, high): (i64, i64) = (row.get(0), row.get(1));
        if low < high {
            let why = format!("an entry between {low} and {high} is missing");
            return Err(Error::Corrupt(why));
        }
        to_u64(low)
    }

    pub(super) async fn read_reports_with_document(
        &self,
        sha256: &[u8; 32],
        limit: u32,
    ) -> Result<Vec<StoredReport>, Error> {
        let query = sqlx::query(sql::REPORTS_WITH_DOCUMENT)
            .bind(sha256.as_slice())
            .bind(i64::from(limit));
        let rows = all(&self.readers, query).await?;
        rows.iter().map(stored_report).collect()
    }

    pub(super) async fn read_newest_report(&self) -> Result<Option<StoredReport>, Error> {
        let row = optional(&self.readers, sqlx::query(sql::NEWEST_REPORT)).await?;
        row.as_ref().map(stored_report).transpose()
    }

    pub(super) async fn read_epoch(
        &self,
        number: Option<u64>,
    ) -> Result<Option<StoredEpoch>, Error> {
        let query = sqlx::query(sql::EPOCH).bind(number.map(to_i64).transpose()?);
        let row = optional(&self.readers, query).await?;
        row.as_ref().map(stored_epoch).transpose()
    }

    pub(super) async fn read_epochs(
        &self,
        before: u64,
        limit: u32,
    ) -> Result<Vec<StoredEpoch>, Error> {
        let query = sqlx::query(sql::EPOCHS)
            .bind(to_i64(before)?)
            .bind(i64::from(limit));
        let rows = all(&self.readers, query).await?;
        rows.iter().map(stored_epoch).collect()
    }

    pub(super) async fn read_statements(
        &self,
        epoch: u64,
        from: u64,
        limit: u32,
    ) -> Result<Vec<StoredStatement>, Error> {
        let query = sqlx::query(sql::STATEMENTS)
            .bind(to_i64(epoch)?)
            .bind(to_i64(from)?)
            .bind(i64::from(limit));
        let rows = all(&self.readers, query).await?;
        rows.iter().map(stored_statement).collect()
    }

    pub(super) async fn read_statements_of(
        &self,
        agent: &Did,
        before: u64,
        limit: u32,
    ) -> Result<Vec<StoredStatement>, Error> {
        let query = sqlx::query(sql::STATEMENTS_OF)
            .bind(agent.key_bytes().as_slice())
            .bind(to_i64(before)?)
            .bind(i64::from(limit));
        let rows = all(&self.readers, query).await?;
        rows.iter().map(stored_statement).collect()
    }

    pub(super) async fn read_reached(&self) -> Result<Vec<Did>, Error> {
        let rows = all(&self.readers, sqlx::query(sql::REACHED)).await?;
        rows.iter().map(|row| did(row.get(0))).collect()
    }

    pub(super) async fn read_agent_of_alias(&self, alias: &str) -> Result<Option<Did>, Error> {
        let query = sqlx::query(sql::AGENT_OF_ALIAS).bind(comparable(alias));
        let row = optional(&self.readers, query).await?;
        row.map(|row| did(row.get(0))).transpose()
    }

    pub(super) async fn read_aliases(&self) -> Result<Vec<(String, Did)>, Error> {
        let rows = all(&self.readers, sqlx::query(sql::ALIASES)).await?;
        let alias = |row: &PgRow| Ok((row.get(0), did(row.get(1))?));
        rows.iter().map(alias).collect()
    }

    pub(super) async fn read_status_list(&self, list: u64) -> Result<(u64, Vec<u64>), Error> {
        let query = sqlx::query(sql::STATUS_LIST).bind(to_i64(list)?);
        let row = one(&self.readers, query).await?;
        let revoked: Vec<i64> = row.get(1);
        let revoked = revoked.into_iter().map(to_u64).collect::<Result<_, _>>()?;
        Ok((to_u64(row.get(0))?, revoked))
    }

    pub(super) async fn read_newest_status_list(&self) -> Result<Option<u64>, Error> {
        index(
            &one(&self.readers, sqlx::query(sql::NEWEST_STATUS_LIST)).await?,
            0,
        )
    }

    pub(super) async fn read_meta(&self, key: &str) -> Result<Option<String>, Error> {
        let query = sqlx::query(sql::META).bind(comparable(key));
        let row = optional(&self.readers, query).await?;
        Ok(row.map(|row| row.get(0)))
    }
}
