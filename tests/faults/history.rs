//! A data directory in which everything happened that a database can hold, and ways to damage a copy of it.

use std::path::Path;

use goodstanding::{epoch, log::sequencer::Event, token};
use goodstanding_score::policy::Policy;
use goodstanding_verify::entry::Body;
use serde_json::{Value, json};
use sqlx::{Connection as _, SqliteConnection, sqlite::SqliteConnectOptions};

use crate::support::{Service, T0, agent, payload, report, sign};

/// The marketplace whose attestations count.
const MARKETPLACE: u32 = 90;

/// An attestation of the trade that `report` is about.
fn attestation(report: &Value) -> String {
    let trade = &report["trade"];
    let document = json!({
        "iss": agent(MARKETPLACE).did().to_string(), "trade_id": trade["id"], "market": trade["market"],
        "buyer": report["iss"], "seller": report["sub"], "amount": trade["amount"], "currency": trade["currency"],
        "outcome": report["outcome"]["status"], "iat": report["iat"],
    });
    agent(MARKETPLACE)
        .sign_agent("trade-attestation+jwt", &document)
        .unwrap()
}

/// Logs a policy with these trust roots and the marketplace as attestor.
async fn set_policy(service: &Service, version: u64, seeds: &[u32]) {
    let mut policy = Policy::preset("agent-market").unwrap();
    policy.seeds = seeds.iter().map(|n| agent(*n).did()).collect();
    policy.seeds.sort();
    if version > 2 {
        policy.attestors = vec![agent(MARKETPLACE).did()];
    }
    let body = Body::Policy {
        version,
        policy: policy.to_value(),
    };
    let event = Event {
        body,
        at_ms: None,
        epoch: None,
    };
    service.app.log.log(event).await.unwrap();
}

/// More than two tiles of reports, matched and alone ones, chains of three on one trade, attestations before and after
/// the policy lets them count, two further policies, two epochs, tokens, many checkpoints.
pub(crate) async fn busy_service() -> Service {
    let service = Service::start(T0).await;
    set_policy(&service, 2, &[1, 2]).await;
    let mut lines = Vec::new();
    for n in 0..560_u32 {
        let (buyer, seller) = (agent(1 + n % 11), agent(12 + n % 7));
        lines.push(report(&buyer, &seller, &format!("t-{n}"), T0 - 600));
    }
    accepted(&service, &lines[..300]).await;
    service.app.log.publish().await.unwrap();
    accepted(&service, &lines[300..]).await;
    // The other side of some trades, and two of its minds changed.
    for n in 0..3_u32 {
        let (seller, buyer) = (agent(12 + n % 7), agent(1 + n % 11));
        let mut first = payload(&seller, &buyer, &format!("t-{n}"), T0 - 600);
        first["trade"]["role"] = "seller".into();
        let mut last = submit(&service, &sign(&seller, &first)).await;
        for round in 0..2 {
            let mut next = first.clone();
            next["jti"] = format!("again-{n}-{round}").into();
            next["supersedes"] = last.into();
            last = submit(&service, &sign(&seller, &next)).await;
        }
    }
    attest(&service, "before").await;
    service.clock.set_ms((T0 + 1) * 1000);
    epoch::run(&service.app, None).await.unwrap();
    service.app.log.publish().await.unwrap();
    set_policy(&service, 3, &[1, 2, 3]).await;
    attest(&service, "after").await;
    // The same document again, in a report that supersedes.
    service.clock.set_ms((T0 + 2) * 1000);
    epoch::run(&service.app, None).await.unwrap();
    service.app.log.publish().await.unwrap();
    for n in 12..15 {
        token::issue::issue(&service.app, &agent(n).did())
            .await
            .unwrap();
    }
    // Beyond the newest published checkpoint and the newest epoch.
    submit(&service, &report(&agent(1), &agent(12), "last", T0)).await;
    service
}

async fn accepted(service: &Service, lines: &[String]) {
    for answer in service.submit_lines(lines).await {
        assert!(answer["report_id"].is_string(), "{answer}");
    }
}

async fn submit(service: &Service, jws: &str) -> String {
    let (status, answer) = service.submit(jws).await;
    assert_eq!(status, 201, "{answer}");
    answer["report_id"].as_str().unwrap().to_owned()
}

/// A report with an attestation, and one that supersedes it with the same attestation.
async fn attest(service: &Service, name: &str) {
    let (buyer, seller) = (agent(3), agent(13));
    let mut first = payload(&buyer, &seller, name, T0 - 600);
    first["evidence"] = json!([{"type": "market", "document": attestation(&first)}]);
    let id = submit(service, &sign(&buyer, &first)).await;
    let mut second = first.clone();
    second["jti"] = format!("second-{name}").into();
    second["supersedes"] = id.into();
    submit(service, &sign(&buyer, &second)).await;
}

/// Runs statements on a directory's database as an intruder would: no foreign keys, no questions.
pub(crate) async fn damage(data: &Path, statements: &[&str]) {
    let options = SqliteConnectOptions::new()
        .filename(data.join("goodstanding.sqlite"))
        .foreign_keys(false);
    let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
    for sql in statements {
        sqlx::query(sqlx::AssertSqlSafe((*sql).to_owned()))
            .execute(&mut connection)
            .await
            .unwrap_or_else(|e| panic!("{sql}: {e}"));
    }
    connection.close().await.unwrap();
}

/// One number out of a directory's database.
pub(crate) async fn number(data: &Path, sql: &str) -> i64 {
    let options = SqliteConnectOptions::new().filename(data.join("goodstanding.sqlite"));
    let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
    let n = sqlx::query_scalar(sqlx::AssertSqlSafe(sql.to_owned()))
        .fetch_one(&mut connection)
        .await
        .unwrap_or_else(|e| panic!("{sql}: {e}"));
    connection.close().await.unwrap();
    n
}

/// Copies a directory.
pub(crate) fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}
