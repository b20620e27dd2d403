//! One honest trade: its price, what is delivered, and who says what about it.

use super::World;
use crate::{
    agent::{Id, day_of},
    num,
    random::Random,
    trade::{Auction, BuyerReport, Ending, Kind, SellerReport, Trade},
};

/// Ratings below this make a buyer unhappy.
pub(crate) const UNHAPPY: f64 = 0.5;

impl World {
    /// A trade between two agents at a venue, at an honest price and with honest reports; auctions have no bids yet.
    pub(crate) fn deal(
        &self,
        venue: usize,
        buyer: Id,
        seller: Id,
        time: u64,
        random: &mut Random,
    ) -> Trade {
        let (micro, units) = self.price(venue, self.agents[seller].price, time, random);
        let mut trade = Trade {
            time,
            serial: random.bits() >> 16,
            venue,
            buyer,
            seller,
            micro,
            units,
            parent: None,
            delivered: self.delivery(self.agents[seller].quality.at(day_of(time)), random),
            swap: None,
            auction: None,
            by_buyer: None,
            by_seller: None,
        };
        self.report(&mut trade, random);
        trade
    }

    /// Price in millionths of the venue's currency, and units.
    pub(crate) fn price(
        &self,
        venue: usize,
        seller: f64,
        time: u64,
        random: &mut Random,
    ) -> (u64, u64) {
        let venue = &self.venues[venue];
        let wide = self.habits.amount_spread;
        // Of the reference currency: a unit's price, and units in the median.
        let (unit, median, deviation) = match venue.kind {
            Kind::Swap => (0.49, 1.0, 0.7),
            Kind::Purchase => (0.0001, 8.5, 2.0),
            Kind::Auction => (0.002, 500.0, 0.7),
            Kind::Service => (2.0, 1.0, 0.85),
        };
        let many = (median * random.spread(deviation * wide)).clamp(0.01, 1e7);
        let (units, odd) = if median > 1.0 {
            (num::whole(many).max(1), 1.0)
        } else {
            (1, many)
        };
        let level = venue.level * seller * random.spread(0.05) * venue.surge(time);
        let worth = unit * odd * level * num::real(units) / venue.currency.worth;
        (num::whole(worth * 1e6 + 0.5).max(1), units)
    }

    /// What so many units of a purchase cost by the venue's list, millionths of its currency.
    pub(crate) fn list_price(&self, venue: usize, units: u64) -> f64 {
        let venue = &self.venues[venue];
        100.0 * num::real(units) * venue.level / venue.currency.worth
    }

    /// What is delivered of something promised, by a seller of this quality; 0 is a failure.
    pub(crate) fn delivery(&self, quality: f64, random: &mut Random) -> f64 {
        let fails = random.chance(self.habits.failures * 2.0 * (1.3 - quality));
        let noisy = quality + self.habits.quality_noise * random.normal();
        if fails { 0.0 } else { noisy.clamp(0.01, 1.0) }
    }

    /// Both parties' honest reports, as far as they report.
    pub(crate) fn report(&self, trade: &mut Trade, random: &mut Random) {
        trade.by_buyer = self.buyer_report(trade, random);
        trade.by_seller = self.seller_report(trade, random);
    }

    /// The buyer's honest report on what was delivered, if it makes one.
    pub(crate) fn buyer_report(&self, trade: &Trade, random: &mut Random) -> Option<BuyerReport> {
        let h = &self.habits;
        let failed = trade.delivered <= 0.0;
        let rated = self.agents[trade.buyer]
            .rater
            .rate(trade.delivered, h, random);
        let rating = if failed { 0.0 } else { rated };
        let ending = match (failed, rating < UNHAPPY, random.unit()) {
            (true, _, x) if x < 0.55 => Ending::Failed,
            (true, _, x) if x < 0.95 => Ending::Disputed,
            (true, ..) => Ending::Cancelled,
            (false, true, x) if x < 0.15 => Ending::Disputed,
            (false, true, x) if x < 0.35 => Ending::Partial,
            _ => Ending::Fulfilled,
        };
        let on_time = !failed && random.chance(0.75 + 0.24 * trade.delivered);
        let bias = if rating < UNHAPPY { h.unhappy } else { 1.0 };
        let reports = random.chance((h.buyer_reports * bias).min(1.0));
        let countersigned = random.chance(h.countersigned);
        reports.then_some(BuyerReport {
            ending,
            rating,
            on_time,
            countersigned,
        })
    }

    fn seller_report(&self, trade: &Trade, random: &mut Random) -> Option<SellerReport> {
        let h = &self.habits;
        let failed = trade.delivered <= 0.0;
        let owes = random.chance(0.5) && self.agents[trade.buyer].late_payer;
        let part = random.between(0.1, 0.8);
        let x = random.unit();
        let ending = match (failed, owes) {
            (true, _) if x < 0.3 => Ending::Disputed,
            (true, _) if x < 0.35 => Ending::Cancelled,
            (_, true) if x < 0.6 => Ending::Disputed,
            (_, true) => Ending::Partial,
            _ => Ending::Fulfilled,
        };
        let error = 0.02 * random.normal() + h.claim_optimism;
        let claim = if failed {
            0.0
        } else {
            num::clip(trade.delivered + error)
        };
        let reports = random.chance(h.seller_reports);
        let countersigned = random.chance(h.countersigned);
        reports.then_some(SellerReport {
            ending,
            rating: if owes {
                part
            } else if ending == Ending::Fulfilled {
                1.0
            } else {
                0.5
            },
            claim: self.agents[trade.seller].claims.then_some(claim),
            countersigned,
        })
    }

    /// Gives a trade of compute or a service the auction that found its price, with these losers at most.
    pub(crate) fn hold_auction(&self, trade: &mut Trade, losers: &[Id], random: &mut Random) {
        let venue = &self.venues[trade.venue];
        let forward = match venue.kind {
            Kind::Auction => true,
            Kind::Service if !random.chance(self.habits.negotiated) => false,
            _ => return,
        };
        let mut bids: Vec<(Id, u64)> = Vec::with_capacity(losers.len());
        for loser in losers {
            // The cheapest does not always win a tender: quality counts too.
            let odd = !forward && random.chance(0.1);
            let apart = libm::exp(-(random.normal() * venue.bid_spread).abs());
            let ratio = if forward || odd { apart } else { 1.0 / apart };
            let bid = num::whole(num::real(trade.micro) * ratio).max(1);
            let twice = bids.iter().any(|(who, _)| who == loser);
            if !twice && *loser != trade.buyer && *loser != trade.seller {
                bids.push((*loser, bid));
            }
        }
        let busy = venue.surge(trade.time) > 1.0;
        let utilisation = if busy {
            random.between(0.93, 1.0)
        } else {
            (0.72 + 0.1 * random.normal()).clamp(0.2, 0.95)
        };
        let class = match random.unit() {
            x if x < 0.33 => 0,
            x if x < 0.91 => 1,
            _ => 2,
        };
        let reserve = if forward {
            random.between(0.4, 0.9)
        } else {
            random.between(1.2, 2.2)
        };
        trade.auction = Some(Auction {
            forward,
            reserve: Some(num::whole(num::real(trade.micro) * reserve).max(1)),
            class: forward.then_some(class),
            utilisation_bp: forward.then_some(num::bp(utilisation) / 100 * 100),
            bids,
        });
    }
}
