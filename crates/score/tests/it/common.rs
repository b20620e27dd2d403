//! Builders of evidence for the tests: agents by number, trades by short calls.

use goodstanding_score::{
    evidence::{Admitted, Evidence},
    policy::Policy,
};
use goodstanding_verify::{
    amount::Amount,
    did::Did,
    digest::{Digest, sha256},
    report::{
        Evidence as Document, Outcome, Report, ReportId, Role, Status, Terms, Trade, TradeKind,
    },
};

/// Time of the trades.
pub(crate) const T0: u64 = 1_700_000_000;

/// The n-th agent: the first usable key of a chain of hashes.
pub(crate) fn did(n: usize) -> Did {
    let mut hash = sha256(format!("agent {n}").as_bytes());
    loop {
        match Did::from_key_bytes(&hash.0) {
            Ok(did) => return did,
            Err(_) => hash = sha256(&hash.0),
        }
    }
}

/// A preset with these agents as seeds.
pub(crate) fn policy(preset: &str, seeds: &[usize]) -> Policy {
    let mut policy = Policy::preset(preset).unwrap();
    policy.seeds = seeds.iter().map(|n| did(*n)).collect();
    policy.seeds.sort_unstable();
    policy
}

/// A log in the making.
#[derive(Clone, Default)]
pub(crate) struct Log {
    pub(crate) entries: Vec<Admitted>,
}

impl Log {
    /// Appends a buyer's report on a fulfilled purchase of 1 USD; returns its place, so that a test can change it.
    pub(crate) fn buyer(
        &mut self,
        buyer: usize,
        seller: usize,
        id: &str,
        quality_bp: u16,
    ) -> usize {
        self.push(buyer, seller, Role::Buyer, id, quality_bp)
    }

    /// Appends the seller's report on the same.
    pub(crate) fn seller(
        &mut self,
        seller: usize,
        buyer: usize,
        id: &str,
        quality_bp: u16,
    ) -> usize {
        self.push(seller, buyer, Role::Seller, id, quality_bp)
    }

    /// Both parties' reports.
    pub(crate) fn matched(
        &mut self,
        buyer: usize,
        seller: usize,
        id: &str,
        quality_bp: u16,
    ) -> usize {
        let place = self.buyer(buyer, seller, id, quality_bp);
        self.seller(seller, buyer, id, 10_000);
        place
    }

    fn push(&mut self, iss: usize, sub: usize, role: Role, id: &str, quality_bp: u16) -> usize {
        let index = u64::try_from(self.entries.len()).unwrap();
        let report = Report {
            id: ReportId(sha256(format!("{index} {iss} {sub} {id}").as_bytes()).0),
            iss: did(iss),
            sub: did(sub),
            jti: format!("report-{index}"),
            iat: T0 + index,
            supersedes: None,
            trade: Trade {
                id: id.to_owned(),
                market: "https://market.example".to_owned(),
                kind: TradeKind::Purchase,
                role,
                amount: Amount::parse("1").unwrap(),
                currency: "USD".to_owned(),
                closed_at: T0,
                resource: None,
                units: None,
                swap_id: None,
                parent: None,
                negotiation: None,
                auction: None,
                settlement: None,
            },
            outcome: Outcome {
                status: Status::Fulfilled,
                quality_bp: Some(quality_bp),
                on_time: None,
                claimed_quality_bp: None,
            },
            evidence: Vec::new(),
        };
        self.entries.push(Admitted {
            index,
            at_ms: (T0 + index) * 1000,
            historical: false,
            report,
        });
        self.entries.len() - 1
    }

    pub(crate) fn report(&mut self, place: usize) -> &mut Report {
        &mut self.entries[place].report
    }

    pub(crate) fn sign_terms(&mut self, place: usize) {
        let sha256 = sha256(format!("terms {place}").as_bytes());
        self.report(place).evidence.push(Document::Terms(Terms {
            iat: T0,
            exp: T0,
            promise: None,
            sha256,
        }));
    }

    pub(crate) fn attest(&mut self, place: usize, attestor: usize, document: &str) {
        let sha256: Digest = sha256(document.as_bytes());
        self.report(place).evidence.push(Document::Market {
            attestor: did(attestor),
            sha256,
        });
    }

    pub(crate) fn evidence(&self, policy: &Policy) -> Evidence {
        Evidence::build(&self.entries, policy)
    }
}
