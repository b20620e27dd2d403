//! What only a database in a file of its own can do: be copied whole, and be marked while nobody has it open.

use std::path::Path;

use sqlx::{
    Connection as _, SqliteConnection,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};

use super::{
    BUSY,
    snapshot::{SqliteSnapshot, failed},
};
use crate::store::Error;

/// Writes what the database at `source` contains now to a new, compact file at `path`, which must not exist.
///
/// # Errors
/// When one cannot be read or the other not be written.
pub async fn copy(source: &Path, path: &Path) -> Result<(), Error> {
    let mut connection = SqliteSnapshot::open(source).await?.connection;
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

/// Sets or, with `None`, removes settings in a database file that nobody else has open, durably and without leaving a
/// write-ahead log beside it.
///
/// # Errors
/// When it cannot be written.
pub async fn rewrite_meta(path: &Path, settings: &[(&str, Option<&str>)]) -> Result<(), Error> {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .journal_mode(SqliteJournalMode::Delete)
        .synchronous(SqliteSynchronous::Full)
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
