//! A new PostgreSQL database, filled in one transaction on a connection of its own; sets go in as arrays.
//!
//! Before the transaction the database gets a mark, so that nobody writes to it meanwhile, nor to what is left when this is
//! interrupted: an empty database with that mark, which can be filled again.

use std::time::Duration;

use async_trait::async_trait;
use sqlx::{Connection as _, Row as _, postgres::PgConnection};

use super::{
    schema,
    session::{self, Failure, PgQuery},
    snapshot::QUESTION,
    sql,
};
use crate::store::{
    Error,
    convert::{storable, to_i64, to_u64},
    load::Load,
    snapshot::{
        AgentRow, CheckpointRow, DocumentRow, EntryRow, EpochRow, ErasedRow, HeadRow, ReportRow,
        StatementRow, Table, TileRow, TokenRow,
    },
};

/// Tables that have to be empty; `meta` may have the mark of an earlier try.
const FILLED: &str = "SELECT EXISTS (SELECT 1 FROM head) OR EXISTS (SELECT 1 FROM entries) OR EXISTS (SELECT 1 FROM agents) \
    OR EXISTS (SELECT 1 FROM markets) OR EXISTS (SELECT 1 FROM reports) OR EXISTS (SELECT 1 FROM bodies) \
    OR EXISTS (SELECT 1 FROM documents) OR EXISTS (SELECT 1 FROM erased) OR EXISTS (SELECT 1 FROM tiles) \
    OR EXISTS (SELECT 1 FROM epochs) OR EXISTS (SELECT 1 FROM statements) OR EXISTS (SELECT 1 FROM tokens) \
    OR EXISTS (SELECT 1 FROM checkpoints) OR EXISTS (SELECT 1 FROM meta WHERE key <> $1)";

