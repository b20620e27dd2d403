//! Pairs: all that one rater says of one subject in one role, as one concave mass. A pair's voice grows with the logarithm of its
//! trades, so a flood of reports between two agents adds little.
//!
//! Pairs are compressed sparse rows over the evidence, which is in their order: an agent has a range of pairs, a pair has a range
//! of reports. Section 2 and 3 of `docs/SCORING.md`.

use std::ops::Range;

use goodstanding_verify::report::{Role, Status};
use rayon::prelude::*;

use crate::{
    evidence::{Evidence, Level, Row, narrow, wide},
    fixed::{
        ONE, bp_q16, decay_q32, log2_one_plus_q16, log2_q16, milli_q16, milli_q32, mul_div,
        saturate, small,
    },
    policy::Scoring,
    ranges::{balanced, split},
};

/// Reports that one task weighs.
const TASK: usize = 1 << 14;

/// What the flow knows of a pair, Q16.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Edges {
    /// Capacity of the edge from rater to subject.
    pub(crate) forward: u32,
    /// Capacity of the edge from subject to rater, because the subject consented to the rater's reports.
    pub(crate) back: u32,
}

/// What does not change while suspicion does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fact {
    /// Σ standing weight, Q32.
    pub(crate) standing_q32: u64,
    /// min(log2(1 + Σ fresh weight), cap), Q16.
    pub(crate) size_q16: u32,
    /// Mean badness by fresh weight and value, Q16.
    pub(crate) badness_q16: u32,
    /// The buyer's pair of subject and rater, [`NOBODY`] if there is none.
    pub(crate) reverse: u32,
    /// Wash links, to 255.
    pub(crate) links: u8,
    facts: u8,
}

/// Stands for a pair that is not there.
pub(crate) const NOBODY: u32 = u32::MAX;

const SELLER: u8 = 1;
const RATING: u8 = 2;
const CONCENTRATED: u8 = 4;
const MUTUAL: u8 = 8;

impl Fact {
    /// Whether it is a seller's on its buyer.
    pub(crate) fn is_sellers(&self) -> bool {
        self.facts & SELLER != 0
    }

    /// Whether it is a buyer's with any fresh weight.
    pub(crate) fn is_rating(&self) -> bool {
        self.facts & RATING != 0
    }

    /// Whether nobody else's view can be held against this rater's.
    pub(crate) fn is_concentrated(&self) -> bool {
        self.facts & CONCENTRATED != 0
    }

    /// Whether both have rated each other at least twice.
    pub(crate) fn is_mutual(&self) -> bool {
        self.facts & MUTUAL != 0
    }
}

