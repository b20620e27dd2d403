//! The head, and published checkpoints.

use std::sync::Arc;

use goodstanding::store::{Error, Published, ReportFilter, Store};
use goodstanding_verify::report::ReportId;
use tokio::sync::Barrier;

use crate::fixture::{Log, did, hash, report};

pub(crate) async fn an_empty_store_has_nothing(store: Arc<dyn Store>) {
    let id = ReportId([0; 32]);
    assert_eq!(store.head().await.unwrap(), None);
    assert_eq!(store.published().await.unwrap(), None);
    assert_eq!(store.published_of(0).await.unwrap(), None);
    assert_eq!(store.checkpoints(0, 9).await.unwrap(), []);
    assert!(store.entries(0, 9).await.unwrap().is_empty());
    assert!(store.events("policy", 9).await.unwrap().is_empty());
    assert_eq!(store.bodies(0, 9, 9).await.unwrap(), []);
    assert_eq!(store.log_bodies(0, 9, 9).await.unwrap(), []);
    assert_eq!(store.erased(&id).await.unwrap(), None);
    assert_eq!(store.erased_since(0).await.unwrap(), 0);
    assert_eq!(store.report(&id).await.unwrap(), None);
    let all = ReportFilter {
        limit: 9,
        ..ReportFilter::default()
    };
    assert_eq!(store.reports(&all).await.unwrap(), []);
    assert_eq!(store.newest_report().await.unwrap(), None);
    assert_eq!(store.index_at(0).await.unwrap(), 0);
    assert!(store.admission_facts(&[]).await.unwrap().is_empty());
    assert!(store.known_documents(&[]).await.unwrap().is_empty());
    assert_eq!(store.epoch(None).await.unwrap(), None);
    assert_eq!(store.epochs(9, 9).await.unwrap(), []);
    assert!(store.reached().await.unwrap().is_empty());
    assert_eq!(store.statements_of(&did(1), 9, 9).await.unwrap(), []);
    assert!(store.aliases().await.unwrap().is_empty());
    assert_eq!(store.agent_of_alias("nobody").await.unwrap(), None);
    assert_eq!(store.status_list(0).await.unwrap(), (0, Vec::new()));
    assert_eq!(store.newest_status_list().await.unwrap(), None);
    assert_eq!(store.meta("issuer").await.unwrap(), None);
}

pub(crate) async fn a_commit_moves_the_head(store: Arc<dyn Store>) {
    let mut log = Log::default();
    for at_ms in 1..=3 {
        log.event(&*store, at_ms, "policy").await;
        assert_eq!(store.head().await.unwrap(), log.head);
    }
    assert_eq!(log.size(), 3);
}

pub(crate) async fn a_head_is_confirmed_as_long_as_it_is_the_head(store: Arc<dyn Store>) {
    let mut log = Log::default();
    log.event(&*store, 1, "policy").await;
    let first = log.head.clone().unwrap();
    store.confirm(&first).await.unwrap();
    assert_eq!(store.head().await.unwrap(), log.head, "as it was");
    let mut other = first.clone();
    other.root = hash("another root");
    log.event(&*store, 2, "policy").await;
    for wrong in [first, other] {
        let error = store.confirm(&wrong).await.unwrap_err();
        assert!(matches!(error, Error::HeadMoved), "{error}");
    }
    store.confirm(log.head.as_ref().unwrap()).await.unwrap();
    assert_eq!(store.head().await.unwrap(), log.head);
}

pub(crate) async fn a_commit_on_another_size_is_refused(store: Arc<dyn Store>) {
    let mut log = Log::default();
    log.event(&*store, 1, "policy").await;
    let mut commit = log.plan(2, Vec::new(), Some("policy"));
    let root = log.head.as_ref().unwrap().root;
    commit.expected = Some((2, root));
    let error = store.commit(&commit).await.unwrap_err();
    assert!(matches!(error, Error::HeadMoved), "{error}");
    assert_eq!(store.head().await.unwrap(), log.head);
}

pub(crate) async fn a_commit_on_another_root_is_refused(store: Arc<dyn Store>) {
    let mut log = Log::default();
    log.event(&*store, 1, "policy").await;
    let mut commit = log.plan(2, Vec::new(), Some("policy"));
    commit.expected = Some((1, hash("another")));
    let error = store.commit(&commit).await.unwrap_err();
    assert!(matches!(error, Error::HeadMoved), "{error}");
}

pub(crate) async fn a_second_first_commit_is_refused(store: Arc<dyn Store>) {
    let first = Log::default().plan(1, Vec::new(), Some("policy"));
    store.commit(&first).await.unwrap();
    let error = store.commit(&first).await.unwrap_err();
    assert!(matches!(error, Error::HeadMoved), "{error}");
    assert_eq!(store.head().await.unwrap(), Some(first.head));
}

