//! Both records of one agent, with numbers worked by hand.

use goodstanding_verify::{
    amount::Amount,
    digest::sha256,
    report::{Outcome, Report, ReportId, Role, Status, Trade},
};

use super::*;
use crate::evidence::Admitted;

const UNIT: u64 = 1 << 32;
const GOOD: u32 = 1 << 16;
const T0: u64 = 1_700_000_000;
const NOTHING: Verdict = Verdict {
    deduction_q16: 0,
    dampening_bp: 10_000,
};

/// One report about the agent: its rater, the rater's role, weight, quality in Q16, amount, days ago, status.
#[derive(Clone, Copy)]
struct Said {
    rater: u8,
    role: Role,
    weight_q32: u64,
    quality_q16: u32,
    amount: &'static str,
    days: u64,
    status: Status,
}

/// A trade of 1 a day ago in which the agent sold.
fn sold(rater: u8, weight_q32: u64, quality_q16: u32) -> Said {
    Said {
        rater,
        role: Role::Buyer,
        weight_q32,
        quality_q16,
        amount: "1",
        days: 1,
        status: Status::Fulfilled,
    }
}

/// One in which it bought.
fn bought(rater: u8, weight_q32: u64, quality_q16: u32) -> Said {
    Said {
        role: Role::Seller,
        ..sold(rater, weight_q32, quality_q16)
    }
}

/// An agent's key: that of a fixed text.
fn did(n: u8) -> goodstanding_verify::did::Did {
    let mut hash = sha256(&[n]);
    loop {
        match goodstanding_verify::did::Did::from_key_bytes(&hash.0) {
            Ok(did) => return did,
            Err(_) => hash = sha256(&hash.0),
        }
    }
}

fn admitted(n: usize, said: &Said) -> Admitted {
    let index = u64::try_from(n).unwrap();
    let report = Report {
        id: ReportId(sha256(&index.to_be_bytes()).0),
        iss: did(said.rater),
        sub: did(0),
        jti: format!("report-{n}"),
        iat: T0,
        supersedes: None,
        trade: Trade {
            id: format!("trade-{n}"),
            market: "https://market.example".to_owned(),
            kind: TradeKind::Service,
            role: said.role,
            amount: Amount::parse(said.amount).unwrap(),
            currency: "USD".to_owned(),
            closed_at: T0 - said.days * 86_400,
            resource: None,
            units: None,
            swap_id: None,
            parent: None,
            negotiation: None,
            auction: None,
            settlement: None,
        },
        outcome: Outcome {
            status: said.status,
            quality_bp: Some(10_000),
            on_time: None,
            claimed_quality_bp: None,
        },
        evidence: Vec::new(),
    };
    Admitted {
        index,
        at_ms: T0 * 1000,
        historical: false,
        report,
    }
}

/// Numbers with which one can count on paper: a prior of one unit at one half, bounds a quarter / √weight below the mean.
fn plain() -> Policy {
    let mut policy = Policy::preset("agent-market").unwrap();
    let s = &mut policy.scoring;
    (s.prior_weight_milli, s.prior_quality_bp) = (1000, 5000);
    (s.z_milli, s.spread_bp, s.model_error_bp) = (1000, 2500, 0);
    s.segment_prior_weight_milli = 2000;
    (s.buyer_cap_milli, s.buyer_fade_milli) = (2000, 4000);
    (s.recent_window_s, s.recent_evidence_milli) = (30 * 86_400, 3000);
    (s.band_evidence_milli, s.band_counterparties) = (3000, 2);
    (
        s.established_evidence_milli,
        s.established_counterparties_milli,
    ) = (1000, 2000);
    policy
}

/// The claims of an agent about whom that is said. Raters come in ascending order, each one's reports in both roles together.
fn claims_of(said: &[Said], policy: &Policy, verdict: &Verdict) -> (Claims, Headline) {
    let mut tally = Tally::default();
    // What was left of another agent does not matter.
    tally.start(2);
    tally.start_rater();
    tally.end_rater();
    claims_again(&mut tally, said, policy, verdict)
}

fn claims_again(
    tally: &mut Tally,
    said: &[Said],
    policy: &Policy,
    verdict: &Verdict,
) -> (Claims, Headline) {
    let log: Vec<Admitted> = (0..).zip(said).map(|(n, said)| admitted(n, said)).collect();
    let evidence = Evidence::build(&log, policy);
    let agent = evidence.agent(&did(0)).unwrap();
    let recent_from = T0 - policy.scoring.recent_window_s;
    tally.start(policy.amount_bands_milli.len());
    let mut at_hand = None;
    for (row, opinion) in evidence.rows.iter().zip(evidence.opinions()) {
        if at_hand != Some(row.rater) {
            if at_hand.is_some() {
                tally.end_rater();
            }
            tally.start_rater();
            at_hand = Some(row.rater);
        }
        let said = said[usize::try_from(opinion.index).unwrap()];
        let add = match row.role() {
            Role::Buyer => Tally::add,
            Role::Seller => Tally::add_as_buyer,
        };
        let (weight, quality) = (said.weight_q32, said.quality_q16);
        add(tally, &evidence, row, weight, quality, recent_from);
    }
    if at_hand.is_some() {
        tally.end_rater();
    }
    tally.claims(agent, &evidence, policy, verdict)
}

