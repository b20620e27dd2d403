//! A whole audit: what the auditor brings, the checkpoint, the way to it, and the summary.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::{StreamExt as _, stream};
use goodstanding_verify::{
    b64, bundle::TrustBundle, did::Did, frontier::Frontier, merkle::Hash, note::VerifierKey,
    successor::Notice, witness_policy::WitnessPolicy,
};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use super::{
    auditor::Auditor,
    claims::{Bound, Open},
    finding::{Failure, Place},
    head::{self, Head, Seeking},
    index::{Index, WINDOW},
    pending::Pending,
    seeds::{self, OtherView},
    source::Source,
    state::{Seen, State, index_path},
    tree::{Tree, Window},
    trust,
    window::{Item, Workers},
};
use crate::{
    code::{Code, Fault},
    ingest::blocking,
};

/// Windows that are checked at the same time.
const IN_WORK: usize = 2;
/// Entries between two savings of the state.
const SAVE_EVERY: u64 = 65_536;

/// What an auditor asks for and brings along.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where to remember what was seen.
    pub state: Option<PathBuf>,
    /// The log's key, if it is known.
    pub log_key: Option<VerifierKey>,
    /// The trust bundle, if one is held.
    pub trust: Option<TrustBundle>,
    /// The witnesses that count, instead of the bundle's.
    pub witness_policy: Option<WitnessPolicy>,
    /// Take a served witness policy that asks for less than the one remembered.
    pub accept_weaker: bool,
    /// Leave epochs out.
    pub no_epochs: bool,
    /// Read everything again, also what an earlier audit had read; what was seen before still binds the log.
    pub full: bool,
    /// Other trust roots.
    pub seeds: Option<Vec<Did>>,
    /// Now, Unix seconds: when the checkpoint was seen.
    pub now_s: u64,
    /// How many seconds to wait for a checkpoint whose entries say why a report is gone: it may just have been erased.
    pub patience_s: u32,
    /// Entries that are looked at together, at most 2048.
    pub window: u64,
    /// Entries between two savings of the state.
    pub save_every: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            state: None,
            log_key: None,
            trust: None,
            witness_policy: None,
            accept_weaker: false,
            no_epochs: false,
            full: false,
            seeds: None,
            now_s: 0,
            patience_s: 0,
            window: WINDOW,
            save_every: SAVE_EVERY,
        }
    }
}

/// Who witnessed the checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Witnessed {
    /// Whether the policy wants a quorum.
    pub required: bool,
    /// Whether it is met. A log may publish its newest checkpoint before it is; then nobody else vouches for it yet.
    pub met: bool,
    /// How many witnesses it is made of.
    pub total: usize,
    /// Who cosigned, and when (Unix seconds).
    pub cosigned: Vec<(String, u64)>,
}

/// What an audit found to be right.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// What was audited.
    pub target: String,
    /// The log's name.
    pub origin: String,
    /// The log's key.
    pub log_key: String,
    /// Where the key is from.
    pub log_key_from: String,
    /// Whether the key was believed because the log itself named it.
    pub first_use: bool,
    /// Entries of the checkpoint.
    pub size: u64,
    /// Its root, base64.
    pub root: String,
    /// Entries that an earlier audit had done.
    pub resumed_at: u64,
    /// Why an earlier audit's work was done again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restarted: Option<String>,
    /// Entries audited now.
    pub entries: u64,
    /// Reports verified now.
    pub reports: u64,
    /// Those of them that an operator imported: their time is what the operator says.
    pub historical: u64,
    /// Reports whose bytes were erased, in the whole log.
    pub erased: u64,
    /// Policies in the whole log.
    pub policies: u64,
    /// Key events in the whole log.
    pub key_events: u64,
    /// Epochs in the whole log.
    pub epochs: u64,
    /// Epochs recomputed now.
    pub epochs_recomputed: u64,
    /// Epochs that are committed but cannot be recomputed, because reports were erased since.
    pub epochs_not_recomputable: u64,
    /// Epochs that were left out.
    pub epochs_not_checked: u64,
    /// Whether the quota of unilateral reports was checked.
    pub quota_checked: bool,
    /// Checkpoints remembered from before.
    pub checkpoints_seen: usize,
    /// Who witnessed the checkpoint; absent without a witness policy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub witnesses: Option<Witnessed>,
    /// The notice that the log has ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended: Option<Notice>,
    /// Version of the trust bundle whose keys are the log's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trust_bundle: Option<u64>,
    /// How long it took, milliseconds.
    pub took_ms: u64,
    /// The newest epoch with other trust roots.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub other_view: Option<OtherView>,
}

