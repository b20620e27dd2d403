//! Migrations never change once released, both databases have the same ones, and every statement fits what they make.

use std::{collections::BTreeMap, path::Path};

use goodstanding::store::{
    Error, Store,
    postgres::{MIGRATE_COMMAND, Options, PostgresStore, statements},
    sqlite::SqliteStore,
};
use sha2::{Digest as _, Sha256};
use sqlx::{
    AssertSqlSafe, Connection as _, Executor as _, SqlSafeStr as _, SqliteConnection,
    migrate::Migrator, sqlite::SqliteConnectOptions,
};

use crate::{fixture::did, support::postgres::Database};

/// File name → SHA-256 for a database's migrations. Add a line for a new file; a line that has to change means that
/// every database out there would refuse the program.
const FROZEN: [(&str, &str, &str); 5] = [
    (
        "0001_log.sql",
        "ec026e999440eec344af34d3b0ab6ccc7a84a1b3674a6344ab3ab790a6899303",
        "925ca7d800174d03dc51db451f5246afa709be0a308a5e08a7342eca5379788d",
    ),
    (
        "0002_erasure.sql",
        "aaf4abf190f319842e1078b837b927c40f57b8f9ea697fcaa4e0d20b2c0789a8",
        "e319a4d8c0b80b70b1c3ffa6ad479aa681033c5a0264f746e632593b223f336d",
    ),
    (
        "0003_cluster.sql",
        "68d138095bed8410ea7bc26fc9dfff63328eead144aef33472c5a6f8a85f63fa",
        "69949c96adb7cee0d1bf4c34af63d9a11ac0857ecadbc97f4de4d9e46f0162af",
    ),
    (
        "0004_statistics.sql",
        "5c97d88048af926c19ecc9d98236a7daee81907ac5d003a93a1ef94a2fc4d604",
        "545b8c1e5b33c8fe80c5c47bc55c2d1c84f8c17550a4e09195fc1f423300cef7",
    ),
    (
        "0005_staging.sql",
        "4aa81e63e2bfd7ec218e446ffa9b1018c4bdbf321ddb53db915d28e1317fde4e",
        "d39d2c4d1033155f8616e1c747d3d91201ce1420f918eb7955d80a019cc3a007",
    ),
];

fn hex(bytes: &[u8]) -> String {
    let hex: Vec<_> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    hex.concat()
}

fn files(database: &str) -> BTreeMap<String, String> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
    let files = std::fs::read_dir(dir.join(database)).unwrap();
    let hash = |path: &Path| {
        let digest = Sha256::digest(std::fs::read(path).unwrap());
        hex(&digest)
    };
    files
        .map(|file| file.unwrap())
        .map(|file| (file.file_name().into_string().unwrap(), hash(&file.path())))
        .collect()
}

#[test]
fn the_bytes_of_migrations_are_frozen_and_both_databases_have_the_same_ones() {
    let own = |of: fn(&(&str, &str, &str)) -> (String, String)| -> BTreeMap<String, String> {
        FROZEN.iter().map(of).collect()
    };
    assert_eq!(files("sqlite"), own(|f| (f.0.to_owned(), f.1.to_owned())));
    assert_eq!(files("postgres"), own(|f| (f.0.to_owned(), f.2.to_owned())));
}

/// The migrations of a database before the fifth, in a folder of their own.
async fn first_four(database: &str) -> Migrator {
    let dir = tempfile::tempdir().unwrap();
    let all = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
    for (name, ..) in &FROZEN[..4] {
        std::fs::copy(all.join(database).join(name), dir.path().join(name)).unwrap();
    }
    Migrator::new(dir.path()).await.unwrap()
}

/// An epoch of two agents, as it was written before epochs were staged.
fn old_epoch(key: [&str; 2]) -> String {
    let agents = [1, 2].map(|n| format!("({n}, {}{}{})", key[0], hex(did(n).key_bytes()), key[1]));
    format!(
        "INSERT INTO entries VALUES (0, 1, 'epoch', {0}00{1}); INSERT INTO agents (id, key) {2} VALUES {3}; \
         INSERT INTO epochs VALUES (1, 0, {0}{4}{1}); \
         INSERT INTO statements VALUES (1, 0, 2, {5}, '{{}}'), (1, 1, 1, {6}, '{{\"a\":1}}')",
        key[0],
        key[1],
        if key[0] == "x'" {
            ""
        } else {
            "OVERRIDING SYSTEM VALUE"
        },
        agents.join(", "),
        "07".repeat(32),
        if key[0] == "x'" { "1" } else { "true" },
        if key[0] == "x'" { "0" } else { "false" },
    )
}

