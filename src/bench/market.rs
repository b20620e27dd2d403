//! A market to measure scoring with: skewed degrees, deterministic, no signatures.
//!
//! Popularity falls with a power of the rank: the busiest of a million sellers has about a hundredth of all trades. One trade in
//! eight repeats the pair of the one before. Of half the trades both parties report; of the others three in five come with the
//! seller's signed terms.

use goodstanding_score::evidence::Ledger;
use goodstanding_verify::{
    amount::Amount,
    did::Did,
    digest::sha256,
    report::{
        Evidence as Document, Outcome, Report, ReportId, Role, Status, Terms, Trade, TradeKind,
    },
};
use rayon::prelude::*;

/// When the market opens, Unix seconds.
const OPENS: u64 = 1_700_000_000;
/// How long it is open, seconds.
const OPEN_FOR: u64 = 180 * 86_400;
/// Trades that one thread makes at a time.
const PART: u64 = 4096;
/// Trades made before their ledgers are joined.
const BATCH: u64 = 64 * PART;
/// Trust roots: the busiest buyers.
const SEEDS: usize = 20;

/// Agents, and trades between them that are made when they are needed.
#[derive(Debug)]
pub struct Market {
    agents: Vec<Did>,
    trades: u64,
}

impl Market {
    /// A market of `agents` agents with about `pairs` ordered pairs of a reporter and its counterparty.
    pub fn new(agents: u64, pairs: u64) -> Self {
        let agents: Vec<Did> = (0..agents.max(2)).into_par_iter().map(agent).collect();
        // Seven of eight trades make a pair, half of them two.
        let trades = (pairs.saturating_mul(16) / 21).max(1);
        Self { agents, trades }
    }

    /// When it has closed, Unix seconds.
    pub fn closes(&self) -> u64 {
        OPENS + OPEN_FOR
    }

    /// The trust roots, ascending.
    pub fn seeds(&self) -> Vec<Did> {
        let mut seeds: Vec<Did> = self.agents.iter().take(SEEDS).copied().collect();
        seeds.sort_unstable();
        seeds
    }

    fn count(&self) -> u64 {
        u64::try_from(self.agents.len()).unwrap_or(u64::MAX)
    }

    /// Every report, in log order, as an epoch would have parsed it.
    pub fn ledger(&self) -> Ledger {
        let mut all = Ledger::default();
        for batch in (0..self.trades).step_by(usize::try_from(BATCH).unwrap_or(1)) {
            let end = self.trades.min(batch + BATCH);
            let starts: Vec<u64> = (batch..end)
                .step_by(usize::try_from(PART).unwrap_or(1))
                .collect();
            let parts: Vec<Ledger> = starts
                .into_par_iter()
                .map(|start| {
                    let mut part = Ledger::default();
                    for n in start..end.min(start + PART) {
                        self.trade(n, &mut part);
                    }
                    part
                })
                .collect();
            for part in parts {
                all.append(part);
            }
        }
        all
    }

    /// The reports on trade `n`.
    fn trade(&self, n: u64, into: &mut Ledger) {
        // One in eight repeats the pair before it; the first ones give every agent a purchase.
        let repeats = n % 8 == 7 && n > self.count();
        let (buyer, seller) = self.parties(if repeats { n - 1 } else { n });
        let draw = random(n, 3);
        let closed_at = OPENS + draw % OPEN_FOR;
        let at_ms = (OPENS + n * OPEN_FOR / self.trades.max(1)) * 1000;
        let both = draw >> 32 & 1 == 0;
        let terms = !both && random(n, 4) % 5 < 3;
        let quality =
            |salt| u16::try_from(10_000 - random(n, salt) % 100 * (random(n, 4) % 60)).ok();
        let mut report = Report {
            id: ReportId([0; 32]),
            iss: self.agents[buyer],
            sub: self.agents[seller],
            jti: String::new(),
            iat: closed_at,
            supersedes: None,
            trade: Trade {
                id: format!("order-{n:012}"),
                market: format!("https://market-{}.example", scaled(random(n, 5), 7, 2)),
                kind: [TradeKind::Purchase, TradeKind::Service, TradeKind::DataSwap][usize::from(
                    (draw >> 40).is_multiple_of(4),
                )
                    + usize::from((draw >> 42).is_multiple_of(8))],
                role: Role::Buyer,
                amount: Amount::from_nano(1000 << (random(n, 6) % 40)).unwrap_or(Amount::ZERO),
                currency: "USDC".to_owned(),
                closed_at,
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
                quality_bp: quality(7),
                on_time: None,
                claimed_quality_bp: None,
            },
            evidence: Vec::new(),
        };
        if terms {
            report.evidence.push(Document::Terms(Terms {
                iat: closed_at,
                exp: closed_at,
                promise: None,
                sha256: sha256(&[]),
            }));
        }
        let mut log = |report: &mut Report, index: u64| {
            report.id = id(index);
            into.push(index, at_ms, report);
        };
        log(&mut report, 2 * n);
        if both {
            std::mem::swap(&mut report.iss, &mut report.sub);
            report.trade.role = Role::Seller;
            report.outcome.quality_bp = Some(10_000);
            log(&mut report, 2 * n + 1);
        }
    }

