//! A synchronous standby that is out of reach: nothing is acknowledged that only the primary has, whatever that shows.

use std::time::{Duration, Instant};

use sqlx::{Connection as _, PgConnection};

use super::{
    fleet::Fleet,
    gone::count,
    ledger::{Ledger, fresh, hold, post},
    server::on,
};
use crate::support::postgres::{Cluster, execute};

/// Longer than it takes to find a process silent, and to end its sessions.
const WHILE: Duration = Duration::from_secs(10);
const ENTRIES: &str = "SELECT size FROM head";
const WAITING: &str = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'";

/// The server waits for a standby that there is none of, until this is dropped: also for dropping databases.
struct Alone(String);

impl Alone {
    async fn new(server: &str) -> Self {
        execute(
            server,
            "ALTER SYSTEM SET synchronous_standby_names = 'ghost'",
        )
        .await;
        execute(server, "SELECT pg_reload_conf()").await;
        Self(server.to_owned())
    }

    async fn end(server: &str) {
        execute(server, "ALTER SYSTEM RESET synchronous_standby_names").await;
        execute(server, "SELECT pg_reload_conf()").await;
    }
}

impl Drop for Alone {
    fn drop(&mut self) {
        let server = self.0.clone();
        let ended = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            runtime.unwrap().block_on(Self::end(&server));
        });
        let _ = ended.join();
    }
}

/// Sends the same bytes to every process again and again, for a while; nobody acknowledges them.
async fn nobody_acknowledges(fleet: &Fleet, jws: &str) {
    let until = Instant::now() + WHILE;
    let mut senders = tokio::task::JoinSet::new();
    for process in &fleet.processes {
        let (client, url, jws) = (fleet.client.clone(), process.url.clone(), jws.to_owned());
        senders.spawn(async move {
            while Instant::now() < until {
                let answer = post(&client, &url, &jws).await;
                assert!(answer.is_err(), "no standby has it: {answer:?}");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        });
    }
    while let Some(sent) = senders.join_next().await {
        sent.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_acknowledged_that_no_standby_has() {
    let mut server = Cluster::start(&[]);
    let fleet = on(&server, &["all", "all"]).await;
    let ledger = Ledger::default();
    for process in &fleet.processes {
        ledger.insist(&fleet.client, &process.url).await;
    }
    let mut database = PgConnection::connect(&fleet.database_url()).await.unwrap();
    let before = count(&mut database, ENTRIES).await;
    let alone = Alone::new(&server.url()).await;
    let jws = fresh();
    // It waits for the standby, and so long nobody ends its session, which would show what it wrote.
    nobody_acknowledges(&fleet, &jws).await;
    assert!(count(&mut database, WAITING).await > 0, "nothing waits");
    assert_eq!(count(&mut database, ENTRIES).await, before);
    assert_eq!(fleet.leaders().await.len(), 1, "whoever leads still leads");

    // After a crash the server shows it, although no standby has it.
    drop(database);
    server.crash();
    server.run();
    let mut database = PgConnection::connect(&fleet.database_url()).await.unwrap();
    assert!(
        count(&mut database, ENTRIES).await > before,
        "it is not shown"
    );
    nobody_acknowledges(&fleet, &jws).await;

    drop(alone);
    for process in &fleet.processes {
        ledger.insist(&fleet.client, &process.url).await;
    }
    let answer = post(&fleet.client, &fleet.processes[0].url, &jws).await;
    let answer = answer.unwrap();
    assert_eq!(answer["leaf_index"], before, "once, where it was: {answer}");
    ledger.note(&answer);
    for n in 0..2 {
        hold(&fleet, n, &ledger).await;
    }
}
