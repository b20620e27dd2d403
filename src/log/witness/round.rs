//! One checkpoint, all witnesses: asked in parallel, within their time, until the quorum is met.

use std::{sync::Arc, time::Duration};

use goodstanding_verify::{
    checkpoint::SignedCheckpoint, note::Signature, witness_policy::WitnessPolicy,
};
use tokio::{task::JoinSet, time::Instant};

use super::{
    Witnesses,
    ask::{Answer, Refused, Witness},
};
use crate::{code::Fault, log::tiles::Tiles, store::Head};

/// How long the others may still take once the quorum is met: more cosignatures are worth a moment, not a timeout.
const GRACE: Duration = Duration::from_millis(100);

/// What is known of one witness, for operators.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct WitnessStatus {
    /// Name in the policy.
    pub name: String,
    /// Size of the newest checkpoint that it cosigned for this process.
    pub cosigned_size: Option<u64>,
    /// Time of that cosignature, Unix seconds.
    pub cosigned_at: Option<u64>,
    /// Questions in a row without a cosignature.
    pub failures: u64,
    /// What came of the last question: `ok`, or the kind of failure.
    pub last: &'static str,
    /// What it was, for people.
    pub detail: Option<String>,
}

/// The witnesses of a log, and what is known of each.
#[derive(Debug)]
pub struct Panel {
    witnesses: Vec<Witness>,
    status: Vec<WitnessStatus>,
    timeout: Duration,
    policy: Arc<WitnessPolicy>,
}

/// What a round brought.
#[derive(Debug)]
pub struct Outcome {
    /// The head that was asked about.
    pub head: Head,
    /// Its note with the cosignatures that came.
    pub note: String,
    /// Whether the quorum is met.
    pub met: bool,
    /// Every answer that came in time.
    pub answers: Vec<Answer>,
    /// Witnesses that were not waited for: the quorum was met without them.
    pub late: Vec<String>,
}

impl Panel {
    /// The witnesses of these settings.
    ///
    /// # Errors
    /// `witness.settings_invalid`.
    pub fn new(witnesses: &Witnesses) -> Result<Self, Fault> {
        let all = witnesses
            .policy
            .witness_urls()
            .map(|(name, key, url)| Witness::new(name, key, url))
            .collect::<Result<Vec<_>, _>>()?;
        let status = all
            .iter()
            .map(|witness| WitnessStatus {
                name: witness.name.clone(),
                cosigned_size: None,
                cosigned_at: None,
                failures: 0,
                last: "not asked yet",
                detail: None,
            })
            .collect();
        Ok(Self {
            witnesses: all,
            status,
            timeout: witnesses.timeout,
            policy: Arc::new(witnesses.policy.clone()),
        })
    }

    /// Whether anybody is to be asked.
    pub fn is_empty(&self) -> bool {
        self.witnesses.is_empty()
    }

    /// What is known of each.
    pub fn status(&self) -> &[WitnessStatus] {
        &self.status
    }

    /// Asks all of them about a head. The returned future owns what it needs; [`Self::learn`] takes its outcome back.
    pub fn ask(
        &self,
        head: Head,
        tiles: Arc<Tiles>,
        now_s: u64,
    ) -> impl Future<Output = Outcome> + Send + 'static {
        let witnesses = self.witnesses.clone();
        let (policy, timeout) = (self.policy.clone(), self.timeout);
        async move {
            // Our own head: it parses.
            let Ok(signed) = SignedCheckpoint::parse(&head.note) else {
                return Outcome {
                    note: head.note.clone(),
                    head,
                    met: false,
                    answers: Vec::new(),
                    late: Vec::new(),
                };
            };
            let signed = Arc::new(signed);
            let names: Vec<String> = witnesses.iter().map(|w| w.name.clone()).collect();
            let mut asked = JoinSet::new();
            for witness in witnesses {
                let (tiles, signed) = (tiles.clone(), signed.clone());
                asked.spawn(async move { witness.ask(&tiles, &signed, timeout, now_s).await });
            }
            let mut answers: Vec<Answer> = Vec::new();
            let mut until: Option<Instant> = None;
            loop {
                let next = match until {
                    None => asked.join_next().await,
                    Some(until) => tokio::time::timeout_at(until, asked.join_next())
                        .await
                        .unwrap_or_default(),
                };
                match next {
                    None => break,
                    Some(Ok(answer)) => answers.push(answer),
                    // A task that panicked says nothing about the others.
                    Some(Err(error)) => tracing::error!(%error, "asking a witness failed"),
                }
                if until.is_none() && is_met(&policy, &signed, &answers) {
                    until = Some(Instant::now() + GRACE);
                }
            }
            let met = is_met(&policy, &signed, &answers);
            let late = names
                .into_iter()
                .filter(|name| answers.iter().all(|a| a.witness.name != *name))
                .collect();
            let note = cosigned(&signed, &answers);
            Outcome {
                head,
                note,
                met,
                answers,
                late,
            }
        }
    }

    /// Remembers what a round taught about each witness.
    pub fn learn(&mut self, outcome: &Outcome) {
        for status in &mut self.status {
            if outcome.late.contains(&status.name) {
                status.failures += 1;
                status.last = "late";
                status.detail = Some("the others made the quorum before it answered".to_owned());
            }
        }
        for answer in &outcome.answers {
            let name = &answer.witness.name;
            if let Some(witness) = self.witnesses.iter_mut().find(|w| w.name == *name) {
                *witness = answer.witness.clone();
            }
            let Some(status) = self.status.iter_mut().find(|s| s.name == *name) else {
                continue;
            };
            match &answer.outcome {
                Ok((_, time)) => {
                    status.cosigned_size = Some(outcome.head.size);
                    status.cosigned_at = Some(*time);
                    status.failures = 0;
                    status.last = "ok";
                    status.detail = None;
                }
                Err(Refused { kind, detail }) => {
                    status.failures += 1;
                    status.last = kind;
                    status.detail = Some(detail.clone());
                }
            }
        }
    }
}

fn lines(answers: &[Answer]) -> impl Iterator<Item = &Signature> {
    answers
        .iter()
        .filter_map(|answer| answer.outcome.as_ref().ok().map(|(line, _)| line))
}

/// The checkpoint with these cosignatures, in a stable order.
fn cosigned(signed: &SignedCheckpoint, answers: &[Answer]) -> String {
    let mut lines: Vec<String> = lines(answers).map(ToString::to_string).collect();
    lines.sort();
    lines
        .iter()
        .fold(signed.to_string(), |note, line| note + line + "\n")
}

/// Judged as a verifier would judge it: by the note, not by what the witnesses seemed to say.
fn is_met(policy: &WitnessPolicy, signed: &SignedCheckpoint, answers: &[Answer]) -> bool {
    SignedCheckpoint::parse(&cosigned(signed, answers))
        .and_then(|note| policy.evaluate(&note))
        .is_ok()
}
