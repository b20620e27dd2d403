//! A system-call trace of the running service: every acknowledgement comes after a successful sync of the write-ahead log.

use std::process::Command;

use super::server::Server;
use crate::support::{agent, report};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sync_precedes_every_acknowledgement() {
    let found = Command::new("strace").arg("--version").output();
    assert!(found.is_ok_and(|o| o.status.success()), "strace is needed for this test: `make setup` installs it");
    let data = tempfile::tempdir().unwrap();
    let trace = data.path().join("trace");
    let calls = "trace=fdatasync,fsync,read,readv,recvfrom,write,writev,sendto,sendmsg";
    let wrap = ["strace", "-f", "-y", "-s", "48", "-e", calls, "-o", trace.to_str().unwrap()];
    let mut server = Server::start(data.path(), &wrap);
    let client = reqwest::Client::new();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let mut acknowledged = 0;
    for n in 0..40 {
        let jws = report(&agent(n), &agent(900), &format!("d-{n}"), now - 1);
        let request = client.post(format!("{}/v1/reports", server.url)).header("content-type", "application/jwt").body(jws);
        assert_eq!(request.send().await.unwrap().status(), 201);
        acknowledged += 1;
    }
    server.kill();
    let trace = std::fs::read_to_string(&trace).unwrap();
    let (mut requests, mut answers, mut syncs) = (0, 0, 0);
    let mut synced_since_request = false;
    for line in trace.lines() {
        if line.contains("\"POST /v1/reports") {
            requests += 1;
            synced_since_request = false;
        } else if is_sync_of_the_wal(line) {
            syncs += 1;
            synced_since_request = true;
        } else if line.contains("HTTP/1.1 201") {
            answers += 1;
            assert!(synced_since_request, "acknowledgement {answers} was sent before the write-ahead log was synced");
        }
    }
    println!("durability: {acknowledged} acknowledged; trace shows {requests} requests, {syncs} syncs of the log, {answers} answers");
    assert_eq!((requests, answers), (acknowledged, acknowledged), "the trace does not show what it should");
}

/// The completion of a successful sync, also where strace split the call because another thread ran in between.
fn is_sync_of_the_wal(line: &str) -> bool {
    let done = line.trim_end().ends_with("= 0");
    let whole = line.contains("sync(") && line.contains("goodstanding.sqlite-wal");
    let resumed = line.contains("sync resumed>");
    done && (whole || resumed)
}
