//! Guarantees of the scoring function: determinism, what sybils cannot do, what one pair can do, no panic on any numbers.

use crate::common::{Log, T0, did, policy};
use goodstanding_score::{
    AgentScore, Scores,
    evidence::{Evidence, Level},
    explain,
    policy::Policy,
    score,
};
use goodstanding_verify::{
    amount::Amount,
    claims::{self, State},
    did::Did,
    report::{Role, Status},
};
use proptest::prelude::*;

/// Evidence, policy and scores.
struct Scored {
    evidence: Evidence,
    policy: Policy,
    scores: Scores,
    agents: Vec<AgentScore>,
}

impl Scored {
    fn get(&self, agent: &Did) -> Option<&AgentScore> {
        self.evidence.agent(agent).map(|place| &self.agents[place])
    }
}

fn run(log: &Log, policy: &Policy) -> Scored {
    let evidence = log.evidence(policy);
    let scores = score(&evidence, policy, T0 + 86_400, Some(2)).unwrap();
    Scored {
        agents: scores.all(&evidence, policy),
        evidence,
        policy: policy.clone(),
        scores,
    }
}

fn bytes(scored: &Scored) -> String {
    let agents = scored.agents.iter();
    let rows: Vec<_> = agents
        .map(|s| {
            let explained = explain(&scored.evidence, &scored.policy, &scored.scores, &s.agent);
            (s.agent, &s.claims, s.flow_q48, s.credibility_q32, explained)
        })
        .collect();
    serde_json::to_string(&rows).unwrap()
}

/// A seed that rates `agents` sellers, and buyers that follow.
fn market(agents: usize) -> Log {
    let mut log = Log::default();
    for seller in 1..=agents {
        for buyer in 0..seller {
            log.matched(
                buyer,
                seller,
                &format!("t{buyer}"),
                u16::try_from(3000 + 7000 * seller / agents).unwrap(),
            );
        }
    }
    log
}

/// Trades as numbers: buyer, seller, id, quality, days, what the seller does, countersigned.
type Row = (usize, usize, u8, u16, u64, u8, bool);

fn rows() -> impl Strategy<Value = Vec<Row>> {
    let row = (
        0..12_usize,
        0..12_usize,
        0..4_u8,
        0..=10_000_u16,
        0..400_u64,
        0..3_u8,
        any::<bool>(),
    );
    proptest::collection::vec(row, 1..60)
}

