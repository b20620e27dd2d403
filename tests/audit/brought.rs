//! What the auditor brings along or remembers beside the entries: bundles, witnesses, published checkpoints, the log's end.

use axum::response::IntoResponse as _;
use goodstanding::{
    audit::{Failure, HttpSource, Options, Place, audit},
    config::Config,
    keys::{KeyFile, SecretKey},
    log::sign::LogSigner,
    token::successor::end,
};
use goodstanding_verify::{
    bundle::TrustBundle,
    successor::{EndReason, Successor},
    witness_policy::WitnessPolicy,
};
use serde_json::json;

use crate::{
    erased::erase,
    forge::{Copy, fault, found, market, trade},
    lying::through,
    support::{Service, T0, agent, report, witness::Witness},
};

const ORIGIN: &str = "log.example/watched";

async fn bundle(service: &Service) -> String {
    service.get("/v1/trust-bundle").await.text().await.unwrap()
}

fn held(bundle: &str) -> Options {
    Options {
        trust: Some(TrustBundle::parse_any_time(bundle, None).unwrap()),
        now_s: T0 + 3600,
        ..Options::default()
    }
}

#[tokio::test]
async fn the_checkpoint_of_a_held_bundle_is_one_that_was_seen() {
    let service = market().await;
    let options = held(&bundle(&service).await);
    let size = service.log_size();
    let data = service.stop().await;
    let copy = Copy::of(data.path());
    copy.audit(&options).await.unwrap();
    // Another history of the same size, of one more entry, and a shorter one.
    let (index, mut entry) = copy
        .find(|e| e["kind"] == "policy" && e["version"] == 2)
        .await;
    entry["policy"]["rotation_delay_s"] = json!(1234);
    copy.replace_entry(index, &entry).await;
    copy.resign().await;
    let same = copy.found(&options).await;
    let key = json!({
        "v": 1, "kind": "key", "at": copy.now().await, "use": "casework", "action": "add",
        "jwk": agent(70).jwk(), "from": T0,
    });
    copy.append(&key, None).await;
    copy.resign().await;
    let longer = copy.found(&options).await;
    let copy = Copy::of(data.path());
    copy.sql(&[
        &format!("DELETE FROM entries WHERE idx >= {}", size - 1),
        "DELETE FROM checkpoints",
    ])
    .await;
    copy.resign().await;
    let shorter = copy.found(&options).await;
    for (found, code, size) in [
        (same, "audit.log_forked", size),
        (longer, "audit.log_forked", size + 1),
        (shorter, "audit.log_shrunk", size - 1),
    ] {
        assert_eq!(
            (found.code(), found.place()),
            (code, &Place::Checkpoint(size)),
            "{found}"
        );
        assert_eq!(found.notes().len(), 2);
    }
}

#[tokio::test]
async fn a_served_bundle_follows_the_held_one() {
    let service = market().await;
    let older = bundle(&service).await;
    trade(&service, 900..903).await;
    service.app.log.publish().await.unwrap();
    let newer = bundle(&service).await;
    through(&service, &held(&older), |_, _| None).await.unwrap();
    let stale = found(
        through(&service, &held(&newer), move |path, _| {
            (path == "/v1/trust-bundle").then(|| older.clone().into_response())
        })
        .await,
    );
    assert_eq!(
        (stale.code(), stale.place()),
        ("audit.trust_bundle_wrong", &Place::TrustBundle)
    );
    assert!(stale.detail().contains("held one is newer"), "{stale}");
    service.stop().await;
}

/// A directory whose only checkpoints were cosigned by this witness.
async fn watched() -> (tempfile::TempDir, Witness) {
    let key = SecretKey::of_alias("tests", "log");
    let log = LogSigner::new(ORIGIN, key.clone()).verifier().unwrap();
    let witness = Witness::start("a", &log, T0).await;
    let data = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(data.path().join("keys")).unwrap();
    KeyFile::create(&key, &data.path().join("keys/log.json")).unwrap();
    std::fs::write(data.path().join("witnesses.toml"), asks(&witness, "wait")).unwrap();
    let service = Service::prepared(T0, Config::default(), Some(ORIGIN), data).await;
    let (status, _) = service
        .submit(report(&agent(1), &agent(2), "t-1", T0 - 60))
        .await;
    assert_eq!(status, 201);
    service.app.log.publish().await.unwrap();
    (service.stop().await, witness)
}

fn asks(witness: &Witness, when_missed: &str) -> String {
    let line = witness.policy_line("w");
    format!("when_missed = '{when_missed}'\npolicy = '''\n{line}quorum w\n'''\n")
}

