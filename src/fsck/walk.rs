//! The log once through, in order: entries, tiles, checkpoints, reports, and the state machines of policy, keys and epochs.

use std::collections::{HashMap, VecDeque};

use goodstanding_score::policy::Policy;
use goodstanding_verify::{
    checkpoint::{Checkpoint, SignedCheckpoint},
    did::Did,
    entry::{Body, Entry, EpochEntry},
    keyring::KeyRing,
    merkle::leaf_hash,
    note::VerifierKey,
    report::Report,
};
use rayon::prelude::*;

use super::{Findings, Seen, erased, reports, tiles::TreeWalk};
use crate::{
    code::Code,
    store::{
        Error,
        snapshot::{CheckpointRow, EntryRow, HeadRow, PerLeaf, ReportRow, Snapshot, Table},
    },
};

/// Entries read at a time: those of one tile.
const CHUNK: u64 = 256;
/// Checkpoints fetched at a time.
const CHECKPOINTS: u32 = 500;

/// What the log tells, once it has been read to its end.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// Entries.
    pub(super) size: u64,
    /// Epoch entries, ascending: index and content.
    pub(super) epochs: Vec<(u64, EpochEntry)>,
    /// Indices of policy entries.
    pub(super) policies: Vec<u64>,
    /// Keys of the service.
    pub(super) ring: KeyRing,
    /// Attestors of the policy that is in force where the reading is.
    pub(super) attestors: Vec<Did>,
    /// Ids that erasure entries name, with the entry's index.
    pub(super) erased: HashMap<[u8; 32], u64>,
    /// Report entries below the place of the reading that were erased sooner or later, with the index of the erasure.
    taken: Vec<(u64, u64)>,
    /// Index of the first report that was erased: what stands after it may have been decided with knowledge that is gone.
    pub(super) first_erased: Option<u64>,
    /// Rows that the index of documents should have.
    pub(super) documents: u64,
    policy_version: u64,
    at_ms: u64,
}

/// Reads the log from the first entry to the last.
pub(super) async fn walk(
    snapshot: &mut dyn Snapshot,
    log_key: Option<&VerifierKey>,
    guard: Option<&Checkpoint>,
    findings: &mut Findings,
    seen: &mut Seen,
) -> Result<Told, Error> {
    let head = snapshot.head().await?;
    let stored = snapshot.count(Table::Entries).await?;
    let size = head.as_ref().map_or(0, |head| head.size);
    if head.is_none() && stored > 0 {
        findings.add(
            Code::FsckHead,
            "head",
            format!("is missing, and there are {stored} entries"),
        );
    }
    // Up to the head, gaps included; but a size or an index that nothing stands behind must not be walked through one
    // missing entry at a time.
    let reach = snapshot.reach().await?;
    let walked = size.min(if reach <= 2 * stored + CHUNK {
        reach
    } else {
        stored
    });
    if size > stored {
        findings.add(
            Code::FsckHead,
            "head",
            format!("has size {size}, and there are {stored} entries"),
        );
    }
    let mut told = Told {
        size: walked,
        ..Told::default()
    };
    let mut gone = erased::read(snapshot, &mut told, findings).await?;
    let mut tree = TreeWalk::new(0, walked);
    let mut checkpoints = Checkpoints::default();
    let mut at = 0;
    checkpoints
        .up_to(0, &mut tree, log_key, guard, snapshot, findings, seen)
        .await?;
    while at < walked {
        let end = walked.min(at + CHUNK);
        let mut entries = snapshot.entries(at, end).await?.into_iter().peekable();
        let rows = snapshot.reports(at, end).await?;
        let bodies: Vec<_> = rows.par_iter().map(parsed).collect();
        let near = snapshot.neighbours(at, end).await?;
        let mut reports = rows.into_iter().zip(near).zip(bodies).peekable();
        for stray in snapshot.stray_bodies(at, end).await? {
            findings.add(
                Code::FsckBody,
                format_args!("body {stray}"),
                "belongs to no report",
            );
        }
        for index in at..end {
            let row = entries.next_if(|row| row.idx == index);
            let entry = row.as_ref().and_then(|row| told.entry(row, findings));
            if row.is_none() {
                findings.add(Code::FsckEntry, format_args!("entry {index}"), "is missing");
            }
            match reports.next_if(|((row, _), _)| row.idx == index) {
                Some((report, body)) => {
                    seen.counted.reports += 1;
                    reports::check(
                        &report,
                        entry.as_ref(),
                        row.is_some(),
                        body,
                        &mut told,
                        snapshot,
                        findings,
                    )
                    .await?;
                }
                None => {
                    if let Some(Entry {
                        body: Body::Report { id, .. },
                        ..
                    }) = &entry
                    {
                        if gone.remove(&index).is_some_and(|of| of == id.0) {
                            seen.counted.erased += 1;
                            seen.counted.reports += 1;
                        } else {
                            findings.add(
                                Code::FsckBody,
                                format_args!("entry {index}"),
                                format!("report {id} has no row"),
                            );
                        }
                    }
                }
            }
            let leaf = row.map(|row| leaf_hash(&row.bytes));
            tree.push(leaf, snapshot, findings).await?;
            seen.counted.entries += 1;
            checkpoints
                .up_to(
                    index + 1,
                    &mut tree,
                    log_key,
                    guard,
                    snapshot,
                    findings,
                    seen,
                )
                .await?;
        }
        at = end;
    }
    if let Some(head) = head {
        check_head(&head, &told, &mut tree, log_key, findings);
    }
    tree.finish(snapshot, findings).await?;
    seen.root = tree.root();
    checkpoints.beyond(walked, snapshot, findings).await?;
    for (table, code, what) in [
        (PerLeaf::Entries, Code::FsckEntry, "entry"),
        (PerLeaf::Reports, Code::FsckReport, "report"),
        (PerLeaf::Bodies, Code::FsckBody, "body"),
    ] {
        for index in snapshot.outside(table, walked).await? {
            findings.add(
                code,
                format_args!("{what} {index}"),
                format!("is beyond the head's {walked} entries"),
            );
        }
    }
    for index in gone.keys() {
        findings.add(
            Code::FsckErasure,
            format_args!("erased report {index}"),
            "its entry is of no such report, or its row is still there",
        );
    }
    reports::documents(snapshot, &told, findings).await?;
    Ok(told)
}

