//! The Python reference of `tests/reference` is written from `docs/SCORING.md` and not from this crate. Both have to come to the same
//! integers for whatever is reported.

use std::{
    io::Write as _,
    path::PathBuf,
    process::{Command, Stdio},
};

use goodstanding_score::{
    evidence::{Admitted, Evidence},
    policy::{PRESETS, Policy},
    score,
};
use goodstanding_verify::{
    amount::Amount,
    report::{Evidence as Document, Report, Role, Status, TradeKind},
};
use proptest::{prelude::*, strategy::ValueTree as _, test_runner::TestRunner};
use serde_json::{Value, json};

use crate::common::{Log, T0, policy};

/// Most agents of a random market.
const AGENTS: usize = 16;
const DAY: u64 = 86_400;

/// One trade of a random market.
#[derive(Clone, Debug)]
struct Deal {
    buyer: usize,
    seller: usize,
    quality: u16,
    /// Which of both report, and how the trade ended.
    reported: u8,
    status: u8,
    document: u8,
    amount_nano: u64,
    ago_s: u64,
    variant: u8,
    claimed: Option<u16>,
}

fn deal() -> impl Strategy<Value = Deal> {
    // Few agents trade most, so that pairs have many trades, and amounts repeat and pass on.
    let agent = prop_oneof![3 => 0..5_usize, 2 => 0..AGENTS];
    let amount = prop_oneof![
        Just(0_u64),
        1_000_000_u64..50_000_000,
        (0_u32..9).prop_map(|power| 10_u64.pow(power) * 3_000),
        Just(777_000_000),
    ];
    let quality = prop_oneof![Just(10_000_u16), Just(0), 0..=10_000_u16, 8000..=10_000_u16];
    (
        (agent.clone(), agent, quality, 0..8_u8, 0..16_u8, 0..8_u8),
        (
            amount,
            prop_oneof![0..400 * DAY, 0..2 * DAY, 0..40 * DAY],
            0..20_u8,
            proptest::option::weighted(0.2, 0..=10_000_u16),
        ),
    )
        .prop_map(
            |(
                (buyer, seller, quality, reported, status, document),
                (amount_nano, ago_s, variant, claimed),
            )| Deal {
                buyer,
                seller,
                quality,
                reported,
                status,
                document,
                amount_nano,
                ago_s,
                variant,
                claimed,
            },
        )
}

fn log_of(deals: &[Deal]) -> Log {
    let mut log = Log::default();
    for (n, deal) in deals.iter().enumerate() {
        if deal.buyer == deal.seller {
            continue;
        }
        let id = format!("t{n}");
        let (buys, sells) = match deal.reported {
            0 | 1 => (true, false),
            2 => (false, true),
            _ => (true, true),
        };
        if buys {
            let place = log.buyer(deal.buyer, deal.seller, &id, deal.quality);
            let report = log.report(place);
            describe(report, deal);
            (report.outcome.status, report.outcome.quality_bp) = match deal.status {
                0 => (Status::Failed, None),
                1 => (Status::Disputed, Some(deal.quality)),
                2 => (Status::Cancelled, None),
                3 => (Status::Partial, Some(deal.quality)),
                4 => (Status::Failed, Some(deal.quality / 4)),
                _ => (Status::Fulfilled, Some(deal.quality)),
            };
            match deal.document {
                0 => log.sign_terms(place),
                1 => log.attest(place, AGENTS, &format!("attestation {n}")),
                // One that is quoted more than once, and one whose signer is no attestor.
                2 => log.attest(place, AGENTS, "shared"),
                3 => log.attest(place, AGENTS + 1, "nobody's"),
                _ => {}
            }
        }
        if sells {
            let rating = if deal.variant == 7 { 2_000 } else { 10_000 };
            let place = log.seller(deal.seller, deal.buyer, &id, rating);
            let report = log.report(place);
            describe(report, deal);
            report.outcome.claimed_quality_bp = deal.claimed;
            if deal.variant == 8 {
                report.trade.amount = Amount::from_nano(deal.amount_nano / 2).unwrap();
                report.trade.closed_at += 60;
            }
            if deal.variant == 9 {
                report.trade.currency = "EUR".to_owned();
            }
        }
    }
    log
}

