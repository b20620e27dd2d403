//! The database is put back to an older state under a running process.

use sqlx::{Connection as _, PgConnection};

use super::{
    fleet::Fleet,
    ledger::{Ledger, fresh, hold, post},
    states::{keep, put_back},
};

/// Whatever process `n` is asked, it has nothing to say.
async fn passes_nothing_on(fleet: &Fleet, n: usize, told: &Ledger) {
    let id = &told.all()[0].id;
    for path in [
        "/checkpoint",
        "/tile/entries/000.p/1",
        "/tile/0/000.p/1",
        "/v1/log/consistency?from=1",
        "/v1/log/inclusion?index=0",
        "/v1/log/checkpoints",
        &format!("/v1/reports/{id}/receipt"),
        "/v1/trust-bundle",
        "/v1/keys",
    ] {
        let (status, wait, body) = fleet.get(n, path).await;
        assert!(status == 503 && wait, "{path}: {status} {body}");
        assert!(body.contains("log.contradicted"), "{path}: {body}");
    }
    let refused = post(&fleet.client, &fleet.processes[n].url, &fresh()).await;
    assert!(
        refused
            .as_ref()
            .is_err_and(|e| e.contains("log.contradicted")),
        "{refused:?}"
    );
    let (status, _, ready) = fleet.get(n, "/readyz").await;
    assert!(
        status == 503 && ready.contains("log.contradicted"),
        "{ready}"
    );
    let (_, _, metrics) = fleet.get(n, "/metrics").await;
    assert!(metrics.contains("goodstanding_log_contradicted 1"));
    assert_eq!(fleet.get(n, "/livez").await.0, 200);
}

#[tokio::test]
async fn a_process_that_sees_the_log_taken_back_passes_nothing_on() {
    let mut fleet = Fleet::start(&["all", "api"]).await;
    let mut database = PgConnection::connect(&fleet.database_url()).await.unwrap();
    let (told, api) = (Ledger::default(), fleet.processes[1].url.clone());
    for _ in 0..3 {
        told.insist(&fleet.client, &api).await;
    }
    hold(&fleet, 1, &told).await;
    fleet.kill(0);
    keep(&fleet.database_url(), "early").await;
    fleet.restart(0);
    fleet.ready(0).await;
    for _ in 0..3 {
        told.insist(&fleet.client, &api).await;
    }
    hold(&fleet, 1, &told).await;
    let newest = fleet.data(0).join("newest");
    std::fs::write(&newest, fleet.get(1, "/checkpoint").await.2).unwrap();
    fleet.kill(0);
    keep(&fleet.database_url(), "late").await;

    put_back(&mut database, "early").await;
    let is_refused = |state: &serde_json::Value| state["refuses"]["code"] == "log.contradicted";
    fleet.until(1, "it still believes", is_refused).await;
    passes_nothing_on(&fleet, 1, &told).await;
    // The process that wrote the log does not go on from there.
    fleet.restart(0);
    fleet.ended(0).await;
    assert!(fleet.log(0).contains("data.other_copy"), "{}", fleet.log(0));
    // Nor does one that has seen nothing, as long as somebody says what was published.
    let stranger = fleet.add_directory("all");
    fleet.begin(stranger);
    fleet.ended(stranger).await;
    let said = fleet.log(stranger);
    assert!(said.contains("data.guard_missing"), "{said}");
    let held = fleet.try_run(stranger, &["restore", "--newest", newest.to_str().unwrap()]);
    let said = String::from_utf8(held.stderr).unwrap();
    assert!(said.contains("log.behind_guard"), "{said}");
    // By the word of an operator who is wrong it does, until its log is the longer one; nobody who has seen more follows it.
    fleet.run(stranger, &["restore", "--nothing-newer"]);
    let other = Ledger::default();
    fleet.restart(stranger);
    fleet.ready(stranger).await;
    for _ in 0..8 {
        let url = &fleet.processes[stranger].url;
        other.insist(&fleet.client, url).await;
    }
    hold(&fleet, stranger, &other).await;
    // Nor does one follow that has seen more and only its guard to say so.
    std::fs::remove_file(fleet.data(0).join("log.turn")).unwrap();
    fleet.restart(0);
    fleet.ended(0).await;
    assert!(
        fleet.log(0).contains("[log.behind_guard]"),
        "{}",
        fleet.log(0)
    );
    assert!(!fleet.data(0).join("log.turn").exists());
    assert!(is_refused(&fleet.state(1).await.unwrap()));
    passes_nothing_on(&fleet, 1, &told).await;
    fleet.kill(stranger);

    // Put right, it is served again, and goes on.
    put_back(&mut database, "late").await;
    fleet.ready(1).await;
    fleet.restart(0);
    fleet.ready(0).await;
    told.insist(&fleet.client, &api).await;
    for n in 0..2 {
        hold(&fleet, n, &told).await;
    }
}
