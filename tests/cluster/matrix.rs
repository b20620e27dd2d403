//! The matrix of faults on PostgreSQL: every persistence step fails with and without having persisted, alone and in pairs, and so do the
//! reads after a failed commit, for every kind of batch, around the border of the first tile. After each step everything that is stored is read again.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use goodstanding::{
    app::{App, Open},
    code::Fault,
    ingest,
    log::sequencer::{Event, Receipt},
    store::{Store, postgres::PostgresStore},
};
use goodstanding_score::policy::Policy;
use goodstanding_verify::{
    checkpoint::SignedCheckpoint,
    entry::Body,
    frontier::Frontier,
    merkle::{Hash, leaf_hash},
    proof::TlogProof,
};
use serde_json::Value;

use super::{
    double::{Faults, Mode, Read, Step},
    ledger::fresh,
    states::{keep, put_back},
};
use crate::support::{agent, postgres::Database};

const MODES: [Mode; 2] = [Mode::Fails, Mode::Persists];
const KINDS: [Kind; 4] = [Kind::One, Kind::Many, Kind::Policy, Kind::Epoch];
/// Reports of a batch of many.
const MANY: u64 = 7;
/// Sizes of the log after the write, around the border of the first tile.
const ENDS: std::ops::RangeInclusive<u64> = 254..=258;
/// Entries of the log that every case begins with.
const BASE: u64 = 254 - MANY;
/// Databases at a time, each for one case after the other.
const AT_ONCE: usize = 4;
/// The state in a database that a case begins with.
const BEGIN: &str = "begin_state";

/// What is written when the fault strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    One,
    Many,
    Policy,
    Epoch,
}

impl Kind {
    fn entries(self) -> u64 {
        match self {
            Self::Many => MANY,
            _ => 1,
        }
    }
}

/// One cell.
#[derive(Clone, Debug)]
struct Case {
    /// Size of the log after the write.
    end: u64,
    kind: Kind,
    steps: Vec<(Step, Mode)>,
    reads: Vec<Read>,
}

/// Faults of one case: of persistence steps, and of the reads after a commit.
type Plan = (Vec<(Step, Mode)>, Vec<Read>);

/// No fault, all single ones, all pairs of consecutive ones, and commits whose outcome cannot be read back at first.
fn faults() -> Vec<Plan> {
    let all: Vec<(Step, Mode)> = [Step::Commit, Step::Publish, Step::Guard]
        .into_iter()
        .flat_map(|step| MODES.map(|mode| (step, mode)))
        .collect();
    let mut found = vec![(vec![], vec![])];
    for (n, first) in all.iter().enumerate() {
        found.push((vec![*first], vec![]));
        for (m, second) in all.iter().enumerate() {
            // Each step has its own script: the order matters only within one.
            if first.0 == second.0 || n < m {
                found.push((vec![*first, *second], vec![]));
            }
        }
    }
    for mode in MODES {
        for read in [Read::Head, Read::Tile, Read::Policy, Read::Reached] {
            found.push((vec![(Step::Commit, mode)], vec![read]));
            found.push((vec![(Step::Commit, mode)], vec![read, read]));
        }
    }
    // Nothing failed but reading back what was logged.
    for read in [Read::Policy, Read::Reached] {
        found.push((vec![], vec![read]));
    }
    found
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for end in ENDS {
        for kind in KINDS {
            for (steps, reads) in faults() {
                // Pairs where the border is in the middle of the batch or at its end; all the rest everywhere.
                if steps.len() < 2 || (255..=257).contains(&end) {
                    cases.push(Case {
                        end,
                        kind,
                        steps,
                        reads,
                    });
                }
            }
        }
    }
    cases
}

fn at(data: &Path, database: &Database) -> Open {
    Open {
        create: true,
        issuer: Some("https://issuer.example".into()),
        origin: Some("log.example".into()),
        database_url: Some(database.url()),
        connections: 2,
        ..Open::new(data)
    }
}

/// Index, id and receipt of a report.
type Told = (u64, String, String);

