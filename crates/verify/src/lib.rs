//! Offline verification of everything Goodstanding signs or logs.
//!
//! Bytes in, typed values or one stable [`code::Code`] out. The crate does no I/O and reads no clock: the caller passes
//! documents and the time in. Every parser refuses what it does not know, and none panics on any input.
//!
//! | I want to | start at |
//! |---|---|
//! | check a token somebody presented | [`token::verify`] |
//! | load the root of trust for that | [`bundle::TrustBundle::parse`] |
//! | check a trade report | [`report::Report::verify`] |
//! | check many of them | [`report::Report::verify_with`] |
//! | check that an entry is in the log | [`proof::TlogProof::verify`] |
//! | read a log entry | [`entry::Entry::parse`] |
//! | read a log's tiles without trusting their server | [`tile_reader::TileReader`] |
//! | follow a log as it grows | [`frontier::Frontier`] |
//! | be a witness, or ask one | [`witness::AddCheckpoint`] |
//! | rebuild a statement from its claims | [`statement::disclosures`] |
//!
//! The formats are those of `docs/FORMATS.md`; each module names the standard it follows.
#![forbid(unsafe_code)]
#![deny(missing_docs)]
#![deny(clippy::float_arithmetic)]
#![cfg_attr(
    not(test),
    deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)
)]

pub mod amount;
pub mod b64;
pub mod bundle;
pub mod checkpoint;
pub mod claims;
pub mod code;
pub mod did;
pub mod digest;
pub mod entry;
mod fields;
pub mod frontier;
pub mod json;
pub mod jwk;
pub mod jws;
pub mod keycache;
pub mod keyring;
pub mod merkle;
pub mod note;
pub mod proof;
pub mod report;
pub mod sdjwt;
pub mod statement;
pub mod status;
pub mod tile;
pub mod tile_reader;
pub mod token;
pub mod witness;
pub mod witness_policy;

pub use code::{Code, Error};

/// Largest integer that any document may carry: 2^53 − 1.
pub const MAX_INTEGER: u64 = (1 << 53) - 1;

/// Tolerated difference between two clocks, seconds.
pub const CLOCK_SKEW_S: u64 = 60;
