//! A log that is worth looking at, and everything a stranger gets of it over HTTP.

use std::{collections::BTreeMap, path::Path};

use goodstanding::{
    keys::{KeyFile, SecretKey},
    log::{sequencer::Event, sign::LogSigner},
};
use goodstanding_score::policy::Policy;
use goodstanding_verify::{
    b64,
    entry::Body,
    jws::Compact,
    merkle::{Hash, leaf_hash},
    tile::{TilePath, parse_bundle},
};
use serde_json::{Value, json};

use crate::support::{Service, T0, agent, payload, sign};

/// A published log as its readers see it, and the key that it is signed with.
pub(crate) struct Published {
    pub(crate) url: String,
    pub(crate) signer: LogSigner,
    pub(crate) log_key: SecretKey,
    /// Published checkpoints, oldest first.
    pub(crate) checkpoints: Vec<String>,
    /// Every entry below the newest checkpoint, from the bundles.
    pub(crate) entries: Vec<Vec<u8>>,
    pub(crate) leaves: Vec<Hash>,
    /// The service's consistency proofs between any two of the checkpoints: sizes, hashes.
    pub(crate) extensions: BTreeMap<(u64, u64), Vec<Hash>>,
    /// tlog-proofs that the service handed out: of what, index, text.
    pub(crate) proofs: Vec<(String, u64, String)>,
}

impl Published {
    /// The log of a data directory, served at `url`.
    pub(crate) async fn read(
        url: &str,
        data: &Path,
        origin: &str,
        checkpoints: Vec<String>,
    ) -> Self {
        let log_key = KeyFile::read(&data.join("keys/log.json")).unwrap();
        let (size, _) = size_and_root(checkpoints.last().unwrap());
        let entries = entries(url, size).await;
        Self {
            url: url.to_owned(),
            signer: LogSigner::new(origin, log_key.clone()),
            log_key,
            leaves: entries.iter().map(|entry| leaf_hash(entry)).collect(),
            entries,
            extensions: extensions(url, &checkpoints).await,
            proofs: older_proofs(url, &checkpoints).await,
            checkpoints,
        }
    }

    pub(crate) fn newest(&self) -> &str {
        self.checkpoints.last().unwrap()
    }

    pub(crate) fn size(&self) -> u64 {
        self.entries.len() as u64
    }
}

/// Size and root of a signed checkpoint, unverified.
pub(crate) fn size_and_root(note: &str) -> (u64, Hash) {
    let mut lines = note.lines().skip(1);
    let size = lines.next().unwrap().parse().unwrap();
    let root = b64::std_decode_32(lines.next().unwrap()).unwrap();
    (size, root)
}

async fn get(url: String) -> String {
    let client = goodstanding::net::builder().build().unwrap();
    let response = client.get(&url).send().await.unwrap();
    let status = response.status();
    let text = response.text().await.unwrap();
    assert_eq!(status, 200, "{url}: {text}");
    text
}

/// What `/v1/log/consistency` says of every two checkpoints.
async fn extensions(url: &str, checkpoints: &[String]) -> BTreeMap<(u64, u64), Vec<Hash>> {
    let sizes: Vec<u64> = checkpoints.iter().map(|c| size_and_root(c).0).collect();
    let mut all = BTreeMap::new();
    for (n, from) in sizes.iter().enumerate() {
        for to in &sizes[n..] {
            let answer = get(format!("{url}/v1/log/consistency?from={from}&to={to}")).await;
            let answer: Value = serde_json::from_str(&answer).unwrap();
            let hashes = answer["hashes"].as_array().unwrap().iter();
            let hashes = hashes.map(|hash| b64::std_decode_32(hash.as_str().unwrap()).unwrap());
            all.insert((*from, *to), hashes.collect());
        }
    }
    all
}

/// What `/v1/log/inclusion` says of the first, a middle and the last entry under every older checkpoint.
async fn older_proofs(url: &str, checkpoints: &[String]) -> Vec<(String, u64, String)> {
    let mut proofs = Vec::new();
    for checkpoint in checkpoints {
        let size = size_and_root(checkpoint).0;
        for index in [0, size / 2, size - 1] {
            let path = format!("/v1/log/inclusion?index={index}&size={size}");
            let name = format!("index {index} at size {size}");
            proofs.push((name, index, get(format!("{url}{path}")).await));
        }
    }
    proofs
}

/// All entries of a published log, from its bundles.
pub(crate) async fn entries(url: &str, size: u64) -> Vec<Vec<u8>> {
    let client = goodstanding::net::builder().build().unwrap();
    let mut all = Vec::new();
    for n in 0..size.div_ceil(256) {
        let width = usize::try_from((size - n * 256).min(256)).unwrap();
        let path = TilePath::entries(n, width);
        let response = client.get(format!("{url}/tile/{path}")).send();
        let response = response.await.unwrap();
        assert_eq!(response.status(), 200, "{path}");
        let bundle = response.bytes().await.unwrap();
        let entries = parse_bundle(&bundle, width).unwrap();
        all.extend(entries.into_iter().map(<[u8]>::to_vec));
    }
    all
}

/// Publishes what there is, and reads it back.
pub(crate) async fn publish(service: &Service) -> String {
    service.app.log.publish().await.unwrap();
    service.get("/checkpoint").await.text().await.unwrap()
}

