//! The log's tree as it is served: every tile against the one above it, up to the signed root.

use std::collections::BTreeMap;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use goodstanding_verify::{
    merkle::{self, Hash},
    tile::{TILE_WIDTH, TileId, TilePath, parse_bundle, parse_tile},
    tile_reader::TileReader,
};

use super::{
    finding::{Failure, Place},
    source::{ServedBody, Source},
};
use crate::code::Code;

/// Tiles and bundles that are asked for at the same time.
const PARALLEL: usize = 8;
/// Entries of a full tile.
const WIDTH: u64 = 256;

/// Some entries as served, with authenticated leaf hashes.
#[derive(Debug)]
pub(super) struct Window {
    /// Index of the first entry that is wanted.
    pub(super) start: u64,
    /// Index after the last one.
    pub(super) end: u64,
    /// Index of the first entry of the first bundle; not after `start`.
    pub(super) from: u64,
    /// Entry bundles, not yet looked at.
    pub(super) bundles: Vec<(TilePath, Vec<u8>)>,
    /// Leaf hashes of the bundles' entries, as the signed tree has them.
    pub(super) leaves: Vec<Hash>,
    /// Bodies of `start..end`.
    pub(super) bodies: Vec<ServedBody>,
}

/// The tree of one verified checkpoint.
pub(super) struct Tree<'s> {
    source: &'s dyn Source,
    reader: TileReader,
}

impl<'s> Tree<'s> {
    /// The tree, with its right edge checked against the root.
    ///
    /// # Errors
    /// `audit.tile_invalid`, `audit.missing`.
    pub(super) async fn open(
        source: &'s dyn Source,
        size: u64,
        root: Hash,
    ) -> Result<Self, Failure> {
        let mut tree = Self {
            source,
            reader: TileReader::new(size, root),
        };
        if size > 0 {
            let last = TileId {
                level: 0,
                n: (size - 1) / WIDTH,
            };
            tree.hold(last, &mut BTreeMap::new()).await?;
        }
        Ok(tree)
    }

    /// Number of entries.
    pub(super) fn size(&self) -> u64 {
        self.reader.size()
    }

    /// Makes a tile readable; `fetched` has bytes that were asked for ahead.
    async fn hold(
        &mut self,
        id: TileId,
        fetched: &mut BTreeMap<TilePath, Vec<u8>>,
    ) -> Result<(), Failure> {
        while let Some(path) = self.reader.missing(id) {
            let bytes = match fetched.remove(&path) {
                Some(bytes) => bytes,
                None => self.source.tile(path).await?,
            };
            if let Err(error) = self.reader.add(path, &bytes) {
                let mut place = Place::Tile(path);
                let is_edge = path.width < TILE_WIDTH;
                if is_edge && error.code() == goodstanding_verify::code::Code::TileInconsistent {
                    place = self.blame().await?;
                }
                return Err(Failure::caused(Code::AuditTileInvalid, place, error));
            }
        }
        Ok(())
    }

    /// A tile's hashes.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub(super) async fn tile(&mut self, id: TileId) -> Result<Vec<Hash>, Failure> {
        self.hold(id, &mut BTreeMap::new()).await?;
        let hashes = self.reader.get(id).map(<[Hash]>::to_vec);
        hashes.ok_or_else(|| beyond(id))
    }

    /// The root that the first `size` entries of this tree have.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub(super) async fn root_at(&mut self, size: u64) -> Result<Hash, Failure> {
        let mut below = None;
        for path in TileReader::edge_paths(size) {
            let Some(id) = path.tile() else { continue };
            let mut nodes = self.tile(id).await?;
            nodes.truncate(path.width);
            nodes.extend(below);
            below = Some(merkle::root(&nodes));
        }
        Ok(below.unwrap_or(merkle::EMPTY_ROOT))
    }

    /// The entries `start..end`.
    ///
    /// # Errors
    /// As [`Self::open`], and what the source says.
    pub(super) async fn window(&mut self, start: u64, end: u64) -> Result<Window, Failure> {
        let (source, size) = (self.source, self.size());
        let numbers = start / WIDTH..end.div_ceil(WIDTH);
        let tile = |n| TileId { level: 0, n };
        let mut paths = Vec::new();
        for n in numbers.clone() {
            let width = tile(n).width_in(size).ok_or_else(|| beyond(tile(n)))?;
            paths.push(TilePath::entries(n, width));
            // The last one is held since the edge was checked.
            if self.reader.get(tile(n)).is_none() {
                paths.push(tile(n).path(width));
            }
        }
        let fetch = stream::iter(paths)
            .map(|path| async move { Ok::<_, Failure>((path, source.tile(path).await?)) })
            .buffered(PARALLEL)
            .try_collect::<BTreeMap<_, _>>();
        let (mut fetched, bodies) = tokio::try_join!(fetch, source.bodies(start, end))?;
        let mut window = Window {
            start,
            end,
            from: numbers.start * WIDTH,
            bundles: Vec::new(),
            leaves: Vec::new(),
            bodies,
        };
        for n in numbers {
            self.hold(tile(n), &mut fetched).await?;
            let leaves = self.reader.get(tile(n)).ok_or_else(|| beyond(tile(n)))?;
            window.leaves.extend_from_slice(leaves);
            let path = TilePath::entries(n, leaves.len());
            let bytes = fetched.remove(&path).ok_or_else(|| beyond(tile(n)))?;
            window.bundles.push((path, bytes));
        }
        Ok(window)
    }

    /// The last tiles together do not make the root: which of them is not that of what is below it? The lowest one that is
    /// wrong, or the checkpoint when they all fit together.
    async fn blame(&self) -> Result<Place, Failure> {
        for path in TileReader::edge_paths(self.size()) {
            let Some(id) = path.tile() else { continue };
            let width = path.width;
            let hashes = parse_tile(&self.source.tile(path).await?, width)
                .map_err(|e| Failure::caused(Code::AuditTileInvalid, Place::Tile(path), e))?;
            let below = match id.level.checked_sub(1) {
                None => {
                    let bundle = TilePath::entries(id.n, width);
                    let bytes = self.source.tile(bundle).await?;
                    parse_bundle(&bytes, width)
                        .map(|entries| entries.into_iter().map(merkle::leaf_hash).collect())
                        .map_err(|e| {
                            Failure::caused(Code::AuditTileInvalid, Place::Tile(bundle), e)
                        })?
                }
                Some(level) => self.roots_below(level, id.n, width).await?,
            };
            if hashes != below {
                return Ok(Place::Tile(path));
            }
        }
        Ok(Place::Checkpoint(self.size()))
    }

    /// Roots of the full tiles of a level under a tile of the next one.
    async fn roots_below(&self, level: u8, n: u64, width: usize) -> Result<Vec<Hash>, Failure> {
        let mut roots = Vec::with_capacity(width);
        for child in (n.saturating_mul(WIDTH)..).take(width) {
            let path = TileId { level, n: child }.path(TILE_WIDTH);
            let hashes = parse_tile(&self.source.tile(path).await?, TILE_WIDTH)
                .map_err(|e| Failure::caused(Code::AuditTileInvalid, Place::Tile(path), e))?;
            roots.push(merkle::root(&hashes));
        }
        Ok(roots)
    }
}

fn beyond(id: TileId) -> Failure {
    let detail = format!("tile {id} is beyond the tree");
    Failure::Fault(crate::code::Fault::new(Code::Internal, detail))
}
