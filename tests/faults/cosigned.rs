//! The matrix of faults for cosignatures that come one after the other: none is ever taken away again.

use std::{path::Path, sync::Mutex};

use goodstanding::{
    app::{App, Open},
    ingest,
    keys::KeyFile,
    log::sign::LogSigner,
};
use goodstanding_verify::checkpoint::SignedCheckpoint;
use sqlx::{Connection as _, SqliteConnection, sqlite::SqliteConnectOptions};

use super::{
    changes::{NOW, Totals, base, each, plans},
    check::{Acknowledged, Known, full_check_from},
    double::{Faults, Step},
    grow::{at, copy, fresh, grow, opened},
    history::number,
};
use crate::support::witness::{Mode as Behaviour, Witness};

/// Names of those who cosigned a note.
fn names(note: &str) -> Vec<String> {
    let signed = SignedCheckpoint::parse(note).unwrap();
    let lines = signed.note().signatures.iter();
    lines.map(|line| line.name.clone()).collect()
}

async fn stored_note(data: &Path, size: u64) -> Option<String> {
    let options = SqliteConnectOptions::new()
        .filename(data.join("goodstanding.sqlite"))
        .read_only(true);
    let mut database = SqliteConnection::connect_with(&options).await.unwrap();
    sqlx::query_scalar("SELECT note FROM checkpoints WHERE size = ?")
        .bind(i64::try_from(size).unwrap())
        .fetch_optional(&mut database)
        .await
        .unwrap()
}

fn open(data: &Path) -> Open {
    Open {
        // The log's own issuer and origin.
        issuer: None,
        origin: None,
        ..at(data, NOW)
    }
}

#[test]
fn every_step_of_a_merge_fails_and_no_cosignature_is_lost() {
    let started = std::time::Instant::now();
    let (base, known) = base(254);
    let key = KeyFile::read(&base.path().join("keys/log.json")).unwrap();
    let log = LogSigner::new("log.example", key).verifier().unwrap();
    let mut cases = Vec::new();
    for start in 254..=256 {
        for steps in plans(&[Step::Publish, Step::Guard], true) {
            // Faults while the first cosignature comes, or the second.
            cases.push((start, steps.clone(), false));
            if !steps.is_empty() {
                cases.push((start, steps, true));
            }
        }
    }
    let totals = Totals::default();
    each(cases, async |(start, steps, late)| {
        let at_case = format!("{start} {steps:?} late: {late}");
        let data = tempfile::tempdir().unwrap();
        copy(base.path(), data.path());
        grow(data.path(), start).await;
        let (a, b) = (
            Witness::start("a", &log, NOW).await,
            Witness::start("b", &log, NOW).await,
        );
        let settings = format!(
            "when_missed = \"publish\"\npolicy = '''\n{}{}group both all a b\nquorum both\n'''\n",
            a.policy_line("a"),
            b.policy_line("b")
        );
        std::fs::write(data.path().join("witnesses.toml"), settings).unwrap();
        let down = || Behaviour::Answers(503, "down".to_owned());
        let faults = Faults::default();
        b.set(down());
        let app = opened(async || {
            App::open_through(open(data.path()), |parts| faults.through(parts)).await
        })
        .await
        .unwrap();
        let plan = || {
            for (step, mode) in &steps {
                faults.script().plan(*step, *mode);
            }
        };
        let (admitted, proof) = ingest::submit_one(&app, fresh("told", 0, NOW - 5))
            .await
            .unwrap();
        let told = Acknowledged {
            index: admitted.index,
            id: admitted.id.to_string(),
            proof: Some(proof),
        };
        let size = admitted.index + 1;
        let seen: Mutex<Vec<String>> = Mutex::default();
        let mut checks = 0;
        let check = async || {
            let checked = full_check_from(data.path(), &mut Known::of(&known)).await;
            checked.holds([&told]);
            // Who cosigned stays, in the database and in what is served.
            let Some(note) = stored_note(data.path(), size).await else {
                return Vec::new();
            };
            let now = names(&note);
            let mut seen = seen.lock().unwrap();
            assert!(
                seen.iter().all(|name| now.contains(name)),
                "{at_case}: {seen:?}, then {now:?}"
            );
            seen.clone_from(&now);
            now
        };
        if !late {
            plan();
        }
        let (first, second) = (a.name.clone(), b.name.clone());
        for (round, wanted) in [&first, &second].into_iter().enumerate() {
            if round == 1 {
                a.set(down());
                b.set(Behaviour::Honest);
                if late {
                    plan();
                }
            }
            for attempt in 0.. {
                assert!(attempt <= 6, "{at_case}: {wanted} never cosigned");
                let published = app.log.publish().await;
                checks += 1;
                let now = check().await;
                if let Err(fault) = &published {
                    assert_eq!(fault.code(), "store.unavailable", "{at_case}");
                } else if now.contains(wanted) {
                    break;
                }
            }
        }
        app.log.publish().await.unwrap();
        checks += 1;
        let both = check().await;
        assert!(both.contains(&first) && both.contains(&second), "{at_case}");
        assert_eq!(
            number(
                data.path(),
                "SELECT count(*) FROM checkpoints WHERE size = (SELECT size FROM head)"
            )
            .await,
            1
        );
        let witnessed = app.log.shared().witnessed.borrow().clone();
        assert_eq!(witnessed.map(|p| p.size), Some(size), "{at_case}");
        app.close().await;
        let guard = std::fs::read_to_string(data.path().join("head.guard")).unwrap();
        assert_eq!(names(&guard), both, "{at_case}: the guard");
        let app = opened(async || App::open(open(data.path())).await)
            .await
            .unwrap();
        let published = app.log.shared().published.borrow().clone().unwrap();
        assert_eq!(names(&published.note), both, "{at_case}: after a restart");
        app.close().await;
        checks += 1;
        check().await;
        totals.add(faults.script().produced, checks);
    });
    totals.print("cosignatures around 256", started);
}
