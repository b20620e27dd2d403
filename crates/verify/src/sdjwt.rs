//! SD-JWT (RFC 9901): compact form, disclosures in objects, arrays and each other, and `sd_hash`.
//!
//! This is the general mechanism; it checks no signature. [`crate::token`] adds what this service's tokens require.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use crate::{
    b64,
    code::{Code, Error, excerpt},
    digest::sha256,
    json,
};

/// Member of an object that holds the digests of hidden members.
const SD: &str = "_sd";
/// The one member of an array element that stands for a hidden element.
const ELEMENT: &str = "...";
/// Deepest nesting of the processed payload: disclosures may hold disclosures, and recursion must end.
const MAX_NESTING: usize = 64;

/// An SD-JWT taken apart: `<JWT>~<D1>~…~<Dn>~[<KB-JWT>]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SdJwt<'a> {
    /// The issuer's JWT.
    pub jwt: &'a str,
    /// The disclosures as they stand.
    pub disclosures: Vec<&'a str>,
    /// The key-binding JWT, if there is one.
    pub kb_jwt: Option<&'a str>,
    /// Everything up to and including the last tilde: what `sd_hash` is taken of.
    pub presented: &'a str,
}

impl<'a> SdJwt<'a> {
    /// Splits at the tildes (RFC 9901 §4). Nothing is decoded.
    ///
    /// # Errors
    /// `token.malformed` if there is no tilde or an empty part.
    pub fn parse(token: &'a str) -> Result<Self, Error> {
        let malformed = |why: &str| Error::new(Code::TokenMalformed, why);
        let (body, kb_jwt) = token
            .rsplit_once('~')
            .ok_or_else(|| malformed("no tilde"))?;
        let mut parts = body.split('~');
        let jwt = parts.next().unwrap_or_default();
        let disclosures: Vec<&str> = parts.collect();
        if jwt.is_empty() || disclosures.iter().any(|part| part.is_empty()) {
            return Err(malformed("empty part"));
        }
        let presented = token.strip_suffix(kb_jwt).unwrap_or(token);
        Ok(Self {
            jwt,
            disclosures,
            kb_jwt: (!kb_jwt.is_empty()).then_some(kb_jwt),
            presented,
        })
    }
}

/// A disclosure, decoded.
#[derive(Clone, Debug, PartialEq)]
pub struct Revealed {
    /// The random or derived salt.
    pub salt: String,
    /// Member name; `None` for an array element.
    pub name: Option<String>,
    /// The value, which may itself hide parts.
    pub value: Value,
}

impl Revealed {
    /// Decodes one disclosure: base64url of a JSON array `[salt, value]` or `[salt, name, value]`, any spelling.
    ///
    /// # Errors
    /// `disclosure.malformed`.
    pub fn parse(disclosure: &str) -> Result<Self, Error> {
        let malformed = |why: &str| {
            Error::new(
                Code::DisclosureMalformed,
                format!("{why}: {}", excerpt(disclosure)),
            )
        };
        let bytes = b64::url_decode(disclosure).ok_or_else(|| malformed("not base64url"))?;
        let value = json::parse_foreign(&bytes).map_err(|fault| malformed(&fault.to_string()))?;
        let Value::Array(items) = value else {
            return Err(malformed("not an array"));
        };
        let mut items = items.into_iter();
        let (salt, name, value) = match (items.next(), items.next(), items.next(), items.next()) {
            (Some(Value::String(salt)), Some(value), None, None) => (salt, None, value),
            (Some(Value::String(salt)), Some(Value::String(name)), Some(value), None) => {
                (salt, Some(name), value)
            }
            _ => return Err(malformed("not [salt, value] or [salt, name, value]")),
        };
        if name
            .as_deref()
            .is_some_and(|name| name == SD || name == ELEMENT)
        {
            return Err(malformed("reserved name"));
        }
        Ok(Self { salt, name, value })
    }
}

/// The digest of a disclosure: base64url of SHA-256 of its text (RFC 9901 §4.2.3).
pub fn digest(disclosure: &str) -> String {
    sha256(disclosure.as_bytes()).to_string()
}

/// `sd_hash` of a presentation without its key-binding JWT, last tilde included (RFC 9901 §4.3.1).
pub fn sd_hash(presentation: &str) -> String {
    sha256(presentation.as_bytes()).to_string()
}

/// The compact form of an issued token: JWT and all its disclosures, ending in a tilde.
pub fn issued<S: AsRef<str>>(jwt: &str, disclosures: &[S]) -> String {
    let mut out = format!("{jwt}~");
    for disclosure in disclosures {
        out.push_str(disclosure.as_ref());
        out.push('~');
    }
    out
}

/// The token with only the disclosures of these member names, in the token's order and without a key-binding JWT.
///
/// # Errors
/// `token.malformed`, `disclosure.malformed`; `disclosure.unmatched` if a name has no disclosure.
pub fn select(token: &str, names: &[&str]) -> Result<String, Error> {
    let parts = SdJwt::parse(token)?;
    let mut found = BTreeSet::new();
    let mut kept = Vec::new();
    for disclosure in parts.disclosures {
        let name = Revealed::parse(disclosure)?.name;
        if let Some(name) = name.filter(|name| names.contains(&name.as_str())) {
            found.insert(name);
            kept.push(disclosure);
        }
    }
    match names.iter().find(|name| !found.contains(**name)) {
        None => Ok(issued(parts.jwt, &kept)),
        Some(name) => Err(Error::new(
            Code::DisclosureUnmatched,
            format!("no disclosure of {}", excerpt(name)),
        )),
    }
}

