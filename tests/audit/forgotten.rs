//! What an erased report told is forgotten, by whoever saw it too: an audit that goes on comes to what a fresh one comes to.

use std::path::Path;

use goodstanding::{
    audit::{Failure, HttpSource, Options, Place, Summary, audit},
    casework::erasure::erase,
};
use goodstanding_verify::{digest::sha256, entry::ErasureReason, report::ReportId};
use serde_json::json;

use crate::{
    forge::Copy,
    support::{Service, T0, agent, payload, sign},
};

fn remembering(memory: &Path) -> Options {
    Options {
        state: Some(memory.join("state.json")),
        ..Options::default()
    }
}

async fn over_http(service: &Service, options: &Options) -> Result<Summary, Failure> {
    let source = HttpSource::new(&service.url).unwrap();
    audit(&source, options, &|_, _| ()).await
}

async fn take_away(service: &Service, jws: &str) {
    let id = ReportId(sha256(jws.as_bytes()).0);
    erase(&service.app, id, ErasureReason::AuthorRequest)
        .await
        .unwrap();
}

/// A buyer's report on a trade, with this jti and outcome; the newer one names the older.
fn told(jti: &str, status: &str, older: Option<&str>) -> String {
    let (buyer, seller) = (agent(0), agent(10));
    let mut payload = payload(&buyer, &seller, "t-told", T0 - 60);
    payload["jti"] = json!(jti);
    if status != "fulfilled" {
        payload["outcome"] = json!({"status": status});
    }
    if let Some(older) = older {
        payload["supersedes"] = json!(sha256(older.as_bytes()).to_string());
    }
    sign(&buyer, &payload)
}

async fn admitted(service: &Service, jws: &str) {
    let (status, answer) = service.submit(jws).await;
    assert_eq!(status, 201, "{answer}");
}

#[tokio::test]
async fn a_jti_and_a_trade_are_free_again_behind_the_erasure() {
    let service = Service::start(T0).await;
    service.set_seeds(&[0]).await;
    let memory = tempfile::tempdir().unwrap();
    let options = remembering(memory.path());
    let first = told("jti-of-both", "fulfilled", None);
    admitted(&service, &first).await;
    service.app.log.publish().await.unwrap();
    let seen = over_http(&service, &options).await.unwrap();
    take_away(&service, &first).await;
    let second = told("jti-of-both", "failed", None);
    admitted(&service, &second).await;
    goodstanding::epoch::run(&service.app, None).await.unwrap();
    service.app.log.publish().await.unwrap();
    let resumed = over_http(&service, &options).await.unwrap();
    assert_eq!((resumed.resumed_at, resumed.erased), (seen.size, 1));
    let fresh = over_http(&service, &Options::default()).await.unwrap();
    assert_eq!((fresh.size, fresh.erased), (resumed.size, 1));
    assert_eq!(fresh.epochs_recomputed, 1);
    // It is taken again now, also for the one that goes on.
    let size = fresh.size;
    let data = service.stop().await;
    let copy = Copy::of(data.path());
    let third = told("jti-of-both", "failed", Some(&second));
    copy.append_report(&third, copy.now().await).await;
    copy.resign().await;
    for options in [&options, &Options::default()] {
        let found = copy.found(options).await;
        assert_eq!(
            (found.code(), found.place()),
            ("audit.jti_reused", &Place::Entry(size)),
            "{found}"
        );
    }
}

#[tokio::test]
async fn the_report_in_front_of_an_erased_one_is_the_current_one_again() {
    let service = Service::start(T0).await;
    let memory = tempfile::tempdir().unwrap();
    let options = remembering(memory.path());
    let first = told("jti-first", "fulfilled", None);
    let second = told("jti-second", "failed", Some(&first));
    admitted(&service, &first).await;
    admitted(&service, &second).await;
    service.app.log.publish().await.unwrap();
    over_http(&service, &options).await.unwrap();
    let before = tempfile::tempdir().unwrap();
    for file in ["state.json", "state.json.index"] {
        std::fs::copy(memory.path().join(file), before.path().join(file)).unwrap();
    }
    take_away(&service, &second).await;
    service.app.log.publish().await.unwrap();
    let size = service.log_size();
    let data = service.stop().await;
    // One that does not name it is wrong, whoever looks.
    let copy = Copy::of(data.path());
    let stray = told("jti-stray", "failed", None);
    copy.append_report(&stray, copy.now().await).await;
    copy.resign().await;
    for options in [&remembering(before.path()), &Options::default()] {
        let found = copy.found(options).await;
        assert_eq!(
            (found.code(), found.place()),
            ("audit.supersession_invalid", &Place::Entry(size)),
            "{found}"
        );
    }
    // One that does is right.
    let copy = Copy::of(data.path());
    let third = told("jti-third", "failed", Some(&first));
    copy.append_report(&third, copy.now().await).await;
    copy.resign().await;
    let resumed = copy.audit(&options).await.unwrap();
    let fresh = copy.audit(&Options::default()).await.unwrap();
    assert_eq!((resumed.size, resumed.erased), (fresh.size, fresh.erased));
}
