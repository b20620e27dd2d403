//! Nobody leads: every process says so, whether or not it would write itself, and who is in the way.

use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

use super::{fleet::Fleet, ledger::Ledger};

/// As the service makes the number of its lock: in this schema, for this log.
const TAKE: &str =
    "SELECT pg_try_advisory_lock(1735356260::int8 << 32 | 'sequencer'::regclass::oid::int8)";

fn is_unled(state: &Value) -> bool {
    state["unled"]["code"] == "log.unled"
}

async fn told(fleet: &Fleet, n: usize) {
    let (status, wait, ready) = fleet.get(n, "/readyz").await;
    let ready: Value = serde_json::from_str(&ready).unwrap();
    assert_eq!((status, wait), (503, true), "{ready}");
    assert_eq!(ready["status"], "not ready");
    assert_eq!(ready["checks"]["writer"], false);
    assert_eq!(ready["checks"]["database"], true);
    assert!(ready["leader_heard_s"].as_u64().unwrap() >= 9, "{ready}");
}

#[tokio::test]
async fn without_anybody_who_leads_no_process_is_ready() {
    let mut fleet = Fleet::start(&["sequencer", "api", "api"]).await;
    let ledger = Ledger::default();
    ledger.insist(&fleet.client, &fleet.processes[1].url).await;
    let state = fleet.state(1).await.unwrap();
    assert!(state["unled"].is_null(), "{state}");
    fleet.kill(0);
    for n in 1..3 {
        fleet.until(n, "nobody leads", is_unled).await;
        told(&fleet, n).await;
    }
    let (_, _, metrics) = fleet.get(1, "/metrics").await;
    let age = metrics
        .lines()
        .find_map(|line| line.strip_prefix("goodstanding_leader_heard_age_seconds "))
        .unwrap();
    assert!(age.parse::<f64>().unwrap() > 9.0, "{age}");
    fleet.restart(0);
    for n in 0..3 {
        fleet.ready(n).await;
    }
    ledger.insist(&fleet.client, &fleet.processes[1].url).await;
}

#[tokio::test]
async fn a_stranger_with_the_lock_is_named() {
    let mut fleet = Fleet::start(&["all", "api"]).await;
    let ledger = Ledger::default();
    ledger.insist(&fleet.client, &fleet.processes[1].url).await;
    fleet.kill(0);
    let mut stranger = PgConnection::connect(&fleet.database_url()).await.unwrap();
    sqlx::query("SET application_name = 'a stranger'")
        .execute(&mut stranger)
        .await
        .unwrap();
    let mut taken = false;
    while !taken {
        taken = sqlx::query_scalar(AssertSqlSafe(TAKE))
            .fetch_one(&mut stranger)
            .await
            .unwrap();
    }
    fleet.restart(0);
    let pid: i32 = sqlx::query_scalar("SELECT pg_backend_pid()")
        .fetch_one(&mut stranger)
        .await
        .unwrap();
    let mut named = false;
    while !named {
        // Busy, so that it is not taken for one that hangs.
        sqlx::query("SELECT 1")
            .execute(&mut stranger)
            .await
            .unwrap();
        let state = fleet.state(1).await;
        named = state.as_ref().is_some_and(|state| {
            let detail = state["unled"]["detail"].as_str().unwrap_or_default();
            detail.contains("a stranger") && detail.contains(&pid.to_string())
        });
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert!(
        fleet.log(1).contains("somebody has the lock"),
        "{}",
        fleet.log(1)
    );
    stranger.close().await.unwrap();
    fleet.ready(0).await;
    fleet.ready(1).await;
    ledger.insist(&fleet.client, &fleet.processes[1].url).await;
}
