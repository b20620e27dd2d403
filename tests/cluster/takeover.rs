//! The process that writes goes away in every way there is, and another one goes on.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::{
    fleet::{Fleet, PATIENCE},
    ledger::{Ledger, fresh, hold, post},
};

/// Takeovers that are measured, by what happens to the one that writes.
pub(crate) const TIMES: usize = 5;

pub(crate) fn spread(mut times: Vec<Duration>) -> String {
    times.sort_unstable();
    let ms = |time: Duration| time.as_millis();
    format!(
        "median {} ms, worst {} ms of {}",
        ms(times[times.len() / 2]),
        ms(*times.last().unwrap()),
        times.len()
    )
}

#[tokio::test]
async fn when_it_is_killed_another_writes() {
    let mut fleet = Fleet::start(&["all", "all", "all"]).await;
    let (ledger, mut times) = (Ledger::default(), Vec::new());
    for _ in 0..TIMES {
        let leader = fleet.leader().await;
        ledger
            .insist(&fleet.client, &fleet.processes[leader].url)
            .await;
        fleet.kill(leader);
        let killed = Instant::now();
        let other = (leader + 1) % 3;
        ledger
            .insist(&fleet.client, &fleet.processes[other].url)
            .await;
        times.push(killed.elapsed());
        fleet.restart(leader);
        fleet.ready(leader).await;
    }
    println!("killed, until another acknowledges: {}", spread(times));
    hold(&fleet, 0, &ledger).await;
}

#[tokio::test]
async fn when_it_stops_in_an_orderly_way_another_writes() {
    let mut fleet = Fleet::start(&["all", "all", "sequencer"]).await;
    let ledger = Ledger::default();
    let leader = fleet.leader().await;
    ledger
        .insist(&fleet.client, &fleet.processes[leader].url)
        .await;
    fleet.processes[leader].signal(Signal::TERM);
    let other = (leader + 1) % 2;
    ledger
        .insist(&fleet.client, &fleet.processes[other].url)
        .await;
    fleet.kill(leader);
    fleet.restart(leader);
    fleet.ready(leader).await;
    hold(&fleet, other, &ledger).await;
}

#[tokio::test]
async fn one_that_was_stopped_does_not_write_when_it_wakes_up() {
    // Two logs at a time: it is mostly waiting.
    let (mut times, others) = tokio::join!(stop(TIMES / 2), stop(TIMES - TIMES / 2));
    times.extend(others);
    println!("stopped, until another acknowledges: {}", spread(times));
}

async fn stop(rounds: usize) -> Vec<Duration> {
    let fleet = Fleet::start(&["all", "all", "all"]).await;
    let (ledger, mut times) = (Ledger::default(), Vec::new());
    for _ in 0..rounds {
        let leader = fleet.leader().await;
        let (url, other) = (&fleet.processes[leader].url, (leader + 1) % 3);
        ledger.insist(&fleet.client, url).await;
        fleet.processes[leader].signal(Signal::STOP);
        let stopped = Instant::now();
        ledger
            .insist(&fleet.client, &fleet.processes[other].url)
            .await;
        times.push(stopped.elapsed());
        for _ in 0..5 {
            ledger
                .insist(&fleet.client, &fleet.processes[other].url)
                .await;
        }
        fleet.processes[leader].signal(Signal::CONT);
        // It is asked at once, while it still believes that it writes.
        ledger.insist(&fleet.client, url).await;
        let until = Instant::now() + PATIENCE;
        while fleet.leaders().await.contains(&leader) {
            assert!(Instant::now() < until, "it never noticed");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    hold(&fleet, 1, &ledger).await;
    let turns = fleet.log(0) + &fleet.log(1) + &fleet.log(2);
    assert!(turns.contains("this process writes"));
    times
}

/// A client that does not wait until the service gives up.
fn impatient() -> reqwest::Client {
    let client = goodstanding::net::builder().no_proxy();
    client.timeout(Duration::from_secs(2)).build().unwrap()
}

#[tokio::test]
async fn without_anybody_who_writes_reports_are_refused_and_reading_goes_on() {
    let mut fleet = Fleet::start(&["sequencer", "api"]).await;
    let ledger = Ledger::default();
    let api = fleet.processes[1].url.clone();
    ledger.insist(&fleet.client, &api).await;
    hold(&fleet, 1, &ledger).await;
    fleet.kill(0);
    let told = ledger.all()[0].clone();
    let shown = fleet
        .client
        .get(format!("{api}/v1/reports/{}/receipt", told.id));
    assert!(shown.send().await.unwrap().status().is_success());
    let jws = fresh();
    let refused = post(&impatient(), &api, &jws).await;
    assert!(refused.is_err(), "{refused:?}");
    fleet.restart(0);
    fleet.ready(0).await;
    ledger.insist(&fleet.client, &api).await;
    // What was given up on was either logged or not; sent again, it is there once.
    ledger.note(&post(&fleet.client, &api, &jws).await.unwrap());
    hold(&fleet, 1, &ledger).await;
}
