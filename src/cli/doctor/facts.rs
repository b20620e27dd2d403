//! What the checks look at, read once.

use std::path::{Path, PathBuf};

use goodstanding_score::policy::Policy;
use goodstanding_verify::{
    entry::{Body, Entry},
    keyring::KeyRing,
    note::VerifierKey,
};

use crate::{
    code::{Code, Fault},
    keys::KeyFile,
    log::{sign::LogSigner, tenure},
    store::{
        self, Place,
        snapshot::{CheckpointRow, Engine, HeadRow, Snapshot},
    },
};

/// Entries fetched at a time.
const PAGE: u32 = 1000;

/// What was read from the directory, once.
pub(super) struct Facts {
    pub(super) data: PathBuf,
    /// Its database.
    pub(super) place: Place,
    pub(super) now_ms: u64,
    pub(super) db: Result<Db, Fault>,
    pub(super) log_key: Option<VerifierKey>,
}

/// What was read from the database.
pub(super) struct Db {
    pub(super) origin: Option<String>,
    pub(super) engine: Engine,
    pub(super) damage: Vec<String>,
    pub(super) head: Option<HeadRow>,
    pub(super) published: Option<CheckpointRow>,
    /// Name of its newest tenure.
    pub(super) name: Option<String>,
    /// That `backup` made it.
    pub(super) copy: Option<String>,
    pub(super) ring: Result<KeyRing, String>,
    pub(super) policy: Option<Result<Policy, String>>,
    /// Log time (ms) and size of the newest epoch's entry.
    pub(super) epoch: Option<(u64, u64)>,
    /// Agents that flow reached in it.
    pub(super) reached: u64,
}

impl Facts {
    pub(super) async fn gather(data: &Path, place: &Place, now_ms: u64) -> Self {
        let db = Db::read(data, place).await;
        let origin = db.as_ref().ok().and_then(|db| db.origin.clone());
        let key = KeyFile::read(&data.join("keys").join("log.json")).ok();
        let log_key = origin
            .zip(key)
            .and_then(|(origin, key)| LogSigner::new(&origin, key).verifier().ok());
        Self {
            data: data.to_owned(),
            place: place.clone(),
            now_ms,
            db,
            log_key,
        }
    }

    /// Whether the database is on a server.
    pub(super) fn on_server(&self) -> bool {
        matches!(self.place, Place::Server(_))
    }

    pub(super) fn now_s(&self) -> u64 {
        self.now_ms / 1000
    }

    pub(super) fn head(&self) -> Option<&HeadRow> {
        self.db.as_ref().ok()?.head.as_ref()
    }

    /// Entries in the database.
    pub(super) fn size(&self) -> Option<u64> {
        self.head().map(|head| head.size)
    }
}

impl Db {
    async fn read(data: &Path, place: &Place) -> Result<Self, Fault> {
        if !place.exists() {
            let why = format!("{} has no data", data.display());
            return Err(Fault::new(Code::DataMissing, why));
        }
        let mut snapshot = place.snapshot().await?;
        let policy = snapshot.newest_event("policy").await?;
        let epoch = snapshot.newest_event("epoch").await?;
        let db = Self {
            origin: snapshot.meta("origin").await?,
            engine: snapshot.engine().await?,
            damage: snapshot.integrity(3, true).await?,
            head: snapshot.head().await?,
            published: snapshot.published().await?,
            name: snapshot.meta(tenure::TENURE).await?,
            copy: snapshot.meta(tenure::COPY).await?,
            ring: ring(snapshot.as_mut()).await?,
            policy: policy.map(|(_, bytes)| policy_of(&bytes)),
            epoch: epoch.and_then(|(index, bytes)| Some((Entry::parse(&bytes).ok()?.at, index))),
            reached: snapshot.reached().await?,
        };
        snapshot.close().await;
        Ok(db)
    }
}

/// The keys that the log announces, or why its events are not that.
async fn ring(snapshot: &mut dyn Snapshot) -> Result<Result<KeyRing, String>, store::Error> {
    let mut ring = KeyRing::default();
    let mut from = 0;
    loop {
        let page = snapshot.events("key", from, PAGE).await?;
        let Some((last, _)) = page.last() else {
            return Ok(Ok(ring));
        };
        from = last.saturating_add(1);
        for (index, bytes) in page {
            if let Err(why) = apply(&mut ring, &bytes) {
                return Ok(Err(format!("entry {index}: {why}")));
            }
        }
    }
}

fn apply(ring: &mut KeyRing, bytes: &[u8]) -> Result<(), goodstanding_verify::Error> {
    match Entry::parse(bytes)?.body {
        Body::Key(event) => ring.apply(&event),
        _ => Ok(()),
    }
}

fn policy_of(bytes: &[u8]) -> Result<Policy, String> {
    match Entry::parse(bytes).map_err(|e| e.to_string())?.body {
        Body::Policy { policy, .. } => Policy::parse(&policy).map_err(|e| e.to_string()),
        _ => Err("not a policy entry".to_owned()),
    }
}
