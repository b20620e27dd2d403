//! What a process did and could not say before it was killed, the next one is asked to do again: it is done once, and answered.

use std::{process::Output, time::Instant};

use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use tokio::task::JoinHandle;

use super::{
    fleet::{Fleet, PATIENCE, copy_keys},
    ledger::{Ledger, hold},
};
use crate::support::{agent, postgres::execute};

const SPEAK: &str = "DROP FUNCTION mute() CASCADE";
const ENDED: &str = "SELECT count(*) FROM meta WHERE key = 'log_end'";

/// As soon as this counts more than so many, nobody can answer jobs that other processes sent.
async fn mute(fleet: &Fleet, count: &str, most: i64) {
    let mute = format!(
        "CREATE FUNCTION mute() RETURNS trigger LANGUAGE plpgsql AS \
         $$ BEGIN IF ({count}) > {most} THEN RAISE EXCEPTION 'muted'; END IF; RETURN new; END $$; \
         CREATE TRIGGER mute BEFORE UPDATE ON inbox FOR EACH ROW EXECUTE FUNCTION mute()"
    );
    execute(&fleet.database_url(), &mute).await;
}

async fn counted(database: &mut PgConnection, count: &str) -> i64 {
    let count = sqlx::query_scalar(AssertSqlSafe(count.to_owned()));
    count.fetch_one(database).await.unwrap()
}

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

/// Lets whoever leads do what `asking` asks, by entries of a kind. Once it is logged kills it, and returns what is answered then.
async fn killed_unheard<T>(
    fleet: &mut Fleet,
    kind: &str,
    asking: impl FnOnce(&Fleet) -> JoinHandle<T>,
) -> T {
    let count = format!("SELECT count(*) FROM entries WHERE kind = '{kind}'");
    unheard(fleet, &count, asking).await
}

/// The same for what a statement counts one more of.
async fn unheard<T>(
    fleet: &mut Fleet,
    count: &str,
    asking: impl FnOnce(&Fleet) -> JoinHandle<T>,
) -> T {
    let mut database = PgConnection::connect(&fleet.database_url()).await.unwrap();
    let (leader, before) = (fleet.leader().await, counted(&mut database, count).await);
    mute(fleet, count, before).await;
    let answer = asking(fleet);
    let until = Instant::now() + PATIENCE;
    while counted(&mut database, count).await == before {
        assert!(Instant::now() < until, "{count}:\n{}", fleet.log(leader));
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    fleet.kill(leader);
    // A batch is logged as a whole: nothing of the job is to come.
    let done = counted(&mut database, count).await;
    execute(&fleet.database_url(), SPEAK).await;
    let answer = answer.await.unwrap();
    assert_eq!(counted(&mut database, count).await, done, "{count}");
    // The process that was asked has the file of a key that was made.
    let asked = if fleet.processes.len() > 2 {
        2
    } else {
        1 - leader
    };
    copy_keys(&fleet.data(asked), &fleet.data(leader), false);
    fleet.restart(leader);
    fleet.ready(leader).await;
    answer
}

/// A command beside process `n`.
fn command(fleet: &Fleet, n: usize, args: &[&str]) -> JoinHandle<Output> {
    let mut command = fleet.command(n, args);
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
    let other = 1 - fleet.leader().await;
    let set = killed_unheard(&mut fleet, "policy", |fleet| {
        command(fleet, other, &["policy", "set", "--seeds", &seeds])
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
    let other = 1 - fleet.leader().await;
    let end = ["keys", "end-log", "--reason", "retired", "--yes"];
    let ended = unheard(&mut fleet, ENDED, |fleet| command(fleet, other, &end)).await;
    assert!(ended.status.success(), "{ended:?}");
    let refused = fleet.try_run(other, &end);
    assert!(!refused.status.success(), "it has ended: {refused:?}");
}
