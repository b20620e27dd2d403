//! The crash loop: kill -9 at random moments under mixed load, also while the service starts. Clients write what they were
//! told to a ledger outside the data directory; a stranger's memory of the log, kept over all rounds, is held against it.

use std::{
    fs::File,
    io::Write as _,
    path::Path,
    sync::{Arc, Mutex},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use goodstanding_verify::{
    checkpoint::SignedCheckpoint,
    entry::{Body, Entry},
    frontier::Frontier,
    merkle::{EMPTY_ROOT, Hash, leaf_hash},
    note::VerifierKey,
    proof::TlogProof,
    tile::{TilePath, parse_bundle},
};
use serde_json::{Value, json};

use super::{
    check::{Known, fsck_and_audit, full_check, full_check_from},
    grow::grown,
    server::Server,
    strace::output_of,
};
use crate::support::{Numbers, agent, payload, report, sign};

/// Full checks of the data directory come this often, in rounds.
const FULL_CHECK_EVERY: u64 = 20;

/// A stranger's memory of the log: every leaf ever seen, never forgotten, never replaced.
struct Memory {
    key: VerifierKey,
    entries: Vec<Vec<u8>>,
    frontier: Frontier,
    /// Root of every size seen on the way: what any checkpoint of that size has to say.
    roots: Vec<Hash>,
    checkpoints: u64,
    receipts: u64,
    epochs: u64,
}

/// What the clients write: one line an acknowledgement, outside the data directory.
struct Ledger {
    file: Mutex<File>,
    /// Acknowledged bytes and their index, some of them, to send again.
    sent: Mutex<Vec<(String, u64)>>,
}

impl Ledger {
    fn note(&self, answer: &Value, jws: &str) {
        let line = json!({"index": answer["leaf_index"], "id": answer["report_id"], "proof": answer["receipt"]});
        self.file
            .lock()
            .unwrap()
            .write_all(format!("{line}\n").as_bytes())
            .unwrap();
        let mut sent = self.sent.lock().unwrap();
        if sent.len() < 2000 {
            sent.push((jws.to_owned(), answer["leaf_index"].as_u64().unwrap()));
        }
    }
}

fn now_s() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn crash_loop_loses_nothing_that_was_acknowledged() {
    let rounds: u64 =
        std::env::var("GOODSTANDING_CRASH_ROUNDS").map_or(200, |n| n.parse().unwrap());
    let started = Instant::now();
    let (data, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    grown(data.path(), 20).await;
    let known = full_check(data.path()).await;
    let operator = operator_token(data.path());
    let path = outside.path().join("ledger");
    let ledger = Arc::new(Ledger {
        file: Mutex::new(File::create(&path).unwrap()),
        sent: Mutex::default(),
    });
    let client = goodstanding::net::builder()
        .timeout(Duration::from_secs(20))
        .build()
        .unwrap();
    let mut memory = Memory {
        key: log_key(data.path()),
        entries: Vec::new(),
        frontier: Frontier::default(),
        roots: vec![EMPTY_ROOT],
        checkpoints: 0,
        receipts: 0,
        epochs: 0,
    };
    let mut checked = Known::of(&known.leaves);
    let mut numbers = Numbers::new(7);
    let (mut interrupted, mut at_start, mut read) = (0_u64, 0_u64, 0);
    for round in 0..rounds {
        if round % 6 == 5 {
            // While it opens its files, recovers, publishes what was not.
            let mut server = Server::spawn_at(data.path(), data.path(), &[]);
            std::thread::sleep(Duration::from_micros(numbers.below(60_000)));
            server.kill();
            at_start += 1;
        }
        let mut server = Server::start(data.path(), &[]);
        memory.check(&client, &server.url, &path, &mut read).await;
        let mut senders: Vec<_> = (0..4)
            .map(|sender| {
                tokio::spawn(send(
                    client.clone(),
                    server.url.clone(),
                    ledger.clone(),
                    round * 4 + sender,
                ))
            })
            .collect();
        if round % 8 == 3 {
            let request = client
                .post(format!("{}/v1/epochs", server.url))
                .bearer_auth(&operator);
            let epoch = tokio::spawn(async move {
                let Ok(response) = request.send().await else {
                    return true;
                };
                let status = response.status();
                assert!(status.is_success(), "{status}: {:?}", response.text().await);
                false
            });
            if round % 16 == 3 {
                // This one is to be done, and the kill comes right after it.
                interrupted += u64::from(epoch.await.unwrap());
            } else {
                senders.push(epoch);
            }
        }
        tokio::time::sleep(Duration::from_micros(10_000 + numbers.below(150_000))).await;
        server.kill();
        for sender in senders {
            interrupted += u64::from(sender.await.unwrap());
        }
        if round % FULL_CHECK_EVERY == FULL_CHECK_EVERY - 1 {
            full_check_from(data.path(), &mut checked).await;
        }
    }
    let server = Server::start(data.path(), &[]);
    memory.check(&client, &server.url, &path, &mut read).await;
    drop(server);
    // Everything once more, from nothing but the ledger and the directory.
    let last = full_check(data.path()).await;
    fsck_and_audit(data.path(), "after all the kills").await;
    let told: Vec<_> = std::fs::read_to_string(&path)
        .unwrap()
        .lines()
        .map(acknowledged)
        .collect();
    last.holds(&told);
    println!(
        "crash loop: {rounds} rounds and {at_start} kills at the start, {} acknowledgements ({} with receipts), {} entries, \
         {} epochs, {} checkpoints seen, {interrupted} requests cut off, {} s",
        told.len(),
        memory.receipts,
        last.size(),
        memory.epochs,
        memory.checkpoints,
        started.elapsed().as_secs()
    );
    assert!(
        told.len() as u64 > rounds * 5,
        "the loop hardly wrote anything: {}",
        told.len()
    );
    assert!(interrupted > rounds, "the kills hit nobody at work");
    assert!(memory.epochs > rounds / 32, "hardly an epoch was logged");
}

fn acknowledged(line: &str) -> super::check::Acknowledged {
    let line: Value = serde_json::from_str(line).unwrap();
    super::check::Acknowledged {
        index: line["index"].as_u64().unwrap(),
        id: line["id"].as_str().unwrap().to_owned(),
        proof: line["proof"].as_str().map(str::to_owned),
    }
}

fn log_key(data: &Path) -> VerifierKey {
    let key = goodstanding::keys::KeyFile::read(&data.join("keys/log.json")).unwrap();
    let signer = goodstanding::log::sign::LogSigner::new("log.example", key);
    signer.vkey().parse().unwrap()
}

pub(crate) fn operator_token(data: &Path) -> String {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_goodstanding"));
    command.args(["access", "grant", "--role", "operator", "--data"]);
    let output = output_of(command.arg(data));
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Sends what agents send until the service is gone; `true` if it went away in the middle.
async fn send(client: reqwest::Client, url: String, ledger: Arc<Ledger>, seed: u64) -> bool {
    let mut numbers = Numbers::new(seed);
    let now = now_s() - 1;
    for n in 0..100_000 {
        let trade = |line: u64| format!("s{seed}-{n}-{line}");
        let who = |numbers: &mut Numbers| agent(u32::try_from(numbers.below(5000)).unwrap());
        let again = match numbers.below(6) {
            0 => {
                let sent = ledger.sent.lock().unwrap();
                (!sent.is_empty()).then(|| {
                    let place = numbers.below(sent.len() as u64);
                    sent[usize::try_from(place).unwrap()].clone()
                })
            }
            _ => None,
        };
        let mut expected = None;
        let (kind, lines) = match (again, numbers.below(4)) {
            (Some((jws, index)), _) => {
                expected = Some(index);
                ("application/jwt", vec![jws])
            }
            // In lines; among them a report and the one that replaces it, by a trust root, who has no quota.
            (None, 0) => {
                let mut lines: Vec<_> = (1..20)
                    .map(|line| report(&who(&mut numbers), &agent(6000), &trade(line), now))
                    .collect();
                let mut first = payload(&agent(1), &agent(6000), &trade(20), now);
                lines.push(sign(&agent(1), &first));
                let replaced = goodstanding_verify::digest::sha256(lines[19].as_bytes());
                first["supersedes"] = goodstanding_verify::b64::url_encode(replaced.0).into();
                first["jti"] = format!("jti-again-{}", trade(20)).into();
                lines.push(sign(&agent(1), &first));
                ("application/x-ndjson", lines)
            }
            (None, _) => {
                let jws = report(&who(&mut numbers), &agent(6000), &trade(0), now);
                ("application/jwt", vec![jws])
            }
        };
        let request = client
            .post(format!("{url}/v1/reports"))
            .header("content-type", kind)
            .body(lines.join("\n"))
            .send();
        let Ok(response) = request.await else {
            return true;
        };
        let status = response.status();
        // An answer that did not arrive whole is no acknowledgement.
        let Ok(text) = response.text().await else {
            return true;
        };
        assert!(status.is_success(), "{status}: {text}");
        for (answer, jws) in text.lines().zip(&lines) {
            let answer: Value = serde_json::from_str(answer).unwrap();
            assert!(answer["leaf_index"].is_u64(), "{answer}");
            if let Some(expected) = expected {
                assert_eq!(
                    answer["leaf_index"], expected,
                    "sent again, it is elsewhere"
                );
            }
            ledger.note(&answer, jws);
        }
    }
    false
}

/// Asks until the answer is a success.
async fn wait(client: &reqwest::Client, url: &str) -> Vec<u8> {
    let deadline = Instant::now() + Duration::from_secs(15);
    loop {
        if let Ok(response) = client.get(url).send().await
            && response.status().is_success()
        {
            return response.bytes().await.unwrap().to_vec();
        }
        assert!(Instant::now() < deadline, "{url} does not succeed");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

impl Memory {
    /// Reads on from what is remembered, and holds everything acknowledged since the last time against it. What was
    /// checked before still holds, because no leaf that was seen may change.
    async fn check(
        &mut self,
        client: &reqwest::Client,
        url: &str,
        ledger: &Path,
        read: &mut usize,
    ) {
        let text = std::fs::read_to_string(ledger).unwrap();
        let new: Vec<_> = text[*read..].lines().map(acknowledged).collect();
        *read = text.len();
        let needed = new.iter().map(|told| told.index + 1).max().unwrap_or(0);
        let deadline = Instant::now() + Duration::from_secs(15);
        let size = loop {
            let note = String::from_utf8(wait(client, &format!("{url}/checkpoint")).await).unwrap();
            let signed = SignedCheckpoint::parse(&note).unwrap();
            let checkpoint = signed.verify_log(&self.key).unwrap();
            self.read_on(client, url, checkpoint.size).await;
            self.is_prefix(checkpoint.size, &checkpoint.root);
            self.checkpoints += 1;
            if checkpoint.size >= needed {
                break checkpoint.size;
            }
            assert!(
                Instant::now() < deadline,
                "acknowledged reports stay unpublished: {} of {needed}",
                checkpoint.size
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        };
        for told in &new {
            let entry = &self.entries[usize::try_from(told.index).unwrap()];
            match Entry::parse(entry).unwrap().body {
                Body::Report { id, .. } => assert_eq!(
                    id.to_string(),
                    told.id,
                    "index {} holds another report than the one acknowledged",
                    told.index
                ),
                other => panic!("index {} holds {other:?}", told.index),
            }
            if let Some(proof) = &told.proof {
                let proof = TlogProof::parse(proof).unwrap();
                let signed = proof.signed_checkpoint().unwrap();
                let promised = signed.verify_log(&self.key).unwrap();
                proof.verify_inclusion(entry, promised).unwrap();
                self.is_prefix(promised.size, &promised.root);
                self.receipts += 1;
            }
        }
        // And the service itself proves some of them against what it published.
        for told in new.iter().rev().step_by(37).take(3) {
            let url = format!("{url}/v1/reports/{}/receipt", told.id);
            let proof = String::from_utf8(wait(client, &url).await).unwrap();
            let proof = TlogProof::parse(&proof).unwrap();
            let signed = proof.signed_checkpoint().unwrap();
            assert!(signed.checkpoint().size >= size);
            let entry = &self.entries[usize::try_from(told.index).unwrap()];
            let checkpoint = signed.verify_log(&self.key).unwrap();
            proof.verify_inclusion(entry, checkpoint).unwrap();
        }
    }

    /// All checkpoints ever seen are prefixes of the one tree of the leaves ever seen.
    fn is_prefix(&self, size: u64, root: &Hash) {
        let seen = self.roots.get(usize::try_from(size).unwrap());
        let seen =
            seen.unwrap_or_else(|| panic!("a checkpoint of {size} entries was never published"));
        assert_eq!(seen, root, "two histories of {size} entries");
    }

    async fn read_on(&mut self, client: &reqwest::Client, url: &str, size: u64) {
        let mut n = self.entries.len() as u64 / 256;
        while n * 256 < size {
            let width = usize::try_from((size - n * 256).min(256)).unwrap();
            let path = TilePath::entries(n, width);
            let bytes = wait(client, &format!("{url}/tile/{path}")).await;
            let first = usize::try_from(n * 256).unwrap();
            for (index, entry) in (first..).zip(parse_bundle(&bytes, width).unwrap()) {
                if let Some(known) = self.entries.get(index) {
                    assert_eq!(known, entry, "entry {index} changed");
                } else {
                    let kind = Entry::parse(entry).unwrap().body;
                    self.epochs += u64::from(matches!(kind, Body::Epoch(_)));
                    self.frontier.push(leaf_hash(entry));
                    self.roots.push(self.frontier.root());
                    self.entries.push(entry.to_vec());
                }
            }
            n += 1;
        }
    }
}
