//! Reports: what is found again, what replaces what, and what cannot be.

use std::sync::Arc;

use goodstanding::store::{Error, NewReport, ReportFilter, Store, StoredReport};
use goodstanding_verify::report::Role;

use crate::fixture::{Log, MARKET, again, did, indices, refused, report};

fn filter(change: impl FnOnce(&mut ReportFilter)) -> ReportFilter {
    let mut filter = ReportFilter {
        limit: 100,
        ..ReportFilter::default()
    };
    change(&mut filter);
    filter
}

async fn found(store: &dyn Store, change: impl FnOnce(&mut ReportFilter)) -> Vec<u64> {
    indices(&store.reports(&filter(change)).await.unwrap())
}

pub(crate) async fn a_report_comes_back_by_id(store: Arc<dyn Store>) {
    let mut log = Log::default();
    log.event(&*store, 1, "policy").await;
    let new = NewReport {
        historical: true,
        ..report(1, 2, "t")
    };
    log.reports(&*store, 77, vec![new.clone(), report(2, 1, "t")])
        .await;
    let stored = StoredReport {
        index: 1,
        at_ms: 77,
        id: new.id,
        historical: true,
        superseded_by: None,
        jws: new.jws,
    };
    assert_eq!(store.report(&new.id).await.unwrap(), Some(stored));
    let unknown = report(9, 9, "unknown").id;
    assert_eq!(store.report(&unknown).await.unwrap(), None);
}

/// Agents 1 and 2 about each other on `a` and `b`, 3 about 1 on `a`, and one in another market.
async fn several(store: &dyn Store) -> Log {
    let mut log = Log::default();
    log.event(store, 1, "policy").await;
    let mut reports = vec![
        report(1, 2, "a"),
        report(2, 1, "a"),
        report(1, 2, "b"),
        report(2, 1, "b"),
        report(3, 1, "a"),
        report(3, 2, "c"),
    ];
    "https://other.example".clone_into(&mut reports[5].market);
    log.reports(store, 2, reports).await;
    log
}

pub(crate) async fn bodies_come_by_range_and_limit(store: Arc<dyn Store>) {
    several(&*store).await;
    let of = async |start, end, limit| indices(&store.bodies(start, end, limit).await.unwrap());
    assert_eq!(of(0, 99, 99).await, [1, 2, 3, 4, 5, 6]);
    assert_eq!(of(2, 4, 99).await, [2, 3]);
    assert_eq!(of(2, 99, 2).await, [2, 3]);
    assert!(of(7, 99, 99).await.is_empty());
}

pub(crate) async fn each_filter_selects(store: Arc<dyn Store>) {
    several(&*store).await;
    assert_eq!(
        found(&*store, |f| f.subject = Some(did(1))).await,
        [2, 4, 5]
    );
    assert_eq!(found(&*store, |f| f.reporter = Some(did(3))).await, [5, 6]);
    assert_eq!(
        found(&*store, |f| f.market = Some("https://other.example".into())).await,
        [6]
    );
    assert_eq!(
        found(&*store, |f| f.trade_id = Some("a".into())).await,
        [1, 2, 5]
    );
    assert_eq!(found(&*store, |f| f.from_index = 5).await, [5, 6]);
    assert_eq!(found(&*store, |f| f.limit = 2).await, [1, 2]);
    assert!(
        found(&*store, |f| f.subject = Some(did(9)))
            .await
            .is_empty()
    );
    assert!(
        found(&*store, |f| f.market = Some("https://none.example".into()))
            .await
            .is_empty()
    );
    assert!(
        found(&*store, |f| f.trade_id = Some("A".into()))
            .await
            .is_empty()
    );
}

