//! Paths of tiles and entry bundles (C2SP tlog-tiles): `<L>/<N>[.p/<W>]` and `entries/<N>[.p/<W>]`.

use super::tree::{TILE_WIDTH, TileId};

/// What a path under `/tile/` asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TilePath {
    /// `None` = an entry bundle.
    pub level: Option<u8>,
    /// Number within the level.
    pub n: u64,
    /// 1..=256; 256 = the full tile.
    pub width: usize,
}

impl TilePath {
    /// Parses the part of the path after `/tile/`. `None` = not the one spelling that tlog-tiles gives this tile.
    pub fn parse(path: &str) -> Option<Self> {
        let (level, rest) = path.split_once('/')?;
        let level = match level {
            "entries" => None,
            _ => Some(decimal(level)?)
                .filter(|l| *l < 64)
                .map(u8::try_from)?
                .ok()
                .map(Some)?,
        };
        let (number, width) = match rest.split_once(".p/") {
            Some((number, width)) => {
                let width = decimal(width).filter(|w| (1..=255).contains(w))?;
                (number, usize::try_from(width).ok()?)
            }
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
}

impl std::fmt::Display for TilePath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
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

/// Decimal without leading zeros.
fn decimal(text: &str) -> Option<u64> {
    let canonical = !text.is_empty()
        && text.bytes().all(|b| b.is_ascii_digit())
        && (text == "0" || !text.starts_with('0'));
    canonical.then(|| text.parse().ok())?
}

/// `1234067` → `x001/x234/067`.
fn format_number(n: u64) -> String {
    let mut groups = vec![format!("{:03}", n % 1000)];
    let mut rest = n / 1000;
    while rest > 0 {
        groups.push(format!("x{:03}", rest % 1000));
        rest /= 1000;
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

/// An entry bundle: each entry behind its length as two big-endian bytes. Entries are ≤ 60,000 bytes, so they fit.
pub fn bundle<'a>(entries: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for entry in entries {
        let length = u16::try_from(entry.len()).unwrap_or(u16::MAX);
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(entry);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

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
        let hex = bundle(leaves)
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
}
