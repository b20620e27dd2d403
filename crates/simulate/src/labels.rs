//! What every agent really is.

use std::io::{self, Write};

use crate::{
    Market,
    agent::{Id, day_of},
    market::alias,
    num,
    trade::Trade,
    world::World,
};

/// The columns of a labels file, in order.
pub const LABEL_COLUMNS: [&str; 15] = [
    "agent",
    "role",
    "latent_quality",
    "attack",
    "group",
    "attack_role",
    "join_time",
    "newcomer",
    "honest_cluster",
    "victim_of",
    "quality_start",
    "drift_day",
    "n_sold",
    "delivered_quality",
    "delivered_quality_by_amount",
];

/// The truth about one agent.
#[derive(Clone, Debug, PartialEq)]
pub struct Label {
    /// Its alias.
    pub agent: String,
    /// buyer, seller or both.
    pub role: &'static str,
    /// True quality at the end, or when it left; 0..=1.
    pub latent_quality: f64,
    /// The kind of attack it takes part in, or `honest`.
    pub attack: &'static str,
    /// Its group of attackers or its honest cluster; may be empty.
    pub group: String,
    /// The part it plays: principal, insider, `cartel_member`, reentry, sybil, shill, slanderer, bidder; empty when honest.
    pub attack_role: &'static str,
    /// When it joined, Unix seconds.
    pub join_time: u64,
    /// It joined after the opening days.
    pub newcomer: bool,
    /// What it looks guilty of though it is honest, `hc_<trap>_<number>`; may be empty.
    pub honest_cluster: String,
    /// The group that slanders it; may be empty.
    pub victim_of: String,
    /// True quality when it joined.
    pub quality_start: f64,
    /// Day of the market on which its quality first changed for good.
    pub drift_day: Option<f64>,
    /// Trades in which it sold.
    pub n_sold: u64,
    /// Mean of what it delivered, failures being 0.
    pub delivered_quality: f64,
    /// The same, weighted by the trades' worth.
    pub delivered_quality_by_amount: f64,
}

/// Writes labels as CSV.
///
/// # Errors
/// Those of the writer.
pub fn write_labels(labels: &[Label], out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "{}", LABEL_COLUMNS.join(","))?;
    for l in labels {
        let drift = l
            .drift_day
            .map(|day| format!("{day:.1}"))
            .unwrap_or_default();
        writeln!(
            out,
            "{},{},{:.4},{},{},{},{},{},{},{},{:.4},{drift},{},{:.4},{:.4}",
            l.agent,
            l.role,
            l.latent_quality,
            l.attack,
            l.group,
            l.attack_role,
            l.join_time,
            u8::from(l.newcomer),
            l.honest_cluster,
            l.victim_of,
            l.quality_start,
            l.n_sold,
            l.delivered_quality,
            l.delivered_quality_by_amount
        )?;
    }
    Ok(())
}

/// What was sold so far.
#[derive(Clone, Debug)]
pub(crate) struct Tally(Vec<Sold>);

#[derive(Clone, Debug, Default)]
struct Sold {
    trades: u64,
    delivered: f64,
    worth: f64,
    delivered_worth: f64,
}

impl Tally {
    pub(crate) fn new(agents: usize) -> Self {
        Self(vec![Sold::default(); agents])
    }

    pub(crate) fn count(&mut self, trade: &Trade, world: &World) {
        let worth = num::real(trade.micro) * world.venues[trade.venue].currency.worth;
        let sold = &mut self.0[trade.seller];
        sold.trades += 1;
        sold.delivered += trade.delivered;
        sold.worth += worth;
        sold.delivered_worth += worth * trade.delivered;
    }

    /// Labels of all agents, ascending by alias.
    pub(crate) fn labels(&self, market: &Market) -> Vec<Label> {
        let mut labels: Vec<Label> = (0..self.0.len()).map(|id| self.label(market, id)).collect();
        labels.sort_unstable_by(|a, b| a.agent.cmp(&b.agent));
        labels
    }

    fn label(&self, market: &Market, id: Id) -> Label {
        let (world, overlay) = (&market.world, &market.overlay);
        let (agent, sold) = (&world.agents[id], &self.0[id]);
        let last = agent.leave.unwrap_or_else(|| world.span());
        let cluster = agent
            .cluster
            .map(|(trap, number)| format!("hc_{}_{number}", trap.as_str()))
            .unwrap_or_default();
        let part = overlay.parts.get(&id);
        let honest_cluster = if part.is_some() {
            String::new()
        } else {
            cluster
        };
        let start = day_of(agent.join);
        let divided = |sum: f64, by: f64| if by > 0.0 { sum / by } else { 0.0 };
        Label {
            agent: alias(world.seed, id),
            role: agent.role.as_str(),
            latent_quality: agent.quality.at(day_of(last)),
            attack: part.map_or("honest", |p| p.kind.label()),
            group: part.map_or_else(|| honest_cluster.clone(), crate::attack::Part::group),
            attack_role: part.map_or("", |p| p.role),
            join_time: market.begin + agent.join,
            newcomer: agent.newcomer,
            honest_cluster,
            victim_of: overlay.victims.get(&id).cloned().unwrap_or_default(),
            quality_start: agent.quality.at(start),
            drift_day: agent.quality.changes().filter(|day| *day < day_of(last)),
            n_sold: sold.trades,
            delivered_quality: divided(sold.delivered, num::real(sold.trades)),
            delivered_quality_by_amount: divided(sold.delivered_worth, sold.worth),
        }
    }
}
