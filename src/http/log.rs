//! The bodies beside the log.

use axum::{
    body::Body,
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};
use serde_json::json;

use super::{problem::Failed, query::Parameters};
use crate::token::bundle::published;

/// Bodies of one page of the stream.
const BODIES: u32 = 500;

/// `GET /v1/log/bodies?start=&end=`: NDJSON of `{index, kind, jws}` for every entry that has a body.
pub(super) async fn bodies(
    State(api): super::State,
    parameters: Parameters,
) -> Result<Response, Failed> {
    parameters.only(&["start", "end"])?;
    let size = published(&api.app)?.size;
    let start = parameters.number("start")?.unwrap_or(0);
    let end = parameters.number("end")?.unwrap_or(size).min(size);
    let app = api.app.clone();
    // Page by page, as fast as the client reads: memory does not grow with the log.
    let pages = futures_util::stream::try_unfold(start, move |from| {
        let app = app.clone();
        async move {
            let page = app.store.bodies(from, end, BODIES).await?;
            let Some(last) = page.last() else {
                return Ok::<_, crate::store::Error>(None);
            };
            let next = last.index + 1;
            let mut out = String::new();
            for stored in &page {
                out.push_str(
                    &json!({"index": stored.index, "kind": "report", "jws": stored.jws})
                        .to_string(),
                );
                out.push('\n');
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
