//! The crash loop: kill -9 at random moments under load; every acknowledged report must be there and provable afterwards.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use goodstanding::log::tree::{Edge, Touched};
use goodstanding_verify::{
    checkpoint::SignedCheckpoint,
    merkle::{self, Hash, leaf_hash},
    note::VerifierKey,
    proof::TlogProof,
};
use serde_json::Value;

use super::server::Server;
use crate::support::{Numbers, agent, report};

/// What clients were told: index → (report id, receipt or nothing for lines).
type Ledger = BTreeMap<u64, (String, Option<String>)>;

/// A stranger's memory of the log: every leaf ever seen, never forgotten, never replaced.
#[derive(Default)]
struct Memory {
    entries: Vec<Vec<u8>>,
    leaves: Vec<Hash>,
    checkpoints: usize,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn crash_loop_loses_nothing_that_was_acknowledged() {
    let rounds: u64 = std::env::var("GOODSTANDING_CRASH_ROUNDS").map_or(50, |n| n.parse().unwrap());
    let data = tempfile::tempdir().unwrap();
    let mut numbers = Numbers::new(7);
    let ledger = Arc::new(Mutex::new(Ledger::new()));
    let mut memory = Memory::default();
    let client = reqwest::Client::builder()
        .timeout(Duration::from_secs(10))
        .build()
        .unwrap();
    let mut vkey = None;
    let mut interrupted = 0;
    for round in 0..rounds {
        let mut server = Server::start(data.path(), &[]);
        let vkey = vkey
            .get_or_insert(log_key(&client, &server.url).await)
            .clone();
        let known = ledger.lock().unwrap().clone();
        check(&client, &server.url, &vkey, &known, &mut memory).await;
        let now = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap()
            .as_secs();
        let senders: Vec<_> = (0..4)
            .map(|sender| {
                tokio::spawn(send(
                    client.clone(),
                    server.url.clone(),
                    ledger.clone(),
                    round * 4 + sender,
                    now,
                ))
            })
            .collect();
        tokio::time::sleep(Duration::from_micros(20_000 + numbers.below(180_000))).await;
        server.kill();
        for sender in senders {
            interrupted += u32::from(sender.await.unwrap());
        }
    }
    let server = Server::start(data.path(), &[]);
    let ledger = ledger.lock().unwrap().clone();
    check(
        &client,
        &server.url,
        vkey.as_ref().unwrap(),
        &ledger,
        &mut memory,
    )
    .await;
    println!(
        "crash loop: {rounds} rounds, {} reports acknowledged, {} entries, {} checkpoints seen, {interrupted} senders cut off",
        ledger.len(),
        memory.entries.len(),
        memory.checkpoints
    );
    assert!(
        ledger.len() as u64 > rounds * 5,
        "the loop hardly wrote anything: {}",
        ledger.len()
    );
    assert!(
        u64::from(interrupted) > rounds,
        "the kills hit nobody at work"
    );
}

/// Sends reports one by one and in lines until the server is gone; `true` if it went away in the middle.
async fn send(
    client: reqwest::Client,
    url: String,
    ledger: Arc<Mutex<Ledger>>,
    seed: u64,
    now: u64,
) -> bool {
    let mut numbers = Numbers::new(seed);
    for n in 0..100_000 {
        let trade = |line: u64| format!("s{seed}-{n}-{line}");
        let who = |numbers: &mut Numbers| agent(u32::try_from(numbers.below(5000)).unwrap());
        let jws = report(&who(&mut numbers), &agent(6000), &trade(0), now - 1);
        let bulk = numbers.below(3) == 0;
        let (kind, body) = if bulk {
            let lines: Vec<_> = (1..20)
                .map(|line| report(&who(&mut numbers), &agent(6000), &trade(line), now - 1))
                .collect();
            ("application/x-ndjson", lines.join("\n"))
        } else {
            ("application/jwt", jws)
        };
        let request = client
            .post(format!("{url}/v1/reports"))
            .header("content-type", kind)
            .body(body)
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
        for line in text.lines() {
            let answer: Value = serde_json::from_str(line).unwrap();
            if let Some(index) = answer["leaf_index"].as_u64() {
                let entry = (
                    answer["report_id"].as_str().unwrap().to_owned(),
                    answer["receipt"].as_str().map(str::to_owned),
                );
                let before = ledger.lock().unwrap().insert(index, entry);
                assert!(before.is_none(), "index {index} was given out twice");
            }
        }
    }
    false
}

async fn log_key(client: &reqwest::Client, url: &str) -> VerifierKey {
    let bundle = wait(client, &format!("{url}/v1/trust-bundle")).await;
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_secs();
    let bundle = goodstanding_verify::bundle::TrustBundle::parse(
        std::str::from_utf8(&bundle).unwrap(),
        None,
        now,
    )
    .unwrap();
    bundle.log().clone()
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
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Reads on from what is remembered and checks that everything ever acknowledged or signed still stands.
async fn check(
    client: &reqwest::Client,
    url: &str,
    key: &VerifierKey,
    ledger: &Ledger,
    memory: &mut Memory,
) {
    let needed = ledger.keys().next_back().map_or(0, |last| last + 1);
    let deadline = Instant::now() + Duration::from_secs(15);
    let checkpoint = loop {
        let note = String::from_utf8(wait(client, &format!("{url}/checkpoint")).await).unwrap();
        let checkpoint = SignedCheckpoint::parse(&note)
            .unwrap()
            .verify_log(key)
            .unwrap()
            .clone();
        if checkpoint.size >= needed {
            break checkpoint;
        }
        assert!(
            Instant::now() < deadline,
            "acknowledged reports stay unpublished: {} of {needed}",
            checkpoint.size
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    memory.checkpoints += 1;
    read_on(client, url, checkpoint.size, memory).await;
    // The remembered leaves and the new ones give the signed root: nothing seen before has changed.
    let size = usize::try_from(checkpoint.size).unwrap();
    assert_eq!(
        merkle::root(&memory.leaves[..size]),
        checkpoint.root,
        "the log rewrote its past"
    );
    for (index, (id, receipt)) in ledger {
        let entry = &memory.entries[usize::try_from(*index).unwrap()];
        let parsed: Value = serde_json::from_slice(entry).unwrap();
        assert_eq!(
            parsed["id"],
            id.as_str(),
            "index {index} holds another report than the one acknowledged"
        );
        if let Some(receipt) = receipt {
            let proof = TlogProof::parse(receipt).unwrap();
            let signed = proof.signed_checkpoint().unwrap();
            let promised = signed.verify_log(key).unwrap();
            proof.verify_inclusion(entry, promised).unwrap();
        }
    }
    // The checkpoint of every receipt is a prefix of the same tree: all of them, in one pass over the leaves.
    let mut promised: BTreeMap<u64, Hash> = BTreeMap::from([(checkpoint.size, checkpoint.root)]);
    for receipt in ledger
        .values()
        .filter_map(|(_, receipt)| receipt.as_deref())
    {
        let signed = TlogProof::parse(receipt)
            .unwrap()
            .signed_checkpoint()
            .unwrap();
        let root = promised
            .entry(signed.checkpoint().size)
            .or_insert(signed.checkpoint().root);
        assert_eq!(
            *root,
            signed.checkpoint().root,
            "two checkpoints of one size differ"
        );
    }
    let (mut edge, mut touched) = (Edge::default(), Touched::new());
    for (size, root) in promised {
        let from = usize::try_from(edge.size()).unwrap();
        edge.append(
            memory.leaves[from..usize::try_from(size).unwrap()]
                .iter()
                .copied(),
            &mut touched,
        );
        assert_eq!(
            edge.root(),
            root,
            "the checkpoint of {size} entries is not a prefix of the log"
        );
    }
    // And the service itself proves them against its newest checkpoint.
    for (index, (id, _)) in ledger.iter().rev().step_by(37).take(20) {
        let proof =
            String::from_utf8(wait(client, &format!("{url}/v1/reports/{id}/receipt")).await)
                .unwrap();
        let proof = TlogProof::parse(&proof).unwrap();
        let signed = proof.signed_checkpoint().unwrap();
        assert!(signed.checkpoint().size >= checkpoint.size);
        proof
            .verify_inclusion(
                &memory.entries[usize::try_from(*index).unwrap()],
                signed.verify_log(key).unwrap(),
            )
            .unwrap();
    }
}

async fn read_on(client: &reqwest::Client, url: &str, size: u64, memory: &mut Memory) {
    let mut n = memory.leaves.len() as u64 / 256;
    while n * 256 < size {
        let width = (size - n * 256).min(256);
        let number = if n < 1000 {
            format!("{n:03}")
        } else {
            format!("x{:03}/{:03}", n / 1000, n % 1000)
        };
        let suffix = if width < 256 {
            format!(".p/{width}")
        } else {
            String::new()
        };
        let bytes = wait(client, &format!("{url}/tile/entries/{number}{suffix}")).await;
        let mut rest = &bytes[..];
        let mut index = usize::try_from(n * 256).unwrap();
        while !rest.is_empty() {
            let length = usize::from(u16::from_be_bytes([rest[0], rest[1]]));
            let entry = rest[2..2 + length].to_vec();
            if let Some(known) = memory.entries.get(index) {
                assert_eq!(known, &entry, "entry {index} changed");
            } else {
                memory.leaves.push(leaf_hash(&entry));
                memory.entries.push(entry);
            }
            index += 1;
            rest = &rest[2 + length..];
        }
        n += 1;
    }
}
