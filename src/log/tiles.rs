//! Tiles for proofs, kept in memory once read.
//!
//! A proof needs at most two tiles a level. Those of the upper levels and of the right edge are few and in every proof;
//! only the tile with the leaf itself lies anywhere. So of a log of ten million entries some 150 tiles serve all proofs but for
//! one read each. What is kept never becomes wrong: a tile only ever grows at its end, and one that is too narrow for the tree
//! asked about is read again.

use std::{collections::BTreeMap, fmt, sync::Arc};

use goodstanding_verify::merkle::Hash;
use quick_cache::sync::Cache;

use super::tree::{Tile, TileId};
use crate::{
    code::{Code, Fault},
    store::{Store, Tree},
};

/// Tiles that are kept: at most 8 MiB of hashes.
const KEPT: usize = 1024;

/// Reads tiles of a store, remembering them.
pub struct Tiles {
    store: Arc<dyn Store>,
    kept: Cache<(Tree, TileId), Arc<[Hash]>>,
}

impl fmt::Debug for Tiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tiles")
            .field("kept", &self.kept.len())
            .finish_non_exhaustive()
    }
}

/// The tiles of one tree that a proof asked for.
#[derive(Debug)]
pub struct Held(BTreeMap<TileId, Arc<[Hash]>>);

impl Held {
    /// A tile's hashes, as many as the tree has or more.
    pub fn tile(&self, id: TileId) -> Option<Tile> {
        self.0.get(&id).map(|tile| tile.to_vec())
    }
}

impl Tiles {
    /// The tiles of `store`. Nothing is kept yet.
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self {
            store,
            kept: Cache::new(KEPT),
        }
    }

    /// These tiles of a tree, wide enough for its first `size` leaves. One visit to the store at most.
    ///
    /// # Errors
    /// `store.corrupt` when one of them is missing or too short, `store.unavailable`.
    pub async fn get(&self, tree: Tree, ids: Vec<TileId>, size: u64) -> Result<Held, Fault> {
        let mut held = BTreeMap::new();
        let mut unread = Vec::new();
        for id in ids {
            match self.kept.get(&(tree, id)) {
                Some(tile) if suffices(&tile, id, size) => {
                    held.insert(id, tile);
                }
                _ => unread.push(id),
            }
        }
        if !unread.is_empty() {
            let mut read = self.store.tiles(tree, &unread).await?;
            for id in unread {
                let tile: Arc<[Hash]> = read
                    .remove(&id)
                    .filter(|tile| suffices(tile, id, size))
                    .ok_or_else(|| missing(tree, id))?
                    .into();
                self.kept.insert((tree, id), tile.clone());
                held.insert(id, tile);
            }
        }
        Ok(Held(held))
    }
}

/// Whether a tile is as wide as the tree of `size` leaves has it.
fn suffices(tile: &[Hash], id: TileId, size: u64) -> bool {
    id.width_in(size).is_some_and(|width| tile.len() >= width)
}

/// What is said of a tile that should be there.
pub(in crate::log) fn missing(tree: Tree, id: TileId) -> Fault {
    let detail = format!("tile {id} of {tree:?} is missing or too short");
    Fault::new(Code::StoreCorrupt, detail)
}

#[cfg(test)]
mod tests {
    use goodstanding_verify::merkle::{self, leaf_hash};

    use super::*;
    use crate::{
        keys::SecretKey,
        log::{
            prove,
            sign::LogSigner,
            tree::{Edge, Touched},
        },
        store::{Commit, Head, NewEntry, Published, sqlite::SqliteStore},
    };

    fn entry(index: u64) -> NewEntry {
        NewEntry {
            index,
            at_ms: 1,
            kind: "report",
            bytes: index.to_string().into_bytes(),
        }
    }

    /// Appends up to `size` entries and returns the root.
    async fn grow(store: &SqliteStore, edge: &mut Edge, size: u64) -> Hash {
        let head = store.head().await.unwrap();
        let entries: Vec<_> = (edge.size()..size).map(entry).collect();
        let mut touched = Touched::new();
        edge.append(entries.iter().map(|e| leaf_hash(&e.bytes)), &mut touched);
        let root = edge.root();
        let commit = Commit {
            expected: head.map(|h| (h.size, h.root)),
            head: Head {
                size,
                root,
                at_ms: 1,
                note: size.to_string(),
            },
            entries,
            reports: Vec::new(),
            tiles: touched
                .into_iter()
                .map(|(id, tile)| (Tree::Log, id, tile))
                .collect(),
            epoch: None,
            erasure: None,
        };
        store.commit(&commit).await.unwrap();
        root
    }

