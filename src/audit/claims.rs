//! What a log says of reports that it does not serve: which entry erased each. The log is held to it.
//!
//! An erasure takes the bytes away at once, and its entry is published only when the witnesses have cosigned it: until then an
//! honest log can say no more than the entry's index. Such a claim is remembered, also from one audit to the next. It is
//! broken when the entry comes and is another one, when the log names another entry later, when it names one that no log is
//! that far ahead of what it publishes or that is beyond its end, and when the log goes on for
//! too long without coming to it: the entry was there when the claim was made, and log time never goes back, so nothing
//! in front of it can be dated later.

use std::collections::{BTreeMap, BTreeSet};

use goodstanding_verify::report::ReportId;

use super::{
    finding::{Failure, Place},
    index::Erased,
};
use crate::code::Code;

/// How far the auditor's clock and the log's may be apart, seconds.
const CLOCKS_APART_S: u64 = 3600;
/// How many entries a log may have signed and not published: hours of the most that one can take.
const MOST_UNPUBLISHED: u64 = 1_000_000;

/// That a report was erased by an entry that was not met yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Claim {
    /// Index of the report's entry.
    pub(super) index: u64,
    /// The report.
    pub(super) id: ReportId,
    /// Index of the entry that is said to erase it.
    pub(super) by: u64,
    /// When an audit first ended without that entry, Unix seconds: by the auditor's clock or by the log's, whichever was
    /// ahead.
    pub(super) since_s: Option<u64>,
}

/// Where the entries of a log end, as far as anybody can know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bound {
    /// It has published so many, and may have signed some more.
    Published(u64),
    /// It has ended with so many.
    Ended(u64),
}

impl Bound {
    /// A claim of an entry that the log can have.
    ///
    /// # Errors
    /// `audit.body_missing` when it cannot.
    fn holds(self, claim: &Claim) -> Result<(), Failure> {
        match self {
            Self::Published(size) if claim.by > size.saturating_add(MOST_UNPUBLISHED) => {
                let why = format!("which no log of {size} published entries has signed");
                Err(withheld(claim, &why))
            }
            Self::Ended(size) if claim.by >= size => {
                let why = format!("but the log ended with {size} entries");
                Err(withheld(claim, &why))
            }
            Self::Published(_) | Self::Ended(_) => Ok(()),
        }
    }
}

/// Reports that are not served and that no entry so far erases.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Open {
    /// The first that should be served.
    pub(super) withheld: Option<Erased>,
    /// Those that an entry beyond the tree is said to erase, ascending by the report's index, with that entry's.
    pub(super) pending: Vec<(Erased, u64)>,
}

/// The claims that are open.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Claims {
    /// By the report's index.
    open: BTreeMap<u64, Claim>,
    /// The report's index by that of the entry that is said to erase it.
    by_entry: BTreeMap<u64, u64>,
    /// Since when, and the report's index, of those that an earlier audit was told: the first of them is broken first.
    by_time: BTreeSet<(u64, u64)>,
}

impl Claims {
    /// A further claim; `passed` entries were looked at already.
    ///
    /// # Errors
    /// `audit.body_missing` when it cannot be true.
    pub(super) fn add(&mut self, claim: Claim, passed: u64, bound: Bound) -> Result<(), Failure> {
        bound.holds(&claim)?;
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
        if let Some(other) = self.by_entry.get(&claim.by) {
            return lie(format!(
                "which is said to erase the report at entry {other}"
            ));
        }
        self.insert(claim);
        Ok(())
    }

    fn insert(&mut self, claim: Claim) {
        self.by_entry.insert(claim.by, claim.index);
        self.by_time
            .extend(claim.since_s.map(|since| (since, claim.index)));
        self.open.insert(claim.index, claim);
    }

    /// Every open claim is of an entry that the log can have.
    ///
    /// # Errors
    /// `audit.body_missing` when one is not.
    pub(super) fn within(&self, bound: Bound) -> Result<(), Failure> {
        self.open.values().try_for_each(|claim| bound.holds(claim))
    }

