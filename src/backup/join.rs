//! `restore` where the database is on a server: a data directory that lost its head guard, or never had one, takes part in the log, never
//! behind what is known to have been published.
//!
//! The database is not copied. It is held against what is known outside, and the directory gets the guard that says so.

use std::path::PathBuf;

use goodstanding_verify::{b64, note::VerifierKey};
use serde::Serialize;

use super::{
    edge::{self, Copy},
    files, newest,
    restore::{HeldAgainst, reaches},
};
use crate::{
    app,
    code::{Code, Fault},
    keys::KeyFile,
    log::{
        end,
        guard::{DiskFile, GuardFile as _, HeadGuard},
        sign::LOG_VKEY,
        tenure,
    },
    store::{Place, sqlite::FILE},
};

/// What takes part, and what is known of the log from outside.
#[derive(Clone, Debug)]
pub struct Join {
    /// The data directory, with the log's keys.
    pub data: PathBuf,
    /// The database.
    pub place: Place,
    /// A document with the newest checkpoint known outside: its name and text.
    pub newest: Option<(String, String)>,
    /// The operator says that nothing newer was ever signed.
    pub nothing_newer: bool,
}

/// A directory that may serve the database.
#[derive(Clone, Debug, Serialize)]
pub struct Joined {
    /// Where.
    pub data: PathBuf,
    /// The database, without a password.
    pub database: String,
    /// Entries.
    pub size: u64,
    /// Root of the tree over them, base64.
    pub root: String,
    /// Entries under the checkpoint that is in `head.guard` now.
    pub guard: u64,
    /// What vouches for its being the newest state: `guard`, `newest` or `operator`.
    pub vouched_by: &'static str,
    /// The published checkpoints that the database was held against, and has as its beginning.
    pub held_against: Vec<HeldAgainst>,
}

/// Writes the head guard of a data directory, if the database has all that is known to have been published.
///
/// # Errors
/// `data.missing`, `data.locked`, `data.not_empty`, `data.moved`, `key.unusable`, `log.behind_guard`, `log.ended`, `backup.fork`,
/// `backup.newest_unknown`, `store.*`.
pub async fn join(request: &Join) -> Result<Joined, Fault> {
    let Join { data, place, .. } = request;
    let missing = |why: String| Fault::new(Code::DataMissing, why);
    if !data.join("keys").is_dir() {
        return Err(missing(format!(
            "{0} has no keys; put the log's keys into {0}/keys first",
            data.display()
        )));
    }
    let _lock = app::lock(data)?;
    if data.join(FILE).exists() {
        let why = format!("{} has a log of its own, in {FILE}", data.display());
        return Err(Fault::new(Code::DataNotEmpty, why));
    }
    let log_key = log_key(request).await?;
    let mut copy = edge::inspect_at(place, &log_key).await?;
    let joined = held(request, &log_key, &mut copy).await;
    let published = copy.published.take();
    let head = copy.head.clone();
    copy.close().await;
    let (vouched_by, held_against, promised) = joined?;
    let note = published.ok_or_else(|| {
        missing(format!(
            "{place} has published nothing yet: no guard is needed"
        ))
    })?;
    let published = newest::checkpoint_in(&note, &log_key)?.size;
    if promised < Some(published) {
        let guard = data.join("head.guard");
        DiskFile::new(&guard)
            .write(&note)
            .map_err(|e| files::failed(&guard, &e))?;
    }
    Ok(Joined {
        data: data.clone(),
        database: place.to_string(),
        size: head.size,
        root: b64::std_encode(head.root),
        guard: promised.max(Some(published)).unwrap_or_default(),
        vouched_by,
        held_against,
    })
}

/// The key that the database names, if it is that of the directory. A process that never writes has none.
async fn log_key(request: &Join) -> Result<VerifierKey, Fault> {
    let Join { data, place, .. } = request;
    let mut snapshot = place.snapshot().await?;
    let (vkey, mark) = (
        snapshot.meta(LOG_VKEY).await,
        snapshot.meta(tenure::COPY).await,
    );
    snapshot.close().await;
    tenure::check_copy(mark?.as_deref())?;
    let vkey = vkey?.ok_or_else(|| {
        Fault::new(
            Code::DataMissing,
            format!("{place} has no log; `serve` begins one"),
        )
    })?;
    let named = VerifierKey::parse(&vkey)?;
    let file = data.join("keys").join("log.json");
    if file.exists() && KeyFile::read(&file)?.public().as_bytes() != named.public() {
        let detail = format!("keys/log.json is another key; this log's is {vkey}");
        return Err(Fault::new(Code::KeyUnusable, detail));
    }
    Ok(named)
}

/// Compares the database with all that is known to have been published: what vouches for there being nothing newer, what it was
/// compared with, and what the directory's own guard promises.
async fn held(
    request: &Join,
    log_key: &VerifierKey,
    copy: &mut Copy,
) -> Result<(&'static str, Vec<HeldAgainst>, Option<u64>), Fault> {
    if request.data.join(end::FILE).exists() && !copy.ended {
        let detail = format!(
            "{} says that this log has ended, and the database is from before that",
            end::FILE
        );
        return Err(Fault::new(Code::LogEnded, detail));
    }
    let (mut against, mut promised) = (Vec::new(), None);
    if let Some(guard) = HeadGuard::new(&request.data.join("head.guard")).signed()? {
        let checkpoint = guard
            .verify_log(log_key)
            .map_err(|error| Fault::new(Code::GuardOtherLog, error.to_string()))?;
        against.push(reaches(copy, checkpoint, "head.guard", Code::LogBehindGuard).await?);
        promised = Some(checkpoint.size);
    }
    let vouched_by = if let Some((name, text)) = &request.newest {
        let checkpoint = newest::checkpoint_in(text, log_key)?;
        against.push(reaches(copy, &checkpoint, name, Code::BackupFork).await?);
        "newest"
    } else if request.nothing_newer {
        "operator"
    } else if promised.is_some() {
        "guard"
    } else {
        return Err(Fault::new(
            Code::BackupUnproven,
            "nothing here says what the log published last; a process of this log has it in its head.guard",
        ));
    };
    Ok((vouched_by, against, promised))
}
