//! Everything that is summed over the reports about one agent, and the claims that it comes to.

use std::collections::BTreeMap;

use goodstanding_verify::{
    MAX_INTEGER,
    claims::{BandScore, Claims, KindScore, MarketReports, State},
    report::TradeKind,
};

use crate::{
    evidence::{Evidence, Level, Row, wide},
    policy::Policy,
    posterior::{self, Sums},
};

/// Markets listed in a statement.
const MAX_MARKETS: usize = 8;

/// The sums of one agent. Used again for the next, so that millions of agents are not millions of allocations.
#[derive(Default)]
pub(crate) struct Tally {
    life: Sums,
    recent: Sums,
    disputed_q32: u128,
    reports: u64,
    attested: u64,
    kinds: [Segment; 4],
    bands: Vec<Segment>,
    /// By market: weight and reports.
    markets: BTreeMap<u32, (u128, u64)>,
    /// Weight of each rater so far, Q32.
    raters: Vec<u64>,
    /// Weight of the rater at hand.
    rater_q32: u128,
}

/// The sums of one kind or amount band.
#[derive(Clone, Copy, Default)]
struct Segment {
    sums: Sums,
    reports: u64,
    /// Raters of non-zero weight.
    raters: u64,
    /// The last of them, counted from one.
    last: usize,
}

impl Segment {
    fn add(&mut self, weight_q32: u64, quality_bp: u16, rater: usize) {
        self.sums.add(weight_q32, quality_bp);
        self.reports += 1;
        if weight_q32 > 0 && self.last != rater {
            self.last = rater;
            self.raters += 1;
        }
    }
}

impl Tally {
    /// For another agent.
    pub(crate) fn start(&mut self, bands: usize) {
        let (mut kept_bands, mut markets, mut raters) = (
            std::mem::take(&mut self.bands),
            std::mem::take(&mut self.markets),
            std::mem::take(&mut self.raters),
        );
        kept_bands.clear();
        kept_bands.resize(bands, Segment::default());
        markets.clear();
        raters.clear();
        *self = Self {
            bands: kept_bands,
            markets,
            raters,
            ..Self::default()
        };
    }

    /// The reports that follow are another rater's.
    pub(crate) fn start_rater(&mut self) {
        self.rater_q32 = 0;
    }

    /// One report.
    pub(crate) fn add(
        &mut self,
        evidence: &Evidence,
        row: &Row,
        weight_q32: u64,
        recent_from: u64,
    ) {
        let (quality_bp, wide_q32) = (row.quality_bp, u128::from(weight_q32));
        let rater = self.raters.len() + 1;
        self.reports += 1;
        self.rater_q32 += wide_q32;
        self.life.add(weight_q32, quality_bp);
        if row.closed_at >= recent_from {
            self.recent.add(weight_q32, quality_bp);
        }
        if row.in_dispute() {
            self.disputed_q32 += wide_q32;
        }
        self.kinds[place_of(row.kind())].add(weight_q32, quality_bp, rater);
        let band = evidence.band_of(evidence.reference_nano(*row));
        if let Some(band) = self.bands.get_mut(band) {
            band.add(weight_q32, quality_bp, rater);
        }
        let market = self.markets.entry(row.market).or_default();
        market.0 += wide_q32;
        market.1 += 1;
        // Of one trade there is one account about an agent, so reports are trades.
        self.attested += u64::from(row.level() > Level::Unilateral);
    }

    /// There are no more reports of this rater.
    pub(crate) fn end_rater(&mut self) {
        self.raters.push(crate::fixed::saturate(self.rater_q32));
    }

    /// What all that comes to.
    pub(crate) fn claims(&self, agent: usize, evidence: &Evidence, policy: &Policy) -> Claims {
        let s = &policy.scoring;
        let tally = self;
        let life = posterior::lifetime(&tally.life, s);
        let bound = |sums: &Sums| posterior::segment(sums, &tally.life, &life, s);

        let recent_counts =
            posterior::q32_milli(tally.recent.weight_q32) >= s.recent_evidence_milli;
        let recent_lower_bp = if recent_counts {
            bound(&tally.recent).lower_bp
        } else {
            life.lower_bp
        };
        let mut lower_bp = life.lower_bp.min(recent_lower_bp);
        let mut by_amount_band = Vec::new();
        let bands = policy.amount_bands_milli.iter().zip(&tally.bands);
        for (from_milli, band) in bands.filter(|(_, band)| band.reports > 0) {
            let band_bound = bound(&band.sums);
            if posterior::q32_milli(band.sums.weight_q32) >= s.band_evidence_milli
                && band.raters >= s.band_counterparties
            {
                lower_bp = lower_bp.min(band_bound.lower_bp);
            }
            by_amount_band.push(BandScore {
                from_milli: *from_milli,
                lower_bp: band_bound.lower_bp,
                score_bp: band_bound.mean_bp(),
                reports: band.reports,
            });
        }
        let by_kind = KINDS
            .iter()
            .map(|kind| (kind, &tally.kinds[place_of(*kind)]))
            .filter(|(_, segment)| segment.reports > 0)
            .map(|(kind, segment)| {
                let kind_bound = bound(&segment.sums);
                let entry = KindScore {
                    lower_bp: kind_bound.lower_bp,
                    score_bp: kind_bound.mean_bp(),
                    reports: segment.reports,
                };
                (kind.as_str().to_owned(), entry)
            })
            .collect();
        let evidence_milli = posterior::q32_milli(tally.life.weight_q32);
        let effective_counterparties_milli =
            posterior::effective_milli(tally.raters.iter().copied());
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
            counterparties: u64::try_from(tally.raters.len()).unwrap_or(u64::MAX),
            effective_counterparties_milli: effective_counterparties_milli.min(MAX_INTEGER),
            evidence_milli: evidence_milli.min(MAX_INTEGER),
            attested_bp: posterior::share_bp(u128::from(tally.attested), u128::from(tally.reports)),
            by_kind,
            by_amount_band,
            markets: self.markets(evidence),
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
    fn markets(&self, evidence: &Evidence) -> Vec<MarketReports> {
        let mut ranked: Vec<(u32, u128, u64)> = self
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

/// All kinds.
const KINDS: [TradeKind; 4] = [
    TradeKind::DataSwap,
    TradeKind::Purchase,
    TradeKind::ComputeAuction,
    TradeKind::Service,
];

/// The place of a kind among its segments.
fn place_of(kind: TradeKind) -> usize {
    match kind {
        TradeKind::DataSwap => 0,
        TradeKind::Purchase => 1,
        TradeKind::ComputeAuction => 2,
        TradeKind::Service => 3,
    }
}
