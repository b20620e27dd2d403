//! Log entries (`docs/FORMATS.md` §3): the canonical JSON bytes of one object each.

use serde_json::{Map, Value, json};

use crate::{
    MAX_INTEGER,
    checkpoint::decimal,
    code::{Code, Error, excerpt},
    did::Did,
    digest::Digest,
    fields::{ANY, Codes, Obj},
    json,
    jwk::Jwk,
    report::ReportId,
};

/// Largest entry, bytes.
pub const MAX_ENTRY_BYTES: usize = 60_000;
/// Entry version that this software reads and writes.
pub const ENTRY_VERSION: u64 = 1;
/// What `code` of an epoch starts with; the scoring version number follows.
pub const SCORING_CODE_PREFIX: &str = "goodstanding-score/";

const CODES: Codes = Codes::one(Code::EntryMalformed);

/// One entry of the log.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Log time, Unix milliseconds; never decreases along the log.
    pub at: u64,
    /// What it records.
    pub body: Body,
}

/// What an entry records.
#[derive(Clone, Debug, PartialEq)]
pub enum Body {
    /// A complete policy.
    Policy {
        /// 1, 2, …
        version: u64,
        /// The policy, an object; its own format is the scoring crate's business.
        policy: Value,
    },
    /// A report was admitted.
    Report {
        /// Hash of its compact JWS.
        id: ReportId,
        /// Imported by the operator; age limits did not apply.
        historical: bool,
    },
    /// All scores were computed.
    Epoch(EpochEntry),
    /// A key of the service came or went.
    Key(KeyEntry),
    /// An agent changed its key.
    Rotation {
        /// Hash of the signed document.
        id: Digest,
        /// The key that signed.
        old: Did,
        /// The key that takes over.
        new: Did,
    },
    /// An agent used its recovery key.
    Recovery {
        /// Hash of the signed document.
        id: Digest,
        /// The agent.
        agent: Did,
    },
    /// A reply to a report.
    Reply {
        /// Hash of the signed document.
        id: Digest,
        /// The report.
        report: ReportId,
    },
    /// An appeal against a flag.
    Appeal {
        /// Hash of the signed document.
        id: Digest,
        /// The flag.
        flag: Digest,
    },
    /// A decision on a flag.
    Decision {
        /// Hash of the signed document.
        id: Digest,
        /// The flag.
        flag: Digest,
    },
    /// A body was erased; its hash stays.
    Erasure {
        /// Hash of the erased document.
        of: Digest,
        /// Why.
        reason: ErasureReason,
    },
}

/// `kind: epoch`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EpochEntry {
    /// 1, 2, …
    pub number: u64,
    /// Time the scores speak of, Unix seconds.
    pub as_of: u64,
    /// Entries below this index count.
    pub log_size: u64,
    /// Index of the policy entry.
    pub policy: u64,
    /// Number of statements in the score tree.
    pub statements: u64,
    /// Root of the score tree.
    pub score_root: Digest,
    /// Root of the tree of flags.
    pub flags_root: Digest,
    /// SHA-256 of the epoch's salt key.
    pub salt_key_sha256: Digest,
    /// Scoring code, `goodstanding-score/<n>`.
    pub code: String,
}

/// `kind: key`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyEntry {
    /// What the key signs.
    pub usage: KeyUse,
    /// What happened to it.
    pub action: KeyAction,
    /// The key.
    pub jwk: Jwk,
    /// When it takes effect, Unix seconds.
    pub from: u64,
}

macro_rules! words {
    ($(#[doc = $doc:literal] $type:ident { $($variant:ident = $name:literal),+ })+) => {$(
        #[doc = $doc]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $type {
            $(#[doc = concat!("`", $name, "`")] $variant,)+
        }

        impl $type {
            /// Every value.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The wire name.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }

            /// The value with this wire name.
            pub fn parse(name: &str) -> Option<Self> {
                match name { $($name => Some(Self::$variant),)+ _ => None }
            }
        }

        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }
    )+};
}

words! {
    #[doc = "What a key of the service signs."]
    KeyUse { Token = "token", Status = "status", Bundle = "bundle", Casework = "casework" }
    #[doc = "What happens to a key of the service."]
    KeyAction { Add = "add", Retire = "retire", Revoke = "revoke" }
    #[doc = "Why a body was erased."]
    ErasureReason {
        PersonalData = "personal_data",
        CourtOrder = "court_order",
        Malware = "malware",
        AuthorRequest = "author_request"
    }
}

