//! The one writer: a bounded queue in, one durable transaction a batch, receipts out.
//!
//! Order of one batch, and why: read facts → plan (pure) → commit entries, tiles and the signed checkpoint in one
//! transaction → answer. Nothing is acknowledged before the commit returned. When the outcome of a commit is unknown the
//! sequencer forgets what it believes, reloads the head and lets the store say what happened. If that
//! fails too, it keeps what it knew: the compare-and-swap on the head keeps a stale writer from writing, and the next try reloads again.
//!
//! Publishing is a second step, at most once a second, and always extends what was published before.

use std::{
    collections::HashSet,
    sync::{Arc, RwLock},
    time::Duration,
};

use goodstanding_score::policy::Policy;
use goodstanding_verify::{
    checkpoint::SignedCheckpoint,
    did::Did,
    entry::{Body, Entry},
    report::Report,
};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::Instant,
};

use super::{
    plan::{
        Admitted, Candidate, Planned, Rules, State, plan_event, plan_reports, single_use_documents,
    },
    sign::{LogSigner, proof_text},
    tree::{Edge, Touched, inclusion_path, tiles_for_proof},
};
use crate::{
    clock::Clock,
    code::{Code, Fault},
    log::guard::HeadGuard,
    store::{AdmissionQuery, Commit, Head, IssuedToken, NewEpoch, Published, Store, Tree},
};

/// Most reports that one transaction takes.
pub const BATCH: usize = 256;
/// How long the first report of a batch waits for company.
const LINGER: Duration = Duration::from_millis(5);
/// Publishing happens at most this often.
const PUBLISH_EVERY: Duration = Duration::from_secs(1);
/// The window of the unilateral quota.
const DAY_MS: u64 = 86_400_000;
/// How far log time may be ahead of the clock before nothing is admitted any more.
pub const MOST_AHEAD_MS: u64 = 60_000;

/// A report on its way to the log: bytes and signature are checked already.
#[derive(Debug)]
pub struct Submission {
    /// The parsed report.
    pub report: Report,
    /// Its signed bytes.
    pub jws: String,
    /// Log time of an operator's import, Unix milliseconds.
    pub historical_ms: Option<u64>,
}

/// A durable report, and what its receipt is made of.
#[derive(Clone, Debug)]
pub struct Receipt {
    /// Where the report stands.
    pub admitted: Admitted,
    /// A signed head that covers it, and the tiles that the batch changed. Only when it was asked for.
    pub under: Option<Arc<SignedTree>>,
}

/// A signed head with the tiles at hand when it was signed: enough to prove the newest entries without reading.
#[derive(Debug)]
pub struct SignedTree {
    head: Head,
    tiles: Touched,
}

impl SignedTree {
    /// tlog-proof of an entry. Built by the caller and not by the writer, whose time is everybody's.
    ///
    /// # Errors
    /// `store.corrupt` when a tile is missing.
    pub async fn prove(&self, index: u64, store: &dyn Store) -> Result<String, Fault> {
        let size = self.head.size;
        let mut missing = Touched::new();
        for id in tiles_for_proof(index, size) {
            if !self.tiles.contains_key(&id)
                && let Some(tile) = store.tile(Tree::Log, id).await?
            {
                missing.insert(id, tile);
            }
        }
        let path = inclusion_path(index, size, |id| {
            self.tiles.get(&id).or_else(|| missing.get(&id)).cloned()
        })
        .map_err(|id| Fault::new(Code::StoreCorrupt, format!("tile {id:?} is missing")))?;
        Ok(proof_text(index, path, &self.head.note))
    }
}

/// Answer to a submission.
pub type Answer = Result<Receipt, Fault>;

enum Job {
    Reports {
        submissions: Vec<Submission>,
        proofs: bool,
        answer: oneshot::Sender<Vec<Answer>>,
    },
    Event {
        event: Box<Event>,
        answer: oneshot::Sender<Result<u64, Fault>>,
    },
    Publish {
        answer: oneshot::Sender<Result<(), Fault>>,
    },
    Aliases {
        aliases: Vec<(String, Did)>,
        answer: oneshot::Sender<Result<(), Fault>>,
    },
    Token {
        token: IssuedToken,
        answer: oneshot::Sender<Result<bool, Fault>>,
    },
    Stop {
        answer: oneshot::Sender<()>,
    },
}

