//! The matrix of faults for what is not a report, a policy or an epoch: keys, erasures and the end of the log. Around the border of a tile, every step fails with and without having persisted, alone
//! and in pairs, with the full check after each.

use std::{
    collections::VecDeque,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use goodstanding::{
    app::App,
    casework::erasure::erase,
    code::{Code, Fault},
    fsck, ingest,
    keys::change::{Change, From},
    token::{keys, successor},
};
use goodstanding_verify::{
    entry::{ErasureReason, KeyAction, KeyEntry, KeyUse},
    jwk::Jwk,
    merkle::Hash,
    report::ReportId,
    successor::EndReason,
};

use super::{
    check::{Acknowledged, Checked, Known, full_check_from},
    double::{Faults, Mode, Read, Step},
    grow::{at, copy, fresh, grow, grown, opened},
};
use crate::support::T0;

/// The time at which the scenarios play: the grown logs end at `T0`.
pub(crate) const NOW: u64 = T0 + 10;
/// Cases at a time.
const WORKERS: usize = 4;
const MODES: [Mode; 2] = [Mode::Fails, Mode::Persists];

/// What is changed when the fault strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// A new key and the end of the old one, in one batch.
    Rotate,
    /// One of two keys ends.
    Retire,
    /// The only key is void, and a new one takes its place.
    Revoke,
    /// A report's bytes go.
    Erase,
    /// The log ends.
    End,
}

impl Kind {
    /// Entries that it logs.
    fn entries(self) -> u64 {
        match self {
            Self::Rotate | Self::Revoke => 2,
            Self::Retire | Self::Erase => 1,
            Self::End => 0,
        }
    }

    /// What it persists, in order.
    fn steps(self) -> &'static [Step] {
        match self {
            Self::Rotate | Self::Retire | Self::Revoke => {
                &[Step::Commit, Step::Publish, Step::Guard]
            }
            Self::Erase => &[Step::Commit, Step::Scrub, Step::Publish, Step::Guard],
            Self::End => &[Step::Publish, Step::Guard, Step::Setting, Step::Ended],
        }
    }
}

/// One cell of the matrix.
#[derive(Clone, Debug)]
struct Case {
    /// Size of the log after the change.
    end: u64,
    kind: Kind,
    steps: Vec<(Step, Mode)>,
    reads: Vec<Read>,
}

/// No fault, all single ones, and with `pairs` all pairs in which the order matters.
pub(crate) fn plans(steps: &[Step], pairs: bool) -> Vec<Vec<(Step, Mode)>> {
    let all: Vec<(Step, Mode)> = steps
        .iter()
        .flat_map(|step| MODES.map(|mode| (*step, mode)))
        .collect();
    let mut found = vec![vec![]];
    for (n, first) in all.iter().enumerate() {
        found.push(vec![*first]);
        for (m, second) in all.iter().enumerate() {
            if pairs && (first.0 == second.0 || n < m) {
                found.push(vec![*first, *second]);
            }
        }
    }
    found
}

/// Counted over all cases of a test.
#[derive(Default)]
pub(crate) struct Totals([AtomicUsize; 3]);

impl Totals {
    pub(crate) fn add(&self, faults: usize, checks: usize) {
        for (total, n) in self.0.iter().zip([1, faults, checks]) {
            total.fetch_add(n, Ordering::Relaxed);
        }
    }

    pub(crate) fn print(&self, name: &str, started: std::time::Instant) {
        let [cases, faults, checks] = [0, 1, 2].map(|n: usize| self.0[n].load(Ordering::Relaxed));
        println!(
            "fault matrix, {name}: {cases} cases, {faults} faults, {checks} full checks, {} s",
            started.elapsed().as_secs()
        );
        assert!(faults >= cases / 2 && checks > 2 * cases);
    }
}

/// Plays the cases on a few threads, each with a runtime of its own.
pub(crate) fn each<C: Send>(cases: Vec<C>, play: impl AsyncFn(C) + Sync) {
    let cases = Mutex::new(VecDeque::from(cases));
    let next = || cases.lock().unwrap().pop_front();
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()
                    .unwrap();
                while let Some(case) = next() {
                    runtime.block_on(play(case));
                }
            });
        }
    });
}

/// A log just below the border, with what is known of it.
pub(crate) fn base(size: u64) -> (tempfile::TempDir, Vec<Hash>) {
    let base = tempfile::tempdir().unwrap();
    let mut known = Known::default();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        grown(base.path(), size).await;
        full_check_from(base.path(), &mut known).await;
    });
    (base, known.leaves)
}

