//! Seeded flow: how much trust reaches an agent from the seeds along good trades (after `EigenTrust`, Kamvar et al. 2003,
//! and personalised `PageRank`), in exact integers.
//!
//! Units are 2^-48 of all flow. In each iteration an agent offers its flow, less the share that returns, to its edges in
//! proportion to their capacities; an edge carries its weight's part of that, rounded down. All that is missing from 2^48
//! then (what returned, what no edge carried, what rounding left) goes to the seeds evenly, the remainder one unit each
//! in seed order. So the sum is 2^48 after every iteration, exactly.

use rayon::prelude::*;

use crate::fixed::{mul_div, saturate};

/// All flow there is.
pub(crate) const TOTAL_Q48: u64 = 1 << 48;

/// A directed edge along which flow passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Edge {
    pub(crate) to: usize,
    pub(crate) from: usize,
    /// What it carries, relative to the capacities of all edges of its source; at most `capacity`.
    pub(crate) weight: u64,
    /// What it could carry. What it does not returns to the seeds.
    pub(crate) capacity: u64,
}

/// Flow of each of `agents` agents after `iterations`, in 2^-48 of all flow. `seeds` are ascending, distinct and not empty.
pub(crate) fn flow(
    agents: usize,
    mut edges: Vec<Edge>,
    seeds: &[usize],
    iterations: u64,
    return_bp: u64,
) -> Vec<u64> {
    edges.retain(|edge| edge.capacity > 0);
    edges.par_sort_unstable();
    let mut capacity = vec![0_u128; agents];
    for edge in &edges {
        capacity[edge.from] += u128::from(edge.capacity);
    }
    // The share of its source that an edge carries, Q48, rounded down: the shares of one source never exceed one.
    let shares: Vec<(usize, u64)> = edges
        .iter()
        .map(|e| {
            (
                e.from,
                mul_div(
                    u128::from(e.weight),
                    u128::from(TOTAL_Q48),
                    capacity[e.from],
                ),
            )
        })
        .collect();
    let mut into = vec![0..0; agents];
    let mut start = 0;
    for chunk in edges.chunk_by(|a, b| a.to == b.to) {
        into[chunk[0].to] = start..start + chunk.len();
        start += chunk.len();
    }
    let mut x = vec![0_u64; agents];
    give_to_seeds(&mut x, seeds);
    for _ in 0..iterations {
        let passed: Vec<u64> = x
            .iter()
            .map(|x| mul_div(u128::from(*x), u128::from(10_000 - return_bp), 10_000))
            .collect();
        x = into
            .par_iter()
            .map(|range| {
                // Each term is at most 2^48 · 2^48, shifted back; the sum of all agents is at most 2^48.
                shares[range.clone()]
                    .iter()
                    .map(|(from, share)| {
                        saturate((u128::from(passed[*from]) * u128::from(*share)) >> 48)
                    })
                    .sum()
            })
            .collect();
        give_to_seeds(&mut x, seeds);
    }
    x
}

/// Gives all that is missing from the total to the seeds, the remainder one unit each in seed order.
fn give_to_seeds(x: &mut [u64], seeds: &[usize]) {
    let missing = TOTAL_Q48.saturating_sub(x.iter().sum());
    let count = u64::try_from(seeds.len()).unwrap_or(u64::MAX);
    let (Some(each), Some(rest)) = (missing.checked_div(count), missing.checked_rem(count)) else {
        return;
    };
    for (place, seed) in (0_u64..).zip(seeds) {
        x[*seed] += each + u64::from(place < rest);
    }
}

