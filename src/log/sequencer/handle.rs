//! The way to the writer: what is sent to it, what comes back, and what everybody may know without asking.

use std::{sync::Arc, time::Duration};

use goodstanding_verify::{
    did::Did,
    entry::{Body, KeyEntry},
    report::Report,
};
use tokio::sync::{mpsc, oneshot};

use super::Shared;

use crate::{
    code::{Code, Fault},
    log::{
        end::Ended,
        plan::{Admitted, Candidate},
        prove::verified_path,
        sign::proof_text,
        tiles::Tiles,
        tree::{Touched, tiles_for_proof},
    },
    store::{AdmissionFacts, Head, IssuedToken, NewEpoch, Tree},
};

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

impl Submission {
    /// As a candidate of which the store knows nothing yet.
    pub fn unknown(&self) -> Candidate {
        Candidate {
            report: self.report.clone(),
            jws: self.jws.clone(),
            historical_ms: self.historical_ms,
            reached: false,
            facts: AdmissionFacts::default(),
            used_documents: Arc::default(),
        }
    }
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
    pub(super) head: Head,
    pub(super) tiles: Touched,
}

impl SignedTree {
    /// A signed head without any tiles at hand.
    pub(in crate::log) fn of(head: Head) -> Self {
        Self {
            head,
            tiles: Touched::new(),
        }
    }

    pub(in crate::log) fn head(&self) -> &Head {
        &self.head
    }

    /// tlog-proof of an entry. Built by the caller and not by the writer, whose time is everybody's.
    ///
    /// # Errors
    /// `store.corrupt` when a tile is missing or the stored tree is another one.
    pub async fn prove(&self, index: u64, tiles: &Tiles) -> Result<String, Fault> {
        let size = self.head.size;
        let mut others = tiles_for_proof(index, size);
        others.retain(|id| !self.tiles.contains_key(id));
        let held = tiles.get(Tree::Log, others, size).await?;
        let path = verified_path(index, size, &self.head.root, |id| {
            self.tiles.get(&id).cloned().or_else(|| held.tile(id))
        })?;
        Ok(proof_text(index, path, &self.head.note))
    }
}

/// Answer to a submission.
pub type Answer = Result<Receipt, Fault>;

pub(in crate::log) enum Job {
    Reports {
        submissions: Vec<Submission>,
        proofs: bool,
        answer: oneshot::Sender<Vec<Answer>>,
    },
    Event {
        event: Box<Event>,
        /// Of a job that somebody else may have done already: the size of the log before that. At or above it, the same entry is its doing.
        since: Option<u64>,
        answer: oneshot::Sender<Result<u64, Fault>>,
    },
    Keys {
        events: Vec<KeyEntry>,
        at_ms: Option<u64>,
        /// As of an event.
        since: Option<u64>,
        answer: oneshot::Sender<Result<u64, Fault>>,
    },
    /// Of the process that writes, where there are several; never of the sequencer.
    Epoch {
        as_of: Option<u64>,
        after: u64,
        answer: oneshot::Sender<Result<String, Fault>>,
    },
    End {
        ended: Box<Ended>,
        size: u64,
        answer: oneshot::Sender<Result<(), Fault>>,
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
    /// The row of an epoch entry, whose statements and score tiles are staged.
    pub epoch: Option<NewEpoch>,
}

/// The way to the writer; cheap to clone.
#[derive(Clone, Debug)]
pub struct Handle {
    pub(in crate::log) jobs: mpsc::Sender<Job>,
    pub(in crate::log) shared: Arc<Shared>,
    pub(in crate::log) tiles: Arc<Tiles>,
}

impl Handle {
    /// The tiles that the writer proves with, for everybody who proves.
    pub fn tiles(&self) -> Arc<Tiles> {
        self.tiles.clone()
    }

    /// What everybody may know.
    pub fn shared(&self) -> &Shared {
        &self.shared
    }

    /// Jobs that wait for the writer, and how many may.
    pub fn queue(&self) -> (usize, usize) {
        let most = self.jobs.max_capacity();
        (most.saturating_sub(self.jobs.capacity()), most)
    }

    /// Whether the writer still takes work: `false` after [`Self::stop`], or if it died.
    pub fn is_open(&self) -> bool {
        !self.jobs.is_closed()
    }

    /// Puts up to [`BATCH`](super::BATCH) reports into the log. The work goes on even if the returned future is dropped.
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
            since: None,
            answer,
        })
        .await?
    }

    /// Asks the process that writes, of several, for the epoch after number `after`; its summary as JSON.
    ///
    /// # Errors
    /// `epoch.running` when there is a later one by now; those of the computation; `store.unavailable`.
    pub async fn ask_epoch(&self, as_of: Option<u64>, after: u64) -> Result<String, Fault> {
        self.ask(|answer| Job::Epoch {
            as_of,
            after,
            answer,
        })
        .await?
    }

    /// Logs key events that belong together in one commit, and returns the index of the first. `at_ms`: log time at the
    /// earliest, Unix milliseconds; `None` = now.
    ///
    /// # Errors
    /// `key.event_invalid`, `key.only_one`; when the log is closed or has ended, or the store is unavailable.
    pub async fn log_keys(&self, events: Vec<KeyEntry>, at_ms: Option<u64>) -> Result<u64, Fault> {
        self.ask(|answer| Job::Keys {
            events,
            at_ms,
            since: None,
            answer,
        })
        .await?
    }

    /// Ends the log for good.
    ///
    /// # Errors
    /// `log.ended` when it has ended already, `log.moved` when it does not have `size` entries; when the writer is gone or the store unavailable.
    pub async fn end(&self, ended: Ended, size: u64) -> Result<(), Fault> {
        self.ask(|answer| Job::End {
            ended: Box::new(ended),
            size,
            answer,
        })
        .await?
    }

    /// [`Self::publish`], content with less: without a witness quorum what was logged is durable all the same, and is
    /// published when the witnesses answer. Returns whether it is published.
    ///
    /// # Errors
    /// When the log is closed or the store unavailable.
    pub async fn publish_if_witnessed(&self) -> Result<bool, Fault> {
        match self.publish().await {
            Err(fault) if fault.is(Code::WitnessQuorumMissed) => {
                tracing::warn!(detail = fault.detail(), "logged, and not published yet");
                Ok(false)
            }
            done => done.map(|()| true),
        }
    }

    /// Publishes the newest head now, without waiting for the second to pass.
    ///
    /// # Errors
    /// `witness.quorum_missed`, or when the log is closed or the store unavailable.
    pub async fn publish(&self) -> Result<(), Fault> {
        self.ask(|answer| Job::Publish { answer }).await?
    }

    /// Names agents in this data directory. Names that they have already are left as they are.
    ///
    /// # Errors
    /// `agent.alias_taken` when a name has another agent, or an agent another name, and then nothing is written; when the log is closed or the store unavailable.
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