/// Puts disclosures back into a payload (RFC 9901 §7.1): matched ones appear, unmatched digests and placeholders go, and so
/// do `_sd` and `_sd_alg`.
///
/// # Errors
/// `token.malformed` for a digest structure that is wrong or another `_sd_alg` than `sha-256`; `disclosure.malformed`;
/// `disclosure.duplicate` for a digest, a disclosure or a name that occurs twice; `disclosure.unmatched` for a disclosure that
/// the payload does not refer to.
pub fn process(payload: &Value, disclosures: &[&str]) -> Result<Value, Error> {
    let alg = payload.get("_sd_alg");
    if alg.is_some_and(|alg| alg.as_str() != Some("sha-256")) {
        return Err(Error::new(Code::TokenMalformed, "/_sd_alg: not sha-256"));
    }
    let mut walk = Walk {
        revealed: BTreeMap::new(),
        seen: BTreeSet::new(),
    };
    for disclosure in disclosures {
        if walk
            .revealed
            .insert(digest(disclosure), Revealed::parse(disclosure)?)
            .is_some()
        {
            return Err(Error::new(
                Code::DisclosureDuplicate,
                format!("given twice: {}", excerpt(disclosure)),
            ));
        }
    }
    let mut out = walk.value(payload, 0)?;
    if let Value::Object(members) = &mut out {
        members.remove("_sd_alg");
    }
    match walk.revealed.first_key_value() {
        None => Ok(out),
        Some((digest, _)) => Err(Error::new(
            Code::DisclosureUnmatched,
            format!("digest {digest} is not in the token"),
        )),
    }
}

struct Walk {
    /// Disclosures not yet placed, by digest.
    revealed: BTreeMap<String, Revealed>,
    /// Every digest met so far.
    seen: BTreeSet<String>,
}

impl Walk {
    fn value(&mut self, value: &Value, depth: usize) -> Result<Value, Error> {
        if depth > MAX_NESTING {
            return Err(Error::new(
                Code::DisclosureMalformed,
                "disclosures nested too deep",
            ));
        }
        let below = depth.saturating_add(1);
        match value {
            Value::Object(members) => self.object(members, below).map(Value::Object),
            Value::Array(items) => {
                let mut out = Vec::with_capacity(items.len());
                for item in items {
                    out.extend(self.element(item, below)?);
                }
                Ok(Value::Array(out))
            }
            scalar => Ok(scalar.clone()),
        }
    }

    fn object(
        &mut self,
        members: &Map<String, Value>,
        depth: usize,
    ) -> Result<Map<String, Value>, Error> {
        let malformed = |why: &str| Error::new(Code::TokenMalformed, why);
        if members.contains_key(ELEMENT) {
            return Err(malformed("a placeholder outside an array"));
        }
        let mut out = Map::new();
        for (name, value) in members.iter().filter(|(name, _)| *name != SD) {
            out.insert(name.clone(), self.value(value, depth)?);
        }
        let digests = match members.get(SD) {
            None => &[],
            Some(Value::Array(digests)) => digests.as_slice(),
            Some(_) => return Err(malformed("_sd is not an array")),
        };
        for digest in digests {
            let Some(revealed) = self.take(digest)? else {
                continue;
            };
            let name = revealed.name.ok_or_else(|| {
                Error::new(
                    Code::DisclosureMalformed,
                    "an array element in place of a member",
                )
            })?;
            if out.contains_key(&name) {
                return Err(Error::new(
                    Code::DisclosureDuplicate,
                    format!("member twice: {}", excerpt(&name)),
                ));
            }
            let value = self.value(&revealed.value, depth)?;
            out.insert(name, value);
        }
        Ok(out)
    }

    /// An array element: itself, what it stood for, or nothing.
    fn element(&mut self, item: &Value, depth: usize) -> Result<Option<Value>, Error> {
        let placeholder = item
            .as_object()
            .filter(|members| members.len() == 1)
            .and_then(|members| members.get(ELEMENT));
        let Some(digest) = placeholder else {
            return self.value(item, depth).map(Some);
        };
        let Some(revealed) = self.take(digest)? else {
            return Ok(None);
        };
        if revealed.name.is_some() {
            return Err(Error::new(
                Code::DisclosureMalformed,
                "a member in place of an array element",
            ));
        }
        self.value(&revealed.value, depth).map(Some)
    }

    /// The disclosure of a digest, if it was given. No digest may occur twice.
    fn take(&mut self, digest: &Value) -> Result<Option<Revealed>, Error> {
        let digest = digest
            .as_str()
            .ok_or_else(|| Error::new(Code::TokenMalformed, "a digest is not a string"))?;
        if !self.seen.insert(digest.to_owned()) {
            return Err(Error::new(
                Code::DisclosureDuplicate,
                format!("digest twice: {}", excerpt(digest)),
            ));
        }
        Ok(self.revealed.remove(digest))
    }
}