pub(crate) async fn a_commit_on_no_head_is_refused_before_there_is_one(store: Arc<dyn Store>) {
    let mut commit = Log::default().plan(1, Vec::new(), Some("policy"));
    commit.expected = Some((0, hash("empty")));
    let error = store.commit(&commit).await.unwrap_err();
    assert!(matches!(error, Error::HeadMoved), "{error}");
    assert_eq!(store.head().await.unwrap(), None);
}

pub(crate) async fn a_refused_commit_leaves_nothing(store: Arc<dyn Store>) {
    let mut log = Log::default();
    log.event(&*store, 1, "policy").await;
    let mut commit = log.plan(2, vec![report(1, 2, "t")], Some("epoch"));
    commit.expected = None;
    assert!(store.commit(&commit).await.is_err());
    assert_eq!(store.entries(0, 9).await.unwrap().len(), 1);
    assert_eq!(store.report(&commit.reports[0].id).await.unwrap(), None);
    // And it goes through where it belongs.
    commit.expected = log.head.as_ref().map(|head| (head.size, head.root));
    store.commit(&commit).await.unwrap();
    assert_eq!(store.entries(0, 9).await.unwrap().len(), 3);
}

/// Commits these at the same time and gives the one that went through.
async fn race(store: &Arc<dyn Store>, log: &Log) -> u64 {
    const WRITERS: u64 = 8;
    let barrier = Arc::new(Barrier::new(usize::try_from(WRITERS).unwrap()));
    let mut racing = tokio::task::JoinSet::new();
    for n in 0..WRITERS {
        let (store, barrier) = (store.clone(), barrier.clone());
        let trade = format!("{} {n}", log.size());
        let commit = log.plan(n, vec![report(1, 2, &trade)], None);
        racing.spawn(async move {
            barrier.wait().await;
            (n, store.commit(&commit).await)
        });
    }
    let mut won = Vec::new();
    for (n, done) in racing.join_all().await {
        match done {
            Ok(()) => won.push(n),
            Err(error) => assert!(matches!(error, Error::HeadMoved), "{error}"),
        }
    }
    assert_eq!(won.len(), 1, "{won:?}");
    won[0]
}

pub(crate) async fn of_writers_on_one_head_one_wins(store: Arc<dyn Store>) {
    let mut log = Log::default();
    log.event(&*store, 1, "policy").await;
    for round in 0..4 {
        let won = race(&store, &log).await;
        log.head = store.head().await.unwrap();
        assert_eq!(log.size(), round + 2);
        assert_eq!(log.head.as_ref().unwrap().at_ms, won);
    }
    assert_eq!(store.bodies(0, 99, 99).await.unwrap().len(), 4);
}

pub(crate) async fn of_first_commits_one_wins(store: Arc<dyn Store>) {
    race(&store, &Log::default()).await;
    assert_eq!(store.head().await.unwrap().unwrap().size, 1);
    assert_eq!(store.bodies(0, 99, 99).await.unwrap().len(), 1);
}

fn published(size: u64) -> Published {
    Published {
        size,
        published_ms: 10 * size,
        note: format!("checkpoint\n{size}\n— é\n"),
    }
}

async fn publish(store: &dyn Store, sizes: &[u64]) {
    for size in sizes {
        store.publish(&published(*size)).await.unwrap();
    }
}

pub(crate) async fn published_checkpoints_ascend(store: Arc<dyn Store>) {
    publish(&*store, &[3, 9, 1, 7]).await;
    let all = [1, 3, 7, 9].map(published);
    assert_eq!(store.checkpoints(0, 9).await.unwrap(), all);
    assert_eq!(store.checkpoints(3, 2).await.unwrap(), all[1..3]);
    assert_eq!(store.checkpoints(4, 9).await.unwrap(), all[2..]);
    assert_eq!(store.checkpoints(10, 9).await.unwrap(), []);
}

pub(crate) async fn newest_checkpoints_descend(store: Arc<dyn Store>) {
    publish(&*store, &[3, 9, 1, 7]).await;
    let all = [9, 7, 3, 1].map(published);
    assert_eq!(store.newest_checkpoints(100, 9).await.unwrap(), all);
    assert_eq!(store.newest_checkpoints(9, 2).await.unwrap(), all[1..3]);
    assert_eq!(store.newest_checkpoints(1, 9).await.unwrap(), []);
}

pub(crate) async fn the_newest_or_one_size_is_published(store: Arc<dyn Store>) {
    publish(&*store, &[3, 9, 7]).await;
    assert_eq!(store.published().await.unwrap(), Some(published(9)));
    assert_eq!(store.published_of(7).await.unwrap(), Some(published(7)));
    assert_eq!(store.published_of(8).await.unwrap(), None);
}

pub(crate) async fn publishing_again_keeps_the_time_and_takes_the_note(store: Arc<dyn Store>) {
    publish(&*store, &[3]).await;
    let again = Published {
        published_ms: 999,
        note: "with more cosignatures".to_owned(),
        ..published(3)
    };
    store.publish(&again).await.unwrap();
    let kept = Published {
        published_ms: 30,
        ..again
    };
    assert_eq!(store.checkpoints(0, 9).await.unwrap(), [kept]);
}
