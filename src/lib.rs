//! Goodstanding: certificates of good standing for trading agents.
//!
//! ```text
//! report ─▶ admit ─▶ write ─▶ log ─▶ epoch ─▶ token ─▶ verify (anyone, offline)
//!           ingest   store    log    score    token    crates/verify
//!                              └────────┴─▶ audit (anyone, from outside: `audit`)
//! ```
//!
//! Every folder is a room on that way. Arrows point one way: `cli` and `http` → `ingest`, `epoch`, `token` → `log` → `store`.
//! Nothing below `http` knows a status code, nothing above `store` knows SQL.

pub mod app;
pub mod audit;
pub mod backup;
pub mod bench;
pub mod casework;
pub mod cli;
pub mod clock;
pub mod code;
pub mod config;
pub mod epoch;
pub mod fsck;
pub mod http;
pub mod ingest;
pub mod keys;
pub mod log;
pub mod metrics;
pub mod moving;
pub mod net;
pub mod store;
pub mod token;
