//! Logs that keep their word, over HTTP and from their directory, whole and in parts.

use std::sync::atomic::{AtomicU64, Ordering};

use goodstanding::audit::{DirSource, Failure, HttpSource, Options, Source, Summary, audit};
use goodstanding_verify::{bundle::TrustBundle, note::VerifierKey};

use crate::{
    forge::{Copy, market, trade},
    support::{T0, agent},
};

async fn quietly(source: &dyn Source, options: &Options) -> Result<Summary, Failure> {
    audit(source, options, &|_, _| ()).await
}

/// All that does not depend on where it was read and when.
fn essence(summary: &Summary) -> String {
    let mut summary = summary.clone();
    summary.target.clear();
    summary.log_key_from.clear();
    summary.took_ms = 0;
    summary.trust_bundle = None;
    summary.witnesses = None;
    serde_json::to_string(&summary).unwrap()
}

#[tokio::test]
async fn a_service_and_its_directory_agree_with_their_rules() {
    let service = market().await;
    let size = service.log_size();
    let over_http = quietly(&HttpSource::new(&service.url).unwrap(), &Options::default())
        .await
        .unwrap();
    assert_eq!(over_http.size, size);
    assert_eq!(over_http.entries, size);
    assert_eq!(over_http.epochs_recomputed, 2);
    assert_eq!((over_http.policies, over_http.key_events), (3, 4));
    assert_eq!(over_http.reports, size - 4 - 3 - 2);
    assert_eq!(over_http.historical, 1);
    assert!(over_http.first_use && over_http.quota_checked);
    assert_eq!(over_http.log_key, service.app.signer.vkey());
    assert!(over_http.trust_bundle.is_some());
    assert_eq!(over_http.witnesses.as_ref().unwrap().total, 0);
    // The directory can be read while the service works on it.
    let source = DirSource::open(service.data.path()).await.unwrap();
    let from_dir = quietly(&source, &Options::default()).await.unwrap();
    assert_eq!(essence(&from_dir), essence(&over_http));
    assert!(from_dir.log_key_from.ends_with("log.json"));
    source.close().await;
    service.stop().await;
}

#[tokio::test]
async fn what_is_not_published_is_not_looked_at() {
    let service = market().await;
    let published = service.log_size();
    // Durable, but the next checkpoint may be a second away: the directory's own, unpublished head is not audited.
    let mut watched = service.app.log.shared().published.clone();
    let before = watched.borrow_and_update().clone().unwrap();
    assert_eq!(before.size, published);
    let copy = {
        trade(&service, 500..520).await;
        let data = service.stop().await;
        let copy = Copy::of(data.path());
        copy.sql(&[&format!("DELETE FROM checkpoints WHERE size > {published}")])
            .await;
        copy
    };
    let summary = copy.audit(&Options::default()).await.unwrap();
    assert_eq!(summary.size, published);
}

#[tokio::test]
async fn the_next_audit_goes_on_where_the_last_one_ended() {
    let service = market().await;
    let source = HttpSource::new(&service.url).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let options = Options {
        state: Some(dir.path().join("state.json")),
        now_s: T0,
        ..Options::default()
    };
    let first = quietly(&source, &options).await.unwrap();
    assert!(first.first_use);
    let again = quietly(&source, &options).await.unwrap();
    assert_eq!((again.entries, again.resumed_at), (0, first.size));
    assert_eq!((again.first_use, again.checkpoints_seen), (false, 1));
    assert_eq!(again.policies, first.policies);
    trade(&service, 300..340).await;
    service.set_seeds(&[0, 3]).await;
    goodstanding::epoch::run(&service.app, None).await.unwrap();
    trade(&service, 340..350).await;
    service.app.log.publish().await.unwrap();
    let grown = quietly(&source, &options).await.unwrap();
    assert_eq!(grown.resumed_at, first.size);
    assert_eq!(grown.entries, service.log_size() - first.size);
    assert_eq!((grown.epochs, grown.epochs_recomputed), (3, 1));
    assert!(grown.quota_checked);
    // From the first entry the whole comes to the same.
    let whole = quietly(&source, &Options::default()).await.unwrap();
    assert_eq!((whole.size, &whole.root), (grown.size, &grown.root));
    assert_eq!(whole.reports, first.reports + grown.reports);
    service.stop().await;
}

#[tokio::test]
async fn without_its_index_everything_is_done_again_and_said() {
    let service = market().await;
    let source = HttpSource::new(&service.url).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state.json");
    let options = Options {
        state: Some(state.clone()),
        ..Options::default()
    };
    let first = quietly(&source, &options).await.unwrap();
    let index = dir.path().join("state.json.index");
    for damage in [None, Some("not a database")] {
        match damage {
            None => std::fs::remove_file(&index).unwrap(),
            Some(text) => std::fs::write(&index, text).unwrap(),
        }
        let again = quietly(&source, &options).await.unwrap();
        assert_eq!((again.resumed_at, again.entries), (0, first.size));
        assert_eq!(again.reports, first.reports);
        assert!(again.restarted.is_some() && !again.first_use);
    }
    // A damaged state file is nobody's to overwrite: it holds the proofs.
    std::fs::write(&state, "{}").unwrap();
    match quietly(&source, &options).await {
        Err(Failure::Fault(fault)) => assert_eq!(fault.code(), "audit.state_unusable"),
        other => panic!("{other:?}"),
    }
    assert_eq!(std::fs::read_to_string(&state).unwrap(), "{}");
    service.stop().await;
}