pub(crate) async fn filters_combine_and_page(store: Arc<dyn Store>) {
    let _ = several(&*store).await;
    // Every combination, against what it means.
    for bits in 0..16 {
        let change = |f: &mut ReportFilter| {
            f.subject = (bits & 1 != 0).then(|| did(1));
            f.reporter = (bits & 2 != 0).then(|| did(2));
            f.market = (bits & 4 != 0).then(|| MARKET.to_owned());
            f.trade_id = (bits & 8 != 0).then(|| "b".to_owned());
        };
        let expected: Vec<u64> = (1..=6)
            .filter(|i| bits & 1 == 0 || [2, 4, 5].contains(i))
            .filter(|i| bits & 2 == 0 || [2, 4].contains(i))
            .filter(|i| bits & 4 == 0 || *i != 6)
            .filter(|i| bits & 8 == 0 || [3, 4].contains(i))
            .collect();
        assert_eq!(found(&*store, change).await, expected, "{bits:04b}");
        let mut paged = Vec::new();
        let mut from_index = 0;
        loop {
            let page = filter(|f| {
                change(f);
                (f.from_index, f.limit) = (from_index, 2);
            });
            let page = indices(&store.reports(&page).await.unwrap());
            let Some(last) = page.last() else { break };
            from_index = last + 1;
            paged.extend(page);
        }
        assert_eq!(paged, expected, "{bits:04b}");
    }
}

pub(crate) async fn both_parties_current_reports_come(store: Arc<dyn Store>) {
    several(&*store).await;
    let (one, two, three) = (did(1), did(2), did(3));
    let of = async |trade, parties, before| {
        let current = store.current_reports(MARKET, trade, parties, before).await;
        indices(&current.unwrap())
    };
    assert_eq!(of("a", [&one, &two], 99).await, [1, 2]);
    assert_eq!(of("a", [&two, &one], 99).await, [2, 1]);
    assert_eq!(of("a", [&one, &three], 99).await, [5]);
    assert!(of("z", [&one, &two], 99).await.is_empty());
    assert!(
        of("c", [&three, &two], 99).await.is_empty(),
        "another market"
    );
}

pub(crate) async fn current_reports_are_as_of_an_index(store: Arc<dyn Store>) {
    let mut log = several(&*store).await;
    log.reports(&*store, 3, vec![again(&report(1, 2, "a"), 2, 1)])
        .await;
    let (one, two) = (did(1), did(2));
    for (before, expected) in [(99, vec![7, 2]), (7, vec![1, 2]), (2, vec![1]), (1, vec![])] {
        let current = store
            .current_reports(MARKET, "a", [&one, &two], before)
            .await;
        assert_eq!(indices(&current.unwrap()), expected, "{before}");
    }
}

pub(crate) async fn the_newest_report(store: Arc<dyn Store>) {
    let mut log = several(&*store).await;
    assert_eq!(store.newest_report().await.unwrap().unwrap().index, 6);
    log.event(&*store, 3, "policy").await;
    assert_eq!(store.newest_report().await.unwrap().unwrap().index, 6);
}

async fn chain(store: &dyn Store) -> Vec<(u64, Option<u64>)> {
    let all = store.bodies(0, 99, 99).await.unwrap();
    all.iter().map(|r| (r.index, r.superseded_by)).collect()
}

pub(crate) async fn superseding_is_seen_across_commits(store: Arc<dyn Store>) {
    let mut log = Log::default();
    let first = report(1, 2, "t");
    log.reports(&*store, 1, vec![first.clone(), report(3, 2, "t")])
        .await;
    log.reports(&*store, 2, vec![report(4, 2, "t"), again(&first, 2, 0)])
        .await;
    log.reports(&*store, 3, vec![again(&first, 3, 3)]).await;
    let expected = [(0, Some(3)), (1, None), (2, None), (3, Some(4)), (4, None)];
    assert_eq!(chain(&*store).await, expected);
}

pub(crate) async fn superseding_is_seen_within_a_batch(store: Arc<dyn Store>) {
    let mut log = Log::default();
    let first = report(1, 2, "t");
    let batch = vec![first.clone(), report(2, 1, "t"), again(&first, 2, 0)];
    log.reports(&*store, 1, batch).await;
    assert_eq!(chain(&*store).await, [(0, Some(2)), (1, None), (2, None)]);
}

