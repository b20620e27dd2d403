//! The service's own secret keys on disk: `log`, `access`, and those that the log announces.
//!
//! The first key of a use is `keys/<use>.json`, later ones are `keys/<use>-<thumbprint>.json`. Which of them signs is not a
//! matter of files: it follows from the log's key events and the clock ([`crate::token::keys::signing_key`]).

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::RwLock,
};

use goodstanding_verify::entry::KeyUse;

use super::{KeyFile, SecretKey};
use crate::code::{Code, Fault};

/// By use and thumbprint.
type Secrets = BTreeMap<(KeyUse, String), SecretKey>;

/// The keys that the log announces, as the log began with them and as they came later.
#[derive(Debug)]
pub struct ServiceKeys {
    dir: PathBuf,
    secrets: RwLock<Secrets>,
}

impl ServiceKeys {
    /// Reads the key files of a directory.
    ///
    /// # Errors
    /// `key.unusable` when one of them cannot be read.
    pub fn load(dir: &Path) -> Result<Self, Fault> {
        Ok(Self {
            dir: dir.to_owned(),
            secrets: RwLock::new(Self::read(dir)?),
        })
    }

    fn read(dir: &Path) -> Result<Secrets, Fault> {
        let mut secrets = BTreeMap::new();
        let unreadable = |e: std::io::Error| {
            Fault::new(Code::InputUnreadable, format!("{}: {e}", dir.display()))
        };
        for file in fs::read_dir(dir).map_err(unreadable)? {
            let path = file.map_err(unreadable)?.path();
            let name = path.file_name().and_then(|name| name.to_str());
            let Some((usage, kid)) = name.and_then(parse_name) else {
                continue;
            };
            let key = KeyFile::read(&path)?;
            let thumbprint = key.thumbprint();
            if kid.is_some_and(|kid| kid != thumbprint) {
                let detail = format!("{} holds another key, {thumbprint}", path.display());
                return Err(Fault::new(Code::KeyUnusable, detail));
            }
            secrets.insert((usage, thumbprint), key);
        }
        Ok(secrets)
    }

    /// The secret key with this thumbprint.
    ///
    /// # Errors
    /// `key.unusable` when there is no file of it.
    pub fn secret(&self, usage: KeyUse, kid: &str) -> Result<SecretKey, Fault> {
        let wanted = (usage, kid.to_owned());
        let held = self.secrets.read().ok();
        let held = held.and_then(|held| held.get(&wanted).cloned());
        if let Some(key) = held {
            return Ok(key);
        }
        // Another process of this log may have made it, or an operator put it here.
        let fresh = Self::read(&self.dir)?;
        let key = fresh.get(&wanted).cloned();
        if key.is_some()
            && let Ok(mut secrets) = self.secrets.write()
        {
            secrets.extend(fresh);
        }
        key.ok_or_else(|| {
            let detail = format!(
                "the {usage} key {kid} has no file in {}; restore it, or replace it for good: goodstanding keys revoke {usage} {kid}",
                self.dir.display()
            );
            Fault::new(Code::KeyUnusable, detail)
        })
    }

    /// Makes the first key of a use, or takes the one that is there.
    ///
    /// # Errors
    /// `key.unusable` when it cannot be written.
    pub fn first(&self, usage: KeyUse) -> Result<SecretKey, Fault> {
        let path = self.dir.join(format!("{usage}.json"));
        if path.exists() {
            return Ok(KeyFile::read(&path)?);
        }
        self.make(usage, &path)
    }

    /// A key that no event of the log names: one that an interrupted change left behind, or a new one.
    ///
    /// # Errors
    /// `key.unusable` when it cannot be written.
    pub fn fresh(
        &self,
        usage: KeyUse,
        is_logged: impl Fn(&str) -> bool,
    ) -> Result<SecretKey, Fault> {
        let left_behind = self.secrets.read().ok().and_then(|held| {
            let mut ours = held.iter().filter(|((of, _), _)| *of == usage);
            ours.find(|((_, kid), _)| !is_logged(kid))
                .map(|(_, key)| key.clone())
        });
        if let Some(key) = left_behind {
            return Ok(key);
        }
        let key = SecretKey::generate()?;
        let path = self.dir.join(format!("{usage}-{}.json", key.thumbprint()));
        self.keep(usage, key, &path)
    }

    fn make(&self, usage: KeyUse, path: &Path) -> Result<SecretKey, Fault> {
        self.keep(usage, SecretKey::generate()?, path)
    }

    /// Writes a key durably before anybody hears of it.
    fn keep(&self, usage: KeyUse, key: SecretKey, path: &Path) -> Result<SecretKey, Fault> {
        KeyFile::create(&key, path)?;
        if let Ok(mut held) = self.secrets.write() {
            held.insert((usage, key.thumbprint()), key.clone());
        }
        Ok(key)
    }
}

/// The use, and the thumbprint if the name has one. `None` for other files.
fn parse_name(name: &str) -> Option<(KeyUse, Option<&str>)> {
    let stem = name.strip_suffix(".json")?;
    match stem.split_once('-') {
        None => Some((KeyUse::parse(stem)?, None)),
        Some((usage, kid)) => Some((KeyUse::parse(usage)?, Some(kid))),
    }
}

/// The key of a name that the log does not announce, `log` or `access`: read, or made if it may be.
///
/// # Errors
/// `key.unusable` when it is missing and must not be made, or cannot be read or written.
pub fn load_or_make(dir: &Path, name: &str, make: bool) -> Result<SecretKey, Fault> {
    let path = dir.join(format!("{name}.json"));
    if path.exists() {
        return Ok(KeyFile::read(&path)?);
    }
    if !make {
        // A key that is lost has to be restored: a new one in its place would be another log.
        let detail = format!(
            "{} is missing, and this log was signed with it; restore it (`serve --role api` needs none), or end the log: goodstanding keys end-log --reason lost",
            path.display()
        );
        return Err(Fault::new(Code::KeyUnusable, detail));
    }
    let key = SecretKey::generate()?;
    KeyFile::create(&key, &path)?;
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_was_made_and_not_logged_is_taken_again() {
        let dir = tempfile::tempdir().unwrap();
        let keys = ServiceKeys::load(dir.path()).unwrap();
        let first = keys.first(KeyUse::Token).unwrap();
        assert_eq!(keys.first(KeyUse::Token).unwrap().did(), first.did());
        let logged = first.thumbprint();
        let left = keys.fresh(KeyUse::Token, |kid| kid == logged).unwrap();
        assert_ne!(left.did(), first.did());
        // After a crash before it was logged.
        let keys = ServiceKeys::load(dir.path()).unwrap();
        let again = keys.fresh(KeyUse::Token, |kid| kid == logged).unwrap();
        assert_eq!(again.did(), left.did());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
        let secret = keys.secret(KeyUse::Token, &logged).unwrap();
        assert_eq!(secret.did(), first.did());
        assert!(
            keys.secret(KeyUse::Status, &logged)
                .unwrap_err()
                .is(Code::KeyUnusable)
        );
    }

    #[test]
    fn a_file_under_another_keys_name_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let key = SecretKey::from_seed(&[1; 32]);
        KeyFile::create(&key, &dir.path().join("token-x.json")).unwrap();
        assert!(
            ServiceKeys::load(dir.path())
                .unwrap_err()
                .is(Code::KeyUnusable)
        );
        // What is no key of the log's is none of our business.
        fs::rename(
            dir.path().join("token-x.json"),
            dir.path().join("backup-x.json"),
        )
        .unwrap();
        assert!(ServiceKeys::load(dir.path()).is_ok());
    }
}
