//! The log as C2SP tlog-tiles serves it: the checkpoint, hash tiles and entry bundles.

use axum::{
    extract::{Path, State},
    http::HeaderMap,
    response::Response,
};
use goodstanding_verify::tile::{TilePath, bundle_bytes, tile_bytes};

use super::{
    cached::{Cached, Fresh, gzip, takes_gzip},
    problem::Failed,
};
use crate::{
    code::{Code, Fault},
    ingest::blocking,
    store::Tree,
    token::bundle::published,
};

const TEXT: &str = "text/plain; charset=utf-8";
const BYTES: &str = "application/octet-stream";

/// `GET /checkpoint`: the newest published one.
pub(super) async fn checkpoint(
    State(api): super::State,
    request: HeaderMap,
) -> Result<Response, Failed> {
    let note = published(&api.app)?.note;
    Ok(Cached::plain(TEXT, Fresh::Second, note).answer(&request))
}

/// `GET /tile/<L>/<N>[.p/<W>]` and `/tile/entries/<N>[.p/<W>]`.
///
/// Every width up to the published one is served, so also that of every checkpoint ever published, and what the address
/// names never changes. Nothing more is: a tile that is wider than what was published could still be taken back.
pub(super) async fn tile(
    State(api): super::State,
    Path(path): Path<String>,
    request: HeaderMap,
) -> Result<Response, Failed> {
    let unknown = || {
        Fault::new(
            Code::TileUnknown,
            "no published tree has this tile at this width",
        )
    };
    let wanted = TilePath::parse(&path).ok_or_else(unknown)?;
    let leaves = wanted.tile().unwrap_or_else(|| wanted.leaves());
    let size = published(&api.app)?.size;
    leaves
        .width_in(size)
        .filter(|width| wanted.width <= *width)
        .ok_or_else(unknown)?;
    let answer = match wanted.tile() {
        Some(id) => {
            let tile = api.app.store.tile(Tree::Log, id).await?;
            let hashes = tile
                .as_deref()
                .and_then(|tile| tile.get(..wanted.width))
                .ok_or_else(|| corrupt(&wanted))?;
            Cached::plain(BYTES, Fresh::Immutable, tile_bytes(hashes))
        }
        None => bundle(&api, &wanted, takes_gzip(&request)).await?,
    };
    Ok(answer.answer(&request))
}

async fn bundle(api: &super::Api, wanted: &TilePath, packed: bool) -> Result<Cached, Fault> {
    let start = wanted.n.saturating_mul(256);
    let end = start.saturating_add(u64::try_from(wanted.width).unwrap_or(u64::MAX));
    let entries = api.app.store.entries(start, end).await?;
    if entries.len() != wanted.width {
        return Err(corrupt(wanted));
    }
    let bytes = bundle_bytes(entries.iter().map(Vec::as_slice))?;
    let (body, gzip) = if packed {
        // Up to 15 MB of entries are no work for an async thread.
        blocking(move || match gzip(&bytes) {
            Some(packed) => (packed, true),
            None => (bytes, false),
        })
        .await?
    } else {
        (bytes, false)
    };
    Ok(Cached {
        gzip: Some(gzip),
        ..Cached::plain(BYTES, Fresh::Immutable, body)
    })
}

fn corrupt(wanted: &TilePath) -> Fault {
    let detail = format!("tile {wanted} is shorter than the published tree");
    Fault::new(Code::StoreCorrupt, detail)
}
