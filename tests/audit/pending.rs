//! Reports that were erased by an entry that no checkpoint covers yet: an honest log waits for its witnesses, a lying one is
//! caught when it goes on.

use std::{path::Path, process::Command};

use axum::response::IntoResponse as _;
use goodstanding::{
    audit::{Failure, HttpSource, Options, Pending, PendingEpoch, Place, Summary, audit},
    casework::erasure::erase as erase_for_good,
    config::Config,
    fsck,
    keys::{KeyFile, SecretKey},
    log::sign::LogSigner,
};
use goodstanding_verify::{entry::ErasureReason, report::ReportId};
use serde_json::{Value, json};

use crate::{
    erased::{erase, erasure},
    forge::{Copy, fault, found, market, trade},
    lying::through,
    support::{
        Service, T0,
        witness::{Mode, Witness},
    },
};

const ORIGIN: &str = "log.example/witnessed";

fn remembering(memory: &Path) -> Options {
    Options {
        state: Some(memory.join("state.json")),
        now_s: T0 + 3600,
        ..Options::default()
    }
}

fn state(memory: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(memory.join("state.json")).unwrap()).unwrap()
}

/// Changes what the state file says.
fn edit_state(memory: &Path, edit: impl FnOnce(&mut Value)) {
    let mut value = state(memory);
    edit(&mut value);
    std::fs::write(memory.join("state.json"), value.to_string()).unwrap();
}

fn is_pending(done: Result<Summary, Failure>) -> Pending {
    match done {
        Err(Failure::Pending(pending)) => *pending,
        other => panic!("not pending: {other:?}"),
    }
}

/// A service with one witness, without which nothing is published.
async fn witnessed() -> (Service, Witness) {
    let key = SecretKey::of_alias("tests", "log");
    let vkey = LogSigner::new(ORIGIN, key.clone()).verifier().unwrap();
    let witness = Witness::start("a", &vkey, T0).await;
    let data = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(data.path().join("keys")).unwrap();
    KeyFile::create(&key, &data.path().join("keys/log.json")).unwrap();
    let settings = format!("policy = '''\n{}quorum a\n'''\n", witness.policy_line("a"));
    std::fs::write(data.path().join("witnesses.toml"), settings).unwrap();
    let service = Service::prepared(T0, Config::default(), Some(ORIGIN), data).await;
    (service, witness)
}

fn published(service: &Service) -> u64 {
    let published = &service.app.log.shared().published;
    published.borrow().as_ref().map_or(0, |p| p.size)
}

async fn body_line(service: &Service, index: u64) -> Value {
    let path = format!("/v1/log/bodies?start={index}&end={}", index + 1);
    let text = service.get(&path).await.text().await.unwrap();
    serde_json::from_str(text.trim()).unwrap()
}

