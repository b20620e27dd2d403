//! What stands beside the database: the head guard and the key files.

use std::{fs, path::Path};

use goodstanding_verify::{
    checkpoint::{Checkpoint, SignedCheckpoint},
    keyring::KeyRing,
    note::VerifierKey,
};

use super::Findings;
use crate::{
    code::{Code, Fault},
    keys::{KeyFile, SecretKey},
    store::{Error, snapshot::Snapshot},
};

const GUARD: &str = "head.guard";
/// Keys that the log does not announce, beside `log`, which is checked with the head.
const UNLOGGED: [&str; 1] = ["access"];

/// Checks the guard by itself; the checkpoint to compare the tree with.
pub(super) async fn guard(
    read: Result<Option<SignedCheckpoint>, Fault>,
    log_key: Option<&VerifierKey>,
    is_copy: bool,
    snapshot: &mut dyn Snapshot,
    findings: &mut Findings,
) -> Result<Option<Checkpoint>, Error> {
    let signed = match read {
        Err(fault) => {
            findings.add(Code::FsckGuard, GUARD, fault.detail());
            return Ok(None);
        }
        Ok(None) => {
            // A backup has none: restoring makes it.
            if !is_copy && snapshot.published().await?.is_some() {
                findings.add(
                    Code::FsckGuard,
                    GUARD,
                    "is missing, and the database has published checkpoints",
                );
            }
            return Ok(None);
        }
        Ok(Some(signed)) => signed,
    };
    if let Some(Err(error)) = log_key.map(|key| signed.verify_log(key)) {
        findings.add(Code::FsckGuard, GUARD, error.to_string());
        return Ok(None);
    }
    let guard = signed.checkpoint().clone();
    let size = snapshot.head().await?.map_or(0, |head| head.size);
    if guard.size > size {
        let detail = format!(
            "{} entries were published, and the database ends at {size}",
            guard.size
        );
        findings.add(Code::FsckGuard, GUARD, detail);
        return Ok(None);
    }
    Ok(Some(guard))
}

/// A key file as it is found.
#[derive(Debug)]
pub struct FoundKey {
    /// File name without its extension.
    pub name: String,
    /// The key, or why it is none.
    pub key: Result<SecretKey, crate::keys::Error>,
    /// Permission bits; `None` where there are none.
    pub mode: Option<u32>,
}

/// All key files of a data directory, ascending by name.
///
/// # Errors
/// When the folder cannot be read.
pub fn key_files(data: &Path) -> std::io::Result<Vec<FoundKey>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(data.join("keys"))? {
        let path = entry?.path();
        if path.extension().is_none_or(|e| e != "json") {
            continue;
        }
        let mode = mode(&fs::metadata(&path)?);
        let name = path
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        found.push(FoundKey {
            name,
            key: KeyFile::read(&path),
            mode,
        });
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

/// Permission bits of a file.
#[cfg(unix)]
pub fn mode(metadata: &fs::Metadata) -> Option<u32> {
    Some(std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o777)
}

/// Permission bits of a file.
#[cfg(not(unix))]
pub fn mode(_: &fs::Metadata) -> Option<u32> {
    None
}

/// What is wrong with the key files, for somebody who does not run a whole check.
pub fn key_problems(data: &Path, ring: &KeyRing, now_s: u64, is_copy: bool) -> Vec<super::Problem> {
    let mut findings = Findings::new(usize::MAX);
    keys(data, ring, now_s, is_copy, &mut findings);
    findings.problems
}

/// Checks that every key that is or will be in use has a file, and that key files are private and whole.
pub(super) fn keys(
    data: &Path,
    ring: &KeyRing,
    now_s: u64,
    is_copy: bool,
    findings: &mut Findings,
) {
    let found = match key_files(data) {
        Ok(found) => found,
        // A backup may have been made without keys.
        Err(error) if is_copy && error.kind() == std::io::ErrorKind::NotFound => return,
        Err(error) => {
            findings.add(Code::FsckKeyFile, "keys", error.to_string());
            return;
        }
    };
    for file in &found {
        let place = format!("keys/{}.json", file.name);
        if let Some(mode) = file.mode.filter(|mode| mode & 0o077 != 0) {
            findings.add(
                Code::FsckKeyFile,
                &place,
                format!("mode {mode:03o} lets others read it; it has to be 600"),
            );
        }
        // The log's own was named where its signatures are checked.
        if let Err(error) = &file.key
            && file.name != "log"
        {
            findings.add(Code::FsckKeyFile, &place, error.to_string());
        }
    }
    for name in UNLOGGED {
        if !found.iter().any(|file| file.name == name) {
            findings.add(
                Code::FsckKeyFile,
                format_args!("keys/{name}.json"),
                "is missing",
            );
        }
    }
    for key in ring.keys() {
        let ended = key.revoked.is_some() || key.to.is_some_and(|to| to <= now_s);
        let held = found.iter().any(|file| {
            file.key
                .as_ref()
                .is_ok_and(|k| k.public().as_bytes() == &key.jwk.x)
        });
        if !ended && !held {
            let detail = format!(
                "no file has the {} key {}, which the log says is in use",
                key.usage,
                key.jwk.thumbprint()
            );
            findings.add(
                Code::FsckKeyFile,
                format_args!("keys/{}.json", key.usage),
                detail,
            );
        }
    }
}
