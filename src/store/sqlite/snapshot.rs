//! The [`Snapshot`] of a SQLite file: a read transaction, held from opening to closing.
//!
//! The write-ahead log of a service that goes on writing cannot be folded back until the snapshot is dropped.

mod check;
mod row;

use std::path::Path;

use async_trait::async_trait;
use sqlx::{
    Connection as _, Sqlite, SqliteConnection,
    query::Query,
    sqlite::{SqliteArguments, SqliteConnectOptions, SqliteRow},
};

pub(super) use self::row::failed;
use self::row::{Columns as _, lowest, most, signed, tile_place};
use super::BUSY;
use crate::store::{
    Error,
    snapshot::{
        AgentRow, CheckpointRow, Dangling, DocumentRow, Engine, EntryRow, EpochRow, ErasedRow,
        HeadRow, Neighbours, OddToken, PerLeaf, ReportRow, Snapshot, StatementRow, Table, TileRow,
        TokenRow,
    },
};

/// A database file at one moment.
#[derive(Debug)]
pub struct SqliteSnapshot {
    pub(super) connection: SqliteConnection,
    name: String,
}

type Sql<'q> = Query<'q, Sqlite, SqliteArguments>;

/// A query whose text is put together of this program's own words.
fn own(sql: String) -> Sql<'static> {
    sqlx::query(sqlx::AssertSqlSafe(sql))
}

impl SqliteSnapshot {
    /// Opens the file for reading only and holds on to what it contains now.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when it cannot be read, [`Error::Corrupt`] when it is no SQLite database.
    pub async fn open(path: &Path) -> Result<Self, Error> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .read_only(true)
            .busy_timeout(BUSY);
        let mut connection = SqliteConnection::connect_with(&options)
            .await
            .map_err(failed)?;
        // A deferred transaction takes its view with the first read.
        for sql in ["BEGIN", "SELECT count(*) FROM sqlite_schema"] {
            sqlx::query(sql)
                .execute(&mut connection)
                .await
                .map_err(failed)?;
        }
        let name = path.file_name().unwrap_or(path.as_os_str());
        Ok(Self {
            connection,
            name: name.to_string_lossy().into_owned(),
        })
    }

    async fn all<T>(
        &mut self,
        query: Sql<'_>,
        read: impl Fn(&SqliteRow) -> Result<T, Error>,
    ) -> Result<Vec<T>, Error> {
        let rows = query.fetch_all(&mut self.connection).await;
        rows.map_err(failed)?.iter().map(read).collect()
    }

    async fn optional<T>(
        &mut self,
        query: Sql<'_>,
        read: impl Fn(&SqliteRow) -> Result<T, Error>,
    ) -> Result<Option<T>, Error> {
        let row = query.fetch_optional(&mut self.connection).await;
        row.map_err(failed)?.as_ref().map(read).transpose()
    }

    async fn one<T>(
        &mut self,
        query: Sql<'_>,
        read: impl Fn(&SqliteRow) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let row = query.fetch_one(&mut self.connection).await;
        read(&row.map_err(failed)?)
    }
}

#[async_trait]
impl Snapshot for SqliteSnapshot {
    fn name(&self) -> &str {
        &self.name
    }

    async fn engine(&mut self) -> Result<Engine, Error> {
        self.read_engine().await
    }

    async fn integrity(&mut self, limit: u32, quick: bool) -> Result<Vec<String>, Error> {
        self.own_check(limit, quick).await
    }

    async fn dangling(&mut self) -> Result<Vec<Dangling>, Error> {
        self.foreign_key_check().await
    }

    async fn schema_differences(&mut self) -> Result<Vec<String>, Error> {
        self.compare_schema().await
    }

    async fn count(&mut self, table: Table) -> Result<u64, Error> {
        let logged = match table {
            Table::Statements => " WHERE epoch IS NOT (SELECT epoch FROM staging)",
            Table::Tiles => " WHERE tree IS NOT (SELECT epoch FROM staging)",
            _ => "",
        };
        let sql = own(format!("SELECT count(*) FROM {table}{logged}"));
        self.one(sql, |row| row.number(0)).await
    }

