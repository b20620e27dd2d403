//! The Merkle tree against known answers, against another implementation, and against forgeries.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use ct_merkle::mem_backed_tree::MemoryBackedTree;
use goodstanding_verify::{
    code::Code,
    digest::to_hex,
    merkle::{
        EMPTY_ROOT, Hash, consistency_path, inclusion_path, leaf_hash, node_hash, root,
        verify_consistency, verify_inclusion,
    },
};
use sha2::Sha256;

/// The eight leaves of the certificate-transparency test vectors.
const LEAVES: [&[u8]; 8] = [
    b"",
    b"\x00",
    b"\x10",
    b"\x20\x21",
    b"\x30\x31",
    b"\x40\x41\x42\x43",
    b"\x50\x51\x52\x53\x54\x55\x56\x57",
    b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
];

const ROOTS: [&str; 9] = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
];

fn ct_leaves() -> Vec<Hash> {
    LEAVES.iter().map(|leaf| leaf_hash(leaf)).collect()
}

/// Leaf hashes of the decimal numbers from 0.
fn numbered(count: usize) -> Vec<Hash> {
    (0..count)
        .map(|i| leaf_hash(i.to_string().as_bytes()))
        .collect()
}

#[test]
fn hashers() {
    assert_eq!(
        to_hex(&leaf_hash(b"L123456")),
        "395aa064aa4c29f7010acfe3f25db9485bbd4b91897b6ad7ad547639252b4d56"
    );
    let leaves = ct_leaves();
    assert_eq!(to_hex(&node_hash(&leaves[0], &leaves[1])), ROOTS[2]);
    assert_eq!(root(&[]), EMPTY_ROOT);
}

#[test]
fn known_roots_and_paths() {
    let leaf = ct_leaves();
    for (size, wanted) in ROOTS.iter().enumerate() {
        assert_eq!(to_hex(&root(&leaf[..size])), *wanted, "size {size}");
    }
    let pair: Vec<Hash> = leaf.chunks(2).map(|p| node_hash(&p[0], &p[1])).collect();
    let four: Vec<Hash> = pair.chunks(2).map(|p| node_hash(&p[0], &p[1])).collect();
    let inclusion: [(usize, usize, Vec<Hash>); 9] = [
        (0, 1, vec![]),
        (0, 2, vec![leaf[1]]),
        (1, 2, vec![leaf[0]]),
        (2, 3, vec![pair[0]]),
        (4, 5, vec![four[0]]),
        (1, 5, vec![leaf[0], pair[1], leaf[4]]),
        (6, 7, vec![pair[2], four[0]]),
        (0, 8, vec![leaf[1], pair[1], four[1]]),
        (5, 8, vec![leaf[4], pair[3], four[0]]),
    ];
    for (index, size, path) in inclusion {
        assert_eq!(
            inclusion_path(&leaf[..size], index),
            Some(path),
            "({index}, {size})"
        );
    }
    let x = node_hash(&pair[2], &leaf[6]);
    assert_eq!(
        to_hex(&x),
        "837dbb152e9b079010717e84e865da4ebc0fa198a806d59d31bf15accef22d0e"
    );
    let consistency: [(usize, usize, Vec<Hash>); 7] = [
        (1, 1, vec![]),
        (1, 8, vec![leaf[1], pair[1], four[1]]),
        (2, 5, vec![pair[1], leaf[4]]),
        (6, 8, vec![pair[2], pair[3], four[0]]),
        (7, 8, vec![leaf[6], leaf[7], pair[2], four[0]]),
        (4, 7, vec![x]),
        (3, 7, vec![leaf[2], leaf[3], pair[0], x]),
    ];
    for (old, new, path) in consistency {
        assert_eq!(
            consistency_path(&leaf[..new], old),
            Some(path),
            "({old}, {new})"
        );
    }
}

