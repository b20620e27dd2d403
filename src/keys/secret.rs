//! An Ed25519 secret key and its file: a private JWK (RFC 8037), mode 0600, never overwritten.

use std::{
    fs, io,
    io::Write as _,
    path::{Path, PathBuf},
};

use ed25519_dalek::{Signer as _, SigningKey, VerifyingKey};
use goodstanding_verify::{b64, did::Did};
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize as _, Zeroizing};

/// Why a key could not be made, read or written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file could not be read or written.
    #[error("key file {path}: {source}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The file is not a private Ed25519 JWK.
    #[error("key file {0} is not a private Ed25519 JWK (kty OKP, crv Ed25519, x, d)")]
    Malformed(PathBuf),
    /// `x` and `d` do not belong together.
    #[error("key file {0}: x is not the public key of d")]
    Mismatch(PathBuf),
    /// The operating system gave no random bytes.
    #[error("no random bytes from the operating system: {0}")]
    Random(getrandom::Error),
}

/// An Ed25519 secret key.
#[derive(Clone)]
pub struct SecretKey(SigningKey);

/// Shows the public half only.
impl std::fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SecretKey({})", self.did())
    }
}

impl SecretKey {
    /// A new key from the operating system's randomness.
    ///
    /// # Errors
    /// When the operating system gives none.
    pub fn generate() -> Result<Self, Error> {
        let mut seed = Zeroizing::new([0; 32]);
        getrandom::fill(seed.as_mut_slice()).map_err(Error::Random)?;
        Ok(Self::from_seed(&seed))
    }

    /// The key of an RFC 8032 seed.
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(seed))
    }

    /// The key that `import` signs as for an alias: seed = SHA-256("goodstanding/import\0" ‖ key seed ‖ "\0" ‖ alias).
    pub fn of_alias(key_seed: &str, alias: &str) -> Self {
        let mut text = Zeroizing::new(Vec::new());
        for part in ["goodstanding/import\0", key_seed, "\0", alias] {
            text.extend_from_slice(part.as_bytes());
        }
        Self::from_seed(&goodstanding_verify::digest::sha256(&text).0)
    }

    /// The signing half.
    pub fn signing(&self) -> &SigningKey {
        &self.0
    }

    /// The public half.
    pub fn public(&self) -> VerifyingKey {
        self.0.verifying_key()
    }

    /// The did:key of the public half.
    pub fn did(&self) -> Did {
        Did::from_key_bytes(self.public().as_bytes()).unwrap_or_else(|_| {
            unreachable!("a key made from a clamped seed is never of small order")
        })
    }

    /// Public key as JWK `x`, base64url.
    pub fn x(&self) -> String {
        b64::url_encode(self.public().as_bytes())
    }

    /// The public JWK, exactly `{crv, kty, x}`.
    pub fn jwk(&self) -> serde_json::Value {
        serde_json::json!({"crv": "Ed25519", "kty": "OKP", "x": self.x()})
    }

    /// RFC 7638 thumbprint of the public JWK.
    pub fn thumbprint(&self) -> String {
        let canonical = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, self.x());
        b64::url_encode(goodstanding_verify::digest::sha256(canonical.as_bytes()).0)
    }

    /// Raw 64-byte signature.
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).to_bytes()
    }

    /// JWS with `kid` = the thumbprint, as the service signs.
    ///
    /// # Errors
    /// When `claims` cannot be serialized.
    pub fn sign_service<T: Serialize>(
        &self,
        typ: &str,
        claims: &T,
    ) -> Result<String, jsonwebtoken::errors::Error> {
        jwt::sign(&self.0, typ, &self.thumbprint(), claims)
    }

    /// JWS with `kid` = the did:key's method id, as agents sign.
    ///
    /// # Errors
    /// When `claims` cannot be serialized.
    pub fn sign_agent<T: Serialize>(
        &self,
        typ: &str,
        claims: &T,
    ) -> Result<String, jsonwebtoken::errors::Error> {
        jwt::sign(&self.0, typ, &self.did().method_id(), claims)
    }
}

use super::jwt;

/// The private JWK as written to a file.
#[derive(Serialize, Deserialize)]
pub struct KeyFile {
    kty: String,
    crv: String,
    x: String,
    d: String,
    /// The did:key, for people who look into the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    did: Option<String>,
}

impl Drop for KeyFile {
    fn drop(&mut self) {
        self.d.zeroize();
    }
}

