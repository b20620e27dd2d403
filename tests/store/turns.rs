//! PostgreSQL only: whose turn it is to write, and jobs between processes.

use std::time::Duration;

use goodstanding::store::{
    Error, Store as _,
    cluster::{Cluster as _, MOST_JOB, Ticket},
    postgres::{Options, PostgresStore},
};

use crate::{
    fixture::{Log, did, key, part},
    support::postgres::Database,
};

const LONG: Duration = Duration::from_mins(1);
const SHORT: Duration = Duration::from_millis(200);

/// Bytes, more than there are.
const MANY: usize = 1 << 30;

/// Of a job that begins with this byte again and again.
fn ticket(id: u64, byte: u8) -> Ticket {
    Ticket {
        id,
        mark: [byte; 16],
    }
}

/// Two processes' stores on one database.
async fn two(database: &Database) -> (PostgresStore, PostgresStore) {
    let one = database.store().await;
    let other = PostgresStore::connect(&database.url(), Options::default()).await;
    (one, other.unwrap())
}

#[tokio::test]
async fn one_leads_at_a_time_and_turns_are_numbered_and_named() {
    let database = Database::new().await;
    let (one, other) = two(&database).await;
    assert_eq!(one.turn().await.unwrap(), None);
    let first = one.try_lead(LONG).await.unwrap().unwrap();
    assert_eq!(first.term, 1);
    assert_eq!(other.try_lead(LONG).await.unwrap(), None);
    assert!(one.beat(first.term).await.unwrap());
    assert!(!other.beat(first.term).await.unwrap(), "it has no turn");
    one.resign(first.term).await;
    let second = other.try_lead(LONG).await.unwrap().unwrap();
    assert_eq!(second.term, 2);
    assert_ne!(first.name, second.name);
    assert!(!one.beat(first.term).await.unwrap());
    assert_eq!(one.turn().await.unwrap(), Some(second.clone()));
    for turn in [&first, &second] {
        assert!(one.had_turn(&turn.name).await.unwrap());
    }
    assert!(!one.had_turn("another database's").await.unwrap());
    one.close().await;
    other.close().await;
}

#[tokio::test]
async fn writes_of_a_turn_that_is_over_are_refused_whole() {
    let database = Database::new().await;
    let (one, other) = two(&database).await;
    let mut log = Log::default();
    let first = one.try_lead(LONG).await.unwrap().unwrap();
    log.event(&one, 1, "policy").await;
    one.resign(first.term).await;
    // Nobody has taken over yet, and the turn is its own still: the compare-and-swap decides.
    log.event(&one, 2, "policy").await;
    other.try_lead(LONG).await.unwrap().unwrap();
    let late = log.plan(3, Vec::new(), Some("policy"));
    assert!(matches!(one.commit(&late).await, Err(Error::Deposed)));
    assert!(matches!(
        one.set_meta("late", "x").await,
        Err(Error::Deposed)
    ));
    assert!(matches!(
        one.replace_meta("late", "x").await,
        Err(Error::Deposed)
    ));
    assert!(matches!(
        one.answer(&[(1, Vec::new())]).await,
        Err(Error::Deposed)
    ));
    assert_eq!(other.head().await.unwrap(), log.head);
    assert_eq!(other.meta("late").await.unwrap(), None);
    log.event(&other, 4, "policy").await;
    one.close().await;
    other.close().await;
}

