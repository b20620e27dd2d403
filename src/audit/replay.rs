//! The rules along the log for everything that is not a report: pure, one entry after the other.

use std::{collections::BTreeMap, sync::Arc};

use goodstanding_score::policy::Policy;
use goodstanding_verify::{
    entry::{Body, Entry, EpochEntry, KeyEntry},
    keyring::KeyRing,
    report::ReportId,
};

use super::{
    finding::{Disagreement, Failure, Place},
    index::Erased,
};
use crate::{
    code::{Code, Fault},
    log::plan::Rules,
};

/// A policy in force from some entry on.
#[derive(Clone, Debug)]
pub(super) struct InForce {
    /// Index of its entry.
    pub(super) index: u64,
    /// Its version.
    pub(super) version: u64,
    /// The policy.
    pub(super) policy: Arc<Policy>,
    /// What it says of admission.
    pub(super) rules: Arc<Rules>,
}

/// An epoch entry whose own members are right.
#[derive(Clone, Debug)]
pub(super) struct Logged {
    /// Index of its entry.
    pub(super) index: u64,
    /// The entry.
    pub(super) entry: EpochEntry,
}

/// What the log has said so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Replay {
    at_ms: u64,
    policies: Vec<InForce>,
    ring: KeyRing,
    key_events: Vec<(u64, KeyEntry)>,
    epochs: Vec<Logged>,
    /// Indices of the erasure entries.
    erasures: Vec<u64>,
    /// Reports whose bytes are gone, by id.
    erased: BTreeMap<ReportId, Erased>,
}

impl Replay {
    /// The time of the next entry; it is never before the one in front of it.
    ///
    /// # Errors
    /// `audit.time_backwards`.
    pub(super) fn time(&mut self, index: u64, at_ms: u64) -> Result<(), Failure> {
        if at_ms < self.at_ms {
            let detail = format!("at {at_ms} after {}", self.at_ms);
            return Err(Failure::at(Code::AuditTime, Place::Entry(index), detail));
        }
        self.at_ms = at_ms;
        Ok(())
    }

    /// The next entry that is neither a report nor an erasure.
    ///
    /// # Errors
    /// `audit.policy_invalid`, `audit.key_event_invalid`, `audit.epoch_invalid`, `log.unsupported_version`.
    pub(super) fn event(&mut self, index: u64, entry: &Entry) -> Result<(), Failure> {
        match &entry.body {
            Body::Policy { version, policy } => self.policy(index, *version, policy),
            Body::Key(event) => {
                self.ring.apply(event).map_err(|error| {
                    Failure::caused(Code::AuditKeyEvent, Place::Entry(index), error)
                })?;
                self.key_events.push((index, *event));
                Ok(())
            }
            Body::Epoch(epoch) => self.epoch(index, entry.at, epoch),
            Body::Report { .. } | Body::Erasure { .. } => Ok(()),
            // They bear on scores in ways that this program does not know yet: to go on would be to vouch for them.
            Body::Rotation { .. }
            | Body::Recovery { .. }
            | Body::Reply { .. }
            | Body::Appeal { .. }
            | Body::Decision { .. } => {
                Err(Disagreement::unsupported_kind(Place::Entry(index), entry.body.kind()).into())
            }
        }
    }

    fn policy(
        &mut self,
        index: u64,
        version: u64,
        policy: &serde_json::Value,
    ) -> Result<(), Failure> {
        let place = Place::Entry(index);
        let next = self.policies.last().map_or(0, |last| last.version) + 1;
        if version != next {
            let detail = format!("version {version}, not {next}");
            return Err(Failure::at(Code::AuditPolicy, place, detail));
        }
        let policy = Policy::parse(policy)
            .map_err(|error| Failure::caused(Code::AuditPolicy, place, Fault::from(error)))?;
        self.policies.push(InForce {
            index,
            version,
            rules: Arc::new(Rules::of(&policy)),
            policy: Arc::new(policy),
        });
        Ok(())
    }

