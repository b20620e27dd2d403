//! A report's row against its body, its entry, and the other reports on the trade.

use std::collections::{BTreeMap, BTreeSet};

use goodstanding_verify::{
    b64,
    digest::sha256,
    entry::{Body, Entry},
    report::{Report, Role},
};

use super::{Findings, walk::Told};
use crate::{
    code::Code,
    log::plan::{attested, is_alone, single_use_documents},
    store::{
        Error,
        snapshot::{DocumentRow, Neighbours, ReportRow, Snapshot, Table},
    },
};

/// Documents fetched at a time.
const PAGE: u32 = 1000;

pub(super) async fn check(
    (row, near): &(ReportRow, Neighbours),
    entry: Option<&Entry>,
    has_entry: bool,
    body: Option<Result<Report, goodstanding_verify::Error>>,
    told: &mut Told,
    snapshot: &mut dyn Snapshot,
    findings: &mut Findings,
) -> Result<(), Error> {
    let place = format!("report {} ({})", row.idx, b64::url_encode(&row.id));
    check_entry(row, entry, has_entry, &place, findings);
    if row.superseded_by != near.next {
        let shown = |index: Option<u64>| {
            index.map_or_else(|| "nothing".to_owned(), |i| format!("report {i}"))
        };
        let detail = format!(
            "column superseded_by says {}, the reporter's next report on the trade is {}",
            shown(row.superseded_by),
            shown(near.next)
        );
        findings.add(Code::FsckSupersession, &place, detail);
    }
    let is_erased =
        <[u8; 32]>::try_from(row.id.as_slice()).is_ok_and(|id| told.erased.contains_key(&id));
    if is_erased {
        findings.add(
            Code::FsckErasure,
            &place,
            "an entry says that it was erased, and its row is still there",
        );
    }
    let (Some(jws), Some(body)) = (&row.jws, body) else {
        findings.add(Code::FsckBody, &place, "its body is missing");
        return Ok(());
    };
    if sha256(jws.as_bytes()).0.as_slice() != row.id {
        findings.add(
            Code::FsckReport,
            &place,
            "column id is not the SHA-256 of the body",
        );
    }
    let report = match body {
        Ok(report) => report,
        Err(error) => {
            findings.add(
                Code::FsckReport,
                &place,
                format!("the body is no report: {error}"),
            );
            return Ok(());
        }
    };
    for (column, right) in columns(row, &report) {
        if !right {
            findings.add(
                Code::FsckReport,
                &place,
                format!("column {column} is not what the body says"),
            );
        }
    }
    // A report that was erased cannot be seen before this one any more, but is named all the same.
    let names_erased = report
        .supersedes
        .is_some_and(|id| told.erased.contains_key(&id.0));
    if report.supersedes.map(|id| id.0.to_vec()) != near.previous && !names_erased {
        let detail = "what the body supersedes is not the reporter's report on the trade before it";
        findings.add(Code::FsckSupersession, &place, detail);
    }
    let mut fresh = BTreeMap::new();
    for digest in single_use_documents(&report)
        .into_iter()
        .collect::<BTreeSet<_>>()
    {
        let (before, own) = snapshot.document(&digest, row.idx).await?;
        if !own {
            let detail = format!(
                "document {} that it brings is not in the index",
                b64::url_encode(digest)
            );
            findings.add(Code::FsckDocument, &place, detail);
        }
        told.documents += 1;
        fresh.insert(digest, !before);
    }
    let attested = attested(&report, &told.attestors, |digest| {
        fresh.get(digest).copied().unwrap_or(false)
    });
    let answered = near
        .answer_role
        .is_some_and(|role| role != number_of(report.trade.role));
    let alone = is_alone(attested, answered, report.supersedes.is_some());
    // What an erased report had answered, or had brought first, is no longer known: it can explain either value.
    let unknowable = told.first_erased.is_some_and(|first| first < row.idx);
    if alone != row.alone && !unknowable {
        findings.add(
            Code::FsckAlone,
            &place,
            format!("column alone says {}, the log {alone}", row.alone),
        );
    }
    Ok(())
}

fn check_entry(
    row: &ReportRow,
    entry: Option<&Entry>,
    has_entry: bool,
    place: &str,
    findings: &mut Findings,
) {
    let Some(entry) = entry else {
        // One that is there and cannot be read was named already.
        if !has_entry {
            findings.add(Code::FsckBody, place, "has no entry");
        }
        return;
    };
    let Body::Report { id, historical } = &entry.body else {
        findings.add(
            Code::FsckBody,
            place,
            format!("its entry is of kind {}", entry.body.kind()),
        );
        return;
    };
    for (column, right) in [
        ("id", id.0.as_slice() == row.id),
        ("at_ms", entry.at == row.at_ms),
        ("historical", *historical == row.historical),
    ] {
        if !right {
            findings.add(
                Code::FsckReport,
                place,
                format!("column {column} is not what the entry says"),
            );
        }
    }
}

fn columns(row: &ReportRow, report: &Report) -> [(&'static str, bool); 6] {
    [
        (
            "reporter",
            row.reporter.as_deref() == Some(report.iss.key_bytes()),
        ),
        (
            "subject",
            row.subject.as_deref() == Some(report.sub.key_bytes()),
        ),
        (
            "market",
            row.market.as_deref() == Some(&report.trade.market),
        ),
        ("trade_id", row.trade_id == report.trade.id),
        ("role", row.role == number_of(report.trade.role)),
        ("jti", row.jti == report.jti),
    ]
}

fn number_of(role: Role) -> i64 {
    match role {
        Role::Buyer => 0,
        Role::Seller => 1,
    }
}

/// Rows of the index of documents that no report brings. Looked for only where there are more of them than reports explain.
pub(super) async fn documents(
    snapshot: &mut dyn Snapshot,
    told: &Told,
    findings: &mut Findings,
) -> Result<(), Error> {
    if snapshot.count(Table::Documents).await? == told.documents {
        return Ok(());
    }
    let mut last: Option<DocumentRow> = None;
    loop {
        let page = snapshot.documents(last.as_ref(), PAGE).await?;
        let Some(end) = page.last() else {
            return Ok(());
        };
        last = Some(end.clone());
        for DocumentRow {
            sha256: digest,
            idx: index,
        } in page
        {
            let jws = snapshot.body(index).await?;
            // An erased report's documents go with it: nobody else could know that it brought them.
            let brings = match jws {
                None => false,
                Some(jws) => Report::parse_admitted(&jws).is_ok_and(|report| {
                    single_use_documents(&report)
                        .iter()
                        .any(|d| d.as_slice() == digest)
                }),
            };
            if !brings {
                let place = format!("document {} of report {index}", b64::url_encode(&digest));
                findings.add(Code::FsckDocument, place, "no such report brings it");
            }
        }
    }
}
