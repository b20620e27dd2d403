//! A data directory, read beside whoever works on it.

use std::path::{Path, PathBuf};

use async_trait::async_trait;
use futures_util::{StreamExt as _, TryStreamExt as _, stream, stream::BoxStream};
use goodstanding_verify::{
    did::Did,
    note::VerifierKey,
    tile::{TilePath, bundle_bytes, tile_bytes},
};

use super::{Introduction, ServedBody, ServedPolicy, ServedStatement, Source};
use crate::{
    app::Reader,
    audit::finding::{Failure, Place},
    code::{Code, Fault},
    keys::KeyFile,
    log::{
        end,
        sign::{LOG_VKEY, LogSigner},
        witness::{WhenMissed, Witnesses},
    },
    store::{self, Store, Tree},
};

/// Statements of one page.
const PAGE: u32 = 1000;

/// A data directory as a source.
#[derive(Debug)]
pub struct DirSource {
    reader: Reader,
    data: PathBuf,
}

impl DirSource {
    /// Opens a data directory without taking it.
    ///
    /// # Errors
    /// When there is none, or it cannot be read.
    pub async fn open(data: &Path) -> Result<Self, Fault> {
        Self::on(data, &store::Place::of(data, None)?).await
    }

    /// Opens the database at `place` without taking it; `data` has keys and witness settings.
    ///
    /// # Errors
    /// When there is none, or it cannot be read.
    pub async fn on(data: &Path, place: &store::Place) -> Result<Self, Fault> {
        Ok(Self {
            reader: Reader::open(data, place).await?,
            data: data.to_owned(),
        })
    }

    /// Closes the database.
    pub async fn close(&self) {
        self.reader.store.close().await;
    }

    fn store(&self) -> &dyn Store {
        self.reader.store.as_ref()
    }
}

#[async_trait]
impl Source for DirSource {
    fn name(&self) -> String {
        self.data.display().to_string()
    }

    async fn checkpoint(&self) -> Result<String, Failure> {
        let published = self.store().published().await?;
        let none = || Fault::new(Code::NotPublished, "no checkpoint has been published yet");
        Ok(published.ok_or_else(none)?.note)
    }

    async fn tile(&self, path: TilePath) -> Result<Vec<u8>, Failure> {
        let missing = || {
            let detail = "the database does not have all of it".to_owned();
            Failure::at(Code::AuditMissing, Place::Tile(path), detail)
        };
        if let Some(id) = path.tile() {
            let hashes = self.store().tile(Tree::Log, id).await?;
            let hashes = hashes.as_deref().and_then(|h| h.get(..path.width));
            return hashes.map(tile_bytes).ok_or_else(missing);
        }
        let start = path.n.saturating_mul(256);
        let end = start.saturating_add(u64::try_from(path.width).unwrap_or(256));
        let entries = self.store().entries(start, end).await?;
        if entries.len() != path.width {
            return Err(missing());
        }
        bundle_bytes(entries.iter().map(Vec::as_slice))
            .map_err(|e| Failure::caused(Code::AuditTileInvalid, Place::Tile(path), e))
    }

    fn tells_erased(&self) -> bool {
        true
    }

    async fn bodies(&self, start: u64, end: u64) -> Result<Vec<ServedBody>, Failure> {
        let limit = u32::try_from(end.saturating_sub(start)).unwrap_or(u32::MAX);
        let stored = self.store().log_bodies(start, end, limit).await?;
        let served = stored.into_iter().map(|stored| ServedBody {
            index: stored.index,
            jws: stored.jws,
            erased_by: stored.erased_by,
        });
        Ok(served.collect())
    }

    fn statements(
        &self,
        epoch: u64,
        _index: u64,
    ) -> BoxStream<'_, Result<ServedStatement, Failure>> {
        let pages = stream::try_unfold(0, move |from| async move {
            let page = self.store().statements(epoch, from, PAGE).await?;
            let next = page.last().map(|last| last.leaf.saturating_add(1));
            Ok::<_, Failure>(next.map(|next| (page, next)))
        });
        pages
            .map_ok(|page| {
                stream::iter(page.into_iter().map(|stored| {
                    Ok(ServedStatement {
                        agent: stored.agent,
                        claims: stored.claims,
                    })
                }))
            })
            .try_flatten()
            .boxed()
    }

    async fn salt_key(&self, epoch: u64) -> Result<Option<[u8; 32]>, Failure> {
        let stored = self.store().epoch(Some(epoch)).await?;
        Ok(stored.map(|stored| stored.salt_key))
    }

    async fn trust_bundle(&self) -> Result<Option<String>, Failure> {
        // A service signs it when it is asked for; a directory has none.
        Ok(None)
    }

    async fn witnesses(&self, log: &VerifierKey) -> Result<Option<ServedPolicy>, Failure> {
        let witnesses = Witnesses::load(&self.data, log)?;
        Ok(Some(ServedPolicy {
            policy: witnesses.policy,
            fails_open: witnesses.when_missed == WhenMissed::Publish,
        }))
    }

    async fn checkpoints(&self, from: u64) -> Result<Vec<String>, Failure> {
        let rows = self.store().checkpoints(from, PAGE).await?;
        Ok(rows.into_iter().map(|row| row.note).collect())
    }

    async fn successor(&self) -> Result<Option<String>, Failure> {
        match self.store().meta(end::META).await? {
            None => Ok(None),
            Some(text) => Ok(Some(end::Ended::parse(&text)?.notice)),
        }
    }

    async fn issuer(&self) -> Result<Option<String>, Failure> {
        Ok(self.store().meta("issuer").await?)
    }

    async fn introduction(&self) -> Result<Introduction, Failure> {
        let origin = self.store().meta("origin").await?.ok_or_else(|| {
            Fault::new(
                Code::StoreCorrupt,
                "the database does not know the log's name",
            )
        })?;
        let path = self.data.join("keys").join("log.json");
        // A log that ended because its key was lost, or a backup without keys.
        if !path.exists()
            && let Some(vkey) = self.store().meta(LOG_VKEY).await?
        {
            return Ok(Introduction {
                vkey,
                from: format!("the database in {}", self.data.display()),
            });
        }
        let key = KeyFile::read(&path).map_err(Fault::from)?;
        Ok(Introduction {
            vkey: LogSigner::new(&origin, key).vkey(),
            from: path.display().to_string(),
        })
    }

    async fn agent_of_alias(&self, alias: &str) -> Result<Option<Did>, Failure> {
        Ok(self.store().agent_of_alias(alias).await?)
    }
}
