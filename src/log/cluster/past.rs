//! What a process remembers of the database beside it: the newest turn at writing that it saw.
//!
//! A database that was restored from a copy which lacks the newest commits forks the log if it is written to. The head guard sees
//! that as far as it reaches, to the newest published checkpoint. The name of a turn reaches further back in time but is not moved by
//! publishing: a database without a turn that this process saw is of another past. What happened within the newest turn, only
//! the guard and the witnesses know.

use std::path::Path;

use crate::{
    code::{Code, Fault},
    log::guard::{DiskFile, GuardFile as _},
    store::cluster::{Cluster, Turn},
};

/// The file in the data directory: the name of a turn, a line.
pub const FILE: &str = "log.turn";

/// The file that remembers.
#[derive(Clone, Debug)]
pub struct Past {
    file: DiskFile,
    noted: Option<String>,
}

impl Past {
    /// Of a data directory.
    pub fn of(data: &Path) -> Self {
        Self {
            file: DiskFile::shared(&data.join(FILE)),
            noted: None,
        }
    }

    /// The name that was noted last.
    ///
    /// # Errors
    /// `store.corrupt` when the file cannot be read.
    pub fn name(&self) -> Result<Option<String>, Fault> {
        let text = self
            .file
            .read()
            .map_err(|e| Fault::new(Code::StoreCorrupt, format!("{FILE}: {e}")))?;
        Ok(text.map(|text| text.trim().to_owned()))
    }

    /// That the database had the turn that was noted last.
    ///
    /// # Errors
    /// `data.other_copy` when it had not, `store.corrupt` when the file cannot be read, `store.unavailable`.
    pub async fn check(&mut self, cluster: &dyn Cluster) -> Result<(), Fault> {
        let Some(name) = self.name()? else {
            return Ok(());
        };
        if cluster.had_turn(&name).await? {
            self.noted = Some(name);
            return Ok(());
        }
        Err(Fault::new(
            Code::DataOtherCopy,
            "this process saw a turn at writing that this database does not know: it is another database, or an older state of it; name the right one, or, after a move with `migrate`, remove log.turn from the data directory",
        ))
    }

    /// Remembers a turn. Before anything is signed in it, or as soon as it is seen.
    ///
    /// # Errors
    /// `store.unavailable` when the file cannot be written.
    pub fn note(&mut self, turn: &Turn) -> Result<(), Fault> {
        if self.noted.as_deref() == Some(turn.name.as_str()) {
            return Ok(());
        }
        self.file
            .write(&format!("{}\n", turn.name))
            .map_err(|e| Fault::new(Code::StoreUnavailable, format!("{FILE}: {e}")))?;
        self.noted = Some(turn.name.clone());
        Ok(())
    }
}
