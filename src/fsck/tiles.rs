//! Stored tiles against the leaves they stand over, level by level, so that one wrong hash is named once and where it is.

use goodstanding_verify::{
    frontier::Frontier,
    merkle::{self, Hash},
    tile::{TILE_WIDTH, TileId},
};

use super::{Counted, Findings, walk::Told};
use crate::{
    code::Code,
    store::{
        Error,
        snapshot::{Snapshot, TileRow},
    },
};

/// Tile places fetched at a time.
const PAGE: u32 = 2000;
/// Disagreements between a leaf and its tile that are remembered until a root tells who is right.
const DISPUTES: usize = 1000;

/// A tree that is walked leaf by leaf.
#[derive(Debug)]
pub(super) struct TreeWalk {
    /// 0 = the log, else the epoch's number.
    tree: u64,
    size: u64,
    /// Over the leaves as computed, and as stored in level 0.
    computed: Frontier,
    stored: Frontier,
    /// The stored tile that the next leaf is in.
    tile: Vec<Hash>,
    /// Both versions of the leaves of that tile.
    leaves: Vec<(Hash, Hash)>,
    /// From level 1 on: what the tiles below give, in two versions where they are in dispute.
    upper: Vec<Vec<(Hash, Hash)>>,
    disputed: Vec<u64>,
}

impl TreeWalk {
    /// A tree of `size` leaves.
    pub(super) fn new(tree: u64, size: u64) -> Self {
        Self {
            tree,
            size,
            computed: Frontier::default(),
            stored: Frontier::default(),
            tile: Vec::new(),
            leaves: Vec::new(),
            upper: Vec::new(),
            disputed: Vec::new(),
        }
    }

    /// Root over the leaves as computed.
    pub(super) fn root(&self) -> Hash {
        self.computed.root()
    }

    /// Takes the next leaf; `None` = it is missing, and its tile speaks for it.
    pub(super) async fn push(
        &mut self,
        leaf: Option<Hash>,
        snapshot: &mut dyn Snapshot,
        findings: &mut Findings,
    ) -> Result<(), Error> {
        let index = self.computed.size();
        let within = self.leaves.len();
        if within == 0 {
            let n = index / 256;
            let width = TileId { level: 0, n }.width_in(self.size).unwrap_or(0);
            self.tile = self.load(0, n, width, snapshot, findings).await?;
        }
        let stored = self.tile.get(within).copied();
        let computed = leaf.or(stored).unwrap_or_default();
        let stored = stored.unwrap_or(computed);
        if computed != stored && self.disputed.len() < DISPUTES {
            self.disputed.push(index);
        }
        self.computed.push(computed);
        self.stored.push(stored);
        self.leaves.push((computed, stored));
        if self.leaves.len() < TILE_WIDTH {
            return Ok(());
        }
        let mut up = roots(&std::mem::take(&mut self.leaves));
        let mut level = 1_u8;
        loop {
            let at = usize::from(level) - 1;
            if self.upper.len() <= at {
                self.upper.resize_with(at + 1, Vec::new);
            }
            self.upper[at].push(up);
            if self.upper[at].len() < TILE_WIDTH {
                return Ok(());
            }
            let below = std::mem::take(&mut self.upper[at]);
            // Nodes of this level so far, this tile's included.
            let n = (self.computed.size() >> (8 * u32::from(level))) / 256 - 1;
            let stored = self.compare(level, n, &below, snapshot, findings).await?;
            let pairs: Vec<_> = below
                .iter()
                .enumerate()
                .map(|(i, (hash, _))| (*hash, stored.get(i).copied().unwrap_or(*hash)))
                .collect();
            up = roots(&pairs);
            level += 1;
        }
    }

    /// Tells, from the root that a signature or an entry vouches for at this size, who was right wherever leaf and tile
    /// disagreed. `false`: neither.
    pub(super) fn settle(&mut self, root: &Hash, findings: &mut Findings) -> bool {
        let computed = self.computed.root() == *root;
        let stored = self.stored.root() == *root;
        for index in std::mem::take(&mut self.disputed) {
            let tile = TileId {
                level: 0,
                n: index / 256,
            };
            if stored && !computed {
                let code = if self.tree == 0 {
                    Code::FsckEntry
                } else {
                    Code::FsckStatement
                };
                findings.add(
                    code,
                    self.leaf_name(index),
                    "is not the one that the tree commits to",
                );
            } else {
                let detail = format!(
                    "hash {} is not that of {}",
                    index % 256,
                    self.leaf_name(index)
                );
                findings.add(Code::FsckTile, self.tile_name(tile), detail);
            }
        }
        match (computed, stored) {
            (true, false) => self.stored = self.computed.clone(),
            (false, true) => self.computed = self.stored.clone(),
            _ => {}
        }
        computed || stored
    }

