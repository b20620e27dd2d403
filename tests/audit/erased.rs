//! Reports whose bytes are gone: with an entry that says so, and without.

use goodstanding::{
    audit::{Options, Place},
    epoch::{compute, evidence},
    store::{Store as _, sqlite::SqliteStore},
};
use goodstanding_verify::digest::Digest;
use serde_json::{Value, json};

use crate::{
    forge::{Copy, market},
    support::{agent, payload, sign},
};

/// Erases the bytes of an entry's report; returns its id.
pub(crate) async fn erase(copy: &Copy, index: u64) -> String {
    copy.sql(&[
        &format!(
            "INSERT INTO erased (idx, id, by) SELECT idx, id, (SELECT size FROM head) FROM reports WHERE idx = {index}"
        ),
        &format!("DELETE FROM bodies WHERE idx = {index}"),
        &format!("DELETE FROM reports WHERE idx = {index}"),
    ])
    .await;
    let entries = copy.entries().await;
    entries[usize::try_from(index).unwrap()]["id"]
        .as_str()
        .unwrap()
        .to_owned()
}

pub(crate) fn erasure(of: &str, at: u64) -> Value {
    json!({"v": 1, "kind": "erasure", "at": at, "of": of, "reason": "personal_data"})
}

/// Computes and logs an epoch over all that there is, as the service would.
async fn epoch(copy: &Copy, erased: u64) {
    let size = copy.entries().await.len() as u64;
    epoch_over(copy, size, erased).await;
}

/// The same over the first `size` entries; returns the index of its entry.
async fn epoch_over(copy: &Copy, size: u64, erased: u64) -> u64 {
    let entries = copy.entries().await;
    let newest = entries.iter().rfind(|e| e["kind"] == "epoch").unwrap();
    let (number, as_of) = (
        newest["number"].as_u64().unwrap() + 1,
        newest["as_of"].as_u64().unwrap(),
    );
    let store = SqliteStore::open_reader(&copy.path().join("goodstanding.sqlite"))
        .await
        .unwrap();
    let admitted = evidence::read(&store, size, as_of).await.unwrap();
    let covered = &entries[..usize::try_from(size).unwrap()];
    let policy = covered.iter().rposition(|e| e["kind"] == "policy").unwrap();
    let parsed = goodstanding_score::policy::Policy::parse(&entries[policy]["policy"]).unwrap();
    store.close().await;
    let salt = [9; 32];
    let computed = compute::compute(number, as_of, admitted, parsed, salt, erased).unwrap();
    let empty = goodstanding_verify::merkle::EMPTY_ROOT;
    let entry = json!({
        "v": 1, "kind": "epoch", "at": copy.now().await, "number": number, "as_of": as_of, "log_size": size,
        "policy": policy, "statements": computed.statements.len(),
        "score_root": Digest(computed.score_root).to_std(), "flags_root": Digest(empty).to_std(),
        "salt_key_sha256": goodstanding_verify::digest::sha256(&salt).to_std(), "code": goodstanding_score::CODE,
    });
    let index = copy.append(&entry, None).await;
    let mut db = copy.connect().await;
    sqlx::query("INSERT INTO epochs (number, idx, salt_key) VALUES (?, ?, ?)")
        .bind(i64::try_from(number).unwrap())
        .bind(i64::try_from(index).unwrap())
        .bind(salt.to_vec())
        .execute(&mut db)
        .await
        .unwrap();
    for (leaf, (agent, reached, claims)) in (0_i64..).zip(computed.statements) {
        sqlx::query(
            "INSERT INTO statements (epoch, leaf, agent, reached, claims) \
             VALUES (?, ?, (SELECT id FROM agents WHERE key = ?), ?, ?)",
        )
        .bind(i64::try_from(number).unwrap())
        .bind(leaf)
        .bind(agent.key_bytes().to_vec())
        .bind(reached)
        .bind(claims)
        .execute(&mut db)
        .await
        .unwrap();
    }
    index
}

