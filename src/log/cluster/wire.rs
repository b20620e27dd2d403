//! Jobs and answers as bytes: what one process asks of the one that writes. JSON; both ends are this program.
//!
//! Nothing that grows with the log goes this way: an epoch is computed by the process that writes.

use std::sync::Arc;

use goodstanding_verify::{
    b64,
    did::Did,
    entry::{Body, Entry, KeyEntry},
    report::{Report, ReportId},
};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use crate::{
    code::{Code, Fault},
    log::{
        end::Ended,
        plan::Admitted,
        sequencer::{Answer, Event, Job, Receipt, SignedTree, Submission},
    },
    store::{Head, IssuedToken, cluster::MOST_JOB},
};

/// Room for what is put before a job.
const OVERHEAD: usize = 64;

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Sent {
    Reports {
        reports: Vec<SentReport>,
        proofs: bool,
    },
    Event {
        /// An entry, JCS; its time is not used.
        entry: String,
        at_ms: Option<u64>,
        /// Entries that the sender knew of: the same entry at or above is this job's doing.
        since: u64,
    },
    Epoch {
        as_of: Option<u64>,
        /// The newest one that the sender knows.
        after: u64,
    },
    Keys {
        entries: Vec<String>,
        at_ms: Option<u64>,
        since: u64,
    },
    End {
        ended: Ended,
        size: u64,
    },
    Publish,
    Aliases(Vec<(String, Did)>),
    Token {
        list: u64,
        idx: u64,
        agent: Did,
        epoch: u64,
        iat: u64,
        exp: u64,
    },
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SentReport {
    jws: String,
    historical_ms: Option<u64>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Answered {
    Reports {
        answers: Vec<Result<SentReceipt, SentFault>>,
        /// The head that receipts are under, if they were asked for.
        head: Option<SentHead>,
    },
    Index(Result<u64, SentFault>),
    Done(Result<(), SentFault>),
    Taken(Result<bool, SentFault>),
    Epoch(Result<String, SentFault>),
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SentReceipt {
    index: u64,
    id: String,
    new: bool,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SentHead {
    size: u64,
    root: String,
    at_ms: u64,
    note: String,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SentFault {
    code: String,
    detail: String,
}

/// Who waits for the answer to a job, in the process that sent it.
#[derive(Debug)]
pub(super) enum Waiter {
    Reports(oneshot::Sender<Vec<Answer>>, usize),
    Index(oneshot::Sender<Result<u64, Fault>>),
    Done(oneshot::Sender<Result<(), Fault>>),
    Taken(oneshot::Sender<Result<bool, Fault>>),
    Epoch(oneshot::Sender<Result<String, Fault>>),
}

/// A job on its way.
pub(super) struct Parcel {
    pub(super) bytes: Vec<u8>,
    pub(super) waiter: Waiter,
    /// Whether doing it twice is the same as doing it once, for whoever waits too.
    pub(super) repeatable: bool,
}

/// Where the answer to a job comes from, in the process that writes.
pub(super) enum Reply {
    Reports(oneshot::Receiver<Vec<Answer>>),
    Index(oneshot::Receiver<Result<u64, Fault>>),
    Done(oneshot::Receiver<Result<(), Fault>>),
    Taken(oneshot::Receiver<Result<bool, Fault>>),
    Epoch(oneshot::Receiver<Result<String, Fault>>),
}

/// A job as bytes, and who waits for its answer. `size`: entries that this process knows of. `None`: it cannot be sent, and the waiter
/// was told.
pub(super) fn sent(job: Job, size: u64) -> Option<Parcel> {
    // What was done is recognised by whoever does it again. A token's place would be taken, by itself.
    let repeatable = !matches!(job, Job::Token { .. });
    let (sent, waiter) = match job {
        Job::Reports {
            submissions,
            proofs,
            answer,
        } => {
            let count = submissions.len();
            let reports = submissions
                .into_iter()
                .map(|s| SentReport {
                    jws: s.jws,
                    historical_ms: s.historical_ms,
                })
                .collect();
            (
                Ok(Sent::Reports { reports, proofs }),
                Waiter::Reports(answer, count),
            )
        }
        Job::Event {
            event,
            since,
            answer,
        } => {
            let sent = sent_event(*event, since.unwrap_or(size));
            (sent, Waiter::Index(answer))
        }
        Job::Keys {
            events,
            at_ms,
            since,
            answer,
        } => {
            let since = since.unwrap_or(size);
            let entries: Result<_, Fault> =
                events.into_iter().map(|e| text(Body::Key(e))).collect();
            let sent = entries.map(|entries| Sent::Keys {
                entries,
                at_ms,
                since,
            });
            (sent, Waiter::Index(answer))
        }
        Job::End {
            ended,
            size,
            answer,
        } => {
            let ended = *ended;
            (Ok(Sent::End { ended, size }), Waiter::Done(answer))
        }
        Job::Epoch {
            as_of,
            after,
            answer,
        } => (Ok(Sent::Epoch { as_of, after }), Waiter::Epoch(answer)),
        Job::Publish { answer } => (Ok(Sent::Publish), Waiter::Done(answer)),
        Job::Aliases { aliases, answer } => (Ok(Sent::Aliases(aliases)), Waiter::Done(answer)),
        Job::Token { token, answer } => {
            let IssuedToken {
                list,
                idx,
                agent,
                epoch,
                iat,
                exp,
            } = token;
            let sent = Sent::Token {
                list,
                idx,
                agent,
                epoch,
                iat,
                exp,
            };
            (Ok(sent), Waiter::Taken(answer))
        }
        // Never leaves the process.
        Job::Stop { answer } => {
            let _ = answer.send(());
            return None;
        }
    };
    let bytes = sent.and_then(|sent| serde_json::to_vec(&sent).map_err(internal));
    match bytes.and_then(short) {
        Ok(bytes) => Some(Parcel {
            bytes,
            waiter,
            repeatable,
        }),
        Err(fault) => {
            waiter.fail(&fault);
            None
        }
    }
}

/// What the receiver would read.
fn short(bytes: Vec<u8>) -> Result<Vec<u8>, Fault> {
    if bytes.len() <= MOST_JOB - OVERHEAD {
        return Ok(bytes);
    }
    let detail = format!(
        "{} bytes are too much to ask another process for at a time",
        bytes.len()
    );
    Err(Fault::new(Code::BodyTooLarge, detail))
}

fn sent_event(event: Event, since: u64) -> Result<Sent, Fault> {
    if event.epoch.is_some() {
        let detail =
            "the lead was lost while the epoch was computed; nothing of it was written here";
        return Err(Fault::new(Code::StoreUnavailable, detail));
    }
    Ok(Sent::Event {
        entry: text(event.body)?,
        at_ms: event.at_ms,
        since,
    })
}

/// An entry's text. Its time is the writer's business.
fn text(body: Body) -> Result<String, Fault> {
    let bytes = Entry { at: 0, body }.to_bytes()?;
    String::from_utf8(bytes).map_err(internal)
}

fn internal(error: impl std::fmt::Display) -> Fault {
    Fault::new(Code::Internal, format!("between processes: {error}"))
}

/// A job that another process sent, and where its answer will come from. Its reports are verified once more, signatures and
/// all, whoever sent them: this takes a while, and belongs off the async threads.
///
/// # Errors
/// `internal` when the bytes are no job: another version of the program wrote them; the report's own code.
pub(super) fn received(bytes: &[u8]) -> Result<(Job, Reply), Fault> {
    let sent: Sent = serde_json::from_slice(bytes).map_err(internal)?;
    Ok(match sent {
        Sent::Reports { reports, proofs } => {
            let submissions = reports
                .into_par_iter()
                .map(|sent| {
                    Ok(Submission {
                        report: Report::verify(&sent.jws)?,
                        jws: sent.jws,
                        historical_ms: sent.historical_ms,
                    })
                })
                .collect::<Result<_, Fault>>()?;
            let (answer, reply) = oneshot::channel();
            let job = Job::Reports {
                submissions,
                proofs,
                answer,
            };
            (job, Reply::Reports(reply))
        }
        Sent::Epoch { as_of, after } => {
            let (answer, reply) = oneshot::channel();
            let job = Job::Epoch {
                as_of,
                after,
                answer,
            };
            (job, Reply::Epoch(reply))
        }
        Sent::Event {
            entry,
            at_ms,
            since,
        } => {
            let event = Event {
                body: Entry::parse(entry.as_bytes())?.body,
                at_ms,
                epoch: None,
            };
            let (answer, reply) = oneshot::channel();
            let job = Job::Event {
                event: Box::new(event),
                since: Some(since),
                answer,
            };
            (job, Reply::Index(reply))
        }
        Sent::Keys {
            entries,
            at_ms,
            since,
        } => {
            let events = entries
                .iter()
                .map(|entry| key_entry(entry))
                .collect::<Result<_, Fault>>()?;
            let (answer, reply) = oneshot::channel();
            let job = Job::Keys {
                events,
                at_ms,
                since: Some(since),
                answer,
            };
            (job, Reply::Index(reply))
        }
        Sent::End { ended, size } => {
            let (answer, reply) = oneshot::channel();
            let job = Job::End {
                ended: Box::new(ended),
                size,
                answer,
            };
            (job, Reply::Done(reply))
        }
        Sent::Publish => {
            let (answer, reply) = oneshot::channel();
            (Job::Publish { answer }, Reply::Done(reply))
        }
        Sent::Aliases(aliases) => {
            let (answer, reply) = oneshot::channel();
            (Job::Aliases { aliases, answer }, Reply::Done(reply))
        }
        Sent::Token {
            list,
            idx,
            agent,
            epoch,
            iat,
            exp,
        } => {
            let token = IssuedToken {
                list,
                idx,
                agent,
                epoch,
                iat,
                exp,
            };
            let (answer, reply) = oneshot::channel();
            (Job::Token { token, answer }, Reply::Taken(reply))
        }
    })
}

fn key_entry(entry: &str) -> Result<KeyEntry, Fault> {
    match Entry::parse(entry.as_bytes())?.body {
        Body::Key(event) => Ok(event),
        _ => Err(internal("not a key event")),
    }
}

impl Reply {
    /// The answer as bytes; `None`: the writer ended without one, and whoever leads next has to look at the job.
    pub(super) async fn bytes(self) -> Option<Vec<u8>> {
        let answered = match self {
            Self::Reports(reply) => {
                let answers = reply.await.ok()?;
                let under = answers.iter().flatten().find_map(|r| r.under.clone());
                Answered::Reports {
                    head: under.map(|tree| SentHead::from(tree.head())),
                    answers: answers
                        .into_iter()
                        .map(|answer| match answer {
                            Ok(Receipt { admitted, .. }) => Ok(SentReceipt {
                                index: admitted.index,
                                id: b64::std_encode(admitted.id.0),
                                new: admitted.new,
                            }),
                            Err(fault) => Err(fault.into()),
                        })
                        .collect(),
                }
            }
            Self::Index(reply) => Answered::Index(reply.await.ok()?.map_err(Into::into)),
            Self::Done(reply) => Answered::Done(reply.await.ok()?.map_err(Into::into)),
            Self::Taken(reply) => Answered::Taken(reply.await.ok()?.map_err(Into::into)),
            Self::Epoch(reply) => Answered::Epoch(reply.await.ok()?.map_err(Into::into)),
        };
        // Texts and numbers: this does not fail.
        serde_json::to_vec(&answered).ok()
    }
}

/// The answer to a job that could not be read.
pub(super) fn refusal(fault: Fault) -> Vec<u8> {
    serde_json::to_vec(&Answered::Done(Err(fault.into()))).unwrap_or_default()
}

impl Waiter {
    /// Hands the answer over. Whoever waited may be gone.
    pub(super) fn resolve(self, bytes: &[u8]) {
        let answered = serde_json::from_slice::<Answered>(bytes);
        match (self, answered) {
            (Self::Reports(waiter, count), Ok(Answered::Reports { answers, head }))
                if answers.len() == count =>
            {
                match receipts(answers, head) {
                    Ok(answers) => {
                        let _ = waiter.send(answers);
                    }
                    Err(fault) => Self::Reports(waiter, count).fail(&fault),
                }
            }
            (Self::Index(waiter), Ok(Answered::Index(answer))) => {
                let _ = waiter.send(answer.map_err(Into::into));
            }
            (Self::Done(waiter), Ok(Answered::Done(answer))) => {
                let _ = waiter.send(answer.map_err(Into::into));
            }
            (Self::Taken(waiter), Ok(Answered::Taken(answer))) => {
                let _ = waiter.send(answer.map_err(Into::into));
            }
            (Self::Epoch(waiter), Ok(Answered::Epoch(answer))) => {
                let _ = waiter.send(answer.map_err(Into::into));
            }
            // The job could not be read.
            (waiter, Ok(Answered::Done(Err(fault)))) => waiter.fail(&fault.into()),
            (waiter, Ok(_)) => waiter.fail(&internal("the answer to another job")),
            (waiter, Err(error)) => waiter.fail(&internal(error)),
        }
    }

    /// Says that nothing came of it, as far as is known.
    pub(super) fn fail(self, fault: &Fault) {
        match self {
            Self::Reports(waiter, count) => {
                let _ = waiter.send(vec![Err(fault.clone()); count]);
            }
            Self::Index(waiter) => {
                let _ = waiter.send(Err(fault.clone()));
            }
            Self::Done(waiter) => {
                let _ = waiter.send(Err(fault.clone()));
            }
            Self::Taken(waiter) => {
                let _ = waiter.send(Err(fault.clone()));
            }
            Self::Epoch(waiter) => {
                let _ = waiter.send(Err(fault.clone()));
            }
        }
    }
}

fn receipts(
    answers: Vec<Result<SentReceipt, SentFault>>,
    head: Option<SentHead>,
) -> Result<Vec<Answer>, Fault> {
    let under = head.map(Head::try_from).transpose()?;
    let under = under.map(|head| Arc::new(SignedTree::of(head)));
    let receipt = |sent: SentReceipt| {
        let id = b64::std_decode_32(&sent.id).ok_or_else(|| internal("a report's id"))?;
        Ok(Receipt {
            admitted: Admitted {
                index: sent.index,
                id: ReportId(id),
                new: sent.new,
            },
            under: under.clone(),
        })
    };
    let one = |answer: Result<SentReceipt, SentFault>| match answer {
        Ok(sent) => receipt(sent).map(Ok),
        Err(fault) => Ok(Err(Fault::from(fault))),
    };
    answers.into_iter().map(one).collect()
}

impl From<&Head> for SentHead {
    fn from(head: &Head) -> Self {
        Self {
            size: head.size,
            root: b64::std_encode(head.root),
            at_ms: head.at_ms,
            note: head.note.clone(),
        }
    }
}

impl TryFrom<SentHead> for Head {
    type Error = Fault;

    fn try_from(sent: SentHead) -> Result<Self, Fault> {
        Ok(Self {
            size: sent.size,
            root: b64::std_decode_32(&sent.root).ok_or_else(|| internal("a root"))?,
            at_ms: sent.at_ms,
            note: sent.note,
        })
    }
}

impl From<Fault> for SentFault {
    fn from(fault: Fault) -> Self {
        Self {
            code: fault.code().to_owned(),
            detail: fault.detail().to_owned(),
        }
    }
}

impl From<SentFault> for Fault {
    fn from(sent: SentFault) -> Self {
        Self::recall(&sent.code, sent.detail)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A report that is signed as it should be, from the golden vectors.
    fn signed() -> String {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/reports.json");
        let vectors: serde_json::Value =
            serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        let found = vectors[0]["jws"].as_str();
        found.expect("a valid report").to_owned()
    }

    fn job(jws: &str) -> Vec<u8> {
        let reports = vec![SentReport {
            jws: jws.to_owned(),
            historical_ms: None,
        }];
        let sent = Sent::Reports {
            reports,
            proofs: false,
        };
        serde_json::to_vec(&sent).unwrap()
    }

    #[test]
    fn what_a_process_sent_is_verified_again() {
        let jws = signed();
        assert!(matches!(received(&job(&jws)), Ok((Job::Reports { .. }, _))));
        // The same claims under another signature.
        let (head, signature) = jws.rsplit_once('.').unwrap();
        let mut bytes = b64::url_decode(signature).unwrap();
        bytes[5] ^= 1;
        let forged = format!("{head}.{}", b64::url_encode(&bytes));
        assert!(
            Report::parse_admitted(&forged).is_ok(),
            "only the signature is wrong"
        );
        let refused = received(&job(&forged)).map(|_| ()).unwrap_err();
        assert_eq!(refused.code(), "report.signature_invalid");
    }
}
