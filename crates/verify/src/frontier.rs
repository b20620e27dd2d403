//! The right edge of a growing tree as one hash for every complete subtree: what a streaming reader has to remember.

use crate::{
    code::{Code, Error},
    merkle::{EMPTY_ROOT, Hash, node_hash},
};

/// A compact range from the first leaf on: `size` and the roots of its complete subtrees, largest first.
///
/// At most 64 hashes whatever the size, and enough to append leaves and to know the root at every size on the way.
///
/// ```
/// use goodstanding_verify::{frontier::Frontier, merkle};
///
/// let leaves: Vec<_> = [b"a", b"b", b"c"].iter().map(|entry| merkle::leaf_hash(*entry)).collect();
/// let mut frontier = Frontier::default();
/// for leaf in &leaves {
///     frontier.push(*leaf);
/// }
/// assert_eq!(frontier.root(), merkle::root(&leaves));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    hashes: Vec<Hash>,
}

impl Frontier {
    /// A frontier that was remembered.
    ///
    /// # Errors
    /// `proof.consistency_invalid` if a tree of `size` leaves has another number of complete subtrees.
    pub fn load(size: u64, hashes: Vec<Hash>) -> Result<Self, Error> {
        if u32::try_from(hashes.len()).ok() == Some(size.count_ones()) {
            Ok(Self { size, hashes })
        } else {
            let detail = format!("{} subtrees for {size} leaves", hashes.len());
            Err(Error::new(Code::ProofConsistencyInvalid, detail))
        }
    }

    /// Number of leaves.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Roots of the complete subtrees, largest first.
    pub fn hashes(&self) -> &[Hash] {
        &self.hashes
    }

    /// Appends a leaf hash.
    pub fn push(&mut self, leaf: Hash) {
        let mut hash = leaf;
        // Every trailing one bit of the size is a complete subtree that the new leaf completes to the next larger one.
        for _ in 0..self.size.trailing_ones() {
            if let Some(left) = self.hashes.pop() {
                hash = node_hash(&left, &hash);
            }
        }
        self.hashes.push(hash);
        self.size = self.size.saturating_add(1);
    }

    /// RFC 6962 root; SHA-256("") of the empty tree.
    pub fn root(&self) -> Hash {
        let mut from_the_right = self.hashes.iter().rev();
        let Some(last) = from_the_right.next() else {
            return EMPTY_ROOT;
        };
        from_the_right.fold(*last, |right, left| node_hash(left, &right))
    }
}
