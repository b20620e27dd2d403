//! Aliases, issued tokens, settings.

use std::sync::Arc;

use goodstanding::store::{Error, IssuedToken, Store};

use crate::fixture::{Log, did, report};

async fn name(store: &dyn Store, alias: &str, agent: u32) -> Result<(), Error> {
    store.set_aliases(&[(alias.to_owned(), did(agent))]).await
}

pub(crate) async fn an_alias_names_an_agent(store: Arc<dyn Store>) {
    Log::default()
        .reports(&*store, 1, vec![report(1, 2, "t")])
        .await;
    name(&*store, "known", 1).await.unwrap();
    name(&*store, "not seen yet", 7).await.unwrap();
    assert_eq!(store.agent_of_alias("known").await.unwrap(), Some(did(1)));
    assert_eq!(
        store.agent_of_alias("not seen yet").await.unwrap(),
        Some(did(7))
    );
    assert_eq!(store.agent_of_alias("Known").await.unwrap(), None);
    name(&*store, "known", 1).await.unwrap();
}

pub(crate) async fn an_alias_is_replaced(store: Arc<dyn Store>) {
    name(&*store, "old", 1).await.unwrap();
    name(&*store, "new", 1).await.unwrap();
    assert_eq!(store.agent_of_alias("old").await.unwrap(), None);
    assert_eq!(store.aliases().await.unwrap(), [("new".to_owned(), did(1))]);
    // What came free may be taken, also within one call.
    let moves = [("newer".to_owned(), did(1)), ("new".to_owned(), did(2))];
    store.set_aliases(&moves).await.unwrap();
    assert_eq!(store.agent_of_alias("new").await.unwrap(), Some(did(2)));
}

pub(crate) async fn an_alias_has_one_agent(store: Arc<dyn Store>) {
    name(&*store, "mine", 1).await.unwrap();
    let both = [("fine".to_owned(), did(3)), ("mine".to_owned(), did(2))];
    let error = store.set_aliases(&both).await.unwrap_err();
    assert!(matches!(error, Error::Unavailable(_)), "{error}");
    assert_eq!(
        store.aliases().await.unwrap(),
        [("mine".to_owned(), did(1))]
    );
}

pub(crate) async fn aliases_come_in_the_order_of_keys(store: Arc<dyn Store>) {
    let mut all: Vec<_> = (0..300).map(|n| (format!("agent {n}"), did(n))).collect();
    store.set_aliases(&all).await.unwrap();
    all.sort_by_key(|(_, did)| *did.key_bytes());
    assert_eq!(store.aliases().await.unwrap(), all);
}

pub(crate) async fn no_aliases_are_no_change(store: Arc<dyn Store>) {
    store.set_aliases(&[]).await.unwrap();
    assert!(store.aliases().await.unwrap().is_empty());
}

fn token(list: u64, idx: u64, agent: u32) -> IssuedToken {
    IssuedToken {
        list,
        idx,
        agent: did(agent),
        epoch: 1,
        iat: 10,
        exp: 20,
    }
}

pub(crate) async fn a_token_takes_a_place(store: Arc<dyn Store>) {
    Log::default()
        .reports(&*store, 1, vec![report(1, 2, "t")])
        .await;
    assert!(store.add_token(&token(0, 5, 1)).await.unwrap());
    assert!(!store.add_token(&token(0, 5, 2)).await.unwrap(), "taken");
    assert!(store.add_token(&token(0, 6, 2)).await.unwrap());
    assert_eq!(store.status_list(0).await.unwrap(), (2, Vec::new()));
}

pub(crate) async fn a_token_needs_its_agent(store: Arc<dyn Store>) {
    assert!(!store.add_token(&token(0, 5, 1)).await.unwrap());
    assert_eq!(store.status_list(0).await.unwrap(), (0, Vec::new()));
    assert_eq!(store.newest_status_list().await.unwrap(), None);
}

pub(crate) async fn lists_are_apart(store: Arc<dyn Store>) {
    Log::default()
        .reports(&*store, 1, vec![report(1, 2, "t")])
        .await;
    for (list, idx) in [(0, 1), (7, 1), (3, 1), (3, 2)] {
        assert!(store.add_token(&token(list, idx, 1)).await.unwrap());
    }
    assert_eq!(store.status_list(3).await.unwrap().0, 2);
    assert_eq!(store.status_list(7).await.unwrap().0, 1);
    assert_eq!(store.status_list(1).await.unwrap().0, 0);
    assert_eq!(store.newest_status_list().await.unwrap(), Some(7));
}

pub(crate) async fn a_setting_is_written_once(store: Arc<dyn Store>) {
    store.set_meta("issuer", "https://é.example").await.unwrap();
    let error = store.set_meta("issuer", "another").await.unwrap_err();
    assert!(matches!(error, Error::Unavailable(_)), "{error}");
    store.set_meta("Issuer", "").await.unwrap();
    let issuer = store.meta("issuer").await.unwrap();
    assert_eq!(issuer.as_deref(), Some("https://é.example"));
    assert_eq!(store.meta("Issuer").await.unwrap().as_deref(), Some(""));
    assert_eq!(store.meta("other").await.unwrap(), None);
}

pub(crate) async fn a_setting_that_changes_is_replaced(store: Arc<dyn Store>) {
    store.replace_meta("changing", "one").await.unwrap();
    store.replace_meta("changing", "two").await.unwrap();
    store.set_meta("fixed", "one").await.unwrap();
    assert_eq!(
        store.meta("changing").await.unwrap().as_deref(),
        Some("two")
    );
    assert_eq!(store.meta("fixed").await.unwrap().as_deref(), Some("one"));
}
