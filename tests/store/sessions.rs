//! PostgreSQL only: what sessions are set to, what servers are refused, and connections that are left in a state.

use std::time::Duration;

use goodstanding::store::{
    Error, Store as _,
    postgres::{Options, PostgresStore, Purpose, pool},
};
use sqlx::{Connection as _, PgConnection, PgPool, postgres::PgConnectOptions};

use crate::{
    fixture::{Log, report},
    support::postgres::Database,
};

#[tokio::test]
async fn a_database_that_may_lose_commits_is_refused() {
    let database = Database::new().await;
    database.store().await;
    let connect = async || PostgresStore::connect(&database.url(), Options::default()).await;
    for (value, accepted) in [
        ("off", false),
        ("local", false),
        ("remote_write", false),
        ("remote_apply", true),
        ("on", true),
    ] {
        let set = format!(
            "ALTER DATABASE {} SET synchronous_commit = {value}",
            database.name
        );
        database.execute(&set).await;
        match connect().await {
            Ok(_) => assert!(accepted, "{value}"),
            Err(error) => {
                assert!(!accepted, "{value}: {error}");
                assert!(error.to_string().contains(value), "{error}");
                assert!(matches!(error, Error::Unsupported(_)), "{error}");
            }
        }
    }
}

#[tokio::test]
async fn another_encoding_is_refused() {
    let database = Database::new().await;
    let name = format!("{}_latin", database.name);
    database
        .execute(&format!(
            "CREATE DATABASE {name} TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'"
        ))
        .await;
    let url = database.url().replace(&database.name, &name);
    let refused = PostgresStore::connect(&url, Options::default()).await;
    database
        .execute(&format!("DROP DATABASE {name} WITH (FORCE)"))
        .await;
    assert!(refused.unwrap_err().to_string().contains("LATIN1"));
}