    /// An erasure was met, at `entry`, of the report at `report`.
    ///
    /// # Errors
    /// `audit.body_missing` when another one was said to erase it.
    pub(super) fn erased(&mut self, report: u64, entry: u64) -> Result<(), Failure> {
        let Some(claim) = self.open.get(&report).copied() else {
            return Ok(());
        };
        if claim.by != entry {
            return Err(withheld(&claim, &format!("but entry {entry} erases it")));
        }
        self.open.remove(&report);
        self.by_entry.remove(&entry);
        if let Some(since) = claim.since_s {
            self.by_time.remove(&(since, report));
        }
        Ok(())
    }

    /// An entry was gone past, dated `at_ms` (Unix milliseconds).
    ///
    /// # Errors
    /// `audit.body_missing` when it was said to erase a report and does not, or when an entry that is claimed to be further on
    /// would have to be older than this one.
    pub(super) fn passed(&self, entry: u64, at_ms: u64) -> Result<(), Failure> {
        let broken = self.by_entry.get(&entry).and_then(|r| self.open.get(r));
        if let Some(claim) = broken {
            return Err(withheld(claim, "which is another entry"));
        }
        let Some((since, report)) = self.by_time.first() else {
            return Ok(());
        };
        let latest_ms = since.saturating_add(CLOCKS_APART_S).saturating_mul(1000);
        match self.open.get(report).filter(|_| at_ms > latest_ms) {
            None => Ok(()),
            Some(claim) => {
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
                Some(by) => open.pending.push((*gone, by)),
                None if open.withheld.is_none_or(|w| gone.index < w.index) => {
                    open.withheld = Some(*gone);
                }
                None => {}
            }
        }
        open.pending.sort_unstable_by_key(|(gone, _)| gone.index);
        open
    }

    /// The audit ends at `now_s` (the auditor's Unix seconds) and the newest entry that it looked at is of `at_ms` (the
    /// log's Unix milliseconds): what is open now was said at that time at the latest. What comes is dated by the log, so a
    /// log whose clock is ahead is held to its own.
    pub(super) fn remain(&mut self, now_s: u64, at_ms: u64) {
        let now_s = now_s.max(at_ms.div_ceil(1000));
        for claim in self.open.values_mut() {
            let since = *claim.since_s.get_or_insert(now_s);
            self.by_time.insert((since, claim.index));
        }
    }

    /// Takes over what another run was told and this one was not.
    pub(super) fn keep(&mut self, other: &Self) {
        for claim in other.open.values() {
            if !self.open.contains_key(&claim.index) && !self.by_entry.contains_key(&claim.by) {
                self.insert(*claim);
            }
        }
    }

    /// Indices of the reports that an earlier audit was told of, ascending.
    pub(super) fn remembered(&self) -> Vec<u64> {
        let told = self.open.values().filter(|claim| claim.since_s.is_some());
        told.map(|claim| claim.index).collect()
    }

    /// All of them, ascending by the report's index.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Claim> {
        self.open.values()
    }
}

impl FromIterator<Claim> for Claims {
    fn from_iter<I: IntoIterator<Item = Claim>>(claims: I) -> Self {
        let mut all = Self::default();
        for claim in claims {
            all.insert(claim);
        }
        all
    }
}

