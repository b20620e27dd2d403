//! The scoring function: evidence and policy in, one set of claims for every agent out.

use std::collections::{BTreeMap, BTreeSet};

use goodstanding_verify::{
    MAX_INTEGER,
    claims::{BandScore, Claims, KindScore, MarketReports, State},
    did::Did,
};
use rayon::prelude::*;

use crate::{
    evidence::{Evidence, Level},
    fixed::{mul_div, saturate},
    flow::{self, Edge},
    pairs::{Pair, Pairs, Weight},
    policy::{Policy, PolicyCode},
    posterior::{self, Sums},
};

/// Markets listed in a statement.
const MAX_MARKETS: usize = 8;

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

/// All scores of one epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scores {
    /// The time that the scores are of, Unix seconds.
    pub as_of: u64,
    /// One per agent of the evidence, ascending by DID: parallel to [`Evidence::agents`].
    pub agents: Vec<AgentScore>,
}

impl Scores {
    /// The score of one agent.
    pub fn get(&self, agent: &Did) -> Option<&AgentScore> {
        self.agents
            .binary_search_by(|score| score.agent.cmp(agent))
            .ok()
            .and_then(|place| self.agents.get(place))
    }
}

/// The score of one agent and what made it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentScore {
    /// The agent.
    pub agent: Did,
    /// What its statement says. `rotations`, `last_rotated`, `erased_reports` and `flags` are the caller's to fill in.
    pub claims: Claims,
    /// Whether it is a seed.
    pub seed: bool,
    /// Flow that reaches it, in 2^-48 of all flow.
    pub flow_q48: u64,
    /// Credibility of what it says, Q32.
    pub credibility_q32: u64,
    /// What each counterparty contributed, ascending by rater.
    pub contributions: Vec<Contribution>,
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
    /// Σ weight · quality over its reports.
    pub weighted_quality: u128,
    /// Sum of the trades' amounts, milli-units of the reference currency.
    pub amount_milli: u64,
    /// Its reports, in log order.
    pub reports: Vec<Weighted>,
}

/// One report's part of a contribution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weighted {
    /// The report, as index into [`Evidence::opinions`].
    pub opinion: usize,
    /// Decay × level × role, Q32.
    pub unit_q32: u64,
    /// Value of the trade, thousandths.
    pub value_milli: u64,
    /// Weight in the score, Q32.
    pub weight_q32: u64,
}

/// Scores every agent of the evidence at `as_of` (Unix seconds).
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
        None => compute(evidence, policy, as_of),
        Some(threads) => rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .map_err(|error| ScoreError::Threads(error.to_string()))?
            .install(|| compute(evidence, policy, as_of)),
    }
}

fn compute(evidence: &Evidence, policy: &Policy, as_of: u64) -> Result<Scores, ScoreError> {
    let seeds: Vec<usize> = policy
        .seeds
        .iter()
        .filter_map(|seed| evidence.agent(seed))
        .collect();
    if seeds.is_empty() {
        return Err(ScoreError::NoSeeds(policy.seeds.len()));
    }
    let s = &policy.scoring;
    let pairs = Pairs::build(evidence, policy, as_of);
    let edges = pairs.all.iter().flat_map(|p| {
        let edge = |from, to, w: Weight| Edge {
            to,
            from,
            weight: w.carries,
            capacity: w.capacity,
        };
        [
            edge(p.rater, p.subject, p.forward),
            edge(p.subject, p.rater, p.back),
        ]
    });
    let flow = flow::flow(
        evidence.agents.len(),
        edges.collect(),
        &seeds,
        s.flow_iterations,
        s.flow_return_bp,
    );
    let credibility: Vec<u64> = flow
        .iter()
        .map(|x| flow::credibility_q32(*x, s.credibility_half_ppm, seeds.len()))
        .collect();
    let agents = (0..evidence.agents.len())
        .into_par_iter()
        .map(|agent| {
            let about = &pairs.all[pairs.about[agent].clone()];
            let contributions: Vec<Contribution> = about
                .iter()
                .map(|pair| contribution(pair, credibility[pair.rater], evidence))
                .collect();
            AgentScore {
                agent: evidence.agents[agent],
                claims: claims(agent, &contributions, evidence, policy, as_of),
                seed: seeds.binary_search(&agent).is_ok(),
                flow_q48: flow[agent],
                credibility_q32: credibility[agent],
                contributions,
            }
        })
        .collect();
    Ok(Scores { as_of, agents })
}

