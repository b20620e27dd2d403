//! Signed notes (C2SP signed-note v1.0.0) and timestamped cosignatures (C2SP tlog-cosignature, `cosignature/v1`).

use std::fmt;

use sha2::{Digest as _, Sha256};

use crate::{
    b64,
    code::{Code, Error, excerpt},
    did::{check_public_key, verify_strict},
    digest::{from_hex, to_hex},
};

/// Largest note, bytes.
pub const MAX_NOTE_BYTES: usize = 1_000_000;
/// Most signature lines of a note.
pub const MAX_SIGNATURES: usize = 100;

/// What starts a signature line: an em dash and a space.
const SIGNATURE_PREFIX: &str = "\u{2014} ";

/// The algorithm of a verifier key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyKind {
    /// Signs the text of a note (type byte 0x01).
    Ed25519,
    /// Signs a checkpoint together with a time (type byte 0x04).
    CosignatureV1,
}

impl KeyKind {
    /// The signature type byte.
    pub const fn type_byte(self) -> u8 {
        match self {
            Self::Ed25519 => 1,
            Self::CosignatureV1 => 4,
        }
    }
}

/// A key that notes are verified with, written `name+hex(key id)+base64(type || public key)`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VerifierKey {
    name: String,
    key_id: [u8; 4],
    kind: KeyKind,
    public: [u8; 32],
}

/// The key id: the first four bytes of `SHA-256(name || "\n" || type || public)`.
pub fn key_id(name: &str, kind: KeyKind, public: &[u8; 32]) -> [u8; 4] {
    let hash = Sha256::new()
        .chain_update(name)
        .chain_update([b'\n', kind.type_byte()])
        .chain_update(public)
        .finalize();
    let [a, b, c, d, ..] = <[u8; 32]>::from(hash);
    [a, b, c, d]
}

/// Key names are not empty and have no whitespace and no plus sign.
fn is_key_name(name: &str) -> bool {
    !name.is_empty()
        && !name
            .chars()
            .any(|c| c.is_whitespace() || c.is_control() || c == '+')
}

impl VerifierKey {
    /// The key of this name and public key.
    ///
    /// # Errors
    /// `note.key_invalid` for a bad name or no point, `key.weak` for a small-order key.
    pub fn new(name: &str, kind: KeyKind, public: &[u8; 32]) -> Result<Self, Error> {
        if !is_key_name(name) {
            return Err(Error::new(
                Code::NoteKeyInvalid,
                format!("name {}", excerpt(name)),
            ));
        }
        check_public_key(public, Code::NoteKeyInvalid)?;
        Ok(Self {
            name: name.to_owned(),
            key_id: key_id(name, kind, public),
            kind,
            public: *public,
        })
    }

    /// Reads the text form of a key.
    ///
    /// # Errors
    /// `note.key_invalid`, also for key types other than Ed25519 (1) and cosignature/v1 (4); `key.weak`.
    pub fn parse(vkey: &str) -> Result<Self, Error> {
        let invalid =
            |why: &str| Error::new(Code::NoteKeyInvalid, format!("{why}: {}", excerpt(vkey)));
        // The base64 part may itself hold plus signs, the other two cannot.
        let mut parts = vkey.splitn(3, '+');
        let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(invalid("not name+hash+base64"));
        };
        let id: [u8; 4] = from_hex(id).ok_or_else(|| invalid("key id is not eight hex digits"))?;
        let key = b64::std_decode(key).ok_or_else(|| invalid("not base64"))?;
        let (kind, public) = match key.split_first() {
            Some((1, public)) => (KeyKind::Ed25519, public),
            Some((4, public)) => (KeyKind::CosignatureV1, public),
            _ => return Err(invalid("key type is neither Ed25519 nor cosignature/v1")),
        };
        let public = public
            .try_into()
            .map_err(|_| invalid("public key is not 32 bytes"))?;
        let key = Self::new(name, kind, public)?;
        if key.key_id == id {
            Ok(key)
        } else {
            Err(invalid("key id does not match"))
        }
    }

    /// Name of the key; of a log's key, the log's origin.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// First four bytes of the hash of name, type and key.
    pub fn key_id(&self) -> [u8; 4] {
        self.key_id
    }

    /// Algorithm.
    pub fn kind(&self) -> KeyKind {
        self.kind
    }

    /// The 32 bytes of the public key.
    pub fn public(&self) -> &[u8; 32] {
        &self.public
    }

    /// Checks the signature of a line over a note's text.
    fn verify(&self, text: &str, signature: &[u8]) -> Option<SignedAt> {
        match self.kind {
            KeyKind::Ed25519 => {
                let signature = signature.try_into().ok()?;
                verify_strict(&self.public, text.as_bytes(), signature).then_some(SignedAt(None))
            }
            KeyKind::CosignatureV1 => {
                let (time, signature) = signature.split_first_chunk::<8>()?;
                let time = u64::from_be_bytes(*time);
                let message = cosignature_message(time, text);
                let verifies = i64::try_from(time).is_ok()
                    && verify_strict(&self.public, message.as_bytes(), signature.try_into().ok()?);
                verifies.then_some(SignedAt(Some(time)))
            }
        }
    }
}

