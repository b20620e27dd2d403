//! A process that cannot write: it keeps out of the way of those that can, and says what is wrong.

use std::{
    fs,
    time::{Duration, Instant},
};

use sqlx::{Connection as _, PgConnection};

use super::{
    fleet::{Fleet, PATIENCE},
    gone::count,
    ledger::{Ledger, hold},
};

const TURNS: &str = "SELECT count(*) FROM turns";

/// How often process `n` took the lead, or would have, and something was in the way.
async fn in_the_way(fleet: &Fleet, n: usize, code: &str) -> u64 {
    let (_, _, metrics) = fleet.get(n, "/metrics").await;
    let start = format!("goodstanding_turns_total{{result=\"{code}\"}} ");
    let of = metrics.lines().find_map(|line| line.strip_prefix(&start));
    of.map_or(0, |number| number.parse().unwrap())
}

#[tokio::test]
async fn one_that_cannot_write_keeps_out_of_the_way_and_says_why() {
    let mut fleet = Fleet::start(&["all", "all"]).await;
    let ledger = Ledger::default();
    let leader = fleet.leader().await;
    let unfit = 1 - leader;
    ledger
        .insist(&fleet.client, &fleet.processes[unfit].url)
        .await;
    assert!(fleet.state(unfit).await.unwrap()["unfit"].is_null());
    // It can note no turn any more, and without that it may not sign.
    let noted = fleet.data(unfit).join("log.turn");
    fs::remove_file(&noted).unwrap();
    fs::create_dir_all(noted.join("in the way")).unwrap();
    let mut database = PgConnection::connect(&fleet.database_url()).await.unwrap();
    let turns = count(&mut database, TURNS).await;
    fleet.kill(leader);
    let told = fleet.until(unfit, "why", |s| !s["unfit"].is_null()).await;
    assert_eq!(told["unfit"]["code"], "store.unavailable", "{told}");
    assert_eq!(told["writes"], false);
    // It looks again, later and later, and takes no turn for it: one was enough to find out.
    let until = Instant::now() + PATIENCE;
    while in_the_way(&fleet, unfit, "store.unavailable").await < 2 {
        assert!(std::time::Instant::now() < until, "it does not look again");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(count(&mut database, TURNS).await, turns + 1);
    // Whoever can write does so at once, and the other one sends.
    fleet.restart(leader);
    fleet.ready(leader).await;
    assert_eq!(fleet.leader().await, leader);
    for process in &fleet.processes {
        ledger.insist(&fleet.client, &process.url).await;
    }
    // Mended, it takes over.
    fs::remove_dir_all(&noted).unwrap();
    fleet.until(unfit, "mended", |s| s["unfit"].is_null()).await;
    fleet.kill(leader);
    ledger
        .insist(&fleet.client, &fleet.processes[unfit].url)
        .await;
    assert_eq!(fleet.leader().await, unfit);
    assert_eq!(in_the_way(&fleet, unfit, "led").await, 1);
    hold(&fleet, unfit, &ledger).await;
}
