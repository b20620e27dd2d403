//! What a proof costs, and how much memory a service that makes proofs needs, at one size of the log.

use std::{
    net::TcpListener,
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use goodstanding_verify::merkle::{self, leaf_hash};
use serde::Serialize;

use super::{Spread, Times, resident_kib, scattered};
use crate::{
    app::Reader,
    log::{prove, tiles::Tiles},
    store::{Place, Store, Tree},
};

const DATABASE_URL: &str = "GOODSTANDING_DATABASE_URL";
/// How long a service may take to answer for the first time.
const START: Duration = Duration::from_mins(2);

/// What was measured at one size.
#[derive(Clone, Debug, Serialize)]
pub struct Proven {
    /// Entries of the log.
    pub size: u64,
    /// Inclusion path of an entry, from the store, in this process.
    pub inclusion: Spread,
    /// Consistency path from some size to the newest, from the store, in this process.
    pub consistency: Spread,
    /// tlog-proof of an entry over HTTP from a service in another process, one request at a time.
    pub inclusion_http: Spread,
    /// Consistency with both roots, likewise.
    pub consistency_http: Spread,
    /// Resident memory of that service when it had just begun to answer, KiB.
    pub resident_before_kib: Option<u64>,
    /// After all requests, KiB.
    pub resident_after_kib: Option<u64>,
}

/// Measures the log in `data`, or in the database at `database_url` with the keys in `data`: each kind of proof `count` times at places all over it. Every proof that the store gives is verified.
///
/// # Errors
/// When the log cannot be read or served, or a proof does not verify.
pub async fn measure(
    data: &Path,
    database_url: Option<&str>,
    count: usize,
) -> anyhow::Result<Proven> {
    let reader = Reader::open(data, &Place::of(data, database_url)?).await?;
    let measured = from_store(&reader.store, count).await;
    reader.store.close().await;
    let (size, inclusion, consistency) = measured?;
    let service = Service::start(data, database_url).await?;
    let before = resident_kib(service.child.id());
    let inclusion_http = service
        .times(
            count,
            scattered(size).map(|i| format!("inclusion?index={i}")),
        )
        .await?;
    let from = scattered(size).map(|old| format!("consistency?from={}", old + 1));
    let consistency_http = service.times(count, from).await?;
    Ok(Proven {
        size,
        inclusion,
        consistency,
        inclusion_http,
        consistency_http,
        resident_before_kib: before,
        resident_after_kib: resident_kib(service.child.id()),
    })
}

async fn from_store(store: &Arc<dyn Store>, count: usize) -> anyhow::Result<(u64, Spread, Spread)> {
    let head = store.head().await?.context("the log is empty")?;
    let (size, root) = (head.size, head.root);
    let tiles = Tiles::new(store.clone());
    let (mut inclusion, mut consistency) = (Times::default(), Times::default());
    for n in scattered(size).take(count) {
        let start = Instant::now();
        let path = prove::inclusion(&tiles, Tree::Log, n, size).await?;
        inclusion.push(start.elapsed());
        let entry = store.entries(n, n + 1).await?.pop().unwrap_or_default();
        merkle::verify_inclusion(n, size, &leaf_hash(&entry), &path, &root)?;

        let old = n + 1;
        let start = Instant::now();
        let path = prove::consistency(&tiles, old, size).await?;
        consistency.push(start.elapsed());
        let old_root = prove::edge(store.as_ref(), old).await?.root();
        merkle::verify_consistency(old, size, &old_root, &root, &path)?;
    }
    Ok((size, inclusion.spread(), consistency.spread()))
}

/// This program as a service in another process, ended when dropped.
struct Service {
    child: Child,
    url: String,
    http: reqwest::Client,
}

impl Service {
    async fn start(data: &Path, database_url: Option<&str>) -> anyhow::Result<Self> {
        // A port that was free a moment ago.
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let child = Command::new(std::env::current_exe()?)
            .arg("--data")
            .arg(data)
            .args(["serve", "--listen", &address.to_string()])
            // Not the one that this process was told of: that is where the schemas are made.
            .env_remove(DATABASE_URL)
            .envs(database_url.map(|url| (DATABASE_URL, url)))
            .env("RUST_LOG", "error")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .context("the service could not be started")?;
        let mut service = Self {
            child,
            url: format!("http://{address}"),
            http: crate::net::builder().no_proxy().build()?,
        };
        let start = Instant::now();
        while service
            .http
            .get(format!("{}/checkpoint", service.url))
            .send()
            .await
            .is_err()
        {
            if let Some(ended) = service.child.try_wait()? {
                bail!("the service ended: {ended}");
            }
            ensure!(start.elapsed() < START, "the service does not answer");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(service)
    }

    async fn times(
        &self,
        count: usize,
        proofs: impl Iterator<Item = String>,
    ) -> anyhow::Result<Spread> {
        let mut times = Times::default();
        for proof in proofs.take(count) {
            let start = Instant::now();
            let answer = self
                .http
                .get(format!("{}/v1/log/{proof}", self.url))
                .send()
                .await?
                .error_for_status()?;
            answer.bytes().await?;
            times.push(start.elapsed());
        }
        Ok(times.spread())
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // Reading leaves nothing to finish, and the log survives this.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
