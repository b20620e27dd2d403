//! The outside view: how far a pair's ratings lie above or below what others say of the same subject at the same time (section 8).

use std::sync::Mutex;

use rayon::prelude::*;

use super::{
    Reader, by_subject, loo_q16,
    voice::{Voice, reference_q32},
};
use crate::{
    evidence::{Evidence, wide},
    fixed::{ONE, bp_q16, mul_div, mul_q16, q16, q32, saturate, signed, small},
    pairs::{Pairs, badness_q16},
    policy::Scoring,
};

/// A pair's excess.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Excess {
    /// ex, Q16: positive praises more than others do, negative blames more.
    pub(crate) excess_q16: i32,
    /// oc, Q16: how much others have said.
    pub(crate) known_q16: u32,
}

impl Excess {
    /// Whether others have said enough.
    pub(crate) fn is_known(self) -> bool {
        u64::from(self.known_q16) > q16(3, 10)
    }
}

/// The outside view of all pairs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Outside {
    pub(crate) excesses: Vec<Excess>,
    /// σx, Q16.
    pub(crate) scale_q16: u64,
}

/// Sums of reference weight (Q32) and weight · badness (Q48).
#[derive(Clone, Copy, Default)]
struct Seen {
    weight: u128,
    bad: u128,
}

impl Seen {
    fn add(&mut self, weight_q32: u64, bad_q16: u32) {
        self.weight += u128::from(weight_q32);
        self.bad += u128::from(weight_q32) * u128::from(bad_q16);
    }

    fn without(&self, other: &Self) -> Self {
        Self {
            weight: self.weight - other.weight,
            bad: self.bad - other.bad,
        }
    }
}

impl Outside {
    pub(crate) fn of(
        pairs: &Pairs,
        evidence: &Evidence,
        s: &Scoring,
        credibility_q32: &[u64],
        voices: &[Voice],
    ) -> Self {
        let mut excesses = vec![Excess::default(); pairs.len()];
        by_subject_with_reader(pairs, &mut excesses, |reader, subject, first, excesses| {
            reader.read(pairs, evidence, s, voices, subject);
            compare(
                reader,
                pairs,
                evidence,
                credibility_q32,
                voices,
                first,
                excesses,
            );
        });
        let scale_q16 = scale(pairs, s, credibility_q32, &excesses);
        Self {
            excesses,
            scale_q16,
        }
    }
}

/// [`by_subject`] with a reader that is used again; `each` gets the first pair and the items of all pairs of the subject.
fn by_subject_with_reader<T: Send>(
    pairs: &Pairs,
    items: &mut [T],
    each: impl Fn(&mut Reader, usize, usize, &mut [T]) + Sync,
) {
    let pool: Mutex<Vec<Reader>> = Mutex::new(Vec::new());
    by_subject(pairs, items, |subject, range, items| {
        if range.is_empty() {
            return;
        }
        let taken = pool.lock().map_or(None, |mut pool| pool.pop());
        let mut reader = taken.unwrap_or_default();
        each(&mut reader, subject, range.start, items);
        if let Ok(mut pool) = pool.lock() {
            pool.push(reader);
        }
    });
}

/// The excesses of the pairs about one subject.
fn compare(
    reader: &Reader,
    pairs: &Pairs,
    evidence: &Evidence,
    credibility_q32: &[u64],
    voices: &[Voice],
    first: usize,
    excesses: &mut [Excess],
) {
    let reading = &reader.reading;
    let reference = |read: &super::reading::Read| {
        let credibility = credibility_q32[wide(pairs.raters[read.pair])];
        reference_q32(read.weight_q32, credibility, &pairs.facts[read.pair])
    };
    let segments = reading.changes.segments();
    let mut all = Seen::default();
    let mut by_segment = vec![Seen::default(); segments];
    for read in &reading.reports {
        let weight = reference(read);
        all.add(weight, read.bad_q16);
        by_segment[read.segment].add(weight, read.bad_q16);
    }
    let mut own_by_segment = vec![Seen::default(); segments];
    for reports in reading.reports.chunk_by(|a, b| a.pair == b.pair) {
        let pair = reports[0].pair;
        let mut own = Seen::default();
        own_by_segment.fill(Seen::default());
        for read in reports {
            let weight = reference(read);
            own.add(weight, read.bad_q16);
            own_by_segment[read.segment].add(weight, read.bad_q16);
        }
        let others = all.without(&own);
        let usual = u128::from(loo_q16(others.bad, others.weight, q32(5, 100)));
        let prior = u128::from(q32(1, 10));
        let leniency = u64::from(voices[pair].leniency_q16);
        let (mut sum, mut heard) = (0_i128, 0_u128);
        for read in reports {
            let others = by_segment[read.segment].without(&own_by_segment[read.segment]);
            let around = saturate((others.bad + prior * usual) / (others.weight + prior));
            let bad = badness_q16(evidence.rows[read.place].quality_bp);
            let residual = signed(mul_q16(leniency, around)) - signed(bad);
            sum += i128::from(read.standing_q32) * i128::from(residual);
            heard =
                heard.saturating_add(u128::from(read.standing_q32).saturating_mul(others.weight));
        }
        let standing = pairs.facts[pair].standing_q32;
        let mean = sum.div_euclid(i128::from(standing) + i128::from(q32(1, 2)));
        let heard = u128::from(mul_div(heard, 1, u128::from(standing)));
        let known = mul_div(heard, u128::from(ONE), heard + u128::from(q32(1, 10)));
        excesses[pair - first] = Excess {
            // A mean of numbers between −1 and 1.
            excess_q16: i32::try_from(mean).unwrap_or(0),
            known_q16: small(known),
        };
    }
}

/// What is usual in this market: the median of |ex| by credibility, clamped.
fn scale(pairs: &Pairs, s: &Scoring, credibility_q32: &[u64], excesses: &[Excess]) -> u64 {
    const LARGEST: usize = 1 << 16;
    let known = excesses
        .par_iter()
        .enumerate()
        .filter(|(_, e)| e.is_known());
    let weights = known
        .fold(
            || vec![0_u128; LARGEST + 1],
            |mut weights, (pair, excess)| {
                let size = wide(excess.excess_q16.unsigned_abs()).min(LARGEST);
                weights[size] += u128::from(credibility_q32[wide(pairs.raters[pair])]);
                weights
            },
        )
        .reduce(
            || vec![0_u128; LARGEST + 1],
            |mut a, b| {
                for (a, b) in a.iter_mut().zip(b) {
                    *a += b;
                }
                a
            },
        );
    let all: u128 = weights.iter().sum();
    let (least, most) = (bp_q16(s.excess_min_bp), bp_q16(s.excess_max_bp));
    if all == 0 {
        return most;
    }
    let mut sum = 0;
    for (size, weight) in (0_u64..).zip(weights) {
        sum += weight;
        if 2 * sum >= all {
            return size.clamp(least, most);
        }
    }
    most
}
