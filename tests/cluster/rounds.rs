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

const CLIENTS: usize = 4;
/// Logs at a time, each with three processes of its own. What one waits for, the other has time for.
const FLEETS: u64 = 2;

fn rounds() -> u64 {
    std::env::var("GOODSTANDING_CLUSTER_ROUNDS").map_or(200, |text| text.parse().unwrap())
}

/// What came of some rounds.
#[derive(Default)]
struct Played {
    killed_leaders: u32,
    acknowledged: usize,
    receipts: usize,
    entries: u64,
}

async fn play(rounds: u64, seed: u64) -> Played {
    let mut fleet = Fleet::start(&["all", "all", "all"]).await;
    let ledger = Ledger::default();
    let urls = |fleet: &Fleet| fleet.processes.iter().map(|p| p.url.clone()).collect();
    let known = Arc::new(Mutex::new(urls(&fleet)));
    let clients = Clients::start(CLIENTS, &fleet.client, &known, &ledger);
    let (mut numbers, mut played) = (Numbers::new(seed), Played::default());
    for round in 0..rounds {
        tokio::time::sleep(Duration::from_millis(numbers.below(200))).await;
        // Half of the time the one that writes.
        let leaders = fleet.leaders().await;
        let n = match leaders[..] {
            [leader] if numbers.below(2) == 0 => leader,
            _ => usize::try_from(numbers.below(3)).unwrap(),
        };
        played.killed_leaders += u32::from(leaders.contains(&n));
        fleet.kill(n);
        tokio::time::sleep(Duration::from_millis(numbers.below(100))).await;
        fleet.restart(n);
        *known.lock().unwrap() = urls(&fleet);
        if round % 25 == 24 {
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
    for n in 0..3 {
        played.entries = hold(&fleet, n, &ledger).await;
    }
    let all = ledger.all();
    played.acknowledged = all.len();
    played.receipts = all.iter().filter(|a| a.receipt.is_some()).count();
    played
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_whichever_of_three_is_killed() {
    let mut playing = tokio::task::JoinSet::new();
    for n in 0..FLEETS {
        playing.spawn(play(rounds().div_ceil(FLEETS), 31 + n));
    }
    while let Some(played) = playing.join_next().await {
        let Played {
            killed_leaders,
            acknowledged,
            receipts,
            entries,
        } = played.unwrap();
        println!(
            "{} rounds, {killed_leaders} of them killed the one that wrote; {acknowledged} acknowledgements ({receipts} with receipts), all in one log of {entries} entries",
            rounds().div_ceil(FLEETS),
        );
        assert!(acknowledged > 100);
    }
}
