//! The scoring function: evidence and policy in, one set of claims for every agent out.
//!
//! What is kept of an epoch is small (the pairs with their reports' weights, and each agent's flow); claims are made from it for
//! whom they are asked for, all or one, and so are contributions.

use std::ops::Range;

use goodstanding_verify::{claims::Claims, did::Did};
use rayon::prelude::*;

use crate::{
    evidence::{Evidence, narrow, wide},
    fixed::{ONE, saturate, small},
    flow::{self, Edge, Graph},
    pairs::{Edges, Pairs, badness_q16},
    policy::{Policy, PolicyCode},
    rating::{
        self, Changes, Excess, Outside, Reader, Reason, Suspect, ValueSplit, Voice,
        plain_voice_q32, report_weight_q32,
    },
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
/// Takes 12 bytes a report, 65 a pair and 52 an agent.
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
    /// By pair.
    voices: Vec<Voice>,
    /// By pair: what is left of it, Q16.
    dampening: Vec<u32>,
    /// What the dampening is from.
    suspicion: Option<Suspicion>,
}

/// What the last round of looking for suspicious pairs saw.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Suspicion {
    outside: Outside,
    /// Of that round, by agent, Q32.
    credibility_q32: Vec<u64>,
    /// By pair: whether it boosts inside a core.
    core: Vec<bool>,
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

/// What one pair's reports add to an agent's score: one counterparty's, in one role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contribution {
    /// The counterparty, as index into [`Evidence::agents`].
    pub rater: usize,
    /// Whether it sold to the agent and rates it as a buyer.
    pub as_buyer: bool,
    /// Σ fresh weight of its reports, Q32.
    pub mass_q32: u128,
    /// Σ standing weight of its reports, Q32.
    pub standing_q32: u64,
    /// min(log2(1 + mass), cap), Q16.
    pub size_q16: u64,
    /// Credibility of the counterparty, Q32.
    pub credibility_q32: u64,
    /// e0, Q32: what the pair would weigh if nothing spoke against it.
    pub plain_voice_q32: u64,
    /// e, Q32.
    pub voice_q32: u64,
    /// β, Q16.
    pub leniency_q16: u64,
    /// What is left of it, and why.
    pub dampened: Dampened,
    /// Its reports, in log order.
    pub reports: Vec<Weighted>,
}

/// What is left of a pair, and the statistics that it is from; Q16. Without rounds of suspicion nothing is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dampened {
    /// D: what is left.
    pub left_q16: u64,
    /// How far it praises more (positive) or less than others do.
    pub excess_q16: i64,
    /// How much others have said.
    pub known_q16: u64,
    /// R: mutual praise beyond what others say.
    pub reciprocal_q16: u64,
    /// L: blame beyond what others say.
    pub slander_q16: u64,
    /// Y: one of several boosts by agents that are little known.
    pub boost_q16: u64,
    /// K: amounts passed on in a cycle.
    pub wash_q16: u64,
    /// Whether both are in a core of agents that boost each other.
    pub core: bool,
}

/// One report's part of a contribution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weighted {
    /// The report, by its place in [`Evidence::opinions`].
    pub opinion: usize,
    /// Decay × level × status, Q32.
    pub fresh_q32: u64,
    /// Value of the trade, thousandths.
    pub value_milli: u64,
    /// v, Q32: before a change point makes it count less.
    pub plain_q32: u64,
    /// Weight in its record, Q32: as a seller, or as a buyer.
    pub weight_q32: u64,
    /// 1 − badness as read, Q16.
    pub quality_q16: u64,
    /// Number of the segment between change points, from 0.
    pub segment: usize,
}

/// A change of quality.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChangePoint {
    /// Unix seconds: reports of earlier trades are before it.
    pub at: u64,
    /// Square of its z statistic, Q16.
    pub z2_q16: u64,
    /// Mean quality before and after, within the range that it divides, Q16.
    pub quality_q16: (u64, u64),
    /// Bits by which what is before it is forgotten: 2 is a quarter.
    pub bits: u32,
}

