//! The side that writes: a sequencer of its own for the length of a turn, fed from this process and from the others.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use futures_util::{StreamExt as _, stream::FuturesUnordered};
use tokio::{sync::mpsc, task::JoinSet, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{BEAT, LEASE, Left, Router, tag, wire};
use crate::{
    code::Fault,
    log::sequencer::{Job, Sequencer},
    store::cluster::{Cluster, Term, Turn},
};

/// Jobs of other processes that are worked on at a time.
const AT_ONCE: u32 = 64;
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
        let sequencer =
            Sequencer::begin(self.parts.clone(), self.shared.clone(), self.tiles.clone()).await?;
        // Before anything is signed, and after the guard has let it pass: a turn of an older state, once noted, would keep this process
        // from the right database.
        self.past.note(turn)?;
        let (jobs, queued) = mpsc::channel(self.queue.max(1));
        let mut writer = JoinSet::new();
        writer.spawn(sequencer.run(queued));
        self.shared.set_leading(true);
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
        self.shared.set_leading(false);
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
        // Taken, and not yet answered.
        let mut taken = BTreeSet::new();
        let mut look = Instant::now();
        let mut open = FuturesUnordered::new();
        let mut answers: Vec<(u64, Vec<u8>)> = Vec::new();
        loop {
            if look <= Instant::now() && open.len() < AT_ONCE as usize {
                look = Instant::now() + LOOK;
                let except: Vec<u64> = taken.iter().copied().collect();
                let Some(waiting) = deposed
                    .run_until_cancelled(cluster.waiting(&except, AT_ONCE))
                    .await
                else {
                    return Left::Deposed;
                };
                match waiting {
                    Ok(waiting) => {
                        for waiting in waiting {
                            taken.insert(waiting.id);
                            let (tag, job) = tag::take(&waiting.job);
                            match wire::received(job) {
                                Ok((job, reply)) => {
                                    if jobs.send(job).await.is_err() {
                                        return Left::Deposed;
                                    }
                                    open.push(async move {
                                        let answer = reply.bytes().await;
                                        (waiting.id, answer.map(|bytes| tag::put(&tag, &bytes)))
                                    });
                                }
                                Err(fault) => {
                                    let refusal = wire::refusal(fault);
                                    answers.push((waiting.id, tag::put(&tag, &refusal)));
                                }
                            }
                        }
                    }
                    Err(error) => tracing::warn!(%error, "other processes' jobs could not be read"),
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
                            taken.remove(&id);
                        }
                    }
                    // Kept for the next time round; if the turn is over, whoever leads next looks at the jobs again.
                    Err(error) => tracing::warn!(%error, "answers could not be sent"),
                }
            }
            tokio::select! {
                biased;
                () = deposed.cancelled() => return Left::Deposed,
                Some((id, bytes)) = open.next(), if !open.is_empty() => {
                    answers.extend(bytes.map(|bytes| (id, bytes)));
                    // Those that are ready too go with it.
                    while let Some(Some((id, bytes))) = futures_util::FutureExt::now_or_never(open.next()) {
                        answers.extend(bytes.map(|bytes| (id, bytes)));
                    }
                }
                job = self.jobs.recv() => match job {
                    None => return Left::Orphaned,
                    Some(Job::Stop { answer }) => {
                        let (stop, stopped) = tokio::sync::oneshot::channel();
                        if jobs.send(Job::Stop { answer: stop }).await.is_ok() {
                            let _ = stopped.await;
                        }
                        return Left::Stopped(answer);
                    }
                    Some(job) => if jobs.send(job).await.is_err() {
                        return Left::Deposed;
                    }
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
