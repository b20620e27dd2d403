//! Seeded flow: how much trust reaches an agent from the seeds along good trades (after `EigenTrust`, Kamvar et al. 2003,
//! and personalised `PageRank`), in exact integers.
//!
//! Units are 2^-48 of all flow. In each iteration an agent offers its flow, less the share that returns, to its edges in
//! proportion to their capacities; an edge carries its weight's part of that, rounded down. All that is missing from 2^48
//! then (what returned, what no edge carried, what rounding left) goes to the seeds evenly, the remainder one unit each
//! in seed order. So the sum is 2^48 after every iteration, exactly.

use std::ops::Range;

use rayon::prelude::*;

use crate::{
    evidence::wide,
    fixed::{ONE, mul_div, saturate},
    ranges::balanced,
};

/// All flow there is.
pub const TOTAL_Q48: u64 = 1 << 48;

/// Edges that one task pulls.
const TASK: usize = 1 << 14;

/// A directed edge along which flow passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Edge {
    pub(crate) to: u32,
    pub(crate) from: u32,
    /// What it can carry, relative to the capacities of all edges of its source. What dampening takes from it returns to the seeds.
    pub(crate) capacity: u32,
    /// The pair whose dampening is the edge's; nobody's if it is beyond the pairs.
    pub(crate) pair: u32,
}

/// The edges by the agent that they lead to, as compressed sparse rows: 20 bytes an edge that can carry something, 12 an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Graph {
    into: Vec<u32>,
    from: Vec<u32>,
    /// The share of its source that an edge carries, Q48, rounded down: the shares of one source never exceed one.
    share_q48: Vec<u64>,
    capacity: Vec<u32>,
    pair: Vec<u32>,
    /// By agent: the capacities of all edges from it.
    out: Vec<u64>,
}

impl Graph {
    /// The graph of these edges between `agents` agents, nothing of it dampened. The edges are gone through twice.
    pub(crate) fn new<I: Iterator<Item = Edge>>(agents: usize, edges: impl Fn() -> I) -> Self {
        // A capacity is at most 2^20, so 2^33 of them stay below 2^54.
        let mut out = vec![0_u64; agents];
        let mut into = vec![0; agents + 1];
        for edge in edges() {
            out[wide(edge.from)] += u64::from(edge.capacity);
            into[wide(edge.to) + 1] += u32::from(edge.capacity > 0);
        }
        let mut sum = 0;
        for start in &mut into {
            sum += *start;
            *start = sum;
        }
        let mut next = into.clone();
        let count = wide(sum);
        let (mut from, mut capacity) = (vec![0; count], vec![0; count]);
        let mut pair = vec![0; count];
        for edge in edges().filter(|edge| edge.capacity > 0) {
            let slot = &mut next[wide(edge.to)];
            from[wide(*slot)] = edge.from;
            capacity[wide(*slot)] = edge.capacity;
            pair[wide(*slot)] = edge.pair;
            *slot += 1;
        }
        let mut graph = Self {
            into,
            from,
            share_q48: vec![0; count],
            capacity,
            pair,
            out,
        };
        graph.dampen(&[]);
        graph
    }

    /// Sets what each edge carries by the dampening of its pair (Q16), undampened for pairs beyond the list.
    pub(crate) fn dampen(&mut self, dampening: &[u32]) {
        let (pairs, out) = (&self.pair, &self.out);
        let edges = self.capacity.par_iter().zip(pairs).zip(&self.from);
        let shares = self.share_q48.par_iter_mut().zip(edges);
        shares.for_each(|(share, ((capacity, pair), from))| {
            let kept = dampening.get(wide(*pair)).copied().map_or(ONE, u64::from);
            let carries = (u64::from(*capacity) * kept) >> 16;
            let whole = u128::from(out[wide(*from)]);
            *share = mul_div(u128::from(carries), u128::from(TOTAL_Q48), whole);
        });
    }

    /// Number of agents.
    pub fn agents(&self) -> usize {
        self.into.len() - 1
    }

    /// Number of edges that carry something.
    pub fn edges(&self) -> usize {
        self.from.len()
    }

    /// Where each agent's edges begin in [`Graph::sources`], and where the last one's end.
    pub fn offsets(&self) -> &[u32] {
        &self.into
    }

    /// The agents that edges come from, by the agent that they lead to.
    pub fn sources(&self) -> &[u32] {
        &self.from
    }

