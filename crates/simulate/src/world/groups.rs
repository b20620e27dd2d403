//! Honest groups that look guilty: who is in them.
//!
//! Members of a [`Group`]: barter: two; chain: each buys from the next; clique, cooperative: all alike; reseller: itself, then its
//! suppliers; bulk: the buyer, then the supplier; orchestrator, flash: one.

use super::{Group, World};
use crate::{
    agent::{Id, Quality, Role, Style, Trap},
    num,
    random::Random,
    trade::Kind,
};

/// Agents that are still free for a group.
struct Pool {
    both: Vec<Id>,
    buyers: Vec<Id>,
    sellers: Vec<Id>,
}

impl Pool {
    fn of(world: &World, random: &mut Random) -> Self {
        let with = |role: Role| -> Vec<Id> {
            (0..world.agents.len())
                .filter(|id| {
                    let a = &world.agents[*id];
                    a.role == role && !a.newcomer && a.leave.is_none() && a.cluster.is_none()
                })
                .collect()
        };
        let (mut both, mut buyers, mut sellers) =
            (with(Role::Both), with(Role::Buyer), with(Role::Seller));
        for pool in [&mut both, &mut buyers, &mut sellers] {
            random.shuffle(pool);
        }
        Self {
            both,
            buyers,
            sellers,
        }
    }

    /// So many that sell and buy, or nothing.
    fn both(&mut self, count: usize) -> Option<Vec<Id>> {
        let rest = self.both.len().checked_sub(count)?;
        Some(self.both.split_off(rest))
    }
}

/// Makes the groups that the habits ask for, as far as there are agents, and labels what else looks guilty.
pub(super) fn build(world: &mut World) {
    let mut random = Random::stream(world.seed, "groups", 0);
    let mut pool = Pool::of(world, &mut random);
    let h = world.habits.clone();
    let agents = num::size(world.agents.len());
    let sizes = [
        (Trap::Barter, h.barter, 2, 2),
        (Trap::Chain, h.chains, 4, 6),
        (Trap::Clique, h.cliques, 5, 7),
        (Trap::Reseller, h.resellers, 1, 1),
        (Trap::Cooperative, h.cooperatives, 4, 10),
        (Trap::Bulk, h.bulk, 2, 2),
        (Trap::Orchestrator, h.orchestrators, 1, 1),
        (Trap::Flash, h.flash, 1, 1),
    ];
    for (trap, share, least, most) in sizes {
        let mut wanted = agents * share;
        let mut number = 0;
        while wanted > 0.5 {
            let size = random.among(least, most);
            let Some(members) = members(trap, size, &mut pool) else {
                break;
            };
            found(world, trap, number, members, &mut random);
            wanted -= num::size(size);
            number += 1;
        }
    }
    label_the_rest(world, &mut random);
}

fn members(trap: Trap, size: usize, pool: &mut Pool) -> Option<Vec<Id>> {
    match trap {
        Trap::Bulk => Some(vec![pool.buyers.pop()?, pool.sellers.pop()?]),
        Trap::Flash => pool.sellers.pop().map(|seller| vec![seller]),
        _ => pool.both(size),
    }
}

fn found(world: &mut World, trap: Trap, number: usize, mut members: Vec<Id>, random: &mut Random) {
    for id in &members {
        world.agents[*id].cluster = Some((trap, number));
    }
    let kind = match trap {
        Trap::Barter => Some(Kind::Swap),
        Trap::Orchestrator => Some(Kind::Service),
        _ => None,
    };
    let own = members.first().map(|id| &world.agents[*id].sells_at);
    let at_home = own.and_then(|at| random.pick(at));
    let of_kind: Vec<usize> = (0..world.venues.len())
        .filter(|v| kind.is_none_or(|k| world.venues[*v].kind == k))
        .collect();
    let venue = match (kind, at_home) {
        (None, Some(home)) => home,
        _ => random.pick(&of_kind).or(at_home).unwrap_or(0),
    };
    let mut window = None;
    match trap {
        Trap::Reseller => resupply(world, &mut members, venue),
        Trap::Flash => {
            let from = random.between(0.1, 0.9) * world.days();
            window = Some((from, from + random.between(1.0, 2.5)));
        }
        _ => {}
    }
    let each = match trap {
        // Every time they trade, they trade twice.
        Trap::Barter => 1.0,
        Trap::Reseller | Trap::Orchestrator | Trap::Flash => 3.0,
        _ => num::size(members.len()),
    };
    world.groups.push(Group {
        trap,
        members,
        venue,
        weight: each * random.spread(0.5),
        window,
    });
}

/// A reseller's goods are as good as its suppliers'.
fn resupply(world: &mut World, members: &mut Vec<Id>, venue: usize) {
    let suppliers = world.venues[venue].founders.clone();
    let others: Vec<Id> = suppliers
        .into_iter()
        .filter(|id| *id != members[0])
        .take(3)
        .collect();
    let sum: f64 = others
        .iter()
        .map(|id| world.agents[*id].quality.level)
        .sum();
    if !others.is_empty() {
        world.agents[members[0]].quality = Quality::fixed(sum / num::size(others.len()));
    }
    members.extend(others);
}

/// Raters of a kind that never sell, sellers in tight markets, and buyers where compute has its surges.
fn label_the_rest(world: &mut World, random: &mut Random) {
    let mut counts = [0; 4];
    for agent in &mut world.agents {
        if agent.cluster.is_some() {
            continue;
        }
        let at = |kind: Kind, tight: bool| {
            let places = if tight {
                &agent.sells_at
            } else {
                &agent.buys_at
            };
            places.iter().copied().find(|v| {
                let venue = &world.venues[*v];
                let guilty = if tight {
                    venue.bid_spread < 0.02
                } else {
                    !venue.surges.is_empty()
                };
                venue.kind == kind && guilty
            })
        };
        if agent.role == Role::Buyer {
            let (trap, which) = match agent.rater.style {
                Style::Lenient => (Trap::Lenient, 0),
                Style::Harsh => (Trap::Harsh, 1),
                Style::Erratic => (Trap::Erratic, 2),
                Style::Extreme => (Trap::Extreme, 3),
                Style::Plain => {
                    let surge = at(Kind::Auction, false).filter(|_| random.chance(0.2));
                    agent.cluster = surge.map(|v| (Trap::Surge, v));
                    continue;
                }
            };
            agent.cluster = Some((trap, counts[which]));
            counts[which] += 1;
        } else {
            agent.cluster = at(Kind::Service, true).map(|v| (Trap::Tight, v));
        }
    }
}
