//! One lie at a time: in the database alone, or signed anew with the log's real key. Each is found, under its own code and
//! at its exact place.

use goodstanding::audit::{Options, Place};
use goodstanding_verify::{
    b64,
    did::Did,
    tile::{TileId, TilePath},
    witness_policy::WitnessPolicy,
};
use serde_json::{Value, json};

use crate::{
    forge::{Copy, market, purchase},
    support::{T0, agent, payload, sign},
};

/// An honest data directory to copy.
struct Honest {
    data: tempfile::TempDir,
    size: u64,
}

impl Honest {
    async fn new() -> Self {
        let service = market().await;
        let size = service.log_size();
        Self {
            data: service.stop().await,
            size,
        }
    }

    fn copy(&self) -> Copy {
        Copy::of(self.data.path())
    }
}

fn expect(found: &goodstanding::audit::Disagreement, code: &str, place: &Place) {
    assert_eq!((found.code(), found.place()), (code, place), "{found}");
    assert_eq!(found.to_json()["code"], code);
}

async fn disagrees(copy: &Copy, code: &str, place: &Place) -> goodstanding::audit::Disagreement {
    let found = copy.found(&Options::default()).await;
    expect(&found, code, place);
    found
}

#[tokio::test]
async fn the_honest_directory_agrees_also_when_it_is_signed_again() {
    let honest = Honest::new().await;
    let copy = honest.copy();
    let summary = copy.audit(&Options::default()).await.unwrap();
    assert_eq!(copy.resign().await, honest.size);
    let again = copy.audit(&Options::default()).await.unwrap();
    assert_eq!((summary.root, summary.size), (again.root, again.size));
}

#[tokio::test]
async fn tiles_entries_and_bodies() {
    let honest = Honest::new().await;
    let (full, edge) = (honest.size / 256, (honest.size % 256) as usize);
    for (level, n, width) in [
        (0, 0, 256),
        (0, full - 1, 256),
        (0, full, edge),
        (1, 0, usize::try_from(full).unwrap()),
    ] {
        let copy = honest.copy();
        copy.change_tile(level, n).await;
        let place = Place::Tile(TileId { level, n }.path(width));
        disagrees(&copy, "audit.tile_invalid", &place).await;
    }
    let copy = honest.copy();
    copy.sql(&["DELETE FROM tiles WHERE tree = 0 AND level = 0 AND n = 1"])
        .await;
    let place = Place::Tile(TileId { level: 0, n: 1 }.path(256));
    disagrees(&copy, "audit.missing", &place).await;

    for index in [40, 300, honest.size - 1] {
        let copy = honest.copy();
        copy.sql(&[&format!(
            "UPDATE entries SET bytes = cast(replace(bytes, '\"at\":1', '\"at\":2') AS BLOB) WHERE idx = {index}"
        )])
        .await;
        disagrees(&copy, "audit.entry_altered", &Place::Entry(index)).await;
    }
    let copy = honest.copy();
    copy.sql(&["DELETE FROM entries WHERE idx = 70"]).await;
    let place = Place::Tile(TilePath::entries(0, 256));
    disagrees(&copy, "audit.missing", &place).await;

    let copy = honest.copy();
    let other = purchase(7, "t-other", T0);
    copy.sql(&[&format!("UPDATE bodies SET jws = '{other}' WHERE idx = 41")])
        .await;
    disagrees(&copy, "audit.body_altered", &Place::Entry(41)).await;
    let copy = honest.copy();
    copy.sql(&["UPDATE bodies SET jws = substr(jws, 1, length(jws) - 2) || 'AA' WHERE idx = 42"])
        .await;
    disagrees(&copy, "audit.body_altered", &Place::Entry(42)).await;
    let copy = honest.copy();
    copy.sql(&["DELETE FROM bodies WHERE idx = 43"]).await;
    disagrees(&copy, "audit.body_missing", &Place::Entry(43)).await;
}

#[tokio::test]
async fn statements_and_salt_keys() {
    let honest = Honest::new().await;
    let copy = honest.copy();
    let agents: Vec<Did> = {
        let mut all: Vec<Did> = (0..8).chain(10..14).map(|n| agent(n).did()).collect();
        all.sort_unstable();
        all
    };
    let lift = "UPDATE statements SET claims = json_set(claims, '$.lower_bp', 9999) WHERE";
    copy.sql(&[&format!("{lift} epoch = 1 AND leaf = 3")]).await;
    let place = Place::Agent(1, agents[3]);
    let found = disagrees(&copy, "audit.statement_wrong", &place).await;
    assert!(
        found.detail().starts_with("lower_bp is 9999, recomputed "),
        "{found}"
    );

    let copy = honest.copy();
    copy.sql(&["DELETE FROM statements WHERE epoch = 2 AND leaf = 0"])
        .await;
    let found = disagrees(&copy, "audit.statement_wrong", &Place::Agent(2, agents[0])).await;
    assert!(found.detail().contains("not served"), "{found}");

    let (first, _) = copy.find(|e| e["kind"] == "epoch").await;
    let copy = honest.copy();
    copy.sql(&["UPDATE epochs SET salt_key = zeroblob(32) WHERE number = 1"])
        .await;
    disagrees(&copy, "audit.salt_key_wrong", &Place::Epoch(1, first)).await;
}

