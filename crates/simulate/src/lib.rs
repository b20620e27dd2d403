//! A market of agents in miniature: parameters and a seed in, the reports of its trades and their labels out.
//!
//! Honest agents whose quality moves trade four kinds of things; demand follows what buyers see of each other's ratings; some
//! groups look guilty and are not; attackers of every kind are laid over it. Pure and deterministic: one seed, the same bytes on
//! every machine. Files are in the columns that `goodstanding import` reads, labels say what every agent really is.
//!
//! ```
//! use goodstanding_simulate::{Attack, Habits, Market, Parameters};
//!
//! let market = Market::new(Parameters {
//!     agents: 300,
//!     trades: 3_000,
//!     seed: 7,
//!     habits: Habits::named("gradual-additive", 7)?,
//!     attacks: Attack::parse("sybil_ring:size=20,camouflage=0.3")?,
//!     ..Parameters::default()
//! })?;
//! let mut reports = Vec::new();
//! let told = market.write_reports(&mut reports).expect("a vector takes everything");
//! assert!(told.reports > 3_000);
//! let principals = told.labels.iter().filter(|l| l.attack == "sybil_ring" && l.attack_role == "principal");
//! assert!(principals.count() >= 1);
//! # Ok::<(), goodstanding_simulate::Error>(())
//! ```

mod agent;
mod attack;
mod error;
mod habits;
mod labels;
mod market;
mod num;
mod presets;
mod random;
mod reports;
mod trade;
mod world;

pub use attack::kind::{Attack, AttackKind};
pub use error::{Error, SimulateCode};
pub use habits::{Habits, Parameter};
pub use labels::{LABEL_COLUMNS, Label, write_labels};
pub use market::{Market, Parameters, Told};
pub use presets::{FAMILIES, Family};
pub use reports::{COLUMNS, Report, Reports};
