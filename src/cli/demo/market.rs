//! A market in miniature: forty agents, twenty days, every kind of trade, and the usual crooks.

use goodstanding_verify::report::{AuctionFormat, Role, Status, TaskClass, TradeKind};

use super::random::Random;
use crate::ingest::import::{Auction, Row};

/// How far back the first trade lies, seconds.
const SPAN_S: u64 = 20 * 86_400;
/// Trades among honest agents and with cheats.
const OPEN_TRADES: u64 = 560;
/// Trades of the ring, all of them with itself.
const RING_TRADES: u64 = 150;

const HONEST: [&str; 26] = [
    "atlas", "birch", "cedar", "delta", "ember", "fjord", "grove", "heron", "iris", "juniper",
    "kestrel", "lumen", "maple", "nimbus", "otter", "pine", "quartz", "raven", "sage", "tundra",
    "umbra", "violet", "willow", "xenon", "yarrow", "zephyr",
];
const CHEATS: [&str; 4] = ["bargain-bot", "fastdata", "gpu4less", "promiser"];
const RING: [&str; 8] = [
    "ring-1", "ring-2", "ring-3", "ring-4", "ring-5", "ring-6", "ring-7", "ring-8",
];
const NEW: [&str; 2] = ["newcomer-1", "newcomer-2"];

/// What an agent really is. The service is never told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Nature {
    /// Delivers what it promises.
    Honest,
    /// Takes the money and delivers little.
    Cheat,
    /// Trades with its own kind and praises it.
    Ring,
    /// Honest, with hardly any trades yet.
    New,
}

/// An agent of the market.
#[derive(Clone, Copy, Debug)]
pub(super) struct Agent {
    pub(super) name: &'static str,
    pub(super) nature: Nature,
    /// What it delivers on average.
    quality_bp: u64,
}

/// A market's agents and reports.
#[derive(Clone, Debug)]
pub(super) struct Market {
    pub(super) agents: Vec<Agent>,
    /// Reports in ascending time.
    pub(super) rows: Vec<Row>,
    /// Number of trades.
    pub(super) trades: u64,
}

impl Market {
    /// The market of a seed, its last trade just before `now_s`.
    pub(super) fn generate(seed: u64, now_s: u64) -> Self {
        let mut maker = Maker {
            random: Random::new(seed),
            begin: now_s.saturating_sub(SPAN_S),
            rows: Vec::new(),
            trades: 0,
        };
        let agents = maker.agents();
        maker.open_market(&agents);
        maker.ring(&agents);
        let Maker {
            mut rows, trades, ..
        } = maker;
        // Stable: both reports of a trade stay together.
        rows.sort_by_key(|row| row.time);
        Self {
            agents,
            rows,
            trades,
        }
    }

    /// How many trades of a kind there are.
    pub(super) fn trades_of(&self, kind: TradeKind) -> usize {
        let mut ids: Vec<_> = self
            .rows
            .iter()
            .filter(|row| row.kind == kind)
            .map(|row| &row.trade_id)
            .collect();
        ids.sort_unstable();
        ids.dedup();
        ids.len()
    }

    /// The plain mean of the ratings that an agent got, as a shop would show it.
    pub(super) fn mean_rating_bp(&self, name: &str) -> u64 {
        let ratings: Vec<_> = self
            .rows
            .iter()
            .filter(|row| row.subject == name)
            .map(|row| row.quality_bp.unwrap_or(0))
            .collect();
        let count = u64::try_from(ratings.len()).unwrap_or(1).max(1);
        ratings.into_iter().map(u64::from).sum::<u64>() / count
    }
}

/// What one trade is like before anybody reports on it.
struct Trade<'a> {
    kind: TradeKind,
    buyer: &'a Agent,
    seller: &'a Agent,
    time: u64,
    amount: String,
    currency: &'static str,
    market: &'static str,
    resource: &'static str,
    swap_id: Option<String>,
    auction: Option<Auction>,
    /// What was really delivered.
    delivered_bp: u64,
}

/// How a trade is reported.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reporting {
    /// Both parties report.
    Matched,
    /// The buyer reports and has the seller's signed terms.
    Countersigned,
    /// The buyer alone.
    Unilateral,
}

struct Maker {
    random: Random,
    begin: u64,
    rows: Vec<Row>,
    trades: u64,
}

