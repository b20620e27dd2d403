//! Rows of an epoch before it is one: who may stage them, who sees them, and how they go.

use std::sync::{Arc, LazyLock};

use goodstanding::{
    log::tree::{Tile, TileId},
    store::{Error, Staged, Store, Tree},
};
use goodstanding_verify::did::Did;

use crate::fixture::{Log, Statement, count, did, hash, key, part, report};

fn some(agents: std::ops::Range<u32>) -> Vec<Statement> {
    let row = |n| (did(n), n % 2 == 0, format!("{{\"n\":{n}}}"));
    agents.map(row).collect()
}

/// A log with an epoch of agents 0 to 3.
async fn begun(store: &dyn Store) -> Log {
    let mut log = Log::default();
    log.event(store, 1, "policy").await;
    log.epoch(store, 1, some(0..3)).await;
    log
}

/// The tiles of a tree over so many leaves, of made-up hashes: one of leaves and one above it.
fn tiles(epoch: u64, leaves: usize) -> Vec<(TileId, Tile)> {
    let tile = |name: &str| vec![hash(&format!("{name} {epoch}")); leaves.min(256)];
    let id = |level| TileId { level, n: 0 };
    vec![(id(0), tile("leaves")), (id(1), tile("above"))]
}

fn with_tiles(part: Staged) -> Staged {
    let tiles = tiles(part.epoch, part.statements.len());
    Staged {
        tiles: tiles.into_iter().collect(),
        ..part
    }
}

async fn unstaged(store: &dyn Store, part: &Staged, of: &str) {
    let error = store.stage(key(of, 0), part).await.unwrap_err();
    assert!(matches!(error, Error::Unstaged), "{error}");
}

/// Removes all that is staged.
async fn clear(store: &dyn Store) {
    store.claim_staging(None).await.unwrap();
    while !store.clear_staging(None).await.unwrap() {}
    assert_eq!(store.claim_staging(None).await.unwrap(), 0);
}

/// That epoch 1 is all there is.
async fn only_the_first(store: &dyn Store) {
    assert_eq!(store.epoch(None).await.unwrap().unwrap().number, 1);
    assert_eq!(store.statements(1, 0, 9).await.unwrap().len(), 3);
    assert_eq!(store.statements(2, 0, 9).await.unwrap(), []);
    for agent in 0..9 {
        let of = store.statements_of(&did(agent), 99, 9).await.unwrap();
        assert!(of.iter().all(|s| s.epoch == 1), "{of:?}");
    }
    let mut reached = store.reached().await.unwrap();
    reached.sort_unstable();
    let mut expected = [did(0), did(2)];
    expected.sort_unstable();
    assert_eq!(reached, expected);
    for (id, _) in tiles(2, 3) {
        assert_eq!(store.tile(Tree::Epoch(2), id).await.unwrap(), None);
        let several = store.tiles(Tree::Epoch(2), &[id]).await.unwrap();
        assert!(several.is_empty(), "{several:?}");
    }
}

pub(crate) async fn nobody_sees_what_is_staged_before_it_is_logged(store: Arc<dyn Store>) {
    let mut log = begun(&*store).await;
    let two = key("two", 0);
    assert_eq!(store.claim_staging(Some(two)).await.unwrap(), 0);
    let staged = with_tiles(part(2, 0, some(1..6)));
    store.stage(two, &staged).await.unwrap();
    only_the_first(&*store).await;
    let commit = log.plan_epoch(2, two, 5);
    log.commit(&*store, commit).await;
    assert_eq!(store.epoch(None).await.unwrap().unwrap().number, 2);
    let rows = store.statements(2, 0, 9).await.unwrap();
    let agents: Vec<Did> = rows.iter().map(|row| row.agent).collect();
    assert_eq!(agents, (1..6).map(did).collect::<Vec<_>>());
    let of = store.statements_of(&did(1), 99, 9).await.unwrap();
    assert_eq!(of.iter().map(|s| s.epoch).collect::<Vec<_>>(), [2, 1]);
    assert_eq!(store.reached().await.unwrap().len(), 2);
    for (id, tile) in tiles(2, 5) {
        let stored = store.tile(Tree::Epoch(2), id).await.unwrap();
        assert_eq!(stored, Some(tile));
    }
    // It is logged: nothing is staged, and nothing can be taken back.
    assert_eq!(store.claim_staging(None).await.unwrap(), 0);
    assert_eq!(store.statements(2, 0, 9).await.unwrap().len(), 5);
}

