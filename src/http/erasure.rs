//! `/v1/reports/{id}/erasure`.

use axum::{
    Json,
    body::Body,
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use goodstanding_verify::entry::ErasureReason;
use serde::Deserialize;

use super::{
    problem::Failed,
    query::{authorization, invalid, json_body, report_id},
};
use crate::{
    casework,
    token::access::{Role, require},
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    reason: String,
}

/// `POST /v1/reports/{id}/erasure` (operator) `{"reason": "…"}`: takes the report's bytes away for good.
pub(super) async fn erase(
    State(api): super::State,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Failed> {
    require(&api.app, authorization(&headers), Role::Operator)?;
    let id = report_id(&id)?;
    let Wanted { reason } = json_body(&headers, body).await?;
    let reason = ErasureReason::parse(&reason).ok_or_else(|| {
        let known: Vec<_> = ErasureReason::ALL.iter().map(|r| r.as_str()).collect();
        invalid(&format!("reason takes one of {}", known.join(", ")))
    })?;
    let erased = casework::erasure::erase(&api.app, id, reason).await?;
    Ok((StatusCode::CREATED, Json(erased)).into_response())
}