impl Maker {
    fn agents(&mut self) -> Vec<Agent> {
        let named =
            |names: &'static [&'static str], nature| names.iter().map(move |name| (*name, nature));
        named(&HONEST, Nature::Honest)
            .chain(named(&CHEATS, Nature::Cheat))
            .chain(named(&RING, Nature::Ring))
            .chain(named(&NEW, Nature::New))
            .map(|(name, nature)| {
                let (low, high) = match nature {
                    Nature::Honest | Nature::New => (8300, 9700),
                    Nature::Cheat => (1200, 3200),
                    Nature::Ring => (1500, 3000),
                };
                Agent {
                    name,
                    nature,
                    quality_bp: self.random.between(low, high),
                }
            })
            .collect()
    }

    /// Honest agents buy from each other and now and then from a cheat; a newcomer sells for the first time near the end.
    fn open_market(&mut self, agents: &[Agent]) {
        let of = |nature| {
            agents
                .iter()
                .filter(move |a| a.nature == nature)
                .collect::<Vec<_>>()
        };
        let (honest, cheats, new) = (of(Nature::Honest), of(Nature::Cheat), of(Nature::New));
        for i in 0..OPEN_TRADES {
            let time = self.begin + SPAN_S * i / OPEN_TRADES + self.random.between(0, 600);
            let buyer = *self.random.pick(&honest);
            let late = i > OPEN_TRADES * 9 / 10;
            let seller = match self.random.between(1, 100) {
                1..=14 => *self.random.pick(&cheats),
                15..=17 if late => *self.random.pick(&new),
                _ => self.other(&honest, buyer),
            };
            self.trade(buyer, seller, time, &honest);
        }
    }

    /// The members of the ring trade with each other, for much money, and praise every trade.
    fn ring(&mut self, agents: &[Agent]) {
        let ring: Vec<_> = agents.iter().filter(|a| a.nature == Nature::Ring).collect();
        for i in 0..RING_TRADES {
            let buyer = *self.random.pick(&ring);
            let seller = self.other(&ring, buyer);
            let time = self.begin + SPAN_S / 2 + SPAN_S * i / RING_TRADES / 2;
            let trade = Trade {
                kind: TradeKind::Purchase,
                buyer,
                seller,
                time,
                amount: self.random.between(40, 400).to_string(),
                currency: "USDC",
                market: "https://query.market.example",
                resource: "dataset",
                swap_id: None,
                auction: None,
                delivered_bp: 10_000,
            };
            self.report(&trade, Reporting::Matched);
        }
    }

    fn other<'a>(&mut self, among: &[&'a Agent], than: &Agent) -> &'a Agent {
        loop {
            let found = *self.random.pick(among);
            if found.name != than.name {
                return found;
            }
        }
    }

    /// One trade of some kind and its reports; a swap is two.
    fn trade(&mut self, buyer: &Agent, seller: &Agent, time: u64, bidders: &[&Agent]) {
        let delivered_bp = self.around(seller.quality_bp);
        let plain = |kind, amount, currency, market, resource| Trade {
            kind,
            buyer,
            seller,
            time,
            amount,
            currency,
            market,
            resource,
            swap_id: None,
            auction: None,
            delivered_bp,
        };
        let reporting = match self.random.between(1, 100) {
            1..=45 => Reporting::Matched,
            46..=75 => Reporting::Countersigned,
            _ => Reporting::Unilateral,
        };
        match self.random.between(1, 100) {
            1..=45 => {
                // A query or an API call, paid by the piece: from a hundredth of a cent.
                let most = if self.random.chance(50) { 20 } else { 500 };
                let amount = micro(self.random.between(1, most));
                let trade = plain(
                    TradeKind::Purchase,
                    amount,
                    "USDC",
                    "https://query.market.example",
                    "query",
                );
                self.report(&trade, reporting);
            }
            46..=70 => {
                let cents = self.random.between(50, 2500);
                let mut trade = plain(
                    TradeKind::Service,
                    cent(cents),
                    "USD",
                    "https://service.market.example",
                    "analysis",
                );
                if self.random.chance(50) {
                    trade.auction = Some(self.auction(
                        AuctionFormat::Reverse,
                        cents,
                        &[buyer, seller],
                        bidders,
                    ));
                }
                self.report(&trade, reporting);
            }
            71..=85 => {
                let cents = self.random.between(20, 900);
                let mut trade = plain(
                    TradeKind::ComputeAuction,
                    cent(cents),
                    "CREDIT",
                    "https://compute.market.example",
                    "gpu-hour",
                );
                trade.auction =
                    Some(self.auction(AuctionFormat::Forward, cents, &[buyer, seller], bidders));
                self.report(&trade, reporting);
            }
            _ => {
                // Data for data: two trades, each with a buyer and a seller, no money.
                let swap_id = format!("swap-{:05}", self.trades);
                let mut there = plain(
                    TradeKind::DataSwap,
                    "0".into(),
                    "USD",
                    "https://swap.market.example",
                    "time-series",
                );
                there.swap_id = Some(swap_id.clone());
                self.report(&there, reporting);
                let back = Trade {
                    buyer: seller,
                    seller: buyer,
                    resource: "labels",
                    delivered_bp: self.around(buyer.quality_bp),
                    swap_id: Some(swap_id),
                    auction: None,
                    amount: "0".into(),
                    ..there
                };
                self.report(&back, Reporting::Unilateral);
            }
        }
    }

    /// Something near the usual quality.
    fn around(&mut self, quality_bp: u64) -> u64 {
        (quality_bp + self.random.between(0, 1200))
            .saturating_sub(600)
            .min(10_000)
    }

    /// An auction with some losing bids: lower ones where buyers bid, higher ones where sellers do.
    fn auction(
        &mut self,
        format: AuctionFormat,
        cents: u64,
        parties: &[&Agent; 2],
        bidders: &[&Agent],
    ) -> Auction {
        let mut losers: Vec<&str> = Vec::new();
        for _ in 0..self.random.between(1, 4) {
            let loser = self.random.pick(bidders).name;
            if parties.iter().all(|party| party.name != loser) && !losers.contains(&loser) {
                losers.push(loser);
            }
        }
        let mut bids = Vec::new();
        for loser in losers {
            let distance = self.random.between(1, 30);
            let bid = match format {
                AuctionFormat::Forward => cents * (100 - distance) / 100,
                AuctionFormat::Reverse => cents * (100 + distance) / 100,
            };
            bids.push((loser.to_owned(), cent(bid.max(1))));
        }
        Auction {
            id: format!("auction-{:05}", self.trades),
            format,
            reserve: (format == AuctionFormat::Forward).then(|| cent((cents / 2).max(1))),
            task_class: Some(*self.random.pick(TaskClass::ALL)),
            utilisation_bp: Some(u16::try_from(self.random.between(10, 98) * 100).unwrap_or(0)),
            bids,
        }
    }

    fn report(&mut self, trade: &Trade<'_>, reporting: Reporting) {
        let trade_id = format!("trade-{:05}", self.trades);
        self.trades += 1;
        let status = match trade.delivered_bp {
            0..=900 => Status::Failed,
            901..=1800 => Status::Disputed,
            1801..=4000 => Status::Partial,
            _ => Status::Fulfilled,
        };
        let row = |reporter: &Agent, subject: &Agent, role| Row {
            line: 0,
            time: trade.time,
            trade_id: trade_id.clone(),
            market: trade.market.to_owned(),
            kind: trade.kind,
            reporter: reporter.name.to_owned(),
            subject: subject.name.to_owned(),
            role,
            amount: trade.amount.clone(),
            currency: trade.currency.to_owned(),
            units: None,
            resource: Some(trade.resource.to_owned()),
            status,
            quality_bp: None,
            on_time: None,
            claimed_quality_bp: None,
            swap_id: trade.swap_id.clone(),
            auction: trade.auction.clone(),
            countersigned: false,
        };
        let rating = u16::try_from(trade.delivered_bp).ok();
        self.rows.push(Row {
            quality_bp: rating,
            on_time: Some(trade.delivered_bp > 3000),
            countersigned: reporting == Reporting::Countersigned,
            ..row(trade.buyer, trade.seller, Role::Buyer)
        });
        if reporting == Reporting::Matched {
            // The seller rates how the buyer paid, and a crook says of itself what it would like to be true.
            let claimed = if trade.seller.nature == Nature::Honest {
                trade.delivered_bp
            } else {
                9800
            };
            self.rows.push(Row {
                status: Status::Fulfilled,
                quality_bp: u16::try_from(self.random.between(9300, 10_000)).ok(),
                claimed_quality_bp: u16::try_from(claimed).ok(),
                ..row(trade.seller, trade.buyer, Role::Seller)
            });
        }
    }
}

