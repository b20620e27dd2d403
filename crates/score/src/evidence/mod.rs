//! Evidence: the current reports of a log prefix, grouped into trades, each with the level that the prefix supports.
//!
//! Rules of the contract, section 2. A level is computed here and never claimed: what is not in the given prefix does
//! not count, so a match that comes later changes later epochs only.
//!
//! ```text
//! Report ─▶ Ledger (120 bytes a report, no policy) ─▶ Evidence (80 bytes a current report, one policy)
//! ```
//!
//! A [`Ledger`] takes reports as they are parsed and keeps none of them. Numbers of agents, markets and reports are `u32`, so
//! that the passes over millions of pairs stay in the caches.

mod build;
mod ledger;
mod row;

use std::collections::BTreeMap;

use goodstanding_verify::{
    did::Did,
    report::{Report, ReportId, Role, Status, TradeKind},
};
use serde::Serialize;

pub use self::ledger::Ledger;
pub(crate) use self::row::Row;
use crate::policy::Policy;

/// A report as the log holds it. Erased reports are not handed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admitted {
    /// Index of its log entry.
    pub index: u64,
    /// Log time, Unix milliseconds.
    pub at_ms: u64,
    /// Whether an operator imported it.
    pub historical: bool,
    /// The report.
    pub report: Report,
}

/// Evidence level of a report. Matched and countersigned weigh the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// One party's word.
    Unilateral,
    /// Both parties reported the trade, in complementary roles.
    Matched,
    /// The counterparty signed terms or a receipt.
    Countersigned,
    /// A third party whose key is in the policy signed an attestation or a receipt.
    Receipt,
}

impl Level {
    /// All levels, ascending.
    pub const ALL: &'static [Self] = &[
        Self::Unilateral,
        Self::Matched,
        Self::Countersigned,
        Self::Receipt,
    ];

    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unilateral => "unilateral",
            Self::Matched => "matched",
            Self::Countersigned => "countersigned",
            Self::Receipt => "receipt",
        }
    }
}

/// One party's current account of one trade: what its reporter thinks of its subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opinion {
    /// The report.
    pub report: ReportId,
    /// Index of its log entry.
    pub index: u64,
    /// Reporter, as index into [`Evidence::agents`].
    pub rater: usize,
    /// Counterparty, as index into [`Evidence::agents`].
    pub subject: usize,
    /// The reporter's role.
    pub role: Role,
    /// Kind of trade.
    pub kind: TradeKind,
    /// How the trade ended.
    pub status: Status,
    /// The rating, or the one that the policy gives to the status.
    pub quality_bp: u16,
    /// Evidence level.
    pub level: Level,
    /// Market, as index into [`Evidence::markets`].
    pub market: usize,
    /// Whether the trade is in dispute: by its status, or because the parties' accounts contradict each other.
    pub in_dispute: bool,
    /// What is known of the trade. Of one trade there is at most one account about either party.
    pub trade: Trade,
}

/// What is known of one trade.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trade {
    /// When it ended, Unix seconds; the earlier account when both parties reported.
    pub closed_at: u64,
    /// Price in 1e-9 of the reference currency; the lower one when both parties reported. 0 for a currency that the policy
    /// does not list, or when the parties name different currencies.
    pub reference_nano: u128,
    /// Index of its amount band.
    pub band: usize,
    /// Both parties reported it, in complementary roles.
    pub matched: bool,
    /// Both parties reported it in one currency, with different amounts.
    pub amount_disputed: bool,
}

/// The evidence of one log prefix under one policy. Reports are in the order in which scoring reads them, so that every pass over
/// them reads memory from front to back. A current report takes 80 bytes, an agent 40.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Evidence {
    /// Every agent that reported or was reported on, ascending.
    pub agents: Vec<Did>,
    /// Log time of the first report by or about each agent, Unix seconds; parallel to `agents`.
    pub first_seen: Vec<u64>,
    /// Markets, ascending.
    pub markets: Vec<String>,
    /// Number of trades.
    pub trades: usize,
    /// Current reports: those that count by subject, rater, role (buyers' first), log index and id; then cancelled trades that the policy leaves out.
    pub(crate) rows: Vec<Row>,
    /// Parallel to `rows`.
    ids: Vec<ReportId>,
    /// Indices of the log entries, parallel to `rows`.
    indices: Vec<u64>,
    /// How many of the rows count.
    pub(crate) counting: usize,
    /// Milli-units of the reference currency per unit: what a row's currency stands for.
    rates: Vec<u64>,
    /// The policy's.
    bands_milli: Vec<u64>,
}

