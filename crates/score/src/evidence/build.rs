//! From the columns of a ledger to evidence: names in order, current reports, trades, levels.
//!
//! Beside the columns themselves it needs 16 to 24 bytes a report for a moment, or a second copy of one column when those that only
//! it needs are gone.

use std::{
    collections::HashMap,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
};

use goodstanding_verify::{
    did::Did,
    digest::Digest,
    report::{Role, Status},
};
use rayon::prelude::*;

use super::{
    Evidence, Level,
    ledger::{Columns, Names, Signed},
    narrow,
    row::{NONE, Row, TradeKey},
    wide,
};
use crate::policy::Policy;

/// The evidence of these reports.
pub(super) fn evidence(columns: Columns, names: Names, policy: &Policy) -> Evidence {
    let Columns {
        indices,
        at_ms,
        ids,
        trades,
        mut rows,
        documents,
    } = in_log_order(columns);
    let (agents, places) = ordered(names.agents, rows.iter().flat_map(|r| [r.rater, r.subject]));
    let (markets, market_places) = ordered(names.markets, rows.iter().map(|r| r.market));
    rows.par_iter_mut().for_each(|row| {
        row.rater = places[wide(row.rater)];
        row.subject = places[wide(row.subject)];
        row.market = market_places[wide(row.market)];
    });
    let mut first_seen = vec![u64::MAX; agents.len()];
    for (row, at_ms) in rows.iter().zip(&at_ms) {
        for agent in [row.rater, row.subject] {
            let first = &mut first_seen[wide(agent)];
            *first = (*first).min(at_ms / 1000);
        }
    }
    drop(at_ms);

    let accounts = Accounts::of(&rows, &trades);
    drop(trades);
    lift(&mut rows, &documents, &accounts, &agents, policy);
    let (rates, rate_places) = rates(&names.currencies, &rows, policy);
    settle(&mut rows, &accounts, &rate_places, policy);
    let Accounts {
        current,
        other,
        trades,
    } = accounts;
    drop(other);
    let (order, counting) = in_pair_order(&rows, &current, agents.len(), policy);
    drop(current);
    Evidence {
        agents,
        first_seen,
        markets,
        trades,
        rows: gather(rows, &order),
        ids: gather(ids, &order),
        indices: gather(indices, &order),
        counting,
        rates,
        bands_milli: policy.amount_bands_milli.clone(),
    }
}

/// The columns by log index, then id, each report once.
fn in_log_order(columns: Columns) -> Columns {
    let key = |place: usize| (columns.indices[place], columns.ids[place]);
    if (1..columns.rows.len()).all(|place| key(place - 1) < key(place)) {
        return columns;
    }
    let mut order: Vec<usize> = (0..columns.rows.len()).collect();
    order.par_sort_unstable_by_key(|place| key(*place));
    order.dedup_by_key(|place| key(*place));
    let mut places = vec![None; columns.rows.len()];
    for (place, from) in order.iter().enumerate() {
        places[*from] = Some(narrow(place));
    }
    let documents = columns.documents.iter();
    let mut documents: Vec<Signed> = documents
        .filter_map(|signed| {
            let report = places[wide(signed.report)]?;
            Some(Signed { report, ..*signed })
        })
        .collect();
    documents.sort_by_key(|signed| signed.report);
    Columns {
        indices: order.iter().map(|from| columns.indices[*from]).collect(),
        at_ms: order.iter().map(|from| columns.at_ms[*from]).collect(),
        ids: order.iter().map(|from| columns.ids[*from]).collect(),
        trades: order.iter().map(|from| columns.trades[*from]).collect(),
        rows: order.iter().map(|from| columns.rows[*from]).collect(),
        documents,
    }
}

