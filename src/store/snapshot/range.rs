//! Numbers as both databases hold them, and where pages begin and end. Never an error: what cannot be is the caller's finding.

use super::TileRow;

/// Numbers are never negative where they are read as unsigned; one that is becomes a value that nothing equals.
pub(in crate::store) fn number(n: i64) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}

pub(in crate::store) fn signed(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// Where a page from `from` on begins: the first one with rows below 0, which no other reading finds.
pub(in crate::store) fn lowest(from: u64) -> i64 {
    if from == 0 { i64::MIN } else { signed(from) }
}

/// How many rows a page from `from` on has at most: none behind the greatest number that can be stored.
pub(in crate::store) fn most(from: u64, limit: u32) -> u32 {
    i64::try_from(from).map_or(0, |_| limit)
}

/// Where the tiles behind `after` begin.
pub(in crate::store) fn tile_place(after: Option<TileRow>) -> (i64, i64, i64) {
    after.map_or((-1, 0, 0), |t| {
        (signed(t.tree), signed(t.level), signed(t.n))
    })
}
