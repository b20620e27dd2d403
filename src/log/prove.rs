//! Proofs over the stored log: which tiles are read, and what becomes of them.
//!
//! However long the log, a proof reads at most two tiles a level.

use goodstanding_verify::merkle::Hash;

use super::{
    sign::proof_text,
    tiles::{Tiles, missing},
    tree::{self, Edge},
};
use crate::{
    code::{Code, Fault},
    store::{Published, Store, Tree},
};

/// tlog-proof of an entry under a published checkpoint.
///
/// # Errors
/// `log.not_published` when the checkpoint does not cover the entry, `store.corrupt` when a tile is missing.
pub async fn entry_proof(
    tiles: &Tiles,
    index: u64,
    published: &Published,
) -> Result<String, Fault> {
    if index >= published.size {
        let detail = format!(
            "entry {index} is beyond the published checkpoint of {} entries",
            published.size
        );
        return Err(Fault::new(Code::NotPublished, detail));
    }
    let path = inclusion(tiles, Tree::Log, index, published.size).await?;
    Ok(proof_text(index, path, &published.note))
}

/// Inclusion path of leaf `index` in the first `size` leaves of a stored tree (RFC 6962 §2.1.1).
///
/// # Errors
/// `store.corrupt` when a tile is missing or too short, `store.unavailable`.
pub async fn inclusion(
    tiles: &Tiles,
    which: Tree,
    index: u64,
    size: u64,
) -> Result<Vec<Hash>, Fault> {
    let held = tiles
        .get(which, tree::tiles_for_proof(index, size), size)
        .await?;
    tree::inclusion_path(index, size, |id| held.tile(id)).map_err(|id| missing(which, id))
}

/// Consistency path from the first `old` to the first `new` entries of the log (RFC 6962 §2.1.2); empty if `old` is 0 or `new`.
///
/// # Errors
/// `store.corrupt` when a tile is missing or too short (also when the log has fewer than `new` entries), `store.unavailable`.
pub async fn consistency(tiles: &Tiles, old: u64, new: u64) -> Result<Vec<Hash>, Fault> {
    let held = tiles
        .get(Tree::Log, tree::tiles_for_consistency(old, new), new)
        .await?;
    tree::consistency_path(old, new, |id| held.tile(id)).map_err(|id| missing(Tree::Log, id))
}

/// That one tree of the log extends another, with the roots of both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extension {
    /// Root of the older tree.
    pub old_root: Hash,
    /// Root of the newer tree.
    pub new_root: Hash,
    /// The consistency path.
    pub path: Vec<Hash>,
}

/// Roots of the first `old` and the first `new` entries, and the path between them; one reading of the store.
///
/// # Errors
/// As [`consistency`].
pub async fn extension(tiles: &Tiles, old: u64, new: u64) -> Result<Extension, Fault> {
    let mut ids = tree::tiles_for_consistency(old, new);
    for size in [old, new] {
        // The edge of a tree is what the proof of its last leaf needs.
        ids.extend(tree::tiles_for_proof(size.saturating_sub(1), size));
    }
    ids.sort_unstable();
    ids.dedup();
    let held = tiles.get(Tree::Log, ids, old.max(new)).await?;
    let stored = |id| held.tile(id);
    let missing = |id| missing(Tree::Log, id);
    Ok(Extension {
        old_root: Edge::load(old, stored).map_err(missing)?.root(),
        new_root: Edge::load(new, stored).map_err(missing)?.root(),
        path: tree::consistency_path(old, new, stored).map_err(missing)?,
    })
}

/// The right edge of the first `size` entries of the log: their root, and what appending to them needs. Always from the
/// store: it is what one asks for who doubts what he remembers.
///
/// # Errors
/// `store.corrupt` when a tile is missing or too short, `store.unavailable`.
pub async fn edge(store: &dyn Store, size: u64) -> Result<Edge, Fault> {
    // The edge of a tree is what the proof of its last leaf needs.
    let ids = tree::tiles_for_proof(size.saturating_sub(1), size);
    let tiles = store.tiles(Tree::Log, &ids).await?;
    Edge::load(size, |id| tiles.get(&id).cloned()).map_err(|id| missing(Tree::Log, id))
}
