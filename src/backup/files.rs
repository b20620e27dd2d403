//! Files written so that they are there after a power cut, private, and never over another one.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
};

use goodstanding_verify::digest::to_hex;
use sha2::{Digest as _, Sha256};

use crate::code::{Code, Fault};

pub(crate) fn failed(path: &Path, error: &io::Error) -> Fault {
    Fault::new(
        Code::InputUnreadable,
        format!("{}: {error}", path.display()),
    )
}

/// Length in bytes and SHA-256, lowercase hex, of a file.
pub(crate) fn digest(path: &Path) -> Result<(u64, String), Fault> {
    let read = || -> io::Result<(u64, String)> {
        let mut file = File::open(path)?;
        let (mut hasher, mut length) = (Sha256::new(), 0_u64);
        let mut buffer = vec![0; 1 << 16];
        loop {
            let n = file.read(&mut buffer)?;
            if n == 0 {
                return Ok((length, to_hex(&hasher.finalize())));
            }
            hasher.update(&buffer[..n]);
            length += u64::try_from(n).unwrap_or_default();
        }
    };
    read().map_err(|e| failed(path, &e))
}

/// A folder that only its owner can enter; one that exists stays as it is.
pub(crate) fn make_dir(path: &Path) -> Result<(), Fault> {
    if path.is_dir() {
        return Ok(());
    }
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path).map_err(|e| failed(path, &e))
}

fn create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Copies a file to a new one, mode 0600, and syncs it.
pub(crate) fn copy(from: &Path, to: &Path) -> Result<(), Fault> {
    let mut source = File::open(from).map_err(|e| failed(from, &e))?;
    let mut write = || -> io::Result<()> {
        let mut target = create(to)?;
        io::copy(&mut source, &mut target)?;
        target.sync_all()
    };
    write().map_err(|e| failed(to, &e))
}

/// Copies a file to a new one as [`copy`] does, but whole: one that was interrupted leaves nothing under the name.
pub(crate) fn place(from: &Path, to: &Path) -> Result<(), Fault> {
    let mut fresh = to.as_os_str().to_owned();
    fresh.push(".unfinished");
    let fresh = PathBuf::from(fresh);
    // Of an earlier try.
    if fresh.exists() {
        fs::remove_file(&fresh).map_err(|e| failed(&fresh, &e))?;
    }
    copy(from, &fresh)?;
    fs::rename(&fresh, to).map_err(|e| failed(to, &e))
}

/// Writes a new file whole: nobody sees half of it under its name.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<(), Fault> {
    let fresh = path.with_extension("unfinished");
    let write = || -> io::Result<()> {
        let mut file = create(&fresh)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&fresh, path)?;
        Ok(())
    };
    write().map_err(|e| failed(path, &e))?;
    sync_parent(path)
}

/// Syncs a file that somebody else wrote, and makes it private.
pub(crate) fn sync(path: &Path) -> Result<(), Fault> {
    let sync = || -> io::Result<()> {
        let file = File::open(path)?;
        #[cfg(unix)]
        file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
        file.sync_all()
    };
    sync().map_err(|e| failed(path, &e))
}

/// Syncs the folder itself: which names it has.
pub(crate) fn sync_dir(path: &Path) -> Result<(), Fault> {
    File::open(path)
        .and_then(|dir| dir.sync_all())
        .map_err(|e| failed(path, &e))
}

/// Syncs the folder that a file is in.
pub(crate) fn sync_parent(path: &Path) -> Result<(), Fault> {
    match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => sync_dir(Path::new(".")),
        Some(parent) => sync_dir(parent),
        None => Ok(()),
    }
}

/// Names in a folder, ascending; none if it is not there.
pub(crate) fn names(path: &Path) -> Result<Vec<String>, Fault> {
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(path, &error)),
    };
    let mut names = entries
        .map(|entry| entry.map(|e| e.file_name().to_string_lossy().into_owned()))
        .collect::<io::Result<Vec<_>>>()
        .map_err(|e| failed(path, &e))?;
    names.sort();
    Ok(names)
}

/// Files of a data directory that belong into a backup beside the database: keys and settings, relative paths, ascending.
pub(crate) fn beside(data: &Path, with_keys: bool) -> Result<Vec<PathBuf>, Fault> {
    let has_extension = |name: &str, wanted: &[&str]| {
        Path::new(name)
            .extension()
            .and_then(|e| e.to_str())
            .is_some_and(|e| wanted.contains(&e))
    };
    let mut found = Vec::new();
    if with_keys {
        let keys = names(&data.join("keys"))?;
        found.extend(
            keys.into_iter()
                .filter(|n| has_extension(n, &["json"]))
                .map(|n| Path::new("keys").join(n)),
        );
    }
    let settings = names(data)?
        .into_iter()
        .filter(|n| has_extension(n, &["toml", "policy"]) && data.join(n).is_file());
    found.extend(settings.map(PathBuf::from));
    Ok(found)
}
