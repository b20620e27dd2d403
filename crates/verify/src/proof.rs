//! Portable inclusion proofs (C2SP tlog-proof): entry index, path and a signed checkpoint in one text.

use std::fmt;

use crate::{
    b64,
    checkpoint::{Checkpoint, SignedCheckpoint, decimal},
    code::{Code, Error},
    merkle::{self, Hash},
    witness_policy::{Quorum, WitnessPolicy},
};

/// First line of a proof.
const HEADER: &str = "c2sp.org/tlog-proof@v1";
/// A path in a tree of at most 2^64 leaves.
const MAX_PATH: usize = 64;

/// A proof that an entry is in a log. Displayed as the file it is; the text is kept verbatim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlogProof {
    /// Unauthenticated extra data.
    pub extra: Option<Vec<u8>>,
    /// Index of the entry.
    pub index: u64,
    /// Inclusion path, the leaf's sibling first.
    pub path: Vec<Hash>,
    /// The signed checkpoint, verbatim.
    pub checkpoint: String,
}

/// What a proof has proven.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proven {
    /// The checkpoint that the entry is under.
    pub checkpoint: Checkpoint,
    /// Who witnessed it.
    pub quorum: Quorum,
}

impl TlogProof {
    /// Reads a proof file. Nothing is verified yet.
    ///
    /// # Errors
    /// `proof.malformed`.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let malformed = |why: &str| Error::new(Code::ProofMalformed, why);
        // The first blank line ends the proof part; a tree of one entry has no hash lines.
        let (head, checkpoint) = text
            .split_once("\n\n")
            .ok_or_else(|| malformed("no blank line"))?;
        let mut lines = head.split('\n').peekable();
        if lines.next() != Some(HEADER) {
            return Err(malformed("first line is not the proof header"));
        }
        let extra = match lines.peek().and_then(|line| line.strip_prefix("extra ")) {
            None => None,
            Some(extra) => {
                let extra =
                    b64::std_decode(extra).ok_or_else(|| malformed("extra is not base64"))?;
                lines.next();
                Some(extra)
            }
        };
        let index = lines
            .next()
            .and_then(|line| line.strip_prefix("index "))
            .and_then(decimal);
        let index = index.ok_or_else(|| malformed("no index line"))?;
        let lines: Vec<&str> = lines.take(MAX_PATH.saturating_add(1)).collect();
        if lines.len() > MAX_PATH {
            return Err(malformed("more than 64 hashes"));
        }
        let path = lines
            .iter()
            .map(|line| b64::std_decode_32(line))
            .collect::<Option<_>>();
        let path = path.ok_or_else(|| malformed("a path line is not 32 bytes of base64"))?;
        if checkpoint.is_empty() {
            return Err(malformed("no checkpoint"));
        }
        Ok(Self {
            extra,
            index,
            path,
            checkpoint: checkpoint.to_owned(),
        })
    }

    /// The checkpoint of the proof, not yet verified.
    ///
    /// # Errors
    /// `checkpoint.malformed`.
    pub fn signed_checkpoint(&self) -> Result<SignedCheckpoint, Error> {
        SignedCheckpoint::parse(&self.checkpoint)
    }

    /// Checks that the entry is at the proof's index under this checkpoint.
    ///
    /// # Errors
    /// `proof.inclusion_invalid`.
    pub fn verify_inclusion(&self, entry: &[u8], checkpoint: &Checkpoint) -> Result<(), Error> {
        merkle::verify_inclusion(
            self.index,
            checkpoint.size,
            &merkle::leaf_hash(entry),
            &self.path,
            &checkpoint.root,
        )
    }

    /// Verifies everything: the entry is under the checkpoint, a log of the policy signed it, the quorum cosigned it.
    ///
    /// # Errors
    /// `checkpoint.*`, `proof.inclusion_invalid`.
    pub fn verify(&self, entry: &[u8], policy: &WitnessPolicy) -> Result<Proven, Error> {
        let signed = self.signed_checkpoint()?;
        self.verify_inclusion(entry, signed.checkpoint())?;
        let quorum = policy.evaluate(&signed)?;
        Ok(Proven {
            checkpoint: signed.checkpoint().clone(),
            quorum,
        })
    }
}

impl fmt::Display for TlogProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{HEADER}")?;
        if let Some(extra) = &self.extra {
            writeln!(f, "extra {}", b64::std_encode(extra))?;
        }
        writeln!(f, "index {}", self.index)?;
        self.path
            .iter()
            .try_for_each(|hash| writeln!(f, "{}", b64::std_encode(hash)))?;
        write!(f, "\n{}", self.checkpoint)
    }
}
