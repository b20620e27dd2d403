//! What a store knows that bears on admitting a report.

use std::sync::Arc;

use goodstanding::store::{AdmissionFacts, AdmissionQuery, NewReport, Store};
use goodstanding_verify::report::Role;

use crate::fixture::{Log, again, hash, indices, report};

/// The question that admitting this report asks.
fn query(of: &NewReport, alone_since_ms: Option<u64>) -> AdmissionQuery<'_> {
    AdmissionQuery {
        id: &of.id,
        reporter: &of.reporter,
        subject: &of.subject,
        market: &of.market,
        trade_id: &of.trade_id,
        role: of.role,
        jti: &of.jti,
        alone_since_ms,
    }
}

async fn facts(store: &dyn Store, of: &NewReport) -> AdmissionFacts {
    store
        .admission_facts(&[query(of, None)])
        .await
        .unwrap()
        .remove(0)
}

pub(crate) async fn of_an_unknown_report_nothing_is_known(store: Arc<dyn Store>) {
    let nothing = AdmissionFacts::default();
    assert_eq!(facts(&*store, &report(1, 2, "t")).await, nothing);
    Log::default()
        .reports(&*store, 1, vec![report(1, 2, "t")])
        .await;
    assert_eq!(facts(&*store, &report(3, 4, "t")).await, nothing);
    assert_eq!(facts(&*store, &report(1, 2, "u")).await, nothing);
}

pub(crate) async fn the_same_bytes_are_known(store: Arc<dyn Store>) {
    let mut log = Log::default();
    log.event(&*store, 1, "policy").await;
    let stored = report(1, 2, "t");
    log.reports(&*store, 1, vec![stored.clone()]).await;
    let expected = AdmissionFacts {
        same: Some(1),
        jti: Some(stored.id),
        current: Some((1, stored.id)),
        ..AdmissionFacts::default()
    };
    assert_eq!(facts(&*store, &stored).await, expected);
}

pub(crate) async fn a_jti_is_known_by_reporter(store: Arc<dyn Store>) {
    let stored = report(1, 2, "t");
    Log::default()
        .reports(&*store, 1, vec![stored.clone()])
        .await;
    let with = |reporter, trade| NewReport {
        jti: stored.jti.clone(),
        ..report(reporter, 2, trade)
    };
    assert_eq!(facts(&*store, &with(1, "u")).await.jti, Some(stored.id));
    assert_eq!(facts(&*store, &with(3, "u")).await.jti, None);
}

pub(crate) async fn the_current_report_is_known(store: Arc<dyn Store>) {
    let mut log = Log::default();
    let first = report(1, 2, "t");
    let second = again(&first, 2, 0);
    log.reports(&*store, 1, vec![first.clone(), second.clone()])
        .await;
    let third = again(&first, 3, 1);
    assert_eq!(facts(&*store, &third).await.current, Some((1, second.id)));
    let elsewhere = NewReport {
        market: "https://other.example".to_owned(),
        ..third
    };
    assert_eq!(facts(&*store, &elsewhere).await.current, None);
}

pub(crate) async fn the_counterparty_counts_in_the_other_role(store: Arc<dyn Store>) {
    let mut log = Log::default();
    let seller = NewReport {
        role: Role::Seller,
        ..report(2, 1, "t")
    };
    log.reports(&*store, 1, vec![seller.clone(), report(2, 1, "u")])
        .await;
    assert!(
        facts(&*store, &report(1, 2, "t"))
            .await
            .counterparty_reported
    );
    assert!(
        !facts(&*store, &report(1, 2, "u"))
            .await
            .counterparty_reported,
        "both buyers"
    );
    assert!(
        !facts(&*store, &report(1, 3, "t"))
            .await
            .counterparty_reported
    );
    // What counts is the report that stands.
    let buyer = NewReport {
        role: Role::Buyer,
        ..again(&seller, 2, 0)
    };
    log.reports(&*store, 2, vec![buyer]).await;
    assert!(
        !facts(&*store, &report(1, 2, "t"))
            .await
            .counterparty_reported
    );
}

