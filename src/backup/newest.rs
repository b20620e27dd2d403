//! The newest checkpoint that somebody outside knows, in whatever document they have it.

use goodstanding_verify::{
    bundle::TrustBundle,
    checkpoint::{Checkpoint, SignedCheckpoint},
    note::VerifierKey,
    proof::TlogProof,
};

use crate::code::Fault;

/// The checkpoint of this log in a saved `/checkpoint`, a receipt (tlog-proof) or a trust bundle.
///
/// # Errors
/// When it is none of these, or not signed by this log. A trust bundle's expiry does not matter: what it says was published stays so.
pub fn checkpoint_in(text: &str, log: &VerifierKey) -> Result<Checkpoint, Fault> {
    let note = if text.starts_with("c2sp.org/tlog-proof@") {
        TlogProof::parse(text)?.checkpoint
    } else if text.trim().split('.').count() == 3 && !text.trim().contains(char::is_whitespace) {
        TrustBundle::parse_any_time(text.trim(), None)?
            .payload()
            .checkpoint
            .clone()
    } else {
        text.to_owned()
    };
    Ok(SignedCheckpoint::parse(&note)?.verify_log(log)?.clone())
}