fn log_of(rows: &[Row]) -> Log {
    let mut log = Log::default();
    log.matched(0, 1, "first", 9000);
    for (buyer, seller, id, quality, days, reply, terms) in rows {
        if buyer == seller {
            continue;
        }
        let id = format!("t{id}");
        let place = log.buyer(*buyer, *seller, &id, *quality);
        log.report(place).trade.closed_at = T0 - days * 86_400;
        if *terms {
            log.sign_terms(place);
        }
        match reply {
            0 => {}
            1 => drop(log.seller(*seller, *buyer, &id, 10_000)),
            _ => {
                let place = log.seller(*seller, *buyer, &id, *quality / 2);
                log.report(place).outcome.status = Status::Disputed;
            }
        }
    }
    log
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn neither_order_nor_threads_change_a_byte(rows in rows(), turn in 0..50_usize) {
        for preset in goodstanding_score::policy::PRESETS {
            let policy = policy(preset, &[0, 1]);
            let log = log_of(&rows);
            let evidence = log.evidence(&policy);
            let one = score(&evidence, &policy, T0, Some(1)).unwrap();
            for threads in [2, 8] {
                prop_assert_eq!(&score(&evidence, &policy, T0, Some(threads)).unwrap(), &one);
            }
            let mut other = log.clone();
            let n = other.entries.len();
            other.entries.rotate_left(turn % n);
            other.entries.reverse();
            prop_assert_eq!(other.evidence(&policy), evidence);
            prop_assert_eq!(bytes(&run(&other, &policy)), bytes(&run(&log, &policy)));
        }
    }

    #[test]
    fn claims_are_in_range_and_explained(rows in rows()) {
        let policy = policy("agent-market", &[0]);
        let log = log_of(&rows);
        let scored = run(&log, &policy);
        for s in &scored.agents {
            let object = serde_json::to_value(&s.claims).unwrap();
            for (name, value) in object.as_object().unwrap() {
                prop_assert!(claims::check(name, value).is_ok(), "{} {}", name, value);
            }
            let c = &s.claims;
            prop_assert!(c.lower_bp <= c.lifetime_lower_bp.min(c.recent_lower_bp) && c.lifetime_lower_bp <= c.score_bp);
            let e = explain(&scored.evidence, &policy, &scored.scores, &s.agent).unwrap();
            prop_assert!(e.contributions.is_sorted_by(|a, b| a.weight_q32 >= b.weight_q32));
            // By hand, from the numbers of the explanation alone.
            let (mut weight, mut quality, mut as_buyer) = (0_u128, 0_u128, 0_u128);
            let number = |text: &str| text.parse::<u128>().unwrap();
            let (counts, whole) = (number(&e.as_buyer.counts_q32), number(&e.as_buyer.weight_q32));
            for c in &e.contributions {
                let valued: u128 = c.reports.iter().map(|r| u128::from(r.fresh_q32) * u128::from(r.value_milli)).sum();
                let mut own = 0;
                for r in &c.reports {
                    let part = u128::from(r.fresh_q32) * u128::from(r.value_milli);
                    let plain = (u128::from(c.voice_q32) * part).checked_div(valued).unwrap_or(0);
                    let delivered = log.entries.iter().find(|a| a.report.id == r.id).unwrap().report.outcome.status != Status::Disputed;
                    let plain = if delivered || c.role == "seller" { plain } else { plain * u128::from(e.scoring["undelivered_weight_milli"]) / 1000 };
                    prop_assert_eq!(plain, u128::from(r.plain_weight_q32));
                    let bits = if c.role == "seller" { 0 } else { e.changes.iter().skip(r.segment).map(|change| change.bits).sum::<u32>() };
                    let mut by_hand = plain >> bits.min(6);
                    prop_assert_eq!(by_hand, u128::from(r.own_weight_q32));
                    let bad = (10_000 - u64::from(r.quality_bp)) * 65_536 / 10_000;
                    prop_assert_eq!(r.quality_q16, 65_536 - (bad * 65_536 / c.leniency_q16).min(65_536));
                    if r.role == "seller" {
                        as_buyer += by_hand;
                        by_hand = (by_hand * counts).checked_div(whole).unwrap_or(0);
                    }
                    prop_assert_eq!(by_hand, u128::from(r.weight_q32));
                    own += by_hand;
                    quality += by_hand * u128::from(r.quality_q16);
                }
                prop_assert_eq!(own, u128::from(c.weight_q32));
                weight += own;
            }
            prop_assert_eq!(as_buyer, whole);
            prop_assert_eq!(weight.to_string(), e.totals.weight_q32);
            prop_assert_eq!(quality.to_string(), e.totals.weighted_quality);
            let prior = u128::from(e.prior.weight_q32);
            let mean = (quality + prior * u128::from(e.prior.quality_q16)) / (weight + prior);
            prop_assert_eq!(mean * 10_000 / 65_536, u128::from(e.score_bp));
        }
    }

    #[test]
    fn sybils_without_captured_flow_move_no_score(rows in rows(), sybils in proptest::collection::vec((20..60_usize, 0..60_usize, 0..=10_000_u16, any::<bool>()), 1..100)) {
        let policy = policy("agent-market", &[0]);
        let log = log_of(&rows);
        let before = run(&log, &policy);
        let mut flooded = log.clone();
        for (n, (sybil, target, quality, sell)) in sybils.iter().enumerate() {
            if sybil == target {
                continue;
            }
            let id = format!("s{n}");
            if *target >= 20 {
                flooded.matched(*sybil, *target, &id, *quality);
            } else if *sell {
                flooded.seller(*sybil, *target, &id, *quality);
            } else {
                flooded.buyer(*sybil, *target, &id, *quality);
            }
        }
        let after = run(&flooded, &policy);
        for s in &before.agents {
            let now = after.get(&s.agent).unwrap();
            prop_assert_eq!((s.flow_q48, s.credibility_q32), (now.flow_q48, now.credibility_q32));
            let part = |c: &claims::Claims| (c.score_bp, c.lower_bp, c.lifetime_lower_bp, c.recent_lower_bp, c.uncertainty_bp, c.state, c.evidence_milli, c.effective_counterparties_milli);
            prop_assert_eq!(part(&s.claims), part(&now.claims));
        }
    }

    #[test]
    fn unilateral_reports_never_outweigh_one_countersigned(n in 1..40_usize, seller_role: bool, amount in 1..1_000_000_000_000_000_u64) {
        for preset in goodstanding_score::policy::PRESETS {
            let policy = policy(preset, &[0, 1, 2]);
            let mut log = Log::default();
            for i in 0..n {
                let place = log.buyer(1, 3, &format!("u{i}"), 0);
                log.report(place).trade.amount = Amount::from_nano(amount).unwrap();
            }
            let signed = log.buyer(2, 3, "signed", 10_000);
            log.report(signed).trade.amount = Amount::from_nano(1).unwrap();
            log.sign_terms(signed);
            if seller_role {
                for entry in &mut log.entries {
                    entry.report.trade.role = Role::Seller;
                }
            }
            log.matched(0, 1, "a", 9000);
            log.matched(0, 2, "a", 9000);
            let scores = run(&log, &policy);
            let evidence = &scores.evidence;
            let (one, two) = (scores.get(&did(1)).unwrap().credibility_q32, scores.get(&did(2)).unwrap().credibility_q32);
            let contributions = scores.scores.contributions(evidence, &policy, evidence.agent(&did(3)).unwrap());
            let of = |rater: usize| contributions.iter().find(|c| evidence.agents[c.rater] == did(rater)).unwrap();
            let weight = |rater: usize| of(rater).reports.iter().map(|r| r.weight_q32).sum::<u64>();
            // At equal credibility.
            prop_assert!(u128::from(weight(1)) * u128::from(two) <= (u128::from(weight(2)) + 1) * u128::from(one));
        }
    }

    #[test]
    fn no_numbers_make_it_panic(amounts in proptest::collection::vec((0..1_000_000_000_000_000_000_u64, any::<u64>(), any::<u64>(), 0..=10_000_u16), 1..20), as_of: u64, extreme: bool) {
        let mut policy = policy("agent-market", &[0]);
        if extreme {
            let mut value = policy.to_value();
            for p in goodstanding_score::policy::Scoring::PARAMETERS {
                // The two ends of a ramp differ.
                let most = p.max - u64::from(p.name.ends_with("_low_milli"));
                value["scoring"][p.name] = most.into();
            }
            policy = Policy::parse(&value).unwrap();
            policy.currencies.insert("USD".to_owned(), 1_000_000_000_000);
        }
        let mut log = Log::default();
        for (n, (amount, closed_at, at, quality)) in amounts.iter().enumerate() {
            let place = log.matched(n % 3, 3, &format!("t{n}"), *quality);
            for place in [place, place + 1] {
                log.report(place).trade.amount = Amount::from_nano(*amount).unwrap();
                log.report(place).trade.closed_at = *closed_at;
                log.entries[place].at_ms = *at;
            }
        }
        let scores = score(&log.evidence(&policy), &policy, as_of, None).unwrap();
        prop_assert_eq!(scores.len(), log.evidence(&policy).agents.len());
    }
}

