//! What a batch becomes: a pure function of the log's state, the store's answers and the items.

mod admit;

use goodstanding_verify::{
    entry::{Body, Entry, KeyEntry},
    merkle::leaf_hash,
    report::ReportId,
};

pub use self::admit::{Candidate, Rules};
use self::admit::{Overlay, Verdict, admit};
pub(crate) use self::admit::{attested, is_alone, single_use_documents};
use super::{
    sign::LogSigner,
    tree::{Edge, Touched},
};
use crate::{
    code::{Code, Fault},
    store::{Commit, Head, NewEntry, NewEpoch, NewReport, Tree},
};

/// What the sequencer knows of the log.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// The right edge of the tree.
    pub edge: Edge,
    /// `at` of the newest entry, Unix milliseconds; never decreases.
    pub at_ms: u64,
    /// Whether there is a head at all.
    pub begun: bool,
}

/// An admitted report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Admitted {
    /// Leaf index.
    pub index: u64,
    /// Content address.
    pub id: ReportId,
    /// `false`: the same bytes had been admitted before.
    pub new: bool,
}

/// A planned batch.
#[derive(Debug)]
pub struct Planned {
    /// What to commit; `None` when no item made an entry.
    pub commit: Option<Commit>,
    /// The state afterwards.
    pub state: State,
    /// The tiles that changed, for receipts.
    pub touched: Touched,
    /// One verdict an item, in order.
    pub verdicts: Vec<Result<Admitted, Fault>>,
}

/// Plans a batch of reports at log time `now_ms` or later.
pub fn plan_reports(
    state: &State,
    candidates: &[Candidate],
    rules: &Rules,
    now_ms: u64,
    signer: &LogSigner,
) -> Planned {
    let mut overlay = Overlay::default();
    let (mut entries, mut reports, mut verdicts) = (Vec::new(), Vec::new(), Vec::new());
    let mut at_ms = state.at_ms;
    let mut index = state.edge.size();
    for candidate in candidates {
        let at = at_ms.max(candidate.historical_ms.unwrap_or(now_ms));
        let verdict = match candidate.historical_ms.filter(|ms| *ms > now_ms) {
            // Log time never goes back: one row from the future would make every later report look old.
            Some(ms) => Err(Fault::new(
                Code::HistoricalFuture,
                format!("{} s is later than now", ms / 1000),
            )),
            None => admit(candidate, &overlay, rules, at),
        };
        if let Ok(Verdict::New { supersedes, alone }) = verdict {
            let report = &candidate.report;
            let body = Body::Report {
                id: report.id,
                historical: candidate.historical_ms.is_some(),
            };
            let bytes = match (Entry { at, body }).to_bytes() {
                Ok(bytes) => bytes,
                Err(error) => {
                    verdicts.push(Err(error.into()));
                    continue;
                }
            };
            entries.push(NewEntry {
                index,
                at_ms: at,
                kind: "report",
                bytes,
            });
            reports.push(NewReport {
                index,
                at_ms: at,
                id: report.id,
                reporter: report.iss,
                subject: report.sub,
                market: report.trade.market.clone(),
                trade_id: report.trade.id.clone(),
                role: report.trade.role,
                jti: report.jti.clone(),
                historical: candidate.historical_ms.is_some(),
                alone,
                supersedes,
                documents: single_use_documents(report),
                jws: candidate.jws.clone(),
            });
            overlay.record(report, index, alone);
            verdicts.push(Ok(Admitted {
                index,
                id: report.id,
                new: true,
            }));
            at_ms = at;
            index += 1;
        } else {
            verdicts.push(match verdict {
                Ok(Verdict::Same(index)) => Ok(Admitted {
                    index,
                    id: candidate.report.id,
                    new: false,
                }),
                Ok(Verdict::New { .. }) => unreachable!("handled above"),
                Err(fault) => Err(fault),
            });
        }
    }
    finish(state, entries, reports, None, at_ms, verdicts, signer)
}

/// Plans one entry that is not a report, at log time `at_ms` or the newest entry's, whichever is later.
///
/// # Errors
/// `entry.malformed` when the entry cannot be written: a policy of more than 60,000 bytes, say.
pub fn plan_event(
    state: &State,
    body: Body,
    epoch: Option<NewEpoch>,
    at_ms: u64,
    signer: &LogSigner,
) -> Result<Planned, Fault> {
    let at = state.at_ms.max(at_ms);
    let entries = vec![event_entry(state.edge.size(), at, body)?];
    Ok(finish(
        state,
        entries,
        Vec::new(),
        epoch,
        at,
        Vec::new(),
        signer,
    ))
}

