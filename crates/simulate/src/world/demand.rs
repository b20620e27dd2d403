//! The honest world's trades, day by day: who buys, what, and from whom.
//!
//! Demand follows a public running score that buyers see with noise. The score knows the honest world's own ratings only,
//! so the same seed makes the same honest trades whatever attacks are laid over them.

use super::{World, venues::share};
use crate::{
    agent::{DAY, Id, Trap},
    num,
    random::Random,
    trade::{Kind, Trade},
};

/// How many sellers a buyer remembers.
const KNOWN: usize = 4;
/// A running score begins with this many ratings of [`PRIOR`].
const PRIOR_WEIGHT: f64 = 2.0;
const PRIOR: f64 = 0.6;
/// Sales of a flash crowd a day, in a market of fifty trades an agent.
const CROWD: f64 = 35.0;

/// The trades of the honest world, ascending in time.
pub(crate) struct Trades<'w> {
    world: &'w World,
    random: Random,
    day: u64,
    made: u64,
    /// Trades that each day should have made by its end, cumulative.
    plan: Vec<u64>,
    /// Trades of the day, latest first.
    buffer: Vec<Trade>,
    places: Vec<Place>,
    /// Cumulative weights of the groups that trade today.
    groups: Vec<f64>,
    /// Flash crowds of today, and the chance that a slot is one of theirs.
    crowds: (Vec<usize>, f64),
    /// Cumulative weights of the kinds.
    kinds: Vec<f64>,
    /// Sum and weight of the ratings, per agent.
    scores: Vec<(f64, f64)>,
    known: Vec<Vec<Id>>,
}

/// Who is at a venue today.
#[derive(Default)]
struct Place {
    sellers: Vec<Id>,
    visible: Vec<f64>,
    buyers: Vec<Id>,
    active: Vec<f64>,
}

impl<'w> Trades<'w> {
    pub(crate) fn new(world: &'w World) -> Self {
        let mut sum = 0.0;
        let kinds = Kind::ALL
            .iter()
            .map(|kind| {
                sum += share(&world.habits, *kind);
                sum
            })
            .collect();
        Self {
            world,
            random: Random::stream(world.seed, "trades", 0),
            day: 0,
            made: 0,
            plan: plan(world),
            buffer: Vec::new(),
            places: Vec::new(),
            groups: Vec::new(),
            crowds: (Vec::new(), 0.0),
            kinds,
            scores: vec![(0.0, 0.0); world.honest],
            known: vec![Vec::new(); world.honest],
        }
    }

    /// The running score that buyers see, before their noise.
    fn score(&self, id: Id) -> f64 {
        let (sum, weight) = self.scores[id];
        (sum + PRIOR * PRIOR_WEIGHT) / (weight + PRIOR_WEIGHT)
    }

    /// Fills the buffer with the trades of the next day that has any; `false` when the market is over.
    fn next_day(&mut self) -> bool {
        while let Some(until) = self
            .plan
            .get(usize::try_from(self.day).unwrap_or(usize::MAX))
        {
            let (until, begin) = (*until, self.day * DAY);
            self.day += 1;
            if until <= self.made {
                continue;
            }
            self.open(begin, num::real(until - self.made));
            let mut times: Vec<u64> = (self.made..until)
                .map(|_| begin + num::whole(self.random.unit() * num::real(DAY)))
                .collect();
            times.sort_unstable();
            for time in times {
                // A slot may have made more than one trade, and the last slots are then not needed.
                if self.made < until {
                    self.slot(time, until - self.made);
                }
            }
            self.buffer.sort_by_key(|t| std::cmp::Reverse(t.time));
            return true;
        }
        false
    }

    /// Who is there today, when so many trades are to be made.
    fn open(&mut self, begin: u64, trades: f64) {
        let world = self.world;
        self.places.clear();
        self.places.resize_with(world.venues.len(), Place::default);
        for (id, agent) in world.agents[..world.honest].iter().enumerate() {
            if !agent.here(begin) {
                continue;
            }
            for venue in &agent.sells_at {
                let place = &mut self.places[*venue];
                let before = place.visible.last().copied().unwrap_or(0.0);
                place.sellers.push(id);
                place.visible.push(before + agent.visibility);
            }
            for venue in &agent.buys_at {
                let place = &mut self.places[*venue];
                let before = place.active.last().copied().unwrap_or(0.0);
                place.buyers.push(id);
                place.active.push(before + agent.activity);
            }
        }
        let today = num::real(begin / DAY);
        let mut sum = 0.0;
        self.groups.clear();
        self.crowds.0.clear();
        for (number, group) in world.groups.iter().enumerate() {
            let all_here = group.members.iter().all(|id| world.agents[*id].here(begin));
            match group.window {
                None if all_here => sum += group.weight,
                Some((from, to)) if all_here && (from..to).contains(&today) => {
                    self.crowds.0.push(number);
                }
                _ => {}
            }
            self.groups.push(sum);
        }
        // A crowd is as large as a good day of a large seller, whatever the market's size.
        let crowd = CROWD * world.density().clamp(0.3, 3.0) * num::size(self.crowds.0.len());
        self.crowds.1 = (crowd / trades).min(0.3);
    }

