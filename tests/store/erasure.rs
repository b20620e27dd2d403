//! Erasure.

use std::{sync::Arc, time::Duration};

use goodstanding::store::{
    AdmissionQuery, Error, IssuedToken, NewReport, ReportFilter, Store, StoredBody, StoredErasure,
};

use crate::fixture::{Log, MARKET, again, did, hash, indices, report};

/// Agents 1 and 2 on `t`, and 1 on 3 on `u`.
async fn some(store: &dyn Store) -> (Log, Vec<NewReport>) {
    let mut log = Log::default();
    let mut reports = vec![report(1, 2, "t"), report(2, 1, "t"), report(1, 3, "u")];
    reports[2].documents = vec![hash("document")];
    "https://other.example".clone_into(&mut reports[2].market);
    log.reports(store, 1, reports.clone()).await;
    (log, reports)
}

pub(crate) async fn an_erased_report_is_gone(store: Arc<dyn Store>) {
    let (mut log, reports) = some(&*store).await;
    log.erase(&*store, 2, reports[2].id).await;
    assert_eq!(store.report(&reports[2].id).await.unwrap(), None);
    assert_eq!(indices(&store.bodies(0, 9, 9).await.unwrap()), [0, 1]);
    let mut by = ReportFilter {
        reporter: Some(did(1)),
        limit: 9,
        ..ReportFilter::default()
    };
    assert_eq!(indices(&store.reports(&by).await.unwrap()), [0]);
    by.trade_id = Some("u".to_owned());
    assert_eq!(store.reports(&by).await.unwrap(), []);
    assert!(
        store
            .known_documents(&[hash("document")])
            .await
            .unwrap()
            .is_empty()
    );
    assert_eq!(
        store
            .reports_with_document(&hash("document"), 9)
            .await
            .unwrap(),
        []
    );
    assert_eq!(store.newest_report().await.unwrap().unwrap().index, 1);
    // Its entry stays.
    assert_eq!(store.entries(2, 3).await.unwrap(), [b"report 2"]);
}

pub(crate) async fn its_record_stays(store: Arc<dyn Store>) {
    let (mut log, reports) = some(&*store).await;
    assert_eq!(store.erased(&reports[1].id).await.unwrap(), None);
    log.erase(&*store, 1, reports[1].id).await;
    let record = StoredErasure {
        index: 1,
        id: reports[1].id,
        by: 3,
        entry: b"erasure 3".to_vec(),
    };
    assert_eq!(store.erased(&reports[1].id).await.unwrap(), Some(record));
    assert_eq!(store.erased(&reports[0].id).await.unwrap(), None);
}

pub(crate) async fn log_bodies_have_its_place(store: Arc<dyn Store>) {
    let (mut log, reports) = some(&*store).await;
    log.erase(&*store, 1, reports[1].id).await;
    log.reports(&*store, 2, vec![report(5, 6, "v")]).await;
    let body = |index, of: Option<&NewReport>| StoredBody {
        index,
        jws: of.map(|report| report.jws.clone()),
        erased_by: of.is_none().then_some(3),
    };
    let all = [
        body(0, Some(&reports[0])),
        body(1, None),
        body(2, Some(&reports[2])),
        body(4, Some(&report(5, 6, "v"))),
    ];
    assert_eq!(store.log_bodies(0, 9, 9).await.unwrap(), all);
    assert_eq!(store.log_bodies(1, 4, 9).await.unwrap(), all[1..3]);
    assert_eq!(store.log_bodies(1, 9, 2).await.unwrap(), all[1..3]);
    assert_eq!(store.log_bodies(0, 1, 9).await.unwrap(), all[..1]);
}

pub(crate) async fn erased_since_counts_later_erasures(store: Arc<dyn Store>) {
    let (mut log, reports) = some(&*store).await;
    log.erase(&*store, 0, reports[0].id).await; // by entry 3
    log.erase(&*store, 2, reports[2].id).await; // by entry 4
    for (size, count) in [(0, 0), (1, 1), (2, 1), (3, 2), (4, 1), (5, 0)] {
        assert_eq!(store.erased_since(size).await.unwrap(), count, "{size}");
    }
}

pub(crate) async fn admission_knows_it(store: Arc<dyn Store>) {
    let (mut log, reports) = some(&*store).await;
    log.erase(&*store, 0, reports[0].id).await;
    let old = &reports[0];
    let asked = [AdmissionQuery {
        id: &old.id,
        reporter: &old.reporter,
        subject: &old.subject,
        market: &old.market,
        trade_id: &old.trade_id,
        role: old.role,
        jti: &old.jti,
        alone_since_ms: Some(0),
    }];
    let facts = store.admission_facts(&asked).await.unwrap().remove(0);
    assert_eq!((facts.same, facts.erased), (None, Some(3)));
    assert_eq!((facts.jti, facts.current, facts.alone), (None, None, 1));
    // The trade and the jti are free again, for other bytes.
    let mut other = old.clone();
    other.id = report(9, 9, "other bytes").id;
    log.reports(&*store, 5, vec![other]).await;
}

