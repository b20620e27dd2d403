//! Errors at the edge: RFC 9457 problem details. The only place that knows which code has which HTTP status.

use std::{collections::HashMap, sync::LazyLock};

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;

use crate::code::Fault;

/// Titles by code.
static TITLES: LazyLock<HashMap<&'static str, &'static str>> = LazyLock::new(|| {
    crate::code::registry()
        .into_iter()
        .map(|r| (r.code, r.title))
        .collect()
});

/// Longest that a client is told to wait, seconds.
const LONGEST_WAIT_S: u64 = 3600;

/// The `application/problem+json` body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// `<issuer-relative>/v1/errors#<code>`.
    pub r#type: String,
    /// The code's title.
    pub title: String,
    /// HTTP status.
    pub status: u16,
    /// The stable code.
    pub code: &'static str,
    /// What exactly was wrong; never internals.
    pub detail: String,
}

impl From<&Fault> for Problem {
    fn from(fault: &Fault) -> Self {
        let status = status_of(fault.code());
        let title = TITLES.get(fault.code()).copied().unwrap_or("Error");
        // What went wrong inside is for the service's log.
        let inside =
            status == StatusCode::INTERNAL_SERVER_ERROR || fault.code().starts_with("store.");
        let detail = if inside {
            title.to_owned()
        } else {
            fault.detail().to_owned()
        };
        Self {
            r#type: format!("/v1/errors#{}", fault.code()),
            title: title.to_owned(),
            status: status.as_u16(),
            code: fault.code(),
            detail,
        }
    }
}

/// A fault as a response, with how long to wait where that is known better than by default.
#[derive(Debug)]
pub struct Failed {
    fault: Fault,
    retry_after_s: Option<u64>,
}

impl Failed {
    /// With a wait in seconds.
    pub fn retry_after(fault: Fault, seconds: u64) -> Self {
        Self {
            fault,
            retry_after_s: Some(seconds),
        }
    }
}

impl<F: Into<Fault>> From<F> for Failed {
    fn from(fault: F) -> Self {
        Self {
            fault: fault.into(),
            retry_after_s: None,
        }
    }
}

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        let problem = Problem::from(&self.fault);
        let status = status_of(self.fault.code());
        if status.is_server_error()
            && (status == StatusCode::INTERNAL_SERVER_ERROR
                || self.fault.code().starts_with("store."))
        {
            tracing::error!(
                code = self.fault.code(),
                detail = self.fault.detail(),
                "internal error"
            );
        }
        let body = serde_json::to_vec(&problem).unwrap_or_default();
        let mut response = (
            status,
            [(header::CONTENT_TYPE, "application/problem+json")],
            body,
        )
            .into_response();
        let headers = response.headers_mut();
        // A problem is never cached, whatever the route says of its successes.
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if matches!(
            status,
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE
        ) {
            let wait = self
                .retry_after_s
                .unwrap_or_else(|| default_wait_s(self.fault.code()))
                .clamp(1, LONGEST_WAIT_S);
            headers.insert(header::RETRY_AFTER, HeaderValue::from(wait));
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

fn default_wait_s(code: &str) -> u64 {
    match code {
        // The window of the unilateral quota is a day; when a place frees up depends on what was sent when.
        "quota.unilateral" => LONGEST_WAIT_S,
        "store.unavailable" | "epoch.running" | "log.contradicted" => 5,
        _ => 1,
    }
}

/// The HTTP status of a stable code; 500 for one that was not meant to get this far.
pub fn status_of(code: &str) -> StatusCode {
    answered_with(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// The HTTP status of a code that HTTP answers carry, `None` of the others: those of the command line and of verifiers.
pub fn answered_with(code: &str) -> Option<StatusCode> {
    let (family, name) = code.split_once('.').unwrap_or((code, ""));
    let status = match (family, name) {
        ("report", "too_large") | ("request", "body_too_large" | "too_many_lines") => {
            StatusCode::PAYLOAD_TOO_LARGE
        }
        ("report" | "key" | "epoch" | "agent", "unknown")
        | ("log", "leaf_unknown" | "tile_unknown" | "checkpoint_unknown" | "not_ended")
        | ("request", "not_found")
        | ("status", "list_unknown") => StatusCode::NOT_FOUND,
        ("report", "trade_already_reported" | "jti_conflict" | "supersedes_wrong" | "erased")
        | ("policy", "version_wrong")
        | ("agent", "alias_taken")
        | ("key", "only_one" | "log_fixed" | "event_invalid")
        | ("log", "ended") => StatusCode::CONFLICT,
        (
            "report",
            "malformed"
            | "header_invalid"
            | "alg_unsupported"
            | "typ_wrong"
            | "kid_mismatch"
            | "duplicate_member"
            | "unknown_member"
            | "member_missing"
            | "member_invalid"
            | "number_out_of_range"
            | "did_invalid",
        )
        | ("request", "parameter_invalid" | "body_unreadable")
        | ("did", _)
        | ("token", "nonce_unknown") => StatusCode::BAD_REQUEST,
        // Well-formed, but a signature or a rule fails.
        ("report" | "policy", _) | ("token", "holder_unproven") | ("epoch", "as_of_in_future") => {
            StatusCode::UNPROCESSABLE_ENTITY
        }
        ("quota", _) => StatusCode::TOO_MANY_REQUESTS,
        ("ingest", _)
        | ("store", "unavailable")
        | (
            "log",
            "not_published" | "closed" | "clock_behind" | "moved" | "contradicted" | "unled",
        )
        | ("witness", "quorum_missed")
        | ("epoch", "running" | "other_code") => StatusCode::SERVICE_UNAVAILABLE,
        ("epoch", _) => StatusCode::CONFLICT,
        ("auth", "forbidden") => StatusCode::FORBIDDEN,
        ("auth", _) => StatusCode::UNAUTHORIZED,
        ("request", "media_type_unsupported") => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        ("request", "method_not_allowed") => StatusCode::METHOD_NOT_ALLOWED,
        ("internal" | "store", _) => StatusCode::INTERNAL_SERVER_ERROR,
        _ => return None,
    };
    Some(status)
}
