//! A disk that is full for a while, and a file system that cannot be written.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Output},
    time::{Duration, Instant},
};

use serde_json::Value;

use super::{
    check::{Acknowledged, Known, fsck_and_audit, full_check, full_check_from},
    grow::{copy, fresh, grown},
    server::Server,
    strace::output_of,
};
use crate::support::{agent, report};

fn now_s() -> u64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_secs()
}

/// Refusals in a row before there is space again.
const FULL_FOR: u32 = 4;

/// The files of a data directory that grow.
fn growing(data: &Path) -> Vec<String> {
    [
        "goodstanding.sqlite",
        "goodstanding.sqlite-wal",
        "goodstanding.sqlite-shm",
        "head.new",
    ]
    .iter()
    .map(|name| data.join(name).to_str().unwrap().to_owned())
    .collect()
}

/// What became of the reports that were sent one after the other.
#[derive(Default)]
struct Sent {
    acknowledged: Vec<Acknowledged>,
    refused: u32,
}

/// Sends reports until the disk is full, makes space, and sends on; `None` if the service could not even start.
async fn send_through(client: &reqwest::Client, server: &mut Server) -> Option<Sent> {
    let mut sent = Sent::default();
    let time = now_s() - 1;
    let mut since_refused = 0;
    for n in 0..150 {
        let jws = report(&agent(n % 2), &agent(70), &format!("full-{n}"), time);
        // The same bytes until they are in: an agent does not give up.
        loop {
            let request = client
                .post(format!("{}/v1/reports", server.url))
                .header("content-type", "application/jwt")
                .body(jws.clone());
            let response = match request.send().await {
                Ok(response) => response,
                Err(error) => {
                    let ended = ended_within(&mut server.child, Duration::from_secs(10));
                    assert_eq!(ended, Some(1), "{error}");
                    return None;
                }
            };
            let status = response.status().as_u16();
            let again_in = response.headers().get("retry-after").cloned();
            let answer: Value = response.json().await.unwrap();
            if status == 503 {
                assert_eq!(answer["code"], "store.unavailable", "{answer}");
                assert!(again_in.is_some(), "a 503 without Retry-After");
                sent.refused += 1;
                since_refused = 0;
                if sent.refused == FULL_FOR {
                    // What is there is served as before.
                    let checkpoint = client.get(format!("{}/checkpoint", server.url)).send();
                    assert_eq!(checkpoint.await.unwrap().status(), 200);
                    make_space(server);
                }
                assert!(
                    sent.refused <= FULL_FOR + 1,
                    "it does not recover: {answer}"
                );
                continue;
            }
            assert!(status == 201 || status == 200, "{status}: {answer}");
            since_refused += 1;
            sent.acknowledged.push(Acknowledged {
                index: answer["leaf_index"].as_u64().unwrap(),
                id: answer["report_id"].as_str().unwrap().to_owned(),
                proof: Some(answer["receipt"].as_str().unwrap().to_owned()),
            });
            break;
        }
        if sent.refused >= FULL_FOR && since_refused >= 5 {
            break;
        }
    }
    if sent.refused < FULL_FOR {
        make_space(server);
    }
    Some(sent)
}