/// Three versions of one report, at 0, 1 and 2.
async fn versions(store: &dyn Store) -> (Log, [NewReport; 3]) {
    let mut log = Log::default();
    let first = report(1, 2, "t");
    let versions = [first.clone(), again(&first, 2, 0), again(&first, 3, 1)];
    log.reports(store, 1, versions.to_vec()).await;
    (log, versions)
}

async fn chain(store: &dyn Store) -> Vec<(u64, Option<u64>)> {
    let all = store.bodies(0, 99, 99).await.unwrap();
    all.iter().map(|r| (r.index, r.superseded_by)).collect()
}

pub(crate) async fn a_chain_closes_over_it(store: Arc<dyn Store>) {
    let (mut log, versions) = versions(&*store).await;
    log.erase(&*store, 1, versions[1].id).await;
    assert_eq!(chain(&*store).await, [(0, Some(2)), (2, None)]);
    log.erase(&*store, 0, versions[0].id).await;
    assert_eq!(chain(&*store).await, [(2, None)]);
}

pub(crate) async fn erasing_the_newest_makes_the_one_before_current(store: Arc<dyn Store>) {
    let (mut log, versions) = versions(&*store).await;
    log.erase(&*store, 2, versions[2].id).await;
    assert_eq!(chain(&*store).await, [(0, Some(1)), (1, None)]);
    log.reports(&*store, 9, vec![again(&versions[0], 4, 1)])
        .await;
    assert_eq!(
        chain(&*store).await,
        [(0, Some(1)), (1, Some(4)), (4, None)]
    );
}

fn token(idx: u64, agent: u32) -> IssuedToken {
    IssuedToken {
        list: 0,
        idx,
        agent: did(agent),
        epoch: 1,
        iat: 1,
        exp: 2,
    }
}

pub(crate) async fn what_others_name_stays(store: Arc<dyn Store>) {
    let (mut log, reports) = some(&*store).await;
    let names = [1, 2, 3].map(|n| (format!("agent {n}"), did(n)));
    store.set_aliases(&names).await.unwrap();
    assert!(store.add_token(&token(0, 3)).await.unwrap());
    log.epoch(&*store, 1, vec![(did(2), true, "{}".to_owned())])
        .await;
    for index in [0_u8, 1, 2] {
        let of = reports[usize::from(index)].id;
        log.erase(&*store, u64::from(index), of).await;
    }
    // 2 has a statement, 3 a token, 1 nothing any more.
    assert_eq!(store.agent_of_alias("agent 1").await.unwrap(), None);
    assert_eq!(store.agent_of_alias("agent 2").await.unwrap(), Some(did(2)));
    assert_eq!(store.agent_of_alias("agent 3").await.unwrap(), Some(did(3)));
    assert_eq!(store.statements_of(&did(2), 9, 9).await.unwrap().len(), 1);
}

pub(crate) async fn what_nobody_names_goes(store: Arc<dyn Store>) {
    let (mut log, reports) = some(&*store).await;
    assert!(store.add_token(&token(0, 3)).await.unwrap());
    store
        .set_aliases(&[("two".to_owned(), did(2))])
        .await
        .unwrap();
    log.erase(&*store, 0, reports[0].id).await;
    assert_eq!(
        store.agent_of_alias("two").await.unwrap(),
        Some(did(2)),
        "still reports"
    );
    log.erase(&*store, 1, reports[1].id).await;
    assert_eq!(store.agent_of_alias("two").await.unwrap(), None);
    assert!(
        !store.add_token(&token(1, 2)).await.unwrap(),
        "unknown again"
    );
    // It may come back, and so may its name and its market.
    log.reports(&*store, 5, vec![report(2, 3, "t")]).await;
    store
        .set_aliases(&[("two".to_owned(), did(2))])
        .await
        .unwrap();
    let (two, three) = (did(2), did(3));
    let current = store.current_reports(MARKET, "t", [&two, &three], 99).await;
    assert_eq!(current.unwrap().len(), 1);
}

pub(crate) async fn another_report_at_the_index_is_refused(store: Arc<dyn Store>) {
    let (log, reports) = some(&*store).await;
    for (index, of) in [(0, reports[1].id), (99, reports[0].id)] {
        let commit = log.plan_erasure(index, of);
        let error = store.commit(&commit).await.unwrap_err();
        assert!(matches!(error, Error::Corrupt(_)), "{error}");
    }
    assert_eq!(store.head().await.unwrap(), log.head);
    assert_eq!(store.bodies(0, 9, 9).await.unwrap().len(), 3);
}

pub(crate) async fn erasing_twice_is_refused(store: Arc<dyn Store>) {
    let (mut log, reports) = some(&*store).await;
    log.erase(&*store, 0, reports[0].id).await;
    let error = store
        .commit(&log.plan_erasure(0, reports[0].id))
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Corrupt(_)), "{error}");
    assert_eq!(store.head().await.unwrap(), log.head);
}

pub(crate) async fn scrubbing_ends(store: Arc<dyn Store>) {
    let (mut log, reports) = some(&*store).await;
    log.erase(&*store, 0, reports[0].id).await;
    while !store.scrub().await.unwrap() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(store.scrub().await.unwrap());
    assert_eq!(store.bodies(0, 9, 9).await.unwrap().len(), 2);
}
