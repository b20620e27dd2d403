//! What is usual in a market: sixty numbers, each with a meaning, a unit and a range.

use serde::{Deserialize, Serialize};

use crate::{Error, presets, random::Random};

/// One parameter of [`Habits`].
#[derive(Clone, Copy, Debug)]
pub struct Parameter {
    /// Its name, as in a habits file.
    pub name: &'static str,
    /// What it is when nothing is said.
    pub default: f64,
    /// Least value.
    pub low: f64,
    /// Greatest value.
    pub high: f64,
    /// What `--habits random` draws from, uniformly: a range within the range.
    pub random: (f64, f64),
    /// Its unit.
    pub unit: &'static str,
    /// What it means.
    pub meaning: &'static str,
    get: fn(&Habits) -> f64,
    set: fn(&mut Habits, f64),
}

impl Parameter {
    /// The value that these habits have.
    pub fn of(&self, habits: &Habits) -> f64 {
        (self.get)(habits)
    }
}

macro_rules! habits {
    ($($name:ident: $default:literal, $low:literal..$high:literal, ($rlow:literal, $rhigh:literal), $unit:literal, $meaning:literal;)*) => {
        /// The habits of a market. Units and ranges: [`Habits::PARAMETERS`], docs/SIMULATE.md.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        #[expect(missing_docs, reason = "the table below is their documentation, and the tests hold docs/SIMULATE.md to it")]
        pub struct Habits { $(pub $name: f64,)* }

        impl Default for Habits {
            fn default() -> Self { Self { $($name: $default,)* } }
        }

        impl Habits {
            /// Every parameter.
            pub const PARAMETERS: &'static [Parameter] = &[$(Parameter {
                name: stringify!($name), default: $default, low: $low, high: $high, random: ($rlow, $rhigh),
                unit: $unit, meaning: $meaning, get: |h| h.$name, set: |h, x| h.$name = x,
            },)*];
        }
    };
}

