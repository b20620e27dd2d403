//! Reading the members of a strict JSON object, each failure with its code and a JSON pointer (RFC 6901).

use std::ops::RangeInclusive;

use serde_json::{Map, Value};

use crate::{
    MAX_INTEGER,
    amount::Amount,
    code::{Code, Error, excerpt},
    did::Did,
    digest::Digest,
};

/// Any integer that a document may carry.
pub(crate) const ANY: RangeInclusive<u64> = 0..=MAX_INTEGER;
/// Basis points.
pub(crate) const BP: RangeInclusive<u64> = 0..=10_000;

/// The codes of one kind of document.
#[derive(Debug)]
pub(crate) struct Codes {
    pub(crate) unknown: Code,
    pub(crate) missing: Code,
    pub(crate) invalid: Code,
    /// For text that should be an amount.
    pub(crate) amount: Code,
    /// For text that should be a DID.
    pub(crate) did: Code,
    /// For a DID of a small-order key.
    pub(crate) weak: Code,
}

impl Codes {
    /// A document that has one code for everything.
    pub(crate) const fn one(code: Code) -> Self {
        Self {
            unknown: code,
            missing: code,
            invalid: code,
            amount: code,
            did: code,
            weak: code,
        }
    }
}

/// An object of which every member name is known.
pub(crate) struct Obj<'a> {
    members: &'a Map<String, Value>,
    path: String,
    codes: &'static Codes,
}

impl<'a> Obj<'a> {
    /// The object at `path`, which may have the members `known` and no others.
    pub(crate) fn new(
        value: &'a Value,
        path: &str,
        codes: &'static Codes,
        known: &[&str],
    ) -> Result<Self, Error> {
        let Value::Object(members) = value else {
            return Err(Error::new(
                codes.invalid,
                format!("{}: not an object", shown(path)),
            ));
        };
        if let Some(name) = members.keys().find(|name| !known.contains(&name.as_str())) {
            return Err(Error::new(
                codes.unknown,
                format!("{path}/{}: unknown member", excerpt(&escape(name))),
            ));
        }
        Ok(Self {
            members,
            path: path.to_owned(),
            codes,
        })
    }

    /// An error at a member of this object.
    pub(crate) fn invalid(&self, name: &str, why: &str) -> Error {
        self.at(name, self.codes.invalid, why)
    }

    fn at(&self, name: &str, code: Code, why: &str) -> Error {
        Error::new(code, format!("{}/{name}: {why}", self.path))
    }

    /// The JSON pointer of a member.
    pub(crate) fn pointer(&self, name: &str) -> String {
        format!("{}/{name}", self.path)
    }

