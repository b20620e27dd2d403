//! The honest agents: roles, joining and leaving, where they buy and sell.

use super::{World, venues::share};
use crate::{
    Habits,
    agent::{Agent, DAY, Id, Quality, Rater, Role, Trap},
    num,
    random::Random,
    trade::Venue,
};

/// Sellers and buyers that each venue has from the first day to the last.
const FOUNDERS: usize = 4;

/// Every agent, each from its own stream of chance.
pub(super) fn build(seed: u64, count: usize, habits: &Habits, venues: &[Venue]) -> Vec<Agent> {
    let promotions = promotions(seed, habits);
    (0..count)
        .map(|id| {
            let index = u64::try_from(id).unwrap_or(0);
            let mut random = Random::stream(seed, "agent", index);
            agent(habits, venues, &promotions, &mut random)
        })
        .collect()
}

/// The days on which promotions bring newcomers: one in two months.
fn promotions(seed: u64, habits: &Habits) -> Vec<f64> {
    let mut random = Random::stream(seed, "promotions", 0);
    (0..=num::whole(habits.days / 60.0))
        .map(|_| random.between(0.1, 0.85) * habits.days)
        .collect()
}

fn agent(habits: &Habits, venues: &[Venue], promotions: &[f64], random: &mut Random) -> Agent {
    let which = random.unit();
    let role = if which < habits.sellers {
        Role::Seller
    } else if which < habits.sellers + habits.both {
        Role::Both
    } else {
        Role::Buyer
    };
    let newcomer = random.chance(habits.newcomers);
    let promoted = random.chance(habits.promoted);
    let promotion = random.below(promotions.len());
    let opening = habits.days * 0.05;
    let day = if newcomer && promoted {
        promotions[promotion] + random.unit()
    } else if newcomer {
        random.between(opening, habits.days * 0.93)
    } else {
        random.unit() * opening
    };
    let exits = random.chance(habits.exits);
    let exit = random.between(day + habits.days * 0.05, habits.days * 1.02);
    let leave = (exits && exit < habits.days).then(|| num::whole(exit * num::real(DAY)));
    let quality = Quality::draw(habits, day, habits.days, random);
    let rater = Rater::draw(habits, random);
    let (sells_at, buys_at) = places(habits, venues, role, random);
    Agent {
        role,
        join: num::whole(day * num::real(DAY)),
        leave,
        newcomer,
        quality,
        rater,
        activity: random.spread(habits.buyer_skew),
        visibility: random.spread(habits.seller_skew),
        price: random.spread(0.12),
        sells_at,
        buys_at,
        claims: random.chance(habits.claims),
        late_payer: random.chance(habits.late_payers),
        cluster: (newcomer && promoted).then_some((Trap::Promotion, promotion)),
    }
}

/// Where it sells: at one venue or two, kinds in proportion to the root of their share. Where it buys: at one venue of most kinds.
fn places(
    habits: &Habits,
    venues: &[Venue],
    role: Role,
    random: &mut Random,
) -> (Vec<usize>, Vec<usize>) {
    let mut total = 0.0;
    let weights: Vec<f64> = venues
        .iter()
        .map(|venue| {
            let of_kind = venues.iter().filter(|v| v.kind == venue.kind).count();
            total += share(habits, venue.kind).sqrt() / num::size(of_kind);
            total
        })
        .collect();
    let mut sells = Vec::new();
    let second = random.chance(0.4);
    for draw in [true, second] {
        let at = random.weighted(&weights);
        if draw {
            sells.extend(at);
        }
    }
    let mut buys: Vec<usize> = random.weighted(&weights).into_iter().collect();
    for kind in crate::trade::Kind::ALL {
        let of_kind: Vec<usize> = (0..venues.len())
            .filter(|v| venues[*v].kind == kind)
            .collect();
        let (wants, at) = (random.chance(0.55), random.pick(&of_kind));
        if wants {
            buys.extend(at);
        }
    }
    let tidy = |mut at: Vec<usize>, used: bool| {
        at.sort_unstable();
        at.dedup();
        if !used {
            at.clear();
        }
        at
    };
    (tidy(sells, role.sells()), tidy(buys, role.buys()))
}

/// Gives every venue founders, so that it can trade from the first day to the last, and the raters and markets that look guilty their clusters.
pub(super) fn settle(world: &mut World) {
    let mut random = Random::stream(world.seed, "founders", 0);
    let mut order: Vec<Id> = (0..world.agents.len()).collect();
    random.shuffle(&mut order);
    for venue in 0..world.venues.len() {
        let found: Vec<Id> = found(world, &order, venue, &mut random, true);
        found_buyers(world, &order, venue, &mut random);
        world.venues[venue].founders = found;
    }
}

fn found_buyers(world: &mut World, order: &[Id], venue: usize, random: &mut Random) {
    found(world, order, venue, random, false);
}

/// Makes some agents of the right role stay at this venue for the whole time; agents that are there already come first.
fn found(
    world: &mut World,
    order: &[Id],
    venue: usize,
    random: &mut Random,
    selling: bool,
) -> Vec<Id> {
    let places = |a: &Agent| {
        if selling {
            a.sells_at.contains(&venue)
        } else {
            a.buys_at.contains(&venue)
        }
    };
    let fits = |a: &Agent| {
        if selling {
            a.role.sells()
        } else {
            a.role.buys()
        }
    };
    let able: Vec<Id> = order
        .iter()
        .copied()
        .filter(|id| fits(&world.agents[*id]) && world.agents[*id].cluster.is_none())
        .collect();
    let mut chosen: Vec<Id> = able
        .iter()
        .copied()
        .filter(|id| places(&world.agents[*id]) && !world.agents[*id].newcomer)
        .take(FOUNDERS)
        .collect();
    while chosen.len() < FOUNDERS && chosen.len() < able.len() {
        match random.pick(&able) {
            Some(id) if !chosen.contains(&id) => chosen.push(id),
            _ => {}
        }
    }
    for id in &chosen {
        let a = &mut world.agents[*id];
        (a.join, a.leave, a.newcomer) = (0, None, false);
        let at = if selling {
            &mut a.sells_at
        } else {
            &mut a.buys_at
        };
        if !at.contains(&venue) {
            at.push(venue);
        }
    }
    chosen
}
