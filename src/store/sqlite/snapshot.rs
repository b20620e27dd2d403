//! One consistent view of the whole database file, row by row as it is stored: what `fsck` and `backup` read.
//!
//! A read transaction is held from opening to closing, so a service may go on writing meanwhile; its write-ahead log
//! cannot be folded back until the snapshot is dropped. Nothing here interprets a row: columns that contradict each
//! other are the caller's finding, not an error.

use std::path::Path;

use sqlx::{
    Connection as _, Decode, Row as _, Sqlite, SqliteConnection, Type,
    sqlite::{SqliteConnectOptions, SqliteRow},
};

use super::{BUSY, MIGRATIONS};
use crate::store::Error;

/// A database file at one moment.
#[derive(Debug)]
pub struct Snapshot {
    connection: SqliteConnection,
}

/// The head row.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the names are the columns'")]
pub struct HeadRow {
    pub size: u64,
    pub root: Vec<u8>,
    pub at_ms: u64,
    pub note: String,
}

/// A row of `checkpoints`.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the names are the columns'")]
pub struct CheckpointRow {
    pub size: u64,
    pub published_ms: u64,
    pub note: String,
}

/// A row of `entries`.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the names are the columns'")]
pub struct EntryRow {
    pub idx: u64,
    pub at_ms: u64,
    pub kind: String,
    pub bytes: Vec<u8>,
}

/// A row of `reports` with what it refers to, its body, and its neighbours on the trade.
#[derive(Clone, Debug)]
pub struct ReportRow {
    /// Leaf index.
    pub idx: u64,
    /// Content address.
    pub id: Vec<u8>,
    /// Log time, Unix milliseconds.
    pub at_ms: u64,
    /// The reporter's key; `None` = no such agent row.
    pub reporter: Option<Vec<u8>>,
    /// The subject's key; `None` = no such agent row.
    pub subject: Option<Vec<u8>>,
    /// The market's name; `None` = no such market row.
    pub market: Option<String>,
    /// Trade id.
    pub trade_id: String,
    /// 0 = buyer, 1 = seller.
    pub role: i64,
    /// Reporter's unique id.
    pub jti: String,
    /// Operator import.
    pub historical: bool,
    /// Nothing but the reporter's word when admitted.
    pub alone: bool,
    /// Index of the report that replaced this one.
    pub superseded_by: Option<u64>,
    /// The compact JWS; `None` = no body row.
    pub jws: Option<String>,
    /// The reporter's next report on the same trade.
    pub next: Option<u64>,
    /// Id of the reporter's previous report on the same trade.
    pub previous: Option<Vec<u8>>,
    /// The counterparty's role in its newest report on the trade before this one.
    pub answer_role: Option<i64>,
}

/// A row of `tiles` without the hashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TileRow {
    /// 0 = the log, else the epoch's number.
    pub tree: u64,
    /// Level.
    pub level: u64,
    /// Number within the level.
    pub n: u64,
    /// Number of hashes.
    pub width: u64,
}

/// A row of `epochs`.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the names are the columns'")]
pub struct EpochRow {
    pub number: u64,
    pub idx: u64,
    pub salt_key: Vec<u8>,
}

/// A row of `statements`.
#[derive(Clone, Debug)]
pub struct StatementRow {
    /// Leaf in the score tree.
    pub leaf: u64,
    /// The agent's key; `None` = no such agent row.
    pub agent: Option<Vec<u8>>,
    /// Claims as JCS.
    pub claims: String,
}

/// A place of a status list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the columns'")]
pub struct TokenRow {
    pub list: u64,
    pub idx: u64,
    pub epoch: u64,
    pub iat: u64,
    pub exp: u64,
    /// Whether the agent has a statement in that epoch.
    pub stated: bool,
}

/// Numbers are never negative where they are read as unsigned; one that is becomes a value that nothing equals.
fn number(n: i64) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}

