//! Everything that is summed over the reports about one agent, and the claims that it comes to.

use std::collections::BTreeMap;

use goodstanding_verify::{
    MAX_INTEGER,
    claims::{BandScore, Claims, KindScore, MarketReports, State},
    report::TradeKind,
};

use crate::{
    evidence::{Evidence, Level, Row, wide},
    policy::{Policy, Scoring},
    posterior::{self, Bound, BuyerScale, Sums},
};

/// Markets listed in a statement.
const MAX_MARKETS: usize = 8;

/// What a value split and the dampening of suspicious pairs come to for one agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// What the value split takes from the mean, Q16; 0 without one.
    pub(crate) deduction_q16: u64,
    /// The claim of that name; 10000 = nothing dampened.
    pub(crate) dampening_bp: u16,
}

/// Which of the bounds is the headline; of equal ones the first in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Headline {
    /// Everything known of the agent.
    Lifetime,
    /// The recent window.
    Recent,
    /// What is left for trades above a value split.
    ValueSplit,
    /// The amount band from here on, milli-units of the reference currency.
    AmountBand(u64),
    /// The record as a buyer.
    AsBuyer,
}

impl Headline {
    /// The name in an explanation.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Lifetime => "lifetime",
            Self::Recent => "recent",
            Self::ValueSplit => "value_split",
            Self::AmountBand(_) => "amount_band",
            Self::AsBuyer => "as_buyer",
        }
    }

    /// Where the band begins, milli-units of the reference currency, if it is one.
    pub const fn band_from_milli(self) -> Option<u64> {
        match self {
            Self::AmountBand(from) => Some(from),
            _ => None,
        }
    }
}

/// The sums of one agent. Used again for the next, so that millions of agents are not millions of allocations.
///
/// What a report as a buyer weighs depends on all the others, so those are kept until the end.
#[derive(Default)]
pub(crate) struct Tally {
    record: Record,
    raters: Vec<Rater>,
    /// The rater at hand.
    rater: Rater,
    reports: u64,
    attested: u64,
    /// Reports about the agent as a buyer, at the weight that they have by themselves.
    bought: Vec<Bought>,
    /// The sums of those.
    as_buyer: Sums,
    /// Raters of the agent as a buyer of non-zero weight.
    buyer_raters: u64,
}

/// What is summed over the reports that count, at the weight that they have in the score.
#[derive(Default)]
struct Record {
    life: Sums,
    recent: Sums,
    disputed_q32: u128,
    kinds: [Segment; 4],
    bands: Vec<Segment>,
    /// By market: weight and reports.
    markets: BTreeMap<u32, (u128, u64)>,
}

/// The sums of one kind or amount band.
#[derive(Clone, Copy, Default)]
struct Segment {
    sums: Sums,
    reports: u64,
    /// Raters of non-zero weight; of bands only.
    raters: u64,
}

/// One rater of the agent, in both roles.
#[derive(Clone, Copy, Default)]
struct Rater {
    weight_q32: u64,
    /// The amount bands in which it has any weight, one bit each: a policy has at most 32.
    bands: u32,
    /// Whether it has any weight as a seller to the agent.
    sold: bool,
}

/// What the sums read of a report.
#[derive(Clone, Copy)]
struct Part {
    weight_q32: u64,
    quality_q16: u32,
    market: u32,
    band: u8,
    kind: u8,
    recent: bool,
    in_dispute: bool,
}

/// A report about the agent as a buyer, and its rater's place.
struct Bought {
    rater: usize,
    part: Part,
}

impl Part {
    fn of(
        evidence: &Evidence,
        row: &Row,
        weight_q32: u64,
        quality_q16: u32,
        recent_from: u64,
    ) -> Self {
        let band = evidence.band_of(evidence.reference_nano(*row));
        Self {
            weight_q32,
            quality_q16,
            market: row.market,
            band: u8::try_from(band).unwrap_or(u8::MAX),
            kind: place_of(row.kind()),
            recent: row.closed_at >= recent_from,
            in_dispute: row.in_dispute(),
        }
    }
}

impl Record {
    fn add(&mut self, part: &Part, rater: &mut Rater) {
        let (weight_q32, quality_q16) = (part.weight_q32, part.quality_q16);
        let wide_q32 = u128::from(weight_q32);
        rater.weight_q32 = rater.weight_q32.saturating_add(weight_q32);
        self.life.add(weight_q32, quality_q16);
        if part.recent {
            self.recent.add(weight_q32, quality_q16);
        }
        if part.in_dispute {
            self.disputed_q32 += wide_q32;
        }
        if let Some(kind) = self.kinds.get_mut(usize::from(part.kind)) {
            kind.sums.add(weight_q32, quality_q16);
            kind.reports += 1;
        }
        if let Some(band) = self.bands.get_mut(usize::from(part.band)) {
            band.sums.add(weight_q32, quality_q16);
            band.reports += 1;
            let bit = 1_u32.checked_shl(u32::from(part.band)).unwrap_or(0);
            if weight_q32 > 0 && rater.bands & bit == 0 {
                rater.bands |= bit;
                band.raters += 1;
            }
        }
        let market = self.markets.entry(part.market).or_default();
        market.0 += wide_q32;
        market.1 += 1;
    }
}

