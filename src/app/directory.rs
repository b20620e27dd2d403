//! A data directory as a folder: taken by one process, or shared by several that have their database on a server.

use std::{fs, path::Path};

use crate::code::{Code, Fault};

/// Takes the directory for this process, or says that another has it.
pub(crate) fn lock(data: &Path) -> Result<fs::File, Fault> {
    take(data, fs::File::try_lock)
}

/// Takes the directory together with others: its log's database is on a server, which says who writes.
pub(crate) fn share(data: &Path) -> Result<fs::File, Fault> {
    take(data, fs::File::try_lock_shared)
}

fn take(
    data: &Path,
    how: impl FnOnce(&fs::File) -> Result<(), fs::TryLockError>,
) -> Result<fs::File, Fault> {
    let path = data.join("lock");
    let file = fs::OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(|e| unwritable(&path, &e))?;
    match how(&file) {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => Err(Fault::new(
            Code::DataLocked,
            match holder(&path) {
                Some(pid) => format!("{} is in use by process {pid}", data.display()),
                None => format!("{} is in use by another process", data.display()),
            },
        )),
        Err(fs::TryLockError::Error(error)) => Err(unwritable(&path, &error)),
    }
}

/// The process that holds the lock, where `/proc/locks` tells.
#[cfg(unix)]
pub(crate) fn holder(path: &Path) -> Option<u32> {
    let inode = std::os::unix::fs::MetadataExt::ino(&fs::metadata(path).ok()?).to_string();
    let locks = fs::read_to_string("/proc/locks").ok()?;
    locks.lines().find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let at = fields.iter().position(|field| *field == "FLOCK")?;
        let held = fields.get(at + 4)?.rsplit(':').next() == Some(inode.as_str());
        fields.get(at + 3).filter(|_| held)?.parse().ok()
    })
}

#[cfg(not(unix))]
pub(crate) fn holder(_: &Path) -> Option<u32> {
    None
}

pub(super) fn unwritable(path: &Path, error: &std::io::Error) -> Fault {
    Fault::new(Code::DataUnwritable, format!("{}: {error}", path.display()))
}

/// Syncs a new data directory and the folder that it was made in.
pub(super) fn sync_folders(data: &Path) -> std::io::Result<()> {
    let data = data.canonicalize()?;
    for folder in data.ancestors().take(2) {
        fs::File::open(folder)?.sync_all()?;
    }
    Ok(())
}
