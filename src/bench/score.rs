//! One epoch of a synthetic market, stage by stage, and the same work bare: a pull loop over the same rows, SHA-256 of the same
//! bytes.

use std::{hint::black_box, ops::Range, time::Instant};

use goodstanding_score::{
    AgentScore, Scores, Stage, evidence::Evidence, flow::Graph, policy::Policy, score_watched,
};
use goodstanding_verify::{
    digest::sha256,
    statement::{self, Sealer, Statement},
};
use rayon::prelude::*;
use serde::Serialize;

use super::{high_water_kib, market::Market, median, micros};
use crate::{
    code::{Code, Fault},
    epoch::compute::{CHUNK, seal},
    log::tree::{Edge, Touched},
};

/// Rounds in which a stage and its bare counterpart take turns; the medians count.
const ROUNDS: usize = 5;
/// Agents whose statements are made beside bare hashing.
const HASHED: usize = 20_000;
/// Epoch number and salt key of what is measured.
const EPOCH: (u64, [u8; 32]) = (1, [7; 32]);

/// What was measured of one market.
#[derive(Clone, Debug, Serialize)]
pub struct Measured {
    /// Threads that worked.
    pub threads: usize,
    /// Agents of the evidence.
    pub agents: usize,
    /// Ordered pairs of a rater and a subject.
    pub pairs: usize,
    /// Reports.
    pub reports: usize,
    /// Edges that carry flow.
    pub edges: usize,
    /// Passes over the edges.
    pub passes: u64,
    /// The stages of the epoch, microseconds.
    pub stages: Stages,
    /// All of them.
    pub epoch_us: u64,
    /// Largest resident set of the process when the epoch was done, KiB; `None` where the system does not tell.
    pub peak_kib: Option<u64>,
    /// The flow once more, and bare.
    pub flow: Beside,
    /// One bare pass over all edges, microseconds.
    pub bare_pass_us: u64,
    /// Statements and score tree of some agents, and bare.
    pub statements: Beside,
    /// How many agents those were.
    pub hashed: usize,
}

/// Microseconds of each stage.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Stages {
    /// Reports made and taken into the ledger. The making is the market's; an epoch parses instead.
    pub ledger: u64,
    /// Evidence from the ledger.
    pub evidence: u64,
    /// Reports weighed, pair by pair.
    pub weights: u64,
    /// The graph of the flow.
    pub graph: u64,
    /// All rounds of looking for suspicious pairs: flow, voices, readings, the outside view, suspicion.
    pub rounds: u64,
    /// The last flow.
    pub flow: u64,
    /// The last voices.
    pub voices: u64,
    /// Claims: the last reading of every subject, value splits, sums.
    pub claims: u64,
    /// Statements and the score tree.
    pub statements: u64,
}

/// Something and its bare counterpart, medians of several rounds in turns, microseconds.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Beside {
    /// Ours.
    pub ours_us: u64,
    /// The bare one.
    pub bare_us: u64,
    /// The first as a part of the second, basis points.
    pub share_bp: u64,
}

impl Beside {
    fn of(ours: Vec<u64>, bare: Vec<u64>) -> Self {
        let (ours_us, bare_us) = (median(ours), median(bare));
        Self {
            ours_us,
            bare_us,
            share_bp: super::share_bp(ours_us, bare_us),
        }
    }
}

/// How long something took, microseconds.
fn timed<T>(work: impl FnOnce() -> T) -> (T, u64) {
    let started = Instant::now();
    let done = work();
    (done, micros(started.elapsed()))
}

