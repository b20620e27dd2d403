//! `/v1/epochs`.

use std::fmt::Write as _;

use axum::{
    Extension, Json,
    body::Body,
    extract::{Path, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use goodstanding_verify::{b64, entry::Entry};
use serde::Serialize;
use serde_json::{Value, json};

use super::{
    Page,
    problem::Failed,
    query::{Parameters, cursor, invalid, number},
    visible::Asking,
};
use crate::{
    app::App,
    code::{Code, Fault},
    epoch,
    store::StoredEpoch,
    token::access::{Role, require},
};

/// Statements of one page of the stream.
const STATEMENTS: u32 = 1000;

fn shown(stored: &StoredEpoch) -> Result<Value, Fault> {
    let at = Entry::parse(&stored.entry)?.at;
    let entry = epoch::entry_of(stored)?;
    Ok(json!({
        "number": entry.number,
        "leaf_index": stored.index,
        "at": at,
        "as_of": entry.as_of,
        "log_size": entry.log_size,
        "policy": entry.policy,
        "statements": entry.statements,
        "score_root": b64::std_encode(entry.score_root.0),
        "flags_root": b64::std_encode(entry.flags_root.0),
        "salt_key_sha256": b64::std_encode(entry.salt_key_sha256.0),
        "code": entry.code,
    }))
}

async fn stored(app: &App, text: &str) -> Result<StoredEpoch, Fault> {
    let number = number(text)?;
    app.store
        .epoch(Some(number))
        .await?
        .ok_or_else(|| Fault::new(Code::EpochUnknown, format!("no epoch {number}")))
}

/// `GET /v1/epochs?limit=&cursor=`, newest first.
pub(super) async fn list(
    State(api): super::State,
    parameters: Parameters,
) -> Result<Json<Page<Value>>, Failed> {
    parameters.only(&["limit", "cursor"])?;
    let limit = parameters.limit()?;
    let epochs = api
        .app
        .store
        .epochs(parameters.cursor()?.unwrap_or(1 << 53), limit)
        .await?;
    let full = epochs.len() == usize::try_from(limit).unwrap_or(usize::MAX);
    let next_cursor = epochs
        .last()
        .filter(|e| full && e.number > 1)
        .map(|e| cursor(e.number));
    let items = epochs.iter().map(shown).collect::<Result<_, _>>()?;
    Ok(Json(Page { items, next_cursor }))
}

/// `GET /v1/epochs/{n}`.
pub(super) async fn show(
    State(api): super::State,
    Path(n): Path<String>,
) -> Result<Json<Value>, Failed> {
    Ok(Json(shown(&stored(&api.app, &n).await?)?))
}

/// `GET /v1/epochs/{n}/statements?from=`: NDJSON of `{agent, claims}` in leaf order.
pub(super) async fn statements(
    State(api): super::State,
    Extension(asking): Extension<Asking>,
    Path(n): Path<String>,
    parameters: Parameters,
) -> Result<Response, Failed> {
    asking.all()?;
    parameters.only(&["from"])?;
    let epoch = stored(&api.app, &n).await?;
    let from = parameters.number("from")?.unwrap_or(0);
    let app = api.app.clone();
    let pages = futures_util::stream::try_unfold(from, move |from| {
        let app = app.clone();
        async move {
            let page = app.store.statements(epoch.number, from, STATEMENTS).await?;
            let Some(last) = page.last() else {
                return Ok::<_, crate::store::Error>(None);
            };
            let next = last.leaf + 1;
            let mut out = String::new();
            for statement in &page {
                // The claims are stored as canonical JSON: they go out as they are.
                let _ = writeln!(
                    out,
                    r#"{{"agent":"{}","claims":{}}}"#,
                    statement.agent, statement.claims
                );
            }
            Ok(Some((out, next)))
        }
    });
    Ok((
        [(header::CONTENT_TYPE, "application/x-ndjson")],
        Body::from_stream(pages),
    )
        .into_response())
}

/// `GET /v1/epochs/{n}/salt-key`.
pub(super) async fn salt_key(
    State(api): super::State,
    Extension(asking): Extension<Asking>,
    Path(n): Path<String>,
) -> Result<Json<Value>, Failed> {
    asking.all()?;
    let epoch = stored(&api.app, &n).await?;
    Ok(Json(
        json!({"epoch": epoch.number, "salt_key": b64::std_encode(epoch.salt_key)}),
    ))
}

/// An epoch that was just logged.
#[derive(Serialize)]
struct Logged {
    #[serde(flatten)]
    summary: epoch::Summary,
    /// Whether a published checkpoint covers it.
    published: bool,
}

/// `POST /v1/epochs?as_of=` (operator): computes and logs one now.
pub(super) async fn run(
    State(api): super::State,
    headers: HeaderMap,
    parameters: Parameters,
    body: Body,
) -> Result<Response, Failed> {
    let authorization = headers
        .get(header::AUTHORIZATION)
        .and_then(|v| v.to_str().ok());
    require(&api.app, authorization, Role::Operator)?;
    parameters.only(&["as_of"])?;
    // A parameter in the wrong place must not log an epoch at another time than meant.
    let body = axum::body::to_bytes(body, 1024).await;
    if !body.is_ok_and(|body| body.is_empty()) {
        return Err(
            invalid("this takes no body; as_of goes into the query, in Unix seconds").into(),
        );
    }
    let summary = epoch::run(&api.app, parameters.number("as_of")?).await?;
    // It is logged whatever comes of publishing it now: where that fails it is tried again in a second.
    let published = matches!(api.app.log.publish_if_witnessed().await, Ok(true));
    let logged = Logged { summary, published };
    Ok((StatusCode::CREATED, Json(logged)).into_response())
}