/// When a signature that verified was made, Unix seconds: cosignatures say it, plain signatures do not.
struct SignedAt(Option<u64>);

/// What a witness signs: the time (Unix seconds) and the checkpoint's text, final newline included.
pub fn cosignature_message(time: u64, checkpoint_text: &str) -> String {
    format!("cosignature/v1\ntime {time}\n{checkpoint_text}")
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut key = vec![self.kind.type_byte()];
        key.extend(self.public);
        write!(
            f,
            "{}+{}+{}",
            self.name,
            to_hex(&self.key_id),
            b64::std_encode(key)
        )
    }
}

impl fmt::Debug for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::str::FromStr for VerifierKey {
    type Err = Error;

    fn from_str(vkey: &str) -> Result<Self, Error> {
        Self::parse(vkey)
    }
}

/// One signature line of a note.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// Name of the key.
    pub name: String,
    /// Id of the key.
    pub key_id: [u8; 4],
    /// Signature bytes after the key id: 64 of Ed25519, 8 of time and 64 of a cosignature.
    pub signature: Vec<u8>,
}

impl Signature {
    fn parse(line: &str) -> Option<Self> {
        let (name, blob) = line.strip_prefix(SIGNATURE_PREFIX)?.split_once(' ')?;
        let blob = b64::std_decode(blob)?;
        let (key_id, signature) = blob.split_first_chunk::<4>()?;
        (is_key_name(name) && !signature.is_empty()).then(|| Self {
            name: name.to_owned(),
            key_id: *key_id,
            signature: signature.to_vec(),
        })
    }
}

impl fmt::Display for Signature {
    /// The line, without its newline.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut blob = self.key_id.to_vec();
        blob.extend(&self.signature);
        write!(
            f,
            "{SIGNATURE_PREFIX}{} {}",
            self.name,
            b64::std_encode(blob)
        )
    }
}

/// A text with signatures. Displayed as it is transported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// The signed text, final newline included.
    pub text: String,
    /// At least one signature.
    pub signatures: Vec<Signature>,
}

/// A signature that verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verified {
    /// Position of the key in the list that was passed in.
    pub key: usize,
    /// Time of a cosignature, Unix seconds.
    pub time: Option<u64>,
}

impl Note {
    /// Reads a note.
    ///
    /// # Errors
    /// `note.malformed`.
    pub fn parse(note: &str) -> Result<Self, Error> {
        let malformed = |why: &str| Error::new(Code::NoteMalformed, why);
        if note.len() > MAX_NOTE_BYTES {
            return Err(malformed("more than 1,000,000 bytes"));
        }
        if note.bytes().any(|b| b < 0x20 && b != b'\n') {
            return Err(malformed("control character"));
        }
        // The text may hold blank lines, signature lines cannot: the last blank line divides.
        let split = note
            .rfind("\n\n")
            .and_then(|at| note.split_at_checked(at.checked_add(1)?));
        let (text, rest) = split.ok_or_else(|| malformed("no blank line"))?;
        let lines = rest
            .strip_prefix('\n')
            .and_then(|rest| rest.strip_suffix('\n'))
            .ok_or_else(|| malformed("no signature"))?;
        let lines: Vec<&str> = lines
            .split('\n')
            .take(MAX_SIGNATURES.saturating_add(1))
            .collect();
        if lines.len() > MAX_SIGNATURES {
            return Err(malformed("more than 100 signatures"));
        }
        let signatures = lines
            .iter()
            .map(|line| Signature::parse(line))
            .collect::<Option<_>>();
        let signatures = signatures.ok_or_else(|| malformed("bad signature line"))?;
        Ok(Self {
            text: text.to_owned(),
            signatures,
        })
    }

    /// Verifies the note with the keys one knows. Lines of other keys are ignored; a line of a known key must verify (a
    /// second one of the same key is skipped), and at least one must be there.
    ///
    /// # Errors
    /// `note.signature_invalid`.
    pub fn verify(&self, keys: &[VerifierKey]) -> Result<Vec<Verified>, Error> {
        let mut verified: Vec<Verified> = Vec::new();
        for line in &self.signatures {
            let known = keys
                .iter()
                .position(|key| key.name == line.name && key.key_id == line.key_id);
            let Some((index, key)) = known.and_then(|index| Some((index, keys.get(index)?))) else {
                continue;
            };
            if verified.iter().any(|earlier| earlier.key == index) {
                continue;
            }
            let SignedAt(time) = key.verify(&self.text, &line.signature).ok_or_else(|| {
                Error::new(
                    Code::NoteSignatureInvalid,
                    format!("signature of {} does not verify", excerpt(&key.name)),
                )
            })?;
            verified.push(Verified { key: index, time });
        }
        if verified.is_empty() {
            return Err(Error::new(
                Code::NoteSignatureInvalid,
                "no signature of a known key",
            ));
        }
        Ok(verified)
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.text)?;
        f.write_str("\n")?;
        self.signatures
            .iter()
            .try_for_each(|signature| writeln!(f, "{signature}"))
    }
}