/// A seller that is good and bad by turns, and an odd amount that three agents pass on.
fn tricks() -> Vec<Deal> {
    let deal = |buyer: usize, seller: usize, quality, amount_nano, ago_s| Deal {
        buyer,
        seller,
        quality,
        reported: 3,
        status: 9,
        document: 7,
        amount_nano,
        ago_s,
        variant: 0,
        claimed: None,
    };
    let mut deals = Vec::new();
    let buyers = [0, 1, 2, 3, 4, 9, 10, 11, 12, 13, 14, 15];
    for n in 0..84_u64 {
        let quality = if n / 21 % 2 == 0 { 9_500 } else { 2_000 };
        let buyer = buyers[usize::try_from(n % 12).unwrap()];
        deals.push(deal(
            buyer,
            5,
            quality,
            1_000_000 + n * 7_000,
            200 * DAY - n * 2 * DAY,
        ));
    }
    for n in 0..6_u64 {
        for (step, (buyer, seller)) in (0..).zip([(6, 7), (7, 8), (8, 6)]) {
            // Each sells what it has just been paid with.
            let ago_s = 50 * DAY - n * 2 * DAY - step * 3600;
            deals.push(deal(buyer, seller, 10_000, 98_765_432 << n, ago_s));
        }
    }
    deals
}

fn describe(report: &mut Report, deal: &Deal) {
    let trade = &mut report.trade;
    trade.amount = Amount::from_nano(deal.amount_nano).unwrap();
    trade.closed_at = T0 - deal.ago_s;
    trade.kind = match deal.variant % 4 {
        0 => TradeKind::Purchase,
        1 => TradeKind::DataSwap,
        2 => TradeKind::ComputeAuction,
        _ => TradeKind::Service,
    };
    trade.market = format!("https://market{}.example", deal.variant % 11);
    if deal.variant == 10 {
        trade.currency = "DOGE".to_owned();
    }
    if deal.variant == 11 {
        trade.currency = "EUR".to_owned();
    }
}

/// A report as the reference reads it.
fn as_given(a: &Admitted, policy: &Policy) -> Value {
    let (report, trade, outcome) = (&a.report, &a.report.trade, &a.report.outcome);
    let third = |by: &goodstanding_verify::did::Did| {
        *by != report.iss && *by != report.sub && policy.attestors.contains(by)
    };
    let documents = report
        .evidence
        .iter()
        .filter_map(|document| match document {
            Document::Terms(terms) => Some(json!({"digest": terms.sha256, "grade": "terms"})),
            Document::Market { attestor, sha256 } => {
                third(attestor).then(|| json!({"digest": sha256, "grade": "attested"}))
            }
            Document::Receipt { .. } | Document::Hash(_) => None,
        });
    json!({
        "index": a.index, "id": report.id, "at_ms": a.at_ms, "reporter": report.iss, "subject": report.sub,
        "role": if trade.role == Role::Buyer { "buyer" } else { "seller" },
        "market": trade.market, "trade_id": trade.id, "kind": trade.kind.as_str(), "currency": trade.currency,
        "amount_nano": trade.amount.nano(), "closed_at": trade.closed_at, "status": outcome.status.as_str(),
        "quality_bp": outcome.quality_bp, "claimed_quality_bp": outcome.claimed_quality_bp,
        "documents": documents.collect::<Vec<_>>(),
    })
}

/// What the reference makes of them.
fn reference(log: &Log, policy: &Policy, as_of: u64) -> Value {
    let reports: Vec<Value> = log.entries.iter().map(|a| as_given(a, policy)).collect();
    let given = json!({"policy": policy.to_value(), "as_of": as_of, "reports": reports});
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/reference/score.py");
    let mut python = Command::new("python3")
        .arg(script)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3, for the reference implementation");
    let mut stdin = python.stdin.take().unwrap();
    let sent = std::thread::spawn(move || stdin.write_all(given.to_string().as_bytes()));
    let output = python.wait_with_output().unwrap();
    sent.join().unwrap().unwrap();
    assert!(output.status.success());
    serde_json::from_slice(&output.stdout).unwrap()
}

/// What was compared that is not in every market.
#[derive(Clone, Copy, Debug, Default)]
struct Reached {
    dampened: usize,
    lenient: usize,
    changes: usize,
    oscillating: usize,
    value_splits: usize,
    washed: usize,
    as_buyers: usize,
}