/// Measures one market on rayon's current pool.
///
/// # Errors
/// `policy.no_seeds`, and what statements can have.
pub fn measure(agents: u64, pairs: u64) -> Result<Measured, Fault> {
    let market = Market::new(agents, pairs);
    let mut policy = Policy::preset("agent-market")?;
    policy.seeds = market.seeds();
    let as_of = market.closes();
    let (ledger, took) = timed(|| market.ledger());
    drop(market);
    let mut stages = Stages {
        ledger: took,
        ..Stages::default()
    };
    let (evidence, took) = timed(|| ledger.into_evidence(&policy));
    stages.evidence = took;
    let mut edges = 0;
    let mut last = Instant::now();
    let scores = score_watched(&evidence, &policy, as_of, &mut |stage| {
        let took = micros(last.elapsed());
        match stage {
            Stage::Weighed { .. } => stages.weights = took,
            Stage::Graph(graph) => {
                stages.graph = took;
                edges = graph.edges();
            }
            Stage::Round(_) => stages.rounds += took,
            Stage::Flowed => stages.flow = took,
            Stage::Heard => stages.voices = took,
        }
        last = Instant::now();
    })
    .map_err(|e| Fault::from_score(&e))?;
    statements(&evidence, &policy, &scores, &mut stages)?;
    let epoch_us = [
        stages.ledger,
        stages.evidence,
        stages.weights,
        stages.graph,
        stages.rounds,
        stages.flow,
        stages.voices,
        stages.claims,
        stages.statements,
    ];
    let peak_kib = high_water_kib();
    let (flow, passes) = flow_beside(&evidence, &policy, as_of)?;
    let hashed = HASHED.min(scores.len());
    let statements = hashing_beside(&scores.range(&evidence, &policy, 0..hashed))?;
    Ok(Measured {
        threads: rayon::current_num_threads(),
        agents: scores.len(),
        pairs: scores.pairs(),
        reports: evidence.len(),
        edges,
        passes,
        stages,
        epoch_us: epoch_us.iter().sum(),
        peak_kib,
        flow,
        bare_pass_us: flow.bare_us / passes.max(1),
        statements,
        hashed,
    })
}

/// All statements, chunk by chunk, and their tree.
fn statements(
    evidence: &Evidence,
    policy: &Policy,
    scores: &Scores,
    stages: &mut Stages,
) -> Result<(), Fault> {
    let sealer = Sealer::new(&EPOCH.1, EPOCH.0)?;
    let mut tree = Edge::default();
    for start in (0..scores.len()).step_by(CHUNK) {
        let end = scores.len().min(start + CHUNK);
        let (scored, took) = timed(|| scores.range(evidence, policy, start..end));
        stages.claims += took;
        let (done, took) = timed(|| grow(&mut tree, scored, &sealer));
        stages.statements += took;
        black_box(done?);
    }
    black_box(tree.root());
    Ok(())
}

/// Some statements, and the tree grown by them; bytes of their claims.
fn grow(tree: &mut Edge, scored: Vec<AgentScore>, sealer: &Sealer) -> Result<usize, Fault> {
    let mut tiles = Touched::new();
    let rows = seal(scored, sealer, 0)?;
    tree.append(rows.iter().map(|row| row.leaf), &mut tiles);
    Ok(rows.iter().map(|row| row.claims.len()).sum())
}

/// The flow and a bare loop in turns, over the same rows with as many passes; also the number of those.
fn flow_beside(evidence: &Evidence, policy: &Policy, as_of: u64) -> Result<(Beside, u64), Fault> {
    let s = &policy.scoring;
    let seeds: Vec<usize> = policy
        .seeds
        .iter()
        .filter_map(|d| evidence.agent(d))
        .collect();
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    score_watched(evidence, policy, as_of, &mut |stage| {
        let Stage::Graph(graph) = stage else { return };
        let weights = vec![3_u64; graph.edges()];
        let tasks = graph.tasks();
        for _ in 0..ROUNDS {
            let run = || graph.flow(&seeds, s.flow_iterations, s.flow_return_bp);
            ours.push(black_box(timed(run)).1);
            let run = || bare_passes(graph, &weights, &tasks, s.flow_iterations);
            bare.push(black_box(timed(run)).1);
        }
    })
    .map_err(|e| Fault::from_score(&e))?;
    Ok((Beside::of(ours, bare), s.flow_iterations))
}

/// y = A·x so many times over: one multiplication and one addition of 64 bits an edge, nothing else.
fn bare_passes(graph: &Graph, weights: &[u64], tasks: &[Range<usize>], passes: u64) -> Vec<u64> {
    let (mut x, mut y) = (vec![1_u64; graph.agents()], vec![0; graph.agents()]);
    for _ in 0..passes {
        bare_pull(graph, weights, tasks, &x, &mut y);
        std::mem::swap(&mut x, &mut y);
    }
    x
}

fn bare_pull(graph: &Graph, weights: &[u64], tasks: &[Range<usize>], x: &[u64], y: &mut [u64]) {
    let wide = |n: u32| usize::try_from(n).unwrap_or(0);
    match tasks {
        [] => (),
        [rows] => {
            let mut start = wide(graph.offsets()[rows.start]);
            let ends = &graph.offsets()[rows.start + 1..=rows.end];
            for (end, y) in ends.iter().zip(y) {
                let edges = start..wide(*end);
                start = edges.end;
                let row = graph.sources()[edges.clone()].iter().zip(&weights[edges]);
                *y = row.fold(0, |sum: u64, (from, weight)| {
                    sum.wrapping_add(x[wide(*from)].wrapping_mul(*weight))
                });
            }
        }
        _ => {
            let (left, right) = tasks.split_at(tasks.len() / 2);
            let (low, high) = y.split_at_mut(right[0].start - left[0].start);
            rayon::join(
                || bare_pull(graph, weights, left, x, low),
                || bare_pull(graph, weights, right, x, high),
            );
        }
    }
}

