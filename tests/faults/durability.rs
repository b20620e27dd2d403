//! A system-call trace of the running service: every acknowledgement comes after a successful sync of the write-ahead log.

use std::process::Command;

use super::server::Server;
use crate::support::{agent, report};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sync_precedes_every_acknowledgement() {
    let found = Command::new("strace").arg("--version").output();
    assert!(
        found.is_ok_and(|o| o.status.success()),
        "strace is needed for this test: `make setup` installs it"
    );
    let data = tempfile::tempdir().unwrap();
    let trace = data.path().join("trace");
    let calls =
        "trace=fdatasync,fsync,read,readv,recvfrom,write,writev,pwrite64,pwritev,sendto,sendmsg";
    let wrap = [
        // Not as the parent, so that killing the child kills the service and not its tracer.
        "strace",
        "-D",
        "-f",
        "-y",
        "-s",
        "4200",
        "-e",
        calls,
        "-o",
        trace.to_str().unwrap(),
    ];
    let mut server = Server::start(data.path(), &wrap);
    let client = goodstanding::net::builder().build().unwrap();
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_secs();
    let mut acknowledged = 0_u32;
    for n in 0..40 {
        let jws = report(&agent(n), &agent(900), &format!("d-{n}"), now - 1);
        let request = client
            .post(format!("{}/v1/reports", server.url))
            .header("content-type", "application/jwt")
            .body(jws);
        assert_eq!(request.send().await.unwrap().status(), 201);
        acknowledged += 1;
    }
    server.kill();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
    let trace = loop {
        let text = std::fs::read_to_string(&trace).unwrap();
        // Short process ids are padded.
        let service = server.child.id().to_string();
        let killed = |line: &str| {
            line.split_once(' ').is_some_and(|(id, rest)| {
                id == service && rest.trim_start().starts_with("+++ killed by SIGKILL")
            })
        };
        if text.lines().any(killed) {
            break text;
        }
        assert!(
            std::time::Instant::now() < deadline,
            "strace does not finish its trace"
        );
        std::thread::sleep(std::time::Duration::from_millis(5));
    };
    let (mut requests, mut answers, mut syncs) = (0_u32, 0_u32, 0_u32);
    // Has this report's own row been written to the write-ahead log, and all of it synced after that?
    let (mut written, mut synced) = (false, false);
    // Calls that another thread interrupted in the trace: thread → whether it is a sync of the write-ahead log.
    let mut unfinished = std::collections::HashMap::new();
    for line in trace.lines() {
        let thread = line.split_whitespace().next().unwrap_or_default();
        let on_wal = line.contains("goodstanding.sqlite-wal>");
        let sync = line.contains(" fdatasync(") || line.contains(" fsync(");
        if line.contains("\"POST /v1/reports") {
            requests += 1;
            (written, synced) = (false, false);
        } else if line.contains("HTTP/1.1 201") {
            // Where the call begins, whether or not the trace shows it whole.
            answers += 1;
            assert!(
                written && synced,
                "acknowledgement {answers} was sent before its report was written and synced"
            );
        } else if on_wal
            && line.contains("write")
            && line.contains(&format!("jti-d-{}-", requests.wrapping_sub(1)))
        {
            written = true;
        } else if line.ends_with("<unfinished ...>") {
            unfinished.insert(thread, sync && on_wal);
        } else if line.trim_end().ends_with("= 0") {
            let resumed = line.contains("resumed>") && unfinished.remove(thread) == Some(true);
            if resumed || (sync && on_wal) {
                syncs += 1;
                synced |= written;
            }
        }
    }
    println!(
        "durability: {acknowledged} acknowledged; trace shows {requests} requests, {syncs} syncs of the log, {answers} answers"
    );
    assert_eq!(
        (requests, answers),
        (acknowledged, acknowledged),
        "the trace does not show what it should"
    );
}
