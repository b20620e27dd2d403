//! The rules of evidence once more, written down as `docs/SCORING.md` has them and without a thought for speed; random logs in any
//! order and any batches have to agree with that.

use std::collections::{BTreeMap, BTreeSet};

use goodstanding_score::{
    evidence::{Admitted, Evidence, Ledger, Level},
    policy::Policy,
    score,
};
use goodstanding_verify::{
    amount::Amount,
    did::Did,
    digest::{Digest, sha256},
    report::{Evidence as Document, Rail, ReportId, Role, Status, TradeKind},
};
use proptest::prelude::*;

use crate::common::{Log, T0, did, policy};

/// What an account comes to: level, quality, in dispute, closed at, amount, matched, amount disputed.
type Account = (Level, u16, bool, u64, u128, bool, bool);

/// A trade: market, id, both parties in order.
type Key = (String, String, Did, Did);

fn key(a: &Admitted) -> Key {
    let (trade, iss, sub) = (&a.report.trade, a.report.iss, a.report.sub);
    (
        trade.market.clone(),
        trade.id.clone(),
        iss.min(sub),
        iss.max(sub),
    )
}

fn quality(a: &Admitted, policy: &Policy) -> u16 {
    let s = &policy.scoring;
    let by_status = match a.report.outcome.status {
        Status::Failed => s.failed_quality_bp,
        Status::Disputed => s.disputed_quality_bp,
        Status::Cancelled => s.cancelled_quality_bp,
        Status::Fulfilled | Status::Partial => s.prior_quality_bp,
    };
    let said = a.report.outcome.quality_bp;
    said.unwrap_or(u16::try_from(by_status).unwrap())
}

/// The level that a document can give, and its digest if it gives it only once.
fn lifts(document: &Document, a: &Admitted, policy: &Policy) -> Option<(Level, Option<Digest>)> {
    let (iss, sub) = (a.report.iss, a.report.sub);
    let third = |by: &Did| *by != iss && *by != sub && policy.attestors.contains(by);
    match document {
        Document::Terms(_) => Some((Level::Countersigned, None)),
        Document::Market { attestor, sha256 } if third(attestor) => {
            Some((Level::Receipt, Some(*sha256)))
        }
        Document::Receipt {
            signer: Some(signer),
            sha256,
            ..
        } if third(signer) => Some((Level::Receipt, Some(*sha256))),
        Document::Receipt {
            signer: Some(signer),
            sha256,
            ..
        } if *signer == sub => Some((Level::Countersigned, Some(*sha256))),
        _ => None,
    }
}

fn contradict(buyer: &Admitted, seller: &Admitted, policy: &Policy) -> bool {
    if let Some(claimed) = seller.report.outcome.claimed_quality_bp {
        let gap = claimed.abs_diff(quality(buyer, policy));
        return u64::from(gap) >= policy.scoring.contested_gap_bp;
    }
    let well = |a: &Admitted| match a.report.outcome.status {
        Status::Fulfilled | Status::Partial => Some(true),
        Status::Failed | Status::Disputed => Some(false),
        Status::Cancelled => None,
    };
    matches!((well(buyer), well(seller)), (Some(a), Some(b)) if a != b)
}

