//! Wash trades: amounts that are passed on within a day, around a cycle (section 9.4; after Victor and Weintraud 2021, who look
//! for closed cycles of like volumes). Reads no rating.

use goodstanding_verify::report::Role;
use rayon::prelude::*;

use super::components;
use crate::{
    evidence::{Evidence, Level, narrow, wide},
    fixed::{log2_q16, small},
    pairs::{NOBODY, Pairs},
    policy::Scoring,
};

/// A ratio of 6 %, in Q16 of its binary logarithm.
const TOLERANCE_Q16: u32 = 5673;

/// Later purchases that are looked at.
const SCAN: usize = 64;

/// One trade.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Trade {
    closed_at: u64,
    buyer: u32,
    seller: u32,
    /// lg of the amount, Q16.
    amount_q16: u32,
}

/// Counts the links of every rating pair.
pub(crate) fn link(pairs: &mut Pairs, evidence: &Evidence, s: &Scoring) {
    let trades = trades(evidence);
    let common = common(&trades, s);
    let linked = linked(&trades, &common, evidence.agents.len(), s);
    let mut links = vec![0_u8; pairs.len()];
    for (trade, linked) in trades.iter().zip(linked) {
        if linked {
            let pair = pairs.find(trade.buyer, wide(trade.seller));
            if pair != NOBODY && pairs.facts[wide(pair)].is_rating() {
                let links = &mut links[wide(pair)];
                *links = links.saturating_add(1);
            }
        }
    }
    let edges: Vec<(u32, u32, u32)> = (0..evidence.agents.len())
        .flat_map(|seller| pairs.about(seller).map(move |pair| (pair, seller)))
        .filter(|(pair, _)| links[*pair] >= 2)
        .map(|(pair, seller)| (pairs.raters[pair], narrow(seller), narrow(pair)))
        .collect();
    for pair in components::inside(&edges) {
        pairs.facts[wide(pair)].links = links[wide(pair)];
    }
}

/// All trades above unilateral, in order of time, buyer, seller, amount and log.
fn trades(evidence: &Evidence) -> Vec<Trade> {
    let counting = &evidence.rows[..evidence.counting];
    let mut order: Vec<(Trade, u128, u64)> = counting
        .par_iter()
        .zip(evidence.indices())
        .filter(|(row, _)| {
            row.level() > Level::Unilateral && (row.role() == Role::Buyer || !row.matched())
        })
        .map(|(row, index)| {
            let (buyer, seller) = match row.role() {
                Role::Buyer => (row.rater, row.subject),
                Role::Seller => (row.subject, row.rater),
            };
            let amount = evidence.reference_nano(*row);
            let trade = Trade {
                closed_at: row.closed_at,
                buyer,
                seller,
                amount_q16: small(log2_q16(amount.max(1))),
            };
            (trade, amount, *index)
        })
        .collect();
    order.par_sort_unstable_by_key(|(trade, amount, index)| {
        (trade.closed_at, trade.buyer, trade.seller, *amount, *index)
    });
    order.into_iter().map(|(trade, _, _)| trade).collect()
}

/// Whether each trade's amount is common.
fn common(trades: &[Trade], s: &Scoring) -> Vec<bool> {
    let bin = |trade: &Trade| wide(trade.amount_q16 / TOLERANCE_Q16);
    let bins = trades.iter().map(bin).max().map_or(0, |most| most + 1);
    let mut counts = vec![0_u64; bins];
    for trade in trades {
        counts[bin(trade)] += 1;
    }
    let all = u64::try_from(trades.len()).unwrap_or(u64::MAX);
    let often = |trade: &Trade| counts[bin(trade)] * 10_000 >= s.wash_common_bp * all;
    trades.iter().map(often).collect()
}

/// Whether each trade begins or ends a link.
fn linked(trades: &[Trade], common: &[bool], agents: usize, s: &Scoring) -> Vec<bool> {
    let mut starts = vec![0_usize; agents + 1];
    for trade in trades {
        starts[wide(trade.buyer) + 1] += 1;
    }
    let mut sum = 0;
    for start in &mut starts {
        sum += *start;
        *start = sum;
    }
    let mut next = starts.clone();
    let mut bought = vec![0_u32; trades.len()];
    for (place, trade) in (0..).zip(trades) {
        let slot = &mut next[wide(trade.buyer)];
        bought[*slot] = place;
        *slot += 1;
    }
    let links: Vec<(usize, usize)> = trades
        .par_iter()
        .enumerate()
        .filter(|(place, _)| !common[*place])
        .filter_map(|(place, trade)| {
            let seller = wide(trade.seller);
            let bought = &bought[starts[seller]..starts[seller + 1]];
            let later = bought.partition_point(|b| trades[wide(*b)].closed_at <= trade.closed_at);
            let until = trade.closed_at.saturating_add(s.wash_window_s);
            let on = bought[later..].iter().take(SCAN).map(|b| wide(*b));
            let like = |b: &usize| {
                let other = &trades[*b];
                other.amount_q16.abs_diff(trade.amount_q16) <= TOLERANCE_Q16
                    && other.seller != trade.buyer
            };
            let mut in_time = on.take_while(|b| trades[*b].closed_at <= until);
            Some((place, in_time.find(like)?))
        })
        .collect();
    let mut linked = vec![false; trades.len()];
    for (first, second) in links {
        linked[first] = true;
        linked[second] = true;
    }
    linked
}
