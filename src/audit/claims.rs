//! What a log says of reports that it does not serve: which entry erased each. The log is held to it.
//!
//! An erasure takes the bytes away at once, and its entry is published only when the witnesses have cosigned it: until then an
//! honest log can say no more than the entry's index. Such a claim is remembered, also from one audit to the next. It is
//! broken when the entry comes and is another one, when the log names another entry later, and when the log goes on for
//! too long without coming to it: the entry was there when the claim was made, and log time never goes back, so nothing
//! in front of it can be dated later.

use std::collections::BTreeMap;

use goodstanding_verify::report::ReportId;

use super::{
    finding::{Failure, Place},
    index::Erased,
};
use crate::code::Code;

/// How far the auditor's clock and the log's may be apart, seconds.
const CLOCKS_APART_S: u64 = 3600;

/// That a report was erased by an entry that was not met yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Claim {
    /// Index of the report's entry.
    pub(super) index: u64,
    /// The report.
    pub(super) id: ReportId,
    /// Index of the entry that is said to erase it.
    pub(super) by: u64,
    /// When an audit first ended without that entry, Unix seconds.
    pub(super) since_s: Option<u64>,
}

/// Reports that are not served and that no entry so far erases.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Open {
    /// The first that should be served.
    pub(super) withheld: Option<Erased>,
    /// Those that an entry beyond the tree is said to erase.
    pub(super) pending: u64,
    /// The last of these entries.
    until: u64,
}

impl Open {
    /// What is pending at the end of a tree of `size` entries, for people.
    pub(super) fn told(&self, size: u64) -> String {
        let what = match self.pending {
            1 => "1 report is".to_owned(),
            n => format!("{n} reports are"),
        };
        format!(
            "{what} not served and said to be erased by an entry up to {}, which the checkpoint of {size} entries does not cover \
             yet; everything else in these entries agrees",
            self.until
        )
    }
}

/// The claims that are open.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Claims {
    /// By the report's index.
    open: BTreeMap<u64, Claim>,
    /// The report's index by that of the entry that is said to erase it.
    by_entry: BTreeMap<u64, u64>,
}

impl Claims {
    /// A further claim; `passed` entries were looked at already.
    ///
    /// # Errors
    /// `audit.body_missing` when it cannot be true.
    pub(super) fn add(&mut self, claim: Claim, passed: u64) -> Result<(), Failure> {
        let lie = |why: String| Err(withheld(&claim, &why));
        if claim.by <= claim.index || claim.by < passed {
            return lie("which is not its erasure".to_owned());
        }
        if let Some(before) = self.open.get(&claim.index) {
            return match before.by {
                by if by == claim.by => Ok(()),
                by => lie(format!("and before that it was entry {by}")),
            };
        }
        if let Some(other) = self.by_entry.insert(claim.by, claim.index) {
            return lie(format!(
                "which is said to erase the report at entry {other}"
            ));
        }
        self.open.insert(claim.index, claim);
        Ok(())
    }

    /// An erasure was met, at `entry`, of the report at `report`.
    ///
    /// # Errors
    /// `audit.body_missing` when another one was said to erase it.
    pub(super) fn erased(&mut self, report: u64, entry: u64) -> Result<(), Failure> {
        match self.open.remove(&report) {
            None => Ok(()),
            Some(claim) if claim.by == entry => {
                self.by_entry.remove(&entry);
                Ok(())
            }
            Some(claim) => Err(withheld(&claim, &format!("but entry {entry} erases it"))),
        }
    }

    /// An entry was gone past, dated `at_ms` (Unix milliseconds).
    ///
    /// # Errors
    /// `audit.body_missing` when it was said to erase a report and does not, or when an entry that is claimed to be further on
    /// would have to be older than this one.
    pub(super) fn passed(&self, entry: u64, at_ms: u64) -> Result<(), Failure> {
        if self.open.is_empty() {
            return Ok(());
        }
        let broken = self.by_entry.get(&entry).and_then(|r| self.open.get(r));
        if let Some(claim) = broken {
            return Err(withheld(claim, "which is another entry"));
        }
        let too_late = |claim: &&Claim| {
            claim.since_s.is_some_and(|since| {
                at_ms > since.saturating_add(CLOCKS_APART_S).saturating_mul(1000)
            })
        };
        match self.open.values().find(too_late) {
            None => Ok(()),
            Some(claim) => {
                let since = claim.since_s.unwrap_or_default();
                let why = format!(
                    "which was there at {since} (Unix seconds), but entry {entry} in front of it is of {at_ms} ms"
                );
                Err(withheld(claim, &why))
            }
        }
    }

