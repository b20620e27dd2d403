//! PostgreSQL only: what is tried again, and what must not be.

use goodstanding::store::{Error, Store as _, postgres::PostgresStore};
use sqlx::PgConnection;

use crate::{
    fixture::{Log, report},
    support::postgres::Database,
};

/// A trigger on new entries that fails so many times with a SQLSTATE, at once or only at COMMIT. It counts with a sequence, which
/// no rollback takes back.
async fn fails(times: u32, with: &str, at_commit: bool) -> (Database, PostgresStore, PgConnection) {
    let database = Database::new().await;
    let store = database.store().await;
    let trigger = if at_commit {
        "CREATE CONSTRAINT TRIGGER fails AFTER INSERT ON entries DEFERRABLE INITIALLY DEFERRED"
    } else {
        "CREATE TRIGGER fails BEFORE INSERT ON entries"
    };
    let fault = match with {
        "gone" => {
            "PERFORM pg_terminate_backend(pg_backend_pid()); PERFORM pg_sleep(10);".to_owned()
        }
        state => format!("RAISE EXCEPTION 'injected' USING ERRCODE = '{state}';"),
    };
    database
        .execute(&format!(
            "CREATE SEQUENCE tries; CREATE FUNCTION fails() RETURNS trigger LANGUAGE plpgsql AS $$ \
             BEGIN IF nextval('tries') <= {times} THEN {fault} END IF; RETURN NEW; END $$; \
             {trigger} FOR EACH ROW EXECUTE FUNCTION fails()"
        ))
        .await;
    let connection = database.connection().await;
    (database, store, connection)
}

async fn tries(connection: &mut PgConnection) -> i64 {
    let tries = sqlx::query_scalar("SELECT last_value FROM tries");
    tries.fetch_one(connection).await.unwrap()
}

#[tokio::test]
async fn serialization_failures_and_deadlocks_are_tried_again() {
    for with in ["40001", "40P01"] {
        for at_commit in [false, true] {
            let (_database, store, mut connection) = fails(2, with, at_commit).await;
            let mut log = Log::default();
            log.event(&store, 1, "policy").await;
            assert_eq!(tries(&mut connection).await, 3, "{with}");
            assert_eq!(store.head().await.unwrap(), log.head);
        }
    }
}

#[tokio::test]
async fn tries_are_bounded() {
    let (_database, store, mut connection) = fails(99, "40001", false).await;
    let commit = Log::default().plan(1, Vec::new(), Some("policy"));
    let error = store.commit(&commit).await.unwrap_err();
    assert!(matches!(error, Error::Unavailable(_)), "{error}");
    assert_eq!(tries(&mut connection).await, 4);
    assert_eq!(store.head().await.unwrap(), None);
}

#[tokio::test]
async fn nothing_else_is_tried_again() {
    // A unique index, a cancelled statement, a full disk, a serialization failure's neighbour.
    for with in ["23505", "57014", "53100", "40003"] {
        let (_database, store, mut connection) = fails(1, with, false).await;
        let mut log = Log::default();
        let commit = log.plan(1, Vec::new(), Some("policy"));
        let error = store.commit(&commit).await.unwrap_err();
        assert!(matches!(error, Error::Unavailable(_)), "{error}");
        assert!(error.to_string().contains(with), "{error}");
        assert_eq!(tries(&mut connection).await, 1, "{with}");
        // The same connection goes on.
        log.commit(&store, commit).await;
    }
    let (_database, store, mut connection) = fails(1, "XX001", false).await;
    let commit = Log::default().plan(1, Vec::new(), Some("policy"));
    let error = store.commit(&commit).await.unwrap_err();
    assert!(matches!(error, Error::Corrupt(_)), "{error}");
    assert_eq!(tries(&mut connection).await, 1);
}

#[tokio::test]
async fn a_connection_lost_during_commit_is_an_unknown_outcome() {
    for at_commit in [false, true] {
        let (_database, store, mut connection) = fails(1, "gone", at_commit).await;
        let mut log = Log::default();
        let commit = log.plan(1, Vec::new(), Some("policy"));
        let error = store.commit(&commit).await.unwrap_err();
        assert!(matches!(error, Error::Unavailable(_)), "{error}");
        assert_eq!(tries(&mut connection).await, 1, "not tried again");
        // The store itself goes on, with another connection.
        assert_eq!(store.head().await.unwrap(), None);
        log.commit(&store, commit).await;
        assert_eq!(store.head().await.unwrap(), log.head);
    }
}

/// A real deadlock, and the server's choice of a victim, not an injected one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deadlock_ends_with_the_commit_done() {
    let database = Database::new().await;
    let store = database.store().await;
    let mut log = Log::default();
    log.reports(&store, 1, vec![report(1, 2, "t")]).await;
    let mut other = database.connection().await;
    // Ours holds the head and wants agents' rows; theirs holds those and wants the head.
    for statement in [
        "SET deadlock_timeout = '10s'",
        "BEGIN",
        "LOCK TABLE agents IN SHARE MODE",
    ] {
        sqlx::query(statement).execute(&mut other).await.unwrap();
    }
    let commit = log.plan(2, vec![report(3, 4, "u")], None);
    let (done, ()) = tokio::join!(store.commit(&commit), async {
        let waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()";
        while sqlx::query_scalar::<_, i64>(waiting)
            .fetch_one(&mut other)
            .await
            .unwrap()
            == 0
        {
            // `pg_stat_activity` stays as it was first seen in a transaction.
            sqlx::query("SELECT pg_stat_clear_snapshot()")
                .execute(&mut other)
                .await
                .unwrap();
        }
        sqlx::query("UPDATE head SET note = note")
            .execute(&mut other)
            .await
            .unwrap();
        sqlx::query("COMMIT").execute(&mut other).await.unwrap();
    });
    done.unwrap();
    assert_eq!(store.head().await.unwrap(), Some(commit.head));
}
