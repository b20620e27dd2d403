//! The side of high values: who is honest in small trades and cheats in large ones (section 10).

use std::collections::HashMap;

use super::{Reading, reading::test_weight};
use crate::{
    evidence::{Evidence, wide},
    fixed::{ONE, milli_q16, mul_div, mul_q16, positive, q16, q32, saturate, signed},
    pairs::Pairs,
    policy::Scoring,
};

/// From which amount on a subject is worse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ValueSplit {
    /// Amount of the first trade above the border, 1e-9 of the reference currency.
    pub(crate) from_nano: u128,
    /// Its z, Q16.
    pub(crate) z_q16: u64,
    /// How much worse, drawn towards nothing, Q16.
    pub(crate) gap_q16: u64,
    /// What is taken from the mean, Q16.
    pub(crate) deduction_q16: u64,
}

/// One report: amount and weights.
#[derive(Clone, Copy)]
struct Item {
    amount: u128,
    /// u, Q16.
    weight: u64,
    /// τ, Q16.
    test: u64,
    /// ρ, Q16.
    worse: i64,
}

/// Sums on one side of a border.
#[derive(Clone, Copy, Default)]
struct Side {
    /// Σ τ, Q16.
    test: u128,
    /// Σ τ · ρ, Q32.
    tested: i128,
    /// Σ τ², Q32.
    squares: u128,
    /// Σ u, Q16.
    weight: u128,
    /// Σ u · ρ, Q32.
    weighted: i128,
}

/// The value split of a subject, if there is one.
pub(crate) fn value_split(
    reading: &Reading,
    pairs: &Pairs,
    evidence: &Evidence,
    s: &Scoring,
    credibility_q32: &[u64],
    dampening: &[u32],
) -> Option<ValueSplit> {
    if s.value_gap_bp >= 10_000 || reading.reports.len() < 2 {
        return None;
    }
    let worse = against_its_time(reading, evidence, s);
    let mut items: Vec<Item> = reading
        .reports
        .iter()
        .zip(worse)
        .map(|(read, worse)| {
            let fact = &pairs.facts[read.pair];
            let credibility = credibility_q32[wide(pairs.raters[read.pair])] >> 16;
            let heard = mul_q16(credibility, u64::from(dampening[read.pair]));
            let few = mul_div(4, 1 << 48, u128::from(fact.standing_q32)).min(ONE);
            let standing = u128::from(read.standing_q32.min(1 << 32));
            let weight = saturate((u128::from(mul_q16(heard, few)) * standing) >> 32);
            Item {
                amount: evidence.reference_nano(evidence.rows[read.place]),
                weight,
                test: test_weight(weight, read.delivered, s),
                worse,
            }
        })
        .collect();
    items.sort_unstable_by_key(|item| item.amount);
    let mut all = Side::default();
    let mut squares = 0_u128;
    for item in &items {
        all.add(item);
        let worse = u128::from(item.worse.unsigned_abs());
        squares += u128::from(item.test) * worse * worse;
    }
    let noise = (squares + EIGHT_HUNDREDTHS_Q48) / (all.test + u128::from(q16(2, 1)));
    let (mut below, mut best) = (Side::default(), None::<ValueSplit>);
    for pair in items.windows(2) {
        below.add(&pair[0]);
        if pair[0].amount == pair[1].amount {
            continue;
        }
        let above = all.without(&below);
        if let Some(split) = split(&below, &above, noise.max(1), pair[1].amount, s)
            && best.is_none_or(|best| split.deduction_q16 > best.deduction_q16)
        {
            best = Some(split);
        }
    }
    best.filter(|split| split.deduction_q16 > 0)
}

