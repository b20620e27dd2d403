//! What a database says of itself, verified as far as its edge allows: SQLite's checks, the signed head, the tiles under it.

use std::path::Path;

use goodstanding_verify::{
    checkpoint::{Checkpoint, SignedCheckpoint},
    merkle::Hash,
    note::VerifierKey,
    tile::TileId,
};

use super::DATABASE;
use crate::{
    code::{Code, Fault},
    log::{
        end,
        tree::{Edge, Touched, tiles_for_proof},
    },
    store::{Place, snapshot::Snapshot},
};

/// A database file that was looked at.
#[derive(Debug)]
pub struct Copy {
    /// Whether the log has ended.
    pub ended: bool,
    /// Issuer URL.
    pub issuer: String,
    /// The log's name.
    pub origin: String,
    /// The newest signed checkpoint.
    pub head: Checkpoint,
    /// The same, verbatim.
    pub head_note: String,
    /// The newest published checkpoint, verbatim.
    pub published: Option<String>,
    snapshot: Box<dyn Snapshot>,
}

/// Opens the database of a directory and verifies it: pages and constraints, schema, the head's signature, the tree's edge, and that the
/// newest published checkpoint is of the same tree.
///
/// # Errors
/// `store.corrupt` with what is wrong, `store.unavailable` when it cannot be read.
pub async fn inspect(directory: &Path, log_key: &VerifierKey) -> Result<Copy, Fault> {
    inspect_at(&Place::File(directory.join(DATABASE)), log_key).await
}

/// The same, wherever the database is.
///
/// # Errors
/// As [`inspect`].
pub(super) async fn inspect_at(place: &Place, log_key: &VerifierKey) -> Result<Copy, Fault> {
    let wrong = |why: String| Fault::new(Code::StoreCorrupt, format!("{place}: {why}"));
    let mut snapshot = place.snapshot().await?;
    if let Some(line) = snapshot.integrity(1, false).await?.pop() {
        return Err(wrong(line));
    }
    if let Some(dangling) = snapshot.dangling().await?.pop() {
        return Err(wrong(format!(
            "a row of {} refers to a row of {} that does not exist",
            dangling.table, dangling.parent
        )));
    }
    if let Some(difference) = snapshot.schema_differences().await?.pop() {
        return Err(wrong(difference));
    }
    let missing = |name: &str| wrong(format!("the setting {name} is missing"));
    let ended = snapshot.meta(end::META).await?.is_some();
    let issuer = snapshot
        .meta("issuer")
        .await?
        .ok_or_else(|| missing("issuer"))?;
    let origin = snapshot
        .meta("origin")
        .await?
        .ok_or_else(|| missing("origin"))?;
    let row = snapshot
        .head()
        .await?
        .ok_or_else(|| wrong("it has no log".to_owned()))?;
    let signed = SignedCheckpoint::parse(&row.note).map_err(|e| wrong(format!("head: {e}")))?;
    let head = signed
        .verify_log(log_key)
        .map_err(|e| wrong(format!("head: {e}")))?
        .clone();
    if head.size != row.size || head.root.as_slice() != row.root {
        return Err(wrong("the head is not what is signed".to_owned()));
    }
    let published = snapshot.published().await?.map(|row| row.note);
    let mut copy = Copy {
        ended,
        issuer,
        origin,
        head,
        head_note: row.note,
        published,
        snapshot,
    };
    if copy.root_at(copy.head.size).await? != copy.head.root {
        return Err(wrong(
            "the tiles do not add up to the signed root".to_owned(),
        ));
    }
    if let Some(note) = &copy.published {
        let signed = SignedCheckpoint::parse(note).map_err(|e| wrong(format!("published: {e}")))?;
        let published = signed
            .verify_log(log_key)
            .map_err(|e| wrong(format!("published: {e}")))?
            .clone();
        if published.size > copy.head.size || copy.root_at(published.size).await? != published.root
        {
            return Err(wrong(
                "the newest published checkpoint is of another tree".to_owned(),
            ));
        }
    }
    Ok(copy)
}

impl Copy {
    /// Root of the tree of the first `size` entries.
    ///
    /// # Errors
    /// `store.corrupt` when a tile is missing.
    pub async fn root_at(&mut self, size: u64) -> Result<Hash, Fault> {
        let mut tiles = Touched::new();
        for id in tiles_for_proof(size.saturating_sub(1), size) {
            if let Some(bytes) = self.snapshot.tile(0, id.level, id.n).await? {
                tiles.insert(id, bytes.as_chunks::<32>().0.to_vec());
            }
        }
        let missing = |id: TileId| {
            Fault::new(
                Code::StoreCorrupt,
                format!("tile {id} of the log is missing or too short"),
            )
        };
        Ok(Edge::load(size, |id| tiles.get(&id).cloned())
            .map_err(missing)?
            .root())
    }

    /// Lets go of the file.
    pub async fn close(self) {
        self.snapshot.close().await;
    }
}