habits! {
    days: 180.0, 30.0..1000.0, (120.0, 240.0), "days", "how long the market is watched";
    growth: 1.5, 0.2..20.0, (0.7, 4.0), "ratio", "trades a day at the end, relative to the beginning";
    weekly: 0.15, 0.0..0.9, (0.0, 0.4), "share", "how much busier the middle of a week is than its end";
    swap: 0.07, 0.0..1.0, (0.02, 0.15), "weight", "data swaps among the trades";
    purchase: 0.69, 0.0..1.0, (0.2, 0.8), "weight", "purchases among the trades";
    auction: 0.12, 0.0..1.0, (0.05, 0.3), "weight", "forward auctions of compute among the trades";
    service: 0.12, 0.0..1.0, (0.05, 0.3), "weight", "services by reverse auction or negotiation among the trades";
    venues: 3.0, 1.0..40.0, (2.0, 5.0), "markets", "markets of each kind of trade, where there are sellers enough";
    sellers: 0.22, 0.05..0.9, (0.12, 0.35), "share", "agents that only sell";
    both: 0.28, 0.02..0.9, (0.15, 0.45), "share", "agents that sell and buy";
    buyer_skew: 1.0, 0.0..2.5, (0.6, 1.4), "deviation of ln", "how unequal buyers' activity is";
    seller_skew: 0.7, 0.0..2.5, (0.3, 1.2), "deviation of ln", "how unequally visible sellers are";
    newcomers: 0.25, 0.0..0.9, (0.15, 0.4), "share", "agents that join after the opening days";
    promoted: 0.15, 0.0..1.0, (0.0, 0.5), "share", "newcomers that come in a promotion, many on one day";
    exits: 0.08, 0.0..0.8, (0.0, 0.2), "share", "agents that leave before the end";
    quality_mean: 0.70, 0.1..0.98, (0.6, 0.85), "quality", "mean quality of sellers";
    quality_spread: 0.20, 0.0..0.5, (0.1, 0.24), "quality", "deviation of quality among sellers";
    quality_noise: 0.06, 0.0..0.5, (0.03, 0.14), "quality", "deviation of what one seller delivers from trade to trade";
    failures: 0.03, 0.0..0.5, (0.01, 0.06), "share", "trades of a middling seller in which nothing is delivered; worse sellers fail more";
    drift_step: 0.12, 0.0..1.0, (0.0, 0.15), "share", "sellers whose quality changes once, at once";
    drift_steps: 0.0, 0.0..1.0, (0.0, 0.12), "share", "sellers whose quality changes several times";
    drift_gradual: 0.0, 0.0..1.0, (0.0, 0.2), "share", "sellers whose quality moves slowly";
    drift_season: 0.0, 0.0..1.0, (0.0, 0.1), "share", "sellers whose quality swings with a season";
    drift_dip: 0.0, 0.0..1.0, (0.0, 0.1), "share", "sellers whose quality falls for some weeks and recovers";
    drift_size: 0.30, 0.0..0.8, (0.15, 0.4), "quality", "how far it changes, in the mean";
    reputation_pull: 0.6, 0.0..1.0, (0.3, 0.9), "share", "choices in which a buyer takes the best-looking candidate; else any";
    candidates: 5.0, 2.0..30.0, (3.0, 9.0), "sellers", "how many sellers a buyer looks at";
    score_noise: 0.08, 0.0..1.0, (0.03, 0.2), "quality", "deviation of a buyer's view of the public running score";
    score_memory: 40.0, 2.0..1000.0, (15.0, 100.0), "ratings", "how many ratings the running score looks back on";
    loyalty: 0.35, 0.0..0.98, (0.1, 0.6), "share", "choices among sellers the buyer knows";
    lenient: 0.15, 0.0..1.0, (0.0, 0.3), "share", "raters that see half the fault or less";
    harsh: 0.10, 0.0..1.0, (0.0, 0.25), "share", "raters that see more fault than there is";
    erratic: 0.05, 0.0..1.0, (0.0, 0.15), "share", "raters whose rating often is any number";
    extreme: 0.0, 0.0..1.0, (0.0, 0.3), "share", "raters that know only all and nothing";
    additive: 0.0, 0.0..1.0, (0.0, 1.0), "share", "lenient and harsh raters that add a constant instead of scaling the fault";
    rater_strength: 0.45, 0.0..0.95, (0.2, 0.6), "share", "how lenient or harsh they are";
    rating_noise: 0.03, 0.0..0.4, (0.01, 0.1), "quality", "deviation of a rating from what its rater saw";
    rating_step: 0.001, 0.001..1.0, (0.001, 0.25), "quality", "ratings are multiples of this: .25 is five stars";
    buyer_reports: 0.97, 0.05..1.0, (0.5, 1.0), "share", "trades on which the buyer reports";
    unhappy: 1.0, 1.0..10.0, (1.0, 3.0), "ratio", "how much likelier an unhappy buyer reports than a happy one";
    seller_reports: 0.92, 0.0..1.0, (0.3, 0.98), "share", "trades on which the seller reports";
    claims: 1.0, 0.0..1.0, (0.0, 1.0), "share", "sellers that claim a quality with each report";
    claim_optimism: 0.0, 0.0..0.3, (0.0, 0.1), "quality", "how much honest sellers overestimate themselves";
    countersigned: 0.05, 0.0..1.0, (0.0, 0.4), "share", "reports that bring the counterparty's signed terms";
    late_payers: 0.03, 0.0..0.6, (0.0, 0.1), "share", "buyers that often pay late or in part";
    amount_spread: 1.0, 0.2..2.0, (0.6, 1.3), "ratio", "how unequal amounts are";
    foreign: 0.0, 0.0..1.0, (0.0, 0.7), "share", "markets that trade in another currency than USDC and CREDIT";
    unlisted: 0.0, 0.0..1.0, (0.0, 0.3), "share", "of those, markets in a currency that no policy lists";
    batched: 0.0, 0.0..1.0, (0.0, 0.6), "share", "purchases that are settled, and so closed, at the end of a batch";
    batch_hours: 6.0, 1.0..24.0, (1.0, 12.0), "hours", "length of a batch";
    negotiated: 0.15, 0.0..1.0, (0.0, 0.4), "share", "services whose price is negotiated, without an auction";
    bidders: 4.0, 2.0..12.0, (3.0, 7.0), "bidders", "bidders of an auction, in the mean";
    bid_spread: 0.18, 0.005..1.0, (0.06, 0.3), "deviation of ln", "how far bids lie from each other";
    tight_venues: 0.2, 0.0..1.0, (0.0, 0.5), "share", "service markets in which bids are tight by nature";
    surges: 3.0, 0.0..40.0, (0.0, 6.0), "surges", "times in which compute is scarce and dear, full and dear for everybody";
    barter: 0.02, 0.0..0.5, (0.0, 0.05), "share", "agents in barter pairs";
    chains: 0.015, 0.0..0.5, (0.0, 0.04), "share", "agents in supply chains";
    cliques: 0.015, 0.0..0.5, (0.0, 0.04), "share", "agents in niche cliques";
    resellers: 0.0, 0.0..0.5, (0.0, 0.05), "share", "agents that sell on what they bought";
    cooperatives: 0.0, 0.0..0.5, (0.0, 0.05), "share", "agents in cooperatives";
    bulk: 0.0, 0.0..0.5, (0.0, 0.04), "share", "buyers with one supplier, and these";
    orchestrators: 0.0, 0.0..0.5, (0.0, 0.03), "share", "agents that sell services made of others'";
    flash: 0.0025, 0.0..0.2, (0.0, 0.008), "share", "sellers that a crowd finds for a day or two";
    trap_traffic: 0.12, 0.0..0.8, (0.05, 0.2), "share", "trades within these groups";
}