#[test]
fn no_seed_in_the_evidence() {
    let log = market(3);
    for seeds in [&[][..], &[50]] {
        let policy = policy("agent-market", seeds);
        assert_eq!(
            score(&log.evidence(&policy), &policy, T0, None)
                .unwrap_err()
                .code(),
            "policy.no_seeds"
        );
    }
}

#[test]
fn an_agent_nobody_rated_has_the_prior() {
    let policy = policy("agent-market", &[0]);
    let mut log = market(6);
    log.buyer(30, 2, "t", 9000);
    let scores = run(&log, &policy);
    let claims = &scores.get(&did(30)).unwrap().claims;
    assert_eq!(
        (claims.score_bp, claims.uncertainty_bp, claims.state),
        (6699, 10_000, State::Unproven)
    );
    assert_eq!(
        (
            claims.reports,
            claims.counterparties,
            claims.evidence_milli,
            claims.attested_bp
        ),
        (0, 0, 0, 0)
    );
    assert_eq!(
        (
            claims.dampening_bp,
            claims.first_seen > 0,
            claims.by_kind.is_empty()
        ),
        (10_000, true, true)
    );
}

#[test]
fn a_market_in_order_of_quality() {
    let policy = policy("agent-market", &[0]);
    let scores = run(&market(8), &policy);
    let claims = |n: usize| &scores.get(&did(n)).unwrap().claims;
    for n in 4..8 {
        assert!(claims(n).lower_bp < claims(n + 1).lower_bp, "{n}");
        assert!(claims(n).score_bp >= claims(n).lower_bp);
    }
    assert_eq!(claims(8).state, State::Established);
    assert_eq!(claims(8).attested_bp, 10_000);
    assert_eq!((claims(8).reports, claims(8).counterparties), (8, 8));
    assert!(
        claims(8).effective_counterparties_milli > 3000
            && claims(8).effective_counterparties_milli <= 8000
    );
    assert!(claims(8).lower_gte_7500 && claims(1).uncertainty_bp > claims(8).uncertainty_bp);
}

#[test]
fn disputes_make_it_contested() {
    let policy = policy("agent-market", &[0]);
    let mut log = market(8);
    for entry in &mut log.entries {
        if entry.report.sub == did(8) && entry.report.trade.role == Role::Buyer {
            entry.report.outcome.status = Status::Disputed;
        }
    }
    assert_eq!(
        run(&log, &policy).get(&did(8)).unwrap().claims.state,
        State::Contested
    );
}