/// What the index was saved with.
#[derive(Serialize, Deserialize)]
struct Snapshot {
    log: String,
    size: u64,
    root: String,
    at_ms: u64,
}

/// The log's key and where it came from.
struct Key {
    log: VerifierKey,
    from: String,
    first_use: bool,
}

/// Audits a log. `progress` is told (entries done, entries to do).
///
/// # Errors
/// [`Failure::Disagrees`] with the first disagreement, [`Failure::Pending`] when there is none and something is still to
/// come, or a fault of operation.
pub async fn audit(
    source: &dyn Source,
    options: &Options,
    progress: &(dyn Fn(u64, u64) + Sync),
) -> Result<Summary, Failure> {
    let started = Instant::now();
    let held = match &options.state {
        Some(path) => State::load(path)?,
        None => None,
    };
    let key = key(source, options, held.as_ref()).await?;
    let mut state = held.unwrap_or_else(|| State::new(key.log.clone()));
    let checkpoints_seen = state.checkpoints.len();
    // The bundle comes before the checkpoint, so that the checkpoint covers what the bundle says.
    let bundle = trust::bundle(source, &key.log, options).await?;
    let policy = trust::witness_policy(source, options, bundle.as_ref(), &mut state).await?;
    let known: Vec<Seen> = [options.trust.as_ref(), bundle.as_ref()]
        .into_iter()
        .flatten()
        .map(trust::seen_in)
        .collect::<Result<_, _>>()?;
    let seeking = Seeking {
        source,
        policy: policy.as_ref(),
        known: &known,
        options,
    };
    let mut head = seeking.head(&mut state).await?;
    let mut ended = trust::ended(source, bundle.as_ref(), options, &head).await?;
    let (index, restarted) = index(options, &mut state).await?;
    let resumed_at = state.frontier.size();
    let mut opened = index;
    let at_ms = snapshot(&mut opened).await?.map_or(0, |s| s.at_ms);
    let frontier = state.frontier.clone();
    let mut auditor = Auditor::new(source, opened, frontier, at_ms, !options.no_epochs).await?;
    auditor.claims = state.claims.clone();
    let mut pending = None;
    let done = async {
        let mut patience = options.patience_s;
        let mut asked = false;
        loop {
            auditor.promises = promises(&state, &head)?;
            auditor.note.clone_from(&head.note);
            auditor.bound = bound(ended.as_ref(), &head);
            // What was believed when there was no end yet.
            auditor.claims.within(auditor.bound)?;
            let tree = &mut head.tree;
            walk(&mut auditor, tree, &mut state, options, progress).await?;
            if auditor.frontier.root() != head.root {
                let detail = "the entries do not make the signed root";
                return Err(Failure::at(
                    Code::AuditForked,
                    Place::Checkpoint(head.tree.size()),
                    detail,
                ));
            }
            let size = head.tree.size();
            if bundle.is_none() {
                // Who may sign that it has ended is known only now.
                let log = &key.log;
                let said = trust::ended_by_ring(source, &auditor.replay, log, options, &head);
                if let Some(notice) = said.await? {
                    ended = Some(notice);
                }
                auditor.bound = bound(ended.as_ref(), &head);
                auditor.claims.within(auditor.bound)?;
            }
            if !asked {
                auditor.ask_again().await?;
                asked = true;
            }
            let open = auditor.claims.open(auditor.replay.unexplained(), size);
            if open == Open::default() {
                break;
            }
            // It may have been erased after the checkpoint was published: then the next one has the entry.
            while patience > 0 && head.tree.size() == size {
                patience -= 1;
                tokio::time::sleep(Duration::from_secs(1)).await;
                head = seeking.head(&mut state).await?;
            }
            if head.tree.size() > size {
                if let Some(notice) = &ended {
                    trust::ends(notice, &head)?;
                } else if bundle.is_some() {
                    // It may have been signed by a key that the first bundle did not have.
                    let served = trust::bundle(source, &key.log, options).await?;
                    ended = trust::ended(source, served.as_ref(), options, &head).await?;
                }
                continue;
            }
            if let Some(withheld) = open.withheld {
                let detail = format!(
                    "report {} is not served, and no entry erases it",
                    withheld.id
                );
                let place = Place::Entry(withheld.index);
                return Err(Failure::at(Code::AuditBodyMissing, place, detail));
            }
            let epochs = auditor.left_for(&open);
            pending = Some(Pending::new(&open, epochs, size, options.state.is_some()));
            break;
        }
        if let Some(bundle) = &bundle {
            trust::bundle_keys(bundle, &auditor.replay)?;
        }
        if let Some(held) = &options.trust {
            trust::signer_of_held(held, &auditor.replay, head.tree.size())?;
        }
        match &options.seeds {
            Some(seeds) if pending.is_none() => {
                let newest = auditor.newest_evidence().await?;
                let seeds = seeds.clone();
                let view = blocking(move || {
                    seeds::compare(
                        newest.epoch,
                        newest.as_of,
                        &newest.evidence,
                        &newest.policy,
                        seeds,
                    )
                })
                .await??;
                Ok(Some(view))
            }
            _ => Ok(None),
        }
    }
    .await;
    // What the log said counts also where the audit did not come to its end.
    let at_ms = auditor.replay.at_ms();
    auditor.claims.remain(now_s(options, started), at_ms);
    let other_view = match done {
        Ok(view) => view,
        Err(failure) => {
            state.claims.keep(&auditor.claims);
            auditor.index.close().await;
            let saved = match &options.state {
                Some(path) => state.save(path),
                None => Ok(()),
            };
            return Err(match (saved, failure) {
                (Err(fault), Failure::Disagrees(found)) => found.unsaved_for(fault).into(),
                (_, failure) => failure,
            });
        }
    };
    save(&mut auditor, &mut state, options).await?;
    if let Some(pending) = pending {
        auditor.index.close().await;
        return Err(Failure::Pending(Box::new(pending)));
    }
    let (policies, key_events, epochs, _) = auditor.replay.counts();
    let counts = auditor.counts;
    let summary = Summary {
        target: source.name(),
        origin: key.log.name().to_owned(),
        log_key: key.log.to_string(),
        log_key_from: key.from,
        first_use: key.first_use,
        size: head.tree.size(),
        root: b64::std_encode(auditor.frontier.root()),
        resumed_at,
        restarted,
        entries: head.tree.size().saturating_sub(resumed_at),
        reports: counts.reports,
        historical: counts.historical,
        erased: auditor.replay.gone_count(),
        policies,
        key_events,
        epochs,
        epochs_recomputed: counts.recomputed,
        epochs_not_recomputable: counts.not_recomputable,
        epochs_not_checked: counts.not_checked,
        quota_checked: counts.quota_checked,
        checkpoints_seen,
        witnesses: head.witnesses,
        ended,
        trust_bundle: bundle.as_ref().map(TrustBundle::version),
        took_ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
        other_view,
    };
    auditor.index.close().await;
    Ok(summary)
}