pub(crate) async fn unilateral_reports_are_counted_since(store: Arc<dyn Store>) {
    let mut log = Log::default();
    for n in 0..5 {
        let alone = NewReport {
            alone: n != 3,
            ..report(1, 2, &n.to_string())
        };
        log.reports(&*store, n * 10, vec![alone, report(3, 4, &n.to_string())])
            .await;
    }
    let new = report(1, 2, "new");
    for (since, count) in [
        (Some(0), 4),
        (Some(20), 2),
        (Some(21), 1),
        (Some(41), 0),
        (None, 0),
    ] {
        let asked = [query(&new, since)];
        let facts = store.admission_facts(&asked).await.unwrap();
        assert_eq!(facts[0].alone, count, "{since:?}");
    }
}

pub(crate) async fn answers_come_in_the_order_asked(store: Arc<dyn Store>) {
    let stored: Vec<_> = (0..20).map(|n| report(n % 3, 5, &n.to_string())).collect();
    Log::default().reports(&*store, 1, stored.clone()).await;
    let mut asked: Vec<_> = stored.iter().rev().map(|r| query(r, None)).collect();
    asked.push(asked[3]);
    let facts = store.admission_facts(&asked).await.unwrap();
    let same: Vec<_> = facts.iter().map(|facts| facts.same.unwrap()).collect();
    let mut expected: Vec<u64> = (0..20).rev().collect();
    expected.push(16);
    assert_eq!(same, expected);
}

pub(crate) async fn a_batch_larger_than_any_is_answered(store: Arc<dyn Store>) {
    let asked: Vec<_> = (0..2500)
        .map(|n| report(n % 10, 20, &n.to_string()))
        .collect();
    let stored = asked.iter().step_by(2).cloned().collect();
    Log::default().reports(&*store, 1, stored).await;
    let queries: Vec<_> = asked.iter().map(|r| query(r, Some(0))).collect();
    let facts = store.admission_facts(&queries).await.unwrap();
    assert_eq!(facts.len(), 2500);
    for (n, facts) in (0..).zip(facts) {
        let expected = (n % 2 == 0).then_some(n / 2);
        assert_eq!(facts.same, expected, "{n}");
        assert_eq!(facts.alone, if n % 2 == 0 { 250 } else { 0 }, "{n}");
    }
}

fn with_documents(trade: &str, documents: &[&str]) -> NewReport {
    NewReport {
        documents: documents.iter().map(|name| hash(name)).collect(),
        ..report(1, 2, trade)
    }
}

pub(crate) async fn known_documents_are_those_stored(store: Arc<dyn Store>) {
    let reports = vec![
        with_documents("t", &["a", "b", "a"]),
        with_documents("u", &["b"]),
    ];
    Log::default().reports(&*store, 1, reports).await;
    let asked = ["b", "x", "a", "b"].map(hash);
    let mut known = store.known_documents(&asked).await.unwrap();
    known.sort_unstable();
    let mut expected = ["a", "b"].map(hash);
    expected.sort_unstable();
    assert_eq!(known, expected);
    let many: Vec<_> = (0..3000)
        .map(|n| hash(&n.to_string()))
        .chain([hash("a")])
        .collect();
    assert_eq!(store.known_documents(&many).await.unwrap(), [hash("a")]);
}

pub(crate) async fn reports_with_a_document_ascend(store: Arc<dyn Store>) {
    let reports = ["t", "u", "v", "w"].map(|trade| match trade {
        "v" => with_documents(trade, &["b"]),
        _ => with_documents(trade, &["a"]),
    });
    Log::default().reports(&*store, 1, reports.to_vec()).await;
    let with = async |name, limit| {
        let reports = store.reports_with_document(&hash(name), limit).await;
        indices(&reports.unwrap())
    };
    assert_eq!(with("a", 9).await, [0, 1, 3]);
    assert_eq!(with("a", 2).await, [0, 1]);
    assert_eq!(with("b", 9).await, [2]);
    assert!(with("c", 9).await.is_empty());
}
