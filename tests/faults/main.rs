//! What must hold when things break: processes are killed, clients vanish, and every acknowledgement had been synced before it was given.
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

mod cancel;
mod changes;
mod check;
mod clock;
mod commands;
mod copied;
mod cosigned;
mod crash;
mod disk;
mod double;
mod durability;
mod ended;
mod erased;
mod fsck;
mod full;
mod grow;
mod guard;
mod history;
mod matrix;
mod restore;
mod server;
mod staging;
mod strace;
mod syscalls;
mod tenure;
mod together;
