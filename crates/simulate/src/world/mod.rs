//! The honest world: who there is, and what they trade.

pub(crate) mod deal;
pub(crate) mod demand;
mod groups;
mod people;
mod venues;

use crate::{
    Habits, Parameters,
    agent::{Agent, DAY, Id, Trap},
    num,
    random::Random,
    trade::Venue,
};

pub(crate) use demand::Trades;

/// Agents that trade with each other for a reason.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    pub(crate) trap: Trap,
    /// What each is, depends on the trap: see [`groups`].
    pub(crate) members: Vec<Id>,
    pub(crate) venue: usize,
    /// How much it trades, relative to other groups.
    pub(crate) weight: f64,
    /// Days on which it trades; else always.
    pub(crate) window: Option<(f64, f64)>,
}

/// The market before the first trade.
#[derive(Clone, Debug)]
pub(crate) struct World {
    pub(crate) seed: u64,
    pub(crate) habits: Habits,
    pub(crate) venues: Vec<Venue>,
    /// The honest world's agents; identities that attackers make come after them.
    pub(crate) agents: Vec<Agent>,
    /// How many are of the honest world.
    pub(crate) honest: usize,
    pub(crate) groups: Vec<Group>,
    /// Trust roots.
    pub(crate) seeds: Vec<Id>,
    /// How many trades the honest world makes.
    pub(crate) trades: u64,
}

impl World {
    /// The world of these parameters. Attacks do not enter.
    pub(crate) fn new(parameters: &Parameters) -> Self {
        let habits = &parameters.habits;
        let (seed, count) = (parameters.seed, parameters.agents);
        let venues = venues::build(seed, count, habits);
        let agents = people::build(seed, count, habits, &venues);
        let mut world = Self {
            seed,
            habits: habits.clone(),
            venues,
            agents,
            honest: count,
            groups: Vec::new(),
            seeds: Vec::new(),
            trades: parameters.trades,
        };
        people::settle(&mut world);
        groups::build(&mut world);
        world.choose_seeds();
        world
    }

    /// Days of the market.
    pub(crate) fn days(&self) -> f64 {
        num::real(num::whole(self.habits.days))
    }

    /// Seconds of the market.
    pub(crate) fn span(&self) -> u64 {
        num::whole(self.habits.days) * DAY
    }

    /// Trades an agent, relative to fifty.
    pub(crate) fn density(&self) -> f64 {
        num::real(self.trades) / num::size(self.honest) / 50.0
    }

    /// Trust roots: buyers there from the beginning to the end that trade much and rate plainly, one in a hundred agents.
    fn choose_seeds(&mut self) {
        let mut random = Random::stream(self.seed, "seeds", 0);
        let wanted = num::count(num::size(self.agents.len()) / 110.0).clamp(5, 200);
        let mut fit: Vec<Id> = (0..self.agents.len())
            .filter(|id| {
                let a = &self.agents[*id];
                let plain = a.rater.style == crate::agent::Style::Plain;
                a.role.buys() && !a.newcomer && a.leave.is_none() && plain && !a.late_payer
            })
            .collect();
        random.shuffle(&mut fit);
        // Of five that are fit, the one that buys most: a root that never trades says nothing.
        let mut seeds: Vec<Id> = Vec::new();
        for some in fit.chunks((fit.len() / wanted).clamp(1, 5)) {
            let busiest = some.iter().copied().max_by(|a, b| {
                self.agents[*a]
                    .activity
                    .total_cmp(&self.agents[*b].activity)
            });
            seeds.extend(busiest);
            if seeds.len() == wanted {
                break;
            }
        }
        seeds.sort_unstable();
        self.seeds = seeds;
    }
}
