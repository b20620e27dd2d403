//! Secret keys: how they are made, kept in files, used to sign, and changed.

pub mod change;
pub mod jwt;
pub mod secret;
pub mod service;

pub use secret::{Error, KeyFile, SecretKey};
