//! The scoring function: evidence and policy in, one set of claims for every agent out.
//!
//! What is kept of an epoch is small (the pairs with their reports' weights, and each agent's flow); claims are made from it for
//! whom they are asked for, all or one, and so are contributions.

use std::ops::Range;

use goodstanding_verify::{MAX_INTEGER, claims::Claims, did::Did, report::Role};
use rayon::prelude::*;

use crate::{
    evidence::{Evidence, Row, narrow, wide},
    fixed::{mul_div, saturate},
    flow::{self, Edge, Graph},
    pairs::{Edges, Pairs, Weight, size_q16},
    policy::{Policy, PolicyCode},
    posterior::{BuyerScale, Sums},
    tally::{Headline, Tally, Verdict},
};

/// Why nothing could be scored.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ScoreError {
    /// No seed of the policy is an agent of the evidence.
    #[error("policy.no_seeds: none of the {0} seeds is an agent of the evidence")]
    NoSeeds(usize),
    /// The threads could not be started.
    #[error("internal: {0}")]
    Threads(String),
}

impl ScoreError {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoSeeds(_) => PolicyCode::NoSeeds.as_str(),
            Self::Threads(_) => "internal",
        }
    }
}

/// All scores of one epoch. Of use only with the evidence and the policy that they are of.
///
/// Takes 12 bytes a report, 8 a pair and 20 an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scores {
    /// The time that the scores are of, Unix seconds.
    pub as_of: u64,
    /// As indices into [`Evidence::agents`], ascending.
    seeds: Vec<usize>,
    pairs: Pairs,
    /// Flow that reaches each agent, in 2^-48 of all flow; parallel to [`Evidence::agents`].
    flow_q48: Vec<u64>,
    /// Credibility of what each agent says, Q32; parallel to [`Evidence::agents`].
    credibility_q32: Vec<u64>,
}

/// The score of one agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentScore {
    /// The agent.
    pub agent: Did,
    /// What its statement says. `rotations`, `last_rotated`, `erased_reports` and `flags` are the caller's to fill in.
    pub claims: Claims,
    /// Which of the bounds is `lower_bp`.
    pub headline: Headline,
    /// Whether it is a seed.
    pub seed: bool,
    /// Flow that reaches it, in 2^-48 of all flow.
    pub flow_q48: u64,
    /// Credibility of what it says, Q32.
    pub credibility_q32: u64,
}

/// What one counterparty's reports add to an agent's score.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contribution {
    /// The counterparty, as index into [`Evidence::agents`].
    pub rater: usize,
    /// Decayed mass of its reports, Q32.
    pub mass_q32: u128,
    /// min(log2(1 + mass), cap), Q16.
    pub size_q16: u64,
    /// Its weight in the score, Q32.
    pub weight_q32: u64,
    /// Σ weight · quality over its reports, Q48.
    pub weighted_quality: u128,
    /// Sum of the trades' amounts, milli-units of the reference currency.
    pub amount_milli: u64,
    /// Its reports, in log order.
    pub reports: Vec<Weighted>,
}

/// One report's part of a contribution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weighted {
    /// The report, by its place in [`Evidence::opinions`].
    pub opinion: usize,
    /// Decay × level × status, Q32.
    pub unit_q32: u64,
    /// Value of the trade, thousandths.
    pub value_milli: u64,
    /// Weight before the record as a buyer is scaled, Q32.
    pub own_weight_q32: u64,
    /// Weight in the score, Q32.
    pub weight_q32: u64,
}

/// What [`score_watched`] has just finished.
#[derive(Clone, Copy, Debug)]
pub enum Stage<'a> {
    /// Every report has its weights.
    Weighed {
        /// Ordered pairs of rater and subject.
        pairs: usize,
    },
    /// The graph of the flow stands.
    Graph(&'a Graph),
    /// Every agent has its flow.
    Flowed,
}

/// Scores every agent of the evidence at `as_of` (Unix seconds). The policy is the one that the evidence was built under; only its
/// seeds may be others.
///
/// `threads` sets the number of threads, `None` takes rayon's current pool; the result does not depend on it.
///
/// # Errors
/// `policy.no_seeds` if no seed of the policy is an agent of the evidence.
pub fn score(
    evidence: &Evidence,
    policy: &Policy,
    as_of: u64,
    threads: Option<usize>,
) -> Result<Scores, ScoreError> {
    match threads {
        None => score_watched(evidence, policy, as_of, &mut |_| ()),
        Some(threads) => rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .map_err(|error| ScoreError::Threads(error.to_string()))?
            .install(|| score_watched(evidence, policy, as_of, &mut |_| ())),
    }
}