#[test]
fn who_only_buys_is_scored_by_the_record_as_a_buyer() {
    // Four units, of which two count: (2 · 1 + 0.5) / 3 = 0.8333.
    let said = [bought(1, 3 * UNIT, GOOD), bought(2, UNIT, GOOD)];
    let (claims, _) = claims_of(&said, &plain(), &NOTHING);
    assert_eq!(
        (
            claims.score_bp,
            claims.evidence_milli,
            claims.uncertainty_bp
        ),
        (8333, 2000, 3333)
    );
    // One and a half units and half a unit: 2² / (2.25 + 0.25).
    assert_eq!((claims.reports, claims.counterparties), (2, 2));
    assert_eq!(claims.effective_counterparties_milli, 1600);
    // 0.8333 − 0.25/√3 = 0.6890, 45155 of 65536; the record by itself, 4 units, leans on two of the mean: 0.9444 − 0.25/√5 =
    // 0.8326 does not lower it.
    assert_eq!((claims.lifetime_lower_bp, claims.lower_bp), (6889, 6889));
}

#[test]
fn a_good_record_as_a_buyer_does_not_hide_a_bad_one_as_a_seller() {
    let bad = [sold(1, UNIT / 2, 0), sold(2, UNIT / 2, 0)];
    let alone = claims_of(&bad, &plain(), &NOTHING).0;
    let mut said = bad.to_vec();
    said.extend((3..9).map(|rater| bought(rater, 2 * UNIT, GOOD)));
    let both = claims_of(&said, &plain(), &NOTHING).0;
    // One unit as a seller takes four, and the cap is two.
    assert_eq!(
        (both.score_bp, both.lower_bp),
        (alone.score_bp, alone.lower_bp)
    );
    assert_eq!((both.score_bp, both.evidence_milli), (2500, 1000));
    assert_eq!(
        (alone.reports, both.reports, both.counterparties),
        (2, 8, 8)
    );
    assert_eq!(both.effective_counterparties_milli, 2000);
    // A quarter of a unit as a seller takes one: 1 · 1 and 0.25 · 0 and the prior, 1.5 / 2.25.
    said[0].weight_q32 = UNIT / 4;
    said[1].weight_q32 = 0;
    let partly = claims_of(&said, &plain(), &NOTHING).0;
    // Twelve units of which one counts are twelfths of 2^32, rounded down.
    assert_eq!((partly.score_bp, partly.evidence_milli), (6666, 1249));
}

#[test]
fn a_bad_record_as_a_buyer_lowers_the_headline_of_a_good_seller() {
    let mut said: Vec<Said> = (1..5).map(|rater| sold(rater, 2 * UNIT, GOOD)).collect();
    let (good, from) = claims_of(&said, &plain(), &NOTHING);
    assert_eq!(
        (good.score_bp, good.lower_bp, from),
        (9444, 8611, Headline::Lifetime)
    );
    said.push(bought(5, 2 * UNIT, 0));
    // Two units by one rater: not enough of either.
    assert_eq!(claims_of(&said, &plain(), &NOTHING).1, Headline::Lifetime);
    said.push(bought(5, 2 * UNIT, 0));
    // Four units are enough, one rater is not, nor is a second that weighs nothing.
    said.push(bought(6, 0, 0));
    assert_eq!(claims_of(&said, &plain(), &NOTHING).1, Headline::Lifetime);
    // A rater as a seller that also was a customer counts here.
    said.push(bought(1, UNIT, 0));
    let (claims, from) = claims_of(&said, &plain(), &NOTHING);
    // The score does not move: eight units as a seller leave nothing of five as a buyer.
    assert_eq!((claims.score_bp, claims.lifetime_lower_bp), (9444, 8611));
    // (0 + 2 · 61894) / (5 + 2) = 17684; 5 + 2 + 1 units, 16384 / √8 = 5792.6; 17684 − 5792 = 11892 of 65536.
    assert_eq!((claims.lower_bp, from), (1814, Headline::AsBuyer));
    assert_eq!((claims.reports, claims.counterparties), (8, 6));
}