#[tokio::test]
async fn an_honest_log_without_its_witnesses_is_not_accused() {
    let (service, witness) = witnessed().await;
    trade(&service, 0..60).await;
    service.app.log.publish().await.unwrap();
    let size = service.log_size();
    let memory = tempfile::tempdir().unwrap();
    let options = remembering(memory.path());
    let source = HttpSource::new(&service.url).unwrap();
    audit(&source, &options, &|_, _| ()).await.unwrap();

    witness.set(Mode::Answers(503, "down".to_owned()));
    let first = service.entry(20).await;
    let first: Value = serde_json::from_slice(&first).unwrap();
    let id = ReportId::parse(first["id"].as_str().unwrap()).unwrap();
    let erased = erase_for_good(&service.app, id, ErasureReason::PersonalData)
        .await
        .unwrap();
    assert_eq!(erased.erased.erasure_index, size);
    assert_eq!(published(&service), size, "published without a witness");
    assert_eq!(
        body_line(&service, 20).await,
        json!({"index": 20, "kind": "report", "erased": true, "erased_by": size})
    );
    // Whoever was here before has audited the report and needs it no more; whoever comes now does not get it.
    audit(&source, &options, &|_, _| ()).await.unwrap();
    let fresh = tempfile::tempdir().unwrap();
    let newcomer = remembering(fresh.path());
    for round in 0..2 {
        let pending = is_pending(audit(&source, &newcomer, &|_, _| ()).await);
        let told = pending.to_string();
        assert!(
            told.contains("1 report (entry 20) is not served")
                && told.contains(&format!("up to {size},"))
                && !told.contains("--state"),
            "{told}"
        );
        assert_eq!(pending.reports[0].report, id.to_string());
        let kept = state(fresh.path());
        assert_eq!(
            kept["size"],
            json!(size),
            "round {round}: the rest is not done again"
        );
        assert_eq!(
            kept["erasures"],
            json!([{"index": 20, "report": id.to_string(), "by": size, "since": T0 + 3600}])
        );
    }
    // Beside the service: the same from its directory, and nothing that is wrong with it.
    let copy = Copy::of(service.data.path());
    let forgetful = is_pending(copy.audit(&Options::default()).await);
    assert!(
        forgetful.to_string().contains("say --state FILE"),
        "{forgetful}"
    );
    let looked = fsck::run(copy.path(), &fsck::Options::new(T0))
        .await
        .unwrap();
    assert!(looked.ok && looked.checked.erased == 1, "{looked:#?}");
    // As a command: try again later, and no accusation.
    let output = Command::new(env!("CARGO_BIN_EXE_goodstanding"))
        .args(["--json", "audit"])
        .arg(copy.path())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answer["error"]["code"], "audit.erasure_pending");
    assert_eq!(
        answer["pending"],
        json!({
            "size": size, "remembered": false, "epochs": [],
            "reports": [{"entry": 20, "report": id.to_string(), "by": size}],
        })
    );

    witness.set(Mode::Honest);
    service.app.log.publish().await.unwrap();
    assert_eq!(published(&service), size + 1);
    let summary = audit(&source, &newcomer, &|_, _| ()).await.unwrap();
    assert_eq!(
        (summary.resumed_at, summary.entries, summary.erased),
        (size, 1, 1)
    );
    assert_eq!(state(fresh.path()).get("erasures"), None);
    audit(&source, &options, &|_, _| ()).await.unwrap();
    service.stop().await;
}

/// A copy whose log says of report 50 that an entry to come erased it, audited so.
async fn waiting(data: &Path, memory: &Path) -> (Copy, String, u64) {
    let copy = Copy::of(data);
    let size = copy.entries().await.len() as u64;
    let id = erase(&copy, 50).await;
    // The second has nothing to read and has not forgotten what the first one left.
    for _ in 0..2 {
        let pending = is_pending(copy.audit(&remembering(memory)).await);
        let left = |epoch| move |p: &PendingEpoch| p.epoch == epoch && p.entry > 50;
        assert_eq!(pending.epochs.len(), 2, "{pending}");
        assert!(pending.epochs.iter().any(left(1)) && pending.epochs.iter().any(left(2)));
        assert!(
            pending.to_string().contains("scores of epoch 1, 2,"),
            "{pending}"
        );
    }
    (copy, id, size)
}

