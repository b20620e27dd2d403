//! Witnesses: who is asked, what is published with and without a quorum, and what everybody gets to see of it.

use std::time::Duration;

use goodstanding::{
    code::Code,
    config::Config,
    keys::{KeyFile, SecretKey},
    log::sign::LogSigner,
};
use goodstanding_verify::{
    bundle::TrustBundle,
    checkpoint::SignedCheckpoint,
    note::VerifierKey,
    proof::TlogProof,
    token::{HolderCheck, Requirements, Witnessed, verify},
    witness_policy::WitnessPolicy,
};
use serde_json::{Value, json};

use crate::support::{
    Service, T0, agent, payload, report, sign,
    witness::{Mode, Witness},
};

const ORIGIN: &str = "log.example/witnessed";

fn log_key() -> SecretKey {
    SecretKey::of_alias("tests", "log")
}

fn vkey() -> VerifierKey {
    LogSigner::new(ORIGIN, log_key()).verifier().unwrap()
}

/// Two of three witnesses.
fn two_of_three(witnesses: &[&Witness; 3], settings: &str) -> String {
    let [a, b, c] = witnesses;
    format!(
        "{settings}\npolicy = '''\n{}{}{}group two 2 a b c\nquorum two\n'''\n",
        a.policy_line("a"),
        b.policy_line("b"),
        c.policy_line("c")
    )
}

/// A data directory with a known log key and these witness settings.
fn directory(settings: &str) -> tempfile::TempDir {
    let data = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(data.path().join("keys")).unwrap();
    KeyFile::create(&log_key(), &data.path().join("keys/log.json")).unwrap();
    std::fs::write(data.path().join("witnesses.toml"), settings).unwrap();
    data
}

async fn start(settings: &str) -> Service {
    Service::prepared(T0, Config::default(), Some(ORIGIN), directory(settings)).await
}

async fn three() -> [Witness; 3] {
    [
        Witness::start("a", &vkey(), T0).await,
        Witness::start("b", &vkey(), T0).await,
        Witness::start("c", &vkey(), T0).await,
    ]
}

/// The served checkpoint and how many of the policy's witnesses cosigned it.
async fn checkpoint(service: &Service) -> (u64, Result<usize, goodstanding_verify::Code>) {
    let text = service.get("/checkpoint").await.text().await.unwrap();
    let signed = SignedCheckpoint::parse(&text).unwrap();
    let policy = &service.app.log.shared().witness_policy;
    let quorum = policy.evaluate(&signed);
    (
        signed.checkpoint().size,
        quorum.map(|q| q.witnesses.len()).map_err(|e| e.code()),
    )
}

async fn one_report(service: &Service, trade: &str) -> u64 {
    let (status, body) = service
        .submit(report(&agent(1), &agent(2), trade, T0 - 5))
        .await;
    assert_eq!(status, 201, "{body}");
    body["leaf_index"].as_u64().unwrap() + 1
}