pub(crate) async fn what_is_staged_goes_away_and_nothing_else(store: Arc<dyn Store>) {
    let mut log = begun(&*store).await;
    let two = key("two", 0);
    store.claim_staging(Some(two)).await.unwrap();
    let staged = with_tiles(part(2, 0, some(1..6)));
    store.stage(two, &staged).await.unwrap();
    assert_eq!(store.claim_staging(None).await.unwrap(), 5);
    clear(&*store).await;
    only_the_first(&*store).await;
    // Nothing of it is left for another epoch of that number, which is a smaller one.
    log.epoch(&*store, 2, some(7..8)).await;
    let rows = store.statements(2, 0, 9).await.unwrap();
    assert_eq!(rows.iter().map(|r| r.agent).collect::<Vec<_>>(), [did(7)]);
    for (id, _) in tiles(2, 3) {
        assert_eq!(store.tile(Tree::Epoch(2), id).await.unwrap(), None);
    }
}

pub(crate) async fn an_agent_that_came_with_it_goes_with_it(store: Arc<dyn Store>) {
    let mut log = begun(&*store).await;
    log.reports(&*store, 2, vec![report(4, 5, "t")]).await;
    let named = [("four".to_owned(), did(6))];
    store.set_aliases(&named).await.unwrap();
    let two = key("two", 0);
    store.claim_staging(Some(two)).await.unwrap();
    store.stage(two, &part(2, 0, some(2..9))).await.unwrap();
    clear(&*store).await;
    // Of an epoch, a report, and a name; 7 and 8 are in nothing, and a name can be given to none of them without making them anew.
    only_the_first(&*store).await;
    assert_eq!(store.aliases().await.unwrap(), named);
    let by = goodstanding::store::IssuedToken {
        list: 0,
        idx: 0,
        agent: did(7),
        epoch: 1,
        iat: 1,
        exp: 2,
    };
    assert!(
        !store.add_token(&by).await.unwrap(),
        "an agent that nobody names is known"
    );
    let of = |agent, idx| goodstanding::store::IssuedToken { agent, idx, ..by };
    for (idx, agent) in (1..).zip([2, 4, 5, 6]) {
        assert!(
            store.add_token(&of(did(agent), idx)).await.unwrap(),
            "{agent}"
        );
    }
}

pub(crate) async fn leaves_come_one_after_the_other(store: Arc<dyn Store>) {
    let mut log = begun(&*store).await;
    let two = key("two", 0);
    unstaged(&*store, &part(2, 0, some(0..1)), "two").await;
    store.claim_staging(Some(two)).await.unwrap();
    unstaged(&*store, &part(2, 1, some(0..1)), "two").await;
    store.stage(two, &part(2, 0, some(0..2))).await.unwrap();
    for wrong in [
        part(2, 0, some(0..2)),
        part(2, 1, some(2..3)),
        part(2, 3, some(2..3)),
        part(3, 2, some(2..3)),
        part(3, 0, some(2..3)),
    ] {
        unstaged(&*store, &wrong, "two").await;
    }
    unstaged(&*store, &part(2, 2, some(2..3)), "another").await;
    store.stage(two, &part(2, 2, some(2..4))).await.unwrap();
    let commit = log.plan_epoch(2, two, 4);
    log.commit(&*store, commit).await;
    let rows = store.statements(2, 0, 9).await.unwrap();
    let rows: Vec<_> = rows.iter().map(|row| (row.leaf, row.agent)).collect();
    let expected = (0..4).map(|n| (u64::from(n), did(n)));
    assert_eq!(rows, expected.collect::<Vec<_>>());
    unstaged(&*store, &part(3, 0, some(0..1)), "two").await;
}

pub(crate) async fn an_epoch_is_all_that_was_staged_or_nothing(store: Arc<dyn Store>) {
    let mut log = begun(&*store).await;
    let two = key("two", 0);
    store.claim_staging(Some(two)).await.unwrap();
    store.stage(two, &part(2, 0, some(0..4))).await.unwrap();
    let before = store.head().await.unwrap();
    for (number, of, count) in [(2, "two", 3), (2, "two", 5), (2, "other", 4), (3, "two", 4)] {
        let wrong = log.plan_epoch(number, key(of, 0), count);
        let error = store.commit(&wrong).await.unwrap_err();
        assert!(matches!(error, Error::Unstaged), "{error}");
        assert_eq!(store.head().await.unwrap(), before);
        assert_eq!(store.epoch(None).await.unwrap().unwrap().number, 1);
    }
    // Who lost the head lost nothing of what is staged.
    let stale = log.plan_epoch(2, two, 4);
    log.event(&*store, 3, "policy").await;
    let error = store.commit(&stale).await.unwrap_err();
    assert!(matches!(error, Error::HeadMoved), "{error}");
    let commit = log.plan_epoch(2, two, 4);
    log.commit(&*store, commit).await;
    assert_eq!(store.statements(2, 0, 9).await.unwrap().len(), 4);
}

