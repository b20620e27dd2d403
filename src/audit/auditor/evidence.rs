//! The reports that epochs are recomputed from: those of this run, and those of earlier runs read again.

use std::{collections::HashMap, sync::Arc};

use goodstanding_score::{
    evidence::{Evidence, Ledger},
    policy::Policy,
};
use goodstanding_verify::{digest::sha256, report::Report};
use rayon::prelude::*;

use super::Auditor;
use crate::{
    audit::{
        claims::{Claim, Open, withheld},
        epochs,
        finding::{Failure, Place},
        index::{Erased, Remembered, WINDOW},
        replay::Logged,
    },
    code::{Code, Fault},
    ingest::blocking,
};

/// What the newest epoch rests on.
#[derive(Debug)]
pub(in crate::audit) struct NewestEvidence {
    /// Its number.
    pub(in crate::audit) epoch: u64,
    /// The time that its scores are of, Unix seconds.
    pub(in crate::audit) as_of: u64,
    /// Its policy.
    pub(in crate::audit) policy: Arc<Policy>,
    /// Its evidence.
    pub(in crate::audit) evidence: Evidence,
}

impl Auditor<'_> {
    /// Reads the reports of earlier runs again: their signatures were checked, and the index has their ids.
    pub(super) async fn load_older(&mut self) -> Result<(), Failure> {
        let end = std::mem::take(&mut self.older);
        let mut older = Ledger::default();
        let mut start = 0;
        while start < end {
            let stop = end.min(start.saturating_add(WINDOW));
            let known = self.index.reports(start, stop).await?;
            let bodies = self.source.bodies(start, stop).await?;
            let mut bodies: HashMap<u64, (Option<String>, Option<u64>)> = bodies
                .into_iter()
                .map(|b| (b.index, (b.jws, b.erased_by)))
                .collect();
            let mut found = Vec::with_capacity(known.len());
            for seen in known {
                match bodies.remove(&seen.index) {
                    Some((Some(jws), _)) => found.push((seen, jws)),
                    None if self.source.tells_erased() => {
                        let detail =
                            format!("report {} is not served and not said to be erased", seen.id);
                        let place = Place::Entry(seen.index);
                        return Err(Failure::at(Code::AuditBodyMissing, place, detail));
                    }
                    served => {
                        let by = served.and_then(|(_, by)| by);
                        match self.replay.erased(&seen.id).copied() {
                            None => self.gone(seen, by).await?,
                            Some(gone) => self.said_again(&gone, by)?,
                        }
                    }
                }
            }
            for part in blocking(move || again(&found)).await?? {
                older.append(part);
            }
            start = stop;
        }
        older.append(std::mem::take(&mut self.reports));
        self.reports = older;
        Ok(())
    }

    /// What the source says now of a report that was gone before has to be what it said then.
    fn said_again(&mut self, gone: &Erased, by: Option<u64>) -> Result<(), Failure> {
        let Some(by) = by else { return Ok(()) };
        let claim = Claim {
            index: gone.index,
            id: gone.id,
            by,
            since_s: None,
        };
        match gone.entry {
            None => self.claims.add(claim, self.frontier.size(), self.bound),
            Some(entry) if entry == by => Ok(()),
            Some(entry) => Err(withheld(&claim, &format!("but entry {entry} erased it"))),
        }
    }

    /// Asks again about the reports that an earlier audit was told of and that no entry has erased since: those that are
    /// gone over without it are not asked for otherwise.
    ///
    /// # Errors
    /// `audit.body_missing` when the source names another entry now, or says nothing any more.
    pub(in crate::audit) async fn ask_again(&mut self) -> Result<(), Failure> {
        let told = self.claims.remembered();
        let all = self.replay.unexplained().map(|gone| (gone.index, *gone));
        let all: HashMap<u64, Erased> = all.collect();
        for told in told.chunk_by(|a, b| a / WINDOW == b / WINDOW) {
            let (Some(first), Some(last)) = (told.first(), told.last()) else {
                continue;
            };
            let bodies = self.source.bodies(*first, last.saturating_add(1)).await?;
            let bodies: HashMap<u64, (bool, Option<u64>)> = bodies
                .into_iter()
                .map(|b| (b.index, (b.jws.is_some(), b.erased_by)))
                .collect();
            for gone in told.iter().filter_map(|index| all.get(index)) {
                match bodies.get(&gone.index) {
                    Some((false, by)) => self.said_again(gone, *by)?,
                    None if self.source.tells_erased() => {
                        let detail = format!(
                            "report {} is not served and not said to be erased, as it was before",
                            gone.id
                        );
                        let place = Place::Entry(gone.index);
                        return Err(Failure::at(Code::AuditBodyMissing, place, detail));
                    }
                    // Served again: nothing is withheld now.
                    Some((true, _)) | None => {}
                }
            }
        }
        Ok(())
    }

    /// The epochs that were not recomputed and cover a report that is open.
    pub(in crate::audit) fn left_for(&self, open: &Open) -> impl Iterator<Item = &Logged> {
        // Neither the index nor log time ever goes back: an epoch that covers any of them covers the first.
        let first = open.pending.first().map(|(gone, _)| *gone);
        self.replay.epochs().iter().filter(move |logged| {
            let entry = &logged.entry;
            let covers = |gone: Erased| {
                let until_ms = entry.as_of.saturating_mul(1000);
                gone.index < entry.log_size && gone.at_ms.is_none_or(|at_ms| at_ms <= until_ms)
            };
            first.is_some_and(covers) && self.left.contains(entry.number)
        })
    }

    /// The reports of the newest epoch, its policy and number.
    ///
    /// # Errors
    /// `audit.epoch_not_recomputable`, `epoch.unknown`.
    pub(in crate::audit) async fn newest_evidence(&mut self) -> Result<NewestEvidence, Failure> {
        self.load_older().await?;
        let unknown = || Fault::new(Code::EpochUnknown, "the log has no epoch yet");
        let logged = self.replay.newest_epoch().cloned().ok_or_else(unknown)?;
        let entry = logged.entry;
        let policy = self
            .replay
            .policy_below(entry.log_size)
            .ok_or_else(unknown)?;
        let lost = self.replay.lost_to(&entry);
        if lost > 0 {
            let detail = format!("{lost} reports of epoch {} were erased since", entry.number);
            return Err(Fault::new(Code::AuditEpochLeft, detail).into());
        }
        let left_out = epochs::left_out(&self.replay, &entry);
        let (reports, epoch) = (std::mem::take(&mut self.reports), entry.clone());
        let policy = policy.policy.clone();
        let rules = policy.clone();
        let evidence =
            blocking(move || epochs::evidence(&reports, &epoch, &left_out, &rules)).await?;
        Ok(NewestEvidence {
            epoch: entry.number,
            as_of: entry.as_of,
            policy,
            evidence,
        })
    }
}

/// Reports that one thread reads at a time.
const PART: usize = 256;

/// Reads reports whose signatures were checked before, as ledgers in log order.
fn again(found: &[(Remembered, String)]) -> Result<Vec<Ledger>, Failure> {
    let read = |part: &[(Remembered, String)]| {
        let mut ledger = Ledger::default();
        for (seen, jws) in part {
            let place = Place::Entry(seen.index);
            if sha256(jws.as_bytes()).0 != seen.id.0 {
                let detail = format!("the served bytes do not hash to {}", seen.id);
                return Err(Failure::at(Code::AuditBodyAltered, place, detail));
            }
            let report = Report::parse_admitted(jws)
                .map_err(|error| Failure::caused(Code::AuditReport, place, error))?;
            ledger.push(seen.index, seen.at_ms, &report);
        }
        Ok(ledger)
    };
    found.par_chunks(PART).map(read).collect()
}