/// The names that occur, ascending, and the new place of every old one.
fn ordered<T: Ord + Send>(
    names: Vec<T>,
    occurring: impl Iterator<Item = u32>,
) -> (Vec<T>, Vec<u32>) {
    let mut occurs = vec![false; names.len()];
    for place in occurring {
        occurs[wide(place)] = true;
    }
    let mut places = vec![0; names.len()];
    let mut kept: Vec<(T, usize)> = names
        .into_iter()
        .zip(0..)
        .filter(|(_, place)| occurs[*place])
        .collect();
    kept.par_sort_unstable();
    for (new, (_, old)) in kept.iter().enumerate() {
        places[*old] = narrow(new);
    }
    (kept.into_iter().map(|(name, _)| name).collect(), places)
}

/// The distinct rates of the currencies that occur, ascending from 0, and the place of each currency's. One that the policy does
/// not list has rate 0.
fn rates(currencies: &[String], rows: &[Row], policy: &Policy) -> (Vec<u64>, Vec<u32>) {
    let mut of_currency: Vec<Option<u64>> = vec![None; currencies.len()];
    for row in rows {
        let rate = &mut of_currency[wide(row.currency)];
        if rate.is_none() {
            let code = &currencies[wide(row.currency)];
            *rate = Some(policy.currencies.get(code).copied().unwrap_or(0));
        }
    }
    let mut rates: Vec<u64> = of_currency.iter().flatten().copied().chain([0]).collect();
    rates.sort_unstable();
    rates.dedup();
    let place =
        |rate: &Option<u64>| narrow(rates.partition_point(|other| *other < rate.unwrap_or(0)));
    let places = of_currency.iter().map(place).collect();
    (rates, places)
}

/// Which reports count, and which speak of one trade.
struct Accounts {
    /// By report: its reporter's last report on the same trade, itself if it is current.
    current: Vec<u32>,
    /// By current report: the counterparty's that it matches, itself if there is none.
    other: Vec<u32>,
    /// Number of trades.
    trades: usize,
}

impl Accounts {
    /// Reports are grouped by a hash of what identifies their trade; inside such a group the whole key decides, so a
    /// collision costs time and changes nothing.
    fn of(rows: &[Row], keys: &[TradeKey]) -> Self {
        let mut hashed: Vec<(u64, u32)> = rows
            .par_iter()
            .zip(keys)
            .enumerate()
            .map(|(place, (row, key))| (hash(row, key), narrow(place)))
            .collect();
        hashed.par_sort_unstable();
        let itself = || (0..narrow(rows.len())).map(AtomicU32::new).collect();
        let (current, other): (Vec<AtomicU32>, Vec<AtomicU32>) = (itself(), itself());
        let key = |place: u32| (trade_of(&rows[wide(place)]), &keys[wide(place)]);
        let trades = hashed
            .par_chunk_by(|a, b| a.0 == b.0)
            .map(|group| {
                let [_, rest @ ..] = group else { return 0 };
                if rest.is_empty() {
                    return 1;
                }
                if rest.iter().all(|(_, place)| key(*place) == key(group[0].1)) {
                    return Self::trade(rows, group, &current, &other);
                }
                let mut group = group.to_vec();
                group.sort_unstable_by_key(|(_, place)| (key(*place), *place));
                group
                    .chunk_by(|a, b| key(a.1) == key(b.1))
                    .map(|group| Self::trade(rows, group, &current, &other))
                    .sum()
            })
            .sum();
        let plain =
            |places: Vec<AtomicU32>| places.into_iter().map(AtomicU32::into_inner).collect();
        Self {
            current: plain(current),
            other: plain(other),
            trades,
        }
    }

    /// The reports on one trade, in log order: of each party the last one counts. Returns how many trades they make.
    ///
    /// Two accounts in the same role contradict each other: each stands alone, with its own amount and time. Otherwise a
    /// counterparty could shrink or age a report about itself by filing a second one that does not even match.
    fn trade(
        rows: &[Row],
        group: &[(u64, u32)],
        current: &[AtomicU32],
        other: &[AtomicU32],
    ) -> usize {
        let by_low = |place: u32| rows[wide(place)].rater < rows[wide(place)].subject;
        let last = |low| group.iter().rev().map(|g| g.1).find(|p| by_low(*p) == low);
        let (low, high) = (last(true), last(false));
        for (_, place) in group {
            let account = if by_low(*place) { low } else { high };
            current[wide(*place)].store(account.unwrap_or(*place), Relaxed);
        }
        let (Some(low), Some(high)) = (low, high) else {
            return 1;
        };
        if rows[wide(low)].role() == rows[wide(high)].role() {
            return 2;
        }
        other[wide(low)].store(high, Relaxed);
        other[wide(high)].store(low, Relaxed);
        1
    }
}

