//! `restore`: a data directory from a backup, never behind what is known to have been published.
//!
//! Everything is verified before anything is written. The database gets its name last, so an interrupted restore leaves a
//! directory without data, and can be done again.

use std::{
    fs,
    path::{Path, PathBuf},
};

use goodstanding_verify::{b64, checkpoint::Checkpoint, note::VerifierKey};
use serde::Serialize;

use super::{
    DATABASE,
    edge::{self, Copy},
    files,
    manifest::Manifest,
    newest, unfinished,
};
use crate::{
    app,
    code::{Code, Fault},
    fsck,
    keys::KeyFile,
    log::{
        end,
        guard::{DiskFile, GuardFile as _, HeadGuard},
        tenure::{self, Left, Tenure},
    },
    store::sqlite::file::rewrite_meta,
};

/// What vouches where the directory's own guard and clean stop do.
const GUARD: &str = "guard";

/// What to restore, and what is known of the log from outside.
#[derive(Clone, Debug)]
pub struct Restore {
    /// The backup.
    pub backup: PathBuf,
    /// The data directory to be.
    pub data: PathBuf,
    /// A document with the newest checkpoint known outside: its name and text.
    pub newest: Option<(String, String)>,
    /// The operator says that nothing newer was ever signed.
    pub nothing_newer: bool,
    /// Unix seconds.
    pub now_s: u64,
}

/// A directory that was restored.
#[derive(Clone, Debug, Serialize)]
pub struct Restored {
    /// Where.
    pub data: PathBuf,
    /// Entries.
    pub size: u64,
    /// Root of the tree over them, base64.
    pub root: String,
    /// When the backup was made, Unix seconds.
    pub made_at: u64,
    /// Whether it has the secret keys, from the backup or from before.
    pub keys: bool,
    /// What vouches for its being the newest state: `guard`, `newest` or `operator`.
    pub vouched_by: &'static str,
    /// The published checkpoints that the backup was held against, and has as its beginning.
    pub held_against: Vec<HeldAgainst>,
    /// Bytes of the restored database.
    pub bytes: u64,
}

/// A checkpoint that the backup had to reach.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HeldAgainst {
    /// Where it was: `head.guard`, or the name of the document given.
    pub from: String,
    /// Entries under it.
    pub size: u64,
    /// Its root, base64.
    pub root: String,
}

/// Restores.
///
/// # Errors
/// `backup.invalid`, `data.not_empty`, `data.locked`, `log.behind_guard`, `backup.fork`, `backup.newest_unknown`, or what kept a
/// file from being written.
pub async fn restore(request: &Restore) -> Result<Restored, Fault> {
    let Restore { backup, data, .. } = request;
    let invalid =
        |why: String| Fault::new(Code::BackupInvalid, format!("{}: {why}", backup.display()));
    let manifest = Manifest::verify(backup)?;
    let log_key = manifest.log_key().map_err(invalid)?;
    check_log_file(backup, &manifest, &log_key)?;
    let mut copy = edge::inspect(backup, &log_key)
        .await
        .map_err(|fault| invalid(fault.to_string()))?;
    if copy.head_note != manifest.head
        || copy.origin != manifest.origin
        || copy.issuer != manifest.issuer
    {
        return Err(invalid(
            "the database is not the one that the manifest describes".to_owned(),
        ));
    }
    // A directory that is there may be in use; one that is not gets made only when nothing speaks against it any more.
    let lock = if data.exists() {
        Some(app::lock(data)?)
    } else {
        None
    };
    check_target(request, &manifest)?;
    let (vouched_by, held_against) = check_newest(request, &log_key, &mut copy).await?;
    let (head, note) = (copy.head.clone(), copy.head_note.clone());
    copy.close().await;
    check_contents(request, &log_key).await?;
    files::make_dir(data)?;
    let lock = match lock {
        Some(lock) => lock,
        None => app::lock(data)?,
    };
    write(request, &manifest, &note, vouched_by).await?;
    drop(lock);
    verify_written(data, &log_key, &head).await?;
    Ok(Restored {
        data: data.clone(),
        size: head.size,
        root: b64::std_encode(head.root),
        made_at: manifest.made_at,
        keys: data.join("keys").join("log.json").exists(),
        vouched_by,
        held_against,
        bytes: fs::metadata(data.join(DATABASE)).map_or(0, |m| m.len()),
    })
}

