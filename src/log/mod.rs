//! The Merkle log: tiles, signed checkpoints, and the one writer that appends.
//!
//! [`tree`] is the arithmetic, [`plan`] decides purely what a batch becomes, [`sequencer`] is the thin shell that
//! applies it, [`guard`] keeps a log that went backwards from being served.

pub mod end;
pub mod guard;
pub mod plan;
pub mod sequencer;
pub mod sign;
pub mod tree;