#[tokio::test]
async fn the_witnesses_of_a_directory_count() {
    let (data, _witness) = watched().await;
    let copy = Copy::of(data.path());
    let summary = copy.audit(&Options::default()).await.unwrap();
    let witnesses = summary.witnesses.unwrap();
    assert!(witnesses.required && witnesses.met);
    assert_eq!((witnesses.total, witnesses.cosigned.len()), (1, 1));
    // Another one never saw it.
    let log = copy.signer().verifier().unwrap();
    let other = Witness::start("b", &log, T0).await;
    let settings = copy.path().join("witnesses.toml");
    std::fs::write(&settings, asks(&other, "wait")).unwrap();
    let found = copy.found(&Options::default()).await;
    assert_eq!(found.code(), "audit.checkpoint_invalid");
    assert_eq!(found.cause(), Some("checkpoint.quorum_missed"));
    std::fs::write(&settings, asks(&other, "publish")).unwrap();
    let summary = copy.audit(&Options::default()).await.unwrap();
    let witnesses = summary.witnesses.unwrap();
    assert!(witnesses.required && !witnesses.met && witnesses.cosigned.is_empty());
}

#[tokio::test]
async fn witnesses_do_not_become_less_unseen() {
    let (data, witness) = watched().await;
    let copy = Copy::of(data.path());
    let memory = tempfile::tempdir().unwrap();
    let options = Options {
        state: Some(memory.path().join("state.json")),
        ..Options::default()
    };
    copy.audit(&options).await.unwrap();
    copy.audit(&options).await.unwrap();
    std::fs::remove_file(copy.path().join("witnesses.toml")).unwrap();
    let found = copy.found(&options).await;
    assert_eq!(found.code(), "audit.trust_bundle_wrong");
    assert!(found.detail().contains("asks for less"), "{found}");
    // Whoever names the witnesses is not asked about others; whoever takes less is asked once.
    let log = copy.signer().verifier().unwrap();
    let text = format!("log {log}\n{}quorum w\n", witness.policy_line("w"));
    let named = Options {
        witness_policy: Some(WitnessPolicy::parse(&text).unwrap()),
        ..options.clone()
    };
    copy.audit(&named).await.unwrap();
    assert_eq!(
        copy.found(&options).await.code(),
        "audit.trust_bundle_wrong"
    );
    let takes = Options {
        accept_weaker: true,
        ..options.clone()
    };
    copy.audit(&takes).await.unwrap();
    copy.audit(&options).await.unwrap();
}

#[tokio::test]
async fn every_checkpoint_that_a_directory_published_is_held_against_it() {
    let service = market().await;
    let size = service.log_size();
    let data = service.stop().await;
    let memory = tempfile::tempdir().unwrap();
    let options = Options {
        state: Some(memory.path().join("state.json")),
        ..Options::default()
    };
    let copy = Copy::of(data.path());
    copy.audit(&options).await.unwrap();
    let note = copy.signer().checkpoint(10, &[7; 32]);
    let mut db = copy.connect().await;
    sqlx::query("INSERT OR REPLACE INTO checkpoints (size, published_ms, note) VALUES (10, 0, ?)")
        .bind(&note)
        .execute(&mut db)
        .await
        .unwrap();
    for (options, place) in [(&Options::default(), 10), (&options, size)] {
        let found = copy.found(options).await;
        assert_eq!(
            (found.code(), found.place()),
            ("audit.log_forked", &Place::Checkpoint(place)),
            "{found}"
        );
        assert_eq!(found.notes()[0], note);
        assert_eq!(found.notes().len(), 2);
    }
}

#[tokio::test]
async fn a_directory_without_the_logs_key_is_still_its_log() {
    let data = market().await.stop().await;
    let copy = Copy::of(data.path());
    let vkey = copy.signer().vkey();
    std::fs::remove_file(copy.path().join("keys/log.json")).unwrap();
    let summary = copy.audit(&Options::default()).await.unwrap();
    assert_eq!(summary.log_key, vkey);
    assert!(summary.first_use && summary.log_key_from.starts_with("the database"));
    // Checkpoints are verified by fsck all the same.
    copy.sql(&["UPDATE checkpoints SET note = replace(note, ' ', '  ')"])
        .await;
    let options = goodstanding::fsck::Options::new(T0);
    let outcome = goodstanding::fsck::run(copy.path(), &options)
        .await
        .unwrap();
    let codes: Vec<&str> = outcome.problems.iter().map(|p| p.code).collect();
    assert!(codes.contains(&"fsck.checkpoint"), "{:?}", outcome.problems);
}

