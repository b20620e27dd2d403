//! What can be wrong with the parameters of a market.

use thiserror::Error;

/// Why there is no market.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Error {
    /// A parameter lies outside its range.
    #[error("{name} is {value}; it must lie in {low}..={high} {unit}")]
    Range {
        /// The parameter.
        name: String,
        /// What it is.
        value: String,
        /// Least value.
        low: String,
        /// Greatest value.
        high: String,
        /// Its unit.
        unit: &'static str,
    },
    /// Parameters that do not go together.
    #[error("{0}")]
    Together(String),
    /// No habits of this name.
    #[error("no habits are called {0:?}; there are {1}, random, or a TOML file")]
    HabitsUnknown(String, String),
    /// The habits are not TOML, or have members that are none of theirs.
    #[error("habits: {0}")]
    HabitsUnreadable(String),
    /// No attack of this name, or not written as one.
    #[error("attack {0:?}: {1}")]
    Attack(String, String),
}

impl Error {
    /// The stable code.
    pub fn code(&self) -> SimulateCode {
        match self {
            Self::Range { .. } => SimulateCode::Range,
            Self::Together(_) => SimulateCode::Together,
            Self::HabitsUnknown(..) => SimulateCode::HabitsUnknown,
            Self::HabitsUnreadable(_) => SimulateCode::HabitsUnreadable,
            Self::Attack(..) => SimulateCode::Attack,
        }
    }

    pub(crate) fn range(name: &str, value: f64, low: f64, high: f64, unit: &'static str) -> Self {
        Self::Range {
            name: name.into(),
            value: value.to_string(),
            low: low.to_string(),
            high: high.to_string(),
            unit,
        }
    }
}

/// A stable error code of this crate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum SimulateCode {
    /// A parameter outside its range.
    Range,
    /// Parameters that do not go together.
    Together,
    /// Unknown habits.
    HabitsUnknown,
    /// Habits that are not TOML or have unknown members.
    HabitsUnreadable,
    /// Not an attack.
    Attack,
}

impl SimulateCode {
    /// All of them.
    pub const ALL: &'static [Self] = &[
        Self::Range,
        Self::Together,
        Self::HabitsUnknown,
        Self::HabitsUnreadable,
        Self::Attack,
    ];

    /// The wire name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Range => "simulate.parameter_out_of_range",
            Self::Together => "simulate.parameters_contradict",
            Self::HabitsUnknown => "simulate.habits_unknown",
            Self::HabitsUnreadable => "simulate.habits_unreadable",
            Self::Attack => "simulate.attack_invalid",
        }
    }

    /// A short title.
    pub fn title(self) -> &'static str {
        match self {
            Self::Range => "Parameter out of range",
            Self::Together => "Parameters do not go together",
            Self::HabitsUnknown => "No such habits",
            Self::HabitsUnreadable => "Habits cannot be read",
            Self::Attack => "Not an attack",
        }
    }

    /// What it means and what to do.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Range => {
                "The detail names the parameter and its range; docs/SIMULATE.md lists them all."
            }
            Self::Together => {
                "The detail says which parameters exclude each other; nothing was written."
            }
            Self::HabitsUnknown => {
                "Name one of the families of docs/SIMULATE.md, `random`, or a TOML file."
            }
            Self::HabitsUnreadable => {
                "A habits file is TOML with the parameters of docs/SIMULATE.md and nothing else."
            }
            Self::Attack => {
                "An attack is all, none or KIND[:name=value,name=value]; docs/SIMULATE.md lists kinds and names."
            }
        }
    }
}
