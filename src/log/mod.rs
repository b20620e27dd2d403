//! The Merkle log: tiles, signed checkpoints, and the one writer that appends.
//!
//! [`tree`] is the arithmetic, [`plan`] decides purely what a batch becomes, [`sequencer`] is the thin shell that
//! applies it, [`prove`] makes proofs over what is stored with [`tiles`] it remembers, [`guard`] keeps a log that went backwards from being served.

pub mod cluster;
pub mod end;
pub mod guard;
pub mod moved;
pub mod plan;
pub mod prove;
pub mod sequencer;
pub mod sign;
pub mod standing;
pub mod tenure;
pub mod tiles;
pub mod tree;
pub mod witness;
