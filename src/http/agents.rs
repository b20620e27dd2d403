//! `/v1/agents`.

use axum::{
    Extension, Json,
    extract::{Path, State},
};
use serde_json::{Value, json};

use super::{
    Page,
    problem::Failed,
    query::{Parameters, cursor, did},
    visible::Asking,
};
use crate::{
    code::{Code, Fault},
    epoch,
    store::StoredStatement,
    token::issue::statement_in,
};

/// `GET /v1/agents/{did}`: the statement in the newest epoch.
pub(super) async fn show(
    State(api): super::State,
    Extension(asking): Extension<Asking>,
    Path(agent): Path<String>,
) -> Result<Json<Value>, Failed> {
    let agent = did(&agent)?;
    asking.about(&agent)?;
    let newest = epoch::latest(api.app.store.as_ref()).await?;
    let entry = epoch::entry_of(&newest)?;
    let statement = statement_in(&api.app, &agent, newest.number).await?;
    Ok(Json(json!({
        "agent": agent.to_string(),
        "epoch": newest.number,
        "as_of": entry.as_of,
        "statement_index": statement.leaf,
        "claims": claims(&statement)?,
    })))
}

/// What an explanation says of the counterparties themselves, and not of their part in this score.
const OF_OTHERS: [&str; 3] = ["flow_q48", "credibility_q32", "credibility_bp"];

/// `GET /v1/agents/{did}/explanation`: what made the score. An agent that may read only its own is not shown the flow and
/// credibility of others.
pub(super) async fn explanation(
    State(api): super::State,
    Extension(asking): Extension<Asking>,
    Path(agent): Path<String>,
) -> Result<Json<Value>, Failed> {
    let agent = did(&agent)?;
    asking.about(&agent)?;
    let mut explanation = epoch::explain(&api.app, &agent).await?;
    if let Asking::Agent(_) = asking {
        let contributions = explanation["contributions"].as_array_mut();
        for contribution in contributions.into_iter().flatten() {
            if let Some(members) = contribution.as_object_mut() {
                members.retain(|name, _| !OF_OTHERS.contains(&name.as_str()));
            }
        }
    }
    Ok(Json(explanation))
}

/// `GET /v1/agents/{did}/history?limit=&cursor=`: one item an epoch, newest first.
pub(super) async fn history(
    State(api): super::State,
    Extension(asking): Extension<Asking>,
    Path(agent): Path<String>,
    parameters: Parameters,
) -> Result<Json<Page<Value>>, Failed> {
    parameters.only(&["limit", "cursor"])?;
    let agent = did(&agent)?;
    asking.about(&agent)?;
    let limit = parameters.limit()?;
    let before = parameters.cursor()?.unwrap_or(1 << 53);
    let statements = api.app.store.statements_of(&agent, before, limit).await?;
    if statements.is_empty() && before == 1 << 53 {
        return Err(Fault::new(Code::AgentUnknown, format!("{agent} is in no epoch")).into());
    }
    let full = statements.len() == usize::try_from(limit).unwrap_or(usize::MAX);
    let next_cursor = statements
        .last()
        .filter(|s| full && s.epoch > 1)
        .map(|s| cursor(s.epoch));
    let mut items = Vec::with_capacity(statements.len());
    for statement in &statements {
        items.push(json!({"epoch": statement.epoch, "claims": claims(statement)?}));
    }
    Ok(Json(Page { items, next_cursor }))
}

fn claims(statement: &StoredStatement) -> Result<Value, Fault> {
    serde_json::from_str(&statement.claims)
        .map_err(|e| Fault::new(Code::StoreCorrupt, e.to_string()))
}
