//! Each attack does what it should before anybody defends, and its labels say who did it.

use std::collections::BTreeSet;

use goodstanding_simulate::AttackKind;

use crate::support::{Made, made, parameters, plain, real};

/// A market with an attack, and the same without.
fn both(attack: &str) -> (Made, Made) {
    let habits = || plain(|_| {});
    (
        made(parameters(21, habits(), &[attack])),
        made(parameters(21, habits(), &[])),
    )
}

/// By how much the plain means of these agents changed, in the mean over those with five ratings before.
fn raised(with: &Made, without: &Made, agents: &[&goodstanding_simulate::Label]) -> f64 {
    let (now, before) = (with.means(), without.means());
    let changes: Vec<f64> = agents
        .iter()
        .filter_map(|l| {
            let (mean, n) = before.get(l.agent.as_str())?;
            (*n >= 5.0).then(|| now[l.agent.as_str()].0 - mean)
        })
        .collect();
    assert!(!changes.is_empty());
    changes.iter().sum::<f64>() / real(changes.len())
}

#[test]
fn praise_raises_the_mean_of_whom_it_is_for() {
    for (attack, label, least) in [
        ("sybil_ring:groups=6", "sybil_ring", 0.1),
        ("adaptive:groups=6", "adaptive", 0.05),
        ("reciprocal_boost:groups=3", "reciprocal", 0.1),
        ("wash_cycle:groups=3", "wash_cycle", 0.06),
    ] {
        let (with, without) = both(attack);
        let up = raised(&with, &without, &with.with(label, "principal"));
        assert!(up > least, "{attack}: {up}");
    }
}

#[test]
fn slander_lowers_its_victims_and_hoarding_its_rivals() {
    for attack in ["slander:groups=4", "reputation_hoarding:groups=4"] {
        let (with, without) = both(attack);
        let victims: Vec<_> = with
            .labels
            .values()
            .filter(|l| !l.victim_of.is_empty())
            .collect();
        assert!(victims.len() >= 3, "{attack}: {}", victims.len());
        let groups: BTreeSet<&str> = with.labels.values().map(|l| l.group.as_str()).collect();
        for victim in &victims {
            assert!(victim.attack == "honest" && groups.contains(victim.victim_of.as_str()));
        }
        let down = raised(&with, &without, &victims);
        assert!(down < -0.03, "{attack}: {down}");
    }
}

#[test]
fn who_delivers_badly_delivered_less() {
    for (attack, label) in [
        ("on_off:groups=10", "on_off"),
        ("quality_lie:groups=10", "data_lie"),
        ("micro_farm:groups=6", "micro_farm"),
    ] {
        let (with, without) = both(attack);
        let principals = with.with(label, "principal");
        let lost: f64 = principals
            .iter()
            .map(|l| {
                without.labels[&l.agent].delivered_quality_by_amount - l.delivered_quality_by_amount
            })
            .sum::<f64>()
            / real(principals.len());
        assert!(lost > 0.02, "{attack}: {lost}");
        if label == "micro_farm" {
            let shown: f64 = principals
                .iter()
                .map(|l| with.means()[l.agent.as_str()].0 - l.delivered_quality_by_amount)
                .sum();
            assert!(shown / real(principals.len()) > 0.25, "{shown}");
        }
        if label == "data_lie" {
            let liars: BTreeSet<&str> = principals.iter().map(|l| l.agent.as_str()).collect();
            let gap = |lying: bool| {
                let mut claims: Vec<f64> = Vec::new();
                let told = with
                    .rows
                    .iter()
                    .filter(|r| !r.by_buyer() && liars.contains(r.get("reporter")) == lying);
                for row in told {
                    let claim: f64 = row.get("claimed_quality_bp").parse().unwrap_or(f64::NAN);
                    if claim.is_finite() {
                        claims
                            .push(claim / 1e4 - with.labels[row.get("reporter")].delivered_quality);
                    }
                }
                claims.iter().sum::<f64>() / real(claims.len())
            };
            assert!(
                gap(true) > gap(false).abs() + 0.05,
                "{} {}",
                gap(true),
                gap(false)
            );
        }
    }
}

#[test]
fn whitewashers_come_back_one_after_the_other() {
    let (with, _) = both("whitewash:groups=3,size=6");
    for number in 0..3 {
        let group = format!("whitewash_{number}");
        let mut names: Vec<_> = with.labels.values().filter(|l| l.group == group).collect();
        names.sort_by_key(|l| (l.attack_role != "principal", l.join_time));
        assert!(names.len() >= 4, "{}", names.len());
        assert_eq!(names[0].attack_role, "principal");
        let spans: Vec<(u64, u64)> = names
            .iter()
            .filter_map(|l| {
                let times = with
                    .rows
                    .iter()
                    .filter(|r| r.by_buyer() && r.get("subject") == l.agent)
                    .map(crate::support::Row::time);
                Some((times.clone().min()?, times.max()?))
            })
            .collect();
        assert!(
            spans.windows(2).all(|w| w[0].1 <= w[1].0 + 86_400),
            "{spans:?}"
        );
        assert!(
            names[1..]
                .iter()
                .all(|l| l.newcomer && l.attack_role == "reentry" && l.latent_quality < 0.25)
        );
    }
}

