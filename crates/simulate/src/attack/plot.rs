//! What every attack needs: people, a time, real and faked trades.

use super::{Bend, Overlay, Part, kind::Attack};
use crate::{
    Error,
    agent::{Agent, DAY, Id, Quality, Rater, Role},
    num,
    random::Random,
    trade::{BuyerReport, Ending, Kind, SellerReport, Trade},
    world::World,
};

/// Who is free to be recruited, and who trades where.
pub(super) struct Free {
    /// Honest agents without a part, in random order: neither trust roots nor members of honest clusters.
    pool: Vec<Id>,
    sellers: Vec<Vec<Id>>,
    buyers: Vec<Vec<Id>>,
}

impl Free {
    pub(super) fn of(world: &World) -> Self {
        let mut pool: Vec<Id> = (0..world.honest)
            .filter(|id| {
                let a = &world.agents[*id];
                a.cluster.is_none() && world.seeds.binary_search(id).is_err()
            })
            .collect();
        Random::stream(world.seed, "recruits", 0).shuffle(&mut pool);
        let at = |selling: bool| -> Vec<Vec<Id>> {
            let mut all = vec![Vec::new(); world.venues.len()];
            for (id, a) in world.agents.iter().enumerate() {
                let places = if selling { &a.sells_at } else { &a.buys_at };
                for venue in places {
                    all[*venue].push(id);
                }
            }
            all
        };
        Self {
            pool,
            sellers: at(true),
            buyers: at(false),
        }
    }
}

/// One group's attack.
pub(super) struct Plot<'a> {
    pub(super) world: &'a mut World,
    pub(super) overlay: &'a mut Overlay,
    free: &'a mut Free,
    pub(super) attack: &'a Attack,
    pub(super) number: usize,
    pub(super) random: Random,
    /// First and last day.
    pub(super) from: f64,
    pub(super) to: f64,
}

impl<'a> Plot<'a> {
    pub(super) fn new(
        world: &'a mut World,
        overlay: &'a mut Overlay,
        free: &'a mut Free,
        attack: &'a Attack,
        number: usize,
    ) -> Self {
        let index = u64::try_from(number).unwrap_or(0);
        let mut random = Random::stream(world.seed, attack.kind.as_str(), index);
        let days = world.days();
        let (own_from, own_long) = (random.between(0.1, 0.5), random.between(0.25, 0.5));
        let from = days
            * if attack.from < 0.0 {
                own_from
            } else {
                attack.from
            };
        let long = if attack.duration > 0.0 {
            attack.duration
        } else {
            own_long * days
        };
        Self {
            world,
            overlay,
            free,
            attack,
            number,
            random,
            from,
            to: (from + long).min(days * 0.99),
        }
    }

    /// How many times an attacker does a thing that is usually done so often: with intensity, and in proportion to what others trade.
    pub(super) fn often(&mut self, least: f64, most: f64) -> usize {
        let usual = self.random.between(least, most);
        let density = self.world.density().clamp(0.15, 3.0);
        self.random
            .round(usual * self.attack.intensity * density)
            .max(1)
    }

    /// Members of a group: about as many as the attack says.
    pub(super) fn members(&mut self, least: usize) -> usize {
        let size = self.attack.size * self.random.between(0.75, 1.25);
        num::count(size).max(least)
    }

    /// An honest agent turned, which fits best by `rank` (lowest) among those that `fit`.
    pub(super) fn recruit(
        &mut self,
        role: &'static str,
        fit: impl Fn(&Agent) -> bool,
        rank: impl Fn(&Agent) -> f64,
    ) -> Option<Id> {
        let at = |day: f64| num::whole(day * num::real(DAY));
        let (begin, middle, end) = (
            at(self.from),
            at(f64::midpoint(self.from, self.to)),
            at(self.to),
        );
        let agents = &self.world.agents;
        // Who is there from beginning to end; in a market of newcomers, who comes in time for half of it.
        let found = [begin, middle].into_iter().find_map(|joined| {
            let able = self.free.pool.iter().enumerate().filter(|(_, id)| {
                let a = &agents[**id];
                // Whom another group slanders is honest, and stays so.
                let victim = self.overlay.victims.contains_key(*id);
                a.join <= joined && a.here(end.max(a.join)) && !victim && fit(a)
            });
            able.take(12)
                .min_by(|a, b| rank(&agents[*a.1]).total_cmp(&rank(&agents[*b.1])))
                .map(|(at, _)| at)
        });
        let id = self.free.pool.remove(found?);
        self.takes_part(id, role);
        Some(id)
    }

    /// A seller that buys, too, from now on, if it did not before.
    pub(super) fn recruit_both(
        &mut self,
        role: &'static str,
        rank: impl Fn(&Agent) -> f64,
    ) -> Option<Id> {
        let id = self.recruit(role, |a| a.role.sells(), rank)?;
        self.world.agents[id].role = Role::Both;
        Some(id)
    }

