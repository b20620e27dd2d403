//! Tile paths, tile and bundle bytes, and the reader that authenticates them (C2SP tlog-tiles).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "tests"
)]

use goodstanding_verify::{
    Code,
    frontier::Frontier,
    merkle::{self, Hash},
    tile::{TILE_WIDTH, TileId, TilePath, bundle_bytes, parse_bundle, parse_tile, tile_bytes},
    tile_reader::TileReader,
};
use proptest::prelude::*;

/// Tile `id` of the tree over these leaves, at its full width there.
fn tile_of(leaves: &[Hash], id: TileId) -> Vec<Hash> {
    let width = id.width_in(leaves.len() as u64).unwrap();
    let span = 256_usize.pow(u32::from(id.level));
    let start = usize::try_from(id.n).unwrap() * TILE_WIDTH;
    (start..start + width)
        .map(|i| merkle::root(&leaves[i * span..(i + 1) * span]))
        .collect()
}

/// The reference's large tree: leaf i is the decimal text of i.
fn leaves(n: u64) -> Vec<Hash> {
    (0..n)
        .map(|i| merkle::leaf_hash(i.to_string().as_bytes()))
        .collect()
}

/// Reads a tile through a reader, from what a server gives.
fn read(
    reader: &mut TileReader,
    id: TileId,
    mut server: impl FnMut(TilePath) -> Vec<u8>,
) -> Result<Vec<Hash>, Code> {
    while let Some(path) = reader.missing(id) {
        reader.add(path, &server(path)).map_err(|e| e.code())?;
    }
    Ok(reader.get(id).expect("nothing is missing").to_vec())
}

#[test]
fn every_tile_of_trees_around_tile_borders_is_read() {
    let all = leaves(70_000);
    for size in [
        1_usize, 2, 255, 256, 257, 511, 512, 513, 65_535, 65_536, 65_537, 65_792, 70_000,
    ] {
        let tree = &all[..size];
        let mut reader = TileReader::new(size as u64, merkle::root(tree));
        for level in 0..3_u8 {
            for n in (0..300).step_by(7).chain([255, 256, 257, 273]) {
                let id = TileId { level, n };
                if id.width_in(size as u64).is_none() {
                    assert_eq!(reader.missing(id), None, "{id} in {size}");
                    assert_eq!(reader.get(id), None);
                    continue;
                }
                let got = read(&mut reader, id, |path| {
                    tile_bytes(&tile_of(tree, path.tile().unwrap()))
                });
                assert_eq!(
                    got.as_deref(),
                    Ok(tile_of(tree, id).as_slice()),
                    "{id} in {size}"
                );
            }
        }
    }
}

/// CVE-2026-56865: readers that began to check at the wrong tile returned forged hashes of the first ones. The reference's
/// tree of 70,000 leaves and its altered hash: leaf 12,345, in tile/0/048.
#[test]
fn a_forged_level_0_tile_is_refused() {
    let all = leaves(70_000);
    let root = merkle::root(&all);
    let forged = |path: TilePath| {
        let mut hashes = tile_of(&all, path.tile().unwrap());
        if path.tile() == Some(TileId { level: 0, n: 48 }) {
            hashes[12_345 % 256][0] ^= 1;
        }
        tile_bytes(&hashes)
    };
    let mut reader = TileReader::new(70_000, root);
    assert_eq!(
        read(&mut reader, TileId { level: 0, n: 48 }, forged),
        Err(Code::TileInconsistent)
    );
    assert_eq!(
        reader.get(TileId { level: 0, n: 48 }),
        None,
        "nothing of it is kept"
    );
    // The reader goes on with honest tiles.
    assert!(read(&mut reader, TileId { level: 0, n: 47 }, forged).is_ok());
}

/// Any one bit of any tile that is fetched.
#[test]
fn every_altered_tile_on_the_way_is_refused() {
    let all = leaves(70_000);
    for size in [257_usize, 65_537, 70_000] {
        let tree = &all[..size];
        let root = merkle::root(tree);
        let wanted = TileId { level: 0, n: 0 };
        let mut asked = Vec::new();
        let honest = |path: TilePath| tile_bytes(&tile_of(tree, path.tile().unwrap()));
        read(&mut TileReader::new(size as u64, root), wanted, |path| {
            asked.push(path);
            honest(path)
        })
        .unwrap();
        for target in asked {
            for byte in [0, target.width * 32 - 1] {
                let outcome = read(&mut TileReader::new(size as u64, root), wanted, |path| {
                    let mut bytes = honest(path);
                    if path == target {
                        bytes[byte] ^= 0x80;
                    }
                    bytes
                });
                assert_eq!(outcome, Err(Code::TileInconsistent), "{target} in {size}");
            }
        }
    }
}

