//! What SQLite itself can say of a file: its version, its own checks, and whether the schema is the one of this program.

use sqlx::{
    Connection as _, SqliteConnection,
    migrate::{Migrate as _, MigrateError},
    sqlite::SqliteConnectOptions,
};

use super::{SqliteSnapshot, failed, own, row::Columns as _};
use crate::store::{
    Error,
    snapshot::{Dangling, Engine},
    sqlite::MIGRATIONS,
};

impl SqliteSnapshot {
    pub(super) async fn read_engine(&mut self) -> Result<Engine, Error> {
        let version: String = self
            .one(sqlx::query("SELECT sqlite_version()"), |row| row.value(0))
            .await?;
        let journal: String = self
            .one(sqlx::query("PRAGMA journal_mode"), |row| row.value(0))
            .await?;
        let is_wal = journal == "wal";
        Ok(Engine {
            name: format!("SQLite {version}"),
            mode: if is_wal {
                journal
            } else {
                format!("journal mode {journal}")
            },
            sound: "quick_check ok; synchronous=FULL is asserted at start",
            remedy: (!is_wal).then_some("the next start sets it to wal"),
        })
    }

    /// Of pages, indexes and constraints.
    pub(super) async fn own_check(
        &mut self,
        limit: u32,
        quick: bool,
    ) -> Result<Vec<String>, Error> {
        let check = if quick {
            "quick_check"
        } else {
            "integrity_check"
        };
        let sql = own(format!("PRAGMA {check}({limit})"));
        let lines: Vec<String> = self.all(sql, |row| row.value(0)).await?;
        Ok(lines.into_iter().filter(|line| line != "ok").collect())
    }

    pub(super) async fn foreign_key_check(&mut self) -> Result<Vec<Dangling>, Error> {
        // That a statement is of an epoch, or staged, is no foreign key's to say.
        let sql = "SELECT \"table\", parent, count(*) FROM pragma_foreign_key_check GROUP BY 1, 2 \
             UNION ALL SELECT 'statements', 'epochs', sum(missing) FROM (SELECT count(*) AS missing FROM statements \
               WHERE epoch IS NOT (SELECT epoch FROM staging) GROUP BY epoch HAVING epoch NOT IN (SELECT number FROM epochs)) \
             HAVING sum(missing) > 0 ORDER BY 1, 2";
        self.all(sqlx::query(sql), |row| {
            Ok(Dangling {
                table: row.value(0)?,
                parent: row.value(1)?,
                rows: row.number(2)?,
            })
        })
        .await
    }

    pub(super) async fn compare_schema(&mut self) -> Result<Vec<String>, Error> {
        let mut found = Vec::new();
        let sql = "SELECT version, checksum, success FROM _sqlx_migrations ORDER BY version";
        let applied: Vec<(i64, Vec<u8>, bool)> = self
            .all(sqlx::query(sql), |row| {
                Ok((row.value(0)?, row.value(1)?, row.value(2)?))
            })
            .await?;
        let mut ours = MIGRATIONS.iter().peekable();
        for (version, checksum, success) in applied {
            match ours.next() {
                Some(own) if own.version == version => {
                    if *own.checksum != *checksum || !success {
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
        let options = SqliteConnectOptions::new().in_memory(true);
        let mut fresh = SqliteConnection::connect_with(&options)
            .await
            .map_err(failed)?;
        migrate(&mut fresh)
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
}

/// Makes the schema in an empty database. `Migrator::run` does the same, but nobody can prove to a trait object that its future
/// may go from one thread to another.
async fn migrate(connection: &mut SqliteConnection) -> Result<(), MigrateError> {
    let table = MIGRATIONS.table_name.as_ref();
    connection.ensure_migrations_table(table).await?;
    for migration in MIGRATIONS.migrations.iter() {
        connection.apply(table, migration).await?;
    }
    Ok(())
}

/// Names of tables and indexes, with the statements that made them.
async fn objects(connection: &mut SqliteConnection) -> Result<Vec<(String, String)>, Error> {
    let sql = "SELECT type || ' ' || name, coalesce(sql, '') FROM sqlite_schema \
               WHERE name NOT LIKE 'sqlite_stat%' ORDER BY 1";
    sqlx::query_as(sql)
        .fetch_all(connection)
        .await
        .map_err(failed)
}