/// A change of an entry.
type Change = fn(&mut Value);

/// Changes members of the second epoch's entry and signs the log again.
async fn with_epoch(honest: &Honest, change: impl FnOnce(&mut Value)) -> (Copy, u64) {
    let copy = honest.copy();
    let (index, mut entry) = copy
        .find(|e| e["kind"] == "epoch" && e["number"] == 2)
        .await;
    change(&mut entry);
    copy.replace_entry(index, &entry).await;
    copy.resign().await;
    (copy, index)
}

#[tokio::test]
async fn epochs_signed_with_the_real_key() {
    let honest = Honest::new().await;
    let other_root = b64::std_encode([7; 32]);
    let (copy, index) = with_epoch(&honest, |e| e["score_root"] = json!(other_root)).await;
    let found = disagrees(&copy, "audit.score_root_wrong", &Place::Epoch(2, index)).await;
    assert!(found.detail().contains(&other_root), "{found}");

    let (copy, index) = with_epoch(&honest, |e| e["flags_root"] = json!(other_root)).await;
    disagrees(&copy, "audit.flags_root_wrong", &Place::Epoch(2, index)).await;
    let (copy, index) = with_epoch(&honest, |e| e["salt_key_sha256"] = json!(other_root)).await;
    disagrees(&copy, "audit.salt_key_wrong", &Place::Epoch(2, index)).await;

    let changes: [(&str, Change); 6] = [
        ("number 3", |e| e["number"] = json!(3)),
        ("as_of", |e| e["as_of"] = json!(T0 - 1)),
        ("after its own entry's time", |e| {
            e["as_of"] = json!(T0 + 9_999_999);
        }),
        ("policy", |e| e["policy"] = json!(3)),
        ("log_size", |e| e["log_size"] = json!(9_999_999)),
        ("code", |e| e["code"] = json!("goodstanding-score/1")),
    ];
    for (what, change) in changes {
        let (copy, index) = with_epoch(&honest, change).await;
        let number = if what == "number 3" { 3 } else { 2 };
        let found = disagrees(&copy, "audit.epoch_invalid", &Place::Epoch(number, index)).await;
        assert!(found.detail().contains(what), "{what}: {found}");
    }
    let (copy, index) = with_epoch(&honest, |e| e["statements"] = json!(3)).await;
    disagrees(&copy, "audit.epoch_invalid", &Place::Epoch(2, index)).await;
    // A prefix that leaves something out makes other scores.
    let (copy, _) = with_epoch(&honest, |e| e["log_size"] = json!(320)).await;
    let found = copy.found(&Options::default()).await;
    assert!(
        ["audit.score_root_wrong", "audit.epoch_invalid"].contains(&found.code()),
        "{found}"
    );
}

#[tokio::test]
async fn a_score_that_is_lied_about_from_statement_to_root() {
    use goodstanding_verify::{claims::Claims, frontier::Frontier, statement};
    use sqlx::Row as _;
    let honest = Honest::new().await;
    let copy = honest.copy();
    let liar = agent(12).did();
    copy.sql(&[&format!(
        "UPDATE statements SET claims = json_set(claims, '$.lower_bp', 9999) WHERE epoch = 2 AND agent = \
         (SELECT id FROM agents WHERE key = x'{}')",
        goodstanding_verify::digest::to_hex(liar.key_bytes())
    )])
    .await;
    // The root is made over the lie, so that statements, salts and root all fit together.
    let mut db = copy.connect().await;
    let salt: Vec<u8> = sqlx::query_scalar("SELECT salt_key FROM epochs WHERE number = 2")
        .fetch_one(&mut db)
        .await
        .unwrap();
    let rows = sqlx::query(
        "SELECT a.key, s.claims FROM statements s JOIN agents a ON a.id = s.agent WHERE epoch = 2 ORDER BY leaf",
    )
    .fetch_all(&mut db)
    .await
    .unwrap();
    let mut tree = Frontier::default();
    for row in &rows {
        let key: [u8; 32] = row.get::<&[u8], _>(0).try_into().unwrap();
        let did = Did::from_key_bytes(&key).unwrap();
        let claims: Claims = serde_json::from_str(row.get(1)).unwrap();
        let salt = salt.as_slice().try_into().unwrap();
        let disclosures = statement::disclosures(&claims, salt, &did).unwrap();
        let digests = disclosures.iter().map(|d| d.digest);
        tree.push(
            statement::Statement::new(did, 2, digests)
                .unwrap()
                .leaf_hash(),
        );
    }
    drop(db);
    let (index, mut entry) = copy
        .find(|e| e["kind"] == "epoch" && e["number"] == 2)
        .await;
    entry["score_root"] = json!(b64::std_encode(tree.root()));
    copy.replace_entry(index, &entry).await;
    copy.resign().await;
    let found = disagrees(&copy, "audit.score_root_wrong", &Place::Agent(2, liar)).await;
    assert!(
        found.detail().starts_with("lower_bp is 9999, recomputed "),
        "{found}"
    );
}