/// Ten-thousandths as an amount.
fn micro(ten_thousandths: u64) -> String {
    format!(
        "{}.{:04}",
        ten_thousandths / 10_000,
        ten_thousandths % 10_000
    )
}

/// Hundredths as an amount.
fn cent(hundredths: u64) -> String {
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ingest::{check, import::Agents};

    #[test]
    fn the_market_is_the_same_for_a_seed_and_every_report_is_admissible() {
        let now = 1_790_000_000;
        let market = Market::generate(7, now);
        assert_eq!(market.rows, Market::generate(7, now).rows);
        assert_ne!(market.rows, Market::generate(8, now).rows);
        assert_eq!(market.agents.len(), 40);
        assert!((600..=1000).contains(&market.trades), "{}", market.trades);
        assert!(
            TradeKind::ALL
                .iter()
                .all(|kind| market.trades_of(*kind) > 50)
        );
        assert!(market.rows.iter().any(|row| row.amount == "0.0001"));
        assert!(market.rows.is_sorted_by_key(|row| row.time));
        assert!(
            market
                .rows
                .iter()
                .all(|row| (now - SPAN_S..=now).contains(&row.time))
        );
        let aliases = market.agents.iter().map(|a| a.name.to_owned()).collect();
        let agents = Agents::derive("seed", aliases);
        for row in &market.rows {
            check(agents.sign(row).unwrap(), None).unwrap();
        }
    }

    #[test]
    fn nobody_needs_more_than_a_day_s_quota_of_reports_on_its_word_alone() {
        let market = Market::generate(7, 1_790_000_000);
        for agent in &market.agents {
            let alone = market
                .rows
                .iter()
                .filter(|row| row.reporter == agent.name && !row.countersigned)
                .count();
            assert!(alone < 100, "{}: {alone}", agent.name);
        }
    }
}