pub(crate) async fn a_chain_within_a_batch(store: Arc<dyn Store>) {
    let mut log = Log::default();
    let first = report(1, 2, "t");
    log.reports(&*store, 1, vec![first.clone()]).await;
    let batch = vec![
        again(&first, 2, 0),
        again(&first, 3, 1),
        again(&first, 4, 2),
    ];
    log.reports(&*store, 2, batch).await;
    let expected = [(0, Some(1)), (1, Some(2)), (2, Some(3)), (3, None)];
    assert_eq!(chain(&*store).await, expected);
}

pub(crate) async fn the_first_to_supersede_does(store: Arc<dyn Store>) {
    let mut log = Log::default();
    let first = report(1, 2, "t");
    log.reports(&*store, 1, vec![first.clone()]).await;
    log.reports(&*store, 2, vec![again(&first, 2, 0)]).await;
    // The first is replaced already; then there would be two current ones.
    let commit = log.plan(3, vec![again(&first, 3, 0)], None);
    refused(&*store, &commit).await;
    let both = log.plan(3, vec![again(&first, 4, 1), again(&first, 5, 1)], None);
    refused(&*store, &both).await;
    assert_eq!(chain(&*store).await, [(0, Some(1)), (1, None)]);
}

pub(crate) async fn a_second_current_report_is_refused(store: Arc<dyn Store>) {
    let mut log = Log::default();
    let first = report(1, 2, "t");
    log.reports(&*store, 1, vec![first.clone()]).await;
    let mut second = again(&first, 2, 0);
    second.supersedes = None;
    refused(&*store, &log.plan(2, vec![second.clone()], None)).await;
    // The other way round, on another trade, in another market: all different trades.
    let mut market = second.clone();
    (market.market, market.jti) = ("https://other.example".to_owned(), "another jti".to_owned());
    market.id = report(8, 8, "another id").id;
    log.reports(
        &*store,
        3,
        vec![report(2, 1, "t"), report(1, 2, "u"), market],
    )
    .await;
}

pub(crate) async fn an_id_is_taken_once(store: Arc<dyn Store>) {
    let mut log = Log::default();
    log.reports(&*store, 1, vec![report(1, 2, "t")]).await;
    let mut same = report(3, 4, "u");
    same.id = report(1, 2, "t").id;
    refused(&*store, &log.plan(2, vec![same.clone()], None)).await;
    let twice = vec![
        report(5, 6, "v"),
        NewReport {
            id: report(5, 6, "v").id,
            ..same
        },
    ];
    refused(&*store, &log.plan(2, twice, None)).await;
}

pub(crate) async fn a_jti_is_taken_once_a_reporter(store: Arc<dyn Store>) {
    let mut log = Log::default();
    let first = report(1, 2, "t");
    log.reports(&*store, 1, vec![first.clone()]).await;
    let with = |reporter, trade| NewReport {
        jti: first.jti.clone(),
        ..report(reporter, 2, trade)
    };
    refused(&*store, &log.plan(2, vec![with(1, "u")], None)).await;
    log.reports(&*store, 2, vec![with(3, "u")]).await;
}

pub(crate) async fn a_failure_half_way_leaves_nothing(store: Arc<dyn Store>) {
    let mut log = Log::default();
    log.reports(&*store, 1, vec![report(1, 2, "t")]).await;
    let mut new = report(7, 8, "new");
    (new.market, new.documents) = ("https://new.example".to_owned(), vec![[7; 32]]);
    let commit = log.plan(2, vec![new.clone(), report(1, 2, "t")], Some("policy"));
    refused(&*store, &commit).await;
    assert_eq!(store.report(&new.id).await.unwrap(), None);
    assert!(store.known_documents(&[[7; 32]]).await.unwrap().is_empty());
    let (seven, eight) = (did(7), did(8));
    let parties = [&seven, &eight];
    let current = store.current_reports(&new.market, "new", parties, 99).await;
    assert!(current.unwrap().is_empty());
    log.reports(&*store, 2, vec![new]).await;
}

