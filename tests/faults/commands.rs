//! The commands that are run once and matter most: `backup`, `restore`, `erase`, `keys rotate` and `keys end-log`. System calls
//! of each fail with EIO, and are where it is killed, in turn: a sample, spread over the run, of those that write, sync or
//! name a file, and of those that only read. A half backup is no backup, a half restored directory is not served, and what was there before
//! is still there.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

use goodstanding::{
    app::{App, Open},
    backup::{self, Restore},
    code::Fault,
    fsck, ingest,
    token::keys,
};
use goodstanding_verify::entry::KeyUse;
use tokio::runtime::Runtime;

use super::{
    check::{Acknowledged, Checked, Known, fsck_and_audit, full_check_from},
    grow::{at, copy, fresh, grown, opened},
    strace::{Ended, Injection, Site, inject, sites},
    syscalls::{Figures, again, assert_clean, each, now_s, tries},
};
use crate::support::T0;

/// Places of one command that write, and as many that only read; where there are more, every so many.
const MOST: usize = 40;
/// Entries of the log.
const SIZE: u64 = 300;

/// What changes a file, a name or what is durable.
const WRITING: [&str; 16] = [
    "write",
    "pwrite64",
    "writev",
    "fsync",
    "fdatasync",
    "ftruncate",
    "fallocate",
    "rename",
    "renameat",
    "unlink",
    "unlinkat",
    "link",
    "linkat",
    "mkdir",
    "fchmod",
    "copy_file_range",
];

/// A directory with a log, and what was acknowledged of it.
struct Stage {
    room: tempfile::TempDir,
    ledger: Vec<Acknowledged>,
    known: Known,
}

