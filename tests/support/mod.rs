//! What the integration tests share: agents that sign, a service on a random port, and proofs that a stranger would check.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::allow_attributes,
    reason = "each test binary uses its own part of this"
)]

pub mod memory;
pub mod postgres;
pub mod witness;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use goodstanding::{
    app::{App, Open},
    clock::Clock,
    config::Config,
    http,
    keys::SecretKey,
    log::sequencer::Event,
    token::access::{self, Role},
};
use goodstanding_verify::{
    entry::Body, note::VerifierKey, proof::TlogProof, witness_policy::WitnessPolicy,
};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

/// 2026-01-01T00:00:00Z, the time around which the golden vectors stand.
pub const T0: u64 = 1_767_225_600;

/// Data that lies beside the repository; its absence is an error, not a reason to skip.
pub fn shared(path: &str) -> PathBuf {
    let root = std::env::var_os("GOODSTANDING_SHARED").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared"),
        PathBuf::from,
    );
    let path = root.join(path);
    assert!(
        path.exists(),
        "{} is missing: set GOODSTANDING_SHARED to the directory with the shared data",
        path.display()
    );
    path
}

/// A golden vector file of this repository.
pub fn vectors(name: &str) -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/vectors")
        .join(name);
    serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap()
}

/// Agent number `n`, always with the same key.
pub fn agent(n: u32) -> SecretKey {
    SecretKey::of_alias("tests", &n.to_string())
}

/// A report payload by `reporter` on `subject`, closed at `time`.
pub fn payload(reporter: &SecretKey, subject: &SecretKey, trade: &str, time: u64) -> Value {
    json!({
        "iss": reporter.did().to_string(),
        "sub": subject.did().to_string(),
        "jti": format!("jti-{trade}-{:.8}", &reporter.did().to_string()[20..]),
        "iat": time,
        "trade": {
            "id": trade, "market": "https://market.example", "kind": "purchase", "role": "buyer",
            "amount": "0.0001", "currency": "USDC", "closed_at": time,
        },
        "outcome": {"status": "fulfilled", "quality_bp": 9000},
    })
}

/// Signs a report payload.
pub fn sign(reporter: &SecretKey, payload: &Value) -> String {
    reporter.sign_agent("trade-outcome+jwt", payload).unwrap()
}

/// A signed purchase report.
pub fn report(reporter: &SecretKey, subject: &SecretKey, trade: &str, time: u64) -> String {
    sign(reporter, &payload(reporter, subject, trade, time))
}

/// A running service over a fresh data directory.
pub struct Service {
    pub app: Arc<App>,
    pub url: String,
    pub clock: Clock,
    pub client: reqwest::Client,
    pub data: tempfile::TempDir,
    stop: CancellationToken,
    served: tokio::task::JoinHandle<anyhow::Result<()>>,
}

impl Service {
    /// With a clock that stands at `now_s`.
    pub async fn start(now_s: u64) -> Self {
        Self::configured(now_s, Config::default()).await
    }

    pub async fn configured(now_s: u64, config: Config) -> Self {
        Self::prepared(now_s, config, None, tempfile::tempdir().unwrap()).await
    }

    /// On a directory that was prepared: with keys, settings, or an earlier life.
    pub async fn prepared(
        now_s: u64,
        config: Config,
        origin: Option<&str>,
        data: tempfile::TempDir,
    ) -> Self {
        let clock = Clock::manual(now_s * 1000);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let open = Open {
            create: true,
            // A directory with an earlier life knows its issuer.
            issuer: (!data.path().join("goodstanding.sqlite").exists()).then(|| url.clone()),
            origin: origin.map(str::to_owned),
            clock: clock.clone(),
            queue: config.queue,
            ..Open::new(data.path())
        };
        let app = App::open(open).await.unwrap();
        let stop = CancellationToken::new();
        let served = tokio::spawn(http::serve(app.clone(), config, listener, stop.clone()));
        Self {
            app,
            url,
            clock,
            client: goodstanding::net::builder().build().unwrap(),
            data,
            stop,
            served,
        }
    }