/// A source that breaks off after so many answers.
struct Breaks<'s> {
    inner: &'s dyn Source,
    left: AtomicU64,
}

#[async_trait::async_trait]
impl Source for Breaks<'_> {
    fn name(&self) -> String {
        self.inner.name()
    }
    async fn checkpoint(&self) -> Result<String, Failure> {
        self.inner.checkpoint().await
    }
    async fn tile(&self, path: goodstanding_verify::tile::TilePath) -> Result<Vec<u8>, Failure> {
        self.inner.tile(path).await
    }
    fn tells_erased(&self) -> bool {
        self.inner.tells_erased()
    }
    async fn bodies(
        &self,
        start: u64,
        end: u64,
    ) -> Result<Vec<goodstanding::audit::source::ServedBody>, Failure> {
        let left = self
            .left
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1));
        if left.is_err() {
            let fault = goodstanding::code::Fault::new(
                goodstanding::code::Code::ServerUnreachable,
                "the line went dead",
            );
            return Err(fault.into());
        }
        self.inner.bodies(start, end).await
    }
    fn statements(
        &self,
        epoch: u64,
        index: u64,
    ) -> futures_util::stream::BoxStream<
        '_,
        Result<goodstanding::audit::source::ServedStatement, Failure>,
    > {
        self.inner.statements(epoch, index)
    }
    async fn salt_key(&self, epoch: u64) -> Result<Option<[u8; 32]>, Failure> {
        self.inner.salt_key(epoch).await
    }
    async fn trust_bundle(&self) -> Result<Option<String>, Failure> {
        self.inner.trust_bundle().await
    }
    async fn introduction(&self) -> Result<goodstanding::audit::source::Introduction, Failure> {
        self.inner.introduction().await
    }
    async fn agent_of_alias(
        &self,
        alias: &str,
    ) -> Result<Option<goodstanding_verify::did::Did>, Failure> {
        self.inner.agent_of_alias(alias).await
    }
}

#[tokio::test]
async fn an_interrupted_audit_keeps_what_it_saved() {
    let service = market().await;
    let source = HttpSource::new(&service.url).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let options = Options {
        state: Some(dir.path().join("state.json")),
        save_every: 256,
        window: 256,
        ..Options::default()
    };
    let breaks = Breaks {
        inner: &source,
        left: AtomicU64::new(1),
    };
    match quietly(&breaks, &options).await {
        Err(Failure::Fault(fault)) => assert_eq!(fault.code(), "client.unreachable"),
        other => panic!("{other:?}"),
    }
    let resumed = quietly(&source, &options).await.unwrap();
    assert_eq!(resumed.resumed_at, 256);
    assert_eq!(resumed.entries, resumed.size - 256);
    assert_eq!(resumed.epochs_recomputed, 2);
    assert!(resumed.restarted.is_none());
    service.stop().await;
}

#[tokio::test]
async fn keys_that_are_brought_along_are_the_ones_that_count() {
    let service = market().await;
    let source = HttpSource::new(&service.url).unwrap();
    let bundle = service.get("/v1/trust-bundle").await.text().await.unwrap();
    let options = Options {
        log_key: Some(VerifierKey::parse(&service.app.signer.vkey()).unwrap()),
        trust: Some(TrustBundle::parse_any_time(&bundle, None).unwrap()),
        no_epochs: true,
        ..Options::default()
    };
    let summary = quietly(&source, &options).await.unwrap();
    assert!(!summary.first_use);
    assert_eq!(summary.log_key_from, "--log-key");
    assert_eq!((summary.epochs, summary.epochs_not_checked), (2, 2));
    assert!(!summary.quota_checked);
    service.stop().await;
}

#[tokio::test]
async fn other_trust_roots_see_other_scores() {
    let service = market().await;
    let source = HttpSource::new(&service.url).unwrap();
    let same = Options {
        seeds: Some(vec![agent(2).did(), agent(1).did()]),
        ..Options::default()
    };
    let view = quietly(&source, &same).await.unwrap().other_view.unwrap();
    assert_eq!((view.epoch, view.moved.len()), (2, 0));
    let other = Options {
        seeds: Some(vec![agent(5).did(), agent(99).did()]),
        ..Options::default()
    };
    let view = quietly(&source, &other).await.unwrap().other_view.unwrap();
    assert_eq!((view.seeds.len(), view.taking_part), (2, 1));
    assert!(!view.moved.is_empty());
    assert!(view.moved.is_sorted_by(|a, b| a.by() >= b.by()));
    let nobody = Options {
        seeds: Some(vec![agent(99).did()]),
        ..Options::default()
    };
    match quietly(&source, &nobody).await {
        Err(Failure::Fault(fault)) => assert_eq!(fault.code(), "policy.no_seeds"),
        other => panic!("{other:?}"),
    }
    service.stop().await;
}
