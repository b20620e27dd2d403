//! Epochs: one complete computation of all scores over a log prefix, committed to the log.
//!
//! [`evidence`] reads what a prefix holds, [`compute`] turns it into statements and their tree (pure), `stage` puts
//! these into the store beside the writer, and [`run`] logs the entry that makes them the epoch's. The same prefix, policy and salt key give the same bytes wherever this runs.

pub mod compute;
mod errand;
pub mod evidence;
mod stage;
mod view;

use std::sync::Arc;

pub(crate) use errand::serve;
use goodstanding_score::policy::Policy;
use goodstanding_verify::{
    claims::Claims,
    did::Did,
    digest::{Digest, sha256},
    entry::{Body, Entry, EpochEntry},
    merkle,
};
use serde::{Deserialize, Serialize};
pub use view::{Place, View};

use crate::{
    app::App,
    code::{Code, Fault},
    ingest::blocking,
    log::sequencer::Event,
    store::{NewEpoch, Store, StoredEpoch},
};

/// Rows fetched at a time when a whole epoch is read.
const PAGE: u32 = 5000;

/// What an epoch came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// Epoch number.
    pub number: u64,
    /// Index of its entry in the log.
    #[serde(rename = "leaf_index")]
    pub index: u64,
    /// The time that its scores are of, Unix seconds.
    pub as_of: u64,
    /// It covers entries below this index.
    pub log_size: u64,
    /// Agents with a statement.
    pub statements: u64,
    /// Reports that count.
    pub reports: u64,
    /// Root of the score tree, base64.
    pub score_root: String,
    /// Milliseconds spent on reading, scoring and building statements.
    pub computed_in_ms: u64,
}

/// A computation kept so that its scores can be explained: 92 bytes a report that counts, 8 a pair and 60 an agent. What an
/// explanation shows of an agent is derived from it when somebody asks.
#[derive(Debug)]
pub struct Explained {
    /// Epoch number.
    pub number: u64,
    /// The policy it ran under.
    pub policy: Policy,
    /// What it read.
    pub evidence: goodstanding_score::evidence::Evidence,
    /// What it found.
    pub scores: goodstanding_score::Scores,
}

/// Computes and logs one epoch now; where several processes share the log, the one that writes does. `as_of` = `None` means now,
/// or the newest report's log time if that one is historical.
///
/// # Errors
/// `epoch.running`, `epoch.no_reports`, `policy.no_seeds`, `epoch.as_of_decreases`, or the store's.
pub async fn run(app: &Arc<App>, as_of: Option<u64>) -> Result<Summary, Fault> {
    if !app.log.shared().is_leading() {
        return errand::ask(app, as_of).await;
    }
    // In a task of its own: it opens transactions, which a handler whose client goes away must not.
    let task = app.clone();
    #[expect(
        clippy::disallowed_methods,
        reason = "awaited right here; it only has to outlive a dropped handler"
    )]
    let done = tokio::spawn(async move { run_here(&task, as_of, None).await });
    done.await
        .map_err(|e| Fault::new(Code::Internal, e.to_string()))?
}

/// [`run`] in this process. `after`: the epoch that has to be the newest.
async fn run_here(
    app: &Arc<App>,
    as_of: Option<u64>,
    after: Option<u64>,
) -> Result<Summary, Fault> {
    let done = compute_and_log(app, as_of, after).await;
    app.metrics.epoch(done.as_ref().map(|_| ()));
    done
}