    /// What is open at the end of a tree of `size` entries; `gone` are the reports that none of them erases.
    pub(super) fn open<'a>(&self, gone: impl Iterator<Item = &'a Erased>, size: u64) -> Open {
        let mut open = Open::default();
        for gone in gone {
            let by = self.open.get(&gone.index).map(|claim| claim.by);
            match by.filter(|by| *by >= size) {
                Some(by) => {
                    open.pending += 1;
                    open.until = open.until.max(by);
                }
                None if open.withheld.is_none_or(|w| gone.index < w.index) => {
                    open.withheld = Some(*gone);
                }
                None => {}
            }
        }
        open
    }

    /// The audit ends at `now_s` (Unix seconds): what is open now was said at that time at the latest.
    pub(super) fn remain(&mut self, now_s: u64) {
        for claim in self.open.values_mut() {
            claim.since_s.get_or_insert(now_s);
        }
    }

    /// Takes over what another run was told and this one was not.
    pub(super) fn keep(&mut self, other: &Self) {
        for claim in other.open.values() {
            if !self.open.contains_key(&claim.index) && !self.by_entry.contains_key(&claim.by) {
                self.open.insert(claim.index, *claim);
                self.by_entry.insert(claim.by, claim.index);
            }
        }
    }

    /// All of them, ascending by the report's index.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Claim> {
        self.open.values()
    }
}

impl FromIterator<Claim> for Claims {
    fn from_iter<I: IntoIterator<Item = Claim>>(claims: I) -> Self {
        let open: BTreeMap<u64, Claim> = claims.into_iter().map(|c| (c.index, c)).collect();
        let by_entry = open.values().map(|c| (c.by, c.index)).collect();
        Self { open, by_entry }
    }
}

fn withheld(claim: &Claim, why: &str) -> Failure {
    let detail = format!(
        "report {} is not served and said to be erased by entry {}, {why}",
        claim.id, claim.by
    );
    Failure::at(Code::AuditBodyMissing, Place::Entry(claim.index), detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(index: u64, by: u64) -> Claim {
        Claim {
            index,
            id: ReportId([7; 32]),
            by,
            since_s: None,
        }
    }

    fn refused(done: Result<(), Failure>) -> String {
        match done {
            Err(Failure::Disagrees(found)) => {
                assert_eq!(found.code(), "audit.body_missing");
                assert_eq!(found.place(), &Place::Entry(5));
                found.to_string()
            }
            other => panic!("not refused: {other:?}"),
        }
    }

    #[test]
    fn a_claim_is_kept_by_the_entry_that_it_names() {
        let mut claims = Claims::default();
        claims.add(claim(5, 12), 6).unwrap();
        claims.add(claim(5, 12), 9).unwrap();
        let gone = Erased {
            index: 5,
            id: ReportId([7; 32]),
            at_ms: None,
            entry: None,
            held: false,
        };
        let pending = claims.open([gone].iter(), 12);
        assert_eq!((pending.withheld, pending.pending), (None, 1));
        // Inside the tree it would have been met.
        let missing = claims.open([gone].iter(), 13);
        assert_eq!((missing.withheld, missing.pending), (Some(gone), 0));
        claims.passed(11, u64::MAX).unwrap();
        claims.erased(5, 12).unwrap();
        claims.passed(12, 0).unwrap();
        assert_eq!(claims, Claims::default());
    }

    #[test]
    fn a_claim_that_cannot_be_true_is_refused() {
        for (by, passed) in [(4, 6), (5, 6), (8, 9)] {
            refused(Claims::default().add(claim(5, by), passed));
        }
        let mut claims = Claims::default();
        claims.add(claim(5, 12), 6).unwrap();
        assert!(refused(claims.add(claim(5, 13), 6)).contains("entry 12"));
        assert!(refused(claims.clone().erased(5, 11)).contains("entry 11 erases it"));
        refused(claims.passed(12, 0));
        let mut claims = Claims::default();
        claims.add(claim(4, 12), 6).unwrap();
        assert!(refused(claims.add(claim(5, 12), 6)).contains("entry 4"));
    }

    #[test]
    fn a_claim_far_ahead_is_broken_by_what_is_logged_later() {
        let mut claims = Claims::default();
        claims.add(claim(5, u64::MAX), 6).unwrap();
        claims.remain(1000);
        claims.remain(2000);
        let written: Claims = claims.iter().copied().collect();
        assert_eq!(written, claims);
        let latest = (1000 + CLOCKS_APART_S) * 1000;
        claims.passed(900, latest).unwrap();
        assert!(refused(claims.passed(901, latest + 1)).contains("entry 901"));
    }
}