/// The disagreement about a claim that is not true.
pub(super) fn withheld(claim: &Claim, why: &str) -> Failure {
    let detail = format!(
        "report {} is not served and said to be erased by entry {}, {why}",
        claim.id, claim.by
    );
    Failure::at(Code::AuditBodyMissing, Place::Entry(claim.index), detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANY: Bound = Bound::Published(100);

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
        claims.add(claim(5, 12), 6, ANY).unwrap();
        claims.add(claim(5, 12), 9, ANY).unwrap();
        let gone = Erased {
            index: 5,
            id: ReportId([7; 32]),
            at_ms: None,
            entry: None,
            held: false,
        };
        let pending = claims.open([gone].iter(), 12);
        assert_eq!(
            (pending.withheld, pending.pending),
            (None, vec![(gone, 12)])
        );
        // Inside the tree it would have been met.
        let missing = claims.open([gone].iter(), 13);
        assert_eq!((missing.withheld, missing.pending), (Some(gone), vec![]));
        claims.passed(11, u64::MAX).unwrap();
        claims.erased(5, 12).unwrap();
        claims.passed(12, 0).unwrap();
        assert_eq!(claims, Claims::default());
    }

    #[test]
    fn a_claim_that_cannot_be_true_is_refused() {
        for (by, passed) in [(4, 6), (5, 6), (8, 9)] {
            refused(Claims::default().add(claim(5, by), passed, ANY));
        }
        let mut claims = Claims::default();
        claims.add(claim(5, 12), 6, ANY).unwrap();
        assert!(refused(claims.add(claim(5, 13), 6, ANY)).contains("entry 12"));
        assert!(refused(claims.clone().erased(5, 11)).contains("entry 11 erases it"));
        refused(claims.passed(12, 0));
        let mut claims = Claims::default();
        claims.add(claim(4, 12), 6, ANY).unwrap();
        assert!(refused(claims.add(claim(5, 12), 6, ANY)).contains("entry 4"));
    }

    #[test]
    fn a_claim_far_ahead_is_broken_by_what_is_logged_later() {
        let mut claims = Claims::default();
        claims.add(claim(5, 100_000), 6, ANY).unwrap();
        claims.remain(1000, 999_000);
        claims.remain(2000, 999_000);
        let written: Claims = claims.iter().copied().collect();
        assert_eq!(written, claims);
        let latest = (1000 + CLOCKS_APART_S) * 1000;
        claims.passed(900, latest).unwrap();
        assert!(refused(claims.passed(901, latest + 1)).contains("entry 901"));
    }

    #[test]
    fn a_claim_beyond_what_a_log_can_have_signed_is_refused() {
        let published = Bound::Published(100);
        let most = 100 + MOST_UNPUBLISHED;
        let mut claims = Claims::default();
        claims.add(claim(5, most), 6, published).unwrap();
        let why = refused(Claims::default().add(claim(5, most + 1), 6, published));
        assert!(why.contains("no log of 100 published entries"), "{why}");
        // What was believed before the log ended is looked at again.
        claims.within(published).unwrap();
        claims.within(Bound::Ended(most + 1)).unwrap();
        assert!(refused(claims.within(Bound::Ended(most))).contains("the log ended"));
        Claims::default()
            .add(claim(5, 11), 6, Bound::Ended(12))
            .unwrap();
        refused(Claims::default().add(claim(5, 12), 6, Bound::Ended(12)));
    }

    #[test]
    fn a_log_is_held_to_the_clock_that_is_ahead() {
        // The log's clock is two hours ahead of the auditor's: its entries are not dated after the claim by that.
        let mut claims = Claims::default();
        claims.add(claim(5, 50), 6, ANY).unwrap();
        claims.remain(1000, 8_200_001);
        let latest = (8_201 + CLOCKS_APART_S) * 1000;
        claims.passed(20, latest).unwrap();
        assert!(refused(claims.passed(21, latest + 1)).contains("entry 21"));
        // The auditor's is ahead.
        let mut claims = Claims::default();
        claims.add(claim(5, 50), 6, ANY).unwrap();
        claims.remain(9000, 1_000_000);
        claims.passed(20, (9000 + CLOCKS_APART_S) * 1000).unwrap();
    }

    #[test]
    fn the_oldest_claim_counts_until_its_entry_comes() {
        let mut first = Claims::default();
        first.add(claim(5, 50), 6, ANY).unwrap();
        first.remain(1000, 0);
        first.add(claim(4, 60), 6, ANY).unwrap();
        first.add(claim(3, 70), 6, ANY).unwrap();
        // Those of this very run have no time yet.
        assert_eq!(first.remembered(), [5]);
        first.remain(5000, 0);
        assert_eq!(first.remembered(), [3, 4, 5]);
        let mut claims = Claims::default();
        claims.keep(&first);
        assert_eq!(claims, first);
        let late = (1000 + CLOCKS_APART_S) * 1000 + 1;
        refused(claims.passed(20, late));
        // An erasure by another entry is refused and changes nothing.
        refused(claims.erased(5, 49));
        claims.erased(5, 50).unwrap();
        claims.passed(50, late).unwrap();
        claims.erased(4, 60).unwrap();
        claims.erased(3, 70).unwrap();
        assert_eq!(claims, Claims::default());
    }
}