async fn compute_and_log(
    app: &Arc<App>,
    as_of: Option<u64>,
    after: Option<u64>,
) -> Result<Summary, Fault> {
    let _running = app
        .epoch_running
        .try_lock()
        .map_err(|_| Fault::new(Code::EpochRunning, "another epoch is being computed"))?;
    // Before anything is computed: nothing could be logged.
    app.log.shared().check_open()?;
    let started = std::time::Instant::now();
    let previous = match app.store.epoch(None).await? {
        None => (0, 0),
        Some(epoch) => (epoch.number, entry_of(&epoch)?.as_of),
    };
    if after.is_some_and(|after| after != previous.0) {
        let detail = format!("epoch {} was logged meanwhile", previous.0);
        return Err(Fault::new(Code::EpochRunning, detail));
    }
    let as_of = check_as_of(app, as_of, previous.1).await?;
    let log_size = app.log.shared().size();
    let (policy_index, policy) = evidence::policy_at(app.store.as_ref(), log_size).await?;
    let number = previous.0 + 1;
    let mut salt_key = [0; 32];
    getrandom::fill(&mut salt_key)
        .map_err(|e| Fault::new(Code::Internal, format!("no random bytes: {e}")))?;
    let admitted = evidence::read(app.store.as_ref(), log_size, as_of).await?;
    if admitted.is_empty() {
        return Err(Fault::new(
            Code::EpochNoReports,
            "no report is in the log below this size and time",
        ));
    }
    let erased = evidence::erasures(app.store.as_ref(), log_size).await?;
    // Another process may have asked for an erasure, of which this one's lock knows nothing.
    if app.store.erased_since(log_size).await? > 0 {
        let detail = "a report was erased while the log was read; compute the epoch again";
        return Err(Fault::new(Code::EpochRunning, detail));
    }
    let terms = compute::Terms {
        number,
        as_of,
        salt_key,
        erased,
    };
    let scored = move || compute::scored(&terms, admitted.into_evidence(&policy), policy);
    let explained = Arc::new(blocking(scored).await??);
    let staged = stage::all(app.store.as_ref(), &explained, terms).await?;
    let entry = EpochEntry {
        number,
        as_of,
        log_size,
        policy: policy_index,
        statements: staged.statements,
        score_root: Digest(staged.score_root),
        // No detection runs yet, so no flags: the root of the empty tree.
        flags_root: Digest(merkle::EMPTY_ROOT),
        salt_key_sha256: sha256(&salt_key),
        code: goodstanding_score::CODE.to_owned(),
    };
    let epoch = NewEpoch {
        number,
        index: 0,
        salt_key,
        staged: staged.key,
        statements: staged.statements,
    };
    let event = Event {
        body: Body::Epoch(entry),
        at_ms: None,
        epoch: Some(epoch),
    };
    let index = match app.log.log(event).await {
        Ok(index) => index,
        Err(fault) => {
            stage::abandon(app.store.as_ref(), staged.key).await;
            return Err(fault);
        }
    };
    let summary = Summary {
        number,
        index,
        as_of,
        log_size,
        statements: staged.statements,
        reports: u64::try_from(explained.evidence.len()).unwrap_or(u64::MAX),
        score_root: goodstanding_verify::b64::std_encode(staged.score_root),
        computed_in_ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
    };
    *app.explained.lock().await = Some(explained);
    tracing::info!(
        epoch.number = number,
        epoch.statements = staged.statements,
        duration_ms = summary.computed_in_ms,
        "epoch logged"
    );
    Ok(summary)
}

/// [`run`], unless the log has no entry since the newest epoch.
///
/// # Errors
/// `epoch.unchanged`, and those of [`run`].
pub async fn run_if_changed(app: &Arc<App>) -> Result<Summary, Fault> {
    let size = app.log.shared().size();
    if app
        .store
        .epoch(None)
        .await?
        // An epoch beyond the known head was logged by a commit whose outcome is not known yet: nothing is newer either.
        .is_some_and(|newest| newest.index + 1 >= size)
    {
        return Err(Fault::new(
            Code::EpochUnchanged,
            "the newest entry is the newest epoch",
        ));
    }
    run(app, None).await
}

/// The time to score at: given, or by default. What is logged cannot be taken back and the next epoch must not be earlier, so a
/// time in the future (milliseconds instead of seconds, say) is refused before anything is computed.
async fn check_as_of(app: &App, given: Option<u64>, previous: u64) -> Result<u64, Fault> {
    let newest_ms = app
        .log
        .shared()
        .head
        .borrow()
        .as_ref()
        .map_or(0, |head| head.at_ms);
    let latest = app.clock.now_s().max(newest_ms.div_ceil(1000));
    let Some(as_of) = given else {
        return Ok(default_as_of(app).await?.max(previous));
    };
    if as_of > latest {
        return Err(Fault::new(
            Code::EpochAsOfFuture,
            format!("{as_of} is later than now, {latest}"),
        ));
    }
    if as_of < previous {
        return Err(Fault::new(
            Code::EpochAsOf,
            format!("the newest epoch has as_of {previous}, this one {as_of}"),
        ));
    }
    Ok(as_of)
}

/// Now, or the newest report's log time (rounded up to a second, so that it is covered) if that one is historical.
async fn default_as_of(app: &App) -> Result<u64, Fault> {
    let newest = app.store.newest_report().await?;
    Ok(match newest {
        Some(report) if report.historical => report.at_ms.div_ceil(1000),
        // An entry's `at` can be ahead of a clock that was set back.
        Some(report) => app.clock.now_s().max(report.at_ms.div_ceil(1000)),
        None => app.clock.now_s(),
    })
}

/// The entry of a stored epoch.
///
/// # Errors
/// `store.corrupt` when its row does not point at one.
pub fn entry_of(epoch: &StoredEpoch) -> Result<EpochEntry, Fault> {
    match Entry::parse(&epoch.entry)?.body {
        Body::Epoch(entry) => Ok(entry),
        _ => Err(Fault::new(
            Code::StoreCorrupt,
            "an epoch row does not point at an epoch entry",
        )),
    }
}

/// The newest epoch.
///
/// # Errors
/// `epoch.unknown` before the first one.
pub async fn latest(store: &dyn Store) -> Result<StoredEpoch, Fault> {
    store
        .epoch(None)
        .await?
        .ok_or_else(|| Fault::new(Code::EpochUnknown, "no epoch has been computed yet: name trust roots with `policy set --seeds`, then run `epoch`"))
}

