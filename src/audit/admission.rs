//! The rules that a report has to keep at its place in the log: the same as [`crate::log::plan`] keeps when it admits one,
//! read from outside.
//!
//! What was erased is not known any more. Where a rule depends on it, the benefit of the doubt is the log's: an erased
//! report may have been the current one that was superseded, and the answer to a report that now stands alone.

use std::collections::{HashMap, HashSet};

use goodstanding_verify::{did::Did, report::Evidence};

use super::{
    finding::{Failure, Place},
    index::{Current, Remembered},
    window::{Checked, Key, cut},
};
use crate::{
    code::{Code, Fault},
    log::plan::{Rules, attested, is_alone},
};

/// Length of the window that the unilateral quota counts in, milliseconds.
pub(super) const DAY_MS: u64 = 86_400_000;

/// What the index knows that bears on the reports of a window; places are entry indices.
#[derive(Clone, Debug, Default)]
pub(super) struct Facts {
    /// Reports whose jti was there before, with the first one's index.
    pub(super) jtis: HashMap<u64, u64>,
    /// The current report on the reporter's side.
    pub(super) sides: HashMap<u64, Remembered>,
    /// The current report on the counterparty's side.
    pub(super) other_sides: HashMap<u64, Current>,
    /// Documents that came before the window.
    pub(super) documents: HashSet<Key>,
    /// Reports on its word alone of the reporter in the day before, not counting this window.
    pub(super) alone: HashMap<u64, u64>,
}

/// What earlier reports of the window did, seen by the later ones.
#[derive(Debug, Default)]
pub(super) struct Overlay {
    sides: HashMap<Key, Remembered>,
    sellers: HashMap<Key, bool>,
    documents: HashSet<Key>,
    alone: HashMap<Key, Vec<u64>>,
    /// Reports on their reporter's word alone: reporter, log time, index.
    pub(super) new_alone: Vec<(Key, u64, u64)>,
    /// Documents that the window brought, and the indices of their reports.
    pub(super) new_documents: Vec<(Key, u64)>,
}

/// What the rules need to know beside the index.
pub(super) struct Context<'a> {
    /// The policy's rules.
    pub(super) rules: &'a Rules,
    /// Who is reached by flow; `None` = not known, so the quota is not checked.
    pub(super) reached: Option<&'a HashSet<Did>>,
    /// Whether a report's bytes are gone.
    pub(super) is_gone: &'a dyn Fn(&Remembered) -> bool,
    /// Whether the report with this id is gone.
    pub(super) is_gone_id: &'a dyn Fn(&goodstanding_verify::report::ReportId) -> bool,
    /// How many reports that were logged since this time (Unix milliseconds) are gone.
    pub(super) gone_since: &'a dyn Fn(u64) -> u64,
}