    /// Checks the incomplete tiles of the upper levels, after the last leaf.
    pub(super) async fn finish(
        &mut self,
        snapshot: &mut dyn Snapshot,
        findings: &mut Findings,
    ) -> Result<(), Error> {
        for (level, below) in (1_u8..).zip(std::mem::take(&mut self.upper)) {
            if !below.is_empty() {
                let n = (self.computed.size() >> (8 * u32::from(level))) / 256;
                self.compare(level, n, &below, snapshot, findings).await?;
            }
        }
        Ok(())
    }

    async fn compare(
        &self,
        level: u8,
        n: u64,
        below: &[(Hash, Hash)],
        snapshot: &mut dyn Snapshot,
        findings: &mut Findings,
    ) -> Result<Vec<Hash>, Error> {
        let stored = self.load(level, n, below.len(), snapshot, findings).await?;
        let wrong: Vec<usize> = stored
            .iter()
            .zip(below)
            .enumerate()
            .filter(|(_, (stored, (one, other)))| *stored != one && *stored != other)
            .map(|(i, _)| i)
            .collect();
        if let Some(first) = wrong.first() {
            let others = match wrong.len() {
                1 => String::new(),
                all => format!(", nor are {} others", all - 1),
            };
            let detail = format!("hash {first} is not the root of the tile below it{others}");
            findings.add(Code::FsckTile, self.tile_name(TileId { level, n }), detail);
        }
        Ok(stored)
    }

    /// The stored hashes of a tile, at most `width`; none when it is missing.
    async fn load(
        &self,
        level: u8,
        n: u64,
        width: usize,
        snapshot: &mut dyn Snapshot,
        findings: &mut Findings,
    ) -> Result<Vec<Hash>, Error> {
        let place = self.tile_name(TileId { level, n });
        let Some(bytes) = snapshot.tile(self.tree, level, n).await? else {
            findings.add(Code::FsckTile, place, "is missing");
            return Ok(Vec::new());
        };
        let (hashes, _) = bytes.as_chunks::<32>();
        if hashes.len() < width {
            findings.add(
                Code::FsckTile,
                place,
                format!("has {} of {width} hashes", hashes.len()),
            );
        }
        Ok(hashes[..hashes.len().min(width)].to_vec())
    }

    fn tile_name(&self, id: TileId) -> String {
        format!("tile {id} of {}", tree_name(self.tree))
    }

    fn leaf_name(&self, index: u64) -> String {
        match self.tree {
            0 => format!("entry {index}"),
            epoch => format!("epoch {epoch}, statement {index}"),
        }
    }
}

fn roots(pairs: &[(Hash, Hash)]) -> (Hash, Hash) {
    let one: Vec<Hash> = pairs.iter().map(|p| p.0).collect();
    let other: Vec<Hash> = pairs.iter().map(|p| p.1).collect();
    let root = merkle::root(&one);
    (
        root,
        if one == other {
            root
        } else {
            merkle::root(&other)
        },
    )
}

fn tree_name(tree: u64) -> String {
    match tree {
        0 => "the log".to_owned(),
        epoch => format!("epoch {epoch}'s score tree"),
    }
}

/// Tiles that no tree has, or that are wider than their tree.
pub(super) async fn strays(
    snapshot: &mut dyn Snapshot,
    told: &Told,
    findings: &mut Findings,
    counted: &mut Counted,
) -> Result<(), Error> {
    let mut last: Option<TileRow> = None;
    loop {
        let page = snapshot.tiles(last, PAGE).await?;
        let Some(newest) = page.last() else {
            return Ok(());
        };
        last = Some(*newest);
        for row in page {
            counted.tiles += 1;
            let size = match row.tree {
                0 => Some(told.size),
                epoch => told
                    .epochs
                    .iter()
                    .find(|(_, e)| e.number == epoch)
                    .map(|(_, e)| e.statements),
            };
            let place = format!("tile {}/{} of {}", row.level, row.n, tree_name(row.tree));
            let width = u8::try_from(row.level)
                .ok()
                .and_then(|level| TileId { level, n: row.n }.width_in(size?));
            match width.and_then(|w| u64::try_from(w).ok()) {
                None => findings.add(Code::FsckTile, place, "belongs to no tree"),
                Some(width) if row.width > width => {
                    let detail = format!("has {} hashes, its tree has {width}", row.width);
                    findings.add(Code::FsckTile, place, detail);
                }
                Some(_) => {}
            }
        }
    }
}
