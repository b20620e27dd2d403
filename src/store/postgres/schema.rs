//! Which schema the database has, and bringing it up to date.

use sqlx::{
    Row as _,
    migrate::{MigrateError, Migrator},
    postgres::PgConnection,
};

use super::{session::Failure, sql};
use crate::store::Error;

static MIGRATIONS: Migrator = sqlx::migrate!("migrations/postgres");

/// What to run when the schema is older than the program.
pub const MIGRATE_COMMAND: &str = "goodstanding migrate --database-url URL";

/// Runs the migrations that are missing, each in a transaction, one process at a time.
pub(super) async fn migrate(connection: &mut PgConnection) -> Result<(), Error> {
    // Building an index may take as long as it takes; waiting for whoever holds a table may not.
    sqlx::query("SELECT set_config('statement_timeout', '0', false)")
        .execute(&mut *connection)
        .await
        .map_err(Failure::from)?;
    let done = MIGRATIONS.run_direct(None, connection, false).await;
    done.map_err(|error| match error {
        MigrateError::VersionMissing(version) => newer(version),
        MigrateError::VersionMismatch(version) => altered(version),
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => {
            Failure::from(error).into()
        }
        other => Error::Unsupported(other.to_string()),
    })
}

/// That the schema is exactly this program's.
pub(super) async fn check(connection: &mut PgConnection) -> Result<(), Error> {
    let migrated = is_there(connection).await?;
    let mut applied = Vec::new();
    if !migrated {
        // Tables in a schema that a role may not use are not there for it.
        let hidden = sqlx::query_scalar(sql::HIDDEN_SCHEMA).fetch_optional(&mut *connection);
        let hidden: Option<String> = hidden.await.map_err(Failure::from)?;
        if let Some(schema) = hidden {
            return Err(Error::Unsupported(format!(
                "the role may not use the schema {schema}, which has tables of this program: as the owner, GRANT USAGE ON SCHEMA {schema}, and the rights that docs/OPERATIONS.md lists"
            )));
        }
    }
    if migrated {
        let rows = sqlx::query(sql::APPLIED).fetch_all(&mut *connection).await;
        for row in rows.map_err(Failure::from)? {
            applied.push((row.get(0), row.get(1), row.get(2)));
        }
    }
    judge(&applied)
}

/// One row of the table of migrations: number, checksum, whether it went through.
pub(super) type Applied = (i64, Vec<u8>, bool);

/// Whether there is any schema at all.
pub(super) async fn is_there(connection: &mut PgConnection) -> Result<bool, Error> {
    let migrated = sqlx::query_scalar(sql::HAS_MIGRATIONS).fetch_one(connection);
    Ok(migrated.await.map_err(Failure::from)?)
}

fn judge(applied: &[Applied]) -> Result<(), Error> {
    for (version, checksum, success) in applied {
        let ours = MIGRATIONS.iter().find(|m| m.version == *version);
        let ours = ours.ok_or_else(|| newer(*version))?;
        if !success || *ours.checksum != **checksum {
            return Err(altered(*version));
        }
    }
    let missing = MIGRATIONS
        .iter()
        .find(|m| !applied.iter().any(|(version, ..)| *version == m.version));
    match missing {
        None => Ok(()),
        Some(m) => Err(Error::Unsupported(format!(
            "its schema is older than this program: migration {} is missing; run `{MIGRATE_COMMAND}` as the role that owns the tables",
            m.version
        ))),
    }
}

/// Every way in which these are not this program's migrations, for people.
pub(super) fn differences(applied: &[Applied]) -> Vec<String> {
    let mut found = Vec::new();
    for (version, checksum, success) in applied {
        match MIGRATIONS.iter().find(|m| m.version == *version) {
            None => found.push(format!("migration {version} is not one of this program's")),
            Some(ours) if !success || *ours.checksum != **checksum => found.push(format!(
                "migration {version} is not the one of this program, or did not finish"
            )),
            Some(_) => {}
        }
    }
    let missing = MIGRATIONS
        .iter()
        .filter(|m| !applied.iter().any(|(version, ..)| *version == m.version));
    found.extend(missing.map(|m| {
        format!(
            "migration {} is not applied; `{MIGRATE_COMMAND}` applies it",
            m.version
        )
    }));
    found
}

fn newer(version: i64) -> Error {
    Error::Unsupported(format!(
        "its schema is newer than this program, which does not know migration {version}; run the program that `{MIGRATE_COMMAND}` was last run with"
    ))
}

fn altered(version: i64) -> Error {
    Error::Unsupported(format!(
        "migration {version} is not the one that this program has, or did not go through"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied() -> Vec<Applied> {
        MIGRATIONS
            .iter()
            .map(|m| (m.version, m.checksum.to_vec(), true))
            .collect()
    }

    fn why(applied: &[Applied]) -> String {
        judge(applied).unwrap_err().to_string()
    }

    #[test]
    fn only_exactly_this_programs_schema_will_do() {
        judge(&applied()).unwrap();
        assert!(why(&[]).contains(MIGRATE_COMMAND));
        assert!(why(&applied()[..1]).contains("older"));
        let mut newer = applied();
        newer.push((9999, vec![0; 48], true));
        assert!(why(&newer).contains("newer"));
        let mut altered = applied();
        altered[0].1[0] ^= 1;
        assert!(why(&altered).contains("migration 1"));
        let mut failed = applied();
        failed[1].2 = false;
        assert!(why(&failed).contains("migration 2"));
    }
}
