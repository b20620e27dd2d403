//! Epochs where several processes share a log: whoever writes computes them, since it has the same log and policy and the result
//! need not travel.

use std::sync::{Arc, Weak};

use async_trait::async_trait;

use super::{Summary, run_here};
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
        let summary = run_here(&app, as_of, Some(after)).await?;
        serde_json::to_string(&summary).map_err(|e| Fault::new(Code::Internal, e.to_string()))
    }
}

/// Asks the process that writes. One epoch comes of it, however often the question gets there: the next after the newest now.
pub(super) async fn ask(app: &Arc<App>, as_of: Option<u64>) -> Result<Summary, Fault> {
    let newest = app.store.epoch(None).await?;
    let after = newest.map_or(0, |epoch| epoch.number);
    let summary = app.log.ask_epoch(as_of, after).await?;
    serde_json::from_str(&summary).map_err(|e| Fault::new(Code::Internal, e.to_string()))
}
