//! Tokens and everything a verifier needs beside them: issuance, status lists, the trust bundle, type metadata, nonces.

pub mod access;
pub mod access_book;
pub mod bundle;
pub mod issue;
pub mod keys;
pub mod metadata;
pub mod nonce;
pub mod possession;
pub mod status;
pub mod successor;

/// The credential type of an issuer's tokens.
pub fn vct(issuer: &str) -> String {
    format!("{issuer}/vct/agent-reputation/1")
}
