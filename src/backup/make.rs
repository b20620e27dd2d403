//! `backup`: a copy of one moment, beside a service that goes on.

use std::{
    fs,
    path::{Path, PathBuf},
};

use goodstanding_verify::b64;
use serde::{Deserialize, Serialize};

use super::{
    DATABASE,
    edge::{self, Copy},
    files,
    manifest::{FileEntry, MANIFEST, Manifest},
    unfinished,
};
use crate::{
    code::{Code, Fault},
    keys::KeyFile,
    log::{moved::Mark, sign::LogSigner, tenure},
    store::{self, sqlite::file},
};

/// File of a data directory that says when it was last copied.
pub const LAST: &str = "backup.last";

/// A backup that was made and verified.
#[derive(Clone, Debug, Serialize)]
pub struct Made {
    /// Where.
    pub backup: PathBuf,
    /// Entries in it.
    pub size: u64,
    /// Root of the tree over them, base64.
    pub root: String,
    /// Bytes of all files.
    pub bytes: u64,
    /// Whether the secret keys are in it.
    pub keys: bool,
}

/// What [`LAST`] says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Last {
    /// When, Unix seconds.
    pub made_at: u64,
    /// Entries in it.
    pub size: u64,
}

impl Last {
    /// When `data` was last copied; `None` if that is not known.
    pub fn read(data: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(data.join(LAST)).ok()?).ok()
    }
}

/// Copies `data` to the new folder `out` and verifies the copy. `now_s` is Unix seconds.
///
/// # Errors
/// `data.not_empty` when something is at `out`; what went wrong otherwise, and then nothing is left there.
pub async fn make(data: &Path, out: &Path, with_keys: bool, now_s: u64) -> Result<Made, Fault> {
    let source = data.join(DATABASE);
    if !source.exists() {
        return Err(Fault::new(
            Code::DataMissing,
            format!("{} has no data", data.display()),
        ));
    }
    // A backup is marked in the same place, and restoring takes the mark off.
    let mut snapshot = store::snapshot(data).await?;
    let mark = snapshot.meta(tenure::COPY).await;
    snapshot.close().await;
    if let Some(mark) = mark?.as_deref().map(Mark::of)
        && mark != Mark::Backup
    {
        return Err(mark.refusal());
    }
    if out.exists() && (!out.is_dir() || !files::names(out)?.is_empty()) {
        return Err(Fault::new(
            Code::DataNotEmpty,
            format!("{} exists", out.display()),
        ));
    }
    let existed = out.exists();
    files::make_dir(out)?;
    let made = fill(data, &source, out, with_keys, now_s).await;
    match made {
        Ok(made) => {
            let last = Last {
                made_at: now_s,
                size: made.size,
            };
            // Only `doctor` looks at it; a directory that cannot be written to can be copied all the same.
            if let Ok(text) = serde_json::to_vec(&last) {
                let _ = fs::write(data.join(LAST), text);
            }
            Ok(made)
        }
        Err(fault) => {
            // It was empty before, so what is in it is ours.
            let _ = fs::remove_dir_all(out);
            if existed {
                let _ = fs::create_dir(out);
            }
            Err(fault)
        }
    }
}

async fn fill(
    data: &Path,
    source: &Path,
    out: &Path,
    with_keys: bool,
    now_s: u64,
) -> Result<Made, Fault> {
    let database = out.join(DATABASE);
    let key = KeyFile::read(&data.join("keys").join("log.json"))?;
    // It gets its name when it is whole and marked as a copy: half of one under this name could be opened as a new log.
    let fresh = out.join(unfinished());
    file::copy(source, &fresh).await?;
    file::rewrite_meta(&fresh, &[(tenure::COPY, Some(&now_s.to_string()))]).await?;
    files::sync(&fresh)?;
    fs::rename(&fresh, &database).map_err(|e| files::failed(&database, &e))?;
    // The keys after the database: every key that the copied log announces is there.
    let beside = files::beside(data, with_keys)?;
    if with_keys {
        files::make_dir(&out.join("keys"))?;
    }
    for path in &beside {
        files::copy(&data.join(path), &out.join(path))?;
    }
    let origin = origin(out).await?;
    let signer = LogSigner::new(&origin, key);
    let copy = edge::inspect(out, &signer.verifier()?).await?;
    let mut listed = vec![FileEntry::of(out, Path::new(DATABASE))?];
    for path in &beside {
        listed.push(FileEntry::of(out, path)?);
    }
    listed.sort_by(|a, b| a.path.cmp(&b.path));
    let bytes = listed.iter().map(|file| file.bytes).sum();
    let manifest = describe(&copy, signer.vkey(), now_s, listed);
    copy.close().await;
    if with_keys {
        files::sync_dir(&out.join("keys"))?;
    }
    let text = serde_json::to_vec_pretty(&manifest)
        .map_err(|e| Fault::new(Code::Internal, e.to_string()))?;
    files::write(&out.join(MANIFEST), &text)?;
    files::sync_parent(out)?;
    Ok(Made {
        backup: out.to_owned(),
        size: manifest.size,
        root: manifest.root,
        bytes,
        keys: with_keys,
    })
}

async fn origin(backup: &Path) -> Result<String, Fault> {
    let mut snapshot = store::snapshot(backup).await?;
    let origin = snapshot.meta("origin").await?;
    snapshot.close().await;
    origin.ok_or_else(|| Fault::new(Code::StoreCorrupt, "the database does not know its origin"))
}

fn describe(copy: &Copy, log: String, made_at: u64, files: Vec<FileEntry>) -> Manifest {
    Manifest {
        v: 1,
        kind: "backup".to_owned(),
        made_at,
        program: env!("CARGO_PKG_VERSION").to_owned(),
        issuer: copy.issuer.clone(),
        origin: copy.origin.clone(),
        log,
        size: copy.head.size,
        root: b64::std_encode(copy.head.root),
        head: copy.head_note.clone(),
        published: copy.published.clone(),
        files,
    }
}