#[tokio::test]
async fn an_erased_report_leaves_later_epochs_and_earlier_ones_stay_committed() {
    let data = market().await.stop().await;
    let copy = Copy::of(data.path());
    let id = erase(&copy, 50).await;
    copy.append(&erasure(&id, copy.now().await), None).await;
    epoch(&copy, 1).await;
    copy.resign().await;
    let summary = copy.audit(&Options::default()).await.unwrap();
    assert_eq!((summary.erased, summary.epochs), (1, 3));
    assert_eq!(
        (summary.epochs_recomputed, summary.epochs_not_recomputable),
        (1, 2)
    );
    // What is served of an epoch that cannot be recomputed is still what it committed to.
    let lied = Copy::of(copy.path());
    lied.sql(&["UPDATE statements SET claims = json_set(claims, '$.reports', 9) WHERE epoch = 1 AND leaf = 2"])
        .await;
    let found = lied.found(&Options::default()).await;
    assert_eq!(found.code(), "audit.statement_wrong");
    assert!(matches!(found.place(), Place::Epoch(1, _)), "{found}");
    // A later epoch that did not count the erasure, or still counts the report, is wrong.
    let copy = Copy::of(data.path());
    let id = erase(&copy, 50).await;
    copy.append(&erasure(&id, copy.now().await), None).await;
    epoch(&copy, 0).await;
    copy.resign().await;
    let found = copy.found(&Options::default()).await;
    assert_eq!(found.code(), "audit.score_root_wrong");
    assert!(
        found.detail().contains("erased_reports is 0, recomputed 1"),
        "{found}"
    );
}

#[tokio::test]
async fn erased_between_two_audits() {
    let data = market().await.stop().await;
    let memory = tempfile::tempdir().unwrap();
    let options = Options {
        state: Some(memory.path().join("state.json")),
        ..Options::default()
    };
    let copy = Copy::of(data.path());
    let first = copy.audit(&options).await.unwrap();
    let id = erase(&copy, 50).await;
    let entry = copy.append(&erasure(&id, copy.now().await), None).await;
    epoch(&copy, 1).await;
    copy.resign().await;
    let second = copy.audit(&options).await.unwrap();
    assert_eq!((second.resumed_at, second.entries), (first.size, 2));
    assert_eq!((second.epochs_recomputed, second.erased), (1, 1));
    // Erased once is enough, also for an auditor that goes on.
    let again = copy.append(&erasure(&id, copy.now().await), None).await;
    copy.resign().await;
    for options in [&options, &Options::default()] {
        let found = copy.found(options).await;
        assert_eq!(found.code(), "audit.erasure_invalid");
        assert_eq!(found.place(), &Place::Entry(again));
        assert!(
            found.detail().contains(&format!("entry {entry} erased")),
            "{found}"
        );
    }
}

#[tokio::test]
async fn an_entry_whose_bytes_are_still_served_counts_until_it() {
    let data = market().await.stop().await;
    let copy = Copy::of(data.path());
    let entries = copy.entries().await;
    let id = entries[50]["id"].as_str().unwrap();
    copy.append(&erasure(id, copy.now().await), None).await;
    // The epoch after it leaves the report out; those before it are recomputed with it.
    let jws = {
        let mut db = copy.connect().await;
        let jws: String = sqlx::query_scalar("SELECT jws FROM bodies WHERE idx = 50")
            .fetch_one(&mut db)
            .await
            .unwrap();
        jws
    };
    copy.sql(&["DELETE FROM bodies WHERE idx = 50"]).await;
    epoch(&copy, 1).await;
    copy.sql(&[&format!(
        "INSERT INTO bodies (idx, jws) VALUES (50, '{jws}')"
    )])
    .await;
    copy.resign().await;
    let summary = copy.audit(&Options::default()).await.unwrap();
    assert_eq!(
        (summary.epochs_recomputed, summary.epochs_not_recomputable),
        (3, 0)
    );
}

#[tokio::test]
async fn erasures_of_nothing() {
    let data = market().await.stop().await;
    let copy = Copy::of(data.path());
    let nobody = goodstanding_verify::b64::url_encode([3; 32]);
    let index = copy.append(&erasure(&nobody, copy.now().await), None).await;
    copy.resign().await;
    let found = copy.found(&Options::default()).await;
    assert_eq!(
        (found.code(), found.place()),
        ("audit.erasure_invalid", &Place::Entry(index))
    );

    // One report twice in the log, the second time without its bytes.
    let copy = Copy::of(data.path());
    let mut entry = copy.entries().await[60].clone();
    let id = entry["id"].as_str().unwrap().to_owned();
    entry["at"] = json!(copy.now().await);
    let index = copy.append(&entry, None).await;
    copy.append(&erasure(&id, copy.now().await), None).await;
    copy.sql(&[&format!(
        "INSERT INTO erased (idx, id, by) SELECT {index}, id, {index} + 1 FROM reports WHERE idx = 60"
    )])
    .await;
    copy.resign().await;
    let found = copy.found(&Options::default()).await;
    assert_eq!(
        (found.code(), found.place()),
        ("audit.report_duplicate", &Place::Entry(index))
    );
}