/// The log's key file in the backup has to be the key that the manifest names.
fn check_log_file(backup: &Path, manifest: &Manifest, log_key: &VerifierKey) -> Result<(), Fault> {
    if !manifest.has_keys() {
        return Ok(());
    }
    let key = KeyFile::read(&backup.join("keys").join("log.json"))
        .map_err(|e| Fault::new(Code::BackupInvalid, e.to_string()))?;
    if key.public().as_bytes() == log_key.public() {
        Ok(())
    } else {
        let why = format!(
            "{}: keys/log.json is not the key that signed the log",
            backup.display()
        );
        Err(Fault::new(Code::BackupInvalid, why))
    }
}

/// Refuses a directory with a database (also a left-over write-ahead log, which SQLite would apply to the wrong file), and one
/// with other files in the places of the backup's.
fn check_target(request: &Restore, manifest: &Manifest) -> Result<(), Fault> {
    let data = &request.data;
    let refuse = |why: String| {
        Err(Fault::new(
            Code::DataNotEmpty,
            format!("{}: {why}", data.display()),
        ))
    };
    if let Some(name) = files::names(data)?
        .iter()
        .find(|n| n.starts_with(DATABASE) && !n.starts_with(&unfinished()))
    {
        return refuse(format!(
            "{name} is there; move {DATABASE}, -wal and -shm away (keep head.guard and log.state where they are), or name another directory"
        ));
    }
    for file in manifest.files.iter().filter(|file| file.path != DATABASE) {
        let path = data.join(&file.path);
        if path.exists() && files::digest(&path)? != (file.bytes, file.sha256.clone()) {
            return refuse(format!(
                "{} is there and is not the backup's; move it away first",
                file.path
            ));
        }
    }
    Ok(())
}

/// Compares the backup with everything that is known to have been published: what vouches for there being nothing newer, and
/// what it was compared with.
async fn check_newest(
    request: &Restore,
    log_key: &VerifierKey,
    copy: &mut Copy,
) -> Result<(&'static str, Vec<HeldAgainst>), Fault> {
    let mut against = Vec::new();
    if request.data.join(end::FILE).exists() && !copy.ended {
        return Err(Fault::new(
            Code::LogEnded,
            format!(
                "{} says that this log has ended, and the backup is from before that",
                end::FILE
            ),
        ));
    }
    let guard = HeadGuard::new(&request.data.join("head.guard")).signed()?;
    let left = Tenure::of(&request.data).left()?;
    if let Some(guard) = &guard {
        let checkpoint = guard
            .verify_log(log_key)
            .map_err(|error| Fault::new(Code::GuardOtherLog, error.to_string()))?;
        against.push(reaches(copy, checkpoint, "head.guard", Code::LogBehindGuard).await?);
    }
    if let Some((name, text)) = &request.newest {
        let checkpoint = newest::checkpoint_in(text, log_key)?;
        against.push(reaches(copy, &checkpoint, name, Code::BackupFork).await?);
        return Ok(("newest", against));
    }
    if request.nothing_newer {
        return Ok(("operator", against));
    }
    match (guard, left) {
        // Closed after its newest head was published: the guard knows all that was signed.
        (Some(_), Left::Closed) => Ok((GUARD, against)),
        (Some(_), _) => Err(Fault::new(
            Code::BackupUnproven,
            "the service did not stop cleanly here, or a restore was interrupted, so receipts may have been given beyond head.guard",
        )),
        (None, _) => Err(Fault::new(
            Code::BackupUnproven,
            "nothing here says what the log published last",
        )),
    }
}

