//! What attackers add to the honest world: trades of their own, and what they do in honest-looking ones.

mod boost;
mod conduct;
pub(crate) mod kind;
mod plot;
mod prices;
mod rivals;

use std::collections::BTreeMap;

use self::{
    kind::{Attack, AttackKind},
    plot::{Free, Plot},
};
use crate::{
    Error,
    agent::{Id, day_of},
    num,
    random::Random,
    trade::{Ending, Kind, Trade},
    world::World,
};

/// An attacker's part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) kind: AttackKind,
    pub(crate) number: usize,
    /// As in the `attack_role` column.
    pub(crate) role: &'static str,
}

impl Part {
    /// As in the `group` column.
    pub(crate) fn group(&self) -> String {
        format!("{}_{}", self.kind.label(), self.number)
    }
}

/// What a seller does to the trades that the honest world gave it. Days are the market's.
#[derive(Clone, Debug)]
pub(crate) enum Bend {
    /// Delivers this share of its quality in these windows.
    Off {
        windows: Vec<(f64, f64)>,
        keep: f64,
        camouflage: f64,
    },
    /// Delivers this share of its quality from a day on, and claims about this.
    Lie {
        from: f64,
        to: f64,
        keep: f64,
        claim: f64,
        camouflage: f64,
    },
    /// Delivers this share of its quality in trades that are worth at least so many millionths.
    Large {
        from: f64,
        to: f64,
        worth: f64,
        keep: f64,
        camouflage: f64,
    },
    /// Sells nothing more under this name.
    Gone { from: f64 },
    /// Sells nothing to newcomers.
    Refuses { from: f64, to: f64, camouflage: f64 },
    /// Asks this price, as a multiple of the usual, the same as its fellows.
    Posted { from: f64, to: f64, ratio: f64 },
    /// Has these identities bid up its auctions.
    Shilled {
        from: f64,
        to: f64,
        shills: Vec<Id>,
        ratio: f64,
        camouflage: f64,
    },
}

/// All attacks on a market.
#[derive(Clone, Debug, Default)]
pub(crate) struct Overlay {
    /// Ascending in time.
    pub(crate) trades: Vec<Trade>,
    pub(crate) parts: BTreeMap<Id, Part>,
    /// Who is slandered, by which group.
    pub(crate) victims: BTreeMap<Id, String>,
    pub(crate) bends: BTreeMap<Id, Vec<Bend>>,
}

/// Plans the attacks, and adds their identities to the world's agents.
pub(crate) fn plan(world: &mut World, attacks: &[Attack]) -> Result<Overlay, Error> {
    let mut overlay = Overlay::default();
    let mut free = Free::of(world);
    let mut numbers: BTreeMap<AttackKind, usize> = BTreeMap::new();
    for attack in attacks {
        for _ in 0..attack.groups_among(world.honest) {
            let number = numbers.entry(attack.kind).or_default();
            let mut plot = Plot::new(world, &mut overlay, &mut free, attack, *number);
            *number += 1;
            if !plot.begin()? && *number == 1 {
                return Err(Error::Together(format!(
                    "{}: not enough agents are left for a single group",
                    attack.kind
                )));
            }
        }
    }
    overlay.trades.sort_by_key(|trade| trade.time);
    Ok(overlay)
}

impl Plot<'_> {
    /// Carries the attack out; `Ok(false)` when there is nobody left to do it.
    fn begin(&mut self) -> Result<bool, Error> {
        match self.attack.kind {
            AttackKind::SybilRing | AttackKind::Adaptive => Ok(self.sybils()),
            AttackKind::ReciprocalBoost => Ok(self.reciprocal()),
            AttackKind::WashCycle => Ok(self.wash()),
            AttackKind::Slander => Ok(self.slander()),
            AttackKind::OnOff => Ok(self.on_off()),
            AttackKind::Whitewash => Ok(self.whitewash()),
            AttackKind::QualityLie => Ok(self.lie()),
            AttackKind::MicroFarm => Ok(self.micro_farm()),
            AttackKind::PriceFixing => self.price_fixing(),
            AttackKind::BiddingWar => self.bidding_war(),
            AttackKind::ShillBidding => self.shills(),
            AttackKind::ClosedLoop => Ok(self.closed_loop()),
            AttackKind::ReputationHoarding => Ok(self.hoarding()),
        }
    }
}