#[tokio::test]
async fn the_entry_that_was_named_has_to_be_the_erasure() {
    let data = market().await.stop().await;
    // The named entry is a policy, another report's erasure, or a report.
    for kind in ["policy", "other", "report"] {
        let memory = tempfile::tempdir().unwrap();
        let (copy, id, size) = waiting(data.path(), memory.path()).await;
        let now = copy.now().await;
        match kind {
            "policy" => {
                let (_, mut policy) = copy.find(|e| e["kind"] == "policy").await;
                policy["version"] = json!(4);
                policy["at"] = json!(now);
                copy.append(&policy, None).await;
            }
            "other" => {
                let other = copy.entries().await[60]["id"].clone();
                copy.append(&erasure(other.as_str().unwrap(), now), None)
                    .await;
            }
            _ => {
                let jws = crate::forge::purchase(1, "more", T0 + 3600 - 60);
                copy.append_report(&jws, now).await;
            }
        }
        // One entry too late.
        copy.append(&erasure(&id, now), None).await;
        copy.resign().await;
        let wrong = copy.found(&remembering(memory.path())).await;
        assert_eq!(
            (wrong.code(), wrong.place()),
            ("audit.body_missing", &Place::Entry(50)),
            "{kind}: {wrong}"
        );
        assert!(
            wrong.detail().contains(&format!("erased by entry {size}")),
            "{kind}: {wrong}"
        );
        // Also for somebody who has lost the index and begins anew, as long as the state is there.
        std::fs::remove_file(memory.path().join("state.json.index")).unwrap();
        let wrong = copy.found(&remembering(memory.path())).await;
        assert_eq!(wrong.code(), "audit.body_missing", "{kind}: {wrong}");
    }
}

#[tokio::test]
async fn a_log_does_not_name_another_entry_later() {
    let data = market().await.stop().await;
    let memory = tempfile::tempdir().unwrap();
    let (copy, id, size) = waiting(data.path(), memory.path()).await;
    copy.sql(&["UPDATE erased SET by = by + 5 WHERE idx = 50"])
        .await;
    // Caught although nothing new is published, and by whoever begins anew; it is still the first claim that counts.
    for _ in 0..2 {
        let wrong = copy.found(&remembering(memory.path())).await;
        assert_eq!(wrong.code(), "audit.body_missing");
        assert!(
            wrong
                .detail()
                .contains(&format!("erased by entry {}", size + 5))
                && wrong.detail().contains(&format!("it was entry {size}")),
            "{wrong}"
        );
        assert_eq!(state(memory.path())["erasures"][0]["by"], json!(size));
        std::fs::remove_file(memory.path().join("state.json.index")).unwrap();
    }
    // Nor does it say nothing any more.
    copy.sql(&["DELETE FROM erased WHERE idx = 50"]).await;
    let wrong = copy.found(&remembering(memory.path())).await;
    assert_eq!(
        (wrong.code(), wrong.place()),
        ("audit.body_missing", &Place::Entry(50))
    );
    copy.sql(&[&format!(
        "INSERT INTO erased (idx, id, by) VALUES (50, x'{}', {})",
        "00".repeat(32),
        size + 5
    )])
    .await;
    // An entry in front of the one that was named would be too early.
    let copy = Copy::of(copy.path());
    copy.append(&erasure(&id, copy.now().await), None).await;
    copy.resign().await;
    let memory = tempfile::tempdir().unwrap();
    let wrong = copy.found(&remembering(memory.path())).await;
    assert!(
        wrong
            .detail()
            .contains(&format!("but entry {size} erases it")),
        "{wrong}"
    );
}

#[tokio::test]
async fn pending_does_not_last_for_ever() {
    let data = market().await.stop().await;
    let memory = tempfile::tempdir().unwrap();
    let copy = Copy::of(data.path());
    erase(&copy, 50).await;
    copy.sql(&["UPDATE erased SET by = 1000000 WHERE idx = 50"])
        .await;
    let options = remembering(memory.path());
    is_pending(copy.audit(&options).await);
    // What is logged within the difference of two clocks proves nothing yet.
    let soon = (T0 + 3600 + 3600) * 1000;
    let jws = crate::forge::purchase(1, "soon", T0 + 3600 - 60);
    let historical = |jws: &str, at: u64| {
        let id = goodstanding_verify::digest::sha256(jws.as_bytes()).to_string();
        json!({"v": 1, "kind": "report", "at": at, "id": id, "historical": true})
    };
    copy.append(&historical(&jws, soon), Some(&jws)).await;
    copy.resign().await;
    let later = Options {
        now_s: T0 + 9000,
        ..options.clone()
    };
    is_pending(copy.audit(&later).await);
    assert_eq!(
        state(memory.path())["erasures"][0]["since"],
        json!(T0 + 3600)
    );
    // An entry that is dated later than the claim stands in front of one that was there when it was made.
    let jws = crate::forge::purchase(2, "later", T0 + 3600 - 60);
    let last = copy.append(&historical(&jws, soon + 1), Some(&jws)).await;
    copy.resign().await;
    let wrong = copy.found(&later).await;
    assert_eq!(
        (wrong.code(), wrong.place()),
        ("audit.body_missing", &Place::Entry(50))
    );
    assert!(wrong.detail().contains(&format!("entry {last}")), "{wrong}");
}