    async fn outside(&mut self, table: PerLeaf, size: u64) -> Result<Vec<i64>, Error> {
        let table = table.table();
        let sql = own(format!(
            "SELECT idx FROM {table} WHERE idx < 0 OR idx >= ? ORDER BY idx LIMIT 1000"
        ));
        self.all(sql.bind(signed(size)), |row| row.value(0)).await
    }

    async fn settings(&mut self) -> Result<Vec<(String, String)>, Error> {
        let sql = sqlx::query("SELECT key, value FROM meta ORDER BY key");
        self.all(sql, |row| Ok((row.value(0)?, row.value(1)?)))
            .await
    }

    async fn meta(&mut self, key: &str) -> Result<Option<String>, Error> {
        let sql = sqlx::query("SELECT value FROM meta WHERE key = ?").bind(key);
        self.optional(sql, |row| row.value(0)).await
    }

    async fn head(&mut self) -> Result<Option<HeadRow>, Error> {
        let sql = sqlx::query("SELECT size, root, at_ms, note FROM head");
        self.optional(sql, row::head).await
    }

    async fn checkpoints(&mut self, from: u64, limit: u32) -> Result<Vec<CheckpointRow>, Error> {
        let sql = "SELECT size, published_ms, note FROM checkpoints WHERE size >= ? ORDER BY size LIMIT ?";
        let sql = sqlx::query(sql).bind(signed(from)).bind(most(from, limit));
        self.all(sql, row::checkpoint).await
    }

    async fn published(&mut self) -> Result<Option<CheckpointRow>, Error> {
        let sql = "SELECT size, published_ms, note FROM checkpoints ORDER BY size DESC LIMIT 1";
        self.optional(sqlx::query(sql), row::checkpoint).await
    }

    async fn reach(&mut self) -> Result<u64, Error> {
        let last = sqlx::query("SELECT max(idx) FROM entries");
        let last = self.one(last, |row| row.number_or_null(0)).await?;
        Ok(last.map_or(0, |last| last.saturating_add(1)))
    }

    async fn entries(&mut self, start: u64, end: u64) -> Result<Vec<EntryRow>, Error> {
        let sql =
            "SELECT idx, at_ms, kind, bytes FROM entries WHERE idx >= ? AND idx < ? ORDER BY idx";
        let sql = sqlx::query(sql).bind(signed(start)).bind(signed(end));
        self.all(sql, row::entry).await
    }

    async fn events(
        &mut self,
        kind: &str,
        from: u64,
        limit: u32,
    ) -> Result<Vec<(u64, Vec<u8>)>, Error> {
        let sql = "SELECT idx, bytes FROM entries WHERE kind = ? AND kind <> 'report' AND idx >= ? ORDER BY idx LIMIT ?";
        let sql = sqlx::query(sql)
            .bind(kind)
            .bind(signed(from))
            .bind(most(from, limit));
        self.all(sql, |row| Ok((row.number(0)?, row.value(1)?)))
            .await
    }

    async fn newest_event(&mut self, kind: &str) -> Result<Option<(u64, Vec<u8>)>, Error> {
        let sql = "SELECT idx, bytes FROM entries WHERE kind = ? AND kind <> 'report' ORDER BY idx DESC LIMIT 1";
        let sql = sqlx::query(sql).bind(kind);
        self.optional(sql, |row| Ok((row.number(0)?, row.value(1)?)))
            .await
    }

    async fn agents(&mut self, after: Option<&[u8]>, limit: u32) -> Result<Vec<AgentRow>, Error> {
        let sql = "SELECT key, alias FROM agents WHERE key > ? ORDER BY key LIMIT ?";
        let sql = sqlx::query(sql).bind(after.unwrap_or_default()).bind(limit);
        self.all(sql, row::agent).await
    }

    async fn reports(&mut self, start: u64, end: u64) -> Result<Vec<ReportRow>, Error> {
        let sql = "SELECT r.idx, r.id, r.at_ms, ra.key, sa.key, m.name, r.trade_id, r.role, r.jti, r.historical, r.alone, \
               r.superseded_by, b.jws \
             FROM reports r LEFT JOIN agents ra ON ra.id = r.reporter LEFT JOIN agents sa ON sa.id = r.subject \
             LEFT JOIN markets m ON m.id = r.market LEFT JOIN bodies b ON b.idx = r.idx \
             WHERE r.idx >= ? AND r.idx < ? ORDER BY r.idx";
        let sql = sqlx::query(sql).bind(signed(start)).bind(signed(end));
        self.all(sql, row::report).await
    }