#[tokio::test]
async fn what_a_writer_staged_is_the_next_ones_to_remove() {
    let database = Database::new().await;
    let (one, other) = two(&database).await;
    let mut log = Log::default();
    let first = one.try_lead(LONG).await.unwrap().unwrap();
    log.event(&one, 1, "policy").await;
    let (own, others) = (key("one", 0), key("other", 0));
    let row = |n| vec![(did(n), true, format!("{{\"n\":{n}}}"))];
    one.claim_staging(Some(own)).await.unwrap();
    one.stage(own, &part(1, 0, row(1))).await.unwrap();
    one.resign(first.term).await;
    other.try_lead(LONG).await.unwrap().unwrap();
    // Its turn is over: it can neither go on, nor log, nor take away.
    let late = log.plan_epoch(1, own, 1);
    assert!(matches!(one.commit(&late).await, Err(Error::Deposed)));
    for refused in [
        one.stage(own, &part(1, 1, row(2))).await.err(),
        one.claim_staging(Some(own)).await.err(),
        one.claim_staging(None).await.err(),
        one.clear_staging(Some(own)).await.err(),
    ] {
        assert!(matches!(refused, Some(Error::Deposed)), "{refused:?}");
    }
    assert_eq!(other.claim_staging(None).await.unwrap(), 1);
    assert!(other.clear_staging(None).await.unwrap());
    other.claim_staging(Some(others)).await.unwrap();
    other.stage(others, &part(1, 0, row(3))).await.unwrap();
    let commit = log.plan_epoch(1, others, 1);
    log.commit(&other, commit).await;
    for store in [&one, &other] {
        let rows = store.statements(1, 0, 9).await.unwrap();
        assert_eq!(rows.iter().map(|r| r.agent).collect::<Vec<_>>(), [did(3)]);
    }
    one.close().await;
    other.close().await;
}

