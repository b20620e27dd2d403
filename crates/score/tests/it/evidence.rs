//! Trades and levels: section 2 of the contract, rule by rule.

use crate::common::{Log, T0, did, policy};
use goodstanding_score::{
    evidence::{Level, Trade},
    policy::Policy,
};
use goodstanding_verify::{
    amount::Amount,
    digest::sha256,
    report::{Evidence as Document, Rail, Status},
};

fn first_trade(log: &Log, policy: &Policy) -> Trade {
    log.evidence(policy).opinions().next().unwrap().trade
}

#[test]
fn two_reports_in_complementary_roles_match() {
    let policy = policy("agent-market", &[0]);
    let mut log = Log::default();
    let buyer = log.buyer(0, 1, "t", 9000);
    let id = log.report(buyer).id;
    assert_eq!(log.evidence(&policy).level_of(&id), Some(Level::Unilateral));
    let seller = log.seller(1, 0, "t", 10_000);
    let other = log.report(seller).id;
    log.report(seller).trade.closed_at = T0 - 5;
    let evidence = log.evidence(&policy);
    assert_eq!(evidence.level_of(&id), Some(Level::Matched));
    assert_eq!(evidence.level_of(&other), Some(Level::Matched));
    assert_eq!(evidence.trades, 1);
    for opinion in evidence.opinions() {
        assert_eq!(opinion.trade.closed_at, T0 - 5, "the earlier account");
    }
    // A later match changes later epochs only: the prefix alone decides.
    let mut prefix = log.clone();
    prefix.entries.truncate(1);
    assert_eq!(
        prefix.evidence(&policy).level_of(&id),
        Some(Level::Unilateral)
    );
}

#[test]
fn what_does_not_match() {
    let policy = policy("agent-market", &[0]);
    for change in 0..4 {
        let mut log = Log::default();
        let a = log.buyer(0, 1, "t", 9000);
        let b = log.seller(1, if change == 3 { 2 } else { 0 }, "t", 9000);
        match change {
            0 => log.report(b).trade.role = goodstanding_verify::report::Role::Buyer,
            1 => log.report(b).trade.market = "https://other.example".to_owned(),
            2 => log.report(b).trade.id = "u".to_owned(),
            _ => {} // another party: nobody can occupy another's trade id
        }
        let (a, b) = (log.report(a).id, log.report(b).id);
        let evidence = log.evidence(&policy);
        assert_eq!(evidence.level_of(&a), Some(Level::Unilateral), "{change}");
        assert_eq!(evidence.level_of(&b), Some(Level::Unilateral), "{change}");
    }
}

#[test]
fn amounts_that_differ_match_at_the_lower_one() {
    let policy = policy("agent-market", &[0]);
    let mut log = Log::default();
    let place = log.matched(0, 1, "t", 9000);
    log.report(place).trade.amount = Amount::parse("250").unwrap();
    let trade = first_trade(&log, &policy);
    assert!(trade.matched && trade.amount_disputed);
    assert_eq!((trade.reference_nano, trade.band), (1_000_000_000, 2));
    // By value: another spelling is the same amount.
    log.report(place).trade.amount = Amount::parse("1.000").unwrap();
    assert!(!first_trade(&log, &policy).amount_disputed);
    // Euros are worth 1.1 reference units.
    for entry in &mut log.entries {
        entry.report.trade.currency = "EUR".to_owned();
    }
    assert_eq!(first_trade(&log, &policy).reference_nano, 1_100_000_000);
}

#[test]
fn another_currency_counts_in_the_lowest_band() {
    let policy = policy("agent-market", &[0]);
    let mut log = Log::default();
    let place = log.matched(0, 1, "t", 9000);
    log.report(place).trade.currency = "EUR".to_owned();
    let trade = first_trade(&log, &policy);
    assert_eq!(
        (
            trade.matched,
            trade.amount_disputed,
            trade.band,
            trade.reference_nano
        ),
        (true, false, 0, 0)
    );
    for entry in &mut log.entries {
        entry.report.trade.currency = "DOGE".to_owned();
    }
    assert_eq!(first_trade(&log, &policy).band, 0);
}

#[test]
fn the_latest_report_supersedes() {
    let policy = policy("agent-market", &[0]);
    let mut log = Log::default();
    let first = log.buyer(0, 1, "t", 1000);
    let second = log.buyer(0, 1, "t", 9000);
    let (first, second) = (log.report(first).id, log.report(second).id);
    log.report(1).supersedes = Some(first);
    let evidence = log.evidence(&policy);
    assert_eq!(evidence.level_of(&first), None);
    assert_eq!(evidence.opinion(&second).unwrap().quality_bp, 9000);
    assert_eq!(evidence.len(), 1);
}