/// Credibility of a flow: x / (x + half), Q32. `half_ppm` is in millionths of one seed's share of all flow, so it does
/// not depend on how many agents there are.
pub(crate) fn credibility_q32(flow_q48: u64, half_ppm: u64, seeds: usize) -> u64 {
    let seeds = u128::try_from(seeds).unwrap_or(u128::MAX);
    let half =
        u128::from(half_ppm) * u128::from(TOTAL_Q48) / 1_000_000_u128.saturating_mul(seeds).max(1);
    mul_div(
        u128::from(flow_q48),
        1 << 32,
        u128::from(flow_q48) + half.max(1),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn edge(from: usize, to: usize, weight: u64) -> Edge {
        Edge {
            to,
            from,
            weight,
            capacity: weight,
        }
    }

    fn graph() -> impl Strategy<Value = (usize, Vec<Edge>, Vec<usize>)> {
        (2..40_usize).prop_flat_map(|n| {
            let edge = (0..n, 0..n, 0..1_u64 << 20, 0..1_u64 << 20).prop_map(
                |(from, to, weight, rest)| Edge {
                    to,
                    from,
                    weight,
                    capacity: weight + rest,
                },
            );
            (
                Just(n),
                proptest::collection::vec(edge, 0..200),
                proptest::collection::btree_set(0..n, 1..n),
            )
                .prop_map(|(n, edges, seeds)| (n, edges, seeds.into_iter().collect()))
        })
    }

    #[test]
    fn golden() {
        // 0 is the seed, buys from 1 (weight 3) and 2 (weight 1); 1 buys from 2; 2 has no edge out.
        let edges = vec![edge(0, 1, 3), edge(0, 2, 1), edge(1, 2, 5)];
        let one = flow(3, edges.clone(), &[0], 1, 1500);
        assert_eq!(
            one,
            [42_221_246_506_600, 179_440_297_653_042, 59_813_432_551_014]
        );
        let two = flow(3, edges, &[0], 2, 1500);
        assert_eq!(two.iter().sum::<u64>(), TOTAL_Q48);
        assert_eq!(two[1], 26_916_044_647_957);
    }

    #[test]
    fn credibility() {
        assert_eq!(credibility_q32(0, 1000, 5), 0);
        assert_eq!(credibility_q32(TOTAL_Q48 / 5000, 1000, 5) >> 16, 1 << 15);
        assert!(credibility_q32(TOTAL_Q48, 1, 1) < 1 << 32);
    }

    proptest! {
        #[test]
        fn flow_is_conserved_exactly((n, edges, seeds) in graph(), k in 1..20_u64, return_bp in 100..9000_u64) {
            let x = flow(n, edges, &seeds, k, return_bp);
            prop_assert_eq!(x.iter().map(|x| u128::from(*x)).sum::<u128>(), u128::from(TOTAL_Q48));
        }

        /// What a set without seeds holds is at most what enters it divided by the share that returns, however it is wired.
        #[test]
        fn a_set_holds_at_most_what_it_captures((n, mut edges, seeds) in graph(), bought in proptest::collection::vec((0..40_usize, 0..20_usize, 1..1_u64 << 20), 0..5), inner in proptest::collection::vec((0..20_usize, 0..20_usize, 1..1_u64 << 20), 0..100)) {
            edges.extend(bought.into_iter().map(|(from, to, weight)| edge(from % n, n + to, weight)));
            edges.extend(inner.into_iter().map(|(from, to, weight)| edge(n + from, n + to, weight)));
            let mut capacity = vec![0_u128; n + 20];
            for e in &edges {
                capacity[e.from] += u128::from(e.capacity);
            }
            let mut most = 0;
            for k in 0..12 {
                let x = flow(n + 20, edges.clone(), &seeds, k, 1500);
                let entering = edges.iter().filter(|e| e.from < n && e.to >= n);
                let captured: u128 = entering
                    .map(|e| u128::from(x[e.from]) * 8500 * u128::from(e.weight) / (10_000 * capacity[e.from].max(1)) + 1)
                    .sum();
                most = most.max(captured);
                let held: u128 = flow(n + 20, edges.clone(), &seeds, k + 1, 1500)[n..].iter().map(|x| u128::from(*x)).sum();
                prop_assert!(held * 1500 <= most * 10_000);
            }
        }

        /// Identities alone hold nothing and move nothing.
        #[test]
        fn a_set_that_captures_nothing_holds_nothing((n, mut edges, seeds) in graph(), extra in proptest::collection::vec((0..30_usize, 0..60_usize, 1..1000_u64), 0..100)) {
            let before = flow(n, edges.clone(), &seeds, 12, 1500);
            edges.extend(extra.into_iter().map(|(from, to, weight)| edge(n + from, to % (n + 30), weight)));
            let after = flow(n + 30, edges, &seeds, 12, 1500);
            prop_assert_eq!(&after[..n], &before[..]);
            prop_assert!(after[n..].iter().all(|x| *x == 0));
        }
    }
}
