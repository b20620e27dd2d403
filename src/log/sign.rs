//! Signed checkpoints: the log's key over origin, size and root (C2SP tlog-checkpoint, signed-note).

use goodstanding_verify::{
    b64,
    checkpoint::SignedCheckpoint,
    merkle::Hash,
    note::{KeyKind, VerifierKey, key_id},
    proof::TlogProof,
};

use crate::keys::SecretKey;

/// Name of the setting that keeps the log's verifier key: who has lost the secret one can still say whose log it was.
pub const LOG_VKEY: &str = "log_vkey";

/// The log's signing key under the log's name. The origin is the key's name.
#[derive(Clone, Debug)]
pub struct LogSigner {
    origin: String,
    /// `None`: the key is lost, the log has ended or is about to.
    key: Option<SecretKey>,
    public: [u8; 32],
    key_id: [u8; 4],
}

impl LogSigner {
    /// A signer for `origin`.
    pub fn new(origin: &str, key: SecretKey) -> Self {
        let public = key.public().to_bytes();
        Self {
            origin: origin.to_owned(),
            key: Some(key),
            public,
            key_id: key_id(origin, KeyKind::Ed25519, &public),
        }
    }

    /// What is left of a signer whose key is lost: it can say whose the log was, and sign nothing.
    ///
    /// # Errors
    /// When `vkey` is no Ed25519 verifier key.
    pub fn without_key(vkey: &str) -> Result<Self, goodstanding_verify::Error> {
        let verifier: VerifierKey = vkey.parse()?;
        let public = *verifier.public();
        Ok(Self {
            origin: verifier.name().to_owned(),
            key: None,
            public,
            key_id: key_id(verifier.name(), KeyKind::Ed25519, &public),
        })
    }

    /// Whether it has its secret key.
    pub fn can_sign(&self) -> bool {
        self.key.is_some()
    }

    /// The log's origin.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The log's verifier key, `<origin>+<key id>+<key>`.
    pub fn vkey(&self) -> String {
        let id = u32::from_be_bytes(self.key_id);
        let mut key = vec![1];
        key.extend_from_slice(&self.public);
        format!("{}+{id:08x}+{}", self.origin, b64::std_encode(&key))
    }

    /// The parsed form of [`Self::vkey`].
    ///
    /// # Errors
    /// When the origin is not a valid key name (empty, or with spaces or a plus sign).
    pub fn verifier(&self) -> Result<VerifierKey, goodstanding_verify::Error> {
        self.vkey().parse()
    }

    /// Whether this is the log's checkpoint of a tree head.
    pub fn is_checkpoint(&self, size: u64, root: &Hash, note: &str) -> bool {
        let signed = SignedCheckpoint::parse(note);
        let verified = signed.and_then(|s| Ok(s.verify_log(&self.verifier()?)?.clone()));
        verified.is_ok_and(|c| c.size == size && c.root == *root)
    }

    /// The signed checkpoint of a tree head. Without its key it is one that nobody signed, which every verifier refuses; the
    /// sequencer plans nothing then.
    pub fn checkpoint(&self, size: u64, root: &Hash) -> String {
        let text = format!("{}\n{size}\n{}\n", self.origin, b64::std_encode(root));
        let Some(key) = &self.key else {
            return text;
        };
        let mut blob = self.key_id.to_vec();
        blob.extend_from_slice(&key.sign(text.as_bytes()));
        format!(
            "{text}\n\u{2014} {} {}\n",
            self.origin,
            b64::std_encode(&blob)
        )
    }
}

/// A tlog-proof as text: the path of leaf `index` under a signed checkpoint.
pub fn proof_text(index: u64, path: Vec<Hash>, checkpoint: &str) -> String {
    TlogProof {
        extra: None,
        index,
        path,
        checkpoint: checkpoint.to_owned(),
    }
    .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_log_key_and_checkpoint() {
        let signer = LogSigner::new("log.example/rep", SecretKey::from_seed(&[1; 32]));
        assert_eq!(
            signer.vkey(),
            "log.example/rep+d7beed62+AYqI4910CfGV/VLbLTy6XXLKZwm/HZQSG/N0iAG0D29c"
        );
        assert!(signer.verifier().is_ok());
        let root = b64::std_decode("XcnaeacGWamtVZy3Ad7ZoqudgjqtL0lgz+Nw7/RgQyg=").unwrap();
        assert_eq!(
            signer.checkpoint(8, root.as_slice().try_into().unwrap()),
            "log.example/rep\n8\nXcnaeacGWamtVZy3Ad7ZoqudgjqtL0lgz+Nw7/RgQyg=\n\n\u{2014} log.example/rep \
             177tYqm0+JZB0rKlWAcaWRebmLX/VNwwuxstFSDDSqpt4yV6fiaJTu482plEDQuAtourRXP56zk3ClaCyd5uqjskkA0=\n"
        );
    }
}
