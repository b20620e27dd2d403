//! Audits of honest logs, and of logs that lie in exactly one way.
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

mod brought;
mod damaged;
mod erased;
mod forge;
mod forgotten;
mod forked;
mod honest;
mod lying;
mod pending;
mod tampered;
