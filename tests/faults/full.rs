//! A disk that is really full: a file system of a few megabytes that has no room left, and, where a process may not mount
//! one, a limit on the size of its files. What was acknowledged is there, what was refused was told so, and the service goes
//! on when there is room again.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;

use super::{
    check::{Acknowledged, Known, full_check_from},
    grow::{copy, grown},
    server::Server,
    syscalls::now_s,
};
use crate::support::{agent, report};

/// Entries before the disk fills up.
const SIZE: u64 = 300;
/// Room of the small file system beyond what is there at the start, KiB.
const ROOM_KIB: u64 = 512;
/// What is made free again there, KiB: some 40 a report.
const BALLAST_KIB: u64 = 8 * ROOM_KIB;
/// Refusals in a row before there is room again.
const FULL_FOR: u32 = 5;
/// Reports after that.
const AFTER: u32 = 30;

/// What came of the reports that were sent one after the other.
#[derive(Default)]
struct Sent {
    acknowledged: Vec<Acknowledged>,
    refused: u32,
}

/// Sends reports until the disk is full, makes room, and sends on.
async fn fill(url: &str, log: &Path, make_room: impl Fn()) -> Sent {
    let client = goodstanding::net::builder()
        .timeout(Duration::from_mins(1))
        .build()
        .unwrap();
    let mut sent = Sent::default();
    let (mut in_a_row, mut after) = (0, 0);
    let time = now_s() - 1;
    for n in 0_u32.. {
        assert!(n < 20_000, "the disk never fills up");
        let jws = report(&agent(n % 2), &agent(70), &format!("full-{n}"), time);
        loop {
            let request = client
                .post(format!("{url}/v1/reports"))
                .header("content-type", "application/jwt")
                .body(jws.clone());
            let response = request.send().await.unwrap();
            let status = response.status().as_u16();
            let wait = response.headers().contains_key("retry-after");
            let answer: Value = response.json().await.unwrap();
            if status == 503 {
                assert_eq!(answer["code"], "store.unavailable", "{answer}");
                assert!(wait, "a 503 without Retry-After");
                sent.refused += 1;
                in_a_row += 1;
                // What is there is served as before.
                let checkpoint = client.get(format!("{url}/checkpoint")).send().await;
                assert_eq!(checkpoint.unwrap().status(), 200);
                if in_a_row == FULL_FOR {
                    make_room();
                }
                assert!(
                    in_a_row < FULL_FOR + 20,
                    "it does not recover: {answer}\n{}",
                    std::fs::read_to_string(log.join("server.log")).unwrap()
                );
                tokio::time::sleep(Duration::from_millis(20)).await;
                continue;
            }
            assert!(status == 201 || status == 200, "{status}: {answer}");
            sent.acknowledged.push(Acknowledged {
                index: answer["leaf_index"].as_u64().unwrap(),
                id: answer["report_id"].as_str().unwrap().to_owned(),
                proof: Some(answer["receipt"].as_str().unwrap().to_owned()),
            });
            break;
        }
        if in_a_row >= FULL_FOR {
            after += 1;
            if after == AFTER {
                return sent;
            }
        } else {
            // Now and then the last pages are found after all.
            in_a_row = 0;
        }
    }
    unreachable!("it returns or panics")
}

