//! Kinds of attack, their parameters, and how they are written.

use std::{fmt, str::FromStr};

use serde::Serialize;

use crate::Error;

macro_rules! kinds {
    ($($variant:ident = $wire:literal, $label:literal, $flag:literal, size $size:literal, groups $groups:literal, camouflage $camouflage:literal, spread $spread:literal, $summary:literal;)*) => {
        /// A kind of attack: those that have a flag, and the adaptive sybils, which are harder than the others.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[serde(rename_all = "snake_case")]
        pub enum AttackKind { $(#[doc = $summary] $variant,)* }

        impl AttackKind {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The name on the command line.
            pub fn as_str(self) -> &'static str { match self { $(Self::$variant => $wire,)* } }

            /// The name in the `attack` column of the labels.
            pub fn label(self) -> &'static str { match self { $(Self::$variant => $label,)* } }

            /// The kind of flag that should find it.
            pub fn flag(self) -> &'static str { match self { $(Self::$variant => $flag,)* } }

            /// What the attackers do.
            pub fn summary(self) -> &'static str { match self { $(Self::$variant => $summary,)* } }

            /// Helpers a group, groups in 2,000 agents, camouflage and days of registration when nothing is said.
            fn usual(self) -> (f64, f64, f64, f64) { match self { $(Self::$variant => ($size, $groups, $camouflage, $spread),)* } }
        }
    };
}

kinds! {
    SybilRing = "sybil_ring", "sybil_ring", "sybil_ring", size 8.0, groups 7.0, camouflage 0.05, spread 3.0, "A bad seller's own identities buy from it and praise it.";
    Adaptive = "adaptive", "adaptive", "sybil_ring", size 20.0, groups 7.0, camouflage 0.6, spread 60.0, "Sybils that really buy elsewhere, register over months and rate as honest buyers rate a good seller.";
    ReciprocalBoost = "reciprocal_boost", "reciprocal", "reciprocal_boost", size 7.0, groups 6.0, camouflage 0.1, spread 0.0, "Bad sellers buy from and praise each other.";
    WashCycle = "wash_cycle", "wash_cycle", "wash_cycle", size 8.0, groups 5.0, camouflage 0.2, spread 0.0, "The same money goes round a circle, with praise, in varying amounts and delays.";
    Slander = "slander", "slander", "slander", size 6.0, groups 6.0, camouflage 0.5, spread 0.0, "Buyers mark a good competitor down and rate others honestly.";
    OnOff = "on_off", "on_off", "on_off", size 0.0, groups 40.0, camouflage 0.1, spread 0.0, "A seller delivers well for some weeks, badly for some weeks, and again.";
    Whitewash = "whitewash", "whitewash", "whitewash", size 9.0, groups 7.0, camouflage 0.1, spread 0.0, "A bad seller begins anew under a new identity, again and again.";
    QualityLie = "quality_lie", "data_lie", "quality_lie", size 0.0, groups 40.0, camouflage 0.2, spread 0.0, "A seller delivers less than it claims, modestly or blatantly.";
    MicroFarm = "micro_farm", "micro_farm", "micro_farm", size 0.0, groups 20.0, camouflage 0.1, spread 0.0, "A seller earns praise with tiny trades and cheats in large ones.";
    PriceFixing = "price_fixing", "cartel", "price_fixing", size 5.0, groups 7.0, camouflage 0.2, spread 0.0, "Sellers take turns in winning tenders with covering bids, or raise posted prices in parallel.";
    BiddingWar = "bidding_war", "bid_war", "bidding_war", size 3.0, groups 12.0, camouflage 0.1, spread 0.0, "Buyers outbid each other far above the price while capacity is idle.";
    ShillBidding = "shill_bidding", "shill", "shill_bidding", size 3.0, groups 14.0, camouflage 0.2, spread 3.0, "A seller's identities bid its auctions up and lose.";
    ClosedLoop = "closed_loop", "closed_loop", "closed_loop", size 11.0, groups 4.0, camouflage 0.3, spread 0.0, "Insiders begin to trade among themselves and leave newcomers out; they deliver honestly.";
    ReputationHoarding = "reputation_hoarding", "reputation_hoarding", "reputation_hoarding", size 8.0, groups 4.0, camouflage 0.3, spread 0.0, "Established sellers praise each other a little and mark rising newcomers down.";
}

impl fmt::Display for AttackKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One attack, as it is to be made. Ranges: [`Attack::PARAMETERS`].
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Attack {
    /// What is done.
    pub kind: AttackKind,
    /// Members of a group beside its principal (of an agreement: members).
    pub size: f64,
    /// Number of groups; 0 = in proportion to the agents.
    pub groups: f64,
    /// How much of it, 1 being usual.
    pub intensity: f64,
    /// Share of what the attackers do that looks honest, and is.
    pub camouflage: f64,
    /// First day, as a share of the market's days; below 0 = each group its own.
    pub from: f64,
    /// Days it lasts; 0 = each group its own.
    pub duration: f64,
    /// Days over which new identities register.
    pub spread: f64,
    /// Share of the praise that is what an honest buyer would say of a good seller, failures included; the rest is near perfect.
    pub likeness: f64,
    /// Share of the groups that also use a second tactic: their claims lie, and their helpers slander a competitor.
    pub mix: f64,
}

/// Names and ranges.
type Range = (&'static str, f64, f64, &'static str, &'static str);

impl Attack {
    /// Name, least, greatest, unit, meaning.
    pub const PARAMETERS: &'static [Range] = &[
        (
            "size",
            0.0,
            5000.0,
            "agents",
            "helpers or members of a group; kinds of a single agent have none",
        ),
        (
            "groups",
            0.0,
            5000.0,
            "groups",
            "how many groups; 0 = as many as are usual for the number of agents",
        ),
        (
            "intensity",
            0.01,
            100.0,
            "ratio",
            "how much of it, 1 being usual",
        ),
        (
            "camouflage",
            0.0,
            0.98,
            "share",
            "share of what the attackers do that looks honest, and is",
        ),
        (
            "from",
            -1.0,
            0.95,
            "share of the days",
            "when it begins; below 0 = each group at its own time",
        ),
        (
            "duration",
            0.0,
            1000.0,
            "days",
            "how long it lasts; 0 = each group its own",
        ),
        (
            "spread",
            0.0,
            1000.0,
            "days",
            "how long new identities take to register",
        ),
        (
            "likeness",
            0.0,
            1.0,
            "share",
            "praise that is what an honest buyer would say of a good seller; the rest is near perfect",
        ),
        (
            "mix",
            0.0,
            1.0,
            "share",
            "groups that also use a second tactic: their claims lie, their helpers slander a competitor",
        ),
    ];

    /// The usual attack of a kind.
    pub fn usual(kind: AttackKind) -> Self {
        let (size, _, camouflage, spread) = kind.usual();
        Self {
            kind,
            size,
            groups: 0.0,
            intensity: 1.0,
            camouflage,
            from: -1.0,
            duration: 0.0,
            spread,
            likeness: match kind {
                AttackKind::Adaptive => 1.0,
                AttackKind::ReputationHoarding => 0.5,
                _ => 0.0,
            },
            mix: 0.15,
        }
    }

    /// Groups of this attack in a market of so many agents where nothing is said: at least one.
    pub fn usual_groups(&self, agents: usize) -> usize {
        let (_, usual, _, _) = self.kind.usual();
        crate::num::count(usual * crate::num::size(agents) / 2000.0).max(1)
    }

    /// Groups of this attack in a market of so many agents.
    pub(crate) fn groups_among(&self, agents: usize) -> usize {
        if self.groups > 0.0 {
            crate::num::count(self.groups).max(1)
        } else {
            self.usual_groups(agents)
        }
    }

    /// Parses `all`, `none` or `KIND[:name=value,…]`; parameters after `all` hold for every kind.
    ///
    /// # Errors
    /// [`Error::Attack`]: no such kind or parameter; [`Error::Range`].
    pub fn parse(text: &str) -> Result<Vec<Self>, Error> {
        let (name, parameters) = text.split_once(':').unwrap_or((text, ""));
        let mut attacks = match name {
            "none" if parameters.is_empty() => return Ok(Vec::new()),
            "all" => AttackKind::ALL.iter().copied().map(Self::usual).collect(),
            name => vec![Self::usual(name.parse()?)],
        };
        for attack in &mut attacks {
            for assignment in parameters.split(',').filter(|p| !p.is_empty()) {
                attack.assign(text, assignment)?;
            }
        }
        Ok(attacks)
    }

    fn assign(&mut self, text: &str, assignment: &str) -> Result<(), Error> {
        let bad = |why: String| Error::Attack(text.into(), why);
        let (name, value) = assignment
            .split_once('=')
            .ok_or_else(|| bad(format!("{assignment:?} is not name=value")))?;
        let value: f64 = value
            .parse()
            .map_err(|_| bad(format!("{value:?} is no number")))?;
        let field = self.field(name).ok_or_else(|| {
            let names: Vec<_> = Self::PARAMETERS.iter().map(|p| p.0).collect();
            bad(format!(
                "no parameter {name:?}; there are {}",
                names.join(", ")
            ))
        })?;
        *field = value;
        self.check()
    }

    fn field(&mut self, name: &str) -> Option<&mut f64> {
        Some(match name {
            "size" => &mut self.size,
            "groups" => &mut self.groups,
            "intensity" => &mut self.intensity,
            "camouflage" => &mut self.camouflage,
            "from" => &mut self.from,
            "duration" => &mut self.duration,
            "spread" => &mut self.spread,
            "likeness" => &mut self.likeness,
            "mix" => &mut self.mix,
            _ => return None,
        })
    }

    /// Whether every parameter is in its range.
    ///
    /// # Errors
    /// [`Error::Range`].
    pub fn check(&self) -> Result<(), Error> {
        let mut own = self.clone();
        for (name, low, high, unit, _) in Self::PARAMETERS {
            let value = own.field(name).map_or(0.0, |x| *x);
            if !(*low..=*high).contains(&value) {
                let full = format!("{} {name}", self.kind);
                return Err(Error::range(&full, value, *low, *high, unit));
            }
        }
        Ok(())
    }
}

impl FromStr for AttackKind {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let found = Self::ALL.iter().find(|kind| kind.as_str() == text);
        found.copied().ok_or_else(|| {
            let all: Vec<_> = Self::ALL.iter().map(|kind| kind.as_str()).collect();
            Error::Attack(
                text.into(),
                format!("no such kind; there are all, none, {}", all.join(", ")),
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attacks_are_parsed() {
        assert_eq!(Attack::parse("none").unwrap(), []);
        assert_eq!(Attack::parse("all").unwrap().len(), AttackKind::ALL.len());
        let ring = &Attack::parse("sybil_ring:size=50,camouflage=.3,groups=2").unwrap()[0];
        assert_eq!(ring.kind, AttackKind::SybilRing);
        assert!((ring.size - 50.0).abs() < 1e-9 && (ring.camouflage - 0.3).abs() < 1e-9);
        assert_eq!(ring.groups_among(100), 2);
        assert_eq!(Attack::usual(AttackKind::OnOff).groups_among(300), 6);
        let mixed = Attack::parse("all:mix=1").unwrap();
        assert!(mixed.iter().all(|a| (a.mix - 1.0).abs() < 1e-9));
    }

    #[test]
    fn what_is_wrong_is_said() {
        let code = |text: &str| Attack::parse(text).unwrap_err().code().as_str();
        for text in [
            "magic",
            "none:size=1",
            "slander:size",
            "slander:size=x",
            "slander:colour=1",
        ] {
            assert_eq!(code(text), "simulate.attack_invalid", "{text}");
        }
        for text in [
            "slander:camouflage=2",
            "all:intensity=0",
            "slander:size=nan",
        ] {
            assert_eq!(code(text), "simulate.parameter_out_of_range", "{text}");
        }
    }

    #[test]
    fn names_are_those_of_the_flags() {
        for kind in AttackKind::ALL {
            assert_eq!(kind.as_str().parse::<AttackKind>().unwrap(), *kind);
            assert!(*kind == AttackKind::Adaptive || kind.flag() == kind.as_str());
        }
    }
}
