//! PostgreSQL only: a server that crashes, comes back, and is changed while it runs.

use goodstanding::store::{
    Error, Store as _,
    postgres::{Options, PostgresStore},
};

use crate::{
    fixture::{Log, report},
    support::postgres::{Cluster, Database, execute},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_committed_survives_a_crash_of_the_server() {
    let mut cluster = Cluster::start(&[]);
    let database = Database::on(cluster.url()).await;
    let store = database.store().await;
    let mut log = Log::default();
    for n in 0..5 {
        log.reports(&store, n, vec![report(1, 2, &n.to_string())])
            .await;
    }
    cluster.crash();
    let commit = log.plan(9, vec![report(1, 2, "down")], None);
    let error = store.commit(&commit).await.unwrap_err();
    assert!(matches!(error, Error::Unavailable(_)), "{error}");
    cluster.run();
    assert_eq!(store.head().await.unwrap(), log.head);
    assert_eq!(store.bodies(0, 9, 9).await.unwrap().len(), 5);
    log.commit(&store, commit).await;
    assert_eq!(store.head().await.unwrap(), log.head);
    store.close().await;
    let dir = cluster.data();
    drop(database);
    drop(cluster);
    assert!(!dir.exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_without_fsync_is_refused_also_when_it_becomes_one() {
    let cluster = Cluster::start(&[]);
    let database = Database::on(cluster.url()).await;
    let store = database.store().await;
    let mut log = Log::default();
    log.event(&store, 1, "policy").await;
    for setting in ["fsync", "full_page_writes"] {
        execute(&cluster.url(), &format!("ALTER SYSTEM SET {setting} = off")).await;
        execute(&cluster.url(), "SELECT pg_reload_conf()").await;
        let connected = loop {
            // A reload takes effect a moment later.
            match PostgresStore::connect(&database.url(), Options::default()).await {
                Ok(store) => store.close().await,
                Err(error) => break error,
            }
        };
        assert!(
            connected.to_string().contains(&format!("{setting}=off")),
            "{connected}"
        );
        // The connection that was made before finds it out with its next commit.
        let commit = log.plan(2, Vec::new(), Some("policy"));
        let refused = store.commit(&commit).await.unwrap_err();
        assert!(matches!(refused, Error::Unsupported(_)), "{refused}");
        assert_eq!(store.head().await.unwrap(), log.head);
        execute(&cluster.url(), &format!("ALTER SYSTEM RESET {setting}")).await;
        execute(&cluster.url(), "SELECT pg_reload_conf()").await;
        while store.commit(&commit).await.is_err() {
            tokio::task::yield_now().await;
        }
        log.head = Some(commit.head);
        assert_eq!(store.head().await.unwrap(), log.head);
    }
    store.close().await;
}