/// Sends reports as one batch; where they are, or why they are not.
async fn send(app: &App, reports: &[String]) -> Result<Vec<Told>, Fault> {
    let checked = |jws: &String| ingest::check(jws.clone(), None).unwrap();
    let submissions = reports.iter().map(checked).collect();
    let patience = Duration::from_mins(1);
    let answers = app.log.submit(submissions, true, patience).await?;
    let (mut told, mut refused) = (Vec::new(), None);
    for answer in answers {
        match answer {
            Ok(Receipt { admitted, under }) => {
                let under = under.expect("proofs were asked for");
                let proof = under.prove(admitted.index, &app.tiles).await?;
                told.push((admitted.index, admitted.id.to_string(), proof));
            }
            Err(fault) => refused = Some(fault),
        }
    }
    refused.map_or(Ok(told), Err)
}

async fn log_policy(app: &App, version: u64, policy: &Policy) -> Result<(), Fault> {
    let event = Event {
        body: Body::Policy {
            version,
            policy: policy.to_value(),
        },
        at_ms: None,
        epoch: None,
    };
    app.log.log(event).await.map(|_| ())
}

fn some(count: u64) -> Vec<String> {
    (0..count).map(|_| fresh()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_step_fails_on_postgresql() {
    let started = std::time::Instant::now();
    let (base, data) = (Database::new().await, tempfile::tempdir().unwrap());
    base.store().await.close().await;
    let app = App::open(at(data.path(), &base)).await.unwrap();
    // Trust roots, so that there is something to score.
    let mut policy = app.log.shared().policy().unwrap().policy.clone();
    policy.seeds = (0..40).map(|n| agent(n).did()).collect();
    policy.seeds.sort_unstable();
    log_policy(&app, 2, &policy).await.unwrap();
    let begun = app.store.head().await.unwrap().unwrap().size;
    send(&app, &some(BASE - begun)).await.unwrap();
    app.log.publish().await.unwrap();
    app.close().await;
    keep(&base.url(), BEGIN).await;
    let cases = cases();
    let count = cases.len();
    let left = Arc::new(Mutex::new(cases.into_iter()));
    let mut running = tokio::task::JoinSet::new();
    for _ in 0..AT_ONCE {
        let (database, left) = (base.copy().await, left.clone());
        let data = data.path().to_owned();
        running.spawn(async move {
            let store = database.store().await;
            let mut connection = database.connection().await;
            let (mut checks, mut produced, mut known) = (0, 0, BTreeMap::new());
            loop {
                let Some(case) = left.lock().unwrap().next() else {
                    break;
                };
                put_back(&mut connection, BEGIN).await;
                let own = tempfile::tempdir().unwrap();
                copy(&data, own.path());
                let mut scene = Scene::open(own.path(), &database, &store, &mut known, case).await;
                scene.play().await;
                checks += scene.checks;
                produced += scene.faults.script().produced;
            }
            store.close().await;
            (checks, produced, database)
        });
    }
    let (mut checks, mut produced) = (0, 0);
    while let Some(done) = running.join_next().await {
        let (did, made, _database) = done.unwrap();
        checks += did;
        produced += made;
    }
    println!(
        "fault matrix on PostgreSQL, 256: {count} cases, {produced} faults, {checks} checks, {} s",
        started.elapsed().as_secs()
    );
    assert!(produced > count);
}

/// A data directory that nobody has open.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// What a check found.
struct Found {
    size: u64,
    published: Option<u64>,
    guard: Option<u64>,
    reports: BTreeMap<String, u64>,
}

/// One case under way.
struct Scene<'a> {
    data: &'a Path,
    database: &'a Database,
    case: Case,
    faults: Faults,
    app: Arc<App>,
    /// Looks past the faults.
    store: &'a PostgresStore,
    ledger: Vec<Told>,
    /// Entries that were read before, and the report that each logs, if it does.
    known: &'a mut BTreeMap<Vec<u8>, Option<String>>,
    /// Proofs that were verified before: size and root that they are under, and the leaf.
    proven: BTreeMap<String, (u64, Hash, Hash)>,
    checks: usize,
}

/// The id of the report that an entry logs.
fn report_of(entry: &[u8]) -> Option<String> {
    let entry: Value = serde_json::from_slice(entry).unwrap();
    (entry["kind"] == "report").then(|| entry["id"].as_str().unwrap().to_owned())
}

impl<'a> Scene<'a> {
    async fn open(
        data: &'a Path,
        database: &'a Database,
        store: &'a PostgresStore,
        known: &'a mut BTreeMap<Vec<u8>, Option<String>>,
        case: Case,
    ) -> Self {
        let faults = Faults::default();
        let doubles = faults.clone();
        let app = App::open_through(at(data, database), |parts| doubles.through(parts));
        let app = app.await.unwrap();
        Self {
            store,
            data,
            database,
            case,
            faults,
            app,
            ledger: Vec::new(),
            known,
            proven: BTreeMap::new(),
            checks: 0,
        }
    }

    async fn play(&mut self) {
        let case = self.case.clone();
        let before = some(case.end - case.kind.entries() - BASE);
        if !before.is_empty() {
            let told = send(&self.app, &before).await.unwrap();
            self.ledger.extend(told);
        }
        self.app.log.publish().await.unwrap();
        {
            let mut script = self.faults.script();
            for (step, mode) in &case.steps {
                script.plan(*step, *mode);
            }
            script.reads = VecDeque::from(case.reads.clone());
        }
        let (mut failures, most) = (0, case.steps.len() + case.reads.len());
        let reports = match case.kind {
            Kind::One => some(1),
            Kind::Many => some(MANY),
            Kind::Policy | Kind::Epoch => Vec::new(),
        };
        // The same again until it is acknowledged; at most one failure a fault.
        loop {
            let written = self.write(&reports).await;
            let found = self.check().await;
            match written {
                Ok(told) => break self.ledger.extend(told),
                Err(fault) => {
                    assert_eq!(fault.code(), "store.unavailable", "{case:?}: {fault}");
                    self.only_what_landed(&found, &reports);
                }
            }
            failures += 1;
            assert!(failures <= most, "{case:?}: the write keeps failing");
        }
        assert_eq!(self.check().await.size, case.end, "{case:?}");
        // Published, as often as it takes; meanwhile the writer does it by itself, too.
        self.publish(most).await;
        // The next write is a good one, unless faults are left for it; then it is the next but those.
        let next = some(1);
        failures = 0;
        loop {
            let sent = send(&self.app, &next).await;
            self.check().await;
            if let Ok(told) = sent {
                break self.ledger.extend(told);
            }
            failures += 1;
            assert!(failures <= most, "{case:?}: the next write keeps failing");
        }
        let left = {
            let mut script = self.faults.script();
            script.reads.clear();
            script.left(&[Step::Commit])
        };
        assert_eq!(left, 0, "{case:?}: a fault never happened");
        self.publish(most).await;
        let (found, size) = (self.check().await, case.end + 1);
        assert_eq!(
            (found.size, found.published, found.guard),
            (size, Some(size), Some(size)),
            "{case:?}"
        );
        // A restart finds the same log, and every report that is sent again is the one that is there.
        self.app.close().await;
        self.app = App::open(at(self.data, self.database)).await.unwrap();
        let known: Vec<String> = before.into_iter().chain(reports).chain(next).collect();
        for (index, id, proof) in send(&self.app, &known).await.unwrap() {
            let told = |(i, t, _): &Told| (*i, t) == (index, &id);
            assert!(self.ledger.iter().any(told), "{case:?}: another place");
            self.ledger.push((index, id, proof));
        }
        assert_eq!(self.check().await.size, size, "{case:?}: came in again");
        self.app.close().await;
    }

    /// One try at what the case writes.
    async fn write(&self, reports: &[String]) -> Result<Vec<Told>, Fault> {
        let (done, known) = match self.case.kind {
            Kind::One | Kind::Many => return send(&self.app, reports).await,
            Kind::Policy => {
                let mut policy = self.app.log.shared().policy().unwrap().policy.clone();
                policy.admission.max_skew_s = 61;
                // One that was logged but not read back is recognised by its version, as `policy set` would.
                let logged = log_policy(&self.app, 3, &policy).await;
                (logged, "policy.version_wrong")
            }
            Kind::Epoch => {
                let logged = goodstanding::epoch::run_if_changed(&self.app).await;
                (logged.map(|_| ()), "epoch.unchanged")
            }
        };
        match done {
            Err(fault) if fault.code() == known => Ok(Vec::new()),
            done => done.map(|()| Vec::new()),
        }
    }

    async fn publish(&mut self, most: usize) {
        for failures in 0.. {
            let published = self.app.log.publish().await;
            self.check().await;
            match published {
                Ok(()) => return,
                Err(fault) => assert_eq!(fault.code(), "store.unavailable", "{:?}", self.case),
            }
            assert!(failures < most, "{:?}: still not publishing", self.case);
        }
    }

    /// Derives the tree again from the entries, and holds to it the head, what is published and guarded, and every acknowledgement.
    async fn check(&mut self) -> Found {
        self.checks += 1;
        let (case, key) = (&self.case, self.app.signer.verifier().unwrap());
        // In the order in which they advance, backwards: the writer may publish meanwhile.
        let guard = std::fs::read_to_string(self.data.join("head.guard")).unwrap();
        let published = self.store.published().await.unwrap();
        let head = self.store.head().await.unwrap().unwrap();
        let entries = self.store.entries(0, head.size).await.unwrap();
        assert_eq!(entries.len() as u64, head.size, "{case:?}");
        let mut frontier = Frontier::default();
        let (mut roots, mut reports) = (vec![frontier.root()], BTreeMap::new());
        let mut leaves = Vec::new();
        for (index, entry) in (0..).zip(&entries) {
            leaves.push(leaf_hash(entry));
            frontier.push(leaf_hash(entry));
            roots.push(frontier.root());
            // What an entry says follows from its bytes.
            let known = self.known.entry(entry.clone());
            if let Some(id) = known.or_insert_with(|| report_of(entry)) {
                let twice = reports.insert(id.clone(), index);
                assert_eq!(twice, None, "{case:?}: logged twice");
            }
        }
        let on_tree = |note: &str| {
            let note = SignedCheckpoint::parse(note).unwrap();
            let told = note.verify_log(&key).unwrap();
            let size = usize::try_from(told.size).unwrap();
            assert_eq!(roots[size], told.root, "{case:?}: another tree");
            told.size
        };
        assert_eq!(on_tree(&head.note), head.size, "{case:?}");
        assert_eq!(roots.last(), Some(&head.root), "{case:?}");
        let published = published.map(|p| on_tree(&p.note));
        let guard = Some(on_tree(&guard));
        assert!(guard <= published, "{case:?}: the guard is ahead");
        for (index, id, proof) in &self.ledger {
            assert_eq!(reports.get(id), Some(index), "{case:?}: lost");
            let place = usize::try_from(*index).unwrap();
            // What a proof shows follows from it and the entry; that they are of this tree is looked at every time.
            let proven = self.proven.entry(proof.clone()).or_insert_with(|| {
                let proof = TlogProof::parse(proof).unwrap();
                let signed = SignedCheckpoint::parse(&proof.checkpoint).unwrap();
                let signed = signed.verify_log(&key).unwrap();
                proof.verify_inclusion(&entries[place], signed).unwrap();
                (signed.size, signed.root, leaves[place])
            });
            let size = usize::try_from(proven.0).unwrap();
            assert_eq!(
                (roots[size], leaves[place]),
                (proven.1, proven.2),
                "{case:?}: a receipt of another history"
            );
        }
        Found {
            size: head.size,
            published,
            guard,
            reports,
        }
    }

    /// What was refused is in the log only if the store kept it all the same.
    fn only_what_landed(&self, found: &Found, reports: &[String]) {
        let script = self.faults.script();
        let commits = script.landed.iter().flat_map(|commit| &commit.reports);
        let landed: BTreeSet<String> = commits.map(|report| report.id.to_string()).collect();
        for jws in reports {
            let id = ingest::check(jws.clone(), None).unwrap().report.id;
            let id = id.to_string();
            let there = found.reports.contains_key(&id);
            assert_eq!(there, landed.contains(&id), "{:?}: report {id}", self.case);
        }
    }
}
