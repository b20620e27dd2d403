//! The HTTP API over a real socket.

#[path = "../support/mod.rs"]
mod support;

mod api;
mod log;
mod reports;
mod tokens;
