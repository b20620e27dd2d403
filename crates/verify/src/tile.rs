//! Tiles and entry bundles (C2SP tlog-tiles): their paths `<L>/<N>[.p/<W>]` and `entries/<N>[.p/<W>]`, and their bytes.

use std::fmt;

use crate::{
    checkpoint::decimal,
    code::{Code, Error},
    merkle::Hash,
};

/// Width of a full tile.
pub const TILE_WIDTH: usize = 256;
/// log2 of [`TILE_WIDTH`].
pub const TILE_BITS: u32 = 8;

/// A tile's place: level and number within the level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TileId {
    /// 0 = leaf hashes.
    pub level: u8,
    /// Number within the level.
    pub n: u64,
}

impl TileId {
    /// The tile that holds this tile's root, and where in it.
    #[must_use]
    pub fn parent(self) -> Option<(Self, usize)> {
        let level = self.level.checked_add(1).filter(|level| *level < 64)?;
        let n = self.n.checked_shr(TILE_BITS).unwrap_or(0);
        Some((Self { level, n }, usize::from(self.n.to_le_bytes()[0])))
    }

    /// How many hashes this tile has in a tree of `size` leaves; `None` = the tree does not have it.
    pub fn width_in(self, size: u64) -> Option<usize> {
        let shift = TILE_BITS.checked_mul(u32::from(self.level))?;
        let nodes = size.checked_shr(shift).unwrap_or(0);
        let before = self.n.checked_mul(TILE_WIDTH as u64)?;
        let width = nodes.checked_sub(before)?.min(TILE_WIDTH as u64);
        usize::try_from(width).ok().filter(|width| *width > 0)
    }

    /// Its path at a width.
    pub fn path(self, width: usize) -> TilePath {
        TilePath {
            level: Some(self.level),
            n: self.n,
            width,
        }
    }
}

impl fmt::Display for TileId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.path(TILE_WIDTH).fmt(f)
    }
}

/// What a path under `/tile/` asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TilePath {
    /// `None` = an entry bundle.
    pub level: Option<u8>,
    /// Number within the level.
    pub n: u64,
    /// 1..=256; 256 = the full tile.
    pub width: usize,
}

impl TilePath {
    /// The bundle of the entries under level-0 tile `n`.
    pub fn entries(n: u64, width: usize) -> Self {
        Self {
            level: None,
            n,
            width,
        }
    }

    /// Parses the part of the path after `/tile/`. `None` = not the one spelling that tlog-tiles gives this tile.
    pub fn parse(path: &str) -> Option<Self> {
        let (level, rest) = path.split_once('/')?;
        let level = match level {
            "entries" => None,
            _ => Some(decimal_u8(level).filter(|level| *level < 64)?),
        };
        let (number, width) = match rest.split_once(".p/") {
            Some((number, width)) => (number, usize::from(decimal_u8(width).filter(|w| *w > 0)?)),
            None => (rest, TILE_WIDTH),
        };
        Some(Self {
            level,
            n: parse_number(number)?,
            width,
        })
    }

    /// The tile asked for, if it is a hash tile.
    pub fn tile(&self) -> Option<TileId> {
        self.level.map(|level| TileId { level, n: self.n })
    }

    /// The level-0 tile over the same entries.
    pub fn leaves(&self) -> TileId {
        TileId {
            level: 0,
            n: self.n,
        }
    }

    /// The same tile or bundle at full width.
    #[must_use]
    pub fn full(self) -> Self {
        Self {
            width: TILE_WIDTH,
            ..self
        }
    }
}

impl fmt::Display for TilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.level {
            Some(level) => write!(f, "{level}/")?,
            None => f.write_str("entries/")?,
        }
        f.write_str(&format_number(self.n))?;
        if self.width < TILE_WIDTH {
            write!(f, ".p/{}", self.width)?;
        }
        Ok(())
    }
}

fn decimal_u8(text: &str) -> Option<u8> {
    decimal(text).and_then(|n| u8::try_from(n).ok())
}

/// `1234067` → `x001/x234/067`.
fn format_number(n: u64) -> String {
    let split = |n: u64| {
        (
            n.checked_div(1000).unwrap_or(0),
            n.checked_rem(1000).unwrap_or(0),
        )
    };
    let (mut rest, last) = split(n);
    let mut groups = vec![format!("{last:03}")];
    while rest > 0 {
        let (higher, group) = split(rest);
        groups.push(format!("x{group:03}"));
        rest = higher;
    }
    groups.reverse();
    groups.join("/")
}

fn parse_number(text: &str) -> Option<u64> {
    let mut n = 0_u64;
    let mut groups = text.split('/').peekable();
    while let Some(group) = groups.next() {
        let digits = if groups.peek().is_some() {
            group.strip_prefix('x')?
        } else {
            group
        };
        if digits.len() != 3 || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        n = n.checked_mul(1000)?.checked_add(digits.parse().ok()?)?;
    }
    // Only the shortest spelling names a tile: `x000/001` is not `001`.
    (format_number(n) == text).then_some(n)
}

/// The bytes of a hash tile.
pub fn tile_bytes(hashes: &[Hash]) -> Vec<u8> {
    hashes.concat()
}

/// Reads a hash tile of exactly `width` hashes.
///
/// # Errors
/// `tile.malformed`.
pub fn parse_tile(bytes: &[u8], width: usize) -> Result<Vec<Hash>, Error> {
    let (hashes, rest) = bytes.as_chunks::<32>();
    if rest.is_empty() && hashes.len() == width {
        Ok(hashes.to_vec())
    } else {
        let detail = format!("{} bytes are not {width} hashes", bytes.len());
        Err(Error::new(Code::TileMalformed, detail))
    }
}

/// An entry bundle: each entry behind its length as two big-endian bytes.
///
/// # Errors
/// `tile.malformed` for an entry of more than 65,535 bytes, which no bundle can hold.
pub fn bundle_bytes<'a>(entries: impl IntoIterator<Item = &'a [u8]>) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    for entry in entries {
        let length = u16::try_from(entry.len())
            .map_err(|_| Error::new(Code::TileMalformed, "an entry is longer than 65,535 bytes"))?;
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(entry);
    }
    Ok(bytes)
}

/// Reads an entry bundle of exactly `width` entries, with nothing after them.
///
/// # Errors
/// `tile.malformed`.
pub fn parse_bundle(bytes: &[u8], width: usize) -> Result<Vec<&[u8]>, Error> {
    let malformed = |why: String| Error::new(Code::TileMalformed, why);
    let mut entries = Vec::with_capacity(width.min(TILE_WIDTH));
    let mut rest = bytes;
    for i in 0..width {
        let short = || malformed(format!("the bundle ends within entry {i} of {width}"));
        let (length, after) = rest.split_first_chunk::<2>().ok_or_else(short)?;
        let length = usize::from(u16::from_be_bytes(*length));
        let (entry, after) = after.split_at_checked(length).ok_or_else(short)?;
        entries.push(entry);
        rest = after;
    }
    if rest.is_empty() {
        Ok(entries)
    } else {
        Err(malformed(format!(
            "{} bytes after entry {width}",
            rest.len()
        )))
    }
}
