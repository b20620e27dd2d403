//! What the sequencer checks before it plans an entry that is not a report: what is logged stays.

use goodstanding_score::policy::Policy;
use goodstanding_verify::{
    digest::Digest,
    entry::{Body, Entry, EpochEntry, KeyEntry},
    keyring::KeyRing,
    report::ReportId,
};

use super::{MOST_AHEAD_MS, Sequencer};
use crate::{
    code::{Code, Fault},
    keys::change::{after, gap},
};

impl Sequencer {
    /// Where these entries are, one after the other, at or above `since`: whoever had the turn before did the job, and could not say so.
    pub(super) async fn logged(
        &self,
        since: Option<u64>,
        bodies: &[Body],
    ) -> Result<Option<u64>, Fault> {
        let size = self.state.edge.size();
        let (Some(since), Some(first)) = (since.filter(|since| *since < size), bodies.first())
        else {
            return Ok(None);
        };
        let mut later = Vec::new();
        for (index, bytes) in self.store.events(first.kind(), size).await? {
            if index >= since {
                later.push((index, Entry::parse(&bytes)?.body));
            }
        }
        let found = later.windows(bodies.len()).find(|window| {
            let follow = (window.iter())
                .zip(window.iter().skip(1))
                .all(|(one, next)| one.0 + 1 == next.0);
            follow && window.iter().map(|(_, body)| body).eq(bodies)
        });
        Ok(found.and_then(|window| window.first()).map(|(at, _)| *at))
    }

    /// A clock that was set back far would make log time stand still; a minute of drift is tolerated as in reports.
    pub(super) fn check_clock(&self, now_ms: u64) -> Result<(), Fault> {
        let ahead_ms = self.state.at_ms.saturating_sub(now_ms);
        if ahead_ms > MOST_AHEAD_MS {
            let detail = format!(
                "the newest entry is {} s ahead of this machine's clock",
                ahead_ms / 1000
            );
            return Err(Fault::new(Code::ClockBehind, detail));
        }
        Ok(())
    }

    pub(super) fn check_policy(
        &self,
        version: u64,
        policy: &serde_json::Value,
    ) -> Result<(), Fault> {
        Policy::parse(policy)?;
        let current = self.shared.policy().map_or(0, |current| current.version);
        if version != current + 1 {
            return Err(Fault::new(
                Code::PolicyVersion,
                format!("version {version} after {current}"),
            ));
        }
        Ok(())
    }

    /// Epochs are numbered without gaps and `as_of` never goes back.
    pub(super) async fn check_epoch(&self, new: &EpochEntry) -> Result<(), Fault> {
        let EpochEntry { number, as_of, .. } = *new;
        let (last, last_as_of, last_size) = match self.store.epoch(None).await? {
            None => (0, 0, 0),
            Some(epoch) => match Entry::parse(&epoch.entry)?.body {
                Body::Epoch(entry) => (entry.number, entry.as_of, entry.log_size),
                _ => {
                    return Err(Fault::new(
                        Code::StoreCorrupt,
                        "an epoch row does not point at an epoch entry",
                    ));
                }
            },
        };
        if number != last + 1 {
            return Err(Fault::new(
                Code::EpochRunning,
                format!("epoch {last} was logged meanwhile"),
            ));
        }
        if as_of < last_as_of {
            return Err(Fault::new(
                Code::EpochAsOf,
                format!("epoch {last} has as_of {last_as_of}, this one {as_of}"),
            ));
        }
        // An older prefix would leave reports out that an epoch has counted.
        if new.log_size < last_size {
            let detail = format!(
                "epoch {last} covers {last_size} entries, this one {}",
                new.log_size
            );
            return Err(Fault::new(Code::EpochRunning, detail));
        }
        // It may have read the prefix while the report was being erased.
        if self.store.erased_since(new.log_size).await? > 0 {
            return Err(Fault::new(
                Code::EpochRunning,
                "a report was erased meanwhile",
            ));
        }
        Ok(())
    }

    /// The report with this digest, if it can be erased: its index and id.
    pub(super) async fn find_erasable(&self, of: Digest) -> Result<(u64, ReportId), Fault> {
        let id = ReportId(of.0);
        if let Some(erased) = self.store.erased(&id).await? {
            let detail = format!("report {id} was erased by entry {}", erased.by);
            return Err(Fault::new(Code::ReportErased, detail));
        }
        match self.store.report(&id).await? {
            Some(report) => Ok((report.index, id)),
            None => Err(Fault::new(Code::ReportUnknown, format!("no report {id}"))),
        }
    }

    /// Refuses whatever would write to a log that has ended, or that cannot be signed.
    pub(super) fn check_open(&self) -> Result<(), Fault> {
        self.shared.check_open()?;
        if self.signer.can_sign() {
            return Ok(());
        }
        Err(Fault::new(
            Code::KeyUnusable,
            "the log's key is missing; restore it, or end the log: goodstanding keys end-log --reason lost",
        ))
    }

    /// Refuses key events that do not follow from those before, and any that would leave a use without a key that signs.
    pub(super) fn check_keys(&self, events: &[KeyEntry]) -> Result<(), Fault> {
        let before: Vec<KeyEntry> = self.shared.keys().iter().map(|(_, event)| *event).collect();
        let ring = after(&after(&KeyRing::default(), &before)?, events)?;
        let now = self.clock.now_s();
        for event in events {
            if let Some(at) = gap(&ring, event.usage, now) {
                let detail = format!("no {} key could sign at {at}", event.usage);
                return Err(Fault::new(Code::KeyOnlyOne, detail));
            }
        }
        Ok(())
    }
}