    fn epoch(&mut self, index: u64, at_ms: u64, epoch: &EpochEntry) -> Result<(), Failure> {
        let wrong = |detail: String| {
            let place = Place::Epoch(epoch.number, index);
            Err(Failure::at(Code::AuditEpoch, place, detail))
        };
        let next = self.epoch_count() + 1;
        if epoch.number != next {
            return wrong(format!("number {}, not {next}", epoch.number));
        }
        let previous = self.newest_epoch().map_or(0, |e| e.entry.as_of);
        if epoch.as_of < previous {
            return wrong(format!(
                "as_of {} is before the previous epoch's {previous}",
                epoch.as_of
            ));
        }
        // Whole seconds: an entry of the second that has just begun is covered.
        if epoch.as_of > at_ms.div_ceil(1000) {
            return wrong(format!(
                "as_of {} is after its own entry's time, {at_ms} ms",
                epoch.as_of
            ));
        }
        if epoch.log_size > index {
            return wrong(format!(
                "log_size {} is beyond its own entry",
                epoch.log_size
            ));
        }
        let covered = self.newest_epoch().map_or(0, |e| e.entry.log_size);
        if epoch.log_size < covered {
            return wrong(format!(
                "log_size {} is below the previous epoch's {covered}",
                epoch.log_size
            ));
        }
        // Only an epoch that was logged in front of an erasure can have used what it took away. Without this, one erasure
        // would excuse every epoch to come.
        if let Some((report, erasure)) = self.erased_between(epoch.log_size) {
            return wrong(format!(
                "log_size {} leaves out the erasure at entry {erasure}, which took away the report at entry {report}",
                epoch.log_size
            ));
        }
        let Some(policy) = self.policy_below(epoch.log_size) else {
            return wrong(format!("no policy below log_size {}", epoch.log_size));
        };
        if policy.index != epoch.policy {
            return wrong(format!(
                "policy {}, but the last one below log_size {} is entry {}",
                epoch.policy, epoch.log_size, policy.index
            ));
        }
        if epoch.code != goodstanding_score::CODE {
            return wrong(format!(
                "code {}; this program recomputes {}",
                epoch.code,
                goodstanding_score::CODE
            ));
        }
        self.epochs.push(Logged {
            index,
            entry: epoch.clone(),
        });
        Ok(())
    }

    /// An erasure entry: `known` is the report that it refers to, if the log has it.
    ///
    /// # Errors
    /// `audit.erasure_invalid`.
    pub(super) fn erasure(
        &mut self,
        index: u64,
        of: ReportId,
        known: Option<Erased>,
    ) -> Result<Erased, Failure> {
        let wrong = |detail: String| Failure::at(Code::AuditErasure, Place::Entry(index), detail);
        let held = self.erased.get(&of).copied().or(known);
        let mut erased =
            held.ok_or_else(|| wrong(format!("no report {of} in front of it to erase")))?;
        if let Some(before) = erased.entry {
            return Err(wrong(format!("entry {before} erased {of} before")));
        }
        erased.entry = Some(index);
        self.erased.insert(of, erased);
        self.erasures.push(index);
        Ok(erased)
    }

    /// A report whose bytes are gone; an entry has to say why sooner or later.
    pub(super) fn gone(&mut self, erased: Erased) {
        self.erased.insert(erased.id, erased);
    }

    /// A report whose bytes are gone, by its id.
    pub(super) fn erased(&self, id: &ReportId) -> Option<&Erased> {
        self.erased.get(id)
    }

    /// The reports that are gone without an entry so far that says why.
    pub(super) fn unexplained(&self) -> impl Iterator<Item = &Erased> {
        self.erased.values().filter(|e| e.entry.is_none())
    }

    /// Reports whose bytes are gone.
    pub(super) fn gone_count(&self) -> u64 {
        u64::try_from(self.erased.len()).unwrap_or(u64::MAX)
    }

