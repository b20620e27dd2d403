//! What clients were told, apart from the service, and a stranger who holds the log to it.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use goodstanding_verify::{
    checkpoint::SignedCheckpoint,
    frontier::Frontier,
    merkle::leaf_hash,
    note::VerifierKey,
    proof::TlogProof,
    tile::{TILE_WIDTH, TilePath, parse_bundle},
};
use serde_json::Value;

use super::fleet::{Fleet, PATIENCE};
use crate::support::{agent, report};

/// An acknowledgement.
#[derive(Clone, Debug)]
pub(crate) struct Acknowledged {
    pub id: String,
    pub index: u64,
    /// The receipt, where the answer had one.
    pub receipt: Option<String>,
}

/// All acknowledgements.
#[derive(Clone, Default)]
pub(crate) struct Ledger(Arc<Mutex<Vec<Acknowledged>>>);

pub(crate) fn now_s() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs()
}

/// A report that nobody sent before.
pub(crate) fn fresh() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let n = NEXT.fetch_add(1, Ordering::Relaxed);
    report(
        &agent(n % 40),
        &agent(50 + n % 9),
        &format!("t-{n}"),
        now_s() - 60,
    )
}

/// Sends a report; the acknowledgement, or why there is none.
pub(crate) async fn post(client: &reqwest::Client, url: &str, jws: &str) -> Result<Value, String> {
    let request = client
        .post(format!("{url}/v1/reports"))
        .header("content-type", "application/jwt")
        .body(jws.to_owned());
    let answer = request.send().await.map_err(|e| e.to_string())?;
    let status = answer.status();
    let body: Value = answer.json().await.map_err(|e| e.to_string())?;
    if status.is_success() {
        Ok(body)
    } else {
        Err(format!("{status} {body}"))
    }
}

impl Ledger {
    pub(crate) fn note(&self, answer: &Value) {
        self.0.lock().unwrap().push(Acknowledged {
            id: answer["report_id"].as_str().unwrap().to_owned(),
            index: answer["leaf_index"].as_u64().unwrap(),
            receipt: answer["receipt"].as_str().map(str::to_owned),
        });
    }

    pub(crate) fn all(&self) -> Vec<Acknowledged> {
        self.0.lock().unwrap().clone()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    /// Sends one fresh report to `url` again and again until it is acknowledged.
    pub(crate) async fn insist(&self, client: &reqwest::Client, url: &str) {
        self.insist_for(PATIENCE, client, url).await;
    }

    pub(crate) async fn insist_for(&self, patience: Duration, client: &reqwest::Client, url: &str) {
        let (jws, until) = (fresh(), Instant::now() + patience);
        loop {
            match post(client, url, &jws).await {
                Ok(answer) => return self.note(&answer),
                Err(error) => assert!(Instant::now() < until, "never acknowledged: {error}"),
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// Clients that send without pause until they are told to stop; each report until it is acknowledged, wherever that works.
pub(crate) struct Clients {
    stop: Arc<AtomicBool>,
    tasks: tokio::task::JoinSet<()>,
}

impl Clients {
    /// `urls` may change under way.
    pub(crate) fn start(
        count: usize,
        client: &reqwest::Client,
        urls: &Arc<Mutex<Vec<String>>>,
        ledger: &Ledger,
    ) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let mut tasks = tokio::task::JoinSet::new();
        for first in 0..count {
            let (client, urls) = (client.clone(), urls.clone());
            let (ledger, stop) = (ledger.clone(), stop.clone());
            tasks.spawn(async move {
                let mut turn = first;
                while !stop.load(Ordering::Relaxed) {
                    let jws = fresh();
                    loop {
                        let url = {
                            let urls = urls.lock().unwrap();
                            urls[turn % urls.len()].clone()
                        };
                        turn += 1;
                        match post(&client, &url, &jws).await {
                            Ok(answer) => {
                                ledger.note(&answer);
                                break;
                            }
                            Err(_) if stop.load(Ordering::Relaxed) => return,
                            Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
                        }
                    }
                }
            });
        }
        Self { stop, tasks }
    }

    pub(crate) async fn stop(mut self) {
        self.stop.store(true, Ordering::Relaxed);
        while let Some(done) = self.tasks.join_next().await {
            done.unwrap();
        }
    }
}

/// Every entry below `size`, as process `n` serves them.
async fn entries(fleet: &Fleet, n: usize, size: u64) -> Vec<Vec<u8>> {
    let mut entries = Vec::new();
    while (entries.len() as u64) < size {
        let start = entries.len() as u64;
        let width = usize::try_from(size - start).unwrap().min(TILE_WIDTH);
        let path = TilePath {
            level: None,
            n: start / TILE_WIDTH as u64,
            width,
        };
        let url = format!("{}/tile/{path}", fleet.processes[n].url);
        let answer = fleet.client.get(&url).send().await.unwrap();
        assert!(answer.status().is_success(), "{url}: {}", answer.status());
        let bytes = answer.bytes().await.unwrap();
        let bundle = parse_bundle(&bytes, width).unwrap();
        entries.extend(bundle.into_iter().map(<[u8]>::to_vec));
    }
    entries
}

pub(crate) async fn checkpoint(fleet: &Fleet, n: usize, key: &VerifierKey) -> (u64, [u8; 32]) {
    let url = format!("{}/checkpoint", fleet.processes[n].url);
    let note = fleet
        .client
        .get(url)
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    let signed = SignedCheckpoint::parse(&note).unwrap();
    let checkpoint = signed.verify_log(key).unwrap();
    (checkpoint.size, checkpoint.root)
}

/// Waits until process `n` has published more than `index`, reads the whole log from it and holds it to every acknowledgement:
/// each report is where it was said to be, once, and each receipt is of this one history.
pub(crate) async fn hold(fleet: &Fleet, n: usize, ledger: &Ledger) -> u64 {
    let all = ledger.all();
    let newest = all.iter().map(|a| a.index).max().unwrap();
    let key = fleet.key(n).await;
    let until = Instant::now() + PATIENCE;
    let (size, root) = loop {
        let (size, root) = checkpoint(fleet, n, &key).await;
        if size > newest {
            break (size, root);
        }
        assert!(Instant::now() < until, "{newest} is never published");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    let entries = entries(fleet, n, size).await;
    let mut frontier = Frontier::default();
    let mut roots = vec![frontier.root()];
    let mut places = BTreeMap::new();
    for (index, entry) in entries.iter().enumerate() {
        frontier.push(leaf_hash(entry));
        roots.push(frontier.root());
        let entry: Value = serde_json::from_slice(entry).unwrap();
        if entry["kind"] == "report" {
            let id = entry["id"].as_str().unwrap().to_owned();
            assert_eq!(places.insert(id, index as u64), None, "logged twice");
        }
    }
    assert_eq!(*roots.last().unwrap(), root);
    for told in &all {
        assert_eq!(places.get(&told.id), Some(&told.index), "{told:?}");
        let Some(receipt) = &told.receipt else {
            continue;
        };
        let proof = TlogProof::parse(receipt).unwrap();
        let checkpoint = SignedCheckpoint::parse(&proof.checkpoint).unwrap();
        let signed = checkpoint.verify_log(&key).unwrap();
        let promised = usize::try_from(signed.size).unwrap();
        assert_eq!(roots[promised], signed.root, "a receipt of another history");
        let entry = &entries[usize::try_from(told.index).unwrap()];
        proof.verify_inclusion(entry, signed).unwrap();
    }
    size
}