/// Published again too, without a restart.
async fn published(url: &str, size: u64) {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let text = reqwest::get(format!("{url}/checkpoint")).await.unwrap();
        let text = text.text().await.unwrap();
        let now = text.lines().nth(1).and_then(|line| line.parse().ok());
        if now == Some(size) {
            return;
        }
        assert!(Instant::now() < deadline, "{now:?} of {size} published");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// What the directory holds: everything that was acknowledged, and nothing that was refused.
async fn holds(data: &Path, known: &Known, sent: &Sent, name: &str) {
    let checked = full_check_from(data, &mut Known::of(&known.leaves)).await;
    checked.holds(&sent.acknowledged);
    assert_eq!(
        checked.size(),
        SIZE + sent.acknowledged.len() as u64,
        "{name}"
    );
    println!(
        "{name}: {} acknowledged, {} refused, none lost",
        sent.acknowledged.len(),
        sent.refused
    );
    assert!(sent.acknowledged.len() > usize::try_from(AFTER).unwrap());
}

async fn base(room: &Path) -> (PathBuf, Known) {
    let base = room.join("base");
    grown(&base, SIZE).await;
    let mut known = Known::default();
    full_check_from(&base, &mut known).await;
    (base, known)
}

/// A process that holds a namespace with a small file system.
struct Small {
    holder: Child,
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

impl Small {
    /// With a copy of `base` in it and a file that takes up most of the room; `None` where that is not allowed.
    fn new(base: &Path) -> Option<Self> {
        let kib: u64 = std::fs::read_dir(base)
            .unwrap()
            .map(|file| file.unwrap().metadata().unwrap().len() / 1024 + 4)
            .sum();
        let script = format!(
            "mount -t tmpfs -o size={}k none /mnt && cp -a \"$0\" /mnt/data && \
             dd if=/dev/zero of=/mnt/ballast bs=1024 count={} 2>/dev/null && exec sleep 100000",
            kib + 64 + ROOM_KIB + BALLAST_KIB,
            BALLAST_KIB
        );
        let mut holder = Command::new("unshare")
            .args(["-r", "-m", "sh", "-c", &script])
            .arg(base)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let deadline = Instant::now() + Duration::from_secs(20);
        let name = format!("/proc/{}/comm", holder.id());
        while std::fs::read_to_string(&name).ok()?.trim() != "sleep" {
            if holder.try_wait().unwrap().is_some() || Instant::now() > deadline {
                let _ = holder.kill();
                let _ = holder.wait();
                return None;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Some(Self { holder })
    }

    /// A path of the namespace as seen from here.
    fn path(&self, name: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root/mnt/{name}", self.holder.id()))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_system_without_room_refuses_and_loses_nothing() {
    let room = tempfile::tempdir().unwrap();
    let (base, known) = base(room.path()).await;
    let Some(small) = Small::new(&base) else {
        println!(
            "full file system: namespaces are not allowed here; the limit on file sizes is tried all the same"
        );
        return;
    };
    // The service sees the small file system where it is; its own log goes elsewhere.
    let pid = small.holder.id().to_string();
    let wrap = ["nsenter", "-t", &pid, "-U", "-m", "--preserve-credentials"];
    let mut server = Server::start_at(Path::new("/mnt/data"), room.path(), &wrap);
    let sent = fill(&server.url, room.path(), || {
        std::fs::remove_file(small.path("ballast")).unwrap();
    })
    .await;
    published(&server.url, SIZE + sent.acknowledged.len() as u64).await;
    server.kill();
    let data = room.path().join("after");
    copy(&small.path("data"), &data);
    holds(&data, &known, &sent, "a full file system").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_that_may_not_grow_refuse_and_lose_nothing() {
    let room = tempfile::tempdir().unwrap();
    let (base, known) = base(room.path()).await;
    let data = room.path().join("data");
    copy(&base, &data);
    let kib = std::fs::metadata(data.join("goodstanding.sqlite"))
        .unwrap()
        .len()
        / 1024;
    // A signal that is ignored turns the limit into EFBIG. The soft limit can be lifted again from outside.
    let script = format!(
        "ulimit -S -f {}; trap '' XFSZ; exec \"$0\" \"$@\"",
        (kib + ROOM_KIB) * 2
    );
    let wrap = ["sh", "-c", &script];
    let mut server = Server::start_at(&data, room.path(), &wrap);
    let pid = server.child.id().to_string();
    let sent = fill(&server.url, room.path(), || {
        let lifted = Command::new("prlimit")
            .args(["--pid", &pid, "--fsize=unlimited:unlimited"])
            .status();
        assert!(lifted.unwrap().success());
    })
    .await;
    published(&server.url, SIZE + sent.acknowledged.len() as u64).await;
    server.kill();
    holds(&data, &known, &sent, "a limit on file sizes").await;
}
