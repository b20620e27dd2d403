//! PostgreSQL only: a log that is only read is left alone, and may be on a standby.

use std::{fs, path::Path};

use goodstanding::store::{
    Place, Store as _,
    postgres::{Options, PostgresStore},
};

use crate::{
    fixture::{Log, report},
    support::postgres::{Cluster, Database},
};

fn place(url: &str) -> Place {
    Place::of(Path::new("data"), Some(url)).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_writes_nothing_and_vacuums_nothing() {
    let database = Database::new().await;
    let store = database.store().await;
    let mut log = Log::default();
    let reports = (0..5).map(|n| report(1, 2, &n.to_string())).collect();
    log.reports(&store, 1, reports).await;
    log.erase(&store, 3, report(1, 2, "3").id).await;
    store.close().await;
    let reader = place(&database.url()).reader().await.unwrap();
    assert_eq!(reader.head().await.unwrap().unwrap().size, 6);
    let error = reader.set_meta("key", "value").await.unwrap_err();
    assert!(error.to_string().contains("read-only"), "{error}");
    reader.close().await;
    let mut connection = database.connection().await;
    let vacuumed =
        "SELECT last_vacuum IS NULL FROM pg_stat_all_tables WHERE relid = 'bodies'::regclass";
    let never: bool = sqlx::query_scalar(vacuumed)
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert!(never);
}

// The server ends with the thread that started it: a test's own, not one of the runtime's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_standby_can_be_read() {
    let mut server = Cluster::start(&[]);
    let migrate = Options {
        migrate: true,
        ..Options::default()
    };
    let store = PostgresStore::connect(&server.url(), migrate)
        .await
        .unwrap();
    let mut log = Log::default();
    log.reports(&store, 1, vec![report(1, 2, "t")]).await;
    store.close().await;
    server.stop("fast");
    fs::write(server.data().join("standby.signal"), "").unwrap();
    server.run();
    let written = PostgresStore::connect(&server.url(), Options::default()).await;
    let error = written.unwrap_err().to_string();
    assert!(error.contains("standby"), "{error}");
    let reader = place(&server.url()).reader().await.unwrap();
    assert_eq!(reader.head().await.unwrap().unwrap().size, 1);
    reader.close().await;
}