/// Whether a log ever began in the database. One that is half made has no table for its head, or no row in it.
async fn has_log(connection: &mut PgConnection) -> Result<bool, Error> {
    for sql in [
        "SELECT to_regclass('head') IS NOT NULL",
        "SELECT EXISTS (SELECT 1 FROM head)",
    ] {
        let answer = sqlx::query_scalar(sql).fetch_one(&mut *connection).await;
        if !answer.map_err(Failure::from)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// A database that is being filled.
#[derive(Debug)]
pub struct PostgresLoad {
    connection: PgConnection,
}

impl PostgresLoad {
    /// Marks an empty database with a setting and begins to fill it, without that setting. One without a log gets the newest schema
    /// first, which takes the role that is to own the tables.
    ///
    /// `None`: the database is not empty, and nothing was written.
    ///
    /// # Errors
    /// [`Error::Unsupported`] when its schema is not this program's; [`Error::Unavailable`].
    pub async fn create(url: &str, mark: (&str, &str)) -> Result<Option<Self>, Error> {
        let mut connection = session::connect(&session::options(url)?).await?;
        // Also when a process was killed while it made the schema, or is still ended by the server: migrating waits for that.
        if !has_log(&mut connection).await? {
            schema::migrate(&mut connection).await?;
        }
        schema::check(&mut connection).await?;
        session::unhurried(&mut connection, QUESTION).await?;
        let mut load = Self { connection };
        let (key, value) = mark;
        // Two that fill at the same time: one waits here, and finds a database that is not empty.
        for sql in ["BEGIN", "LOCK TABLE meta IN SHARE ROW EXCLUSIVE MODE"] {
            load.execute(sqlx::query(sql)).await?;
        }
        let filled = sqlx::query(FILLED).bind(key);
        let filled = filled.fetch_one(&mut load.connection).await;
        if filled.map_err(Failure::from)?.get(0) {
            return Ok(None);
        }
        load.execute(sqlx::query(sql::REPLACE_META).bind(key).bind(value))
            .await?;
        for sql in [
            "COMMIT",
            "BEGIN",
            "LOCK TABLE meta IN SHARE ROW EXCLUSIVE MODE",
        ] {
            load.execute(sqlx::query(sql)).await?;
        }
        load.execute(sqlx::query("DELETE FROM meta WHERE key = $1").bind(key))
            .await?;
        Ok(Some(load))
    }

    async fn commit(&mut self) -> Result<(), Error> {
        // What COMMIT promises depends on it.
        session::durable(&mut self.connection).await?;
        self.execute(sqlx::query("COMMIT")).await.map(drop)
    }

    async fn execute(&mut self, query: PgQuery<'_>) -> Result<u64, Error> {
        let answer = tokio::time::timeout(QUESTION, query.execute(&mut self.connection)).await;
        let done = answer.map_err(|_| Error::from(Failure::Late))?;
        Ok(done.map_err(refused)?.rows_affected())
    }

    /// Inserts as many rows as were given, or says that some refer to what is not there.
    async fn insert(&mut self, query: PgQuery<'_>, rows: usize) -> Result<(), Error> {
        if rows == 0 {
            return Ok(());
        }
        let inserted = self.execute(query).await?;
        if usize::try_from(inserted) == Ok(rows) {
            return Ok(());
        }
        Err(Error::Corrupt(format!(
            "{inserted} of {rows} rows refer to rows that exist: run `fsck`"
        )))
    }
}

/// Takes a mark off and writes another setting, as one durable transaction.
///
/// # Errors
/// When the database cannot be written; whether it was is unknown then.
pub async fn unmark(url: &str, mark: &str, setting: (&str, &str)) -> Result<(), Error> {
    let connection = session::connect(&session::options(url)?).await?;
    let mut load = PostgresLoad { connection };
    load.execute(sqlx::query("BEGIN")).await?;
    let (key, value) = setting;
    load.execute(sqlx::query(sql::REPLACE_META).bind(key).bind(value))
        .await?;
    load.execute(sqlx::query("DELETE FROM meta WHERE key = $1").bind(mark))
        .await?;
    load.commit().await
}

/// A row that breaks a constraint (class 23) or has what no column takes (22) is damage of where it came from.
fn refused(error: sqlx::Error) -> Error {
    let class = |error: &sqlx::Error| match error {
        sqlx::Error::Database(inner) => inner.code().map(|code| code.chars().take(2).collect()),
        _ => None::<String>,
    };
    match class(&error).as_deref() {
        Some("22" | "23") => Error::Corrupt(error.to_string()),
        _ => Failure::from(error).into(),
    }
}

/// A column of numbers.
fn numbers<T>(rows: &[T], of: impl Fn(&T) -> u64) -> Result<Vec<i64>, Error> {
    rows.iter().map(|row| to_i64(of(row))).collect()
}

/// Any other column.
fn column<'r, T, V>(rows: &'r [T], of: impl Fn(&'r T) -> V) -> Vec<V> {
    rows.iter().map(of).collect()
}

/// A column of text.
fn text<'r, T>(rows: &'r [T], of: impl Fn(&'r T) -> &'r str) -> Result<Vec<&'r str>, Error> {
    rows.iter().map(|row| storable(of(row))).collect()
}

/// A column of small numbers.
fn small<T>(
    rows: &[T],
    of: impl Fn(&T) -> Result<i16, std::num::TryFromIntError>,
) -> Result<Vec<i16>, Error> {
    let wide = |_| Error::Corrupt("a number that does not fit its column".to_owned());
    rows.iter().map(|row| of(row).map_err(wide)).collect()
}

#[async_trait]
impl Load for PostgresLoad {
    async fn settings(&mut self, rows: &[(String, String)]) -> Result<(), Error> {
        let sql = "INSERT INTO meta (key, value) SELECT * FROM unnest($1::text[], $2::text[])";
        let query = sqlx::query(sql)
            .bind(text(rows, |(key, _)| key)?)
            .bind(text(rows, |(_, value)| value)?);
        self.insert(query, rows.len()).await
    }

    async fn agents(&mut self, rows: &[AgentRow]) -> Result<(), Error> {
        for alias in rows.iter().filter_map(|row| row.alias.as_deref()) {
            storable(alias)?;
        }
        let sql = "INSERT INTO agents (key, alias) SELECT * FROM unnest($1::bytea[], $2::text[])";
        let query = sqlx::query(sql)
            .bind(column(rows, |row| row.key.as_slice()))
            .bind(column(rows, |row| row.alias.as_deref()));
        self.insert(query, rows.len()).await
    }

    async fn entries(&mut self, rows: &[EntryRow]) -> Result<(), Error> {
        let query = sqlx::query(sql::INSERT_ENTRIES)
            .bind(numbers(rows, |row| row.idx)?)
            .bind(numbers(rows, |row| row.at_ms)?)
            .bind(text(rows, |row| &row.kind)?)
            .bind(column(rows, |row| row.bytes.as_slice()));
        self.insert(query, rows.len()).await
    }

    async fn reports(&mut self, rows: &[ReportRow]) -> Result<(), Error> {
        let mut markets: Vec<&str> = rows.iter().filter_map(|r| r.market.as_deref()).collect();
        markets.sort_unstable();
        markets.dedup();
        for market in &markets {
            storable(market)?;
        }
        self.execute(sqlx::query(sql::INTERN_MARKETS).bind(markets))
            .await?;
        let superseded_by = rows.iter().map(|row| row.superseded_by.map(to_i64));
        let superseded_by = superseded_by.map(Option::transpose);
        let query = sqlx::query(sql::INSERT_REPORTS)
            .bind(numbers(rows, |row| row.idx)?)
            .bind(column(rows, |row| row.id.as_slice()))
            .bind(numbers(rows, |row| row.at_ms)?)
            .bind(column(rows, |row| row.reporter.as_deref()))
            .bind(column(rows, |row| row.subject.as_deref()))
            .bind(column(rows, |row| row.market.as_deref()))
            .bind(text(rows, |row| &row.trade_id)?)
            .bind(small(rows, |row| i16::try_from(row.role))?)
            .bind(text(rows, |row| &row.jti)?)
            .bind(column(rows, |row| row.historical))
            .bind(column(rows, |row| row.alone))
            .bind(superseded_by.collect::<Result<Vec<_>, _>>()?);
        self.insert(query, rows.len()).await?;
        let bodies: Vec<(u64, &str)> = rows
            .iter()
            .filter_map(|row| Some((row.idx, row.jws.as_deref()?)))
            .collect();
        let query = sqlx::query(sql::INSERT_BODIES)
            .bind(numbers(&bodies, |(idx, _)| *idx)?)
            .bind(text(&bodies, |(_, jws)| jws)?);
        self.insert(query, bodies.len()).await
    }

    async fn documents(&mut self, rows: &[DocumentRow]) -> Result<(), Error> {
        let query = sqlx::query(sql::INSERT_DOCUMENTS)
            .bind(column(rows, |row| row.sha256.as_slice()))
            .bind(numbers(rows, |row| row.idx)?);
        self.insert(query, rows.len()).await
    }

    async fn erased(&mut self, rows: &[ErasedRow]) -> Result<(), Error> {
        let sql = "INSERT INTO erased (idx, id, by) SELECT * FROM unnest($1::int8[], $2::bytea[], $3::int8[])";
        let query = sqlx::query(sql)
            .bind(numbers(rows, |row| row.idx)?)
            .bind(column(rows, |row| row.id.as_slice()))
            .bind(numbers(rows, |row| row.by)?);
        self.insert(query, rows.len()).await
    }

    async fn tiles(&mut self, rows: &[(TileRow, Vec<u8>)]) -> Result<(), Error> {
        let sql = "INSERT INTO tiles (tree, level, n, hashes) \
            SELECT * FROM unnest($1::int8[], $2::int2[], $3::int8[], $4::bytea[])";
        let query = sqlx::query(sql)
            .bind(numbers(rows, |(tile, _)| tile.tree)?)
            .bind(small(rows, |(tile, _)| i16::try_from(tile.level))?)
            .bind(numbers(rows, |(tile, _)| tile.n)?)
            .bind(column(rows, |(_, hashes)| hashes.as_slice()));
        self.insert(query, rows.len()).await
    }

    async fn epochs(&mut self, rows: &[EpochRow]) -> Result<(), Error> {
        let sql = "INSERT INTO epochs (number, idx, salt_key) SELECT * FROM unnest($1::int8[], $2::int8[], $3::bytea[])";
        let query = sqlx::query(sql)
            .bind(numbers(rows, |row| row.number)?)
            .bind(numbers(rows, |row| row.idx)?)
            .bind(column(rows, |row| row.salt_key.as_slice()));
        self.insert(query, rows.len()).await
    }

    async fn statements(&mut self, epoch: u64, rows: &[StatementRow]) -> Result<(), Error> {
        let query = sqlx::query(sql::INSERT_STATEMENTS)
            .bind(to_i64(epoch)?)
            .bind(numbers(rows, |row| row.leaf)?)
            .bind(column(rows, |row| row.agent.as_deref()))
            .bind(column(rows, |row| row.reached))
            .bind(text(rows, |row| &row.claims)?);
        self.insert(query, rows.len()).await
    }

    async fn tokens(&mut self, rows: &[TokenRow]) -> Result<(), Error> {
        let sql = "INSERT INTO tokens (list, idx, agent, epoch, iat, exp, revoked) \
            SELECT q.list, q.idx, a.id, q.epoch, q.iat, q.exp, q.revoked \
            FROM unnest($1::int8[], $2::int8[], $3::bytea[], $4::int8[], $5::int8[], $6::int8[], $7::bool[]) \
              q (list, idx, agent, epoch, iat, exp, revoked) JOIN agents a ON a.key = q.agent";
        let query = sqlx::query(sql)
            .bind(numbers(rows, |row| row.list)?)
            .bind(numbers(rows, |row| row.idx)?)
            .bind(column(rows, |row| row.agent.as_deref()))
            .bind(numbers(rows, |row| row.epoch)?)
            .bind(numbers(rows, |row| row.iat)?)
            .bind(numbers(rows, |row| row.exp)?)
            .bind(column(rows, |row| row.revoked));
        self.insert(query, rows.len()).await
    }

    async fn checkpoints(&mut self, rows: &[CheckpointRow]) -> Result<(), Error> {
        let sql = "INSERT INTO checkpoints (size, published_ms, note) SELECT * FROM unnest($1::int8[], $2::int8[], $3::text[])";
        let query = sqlx::query(sql)
            .bind(numbers(rows, |row| row.size)?)
            .bind(numbers(rows, |row| row.published_ms)?)
            .bind(text(rows, |row| &row.note)?);
        self.insert(query, rows.len()).await
    }

    async fn head(&mut self, row: &HeadRow) -> Result<(), Error> {
        let sql = "INSERT INTO head (one, size, root, at_ms, note) VALUES (1, $1, $2, $3, $4)";
        let query = sqlx::query(sql)
            .bind(to_i64(row.size)?)
            .bind(row.root.as_slice())
            .bind(to_i64(row.at_ms)?)
            .bind(storable(&row.note)?);
        self.insert(query, 1).await
    }

    async fn count(&mut self, table: Table) -> Result<u64, Error> {
        let sql = sqlx::AssertSqlSafe(format!("SELECT count(*) FROM {table}"));
        let row = sqlx::query(sql).fetch_one(&mut self.connection).await;
        to_u64(row.map_err(Failure::from)?.get(0))
    }

    async fn finish(mut self: Box<Self>) -> Result<(), Error> {
        self.commit().await?;
        // Nothing depends on it: autovacuum does the same some time later.
        let _ = self.execute(sqlx::query("ANALYZE")).await;
        let _ = tokio::time::timeout(Duration::from_secs(10), self.connection.close()).await;
        Ok(())
    }
}
