//! `fsck`: the database re-derived from the log's entries and the reports' bodies, and every difference named.
//!
//! The log is the truth and the database its working copy, so everything in it but the aliases has one right value:
//! `walk` streams entries, tiles, checkpoints and reports once, in log order and with flat memory;
//! `epochs` rebuilds every score tree; `files` looks at the head guard and the keys, `ended` at the end of the log. It all happens on one read-only
//! snapshot, so a service may go on writing beside it. What is trusted is the log's own key; signatures of reports and the
//! scores themselves are an audit's business.
//!
//! A body that an `erasure` entry names may be missing; everything that only the body could tell is then left out.

mod ended;
mod epochs;
mod erased;
pub mod files;
mod reports;
mod tiles;
mod walk;

use std::{collections::BTreeMap, fmt, io, path::Path};

use goodstanding_verify::{b64, checkpoint::SignedCheckpoint, note::VerifierKey};
use serde::Serialize;

use crate::{
    code::{Code, Fault},
    keys::KeyFile,
    log::{
        end,
        guard::{DiskFile, GuardFile as _, HeadGuard},
        moved::Mark,
        sign::{LOG_VKEY, LogSigner},
        tenure,
    },
    store::{
        self, Place,
        snapshot::{Dangling, Snapshot},
        sqlite::FILE,
    },
};

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Its stable code, `fsck.*`.
    pub code: &'static str,
    /// Where: `entry 17`, `tile 0/000 of the log`, `keys/token.json`.
    pub place: String,
    /// What is wrong there.
    pub detail: String,
}

/// Problems found so far: the first ones whole, the rest counted.
#[derive(Clone, Debug)]
pub struct Findings {
    limit: usize,
    problems: Vec<Problem>,
    counts: BTreeMap<&'static str, u64>,
}

impl Findings {
    fn new(limit: usize) -> Self {
        Self {
            limit,
            problems: Vec::new(),
            counts: BTreeMap::new(),
        }
    }

    pub(crate) fn add(&mut self, code: Code, place: impl fmt::Display, detail: impl Into<String>) {
        *self.counts.entry(code.as_str()).or_default() += 1;
        if self.problems.len() < self.limit {
            self.problems.push(Problem {
                code: code.as_str(),
                place: place.to_string(),
                detail: detail.into(),
            });
        }
    }

    fn any(&self) -> bool {
        !self.counts.is_empty()
    }
}

/// How to look.
#[derive(Clone, Debug)]
pub struct Options {
    /// Problems to describe; further ones are only counted.
    pub limit: usize,
    /// Now, Unix seconds: which keys are in use.
    pub now_s: u64,
    /// The log's key, where `keys/log.json` is not (a backup without keys).
    pub log_key: Option<VerifierKey>,
    /// Where the database is; `None` = a file in the directory.
    pub place: Option<Place>,
}

impl Options {
    /// The usual way, at `now_s` (Unix seconds).
    pub fn new(now_s: u64) -> Self {
        Self {
            limit: 100,
            now_s,
            log_key: None,
            place: None,
        }
    }
}

/// What was looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "the names are the things counted")]
pub struct Counted {
    pub entries: u64,
    pub reports: u64,
    pub erased: u64,
    pub checkpoints: u64,
    pub tiles: u64,
    pub epochs: u64,
    pub statements: u64,
    pub tokens: u64,
}

/// What came of it.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// Whether nothing is wrong.
    pub ok: bool,
    /// Whether everything could be looked at.
    pub complete: bool,
    /// Entries of the log.
    pub size: u64,
    /// Root of the tree over them, base64, computed from the entries.
    pub root: String,
    /// What was looked at.
    pub checked: Counted,
    /// What is wrong, in the order in which it was found.
    pub problems: Vec<Problem>,
    /// How many problems there are of each code, those not described included.
    pub counts: BTreeMap<&'static str, u64>,
}

/// Looks at a data directory with its database, or a backup of one.
///
/// # Errors
/// When it could not look: no data there, or it cannot be read.
pub async fn run(data: &Path, options: &Options) -> Result<Outcome, Fault> {
    let in_data = || Place::File(data.join(FILE));
    let place = options.place.clone().unwrap_or_else(in_data);
    if !place.exists() {
        return Err(Fault::new(
            Code::DataMissing,
            format!("{} has no data", data.display()),
        ));
    }
    let mut findings = Findings::new(options.limit);
    let mut seen = Seen::default();
    // The guard before the database: a service that publishes meanwhile only makes the database newer than the guard.
    let beside = Beside {
        guard: HeadGuard::new(&data.join("head.guard")).signed(),
        ended: DiskFile::new(&data.join(end::FILE)).read(),
    };
    let mut complete = true;
    let name = match &place {
        Place::File(_) => FILE.to_owned(),
        Place::Server(_) => place.to_string(),
    };
    match place.snapshot().await {
        Err(error) => {
            damaged(error, &name, &mut findings)?;
            complete = false;
        }
        Ok(mut snapshot) => {
            let looked = look(
                snapshot.as_mut(),
                data,
                options,
                beside,
                &mut findings,
                &mut seen,
            )
            .await;
            snapshot.close().await;
            if let Err(error) = looked {
                damaged(error, &name, &mut findings)?;
                complete = false;
            }
        }
    }
    Ok(Outcome {
        ok: !findings.any(),
        complete,
        size: seen.counted.entries,
        root: b64::std_encode(seen.root),
        checked: seen.counted,
        problems: findings.problems,
        counts: findings.counts,
    })
}

/// Files that were read before the database.
struct Beside {
    guard: Result<Option<SignedCheckpoint>, Fault>,
    ended: io::Result<Option<String>>,
}

