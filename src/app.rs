//! The only place where the parts are wired together: a data directory, its keys, its store and its writer.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use goodstanding_score::policy::Policy;
use goodstanding_verify::{
    entry::{Body, KeyAction, KeyEntry, KeyUse},
    jwk::Jwk,
};

use crate::{
    clock::Clock,
    code::{Code, Fault},
    epoch::Explained,
    keys::{
        SecretKey,
        service::{ServiceKeys, load_or_make},
    },
    log::{
        end::{self, META},
        guard::{DiskFile, GuardFile, HeadGuard},
        sequencer::{self, Event, Handle},
        sign::{LOG_VKEY, LogSigner},
        tenure::{self, Left, Tenure},
        tiles::Tiles,
        witness::Witnesses,
    },
    metrics::Metrics,
    store::{
        Store,
        sqlite::{FILE, SqliteStore},
    },
    token::{self, access_book::AccessBook, nonce::Nonces},
};

/// The head guard's file.
const HEAD_GUARD: &str = "head.guard";

/// How to open a data directory.
#[derive(Clone, Debug)]
pub struct Open {
    /// The directory.
    pub data: PathBuf,
    /// Make it when it is not there.
    pub create: bool,
    /// Issuer URL of a new directory; must be the stored one of an old directory.
    pub issuer: Option<String>,
    /// Origin of a new directory; must be the stored one of an old directory.
    pub origin: Option<String>,
    /// Log time of a new log's first entries, Unix milliseconds; `None` = now. Imports of old trades begin the log when those began.
    pub begin_ms: Option<u64>,
    /// The clock.
    pub clock: Clock,
    /// Jobs that may wait for the writer.
    pub queue: usize,
    /// Life of a token, seconds.
    pub token_life_s: u64,
    /// Open it also when a key file is missing, to replace that key or to end the log.
    pub repair: bool,
}

impl Open {
    /// The usual way to open `data`.
    pub fn new(data: &Path) -> Self {
        let config = crate::config::Config::default();
        Self {
            data: data.to_owned(),
            create: false,
            issuer: None,
            origin: None,
            begin_ms: None,
            clock: Clock::System,
            queue: config.queue,
            token_life_s: config.token_life_s,
            repair: false,
        }
    }
}

/// Everything that an open directory writes to while it signs.
#[derive(Clone)]
pub struct Parts {
    /// The database.
    pub store: Arc<dyn Store>,
    /// The head guard.
    pub guard: Arc<dyn GuardFile>,
    /// The mark that the directory is open.
    pub tenure: Arc<dyn GuardFile>,
    /// That the log has ended.
    pub ended: Arc<dyn GuardFile>,
}

/// An open data directory.
#[derive(Debug)]
pub struct App {
    /// The database.
    pub store: Arc<dyn Store>,
    /// Its tiles, for proofs.
    pub tiles: Arc<Tiles>,
    /// The writer.
    pub log: Handle,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// The log's public side: origin and verifier key.
    pub signer: LogSigner,
    /// Issuer URL.
    pub issuer: String,
    /// Secret keys that the log announces.
    pub keys: ServiceKeys,
    /// Signs access tokens.
    pub access_key: SecretKey,
    /// Access tokens that were granted, and those that were revoked since.
    pub access: AccessBook,
    /// The clock.
    pub clock: Clock,
    /// Life of a token, seconds.
    pub token_life_s: u64,
    /// Nonces of proofs of possession.
    pub nonces: Nonces,
    /// The newest trust bundle.
    pub bundle: tokio::sync::Mutex<Option<crate::token::bundle::Made>>,
    /// The newest epoch's computation, kept for explanations.
    pub explained: tokio::sync::Mutex<Option<Arc<Explained>>>,
    /// Held while an epoch is computed, and while a report is erased.
    pub epoch_running: tokio::sync::Mutex<()>,
    /// That the log has ended, outside the database.
    ended_file: Arc<dyn GuardFile>,
    /// The mark that the directory is open.
    tenure: Tenure,
    /// Held while keys are changed.
    pub key_change: tokio::sync::Mutex<()>,
    /// Held until the directory is closed; the operating system lets go of it when the process ends, however it ends.
    lock: std::sync::Mutex<Option<fs::File>>,
}

impl std::fmt::Debug for dyn Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Store")
    }
}

impl App {
    /// Opens a data directory as its only user.
    ///
    /// # Errors
    /// When it is missing (and not to be made), in use, made with other settings, damaged, or behind what was published.
    pub async fn open(open: Open) -> Result<Arc<Self>, Fault> {
        Self::open_through(open, |parts| parts).await
    }