#[test]
fn the_recent_window_and_the_worst_band_lower_the_headline() {
    let policy = policy("agent-market", &[0]);
    let mut log = market(12);
    let good = run(&log, &policy).get(&did(12)).unwrap().claims.clone();
    assert_eq!(
        good.lower_bp,
        good.lifetime_lower_bp.min(good.recent_lower_bp)
    );
    // The same agent cheats on large trades.
    let mut cheat = log.clone();
    for buyer in 0..8 {
        let place = cheat.matched(buyer, 12, &format!("large{buyer}"), 0);
        for place in [place, place + 1] {
            cheat.report(place).trade.amount = Amount::parse("5000").unwrap();
        }
    }
    let claims = run(&cheat, &policy).get(&did(12)).unwrap().claims.clone();
    assert!(
        claims.lower_bp < claims.lifetime_lower_bp && claims.by_amount_band.len() == 2,
        "{claims:?}"
    );
    // Or it was good a year ago and is not now.
    for entry in &mut log.entries {
        entry.report.trade.closed_at = T0 - 300 * 86_400;
    }
    for buyer in 0..8 {
        log.matched(buyer, 12, &format!("now{buyer}"), 2000);
    }
    let mut forever = policy.clone();
    (
        forever.scoring.half_life_s,
        forever.scoring.half_life_negative_s,
    ) = (0, 0);
    let claims = run(&log, &forever).get(&did(12)).unwrap().claims.clone();
    assert!(
        claims.recent_lower_bp < claims.lifetime_lower_bp
            && claims.lower_bp <= claims.recent_lower_bp,
        "{claims:?}"
    );
}

#[test]
fn cancelled_trades_do_not_count_unless_the_policy_says_so() {
    let mut policy = policy("agent-market", &[0]);
    let mut log = market(3);
    let place = log.matched(0, 9, "t", 5000);
    log.report(place).outcome.status = Status::Cancelled;
    log.report(place).outcome.quality_bp = None;
    let evidence = log.evidence(&policy);
    assert_eq!(
        evidence.level_of(&log.entries[place].report.id),
        Some(Level::Matched)
    );
    assert_eq!(run(&log, &policy).get(&did(9)).unwrap().claims.reports, 0);
    policy.scoring.cancelled_weight_milli = 1000;
    assert_eq!(run(&log, &policy).get(&did(9)).unwrap().claims.reports, 1);
}

#[test]
fn a_seed_that_nobody_mentioned_holds_its_share_already() {
    let policy = policy("agent-market", &[0, 50]);
    let mut log = market(5);
    let before = run(&log, &policy);
    log.buyer(60, 50, "mentioned", 0);
    let after = run(&log, &policy);
    for s in &before.agents {
        let now = after.get(&s.agent).unwrap();
        assert_eq!((s.flow_q48, &s.claims), (now.flow_q48, &now.claims));
    }
    assert!(after.get(&did(50)).unwrap().flow_q48 > 0);
}

#[test]
fn who_is_not_heard_makes_no_change_point() {
    let policy = policy("agent-market", &[0]);
    let mut log = market(8);
    // Steady for weeks, and known to many.
    for n in 0..120_u64 {
        let buyer = usize::try_from(n % 8).unwrap();
        let place = log.matched(buyer, 20, &format!("steady {n}"), 9700);
        for place in [place, place + 1] {
            log.report(place).trade.closed_at = T0 - (160 - n) * 86_400;
        }
    }
    let seller = did(20);
    let before = run(&log, &policy).get(&seller).unwrap().claims.clone();
    // In a bin of its own.
    let place = log.buyer(70, 20, "unheard", 0);
    log.report(place).trade.closed_at = T0 - 86_400;
    let after = run(&log, &policy);
    let now = &after.get(&seller).unwrap().claims;
    assert_eq!(
        (before.score_bp, before.lower_bp, before.evidence_milli),
        (now.score_bp, now.lower_bp, now.evidence_milli)
    );
    let place = after.evidence.agent(&seller).unwrap();
    let findings = after.scores.findings(&after.evidence, &policy, place);
    assert!(findings.changes.is_empty(), "{findings:?}");
}

#[test]
fn golden_claims() {
    // Fixed once: any change of these bytes is a new version of the scoring function.
    let policy = policy("agent-market", &[0]);
    let scores = run(&market(5), &policy);
    let claims = serde_json::to_value(&scores.get(&did(5)).unwrap().claims).unwrap();
    let numbers: Vec<u64> = [
        "score_bp",
        "lower_bp",
        "uncertainty_bp",
        "evidence_milli",
        "effective_counterparties_milli",
    ]
    .iter()
    .map(|name| claims[*name].as_u64().unwrap())
    .collect();
    assert_eq!(numbers, [9833, 9342, 504, 9410, 4984]);
}
