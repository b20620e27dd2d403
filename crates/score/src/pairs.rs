//! Pairs: all that one rater says of one subject, as one concave mass. A pair's voice grows with the logarithm of its
//! trades, so a flood of reports between two agents adds little.
//!
//! Pairs are compressed sparse rows over the evidence, which is in their order: an agent has a range of pairs, a pair has a range
//! of reports. Each report has its weights, each pair nothing but its rater; what else is said of a pair is a sum over its range.

use std::ops::Range;

use goodstanding_verify::report::{Role, Status};
use rayon::prelude::*;

use crate::{
    evidence::{Evidence, Level, Row, narrow, wide},
    fixed::{decay_q32, log2_one_plus_q16, log2_q16, mul_div, saturate},
    policy::Scoring,
    posterior,
    ranges::{balanced, split},
};

/// Reports that one task weighs.
const TASK: usize = 1 << 14;

/// One report inside its pair.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Item {
    /// Weight by level and age, Q32: what flow counts.
    raw_q32: u64,
    /// Value of the trade, thousandths.
    value_milli: u32,
}

/// What the flow knows of a pair.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Edges {
    /// The edge from rater to subject.
    pub(crate) forward: Weight,
    /// The edge from subject to rater, because the subject consented to the rater's reports.
    pub(crate) back: Weight,
}

/// Weight of an edge of the flow, Q16.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Weight {
    /// What the edge carries, relative to the capacities of all edges of its source.
    pub(crate) carries: u32,
    /// What it would carry from a buyer to a seller. The difference returns to the seeds.
    pub(crate) capacity: u32,
}

/// All pairs, ascending by subject, then rater: 12 bytes a report, 8 a pair, 4 an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pairs {
    /// By agent, and one more: its first pair.
    pub(crate) about: Vec<u32>,
    /// By pair, and one more: its first report, as index into [`Evidence::rows`].
    pub(crate) starts: Vec<u32>,
    /// By pair: index into [`Evidence::agents`].
    pub(crate) raters: Vec<u32>,
    /// By report: decay × level × status × role, Q32: what the score counts. At most 10 · 2^32.
    pub(crate) unit_q32: Vec<u64>,
    /// By report: value of the trade, thousandths. At most 10^6.
    pub(crate) value_milli: Vec<u32>,
}

impl Pairs {
    /// All pairs of the evidence with the weights of their reports, and the edges of each pair.
    pub(crate) fn build(evidence: &Evidence, s: &Scoring, as_of: u64) -> (Self, Vec<Edges>) {
        let mut pairs = Self::grouped(evidence);
        let mut edges = vec![Edges::default(); pairs.len()];
        let tasks = balanced(&pairs.starts, TASK);
        let starts = &pairs.starts;
        let lengths = || {
            let reports = |task: &Range<usize>| wide(starts[task.end] - starts[task.start]);
            tasks.iter().map(reports)
        };
        let parts = tasks
            .iter()
            .zip(split(&mut edges, tasks.iter().map(Range::len)))
            .zip(split(&mut pairs.unit_q32, lengths()))
            .zip(split(&mut pairs.value_milli, lengths()));
        let parts: Vec<_> = parts.collect();
        parts
            .into_par_iter()
            .for_each(|(((task, edges), units), values)| {
                let mut items = Vec::new();
                let first = wide(starts[task.start]);
                for (pair, edge) in task.clone().zip(edges) {
                    let range = wide(starts[pair])..wide(starts[pair + 1]);
                    let rows = &evidence.rows[range.clone()];
                    *edge = weigh(rows, evidence, s, as_of, &mut items);
                    for (place, item) in (range.start - first..).zip(&items) {
                        units[place] = item.raw_q32;
                        values[place] = item.value_milli;
                    }
                }
            });
        (pairs, edges)
    }

    /// The ranges, without weights.
    fn grouped(evidence: &Evidence) -> Self {
        let counting = &evidence.rows[..evidence.counting];
        let mut pairs = Self {
            about: Vec::with_capacity(evidence.agents.len() + 1),
            starts: Vec::new(),
            raters: Vec::new(),
            unit_q32: vec![0; counting.len()],
            value_milli: vec![0; counting.len()],
        };
        let mut last = None;
        for (place, row) in counting.iter().enumerate() {
            if last != Some((row.subject, row.rater)) {
                let pair = narrow(pairs.starts.len());
                while pairs.about.len() <= wide(row.subject) {
                    pairs.about.push(pair);
                }
                pairs.starts.push(narrow(place));
                pairs.raters.push(row.rater);
                last = Some((row.subject, row.rater));
            }
        }
        let count = narrow(pairs.starts.len());
        pairs.about.resize(evidence.agents.len() + 1, count);
        pairs.starts.push(narrow(counting.len()));
        pairs
    }

    /// Number of pairs.
    pub(crate) fn len(&self) -> usize {
        self.raters.len()
    }

    /// The pairs about an agent.
    pub(crate) fn about(&self, agent: usize) -> Range<usize> {
        wide(self.about[agent])..wide(self.about[agent + 1])
    }

    /// The reports of a pair, as indices into [`Evidence::rows`].
    pub(crate) fn reports(&self, pair: usize) -> Range<usize> {
        wide(self.starts[pair])..wide(self.starts[pair + 1])
    }

    /// Sum of the units of a pair's reports, Q32.
    pub(crate) fn mass_q32(&self, pair: usize) -> u128 {
        let units = &self.unit_q32[self.reports(pair)];
        units.iter().map(|unit| u128::from(*unit)).sum()
    }
}

/// min(log2(1 + mass), cap), Q16.
pub(crate) fn size_q16(mass_q32: u128, s: &Scoring) -> u64 {
    log2_one_plus_q16(mass_q32).min(milli_q16(s.pair_cap_milli))
}

