//! The tile reader before a server that lies as it likes: whatever can be read is what the tree has there, and an honest
//! server is never refused.
#![no_main]

use std::sync::LazyLock;

use arbitrary::Arbitrary;
use goodstanding_fuzz::naive;
use goodstanding_verify::{
    Code,
    merkle::{Hash, leaf_hash},
    tile::{TileId, TilePath, tile_bytes},
    tile_reader::TileReader,
};
use libfuzzer_sys::fuzz_target;

/// Leaves of the largest tree: three levels of tiles.
const MOST: usize = 66_000;
const SIZES: [usize; 12] = [
    1, 2, 255, 256, 257, 511, 600, 65_535, 65_536, 65_537, 65_793, MOST,
];

/// `NODES[l]` = all complete nodes of level `l`, left to right.
static NODES: LazyLock<Vec<Vec<Hash>>> = LazyLock::new(|| {
    let mut levels = vec![
        (0..MOST)
            .map(|i| leaf_hash(&i.to_be_bytes()))
            .collect::<Vec<_>>(),
    ];
    while let Some(last) = levels.last().filter(|last| last.len() >= 256) {
        let above = last.chunks_exact(256).map(naive::root).collect();
        levels.push(above);
    }
    levels
});
static ROOTS: LazyLock<Vec<Hash>> = LazyLock::new(|| {
    SIZES
        .iter()
        .map(|size| naive::root(&NODES[0][..*size]))
        .collect()
});

/// What the tree of `size` leaves has in a tile.
fn truth(id: TileId, size: usize) -> Option<Vec<Hash>> {
    let complete = (0..id.level).try_fold(size, |n, _| Some(n / 256))?;
    let nodes = NODES.get(usize::from(id.level))?.get(..complete)?;
    let start = usize::try_from(id.n).ok()?.checked_mul(256)?;
    let tile = nodes.get(start..)?;
    (!tile.is_empty()).then(|| tile[..tile.len().min(256)].to_vec())
}

#[derive(Arbitrary, Debug)]
enum Lie {
    Flip(u16),
    Shorten(u8),
    Lengthen(u8),
    Swap(u8, u8),
    Another(u8, u16),
    Anything(Vec<u8>),
}

impl Lie {
    fn tell(&self, honest: &[u8], size: usize) -> Vec<u8> {
        let mut bytes = honest.to_vec();
        match self {
            Self::Flip(bit) => {
                let bit = usize::from(*bit) % (bytes.len() * 8);
                bytes[bit / 8] ^= 1 << (bit % 8);
            }
            Self::Shorten(by) => bytes.truncate(bytes.len().saturating_sub(usize::from(*by))),
            Self::Lengthen(by) => bytes.extend((0..*by).map(|b| b ^ 0x5a)),
            Self::Swap(a, b) => {
                let hashes = bytes.len() / 32;
                let (a, b) = (usize::from(*a) % hashes, usize::from(*b) % hashes);
                for i in 0..32 {
                    bytes.swap(32 * a + i, 32 * b + i);
                }
            }
            Self::Another(level, n) => {
                let id = TileId {
                    level: level % 4,
                    n: u64::from(*n),
                };
                bytes = tile_bytes(&truth(id, size).unwrap_or_default());
            }
            Self::Anything(other) => bytes.clone_from(other),
        }
        bytes
    }
}

#[derive(Arbitrary, Debug)]
struct Case {
    size: u8,
    wanted: Vec<(u8, u16)>,
    /// One an answer; `None` = an honest one.
    lies: Vec<Option<Lie>>,
    /// A tile that nobody asked for, before each answer.
    pushed: Vec<(u8, u16)>,
}

fuzz_target!(|case: Case| {
    let which = usize::from(case.size) % SIZES.len();
    let size = SIZES[which];
    let mut reader = TileReader::new(size as u64, ROOTS[which]);
    let mut lies = case.lies.iter();
    let mut pushed = case.pushed.iter();
    // Whether a tile of the edge was accepted that will turn out to be forged.
    let mut tainted = false;
    for (level, n) in case.wanted.iter().take(64) {
        let id = TileId {
            level: *level,
            n: u64::from(*n),
        };
        for _ in 0..16 {
            if let Some((level, n)) = pushed.next() {
                push(&mut reader, *level, u64::from(*n), size);
            }
            let Some(path) = reader.missing(id) else {
                break;
            };
            let tile = path.tile().expect("readers read hash tiles");
            let honest =
                tile_bytes(&truth(tile, size).expect("only tiles of the tree are asked for"));
            assert_eq!(honest.len(), 32 * path.width);
            let lie = lies.next().and_then(Option::as_ref);
            let given = lie.map_or(honest.clone(), |lie| lie.tell(&honest, size));
            match reader.add(path, &given) {
                Ok(()) => tainted |= given != honest,
                Err(error) => {
                    assert!(tainted || given != honest, "{error}");
                    if error.code() == Code::TileInconsistent {
                        tainted = false;
                    }
                }
            }
            check(&reader, tile, size);
        }
        check(&reader, id, size);
    }
});

/// Nothing is read that is not so.
fn check(reader: &TileReader, id: TileId, size: usize) {
    if let Some(hashes) = reader.get(id) {
        assert_eq!(Some(hashes), truth(id, size).as_deref(), "{id}");
    }
    for level in 0..4 {
        for n in [0, 1, 255, 256, 257] {
            let id = TileId { level, n };
            if let Some(hashes) = reader.get(id) {
                assert_eq!(Some(hashes), truth(id, size).as_deref(), "{id}");
            }
        }
    }
}

/// Gives the reader a true tile that it may not want: it is refused, or it was the wanted one.
fn push(reader: &mut TileReader, level: u8, n: u64, size: usize) {
    let id = TileId { level, n };
    let Some(hashes) = truth(id, size) else {
        return;
    };
    let path: TilePath = id.path(hashes.len());
    let wanted = reader.missing(id) == Some(path);
    let taken = reader.clone().add(path, &tile_bytes(&hashes));
    assert!(wanted || taken.is_err());
}
