//! Explanations: pages of them, and which amount band is the headline.

use goodstanding_score::{Explanation, explain, score};
use goodstanding_verify::amount::Amount;

use crate::common::{Log, T0, did, policy};

/// Agent 9 sells to eight buyers, to each another number of times.
fn whole() -> Explanation {
    let mut log = Log::default();
    for buyer in 0..8 {
        for n in 0..=buyer {
            log.matched(buyer, 9, &format!("t{buyer}-{n}"), 9000);
        }
        log.matched(buyer, 8, &format!("other{buyer}"), 9000);
    }
    let policy = policy("agent-market", &[0, 1]);
    let evidence = log.evidence(&policy);
    let scores = score(&evidence, &policy, T0, None).unwrap();
    explain(&evidence, &policy, &scores, &did(9)).unwrap()
}

#[test]
fn pages_of_any_size_make_the_whole() {
    let all = whole();
    assert_eq!((all.contributions_total, all.reports_total), (8, 36));
    for contributions in [1, 2, 3, 100] {
        for reports in [1, 2, 5, 7, 1000] {
            let mut put_together = Explanation {
                contributions: Vec::new(),
                ..all.clone()
            };
            let mut from = Some(0);
            while let Some(start) = from {
                let mut page = all.clone();
                from = page.page(start, contributions, reports);
                let shown: usize = page.contributions.iter().map(|c| c.reports.len()).sum();
                assert!((1..=contributions).contains(&page.contributions.len()));
                assert!((1..=reports).contains(&shown));
                assert_eq!(from.is_none(), start + shown == 36);
                for next in page.contributions.drain(..) {
                    match put_together.contributions.last_mut() {
                        Some(last) if last.rater == next.rater => last.reports.extend(next.reports),
                        _ => put_together.contributions.push(next),
                    }
                }
                // Everything else is of all contributions.
                page.contributions = all.contributions.clone();
                assert_eq!(page, all);
            }
            assert_eq!(put_together, all, "{contributions} and {reports} a page");
        }
    }
    let mut beyond = all.clone();
    assert_eq!(beyond.page(36, 10, 10), None);
    assert_eq!(beyond.contributions, []);
}

#[test]
fn the_band_that_is_the_headline_is_named() {
    let mut log = Log::default();
    for buyer in 0..8 {
        for (n, (amount, quality)) in [("0.5", 9500), ("0.7", 9500), ("500", 6500), ("600", 6500)]
            .into_iter()
            .enumerate()
        {
            let place = log.matched(buyer, 9, &format!("t{buyer}-{n}"), quality);
            for place in [place, place + 1] {
                log.report(place).trade.amount = Amount::parse(amount).unwrap();
            }
        }
        for other in [10, 11, 12, 13] {
            log.matched(buyer, other, &format!("other{buyer}-{other}"), 9000);
        }
    }
    let mut policy = policy("agent-market", &[0, 1]);
    // A value split would be the lower one.
    policy.scoring.value_gap_bp = 10_000;
    policy.scoring.band_evidence_milli = 500;
    let evidence = log.evidence(&policy);
    let scores = score(&evidence, &policy, T0, None).unwrap();
    let why = explain(&evidence, &policy, &scores, &did(9)).unwrap();
    assert_eq!(why.headline_from, "amount_band");
    assert_eq!(why.headline_band_from_milli, Some(100_000));
    let of_other = explain(&evidence, &policy, &scores, &did(10)).unwrap();
    assert_eq!(
        of_other.headline_band_from_milli.is_some(),
        of_other.headline_from == "amount_band"
    );
}
