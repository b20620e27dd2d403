//! `/v1/aliases`: the names that imports gave to agents. They are this directory's own, and no part of the log.

use std::{collections::BTreeMap, fmt};

use axum::{
    Json,
    body::Body,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use goodstanding_verify::{b64, did::Did};
use serde::{
    Deserialize, Deserializer,
    de::{self, MapAccess, Visitor},
};
use serde_json::{Value, json};

use super::{
    Page,
    problem::Failed,
    query::{Parameters, authorization, invalid, json_body_of},
};
use crate::{
    code::{Code, Fault},
    ingest::import::{is_alias, name_agents},
    token::access::{Role, require},
};

/// A thousand names of at most 128 characters, with their DIDs.
const NAMES_BYTES: usize = 1 << 20;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    #[serde(deserialize_with = "each_once")]
    aliases: BTreeMap<String, Did>,
}

/// An object in which no name comes twice: which of the two was meant nobody knows.
fn each_once<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeMap<String, Did>, D::Error> {
    struct Names;
    impl<'de> Visitor<'de> for Names {
        type Value = BTreeMap<String, Did>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object of names and DIDs")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut names = BTreeMap::new();
            while let Some((name, agent)) = map.next_entry::<String, Did>()? {
                if names.contains_key(&name) {
                    let why = format!("{name:.40} is named twice");
                    return Err(de::Error::custom(why));
                }
                names.insert(name, agent);
            }
            Ok(names)
        }
    }
    from.deserialize_map(Names)
}

/// `GET /v1/aliases?alias=&limit=&cursor=` (operator): names and DIDs, ascending by name.
pub(super) async fn list(
    State(api): super::State,
    headers: HeaderMap,
    parameters: Parameters,
) -> Result<Response, Failed> {
    require(&api.app, authorization(&headers), Role::Operator)?;
    parameters.only(&["alias", "limit", "cursor"])?;
    let shown = |alias: &str, agent: Did| json!({"alias": alias, "agent": agent.to_string()});
    if let Some(alias) = parameters.text("alias") {
        let unknown = || {
            Fault::new(
                Code::AgentUnknown,
                format!("no agent is called {alias} here"),
            )
        };
        let agent = api.app.store.agent_of_alias(&alias).await?;
        return Ok(page(vec![shown(&alias, agent.ok_or_else(unknown)?)], None));
    }
    let after = parameters.text("cursor").map(|c| name_of(&c)).transpose()?;
    let limit = usize::try_from(parameters.limit()?).unwrap_or(usize::MAX);
    let mut rest = api.app.store.aliases().await?;
    // After a name and not a number of names: one that comes in between moves no other to another page.
    rest.retain(|(alias, _)| after.as_ref().is_none_or(|after| alias > after));
    rest.sort();
    let more = rest.len() > limit;
    rest.truncate(limit);
    let next = rest.last().filter(|_| more);
    let next = next.map(|(alias, _)| b64::url_encode(alias));
    let items = rest.iter().map(|(alias, agent)| shown(alias, *agent));
    Ok(page(items.collect(), next))
}

/// The name that a page ended with, from its cursor.
fn name_of(cursor: &str) -> Result<String, Fault> {
    b64::url_decode(cursor)
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .filter(|name| is_alias(name))
        .ok_or_else(|| invalid("cursor is not one that this service gave out"))
}

/// What only operators may read is kept by nobody in between.
fn page(items: Vec<Value>, next_cursor: Option<String>) -> Response {
    let no_store = [(header::CACHE_CONTROL, "no-store")];
    (no_store, Json(Page { items, next_cursor })).into_response()
}

/// `POST /v1/aliases` (operator) `{"aliases": {"<name>": "<did>", …}}`: names agents, at most 1 MiB at a time. A name that has another
/// key, or a key that has another name, is refused, and then nothing is named.
pub(super) async fn name(
    State(api): super::State,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Failed> {
    require(&api.app, authorization(&headers), Role::Operator)?;
    let Named { aliases } = json_body_of(&headers, body, NAMES_BYTES).await?;
    if let Some(bad) = aliases.keys().find(|alias| !is_alias(alias)) {
        let why = format!("{bad:.40} is no alias: 1 to 128 characters, not a did:key");
        return Err(invalid(&why).into());
    }
    let named = aliases
        .iter()
        .map(|(alias, agent)| (alias.as_str(), *agent));
    let new = name_agents(&api.app, named).await?;
    Ok((
        StatusCode::OK,
        Json(json!({"named": aliases.len(), "new": new})),
    )
        .into_response())
}
