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
#[cfg(target_os = "linux")]
pub(crate) fn holder(path: &Path) -> Option<u32> {
    use std::os::unix::fs::MetadataExt as _;
    let file = fs::metadata(path).ok()?;
    let is_it = |pid: u32, device: (u32, u32)| {
        device == (rustix::fs::major(file.dev()), rustix::fs::minor(file.dev()))
            || has_open(pid, (file.dev(), file.ino()))
    };
    holder_in(&fs::read_to_string("/proc/locks").ok()?, file.ino(), is_it)
}

/// The process that `/proc/locks` (`proc_locks(5)`) names for a file with this inode: inodes are numbered anew on each device,
/// so `is_it` decides by process and device (major, minor).
#[cfg(target_os = "linux")]
fn holder_in(locks: &str, inode: u64, is_it: impl Fn(u32, (u32, u32)) -> bool) -> Option<u32> {
    locks.lines().find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        // A line with an arrow is of one that waits.
        let [_, "FLOCK", _, _, pid, file, ..] = *fields.as_slice() else {
            return None;
        };
        let pid = pid.parse().ok()?;
        let mut file = file.split(':');
        let mut device = || u32::from_str_radix(file.next()?, 16).ok();
        let device = (device()?, device()?);
        let same = file.next()?.parse() == Ok(inode);
        (same && is_it(pid, device)).then_some(pid)
    })
}

/// Whether a process has this file open. Some file systems (btrfs, overlays) show another device than `/proc/locks` does.
#[cfg(target_os = "linux")]
fn has_open(pid: u32, (device, inode): (u64, u64)) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let Ok(open) = fs::read_dir(format!("/proc/{pid}/fd")) else {
        return false;
    };
    open.flatten()
        .filter_map(|file| fs::metadata(file.path()).ok())
        .any(|file| (file.dev(), file.ino()) == (device, inode))
}

#[cfg(not(target_os = "linux"))]
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

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_holder_has_the_device_and_the_inode() {
        let locks = "1: FLOCK  ADVISORY  WRITE 7 08:01:4711 0 EOF\n\
                     2: POSIX  ADVISORY  WRITE 8 fe:1f:4711 0 EOF\n\
                     3: FLOCK  ADVISORY  WRITE 9 fe:1f:4711 0 EOF\n\
                     3: -> FLOCK  ADVISORY  WRITE 10 fe:1f:4712 0 EOF\n\
                     4: FLOCK  ADVISORY  WRITE -1 fe:1f:4713 0 EOF\n";
        let on = |device| move |_, at| at == device;
        assert_eq!(holder_in(locks, 4711, on((0xfe, 0x1f))), Some(9));
        assert_eq!(holder_in(locks, 4711, on((8, 1))), Some(7));
        assert_eq!(holder_in(locks, 4711, on((8, 2))), None);
        assert_eq!(holder_in(locks, 4711, |pid, _| pid == 9), Some(9));
        for other in [4712, 4713, 471] {
            assert_eq!(holder_in(locks, other, |_, _| true), None);
        }
    }

    #[test]
    fn a_taken_directory_names_its_process() {
        let room = tempfile::tempdir().unwrap();
        let taken = lock(room.path()).unwrap();
        let path = room.path().join("lock");
        let here = std::process::id();
        assert_eq!(holder(&path), Some(here));
        let file = taken.metadata().unwrap();
        let id = {
            use std::os::unix::fs::MetadataExt as _;
            (file.dev(), file.ino())
        };
        assert!(has_open(here, id) && !has_open(here, (id.0 + 1, id.1)));
        drop(taken);
        assert_eq!(holder(&path), None);
    }
}
