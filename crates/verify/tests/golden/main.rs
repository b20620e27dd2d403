//! The golden vectors of `tests/vectors`, which an independent generator wrote: equal bytes, or exactly the code they name.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod documents;
mod log;
mod schemas;
mod trust;

use std::path::Path;

use goodstanding_verify::{Error, merkle::Hash};
use serde_json::Value;

pub(crate) fn vectors(file: &str) -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/vectors")
        .join(file);
    let text = std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str::<Value>(&text)
        .unwrap()
        .as_array()
        .unwrap_or_else(|| panic!("{file} is not an array"))
        .clone()
}

pub(crate) fn text<'a>(case: &'a Value, name: &str) -> &'a str {
    case[name]
        .as_str()
        .unwrap_or_else(|| panic!("{}: no {name}", case["name"]))
}

pub(crate) fn hash(hex: &Value) -> Hash {
    let hex = hex.as_str().unwrap();
    let bytes: Vec<u8> = (0..hex.len())
        .step_by(2)
        .map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap())
        .collect();
    bytes.try_into().unwrap()
}

pub(crate) fn hashes(list: &Value) -> Vec<Hash> {
    list.as_array().unwrap().iter().map(hash).collect()
}

/// Collects disagreements, so one run shows all of them.
#[derive(Default)]
pub(crate) struct Check {
    disagreements: Vec<String>,
    pub(crate) cases: usize,
}

impl Check {
    pub(crate) fn outcome<T>(&mut self, case: &Value, outcome: Result<T, Error>) -> Option<T> {
        self.cases += 1;
        let found = outcome.as_ref().err().map(|error| error.code().as_str());
        let wanted = case["code"].as_str();
        if found != wanted {
            let detail = outcome.as_ref().err().map(ToString::to_string);
            self.disagreements.push(format!(
                "{}: wanted {wanted:?}, found {found:?} ({detail:?})",
                case["name"]
            ));
        }
        outcome.ok()
    }

    #[expect(
        clippy::needless_pass_by_value,
        reason = "callers compare what they have just made"
    )]
    pub(crate) fn equal<T: PartialEq + std::fmt::Debug>(
        &mut self,
        case: &Value,
        what: &str,
        found: T,
        wanted: T,
    ) {
        if found != wanted {
            self.disagreements.push(format!(
                "{}: {what}: found {found:?}, wanted {wanted:?}",
                case["name"]
            ));
        }
    }
}

impl Drop for Check {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert!(
                self.disagreements.is_empty(),
                "{} disagreements in {} cases:\n{}",
                self.disagreements.len(),
                self.cases,
                self.disagreements.join("\n")
            );
            assert!(self.cases > 0, "no cases");
        }
    }
}