/// Weight of each report of a pair: size × credibility × unit / mass × value, rounded down.
fn contribution(pair: &Pair, credibility_q32: u64, evidence: &Evidence) -> Contribution {
    // Below 2^20 · 2^32.
    let voice = u128::from(pair.size_q16) * u128::from(credibility_q32);
    let mut sums = Sums::default();
    let mut amount = 0_u128;
    let reports = pair
        .items
        .iter()
        .map(|item| {
            let opinion = &evidence.opinions[item.opinion];
            // Below 2^52 · 2^36 · 2^20, over 2^16 · 1000 · mass.
            let valued = u128::from(item.unit_q32) * u128::from(item.value_milli);
            let weight = mul_div(voice, valued, pair.mass_q32.saturating_mul(1000 << 16));
            sums.add(weight, opinion.quality_bp);
            amount =
                amount.saturating_add(evidence.trades[opinion.trade].reference_nano / 1_000_000);
            Weighted {
                opinion: item.opinion,
                unit_q32: item.unit_q32,
                value_milli: item.value_milli,
                weight_q32: weight,
            }
        })
        .collect();
    Contribution {
        rater: pair.rater,
        mass_q32: pair.mass_q32,
        size_q16: pair.size_q16,
        weight_q32: saturate(sums.weight_q32),
        weighted_quality: sums.quality,
        amount_milli: saturate(amount).min(MAX_INTEGER),
        reports,
    }
}

/// Everything that is summed over the opinions about one agent.
#[derive(Default)]
struct Tally {
    life: Sums,
    recent: Sums,
    disputed_q32: u128,
    reports: u64,
    kinds: BTreeMap<&'static str, (Sums, u64)>,
    bands: BTreeMap<usize, (Sums, u64, u64)>,
    markets: BTreeMap<usize, (u128, u64)>,
    trades: BTreeSet<usize>,
    attested: BTreeSet<usize>,
}

impl Tally {
    fn of(contributions: &[Contribution], evidence: &Evidence, recent_from: u64) -> Self {
        let mut tally = Self::default();
        for contribution in contributions {
            let mut bands_of_rater = BTreeSet::new();
            for Weighted {
                opinion,
                weight_q32: weight,
                ..
            } in &contribution.reports
            {
                let opinion = &evidence.opinions[*opinion];
                let trade = &evidence.trades[opinion.trade];
                tally.reports += 1;
                tally.life.add(*weight, opinion.quality_bp);
                if trade.closed_at >= recent_from {
                    tally.recent.add(*weight, opinion.quality_bp);
                }
                if opinion.in_dispute {
                    tally.disputed_q32 += u128::from(*weight);
                }
                let kind = tally.kinds.entry(opinion.kind.as_str()).or_default();
                kind.0.add(*weight, opinion.quality_bp);
                kind.1 += 1;
                let band = tally.bands.entry(trade.band).or_default();
                band.0.add(*weight, opinion.quality_bp);
                band.1 += 1;
                if *weight > 0 && bands_of_rater.insert(trade.band) {
                    band.2 += 1;
                }
                let market = tally.markets.entry(opinion.market).or_default();
                market.0 += u128::from(*weight);
                market.1 += 1;
                tally.trades.insert(opinion.trade);
                if opinion.level > Level::Unilateral {
                    tally.attested.insert(opinion.trade);
                }
            }
        }
        tally
    }
}