    /// Ranges of agents to which about equally many edges lead, small enough to share among threads.
    pub fn tasks(&self) -> Vec<Range<usize>> {
        balanced(&self.into, TASK)
    }

    /// Flow of each agent after `iterations`, in 2^-48 of all flow. `seeds` are distinct, not empty, and in the order in which they get remainders; `return_bp`
    /// (1 to 10000) is what returns to them.
    pub fn flow(&self, seeds: &[usize], iterations: u64, return_bp: u64) -> Vec<u64> {
        let tasks = self.tasks();
        let kept_bp = 10_000_u64.saturating_sub(return_bp);
        let mut x = vec![0; self.agents()];
        let (mut passed, mut next) = (vec![0; self.agents()], vec![0; self.agents()]);
        give_to_seeds(&mut x, TOTAL_Q48, seeds);
        for seed in seeds {
            passed[*seed] = offer(x[*seed], kept_bp);
        }
        for _ in 0..iterations {
            let arrived = self.pull(&tasks, &passed, kept_bp, &mut x, &mut next);
            give_to_seeds(&mut x, TOTAL_Q48.saturating_sub(arrived), seeds);
            for seed in seeds {
                next[*seed] = offer(x[*seed], kept_bp);
            }
            std::mem::swap(&mut passed, &mut next);
        }
        x
    }

    /// One iteration for the agents of `tasks`, of which `x` and `next` are the parts: what reaches them, and what they offer of
    /// it in the next. Returns the sum of what reaches them. Allocates nothing.
    fn pull(
        &self,
        tasks: &[Range<usize>],
        passed: &[u64],
        kept_bp: u64,
        x: &mut [u64],
        next: &mut [u64],
    ) -> u64 {
        match tasks {
            [] => 0,
            [agents] => {
                let mut sum = 0;
                let mut start = wide(self.into[agents.start]);
                let ends = &self.into[agents.start + 1..=agents.end];
                for ((end, x), next) in ends.iter().zip(x).zip(next) {
                    let edges = start..wide(*end);
                    start = edges.end;
                    *x = self.reaching(edges, passed);
                    *next = offer(*x, kept_bp);
                    sum += *x;
                }
                sum
            }
            _ => {
                let (left, right) = tasks.split_at(tasks.len() / 2);
                let agents = right[0].start - left[0].start;
                let (left_x, right_x) = x.split_at_mut(agents);
                let (left_next, right_next) = next.split_at_mut(agents);
                let (a, b) = rayon::join(
                    || self.pull(left, passed, kept_bp, left_x, left_next),
                    || self.pull(right, passed, kept_bp, right_x, right_next),
                );
                a + b
            }
        }
    }

    /// What a range of edges brings. One agent's edges are shared too when they are many.
    #[inline]
    fn reaching(&self, edges: Range<usize>, passed: &[u64]) -> u64 {
        if edges.len() > 2 * TASK {
            return self.shared(edges, passed);
        }
        let shares = &self.share_q48[edges.clone()];
        let edges = self.from[edges].iter().zip(shares);
        // ⌊passed · share / 2^48⌋; what is passed is shifted by 16, so this is the upper half of the product.
        edges
            .map(|(from, share)| {
                saturate((u128::from(passed[wide(*from)]) * u128::from(*share)) >> 64)
            })
            .sum()
    }

    /// [`Self::reaching`] by halves. Apart, so that the loop over few edges is laid into its caller.
    #[inline(never)]
    fn shared(&self, edges: Range<usize>, passed: &[u64]) -> u64 {
        let middle = edges.start.midpoint(edges.end);
        let (a, b) = rayon::join(
            || self.reaching(edges.start..middle, passed),
            || self.reaching(middle..edges.end, passed),
        );
        a + b
    }
}

/// What an agent offers of its flow: less what returns, rounded down; in 2^-64 of all flow.
fn offer(x: u64, kept_bp: u64) -> u64 {
    // Below 2^48 · 2^14. With anything that returns, what is kept is below 2^48.
    (x * kept_bp / 10_000).min(TOTAL_Q48 - 1) << 16
}

