//! The reports that epochs are recomputed from: those of this run, and those of earlier runs read again.

use std::{collections::HashMap, sync::Arc};

use goodstanding_score::{evidence::Admitted, policy::Policy};
use goodstanding_verify::{digest::sha256, report::Report};
use rayon::prelude::*;

use super::Auditor;
use crate::{
    audit::{
        epochs,
        finding::{Failure, Place},
        index::{Remembered, WINDOW},
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
    /// Its reports.
    pub(in crate::audit) reports: Vec<Admitted>,
}

impl Auditor<'_> {
    /// Reads the reports of earlier runs again: their signatures were checked, and the index has their ids.
    pub(super) async fn load_older(&mut self) -> Result<(), Failure> {
        let end = std::mem::take(&mut self.older);
        let mut older = Vec::new();
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
                        if self.replay.erased(&seen.id).is_none() {
                            let by = served.and_then(|(_, by)| by);
                            self.gone(seen, by).await?;
                        }
                    }
                }
            }
            older.extend(blocking(move || again(found)).await??);
            start = stop;
        }
        older.append(&mut self.reports);
        self.reports = older;
        Ok(())
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
        let evidenced = epochs::covered(&self.reports, &entry, &left_out);
        Ok(NewestEvidence {
            epoch: entry.number,
            as_of: entry.as_of,
            policy: policy.policy.clone(),
            reports: match evidenced {
                epochs::Evidenced::Prefix(end) => {
                    let mut all = std::mem::take(&mut self.reports);
                    all.truncate(end);
                    all
                }
                epochs::Evidenced::Chosen(chosen) => chosen,
            },
        })
    }
}

/// Reads reports whose signatures were checked before.
fn again(found: Vec<(Remembered, String)>) -> Result<Vec<Admitted>, Failure> {
    found
        .into_par_iter()
        .map(|(seen, jws)| {
            let place = Place::Entry(seen.index);
            if sha256(jws.as_bytes()).0 != seen.id.0 {
                let detail = format!("the served bytes do not hash to {}", seen.id);
                return Err(Failure::at(Code::AuditBodyAltered, place, detail));
            }
            let report = Report::parse_admitted(&jws)
                .map_err(|error| Failure::caused(Code::AuditReport, place, error))?;
            Ok(Admitted {
                index: seen.index,
                at_ms: seen.at_ms,
                historical: seen.historical,
                report,
            })
        })
        .collect()
}
