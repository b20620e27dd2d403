//! Liveness and readiness.

use axum::{
    Json,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::json;

use super::problem::Failed;
use crate::code::{Code, Fault};

/// `GET /livez`: the process answers.
pub(super) async fn live() -> Json<serde_json::Value> {
    Json(json!({"status": "ok"}))
}

/// `GET /metrics`: `OpenMetrics` text.
pub(super) async fn metrics(State(api): super::State) -> Result<Response, Failed> {
    let text = api.app.metrics.text(&api.app).await;
    let text = text.map_err(|e| Fault::new(Code::Internal, e.to_string()))?;
    let headers = [
        (
            header::CONTENT_TYPE,
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
        ),
        (header::CACHE_CONTROL, "no-store"),
    ];
    Ok((headers, text).into_response())
}

fn told(fault: &Fault) -> serde_json::Value {
    json!({"code": fault.code(), "detail": fault.detail()})
}

/// `GET /readyz`: the database answers, is the log that was seen, and has a published checkpoint; somebody writes to it.
pub(super) async fn ready(State(api): super::State) -> Response {
    let database = api.app.store.head().await;
    let published = api
        .app
        .log
        .shared()
        .published
        .borrow()
        .as_ref()
        .map(|p| p.size);
    let head = database
        .as_ref()
        .ok()
        .and_then(|h| h.as_ref())
        .map(|h| h.size);
    let ahead_ms = database
        .as_ref()
        .ok()
        .and_then(|h| h.as_ref())
        .map_or(0, |h| h.at_ms.saturating_sub(api.app.clock.now_ms()));
    let clock = ahead_ms <= crate::log::sequencer::MOST_AHEAD_MS;
    let shared = api.app.log.shared();
    let standing = shared.standing();
    let unled = standing.unled();
    // A writer that ended while the process goes on would refuse every report, and so would none among all processes.
    let writer = api.app.log.is_open() && unled.is_none();
    let refusal = standing.refusal();
    let ready = head.is_some() && published.is_some() && clock && writer && refusal.is_none();
    let required = shared.witness_policy.wants_quorum();
    let witnessed = shared.witnessed.borrow().as_ref().map(|p| p.size);
    let witnessed = witnessed.filter(|_| required);
    let ended = shared.ended();
    let published_at = shared
        .published
        .borrow()
        .as_ref()
        .map(|p| p.published_ms / 1000);
    let body = json!({
        "status": if ready { "ok" } else { "not ready" },
        "checks": {"database": database.is_ok(), "published": published.is_some(), "clock": clock, "writer": writer, "log": refusal.is_none()},
        "refuses": refusal.as_ref().map(told),
        "writes": standing.is_leading(),
        "unled": unled.as_ref().map(told),
        "leader_heard_s": standing.silence().as_secs(),
        // Why not, if it was in the way of this process when it would have.
        "unfit": standing.unfit().as_ref().map(told),
        "log_size": head,
        "published_size": published,
        "published_at": published_at,
        "witnessed_size": witnessed,
        // Without a quorum reports are taken all the same: it is told here, and does not make the service unready.
        "witnesses": shared.witnesses(),
        "ended": ended.map(|e| e.refusal().detail().to_owned()),
    });
    let status = if ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let mut response = (status, [(header::CACHE_CONTROL, "no-store")], Json(body)).into_response();
    if !ready {
        response.headers_mut().insert(
            header::RETRY_AFTER,
            axum::http::HeaderValue::from_static("1"),
        );
    }
    response
}
