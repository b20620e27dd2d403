//! What a process did and could not say before it was killed, the next one is asked to do again: it is done once, and answered.

use std::{process::Output, time::Instant};

use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use tokio::task::JoinHandle;

use super::{
    fleet::{Fleet, PATIENCE},
    ledger::{Ledger, hold},
};
use crate::support::{agent, postgres::execute};

/// Nobody can answer jobs that other processes sent.
const MUTE: &str = "CREATE FUNCTION mute() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'muted'; END $$; \
    CREATE TRIGGER mute BEFORE UPDATE ON inbox FOR EACH ROW EXECUTE FUNCTION mute()";
const SPEAK: &str = "DROP FUNCTION mute() CASCADE";

/// Asks process 2, which never writes, with what it answers.
fn ask(fleet: &Fleet, path: &str, token: &str, body: Option<Value>) -> JoinHandle<(u16, Value)> {
    let url = format!("{}{path}", fleet.processes[2].url);
    let mut request = fleet.client.post(url).bearer_auth(token);
    request = request.timeout(PATIENCE);
    if let Some(body) = body {
        request = request.json(&body);
    }
    tokio::spawn(async move {
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    })
}

/// How many entries of a kind there are.
async fn logged(database: &mut PgConnection, kind: &str) -> i64 {
    let sql = format!("SELECT count(*) FROM entries WHERE kind = '{kind}'");
    let count = sqlx::query_scalar(AssertSqlSafe(sql));
    count.fetch_one(database).await.unwrap()
}

/// Lets whoever leads do what `asking` asks, once it is logged kills it, and returns what is answered then.
async fn killed_unheard<T>(
    fleet: &mut Fleet,
    kind: &str,
    asking: impl FnOnce(&Fleet) -> JoinHandle<T>,
) -> T {
    let mut database = PgConnection::connect(&fleet.database_url()).await.unwrap();
    let (leader, before) = (fleet.leader().await, logged(&mut database, kind).await);
    execute(&fleet.database_url(), MUTE).await;
    let answer = asking(fleet);
    let until = Instant::now() + PATIENCE;
    while logged(&mut database, kind).await == before {
        assert!(Instant::now() < until, "no {kind}:\n{}", fleet.log(leader));
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    fleet.kill(leader);
    execute(&fleet.database_url(), SPEAK).await;
    let answer = answer.await.unwrap();
    assert_eq!(logged(&mut database, kind).await, before + 1, "{kind}");
    fleet.restart(leader);
    fleet.ready(leader).await;
    answer
}

/// The same for a command beside process 2.
fn command(fleet: &Fleet, args: &[&str]) -> JoinHandle<Output> {
    let mut command = fleet.command(2, args);
    tokio::task::spawn_blocking(move || command.output().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_was_done_and_not_answered_is_answered_by_the_next() {
    let mut fleet = Fleet::start(&["all", "all", "api"]).await;
    let ledger = Ledger::default();
    for _ in 0..3 {
        ledger.insist(&fleet.client, &fleet.processes[2].url).await;
    }
    let token = fleet.run(2, &["access", "grant", "--role", "operator"]);
    let token = String::from_utf8(token).unwrap().trim().to_owned();

    let seeds: Vec<String> = (0..3).map(|n| agent(n).did().to_string()).collect();
    let seeds = seeds.join(",");
    let set = killed_unheard(&mut fleet, "policy", |fleet| {
        command(fleet, &["policy", "set", "--seeds", &seeds])
    })
    .await;
    assert!(set.status.success(), "{set:?}");

    let (status, told) = killed_unheard(&mut fleet, "epoch", |fleet| {
        ask(fleet, "/v1/epochs", &token, None)
    })
    .await;
    assert_eq!((status, &told["number"]), (201, &1.into()), "{told}");
    let (_, _, shown) = fleet.get(2, "/v1/epochs/1").await;
    let shown: Value = serde_json::from_str(&shown).unwrap();
    for field in [
        "leaf_index",
        "score_root",
        "as_of",
        "log_size",
        "statements",
    ] {
        assert_eq!(told[field], shown[field], "{field}");
    }
    assert!(told["reports"].as_u64().unwrap() >= 3, "{told}");

    let rotate = json!({"use": "status", "action": "rotate"});
    let (status, told) = killed_unheard(&mut fleet, "key", |fleet| {
        ask(fleet, "/v1/keys", &token, Some(rotate))
    })
    .await;
    assert_eq!(status, 201, "{told}");

    let erased = ledger.all()[1].id.clone();
    let path = format!("/v1/reports/{erased}/erasure");
    let reason = json!({"reason": "personal_data"});
    let (status, told) = killed_unheard(&mut fleet, "erasure", |fleet| {
        ask(fleet, &path, &token, Some(reason.clone()))
    })
    .await;
    assert_eq!((status, &told["erased"]), (201, &true.into()), "{told}");
    // Asked for once more, it is no longer there to be erased.
    let (status, told) = ask(&fleet, &path, &token, Some(reason)).await.unwrap();
    assert_ne!(status, 201, "{told}");
    hold(&fleet, 2, &ledger).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_end_of_a_log_that_was_not_answered_is_answered_by_the_next() {
    let mut fleet = Fleet::start(&["all", "all"]).await;
    let ledger = Ledger::default();
    ledger.insist(&fleet.client, &fleet.processes[0].url).await;
    let mut database = PgConnection::connect(&fleet.database_url()).await.unwrap();
    let leader = fleet.leader().await;
    execute(&fleet.database_url(), MUTE).await;
    let mut end = fleet.command(
        1 - leader,
        &["keys", "end-log", "--reason", "retired", "--yes"],
    );
    let ending = tokio::task::spawn_blocking(move || end.output().unwrap());
    let until = Instant::now() + PATIENCE;
    let ended = "SELECT count(*) FROM meta WHERE key = 'log_end'";
    while super::gone::count(&mut database, ended).await == 0 {
        assert!(Instant::now() < until, "it never ends");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    fleet.kill(leader);
    execute(&fleet.database_url(), SPEAK).await;
    let ended = ending.await.unwrap();
    assert!(ended.status.success(), "{ended:?}");
}
