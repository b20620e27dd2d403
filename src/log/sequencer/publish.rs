//! Publishing: the second step, at most once a second. Witnesses are asked beside the writing, never in its way.
//!
//! Order of one publishing, and why: ask the witnesses about a head → database (every published checkpoint is kept) → head
//! guard → everybody who reads. What a round of witnesses came to is decided here: with a quorum the head is published as
//! witnessed; without one it waits, or goes out unwitnessed where the settings say so and again when the cosignatures come.

use std::{sync::Arc, time::Duration};

use goodstanding_verify::{checkpoint::SignedCheckpoint, witness_policy::WitnessPolicy};
use tokio::{sync::oneshot, task::JoinSet, time::Instant};

use super::Sequencer;
use crate::{
    code::{Code, Fault},
    log::witness::{
        WhenMissed, Witnesses,
        round::{Outcome, Panel, WitnessStatus},
    },
    store::{Head, Published, Store},
};

/// Publishing happens at most this often.
const EVERY: Duration = Duration::from_secs(1);
/// After rounds without a quorum the next one waits twice as long, up to 2^5 seconds.
const MOST_DOUBLINGS: u32 = 5;
/// Published checkpoints that are looked at for the newest one with a quorum, at a time.
const PAGE: u32 = 1000;
/// How often: an outage of hours at one a second. Beyond that the next round with a quorum tells.
const PAGES: u32 = 20;

type Waiter = oneshot::Sender<Result<(), Fault>>;

/// Owned by the writer task.
pub(super) struct Publisher {
    witnesses: Witnesses,
    panel: Panel,
    /// At most one round at a time.
    round: JoinSet<Outcome>,
    /// Who waits until a size is published.
    waiting: Vec<(u64, Waiter)>,
    last: Option<Instant>,
    /// Rounds in a row without a quorum.
    missed: u32,
}

/// What everybody may know of the witnesses.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct WitnessReport {
    /// Whether a quorum is asked for at all.
    pub required: bool,
    /// What happens without one: `wait` or `publish`.
    pub when_missed: &'static str,
    /// Whether the newest round met it; `None` before the first one.
    pub met: Option<bool>,
    /// Every witness that is asked.
    pub witnesses: Vec<WitnessStatus>,
}

impl Publisher {
    pub(super) fn new(witnesses: Witnesses) -> Result<Self, Fault> {
        Ok(Self {
            panel: Panel::new(&witnesses)?,
            witnesses,
            round: JoinSet::new(),
            waiting: Vec::new(),
            last: None,
            missed: 0,
        })
    }

    /// The outcome of the round that is running; never, when none is.
    pub(super) async fn outcome(&mut self) -> Option<Outcome> {
        match self.round.join_next().await {
            Some(Ok(outcome)) => Some(outcome),
            Some(Err(error)) => {
                tracing::error!(%error, "asking the witnesses failed");
                None
            }
            None => std::future::pending().await,
        }
    }

    pub(super) fn report(&self, met: Option<bool>) -> WitnessReport {
        WitnessReport {
            required: self.witnesses.policy.wants_quorum(),
            when_missed: self.witnesses.when_missed.as_str(),
            met,
            witnesses: self.panel.status().to_vec(),
        }
    }
}

impl Sequencer {
    /// When the next publishing is due; `None` when there is nothing new, or a round is running.
    pub(super) fn publish_due(&self) -> Option<Instant> {
        if self.is_published() || !self.publisher.round.is_empty() {
            return None;
        }
        let wait = EVERY * 2_u32.pow(self.publisher.missed.min(MOST_DOUBLINGS));
        Some(
            self.publisher
                .last
                .map_or_else(Instant::now, |last| last + wait),
        )
    }

    /// Whether the newest head is published, and witnessed if it has to be.
    fn is_published(&self) -> bool {
        let Some(size) = self.shared.head.borrow().as_ref().map(|h| h.size) else {
            return true;
        };
        let published = self.shared.published.borrow().as_ref().map(|p| p.size);
        let witnessed = self.shared.witnessed.borrow().as_ref().map(|p| p.size);
        published == Some(size) && witnessed == Some(size)
    }

    /// Begins to publish the newest head. Whoever waits is told when it, or a later one, is out.
    pub(super) async fn begin_publishing(&mut self, waiter: Option<Waiter>) {
        let head = self.shared.head.borrow().clone();
        let Some(head) = head.filter(|_| !self.is_published()) else {
            if let Some(waiter) = waiter {
                let _ = waiter.send(Ok(()));
            }
            return;
        };
        let size = head.size;
        self.publisher
            .waiting
            .extend(waiter.map(|waiter| (size, waiter)));
        if !self.publisher.round.is_empty() {
            return;
        }
        self.publisher.last = Some(Instant::now());
        if self.publisher.panel.is_empty() {
            let note = head.note.clone();
            let done = self.publish_note(&head, note, true).await;
            self.tell(size, &done);
        } else {
            let round = self
                .publisher
                .panel
                .ask(head, self.tiles.clone(), self.clock.now_s());
            self.publisher.round.spawn(round);
        }
    }

