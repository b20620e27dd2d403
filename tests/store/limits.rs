//! Numbers at the edge, limits, and the end of a store.

use std::sync::Arc;

use goodstanding::{
    log::tree::TileId,
    store::{Error, Published, ReportFilter, Store, Tree},
};

use crate::fixture::{Log, did, hash, report};

const LARGEST: u64 = i64::MAX as u64;

fn is_refused<T: std::fmt::Debug>(answer: &Result<T, Error>) {
    assert!(matches!(answer, Err(Error::Unsupported(_))), "{answer:?}");
}

pub(crate) async fn numbers_beyond_the_database_are_refused(store: Arc<dyn Store>) {
    let mut log = Log::default();
    log.reports(&*store, 1, vec![report(1, 2, "t")]).await;
    let much = LARGEST + 1;
    is_refused(&store.checkpoints(much, 1).await);
    is_refused(&store.newest_checkpoints(u64::MAX, 1).await);
    is_refused(&store.published_of(much).await);
    is_refused(&store.entries(0, much).await);
    is_refused(&store.events("policy", much).await);
    is_refused(&store.bodies(much, much, 1).await);
    is_refused(&store.log_bodies(0, much, 1).await);
    is_refused(&store.erased_since(much).await);
    is_refused(&store.index_at(much).await);
    is_refused(&store.epoch(Some(much)).await);
    is_refused(&store.epochs(much, 1).await);
    is_refused(&store.statements(much, 0, 1).await);
    is_refused(&store.statements(0, much, 1).await);
    is_refused(&store.statements_of(&did(1), much, 1).await);
    is_refused(&store.status_list(much).await);
    is_refused(&store.tile(Tree::Log, TileId { level: 0, n: much }).await);
    let beyond = ReportFilter {
        from_index: much,
        limit: 1,
        ..ReportFilter::default()
    };
    is_refused(&store.reports(&beyond).await);
    let published = Published {
        size: much,
        published_ms: 0,
        note: String::new(),
    };
    is_refused(&store.publish(&published).await);
    let mut commit = log.plan(2, vec![report(3, 4, "u")], None);
    commit.reports[0].at_ms = much;
    is_refused(&store.commit(&commit).await);
    let mut commit = log.plan(2, Vec::new(), Some("policy"));
    commit.head.size = much;
    is_refused(&store.commit(&commit).await);
    assert_eq!(store.head().await.unwrap(), log.head);
    assert_eq!(store.entries(0, 9).await.unwrap().len(), 1);
}

pub(crate) async fn the_largest_number_is_kept(store: Arc<dyn Store>) {
    let mut log = Log::default();
    let mut commit = log.plan(LARGEST, Vec::new(), Some("policy"));
    commit.entries[0].index = LARGEST - 1;
    commit.head.size = LARGEST;
    let id = TileId {
        level: 255,
        n: LARGEST,
    };
    commit.tiles = vec![(Tree::Epoch(LARGEST), id, vec![hash("tile")])];
    log.commit(&*store, commit).await;
    assert_eq!(store.head().await.unwrap(), log.head);
    assert_eq!(store.entries(LARGEST - 1, LARGEST).await.unwrap().len(), 1);
    let tile = store.tile(Tree::Epoch(LARGEST), id).await.unwrap();
    assert_eq!(tile, Some(vec![hash("tile")]));
    assert_eq!(store.events("policy", LARGEST).await.unwrap().len(), 1);
}

pub(crate) async fn a_limit_of_zero_gives_nothing(store: Arc<dyn Store>) {
    let mut log = Log::default();
    log.reports(&*store, 1, vec![report(1, 2, "t")]).await;
    log.epoch(&*store, 1, vec![(did(1), true, "{}".to_owned())])
        .await;
    let all = u32::MAX;
    for (limit, count) in [(0, 0), (all, 1)] {
        let filter = ReportFilter {
            limit,
            ..ReportFilter::default()
        };
        assert_eq!(store.reports(&filter).await.unwrap().len(), count);
        assert_eq!(store.bodies(0, 9, limit).await.unwrap().len(), count);
        assert_eq!(store.log_bodies(0, 9, limit).await.unwrap().len(), count);
        assert_eq!(store.epochs(9, limit).await.unwrap().len(), count);
        assert_eq!(store.statements(1, 0, limit).await.unwrap().len(), count);
        assert_eq!(
            store.statements_of(&did(1), 9, limit).await.unwrap().len(),
            count
        );
    }
}

pub(crate) async fn ranges_upside_down_are_empty(store: Arc<dyn Store>) {
    let mut log = Log::default();
    log.reports(&*store, 1, vec![report(1, 2, "t"), report(2, 1, "t")])
        .await;
    assert!(store.entries(2, 1).await.unwrap().is_empty());
    assert!(store.bodies(2, 1, 9).await.unwrap().is_empty());
    assert!(store.log_bodies(2, 0, 9).await.unwrap().is_empty());
}

pub(crate) async fn a_closed_store_fails(store: Arc<dyn Store>) {
    let log = Log::default();
    store.close().await;
    let answers = [
        store.head().await.map(drop),
        store.meta("key").await.map(drop),
        store.set_meta("key", "value").await,
        store.commit(&log.plan(1, Vec::new(), Some("policy"))).await,
        store
            .admission_facts(&[])
            .await
            .map(drop)
            .and(store.scrub().await.map(drop)),
    ];
    for answer in answers {
        assert!(matches!(answer, Err(Error::Unavailable(_))), "{answer:?}");
    }
    // Closing twice is no harm.
    store.close().await;
}

pub(crate) async fn readers_do_not_hold_the_writer_up(store: Arc<dyn Store>) {
    let mut log = Log::default();
    log.reports(
        &*store,
        1,
        (0..200).map(|n| report(1, 2, &n.to_string())).collect(),
    )
    .await;
    let mut reading = tokio::task::JoinSet::new();
    for _ in 0..32 {
        let store = store.clone();
        reading.spawn(async move {
            for _ in 0..20 {
                let bodies = store.bodies(0, 999, 999).await.unwrap();
                // Committed state only: whole batches.
                assert_eq!(bodies.len() % 10, 0);
            }
        });
    }
    for round in 0..20 {
        let batch = (0..10)
            .map(|n| report(3, 4, &format!("{round} {n}")))
            .collect();
        log.reports(&*store, 2, batch).await;
    }
    reading.join_all().await;
    assert_eq!(store.bodies(0, 999, 999).await.unwrap().len(), 400);
}