#[test]
fn large_trees() {
    let leaves = numbered(70_000);
    for (size, wanted) in [
        (
            1,
            "db3426e878068d28d269b6c87172322ce5372b65756d0789001d34835f601c03",
        ),
        (
            256,
            "828515d033c19d8c901f37eccb8aed919667703486f8d2fff1cf7040321c5db1",
        ),
        (
            257,
            "1eda049a4351d86f76252bd7ec0b7746ad75b7fa0316ad5f541dbda458a312c4",
        ),
        (
            1_000,
            "638afa98022925bacfddadb15ef22fd0199c1ac99c2973b6158243d13fce05c2",
        ),
        (
            65_536,
            "f025d06ed804859fd274a1bdacadd6e48ea87634aa91e1edb20143f9498cd02b",
        ),
        (
            69_999,
            "1a30db39ab3273c719cd770384b6e6742d5747aea16f1d6586ebd9f277bd7996",
        ),
        (
            70_000,
            "1a4cdfcb66374a0c0dcbef49acbd4976d13ee864fb3cb241fc943cad04f02f7e",
        ),
    ] {
        assert_eq!(to_hex(&root(&leaves[..size])), wanted, "size {size}");
    }
    let path = inclusion_path(&leaves, 12_345).unwrap();
    assert_eq!(path.len(), 17);
    assert_eq!(
        to_hex(&path[0]),
        "883a92ae2496f1675a5adf45ed4755fdeb4e5f8a25100f2d871276afa8231dff"
    );
    assert_eq!(
        to_hex(&path[16]),
        "41e59d75a61680c14d8b166aefac6c6533c7a4a0acaca6da8262581d8288da2d"
    );
    let all = root(&leaves);
    verify_inclusion(12_345, 70_000, &leaves[12_345], &path, &all).unwrap();
    let path = consistency_path(&leaves, 65_537).unwrap();
    assert_eq!(path.len(), 15);
    verify_consistency(65_537, 70_000, &root(&leaves[..65_537]), &all, &path).unwrap();
}

fn hashes(bytes: &[u8]) -> Vec<Hash> {
    bytes
        .chunks(32)
        .map(|hash| hash.try_into().unwrap())
        .collect()
}

/// Roots at every size, proofs at every size up to 600 and around the edges of tiles.
#[test]
fn agrees_with_ct_merkle() {
    let edges = |size: usize| size <= 600 || size % 256 <= 1 || size % 256 == 255;
    let leaves = numbered(65_540);
    let mut tree = MemoryBackedTree::<Sha256, String>::new();
    for size in 1..=leaves.len() {
        tree.push((size - 1).to_string());
        let sampled = size <= 600 || (size <= 4_096 && edges(size)) || size >= 65_535;
        if !sampled {
            continue;
        }
        let ours = &leaves[..size];
        let all = root(ours);
        assert_eq!(
            all.as_slice(),
            tree.root().as_bytes().as_slice(),
            "size {size}"
        );
        let step = if size <= 40 { 1 } else { size / 7 + 1 };
        for index in (0..size).step_by(step).chain([size - 1, size / 2]) {
            let path = inclusion_path(ours, index).unwrap();
            assert_eq!(
                path,
                hashes(tree.prove_inclusion(index).as_bytes()),
                "inclusion ({index}, {size})"
            );
            verify_inclusion(index as u64, size as u64, &ours[index], &path, &all).unwrap();
        }
        for old in (1..=size).step_by(step).chain([size]) {
            let path = consistency_path(ours, old).unwrap();
            if old < size {
                assert_eq!(
                    path,
                    hashes(tree.prove_consistency(size - old).as_bytes()),
                    "consistency ({old}, {size})"
                );
            }
            verify_consistency(old as u64, size as u64, &root(&ours[..old]), &all, &path).unwrap();
        }
    }
}

#[test]
fn inclusion_forgeries() {
    let leaves = numbered(70);
    for size in 1..=leaves.len() {
        let leaves = &leaves[..size];
        let (all, n) = (root(leaves), size as u64);
        for index in 0..size {
            let (leaf, i) = (&leaves[index], index as u64);
            let path = inclusion_path(leaves, index).unwrap();
            let refused = |i: u64, n: u64, leaf: &Hash, path: &[Hash], root: &Hash| {
                let error = verify_inclusion(i, n, leaf, path, root).unwrap_err();
                assert_eq!(error.code(), Code::ProofInclusionInvalid);
            };
            refused(i + 1, n, leaf, &path, &all);
            refused(i, n, &leaf_hash(b"other"), &path, &all);
            refused(i, n, leaf, &path, &[0; 32]);
            refused(i, n, leaf, &path, &EMPTY_ROOT);
            refused(n, n, leaf, &path, &all);
            refused(i, 0, leaf, &path, &all);
            refused(u64::MAX, u64::MAX, leaf, &path, &all);
            refused(
                i ^ 2,
                n,
                leaf,
                &path,
                if path.is_empty() { &EMPTY_ROOT } else { &all },
            );
            // Surplus hashes at either end, which some verifiers ignore.
            refused(i, n, leaf, &[path.as_slice(), &[all]].concat(), &all);
            refused(i, n, leaf, &[&[all], path.as_slice()].concat(), &all);
            if let Some((_, rest)) = path.split_first() {
                refused(i, n, leaf, rest, &all);
                refused(i, n, leaf, &path[..path.len() - 1], &all);
                refused(i, n, leaf, &[], &all);
            }
            for at in 0..path.len() {
                let mut bent = path.clone();
                bent[at][31] ^= 1;
                refused(i, n, leaf, &bent, &all);
            }
        }
    }
}

