//! Checkpoints (C2SP tlog-checkpoint v1.0.0): a log's signed promise about its size and root.

use std::fmt::{self, Write as _};

use crate::{
    b64,
    code::{Code, Error, excerpt},
    merkle::Hash,
    note::{Note, VerifierKey},
};

/// What a checkpoint says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The log.
    pub origin: String,
    /// Number of entries.
    pub size: u64,
    /// Root of the tree over them.
    pub root: Hash,
    /// Further lines, not empty.
    pub extensions: Vec<String>,
}

impl Checkpoint {
    /// A checkpoint without extension lines.
    pub fn new(origin: impl Into<String>, size: u64, root: Hash) -> Self {
        Self {
            origin: origin.into(),
            size,
            root,
            extensions: Vec::new(),
        }
    }

    /// The text that is signed: every line with its newline.
    pub fn body(&self) -> String {
        let mut body = format!(
            "{}\n{}\n{}\n",
            self.origin,
            self.size,
            b64::std_encode(self.root)
        );
        for line in &self.extensions {
            // Writing to a String cannot fail.
            let _ = writeln!(body, "{line}");
        }
        body
    }

    /// Reads the text of a checkpoint.
    ///
    /// # Errors
    /// `checkpoint.malformed`.
    pub fn parse(body: &str) -> Result<Self, Error> {
        let malformed = |why: &str| Error::new(Code::CheckpointMalformed, why);
        let mut lines = body
            .strip_suffix('\n')
            .ok_or_else(|| malformed("no final newline"))?
            .split('\n');
        let origin = lines
            .next()
            .filter(|origin| !origin.is_empty())
            .ok_or_else(|| malformed("no origin"))?;
        let size = lines
            .next()
            .and_then(decimal)
            .ok_or_else(|| malformed("size is not a decimal number"))?;
        let root = lines
            .next()
            .and_then(b64::std_decode_32)
            .ok_or_else(|| malformed("root is not 32 bytes of base64"))?;
        let extensions: Vec<String> = lines.map(str::to_owned).collect();
        if extensions.iter().any(String::is_empty) {
            return Err(malformed("empty extension line"));
        }
        Ok(Self {
            origin: origin.to_owned(),
            size,
            root,
            extensions,
        })
    }
}

/// A decimal number without sign and leading zeros.
pub(crate) fn decimal(text: &str) -> Option<u64> {
    let plain = text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    if plain { text.parse().ok() } else { None }
}

/// A checkpoint with its signatures. Displayed as it is transported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedCheckpoint {
    note: Note,
    checkpoint: Checkpoint,
}

impl SignedCheckpoint {
    /// Reads a checkpoint note; no signature is checked yet.
    ///
    /// # Errors
    /// `checkpoint.malformed`.
    pub fn parse(note: &str) -> Result<Self, Error> {
        let note = Note::parse(note).map_err(|e| e.recode(Code::CheckpointMalformed))?;
        let checkpoint = Checkpoint::parse(&note.text)?;
        Ok(Self { note, checkpoint })
    }

    /// What it says.
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// The note.
    pub fn note(&self) -> &Note {
        &self.note
    }

    /// Verifies the log's own signature; the key's name must be the origin.
    ///
    /// # Errors
    /// `checkpoint.origin_mismatch`, `checkpoint.signature_invalid`.
    pub fn verify_log(&self, log: &VerifierKey) -> Result<&Checkpoint, Error> {
        if self.checkpoint.origin != log.name() {
            let detail = format!("origin {}", excerpt(&self.checkpoint.origin));
            return Err(Error::new(Code::CheckpointOriginMismatch, detail));
        }
        self.note
            .verify(std::slice::from_ref(log))
            .map_err(|e| e.recode(Code::CheckpointSignatureInvalid))?;
        Ok(&self.checkpoint)
    }

    /// The times (Unix seconds) of the cosignatures of these witnesses, by position; a witness without one is left out.
    ///
    /// # Errors
    /// `checkpoint.signature_invalid` if a cosignature of one of them is there and does not verify.
    pub fn cosignatures(&self, witnesses: &[VerifierKey]) -> Result<Vec<(usize, u64)>, Error> {
        let signed = |key: &VerifierKey| {
            self.note
                .signatures
                .iter()
                .any(|s| s.name == key.name() && s.key_id == key.key_id())
        };
        if !witnesses.iter().any(signed) {
            return Ok(Vec::new());
        }
        let verified = self
            .note
            .verify(witnesses)
            .map_err(|e| e.recode(Code::CheckpointSignatureInvalid))?;
        Ok(verified
            .into_iter()
            .filter_map(|v| Some((v.key, v.time?)))
            .collect())
    }
}

impl fmt::Display for SignedCheckpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.note, f)
    }
}
