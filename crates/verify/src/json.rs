//! Strict JSON (I-JSON, RFC 7493) and its canonical form (JCS, RFC 8785).
//!
//! `serde_json::Value` silently keeps the last of two equal member names, and two parsers that disagree about which one
//! counts disagree about what was signed. So signed documents go through [`parse`], which refuses duplicates (after
//! unescaping), floating point numbers, integers beyond ±(2^53−1), more than 32 levels and anything after the value.

use std::{cell::Cell, fmt};

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use crate::{
    MAX_INTEGER,
    code::{Code, Error},
};

/// Deepest nesting of objects and arrays.
pub const MAX_DEPTH: usize = 32;

/// Why bytes are not acceptable JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JsonFault {
    /// Not UTF-8 JSON, or bytes after the value.
    Malformed,
    /// Objects and arrays nested more than [`MAX_DEPTH`] deep.
    TooDeep,
    /// An object names a member twice.
    DuplicateMember,
    /// A floating point number, or an integer beyond ±(2^53−1).
    NumberOutOfRange,
    /// Acceptable JSON, but not in canonical form.
    NotCanonical,
}

impl JsonFault {
    /// The stable code of this fault.
    pub fn code(self) -> Code {
        match self {
            Self::Malformed | Self::TooDeep => Code::JsonMalformed,
            Self::DuplicateMember => Code::JsonDuplicateMember,
            Self::NumberOutOfRange => Code::JsonNumberOutOfRange,
            Self::NotCanonical => Code::JsonNotCanonical,
        }
    }
}

impl fmt::Display for JsonFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "not JSON",
            Self::TooDeep => "more than 32 levels deep",
            Self::DuplicateMember => "a member is named twice",
            Self::NumberOutOfRange => "a number is not an integer within ±(2^53−1)",
            Self::NotCanonical => "not in canonical form",
        })
    }
}

impl std::error::Error for JsonFault {}

impl From<JsonFault> for Error {
    fn from(fault: JsonFault) -> Self {
        Self::new(fault.code(), fault.to_string())
    }
}

/// Reads strict JSON.
///
/// # Errors
/// The fault that was met first.
pub fn parse(bytes: &[u8]) -> Result<Value, JsonFault> {
    read(bytes, Numbers::SafeIntegers)
}

/// Reads JSON of somebody else's making: as [`parse`], but any number is taken.
///
/// # Errors
/// The fault that was met first; never `NumberOutOfRange`.
pub fn parse_foreign(bytes: &[u8]) -> Result<Value, JsonFault> {
    read(bytes, Numbers::Any)
}

/// Reads strict JSON that must be its own canonical form.
///
/// # Errors
/// As [`parse`], and `NotCanonical`.
pub fn parse_canonical(bytes: &[u8]) -> Result<Value, JsonFault> {
    let value = parse(bytes)?;
    if canonical(&value)? == bytes {
        Ok(value)
    } else {
        Err(JsonFault::NotCanonical)
    }
}

/// The canonical bytes of a value (RFC 8785).
///
/// # Errors
/// `NumberOutOfRange` for numbers that strict JSON has not: the canonical form of integers beyond 2^53 is ambiguous.
pub fn canonical(value: &Value) -> Result<Vec<u8>, JsonFault> {
    check_numbers(value, 0)?;
    serde_jcs::to_vec(value).map_err(|_| JsonFault::Malformed)
}

fn check_numbers(value: &Value, depth: usize) -> Result<(), JsonFault> {
    if depth > MAX_DEPTH {
        return Err(JsonFault::TooDeep);
    }
    let below = depth.saturating_add(1);
    match value {
        Value::Number(number) => check_number(number),
        Value::Array(items) => items.iter().try_for_each(|item| check_numbers(item, below)),
        Value::Object(members) => members
            .values()
            .try_for_each(|member| check_numbers(member, below)),
        Value::Null | Value::Bool(_) | Value::String(_) => Ok(()),
    }
}

fn check_number(number: &Number) -> Result<(), JsonFault> {
    let magnitude = number
        .as_u64()
        .or_else(|| number.as_i64().map(i64::unsigned_abs));
    match magnitude {
        Some(magnitude) if magnitude <= MAX_INTEGER => Ok(()),
        _ => Err(JsonFault::NumberOutOfRange),
    }
}

#[derive(Clone, Copy)]
enum Numbers {
    SafeIntegers,
    Any,
}

fn read(bytes: &[u8], numbers: Numbers) -> Result<Value, JsonFault> {
    let fault = Cell::new(None);
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let node = Node {
        depth: 0,
        numbers,
        fault: &fault,
    };
    let value = node
        .deserialize(&mut deserializer)
        .and_then(|value| deserializer.end().map(|()| value));
    value.map_err(|error| {
        // serde's errors carry text only, so our own faults travel beside them.
        fault.take().unwrap_or_else(|| {
            if error.to_string().starts_with("number out of range") {
                JsonFault::NumberOutOfRange
            } else {
                JsonFault::Malformed
            }
        })
    })
}

