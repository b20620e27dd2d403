//! Our verdicts beside those of three other implementations: `ct-merkle`, the Go checksum database's check functions as
//! ported in `tlog_tiles`, and `rs_merkle`, whose own verifier has two holes.
//!
//! The negative classes are those of transparency-dev/merkle's test data, made anew over trees of our own.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "tests"
)]

use ct_merkle::{ConsistencyProof, InclusionProof, RootHash};
use goodstanding_verify::merkle::{
    self, EMPTY_ROOT, Hash, consistency_path, inclusion_path, leaf_hash, node_hash,
    verify_consistency, verify_inclusion,
};
use rs_merkle::{Hasher, MerkleProof, MerkleTree};
use sha2::Sha256;

/// The entry behind leaf `n`.
fn entry(n: usize) -> String {
    format!("entry {n}")
}

fn leaves(count: usize) -> Vec<Hash> {
    (0..count).map(|n| leaf_hash(entry(n).as_bytes())).collect()
}

/// Sizes around everything that is special in a tree.
const SIZES: [usize; 19] = [
    1, 2, 3, 4, 5, 6, 7, 8, 9, 15, 16, 17, 31, 32, 33, 70, 255, 256, 257,
];

#[derive(Clone)]
struct Inclusion {
    index: u64,
    size: u64,
    entry: String,
    path: Vec<Hash>,
    root: Hash,
}

impl Inclusion {
    fn ours(&self) -> bool {
        let leaf = leaf_hash(self.entry.as_bytes());
        verify_inclusion(self.index, self.size, &leaf, &self.path, &self.root).is_ok()
    }

    fn ct_merkle(&self) -> bool {
        let root = RootHash::<Sha256>::new(self.root.into(), self.size);
        InclusionProof::try_from_bytes(self.path.concat()).is_ok_and(|proof| {
            root.verify_inclusion(&self.entry, self.index, &proof)
                .is_ok()
        })
    }

    fn tlog_tiles(&self) -> bool {
        use tlog_tiles::{Hash, check_record};
        let path = self.path.iter().copied().map(Hash).collect();
        let leaf = Hash(leaf_hash(self.entry.as_bytes()));
        check_record(&path, self.size, Hash(self.root), self.index, leaf).is_ok()
    }
}

#[derive(Clone)]
struct Consistency {
    old: u64,
    new: u64,
    old_root: Hash,
    new_root: Hash,
    path: Vec<Hash>,
}

impl Consistency {
    fn ours(&self) -> bool {
        let Self { old, new, .. } = *self;
        verify_consistency(old, new, &self.old_root, &self.new_root, &self.path).is_ok()
    }

    fn ct_merkle(&self) -> bool {
        let old = RootHash::<Sha256>::new(self.old_root.into(), self.old);
        let new = RootHash::<Sha256>::new(self.new_root.into(), self.new);
        ConsistencyProof::try_from_bytes(self.path.concat())
            .is_ok_and(|proof| new.verify_consistency(&old, &proof).is_ok())
    }

    fn tlog_tiles(&self) -> bool {
        use tlog_tiles::{Hash, check_tree};
        let path = self.path.iter().copied().map(Hash).collect();
        let (old, new) = (Hash(self.old_root), Hash(self.new_root));
        check_tree(&path, self.new, new, self.old, old).is_ok()
    }
}

/// Every way in which transparency-dev/merkle spoils a path.
fn spoilt(path: &[Hash], roots: &[Hash]) -> Vec<(String, Vec<Hash>)> {
    let garbage = leaf_hash(b"garbage");
    let mut all = Vec::new();
    for (i, hash) in path.iter().enumerate() {
        for bit in 0..256 {
            let mut bent = path.to_vec();
            bent[i][bit / 8] = hash[bit / 8] ^ (1 << (bit % 8));
            all.push((format!("bit {bit} of hash {i}"), bent));
        }
    }
    for i in 0..=path.len() {
        let mut longer = path.to_vec();
        longer.insert(i, garbage);
        all.push((format!("a hash put in at {i}"), longer));
    }
    for i in 0..path.len() {
        let mut shorter = path.to_vec();
        shorter.remove(i);
        all.push((format!("without hash {i}"), shorter));
    }
    for extra in roots.iter().chain([&garbage, &[0; 32]]) {
        all.push(("trailing".to_owned(), [path, &[*extra]].concat()));
        all.push(("preceding".to_owned(), [&[*extra], path].concat()));
    }
    if !path.is_empty() {
        all.push(("empty".to_owned(), Vec::new()));
        let mut turned = path.to_vec();
        turned.reverse();
        if turned != path {
            all.push(("reversed".to_owned(), turned));
        }
    }
    all
}