    /// [`Self::open`], with something put between the log and what it writes to: what makes that fail in tests.
    ///
    /// # Errors
    /// Those of [`Self::open`].
    pub async fn open_through(
        open: Open,
        through: impl FnOnce(Parts) -> Parts,
    ) -> Result<Arc<Self>, Fault> {
        crate::net::install();
        let database = open.data.join(FILE);
        if !open.create && !database.exists() {
            return Err(Fault::new(
                Code::DataMissing,
                format!("{} has no data", open.data.display()),
            ));
        }
        // Before anything is touched: opening would change the very bytes that the manifest vouches for.
        if open.data.join(crate::backup::MANIFEST).exists() {
            return Err(Fault::new(
                Code::DataOtherCopy,
                format!(
                    "{} is a backup; make a data directory of it with `restore`",
                    open.data.display()
                ),
            ));
        }
        // Before anything is made: half a directory helps nobody.
        if let Some(issuer) = &open.issuer {
            check_issuer(issuer)?;
        }
        if let Some(origin) = &open.origin {
            check_origin(origin)?;
        }
        let keys_dir = open.data.join("keys");
        fs::create_dir_all(&keys_dir).map_err(|e| unwritable(&keys_dir, &e))?;
        let lock = lock(&open.data)?;
        if !database.exists() {
            // Nothing that is synced later is worth more than the names of the folders that lead to it.
            sync_folders(&open.data).map_err(|e| unwritable(&open.data, &e))?;
        }
        let guard_file = open.data.join(HEAD_GUARD);
        let file = |name: &str| Arc::new(DiskFile::new(&open.data.join(name)));
        let Parts {
            store,
            guard,
            tenure,
            ended: ended_file,
        } = through(Parts {
            store: Arc::new(SqliteStore::open(&database, open.create).await?),
            guard: file(HEAD_GUARD),
            tenure: file(tenure::FILE),
            ended: file(end::FILE),
        });
        let (issuer, origin) = identity(store.as_ref(), &open).await?;
        let is_new = store.head().await?.is_none() && !guard_file.exists();
        let signer = log_signer(store.as_ref(), &keys_dir, &origin, is_new, &open).await?;
        let keys = ServiceKeys::load(&keys_dir)?;
        // Nothing in the log depends on it: who loses it grants access anew.
        let access_key = load_or_make(&keys_dir, "access", true)?;
        let metrics = Arc::new(Metrics::default());
        let guard = HeadGuard::over(guard, &guard_file.display().to_string());
        let tenure = Tenure::over(tenure, &open.data);
        let name = store.meta(tenure::TENURE).await?;
        let left = tenure.check(name.as_deref(), store.meta(tenure::COPY).await?.as_deref())?;
        check_guard(&guard, &signer, left, store.as_ref()).await?;
        let parts = sequencer::Parts {
            store: store.clone(),
            signer: signer.clone(),
            clock: open.clock.clone(),
            guard,
            witnesses: Witnesses::load(&open.data, &signer.verifier()?)?,
            metrics: metrics.clone(),
        };
        let log = sequencer::start(parts, open.queue).await?;
        // Before the mark: a database that is refused must not make the right one, put back later, look like a stranger.
        if let Err(fault) = check_end(ended_file.as_ref(), log.shared().ended().as_deref()) {
            log.stop().await;
            return Err(fault);
        }
        // Nothing has been signed yet: the writer waits for its first job.
        if let Err(fault) = tenure.begin(name.as_deref(), store.as_ref()).await {
            log.stop().await;
            return Err(fault);
        }
        let app = Self {
            store,
            tiles: log.tiles(),
            log,
            ended_file,
            metrics,
            signer,
            issuer,
            keys,
            access_key,
            access: AccessBook::new(&open.data),
            nonces: Nonces::new()?,
            clock: open.clock,
            token_life_s: open.token_life_s,
            bundle: tokio::sync::Mutex::default(),
            explained: tokio::sync::Mutex::default(),
            epoch_running: tokio::sync::Mutex::default(),
            key_change: tokio::sync::Mutex::default(),
            tenure,
            lock: std::sync::Mutex::new(Some(lock)),
        };
        let is_open = app.signer.can_sign() && app.log.shared().ended().is_none();
        if is_open && app.begin_log(open.begin_ms).await? {
            match app.log.publish().await {
                // Reports are taken all the same; the writer asks the witnesses again and again.
                Err(fault) if fault.is(Code::WitnessQuorumMissed) => {}
                done => done?,
            }
        }
        if !open.repair {
            token::keys::check_secrets(&app)?;
        }
        Ok(Arc::new(app))
    }