    async fn neighbours(&mut self, start: u64, end: u64) -> Result<Vec<Neighbours>, Error> {
        const SAME: &str = "n.trade_id = r.trade_id AND n.market = r.market";
        let sql = own(format!(
            "SELECT \
               (SELECT n.idx FROM reports n WHERE {SAME} AND n.reporter = r.reporter AND n.subject = r.subject \
                  AND n.idx > r.idx ORDER BY n.idx LIMIT 1), \
               (SELECT n.id FROM reports n WHERE {SAME} AND n.reporter = r.reporter AND n.subject = r.subject \
                  AND n.idx < r.idx ORDER BY n.idx DESC LIMIT 1), \
               (SELECT n.role FROM reports n WHERE {SAME} AND n.reporter = r.subject AND n.subject = r.reporter \
                  AND n.idx < r.idx ORDER BY n.idx DESC LIMIT 1) \
             FROM reports r WHERE r.idx >= ? AND r.idx < ? ORDER BY r.idx"
        ));
        self.all(sql.bind(signed(start)).bind(signed(end)), row::neighbours)
            .await
    }

    async fn body(&mut self, index: u64) -> Result<Option<String>, Error> {
        let sql = sqlx::query("SELECT jws FROM bodies WHERE idx = ?").bind(signed(index));
        self.optional(sql, |row| row.value(0)).await
    }

    async fn stray_bodies(&mut self, start: u64, end: u64) -> Result<Vec<u64>, Error> {
        let sql = "SELECT b.idx FROM bodies b WHERE b.idx >= ? AND b.idx < ? \
             AND NOT EXISTS (SELECT 1 FROM reports r WHERE r.idx = b.idx) ORDER BY b.idx";
        let sql = sqlx::query(sql).bind(signed(start)).bind(signed(end));
        self.all(sql, |row| row.number(0)).await
    }

    async fn document(&mut self, sha256: &[u8; 32], index: u64) -> Result<(bool, bool), Error> {
        let sql = "SELECT EXISTS (SELECT 1 FROM documents WHERE sha256 = ?1 AND idx < ?2), \
                    EXISTS (SELECT 1 FROM documents WHERE sha256 = ?1 AND idx = ?2)";
        let sql = sqlx::query(sql).bind(sha256.as_slice()).bind(signed(index));
        self.one(sql, |row| Ok((row.value(0)?, row.value(1)?)))
            .await
    }

    async fn documents(
        &mut self,
        after: Option<&DocumentRow>,
        limit: u32,
    ) -> Result<Vec<DocumentRow>, Error> {
        let (sha256, idx) = after.map_or((&[][..], -1), |d| (d.sha256.as_slice(), signed(d.idx)));
        let sql = "SELECT sha256, idx FROM documents WHERE (sha256, idx) > (?, ?) ORDER BY sha256, idx LIMIT ?";
        let sql = sqlx::query(sql).bind(sha256).bind(idx).bind(limit);
        self.all(sql, row::document).await
    }

    async fn erased(&mut self, from: u64, limit: u32) -> Result<Vec<ErasedRow>, Error> {
        let sql = "SELECT idx, id, by FROM erased WHERE idx >= ? ORDER BY idx LIMIT ?";
        let sql = sqlx::query(sql).bind(lowest(from)).bind(most(from, limit));
        self.all(sql, row::erased).await
    }

    async fn tile(&mut self, tree: u64, level: u8, n: u64) -> Result<Option<Vec<u8>>, Error> {
        let sql = "SELECT hashes FROM tiles WHERE tree = ? AND level = ? AND n = ? AND tree IS NOT (SELECT epoch FROM staging)";
        let sql = sqlx::query(sql)
            .bind(signed(tree))
            .bind(level)
            .bind(signed(n));
        self.optional(sql, |row| row.value(0)).await
    }

