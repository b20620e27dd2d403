//! Witnesses watch the log: foreign ones, which keep what they have seen in a database of their own, and misbehaving ones.

pub(crate) mod foreign;
mod scenarios;
#[path = "../../faults/server.rs"]
mod server;
mod story;
mod watched;
mod wire;
