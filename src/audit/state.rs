//! What an auditor remembers between two audits: a small JSON file, written whole or not at all.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
};

use goodstanding_verify::{
    b64, checkpoint::SignedCheckpoint, frontier::Frontier, merkle::Hash, note::VerifierKey,
    report::ReportId, witness_policy::WitnessPolicy,
};
use serde::{Deserialize, Serialize};

use super::claims::{Claim, Claims};
use crate::code::{Code, Fault};

/// The format's name and version.
pub(super) const FORMAT: &str = "goodstanding-audit/1";

/// A checkpoint that was seen, and when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Seen {
    /// Number of entries.
    pub(super) size: u64,
    /// Root, base64.
    pub(super) root: String,
    /// When it was first seen, Unix seconds.
    #[serde(rename = "seen")]
    pub(super) at_s: u64,
    /// The signed note, verbatim: a proof, should the log ever sign something else.
    pub(super) note: String,
}

impl Seen {
    /// The root as a hash.
    pub(super) fn hash(&self) -> Option<Hash> {
        b64::std_decode_32(&self.root)
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    format: String,
    origin: String,
    vkey: String,
    size: u64,
    root: String,
    frontier: Vec<String>,
    checkpoints: Vec<Seen>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    witness_policy: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    erasures: Vec<WrittenClaim>,
}

/// A [`Claim`] as written.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenClaim {
    /// Index of the report's entry.
    index: u64,
    /// The report's id.
    report: String,
    /// Index of the entry that is said to erase it.
    by: u64,
    /// When an audit first ended without that entry, Unix seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    since: Option<u64>,
}

/// What is remembered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct State {
    /// The log's key; its name is the origin.
    pub(super) log: VerifierKey,
    /// The entries that were audited, as a tree.
    pub(super) frontier: Frontier,
    /// Every checkpoint seen, ascending by size.
    pub(super) checkpoints: Vec<Seen>,
    /// The witness policy that the log served last.
    pub(super) witness_policy: Option<WitnessPolicy>,
    /// What the log said of reports that it did not serve.
    pub(super) claims: Claims,
}

impl State {
    /// The state before the first entry.
    pub(super) fn new(log: VerifierKey) -> Self {
        Self {
            log,
            frontier: Frontier::default(),
            checkpoints: Vec::new(),
            witness_policy: None,
            claims: Claims::default(),
        }
    }

    /// Reads a state file; `None` = there is none yet.
    ///
    /// # Errors
    /// `audit.state_unusable` for anything that this program did not write.
    pub(super) fn load(path: &Path) -> Result<Option<Self>, Fault> {
        let unusable =
            |why: &str| Fault::new(Code::AuditState, format!("{}: {why}", path.display()));
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(unusable(&e.to_string())),
        };
        Self::parse(&text).map(Some).map_err(|why| unusable(&why))
    }

    fn parse(text: &str) -> Result<Self, String> {
        let written: Written = serde_json::from_str(text).map_err(|e| e.to_string())?;
        if written.format != FORMAT {
            return Err(format!("format {}, not {FORMAT}", written.format));
        }
        let log = VerifierKey::parse(&written.vkey).map_err(|e| e.to_string())?;
        if log.name() != written.origin {
            return Err("origin and vkey do not belong together".to_owned());
        }
        let hashes: Option<Vec<Hash>> = written
            .frontier
            .iter()
            .map(|hash| b64::std_decode_32(hash))
            .collect();
        let hashes = hashes.ok_or("a frontier hash is not 32 bytes of base64")?;
        let frontier = Frontier::load(written.size, hashes).map_err(|e| e.to_string())?;
        if b64::std_encode(frontier.root()) != written.root {
            return Err("root is not the frontier's".to_owned());
        }
        if !written.checkpoints.is_sorted_by(|a, b| a.size < b.size) {
            return Err("checkpoints are not ascending".to_owned());
        }
        for seen in &written.checkpoints {
            // Proofs have to be good: nobody can be accused with a note that somebody edited.
            let signed = SignedCheckpoint::parse(&seen.note).map_err(|e| e.to_string())?;
            let says = signed.verify_log(&log).map_err(|e| e.to_string())?;
            if says.size != seen.size || Some(says.root) != seen.hash() {
                return Err(format!(
                    "the note of size {} says something else",
                    seen.size
                ));
            }
        }
        let claims: Option<Claims> = written
            .erasures
            .iter()
            .map(|claim| {
                Some(Claim {
                    index: claim.index,
                    id: ReportId(b64::url_decode_32(&claim.report)?),
                    by: claim.by,
                    since_s: claim.since,
                })
            })
            .collect();
        let policy = written.witness_policy.as_deref().map(WitnessPolicy::parse);
        Ok(Self {
            log,
            frontier,
            checkpoints: written.checkpoints,
            witness_policy: policy.transpose().map_err(|e| e.to_string())?,
            claims: claims.ok_or("a report of an erasure is not an id")?,
        })
    }

    /// Writes the file: a new one, synced, then renamed over the old one.
    ///
    /// # Errors
    /// `audit.state_unusable` when it cannot be written; the old one is then still there.
    pub(super) fn save(&self, path: &Path) -> Result<(), Fault> {
        let written = Written {
            format: FORMAT.to_owned(),
            origin: self.log.name().to_owned(),
            vkey: self.log.to_string(),
            size: self.frontier.size(),
            root: b64::std_encode(self.frontier.root()),
            frontier: self.frontier.hashes().iter().map(b64::std_encode).collect(),
            checkpoints: self.checkpoints.clone(),
            witness_policy: self.witness_policy.as_ref().map(ToString::to_string),
            erasures: self
                .claims
                .iter()
                .map(|claim| WrittenClaim {
                    index: claim.index,
                    report: claim.id.to_string(),
                    by: claim.by,
                    since: claim.since_s,
                })
                .collect(),
        };
        let text = serde_json::to_string_pretty(&written)
            .map_err(|e| Fault::new(Code::Internal, e.to_string()))?;
        replace(path, text.as_bytes())
            .map_err(|e| Fault::new(Code::AuditState, format!("{}: {e}", path.display())))
    }

    /// Remembers a checkpoint of a size that was not seen before.
    pub(super) fn remember(&mut self, seen: Seen) {
        let place = self
            .checkpoints
            .partition_point(|held| held.size < seen.size);
        if self
            .checkpoints
            .get(place)
            .is_none_or(|held| held.size != seen.size)
        {
            self.checkpoints.insert(place, seen);
        }
    }

    /// The largest checkpoint seen.
    pub(super) fn newest(&self) -> Option<&Seen> {
        self.checkpoints.last()
    }

    /// The root that a checkpoint of this size promised.
    pub(super) fn promised(&self, size: u64) -> Option<&Seen> {
        let place = self
            .checkpoints
            .binary_search_by_key(&size, |seen| seen.size);
        place.ok().and_then(|place| self.checkpoints.get(place))
    }
}

