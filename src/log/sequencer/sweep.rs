//! What an epoch that was not logged left staged, and how it goes away.

use std::time::Duration;

use tokio::time::Instant;

use super::Sequencer;
use crate::store::Error;

/// Between two steps: reports come first.
const PAUSE: Duration = Duration::from_millis(20);
/// After a failure.
const AGAIN: Duration = Duration::from_secs(1);

impl Sequencer {
    /// Once it is this process that writes, and before it runs: whoever staged rows before is gone or has no turn any more, and nobody may
    /// log them. They go away by and by. Without success the next epoch removes them.
    pub(in crate::log) async fn disown_staged(&mut self) {
        match self.store.claim_staging(None).await {
            Ok(0) => {}
            Ok(staged) => {
                tracing::info!(
                    epoch.staged = staged,
                    "an epoch was not logged; removing what was staged of it"
                );
                self.sweep_due = Some(Instant::now());
            }
            Err(error) => {
                tracing::warn!(%error, "what an epoch left staged could not be looked at");
            }
        }
    }

    /// Removes some of it.
    pub(super) async fn sweep(&mut self) {
        self.sweep_due = match self.store.clear_staging(None).await {
            // All of it, or an epoch is being staged, which began with removing the rest.
            Ok(true) | Err(Error::Unstaged) => None,
            Ok(false) => Some(Instant::now() + PAUSE),
            Err(error) => {
                tracing::warn!(%error, "rows of an epoch that was not logged are still there; trying again");
                Some(Instant::now() + AGAIN)
            }
        };
    }
}
