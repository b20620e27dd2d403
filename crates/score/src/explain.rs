//! Why an agent has its score, in numbers from which a reader can recompute it by hand.
//!
//! Every integer is the one that the computation used. Those that may pass 2^53 − 1 are decimal strings.

use std::collections::BTreeMap;

use goodstanding_verify::{claims::State, did::Did, report::ReportId};
use serde::Serialize;

use crate::{
    CODE,
    evidence::Evidence,
    fixed::{mul_div, saturate},
    policy::{Policy, Scoring},
    posterior::{self, Sums},
    score::{AgentScore, Contribution, Scores},
};

/// The steps, as a reader with pencil and paper takes them.
const STEPS: &[&str] = &[
    "own_weight_q32 of a report = floor(pair size_q16 * rater credibility_q32 * unit_q32 * value_milli / (65536 * 1000 * pair mass_q32))",
    "a buyer's report (role buyer) is about the agent as a seller and has weight_q32 = own_weight_q32; a seller's report is about the agent as a buyer and has weight_q32 = floor(own_weight_q32 * as_buyer.counts_q32 / as_buyer.weight_q32), as_buyer.weight_q32 being the sum of own_weight_q32 over all of those; a contribution's weight_q32 is the sum over its reports",
    "quality_q16 = 65536 - floor((10000 - quality_bp) * 65536 / 10000); weighted_quality = sum of report weight_q32 * quality_q16",
    "mean_q16 = floor((totals.weighted_quality + prior.weight_q32 * prior.quality_q16) / (totals.weight_q32 + prior.weight_q32)); score_bp = floor(mean_q16 * 10000 / 65536)",
    "lifetime_lower_bp = mean - z_milli / 1000 * spread_bp / sqrt((totals.weight_q32 + prior.weight_q32) / 2^32) - model_error_bp, not below 0",
    "a segment (reports with closed_at >= as_of - recent_window_s, of one amount band, or about the agent as a buyer with their own_weight_q32) has sums of its own; its mean is (its weighted_quality + p * mean) / (its weight_q32 + p), p = segment_prior_weight_milli, and its bound divides by sqrt((its weight_q32 + min(p, rest of totals.weight_q32) + prior.weight_q32) / 2^32)",
    "lower_bp = min(lifetime_lower_bp, recent_lower_bp, the bound of every amount band and of the record as a buyer with enough evidence)",
];

/// What made one agent's score.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// The agent.
    pub agent: Did,
    /// Version of the scoring function.
    pub code: &'static str,
    /// The time of the scores, Unix seconds.
    pub as_of: u64,
    /// How to recompute the score from the numbers below.
    pub steps: &'static [&'static str],
    /// Posterior mean.
    pub score_bp: u16,
    /// Headline.
    pub lower_bp: u16,
    /// Which of the bounds is the headline: `lifetime`, `recent`, `value_split`, `amount_band` or `as_buyer`.
    pub headline_from: &'static str,
    /// Lifetime bound.
    pub lifetime_lower_bp: u16,
    /// Bound over the recent window.
    pub recent_lower_bp: u16,
    /// Prior's share of all evidence.
    pub uncertainty_bp: u16,
    /// `unproven`, `established` or `contested`.
    pub state: State,
    /// 10000 = nothing dampened.
    pub dampening_bp: u16,
    /// Whether the policy names the agent as a seed.
    pub seed: bool,
    /// Flow that reaches the agent, 2^-48 of all flow.
    pub flow_q48: u64,
    /// Credibility of what the agent says of others, Q32.
    pub credibility_q32: u64,
    /// The prior.
    pub prior: Prior,
    /// What the record as a buyer weighs.
    pub as_buyer: AsBuyer,
    /// Sums over all contributions.
    pub totals: Totals,
    /// Constants of the policy's `scoring`, by name.
    pub scoring: BTreeMap<&'static str, u64>,
    /// One per counterparty, by descending weight, then ascending rater.
    pub contributions: Vec<ExplainedContribution>,
    /// What the agent lacks for state `established`.
    pub missing: Vec<String>,
}

