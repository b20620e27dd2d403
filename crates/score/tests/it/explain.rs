//! Pages of explanations.

use goodstanding_score::{Explanation, explain, score};

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
