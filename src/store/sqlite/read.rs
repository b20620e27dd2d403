//! The readers' side.

use goodstanding_verify::{did::Did, report::ReportId};
use sqlx::{QueryBuilder, Row as _, Sqlite, sqlite::SqliteRow};

use super::{SqliteStore, bytes32, did, report_id, to_i64, to_u64, tree_number, unavailable};
use crate::{
    log::tree::{Tile, TileId, Touched},
    store::{
        AdmissionFacts, AdmissionQuery, Error, Head, Published, ReportFilter, StoredEpoch,
        StoredReport, StoredStatement, Tree,
    },
};

const REPORT: &str = "SELECT r.idx, r.at_ms, r.id, r.historical, r.superseded_by, b.jws \
                      FROM reports r JOIN bodies b ON b.idx = r.idx ";

fn stored_report(row: &SqliteRow) -> Result<StoredReport, Error> {
    Ok(StoredReport {
        index: to_u64(row.get(0))?,
        at_ms: to_u64(row.get(1))?,
        id: report_id(row.get(2))?,
        historical: row.get(3),
        superseded_by: row.get::<Option<i64>, _>(4).map(to_u64).transpose()?,
        jws: row.get(5),
    })
}

fn stored_epoch(row: &SqliteRow) -> Result<StoredEpoch, Error> {
    Ok(StoredEpoch {
        number: to_u64(row.get(0))?,
        index: to_u64(row.get(1))?,
        salt_key: bytes32(row.get(2))?,
        entry: row.get(3),
    })
}

fn stored_statement(row: &SqliteRow) -> Result<StoredStatement, Error> {
    Ok(StoredStatement {
        epoch: to_u64(row.get(0))?,
        leaf: to_u64(row.get(1))?,
        agent: did(row.get(2))?,
        claims: row.get(3),
    })
}

impl SqliteStore {
    pub(super) async fn read_head(&self) -> Result<Option<Head>, Error> {
        let row = sqlx::query("SELECT size, root, at_ms, note FROM head")
            .fetch_optional(&self.readers)
            .await
            .map_err(unavailable)?;
        row.map(|row| {
            Ok(Head {
                size: to_u64(row.get(0))?,
                root: bytes32(row.get(1))?,
                at_ms: to_u64(row.get(2))?,
                note: row.get(3),
            })
        })
        .transpose()
    }

    /// The published checkpoint of this size, or the newest.
    pub(super) async fn read_published(
        &self,
        size: Option<u64>,
    ) -> Result<Option<Published>, Error> {
        let row = sqlx::query(
            "SELECT size, published_ms, note FROM checkpoints \
             WHERE size = coalesce(?, (SELECT max(size) FROM checkpoints))",
        )
        .bind(size.map(to_i64).transpose()?)
        .fetch_optional(&self.readers)
        .await
        .map_err(unavailable)?;
        row.as_ref().map(super::published_row).transpose()
    }

