//! What is published while foreign witnesses come, go, hang, forget and see through a fork.

use std::path::Path;

use goodstanding_verify::code::Code;

use super::{
    foreign::ForeignWitness,
    watched::{Watched, directory, last, log_vkey, now, read_policy, two_of},
};
use crate::support::witness::{Mode, Witness};

fn three() -> [ForeignWitness; 3] {
    ["a", "b", "c"].map(|name| ForeignWitness::start(name, &log_vkey()))
}

fn policy_of(witnesses: &[ForeignWitness; 3]) -> String {
    let [a, b, c] = witnesses;
    two_of(&[a.policy_line("a"), b.policy_line("b"), c.policy_line("c")])
}

#[tokio::test(flavor = "multi_thread")]
async fn without_two_of_three_nothing_is_published_until_they_are_back() {
    let mut witnesses = three();
    let text = policy_of(&witnesses);
    let (data, policy) = (directory(&text, "timeout_ms = 500"), read_policy(&text));
    let log = Watched::serve(data.path());
    let size = log.report("t-1").await;
    let signed = log.witnessed(size, &policy).await;
    assert!(policy.evaluate(&signed).unwrap().witnesses.len() >= 2);

    // Killed: connections are refused. One of three is too few.
    witnesses[0].kill();
    witnesses[1].kill();
    let held = log.get("/checkpoint").await;
    let size = log.report("t-2").await;
    let ready = log.round(false).await;
    assert_eq!(
        (last(&ready, "a"), last(&ready, "b")),
        ("unreachable".into(), "unreachable".into())
    );
    assert_eq!(
        (last(&ready, "c"), &ready["status"]),
        ("ok".into(), &"ok".into())
    );
    assert_eq!(log.get("/checkpoint").await, held);
    witnesses[0].restart();
    log.witnessed(size, &policy).await;
    assert_eq!(witnesses[0].size(), size);

    // Paused: they take the request and say nothing.
    witnesses[1].restart();
    witnesses[1].pause();
    witnesses[2].pause();
    let held = log.get("/checkpoint").await;
    let size = log.report("t-3").await;
    let ready = log.round(false).await;
    assert_eq!(
        (last(&ready, "b"), last(&ready, "c")),
        ("timeout".into(), "timeout".into())
    );
    assert_eq!(log.get("/checkpoint").await, held);
    witnesses[1].go_on();
    witnesses[2].go_on();
    let signed = log.witnessed(size, &policy).await;
    assert_eq!(signed.checkpoint().size, size);
}