/// All pairs, ascending by subject, rater and role: 12 bytes a report, 32 a pair, 20 an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pairs {
    /// By agent, and one more: its first pair.
    pub(crate) about: Vec<u32>,
    /// By pair, and one more: its first report, as index into [`Evidence::rows`].
    pub(crate) starts: Vec<u32>,
    /// By pair: index into [`Evidence::agents`].
    pub(crate) raters: Vec<u32>,
    /// By pair.
    pub(crate) facts: Vec<Fact>,
    /// By report: decay × level × status, Q32. At most 10 · 2^32.
    pub(crate) fresh_q32: Vec<u64>,
    /// By report: value of the trade, thousandths. At most 10^6.
    pub(crate) value_milli: Vec<u32>,
    /// By agent: Σ standing weight of its ratings, Q32.
    pub(crate) given_q32: Vec<u128>,
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
            .zip(split(&mut pairs.facts, tasks.iter().map(Range::len)))
            .zip(split(&mut pairs.fresh_q32, lengths()))
            .zip(split(&mut pairs.value_milli, lengths()));
        let parts: Vec<_> = parts.collect();
        parts
            .into_par_iter()
            .for_each(|((((task, edges), facts), fresh), values)| {
                let mut standing = Vec::new();
                let first = wide(starts[task.start]);
                for ((pair, edge), fact) in task.clone().zip(edges).zip(facts) {
                    let range = wide(starts[pair])..wide(starts[pair + 1]);
                    let here = range.start - first..range.end - first;
                    let rows = &evidence.rows[range];
                    let (fresh, values) = (&mut fresh[here.clone()], &mut values[here]);
                    for ((row, fresh), value) in rows.iter().zip(&mut *fresh).zip(&mut *values) {
                        *fresh = fresh_weight(*row, as_of.saturating_sub(row.closed_at), s);
                        *value = value_of(*row, evidence, s);
                    }
                    cap_unilateral(rows, fresh, s);
                    self::standing(rows, s, &mut standing);
                    *fact = fact_of(rows, &standing, fresh, values, s);
                    *edge = edges_of(rows, &standing, values, s);
                }
            });
        pairs.relate(s);
        (pairs, edges)
    }

    /// The ranges, without weights.
    fn grouped(evidence: &Evidence) -> Self {
        let counting = &evidence.rows[..evidence.counting];
        let mut pairs = Self {
            about: Vec::with_capacity(evidence.agents.len() + 1),
            starts: Vec::new(),
            raters: Vec::new(),
            facts: Vec::new(),
            fresh_q32: vec![0; counting.len()],
            value_milli: vec![0; counting.len()],
            given_q32: vec![0; evidence.agents.len()],
        };
        let mut last = None;
        for (place, row) in counting.iter().enumerate() {
            let key = Some((row.subject, row.rater, row.role()));
            if last != key {
                let pair = narrow(pairs.starts.len());
                while pairs.about.len() <= wide(row.subject) {
                    pairs.about.push(pair);
                }
                pairs.starts.push(narrow(place));
                pairs.raters.push(row.rater);
                last = key;
            }
        }
        let count = narrow(pairs.starts.len());
        pairs.about.resize(evidence.agents.len() + 1, count);
        pairs.starts.push(narrow(counting.len()));
        pairs.facts = vec![Fact::default(); pairs.raters.len()];
        pairs
    }

    /// What pairs are to each other: reverse, mutual, concentrated.
    fn relate(&mut self, s: &Scoring) {
        for (fact, rater) in self.facts.iter().zip(&self.raters) {
            if fact.is_rating() {
                self.given_q32[wide(*rater)] += u128::from(fact.standing_q32);
            }
        }
        let this = &*self;
        let reverse: Vec<u32> = (0..this.about.len().saturating_sub(1))
            .into_par_iter()
            .flat_map_iter(|subject| {
                let pairs = this.about(subject);
                pairs.map(move |pair| this.find(narrow(subject), wide(this.raters[pair])))
            })
            .collect();
        let twice = 2 << 32;
        let standing: Vec<u64> = reverse
            .par_iter()
            .map(|reverse| match *reverse {
                NOBODY => 0,
                reverse => {
                    let fact = &self.facts[wide(reverse)];
                    if fact.is_rating() {
                        fact.standing_q32
                    } else {
                        0
                    }
                }
            })
            .collect();
        let (share, mass) = (
            bp_q16(s.concentrated_share_bp),
            milli_q32(s.concentrated_mass_milli),
        );
        let bulk = milli_q32(s.bulk_mass_milli);
        let given = &self.given_q32;
        let related = reverse.into_par_iter().zip(standing).zip(&self.raters);
        let facts = self.facts.par_iter_mut().zip(related);
        facts.for_each(|(fact, ((reverse, back), rater))| {
            fact.reverse = reverse;
            if !fact.is_rating() {
                return;
            }
            if fact.standing_q32 >= twice && back >= twice {
                fact.facts |= MUTUAL;
            }
            let all = given[wide(*rater)];
            let much = concentration(fact.standing_q32, all) > share && all >= mass;
            if much || u128::from(fact.standing_q32) >= bulk {
                fact.facts |= CONCENTRATED;
            }
        });
    }

    /// The buyer's pair of this rater and subject, [`NOBODY`] if there is none.
    pub(crate) fn find(&self, rater: u32, subject: usize) -> u32 {
        let about = self.about(subject);
        let raters = &self.raters[about.clone()];
        let place = about.start + raters.partition_point(|other| *other < rater);
        // Of one rater the buyer's pair is first.
        if place < about.end && self.raters[place] == rater && !self.facts[place].is_sellers() {
            narrow(place)
        } else {
            NOBODY
        }
    }

    /// Share of its rater's ratings that a pair is, Q16.
    pub(crate) fn concentration_q16(&self, pair: usize) -> u64 {
        let all = self.given_q32[wide(self.raters[pair])];
        concentration(self.facts[pair].standing_q32, all)
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

    /// Sum of the fresh weights of a pair's reports, Q32, and that of weight × value.
    pub(crate) fn masses(&self, pair: usize) -> (u128, u128) {
        let range = self.reports(pair);
        masses(&self.fresh_q32[range.clone()], &self.value_milli[range])
    }
}

/// Σ fresh weight (Q32) and Σ fresh weight · value.
fn masses(fresh: &[u64], values: &[u32]) -> (u128, u128) {
    let (mut mass, mut valued) = (0_u128, 0_u128);
    for (fresh, value) in fresh.iter().zip(values) {
        mass += u128::from(*fresh);
        valued += u128::from(*fresh) * u128::from(*value);
    }
    (mass, valued)
}

fn concentration(standing_q32: u64, all_q32: u128) -> u64 {
    mul_div(u128::from(standing_q32), u128::from(ONE), all_q32)
}

/// Badness of a quality, Q16.
pub(crate) fn badness_q16(quality_bp: u16) -> u64 {
    bp_q16(10_000_u64.saturating_sub(u64::from(quality_bp)))
}

/// Whether something was delivered.
pub(crate) fn delivered(row: &Row) -> bool {
    !matches!(row.status(), Status::Failed | Status::Disputed)
}

