//! The only place where the parts are wired together: a data directory, its keys, its store and its writer.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use goodstanding_score::policy::Policy;
use goodstanding_verify::entry::{Body, Entry, KeyAction, KeyEntry, KeyUse};

use crate::{
    clock::Clock,
    code::{Code, Fault},
    epoch::Explained,
    keys::{KeyFile, SecretKey},
    log::{
        guard::{DiskFile, GuardFile, HeadGuard},
        sequencer::{self, Event, Handle},
        sign::LogSigner,
    },
    store::{Store, sqlite::SqliteStore},
    token::nonce::Nonces,
};

/// Names of the secret keys and their files under `keys/`.
const KEY_NAMES: [&str; 5] = ["log", "token", "status", "bundle", "access"];

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
        }
    }
}

/// The service's secret keys.
#[derive(Clone, Debug)]
pub struct Keys {
    /// Signs tokens.
    pub token: SecretKey,
    /// Signs status lists.
    pub status: SecretKey,
    /// Signs trust bundles.
    pub bundle: SecretKey,
    /// Signs access tokens.
    pub access: SecretKey,
}

impl Keys {
    /// The keys that the log announces, with what they are for.
    pub fn logged(&self) -> [(KeyUse, &SecretKey); 3] {
        [
            (KeyUse::Token, &self.token),
            (KeyUse::Status, &self.status),
            (KeyUse::Bundle, &self.bundle),
        ]
    }
}

/// An open data directory.
#[derive(Debug)]
pub struct App {
    /// The database.
    pub store: Arc<dyn Store>,
    /// The writer.
    pub log: Handle,
    /// The log's public side: origin and verifier key.
    pub signer: LogSigner,
    /// Issuer URL.
    pub issuer: String,
    /// Secret keys.
    pub keys: Keys,
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
    /// Held while an epoch is computed.
    pub epoch_running: tokio::sync::Mutex<()>,
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
        Self::open_through(open, |store, guard| (store, guard)).await
    }

    /// [`Self::open`], with something put between the log and its store and guard file: what makes them fail in tests.
    ///
    /// # Errors
    /// Those of [`Self::open`].
    pub async fn open_through(
        open: Open,
        through: impl FnOnce(Arc<dyn Store>, Arc<dyn GuardFile>) -> (Arc<dyn Store>, Arc<dyn GuardFile>),
    ) -> Result<Arc<Self>, Fault> {
        let database = open.data.join("goodstanding.sqlite");
        if !open.create && !database.exists() {
            return Err(Fault::new(
                Code::DataMissing,
                format!("{} has no data", open.data.display()),
            ));
        }
        let keys_dir = open.data.join("keys");
        fs::create_dir_all(&keys_dir).map_err(|e| unwritable(&keys_dir, &e))?;
        let lock = lock(&open.data)?;
        if !database.exists() {
            // Nothing that is synced later is worth more than the names of the folders that lead to it.
            sync_folders(&open.data).map_err(|e| unwritable(&open.data, &e))?;
        }
        let guard_file = open.data.join("head.guard");
        let (store, guard) = through(
            Arc::new(SqliteStore::open(&database, open.create).await?),
            Arc::new(DiskFile::new(&guard_file)),
        );
        let (issuer, origin) = identity(store.as_ref(), &open).await?;
        // A key that is lost has to be restored: a new one in its place would be another log, or another issuer.
        let is_new = store.head().await?.is_none() && !guard_file.exists();
        let mut keys = KEY_NAMES
            .iter()
            .map(|name| load_or_make(&keys_dir, name, is_new))
            .collect::<Result<Vec<_>, _>>()?
            .into_iter();
        let mut next = || {
            keys.next()
                .ok_or_else(|| Fault::new(Code::Internal, "a key name without a key"))
        };
        let signer = LogSigner::new(&origin, next()?);
        signer.verifier()?;
        let keys = Keys {
            token: next()?,
            status: next()?,
            bundle: next()?,
            access: next()?,
        };
        let log = sequencer::start(
            store.clone(),
            signer.clone(),
            open.clock.clone(),
            HeadGuard::over(guard, &guard_file.display().to_string()),
            open.queue,
        )
        .await?;
        let app = Self {
            store,
            log,
            signer,
            issuer,
            keys,
            nonces: Nonces::new()?,
            clock: open.clock,
            token_life_s: open.token_life_s,
            bundle: tokio::sync::Mutex::default(),
            explained: tokio::sync::Mutex::default(),
            epoch_running: tokio::sync::Mutex::default(),
            lock: std::sync::Mutex::new(Some(lock)),
        };
        if app.begin_log(open.begin_ms).await? {
            app.log.publish().await?;
        }
        Ok(Arc::new(app))
    }

    /// Writes what a log begins with and does not have yet: its keys and a first policy. A crash in between is mended by
    /// the next start. Returns whether anything was written.
    async fn begin_log(&self, begin_ms: Option<u64>) -> Result<bool, Fault> {
        let now_ms = self.clock.now_ms();
        // Log time never goes back: a beginning in the future would close the log until then.
        let at_ms = begin_ms.map_or(now_ms, |begin| begin.min(now_ms));
        let mut logged = Vec::new();
        for (_, bytes) in self.store.events("key", u64::MAX >> 1).await? {
            if let Body::Key(entry) = Entry::parse(&bytes)?.body {
                logged.push((entry.usage, entry.jwk.thumbprint()));
            }
        }
        for (usage, key) in self.keys.logged() {
            if !logged.contains(&(usage, key.thumbprint())) {
                let jwk = goodstanding_verify::jwk::Jwk::parse(&key.jwk())?;
                let body = Body::Key(KeyEntry {
                    usage,
                    action: KeyAction::Add,
                    jwk,
                    from: at_ms / 1000,
                });
                self.log
                    .log(Event {
                        body,
                        at_ms: Some(at_ms),
                        epoch: None,
                    })
                    .await?;
            }
        }
        let begun = logged.len() >= self.keys.logged().len();
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
        self.store.close().await;
        if let Ok(mut lock) = self.lock.lock() {
            lock.take();
        }
    }
}

/// Takes the directory for this process, or says that another has it.
fn lock(data: &Path) -> Result<fs::File, Fault> {
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
            format!(
                "{} is in use by another process (a running `goodstanding serve`?)",
                data.display()
            ),
        )),
        Err(fs::TryLockError::Error(error)) => Err(unwritable(&path, &error)),
    }
}

/// Issuer and origin as stored; written once, when the directory is new.
async fn identity(store: &dyn Store, open: &Open) -> Result<(String, String), Fault> {
    let default_issuer = || format!("http://{}", crate::config::Config::default().listen);
    // Checked before they are stored: a wrong one could not be corrected any more.
    if let Some(issuer) = &open.issuer {
        check_issuer(issuer)?;
    }
    if let Some(origin) = &open.origin {
        check_origin(origin)?;
    }
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

/// A key of the service: read, or made while there is no log yet.
fn load_or_make(dir: &Path, name: &str, make: bool) -> Result<SecretKey, Fault> {
    let path = dir.join(format!("{name}.json"));
    if path.exists() {
        return Ok(KeyFile::read(&path)?);
    }
    if !make {
        let detail = format!(
            "{} is missing, and this log was signed with it; restore it",
            path.display()
        );
        return Err(Fault::new(Code::KeyUnusable, detail));
    }
    let key = SecretKey::generate()?;
    KeyFile::create(&key, &path)?;
    Ok(key)
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
        let database = data.join("goodstanding.sqlite");
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