    /// One moment of trade, `room` trades at most.
    fn slot(&mut self, time: u64, room: u64) {
        let (crowded, which) = (self.random.chance(self.crowds.1), self.random.unit());
        if crowded {
            let at = num::whole(which * num::size(self.crowds.0.len()));
            let at = usize::try_from(at).unwrap_or(0);
            if let Some(group) = self.crowds.0.get(at).copied() {
                return self.within(group, time);
            }
        }
        let in_group = self.random.chance(self.world.habits.trap_traffic);
        let group = self
            .random
            .weighted(&self.groups)
            .filter(|_| in_group && room >= 4);
        match group {
            Some(group) => self.within(group, time),
            None => self.open_trade(time),
        }
    }

    /// A trade on the open market.
    fn open_trade(&mut self, time: u64) {
        let kind = self.random.weighted(&self.kinds).map(|k| Kind::ALL[k]);
        let world = self.world;
        let of_kind: Vec<usize> = (0..world.venues.len())
            .filter(|v| kind == Some(world.venues[*v].kind))
            .collect();
        let Some(venue) = self.random.pick(&of_kind) else {
            return;
        };
        let Some(buyer) = self.buyer(venue) else {
            return;
        };
        self.bought_by(venue, buyer, time, None);
    }

    fn buyer(&mut self, venue: usize) -> Option<Id> {
        let place = &self.places[venue];
        let at = self.random.weighted(&place.active)?;
        place.buyers.get(at).copied()
    }

    fn any_seller(&mut self, venue: usize) -> Option<Id> {
        let place = &self.places[venue];
        let at = self.random.weighted(&place.visible)?;
        place.sellers.get(at).copied()
    }

    /// The buyer chooses a seller there and they trade.
    fn bought_by(&mut self, venue: usize, buyer: Id, time: u64, parent: Option<u64>) {
        let Some((seller, others)) = self.choose(venue, buyer, time) else {
            return;
        };
        let world = self.world;
        let losers = match world.venues[venue].kind {
            Kind::Service => others,
            Kind::Auction => (1..self.bidders())
                .filter_map(|_| self.buyer(venue))
                .collect(),
            _ => Vec::new(),
        };
        let mut trade = world.deal(venue, buyer, seller, time, &mut self.random);
        world.hold_auction(&mut trade, &losers, &mut self.random);
        trade.parent = parent;
        if parent.is_none()
            && world.venues[venue].kind == Kind::Purchase
            && self.random.chance(world.habits.batched)
        {
            let batch = num::whole(world.habits.batch_hours * 3600.0).max(1);
            trade.time = (time - time % batch + batch - 1).min(time - time % DAY + DAY - 1);
        }
        self.take(trade);
    }

    fn bidders(&mut self) -> usize {
        let mean = self.world.habits.bidders;
        num::count(mean + mean.sqrt() * 0.6 * self.random.normal()).clamp(2, 24)
    }

    /// A seller for a buyer, and the other candidates.
    fn choose(&mut self, venue: usize, buyer: Id, time: u64) -> Option<(Id, Vec<Id>)> {
        let h = &self.world.habits;
        let known: Vec<Id> = self.known[buyer]
            .iter()
            .copied()
            .filter(|id| {
                let seller = &self.world.agents[*id];
                seller.here(time) && seller.sells_at.contains(&venue)
            })
            .collect();
        if self.random.chance(h.loyalty)
            && let Some(seller) = self.random.pick(&known)
        {
            let others = (1..self.bidders())
                .filter_map(|_| self.any_seller(venue))
                .collect();
            return Some((seller, others));
        }
        let mut found: Vec<Id> = Vec::new();
        for _ in 0..self.random.round(h.candidates) {
            let seller = self.any_seller(venue).filter(|id| *id != buyer);
            found.extend(seller.filter(|id| !found.contains(id)));
        }
        let best = if self.random.chance(h.reputation_pull) {
            let mut seen: Vec<(f64, Id)> = Vec::new();
            for id in &found {
                seen.push((self.score(*id) + h.score_noise * self.random.normal(), *id));
            }
            seen.into_iter()
                .max_by(|a, b| a.0.total_cmp(&b.0).then(b.1.cmp(&a.1)))?
                .1
        } else {
            self.random.pick(&found)?
        };
        found.retain(|id| *id != best);
        Some((best, found))
    }

