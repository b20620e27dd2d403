//! From evidence sums to a mean, its uncertainty and its lower bound.
//!
//! Weights are Q32 (2^32 = one unit of evidence). All divisions round down, so a bound is never above its exact value
//! by more than the tables' error.

use crate::{
    fixed::{mul_div, saturate},
    policy::Scoring,
};

/// Weighted opinions: Σ weight and Σ weight · quality. Sums of integers, so the order of addition does not matter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sums {
    /// Σ weight, Q32.
    pub(crate) weight_q32: u128,
    /// Σ weight · quality, Q32 · basis points.
    pub(crate) quality: u128,
}

impl Sums {
    pub(crate) fn add(&mut self, weight_q32: u64, quality_bp: u16) {
        self.weight_q32 += u128::from(weight_q32);
        self.quality += u128::from(weight_q32) * u128::from(quality_bp);
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        self.weight_q32 += other.weight_q32;
        self.quality += other.quality;
    }
}

/// A mean and what it rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bound {
    /// Posterior mean, basis points in Q16.
    pub(crate) mean_q16: u64,
    /// Lower bound, basis points.
    pub(crate) lower_bp: u16,
}

impl Bound {
    pub(crate) fn mean_bp(&self) -> u16 {
        basis_points(u128::from(self.mean_q16 >> 16))
    }
}

/// Lifetime: (Σ v·q + prior) / (Σ v + prior weight).
pub(crate) fn lifetime(sums: &Sums, s: &Scoring) -> Bound {
    let prior = milli_q32(s.prior_weight_milli);
    let weight = sums.weight_q32 + prior;
    let mean_q16 = mul_div(
        sums.quality + prior * u128::from(s.prior_quality_bp),
        1 << 16,
        weight,
    );
    Bound {
        mean_q16,
        lower_bp: lower(mean_q16, weight, s),
    }
}

/// A window, band or kind: its own evidence, shrunk towards the lifetime mean. The lifetime mean counts as evidence for
/// the bound at most as far as there is lifetime evidence.
pub(crate) fn segment(sums: &Sums, life: &Sums, life_bound: &Bound, s: &Scoring) -> Bound {
    let prior = milli_q32(s.segment_prior_weight_milli);
    let mean_q16 = mul_div(
        (sums.quality << 16) + prior * u128::from(life_bound.mean_q16),
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

/// mean − z · spread / √weight, not below 0.
fn lower(mean_q16: u64, weight_q32: u128, s: &Scoring) -> u16 {
    // √weight in Q32: the weight is below 2^90, so the shift cannot lose bits.
    let root = (weight_q32 << 32).isqrt();
    let margin_q16 = mul_div(
        u128::from(s.z_milli) * u128::from(s.spread_bp),
        1 << 48,
        root * 1000,
    );
    basis_points(u128::from(mean_q16.saturating_sub(margin_q16) >> 16))
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
