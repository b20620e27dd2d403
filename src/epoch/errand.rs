//! Epochs where several processes share a log: whoever writes computes them, since it has the same log and policy and the result
//! need not travel.

use std::sync::{Arc, Weak};

use async_trait::async_trait;
use goodstanding_verify::b64;

use super::{Summary, entry_of, explained, run_here};
use crate::{
    app::App,
    code::{Code, Fault},
    log::cluster::Errands,
};

/// Computes here what other processes ask for. It does not keep the `App` alive.
#[derive(Debug)]
struct Here(Weak<App>);

/// Lets other processes ask this one while it writes.
pub(crate) fn serve(app: &Arc<App>) {
    let here = Arc::new(Here(Arc::downgrade(app)));
    app.log.shared().set_errands(here);
}

#[async_trait]
impl Errands for Here {
    async fn epoch(&self, as_of: Option<u64>, after: u64) -> Result<String, Fault> {
        let closed = || Fault::new(Code::LogClosed, "the process that writes is shutting down");
        let app = self.0.upgrade().ok_or_else(closed)?;
        let summary = match logged(&app, as_of, after).await? {
            Some(summary) => summary,
            None => run_here(&app, as_of, Some(after)).await?,
        };
        serde_json::to_string(&summary).map_err(|e| Fault::new(Code::Internal, e.to_string()))
    }
}

/// The epoch after number `after` if it is there and the newest: whoever had the turn before logged it, and could not say so, or somebody else
/// asked for the same.
async fn logged(app: &Arc<App>, as_of: Option<u64>, after: u64) -> Result<Option<Summary>, Fault> {
    let Some(newest) = app.store.epoch(None).await? else {
        return Ok(None);
    };
    let entry = entry_of(&newest)?;
    let is_it = entry.number == after + 1 && as_of.is_none_or(|as_of| as_of == entry.as_of);
    if !is_it {
        return Ok(None);
    }
    let started = std::time::Instant::now();
    // The same again: how many reports count is nowhere else.
    let explained = explained(app).await?;
    if explained.number != entry.number {
        return Ok(None);
    }
    Ok(Some(Summary {
        number: entry.number,
        index: newest.index,
        as_of: entry.as_of,
        log_size: entry.log_size,
        statements: entry.statements,
        reports: u64::try_from(explained.evidence.len()).unwrap_or(u64::MAX),
        score_root: b64::std_encode(entry.score_root.0),
        computed_in_ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
    }))
}

/// Asks the process that writes. One epoch comes of it, however often the question gets there: the next after the newest now.
pub(super) async fn ask(app: &Arc<App>, as_of: Option<u64>) -> Result<Summary, Fault> {
    let newest = app.store.epoch(None).await?;
    let after = newest.map_or(0, |epoch| epoch.number);
    let summary = app.log.ask_epoch(as_of, after).await?;
    serde_json::from_str(&summary).map_err(|e| Fault::new(Code::Internal, e.to_string()))
}