#[test]
fn a_rater_in_both_roles_is_one_counterparty_and_one_of_a_band() {
    let mut policy = plain();
    policy.scoring.buyer_fade_milli = 0;
    policy.scoring.band_counterparties = 3;
    policy.scoring.buyer_cap_milli = 1_000_000;
    // In the band from 1000 milli: rater 1 in both roles and rater 2, all bad. Elsewhere all is well.
    let mut said = vec![
        sold(1, UNIT, 0),
        bought(1, UNIT, 0),
        bought(2, UNIT, 0),
        bought(2, UNIT, 0),
    ];
    for rater in 3..13 {
        said.push(Said {
            amount: "0.5",
            ..sold(rater, 4 * UNIT, GOOD)
        });
    }
    let (claims, from) = claims_of(&said, &policy, &NOTHING);
    assert_eq!((claims.counterparties, claims.reports), (12, 14));
    // Two weigh 2, ten weigh 4: 44² / (2 · 4 + 10 · 16).
    assert_eq!(claims.effective_counterparties_milli, 11_523);
    assert_eq!(from, Headline::Lifetime);
    let bands: Vec<(u64, u64)> = (claims.by_amount_band.iter())
        .map(|band| (band.from_milli, band.reports))
        .collect();
    assert_eq!(bands, [(10, 10), (1000, 4)]);
    // Another rater of no weight is none, one of the least weight is the third.
    said.push(bought(13, 0, 0));
    assert_eq!(claims_of(&said, &policy, &NOTHING).1, Headline::Lifetime);
    said.push(bought(14, 1, 0));
    let (claims, from) = claims_of(&said, &policy, &NOTHING);
    assert_eq!(from, Headline::AmountBand(1000));
    assert_eq!(claims.lower_bp, claims.by_amount_band[1].lower_bp);
}

#[test]
fn what_a_value_split_takes_and_dampening_are_told() {
    let said = [sold(1, 2 * UNIT, GOOD), sold(2, UNIT, GOOD)];
    // 3.5 / 4 less 0.25 / √4; a quarter less with the deduction of 2^14.
    let (claims, from) = claims_of(&said, &plain(), &NOTHING);
    assert_eq!(
        (claims.lower_bp, claims.dampening_bp, from),
        (7500, 10_000, Headline::Lifetime)
    );
    let verdict = Verdict {
        deduction_q16: 1 << 14,
        dampening_bp: 1234,
    };
    let (claims, from) = claims_of(&said, &plain(), &verdict);
    assert_eq!(
        (claims.lower_bp, claims.dampening_bp, from),
        (5000, 1234, Headline::ValueSplit)
    );
    assert_eq!((claims.score_bp, claims.lifetime_lower_bp), (8750, 7500));
    assert!(claims.lower_gte_5000 && !claims.lower_gte_7500);
}

#[test]
fn the_recent_window_counts_from_its_evidence_on() {
    let old = |rater| Said {
        days: 31,
        ..sold(rater, 3 * UNIT, GOOD)
    };
    // The window begins at its first second.
    let new = |weight| Said {
        days: 30,
        ..sold(3, weight, 0)
    };
    let (claims, from) = claims_of(&[old(1), old(2), new(3 * UNIT - 1)], &plain(), &NOTHING);
    assert_eq!(from, Headline::Lifetime);
    assert_eq!(claims.recent_lower_bp, claims.lifetime_lower_bp);
    let (claims, from) = claims_of(&[old(1), old(2), new(3 * UNIT)], &plain(), &NOTHING);
    // Mean 6.5 / 10 = 42598; two of it and three of nothing: 17039; 16384 / √6 = 6688; 10351 is 1579.
    assert_eq!(
        (claims.score_bp, claims.recent_lower_bp, from),
        (6499, 1579, Headline::Recent)
    );
}

#[test]
fn disputes_weigh_what_their_reports_weigh() {
    let disputed = |mut said: Said| {
        said.status = Status::Disputed;
        said
    };
    // A quarter of what counts is in dispute: half a unit as a buyer, of one and a half and half.
    let mut policy = plain();
    policy.scoring.buyer_fade_milli = 0;
    let said = [
        sold(1, UNIT, GOOD),
        sold(2, UNIT / 2, GOOD),
        disputed(bought(3, UNIT / 2, GOOD)),
    ];
    assert_eq!(
        claims_of(&said, &policy, &NOTHING).0.state,
        State::Contested
    );
    // Beside what an agent sells, its disputes as a buyer weigh nothing.
    assert_eq!(
        claims_of(&said, &plain(), &NOTHING).0.state,
        State::Unproven
    );
    let more = [said[0], sold(2, UNIT, GOOD), said[2]];
    assert_eq!(
        claims_of(&more, &plain(), &NOTHING).0.state,
        State::Established
    );
}

#[test]
fn nothing_is_left_of_the_agent_before() {
    let policy = plain();
    let mut tally = Tally::default();
    let first = [
        bought(1, 5 * UNIT, 0),
        bought(2, 5 * UNIT, 0),
        sold(3, 1, 0),
    ];
    let fresh = claims_of(&[sold(4, UNIT, GOOD)], &policy, &NOTHING);
    claims_again(&mut tally, &first, &policy, &NOTHING);
    let second = claims_again(&mut tally, &[sold(4, UNIT, GOOD)], &policy, &NOTHING);
    assert_eq!(second, fresh);
    assert_eq!(fresh.0.reports, 1);
}
