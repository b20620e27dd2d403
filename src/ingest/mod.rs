//! Admission: size → syntax → signature here, off the async threads; time, identity and quotas in the log's plan.

pub mod import;
pub mod quota;

use std::time::Duration;

use goodstanding_verify::report::Report;
use rayon::prelude::*;

use crate::{
    app::App,
    code::{Code, Fault},
    log::{
        plan::Admitted,
        sequencer::{Answer, BATCH, Handle, Submission},
    },
};

/// How long a single report waits for room in the queue before it is told to come back.
const SINGLE_PATIENCE: Duration = Duration::from_millis(100);
/// How long a part of a bulk submission waits: the sender is slowed down before it is refused.
const BULK_PATIENCE: Duration = Duration::from_secs(20);

/// Checks one compact JWS completely but for time and history.
///
/// # Errors
/// The report's own stable code.
pub fn check(jws: String, historical_ms: Option<u64>) -> Result<Submission, Fault> {
    let report = Report::verify(&jws)?;
    Ok(Submission {
        report,
        jws,
        historical_ms,
    })
}

/// Admits one report and returns where it stands, with its receipt: a tlog-proof.
///
/// # Errors
/// The stable code of whatever was wrong; nothing is stored then.
pub async fn submit_one(app: &App, jws: String) -> Result<(Admitted, String), Fault> {
    let checked = blocking(move || check(jws, None)).await?;
    if let Err(fault) = &checked {
        app.metrics.report(Err(fault));
    }
    let submission = checked?;
    let mut answers = app
        .log
        .submit(vec![submission], true, SINGLE_PATIENCE)
        .await?;
    let internal = || Fault::new(Code::Internal, "no answer from the writer");
    let receipt = answers.pop().ok_or_else(internal)??;
    let under = receipt.under.ok_or_else(internal)?;
    Ok((
        receipt.admitted,
        under.prove(receipt.admitted.index, &app.tiles).await?,
    ))
}

/// Admits many reports; answers in the order of the lines, without proofs.
///
/// # Errors
/// Only when the process itself is failing; what is wrong with a line is that line's answer.
pub async fn submit_many(log: &Handle, lines: Vec<String>) -> Result<Vec<Answer>, Fault> {
    let checked = blocking(move || {
        lines
            .into_par_iter()
            .map(|jws| check(jws, None))
            .collect::<Vec<_>>()
    })
    .await?;
    submit_checked(log, checked).await
}

/// Sends checked reports to the writer in batches; a report that failed its check keeps its place and its fault.
///
/// # Errors
/// Only when the process itself is failing.
pub async fn submit_checked(
    log: &Handle,
    checked: Vec<Result<Submission, Fault>>,
) -> Result<Vec<Answer>, Fault> {
    let mut answers: Vec<Option<Answer>> = Vec::with_capacity(checked.len());
    let mut good = Vec::new();
    let mut lost = None;
    for (place, result) in checked.into_iter().enumerate() {
        match result {
            Ok(submission) => {
                answers.push(None);
                good.push((place, submission));
            }
            Err(fault) => {
                log.shared().metrics.report(Err(&fault));
                answers.push(Some(Err(fault)));
            }
        }
    }
    while !good.is_empty() {
        let rest = good.split_off(good.len().min(BATCH));
        let (places, batch): (Vec<_>, Vec<_>) =
            std::mem::replace(&mut good, rest).into_iter().unzip();
        // After a batch that did not get in, the rest is not tried: later lines may build on lost ones.
        let written = match &lost {
            Some(fault) => vec![Err(Fault::clone(fault)); places.len()],
            None => match log.submit(batch, false, BULK_PATIENCE).await {
                Ok(written) => written,
                Err(fault) => vec![Err(fault); places.len()],
            },
        };
        let unavailable = |fault: &&Fault| {
            fault.is(Code::QueueFull)
                || fault.is(Code::StoreUnavailable)
                || fault.is(Code::LogClosed)
        };
        lost = lost.or_else(|| {
            written
                .iter()
                .filter_map(|a| a.as_ref().err())
                .find(unavailable)
                .cloned()
        });
        for (place, answer) in places.into_iter().zip(written) {
            answers[place] = Some(answer);
        }
    }
    let missing = || Err(Fault::new(Code::Internal, "no answer from the writer"));
    Ok(answers
        .into_iter()
        .map(|a| a.unwrap_or_else(missing))
        .collect())
}

/// Runs CPU work off the async threads.
///
/// # Errors
/// `internal` when the work panicked.
pub async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Fault> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|e| Fault::new(Code::Internal, e.to_string()))
}
