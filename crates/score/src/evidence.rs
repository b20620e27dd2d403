//! Evidence: the current reports of a log prefix, grouped into trades, each with the level that the prefix supports.
//!
//! Rules of the contract, section 2. A level is computed here and never claimed: what is not in the given prefix does
//! not count, so a match that comes later changes later epochs only.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use goodstanding_verify::{
    did::Did,
    digest::Digest,
    report::{Evidence as Document, Report, ReportId, Role, Status, TradeKind},
};
use serde::Serialize;

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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opinion {
    /// The report.
    pub report: ReportId,
    /// Index of its log entry.
    pub index: u64,
    /// Index into [`Evidence::trades`].
    pub trade: usize,
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
}

/// What is known of one trade.
#[derive(Clone, Debug, PartialEq, Eq)]
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

/// The evidence of one log prefix under one policy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Evidence {
    /// Every agent that reported or was reported on, ascending.
    pub agents: Vec<Did>,
    /// Log time of the first report by or about each agent, Unix seconds; parallel to `agents`.
    pub first_seen: Vec<u64>,
    /// Markets, ascending.
    pub markets: Vec<String>,
    /// Trades, ascending by market, id and parties.
    pub trades: Vec<Trade>,
    /// Current reports, ascending by log index, then id.
    pub opinions: Vec<Opinion>,
    /// Report ids, ascending, with their place in `opinions`.
    by_id: Vec<(ReportId, usize)>,
}

impl Evidence {
    /// Evidence of the reports of one log prefix, given in any order.
    ///
    /// The current report of a reporter on a trade is its last in log order. If an erasure removed that one, the caller
    /// does not hand it in and the one before is current again.
    pub fn build(admitted: &[Admitted], policy: &Policy) -> Self {
        let mut log: Vec<&Admitted> = admitted.iter().collect();
        log.sort_unstable_by_key(|a| (a.index, a.report.id));
        log.dedup_by_key(|a| (a.index, a.report.id));

        let agents: Vec<Did> = log
            .iter()
            .flat_map(|a| [a.report.iss, a.report.sub])
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect();
        let markets: Vec<&str> = log
            .iter()
            .map(|a| a.report.trade.market.as_str())
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect();
        let mut first_seen = vec![u64::MAX; agents.len()];
        let mut keyed: Vec<(Key<'_>, usize)> = Vec::with_capacity(log.len());
        for (place, a) in log.iter().enumerate() {
            let (iss, sub) = (
                position(&agents, &a.report.iss),
                position(&agents, &a.report.sub),
            );
            for agent in [iss, sub] {
                first_seen[agent] = first_seen[agent].min(a.at_ms / 1000);
            }
            let market = position(&markets, &a.report.trade.market.as_str());
            keyed.push((
                (
                    market,
                    a.report.trade.id.as_str(),
                    iss.min(sub),
                    iss.max(sub),
                ),
                place,
            ));
        }
        keyed.sort_unstable();

        let mut trade_of = vec![0; log.len()];
        let mut groups = Vec::new();
        for group in keyed.chunk_by(|a, b| a.0 == b.0) {
            let parts = Group::new(group, &log, &agents).split(&log);
            for ((_, _, low, _), place) in group {
                let second = parts.len() == 2 && agents[*low] != log[*place].report.iss;
                trade_of[*place] = groups.len() + usize::from(second);
            }
            groups.extend(parts);
        }
        let bearers = document_bearers(&log, &trade_of, policy);
        let trades: Vec<Trade> = groups
            .iter()
            .map(|group| group.trade(&log, policy))
            .collect();
        let mut current: Vec<usize> = groups.iter().flat_map(Group::current).collect();
        current.sort_unstable();
        let opinions: Vec<Opinion> = current
            .into_iter()
            .map(|place| {
                let report = &log[place].report;
                let trade = trade_of[place];
                let other = groups[trade]
                    .counterpart(place)
                    .filter(|_| trades[trade].matched)
                    .map(|p| &log[p].report);
                Opinion {
                    report: report.id,
                    index: log[place].index,
                    trade,
                    rater: position(&agents, &report.iss),
                    subject: position(&agents, &report.sub),
                    role: report.trade.role,
                    kind: report.trade.kind,
                    status: report.outcome.status,
                    quality_bp: quality(report, policy),
                    level: level(report, other.is_some(), trade, &bearers, policy),
                    market: position(&markets, &report.trade.market.as_str()),
                    in_dispute: report.outcome.status == Status::Disputed
                        || other.is_some_and(|other| contradict(report, other, policy)),
                }
            })
            .collect();
        let mut by_id: Vec<(ReportId, usize)> = opinions
            .iter()
            .enumerate()
            .map(|(i, o)| (o.report, i))
            .collect();
        by_id.sort_unstable();
        let markets = markets.into_iter().map(str::to_owned).collect();
        Self {
            agents,
            first_seen,
            markets,
            trades,
            opinions,
            by_id,
        }
    }

    /// Place of an agent in [`Evidence::agents`].
    pub fn agent(&self, did: &Did) -> Option<usize> {
        self.agents.binary_search(did).ok()
    }

    /// The current account that a report is, `None` if it is unknown, erased or superseded.
    pub fn opinion(&self, report: &ReportId) -> Option<&Opinion> {
        let place = self.by_id.binary_search_by(|(id, _)| id.cmp(report)).ok()?;
        self.opinions.get(self.by_id[place].1)
    }

    /// Evidence level of a current report.
    pub fn level_of(&self, report: &ReportId) -> Option<Level> {
        self.opinion(report).map(|opinion| opinion.level)
    }

    /// The trade of a current report.
    pub fn trade_of(&self, report: &ReportId) -> Option<&Trade> {
        self.opinion(report)
            .map(|opinion| &self.trades[opinion.trade])
    }
}

/// What identifies a trade: market, id and both parties, the lower first.
type Key<'a> = (usize, &'a str, usize, usize);

