//! `fsck` of a log that has ended: the setting, the file and the signed notice agree with each other and with the last tree.

use std::path::Path;

use goodstanding::{
    app::App,
    backup,
    fsck::{self, Options, Outcome},
    keys::{KeyFile, SecretKey},
    token::successor::end,
};
use goodstanding_verify::{
    jws::Compact,
    successor::{EndReason, SUCCESSOR_TYP, Successor},
};
use serde_json::{Value, json};

use super::{
    grow::{at, copy, fresh, grown},
    history::damage,
};
use crate::support::T0;

const NOW: u64 = T0 + 10;
const SETTING: &str = "setting log_end";

async fn look(data: &Path) -> Outcome {
    fsck::run(data, &Options::new(NOW)).await.unwrap()
}

/// A log of 260 entries that has ended and names a successor; and the same just before.
async fn ended(room: &Path) -> (std::path::PathBuf, std::path::PathBuf) {
    let (before, data) = (room.join("before"), room.join("ended"));
    grown(&before, 260).await;
    copy(&before, &data);
    let next = SecretKey::from_seed(&[9; 32]);
    let vkey = goodstanding::log::sign::LogSigner::new("next.example/log", next).vkey();
    let url = Some("https://next.example".to_owned());
    let next = Successor::new("next.example/log".into(), vkey, url).unwrap();
    let app = App::open(at(&data, NOW)).await.unwrap();
    end(&app, EndReason::Retired, Some(next)).await.unwrap();
    app.close().await;
    (before, data)
}

/// Puts another end into the setting, and its notice into the file.
async fn put(data: &Path, end: &Value) {
    let text = end.to_string().replace('\'', "''");
    damage(
        data,
        &[&format!(
            "UPDATE meta SET value = '{text}' WHERE key = 'log_end'"
        )],
    )
    .await;
    std::fs::write(data.join("log.ended"), end["notice"].as_str().unwrap()).unwrap();
}

fn stored(data: &Path) -> Value {
    let notice = std::fs::read_to_string(data.join("log.ended")).unwrap();
    let said = Compact::parse(&notice).unwrap().payload_json().unwrap();
    json!({"reason": said["reason"], "successor": said["successor"], "notice": notice})
}

/// The notice with another payload, signed by the key in this file.
fn signed(data: &Path, notice: &Value, key: &str, edit: impl FnOnce(&mut Value)) -> Value {
    let jws = notice["notice"].as_str().unwrap();
    let mut said = Compact::parse(jws).unwrap().payload_json().unwrap();
    edit(&mut said);
    let key = KeyFile::read(&data.join("keys").join(key)).unwrap();
    let jws = key.sign_service(SUCCESSOR_TYP, &said).unwrap();
    let mut notice = notice.clone();
    notice["notice"] = json!(jws);
    notice
}

#[tokio::test]
async fn every_way_in_which_an_end_is_not_one_is_named() {
    let room = tempfile::tempdir().unwrap();
    let (before, data) = ended(room.path()).await;
    let outcome = look(&data).await;
    assert!(outcome.ok && outcome.complete, "{outcome:#?}");
    let end = stored(&data);

    let case = |name: &str| {
        let dir = room.path().join(name);
        copy(&data, &dir);
        dir
    };
    let finds = async |name: &str, dir: &Path, place: &str, why: &str| {
        let outcome = look(dir).await;
        let [problem] = outcome.problems.as_slice() else {
            panic!("{name}: {outcome:#?}");
        };
        assert_eq!(
            (problem.code, problem.place.as_str()),
            ("fsck.end", place),
            "{name}"
        );
        assert!(problem.detail.contains(why), "{name}: {}", problem.detail);
    };

    let dir = case("file-gone");
    std::fs::remove_file(dir.join("log.ended")).unwrap();
    let outcome = look(&dir).await;
    assert!(outcome.ok, "the next start makes the file: {outcome:#?}");
    App::open(at(&dir, NOW)).await.unwrap().close().await;
    assert_eq!(stored(&dir), end);

    let dir = case("file-other");
    std::fs::write(dir.join("log.ended"), "something").unwrap();
    finds("file-other", &dir, "log.ended", "not the notice").await;

    let dir = case("setting-gone");
    damage(&dir, &["DELETE FROM meta WHERE key = 'log_end'"]).await;
    finds("setting-gone", &dir, "log.ended", "from before that").await;
    let dir = room.path().join("older-copy");
    copy(&before, &dir);
    std::fs::copy(data.join("log.ended"), dir.join("log.ended")).unwrap();
    finds("older-copy", &dir, "log.ended", "from before that").await;

    let dir = case("setting-garbage");
    damage(
        &dir,
        &["UPDATE meta SET value = '{}' WHERE key = 'log_end'"],
    )
    .await;
    finds("setting-garbage", &dir, SETTING, "log_end").await;

    let cases: [(&str, Value, &str); 7] = [
        (
            "notice-torn",
            {
                let mut torn = end.clone();
                let jws = torn["notice"].as_str().unwrap();
                torn["notice"] = json!(jws[..jws.len() - 4].to_owned() + "AAAA");
                torn
            },
            "successor.signature_invalid",
        ),
        (
            "other-key",
            signed(&data, &end, "token.json", |_| {}),
            "successor.signature_invalid",
        ),
        (
            "other-size",
            signed(&data, &end, "bundle.json", |said| said["size"] = json!(259)),
            "259 entries",
        ),
        (
            "other-root",
            signed(&data, &end, "bundle.json", |said| {
                said["root"] = json!(goodstanding_verify::b64::std_encode([7; 32]));
            }),
            "root",
        ),
        (
            "other-issuer",
            signed(&data, &end, "bundle.json", |said| {
                said["iss"] = json!("https://other.example");
            }),
            "successor.log_mismatch",
        ),
        (
            "other-reason",
            {
                let mut end = end.clone();
                end["reason"] = json!("lost");
                end
            },
            "reason or successor",
        ),
        (
            "no-successor",
            {
                let mut end = end.clone();
                end.as_object_mut().unwrap().remove("successor");
                end
            },
            "reason or successor",
        ),
    ];
    for (name, other, why) in cases {
        let dir = case(name);
        put(&dir, &other).await;
        finds(name, &dir, SETTING, why).await;
    }

    // An entry behind the end: no process writes one, so it is put there by hand.
    let dir = room.path().join("went-on");
    copy(&before, &dir);
    let app = App::open(at(&dir, NOW)).await.unwrap();
    goodstanding::ingest::submit_one(&app, fresh("late", 0, T0))
        .await
        .unwrap();
    app.close().await;
    damage(
        &dir,
        &[&format!(
            "INSERT INTO meta (key, value) VALUES ('log_end', '{end}')"
        )],
    )
    .await;
    finds("went-on", &dir, SETTING, "260 entries").await;
}

#[tokio::test]
async fn a_backup_of_an_ended_log_is_one_too() {
    let room = tempfile::tempdir().unwrap();
    let (_, data) = ended(room.path()).await;
    let copy = room.path().join("backup");
    backup::make(&data, &copy, true, NOW).await.unwrap();
    let outcome = look(&copy).await;
    assert!(outcome.ok, "{outcome:#?}");
    damage(
        &copy,
        &["UPDATE meta SET value = replace(value, 'retired', 'lost') WHERE key = 'log_end'"],
    )
    .await;
    assert!(look(&copy).await.counts.contains_key("fsck.end"));
}