    pub(crate) fn get(&self, name: &str) -> Option<&'a Value> {
        self.members.get(name)
    }

    pub(crate) fn need(&self, name: &str) -> Result<&'a Value, Error> {
        self.get(name)
            .ok_or_else(|| self.at(name, self.codes.missing, "missing"))
    }

    /// `read` applied to a member if it is there.
    pub(crate) fn opt<T>(
        &self,
        name: &str,
        read: impl Fn(&Self, &str) -> Result<T, Error>,
    ) -> Result<Option<T>, Error> {
        self.get(name).map(|_| read(self, name)).transpose()
    }

    /// Any string.
    pub(crate) fn string(&self, name: &str) -> Result<&'a str, Error> {
        self.need(name)?
            .as_str()
            .ok_or_else(|| self.invalid(name, "not a string"))
    }

    /// A string of so many Unicode scalar values, none of them a control character.
    pub(crate) fn text(&self, name: &str, length: RangeInclusive<usize>) -> Result<&'a str, Error> {
        let text = self.string(name)?;
        if !length.contains(&text.chars().count()) {
            let why = format!("length outside {}..{}", length.start(), length.end());
            return Err(self.invalid(name, &why));
        }
        if text.bytes().any(|b| b < 0x20 || b == 0x7f) {
            return Err(self.invalid(name, "control character"));
        }
        Ok(text)
    }

    pub(crate) fn owned(&self, name: &str, length: RangeInclusive<usize>) -> Result<String, Error> {
        self.text(name, length).map(str::to_owned)
    }

    pub(crate) fn int(&self, name: &str, range: RangeInclusive<u64>) -> Result<u64, Error> {
        let number = self
            .need(name)?
            .as_u64()
            .ok_or_else(|| self.invalid(name, "not a non-negative integer"))?;
        if range.contains(&number) {
            return Ok(number);
        }
        let why = format!("outside {}..{}", range.start(), range.end());
        Err(self.invalid(name, &why))
    }

    /// Basis points, 0..=10000.
    pub(crate) fn bp(&self, name: &str) -> Result<u16, Error> {
        let bp = self.int(name, BP)?;
        u16::try_from(bp).map_err(|_| self.invalid(name, "not basis points"))
    }

    pub(crate) fn boolean(&self, name: &str) -> Result<bool, Error> {
        self.need(name)?
            .as_bool()
            .ok_or_else(|| self.invalid(name, "not a boolean"))
    }

    pub(crate) fn amount(&self, name: &str) -> Result<Amount, Error> {
        Amount::parse(self.string(name)?).map_err(|e| self.at(name, self.codes.amount, e.detail()))
    }

    pub(crate) fn did(&self, name: &str) -> Result<Did, Error> {
        self.did_by(name, Did::parse)
    }

    /// A DID that is read in the caller's way.
    pub(crate) fn did_by(
        &self,
        name: &str,
        read: impl Fn(&str) -> Result<Did, Error>,
    ) -> Result<Did, Error> {
        read(self.string(name)?).map_err(|e| {
            let code = if e.code() == Code::KeyWeak {
                self.codes.weak
            } else {
                self.codes.did
            };
            self.at(name, code, e.detail())
        })
    }

    /// A digest in any of its spellings.
    pub(crate) fn digest(&self, name: &str) -> Result<Digest, Error> {
        Digest::parse(self.string(name)?).map_err(|e| self.invalid(name, e.detail()))
    }

    /// An id: a digest in base64url.
    pub(crate) fn id(&self, name: &str) -> Result<Digest, Error> {
        Digest::parse_url(self.string(name)?).map_err(|e| self.invalid(name, e.detail()))
    }

    /// A hash of a log-side document: a digest in padded base64.
    pub(crate) fn hash(&self, name: &str) -> Result<Digest, Error> {
        Digest::parse_std(self.string(name)?).map_err(|e| self.invalid(name, e.detail()))
    }

    /// One of a closed set of words.
    pub(crate) fn word<T>(
        &self,
        name: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<T, Error> {
        parse(self.string(name)?).ok_or_else(|| self.invalid(name, "not one of the known values"))
    }

    /// A nested object with the members `known`.
    pub(crate) fn object(&self, name: &str, known: &[&str]) -> Result<Self, Error> {
        Self::new(self.need(name)?, &self.pointer(name), self.codes, known)
    }

    /// An array of at most `max` items, each with its JSON pointer.
    pub(crate) fn array(&self, name: &str, max: usize) -> Result<Vec<(String, &'a Value)>, Error> {
        let items = self
            .need(name)?
            .as_array()
            .ok_or_else(|| self.invalid(name, "not an array"))?;
        if items.len() > max {
            let why = format!("more than {max} items");
            return Err(self.invalid(name, &why));
        }
        let pointer = self.pointer(name);
        Ok(items
            .iter()
            .enumerate()
            .map(|(i, item)| (format!("{pointer}/{i}"), item))
            .collect())
    }
}

/// A member name as a reference token of RFC 6901.
fn escape(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

fn shown(path: &str) -> &str {
    if path.is_empty() {
        "the document"
    } else {
        path
    }
}