    /// Writes what a log begins with and does not have yet: its keys and a first policy. A crash in between is mended by
    /// the next start. Returns whether anything was written.
    async fn begin_log(&self, begin_ms: Option<u64>) -> Result<bool, Fault> {
        let now_ms = self.clock.now_ms();
        // Log time never goes back: a beginning in the future would close the log until then.
        let at_ms = begin_ms.map_or(now_ms, |begin| begin.min(now_ms));
        let logged = self.log.shared().keys();
        let mut first = Vec::new();
        for usage in KeyUse::ALL.iter().copied() {
            if !logged.iter().any(|(_, event)| event.usage == usage) {
                first.push(KeyEntry {
                    usage,
                    action: KeyAction::Add,
                    jwk: Jwk::from(self.keys.first(usage)?.did()),
                    from: at_ms / 1000,
                });
            }
        }
        let begun = first.is_empty();
        if !begun {
            self.log.log_keys(first, Some(at_ms)).await?;
        }
        let has_policy = self.log.shared().policy().is_some();
        if !has_policy {
            let policy = Policy::preset("agent-market")?.to_value();
            let body = Body::Policy { version: 1, policy };
            self.log
                .log(Event {
                    body,
                    at_ms: Some(at_ms),
                    epoch: None,
                })
                .await?;
        }
        Ok(!(begun && has_policy))
    }

    /// Writes what is queued, publishes, closes the database and lets go of the directory. A connection that still
    /// lingers may hold the `App`, but can do nothing with it any more.
    pub async fn close(&self) {
        self.log.stop().await;
        // Again at the next start, should this fail.
        if let Err(fault) = check_end(
            self.ended_file.as_ref(),
            self.log.shared().ended().as_deref(),
        ) {
            tracing::error!(code = fault.code(), error = %fault, "the end of the log is known to the database only");
        }
        self.store.close().await;
        let shared = self.log.shared();
        let head = shared.head.borrow().as_ref().map(|head| head.size);
        let published = shared.published.borrow().as_ref().map(|p| p.size);
        // Where the last publishing failed, the guard does not know all that was signed: the mark stays, as after a crash.
        if head == published
            && let Err(fault) = self.tenure.end()
        {
            tracing::error!(code = fault.code(), error = %fault, "the directory stays marked as open");
        }
        if let Ok(mut lock) = self.lock.lock() {
            lock.take();
        }
    }
}

/// What can be said of the guard before the tree is looked at.
///
/// A guard that is missing is made anew only where a crash between publishing and its very first write explains that;
/// otherwise somebody took it away, and with it what was published.
async fn check_guard(
    guard: &HeadGuard,
    signer: &LogSigner,
    left: Left,
    store: &dyn Store,
) -> Result<(), Fault> {
    match guard.signed()? {
        Some(signed) => {
            signed
                .verify_log(&signer.verifier()?)
                .map_err(|error| Fault::new(Code::GuardOtherLog, error.to_string()))?;
            Ok(())
        }
        None if matches!(left, Left::Open(_)) => Ok(()),
        None => match store.published().await? {
            None => Ok(()),
            Some(published) => Err(Fault::new(
                Code::GuardMissing,
                format!(
                    "the database has a published checkpoint of {} entries, and there is no head.guard",
                    published.size
                ),
            )),
        },
    }
}

/// The end of a log is kept outside the database too: an older copy of that must not bring the log back.
fn check_end(file: &dyn GuardFile, ended: Option<&end::Ended>) -> Result<(), Fault> {
    let failed =
        |e: std::io::Error| Fault::new(Code::StoreUnavailable, format!("{}: {e}", end::FILE));
    match (file.read().map_err(failed)?, ended) {
        (None, Some(ended)) => file.write(&ended.notice).map_err(failed),
        (Some(_), None) => Err(Fault::new(
            Code::LogEnded,
            format!(
                "{} says that this log has ended, and this database is from before that",
                end::FILE
            ),
        )),
        (None, None) | (Some(_), Some(_)) => Ok(()),
    }
}

