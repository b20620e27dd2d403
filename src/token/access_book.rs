//! Which access tokens were granted, and which of them were taken back: `access.json` in the data directory.
//!
//! A file and not a table, so that `access grant` and `access revoke` work beside a running service, which alone writes the
//! database: they replace it under a lock, and the service reads it again whenever it is another file. A token counts only while
//! it is on record, so a lost file refuses everybody instead of letting revoked ones in again.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::SystemTime,
};

use serde::{Deserialize, Serialize};

use super::access::Role;
use crate::code::{Code, Fault};

/// How long a token that expired stays on record, seconds.
const FORGET_S: u64 = 30 * 86_400;

/// A granted access token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grant {
    /// Its id.
    pub jti: String,
    /// Whom it is for.
    pub name: String,
    /// What it allows.
    pub roles: Vec<Role>,
    /// Granted, Unix seconds.
    pub iat: u64,
    /// Expires, Unix seconds.
    pub exp: u64,
    /// Taken back, Unix seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked: Option<u64>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Book {
    grants: Vec<Grant>,
}

/// Tells one file from another under the same name: a replaced one has another inode.
type Stamp = (u64, u64, Option<SystemTime>);

/// The record of access tokens of one data directory.
#[derive(Debug)]
pub struct AccessBook {
    path: PathBuf,
    read: Mutex<Option<(Stamp, Arc<Book>)>>,
}

impl AccessBook {
    /// The record of the data directory `data`.
    pub fn new(data: &Path) -> Self {
        Self {
            path: data.join("access.json"),
            read: Mutex::new(None),
        }
    }

    /// Every token on record, oldest first.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn list(&self) -> Result<Vec<Grant>, Fault> {
        Ok(self.book()?.grants.clone())
    }

    /// Whether the token with this id was granted here and not taken back.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn is_good(&self, jti: &str) -> Result<bool, Fault> {
        let book = self.book()?;
        let mut grants = book.grants.iter();
        Ok(grants.any(|grant| grant.jti == jti && grant.revoked.is_none()))
    }

    /// Puts a token on record, before anybody gets it.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub fn add(&self, grant: Grant) -> Result<(), Fault> {
        self.change(|book| {
            let now = grant.iat;
            book.grants.retain(|g| g.exp.saturating_add(FORGET_S) > now);
            book.grants.push(grant);
            Ok(())
        })
    }

    /// Takes back the token with this id, or all of them, at `now` (Unix seconds). Returns those that were good until then.
    ///
    /// # Errors
    /// `access.unknown` when no token has this id; when the file cannot be read or written.
    pub fn revoke(&self, jti: Option<&str>, now: u64) -> Result<Vec<Grant>, Fault> {
        self.change(|book| {
            if let Some(jti) = jti
                && !book.grants.iter().any(|grant| grant.jti == jti)
            {
                let jti: String = jti.chars().take(64).collect();
                return Err(Fault::new(Code::AccessUnknown, format!("no token {jti}")));
            }
            let wanted = |grant: &Grant| jti.is_none_or(|jti| grant.jti == jti);
            let mut revoked = Vec::new();
            for grant in &mut book.grants {
                if wanted(grant) && grant.revoked.is_none() {
                    grant.revoked = Some(now);
                    revoked.push(grant.clone());
                }
            }
            Ok(revoked)
        })
    }

    fn book(&self) -> Result<Arc<Book>, Fault> {
        let stamp = match fs::metadata(&self.path) {
            Ok(meta) => stamp(&meta),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Arc::default());
            }
            Err(error) => return Err(self.fault(&error)),
        };
        if let Ok(held) = self.read.lock()
            && let Some((_, book)) = held.as_ref().filter(|(of, _)| *of == stamp)
        {
            return Ok(book.clone());
        }
        let text = fs::read(&self.path).map_err(|e| self.fault(&e))?;
        let book: Arc<Book> = Arc::new(serde_json::from_slice(&text).map_err(|e| self.fault(&e))?);
        if let Ok(mut held) = self.read.lock() {
            *held = Some((stamp, book.clone()));
        }
        Ok(book)
    }

    /// Changes the file as its only writer: new file, sync, rename, sync of the folder.
    fn change<T>(&self, change: impl FnOnce(&mut Book) -> Result<T, Fault>) -> Result<T, Fault> {
        let lock = fs::OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(self.path.with_extension("lock"))
            .map_err(|e| self.fault(&e))?;
        lock.lock().map_err(|e| self.fault(&e))?;
        let mut book = Book::clone(&*self.book()?);
        let value = change(&mut book)?;
        let write = || -> std::io::Result<()> {
            let fresh = self.path.with_extension("new");
            let mut file = fs::File::create(&fresh)?;
            serde_json::to_writer_pretty(&mut file, &book)?;
            file.write_all(b"\n")?;
            file.sync_all()?;
            fs::rename(&fresh, &self.path)?;
            if let Some(parent) = self.path.parent() {
                fs::File::open(parent)?.sync_all()?;
            }
            Ok(())
        };
        write().map_err(|e| self.fault(&e))?;
        if let Ok(mut held) = self.read.lock() {
            *held = None;
        }
        Ok(value)
    }

    fn fault(&self, error: &dyn std::fmt::Display) -> Fault {
        Fault::new(
            Code::InputUnreadable,
            format!("{}: {error}", self.path.display()),
        )
    }
}

fn stamp(meta: &fs::Metadata) -> Stamp {
    #[cfg(unix)]
    let inode = std::os::unix::fs::MetadataExt::ino(meta);
    #[cfg(not(unix))]
    let inode = 0;
    (inode, meta.len(), meta.modified().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(jti: &str, iat: u64) -> Grant {
        Grant {
            jti: jti.to_owned(),
            name: "ops".to_owned(),
            roles: vec![Role::Operator],
            iat,
            exp: iat + 100,
            revoked: None,
        }
    }

    #[test]
    fn what_one_process_writes_another_sees() {
        let dir = tempfile::tempdir().unwrap();
        let (cli, service) = (AccessBook::new(dir.path()), AccessBook::new(dir.path()));
        assert!(!service.is_good("a").unwrap());
        for jti in ["a", "b", "c"] {
            cli.add(grant(jti, 1000)).unwrap();
            assert!(service.is_good(jti).unwrap());
        }
        assert_eq!(cli.revoke(Some("a"), 1001).unwrap().len(), 1);
        assert_eq!(cli.revoke(Some("a"), 1002).unwrap().len(), 0);
        assert!(
            cli.revoke(Some("z"), 1002)
                .unwrap_err()
                .is(Code::AccessUnknown)
        );
        assert!(!service.is_good("a").unwrap() && service.is_good("b").unwrap());
        assert_eq!(service.revoke(None, 1003).unwrap().len(), 2);
        assert!(!cli.is_good("b").unwrap() && !cli.is_good("c").unwrap());
        // Long after they expired they are forgotten; forgotten is not good.
        cli.add(grant("d", 1101 + FORGET_S)).unwrap();
        assert_eq!(service.list().unwrap().len(), 1);
        assert!(!service.is_good("b").unwrap());
    }

    #[test]
    fn a_lost_or_damaged_record_lets_nobody_in() {
        let dir = tempfile::tempdir().unwrap();
        let book = AccessBook::new(dir.path());
        book.add(grant("a", 1000)).unwrap();
        fs::write(dir.path().join("access.json"), "{").unwrap();
        assert!(book.is_good("a").is_err());
        fs::remove_file(dir.path().join("access.json")).unwrap();
        assert!(!book.is_good("a").unwrap());
    }
}