/// Lets go of the service, which runs on without faults.
fn make_space(server: &Server) {
    let tracer = || {
        let status = format!("/proc/{}/status", server.child.id());
        let status = std::fs::read_to_string(status).unwrap();
        let line = status.lines().find_map(|l| l.strip_prefix("TracerPid:"));
        line.unwrap().trim().to_owned()
    };
    let pid = tracer();
    assert_ne!(pid, "0", "nobody traces the service");
    let killed = Command::new("kill").args(["-TERM", &pid]).status();
    assert!(killed.unwrap().success());
    let deadline = Instant::now() + Duration::from_secs(20);
    while tracer() != "0" {
        assert!(Instant::now() < deadline, "strace does not let go");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn ended_within(child: &mut Child, patience: Duration) -> Option<i32> {
    let deadline = Instant::now() + patience;
    while Instant::now() < deadline {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code();
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    None
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_refuses_loses_nothing_and_is_served_again() {
    let room = tempfile::tempdir().unwrap();
    let base = room.path().canonicalize().unwrap().join("base");
    grown(&base, 300).await;
    let mut known = Known::default();
    full_check_from(&base, &mut known).await;
    let client = goodstanding::net::builder()
        .timeout(Duration::from_mins(1))
        .build()
        .unwrap();
    let (mut refused, mut kept, mut unstarted, mut runs) = (0, 0, 0, 0);
    let first_full = (1..=12)
        .chain((15..=60).step_by(3))
        .chain([80, 120, 170, 240]);
    for from in first_full {
        let data = base.with_file_name(format!("full-{from}"));
        copy(&base, &data);
        // From the `from`th write of a thread on, the disk is full. The tracer is no parent (-D) and heeds
        // signals (-I2): it can go, and the service stays.
        let inject = format!("inject=pwrite64,write,fallocate,ftruncate:error=ENOSPC:when={from}+");
        let paths = growing(&data);
        let mut wrap = vec!["strace", "-D", "-I2", "-f", "-o", "/dev/null"];
        for path in &paths {
            wrap.extend(["-P", path]);
        }
        wrap.extend([
            "-e",
            "trace=pwrite64,write,fallocate,ftruncate",
            "-e",
            &inject,
        ]);
        let mut server = Server::spawn_at(&data, &data, &wrap);
        let _ = server.reachable();
        runs += 1;
        let sent = send_through(&client, &mut server).await;
        if let Some(sent) = &sent {
            assert!(
                sent.refused >= FULL_FOR,
                "the disk was never full from {from} on"
            );
            refused += sent.refused;
            kept += sent.acknowledged.len();
            // Published again too, without a restart.
            let size = sent.acknowledged.iter().map(|told| told.index + 1).max();
            let deadline = Instant::now() + Duration::from_secs(20);
            loop {
                let checkpoint = client
                    .get(format!("{}/checkpoint", server.url))
                    .send()
                    .await;
                let text = checkpoint.unwrap().text().await.unwrap();
                let published = text.lines().nth(1).and_then(|line| line.parse().ok());
                if published >= size {
                    break;
                }
                assert!(
                    Instant::now() < deadline,
                    "{published:?} of {size:?} published"
                );
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        } else {
            unstarted += 1;
        }
        server.kill();
        let checked = full_check_from(&data, &mut Known::of(&known.leaves)).await;
        let told = sent.map(|sent| sent.acknowledged).unwrap_or_default();
        checked.holds(&told);
        // Acknowledged means once: nothing that was refused stands beside it.
        assert_eq!(
            checked.size(),
            300 + told.len() as u64,
            "full from {from} on"
        );
        std::fs::remove_dir_all(&data).unwrap();
    }
    println!(
        "disk full: {runs} runs, {refused} requests refused, {kept} acknowledged, {unstarted} refused to start"
    );
    assert!(refused > runs, "the disk was hardly ever full");
}

/// How a directory is made read-only for one command.
#[derive(Clone, Copy, Debug)]
enum ReadOnly {
    /// Really: a read-only mount in a namespace of its own.
    Mount,
    /// Every call that would open one of the written files for writing says EROFS.
    Injected,
}

impl ReadOnly {
    fn run(self, data: &Path, arguments: &[&str]) -> Output {
        let mut command = match self {
            Self::Mount => {
                let mut command = Command::new("unshare");
                let script =
                    "mount --bind \"$0\" \"$0\" && mount -o remount,bind,ro \"$0\" && exec \"$@\"";
                command.args(["-r", "-m", "sh", "-c", script]).arg(data);
                command
            }
            Self::Injected => {
                let mut command = Command::new("strace");
                command.args(["-f", "-o", "/dev/null"]);
                for name in [
                    "lock",
                    "head.new",
                    "goodstanding.sqlite-wal",
                    "goodstanding.sqlite-shm",
                    "goodstanding.sqlite-journal",
                ] {
                    command.arg("-P").arg(data.join(name));
                }
                let calls = "openat,unlink,rename,linkat";
                command.args(["-e", &format!("trace={calls}")]);
                command.args(["-e", &format!("inject={calls}:error=EROFS")]);
                command
            }
        };
        command
            .arg(env!("CARGO_BIN_EXE_goodstanding"))
            .args(arguments)
            .arg("--data")
            .arg(data)
            .env("RUST_LOG", "off");
        output_of(&mut command)
    }
}

fn files(data: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(data).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push((path.clone(), std::fs::read(&path).unwrap()));
        }
    }
    found.sort();
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_only_file_system_is_read_and_not_damaged() {
    let room = tempfile::tempdir().unwrap();
    let data = room.path().canonicalize().unwrap().join("data");
    grown(&data, 300).await;
    let jws = room.path().join("report.jwt");
    std::fs::write(&jws, fresh("ro", 0, now_s() - 1)).unwrap();
    let epoch = Command::new(env!("CARGO_BIN_EXE_goodstanding"))
        .args(["epoch", "--data"])
        .arg(&data)
        .output()
        .unwrap();
    assert!(epoch.status.success(), "{epoch:?}");
    let before = files(&data);

    // Namespaces are not allowed everywhere; the injected faults are.
    let mount = Command::new("unshare")
        .args([
            "-r",
            "-m",
            "sh",
            "-c",
            "mount --bind \"$0\" \"$0\" && mount -o remount,bind,ro \"$0\"",
        ])
        .arg(&data)
        .output();
    let mut ways = vec![ReadOnly::Injected];
    if mount.is_ok_and(|output| output.status.success()) {
        ways.push(ReadOnly::Mount);
    }
    println!("read-only file system: {ways:?}");
    for way in ways {
        let submit = ["--json", "submit", jws.to_str().unwrap()];
        for (arguments, name) in [
            (&submit[..], "submit"),
            (&["--json", "epoch"], "epoch"),
            (&["--json", "serve", "--listen", "127.0.0.1:0"], "serve"),
        ] {
            let output = way.run(&data, arguments);
            let text = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(1), "{way:?} {name}: {text}");
            let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
            assert_eq!(
                answer["error"]["code"], "data.unwritable",
                "{way:?} {name}: {text}"
            );
            assert!(
                text.contains("Read-only file system"),
                "{way:?} {name}: {text}"
            );
        }
        for arguments in [&["scores"][..], &["policy", "show"]] {
            let output = way.run(&data, arguments);
            let text = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.success(), "{way:?} {arguments:?}: {text}");
            assert!(!output.stdout.is_empty());
        }
        assert!(files(&data) == before, "{way:?}: something was written");
    }
    full_check(&data).await;
    fsck_and_audit(&data, "a full disk").await;
}