fn naive(log: &[Admitted], policy: &Policy) -> BTreeMap<ReportId, Account> {
    let mut log: Vec<&Admitted> = log.iter().collect();
    log.sort_by_key(|a| (a.index, a.report.id));
    // Of each reporter on each trade the last report, and who is the first that a document can lift.
    let mut current: BTreeMap<(Key, Did), &Admitted> = BTreeMap::new();
    let mut bearer: BTreeMap<Digest, (Key, Did)> = BTreeMap::new();
    for a in &log {
        current.insert((key(a), a.report.iss), a);
        for document in &a.report.evidence {
            if let Some((_, Some(digest))) = lifts(document, a, policy) {
                bearer.entry(digest).or_insert((key(a), a.report.iss));
            }
        }
    }
    let mut accounts = BTreeMap::new();
    for ((trade, iss), a) in &current {
        let other = current
            .get(&(trade.clone(), a.report.sub))
            .filter(|other| other.report.trade.role != a.report.trade.role);
        let free = |digest: &Option<Digest>| {
            digest.is_none_or(|digest| bearer.get(&digest) == Some(&(trade.clone(), *iss)))
        };
        let base = if other.is_some() {
            Level::Matched
        } else {
            Level::Unilateral
        };
        let documents = a.report.evidence.iter();
        let level = documents
            .filter_map(|document| lifts(document, a, policy))
            .filter(|(_, digest)| free(digest))
            .map(|(level, _)| level)
            .fold(base, Level::max);
        let value = |a: &Admitted| {
            let rate = policy.currencies.get(&a.report.trade.currency);
            u128::from(a.report.trade.amount.nano()) * u128::from(*rate.unwrap_or(&0)) / 1000
        };
        let (mut dispute, mut closed_at) = (
            a.report.outcome.status == Status::Disputed,
            a.report.trade.closed_at,
        );
        let (mut amount, mut amount_disputed) = (value(a), false);
        if let Some(other) = other {
            let (buyer, seller) = match a.report.trade.role {
                Role::Buyer => (*a, *other),
                Role::Seller => (*other, *a),
            };
            dispute |= contradict(buyer, seller, policy);
            closed_at = closed_at.min(other.report.trade.closed_at);
            if a.report.trade.currency == other.report.trade.currency {
                amount = amount.min(value(other));
                amount_disputed = a.report.trade.amount != other.report.trade.amount;
            } else {
                amount = 0;
            }
        }
        let account = (
            level,
            quality(a, policy),
            dispute,
            closed_at,
            amount,
            other.is_some(),
            amount_disputed,
        );
        accounts.insert(a.report.id, account);
    }
    accounts
}

fn accounts(evidence: &Evidence) -> BTreeMap<ReportId, Account> {
    let opinions = evidence.opinions().map(|o| {
        let trade = o.trade;
        let account = (
            o.level,
            o.quality_bp,
            o.in_dispute,
            trade.closed_at,
            trade.reference_nano,
            trade.matched,
            trade.amount_disputed,
        );
        (o.report, account)
    });
    opinions.collect()
}

/// A report as numbers: the parties, the trade, what is said of it, and documents as kind, signer, digest.
#[derive(Clone, Debug)]
struct Row {
    parties: (usize, usize),
    trade: (bool, usize, bool, u64, usize, u64),
    said: (usize, Option<u16>, Option<u16>),
    documents: Vec<(usize, usize, u8)>,
}

fn rows() -> impl Strategy<Value = Vec<Row>> {
    let documents = proptest::collection::vec((0..5_usize, 0..7_usize, 0..4_u8), 0..3);
    let trade = (
        any::<bool>(),
        0..4_usize,
        any::<bool>(),
        1..4_u64,
        0..4_usize,
        0..5_u64,
    );
    let said = (
        0..5_usize,
        proptest::option::of(0..=10_000_u16),
        proptest::option::of(0..=10_000_u16),
    );
    let row = ((0..5_usize, 0..5_usize), trade, said, documents);
    let row = row.prop_map(|(parties, trade, said, documents)| Row {
        parties,
        trade,
        said,
        documents,
    });
    proptest::collection::vec(row, 1..80)
}

fn log_of(rows: &[Row]) -> Log {
    let mut log = Log::default();
    log.matched(0, 1, "first", 9000);
    for row in rows.iter().filter(|row| row.parties.0 != row.parties.1) {
        let (market, id, seller, amount, currency, closed) = row.trade;
        // Long ids that differ at their end only, and short ones.
        let id = format!("{}{id}", "t".repeat(if id < 2 { 40 } else { 1 }));
        let place = log.buyer(row.parties.0, row.parties.1, &id, 0);
        let report = log.report(place);
        let trade = &mut report.trade;
        if seller {
            trade.role = Role::Seller;
        }
        trade.market = format!("https://market-{market}.example");
        trade.amount = Amount::from_nano(amount * 1_000_000_007).unwrap();
        trade.currency = ["USD", "EUR", "DOGE", "USDC"][currency].into();
        trade.closed_at = T0 - closed;
        trade.kind = [TradeKind::Service, TradeKind::Purchase][usize::from(market)];
        let status = [
            Status::Fulfilled,
            Status::Partial,
            Status::Failed,
            Status::Disputed,
            Status::Cancelled,
        ][row.said.0];
        report.outcome.status = status;
        report.outcome.quality_bp = row.said.1;
        report.outcome.claimed_quality_bp = row.said.2.filter(|_| seller);
        for (kind, signer, name) in &row.documents {
            let (signer, sha256) = (did(*signer), sha256(&[*name]));
            let receipt = |signer| Document::Receipt {
                rail: Rail::X402,
                signer,
                sha256,
            };
            match kind {
                0 => log.sign_terms(place),
                1 => log.report(place).evidence.push(Document::Market {
                    attestor: signer,
                    sha256,
                }),
                2 => log.report(place).evidence.push(receipt(None)),
                3 => log.report(place).evidence.push(Document::Hash(sha256)),
                _ => log.report(place).evidence.push(receipt(Some(signer))),
            }
        }
    }
    log
}

