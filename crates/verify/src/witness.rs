//! Asking a witness for its cosignature (C2SP tlog-witness v1.0.0): the `add-checkpoint` request and its answer.

use std::fmt;

use crate::{
    b64,
    checkpoint::{SignedCheckpoint, decimal},
    code::{Code, Error, excerpt},
    merkle::Hash,
    note::{Note, Signature, VerifierKey},
};

/// Most hashes of a request.
const MAX_PROOF: usize = 63;
/// Largest answer that is looked at, bytes.
pub const MAX_ANSWER_BYTES: usize = 65_536;
/// Media type of the answer that names the size that a witness has seen.
pub const SIZE_MEDIA_TYPE: &str = "text/x.tlog.size";

/// The body of `POST <witness>/add-checkpoint`. Displayed as it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddCheckpoint {
    /// Size that the witness is thought to have cosigned last; 0 = none.
    pub old: u64,
    /// Consistency path from `old` to the checkpoint's size; empty if `old` is 0 or that size.
    pub proof: Vec<Hash>,
    /// The signed checkpoint, verbatim.
    pub checkpoint: String,
}

impl AddCheckpoint {
    /// Reads a request, as a witness would. Nothing is verified yet.
    ///
    /// # Errors
    /// `witness.malformed`.
    pub fn parse(body: &str) -> Result<Self, Error> {
        let malformed = |why: &str| Error::new(Code::WitnessMalformed, why);
        let (head, checkpoint) = body
            .split_once("\n\n")
            .ok_or_else(|| malformed("no blank line"))?;
        let mut lines = head.split('\n');
        let old = lines
            .next()
            .and_then(|line| line.strip_prefix("old "))
            .and_then(decimal)
            .ok_or_else(|| malformed("the first line is not `old` and a decimal number"))?;
        let lines: Vec<&str> = lines.take(MAX_PROOF.saturating_add(1)).collect();
        if lines.len() > MAX_PROOF {
            return Err(malformed("more than 63 hashes"));
        }
        let proof = lines
            .iter()
            .map(|line| b64::std_decode_32(line))
            .collect::<Option<_>>();
        if checkpoint.is_empty() {
            return Err(malformed("no checkpoint"));
        }
        Ok(Self {
            old,
            proof: proof.ok_or_else(|| malformed("a line is not 32 bytes of base64"))?,
            checkpoint: checkpoint.to_owned(),
        })
    }
}

impl fmt::Display for AddCheckpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "old {}", self.old)?;
        for hash in &self.proof {
            writeln!(f, "{}", b64::std_encode(hash))?;
        }
        write!(f, "\n{}", self.checkpoint)
    }
}

/// The cosignature of `witness` in the body of a 200 answer, with its time (Unix seconds). Lines of other keys are
/// ignored; a line of this key must verify over the checkpoint.
///
/// # Errors
/// `witness.malformed` when the answer is not signature lines or has none of this witness, `witness.cosignature_invalid`
/// when its line does not verify.
pub fn cosignature(
    answer: &str,
    signed: &SignedCheckpoint,
    witness: &VerifierKey,
) -> Result<(Signature, u64), Error> {
    let malformed = |why: &str| Error::new(Code::WitnessMalformed, why);
    if answer.len() > MAX_ANSWER_BYTES {
        return Err(malformed("an answer of more than 64 KiB"));
    }
    let text = &signed.note().text;
    let note = Note::parse(&format!("{text}\n{answer}"))
        .ok()
        // An answer with a blank line of its own would move the end of the text.
        .filter(|note| note.text == *text)
        .ok_or_else(|| malformed("the answer is not lines of signatures"))?;
    let line = note
        .signatures
        .iter()
        .find(|line| line.name == witness.name() && line.key_id == witness.key_id())
        .ok_or_else(|| malformed("no signature by the witness's key"))?
        .clone();
    let verified = note
        .verify(std::slice::from_ref(witness))
        .map_err(|e| e.recode(Code::WitnessCosignatureInvalid))?;
    let time = verified.first().and_then(|v| v.time).ok_or_else(|| {
        Error::new(
            Code::WitnessCosignatureInvalid,
            "the witness's key is no cosigning key",
        )
    })?;
    Ok((line, time))
}

/// The size that a witness says it has cosigned, in the body of a 409 answer.
///
/// # Errors
/// `witness.malformed`.
pub fn told_size(answer: &str) -> Result<u64, Error> {
    answer
        .strip_suffix('\n')
        .filter(|line| !line.is_empty())
        .and_then(decimal)
        .ok_or_else(|| {
            let detail = format!("not a size and a newline: {}", excerpt(answer));
            Error::new(Code::WitnessMalformed, detail)
        })
}