/// A proof of two leaves that names one index twice made another library accept a forged leaf. Here one proof speaks of one
/// leaf, so the same index with another leaf is refused.
#[test]
fn one_index_has_one_leaf() {
    let leaves = numbered(8);
    let all = root(&leaves);
    let path = inclusion_path(&leaves, 3).unwrap();
    verify_inclusion(3, 8, &leaves[3], &path, &all).unwrap();
    for forged in leaves.iter().enumerate().filter(|(i, _)| *i != 3) {
        assert!(verify_inclusion(3, 8, forged.1, &path, &all).is_err());
    }
}

#[test]
fn consistency_forgeries() {
    let leaves = numbered(40);
    let roots: Vec<Hash> = (0..=leaves.len())
        .map(|size| root(&leaves[..size]))
        .collect();
    for new in 0..=leaves.len() {
        verify_consistency(0, new as u64, &EMPTY_ROOT, &roots[new], &[]).unwrap();
        for old in 1..=new {
            let (m, n) = (old as u64, new as u64);
            let path = consistency_path(&leaves[..new], old).unwrap();
            verify_consistency(m, n, &roots[old], &roots[new], &path).unwrap();
            let refused = |m: u64, n: u64, a: &Hash, b: &Hash, path: &[Hash]| {
                let error = verify_consistency(m, n, a, b, path).unwrap_err();
                assert_eq!(error.code(), Code::ProofConsistencyInvalid);
            };
            refused(m, n, &[0; 32], &roots[new], &path);
            refused(m, n, &roots[old], &[0; 32], &path);
            refused(
                m,
                n,
                &roots[old],
                &roots[new],
                &[path.as_slice(), &[roots[new]]].concat(),
            );
            refused(
                m,
                n,
                &roots[old],
                &roots[new],
                &[&[roots[new]], path.as_slice()].concat(),
            );
            refused(0, n, &roots[old], &roots[new], &path);
            if old < new {
                refused(n, m, &roots[new], &roots[old], &path);
                refused(m, n, &roots[old], &roots[new], &[]);
                refused(m, n, &roots[old], &roots[new], &path[1..]);
                refused(m, m, &roots[old], &roots[new], &path);
            }
            for at in 0..path.len() {
                let mut bent = path.clone();
                bent[at][0] ^= 128;
                refused(m, n, &roots[old], &roots[new], &bent);
            }
        }
    }
    assert!(verify_consistency(0, 5, &roots[1], &roots[5], &[]).is_err());
    assert!(verify_consistency(0, 5, &EMPTY_ROOT, &roots[5], &roots[..1]).is_err());
    assert_eq!(consistency_path(&leaves, 0), None);
    assert_eq!(consistency_path(&leaves, 41), None);
    assert_eq!(inclusion_path(&leaves, 40), None);
}

/// Our proofs satisfy the check functions of the Go checksum database, as ported to Rust.
#[test]
fn agrees_with_tlog_tiles() {
    use tlog_tiles::{Hash as Theirs, check_record, check_tree};
    let theirs = |path: Vec<Hash>| path.into_iter().map(Theirs).collect::<Vec<_>>();
    for size in (1..=40).chain([255, 256, 257, 600]) {
        let leaves = numbered(size);
        let (all, n) = (Theirs(root(&leaves)), size as u64);
        for index in 0..size {
            let path = theirs(inclusion_path(&leaves, index).unwrap());
            check_record(&path, n, all, index as u64, Theirs(leaves[index])).unwrap();
            let path = theirs(consistency_path(&leaves, index + 1).unwrap());
            check_tree(
                &path,
                n,
                all,
                index as u64 + 1,
                Theirs(root(&leaves[..=index])),
            )
            .unwrap();
        }
    }
}