impl Overlay {
    /// What becomes of a trade of the honest world when its seller attacks; `false` when it does not take place.
    pub(crate) fn bend(&self, trade: &mut Trade, world: &World) -> bool {
        let Some(bends) = self.bends.get(&trade.seller) else {
            return true;
        };
        let mut random = Random::stream(world.seed, "bend", trade.serial);
        bends
            .iter()
            .all(|bend| bend.apply(trade, world, &mut random))
    }
}

impl Bend {
    /// Changes the trade; `false` when it does not take place.
    fn apply(&self, trade: &mut Trade, world: &World, random: &mut Random) -> bool {
        let day = day_of(trade.time);
        let within = |from: f64, to: f64| (from..to).contains(&day);
        let worth = num::real(trade.micro) * world.venues[trade.venue].currency.worth;
        match self {
            Self::Off {
                windows,
                keep,
                camouflage,
            } => {
                if windows.iter().any(|(from, to)| within(*from, *to))
                    && !random.chance(*camouflage)
                {
                    deliver_less(trade, *keep, world, random);
                }
            }
            Self::Lie {
                from,
                to,
                keep,
                claim,
                camouflage,
            } => {
                if within(*from, *to) && !random.chance(*camouflage) {
                    deliver_less(trade, *keep, world, random);
                    let claimed = num::clip(claim + 0.02 * random.normal());
                    if let Some(report) = &mut trade.by_seller {
                        report.claim = Some(claimed);
                        report.ending = Ending::Fulfilled;
                    }
                }
            }
            Self::Large {
                from,
                to,
                worth: least,
                keep,
                camouflage,
            } => {
                if within(*from, *to) && worth >= *least && !random.chance(*camouflage) {
                    deliver_less(trade, *keep, world, random);
                }
            }
            Self::Posted { from, to, ratio } => {
                // The agreed price leaves no room for an own one.
                if within(*from, *to) && world.venues[trade.venue].kind == Kind::Purchase {
                    let agreed = world.list_price(trade.venue, trade.units) * ratio;
                    trade.micro = num::whole(agreed * random.spread(0.004) + 0.5).max(1);
                }
            }
            Self::Shilled {
                from,
                to,
                shills,
                ratio,
                camouflage,
            } => {
                if within(*from, *to) && !random.chance(*camouflage) {
                    shill(trade, shills, *ratio, random);
                }
            }
            Self::Gone { from } => return day < *from,
            Self::Refuses {
                from,
                to,
                camouflage,
            } => {
                let refused = within(*from, *to) && world.agents[trade.buyer].newcomer;
                return !refused || random.chance(*camouflage);
            }
        }
        true
    }
}

/// The seller delivers a share of what it would have, and the buyer says what it got.
fn deliver_less(trade: &mut Trade, keep: f64, world: &World, random: &mut Random) {
    if trade.delivered <= 0.0 {
        return;
    }
    let left = (trade.delivered * keep + 0.04 * random.normal()).clamp(0.0, 1.0);
    trade.delivered = if left < 0.05 { 0.0 } else { left };
    trade.by_buyer = world.buyer_report(trade, random);
}

/// Bids just under a price that they raised.
fn shill(trade: &mut Trade, shills: &[Id], ratio: f64, random: &mut Random) {
    let Some(auction) = trade.auction.as_mut().filter(|a| a.forward) else {
        return;
    };
    let raised = 1.0 + (ratio - 1.0) * random.between(0.6, 1.3);
    trade.micro = num::whole(num::real(trade.micro) * raised).max(1);
    for shill in shills {
        if random.chance(0.75) {
            let under = random.between(0.95, 0.998);
            let bid = num::whole(num::real(trade.micro) * under).max(1);
            auction.bids.push((*shill, bid));
        }
    }
    auction.bids.sort_by_key(|(_, bid)| std::cmp::Reverse(*bid));
}
