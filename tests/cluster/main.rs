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

mod again;
mod bench;
mod busy;
mod cut;
#[path = "../faults/double.rs"]
#[allow(dead_code, reason = "the faults of one process need more of it")]
mod double;
mod epochs;
mod fleet;
mod gone;
mod guards;
mod inbox;
mod ledger;
mod matrix;
mod proxy;
mod restored;
mod rounds;
mod same;
mod server;
mod standby;
mod states;
mod takeover;
mod together;
mod unfit;
mod unled;
