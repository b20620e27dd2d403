//! The command line, run as its users run it.
#![expect(
    clippy::unwrap_used,
    reason = "in a test's helpers too, what goes wrong should end the test"
)]

mod audit;
mod bench;
mod demo;
mod errors;
mod explain;
mod import;
mod keys;
mod policy;
mod readme;
mod safe;
mod service;
mod sign;
mod simulate;
mod story;
mod support;
mod trust;