impl Tally {
    /// For another agent.
    pub(crate) fn start(&mut self, bands: usize) {
        let mut kept = std::mem::take(self);
        kept.record.bands.clear();
        kept.record.bands.resize(bands, Segment::default());
        kept.record.markets.clear();
        kept.raters.clear();
        kept.bought.clear();
        *self = Self {
            record: Record {
                bands: kept.record.bands,
                markets: kept.record.markets,
                ..Record::default()
            },
            raters: kept.raters,
            bought: kept.bought,
            ..Self::default()
        };
    }

    /// The reports that follow are another rater's, in both roles.
    pub(crate) fn start_rater(&mut self) {
        self.rater = Rater::default();
    }

    /// One report about the agent as a seller: what it weighs in the score, Q32, and its quality, Q16.
    pub(crate) fn add(
        &mut self,
        evidence: &Evidence,
        row: &Row,
        weight_q32: u64,
        quality_q16: u32,
        recent_from: u64,
    ) {
        self.count(row);
        let part = Part::of(evidence, row, weight_q32, quality_q16, recent_from);
        self.record.add(&part, &mut self.rater);
    }

    /// One report about the agent as a buyer: what it weighs by itself, Q32, and its quality, Q16.
    pub(crate) fn add_as_buyer(
        &mut self,
        evidence: &Evidence,
        row: &Row,
        weight_q32: u64,
        quality_q16: u32,
        recent_from: u64,
    ) {
        self.count(row);
        self.as_buyer.add(weight_q32, quality_q16);
        if weight_q32 > 0 && !self.rater.sold {
            self.rater.sold = true;
            self.buyer_raters += 1;
        }
        self.bought.push(Bought {
            rater: self.raters.len(),
            part: Part::of(evidence, row, weight_q32, quality_q16, recent_from),
        });
    }

    /// Of one trade there is one account about an agent, so reports are trades.
    fn count(&mut self, row: &Row) {
        self.reports += 1;
        self.attested += u64::from(row.level() > Level::Unilateral);
    }

    /// There are no more reports of this rater.
    pub(crate) fn end_rater(&mut self) {
        self.raters.push(self.rater);
    }

    /// Adds the record as a buyer, when both records are complete.
    fn settle(&mut self, s: &Scoring) {
        let scale = BuyerScale::new(self.record.life.weight_q32, self.as_buyer.weight_q32, s);
        for Bought { rater, part } in self.bought.drain(..) {
            let part = Part {
                weight_q32: scale.of(part.weight_q32),
                ..part
            };
            if let Some(rater) = self.raters.get_mut(rater) {
                self.record.add(&part, rater);
            }
        }
    }

    /// The least bound, and which it is; beside it the bounds of which a statement tells.
    fn bounds(&self, life: &Bound, policy: &Policy, verdict: &Verdict) -> Bounds {
        let s = &policy.scoring;
        let record = &self.record;
        let of = |sums: &Sums| posterior::segment(sums, &record.life, life, s);
        let enough = |sums: &Sums, raters: u64| {
            sums.weight_q32 >= posterior::milli_q32(s.band_evidence_milli)
                && raters >= s.band_counterparties
        };

        let recent_counts =
            record.recent.weight_q32 >= posterior::milli_q32(s.recent_evidence_milli);
        let recent_bp = if recent_counts {
            of(&record.recent).lower_bp
        } else {
            life.lower_bp
        };
        let mut least = (life.lower_bp, Headline::Lifetime);
        let mut lower = |bp: u16, from: Headline| {
            if bp < least.0 {
                least = (bp, from);
            }
        };
        lower(recent_bp, Headline::Recent);
        let above_split = posterior::deducted(&record.life, life, verdict.deduction_q16, s);
        lower(above_split, Headline::ValueSplit);
        let mut by_amount_band = Vec::new();
        let bands = policy.amount_bands_milli.iter().zip(&record.bands);
        for (from_milli, band) in bands.filter(|(_, band)| band.reports > 0) {
            let bound = of(&band.sums);
            if enough(&band.sums, band.raters) {
                lower(bound.lower_bp, Headline::AmountBand(*from_milli));
            }
            by_amount_band.push(BandScore {
                from_milli: *from_milli,
                lower_bp: bound.lower_bp,
                score_bp: bound.mean_bp(),
                reports: band.reports,
            });
        }
        if enough(&self.as_buyer, self.buyer_raters) {
            lower(of(&self.as_buyer).lower_bp, Headline::AsBuyer);
        }
        Bounds {
            least_bp: least.0,
            headline: least.1,
            recent_bp,
            by_amount_band,
        }
    }

