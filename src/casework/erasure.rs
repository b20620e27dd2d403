//! Erasing a report: its entry stays in the log, its bytes go, and later epochs do without it.

use std::sync::Arc;

use goodstanding_verify::{
    digest::Digest,
    entry::{Body, Entry, ErasureReason},
    report::ReportId,
};
use serde::Serialize;

use crate::{
    app::App,
    code::{Code, Fault},
    log::sequencer::Event,
    store::StoredErasure,
};

/// An erased report, as the API shows it: what the log says of it, and nothing of what it said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Erased {
    /// The report.
    pub report_id: String,
    /// Index of its entry.
    pub leaf_index: u64,
    /// Always `true`.
    pub erased: bool,
    /// Why.
    pub reason: ErasureReason,
    /// Index of the erasure's entry.
    pub erasure_index: u64,
    /// Log time of the erasure, Unix milliseconds.
    pub erased_at: u64,
}

/// An erasure that was just done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Done {
    /// The record.
    #[serde(flatten)]
    pub erased: Erased,
    /// Whether a published checkpoint covers the erasure's entry; without a quorum of witnesses it is durable and waits.
    pub published: bool,
}

impl Erased {
    /// The record of a stored erasure.
    ///
    /// # Errors
    /// `store.corrupt` when its row does not point at an erasure entry of this report.
    pub fn of(stored: &StoredErasure) -> Result<Self, Fault> {
        let entry = Entry::parse(&stored.entry)?;
        match entry.body {
            Body::Erasure { of, reason } if of.0 == stored.id.0 => Ok(Self {
                report_id: stored.id.to_string(),
                leaf_index: stored.index,
                erased: true,
                reason,
                erasure_index: stored.by,
                erased_at: entry.at,
            }),
            _ => Err(Fault::new(
                Code::StoreCorrupt,
                format!("entry {} does not erase report {}", stored.by, stored.id),
            )),
        }
    }
}

/// Erases a report for good, publishes that, and returns its record.
///
/// The body, the working copy's rows and the cached computation that used them are gone when this returns; a reader that
/// holds on to the write-ahead log at that moment delays the last bytes of it by seconds. Other processes show nothing of it any more and
/// let go of theirs within a minute. Backups are not reached.
///
/// # Errors
/// `report.unknown`, `report.erased` when it was erased before, `epoch.running` while an epoch is being computed, or the store's.
pub async fn erase(app: &Arc<App>, id: ReportId, reason: ErasureReason) -> Result<Done, Fault> {
    let app = app.clone();
    // In a task of its own: a client that goes away must not let an epoch begin while the report is being erased.
    #[expect(
        clippy::disallowed_methods,
        reason = "awaited right here; it only has to outlive a dropped handler"
    )]
    let erased = tokio::spawn(async move { erase_alone(&app, id, reason).await });
    erased
        .await
        .map_err(|e| Fault::new(Code::Internal, e.to_string()))?
}

async fn erase_alone(app: &App, id: ReportId, reason: ErasureReason) -> Result<Done, Fault> {
    let _epochs_wait = app.epoch_running.try_lock().map_err(|_| {
        Fault::new(
            Code::EpochRunning,
            "an epoch is being computed over this report; erase it afterwards",
        )
    })?;
    let body = Body::Erasure {
        of: Digest(id.0),
        reason,
    };
    let event = Event {
        body,
        at_ms: None,
        epoch: None,
    };
    let index = app.log.log(event).await?;
    // What an explanation was made of holds the report in memory.
    *app.explained.lock().await = None;
    let published = app.log.publish_if_witnessed().await?;
    tracing::info!(report.id = %id, %reason, log.index = index, "report erased");
    let stored = app.store.erased(&id).await?;
    let stored = stored.ok_or_else(|| {
        Fault::new(
            Code::StoreCorrupt,
            format!("the erasure of {id} was logged but is not recorded"),
        )
    })?;
    let erased = Erased::of(&stored)?;
    Ok(Done { erased, published })
}
