//! Clients that vanish at random microseconds: nothing acknowledged is lost, nothing leaks, and the writer goes on.

use std::time::Duration;

use goodstanding_verify::report::Report;
use sqlx::{Connection as _, Executor as _};
use tokio::io::AsyncWriteExt as _;

use crate::support::{Numbers, Service, T0, agent, report};

/// Files of the directory that this process has open, and connections that its service holds. Other tests have theirs.
fn open_files(service: &Service) -> usize {
    let data = service.data.path();
    let files = std::fs::read_dir("/proc/self/fd").unwrap();
    let ours =
        |path: std::path::PathBuf| std::fs::read_link(path).is_ok_and(|to| to.starts_with(data));
    let files = files
        .filter(|file| ours(file.as_ref().unwrap().path()))
        .count();
    let port: u16 = service.url.rsplit(':').next().unwrap().parse().unwrap();
    let (local, established) = (format!(":{port:04X}"), "01");
    let held = |line: &&str| {
        let mut words = line.split_whitespace().skip(1);
        words.next().is_some_and(|at| at.ends_with(&local)) && words.nth(1) == Some(established)
    };
    let sockets = std::fs::read_to_string("/proc/self/net/tcp").unwrap();
    files + sockets.lines().filter(held).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dropped_requests_lose_and_leak_nothing() {
    let service = Service::start(T0).await;
    let mut numbers = Numbers::new(11);
    service
        .submit(report(&agent(0), &agent(99_000), "warm-up", T0 - 60))
        .await;
    let files = open_files(&service);
    let mut sent = Vec::new();
    let mut acknowledged = Vec::new();
    for n in 0..600_u32 {
        let lines: Vec<String> = (0..=numbers.below(12))
            .map(|line| {
                report(
                    &agent(n * 20 + u32::try_from(line).unwrap()),
                    &agent(99_000),
                    &format!("c{n}-{line}"),
                    T0 - 60,
                )
            })
            .collect();
        sent.extend(lines.iter().cloned());
        if n % 4 == 0 {
            for (line, answer) in lines.iter().zip(service.submit_lines(&lines).await) {
                acknowledged.push((line.clone(), answer["leaf_index"].as_u64().unwrap()));
            }
            continue;
        }
        let (kind, body) = if lines.len() == 1 {
            ("application/jwt", lines[0].clone())
        } else {
            ("application/x-ndjson", lines.join("\n"))
        };
        let mut stream =
            tokio::net::TcpStream::connect(service.url.strip_prefix("http://").unwrap())
                .await
                .unwrap();
        let head = format!(
            "POST /v1/reports HTTP/1.1\r\nhost: x\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        let request = [head.as_bytes(), body.as_bytes()].concat();
        // Some go away before the body is complete.
        let part = if numbers.below(5) == 0 {
            usize::try_from(numbers.below(request.len() as u64)).unwrap()
        } else {
            request.len()
        };
        stream.write_all(&request[..part]).await.unwrap();
        tokio::time::sleep(Duration::from_micros(numbers.below(8_000))).await;
        drop(stream);
    }
    // What was acknowledged is where it was said to be; what was not can be sent again and is then there once.
    for (jws, index) in acknowledged {
        let id = Report::verify(&jws).unwrap().id;
        let stored = service
            .app
            .store
            .report(&id)
            .await
            .unwrap()
            .expect("an acknowledged report is missing");
        assert_eq!((stored.index, stored.jws), (index, jws));
    }
    for lines in sent.chunks(1000) {
        let answers = service.submit_lines(lines).await;
        let refused = answers.iter().find(|a| !a["leaf_index"].is_u64());
        assert_eq!(refused, None);
    }
    let size = service.log_size();
    let begun = 5; // four keys and a policy
    assert_eq!(
        size,
        sent.len() as u64 + 1 + begun,
        "a report is missing or stands twice"
    );

    // No transaction is left open: another connection can write at once.
    let path = service.data.path().join("goodstanding.sqlite");
    let mut other = sqlx::SqliteConnection::connect(&format!("sqlite:{}", path.display()))
        .await
        .unwrap();
    other.execute("PRAGMA busy_timeout = 0").await.unwrap();
    other
        .execute("BEGIN IMMEDIATE")
        .await
        .expect("a write transaction was left open");
    other.execute("ROLLBACK").await.unwrap();
    other.close().await.unwrap();
    // No connection is left behind.
    for _ in 0..100 {
        if open_files(&service) <= files + 8 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(
        open_files(&service) <= files + 8,
        "{} open files, {files} before",
        open_files(&service)
    );
    assert_eq!(
        service
            .submit(report(&agent(1), &agent(99_000), "after", T0 - 60))
            .await
            .0,
        201
    );
    service.stop().await;
}

#[test]
fn no_handler_opens_a_transaction() {
    // A cancelled `begin()` can leak an open transaction, and axum drops handlers when clients vanish. Only the stores'
    // writer, which runs in a task of its own, may open one.
    fn visit(dir: &std::path::Path, found: &mut Vec<String>) {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                visit(&path, found);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                for word in [
                    ".begin()",
                    ".begin_with(",
                    "BEGIN IMMEDIATE",
                    "\"BEGIN I",
                    ".try_begin(",
                ] {
                    if text.contains(word) {
                        found.push(
                            path.strip_prefix(env!("CARGO_MANIFEST_DIR"))
                                .unwrap()
                                .display()
                                .to_string(),
                        );
                    }
                }
            }
        }
    }
    let mut found = Vec::new();
    visit(
        &std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src"),
        &mut found,
    );
    found.sort();
    found.dedup();
    assert_eq!(
        found,
        [
            // Reading and copying whole databases, by commands, on connections of their own.
            "src/store/postgres/snapshot.rs",
            "src/store/postgres/write.rs",
            "src/store/sqlite/load.rs",
            "src/store/sqlite/write.rs",
        ]
    );
}
