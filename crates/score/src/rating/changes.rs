//! Change points: when an agent became another (section 7).
//!
//! Binary segmentation (Scott and Knott 1974) on z statistics with the subject's own noise; not CUSUM, because a certificate is asked
//! for at any time and not at the first alarm.

use crate::fixed::{mul_div, q16, q32, saturate};
use crate::policy::Scoring;

/// The reports of one bin of time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Bin {
    /// Number of the bin: `closed_at` / `change_bin_s`.
    pub(super) number: u64,
    /// Σ τ, Q16.
    pub(super) weight: u128,
    /// Σ τ · y, Q32.
    pub(super) bad: u128,
    /// Σ τ², Q32.
    pub(super) squares: u128,
}

/// One change point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    /// Number of the first bin after it.
    pub(crate) bin: u64,
    /// Square of its z, Q16.
    pub(crate) z2_q16: u64,
    /// Whether it is for the worse.
    pub(crate) worse: bool,
    /// Bits by which reports before it are forgotten.
    pub(crate) bits: u32,
    /// Mean badness of its range before and after, Q16.
    pub(crate) means_q16: (u64, u64),
}

/// All change points of one subject, in order of time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    pub(crate) splits: Vec<Change>,
    /// Whether it goes back and forth: then nothing is forgotten.
    pub(crate) oscillates: bool,
}

/// Most bits that are forgotten.
const MOST_BITS: u32 = 6;

impl Changes {
    /// By how many bits a report of this bin is forgotten, and its segment.
    pub(super) fn of(&self, bin: u64) -> (u32, usize) {
        let segment = self.splits.partition_point(|split| split.bin <= bin);
        let bits: u32 = self.splits[segment..].iter().map(|split| split.bits).sum();
        (bits.min(MOST_BITS), segment)
    }

    /// Number of segments.
    pub(super) fn segments(&self) -> usize {
        self.splits.len() + 1
    }
}

/// A change point before a place of the bins.
#[derive(Clone, Copy)]
struct Split {
    place: usize,
    z2_q16: u64,
    worse: bool,
    means_q16: (u64, u64),
}

/// The change points in these bins, ascending by number; `noise_q32` is σ².
pub(super) fn changes(bins: &[Bin], noise_q32: u64, s: &Scoring) -> Changes {
    let threshold = squared_q16(s.change_z_milli);
    let strong = squared_q16(s.change_strong_z_milli);
    let sums = Prefix::of(bins);
    let best = |low: usize, high: usize| {
        let mut best: Option<Split> = None;
        for place in low + 1..high {
            let split = sums.split(low, place, high, noise_q32, s);
            if split.z2_q16 > threshold && best.is_none_or(|best| split.z2_q16 > best.z2_q16) {
                best = Some(split);
            }
        }
        (low, high, best)
    };
    let mut ranges = vec![best(0, bins.len())];
    let mut found: Vec<Split> = Vec::new();
    for _ in 0..s.change_splits {
        let mut which: Option<(usize, Split)> = None;
        for (range, (_, _, best)) in ranges.iter().enumerate() {
            if let Some(best) = best
                && which.is_none_or(|(_, other)| best.z2_q16 > other.z2_q16)
            {
                which = Some((range, *best));
            }
        }
        let Some((range, split)) = which else { break };
        let (low, high, _) = ranges[range];
        let halves = [best(low, split.place), best(split.place, high)];
        ranges.splice(range..=range, halves);
        found.push(split);
    }
    found.sort_unstable_by_key(|split| split.place);
    let turns = found
        .windows(2)
        .filter(|w| w[0].worse != w[1].worse)
        .count();
    let oscillates = turns >= 2;
    let splits = found.into_iter().map(|split| Change {
        bin: bins[split.place].number,
        z2_q16: split.z2_q16,
        worse: split.worse,
        bits: match (oscillates, split.z2_q16 > strong) {
            (true, _) => 0,
            (false, true) => 4,
            (false, false) => 2,
        },
        means_q16: split.means_q16,
    });
    Changes {
        splits: splits.collect(),
        oscillates,
    }
}

/// The square of a z in thousandths, Q16.
fn squared_q16(milli: u64) -> u64 {
    mul_div(u128::from(milli) * u128::from(milli), 1 << 16, 1_000_000)
}

/// Sums of the bins before each place.
struct Prefix(Vec<Bin>);

impl Prefix {
    fn of(bins: &[Bin]) -> Self {
        let mut sum = Bin::default();
        let mut sums = Vec::with_capacity(bins.len() + 1);
        sums.push(sum);
        for bin in bins {
            sum.weight += bin.weight;
            sum.bad += bin.bad;
            sum.squares += bin.squares;
            sums.push(sum);
        }
        Self(sums)
    }

