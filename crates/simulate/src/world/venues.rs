//! The markets: what is traded where, in which currency, how tight and how scarce.

use crate::{
    Habits,
    agent::DAY,
    num,
    random::Random,
    trade::{CREDIT, Kind, LISTED, UNLISTED, USDC, Venue},
};

/// As many markets of each kind as the habits say, as long as each can have a dozen sellers.
pub(super) fn build(seed: u64, agents: usize, habits: &Habits) -> Vec<Venue> {
    let selling = num::size(agents) * (habits.sellers + habits.both);
    let mut venues = Vec::new();
    for kind in Kind::ALL {
        let share = share(habits, kind);
        if share <= 0.0 {
            continue;
        }
        let possible = selling * share.max(0.1) / 8.0;
        let wanted = num::count(habits.venues.min(possible)).max(1);
        for number in 0..wanted {
            let index = u64::try_from(venues.len()).unwrap_or(0);
            let mut random = Random::stream(seed, "venue", index);
            venues.push(venue(kind, number, habits, &mut random));
        }
    }
    venues
}

/// Weight of a kind.
pub(super) fn share(habits: &Habits, kind: Kind) -> f64 {
    match kind {
        Kind::Swap => habits.swap,
        Kind::Purchase => habits.purchase,
        Kind::Auction => habits.auction,
        Kind::Service => habits.service,
    }
}

fn venue(kind: Kind, number: usize, habits: &Habits, random: &mut Random) -> Venue {
    let stem = match kind {
        Kind::Swap => "swap",
        Kind::Purchase => "query",
        Kind::Auction => "gpu",
        Kind::Service => "svc",
    };
    let mut currency = if kind == Kind::Auction { CREDIT } else { USDC };
    let (foreign, unlisted) = (
        random.chance(habits.foreign),
        random.chance(habits.unlisted),
    );
    let (a, b) = (random.pick(&LISTED), random.pick(&UNLISTED));
    if foreign {
        currency = if unlisted { b } else { a }.unwrap_or(currency);
    }
    let tight = random.chance(habits.tight_venues) && kind == Kind::Service;
    let level = random.spread(0.25);
    let mut surges = Vec::new();
    if kind == Kind::Auction {
        for _ in 0..random.round(habits.surges) {
            let from = num::whole(random.between(0.05, 0.95) * habits.days * num::real(DAY));
            let long = num::whole(random.between(0.5, 4.0) * num::real(DAY));
            surges.push((from, from + long, random.between(1.6, 3.2)));
        }
    }
    Venue {
        name: format!("{stem}-{}", letters(number)),
        kind,
        currency,
        level,
        bid_spread: if tight { 0.012 } else { habits.bid_spread },
        surges,
        founders: Vec::new(),
    }
}

/// a, b … z, aa, ab …
fn letters(number: usize) -> String {
    let last = char::from(b'a' + u8::try_from(number % 26).unwrap_or(0));
    match number / 26 {
        0 => last.to_string(),
        more => format!("{}{last}", letters(more - 1)),
    }
}
