//! Processes that are cut off from the database, or nearly.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use super::{
    fleet::{Fleet, PATIENCE},
    ledger::{Clients, Ledger, fresh, hold, post},
    proxy::{Cut, Proxy, Way, Weather},
    takeover::{TIMES, spread},
};
use crate::support::{Numbers, postgres::Database};

const CLIENTS: usize = 4;

fn rounds() -> u64 {
    std::env::var("GOODSTANDING_CUT_ROUNDS").map_or(60, |text| text.parse().unwrap())
}

/// Processes, each behind a network of its own.
async fn apart(roles: &[&'static str]) -> (Fleet, Vec<Proxy>) {
    let database = Database::new().await;
    goodstanding::store::Store::close(&database.store().await).await;
    let mut networks = Vec::new();
    for _ in roles {
        networks.push(Proxy::to(&database.url()).await);
    }
    let urls = networks.iter().map(|n| n.url(&database.url())).collect();
    (Fleet::over(database, urls, roles).await, networks)
}

/// Waits until process `n` answers that it does not write.
async fn follows(fleet: &Fleet, n: usize) {
    let until = Instant::now() + PATIENCE;
    while fleet.state(n).await.is_none_or(|s| s["writes"] != false) {
        assert!(
            Instant::now() < until,
            "process {n} does not follow:\n{}",
            fleet.log(n)
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Takes the network from the process that writes, again and again; meanwhile another one writes, and the first only follows when the
/// network is back.
async fn lose(times: usize, away: impl Fn(&Proxy)) -> Vec<Duration> {
    let (fleet, networks) = apart(&["all", "all", "all"]).await;
    let (ledger, mut taken) = (Ledger::default(), Vec::new());
    for _ in 0..times {
        let leader = fleet.leader().await;
        let (url, other) = (&fleet.processes[leader].url, (leader + 1) % 3);
        ledger.insist(&fleet.client, url).await;
        // It is in the middle of something.
        let mut senders = tokio::task::JoinSet::new();
        for _ in 0..3 {
            let (client, url, ledger) = (fleet.client.clone(), url.clone(), ledger.clone());
            senders.spawn(async move {
                if let Ok(answer) = post(&client, &url, &fresh()).await {
                    ledger.note(&answer);
                }
            });
        }
        away(&networks[leader]);
        let gone = Instant::now();
        for n in 0..5 {
            let url = &fleet.processes[other].url;
            ledger.insist(&fleet.client, url).await;
            if n == 0 {
                taken.push(gone.elapsed());
            }
        }
        networks[leader].set(Weather::Clear);
        // It is asked at once, when it may still believe that it writes. A commit that was under way it waits for until it gives up.
        let patience = PATIENCE * 2;
        ledger.insist_for(patience, &fleet.client, url).await;
        follows(&fleet, leader).await;
        while let Some(sent) = senders.join_next().await {
            sent.unwrap();
        }
    }
    for n in 0..3 {
        hold(&fleet, n, &ledger).await;
    }
    taken
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_was_cut_off_does_not_write_when_the_network_is_back() {
    let away = |network: &Proxy| network.set(Weather::Stalled);
    // Two logs at a time: it is mostly waiting.
    let (mut taken, others) = tokio::join!(lose(TIMES / 2, away), lose(TIMES - TIMES / 2, away));
    taken.extend(others);
    println!("cut off, until another acknowledges: {}", spread(taken));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_whose_connections_the_network_forgot_gets_new_ones() {
    let away = |network: &Proxy| {
        network.cut(Cut::Forget);
        network.set(Weather::Stalled);
    };
    let taken = lose(1, away).await;
    println!("forgotten, until another acknowledges: {}", spread(taken));
}

/// One random fault of the network, until it is over.
async fn strike(network: &[&Proxy], numbers: &mut Numbers) -> &'static str {
    let each = |harm: &dyn Fn(&Proxy)| network.iter().for_each(|proxy| harm(proxy));
    let (name, weather, lasts) = match numbers.below(5) {
        0 => {
            each(&|proxy| proxy.cut(Cut::Reset));
            return "reset";
        }
        1 => {
            each(&|proxy| proxy.cut(Cut::Half(Way::ToServer)));
            return "half closed";
        }
        2 => {
            each(&|proxy| proxy.cut(Cut::Half(Way::ToClient)));
            return "half closed";
        }
        3 => {
            let by = Duration::from_millis(1 + numbers.below(30));
            ("slow", Weather::Slow(by), 300)
        }
        _ => ("stalled", Weather::Stalled, 1000),
    };
    each(&|proxy| proxy.set(weather));
    tokio::time::sleep(Duration::from_millis(numbers.below(lasts))).await;
    // Half of the silences end with the connections.
    if numbers.below(2) == 0 {
        each(&|proxy| proxy.cut(Cut::Reset));
    }
    each(&|proxy| proxy.set(Weather::Clear));
    name
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_whatever_the_network_does() {
    let (fleet, networks) = apart(&["all", "all", "all"]).await;
    let ledger = Ledger::default();
    let urls = fleet.processes.iter().map(|p| p.url.clone()).collect();
    let clients = Clients::start(CLIENTS, &fleet.client, &Arc::new(Mutex::new(urls)), &ledger);
    let (mut numbers, mut struck) = (Numbers::new(47), std::collections::BTreeMap::new());
    let mut slowest = Duration::ZERO;
    for round in 0..rounds() {
        tokio::time::sleep(Duration::from_millis(numbers.below(150))).await;
        let n = usize::try_from(numbers.below(4)).unwrap();
        let hit: Vec<&Proxy> = match networks.get(n) {
            Some(network) => vec![network],
            None => networks.iter().collect(),
        };
        *struck.entry(strike(&hit, &mut numbers).await).or_insert(0) += 1;
        // It comes back by itself.
        let over = Instant::now();
        let url = &fleet.processes[n % 3].url;
        ledger.insist(&fleet.client, url).await;
        slowest = slowest.max(over.elapsed());
        if round % 20 == 19 {
            hold(&fleet, usize::try_from(round % 3).unwrap(), &ledger).await;
        }
    }
    clients.stop().await;
    let mut size = 0;
    for n in 0..3 {
        size = hold(&fleet, n, &ledger).await;
    }
    println!(
        "{} rounds of a bad network {struck:?}; {} acknowledgements, all in one log of {size} entries; slowest return {} ms",
        rounds(),
        ledger.len(),
        slowest.as_millis()
    );
    assert!(ledger.len() > 100);
}