/// What identifies a trade beside its id: market and both parties, the lower first.
fn trade_of(row: &Row) -> (u32, u32, u32) {
    let (a, b) = (row.rater, row.subject);
    (row.market, a.min(b), a.max(b))
}

/// Sixty-four bits of a trade's key (multiply and rotate, as in `FxHash`).
fn hash(row: &Row, key: &TradeKey) -> u64 {
    let (market, low, high) = trade_of(row);
    let start = u64::from(low) << 32 | u64::from(high);
    let mixed = key
        .words()
        .fold(start ^ u64::from(market) << 16, |hash, word| {
            (hash.rotate_left(29) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15)
        });
    mixed ^ mixed >> 32
}

/// Every attestation and receipt lifts one account: that of the first report in log order that it can lift. A report that
/// supersedes that one inherits it. A report that merely quotes somebody else's receipt does not use it up.
fn lift(
    rows: &mut [Row],
    documents: &[Signed],
    accounts: &Accounts,
    agents: &[Did],
    policy: &Policy,
) {
    let mut bearers: HashMap<Digest, u32> = HashMap::new();
    for signed in documents {
        if lifts_to(signed, rows[wide(signed.report)], agents, policy).is_some() {
            let account = accounts.current[wide(signed.report)];
            bearers.entry(signed.sha256).or_insert(account);
        }
    }
    for signed in documents {
        let row = &mut rows[wide(signed.report)];
        if bearers.get(&signed.sha256) == Some(&signed.report)
            && let Some(level) = lifts_to(signed, *row, agents, policy)
        {
            row.lift(level);
        }
    }
}

/// The level that a document gives the report it comes with, if nobody used it before.
fn lifts_to(signed: &Signed, row: Row, agents: &[Did], policy: &Policy) -> Option<Level> {
    let counterparty = signed.signer == agents[wide(row.subject)];
    // A policy-listed key that is itself a party is no third party.
    let third = !counterparty
        && signed.signer != agents[wide(row.rater)]
        && policy.attestors.binary_search(&signed.signer).is_ok();
    if third {
        Some(Level::Receipt)
    } else {
        (signed.receipt && counterparty).then_some(Level::Countersigned)
    }
}

/// What both accounts of a trade come to, and what the policy says where a report says nothing.
fn settle(rows: &mut [Row], accounts: &Accounts, rate_places: &[u32], policy: &Policy) {
    for (place, other) in (0..).zip(&accounts.other) {
        // Of two that match once; a superseded report matches nothing.
        if place < *other {
            let (mut a, mut b) = (rows[wide(place)], rows[wide(*other)]);
            agree(&mut a, &mut b, policy);
            (rows[wide(place)], rows[wide(*other)]) = (a, b);
        }
    }
    rows.par_iter_mut().for_each(|row| {
        row.quality_bp = quality(*row, policy);
        row.currency = match row.currency {
            NO_CURRENCY => 0,
            listed => rate_places[wide(listed)],
        };
        if row.status() == Status::Disputed {
            row.set_in_dispute();
        }
    });
}

/// Stands for the currency of a trade that the parties name in different ones.
const NO_CURRENCY: u32 = u32::MAX;

/// Two accounts in complementary roles: the earlier time; in one currency the lower amount; a dispute if they contradict each
/// other.
fn agree(a: &mut Row, b: &mut Row, policy: &Policy) {
    let same_currency = a.currency == b.currency;
    let amount_disputed = same_currency && a.amount_nano != b.amount_nano;
    let contradict = contradict(*a, *b, policy);
    let closed_at = a.closed_at.min(b.closed_at);
    let amount_nano = a.amount_nano.min(b.amount_nano);
    for row in [a, b] {
        row.set_matched(amount_disputed);
        if contradict {
            row.set_in_dispute();
        }
        row.closed_at = closed_at;
        row.amount_nano = if same_currency { amount_nano } else { 0 };
        if !same_currency {
            row.currency = NO_CURRENCY;
        }
    }
}

