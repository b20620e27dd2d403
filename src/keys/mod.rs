//! Secret keys: how they are made, kept in files, and used to sign.

pub mod jwt;
pub mod secret;

pub use secret::{Error, KeyFile, SecretKey};
