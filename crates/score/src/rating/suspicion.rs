//! What speaks against a pair, and what is left of it (section 9).

use rayon::prelude::*;

use super::{Excess, Outside, by_subject};
use crate::{
    evidence::wide,
    fixed::{
        ONE, bp_q16, log2_one_plus_q16, milli_q16, mul_q16, positive, q16, q32, signed, small,
    },
    pairs::{NOBODY, Pairs},
    policy::Scoring,
};

/// Why a pair is dampened, Q16 each: what is left by each reason, and the statistics they are from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_field_names, reason = "the unit is part of every name")]
pub(crate) struct Reason {
    /// X: less than one for a boost inside a core.
    pub(crate) core_q16: u64,
    /// K.
    pub(crate) wash_q16: u64,
    /// R.
    pub(crate) reciprocal_q16: u64,
    /// L.
    pub(crate) slander_q16: u64,
    /// Y.
    pub(crate) boost_q16: u64,
    /// D.
    pub(crate) dampening_q16: u64,
}

/// What suspicion of pairs is judged by.
pub(crate) struct Suspect<'a> {
    pub(crate) pairs: &'a Pairs,
    pub(crate) s: &'a Scoring,
    pub(crate) outside: &'a Outside,
    /// That of the same round, Q32.
    pub(crate) credibility_q32: &'a [u64],
}

/// D of all pairs, Q16; `core` tells which pairs boost inside a core.
pub(crate) fn dampening(suspect: &Suspect<'_>, core: &[bool]) -> Vec<u32> {
    let mut dampening = vec![small(ONE); suspect.pairs.len()];
    by_subject(suspect.pairs, &mut dampening, |_, range, dampening| {
        let parts = suspect.parts(range.clone());
        for ((pair, dampening), part) in range.clone().zip(dampening).zip(&parts.own) {
            if suspect.pairs.facts[pair].is_rating() {
                let inside = core.get(pair).copied().unwrap_or(false);
                *dampening = small(suspect.reason(pair, *part, &parts, inside).dampening_q16);
            }
        }
    });
    dampening
}

/// The reasons of all pairs about one subject.
pub(crate) fn reasons(suspect: &Suspect<'_>, subject: usize, core: &[bool]) -> Vec<Reason> {
    let range = suspect.pairs.about(subject);
    let parts = suspect.parts(range.clone());
    let pairs = range.zip(&parts.own);
    pairs
        .map(|(pair, part)| {
            let inside = core.get(pair).copied().unwrap_or(false);
            suspect.reason(pair, *part, &parts, inside)
        })
        .collect()
}

/// N and E of one pair.
#[derive(Clone, Copy, Default)]
struct Part {
    slander: u64,
    boost: u64,
}

/// N and E of the pairs about one subject, M and Σ E.
struct Parts {
    own: Vec<Part>,
    /// M, Q32.
    slanderers: u128,
    boosts: u64,
}