pub(crate) async fn who_claims_ends_the_other(store: Arc<dyn Store>) {
    let mut log = begun(&*store).await;
    let (one, other) = (key("one", 0), key("other", 0));
    store.claim_staging(Some(one)).await.unwrap();
    store.stage(one, &part(2, 0, some(0..5))).await.unwrap();
    assert_eq!(store.claim_staging(Some(other)).await.unwrap(), 5);
    unstaged(&*store, &part(2, 5, some(5..6)), "one").await;
    let error = store.clear_staging(Some(one)).await.unwrap_err();
    assert!(matches!(error, Error::Unstaged), "{error}");
    let late = log.plan_epoch(2, one, 5);
    let error = store.commit(&late).await.unwrap_err();
    assert!(matches!(error, Error::Unstaged), "{error}");
    // Rows of the one are not the other's.
    unstaged(&*store, &part(2, 0, some(0..1)), "other").await;
    while !store.clear_staging(Some(other)).await.unwrap() {}
    store.stage(other, &part(2, 0, some(7..8))).await.unwrap();
    let commit = log.plan_epoch(2, other, 1);
    log.commit(&*store, commit).await;
    assert_eq!(store.statements(2, 0, 9).await.unwrap().len(), 1);
}

pub(crate) async fn an_erasure_ends_it(store: Arc<dyn Store>) {
    let mut log = begun(&*store).await;
    log.reports(&*store, 2, vec![report(4, 5, "t"), report(4, 0, "u")])
        .await;
    let two = key("two", 0);
    store.claim_staging(Some(two)).await.unwrap();
    store.stage(two, &part(2, 0, some(0..7))).await.unwrap();
    log.erase(&*store, 2, report(4, 5, "t").id).await;
    unstaged(&*store, &part(2, 7, some(7..8)), "two").await;
    let late = log.plan_epoch(2, two, 7);
    assert!(matches!(
        store.commit(&late).await.unwrap_err(),
        Error::Unstaged
    ));
    // Nobody names agent 5 any more: what is staged of it does not count.
    let of = |agent, idx| goodstanding::store::IssuedToken {
        list: 0,
        idx,
        agent: did(agent),
        epoch: 1,
        iat: 1,
        exp: 2,
    };
    assert!(!store.add_token(&of(5, 0)).await.unwrap());
    assert!(store.add_token(&of(4, 1)).await.unwrap());
    clear(&*store).await;
    only_the_first(&*store).await;
}

pub(crate) async fn text_that_cannot_be_stored_is_not_staged(store: Arc<dyn Store>) {
    begun(&*store).await;
    let two = key("two", 0);
    store.claim_staging(Some(two)).await.unwrap();
    let nul = part(2, 0, vec![(did(1), true, "a\0b".to_owned())]);
    for wrong in [nul, part(u64::MAX, 0, some(0..1))] {
        let error = store.stage(two, &wrong).await.unwrap_err();
        assert!(matches!(error, Error::Unsupported(_)), "{error}");
    }
    store.stage(two, &part(2, 0, some(0..1))).await.unwrap();
}

/// Made once.
static MANY: LazyLock<Vec<Statement>> = LazyLock::new(|| some(0..10_000));

pub(crate) async fn ten_thousand_go_in_steps(store: Arc<dyn Store>) {
    let mut log = begun(&*store).await;
    let two = key("two", 0);
    store.claim_staging(Some(two)).await.unwrap();
    let (first, second) = MANY.split_at(8192);
    let parts = [
        part(2, 0, first.to_vec()),
        part(2, count(first), second.to_vec()),
    ];
    for part in &parts {
        store.stage(two, &with_tiles(part.clone())).await.unwrap();
    }
    only_the_first(&*store).await;
    assert_eq!(store.claim_staging(Some(two)).await.unwrap(), 10_000);
    let mut steps = 0;
    while !store.clear_staging(Some(two)).await.unwrap() {
        steps += 1;
    }
    assert!(steps > 2, "{steps} steps hold the writer up");
    only_the_first(&*store).await;
    for part in parts {
        store.stage(two, &with_tiles(part)).await.unwrap();
    }
    let commit = log.plan_epoch(2, two, 10_000);
    log.commit(&*store, commit).await;
    let last = store.statements(2, 9_999, 9).await.unwrap();
    assert_eq!((last.len(), last[0].agent), (1, MANY[9_999].0));
}
