//! How much each rating weighs: the rater's credibility, dampening, whether others can check it, leniency and noise (sections 6.1 to 6.6).

use rayon::prelude::*;

use super::{by_subject, loo_q16};
use crate::{
    evidence::{Evidence, wide},
    fixed::{ONE, bp_q16, milli_q32, mul_div, mul_q16, q16, q32, saturate, small},
    pairs::{Fact, Pairs, badness_q16},
    policy::Scoring,
};

/// What a pair's ratings weigh together, and how they are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Voice {
    /// e, Q32.
    pub(crate) voice_q32: u64,
    /// β, Q16.
    pub(crate) leniency_q16: u32,
}

/// The first weights, which leniency is judged by.
#[derive(Clone, Copy, Debug, Default)]
struct First {
    /// e2, Q32.
    voice_q32: u64,
    /// r, Q32.
    reference_q32: u64,
    leniency_q16: u32,
    loo_q16: u32,
}

/// ref of section 6.3: how much of a weight counts where views are held against others.
pub(crate) fn reference_q32(weight_q32: u64, credibility_q32: u64, fact: &Fact) -> u64 {
    let by_credibility = |x: u64| saturate((u128::from(x) * u128::from(credibility_q32)) >> 32);
    let mut reference = by_credibility(by_credibility(weight_q32));
    if fact.is_mutual() {
        reference /= 10;
    }
    if fact.links >= 3 {
        reference /= 20;
    }
    if fact.is_concentrated() {
        reference /= 20;
    }
    reference
}

/// Badness as a lenient rater's is read: ⌊b / β⌋, at most one; Q16.
pub(crate) fn as_read_q16(badness_q16: u64, leniency_q16: u32) -> u64 {
    if u64::from(leniency_q16) == ONE {
        return badness_q16;
    }
    ((badness_q16 << 16) / u64::from(leniency_q16).max(1)).min(ONE)
}

/// e0 of section 6.1, Q32.
pub(crate) fn plain_voice_q32(pairs: &Pairs, pair: usize, credibility_q32: &[u64]) -> u64 {
    let credibility = credibility_q32[wide(pairs.raters[pair])];
    if credibility == 0 {
        return 0;
    }
    let (mass, valued) = pairs.masses(pair);
    let loud = mul_q16(u64::from(pairs.facts[pair].size_q16), credibility);
    mul_div(u128::from(loud), valued, mass.saturating_mul(1000))
}

/// The voices of all pairs.
pub(crate) fn voices(
    pairs: &Pairs,
    evidence: &Evidence,
    s: &Scoring,
    credibility_q32: &[u64],
    dampening: &[u32],
) -> Vec<Voice> {
    let mut first = firsts(pairs, s, credibility_q32, dampening);
    if s.leniency_floor_bp < 10_000 {
        for _ in 0..2 {
            leave_out(pairs, &mut first);
            lean(pairs, s, dampening, &mut first);
        }
    }
    let noise = (s.noise_scale_ppm > 0).then(|| {
        leave_out(pairs, &mut first);
        noise(pairs, evidence, &first)
    });
    let scale = mul_div(u128::from(s.noise_scale_ppm), 1 << 32, 1_000_000);
    let mut voices = vec![Voice::default(); first.len()];
    let items = voices.par_iter_mut().zip(&first).enumerate();
    items.for_each(|(pair, (voice, first))| {
        let heard = match &noise {
            Some(noise) if pairs.facts[pair].is_rating() => {
                let variance = noise.variance_q32(pairs, pair);
                let usual = u128::from(scale + q32(2, 100));
                mul_div(
                    u128::from(first.voice_q32),
                    usual,
                    u128::from(scale) + variance,
                )
            }
            _ => first.voice_q32,
        };
        *voice = Voice {
            voice_q32: heard,
            leniency_q16: first.leniency_q16,
        };
    });
    voices
}

/// Sections 6.1 to 6.3.
fn firsts(pairs: &Pairs, s: &Scoring, credibility_q32: &[u64], dampening: &[u32]) -> Vec<First> {
    let mut first = vec![First::default(); pairs.len()];
    by_subject(pairs, &mut first, |_, range, first| {
        let (mut free, mut concentrated) = (0_u128, 0_u64);
        for (pair, first) in range.clone().zip(&mut *first) {
            let fact = &pairs.facts[pair];
            let plain = plain_voice_q32(pairs, pair, credibility_q32);
            first.leniency_q16 = small(ONE);
            first.voice_q32 = plain;
            if !fact.is_rating() {
                continue;
            }
            first.voice_q32 = mul_q16(plain, u64::from(dampening[pair]));
            if fact.is_concentrated() {
                let credibility = credibility_q32[wide(pairs.raters[pair])];
                concentrated += u64::from(credibility > 0);
            } else {
                free += u128::from(first.voice_q32);
            }
        }
        let checked = mul_div(
            free,
            u128::from(ONE),
            free + milli_q32(s.outside_weight_milli),
        );
        // More than 2^16 of them leave nothing each.
        let squared = concentrated.min(1 << 20).pow(2).max(1);
        let kept = checked + (ONE - checked) / squared;
        for (pair, first) in range.zip(first) {
            let fact = &pairs.facts[pair];
            if !fact.is_rating() {
                continue;
            }
            if fact.is_concentrated() {
                first.voice_q32 = mul_q16(first.voice_q32, kept);
            }
            let credibility = credibility_q32[wide(pairs.raters[pair])];
            first.reference_q32 = reference_q32(first.voice_q32, credibility, fact);
        }
    });
    first
}

