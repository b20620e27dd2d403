//! The policy: every parameter of scoring, admission and detection, seeds included. Logged whole, so whoever recomputes
//! a score needs nothing else.

mod constants;
mod error;
mod read;

use std::collections::BTreeMap;

use goodstanding_verify::did::Did;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use serde_json::{Map, Value};

pub use constants::{Admission, Parameter, Scoring};
pub use error::{PolicyCode, PolicyError};

/// Names of the presets, the default first.
pub const PRESETS: &[&str] = &["agent-market", "rating-network"];

/// The complete set of parameters. What [`Policy::parse`] returns is in range; whoever changes a field keeps it so.
///
/// In JSON an object with exactly these members (`schemas/policy.schema.json`); [`Policy::parse`] says where one is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Name of the preset it started from.
    pub preset: String,
    /// Trust roots, ascending and distinct. Flow starts at those that are agents of the evidence.
    pub seeds: Vec<Did>,
    /// Milli-units of the reference currency per unit. A currency not listed counts in the lowest amount band.
    pub currencies: BTreeMap<String, u64>,
    /// Lower edges of the amount bands, milli-units of the reference currency, ascending from 0.
    pub amount_bands_milli: Vec<u64>,
    /// Limits of admission.
    pub admission: Admission,
    /// Delay between the logging of a key rotation and its effect, seconds.
    pub rotation_delay_s: u64,
    /// Keys of marketplaces and payment rails whose signature makes level `receipt`, ascending and distinct.
    pub attestors: Vec<Did>,
    /// Constants of the scoring function.
    pub scoring: Scoring,
    /// Constants of detection. None exist yet.
    pub detection: Detection,
}

/// Constants of detection: an empty object in this version.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Detection {}

impl Policy {
    /// A preset by name, without seeds.
    ///
    /// # Errors
    /// `policy.preset_unknown`.
    pub fn preset(name: &str) -> Result<Self, PolicyError> {
        let text = match name {
            "agent-market" => include_str!("../../presets/agent-market.json"),
            "rating-network" => include_str!("../../presets/rating-network.json"),
            _ => {
                return Err(PolicyError::new(
                    PolicyCode::PresetUnknown,
                    "",
                    format!("not one of {}", PRESETS.join(", ")),
                ));
            }
        };
        let value = serde_json::from_str(text).map_err(|error| {
            PolicyError::new(
                PolicyCode::MemberInvalid,
                "",
                format!("preset {name}: {error}"),
            )
        })?;
        Self::parse(&value)
    }

    /// Reads a policy and checks every member.
    ///
    /// # Errors
    /// `policy.unknown_member`, `policy.member_missing` or `policy.member_invalid`, with a JSON pointer.
    pub fn parse(value: &Value) -> Result<Self, PolicyError> {
        read::policy(value)
    }

    /// The policy as JSON; [`Policy::parse`] reads it back.
    pub fn to_value(&self) -> Value {
        let dids = |dids: &[Did]| Value::from(dids.iter().map(Did::to_string).collect::<Vec<_>>());
        let currencies: Map<_, _> = self
            .currencies
            .iter()
            .map(|(code, milli)| (code.clone(), Value::from(*milli)))
            .collect();
        let mut object = Map::new();
        let mut put = |name: &str, value: Value| object.insert(name.to_owned(), value);
        put("preset", Value::from(self.preset.clone()));
        put("seeds", dids(&self.seeds));
        put("currencies", Value::from(currencies));
        put(
            "amount_bands_milli",
            Value::from(self.amount_bands_milli.clone()),
        );
        put(
            "admission",
            members(Admission::PARAMETERS, |name| self.admission.get(name)),
        );
        put("rotation_delay_s", Value::from(self.rotation_delay_s));
        put("attestors", dids(&self.attestors));
        put(
            "scoring",
            members(Scoring::PARAMETERS, |name| self.scoring.get(name)),
        );
        put("detection", Value::from(Map::new()));
        Value::from(object)
    }
}

/// The members of a table as a JSON object.
fn members(parameters: &[Parameter], get: impl Fn(&str) -> Option<u64>) -> Value {
    parameters
        .iter()
        .filter_map(|p| get(p.name).map(|v| (p.name.to_owned(), Value::from(v))))
        .collect::<Map<_, _>>()
        .into()
}

impl Serialize for Policy {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_value().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Policy {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&Value::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}
