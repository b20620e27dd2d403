//! The entries in their order: rules, index, tree and epochs, window by window.

mod evidence;
mod facts;

use std::collections::{BTreeMap, HashMap, HashSet};

use goodstanding_score::evidence::Ledger;
use goodstanding_verify::{
    did::Did,
    entry::{Body, Entry},
    frontier::Frontier,
    merkle::Hash,
    report::ReportId,
};

use self::facts::{SMALL_TABLE, packed};
use super::{
    admission::{self, Context, Facts, Overlay},
    claims::{Bound, Claim, Claims},
    epochs::{self, Outcome},
    finding::{Failure, Place},
    index::{Erased, Index, Remembered},
    replay::Replay,
    source::Source,
    window::{Bytes, Item},
};
use crate::code::{Code, Fault};

/// What an audit counted, of this run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// Reports verified.
    pub(super) reports: u64,
    /// Those of them that an operator imported.
    pub(super) historical: u64,
    /// Epochs recomputed.
    pub(super) recomputed: u64,
    /// Epochs that covered reports which were erased since.
    pub(super) not_recomputable: u64,
    /// Epochs that were not recomputed because nobody asked.
    pub(super) not_checked: u64,
    /// Whether the unilateral quota could be checked throughout.
    pub(super) quota_checked: bool,
}

/// An audit in progress.
pub(super) struct Auditor<'s> {
    source: &'s dyn Source,
    /// What admission remembers.
    pub(super) index: Index,
    /// The entries so far, as a tree.
    pub(super) frontier: Frontier,
    /// What they said.
    pub(super) replay: Replay,
    /// What the log says of reports that it does not serve.
    pub(super) claims: Claims,
    /// Up to where it can have the entries that it names.
    pub(super) bound: Bound,
    /// What was counted.
    pub(super) counts: Counts,
    /// Roots that signed checkpoints promise at sizes still to come, with the note.
    pub(super) promises: BTreeMap<u64, (Hash, String)>,
    /// The checkpoint that is audited.
    pub(super) note: String,
    /// Whether epochs are recomputed.
    recompute: bool,
    /// Reports of this run whose bytes there are; with those before it once `older` is 0.
    reports: Ledger,
    /// Entries below this were audited before this run, and their reports are not in memory.
    older: u64,
    /// Who is reached by flow; `None` = not known.
    reached: Option<HashSet<Did>>,
    /// Epochs that were not recomputed because reports were gone, of earlier runs too.
    left: Ranges,
}

impl<'s> Auditor<'s> {
    /// Goes on where the index is.
    ///
    /// # Errors
    /// `audit.state_unusable` when the index is damaged.
    pub(super) async fn new(
        source: &'s dyn Source,
        mut index: Index,
        frontier: Frontier,
        at_ms: u64,
        recompute: bool,
    ) -> Result<Self, Failure> {
        let mut replay = Replay::default();
        let damaged = || Fault::new(Code::AuditState, "the index is damaged; remove it");
        for erased in index.erased().await? {
            replay.gone(Erased {
                entry: None,
                ..erased
            });
        }
        for (at, bytes) in index.events().await? {
            let entry = Entry::parse(&bytes).map_err(|_| damaged())?;
            match entry.body {
                Body::Erasure { of, .. } => {
                    replay
                        .erasure(at, ReportId(of.0), None)
                        .map_err(|_| damaged())?;
                }
                _ => replay.event(at, &entry).map_err(|_| damaged())?,
            }
        }
        replay.time(0, at_ms)?;
        let size = frontier.size();
        // Without a complete record of who reported alone, the quota cannot be counted.
        let complete = size == 0 || index.note("alone").await?.as_deref() == Some("complete");
        if recompute && size == 0 {
            index.keep("alone", "complete").await?;
        } else if !recompute {
            index.keep("alone", "incomplete").await?;
        }
        let left = index.note("left").await?;
        let left = match left.as_deref().filter(|_| size > 0) {
            Some(text) => serde_json::from_str(text).map_err(|_| damaged())?,
            None => Vec::new(),
        };
        let reached = match index.note("reached").await? {
            Some(text) if recompute && complete => dids(&text),
            None if recompute && complete => Some(HashSet::new()),
            _ => None,
        };
        Ok(Self {
            source,
            index,
            frontier,
            replay,
            claims: Claims::default(),
            bound: Bound::Published(size),
            counts: Counts {
                quota_checked: reached.is_some(),
                ..Counts::default()
            },
            promises: BTreeMap::new(),
            note: String::new(),
            recompute,
            reports: Ledger::default(),
            older: size,
            reached,
            left: Ranges(left),
        })
    }