async fn as_before(store: &dyn Store) {
    assert_eq!(store.epoch(None).await.unwrap().unwrap().number, 1);
    let rows = store.statements(1, 0, 9).await.unwrap();
    let rows: Vec<_> = rows.iter().map(|r| (r.leaf, r.agent, &*r.claims)).collect();
    assert_eq!(rows, [(0, did(2), "{}"), (1, did(1), "{\"a\":1}")]);
    assert_eq!(store.reached().await.unwrap(), [did(2)]);
    assert_eq!(store.claim_staging(None).await.unwrap(), 0);
    store.close().await;
}

#[tokio::test]
async fn a_database_from_before_staging_keeps_its_statements() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.sqlite");
    let options = SqliteConnectOptions::new()
        .filename(&path)
        .create_if_missing(true);
    let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
    first_four("sqlite")
        .await
        .run(&mut connection)
        .await
        .unwrap();
    let sql = AssertSqlSafe(old_epoch(["x'", "'"]));
    sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    as_before(&SqliteStore::open(&path, false).await.unwrap()).await;

    let database = Database::new().await;
    let mut connection = database.connection().await;
    first_four("postgres")
        .await
        .run(&mut connection)
        .await
        .unwrap();
    let sql = AssertSqlSafe(old_epoch(["'\\x", "'"]));
    sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    let options = Options {
        migrate: true,
        ..Options::default()
    };
    let store = PostgresStore::connect(&database.url(), options).await;
    as_before(&store.unwrap()).await;
}

#[tokio::test]
async fn every_statement_can_be_prepared() {
    let database = Database::new().await;
    database.store().await;
    let mut connection = database.connection().await;
    let all = statements();
    assert!(all.len() > 60, "{}", all.len());
    for (name, sql) in all {
        let prepared = connection
            .prepare(AssertSqlSafe(sql.clone()).into_sql_str())
            .await;
        prepared.unwrap_or_else(|error| panic!("{name}: {error}\n{sql}"));
    }
}

async fn refusal(database: &Database, options: Options) -> String {
    let error = PostgresStore::connect(&database.url(), options)
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Unsupported(_)), "{error}");
    error.to_string()
}

#[tokio::test]
async fn a_schema_is_made_only_when_told() {
    let database = Database::new().await;
    let told = Options {
        migrate: true,
        ..Options::default()
    };
    assert!(
        refusal(&database, Options::default())
            .await
            .contains(MIGRATE_COMMAND)
    );
    // Several at once: one migrates, the others wait and find it done.
    let url = database.url();
    let (one, two, three) = tokio::join!(
        PostgresStore::connect(&url, told),
        PostgresStore::connect(&url, told),
        PostgresStore::connect(&url, told),
    );
    for store in [one, two, three] {
        store.unwrap();
    }
    PostgresStore::connect(&url, Options::default())
        .await
        .unwrap();
}

#[tokio::test]
async fn a_schema_of_another_program_is_refused() {
    let database = Database::new().await;
    database.store().await;
    let told = Options {
        migrate: true,
        ..Options::default()
    };
    database.execute("INSERT INTO _sqlx_migrations SELECT 9999, 'later', now(), true, checksum, 0 FROM _sqlx_migrations WHERE version = 1").await;
    for options in [Options::default(), told] {
        assert!(refusal(&database, options).await.contains("newer"));
    }
    database.execute("DELETE FROM _sqlx_migrations WHERE version = 9999; UPDATE _sqlx_migrations SET checksum = '\\x00' WHERE version = 2").await;
    for options in [Options::default(), told] {
        assert!(refusal(&database, options).await.contains("migration 2"));
    }
    database
        .execute("DELETE FROM _sqlx_migrations WHERE version = 2")
        .await;
    assert!(
        refusal(&database, Options::default())
            .await
            .contains("older")
    );
}