/// Where the log ends: by its own notice, or else not far beyond what it has published.
fn bound(ended: Option<&Notice>, head: &Head<'_>) -> Bound {
    match ended {
        Some(notice) => Bound::Ended(notice.size),
        None => Bound::Published(head.tree.size()),
    }
}

/// The log's key: given, of the held bundle, remembered, or as the log itself names it. What is given twice is the same.
async fn key(
    source: &dyn Source,
    options: &Options,
    state: Option<&State>,
) -> Result<Key, Failure> {
    let known = [
        (options.log_key.clone(), "--log-key"),
        (
            options.trust.as_ref().map(|b| b.log().clone()),
            "the trust bundle",
        ),
        (state.map(|s| s.log.clone()), "the state file"),
    ];
    let mut found: Option<Key> = None;
    for (log, from) in known {
        let Some(log) = log else { continue };
        match &found {
            None => {
                found = Some(Key {
                    log,
                    from: from.to_owned(),
                    first_use: false,
                });
            }
            Some(first) if first.log == log => {}
            Some(first) => {
                let detail = format!("{} names {}, {from} names {log}", first.from, first.log);
                return Err(Fault::new(Code::AuditState, detail).into());
            }
        }
    }
    if let Some(found) = found {
        return Ok(found);
    }
    let introduced = source.introduction().await?;
    Ok(Key {
        log: VerifierKey::parse(&introduced.vkey).map_err(Fault::from)?,
        from: introduced.from,
        first_use: true,
    })
}

async fn snapshot(index: &mut Index) -> Result<Option<Snapshot>, Failure> {
    let text = index.snapshot().await?;
    Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
}

/// The index at the state's size; without it the audit begins anew, with everything that was seen still remembered.
async fn index(options: &Options, state: &mut State) -> Result<(Index, Option<String>), Failure> {
    let path = options.state.as_deref().map(index_path);
    let mut index = Index::open(path.as_deref()).await?;
    let found = snapshot(&mut index).await?;
    let size = state.frontier.size();
    let fits = found.as_ref().is_some_and(|s| {
        s.log == state.log.to_string()
            && s.size == size
            && s.root == b64::std_encode(state.frontier.root())
    });
    if (fits && !(options.full && size > 0)) || (size == 0 && found.is_none()) {
        return Ok((index, None));
    }
    state.frontier = Frontier::default();
    let why = if options.full {
        "as asked for".to_owned()
    } else {
        let path = path.unwrap_or_default();
        format!("the index {} is not at the state's size", path.display())
    };
    Ok((index.restart().await?, (size > 0).then_some(why)))
}

