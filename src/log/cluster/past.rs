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
        self.noted = self.name()?;
        self.is_of(cluster).await
    }

    /// Remembers the newest turn of a database that had the one before. Before anything is signed in it, or as soon as it is seen.
    ///
    /// # Errors
    /// `data.other_copy` when the database does not know the turn that was noted last; `store.unavailable`, also when the
    /// file cannot be written.
    pub async fn follow(
        &mut self,
        newest: Option<&Turn>,
        cluster: &dyn Cluster,
    ) -> Result<(), Fault> {
        let newest = newest.map(|turn| turn.name.as_str());
        if self.noted.as_deref() == newest {
            return Ok(());
        }
        self.is_of(cluster).await?;
        match newest {
            Some(name) => self.write(name.to_owned()),
            None => Ok(()),
        }
    }

    /// That the file can be written.
    ///
    /// # Errors
    /// `store.unavailable`.
    pub fn rehearse(&mut self) -> Result<(), Fault> {
        match self.noted.clone() {
            Some(name) => self.write(name),
            None => Ok(()),
        }
    }

    async fn is_of(&self, cluster: &dyn Cluster) -> Result<(), Fault> {
        match &self.noted {
            Some(name) if !cluster.had_turn(name).await? => Err(Fault::new(
                Code::DataOtherCopy,
                "this process saw a turn at writing that this database does not know: it is another database, or an older state of it; name the right one, or, after a move with `migrate`, remove log.turn from the data directory",
            )),
            _ => Ok(()),
        }
    }

    fn write(&mut self, name: String) -> Result<(), Fault> {
        self.file
            .write(&format!("{name}\n"))
            .map_err(|e| Fault::new(Code::StoreUnavailable, format!("{FILE}: {e}")))?;
        self.noted = Some(name);
        Ok(())
    }
}