#[tokio::test]
async fn the_end_of_a_log_is_shown_and_nobody_else_can_declare_it() {
    let service = market().await;
    let other = market().await;
    let options = held(&bundle(&service).await);
    let next = LogSigner::new("next.example/log", SecretKey::from_seed(&[9; 32]));
    let successor = Successor::new("next.example/log".to_owned(), next.vkey(), None).unwrap();
    let foreign = end(&other.app, EndReason::Retired, None).await.unwrap();
    let forged = found(
        through(&service, &options, move |path, _| {
            (path == "/v1/log/successor").then(|| foreign.clone().into_response())
        })
        .await,
    );
    assert_eq!(
        (forged.code(), forged.place()),
        ("audit.trust_bundle_wrong", &Place::Successor)
    );
    assert!(
        forged
            .cause()
            .is_some_and(|cause| cause.starts_with("successor.")),
        "{forged}"
    );
    let source = HttpSource::new(&service.url).unwrap();
    let going_on = audit(&source, &options, &|_, _| ()).await.unwrap();
    assert!(going_on.ended.is_none());
    end(&service.app, EndReason::Retired, Some(successor.clone()))
        .await
        .unwrap();
    for options in [&options, &Options::default()] {
        let summary = audit(&source, options, &|_, _| ()).await.unwrap();
        let notice = summary.ended.unwrap();
        assert_eq!(
            (notice.size, notice.successor),
            (summary.size, Some(successor.clone()))
        );
    }
    // No entry of a log that has ended is still to come.
    let size = service.log_size();
    let wrong = found(
        through(&service, &options, move |path, body| {
            path.starts_with("/v1/log/bodies").then(|| {
                let text = String::from_utf8(body.to_vec()).unwrap();
                let erased =
                    json!({"index": 45, "kind": "report", "erased": true, "erased_by": size});
                let line = |line: &str| {
                    if line.contains("\"index\":45,") {
                        erased.to_string()
                    } else {
                        line.to_owned()
                    }
                };
                let lines: Vec<String> = text.lines().map(line).collect();
                lines.join("\n").into_response()
            })
        })
        .await,
    );
    assert_eq!(
        (wrong.code(), wrong.place()),
        ("audit.body_missing", &Place::Entry(45))
    );
    assert!(wrong.detail().contains("the log ended with"), "{wrong}");
    other.stop().await;
    service.stop().await;
}

#[tokio::test]
async fn a_directory_says_that_its_log_has_ended() {
    let service = market().await;
    let held = held(&bundle(&service).await);
    end(&service.app, EndReason::Lost, None).await.unwrap();
    let size = service.log_size();
    let data = service.stop().await;
    let copy = Copy::of(data.path());
    for options in [&held, &Options::default()] {
        let notice = copy.audit(options).await.unwrap().ended.unwrap();
        assert_eq!((notice.size, notice.reason), (size, EndReason::Lost));
    }
    // A report that is erased by an entry that there will never be, for who comes now and for who was told before.
    let memory = tempfile::tempdir().unwrap();
    let remembering = Options {
        state: Some(memory.path().join("state.json")),
        ..Options::default()
    };
    erase(&copy, 50).await;
    let gone = Copy::of(copy.path());
    copy.sql(&["DELETE FROM meta WHERE key = 'log_end'"]).await;
    let pending = copy.audit(&remembering).await;
    assert!(matches!(pending, Err(Failure::Pending(_))), "{pending:?}");
    for options in [&Options::default(), &remembering] {
        let wrong = gone.found(options).await;
        assert_eq!(
            (wrong.code(), wrong.place()),
            ("audit.body_missing", &Place::Entry(50))
        );
        assert!(wrong.detail().contains("the log ended with"), "{wrong}");
    }
    // It goes on all the same.
    let copy = Copy::of(data.path());
    let key = json!({
        "v": 1, "kind": "key", "at": copy.now().await, "use": "casework", "action": "add",
        "jwk": agent(70).jwk(), "from": T0,
    });
    copy.append(&key, None).await;
    copy.resign().await;
    let beyond = copy.found(&Options::default()).await;
    assert_eq!(
        (beyond.code(), beyond.place()),
        ("audit.log_forked", &Place::Checkpoint(size + 1))
    );
    // Somebody else's notice.
    let copy = Copy::of(data.path());
    copy.sql(&["UPDATE meta SET value = 'https://other.example' WHERE key = 'issuer'"])
        .await;
    let foreign = copy.found(&Options::default()).await;
    assert_eq!(
        (foreign.code(), foreign.place()),
        ("audit.trust_bundle_wrong", &Place::Successor)
    );
}

#[tokio::test]
async fn a_held_bundle_by_a_key_that_was_revoked_is_refused() {
    let service = market().await;
    let options = held(&bundle(&service).await);
    let signer = options.trust.as_ref().unwrap().signer().to_owned();
    let data = service.stop().await;
    let copy = Copy::of(data.path());
    copy.audit(&options).await.unwrap();
    let (_, mut key) = copy
        .find(|e| e["kind"] == "key" && e["use"] == "bundle")
        .await;
    key["action"] = json!("revoke");
    key["at"] = json!(copy.now().await);
    key["from"] = json!(T0 + 3600);
    copy.append(&key, None).await;
    copy.resign().await;
    // The log is right, and who holds nothing has nothing to lose.
    copy.audit(&Options::default()).await.unwrap();
    let refused = fault(copy.audit(&options).await);
    assert_eq!(refused.code(), "bundle.key_unknown");
    assert!(refused.detail().contains(&signer), "{refused}");
}