/// Every agent's claims in the newest epoch, ascending by DID.
///
/// # Errors
/// `epoch.unknown` before the first one.
pub async fn latest_statements(store: &dyn Store) -> Result<Vec<(Did, Claims)>, Fault> {
    let epoch = latest(store).await?;
    let mut all = Vec::new();
    loop {
        let from = u64::try_from(all.len()).unwrap_or(u64::MAX);
        let page = store.statements(epoch.number, from, PAGE).await?;
        if page.is_empty() {
            return Ok(all);
        }
        for statement in page {
            let claims = serde_json::from_str(&statement.claims)
                .map_err(|e| Fault::new(Code::StoreCorrupt, e.to_string()))?;
            all.push((statement.agent, claims));
        }
    }
}

/// What made an agent's score in the newest epoch, recomputed from the log if this process did not compute it.
///
/// The document, and where its next page begins.
///
/// # Errors
/// `epoch.unknown`, `agent.unknown`, `epoch.superseded` for a page that goes on in another epoch, or the store's.
pub async fn explain(
    app: &Arc<App>,
    agent: &Did,
    view: View,
) -> Result<(serde_json::Value, Option<Place>), Fault> {
    // Cheap before expensive: nobody makes us recompute an epoch over an agent that is not in it.
    let newest = latest(app.store.as_ref()).await?;
    crate::token::issue::statement_in(app, agent, newest.number).await?;
    // In a task of its own: a caller that goes away neither stops the work nor lets a second one begin beside it.
    let task = app.clone();
    #[expect(
        clippy::disallowed_methods,
        reason = "awaited right here; it only has to outlive a dropped handler"
    )]
    let explained = tokio::spawn(async move { explained(&task).await });
    let explained = explained
        .await
        .map_err(|e| Fault::new(Code::Internal, e.to_string()))??;
    let agent = *agent;
    let explanation = blocking(move || {
        goodstanding_score::explain(
            &explained.evidence,
            &explained.policy,
            &explained.scores,
            &agent,
        )
        .map(|explanation| view.of(explained.number, explanation))
    })
    .await?;
    explanation.ok_or_else(|| {
        Fault::new(
            Code::AgentUnknown,
            format!("{agent} is not in the newest epoch"),
        )
    })?
}

/// Refuses an epoch over a prefix of which a report was erased later.
async fn check_recomputable(app: &App, entry: &EpochEntry) -> Result<(), Fault> {
    match app.store.erased_since(entry.log_size).await? {
        0 => Ok(()),
        count => {
            let detail = format!(
                "{count} of the reports below entry {} were erased after epoch {}",
                entry.log_size, entry.number
            );
            Err(Fault::new(Code::EpochNotRecomputable, detail))
        }
    }
}

/// Lets go of a kept computation that used a report which was erased since, by whichever process.
///
/// # Errors
/// The store's.
pub async fn forget_erased(app: &App) -> Result<(), Fault> {
    let mut slot = app.explained.lock().await;
    let Some(kept) = slot.as_ref() else {
        return Ok(());
    };
    let epoch = app.store.epoch(Some(kept.number)).await?;
    let log_size = epoch.as_ref().map(entry_of).transpose()?;
    let log_size = log_size.map_or(0, |entry| entry.log_size);
    if app.store.erased_since(log_size).await? > 0 {
        *slot = None;
    }
    Ok(())
}

/// The newest epoch's computation. Only one caller recomputes it, the others wait.
async fn explained(app: &Arc<App>) -> Result<Arc<Explained>, Fault> {
    let mut slot = app.explained.lock().await;
    let epoch = latest(app.store.as_ref()).await?;
    let entry = entry_of(&epoch)?;
    if let Some(explained) = slot.as_ref().filter(|e| e.number == epoch.number) {
        let kept = explained.clone();
        // Another process may have erased what it was made of.
        let recomputable = check_recomputable(app, &entry).await;
        if recomputable.is_err() {
            *slot = None;
        }
        return recomputable.map(|()| kept);
    }
    if entry.code != goodstanding_score::CODE {
        let detail = format!(
            "epoch {} was computed by {}, this is {}",
            entry.number,
            entry.code,
            goodstanding_score::CODE
        );
        return Err(Fault::new(Code::EpochOtherCode, detail));
    }
    let (_, policy) = evidence::policy_at(app.store.as_ref(), entry.log_size).await?;
    // What was erased since can still be counted, not read: cheap before, and certain after the reading.
    check_recomputable(app, &entry).await?;
    let admitted = evidence::read(app.store.as_ref(), entry.log_size, entry.as_of).await?;
    let erased = evidence::erasures(app.store.as_ref(), entry.log_size).await?;
    check_recomputable(app, &entry).await?;
    let terms = compute::Terms {
        number: entry.number,
        as_of: entry.as_of,
        salt_key: epoch.salt_key,
        erased,
    };
    let again = move || {
        let explained = compute::scored(&terms, admitted.into_evidence(&policy), policy)?;
        Ok::<_, Fault>((compute::root(&explained, &terms)?, explained))
    };
    let (root, explained) = blocking(again).await??;
    if Digest(root) != entry.score_root {
        return Err(Fault::new(
            Code::StoreCorrupt,
            format!(
                "epoch {} does not recompute to its logged root",
                entry.number
            ),
        ));
    }
    let explained = Arc::new(explained);
    *slot = Some(explained.clone());
    Ok(explained)
}
