//! The only place where the parts are wired together: a data directory, its keys, its store and its writer.

mod begin;
mod directory;
mod identity;
mod open;
mod reader;

use std::{fs, path::Path, sync::Arc};

use begin::{check_end, check_guard, end_of};
pub(crate) use directory::{holder, lock};
use directory::{share, sync_folders, unwritable};
use identity::{Identity, check_issuer, check_origin, log_signer};
pub use open::Open;
pub use reader::Reader;

use crate::{
    clock::Clock,
    code::{Code, Fault},
    epoch::{self, Explained},
    keys::{
        SecretKey,
        service::{ServiceKeys, load_or_make},
    },
    log::{
        cluster::{self, Seal, past, past::Past},
        end,
        guard::{DiskFile, GuardFile, HeadGuard},
        sequencer::{self, Handle},
        sign::LogSigner,
        tenure::{self, Left, Tenure},
        tiles::Tiles,
        witness::Witnesses,
    },
    metrics::Metrics,
    store::{
        Place, Store,
        cluster::Cluster,
        postgres::{self, PostgresStore},
        sqlite::SqliteStore,
    },
    token::{self, access_book::AccessBook, nonce::Nonces},
};

/// The head guard's file.
const HEAD_GUARD: &str = "head.guard";

/// Everything that an open directory writes to while it signs.
#[derive(Clone)]
pub struct Parts {
    /// The database.
    pub store: Arc<dyn Store>,
    /// What processes that share the database have beside the log.
    pub cluster: Option<Arc<dyn Cluster>>,
    /// The head guard.
    pub guard: Arc<dyn GuardFile>,
    /// The mark that the directory is open.
    pub tenure: Arc<dyn GuardFile>,
    /// That the log has ended.
    pub ended: Arc<dyn GuardFile>,
}

impl Parts {
    async fn of(open: &Open, place: &Place) -> Result<Self, Fault> {
        let make: fn(&Path) -> DiskFile = match place {
            Place::File(_) => DiskFile::new,
            Place::Server(_) => DiskFile::shared,
        };
        let file = |name: &str| Arc::new(make(&open.data.join(name)));
        let (store, cluster): (Arc<dyn Store>, Option<Arc<dyn Cluster>>) = match place {
            Place::File(path) => (Arc::new(SqliteStore::open(path, open.create).await?), None),
            Place::Server(url) => {
                let options = postgres::Options {
                    readers: open.connections,
                    migrate: false,
                };
                let store = Arc::new(PostgresStore::connect(url, options).await?);
                (store.clone(), Some(store))
            }
        };
        Ok(Self {
            store,
            cluster,
            guard: file(HEAD_GUARD),
            tenure: file(tenure::FILE),
            ended: file(end::FILE),
        })
    }
}