/// An entry that is not a report.
#[derive(Debug)]
pub struct Event {
    /// The entry.
    pub body: Body,
    /// Log time at the earliest, Unix milliseconds; `None` = now.
    pub at_ms: Option<u64>,
    /// The rows of an epoch entry: statements and score tiles.
    pub epoch: Option<(NewEpoch, Touched)>,
}

/// The policy in force.
#[derive(Clone, Debug)]
pub struct CurrentPolicy {
    /// Index of its entry.
    pub index: u64,
    /// Its version.
    pub version: u64,
    /// The policy.
    pub policy: Policy,
}

/// What everybody may know of the sequencer without asking it.
#[derive(Debug)]
pub struct Shared {
    /// The newest published checkpoint.
    pub published: watch::Receiver<Option<Published>>,
    /// The newest signed head.
    pub head: watch::Receiver<Option<Head>>,
    policy: RwLock<Option<Arc<CurrentPolicy>>>,
    reached: RwLock<Arc<HashSet<Did>>>,
}

impl Shared {
    /// The policy in force; `None` before the log has one.
    pub fn policy(&self) -> Option<Arc<CurrentPolicy>> {
        self.policy.read().ok().and_then(|p| p.clone())
    }
}

/// The way to the writer; cheap to clone.
#[derive(Clone, Debug)]
pub struct Handle {
    jobs: mpsc::Sender<Job>,
    shared: Arc<Shared>,
}

impl Handle {
    /// What everybody may know.
    pub fn shared(&self) -> &Shared {
        &self.shared
    }

    /// Puts up to [`BATCH`] reports into the log. The work goes on even if the returned future is dropped.
    ///
    /// # Errors
    /// `ingest.queue_full` when the queue has no room within `patience`; per report otherwise.
    pub async fn submit(
        &self,
        submissions: Vec<Submission>,
        proofs: bool,
        patience: Duration,
    ) -> Result<Vec<Answer>, Fault> {
        let (answer, answered) = oneshot::channel();
        let job = Job::Reports {
            submissions,
            proofs,
            answer,
        };
        match self.jobs.send_timeout(job, patience).await {
            Ok(()) => answered.await.map_err(|_| closed()),
            Err(mpsc::error::SendTimeoutError::Timeout(_)) => {
                Err(Fault::new(Code::QueueFull, "the write queue is full"))
            }
            Err(mpsc::error::SendTimeoutError::Closed(_)) => Err(closed()),
        }
    }

    /// Logs an entry that is not a report and returns its index.
    ///
    /// # Errors
    /// When the log is closed or the store unavailable.
    pub async fn log(&self, event: Event) -> Result<u64, Fault> {
        self.ask(|answer| Job::Event {
            event: Box::new(event),
            answer,
        })
        .await?
    }

    /// Publishes the newest head now, without waiting for the second to pass.
    ///
    /// # Errors
    /// When the log is closed or the store unavailable.
    pub async fn publish(&self) -> Result<(), Fault> {
        self.ask(|answer| Job::Publish { answer }).await?
    }

    /// Names agents in this data directory.
    ///
    /// # Errors
    /// When the log is closed or the store unavailable.
    pub async fn set_aliases(&self, aliases: Vec<(String, Did)>) -> Result<(), Fault> {
        self.ask(|answer| Job::Aliases { aliases, answer }).await?
    }

    /// Records an issued token; `false` when its place in the status list is taken.
    ///
    /// # Errors
    /// When the log is closed or the store unavailable.
    pub async fn add_token(&self, token: IssuedToken) -> Result<bool, Fault> {
        self.ask(|answer| Job::Token { token, answer }).await?
    }

    /// Writes what is queued, publishes, and ends the writer.
    pub async fn stop(&self) {
        let (answer, answered) = oneshot::channel();
        if self.jobs.send(Job::Stop { answer }).await.is_ok() {
            let _ = answered.await;
        }
    }

    async fn ask<T>(&self, job: impl FnOnce(oneshot::Sender<T>) -> Job) -> Result<T, Fault> {
        let (answer, answered) = oneshot::channel();
        self.jobs.send(job(answer)).await.map_err(|_| closed())?;
        answered.await.map_err(|_| closed())
    }
}

fn closed() -> Fault {
    Fault::new(Code::LogClosed, "the log takes no more entries")
}