/// The server was not heard in the middle of a piece: whoever claims next waits until that is over, one way or the other.
#[tokio::test]
async fn who_claims_waits_for_what_is_being_staged() {
    let database = Database::new().await;
    let store = std::sync::Arc::new(database.store().await);
    let (one, other) = (key("one", 0), key("other", 0));
    store.claim_staging(Some(one)).await.unwrap();
    // As a piece begins, by a connection that is not answered.
    let mut silent = database.connection().await;
    let begin = format!(
        "BEGIN; UPDATE staging SET epoch = 1, leaves = 1 WHERE token = '\\x{}'",
        hex(&one.0)
    );
    let begun = sqlx::raw_sql(sqlx::AssertSqlSafe(begin)).execute(&mut silent);
    assert_eq!(begun.await.unwrap().rows_affected(), 1);
    let claiming = tokio::spawn({
        let store = store.clone();
        async move { store.claim_staging(Some(other)).await }
    });
    while !waits_for_a_lock(&database).await {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(!claiming.is_finished());
    sqlx::raw_sql("COMMIT").execute(&mut silent).await.unwrap();
    assert_eq!(
        claiming.await.unwrap().unwrap(),
        1,
        "it came through after all"
    );
    store.close().await;
}

fn hex(bytes: &[u8]) -> String {
    let hex: Vec<_> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    hex.concat()
}

async fn waits_for_a_lock(database: &Database) -> bool {
    let mut connection = database.connection().await;
    let sql = "SELECT EXISTS (SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock')";
    let waits = sqlx::query_scalar(sql).fetch_one(&mut connection).await;
    waits.unwrap()
}

#[tokio::test]
async fn the_lead_of_one_that_is_silent_is_taken_with_all_its_connections() {
    let database = Database::new().await;
    let (one, other) = two(&database).await;
    let turn = one.try_lead(LONG).await.unwrap().unwrap();
    let mut log = Log::default();
    log.event(&one, 1, "policy").await;
    assert_eq!(other.try_lead(LONG).await.unwrap(), None, "not silent yet");
    tokio::time::sleep(SHORT * 2).await;
    assert_eq!(other.try_lead(SHORT).await.unwrap(), None, "ended first");
    let taken = loop {
        if let Some(taken) = other.try_lead(SHORT).await.unwrap() {
            break taken;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    assert_eq!(taken.term, turn.term + 1);
    // Its connection is gone, or it is told that it is over; it never leads on.
    assert!(!one.beat(turn.term).await.unwrap_or(false));
    let late = log.plan(2, Vec::new(), Some("policy"));
    let mut refused = one.commit(&late).await.unwrap_err();
    if matches!(refused, Error::Unavailable(_)) {
        // On the connection that was ended. On a fresh one:
        refused = one.commit(&late).await.unwrap_err();
    }
    assert!(matches!(refused, Error::Deposed), "{refused}");
    assert_eq!(other.head().await.unwrap(), log.head);
    one.close().await;
    other.close().await;
}

#[tokio::test]
async fn a_takeover_waits_for_the_transaction_that_is_under_way() {
    let database = Database::new().await;
    let (one, other) = two(&database).await;
    let turn = one.try_lead(LONG).await.unwrap().unwrap();
    let mut connection = database.connection().await;
    for sql in [
        "BEGIN".to_owned(),
        format!(
            "SELECT 1 FROM sequencer WHERE term = {} FOR KEY SHARE",
            turn.term
        ),
    ] {
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql))
            .execute(&mut connection)
            .await
            .unwrap();
    }
    one.resign(turn.term).await;
    let mut taking = std::pin::pin!(other.try_lead(LONG));
    let early = tokio::time::timeout(SHORT, taking.as_mut()).await;
    assert!(early.is_err(), "the turn changed under a transaction");
    sqlx::raw_sql("COMMIT")
        .execute(&mut connection)
        .await
        .unwrap();
    assert_eq!(taking.await.unwrap().unwrap().term, turn.term + 1);
    one.close().await;
    other.close().await;
}

#[tokio::test]
async fn jobs_are_found_in_their_order_answered_once_and_taken_away() {
    let database = Database::new().await;
    let (leader, sender) = two(&database).await;
    leader.try_lead(LONG).await.unwrap().unwrap();
    let jobs: Vec<Vec<u8>> = (0..5_u8).map(|n| vec![n; 20]).collect();
    let ids = sender.send(&jobs).await.unwrap();
    assert!(ids.windows(2).all(|pair| pair[0] < pair[1]), "{ids:?}");
    let tickets: Vec<Ticket> = (0_u8..).zip(&ids).map(|(n, id)| ticket(*id, n)).collect();
    let waiting = leader.waiting(&[], 3, MANY).await.unwrap();
    let found: Vec<_> = waiting.iter().map(|w| (w.id, w.job.clone())).collect();
    let sent: Vec<_> = ids
        .iter()
        .copied()
        .zip(jobs.into_iter().map(Some))
        .collect();
    assert_eq!(found, sent[..3]);
    let rest = leader.waiting(&ids[..3], 99, MANY).await.unwrap();
    assert_eq!(rest.iter().map(|w| w.id).collect::<Vec<_>>(), ids[3..]);
    // As many as have so many bytes together, the last of them over it; none for nothing.
    for (bytes, count) in [
        (0, 0),
        (1, 1),
        (20, 1),
        (21, 2),
        (60, 3),
        (61, 4),
        (1000, 5),
    ] {
        let some = leader.waiting(&[], 99, bytes).await.unwrap();
        assert_eq!(some.len(), count, "{bytes} bytes");
    }
    assert_eq!(sender.collect(&tickets).await.unwrap(), []);
    leader
        .answer(&[(ids[0], b"yes".to_vec()), (ids[1], b"no".to_vec())])
        .await
        .unwrap();
    assert_eq!(leader.waiting(&[], 99, MANY).await.unwrap().len(), 3);
    // With the number of another's job nothing is had of it.
    let strange: Vec<Ticket> = ids.iter().map(|id| ticket(*id, 99)).collect();
    assert_eq!(sender.collect(&strange).await.unwrap(), []);
    assert!(sender.present(&strange).await.unwrap().is_empty());
    sender.withdraw(&strange).await.unwrap();
    let mut present = sender.present(&tickets).await.unwrap();
    present.sort_unstable();
    assert_eq!(present, ids);
    let mut answers = sender.collect(&tickets).await.unwrap();
    answers.sort_unstable();
    assert_eq!(
        answers,
        [(ids[0], b"yes".to_vec()), (ids[1], b"no".to_vec())]
    );
    assert_eq!(sender.collect(&tickets).await.unwrap(), [], "taken away");
    sender.withdraw(&tickets[2..4]).await.unwrap();
    assert_eq!(sender.present(&tickets).await.unwrap(), ids[4..]);
    // What is worked on stays, however old.
    leader.clean(Duration::ZERO, &ids[4..]).await.unwrap();
    assert_eq!(sender.present(&tickets).await.unwrap(), ids[4..]);
    leader.clean(LONG, &[]).await.unwrap();
    assert_eq!(sender.present(&tickets).await.unwrap(), ids[4..]);
    leader.clean(Duration::ZERO, &[]).await.unwrap();
    assert_eq!(leader.waiting(&[], 99, MANY).await.unwrap(), []);
    assert!(sender.send(&[]).await.unwrap().is_empty());
    leader.close().await;
    sender.close().await;
}

#[tokio::test]
async fn of_a_job_that_is_too_long_only_that_is_read() {
    let database = Database::new().await;
    let (leader, sender) = two(&database).await;
    let jobs = [vec![1; MOST_JOB], vec![2; MOST_JOB + 1], vec![3; 20]];
    let ids = sender.send(&jobs).await.unwrap();
    let waiting = leader.waiting(&[], 99, MANY).await.unwrap();
    let found = waiting.iter().map(|w| (w.id, w.job.as_ref().map(Vec::len)));
    let lengths = [Some(MOST_JOB), None, Some(20)];
    assert!(found.eq(ids.into_iter().zip(lengths)));
    leader.close().await;
    sender.close().await;
}

#[tokio::test]
async fn whether_somebody_leads_is_known_to_the_others() {
    let database = Database::new().await;
    let (leader, other) = two(&database).await;
    assert!(!other.is_led(LONG).await.unwrap());
    let turn = leader.try_lead(LONG).await.unwrap().unwrap();
    assert!(other.is_led(LONG).await.unwrap());
    let silent = Duration::from_millis(1);
    tokio::time::sleep(silent * 20).await;
    assert!(!other.is_led(silent).await.unwrap());
    assert!(leader.beat(turn.term).await.unwrap());
    assert!(other.is_led(LONG).await.unwrap());
    leader.close().await;
    other.close().await;
}

#[tokio::test]
async fn who_waits_is_woken() {
    let database = Database::new().await;
    let (leader, sender) = two(&database).await;
    leader.wait(SHORT).await;
    let woken = std::time::Instant::now();
    // The first wait may end for having begun to listen.
    let waiting = async {
        loop {
            leader.wait(LONG).await;
            if !leader.waiting(&[], 1, MANY).await.unwrap().is_empty() {
                break;
            }
        }
    };
    let sending = async {
        tokio::time::sleep(SHORT).await;
        sender.send(&[b"job".to_vec()]).await.unwrap();
    };
    tokio::join!(waiting, sending);
    assert!(woken.elapsed() < LONG / 2, "woken by the clock only");
    leader.close().await;
    sender.close().await;
}

#[tokio::test]
async fn two_logs_in_two_schemas_are_led_apart() {
    let database = Database::new().await;
    database
        .execute("CREATE SCHEMA one; CREATE SCHEMA two")
        .await;
    let migrate = Options {
        migrate: true,
        ..Options::default()
    };
    let mut stores = Vec::new();
    for schema in ["one", "two"] {
        let url = format!("{}?options[search_path]={schema}", database.url());
        stores.push(PostgresStore::connect(&url, migrate).await.unwrap());
    }
    for (n, store) in (1..).zip(&stores) {
        let turn = store.try_lead(LONG).await.unwrap();
        let turn = turn.expect("the other schema's log has another lead");
        assert!(store.beat(turn.term).await.unwrap());
        Log::default().event(store, n, "policy").await;
        let holder = store.holder().await.unwrap().unwrap();
        assert!(holder.starts_with("pid "), "{holder}");
        assert!(store.silence().await.unwrap().unwrap() < LONG);
    }
    let holders = [stores[0].holder().await, stores[1].holder().await];
    assert_ne!(holders[0].as_ref().unwrap(), holders[1].as_ref().unwrap());
    // In one schema there is one lead, as ever.
    let url = format!("{}?options[search_path]=two", database.url());
    let third = PostgresStore::connect(&url, Options::default()).await;
    let third = third.unwrap();
    assert_eq!(third.try_lead(LONG).await.unwrap(), None);
    for store in stores.iter().chain([&third]) {
        store.close().await;
    }
}
