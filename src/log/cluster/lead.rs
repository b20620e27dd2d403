//! The side that writes: a sequencer of its own for the length of a turn, fed from this process and from the others.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures_util::{FutureExt as _, StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use rayon::prelude::*;
use tokio::{sync::mpsc, task::JoinSet, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{
    BEAT, LEASE, Left, Router,
    errand::errand,
    seal::{Seal, Way},
    wire::{self, Reply},
};
use crate::{
    code::{Code, Fault},
    log::sequencer::{Job, Sequencer, Shared},
    store::cluster::{Cluster, Mark, Term, Turn, Waiting},
};

/// Jobs of other processes that are worked on at a time, and their bytes, but for the last of them.
const AT_ONCE: u32 = 64;
const MOST_TAKEN: usize = 32 << 20;
/// What was sent so long ago, nobody waits for any more: who sent it is gone.
const STALE: Duration = Duration::from_mins(10);
/// How often that is looked for.
const CLEAN: Duration = Duration::from_mins(1);
/// How long at most until the others' jobs are looked for: every one of them is announced.
const LOOK: Duration = Duration::from_millis(250);

/// What runs during a turn.
pub(super) struct Leading {
    jobs: mpsc::Sender<Job>,
    /// The sequencer. Never cancelled: what it began, it ends.
    writer: JoinSet<()>,
    beating: JoinSet<()>,
    deposed: CancellationToken,
}

impl Router {
    /// Loads the log, and starts to write and to say so.
    pub(super) async fn begin(&mut self, turn: &Turn) -> Result<Leading, Fault> {
        // A big log takes a moment to load, and the lead must not be lost meanwhile.
        let deposed = CancellationToken::new();
        let mut beating = JoinSet::new();
        beating.spawn(keep_beating(
            self.cluster.clone(),
            turn.term,
            deposed.clone(),
        ));
        self.following.observe().await?;
        let mut sequencer =
            Sequencer::begin(self.parts.clone(), self.shared.clone(), self.tiles.clone()).await?;
        // Before anything is signed, and after the guard has let it pass: a turn of an older state, once noted, would keep this process
        // from the right database.
        self.past.follow(Some(turn), self.cluster.as_ref()).await?;
        sequencer.disown_staged().await;
        let (jobs, queued) = mpsc::channel(self.queue.max(1));
        let mut writer = JoinSet::new();
        writer.spawn(sequencer.run(queued));
        self.shared.standing().set_leading(true);
        tracing::info!(turn = turn.term, "this process writes");
        Ok(Leading {
            jobs,
            writer,
            beating,
            deposed,
        })
    }

    /// Writes until the turn is over or the process stops.
    pub(super) async fn lead(&mut self, turn: &Turn, leading: Leading) -> Left {
        let Leading {
            jobs,
            mut writer,
            mut beating,
            deposed,
        } = leading;
        let left = self.feed(&jobs, &deposed).await;
        self.shared.standing().set_leading(false);
        drop(jobs);
        // What it still has in its queue it does, or the database refuses it. No other may begin here before that.
        while writer.join_next().await.is_some() {}
        beating.shutdown().await;
        self.cluster.resign(turn.term).await;
        left
    }

    async fn feed(&mut self, jobs: &mpsc::Sender<Job>, deposed: &CancellationToken) -> Left {
        // What is asked of a database that is out of reach is waited for no longer than the turn lasts.
        let cluster = self.cluster.clone();
        let mut desk = Desk {
            cluster: cluster.clone(),
            seal: self.seal.clone(),
            shared: self.shared.clone(),
            jobs,
            taken: BTreeMap::new(),
            open: FuturesUnordered::new(),
            errands: FuturesUnordered::new(),
        };
        let (mut look, mut clean) = (Instant::now(), Instant::now() + CLEAN);
        let mut answers: Vec<(u64, Vec<u8>)> = Vec::new();
        loop {
            if look <= Instant::now() {
                look = Instant::now() + LOOK;
                match deposed.run_until_cancelled(desk.take()).await {
                    Some(Ok(refused)) => answers.extend(refused),
                    Some(Err(left)) => return left,
                    None => return Left::Deposed,
                }
            }
            if clean <= Instant::now() {
                clean = Instant::now() + CLEAN;
                let except: Vec<u64> = desk.taken.keys().copied().collect();
                let cleaned = cluster.clean(STALE, &except);
                if let Some(Err(error)) = deposed.run_until_cancelled(cleaned).await {
                    tracing::warn!(%error, "jobs that nobody waits for could not be taken away");
                }
            }
            if !answers.is_empty() {
                let Some(answered) = deposed.run_until_cancelled(cluster.answer(&answers)).await
                else {
                    return Left::Deposed;
                };
                match answered {
                    Ok(()) => {
                        for (id, _) in answers.drain(..) {
                            desk.taken.remove(&id);
                        }
                    }
                    // Kept for the next time round; if the turn is over, whoever leads next looks at the jobs again.
                    Err(error) => tracing::warn!(%error, "answers could not be sent"),
                }
            }
            tokio::select! {
                biased;
                () = deposed.cancelled() => return Left::Deposed,
                Some((id, bytes)) = desk.open.next(), if !desk.open.is_empty() => {
                    answers.extend(bytes.map(|bytes| (id, bytes)));
                    // Those that are ready too go with it.
                    while let Some(Some((id, bytes))) = desk.open.next().now_or_never() {
                        answers.extend(bytes.map(|bytes| (id, bytes)));
                    }
                }
                Some(()) = desk.errands.next(), if !desk.errands.is_empty() => {}
                job = self.jobs.recv() => match job {
                    None => return Left::Orphaned,
                    Some(Job::Stop { answer }) => {
                        let (stop, stopped) = tokio::sync::oneshot::channel();
                        if jobs.send(Job::Stop { answer: stop }).await.is_ok() {
                            let _ = stopped.await;
                        }
                        return Left::Stopped(answer);
                    }
                    Some(job) => if let Err(left) = desk.begin(job).await {
                        return left;
                    },
                },
                () = cluster.wait(look.saturating_duration_since(Instant::now())) => {
                    look = Instant::now();
                    if self.following.awaits() {
                        self.following.collect().await;
                    }
                }
            }
        }
    }
}

/// Work on what others sent.
struct Desk<'a> {
    cluster: Arc<dyn Cluster>,
    seal: Arc<Seal>,
    shared: Arc<Shared>,
    jobs: &'a mpsc::Sender<Job>,
    /// Bytes of those that were taken and are not answered yet.
    taken: BTreeMap<u64, usize>,
    /// Their answers to come.
    open: FuturesUnordered<BoxFuture<'static, (u64, Option<Vec<u8>>)>>,
    errands: FuturesUnordered<BoxFuture<'static, ()>>,
}