/// Owned by the writer task.
struct Sequencer {
    store: Arc<dyn Store>,
    signer: LogSigner,
    clock: Clock,
    guard: HeadGuard,
    state: State,
    head: watch::Sender<Option<Head>>,
    published: watch::Sender<Option<Published>>,
    last_publish: Option<Instant>,
    shared: Arc<Shared>,
}

/// Loads the log, verifies its head, and starts the writer task.
///
/// # Errors
/// When the store is unavailable, contradicts itself, or is behind the head guard.
pub async fn start(
    store: Arc<dyn Store>,
    signer: LogSigner,
    clock: Clock,
    guard: HeadGuard,
    queue: usize,
) -> Result<Handle, Fault> {
    let published = store.published().await?;
    let (published_tx, published_rx) = watch::channel(published);
    let (head_tx, head_rx) = watch::channel(None);
    let shared = Arc::new(Shared {
        published: published_rx,
        head: head_rx,
        policy: RwLock::new(None),
        reached: RwLock::new(Arc::default()),
    });
    let mut sequencer = Sequencer {
        store,
        signer,
        clock,
        guard,
        state: State::default(),
        head: head_tx,
        published: published_tx,
        last_publish: None,
        shared: shared.clone(),
    };
    sequencer.reload().await?;
    sequencer.check_guard().await?;
    sequencer.renew_guard()?;
    let (jobs, queued) = mpsc::channel(queue.max(1));
    #[expect(
        clippy::disallowed_methods,
        reason = "the one long-lived task; its handle's stop() waits for it"
    )]
    tokio::spawn(sequencer.run(queued));
    Ok(Handle { jobs, shared })
}

