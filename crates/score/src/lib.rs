//! From evidence to scores: pure, integer, deterministic. What an auditor recomputes with.
//!
//! ```text
//! admitted reports ─▶ evidence (trades, levels) ─▶ pairs (decayed, concave) ─▶ flow (credibility) ─▶ voices ─▶ posterior ─▶ claims
//!                                                                                ▲                     │
//!                                                                                └── what is suspicious ◀┘  three rounds
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
//! | show why an agent has its score | [`explain()`]; its shape is in [`mod@explain`] |
//!
//! From reports to claims and to what made them:
//!
//! ```
//! use goodstanding_score::{evidence::{Admitted, Evidence}, explain, policy::Policy, score};
//! use goodstanding_verify::{
//!     amount::Amount,
//!     did::Did,
//!     report::{Outcome, Report, ReportId, Role, Status, Trade, TradeKind},
//! };
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let alice: Did = "did:key:z6MktwupdmLXVVqTzCw4i46r4uGyosGXRnR3XjN4Zq7oMMsw".parse()?;
//! let bob: Did = "did:key:z6MkiaMbhXHNA4eJVCCj8dbzKzTgYDKf6crKgHVHid1F1WCT".parse()?;
//! let closed_at = 1_767_225_600;
//!
//! // Reports come from `Report::parse_admitted`; these two say what one of those says. Both parties report the trade: it matches.
//! let amount = Amount::parse("12.5")?;
//! let report = |index: u8, iss, sub, role, quality_bp| Admitted {
//!     index: index.into(),
//!     at_ms: closed_at * 1000,
//!     historical: false,
//!     report: Report {
//!         id: ReportId([index; 32]), iss, sub, jti: format!("report-{index}"), iat: closed_at, supersedes: None,
//!         trade: Trade {
//!             id: "t1".into(), market: "https://market.example".into(), kind: TradeKind::Purchase, role, amount,
//!             currency: "USD".into(), closed_at, resource: None, units: None, swap_id: None, parent: None,
//!             negotiation: None, auction: None, settlement: None,
//!         },
//!         outcome: Outcome {
//!             status: Status::Fulfilled, quality_bp: Some(quality_bp), on_time: None, claimed_quality_bp: None,
//!         },
//!         evidence: Vec::new(),
//!     },
//! };
//! let log = [report(0, alice, bob, Role::Buyer, 9_000), report(1, bob, alice, Role::Seller, 10_000)];
//!
//! let mut policy = Policy::preset("agent-market")?;
//! policy.seeds = vec![alice]; // Whom to trust to begin with.
//! let evidence = Evidence::build(&log, &policy);
//! let scores = score(&evidence, &policy, closed_at + 86_400, None)?;
//!
//! let bobs = scores.get(&evidence, &policy, &bob).ok_or("bob traded")?;
//! assert!(bobs.claims.lower_bp < bobs.claims.score_bp); // The bound is what a token shows first.
//!
//! let why = explain(&evidence, &policy, &scores, &bob).ok_or("bob traded")?;
//! let alices = &why.contributions[0];
//! assert_eq!((alices.rater, alices.share_bp, alices.reports.len()), (alice, 10_000, 1));
//! // Recomputed from the numbers that are cited, as section 11 of `docs/SCORING.md` has it.
//! let of = |decimal: &str| decimal.parse::<u128>();
//! let (weight, quality) = (of(&why.totals.weight_q32)?, of(&why.totals.weighted_quality)?);
//! let (w0, q0) = (u128::from(why.prior.weight_q32), u128::from(why.prior.quality_q16));
//! let mean_q16 = (quality + w0 * q0) / (weight + w0);
//! assert_eq!((mean_q16 * 10_000) >> 16, u128::from(why.score_bp));
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]
#![deny(missing_docs)]
#![deny(clippy::float_arithmetic)]

pub mod evidence;
pub mod explain;
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