/// Admits the next report.
///
/// # Errors
/// `audit.report_invalid`, `audit.report_duplicate`, `audit.jti_reused`, `audit.supersession_invalid`, `audit.quota_exceeded`.
pub(super) fn admit(
    checked: &Checked,
    seen: &Remembered,
    facts: &Facts,
    overlay: &mut Overlay,
    context: &Context<'_>,
) -> Result<(), Failure> {
    let report = &checked.report;
    let index = seen.index;
    let place = || Place::Entry(index);
    if !seen.historical {
        report
            .check_times(seen.at_ms / 1000, &context.rules.times)
            .map_err(|error| Failure::caused(Code::AuditReport, place(), error))?;
    }
    if let Some(first) = facts.jtis.get(&index) {
        let detail = format!("{} has the jti {} at entry {first}", report.iss, report.jti);
        return Err(Failure::at(Code::AuditJti, place(), detail));
    }
    let supersedes = superseded(checked, index, facts, overlay, context)?;
    let answered = match overlay.sellers.get(&checked.other_side) {
        Some(seller) => *seller != checked.is_seller(),
        None => facts
            .other_sides
            .get(&index)
            .is_some_and(|other| other.seller != checked.is_seller()),
    };
    let attested = is_attested(checked, facts, overlay, context.rules);
    let alone = is_alone(attested, answered, supersedes);
    let reporter = cut(report.iss.key_bytes());
    if alone
        && !seen.historical
        && let Some(reached) = context.reached
        && !reached.contains(&report.iss)
    {
        let since = seen.at_ms.saturating_sub(DAY_MS);
        let in_window = overlay.alone.get(&reporter).map_or(0, |times| {
            times.iter().filter(|at_ms| **at_ms >= since).count()
        });
        let so_far = facts.alone.get(&index).copied().unwrap_or(0)
            + u64::try_from(in_window).unwrap_or(u64::MAX);
        let limit = context.rules.unilateral_per_day;
        // Each report of that day that is gone may have answered one of these.
        if so_far >= limit && so_far.saturating_sub((context.gone_since)(since)) >= limit {
            let detail = format!(
                "{} had {so_far} of {limit} unilateral reports in 24 hours",
                report.iss
            );
            return Err(Failure::at(Code::AuditQuota, place(), detail));
        }
    }
    overlay.sides.insert(checked.side, *seen);
    overlay.sellers.insert(checked.side, checked.is_seller());
    for document in documents(checked) {
        overlay.documents.insert(document);
        overlay.new_documents.push((document, index));
    }
    if alone {
        overlay.alone.entry(reporter).or_default().push(seen.at_ms);
        overlay.new_alone.push((reporter, seen.at_ms, index));
    }
    Ok(())
}

/// Whether the report replaces another one, after checking that it may.
fn superseded(
    checked: &Checked,
    index: u64,
    facts: &Facts,
    overlay: &Overlay,
    context: &Context<'_>,
) -> Result<bool, Failure> {
    let current = overlay
        .sides
        .get(&checked.side)
        .or_else(|| facts.sides.get(&index));
    let wrong = |cause: Code, detail: String| {
        let cause = Fault::new(cause, detail);
        Err(Failure::caused(
            Code::AuditSupersession,
            Place::Entry(index),
            cause,
        ))
    };
    match (current, checked.report.supersedes) {
        (None, None) => Ok(false),
        (Some(current), Some(named)) if current.id == named => Ok(true),
        // What was erased may have been the current one, or have replaced it.
        (_, Some(named)) if (context.is_gone_id)(&named) => Ok(true),
        (Some(current), named) if (context.is_gone)(current) => Ok(named.is_some()),
        (Some(current), None) => wrong(
            Code::TradeAlreadyReported,
            format!(
                "the current report is {} (entry {})",
                current.id, current.index
            ),
        ),
        (Some(current), Some(named)) => wrong(
            Code::TradeAlreadyReported,
            format!(
                "supersedes names {named}, the current report is {} (entry {})",
                current.id, current.index
            ),
        ),
        (None, Some(named)) => wrong(
            Code::SupersedesWrong,
            format!("{named} is not a report of this reporter on this trade"),
        ),
    }
}

/// Documents that can lift one report only.
pub(super) fn documents(checked: &Checked) -> impl Iterator<Item = Key> {
    checked.report.evidence.iter().filter_map(|e| match e {
        Evidence::Market { sha256, .. } | Evidence::Receipt { sha256, .. } => Some(cut(&sha256.0)),
        Evidence::Terms(_) | Evidence::Hash(_) => None,
    })
}

/// Whether the report brings more than its author's word: terms name their trade; another document counts the first time only.
fn is_attested(checked: &Checked, facts: &Facts, overlay: &Overlay, rules: &Rules) -> bool {
    let fresh = |sha256: &[u8; 32]| {
        let key = cut(sha256);
        !facts.documents.contains(&key) && !overlay.documents.contains(&key)
    };
    attested(&checked.report, &rules.attestors, fresh)
}
