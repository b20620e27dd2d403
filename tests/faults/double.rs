//! A store and a guard file that fail on demand, with or without having done what they were asked.

use std::{
    collections::{BTreeMap, VecDeque},
    io,
    sync::{Arc, Mutex, MutexGuard},
};

use async_trait::async_trait;
use goodstanding::{
    app::Parts,
    log::{
        guard::GuardFile,
        tree::{Tile, TileId},
    },
    store::{
        AdmissionFacts, AdmissionQuery, Commit, Error, Head, IssuedToken, Published, ReportFilter,
        Staged, StagingKey, Store, StoredBody, StoredEpoch, StoredErasure, StoredReport,
        StoredStatement, Tree,
    },
};
use goodstanding_verify::{did::Did, report::ReportId};
use tokio::sync::Semaphore;

/// A step that persists something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Step {
    /// Entries and everything that goes with them.
    Commit,
    /// Taking over what is staged of an epoch.
    Claim,
    /// Rows of an epoch under computation.
    Stage,
    /// Removing rows of an epoch that was not logged.
    Clear,
    /// A published checkpoint, in the database.
    Publish,
    /// The head guard.
    Guard,
    /// Erased bytes out of the write-ahead log.
    Scrub,
    /// A setting that is written once: the end of the log.
    Setting,
    /// A setting that changes: the name of the tenure.
    Name,
    /// The mark that the directory is open or closed.
    Mark,
    /// The end of the log, beside the database.
    Ended,
}

/// How a step goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// It fails and nothing of it is persisted.
    Fails,
    /// It says that it failed, but all of it is persisted.
    Persists,
}

/// What the writer reads when it finds out what happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Read {
    Head,
    Tile,
    Policy,
    Reached,
}

/// Faults that are still to come, and what was done so far.
#[derive(Debug, Default)]
pub(crate) struct Script {
    planned: BTreeMap<Step, VecDeque<Mode>>,
    /// Reads that fail once each, in this order, after the first commit was tried.
    pub reads: VecDeque<Read>,
    armed: bool,
    /// The commits that went through, whatever was said of them.
    pub landed: Vec<Commit>,
    /// How many faults were produced.
    pub produced: usize,
    /// Where rows of an epoch have to wait, if they do.
    pub gate: Option<Arc<Gate>>,
}

/// Holds whoever stages rows, before they are written.
#[derive(Debug)]
pub(crate) struct Gate {
    held: Semaphore,
    open: Semaphore,
}

impl Gate {
    pub(crate) fn closed() -> Arc<Self> {
        Arc::new(Self {
            held: Semaphore::new(0),
            open: Semaphore::new(0),
        })
    }

    /// Returns when somebody is held.
    pub(crate) async fn held(&self) {
        self.held.acquire().await.unwrap().forget();
    }

    /// Lets one through, now or later.
    pub(crate) fn open(&self) {
        self.open.add_permits(1);
    }

    async fn pass(&self) {
        self.held.add_permits(1);
        self.open.acquire().await.unwrap().forget();
    }
}

impl Script {
    /// The next time that nothing else is planned for, this step goes wrong like this.
    pub(crate) fn plan(&mut self, step: Step, mode: Mode) {
        self.planned.entry(step).or_default().push_back(mode);
    }

    /// How many faults of these steps are still to come.
    pub(crate) fn left(&self, steps: &[Step]) -> usize {
        let left = steps.iter().filter_map(|step| self.planned.get(step));
        left.map(VecDeque::len).sum()
    }

    fn next(&mut self, step: Step) -> Option<Mode> {
        let mode = self.planned.get_mut(&step)?.pop_front()?;
        self.produced += 1;
        Some(mode)
    }
}

/// Shared by the doubles of one directory.
#[derive(Clone, Debug, Default)]
pub(crate) struct Faults(Arc<Mutex<Script>>);

impl Faults {
    pub(crate) fn script(&self) -> MutexGuard<'_, Script> {
        self.0.lock().unwrap()
    }

    /// Puts the doubles between an `App` and what it writes to.
    pub(crate) fn through(&self, parts: Parts) -> Parts {
        let file = |inner, step| {
            let faults = self.clone();
            Arc::new(FaultyFile {
                inner,
                step,
                faults,
            })
        };
        Parts {
            store: Arc::new(FaultyStore {
                inner: parts.store,
                faults: self.clone(),
            }),
            cluster: parts.cluster,
            guard: file(parts.guard, Step::Guard),
            tenure: file(parts.tenure, Step::Mark),
            ended: file(parts.ended, Step::Ended),
        }
    }

    fn read(&self, read: Read) -> Result<(), Error> {
        let mut script = self.script();
        if script.armed && script.reads.front() == Some(&read) {
            script.reads.pop_front();
            script.produced += 1;
            return Err(Error::Unavailable(format!("injected: {read:?}")));
        }
        Ok(())
    }
}