/// The scratch index that belongs to a state file.
pub(super) fn index_path(state: &Path) -> PathBuf {
    let mut name = state.as_os_str().to_owned();
    name.push(".index");
    name.into()
}

fn replace(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let new = PathBuf::from(name);
    let mut file = fs::File::create(&new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    drop(file);
    fs::rename(&new, path)?;
    // The rename itself is durable once the directory is.
    let parent = path.parent().filter(|p| !p.as_os_str().is_empty());
    fs::File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{keys::SecretKey, log::sign::LogSigner};

    fn signer() -> LogSigner {
        LogSigner::new("log.example/rep", SecretKey::from_seed(&[1; 32]))
    }

    fn state() -> State {
        let mut state = State::new(signer().verifier().unwrap());
        for n in 0..5_u8 {
            state.frontier.push([n; 32]);
            let (size, root) = (state.frontier.size(), state.frontier.root());
            state.remember(Seen {
                size,
                root: b64::std_encode(root),
                at_s: 1_767_225_600,
                note: signer().checkpoint(size, &root),
            });
        }
        state
    }

    #[test]
    fn what_is_written_is_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.json");
        assert_eq!(State::load(&path).unwrap(), None);
        let state = state();
        state.save(&path).unwrap();
        state.save(&path).unwrap();
        assert_eq!(State::load(&path).unwrap().unwrap(), state);
        assert_eq!(state.promised(3).unwrap().size, 3);
        assert!(state.promised(9).is_none());
        let files: Vec<_> = fs::read_dir(dir.path()).unwrap().collect();
        assert_eq!(files.len(), 1);
    }

    #[test]
    fn what_somebody_edited_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.json");
        state().save(&path).unwrap();
        let good = fs::read_to_string(&path).unwrap();
        for (from, to) in [
            ("goodstanding-audit/1", "goodstanding-audit/2"),
            ("\"size\": 5", "\"size\": 4"),
            ("\"frontier\": [", "\"frontier\": [\"x\","),
            ("\"origin\": \"log.example/rep\"", "\"origin\": \"other\""),
            ("\\n3\\n", "\\n4\\n"),
            ("\"seen\"", "\"sean\""),
        ] {
            assert!(good.contains(from), "{from}");
            fs::write(&path, good.replacen(from, to, 1)).unwrap();
            let refused = State::load(&path).unwrap_err();
            assert!(refused.is(Code::AuditState), "{from}: {refused}");
        }
    }
}
