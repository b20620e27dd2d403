//! The matrix: every persistence step fails with and without having persisted, one at a time and in pairs, for every kind
//! of batch, at sizes around the borders of tiles. After each step the whole directory is checked.

use std::{
    collections::{BTreeSet, VecDeque},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use goodstanding::{
    app::App,
    code::Fault,
    ingest,
    log::sequencer::{Event, Receipt},
};
use goodstanding_verify::{entry::Body, report::ReportId};
use tokio::{sync::Semaphore, task::JoinSet};

use super::{
    check::{Acknowledged, Checked, Known, full_check_from},
    double::{Faults, Mode, Read, Step},
    grow::{at, copy, fresh, grow, grown},
};
use crate::support::T0;

/// The time at which the scenarios play: the grown logs end at `T0`.
const NOW: u64 = T0 + 10;
const MODES: [Mode; 2] = [Mode::Fails, Mode::Persists];
/// Entries of a long log, whose beginning is not read again in every check but the last of a case.
const LONG: usize = 10_000;
/// Reports of a batch of many.
const MANY: u32 = 7;

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
            Self::Many => u64::from(MANY),
            _ => 1,
        }
    }
}

/// One cell of the matrix.
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
            // Each step has its own script: the order of faults matters only within one.
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

const KINDS: [Kind; 4] = [Kind::One, Kind::Many, Kind::Policy, Kind::Epoch];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_step_fails_around_the_first_tile_border() {
    let base = tempfile::tempdir().unwrap();
    grown(base.path(), 254 - u64::from(MANY)).await;
    let mut cases = Vec::new();
    for end in 254..=258 {
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
    play("256", base.path(), cases).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_step_fails_around_the_second_tile_border() {
    let base = tempfile::tempdir().unwrap();
    grown(base.path(), 510 - u64::from(MANY)).await;
    let mut cases = Vec::new();
    for end in 510..=514 {
        for kind in KINDS {
            for (steps, reads) in faults() {
                if steps.len() < 2 && reads.len() < 2 || (end, kind) == (513, Kind::Many) {
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
    play("512", base.path(), cases).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_step_fails_around_the_border_of_a_tile_of_tiles() {
    let base = tempfile::tempdir().unwrap();
    grown(base.path(), 65_534 - u64::from(MANY)).await;
    let mut cases = Vec::new();
    for end in 65_534..=65_538 {
        for kind in [Kind::One, Kind::Many, Kind::Policy] {
            for (step, mode) in [
                (Step::Commit, Mode::Fails),
                (Step::Commit, Mode::Persists),
                (Step::Guard, Mode::Persists),
            ] {
                let reads = match (step, kind) {
                    (Step::Commit, Kind::Many) => vec![Read::Tile],
                    _ => vec![],
                };
                cases.push(Case {
                    end,
                    kind,
                    steps: vec![(step, mode)],
                    reads,
                });
            }
        }
    }
    play("65,536", base.path(), cases).await;
}

/// Plays the cases, each on its own copy of the grown directory.
async fn play(name: &str, base: &Path, cases: Vec<Case>) {
    let started = std::time::Instant::now();
    let mut known = Known::default();
    full_check_from(base, &mut known).await;
    let known = Arc::new(known.leaves);
    let (places, mut running) = (Arc::new(Semaphore::new(4)), JoinSet::new());
    let (checks, produced) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let count = cases.len();
    for case in cases {
        let place = places.clone().acquire_owned().await.unwrap();
        let (base, known) = (base.to_owned(), known.clone());
        let (checks, produced) = (checks.clone(), produced.clone());
        running.spawn(async move {
            let _place = place;
            let data = tempfile::tempdir().unwrap();
            copy(&base, data.path());
            let start = case.end - case.kind.entries();
            grow(data.path(), start).await;
            let mut scene = Scene::open(data.path(), case, &known).await;
            scene.play().await;
            checks.fetch_add(scene.checks, Ordering::Relaxed);
            produced.fetch_add(scene.faults.script().produced, Ordering::Relaxed);
        });
        while let Some(done) = running.try_join_next() {
            done.unwrap();
        }
    }
    while let Some(done) = running.join_next().await {
        done.unwrap();
    }
    println!(
        "fault matrix, {name}: {count} cases, {} faults, {} full checks, {} s",
        produced.load(Ordering::Relaxed),
        checks.load(Ordering::Relaxed),
        started.elapsed().as_secs()
    );
}

/// One case under way.
struct Scene<'a> {
    data: &'a Path,
    case: Case,
    known: &'a [goodstanding_verify::merkle::Hash],
    faults: Faults,
    app: Arc<App>,
    ledger: Vec<Acknowledged>,
    checks: usize,
}

impl<'a> Scene<'a> {
    async fn open(
        data: &'a Path,
        case: Case,
        known: &'a [goodstanding_verify::merkle::Hash],
    ) -> Self {
        let faults = Faults::default();
        let doubles = faults.clone();
        let app = App::open_through(at(data, NOW), |parts| doubles.through(parts))
            .await
            .unwrap();
        Self {
            data,
            case,
            known,
            faults,
            app,
            ledger: Vec::new(),
            checks: 0,
        }
    }

    async fn play(&mut self) {
        let case = self.case.clone();
        {
            let mut script = self.faults.script();
            for (step, mode) in &case.steps {
                script.plan(*step, *mode);
            }
            script.reads = VecDeque::from(case.reads.clone());
        }
        let most = case.steps.len() + case.reads.len();
        let reports: Vec<String> = match case.kind {
            Kind::One => vec![fresh("case", 0, NOW - 5)],
            Kind::Many => (0..MANY).map(|n| fresh("case", n, NOW - 5)).collect(),
            Kind::Policy | Kind::Epoch => Vec::new(),
        };

        // The write, sent again with the same bytes until it is acknowledged; at most one failure a fault.
        for attempt in 0.. {
            assert!(
                attempt <= most,
                "{case:?}: still failing after every fault has happened"
            );
            let written = self.write(&reports).await;
            let checked = self.check().await;
            match written {
                Ok(()) => break,
                Err(fault) => {
                    assert_eq!(fault.code(), "store.unavailable", "{case:?}: {fault}");
                    self.only_what_landed(&checked, &reports);
                }
            }
        }
        assert_eq!(self.check().await.size(), case.end, "{case:?}");

        // Publishing, as often as it takes; meanwhile the writer does it by itself, too.
        for attempt in 0.. {
            assert!(attempt <= most, "{case:?}: still not publishing");
            let published = self.app.log.publish().await;
            self.check().await;
            match published {
                Ok(()) => break,
                Err(fault) => assert_eq!(fault.code(), "store.unavailable", "{case:?}"),
            }
        }

        // The next write is a good one, unless faults are left for it; then it is the next but those.
        let next = vec![fresh("next", 0, NOW - 5)];
        for attempt in 0.. {
            assert!(attempt <= most, "{case:?}: the next write keeps failing");
            let sent = self.send(&next).await;
            self.check().await;
            if sent.is_ok() {
                break;
            }
        }
        let left = {
            let mut script = self.faults.script();
            let left = script.left(&[Step::Commit, Step::Publish]);
            script.reads.clear();
            left
        };
        assert_eq!(left, 0, "{case:?}: a fault never happened");
        self.app.log.publish().await.unwrap();
        let checked = self.check().await;
        let size = case.end + 1;
        assert_eq!(
            (checked.size(), checked.published, checked.guard),
            (size, Some(size), Some(size)),
            "{case:?}"
        );

        // A restart finds the same log, and every report that is sent again is the one that is there.
        self.app.close().await;
        let app = App::open(at(self.data, NOW)).await.unwrap();
        for jws in reports.iter().chain(&next) {
            let (admitted, proof) = ingest::submit_one(&app, jws.clone()).await.unwrap();
            assert!(
                !admitted.new,
                "{case:?}: a report that was there came in again"
            );
            let told = Acknowledged {
                index: admitted.index,
                id: admitted.id.to_string(),
                proof: Some(proof),
            };
            assert!(
                self.ledger
                    .iter()
                    .any(|a| (a.index, &a.id) == (told.index, &told.id)),
                "{case:?}: another place than acknowledged"
            );
            self.ledger.push(told);
        }
        app.close().await;
        // This time every entry is read, however long the log.
        let checked = full_check_from(self.data, &mut Known::of(self.known)).await;
        self.checks += 1;
        checked.holds(&self.ledger);
        assert_eq!(checked.size(), size, "{case:?}");
    }

    /// One try at what the case writes.
    async fn write(&mut self, reports: &[String]) -> Result<(), Fault> {
        match self.case.kind {
            Kind::One | Kind::Many => self.send(reports).await,
            Kind::Policy => {
                let current = self.app.log.shared().policy().unwrap();
                // A policy that was logged but not read back is recognised by its version, as `policy set` would.
                let mut policy = current.policy.clone();
                policy.admission.max_skew_s = 61;
                let body = Body::Policy {
                    version: 3,
                    policy: policy.to_value(),
                };
                let event = Event {
                    body,
                    at_ms: None,
                    epoch: None,
                };
                match self.app.log.log(event).await {
                    Err(fault) if fault.code() == "policy.version_wrong" => Ok(()),
                    other => other.map(|_| ()),
                }
            }
            Kind::Epoch => match goodstanding::epoch::run_if_changed(&self.app).await {
                Err(fault) if fault.code() == "epoch.unchanged" => Ok(()),
                other => other.map(|_| ()),
            },
        }
    }

    /// Sends reports as one batch and keeps what was acknowledged.
    async fn send(&mut self, reports: &[String]) -> Result<(), Fault> {
        let submissions = reports
            .iter()
            .map(|jws| ingest::check(jws.clone(), None).unwrap())
            .collect();
        let answers = self
            .app
            .log
            .submit(submissions, true, Duration::from_mins(1))
            .await?;
        let mut refused = None;
        for answer in answers {
            match answer {
                Ok(Receipt { admitted, under }) => {
                    let under = under.expect("proofs were asked for");
                    let proof = under.prove(admitted.index, &self.app.tiles).await.unwrap();
                    self.ledger.push(Acknowledged {
                        index: admitted.index,
                        id: admitted.id.to_string(),
                        proof: Some(proof),
                    });
                }
                Err(fault) => refused = Some(fault),
            }
        }
        refused.map_or(Ok(()), Err)
    }

    async fn check(&mut self) -> Checked {
        self.checks += 1;
        let mut known = Known::of(self.known);
        known.unread = known.leaves.len() > LONG;
        let checked = full_check_from(self.data, &mut known).await;
        checked.holds(&self.ledger);
        checked
    }

    /// What was refused is in the log only if the store kept it all the same.
    fn only_what_landed(&self, checked: &Checked, reports: &[String]) {
        let landed: BTreeSet<ReportId> = self
            .faults
            .script()
            .landed
            .iter()
            .flat_map(|commit| commit.reports.iter().map(|report| report.id))
            .collect();
        for jws in reports {
            let id = ingest::check(jws.clone(), None).unwrap().report.id;
            assert_eq!(
                checked.reports.contains_key(&id),
                landed.contains(&id),
                "{:?}: report {id}",
                self.case
            );
        }
    }
}