/// ρ of each report: how much worse it is than the subject's others of the same time, Q16.
fn against_its_time(reading: &Reading, evidence: &Evidence, s: &Scoring) -> Vec<i64> {
    let mut segments: HashMap<usize, (u128, u128)> = HashMap::new();
    let mut bins: HashMap<(usize, u64), (u128, u128)> = HashMap::new();
    let bin = |read: &super::reading::Read| {
        let number = evidence.rows[read.place].closed_at / s.value_bin_s;
        (read.segment, number)
    };
    for read in &reading.reports {
        let weight = u128::from(read.kept_q32);
        let bad = weight * u128::from(read.bad_q16);
        for sums in [
            segments.entry(read.segment).or_default(),
            bins.entry(bin(read)).or_default(),
        ] {
            sums.0 += weight;
            sums.1 += bad;
        }
    }
    let prior = u128::from(q32(1, 2));
    let reports = reading.reports.iter();
    reports
        .map(|read| {
            let (weight, bad) = segments.get(&read.segment).copied().unwrap_or_default();
            let usual = (bad + TWO_HUNDREDTHS_Q48) / (weight + u128::from(q32(5, 100)));
            let (weight, bad) = bins.get(&bin(read)).copied().unwrap_or_default();
            let own = u128::from(read.kept_q32);
            let bad = bad - own * u128::from(read.bad_q16);
            let around = saturate((bad + prior * usual) / (weight - own + prior));
            i64::from(read.bad_q16) - signed(around)
        })
        .collect()
}

/// 48(0.08).
const EIGHT_HUNDREDTHS_Q48: u128 = (8 << 48) / 100;
/// 48(0.02).
const TWO_HUNDREDTHS_Q48: u128 = (2 << 48) / 100;

impl Side {
    fn add(&mut self, item: &Item) {
        self.test += u128::from(item.test);
        self.tested += i128::from(item.test) * i128::from(item.worse);
        self.squares += u128::from(item.test) * u128::from(item.test);
        self.weight += u128::from(item.weight);
        self.weighted += i128::from(item.weight) * i128::from(item.worse);
    }

    fn without(&self, other: &Self) -> Self {
        Self {
            test: self.test - other.test,
            tested: self.tested - other.tested,
            squares: self.squares - other.squares,
            weight: self.weight - other.weight,
            weighted: self.weighted - other.weighted,
        }
    }

    /// Mean of ρ, Q16.
    fn mean(&self) -> i128 {
        self.tested
            .div_euclid(i128::try_from(self.test).unwrap_or(i128::MAX).max(1))
    }

    /// Variance of that mean in units of the noise, Q32.
    fn spread(&self) -> u128 {
        let squares = self.squares + u128::from(q32(1, 10));
        squares.saturating_mul(1 << 32) / (self.test * self.test).max(1)
    }
}

fn split(
    below: &Side,
    above: &Side,
    noise_q32: u128,
    from_nano: u128,
    s: &Scoring,
) -> Option<ValueSplit> {
    let least = u128::from(q16(1, 2));
    let several =
        1000 * above.test * above.test >= u128::from(s.value_effective_milli) * above.squares;
    if below.test <= least || above.test <= least || !several {
        return None;
    }
    let distance = u128::from(positive(above.mean() - below.mean()));
    if distance == 0 {
        return None;
    }
    let spread = (below.spread() + above.spread()).max(1);
    let z2_q16 = mul_div(
        distance * distance,
        1 << 48,
        noise_q32.saturating_mul(spread),
    );
    let z_q16 = saturate((u128::from(z2_q16) << 16).isqrt());
    let whole = i128::try_from(above.weight + u128::from(q16(1, 2))).unwrap_or(i128::MAX);
    let gap_q16 = positive(above.weighted.div_euclid(whole));
    if gap_q16 <= crate::fixed::bp_q16(s.value_gap_bp) {
        return None;
    }
    let (low, high) = (
        milli_q16(s.value_z_low_milli),
        milli_q16(s.value_z_high_milli),
    );
    let over = z_q16.saturating_sub(low).min(1 << 40);
    let sure = ((over << 16) / high.saturating_sub(low).max(1)).min(ONE);
    Some(ValueSplit {
        from_nano,
        z_q16,
        gap_q16,
        deduction_q16: mul_q16(gap_q16, sure),
    })
}