fn agrees(
    log: &Log,
    policy: &Policy,
    as_of: u64,
    reached: &mut Reached,
) -> Result<(), TestCaseError> {
    let evidence: Evidence = log.evidence(policy);
    let told = reference(log, policy, as_of);
    let scores = score(&evidence, policy, as_of, None).unwrap();
    let all = scores.all(&evidence, policy);
    let agents = told["agents"].as_array().unwrap();
    prop_assert_eq!(agents.len(), all.len());
    prop_assert_eq!(&told["scale_q16"], &json!(scores.scale_q16()));
    let pairs = told["pairs"].as_array().unwrap();
    let mut compared = 0;
    for (n, (ours, theirs)) in all.iter().zip(agents).enumerate() {
        let agent = ours.agent;
        prop_assert_eq!(&theirs["agent"], &json!(agent));
        prop_assert_eq!(
            &theirs["flow_q48"],
            &json!(ours.flow_q48),
            "flow of {}",
            agent
        );
        prop_assert_eq!(&theirs["credibility_q32"], &json!(ours.credibility_q32));
        for c in scores.contributions(&evidence, policy, n) {
            let rater = json!(evidence.agents[c.rater]);
            let role = if c.as_buyer { "seller" } else { "buyer" };
            let pair = pairs.iter().find(|p| {
                p["rater"] == rater && p["subject"] == theirs["agent"] && p["role"] == role
            });
            let pair = pair.unwrap();
            prop_assert_eq!(
                &pair["dampening_q16"],
                &json!(c.dampened.left_q16),
                "{} on {}",
                rater,
                agent
            );
            if !pair["excess_q16"].is_null() {
                prop_assert_eq!(
                    &pair["excess_q16"],
                    &json!(c.dampened.excess_q16),
                    "{} on {}",
                    rater,
                    agent
                );
            }
            if role == "buyer" {
                let weight: u64 = c.reports.iter().map(|r| r.weight_q32).sum();
                prop_assert_eq!(
                    &pair["weight_q32"],
                    &json!(weight),
                    "{} on {}",
                    rater,
                    agent
                );
            }
            compared += 1;
            reached.dampened += usize::from(c.dampened.left_q16 < 1 << 16);
            reached.lenient += usize::from(c.leniency_q16 < 1 << 16);
            reached.washed += usize::from(c.dampened.wash_q16 > 0);
            reached.as_buyers +=
                usize::from(c.as_buyer && c.reports.iter().any(|r| r.weight_q32 > 0));
        }
        let found = scores.findings(&evidence, policy, n);
        prop_assert_eq!(&theirs["oscillates"], &json!(found.oscillates));
        reached.changes += found.changes.len();
        reached.oscillating += usize::from(found.oscillates);
        reached.value_splits += usize::from(found.value_split.is_some());
        let changes = theirs["changes"].as_array().unwrap();
        prop_assert_eq!(changes.len(), found.changes.len(), "{}", agent);
        for (theirs, ours) in changes.iter().zip(&found.changes) {
            prop_assert_eq!(&theirs["from"], &json!(ours.at));
            prop_assert_eq!(&theirs["z_squared_q16"], &json!(ours.z2_q16));
        }
        let split = found.value_split.map_or(Value::Null, |(from, _, _, taken)| {
            json!({"amount_nano": u64::try_from(from).unwrap(), "deduction_q16": taken})
        });
        prop_assert_eq!(&theirs["value_split"], &split, "{}", agent);
        prop_assert_eq!(
            &theirs["claims"],
            &serde_json::to_value(&ours.claims).unwrap(),
            "{}",
            agent
        );
    }
    prop_assert_eq!(compared, pairs.len());
    Ok(())
}

#[test]
fn the_reference_agrees_on_random_markets() {
    let mut runner = TestRunner::deterministic();
    let markets = (
        proptest::collection::vec(deal(), 1..260),
        0..PRESETS.len(),
        proptest::collection::btree_set(0..AGENTS, 1..4),
        0..100_u64,
    );
    let mut reached = Reached::default();
    let mut tried = 0;
    while tried < 40 {
        let (deals, preset, seeds, later) = markets.new_tree(&mut runner).unwrap().current();
        let mut deals = deals;
        if tried % 4 == 0 {
            deals.extend(tricks());
        }
        let log = log_of(&deals);
        let seeds: Vec<usize> = seeds.into_iter().collect();
        let mut policy = policy(PRESETS[preset], &seeds);
        policy.attestors = vec![crate::common::did(AGENTS)];
        let evidence = log.evidence(&policy);
        if !policy
            .seeds
            .iter()
            .any(|seed| evidence.agent(seed).is_some())
        {
            continue;
        }
        // A market of a few agents: what takes twenty trades elsewhere takes fewer here, so that every rule is reached.
        if later % 2 == 0 {
            policy.scoring.bulk_mass_milli = 9000;
            policy.scoring.credibility_half_ppm = 100_000;
            policy.scoring.change_z_milli = 1200;
            policy.scoring.value_z_low_milli = 500;
            policy.scoring.value_z_high_milli = 2500;
            policy.scoring.value_gap_bp = 500;
        }
        // Corrections of raters without rounds, which no preset has.
        if later % 7 == 3 {
            policy.scoring.dampening_rounds = 0;
        }
        agrees(&log, &policy, T0 + later * DAY, &mut reached).unwrap();
        tried += 1;
    }
    eprintln!("{reached:?}");
    let Reached {
        dampened,
        lenient,
        changes,
        oscillating,
        value_splits,
        washed,
        as_buyers,
    } = reached;
    let all = [
        dampened,
        lenient,
        changes,
        oscillating,
        value_splits,
        washed,
        as_buyers,
    ];
    assert!(all.iter().all(|n| *n > 0), "{reached:?}");
}