#[tokio::test]
async fn what_cannot_be_an_erasure_to_come_is_withholding() {
    let data = market().await.stop().await;
    let copy = Copy::of(data.path());
    let size = copy.entries().await.len() as u64;
    erase(&copy, 50).await;
    // None of the log so far, and none further ahead than anybody signs without publishing.
    copy.sql(&[&format!(
        "UPDATE erased SET by = {size} + 1000000 WHERE idx = 50"
    )])
    .await;
    is_pending(copy.audit(&Options::default()).await);
    for by in [
        0,
        50,
        51,
        size - 1,
        size + 1_000_001,
        i64::MAX.unsigned_abs(),
    ] {
        copy.sql(&[&format!("UPDATE erased SET by = {by} WHERE idx = 50")])
            .await;
        let wrong = copy.found(&Options::default()).await;
        assert_eq!(
            (wrong.code(), wrong.place()),
            ("audit.body_missing", &Place::Entry(50)),
            "{by}: {wrong}"
        );
    }
    // Something else is wrong: that counts more than what is pending.
    let copy = Copy::of(data.path());
    erase(&copy, 50).await;
    copy.sql(&["UPDATE bodies SET jws = 'x' WHERE idx = 70"])
        .await;
    let wrong = copy.found(&Options::default()).await;
    assert_eq!(wrong.code(), "audit.body_altered");
}

#[tokio::test]
async fn what_was_said_is_kept_when_the_audit_breaks_off() {
    let data = market().await.stop().await;
    let memory = tempfile::tempdir().unwrap();
    let copy = Copy::of(data.path());
    let size = copy.entries().await.len() as u64;
    erase(&copy, 50).await;
    copy.sql(&["UPDATE bodies SET jws = 'x' WHERE idx = 70"])
        .await;
    found(copy.audit(&remembering(memory.path())).await);
    let kept = state(memory.path());
    assert_eq!(
        (&kept["size"], &kept["erasures"][0]["by"]),
        (&json!(0), &json!(size))
    );
    // A state file that was edited is refused.
    edit_state(memory.path(), |state| {
        state["erasures"][0]["report"] = json!("nonsense");
    });
    let refused = fault(copy.audit(&remembering(memory.path())).await);
    assert_eq!(refused.code(), "audit.state_unusable");
}

#[tokio::test]
async fn what_cannot_be_remembered_is_said_all_the_same() {
    let service = market().await;
    let memory = tempfile::tempdir().unwrap();
    let new = memory.path().join("state.json.new");
    // From the first body on there is no place for the state, as on a full disk.
    let wrong = found(
        through(&service, &remembering(memory.path()), move |path, body| {
            path.starts_with("/v1/log/bodies").then(|| {
                let _ = std::fs::create_dir(&new);
                let text = String::from_utf8(body.to_vec()).unwrap();
                text.replacen("\"jws\":\"e", "\"jws\":\"f", 1)
                    .into_response()
            })
        })
        .await,
    );
    assert_eq!(wrong.code(), "audit.body_altered");
    let unsaved = wrong.unsaved().expect("the state was saved");
    assert_eq!(unsaved.code(), "audit.state_unusable");
    service.stop().await;
}