/// [`score`] in rayon's current pool; `watch` is called after each stage, for those who measure.
///
/// # Errors
/// As [`score`].
pub fn score_watched(
    evidence: &Evidence,
    policy: &Policy,
    as_of: u64,
    watch: &mut (dyn FnMut(Stage<'_>) + Send),
) -> Result<Scores, ScoreError> {
    let seeds: Vec<usize> = policy
        .seeds
        .iter()
        .filter_map(|seed| evidence.agent(seed))
        .collect();
    if seeds.is_empty() {
        return Err(ScoreError::NoSeeds(policy.seeds.len()));
    }
    let s = &policy.scoring;
    let (pairs, edges) = Pairs::build(evidence, s, as_of);
    watch(Stage::Weighed { pairs: pairs.len() });
    let graph = Graph::new(evidence.agents.len(), || flow_edges(&pairs, &edges));
    drop(edges);
    watch(Stage::Graph(&graph));
    let flow_q48 = graph.flow(&seeds, s.flow_iterations, s.flow_return_bp);
    drop(graph);
    let credibility_q32 = flow_q48
        .iter()
        .map(|x| flow::credibility_q32(*x, s.credibility_half_ppm, seeds.len()))
        .collect();
    watch(Stage::Flowed);
    Ok(Scores {
        as_of,
        seeds,
        pairs,
        flow_q48,
        credibility_q32,
    })
}

/// Both edges of every pair.
fn flow_edges(pairs: &Pairs, edges: &[Edges]) -> impl Iterator<Item = Edge> {
    let subjects = (0..pairs.about.len().saturating_sub(1))
        .flat_map(|agent| std::iter::repeat_n(narrow(agent), pairs.about(agent).len()));
    let pairs = subjects.zip(&pairs.raters).zip(edges);
    pairs.flat_map(|((subject, rater), edges)| {
        let edge = |from, to, w: Weight| Edge {
            to,
            from,
            weight: w.carries,
            capacity: w.capacity,
        };
        [
            edge(*rater, subject, edges.forward),
            edge(subject, *rater, edges.back),
        ]
    })
}

impl Scores {
    /// Number of agents: those of the evidence.
    pub fn len(&self) -> usize {
        self.flow_q48.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.flow_q48.is_empty()
    }

    /// Number of ordered pairs of a rater and a subject.
    pub fn pairs(&self) -> usize {
        self.pairs.len()
    }

    /// Flow that reaches an agent, in 2^-48 of all flow; `agent` is an index into [`Evidence::agents`].
    pub fn flow_q48(&self, agent: usize) -> u64 {
        self.flow_q48[agent]
    }

    /// The score of one agent.
    pub fn get(&self, evidence: &Evidence, policy: &Policy, agent: &Did) -> Option<AgentScore> {
        let agent = evidence.agent(agent)?;
        Some(self.agent(evidence, policy, agent, &mut Tally::default()))
    }

    /// The scores of a range of [`Evidence::agents`], in parallel.
    pub fn range(
        &self,
        evidence: &Evidence,
        policy: &Policy,
        agents: Range<usize>,
    ) -> Vec<AgentScore> {
        agents
            .into_par_iter()
            .map_init(Tally::default, |tally, agent| {
                self.agent(evidence, policy, agent, tally)
            })
            .collect()
    }

    /// The scores of all agents, parallel to [`Evidence::agents`]. A million of them take a gigabyte; [`Scores::range`] takes them
    /// by parts.
    pub fn all(&self, evidence: &Evidence, policy: &Policy) -> Vec<AgentScore> {
        self.range(evidence, policy, 0..self.len())
    }

    fn agent(
        &self,
        evidence: &Evidence,
        policy: &Policy,
        agent: usize,
        tally: &mut Tally,
    ) -> AgentScore {
        tally.start(policy.amount_bands_milli.len());
        let recent_from = self.as_of.saturating_sub(policy.scoring.recent_window_s);
        for pair in self.pairs.about(agent) {
            tally.start_rater();
            self.weights(policy, pair, |place, weight_q32| {
                let row = &evidence.rows[place];
                let quality_q16 = quality_q16(*row);
                match row.role() {
                    Role::Buyer => tally.add(evidence, row, weight_q32, quality_q16, recent_from),
                    Role::Seller => {
                        tally.add_as_buyer(evidence, row, weight_q32, quality_q16, recent_from);
                    }
                }
            });
            tally.end_rater();
        }
        let verdict = Verdict {
            deduction_q16: 0,
            dampening_bp: 10_000,
        };
        let (claims, headline) = tally.claims(agent, evidence, policy, &verdict);
        AgentScore {
            agent: evidence.agents[agent],
            claims,
            headline,
            seed: self.is_seed(agent),
            flow_q48: self.flow_q48[agent],
            credibility_q32: self.credibility_q32[agent],
        }
    }

    /// Weight of each report of a pair, Q32: size × credibility × unit / mass × value, rounded down. Returns mass and size.
    fn weights(
        &self,
        policy: &Policy,
        pair: usize,
        mut each: impl FnMut(usize, u64),
    ) -> (u128, u64) {
        let rater = wide(self.pairs.raters[pair]);
        let mass_q32 = self.pairs.mass_q32(pair);
        let size_q16 = size_q16(mass_q32, &policy.scoring);
        // Below 2^20 · 2^32.
        let voice = u128::from(size_q16) * u128::from(self.credibility_q32[rater]);
        let divisor = mass_q32.saturating_mul(1000 << 16);
        for place in self.pairs.reports(pair) {
            // Below 2^52 · 2^36 · 2^20, over 2^16 · 1000 · mass. Most raters of a market under attack have no voice.
            let weight = if voice == 0 {
                0
            } else {
                let unit = u128::from(self.pairs.unit_q32[place]);
                let valued = unit * u128::from(self.pairs.value_milli[place]);
                mul_div(voice, valued, divisor)
            };
            each(place, weight);
        }
        (mass_q32, size_q16)
    }

    /// What each counterparty contributed to the score of an agent (an index into [`Evidence::agents`]), ascending by rater.
    pub fn contributions(
        &self,
        evidence: &Evidence,
        policy: &Policy,
        agent: usize,
    ) -> Vec<Contribution> {
        let scale = self.buyer_scale(evidence, policy, agent);
        let pairs = self.pairs.about(agent);
        pairs
            .map(|pair| self.contribution(evidence, policy, pair, &scale))
            .collect()
    }

    /// What a report about an agent as a buyer weighs in its score.
    pub(crate) fn buyer_scale(
        &self,
        evidence: &Evidence,
        policy: &Policy,
        agent: usize,
    ) -> BuyerScale {
        let (mut sold, mut bought) = (0, 0);
        for pair in self.pairs.about(agent) {
            self.weights(policy, pair, |place, weight_q32| {
                *match evidence.rows[place].role() {
                    Role::Buyer => &mut sold,
                    Role::Seller => &mut bought,
                } += u128::from(weight_q32);
            });
        }
        BuyerScale::new(sold, bought, &policy.scoring)
    }

    fn contribution(
        &self,
        evidence: &Evidence,
        policy: &Policy,
        pair: usize,
        scale: &BuyerScale,
    ) -> Contribution {
        let mut sums = Sums::default();
        let mut amount = 0_u128;
        let mut reports = Vec::with_capacity(self.pairs.reports(pair).len());
        let (mass_q32, size_q16) = self.weights(policy, pair, |place, own_weight_q32| {
            let row = evidence.rows[place];
            let weight_q32 = match row.role() {
                Role::Buyer => own_weight_q32,
                Role::Seller => scale.of(own_weight_q32),
            };
            sums.add(weight_q32, quality_q16(row));
            amount = amount.saturating_add(evidence.reference_nano(row) / 1_000_000);
            reports.push(Weighted {
                opinion: place,
                unit_q32: self.pairs.unit_q32[place],
                value_milli: u64::from(self.pairs.value_milli[place]),
                own_weight_q32,
                weight_q32,
            });
        });
        Contribution {
            rater: wide(self.pairs.raters[pair]),
            mass_q32,
            size_q16,
            weight_q32: saturate(sums.weight_q32),
            weighted_quality: sums.quality_q48,
            amount_milli: saturate(amount).min(MAX_INTEGER),
            reports,
        }
    }

    /// Credibility of what an agent says, Q32.
    pub fn credibility_q32(&self, agent: usize) -> u64 {
        self.credibility_q32[agent]
    }

    /// Whether an agent is a seed.
    pub fn is_seed(&self, agent: usize) -> bool {
        self.seeds.binary_search(&agent).is_ok()
    }
}

/// The quality of a report as it was given, Q16: one less its badness.
fn quality_q16(row: Row) -> u32 {
    // At most 10^4 · 2^16 over 10^4.
    let badness = u32::from(10_000_u16.saturating_sub(row.quality_bp)) * (1 << 16) / 10_000;
    (1 << 16) - badness
}