    /// The next entries.
    ///
    /// # Errors
    /// The first disagreement in the log's order.
    pub(super) async fn take(&mut self, items: Vec<Result<Item, Failure>>) -> Result<(), Failure> {
        let mut good = Vec::with_capacity(items.len());
        let mut stop = None;
        for item in items {
            match item {
                Ok(item) => good.push(item),
                Err(failure) => {
                    stop = Some(failure);
                    break;
                }
            }
        }
        while !good.is_empty() {
            // What an erasure takes away bears on nothing behind it: what the index knows is asked again.
            let is_erasure = |item: &Item| matches!(item.entry.body, Body::Erasure { .. });
            let end = good.iter().position(is_erasure);
            let rest = good.split_off(end.map_or(good.len(), |place| place + 1));
            self.part(good).await?;
            good = rest;
        }
        match stop {
            Some(failure) => Err(failure),
            None => Ok(()),
        }
    }

    /// The next entries, with an erasure at their end at most.
    async fn part(&mut self, items: Vec<Item>) -> Result<(), Failure> {
        let first = self.frontier.size();
        if items.first().is_some_and(|item| item.index != first) {
            let detail = "the entries of a window are out of order";
            return Err(Fault::new(Code::Internal, detail).into());
        }
        let (rows, sides, sellers) = packed(&items);
        let facts = self.facts(first, &items, &sides).await?;
        let mut overlay = Overlay::default();
        let mut earlier = HashMap::new();
        let mut forgotten = None;
        for item in items {
            self.replay.time(item.index, item.entry.at)?;
            let (leaf, index, at_ms) = (item.leaf, item.index, item.entry.at);
            if let Some(erased) = self.entry(item, &facts, &mut overlay, &mut earlier).await? {
                forgotten = Some(erased.index);
            }
            self.claims.passed(index, at_ms)?;
            self.frontier.push(leaf);
            self.keep_promise()?;
        }
        self.index.add_reports(first, &rows).await?;
        self.index.set_sides(first, &sides, &sellers).await?;
        if !overlay.new_documents.is_empty() {
            for keys in overlay.new_documents.chunks(SMALL_TABLE) {
                self.index.add_documents(keys).await?;
            }
        }
        if self.recompute {
            self.index.add_alone(&overlay.new_alone).await?;
        }
        match forgotten {
            Some(index) => Ok(self.index.forget(index).await?),
            None => Ok(()),
        }
    }

    /// The tree so far has to be what a checkpoint of this size promised.
    fn keep_promise(&mut self) -> Result<(), Failure> {
        let size = self.frontier.size();
        match self.promises.remove(&size) {
            Some((root, note)) if root != self.frontier.root() => {
                let detail = "the tree of this size is not the one that was signed";
                let found = super::finding::Disagreement::new(
                    Code::AuditForked,
                    Place::Checkpoint(size),
                    detail,
                );
                Err(found.with_notes([note, self.note.clone()]).into())
            }
            _ => Ok(()),
        }
    }

    /// One entry; returns the report that it erased. `earlier`: the reports of this part so far.
    async fn entry(
        &mut self,
        item: Item,
        facts: &Facts,
        overlay: &mut Overlay,
        earlier: &mut HashMap<ReportId, Remembered>,
    ) -> Result<Option<Erased>, Failure> {
        let index = item.index;
        let mut gone = None;
        match &item.entry.body {
            Body::Report { id, historical } => {
                let seen = Remembered {
                    index,
                    id: *id,
                    at_ms: item.entry.at,
                    historical: *historical,
                };
                self.report(seen, item.body, facts, overlay, earlier)
                    .await?;
                earlier.insert(seen.id, seen);
                return Ok(None);
            }
            Body::Erasure { of, .. } => {
                let id = ReportId(of.0);
                let known = self.remembered(&id, earlier).await?.map(|r| Erased {
                    index: r.index,
                    id,
                    at_ms: Some(r.at_ms),
                    entry: None,
                    held: self.reports.has(r.index),
                });
                let erased = self.replay.erasure(index, id, known)?;
                self.claims.erased(erased.index, index)?;
                self.index.set_erased(&erased).await?;
                gone = Some(erased);
            }
            _ => self.replay.event(index, &item.entry)?,
        }
        if let Some(bytes) = &item.bytes {
            self.index.add_event(index, bytes).await?;
        }
        if let Body::Epoch(_) = item.entry.body {
            self.epoch().await?;
        }
        Ok(gone)
    }

