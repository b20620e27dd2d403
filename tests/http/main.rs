//! The HTTP API over a real socket.
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

mod aliases;
mod api;
mod erasure;
mod explanation;
mod keys;
mod log;
mod metrics;
mod reports;
mod successor;
mod tlog;
mod tokens;
mod visible;
mod witnesses;