/// What a subject's other raters say, for every pair.
fn leave_out(pairs: &Pairs, first: &mut [First]) {
    by_subject(pairs, first, |_, range, first| {
        let read = |pair: usize, first: &First| {
            as_read_q16(u64::from(pairs.facts[pair].badness_q16), first.leniency_q16)
        };
        let (mut weight, mut bad) = (0_u128, 0_u128);
        for (pair, first) in range.clone().zip(&*first) {
            weight += u128::from(first.reference_q32);
            bad += u128::from(first.reference_q32) * u128::from(read(pair, first));
        }
        for (pair, first) in range.zip(first) {
            let own = u128::from(first.reference_q32);
            let own_bad = own * u128::from(read(pair, first));
            first.loo_q16 = small(loo_q16(bad - own_bad, weight - own, q32(3, 10)));
        }
    });
}

/// Section 6.4: each rater against the others of its subjects, the pair at hand left out on both sides.
fn lean(pairs: &Pairs, s: &Scoring, dampening: &[u32], first: &mut [First]) {
    let parts = |pair: usize, first: &First| {
        let fact = &pairs.facts[pair];
        if !fact.is_rating() {
            return (0, 0);
        }
        let heard = mul_q16(u64::from(fact.size_q16), u64::from(dampening[pair]));
        let bad = u128::from(heard) * u128::from(fact.badness_q16);
        (bad, u128::from(heard) * u128::from(first.loo_q16))
    };
    let mut sums = vec![(0_u128, 0_u128); pairs.given_q32.len()];
    for (pair, (rater, first)) in pairs.raters.iter().zip(&*first).enumerate() {
        let (bad, expected) = parts(pair, first);
        let sum = &mut sums[wide(*rater)];
        sum.0 += bad;
        sum.1 += expected;
    }
    let floor = bp_q16(s.leniency_floor_bp);
    let prior = u128::from(q32(3, 2));
    first.par_iter_mut().enumerate().for_each(|(pair, first)| {
        if !pairs.facts[pair].is_rating() {
            return;
        }
        let (bad, expected) = parts(pair, first);
        let all = sums[wide(pairs.raters[pair])];
        let (bad, expected) = (all.0 - bad + prior, all.1 - expected + prior);
        let leniency = mul_div(bad, u128::from(ONE), expected);
        first.leniency_q16 = small(leniency.clamp(floor, ONE));
    });
}

/// How far each rater's ratings lie from what others say.
struct Noise {
    /// By pair: size × mean squared distance, Q32.
    squares: Vec<u64>,
    /// By rater: the sums of that and of sizes (Q16).
    sums: Vec<(u128, u128)>,
}

impl Noise {
    /// Section 6.6, without the pair itself.
    fn variance_q32(&self, pairs: &Pairs, pair: usize) -> u128 {
        let (squares, sizes) = self.sums[wide(pairs.raters[pair])];
        let squares = squares - u128::from(self.squares[pair]) + u128::from(q32(4, 100));
        let sizes = sizes - u128::from(pairs.facts[pair].size_q16) + u128::from(q16(2, 1));
        (squares << 16) / sizes
    }
}

fn noise(pairs: &Pairs, evidence: &Evidence, first: &[First]) -> Noise {
    let squares: Vec<u64> = first
        .par_iter()
        .enumerate()
        .map(|(pair, first)| {
            let fact = &pairs.facts[pair];
            if !fact.is_rating() {
                return 0;
            }
            let range = pairs.reports(pair);
            let (mut mass, mut sum) = (0_u128, 0_u128);
            let weighted = range.clone().zip(&pairs.fresh_q32[range]);
            for (place, fresh) in weighted {
                let bad = badness_q16(evidence.rows[place].quality_bp);
                let distance =
                    as_read_q16(bad, first.leniency_q16).abs_diff(u64::from(first.loo_q16));
                mass += u128::from(*fresh);
                sum += u128::from(*fresh) * u128::from(distance * distance);
            }
            mul_q16(u64::from(fact.size_q16), mul_div(sum, 1, mass))
        })
        .collect();
    let mut sums = vec![(0, 0); pairs.given_q32.len()];
    for ((rater, square), fact) in pairs.raters.iter().zip(&squares).zip(&pairs.facts) {
        if fact.is_rating() {
            let sum: &mut (u128, u128) = &mut sums[wide(*rater)];
            sum.0 += u128::from(*square);
            sum.1 += u128::from(fact.size_q16);
        }
    }
    Noise { squares, sums }
}
