//! Whatever the parameters: a market that can be imported, or a reason with a code.

use std::collections::BTreeSet;

use goodstanding_simulate::{Attack, AttackKind, Habits, Market, Parameters};
use proptest::prelude::*;

use crate::support::made;

/// Within the allowed ranges, no larger than a test can wait for.
const LIMITS: &[(&str, f64, f64)] = &[
    ("size", 0.0, 40.0),
    ("groups", 0.0, 6.0),
    ("intensity", 0.01, 5.0),
    ("camouflage", 0.0, 0.98),
    ("from", -1.0, 0.95),
    ("duration", 0.0, 1000.0),
    ("spread", 0.0, 1000.0),
    ("likeness", 0.0, 1.0),
    ("mix", 0.0, 1.0),
];

fn attack() -> impl Strategy<Value = Attack> {
    let part = |p: &'static [(&'static str, f64, f64)]| {
        p.iter()
            .map(|(_, low, high)| *low..=*high)
            .collect::<Vec<_>>()
    };
    (0..AttackKind::ALL.len(), part(LIMITS)).prop_map(|(kind, values)| {
        let settings: Vec<String> = LIMITS
            .iter()
            .zip(values)
            .map(|((name, ..), v)| format!("{name}={v}"))
            .collect();
        let text = format!("{}:{}", AttackKind::ALL[kind], settings.join(","));
        Attack::parse(&text).unwrap().remove(0)
    })
}

fn habits() -> impl Strategy<Value = Habits> {
    (any::<u64>(), 0..Habits::PARAMETERS.len(), any::<bool>()).prop_map(|(seed, which, top)| {
        // One parameter at an end of its whole range, where the rest allows it.
        let habits = Habits::random(seed);
        let parameter = &Habits::PARAMETERS[which];
        let value = if top { parameter.high } else { parameter.low };
        let days = parameter.name == "days" && top;
        let lines: Vec<String> = Habits::PARAMETERS
            .iter()
            .map(|p| {
                let own = if p.name == parameter.name && !days {
                    value
                } else {
                    p.of(&habits)
                };
                format!("{} = {own:?}", p.name)
            })
            .collect();
        Habits::parse(&lines.join("\n")).unwrap_or(habits)
    })
}

/// `^(0|[1-9][0-9]{0,8})(\.[0-9]{1,9})?$`, more than 0.
fn is_amount(text: &str) -> bool {
    let (whole, part) = text
        .split_once('.')
        .map_or((text, None), |(w, p)| (w, Some(p)));
    let digits = |t: &str| !t.is_empty() && t.len() <= 9 && t.bytes().all(|b| b.is_ascii_digit());
    digits(whole)
        && (whole == "0" || !whole.starts_with('0'))
        && part.is_none_or(digits)
        && text.parse::<f64>().is_ok_and(|x| x > 0.0)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn possible_parameters_make_a_market_that_can_be_imported(
        seed: u64, agents in 300_usize..500, density in 1_u64..12, habits in habits(), attacks in proptest::collection::vec(attack(), 0..3),
    ) {
        let parameters = Parameters { agents, trades: u64::try_from(agents).unwrap() * density, seed, habits, attacks, ..Parameters::default() };
        if let Err(error) = Market::new(parameters.clone()) {
            prop_assert_eq!(error.code().as_str(), "simulate.parameters_contradict", "{}", error);
            return Ok(());
        }
        let made = made(parameters.clone());
        let mut told = BTreeSet::new();
        let mut last = made.begin;
        for row in &made.rows {
            prop_assert!(row.time() >= last && row.time() < parameters.end, "{:?}", row);
            last = row.time();
            prop_assert!(row.get("reporter") != row.get("subject"));
            prop_assert!(told.insert((row.get("reporter"), row.get("trade_id"))), "twice: {:?}", row);
            prop_assert!(is_amount(row.get("amount")), "{:?}", row);
            prop_assert!(row.get("reserve").is_empty() || is_amount(row.get("reserve")), "{:?}", row);
            let rated = row.quality();
            prop_assert!(rated.is_some() || !["fulfilled", "partial"].contains(&row.get("status")));
            prop_assert!(rated.is_none_or(|q| (0.0..=1.0).contains(&q)));
            prop_assert!(row.bidders().len() <= 64);
            prop_assert!(row.by_buyer() || row.get("on_time").is_empty());
        }
        // With few reports of few trades a market may be nearly silent, never quite.
        prop_assert!(!made.rows.is_empty());
    }
}

#[test]
fn impossible_parameters_are_refused_by_name() {
    type Change = fn(&mut Parameters);
    let refused = |change: fn(&mut Parameters)| {
        let mut parameters = Parameters::default();
        change(&mut parameters);
        let error = Market::new(parameters).unwrap_err();
        (error.code().as_str(), error.to_string())
    };
    let changes: [(Change, &str); 6] = [
        (|p| p.agents = 299, "agents"),
        (|p| p.agents = 100_001, "agents"),
        (|p| p.trades = 1999, "trades"),
        (|p| p.habits.loyalty = 1.5, "loyalty"),
        (|p| p.end = 5, "end"),
        (
            |p| {
                let mut attack = Attack::usual(AttackKind::Slander);
                attack.mix = -1.0;
                p.attacks.push(attack);
            },
            "slander mix",
        ),
    ];
    for (change, name) in changes {
        let (code, text) = refused(change);
        assert_eq!(code, "simulate.parameter_out_of_range");
        assert!(text.starts_with(&format!("{name} is ")), "{text}");
    }
    let (code, text) = refused(|p| {
        // The first attack turns every seller there is, and the second finds nobody.
        p.attacks = Attack::parse("closed_loop:groups=900,from=0.9").unwrap();
        p.attacks.extend(Attack::parse("on_off:from=0.9").unwrap());
    });
    assert_eq!(code, "simulate.parameters_contradict");
    assert!(text.starts_with("on_off: not enough agents"), "{text}");
    let (code, text) = refused(|p| {
        p.habits.auction = 0.0;
        p.attacks = Attack::parse("bidding_war").unwrap();
    });
    assert_eq!(code, "simulate.parameters_contradict");
    assert!(text.starts_with("bidding_war needs a market"), "{text}");
}