    async fn tiles(&mut self, after: Option<TileRow>, limit: u32) -> Result<Vec<TileRow>, Error> {
        let (tree, level, n) = tile_place(after);
        let sql = "SELECT tree, level, n, length(hashes) / 32 FROM tiles WHERE (tree, level, n) > (?, ?, ?) \
             AND tree IS NOT (SELECT epoch FROM staging) \
             ORDER BY tree, level, n LIMIT ?";
        let sql = sqlx::query(sql).bind(tree).bind(level).bind(n).bind(limit);
        self.all(sql, row::tile).await
    }

    async fn whole_tiles(
        &mut self,
        after: Option<TileRow>,
        limit: u32,
    ) -> Result<Vec<(TileRow, Vec<u8>)>, Error> {
        let (tree, level, n) = tile_place(after);
        let sql = "SELECT tree, level, n, length(hashes) / 32, hashes FROM tiles WHERE (tree, level, n) > (?, ?, ?) \
             AND tree IS NOT (SELECT epoch FROM staging) \
             ORDER BY tree, level, n LIMIT ?";
        let sql = sqlx::query(sql).bind(tree).bind(level).bind(n).bind(limit);
        self.all(sql, |row| Ok((row::tile(row)?, row.value(4)?)))
            .await
    }

    async fn epochs(&mut self, from: u64, limit: u32) -> Result<Vec<EpochRow>, Error> {
        let sql =
            "SELECT number, idx, salt_key FROM epochs WHERE number >= ? ORDER BY number LIMIT ?";
        let sql = sqlx::query(sql).bind(lowest(from)).bind(most(from, limit));
        self.all(sql, row::epoch).await
    }

    async fn reached(&mut self) -> Result<u64, Error> {
        let sql = "SELECT count(*) FROM statements WHERE epoch = (SELECT max(number) FROM epochs) AND reached = 1";
        self.one(sqlx::query(sql), |row| row.number(0)).await
    }

    async fn statements(
        &mut self,
        epoch: u64,
        from: u64,
        limit: u32,
    ) -> Result<Vec<StatementRow>, Error> {
        let sql = "SELECT s.leaf, a.key, s.reached, s.claims FROM statements s LEFT JOIN agents a ON a.id = s.agent \
             WHERE s.epoch = ? AND s.leaf >= ? AND s.epoch IS NOT (SELECT epoch FROM staging) ORDER BY s.leaf LIMIT ?";
        let sql = sqlx::query(sql)
            .bind(signed(epoch))
            .bind(signed(from))
            .bind(most(from, limit));
        self.all(sql, row::statement).await
    }

    async fn tokens(
        &mut self,
        after: Option<(u64, u64)>,
        limit: u32,
    ) -> Result<Vec<TokenRow>, Error> {
        let (list, idx) = after.map_or((-1, -1), |(list, idx)| (signed(list), signed(idx)));
        let sql = "SELECT t.list, t.idx, a.key, t.epoch, t.iat, t.exp, t.revoked \
             FROM tokens t LEFT JOIN agents a ON a.id = t.agent WHERE (t.list, t.idx) > (?, ?) \
             ORDER BY t.list, t.idx LIMIT ?";
        let sql = sqlx::query(sql).bind(list).bind(idx).bind(limit);
        self.all(sql, row::token).await
    }

    async fn odd_tokens(&mut self, places: u64) -> Result<Vec<OddToken>, Error> {
        let sql = "SELECT list, idx, epoch, iat, exp, stated FROM ( \
               SELECT t.*, EXISTS (SELECT 1 FROM statements s WHERE s.epoch = t.epoch AND s.agent = t.agent \
                 AND s.epoch IS NOT (SELECT epoch FROM staging)) AS stated \
               FROM tokens t) \
             WHERE NOT stated OR iat > exp OR iat < 0 OR idx < 0 OR idx >= ? OR list < 0 ORDER BY list, idx LIMIT 1000";
        self.all(sqlx::query(sql).bind(signed(places)), row::odd_token)
            .await
    }

    async fn close(self: Box<Self>) {
        // Nothing was written; a connection that cannot be closed has nothing to lose.
        let _ = self.connection.close().await;
    }
}
