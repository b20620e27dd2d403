//! `/v1/aliases`: the names that imports gave to agents. They are this directory's own, and no part of the log.

use std::collections::BTreeMap;

use axum::{
    Json,
    body::Body,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use goodstanding_verify::did::Did;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Page,
    problem::Failed,
    query::{Parameters, authorization, cursor, invalid, json_body_of},
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
    aliases: BTreeMap<String, Did>,
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
    let from = parameters.cursor()?.unwrap_or(0);
    let limit = parameters.limit()?;
    let mut all = api.app.store.aliases().await?;
    all.sort();
    let skipped = all.iter().skip(usize::try_from(from).unwrap_or(usize::MAX));
    let items: Vec<Value> = skipped
        .take(usize::try_from(limit).unwrap_or(usize::MAX))
        .map(|(alias, agent)| shown(alias, *agent))
        .collect();
    let next = from.saturating_add(u64::try_from(items.len()).unwrap_or(u64::MAX));
    let more = next < u64::try_from(all.len()).unwrap_or(0);
    Ok(page(items, more.then(|| cursor(next))))
}

/// What only operators may read is kept by nobody in between.
fn page(items: Vec<Value>, next_cursor: Option<String>) -> Response {
    let no_store = [(header::CACHE_CONTROL, "no-store")];
    (no_store, Json(Page { items, next_cursor })).into_response()
}

/// `POST /v1/aliases` (operator) `{"aliases": {"<name>": "<did>", …}}`: names agents, at most 1 MiB at a time. A name that has another
/// key is refused, and then nothing is named.
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
