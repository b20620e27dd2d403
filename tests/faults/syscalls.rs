//! Every file and sync system call of a one-shot command fails with EIO, and is where the process is killed, in turn.
//! After each: the full check, the same command again, and the full check once more.

use std::{
    path::Path,
    process::Command,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use goodstanding::{app::App, ingest};
use goodstanding_verify::{digest::sha256, report::ReportId};
use serde_json::Value;

use super::{
    check::{Acknowledged, Known, fsck_and_audit, full_check, full_check_from},
    grow::{at, copy, fresh, grown},
    strace::{Ended, Injection, Site, command, inject, output_of, sites},
};
use crate::support::T0;

/// Runs at a time: they wait for disk and strace more than they compute.
const WORKERS: usize = 4;

pub(crate) fn now_s() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs()
}

/// What the runs came to.
#[derive(Default)]
pub(crate) struct Figures {
    runs: AtomicUsize,
    succeeded: AtomicUsize,
    refused: AtomicUsize,
    killed: AtomicUsize,
    pub(crate) not_reached: Mutex<Vec<String>>,
}

impl Figures {
    pub(crate) fn count(&self, ended: &Ended) {
        self.runs.fetch_add(1, Ordering::Relaxed);
        let slot = match ended.code {
            Some(0) => &self.succeeded,
            Some(_) => &self.refused,
            None => &self.killed,
        };
        slot.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn print(&self, name: &str, sites: usize, calls: usize, started: Instant) {
        let missed = self.not_reached.lock().unwrap();
        println!(
            "system calls of {name}: {calls} in all threads, {sites} places, {} runs with a fault ({} killed, {} refused, {} \
             succeeded all the same), {} places not reached again, {} s",
            self.runs.load(Ordering::Relaxed),
            self.killed.load(Ordering::Relaxed),
            self.refused.load(Ordering::Relaxed),
            self.succeeded.load(Ordering::Relaxed),
            missed.len(),
            started.elapsed().as_secs()
        );
        for place in missed.iter() {
            println!("  not reached again: {place}");
        }
        // What depends on who comes first (a reload beside a publishing) comes out otherwise now and then.
        assert!(
            missed.len() * 20 <= sites,
            "too many places were not reached again: {missed:#?}"
        );
    }
}

/// Every site with every injection, shared by a few workers; each worker has its own runtime for the checks.
pub(crate) fn each(
    sites: &[Site],
    work: impl Fn(&Site, Injection, &tokio::runtime::Runtime) + Sync,
) {
    let jobs: Vec<_> = sites
        .iter()
        .flat_map(|site| [(site, Injection::Error("EIO")), (site, Injection::Kill)])
        .collect();
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()
                    .unwrap();
                while let Some((site, injection)) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    work(site, *injection, &runtime);
                }
            });
        }
    });
}

/// A call that another order of events left out is tried for again.
pub(crate) fn tries<T>(mut run: impl FnMut() -> Option<T>) -> Option<T> {
    (0..4).find_map(|_| run())
}

/// A refusal is one: its own exit code, and a stable code that is not the one for what nobody thought of.
pub(crate) fn assert_clean(ended: &Ended, at: &str) {
    if ended.code.is_none_or(|code| code == 0) {
        return;
    }
    // Rust's own library panics when a folder that was read cannot be closed; nothing is being written at that moment.
    if ended.stderr.contains("unexpected error during closedir") {
        return;
    }
    assert_eq!(ended.code, Some(1), "{at}: {}", ended.stderr);
    let answer: Value = serde_json::from_str(&ended.stdout)
        .unwrap_or_else(|_| panic!("{at}: no JSON: {} {}", ended.stdout, ended.stderr));
    let code = answer["error"]["code"].as_str().unwrap();
    let expected = [
        "store.unavailable",
        "store.corrupt",
        "store.unsupported",
        "data.missing",
        "data.unwritable",
        "input.unreadable",
        "key.unusable",
        "backup.invalid",
    ];
    assert!(expected.contains(&code), "{at}: {answer}");
}

fn acknowledged(stdout: &str) -> Acknowledged {
    let answer: Value = serde_json::from_str(stdout).unwrap();
    Acknowledged {
        index: answer["leaf_index"].as_u64().unwrap(),
        id: answer["report_id"].as_str().unwrap().to_owned(),
        proof: Some(answer["receipt"].as_str().unwrap().to_owned()),
    }
}