/// The prior as evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Prior {
    /// Its quality.
    pub quality_bp: u64,
    /// The same in Q16.
    pub quality_q16: u64,
    /// Its weight, Q32.
    pub weight_q32: u64,
}

/// The record as a buyer: what it weighs by itself and in the score.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AsBuyer {
    /// By itself, Q32, decimal.
    pub weight_q32: String,
    /// In the score, before the reports' weights are rounded down, Q32, decimal.
    pub counts_q32: String,
}

/// Sums over all contributions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// Σ weight, Q32, decimal.
    pub weight_q32: String,
    /// Σ weight · quality, Q48, decimal.
    pub weighted_quality: String,
}

/// One counterparty's part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ExplainedContribution {
    /// The counterparty.
    pub rater: Did,
    /// Its weight in the score, Q32.
    pub weight_q32: u64,
    /// Its share of the weight of all counterparties.
    pub share_bp: u16,
    /// Weighted mean of its ratings.
    pub mean_quality_bp: u16,
    /// Σ weight · quality, Q48, decimal.
    pub weighted_quality: String,
    /// Flow that reaches the counterparty, 2^-48 of all flow.
    pub flow_q48: u64,
    /// Its credibility, Q32.
    pub credibility_q32: u64,
    /// The same in basis points.
    pub credibility_bp: u16,
    /// Decayed mass of its reports, Q32, decimal.
    pub mass_q32: String,
    /// min(log2(1 + mass), cap), Q16.
    pub size_q16: u64,
    /// Number of reports at each evidence level.
    pub levels: BTreeMap<&'static str, u64>,
    /// Sum of the amounts, milli-units of the reference currency.
    pub amount_milli: u64,
    /// The reports, in log order.
    pub reports: Vec<ExplainedReport>,
}

/// One report's part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ExplainedReport {
    /// Report id.
    pub id: ReportId,
    /// Index of its log entry.
    pub index: u64,
    /// The reporter's role: a seller's report is about the agent as a buyer.
    pub role: &'static str,
    /// The rating that counts.
    pub quality_bp: u16,
    /// Evidence level.
    pub level: &'static str,
    /// When the trade ended, Unix seconds: decides decay and whether it is in the recent window.
    pub closed_at: u64,
    /// Lower edge of the trade's amount band, milli-units of the reference currency.
    pub band_from_milli: u64,
    /// Whether the trade is in dispute.
    pub in_dispute: bool,
    /// Decayed weight, Q32.
    pub unit_q32: u64,
    /// Value of the trade, thousandths.
    pub value_milli: u64,
    /// Its weight before the record as a buyer is scaled, Q32.
    pub own_weight_q32: u64,
    /// Its weight in the score, Q32.
    pub weight_q32: u64,
}