pub(crate) async fn names_differ_by_their_bytes(store: Arc<dyn Store>) {
    let names = [
        "a",
        "A",
        "a ",
        "é",
        "e\u{301}",
        "ß",
        "ss",
        "日本",
        "🦀",
        "a\u{1}",
        "%",
        "_",
        "a'b\"c\\d",
        "\u{10ffff}",
    ];
    let mut log = Log::default();
    let reports = names.map(|name| NewReport {
        market: name.to_owned(),
        trade_id: name.to_owned(),
        jti: name.to_owned(),
        jws: name.to_owned(),
        ..report(1, 2, name)
    });
    log.reports(&*store, 1, reports.to_vec()).await;
    for (index, name) in (0..).zip(names) {
        assert_eq!(
            found(&*store, |f| f.market = Some(name.into())).await,
            [index],
            "{name}"
        );
        assert_eq!(
            found(&*store, |f| f.trade_id = Some(name.into())).await,
            [index],
            "{name}"
        );
        let report = store.report(&report(1, 2, name).id).await.unwrap().unwrap();
        assert_eq!(report.jws, name);
    }
}

pub(crate) async fn long_names_are_stored(store: Arc<dyn Store>) {
    // The longest that admission lets through, in the widest characters.
    let mut new = report(1, 2, &"🦀".repeat(128));
    (new.market, new.jti) = ("🦀".repeat(256), "🦀".repeat(128));
    new.jws = "x".repeat(16_384);
    Log::default().reports(&*store, 1, vec![new.clone()]).await;
    assert_eq!(
        found(&*store, |f| f.market = Some(new.market.clone())).await,
        [0]
    );
    assert_eq!(store.report(&new.id).await.unwrap().unwrap().jws, new.jws);
}

pub(crate) async fn a_full_batch_is_stored(store: Arc<dyn Store>) {
    let mut log = Log::default();
    for batch in 0..3_u32 {
        let new = |n: u32| NewReport {
            role: if n.is_multiple_of(2) {
                Role::Buyer
            } else {
                Role::Seller
            },
            documents: (0..n % 9)
                .map(|d| crate::fixture::hash(&format!("{batch} {n} {d}")))
                .collect(),
            ..report(n % 40, 40 + n % 7, &format!("{batch} {n}"))
        };
        log.reports(&*store, u64::from(batch), (0..256).map(new).collect())
            .await;
    }
    assert_eq!(store.bodies(0, 9999, 9999).await.unwrap().len(), 768);
    let last = store.newest_report().await.unwrap().unwrap();
    assert_eq!(last.id, report(255 % 40, 40 + 255 % 7, "2 255").id);
}

pub(crate) async fn text_with_a_nul_matches_nothing_and_is_refused(store: Arc<dyn Store>) {
    let mut log = Log::default();
    log.reports(&*store, 1, vec![report(1, 2, "t")]).await;
    let (one, two) = (did(1), did(2));
    assert!(
        found(&*store, |f| f.market = Some("\0".into()))
            .await
            .is_empty()
    );
    assert!(
        found(&*store, |f| f.trade_id = Some("t\0".into()))
            .await
            .is_empty()
    );
    let current = store.current_reports(MARKET, "t\0", [&one, &two], 9).await;
    assert!(current.unwrap().is_empty());
    assert_eq!(store.agent_of_alias("\0").await.unwrap(), None);
    assert_eq!(store.meta("\0").await.unwrap(), None);
    assert!(store.events("pol\0icy", 9).await.unwrap().is_empty());
    let with = |change: fn(&mut NewReport)| {
        let mut new = report(3, 4, "u");
        change(&mut new);
        log.plan(2, vec![new], None)
    };
    let commits = [
        with(|r| r.market.push('\0')),
        with(|r| r.trade_id.push('\0')),
        with(|r| r.jti.push('\0')),
        with(|r| r.jws.push('\0')),
    ];
    for commit in commits {
        let error = store.commit(&commit).await.unwrap_err();
        assert!(matches!(error, Error::Unsupported(_)), "{error}");
    }
    let alias = store.set_aliases(&[("a\0".to_owned(), one)]).await;
    let meta = store.set_meta("key", "\0").await;
    for refused in [alias, meta] {
        assert!(matches!(refused, Err(Error::Unsupported(_))), "{refused:?}");
    }
    assert_eq!(store.head().await.unwrap(), log.head);
}