    /// A trade within a group; see [`super::groups`].
    fn within(&mut self, group: usize, time: u64) {
        let world = self.world;
        let group = &world.groups[group];
        let (m, venue) = (&group.members, group.venue);
        let two = |random: &mut Random| {
            let a = random.below(m.len());
            let b = (a + 1 + random.below(m.len().saturating_sub(1))) % m.len().max(1);
            (m[a], m[b])
        };
        let soon = |random: &mut Random, hours: f64| {
            let end = time - time % DAY + DAY - 1;
            (time + num::whole(random.between(0.1, hours) * 3600.0)).min(end)
        };
        match group.trap {
            Trap::Barter => {
                let swap = self.random.bits() >> 16;
                for (buyer, seller) in [(m[0], m[1]), (m[1], m[0])] {
                    let mut trade = world.deal(venue, buyer, seller, time, &mut self.random);
                    trade.swap = (world.venues[venue].kind == Kind::Swap).then_some(swap);
                    self.take(trade);
                }
            }
            Trap::Chain => {
                let link = self.random.below(m.len() - 1);
                self.sell(venue, m[link], m[link + 1], time);
            }
            Trap::Cooperative if self.random.chance(0.4) => {
                let member = self.random.pick(m);
                if let (Some(seller), Some(buyer)) = (member, self.buyer(venue)) {
                    self.sell(venue, buyer, seller, time);
                }
            }
            Trap::Clique | Trap::Cooperative => {
                let (buyer, seller) = two(&mut self.random);
                self.sell(venue, buyer, seller, time);
            }
            Trap::Reseller => {
                let supplier = self.random.pick(&m[1..]);
                if let (Some(supplier), Some(buyer)) = (supplier, self.buyer(venue)) {
                    self.sell(venue, m[0], supplier, time);
                    let later = soon(&mut self.random, 8.0);
                    self.sell(venue, buyer, m[0], later);
                }
            }
            Trap::Orchestrator => {
                if let Some(buyer) = self.buyer(venue) {
                    let whole = self.sell(venue, buyer, m[0], time);
                    for _ in 0..self.random.among(1, 3) {
                        let at = self.random.below(world.venues.len());
                        self.bought_by(at, m[0], time, whole);
                    }
                }
            }
            Trap::Bulk => {
                self.sell(venue, m[0], m[1], time);
            }
            Trap::Flash => {
                // Anybody may come, not only who buys much.
                if let Some(buyer) = self.random.pick(&self.places[venue].buyers) {
                    self.sell(venue, buyer, m[0], time);
                }
            }
            // Labels only: they trade on the open market.
            _ => self.open_trade(time),
        }
    }

    /// A trade between these two; its serial.
    fn sell(&mut self, venue: usize, buyer: Id, seller: Id, time: u64) -> Option<u64> {
        if buyer == seller {
            return None;
        }
        let world = self.world;
        let losers: Vec<Id> = match world.venues[venue].kind {
            Kind::Auction => (1..self.bidders())
                .filter_map(|_| self.buyer(venue))
                .collect(),
            Kind::Service => (1..self.bidders())
                .filter_map(|_| self.any_seller(venue))
                .collect(),
            _ => Vec::new(),
        };
        let mut trade = world.deal(venue, buyer, seller, time, &mut self.random);
        world.hold_auction(&mut trade, &losers, &mut self.random);
        let serial = trade.serial;
        self.take(trade);
        Some(serial)
    }

    /// The trade took place: the buyer knows the seller, and everybody sees the rating.
    fn take(&mut self, trade: Trade) {
        if let Some(report) = trade.by_buyer {
            let keep = 1.0 - 1.0 / self.world.habits.score_memory;
            let (sum, weight) = &mut self.scores[trade.seller];
            *sum = *sum * keep + report.rating;
            *weight = *weight * keep + 1.0;
        }
        let known = &mut self.known[trade.buyer];
        let pleased = trade
            .by_buyer
            .is_none_or(|r| r.rating >= super::deal::UNHAPPY);
        if !pleased {
            known.retain(|id| *id != trade.seller);
        } else if !known.contains(&trade.seller) {
            if known.len() == KNOWN {
                known.remove(0);
            }
            known.push(trade.seller);
        }
        self.made += 1;
        self.buffer.push(trade);
    }
}

impl Iterator for Trades<'_> {
    type Item = Trade;

    fn next(&mut self) -> Option<Trade> {
        loop {
            if let Some(trade) = self.buffer.pop() {
                return Some(trade);
            }
            if !self.next_day() {
                return None;
            }
        }
    }
}

/// How many trades there should be by the end of each day: growing, and busier in the middle of the week.
fn plan(world: &World) -> Vec<u64> {
    let h = &world.habits;
    let days = num::whole(h.days);
    let mut sum = 0.0;
    let sums: Vec<f64> = (0..days)
        .map(|day| {
            let gone = num::real(day) / num::real(days);
            let week = [0.4, 0.8, 1.0, 0.8, 0.4, -1.0, -1.0][usize::try_from(day % 7).unwrap_or(0)];
            sum += (1.0 + (h.growth - 1.0) * gone) * (1.0 + h.weekly * week);
            sum
        })
        .collect();
    let all = num::real(world.trades);
    sums.iter()
        .map(|s| num::whole(all * s / sum + 0.5))
        .collect()
}