#[test]
fn every_step_of_a_change_fails_around_a_tile_border() {
    let started = std::time::Instant::now();
    let (base, known) = base(250);
    let mut cases = Vec::new();
    for end in 255..=257 {
        for kind in [
            Kind::Rotate,
            Kind::Retire,
            Kind::Revoke,
            Kind::Erase,
            Kind::End,
        ] {
            let case = |steps, reads| Case {
                end,
                kind,
                steps,
                reads,
            };
            for steps in plans(kind.steps(), end == 256) {
                cases.push(case(steps, vec![]));
            }
            // What became of it cannot be read back at first.
            let unsure = if kind == Kind::End {
                Step::Setting
            } else {
                Step::Commit
            };
            for mode in MODES {
                for read in [Read::Head, Read::Tile] {
                    cases.push(case(vec![(unsure, mode)], vec![read]));
                    cases.push(case(vec![(unsure, mode)], vec![read, read]));
                }
            }
        }
    }
    let totals = Totals::default();
    each(cases, async |case| {
        let data = tempfile::tempdir().unwrap();
        copy(base.path(), data.path());
        let mut scene = Scene::open(data.path(), case, &known).await;
        scene.play().await;
        let produced = scene.faults.script().produced;
        totals.add(produced, scene.checks);
    });
    totals.print("keys, erasures and ends around 256", started);
}

/// One case under way.
struct Scene<'a> {
    data: &'a Path,
    case: Case,
    known: &'a [Hash],
    faults: Faults,
    app: Arc<App>,
    ledger: Vec<Acknowledged>,
    /// The report that is erased, and its bytes.
    victim: (ReportId, String),
    checks: usize,
}

