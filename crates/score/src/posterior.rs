//! From evidence sums to a mean, its uncertainty and its lower bound; what the record as a buyer may weigh.
//!
//! Weights are Q32 (2^32 = one unit of evidence), qualities Q16 (2^16 = perfect). All divisions round down: a mean loses at most
//! 2^-16, and what is taken from it loses as little.

use crate::{
    fixed::{mul_div, saturate},
    policy::Scoring,
};

/// Weighted opinions: Σ weight and Σ weight · quality. Sums of integers, so the order of addition does not matter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sums {
    /// Σ weight, Q32.
    pub(crate) weight_q32: u128,
    /// Σ weight · quality, Q48: of 2^32 reports of 2^64 each below 2^112.
    pub(crate) quality_q48: u128,
}

impl Sums {
    /// One opinion; `quality_q16` is at most 2^16.
    pub(crate) fn add(&mut self, weight_q32: u64, quality_q16: u32) {
        self.weight_q32 += u128::from(weight_q32);
        self.quality_q48 += u128::from(weight_q32) * u128::from(quality_q16);
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        self.weight_q32 += other.weight_q32;
        self.quality_q48 += other.quality_q48;
    }
}

/// What a report as a buyer weighs in the score: its part of X, the lesser of the record as a buyer and its cap, less a multiple of
/// the record as a seller. So the record as a buyer counts for an agent that hardly sells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BuyerScale {
    /// X, what the whole record weighs in the score, Q32.
    pub(crate) counts_q32: u128,
    /// What it weighs by itself, Q32.
    pub(crate) weight_q32: u128,
}

impl BuyerScale {
    /// Of the weights of both records, Q32.
    pub(crate) fn new(as_seller_q32: u128, as_buyer_q32: u128, s: &Scoring) -> Self {
        // A weight below 2^96 times a fade of at most 10^9; the cap is below 2^52.
        let faded = as_seller_q32.saturating_mul(u128::from(s.buyer_fade_milli)) / 1000;
        let most = as_buyer_q32.min(milli_q32(s.buyer_cap_milli));
        Self {
            counts_q32: most.saturating_sub(faded),
            weight_q32: as_buyer_q32,
        }
    }

    /// What a report of this weight weighs in the score, Q32.
    pub(crate) fn of(&self, weight_q32: u64) -> u64 {
        if self.counts_q32 == self.weight_q32 {
            return weight_q32;
        }
        // Below 2^64 · 2^52.
        mul_div(u128::from(weight_q32), self.counts_q32, self.weight_q32)
    }
}

/// A mean and what it rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bound {
    /// Posterior mean, Q16.
    pub(crate) mean_q16: u64,
    /// Lower bound, basis points.
    pub(crate) lower_bp: u16,
}

impl Bound {
    pub(crate) fn mean_bp(&self) -> u16 {
        q16_bp(self.mean_q16)
    }
}

/// Lifetime: (Σ v·q + prior) / (Σ v + prior weight).
pub(crate) fn lifetime(sums: &Sums, s: &Scoring) -> Bound {
    let prior = milli_q32(s.prior_weight_milli);
    let weight = sums.weight_q32 + prior;
    let mean_q16 = mul_div(
        sums.quality_q48 + prior * u128::from(bp_q16(s.prior_quality_bp)),
        1,
        weight,
    );
    Bound {
        mean_q16,
        lower_bp: lower(mean_q16, weight, s),
    }
}

/// The lifetime bound of a mean that is less by what a value split takes from it, basis points.
pub(crate) fn deducted(sums: &Sums, life: &Bound, deduction_q16: u64, s: &Scoring) -> u16 {
    let weight = sums.weight_q32 + milli_q32(s.prior_weight_milli);
    lower(life.mean_q16.saturating_sub(deduction_q16), weight, s)
}

/// A window, band, kind or the record as a buyer: its own evidence, shrunk towards the lifetime mean. The lifetime mean counts as
/// evidence for the bound at most as far as there is other lifetime evidence.
pub(crate) fn segment(sums: &Sums, life: &Sums, life_bound: &Bound, s: &Scoring) -> Bound {
    let prior = milli_q32(s.segment_prior_weight_milli);
    let mean_q16 = mul_div(
        sums.quality_q48 + prior * u128::from(life_bound.mean_q16),
        1,
        sums.weight_q32 + prior,
    );
    let others = life.weight_q32.saturating_sub(sums.weight_q32);
    let weight = sums.weight_q32 + prior.min(others) + milli_q32(s.prior_weight_milli);
    Bound {
        mean_q16,
        lower_bp: lower(mean_q16, weight, s),
    }
}

/// mean − z · spread / √weight − what the model itself may be off, not below 0, basis points.
fn lower(mean_q16: u64, weight_q32: u128, s: &Scoring) -> u16 {
    // √weight in Q32: the weight is below 2^96, so the shift cannot lose bits, and the root times 10^7 stays below 2^88.
    let root = (weight_q32 << 32).isqrt();
    let margin_q16 = mul_div(
        u128::from(s.z_milli) * u128::from(s.spread_bp),
        1 << 48,
        root * 10_000_000,
    );
    let taken_q16 = margin_q16.saturating_add(bp_q16(s.model_error_bp));
    q16_bp(mean_q16.saturating_sub(taken_q16))
}