#[tokio::test]
async fn entries_signed_with_the_real_key() {
    let honest = Honest::new().await;
    // Log time goes back.
    let copy = honest.copy();
    let mut entry = copy.entries().await[60].clone();
    entry["at"] = json!(1);
    copy.replace_entry(60, &entry).await;
    copy.resign().await;
    disagrees(&copy, "audit.time_backwards", &Place::Entry(60)).await;

    // A key that was never added is revoked; one is added twice.
    for (action, other) in [("revoke", true), ("add", false)] {
        let copy = honest.copy();
        let (_, mut entry) = copy.find(|e| e["kind"] == "key").await;
        entry["at"] = json!(copy.now().await);
        entry["action"] = json!(action);
        if other {
            entry["jwk"] = agent(77).jwk();
        }
        let index = copy.append(&entry, None).await;
        copy.resign().await;
        let found = disagrees(&copy, "audit.key_event_invalid", &Place::Entry(index)).await;
        assert_eq!(found.cause(), Some("key.event_invalid"));
    }
    // A policy version is left out; a policy that is none.
    let copy = honest.copy();
    let (index, mut entry) = copy
        .find(|e| e["kind"] == "policy" && e["version"] == 3)
        .await;
    entry["version"] = json!(4);
    copy.replace_entry(index, &entry).await;
    copy.resign().await;
    disagrees(&copy, "audit.policy_invalid", &Place::Entry(index)).await;
    entry["version"] = json!(3);
    entry["policy"]["detection"] = json!(1);
    copy.replace_entry(index, &entry).await;
    copy.resign().await;
    disagrees(&copy, "audit.policy_invalid", &Place::Entry(index)).await;

    // Bytes that are no entry, and an entry of a kind that nobody knows.
    for (kind, code) in [
        ("report", "audit.entry_invalid"),
        ("rumour", "log.unsupported_version"),
    ] {
        let copy = honest.copy();
        let entry = json!({"v": 1, "kind": kind, "at": copy.now().await, "rumour": "x"});
        let index = copy.append(&entry, None).await;
        copy.resign().await;
        disagrees(&copy, code, &Place::Entry(index)).await;
    }
}

#[tokio::test]
async fn entries_whose_rules_nobody_wrote_yet_stop_the_audit() {
    let honest = Honest::new().await;
    let id = goodstanding_verify::b64::url_encode([7; 32]);
    let (old, new) = (agent(1).did().to_string(), agent(50).did().to_string());
    for (kind, members) in [
        ("rotation", json!({"id": id, "old": old, "new": new})),
        ("recovery", json!({"id": id, "agent": old})),
        ("reply", json!({"id": id, "report": id})),
        ("appeal", json!({"id": id, "flag": id})),
        ("decision", json!({"id": id, "flag": id})),
    ] {
        let copy = honest.copy();
        let mut entry = members;
        entry["v"] = json!(1);
        entry["kind"] = json!(kind);
        entry["at"] = json!(copy.now().await);
        let index = copy.append(&entry, None).await;
        copy.resign().await;
        let place = Place::Entry(index);
        let found = disagrees(&copy, "log.unsupported_version", &place).await;
        assert!(found.detail().contains(kind), "{found}");
    }
}