/// Whether a database has this checkpoint's tree as its beginning.
pub(super) async fn reaches(
    copy: &mut Copy,
    newest: &Checkpoint,
    name: &str,
    fork: Code,
) -> Result<HeldAgainst, Fault> {
    let size = copy.head.size;
    if newest.size > size {
        let detail = format!(
            "{name} proves that the log had {} entries, and this copy ends at {size}: restore a newer one, or end this log and \
             name its successor",
            newest.size
        );
        return Err(Fault::new(Code::LogBehindGuard, detail));
    }
    if copy.root_at(newest.size).await? != newest.root {
        let detail = format!(
            "{name} has another tree of {} entries than this copy",
            newest.size
        );
        return Err(Fault::new(fork, detail));
    }
    Ok(HeldAgainst {
        from: name.to_owned(),
        size: newest.size,
        root: b64::std_encode(newest.root),
    })
}

/// Everything that `fsck` looks at, in the backup itself.
async fn check_contents(request: &Restore, log_key: &VerifierKey) -> Result<(), Fault> {
    let options = fsck::Options {
        log_key: Some(log_key.clone()),
        ..fsck::Options::new(request.now_s)
    };
    let outcome = fsck::run(&request.backup, &options).await?;
    match outcome.problems.first() {
        None => Ok(()),
        Some(first) => {
            let all: u64 = outcome.counts.values().sum();
            let detail = format!(
                "{}: [{}] {}: {} ({all} in all; `fsck --data {}` names them)",
                request.backup.display(),
                first.code,
                first.place,
                first.detail,
                request.backup.display()
            );
            Err(Fault::new(Code::BackupInvalid, detail))
        }
    }
}

async fn write(
    request: &Restore,
    manifest: &Manifest,
    head: &str,
    vouched_by: &str,
) -> Result<(), Fault> {
    let Restore { backup, data, .. } = request;
    if manifest.has_keys() {
        files::make_dir(&data.join("keys"))?;
    }
    for file in manifest.files.iter().filter(|file| file.path != DATABASE) {
        let to = data.join(&file.path);
        if !to.exists() {
            files::place(&backup.join(&file.path), &to)?;
        }
    }
    if manifest.has_keys() {
        files::sync_dir(&data.join("keys"))?;
    }
    let fresh = data.join(unfinished());
    // Of an earlier try, with its journal: SQLite would apply that to the new copy.
    for left in files::names(data)? {
        if left.starts_with(&unfinished()) {
            let left = data.join(left);
            fs::remove_file(&left).map_err(|e| files::failed(&left, &e))?;
        }
    }
    files::copy(&backup.join(DATABASE), &fresh)?;
    let name = tenure::new_name()?;
    let meta = [(tenure::COPY, None), (tenure::TENURE, Some(name.as_str()))];
    rewrite_meta(&fresh, &meta).await?;
    files::sync(&fresh)?;
    let mark = Tenure::of(data);
    // Where guard and clean stop vouched they stay as they are. Anywhere else this guard vouches for nothing until the database is
    // there: if this ends in between, the directory is one that was not closed, and only the database with this name goes on.
    if vouched_by != GUARD {
        mark.expect(&name)?;
    }
    // The guard knows the restored head before there is a database that could be served without it.
    let guard = data.join("head.guard");
    DiskFile::new(&guard)
        .write(head)
        .map_err(|e| files::failed(&guard, &e))?;
    let database = data.join(DATABASE);
    fs::rename(&fresh, &database).map_err(|e| files::failed(&database, &e))?;
    files::sync_dir(data)?;
    files::sync_parent(data)?;
    mark.end()
}

/// What was written is what was verified.
async fn verify_written(
    data: &Path,
    log_key: &VerifierKey,
    head: &Checkpoint,
) -> Result<(), Fault> {
    let copy = edge::inspect(data, log_key).await?;
    let same = copy.head == *head;
    copy.close().await;
    let guard = HeadGuard::new(&data.join("head.guard")).read()?;
    if same && guard.as_ref() == Some(head) {
        Ok(())
    } else {
        Err(Fault::new(
            Code::StoreCorrupt,
            "what was written is not what was read; do not serve it",
        ))
    }
}