#[test]
fn prices_and_bids_are_bent() {
    let median = |mut all: Vec<f64>| {
        all.sort_by(f64::total_cmp);
        all[all.len() / 2]
    };
    let (with, _) = both("bidding_war:groups=4");
    let bidders: BTreeSet<&str> = with
        .with("bid_war", "bidder")
        .iter()
        .map(|l| l.agent.as_str())
        .collect();
    let paid = |war: bool| {
        median(
            with.rows
                .iter()
                .filter(|r| {
                    r.by_buyer()
                        && r.get("kind") == "compute_auction"
                        && (r.get("bids").matches(':').count() > 5) == war
                        && bidders.contains(r.get("reporter")) == war
                })
                .map(|r| r.amount() / r.get("units").parse::<f64>().unwrap())
                .collect(),
        )
    };
    assert!(
        paid(true) > 1.7 * paid(false),
        "{} {}",
        paid(true),
        paid(false)
    );

    let (with, _) = both("shill_bidding:groups=4");
    let shills: BTreeSet<&str> = with
        .with("shill", "shill")
        .iter()
        .map(|l| l.agent.as_str())
        .collect();
    let sellers: BTreeSet<&str> = with
        .with("shill", "principal")
        .iter()
        .map(|l| l.agent.as_str())
        .collect();
    let mut lost = 0;
    for row in with.rows.iter().filter(|r| r.by_buyer()) {
        if row.bidders().iter().any(|b| shills.contains(b)) {
            lost += 1;
            assert!(sellers.contains(row.get("subject")) && !shills.contains(row.get("reporter")));
        }
    }
    assert!(lost > 20, "{lost}");

    let (with, without) = both("price_fixing:groups=3");
    let members = with.with("cartel", "cartel_member");
    assert!(members.len() >= 9);
    let rotating: BTreeSet<&str> = members
        .iter()
        .filter(|l| l.group != "cartel_2")
        .map(|l| l.agent.as_str())
        .collect();
    let covers = with
        .rows
        .iter()
        .filter(|r| r.by_buyer() && rotating.contains(r.get("subject")));
    let covered = covers
        .filter(|r| {
            r.bidders()
                .iter()
                .filter(|b| rotating.contains(**b))
                .count()
                >= 2
        })
        .count();
    assert!(covered > 40, "{covered}");
    // Posted: many purchases within half a per cent of 1.25 times the list, which without the agreement are rare.
    let posting: BTreeSet<&str> = members
        .iter()
        .filter(|l| l.group == "cartel_2")
        .map(|l| l.agent.as_str())
        .collect();
    let unit = |made: &Made| {
        median(
            made.rows
                .iter()
                .filter(|r| {
                    r.by_buyer()
                        && r.get("kind") == "purchase"
                        && posting.contains(r.get("subject"))
                        && r.get("units").parse::<f64>().unwrap() > 20.0
                })
                .map(|r| r.amount() / r.get("units").parse::<f64>().unwrap())
                .collect(),
        )
    };
    assert!(
        unit(&with) > 1.08 * unit(&without),
        "{} {}",
        unit(&with),
        unit(&without)
    );
}

#[test]
fn insiders_keep_to_themselves_while_it_lasts() {
    let (with, _) = both("closed_loop:groups=2,from=0.3,duration=60,camouflage=0.1");
    let inside: BTreeSet<&str> = with
        .with("closed_loop", "insider")
        .iter()
        .map(|l| l.agent.as_str())
        .collect();
    let count = |during: bool, newcomers: bool| {
        with.rows
            .iter()
            .filter(|r| {
                let day = with.day(r.time());
                let buyer = r.get("reporter");
                let insider = inside.contains(buyer);
                let to_whom = if newcomers {
                    with.labels[buyer].newcomer && !insider
                } else {
                    insider
                };
                r.by_buyer()
                    && inside.contains(r.get("subject"))
                    && to_whom
                    && (54.0..114.0).contains(&day) == during
            })
            .count()
    };
    assert!(
        count(true, false) > 5 * count(false, false).max(1),
        "{}",
        count(true, false)
    );
    // Twice the days, but hardly any sale to a newcomer while the loop is closed.
    assert!(
        count(true, true) * 6 < count(false, true).max(6),
        "{} {}",
        count(true, true),
        count(false, true)
    );
}