/// Plans key events that belong together, in their order, as [`plan_event`] does one.
///
/// # Errors
/// `entry.malformed` when one cannot be written.
pub fn plan_keys(
    state: &State,
    events: &[KeyEntry],
    at_ms: u64,
    signer: &LogSigner,
) -> Result<Planned, Fault> {
    let at = state.at_ms.max(at_ms);
    let entries = (state.edge.size()..)
        .zip(events)
        .map(|(index, event)| event_entry(index, at, Body::Key(*event)))
        .collect::<Result<_, _>>()?;
    Ok(finish(
        state,
        entries,
        Vec::new(),
        None,
        at,
        Vec::new(),
        signer,
    ))
}

fn event_entry(index: u64, at: u64, body: Body) -> Result<NewEntry, Fault> {
    Ok(NewEntry {
        index,
        at_ms: at,
        kind: body.kind(),
        bytes: Entry { at, body }.to_bytes()?,
    })
}

fn finish(
    state: &State,
    entries: Vec<NewEntry>,
    reports: Vec<NewReport>,
    epoch: Option<NewEpoch>,
    at_ms: u64,
    verdicts: Vec<Result<Admitted, Fault>>,
    signer: &LogSigner,
) -> Planned {
    let mut after = State {
        edge: state.edge.clone(),
        at_ms,
        begun: true,
    };
    let mut touched = Touched::new();
    if entries.is_empty() {
        return Planned {
            commit: None,
            state: state.clone(),
            touched,
            verdicts,
        };
    }
    after
        .edge
        .append(entries.iter().map(|e| leaf_hash(&e.bytes)), &mut touched);
    let (size, root) = (after.edge.size(), after.edge.root());
    let tiles: Vec<_> = touched
        .iter()
        .map(|(id, tile)| (Tree::Log, *id, tile.clone()))
        .collect();
    // The entry's place is known only now.
    let epoch = epoch.map(|epoch| NewEpoch {
        index: state.edge.size(),
        ..epoch
    });
    let commit = Commit {
        expected: state.begun.then(|| (state.edge.size(), state.edge.root())),
        head: Head {
            size,
            root,
            at_ms,
            note: signer.checkpoint(size, &root),
        },
        entries,
        reports,
        tiles,
        epoch,
        erasure: None,
    };
    Planned {
        commit: Some(commit),
        state: after,
        touched,
        verdicts,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use goodstanding_verify::{
        merkle::verify_inclusion,
        report::{Evidence, Report, TimeLimits},
    };
    use serde_json::json;

    use super::*;
    use crate::{keys::SecretKey, store::AdmissionFacts};

    const NOW: u64 = 1_767_225_600;

    fn key(n: u8) -> SecretKey {
        SecretKey::from_seed(&[n; 32])
    }

    fn rules(unilateral_per_day: u64) -> Rules {
        Rules {
            times: TimeLimits {
                max_age_s: 2_592_000,
                max_skew_s: 60,
            },
            unilateral_per_day,
            attestors: Vec::new(),
        }
    }

    fn candidate(trade: &str, change: impl FnOnce(&mut serde_json::Value)) -> Candidate {
        let (buyer, seller) = (key(1), key(2));
        let mut payload = json!({
            "iss": buyer.did().to_string(), "sub": seller.did().to_string(), "jti": format!("jti-of-{trade}"), "iat": NOW,
            "trade": {"id": trade, "market": "https://m.example", "kind": "purchase", "role": "buyer", "amount": "1",
                      "currency": "USD", "closed_at": NOW},
            "outcome": {"status": "fulfilled", "quality_bp": 1},
        });
        change(&mut payload);
        let jws = buyer.sign_agent("trade-outcome+jwt", &payload).unwrap();
        Candidate {
            report: Report::verify(&jws).unwrap(),
            jws,
            historical_ms: None,
            reached: false,
            facts: AdmissionFacts::default(),
            used_documents: Arc::default(),
        }
    }

    fn plan(candidates: &[Candidate], rules: &Rules) -> Planned {
        let signer = LogSigner::new("log.example", key(9));
        plan_reports(&State::default(), candidates, rules, NOW * 1000, &signer)
    }

    fn codes(planned: &Planned) -> Vec<&str> {
        let code = |v: &Result<Admitted, Fault>| v.as_ref().map_or_else(Fault::code, |_| "ok");
        planned.verdicts.iter().map(code).collect()
    }

    #[test]
    fn a_plan_is_contiguous_and_its_tiles_prove_every_entry() {
        let candidates: Vec<_> = (0..5)
            .map(|n| candidate(&format!("t{n}"), |_| {}))
            .collect();
        let planned = plan(&candidates, &rules(100));
        let commit = planned.commit.unwrap();
        assert_eq!(commit.expected, None);
        assert_eq!(commit.head.size, 5);
        for (n, entry) in (0..).zip(&commit.entries) {
            assert_eq!(entry.index, n);
            let path =
                crate::log::tree::inclusion_path(n, 5, |id| planned.touched.get(&id).cloned())
                    .unwrap();
            verify_inclusion(n, 5, &leaf_hash(&entry.bytes), &path, &commit.head.root).unwrap();
        }
    }

    #[test]
    fn refused_reports_leave_no_gap_and_no_commit() {
        let bad = candidate("t0", |p| p["iat"] = json!(NOW + 61));
        let planned = plan(&[bad], &rules(100));
        assert_eq!(codes(&planned), ["report.future_dated"]);
        assert!(planned.commit.is_none());
    }

    #[test]
    fn one_receipt_exempts_one_report_from_the_quota() {
        let receipt = key(2)
            .sign_agent(
                "x402-receipt+jwt",
                &json!({"version": 1, "transaction": "0xabc"}),
            )
            .unwrap();
        let with_receipt = |p: &mut serde_json::Value| {
            p["trade"]["settlement"] = json!({"rail": "x402", "ref": "0xabc"});
            p["evidence"] = json!([{"type": "x402-receipt", "document": receipt}]);
        };
        let candidates: Vec<_> = (0..3)
            .map(|n| candidate(&format!("t{n}"), with_receipt))
            .collect();
        assert!(matches!(
            candidates[0].report.evidence[0],
            Evidence::Receipt {
                signer: Some(_),
                ..
            }
        ));
        let planned = plan(&candidates, &rules(1));
        assert_eq!(codes(&planned), ["ok", "ok", "quota.unilateral"]);
        let alone: Vec<_> = planned
            .commit
            .unwrap()
            .reports
            .iter()
            .map(|r| r.alone)
            .collect();
        assert_eq!(alone, [false, true]);
        // Used before this batch counts the same.
        let mut used = candidates[0].clone();
        used.used_documents = Arc::new(single_use_documents(&used.report).into_iter().collect());
        assert_eq!(used.used_documents.len(), 1);
        assert_eq!(codes(&plan(&[used], &rules(0))), ["quota.unilateral"]);
    }

    #[test]
    fn changing_ones_mind_counts_also_on_a_trade_that_both_reported() {
        let first = candidate("t", |_| {});
        let mut second = candidate("t", |p| {
            p["jti"] = json!("another-jti");
            p["supersedes"] = json!(first.report.id.to_string());
        });
        second.facts.counterparty_reported = true;
        second.facts.current = Some((7, first.report.id));
        assert_eq!(
            codes(&plan(&[second.clone()], &rules(0))),
            ["quota.unilateral"]
        );
        let planned = plan(&[second], &rules(1));
        assert_eq!(planned.commit.unwrap().reports[0].supersedes, Some(7));
    }

    #[test]
    fn history_is_of_the_past() {
        let mut old = candidate("t0", |p| p["trade"]["closed_at"] = json!(NOW - 90_000_000));
        assert_eq!(codes(&plan(&[old.clone()], &rules(0))), ["report.too_old"]);
        old.historical_ms = Some((NOW - 90_000_000) * 1000);
        let planned = plan(&[old.clone()], &rules(0));
        assert_eq!(planned.state.at_ms, (NOW - 90_000_000) * 1000);
        // Milliseconds where seconds belong would pull log time to the year 57971, for good.
        old.historical_ms = Some(NOW * 1_000_000);
        let planned = plan(&[old], &rules(0));
        assert_eq!(codes(&planned), ["report.historical_in_future"]);
        assert!(planned.commit.is_none());
    }
}