/// What was found about one agent as a seller.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// Its change points, in order of time.
    pub changes: Vec<ChangePoint>,
    /// Whether it goes back and forth, so that nothing is forgotten.
    pub oscillates: bool,
    /// The amount (1e-9 of the reference currency) from which on it is worse, the z of that (Q16), how much worse (Q16) and what that takes
    /// from the mean (Q16).
    pub value_split: Option<(u128, u64, u64, u64)>,
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
    /// A round of looking for suspicious pairs is over.
    Round(u64),
    /// Every agent has its flow, the last time.
    Flowed,
    /// Every pair has its voice, the last time.
    Heard,
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
    let agents = evidence.agents.len();
    // A seed that nobody has mentioned yet holds its share all the same, as if it were an agent without edges: else whoever
    // mentions it would move every score.
    let mut absent = 0;
    let places = policy.seeds.iter().map(|seed| {
        evidence.agent(seed).unwrap_or_else(|| {
            absent += 1;
            agents + absent - 1
        })
    });
    let places: Vec<usize> = places.collect();
    let seeds: Vec<usize> = places.iter().copied().filter(|p| *p < agents).collect();
    if seeds.is_empty() {
        return Err(ScoreError::NoSeeds(policy.seeds.len()));
    }
    let s = &policy.scoring;
    let (mut pairs, edges) = Pairs::build(evidence, s, as_of);
    // Links also lower what a pair's view is worth where views are held against each other (section 6.3), with rounds or without.
    if s.dampening_rounds > 0 || s.leniency_floor_bp < 10_000 || s.noise_scale_ppm > 0 {
        rating::link(&mut pairs, evidence, s);
    }
    watch(Stage::Weighed { pairs: pairs.len() });
    let mut graph = Graph::new(agents + absent, || flow_edges(&pairs, &edges));
    drop(edges);
    watch(Stage::Graph(&graph));
    let flow = |graph: &Graph| {
        let mut flow_q48 = graph.flow(&places, s.flow_iterations, s.flow_return_bp);
        flow_q48.truncate(agents);
        let credibility = |x: &u64| flow::credibility_q32(*x, s.credibility_half_ppm, places.len());
        let credibility_q32: Vec<u64> = flow_q48.iter().map(credibility).collect();
        (flow_q48, credibility_q32)
    };
    let mut dampening = vec![small(ONE); pairs.len()];
    let mut suspicion = None;
    for round in 0..s.dampening_rounds {
        let (_, credibility_q32) = flow(&graph);
        let voices = rating::voices(&pairs, evidence, s, &credibility_q32, &dampening);
        let outside = Outside::of(&pairs, evidence, s, &credibility_q32, &voices);
        drop(voices);
        let suspect = Suspect {
            pairs: &pairs,
            s,
            outside: &outside,
            credibility_q32: &credibility_q32,
        };
        let core = rating::core(&suspect, agents);
        dampening = rating::dampening(&suspect, &core);
        graph.dampen(&dampening);
        watch(Stage::Round(round));
        suspicion = Some(Suspicion {
            outside,
            credibility_q32,
            core,
        });
    }
    let (flow_q48, credibility_q32) = flow(&graph);
    watch(Stage::Flowed);
    drop(graph);
    let voices = rating::voices(&pairs, evidence, s, &credibility_q32, &dampening);
    watch(Stage::Heard);
    Ok(Scores {
        as_of,
        seeds,
        pairs,
        flow_q48,
        credibility_q32,
        voices,
        dampening,
        suspicion,
    })
}

/// The edges of every pair.
fn flow_edges(pairs: &Pairs, edges: &[Edges]) -> impl Iterator<Item = Edge> {
    let subjects = (0..pairs.about.len().saturating_sub(1))
        .flat_map(|agent| std::iter::repeat_n(narrow(agent), pairs.about(agent).len()));
    let items = subjects.zip(&pairs.raters).zip(edges).zip(&pairs.facts);
    (0..)
        .zip(items)
        .flat_map(|(pair, (((subject, rater), edges), fact))| {
            // What a seller says of a buyer is dampened as what that buyer says of it.
            let pair = if fact.is_sellers() {
                fact.reverse
            } else {
                pair
            };
            let edge = |from, to, capacity| Edge {
                to,
                from,
                capacity,
                pair,
            };
            [
                edge(*rater, subject, edges.forward),
                edge(subject, *rater, edges.back),
            ]
        })
}