#[test]
fn parameters_do_what_they_say() {
    let sybils = |text: &str| made(parameters(21, plain(|_| {}), &[text]));
    let many = sybils("sybil_ring:groups=2,size=40");
    assert_eq!(many.with("sybil_ring", "principal").len(), 2);
    let count = many.with("sybil_ring", "sybil").len();
    assert!((60..=100).contains(&count), "{count}");

    let rows_of = |made: &Made| -> Vec<(bool, f64)> {
        let own: BTreeSet<&str> = made
            .with("sybil_ring", "sybil")
            .iter()
            .map(|l| l.agent.as_str())
            .collect();
        let boss: BTreeSet<&str> = made
            .with("sybil_ring", "principal")
            .iter()
            .map(|l| l.agent.as_str())
            .collect();
        made.rows
            .iter()
            .filter(|r| r.by_buyer() && own.contains(r.get("reporter")))
            .map(|r| (boss.contains(r.get("subject")), made.day(r.time())))
            .collect()
    };
    let share = |text: &str| {
        let rows = rows_of(&sybils(text));
        real(rows.iter().filter(|r| !r.0).count()) / real(rows.len())
    };
    assert!((share("sybil_ring:groups=3,camouflage=0.6,mix=0") - 0.6).abs() < 0.06);
    assert!(share("sybil_ring:groups=3,camouflage=0,mix=0") < 1e-9);

    let timed = sybils("sybil_ring:groups=3,from=0.5,duration=20");
    assert!(
        rows_of(&timed)
            .iter()
            .all(|(_, day)| (90.0..111.0).contains(day))
    );
    let weak = rows_of(&sybils("sybil_ring:groups=3,intensity=1")).len();
    let strong = rows_of(&sybils("sybil_ring:groups=3,intensity=3")).len();
    assert!(strong > 2 * weak, "{weak} {strong}");

    let joins = |text: &str| {
        let made = sybils(text);
        let all: Vec<f64> = made
            .with("sybil_ring", "sybil")
            .iter()
            .map(|l| made.day(l.join_time))
            .collect();
        all.iter().copied().fold(0.0, f64::max) - all.iter().copied().fold(f64::MAX, f64::min)
    };
    assert!(joins("sybil_ring:groups=1,size=30,from=0.6,spread=1") < 3.0);
    assert!(joins("sybil_ring:groups=1,size=30,from=0.6,spread=90") > 60.0);

    // As of a good seller: failures and middling ratings among the praise.
    let perfect = |text: &str| {
        let made = sybils(text);
        let own: BTreeSet<&str> = made
            .with("sybil_ring", "sybil")
            .iter()
            .map(|l| l.agent.as_str())
            .collect();
        let all: Vec<f64> = made
            .rows
            .iter()
            .filter(|r| r.by_buyer() && own.contains(r.get("reporter")))
            .filter_map(crate::support::Row::quality)
            .collect();
        real(all.iter().filter(|q| **q > 0.92).count()) / real(all.len())
    };
    assert!(perfect("sybil_ring:groups=3,camouflage=0,mix=0") > 0.99);
    assert!(perfect("sybil_ring:groups=3,camouflage=0,likeness=1,mix=0") < 0.7);

    let mixed = sybils("sybil_ring:groups=4,mix=1");
    assert!(
        mixed
            .labels
            .values()
            .any(|l| l.victim_of.starts_with("sybil_ring_"))
    );
}

#[test]
fn labels_agree_with_the_trades() {
    let habits = plain(|h| h.trap_traffic = 0.2);
    let made = made(parameters(8, habits, &["all"]));
    let mut sold: std::collections::BTreeMap<&str, BTreeSet<&str>> =
        std::collections::BTreeMap::new();
    for row in &made.rows {
        let seller = if row.by_buyer() {
            row.get("subject")
        } else {
            row.get("reporter")
        };
        sold.entry(seller).or_default().insert(row.get("trade_id"));
        for agent in [row.get("reporter"), row.get("subject")]
            .into_iter()
            .chain(row.bidders())
        {
            assert!(made.labels.contains_key(agent), "{agent}");
        }
        for agent in [row.get("reporter"), row.get("subject")] {
            assert!(made.labels[agent].join_time <= row.time(), "{row:?}");
        }
    }
    let kinds: BTreeSet<&str> = made.labels.values().map(|l| l.attack).collect();
    let want: BTreeSet<&str> = AttackKind::ALL
        .iter()
        .map(|k| k.label())
        .chain(["honest"])
        .collect();
    assert_eq!(kinds, want);
    for label in made.labels.values() {
        let n = sold.get(label.agent.as_str()).map_or(0, BTreeSet::len);
        // The bends may leave a trade that nobody tells; here everybody tells everything.
        assert_eq!(usize::try_from(label.n_sold).unwrap(), n, "{label:?}");
        for share in [
            label.latent_quality,
            label.quality_start,
            label.delivered_quality,
            label.delivered_quality_by_amount,
        ] {
            assert!((0.0..=1.0).contains(&share));
        }
        assert_eq!(label.attack == "honest", label.attack_role.is_empty());
        if label.attack != "honest" {
            assert!(label.honest_cluster.is_empty() && label.group.starts_with(label.attack));
        }
    }
}
