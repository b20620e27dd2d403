//! The side that sends: jobs go to whoever leads, and what it writes is read back.

use std::{collections::HashMap, sync::Arc, time::Duration};

use goodstanding_verify::checkpoint::SignedCheckpoint;
use tokio::time::Instant;

use super::{
    LEASE, LOOK, Left, Router,
    tag::{self, Tag},
    wire,
};
use crate::{
    code::{Code, Fault},
    log::{
        prove::edge,
        sequencer::{Job, Parts, Shared, is_witnessed, newest_witnessed},
    },
    store::{Head, Published, cluster::Cluster},
};

/// Jobs that may wait for their answers. More are left in the queue, which is bounded.
const MOST_WAITING: usize = 1024;
/// Jobs that are sent at a time.
const AT_ONCE: usize = 64;
/// How long the first of them waits for company.
const LINGER: Duration = Duration::from_millis(2);
/// How long a job waits for its answer: several takeovers.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a process that does not write keeps.
pub(super) struct Following {
    parts: Parts,
    shared: Arc<Shared>,
    cluster: Arc<dyn Cluster>,
    /// Whether the guard was held against the database, once.
    is_held: bool,
    /// Who waits for the answer to which job.
    waiting: HashMap<u64, Waiting>,
}

/// A job that was sent.
struct Waiting {
    waiter: wire::Waiter,
    tag: Tag,
    since: Instant,
}

impl Following {
    pub(super) fn new(parts: Parts, shared: Arc<Shared>, cluster: Arc<dyn Cluster>) -> Self {
        Self {
            parts,
            shared,
            cluster,
            is_held: false,
            waiting: HashMap::new(),
        }
    }

    /// Reads what was written since.
    ///
    /// # Errors
    /// `store.unavailable`; `store.corrupt` or `log.behind_guard` when the log does not extend what was seen or published.
    pub(super) async fn observe(&mut self) -> Result<(), Fault> {
        let head = self.parts.store.head().await?;
        let known = self.shared.head.borrow().clone();
        if !self.is_held {
            self.hold_guard(head.as_ref()).await?;
            self.is_held = true;
        }
        if head == known {
            // The end of a log is no entry.
            self.shared.load_end(self.parts.store.as_ref()).await?;
        } else {
            self.check_head(head.as_ref(), known.as_ref()).await?;
            let size = head.as_ref().map_or(0, |head| head.size);
            self.shared.load(self.parts.store.as_ref(), size).await?;
            self.shared.tell.head.send_replace(head);
        }
        let published = self.parts.store.published().await?;
        if published != *self.shared.published.borrow() {
            self.check_published(published.as_ref()).await?;
            self.learn_published(published).await?;
        }
        Ok(())
    }

    /// The database has what this process's own guard promised, also where this process never writes; a process that has no guard yet,
    /// or an older one, gets what is published.
    async fn hold_guard(&self, head: Option<&Head>) -> Result<(), Fault> {
        let (store, size) = (self.parts.store.as_ref(), head.map_or(0, |head| head.size));
        let promised = self.parts.guard.read()?;
        if let Some(promised) = &promised
            && (size < promised.size || edge(store, promised.size).await?.root() != promised.root)
        {
            let detail = format!(
                "the database ends at {size} entries, and {} were published, or others than it has; name the database that published them, or restore a newer copy of it",
                promised.size
            );
            return Err(Fault::new(Code::LogBehindGuard, detail));
        }
        let Some(published) = store.published().await? else {
            return Ok(());
        };
        SignedCheckpoint::parse(&published.note)?.verify_log(&self.parts.signer.verifier()?)?;
        if promised.is_none_or(|promised| promised.size < published.size) {
            self.parts.guard.write(&published)?;
        }
        Ok(())
    }

    /// A log that does not extend what was seen lost something.
    async fn check_head(&self, head: Option<&Head>, known: Option<&Head>) -> Result<(), Fault> {
        if let Some(head) = head
            && !self
                .parts
                .signer
                .is_checkpoint(head.size, &head.root, &head.note)
        {
            let detail = format!(
                "the head of {} entries is not signed by this log",
                head.size
            );
            return Err(Fault::new(Code::StoreCorrupt, detail));
        }
        let Some(&Head { size, root, .. }) = known else {
            return Ok(());
        };
        let store = self.parts.store.as_ref();
        let still = head.is_some_and(|head| head.size >= size);
        if still && edge(store, size).await?.root() == root {
            return Ok(());
        }
        let detail =
            format!("the database lost entries: {size} were seen, and it has fewer or others");
        Err(Fault::new(Code::StoreCorrupt, detail))
    }

    /// What is published extends what this process's own guard says.
    async fn check_published(&self, published: Option<&Published>) -> Result<(), Fault> {
        let size = published.map_or(0, |p| p.size);
        let Some(promised) = self.parts.guard.read()? else {
            return Ok(());
        };
        let store = self.parts.store.as_ref();
        if size >= promised.size && edge(store, promised.size).await?.root() == promised.root {
            return Ok(());
        }
        let detail = format!(
            "the database has {size} published entries, and this process saw another tree of {} published",
            promised.size
        );
        Err(Fault::new(Code::LogBehindGuard, detail))
    }