#[tokio::test(flavor = "multi_thread")]
async fn failing_open_publishes_unwitnessed_and_witnesses_later() {
    let mut witnesses = three();
    let text = policy_of(&witnesses);
    let settings = "when_missed = 'publish'\ntimeout_ms = 500";
    let (data, policy) = (directory(&text, settings), read_policy(&text));
    let log = Watched::serve(data.path());
    let size = log.report("t-1").await;
    log.witnessed(size, &policy).await;
    for witness in &mut witnesses {
        witness.kill();
    }
    let size = log.report("t-2").await;
    let unwitnessed = log
        .until("an unwitnessed checkpoint", async || {
            let (published, signed) = log.checkpoint().await;
            (published == size).then_some(signed)
        })
        .await;
    assert_eq!(
        policy.evaluate(&unwitnessed).unwrap_err().code(),
        Code::CheckpointQuorumMissed
    );
    assert_eq!(log.readiness().await["witnessed_size"], size - 1);
    for witness in &mut witnesses {
        witness.restart();
    }
    // The same size again, now with its cosignatures.
    let signed = log.witnessed(size, &policy).await;
    assert_eq!(signed.checkpoint(), unwitnessed.checkpoint());
    log.until("the witnessed size", async || {
        (log.readiness().await["witnessed_size"] == size).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn witnesses_without_their_memory_and_a_service_without_its_own() {
    let mut witnesses = three();
    let text = policy_of(&witnesses);
    let (data, policy) = (directory(&text, ""), read_policy(&text));
    let mut log = Watched::serve(data.path());
    let size = log.report("t-1").await;
    log.witnessed(size, &policy).await;

    // Two of them begin again at nothing: they answer 409 with 0, and see the whole tree at once.
    witnesses[0].forget();
    witnesses[1].forget();
    witnesses[2].kill();
    assert_eq!(witnesses[0].size(), 0);
    let size = log.report("t-2").await;
    log.witnessed(size, &policy).await;
    assert_eq!((witnesses[0].size(), witnesses[1].size()), (size, size));

    // The service is killed, and one of its witnesses missed an entry meanwhile.
    log.server.kill();
    witnesses[2].restart();
    witnesses[0].kill();
    let log = Watched::serve(data.path());
    let size = log.report("t-3").await;
    log.witnessed(size, &policy).await;
    assert_eq!((witnesses[1].size(), witnesses[2].size()), (size, size));
    for witness in &witnesses {
        assert!(
            witness.evidence().is_empty(),
            "the log never contradicted itself"
        );
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// The operator puts an old copy of the whole directory back, head guard and all. Nothing inside can know; the witnesses do.
#[tokio::test(flavor = "multi_thread")]
async fn witnesses_do_not_cosign_a_fork() {
    let witnesses = three();
    let text = policy_of(&witnesses);
    let (data, policy) = (directory(&text, ""), read_policy(&text));
    let mut log = Watched::serve(data.path());
    let size = log.report("t-1").await;
    log.witnessed(size, &policy).await;
    log.server.kill();
    let old = tempfile::tempdir().unwrap();
    copy(data.path(), old.path());

    let mut log = Watched::serve(data.path());
    let mut size = size;
    for n in 0..3 {
        size = log.report(&format!("true-{n}")).await;
    }
    let witnessed = log.witnessed(size, &policy).await;
    log.server.kill();

    // Shorter than what they have seen: they are ahead of it.
    let mut fork = Watched::serve(old.path());
    let held = fork.get("/checkpoint").await;
    fork.report("false-0").await;
    let ready = fork.round(false).await;
    for name in ["a", "b", "c"] {
        assert_eq!(last(&ready, name), "ahead");
    }
    assert_eq!(fork.get("/checkpoint").await, held);
    // Longer: there is no proof from what they have seen.
    let mut forked = 0;
    for n in 1..6 {
        forked = fork.report(&format!("false-{n}")).await;
    }
    assert!(forked > size);
    fork.until("a refused proof", async || {
        let ready = fork.readiness().await;
        ["a", "b", "c"]
            .iter()
            .all(|name| last(&ready, name) == "status")
            .then_some(())
    })
    .await;
    assert_eq!(fork.get("/checkpoint").await, held);
    fork.server.kill();
    for witness in &witnesses {
        assert_eq!(witness.size(), size, "they hold on to the true log");
        let evidence = witness.evidence();
        assert!(!evidence.is_empty(), "and can prove the other one");
    }
    // The true log goes on.
    let log = Watched::serve(data.path());
    let more = log.report("true-3").await;
    let next = log.witnessed(more, &policy).await;
    assert!(next.checkpoint().size > witnessed.checkpoint().size);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_liar_s_line_never_gets_into_a_checkpoint() {
    let vkey = log_vkey();
    let honest = ForeignWitness::start("a", &vkey);
    let (liar, other) = (
        Witness::start("b", &vkey, now()).await,
        Witness::start("c", &vkey, now()).await,
    );
    let text = two_of(&[
        honest.policy_line("a"),
        liar.policy_line("b"),
        other.policy_line("c"),
    ]);
    let (data, policy) = (directory(&text, "timeout_ms = 500"), read_policy(&text));
    let log = Watched::serve(data.path());
    let size = log.report("t-0").await;
    log.witnessed(size, &policy).await;
    // The honest one is not enough, whatever the others make up.
    liar.set(Mode::SignsAnotherTree);
    other.set(Mode::SignsWithAnotherKey);
    let held = log.get("/checkpoint").await;
    let size = log.report("t-1").await;
    let ready = log.round(false).await;
    assert_eq!(
        (last(&ready, "b"), last(&ready, "c")),
        ("lying".into(), "lying".into())
    );
    assert_eq!(log.get("/checkpoint").await, held);
    // With one that came to its senses it is, and the liar's line is not in the note.
    other.set(Mode::ExtraLines);
    let signed = log.witnessed(size, &policy).await;
    let names: Vec<_> = signed
        .note()
        .signatures
        .iter()
        .map(|line| line.name.as_str())
        .collect();
    assert_eq!(names.len(), 3, "{names:?}");
    for name in [vkey.name(), honest.vkey.name(), other.vkey().name()] {
        assert!(names.contains(&name), "{names:?}");
    }
}
