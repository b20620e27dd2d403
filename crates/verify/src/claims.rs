//! The claims of a statement: what one epoch says of one agent.
//!
//! Every claim becomes one selective disclosure of the token. Ratios are basis points, 0..=10000.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    MAX_INTEGER,
    code::{Code, Error, excerpt},
    report::TradeKind,
};

/// All claims about one agent in one epoch. Members that do not apply are zero or empty, never absent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "the names and types are the wire format"
)]
pub struct Claims {
    /// Posterior mean.
    pub score_bp: u16,
    /// Uncertainty of the posterior mean: 10000 = the prior alone.
    pub uncertainty_bp: u16,
    /// The headline: minimum of the lifetime, the recent and the worst well-evidenced band's lower bound.
    pub lower_bp: u16,
    /// Lower confidence bound over the whole life.
    pub lifetime_lower_bp: u16,
    /// Lower confidence bound over the recent window.
    pub recent_lower_bp: u16,
    /// What the evidence allows to say.
    pub state: State,
    /// Reports about the agent that count.
    pub reports: u64,
    /// Distinct counterparties that reported on it.
    pub counterparties: u64,
    /// Inverse Simpson index of the counterparties' evidence, thousandths.
    pub effective_counterparties_milli: u64,
    /// Evidence mass, thousandths of one full-weight trade.
    pub evidence_milli: u64,
    /// Share of trades about the agent above unilateral.
    pub attested_bp: u16,
    /// Per trade kind, by its wire name.
    pub by_kind: BTreeMap<String, KindScore>,
    /// Per amount band, ascending.
    pub by_amount_band: Vec<BandScore>,
    /// The at most eight markets with the most evidence.
    pub markets: Vec<MarketReports>,
    /// 10000 = nothing dampened.
    pub dampening_bp: u16,
    /// Kinds of the agent's open or upheld flags, ascending.
    pub flags: Vec<String>,
    /// Log time of the first report about or by the agent, Unix seconds.
    pub first_seen: u64,
    /// Key rotations so far.
    pub rotations: u64,
    /// Unix seconds of the last rotation, 0 if never.
    pub last_rotated: u64,
    /// Reports about the agent that were erased.
    pub erased_reports: u64,
    /// `lower_bp` ≥ 2500.
    pub lower_gte_2500: bool,
    /// `lower_bp` ≥ 5000.
    pub lower_gte_5000: bool,
    /// `lower_bp` ≥ 7500.
    pub lower_gte_7500: bool,
    /// `lower_bp` ≥ 9000.
    pub lower_gte_9000: bool,
}

/// `state`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Too little evidence to say more than the prior.
    Unproven,
    /// Enough evidence from enough counterparties.
    Established,
    /// The evidence contradicts itself: disputes, or parties that disagree.
    Contested,
}

/// One entry of `by_kind`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KindScore {
    /// Lower bound over this kind.
    pub lower_bp: u16,
    /// Posterior mean over this kind.
    pub score_bp: u16,
    /// Reports of this kind.
    pub reports: u64,
}

/// One entry of `by_amount_band`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BandScore {
    /// Lower edge of the band, milli-units of the reference currency.
    pub from_milli: u64,
    /// Lower bound over this band.
    pub lower_bp: u16,
    /// Posterior mean over this band.
    pub score_bp: u16,
    /// Reports in this band.
    pub reports: u64,
}

/// One entry of `markets`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MarketReports {
    /// The market.
    pub market: String,
    /// Reports about the agent in it.
    pub reports: u64,
}

/// Names of all claims, ascending.
pub const NAMES: [&str; 24] = [
    "attested_bp",
    "by_amount_band",
    "by_kind",
    "counterparties",
    "dampening_bp",
    "effective_counterparties_milli",
    "erased_reports",
    "evidence_milli",
    "first_seen",
    "flags",
    "last_rotated",
    "lifetime_lower_bp",
    "lower_bp",
    "lower_gte_2500",
    "lower_gte_5000",
    "lower_gte_7500",
    "lower_gte_9000",
    "markets",
    "recent_lower_bp",
    "reports",
    "rotations",
    "score_bp",
    "state",
    "uncertainty_bp",
];

/// Whether this is the name of a claim.
pub fn is_name(name: &str) -> bool {
    NAMES.binary_search(&name).is_ok()
}

/// Checks one disclosed claim: a known name, and a value of its type and range.
///
/// # Errors
/// `claims.malformed`.
pub fn check(name: &str, value: &Value) -> Result<(), Error> {
    let malformed = |why: &str| {
        Err(Error::new(
            Code::ClaimsMalformed,
            format!("{}: {why}", excerpt(name)),
        ))
    };
    if !is_name(name) {
        return malformed("no such claim");
    }
    let bp = |bp: u16| bp <= 10_000;
    let int = |n: u64| n <= MAX_INTEGER;
    let fits = match name {
        "state" => read::<State>(value).is_some(),
        "flags" => read::<Vec<String>>(value).is_some(),
        "by_kind" => read::<BTreeMap<String, KindScore>>(value).is_some_and(|kinds| {
            kinds.iter().all(|(kind, s)| {
                TradeKind::parse(kind).is_some()
                    && bp(s.lower_bp)
                    && bp(s.score_bp)
                    && int(s.reports)
            })
        }),
        "by_amount_band" => read::<Vec<BandScore>>(value).is_some_and(|bands| {
            bands.is_sorted_by(|a, b| a.from_milli < b.from_milli)
                && bands.iter().all(|s| {
                    int(s.from_milli) && bp(s.lower_bp) && bp(s.score_bp) && int(s.reports)
                })
        }),
        "markets" => read::<Vec<MarketReports>>(value).is_some_and(|markets| {
            markets.len() <= 8 && markets.iter().all(|market| int(market.reports))
        }),
        _ if name.starts_with("lower_gte_") => value.is_boolean(),
        _ if name.ends_with("_bp") => read(value).is_some_and(bp),
        _ => value.as_u64().is_some_and(int),
    };
    if fits {
        Ok(())
    } else {
        malformed("value of another type or out of range")
    }
}

fn read<T: serde::de::DeserializeOwned>(value: &Value) -> Option<T> {
    T::deserialize(value).ok()
}
