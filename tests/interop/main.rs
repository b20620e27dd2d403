//! Programs that are not ours read our log, our proofs and our checkpoints, and refuse tampered ones; witnesses that are not ours
//! cosign us. `make setup` installs what this needs; a missing program is a failure.
#![allow(
    clippy::allow_attributes,
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    clippy::unwrap_used,
    reason = "a test may panic, and its tasks end with it"
)]

#[path = "../support/mod.rs"]
mod support;

mod altered;
mod cases;
mod crates;
mod judge;
mod large;
mod published;
mod tools;
mod verifiers;
mod witnesses;
