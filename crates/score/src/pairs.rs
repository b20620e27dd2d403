//! Pairs: all that one rater says of one subject, as one concave mass. A pair's voice grows with the logarithm of its
//! trades, so a flood of reports between two agents adds little.

use std::ops::Range;

use goodstanding_verify::report::{Role, Status};
use rayon::prelude::*;

use crate::{
    evidence::{Evidence, Level, Opinion},
    fixed::{decay_q32, log2_one_plus_q16, log2_q16, mul_div, saturate},
    policy::{Policy, Scoring},
    posterior,
};

/// One opinion inside its pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Item {
    /// Index into [`Evidence::opinions`].
    pub(crate) opinion: usize,
    /// Weight by level and age, Q32: what flow counts.
    pub(crate) raw_q32: u64,
    /// The same times the role's weight, Q32: what the score counts.
    pub(crate) unit_q32: u64,
    /// Value of the trade, thousandths.
    pub(crate) value_milli: u64,
}

/// One rater's reports on one subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pair {
    /// Index into [`Evidence::agents`].
    pub(crate) rater: usize,
    /// Index into [`Evidence::agents`].
    pub(crate) subject: usize,
    /// Its opinions, in log order.
    pub(crate) items: Vec<Item>,
    /// Sum of the items' units, Q32.
    pub(crate) mass_q32: u128,
    /// min(log2(1 + mass), cap), Q16.
    pub(crate) size_q16: u64,
    /// The edge from rater to subject.
    pub(crate) forward: Weight,
    /// The edge from subject to rater, because the subject consented to the rater's reports.
    pub(crate) back: Weight,
}

/// Weight of an edge of the flow, Q16.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Weight {
    /// What the edge carries, relative to the capacities of all edges of its source.
    pub(crate) carries: u64,
    /// What it would carry from a buyer to a seller. The difference returns to the seeds.
    pub(crate) capacity: u64,
}

/// All pairs, ascending by subject, then rater, and for each agent the range of pairs about it.
pub(crate) struct Pairs {
    pub(crate) all: Vec<Pair>,
    pub(crate) about: Vec<Range<usize>>,
}

impl Pairs {
    pub(crate) fn build(evidence: &Evidence, policy: &Policy, as_of: u64) -> Self {
        let mut order: Vec<(usize, usize, usize)> = evidence
            .opinions
            .iter()
            .enumerate()
            .filter(|(_, o)| {
                o.status != Status::Cancelled || policy.scoring.cancelled_weight_milli > 0
            })
            .map(|(i, o)| (o.subject, o.rater, i))
            .collect();
        order.par_sort_unstable();
        let groups: Vec<&[(usize, usize, usize)]> =
            order.chunk_by(|a, b| (a.0, a.1) == (b.0, b.1)).collect();
        let all: Vec<Pair> = groups
            .par_iter()
            .map(|group| pair(group, evidence, policy, as_of))
            .collect();
        let mut about = vec![0..0; evidence.agents.len()];
        let mut start = 0;
        for chunk in all.chunk_by(|a, b| a.subject == b.subject) {
            about[chunk[0].subject] = start..start + chunk.len();
            start += chunk.len();
        }
        Self { all, about }
    }
}

fn pair(group: &[(usize, usize, usize)], evidence: &Evidence, policy: &Policy, as_of: u64) -> Pair {
    let s = &policy.scoring;
    let (subject, rater, _) = group[0];
    let mut items: Vec<Item> = Vec::with_capacity(group.len());
    let mut unilateral = 0_u128;
    for (_, _, i) in group {
        let (opinion, trade) = (
            &evidence.opinions[*i],
            &evidence.trades[evidence.opinions[*i].trade],
        );
        let raw_q32 = raw_weight(opinion, as_of.saturating_sub(trade.closed_at), s);
        if opinion.level == Level::Unilateral {
            unilateral += u128::from(raw_q32);
        }
        items.push(Item {
            opinion: *i,
            raw_q32,
            unit_q32: 0,
            value_milli: value(opinion.level, trade.reference_nano, s),
        });
    }
    // All unilateral reports of the pair together weigh at most the cap, which is at most one countersigned report.
    let cap = posterior::milli_q32(s.unilateral_cap_milli);
    for item in &mut items {
        let opinion = &evidence.opinions[item.opinion];
        if opinion.level == Level::Unilateral && unilateral > cap {
            item.raw_q32 = mul_div(u128::from(item.raw_q32), cap, unilateral);
        }
        let role_milli = if opinion.role == Role::Buyer {
            1000
        } else {
            s.seller_weight_milli
        };
        item.unit_q32 = mul_div(u128::from(item.raw_q32), u128::from(role_milli), 1000);
    }
    let mass_q32 = items.iter().map(|item| u128::from(item.unit_q32)).sum();
    let size_q16 = log2_one_plus_q16(mass_q32).min(milli_q16(s.pair_cap_milli));
    let (forward, back) = edges(&items, evidence, s);
    Pair {
        rater,
        subject,
        items,
        mass_q32,
        size_q16,
        forward,
        back,
    }
}

