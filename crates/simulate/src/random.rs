//! Chance: one named stream for each part of the market, so that what one part draws never shifts another.

use crate::num;

/// A stream of random numbers: xoshiro256\*\* (Blackman and Vigna 2021), its state filled by splitmix64.
#[derive(Clone, Debug)]
pub(crate) struct Random([u64; 4]);

impl Random {
    /// The stream of a seed, a name and a number: different ones share nothing.
    pub(crate) fn stream(seed: u64, name: &str, index: u64) -> Self {
        let mut state = mix(seed, name, index);
        Self(std::array::from_fn(|_| {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            scramble(state)
        }))
    }

    /// 64 random bits.
    pub(crate) fn bits(&mut self) -> u64 {
        let s = &mut self.0;
        let out = s[1].wrapping_mul(5).rotate_left(7).wrapping_mul(9);
        let t = s[1] << 17;
        s[2] ^= s[0];
        s[3] ^= s[1];
        s[1] ^= s[2];
        s[0] ^= s[3];
        s[2] ^= t;
        s[3] = s[3].rotate_left(45);
        out
    }

    /// Uniform in 0..1, 1 excluded.
    pub(crate) fn unit(&mut self) -> f64 {
        num::real(self.bits() >> 11) / 9_007_199_254_740_992.0
    }

    /// Uniform in `low..high`.
    pub(crate) fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// Uniform in `0..n`; 0 when there is nothing to choose.
    pub(crate) fn below(&mut self, n: usize) -> usize {
        let wide = u128::from(self.bits()) * u128::try_from(n).unwrap_or(0);
        usize::try_from(wide >> 64).unwrap_or(0)
    }

    /// Uniform in `low..=high`.
    pub(crate) fn among(&mut self, low: usize, high: usize) -> usize {
        low + self.below(high.saturating_sub(low) + 1)
    }

    /// True with this probability.
    pub(crate) fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// Normal with mean 0 and deviation 1, within ±6: the sum of twelve uniform 16-bit numbers.
    pub(crate) fn normal(&mut self) -> f64 {
        let mut sum = 0;
        for _ in 0..3 {
            let bits = self.bits();
            sum += (bits & 0xffff) + (bits >> 16 & 0xffff) + (bits >> 32 & 0xffff) + (bits >> 48);
        }
        num::real(sum) / 65_535.0 - 6.0
    }

    /// e to the power of a normal number with this deviation: median 1.
    pub(crate) fn spread(&mut self, deviation: f64) -> f64 {
        libm::exp(self.normal() * deviation)
    }

    /// A whole number with this mean: the integer part, and one more with the probability of the rest.
    pub(crate) fn round(&mut self, mean: f64) -> usize {
        let whole = num::whole(mean);
        usize::try_from(whole).unwrap_or(0) + usize::from(self.chance(mean - num::real(whole)))
    }

    /// One of them.
    pub(crate) fn pick<T: Copy>(&mut self, from: &[T]) -> Option<T> {
        from.get(self.below(from.len())).copied()
    }

    /// An index, drawn by cumulative weights; `None` when all weights are 0.
    pub(crate) fn weighted(&mut self, cumulative: &[f64]) -> Option<usize> {
        let total = *cumulative.last()?;
        if total <= 0.0 {
            return None;
        }
        let at = self.unit() * total;
        Some(
            cumulative
                .partition_point(|c| *c <= at)
                .min(cumulative.len() - 1),
        )
    }

    /// In another order.
    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i + 1));
        }
    }
}

/// 64 bits that stand for a seed, a name and a number: FNV-1a over the name, then splitmix64's finaliser.
pub(crate) fn mix(seed: u64, name: &str, index: u64) -> u64 {
    let named = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |h, b| {
        (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3)
    });
    scramble(scramble(seed ^ named).wrapping_add(index.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
}

fn scramble(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splitmix_and_xoshiro_give_their_published_numbers() {
        // splitmix64 from state 0: first output (Vigna's reference).
        assert_eq!(scramble(0x9e37_79b9_7f4a_7c15), 0xe220_a839_7b1d_cdaf);
        // xoshiro256** from state 1, 2, 3, 4: the first outputs of the reference code.
        let mut random = Random([1, 2, 3, 4]);
        assert_eq!(
            [random.bits(), random.bits(), random.bits(), random.bits()],
            [11_520, 0, 1_509_978_240, 1_215_971_899_390_074_240]
        );
    }

    #[test]
    fn draws_have_their_means_and_deviations() {
        let mut random = Random::stream(1, "test", 0);
        let n = 200_000_u32;
        let (mut sum, mut squares, mut hits) = (0.0, 0.0, 0);
        for _ in 0..n {
            let x = random.normal();
            sum += x;
            squares += x * x;
            hits += u32::from(random.chance(0.3));
        }
        let n_f = f64::from(n);
        assert!((sum / n_f).abs() < 0.01 && (squares / n_f - 1.0).abs() < 0.02);
        assert!((f64::from(hits) / n_f - 0.3).abs() < 0.005);
        let cumulative = [1.0, 1.0, 4.0];
        let mut got = [0_u32; 3];
        for _ in 0..n {
            got[random.weighted(&cumulative).unwrap()] += 1;
        }
        assert!(got[1] == 0 && (f64::from(got[0]) / n_f - 0.25).abs() < 0.005);
        assert_eq!(random.weighted(&[0.0]), None);
    }

    #[test]
    fn streams_differ_by_seed_name_and_number() {
        let first = |s, n, i| Random::stream(s, n, i).bits();
        let mut seen = vec![
            first(1, "a", 0),
            first(2, "a", 0),
            first(1, "b", 0),
            first(1, "a", 1),
        ];
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), 4);
    }
}
