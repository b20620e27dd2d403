//! The same parameters, the same bytes; other attacks, the same honest trades.

use std::{collections::BTreeSet, fmt::Write as _};

use goodstanding_simulate::{FAMILIES, Habits, Market, write_labels};
use sha2::{Digest as _, Sha256};

use crate::support::{made, parameters};

/// SHA-256 of reports and labels of a small market with every attack.
fn hash(habits: Habits) -> String {
    let market = Market::new(parameters(7, habits, &["all"])).unwrap();
    let mut all = Vec::new();
    let told = market.write_reports(&mut all).unwrap();
    write_labels(&told.labels, &mut all).unwrap();
    market.write_parameters(&mut all).unwrap();
    all.extend(market.seeds().join(",").bytes());
    let mut hex = String::new();
    for byte in Sha256::digest(&all) {
        write!(hex, "{byte:02x}").unwrap();
    }
    hex
}

#[test]
fn golden_markets_are_what_they_were() {
    // A change here means that every market of every seed is another one: say so in CHANGELOG.md.
    let want = [
        (
            "step-multiplicative",
            "9846b9f436d78ca6928ce0c4035376789994a8d3b1743406a528c2c446b5cb15",
        ),
        (
            "gradual-additive",
            "85991155b62ca9ed86c15d513ecbf54b27fe70e2d709b0770ae9f40822659a36",
        ),
        (
            "auctions",
            "32b40d18708f6f384fed832291e09b68c5adfe4473f08ac81a8e0204c1705797",
        ),
    ];
    let got: Vec<(&str, String)> = want
        .iter()
        .map(|(name, _)| (*name, hash(Habits::named(name, 0).unwrap())))
        .collect();
    assert_eq!(got, want.map(|(name, hash)| (name, hash.to_owned())));
}

#[test]
fn seeds_and_families_make_different_markets() {
    let mut seen = BTreeSet::new();
    for family in FAMILIES {
        assert!(seen.insert(hash(Habits::named(family.name, 0).unwrap())));
    }
    let one = made(parameters(1, Habits::default(), &[]));
    let two = made(parameters(2, Habits::default(), &[]));
    assert!(one.text != two.text && one.seeds != two.seeds);
    assert!(
        one.labels
            .keys()
            .all(|agent| !two.labels.contains_key(agent))
    );
}

/// Attacks are laid over the honest world: what concerns no attacker is there to the letter.
#[test]
fn the_honest_world_is_the_same_beneath_any_attack() {
    let none = made(parameters(5, Habits::default(), &["none"]));
    assert!(none.labels.values().all(|l| l.attack == "honest"));
    for attacks in [
        "all",
        "sybil_ring:groups=3",
        "all:mix=1,likeness=1,spread=90,camouflage=0.5",
    ] {
        let all = made(parameters(5, Habits::default(), &[attacks]));
        assert_eq!(all.seeds, none.seeds);
        let lines: BTreeSet<String> = all.rows.iter().map(crate::support::Row::line).collect();
        let honest = |agent: &str| all.labels[agent].attack == "honest";
        let mut compared = 0;
        for row in &none.rows {
            let (reporter, subject) = (row.get("reporter"), row.get("subject"));
            if honest(reporter) && honest(subject) {
                assert!(lines.contains(&row.line()), "{attacks}: {row:?}");
                compared += 1;
            }
        }
        assert!(compared * 3 > none.rows.len(), "{attacks}: {compared}");
        for (agent, label) in &none.labels {
            let now = &all.labels[agent];
            assert!(
                (now.latent_quality - label.latent_quality).abs() < 1e-9
                    || now.attack == "whitewash"
            );
            assert_eq!(now.join_time, label.join_time);
        }
    }
}
