//! Parameters, and the market they make.

use std::io::{self, Write};

use serde::Serialize;

use crate::{
    Attack, Error, Habits, Label, Reports,
    attack::{self, Overlay},
    num,
    random::mix,
    reports,
    world::World,
};

/// Everything that makes a market: the same parameters, the same bytes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Parameters {
    /// Agents of the honest world, 300..=100,000; attackers' further identities come on top.
    pub agents: usize,
    /// Trades of the honest world, at least one an agent; attacks come on top.
    pub trades: u64,
    /// What all chance is drawn from.
    pub seed: u64,
    /// Unix seconds of the day after the last.
    pub end: u64,
    /// What is usual.
    pub habits: Habits,
    /// What is wrong.
    pub attacks: Vec<Attack>,
}

impl Default for Parameters {
    /// 2,000 agents and 100,000 trades of usual habits that end with June 2026, without attacks.
    fn default() -> Self {
        Self {
            agents: 2_000,
            trades: 100_000,
            seed: 1,
            end: 1_782_777_600,
            habits: Habits::default(),
            attacks: Vec::new(),
        }
    }
}

impl Parameters {
    /// Fewest agents of a market.
    pub const LEAST_AGENTS: usize = 300;
    /// Most agents of a market.
    pub const MOST_AGENTS: usize = 100_000;
    /// Most trades of the honest world.
    pub const MOST_TRADES: u64 = 50_000_000;

    /// Whether the market is possible.
    ///
    /// # Errors
    /// [`Error::Range`], [`Error::Together`].
    pub fn check(&self) -> Result<(), Error> {
        let range = |name: &str, value: u64, low: u64, high: u64, unit| {
            if (low..=high).contains(&value) {
                return Ok(());
            }
            Err(Error::Range {
                name: name.into(),
                value: value.to_string(),
                low: low.to_string(),
                high: high.to_string(),
                unit,
            })
        };
        let wide = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
        range(
            "agents",
            wide(self.agents),
            wide(Self::LEAST_AGENTS),
            wide(Self::MOST_AGENTS),
            "agents",
        )?;
        range(
            "trades",
            self.trades,
            wide(self.agents),
            Self::MOST_TRADES,
            "trades",
        )?;
        range("end", self.end, 100_000_000, 253_402_300_799, "seconds")?;
        self.habits.check()?;
        for attack in &self.attacks {
            attack.check()?;
        }
        Ok(())
    }
}

/// A market, before its first trade.
#[derive(Debug)]
pub struct Market {
    pub(crate) parameters: Parameters,
    pub(crate) world: World,
    pub(crate) overlay: Overlay,
    /// Unix seconds of the beginning.
    pub(crate) begin: u64,
}

impl Market {
    /// Plans a market: everybody in it, and what the attackers will do.
    ///
    /// # Errors
    /// Those of [`Parameters::check`]; [`Error::Together`] where an attack wants more agents than there are.
    pub fn new(parameters: Parameters) -> Result<Self, Error> {
        parameters.check()?;
        let mut world = World::new(&parameters);
        let overlay = attack::plan(&mut world, &parameters.attacks)?;
        let begin = parameters.end - num::whole(parameters.habits.days) * crate::agent::DAY;
        Ok(Self {
            parameters,
            world,
            overlay,
            begin,
        })
    }

    /// What it was made of.
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// Aliases of the trust roots: honest buyers from the first day to the last.
    pub fn seeds(&self) -> Vec<String> {
        let mut seeds: Vec<String> = self
            .world
            .seeds
            .iter()
            .map(|id| alias(self.world.seed, *id))
            .collect();
        seeds.sort_unstable();
        seeds
    }

    /// Its reports, ascending in time; labels are complete after the last.
    pub fn reports(&self) -> Reports<'_> {
        Reports::new(self)
    }

    /// Writes all reports as import CSV, header first.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn write_reports(&self, out: &mut impl Write) -> io::Result<Told> {
        let mut all = self.reports();
        let mut line = String::with_capacity(512);
        line.push_str(&reports::COLUMNS.join(","));
        line.push('\n');
        out.write_all(line.as_bytes())?;
        let mut reports = 0;
        for report in all.by_ref() {
            line.clear();
            report.write(&mut line);
            out.write_all(line.as_bytes())?;
            reports += 1;
        }
        Ok(Told {
            labels: all.labels(),
            reports,
        })
    }

    /// The parameters as JSON, one member a line, as `market.json` has them.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn write_parameters(&self, out: &mut impl Write) -> io::Result<()> {
        serde_json::to_writer_pretty(&mut *out, &self.parameters)?;
        out.write_all(b"\n")
    }
}

/// A market that was told to the end.
#[derive(Clone, Debug, PartialEq)]
pub struct Told {
    /// What everybody really is, ascending by alias.
    pub labels: Vec<Label>,
    /// How many reports there are.
    pub reports: u64,
}

/// The name of an agent: says nothing about it.
pub(crate) fn alias(seed: u64, id: usize) -> String {
    let index = u64::try_from(id).unwrap_or(0);
    format!("ag_{:012x}", mix(seed, "alias", index) >> 16)
}
