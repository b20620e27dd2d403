//! A log's public side: what an auditor gets to read, from a service or from a data directory.
//!
//! Nothing that comes from a source is believed; it is only bounded in size, so that a hostile one cannot fill the memory.

mod dir;
mod http;
mod lines;

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use goodstanding_verify::{
    did::Did,
    note::VerifierKey,
    tile::{TILE_WIDTH, TilePath},
    witness_policy::WitnessPolicy,
};

pub use dir::DirSource;
pub use http::HttpSource;

use super::finding::Failure;

/// A report's signed bytes as served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServedBody {
    /// Index of its entry.
    pub index: u64,
    /// The compact JWS; `None` = said to be erased.
    pub jws: Option<String>,
    /// Index of the entry that is said to have erased it, where that is said.
    pub erased_by: Option<u64>,
}

/// A statement as served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServedStatement {
    /// The agent.
    pub agent: Did,
    /// Its claims, canonical JSON.
    pub claims: String,
}

/// Where the log's key was learnt, and what comes with it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Introduction {
    /// The log's verifier key.
    pub vkey: String,
    /// Where it was read.
    pub from: String,
}

/// The witnesses that a log itself says it asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServedPolicy {
    /// Its witness policy.
    pub policy: WitnessPolicy,
    /// Whether the newest checkpoint may be published before they cosigned it.
    pub fails_open: bool,
}

/// Everything that an audit asks of a log.
#[async_trait]
pub trait Source: Send + Sync {
    /// How to name it to people.
    fn name(&self) -> String;

    /// The newest published checkpoint, a signed note.
    async fn checkpoint(&self) -> Result<String, Failure>;

    /// The bytes of a tile or bundle at exactly the width asked for. Not there at all is a disagreement.
    async fn tile(&self, path: TilePath) -> Result<Vec<u8>, Failure>;

    /// Whether a body that is left out was withheld; else it may have been erased.
    fn tells_erased(&self) -> bool;

    /// The bodies of entries with index in `start..end`, ascending. What is not there is left out.
    async fn bodies(&self, start: u64, end: u64) -> Result<Vec<ServedBody>, Failure>;

    /// All statements of an epoch, in leaf order; `index` is that of its entry.
    fn statements(&self, epoch: u64, index: u64)
    -> BoxStream<'_, Result<ServedStatement, Failure>>;

    /// An epoch's salt key; `None` = not there.
    async fn salt_key(&self, epoch: u64) -> Result<Option<[u8; 32]>, Failure>;

    /// The trust bundle, if the source has one.
    async fn trust_bundle(&self) -> Result<Option<String>, Failure>;

    /// The witness policy, where it is not the trust bundle that says it.
    async fn witnesses(&self, _log: &VerifierKey) -> Result<Option<ServedPolicy>, Failure> {
        Ok(None)
    }

    /// Checkpoints that were published with at least `from` entries, ascending: a page of them, empty at the end.
    async fn checkpoints(&self, _from: u64) -> Result<Vec<String>, Failure> {
        Ok(Vec::new())
    }

    /// The notice that the log has ended, if there is one.
    async fn successor(&self) -> Result<Option<String>, Failure> {
        Ok(None)
    }

    /// Who issues, where it is not the trust bundle that says it.
    async fn issuer(&self) -> Result<Option<String>, Failure> {
        Ok(None)
    }

    /// The log's key as the source itself names it.
    async fn introduction(&self) -> Result<Introduction, Failure>;

    /// The agent behind a name that only the source knows.
    async fn agent_of_alias(&self, alias: &str) -> Result<Option<Did>, Failure>;
}

/// Cuts a full tile or bundle down to the width of `path`; `None` when it has not even that.
fn cut(path: TilePath, mut bytes: Vec<u8>) -> Option<Vec<u8>> {
    let end = if path.tile().is_some() {
        path.width.checked_mul(32)?
    } else {
        let mut end = 0_usize;
        for _ in 0..path.width {
            let length = bytes.get(end..)?.first_chunk::<2>()?;
            end = end.checked_add(2 + usize::from(u16::from_be_bytes(*length)))?;
        }
        end
    };
    if bytes.len() < end {
        return None;
    }
    bytes.truncate(end);
    Some(bytes)
}

/// Most bytes that a tile or bundle of this width can have.
fn most_bytes(path: TilePath) -> usize {
    let width = path.width.min(TILE_WIDTH);
    match path.tile() {
        Some(_) => width * 32,
        None => width * (2 + usize::from(u16::MAX)),
    }
}

#[cfg(test)]
mod tests {
    use goodstanding_verify::tile::{TileId, bundle_bytes};

    use super::*;

    #[test]
    fn full_ones_are_cut_to_what_was_asked_for() {
        let entries: [&[u8]; 3] = [b"a", b"", b"ccc"];
        let full = bundle_bytes(entries).unwrap();
        for width in 1..=3 {
            let expected = bundle_bytes(entries[..width].iter().copied()).unwrap();
            assert_eq!(
                cut(TilePath::entries(0, width), full.clone()),
                Some(expected)
            );
        }
        assert_eq!(cut(TilePath::entries(0, 4), full), None);
        let tile = TileId { level: 0, n: 0 };
        assert_eq!(cut(tile.path(2), vec![7; 96]), Some(vec![7; 64]));
        assert_eq!(cut(tile.path(4), vec![7; 96]), None);
    }
}
