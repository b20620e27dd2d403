//! Which reports become entries: the rules of admission, given what the store knows and what the batch did so far.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use goodstanding_score::policy::Policy;
use goodstanding_verify::{
    did::Did,
    report::{Evidence, Report, ReportId, Role, TimeLimits},
};

use crate::{
    code::{Code, Fault},
    store::AdmissionFacts,
};

/// A report whose bytes and signature were checked, with the store's answers.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// The parsed report.
    pub report: Report,
    /// Its signed bytes.
    pub jws: String,
    /// Log time of an operator's import, Unix milliseconds; `None` = now, with all time rules.
    pub historical_ms: Option<u64>,
    /// Whether trust flow reached the reporter in the newest epoch.
    pub reached: bool,
    /// What the store knows.
    pub facts: AdmissionFacts,
    /// Digests of its documents that came with a report before.
    pub used_documents: Arc<HashSet<[u8; 32]>>,
}

/// Rules of admission that the policy sets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Age and skew limits.
    pub times: TimeLimits,
    /// Unilateral reports a day of a key that no flow reaches.
    pub unilateral_per_day: u64,
    /// Keys of marketplaces and payment rails whose word counts.
    pub attestors: Vec<Did>,
}

impl Rules {
    /// The admission part of a policy.
    pub fn of(policy: &Policy) -> Self {
        Self {
            times: TimeLimits {
                max_age_s: policy.admission.max_age_s,
                max_skew_s: policy.admission.max_skew_s,
            },
            unilateral_per_day: policy.admission.unilateral_per_day,
            attestors: policy.attestors.clone(),
        }
    }
}

/// One reporter's side of one trade: reporter, subject, market, trade id.
type Side<'a> = (Did, Did, &'a str, &'a str);

/// What earlier items of the same batch did, seen by the later ones.
#[derive(Default)]
pub(super) struct Overlay<'a> {
    ids: HashMap<ReportId, u64>,
    jtis: HashMap<(Did, &'a str), ReportId>,
    current: HashMap<Side<'a>, (u64, ReportId, Role)>,
    alone: HashMap<Did, u64>,
    documents: HashSet<[u8; 32]>,
}

impl<'a> Overlay<'a> {
    /// Remembers a report that was admitted at `index`.
    pub(super) fn record(&mut self, report: &'a Report, index: u64, alone: bool) {
        self.ids.insert(report.id, index);
        self.jtis.insert((report.iss, &report.jti), report.id);
        self.current
            .insert(side(report), (index, report.id, report.trade.role));
        self.documents.extend(single_use_documents(report));
        *self.alone.entry(report.iss).or_default() += u64::from(alone);
    }
}

fn side(report: &Report) -> Side<'_> {
    let trade = &report.trade;
    (report.iss, report.sub, &trade.market, &trade.id)
}

/// What becomes of a report that is not refused.
pub(super) enum Verdict {
    /// The same bytes are this entry already.
    Same(u64),
    /// It becomes an entry.
    New {
        /// Index of the report that it replaces.
        supersedes: Option<u64>,
        /// Whether it is its author's word alone.
        alone: bool,
    },
}

/// The rules of admission for one report that would have log time `at_ms`.
///
/// # Errors
/// The code of the rule that it breaks.
pub(super) fn admit(
    candidate: &Candidate,
    overlay: &Overlay<'_>,
    rules: &Rules,
    at_ms: u64,
) -> Result<Verdict, Fault> {
    let Candidate { report, facts, .. } = candidate;
    if let Some(by) = facts.erased {
        let detail = format!("report {} was erased by entry {by}", report.id);
        return Err(Fault::new(Code::ReportErased, detail));
    }
    if let Some(index) = facts.same.or_else(|| overlay.ids.get(&report.id).copied()) {
        return Ok(Verdict::Same(index));
    }
    if candidate.historical_ms.is_none() {
        report.check_times(at_ms / 1000, &rules.times)?;
    }
    if let Some(other) = facts.jti.or_else(|| {
        overlay
            .jtis
            .get(&(report.iss, report.jti.as_str()))
            .copied()
    }) {
        return Err(Fault::new(
            Code::JtiConflict,
            format!("report {other} has the same jti"),
        ));
    }
    let supersedes = superseded(report, overlay, facts)?;
    let answered = facts.counterparty_reported || counterparty_in(overlay, report);
    let alone = is_alone(
        is_attested(candidate, overlay, rules),
        answered,
        supersedes.is_some(),
    );
    if alone && !candidate.reached && candidate.historical_ms.is_none() {
        let so_far = facts.alone + overlay.alone.get(&report.iss).copied().unwrap_or(0);
        if so_far >= rules.unilateral_per_day {
            let detail = format!(
                "{so_far} of {} unilateral reports in 24 hours",
                rules.unilateral_per_day
            );
            return Err(Fault::new(Code::QuotaUnilateral, detail));
        }
    }
    Ok(Verdict::New { supersedes, alone })
}