impl Desk<'_> {
    /// Takes jobs, and begins those that can be read; the answers to the others.
    async fn take(&mut self) -> Result<Vec<(u64, Vec<u8>)>, Left> {
        let room = MOST_TAKEN.saturating_sub(self.taken.values().sum());
        if room == 0 || self.open.len() >= AT_ONCE as usize {
            return Ok(Vec::new());
        }
        let except: Vec<u64> = self.taken.keys().copied().collect();
        let waiting = match self.cluster.waiting(&except, AT_ONCE, room).await {
            Ok(waiting) => waiting,
            Err(error) => {
                tracing::warn!(%error, "other processes' jobs could not be read");
                return Ok(Vec::new());
            }
        };
        if waiting.is_empty() {
            return Ok(Vec::new());
        }
        let size = |waiting: &Waiting| (waiting.id, waiting.job.as_ref().map_or(0, Vec::len));
        let sizes: Vec<_> = waiting.iter().map(size).collect();
        let seal = self.seal.clone();
        let read = move || -> Vec<_> { waiting.into_par_iter().map(|w| read(&seal, w)).collect() };
        let Ok(read) = tokio::task::spawn_blocking(read).await else {
            // Nothing was begun, and they are found again.
            tracing::error!("reading other processes' jobs failed");
            return Ok(Vec::new());
        };
        self.taken.extend(sizes);
        let mut refused = Vec::new();
        for Read { id, mark, job } in read {
            match job {
                Ok((job, reply)) => {
                    self.begin(job).await?;
                    let seal = self.seal.clone();
                    self.open.push(Box::pin(async move {
                        let answer = reply.bytes().await;
                        (id, answer.map(|bytes| seal.put(Way::Back, &mark, &bytes)))
                    }));
                }
                Err(fault) => {
                    tracing::error!(code = fault.code(), error = %fault, "a job in the inbox was refused unread");
                    let refusal = wire::refusal(fault);
                    refused.push((id, self.seal.put(Way::Back, &mark, &refusal)));
                }
            }
        }
        Ok(refused)
    }

    /// Hands a job to whoever does it here.
    async fn begin(&mut self, job: Job) -> Result<(), Left> {
        match errand(job, &self.shared) {
            Ok(errand) => self.errands.push(errand),
            Err(job) => self.jobs.send(job).await.map_err(|_| Left::Deposed)?,
        }
        Ok(())
    }
}

/// What came, and what it is.
struct Read {
    id: u64,
    mark: Mark,
    job: Result<(Job, Reply), Fault>,
}

fn read(seal: &Seal, waiting: Waiting) -> Read {
    let Waiting { id, job } = waiting;
    let refused = |detail: &str| Read {
        id,
        mark: Mark::default(),
        job: Err(Fault::new(Code::KeyUnusable, detail)),
    };
    let Some(job) = job else {
        return refused("it is longer than any that a process sends");
    };
    match seal.take(Way::ToWriter, &job) {
        Some((mark, bytes)) => Read {
            id,
            mark,
            job: wire::received(bytes),
        },
        None => refused(
            "no process with this keys/access.json wrote it; all processes of a log have the same keys",
        ),
    }
}

/// Says again and again that this process leads, until it does not.
async fn keep_beating(cluster: Arc<dyn Cluster>, term: Term, deposed: CancellationToken) {
    loop {
        tokio::time::sleep(BEAT).await;
        match tokio::time::timeout(LEASE, cluster.beat(term)).await {
            Ok(Ok(true)) => {}
            Ok(Ok(false)) => break,
            Ok(Err(error)) => {
                tracing::warn!(%error, "the lead is lost with its connection");
                break;
            }
            Err(_) => {
                tracing::warn!("the database does not answer; by now another process may lead");
                break;
            }
        }
    }
    deposed.cancel();
}
