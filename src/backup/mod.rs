//! Copies of a data directory.
