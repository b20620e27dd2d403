//! From trades to the rows of an import file.

use std::{fmt::Write as _, iter::Peekable, sync::Arc};

use crate::{
    Label, Market,
    labels::Tally,
    market::alias,
    num,
    trade::{Ending, Trade},
    world::Trades,
};

/// The columns of an import file (contract of `goodstanding import`), in order.
pub const COLUMNS: [&str; 23] = [
    "time",
    "trade_id",
    "market",
    "kind",
    "reporter",
    "subject",
    "role",
    "amount",
    "currency",
    "units",
    "resource",
    "status",
    "quality_bp",
    "on_time",
    "claimed_quality_bp",
    "swap_id",
    "auction_id",
    "auction_format",
    "reserve",
    "task_class",
    "utilisation_bp",
    "bids",
    "level",
];

/// One party's report on one trade.
#[derive(Clone, Debug)]
pub struct Report {
    /// When the trade ended, Unix seconds.
    pub time: u64,
    /// Alias of the party that reports.
    pub reporter: Arc<str>,
    /// Alias of the party that it reports on.
    pub subject: Arc<str>,
    /// The buyer reports; else the seller.
    pub by_buyer: bool,
    /// How it ended: fulfilled, partial, failed, disputed or cancelled.
    pub status: &'static str,
    /// The rating; none for a cancelled trade.
    pub quality_bp: Option<u16>,
    /// The subject signed terms.
    pub countersigned: bool,
    on_time: Option<bool>,
    claim_bp: Option<u16>,
    /// Cells `trade_id` to `kind`.
    head: Arc<str>,
    /// Cells `amount` to `resource`.
    money: Arc<str>,
    /// Cells `swap_id` to `bids`.
    auction: Arc<str>,
}

impl Report {
    /// Appends its line, with the line's end.
    pub fn write(&self, line: &mut String) {
        let role = if self.by_buyer { "buyer" } else { "seller" };
        // Writing to a string cannot fail.
        let _ = write!(
            line,
            "{},{},{},{},{role},{},{},",
            self.time, self.head, self.reporter, self.subject, self.money, self.status
        );
        if let Some(bp) = self.quality_bp {
            let _ = write!(line, "{bp}");
        }
        line.push(',');
        if let Some(on_time) = self.on_time {
            line.push_str(if on_time { "true" } else { "false" });
        }
        line.push(',');
        if let Some(bp) = self.claim_bp {
            let _ = write!(line, "{bp}");
        }
        line.push(',');
        line.push_str(&self.auction);
        line.push_str(if self.countersigned {
            ",countersigned\n"
        } else {
            ",\n"
        });
    }
}

/// The reports of a market, ascending in time.
pub struct Reports<'m> {
    market: &'m Market,
    honest: Peekable<Trades<'m>>,
    /// How many of the overlay's trades were told.
    told: usize,
    /// The second report of the trade before.
    second: Option<Report>,
    tally: Tally,
    aliases: Vec<Arc<str>>,
}

impl std::fmt::Debug for Reports<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Reports")
    }
}

impl<'m> Reports<'m> {
    pub(crate) fn new(market: &'m Market) -> Self {
        let agents = market.world.agents.len();
        Self {
            market,
            honest: Trades::new(&market.world).peekable(),
            told: 0,
            second: None,
            tally: Tally::new(agents),
            aliases: (0..agents)
                .map(|id| alias(market.world.seed, id).into())
                .collect(),
        }
    }

    /// What everybody really is, with what was sold so far: complete after the last report.
    pub fn labels(&self) -> Vec<Label> {
        self.tally.labels(self.market)
    }

    /// The next trade of the honest world or of the attackers.
    fn next_trade(&mut self) -> Option<Trade> {
        let overlay = &self.market.overlay;
        loop {
            let attack = overlay.trades.get(self.told);
            let honest_first = match (self.honest.peek(), attack) {
                (Some(honest), Some(attack)) => honest.time <= attack.time,
                (Some(_), None) => true,
                (None, _) => false,
            };
            if !honest_first {
                self.told += 1;
                return attack.cloned();
            }
            let mut trade = self.honest.next()?;
            if overlay.bend(&mut trade, &self.market.world) {
                return Some(trade);
            }
        }
    }