fn claims(
    agent: usize,
    contributions: &[Contribution],
    evidence: &Evidence,
    policy: &Policy,
    as_of: u64,
) -> Claims {
    let s = &policy.scoring;
    let tally = Tally::of(
        contributions,
        evidence,
        as_of.saturating_sub(s.recent_window_s),
    );
    let life = posterior::lifetime(&tally.life, s);
    let bound = |sums: &Sums| posterior::segment(sums, &tally.life, &life, s);

    let recent_counts = posterior::q32_milli(tally.recent.weight_q32) >= s.recent_evidence_milli;
    let recent_lower_bp = if recent_counts {
        bound(&tally.recent).lower_bp
    } else {
        life.lower_bp
    };
    let mut lower_bp = life.lower_bp.min(recent_lower_bp);
    let mut by_amount_band = Vec::with_capacity(tally.bands.len());
    for (band, (sums, reports, raters)) in &tally.bands {
        let band_bound = bound(sums);
        if posterior::q32_milli(sums.weight_q32) >= s.band_evidence_milli
            && *raters >= s.band_counterparties
        {
            lower_bp = lower_bp.min(band_bound.lower_bp);
        }
        by_amount_band.push(BandScore {
            from_milli: policy.amount_bands_milli.get(*band).copied().unwrap_or(0),
            lower_bp: band_bound.lower_bp,
            score_bp: band_bound.mean_bp(),
            reports: *reports,
        });
    }
    let by_kind = tally
        .kinds
        .iter()
        .map(|(kind, (sums, reports))| {
            let kind_bound = bound(sums);
            let entry = KindScore {
                lower_bp: kind_bound.lower_bp,
                score_bp: kind_bound.mean_bp(),
                reports: *reports,
            };
            ((*kind).to_owned(), entry)
        })
        .collect();
    let evidence_milli = posterior::q32_milli(tally.life.weight_q32);
    let effective_counterparties_milli =
        posterior::effective_milli(contributions.iter().map(|c| c.weight_q32));
    let enough = evidence_milli >= s.established_evidence_milli
        && effective_counterparties_milli >= s.established_counterparties_milli;
    let disputed_bp = u64::from(posterior::share_bp(
        tally.disputed_q32,
        tally.life.weight_q32,
    ));
    let state = if !enough {
        State::Unproven
    } else if disputed_bp >= s.contested_share_bp {
        State::Contested
    } else {
        State::Established
    };
    Claims {
        score_bp: life.mean_bp(),
        uncertainty_bp: posterior::uncertainty_bp(&tally.life, s),
        lower_bp,
        lifetime_lower_bp: life.lower_bp,
        recent_lower_bp,
        state,
        reports: tally.reports,
        counterparties: u64::try_from(contributions.len()).unwrap_or(u64::MAX),
        effective_counterparties_milli: effective_counterparties_milli.min(MAX_INTEGER),
        evidence_milli: evidence_milli.min(MAX_INTEGER),
        attested_bp: share_of(tally.attested.len(), tally.trades.len()),
        by_kind,
        by_amount_band,
        markets: markets(&tally, evidence),
        dampening_bp: 10_000,
        flags: Vec::new(),
        first_seen: evidence.first_seen[agent].min(MAX_INTEGER),
        rotations: 0,
        last_rotated: 0,
        erased_reports: 0,
        lower_gte_2500: lower_bp >= 2500,
        lower_gte_5000: lower_bp >= 5000,
        lower_gte_7500: lower_bp >= 7500,
        lower_gte_9000: lower_bp >= 9000,
    }
}

/// The markets with the most evidence: by weight, then reports, then name.
fn markets(tally: &Tally, evidence: &Evidence) -> Vec<MarketReports> {
    let mut ranked: Vec<(usize, u128, u64)> = tally
        .markets
        .iter()
        .map(|(market, (w, n))| (*market, *w, *n))
        .collect();
    ranked.sort_unstable_by(|a, b| (b.1, b.2).cmp(&(a.1, a.2)).then(a.0.cmp(&b.0)));
    ranked
        .into_iter()
        .take(MAX_MARKETS)
        .map(|(market, _, reports)| MarketReports {
            market: evidence.markets[market].clone(),
            reports,
        })
        .collect()
}

fn share_of(part: usize, whole: usize) -> u16 {
    let wide = |n: usize| u128::try_from(n).unwrap_or(u128::MAX);
    posterior::share_bp(wide(part), wide(whole))
}
