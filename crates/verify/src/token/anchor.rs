//! From the token's digests to the log: statement, score tree, epoch entry, checkpoint, witnesses.

use super::payload::TokenPayload;
use crate::{
    b64,
    code::{Code, Error},
    entry::{Body, Entry},
    merkle::{self, Hash},
    proof::TlogProof,
    statement::Statement,
    witness_policy::{Quorum, WitnessPolicy},
};

/// Longest path in the score tree, hashes.
const MAX_PATH: usize = 64;

/// Where the token's statement is anchored.
pub(super) struct Anchored {
    /// Log time of the epoch entry, Unix milliseconds.
    pub(super) at: u64,
    /// The epoch's `as_of`, Unix seconds.
    pub(super) as_of: u64,
    pub(super) quorum: Quorum,
}

pub(super) fn check(payload: &TokenPayload<'_>, policy: &WitnessPolicy) -> Result<Anchored, Error> {
    let refuse = |code, detail: String| Err(Error::new(code, detail));
    let anchor = &payload.anchor;
    let path = path(anchor.path).ok_or_else(|| {
        Error::new(
            Code::AnchorMalformed,
            "/anchor/path: not at most 64 hashes in base64url",
        )
    })?;
    let entry_bytes = anchor.epoch_entry.as_bytes();
    let entry = Entry::parse(entry_bytes).map_err(|error| {
        // An entry of a later version is not malformed; whoever reads it is out of date.
        let code = if error.code() == Code::LogUnsupportedVersion {
            error.code()
        } else {
            Code::AnchorMalformed
        };
        Error::new(code, format!("/anchor/epoch_entry: {}", error.detail()))
    })?;
    let Body::Epoch(epoch) = &entry.body else {
        return refuse(
            Code::AnchorKindWrong,
            format!("/anchor/epoch_entry: kind {}", entry.body.kind()),
        );
    };
    if epoch.number != payload.epoch {
        return refuse(
            Code::AnchorEpochMismatch,
            format!("/epoch {}, entry's number {}", payload.epoch, epoch.number),
        );
    }
    if anchor.index >= epoch.statements {
        return refuse(
            Code::AnchorIndexOutOfRange,
            format!(
                "/anchor/index {} of {} statements",
                anchor.index, epoch.statements
            ),
        );
    }
    let statement = Statement::new(payload.sub, payload.epoch, payload.sd.iter().copied())?;
    merkle::verify_inclusion(
        anchor.index,
        epoch.statements,
        &statement.leaf_hash(),
        &path,
        &epoch.score_root.0,
    )
    .map_err(|error| error.recode(Code::AnchorStatementNotInTree))?;
    let proof = TlogProof::parse(anchor.proof)?;
    let signed = proof.signed_checkpoint()?;
    proof
        .verify_inclusion(entry_bytes, signed.checkpoint())
        .map_err(|error| error.recode(Code::AnchorEntryNotInLog))?;
    let quorum = policy.evaluate(&signed)?;
    Ok(Anchored {
        at: entry.at,
        as_of: epoch.as_of,
        quorum,
    })
}

fn path(text: &str) -> Option<Vec<Hash>> {
    let bytes = b64::url_decode(text)?;
    let hashes: Vec<Hash> = bytes
        .chunks(32)
        .map(Hash::try_from)
        .collect::<Result<_, _>>()
        .ok()?;
    (hashes.len() <= MAX_PATH).then_some(hashes)
}