/// The weights of one pair's reports, and its edges.
fn weigh(
    rows: &[Row],
    evidence: &Evidence,
    s: &Scoring,
    as_of: u64,
    items: &mut Vec<Item>,
) -> Edges {
    items.clear();
    let mut unilateral = 0_u128;
    for row in rows {
        let raw_q32 = raw_weight(*row, as_of.saturating_sub(row.closed_at), s);
        if row.level() == Level::Unilateral {
            unilateral += u128::from(raw_q32);
        }
        items.push(Item {
            raw_q32,
            value_milli: value(*row, evidence, s),
        });
    }
    // All unilateral reports of the pair together weigh at most the cap, which is at most one countersigned report.
    let cap = posterior::milli_q32(s.unilateral_cap_milli);
    if unilateral > cap {
        for (row, item) in rows.iter().zip(&mut *items) {
            if row.level() == Level::Unilateral {
                item.raw_q32 = mul_div(u128::from(item.raw_q32), cap, unilateral);
            }
        }
    }
    edges(rows, items, s)
}

/// Thousandths as Q16.
fn milli_q16(milli: u64) -> u64 {
    mul_div(u128::from(milli), 1 << 16, 1000)
}

/// Weight of one report before its role: decay × level × status, Q32. At most 10 · 2^32.
fn raw_weight(row: Row, age_s: u64, s: &Scoring) -> u64 {
    let half_life = if u64::from(row.quality_bp) < s.negative_below_bp {
        s.half_life_negative_s
    } else {
        s.half_life_s
    };
    let level = match row.level() {
        Level::Unilateral => s.unilateral_weight_milli,
        Level::Matched | Level::Countersigned => 1000,
        Level::Receipt => s.receipt_weight_milli,
    };
    let status = if row.status() == Status::Cancelled {
        s.cancelled_weight_milli
    } else {
        1000
    };
    // Below 2^33 · 10^4 · 10^3.
    saturate(
        u128::from(decay_q32(age_s, half_life)) * u128::from(level) * u128::from(status)
            / 1_000_000,
    )
}

/// Value of a trade: base + slope · log2(1 + amount/unit), capped; thousandths. One party's word about an amount is
/// not believed, so a unilateral report has the base value.
fn value(row: Row, evidence: &Evidence, s: &Scoring) -> u32 {
    let capped = |milli: u64| u32::try_from(milli.min(s.value_cap_milli)).unwrap_or(u32::MAX);
    if row.level() == Level::Unilateral {
        return u32::try_from(s.value_base_milli).unwrap_or(u32::MAX);
    }
    let reference_nano = evidence.reference_nano(row);
    let unit = u128::from(s.value_unit_nano);
    // log2(1 + a/u) = log2(u + a) − log2(u), both within 2^-15.
    let doublings = log2_q16(unit.saturating_add(reference_nano)) - log2_q16(unit);
    let grown = (u128::from(s.value_slope_milli) * u128::from(doublings)) >> 16;
    capped(s.value_base_milli.saturating_add(saturate(grown)))
}

/// Flow weights of a pair: forward (rater to subject) and back (subject to rater), Q16.
fn edges(rows: &[Row], items: &[Item], s: &Scoring) -> Edges {
    let mut buyer = Side::default();
    let mut seller = Side::default();
    let mut consent = Side::default();
    for (row, item) in rows.iter().zip(items) {
        if row.role() == Role::Buyer {
            buyer.add(item, row.quality_bp);
            // A seller that signed terms or was paid before a witness, but did not report, vouches for its buyer too.
            if row.level() >= Level::Countersigned && !row.matched() {
                consent.add(item, 10_000);
            }
        } else {
            seller.add(item, row.quality_bp);
        }
    }
    let (bought, sold, let_be_rated) = (buyer.weight(s), seller.weight(s), consent.weight(s));
    // At most 2^20 · 10^4 over 10^4.
    let share = |size: u64| size * s.flow_seller_bp / 10_000;
    Edges {
        forward: Weight {
            carries: small(bought + share(sold)),
            capacity: small(bought + sold),
        },
        back: Weight {
            carries: small(share(let_be_rated)),
            capacity: small(let_be_rated),
        },
    }
}

/// Mass and mean quality of a pair's reports in one role.
#[derive(Default)]
struct Side {
    mass_q32: u128,
    valued: u128,
    quality: u128,
}

impl Side {
    fn add(&mut self, item: &Item, quality_bp: u16) {
        self.mass_q32 += u128::from(item.raw_q32);
        // Below 2^37 · 2^20 · 2^14 each, and at most 2^32 of them.
        let valued = u128::from(item.raw_q32) * u128::from(item.value_milli);
        self.valued += valued;
        self.quality += valued * u128::from(quality_bp);
    }

    /// min(log2(1 + mass), cap) × share of the mean quality above the floor, Q16.
    fn weight(&self, s: &Scoring) -> u64 {
        let Some(mean_q8) = (self.quality << 8).checked_div(self.valued) else {
            return 0;
        };
        let size = log2_one_plus_q16(self.mass_q32).min(milli_q16(s.flow_edge_cap_milli));
        let above = mean_q8.saturating_sub(u128::from(s.flow_quality_floor_bp) << 8);
        let whole = u128::from(10_000 - s.flow_quality_floor_bp) << 8;
        // A size is at most 16 in Q16, and the mean quality at most 10,000.
        mul_div(u128::from(size), above, whole)
    }
}

/// A weight of an edge: at most 2^21.
fn small(weight: u64) -> u32 {
    u32::try_from(weight).unwrap_or(u32::MAX)
}