impl KeyFile {
    /// The file's content for a key.
    pub fn of(key: &SecretKey) -> Self {
        let seed = Zeroizing::new(key.0.to_bytes());
        Self {
            kty: "OKP".into(),
            crv: "Ed25519".into(),
            x: key.x(),
            d: b64::url_encode(seed.as_slice()),
            did: Some(key.did().to_string()),
        }
    }

    /// Writes a new file that only its owner can read, and syncs it and its folder. Never overwrites, and a kill in the
    /// middle leaves no half of a key under its name.
    ///
    /// # Errors
    /// When the file exists or cannot be written.
    pub fn create(key: &SecretKey, path: &Path) -> Result<(), Error> {
        let io = |source| Error::Io {
            path: path.to_owned(),
            source,
        };
        let unfinished = path.with_extension("unfinished");
        match fs::remove_file(&unfinished) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(io(error)),
            _ => {}
        }
        let mut options = fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&unfinished).map_err(io)?;
        let mut text =
            Zeroizing::new(serde_json::to_string_pretty(&Self::of(key)).map_err(|e| io(e.into()))?);
        text.push('\n');
        file.write_all(text.as_bytes()).map_err(io)?;
        file.sync_all().map_err(io)?;
        // A link, unlike a rename, fails where a file stands already.
        let linked = fs::hard_link(&unfinished, path);
        let removed = fs::remove_file(&unfinished);
        linked.and(removed).map_err(io)?;
        if let Some(parent) = path.parent().filter(|p| !p.as_os_str().is_empty()) {
            fs::File::open(parent)
                .and_then(|d| d.sync_all())
                .map_err(io)?;
        }
        Ok(())
    }

    /// Reads a key file.
    ///
    /// # Errors
    /// When it cannot be read, is not a private Ed25519 JWK, or contradicts itself.
    pub fn read(path: &Path) -> Result<SecretKey, Error> {
        let io = |source| Error::Io {
            path: path.to_owned(),
            source,
        };
        let malformed = || Error::Malformed(path.to_owned());
        let text = Zeroizing::new(fs::read_to_string(path).map_err(io)?);
        let file: Self = serde_json::from_str(&text).map_err(|_| malformed())?;
        if file.kty != "OKP" || file.crv != "Ed25519" {
            return Err(malformed());
        }
        let seed = Zeroizing::new(b64::url_decode(&file.d).ok_or_else(malformed)?);
        let seed: &[u8; 32] = seed.as_slice().try_into().map_err(|_| malformed())?;
        let key = SecretKey::from_seed(seed);
        if key.x() != file.x {
            return Err(Error::Mismatch(path.to_owned()));
        }
        Ok(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_file_round_trips_and_is_never_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("agent.json");
        let key = SecretKey::generate().unwrap();
        KeyFile::create(&key, &path).unwrap();
        assert_eq!(KeyFile::read(&path).unwrap().did(), key.did());
        assert!(matches!(
            KeyFile::create(&key, &path),
            Err(Error::Io { .. })
        ));
        // What an interrupted attempt left behind is no key and in nobody's way.
        let other = dir.path().join("other.json");
        fs::write(other.with_extension("unfinished"), "{").unwrap();
        KeyFile::create(&key, &other).unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(
                fs::metadata(&path).unwrap().permissions().mode() & 0o777,
                0o600
            );
        }
    }

    #[test]
    fn a_file_whose_halves_disagree_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("agent.json");
        let (one, two) = (
            SecretKey::from_seed(&[1; 32]),
            SecretKey::from_seed(&[2; 32]),
        );
        let mut file = KeyFile::of(&one);
        file.x = two.x();
        fs::write(&path, serde_json::to_vec(&file).unwrap()).unwrap();
        assert!(matches!(KeyFile::read(&path), Err(Error::Mismatch(_))));
        fs::write(&path, "{}").unwrap();
        assert!(matches!(KeyFile::read(&path), Err(Error::Malformed(_))));
    }

    #[test]
    fn rfc_8037_thumbprint() {
        let seed = b64::url_decode("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A").unwrap();
        let key = SecretKey::from_seed(seed.as_slice().try_into().unwrap());
        assert_eq!(
            key.thumbprint(),
            "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
        );
        assert_eq!(
            key.did().to_string(),
            "did:key:z6MktwupdmLXVVqTzCw4i46r4uGyosGXRnR3XjN4Zq7oMMsw"
        );
    }
}