impl Suspect<'_> {
    fn parts(&self, range: std::ops::Range<usize>) -> Parts {
        let own: Vec<Part> = range
            .clone()
            .map(|pair| {
                if self.pairs.facts[pair].is_rating() {
                    Part {
                        slander: self.slander(pair),
                        boost: self.boost(pair),
                    }
                } else {
                    Part::default()
                }
            })
            .collect();
        let mut parts = Parts {
            slanderers: 0,
            boosts: 0,
            own,
        };
        for (pair, part) in range.zip(&parts.own) {
            if self.is_heard(pair) {
                if part.slander > q16(2, 10) {
                    let credibility = self.credibility_q32[wide(self.pairs.raters[pair])];
                    parts.slanderers += u128::from(credibility);
                }
                parts.boosts = parts.boosts.saturating_add(part.boost);
            }
        }
        parts
    }

    /// Whether its rater has any credibility. Identities without flow move nothing, so they are not counted either.
    fn is_heard(&self, pair: usize) -> bool {
        self.pairs.facts[pair].is_rating()
            && self.credibility_q32[wide(self.pairs.raters[pair])] > 0
    }

    fn excess(&self, pair: usize) -> Excess {
        self.outside.excesses[pair]
    }

    /// Whether it is little known or says little of others.
    fn low(&self, pair: usize) -> u64 {
        let credibility = self.credibility_q32[wide(self.pairs.raters[pair])] >> 16;
        let unknown = ONE.saturating_sub(credibility);
        self.pairs.concentration_q16(pair).max(unknown)
    }

    /// N of section 9.2.
    fn slander(&self, pair: usize) -> u64 {
        let Excess {
            excess_q16,
            known_q16,
        } = self.excess(pair);
        let blame = positive(-i128::from(excess_q16));
        if blame <= q16(2, 10) {
            return 0;
        }
        let often = self.pairs.facts[pair].standing_q32.min(8 << 32) >> 16;
        let more = blame - q16(15, 100);
        mul_q16(
            mul_q16(mul_q16(often, more), u64::from(known_q16)),
            self.low(pair),
        )
    }

    /// E of section 9.3.
    fn boost(&self, pair: usize) -> u64 {
        let Excess {
            excess_q16,
            known_q16,
        } = self.excess(pair);
        let standing = self.pairs.facts[pair].standing_q32;
        let known = (3 * ONE + 7 * u64::from(known_q16)) / 10;
        let often = standing.min(16 << 32).isqrt();
        let from = self.outside.scale_q16 * self.s.boost_from_milli / 1000;
        let excess = i64::from(excess_q16);
        let above = |least: u64| positive(i128::from(excess - signed(least)));
        let mut boost = 0;
        if excess > signed(from) {
            let usual = mul_q16(mul_q16(above(2 * from / 3), known), often);
            boost = mul_q16(usual, self.low(pair));
        }
        if standing >= 6 << 32 {
            boost = boost.max(mul_q16(mul_q16(above(q16(3, 10)), known), often));
        }
        boost
    }

    /// R of section 9.1.
    fn reciprocal(&self, pair: usize) -> u64 {
        let fact = &self.pairs.facts[pair];
        if fact.reverse == NOBODY {
            return 0;
        }
        let reverse = wide(fact.reverse);
        let other = &self.pairs.facts[reverse];
        if !other.is_rating() {
            return 0;
        }
        let trades = fact.standing_q32.min(other.standing_q32);
        let excess = self
            .excess(pair)
            .excess_q16
            .min(self.excess(reverse).excess_q16);
        let scaled = (positive(i128::from(excess)) << 16) / self.outside.scale_q16.max(1);
        if trades >= 2 << 32 {
            scaled
        } else if trades >= 1 << 32 {
            scaled / 2
        } else {
            0
        }
    }

    fn reason(&self, pair: usize, part: Part, parts: &Parts, inside: bool) -> Reason {
        let s = self.s;
        let slander = mul_q16(
            part.slander,
            log2_one_plus_q16(parts.slanderers.max(1 << 32)),
        );
        // At most 2^19 each of at most 2^32.
        let own = if self.is_heard(pair) { part.boost } else { 0 };
        let others = parts.boosts.saturating_sub(own).min(1 << 47);
        let boost = mul_q16(part.boost, (others << 16).isqrt());
        let wash = (u64::from(self.pairs.facts[pair].links) * ONE / 6).min(ONE);
        let reciprocal = self.reciprocal(pair);
        let core = if inside { bp_q16(s.core_damp_bp) } else { ONE };
        let ramps = [
            ramp(wash, s.wash_low_milli, s.wash_high_milli),
            ramp(reciprocal, s.reciprocal_low_milli, s.reciprocal_high_milli),
            ramp(slander, s.slander_low_milli, s.slander_high_milli),
            ramp(boost, s.boost_low_milli, s.boost_high_milli),
        ];
        let left = ramps.into_iter().fold(core, mul_q16);
        Reason {
            core_q16: core,
            wash_q16: wash,
            reciprocal_q16: reciprocal,
            slander_q16: slander,
            boost_q16: boost,
            dampening_q16: left.max(bp_q16(s.damp_floor_bp)),
        }
    }
}

/// One below `low`, nothing from `high`.
fn ramp(x: u64, low_milli: u64, high_milli: u64) -> u64 {
    let (low, high) = (milli_q16(low_milli), milli_q16(high_milli));
    let above = x.saturating_sub(low);
    ONE - ((above.min(1 << 40) << 16) / high.saturating_sub(low).max(1)).min(ONE)
}

/// The pairs that boost inside a core (section 9.5).
pub(crate) fn core(suspect: &Suspect<'_>, agents: usize) -> Vec<bool> {
    let Suspect {
        pairs, s, outside, ..
    } = suspect;
    let least = signed(outside.scale_q16 * s.core_excess_milli / 1000);
    let often = |pair: usize| pairs.facts[pair].standing_q32.min(8 << 32);
    let boosting: Vec<(usize, usize, usize)> = (0..agents)
        .into_par_iter()
        .flat_map_iter(|subject| {
            pairs.about(subject).filter_map(move |pair| {
                let excess = &outside.excesses[pair];
                let boosts = suspect.is_heard(pair)
                    && i64::from(excess.excess_q16) > least
                    && excess.is_known();
                boosts.then_some((pair, wide(pairs.raters[pair]), subject))
            })
        })
        .collect();
    let mut core = vec![false; pairs.len()];
    if boosting.is_empty() {
        return core;
    }
    let (mut given, mut got) = (vec![0_u128; agents], vec![0_u128; agents]);
    for (subject, got) in got.iter_mut().enumerate() {
        for pair in pairs.about(subject) {
            if suspect.is_heard(pair) {
                *got += u128::from(often(pair));
                given[wide(pairs.raters[pair])] += u128::from(often(pair));
            }
        }
    }
    let mut inside = vec![true; agents];
    for _ in 0..8 {
        let (mut boosts_given, mut boosts_got) = (vec![0_u128; agents], vec![0_u128; agents]);
        for (pair, rater, subject) in &boosting {
            if inside[*rater] && inside[*subject] {
                boosts_given[*rater] += u128::from(often(*pair));
                boosts_got[*subject] += u128::from(often(*pair));
            }
        }
        let enough = |boosts: u128, all: u128| {
            let all = all.max(u128::from(q32(3, 1)));
            boosts * 10_000 >= u128::from(s.core_share_bp) * all
        };
        for (agent, inside) in inside.iter_mut().enumerate() {
            *inside = *inside
                && enough(boosts_got[agent], got[agent])
                && enough(boosts_given[agent], given[agent]);
        }
    }
    for (pair, rater, subject) in boosting {
        core[pair] = inside[rater] && inside[subject];
    }
    core
}
