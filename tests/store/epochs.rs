//! Epochs and their statements.

use std::sync::{Arc, LazyLock};

use goodstanding::store::{Error, Store, StoredEpoch, StoredStatement};
use goodstanding_verify::did::Did;

use crate::fixture::{Log, did, hash, key, part, refused};

fn statement(agent: u32, reached: bool, claims: &str) -> (Did, bool, String) {
    (did(agent), reached, claims.to_owned())
}

/// Epochs 1 to 3 with an entry between each; agent 2 is in all of them, in another place each time.
async fn three(store: &dyn Store) -> Log {
    let mut log = Log::default();
    for number in 1..=3 {
        log.event(store, number, "policy").await;
        let mut statements = vec![
            statement(1, number != 3, "{\"a\":1}"),
            statement(2, true, &format!("{{\"epoch\":{number}}}")),
            statement(3, false, "{\"é\":\"\\u0000\"}"),
        ];
        statements.rotate_left(usize::try_from(number).unwrap());
        log.epoch(store, number, statements).await;
    }
    log
}

fn stored(number: u64) -> StoredEpoch {
    let index = number * 2 - 1;
    StoredEpoch {
        number,
        index,
        entry: format!("epoch {index}").into_bytes(),
        salt_key: hash(&format!("salt {number}")),
    }
}

pub(crate) async fn an_epoch_comes_by_number_or_newest(store: Arc<dyn Store>) {
    three(&*store).await;
    assert_eq!(store.epoch(None).await.unwrap(), Some(stored(3)));
    assert_eq!(store.epoch(Some(2)).await.unwrap(), Some(stored(2)));
    assert_eq!(store.epoch(Some(4)).await.unwrap(), None);
}

pub(crate) async fn epochs_descend(store: Arc<dyn Store>) {
    three(&*store).await;
    assert_eq!(store.epochs(99, 9).await.unwrap(), [3, 2, 1].map(stored));
    assert_eq!(store.epochs(3, 1).await.unwrap(), [stored(2)]);
    assert_eq!(store.epochs(1, 9).await.unwrap(), []);
}

pub(crate) async fn statements_ascend_from_a_leaf(store: Arc<dyn Store>) {
    three(&*store).await;
    let all = store.statements(1, 0, 9).await.unwrap();
    let agents: Vec<_> = all.iter().map(|s| (s.leaf, s.agent)).collect();
    assert_eq!(agents, [(0, did(2)), (1, did(3)), (2, did(1))]);
    assert_eq!(all[1].claims, "{\"é\":\"\\u0000\"}");
    assert_eq!(store.statements(1, 1, 1).await.unwrap(), all[1..2]);
    assert_eq!(store.statements(1, 3, 9).await.unwrap(), []);
    assert_eq!(store.statements(4, 0, 9).await.unwrap(), []);
}

pub(crate) async fn statements_of_an_agent_descend(store: Arc<dyn Store>) {
    three(&*store).await;
    let of = |epoch: u64, leaf| StoredStatement {
        epoch,
        leaf,
        agent: did(2),
        claims: format!("{{\"epoch\":{epoch}}}"),
    };
    let all = [of(3, 1), of(2, 2), of(1, 0)];
    assert_eq!(store.statements_of(&did(2), 99, 9).await.unwrap(), all);
    assert_eq!(store.statements_of(&did(2), 3, 1).await.unwrap(), all[1..2]);
    assert_eq!(store.statements_of(&did(9), 99, 9).await.unwrap(), []);
}

pub(crate) async fn reached_is_of_the_newest_epoch(store: Arc<dyn Store>) {
    let mut log = three(&*store).await;
    assert_eq!(store.reached().await.unwrap(), [did(2)]);
    let more = vec![
        statement(3, true, "{}"),
        statement(1, true, "{}"),
        statement(2, false, "{}"),
    ];
    log.epoch(&*store, 4, more).await;
    let mut reached = store.reached().await.unwrap();
    reached.sort_unstable();
    let mut expected = [did(1), did(3)];
    expected.sort_unstable();
    assert_eq!(reached, expected);
}

pub(crate) async fn an_epoch_without_statements(store: Arc<dyn Store>) {
    let mut log = three(&*store).await;
    log.epoch(&*store, 4, Vec::new()).await;
    assert_eq!(store.epoch(None).await.unwrap().unwrap().number, 4);
    assert!(store.reached().await.unwrap().is_empty());
    assert_eq!(store.statements(4, 0, 9).await.unwrap(), []);
}

pub(crate) async fn an_epoch_is_numbered_once(store: Arc<dyn Store>) {
    let log = three(&*store).await;
    let key = key("again", 2);
    store.claim_staging(Some(key)).await.unwrap();
    let again = part(2, 0, vec![statement(1, true, "{}")]);
    let error = store.stage(key, &again).await.unwrap_err();
    assert!(matches!(error, Error::Unstaged), "{error}");
    refused(&*store, &log.plan_epoch(2, key, 0)).await;
    assert_eq!(store.epoch(Some(2)).await.unwrap(), Some(stored(2)));
}

/// Made once: sixty thousand keys take a second.
static MANY: LazyLock<Vec<Did>> = LazyLock::new(|| (0..60_000).map(did).collect());

pub(crate) async fn an_epoch_of_sixty_thousand(store: Arc<dyn Store>) {
    let mut log = Log::default();
    let statements = (0..)
        .zip(&*MANY)
        .map(|(n, did)| (*did, n % 3 == 0, format!("{{\"n\":{n}}}")));
    log.epoch(&*store, 1, statements.collect()).await;
    assert_eq!(store.reached().await.unwrap().len(), 20_000);
    let last = store.statements(1, 59_999, 9).await.unwrap();
    assert_eq!(last[0].agent, MANY[59_999]);
    assert_eq!(last[0].claims, "{\"n\":59999}");
    let mut leaf = 0;
    loop {
        let page = store.statements(1, leaf, 7_000).await.unwrap();
        for statement in &page {
            assert_eq!(
                (statement.leaf, statement.agent),
                (leaf, MANY[usize::try_from(leaf).unwrap()])
            );
            leaf += 1;
        }
        if page.is_empty() {
            break;
        }
    }
    assert_eq!(leaf, 60_000);
    // Agents that are known already.
    let again = MANY.iter().rev().map(|did| (*did, false, "{}".to_owned()));
    log.epoch(&*store, 2, again.collect()).await;
    let of = store.statements_of(&MANY[0], 99, 9).await.unwrap();
    assert_eq!(
        of.iter().map(|s| (s.epoch, s.leaf)).collect::<Vec<_>>(),
        [(2, 59_999), (1, 0)]
    );
}
