//! What the service says of itself.

use axum::{
    Json,
    http::Uri,
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use super::problem::{Failed, answered_with};
use crate::code::{Code, Fault, registry};

/// `GET /v1/errors`: the published code registry.
pub(super) async fn errors() -> Json<Value> {
    let items: Vec<_> = registry()
        .into_iter()
        .map(|r| json!({"code": r.code, "title": r.title, "meaning": r.meaning, "status": answered_with(r.code).map(|s| s.as_u16())}))
        .collect();
    Json(json!({"items": items, "next_cursor": null}))
}

/// `GET /openapi.json`.
pub(super) async fn openapi() -> Json<Value> {
    Json(super::openapi::document())
}

pub(super) async fn nothing_here(uri: Uri) -> Response {
    Failed::from(Fault::new(
        Code::RouteUnknown,
        format!("{:.100} is not a path of this service", uri.path()),
    ))
    .into_response()
}

pub(super) async fn method_not_allowed() -> Response {
    Failed::from(Fault::new(
        Code::MethodNotAllowed,
        "this path has other methods",
    ))
    .into_response()
}
