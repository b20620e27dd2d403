//! Against others: slander, closed loops, hoarded reputation.

use super::{Bend, plot::Plot};
use crate::{
    agent::{Agent, DAY, Id},
    num,
};

/// Agents that buy much first.
fn busiest(agent: &Agent) -> f64 {
    -agent.activity
}

/// Good sellers first.
fn best(agent: &Agent) -> f64 {
    -agent.quality.level
}

impl Plot<'_> {
    /// Buyers, half of them bought and half of them new, mark a good competitor or two down and everybody else as they should.
    pub(super) fn slander(&mut self) -> bool {
        let count = self.members(2);
        let turned: Vec<Id> = (0..count.div_ceil(2))
            .map_while(|_| self.recruit("slanderer", |a| a.role.buys(), |_| 0.0))
            .collect();
        if turned.is_empty() {
            return false;
        }
        let mut slanderers = turned;
        let new = self.sybils_registered(count / 2, "slanderer");
        slanderers.extend(new);
        let victims = self.victims();
        for (venue, victim) in &victims {
            let group = format!("{}_{}", self.attack.kind.label(), self.number);
            self.overlay.victims.insert(*victim, group);
            for slanderer in &slanderers {
                let dishonest = self.often(2.0, 7.0);
                for _ in 0..dishonest {
                    let time = self.moment(*slanderer);
                    if self.world.agents[*victim].here(time) {
                        self.slanders(*venue, *slanderer, *victim, time);
                    }
                }
                self.camouflage(*slanderer, dishonest);
            }
        }
        !victims.is_empty()
    }

    /// One or two of the best among some sellers that stay.
    fn victims(&mut self) -> Vec<(usize, Id)> {
        let mut victims = Vec::new();
        for _ in 0..self.random.among(1, 2) {
            let venue = self.random.below(self.world.venues.len());
            let time = num::whole(self.from * num::real(DAY));
            let mut seen: Vec<Id> = (0..10)
                .filter_map(|_| self.honest_seller(venue, time))
                .collect();
            seen.retain(|id| {
                self.world.agents[*id].leave.is_none() && !self.overlay.victims.contains_key(id)
            });
            seen.sort_by(|a, b| {
                let quality = |id: &Id| self.world.agents[*id].quality.level;
                quality(b).total_cmp(&quality(a)).then(a.cmp(b))
            });
            victims.extend(seen.first().map(|id| (venue, *id)));
        }
        victims
    }

    /// Insiders begin to buy from each other, and deliver honestly.
    pub(super) fn closed_loop(&mut self) -> bool {
        let count = self.members(4);
        let members: Vec<Id> = (0..count)
            .map_while(|_| self.recruit_both("insider", busiest))
            .collect();
        if members.len() < 4 {
            return false;
        }
        for buyer in &members {
            let bend = Bend::Refuses {
                from: self.from,
                to: self.to,
                camouflage: self.attack.camouflage,
            };
            self.bends(*buyer, bend);
            let much = self.often(25.0, 60.0);
            for _ in 0..much {
                let time = self.moment(*buyer);
                if self.random.chance(self.attack.camouflage) {
                    self.looks_honest(*buyer);
                    continue;
                }
                if let Some(seller) = self.random.pick(&members) {
                    let venue = self.home(seller);
                    self.trades(venue, *buyer, seller, time);
                }
            }
        }
        true
    }

    /// Established sellers praise each other a little and mark newcomers down who rise beside them.
    pub(super) fn hoarding(&mut self) -> bool {
        let count = self.members(3);
        let members: Vec<Id> = (0..count)
            .map_while(|_| self.recruit_both("insider", best))
            .collect();
        if members.len() < 3 {
            return false;
        }
        let group = format!("{}_{}", self.attack.kind.label(), self.number);
        for buyer in &members {
            for _ in 0..self.often(8.0, 18.0) {
                let time = self.moment(*buyer);
                if self.random.chance(self.attack.camouflage) {
                    self.looks_honest(*buyer);
                    continue;
                }
                let Some(other) = self.random.pick(&members) else {
                    continue;
                };
                let venue = self.home(other);
                let rival = self.honest_seller(venue, time);
                let rising = rival.filter(|id| {
                    self.world.agents[*id].newcomer && self.world.agents[*id].quality.level > 0.6
                });
                if let Some(rival) = rising {
                    self.overlay.victims.insert(rival, group.clone());
                    self.slanders(venue, *buyer, rival, time);
                } else {
                    let rating = self.random.between(0.94, 1.0);
                    let trade = self.praised(venue, *buyer, other, time, rating);
                    self.overlay.trades.extend(trade);
                }
            }
        }
        true
    }
}
