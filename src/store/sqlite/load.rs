//! A new SQLite file, filled in one transaction. Its rollback journal stays small: pages of an empty file have no old content.

use std::{fs::OpenOptions, path::Path};

use async_trait::async_trait;
use sqlx::{
    Connection as _, QueryBuilder, Sqlite, SqliteConnection,
    query_builder::Separated,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};

use super::{BUSY, MIGRATIONS, to_i64, unavailable};
use crate::store::{
    Error,
    load::Load,
    snapshot::{
        AgentRow, CheckpointRow, DocumentRow, EntryRow, EpochRow, ErasedRow, HeadRow, ReportRow,
        StatementRow, Table, TileRow, TokenRow,
    },
};

/// Rows of one statement; with at most eleven bindings a row this stays far below SQLite's 32,766.
const ROWS: usize = 500;

/// A file that is being filled.
#[derive(Debug)]
pub struct SqliteLoad {
    connection: SqliteConnection,
}

type Row<'a, 'q> = Separated<'a, Sqlite, &'q str>;

impl SqliteLoad {
    /// Makes a new file, private to its owner, with an empty database in it.
    ///
    /// # Errors
    /// [`Error::Unsupported`] when there is a file already, [`Error::Unavailable`] when it cannot be made.
    pub async fn create(path: &Path) -> Result<Self, Error> {
        let mut file = OpenOptions::new();
        file.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut file, 0o600);
        file.open(path).map_err(|e| match e.kind() {
            std::io::ErrorKind::AlreadyExists => {
                Error::Unsupported(format!("{} is there already", path.display()))
            }
            _ => Error::Unavailable(format!("{}: {e}", path.display())),
        })?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .journal_mode(SqliteJournalMode::Delete)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(BUSY);
        let mut connection = SqliteConnection::connect_with(&options)
            .await
            .map_err(unavailable)?;
        MIGRATIONS
            .run(&mut connection)
            .await
            .map_err(|e| Error::Unsupported(e.to_string()))?;
        sqlx::query("BEGIN IMMEDIATE")
            .execute(&mut connection)
            .await
            .map_err(unavailable)?;
        Ok(Self { connection })
    }

    /// Inserts rows, many in a statement: `INSERT INTO … VALUES …`, or `… SELECT … FROM (VALUES …) …` with `tail` behind the
    /// values.
    async fn insert<T>(
        &mut self,
        head: &str,
        rows: &[T],
        mut push: impl FnMut(Row<'_, '_>, &T),
        tail: &str,
    ) -> Result<(), Error> {
        for chunk in rows.chunks(ROWS) {
            let mut query = QueryBuilder::<Sqlite>::new(head);
            query.push_values(chunk, &mut push).push(tail);
            let done = query.build().execute(&mut self.connection).await;
            let inserted = done.map_err(refused)?.rows_affected();
            if usize::try_from(inserted) != Ok(chunk.len()) {
                return Err(Error::Corrupt(format!(
                    "{inserted} of {} rows refer to rows that exist: run `fsck`",
                    chunk.len()
                )));
            }
        }
        Ok(())
    }
}

/// A row that breaks a constraint is damage of where it came from.
fn refused(error: sqlx::Error) -> Error {
    match &error {
        sqlx::Error::Database(inner) if inner.kind() != sqlx::error::ErrorKind::Other => {
            Error::Corrupt(error.to_string())
        }
        _ => unavailable(error),
    }
}

/// Rows with the numbers that they bind, checked.
fn with<T, const N: usize>(
    rows: &[T],
    numbers: impl Fn(&T) -> [u64; N],
) -> Result<Vec<([i64; N], &T)>, Error> {
    rows.iter()
        .map(|row| {
            let mut checked = [0; N];
            for (to, from) in checked.iter_mut().zip(numbers(row)) {
                *to = to_i64(from)?;
            }
            Ok((checked, row))
        })
        .collect()
}

