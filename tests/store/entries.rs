//! Entries, events, log time and tiles.

use std::sync::Arc;

use goodstanding::{
    log::tree::{TileId, Touched},
    store::{NewEntry, Store, Tree},
};

use crate::fixture::{Log, hash, refused, report};

async fn ten(store: &dyn Store) -> Log {
    let mut log = Log::default();
    for n in 0..10 {
        let kind = if n % 3 == 0 { "policy" } else { "epoch" };
        // 100, 100, 200, 200, …
        log.event(store, (n / 2 + 1) * 100, kind).await;
    }
    log
}

pub(crate) async fn entries_come_by_half_open_range(store: Arc<dyn Store>) {
    ten(&*store).await;
    let two = store.entries(3, 5).await.unwrap();
    assert_eq!(two, [b"policy 3".to_vec(), b"epoch 4".to_vec()]);
    assert_eq!(store.entries(8, 99).await.unwrap().len(), 2);
    assert!(store.entries(10, 99).await.unwrap().is_empty());
    assert!(store.entries(4, 4).await.unwrap().is_empty());
}

pub(crate) async fn bytes_come_back_as_they_were(store: Arc<dyn Store>) {
    let mut log = Log::default();
    let mut commit = log.plan(1, Vec::new(), Some("policy"));
    let all: Vec<u8> = (0..=255).cycle().take(70_000).collect();
    commit.entries[0].bytes.clone_from(&all);
    log.commit(&*store, commit).await;
    assert_eq!(store.entries(0, 1).await.unwrap(), [all]);
}

pub(crate) async fn events_are_by_kind_and_never_reports(store: Arc<dyn Store>) {
    let mut log = ten(&*store).await;
    log.reports(&*store, 999, vec![report(1, 2, "t")]).await;
    let policies = store.events("policy", 9).await.unwrap();
    let expected = [0_u64, 3, 6].map(|n| (n, format!("policy {n}").into_bytes()));
    assert_eq!(policies, expected);
    assert_eq!(store.events("policy", 10).await.unwrap().len(), 4);
    assert!(store.events("Policy", 10).await.unwrap().is_empty());
    assert!(store.events("report", 99).await.unwrap().is_empty());
}

pub(crate) async fn index_at_is_the_first_at_or_after(store: Arc<dyn Store>) {
    ten(&*store).await;
    for (at_ms, index) in [
        (0, 0),
        (100, 0),
        (101, 2),
        (200, 2),
        (250, 4),
        (500, 8),
        (501, 10),
    ] {
        assert_eq!(store.index_at(at_ms).await.unwrap(), index, "{at_ms}");
    }
}

pub(crate) async fn an_entry_is_written_once(store: Arc<dyn Store>) {
    let log = ten(&*store).await;
    let mut commit = log.plan(999, Vec::new(), Some("policy"));
    commit.entries[0].index = 4;
    refused(&*store, &commit).await;
}

pub(crate) async fn many_entries_are_one_commit(store: Arc<dyn Store>) {
    let mut log = Log::default();
    let mut commit = log.plan(1, Vec::new(), Some("policy"));
    commit.entries = (0..12_345)
        .map(|index| NewEntry {
            index,
            at_ms: index / 100,
            kind: "policy",
            bytes: index.to_be_bytes().to_vec(),
        })
        .collect();
    commit.head.size = 12_345;
    log.commit(&*store, commit).await;
    let all = store.entries(0, 20_000).await.unwrap();
    assert_eq!(all.len(), 12_345);
    assert_eq!(all[10_000], 10_000_u64.to_be_bytes());
    assert_eq!(store.index_at(77).await.unwrap(), 7700);
}

const ID: TileId = TileId { level: 0, n: 0 };

fn hashes(count: usize) -> Vec<[u8; 32]> {
    (0..count).map(|n| hash(&n.to_string())).collect()
}

pub(crate) async fn a_tile_is_its_newest_width(store: Arc<dyn Store>) {
    let mut log = Log::default();
    assert_eq!(store.tile(Tree::Log, ID).await.unwrap(), None);
    for width in [1, 7, 256] {
        log.tiles(&*store, vec![(Tree::Log, ID, hashes(width))])
            .await;
        assert_eq!(
            store.tile(Tree::Log, ID).await.unwrap(),
            Some(hashes(width))
        );
    }
}

/// One tile in each of these places, all different.
fn places() -> Vec<(Tree, TileId, Vec<[u8; 32]>)> {
    let mut places = Vec::new();
    for tree in [Tree::Log, Tree::Epoch(1), Tree::Epoch(2)] {
        for level in [0, 1, 63] {
            for n in [0, 1, 1 << 40] {
                let id = TileId { level, n };
                places.push((tree, id, vec![hash(&format!("{tree:?} {id:?}"))]));
            }
        }
    }
    places
}

pub(crate) async fn trees_and_levels_are_apart(store: Arc<dyn Store>) {
    Log::default().tiles(&*store, places()).await;
    for (tree, id, tile) in places() {
        assert_eq!(store.tile(tree, id).await.unwrap(), Some(tile));
    }
    assert_eq!(store.tile(Tree::Epoch(3), ID).await.unwrap(), None);
}

pub(crate) async fn of_many_tiles_those_there_are(store: Arc<dyn Store>) {
    Log::default().tiles(&*store, places()).await;
    let missing = TileId { level: 2, n: 0 };
    let ids = [TileId { level: 63, n: 1 }, missing, ID, ID];
    let found = store.tiles(Tree::Epoch(2), &ids).await.unwrap();
    let there = [ids[0], ID].map(|id| (id, vec![hash(&format!("Epoch(2) {id:?}"))]));
    assert_eq!(found, Touched::from(there));
    assert!(store.tiles(Tree::Log, &[]).await.unwrap().is_empty());
    assert!(store.tiles(Tree::Epoch(9), &ids).await.unwrap().is_empty());
}

pub(crate) async fn the_last_of_a_tile_written_twice_counts(store: Arc<dyn Store>) {
    let twice = vec![(Tree::Log, ID, hashes(1)), (Tree::Log, ID, hashes(2))];
    Log::default().tiles(&*store, twice).await;
    assert_eq!(store.tile(Tree::Log, ID).await.unwrap(), Some(hashes(2)));
}

pub(crate) async fn an_empty_tile_is_refused(store: Arc<dyn Store>) {
    let mut log = Log::default();
    log.event(&*store, 1, "policy").await;
    for width in [0, 257] {
        let mut commit = log.plan(2, Vec::new(), Some("policy"));
        commit.tiles = vec![(Tree::Log, ID, hashes(width))];
        refused(&*store, &commit).await;
    }
}
