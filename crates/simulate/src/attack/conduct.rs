//! Bad conduct of single sellers: on and off, lies about quality, farming by tiny trades, new names.

use super::{Bend, plot::Plot};
use crate::{
    agent::{Agent, DAY, Quality, Role},
    num,
    trade::Kind,
};

/// Sellers that are seen first.
fn visible(agent: &Agent) -> f64 {
    -agent.visibility
}

impl Plot<'_> {
    /// Good weeks and bad weeks in turn, to the end.
    pub(super) fn on_off(&mut self) -> bool {
        let Some(seller) = self.recruit(
            "principal",
            |a| a.role.sells() && a.quality.level > 0.5,
            visible,
        ) else {
            return false;
        };
        let to = if self.attack.duration > 0.0 {
            self.to
        } else {
            self.world.days()
        };
        let mut windows = Vec::new();
        let mut day = self.from;
        while day < to {
            let off = self.random.between(0.04, 0.14) * self.world.days();
            windows.push((day, (day + off).min(to)));
            day += off + off * self.random.between(0.6, 1.6);
        }
        let keep = self.random.between(0.1, 0.35) / self.attack.intensity.max(0.3);
        let camouflage = self.attack.camouflage;
        self.bends(
            seller,
            Bend::Off {
                windows,
                keep: keep.min(0.95),
                camouflage,
            },
        );
        true
    }

    /// Delivers less than it claims: half of the liars blatantly, half modestly.
    pub(super) fn lie(&mut self) -> bool {
        let Some(seller) = self.recruit("principal", |a| a.role.sells(), visible) else {
            return false;
        };
        let keep = if self.random.chance(0.5) {
            self.random.between(0.4, 0.6)
        } else {
            self.random.between(0.7, 0.85)
        };
        let missing = ((1.0 - keep) * self.attack.intensity).min(0.95);
        let honest = self.world.agents[seller].quality.level;
        let bend = Bend::Lie {
            from: self.from,
            to: self.world.days(),
            keep: 1.0 - missing,
            claim: (honest + self.random.between(0.0, 0.2)).min(0.98),
            camouflage: self.attack.camouflage,
        };
        self.bends(seller, bend);
        true
    }

    /// Many tiny purchases, well delivered, and little for whoever pays much.
    pub(super) fn micro_farm(&mut self) -> bool {
        let Some(seller) = self.recruit("principal", |a| a.role.sells(), |a| a.quality.level)
        else {
            return false;
        };
        let tiny = self.venue_of(Kind::Purchase).ok();
        let home = self.home(seller);
        let venue = tiny.unwrap_or(home);
        let level = self.world.agents[seller].quality.clone();
        let mut sums = Vec::new();
        for _ in 0..self.often(120.0, 260.0) {
            let time = self.moment_between(self.from, self.world.days(), seller);
            let Some(buyer) = self.honest_buyer(venue, time) else {
                continue;
            };
            self.world.agents[seller].quality = Quality::fixed(0.94);
            let trade = self.real(venue, buyer, seller, time);
            self.world.agents[seller].quality = level.clone();
            let Some(mut trade) = trade else { continue };
            // A few units, whatever the venue's usual trade is.
            let worth = self.random.between(100.0, 900.0);
            let currency = self.world.venues[venue].currency.worth;
            trade.micro = num::whole(worth / currency).max(1);
            trade.units = 1 + trade.micro / 100;
            sums.push(worth);
            self.overlay.trades.push(trade);
        }
        let keep = (self.random.between(0.3, 0.6) / self.attack.intensity).min(0.95);
        let bend = Bend::Large {
            from: 0.0,
            to: self.world.days(),
            worth: 2_000.0,
            keep,
            camouflage: self.attack.camouflage,
        };
        self.bends(seller, bend);
        // And some that pay much and were attracted by the praise.
        let dear: Vec<usize> = (0..self.world.venues.len())
            .filter(|v| self.world.venues[*v].kind != Kind::Purchase)
            .collect();
        for _ in 0..sums.len() / 12 {
            let time = self.moment(seller);
            let venue = self.random.pick(&dear).unwrap_or(venue);
            if let Some(buyer) = self.honest_buyer(venue, time) {
                let c = self.attack.camouflage;
                self.world.agents[seller].quality = if self.random.chance(c) {
                    Quality::fixed(0.94)
                } else {
                    Quality::fixed((level.level * keep).max(0.05))
                };
                self.trades(venue, buyer, seller, time);
                self.world.agents[seller].quality = level.clone();
            }
        }
        true
    }

    /// One bad identity after the other, each for some weeks.
    pub(super) fn whitewash(&mut self) -> bool {
        let Some(first) = self.recruit("principal", |a| a.role.sells(), |a| a.quality.level) else {
            return false;
        };
        let venue = self.home(first);
        let (count, days) = (self.members(1), self.world.days());
        let quality = self.random.between(0.08, 0.22);
        let life = ((days - self.from) / num::size(count + 1)).max(1.0);
        let mut seller = first;
        let mut day = self.from;
        for turn in 0..=count {
            let until = (day + life * self.random.between(0.6, 1.0)).min(days);
            for _ in 0..self.often(5.0, 11.0) {
                let time = self.moment_between(day, until, seller);
                let Some(buyer) = self.honest_buyer(venue, time) else {
                    continue;
                };
                if turn > 0 && self.random.chance(self.attack.camouflage) {
                    self.world.agents[seller].quality = Quality::fixed(0.8);
                }
                self.trades(venue, buyer, seller, time);
                if turn > 0 {
                    self.world.agents[seller].quality = Quality::fixed(quality);
                }
            }
            if turn == 0 {
                // The honest world still counts on it; what it would have sold does not take place.
                self.bends(first, Bend::Gone { from: until });
            }
            day += life;
            if turn == count || day >= days - 1.0 {
                break;
            }
            // The old name falls silent, and a new one appears soon after.
            if turn > 0 {
                let end = num::whole(until * num::real(DAY)) + DAY;
                self.world.agents[seller].leave = Some(end);
            }
            let next = day + self.random.between(0.0, 2.0);
            let price = self.world.agents[first].price;
            seller = self.identity(next, Role::Seller, "reentry", quality);
            self.world.agents[seller].price = price;
            self.world.agents[seller].sells_at.push(venue);
        }
        true
    }
}