    fn takes_part(&mut self, id: Id, role: &'static str) {
        let part = Part {
            kind: self.attack.kind,
            number: self.number,
            role,
        };
        self.overlay.parts.insert(id, part);
    }

    /// A new identity that registers on a day.
    pub(super) fn identity(
        &mut self,
        day: f64,
        role: Role,
        part: &'static str,
        quality: f64,
    ) -> Id {
        let rater = Rater::draw(&self.world.habits, &mut self.random);
        let join = num::whole(day.max(0.0) * num::real(DAY));
        self.world.agents.push(Agent {
            role,
            join,
            leave: None,
            newcomer: day > self.world.days() * 0.05,
            quality: Quality::fixed(quality),
            rater,
            activity: 0.0,
            visibility: 0.0,
            price: self.random.spread(0.12),
            sells_at: Vec::new(),
            buys_at: Vec::new(),
            claims: self.random.chance(self.world.habits.claims),
            late_payer: false,
            cluster: None,
        });
        let id = self.world.agents.len() - 1;
        self.takes_part(id, part);
        id
    }

    /// Helpers that register over the attack's time of registration, which ends where it begins.
    pub(super) fn sybils_registered(&mut self, count: usize, part: &'static str) -> Vec<Id> {
        let first = (self.from - self.attack.spread).max(0.0);
        (0..count)
            .map(|_| {
                let day = self.random.between(first, self.from + 0.5);
                self.identity(day, Role::Buyer, part, 0.5)
            })
            .collect()
    }

    /// A moment within the attack, not before this agent joined.
    pub(super) fn moment(&mut self, id: Id) -> u64 {
        let (from, to) = (self.from, self.to);
        self.moment_between(from, to, id)
    }

    pub(super) fn moment_between(&mut self, from: f64, to: f64, id: Id) -> u64 {
        let join = self.world.agents[id].join;
        let last = self.world.span() - 1;
        let drawn = self
            .random
            .between(from.max(0.0), to.max(from.max(0.0) + 0.01));
        num::whole(drawn * num::real(DAY)).max(join + 600).min(last)
    }

    /// Where a seller sells; anywhere if nowhere.
    pub(super) fn home(&mut self, seller: Id) -> usize {
        let venues = self.world.venues.len();
        let own = self.world.agents[seller].sells_at.clone();
        self.random
            .pick(&own)
            .unwrap_or_else(|| self.random.below(venues))
    }

    /// A market of this kind of trade.
    pub(super) fn venue_of(&mut self, kind: Kind) -> Result<usize, Error> {
        let all: Vec<usize> = (0..self.world.venues.len())
            .filter(|v| self.world.venues[*v].kind == kind)
            .collect();
        self.random.pick(&all).ok_or_else(|| {
            Error::Together(format!(
                "{} needs a market of the kind {}, and these habits have none",
                self.attack.kind,
                kind.as_str()
            ))
        })
    }

    pub(super) fn honest_seller(&mut self, venue: usize, time: u64) -> Option<Id> {
        someone(
            &self.free.sellers[venue],
            self.world,
            self.overlay,
            time,
            &mut self.random,
        )
    }

    pub(super) fn honest_buyer(&mut self, venue: usize, time: u64) -> Option<Id> {
        someone(
            &self.free.buyers[venue],
            self.world,
            self.overlay,
            time,
            &mut self.random,
        )
    }

    /// Up to so many bidders who lose: buyers for compute, sellers for services.
    pub(super) fn losers(&mut self, venue: usize, time: u64) -> Vec<Id> {
        let count = num::count(self.world.habits.bidders).saturating_sub(1);
        let forward = self.world.venues[venue].kind == Kind::Auction;
        (0..count)
            .filter_map(|_| {
                if forward {
                    self.honest_buyer(venue, time)
                } else {
                    self.honest_seller(venue, time)
                }
            })
            .collect()
    }

    /// A trade that really takes place, honestly reported.
    pub(super) fn real(&mut self, venue: usize, buyer: Id, seller: Id, time: u64) -> Option<Trade> {
        if buyer == seller {
            return None;
        }
        // Nobody trades before joining or after leaving.
        let joined = |id: Id| self.world.agents[id].join + 60;
        let time = time.max(joined(buyer)).max(joined(seller));
        let there = [buyer, seller]
            .iter()
            .all(|id| self.world.agents[*id].here(time));
        if !there || time >= self.world.span() {
            return None;
        }
        let losers = self.losers(venue, time);
        let mut trade = self
            .world
            .deal(venue, buyer, seller, time, &mut self.random);
        self.world
            .hold_auction(&mut trade, &losers, &mut self.random);
        Some(trade)
    }

    /// A real trade, told.
    pub(super) fn trades(&mut self, venue: usize, buyer: Id, seller: Id, time: u64) {
        let trade = self.real(venue, buyer, seller, time);
        self.overlay.trades.extend(trade);
    }