#[test]
fn a_tile_that_was_not_asked_for_is_refused() {
    let all = leaves(600);
    let mut reader = TileReader::new(600, merkle::root(&all));
    let first = TileId { level: 0, n: 0 };
    let bytes = tile_bytes(&tile_of(&all, first));
    assert_eq!(
        reader.add(first.path(256), &bytes).unwrap_err().code(),
        Code::TileMalformed
    );
    assert_eq!(reader.get(first), None);
    let edge = reader.missing(first).unwrap();
    let short = reader.add(edge, &[0; 32]).unwrap_err();
    assert_eq!(short.code(), Code::TileMalformed);
}

#[test]
fn bundles_are_exact() {
    let bytes = bundle_bytes([b"one".as_slice(), b"", b"three"]).unwrap();
    assert_eq!(
        parse_bundle(&bytes, 3).unwrap(),
        [b"one".as_slice(), b"", b"three"]
    );
    for bad in [
        &bytes[..bytes.len() - 1],
        &[&bytes[..], &[0]].concat(),
        &[],
        &[0],
    ] {
        assert_eq!(
            parse_bundle(bad, 3).unwrap_err().code(),
            Code::TileMalformed
        );
    }
    assert_eq!(
        parse_bundle(&bytes, 2).unwrap_err().code(),
        Code::TileMalformed
    );
    assert!(bundle_bytes([vec![0; 65_535].as_slice()]).is_ok());
    assert_eq!(
        bundle_bytes([vec![0; 65_536].as_slice()])
            .unwrap_err()
            .code(),
        Code::TileMalformed
    );
    assert_eq!(
        parse_tile(&[0; 64], 1).unwrap_err().code(),
        Code::TileMalformed
    );
    assert_eq!(
        parse_tile(&[0; 33], 1).unwrap_err().code(),
        Code::TileMalformed
    );
}

#[test]
fn a_frontier_knows_the_root_at_every_size_and_can_be_remembered() {
    let all = leaves(600);
    let mut frontier = Frontier::default();
    assert_eq!(frontier.root(), merkle::EMPTY_ROOT);
    for (i, leaf) in all.iter().enumerate() {
        frontier.push(*leaf);
        assert_eq!(frontier.root(), merkle::root(&all[..=i]), "size {}", i + 1);
        let again = Frontier::load(frontier.size(), frontier.hashes().to_vec()).unwrap();
        assert_eq!(again, frontier);
    }
    let short = Frontier::load(600, frontier.hashes()[1..].to_vec());
    assert_eq!(short.unwrap_err().code(), Code::ProofConsistencyInvalid);
}

#[test]
fn the_examples_of_tlog_tiles() {
    let path = TilePath {
        level: Some(0),
        n: 1_234_067,
        width: 256,
    };
    assert_eq!(path.to_string(), "0/x001/x234/067");
    assert_eq!(TilePath::parse("0/x001/x234/067"), Some(path));
    let partial = TilePath {
        level: None,
        n: 273,
        width: 112,
    };
    assert_eq!(partial.to_string(), "entries/273.p/112");
    assert_eq!(TilePath::parse("entries/273.p/112"), Some(partial));
}

#[test]
fn other_spellings_name_nothing() {
    for bad in [
        "",
        "0",
        "0/",
        "00/000",
        "64/000",
        "-1/000",
        "0/0",
        "0/0000",
        "0/x000/001",
        "0/001.p/0",
        "0/001.p/256",
        "0/001.p/01",
        "0/001.p/",
        "0/x001",
        "0/001/002",
        "0/+01",
        "0/001/",
        "entries/",
        "data/000",
        "0/999999999999999999999",
        "0/x018/x446/x744/x073/x709/x551/616",
    ] {
        assert_eq!(TilePath::parse(bad), None, "{bad}");
    }
}

#[test]
fn the_reference_entry_bundle() {
    let leaves: [&[u8]; 8] = [
        b"",
        &[0x00],
        &[0x10],
        &[0x20, 0x21],
        &[0x30, 0x31],
        &[0x40, 0x41, 0x42, 0x43],
        &[0x50, 0x51, 0x52, 0x53, 0x54, 0x55, 0x56, 0x57],
        &[
            0x60, 0x61, 0x62, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6a, 0x6b, 0x6c, 0x6d,
            0x6e, 0x6f,
        ],
    ];
    let hex = bundle_bytes(leaves)
        .unwrap()
        .iter()
        .fold(String::new(), |hex, b| format!("{hex}{b:02x}"));
    assert_eq!(
        hex,
        "00000001000001100002202100023031000440414243000850515253545556570010606162636465666768696a6b6c6d6e6f"
    );
}

proptest! {
    #[test]
    fn every_tile_has_one_path(level in proptest::option::of(0_u8..64), n in any::<u64>(), width in 1_usize..=256) {
        let path = TilePath { level, n, width };
        prop_assert_eq!(TilePath::parse(&path.to_string()), Some(path));
    }

    #[test]
    fn no_path_panics_and_what_parses_is_canonical(text in "(entries|[0-9]{0,3})/[x0-9/.p]{0,40}") {
        if let Some(path) = TilePath::parse(&text) {
            prop_assert_eq!(path.to_string(), text);
        }
    }
}
