//! The honest world has the habits that it was given.

use std::collections::{BTreeMap, BTreeSet};

use goodstanding_simulate::{FAMILIES, Habits};

use crate::support::{Made, five_sigma, made, parameters, plain, real};

const TRADES: f64 = 12_000.0;
const AGENTS: f64 = 400.0;

fn honest(change: impl FnOnce(&mut Habits)) -> Made {
    made(parameters(11, plain(change), &[]))
}

/// The share of rows for which it holds, among those where it can.
fn share(made: &Made, of: impl Fn(&crate::support::Row) -> Option<bool>) -> f64 {
    let seen: Vec<bool> = made.rows.iter().filter_map(of).collect();
    real(seen.iter().filter(|yes| **yes).count()) / real(seen.len())
}

#[test]
fn as_many_trades_and_agents_as_asked_for() {
    for family in FAMILIES {
        let habits = Habits {
            buyer_reports: 1.0,
            ..Habits::named(family.name, 0).unwrap()
        };
        let made = made(parameters(3, habits, &[]));
        assert_eq!(made.trades(), 12_000, "{}", family.name);
        assert_eq!(made.labels.len(), 400, "{}", family.name);
        assert!(made.seeds.len() >= 5, "{}", family.name);
        for seed in &made.seeds {
            let label = &made.labels[seed];
            assert!(label.attack == "honest" && label.role != "seller" && !label.newcomer);
        }
    }
}

#[test]
fn kinds_have_their_shares() {
    for family in FAMILIES {
        let h = Habits::named(family.name, 0).unwrap();
        let (weights, sum) = (
            [
                ("data_swap", h.swap),
                ("purchase", h.purchase),
                ("compute_auction", h.auction),
                ("service", h.service),
            ],
            h.swap + h.purchase + h.auction + h.service,
        );
        let made = made(parameters(
            3,
            Habits {
                trap_traffic: 0.0,
                flash: 0.0,
                buyer_reports: 1.0,
                ..h
            },
            &[],
        ));
        for (kind, weight) in weights {
            let got = share(&made, |r| r.by_buyer().then(|| r.get("kind") == kind));
            let want = weight / sum;
            assert!(
                (got - want).abs() <= five_sigma(want, TRADES),
                "{} {kind}: {got} instead of {want}",
                family.name
            );
        }
    }
}

#[test]
fn agents_are_what_the_shares_say() {
    let made = honest(|h| {
        (h.sellers, h.both, h.newcomers, h.venues) = (0.3, 0.3, 0.4, 1.0);
    });
    let labels = made.labels.values();
    let count = |fits: fn(&goodstanding_simulate::Label) -> bool| {
        real(labels.clone().filter(|l| fits(l)).count()) / AGENTS
    };
    let close = |got: f64, want: f64, slack: f64| {
        assert!(
            (got - want).abs() <= five_sigma(want, AGENTS) + slack,
            "{got} {want}"
        );
    };
    close(count(|l| l.role == "seller"), 0.3, 0.0);
    close(count(|l| l.role == "both"), 0.3, 0.0);
    // Up to eight founders of each of four markets were made old.
    close(count(|l| l.newcomer), 0.4, 32.0 / AGENTS);
}

#[test]
fn reports_are_made_as_often_as_the_habits_say() {
    let made = honest(|h| {
        (h.buyer_reports, h.seller_reports) = (0.6, 0.3);
        h.countersigned = 0.2;
    });
    let buyers = real(made.rows.iter().filter(|r| r.by_buyer()).count()) / TRADES;
    let sellers = real(made.rows.iter().filter(|r| !r.by_buyer()).count()) / TRADES;
    let countersigned = share(&made, |r| Some(r.get("level") == "countersigned"));
    for (got, want, draws) in [
        (buyers, 0.6, TRADES),
        (sellers, 0.3, TRADES),
        (countersigned, 0.2, real(made.rows.len())),
    ] {
        assert!(
            (got - want).abs() <= five_sigma(want, draws),
            "{got} {want}"
        );
    }
}