impl Habits {
    /// The habits of a family in [`FAMILIES`](crate::FAMILIES), or ones drawn from `seed` for `random`.
    ///
    /// # Errors
    /// [`Error::HabitsUnknown`].
    pub fn named(name: &str, seed: u64) -> Result<Self, Error> {
        if name == "random" {
            return Ok(Self::random(seed));
        }
        let found = presets::FAMILIES
            .iter()
            .find(|family| family.name == name)
            .ok_or_else(|| {
                let all: Vec<_> = presets::FAMILIES.iter().map(|f| f.name).collect();
                Error::HabitsUnknown(name.into(), all.join(", "))
            })?;
        Self::parse(found.habits)
    }

    /// Habits from TOML: the named parameters differ from the default, the rest is as usual.
    ///
    /// # Errors
    /// [`Error::HabitsUnreadable`], [`Error::Range`], [`Error::Together`].
    pub fn parse(text: &str) -> Result<Self, Error> {
        let habits: Self =
            toml::from_str(text).map_err(|e| Error::HabitsUnreadable(e.message().to_owned()))?;
        habits.check()?;
        Ok(habits)
    }

    /// Habits drawn from a seed, each parameter from its `random` range.
    pub fn random(seed: u64) -> Self {
        let mut habits = Self::default();
        for (i, parameter) in (0..).zip(Self::PARAMETERS) {
            let mut random = Random::stream(seed, "habits", i);
            let (low, high) = parameter.random;
            (parameter.set)(&mut habits, random.between(low, high));
        }
        habits
    }

    /// Whether the market is possible.
    ///
    /// # Errors
    /// [`Error::Range`] for a parameter outside its range, [`Error::Together`] where shares add up to more than the whole.
    pub fn check(&self) -> Result<(), Error> {
        for p in Self::PARAMETERS {
            let value = p.of(self);
            if !(p.low..=p.high).contains(&value) {
                return Err(Error::range(p.name, value, p.low, p.high, p.unit));
            }
        }
        let sums = [
            ("sellers, both", self.sellers + self.both),
            (
                "drift_step, drift_steps, drift_gradual, drift_season, drift_dip",
                self.drift_step
                    + self.drift_steps
                    + self.drift_gradual
                    + self.drift_season
                    + self.drift_dip,
            ),
            (
                "lenient, harsh, erratic, extreme",
                self.lenient + self.harsh + self.erratic + self.extreme,
            ),
        ];
        for (names, sum) in sums {
            if sum > 1.0 {
                return Err(Error::Together(format!(
                    "{names} together are {sum} of all; at most 1"
                )));
            }
        }
        if self.swap + self.purchase + self.auction + self.service <= 0.0 {
            return Err(Error::Together(
                "one of swap, purchase, auction, service must be more than 0".into(),
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_families_and_random_habits_are_possible() {
        Habits::default().check().unwrap();
        for family in presets::FAMILIES {
            Habits::named(family.name, 0).unwrap_or_else(|e| panic!("{}: {e}", family.name));
        }
        for seed in 0..500 {
            Habits::random(seed)
                .check()
                .unwrap_or_else(|e| panic!("{seed}: {e}"));
        }
        assert!(presets::FAMILIES.len() >= 12);
    }

    #[test]
    fn the_table_is_consistent() {
        for p in Habits::PARAMETERS {
            assert!(
                p.low <= p.random.0 && p.random.0 <= p.random.1 && p.random.1 <= p.high,
                "{}",
                p.name
            );
            assert!((p.low..=p.high).contains(&p.default), "{}", p.name);
            assert!(
                (p.of(&Habits::default()) - p.default).abs() < 1e-12,
                "{}",
                p.name
            );
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        let code = |text: &str| Habits::parse(text).unwrap_err().code().as_str();
        assert_eq!(code("days = 5.0"), "simulate.parameter_out_of_range");
        assert_eq!(code("loyalty = nan"), "simulate.parameter_out_of_range");
        assert_eq!(
            code("sellers = 0.6\nboth = 0.6"),
            "simulate.parameters_contradict"
        );
        assert_eq!(
            code("purchase = 0\nswap = 0\nauction = 0\nservice = 0"),
            "simulate.parameters_contradict"
        );
        assert_eq!(code("colour = 1.0"), "simulate.habits_unreadable");
        assert_eq!(code("days ="), "simulate.habits_unreadable");
        assert_eq!(
            Habits::named("martian", 0).unwrap_err().code().as_str(),
            "simulate.habits_unknown"
        );
    }
}