/// A store whose writes, and the reads that follow a failed one, fail by script.
struct FaultyStore {
    inner: Arc<dyn Store>,
    faults: Faults,
}

/// A file whose writes fail by script.
#[derive(Debug)]
struct FaultyFile {
    inner: Arc<dyn GuardFile>,
    step: Step,
    faults: Faults,
}

impl GuardFile for FaultyFile {
    fn read(&self) -> io::Result<Option<String>> {
        self.inner.read()
    }

    fn write(&self, text: &str) -> io::Result<()> {
        let mode = self.faults.script().next(self.step);
        if mode != Some(Mode::Fails) {
            self.inner.write(text)?;
        }
        match mode {
            None => Ok(()),
            Some(mode) => Err(io::Error::other(format!("injected: {mode:?}"))),
        }
    }
}

fn outcome(mode: Option<Mode>) -> Result<(), Error> {
    match mode {
        None => Ok(()),
        Some(mode) => Err(Error::Unavailable(format!("injected: {mode:?}"))),
    }
}

#[async_trait]
impl Store for FaultyStore {
    async fn commit(&self, commit: &Commit) -> Result<(), Error> {
        let mode = {
            let mut script = self.faults.script();
            script.armed = true;
            script.next(Step::Commit)
        };
        if mode != Some(Mode::Fails) {
            self.inner.commit(commit).await?;
            self.faults.script().landed.push(commit.clone());
        }
        outcome(mode)
    }

    async fn claim_staging(&self, key: Option<StagingKey>) -> Result<u64, Error> {
        let mode = self.faults.script().next(Step::Claim);
        if mode == Some(Mode::Fails) {
            return outcome(mode).map(|()| 0);
        }
        let staged = self.inner.claim_staging(key).await?;
        outcome(mode).map(|()| staged)
    }

    async fn stage(&self, key: StagingKey, part: &Staged) -> Result<(), Error> {
        let gate = self.faults.script().gate.clone();
        if let Some(gate) = gate {
            gate.pass().await;
        }
        let mode = self.faults.script().next(Step::Stage);
        if mode != Some(Mode::Fails) {
            self.inner.stage(key, part).await?;
        }
        outcome(mode)
    }

    async fn clear_staging(&self, key: Option<StagingKey>) -> Result<bool, Error> {
        let mode = self.faults.script().next(Step::Clear);
        if mode == Some(Mode::Fails) {
            return outcome(mode).map(|()| false);
        }
        let cleared = self.inner.clear_staging(key).await?;
        outcome(mode).map(|()| cleared)
    }

    async fn confirm(&self, head: &Head) -> Result<(), Error> {
        self.inner.confirm(head).await
    }

    async fn publish(&self, checkpoint: &Published) -> Result<(), Error> {
        let mode = self.faults.script().next(Step::Publish);
        if mode != Some(Mode::Fails) {
            self.inner.publish(checkpoint).await?;
        }
        outcome(mode)
    }

    async fn scrub(&self) -> Result<bool, Error> {
        let mode = self.faults.script().next(Step::Scrub);
        if mode == Some(Mode::Fails) {
            return outcome(mode).map(|()| false);
        }
        let gone = self.inner.scrub().await?;
        outcome(mode).map(|()| gone)
    }

    async fn set_meta(&self, key: &str, value: &str) -> Result<(), Error> {
        let mode = {
            let mut script = self.faults.script();
            script.armed = true;
            script.next(Step::Setting)
        };
        if mode != Some(Mode::Fails) {
            self.inner.set_meta(key, value).await?;
        }
        outcome(mode)
    }

    async fn replace_meta(&self, key: &str, value: &str) -> Result<(), Error> {
        let mode = self.faults.script().next(Step::Name);
        if mode != Some(Mode::Fails) {
            self.inner.replace_meta(key, value).await?;
        }
        outcome(mode)
    }

    async fn head(&self) -> Result<Option<Head>, Error> {
        self.faults.read(Read::Head)?;
        self.inner.head().await
    }

    async fn tile(&self, tree: Tree, id: TileId) -> Result<Option<Tile>, Error> {
        self.faults.read(Read::Tile)?;
        self.inner.tile(tree, id).await
    }

    async fn events(&self, kind: &str, before: u64) -> Result<Vec<(u64, Vec<u8>)>, Error> {
        self.faults.read(Read::Policy)?;
        self.inner.events(kind, before).await
    }