    /// Reports logged at or after `since_ms` (Unix milliseconds) whose bytes this audit does not have.
    pub(super) fn gone_since(&self, since_ms: u64) -> u64 {
        let gone = self.erased.values().filter(|e| !e.held);
        let count = gone.filter(|e| e.at_ms.is_none_or(|at_ms| at_ms >= since_ms));
        u64::try_from(count.count()).unwrap_or(u64::MAX)
    }

    /// How many erasure entries are below `log_size`.
    pub(super) fn erasures_below(&self, log_size: u64) -> u64 {
        let count = self.erasures.partition_point(|index| *index < log_size);
        u64::try_from(count).unwrap_or(u64::MAX)
    }

    /// Ids that an epoch over this prefix leaves out, because they were erased in it.
    pub(super) fn left_out(&self, log_size: u64) -> impl Iterator<Item = &ReportId> {
        let erased = self.erased.iter();
        erased
            .filter(move |(_, e)| e.entry.is_some_and(|entry| entry < log_size))
            .map(|(id, _)| id)
    }

    /// A report below `log_size` that an erasure met so far, at or above `log_size`, took away: its entry and the erasure's.
    fn erased_between(&self, log_size: u64) -> Option<(u64, u64)> {
        let below = self.erased.values().filter(|e| e.index < log_size);
        below
            .filter_map(|e| Some((e.index, e.entry?)))
            .filter(|(_, entry)| *entry >= log_size)
            .min_by_key(|(_, entry)| *entry)
    }

    /// Whether bytes that this audit has are left out of an epoch over this prefix.
    pub(super) fn leaves_out_held(&self, log_size: u64) -> bool {
        let erased = self.erased.values();
        erased
            .filter(|e| e.held)
            .any(|e| e.entry.is_some_and(|entry| entry < log_size))
    }

    /// Reports that an epoch covered and that were erased only afterwards.
    pub(super) fn lost_to(&self, epoch: &EpochEntry) -> u64 {
        let covered = |e: &&Erased| {
            !e.held
                && e.index < epoch.log_size
                && e.at_ms
                    .is_none_or(|at_ms| at_ms <= epoch.as_of.saturating_mul(1000))
                && e.entry.is_none_or(|entry| entry >= epoch.log_size)
        };
        let count = self.erased.values().filter(covered).count();
        u64::try_from(count).unwrap_or(u64::MAX)
    }

    /// The last policy with index below `log_size`.
    pub(super) fn policy_below(&self, log_size: u64) -> Option<&InForce> {
        let place = self.policies.partition_point(|p| p.index < log_size);
        self.policies.get(place.checked_sub(1)?)
    }

    /// The newest policy.
    pub(super) fn in_force(&self) -> Option<&InForce> {
        self.policies.last()
    }

    /// The newest epoch.
    pub(super) fn newest_epoch(&self) -> Option<&Logged> {
        self.epochs.last()
    }

    /// Every epoch so far.
    pub(super) fn epochs(&self) -> &[Logged] {
        &self.epochs
    }

    fn epoch_count(&self) -> u64 {
        u64::try_from(self.epochs.len()).unwrap_or(u64::MAX)
    }

    /// The key ring that the entries below `size` make.
    pub(super) fn ring_at(&self, size: u64) -> KeyRing {
        let mut ring = KeyRing::default();
        for (_, event) in self.key_events.iter().filter(|(index, _)| *index < size) {
            // They were all taken in this order before.
            let _ = ring.apply(event);
        }
        ring
    }

    /// `at` of the newest entry, Unix milliseconds.
    pub(super) fn at_ms(&self) -> u64 {
        self.at_ms
    }

    /// Policies, key events, epochs and erasures so far.
    pub(super) fn counts(&self) -> (u64, u64, u64, u64) {
        let count = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
        (
            count(self.policies.len()),
            count(self.key_events.len()),
            self.epoch_count(),
            count(self.erasures.len()),
        )
    }
}