/// What is used again from one agent to the next.
#[derive(Default)]
struct Desk {
    tally: Tally,
    reader: Reader,
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
        Some(self.agent(evidence, policy, agent, &mut Desk::default()))
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
            .map_init(Desk::default, |desk, agent| {
                self.agent(evidence, policy, agent, desk)
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
        desk: &mut Desk,
    ) -> AgentScore {
        let s = &policy.scoring;
        let Desk { tally, reader } = desk;
        reader.read(&self.pairs, evidence, s, &self.voices, agent);
        let reading = &reader.reading;
        tally.start(policy.amount_bands_milli.len());
        let recent_from = self.as_of.saturating_sub(s.recent_window_s);
        let (mut heard, mut undampened) = (0_u128, 0_u128);
        let mut reports = reading.reports.iter().peekable();
        let mut last = None;
        for pair in self.pairs.about(agent) {
            let rater = self.pairs.raters[pair];
            if last.replace(rater) != Some(rater) {
                if pair != self.pairs.about(agent).start {
                    tally.end_rater();
                }
                tally.start_rater();
            }
            let fact = &self.pairs.facts[pair];
            if fact.is_rating() {
                while let Some(read) = reports.next_if(|read| read.pair == pair) {
                    let row = &evidence.rows[read.place];
                    let quality = small(ONE) - read.bad_q16;
                    tally.add(evidence, row, read.kept_q32, quality, recent_from);
                    heard += u128::from(read.weight_q32);
                    undampened += self.undampened(pair, read.weight_q32);
                }
                continue;
            }
            let as_buyer = fact.is_sellers();
            self.others(pair, |place, weight| {
                let row = &evidence.rows[place];
                let quality = small(ONE - badness_q16(row.quality_bp));
                if as_buyer {
                    tally.add_as_buyer(evidence, row, weight, quality, recent_from);
                } else {
                    tally.add(evidence, row, weight, quality, recent_from);
                }
            });
        }
        if last.is_some() {
            tally.end_rater();
        }
        let split = self.value_split(evidence, policy, reader);
        let verdict = Verdict {
            deduction_q16: split.map_or(0, |split| split.deduction_q16),
            dampening_bp: dampening_bp(heard, undampened),
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

    fn value_split(
        &self,
        evidence: &Evidence,
        policy: &Policy,
        reader: &Reader,
    ) -> Option<ValueSplit> {
        rating::value_split(
            &reader.reading,
            &self.pairs,
            evidence,
            &policy.scoring,
            &self.credibility_q32,
            &self.dampening,
        )
    }

    /// A weight as it would be if its pair were not dampened, Q32.
    fn undampened(&self, pair: usize, weight_q32: u64) -> u128 {
        let left = u128::from(self.dampening[pair]).max(1);
        (u128::from(weight_q32) << 16) / left
    }

    /// The reports of a pair that is no rating pair, with their weights: a seller's, or a buyer's that has no fresh weight any more.
    fn others(&self, pair: usize, mut each: impl FnMut(usize, u64)) {
        let valued = self.pairs.masses(pair).1;
        for place in self.pairs.reports(pair) {
            let voice = self.voices[pair].voice_q32;
            each(place, report_weight_q32(&self.pairs, place, voice, valued));
        }
    }

    /// What was found about an agent (an index into [`Evidence::agents`]) as a seller.
    pub fn findings(&self, evidence: &Evidence, policy: &Policy, agent: usize) -> Findings {
        let mut reader = Reader::default();
        reader.read(&self.pairs, evidence, &policy.scoring, &self.voices, agent);
        let Changes { splits, oscillates } = &reader.reading.changes;
        let bin_s = policy.scoring.change_bin_s;
        let changes = splits.iter().map(|change| ChangePoint {
            at: change.bin.saturating_mul(bin_s),
            z2_q16: change.z2_q16,
            quality_q16: (
                ONE - change.means_q16.0.min(ONE),
                ONE - change.means_q16.1.min(ONE),
            ),
            bits: change.bits,
        });
        let split = self.value_split(evidence, policy, &reader);
        Findings {
            changes: changes.collect(),
            oscillates: *oscillates,
            value_split: split.map(|s| (s.from_nano, s.z_q16, s.gap_q16, s.deduction_q16)),
        }
    }

    /// What each counterparty contributed to the score of an agent (an index into [`Evidence::agents`]), ascending by rater; one that
    /// both bought from it and sold to it twice.
    pub fn contributions(
        &self,
        evidence: &Evidence,
        policy: &Policy,
        agent: usize,
    ) -> Vec<Contribution> {
        let mut reader = Reader::default();
        reader.read(&self.pairs, evidence, &policy.scoring, &self.voices, agent);
        let mut reads = reader.reading.reports.iter().peekable();
        let reasons = self.suspicion.as_ref().map(|suspicion| {
            let suspect = Suspect {
                pairs: &self.pairs,
                s: &policy.scoring,
                outside: &suspicion.outside,
                credibility_q32: &suspicion.credibility_q32,
            };
            rating::reasons(&suspect, agent, &suspicion.core)
        });
        let about = self.pairs.about(agent);
        let mut out = Vec::with_capacity(about.len());
        for (n, pair) in about.enumerate() {
            let mut reports = Vec::with_capacity(self.pairs.reports(pair).len());
            let weighted = |place: usize, plain_q32, weight_q32, bad_q16: u64, segment| Weighted {
                opinion: place,
                fresh_q32: self.pairs.fresh_q32[place],
                value_milli: u64::from(self.pairs.value_milli[place]),
                plain_q32,
                weight_q32,
                quality_q16: ONE - bad_q16,
                segment,
            };
            while let Some(read) = reads.next_if(|read| read.pair == pair) {
                let (plain, kept) = (read.weight_q32, read.kept_q32);
                let bad = u64::from(read.bad_q16);
                reports.push(weighted(read.place, plain, kept, bad, read.segment));
            }
            if reports.is_empty() {
                self.others(pair, |place, weight| {
                    let bad = badness_q16(evidence.rows[place].quality_bp);
                    reports.push(weighted(place, weight, weight, bad, 0));
                });
            }
            let fact = &self.pairs.facts[pair];
            let rater = wide(self.pairs.raters[pair]);
            let reason = reasons.as_ref().map(|reasons| reasons[n]);
            let reason = reason.filter(|_| fact.is_rating());
            out.push(Contribution {
                rater,
                as_buyer: fact.is_sellers(),
                mass_q32: self.pairs.masses(pair).0,
                standing_q32: fact.standing_q32,
                size_q16: u64::from(fact.size_q16),
                credibility_q32: self.credibility_q32[rater],
                plain_voice_q32: plain_voice_q32(&self.pairs, pair, &self.credibility_q32),
                voice_q32: self.voices[pair].voice_q32,
                leniency_q16: u64::from(self.voices[pair].leniency_q16),
                dampened: self.dampened(pair, reason),
                reports,
            });
        }
        out
    }

    fn dampened(&self, pair: usize, reason: Option<Reason>) -> Dampened {
        let outside = self.suspicion.as_ref().map(|s| &s.outside);
        let excess = outside.map_or(Excess::default(), |o| o.excesses[pair]);
        let reason = reason.unwrap_or_default();
        Dampened {
            left_q16: u64::from(self.dampening[pair]),
            excess_q16: i64::from(excess.excess_q16),
            known_q16: u64::from(excess.known_q16),
            reciprocal_q16: reason.reciprocal_q16,
            slander_q16: reason.slander_q16,
            boost_q16: reason.boost_q16,
            wash_q16: reason.wash_q16,
            core: reason.core_q16 > 0 && reason.core_q16 < ONE,
        }
    }

    /// The scale of excesses of this market, Q16; `None` without rounds of suspicion.
    pub fn scale_q16(&self) -> Option<u64> {
        self.suspicion.as_ref().map(|s| s.outside.scale_q16)
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

/// Share of the weight of ratings that dampening left, basis points.
fn dampening_bp(heard: u128, undampened: u128) -> u16 {
    if undampened == 0 {
        return 10_000;
    }
    let share = saturate(heard.saturating_mul(10_000) / undampened);
    u16::try_from(share).unwrap_or(10_000).min(10_000)
}