    /// Buyer and seller of trade `n`, as places. The first trades give every agent one purchase.
    fn parties(&self, n: u64) -> (usize, usize) {
        let count = self.count();
        let buyer = if n < count {
            n
        } else {
            scaled(random(n, 1), count, 2)
        };
        // Who buys much does not sell much: another order of the same agents.
        let rank = scaled(random(n, 2), count, 3);
        let mut seller = (count - 1 - rank) % count;
        if seller == buyer {
            seller = (seller + 1) % count;
        }
        let place = |n| usize::try_from(n).unwrap_or(0);
        (place(buyer), place(seller))
    }
}

/// Sixty-four bits that depend on `n` and `salt` (the finaliser of `SplitMix64`).
fn random(n: u64, salt: u64) -> u64 {
    let mut x = n.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ salt.wrapping_mul(0xd1b5_4a32_d192_ed03);
    x = (x ^ x >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ x >> 31
}

/// A number below `below`, u^power · below for a uniform u.
fn scaled(random: u64, below: u64, power: u32) -> u64 {
    let u = u128::from(random >> 32);
    let raised = (1..power).fold(u, |raised, _| (raised * u) >> 32);
    u64::try_from((raised * u128::from(below)) >> 32).unwrap_or(0)
}

/// A report id that nothing hashes to, as scattered as those that something does.
fn id(index: u64) -> ReportId {
    let mut id = [0; 32];
    for (word, salt) in id.chunks_exact_mut(8).zip(10..) {
        word.copy_from_slice(&random(index, salt).to_be_bytes());
    }
    ReportId(id)
}

/// The n-th agent: the first usable key of a chain of hashes.
fn agent(n: u64) -> Did {
    let mut hash = sha256(&n.to_be_bytes());
    loop {
        match Did::from_key_bytes(&hash.0) {
            Ok(did) => return did,
            Err(_) => hash = sha256(&hash.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use goodstanding_score::{policy::Policy, score};

    use super::*;

    #[test]
    fn a_market_is_skewed_and_the_same_every_time() {
        let market = Market::new(2_000, 20_000);
        let mut policy = Policy::preset("agent-market").unwrap();
        policy.seeds = market.seeds();
        let evidence = market.ledger().into_evidence(&policy);
        assert_eq!(evidence, market.ledger().into_evidence(&policy));
        assert_eq!(evidence.agents.len(), 2_000);
        let scores = score(&evidence, &policy, market.closes(), None).unwrap();
        let pairs = scores.pairs();
        assert!((18_000..21_000).contains(&pairs), "{pairs}");
        assert!(evidence.len() > pairs);
        let claims = scores.all(&evidence, &policy);
        let busiest = claims
            .iter()
            .map(|s| s.claims.counterparties)
            .max()
            .unwrap();
        assert!(busiest > 300, "{busiest}");
        let reached = claims.iter().filter(|s| s.flow_q48 > 0).count();
        assert!(reached > 1_500, "{reached}");
    }
}
