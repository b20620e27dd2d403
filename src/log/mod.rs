//! The Merkle log: tiles, signed checkpoints, and the one writer that appends.
//!
//! [`tree`] is the arithmetic, [`plan`] decides purely what a batch becomes, [`sequencer`] is the thin shell that
//! applies it, [`layout`] names the tiles the way C2SP tlog-tiles does.

pub mod guard;
pub mod layout;
pub mod plan;
pub mod sequencer;
pub mod sign;
pub mod tree;
