//! The one writer: a bounded queue in, one durable transaction a batch, receipts out.
//!
//! Order of one batch, and why: read facts → plan (pure) → commit entries, tiles and the signed checkpoint in one
//! transaction → answer. Nothing is acknowledged before the commit returned. When the outcome of a commit is unknown the
//! sequencer forgets what it believes, reloads the head, lets the store say what happened, and has it made durable before it
//! believes that (`load`). If that fails too, nothing is planned before a reload succeeds; the compare-and-swap on the head is the safety behind that.
//!
//! Publishing is a second step (`publish`), at most once a second, and always extends what was published before.

mod candidates;
mod checks;
mod handle;
mod load;
mod names;
mod publish;
mod shared;
mod sweep;

use std::{sync::Arc, time::Duration};

use goodstanding_verify::{
    did::Did,
    entry::{Body, KeyEntry},
};
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};

pub use candidates::candidates;
pub(in crate::log) use handle::Job;
pub use handle::{Answer, Event, Handle, Receipt, SignedTree, Submission};
pub use names::new_names;
use publish::Publisher;
pub use publish::WitnessReport;
pub(in crate::log) use publish::{is_witnessed, newest_witnessed};
pub use shared::{CurrentPolicy, Shared};

use super::{
    end::{self, Ended},
    guard::HeadGuard,
    plan::{Planned, Rules, State, plan_event, plan_keys, plan_reports},
    sign::LogSigner,
    tiles::Tiles,
    tree::{Touched, tiles_for_proof},
    witness::Witnesses,
};
use crate::{
    clock::Clock,
    code::{Code, Fault},
    metrics::Metrics,
    store::{Commit, NewErasure, Store},
};

/// Most reports that one transaction takes.
pub const BATCH: usize = 256;
/// How long the first report of a batch waits for company.
const LINGER: Duration = Duration::from_millis(5);
/// How long after a reader kept deleted bytes alive the next try to take them out of the files comes.
const SCRUB_AGAIN: Duration = Duration::from_secs(1);
/// The window of the unilateral quota.
const DAY_MS: u64 = 86_400_000;
/// How far log time may be ahead of the clock before nothing is admitted any more.
pub const MOST_AHEAD_MS: u64 = 60_000;

/// Owned by the writer task.
pub(in crate::log) struct Sequencer {
    store: Arc<dyn Store>,
    tiles: Arc<Tiles>,
    signer: LogSigner,
    clock: Clock,
    guard: HeadGuard,
    state: State,
    /// Whether the store may know better than `state` and what is shared: a reload is due before anything is planned.
    stale: bool,
    publisher: Publisher,
    metrics: Arc<Metrics>,
    /// What an erasure deleted is still in the database's files; when the next try to take it out comes.
    scrub_due: Option<Instant>,
    /// Rows are staged of an epoch that was not logged; when the next of them are removed.
    sweep_due: Option<Instant>,
    shared: Arc<Shared>,
}

/// What a writer is made of.
#[derive(Clone, Debug)]
pub struct Parts {
    /// The database.
    pub store: Arc<dyn Store>,
    /// The log's key.
    pub signer: LogSigner,
    /// The clock.
    pub clock: Clock,
    /// What was published, outside the database.
    pub guard: HeadGuard,
    /// Who is asked before publishing.
    pub witnesses: Witnesses,
    /// What is counted.
    pub metrics: Arc<Metrics>,
}

/// Loads the log, verifies its head, and starts the writer task, before which at most `queue` jobs wait.
///
/// # Errors
/// When the store is unavailable, contradicts itself, or is behind the head guard.
pub async fn start(parts: Parts, queue: usize) -> Result<Handle, Fault> {
    let shared = parts.shared().await?;
    let tiles = Arc::new(Tiles::new(parts.store.clone()));
    let mut sequencer = Sequencer::begin(parts, shared.clone(), tiles.clone()).await?;
    sequencer.disown_staged().await;
    let (jobs, queued) = mpsc::channel(queue.max(1));
    #[expect(
        clippy::disallowed_methods,
        reason = "the one long-lived task; its handle's stop() waits for it"
    )]
    tokio::spawn(sequencer.run(queued));
    Ok(Handle {
        jobs,
        shared,
        tiles,
    })
}

impl Parts {
    /// What everybody may know, as far as it does not take the head.
    pub(in crate::log) async fn shared(&self) -> Result<Arc<Shared>, Fault> {
        let published = self.store.published().await?;
        let policy = &self.witnesses.policy;
        let witnessed = newest_witnessed(self.store.as_ref(), policy).await?;
        let report = Publisher::new(self.witnesses.clone())?.report(None);
        Ok(Arc::new(Shared::new(
            published,
            witnessed,
            policy.clone(),
            report,
            self.metrics.clone(),
        )))
    }
}