/// Gives what is missing from the total to the seeds, the remainder one unit each in seed order.
fn give_to_seeds(x: &mut [u64], missing: u64, seeds: &[usize]) {
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
    use crate::evidence::narrow;
    use proptest::prelude::*;

    fn edge(from: usize, to: usize, capacity: u32) -> Edge {
        Edge {
            to: narrow(to),
            from: narrow(from),
            capacity,
            pair: u32::MAX,
        }
    }

    fn flow(
        agents: usize,
        edges: &[Edge],
        seeds: &[usize],
        iterations: u64,
        return_bp: u64,
    ) -> Vec<u64> {
        Graph::new(agents, || edges.iter().copied()).flow(seeds, iterations, return_bp)
    }

    /// What an edge carries.
    fn carries(edge: &Edge, dampening: &[u32]) -> u128 {
        let kept = dampening.get(wide(edge.pair)).copied().unwrap_or(1 << 16);
        (u128::from(edge.capacity) * u128::from(kept)) >> 16
    }

    /// The definition, edge by edge (`docs/SCORING.md`, 4).
    fn by_definition(
        agents: usize,
        edges: &[Edge],
        dampening: &[u32],
        seeds: &[usize],
        iterations: u64,
        return_bp: u64,
    ) -> Vec<u64> {
        let to_seeds = |x: &mut Vec<u64>| {
            let missing = TOTAL_Q48 - x.iter().sum::<u64>();
            let count = u64::try_from(seeds.len()).unwrap();
            for (place, seed) in (0..).zip(seeds) {
                x[*seed] += missing / count + u64::from(place < missing % count);
            }
        };
        let capacity = |from: u32| -> u128 {
            let own = edges.iter().filter(|e| e.from == from);
            own.map(|e| u128::from(e.capacity)).sum()
        };
        let mut x = vec![0; agents];
        to_seeds(&mut x);
        for _ in 0..iterations {
            let mut reached = vec![0; agents];
            for edge in edges.iter().filter(|e| e.capacity > 0) {
                let passed =
                    u128::from(x[wide(edge.from)]) * u128::from(10_000 - return_bp) / 10_000;
                let share = (carries(edge, dampening) << 48) / capacity(edge.from);
                reached[wide(edge.to)] += u64::try_from((passed * share) >> 48).unwrap();
            }
            to_seeds(&mut reached);
            x = reached;
        }
        x
    }

    /// A graph with a pair, and its dampening, for each edge; a few have none.
    fn dampened() -> impl Strategy<Value = (usize, Vec<Edge>, Vec<u32>, Vec<usize>)> {
        (2..40_usize).prop_flat_map(|n| {
            let edge = (0..n, 0..n, 0..1_u32 << 20).prop_map(|(f, t, c)| edge(f, t, c));
            (
                Just(n),
                proptest::collection::vec((edge, 0..=1_u32 << 16), 0..200),
                proptest::collection::btree_set(0..n, 1..n),
            )
                .prop_map(|(n, edges, seeds)| {
                    let (mut edges, mut dampening): (Vec<Edge>, Vec<u32>) =
                        edges.into_iter().unzip();
                    for (pair, edge) in (0..).zip(&mut edges) {
                        edge.pair = pair;
                    }
                    dampening.truncate(dampening.len() * 9 / 10);
                    (n, edges, dampening, seeds.into_iter().collect())
                })
        })
    }

    fn graph() -> impl Strategy<Value = (usize, Vec<Edge>, Vec<usize>)> {
        dampened().prop_map(|(n, edges, _, seeds)| (n, edges, seeds))
    }

    #[test]
    fn golden() {
        // 0 is the seed, buys from 1 (weight 3) and 2 (weight 1); 1 buys from 2; 2 has no edge out.
        let edges = vec![edge(0, 1, 3), edge(0, 2, 1), edge(1, 2, 5)];
        let one = flow(3, &edges, &[0], 1, 1500);
        assert_eq!(
            one,
            [42_221_246_506_600, 179_440_297_653_042, 59_813_432_551_014]
        );
        let two = flow(3, &edges, &[0], 2, 1500);
        assert_eq!(two.iter().sum::<u64>(), TOTAL_Q48);
        assert_eq!(two[1], 26_916_044_647_957);
    }

    #[test]
    fn credibility() {
        assert_eq!(credibility_q32(0, 1000, 5), 0);
        assert_eq!(credibility_q32(TOTAL_Q48 / 5000, 1000, 5) >> 16, 1 << 15);
        assert!(credibility_q32(TOTAL_Q48, 1, 1) < 1 << 32);
    }

    /// More edges into one agent than one task takes, and many tasks.
    #[test]
    fn heavy_rows_are_as_defined() {
        let agents = 3000_u32;
        let mut edges = Vec::new();
        for n in 0..9 * narrow(TASK) {
            let (from, to) = (n % agents, if n % 3 == 0 { 7 } else { n * 31 % agents });
            edges.push(edge(wide(from), wide(to), n % 97));
        }
        let few = by_definition(3000, &edges[..4000], &[], &[0, 5], 3, 1500);
        assert_eq!(flow(3000, &edges[..4000], &[0, 5], 3, 1500), few);
        let graph = Graph::new(3000, || edges.iter().copied());
        assert!(graph.offsets()[8] - graph.offsets()[7] > 2 * narrow(TASK));
        let pulled = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
            pool.unwrap().install(|| graph.flow(&[0, 5], 12, 1500))
        };
        let one = pulled(1);
        assert_eq!(one.iter().sum::<u64>(), TOTAL_Q48);
        assert!(pulled(2) == one && pulled(8) == one);
        let row = wide(graph.offsets()[7])..wide(graph.offsets()[8]);
        let passed: Vec<u64> = one.iter().map(|x| offer(*x, 8500)).collect();
        let product = |k: usize| {
            (u128::from(passed[wide(graph.from[k])] >> 16) * u128::from(graph.share_q48[k])) >> 48
        };
        let by_hand: u128 = row.clone().map(product).sum();
        assert_eq!(u128::from(graph.reaching(row, &passed)), by_hand);
    }

    proptest! {
        #[test]
        fn flow_is_as_defined((n, edges, dampening, seeds) in dampened(), k in 0..6_u64, return_bp in 100..9000_u64) {
            let mut graph = Graph::new(n, || edges.iter().copied());
            prop_assert_eq!(graph.flow(&seeds, k, return_bp), by_definition(n, &edges, &[], &seeds, k, return_bp));
            graph.dampen(&dampening);
            prop_assert_eq!(graph.flow(&seeds, k, return_bp), by_definition(n, &edges, &dampening, &seeds, k, return_bp));
        }

        #[test]
        fn flow_is_conserved_exactly((n, edges, dampening, seeds) in dampened(), k in 1..20_u64, return_bp in 100..9000_u64) {
            let mut graph = Graph::new(n, || edges.iter().copied());
            graph.dampen(&dampening);
            let x = graph.flow(&seeds, k, return_bp);
            prop_assert_eq!(x.iter().map(|x| u128::from(*x)).sum::<u128>(), u128::from(TOTAL_Q48));
        }

        /// What a set without seeds holds is at most what enters it divided by the share that returns, however it is wired.
        #[test]
        fn a_set_holds_at_most_what_it_captures((n, mut edges, seeds) in graph(), bought in proptest::collection::vec((0..40_usize, 0..20_usize, 1..1_u32 << 20), 0..5), inner in proptest::collection::vec((0..20_usize, 0..20_usize, 1..1_u32 << 20), 0..100)) {
            edges.extend(bought.into_iter().map(|(from, to, weight)| edge(from % n, n + to, weight)));
            edges.extend(inner.into_iter().map(|(from, to, weight)| edge(n + from, n + to, weight)));
            let mut capacity = vec![0_u128; n + 20];
            for e in &edges {
                capacity[wide(e.from)] += u128::from(e.capacity);
            }
            let mut most = 0;
            for k in 0..12 {
                let x = flow(n + 20, &edges, &seeds, k, 1500);
                let entering = edges.iter().filter(|e| wide(e.from) < n && wide(e.to) >= n);
                let captured: u128 = entering
                    .map(|e| u128::from(x[wide(e.from)]) * 8500 * u128::from(e.capacity) / (10_000 * capacity[wide(e.from)].max(1)) + 1)
                    .sum();
                most = most.max(captured);
                let held: u128 = flow(n + 20, &edges, &seeds, k + 1, 1500)[n..].iter().map(|x| u128::from(*x)).sum();
                prop_assert!(held * 1500 <= most * 10_000);
            }
        }

        /// Identities alone hold nothing and move nothing.
        #[test]
        fn a_set_that_captures_nothing_holds_nothing((n, mut edges, seeds) in graph(), extra in proptest::collection::vec((0..30_usize, 0..60_usize, 1..1000_u32), 0..100)) {
            let before = flow(n, &edges, &seeds, 12, 1500);
            edges.extend(extra.into_iter().map(|(from, to, weight)| edge(n + from, to % (n + 30), weight)));
            let after = flow(n + 30, &edges, &seeds, 12, 1500);
            prop_assert_eq!(&after[..n], &before[..]);
            prop_assert!(after[n..].iter().all(|x| *x == 0));
        }
    }
}
