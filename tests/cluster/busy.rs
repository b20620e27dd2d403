//! Slow questions take every connection for reading: following, taking over and recovering go on.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use sqlx::{Connection as _, PgConnection};

use super::{
    fleet::{Fleet, PATIENCE},
    gone::count,
    ledger::{Ledger, hold},
};

/// What a process has for reading, unless its settings say otherwise.
const READERS: i64 = 8;
/// Far more than there are connections for reading.
const ASKING: usize = 40;
const ALL_WAIT: &str = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
    AND wait_event_type = 'Lock' AND query LIKE '%tokens%'";

/// Until every connection for reading waits.
async fn all_wait(watching: &mut PgConnection) {
    let until = Instant::now() + PATIENCE;
    while count(watching, ALL_WAIT).await < READERS {
        assert!(Instant::now() < until, "they are not all taken");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_readers_keep_nobody_from_taking_over() {
    let mut fleet = Fleet::start(&["all", "all"]).await;
    let ledger = Ledger::default();
    let leader = fleet.leader().await;
    let other = 1 - leader;
    ledger
        .insist(&fleet.client, &fleet.processes[other].url)
        .await;
    // Status lists are read from this table, and nothing else is that matters here.
    let mut holder = PgConnection::connect(&fleet.database_url()).await.unwrap();
    for sql in ["BEGIN", "LOCK TABLE tokens IN ACCESS EXCLUSIVE MODE"] {
        sqlx::query(sql).execute(&mut holder).await.unwrap();
    }
    let stop = Arc::new(AtomicBool::new(false));
    let mut asking = tokio::task::JoinSet::new();
    for _ in 0..ASKING {
        let (client, stop) = (fleet.client.clone(), stop.clone());
        let url = format!("{}/v1/status-lists", fleet.processes[other].url);
        asking.spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                let asked = client.get(&url).timeout(Duration::from_mins(1));
                let _ = asked.send().await;
            }
        });
    }
    let mut watching = PgConnection::connect(&fleet.database_url()).await.unwrap();
    all_wait(&mut watching).await;
    fleet.kill(leader);
    ledger
        .insist(&fleet.client, &fleet.processes[other].url)
        .await;
    // Its connections go, and what became of what it was writing has to be read back.
    let end = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = current_database() \
        AND application_name LIKE 'goodstanding-%' AND NOT (wait_event_type = 'Lock' AND query LIKE '%tokens%')";
    count(&mut watching, end).await;
    ledger
        .insist(&fleet.client, &fleet.processes[other].url)
        .await;
    all_wait(&mut watching).await;
    stop.store(true, Ordering::Relaxed);
    sqlx::query("ROLLBACK").execute(&mut holder).await.unwrap();
    asking.shutdown().await;
    hold(&fleet, other, &ledger).await;
}
