//! A market's files, read back.

use std::collections::{BTreeMap, BTreeSet};

use goodstanding_simulate::{Attack, COLUMNS, Habits, Label, Market, Parameters};

/// One line of the reports, by column.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Row(Vec<String>);

impl Row {
    pub(crate) fn get(&self, column: &str) -> &str {
        let at = COLUMNS.iter().position(|c| *c == column).unwrap();
        &self.0[at]
    }

    pub(crate) fn by_buyer(&self) -> bool {
        self.get("role") == "buyer"
    }

    pub(crate) fn time(&self) -> u64 {
        self.get("time").parse().unwrap()
    }

    pub(crate) fn amount(&self) -> f64 {
        self.get("amount").parse().unwrap()
    }

    /// As a share of 1.
    pub(crate) fn quality(&self) -> Option<f64> {
        let bp: Option<f64> = self.get("quality_bp").parse().ok();
        bp.map(|bp| bp / 1e4)
    }

    pub(crate) fn bidders(&self) -> Vec<&str> {
        self.get("bids")
            .split('|')
            .filter(|bid| !bid.is_empty())
            .map(|bid| bid.split(':').next().unwrap())
            .collect()
    }

    pub(crate) fn line(&self) -> String {
        self.0.join(",")
    }
}

/// A market that was made.
pub(crate) struct Made {
    pub(crate) rows: Vec<Row>,
    pub(crate) labels: BTreeMap<String, Label>,
    pub(crate) seeds: Vec<String>,
    pub(crate) begin: u64,
    pub(crate) text: String,
}

/// A market of 400 agents and 12,000 trades, with these changes.
pub(crate) fn parameters(seed: u64, habits: Habits, attacks: &[&str]) -> Parameters {
    Parameters {
        agents: 400,
        trades: 12_000,
        seed,
        habits,
        attacks: attacks
            .iter()
            .flat_map(|text| Attack::parse(text).unwrap())
            .collect(),
        ..Parameters::default()
    }
}

/// Default habits without groups, everything reported, with these changes.
pub(crate) fn plain(change: impl FnOnce(&mut Habits)) -> Habits {
    let mut habits = Habits {
        trap_traffic: 0.0,
        flash: 0.0,
        buyer_reports: 1.0,
        seller_reports: 1.0,
        ..Habits::default()
    };
    change(&mut habits);
    habits
}

pub(crate) fn made(parameters: Parameters) -> Made {
    let days = parameters.habits.days.floor();
    let end = parameters.end;
    let market = Market::new(parameters).unwrap();
    let mut text = Vec::new();
    let told = market.write_reports(&mut text).unwrap();
    let text = String::from_utf8(text).unwrap();
    let mut lines = text.lines();
    assert_eq!(lines.next().unwrap(), COLUMNS.join(","));
    let rows: Vec<Row> = lines
        .map(|line| Row(line.split(',').map(str::to_owned).collect()))
        .collect();
    assert_eq!(u64::try_from(rows.len()).unwrap(), told.reports);
    let seconds = std::time::Duration::from_secs_f64(days * 86_400.0).as_secs();
    Made {
        rows,
        labels: told
            .labels
            .into_iter()
            .map(|l| (l.agent.clone(), l))
            .collect(),
        seeds: market.seeds(),
        begin: end - seconds,
        text,
    }
}

impl Made {
    pub(crate) fn trades(&self) -> usize {
        let ids: BTreeSet<_> = self.rows.iter().map(|r| r.get("trade_id")).collect();
        ids.len()
    }

    /// Labels with this attack and part.
    pub(crate) fn with<'a>(&'a self, attack: &'a str, role: &'a str) -> Vec<&'a Label> {
        let all = self.labels.values();
        all.filter(|l| l.attack == attack && l.attack_role == role)
            .collect()
    }

    /// Plain mean of the ratings that sellers got, and how many.
    pub(crate) fn means(&self) -> BTreeMap<&str, (f64, f64)> {
        let mut sums: BTreeMap<&str, (f64, f64)> = BTreeMap::new();
        for row in self.rows.iter().filter(|r| r.by_buyer()) {
            if let Some(quality) = row.quality() {
                let sum = sums.entry(row.get("subject")).or_default();
                sum.0 += quality;
                sum.1 += 1.0;
            }
        }
        sums.into_iter()
            .map(|(agent, (sum, n))| (agent, (sum / n, n)))
            .collect()
    }

    /// The market's day, as a real number.
    pub(crate) fn day(&self, time: u64) -> f64 {
        real(time - self.begin) / 86_400.0
    }
}

/// For numbers of a test's size.
pub(crate) fn real(n: impl TryInto<u32>) -> f64 {
    n.try_into().ok().map_or(f64::NAN, f64::from)
}

/// Five deviations of a share among so many draws: farther off once in two million.
pub(crate) fn five_sigma(share: f64, draws: f64) -> f64 {
    5.0 * (share * (1.0 - share) / draws).sqrt()
}