/// The rating; without one, what the policy says of the status.
fn quality(row: Row, policy: &Policy) -> u16 {
    if row.quality_bp != NONE {
        return row.quality_bp;
    }
    let by_status = match row.status() {
        Status::Failed => policy.scoring.failed_quality_bp,
        Status::Disputed => policy.scoring.disputed_quality_bp,
        Status::Cancelled => policy.scoring.cancelled_quality_bp,
        // A report of these states without a rating does not parse.
        Status::Fulfilled | Status::Partial => policy.scoring.prior_quality_bp,
    };
    u16::try_from(by_status).unwrap_or(10_000).min(10_000)
}

/// Whether two matched accounts contradict each other: one says it went well and the other that it did not, unless the
/// seller's own claim agrees with the buyer's rating; or the seller claims a quality far from the buyer's rating.
fn contradict(a: Row, b: Row, policy: &Policy) -> bool {
    let (buyer, seller) = if a.role() == Role::Buyer {
        (a, b)
    } else {
        (b, a)
    };
    if seller.claimed_bp != NONE {
        return u64::from(seller.claimed_bp.abs_diff(quality(buyer, policy)))
            >= policy.scoring.contested_gap_bp;
    }
    let good = |r: Row| matches!(r.status(), Status::Fulfilled | Status::Partial);
    let bad = |r: Row| matches!(r.status(), Status::Failed | Status::Disputed);
    (good(buyer) && bad(seller)) || (bad(buyer) && good(seller))
}

/// The places of current reports in the order of evidence, and how many of them count: first those that do by subject, rater,
/// role (buyers' first) and log, then cancelled trades that the policy leaves out, by log.
fn in_pair_order(
    rows: &[Row],
    current: &[u32],
    agents: usize,
    policy: &Policy,
) -> (Vec<u32>, usize) {
    let cancelled_count = policy.scoring.cancelled_weight_milli > 0;
    let of_current = || {
        let places = (0..).zip(current).filter(|(place, c)| place == *c);
        places.map(|(place, _)| (place, rows[wide(place)]))
    };
    let counts = |row: &Row| cancelled_count || row.status() != Status::Cancelled;
    let counting = of_current().filter(|(_, row)| counts(row)).count();
    // Stable counting sorts, the last key first.
    let mut next = starts(agents, || {
        of_current()
            .filter(|(_, r)| counts(r))
            .map(|(_, r)| r.rater)
    });
    let mut by_rater = vec![(0, 0); counting];
    for role in [Role::Buyer, Role::Seller] {
        for (place, row) in of_current().filter(|(_, r)| counts(r) && r.role() == role) {
            let slot = &mut next[wide(row.rater)];
            by_rater[*slot] = (row.subject, place);
            *slot += 1;
        }
    }
    let mut next = starts(agents, || by_rater.iter().map(|(subject, _)| *subject));
    let mut order = vec![0; counting];
    for (subject, place) in by_rater {
        let slot = &mut next[wide(subject)];
        order[*slot] = place;
        *slot += 1;
    }
    order.extend(
        of_current()
            .filter(|(_, row)| !counts(row))
            .map(|(place, _)| place),
    );
    (order, counting)
}

/// Where the items of each key begin when they are sorted by it.
fn starts<I: Iterator<Item = u32>>(keys: usize, items: impl Fn() -> I) -> Vec<usize> {
    let mut starts = vec![0; keys + 1];
    for key in items() {
        starts[wide(key) + 1] += 1;
    }
    let mut sum = 0;
    for start in &mut starts {
        sum += *start;
        *start = sum;
    }
    starts
}

/// The items at these places; the others are gone.
fn gather<T: Copy + Send + Sync>(from: Vec<T>, order: &[u32]) -> Vec<T> {
    let gathered = order.par_iter().map(|place| from[wide(*place)]).collect();
    drop(from);
    gathered
}