    /// Stops the service and closes the data directory, which stays.
    pub async fn stop(self) -> tempfile::TempDir {
        self.stop.cancel();
        self.served.await.unwrap().unwrap();
        self.app.close().await;
        self.data
    }

    pub async fn get(&self, path: &str) -> reqwest::Response {
        self.client
            .get(format!("{}{path}", self.url))
            .send()
            .await
            .unwrap()
    }

    pub async fn get_json(&self, path: &str) -> Value {
        let response = self.get(path).await;
        assert_eq!(response.status(), 200, "{path}");
        response.json().await.unwrap()
    }

    pub async fn post(
        &self,
        path: &str,
        kind: &str,
        body: impl Into<reqwest::Body>,
    ) -> reqwest::Response {
        self.client
            .post(format!("{}{path}", self.url))
            .header("content-type", kind)
            .body(body)
            .send()
            .await
            .unwrap()
    }

    /// Posts one report and returns status and body.
    pub async fn submit(&self, jws: impl Into<String>) -> (u16, Value) {
        let response = self
            .post("/v1/reports", "application/jwt", jws.into())
            .await;
        (response.status().as_u16(), response.json().await.unwrap())
    }

    /// Posts many reports and returns an answer a line.
    pub async fn submit_lines(&self, lines: &[String]) -> Vec<Value> {
        let response = self
            .post("/v1/reports", "application/x-ndjson", lines.join("\n"))
            .await;
        assert_eq!(response.status(), 200);
        let text = response.text().await.unwrap();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// Logs the policy in force with these agents as trust roots.
    pub async fn set_seeds(&self, seeds: &[u32]) {
        let before = self.app.log.shared().policy().unwrap();
        let mut policy = before.policy.clone();
        policy.seeds = seeds.iter().map(|n| agent(*n).did()).collect();
        policy.seeds.sort_unstable();
        let event = Event {
            body: Body::Policy {
                version: before.version + 1,
                policy: policy.to_value(),
            },
            at_ms: None,
            epoch: None,
        };
        self.app.log.log(event).await.unwrap();
    }

    /// A bearer token that outlives every clock of the tests.
    pub fn bearer(&self, role: Role) -> String {
        access::grant(&self.app, "tests", &[role], 100 * 365 * 86_400).unwrap()
    }

    pub fn log_size(&self) -> u64 {
        self.app.log.shared().head.borrow().as_ref().unwrap().size
    }

    /// The policy with which strangers check our proofs.
    pub fn witness_policy(&self) -> WitnessPolicy {
        WitnessPolicy::parse(&format!("log {}\nquorum none\n", self.app.signer.vkey())).unwrap()
    }

    /// Entry bytes of one index, from the store.
    pub async fn entry(&self, index: u64) -> Vec<u8> {
        self.app
            .store
            .entries(index, index + 1)
            .await
            .unwrap()
            .remove(0)
    }

    /// Checks a tlog-proof the way a stranger would, and that it is about this report.
    pub async fn check_receipt(&self, proof: &str, report_id: &str, index: u64) {
        let proof = TlogProof::parse(proof).unwrap();
        assert_eq!(proof.index, index);
        let entry = self.entry(index).await;
        proof.verify(&entry, &self.witness_policy()).unwrap();
        let entry: Value = serde_json::from_slice(&entry).unwrap();
        assert_eq!(entry["id"], report_id);
    }
}

/// The log's verifier key.
pub fn verifier(vkey: &str) -> VerifierKey {
    VerifierKey::parse(vkey).unwrap()
}

/// A small deterministic stream of numbers, for tests that want variety without a seed that changes.
pub struct Numbers(u64);

impl Numbers {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// `SplitMix64` (Steele, Lea, Flood 2014).
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }
}
