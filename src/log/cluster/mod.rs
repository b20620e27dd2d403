//! Several processes on one log: any number that admit and read, one that writes at a time.
//!
//! The router takes the place of the writer's queue. While another process leads, jobs go to it through the database and
//! the answers come back the same way; once nobody leads, one router takes the lead, loads the log as after any start, and
//! its own sequencer writes. Who leads is the database's decision ([`crate::store::cluster`]); that two could write at a time
//! is prevented three times over: by the lock, by the number of the turn that every write carries, and by the
//! compare-and-swap on the head.
//!
//! `wire` is what goes between processes, `tag` what tells which answer is to which job, `follow` the side that sends, `lead` the
//! side that writes.

mod follow;
mod lead;
pub mod past;
mod tag;
mod wire;

use std::{sync::Arc, time::Duration};

use follow::Following;
use past::Past;
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};

use super::{
    sequencer::{Handle, Job, Parts, Shared},
    tiles::Tiles,
};
use crate::{
    code::{Code, Fault},
    store::cluster::Cluster,
};

/// How long a process that leads may be silent before another takes over.
pub const LEASE: Duration = Duration::from_secs(3);
/// How often it says that it still leads.
const BEAT: Duration = Duration::from_millis(500);
/// How often the others look whether somebody does.
const LOOK: Duration = Duration::from_millis(500);
/// How long a process that may write waits at its start for a log that can be read, and for somebody to lead.
const START: Duration = Duration::from_secs(20);

/// What a process does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Answers requests, and writes when it is its turn.
    #[default]
    All,
    /// Answers requests; never writes.
    Api,
    /// Writes when it is its turn; answers nothing but how it is.
    Sequencer,
}

/// One process of several.
struct Router {
    parts: Parts,
    cluster: Arc<dyn Cluster>,
    role: Role,
    queue: usize,
    shared: Arc<Shared>,
    tiles: Arc<Tiles>,
    jobs: mpsc::Receiver<Job>,
    following: Following,
    past: Past,
}

/// Why a router stopped doing what it did.
enum Left {
    /// There is a chance to lead.
    Vacant,
    /// The turn is over.
    Deposed,
    /// It was asked to.
    Stopped(oneshot::Sender<()>),
    /// Nobody can ask any more.
    Orphaned,
}

/// Starts the router. Returns when this process leads, or another does and the log could be read.
///
/// # Errors
/// When the store is unavailable, contradicts itself, or is behind the head guard, and when nobody writes and this process does not either.
pub async fn start(
    parts: Parts,
    cluster: Arc<dyn Cluster>,
    mut past: Past,
    role: Role,
    queue: usize,
) -> Result<Handle, Fault> {
    past.check(cluster.as_ref()).await?;
    let shared = parts.shared().await?;
    let tiles = Arc::new(Tiles::new(parts.store.clone()));
    shared.set_leading(false);
    let (jobs, queued) = mpsc::channel(queue.max(1));
    let (ready, is_ready) = oneshot::channel();
    let router = Router {
        following: Following::new(parts.clone(), shared.clone(), cluster.clone()),
        parts,
        cluster,
        role,
        queue,
        shared: shared.clone(),
        tiles: tiles.clone(),
        jobs: queued,
        past,
    };
    #[expect(
        clippy::disallowed_methods,
        reason = "the one long-lived task; its handle's stop() waits for it"
    )]
    tokio::spawn(router.run(ready));
    match tokio::time::timeout(START, is_ready).await {
        Ok(Ok(started)) => started?,
        Ok(Err(_)) => return Err(Fault::new(Code::Internal, "the writer ended at its start")),
        Err(_) => {
            return Err(Fault::new(
                Code::StoreUnavailable,
                "no process has taken the lead",
            ));
        }
    }
    Ok(Handle {
        jobs,
        shared,
        tiles,
    })
}

impl Router {
    async fn run(mut self, ready: oneshot::Sender<Result<(), Fault>>) {
        let mut ready = Some(ready);
        let mut tell = |outcome: Result<(), Fault>| {
            if let Some(ready) = ready.take() {
                let _ = ready.send(outcome);
            }
        };
        let started = Instant::now();
        loop {
            let turn = match self.role {
                Role::Api => Ok(None),
                Role::All | Role::Sequencer => self.cluster.try_lead(LEASE).await,
            };
            let left = match turn {
                Ok(Some(turn)) => match self.begin(&turn).await {
                    Ok(leading) => {
                        tell(Ok(()));
                        self.lead(&turn, leading).await
                    }
                    Err(fault) => {
                        self.cluster.resign(turn.term).await;
                        tracing::error!(code = fault.code(), error = %fault, "this process cannot write to the log");
                        // A start that cannot end well says so; later, another process may be luckier.
                        tell(Err(fault));
                        self.follow().await
                    }
                },
                Ok(None) => {
                    match self.following.observe().await {
                        Ok(()) => {
                            if self.somebody_leads().await {
                                tell(Ok(()));
                            }
                        }
                        Err(fault)
                            if fault.is(Code::LogBehindGuard) || started.elapsed() > START =>
                        {
                            tell(Err(fault));
                        }
                        Err(_) => {}
                    }
                    self.follow().await
                }
                Err(error) => {
                    tracing::warn!(%error, "who leads is not known");
                    self.follow().await
                }
            };
            match left {
                Left::Vacant => {}
                Left::Deposed => tracing::warn!("the turn at writing is over"),
                Left::Stopped(told) => {
                    let _ = told.send(());
                    return;
                }
                Left::Orphaned => return,
            }
        }
    }

    /// Whether a process leads or just did, and the log has begun.
    async fn somebody_leads(&mut self) -> bool {
        let Ok(Some(turn)) = self.cluster.turn().await else {
            return false;
        };
        if let Err(fault) = self.past.note(&turn) {
            tracing::error!(code = fault.code(), error = %fault, "the turn could not be noted");
        }
        self.shared.head.borrow().is_some()
    }
}