/// Takes the directory for this process, or says that another has it.
pub(crate) fn lock(data: &Path) -> Result<fs::File, Fault> {
    let path = data.join("lock");
    let file = fs::OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(|e| unwritable(&path, &e))?;
    match file.try_lock() {
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

/// Issuer and origin as stored; written once, when the directory is new.
async fn identity(store: &dyn Store, open: &Open) -> Result<(String, String), Fault> {
    let default_issuer = || format!("http://{}", crate::config::Config::default().listen);
    let issuer = settle(store, "issuer", open.issuer.as_deref(), default_issuer).await?;
    let host = issuer
        .split_once("://")
        .map_or(issuer.as_str(), |(_, host)| host)
        .trim_end_matches('/')
        .to_owned();
    let origin = settle(store, "origin", open.origin.as_deref(), || host).await?;
    Ok((issuer, origin))
}

fn check_issuer(issuer: &str) -> Result<(), Fault> {
    let rest = issuer
        .strip_prefix("https://")
        .or_else(|| issuer.strip_prefix("http://"));
    let plain =
        |c: char| c.is_ascii_graphic() && !matches!(c, '?' | '#' | '+' | '"' | '\\' | '<' | '>');
    match rest {
        Some(rest) if !rest.is_empty() && !rest.ends_with('/') && rest.chars().all(plain) => Ok(()),
        _ => Err(Fault::new(
            Code::DataMismatch,
            "an issuer is an http(s) URL without query, fragment and trailing slash",
        )),
    }
}

fn check_origin(origin: &str) -> Result<(), Fault> {
    LogSigner::new(origin, SecretKey::from_seed(&[1; 32])).verifier()?;
    Ok(())
}

async fn settle(
    store: &dyn Store,
    key: &str,
    given: Option<&str>,
    default: impl FnOnce() -> String,
) -> Result<String, Fault> {
    match (store.meta(key).await?, given) {
        (Some(stored), Some(given)) if stored != given => Err(Fault::new(
            Code::DataMismatch,
            format!("{key} is {stored}, not {given}"),
        )),
        (Some(stored), _) => Ok(stored),
        (None, given) => {
            let value = given.map_or_else(default, str::to_owned);
            store.set_meta(key, &value).await?;
            Ok(value)
        }
    }
}

/// The log's signer: with its key, or, to end a log whose key is lost, with what the directory remembers of it.
async fn log_signer(
    store: &dyn Store,
    keys_dir: &Path,
    origin: &str,
    is_new: bool,
    open: &Open,
) -> Result<LogSigner, Fault> {
    let remembered = store.meta(LOG_VKEY).await?;
    let has_ended = store.meta(META).await?.is_some();
    let key = match load_or_make(keys_dir, "log", is_new) {
        Ok(key) => key,
        Err(fault) => match remembered.filter(|_| open.repair || has_ended) {
            Some(vkey) if !keys_dir.join("log.json").exists() => {
                return Ok(LogSigner::without_key(&vkey)?);
            }
            _ => return Err(fault),
        },
    };
    let signer = LogSigner::new(origin, key);
    signer.verifier()?;
    match remembered {
        None => store.set_meta(LOG_VKEY, &signer.vkey()).await?,
        Some(vkey) if vkey == signer.vkey() => {}
        Some(vkey) => {
            let detail = format!("keys/log.json is another key; this log's is {vkey}");
            return Err(Fault::new(Code::KeyUnusable, detail));
        }
    }
    Ok(signer)
}

/// A data directory opened for reading only, also while a service works on it.
#[derive(Debug)]
pub struct Reader {
    /// The database; what it would write fails.
    pub store: Arc<dyn Store>,
    data: PathBuf,
}

impl Reader {
    /// Opens a data directory without taking it.
    ///
    /// # Errors
    /// When there is none, or it cannot be read.
    pub async fn open(data: &Path) -> Result<Self, Fault> {
        let database = data.join(FILE);
        if !database.exists() {
            return Err(Fault::new(
                Code::DataMissing,
                format!("{} has no data", data.display()),
            ));
        }
        let store = Arc::new(SqliteStore::open_reader(&database).await?);
        Ok(Self {
            store,
            data: data.to_owned(),
        })
    }

    /// The issuer and the key that signs access tokens.
    ///
    /// # Errors
    /// When either cannot be read.
    pub async fn access(&self) -> Result<(String, SecretKey), Fault> {
        let issuer = self.store.meta("issuer").await?;
        let issuer = issuer.ok_or_else(|| {
            Fault::new(Code::StoreCorrupt, "the database does not know its issuer")
        })?;
        Ok((
            issuer,
            load_or_make(&self.data.join("keys"), "access", false)?,
        ))
    }
}

fn unwritable(path: &Path, error: &std::io::Error) -> Fault {
    Fault::new(Code::DataUnwritable, format!("{}: {error}", path.display()))
}

/// Syncs a new data directory and the folder that it was made in.
fn sync_folders(data: &Path) -> std::io::Result<()> {
    let data = data.canonicalize()?;
    for folder in data.ancestors().take(2) {
        fs::File::open(folder)?.sync_all()?;
    }
    Ok(())
}
