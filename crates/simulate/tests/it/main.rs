//! Markets, looked at from outside: their files.
#![expect(
    clippy::unwrap_used,
    reason = "in a test's helpers too, what goes wrong should end the test"
)]

mod attacks;
mod document;
mod honest;
mod properties;
mod same;
mod support;
