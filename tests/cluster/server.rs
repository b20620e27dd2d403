//! PostgreSQL itself goes down, and runs out of room.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use serde_json::Value;
use sqlx::Connection as _;

use super::{
    fleet::{Fleet, PATIENCE},
    gone::{LEFT, count},
    ledger::{Clients, Ledger, fresh, hold, post},
};
use crate::support::{
    Numbers,
    postgres::{Cluster, Database, SmallDisk, execute},
};

const CLIENTS: usize = 4;
const ROUNDS: u64 = 15;
/// Of the small disk. A server with an empty database takes some 40.
const MIB: u32 = 72;
/// What is left of it at first, beyond what the server keeps for itself.
const ROOM_KIB: u32 = 512;
/// Refusals in a row before there is room again.
const FULL_FOR: u32 = 5;
/// Says that the machine cannot do this, and that it is known.
const NO_NAMESPACES: &str = "GOODSTANDING_TEST_NO_NAMESPACES";
/// Reports after that.
const AFTER: u32 = 30;

pub(crate) async fn on(server: &Cluster, roles: &[&'static str]) -> Fleet {
    let database = Database::on(server.url()).await;
    goodstanding::store::Store::close(&database.store().await).await;
    let urls = vec![database.url(); roles.len()];
    Fleet::over(database, urls, roles).await
}

// The server ends with the thread that started it: a test's own, not one of the runtime's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_when_the_server_crashes() {
    let mut server = Cluster::start(&[]);
    let fleet = on(&server, &["all", "all"]).await;
    let ledger = Ledger::default();
    let urls = fleet.processes.iter().map(|p| p.url.clone()).collect();
    let clients = Clients::start(CLIENTS, &fleet.client, &Arc::new(Mutex::new(urls)), &ledger);
    let mut numbers = Numbers::new(71);
    let mut returns = Vec::new();
    for round in 0..ROUNDS {
        tokio::time::sleep(Duration::from_millis(numbers.below(400))).await;
        server.crash();
        tokio::time::sleep(Duration::from_millis(numbers.below(300))).await;
        server.run();
        let up = Instant::now();
        // Each of them comes back by itself.
        for process in &fleet.processes {
            ledger.insist(&fleet.client, &process.url).await;
        }
        returns.push(up.elapsed());
        if round % 5 == 4 {
            hold(&fleet, usize::try_from(round % 2).unwrap(), &ledger).await;
        }
    }
    clients.stop().await;
    for n in 0..2 {
        hold(&fleet, n, &ledger).await;
    }
    println!(
        "{ROUNDS} crashes of the server; {} acknowledgements, none lost; both processes acknowledge again: {}",
        ledger.len(),
        super::takeover::spread(returns)
    );
    assert!(ledger.len() > 100);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_room_reports_are_refused_and_nothing_is_lost() {
    let Some(disk) = SmallDisk::new(MIB) else {
        let known = std::env::var_os(NO_NAMESPACES).is_some();
        assert!(
            known,
            "this machine allows no namespaces, so no small disk: set {NO_NAMESPACES}=1 to go without this test"
        );
        return;
    };
    let server = Cluster::start_in(Some(disk.path().join("data")), &[]);
    let fleet = on(&server, &["all", "all"]).await;
    let ledger = Ledger::default();
    for process in &fleet.processes {
        ledger.insist(&fleet.client, &process.url).await;
    }
    disk.fill(ROOM_KIB);
    let (mut refused, mut in_a_row, mut after) = (0, 0, 0);
    for n in 0.. {
        let (jws, until) = (fresh(), Instant::now() + PATIENCE);
        loop {
            let request = fleet
                .client
                .post(format!("{}/v1/reports", fleet.processes[n % 2].url))
                .header("content-type", "application/jwt")
                .body(jws.clone());
            let answer = request.send().await.unwrap();
            let status = answer.status().as_u16();
            let wait = answer.headers().contains_key("retry-after");
            let answer: Value = answer.json().await.unwrap();
            if status == 200 || status == 201 {
                ledger.note(&answer);
                break;
            }
            assert_eq!(
                (status, &answer["code"]),
                (503, &"store.unavailable".into())
            );
            assert!(wait, "a 503 without Retry-After");
            (refused, in_a_row) = (refused + 1, in_a_row + 1);
            // What is there is served as before.
            for process in &fleet.processes {
                let shown = fleet.client.get(format!("{}/checkpoint", process.url));
                assert_eq!(shown.send().await.unwrap().status(), 200);
            }
            if in_a_row == FULL_FOR {
                disk.free();
            }
            assert!(Instant::now() < until, "it does not recover: {answer}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        if in_a_row >= FULL_FOR {
            after += 1;
            if after == AFTER {
                break;
            }
        } else {
            in_a_row = 0;
        }
        assert!(n < 20_000, "the disk never fills up");
    }
    for n in 0..2 {
        hold(&fleet, n, &ledger).await;
    }
    println!(
        "a full disk of the server: {} acknowledged, {refused} refused, none lost",
        ledger.len()
    );
    assert!(server.log().contains("No space left on device"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numbers_of_jobs_that_begin_again_mix_no_answers_up() {
    let mut fleet = Fleet::start(&["sequencer", "api", "api"]).await;
    let ledger = Ledger::default();
    fleet.kill(0);
    let url = fleet.database_url();
    let mut sent = Vec::new();
    for process in &fleet.processes[1..] {
        let (client, to) = (fleet.client.clone(), process.url.clone());
        let jws = fresh();
        let id = goodstanding_verify::report::Report::verify(&jws)
            .unwrap()
            .id;
        let posting = async move { post(&client, &to, &jws).await };
        sent.push((id.to_string(), tokio::spawn(posting)));
        let mut database = sqlx::PgConnection::connect(&url).await.unwrap();
        let until = Instant::now() + PATIENCE;
        while count(&mut database, LEFT).await == 0 {
            assert!(Instant::now() < until, "no job was sent");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        // What a crash of the server does to a table that is not logged.
        if sent.len() == 1 {
            execute(&url, "TRUNCATE inbox RESTART IDENTITY").await;
        }
    }
    fleet.restart(0);
    for (id, posting) in sent {
        // Each is told of its own report: what was lost is sent again.
        let answer = posting.await.unwrap().unwrap();
        assert_eq!(answer["report_id"], *id, "the answer to another report");
        ledger.note(&answer);
    }
    fleet.ready(0).await;
    for process in &fleet.processes[1..] {
        ledger.insist(&fleet.client, &process.url).await;
    }
    hold(&fleet, 1, &ledger).await;
}
