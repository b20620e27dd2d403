//! What a log begins with, and what is looked at before it goes on.

use std::time::Duration;

use goodstanding_score::policy::Policy;
use goodstanding_verify::{
    entry::{Body, KeyAction, KeyEntry, KeyUse},
    jwk::Jwk,
};
use tokio::time::Instant;

use super::App;
use crate::{
    code::{Code, Fault},
    log::{
        end,
        guard::{GuardFile, HeadGuard, reaches},
        sequencer::Event,
        sign::LogSigner,
        tenure::Left,
    },
    store::Store,
};

/// How long a process waits for the one that writes to begin the log.
const BEGIN: Duration = Duration::from_secs(20);

impl App {
    /// Sees to it that the log has what it begins with: by this process if it writes, or by the one that does.
    pub(super) async fn begin(&self, begin_ms: Option<u64>) -> Result<(), Fault> {
        let started = Instant::now();
        loop {
            let shared = self.log.shared();
            if shared.is_leading() {
                if self.begin_log(begin_ms).await? {
                    match self.log.publish().await {
                        // Reports are taken all the same; the writer asks the witnesses again and again.
                        Err(fault) if fault.is(Code::WitnessQuorumMissed) => {}
                        done => done?,
                    }
                }
                return Ok(());
            }
            if self.missing_keys().is_empty() && shared.policy().is_some() {
                return Ok(());
            }
            if started.elapsed() > BEGIN {
                return Err(Fault::new(
                    Code::StoreUnavailable,
                    "the process that writes has not begun the log",
                ));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Uses that the log has no key of.
    fn missing_keys(&self) -> Vec<KeyUse> {
        let logged = self.log.shared().keys();
        let is_logged = |usage: &KeyUse| logged.iter().any(|(_, event)| event.usage == *usage);
        let all = KeyUse::ALL.iter().copied();
        all.filter(|usage| !is_logged(usage)).collect()
    }

    /// Writes what a log begins with and does not have yet: its keys and a first policy. A crash in between is mended by
    /// the next start. Returns whether anything was written.
    async fn begin_log(&self, begin_ms: Option<u64>) -> Result<bool, Fault> {
        let now_ms = self.clock.now_ms();
        // Log time never goes back: a beginning in the future would close the log until then.
        let at_ms = begin_ms.map_or(now_ms, |begin| begin.min(now_ms));
        let mut first = Vec::new();
        for usage in self.missing_keys() {
            first.push(KeyEntry {
                usage,
                action: KeyAction::Add,
                jwk: Jwk::from(self.keys.first(usage)?.did()),
                from: at_ms / 1000,
            });
        }
        let begun = first.is_empty();
        if !begun {
            self.log.log_keys(first, Some(at_ms)).await?;
        }
        let has_policy = self.log.shared().policy().is_some();
        if !has_policy {
            let policy = Policy::preset("agent-market")?.to_value();
            let body = Body::Policy { version: 1, policy };
            self.log
                .log(Event {
                    body,
                    at_ms: Some(at_ms),
                    epoch: None,
                })
                .await?;
        }
        Ok(!(begun && has_policy))
    }
}

/// Holds the database against the guard, before anything is written to it.
///
/// A guard that is missing is made anew only where a crash between publishing and its very first write explains that;
/// otherwise somebody took it away, and with it what was published. On a server nothing explains it: there the guard is written
/// before the first publishing.
pub(super) async fn check_guard(
    guard: &HeadGuard,
    signer: &LogSigner,
    left: &Left,
    store: &dyn Store,
) -> Result<(), Fault> {
    match guard.signed()? {
        Some(signed) => {
            let promised = signed
                .verify_log(&signer.verifier()?)
                .map_err(|error| Fault::new(Code::GuardOtherLog, error.to_string()))?;
            reaches(store, promised).await
        }
        None if matches!(left, Left::Open(_)) => Ok(()),
        None => match store.published().await? {
            None => Ok(()),
            Some(published) => Err(Fault::new(
                Code::GuardMissing,
                format!(
                    "the database has a published checkpoint of {} entries, and there is no head.guard",
                    published.size
                ),
            )),
        },
    }
}

/// The end of a log is kept outside the database too: an older copy of that must not bring the log back.
pub(super) fn check_end(file: &dyn GuardFile, ended: Option<&end::Ended>) -> Result<(), Fault> {
    let failed =
        |e: std::io::Error| Fault::new(Code::StoreUnavailable, format!("{}: {e}", end::FILE));
    match (file.read().map_err(failed)?, ended) {
        (None, Some(ended)) => file.write(&ended.notice).map_err(failed),
        (Some(_), None) => Err(Fault::new(
            Code::LogEnded,
            format!(
                "{} says that this log has ended, and this database is from before that",
                end::FILE
            ),
        )),
        (None, None) | (Some(_), Some(_)) => Ok(()),
    }
}

/// That the log has ended, as the database says.
pub(super) async fn end_of(store: &dyn Store) -> Result<Option<end::Ended>, Fault> {
    let ended = store.meta(end::META).await?;
    ended.map(|text| end::Ended::parse(&text)).transpose()
}
