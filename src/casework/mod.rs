//! What people decide about what is in the log: erasure.

pub mod erasure;