fn with_attestors() -> Policy {
    let mut policy = policy("agent-market", &[0, 1]);
    // One of them trades itself.
    policy.attestors = vec![did(2), did(5)];
    policy.attestors.sort_unstable();
    policy
}

/// The reports in another order, in ledgers of their own that are joined.
fn in_batches(log: &Log, turn: usize, batch: usize) -> Ledger {
    let mut entries = log.entries.clone();
    let n = entries.len();
    entries.rotate_left(turn % n);
    if turn % 2 == 1 {
        entries.reverse();
    }
    let mut ledger = Ledger::default();
    for part in entries.chunks(batch) {
        ledger.append(part.iter().collect());
    }
    ledger
}

proptest! {
    #[test]
    fn evidence_is_what_the_rules_say(rows in rows()) {
        let (log, policy) = (log_of(&rows), with_attestors());
        let evidence = log.evidence(&policy);
        prop_assert_eq!(accounts(&evidence), naive(&log.entries, &policy));
        let agents: BTreeSet<Did> = log.entries.iter().flat_map(|a| [a.report.iss, a.report.sub]).collect();
        prop_assert_eq!(&evidence.agents, &agents.into_iter().collect::<Vec<_>>());
        for (agent, seen) in evidence.agents.iter().zip(&evidence.first_seen) {
            let about = log.entries.iter().filter(|a| a.report.iss == *agent || a.report.sub == *agent);
            prop_assert_eq!(*seen, about.map(|a| a.at_ms / 1000).min().unwrap());
        }
        // Of one trade there is one account about either party, and a trade of two accounts counts once.
        let matched = evidence.opinions().filter(|o| o.trade.matched).count();
        prop_assert_eq!(evidence.trades, evidence.len() - matched / 2);
    }

    #[test]
    fn neither_order_nor_batches_nor_threads_matter(rows in rows(), turn in 0..100_usize, batch in 1..50_usize) {
        let (log, policy) = (log_of(&rows), with_attestors());
        let evidence = log.evidence(&policy);
        let other = in_batches(&log, turn, batch).into_evidence(&policy);
        prop_assert_eq!(&other, &evidence);
        let one = score(&evidence, &policy, T0, Some(1)).unwrap();
        for threads in [2, 8] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let scored = pool.install(|| {
                let evidence = in_batches(&log, turn, batch).into_evidence(&policy);
                let scores = score(&evidence, &policy, T0, None).unwrap();
                (scores.all(&evidence, &policy), scores)
            });
            prop_assert_eq!(&scored.1, &one);
            prop_assert_eq!(&scored.0, &one.all(&evidence, &policy));
        }
    }

    /// A part of a ledger is what a ledger of that part is: what is left out leaves nothing behind, its agents included.
    #[test]
    fn a_part_of_a_ledger_is_the_evidence_of_that_part(rows in rows(), size in 1..80_u64, without in 0..4_u64) {
        let (log, policy) = (log_of(&rows), with_attestors());
        let keep = |index: u64| index < size && index % 4 != without;
        let part: Vec<Admitted> = log.entries.iter().filter(|a| keep(a.index)).cloned().collect();
        let ledger: Ledger = log.entries.iter().collect();
        let evidence = ledger.evidence_of(|index, _, _| keep(index), &policy);
        prop_assert_eq!(evidence, Evidence::build(&part, &policy));
        prop_assert_eq!(ledger.len(), log.entries.len());
        prop_assert!(ledger.has(0) && !ledger.has(1000));
    }
}