/// The body of a report, parsed.
fn parsed(row: &ReportRow) -> Option<Result<Report, goodstanding_verify::Error>> {
    row.jws.as_deref().map(Report::parse_admitted)
}

fn check_head(
    head: &HeadRow,
    told: &Told,
    tree: &mut TreeWalk,
    log_key: Option<&VerifierKey>,
    findings: &mut Findings,
) {
    if head.size == told.size {
        match <[u8; 32]>::try_from(head.root.as_slice()) {
            Ok(root) if tree.settle(&root, findings) => {}
            _ => findings.add(
                Code::FsckHead,
                "head",
                "its root is not that of the entries",
            ),
        }
    }
    if head.at_ms != told.at_ms {
        let detail = format!(
            "has log time {}, the newest entry {}",
            head.at_ms, told.at_ms
        );
        findings.add(Code::FsckHead, "head", detail);
    }
    match verified(&head.note, log_key) {
        Err(why) => findings.add(Code::FsckHead, "head", why),
        Ok(signed) => {
            if signed.size != head.size || signed.root.as_slice() != head.root {
                findings.add(
                    Code::FsckHead,
                    "head",
                    "the signed checkpoint is of another size or root",
                );
            }
        }
    }
}

/// What a stored checkpoint says, its signature checked if the key is known.
pub(super) fn verified(note: &str, log_key: Option<&VerifierKey>) -> Result<Checkpoint, String> {
    let signed = SignedCheckpoint::parse(note).map_err(|e| e.to_string())?;
    if let Some(key) = log_key {
        signed.verify_log(key).map_err(|e| e.to_string())?;
    }
    Ok(signed.checkpoint().clone())
}

/// Published checkpoints, met where the tree has their size.
#[derive(Debug, Default)]
struct Checkpoints {
    fetched: VecDeque<CheckpointRow>,
    /// Those below this size were fetched.
    from: u64,
    end: bool,
}

impl Checkpoints {
    #[expect(clippy::too_many_arguments, reason = "one call per leaf, of one walk")]
    async fn up_to(
        &mut self,
        size: u64,
        tree: &mut TreeWalk,
        log_key: Option<&VerifierKey>,
        guard: Option<&Checkpoint>,
        snapshot: &mut dyn Snapshot,
        findings: &mut Findings,
        seen: &mut Seen,
    ) -> Result<(), Error> {
        if self.fetched.is_empty() && !self.end {
            self.fetched = snapshot.checkpoints(self.from, CHECKPOINTS).await?.into();
            match self.fetched.back() {
                Some(last) => self.from = last.size.saturating_add(1),
                None => self.end = true,
            }
        }
        while self.fetched.front().is_some_and(|next| next.size <= size) {
            let Some(row) = self.fetched.pop_front() else {
                break;
            };
            seen.counted.checkpoints += 1;
            let place = format!("checkpoint {}", row.size);
            match verified(&row.note, log_key) {
                Err(why) => findings.add(Code::FsckCheckpoint, place, why),
                Ok(signed) if signed.size != row.size => {
                    findings.add(
                        Code::FsckCheckpoint,
                        place,
                        format!("is signed for {} entries", signed.size),
                    );
                }
                Ok(signed) => {
                    if !tree.settle(&signed.root, findings) {
                        findings.add(
                            Code::FsckCheckpoint,
                            place,
                            "the entries below it have another root",
                        );
                    }
                }
            }
        }
        if let Some(guard) = guard.filter(|guard| guard.size == size)
            && !tree.settle(&guard.root, findings)
        {
            let detail = format!(
                "the first {size} entries have another root than the one that was published"
            );
            findings.add(Code::FsckGuard, "head.guard", detail);
        }
        Ok(())
    }