/// The command without a fault.
pub(crate) fn again(dir: &Path, arguments: &[&str], at: &str) -> String {
    let run = || {
        let program = Command::new(env!("CARGO_BIN_EXE_goodstanding"));
        output_of(&mut command(program, dir, arguments))
    };
    let mut output = run();
    // A child that another thread was just starting held on to a lock of ours.
    while String::from_utf8_lossy(&output.stderr).contains("data.locked") {
        output = run();
    }
    assert!(
        output.status.success(),
        "{at}: it does not work again: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn every_system_call_of_a_submit_fails_and_kills() {
    let started = Instant::now();
    let room = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let base = room.path().join("base");
    // Some reports with receipts among the 300 entries.
    let mut ledger = Vec::new();
    let mut known = Known::default();
    runtime.block_on(async {
        grown(&base, 290).await;
        let app = App::open(at(&base, T0 + 10)).await.unwrap();
        for n in 0..10 {
            let (admitted, proof) = ingest::submit_one(&app, fresh("told", n, T0))
                .await
                .unwrap();
            ledger.push(Acknowledged {
                index: admitted.index,
                id: admitted.id.to_string(),
                proof: Some(proof),
            });
        }
        app.close().await;
        full_check_from(&base, &mut known).await.holds(&ledger);
    });
    let jws = fresh("one-shot", 0, now_s() - 1);
    let id = ReportId(sha256(jws.as_bytes()).0);
    let file = room.path().join("report.jwt");
    std::fs::write(&file, &jws).unwrap();
    let arguments = ["--json", "submit", file.to_str().unwrap()];

    let first = room.path().join("first");
    copy(&base, &first);
    let (found, calls) = sites(&first, &arguments);
    assert!(found.len() > 150, "the trace shows hardly anything");
    let figures = Figures::default();
    each(&found, |site, injection, runtime| {
        let at = format!("{injection:?} at {site}");
        let tried = tries(|| {
            let data = tempfile::tempdir_in(room.path()).unwrap();
            copy(&base, data.path());
            inject(data.path(), &arguments, site, injection).map(|ended| (data, ended))
        });
        let Some((data, ended)) = tried else {
            figures.not_reached.lock().unwrap().push(at);
            return;
        };
        figures.count(&ended);
        assert_clean(&ended, &at);
        let mut told = ledger.clone();
        if ended.code == Some(0) {
            told.push(acknowledged(&ended.stdout));
        }
        let mut seen = Known::of(&known.leaves);
        let checked = runtime.block_on(full_check_from(data.path(), &mut seen));
        checked.holds(&told);
        runtime.block_on(fsck_and_audit(data.path(), &at));
        let before = checked.reports.get(&id).copied();

        let retried = acknowledged(&again(data.path(), &arguments, &at));
        assert_eq!(retried.id, id.to_string(), "{at}");
        if let Some(index) = before {
            assert_eq!(retried.index, index, "{at}: it stands twice");
        }
        told.push(retried);
        let checked = runtime.block_on(full_check(data.path()));
        checked.holds(&told);
        assert_eq!(checked.size(), 301, "{at}");
        assert_eq!(
            (checked.published, checked.guard),
            (Some(301), Some(301)),
            "{at}"
        );
    });
    figures.print("a submit", found.len(), calls, started);
}

#[test]
fn every_system_call_of_a_first_start_fails_and_kills() {
    let started = Instant::now();
    let room = tempfile::tempdir().unwrap();
    let file = room.path().join("one.csv");
    let header = "time,trade_id,market,kind,reporter,subject,role,amount,currency,units,resource,status,quality_bp,on_time,\
                  claimed_quality_bp,swap_id,auction_id,auction_format,reserve,task_class,utilisation_bp,bids,level";
    let row = format!(
        "{},t-1,https://market.example,purchase,alice,bob,buyer,1,USD,,,fulfilled,9000,,,,,,,,,,",
        now_s() - 1
    );
    std::fs::write(&file, format!("{header}\n{row}\n")).unwrap();
    let arguments = [
        "--json",
        "import",
        file.to_str().unwrap(),
        "--key-seed",
        "tests",
        "--issuer",
        "https://issuer.example",
        "--origin",
        "log.example",
    ];
    let (found, calls) = sites(&room.path().join("first"), &arguments);
    assert!(found.len() > 300, "the trace shows hardly anything");
    let figures = Figures::default();
    each(&found, |site, injection, runtime| {
        let at = format!("{injection:?} at {site}");
        let tried = tries(|| {
            let data = tempfile::tempdir_in(room.path()).unwrap();
            inject(data.path(), &arguments, site, injection).map(|ended| (data, ended))
        });
        let Some((data, ended)) = tried else {
            figures.not_reached.lock().unwrap().push(at);
            return;
        };
        figures.count(&ended);
        assert_clean(&ended, &at);
        let mut known = Known::default();
        let before = runtime.block_on(full_check_from(data.path(), &mut known));
        if ended.code == Some(0) {
            assert_eq!(
                before.size(),
                6,
                "{at}: an import that succeeded is not there"
            );
        }
        again(data.path(), &arguments, &at);
        // Four keys, a policy, the report: each once, whatever happened in between, and what was there is still there.
        let checked = runtime.block_on(full_check_from(data.path(), &mut known));
        assert_eq!(checked.size(), 6, "{at}");
        assert_eq!(
            (checked.published, checked.guard),
            (Some(6), Some(6)),
            "{at}"
        );
        let mut keys: Vec<_> = std::fs::read_dir(data.path().join("keys"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        keys.retain(|name| !name.ends_with(".unfinished"));
        assert_eq!(keys.len(), 6, "{at}: {keys:?}");
        runtime.block_on(fsck_and_audit(data.path(), &at));
    });
    figures.print("a first start", found.len(), calls, started);
}