/// Thousandths as Q16.
fn milli_q16(milli: u64) -> u64 {
    mul_div(u128::from(milli), 1 << 16, 1000)
}

/// Weight of one report before its role: decay × level × status, Q32. At most 10 · 2^32.
fn raw_weight(opinion: &Opinion, age_s: u64, s: &Scoring) -> u64 {
    let half_life = if u64::from(opinion.quality_bp) < s.negative_below_bp {
        s.half_life_negative_s
    } else {
        s.half_life_s
    };
    let level = match opinion.level {
        Level::Unilateral => s.unilateral_weight_milli,
        Level::Matched | Level::Countersigned => 1000,
        Level::Receipt => s.receipt_weight_milli,
    };
    let status = if opinion.status == Status::Cancelled {
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
fn value(level: Level, reference_nano: u128, s: &Scoring) -> u64 {
    if level == Level::Unilateral {
        return s.value_base_milli;
    }
    let unit = u128::from(s.value_unit_nano);
    // log2(1 + a/u) = log2(u + a) − log2(u), both within 2^-15.
    let doublings = log2_q16(unit.saturating_add(reference_nano)) - log2_q16(unit);
    let grown = (u128::from(s.value_slope_milli) * u128::from(doublings)) >> 16;
    s.value_cap_milli
        .min(s.value_base_milli.saturating_add(saturate(grown)))
}

/// Flow weights of a pair: forward (rater to subject) and back (subject to rater), Q16.
fn edges(items: &[Item], evidence: &Evidence, s: &Scoring) -> (Weight, Weight) {
    let mut buyer = Side::default();
    let mut seller = Side::default();
    let mut consent = Side::default();
    for item in items {
        let opinion = &evidence.opinions[item.opinion];
        let trade = &evidence.trades[opinion.trade];
        if opinion.role == Role::Buyer {
            buyer.add(item, opinion.quality_bp);
            // A seller that signed terms or was paid before a witness, but did not report, vouches for its buyer too.
            if opinion.level >= Level::Countersigned && !trade.matched {
                consent.add(item, 10_000);
            }
        } else {
            seller.add(item, opinion.quality_bp);
        }
    }
    let (bought, sold, let_be_rated) = (buyer.weight(s), seller.weight(s), consent.weight(s));
    let share = |carries: u64| mul_div(u128::from(carries), u128::from(s.flow_seller_bp), 10_000);
    let forward = Weight {
        carries: bought.carries + share(sold.carries),
        capacity: bought.capacity + sold.capacity,
    };
    (
        forward,
        Weight {
            carries: share(let_be_rated.carries),
            capacity: let_be_rated.capacity,
        },
    )
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
    fn weight(&self, s: &Scoring) -> Weight {
        let Some(mean_q8) = (self.quality << 8).checked_div(self.valued) else {
            return Weight::default();
        };
        let size = log2_one_plus_q16(self.mass_q32).min(milli_q16(s.flow_edge_cap_milli));
        let above = mean_q8.saturating_sub(u128::from(s.flow_quality_floor_bp) << 8);
        let whole = u128::from(10_000 - s.flow_quality_floor_bp) << 8;
        let carries = mul_div(u128::from(size), above, whole);
        Weight {
            carries,
            capacity: carries,
        }
    }
}