#[tokio::test]
async fn a_quorum_makes_a_witnessed_checkpoint_and_everything_carries_it() {
    let [a, b, c] = three().await;
    let service = start(&two_of_three(&[&a, &b, &c], "")).await;
    let mut lines = Vec::new();
    for n in 0..40 {
        let (buyer, seller) = (agent(n % 5), agent(10 + n % 4));
        lines.push(report(&buyer, &seller, &format!("t-{n}"), T0 - 60));
        let mut other = payload(&seller, &buyer, &format!("t-{n}"), T0 - 60);
        other["trade"]["role"] = json!("seller");
        lines.push(sign(&seller, &other));
    }
    let answers = service.submit_lines(&lines).await;
    let first = answers[0].clone();
    service.set_seeds(&[0, 1]).await;
    goodstanding::epoch::run(&service.app, None).await.unwrap();
    service.app.log.publish().await.unwrap();

    let (size, cosigned) = checkpoint(&service).await;
    assert_eq!(size, service.log_size());
    assert!(cosigned.unwrap() >= 2);
    // The receipt verifies under the quorum, offline.
    let id = first["report_id"].as_str().unwrap();
    let receipt = service.get(&format!("/v1/reports/{id}/receipt")).await;
    let receipt = TlogProof::parse(&receipt.text().await.unwrap()).unwrap();
    let entry = service.entry(first["leaf_index"].as_u64().unwrap()).await;
    let policy = service.app.log.shared().witness_policy.clone();
    let proven = receipt.verify(&entry, &policy).unwrap();
    assert!(proven.quorum.required && proven.quorum.witnesses.len() >= 2);
    // So does the bundle, and the token with it.
    let bundle = service.get("/v1/trust-bundle").await.text().await.unwrap();
    let bundle = TrustBundle::parse(&bundle, None, T0).unwrap();
    assert!(bundle.witness_policy().wants_quorum());
    let issued = goodstanding::token::issue::issue(&service.app, &agent(10).did())
        .await
        .unwrap();
    let requirements = Requirements::new(HolderCheck::Waived);
    let verdict = verify(&issued.token, &bundle, &requirements, None, T0).unwrap();
    assert!(
        matches!(verdict.witnessed, Witnessed::Quorum { total: 3, .. }),
        "{verdict:?}"
    );
    let ready: Value = service.get_json("/readyz").await;
    assert_eq!(ready["witnesses"]["met"], true);
    assert_eq!(ready["witnesses"]["required"], true);
    assert_eq!(ready["witnessed_size"], size);
    let metrics = service.get("/metrics").await.text().await.unwrap();
    assert!(
        metrics.contains("goodstanding_witness_quorum_met 1\n"),
        "{metrics}"
    );
    assert!(
        metrics.contains(r#"goodstanding_witness_requests_total{witness="a",result="ok"}"#),
        "{metrics}"
    );
    service.stop().await;
}

#[tokio::test]
async fn without_a_quorum_the_last_witnessed_checkpoint_stays_and_reports_go_on() {
    let [a, b, c] = three().await;
    let service = start(&two_of_three(&[&a, &b, &c], "timeout_ms = 200")).await;
    service.app.log.publish().await.unwrap();
    let held = checkpoint(&service).await;
    assert!(held.1.unwrap() >= 2);
    let before = held.0;
    let modes = [
        (Mode::Answers(500, String::new()), Mode::Hangs),
        (Mode::SignsAnotherTree, Mode::SignsWithAnotherKey),
        (Mode::TimeOff(-3600), Mode::TimeOff(3600)),
        (
            Mode::Conflict("what\n".to_owned()),
            Mode::Conflict("999999999\n".to_owned()),
        ),
        (
            Mode::Answers(200, "x".repeat(100_000)),
            Mode::Answers(200, String::new()),
        ),
        (
            Mode::Answers(404, String::new()),
            Mode::Conflict("0\n".to_owned()),
        ),
        (
            Mode::Slow(Duration::from_secs(5)),
            Mode::Answers(403, "no".to_owned()),
        ),
    ];
    for (n, (bad_a, bad_b)) in modes.into_iter().enumerate() {
        a.set(bad_a.clone());
        b.set(bad_b.clone());
        one_report(&service, &format!("t-{n}")).await;
        let fault = service.app.log.publish().await.unwrap_err();
        assert!(
            fault.is(Code::WitnessQuorumMissed),
            "{bad_a:?} {bad_b:?}: {fault}"
        );
        assert_eq!(checkpoint(&service).await, held, "{bad_a:?} {bad_b:?}");
    }
    let ready: Value = service.get_json("/readyz").await;
    assert_eq!(ready["status"], "ok");
    assert_eq!(ready["witnesses"]["met"], false);
    assert_eq!(ready["published_size"], before);
    // They come back, one of them without its memory.
    a.set(Mode::ExtraLines);
    b.set(Mode::Honest);
    b.remember(0, goodstanding_verify::merkle::EMPTY_ROOT);
    service.app.log.publish().await.unwrap();
    let (size, cosigned) = checkpoint(&service).await;
    assert_eq!(size, service.log_size());
    assert!(cosigned.unwrap() >= 2);
    service.stop().await;
}

#[tokio::test]
async fn where_the_settings_say_so_it_is_published_all_the_same_and_witnessed_later() {
    let [a, b, c] = three().await;
    let settings = two_of_three(&[&a, &b, &c], "when_missed = 'publish'\ntimeout_ms = 200");
    let service = start(&settings).await;
    service.app.log.publish().await.unwrap();
    let (before, _) = checkpoint(&service).await;
    a.set(Mode::Hangs);
    b.set(Mode::Hangs);
    let size = one_report(&service, "t-open").await;
    service.app.log.publish().await.unwrap();
    assert_eq!(
        checkpoint(&service).await,
        (size, Err(goodstanding_verify::Code::CheckpointQuorumMissed))
    );
    // What verifiers rely on stays under the last witnessed one.
    let bundle = service.get("/v1/trust-bundle").await.text().await.unwrap();
    let bundle = TrustBundle::parse(&bundle, None, T0).unwrap();
    let held = SignedCheckpoint::parse(&bundle.payload().checkpoint).unwrap();
    assert_eq!(held.checkpoint().size, before);
    a.set(Mode::Honest);
    b.set(Mode::Honest);
    service.app.log.publish().await.unwrap();
    let (again, cosigned) = checkpoint(&service).await;
    assert_eq!(again, size);
    assert!(cosigned.unwrap() >= 2);
    let kept = service
        .app
        .store
        .newest_checkpoints(u64::MAX >> 1, 10)
        .await
        .unwrap();
    assert_eq!(kept.iter().filter(|p| p.size == size).count(), 1);
    service.stop().await;
}

#[tokio::test]
async fn a_restarted_service_finds_out_what_its_witnesses_know() {
    let [a, b, c] = three().await;
    let settings = two_of_three(&[&a, &b, &c], "");
    let service = start(&settings).await;
    one_report(&service, "t-1").await;
    service.app.log.publish().await.unwrap();
    let data = service.stop().await;
    let service = Service::prepared(T0 + 1, Config::default(), Some(ORIGIN), data).await;
    let asked = a.asked();
    one_report(&service, "t-2").await;
    service.app.log.publish().await.unwrap();
    assert_eq!(checkpoint(&service).await.0, service.log_size());
    assert_eq!(
        a.asked() - asked,
        2,
        "once from nothing, once from what it said"
    );
    one_report(&service, "t-3").await;
    service.app.log.publish().await.unwrap();
    assert_eq!(a.asked() - asked, 3, "now it is known");
    service.stop().await;
}

#[tokio::test]
async fn a_witness_that_is_ahead_is_named_as_such() {
    let [a, b, c] = three().await;
    let service = start(&two_of_three(&[&a, &b, &c], "")).await;
    service.app.log.publish().await.unwrap();
    a.remember(1000, [7; 32]);
    a.set(Mode::Conflict("1000\n".to_owned()));
    one_report(&service, "t-1").await;
    service.app.log.publish().await.unwrap();
    let ready: Value = service.get_json("/readyz").await;
    assert_eq!(ready["witnesses"]["witnesses"][0]["last"], "ahead");
    service.stop().await;
}

#[tokio::test]
async fn settings_that_cannot_work_keep_the_service_from_starting() {
    let data = directory("policy = 'quorum nobody'");
    let open = goodstanding::app::Open {
        create: true,
        origin: Some(ORIGIN.to_owned()),
        ..goodstanding::app::Open::new(data.path())
    };
    let fault = goodstanding::app::App::open(open).await.unwrap_err();
    assert!(fault.is(Code::WitnessSettings), "{fault}");
    assert!(WitnessPolicy::parse("quorum nobody").is_err());
}

/// What a witness gave in one round counts in the next: two halves of a quorum make one.
#[tokio::test]
async fn a_cosignature_once_given_stays() {
    let [a, b, c] = three().await;
    let settings = two_of_three(&[&a, &b, &c], "when_missed = 'publish'\ntimeout_ms = 200");
    let service = start(&settings).await;
    c.set(Mode::Answers(500, String::new()));
    b.set(Mode::Answers(500, String::new()));
    let size = one_report(&service, "t-half").await;
    service.app.log.publish().await.unwrap();
    let missed = Err(goodstanding_verify::Code::CheckpointQuorumMissed);
    assert_eq!(checkpoint(&service).await, (size, missed));
    a.set(Mode::Answers(500, String::new()));
    service.app.log.publish().await.unwrap();
    let text = service.get("/checkpoint").await.text().await.unwrap();
    assert!(text.contains(&a.name), "it was taken away: {text}");
    b.set(Mode::Honest);
    service.app.log.publish().await.unwrap();
    assert_eq!(checkpoint(&service).await, (size, Ok(2)));
    service.stop().await;
}

/// A stolen key may have turned the witnesses against the log for good: it can still end, and say what goes on.
#[tokio::test]
async fn a_log_ends_without_its_witnesses_and_stays_ended() {
    let [a, b, c] = three().await;
    let service = start(&two_of_three(&[&a, &b, &c], "timeout_ms = 200")).await;
    service.app.log.publish().await.unwrap();
    for witness in [&a, &b, &c] {
        witness.set(Mode::Answers(422, String::new()));
    }
    let size = one_report(&service, "t-last").await;
    let notice = goodstanding::token::successor::end(
        &service.app,
        goodstanding_verify::successor::EndReason::Compromised,
        None,
    )
    .await
    .unwrap();
    let held = service.get("/v1/trust-bundle").await.text().await.unwrap();
    let held = TrustBundle::parse_any_time(&held, None).unwrap();
    let notice = goodstanding_verify::successor::Notice::verify(&notice, &held).unwrap();
    assert_eq!(
        notice.size, size,
        "every receipt is of the tree that it names"
    );
    let (status, answer) = service
        .submit(report(&agent(1), &agent(2), "too-late", T0 - 5))
        .await;
    assert_eq!((status, answer["code"].as_str()), (409, Some("log.ended")));
    let ready: Value = service.get_json("/readyz").await;
    assert!(ready["ended"].is_string(), "{ready}");
    let data = service.stop().await;
    // The end outlives the database that says so.
    let copy = tempfile::tempdir().unwrap();
    std::fs::copy(data.path().join("log.ended"), copy.path().join("log.ended")).unwrap();
    let open = goodstanding::app::Open {
        create: true,
        ..goodstanding::app::Open::new(copy.path())
    };
    let fault = goodstanding::app::App::open(open).await.unwrap_err();
    assert!(fault.is(Code::LogEnded), "{fault}");
}

#[tokio::test]
async fn a_restart_with_nothing_to_publish_misses_no_quorum() {
    let [a, b, c] = three().await;
    let service = start(&two_of_three(&[&a, &b, &c], "timeout_ms = 200")).await;
    service.app.log.publish().await.unwrap();
    let data = service.stop().await;
    let service = Service::prepared(T0 + 1, Config::default(), Some(ORIGIN), data).await;
    let asked = a.asked();
    let ready: Value = service.get_json("/readyz").await;
    assert_eq!(ready["witnesses"]["met"], Value::Null, "no round yet");
    let met = async || {
        let metrics = service.get("/metrics").await.text().await.unwrap();
        let line = metrics
            .lines()
            .find(|line| line.starts_with("goodstanding_witness_quorum_met "));
        line.unwrap().to_owned()
    };
    assert_eq!(met().await, "goodstanding_witness_quorum_met 1");
    assert_eq!(a.asked(), asked);
    // And a round that misses it is told, as is one that is missed by a change of keys.
    a.set(Mode::Answers(500, String::new()));
    b.set(Mode::Answers(500, String::new()));
    let response = service
        .client
        .post(format!("{}/v1/keys", service.url))
        .bearer_auth(service.bearer(goodstanding::token::access::Role::Operator))
        .json(&json!({"use": "casework", "action": "rotate"}))
        .send()
        .await
        .unwrap();
    let changed: Value = response.json().await.unwrap();
    assert_eq!(
        (&changed["changed"], &changed["published"]),
        (&true.into(), &false.into())
    );
    assert_eq!(met().await, "goodstanding_witness_quorum_met 0");
    service.stop().await;
}