/// What signed checkpoints promise of the entries still to come.
fn promises(state: &State, head: &Head<'_>) -> Result<BTreeMap<u64, (Hash, String)>, Failure> {
    let from = state.frontier.size();
    let seen = state.checkpoints.iter().chain(&head.published);
    let mut promises: BTreeMap<u64, (Hash, String)> = BTreeMap::new();
    for seen in seen.filter(|seen| seen.size > from) {
        let Some(root) = seen.hash() else { continue };
        match promises.get(&seen.size) {
            Some((other, note)) if *other != root => head::extends(seen, *other, note)?,
            Some(_) => {}
            None => {
                promises.insert(seen.size, (root, seen.note.clone()));
            }
        }
    }
    Ok(promises)
}

/// From where the auditor is to the end of the tree: fetched ahead, checked in parallel, replayed in order.
async fn walk(
    auditor: &mut Auditor<'_>,
    tree: &mut Tree<'_>,
    state: &mut State,
    options: &Options,
    progress: &(dyn Fn(u64, u64) + Sync),
) -> Result<(), Failure> {
    let (start, size) = (auditor.frontier.size(), tree.size());
    let (fetched, to_check) = mpsc::channel::<Result<Window, Failure>>(2);
    let (checked, mut to_take) = mpsc::channel::<Vec<Result<Item, Failure>>>(2);
    let fetch = async move {
        let mut from = start;
        while from < size {
            // Windows end where bundles end.
            let end =
                size.min((from / 256 * 256).saturating_add(options.window.clamp(256, WINDOW)));
            let window = tree.window(from, end).await;
            let failed = window.is_err();
            // A receiver that is gone has its own reason.
            if fetched.send(window).await.is_err() || failed {
                break;
            }
            from = end;
        }
        Ok::<_, Failure>(())
    };
    let workers = Arc::new(Workers::default());
    let check = async move {
        let windows = stream::unfold(to_check, |mut rest| async {
            rest.recv().await.map(|window| (window, rest))
        });
        let mut done = windows
            .map(|window| {
                let workers = workers.clone();
                async move {
                    match window {
                        Err(failure) => Ok(vec![Err(failure)]),
                        Ok(window) => blocking(move || workers.check(&window)).await,
                    }
                }
            })
            // While one window's last entries are checked, idle cores begin with the next.
            .buffered(IN_WORK)
            .boxed();
        while let Some(items) = done.next().await {
            if checked.send(items?).await.is_err() {
                break;
            }
        }
        Ok(())
    };
    let take = async {
        let mut saved = start;
        while let Some(items) = to_take.recv().await {
            auditor.take(items).await?;
            let done = auditor.frontier.size();
            progress(done, size);
            if done.saturating_sub(saved) >= options.save_every {
                save(auditor, state, options).await?;
                saved = done;
            }
        }
        Ok(())
    };
    tokio::try_join!(fetch, check, take).map(|_| ())
}

/// The time, by the auditor's clock: an audit can take hours.
fn now_s(options: &Options, started: Instant) -> u64 {
    options.now_s.saturating_add(started.elapsed().as_secs())
}

/// Index first, then the state file: what the file says was done can be gone on from.
async fn save(
    auditor: &mut Auditor<'_>,
    state: &mut State,
    options: &Options,
) -> Result<(), Failure> {
    state.frontier = auditor.frontier.clone();
    state.claims = auditor.claims.clone();
    let snapshot = Snapshot {
        log: state.log.to_string(),
        size: state.frontier.size(),
        root: b64::std_encode(state.frontier.root()),
        at_ms: auditor.replay.at_ms(),
    };
    let text =
        serde_json::to_string(&snapshot).map_err(|e| Fault::new(Code::Internal, e.to_string()))?;
    auditor.index.save(&text).await?;
    if let Some(path) = &options.state {
        state.save(path)?;
    }
    Ok(())
}

/// Where the two checkpoints of the `n`th disagreement are kept beside a state file; `n` counts from 1.
pub fn evidence_path(state: &Path, n: u32) -> PathBuf {
    let mut name = state.as_os_str().to_owned();
    match n {
        1 => name.push(".evidence.json"),
        n => name.push(format!(".evidence-{n}.json")),
    }
    name.into()
}