/// The standing weights of one pair's reports: level × status, Q32, of unilateral ones no more than the cap together.
pub(crate) fn standing(rows: &[Row], s: &Scoring, out: &mut Vec<u64>) {
    out.clear();
    out.extend(rows.iter().map(|row| weight(*row, 1 << 32, s)));
    cap_unilateral(rows, out, s);
}

/// Decay × level × status, Q32. At most 10 · 2^32.
fn fresh_weight(row: Row, age_s: u64, s: &Scoring) -> u64 {
    let half_life = if u64::from(row.quality_bp) < s.negative_below_bp {
        s.half_life_negative_s
    } else {
        s.half_life_s
    };
    weight(row, decay_q32(age_s, half_life), s)
}

fn weight(row: Row, decay_q32: u64, s: &Scoring) -> u64 {
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
    saturate(u128::from(decay_q32) * u128::from(level) * u128::from(status) / 1_000_000)
}

/// All unilateral reports of the pair together weigh at most the cap, which is at most one countersigned report.
fn cap_unilateral(rows: &[Row], weights: &mut [u64], s: &Scoring) {
    let unilateral = |row: &Row| row.level() == Level::Unilateral;
    let of_unilateral = rows
        .iter()
        .zip(&*weights)
        .filter(|(row, _)| unilateral(row));
    let sum: u128 = of_unilateral.map(|(_, weight)| u128::from(*weight)).sum();
    let cap = milli_q32(s.unilateral_cap_milli);
    if sum > cap {
        for (row, weight) in rows.iter().zip(weights) {
            if unilateral(row) {
                *weight = mul_div(u128::from(*weight), cap, sum);
            }
        }
    }
}

/// Value of a trade: base + slope · log2(1 + amount/unit), capped; thousandths. One party's word about an amount is
/// not believed, so a unilateral report has the base value.
fn value_of(row: Row, evidence: &Evidence, s: &Scoring) -> u32 {
    if row.level() == Level::Unilateral {
        return small(s.value_base_milli);
    }
    let reference_nano = evidence.reference_nano(row);
    let unit = u128::from(s.value_unit_nano);
    // log2(1 + a/u) = log2(u + a) − log2(u), both within 2^-15.
    let doublings = log2_q16(unit.saturating_add(reference_nano)) - log2_q16(unit);
    let grown = (u128::from(s.value_slope_milli) * u128::from(doublings)) >> 16;
    let value = s.value_base_milli.saturating_add(saturate(grown));
    small(value.min(s.value_cap_milli))
}

/// What is said of a pair, but for what it is to others.
fn fact_of(rows: &[Row], standing: &[u64], fresh: &[u64], values: &[u32], s: &Scoring) -> Fact {
    let (mass, valued) = masses(fresh, values);
    let weighted = rows.iter().zip(fresh).zip(values);
    let bad: u128 = weighted
        .map(|((row, fresh), value)| {
            u128::from(*fresh) * u128::from(*value) * u128::from(badness_q16(row.quality_bp))
        })
        .sum();
    let sellers = rows.first().is_some_and(|row| row.role() == Role::Seller);
    let size = log2_one_plus_q16(mass).min(milli_q16(s.pair_cap_milli));
    Fact {
        standing_q32: saturate(standing.iter().map(|s| u128::from(*s)).sum()),
        size_q16: small(size),
        badness_q16: small(mul_div(bad, 1, valued)),
        reverse: NOBODY,
        links: 0,
        facts: match (sellers, valued > 0) {
            (true, _) => SELLER,
            (false, true) => RATING,
            (false, false) => 0,
        },
    }
}

/// Capacities of a pair's edges, Q16 (section 4).
fn edges_of(rows: &[Row], standing: &[u64], values: &[u32], s: &Scoring) -> Edges {
    let (mut mass, mut consented) = (0_u128, 0_u128);
    let (mut valued, mut bad) = (0_u128, 0_u128);
    for ((row, standing), value) in rows.iter().zip(standing).zip(values) {
        let standing = u128::from(*standing);
        mass += standing;
        // A seller that signed terms or was paid before a witness, but did not report, vouches for its buyer too.
        if row.level() >= Level::Countersigned && !row.matched() && row.role() == Role::Buyer {
            consented += standing;
        }
        valued += standing * u128::from(*value);
        bad += standing * u128::from(*value) * u128::from(badness_q16(row.quality_bp));
    }
    let size = |mass| log2_one_plus_q16(mass).min(milli_q16(s.flow_edge_cap_milli));
    let to_buyer = |size: u64| small(size * s.flow_seller_bp / 10_000);
    let floor = bp_q16(s.flow_quality_floor_bp);
    let above = ONE
        .saturating_sub(mul_div(bad, 1, valued))
        .saturating_sub(floor);
    let whole = if valued == 0 {
        0
    } else {
        size(mass) * above / (ONE - floor).max(1)
    };
    if rows.first().is_some_and(|row| row.role() == Role::Seller) {
        return Edges {
            forward: to_buyer(whole),
            back: 0,
        };
    }
    Edges {
        forward: small(whole),
        back: to_buyer(size(consented)),
    }
}