impl Sequencer {
    async fn run(mut self, mut jobs: mpsc::Receiver<Job>) {
        loop {
            let due = self.publish_due();
            let job = tokio::select! {
                job = jobs.recv() => job,
                () = tokio::time::sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                    if let Err(fault) = self.publish().await {
                        tracing::error!(code = fault.code(), error = %fault, "publishing the checkpoint failed");
                    }
                    continue;
                }
            };
            let Some(job) = job else { break };
            if let Some(stop) = self.handle(job, &mut jobs).await {
                jobs.close();
                while let Ok(job) = jobs.try_recv() {
                    let _ = self.handle(job, &mut jobs).await;
                }
                if let Err(fault) = self.publish().await {
                    tracing::error!(code = fault.code(), error = %fault, "publishing the last checkpoint failed");
                }
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
            Job::Event { event, answer } => {
                let _ = answer.send(self.write_event(*event).await);
                None
            }
            Job::Publish { answer } => {
                let _ = answer.send(self.publish().await);
                None
            }
            Job::Aliases { aliases, answer } => {
                let _ = answer.send(self.store.set_aliases(&aliases).await.map_err(Fault::from));
                None
            }
            Job::Token { token, answer } => {
                let _ = answer.send(self.store.add_token(&token).await.map_err(Fault::from));
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
        self.check_clock(now_ms)?;
        let queries: Vec<_> = submissions
            .iter()
            .map(|s| AdmissionQuery {
                id: &s.report.id,
                reporter: &s.report.iss,
                subject: &s.report.sub,
                market: &s.report.trade.market,
                trade_id: &s.report.trade.id,
                role: s.report.trade.role,
                jti: &s.report.jti,
                alone_since_ms: (s.historical_ms.is_none() && !reached.contains(&s.report.iss))
                    .then(|| now_ms.max(self.state.at_ms).saturating_sub(DAY_MS)),
            })
            .collect();
        let facts = self.store.admission_facts(&queries).await?;
        let digests: Vec<_> = submissions
            .iter()
            .flat_map(|s| single_use_documents(&s.report))
            .collect();
        let used_documents = if digests.is_empty() {
            digests
        } else {
            self.store.known_documents(&digests).await?
        };
        let candidates: Vec<_> = submissions
            .into_iter()
            .zip(facts)
            .map(|(s, facts)| Candidate {
                reached: reached.contains(&s.report.iss),
                report: s.report,
                jws: s.jws,
                historical_ms: s.historical_ms,
                facts,
                used_documents: used_documents.clone(),
            })
            .collect();
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
        let head = self.head.borrow().clone()?;
        for id in tiles_for_proof(head.size.saturating_sub(1), head.size) {
            if let Some(tile) = self.state.edge.tile(id) {
                tiles.insert(id, tile);
            }
        }
        Some(Arc::new(SignedTree { head, tiles }))
    }

    async fn write_event(&mut self, event: Event) -> Result<u64, Fault> {
        let Event { body, at_ms, epoch } = event;
        // What is logged stays: an entry that could not be read back would keep the log from ever starting again.
        self.check_clock(self.clock.now_ms())?;
        match &body {
            Body::Epoch(new) => self.check_epoch(new.number, new.as_of).await?,
            Body::Policy { version, policy } => self.check_policy(*version, policy)?,
            _ => {}
        }
        let is_policy = matches!(body, Body::Policy { .. });
        let is_epoch = epoch.is_some();
        let at_ms = at_ms.unwrap_or_else(|| self.clock.now_ms());
        let planned = plan_event(&self.state, body, epoch, at_ms, &self.signer)?;
        let index = self.state.edge.size();
        if let Some(commit) = &planned.commit {
            self.commit(commit, planned.state).await?;
        }
        if is_policy {
            self.load_policy().await?;
        }
        if is_policy || is_epoch {
            self.load_reached().await?;
        }
        Ok(index)
    }

    /// A clock that was set back far would make log time stand still; a minute of drift is tolerated as in reports.
    fn check_clock(&self, now_ms: u64) -> Result<(), Fault> {
        let ahead_ms = self.state.at_ms.saturating_sub(now_ms);
        if ahead_ms > MOST_AHEAD_MS {
            let detail = format!(
                "the newest entry is {} s ahead of this machine's clock",
                ahead_ms / 1000
            );
            return Err(Fault::new(Code::ClockBehind, detail));
        }
        Ok(())
    }

    fn check_policy(&self, version: u64, policy: &serde_json::Value) -> Result<(), Fault> {
        Policy::parse(policy)?;
        let current = self.shared.policy().map_or(0, |current| current.version);
        if version != current + 1 {
            return Err(Fault::new(
                Code::PolicyVersion,
                format!("version {version} after {current}"),
            ));
        }
        Ok(())
    }

    /// Epochs are numbered without gaps and `as_of` never goes back.
    async fn check_epoch(&self, number: u64, as_of: u64) -> Result<(), Fault> {
        let (last, last_as_of) = match self.store.epoch(None).await? {
            None => (0, 0),
            Some(epoch) => match Entry::parse(&epoch.entry)?.body {
                Body::Epoch(entry) => (entry.number, entry.as_of),
                _ => {
                    return Err(Fault::new(
                        Code::StoreCorrupt,
                        "an epoch row does not point at an epoch entry",
                    ));
                }
            },
        };
        if number != last + 1 {
            return Err(Fault::new(
                Code::EpochRunning,
                format!("epoch {last} was logged meanwhile"),
            ));
        }
        if as_of < last_as_of {
            return Err(Fault::new(
                Code::EpochAsOf,
                format!("epoch {last} has as_of {last_as_of}, this one {as_of}"),
            ));
        }
        Ok(())
    }

    /// Commits, and finds out what happened when the store cannot say.
    async fn commit(&mut self, commit: &Commit, after: State) -> Result<(), Fault> {
        match self.store.commit(commit).await {
            Ok(()) => {
                self.state = after;
                self.head.send_replace(Some(commit.head.clone()));
                Ok(())
            }
            Err(error) => {
                tracing::error!(%error, log.size = commit.head.size, "commit failed or its outcome is unknown; reloading");
                self.reload().await?;
                let landed = self
                    .head
                    .borrow()
                    .as_ref()
                    .is_some_and(|h| *h == commit.head);
                if landed { Ok(()) } else { Err(error.into()) }
            }
        }
    }

    /// Reads the head and the edge back from the store and checks that they belong together.
    async fn reload(&mut self) -> Result<(), Fault> {
        let head = self.store.head().await?;
        self.state = match &head {
            None => State::default(),
            Some(head) => {
                let edge = load_edge(self.store.as_ref(), head.size).await?;
                if edge.root() != head.root
                    || self.signer.checkpoint(head.size, &head.root) != head.note
                {
                    let detail = format!(
                        "the tiles of size {} do not add up to the signed root",
                        head.size
                    );
                    return Err(Fault::new(Code::StoreCorrupt, detail));
                }
                State {
                    edge,
                    at_ms: head.at_ms,
                    begun: true,
                }
            }
        };
        self.head.send_replace(head);
        self.load_policy().await?;
        self.load_reached().await
    }

    /// Refuses a database that is behind, or has another tree than, what the guard and its own last publishing promised.
    async fn check_guard(&self) -> Result<(), Fault> {
        let size = self.state.edge.size();
        let published = self.published.borrow().clone();
        let published = published
            .map(|p| SignedCheckpoint::parse(&p.note).map(|s| s.checkpoint().clone()))
            .transpose()?;
        for promised in self.guard.read()?.into_iter().chain(published) {
            let promised_size = promised.size;
            if size < promised_size {
                let detail = format!(
                    "the database ends at {size} entries, but {promised_size} were published; restore a newer copy of it"
                );
                return Err(Fault::new(Code::LogBehindGuard, detail));
            }
            if load_edge(self.store.as_ref(), promised_size).await?.root() != promised.root {
                let detail = format!(
                    "the database has another tree of {promised_size} entries than the one that was published"
                );
                return Err(Fault::new(Code::LogBehindGuard, detail));
            }
        }
        Ok(())
    }

    /// After a crash between publishing in the database and in the guard, the guard catches up.
    fn renew_guard(&self) -> Result<(), Fault> {
        let published = self.published.borrow().clone();
        match published {
            Some(published) if self.guard.read()?.is_none_or(|g| g.size < published.size) => {
                self.guard.write(&published)
            }
            _ => Ok(()),
        }
    }

    async fn load_policy(&mut self) -> Result<(), Fault> {
        let entries = self.store.events("policy", self.state.edge.size()).await?;
        let current = match entries.last() {
            None => None,
            Some((index, bytes)) => match Entry::parse(bytes)?.body {
                Body::Policy { version, policy } => Some(Arc::new(CurrentPolicy {
                    index: *index,
                    version,
                    policy: Policy::parse(&policy)?,
                })),
                _ => {
                    return Err(Fault::new(
                        Code::StoreCorrupt,
                        "a policy row is not a policy entry",
                    ));
                }
            },
        };
        if let Ok(mut slot) = self.shared.policy.write() {
            *slot = current;
        }
        Ok(())
    }

    async fn load_reached(&mut self) -> Result<(), Fault> {
        let mut reached: HashSet<Did> = self.store.reached().await?.into_iter().collect();
        // Trust roots are reached by definition, also before the first epoch.
        if let Some(policy) = self.shared.policy() {
            reached.extend(policy.policy.seeds.iter().copied());
        }
        if let Ok(mut slot) = self.shared.reached.write() {
            *slot = Arc::new(reached);
        }
        Ok(())
    }

    /// When the next publishing is due; `None` when there is nothing new.
    fn publish_due(&self) -> Option<Instant> {
        let head = self.head.borrow().as_ref().map(|h| h.size)?;
        let published = self.published.borrow().as_ref().map(|p| p.size);
        (Some(head) != published).then(|| {
            self.last_publish
                .map_or_else(Instant::now, |last| last + PUBLISH_EVERY)
        })
    }

    /// Makes the newest head the published one: database, then guard, then the world.
    async fn publish(&mut self) -> Result<(), Fault> {
        let Some(head) = self.head.borrow().clone() else {
            return Ok(());
        };
        if self
            .published
            .borrow()
            .as_ref()
            .is_some_and(|p| p.size == head.size)
        {
            return Ok(());
        }
        self.last_publish = Some(Instant::now());
        let checkpoint = Published {
            size: head.size,
            published_ms: self.clock.now_ms(),
            note: head.note,
        };
        self.store.publish(&checkpoint).await?;
        self.guard.write(&checkpoint)?;
        self.published.send_replace(Some(checkpoint));
        Ok(())
    }
}

/// The edge of the stored log at `size`.
async fn load_edge(store: &dyn Store, size: u64) -> Result<Edge, Fault> {
    let mut tiles = Touched::new();
    // The edge of a tree is what the proof of its last leaf needs.
    for id in tiles_for_proof(size.saturating_sub(1), size) {
        if let Some(tile) = store.tile(Tree::Log, id).await? {
            tiles.insert(id, tile);
        }
    }
    Edge::load(size, |id| tiles.get(&id).cloned()).map_err(|id| {
        Fault::new(
            Code::StoreCorrupt,
            format!("tile {id:?} is missing or too short"),
        )
    })
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
