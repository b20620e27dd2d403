//! Several processes on one log: any number that admit and read, one that writes at a time.
//!
//! The router takes the place of the writer's queue. While another process leads, jobs go to it through the database and
//! the answers come back the same way; once nobody leads, one router takes the lead, loads the log as after any start, and
//! its own sequencer writes. Who leads is the database's decision ([`crate::store::cluster`]); that two could write at a time
//! is prevented three times over: by the lock, by the number of the turn that every write carries, and by the
//! compare-and-swap on the head.
//!
//! `wire` is what goes between processes, `seal` what shows who wrote it, `follow` the side that sends and `observe` what it reads,
//! `lead` the side that writes and `pause` how long it keeps away after that failed, `errand` what it does besides.

mod errand;
mod follow;
mod lead;
mod observe;
pub mod past;
mod pause;
mod seal;
mod wire;

use std::{sync::Arc, time::Duration};

pub use errand::Errands;
use follow::Following;
use observe::contradicts;
use past::Past;
use pause::Pause;
pub use seal::Seal;
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};

use super::{
    sequencer::{Handle, Job, Parts, Sequencer, Shared},
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
    seal: Arc<Seal>,
    pause: Pause,
    /// Who had the lead's lock when it was last asked for.
    in_the_way: Option<String>,
    /// Who waits for the start.
    ready: Option<oneshot::Sender<Result<(), Fault>>>,
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

/// Starts the router, with a `past` that was checked. Returns when this process leads, or another does and the log could be read.
///
/// # Errors
/// When the store is unavailable, contradicts itself, or is behind the head guard, and when nobody writes and this process does not either.
pub async fn start(
    mut parts: Parts,
    cluster: Arc<dyn Cluster>,
    past: Past,
    seal: Seal,
    role: Role,
    queue: usize,
) -> Result<Handle, Fault> {
    let public = Arc::new(Tiles::new(parts.store.clone()));
    // Whoever asks for much must not keep this process from following, taking over and recovering.
    parts.store = parts.store.apart().unwrap_or(parts.store);
    let tiles = Arc::new(Tiles::new(parts.store.clone()));
    let shared = parts.shared().await?;
    shared.standing().set_leading(false);
    let (jobs, queued) = mpsc::channel(queue.max(1));
    let (ready, is_ready) = oneshot::channel();
    let seal = Arc::new(seal);
    let router = Router {
        following: Following::new(parts.clone(), shared.clone(), cluster.clone(), seal.clone()),
        parts,
        cluster,
        role,
        queue,
        shared: shared.clone(),
        tiles,
        jobs: queued,
        past,
        seal,
        pause: Pause::default(),
        in_the_way: None,
        ready: Some(ready),
    };
    #[expect(
        clippy::disallowed_methods,
        reason = "the one long-lived task; its handle's stop() waits for it"
    )]
    tokio::spawn(router.run());
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
        tiles: public,
    })
}

impl Router {
    async fn run(mut self) {
        let started = Instant::now();
        loop {
            let turn = if self.may_lead().await {
                self.cluster.try_lead(LEASE).await
            } else {
                Ok(None)
            };
            let left = match turn {
                Ok(Some(turn)) => match self.begin(&turn).await {
                    Ok(leading) => {
                        self.in_the_way = None;
                        self.well();
                        self.tell(Ok(()));
                        self.lead(&turn, leading).await
                    }
                    Err(fault) => {
                        self.cluster.resign(turn.term).await;
                        self.unfit(&fault);
                        // A start that cannot end well says so; later, another process may be luckier.
                        self.tell(Err(fault));
                        self.follow().await
                    }
                },
                Ok(None) => {
                    self.listen_for_leader().await;
                    match self.following.observe().await {
                        Ok(()) => {
                            if self.somebody_leads().await {
                                self.tell(Ok(()));
                            }
                        }
                        Err(fault) if contradicts(&fault) || started.elapsed() > START => {
                            self.tell(Err(fault));
                        }
                        Err(_) => {}
                    }
                    self.follow().await
                }
                Err(error) => {
                    tracing::warn!(%error, "who leads is not known");
                    self.listen_for_leader().await;
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

    /// Notes when somebody who leads was heard of; and while nobody is, who is in the way.
    async fn listen_for_leader(&mut self) {
        let Ok(silence) = self.cluster.silence().await else {
            return;
        };
        let standing = self.shared.standing();
        if let Some(silence) = silence {
            standing.heard(silence);
        }
        let holder = match silence {
            Some(silence) if silence <= LEASE => None,
            _ => self.cluster.holder().await.ok().flatten(),
        };
        standing.set_in_the_way(holder.as_deref());
        if holder.is_some() && holder != self.in_the_way {
            tracing::warn!(
                holder = holder.as_deref().unwrap_or_default(),
                "nobody who leads is heard of, and somebody has the lock"
            );
        }
        self.in_the_way = holder;
    }

    fn tell(&mut self, outcome: Result<(), Fault>) {
        if let Some(ready) = self.ready.take() {
            let _ = ready.send(outcome);
        }
    }

    /// Whether to try for the lead. After a failure only when the pause is over and what failed would go well now: that shows without
    /// the lead, which another process can have meanwhile.
    async fn may_lead(&mut self) -> bool {
        let writes = match self.role {
            Role::Api => false,
            Role::All | Role::Sequencer => true,
        };
        if !writes || self.pause.lasts() || self.shared.standing().refusal().is_some() {
            return false;
        }
        if !self.pause.is_due() {
            return true;
        }
        match self.rehearse().await {
            Ok(()) => {
                self.pause.rehearsed();
                self.shared.standing().set_unfit(None);
                true
            }
            Err(fault) => {
                self.unfit(&fault);
                false
            }
        }
    }

    /// What beginning a turn does, but for the turn.
    async fn rehearse(&mut self) -> Result<(), Fault> {
        self.past.rehearse()?;
        self.following.observe().await?;
        let (parts, shared, tiles) = (self.parts.clone(), self.shared.clone(), self.tiles.clone());
        Sequencer::begin(parts, shared, tiles).await.map(drop)
    }

    /// Keeps away from the lead for a while, and says why.
    fn unfit(&mut self, fault: &Fault) {
        let mut random = [0; 2];
        // Without randomness, the shortest of the pauses.
        let _ = getrandom::fill(&mut random);
        let pause = self.pause.failed(u16::from_ne_bytes(random));
        self.shared.standing().set_unfit(Some(fault));
        self.shared.metrics.turn(Err(fault));
        let pause_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
        tracing::error!(code = fault.code(), error = %fault, pause_ms, "this process cannot write to the log");
    }

    fn well(&mut self) {
        self.pause.end();
        self.shared.standing().set_unfit(None);
        self.shared.metrics.turn(Ok(()));
    }

    /// Whether a process leads or just did, and the log has begun.
    async fn somebody_leads(&mut self) -> bool {
        let Ok(turn) = self.cluster.turn().await else {
            return false;
        };
        match self.past.follow(turn.as_ref(), self.cluster.as_ref()).await {
            Ok(()) => self.following.other_past = None,
            Err(fault) if contradicts(&fault) => self.following.other_past = Some(fault),
            Err(fault) => {
                tracing::error!(code = fault.code(), error = %fault, "the turn could not be noted");
            }
        }
        turn.is_some() && self.shared.head.borrow().is_some()
    }
}