impl Evidence {
    /// Evidence of the reports of one log prefix, given in any order.
    ///
    /// The current report of a reporter on a trade is its last in log order. If an erasure removed that one, the caller
    /// does not hand it in and the one before is current again. Who has many reports fills a [`Ledger`] instead of a list.
    pub fn build(admitted: &[Admitted], policy: &Policy) -> Self {
        admitted.iter().collect::<Ledger>().into_evidence(policy)
    }

    /// Number of current reports.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Place of an agent in [`Evidence::agents`].
    pub fn agent(&self, did: &Did) -> Option<usize> {
        self.agents.binary_search(did).ok()
    }

    /// All current reports: ascending by subject, rater, role, log index; at the end cancelled trades that do not count.
    pub fn opinions(&self) -> impl Iterator<Item = Opinion> {
        (0..self.len()).map(|place| self.at(place))
    }

    /// The current account that a report is, `None` if it is unknown, erased or superseded. Looks at every id.
    pub fn opinion(&self, report: &ReportId) -> Option<Opinion> {
        let place = self.ids.iter().position(|id| id == report)?;
        Some(self.at(place))
    }

    /// Evidence level of a current report.
    pub fn level_of(&self, report: &ReportId) -> Option<Level> {
        self.opinion(report).map(|opinion| opinion.level)
    }

    /// The trade of a current report.
    pub fn trade_of(&self, report: &ReportId) -> Option<Trade> {
        self.opinion(report).map(|opinion| opinion.trade)
    }

    /// How many current reports there are at each level.
    pub fn levels(&self) -> BTreeMap<Level, u64> {
        let mut out = BTreeMap::new();
        for row in &self.rows {
            *out.entry(row.level()).or_insert(0) += 1;
        }
        out
    }

    /// Indices of the log entries, in the order of the reports.
    pub(crate) fn indices(&self) -> &[u64] {
        &self.indices
    }

    /// The current report at a place of [`Evidence::rows`].
    pub(crate) fn at(&self, place: usize) -> Opinion {
        let row = self.rows[place];
        let reference_nano = self.reference_nano(row);
        Opinion {
            report: self.ids[place],
            index: self.indices[place],
            rater: wide(row.rater),
            subject: wide(row.subject),
            role: row.role(),
            kind: row.kind(),
            status: row.status(),
            quality_bp: row.quality_bp,
            level: row.level(),
            market: wide(row.market),
            in_dispute: row.in_dispute(),
            trade: Trade {
                closed_at: row.closed_at,
                reference_nano,
                band: self.band_of(reference_nano),
                matched: row.matched(),
                amount_disputed: row.amount_disputed(),
            },
        }
    }

    /// A trade's amount in 1e-9 of the reference currency, rounded down.
    pub(crate) fn reference_nano(&self, row: Row) -> u128 {
        let rate = self.rates[row.rate()];
        // Nearly always below 2^64, where division is quick.
        match row.amount_nano.checked_mul(rate) {
            Some(product) => u128::from(product / 1000),
            None => u128::from(row.amount_nano) * u128::from(rate) / 1000,
        }
    }

    /// Index of the amount band of an amount in 1e-9 of the reference currency.
    pub(crate) fn band_of(&self, reference_nano: u128) -> usize {
        let milli = reference_nano / 1_000_000;
        self.bands_milli
            .partition_point(|from| u128::from(*from) <= milli)
            .saturating_sub(1)
    }
}

/// A place as it is stored. Of nothing that is numbered so can there be 2^32.
pub(crate) fn narrow(place: usize) -> u32 {
    u32::try_from(place).unwrap_or(u32::MAX)
}

/// A stored place as an index.
pub(crate) fn wide(place: u32) -> usize {
    usize::try_from(place).unwrap_or(usize::MAX)
}
