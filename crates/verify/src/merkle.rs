//! The Merkle tree of RFC 6962 §2.1 (= RFC 9162 §2.1) over SHA-256: roots, paths, and strict verification.
//!
//! A path is checked for its exact length first, so surplus hashes and forged indices are refused. Always take size and root
//! from one signed checkpoint: a path alone does not pin the size.

use sha2::{Digest as _, Sha256};

use crate::code::{Code, Error};

/// A node or leaf hash.
pub type Hash = [u8; 32];

/// Root of the empty tree: SHA-256 of nothing.
pub const EMPTY_ROOT: Hash = [
    0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24,
    0x27, 0xae, 0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55,
];

/// `SHA-256(0x00 || entry)`.
pub fn leaf_hash(entry: &[u8]) -> Hash {
    Sha256::new()
        .chain_update([0])
        .chain_update(entry)
        .finalize()
        .into()
}

/// `SHA-256(0x01 || left || right)`.
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    Sha256::new()
        .chain_update([1])
        .chain_update(left)
        .chain_update(right)
        .finalize()
        .into()
}

/// The level above: neighbours joined, a lone last node carried up unchanged.
fn level_above(nodes: &[Hash]) -> Vec<Hash> {
    nodes
        .chunks(2)
        .filter_map(|pair| match pair {
            [left, right] => Some(node_hash(left, right)),
            [lone] => Some(*lone),
            _ => None,
        })
        .collect()
}

/// Root of the tree over these leaf hashes.
pub fn root(leaves: &[Hash]) -> Hash {
    let mut level = match leaves {
        [] => return EMPTY_ROOT,
        [lone] => return *lone,
        _ => level_above(leaves),
    };
    loop {
        match level.as_slice() {
            [root] => return *root,
            _ => level = level_above(&level),
        }
    }
}

/// Inclusion path of leaf `index`, its sibling first. `None` if there is no such leaf.
pub fn inclusion_path(leaves: &[Hash], index: usize) -> Option<Vec<Hash>> {
    leaves.get(index)?;
    let mut path = Vec::new();
    let mut level = leaves.to_vec();
    let mut index = index;
    while level.len() > 1 {
        path.extend(level.get(index ^ 1));
        level = level_above(&level);
        index >>= 1;
    }
    Some(path)
}

/// Consistency path from the first `old` leaves to all of them. `None` if `old` is 0 or more than there are.
pub fn consistency_path(leaves: &[Hash], old: usize) -> Option<Vec<Hash>> {
    if old == 0 || old > leaves.len() {
        return None;
    }
    let mut path = Vec::new();
    let (mut leaves, mut old, mut old_is_known) = (leaves, old, true);
    while old < leaves.len() {
        // Largest power of two below the size.
        let split = leaves
            .len()
            .checked_sub(1)?
            .checked_ilog2()
            .and_then(|bits| 1_usize.checked_shl(bits))?;
        let (left, right) = leaves.split_at_checked(split)?;
        if old <= split {
            path.push(root(right));
            leaves = left;
        } else {
            path.push(root(left));
            leaves = right;
            old = old.checked_sub(split)?;
            old_is_known = false;
        }
    }
    if !old_is_known {
        path.push(root(leaves));
    }
    path.reverse();
    Some(path)
}

/// Number of bits of `n` without leading zeros.
fn bit_length(n: u64) -> u32 {
    u64::BITS.saturating_sub(n.leading_zeros())
}

fn shr(n: u64, bits: u32) -> u64 {
    n.checked_shr(bits).unwrap_or(0)
}

/// Checks that `leaf` is leaf `index` of the tree with this size and root.
///
/// # Errors
/// `proof.inclusion_invalid`.
pub fn verify_inclusion(
    index: u64,
    size: u64,
    leaf: &Hash,
    path: &[Hash],
    root: &Hash,
) -> Result<(), Error> {
    let invalid = |why: &str| Error::new(Code::ProofInclusionInvalid, why);
    if index >= size {
        return Err(invalid("index is not below the tree size"));
    }
    // Below `inner` levels the path zigzags; above, every node is on the right edge and its sibling on the left.
    let inner = bit_length(index ^ size.saturating_sub(1));
    let border = shr(index, inner).count_ones();
    if u32::try_from(path.len()).ok() != inner.checked_add(border) {
        return Err(invalid("path has the wrong length"));
    }
    let mut hash = *leaf;
    for (level, sibling) in (0_u32..).zip(path) {
        let is_left = level < inner && shr(index, level) & 1 == 0;
        hash = if is_left {
            node_hash(&hash, sibling)
        } else {
            node_hash(sibling, &hash)
        };
    }
    if hash == *root {
        Ok(())
    } else {
        Err(invalid("path does not lead to the root"))
    }
}

/// Checks that the tree of `new` leaves extends the tree of `old` leaves.
///
/// # Errors
/// `proof.consistency_invalid`.
pub fn verify_consistency(
    old: u64,
    new: u64,
    old_root: &Hash,
    new_root: &Hash,
    path: &[Hash],
) -> Result<(), Error> {
    let verdict = |ok: bool, why: &str| {
        if ok {
            Ok(())
        } else {
            Err(Error::new(Code::ProofConsistencyInvalid, why))
        }
    };
    verdict(old <= new, "old tree is larger")?;
    if old == new {
        return verdict(
            path.is_empty() && old_root == new_root,
            "same size, but another root or a path",
        );
    }
    if old == 0 {
        return verdict(
            path.is_empty() && *old_root == EMPTY_ROOT,
            "empty tree with a path or another root",
        );
    }
    let shift = old.trailing_zeros();
    let last = old.saturating_sub(1);
    let inner = bit_length(last ^ new.saturating_sub(1));
    let border = shr(last, inner).count_ones();
    // A complete old tree is itself the first node; otherwise the path brings it.
    let (seed, rest) = if old.is_power_of_two() {
        (*old_root, path)
    } else {
        match path.split_first() {
            Some((seed, rest)) => (*seed, rest),
            None => return verdict(false, "empty path"),
        }
    };
    let inner = inner.saturating_sub(shift);
    verdict(
        u32::try_from(rest.len()).ok() == inner.checked_add(border),
        "path has the wrong length",
    )?;
    let mask = shr(last, shift);
    let (mut old_hash, mut new_hash) = (seed, seed);
    for (level, sibling) in (0_u32..).zip(rest) {
        if level >= inner || shr(mask, level) & 1 == 1 {
            old_hash = node_hash(sibling, &old_hash);
            new_hash = node_hash(sibling, &new_hash);
        } else {
            new_hash = node_hash(&new_hash, sibling);
        }
    }
    verdict(old_hash == *old_root, "path does not lead to the old root")?;
    verdict(new_hash == *new_root, "path does not lead to the new root")
}
