//! One trade as it happened: what both reports are made from.

use crate::agent::Id;

/// Kind of trade, in the order of the shares in the habits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Kind {
    Swap,
    Purchase,
    Auction,
    Service,
}

impl Kind {
    pub(crate) const ALL: [Self; 4] = [Self::Swap, Self::Purchase, Self::Auction, Self::Service];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Swap => "data_swap",
            Self::Purchase => "purchase",
            Self::Auction => "compute_auction",
            Self::Service => "service",
        }
    }
}

/// A currency and what a unit of it is worth, in the reference currency.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Currency {
    pub(crate) code: &'static str,
    pub(crate) worth: f64,
}

pub(crate) const USDC: Currency = Currency {
    code: "USDC",
    worth: 1.0,
};
pub(crate) const CREDIT: Currency = Currency {
    code: "CREDIT",
    worth: 1.0,
};
/// Other currencies that a policy lists by default.
pub(crate) const LISTED: [Currency; 3] = [
    Currency {
        code: "EUR",
        worth: 1.1,
    },
    Currency {
        code: "USD",
        worth: 1.0,
    },
    Currency {
        code: "USDT",
        worth: 1.0,
    },
];
/// Currencies that no policy lists by default.
pub(crate) const UNLISTED: [Currency; 2] = [
    Currency {
        code: "GPUH",
        worth: 0.5,
    },
    Currency {
        code: "JPYC",
        worth: 0.007,
    },
];

/// A place where one kind of thing is traded: a `market` of the reports.
#[derive(Clone, Debug)]
pub(crate) struct Venue {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) currency: Currency,
    /// Price level, relative to the kind's.
    pub(crate) level: f64,
    /// Deviation of ln of the bids here.
    pub(crate) bid_spread: f64,
    /// Times in which capacity is scarce: from, to (seconds), how much dearer.
    pub(crate) surges: Vec<(u64, u64, f64)>,
    /// The sellers of the opening days here, at least two.
    pub(crate) founders: Vec<Id>,
}

impl Venue {
    /// How much dearer it is now than usual; 1 = as usual.
    pub(crate) fn surge(&self, time: u64) -> f64 {
        self.surges
            .iter()
            .find(|(from, to, _)| (*from..*to).contains(&time))
            .map_or(1.0, |s| s.2)
    }
}

/// The auction that found a price.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Auction {
    /// The highest bid wins; else the lowest.
    pub(crate) forward: bool,
    /// Reserve, millionths of the currency.
    pub(crate) reserve: Option<u64>,
    /// 0 trivial, 1 normal, 2 urgent; of compute only.
    pub(crate) class: Option<u8>,
    /// Of compute only.
    pub(crate) utilisation_bp: Option<u16>,
    /// Losing bids, millionths of the currency.
    pub(crate) bids: Vec<(Id, u64)>,
}

/// How the buyer says it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    Fulfilled,
    Partial,
    Failed,
    Disputed,
    Cancelled,
}

impl Ending {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Fulfilled => "fulfilled",
            Self::Partial => "partial",
            Self::Failed => "failed",
            Self::Disputed => "disputed",
            Self::Cancelled => "cancelled",
        }
    }
}

/// The buyer's report on the seller.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct BuyerReport {
    pub(crate) ending: Ending,
    pub(crate) rating: f64,
    pub(crate) on_time: bool,
    pub(crate) countersigned: bool,
}

/// The seller's report on the buyer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct SellerReport {
    pub(crate) ending: Ending,
    /// Whether it was paid, and in full.
    pub(crate) rating: f64,
    pub(crate) claim: Option<f64>,
    pub(crate) countersigned: bool,
}

/// A trade.
#[derive(Clone, Debug)]
pub(crate) struct Trade {
    /// Seconds since the market's beginning.
    pub(crate) time: u64,
    /// Names the trade: unique, says nothing about it.
    pub(crate) serial: u64,
    pub(crate) venue: usize,
    pub(crate) buyer: Id,
    pub(crate) seller: Id,
    /// Price, millionths of the venue's currency.
    pub(crate) micro: u64,
    pub(crate) units: u64,
    /// The trade on whose behalf this one was made.
    pub(crate) parent: Option<u64>,
    /// What was really delivered, as a share of what was paid for; a failure is 0.
    pub(crate) delivered: f64,
    pub(crate) swap: Option<u64>,
    pub(crate) auction: Option<Auction>,
    pub(crate) by_buyer: Option<BuyerReport>,
    pub(crate) by_seller: Option<SellerReport>,
}
