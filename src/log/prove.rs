//! Proofs over the stored log: which tiles are read, and what becomes of them.
//!
//! However long the log, a proof reads at most two tiles a level. What is handed out was verified against a signed root first: of a
//! database that was changed under the service come errors, and no proof of another history.

use goodstanding_verify::{
    checkpoint::SignedCheckpoint,
    merkle::{self, Hash},
};

use super::{
    sign::proof_text,
    tiles::{Tiles, missing},
    tree::{self, Edge, Tile, TileId},
};
use crate::{
    code::{Code, Fault},
    store::{Published, Store, Tree},
};

/// Leaves of a tile.
const TILE: u64 = 256;

/// tlog-proof of an entry under a published checkpoint.
///
/// # Errors
/// `log.not_published` when the checkpoint does not cover the entry, `store.corrupt` when a tile is missing or the stored tree is not the
/// checkpoint's.
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
    let root = root_of(published)?;
    let size = published.size;
    let held = tiles
        .get(Tree::Log, tree::tiles_for_proof(index, size), size)
        .await?;
    let path = verified_path(index, size, &root, |id| held.tile(id))?;
    Ok(proof_text(index, path, &published.note))
}

/// Inclusion path of entry `index` in the log's first `size` entries, which have this root.
///
/// # Errors
/// `store.corrupt` when a tile is missing or too short, or the tiles have another root.
pub(super) fn verified_path(
    index: u64,
    size: u64,
    root: &Hash,
    stored: impl Fn(TileId) -> Option<Tile>,
) -> Result<Vec<Hash>, Fault> {
    let path = tree::inclusion_path(index, size, &stored).map_err(|id| missing(Tree::Log, id))?;
    let id = TileId {
        level: 0,
        n: index / TILE,
    };
    let leaf = usize::try_from(index % TILE)
        .ok()
        .and_then(|place| stored(id)?.get(place).copied())
        .ok_or_else(|| missing(Tree::Log, id))?;
    merkle::verify_inclusion(index, size, &leaf, &path, root).map_err(|_| other_tree(size))?;
    Ok(path)
}

fn root_of(published: &Published) -> Result<Hash, Fault> {
    Ok(SignedCheckpoint::parse(&published.note)?.checkpoint().root)
}

fn other_tree(size: u64) -> Fault {
    let detail = format!("the tiles of size {size} do not add up to the signed root");
    Fault::new(Code::StoreCorrupt, detail)
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

/// [`extension`] of a tree that `newest` extends or is, which is shown too, though not told.
///
/// # Errors
/// As [`consistency`]; `store.corrupt` also when the stored trees are not of the history that `newest` was signed for.
pub async fn published_extension(
    tiles: &Tiles,
    old: u64,
    new: u64,
    newest: &Published,
) -> Result<Extension, Fault> {
    let proof = extension(tiles, old, new).await?;
    let onward = extension(tiles, new, newest.size).await?;
    let holds = |e: &Extension, old, new| {
        merkle::verify_consistency(old, new, &e.old_root, &e.new_root, &e.path).is_ok()
    };
    let is_signed = onward.new_root == root_of(newest)?
        && onward.old_root == proof.new_root
        && holds(&proof, old, new)
        && holds(&onward, new, newest.size);
    if is_signed {
        Ok(proof)
    } else {
        Err(other_tree(newest.size))
    }
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
