//! The head guard: the last published checkpoint in a file outside the database.
//!
//! A restored backup that is behind what was published would make the log sign a second history. The guard makes that visible
//! before the first answer: a database behind, or different from, the guard is not served.

use std::{
    fmt, fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use goodstanding_verify::checkpoint::{Checkpoint, SignedCheckpoint};

use super::prove::edge;
use crate::{
    code::{Code, Fault},
    store::{Published, Store},
};

/// Where the guard's text is kept. The service has a file; tests have one that fails on demand.
pub trait GuardFile: fmt::Debug + Send + Sync + 'static {
    /// The text, `None` before the first write.
    ///
    /// # Errors
    /// When there may be one that cannot be read.
    fn read(&self) -> io::Result<Option<String>>;

    /// Replaces the text durably, all of it or nothing.
    ///
    /// # Errors
    /// When that failed; the old text or the new one may stand then.
    fn write(&self, text: &str) -> io::Result<()>;
}

/// A file on disk, replaced as a whole: new file, sync, rename, sync of the folder.
#[derive(Clone, Debug)]
pub struct DiskFile {
    path: PathBuf,
    fresh: PathBuf,
}

impl DiskFile {
    /// The file at `path`. A new text is written beside it first, under its name with `.new` behind.
    pub fn new(path: &Path) -> Self {
        Self::beside(path, ".new")
    }

    /// The file at `path` in a folder that several processes may share: each writes new texts under a name of its own.
    pub fn shared(path: &Path) -> Self {
        Self::beside(path, &format!(".new-{}", std::process::id()))
    }

    fn beside(path: &Path, suffix: &str) -> Self {
        let mut fresh = path.to_owned().into_os_string();
        fresh.push(suffix);
        Self {
            path: path.to_owned(),
            fresh: fresh.into(),
        }
    }
}

impl GuardFile for DiskFile {
    fn read(&self) -> io::Result<Option<String>> {
        match fs::read_to_string(&self.path) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn write(&self, text: &str) -> io::Result<()> {
        let mut file = fs::File::create(&self.fresh)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&self.fresh, &self.path)?;
        match self.path.parent() {
            Some(parent) => fs::File::open(parent)?.sync_all(),
            None => Ok(()),
        }
    }
}

/// The guard.
#[derive(Clone, Debug)]
pub struct HeadGuard {
    file: Arc<dyn GuardFile>,
    name: String,
    ahead: bool,
}

impl HeadGuard {
    /// The guard kept at `path`.
    pub fn new(path: &Path) -> Self {
        Self::over(Arc::new(DiskFile::new(path)), &path.display().to_string())
    }

    /// The guard kept in `file`; `name` stands in messages.
    pub fn over(file: Arc<dyn GuardFile>, name: &str) -> Self {
        Self {
            file,
            name: name.to_owned(),
            ahead: false,
        }
    }

    /// The same, written before the first publishing and not after it: for a database that several processes share, where a guard
    /// that is missing could be anybody's.
    #[must_use]
    pub fn ahead(self) -> Self {
        Self {
            ahead: true,
            ..self
        }
    }

    /// Before a checkpoint is published. A crash in between leaves a guard that the database reaches: the head is in there.
    ///
    /// # Errors
    /// As [`Self::read`] and [`Self::write`].
    pub fn announce(&self, checkpoint: &Published) -> Result<(), Fault> {
        if self.ahead && self.read()?.is_none() {
            self.write(checkpoint)?;
        }
        Ok(())
    }

    /// The signed checkpoint it holds; `None` before the first publishing.
    ///
    /// # Errors
    /// `store.corrupt` when it is there but cannot be read: what was published is then unknown.
    pub fn signed(&self) -> Result<Option<SignedCheckpoint>, Fault> {
        let text = self
            .file
            .read()
            .map_err(|e| self.fault(Code::StoreCorrupt, &e))?;
        text.map(|text| SignedCheckpoint::parse(&text))
            .transpose()
            .map_err(|e| self.fault(Code::StoreCorrupt, &e))
    }

    /// The checkpoint it holds; `None` before the first publishing.
    ///
    /// # Errors
    /// As [`Self::signed`].
    pub fn read(&self) -> Result<Option<Checkpoint>, Fault> {
        Ok(self.signed()?.map(|signed| signed.checkpoint().clone()))
    }

    /// Replaces the guard durably.
    ///
    /// # Errors
    /// `store.unavailable` when it cannot be written; whether it was is unknown then.
    pub fn write(&self, checkpoint: &Published) -> Result<(), Fault> {
        self.file
            .write(&checkpoint.note)
            .map_err(|e| self.fault(Code::StoreUnavailable, &e))
    }

    fn fault(&self, code: Code, error: &dyn fmt::Display) -> Fault {
        Fault::new(code, format!("head guard {}: {error}", self.name))
    }
}

/// That a database has what was published as its beginning.
///
/// # Errors
/// `log.behind_guard` when it has fewer entries or others; `store.corrupt` when its tiles do not add up; `store.unavailable`.
pub async fn reaches(store: &dyn Store, promised: &Checkpoint) -> Result<(), Fault> {
    let size = store.head().await?.map_or(0, |head| head.size);
    let why = if size < promised.size {
        format!(
            "ends at {size} entries, and {} were published",
            promised.size
        )
    } else if edge(store, promised.size).await?.root() != promised.root {
        format!(
            "has another tree of {} entries than the one that was published",
            promised.size
        )
    } else {
        return Ok(());
    };
    let detail = format!(
        "the database {why}; name or restore the one that published them, or end this log and name its successor"
    );
    Err(Fault::new(Code::LogBehindGuard, detail))
}
