//! Commits that a sequencer could have planned, without one.

use goodstanding::{
    log::tree::{Tile, TileId, Touched},
    store::{
        Commit, Error, Head, NewEntry, NewEpoch, NewErasure, NewReport, Staged, StagingKey, Store,
        Tree,
    },
};
use goodstanding_verify::{
    did::Did,
    report::{ReportId, Role},
};
use sha2::{Digest as _, Sha256};

use crate::support;

pub(crate) const MARKET: &str = "https://market.example";

pub(crate) fn did(n: u32) -> Did {
    support::agent(n).did()
}

/// A hash of anything.
pub(crate) fn hash(of: &str) -> [u8; 32] {
    Sha256::digest(of).into()
}

/// The key of a computation.
pub(crate) fn key(of: &str, number: u64) -> StagingKey {
    let hash = hash(&format!("{of} {number}"));
    StagingKey(*hash.first_chunk().unwrap())
}

/// An agent's statement: the agent, whether flow reached it, its claims.
pub(crate) type Statement = (Did, bool, String);

pub(crate) fn count(statements: &[Statement]) -> u64 {
    u64::try_from(statements.len()).unwrap()
}

/// Rows from a leaf on, without tiles.
pub(crate) fn part(epoch: u64, leaf: u64, statements: Vec<Statement>) -> Staged {
    Staged {
        epoch,
        leaf,
        statements,
        tiles: Touched::new(),
    }
}

/// By agent `reporter` on agent `subject`, as the buyer. Its index and time are the log's to give.
pub(crate) fn report(reporter: u32, subject: u32, trade: &str) -> NewReport {
    let name = format!("{reporter} {subject} {trade}");
    NewReport {
        index: 0,
        at_ms: 0,
        id: ReportId(hash(&name)),
        reporter: did(reporter),
        subject: did(subject),
        market: MARKET.to_owned(),
        trade_id: trade.to_owned(),
        role: Role::Buyer,
        jti: format!("jti of {name}"),
        historical: false,
        alone: true,
        supersedes: None,
        documents: Vec::new(),
        jws: format!("body of {name}"),
    }
}

/// The same trade again, replacing the report at an index.
pub(crate) fn again(report: &NewReport, version: u32, supersedes: u64) -> NewReport {
    NewReport {
        id: ReportId(hash(&format!("{} {version}", report.jws))),
        jti: format!("{} {version}", report.jti),
        jws: format!("{} {version}", report.jws),
        supersedes: Some(supersedes),
        ..report.clone()
    }
}

/// A log that is written to, as far as the store can tell.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log {
    pub(crate) head: Option<Head>,
}

impl Log {
    pub(crate) fn size(&self) -> u64 {
        self.head.as_ref().map_or(0, |head| head.size)
    }

    /// A commit of these reports, and of an entry of this kind after them.
    pub(crate) fn plan(
        &self,
        at_ms: u64,
        reports: Vec<NewReport>,
        event: Option<&'static str>,
    ) -> Commit {
        let indexed = (self.size()..).zip(reports);
        let reports: Vec<_> = indexed
            .map(|(index, report)| NewReport {
                index,
                at_ms,
                ..report
            })
            .collect();
        let entry = |index, kind| NewEntry {
            index,
            at_ms,
            kind,
            bytes: format!("{kind} {index}").into_bytes(),
        };
        let mut entries: Vec<_> = reports.iter().map(|r| entry(r.index, "report")).collect();
        let next = self.size() + u64::try_from(entries.len()).unwrap();
        entries.extend(event.map(|kind| entry(next, kind)));
        let size = self.size() + u64::try_from(entries.len()).unwrap();
        Commit {
            expected: self.head.as_ref().map(|head| (head.size, head.root)),
            head: Head {
                size,
                root: hash(&format!("root {size} {at_ms}")),
                at_ms,
                note: format!("note {size}"),
            },
            entries,
            reports,
            tiles: Vec::new(),
            epoch: None,
            erasure: None,
        }
    }

    /// Commits it and stands on it.
    pub(crate) async fn commit(&mut self, store: &dyn Store, commit: Commit) {
        store.commit(&commit).await.unwrap();
        self.head = Some(commit.head);
    }

    pub(crate) async fn reports(&mut self, store: &dyn Store, at_ms: u64, reports: Vec<NewReport>) {
        let commit = self.plan(at_ms, reports, None);
        self.commit(store, commit).await;
    }

    pub(crate) async fn event(&mut self, store: &dyn Store, at_ms: u64, kind: &'static str) {
        let commit = self.plan(at_ms, Vec::new(), Some(kind));
        self.commit(store, commit).await;
    }

    pub(crate) async fn tiles(&mut self, store: &dyn Store, tiles: Vec<(Tree, TileId, Tile)>) {
        let mut commit = self.plan(1, Vec::new(), Some("tiles"));
        commit.tiles = tiles;
        self.commit(store, commit).await;
    }

    /// A commit of an epoch of which these rows are staged.
    pub(crate) fn plan_epoch(&self, number: u64, staged: StagingKey, statements: u64) -> Commit {
        let mut commit = self.plan(number, Vec::new(), Some("epoch"));
        commit.epoch = Some(NewEpoch {
            number,
            index: self.size(),
            salt_key: hash(&format!("salt {number}")),
            staged,
            statements,
        });
        commit
    }

    pub(crate) async fn epoch(
        &mut self,
        store: &dyn Store,
        number: u64,
        statements: Vec<(Did, bool, String)>,
    ) {
        let (staged, count) = (key("epoch", number), count(&statements));
        assert_eq!(store.claim_staging(Some(staged)).await.unwrap(), 0);
        store
            .stage(staged, &part(number, 0, statements))
            .await
            .unwrap();
        let commit = self.plan_epoch(number, staged, count);
        self.commit(store, commit).await;
    }

    /// A commit that erases this report, at this index.
    pub(crate) fn plan_erasure(&self, index: u64, of: ReportId) -> Commit {
        let mut commit = self.plan(1000, Vec::new(), Some("erasure"));
        let by = self.size();
        commit.erasure = Some(NewErasure { index, of, by });
        commit
    }

    pub(crate) async fn erase(&mut self, store: &dyn Store, index: u64, of: ReportId) {
        let commit = self.plan_erasure(index, of);
        self.commit(store, commit).await;
    }
}

/// That a commit is refused for a constraint, and nothing of it is there.
pub(crate) async fn refused(store: &dyn Store, commit: &Commit) {
    let (head, next) = (store.head().await.unwrap(), commit.head.size);
    let before = store.entries(0, next + 10).await.unwrap();
    let error = store.commit(commit).await.unwrap_err();
    assert!(matches!(error, Error::Unavailable(_)), "{error}");
    assert_eq!(store.head().await.unwrap(), head);
    assert_eq!(store.entries(0, next + 10).await.unwrap(), before);
}

pub(crate) fn indices(reports: &[goodstanding::store::StoredReport]) -> Vec<u64> {
    reports.iter().map(|report| report.index).collect()
}