    async fn beyond(
        &self,
        size: u64,
        snapshot: &mut dyn Snapshot,
        findings: &mut Findings,
    ) -> Result<(), Error> {
        for row in snapshot.checkpoints(size.saturating_add(1), 1000).await? {
            let detail = format!("was published, and the log has {size} entries");
            findings.add(
                Code::FsckCheckpoint,
                format_args!("checkpoint {}", row.size),
                detail,
            );
        }
        Ok(())
    }
}

impl Told {
    /// Checks an entry row by itself and against the ones before; `None` = it is no entry.
    fn entry(&mut self, row: &EntryRow, findings: &mut Findings) -> Option<Entry> {
        let place = format!("entry {}", row.idx);
        let entry = match Entry::parse(&row.bytes) {
            Ok(entry) => entry,
            Err(error) => {
                findings.add(Code::FsckEntry, place, error.to_string());
                return None;
            }
        };
        if row.at_ms != entry.at {
            let detail = format!("column at_ms says {}, the entry {}", row.at_ms, entry.at);
            findings.add(Code::FsckEntry, &place, detail);
        }
        if row.kind != entry.body.kind() {
            let detail = format!(
                "column kind says {}, the entry {}",
                row.kind,
                entry.body.kind()
            );
            findings.add(Code::FsckEntry, &place, detail);
        }
        if entry.at < self.at_ms {
            let detail = format!(
                "log time {} is before the {} of an earlier entry",
                entry.at, self.at_ms
            );
            findings.add(Code::FsckEntry, &place, detail);
        }
        self.at_ms = self.at_ms.max(entry.at);
        match &entry.body {
            Body::Policy { version, policy } => {
                self.policy(row.idx, *version, policy, &place, findings);
            }
            Body::Key(event) => {
                if let Err(error) = self.ring.apply(event) {
                    findings.add(Code::FsckKeyEvent, &place, error.to_string());
                }
            }
            Body::Epoch(epoch) => self.epoch(row.idx, epoch, &place, findings),
            Body::Report { id, .. } => {
                let erasure = self.erased.get(&id.0);
                self.taken.extend(erasure.map(|entry| (row.idx, *entry)));
            }
            _ => {}
        }
        Some(entry)
    }

    fn policy(
        &mut self,
        index: u64,
        version: u64,
        policy: &serde_json::Value,
        place: &str,
        findings: &mut Findings,
    ) {
        if version != self.policy_version + 1 {
            let detail = format!("version {version} after {}", self.policy_version);
            findings.add(Code::FsckPolicy, place, detail);
        }
        self.policy_version = version;
        self.policies.push(index);
        match Policy::parse(policy) {
            Ok(policy) => self.attestors = policy.attestors,
            Err(error) => findings.add(Code::FsckPolicy, place, error.to_string()),
        }
    }

    fn epoch(&mut self, index: u64, epoch: &EpochEntry, place: &str, findings: &mut Findings) {
        let (number, as_of, covered) = self
            .epochs
            .last()
            .map_or((0, 0, 0), |(_, e)| (e.number, e.as_of, e.log_size));
        let mut wrong = |detail: String| findings.add(Code::FsckEpoch, place, detail);
        if epoch.number != number + 1 {
            wrong(format!("number {} after {number}", epoch.number));
        }
        if epoch.as_of < as_of {
            wrong(format!(
                "as_of {} is before the {as_of} of epoch {number}",
                epoch.as_of
            ));
        }
        if epoch.log_size < covered {
            wrong(format!(
                "covers {} entries, epoch {number} {covered}",
                epoch.log_size
            ));
        }
        let left_out = self.taken.iter().find(|(report, erasure)| {
            *report < epoch.log_size && (epoch.log_size..index).contains(erasure)
        });
        if let Some((report, erasure)) = left_out {
            wrong(format!(
                "covers {} entries without the erasure at entry {erasure}, which took away the report at entry {report}",
                epoch.log_size
            ));
        }
        if epoch.log_size > index {
            wrong(format!(
                "covers {} entries, and is entry {index} itself",
                epoch.log_size
            ));
        }
        let policy = self
            .policies
            .iter()
            .rev()
            .find(|policy| **policy < epoch.log_size);
        if policy != Some(&epoch.policy) {
            wrong(format!(
                "names entry {} as its policy, which is not the last one that it covers",
                epoch.policy
            ));
        }
        self.epochs.push((index, epoch.clone()));
    }
}