/// One value at a depth; a fault found in it is left in `fault`.
#[derive(Clone, Copy)]
struct Node<'a> {
    depth: usize,
    numbers: Numbers,
    fault: &'a Cell<Option<JsonFault>>,
}

impl Node<'_> {
    fn fail<E: serde::de::Error>(&self, fault: JsonFault) -> E {
        self.fault.set(Some(fault));
        E::custom(fault)
    }

    fn below<E: serde::de::Error>(self) -> Result<Self, E> {
        if self.depth >= MAX_DEPTH {
            return Err(self.fail(JsonFault::TooDeep));
        }
        Ok(Self {
            depth: self.depth.saturating_add(1),
            ..self
        })
    }

    fn number<E: serde::de::Error>(&self, number: Number) -> Result<Value, E> {
        if let Numbers::SafeIntegers = self.numbers {
            check_number(&number).map_err(|fault| self.fail(fault))?;
        }
        Ok(Value::Number(number))
    }
}

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Value, E> {
        self.number(value.into())
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Value, E> {
        self.number(value.into())
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        match Number::from_f64(value) {
            Some(number) => self.number(number),
            None => Err(self.fail(JsonFault::NumberOutOfRange)),
        }
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let node = self.below()?;
        let mut out = Vec::new();
        while let Some(item) = items.next_element_seed(node)? {
            out.push(item);
        }
        Ok(Value::Array(out))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let node = self.below()?;
        let mut out = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            if out.contains_key(&name) {
                self.fault.set(Some(JsonFault::DuplicateMember));
                return Err(A::Error::custom(JsonFault::DuplicateMember));
            }
            let value = members.next_value_seed(node)?;
            out.insert(name, value);
        }
        Ok(Value::Object(out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn faults() {
        let nested = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
        assert!(parse(nested(32).as_bytes()).is_ok());
        for (text, fault) in [
            (r#"{"a":1,"a":2}"#.to_owned(), JsonFault::DuplicateMember),
            (
                r#"[{"x":{"a":1,"\u0061":1}}]"#.to_owned(),
                JsonFault::DuplicateMember,
            ),
            ("1.0".to_owned(), JsonFault::NumberOutOfRange),
            ("-0".to_owned(), JsonFault::NumberOutOfRange),
            ("1e2".to_owned(), JsonFault::NumberOutOfRange),
            ("1e999".to_owned(), JsonFault::NumberOutOfRange),
            ("9007199254740992".to_owned(), JsonFault::NumberOutOfRange),
            ("-9007199254740992".to_owned(), JsonFault::NumberOutOfRange),
            (
                "18446744073709551616".to_owned(),
                JsonFault::NumberOutOfRange,
            ),
            (nested(33), JsonFault::TooDeep),
            (nested(5000), JsonFault::TooDeep),
            ("{} ,".to_owned(), JsonFault::Malformed),
            ("{} {}".to_owned(), JsonFault::Malformed),
            (String::new(), JsonFault::Malformed),
            ("{'a':1}".to_owned(), JsonFault::Malformed),
            (r#""\ud800""#.to_owned(), JsonFault::Malformed),
            ("NaN".to_owned(), JsonFault::Malformed),
            ("[1,]".to_owned(), JsonFault::Malformed),
        ] {
            assert_eq!(parse(text.as_bytes()), Err(fault), "{text}");
        }
        assert_eq!(parse(b"\"\xff\""), Err(JsonFault::Malformed));
        assert_eq!(parse(b"\xef\xbb\xbf{}"), Err(JsonFault::Malformed));
        assert!(parse(b"[9007199254740991,-9007199254740991]").is_ok());
        assert!(parse_foreign(b"[0.873,1e30]").is_ok());
        assert_eq!(
            parse_foreign(br#"{"a":0,"a":0}"#),
            Err(JsonFault::DuplicateMember)
        );
    }

    #[test]
    fn canonical_only() {
        assert!(parse_canonical(br#"{"a":1,"b":[]}"#).is_ok());
        for text in [
            r#"{"b":1,"a":2}"#,
            r#"{"a": 1}"#,
            r#"["\u0061"]"#,
            r#"["\/"]"#,
            " 1",
        ] {
            assert_eq!(
                parse_canonical(text.as_bytes()),
                Err(JsonFault::NotCanonical),
                "{text}"
            );
        }
        assert_eq!(
            canonical(&serde_json::json!([u64::MAX])),
            Err(JsonFault::NumberOutOfRange)
        );
        assert_eq!(
            canonical(&serde_json::json!([0.5])),
            Err(JsonFault::NumberOutOfRange)
        );
    }

    proptest! {
        #[test]
        fn never_panics(bytes: Vec<u8>, text in r#"[\[\]{}",:0-9a\\u.e-]*"#) {
            let _ = parse(&bytes);
            let _ = parse_canonical(&bytes);
            if let Ok(value) = parse(text.as_bytes()) {
                let bytes = canonical(&value).unwrap();
                prop_assert_eq!(parse_canonical(&bytes), Ok(value));
            }
        }
    }
}