#[async_trait]
impl Load for SqliteLoad {
    async fn settings(&mut self, rows: &[(String, String)]) -> Result<(), Error> {
        self.insert(
            "INSERT INTO meta (key, value) ",
            rows,
            |mut row, (key, value)| {
                row.push_bind(key.as_str()).push_bind(value.as_str());
            },
            "",
        )
        .await
    }

    async fn agents(&mut self, rows: &[AgentRow]) -> Result<(), Error> {
        self.insert(
            "INSERT INTO agents (key, alias) ",
            rows,
            |mut row, of| {
                row.push_bind(of.key.as_slice())
                    .push_bind(of.alias.as_deref());
            },
            "",
        )
        .await
    }

    async fn entries(&mut self, rows: &[EntryRow]) -> Result<(), Error> {
        self.insert(
            "INSERT INTO entries (idx, at_ms, kind, bytes) ",
            &with(rows, |row| [row.idx, row.at_ms])?,
            |mut row, ([index, at_ms], of)| {
                row.push_bind(*index)
                    .push_bind(*at_ms)
                    .push_bind(of.kind.as_str())
                    .push_bind(of.bytes.as_slice());
            },
            "",
        )
        .await
    }

    async fn reports(&mut self, rows: &[ReportRow]) -> Result<(), Error> {
        let mut markets: Vec<&str> = rows.iter().filter_map(|r| r.market.as_deref()).collect();
        markets.sort_unstable();
        markets.dedup();
        for name in markets {
            sqlx::query("INSERT INTO markets (name) VALUES (?) ON CONFLICT DO NOTHING")
                .bind(name)
                .execute(&mut self.connection)
                .await
                .map_err(unavailable)?;
        }
        let numbered = with(rows, |row| {
            [row.idx, row.at_ms, row.superseded_by.unwrap_or(0)]
        })?;
        self.insert(
            "INSERT INTO reports (idx, id, at_ms, reporter, subject, market, trade_id, role, jti, historical, alone, \
             superseded_by) SELECT column1, column2, column3, ra.id, sa.id, m.id, column7, column8, column9, column10, \
             column11, column12 FROM (",
            &numbered,
            |mut row, ([index, at_ms, superseded_by], of)| {
                row.push_bind(*index)
                    .push_bind(of.id.as_slice())
                    .push_bind(*at_ms)
                    .push_bind(of.reporter.as_deref())
                    .push_bind(of.subject.as_deref())
                    .push_bind(of.market.as_deref())
                    .push_bind(of.trade_id.as_str())
                    .push_bind(of.role)
                    .push_bind(of.jti.as_str())
                    .push_bind(of.historical)
                    .push_bind(of.alone)
                    .push_bind(of.superseded_by.map(|_| *superseded_by));
            },
            ") JOIN agents ra ON ra.key = column4 JOIN agents sa ON sa.key = column5 JOIN markets m ON m.name = column6",
        )
        .await?;
        let bodies: Vec<_> = numbered
            .iter()
            .filter_map(|([index, ..], of)| Some((*index, of.jws.as_deref()?)))
            .collect();
        self.insert(
            "INSERT INTO bodies (idx, jws) ",
            &bodies,
            |mut row, (index, jws)| {
                row.push_bind(*index).push_bind(*jws);
            },
            "",
        )
        .await
    }

    async fn documents(&mut self, rows: &[DocumentRow]) -> Result<(), Error> {
        self.insert(
            "INSERT INTO documents (sha256, idx) ",
            &with(rows, |row| [row.idx])?,
            |mut row, ([index], of)| {
                row.push_bind(of.sha256.as_slice()).push_bind(*index);
            },
            "",
        )
        .await
    }

    async fn erased(&mut self, rows: &[ErasedRow]) -> Result<(), Error> {
        self.insert(
            "INSERT INTO erased (idx, id, by) ",
            &with(rows, |row| [row.idx, row.by])?,
            |mut row, ([index, by], of)| {
                row.push_bind(*index)
                    .push_bind(of.id.as_slice())
                    .push_bind(*by);
            },
            "",
        )
        .await
    }

