//! The log as tlog-tiles serves it, and the bodies beside it.

use axum::{
    Json,
    body::{Body, Bytes},
    extract::{Path, State},
    http::header,
    response::{IntoResponse, Response},
};
use goodstanding_verify::tile::{TilePath, bundle_bytes};
use serde_json::{Value, json};

use super::{
    Page,
    problem::Failed,
    query::{Parameters, cursor},
};
use crate::{
    code::{Code, Fault},
    log::tree::TILE_WIDTH,
    store::Tree,
    token::bundle::published,
};

/// Bodies of one page of the stream.
const BODIES: u32 = 500;
const IMMUTABLE: &str = "public, max-age=31536000, immutable";

/// `GET /checkpoint`: the newest published one.
pub(super) async fn checkpoint(State(api): super::State) -> Result<Response, Failed> {
    let note = published(&api.app)?.note;
    let headers = [
        (header::CONTENT_TYPE, "text/plain; charset=utf-8"),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    Ok((headers, note).into_response())
}

/// `GET /tile/<L>/<N>[.p/<W>]` and `/tile/entries/<N>[.p/<W>]`.
///
/// Only what the published tree has is served: a tile that is wider than that could still be taken back.
pub(super) async fn tile(
    State(api): super::State,
    Path(path): Path<String>,
) -> Result<Response, Failed> {
    let unknown = || {
        Fault::new(
            Code::TileUnknown,
            "no published tree has this tile at this width",
        )
    };
    let wanted = TilePath::parse(&path).ok_or_else(unknown)?;
    let size = published(&api.app)?.size;
    let width = u64::try_from(wanted.width).unwrap_or(u64::MAX);
    let level = u32::from(wanted.level.unwrap_or(0));
    let complete = size.checked_shr(8 * level).unwrap_or(0);
    let start = wanted.n.checked_mul(256).ok_or_else(unknown)?;
    let end = start
        .checked_add(width)
        .filter(|end| *end <= complete)
        .ok_or_else(unknown)?;
    let bytes = if let Some(id) = wanted.tile() {
        let mut hashes = api
            .app
            .store
            .tile(Tree::Log, id)
            .await?
            .ok_or_else(unknown)?;
        if hashes.len() < wanted.width {
            return Err(Fault::new(
                Code::StoreCorrupt,
                format!("tile {path} is shorter than the published tree"),
            )
            .into());
        }
        hashes.truncate(wanted.width.min(TILE_WIDTH));
        hashes.concat()
    } else {
        let entries = api.app.store.entries(start, end).await?;
        if entries.len() != wanted.width {
            return Err(
                Fault::new(Code::StoreCorrupt, format!("entries of {path} are missing")).into(),
            );
        }
        bundle_bytes(entries.iter().map(Vec::as_slice))?
    };
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream"),
        (header::CACHE_CONTROL, IMMUTABLE),
    ];
    Ok((headers, Bytes::from(bytes)).into_response())
}

/// `GET /v1/log/bodies?start=&end=`: NDJSON of `{index, kind, jws}` for every entry that has a body, and `{index,
/// kind, erased: true}` for every one that had.
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
            let page = app.store.log_bodies(from, end, BODIES).await?;
            let Some(last) = page.last() else {
                return Ok::<_, crate::store::Error>(None);
            };
            let next = last.index + 1;
            let mut out = String::new();
            for stored in &page {
                let line = match &stored.jws {
                    Some(jws) => json!({"index": stored.index, "kind": "report", "jws": jws}),
                    None => json!({"index": stored.index, "kind": "report", "erased": true}),
                };
                out.push_str(&line.to_string());
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
