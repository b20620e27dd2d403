//! Copies of a data directory, and the way back from one.
//!
//! A backup is a folder: the database as one compact file, the keys, settings files, and a manifest that is written last. A
//! folder without a manifest is no backup. `make` copies beside a running service, `restore` brings a copy back and takes care
//! that the log does not fork by it; `join` does for a database on a server, of which there is no copy here.

mod edge;
pub(crate) mod files;
mod join;
mod make;
mod manifest;
mod newest;
mod restore;

pub use edge::{Copy, inspect};
pub use join::{Join, Joined, join};
pub use make::{LAST, Last, Made, make};
pub use manifest::{FileEntry, MANIFEST, Manifest};
pub use newest::checkpoint_in;
pub use restore::{HeldAgainst, Restore, Restored, restore};

/// The database file of a data directory and of a backup.
pub(crate) use crate::store::sqlite::FILE as DATABASE;

/// Name of a database that is not whole yet: nothing opens it.
fn unfinished() -> String {
    format!("{DATABASE}.unfinished")
}