#[test]
fn inclusion_verdicts_are_those_of_the_others() {
    for size in SIZES {
        let all = leaves(size);
        let root = merkle::root(&all);
        let step = if size < 40 { 1 } else { size / 3 };
        for index in (0..size).step_by(step).chain([size - 1]) {
            let good = Inclusion {
                index: index as u64,
                size: size as u64,
                entry: entry(index),
                path: inclusion_path(&all, index).unwrap(),
                root,
            };
            assert!(good.ours() && good.ct_merkle() && good.tlog_tiles());
            let with = |change: &dyn Fn(&mut Inclusion)| {
                let mut bad = good.clone();
                change(&mut bad);
                bad
            };
            let mut bad = vec![
                (
                    "wrong entry".to_owned(),
                    with(&|p| p.entry = "other".into()),
                ),
                ("index + 1".to_owned(), with(&|p| p.index += 1)),
                (
                    "index - 1".to_owned(),
                    with(&|p| p.index = p.index.wrapping_sub(1)),
                ),
                ("index xor 2".to_owned(), with(&|p| p.index ^= 2)),
                ("index = size".to_owned(), with(&|p| p.index = p.size)),
                ("size * 2".to_owned(), with(&|p| p.size *= 2)),
                ("size / 2".to_owned(), with(&|p| p.size /= 2)),
                ("no size".to_owned(), with(&|p| p.size = 0)),
                (
                    "random root".to_owned(),
                    with(&|p| p.root = leaf_hash(b"random")),
                ),
                ("empty root".to_owned(), with(&|p| p.root = EMPTY_ROOT)),
                ("zero root".to_owned(), with(&|p| p.root = [0; 32])),
            ];
            for (name, path) in spoilt(&good.path, &[root]) {
                bad.push((name, with(&|p| p.path.clone_from(&path))));
            }
            for (name, proof) in bad {
                let verdicts = [proof.ours(), proof.ct_merkle(), proof.tlog_tiles()];
                assert_eq!(verdicts, [false; 3], "{name}: index {index} of {size}");
            }
        }
    }
}

