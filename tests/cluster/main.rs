//! Several processes on one PostgreSQL database: any of them takes reports, one writes at a time, and none that was acknowledged is
//! lost, whichever is killed, stopped or cut off.
#![allow(
    clippy::allow_attributes,
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::missing_panics_doc,
    clippy::unwrap_used,
    reason = "a test may panic, and its tasks end with it"
)]

#[path = "../support/mod.rs"]
mod support;

mod bench;
mod fleet;
mod ledger;
mod rounds;
mod same;
mod takeover;
mod together;