/// Prior's share of all evidence: 10000 without any.
pub(crate) fn uncertainty_bp(sums: &Sums, s: &Scoring) -> u16 {
    let prior = milli_q32(s.prior_weight_milli);
    basis_points(u128::from(mul_div(prior, 10_000, sums.weight_q32 + prior)))
}

/// Inverse Simpson index (Σ w)² / Σ w² of the raters' weights, thousandths; 0 without weight.
pub(crate) fn effective_milli(weights: impl Iterator<Item = u64>) -> u64 {
    // In Q24: the squares of 2^32 raters of up to 2^20 units each stay below 2^120.
    let (mut sum, mut squares) = (0_u128, 0_u128);
    for weight in weights {
        let w = u128::from(weight >> 8);
        sum += w;
        squares += w * w;
    }
    // Saturation at 2^58 (2^34 units) keeps the product in range.
    let root = sum.min(1 << 58);
    mul_div(root * root, 1000, squares)
}

/// Thousandths as Q32.
pub(crate) fn milli_q32(milli: u64) -> u128 {
    u128::from(mul_div(u128::from(milli), 1 << 32, 1000))
}

/// Q32 as thousandths.
pub(crate) fn q32_milli(weight: u128) -> u64 {
    saturate(weight.saturating_mul(1000) >> 32)
}

/// `part` / `whole` in basis points, 0 of nothing.
pub(crate) fn share_bp(part: u128, whole: u128) -> u16 {
    basis_points(u128::from(mul_div(part, 10_000, whole)))
}

fn basis_points(x: u128) -> u16 {
    u16::try_from(x).unwrap_or(10_000).min(10_000)
}

/// A quality in Q16 as basis points.
pub(crate) fn q16_bp(quality_q16: u64) -> u16 {
    basis_points((u128::from(quality_q16) * 10_000) >> 16)
}

