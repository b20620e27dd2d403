//! `manifest.json`: what a backup holds (`docs/FORMATS.md` §10).

use std::path::{Component, Path};

use goodstanding_verify::{json, note::VerifierKey};
use serde::{Deserialize, Serialize};

use super::{DATABASE, files};
use crate::code::{Code, Fault};

/// Its file name.
pub const MANIFEST: &str = "manifest.json";
/// Longest manifest that is read, bytes.
const MOST_BYTES: u64 = 1 << 20;

/// A backup's manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Version of the format, 1.
    pub v: u64,
    /// `backup`.
    pub kind: String,
    /// When it was made, Unix seconds.
    pub made_at: u64,
    /// The program's version.
    pub program: String,
    /// Issuer URL.
    pub issuer: String,
    /// The log's name.
    pub origin: String,
    /// The log's verifier key.
    pub log: String,
    /// Entries.
    pub size: u64,
    /// Root of the tree over them, base64.
    pub root: String,
    /// The newest signed checkpoint, verbatim.
    pub head: String,
    /// The newest published checkpoint, verbatim.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub published: Option<String>,
    /// Every file but this one, ascending by path.
    pub files: Vec<FileEntry>,
}

/// A file of a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileEntry {
    /// Relative to the backup, with `/`.
    pub path: String,
    /// Length.
    pub bytes: u64,
    /// SHA-256, lowercase hex.
    pub sha256: String,
}

impl FileEntry {
    /// Describes a file of the backup in `dir`.
    pub(super) fn of(dir: &Path, path: &Path) -> Result<Self, Fault> {
        let (bytes, sha256) = files::digest(&dir.join(path))?;
        let parts: Vec<_> = path.iter().map(|part| part.to_string_lossy()).collect();
        Ok(Self {
            path: parts.join("/"),
            bytes,
            sha256,
        })
    }
}

fn invalid(dir: &Path, why: impl std::fmt::Display) -> Fault {
    Fault::new(Code::BackupInvalid, format!("{}: {why}", dir.display()))
}

impl Manifest {
    /// Reads the manifest of a backup and checks every file against it.
    ///
    /// # Errors
    /// `backup.invalid` with the file and what is wrong with it.
    pub fn verify(dir: &Path) -> Result<Self, Fault> {
        let path = dir.join(MANIFEST);
        let length = std::fs::metadata(&path)
            .map_err(|e| {
                invalid(
                    dir,
                    format!("{MANIFEST}: {e}; a backup that was not finished has none"),
                )
            })?
            .len();
        if length > MOST_BYTES {
            return Err(invalid(dir, format!("{MANIFEST} has {length} bytes")));
        }
        let bytes = std::fs::read(&path).map_err(|e| files::failed(&path, &e))?;
        let manifest =
            Self::parse(&bytes).map_err(|why| invalid(dir, format!("{MANIFEST}: {why}")))?;
        for file in &manifest.files {
            let found =
                FileEntry::of(dir, Path::new(&file.path)).map_err(|e| invalid(dir, e.detail()))?;
            if found != *file {
                let why = format!(
                    "{} has {} bytes with SHA-256 {}, the manifest says {} and {}",
                    file.path, found.bytes, found.sha256, file.bytes, file.sha256
                );
                return Err(invalid(dir, why));
            }
        }
        Ok(manifest)
    }

    fn parse(bytes: &[u8]) -> Result<Self, String> {
        // Refuses duplicate members, which serde's derive would not do for unknown nesting.
        let value = json::parse(bytes).map_err(|e| e.to_string())?;
        let version = value.get("v").and_then(serde_json::Value::as_u64);
        if version != Some(1) {
            return Err("v is not 1; a newer version of this program made it".to_owned());
        }
        let manifest: Self = serde_json::from_value(value).map_err(|e| e.to_string())?;
        if manifest.kind != "backup" {
            return Err("kind is not backup".to_owned());
        }
        manifest.log_key()?;
        if !manifest.files.iter().any(|file| file.path == DATABASE) {
            return Err(format!("names no {DATABASE}"));
        }
        if let Some(odd) = manifest.files.iter().find(|file| !is_ours(&file.path)) {
            return Err(format!(
                "{} is no path of a backup",
                odd.path.escape_debug()
            ));
        }
        if !manifest.files.is_sorted_by(|a, b| a.path < b.path) {
            return Err("files are not in ascending order".to_owned());
        }
        Ok(manifest)
    }

    /// The log's verifier key.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn log_key(&self) -> Result<VerifierKey, String> {
        VerifierKey::parse(&self.log).map_err(|e| e.to_string())
    }

    /// Whether it holds the secret keys.
    pub fn has_keys(&self) -> bool {
        self.files.iter().any(|file| file.path.starts_with("keys/"))
    }
}

/// A file in the folder itself or in `keys`, by its plain name, and none of those that restoring makes.
fn is_ours(path: &str) -> bool {
    let parts: Vec<_> = Path::new(path).components().collect();
    let plain = !path.is_empty()
        && path.split('/').count() == parts.len()
        && parts
            .iter()
            .all(|part| matches!(part, Component::Normal(_)));
    let name = path.strip_prefix("keys/");
    let placed = match name {
        Some(name) => !name.contains('/'),
        None => {
            !path.contains('/') && ![MANIFEST, "head.guard", "log.state", "lock"].contains(&path)
        }
    };
    let is_side_file = path.starts_with(DATABASE) && path != DATABASE;
    plain && placed && !is_side_file
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_paths_are_taken() {
        for good in [DATABASE, "keys/log.json", "settings.toml"] {
            assert!(is_ours(good), "{good}");
        }
        for bad in [
            "",
            "/etc/passwd",
            "../x",
            "keys/../x",
            "keys/a/b",
            "a/b",
            "./x",
            "keys/",
            "head.guard",
            "log.state",
            "lock",
            "manifest.json",
            "goodstanding.sqlite-wal",
            "keys//x",
        ] {
            assert!(!is_ours(bad), "{bad}");
        }
    }
}
