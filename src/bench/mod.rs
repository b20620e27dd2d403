//! The project's own benchmarks, each beside the bound it is measured against.
//!
//! Two things are measured in turns, never one after the other: a disk that others use is slower at one time than at another.

pub mod append;
pub mod grow;
pub mod market;
pub mod proofs;
pub mod score;
pub mod workload;

use std::time::Duration;

use serde::Serialize;

/// How long something took, measured many times.
#[derive(Clone, Debug, Default)]
pub struct Times(Vec<Duration>);

impl Times {
    /// Adds a measurement.
    pub fn push(&mut self, took: Duration) {
        self.0.push(took);
    }

    /// What they come to.
    pub fn spread(mut self) -> Spread {
        self.0.sort_unstable();
        let at = |bp: usize| {
            let rank = (self.0.len() * bp).div_ceil(10_000).max(1);
            micros(self.0.get(rank - 1).copied().unwrap_or_default())
        };
        Spread {
            count: self.0.len(),
            p50_us: at(5_000),
            p99_us: at(9_900),
            max_us: at(10_000),
        }
    }
}

/// Nearest-rank percentiles, microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Spread {
    /// How many measurements.
    pub count: usize,
    /// Half of them took at most this.
    pub p50_us: u64,
    /// 99 in a hundred took at most this.
    pub p99_us: u64,
    /// The slowest.
    pub max_us: u64,
}

/// The middle one, the lower of two; 0 of none.
pub fn median(mut of: Vec<u64>) -> u64 {
    of.sort_unstable();
    of.get(of.len().saturating_sub(1) / 2)
        .copied()
        .unwrap_or_default()
}

/// `part` of `whole` in basis points.
pub fn share_bp(part: u64, whole: u64) -> u64 {
    part.saturating_mul(10_000)
        .checked_div(whole)
        .unwrap_or_default()
}

/// So many in that time, a second.
fn per_second(count: usize, took: Duration) -> u64 {
    let nanos = took.as_nanos().max(1);
    u64::try_from(u128::try_from(count).unwrap_or_default() * 1_000_000_000 / nanos)
        .unwrap_or(u64::MAX)
}

fn micros(took: Duration) -> u64 {
    u64::try_from(took.as_micros()).unwrap_or(u64::MAX)
}

/// Memory of a process that is in RAM, KiB; `None` where the system does not tell (it is read from `/proc`).
pub fn resident_kib(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

/// The most memory of this process that ever was in RAM, KiB; `None` where the system does not tell (it is read from `/proc`).
pub fn high_water_kib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

/// Numbers below `below` that jump about, the same ones every time (a Weyl sequence over the golden ratio).
pub fn scattered(below: u64) -> impl Iterator<Item = u64> {
    (1_u64..).map(move |i| {
        let jump = u128::from(i.wrapping_mul(0x9e37_79b9_7f4a_7c15)) * u128::from(below);
        u64::try_from(jump >> 64).unwrap_or_default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_nearest_ranks() {
        let mut times = Times::default();
        for us in (1..=200).rev() {
            times.push(Duration::from_micros(us));
        }
        let spread = times.spread();
        assert_eq!(
            (spread.p50_us, spread.p99_us, spread.max_us),
            (100, 198, 200)
        );
        assert_eq!(Times::default().spread().max_us, 0);
        assert_eq!(median(vec![5, 1, 3]), 3);
        assert_eq!(median(vec![4, 1, 3, 2]), 2);
        assert_eq!(median(vec![]), 0);
        assert_eq!(share_bp(7, 10), 7_000);
        assert_eq!(share_bp(7, 0), 0);
        assert_eq!(per_second(256, Duration::from_millis(2)), 128_000);
    }

    #[test]
    fn scattered_numbers_cover_the_range_evenly() {
        let mut bins = [0; 10];
        for n in scattered(1_000).take(10_000) {
            bins[usize::try_from(n / 100).unwrap()] += 1;
        }
        assert!(
            bins.iter().all(|count| (900..1_100).contains(count)),
            "{bins:?}"
        );
    }
}
