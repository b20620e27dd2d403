//! What an audit finds: a disagreement with its exact place, or a reason why it could not go on.

use std::fmt;

use goodstanding_verify::{did::Did, tile::TilePath};
use serde_json::{Map, Value, json};

use super::pending::Pending;
use crate::code::{Code, Fault};

/// Where a log and the rules disagree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// The signed checkpoint of this size.
    Checkpoint(u64),
    /// A hash tile or entry bundle.
    Tile(TilePath),
    /// An entry, by index.
    Entry(u64),
    /// An epoch: its number, the index of its entry.
    Epoch(u64, u64),
    /// One agent's statement of an epoch.
    Agent(u64, Did),
    /// The trust bundle that the service serves.
    TrustBundle,
    /// The notice that the log has ended.
    Successor,
}

impl Place {
    fn members(&self) -> Map<String, Value> {
        let value = match self {
            Self::Checkpoint(size) => json!({"checkpoint": size}),
            Self::Tile(path) => json!({"tile": path.to_string()}),
            Self::Entry(index) => json!({"entry": index}),
            Self::Epoch(number, index) => json!({"epoch": number, "entry": index}),
            Self::Agent(number, agent) => json!({"epoch": number, "agent": agent}),
            Self::TrustBundle => json!({"trust_bundle": true}),
            Self::Successor => json!({"successor": true}),
        };
        match value {
            Value::Object(members) => members,
            _ => Map::new(),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Checkpoint(size) => write!(f, "checkpoint of {size} entries"),
            Self::Tile(path) => write!(f, "tile {path}"),
            Self::Entry(index) => write!(f, "entry {index}"),
            Self::Epoch(number, index) => write!(f, "epoch {number} (entry {index})"),
            Self::Agent(number, agent) => write!(f, "epoch {number}, agent {agent}"),
            Self::TrustBundle => f.write_str("trust bundle"),
            Self::Successor => f.write_str("notice of the log's end"),
        }
    }
}

/// A disagreement: what the log says cannot be what it has to say.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {detail}")]
pub struct Disagreement {
    code: &'static str,
    place: Place,
    detail: String,
    /// The code of the rule that is broken, where it has one of its own.
    cause: Option<&'static str>,
    /// Signed checkpoints that prove it.
    notes: Vec<String>,
    /// Why what was seen could not be remembered.
    unsaved: Option<Fault>,
}

impl Disagreement {
    /// A disagreement with a code of the audit's own.
    pub fn new(code: Code, place: Place, detail: impl Into<String>) -> Box<Self> {
        Box::new(Self {
            code: code.as_str(),
            place,
            detail: detail.into(),
            cause: None,
            notes: Vec::new(),
            unsaved: None,
        })
    }

    /// A rule's own refusal, at a place.
    pub fn caused(code: Code, place: Place, cause: &Fault) -> Box<Self> {
        let mut new = Self::new(code, place, cause.to_string());
        new.cause = Some(cause.code());
        new
    }

    /// The log goes on in a way that this program does not know.
    pub fn unsupported(place: Place, cause: &goodstanding_verify::Error) -> Box<Self> {
        Box::new(Self {
            code: cause.code().as_str(),
            place,
            detail: cause.detail().to_owned(),
            cause: None,
            notes: Vec::new(),
            unsaved: None,
        })
    }

    /// An entry of a kind whose rules this program does not know.
    pub fn unsupported_kind(place: Place, kind: &str) -> Box<Self> {
        let detail = format!("this program does not know the rules of kind {kind}");
        let code = goodstanding_verify::code::Code::LogUnsupportedVersion;
        Self::unsupported(place, &goodstanding_verify::Error::new(code, detail))
    }

    /// With the signed checkpoints that prove it.
    #[must_use]
    pub fn with_notes(mut self: Box<Self>, notes: impl IntoIterator<Item = String>) -> Box<Self> {
        self.notes.extend(notes);
        self
    }

    /// The stable code.
    pub fn code(&self) -> &'static str {
        self.code
    }

    /// Where.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// What exactly, for people.
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// The code of the broken rule.
    pub fn cause(&self) -> Option<&'static str> {
        self.cause
    }

    /// Signed checkpoints that prove it.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// With the reason why the state file does not have it. That must not hide the disagreement itself.
    #[must_use]
    pub fn unsaved_for(mut self: Box<Self>, fault: Fault) -> Box<Self> {
        self.unsaved = Some(fault);
        self
    }

    /// Why what was seen could not be remembered.
    pub fn unsaved(&self) -> Option<&Fault> {
        self.unsaved.as_ref()
    }

    /// As JSON.
    pub fn to_json(&self) -> Value {
        let mut value =
            json!({"code": self.code, "place": self.place.members(), "detail": self.detail});
        if let Some(object) = value.as_object_mut() {
            if let Some(cause) = self.cause {
                object.insert("cause".to_owned(), cause.into());
            }
            if !self.notes.is_empty() {
                object.insert("checkpoints".to_owned(), self.notes.clone().into());
            }
        }
        value
    }
}

/// Why an audit ended early.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Failure {
    /// The log is wrong.
    #[error(transparent)]
    Disagrees(#[from] Box<Disagreement>),
    /// Nothing is wrong, and about some of it nothing was shown yet.
    #[error("{}: {}", .0.code(), .0)]
    Pending(Box<Pending>),
    /// The audit could not go on; it says nothing about the log.
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl Failure {
    /// A disagreement.
    pub fn at(code: Code, place: Place, detail: impl Into<String>) -> Self {
        Self::Disagrees(Disagreement::new(code, place, detail))
    }

    /// A rule's own refusal, at a place.
    pub fn caused(code: Code, place: Place, cause: impl Into<Fault>) -> Self {
        Self::Disagrees(Disagreement::caused(code, place, &cause.into()))
    }
}

impl From<crate::store::Error> for Failure {
    fn from(error: crate::store::Error) -> Self {
        Self::Fault(error.into())
    }
}
