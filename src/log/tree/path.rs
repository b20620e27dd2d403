//! Inclusion and consistency paths (RFC 6962 §2.1) from tiles, and which tiles they need.

use std::collections::{BTreeSet, btree_map::Entry};

use goodstanding_verify::{
    merkle::{self, Hash},
    tile::{TILE_BITS, TILE_WIDTH, TileId},
};

use super::{Edge, Tile, Touched, edge_tiles, edge_width};

/// The same by a plain fold, for proofs: they ask each tile for one path, and building a tree to be asked again costs more
/// than the hashes do.
fn folded(nodes: &[Hash]) -> Option<Hash> {
    (!nodes.is_empty()).then(|| merkle::root(nodes))
}

/// The tiles one needs to prove leaf `index` in a tree of `size` leaves: its own at each level, and the right edge.
pub fn tiles_for_proof(index: u64, size: u64) -> Vec<TileId> {
    let mut ids: Vec<TileId> = edge_tiles(size)
        .filter(|id| edge_width(size, id.level) > 0)
        .collect();
    for edge in edge_tiles(size) {
        let n = index
            .checked_shr(TILE_BITS * (u32::from(edge.level) + 1))
            .unwrap_or(0);
        if n < edge.n {
            ids.push(TileId {
                level: edge.level,
                n,
            });
        }
    }
    ids
}

/// Inclusion path of leaf `index` in the tree of `size` leaves (RFC 6962 §2.1.1), leaf's sibling first. `tile(id)` gives
/// stored tiles, possibly of a later and longer tree.
///
/// # Errors
/// The place of the first tile that is missing or too short.
pub fn inclusion_path(
    index: u64,
    size: u64,
    mut tile: impl FnMut(TileId) -> Option<Tile>,
) -> Result<Vec<Hash>, TileId> {
    let edge = Edge::load(size, &mut tile)?;
    let virtual_nodes = edge.virtual_nodes(folded);
    let mut path = Vec::new();
    let mut at = index;
    for (l, id) in edge_tiles(size).enumerate() {
        let within = usize::try_from(at % 256).unwrap_or_default();
        at >>= TILE_BITS;
        let nodes = if at == id.n {
            let mut nodes = edge.levels[l].clone();
            nodes.extend(l.checked_sub(1).and_then(|below| virtual_nodes[below]));
            nodes
        } else {
            let id = TileId {
                level: id.level,
                n: at,
            };
            tile(id).filter(|t| t.len() == TILE_WIDTH).ok_or(id)?
        };
        if nodes.len() > 1 {
            path.extend(merkle::inclusion_path(&nodes, within).ok_or(id)?);
        }
    }
    Ok(path)
}

/// A subtree that can be read from one tile: `1 << bits` leaves from leaf `start` on, complete in the tree.
#[derive(Clone, Copy)]
struct Complete {
    start: u64,
    bits: u32,
}

impl Complete {
    /// The complete subtrees that the leaves `start..end` are made of, largest first. `start` is a multiple of the largest.
    fn within(start: u64, end: u64) -> impl Iterator<Item = Self> {
        let mut at = start;
        (0..u64::BITS)
            .rev()
            .filter(move |bits| (end - start) >> bits & 1 == 1)
            .map(move |bits| {
                let start = at;
                at += 1 << bits;
                Self { start, bits }
            })
    }

    /// The tile that holds the nodes from which its root follows, all of them.
    fn tile(self) -> TileId {
        let level = self.bits / TILE_BITS;
        TileId {
            // bits < 64, so level < 8
            level: u8::try_from(level).unwrap_or(u8::MAX),
            n: self.start.checked_shr(TILE_BITS * (level + 1)).unwrap_or(0),
        }
    }

    /// Its root, from that tile. `None` if the tile is too short.
    fn root(self, tile: &Tile) -> Option<Hash> {
        let shift = self.bits / TILE_BITS * TILE_BITS;
        let from = usize::try_from((self.start >> shift) % 256).ok()?;
        let count = 1_usize << (self.bits - shift);
        folded(tile.get(from..from + count)?)
    }
}

/// The ranges of leaves whose roots are the consistency path from `old` to `new` leaves (RFC 6962 §2.1.2), in its order.
fn consistency_ranges(old: u64, new: u64) -> Vec<(u64, u64)> {
    let mut ranges = Vec::new();
    if old == 0 {
        return ranges;
    }
    let (mut start, mut end) = (0, new);
    while old < end {
        // Largest power of two below the number of leaves; there are at least two here.
        let split = start + (1_u64 << (end - start - 1).ilog2());
        if old <= split {
            ranges.push((split, end));
            end = split;
        } else {
            ranges.push((start, split));
            start = split;
        }
    }
    // The old tree's own root is known to whoever asks.
    if start > 0 {
        ranges.push((start, end));
    }
    ranges.reverse();
    ranges
}