/// What looking found out beside problems.
#[derive(Debug, Default)]
struct Seen {
    counted: Counted,
    root: [u8; 32],
}

/// A file that is damaged, or whose schema was found to be another one, is a finding; one that cannot be read is not.
fn damaged(error: store::Error, name: &str, findings: &mut Findings) -> Result<(), Fault> {
    match error {
        store::Error::Corrupt(why) => {
            findings.add(
                Code::FsckDatabase,
                name,
                format!("{why}; the rest was not looked at"),
            );
            Ok(())
        }
        store::Error::Unavailable(why) | store::Error::Unsupported(why)
            if findings.counts.contains_key(Code::FsckSchema.as_str()) =>
        {
            findings.add(
                Code::FsckSchema,
                name,
                format!("{why}; the rest was not looked at"),
            );
            Ok(())
        }
        other => Err(other.into()),
    }
}

async fn look(
    snapshot: &mut dyn Snapshot,
    data: &Path,
    options: &Options,
    beside: Beside,
    findings: &mut Findings,
    seen: &mut Seen,
) -> Result<(), store::Error> {
    let most = u32::try_from(options.limit.max(1)).unwrap_or(u32::MAX);
    let name = snapshot.name().to_owned();
    for line in snapshot.integrity(most, false).await? {
        findings.add(Code::FsckDatabase, &name, line);
    }
    for difference in snapshot.schema_differences().await? {
        findings.add(Code::FsckSchema, &name, difference);
    }
    for Dangling {
        table,
        parent,
        rows,
    } in snapshot.dangling().await?
    {
        findings.add(
            Code::FsckDatabase,
            format_args!("table {table}"),
            format!("{rows} rows refer to rows of {parent} that do not exist"),
        );
    }
    let log_key = log_key(snapshot, data, options, findings).await?;
    let is_copy = is_backup(snapshot).await?;
    let guard = files::guard(beside.guard, log_key.as_ref(), is_copy, snapshot, findings).await?;
    let told = walk::walk(snapshot, log_key.as_ref(), guard.as_ref(), findings, seen).await?;
    let log = ended::Log {
        key: log_key.as_ref(),
        ring: &told.ring,
        size: seen.counted.entries,
        root: seen.root,
    };
    ended::check(beside.ended, snapshot, &log, findings).await?;
    tiles::strays(snapshot, &told, findings, &mut seen.counted).await?;
    epochs::check(snapshot, &told, findings, &mut seen.counted).await?;
    files::keys(data, &told.ring, options.now_s, is_copy, findings);
    Ok(())
}

/// Whether the guard and keys may be missing.
async fn is_backup(snapshot: &mut dyn Snapshot) -> Result<bool, store::Error> {
    let mark = snapshot.meta(tenure::COPY).await?;
    Ok(mark.is_some_and(|mark| Mark::of(&mark) == Mark::Backup))
}

/// The log's key under its origin; what is wrong with either is a finding.
async fn log_key(
    snapshot: &mut dyn Snapshot,
    data: &Path,
    options: &Options,
    findings: &mut Findings,
) -> Result<Option<VerifierKey>, store::Error> {
    let mut settings = Vec::new();
    for name in ["issuer", "origin"] {
        let value = snapshot.meta(name).await?;
        if value.is_none() {
            findings.add(
                Code::FsckSettings,
                format_args!("setting {name}"),
                "is missing",
            );
        }
        settings.push(value);
    }
    let mut origin = settings.pop().flatten();
    let signed = snapshot
        .head()
        .await?
        .and_then(|head| SignedCheckpoint::parse(&head.note).ok());
    if let (Some(stored), Some(signed)) = (&origin, &signed)
        && *stored != signed.checkpoint().origin
    {
        let detail = format!(
            "is {stored}, the signed head is of {}",
            signed.checkpoint().origin
        );
        findings.add(Code::FsckSettings, "setting origin", detail);
        origin = Some(signed.checkpoint().origin.clone());
    }
    if let Some(key) = &options.log_key {
        if origin.as_deref().is_some_and(|origin| origin != key.name()) {
            findings.add(
                Code::FsckSettings,
                "setting origin",
                format!("is not the log key's name, {}", key.name()),
            );
        }
        return Ok(Some(key.clone()));
    }
    let place = "keys/log.json";
    // A log that ended because its key was lost, or a backup without keys: the database remembers which one it was.
    if !data.join(place).exists()
        && let Some(remembered) = snapshot.meta(LOG_VKEY).await?
    {
        let may_lack = is_backup(snapshot).await? || snapshot.meta(end::META).await?.is_some();
        if !may_lack {
            let detail = "is missing: the log cannot go on without it";
            findings.add(Code::FsckKeyFile, place, detail);
        }
        return Ok(match VerifierKey::parse(&remembered) {
            Ok(key) if origin.as_deref().is_none_or(|name| name == key.name()) => Some(key),
            Ok(key) => {
                let detail = format!("is the key of {}", key.name());
                findings.add(Code::FsckSettings, "setting log_vkey", detail);
                None
            }
            Err(error) => {
                findings.add(Code::FsckSettings, "setting log_vkey", error.to_string());
                None
            }
        });
    }
    let key = match KeyFile::read(&data.join(place)) {
        Ok(key) => key,
        Err(error) => {
            findings.add(
                Code::FsckKeyFile,
                place,
                format!("{error}; signatures of checkpoints were not checked"),
            );
            return Ok(None);
        }
    };
    let Some(origin) = origin else {
        return Ok(None);
    };
    match LogSigner::new(&origin, key).verifier() {
        Ok(key) => Ok(Some(key)),
        Err(error) => {
            findings.add(Code::FsckSettings, "setting origin", error.to_string());
            Ok(None)
        }
    }
}
