//! The bodies beside the log.

use axum::{
    Extension, Json,
    body::Body,
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use super::{
    Page,
    problem::Failed,
    proofs::covered,
    query::{Parameters, cursor, invalid},
    visible::Asking,
};
use crate::token::bundle::published;

/// Bodies of one page of the stream.
const BODIES: u32 = 500;

/// `GET /v1/log/bodies?start=&end=`: NDJSON of `{index, kind, jws}` for every entry that has a body, and `{index,
/// kind, erased: true, erased_by}` for every one that had: `erased_by` is the index of the erasure's entry, which may be one
/// that no published checkpoint covers yet.
pub(super) async fn bodies(
    State(api): super::State,
    Extension(asking): Extension<Asking>,
    parameters: Parameters,
) -> Result<Response, Failed> {
    asking.all()?;
    parameters.only(&["start", "end"])?;
    let size = published(&api.app)?.size;
    let start = parameters.number("start")?.unwrap_or(0);
    let end = parameters.number("end")?;
    if end.is_some_and(|end| start > end) {
        return Err(invalid("start must not be larger than end").into());
    }
    covered(&api.app, start, size)?;
    let end = end.unwrap_or(size).min(size);
    let app = api.app.clone();
    // Page by page, as fast as the client reads: memory does not grow with the log.
    let pages = futures_util::stream::try_unfold(start, move |from| {
        let app = app.clone();
        async move {
            let page = app.store.log_bodies(from, end, BODIES).await?;
            let Some(last) = page.last() else {
                return Ok::<_, crate::store::Error>(None);
            };
            let next = last.index + 1;
            let mut out = String::new();
            for stored in &page {
                let line = match &stored.jws {
                    Some(jws) => json!({"index": stored.index, "kind": "report", "jws": jws}),
                    None => json!({
                        "index": stored.index, "kind": "report", "erased": true, "erased_by": stored.erased_by,
                    }),
                };
                out.push_str(&line.to_string());
                out.push('\n');
            }
            Ok(Some((out, next)))
        }
    });
    // A body can be erased: nobody in between may keep it.
    Ok((
        [
            (header::CONTENT_TYPE, "application/x-ndjson"),
            (header::CACHE_CONTROL, "no-store"),
        ],
        Body::from_stream(pages),
    )
        .into_response())
}

/// `GET /v1/log/checkpoints?limit=&cursor=`: every checkpoint that was ever published, ascending.
pub(super) async fn checkpoints(
    State(api): super::State,
    parameters: Parameters,
) -> Result<Json<Page<Value>>, Failed> {
    parameters.only(&["limit", "cursor"])?;
    let limit = parameters.limit()?;
    let from = parameters.cursor()?.unwrap_or(0);
    let found = api.app.store.checkpoints(from, limit).await?;
    let full = found.len() == usize::try_from(limit).unwrap_or(usize::MAX);
    let next_cursor = found
        .last()
        .filter(|_| full)
        .map(|last| cursor(last.size + 1));
    let items = found
        .iter()
        .map(|c| json!({"size": c.size, "published_ms": c.published_ms, "note": c.note}))
        .collect();
    Ok(Json(Page { items, next_cursor }))
}