/// What is refused before anything is touched.
fn check_directory(open: &Open, place: &Place) -> Result<(), Fault> {
    let other = |why: String| Err(Fault::new(Code::DataOtherCopy, why));
    let data = open.data.display();
    if !open.create && !place.exists() {
        return Err(Fault::new(Code::DataMissing, format!("{data} has no data")));
    }
    // Opening would change the very bytes that the manifest vouches for.
    if open.data.join(crate::backup::MANIFEST).exists() {
        return other(format!(
            "{data} is a backup; make a data directory of it with `restore`"
        ));
    }
    if matches!(place, Place::File(_)) && open.data.join(past::FILE).exists() {
        return other(format!(
            "the log of {data} is in a database on a server; name it with --database-url"
        ));
    }
    // Half a directory helps nobody.
    if let Some(issuer) = &open.issuer {
        check_issuer(issuer)?;
    }
    if let Some(origin) = &open.origin {
        check_origin(origin)?;
    }
    Ok(())
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
    /// The mark that the directory is open; on a server, turns take its place.
    tenure: Option<Tenure>,
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
        let place = Place::of(&open.data, open.database_url.as_deref())?;
        check_directory(&open, &place)?;
        let keys_dir = open.data.join("keys");
        fs::create_dir_all(&keys_dir).map_err(|e| unwritable(&keys_dir, &e))?;
        let lock = match place {
            Place::File(_) => lock(&open.data)?,
            Place::Server(_) => share(&open.data)?,
        };
        if !place.exists() {
            // Nothing that is synced later is worth more than the names of the folders that lead to it.
            sync_folders(&open.data).map_err(|e| unwritable(&open.data, &e))?;
        }
        let guard_file = open.data.join(HEAD_GUARD);
        let Parts {
            store,
            cluster,
            guard,
            tenure,
            ended: ended_file,
        } = through(Parts::of(&open, &place).await?);
        let is_shared = cluster.is_some();
        // All that speaks against a database, before anything is written to it.
        let copy = store.meta(tenure::COPY).await?;
        tenure::check_copy(copy.as_deref())?;
        let mut identity = Identity::of(store.as_ref(), &open).await?;
        let is_new = store.head().await?.is_none() && !guard_file.exists();
        let signer = log_signer(store.as_ref(), &keys_dir, &mut identity, is_new, &open).await?;
        let keys = ServiceKeys::load(&keys_dir)?;
        // Nothing in the log depends on it: who loses it grants access anew. Processes on one database have the same.
        let access_key = load_or_make(&keys_dir, "access", is_new || !is_shared)?;
        let metrics = Arc::new(Metrics::default());
        let guard = HeadGuard::over(guard, &guard_file.display().to_string());
        let guard = if is_shared { guard.ahead() } else { guard };
        let tenure = Tenure::over(tenure, &open.data);
        let name = store.meta(tenure::TENURE).await?;
        let mut past = Past::of(&open.data);
        let left = match &cluster {
            None => tenure.check(name.as_deref(), copy.as_deref())?,
            Some(cluster) => {
                past.check(cluster.as_ref()).await?;
                Left::Shared
            }
        };
        check_guard(&guard, &signer, &left, store.as_ref()).await?;
        check_end(ended_file.as_ref(), end_of(store.as_ref()).await?.as_ref())?;
        identity.keep(store.as_ref()).await?;
        let parts = sequencer::Parts {
            store: store.clone(),
            signer: signer.clone(),
            clock: open.clock.clone(),
            guard,
            witnesses: Witnesses::load(&open.data, &signer.verifier()?)?,
            metrics: metrics.clone(),
        };
        let log = match cluster {
            None => sequencer::start(parts, open.queue).await?,
            Some(cluster) => {
                let seal = Seal::shared(&access_key);
                cluster::start(parts, cluster, past, seal, open.role, open.queue).await?
            }
        };
        let tenure = (!is_shared).then_some(tenure);
        // Nothing has been signed yet: the writer waits for its first job.
        if let Some(tenure) = &tenure
            && let Err(fault) = tenure.begin(name.as_deref(), store.as_ref()).await
        {
            log.stop().await;
            return Err(fault);
        }
        let nonces = if is_shared {
            Nonces::shared(&access_key)
        } else {
            Nonces::new()?
        };
        let app = Self {
            store,
            tiles: log.tiles(),
            log,
            ended_file,
            metrics,
            signer,
            issuer: identity.issuer,
            keys,
            access_key,
            access: AccessBook::new(&open.data),
            nonces,
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
        if is_open || (is_shared && app.log.shared().ended().is_none()) {
            app.begin(open.begin_ms).await?;
        }
        if !open.repair {
            token::keys::check_secrets(&app)?;
        }
        let app = Arc::new(app);
        epoch::serve(&app);
        Ok(app)
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
            && let Some(tenure) = &self.tenure
            && let Err(fault) = tenure.end()
        {
            tracing::error!(code = fault.code(), error = %fault, "the directory stays marked as open");
        }
        if let Ok(mut lock) = self.lock.lock() {
            lock.take();
        }
    }
}