/// First bearer (trade and reporter) of every document that can lift a level only once.
type Bearers = HashMap<Digest, (usize, Did)>;

/// The current report of either party on one trade, as places in the log order.
struct Group {
    low: Option<usize>,
    high: Option<usize>,
}

impl Group {
    /// `group` is in log order within one key, so the last report of either party stays.
    fn new(group: &[(Key<'_>, usize)], log: &[&Admitted], agents: &[Did]) -> Self {
        let mut out = Self {
            low: None,
            high: None,
        };
        for ((_, _, low, _), place) in group {
            let slot = if agents[*low] == log[*place].report.iss {
                &mut out.low
            } else {
                &mut out.high
            };
            *slot = Some(*place);
        }
        out
    }

    /// Two accounts in the same role contradict each other: each stands alone, with its own amount and time. Otherwise a
    /// counterparty could shrink or age a report about itself by filing a second one that does not even match.
    fn split(self, log: &[&Admitted]) -> Vec<Self> {
        let role = |place: Option<usize>| place.map(|place| log[place].report.trade.role);
        match (role(self.low), role(self.high)) {
            (Some(a), Some(b)) if a == b => {
                let (low, high) = (self.low, self.high);
                vec![Self { low, high: None }, Self { low: None, high }]
            }
            _ => vec![self],
        }
    }

    fn current(&self) -> impl Iterator<Item = usize> + use<> {
        [self.low, self.high].into_iter().flatten()
    }

    fn counterpart(&self, place: usize) -> Option<usize> {
        self.current().find(|other| *other != place)
    }

    fn trade(&self, log: &[&Admitted], policy: &Policy) -> Trade {
        let reports: Vec<&Report> = self.current().map(|place| &log[place].report).collect();
        let value = |r: &Report| {
            policy
                .reference_nano(&r.trade.currency, r.trade.amount.nano())
                .unwrap_or(0)
        };
        let (matched, amount_disputed, reference_nano) = match reports.as_slice() {
            [a, b] if a.trade.role != b.trade.role => {
                let same_currency = a.trade.currency == b.trade.currency;
                let lower = if same_currency {
                    value(a).min(value(b))
                } else {
                    0
                };
                (
                    true,
                    same_currency && a.trade.amount != b.trade.amount,
                    lower,
                )
            }
            // One account alone: two in the same role were split before.
            _ => (
                false,
                false,
                reports.iter().map(|r| value(r)).min().unwrap_or(0),
            ),
        };
        let closed_at = reports.iter().map(|r| r.trade.closed_at).min().unwrap_or(0);
        Trade {
            closed_at,
            reference_nano,
            band: policy.band_of(reference_nano),
            matched,
            amount_disputed,
        }
    }
}

/// Place of a known item in a sorted list.
fn position<T: Ord>(sorted: &[T], item: &T) -> usize {
    sorted.partition_point(|other| other < item)
}

/// The rating; without one, what the policy says of the status.
fn quality(report: &Report, policy: &Policy) -> u16 {
    let by_status = match report.outcome.status {
        Status::Failed => policy.scoring.failed_quality_bp,
        Status::Disputed => policy.scoring.disputed_quality_bp,
        Status::Cancelled => policy.scoring.cancelled_quality_bp,
        // A report of these states without a rating does not parse.
        Status::Fulfilled | Status::Partial => policy.scoring.prior_quality_bp,
    };
    report
        .outcome
        .quality_bp
        .unwrap_or_else(|| u16::try_from(by_status).unwrap_or(10_000))
        .min(10_000)
}

/// Every attestation and receipt lifts one report: the first in log order that it can lift. A report that supersedes the
/// bearer inherits it, because trade and reporter are the same. A report that merely quotes somebody else's receipt does
/// not use it up.
fn document_bearers(log: &[&Admitted], trade_of: &[usize], policy: &Policy) -> Bearers {
    let mut bearers = HashMap::new();
    for (place, a) in log.iter().enumerate() {
        for document in &a.report.evidence {
            if let (Some(sha256), Some(_)) =
                (single_use(document), lifts_to(document, &a.report, policy))
            {
                bearers
                    .entry(sha256)
                    .or_insert((trade_of[place], a.report.iss));
            }
        }
    }
    bearers
}

/// Digest of a document that lifts one report only. Terms name their trade and need no such rule.
fn single_use(document: &Document) -> Option<Digest> {
    match document {
        Document::Market { sha256, .. } | Document::Receipt { sha256, .. } => Some(*sha256),
        Document::Terms(_) | Document::Hash(_) => None,
    }
}

/// The level that a document gives the report it comes with, if nobody used it before.
fn lifts_to(document: &Document, report: &Report, policy: &Policy) -> Option<Level> {
    // A policy-listed key that is itself a party is no third party.
    let third = |signer: &Did| {
        *signer != report.iss
            && *signer != report.sub
            && policy.attestors.binary_search(signer).is_ok()
    };
    match document {
        Document::Terms(_) => Some(Level::Countersigned),
        Document::Market { attestor, .. } => third(attestor).then_some(Level::Receipt),
        Document::Receipt {
            signer: Some(signer),
            ..
        } if third(signer) => Some(Level::Receipt),
        Document::Receipt { signer, .. } => {
            (*signer == Some(report.sub)).then_some(Level::Countersigned)
        }
        Document::Hash(_) => None,
    }
}

fn level(
    report: &Report,
    matched: bool,
    trade: usize,
    bearers: &Bearers,
    policy: &Policy,
) -> Level {
    let free = |document: &&Document| {
        single_use(document).is_none_or(|sha256| bearers.get(&sha256) == Some(&(trade, report.iss)))
    };
    let base = if matched {
        Level::Matched
    } else {
        Level::Unilateral
    };
    report
        .evidence
        .iter()
        .filter(free)
        .filter_map(|document| lifts_to(document, report, policy))
        .fold(base, Level::max)
}

/// Whether two matched accounts contradict each other: one says it went well and the other that it did not, unless the
/// seller's own claim agrees with the buyer's rating; or the seller claims a quality far from the buyer's rating.
fn contradict(report: &Report, other: &Report, policy: &Policy) -> bool {
    let (buyer, seller) = if report.trade.role == Role::Buyer {
        (report, other)
    } else {
        (other, report)
    };
    if let Some(claimed) = seller.outcome.claimed_quality_bp {
        return u64::from(claimed.abs_diff(quality(buyer, policy)))
            >= policy.scoring.contested_gap_bp;
    }
    let good = |r: &Report| matches!(r.outcome.status, Status::Fulfilled | Status::Partial);
    let bad = |r: &Report| matches!(r.outcome.status, Status::Failed | Status::Disputed);
    (good(buyer) && bad(seller)) || (bad(buyer) && good(seller))
}

impl Evidence {
    /// How many current reports there are at each level.
    pub fn levels(&self) -> BTreeMap<Level, u64> {
        let mut out = BTreeMap::new();
        for opinion in &self.opinions {
            *out.entry(opinion.level).or_insert(0) += 1;
        }
        out
    }
}
