//! Praise for oneself: sybils, reciprocal boosting, wash trading.

use super::kind::AttackKind;
use super::plot::Plot;
use crate::{
    agent::{Agent, DAY},
    num,
};

/// Bad sellers first: they need it.
pub(super) fn worst(agent: &Agent) -> f64 {
    agent.quality.level
}

impl Plot<'_> {
    /// A bad seller's own identities buy from it; the adaptive ones also buy elsewhere and rate as honest buyers would.
    pub(super) fn sybils(&mut self) -> bool {
        let adaptive = self.attack.kind == AttackKind::Adaptive;
        let Some(principal) = self.recruit("principal", |a| a.role.sells(), worst) else {
            return false;
        };
        let count = self.members(1);
        let sybils = self.sybils_registered(count, "sybil");
        let mut all = 0;
        for sybil in &sybils {
            let dishonest = if adaptive {
                self.often(2.0, 6.0)
            } else {
                self.often(4.0, 12.0)
            };
            all += dishonest;
            for _ in 0..dishonest {
                let (venue, time) = (self.home(principal), self.moment(*sybil));
                let rating = self.random.between(0.93, 1.0);
                let trade = self.praised(venue, *sybil, principal, time, rating);
                self.overlay.trades.extend(trade);
            }
            self.camouflage(*sybil, dishonest);
        }
        self.attracts(principal, all / 5);
        self.mixes(principal, &sybils);
        true
    }

    /// Bad sellers buy from each other, each from most of the others.
    pub(super) fn reciprocal(&mut self) -> bool {
        let count = self.members(2);
        let members: Vec<_> = (0..count)
            .map_while(|_| self.recruit_both("principal", worst))
            .collect();
        if members.len() < 2 {
            return false;
        }
        for (i, buyer) in members.iter().enumerate() {
            for seller in &members[..i] {
                if !self.random.chance(0.7) {
                    continue;
                }
                for (buyer, seller) in [(*buyer, *seller), (*seller, *buyer)] {
                    for _ in 0..self.often(3.0, 9.0) {
                        let (venue, time) = (self.home(seller), self.moment(buyer));
                        if self.random.chance(self.attack.camouflage) {
                            self.trades(venue, buyer, seller, time);
                        } else {
                            let rating = self.random.between(0.88, 1.0);
                            let trade = self.praised(venue, buyer, seller, time, rating);
                            self.overlay.trades.extend(trade);
                        }
                    }
                }
            }
        }
        self.mixes(members[0], &members[1..]);
        true
    }

    /// The same money goes round: each member buys from the next for about what it was just paid.
    pub(super) fn wash(&mut self) -> bool {
        let count = self.members(3);
        let mut members: Vec<_> = (0..count)
            .map_while(|_| self.recruit_both("principal", worst))
            .collect();
        if members.len() < 3 {
            return false;
        }
        let c = self.attack.camouflage;
        for _ in 0..self.often(8.0, 20.0) {
            // Who hides more also goes round in another order and with pauses.
            if self.random.chance(c) {
                self.random.shuffle(&mut members);
            }
            let mut time = self.moment(members[0]);
            let mut worth = None;
            for i in 0..members.len() {
                let (buyer, seller) = (members[i], members[(i + 1) % members.len()]);
                let venue = self.home(seller);
                let rating = self.random.between(0.9, 1.0);
                let Some(mut trade) = self.praised(venue, buyer, seller, time, rating) else {
                    continue;
                };
                let currency = self.world.venues[venue].currency.worth;
                let passed = worth.unwrap_or(num::real(trade.micro) * currency);
                // A part is kept or added: little without camouflage, up to a third with it.
                let apart = self.random.between(-1.0, 1.0) * (0.02 + 0.35 * c);
                let passed = passed * (1.0 + apart);
                trade.micro = num::whole(passed / currency + 0.5).max(1);
                trade.auction = None;
                worth = Some(passed);
                let delay = self.random.between(0.2, 5.0 + 60.0 * c) * 3600.0;
                time = (time + num::whole(delay)).min(self.world.span() - DAY / 2);
                self.overlay.trades.push(trade);
            }
        }
        for member in members.clone() {
            self.camouflage(member, 3);
        }
        self.mixes(members[0], &members[1..]);
        true
    }
}
