//! The head guard: the last published checkpoint in a file outside the database.
//!
//! A restored backup that is behind what was published would make the log sign a second history. The guard makes that visible
//! before the first answer: a database behind, or different from, the guard is not served.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
};

use goodstanding_verify::checkpoint::{Checkpoint, SignedCheckpoint};

use crate::{
    code::{Code, Fault},
    store::Published,
};

/// The guard file.
#[derive(Clone, Debug)]
pub struct HeadGuard(PathBuf);

impl HeadGuard {
    /// The guard kept at `path`.
    pub fn new(path: &Path) -> Self {
        Self(path.to_owned())
    }

    /// The checkpoint it holds; `None` before the first publishing.
    ///
    /// # Errors
    /// `store.corrupt` when the file is there but cannot be read: what was published is then unknown.
    pub fn read(&self) -> Result<Option<Checkpoint>, Fault> {
        let text = match fs::read_to_string(&self.0) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.fault(Code::StoreCorrupt, &error)),
        };
        let signed =
            SignedCheckpoint::parse(&text).map_err(|e| self.fault(Code::StoreCorrupt, &e))?;
        Ok(Some(signed.checkpoint().clone()))
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
