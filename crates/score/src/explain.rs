//! Why an agent has its score, in numbers from which a reader can recompute it by hand.
//!
//! Every integer is the one that the computation used. Those that may pass 2^53 − 1 are decimal strings.

mod page;

use std::collections::BTreeMap;

use goodstanding_verify::{
    MAX_INTEGER,
    claims::State,
    did::Did,
    report::{ReportId, Role},
};
use serde::Serialize;

use crate::{
    CODE,
    evidence::Evidence,
    fixed::{
        ONE, bp_q16, log2_one_plus_q16, milli_q16, milli_q32, mul_div, mul_q16, saturate, small,
    },
    policy::{Policy, Scoring},
    posterior::{self, BuyerScale, Sums, q16_bp},
    score::{AgentScore, ChangePoint, Contribution, Dampened, Scores},
};

/// The steps, as a reader with pencil and paper takes them. `docs/SCORING.md` has the formulas and their names.
const STEPS: &[&str] = &[
    "voice_q32 of a contribution comes from size_q16 (how much was traded), credibility_q32 (who says it), dampened.left_q16 (what suspicion left of it), and, for buyers, from how far others can check the rater; plain_voice_q32 is the same without the last two",
    "plain_weight_q32 of a report = floor(voice_q32 * fresh_q32 * value_milli / sum over the contribution of fresh_q32 * value_milli), of one where nothing was delivered undelivered_weight_milli thousandths of it",
    "own_weight_q32 = plain_weight_q32 >> the bits of all change points after it",
    "quality_q16 = 65536 - min(65536, floor(badness * 65536 / leniency_q16)), badness = floor((10000 - quality_bp) * 65536 / 10000)",
    "as_seller and as_buyer are the sums of own_weight_q32 and of own_weight_q32 * quality_q16 over the contributions of that role; the record as a buyer counts as_buyer.counts_q32 in the score, each report weight_q32 = floor(own_weight_q32 * as_buyer.counts_q32 / as_buyer.weight_q32)",
    "mean_q16 = floor((totals.weighted_quality + prior.weight_q32 * prior.quality_q16) / (totals.weight_q32 + prior.weight_q32)); score_bp = floor(mean_q16 * 10000 / 65536)",
    "lifetime_lower_bp = mean - z_milli / 1000 * spread_bp / sqrt((totals.weight_q32 + prior.weight_q32) / 2^32) - model_error_bp, not below 0",
    "a segment (reports with closed_at >= as_of - recent_window_s, of one amount band, or about the agent as a buyer with their own_weight_q32) has sums of its own; its mean is (its weighted_quality + p * mean) / (its weight_q32 + p), p = segment_prior_weight_milli, and its bound divides by sqrt((its weight_q32 + min(p, rest of totals.weight_q32) + prior.weight_q32) / 2^32)",
    "lower_bp = min(lifetime_lower_bp, recent_lower_bp, the lifetime bound of mean - value_split.deduction_q16, the bound of every amount band and of the record as a buyer with enough evidence)",
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
    /// Where the amount band begins that is the headline, milli-units of the reference currency; `None` if it is another bound.
    pub headline_band_from_milli: Option<u64>,
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
    /// The record as a seller.
    pub as_seller: Totals,
    /// When its quality changed.
    pub changes: Vec<ExplainedChange>,
    /// Whether it goes back and forth, so that nothing is forgotten.
    pub oscillates: bool,
    /// From which amount on it is worse.
    pub value_split: Option<ExplainedValueSplit>,
    /// How far ratings in this market usually lie from each other, Q16: what counts as excess is a multiple of it.
    pub scale_q16: Option<u64>,
    /// What one more trade would change.
    pub one_more: OneMore,
    /// Sums over all contributions.
    pub totals: Totals,
    /// Constants of the policy's `scoring`, by name.
    pub scoring: BTreeMap<&'static str, u64>,
    /// One per counterparty and role, by descending weight, then ascending rater; [`Explanation::page`] leaves some of them.
    pub contributions: Vec<ExplainedContribution>,
    /// How many contributions there are in all.
    pub contributions_total: u64,
    /// How many reports they are made of.
    pub reports_total: u64,
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

/// A change of quality.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ExplainedChange {
    /// Unix seconds: trades that closed earlier are before it.
    pub at: u64,
    /// Mean quality before, within the range that it divides.
    pub before_bp: u16,
    /// And after.
    pub after_bp: u16,
    /// Square of its z statistic, Q16.
    pub z2_q16: u64,
    /// Reports before it weigh 2^-bits.
    pub bits: u32,
}

