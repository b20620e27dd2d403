//! The end of an audit that is neither right nor wrong: reports are not served, and the entries that are said to erase them are
//! not published yet.

use std::fmt;

use serde::Serialize;

use super::{claims::Open, replay::Logged};
use crate::code::Code;

/// Reports and epochs that are shown to people; as JSON there are all.
const SHOWN: usize = 20;

/// A report that is not served and said to be erased by an entry to come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PendingReport {
    /// Index of its entry.
    pub entry: u64,
    /// Its id.
    pub report: String,
    /// Index of the entry that is said to erase it.
    pub by: u64,
}

/// An epoch that was not recomputed, because it covers such a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct PendingEpoch {
    /// Its number.
    pub epoch: u64,
    /// Index of its entry.
    pub entry: u64,
}

/// What nothing was shown about; everything else agrees.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Pending {
    /// Entries of the audited checkpoint.
    pub size: u64,
    /// The reports, ascending by entry.
    pub reports: Vec<PendingReport>,
    /// The epochs, ascending.
    pub epochs: Vec<PendingEpoch>,
    /// Whether a state file holds the log to this in the next audit.
    pub remembered: bool,
}

impl Pending {
    /// What is open at the end of a tree of `size` entries, and the epochs that were left because of it.
    pub(super) fn new<'a>(
        open: &Open,
        epochs: impl Iterator<Item = &'a Logged>,
        size: u64,
        remembered: bool,
    ) -> Self {
        let reports = open.pending.iter().map(|(gone, by)| PendingReport {
            entry: gone.index,
            report: gone.id.to_string(),
            by: *by,
        });
        let epochs = epochs.map(|logged| PendingEpoch {
            epoch: logged.entry.number,
            entry: logged.index,
        });
        Self {
            size,
            reports: reports.collect(),
            epochs: epochs.collect(),
            remembered,
        }
    }

    /// The stable code.
    pub fn code(&self) -> &'static str {
        Code::AuditErasurePending.as_str()
    }
}

impl fmt::Display for Pending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let until = self.reports.iter().map(|report| report.by).max();
        let (what, is) = match self.reports.len() {
            1 => ("1 report".to_owned(), "is"),
            n => (format!("{n} reports"), "are"),
        };
        let entries = self.reports.iter().map(|report| report.entry);
        write!(
            f,
            "{what} (entry {}) {is} not served and said to be erased by an entry up to {}, which the checkpoint of {} entries \
             does not cover yet: nothing was shown about {}",
            some(entries),
            until.unwrap_or_default(),
            self.size,
            if self.reports.len() == 1 {
                "it"
            } else {
                "them"
            },
        )?;
        if !self.epochs.is_empty() {
            let numbers = self.epochs.iter().map(|epoch| epoch.epoch);
            write!(
                f,
                ", nor about the scores of epoch {}, which could not be recomputed without",
                some(numbers)
            )?;
        }
        f.write_str("; everything else in these entries agrees")?;
        if !self.remembered {
            f.write_str(
                ". Only a state file lets the next audit hold the log to this: say --state FILE",
            )?;
        }
        Ok(())
    }
}

/// The first of these numbers, and how many more there are.
fn some(numbers: impl ExactSizeIterator<Item = u64>) -> String {
    let more = numbers.len().saturating_sub(SHOWN);
    let shown: Vec<String> = numbers.take(SHOWN).map(|n| n.to_string()).collect();
    let shown = shown.join(", ");
    match more {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_open_is_named_and_counted() {
        let report = |entry| PendingReport {
            entry,
            report: "x".to_owned(),
            by: entry + 900,
        };
        let mut pending = Pending {
            size: 800,
            reports: vec![report(5)],
            epochs: Vec::new(),
            remembered: true,
        };
        assert_eq!(
            pending.to_string(),
            "1 report (entry 5) is not served and said to be erased by an entry up to 905, which the checkpoint of 800 entries \
             does not cover yet: nothing was shown about it; everything else in these entries agrees"
        );
        pending.reports = (0..22).map(report).collect();
        pending.epochs = vec![
            PendingEpoch {
                epoch: 2,
                entry: 300,
            },
            PendingEpoch {
                epoch: 3,
                entry: 301,
            },
        ];
        pending.remembered = false;
        let told = pending.to_string();
        for part in [
            "22 reports (entry 0, 1, ",
            "18, 19 and 2 more) are not served",
            "up to 921,",
            "nothing was shown about them, nor about the scores of epoch 2, 3, which",
            "say --state FILE",
        ] {
            assert!(told.contains(part), "{part}: {told}");
        }
    }
}