/// Explains the score of one agent; `None` if it is not an agent of the evidence.
///
/// `scores` must be those of this evidence and policy.
pub fn explain(
    evidence: &Evidence,
    policy: &Policy,
    scores: &Scores,
    agent: &Did,
) -> Option<Explanation> {
    let score = scores.get(evidence, policy, agent)?;
    let place = evidence.agent(agent)?;
    let of_agent = scores.contributions(evidence, policy, place);
    let as_buyer = scores.buyer_scale(evidence, policy, place);
    let s = &policy.scoring;
    let mut totals = Sums::default();
    for c in &of_agent {
        totals.merge(&Sums {
            weight_q32: u128::from(c.weight_q32),
            quality_q48: c.weighted_quality,
        });
    }
    let mut contributions: Vec<ExplainedContribution> = of_agent
        .iter()
        .map(|c| contribution(c, evidence, policy, scores, totals.weight_q32))
        .collect();
    contributions.sort_by(|a, b| b.weight_q32.cmp(&a.weight_q32).then(a.rater.cmp(&b.rater)));
    let claims = &score.claims;
    Some(Explanation {
        agent: score.agent,
        code: CODE,
        as_of: scores.as_of,
        steps: STEPS,
        score_bp: claims.score_bp,
        lower_bp: claims.lower_bp,
        headline_from: score.headline.as_str(),
        lifetime_lower_bp: claims.lifetime_lower_bp,
        recent_lower_bp: claims.recent_lower_bp,
        uncertainty_bp: claims.uncertainty_bp,
        state: claims.state,
        dampening_bp: claims.dampening_bp,
        seed: score.seed,
        flow_q48: score.flow_q48,
        credibility_q32: score.credibility_q32,
        prior: Prior {
            quality_bp: s.prior_quality_bp,
            quality_q16: posterior::bp_q16(s.prior_quality_bp),
            weight_q32: saturate(posterior::milli_q32(s.prior_weight_milli)),
        },
        as_buyer: AsBuyer {
            weight_q32: as_buyer.weight_q32.to_string(),
            counts_q32: as_buyer.counts_q32.to_string(),
        },
        totals: Totals {
            weight_q32: totals.weight_q32.to_string(),
            weighted_quality: totals.quality_q48.to_string(),
        },
        scoring: Scoring::PARAMETERS
            .iter()
            .filter_map(|p| s.get(p.name).map(|value| (p.name, value)))
            .collect(),
        contributions,
        missing: missing(&score, s),
    })
}

fn contribution(
    c: &Contribution,
    evidence: &Evidence,
    policy: &Policy,
    scores: &Scores,
    total_q32: u128,
) -> ExplainedContribution {
    let mut levels = BTreeMap::new();
    let reports = c
        .reports
        .iter()
        .map(|r| {
            let opinion = evidence.at(r.opinion);
            let trade = opinion.trade;
            *levels.entry(opinion.level.as_str()).or_insert(0) += 1;
            ExplainedReport {
                id: opinion.report,
                index: opinion.index,
                role: opinion.role.as_str(),
                quality_bp: opinion.quality_bp,
                level: opinion.level.as_str(),
                closed_at: trade.closed_at,
                band_from_milli: policy
                    .amount_bands_milli
                    .get(trade.band)
                    .copied()
                    .unwrap_or(0),
                in_dispute: opinion.in_dispute,
                unit_q32: r.unit_q32,
                value_milli: r.value_milli,
                own_weight_q32: r.own_weight_q32,
                weight_q32: r.weight_q32,
            }
        })
        .collect();
    let mean_q16 = mul_div(c.weighted_quality, 1, u128::from(c.weight_q32));
    let credibility_q32 = scores.credibility_q32(c.rater);
    ExplainedContribution {
        rater: evidence.agents[c.rater],
        weight_q32: c.weight_q32,
        share_bp: posterior::share_bp(u128::from(c.weight_q32), total_q32),
        mean_quality_bp: posterior::q16_bp(mean_q16),
        weighted_quality: c.weighted_quality.to_string(),
        flow_q48: scores.flow_q48(c.rater),
        credibility_q32,
        credibility_bp: posterior::share_bp(u128::from(credibility_q32), 1 << 32),
        mass_q32: c.mass_q32.to_string(),
        size_q16: c.size_q16,
        levels,
        amount_milli: c.amount_milli,
        reports,
    }
}

fn missing(score: &AgentScore, s: &Scoring) -> Vec<String> {
    let claims = &score.claims;
    let mut out = Vec::new();
    let mut need = |what: &str, has: u64, needs: u64| {
        if has < needs {
            out.push(format!("{what} is {has}, established from {needs}"));
        }
    };
    need(
        "evidence_milli",
        claims.evidence_milli,
        s.established_evidence_milli,
    );
    need(
        "effective_counterparties_milli",
        claims.effective_counterparties_milli,
        s.established_counterparties_milli,
    );
    out
}