impl Stage {
    async fn new() -> Self {
        let room = tempfile::tempdir().unwrap();
        let base = room.path().join("base").join("data");
        grown(&base, SIZE - 3).await;
        let mut ledger = Vec::new();
        let app = opened(async || App::open(at(&base, T0 + 10)).await)
            .await
            .unwrap();
        for n in 0..3 {
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
        let mut known = Known::default();
        full_check_from(&base, &mut known).await.holds(&ledger);
        Self {
            room,
            ledger,
            known,
        }
    }

    fn base(&self) -> PathBuf {
        self.room.path().join("base")
    }

    /// A copy of everything.
    fn fresh(&self) -> tempfile::TempDir {
        let fresh = tempfile::tempdir_in(self.room.path()).unwrap();
        copy(&self.base(), fresh.path());
        fresh
    }

    async fn check(&self, data: &Path, at: &str) -> Checked {
        let mut known = Known::of(&self.known.leaves);
        let checked = full_check_from(data, &mut known).await;
        checked.holds(&self.ledger);
        fsck_and_audit(data, at).await;
        checked
    }

    /// Plays a command with every fault; `then` looks at what is left.
    fn play(
        &self,
        name: &str,
        arguments: &[&str],
        then: impl Fn(&Path, &Ended, &str, &Runtime) + Sync,
    ) {
        let started = Instant::now();
        let first = self.fresh();
        let (found, calls) = sites(first.path(), arguments);
        let all = found.len();
        assert!(all > 40, "the trace shows hardly anything");
        let chosen = sample(found);
        let figures = Figures::default();
        each(&chosen, |site, injection, runtime| {
            let at = format!("{name}: {injection:?} at {site}");
            let tried = tries(|| {
                let fresh = self.fresh();
                inject(fresh.path(), arguments, site, injection).map(|ended| (fresh, ended))
            });
            let Some((dir, ended)) = tried else {
                figures.not_reached.lock().unwrap().push(at);
                return;
            };
            figures.count(&ended);
            assert_clean(&ended, &at);
            if injection == Injection::Kill {
                assert_eq!(ended.code, None, "{at}");
            }
            then(dir.path(), &ended, &at, runtime);
        });
        let name = format!("{name} ({} of {all} places)", chosen.len());
        figures.print(&name, chosen.len(), calls, started);
    }
}

/// Places that write and places that read, spread over the whole run.
fn sample(found: Vec<Site>) -> Vec<Site> {
    // The name of a new key's file is another one in each run.
    let of_new_key = |site: &Site| site.path.contains("keys/token-");
    let (writing, mut reading): (Vec<_>, Vec<_>) = found
        .into_iter()
        .filter(|site| !of_new_key(site))
        .partition(|site| WRITING.contains(&site.call.as_str()));
    // How often a page is read or a file looked at depends on who comes first.
    reading.retain(|site| site.nth <= 8);
    let spread = |sites: Vec<Site>| {
        let step = sites.len().div_ceil(MOST).max(1);
        sites.into_iter().step_by(step)
    };
    spread(writing).chain(spread(reading)).collect()
}

async fn reopened(data: &Path) -> Result<Arc<App>, Fault> {
    opened(async || App::open(Open::new(data)).await).await
}

async fn open(data: &Path) -> Result<(), Fault> {
    reopened(data).await?.close().await;
    Ok(())
}

async fn restored(backup: &Path, data: &Path) -> Result<u64, Fault> {
    let request = Restore {
        backup: backup.to_owned(),
        data: data.to_owned(),
        newest: None,
        nothing_newer: true,
        now_s: now_s(),
    };
    Ok(backup::restore(&request).await?.size)
}

#[test]
fn a_half_backup_is_recognised_and_the_source_is_untouched() {
    let runtime = Runtime::new().unwrap();
    let stage = runtime.block_on(Stage::new());
    let arguments = ["--json", "backup", "--out", "@out", "--data", "@data"];
    stage.play("backup", &arguments, |dir, ended, at, runtime| {
        let (data, out) = (dir.join("data"), dir.join("out"));
        runtime.block_on(async {
            assert_eq!(stage.check(&data, at).await.size(), SIZE, "{at}");
            // Whole or not: nobody serves a backup.
            if let Err(fault) = open(&out).await {
                assert_ne!(fault.code(), "internal", "{at}: {fault}");
            } else {
                panic!("{at}: a backup was served");
            }
            let there = tempfile::tempdir().unwrap();
            let to = there.path().join("restored");
            match restored(&out, &to).await {
                Ok(size) => {
                    assert_eq!(size, SIZE, "{at}");
                    stage.check(&to, at).await;
                }
                Err(fault) => {
                    assert!(ended.code != Some(0), "{at}: said to be made, and {fault}");
                    assert_eq!(fault.code(), "backup.invalid", "{at}: {fault}");
                    assert!(
                        !to.exists(),
                        "{at}: a restore that was refused left something"
                    );
                    // A backup with its manifest is whole.
                    assert!(!out.join("manifest.json").exists(), "{at}: {fault}");
                }
            }
        });
        again(
            dir,
            &["--json", "backup", "--out", "@second", "--data", "@data"],
            at,
        );
        let second = dir.join("third");
        assert_eq!(
            runtime
                .block_on(restored(&dir.join("second"), &second))
                .unwrap(),
            SIZE,
            "{at}"
        );
    });
}

#[test]
fn a_half_restored_directory_is_not_served() {
    let runtime = Runtime::new().unwrap();
    let stage = runtime.block_on(async {
        let stage = Stage::new().await;
        let (data, out) = (stage.base().join("data"), stage.base().join("backup"));
        backup::make(&data, &out, true, now_s()).await.unwrap();
        std::fs::remove_dir_all(data).unwrap();
        stage
    });
    let arguments = [
        "--json",
        "restore",
        "@backup",
        "--nothing-newer",
        "--data",
        "@data",
    ];
    stage.play("restore", &arguments, |dir, ended, at, runtime| {
        let data = dir.join("data");
        let is_there = data.join("goodstanding.sqlite").exists();
        assert!(
            is_there || ended.code != Some(0),
            "{at}: restored, and no database"
        );
        runtime.block_on(async {
            if is_there {
                assert_eq!(stage.check(&data, at).await.size(), SIZE, "{at}");
            } else {
                let refused = open(&data).await.unwrap_err();
                assert_eq!(refused.code(), "data.missing", "{at}: {refused}");
                // What it left vouches for nothing: whoever tries again has to say it again.
                let unproven = Restore {
                    backup: dir.join("backup"),
                    data: data.clone(),
                    newest: None,
                    nothing_newer: false,
                    now_s: now_s(),
                };
                let refused = backup::restore(&unproven).await.unwrap_err();
                assert_eq!(refused.code(), "backup.newest_unknown", "{at}: {refused}");
            }
            // The backup is as it was.
            let there = tempfile::tempdir().unwrap();
            let to = there.path().join("restored");
            assert_eq!(
                restored(&dir.join("backup"), &to).await.unwrap(),
                SIZE,
                "{at}"
            );
        });
        if !is_there {
            again(dir, &arguments, at);
        }
        runtime.block_on(async {
            open(&data)
                .await
                .unwrap_or_else(|fault| panic!("{at}: {fault}"));
            assert_eq!(stage.check(&data, at).await.size(), SIZE, "{at}");
        });
    });
}

/// Whether something of these bytes is in a file of the directory.
fn is_in_a_file(data: &Path, bytes: &[u8]) -> bool {
    std::fs::read_dir(data).unwrap().any(|file| {
        let path = file.unwrap().path();
        let text = if path.is_file() {
            std::fs::read(&path).unwrap()
        } else {
            Vec::new()
        };
        text.windows(bytes.len()).any(|window| window == bytes)
    })
}

#[test]
fn an_interrupted_erasure_is_done_or_not_begun() {
    let runtime = Runtime::new().unwrap();
    let stage = runtime.block_on(Stage::new());
    let jws = fresh("victim", 0, T0);
    let id = runtime.block_on(async {
        let app = opened(async || App::open(at(&stage.base().join("data"), T0 + 10)).await)
            .await
            .unwrap();
        let (admitted, _) = ingest::submit_one(&app, jws.clone()).await.unwrap();
        app.close().await;
        admitted.id
    });
    let name = id.to_string();
    let signature = jws.rsplit('.').next().unwrap();
    let arguments = [
        "--json", "erase", "--reason", "malware", "--yes", "--data", "@data", "--", &name,
    ];
    stage.play("erase", &arguments, |dir, ended, at, runtime| {
        let data = dir.join("data");
        // An audit may have to wait for the entry: it is published by the next start.
        let before = runtime.block_on(async {
            let checked = full_check_from(&data, &mut Known::of(&stage.known.leaves)).await;
            checked.holds(&stage.ledger);
            let looked = fsck::run(&data, &fsck::Options::new(now_s()))
                .await
                .unwrap();
            assert!(looked.ok && looked.complete, "{at}: {looked:#?}");
            checked
        });
        let is_erased = !before.reports.contains_key(&id);
        assert_eq!(before.size(), SIZE + 1 + u64::from(is_erased), "{at}");
        assert!(
            is_erased || ended.code != Some(0),
            "{at}: said to be erased"
        );
        if !is_erased {
            again(dir, &arguments, at);
        }
        runtime.block_on(async {
            // A start takes out of the files what a killed one left there.
            open(&data).await.unwrap();
            let checked = stage.check(&data, at).await;
            assert_eq!(checked.size(), SIZE + 2, "{at}");
            assert_eq!(checked.published, Some(SIZE + 2), "{at}");
        });
        assert!(
            !is_in_a_file(&data, signature.as_bytes()),
            "{at}: still in a file"
        );
    });
}

/// Thumbprints of the token keys that the log names, and of those that have a file.
async fn token_keys(data: &Path) -> (BTreeSet<String>, BTreeSet<String>) {
    let app = reopened(data).await.unwrap();
    let ring = keys::ring(&app.log.shared().keys(), u64::MAX).unwrap();
    app.close().await;
    let of_token = ring.keys().iter().filter(|key| key.usage == KeyUse::Token);
    let logged = of_token.map(|key| key.jwk.thumbprint()).collect();
    let files = fsck::files::key_files(data).unwrap();
    let files = files
        .into_iter()
        .filter(|file| file.name.starts_with("token"));
    let held = files.map(|file| file.key.unwrap().thumbprint()).collect();
    (logged, held)
}

#[test]
fn an_interrupted_rotation_leaves_every_key_with_its_file() {
    let runtime = Runtime::new().unwrap();
    let stage = runtime.block_on(Stage::new());
    let arguments = [
        "--json", "keys", "rotate", "token", "--now", "--yes", "--data", "@data",
    ];
    stage.play("keys rotate", &arguments, |dir, ended, at, runtime| {
        let data = dir.join("data");
        let before = runtime.block_on(stage.check(&data, at));
        let is_done = before.size() == SIZE + 2;
        assert!(is_done || before.size() == SIZE, "{at}: {}", before.size());
        assert!(is_done || ended.code != Some(0), "{at}: said to be logged");
        if !is_done {
            again(dir, &arguments, at);
        }
        let (logged, held) = runtime.block_on(token_keys(&data));
        assert_eq!(logged.len(), 2, "{at}");
        assert_eq!(
            logged, held,
            "{at}: a key without its file, or a file without its key"
        );
        assert_eq!(
            runtime.block_on(stage.check(&data, at)).size(),
            SIZE + 2,
            "{at}"
        );
    });
}

#[test]
fn an_interrupted_end_is_an_end_or_none() {
    let runtime = Runtime::new().unwrap();
    let stage = runtime.block_on(Stage::new());
    let arguments = [
        "--json", "keys", "end-log", "--reason", "retired", "--yes", "--data", "@data",
    ];
    stage.play("keys end-log", &arguments, |dir, ended, at, runtime| {
        let data = dir.join("data");
        assert_eq!(
            runtime.block_on(stage.check(&data, at)).size(),
            SIZE,
            "{at}"
        );
        let has_ended = || {
            runtime.block_on(async {
                let app = reopened(&data).await.unwrap();
                let ended = app.log.shared().ended();
                app.close().await;
                ended
            })
        };
        let before = has_ended();
        assert!(
            before.is_some() || ended.code != Some(0),
            "{at}: said to have ended"
        );
        if before.is_none() {
            again(dir, &arguments, at);
        }
        let notice = has_ended()
            .unwrap_or_else(|| panic!("{at}: no end"))
            .notice
            .clone();
        assert_eq!(
            std::fs::read_to_string(data.join("log.ended")).unwrap(),
            notice,
            "{at}"
        );
        runtime.block_on(stage.check(&data, at));
        // An older copy does not bring it back.
        let older = stage.fresh();
        let older = older.path().join("data");
        for name in ["log.ended", "log.state", "head.guard"] {
            std::fs::copy(data.join(name), older.join(name)).unwrap();
        }
        let refused = runtime.block_on(open(&older)).unwrap_err();
        assert_eq!(refused.code(), "log.ended", "{at}: {refused}");
    });
}
