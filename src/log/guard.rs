//! The head guard: the last published checkpoint in a file outside the database.
//!
//! A restored backup that is behind what was published would make the log sign a second history. The guard makes that visible
//! before the first answer: a database behind, or different from, the guard is not served.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
};

use goodstanding_verify::checkpoint::SignedCheckpoint;

use crate::{
    code::{Code, Fault},
    store::{Head, Published},
};

/// The guard file.
#[derive(Clone, Debug)]
pub struct HeadGuard(PathBuf);

impl HeadGuard {
    /// The guard kept at `path`.
    pub fn new(path: &Path) -> Self {
        Self(path.to_owned())
    }

    /// Refuses a database that is behind the guard or disagrees with it.
    ///
    /// # Errors
    /// `log.behind_guard`, or `store.corrupt` when the guard cannot be read.
    pub fn check(&self, published: Option<&Published>, head: Option<&Head>) -> Result<(), Fault> {
        let text = match fs::read_to_string(&self.0) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(self.fault(Code::StoreCorrupt, &error)),
        };
        let guarded = SignedCheckpoint::parse(&text).map_err(|e| self.fault(Code::StoreCorrupt, &e))?;
        let guarded = guarded.checkpoint();
        let behind = |detail: String| Err(Fault::new(Code::LogBehindGuard, detail));
        let size = head.map_or(0, |h| h.size);
        if size < guarded.size {
            return behind(format!(
                "the database ends at {size} entries, but {} were published; restore a newer copy of the database",
                guarded.size
            ));
        }
        // The same size must be the same note; between sizes the chain of published checkpoints links them.
        let same = published.filter(|p| p.size == guarded.size).map(|p| p.note == text);
        let head_same = head.filter(|h| h.size == guarded.size).map(|h| h.root == guarded.root);
        if same == Some(false) || head_same == Some(false) {
            return behind(format!("the database has another tree of {} entries than the one published", guarded.size));
        }
        if published.map_or(0, |p| p.size) < guarded.size && head_same.is_none() {
            return behind(format!("the published checkpoint of {} entries is missing from the database", guarded.size));
        }
        Ok(())
    }

    /// Replaces the guard durably: new file, sync, rename, sync of the folder.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, checkpoint: &Published) -> Result<(), Fault> {
        let write = || -> std::io::Result<()> {
            let fresh = self.0.with_extension("new");
            let mut file = fs::File::create(&fresh)?;
            file.write_all(checkpoint.note.as_bytes())?;
            file.sync_all()?;
            fs::rename(&fresh, &self.0)?;
            if let Some(parent) = self.0.parent() {
                fs::File::open(parent)?.sync_all()?;
            }
            Ok(())
        };
        write().map_err(|e| self.fault(Code::StoreUnavailable, &e))
    }

    fn fault(&self, code: Code, error: &dyn std::fmt::Display) -> Fault {
        Fault::new(code, format!("head guard {}: {error}", self.0.display()))
    }
}