#[test]
fn the_unhappy_report_more_where_they_do() {
    let low = |unhappy: f64| {
        let made = honest(|h| (h.buyer_reports, h.unhappy) = (0.3, unhappy));
        let bad = made.rows.iter().filter(|r| r.by_buyer());
        real(
            bad.clone()
                .filter(|r| r.quality().is_some_and(|q| q < 0.5))
                .count(),
        )
    };
    // The same trades; three times the chance of being told.
    let (usual, more) = (low(1.0), low(3.0));
    assert!((2.4..3.7).contains(&(more / usual)), "{usual} {more}");
}

#[test]
fn demand_follows_reputation_as_far_as_it_should() {
    let gain = |pull: f64| {
        let made = honest(|h| {
            (h.reputation_pull, h.loyalty, h.seller_skew) = (pull, 0.0, 0.0);
            (h.newcomers, h.exits, h.drift_step) = (0.0, 0.0, 0.0);
        });
        let sellers: Vec<_> = made.labels.values().filter(|l| l.role != "buyer").collect();
        let sold: f64 = sellers.iter().map(|l| real(l.n_sold)).sum();
        let by_sales: f64 = sellers
            .iter()
            .map(|l| l.latent_quality * real(l.n_sold) / sold)
            .sum();
        let plain: f64 =
            sellers.iter().map(|l| l.latent_quality).sum::<f64>() / real(sellers.len());
        by_sales - plain
    };
    let (blind, half, keen) = (gain(0.0), gain(0.5), gain(1.0));
    assert!(blind.abs() < 0.03, "{blind}");
    assert!(
        half > blind + 0.04 && keen > half + 0.04,
        "{blind} {half} {keen}"
    );
}

#[test]
fn ratings_are_what_raters_and_steps_make_them() {
    let ratings = |change: fn(&mut Habits)| -> BTreeSet<u32> {
        let made = honest(change);
        made.rows
            .iter()
            .filter(|r| r.by_buyer())
            .filter_map(|r| r.get("quality_bp").parse().ok())
            .collect()
    };
    let extreme = ratings(|h| (h.extreme, h.lenient, h.harsh, h.erratic) = (1.0, 0.0, 0.0, 0.0));
    assert_eq!(extreme, BTreeSet::from([0, 10_000]));
    let stars = ratings(|h| h.rating_step = 0.25);
    assert_eq!(stars, BTreeSet::from([0, 2500, 5000, 7500, 10_000]));
    let mean = |change: fn(&mut Habits)| {
        let made = honest(change);
        let all: Vec<f64> = made
            .rows
            .iter()
            .filter(|r| r.by_buyer())
            .filter_map(crate::support::Row::quality)
            .collect();
        all.iter().sum::<f64>() / real(all.len())
    };
    let usual = mean(|h| (h.lenient, h.harsh, h.erratic) = (0.0, 0.0, 0.0));
    assert!(mean(|h| (h.lenient, h.harsh, h.erratic) = (1.0, 0.0, 0.0)) > usual + 0.04);
    assert!(mean(|h| (h.lenient, h.harsh, h.erratic) = (0.0, 1.0, 0.0)) < usual - 0.1);
}

#[test]
fn currencies_batches_and_claims() {
    let made = honest(|h| {
        (h.foreign, h.unlisted, h.batched, h.batch_hours, h.claims) = (1.0, 1.0, 1.0, 6.0, 0.0);
    });
    for row in &made.rows {
        assert!(["GPUH", "JPYC"].contains(&row.get("currency")), "{row:?}");
        if row.get("kind") == "purchase" {
            assert_eq!((row.time() - made.begin) % 21_600, 21_599);
        }
        assert_eq!(row.get("claimed_quality_bp"), "");
    }
    let claiming = honest(|h| h.claims = 1.0);
    assert!(
        claiming
            .rows
            .iter()
            .all(|r| r.by_buyer() == r.get("claimed_quality_bp").is_empty())
    );
    assert!(
        claiming
            .rows
            .iter()
            .all(|r| ["USDC", "CREDIT"].contains(&r.get("currency")))
    );
}