impl Entry {
    /// The entry's canonical bytes, which are the log's leaf.
    ///
    /// # Errors
    /// `entry.malformed` if a number is beyond 2^53−1, the policy is not strict JSON, or the entry exceeds 60,000 bytes.
    pub fn to_bytes(&self) -> Result<Vec<u8>, Error> {
        let mut members = match self.body.members() {
            Value::Object(members) => members,
            _ => Map::new(),
        };
        members.insert("v".to_owned(), ENTRY_VERSION.into());
        members.insert("kind".to_owned(), self.body.kind().into());
        members.insert("at".to_owned(), self.at.into());
        let bytes = json::canonical(&Value::Object(members))
            .map_err(|fault| Error::new(Code::EntryMalformed, fault.to_string()))?;
        if bytes.len() > MAX_ENTRY_BYTES {
            return Err(Error::new(
                Code::EntryMalformed,
                format!("{} bytes", bytes.len()),
            ));
        }
        Ok(bytes)
    }

    /// Reads an entry; its bytes must be canonical.
    ///
    /// # Errors
    /// `log.unsupported_version` for another `v` or `kind`, `entry.malformed` for everything else.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let malformed = |why: &str| Error::new(Code::EntryMalformed, why);
        if bytes.len() > MAX_ENTRY_BYTES {
            return Err(malformed("more than 60,000 bytes"));
        }
        if let Some(entry) = Self::parse_report(bytes) {
            return Ok(entry);
        }
        let value = json::parse_canonical(bytes).map_err(|fault| malformed(&fault.to_string()))?;
        // The version comes before everything else: another one may have other members.
        let version = value.get("v").ok_or_else(|| malformed("/v: missing"))?;
        if version.as_u64() != Some(ENTRY_VERSION) {
            return Err(Error::new(Code::LogUnsupportedVersion, "/v is not 1"));
        }
        let kind = value
            .get("kind")
            .and_then(Value::as_str)
            .ok_or_else(|| malformed("/kind: missing or not a string"))?;
        let own: &[&str] = match kind {
            "policy" => &["version", "policy"],
            "report" => &["id", "historical"],
            "epoch" => &[
                "number",
                "as_of",
                "log_size",
                "policy",
                "statements",
                "score_root",
                "flags_root",
                "salt_key_sha256",
                "code",
            ],
            "key" => &["use", "action", "jwk", "from"],
            "rotation" => &["id", "old", "new"],
            "recovery" => &["id", "agent"],
            "reply" => &["id", "report"],
            "appeal" | "decision" => &["id", "flag"],
            "erasure" => &["of", "reason"],
            other => {
                return Err(Error::new(
                    Code::LogUnsupportedVersion,
                    format!("kind {}", excerpt(other)),
                ));
            }
        };
        let known: Vec<&str> = ["v", "kind", "at"].iter().chain(own).copied().collect();
        let object = Obj::new(&value, "", &CODES, &known)?;
        Ok(Self {
            at: object.int("at", ANY)?,
            body: Body::read(kind, &object)?,
        })
    }
}

