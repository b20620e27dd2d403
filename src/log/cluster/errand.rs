//! What the others ask of the process that writes and the sequencer cannot do: it takes more than the log.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use futures_util::future::BoxFuture;

use crate::{
    code::{Code, Fault},
    log::sequencer::{Job, Shared},
};

/// Whoever can.
#[async_trait]
pub trait Errands: fmt::Debug + Send + Sync + 'static {
    /// Computes and logs the epoch after number `after`, at `as_of` (Unix seconds) or the usual time; its summary as JSON.
    ///
    /// # Errors
    /// `epoch.running` when there is a later epoch by now; those of the computation.
    async fn epoch(&self, as_of: Option<u64>, after: u64) -> Result<String, Fault>;
}

/// A job that is none of the sequencer's, as work that ends with its answer; otherwise the job.
pub(super) fn errand(job: Job, shared: &Arc<Shared>) -> Result<BoxFuture<'static, ()>, Job> {
    match job {
        Job::Epoch {
            as_of,
            after,
            answer,
        } => {
            let shared = shared.clone();
            Ok(Box::pin(async move {
                let done = match shared.errands() {
                    Some(errands) => errands.epoch(as_of, after).await,
                    None => Err(Fault::new(
                        Code::StoreUnavailable,
                        "the process that writes is still starting",
                    )),
                };
                let _ = answer.send(done);
            }))
        }
        job => Err(job),
    }
}