fn signed(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// A damaged file is a finding, an unreachable one is not.
#[expect(clippy::needless_pass_by_value, reason = "what map_err hands over")]
fn failed(error: sqlx::Error) -> Error {
    let damaged = match &error {
        sqlx::Error::Database(inner) => inner
            .code()
            .and_then(|code| code.parse::<i64>().ok())
            // SQLITE_CORRUPT and SQLITE_NOTADB, whatever their extended codes.
            .is_some_and(|code| matches!(code & 0xff, 11 | 26)),
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => true,
        _ => false,
    };
    if damaged {
        Error::Corrupt(error.to_string())
    } else {
        Error::Unavailable(error.to_string())
    }
}

fn get<'r, T: Decode<'r, Sqlite> + Type<Sqlite>>(
    row: &'r SqliteRow,
    column: usize,
) -> Result<T, Error> {
    row.try_get(column).map_err(failed)
}

fn unsigned(row: &SqliteRow, column: usize) -> Result<u64, Error> {
    get::<i64>(row, column).map(number)
}

fn unsigned_or_null(row: &SqliteRow, column: usize) -> Result<Option<u64>, Error> {
    Ok(get::<Option<i64>>(row, column)?.map(number))
}

impl Snapshot {
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
        Ok(Self { connection })
    }

    /// Lets go of the view.
    pub async fn close(self) {
        // Nothing was written; a connection that cannot be closed has nothing to lose.
        let _ = self.connection.close().await;
    }

    /// SQLite's version and the file's journal mode.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn engine(&mut self) -> Result<(String, String), Error> {
        let version = sqlx::query_scalar("SELECT sqlite_version()")
            .fetch_one(&mut self.connection)
            .await
            .map_err(failed)?;
        let journal = sqlx::query_scalar("PRAGMA journal_mode")
            .fetch_one(&mut self.connection)
            .await
            .map_err(failed)?;
        Ok((version, journal))
    }

    /// What SQLite's own check of pages, indexes and constraints finds, at most `limit` lines.
    ///
    /// # Errors
    /// When the check cannot be made.
    pub async fn integrity(&mut self, limit: u32, quick: bool) -> Result<Vec<String>, Error> {
        let check = if quick {
            "quick_check"
        } else {
            "integrity_check"
        };
        let sql = format!("PRAGMA {check}({limit})");
        let lines: Vec<String> = sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
            .fetch_all(&mut self.connection)
            .await
            .map_err(failed)?;
        Ok(lines.into_iter().filter(|line| line != "ok").collect())
    }

    /// Rows whose foreign key points at nothing: their table, the table pointed at, how many.
    ///
    /// # Errors
    /// When the check cannot be made.
    pub async fn dangling(&mut self) -> Result<Vec<(String, String, u64)>, Error> {
        let rows = sqlx::query(
            "SELECT \"table\", parent, count(*) FROM pragma_foreign_key_check GROUP BY 1, 2 ORDER BY 1, 2",
        )
        .fetch_all(&mut self.connection)
        .await
        .map_err(failed)?;
        rows.iter()
            .map(|row| Ok((get(row, 0)?, get(row, 1)?, unsigned(row, 2)?)))
            .collect()
    }

    /// Where applied migrations and schema are not this program's.
    ///
    /// # Errors
    /// When the schema cannot be read.
    pub async fn schema_differences(&mut self) -> Result<Vec<String>, Error> {
        let mut found = Vec::new();
        let applied =
            sqlx::query("SELECT version, checksum, success FROM _sqlx_migrations ORDER BY version")
                .fetch_all(&mut self.connection)
                .await
                .map_err(failed)?;
        let mut ours = MIGRATIONS.iter().peekable();
        for row in &applied {
            let (version, checksum): (i64, Vec<u8>) = (get(row, 0)?, get(row, 1)?);
            match ours.next() {
                Some(own) if own.version == version => {
                    if *own.checksum != *checksum || !get::<bool>(row, 2)? {
                        found.push(format!(
                            "migration {version} is not the one of this program, or did not finish"
                        ));
                    }
                }
                _ => found.push(format!("migration {version} is not one of this program's")),
            }
        }
        found.extend(ours.map(|own| {
            format!(
                "migration {} is not applied; the next start applies it",
                own.version
            )
        }));
        if found.is_empty() {
            found = self.objects_that_differ().await?;
        }
        Ok(found)
    }

    /// Tables and indexes that are not as the migrations make them.
    async fn objects_that_differ(&mut self) -> Result<Vec<String>, Error> {
        const OBJECTS: &str = "SELECT type || ' ' || name, coalesce(sql, '') FROM sqlite_schema \
                               WHERE name NOT LIKE 'sqlite_stat%' ORDER BY 1";
        async fn objects(
            connection: &mut SqliteConnection,
        ) -> Result<Vec<(String, String)>, Error> {
            sqlx::query_as(OBJECTS)
                .fetch_all(connection)
                .await
                .map_err(failed)
        }
        let mut fresh =
            SqliteConnection::connect_with(&SqliteConnectOptions::new().in_memory(true))
                .await
                .map_err(failed)?;
        MIGRATIONS
            .run(&mut fresh)
            .await
            .map_err(|e| Error::Unsupported(e.to_string()))?;
        let expected = objects(&mut fresh).await?;
        let _ = fresh.close().await;
        let stored = objects(&mut self.connection).await?;
        let missing = expected
            .iter()
            .filter(|object| !stored.contains(object))
            .map(|(name, _)| format!("{name} is missing or altered"));
        let added = stored
            .iter()
            .filter(|(name, _)| !expected.iter().any(|(own, _)| own == name))
            .map(|(name, _)| format!("{name} is not one of this program's"));
        Ok(missing.chain(added).collect())
    }

    /// A setting of the data directory.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn meta(&mut self, key: &str) -> Result<Option<String>, Error> {
        sqlx::query_scalar("SELECT value FROM meta WHERE key = ?")
            .bind(key)
            .fetch_optional(&mut self.connection)
            .await
            .map_err(failed)
    }

    /// The newest signed checkpoint.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn head(&mut self) -> Result<Option<HeadRow>, Error> {
        let row = sqlx::query("SELECT size, root, at_ms, note FROM head")
            .fetch_optional(&mut self.connection)
            .await
            .map_err(failed)?;
        row.map(|row| {
            Ok(HeadRow {
                size: unsigned(&row, 0)?,
                root: get(&row, 1)?,
                at_ms: unsigned(&row, 2)?,
                note: get(&row, 3)?,
            })
        })
        .transpose()
    }

    /// Published checkpoints with size at or above `from`, ascending, at most `limit`.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn checkpoints(
        &mut self,
        from: u64,
        limit: u32,
    ) -> Result<Vec<CheckpointRow>, Error> {
        let rows = sqlx::query("SELECT size, published_ms, note FROM checkpoints WHERE size >= ? ORDER BY size LIMIT ?")
            .bind(signed(from))
            .bind(limit)
            .fetch_all(&mut self.connection)
            .await
            .map_err(failed)?;
        rows.iter().map(checkpoint_row).collect()
    }

    /// The newest published checkpoint.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn published(&mut self) -> Result<Option<CheckpointRow>, Error> {
        sqlx::query("SELECT size, published_ms, note FROM checkpoints ORDER BY size DESC LIMIT 1")
            .fetch_optional(&mut self.connection)
            .await
            .map_err(failed)?
            .as_ref()
            .map(checkpoint_row)
            .transpose()
    }

    /// Entries with index in `start..end`, ascending.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn entries(&mut self, start: u64, end: u64) -> Result<Vec<EntryRow>, Error> {
        let rows = sqlx::query(
            "SELECT idx, at_ms, kind, bytes FROM entries WHERE idx >= ? AND idx < ? ORDER BY idx",
        )
        .bind(signed(start))
        .bind(signed(end))
        .fetch_all(&mut self.connection)
        .await
        .map_err(failed)?;
        rows.iter()
            .map(|row| {
                Ok(EntryRow {
                    idx: unsigned(row, 0)?,
                    at_ms: unsigned(row, 1)?,
                    kind: get(row, 2)?,
                    bytes: get(row, 3)?,
                })
            })
            .collect()
    }

    /// Bytes of all entries of a kind other than reports, ascending.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn events(&mut self, kind: &str) -> Result<Vec<(u64, Vec<u8>)>, Error> {
        let rows = sqlx::query(
            "SELECT idx, bytes FROM entries WHERE kind = ? AND kind <> 'report' ORDER BY idx",
        )
        .bind(kind)
        .fetch_all(&mut self.connection)
        .await
        .map_err(failed)?;
        rows.iter()
            .map(|row| Ok((unsigned(row, 0)?, get(row, 1)?)))
            .collect()
    }

    /// Erased reports: index, id, and index of the entry that erased it.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn erased(&mut self) -> Result<Vec<(u64, Vec<u8>, u64)>, Error> {
        let rows = sqlx::query("SELECT idx, id, by FROM erased ORDER BY idx")
            .fetch_all(&mut self.connection)
            .await
            .map_err(failed)?;
        rows.iter()
            .map(|row| Ok((unsigned(row, 0)?, get(row, 1)?, unsigned(row, 2)?)))
            .collect()
    }

    /// Rows of `table` (one of ours) whose `idx` is not in `0..size`, at most 1000.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn outside(&mut self, table: &'static str, size: u64) -> Result<Vec<i64>, Error> {
        let sql =
            format!("SELECT idx FROM {table} WHERE idx < 0 OR idx >= ? ORDER BY idx LIMIT 1000");
        sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
            .bind(signed(size))
            .fetch_all(&mut self.connection)
            .await
            .map_err(failed)
    }

    /// Reports with index in `start..end`, ascending.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn reports(&mut self, start: u64, end: u64) -> Result<Vec<ReportRow>, Error> {
        const SAME: &str = "n.trade_id = r.trade_id AND n.market = r.market";
        let sql = format!(
            "SELECT r.idx, r.id, r.at_ms, ra.key, sa.key, m.name, r.trade_id, r.role, r.jti, r.historical, r.alone, \
               r.superseded_by, b.jws, \
               (SELECT n.idx FROM reports n WHERE {SAME} AND n.reporter = r.reporter AND n.subject = r.subject \
                  AND n.idx > r.idx ORDER BY n.idx LIMIT 1), \
               (SELECT n.id FROM reports n WHERE {SAME} AND n.reporter = r.reporter AND n.subject = r.subject \
                  AND n.idx < r.idx ORDER BY n.idx DESC LIMIT 1), \
               (SELECT n.role FROM reports n WHERE {SAME} AND n.reporter = r.subject AND n.subject = r.reporter \
                  AND n.idx < r.idx ORDER BY n.idx DESC LIMIT 1) \
             FROM reports r LEFT JOIN agents ra ON ra.id = r.reporter LEFT JOIN agents sa ON sa.id = r.subject \
             LEFT JOIN markets m ON m.id = r.market LEFT JOIN bodies b ON b.idx = r.idx \
             WHERE r.idx >= ? AND r.idx < ? ORDER BY r.idx"
        );
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(signed(start))
            .bind(signed(end))
            .fetch_all(&mut self.connection)
            .await
            .map_err(failed)?;
        rows.iter().map(report_row).collect()
    }

    /// Indices in `start..end` that have a body and no report.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn stray_bodies(&mut self, start: u64, end: u64) -> Result<Vec<u64>, Error> {
        let found: Vec<i64> = sqlx::query_scalar(
            "SELECT b.idx FROM bodies b WHERE b.idx >= ? AND b.idx < ? \
             AND NOT EXISTS (SELECT 1 FROM reports r WHERE r.idx = b.idx) ORDER BY b.idx",
        )
        .bind(signed(start))
        .bind(signed(end))
        .fetch_all(&mut self.connection)
        .await
        .map_err(failed)?;
        Ok(found.into_iter().map(number).collect())
    }

    /// The first index below `index` with this document, and whether `index` itself has it.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn document(&mut self, sha256: &[u8; 32], index: u64) -> Result<(bool, bool), Error> {
        let row = sqlx::query(
            "SELECT EXISTS (SELECT 1 FROM documents WHERE sha256 = ?1 AND idx < ?2), \
                    EXISTS (SELECT 1 FROM documents WHERE sha256 = ?1 AND idx = ?2)",
        )
        .bind(sha256.as_slice())
        .bind(signed(index))
        .fetch_one(&mut self.connection)
        .await
        .map_err(failed)?;
        Ok((get(&row, 0)?, get(&row, 1)?))
    }

    /// Documents after `(sha256, idx)` in that order with the body of the report that should bring them, at most `limit`.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn documents(
        &mut self,
        after: Option<&(Vec<u8>, u64)>,
        limit: u32,
    ) -> Result<Vec<(Vec<u8>, u64, Option<String>)>, Error> {
        let (sha256, idx) = after.map_or((&[][..], -1), |(s, i)| (s.as_slice(), signed(*i)));
        let rows = sqlx::query(
            "SELECT d.sha256, d.idx, b.jws FROM documents d LEFT JOIN bodies b ON b.idx = d.idx \
             WHERE (d.sha256, d.idx) > (?, ?) ORDER BY d.sha256, d.idx LIMIT ?",
        )
        .bind(sha256)
        .bind(idx)
        .bind(limit)
        .fetch_all(&mut self.connection)
        .await
        .map_err(failed)?;
        rows.iter()
            .map(|row| Ok((get(row, 0)?, unsigned(row, 1)?, get(row, 2)?)))
            .collect()
    }

    /// How many rows a table (one of ours) has.
    ///
    /// # Errors
    /// When they cannot be counted.
    pub async fn count(&mut self, table: &'static str) -> Result<u64, Error> {
        let sql = format!("SELECT count(*) FROM {table}");
        let n: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
            .fetch_one(&mut self.connection)
            .await
            .map_err(failed)?;
        Ok(number(n))
    }

    /// One more than the highest index of an entry; 0 where there is none.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn reach(&mut self) -> Result<u64, Error> {
        let last: Option<i64> = sqlx::query_scalar("SELECT max(idx) FROM entries")
            .fetch_one(&mut self.connection)
            .await
            .map_err(failed)?;
        Ok(last.map_or(0, |last| number(last).saturating_add(1)))
    }

    /// A tile's bytes.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn tile(&mut self, tree: u64, level: u8, n: u64) -> Result<Option<Vec<u8>>, Error> {
        sqlx::query_scalar("SELECT hashes FROM tiles WHERE tree = ? AND level = ? AND n = ?")
            .bind(signed(tree))
            .bind(i64::from(level))
            .bind(signed(n))
            .fetch_optional(&mut self.connection)
            .await
            .map_err(failed)
    }

    /// Places of tiles after `after` in order of tree, level and number, at most `limit`.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn tiles(
        &mut self,
        after: Option<TileRow>,
        limit: u32,
    ) -> Result<Vec<TileRow>, Error> {
        let (tree, level, n) = after.map_or((-1, 0, 0), |t| {
            (signed(t.tree), signed(t.level), signed(t.n))
        });
        let rows = sqlx::query(
            "SELECT tree, level, n, length(hashes) / 32 FROM tiles WHERE (tree, level, n) > (?, ?, ?) \
             ORDER BY tree, level, n LIMIT ?",
        )
        .bind(tree)
        .bind(level)
        .bind(n)
        .bind(limit)
        .fetch_all(&mut self.connection)
        .await
        .map_err(failed)?;
        rows.iter()
            .map(|row| {
                Ok(TileRow {
                    tree: unsigned(row, 0)?,
                    level: unsigned(row, 1)?,
                    n: unsigned(row, 2)?,
                    width: unsigned(row, 3)?,
                })
            })
            .collect()
    }

    /// All epochs, ascending by number.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn epochs(&mut self) -> Result<Vec<EpochRow>, Error> {
        let rows = sqlx::query("SELECT number, idx, salt_key FROM epochs ORDER BY number")
            .fetch_all(&mut self.connection)
            .await
            .map_err(failed)?;
        rows.iter()
            .map(|row| {
                Ok(EpochRow {
                    number: unsigned(row, 0)?,
                    idx: unsigned(row, 1)?,
                    salt_key: get(row, 2)?,
                })
            })
            .collect()
    }

    /// Statements of an epoch from leaf `from` on, ascending, at most `limit`.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn statements(
        &mut self,
        epoch: u64,
        from: u64,
        limit: u32,
    ) -> Result<Vec<StatementRow>, Error> {
        let rows = sqlx::query(
            "SELECT s.leaf, a.key, s.claims FROM statements s LEFT JOIN agents a ON a.id = s.agent \
             WHERE s.epoch = ? AND s.leaf >= ? ORDER BY s.leaf LIMIT ?",
        )
        .bind(signed(epoch))
        .bind(signed(from))
        .bind(limit)
        .fetch_all(&mut self.connection)
        .await
        .map_err(failed)?;
        rows.iter()
            .map(|row| {
                Ok(StatementRow {
                    leaf: unsigned(row, 0)?,
                    agent: get(row, 1)?,
                    claims: get(row, 2)?,
                })
            })
            .collect()
    }

    /// Tokens that cannot have been issued: no statement of their agent in their epoch, impossible times, or a place
    /// beyond `places`; at most 1000.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn odd_tokens(&mut self, places: u64) -> Result<Vec<TokenRow>, Error> {
        let rows = sqlx::query(
            "SELECT list, idx, epoch, iat, exp, stated FROM ( \
               SELECT t.*, EXISTS (SELECT 1 FROM statements s WHERE s.epoch = t.epoch AND s.agent = t.agent) AS stated \
               FROM tokens t) \
             WHERE NOT stated OR iat > exp OR iat < 0 OR idx < 0 OR idx >= ? OR list < 0 ORDER BY list, idx LIMIT 1000",
        )
        .bind(signed(places))
        .fetch_all(&mut self.connection)
        .await
        .map_err(failed)?;
        rows.iter()
            .map(|row| {
                Ok(TokenRow {
                    list: unsigned(row, 0)?,
                    idx: unsigned(row, 1)?,
                    epoch: unsigned(row, 2)?,
                    iat: unsigned(row, 3)?,
                    exp: unsigned(row, 4)?,
                    stated: get(row, 5)?,
                })
            })
            .collect()
    }

    /// Writes this view to a new, compact file at `path`, which must not exist.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn copy_to(self, path: &Path) -> Result<(), Error> {
        let mut connection = self.connection;
        let text = path.to_str().ok_or_else(|| {
            Error::Unavailable(format!(
                "{} is not a path that SQLite takes",
                path.display()
            ))
        })?;
        // A vacuum takes its own read transaction.
        for sql in ["ROLLBACK", "PRAGMA synchronous = FULL"] {
            sqlx::query(sql)
                .execute(&mut connection)
                .await
                .map_err(failed)?;
        }
        sqlx::query("VACUUM INTO ?")
            .bind(text)
            .execute(&mut connection)
            .await
            .map_err(failed)?;
        let _ = connection.close().await;
        Ok(())
    }
}