/// From which amount on an agent is worse.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ExplainedValueSplit {
    /// 1e-9 of the reference currency, decimal.
    pub from_nano: String,
    /// Its z statistic, Q16.
    pub z_q16: u64,
    /// How much worse, drawn towards nothing, Q16.
    pub gap_q16: u64,
    /// What is taken from the mean for the headline, Q16.
    pub deduction_q16: u64,
}

/// What one more trade as a seller would change, everything else as it is: with a new counterparty that is as credible as those
/// that the score rests on (half, if it rests on none), countersigned, of the value of a trade of amount 0, now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct OneMore {
    /// Credibility of that counterparty, Q32.
    pub credibility_q32: u64,
    /// What its report would weigh, Q32.
    pub weight_q32: u64,
    /// Rated 10000.
    pub good: Outcome,
    /// Rated 0.
    pub bad: Outcome,
}

/// The score after one more trade.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Outcome {
    /// Posterior mean.
    pub score_bp: u16,
    /// Lifetime bound.
    pub lifetime_lower_bp: u16,
}

/// What is left of a counterparty's word, and the statistics that this is from; Q16 (section 9 of `docs/SCORING.md`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ExplainedDampening {
    /// D: 65536 is all.
    pub left_q16: u64,
    /// How far it praises more than others do; negative: blames more.
    pub excess_q16: i64,
    /// How much others have said.
    pub known_q16: u64,
    /// Names of what took from it, the most serious first: `core`, `wash`, `reciprocal`, `slander`, `boost`.
    pub reasons: Vec<&'static str>,
    /// R.
    pub reciprocal_q16: u64,
    /// L.
    pub slander_q16: u64,
    /// Y.
    pub boost_q16: u64,
    /// K.
    pub wash_q16: u64,
}