    /// Does with a round's outcome what the settings say.
    pub(super) async fn end_publishing(&mut self, outcome: Option<Outcome>) {
        let Some(outcome) = outcome else {
            // Nobody knows what came of it; those who wait are not left waiting.
            let fault = Fault::new(Code::Internal, "asking the witnesses failed");
            self.tell(u64::MAX, &Err(fault));
            return;
        };
        self.publisher.panel.learn(&outcome);
        self.metrics.witness_round(&outcome);
        self.publisher.missed = if outcome.met {
            0
        } else {
            self.publisher.missed + 1
        };
        let report = self.publisher.report(Some(outcome.met));
        if let Ok(mut slot) = self.shared.witnesses.write() {
            *slot = Arc::new(report);
        }
        for answer in &outcome.answers {
            if let Err(refused) = &answer.outcome {
                tracing::warn!(
                    witness = answer.witness.name,
                    kind = refused.kind,
                    detail = refused.detail,
                    "no cosignature"
                );
            }
        }
        let size = outcome.head.size;
        let publish = outcome.met || self.publisher.witnesses.when_missed == WhenMissed::Publish;
        let done = if publish {
            self.publish_note(&outcome.head, outcome.note, outcome.met)
                .await
        } else {
            let asked = outcome.answers.len();
            let given = outcome.answers.iter().filter(|a| a.outcome.is_ok()).count();
            let detail =
                format!("{given} of {asked} witnesses cosigned the checkpoint of {size} entries");
            tracing::error!(
                log.size = size,
                given,
                asked,
                "the witness quorum was missed; nothing is published"
            );
            Err(Fault::new(Code::WitnessQuorumMissed, detail))
        };
        self.tell(size, &done);
        if !self.publisher.waiting.is_empty() {
            self.begin_publishing(None).await;
        }
    }

    /// Makes a head the published one: database, then guard (before the very first time where processes share it), then the world.
    async fn publish_note(&mut self, head: &Head, note: String, met: bool) -> Result<(), Fault> {
        let before = self.shared.published.borrow().clone();
        let before = before.filter(|p| p.size == head.size);
        // What a witness once gave stays: a later round with fewer answers must not take it away.
        let note = match &before {
            Some(before) => with_lines_of(&note, &before.note),
            None => note,
        };
        let met = met || is_witnessed(&note, &self.publisher.witnesses.policy);
        if before.is_some_and(|p| p.note == note) && !met {
            return Ok(());
        }
        let checkpoint = Published {
            size: head.size,
            published_ms: self.clock.now_ms(),
            note,
        };
        let published = async {
            self.guard.announce(&checkpoint)?;
            self.store.publish(&checkpoint).await?;
            self.guard.write(&checkpoint)
        };
        if let Err(fault) = published.await {
            tracing::error!(code = fault.code(), error = %fault, "publishing the checkpoint failed");
            return Err(fault);
        }
        if met {
            self.shared
                .tell
                .witnessed
                .send_replace(Some(checkpoint.clone()));
        }
        self.shared.tell.published.send_replace(Some(checkpoint));
        let is_witnessed = met && self.publisher.witnesses.policy.wants_quorum();
        self.metrics.published(is_witnessed);
        Ok(())
    }

    fn tell(&mut self, size: u64, done: &Result<(), Fault>) {
        let (told, rest) = std::mem::take(&mut self.publisher.waiting)
            .into_iter()
            .partition::<Vec<_>, _>(|(wanted, _)| *wanted <= size);
        self.publisher.waiting = rest;
        for (_, waiter) in told {
            let _ = waiter.send(done.clone());
        }
    }

    /// Publishes what there is before the writer ends; a missing quorum leaves it for the next start.
    pub(super) async fn finish_publishing(&mut self) {
        if !self.publisher.round.is_empty() {
            let outcome = self.publisher.outcome().await;
            self.end_publishing(outcome).await;
        }
        if !self.is_published() {
            self.begin_publishing(None).await;
            if !self.publisher.round.is_empty() {
                let outcome = self.publisher.outcome().await;
                self.end_publishing(outcome).await;
            }
        }
    }
}

/// A checkpoint's note with the cosignatures that an earlier note of the same checkpoint has and it does not.
fn with_lines_of(note: &str, earlier: &str) -> String {
    let (Ok(new), Ok(old)) = (
        SignedCheckpoint::parse(note),
        SignedCheckpoint::parse(earlier),
    ) else {
        return note.to_owned();
    };
    if new.note().text != old.note().text {
        return note.to_owned();
    }
    let given = &new.note().signatures;
    let kept = old.note().signatures.iter().filter(|line| {
        given
            .iter()
            .all(|l| l.name != line.name || l.key_id != line.key_id)
    });
    kept.fold(note.to_owned(), |note, line| format!("{note}{line}\n"))
}

pub(in crate::log) fn is_witnessed(note: &str, policy: &WitnessPolicy) -> bool {
    SignedCheckpoint::parse(note).is_ok_and(|note| policy.evaluate(&note).is_ok())
}

/// The newest published checkpoint that the policy's quorum has cosigned.
pub(in crate::log) async fn newest_witnessed(
    store: &dyn Store,
    policy: &WitnessPolicy,
) -> Result<Option<Published>, Fault> {
    let mut before = u64::MAX >> 1;
    for _ in 0..PAGES {
        let page = store.newest_checkpoints(before, PAGE).await?;
        let Some(last) = page.last() else { break };
        before = last.size;
        let found = page.into_iter().find(|p| is_witnessed(&p.note, policy));
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}