    #[tokio::test]
    async fn what_is_kept_proves_every_tree_as_the_log_grows() {
        let dir = tempfile::tempdir().unwrap();
        let store = Arc::new(
            SqliteStore::open(&dir.path().join("db"), true)
                .await
                .unwrap(),
        );
        let tiles = Tiles::new(store.clone());
        let mut edge = Edge::default();
        let mut roots = Vec::new();
        for size in [1, 2, 255, 256, 257, 300, 511, 512, 513, 1030] {
            roots.push((size, grow(&store, &mut edge, size).await));
            // Also of the trees before, from tiles that are wider by now.
            for (size, root) in roots.iter().copied() {
                for index in [0, 1, 254, 255, 256, 299, 512, size - 1] {
                    if index < size {
                        let path = prove::inclusion(&tiles, Tree::Log, index, size)
                            .await
                            .unwrap();
                        let leaf = leaf_hash(&entry(index).bytes);
                        merkle::verify_inclusion(index, size, &leaf, &path, &root).unwrap();
                    }
                }
            }
            for (old, old_root) in roots.iter().copied() {
                let proof = prove::extension(&tiles, old, size).await.unwrap();
                let (_, root) = *roots.last().unwrap();
                assert_eq!((proof.old_root, proof.new_root), (old_root, root));
                merkle::verify_consistency(old, size, &old_root, &root, &proof.path).unwrap();
            }
        }
        // Tiles 0, 1, 2 and 4 of the leaves, one of level 1.
        assert_eq!(tiles.kept.len(), 5);
        // A full tile is read once: the store is not asked for it again.
        store.close().await;
        prove::inclusion(&tiles, Tree::Log, 3, 256).await.unwrap();
        let gone = prove::inclusion(&tiles, Tree::Log, 1030, 1031)
            .await
            .unwrap_err();
        assert!(gone.is(Code::StoreUnavailable), "{gone}");
    }

    #[tokio::test]
    async fn no_proof_is_handed_out_of_another_tree_than_the_signed_one() {
        let dir = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&dir.path().join("db"), true)
            .await
            .unwrap();
        let mut edge = Edge::default();
        let other = grow(&store, &mut edge, 299).await;
        let root = grow(&store, &mut edge, 300).await;
        let tiles = Tiles::new(Arc::new(store));
        let signer = LogSigner::new("log.example", SecretKey::from_seed(&[1; 32]));
        let signed = |root| Published {
            size: 300,
            published_ms: 1,
            note: signer.checkpoint(300, root),
        };
        let (good, bad) = (signed(&root), signed(&other));
        for index in [0, 255, 256, 299] {
            prove::entry_proof(&tiles, index, &good).await.unwrap();
            let fault = prove::entry_proof(&tiles, index, &bad).await.unwrap_err();
            assert!(fault.is(Code::StoreCorrupt), "{fault}");
        }
        for (old, new) in [
            (0, 0),
            (0, 300),
            (1, 256),
            (255, 299),
            (256, 300),
            (300, 300),
        ] {
            let proof = prove::published_extension(&tiles, old, new, &good);
            let proof = proof.await.unwrap();
            assert_eq!(proof, prove::extension(&tiles, old, new).await.unwrap());
            let fault = prove::published_extension(&tiles, old, new, &bad);
            assert!(
                fault.await.unwrap_err().is(Code::StoreCorrupt),
                "{old}..{new}"
            );
        }
    }

    #[tokio::test]
    async fn a_tile_that_the_store_does_not_have_is_corruption() {
        let dir = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&dir.path().join("db"), true)
            .await
            .unwrap();
        grow(&store, &mut Edge::default(), 300).await;
        let tiles = Tiles::new(Arc::new(store));
        let fault = prove::inclusion(&tiles, Tree::Log, 0, 301)
            .await
            .unwrap_err();
        assert!(fault.is(Code::StoreCorrupt), "{fault}");
        // Nothing is kept of what was too narrow.
        assert!(
            prove::inclusion(&tiles, Tree::Log, 0, 300).await.is_ok(),
            "the narrower tree is there"
        );
    }
}