/// One counterparty's part, in one role.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ExplainedContribution {
    /// The counterparty.
    pub rater: Did,
    /// Its role: a buyer rates the agent as a seller.
    pub role: &'static str,
    /// Its weight in the score, Q32.
    pub weight_q32: u64,
    /// Its share of the weight of all contributions.
    pub share_bp: u16,
    /// Weighted mean of its ratings as read.
    pub mean_quality_bp: u16,
    /// Σ weight · quality, Q48, decimal.
    pub weighted_quality: String,
    /// Flow that reaches the counterparty, 2^-48 of all flow.
    pub flow_q48: u64,
    /// Its credibility, Q32.
    pub credibility_q32: u64,
    /// The same in basis points.
    pub credibility_bp: u16,
    /// Σ fresh weight of its reports, Q32, decimal.
    pub mass_q32: String,
    /// min(log2(1 + mass), cap), Q16.
    pub size_q16: u64,
    /// e0, Q32.
    pub plain_voice_q32: u64,
    /// e, Q32.
    pub voice_q32: u64,
    /// β, Q16.
    pub leniency_q16: u64,
    /// What is left of its word.
    pub dampened: ExplainedDampening,
    /// Number of reports at each evidence level.
    pub levels: BTreeMap<&'static str, u64>,
    /// Sum of the amounts, milli-units of the reference currency.
    pub amount_milli: u64,
    /// How many reports it is made of.
    pub reports_total: u64,
    /// The reports, in log order; [`Explanation::page`] leaves some of them.
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
    /// Decay × level × status, Q32.
    pub fresh_q32: u64,
    /// Value of the trade, thousandths.
    pub value_milli: u64,
    /// Its rating as read, Q16.
    pub quality_q16: u64,
    /// Number of the segment between change points, from 0.
    pub segment: usize,
    /// Its weight before change points, Q32.
    pub plain_weight_q32: u64,
    /// Its weight in its own record, Q32.
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
    let s = &policy.scoring;
    let (mut seller, mut buyer) = (Sums::default(), Sums::default());
    for c in &of_agent {
        let record = if c.as_buyer { &mut buyer } else { &mut seller };
        for r in &c.reports {
            record.add(r.weight_q32, small(r.quality_q16));
        }
    }
    let scale = BuyerScale::new(seller.weight_q32, buyer.weight_q32, s);
    let summed: Vec<Sums> = of_agent.iter().map(|c| summed(c, &scale)).collect();
    let mut totals = Sums::default();
    for sums in &summed {
        totals.merge(sums);
    }
    let explained = of_agent.iter().zip(&summed);
    let mut contributions: Vec<ExplainedContribution> = explained
        .map(|(c, sums)| contribution(c, sums, evidence, policy, scores, &scale, &totals))
        .collect();
    contributions.sort_by(|a, b| {
        let by_weight = b.weight_q32.cmp(&a.weight_q32);
        by_weight
            .then(a.rater.cmp(&b.rater))
            .then(a.role.cmp(b.role))
    });
    let findings = scores.findings(evidence, policy, place);
    let claims = &score.claims;
    Some(Explanation {
        agent: score.agent,
        code: CODE,
        as_of: scores.as_of,
        steps: STEPS,
        score_bp: claims.score_bp,
        lower_bp: claims.lower_bp,
        headline_from: score.headline.as_str(),
        headline_band_from_milli: score.headline.band_from_milli(),
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
            quality_q16: bp_q16(s.prior_quality_bp),
            weight_q32: saturate(milli_q32(s.prior_weight_milli)),
        },
        as_buyer: AsBuyer {
            weight_q32: scale.weight_q32.to_string(),
            counts_q32: scale.counts_q32.to_string(),
        },
        as_seller: Totals::of(&seller),
        changes: findings.changes.iter().map(change).collect(),
        oscillates: findings.oscillates,
        value_split: findings
            .value_split
            .map(
                |(from, z_q16, gap_q16, deduction_q16)| ExplainedValueSplit {
                    from_nano: from.to_string(),
                    z_q16,
                    gap_q16,
                    deduction_q16,
                },
            ),
        scale_q16: scores.scale_q16(),
        one_more: one_more(&of_agent, &summed, &totals, s),
        totals: Totals::of(&totals),
        scoring: Scoring::PARAMETERS
            .iter()
            .filter_map(|p| s.get(p.name).map(|value| (p.name, value)))
            .collect(),
        contributions_total: counted_as(contributions.len()),
        reports_total: contributions.iter().map(|c| c.reports_total).sum(),
        contributions,
        missing: missing(&score, s),
    })
}

impl Totals {
    fn of(sums: &Sums) -> Self {
        Self {
            weight_q32: sums.weight_q32.to_string(),
            weighted_quality: sums.quality_q48.to_string(),
        }
    }
}

/// What a report weighs in the score, Q32.
fn counted(c: &Contribution, own_q32: u64, scale: &BuyerScale) -> u64 {
    if c.as_buyer {
        scale.of(own_q32)
    } else {
        own_q32
    }
}

/// What a contribution adds to the score.
fn summed(c: &Contribution, scale: &BuyerScale) -> Sums {
    let mut sums = Sums::default();
    for r in &c.reports {
        sums.add(counted(c, r.weight_q32, scale), small(r.quality_q16));
    }
    sums
}

fn change(change: &ChangePoint) -> ExplainedChange {
    ExplainedChange {
        at: change.at,
        before_bp: q16_bp(change.quality_q16.0),
        after_bp: q16_bp(change.quality_q16.1),
        z2_q16: change.z2_q16,
        bits: change.bits,
    }
}

