//! The Merkle tree as 256-wide tiles (C2SP tlog-tiles), each tile one small `rs_merkle` tree.
//!
//! Only the right edge lives in memory: at most one incomplete tile a level. A node whose subtree is not complete is
//! never stored; it is recomputed from the edge and used as a virtual last node of its parent tile. Roots and paths
//! then equal RFC 6962 exactly (the tests compare them with `ct-merkle`).

mod path;

use std::collections::BTreeMap;

pub use goodstanding_verify::tile::{TILE_WIDTH, TileId};
use goodstanding_verify::{
    merkle::{self, Hash},
    tile::TILE_BITS,
};
use rs_merkle::{Hasher, MerkleTree};

pub use self::path::{consistency_path, inclusion_path, tiles_for_consistency, tiles_for_proof};

/// A u64 size needs no more levels than this.
const MAX_LEVELS: u32 = 8;

/// RFC 6962 §2.1 hashing for `rs_merkle`: leaves are passed already hashed, a lone node is carried up unchanged.
#[derive(Clone)]
struct Rfc6962;

impl Hasher for Rfc6962 {
    type Hash = Hash;

    fn hash(data: &[u8]) -> Hash {
        merkle::leaf_hash(data)
    }

    fn concat_and_hash(left: &Hash, right: Option<&Hash>) -> Hash {
        right.map_or(*left, |right| merkle::node_hash(left, right))
    }
}

/// Root of up to 256 nodes, `None` of none.
fn root_of(nodes: &[Hash]) -> Option<Hash> {
    match nodes {
        [] => None,
        [one] => Some(*one),
        _ => MerkleTree::<Rfc6962>::from_leaves(nodes).root(),
    }
}

/// A tile's content: 1 to 256 hashes, left to right.
pub type Tile = Vec<Hash>;

/// The right edge of a tree: everything needed to append to it and to know its root.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edge {
    size: u64,
    /// `levels[l]` = the stored hashes of the incomplete last tile of level `l`, always fewer than 256.
    levels: Vec<Tile>,
}

/// The tiles that appending made or changed, by place.
pub type Touched = BTreeMap<TileId, Tile>;

impl Edge {
    /// The edge of a stored tree of `size` leaves; `tile(id)` gives the stored hashes of a tile, at least as many as asked for.
    ///
    /// # Errors
    /// The place of the first tile that is missing or too short.
    pub fn load(size: u64, mut tile: impl FnMut(TileId) -> Option<Tile>) -> Result<Self, TileId> {
        let mut levels = Vec::new();
        for id in edge_tiles(size) {
            let width = edge_width(size, id.level);
            let mut hashes = Vec::new();
            if width > 0 {
                hashes = tile(id).filter(|t| t.len() >= width).ok_or(id)?;
                hashes.truncate(width);
            }
            levels.push(hashes);
        }
        Ok(Self { size, levels })
    }

    /// Number of leaves.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The stored hashes of a tile of the edge; `None` for any other tile, and for one without hashes.
    pub fn tile(&self, id: TileId) -> Option<Tile> {
        let is_edge = edge_tiles(self.size).any(|edge| edge == id);
        self.levels
            .get(usize::from(id.level))
            .filter(|tile| is_edge && !tile.is_empty())
            .cloned()
    }

    /// Appends leaf hashes and records every tile that came to be or grew.
    pub fn append(&mut self, leaves: impl IntoIterator<Item = Hash>, touched: &mut Touched) {
        let mut highest = None;
        for leaf in leaves {
            highest = highest.max(Some(self.push(0, leaf, touched)));
            self.size += 1;
        }
        // Incomplete tiles once, at the end; those of levels that nothing reached are as they were.
        for id in edge_tiles(self.size).filter(|id| Some(id.level) <= highest) {
            if let Some(tile) = self
                .levels
                .get(usize::from(id.level))
                .filter(|t| !t.is_empty())
            {
                touched.insert(id, tile.clone());
            }
        }
    }

    /// Returns the highest level that changed.
    fn push(&mut self, level: u8, hash: Hash, touched: &mut Touched) -> u8 {
        let l = usize::from(level);
        if self.levels.len() <= l {
            self.levels.resize_with(l + 1, Vec::new);
        }
        self.levels[l].push(hash);
        if self.levels[l].len() < TILE_WIDTH {
            return level;
        }
        let full = std::mem::take(&mut self.levels[l]);
        let n = self
            .size
            .checked_shr(TILE_BITS * (u32::from(level) + 1))
            .unwrap_or(0);
        let highest = root_of(&full).map_or(level, |root| self.push(level + 1, root, touched));
        touched.insert(TileId { level, n }, full);
        highest
    }

    /// RFC 6962 root; SHA-256("") of the empty tree.
    pub fn root(&self) -> Hash {
        self.virtual_nodes(root_of)
            .last()
            .copied()
            .flatten()
            .unwrap_or(merkle::EMPTY_ROOT)
    }

    /// `result[l]` = the root of everything at and below the incomplete tile of level `l`: the node that stands for it in level `l + 1`.
    fn virtual_nodes(&self, root: fn(&[Hash]) -> Option<Hash>) -> Vec<Option<Hash>> {
        let mut below = None;
        self.levels
            .iter()
            .map(|tile| {
                let mut nodes = tile.clone();
                nodes.extend(below);
                below = root(&nodes);
                below
            })
            .collect()
    }
}

/// Stored width of the incomplete last tile of a level.
fn edge_width(size: u64, level: u8) -> usize {
    let complete = size >> (TILE_BITS * u32::from(level));
    usize::try_from(complete % 256).unwrap_or_default()
}

/// The last tile of every level of a tree of `size` leaves, its width possibly zero.
fn edge_tiles(size: u64) -> impl Iterator<Item = TileId> {
    (0..MAX_LEVELS)
        .take_while(move |l| size >> (TILE_BITS * l) > 0)
        .map(move |l| TileId {
            // l < 8
            level: u8::try_from(l).unwrap_or(u8::MAX),
            n: size.checked_shr(TILE_BITS * (l + 1)).unwrap_or(0),
        })
}

#[cfg(test)]
mod tests {
    use goodstanding_verify::merkle::leaf_hash;

    use super::*;

    /// A whole tree kept in memory the way the store keeps it: the newest width of every tile.
    #[derive(Default)]
    pub(super) struct Grown {
        pub(super) edge: Edge,
        pub(super) tiles: Touched,
    }

    impl Grown {
        pub(super) fn grow(&mut self, leaves: &[Hash]) {
            let mut touched = Touched::new();
            self.edge.append(leaves.iter().copied(), &mut touched);
            self.tiles.extend(touched);
        }
    }

    pub(super) fn leaves(n: u64) -> Vec<Hash> {
        (0..n)
            .map(|i| leaf_hash(i.to_string().as_bytes()))
            .collect()
    }

    #[test]
    fn batches_of_any_size_give_the_same_tiles() {
        let all = leaves(1500);
        let mut one = Grown::default();
        one.grow(&all);
        for step in [1, 7, 255, 256, 257, 700] {
            let mut other = Grown::default();
            for chunk in all.chunks(step) {
                other.grow(chunk);
            }
            assert_eq!(one.tiles, other.tiles, "step {step}");
            assert_eq!(one.edge, other.edge);
        }
    }
}