/// A service with 3,100 reports in 13 tiles on two levels, an epoch and a token, and every proof that it gives away.
pub(crate) async fn market() -> (Service, Published) {
    let service = Service::start(T0).await;
    let mut checkpoints = vec![publish(&service).await];
    let mut reports = Vec::new();
    // The sizes stand on both sides of tile borders.
    for (from, to) in [(0, 120), (120, 251), (251, 252), (252, 1000), (1000, 1550)] {
        reports.extend(trade(&service, from..to).await);
        checkpoints.push(publish(&service).await);
    }
    // The receipt of a 201 is under a head that is durable but not published yet.
    let (buyer, seller) = (agent(1), agent(2));
    let single = sign(&buyer, &payload(&buyer, &seller, "single", T0 - 60));
    let (status, single) = service.submit(single).await;
    assert_eq!(status, 201);
    service
        .app
        .log
        .log(Event {
            body: seeded_policy(),
            at_ms: None,
            epoch: None,
        })
        .await
        .unwrap();
    let epoch = goodstanding::epoch::run(&service.app, None).await.unwrap();
    checkpoints.push(publish(&service).await);
    let mut published = Published::read(
        &service.url,
        service.data.path(),
        service.app.signer.origin(),
        checkpoints,
    )
    .await;
    published.proofs.push((
        "report of a 201".into(),
        single["leaf_index"].as_u64().unwrap(),
        single["receipt"].as_str().unwrap().into(),
    ));
    let one_in = reports.len() / 12;
    let last = reports.last().cloned();
    for (index, id) in reports.into_iter().step_by(one_in).chain(last) {
        let receipt = service.get(&format!("/v1/reports/{id}/receipt")).await;
        assert_eq!(receipt.status(), 200);
        let receipt = receipt.text().await.unwrap();
        published
            .proofs
            .push((format!("report {index}"), index, receipt));
    }
    let (index, proof) = token_anchor(&service).await;
    assert_eq!(index, epoch.index);
    published
        .proofs
        .push(("epoch in a token".into(), index, proof));
    published.proofs.extend(key_proofs(&service).await);
    (service, published)
}

/// Both parties' reports on these trades, through the API. Leaf index and id of each.
async fn trade(service: &Service, trades: std::ops::Range<u32>) -> Vec<(u64, String)> {
    let mut lines = Vec::new();
    for n in trades {
        let (buyer, seller) = (agent(n % 40), agent(50 + n % 37));
        let trade = format!("t-{n}");
        lines.push(sign(&buyer, &payload(&buyer, &seller, &trade, T0 - 60)));
        let mut other = payload(&seller, &buyer, &trade, T0 - 60);
        other["trade"]["role"] = json!("seller");
        lines.push(sign(&seller, &other));
    }
    let answers = service.submit_lines(&lines).await;
    let answer = |answer: &Value| {
        let index = answer["leaf_index"].as_u64();
        let index = index.unwrap_or_else(|| panic!("{answer}"));
        (index, answer["report_id"].as_str().unwrap().to_owned())
    };
    answers.iter().map(answer).collect()
}

fn seeded_policy() -> Body {
    let mut policy = Policy::preset("agent-market").unwrap();
    policy.seeds = vec![agent(0).did(), agent(1).did()];
    policy.seeds.sort_unstable();
    Body::Policy {
        version: 2,
        policy: policy.to_value(),
    }
}

/// The proof of the epoch entry in a fresh token.
async fn token_anchor(service: &Service) -> (u64, String) {
    let nonce: Value = service
        .post("/oid4vci/nonce", "", "")
        .await
        .json()
        .await
        .unwrap();
    let nonce = nonce["c_nonce"].as_str().unwrap();
    let now = service.clock.now_s();
    let issuer = &service.app.issuer;
    let proof = goodstanding::token::possession::prove(&agent(50), issuer, nonce, now).unwrap();
    let answer = service.post("/v1/tokens", "application/jwt", proof).await;
    let answer: Value = answer.json().await.unwrap();
    let token = answer["token"]
        .as_str()
        .unwrap_or_else(|| panic!("{answer}"));
    let jws = Compact::parse(token.split('~').next().unwrap()).unwrap();
    let payload: Value = serde_json::from_slice(jws.payload()).unwrap();
    let proof = payload["anchor"]["proof"].as_str().unwrap().to_owned();
    (index_of(&proof), proof)
}

/// The proofs of the key entries in the trust bundle.
async fn key_proofs(service: &Service) -> Vec<(String, u64, String)> {
    let bundle = service.get("/v1/trust-bundle").await.text().await.unwrap();
    let jws = Compact::parse(bundle.trim()).unwrap();
    let payload: Value = serde_json::from_slice(jws.payload()).unwrap();
    let proofs = payload["proofs"].as_array().unwrap();
    assert!(!proofs.is_empty());
    let proofs = proofs.iter().map(|proof| {
        let text = proof["proof"].as_str().unwrap().to_owned();
        let index = index_of(&text);
        (
            format!("key entry {index} in the trust bundle"),
            index,
            text,
        )
    });
    proofs.collect()
}

fn index_of(proof: &str) -> u64 {
    let line = proof.lines().nth(1).unwrap();
    line.strip_prefix("index ").unwrap().parse().unwrap()
}