fn one_more(of_agent: &[Contribution], summed: &[Sums], totals: &Sums, s: &Scoring) -> OneMore {
    let weighted: u128 = of_agent
        .iter()
        .zip(summed)
        .map(|(c, sums)| (sums.weight_q32 >> 16) * u128::from(c.credibility_q32))
        .sum();
    let credibility_q32 = if totals.weight_q32 >> 16 == 0 {
        1 << 31
    } else {
        mul_div(weighted, 1, totals.weight_q32 >> 16)
    };
    let size = log2_one_plus_q16(1 << 32).min(milli_q16(s.pair_cap_milli));
    let weight_q32 = mul_div(
        u128::from(mul_q16(size, credibility_q32)),
        u128::from(s.value_base_milli),
        1000,
    );
    let outcome = |quality_q16: u32| {
        let mut sums = *totals;
        sums.add(weight_q32, quality_q16);
        let life = posterior::lifetime(&sums, s);
        Outcome {
            score_bp: life.mean_bp(),
            lifetime_lower_bp: life.lower_bp,
        }
    };
    OneMore {
        credibility_q32,
        weight_q32,
        good: outcome(small(ONE)),
        bad: outcome(0),
    }
}

fn dampening(d: &Dampened, s: &Scoring) -> ExplainedDampening {
    let over = |x: u64, low_milli: u64| x > milli_q16(low_milli);
    let reasons = [
        ("core", d.core),
        ("wash", over(d.wash_q16, s.wash_low_milli)),
        ("reciprocal", over(d.reciprocal_q16, s.reciprocal_low_milli)),
        ("slander", over(d.slander_q16, s.slander_low_milli)),
        ("boost", over(d.boost_q16, s.boost_low_milli)),
    ];
    let reasons = reasons
        .into_iter()
        .filter(|(_, is)| *is && d.left_q16 < ONE);
    ExplainedDampening {
        left_q16: d.left_q16,
        excess_q16: d.excess_q16,
        known_q16: d.known_q16,
        reasons: reasons.map(|(name, _)| name).collect(),
        reciprocal_q16: d.reciprocal_q16,
        slander_q16: d.slander_q16,
        boost_q16: d.boost_q16,
        wash_q16: d.wash_q16,
    }
}

fn contribution(
    c: &Contribution,
    sums: &Sums,
    evidence: &Evidence,
    policy: &Policy,
    scores: &Scores,
    scale: &BuyerScale,
    totals: &Sums,
) -> ExplainedContribution {
    let mut levels = BTreeMap::new();
    let mut amount = 0_u128;
    let reports = c
        .reports
        .iter()
        .map(|r| {
            let opinion = evidence.at(r.opinion);
            let trade = opinion.trade;
            *levels.entry(opinion.level.as_str()).or_insert(0) += 1;
            amount = amount.saturating_add(trade.reference_nano / 1_000_000);
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
                fresh_q32: r.fresh_q32,
                value_milli: r.value_milli,
                quality_q16: r.quality_q16,
                segment: r.segment,
                plain_weight_q32: r.plain_q32,
                own_weight_q32: r.weight_q32,
                weight_q32: counted(c, r.weight_q32, scale),
            }
        })
        .collect();
    let mean_q16 = mul_div(sums.quality_q48, 1, sums.weight_q32);
    ExplainedContribution {
        rater: evidence.agents[c.rater],
        role: if c.as_buyer {
            Role::Seller
        } else {
            Role::Buyer
        }
        .as_str(),
        weight_q32: saturate(sums.weight_q32),
        share_bp: posterior::share_bp(sums.weight_q32, totals.weight_q32),
        mean_quality_bp: q16_bp(mean_q16),
        weighted_quality: sums.quality_q48.to_string(),
        flow_q48: scores.flow_q48(c.rater),
        credibility_q32: c.credibility_q32,
        credibility_bp: posterior::share_bp(u128::from(c.credibility_q32), 1 << 32),
        mass_q32: c.mass_q32.to_string(),
        size_q16: c.size_q16,
        plain_voice_q32: c.plain_voice_q32,
        voice_q32: c.voice_q32,
        leniency_q16: c.leniency_q16,
        dampened: dampening(&c.dampened, &policy.scoring),
        levels,
        amount_milli: saturate(amount).min(MAX_INTEGER),
        reports_total: counted_as(c.reports.len()),
        reports,
    }
}

fn counted_as(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
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