    async fn reached(&self) -> Result<Vec<Did>, Error> {
        self.faults.read(Read::Reached)?;
        self.inner.reached().await
    }

    // Everything else is the real store's.

    async fn checkpoints(&self, from: u64, limit: u32) -> Result<Vec<Published>, Error> {
        self.inner.checkpoints(from, limit).await
    }

    async fn newest_checkpoints(&self, before: u64, limit: u32) -> Result<Vec<Published>, Error> {
        self.inner.newest_checkpoints(before, limit).await
    }

    async fn published_of(&self, size: u64) -> Result<Option<Published>, Error> {
        self.inner.published_of(size).await
    }

    async fn log_bodies(&self, start: u64, end: u64, limit: u32) -> Result<Vec<StoredBody>, Error> {
        self.inner.log_bodies(start, end, limit).await
    }

    async fn erased(&self, id: &ReportId) -> Result<Option<StoredErasure>, Error> {
        self.inner.erased(id).await
    }

    async fn erased_since(&self, log_size: u64) -> Result<u64, Error> {
        self.inner.erased_since(log_size).await
    }

    async fn published(&self) -> Result<Option<Published>, Error> {
        self.inner.published().await
    }

    async fn admission_facts(
        &self,
        asked: &[AdmissionQuery<'_>],
    ) -> Result<Vec<AdmissionFacts>, Error> {
        self.inner.admission_facts(asked).await
    }

    async fn entries(&self, start: u64, end: u64) -> Result<Vec<Vec<u8>>, Error> {
        self.inner.entries(start, end).await
    }

    async fn bodies(&self, start: u64, end: u64, limit: u32) -> Result<Vec<StoredReport>, Error> {
        self.inner.bodies(start, end, limit).await
    }

    async fn report(&self, id: &ReportId) -> Result<Option<StoredReport>, Error> {
        self.inner.report(id).await
    }

    async fn reports(&self, filter: &ReportFilter) -> Result<Vec<StoredReport>, Error> {
        self.inner.reports(filter).await
    }

    async fn current_reports(
        &self,
        market: &str,
        trade_id: &str,
        parties: [&Did; 2],
        before: u64,
    ) -> Result<Vec<StoredReport>, Error> {
        self.inner
            .current_reports(market, trade_id, parties, before)
            .await
    }

    async fn index_at(&self, at_ms: u64) -> Result<u64, Error> {
        self.inner.index_at(at_ms).await
    }

    async fn known_documents(&self, digests: &[[u8; 32]]) -> Result<Vec<[u8; 32]>, Error> {
        self.inner.known_documents(digests).await
    }

    async fn reports_with_document(
        &self,
        sha256: &[u8; 32],
        limit: u32,
    ) -> Result<Vec<StoredReport>, Error> {
        self.inner.reports_with_document(sha256, limit).await
    }

    async fn newest_report(&self) -> Result<Option<StoredReport>, Error> {
        self.inner.newest_report().await
    }

    async fn epoch(&self, number: Option<u64>) -> Result<Option<StoredEpoch>, Error> {
        self.inner.epoch(number).await
    }

    async fn epochs(&self, before: u64, limit: u32) -> Result<Vec<StoredEpoch>, Error> {
        self.inner.epochs(before, limit).await
    }

    async fn statements(
        &self,
        epoch: u64,
        from: u64,
        limit: u32,
    ) -> Result<Vec<StoredStatement>, Error> {
        self.inner.statements(epoch, from, limit).await
    }

    async fn statements_of(
        &self,
        agent: &Did,
        before: u64,
        limit: u32,
    ) -> Result<Vec<StoredStatement>, Error> {
        self.inner.statements_of(agent, before, limit).await
    }

    async fn set_aliases(&self, aliases: &[(String, Did)]) -> Result<(), Error> {
        self.inner.set_aliases(aliases).await
    }

    async fn agent_of_alias(&self, alias: &str) -> Result<Option<Did>, Error> {
        self.inner.agent_of_alias(alias).await
    }

    async fn aliases(&self) -> Result<Vec<(String, Did)>, Error> {
        self.inner.aliases().await
    }

    async fn add_token(&self, token: &IssuedToken) -> Result<bool, Error> {
        self.inner.add_token(token).await
    }

    async fn status_list(&self, list: u64) -> Result<(u64, Vec<u64>), Error> {
        self.inner.status_list(list).await
    }

    async fn newest_status_list(&self) -> Result<Option<u64>, Error> {
        self.inner.newest_status_list().await
    }

    async fn meta(&self, key: &str) -> Result<Option<String>, Error> {
        self.inner.meta(key).await
    }

    async fn close(&self) {
        self.inner.close().await;
    }
}
