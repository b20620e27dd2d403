//! What an agent is: its quality in time, how it rates, what it does in the market.

use crate::{Habits, num, num::clip, random::Random};

/// An agent's number; those of the honest world come first.
pub(crate) type Id = usize;

/// Seconds of a day.
pub(crate) const DAY: u64 = 86_400;

/// Days since the market's beginning.
pub(crate) fn day_of(time: u64) -> f64 {
    num::real(time) / 86_400.0
}

/// What an agent does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Buyer,
    Seller,
    Both,
}

impl Role {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Buyer => "buyer",
            Self::Seller => "seller",
            Self::Both => "both",
        }
    }

    pub(crate) fn sells(self) -> bool {
        self != Self::Buyer
    }

    pub(crate) fn buys(self) -> bool {
        self != Self::Seller
    }
}

/// What honest agents may look guilty of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Trap {
    Barter,
    Chain,
    Clique,
    Reseller,
    Cooperative,
    Bulk,
    Orchestrator,
    Flash,
    Promotion,
    Tight,
    Surge,
    Lenient,
    Harsh,
    Erratic,
    Extreme,
}

impl Trap {
    /// The name in the `honest_cluster` column, between `hc_` and the number.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Barter => "barter",
            Self::Chain => "chain",
            Self::Clique => "clique",
            Self::Reseller => "reseller",
            Self::Cooperative => "coop",
            Self::Bulk => "bulk",
            Self::Orchestrator => "orchestrator",
            Self::Flash => "flash",
            Self::Promotion => "promo",
            Self::Tight => "tight",
            Self::Surge => "surge",
            Self::Lenient => "lenient",
            Self::Harsh => "harsh",
            Self::Erratic => "erratic",
            Self::Extreme => "extreme",
        }
    }
}

/// How a quality moves. Days are the market's.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Drift {
    None,
    /// From each day on, the level.
    Steps(Vec<(f64, f64)>),
    /// From one level to another between two days.
    Gradual {
        from: f64,
        to: f64,
        end: f64,
    },
    /// A triangle wave around the level.
    Season {
        swing: f64,
        period: f64,
        phase: f64,
    },
    /// Lower between two days.
    Dip {
        from: f64,
        to: f64,
        depth: f64,
    },
}

/// True quality in time.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Quality {
    pub(crate) level: f64,
    pub(crate) drift: Drift,
}

impl Quality {
    pub(crate) fn fixed(level: f64) -> Self {
        Self {
            level,
            drift: Drift::None,
        }
    }

    /// A level drawn around the market's mean, and for some sellers a way in which it moves between two days.
    pub(crate) fn draw(habits: &Habits, from: f64, to: f64, random: &mut Random) -> Self {
        let level = |random: &mut Random| {
            clip(habits.quality_mean + habits.quality_spread * random.normal()).clamp(0.03, 0.98)
        };
        let now = level(random);
        // The changes are towards a level of the same population, of the wanted size in the mean.
        let moved = |random: &mut Random, at: f64| {
            let by = habits.drift_size * (0.5 + random.unit());
            let up = if at + by > 0.97 {
                false
            } else {
                at - by < 0.05 || random.chance(0.4)
            };
            (if up { at + by } else { at - by }).clamp(0.03, 0.98)
        };
        let span = to - from;
        let mut which = random.unit();
        let mut takes = |share: f64| {
            which -= share;
            which < 0.0
        };
        let drift = if takes(habits.drift_step) {
            let day = from + span * random.between(0.3, 0.8);
            Drift::Steps(vec![(day, moved(random, now))])
        } else if takes(habits.drift_steps) {
            let mut steps = Vec::new();
            let mut at = now;
            for i in 0..random.among(2, 4) {
                let day = from + span * (0.15 + 0.18 * num::size(i) + 0.1 * random.unit());
                at = moved(random, at);
                steps.push((day, at));
            }
            Drift::Steps(steps)
        } else if takes(habits.drift_gradual) {
            let begin = from + span * random.between(0.05, 0.5);
            let end = begin + (to - begin) * random.between(0.4, 1.0);
            Drift::Gradual {
                from: begin,
                to: end,
                end: moved(random, now),
            }
        } else if takes(habits.drift_season) {
            Drift::Season {
                swing: habits.drift_size * random.between(0.3, 0.7),
                period: random.between(30.0, 90.0),
                phase: random.unit(),
            }
        } else if takes(habits.drift_dip) {
            let begin = from + span * random.between(0.15, 0.6);
            Drift::Dip {
                from: begin,
                to: begin + random.between(10.0, 35.0),
                depth: habits.drift_size * random.between(0.7, 1.5),
            }
        } else {
            Drift::None
        };
        Self { level: now, drift }
    }