impl<'a> Scene<'a> {
    /// The log as it is before the change: a report to erase is in it, and a second key to retire.
    async fn open(data: &'a Path, case: Case, known: &'a [Hash]) -> Self {
        let start = case.end - case.kind.entries() - 2;
        grow(data, start).await;
        let app = opened(async || App::open(at(data, NOW)).await)
            .await
            .unwrap();
        let second = app.keys.fresh(KeyUse::Status, |kid| {
            keys::ring(&app.log.shared().keys(), u64::MAX)
                .unwrap()
                .key(KeyUse::Status, kid)
                .is_some()
        });
        let event = KeyEntry {
            usage: KeyUse::Status,
            action: KeyAction::Add,
            jwk: Jwk::from(second.unwrap().did()),
            from: NOW - 5,
        };
        app.log.log_keys(vec![event], None).await.unwrap();
        let jws = fresh("victim", 0, NOW - 5);
        let (admitted, _) = ingest::submit_one(&app, jws.clone()).await.unwrap();
        app.close().await;

        let faults = Faults::default();
        let app =
            opened(async || App::open_through(at(data, NOW), |parts| faults.through(parts)).await)
                .await
                .unwrap();
        Self {
            data,
            case,
            known,
            faults,
            app,
            ledger: Vec::new(),
            victim: (admitted.id, jws),
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
        let most = case.steps.len() + case.reads.len() + 1;
        let retired = self.second_kid();
        for attempt in 0.. {
            assert!(attempt <= most, "{case:?}: still failing");
            // An operator looks before trying again: what is done is not done twice.
            if self.is_done(retired.as_deref()) {
                break;
            }
            let done = self.change(retired.as_deref()).await;
            self.check().await;
            match done {
                Ok(()) => {}
                Err(fault) => {
                    // Done already, and nobody could say so: it is refused, and not done again.
                    let again = (case.kind == Kind::End || self.has_landed())
                        && ["report.erased", "log.ended", "key.event_invalid"]
                            .contains(&fault.code());
                    assert!(
                        again || fault.code() == "store.unavailable",
                        "{case:?}: {fault}"
                    );
                }
            }
        }
        assert_eq!(self.check().await.size(), case.end, "{case:?}");
        for attempt in 0.. {
            assert!(attempt <= most, "{case:?}: still not publishing");
            let published = self.app.log.publish().await;
            self.check().await;
            match published {
                Ok(()) => break,
                Err(fault) => assert_eq!(fault.code(), "store.unavailable", "{case:?}"),
            }
        }
        self.faults.script().reads.clear();
        self.next().await;
        self.app.close().await;
        self.check().await;
        self.reopen().await;
    }

    /// Thumbprint of the key that is retired or revoked.
    fn second_kid(&self) -> Option<String> {
        let ring = keys::ring(&self.app.log.shared().keys(), u64::MAX).unwrap();
        let usage = match self.case.kind {
            Kind::Retire => KeyUse::Status,
            Kind::Revoke => KeyUse::Casework,
            _ => return None,
        };
        let newest = ring.keys().iter().rfind(|key| key.usage == usage);
        newest.map(|key| key.jwk.thumbprint())
    }

    /// Whether the log says so.
    fn is_done(&self, kid: Option<&str>) -> bool {
        let shared = self.app.log.shared();
        let ring = keys::ring(&shared.keys(), u64::MAX).unwrap();
        match self.case.kind {
            Kind::Rotate => {
                let tokens = ring.keys().iter().filter(|key| key.usage == KeyUse::Token);
                tokens.count() == 2
            }
            Kind::Retire => ring
                .key(KeyUse::Status, kid.unwrap())
                .is_some_and(|key| key.to.is_some()),
            Kind::Revoke => ring
                .key(KeyUse::Casework, kid.unwrap())
                .is_some_and(|key| key.revoked.is_some()),
            Kind::Erase => self.has_landed(),
            Kind::End => shared.ended().is_some(),
        }
    }

    /// Whether the store has it, whatever was said.
    fn has_landed(&self) -> bool {
        let script = self.faults.script();
        script.landed.iter().any(|commit| {
            commit.erasure.is_some() || commit.entries.iter().any(|entry| entry.kind == "key")
        })
    }

    /// One try.
    async fn change(&self, kid: Option<&str>) -> Result<(), Fault> {
        let kid = kid.unwrap_or_default().to_owned();
        let change = match self.case.kind {
            Kind::Rotate => Change::Rotate {
                usage: KeyUse::Token,
                from: From::At(NOW + 100),
            },
            Kind::Retire => Change::Retire {
                usage: KeyUse::Status,
                kid,
                from: Some(NOW + 100),
            },
            Kind::Revoke => Change::Revoke {
                usage: KeyUse::Casework,
                kid,
            },
            Kind::Erase => {
                let done = erase(&self.app, self.victim.0, ErasureReason::CourtOrder).await;
                return done.map(|_| ());
            }
            Kind::End => {
                let done = successor::end(&self.app, EndReason::Retired, None).await;
                return done.map(|_| ());
            }
        };
        keys::change(&self.app, change, None).await.map(|_| ())
    }

    /// What is written next: a report, or nothing any more.
    async fn next(&mut self) {
        let jws = fresh("next", 0, NOW - 5);
        if self.case.kind == Kind::End {
            let refused = ingest::submit_one(&self.app, jws).await.unwrap_err();
            assert_eq!(refused.code(), "log.ended", "{:?}", self.case);
            return;
        }
        for attempt in 0.. {
            assert!(
                attempt <= 3,
                "{:?}: the next write keeps failing",
                self.case
            );
            match ingest::submit_one(&self.app, jws.clone()).await {
                Ok((admitted, proof)) => {
                    assert!(admitted.new);
                    self.ledger.push(Acknowledged {
                        index: admitted.index,
                        id: admitted.id.to_string(),
                        proof: Some(proof),
                    });
                    break;
                }
                Err(fault) => assert_eq!(fault.code(), "store.unavailable", "{:?}", self.case),
            }
            self.check().await;
        }
        self.check().await;
    }

    /// A restart finds what was changed, and `fsck` nothing wrong.
    async fn reopen(&mut self) {
        let case = self.case.clone();
        let app = opened(async || App::open(at(self.data, NOW)).await)
            .await
            .unwrap();
        let ring = keys::ring(&app.log.shared().keys(), u64::MAX).unwrap();
        assert_eq!(app.log.shared().ended().is_some(), case.kind == Kind::End);
        let count = |usage| ring.keys().iter().filter(|key| key.usage == usage).count();
        let expected = match case.kind {
            Kind::Rotate => (2, 2, 1),
            Kind::Revoke => (1, 2, 2),
            _ => (1, 2, 1),
        };
        let found = (
            count(KeyUse::Token),
            count(KeyUse::Status),
            count(KeyUse::Casework),
        );
        assert_eq!(found, expected, "{case:?}: keys");
        let again = ingest::submit_one(&app, self.victim.1.clone()).await;
        match case.kind {
            Kind::Erase => assert!(again.unwrap_err().is(Code::ReportErased)),
            Kind::End => assert!(again.unwrap_err().is(Code::LogEnded)),
            _ => assert!(!again.unwrap().0.new),
        }
        app.close().await;
        if case.kind == Kind::End {
            let text = std::fs::read_to_string(self.data.join("log.ended")).unwrap();
            assert_eq!(text, app.log.shared().ended().unwrap().notice);
        }
        if case.kind == Kind::Erase {
            self.is_out_of_the_files();
        }
        let outcome = fsck::run(self.data, &fsck::Options::new(NOW))
            .await
            .unwrap();
        assert!(outcome.ok && outcome.complete, "{case:?}: {outcome:#?}");
        let checked = self.check().await;
        let size = checked.size();
        let next = u64::from(case.kind != Kind::End);
        assert_eq!(
            (size, checked.published, checked.guard),
            (case.end + next, Some(size), Some(size)),
            "{case:?}"
        );
    }

    /// Nothing of the erased report is in any file.
    fn is_out_of_the_files(&self) {
        let signature = self.victim.1.rsplit('.').next().unwrap().as_bytes();
        for file in std::fs::read_dir(self.data).unwrap() {
            let path = file.unwrap().path();
            if path.is_file() {
                let bytes = std::fs::read(&path).unwrap();
                let found = bytes.windows(signature.len()).any(|w| w == signature);
                assert!(!found, "{:?}: still in {}", self.case, path.display());
            }
        }
    }

    async fn check(&mut self) -> Checked {
        self.checks += 1;
        let checked = full_check_from(self.data, &mut Known::of(self.known)).await;
        checked.holds(&self.ledger);
        checked
    }
}
