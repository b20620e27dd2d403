//! What stands beside a database: keys, guard, settings, and a file that is not whole yet.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use crate::{
    backup::files,
    code::{Code, Fault},
    log::{
        cluster::past,
        end,
        guard::{DiskFile, GuardFile as _},
    },
    store::sqlite::FILE,
};

pub(super) const GUARD: &str = "head.guard";
/// Files beside keys and settings that belong to a log and not to its database.
const OTHERS: [&str; 3] = [GUARD, end::FILE, "access.json"];

fn not_empty(data: &Path, why: &str) -> Fault {
    Fault::new(Code::DataNotEmpty, format!("{}: {why}", data.display()))
}

/// Where a new database of this directory is filled: nothing opens a file of this name. What an earlier try left goes.
///
/// # Errors
/// `data.not_empty` when there is a database, or the write-ahead log of one, which SQLite would apply to the wrong file.
pub(super) fn fresh(data: &Path) -> Result<PathBuf, Fault> {
    let unfinished = format!("{FILE}.moving");
    for name in files::names(data)? {
        if name.starts_with(&unfinished) {
            let left = data.join(name);
            fs::remove_file(&left).map_err(|e| files::failed(&left, &e))?;
        } else if name.starts_with(FILE) {
            return Err(not_empty(
                data,
                &format!("{name} is there; move {FILE}, -wal and -shm away, everything else stays"),
            ));
        }
    }
    Ok(data.join(unfinished))
}

/// Gives a whole database its name.
pub(super) fn name(fresh: &Path, database: &Path) -> Result<(), Fault> {
    files::sync(fresh)?;
    fs::rename(fresh, database).map_err(|e| files::failed(database, &e))?;
    files::sync_parent(database)
}

/// Copies keys, settings, guard and the notice of an end to another directory.
///
/// # Errors
/// `data.not_empty` when another file has one of the names.
pub(super) fn copy(from: &Path, to: &Path) -> Result<(), Fault> {
    let mut found = files::beside(from, true)?;
    let others = OTHERS.iter().filter(|name| from.join(name).exists());
    found.extend(others.map(PathBuf::from));
    for path in &found {
        let (source, target) = (from.join(path), to.join(path));
        if target.exists() && files::digest(&target)? != files::digest(&source)? {
            let why = format!("{} is there and is another one", path.display());
            return Err(not_empty(to, &why));
        }
    }
    files::make_dir(&to.join("keys"))?;
    for path in &found {
        let target = to.join(path);
        if !target.exists() {
            files::place(&from.join(path), &target)?;
        }
    }
    files::sync_dir(&to.join("keys"))?;
    files::sync_dir(to)
}

/// Sets the head guard.
pub(super) fn guard(data: &Path, note: &str) -> Result<(), Fault> {
    let path = data.join(GUARD);
    DiskFile::new(&path)
        .write(note)
        .map_err(|e| files::failed(&path, &e))
}

/// Forgets the turns at writing of a database that the log is not in any more.
pub(super) fn forget_turn(data: &Path) -> Result<(), Fault> {
    let path = data.join(past::FILE);
    match fs::remove_file(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(files::failed(&path, &error)),
        Ok(()) => files::sync_dir(data),
    }
}