    /// The quality on a day.
    pub(crate) fn at(&self, day: f64) -> f64 {
        let level = match &self.drift {
            Drift::None => self.level,
            Drift::Steps(steps) => steps
                .iter()
                .rev()
                .find(|(from, _)| day >= *from)
                .map_or(self.level, |(_, level)| *level),
            Drift::Gradual { from, to, end } => {
                let gone = clip((day - from) / (to - from).max(1e-9));
                self.level + (end - self.level) * gone
            }
            Drift::Season {
                swing,
                period,
                phase,
            } => {
                let turn = day / period + phase;
                let turn = turn - num::real(num::whole(turn));
                let wave = if turn < 0.5 {
                    4.0 * turn - 1.0
                } else {
                    3.0 - 4.0 * turn
                };
                self.level + swing * wave
            }
            Drift::Dip { from, to, depth } => {
                if (*from..*to).contains(&day) {
                    self.level - depth
                } else {
                    self.level
                }
            }
        };
        level.clamp(0.02, 0.99)
    }

    /// The day of the first change, where there is one.
    pub(crate) fn changes(&self) -> Option<f64> {
        match &self.drift {
            Drift::Steps(steps) => steps.first().map(|(day, _)| *day),
            Drift::Gradual { from, .. } | Drift::Dip { from, .. } => Some(*from),
            Drift::None | Drift::Season { .. } => None,
        }
    }
}

/// How an agent rates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    Plain,
    Lenient,
    Harsh,
    Erratic,
    Extreme,
}

/// A rater.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Rater {
    pub(crate) style: Style,
    /// Adds a constant; else scales the fault.
    pub(crate) additive: bool,
    pub(crate) strength: f64,
    /// Where an extreme rater turns from nothing to all.
    pub(crate) border: f64,
}

impl Rater {
    pub(crate) fn draw(habits: &Habits, random: &mut Random) -> Self {
        let mut which = random.unit();
        let mut takes = |share: f64| {
            which -= share;
            which < 0.0
        };
        let style = if takes(habits.lenient) {
            Style::Lenient
        } else if takes(habits.harsh) {
            Style::Harsh
        } else if takes(habits.erratic) {
            Style::Erratic
        } else if takes(habits.extreme) {
            Style::Extreme
        } else {
            Style::Plain
        };
        Self {
            style,
            additive: random.chance(habits.additive),
            strength: clip(habits.rater_strength * random.between(0.6, 1.4)),
            border: habits.quality_mean + random.between(-0.2, 0.05),
        }
    }

    /// The rating of something delivered, as a share of 1, rounded to the market's steps.
    pub(crate) fn rate(&self, delivered: f64, habits: &Habits, random: &mut Random) -> f64 {
        let s = self.strength;
        let seen = match (self.style, self.additive) {
            (Style::Plain, _) => delivered,
            (Style::Lenient, false) => 1.0 - (1.0 - delivered) * (1.0 - s),
            (Style::Lenient, true) => delivered + 0.4 * s,
            (Style::Harsh, false) => delivered * (1.0 - 0.6 * s),
            (Style::Harsh, true) => delivered - 0.4 * s,
            (Style::Erratic, _) => {
                if random.chance(s) {
                    random.unit()
                } else {
                    delivered
                }
            }
            (Style::Extreme, _) => {
                if delivered + habits.rating_noise * random.normal() > self.border {
                    1.0
                } else {
                    0.0
                }
            }
        };
        let noise = if self.style == Style::Extreme {
            0.0
        } else {
            habits.rating_noise * random.normal()
        };
        let steps = clip(seen + noise) / habits.rating_step;
        clip(num::real(num::whole(steps + 0.5)) * habits.rating_step)
    }
}

