//! Reading parameters: strictly, with an error that names the one that is wrong.

use std::{collections::BTreeMap, str::FromStr};

use axum::{
    body::Body,
    extract::{FromRequestParts, Query},
    http::{HeaderMap, header, request::Parts},
};
use goodstanding_verify::{b64, did::Did, report::ReportId};

use super::problem::Failed;
use crate::{
    code::{Code, Fault},
    epoch::Place,
};

/// Largest and default page.
const MOST: u32 = 1000;
const USUAL: u32 = 100;
/// Largest small JSON body.
const JSON_BYTES: usize = 8192;
/// What is wrong with a cursor that cannot be read.
const NOT_OURS: &str = "cursor is not one that this service gave out";

/// The query string as a map; duplicate names are refused.
#[derive(Debug)]
pub(super) struct Parameters(BTreeMap<String, String>);

impl<S: Send + Sync> FromRequestParts<S> for Parameters {
    type Rejection = Failed;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failed> {
        let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(&parts.uri)
            .map_err(|_| invalid("the query string could not be read"))?;
        let mut map = BTreeMap::new();
        for (name, value) in pairs {
            if map.contains_key(&name) {
                return Err(invalid(&format!("{name} is given twice")).into());
            }
            map.insert(name, value);
        }
        Ok(Self(map))
    }
}

impl Parameters {
    /// Refuses names that the operation does not know: a misspelt filter must not return everything.
    pub(super) fn only(&self, known: &[&str]) -> Result<(), Fault> {
        match self.0.keys().find(|name| !known.contains(&name.as_str())) {
            None => Ok(()),
            Some(name) => Err(invalid(&format!(
                "{name:.40} is not one of {}",
                known.join(", ")
            ))),
        }
    }

    pub(super) fn text(&self, name: &str) -> Option<String> {
        self.0.get(name).cloned()
    }

    pub(super) fn number(&self, name: &str) -> Result<Option<u64>, Fault> {
        let parse = |text: &String| text.parse::<u64>().ok().filter(|n| *n <= 1 << 53);
        match self.0.get(name) {
            None => Ok(None),
            Some(text) => parse(text)
                .map(Some)
                .ok_or_else(|| invalid(&format!("{name} takes a whole number up to 2^53"))),
        }
    }

    pub(super) fn did(&self, name: &str) -> Result<Option<Did>, Fault> {
        self.0.get(name).map(|text| did(text)).transpose()
    }

    pub(super) fn limit(&self) -> Result<u32, Fault> {
        match self.number("limit")? {
            None => Ok(USUAL),
            Some(n) => u32::try_from(n)
                .ok()
                .filter(|n| (1..=MOST).contains(n))
                .ok_or_else(|| invalid("limit takes 1 to 1000")),
        }
    }

    /// The place in an explanation that a cursor stands for.
    pub(super) fn place(&self) -> Result<Option<Place>, Fault> {
        let Some(text) = self.0.get("cursor") else {
            return Ok(None);
        };
        let place = |bytes: [u8; 16]| {
            let number = u128::from_be_bytes(bytes);
            let report = u64::try_from(number & u128::from(u64::MAX)).ok()?;
            Some(Place {
                epoch: u64::try_from(number >> 64).ok()?,
                report: usize::try_from(report).ok()?,
            })
        };
        b64::url_decode(text)
            .and_then(|bytes| <[u8; 16]>::try_from(bytes).ok())
            .and_then(place)
            .map(Some)
            .ok_or_else(|| invalid(NOT_OURS))
    }

    /// The position that a cursor stands for.
    pub(super) fn cursor(&self) -> Result<Option<u64>, Fault> {
        let Some(text) = self.0.get("cursor") else {
            return Ok(None);
        };
        b64::url_decode(text)
            .and_then(|bytes| <[u8; 8]>::try_from(bytes).ok())
            .map(|bytes| Some(u64::from_be_bytes(bytes)))
            .filter(|position| position.is_some_and(|p| p <= 1 << 53))
            .ok_or_else(|| invalid(NOT_OURS))
    }
}

/// The value of the `Authorization` header.
pub(super) fn authorization(headers: &HeaderMap) -> Option<&str> {
    headers
        .get(header::AUTHORIZATION)
        .and_then(|v| v.to_str().ok())
}

/// A small JSON object as a body: strict, with exactly the members that `T` knows.
pub(super) async fn json_body<T: serde::de::DeserializeOwned>(
    headers: &HeaderMap,
    body: Body,
) -> Result<T, Fault> {
    json_body_of(headers, body, JSON_BYTES).await
}

/// The same, of at most so many bytes.
pub(super) async fn json_body_of<T: serde::de::DeserializeOwned>(
    headers: &HeaderMap,
    body: Body,
    most: usize,
) -> Result<T, Fault> {
    if media_type(headers) != "application/json" {
        return Err(Fault::new(Code::MediaType, "application/json"));
    }
    let bytes = axum::body::to_bytes(body, most).await.map_err(|_| {
        Fault::new(
            Code::BodyTooLarge,
            format!("at most {most} bytes belong here"),
        )
    })?;
    serde_json::from_slice(&bytes).map_err(|e| invalid(&e.to_string()))
}

/// The media type of a body, lowercase and without parameters; empty if there is none.
pub(super) fn media_type(headers: &HeaderMap) -> String {
    let kind = headers
        .get(header::CONTENT_TYPE)
        .and_then(|v| v.to_str().ok())
        .unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default();
    kind.trim().to_ascii_lowercase()
}

/// The cursor of a position.
pub(super) fn cursor(position: u64) -> String {
    b64::url_encode(position.to_be_bytes())
}

/// The cursor of a place in an explanation.
pub(super) fn cursor_of_place(place: Place) -> String {
    let report = u64::try_from(place.report).unwrap_or(u64::MAX);
    let number = u128::from(place.epoch) << 64 | u128::from(report);
    b64::url_encode(number.to_be_bytes())
}

/// A did:key from a path or query.
pub(super) fn did(text: &str) -> Result<Did, Fault> {
    Ok(Did::from_str(text)?)
}

/// A report id from a path.
pub(super) fn report_id(text: &str) -> Result<ReportId, Fault> {
    ReportId::parse(text).map_err(|_| invalid("a report id is 43 characters of base64url"))
}

/// A decimal number from a path.
pub(super) fn number(text: &str) -> Result<u64, Fault> {
    text.parse()
        .ok()
        .filter(|n| *n <= 1 << 53)
        .ok_or_else(|| invalid("a whole number belongs here"))
}

pub(super) fn invalid(detail: &str) -> Fault {
    Fault::new(Code::ParameterInvalid, detail)
}
