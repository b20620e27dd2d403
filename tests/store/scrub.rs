//! PostgreSQL only: when erased rows are out of the tables.

use std::time::Duration;

use goodstanding::store::{Store as _, postgres::PostgresStore};
use sqlx::Connection as _;

use crate::{
    fixture::{Log, report},
    support::postgres::Database,
};

async fn until_gone(store: &PostgresStore) {
    while !store.scrub().await.unwrap() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn dead(database: &Database) -> i64 {
    let mut connection = database.connection().await;
    let sql = "SELECT n_dead_tup FROM pg_stat_all_tables WHERE relid = 'bodies'::regclass";
    sqlx::query_scalar(sql)
        .fetch_one(&mut connection)
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_holds_erased_rows_and_scrubbing_says_so() {
    let database = Database::new().await;
    let store = database.store().await;
    let mut log = Log::default();
    log.reports(
        &store,
        1,
        (0..50).map(|n| report(1, 2, &n.to_string())).collect(),
    )
    .await;
    let mut reader = database.connection().await;
    for statement in [
        "BEGIN ISOLATION LEVEL REPEATABLE READ",
        "SELECT count(*) FROM bodies",
    ] {
        sqlx::query(statement).execute(&mut reader).await.unwrap();
    }
    log.erase(&store, 7, report(1, 2, "7").id).await;
    for _ in 0..5 {
        assert!(!store.scrub().await.unwrap());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(dead(&database).await, 1);
    reader.close().await.unwrap();
    until_gone(&store).await;
    assert_eq!(dead(&database).await, 0);
    // The next erasure begins anew.
    log.erase(&store, 8, report(1, 2, "8").id).await;
    until_gone(&store).await;
    assert_eq!(dead(&database).await, 0);
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_killed_process_left_is_scrubbed_at_the_next_start() {
    let database = Database::new().await;
    let store = database.store().await;
    let mut log = Log::default();
    log.reports(
        &store,
        1,
        (0..50).map(|n| report(1, 2, &n.to_string())).collect(),
    )
    .await;
    log.erase(&store, 7, report(1, 2, "7").id).await;
    store.close().await;
    let vacuumed =
        "SELECT last_vacuum IS NOT NULL FROM pg_stat_all_tables WHERE relid = 'bodies'::regclass";
    let mut watch = database.connection().await;
    assert!(
        !sqlx::query_scalar::<_, bool>(vacuumed)
            .fetch_one(&mut watch)
            .await
            .unwrap()
    );
    let store = database.store().await;
    while !sqlx::query_scalar::<_, bool>(vacuumed)
        .fetch_one(&mut watch)
        .await
        .unwrap()
    {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    store.close().await;
}

/// Columns that the planner has collected this text of.
async fn collected(database: &Database, text: &str) -> Vec<String> {
    let sql = "SELECT tablename || '.' || attname FROM pg_stats WHERE schemaname = 'public' \
        AND (histogram_bounds::text LIKE $1 OR most_common_vals::text LIKE $1) ORDER BY 1";
    let mut connection = database.connection().await;
    let columns = sqlx::query_scalar(sql)
        .bind(format!("%{text}%"))
        .fetch_all(&mut connection);
    columns.await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn statistics_keep_nothing_that_was_erased() {
    let database = Database::new().await;
    let store = database.store().await;
    let mut log = Log::default();
    let of = |n: u32| {
        let mut report = report(1, 2, &format!("trade-{n}-"));
        report.market = format!("https://market-{n}-.example");
        report
    };
    log.reports(&store, 1, (0..50).map(of).collect()).await;
    // Jobs come and go; these are of reports too.
    let sent = "INSERT INTO inbox (job) SELECT convert_to('job of trade-' || n, 'UTF8') FROM generate_series(1, 50) n";
    database.execute(sent).await;
    database.execute("ANALYZE").await;
    assert_eq!(
        collected(&database, "trade-7-").await,
        ["reports.jti", "reports.trade_id"]
    );
    assert_eq!(collected(&database, "market-7-").await, ["markets.name"]);
    let inbox =
        "SELECT count(*) FROM pg_stats WHERE tablename = 'inbox' AND attname IN ('job', 'answer')";
    let mut connection = database.connection().await;
    let count = sqlx::query_scalar::<_, i64>(inbox).fetch_one(&mut connection);
    assert_eq!(count.await.unwrap(), 0);
    database.execute("DELETE FROM inbox").await;
    log.erase(&store, 7, of(7).id).await;
    until_gone(&store).await;
    for text in ["trade-7-", "market-7-"] {
        assert_eq!(collected(&database, text).await, Vec::<String>::new());
    }
    assert!(!collected(&database, "trade-8-").await.is_empty());
    // Nothing of the jobs is left in the file.
    let size =
        sqlx::query_scalar::<_, i64>("SELECT pg_relation_size('inbox')").fetch_one(&mut connection);
    assert_eq!(size.await.unwrap(), 0);
    store.close().await;
}
