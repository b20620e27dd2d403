//! Reading a log's tiles without trusting whoever serves them.
//!
//! Every tile is authenticated before a single hash of it is used: those of the right edge together make the checkpoint's
//! root, and every other tile's root must be the hash that its parent tile holds for it. Readers that skipped the second
//! check for some tiles returned forged hashes (CVE-2026-56865); here a tile that was not checked cannot be read at all.
//!
//! No I/O: the reader names the tile that it needs next, and is given its bytes.
//!
//! ```
//! use goodstanding_verify::{frontier::Frontier, merkle, tile::TileId, tile_reader::TileReader};
//!
//! # fn main() -> Result<(), goodstanding_verify::Error> {
//! let leaf = merkle::leaf_hash(b"only entry");
//! let mut reader = TileReader::new(1, leaf);
//! let wanted = TileId { level: 0, n: 0 };
//! while let Some(path) = reader.missing(wanted) {
//!     let bytes = leaf.to_vec(); // GET <log>/tile/<path>
//!     reader.add(path, &bytes)?;
//! }
//! assert_eq!(reader.get(wanted), Some([leaf].as_slice()));
//! # Ok(())
//! # }
//! ```

use std::collections::BTreeMap;

use crate::{
    code::{Code, Error},
    merkle::{self, Hash},
    tile::{TILE_BITS, TileId, TilePath, parse_tile},
};

/// Tiles of one tree, authenticated under its root. Holds the right edge and one further tile a level, so its memory does
/// not grow with the log.
#[derive(Clone, Debug)]
pub struct TileReader {
    size: u64,
    root: Hash,
    /// The last tile of every level that has one; trusted only once all are there.
    edge: BTreeMap<u8, Vec<Hash>>,
    /// Whether the edge was checked against the root.
    edge_checked: bool,
    /// The newest other tile of every level, checked.
    held: BTreeMap<u8, (u64, Vec<Hash>)>,
}

impl TileReader {
    /// A reader of the tree of a verified checkpoint.
    pub fn new(size: u64, root: Hash) -> Self {
        Self {
            size,
            root,
            edge: BTreeMap::new(),
            edge_checked: false,
            held: BTreeMap::new(),
        }
    }

    /// The tree's size.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The incomplete last tile of every level that has one, lowest first.
    pub fn edge_paths(size: u64) -> impl Iterator<Item = TilePath> {
        (0..8_u8).filter_map(move |level| {
            let n = size
                .checked_shr(TILE_BITS.checked_mul(u32::from(level).checked_add(1)?)?)
                .unwrap_or(0);
            let id = TileId { level, n };
            Some(id.path(id.width_in(size)?))
        })
    }

    /// The tile to fetch and [`Self::add`] next so that `wanted` can be read; `None` when it can be, or when the tree does
    /// not have it.
    pub fn missing(&self, wanted: TileId) -> Option<TilePath> {
        wanted.width_in(self.size)?;
        if !self.edge_checked {
            return Self::edge_paths(self.size).find(|path| {
                path.level
                    .is_some_and(|level| !self.edge.contains_key(&level))
            });
        }
        // Up to the first ancestor that is held; what is below it has to come, top down.
        let mut id = wanted;
        let mut missing = None;
        while self.get(id).is_none() {
            missing = Some(id);
            (id, _) = id.parent()?;
        }
        let id = missing?;
        Some(id.path(id.width_in(self.size)?))
    }

    /// Takes the bytes of the tile that [`Self::missing`] named, and checks them against the root or their parent.
    ///
    /// # Errors
    /// `tile.malformed` when the bytes are not as many hashes as the path says, or when the tile was not asked for;
    /// `tile.inconsistent` when they are not those of the tree. After the latter for the right edge nothing can be read.
    pub fn add(&mut self, path: TilePath, bytes: &[u8]) -> Result<(), Error> {
        let hashes = parse_tile(bytes, path.width)?;
        let unasked = || {
            Error::new(
                Code::TileMalformed,
                format!("tile {path} was not asked for"),
            )
        };
        let id = path.tile().ok_or_else(unasked)?;
        if self.missing(id) != Some(path) {
            return Err(unasked());
        }
        if !self.edge_checked {
            self.edge.insert(id.level, hashes);
            if Self::edge_paths(self.size).count() == self.edge.len() {
                self.check_edge()?;
            }
            return Ok(());
        }
        let (parent, place) = id.parent().ok_or_else(unasked)?;
        let expected = self.get(parent).and_then(|tile| tile.get(place));
        if expected != Some(&merkle::root(&hashes)) {
            let detail = format!("tile {path} is not the one that tile {parent} holds the root of");
            return Err(Error::new(Code::TileInconsistent, detail));
        }
        self.held.insert(id.level, (id.n, hashes));
        Ok(())
    }

    /// A tile's hashes, if it is held; always authenticated.
    pub fn get(&self, id: TileId) -> Option<&[Hash]> {
        if !self.edge_checked {
            return None;
        }
        let is_edge =
            id.n.checked_mul(256)
                .and_then(|start| start.checked_add(256))
                .is_none_or(|end| {
                    let shift = TILE_BITS.saturating_mul(u32::from(id.level));
                    end > self.size.checked_shr(shift).unwrap_or(0)
                });
        if is_edge {
            id.width_in(self.size)?;
            return self.edge.get(&id.level).map(Vec::as_slice);
        }
        self.held
            .get(&id.level)
            .filter(|(n, _)| *n == id.n)
            .map(|(_, hashes)| hashes.as_slice())
    }

    /// The tree's root from its incomplete tiles: each level's hashes, with the root of everything below as the last.
    fn check_edge(&mut self) -> Result<(), Error> {
        let mut below = None;
        for hashes in self.edge.values() {
            let mut nodes = hashes.clone();
            nodes.extend(below);
            below = Some(merkle::root(&nodes));
        }
        if below.unwrap_or(merkle::EMPTY_ROOT) == self.root {
            self.edge_checked = true;
            return Ok(());
        }
        self.edge.clear();
        let detail = format!(
            "the last tiles of {} entries do not make the checkpoint's root",
            self.size
        );
        Err(Error::new(Code::TileInconsistent, detail))
    }
}