/// The index of the report that this one replaces, after checking that it may.
fn superseded(
    report: &Report,
    overlay: &Overlay<'_>,
    facts: &AdmissionFacts,
) -> Result<Option<u64>, Fault> {
    let current = overlay
        .current
        .get(&side(report))
        .map(|(index, id, _)| (*index, *id))
        .or(facts.current);
    match (current, report.supersedes) {
        (None, None) => Ok(None),
        (Some((index, id)), Some(named)) if id == named => Ok(Some(index)),
        (Some((_, id)), None) => Err(Fault::new(
            Code::TradeAlreadyReported,
            format!("the current report is {id}"),
        )),
        (Some((_, id)), Some(named)) => {
            let detail = format!("supersedes names {named}, the current report is {id}");
            // A report that lost the race to supersede is told the same as one that never tried.
            Err(Fault::new(Code::TradeAlreadyReported, detail))
        }
        (None, Some(named)) => Err(Fault::new(
            Code::SupersedesWrong,
            format!("{named} is not a report of this reporter on this trade"),
        )),
    }
}

fn counterparty_in(overlay: &Overlay<'_>, report: &Report) -> bool {
    let theirs = (
        report.sub,
        report.iss,
        report.trade.market.as_str(),
        report.trade.id.as_str(),
    );
    overlay
        .current
        .get(&theirs)
        .is_some_and(|(_, _, role)| *role != report.trade.role)
}

/// Digests of the documents that can lift one report only.
pub(crate) fn single_use_documents(report: &Report) -> Vec<[u8; 32]> {
    let digests = report.evidence.iter().filter_map(|e| match e {
        Evidence::Market { sha256, .. } | Evidence::Receipt { sha256, .. } => Some(sha256.0),
        Evidence::Terms(_) | Evidence::Hash(_) => None,
    });
    digests.collect()
}

/// Whether the report brings more than its author's word: terms name their trade; another document counts the first time only.
fn is_attested(candidate: &Candidate, overlay: &Overlay<'_>, rules: &Rules) -> bool {
    attested(&candidate.report, &rules.attestors, |sha256| {
        !candidate.used_documents.contains(sha256) && !overlay.documents.contains(sha256)
    })
}

/// The rule itself; `fresh(digest)` says whether no report before brought that document.
pub(crate) fn attested(
    report: &Report,
    attestors: &[Did],
    fresh: impl Fn(&[u8; 32]) -> bool,
) -> bool {
    report.evidence.iter().any(|evidence| match evidence {
        Evidence::Terms(_) => true,
        Evidence::Receipt {
            signer: Some(signer),
            sha256,
            ..
        } => (*signer == report.sub || attestors.contains(signer)) && fresh(&sha256.0),
        Evidence::Market { attestor, sha256 } => attestors.contains(attestor) && fresh(&sha256.0),
        Evidence::Receipt { signer: None, .. } | Evidence::Hash(_) => false,
    })
}

/// Whether a report is its author's word alone, as the quota counts: changing one's mind again and again costs, also on a
/// trade that both sides have reported.
pub(crate) fn is_alone(attested: bool, answered: bool, supersedes: bool) -> bool {
    !attested && (!answered || supersedes)
}