fn checkpoint_row(row: &SqliteRow) -> Result<CheckpointRow, Error> {
    Ok(CheckpointRow {
        size: unsigned(row, 0)?,
        published_ms: unsigned(row, 1)?,
        note: get(row, 2)?,
    })
}

fn report_row(row: &SqliteRow) -> Result<ReportRow, Error> {
    Ok(ReportRow {
        idx: unsigned(row, 0)?,
        id: get(row, 1)?,
        at_ms: unsigned(row, 2)?,
        reporter: get(row, 3)?,
        subject: get(row, 4)?,
        market: get(row, 5)?,
        trade_id: get(row, 6)?,
        role: get(row, 7)?,
        jti: get(row, 8)?,
        historical: get(row, 9)?,
        alone: get(row, 10)?,
        superseded_by: unsigned_or_null(row, 11)?,
        jws: get(row, 12)?,
        next: unsigned_or_null(row, 13)?,
        previous: get(row, 14)?,
        answer_role: get(row, 15)?,
    })
}

/// Sets or, with `None`, removes settings in a database file that nobody else has open, durably and without leaving a
/// write-ahead log beside it.
///
/// # Errors
/// When it cannot be written.
pub async fn rewrite_meta(path: &Path, settings: &[(&str, Option<&str>)]) -> Result<(), Error> {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .journal_mode(sqlx::sqlite::SqliteJournalMode::Delete)
        .synchronous(sqlx::sqlite::SqliteSynchronous::Full)
        .busy_timeout(BUSY);
    let mut connection = SqliteConnection::connect_with(&options)
        .await
        .map_err(failed)?;
    for (key, value) in settings {
        let query = match value {
            Some(value) => sqlx::query("INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value")
                .bind(key)
                .bind(value),
            None => sqlx::query("DELETE FROM meta WHERE key = ?").bind(key),
        };
        query.execute(&mut connection).await.map_err(failed)?;
    }
    connection.close().await.map_err(failed)
}