/// Basis points as Q16.
pub(crate) fn bp_q16(bp: u64) -> u64 {
    mul_div(u128::from(bp), 1 << 16, 10_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNIT: u64 = 1 << 32;

    /// Numbers with which one can count on paper.
    fn plain() -> Scoring {
        Scoring {
            prior_weight_milli: 1000,
            prior_quality_bp: 5000,
            segment_prior_weight_milli: 2000,
            z_milli: 1000,
            spread_bp: 2500,
            ..Scoring::default()
        }
    }

    fn sums(of: &[(u64, u32)]) -> Sums {
        let mut sums = Sums::default();
        for (weight, quality) in of {
            sums.add(*weight, *quality);
        }
        sums
    }

    #[test]
    fn nobody_rated_is_the_prior() {
        let life = lifetime(&Sums::default(), &plain());
        // 32768 / 65536; one unit of evidence, so one spread of a quarter below it.
        assert_eq!(
            (life.mean_q16, life.mean_bp(), life.lower_bp),
            (32_768, 5000, 2500)
        );
        assert_eq!(uncertainty_bp(&Sums::default(), &plain()), 10_000);
    }

    #[test]
    fn lifetime_is_the_mean_with_the_prior_less_a_standard_error() {
        // Three perfect units and one of the prior, a half: 3.5 / 4 = 0.875. √4 = 2 halves the spread: 0.75.
        let good = sums(&[(UNIT, 1 << 16), (2 * UNIT, 1 << 16)]);
        let life = lifetime(&good, &plain());
        assert_eq!(
            (life.mean_q16, life.mean_bp(), life.lower_bp),
            (57_344, 8750, 7500)
        );
        assert_eq!(uncertainty_bp(&good, &plain()), 2500);
        // Not below zero: (2 · 0 + 0.5) / 3 = 10922, spread/√3 = 9459 of 65536; 1463 is 223 basis points.
        assert_eq!(lifetime(&sums(&[(2 * UNIT, 0)]), &plain()).lower_bp, 223);
        let wide = Scoring {
            spread_bp: 10_000,
            ..plain()
        };
        assert_eq!(lifetime(&sums(&[(2 * UNIT, 0)]), &wide).lower_bp, 0);
    }

    #[test]
    fn every_division_rounds_down() {
        // (1 · 21845 + 32768) / 2 = 27306.5; of a spread of 2500, 16384 / √2 = 11585.2, rounded down: 27306 − 11585 = 15721.
        let life = lifetime(&sums(&[(UNIT, 21_845)]), &plain());
        assert_eq!(life.mean_q16, 27_306);
        // 27306 · 10000 / 65536 = 4166.6; 15721 · 10000 / 65536 = 2398.8
        assert_eq!((life.mean_bp(), life.lower_bp), (4166, 2398));
        assert_eq!(
            (bp_q16(1), bp_q16(3000), bp_q16(10_000)),
            (6, 19_660, 65_536)
        );
        assert_eq!(
            (q16_bp(65_536), q16_bp(65_535), q16_bp(6)),
            (10_000, 9999, 0)
        );
        assert_eq!((milli_q32(1), q32_milli(4_294_967)), (4_294_967, 0));
    }

    #[test]
    fn the_error_of_the_model_is_taken_from_every_bound() {
        let s = Scoring {
            model_error_bp: 300,
            ..plain()
        };
        let good = sums(&[(3 * UNIT, 1 << 16)]);
        let life = lifetime(&good, &s);
        // 0.75 is 49152; 300 of 10000 of 65536 is 1966; 47186 is 7200.01 basis points.
        assert_eq!((life.mean_bp(), life.lower_bp), (8750, 7200));
        assert_eq!(
            segment(&good, &good, &life, &s).lower_bp,
            segment(&good, &good, &life, &plain()).lower_bp - 300
        );
        assert_eq!(deducted(&good, &life, 0, &s), life.lower_bp);
    }

    #[test]
    fn a_deduction_lowers_the_mean_and_not_its_error() {
        let good = sums(&[(3 * UNIT, 1 << 16)]);
        let life = lifetime(&good, &plain());
        // A quarter of 65536 less: 0.875 − 0.25 − 0.125 = 0.5.
        assert_eq!(deducted(&good, &life, 16_384, &plain()), 5000);
        assert_eq!(deducted(&good, &life, 0, &plain()), 7500);
        assert_eq!(deducted(&good, &life, u64::MAX, &plain()), 0);
    }

    #[test]
    fn a_segment_leans_on_the_lifetime_mean() {
        // Six perfect units and two of nothing: (6 + 0.5) / 9 = 0.7222 = 47331.
        let all = sums(&[(6 * UNIT, 1 << 16), (2 * UNIT, 0)]);
        let life = lifetime(&all, &plain());
        assert_eq!(life.mean_q16, 47_331);
        // Its two units of nothing and two of the lifetime mean: 23665. Evidence 2 + 2 + 1: 16384 / √5 = 7327.1; 16338 is 2492.98.
        let bad = sums(&[(2 * UNIT, 0)]);
        let bound = segment(&bad, &all, &life, &plain());
        assert_eq!((bound.mean_q16, bound.lower_bp), (23_665, 2492));
        // Where the segment is all there is, nothing else vouches for its mean: 2 + 0 + 1, 16384 / √3 = 9459.3.
        // Mean: life (0 + 0.5) / 3 = 10922, of which half is 5461; less than that error.
        let alone = lifetime(&bad, &plain());
        let bound = segment(&bad, &bad, &alone, &plain());
        assert_eq!(
            (alone.mean_q16, bound.mean_q16, bound.lower_bp),
            (10_922, 5461, 0)
        );
        // One that weighs more than all (the record as a buyer by itself) is none the worse for it.
        let more = sums(&[(9 * UNIT, 1 << 16)]);
        // (9 · 65536 + 2 · 47331) / 11 = 62226; 16384 / √10 = 5181.07
        let bound = segment(&more, &all, &life, &plain());
        assert_eq!((bound.mean_q16, bound.lower_bp), (62_226, 8704));
    }

    #[test]
    fn who_sells_is_not_judged_as_a_buyer() {
        let s = Scoring {
            buyer_cap_milli: 2000,
            buyer_fade_milli: 4000,
            ..plain()
        };
        let unit = u128::from(UNIT);
        // Five units as a buyer count as two while there are none as a seller,
        let none = BuyerScale::new(0, 5 * unit, &s);
        assert_eq!(
            (none.counts_q32, none.of(UNIT), none.of(10)),
            (2 * unit, UNIT * 2 / 5, 4)
        );
        assert_eq!(none.of(9), 3); // 3.6
        // as one with a quarter of a unit, and not at all from half a unit on.
        assert_eq!(BuyerScale::new(unit / 4, 5 * unit, &s).counts_q32, unit);
        assert_eq!(BuyerScale::new(unit / 2, 5 * unit, &s).of(u64::MAX), 0);
        assert_eq!(BuyerScale::new(100 * unit, 5 * unit, &s).counts_q32, 0);
        // Below the cap it counts as it is; without any nothing does.
        assert_eq!(BuyerScale::new(0, unit, &s).of(UNIT - 1), UNIT - 1);
        assert_eq!(BuyerScale::new(0, 0, &s).of(0), 0);
        // With the largest numbers there are it still rounds the exact quotient down.
        let large = Scoring {
            buyer_cap_milli: 1_000_000_000,
            buyer_fade_milli: 0,
            ..plain()
        };
        let scale = BuyerScale::new(u128::MAX >> 32, 1 << 64, &large);
        assert_eq!(scale.counts_q32, 1_000_000 << 32);
        assert_eq!(scale.of(u64::MAX), (1_000_000 << 32) - 1);
    }

    #[test]
    fn effective_counterparties() {
        assert_eq!(effective_milli([UNIT, UNIT, UNIT].into_iter()), 3000);
        // (3 + 1)² / (9 + 1)
        assert_eq!(effective_milli([3 * UNIT, UNIT, 0].into_iter()), 1600);
        // What is below 2^8 is not seen.
        assert_eq!(effective_milli([255, 255].into_iter()), 0);
        assert_eq!(effective_milli(std::iter::empty()), 0);
    }
}
