//! Epochs where several processes share a log: the one that writes computes them, whoever is asked.

use std::{
    fs,
    time::{Duration, Instant},
};

use goodstanding_verify::did::Did;
use serde_json::Value;
use sqlx::{Connection as _, PgConnection};

use super::{
    fleet::{Fleet, PATIENCE},
    gone::{LEFT, count},
    ledger::{Ledger, hold},
};
use crate::support::{Numbers, agent, postgres::execute};

const ROUNDS: u64 = 10;
/// A report is one of some 1000 bytes; statements of 60 agents are many times this.
const LONGEST_JOB: i64 = 4096;
const EPOCHS: &str = "SELECT count(*) FROM epochs";
const WITHOUT: &str = "SELECT count(*) FROM epochs p FULL JOIN (SELECT idx FROM entries WHERE kind = 'epoch') e ON e.idx = p.idx \
    WHERE p.idx IS NULL OR e.idx IS NULL";
const STRAY: &str = "SELECT count(*) FROM statements s WHERE NOT EXISTS (SELECT 1 FROM epochs e WHERE e.number = s.epoch)";

/// With reports by many agents, and trust roots among them.
async fn traded(roles: &[&'static str]) -> (Fleet, Ledger) {
    let fleet = Fleet::start(roles).await;
    let ledger = Ledger::default();
    for n in 0..30 {
        let url = &fleet.processes[n % roles.len()].url;
        ledger.insist(&fleet.client, url).await;
    }
    let seeds: Vec<Did> = (0..40).map(|n| agent(n).did()).collect();
    let seeds: Vec<String> = seeds.iter().map(ToString::to_string).collect();
    fleet.run(0, &["policy", "set", "--seeds", &seeds.join(",")]);
    (fleet, ledger)
}

fn token(fleet: &Fleet, n: usize) -> String {
    let token = fleet.run(n, &["access", "grant", "--role", "operator"]);
    String::from_utf8(token).unwrap().trim().to_owned()
}

async fn ask(fleet: &Fleet, n: usize, token: &str) -> Result<(u16, Value), reqwest::Error> {
    let url = format!("{}/v1/epochs", fleet.processes[n].url);
    let asked = fleet.client.post(url).bearer_auth(token).send().await?;
    let status = asked.status().as_u16();
    Ok((status, asked.json().await?))
}

#[tokio::test]
async fn an_epoch_can_be_asked_of_any_process_and_does_not_travel() {
    let (mut fleet, ledger) = traded(&["all", "api"]).await;
    let sizes = "CREATE TABLE sizes (bytes INTEGER); CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS \
        $$ BEGIN INSERT INTO sizes VALUES (octet_length(new.job)); RETURN NULL; END $$; \
        CREATE TRIGGER note AFTER INSERT ON inbox FOR EACH ROW EXECUTE FUNCTION note()";
    execute(&fleet.database_url(), sizes).await;
    let token = token(&fleet, 1);
    let (status, told) = ask(&fleet, 1, &token).await.unwrap();
    assert_eq!((status, &told["number"]), (201, &1.into()), "{told}");
    let statements = told["statements"].as_u64().unwrap();
    assert!(
        statements >= 30 && told["reports"].as_u64().unwrap() >= 30,
        "{told}"
    );
    for n in 0..2 {
        let (status, _, shown) = fleet.get(n, "/v1/epochs/1").await;
        let shown: Value = serde_json::from_str(&shown).unwrap();
        assert_eq!(status, 200);
        assert_eq!(shown["score_root"], told["score_root"]);
        assert_eq!(shown["leaf_index"], told["leaf_index"]);
    }
    // What is wrong with a question is the asker's to know.
    let far = format!("{}/v1/epochs?as_of=99999999999", fleet.processes[1].url);
    let refused = fleet
        .client
        .post(far)
        .bearer_auth(&token)
        .send()
        .await
        .unwrap();
    assert_eq!(refused.status().as_u16(), 422);
    let refused: Value = refused.json().await.unwrap();
    assert_eq!(refused["code"], "epoch.as_of_in_future", "{refused}");
    // By a command beside the service.
    let told: Value = serde_json::from_slice(&fleet.run(0, &["epoch", "--json"])).unwrap();
    assert_eq!(
        (&told["number"], &told["statements"]),
        (&2.into(), &statements.into())
    );
    let mut database = PgConnection::connect(&fleet.database_url()).await.unwrap();
    let jobs = count(&mut database, "SELECT count(*) FROM sizes").await;
    assert!(jobs >= 3, "two epochs and a refused one: {jobs}");
    let longest = count(&mut database, "SELECT max(bytes)::int8 FROM sizes").await;
    assert!(longest < LONGEST_JOB, "{longest}");

    // On a schedule, by the one that writes, when there is something new.
    for n in 0..2 {
        fs::write(
            fleet.data(n).join("settings.toml"),
            "epoch_interval_s = 1\n",
        )
        .unwrap();
        fleet.kill(n);
        fleet.restart(n);
        fleet.ready(n).await;
    }
    ledger.insist(&fleet.client, &fleet.processes[1].url).await;
    let until = Instant::now() + PATIENCE;
    while count(&mut database, EPOCHS).await < 3 {
        assert!(Instant::now() < until, "no epoch comes:\n{}", fleet.log(0));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    hold(&fleet, 1, &ledger).await;
    assert_eq!(count(&mut database, LEFT).await, 0);
}

#[tokio::test]
async fn a_crash_in_the_middle_leaves_no_half_epoch() {
    let (mut fleet, ledger) = traded(&["all", "all", "api"]).await;
    let token = token(&fleet, 2);
    let mut database = PgConnection::connect(&fleet.database_url()).await.unwrap();
    let (mut numbers, mut logged) = (Numbers::new(83), 0);
    for _ in 0..ROUNDS {
        let leader = fleet.leader().await;
        let wait = Duration::from_millis(numbers.below(80));
        let asking = ask(&fleet, 2, &token);
        let killing = tokio::time::sleep(wait);
        let (asked, ()) = tokio::join!(asking, async {
            killing.await;
            fleet.processes[leader].signal(rustix::process::Signal::KILL);
        });
        // Of an epoch that was asked for there is one, or the answer says that this is not known.
        match asked {
            Ok((201, _)) => logged += 1,
            Ok((status, told)) => assert_eq!(status, 503, "{told}"),
            Err(error) => assert!(error.is_timeout(), "{error}"),
        }
        fleet.kill(leader);
        fleet.restart(leader);
        fleet.ready(leader).await;
        ledger.insist(&fleet.client, &fleet.processes[2].url).await;
    }
    let (status, told) = ask(&fleet, 2, &token).await.unwrap();
    assert_eq!(status, 201, "{told}");
    let epochs = count(&mut database, EPOCHS).await;
    assert!(
        epochs > logged && told["number"] == epochs,
        "{epochs} epochs: {told}"
    );
    assert_eq!(count(&mut database, WITHOUT).await, 0);
    assert_eq!(count(&mut database, STRAY).await, 0);
    let until = Instant::now() + PATIENCE;
    while count(&mut database, LEFT).await > 0 {
        assert!(Instant::now() < until, "jobs are left");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    hold(&fleet, 2, &ledger).await;
    // Every statement and tile of every epoch is looked at.
    for n in 0..3 {
        fleet.kill(n);
    }
    fleet.run(0, &["fsck"]);
    println!(
        "{ROUNDS} crashes in the middle of an epoch, {logged} acknowledged, {epochs} whole ones"
    );
}

#[tokio::test]
async fn what_one_process_erased_no_other_explains() {
    let (fleet, ledger) = traded(&["all", "all", "api"]).await;
    fleet.run(0, &["epoch"]);
    let erased = ledger.all()[0].id.clone();
    let about = format!("/v1/agents/{}/explanation", agent(50).did());
    for n in 0..3 {
        let (status, _, told) = fleet.get(n, &about).await;
        assert_eq!(status, 200, "{told}");
    }
    let erase = ["erase", &erased, "--reason", "personal_data", "--yes"];
    fleet.run(1, &erase);
    for n in 0..3 {
        let (_, _, told) = fleet.get(n, &about).await;
        assert!(told.contains("epoch.not_recomputable"), "{n}: {told}");
    }
    fleet.run(1, &["epoch"]);
    for n in 0..3 {
        let (status, _, told) = fleet.get(n, &about).await;
        assert!(status == 200 && !told.contains(&erased), "{n}: {told}");
    }
}
