//! `/v1/agents`.

use axum::{
    Extension, Json,
    extract::{Path, State},
};
use serde_json::{Value, json};

use super::{
    Page,
    problem::Failed,
    query::{Parameters, cursor, cursor_of_place, did},
    visible::Asking,
};
use crate::{
    code::{Code, Fault},
    epoch::{self, View},
    store::{Store, StoredStatement},
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

/// `GET /v1/agents/{did}/explanation?limit=&cursor=`: what made the score, at most `limit` contributions by descending weight and 10,000 reports
/// a page. An agent that may read only its own is not shown the flow and credibility of others.
pub(super) async fn explanation(
    State(api): super::State,
    Extension(asking): Extension<Asking>,
    Path(agent): Path<String>,
    parameters: Parameters,
) -> Result<Json<Value>, Failed> {
    parameters.only(&["limit", "cursor"])?;
    let agent = did(&agent)?;
    asking.about(&agent)?;
    let view = View::Page {
        from: parameters.place()?,
        contributions: parameters.limit()?,
    };
    let (mut explanation, next) = epoch::explain(&api.app, &agent, view).await?;
    explanation["next_cursor"] = next.map(cursor_of_place).into();
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

/// `GET /v1/agents/{did}/history?limit=&cursor=`: one item an epoch, newest first: number, time and claims.
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
    let times = times_of(api.app.store.as_ref(), &statements).await?;
    let mut items = Vec::with_capacity(statements.len());
    for (statement, as_of) in statements.iter().zip(times) {
        items.push(json!({"epoch": statement.epoch, "as_of": as_of, "claims": claims(statement)?}));
    }
    Ok(Json(Page { items, next_cursor }))
}

/// `as_of` of the epochs of these statements, newest first, in their order.
async fn times_of(store: &dyn Store, statements: &[StoredStatement]) -> Result<Vec<u64>, Fault> {
    let Some(newest) = statements.first() else {
        return Ok(Vec::new());
    };
    let count = u32::try_from(statements.len()).unwrap_or(u32::MAX);
    // Whoever is in an epoch is in the next ones, if not all its reports were erased: one query finds nearly all.
    let epochs = store.epochs(newest.epoch + 1, count).await?;
    let mut epochs = epochs.into_iter().peekable();
    let mut times = Vec::with_capacity(statements.len());
    for statement in statements {
        while epochs.next_if(|e| e.number > statement.epoch).is_some() {}
        let epoch = match epochs.next_if(|e| e.number == statement.epoch) {
            Some(epoch) => Some(epoch),
            None => store.epoch(Some(statement.epoch)).await?,
        };
        let missing = || Fault::new(Code::StoreCorrupt, format!("no epoch {}", statement.epoch));
        times.push(epoch::entry_of(&epoch.ok_or_else(missing)?)?.as_of);
    }
    Ok(times)
}

fn claims(statement: &StoredStatement) -> Result<Value, Fault> {
    serde_json::from_str(&statement.claims)
        .map_err(|e| Fault::new(Code::StoreCorrupt, e.to_string()))
}