/// An agent.
#[derive(Clone, Debug)]
pub(crate) struct Agent {
    pub(crate) role: Role,
    /// Seconds since the market's beginning.
    pub(crate) join: u64,
    pub(crate) leave: Option<u64>,
    pub(crate) newcomer: bool,
    pub(crate) quality: Quality,
    pub(crate) rater: Rater,
    /// How much it buys, relative to others.
    pub(crate) activity: f64,
    /// How easily it is found, relative to other sellers.
    pub(crate) visibility: f64,
    /// Its price, relative to others'.
    pub(crate) price: f64,
    pub(crate) sells_at: Vec<usize>,
    pub(crate) buys_at: Vec<usize>,
    /// It says with each report what it delivered.
    pub(crate) claims: bool,
    pub(crate) late_payer: bool,
    pub(crate) cluster: Option<(Trap, usize)>,
}

impl Agent {
    pub(crate) fn here(&self, time: u64) -> bool {
        self.join <= time && self.leave.is_none_or(|leave| time < leave)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn qualities_move_as_they_should() {
        let of = |drift| Quality { level: 0.6, drift };
        let close = |a: f64, b: f64| assert!((a - b).abs() < 1e-9, "{a} {b}");
        let steps = of(Drift::Steps(vec![(10.0, 0.9), (20.0, 0.3)]));
        for (day, want) in [(9.9, 0.6), (10.0, 0.9), (19.0, 0.9), (20.0, 0.3)] {
            close(steps.at(day), want);
        }
        let slope = of(Drift::Gradual {
            from: 10.0,
            to: 20.0,
            end: 0.2,
        });
        for (day, want) in [(0.0, 0.6), (15.0, 0.4), (99.0, 0.2)] {
            close(slope.at(day), want);
        }
        let dip = of(Drift::Dip {
            from: 5.0,
            to: 6.0,
            depth: 0.5,
        });
        for (day, want) in [(4.9, 0.6), (5.5, 0.1), (6.0, 0.6)] {
            close(dip.at(day), want);
        }
        let season = of(Drift::Season {
            swing: 0.2,
            period: 40.0,
            phase: 0.0,
        });
        for (day, want) in [(0.0, 0.4), (20.0, 0.8), (40.0, 0.4), (50.0, 0.6)] {
            close(season.at(day), want);
        }
        assert_eq!(
            (steps.changes(), dip.changes(), season.changes()),
            (Some(10.0), Some(5.0), None)
        );
    }

    #[test]
    fn raters_differ_as_they_should() {
        let habits = Habits::default();
        let mut random = Random::stream(7, "raters", 0);
        let mut mean = |style, additive, delivered: f64| {
            let rater = Rater {
                style,
                additive,
                strength: 0.5,
                border: 0.6,
            };
            let sum: f64 = (0..4000)
                .map(|_| rater.rate(delivered, &habits, &mut random))
                .sum();
            sum / 4000.0
        };
        for (style, additive, delivered, want) in [
            (Style::Plain, false, 0.7, 0.7),
            (Style::Lenient, false, 0.6, 0.8),
            (Style::Lenient, true, 0.6, 0.8),
            (Style::Harsh, false, 0.6, 0.42),
            (Style::Harsh, true, 0.6, 0.4),
            (Style::Erratic, false, 0.9, 0.7),
            (Style::Extreme, false, 0.8, 1.0),
            (Style::Extreme, false, 0.4, 0.0),
        ] {
            let got = mean(style, additive, delivered);
            assert!((got - want).abs() < 0.02, "{style:?} {additive}: {got}");
        }
    }
}
