//! The disclosures of a token: flat members, canonical JSON, each one of the statement's digests.

use serde_json::{Map, Value, json};

use crate::{
    b64,
    code::{Code, Error, excerpt},
    digest::{Digest, sha256},
    json,
    sdjwt::Revealed,
};

/// Decodes the disclosures and returns the claims they reveal.
pub(super) fn read(disclosures: &[&str], sd: &[Digest]) -> Result<Map<String, Value>, Error> {
    let mut claims = Map::new();
    let mut digests = Vec::with_capacity(disclosures.len());
    for disclosure in disclosures {
        let Revealed {
            salt,
            name: Some(name),
            value,
        } = Revealed::parse(disclosure)?
        else {
            return Err(Error::new(
                Code::DisclosureMalformed,
                "an array element; tokens have members only",
            ));
        };
        let canonical = json::canonical(&json!([salt, name, value]));
        if canonical.ok().map(b64::url_encode).as_deref() != Some(*disclosure) {
            return Err(Error::new(
                Code::DisclosureMalformed,
                format!("{}: not canonical JSON", excerpt(&name)),
            ));
        }
        if claims.contains_key(&name) {
            return Err(Error::new(
                Code::DisclosureDuplicate,
                format!("claim {} twice", excerpt(&name)),
            ));
        }
        digests.push((name.clone(), sha256(disclosure.as_bytes())));
        claims.insert(name, value);
    }
    match digests.iter().find(|(_, digest)| !sd.contains(digest)) {
        None => Ok(claims),
        Some((name, _)) => Err(Error::new(
            Code::DisclosureUnmatched,
            format!("claim {} is not in /_sd", excerpt(name)),
        )),
    }
}