#[test]
fn documents_lift_the_level() {
    let mut policy = policy("agent-market", &[0]);
    policy.attestors = vec![did(9)];
    let mut log = Log::default();
    let terms = log.buyer(0, 1, "terms", 9000);
    log.sign_terms(terms);
    let attested = log.buyer(0, 1, "attested", 9000);
    log.attest(attested, 9, "a");
    let again = log.buyer(2, 1, "again", 9000);
    log.attest(again, 9, "a");
    let stranger = log.buyer(0, 1, "stranger", 9000);
    log.attest(stranger, 8, "b");
    let receipt = |signer| Document::Receipt {
        rail: Rail::X402,
        signer,
        sha256: sha256(format!("{signer:?}").as_bytes()),
    };
    let by_counterparty = log.buyer(0, 1, "receipt", 9000);
    log.report(by_counterparty)
        .evidence
        .push(receipt(Some(did(1))));
    let unsigned = log.buyer(0, 1, "unsigned", 9000);
    log.report(unsigned).evidence.push(receipt(None));
    let own = log.buyer(9, 1, "own", 9000);
    log.attest(own, 9, "own");
    let evidence = log.evidence(&policy);
    let level = |place: usize| evidence.level_of(&log.entries[place].report.id).unwrap();
    assert_eq!(level(terms), Level::Countersigned);
    assert_eq!(level(attested), Level::Receipt);
    assert_eq!(
        level(again),
        Level::Unilateral,
        "a document lifts the first report in log order only"
    );
    assert_eq!(
        level(stranger),
        Level::Unilateral,
        "a key that the policy does not list"
    );
    assert_eq!(level(by_counterparty), Level::Countersigned);
    assert_eq!(level(unsigned), Level::Unilateral);
    assert_eq!(level(own), Level::Unilateral, "a party is no third party");
}

#[test]
fn a_superseding_report_keeps_the_document_of_the_one_before() {
    let mut policy = policy("agent-market", &[0]);
    policy.attestors = vec![did(9)];
    let mut log = Log::default();
    let first = log.buyer(0, 1, "t", 9000);
    log.attest(first, 9, "a");
    let second = log.buyer(0, 1, "t", 8000);
    log.attest(second, 9, "a");
    log.report(second).supersedes = Some(log.entries[first].report.id);
    assert_eq!(
        log.evidence(&policy)
            .level_of(&log.entries[second].report.id),
        Some(Level::Receipt)
    );
}

#[test]
fn statuses_without_a_rating() {
    let policy = policy("agent-market", &[0]);
    let mut log = Log::default();
    for (id, status) in [
        ("f", Status::Failed),
        ("d", Status::Disputed),
        ("c", Status::Cancelled),
    ] {
        let place = log.buyer(0, 1, id, 0);
        log.report(place).outcome.status = status;
        log.report(place).outcome.quality_bp = None;
    }
    let opinions: Vec<_> = log.evidence(&policy).opinions().collect();
    let quality: Vec<u16> = opinions.iter().map(|o| o.quality_bp).collect();
    assert_eq!(quality, [0, 2500, 5000]);
    assert!(opinions[1].in_dispute && !opinions[0].in_dispute);
}

#[test]
fn contradicting_accounts_are_in_dispute() {
    let policy = policy("agent-market", &[0]);
    let mut log = Log::default();
    let buyer = log.matched(0, 1, "t", 0);
    log.report(buyer).outcome.status = Status::Failed;
    assert!(log.evidence(&policy).opinions().all(|o| o.in_dispute));
    // The seller admits it.
    log.report(1).outcome.claimed_quality_bp = Some(0);
    assert!(log.evidence(&policy).opinions().all(|o| !o.in_dispute));
    log.report(1).outcome.claimed_quality_bp = Some(9000);
    assert!(log.evidence(&policy).opinions().all(|o| o.in_dispute));
}

#[test]
fn every_party_is_an_agent_seen_at_its_first_log_time() {
    let policy = policy("agent-market", &[0]);
    let mut log = Log::default();
    log.buyer(0, 1, "t", 9000);
    log.buyer(2, 1, "t", 9000);
    let evidence = log.evidence(&policy);
    assert!(evidence.agents.is_sorted() && evidence.agents.len() == 3);
    let seen = |n: usize| evidence.first_seen[evidence.agent(&did(n)).unwrap()];
    assert_eq!((seen(0), seen(1), seen(2)), (T0, T0, T0 + 1));
    assert!(evidence.agent(&did(5)).is_none());
}

#[test]
fn quoting_somebody_elses_receipt_does_not_use_it_up() {
    let policy = policy("agent-market", &[0]);
    let mut log = Log::default();
    let receipt = Document::Receipt {
        rail: Rail::X402,
        signer: Some(did(1)),
        sha256: sha256(b"the receipt that agent 1 signed"),
    };
    // Agent 5 reports on agent 6 and quotes a receipt of agent 1: it lifts nothing there.
    let quote = log.buyer(5, 6, "quote", 1000);
    log.report(quote).evidence.push(receipt.clone());
    let rightful = log.buyer(0, 1, "rightful", 1000);
    log.report(rightful).evidence.push(receipt);
    let evidence = log.evidence(&policy);
    let level = |place: usize| evidence.level_of(&log.entries[place].report.id).unwrap();
    assert_eq!(level(quote), Level::Unilateral);
    assert_eq!(level(rightful), Level::Countersigned);
}

#[test]
fn a_second_account_in_the_same_role_neither_shrinks_nor_ages_the_first() {
    let policy = policy("agent-market", &[0]);
    let mut log = Log::default();
    let complaint = log.buyer(0, 1, "t", 0);
    log.report(complaint).trade.amount = Amount::parse("500").unwrap();
    log.sign_terms(complaint);
    let alone = log.evidence(&policy);
    // The seller files a report of its own, also as the buyer, over next to nothing and long ago.
    let trick = log.buyer(1, 0, "t", 10_000);
    let report = log.report(trick);
    report.trade.amount = Amount::parse("0.000000001").unwrap();
    report.trade.closed_at -= 1_000_000;
    let evidence = log.evidence(&policy);
    let id = log.entries[complaint].report.id;
    assert_eq!(evidence.trade_of(&id), alone.trade_of(&id));
    assert_eq!(evidence.level_of(&id), Some(Level::Countersigned));
    assert_ne!(
        evidence.trade_of(&id),
        evidence.trade_of(&log.entries[trick].report.id)
    );
}