    async fn tiles(&mut self, rows: &[(TileRow, Vec<u8>)]) -> Result<(), Error> {
        self.insert(
            "INSERT INTO tiles (tree, level, n, hashes) ",
            &with(rows, |(tile, _)| [tile.tree, tile.level, tile.n])?,
            |mut row, (place, (_, hashes))| {
                for number in place {
                    row.push_bind(*number);
                }
                row.push_bind(hashes.as_slice());
            },
            "",
        )
        .await
    }

    async fn epochs(&mut self, rows: &[EpochRow]) -> Result<(), Error> {
        self.insert(
            "INSERT INTO epochs (number, idx, salt_key) ",
            &with(rows, |row| [row.number, row.idx])?,
            |mut row, ([number, index], of)| {
                row.push_bind(*number)
                    .push_bind(*index)
                    .push_bind(of.salt_key.as_slice());
            },
            "",
        )
        .await
    }

    async fn statements(&mut self, epoch: u64, rows: &[StatementRow]) -> Result<(), Error> {
        self.insert(
            "INSERT INTO statements (epoch, leaf, agent, reached, claims) \
             SELECT column1, column2, a.id, column4, column5 FROM (",
            &with(rows, |row| [epoch, row.leaf])?,
            |mut row, ([epoch, leaf], of)| {
                row.push_bind(*epoch)
                    .push_bind(*leaf)
                    .push_bind(of.agent.as_deref())
                    .push_bind(of.reached)
                    .push_bind(of.claims.as_str());
            },
            ") JOIN agents a ON a.key = column3",
        )
        .await
    }

    async fn tokens(&mut self, rows: &[TokenRow]) -> Result<(), Error> {
        self.insert(
            "INSERT INTO tokens (list, idx, agent, epoch, iat, exp, revoked) \
             SELECT column1, column2, a.id, column4, column5, column6, column7 FROM (",
            &with(rows, |row| [row.list, row.idx, row.epoch, row.iat, row.exp])?,
            |mut row, ([list, index, epoch, iat, exp], of)| {
                row.push_bind(*list)
                    .push_bind(*index)
                    .push_bind(of.agent.as_deref())
                    .push_bind(*epoch)
                    .push_bind(*iat)
                    .push_bind(*exp)
                    .push_bind(of.revoked);
            },
            ") JOIN agents a ON a.key = column3",
        )
        .await
    }

    async fn checkpoints(&mut self, rows: &[CheckpointRow]) -> Result<(), Error> {
        self.insert(
            "INSERT INTO checkpoints (size, published_ms, note) ",
            &with(rows, |row| [row.size, row.published_ms])?,
            |mut row, ([size, published_ms], of)| {
                row.push_bind(*size)
                    .push_bind(*published_ms)
                    .push_bind(of.note.as_str());
            },
            "",
        )
        .await
    }

    async fn head(&mut self, row: &HeadRow) -> Result<(), Error> {
        sqlx::query("INSERT INTO head (one, size, root, at_ms, note) VALUES (1, ?, ?, ?, ?)")
            .bind(to_i64(row.size)?)
            .bind(row.root.as_slice())
            .bind(to_i64(row.at_ms)?)
            .bind(row.note.as_str())
            .execute(&mut self.connection)
            .await
            .map_err(refused)?;
        Ok(())
    }

    async fn count(&mut self, table: Table) -> Result<u64, Error> {
        let sql = format!("SELECT count(*) FROM {table}");
        let rows: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
            .fetch_one(&mut self.connection)
            .await
            .map_err(unavailable)?;
        super::to_u64(rows)
    }

    async fn finish(mut self: Box<Self>) -> Result<(), Error> {
        sqlx::query("COMMIT")
            .execute(&mut self.connection)
            .await
            .map_err(unavailable)?;
        self.connection.close().await.map_err(unavailable)
    }
}
