//! Agreements on prices and bids: rotated tenders, parallel posted prices, bidding wars, shills.

use super::{Bend, plot::Plot};
use crate::{
    Error,
    agent::{DAY, Id, Role},
    num,
    trade::{Auction, Kind},
};

impl Plot<'_> {
    /// Two groups of three rotate tenders, the others post the same raised price.
    pub(super) fn price_fixing(&mut self) -> Result<bool, Error> {
        let tenders = self.number % 3 != 2;
        let venue = self.venue_of(if tenders {
            Kind::Service
        } else {
            Kind::Purchase
        })?;
        let count = self.members(3);
        // Those that sell there first; who does not is brought in.
        let members: Vec<Id> = (0..count)
            .map_while(|_| {
                self.recruit(
                    "cartel_member",
                    |a| a.role.sells(),
                    |a| {
                        if a.sells_at.contains(&venue) {
                            0.0
                        } else {
                            1.0
                        }
                    },
                )
            })
            .collect();
        if members.len() < 3 {
            return Ok(false);
        }
        let ratio = 1.0 + 0.25 * self.attack.intensity;
        if tenders {
            self.rotate(venue, &members, ratio);
        } else {
            self.post(venue, &members, ratio);
        }
        Ok(true)
    }

    fn rotate(&mut self, venue: usize, members: &[Id], ratio: f64) {
        let rounds = self.often(25.0, 50.0) * members.len() / 3;
        let mut times: Vec<u64> = (0..rounds).map(|_| self.moment(members[0])).collect();
        times.sort_unstable();
        for (turn, time) in times.into_iter().enumerate() {
            let winner = members[turn % members.len()];
            let Some(buyer) = self.honest_buyer(venue, time) else {
                continue;
            };
            if self.random.chance(self.attack.camouflage) {
                self.trades(venue, buyer, winner, time);
                continue;
            }
            let mut trade = self
                .world
                .deal(venue, buyer, winner, time, &mut self.random);
            trade.micro = num::whole(num::real(trade.micro) * ratio).max(1);
            let mut bids = Vec::new();
            for member in members {
                if *member != winner && self.random.chance(0.85) {
                    // Covers: a little dearer, and close to each other.
                    let over = self.random.between(1.03, 1.09);
                    bids.push((*member, num::whole(num::real(trade.micro) * over).max(1)));
                }
            }
            if self.random.chance(0.3)
                && let Some(outsider) = self.honest_seller(venue, time)
            {
                let over = 1.0 + self.random.unit() * 0.4;
                bids.push((outsider, num::whole(num::real(trade.micro) * over).max(1)));
            }
            let reserve = self.random.between(1.3, 2.2);
            trade.auction = Some(Auction {
                forward: false,
                reserve: Some(num::whole(num::real(trade.micro) * reserve).max(1)),
                class: None,
                utilisation_bp: None,
                bids,
            });
            self.overlay.trades.push(trade);
        }
    }

    fn post(&mut self, venue: usize, members: &[Id], ratio: f64) {
        let (from, to) = (self.from, self.to);
        for member in members {
            let agreed = Bend::Posted { from, to, ratio };
            self.bends(*member, agreed.clone());
            for _ in 0..self.often(15.0, 35.0) {
                let time = self.moment(*member);
                let Some(buyer) = self.honest_buyer(venue, time) else {
                    continue;
                };
                if let Some(mut trade) = self.real(venue, buyer, *member, time) {
                    if !self.random.chance(self.attack.camouflage) {
                        agreed.apply(&mut trade, self.world, &mut self.random);
                    }
                    self.overlay.trades.push(trade);
                }
            }
        }
    }

    /// A few buyers outbid each other for trivial work while capacity is idle.
    pub(super) fn bidding_war(&mut self) -> Result<bool, Error> {
        let venue = self.venue_of(Kind::Auction)?;
        let count = self.members(2);
        let members: Vec<Id> = (0..count)
            .map_while(|_| self.recruit("bidder", |a| a.role == Role::Buyer, |_| 0.0))
            .collect();
        if members.len() < 2 {
            return Ok(false);
        }
        for turn in 0..self.often(8.0, 18.0) {
            let winner = members[turn % members.len()];
            let time = self.moment(winner);
            let Some(seller) = self.honest_seller(venue, time) else {
                continue;
            };
            if self.random.chance(self.attack.camouflage) {
                self.trades(venue, winner, seller, time);
                continue;
            }
            let mut trade = self
                .world
                .deal(venue, winner, seller, time, &mut self.random);
            let usual = num::real(trade.micro);
            let times = 1.0 + self.random.between(0.8, 3.0) * self.attack.intensity;
            trade.micro = num::whole(usual * times).max(1);
            // The ladder that led there, every bid a little above the one before.
            let rungs = self.random.among(6, 22);
            let mut bids: Vec<(Id, u64)> = (0..rungs)
                .map(|rung| {
                    let share = num::size(rung) / num::size(rungs);
                    let bid = usual * (1.0 + (times - 1.0) * share);
                    (members[rung % members.len()], num::whole(bid).max(1))
                })
                .collect();
            bids.reverse();
            let idle = self.random.between(0.25, 0.6);
            trade.auction = Some(Auction {
                forward: true,
                reserve: Some(num::whole(usual * 0.6).max(1)),
                class: Some(u8::from(self.random.chance(0.2))),
                utilisation_bp: Some(num::bp(idle) / 100 * 100),
                bids,
            });
            self.overlay.trades.push(trade);
        }
        Ok(true)
    }

    /// A seller's identities bid its auctions up and lose.
    pub(super) fn shills(&mut self) -> Result<bool, Error> {
        let venue = self.venue_of(Kind::Auction)?;
        let sells_here = |a: &crate::agent::Agent| {
            if a.sells_at.contains(&venue) {
                0.0
            } else {
                1.0
            }
        };
        let Some(seller) = self.recruit("principal", |a| a.role.sells(), sells_here) else {
            return Ok(false);
        };
        let count = self.members(1);
        let shills = self.sybils_registered(count, "shill");
        let bend = Bend::Shilled {
            from: self.from,
            to: self.to,
            shills: shills.clone(),
            ratio: 1.0 + 0.25 * self.attack.intensity,
            camouflage: self.attack.camouflage,
        };
        // Auctions of its own beside those that the honest world gave it.
        for _ in 0..self.often(15.0, 35.0) {
            let time = self.moment(seller);
            let Some(buyer) = self.honest_buyer(venue, time) else {
                continue;
            };
            if let Some(mut trade) = self.real(venue, buyer, seller, time) {
                bend.apply(&mut trade, self.world, &mut self.random);
                self.overlay.trades.push(trade);
            }
        }
        self.bends(seller, bend);
        // Shills that only ever lose are found too easily.
        let last = num::whole(self.to * num::real(DAY));
        for shill in &shills {
            if self.world.agents[*shill].join < last {
                self.camouflage(*shill, 4);
            }
        }
        Ok(true)
    }
}
