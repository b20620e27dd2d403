//! Clients that vanish at random microseconds: no transaction stays open, no job stays behind, no receipt is lost.

use std::time::{Duration, Instant};

use sqlx::{Connection as _, PgConnection};
use tokio::io::AsyncWriteExt as _;

use super::{
    fleet::Fleet,
    ledger::{Ledger, fresh, hold, post},
};
use crate::support::Numbers;

/// Requests that are dropped, on each of two connections at a time.
const DROPPED: u32 = 300;
const SENDERS: u64 = 2;

/// How long what was dropped may take to be cleaned up: less than the server itself allows a transaction to idle.
const TIDY: Duration = Duration::from_secs(10);

pub(crate) async fn count(connection: &mut PgConnection, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql).fetch_one(connection).await.unwrap()
}

/// Sessions that hold a transaction open and have not said anything for a while. The statements of one follow each other at once.
const FORGOTTEN: &str = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
    AND state LIKE 'idle in transaction%' AND state_change < clock_timestamp() - interval '5 seconds'";
const OPEN: &str = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
    AND state LIKE 'idle in transaction%'";
const LOGGED: &str = "SELECT count(*) FROM reports";
pub(crate) const LEFT: &str = "SELECT count(*) FROM inbox";

/// Sends a request and goes away, sometimes before it is complete.
async fn drop_one(url: &str, jws: &str, numbers: &mut Numbers) {
    let address = url.strip_prefix("http://").unwrap();
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let request = format!(
        "POST /v1/reports HTTP/1.1\r\nhost: x\r\ncontent-type: application/jwt\r\ncontent-length: {}\r\n\r\n{jws}",
        jws.len()
    );
    let part = match numbers.below(8) {
        0 => usize::try_from(numbers.below(request.len() as u64)).unwrap(),
        _ => request.len(),
    };
    stream.write_all(&request.as_bytes()[..part]).await.unwrap();
    tokio::time::sleep(Duration::from_micros(numbers.below(12_000))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_that_are_dropped_leave_nothing_behind() {
    let fleet = Fleet::start(&["all", "all", "api"]).await;
    let ledger = Ledger::default();
    let mut watching = PgConnection::connect(&fleet.database_url()).await.unwrap();
    let mut senders = tokio::task::JoinSet::new();
    for seed in 0..SENDERS {
        let (client, ledger) = (fleet.client.clone(), ledger.clone());
        let urls: Vec<_> = fleet.processes.iter().map(|p| p.url.clone()).collect();
        senders.spawn(async move {
            let (mut numbers, mut sent) = (Numbers::new(59 + seed), Vec::new());
            for n in 0..DROPPED {
                let url = &urls[usize::try_from(numbers.below(3)).unwrap()];
                let jws = fresh();
                if n % 4 == 0 {
                    ledger.note(&post(&client, url, &jws).await.unwrap());
                } else {
                    drop_one(url, &jws, &mut numbers).await;
                    sent.push(jws);
                }
            }
            sent
        });
    }
    let mut sent = Vec::new();
    loop {
        tokio::select! {
            done = senders.join_next() => match done {
                Some(done) => sent.extend(done.unwrap()),
                None => break,
            },
            () = tokio::time::sleep(Duration::from_millis(200)) => {
                assert_eq!(count(&mut watching, FORGOTTEN).await, 0, "a transaction was left open");
            }
        }
    }
    let until = Instant::now() + TIDY;
    loop {
        let (open, left) = (
            count(&mut watching, OPEN).await,
            count(&mut watching, LEFT).await,
        );
        if (open, left) == (0, 0) {
            break;
        }
        assert!(
            Instant::now() < until,
            "{open} transactions and {left} jobs were left behind"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // What was dropped can be sent again, anywhere, and is then there once.
    let there = count(&mut watching, LOGGED).await;
    let there = usize::try_from(there).unwrap() - ledger.len();
    for (n, jws) in sent.iter().enumerate() {
        let again = post(&fleet.client, &fleet.processes[n % 3].url, jws).await;
        ledger.note(&again.unwrap());
    }
    for n in 0..3 {
        hold(&fleet, n, &ledger).await;
    }
    let logged = count(&mut watching, LOGGED).await;
    assert_eq!(usize::try_from(logged).unwrap(), ledger.len());
    assert_eq!(count(&mut watching, LEFT).await, 0);
    println!(
        "{} requests were dropped ({there} of them logged all the same), {} acknowledged; no transaction open, no job left",
        sent.len(),
        ledger.len()
    );
}