    /// A trade that both report as a success with this rating, whatever was delivered.
    pub(super) fn praised(
        &mut self,
        venue: usize,
        buyer: Id,
        seller: Id,
        time: u64,
        rating: f64,
    ) -> Option<Trade> {
        let mut trade = self.real(venue, buyer, seller, time)?;
        if self.random.chance(self.attack.likeness) {
            trade.by_buyer = self.as_of_a_good_seller(&trade);
            return Some(trade);
        }
        let claims = self.world.agents[seller].claims;
        let step = self.world.habits.rating_step;
        let rating = num::real(num::whole(num::clip(rating) / step + 0.5)) * step;
        let countersigned = self.random.chance(self.world.habits.countersigned);
        trade.by_buyer = Some(BuyerReport {
            ending: Ending::Fulfilled,
            rating,
            on_time: true,
            countersigned,
        });
        trade.by_seller = Some(SellerReport {
            ending: Ending::Fulfilled,
            rating: 1.0,
            claim: claims.then_some(num::clip(rating)),
            countersigned: false,
        });
        Some(trade)
    }

    /// A trade in which the buyer really buys something and says it was bad.
    pub(super) fn slanders(&mut self, venue: usize, buyer: Id, victim: Id, time: u64) {
        let Some(mut trade) = self.real(venue, buyer, victim, time) else {
            return;
        };
        let ending = match self.random.unit() {
            x if x < 0.35 => Ending::Failed,
            x if x < 0.6 => Ending::Disputed,
            _ => Ending::Fulfilled,
        };
        let rating = if ending == Ending::Fulfilled {
            self.random.between(0.0, 0.25)
        } else {
            0.0
        };
        trade.by_buyer = Some(BuyerReport {
            ending,
            rating,
            on_time: false,
            countersigned: false,
        });
        self.overlay.trades.push(trade);
    }

    /// A helper buys something somewhere, and says honestly what it was.
    pub(super) fn looks_honest(&mut self, buyer: Id) {
        let time = self.moment(buyer);
        let venue = self.random.below(self.world.venues.len());
        if let Some(seller) = self.honest_seller(venue, time) {
            self.trades(venue, buyer, seller, time);
        }
    }

    /// Honest purchases beside so many dishonest ones, for the share that the camouflage is.
    pub(super) fn camouflage(&mut self, buyer: Id, dishonest: usize) {
        let c = self.attack.camouflage;
        for _ in 0..self.random.round(num::size(dishonest) * c / (1.0 - c)) {
            self.looks_honest(buyer);
        }
    }

    /// Honest buyers whom the praise attracts, and who say what they got.
    pub(super) fn attracts(&mut self, seller: Id, count: usize) {
        for _ in 0..count {
            let venue = self.home(seller);
            let (from, to) = (self.from + 3.0, self.world.days());
            let time = self.moment_between(from, to, seller);
            if let Some(buyer) = self.honest_buyer(venue, time) {
                self.trades(venue, buyer, seller, time);
            }
        }
    }

    /// A rating as an honest buyer would give a good seller, failures included; `None` = this buyer would not have reported.
    pub(super) fn as_of_a_good_seller(&mut self, trade: &Trade) -> Option<BuyerReport> {
        let h = &self.world.habits;
        let good = h.quality_mean + h.quality_spread * self.random.between(0.5, 1.3);
        let mut imagined = trade.clone();
        imagined.delivered = self.world.delivery(good.clamp(0.3, 0.98), &mut self.random);
        self.world.buyer_report(&imagined, &mut self.random)
    }

    pub(super) fn bends(&mut self, seller: Id, bend: Bend) {
        self.overlay.bends.entry(seller).or_default().push(bend);
    }

    /// The second tactic of a mixed group: the seller's claims lie, its helpers slander a competitor.
    pub(super) fn mixes(&mut self, principal: Id, helpers: &[Id]) {
        if !self.random.chance(self.attack.mix) {
            return;
        }
        let (from, to) = (self.from, self.to);
        self.bends(
            principal,
            Bend::Lie {
                from,
                to,
                keep: 0.85,
                claim: 0.95,
                camouflage: self.attack.camouflage,
            },
        );
        let venue = self.home(principal);
        let middle = num::whole(f64::midpoint(from, to) * num::real(DAY));
        let Some(victim) = self.honest_seller(venue, middle) else {
            return;
        };
        let group = format!("{}_{}", self.attack.kind.label(), self.number);
        self.overlay.victims.insert(victim, group);
        for helper in helpers {
            let time = self.moment(*helper).max(self.world.agents[victim].join);
            self.slanders(venue, *helper, victim, time);
        }
    }
}

/// Somebody who is there and takes no part in an attack.
fn someone(
    among: &[Id],
    world: &World,
    overlay: &Overlay,
    time: u64,
    random: &mut Random,
) -> Option<Id> {
    (0..24)
        .filter_map(|_| random.pick(among))
        .find(|id| world.agents[*id].here(time) && !overlay.parts.contains_key(id))
}
