//! Proofs on demand: that one published tree extends another, and that an entry is in a published tree.

use axum::{
    extract::State,
    http::HeaderMap,
    response::{IntoResponse as _, Response},
};
use goodstanding_verify::{b64, merkle::Hash};
use serde::Serialize;

use super::{
    cached::{Cached, Fresh},
    problem::Failed,
    query::{Parameters, invalid, report_id},
};
use crate::{
    app::App,
    code::{Code, Fault},
    log::prove,
    store::Published,
    token::bundle::published,
};

/// The answer of `GET /v1/log/consistency`.
#[derive(Debug, Serialize)]
struct Consistency {
    from: u64,
    to: u64,
    /// Standard base64, as the hashes.
    from_root: String,
    to_root: String,
    /// RFC 6962 §2.1.2; empty from size 0 and between equal sizes.
    hashes: Vec<String>,
}

/// `GET /v1/log/consistency?from=&to=`: that the tree of `to` entries extends that of `from`. Any size up to the published one.
pub(super) async fn consistency(
    State(api): super::State,
    parameters: Parameters,
    request: HeaderMap,
) -> Result<Response, Failed> {
    parameters.only(&["from", "to"])?;
    let under = published(&api.app)?;
    let newest = under.size;
    let from = parameters
        .number("from")?
        .ok_or_else(|| invalid("from takes the size of the older tree"))?;
    let to = parameters.number("to")?;
    // Without `to` the answer changes with every publishing.
    let fresh = to.map_or(Fresh::Ask, |_| Fresh::Immutable);
    let to = to.unwrap_or(newest);
    // Which of the two is too large: the one that was asked for.
    covered(&api.app, from.max(to), newest)?;
    if from > to {
        return Err(invalid("from must not be larger than to").into());
    }
    let proof = prove::published_extension(&api.app.tiles, from, to, &under).await?;
    let encode = |hash: Hash| b64::std_encode(hash);
    let body = Consistency {
        from,
        to,
        from_root: encode(proof.old_root),
        to_root: encode(proof.new_root),
        hashes: proof.path.into_iter().map(encode).collect(),
    };
    let body = serde_json::to_vec(&body).map_err(|e| Fault::new(Code::Internal, e.to_string()))?;
    Ok(Cached::plain("application/json", fresh, body).answer(&request))
}

/// `GET /v1/log/inclusion?index=|report=[&size=]`: a tlog-proof of an entry under the newest published checkpoint, or under
/// the published checkpoint of `size` entries.
pub(super) async fn inclusion(
    State(api): super::State,
    parameters: Parameters,
    request: HeaderMap,
) -> Result<Response, Failed> {
    parameters.only(&["index", "report", "size"])?;
    let app = &api.app;
    let newest = published(app)?;
    let index = match (parameters.number("index")?, parameters.text("report")) {
        (Some(index), None) => index,
        (None, Some(id)) => {
            let id = report_id(&id)?;
            let unknown = || Fault::new(Code::ReportUnknown, format!("no report {id}"));
            match app.store.report(&id).await? {
                Some(report) => report.index,
                // The entry stays when the report is erased.
                None => app.store.erased(&id).await?.ok_or_else(unknown)?.index,
            }
        }
        _ => return Err(invalid("one of index and report says which entry").into()),
    };
    let under = match parameters.number("size")? {
        None => newest,
        Some(size) => checkpoint_of(app, size, &newest).await?,
    };
    if index >= under.size && under.size < published(app)?.size {
        let detail = format!("the checkpoint of {} entries ends before it", under.size);
        return Err(Fault::new(Code::LeafUnknown, detail).into());
    }
    covered(app, index.saturating_add(1), under.size)?;
    let proof = prove::entry_proof(&app.tiles, index, &under).await?;
    // Not immutable: a published checkpoint may gain cosignatures.
    let cached = Cached::plain("text/plain; charset=utf-8", Fresh::Ask, proof);
    Ok(cached.answer(&request).into_response())
}

/// The published checkpoint of exactly this size.
async fn checkpoint_of(app: &App, size: u64, newest: &Published) -> Result<Published, Fault> {
    if size == newest.size {
        return Ok(newest.clone());
    }
    app.store.published_of(size).await?.ok_or_else(|| {
        let detail = format!("no checkpoint of {size} entries was published");
        Fault::new(Code::CheckpointUnknown, detail)
    })
}

/// Refuses what needs a tree of `size` entries when only `published` are: for now, if the log has them; else as unknown.
pub(super) fn covered(app: &App, size: u64, published: u64) -> Result<(), Fault> {
    if size <= published {
        return Ok(());
    }
    let signed = app.log.shared().size();
    if size <= signed {
        let detail = format!("{published} of {signed} entries are published so far");
        return Err(Fault::new(Code::NotPublished, detail));
    }
    let detail = format!("the log has {signed} entries");
    Err(Fault::new(Code::LeafUnknown, detail))
}
