//! Logs that change their story between two audits, every time with the log's real key.

use goodstanding::audit::{Options, Place};
use goodstanding_verify::checkpoint::SignedCheckpoint;
use serde_json::json;

use crate::{
    forge::{Copy, market},
    support::T0,
};

/// An audited directory and what the auditor remembers of it.
struct Audited {
    data: tempfile::TempDir,
    memory: tempfile::TempDir,
    size: u64,
}

impl Audited {
    async fn new() -> Self {
        let service = market().await;
        let size = service.log_size();
        let this = Self {
            data: service.stop().await,
            memory: tempfile::tempdir().unwrap(),
            size,
        };
        Copy::of(this.data.path())
            .audit(&this.options())
            .await
            .unwrap();
        this
    }

    fn options(&self) -> Options {
        Options {
            state: Some(self.memory.path().join("state.json")),
            now_s: T0,
            ..Options::default()
        }
    }

    /// The audit of what the log says now ends with this, and with the two checkpoints that prove it.
    async fn proves(&self, copy: &Copy, code: &str, size: u64) {
        let before = std::fs::read_to_string(self.memory.path().join("state.json")).unwrap();
        let found = copy.found(&self.options()).await;
        assert_eq!(
            (found.code(), found.place()),
            (code, &Place::Checkpoint(size)),
            "{found}"
        );
        let [old, new] = found.notes() else {
            panic!("not two checkpoints: {:?}", found.notes())
        };
        let key = copy.signer().verifier().unwrap();
        for (note, size) in [(old, self.size), (new, size)] {
            let signed = SignedCheckpoint::parse(note).unwrap();
            assert_eq!(signed.verify_log(&key).unwrap().size, size);
        }
        assert!(found.detail().contains(&self.size.to_string()), "{found}");
        // The auditor's memory is what it was: it still has the older checkpoint.
        let after = std::fs::read_to_string(self.memory.path().join("state.json")).unwrap();
        assert_eq!(before, after);
    }
}

#[tokio::test]
async fn a_log_that_takes_entries_back() {
    let audited = Audited::new().await;
    let copy = Copy::of(audited.data.path());
    let last = audited.size - 1;
    copy.sql(&[
        &format!("DELETE FROM entries WHERE idx = {last}"),
        "DELETE FROM checkpoints",
    ])
    .await;
    let size = copy.resign().await;
    assert_eq!(size, last);
    audited.proves(&copy, "audit.log_shrunk", size).await;
}

#[tokio::test]
async fn two_trees_of_one_size() {
    let audited = Audited::new().await;
    let copy = Copy::of(audited.data.path());
    // Another history, in itself without fault: the last policy has another seed.
    let (index, mut entry) = copy
        .find(|e| e["kind"] == "policy" && e["version"] == 3)
        .await;
    entry["policy"]["rotation_delay_s"] = json!(1234);
    copy.replace_entry(index, &entry).await;
    assert_eq!(copy.resign().await, audited.size);
    audited
        .proves(&copy, "audit.log_forked", audited.size)
        .await;
}

#[tokio::test]
async fn a_longer_tree_with_another_beginning() {
    let audited = Audited::new().await;
    let copy = Copy::of(audited.data.path());
    let (index, mut entry) = copy
        .find(|e| e["kind"] == "policy" && e["version"] == 2)
        .await;
    entry["policy"]["rotation_delay_s"] = json!(1234);
    copy.replace_entry(index, &entry).await;
    let event = json!({
        "v": 1, "kind": "key", "at": copy.now().await, "use": "casework", "action": "add",
        "jwk": crate::support::agent(70).jwk(), "from": T0,
    });
    copy.append(&event, None).await;
    let size = copy.resign().await;
    assert_eq!(size, audited.size + 1);
    audited.proves(&copy, "audit.log_forked", size).await;
    // Also when the index is gone and everything is read again.
    std::fs::remove_file(audited.memory.path().join("state.json.index")).unwrap();
    audited.proves(&copy, "audit.log_forked", size).await;
}

#[tokio::test]
async fn an_honest_extension_is_none_of_these() {
    let audited = Audited::new().await;
    let copy = Copy::of(audited.data.path());
    let event = json!({
        "v": 1, "kind": "key", "at": copy.now().await, "use": "casework", "action": "add",
        "jwk": crate::support::agent(70).jwk(), "from": T0,
    });
    copy.append(&event, None).await;
    copy.resign().await;
    let summary = copy.audit(&audited.options()).await.unwrap();
    assert_eq!((summary.resumed_at, summary.entries), (audited.size, 1));
    assert_eq!((summary.key_events, summary.checkpoints_seen), (5, 1));
}