    async fn learn_published(&self, published: Option<Published>) -> Result<(), Fault> {
        let Some(published) = published else {
            return Ok(());
        };
        SignedCheckpoint::parse(&published.note)?.verify_log(&self.parts.signer.verifier()?)?;
        let policy = &self.parts.witnesses.policy;
        let witnessed = if is_witnessed(&published.note, policy) {
            Some(published.clone())
        } else {
            newest_witnessed(self.parts.store.as_ref(), policy).await?
        };
        self.parts.guard.write(&published)?;
        self.shared.tell.witnessed.send_replace(witnessed);
        self.shared.tell.published.send_replace(Some(published));
        Ok(())
    }

    /// Sends jobs to whoever leads. Those that cannot be sent are answered with the reason.
    pub(super) async fn send(&mut self, jobs: Vec<Job>) {
        let (mut bytes, mut waiters) = (Vec::new(), Vec::new());
        for (job, waiter) in jobs.into_iter().filter_map(wire::sent) {
            match tag::new() {
                Ok(tag) => {
                    bytes.push(tag::put(&tag, &job));
                    waiters.push((waiter, tag));
                }
                Err(fault) => waiter.fail(&fault),
            }
        }
        if bytes.is_empty() {
            return;
        }
        match self.cluster.send(&bytes).await {
            Ok(ids) => {
                let since = Instant::now();
                for (id, (waiter, tag)) in ids.into_iter().zip(waiters) {
                    let new = Waiting { waiter, tag, since };
                    // A number that was given out again: the job that had it is gone.
                    if let Some(old) = self.waiting.insert(id, new) {
                        old.waiter.fail(&lost());
                    }
                }
            }
            Err(error) => {
                let fault = Fault::from(error);
                for (waiter, _) in waiters {
                    waiter.fail(&fault);
                }
            }
        }
    }

    /// Hands over the answers that have come, and gives up on those that do not come.
    pub(super) async fn collect(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        let ids: Vec<u64> = self.waiting.keys().copied().collect();
        match self.cluster.collect(&ids).await {
            Ok(answers) => {
                for (id, bytes) in answers {
                    let Some(waiting) = self.waiting.remove(&id) else {
                        continue;
                    };
                    match tag::take(&bytes) {
                        (tag, answer) if tag == waiting.tag => waiting.waiter.resolve(answer),
                        _ => waiting.waiter.fail(&lost()),
                    }
                }
            }
            Err(error) => tracing::warn!(%error, "answers could not be read"),
        }
        self.give_up(|since| since.elapsed() > PATIENCE).await;
    }

    async fn give_up(&mut self, whom: impl Fn(&Instant) -> bool) {
        let late: Vec<u64> = self
            .waiting
            .iter()
            .filter(|(_, waiting)| whom(&waiting.since))
            .map(|(id, _)| *id)
            .collect();
        if late.is_empty() {
            return;
        }
        if let Err(error) = self.cluster.withdraw(&late).await {
            tracing::warn!(%error, "jobs could not be withdrawn");
        }
        let fault = Fault::new(
            Code::StoreUnavailable,
            "no process that writes has answered; whether anything was written is not known",
        );
        for id in late {
            if let Some(waiting) = self.waiting.remove(&id) {
                waiting.waiter.fail(&fault);
            }
        }
    }

    /// Whether answers are awaited.
    pub(super) fn awaits(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Waits for the answers that are still to come, and then no longer.
    pub(super) async fn finish(&mut self) {
        let until = Instant::now() + LEASE * 2;
        while self.awaits() && Instant::now() < until {
            self.cluster.wait(Duration::from_millis(100)).await;
            self.collect().await;
        }
        self.give_up(|_| true).await;
    }
}

/// The fault of a job that is no longer in the database.
fn lost() -> Fault {
    Fault::new(
        Code::StoreUnavailable,
        "the database lost the job; whether anything was written is not known",
    )
}

impl Router {
    /// Sends and reads for a while, until it is time to look who leads.
    pub(super) async fn follow(&mut self) -> Left {
        let until = Instant::now() + LOOK;
        let cluster = self.cluster.clone();
        loop {
            let now = Instant::now();
            if now >= until {
                return Left::Vacant;
            }
            let room = self.following.waiting.len() < MOST_WAITING;
            tokio::select! {
                job = self.jobs.recv(), if room => match job {
                    None => {
                        self.following.finish().await;
                        return Left::Orphaned;
                    }
                    Some(first) => {
                        let (jobs, stop) = self.gather(first).await;
                        self.following.send(jobs).await;
                        if let Some(told) = stop {
                            self.following.finish().await;
                            return Left::Stopped(told);
                        }
                    }
                },
                () = cluster.wait(until - now) => {
                    // First: who has an answer may look for what it wrote.
                    if let Err(fault) = self.following.observe().await {
                        tracing::error!(code = fault.code(), error = %fault, "the log cannot be followed");
                    }
                    self.following.collect().await;
                }
            }
        }
    }

    /// A few jobs that came together, and the request to stop that ended them.
    async fn gather(&mut self, first: Job) -> (Vec<Job>, Option<tokio::sync::oneshot::Sender<()>>) {
        let until = Instant::now() + LINGER;
        let mut jobs = Vec::new();
        let mut next = Some(first);
        while let Some(job) = next {
            match job {
                Job::Stop { answer } => return (jobs, Some(answer)),
                job => jobs.push(job),
            }
            if jobs.len() == AT_ONCE {
                break;
            }
            next = tokio::time::timeout_at(until, self.jobs.recv())
                .await
                .unwrap_or_default();
        }
        (jobs, None)
    }
}
