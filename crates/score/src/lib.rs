//! From evidence to scores: pure, integer, deterministic. What an auditor recomputes with.
//!
//! ```text
//! admitted reports ─▶ evidence (trades, levels) ─▶ pairs (decayed, concave) ─▶ flow (credibility) ─▶ posterior ─▶ claims
//! ```
//!
//! No input or output, no clock, no random source, no floating point. Every sum is a sum of integers, so the result is
//! the same bytes for any order of the input and any number of threads. The function itself, formula by formula, is in
//! `docs/SCORING.md`.
//!
//! | I want to | start at |
//! |---|---|
//! | read or check a policy | [`policy::Policy`] |
//! | turn a log prefix into evidence | [`evidence::Ledger`], or [`evidence::Evidence::build`] for a few reports |
//! | score it | [`score()`], then [`Scores::range`] |
//! | show why an agent has its score | [`explain()`] |
#![forbid(unsafe_code)]
#![deny(missing_docs)]
#![deny(clippy::float_arithmetic)]

pub mod evidence;
mod explain;
pub mod fixed;
pub mod flow;
mod pairs;
pub mod policy;
mod posterior;
mod ranges;
mod rating;
mod score;
mod tally;

pub use explain::{Explanation, explain};
pub use score::{
    AgentScore, ChangePoint, Contribution, Dampened, Findings, ScoreError, Scores, Stage, Weighted,
    score, score_watched,
};
pub use tally::Headline;

/// Version of the scoring function. Every epoch entry names the one that it was computed with.
pub const CODE: &str = "goodstanding-score/2";