    fn between(&self, low: usize, high: usize) -> Bin {
        let (low, high) = (&self.0[low], &self.0[high]);
        Bin {
            number: 0,
            weight: high.weight - low.weight,
            bad: high.bad - low.bad,
            squares: high.squares - low.squares,
        }
    }

    fn split(&self, low: usize, place: usize, high: usize, noise_q32: u64, s: &Scoring) -> Split {
        let (before, after) = (self.between(low, place), self.between(place, high));
        let usual = self.between(low, high).usual_q16();
        let (m0, m1) = (before.mean_q16(usual), after.mean_q16(usual));
        let distance = m0.abs_diff(m1);
        let spread = (before.spread_q32() + after.spread_q32()).max(1);
        let known = before.is_enough() && after.is_enough();
        let z2_q16 = if !known || distance <= q16(s.change_shift_bp, 10_000) {
            0
        } else {
            let squared = u128::from(distance) * u128::from(distance);
            mul_div(squared, 1 << 48, u128::from(noise_q32) * spread)
        };
        Split {
            place,
            z2_q16,
            worse: m1 > m0,
            means_q16: (m0, m1),
        }
    }
}

impl Bin {
    /// Mean badness, drawn towards 0.4; Q16.
    fn usual_q16(&self) -> u64 {
        let bad = self.bad + u128::from(q32(12, 100));
        saturate(bad / (self.weight + u128::from(q16(3, 10))))
    }

    /// Mean badness, drawn towards what is usual in the whole range: without evidence there is no difference. Q16.
    fn mean_q16(&self, usual_q16: u64) -> u64 {
        let prior = u128::from(q16(3, 10));
        saturate((self.bad + prior * u128::from(usual_q16)) / (self.weight + prior))
    }

    /// Whether it says enough to void what is on the other side: one unit of evidence, of two and a half ratings of equal weight.
    fn is_enough(&self) -> bool {
        self.weight >= u128::from(q16(1, 1)) && 2 * self.weight * self.weight >= 5 * self.squares
    }

    /// Variance of the mean in units of the noise, Q32.
    fn spread_q32(&self) -> u128 {
        let weight = self.weight + u128::from(q16(9, 100));
        let squares = self.squares + u128::from(q32(3, 100));
        squares.saturating_mul(1 << 32) / weight.saturating_mul(weight)
    }
}

/// σ² of section 7 (Q32) from Σ τ · (y − l)² (Q48) and Σ τ (Q16).
pub(super) fn noise_q32(squares: u128, weight: u128) -> u64 {
    let squares = squares * 8 / 10 + EIGHT_HUNDREDTHS_Q48;
    saturate(squares / (weight + u128::from(q16(2, 1)))).max(1)
}

/// 48(0.08).
const EIGHT_HUNDREDTHS_Q48: u128 = (8 << 48) / 100;

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> Scoring {
        crate::policy::Policy::preset("agent-market")
            .unwrap()
            .scoring
    }

    fn bin(number: u64, count: u64, bad_q16: u64) -> Bin {
        Bin {
            number,
            weight: u128::from(count << 16),
            bad: u128::from(count << 16) * u128::from(bad_q16),
            squares: u128::from(count << 32),
        }
    }

    #[test]
    fn a_step_is_found_where_it_is() {
        let bins: Vec<Bin> = (0..10)
            .map(|n| bin(n * 2, 5, if n < 6 { 6_000 } else { 40_000 }))
            .collect();
        let found = changes(&bins, 1 << 27, &policy());
        assert_eq!(found.splits.len(), 1, "{found:?}");
        assert_eq!((found.splits[0].bin, found.splits[0].bits), (12, 4));
        assert!(found.splits[0].worse && !found.oscillates);
        assert_eq!(found.of(10), (4, 0));
        assert_eq!(found.of(12), (0, 1));
    }

    #[test]
    fn nothing_is_found_in_what_stays_the_same() {
        let bins: Vec<Bin> = (0..10).map(|n| bin(n, 5, 6_000)).collect();
        assert_eq!(changes(&bins, 1 << 27, &policy()), Changes::default());
        assert_eq!(changes(&[], 1 << 27, &policy()), Changes::default());
    }

    #[test]
    fn who_goes_back_and_forth_is_not_forgiven() {
        let bins: Vec<Bin> = (0..20)
            .map(|n| bin(n, 5, if n / 5 % 2 == 0 { 6_000 } else { 40_000 }))
            .collect();
        let found = changes(&bins, 1 << 27, &policy());
        assert_eq!(found.splits.len(), 3, "{found:?}");
        assert!(found.oscillates);
        assert_eq!(found.of(0), (0, 0));
    }
}