/// Statements and tree of these agents, and SHA-256 of what is hashed for them, in turns.
fn hashing_beside(scored: &[AgentScore]) -> Result<Beside, Fault> {
    let texts: Vec<Texts> = scored.par_iter().map(Texts::of).collect::<Result<_, _>>()?;
    let sealer = Sealer::new(&EPOCH.1, EPOCH.0)?;
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let parts: Vec<Vec<AgentScore>> = scored.chunks(CHUNK).map(<[_]>::to_vec).collect();
        let mut tree = Edge::default();
        let run = || {
            parts
                .into_iter()
                .try_for_each(|part| grow(&mut tree, part, &sealer).map(drop))
        };
        let (done, took) = timed(run);
        done?;
        ours.push(took);
        let run = || texts.par_iter().map(Texts::hash).reduce(|| 0, |a, b| a ^ b);
        bare.push(black_box(timed(run)).1);
    }
    Ok(Beside::of(ours, bare))
}

/// What is hashed for one statement: the disclosures, the statement, and as many blocks as the salts' HMACs and the tree take.
struct Texts {
    agent: String,
    disclosures: Vec<(String, String)>,
    statement: Vec<u8>,
}

impl Texts {
    fn of(scored: &AgentScore) -> Result<Self, Fault> {
        let disclosures = statement::disclosures(&scored.claims, &EPOCH.1, &scored.agent)?;
        let digests = disclosures.iter().map(|d| d.digest);
        let statement = Statement::new(scored.agent, EPOCH.0, digests)?.to_bytes();
        if statement.is_empty() {
            return Err(Fault::new(Code::Internal, "an empty statement"));
        }
        Ok(Self {
            agent: scored.agent.to_string(),
            disclosures: disclosures
                .into_iter()
                .map(|d| (d.name, d.encoded))
                .collect(),
            statement,
        })
    }

    /// All digests into one byte, so that none is left out.
    fn hash(&self) -> u8 {
        let one = |bytes: &[u8]| sha256(bytes).0[0];
        // The agent's key: message, inner digest, and both halves of the next key's schedule.
        let mut all = one(self.agent.as_bytes()) ^ one(&[1; 32]) ^ one(&[2; 32]) ^ one(&[3; 32]);
        for (name, encoded) in &self.disclosures {
            // The salt: message and inner digest under a key that is laid in.
            all ^= one(name.as_bytes()) ^ one(&[4; 32]) ^ one(encoded.as_bytes());
        }
        // One node of the tree for every leaf.
        all ^ one(&self.statement) ^ one(&[5; 65])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stage_and_both_sides_are_measured() {
        let m = measure(500, 4_000).unwrap();
        assert_eq!((m.agents, m.hashed, m.passes), (500, 500, 12));
        assert!(m.reports >= m.pairs && m.edges > 0 && m.pairs > 3_000);
        let s = m.stages;
        let stages = [
            s.ledger,
            s.evidence,
            s.weights,
            s.graph,
            s.rounds,
            s.flow,
            s.voices,
            s.claims,
            s.statements,
        ];
        assert!(stages.iter().all(|us| *us > 0), "{stages:?}");
        assert_eq!(m.epoch_us, stages.iter().sum::<u64>());
        assert!(m.flow.share_bp > 0 && m.statements.share_bp > 0);
    }

    #[test]
    fn the_bare_loop_is_a_product_of_matrix_and_vector() {
        let market = Market::new(50, 400);
        let mut policy = Policy::preset("agent-market").unwrap();
        policy.seeds = market.seeds();
        let evidence = market.ledger().into_evidence(&policy);
        score_watched(&evidence, &policy, market.closes(), &mut |stage| {
            let Stage::Graph(graph) = stage else { return };
            let weights: Vec<u64> = (0..).take(graph.edges()).collect();
            let once = bare_passes(graph, &weights, &graph.tasks(), 1);
            for (row, y) in graph.offsets().windows(2).zip(once) {
                let sum: u64 = (u64::from(row[0])..u64::from(row[1])).sum();
                assert_eq!(y, sum);
            }
        })
        .unwrap();
    }
}
