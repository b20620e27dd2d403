//! What the sequencer reads back from the store, and what it checks before it writes.

use std::{collections::HashSet, sync::Arc};

use goodstanding_score::policy::Policy;
use goodstanding_verify::{
    checkpoint::SignedCheckpoint,
    did::Did,
    digest::Digest,
    entry::{Body, Entry, EpochEntry, KeyEntry},
    keyring::KeyRing,
    report::ReportId,
};

use super::{CurrentPolicy, MOST_AHEAD_MS, Sequencer};
use crate::{
    code::{Code, Fault},
    keys::change::{after, gap},
    log::{
        end::{self, Ended},
        plan::State,
        prove::edge,
    },
    store::Head,
};

impl Sequencer {
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

    /// Reloads what an earlier failure left in doubt.
    pub(super) async fn refresh(&mut self) -> Result<(), Fault> {
        if self.stale {
            self.reload().await?;
        }
        Ok(())
    }

    /// Reads the head and the edge back from the store and checks that they belong together and to what was known before.
    pub(super) async fn reload(&mut self) -> Result<(), Fault> {
        let head = self.store.head().await?;
        self.check_forward(head.as_ref()).await?;
        self.state = match &head {
            None => State::default(),
            Some(head) => {
                let edge = edge(self.store.as_ref(), head.size).await?;
                if edge.root() != head.root
                    || !self.signer.is_checkpoint(head.size, &head.root, &head.note)
                {
                    let detail = format!(
                        "the tiles of size {} do not add up to the signed root",
                        head.size
                    );
                    return Err(Fault::new(Code::StoreCorrupt, detail));
                }
                State {
                    edge,
                    at_ms: head.at_ms,
                    begun: true,
                }
            }
        };
        self.head.send_replace(head);
        self.load_end().await?;
        self.load_keys().await?;
        self.load_policy().await?;
        self.load_reached().await?;
        self.stale = false;
        Ok(())
    }

    /// What this process saw committed may have been acknowledged: a store that is behind it, or has another tree, lost it.
    async fn check_forward(&self, head: Option<&Head>) -> Result<(), Fault> {
        let size = head.map_or(0, |head| head.size);
        let (known, root) = (self.state.edge.size(), self.state.edge.root());
        let same = size >= known && edge(self.store.as_ref(), known).await?.root() == root;
        if same {
            return Ok(());
        }
        let detail = format!(
            "the database lost entries that were committed: {known} were known, it has {size} or others"
        );
        Err(Fault::new(Code::StoreCorrupt, detail))
    }

    /// Refuses a database that is behind, or has another tree than, what the guard and its own last publishing promised.
    pub(super) async fn check_guard(&self) -> Result<(), Fault> {
        let size = self.state.edge.size();
        let published = self.published.borrow().clone();
        let published = published
            .map(|p| SignedCheckpoint::parse(&p.note).map(|s| s.checkpoint().clone()))
            .transpose()?;
        for promised in self.guard.read()?.into_iter().chain(published) {
            let promised_size = promised.size;
            if size < promised_size {
                let detail = format!(
                    "the database ends at {size} entries, but {promised_size} were published; restore a newer copy of it, or end this log and name its successor"
                );
                return Err(Fault::new(Code::LogBehindGuard, detail));
            }
            if edge(self.store.as_ref(), promised_size).await?.root() != promised.root {
                let detail = format!(
                    "the database has another tree of {promised_size} entries than the one that was published; put the database that published it back"
                );
                return Err(Fault::new(Code::LogBehindGuard, detail));
            }
        }
        Ok(())
    }

    /// After a crash between publishing in the database and in the guard, the guard catches up.
    pub(super) fn renew_guard(&self) -> Result<(), Fault> {
        let published = self.published.borrow().clone();
        match published {
            Some(published) if self.guard.read()?.is_none_or(|g| g.size < published.size) => {
                self.guard.write(&published)
            }
            _ => Ok(()),
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

    async fn load_end(&self) -> Result<(), Fault> {
        let ended = self.store.meta(end::META).await?;
        let ended = ended.map(|text| Ended::parse(&text)).transpose()?;
        if let Ok(mut slot) = self.shared.ended.write() {
            *slot = ended.map(Arc::new);
        }
        Ok(())
    }

    pub(super) async fn load_keys(&self) -> Result<(), Fault> {
        let mut events = Vec::new();
        for (index, bytes) in self.store.events("key", self.state.edge.size()).await? {
            match Entry::parse(&bytes)?.body {
                Body::Key(event) => events.push((index, event)),
                _ => {
                    return Err(Fault::new(
                        Code::StoreCorrupt,
                        format!("entry {index} is not a key entry"),
                    ));
                }
            }
        }
        if let Ok(mut slot) = self.shared.keys.write() {
            *slot = Arc::new(events);
        }
        Ok(())
    }

    /// What was just committed is known without reading it back: a key that was revoked must not sign once more.
    pub(super) fn learn_keys(&self, first: u64, events: &[KeyEntry]) {
        if let Ok(mut slot) = self.shared.keys.write() {
            // After a commit of which nobody knew what became, they were read back already.
            if slot.last().is_some_and(|(newest, _)| *newest >= first) {
                return;
            }
            let mut all = slot.as_ref().clone();
            all.extend((first..).zip(events.iter().copied()));
            *slot = Arc::new(all);
        }
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

    pub(super) async fn load_policy(&mut self) -> Result<(), Fault> {
        let entries = self.store.events("policy", self.state.edge.size()).await?;
        let current = match entries.last() {
            None => None,
            Some((index, bytes)) => match Entry::parse(bytes)?.body {
                Body::Policy { version, policy } => Some(Arc::new(CurrentPolicy {
                    index: *index,
                    version,
                    policy: Policy::parse(&policy)?,
                })),
                _ => {
                    return Err(Fault::new(
                        Code::StoreCorrupt,
                        "a policy row is not a policy entry",
                    ));
                }
            },
        };
        if let Ok(mut slot) = self.shared.policy.write() {
            *slot = current;
        }
        Ok(())
    }

    pub(super) async fn load_reached(&mut self) -> Result<(), Fault> {
        let mut reached: HashSet<Did> = self.store.reached().await?.into_iter().collect();
        // Trust roots are reached by definition, also before the first epoch.
        if let Some(policy) = self.shared.policy() {
            reached.extend(policy.policy.seeds.iter().copied());
        }
        if let Ok(mut slot) = self.shared.reached.write() {
            *slot = Arc::new(reached);
        }
        Ok(())
    }
}