#[test]
fn consistency_verdicts_are_those_of_the_others() {
    for new in SIZES {
        let all = leaves(new);
        let new_root = merkle::root(&all);
        let step = if new < 20 { 1 } else { new / 4 };
        for old in (1..=new).step_by(step).chain([new, new.div_ceil(2)]) {
            let good = Consistency {
                old: old as u64,
                new: new as u64,
                old_root: merkle::root(&all[..old]),
                new_root,
                path: consistency_path(&all, old).unwrap(),
            };
            assert!(good.ours() && good.ct_merkle() && good.tlog_tiles());
            let with = |change: &dyn Fn(&mut Consistency)| {
                let mut bad = good.clone();
                change(&mut bad);
                bad
            };
            let mut bad = vec![
                (
                    "random old root".to_owned(),
                    with(&|p| p.old_root = leaf_hash(b"random")),
                ),
                (
                    "random new root".to_owned(),
                    with(&|p| p.new_root = leaf_hash(b"random")),
                ),
                (
                    "empty old root".to_owned(),
                    with(&|p| p.old_root = EMPTY_ROOT),
                ),
                (
                    "empty new root".to_owned(),
                    with(&|p| p.new_root = EMPTY_ROOT),
                ),
                ("old + 1".to_owned(), with(&|p| p.old += 1)),
                ("old xor 2".to_owned(), with(&|p| p.old ^= 2)),
                ("new * 2".to_owned(), with(&|p| p.new *= 2)),
                ("new / 2".to_owned(), with(&|p| p.new /= 2)),
            ];
            if old > 1 {
                bad.push(("old - 1".to_owned(), with(&|p| p.old -= 1)));
            }
            if old < new {
                let swapped = Consistency {
                    old: good.new,
                    new: good.old,
                    old_root: good.new_root,
                    new_root: good.old_root,
                    path: good.path.clone(),
                };
                bad.push(("swapped".to_owned(), swapped));
                bad.push((
                    "roots swapped".to_owned(),
                    with(&|p| {
                        std::mem::swap(&mut p.old_root, &mut p.new_root);
                    }),
                ));
            }
            for (name, path) in spoilt(&good.path, &[good.old_root, new_root]) {
                bad.push((name, with(&|p| p.path.clone_from(&path))));
            }
            for (name, proof) in bad {
                let verdicts = [proof.ours(), proof.ct_merkle(), proof.tlog_tiles()];
                assert_eq!(verdicts, [false; 3], "{name}: {old} to {new}");
            }
        }
    }
}

#[derive(Clone)]
struct Rfc6962;

impl Hasher for Rfc6962 {
    type Hash = Hash;

    fn hash(data: &[u8]) -> Hash {
        leaf_hash(data)
    }

    fn concat_and_hash(left: &Hash, right: Option<&Hash>) -> Hash {
        right.map_or(*left, |right| node_hash(left, right))
    }
}

/// `rs_merkle` takes as many hashes as it needs and does not look at the others: one proof then has many spellings.
#[test]
fn surplus_hashes_that_rs_merkle_accepts_are_refused() {
    let all = leaves(11);
    let tree = MerkleTree::<Rfc6962>::from_leaves(&all);
    let root = tree.root().unwrap();
    for index in 0..all.len() {
        let path = tree.proof(&[index]).proof_hashes().to_vec();
        let longer = [path.as_slice(), &[[7; 32], [8; 32]]].concat();
        let theirs = MerkleProof::<Rfc6962>::new(longer.clone());
        assert!(
            theirs.verify(root, &[index], &[all[index]], all.len()),
            "rs_merkle has mended this; the test needs another forgery"
        );
        let (i, size) = (index as u64, all.len() as u64);
        verify_inclusion(i, size, &all[index], &path, &root).unwrap();
        for surplus in 1..=2 {
            let longer = &longer[..path.len() + surplus];
            assert!(verify_inclusion(i, size, &all[index], longer, &root).is_err());
        }
    }
}

/// `rs_merkle` takes an index twice and then pairs what lies side by side: with the real leaf among the hashes of the path,
/// the two leaves that are to be proven can be anything.
#[test]
fn forged_leaves_at_a_repeated_index_that_rs_merkle_accepts_are_refused() {
    let all = leaves(11);
    let tree = MerkleTree::<Rfc6962>::from_leaves(&all);
    let root = tree.root().unwrap();
    let forged = [leaf_hash(b"forged"), leaf_hash(b"forged, too")];
    for index in [1, 3, 5, 7, 9] {
        let path = tree.proof(&[index]).proof_hashes().to_vec();
        let mut bent = path.clone();
        bent.insert(1, all[index]);
        let theirs = MerkleProof::<Rfc6962>::new(bent.clone());
        assert!(
            theirs.verify(root, &[index, index], &forged, all.len()),
            "rs_merkle has mended this; the test needs another forgery"
        );
        let (i, size) = (index as u64, all.len() as u64);
        for leaf in &forged {
            for path in [&path, &bent] {
                assert!(verify_inclusion(i, size, leaf, path, &root).is_err());
            }
        }
        assert!(verify_inclusion(i, size, &all[index], &bent, &root).is_err());
        verify_inclusion(i, size, &all[index], &path, &root).unwrap();
    }
}