impl Entry {
    /// A report's entry by its only canonical spelling, without building a JSON value: nearly all entries of a log are
    /// reports. `None` = anything else, which the general way tells apart.
    fn parse_report(bytes: &[u8]) -> Option<Self> {
        let rest = std::str::from_utf8(bytes).ok()?.strip_prefix(r#"{"at":"#)?;
        let (at, rest) = rest.split_once(',')?;
        let at = decimal(at).filter(|at| *at <= MAX_INTEGER)?;
        let (historical, rest) = match rest.strip_prefix(r#""historical":true,"#) {
            Some(rest) => (true, rest),
            None => (false, rest),
        };
        let id = rest
            .strip_prefix(r#""id":""#)?
            .strip_suffix(r#"","kind":"report","v":1}"#)?;
        let id = ReportId::parse(id).ok()?;
        let body = Body::Report { id, historical };
        Some(Self { at, body })
    }
}

impl Body {
    /// The wire name of the kind.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Policy { .. } => "policy",
            Self::Report { .. } => "report",
            Self::Epoch(_) => "epoch",
            Self::Key(_) => "key",
            Self::Rotation { .. } => "rotation",
            Self::Recovery { .. } => "recovery",
            Self::Reply { .. } => "reply",
            Self::Appeal { .. } => "appeal",
            Self::Decision { .. } => "decision",
            Self::Erasure { .. } => "erasure",
        }
    }

    /// The members of this kind.
    fn members(&self) -> Value {
        match self {
            Self::Policy { version, policy } => json!({"version": version, "policy": policy}),
            Self::Report {
                id,
                historical: false,
            } => json!({"id": id}),
            Self::Report {
                id,
                historical: true,
            } => json!({"id": id, "historical": true}),
            Self::Epoch(epoch) => json!({
                "number": epoch.number, "as_of": epoch.as_of, "log_size": epoch.log_size, "policy": epoch.policy,
                "statements": epoch.statements, "score_root": epoch.score_root.to_std(),
                "flags_root": epoch.flags_root.to_std(), "salt_key_sha256": epoch.salt_key_sha256.to_std(),
                "code": epoch.code,
            }),
            Self::Key(key) => {
                json!({"use": key.usage, "action": key.action, "jwk": key.jwk, "from": key.from})
            }
            Self::Rotation { id, old, new } => json!({"id": id, "old": old, "new": new}),
            Self::Recovery { id, agent } => json!({"id": id, "agent": agent}),
            Self::Reply { id, report } => json!({"id": id, "report": report}),
            Self::Appeal { id, flag } | Self::Decision { id, flag } => {
                json!({"id": id, "flag": flag})
            }
            Self::Erasure { of, reason } => json!({"of": of, "reason": reason}),
        }
    }

    fn read(kind: &str, object: &Obj<'_>) -> Result<Self, Error> {
        let id = || object.id("id");
        Ok(match kind {
            "policy" => {
                let policy = object.need("policy")?;
                if !policy.is_object() {
                    return Err(object.invalid("policy", "not an object"));
                }
                Self::Policy {
                    version: object.int("version", 1..=MAX_INTEGER)?,
                    policy: policy.clone(),
                }
            }
            "report" => {
                let historical = object.opt("historical", Obj::boolean)?;
                if historical == Some(false) {
                    return Err(object.invalid("historical", "only as true"));
                }
                Self::Report {
                    id: ReportId(id()?.0),
                    historical: historical.is_some(),
                }
            }
            "epoch" => Self::Epoch(EpochEntry::read(object)?),
            "key" => Self::Key(KeyEntry {
                usage: object.word("use", KeyUse::parse)?,
                action: object.word("action", KeyAction::parse)?,
                jwk: Jwk::parse(object.need("jwk")?)
                    .map_err(|error| object.invalid("jwk", error.detail()))?,
                from: object.int("from", ANY)?,
            }),
            "rotation" => {
                let (old, new) = (object.did("old")?, object.did("new")?);
                if old == new {
                    return Err(object.invalid("new", "same as old"));
                }
                Self::Rotation {
                    id: id()?,
                    old,
                    new,
                }
            }
            "recovery" => Self::Recovery {
                id: id()?,
                agent: object.did("agent")?,
            },
            "reply" => Self::Reply {
                id: id()?,
                report: ReportId(object.id("report")?.0),
            },
            "appeal" => Self::Appeal {
                id: id()?,
                flag: object.id("flag")?,
            },
            "decision" => Self::Decision {
                id: id()?,
                flag: object.id("flag")?,
            },
            _ => Self::Erasure {
                of: object.id("of")?,
                reason: object.word("reason", ErasureReason::parse)?,
            },
        })
    }
}

impl EpochEntry {
    fn read(object: &Obj<'_>) -> Result<Self, Error> {
        let code = object.text("code", 1..=64)?;
        let version = code.strip_prefix(SCORING_CODE_PREFIX).and_then(decimal);
        if version.is_none_or(|version| version == 0) {
            return Err(object.invalid("code", "not goodstanding-score/<n>"));
        }
        Ok(Self {
            number: object.int("number", 1..=MAX_INTEGER)?,
            as_of: object.int("as_of", ANY)?,
            log_size: object.int("log_size", ANY)?,
            policy: object.int("policy", ANY)?,
            statements: object.int("statements", ANY)?,
            score_root: object.hash("score_root")?,
            flags_root: object.hash("flags_root")?,
            salt_key_sha256: object.hash("salt_key_sha256")?,
            code: code.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_short_way_takes_what_the_long_way_takes() {
        let id = ReportId([7; 32]);
        for historical in [false, true] {
            for at in [0, 1, 1_767_225_600_000, MAX_INTEGER] {
                let body = Body::Report { id, historical };
                let entry = Entry { at, body };
                let bytes = entry.to_bytes().unwrap();
                assert_eq!(Entry::parse_report(&bytes), Some(entry.clone()));
                assert!(json::parse_canonical(&bytes).is_ok());
                // Whatever is changed in it, the short way takes it only if it is canonical still.
                for place in 0..bytes.len() {
                    for with in [b'0', b' ', b'"', b'A', b',', 0xff] {
                        let mut other = bytes.clone();
                        if let Some(byte) = other.get_mut(place) {
                            *byte = with;
                        }
                        if let Some(taken) = Entry::parse_report(&other) {
                            assert_eq!(taken.to_bytes().unwrap(), other);
                        }
                    }
                }
            }
        }
        for at in ["00", "01", "-1", "9007199254740992", "1.0", "1e3", ""] {
            let text = format!(r#"{{"at":{at},"id":"{id}","kind":"report","v":1}}"#);
            assert_eq!(Entry::parse_report(text.as_bytes()), None, "{at}");
            assert!(Entry::parse(text.as_bytes()).is_err(), "{at}");
        }
        let falsely = format!(r#"{{"at":1,"historical":false,"id":"{id}","kind":"report","v":1}}"#);
        assert_eq!(Entry::parse_report(falsely.as_bytes()), None);
    }
}