    /// What all that comes to, and which bound is the headline. No report can be added after that.
    pub(crate) fn claims(
        &mut self,
        agent: usize,
        evidence: &Evidence,
        policy: &Policy,
        verdict: &Verdict,
    ) -> (Claims, Headline) {
        let s = &policy.scoring;
        self.settle(s);
        let record = &self.record;
        let life = posterior::lifetime(&record.life, s);
        let bounds = self.bounds(&life, policy, verdict);
        let lower_bp = bounds.least_bp;
        let by_kind = KINDS
            .iter()
            .map(|kind| (kind, &record.kinds[usize::from(place_of(*kind))]))
            .filter(|(_, segment)| segment.reports > 0)
            .map(|(kind, segment)| {
                let kind_bound = posterior::segment(&segment.sums, &record.life, &life, s);
                let entry = KindScore {
                    lower_bp: kind_bound.lower_bp,
                    score_bp: kind_bound.mean_bp(),
                    reports: segment.reports,
                };
                (kind.as_str().to_owned(), entry)
            })
            .collect();
        let evidence_milli = posterior::q32_milli(record.life.weight_q32);
        let effective_counterparties_milli =
            posterior::effective_milli(self.raters.iter().map(|rater| rater.weight_q32));
        let enough = evidence_milli >= s.established_evidence_milli
            && effective_counterparties_milli >= s.established_counterparties_milli;
        let disputed_bp = u64::from(posterior::share_bp(
            record.disputed_q32,
            record.life.weight_q32,
        ));
        let state = if !enough {
            State::Unproven
        } else if disputed_bp >= s.contested_share_bp {
            State::Contested
        } else {
            State::Established
        };
        let claims = Claims {
            score_bp: life.mean_bp(),
            uncertainty_bp: posterior::uncertainty_bp(&record.life, s),
            lower_bp,
            lifetime_lower_bp: life.lower_bp,
            recent_lower_bp: bounds.recent_bp,
            state,
            reports: self.reports,
            counterparties: u64::try_from(self.raters.len()).unwrap_or(u64::MAX),
            effective_counterparties_milli: effective_counterparties_milli.min(MAX_INTEGER),
            evidence_milli: evidence_milli.min(MAX_INTEGER),
            attested_bp: posterior::share_bp(u128::from(self.attested), u128::from(self.reports)),
            by_kind,
            by_amount_band: bounds.by_amount_band,
            markets: self.markets(evidence),
            dampening_bp: verdict.dampening_bp.min(10_000),
            flags: Vec::new(),
            first_seen: evidence.first_seen[agent].min(MAX_INTEGER),
            rotations: 0,
            last_rotated: 0,
            erased_reports: 0,
            lower_gte_2500: lower_bp >= 2500,
            lower_gte_5000: lower_bp >= 5000,
            lower_gte_7500: lower_bp >= 7500,
            lower_gte_9000: lower_bp >= 9000,
        };
        (claims, bounds.headline)
    }

    /// The markets with the most evidence: by weight, then reports, then name.
    fn markets(&self, evidence: &Evidence) -> Vec<MarketReports> {
        let mut ranked: Vec<(u32, u128, u64)> = self
            .record
            .markets
            .iter()
            .map(|(market, (w, n))| (*market, *w, *n))
            .collect();
        ranked.sort_unstable_by(|a, b| (b.1, b.2).cmp(&(a.1, a.2)).then(a.0.cmp(&b.0)));
        ranked
            .into_iter()
            .take(MAX_MARKETS)
            .map(|(market, _, reports)| MarketReports {
                market: evidence.markets[wide(market)].clone(),
                reports,
            })
            .collect()
    }
}

/// The bounds that a statement tells, and the least of all.
struct Bounds {
    least_bp: u16,
    headline: Headline,
    recent_bp: u16,
    by_amount_band: Vec<BandScore>,
}

/// All kinds.
const KINDS: [TradeKind; 4] = [
    TradeKind::DataSwap,
    TradeKind::Purchase,
    TradeKind::ComputeAuction,
    TradeKind::Service,
];

/// The place of a kind among its segments.
fn place_of(kind: TradeKind) -> u8 {
    match kind {
        TradeKind::DataSwap => 0,
        TradeKind::Purchase => 1,
        TradeKind::ComputeAuction => 2,
        TradeKind::Service => 3,
    }
}

#[cfg(test)]
mod tests;
