//! States of a database, kept in schemas of its own and put back.

use std::fmt::Write as _;

use sqlx::PgConnection;

use crate::support::postgres::execute;

/// The tables of the log, those that others refer to first.
const TABLES: [&str; 16] = [
    "meta",
    "head",
    "checkpoints",
    "entries",
    "tiles",
    "agents",
    "markets",
    "reports",
    "bodies",
    "documents",
    "epochs",
    "statements",
    "staging",
    "tokens",
    "sequencer",
    "turns",
];

/// Remembers the state that the database has now.
pub(crate) async fn keep(url: &str, name: &str) {
    let mut sql = format!("CREATE SCHEMA {name};");
    for table in TABLES {
        write!(sql, "CREATE TABLE {name}.{table} AS TABLE {table};").unwrap();
    }
    execute(url, &sql).await;
}

/// Gives the database the state that it had then, and empties what no crash leaves.
pub(crate) async fn put_back(connection: &mut PgConnection, name: &str) {
    let mut sql =
        "BEGIN; SET LOCAL session_replication_role = replica; DELETE FROM inbox;".to_owned();
    for table in TABLES {
        write!(sql, "DELETE FROM {table}; INSERT INTO {table} OVERRIDING SYSTEM VALUE SELECT * FROM {name}.{table};").unwrap();
    }
    sql.push_str("COMMIT");
    let done = sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(connection);
    done.await.unwrap();
}
