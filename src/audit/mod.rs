//! The audit: a log held to its word from outside.
//!
//! ```text
//! source ─▶ tree ─▶ window ─▶ auditor (replay, admission, index, epochs) ─▶ summary
//! what is   every   leaf, form,  the rules along the log,                    or the first
//! served    tile    signatures   every score                                 disagreement
//! ```
//!
//! `source` is the only part that speaks to a service or a data directory, and nothing that comes from it is believed.
//! `tree` authenticates every tile against the signed checkpoint, `window` checks each entry on its own and in parallel,
//! `auditor` replays them in their order, and `state` remembers what was seen so that the next audit goes on from there
//! and a log that changes its story is caught. Memory does not grow with the log, but for the reports that epochs are
//! recomputed from.

mod admission;
mod auditor;
mod claims;
mod epochs;
mod finding;
mod head;
mod index;
mod pending;
mod replay;
mod run;
mod seeds;
pub mod source;
mod state;
mod tree;
mod trust;
mod window;

pub use finding::{Disagreement, Failure, Place};
pub use pending::{Pending, PendingEpoch, PendingReport};
pub use run::{Options, Summary, Witnessed, audit, evidence_path};
pub use seeds::{Moved, OtherView};
pub use source::{DirSource, HttpSource, Source};