#[tokio::test]
async fn what_is_shown_of_a_store_and_its_errors_has_no_password() {
    let database = Database::new().await;
    let store = database.store().await;
    let url = reqwest::Url::parse(&database.url()).unwrap();
    let password = url.password().unwrap();
    let shown = format!("{store:?} {store:#?}");
    assert!(
        shown.contains(&database.name) && !shown.contains(password),
        "{shown}"
    );
    let mut wrong = url.clone();
    wrong.set_password(Some("s3cret-word")).unwrap();
    for bad in [
        wrong.as_str(),
        "postgres://u:s3cret-word@127.0.0.1:99999/d",
        "mysql:s3cret-word",
    ] {
        let error = PostgresStore::connect(bad, Options::default())
            .await
            .unwrap_err();
        assert!(
            !format!("{error} {error:?}").contains("s3cret-word"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn sessions_are_named_and_limited_whatever_the_defaults_are() {
    let database = Database::new().await;
    let set = |what| format!("ALTER DATABASE {} SET {what}", database.name);
    database.store().await.close().await;
    database.execute(&set("statement_timeout = 0")).await;
    database
        .execute(&set("default_transaction_isolation = serializable"))
        .await;
    database
        .execute(&set("default_transaction_read_only = on"))
        .await;
    let store = PostgresStore::connect(&database.url(), Options::default())
        .await
        .unwrap();
    Log::default().event(&store, 1, "policy").await;
    store.entries(0, 1).await.unwrap();
    let mut connection = database.connection().await;
    let sessions: i64 = sqlx::query_scalar("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'goodstanding-%'")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert_eq!(sessions, 2, "the writer's and one reader's");
    // Only the writer's statements are written for a server that may not scan.
    for (purpose, read_only, scans) in [
        (Purpose::Writing, "off", "off"),
        (Purpose::Reading, "on", "on"),
    ] {
        let options: PgConnectOptions = database.url().parse().unwrap();
        let pool = pool(1, purpose).connect_with(options).await.unwrap();
        for (setting, value) in [
            ("statement_timeout", "30s"),
            ("lock_timeout", "10s"),
            ("idle_in_transaction_session_timeout", "15s"),
            ("default_transaction_isolation", "read committed"),
            ("default_transaction_read_only", read_only),
            ("enable_seqscan", scans),
            ("enable_bitmapscan", scans),
            ("enable_sort", scans),
            ("enable_incremental_sort", "off"),
        ] {
            let is: String = sqlx::query_scalar("SELECT current_setting($1)")
                .bind(setting)
                .fetch_one(&pool)
                .await
                .unwrap();
            assert_eq!(is, value, "{setting}");
        }
        pool.close().await;
    }
}

async fn open_transactions(connection: &mut PgConnection) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in transaction%'")
        .fetch_one(connection)
        .await
        .unwrap()
}

/// With all four connections taken at once, so that each has come back before: no transaction is open.
async fn none_open(pool: &PgPool, watch: &mut PgConnection) {
    let mut held = Vec::new();
    for _ in 0..4 {
        held.push(pool.acquire().await.unwrap());
    }
    assert_eq!(open_transactions(watch).await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_left_open_ends_when_its_connection_comes_back() {
    let database = Database::new().await;
    let options: PgConnectOptions = database.url().parse().unwrap();
    let pool = pool(4, Purpose::Writing)
        .connect_with(options)
        .await
        .unwrap();
    let mut watch = database.connection().await;
    // Left open on purpose, and failed on purpose.
    for statement in ["SELECT 1", "SELECT 1/0"] {
        let mut connection = pool.acquire().await.unwrap();
        sqlx::query("BEGIN")
            .execute(&mut *connection)
            .await
            .unwrap();
        let _ = sqlx::query(statement).execute(&mut *connection).await;
        drop(connection);
    }
    none_open(&pool, &mut watch).await;
    // And what dropping the future of `begin` leaves, wherever it was.
    for n in 0..60_u32 {
        let begun = tokio::time::timeout(Duration::from_micros(u64::from(n) * 20), pool.begin());
        drop(begun.await);
        none_open(&pool, &mut watch).await;
    }
    pool.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_outlives_its_connections() {
    let database = Database::new().await;
    let store = database.store().await;
    let mut log = Log::default();
    for n in 0..3 {
        log.reports(&store, n, vec![report(1, 2, &n.to_string())])
            .await;
        assert_eq!(store.head().await.unwrap(), log.head);
        database.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'goodstanding-%' AND datname = current_database()").await;
    }
    assert_eq!(store.bodies(0, 9, 9).await.unwrap().len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_is_dropped_leaves_no_lock_and_no_transaction() {
    let database = Database::new().await;
    let store = database.store().await;
    let mut log = Log::default();
    log.event(&store, 1, "policy").await;
    let mut dropped = Vec::new();
    for n in 0..40_u32 {
        let batch = (0..50).map(|i| report(1, 2, &format!("{n} {i}"))).collect();
        let commit = log.plan(u64::from(n), batch, None);
        let wait = Duration::from_micros(u64::from(n) * 250);
        let _ = tokio::time::timeout(wait, store.commit(&commit)).await;
        // It went through, it did not, or it is still under way, and one of the next finds out.
        let head = store.head().await.unwrap();
        dropped.push(commit.head);
        assert!(
            head == log.head || dropped.iter().any(|d| head.as_ref() == Some(d)),
            "{head:?}"
        );
        log.head = head;
    }
    // The newest drop may still be on its way: this one waits for the lock if so.
    log.head = store.head().await.unwrap();
    let commit = log.plan(99, Vec::new(), Some("policy"));
    if store.commit(&commit).await.is_err() {
        log.head = store.head().await.unwrap();
        log.event(&store, 99, "policy").await;
    }
    let mut watch = database.connection().await;
    assert_eq!(open_transactions(&mut watch).await, 0);
    watch.close().await.unwrap();
}

/// A setting that changes in the middle of a transaction, here by a trigger: it is what COMMIT finds that counts, whatever is written.
#[tokio::test]
async fn no_write_is_committed_that_may_be_lost() {
    let database = Database::new().await;
    let store = database.store().await;
    let mut log = Log::default();
    log.reports(&store, 1, vec![report(1, 2, "one")]).await;
    log.event(&store, 2, "policy").await;
    let head = log.head.clone().unwrap();
    let mut triggers = String::from(
        "CREATE FUNCTION weaken() RETURNS trigger LANGUAGE plpgsql AS \
         $$ BEGIN PERFORM set_config('synchronous_commit', 'local', true); RETURN NULL; END $$;",
    );
    for table in ["head", "entries", "checkpoints", "agents", "tokens", "meta"] {
        triggers.push_str("CREATE TRIGGER weaken AFTER INSERT OR UPDATE ON ");
        triggers.push_str(table);
        triggers.push_str(" FOR EACH STATEMENT EXECUTE FUNCTION weaken();");
    }
    database.execute(&triggers).await;
    let agent = crate::support::agent(1).did();
    let commit = log.plan(3, Vec::new(), Some("policy"));
    let published = goodstanding::store::Published {
        size: head.size,
        published_ms: 1,
        note: head.note.clone(),
    };
    let token = goodstanding::store::IssuedToken {
        list: 1,
        idx: 1,
        agent,
        epoch: 1,
        iat: 1,
        exp: 2,
    };
    let refusals = [
        ("commit", store.commit(&commit).await),
        ("confirm", store.confirm(&head).await),
        ("publish", store.publish(&published).await),
        ("token", store.add_token(&token).await.map(drop)),
        ("alias", store.set_aliases(&[("a".to_owned(), agent)]).await),
        ("setting", store.set_meta("log_end", "x").await),
        ("changed setting", store.replace_meta("log_end", "x").await),
    ];
    for (what, refused) in refusals {
        let error = refused.expect_err(what);
        assert!(matches!(error, Error::Unsupported(_)), "{what}: {error}");
        assert!(
            error.to_string().contains("synchronous_commit=local"),
            "{what}: {error}"
        );
    }
    assert_eq!(store.head().await.unwrap(), log.head);
    assert_eq!(store.published().await.unwrap(), None);
    assert_eq!(store.newest_status_list().await.unwrap(), None);
    assert_eq!(store.aliases().await.unwrap(), []);
    assert_eq!(store.meta("log_end").await.unwrap(), None);
    database.execute("DROP FUNCTION weaken() CASCADE").await;
    log.commit(&store, commit).await;
    store.confirm(log.head.as_ref().unwrap()).await.unwrap();
    let moved = store.confirm(&head).await.unwrap_err();
    assert!(matches!(moved, Error::HeadMoved), "{moved}");
    store.close().await;
}
