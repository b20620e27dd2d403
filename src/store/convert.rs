//! Between our types and what either database holds: checked once, here, for both.

use goodstanding_verify::{
    did::Did,
    report::{ReportId, Role},
};

use super::{Commit, Error, Staged, Tree};
use crate::log::tree::{Tile, Touched};

/// The one conversion of a count or index into what a database can hold: both have 64 bits with a sign.
pub(super) fn to_i64(n: u64) -> Result<i64, Error> {
    i64::try_from(n).map_err(|_| Error::Unsupported(format!("{n} does not fit the database")))
}

/// The one conversion back.
pub(super) fn to_u64(n: i64) -> Result<u64, Error> {
    u64::try_from(n).map_err(|_| Error::Corrupt(format!("negative number {n}")))
}

pub(super) fn bytes32(bytes: &[u8]) -> Result<[u8; 32], Error> {
    bytes
        .try_into()
        .map_err(|_| Error::Corrupt(format!("{} bytes where 32 belong", bytes.len())))
}

pub(super) fn did(bytes: &[u8]) -> Result<Did, Error> {
    Did::from_key_bytes(&bytes32(bytes)?).map_err(|e| Error::Corrupt(e.to_string()))
}

pub(super) fn report_id(bytes: &[u8]) -> Result<ReportId, Error> {
    bytes32(bytes).map(ReportId)
}

/// A tile from its hashes, one after the other.
pub(super) fn tile(bytes: &[u8]) -> Result<Tile, Error> {
    bytes.chunks(32).map(bytes32).collect()
}

pub(super) fn tree_number(tree: Tree) -> Result<i64, Error> {
    match tree {
        Tree::Log => Ok(0),
        Tree::Epoch(n) => to_i64(n),
    }
}

pub(super) fn role_number(role: Role) -> i16 {
    match role {
        Role::Buyer => 0,
        Role::Seller => 1,
    }
}

/// Text that can be stored. PostgreSQL has no U+0000 in text and SQLite has; nothing that is admitted contains one, and a
/// store that took it could not be moved to the other database.
pub(super) fn storable(text: &str) -> Result<&str, Error> {
    if text.contains('\0') {
        return Err(Error::Unsupported("text with U+0000".to_owned()));
    }
    Ok(text)
}

/// Whether all text of a commit can be stored; asked before anything is written.
pub(super) fn storable_commit(commit: &Commit) -> Result<(), Error> {
    storable(&commit.head.note)?;
    for report in &commit.reports {
        for text in [&report.market, &report.trade_id, &report.jti, &report.jws] {
            storable(text)?;
        }
    }
    Ok(())
}

/// The same for rows of an epoch.
pub(super) fn storable_part(part: &Staged) -> Result<(), Error> {
    for (_, _, claims) in &part.statements {
        storable(claims)?;
    }
    Ok(())
}

/// What one transaction stages.
#[derive(Clone, Copy, Debug)]
pub(super) struct Piece<'a> {
    pub(super) epoch: u64,
    /// Leaf of the first statement.
    pub(super) leaf: u64,
    pub(super) statements: &'a [(Did, bool, String)],
    /// With the last piece: whoever has all of the leaves has the tiles.
    pub(super) tiles: Option<&'a Touched>,
}

/// A part in pieces of at most so many statements; one without any is one piece.
pub(super) fn pieces(part: &Staged, most: usize) -> impl Iterator<Item = Piece<'_>> {
    let count = part.statements.len().div_ceil(most).max(1);
    let chunks = part
        .statements
        .chunks(most)
        .chain(std::iter::repeat(&[][..]));
    let firsts = (part.leaf..).step_by(most);
    (1..=count)
        .zip(firsts.zip(chunks))
        .map(move |(n, (leaf, statements))| Piece {
            epoch: part.epoch,
            leaf,
            statements,
            tiles: (n == count).then_some(&part.tiles),
        })
}

impl Piece<'_> {
    /// The leaf after the last one.
    pub(super) fn end(&self) -> u64 {
        self.leaf
            .saturating_add(u64::try_from(self.statements.len()).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_their_value_or_are_refused() {
        let largest = u64::try_from(i64::MAX).unwrap();
        assert_eq!(to_u64(to_i64(largest).unwrap()).unwrap(), largest);
        assert!(matches!(to_i64(largest + 1), Err(Error::Unsupported(_))));
        assert!(matches!(to_u64(-1), Err(Error::Corrupt(_))));
    }

    #[test]
    fn bytes_of_another_length_are_corrupt() {
        assert!(matches!(bytes32(&[0; 31]), Err(Error::Corrupt(_))));
        assert!(matches!(tile(&[0; 33]), Err(Error::Corrupt(_))));
        assert_eq!(tile(&[7; 64]).unwrap(), vec![[7; 32]; 2]);
    }

    #[test]
    fn text_with_a_nul_is_refused() {
        assert!(matches!(storable("a\0b"), Err(Error::Unsupported(_))));
        assert_eq!(storable("a\u{1}b").unwrap(), "a\u{1}b");
    }
}