/// The tiles one needs to prove that the tree of `new` leaves extends that of `old`: at most two a level, none if there is
/// nothing to prove.
pub fn tiles_for_consistency(old: u64, new: u64) -> Vec<TileId> {
    let ids: BTreeSet<TileId> = consistency_ranges(old, new)
        .into_iter()
        .flat_map(|(start, end)| Complete::within(start, end))
        .map(Complete::tile)
        .collect();
    ids.into_iter().collect()
}

/// Consistency path from the first `old` leaves to the first `new` (RFC 6962 §2.1.2); empty if `old` is 0, `new` or more.
/// `tile(id)` gives stored tiles, possibly of a later and longer tree; each is asked for once.
///
/// # Errors
/// The place of the first tile that is missing or too short.
pub fn consistency_path(
    old: u64,
    new: u64,
    mut tile: impl FnMut(TileId) -> Option<Tile>,
) -> Result<Vec<Hash>, TileId> {
    let mut tiles = Touched::new();
    let mut root_of_subtree = |subtree: Complete| {
        let id = subtree.tile();
        let held = match tiles.entry(id) {
            Entry::Occupied(held) => held.into_mut(),
            Entry::Vacant(place) => place.insert(tile(id).ok_or(id)?),
        };
        subtree.root(held).ok_or(id)
    };
    let mut path = Vec::new();
    for (start, end) in consistency_ranges(old, new) {
        let roots = Complete::within(start, end)
            .map(&mut root_of_subtree)
            .collect::<Result<Vec<_>, _>>()?;
        // Only the last range can be ragged: smaller subtrees hang to the right of larger ones.
        let joined = roots
            .into_iter()
            .rev()
            .reduce(|right, left| merkle::node_hash(&left, &right));
        path.extend(joined);
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use goodstanding_verify::merkle::verify_inclusion;

    use super::*;
    use crate::log::tree::tests::{Grown, leaves};

    impl Grown {
        fn path(&self, index: u64, size: u64) -> Vec<Hash> {
            inclusion_path(index, size, |id| self.tiles.get(&id).cloned()).unwrap()
        }

        /// The path, after checking that it reads every announced tile once and no other.
        fn consistency(&self, old: u64, new: u64) -> Vec<Hash> {
            let mut read = Vec::new();
            let path = consistency_path(old, new, |id| {
                read.push(id);
                self.tiles.get(&id).cloned()
            });
            read.sort();
            assert_eq!(read, tiles_for_consistency(old, new), "{old} to {new}");
            path.unwrap()
        }
    }

    /// ct-merkle's root over the same leaves, an independent implementation.
    struct Peer(ct_merkle::mem_backed_tree::MemoryBackedTree<Sha256, String>);
    type Sha256 = sha2::Sha256;

    impl Peer {
        fn new() -> Self {
            Self(ct_merkle::mem_backed_tree::MemoryBackedTree::new())
        }
        fn root(&self) -> Hash {
            let root = self.0.root();
            root.as_bytes().as_slice().try_into().unwrap()
        }
    }

    #[test]
    fn roots_and_all_paths_equal_ct_merkle_to_600() {
        let all = leaves(600);
        let (mut grown, mut peer) = (Grown::default(), Peer::new());
        for (n, leaf) in (1_u64..).zip(&all) {
            grown.grow(std::slice::from_ref(leaf));
            peer.0.push((n - 1).to_string());
            assert_eq!(grown.edge.root(), peer.root(), "size {n}");
            for index in (0..n).filter(|i| n < 40 || i % 37 == 0 || i + 3 > n || i % 256 > 253) {
                let theirs = peer.0.prove_inclusion(usize::try_from(index).unwrap());
                let ours = grown.path(index, n).concat();
                assert_eq!(ours, theirs.as_bytes(), "index {index} size {n}");
            }
        }
    }

    #[test]
    fn roots_and_paths_around_tile_borders_and_65536() {
        let all = leaves(66_100);
        let mut grown = Grown::default();
        let mut done = 0_usize;
        for size in [
            255_u64, 256, 257, 511, 512, 513, 2560, 65_279, 65_280, 65_535, 65_536, 65_537, 65_792,
            66_100,
        ] {
            let to = usize::try_from(size).unwrap();
            grown.grow(&all[done..to]);
            done = to;
            let root = merkle::root(&all[..to]);
            assert_eq!(grown.edge.root(), root, "size {size}");
            for index in [
                0,
                1,
                255,
                256,
                12_345,
                size / 2,
                size.saturating_sub(257),
                size - 1,
            ] {
                if index < size {
                    let path = grown.path(index, size);
                    let leaf = all[usize::try_from(index).unwrap()];
                    verify_inclusion(index, size, &leaf, &path, &root).unwrap();
                }
            }
            // An edge loaded back from the stored tiles is the same edge.
            let loaded = Edge::load(size, |id| grown.tiles.get(&id).cloned()).unwrap();
            assert_eq!(loaded.root(), root);
            assert_eq!(loaded.size(), size);
        }
        // Proofs against older, smaller trees come from the same, longer tiles.
        for size in [1_u64, 2, 255, 256, 300, 65_535, 65_536] {
            let root = merkle::root(&all[..usize::try_from(size).unwrap()]);
            let path = grown.path(size - 1, size);
            verify_inclusion(
                size - 1,
                size,
                &all[usize::try_from(size - 1).unwrap()],
                &path,
                &root,
            )
            .unwrap();
        }
    }

    #[test]
    fn proofs_read_only_the_tiles_they_announce() {
        let all = leaves(70_000);
        let mut grown = Grown::default();
        grown.grow(&all);
        for (index, size) in [
            (0, 70_000),
            (69_999, 70_000),
            (12_345, 65_536),
            (0, 1),
            (65_535, 65_536),
        ] {
            let announced = tiles_for_proof(index, size);
            inclusion_path(index, size, |id| {
                announced.contains(&id).then(|| grown.tiles[&id].clone())
            })
            .unwrap();
        }
    }

    #[test]
    fn consistency_paths_to_600_are_those_of_the_rfc() {
        let all = leaves(600);
        let mut grown = Grown::default();
        grown.grow(&all);
        let roots: Vec<_> = (0..=600).map(|size| merkle::root(&all[..size])).collect();
        let at = |n: u64| usize::try_from(n).unwrap();
        // Every size to the first full tile and a little beyond, then around those of whole subtrees.
        let sizes =
            (0..=600_u64).filter(|n| *n <= 300 || *n >= 598 || matches!(n % 32, 0 | 1 | 31));
        for new in sizes {
            for old in 0..=new {
                let ours = grown.consistency(old, new);
                // The strict verifier admits one path only; the definition, which is slow, for a part of them.
                let (old_root, new_root) = (&roots[at(old)], &roots[at(new)]);
                merkle::verify_consistency(old, new, old_root, new_root, &ours).unwrap();
                if old == 0 || old == new {
                    assert_eq!(ours, Vec::<Hash>::new());
                } else if new <= 130 || (new % 64 <= 1 && old % 5 == 0) {
                    let theirs = merkle::consistency_path(&all[..at(new)], at(old));
                    assert_eq!(Some(ours), theirs, "{old} to {new}");
                }
            }
        }
    }

    #[test]
    fn consistency_paths_around_tile_borders_and_65536() {
        let all = leaves(66_400);
        let mut grown = Grown::default();
        grown.grow(&all);
        let sizes = [
            1_u64, 2, 3, 128, 255, 256, 257, 511, 512, 513, 12_345, 32_768, 65_279, 65_280, 65_281,
            65_535, 65_536, 65_537, 65_791, 65_792, 65_793, 66_048, 66_100, 66_399, 66_400,
        ];
        let at = |n: u64| usize::try_from(n).unwrap();
        for new in sizes {
            let new_root = merkle::root(&all[..at(new)]);
            for old in sizes.into_iter().filter(|old| *old <= new) {
                let ours = grown.consistency(old, new);
                let theirs = merkle::consistency_path(&all[..at(new)], at(old));
                assert_eq!(Some(&ours), theirs.as_ref(), "{old} to {new}");
                let old_root = merkle::root(&all[..at(old)]);
                merkle::verify_consistency(old, new, &old_root, &new_root, &ours).unwrap();
            }
        }
    }

    proptest::proptest! {
        #[test]
        fn few_tiles_prove_consistency_at_any_size(old in 1_u64..1 << 53, more in 0_u64..1 << 53) {
            let new = old + more;
            let tiles = tiles_for_consistency(old, new);
            let levels = edge_tiles(new).count();
            proptest::prop_assert!(tiles.len() <= 2 * levels, "{} tiles, {levels} levels", tiles.len());
            for id in tiles {
                proptest::prop_assert!(id.width_in(new).is_some(), "{id} is not in a tree of {new}");
            }
        }
    }

    #[test]
    fn a_missing_or_short_tile_of_a_consistency_path_is_named() {
        let mut grown = Grown::default();
        grown.grow(&leaves(600));
        let place = TileId { level: 0, n: 1 };
        let missing = consistency_path(300, 600, |id| {
            (id != place).then(|| grown.tiles[&id].clone())
        });
        assert_eq!(missing, Err(place));
        let short = consistency_path(300, 600, |id| {
            let mut tile = grown.tiles[&id].clone();
            if id == place {
                tile.truncate(43);
            }
            Some(tile)
        });
        assert_eq!(short, Err(place));
    }

    #[test]
    fn a_missing_or_short_tile_is_named() {
        let mut grown = Grown::default();
        grown.grow(&leaves(300));
        let missing = inclusion_path(3, 300, |id| {
            (id.level != 0 || id.n != 0).then(|| grown.tiles[&id].clone())
        });
        assert_eq!(missing, Err(TileId { level: 0, n: 0 }));
        let short = Edge::load(300, |id| Some(grown.tiles[&id][..1].to_vec()));
        assert_eq!(short, Err(TileId { level: 0, n: 1 }));
    }
}