    pub(super) async fn read_admission_facts(
        &self,
        asked: &[AdmissionQuery<'_>],
    ) -> Result<Vec<AdmissionFacts>, Error> {
        let mut facts = Vec::with_capacity(asked.len());
        for chunk in asked.chunks(1000) {
            let mut rows = Vec::with_capacity(chunk.len());
            for (n, query) in (0_i64..).zip(chunk) {
                rows.push((n, query, query.alone_since_ms.map(to_i64).transpose()?));
            }
            let mut sql = QueryBuilder::<Sqlite>::new(
                "WITH q (n, id, reporter, subject, market, trade, role, jti, since) AS (",
            );
            sql.push_values(rows, |mut row, (n, query, since)| {
                row.push_bind(n)
                    .push_bind(query.id.0.to_vec())
                    .push_bind(query.reporter.key_bytes().as_slice())
                    .push_bind(query.subject.key_bytes().as_slice())
                    .push_bind(query.market)
                    .push_bind(query.trade_id)
                    .push_bind(super::role_number(query.role))
                    .push_bind(query.jti)
                    .push_bind(since);
            });
            // Every one of these joins finds one row at most, through a unique index. As joins, and not as sub-selects, they
            // open each index once and not once a report.
            sql.push(
                ") SELECT s.idx, x.by, j.id, c.idx, c.id, o.idx IS NOT NULL, \
                   CASE WHEN q.since IS NULL THEN 0 ELSE \
                     (SELECT count(*) FROM reports r WHERE r.reporter = ra.id AND r.alone = 1 AND r.at_ms >= q.since) END \
                 FROM q \
                 LEFT JOIN agents ra ON ra.key = q.reporter \
                 LEFT JOIN agents sa ON sa.key = q.subject \
                 LEFT JOIN markets m ON m.name = q.market \
                 LEFT JOIN reports c ON c.reporter = ra.id AND c.subject = sa.id AND c.market = m.id \
                   AND c.trade_id = q.trade AND c.superseded_by IS NULL \
                 LEFT JOIN reports o ON o.reporter = sa.id AND o.subject = ra.id AND o.market = m.id \
                   AND o.trade_id = q.trade AND o.superseded_by IS NULL AND o.role <> q.role \
                 LEFT JOIN reports j ON j.reporter = ra.id AND j.jti = q.jti \
                 LEFT JOIN reports s ON s.id = q.id \
                 LEFT JOIN erased x ON x.id = q.id \
                 ORDER BY q.n",
            );
            let rows = sql
                .build()
                .fetch_all(&self.writer)
                .await
                .map_err(unavailable)?;
            for row in &rows {
                let current = match (
                    row.get::<Option<i64>, _>(3),
                    row.get::<Option<Vec<u8>>, _>(4),
                ) {
                    (Some(index), Some(id)) => Some((to_u64(index)?, report_id(&id)?)),
                    _ => None,
                };
                facts.push(AdmissionFacts {
                    same: row.get::<Option<i64>, _>(0).map(to_u64).transpose()?,
                    erased: row.get::<Option<i64>, _>(1).map(to_u64).transpose()?,
                    jti: row
                        .get::<Option<Vec<u8>>, _>(2)
                        .map(|id| report_id(&id))
                        .transpose()?,
                    current,
                    counterparty_reported: row.get(5),
                    alone: to_u64(row.get(6))?,
                });
            }
        }
        Ok(facts)
    }

    pub(super) async fn read_tile(&self, tree: Tree, id: TileId) -> Result<Option<Tile>, Error> {
        let bytes: Option<Vec<u8>> =
            sqlx::query_scalar("SELECT hashes FROM tiles WHERE tree = ? AND level = ? AND n = ? AND tree IS NOT (SELECT epoch FROM staging)")
                .bind(tree_number(tree)?)
                .bind(i64::from(id.level))
                .bind(to_i64(id.n)?)
                .fetch_optional(&self.readers)
                .await
                .map_err(unavailable)?;
        bytes
            .map(|bytes| bytes.chunks(32).map(bytes32).collect())
            .transpose()
    }

    /// All in one statement: a proof needs several tiles, and each statement is a trip to a reader's thread and back.
    pub(super) async fn read_tiles(&self, tree: Tree, ids: &[TileId]) -> Result<Touched, Error> {
        if ids.is_empty() {
            return Ok(Touched::new());
        }
        let mut rows = Vec::with_capacity(ids.len());
        for id in ids {
            rows.push((i64::from(id.level), to_i64(id.n)?));
        }
        let mut sql = QueryBuilder::<Sqlite>::new("WITH q (level, n) AS (");
        sql.push_values(rows, |mut row, (level, n)| {
            row.push_bind(level).push_bind(n);
        });
        // CROSS JOIN keeps the order of the tables: one look-up in the primary key for every tile asked for.
        sql.push(
            ") SELECT t.level, t.n, t.hashes FROM q CROSS JOIN tiles t \
             ON t.level = q.level AND t.n = q.n WHERE t.tree = ",
        );
        sql.push_bind(tree_number(tree)?);
        sql.push(" AND t.tree IS NOT (SELECT epoch FROM staging)");
        let rows = sql
            .build()
            .fetch_all(&self.readers)
            .await
            .map_err(unavailable)?;
        let tile = |row: &SqliteRow| {
            let level: i64 = row.get(0);
            let level =
                u8::try_from(level).map_err(|_| Error::Corrupt(format!("tile level {level}")))?;
            let id = TileId {
                level,
                n: to_u64(row.get(1))?,
            };
            let bytes: &[u8] = row.get(2);
            Ok((id, bytes.chunks(32).map(bytes32).collect::<Result<_, _>>()?))
        };
        rows.iter().map(tile).collect()
    }

    pub(super) async fn read_bodies(
        &self,
        start: u64,
        end: u64,
        limit: u32,
    ) -> Result<Vec<StoredReport>, Error> {
        let rows = QueryBuilder::<Sqlite>::new(REPORT)
            .push("WHERE r.idx >= ")
            .push_bind(to_i64(start)?)
            .push(" AND r.idx < ")
            .push_bind(to_i64(end)?)
            .push(" ORDER BY r.idx LIMIT ")
            .push_bind(limit)
            .build()
            .fetch_all(&self.readers)
            .await
            .map_err(unavailable)?;
        rows.iter().map(stored_report).collect()
    }

    pub(super) async fn read_report(&self, id: &ReportId) -> Result<Option<StoredReport>, Error> {
        let row = QueryBuilder::<Sqlite>::new(REPORT)
            .push("WHERE r.id = ")
            .push_bind(id.0.to_vec())
            .build()
            .fetch_optional(&self.readers)
            .await
            .map_err(unavailable)?;
        row.as_ref().map(stored_report).transpose()
    }

    pub(super) async fn read_reports(
        &self,
        filter: &ReportFilter,
    ) -> Result<Vec<StoredReport>, Error> {
        let mut sql = QueryBuilder::<Sqlite>::new(REPORT);
        sql.push("WHERE r.idx >= ")
            .push_bind(to_i64(filter.from_index)?);
        for (column, agent) in [("subject", &filter.subject), ("reporter", &filter.reporter)] {
            if let Some(agent) = agent {
                sql.push(" AND r.")
                    .push(column)
                    .push(" = (SELECT id FROM agents WHERE key = ");
                sql.push_bind(agent.key_bytes().to_vec()).push(")");
            }
        }
        if let Some(market) = &filter.market {
            sql.push(" AND r.market = (SELECT id FROM markets WHERE name = ")
                .push_bind(market)
                .push(")");
        }
        if let Some(trade_id) = &filter.trade_id {
            sql.push(" AND r.trade_id = ").push_bind(trade_id);
        }
        sql.push(" ORDER BY r.idx LIMIT ").push_bind(filter.limit);
        let rows = sql
            .build()
            .fetch_all(&self.readers)
            .await
            .map_err(unavailable)?;
        rows.iter().map(stored_report).collect()
    }

    pub(super) async fn read_current_reports(
        &self,
        market: &str,
        trade_id: &str,
        parties: [&Did; 2],
        before: u64,
    ) -> Result<Vec<StoredReport>, Error> {
        let mut current = Vec::with_capacity(2);
        let [one, other] = parties;
        for (reporter, subject) in [(one, other), (other, one)] {
            let row = QueryBuilder::<Sqlite>::new(REPORT)
                .push("WHERE r.trade_id = ")
                .push_bind(trade_id)
                .push(" AND r.market = (SELECT id FROM markets WHERE name = ")
                .push_bind(market)
                .push(") AND r.reporter = (SELECT id FROM agents WHERE key = ")
                .push_bind(reporter.key_bytes().to_vec())
                .push(") AND r.subject = (SELECT id FROM agents WHERE key = ")
                .push_bind(subject.key_bytes().to_vec())
                .push(") AND r.idx < ")
                .push_bind(to_i64(before)?)
                .push(" ORDER BY r.idx DESC LIMIT 1")
                .build()
                .fetch_optional(&self.readers)
                .await
                .map_err(unavailable)?;
            current.extend(row.as_ref().map(stored_report).transpose()?);
        }
        Ok(current)
    }

    pub(super) async fn read_index_at(&self, at_ms: u64) -> Result<u64, Error> {
        // Log time never decreases with the index: a binary search needs no index on it.
        let size: Option<i64> = sqlx::query_scalar("SELECT size FROM head")
            .fetch_optional(&self.readers)
            .await
            .map_err(unavailable)?;
        let (mut low, mut high) = (0, size.unwrap_or(0));
        let at_ms = to_i64(at_ms)?;
        while low < high {
            let middle = low + (high - low) / 2;
            let at: i64 = sqlx::query_scalar("SELECT at_ms FROM entries WHERE idx = ?")
                .bind(middle)
                .fetch_one(&self.readers)
                .await
                .map_err(unavailable)?;
            if at < at_ms {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        to_u64(low)
    }

    pub(super) async fn read_known_documents(
        &self,
        digests: &[[u8; 32]],
    ) -> Result<Vec<[u8; 32]>, Error> {
        let mut known = Vec::new();
        for chunk in digests.chunks(1000) {
            let mut sql = QueryBuilder::<Sqlite>::new(
                "SELECT DISTINCT sha256 FROM documents WHERE sha256 IN (",
            );
            let mut list = sql.separated(", ");
            for digest in chunk {
                list.push_bind(digest.to_vec());
            }
            sql.push(")");
            let rows: Vec<Vec<u8>> = sql
                .build_query_scalar()
                .fetch_all(&self.writer)
                .await
                .map_err(unavailable)?;
            for row in rows {
                known.push(bytes32(&row)?);
            }
        }
        Ok(known)
    }

    pub(super) async fn read_reports_with_document(
        &self,
        sha256: &[u8; 32],
        limit: u32,
    ) -> Result<Vec<StoredReport>, Error> {
        let rows = QueryBuilder::<Sqlite>::new(REPORT)
            .push("JOIN documents d ON d.idx = r.idx WHERE d.sha256 = ")
            .push_bind(sha256.to_vec())
            .push(" ORDER BY d.idx LIMIT ")
            .push_bind(limit)
            .build()
            .fetch_all(&self.readers)
            .await
            .map_err(unavailable)?;
        rows.iter().map(stored_report).collect()
    }

    pub(super) async fn read_newest_report(&self) -> Result<Option<StoredReport>, Error> {
        let row = QueryBuilder::<Sqlite>::new(REPORT)
            .push("ORDER BY r.idx DESC LIMIT 1")
            .build()
            .fetch_optional(&self.readers)
            .await
            .map_err(unavailable)?;
        row.as_ref().map(stored_report).transpose()
    }

    pub(super) async fn read_epoch(
        &self,
        number: Option<u64>,
    ) -> Result<Option<StoredEpoch>, Error> {
        let row = sqlx::query(
            "SELECT e.number, e.idx, e.salt_key, l.bytes FROM epochs e JOIN entries l ON l.idx = e.idx \
             WHERE e.number = coalesce(?, (SELECT max(number) FROM epochs))",
        )
        .bind(number.map(to_i64).transpose()?)
        .fetch_optional(&self.readers)
        .await
        .map_err(unavailable)?;
        row.as_ref().map(stored_epoch).transpose()
    }

    pub(super) async fn read_epochs(
        &self,
        before: u64,
        limit: u32,
    ) -> Result<Vec<StoredEpoch>, Error> {
        let rows = sqlx::query(
            "SELECT e.number, e.idx, e.salt_key, l.bytes FROM epochs e JOIN entries l ON l.idx = e.idx \
             WHERE e.number < ? ORDER BY e.number DESC LIMIT ?",
        )
        .bind(to_i64(before)?)
        .bind(limit)
        .fetch_all(&self.readers)
        .await
        .map_err(unavailable)?;
        rows.iter().map(stored_epoch).collect()
    }

    pub(super) async fn read_statements(
        &self,
        epoch: u64,
        from: u64,
        limit: u32,
    ) -> Result<Vec<StoredStatement>, Error> {
        let rows = sqlx::query(
            "SELECT s.epoch, s.leaf, a.key, s.claims FROM statements s JOIN agents a ON a.id = s.agent \
             WHERE s.epoch = ? AND s.leaf >= ? AND s.epoch IS NOT (SELECT epoch FROM staging) ORDER BY s.leaf LIMIT ?",
        )
        .bind(to_i64(epoch)?)
        .bind(to_i64(from)?)
        .bind(limit)
        .fetch_all(&self.readers)
        .await
        .map_err(unavailable)?;
        rows.iter().map(stored_statement).collect()
    }

    pub(super) async fn read_statements_of(
        &self,
        agent: &Did,
        before: u64,
        limit: u32,
    ) -> Result<Vec<StoredStatement>, Error> {
        let rows = sqlx::query(
            "SELECT s.epoch, s.leaf, a.key, s.claims FROM agents a JOIN statements s ON s.agent = a.id \
             WHERE a.key = ? AND s.epoch < ? AND s.epoch IS NOT (SELECT epoch FROM staging) ORDER BY s.epoch DESC LIMIT ?",
        )
        .bind(agent.key_bytes().to_vec())
        .bind(to_i64(before)?)
        .bind(limit)
        .fetch_all(&self.readers)
        .await
        .map_err(unavailable)?;
        rows.iter().map(stored_statement).collect()
    }
}