impl Sequencer {
    /// Loads the log and verifies its head.
    ///
    /// # Errors
    /// When the store is unavailable, contradicts itself, or is behind the head guard.
    pub(in crate::log) async fn begin(
        parts: Parts,
        shared: Arc<Shared>,
        tiles: Arc<Tiles>,
    ) -> Result<Self, Fault> {
        let mut sequencer = Self {
            publisher: Publisher::new(parts.witnesses)?,
            store: parts.store,
            tiles,
            signer: parts.signer,
            clock: parts.clock,
            guard: parts.guard,
            state: State::default(),
            stale: true,
            metrics: parts.metrics,
            scrub_due: None,
            sweep_due: None,
            shared,
        };
        sequencer.load().await?;
        sequencer.check_guard().await?;
        sequencer.renew_guard()?;
        Ok(sequencer)
    }

    pub(in crate::log) async fn run(mut self, mut jobs: mpsc::Receiver<Job>) {
        loop {
            let due = self.publish_due();
            let (scrub, sweep) = (self.scrub_due, self.sweep_due);
            let job = tokio::select! {
                job = jobs.recv() => job,
                () = tokio::time::sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                    self.begin_publishing(None).await;
                    continue;
                }
                outcome = self.publisher.outcome() => {
                    self.end_publishing(outcome).await;
                    continue;
                }
                () = tokio::time::sleep_until(scrub.unwrap_or_else(Instant::now)), if scrub.is_some() => {
                    self.scrub().await;
                    continue;
                }
                () = tokio::time::sleep_until(sweep.unwrap_or_else(Instant::now)), if sweep.is_some() => {
                    self.sweep().await;
                    continue;
                }
            };
            let Some(job) = job else { break };
            if let Some(stop) = self.handle(job, &mut jobs).await {
                jobs.close();
                while let Ok(job) = jobs.try_recv() {
                    let _ = self.handle(job, &mut jobs).await;
                }
                self.finish_publishing().await;
                let _ = stop.send(());
                break;
            }
        }
    }

    /// Handles one job, and gathers a batch if it is reports. Returns the one to tell when it was asked to stop.
    async fn handle(
        &mut self,
        job: Job,
        jobs: &mut mpsc::Receiver<Job>,
    ) -> Option<oneshot::Sender<()>> {
        match job {
            Job::Reports {
                submissions,
                proofs,
                answer,
            } => {
                let (batch, next) = gather(
                    Pending {
                        submissions,
                        proofs,
                        answer,
                    },
                    jobs,
                )
                .await;
                self.write_reports(batch).await;
                // A job of another kind ended the gathering; it comes next, in its order.
                match next {
                    Some(job) => Box::pin(self.handle(job, jobs)).await,
                    None => None,
                }
            }
            Job::Event {
                event,
                since,
                answer,
            } => {
                let _ = answer.send(self.write_event(*event, since).await);
                None
            }
            Job::Keys {
                events,
                at_ms,
                since,
                answer,
            } => {
                let _ = answer.send(self.write_keys(&events, at_ms, since).await);
                None
            }
            Job::Epoch { answer, .. } => {
                let fault = Fault::new(Code::Internal, "the sequencer computes nothing");
                let _ = answer.send(Err(fault));
                None
            }
            Job::End {
                ended,
                size,
                answer,
            } => {
                let _ = answer.send(self.write_end(&ended, size).await);
                None
            }
            Job::Publish { answer } => {
                self.begin_publishing(Some(answer)).await;
                None
            }
            Job::Aliases { aliases, answer } => {
                let _ = answer.send(self.write_aliases(&aliases).await);
                None
            }
            Job::Token { token, answer } => {
                // A token of a log that has ended would vouch for what nobody maintains.
                let written = match self.shared.check_open() {
                    Ok(()) => self.store.add_token(&token).await.map_err(Fault::from),
                    Err(fault) => Err(fault),
                };
                self.stale |= written.is_err();
                let _ = answer.send(written);
                None
            }
            Job::Stop { answer } => Some(answer),
        }
    }

    async fn write_reports(&mut self, batch: Vec<Pending>) {
        let mut counts = Vec::with_capacity(batch.len());
        let mut all = Vec::new();
        let mut want_proofs = Vec::new();
        for pending in batch {
            counts.push((pending.submissions.len(), pending.answer));
            want_proofs.extend(std::iter::repeat_n(
                pending.proofs,
                pending.submissions.len(),
            ));
            all.extend(pending.submissions);
        }
        let mut answers = match self.try_write_reports(all, &want_proofs).await {
            Ok(answers) => answers,
            Err(fault) => vec![Err(fault); want_proofs.len()],
        };
        for (count, answer) in counts {
            let rest = answers.split_off(count.min(answers.len()));
            // The client may be gone; its reports are in the log all the same and will be recognised.
            let _ = answer.send(std::mem::replace(&mut answers, rest));
        }
    }

    async fn try_write_reports(
        &mut self,
        submissions: Vec<Submission>,
        want_proofs: &[bool],
    ) -> Result<Vec<Answer>, Fault> {
        self.refresh().await?;
        let policy = self
            .shared
            .policy()
            .ok_or_else(|| Fault::new(Code::LogClosed, "the log has no policy yet"))?;
        let reached = self
            .shared
            .reached
            .read()
            .map(|r| r.clone())
            .unwrap_or_default();
        let now_ms = self.clock.now_ms();
        self.check_open()?;
        self.check_clock(now_ms)?;
        let candidates = candidates(
            self.store.as_ref(),
            submissions,
            &reached,
            now_ms.max(self.state.at_ms),
        )
        .await?;
        let planned = plan_reports(
            &self.state,
            &candidates,
            &Rules::of(&policy.policy),
            now_ms,
            &self.signer,
        );
        let Planned {
            commit,
            state,
            touched,
            verdicts,
        } = planned;
        if let Some(commit) = &commit {
            self.commit(commit, state).await?;
        }
        for verdict in &verdicts {
            self.metrics.report(verdict.as_ref().map(|a| a.new));
        }
        let signed = want_proofs
            .contains(&true)
            .then(|| self.signed_tree(touched))
            .flatten();
        let receipt = |admitted, want: &bool| Receipt {
            admitted,
            under: signed.clone().filter(|_| *want),
        };
        Ok(verdicts
            .into_iter()
            .zip(want_proofs)
            .map(|(verdict, want)| verdict.map(|a| receipt(a, want)))
            .collect())
    }

    /// The newest head with the tiles of its edge and those that the batch filled.
    fn signed_tree(&self, mut tiles: Touched) -> Option<Arc<SignedTree>> {
        let head = self.shared.head.borrow().clone()?;
        for id in tiles_for_proof(head.size.saturating_sub(1), head.size) {
            if let Some(tile) = self.state.edge.tile(id) {
                tiles.insert(id, tile);
            }
        }
        Some(Arc::new(SignedTree { head, tiles }))
    }

    async fn write_event(&mut self, event: Event, since: Option<u64>) -> Result<u64, Fault> {
        let Event { body, at_ms, epoch } = event;
        self.refresh().await?;
        if let Some(index) = self.logged(since, std::slice::from_ref(&body)).await? {
            return Ok(index);
        }
        // What is logged stays: an entry that could not be read back would keep the log from ever starting again.
        self.check_open()?;
        self.check_clock(self.clock.now_ms())?;
        let mut erased = None;
        match &body {
            Body::Epoch(new) => self.check_epoch(new).await?,
            Body::Policy { version, policy } => self.check_policy(*version, policy)?,
            Body::Key(event) => self.check_keys(&[*event])?,
            Body::Erasure { of, .. } => erased = Some(self.find_erasable(*of).await?),
            _ => {}
        }
        let is_policy = matches!(body, Body::Policy { .. });
        let key = match &body {
            Body::Key(event) => Some(*event),
            _ => None,
        };
        let is_epoch = epoch.is_some();
        let at_ms = at_ms.unwrap_or_else(|| self.clock.now_ms());
        let index = self.state.edge.size();
        let planned = plan_event(&self.state, body, epoch, at_ms, &self.signer)?;
        if let Some(mut commit) = planned.commit {
            commit.erasure = erased.map(|(index_of, of)| NewErasure {
                index: index_of,
                of,
                by: index,
            });
            self.commit(&commit, planned.state).await?;
        }
        if erased.is_some() {
            self.scrub().await;
        }
        if let Some(event) = key {
            self.shared.learn_keys(index, &[event]);
        }
        // The entry is in the log, whatever comes of reading it back.
        let (shared, store) = (&self.shared, self.store.as_ref());
        let size = self.state.edge.size();
        if (is_policy && shared.load_policy(store, size).await.is_err())
            || ((is_policy || is_epoch) && shared.load_reached(store).await.is_err())
        {
            tracing::warn!(
                log.index = index,
                "logged, but not read back; reloading before the next write"
            );
            self.stale = true;
        }
        Ok(index)
    }

    /// Logs key events that belong together, and returns the index of the first.
    async fn write_keys(
        &mut self,
        events: &[KeyEntry],
        at_ms: Option<u64>,
        since: Option<u64>,
    ) -> Result<u64, Fault> {
        self.refresh().await?;
        let bodies: Vec<Body> = events.iter().copied().map(Body::Key).collect();
        if let Some(index) = self.logged(since, &bodies).await? {
            return Ok(index);
        }
        self.check_open()?;
        self.check_clock(self.clock.now_ms())?;
        self.check_keys(events)?;
        let at_ms = at_ms.unwrap_or_else(|| self.clock.now_ms());
        let index = self.state.edge.size();
        let planned = plan_keys(&self.state, events, at_ms, &self.signer)?;
        if let Some(commit) = &planned.commit {
            self.commit(commit, planned.state).await?;
        }
        self.shared.learn_keys(index, events);
        Ok(index)
    }

    /// Names agents. Only here, where one comes after the other, are two names of one agent noticed for certain.
    async fn write_aliases(&mut self, wanted: &[(String, Did)]) -> Result<(), Fault> {
        self.refresh().await?;
        self.check_open()?;
        let new = new_names(&self.store.aliases().await?, wanted)?;
        if new.is_empty() {
            return Ok(());
        }
        let written = self.store.set_aliases(&new).await;
        // Found next time, they need not be durable.
        self.stale |= written.is_err();
        Ok(written?)
    }

    /// Ends the log at exactly `size` entries. It can be read for ever, and written to never again. With the same notice again: done.
    async fn write_end(&mut self, ended: &Ended, size: u64) -> Result<(), Fault> {
        self.refresh().await?;
        if self.shared.ended().is_some_and(|held| *held == *ended) {
            return Ok(());
        }
        self.shared.check_open()?;
        let now = self.state.edge.size();
        if now != size {
            // The notice has to name the last tree.
            let detail = format!("the log has {now} entries by now, not {size}");
            return Err(Fault::new(Code::LogMoved, detail));
        }
        let text =
            serde_json::to_string(ended).map_err(|e| Fault::new(Code::Internal, e.to_string()))?;
        // Until the store has said what became of it, nothing may be written: it may have ended.
        self.stale = true;
        let written = self.store.set_meta(end::META, &text).await;
        // Whether or not the outcome is known: what the store says now is what counts.
        self.reload().await?;
        if self.shared.ended().is_some_and(|held| *held == *ended) {
            return Ok(());
        }
        written?;
        Err(Fault::new(
            Code::StoreUnavailable,
            "the end of the log was not stored",
        ))
    }

    /// Commits, and finds out what happened when the store cannot say.
    async fn commit(&mut self, commit: &Commit, after: State) -> Result<(), Fault> {
        let started = std::time::Instant::now();
        let done = self.store.commit(commit).await;
        self.metrics
            .commit(commit.reports.len(), started.elapsed(), done.is_ok());
        match done {
            Ok(()) => {
                self.state = after;
                self.shared
                    .tell
                    .head
                    .send_replace(Some(commit.head.clone()));
                Ok(())
            }
            Err(error) => {
                tracing::error!(%error, log.size = commit.head.size, "commit failed or its outcome is unknown; reloading");
                self.stale = true;
                self.reload().await?;
                let landed = self
                    .shared
                    .head
                    .borrow()
                    .as_ref()
                    .is_some_and(|h| *h == commit.head);
                if landed { Ok(()) } else { Err(error.into()) }
            }
        }
    }

    /// Takes what an erasure deleted out of the database's files, or notes that it has to be tried again.
    async fn scrub(&mut self) {
        let gone = match self.store.scrub().await {
            Ok(gone) => gone,
            Err(error) => {
                tracing::warn!(%error, "erased bytes are still in the write-ahead log; trying again");
                false
            }
        };
        self.scrub_due = (!gone).then(|| Instant::now() + SCRUB_AGAIN);
    }
}

struct Pending {
    submissions: Vec<Submission>,
    proofs: bool,
    answer: oneshot::Sender<Vec<Answer>>,
}

/// Takes queued reports until the batch is full, [`LINGER`] has passed, or another kind of job comes.
async fn gather(first: Pending, jobs: &mut mpsc::Receiver<Job>) -> (Vec<Pending>, Option<Job>) {
    let mut count = first.submissions.len();
    let mut batch = vec![first];
    let deadline = Instant::now() + LINGER;
    while count < BATCH {
        match tokio::time::timeout_at(deadline, jobs.recv()).await {
            Ok(Some(Job::Reports {
                submissions,
                proofs,
                answer,
            })) => {
                count += submissions.len();
                batch.push(Pending {
                    submissions,
                    proofs,
                    answer,
                });
            }
            Ok(Some(other)) => return (batch, Some(other)),
            Ok(None) | Err(_) => break,
        }
    }
    (batch, None)
}
