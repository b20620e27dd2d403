//! kill -9 of any of three processes, round after round, under load, with an independent ledger of acknowledgements.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use super::{
    fleet::Fleet,
    ledger::{Clients, Ledger, hold},
};
use crate::support::Numbers;

const CLIENTS: usize = 6;

fn rounds() -> u64 {
    std::env::var("GOODSTANDING_CLUSTER_ROUNDS").map_or(200, |text| text.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_whichever_of_three_is_killed() {
    let mut fleet = Fleet::start(&["all", "all", "all"]).await;
    let ledger = Ledger::default();
    let urls = |fleet: &Fleet| fleet.processes.iter().map(|p| p.url.clone()).collect();
    let known = Arc::new(Mutex::new(urls(&fleet)));
    let clients = Clients::start(CLIENTS, &fleet.client, &known, &ledger);
    let (mut numbers, mut killed_leaders) = (Numbers::new(31), 0);
    for round in 0..rounds() {
        tokio::time::sleep(Duration::from_millis(numbers.below(200))).await;
        // Half of the time the one that writes.
        let leaders = fleet.leaders().await;
        let n = match leaders[..] {
            [leader] if numbers.below(2) == 0 => leader,
            _ => usize::try_from(numbers.below(3)).unwrap(),
        };
        killed_leaders += u32::from(leaders.contains(&n));
        fleet.kill(n);
        tokio::time::sleep(Duration::from_millis(numbers.below(100))).await;
        fleet.restart(n);
        *known.lock().unwrap() = urls(&fleet);
        if round % 50 == 49 {
            for n in 0..3 {
                fleet.ready(n).await;
            }
            hold(&fleet, usize::try_from(round % 3).unwrap(), &ledger).await;
        }
    }
    for n in 0..3 {
        fleet.ready(n).await;
    }
    clients.stop().await;
    let mut size = 0;
    for n in 0..3 {
        size = hold(&fleet, n, &ledger).await;
    }
    let receipts = ledger.all().iter().filter(|a| a.receipt.is_some()).count();
    println!(
        "{} rounds, {killed_leaders} of them killed the one that wrote; {} acknowledgements ({receipts} with receipts), all in one log of {size} entries",
        rounds(),
        ledger.len()
    );
    assert!(ledger.len() > 100);
}
