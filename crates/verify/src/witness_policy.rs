//! Witness policies (C2SP tlog-policy): which logs count, and which witnesses must have cosigned a checkpoint.
//!
//! ```text
//! log <vkey> [<url>]
//! witness <name> <vkey> [<url>]
//! group <name> all|any|<k> <member>...
//! quorum <name>|none
//! ```

use std::{collections::BTreeSet, fmt};

use crate::{
    checkpoint::{SignedCheckpoint, decimal},
    code::{Code, Error, excerpt},
    note::{KeyKind, VerifierKey},
};

/// Largest policy, bytes.
const MAX_POLICY_BYTES: usize = 65_536;
/// Most witnesses for which two policies are compared exactly, in 2^n steps.
const MAX_COMPARED: u32 = 16;

/// A policy. Displayed in its text form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WitnessPolicy {
    logs: Vec<(VerifierKey, Option<String>)>,
    /// Witnesses and groups in the order of their definition, so members come before their group.
    nodes: Vec<Node>,
    /// Position of the quorum in `nodes`; `None` for `quorum none`.
    quorum: Option<usize>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Node {
    name: String,
    kind: NodeKind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum NodeKind {
    Witness {
        key: VerifierKey,
        url: Option<String>,
    },
    Group {
        threshold: Threshold,
        members: Vec<usize>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Threshold {
    All,
    Any,
    AtLeast(usize),
}

/// Who witnessed a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quorum {
    /// Whether the policy wants a quorum at all.
    pub required: bool,
    /// Witnesses of the quorum that cosigned: name in the policy, and time (Unix seconds).
    pub witnesses: Vec<(String, u64)>,
    /// How many witnesses the quorum is made of.
    pub total: usize,
}

impl WitnessPolicy {
    /// Reads the text form.
    ///
    /// # Errors
    /// `witness_policy.malformed`.
    pub fn parse(text: &str) -> Result<Self, Error> {
        if text.len() > MAX_POLICY_BYTES {
            return Err(malformed("more than 64 KiB"));
        }
        if text
            .bytes()
            .any(|b| (b < 0x20 && b != b'\t' && b != b'\n') || b == 0x7f)
        {
            return Err(malformed("control character"));
        }
        let mut parser = Parser::default();
        for (number, line) in (1_u32..).zip(text.split('\n')) {
            parser
                .line(line)
                .map_err(|why| malformed(&format!("line {number}: {why}")))?;
        }
        parser.finish()
    }

    /// The logs whose checkpoints count.
    pub fn logs(&self) -> impl Iterator<Item = &VerifierKey> {
        self.logs.iter().map(|(key, _)| key)
    }

    /// All witnesses: name and key.
    pub fn witnesses(&self) -> impl Iterator<Item = (&str, &VerifierKey)> {
        self.nodes.iter().filter_map(|node| match &node.kind {
            NodeKind::Witness { key, .. } => Some((node.name.as_str(), key)),
            NodeKind::Group { .. } => None,
        })
    }

    /// Submission URLs of the witnesses that have one: name, key, URL.
    pub fn witness_urls(&self) -> impl Iterator<Item = (&str, &VerifierKey, &str)> {
        self.nodes.iter().filter_map(|node| match &node.kind {
            NodeKind::Witness {
                key,
                url: Some(url),
            } => Some((node.name.as_str(), key, url.as_str())),
            _ => None,
        })
    }

    /// Whether a quorum of witnesses is wanted.
    pub fn wants_quorum(&self) -> bool {
        self.quorum.is_some()
    }

    /// Verifies a checkpoint: a log of the policy signed it, no cosignature of a known witness is wrong, and the quorum is met.
    ///
    /// # Errors
    /// `checkpoint.origin_mismatch`, `checkpoint.signature_invalid`, `checkpoint.quorum_missed`.
    pub fn evaluate(&self, signed: &SignedCheckpoint) -> Result<Quorum, Error> {
        let mut outcome = Err(Error::new(
            Code::CheckpointOriginMismatch,
            "no log of the policy",
        ));
        for (log, _) in &self.logs {
            outcome = signed.verify_log(log).map(|_| ());
            // One log's wrong signature is final; another log's origin is not.
            if !matches!(&outcome, Err(error) if error.code() == Code::CheckpointOriginMismatch) {
                break;
            }
        }
        outcome?;
        let keys: Vec<VerifierKey> = self.witnesses().map(|(_, key)| key.clone()).collect();
        let cosigned = signed.cosignatures(&keys)?;
        let members = self.quorum_witnesses();
        let time_of = |key: &VerifierKey| {
            cosigned
                .iter()
                .find(|(index, _)| keys.get(*index) == Some(key))
                .map(|(_, time)| *time)
        };
        let witnesses = self
            .witnesses()
            .filter(|(_, key)| members.contains(key))
            .filter_map(|(name, key)| Some((name.to_owned(), time_of(key)?)))
            .collect();
        let quorum = Quorum {
            required: self.quorum.is_some(),
            witnesses,
            total: members.len(),
        };
        if self.is_met(&quorum, |_| true) {
            Ok(quorum)
        } else {
            let detail = format!(
                "{} of {} witnesses cosigned",
                quorum.witnesses.len(),
                quorum.total
            );
            Err(Error::new(Code::CheckpointQuorumMissed, detail))
        }
    }

    /// Whether the quorum is met by those cosignatures whose time (Unix seconds) counts.
    pub fn is_met(&self, quorum: &Quorum, counts: impl Fn(u64) -> bool) -> bool {
        self.satisfied(|name, _| {
            quorum
                .witnesses
                .iter()
                .any(|(witness, time)| witness == name && counts(*time))
        })
    }

    /// Whether the quorum is met if the witnesses with these names cosign.
    pub fn is_met_by(&self, cosigns: impl Fn(&str) -> bool) -> bool {
        self.satisfied(|name, _| cosigns(name))
    }

    /// Evaluates the quorum bottom-up, without recursion: members are defined before their group.
    fn satisfied(&self, cosigned: impl Fn(&str, &VerifierKey) -> bool) -> bool {
        let Some(quorum) = self.quorum else {
            return true;
        };
        let mut values: Vec<bool> = Vec::with_capacity(self.nodes.len());
        for node in &self.nodes {
            let value = match &node.kind {
                NodeKind::Witness { key, .. } => cosigned(&node.name, key),
                NodeKind::Group { threshold, members } => {
                    let met = members
                        .iter()
                        .filter(|member| values.get(**member).copied().unwrap_or(false))
                        .count();
                    met >= threshold.of(members.len())
                }
            };
            values.push(value);
        }
        values.get(quorum).copied().unwrap_or(false)
    }

    /// Keys of the witnesses that the quorum is made of.
    fn quorum_witnesses(&self) -> BTreeSet<&VerifierKey> {
        let mut keys = BTreeSet::new();
        let mut open: Vec<usize> = self.quorum.into_iter().collect();
        while let Some(index) = open.pop() {
            match self.nodes.get(index).map(|node| &node.kind) {
                Some(NodeKind::Witness { key, .. }) => {
                    keys.insert(key);
                }
                Some(NodeKind::Group { members, .. }) => open.extend(members),
                None => {}
            }
        }
        keys
    }

    /// Whether this policy asks for less than `held`: fewer witnesses, or some set of witnesses suffices here that does not
    /// suffice there. Beyond 16 witnesses only an equal quorum counts as not weaker.
    pub fn is_weaker_than(&self, held: &Self) -> bool {
        if held.quorum.is_none() {
            return false;
        }
        let (mine, theirs) = (self.quorum_witnesses(), held.quorum_witnesses());
        if self.quorum.is_none() || mine.len() < theirs.len() {
            return true;
        }
        let keys: Vec<&VerifierKey> = mine.into_iter().collect();
        let count = u32::try_from(keys.len()).unwrap_or(u32::MAX);
        if count > MAX_COMPARED {
            return self.nodes != held.nodes || self.quorum != held.quorum;
        }
        let subsets = 0..1_u32.checked_shl(count).unwrap_or(0);
        subsets.into_iter().any(|subset| {
            let signs = |key: &VerifierKey| {
                let bit = keys
                    .iter()
                    .position(|k| *k == key)
                    .and_then(|i| u32::try_from(i).ok());
                bit.is_some_and(|bit| subset.checked_shr(bit).unwrap_or(0) & 1 == 1)
            };
            self.satisfied(|_, key| signs(key)) && !held.satisfied(|_, key| signs(key))
        })
    }
}

impl Threshold {
    fn of(self, members: usize) -> usize {
        match self {
            Self::All => members,
            Self::Any => 1,
            Self::AtLeast(k) => k,
        }
    }
}

fn malformed(why: &str) -> Error {
    Error::new(Code::WitnessPolicyMalformed, why)
}

/// A policy as far as it has been read.
#[derive(Default)]
struct Parser {
    logs: Vec<(VerifierKey, Option<String>)>,
    nodes: Vec<Node>,
    /// Nodes that are members of a group already.
    taken: BTreeSet<usize>,
    keys: BTreeSet<[u8; 32]>,
    quorum: Option<QuorumLine>,
}

/// What follows `quorum`.
enum QuorumLine {
    None,
    Node(usize),
}

impl Parser {
    fn line(&mut self, line: &str) -> Result<(), String> {
        let words: Vec<&str> = line
            .split([' ', '\t'])
            .filter(|word| !word.is_empty())
            .take_while(|word| !word.starts_with('#'))
            .collect();
        match words.as_slice() {
            [] => Ok(()),
            ["log", vkey, url @ ..] if url.len() <= 1 => {
                let key = self.key(vkey, KeyKind::Ed25519)?;
                self.logs
                    .push((key, url.first().map(|url| (*url).to_owned())));
                Ok(())
            }
            ["witness", name, vkey, url @ ..] if url.len() <= 1 => {
                let key = self.key(vkey, KeyKind::CosignatureV1)?;
                let url = url.first().map(|url| (*url).to_owned());
                self.define(name, NodeKind::Witness { key, url })
            }
            ["group", name, threshold, members @ ..] => self.group(name, threshold, members),
            ["quorum", name] => {
                if self.quorum.is_some() {
                    return Err("a second quorum".to_owned());
                }
                self.quorum = Some(match *name {
                    "none" => QuorumLine::None,
                    name => QuorumLine::Node(self.find(name)?),
                });
                Ok(())
            }
            [word, ..] => Err(format!("not a policy line: {}", excerpt(word))),
        }
    }

    fn key(&mut self, vkey: &str, kind: KeyKind) -> Result<VerifierKey, String> {
        let key = VerifierKey::parse(vkey).map_err(|error| error.detail().to_owned())?;
        if key.kind() != kind {
            return Err("key of another type than this line needs".to_owned());
        }
        if self.keys.insert(*key.public()) {
            Ok(key)
        } else {
            Err("public key used twice".to_owned())
        }
    }

    fn find(&self, name: &str) -> Result<usize, String> {
        let found = self.nodes.iter().position(|node| node.name == name);
        found.ok_or_else(|| format!("not defined: {}", excerpt(name)))
    }

    fn define(&mut self, name: &str, kind: NodeKind) -> Result<(), String> {
        if name == "none" || self.find(name).is_ok() {
            return Err(format!("name taken: {}", excerpt(name)));
        }
        self.nodes.push(Node {
            name: name.to_owned(),
            kind,
        });
        Ok(())
    }

    fn group(&mut self, name: &str, threshold: &str, members: &[&str]) -> Result<(), String> {
        let members = members
            .iter()
            .map(|member| self.find(member))
            .collect::<Result<Vec<_>, _>>()?;
        let threshold = match threshold {
            "all" => Threshold::All,
            "any" => Threshold::Any,
            k => Threshold::AtLeast(
                decimal(k)
                    .and_then(|k| usize::try_from(k).ok())
                    .ok_or("threshold is not all, any or a number")?,
            ),
        };
        if !(1..=members.len()).contains(&threshold.of(members.len())) {
            return Err("threshold outside 1..members".to_owned());
        }
        if !members.iter().all(|member| self.taken.insert(*member)) {
            return Err("a member of two groups".to_owned());
        }
        self.define(name, NodeKind::Group { threshold, members })
    }

    fn finish(self) -> Result<WitnessPolicy, Error> {
        let quorum = self.quorum.ok_or_else(|| malformed("no quorum line"))?;
        if self.logs.is_empty() {
            return Err(malformed("no log line"));
        }
        Ok(WitnessPolicy {
            logs: self.logs,
            nodes: self.nodes,
            quorum: match quorum {
                QuorumLine::None => None,
                QuorumLine::Node(index) => Some(index),
            },
        })
    }
}

impl fmt::Display for WitnessPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = |url: &Option<String>| {
            url.as_ref()
                .map(|url| format!(" {url}"))
                .unwrap_or_default()
        };
        for (key, at) in &self.logs {
            writeln!(f, "log {key}{}", url(at))?;
        }
        let name_of = |index: &usize| {
            self.nodes
                .get(*index)
                .map_or("none", |node| node.name.as_str())
        };
        for node in &self.nodes {
            match &node.kind {
                NodeKind::Witness { key, url: at } => {
                    writeln!(f, "witness {} {key}{}", node.name, url(at))?;
                }
                NodeKind::Group { threshold, members } => {
                    let threshold = match threshold {
                        Threshold::All => "all".to_owned(),
                        Threshold::Any => "any".to_owned(),
                        Threshold::AtLeast(k) => k.to_string(),
                    };
                    let members: Vec<&str> = members.iter().map(name_of).collect();
                    writeln!(f, "group {} {threshold} {}", node.name, members.join(" "))?;
                }
            }
        }
        writeln!(f, "quorum {}", self.quorum.as_ref().map_or("none", name_of))
    }
}

impl std::str::FromStr for WitnessPolicy {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::parse(text)
    }
}
