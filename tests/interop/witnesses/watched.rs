//! A log that witnesses watch: its data directory, the program on it, and what its readers see.

use std::{
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use goodstanding::{
    keys::{KeyFile, SecretKey},
    log::sign::LogSigner,
};
use goodstanding_verify::{
    checkpoint::SignedCheckpoint, note::VerifierKey, witness_policy::WitnessPolicy,
};
use serde_json::Value;

use super::server::Server;
use crate::support::{agent, report};

/// As [`Server`] names the log and its issuer.
pub(crate) const ORIGIN: &str = "log.example";
pub(crate) const ISSUER: &str = "https://issuer.example";

fn log_key() -> SecretKey {
    SecretKey::of_alias("tests", "watched log")
}

/// The key of every log here, known before there is one: its witnesses have to trust it.
pub(crate) fn log_vkey() -> VerifierKey {
    LogSigner::new(ORIGIN, log_key()).verifier().unwrap()
}

/// A new data directory with that key and these witnesses.
pub(crate) fn directory(policy: &str, settings: &str) -> tempfile::TempDir {
    let data = tempfile::tempdir().unwrap();
    std::fs::create_dir(data.path().join("keys")).unwrap();
    KeyFile::create(&log_key(), &data.path().join("keys/log.json")).unwrap();
    let text = format!("{settings}\npolicy = '''\n{policy}'''\n");
    std::fs::write(data.path().join("witnesses.toml"), text).unwrap();
    data
}

/// A policy with two of these three witnesses, given by their lines.
pub(crate) fn two_of(lines: &[String; 3]) -> String {
    format!("{}group two 2 a b c\nquorum two\n", lines.concat())
}

/// The same as a verifier reads it.
pub(crate) fn read_policy(policy: &str) -> WitnessPolicy {
    WitnessPolicy::parse(&format!("log {}\n{policy}", log_vkey())).unwrap()
}

/// Runs the program and returns what it printed.
pub(crate) fn goodstanding(data: &Path, args: &[&str]) -> String {
    let out = Command::new(env!("CARGO_BIN_EXE_goodstanding"))
        .args(args)
        .env_clear()
        .env("GOODSTANDING_DATA", data)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{args:?}: {said}");
    String::from_utf8(out.stdout).unwrap()
}

/// A log that is being served.
pub(crate) struct Watched {
    pub(crate) server: Server,
    client: reqwest::Client,
}

impl Watched {
    pub(crate) fn serve(data: &Path) -> Self {
        Self {
            server: Server::start(data, &[]),
            client: goodstanding::net::builder().build().unwrap(),
        }
    }

    pub(crate) async fn get(&self, path: &str) -> String {
        let url = format!("{}{path}", self.server.url);
        let response = self.client.get(url).send().await.unwrap();
        assert_eq!(response.status(), 200, "{path}");
        response.text().await.unwrap()
    }

    /// Sends a report, which has to be taken whatever the witnesses do. The log's size with it.
    pub(crate) async fn report(&self, trade: &str) -> u64 {
        let now = now();
        let body = report(&agent(1), &agent(2), trade, now - 5);
        let answer = self
            .client
            .post(format!("{}/v1/reports", self.server.url))
            .header("content-type", "application/jwt")
            .body(body)
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 201);
        let answer: Value = answer.json().await.unwrap();
        answer["leaf_index"].as_u64().unwrap() + 1
    }

    /// The served checkpoint: size, note.
    pub(crate) async fn checkpoint(&self) -> (u64, SignedCheckpoint) {
        let text = self.get("/checkpoint").await;
        let signed = SignedCheckpoint::parse(&text).unwrap();
        (signed.checkpoint().size, signed)
    }

    /// Waits until the published checkpoint has this size and a quorum of the policy.
    pub(crate) async fn witnessed(&self, size: u64, policy: &WitnessPolicy) -> SignedCheckpoint {
        self.until("a witnessed checkpoint", async || {
            let (published, signed) = self.checkpoint().await;
            (published >= size && policy.evaluate(&signed).is_ok()).then_some(signed)
        })
        .await
    }

    pub(crate) async fn readiness(&self) -> Value {
        serde_json::from_str(&self.get("/readyz").await).unwrap()
    }

    /// Waits until a round of witnesses has ended like this, and returns what is known of them.
    pub(crate) async fn round(&self, met: bool) -> Value {
        let what = if met { "a quorum" } else { "a missed quorum" };
        self.until(what, async || {
            let ready = self.readiness().await;
            (ready["witnesses"]["met"] == met).then_some(ready)
        })
        .await
    }

    /// Waits until something is there.
    pub(crate) async fn until<T>(&self, what: &str, look: impl AsyncFn() -> Option<T>) -> T {
        let deadline = Instant::now() + Duration::from_mins(3);
        loop {
            if let Some(found) = look().await {
                return found;
            }
            assert!(
                Instant::now() < deadline,
                "no {what}: {}",
                self.readiness().await
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// Unix seconds.
pub(crate) fn now() -> u64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_secs()
}

/// What became of a witness's last question.
pub(crate) fn last(ready: &Value, name: &str) -> String {
    let all = ready["witnesses"]["witnesses"].as_array().unwrap();
    let one = all.iter().find(|witness| witness["name"] == name).unwrap();
    one["last"].as_str().unwrap().to_owned()
}