    async fn report(
        &mut self,
        seen: Remembered,
        body: Option<Bytes>,
        facts: &Facts,
        overlay: &mut Overlay,
        earlier: &HashMap<ReportId, Remembered>,
    ) -> Result<(), Failure> {
        let (index, id) = (seen.index, seen.id);
        let duplicate = |first: u64| {
            let detail = format!("report {id} is entry {first} already");
            Failure::at(Code::AuditDuplicate, Place::Entry(index), detail)
        };
        if let Some(gone) = self.replay.erased(&id) {
            return Err(duplicate(gone.index));
        }
        let checked = match body {
            Some(Bytes::Report(checked)) => checked,
            Some(Bytes::Absent) if self.source.tells_erased() => {
                let detail = format!("report {id} is not served and not said to be erased");
                return Err(Failure::at(
                    Code::AuditBodyMissing,
                    Place::Entry(index),
                    detail,
                ));
            }
            said @ (Some(Bytes::Erased(_) | Bytes::Absent) | None) => {
                if let Some(first) = self.remembered(&id, earlier).await? {
                    return Err(duplicate(first.index));
                }
                let by = match said {
                    Some(Bytes::Erased(by)) => by,
                    _ => None,
                };
                return self.gone(seen, by).await;
            }
        };
        // One report has one jti, so the same report twice shows as its jti.
        if let Some(first) = facts.jtis.get(&index) {
            let same = match earlier.get(&id) {
                Some(same) => Some(*same),
                None => self.index.report_at(*first).await?,
            };
            if let Some(same) = same.filter(|same| same.id == id) {
                return Err(duplicate(same.index));
            }
        }
        let Some(policy) = self.replay.in_force() else {
            let detail = "no policy in front of the first report";
            return Err(Failure::at(Code::AuditPolicy, Place::Entry(index), detail));
        };
        let rules = policy.rules.clone();
        let is_seed = policy
            .policy
            .seeds
            .binary_search(&checked.report.iss)
            .is_ok();
        let replay = &self.replay;
        let context = Context {
            rules: &rules,
            // Trust roots are reached by definition.
            reached: self.reached.as_ref().filter(|_| !is_seed),
            is_gone: &|report| replay.erased(&report.id).is_some(),
            is_gone_id: &|id| replay.erased(id).is_some(),
            gone_since: &|since_ms| replay.gone_since(since_ms),
        };
        admission::admit(&checked, &seen, facts, overlay, &context)?;
        self.counts.reports += 1;
        self.counts.historical += u64::from(seen.historical);
        if self.recompute {
            self.reports.push(index, seen.at_ms, &checked.report);
        }
        Ok(())
    }

    /// A report whose bytes are gone, by the entry at `by` as the source says.
    async fn gone(&mut self, seen: Remembered, by: Option<u64>) -> Result<(), Failure> {
        if let Some(by) = by {
            let claim = Claim {
                index: seen.index,
                id: seen.id,
                by,
                since_s: None,
            };
            self.claims.add(claim, self.frontier.size(), self.bound)?;
        }
        let erased = Erased {
            index: seen.index,
            id: seen.id,
            at_ms: Some(seen.at_ms),
            entry: None,
            held: false,
        };
        self.index.set_erased(&erased).await?;
        self.replay.gone(erased);
        Ok(())
    }

    /// A report of the log so far, by its id.
    async fn remembered(
        &mut self,
        id: &ReportId,
        earlier: &HashMap<ReportId, Remembered>,
    ) -> Result<Option<Remembered>, Failure> {
        match earlier.get(id) {
            Some(found) => Ok(Some(*found)),
            None => Ok(self.index.find(id).await?),
        }
    }

    /// The epoch whose entry was just taken.
    async fn epoch(&mut self) -> Result<(), Failure> {
        if !self.recompute {
            self.counts.not_checked += 1;
            return Ok(());
        }
        self.load_older().await?;
        let Some(logged) = self.replay.newest_epoch().cloned() else {
            return Ok(());
        };
        let Some(policy) = self.replay.policy_below(logged.entry.log_size).cloned() else {
            return Ok(());
        };
        let outcome = epochs::check(
            self.source,
            &logged,
            &policy,
            &mut self.reports,
            &self.replay,
        )
        .await?;
        match outcome {
            Outcome::Recomputed(reached) => {
                self.counts.recomputed += 1;
                let text: Vec<String> = reached.iter().map(Did::to_string).collect();
                self.index.keep("reached", &text.join("\n")).await?;
                let complete = self.index.note("alone").await?.as_deref() == Some("complete");
                self.reached = Some(reached).filter(|_| complete);
            }
            Outcome::NotRecomputable { .. } => {
                self.counts.not_recomputable += 1;
                self.left.add(logged.entry.number);
                let text = serde_json::to_string(&self.left.0);
                let text = text.map_err(|e| Fault::new(Code::Internal, e.to_string()))?;
                self.index.keep("left", &text).await?;
                self.counts.quota_checked = false;
                self.index.keep("reached", "?").await?;
                self.reached = None;
            }
        }
        Ok(())
    }
}

/// Ascending numbers, as first and last of each unbroken run of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Ranges(Vec<(u64, u64)>);

impl Ranges {
    /// A number that is not below any before it.
    fn add(&mut self, n: u64) {
        match self.0.last_mut() {
            Some((_, last)) if n <= last.saturating_add(1) => *last = n.max(*last),
            _ => self.0.push((n, n)),
        }
    }

    fn contains(&self, n: u64) -> bool {
        self.0
            .iter()
            .any(|(first, last)| (*first..=*last).contains(&n))
    }
}

/// Agents, a line each; `None` when they are not known.
fn dids(text: &str) -> Option<HashSet<Did>> {
    let lines = text.lines().filter(|line| !line.is_empty());
    lines.map(|line| Did::parse(line).ok()).collect()
}
