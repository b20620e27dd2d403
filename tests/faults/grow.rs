//! Data directories of any size, made quickly: real signed reports, planned and committed as the writer does it, without the writer.

use std::{
    path::Path,
    sync::{Arc, LazyLock},
    time::Duration,
};

use goodstanding::{
    app::{App, Open},
    clock::Clock,
    code::{Code, Fault},
    keys::{KeyFile, SecretKey},
    log::{
        plan::{Candidate, Rules, State, plan_reports},
        sequencer::Event,
        sign::LogSigner,
        tree::{Edge, Touched, tiles_for_proof},
    },
    store::{AdmissionFacts, Store as _, Tree, sqlite::SqliteStore},
};
use goodstanding_score::policy::Policy;
use goodstanding_verify::{b64, entry::Body, report::Report};
use rayon::prelude::*;
use serde_json::json;

use crate::support::{T0, agent, report};

/// How a directory of these tests is opened: by a clock that stands at `now_s`.
pub(crate) fn at(data: &Path, now_s: u64) -> Open {
    Open {
        create: true,
        issuer: Some("https://issuer.example".into()),
        origin: Some("log.example".into()),
        clock: Clock::manual(now_s * 1000),
        ..Open::new(data)
    }
}

/// Opens a directory that nobody else has. A child that another test starts at the same moment holds on to a lock that was
/// let go, until it runs.
pub(crate) async fn opened(
    open: impl AsyncFn() -> Result<Arc<App>, Fault>,
) -> Result<Arc<App>, Fault> {
    for _ in 0..1000 {
        match open().await {
            Err(fault) if fault.is(Code::DataLocked) => {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            done => return done,
        }
    }
    panic!("a directory stays locked");
}

/// A report by a trust root, so that no quota is in the way.
pub(crate) fn fresh(name: &str, n: u32, time: u64) -> String {
    report(
        &agent(n % 2),
        &agent(50 + n % 9),
        &format!("{name}-{n}"),
        time,
    )
}

/// [`fresh`], with the agents' keys at hand: making and spelling one takes longer than signing.
fn filler(n: u32) -> String {
    static AGENTS: LazyLock<Vec<(SecretKey, String)>> = LazyLock::new(|| {
        (0..60)
            .map(|n| (agent(n), agent(n).did().to_string()))
            .collect()
    });
    let agent = |n: u32| &AGENTS[usize::try_from(n).unwrap()];
    let ((key, iss), (_, sub)) = (agent(n % 40), agent(50 + n % 9));
    let time = T0 - 60;
    let payload = json!({
        "iss": iss, "sub": sub, "jti": format!("jti-grown-{n}"), "iat": time,
        "trade": {
            "id": format!("grown-{n}"), "market": "https://market.example", "kind": "purchase", "role": "buyer",
            "amount": "1", "currency": "USDC", "closed_at": time,
        },
        "outcome": {"status": "fulfilled", "quality_bp": 9000},
    });
    let header = json!({"alg": "EdDSA", "kid": format!("{iss}#{}", &iss["did:key:".len()..]), "typ": "trade-outcome+jwt"});
    let [header, payload] = [header, payload].map(|part| b64::url_encode(part.to_string()));
    let signed = format!("{header}.{payload}");
    let signature = b64::url_encode(key.sign(signed.as_bytes()));
    format!("{signed}.{signature}")
}

/// A new directory whose log has `size` entries, its head published: keys, two policies (the second with trust roots), reports.
pub(crate) async fn grown(data: &Path, size: u64) {
    let app = App::open(at(data, T0)).await.unwrap();
    let mut policy = Policy::preset("agent-market").unwrap();
    policy.seeds = vec![agent(0).did(), agent(1).did()];
    policy.seeds.sort_unstable();
    let body = Body::Policy {
        version: 2,
        policy: policy.to_value(),
    };
    let event = Event {
        body,
        at_ms: None,
        epoch: None,
    };
    app.log.log(event).await.unwrap();
    app.close().await;
    grow(data, size).await;
    // Publishes the new head.
    let app = App::open(at(data, T0)).await.unwrap();
    app.log.publish().await.unwrap();
    app.close().await;
}

/// Appends reports until the log has `size` entries, published or not.
pub(crate) async fn grow(data: &Path, size: u64) {
    grow_with(data, size, filler).await;
}

/// [`grow`] with other reports: one for each index, none by the same reporter with the same subject on the same trade.
pub(crate) async fn grow_with(data: &Path, size: u64, filler: impl Fn(u32) -> String + Sync) {
    let store = SqliteStore::open(&data.join("goodstanding.sqlite"), false)
        .await
        .unwrap();
    let key = KeyFile::read(&data.join("keys/log.json")).unwrap();
    let signer = LogSigner::new("log.example", key);
    let head = store.head().await.unwrap().unwrap();
    let mut tiles = Touched::new();
    for id in tiles_for_proof(head.size - 1, head.size) {
        if let Some(tile) = store.tile(Tree::Log, id).await.unwrap() {
            tiles.insert(id, tile);
        }
    }
    let mut state = State {
        edge: Edge::load(head.size, |id| tiles.get(&id).cloned()).unwrap(),
        at_ms: head.at_ms,
        begun: true,
    };
    let rules = Rules::of(&Policy::preset("agent-market").unwrap());
    assert!(head.size <= size, "the log is longer already");
    while state.edge.size() < size {
        let from = u32::try_from(state.edge.size()).unwrap();
        let to = u32::try_from(size).unwrap().min(from + 4096);
        let candidates: Vec<_> = (from..to)
            .into_par_iter()
            .map(|n| {
                let jws = filler(n);
                Candidate {
                    report: Report::verify(&jws).unwrap(),
                    jws,
                    historical_ms: None,
                    reached: true,
                    facts: AdmissionFacts::default(),
                    used_documents: Arc::default(),
                }
            })
            .collect();
        let planned = plan_reports(&state, &candidates, &rules, T0 * 1000, &signer);
        assert!(planned.verdicts.iter().all(Result::is_ok));
        store.commit(&planned.commit.unwrap()).await.unwrap();
        state = planned.state;
    }
    store.close().await;
}

/// Copies a directory that nobody has open.
pub(crate) fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}
