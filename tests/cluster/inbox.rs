//! The table that jobs go through: who may write to the database cannot ask for anything in a process's name.

use std::time::{Duration, Instant};

use sqlx::{Connection as _, PgConnection};

use super::{
    fleet::{Fleet, PATIENCE},
    gone::{LEFT, count},
    ledger::{Ledger, fresh, hold, post},
};

const UNANSWERED: &str = "SELECT count(*) FROM inbox WHERE answer IS NULL";
const ENTRIES: &str = "SELECT count(*) FROM entries";

async fn until_none(database: &mut PgConnection, sql: &'static str) {
    let until = Instant::now() + PATIENCE;
    while count(database, sql).await > 0 {
        assert!(Instant::now() < until, "{sql}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn jobs_that_no_process_wrote_are_refused() {
    let mut fleet = Fleet::start(&["sequencer", "api"]).await;
    let (ledger, api) = (Ledger::default(), fleet.processes[1].url.clone());
    ledger.insist(&fleet.client, &api).await;
    hold(&fleet, 1, &ledger).await;
    let mut database = PgConnection::connect(&fleet.database_url()).await.unwrap();
    let before = count(&mut database, ENTRIES).await;
    fleet.kill(0);
    let jws = fresh();
    let posting = {
        let (client, api, jws) = (fleet.client.clone(), api.clone(), jws.clone());
        tokio::spawn(async move { post(&client, &api, &jws).await })
    };
    while count(&mut database, LEFT).await == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // What the process sent, with another byte at each of some places; nonsense; something long; what only looks like a job.
    for sql in [
        "INSERT INTO inbox (job) SELECT set_byte(job, at, get_byte(job, at) # 1) FROM inbox, \
           LATERAL generate_series(0, octet_length(job) - 1, 37) AS at",
        "INSERT INTO inbox (job) VALUES (''), ('job'), (decode(repeat('00', 4000), 'hex'))",
        "INSERT INTO inbox (job) VALUES (convert_to(repeat('0123456789', 2000000), 'UTF8'))",
        "INSERT INTO inbox (job) VALUES (convert_to(repeat('x', 48) || \
           '{\"reports\":{\"reports\":[{\"jws\":\"a.b.c\",\"historical_ms\":null}],\"proofs\":true}}', 'UTF8'))",
    ] {
        sqlx::query(sql).execute(&mut database).await.unwrap();
    }
    let forged = count(&mut database, LEFT).await - 1;
    assert!(forged > 10);
    fleet.restart(0);
    // Nothing comes of them, and what is good among them goes through.
    ledger.note(&posting.await.unwrap().unwrap());
    until_none(&mut database, UNANSWERED).await;
    assert_eq!(count(&mut database, LEFT).await, forged);
    assert_eq!(count(&mut database, ENTRIES).await, before + 1);
    let refused = fleet.log(0).matches("refused unread").count();
    assert_eq!(i64::try_from(refused).unwrap(), forged);
    ledger.insist(&fleet.client, &api).await;
    hold(&fleet, 1, &ledger).await;
}

/// Without a process that has the lead, a job waits; the server crashes; the job is sent again and done once, long before its
/// sender gives up.
#[tokio::test]
async fn what_a_crash_of_the_server_took_from_the_inbox_is_sent_again() {
    let mut fleet = Fleet::start(&["sequencer", "api", "api"]).await;
    let ledger = Ledger::default();
    let mut database = PgConnection::connect(&fleet.database_url()).await.unwrap();
    fleet.kill(0);
    let mut posting = tokio::task::JoinSet::new();
    for n in 0..6 {
        let (client, url) = (fleet.client.clone(), fleet.processes[1 + n % 2].url.clone());
        posting.spawn(async move { post(&client, &url, &fresh()).await });
    }
    while count(&mut database, UNANSWERED).await < 6 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // What a crash does to a table that is not logged.
    sqlx::query("TRUNCATE inbox RESTART IDENTITY")
        .execute(&mut database)
        .await
        .unwrap();
    fleet.restart(0);
    while let Some(posted) = posting.join_next().await {
        ledger.note(
            &posted
                .unwrap()
                .expect("an answer, in less time than the client has"),
        );
    }
    assert_eq!(ledger.len(), 6);
    hold(&fleet, 1, &ledger).await;
    until_none(&mut database, LEFT).await;
}