#[tokio::test]
async fn reports_that_should_not_have_been_admitted() {
    let honest = Honest::new().await;
    let admitted = async |jws: &str, code: &str, cause: Option<&str>| {
        let copy = honest.copy();
        let index = copy.append_report(jws, copy.now().await).await;
        copy.resign().await;
        let found = disagrees(&copy, code, &Place::Entry(index)).await;
        assert_eq!(found.cause(), cause, "{found}");
    };
    let (buyer, seller) = (agent(2), agent(11));
    let now = T0 + 3600;
    let report = |change: &dyn Fn(&mut Value)| {
        let mut payload = payload(&buyer, &seller, "t-new", now);
        change(&mut payload);
        sign(&buyer, &payload)
    };
    // One that is right is admitted, so that the others show what they are about.
    let copy = honest.copy();
    copy.append_report(&report(&|_| ()), copy.now().await).await;
    copy.resign().await;
    copy.audit(&Options::default()).await.unwrap();

    let jti = json!(payload(&buyer, &seller, "t-2", now)["jti"]);
    admitted(
        &report(&|p| p["jti"] = jti.clone()),
        "audit.jti_reused",
        None,
    )
    .await;
    admitted(&purchase(5, "t-5", T0 - 60), "audit.report_duplicate", None).await;
    let taken = report(&|p| {
        p["sub"] = json!(agent(12).did());
        p["trade"]["id"] = json!("t-2");
        p["jti"] = json!("another jti");
    });
    let conflict = Some("report.trade_already_reported");
    admitted(&taken, "audit.supersession_invalid", conflict).await;
    let nobody = json!(b64::url_encode([1; 32]));
    let wrong = report(&|p| p["supersedes"] = nobody.clone());
    let cause = Some("report.supersedes_wrong");
    admitted(&wrong, "audit.supersession_invalid", cause).await;
    let old = report(&|p| p["trade"]["closed_at"] = json!(T0 - 40 * 86_400));
    admitted(&old, "audit.report_invalid", Some("report.too_old")).await;
    let future = report(&|p| p["iat"] = json!(now + 1000));
    admitted(&future, "audit.report_invalid", Some("report.future_dated")).await;
    let own = report(&|p| p["sub"] = p["iss"].clone());
    admitted(&own, "audit.report_invalid", Some("report.self_rating")).await;
    // Signed by somebody else.
    let good = report(&|_| ());
    let stolen = report(&|p| p["jti"] = json!("another jti"));
    let (input, _) = good.rsplit_once('.').unwrap();
    let (_, signature) = stolen.rsplit_once('.').unwrap();
    let forged = format!("{input}.{signature}");
    let cause = Some("report.signature_invalid");
    admitted(&forged, "audit.report_invalid", cause).await;
}

#[tokio::test]
async fn more_unilateral_reports_than_the_policy_allows() {
    let honest = Honest::new().await;
    let copy = honest.copy();
    let (loner, now) = (agent(500), T0 + 3600);
    let mut last = 0;
    for n in 0..101 {
        let jws = sign(
            &loner,
            &payload(&loner, &agent(11), &format!("alone-{n}"), now),
        );
        last = copy.append_report(&jws, copy.now().await).await;
        if n == 99 {
            copy.resign().await;
            copy.audit(&Options::default()).await.unwrap();
        }
    }
    copy.resign().await;
    let found = disagrees(&copy, "audit.quota_exceeded", &Place::Entry(last)).await;
    assert!(found.detail().contains("100 of 100"), "{found}");
    // Without epochs nobody knows whom flow reaches, so nothing is said about it.
    let options = Options {
        no_epochs: true,
        ..Options::default()
    };
    assert!(!copy.audit(&options).await.unwrap().quota_checked);
}

#[tokio::test]
async fn checkpoints_that_nobody_should_believe() {
    let honest = Honest::new().await;
    let size = honest.size;
    let place = Place::Checkpoint(size);
    let vkey = honest.copy().signer().vkey();
    // Signed by another key.
    let copy = honest.copy();
    let options = Options {
        log_key: Some(
            goodstanding::log::sign::LogSigner::new(copy.signer().origin(), agent(9))
                .verifier()
                .unwrap(),
        ),
        ..Options::default()
    };
    let found = copy.found(&options).await;
    expect(&found, "audit.checkpoint_invalid", &place);
    assert_eq!(found.cause(), Some("checkpoint.signature_invalid"));
    assert_eq!(found.notes().len(), 1);
    // Not witnessed as the auditor wants it.
    let witness = "witness.example/w1+df1c0a35+BIE5dw6ofRdfVqNUZsNMfszLjYqRtO43ol32D1uPybOU";
    let policy = format!("log {vkey}\nwitness w {witness}\nquorum w\n");
    let options = Options {
        witness_policy: Some(WitnessPolicy::parse(&policy).unwrap()),
        ..Options::default()
    };
    let found = honest.copy().found(&options).await;
    expect(&found, "audit.checkpoint_invalid", &place);
    assert_eq!(found.cause(), Some("checkpoint.quorum_missed"));
}
