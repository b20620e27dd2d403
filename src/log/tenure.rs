//! Which database ran here last: what the head guard cannot know.
//!
//! # The gap
//! A `201` carries a checkpoint that was signed up to a second before it is published, so before the guard knows its size.
//! After a crash the database has it all the same: the commit was synced. But if another copy of the database is put in its place, one
//! that reaches the guard's size and not the receipts' (a backup, an older file), the next batch would be signed at a size that
//! somebody holds a receipt for: a fork that the guard does not see.
//!
//! # Why nothing clever is appended
//! A distinguishing entry after a restore does not help: the receipt's root at that size stays signed, and the
//! new root differs from it for certain. Skipping sizes does not help either: the receipt's tree is still not a
//! prefix of the new one. A log may go on from a state only if that state has everything that was ever signed. So the question
//! is not what to write but whether to write, and it has to be answered before the first signature.
//!
//! # The remedy
//! Every tenure, the time from opening a directory to closing it, has a random name, in the database and in the file
//! `log.state` beside it. While the directory is open the file says `open`; closing makes it say `closed`, after the newest head was
//! published, so after a clean stop the guard knows everything that was signed. After a crash it still says `open`, and only
//! the database with that very name may go on. `backup` marks its copies, and only `restore`, which asks what the newest known
//! checkpoint is, takes that mark off. The cost is one small transaction and two synced files at each start; a batch costs
//! nothing more than before.
//!
//! # What remains
//! A file copied by hand (not by `backup`) within a tenure has that tenure's name: put in its place after a crash, it is
//! taken for the original. So is a snapshot of a whole machine, whose guard goes back with it. Witnesses notice both, because
//! they refuse to cosign a smaller or different tree; this directory cannot.

use std::{path::Path, sync::Arc};

use goodstanding_verify::b64;

use super::{
    guard::{DiskFile, GuardFile},
    moved::Mark,
};
use crate::{
    code::{Code, Fault},
    store::Store,
};

/// Setting of the database that has the name of its newest tenure.
pub const TENURE: &str = "tenure";
/// Setting that marks a copy made by `backup`.
pub const COPY: &str = "copy";
/// What stands for the name of a database that has none yet.
const NAMELESS: &str = "-";
/// The file beside the database: `open` or `closed`, then names of tenures, a line each.
pub const FILE: &str = "log.state";
const OPEN: &str = "open";
const CLOSED: &str = "closed";

/// How a directory was left, before anything is written to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Left {
    /// Nothing was ever signed in it.
    New,
    /// It was closed cleanly: the guard knows everything that was signed.
    Closed,
    /// The database is on a server: who writes is told by turns, and a data directory may be as new as a process.
    Shared,
    /// A tenure ended without closing, and only a database with one of these names may go on.
    Open(Vec<String>),
}

/// That a database is not a copy, by its setting [`COPY`].
///
/// # Errors
/// `data.other_copy`, `data.moved`.
pub fn check_copy(copy: Option<&str>) -> Result<(), Fault> {
    copy.map_or(Ok(()), |mark| Err(Mark::of(mark).refusal()))
}

/// A new random name.
///
/// # Errors
/// When the operating system has no random bytes.
pub fn new_name() -> Result<String, Fault> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)
        .map_err(|e| Fault::new(Code::Internal, format!("no random bytes: {e}")))?;
    Ok(b64::url_encode(bytes))
}

/// The mark of an open directory.
#[derive(Clone, Debug)]
pub struct Tenure(Arc<dyn GuardFile>, String);

impl Tenure {
    /// The mark in a data directory.
    pub fn of(data: &Path) -> Self {
        Self::over(Arc::new(DiskFile::new(&data.join(FILE))), data)
    }

    /// The mark of this data directory, kept in `file`.
    pub fn over(file: Arc<dyn GuardFile>, data: &Path) -> Self {
        Self(file, data.join(FILE).display().to_string())
    }

    /// What the file says; [`Left::New`] if there is none.
    ///
    /// # Errors
    /// `store.corrupt` when it cannot be read.
    pub fn left(&self) -> Result<Left, Fault> {
        let text = self
            .0
            .read()
            .map_err(|e| self.fault(Code::StoreCorrupt, &e))?;
        let Some(text) = text else {
            return Ok(Left::New);
        };
        match text.split_once('\n') {
            Some((CLOSED, _)) => Ok(Left::Closed),
            Some((OPEN, names)) => Ok(Left::Open(names.lines().map(str::to_owned).collect())),
            _ => Err(self.fault(Code::StoreCorrupt, &"neither open nor closed")),
        }
    }

    /// How the directory was left, if the database whose settings these are may go on in it.
    ///
    /// # Errors
    /// `data.other_copy` when it is not the one that ran here last, or is a copy that `restore` has not looked at; `data.moved`.
    pub fn check(&self, name: Option<&str>, copy: Option<&str>) -> Result<Left, Fault> {
        let refuse = |why: &str| Err(Fault::new(Code::DataOtherCopy, why));
        check_copy(copy)?;
        match self.left()? {
            Left::New if name.is_some() => refuse(
                "log.state is missing, so nothing tells whether this is the newest state of this database",
            ),
            Left::Open(names) if !names.iter().any(|n| n == name.unwrap_or(NAMELESS)) => refuse(
                "the service did not stop cleanly here, and this is not the database that it had then: receipts may have been \
                 given for entries that this one does not have",
            ),
            left => Ok(left),
        }
    }

    /// Begins a tenure. Must be done before anything is signed.
    ///
    /// # Errors
    /// When file or database cannot be written.
    pub async fn begin(&self, old: Option<&str>, store: &dyn Store) -> Result<(), Fault> {
        let name = new_name()?;
        // Between the two writes either name is the right one; nothing is signed before the second.
        self.write(OPEN, &format!("{}\n{name}", old.unwrap_or(NAMELESS)))?;
        store.replace_meta(TENURE, &name).await?;
        self.write(OPEN, &name)
    }

    /// Lets only the database of this name go on here: before it is there, or after the log has moved away.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn expect(&self, name: &str) -> Result<(), Fault> {
        self.write(OPEN, name)
    }

    /// Ends the tenure. Only after everything that was signed has been published.
    ///
    /// # Errors
    /// When the file cannot be written: the next start then takes this for a crash, which is safe.
    pub fn end(&self) -> Result<(), Fault> {
        self.write(CLOSED, NAMELESS)
    }

    fn write(&self, state: &str, names: &str) -> Result<(), Fault> {
        self.0
            .write(&format!("{state}\n{names}\n"))
            .map_err(|e| self.fault(Code::StoreUnavailable, &e))
    }

    fn fault(&self, code: Code, error: &dyn std::fmt::Display) -> Fault {
        Fault::new(code, format!("{}: {error}", self.1))
    }
}