/// What `fsck` says of epochs.
async fn fsck_epochs(copy: &Copy) -> Vec<String> {
    // It reads up to the working copy's head.
    copy.sql(&["UPDATE head SET size = (SELECT count(*) FROM entries)"])
        .await;
    let options = goodstanding::fsck::Options::new(crate::support::T0);
    let outcome = goodstanding::fsck::run(copy.path(), &options)
        .await
        .unwrap();
    let problems = outcome.problems.into_iter();
    problems
        .filter(|p| p.code == "fsck.epoch")
        .map(|p| format!("{}: {}", p.place, p.detail))
        .collect()
}

#[tokio::test]
async fn an_erasure_excuses_no_epoch_that_comes_after_it() {
    let data = market().await.stop().await;
    let copy = Copy::of(data.path());
    let id = erase(&copy, 50).await;
    let erasure_at = copy.append(&erasure(&id, copy.now().await), None).await;
    // Over a prefix that ends in front of the erasure, which nobody can recompute any more: whatever it says would pass.
    let forged = epoch_over(&copy, erasure_at, 0).await;
    copy.sql(&["UPDATE statements SET claims = json_set(claims, '$.lower_bp', 9999) WHERE epoch = 3 AND leaf = 0"])
        .await;
    copy.resign().await;
    let found = copy.found(&Options::default()).await;
    assert_eq!(
        (found.code(), found.place()),
        ("audit.epoch_invalid", &Place::Epoch(3, forged))
    );
    assert!(
        found
            .detail()
            .contains(&format!("erasure at entry {erasure_at}")),
        "{found}"
    );
    let problems = fsck_epochs(&copy).await;
    let named = |p: &String| {
        p.starts_with(&format!("entry {forged}:"))
            && p.contains(&format!("erasure at entry {erasure_at}"))
    };
    assert!(problems.iter().any(named), "{problems:?}");
}

#[tokio::test]
async fn epochs_do_not_go_back_in_the_log() {
    let data = market().await.stop().await;
    let copy = Copy::of(data.path());
    let (_, first) = copy.find(|e| e["kind"] == "epoch").await;
    let back = epoch_over(&copy, first["log_size"].as_u64().unwrap(), 0).await;
    copy.resign().await;
    let found = copy.found(&Options::default()).await;
    assert_eq!(
        (found.code(), found.place()),
        ("audit.epoch_invalid", &Place::Epoch(3, back))
    );
    assert!(found.detail().contains("below the previous"), "{found}");
    let problems = fsck_epochs(&copy).await;
    let named = |p: &String| p.starts_with(&format!("entry {back}:")) && p.contains("epoch 2");
    assert!(problems.iter().any(named), "{problems:?}");
}

#[tokio::test]
async fn an_erasure_is_a_doubt_about_the_quota_of_its_own_day_only() {
    let data = market().await.stop().await;
    let loner = agent(500);
    // Reports of one reporter alone; the policy allows 100 a day.
    for (days, first_wrong) in [(0, 101), (2, 100)] {
        let copy = Copy::of(data.path());
        let id = erase(&copy, 50).await;
        copy.append(&erasure(&id, copy.now().await), None).await;
        // Whom flow reaches is known again from here on.
        epoch(&copy, 1).await;
        let now = copy.now().await / 1000 + days * 86_400;
        let mut last = 0;
        for n in 0..=first_wrong {
            let report = payload(&loner, &agent(11), &format!("alone-{n}"), now);
            last = copy.append_report(&sign(&loner, &report), now * 1000).await;
        }
        copy.resign().await;
        let found = copy.found(&Options::default()).await;
        assert_eq!(
            (found.code(), found.place()),
            ("audit.quota_exceeded", &Place::Entry(last)),
            "{found}"
        );
    }
}