    /// The buyer's and the seller's report.
    fn tell(&self, trade: &Trade) -> [Option<Report>; 2] {
        let venue = &self.market.world.venues[trade.venue];
        let head: Arc<str> = format!(
            "t{:012x},{},{}",
            trade.serial,
            venue.name,
            venue.kind.as_str()
        )
        .into();
        let mut money = String::with_capacity(48);
        push_micro(&mut money, trade.micro);
        let _ = write!(money, ",{},{},", venue.currency.code, trade.units);
        if let Some(parent) = trade.parent {
            let _ = write!(money, "part of t{parent:012x}");
        }
        let money: Arc<str> = money.into();
        let auction: Arc<str> = self.auction(trade).into();
        let report = |by_buyer: bool, ending: Ending, rating: f64| {
            let (a, b) = if by_buyer {
                (trade.buyer, trade.seller)
            } else {
                (trade.seller, trade.buyer)
            };
            Report {
                time: self.market.begin + trade.time,
                reporter: Arc::clone(&self.aliases[a]),
                subject: Arc::clone(&self.aliases[b]),
                by_buyer,
                status: ending.as_str(),
                quality_bp: (ending != Ending::Cancelled).then(|| num::bp(rating)),
                countersigned: false,
                on_time: None,
                claim_bp: None,
                head: Arc::clone(&head),
                money: Arc::clone(&money),
                auction: Arc::clone(&auction),
            }
        };
        let bought = trade.by_buyer.map(|r| Report {
            on_time: Some(r.on_time),
            countersigned: r.countersigned,
            ..report(true, r.ending, r.rating)
        });
        let sold = trade.by_seller.map(|r| Report {
            claim_bp: r.claim.map(num::bp),
            countersigned: r.countersigned,
            ..report(false, r.ending, r.rating)
        });
        [bought, sold]
    }

    /// Cells `swap_id` to `bids`.
    fn auction(&self, trade: &Trade) -> String {
        let mut cells = String::new();
        if let Some(swap) = trade.swap {
            let _ = write!(cells, "s{swap:012x}");
        }
        let Some(auction) = &trade.auction else {
            cells.push_str(",,,,,,");
            return cells;
        };
        let format = if auction.forward {
            "forward"
        } else {
            "reverse"
        };
        let _ = write!(cells, ",a{:012x},{format},", trade.serial);
        if let Some(reserve) = auction.reserve {
            push_micro(&mut cells, reserve);
        }
        cells.push(',');
        cells.push_str(match auction.class {
            Some(0) => "trivial",
            Some(1) => "normal",
            Some(_) => "urgent",
            None => "",
        });
        cells.push(',');
        if let Some(bp) = auction.utilisation_bp {
            let _ = write!(cells, "{bp}");
        }
        cells.push(',');
        for (i, (who, micro)) in auction.bids.iter().enumerate() {
            if i > 0 {
                cells.push('|');
            }
            cells.push_str(&self.aliases[*who]);
            cells.push(':');
            push_micro(&mut cells, *micro);
        }
        cells
    }
}

impl Iterator for Reports<'_> {
    type Item = Report;

    fn next(&mut self) -> Option<Report> {
        if let Some(second) = self.second.take() {
            return Some(second);
        }
        loop {
            let trade = self.next_trade()?;
            debug_assert!(trade.time < self.market.world.span());
            self.tally.count(&trade, &self.market.world);
            let [bought, sold] = self.tell(&trade);
            if bought.is_some() {
                self.second = sold;
                return bought;
            }
            if sold.is_some() {
                return sold;
            }
            // Nobody told: the world has the trade, the file does not.
        }
    }
}

/// Millionths as a decimal, without needless zeros.
fn push_micro(text: &mut String, micro: u64) {
    let (whole, part) = (micro / 1_000_000, micro % 1_000_000);
    let _ = write!(text, "{whole}");
    if part > 0 {
        let digits = format!("{part:06}");
        text.push('.');
        text.push_str(digits.trim_end_matches('0'));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_written_shortest() {
        for (micro, want) in [
            (1, "0.000001"),
            (100, "0.0001"),
            (2_500_000, "2.5"),
            (3_000_000, "3"),
        ] {
            let mut text = String::new();
            push_micro(&mut text, micro);
            assert_eq!(text, want);
        }
    }
}
