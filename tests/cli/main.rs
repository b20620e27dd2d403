//! The command line, run as its users run it.
#![expect(
    clippy::unwrap_used,
    reason = "in a test's helpers too, what goes wrong should end the test"
)]

mod bench;
mod demo;
mod import;
mod readme;
mod sign;
mod story;
mod support;
