//! Roots, paths and verdicts against the RFC's definitions, for trees of any small size and for any claim about large ones.
#![no_main]

use arbitrary::Arbitrary;
use goodstanding_fuzz::naive;
use goodstanding_verify::merkle::{self, EMPTY_ROOT, Hash, leaf_hash};
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
struct Case {
    size: u16,
    index: u16,
    old: u16,
    /// Bit of the path that is turned over, if the path is as long.
    bent: u16,
    /// Another index and other sizes, for the same path.
    claim: (u64, u64, u64),
    path: Vec<Hash>,
    leaf: Hash,
}

fuzz_target!(|case: Case| {
    let size = usize::from(case.size % 300);
    let leaves: Vec<Hash> = (0..size)
        .map(|i| leaf_hash(&[&case.leaf[..4], &i.to_be_bytes()].concat()))
        .collect();
    let root = naive::root(&leaves);
    assert_eq!(merkle::root(&leaves), root);
    assert_eq!(merkle::inclusion_path(&leaves, size), None);
    assert_eq!(merkle::consistency_path(&leaves, 0), None);
    assert_eq!(merkle::consistency_path(&leaves, size + 1), None);
    if size > 0 {
        inclusion(&case, &leaves, &root);
        consistency(&case, &leaves, &root);
    }
    let (index, old, new) = case.claim;
    includes(index, new, &case.leaf, &case.path, &root);
    extends(old, new, &case.leaf, &root, &case.path);
    extends(old, new, &EMPTY_ROOT, &root, &case.path);
});

fn inclusion(case: &Case, leaves: &[Hash], root: &Hash) {
    let size = leaves.len() as u64;
    let index = usize::from(case.index) % leaves.len();
    let (leaf, at) = (&leaves[index], index as u64);
    let mut path = naive::inclusion_path(leaves, index);
    assert_eq!(merkle::inclusion_path(leaves, index).as_ref(), Some(&path));
    assert!(includes(at, size, leaf, &path, root));
    // No other leaf, index, root or path will do.
    let other = u64::from(case.old) % size;
    assert_eq!(includes(other, size, leaf, &path, root), other == at);
    assert!(!includes(case.claim.0.max(size), size, leaf, &path, root));
    includes(at, case.claim.1, leaf, &path, root);
    assert_eq!(
        includes(at, size, &leaves[other as usize], &path, root),
        other == at
    );
    assert!(!includes(at, size, leaf, &path, &case.leaf));
    path.push(case.leaf);
    assert!(!includes(at, size, leaf, &path, root));
    path.pop();
    if bend(&mut path, case.bent) {
        assert!(!includes(at, size, leaf, &path, root));
    }
    if path.pop().is_some() {
        assert!(!includes(at, size, leaf, &path, root));
    }
}

fn consistency(case: &Case, leaves: &[Hash], root: &Hash) {
    let new = leaves.len() as u64;
    let old = usize::from(case.old) % leaves.len() + 1;
    let old_root = naive::root(&leaves[..old]);
    let mut path = naive::consistency_path(leaves, old);
    let old = old as u64;
    assert_eq!(
        merkle::consistency_path(leaves, old as usize).as_ref(),
        Some(&path)
    );
    assert!(extends(old, new, &old_root, root, &path));
    assert!(!extends(old, new, &case.leaf, root, &path));
    assert!(!extends(old, new, &old_root, &case.leaf, &path));
    assert!(!extends(new + 1, new, &old_root, root, &path));
    extends(case.claim.1, case.claim.2, &old_root, root, &path);
    path.push(case.leaf);
    assert!(!extends(old, new, &old_root, root, &path));
    path.pop();
    if bend(&mut path, case.bent) {
        assert!(!extends(old, new, &old_root, root, &path));
    }
    if path.pop().is_some() {
        assert!(!extends(old, new, &old_root, root, &path));
    }
}

/// Turns one bit of the path over.
fn bend(path: &mut [Hash], bit: u16) -> bool {
    let bit = usize::from(bit);
    let byte = path.get_mut(bit / 256).map(|hash| &mut hash[bit % 256 / 8]);
    byte.map(|byte| *byte ^= 1 << (bit % 8)).is_some()
}

/// The verdict, which must be the RFC's.
fn includes(index: u64, size: u64, leaf: &Hash, path: &[Hash], root: &Hash) -> bool {
    let verdict = merkle::verify_inclusion(index, size, leaf, path, root).is_ok();
    assert_eq!(verdict, naive::includes(index, size, leaf, path, root));
    verdict
}

/// The verdict, which must be the RFC's; on its edges, what follows from the definitions.
fn extends(old: u64, new: u64, old_root: &Hash, new_root: &Hash, path: &[Hash]) -> bool {
    let verdict = merkle::verify_consistency(old, new, old_root, new_root, path).is_ok();
    let truth = if old == new {
        path.is_empty() && old_root == new_root
    } else if old == 0 {
        path.is_empty() && *old_root == EMPTY_ROOT
    } else {
        naive::extends(old, new, old_root, new_root, path)
    };
    assert_eq!(verdict, truth);
    verdict
}
