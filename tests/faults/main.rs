//! What must hold when things break: processes are killed, clients vanish, and every acknowledgement had been synced before it was given.

#[path = "../support/mod.rs"]
mod support;

mod cancel;
mod crash;
mod durability;
mod guard;
mod server;