#[test]
fn quality_moves_in_every_way() {
    for (drift, moves) in [
        ("drift_step", true),
        ("drift_steps", true),
        ("drift_gradual", true),
        ("drift_dip", false),
    ] {
        let habits = Habits::parse(&format!(
            "{drift} = 1.0\n{}",
            if drift == "drift_step" {
                ""
            } else {
                "drift_step = 0.0"
            }
        ))
        .unwrap();
        let made = made(parameters(4, habits, &[]));
        let all: Vec<_> = made.labels.values().filter(|l| l.role != "buyer").collect();
        let moved = all
            .iter()
            .filter(|l| (l.latent_quality - l.quality_start).abs() > 0.02);
        let known = all.iter().filter(|l| l.drift_day.is_some()).count();
        assert!(known * 10 > all.len() * 7, "{drift}: {known}");
        assert_eq!(moved.count() * 2 > all.len(), moves, "{drift}");
    }
}

#[test]
fn every_trap_is_there_with_its_label_and_its_trades() {
    let habits = Habits {
        resellers: 0.03,
        cooperatives: 0.05,
        bulk: 0.03,
        orchestrators: 0.02,
        extreme: 0.1,
        flash: 0.01,
        tight_venues: 1.0,
        both: 0.45,
        ..Habits::default()
    };
    let made = made(parameters(6, habits, &[]));
    let mut clusters: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for label in made
        .labels
        .values()
        .filter(|l| !l.honest_cluster.is_empty())
    {
        assert_eq!(label.group, label.honest_cluster);
        let (name, number) = label.honest_cluster.rsplit_once('_').unwrap();
        assert!(number.parse::<u32>().is_ok());
        clusters.entry(name).or_default().insert(&label.agent);
    }
    let names: Vec<&str> = clusters.keys().copied().collect();
    assert_eq!(
        names,
        [
            "hc_barter",
            "hc_bulk",
            "hc_chain",
            "hc_clique",
            "hc_coop",
            "hc_erratic",
            "hc_extreme",
            "hc_flash",
            "hc_harsh",
            "hc_lenient",
            "hc_orchestrator",
            "hc_promo",
            "hc_reseller",
            "hc_surge",
            "hc_tight"
        ]
    );
    let within = |trap: &str| {
        let cluster = |agent: &str| made.labels[agent].honest_cluster.clone();
        let bought = made.rows.iter().filter(|r| {
            r.by_buyer()
                && cluster(r.get("reporter")).starts_with(trap)
                && cluster(r.get("reporter")) == cluster(r.get("subject"))
        });
        bought.count()
    };
    for trap in ["hc_barter", "hc_bulk", "hc_chain", "hc_clique", "hc_coop"] {
        assert!(within(trap) > 20, "{trap}: {}", within(trap));
    }
    let swaps = made.rows.iter().filter(|r| !r.get("swap_id").is_empty());
    assert!(swaps.count() > 40);
    let parts = made
        .rows
        .iter()
        .filter(|r| r.get("resource").starts_with("part of t"));
    assert!(parts.clone().count() > 20);
    let ids: BTreeSet<&str> = made.rows.iter().map(|r| r.get("trade_id")).collect();
    let found = parts
        .clone()
        .filter(|r| ids.contains(&r.get("resource")[8..]))
        .count();
    assert!(found * 10 > parts.count() * 9);
    // A flash crowd: half of a seller's sales within three days.
    let crowds = made
        .labels
        .values()
        .filter(|l| l.honest_cluster.starts_with("hc_flash"));
    for seller in crowds {
        let mut times: Vec<u64> = made
            .rows
            .iter()
            .filter(|r| r.by_buyer() && r.get("subject") == seller.agent)
            .map(crate::support::Row::time)
            .collect();
        times.sort_unstable();
        let most = times
            .iter()
            .map(|t| {
                times
                    .iter()
                    .filter(|u| (*t..t + 3 * 86_400).contains(u))
                    .count()
            })
            .max();
        assert!(
            most.unwrap_or(0) * 3 > times.len(),
            "{seller:?} {most:?} of {}",
            times.len()
        );
    }
}
