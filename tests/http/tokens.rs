//! Tokens end to end: over HTTP to the holder, offline at the verifier, and every part of them changed by one byte.

use goodstanding::keys::SecretKey;
use goodstanding_verify::{
    b64,
    bundle::TrustBundle,
    entry::KeyUse,
    sdjwt,
    token::{HolderCheck, Requirement, Requirements, verify},
};
use serde_json::{Value, json};

use crate::support::{Service, T0, agent, payload, sign};

const AUD: &str = "https://marketplace.example";
const NONCE: &str = "n-0S6_WzA2Mj";

/// A small market with matched trades, a policy with roots, and one published epoch.
async fn market() -> Service {
    let service = Service::start(T0).await;
    let mut lines = Vec::new();
    for n in 0..60 {
        let (buyer, seller) = (agent(n % 6), agent(10 + n % 4));
        let trade = format!("t-{n}");
        lines.push(sign(&buyer, &payload(&buyer, &seller, &trade, T0 - 60)));
        let mut other = payload(&seller, &buyer, &trade, T0 - 60);
        other["trade"]["role"] = json!("seller");
        lines.push(sign(&seller, &other));
    }
    assert!(
        service
            .submit_lines(&lines)
            .await
            .iter()
            .all(|a| a["leaf_index"].is_u64())
    );
    service.set_seeds(&[0, 1]).await;
    goodstanding::epoch::run(&service.app, None).await.unwrap();
    service.app.log.publish().await.unwrap();
    service
}

/// Asks for a token over HTTP with a proof of possession.
async fn request(service: &Service, holder: &SecretKey) -> (u16, Value) {
    let nonce: Value = service
        .post("/oid4vci/nonce", "", "")
        .await
        .json()
        .await
        .unwrap();
    let now = service.clock.now_s();
    let proof = goodstanding::token::possession::prove(
        holder,
        &service.app.issuer,
        nonce["c_nonce"].as_str().unwrap(),
        now,
    )
    .unwrap();
    let response = service.post("/v1/tokens", "application/jwt", proof).await;
    (response.status().as_u16(), response.json().await.unwrap())
}

/// Presents a token with chosen disclosures and a key-binding JWT.
fn present(token: &str, holder: &SecretKey, names: &[&str]) -> String {
    bind(&sdjwt::select(token, names).unwrap(), holder, NONCE)
}

fn bind(presentation: &str, holder: &SecretKey, nonce: &str) -> String {
    let claims =
        json!({"iat": T0, "aud": AUD, "nonce": nonce, "sd_hash": sdjwt::sd_hash(presentation)});
    let header = jsonwebtoken::Header {
        typ: Some("kb+jwt".into()),
        ..jsonwebtoken::Header::new(jsonwebtoken::Algorithm::EdDSA)
    };
    let jwt =
        goodstanding::keys::jwt::sign_with_header(holder.signing(), &header, &claims).unwrap();
    format!("{presentation}{jwt}")
}

fn required() -> Requirements {
    Requirements::new(HolderCheck::Required {
        aud: AUD.into(),
        nonce: NONCE.into(),
    })
}

const USUAL: [&str; 3] = ["lower_bp", "state", "flags"];

#[tokio::test]
async fn a_token_travels_from_request_to_offline_verification() {
    let service = market().await;
    let holder = agent(10);
    let (status, issued) = request(&service, &holder).await;
    assert_eq!(status, 200, "{issued}");
    let token = issued["token"].as_str().unwrap();
    let bundle_jws = service.get("/v1/trust-bundle").await.text().await.unwrap();
    let (_, uri) = status_uri(token);
    let list = service
        .get(uri.strip_prefix(&service.url).unwrap())
        .await
        .text()
        .await
        .unwrap();
    service.stop().await;

    // From here on nothing is asked of the service: it does not exist any more.
    let bundle = TrustBundle::parse(&bundle_jws, None, T0).unwrap();
    let verdict = verify(
        &present(token, &holder, &USUAL),
        &bundle,
        &required(),
        None,
        T0,
    )
    .unwrap();
    let shown = serde_json::to_value(&verdict).unwrap();
    assert_eq!(
        (&shown["holder"], &shown["witnessed"], &shown["status"]),
        (&json!("proven"), &json!("unwitnessed"), &json!("unchecked"))
    );
    assert_eq!(shown["subject"], holder.did().to_string());
    assert_eq!(shown["claims"].as_object().unwrap().len(), 3);
    assert!(shown["claims"]["lower_bp"].as_u64().unwrap() > 0);

    let checked = verify(
        &present(token, &holder, &USUAL),
        &bundle,
        &required(),
        Some(&list),
        T0,
    )
    .unwrap();
    assert_eq!(serde_json::to_value(&checked).unwrap()["status"], "valid");

    let waived = Requirements::new(HolderCheck::Waived);
    let verdict = verify(token, &bundle, &waived, None, T0).unwrap();
    assert_eq!(
        serde_json::to_value(&verdict).unwrap()["holder"],
        "not proven"
    );
    assert!(verdict.claims.len() >= 20);

    let code = |result: Result<_, goodstanding_verify::Error>| result.unwrap_err().code().as_str();
    assert_eq!(
        code(verify(token, &bundle, &required(), None, T0)),
        "holder.missing"
    );
    assert_eq!(
        code(verify(
            &present(token, &holder, &["lower_bp"]),
            &bundle,
            &required(),
            None,
            T0
        )),
        "claims.required_missing"
    );
    assert_eq!(
        code(verify(
            &present(token, &agent(11), &USUAL),
            &bundle,
            &required(),
            None,
            T0
        )),
        "holder.signature_invalid"
    );
    assert_eq!(
        code(verify(
            &present(token, &holder, &USUAL),
            &bundle,
            &required(),
            None,
            T0 + 90_000
        )),
        "token.expired"
    );
    let fresh = Requirements {
        max_age_s: Some(10),
        ..required()
    };
    let late = bind(&sdjwt::select(token, &USUAL).unwrap(), &holder, NONCE);
    assert_eq!(
        code(verify(&late, &bundle, &fresh, None, T0 + 60)),
        "freshness.too_old"
    );
    let strict = Requirements {
        min_lower_bp: Some(10_000),
        ..required()
    };
    assert_eq!(
        code(verify(
            &present(token, &holder, &USUAL),
            &bundle,
            &strict,
            None,
            T0
        )),
        "claims.lower_bound_too_low"
    );
    let strict = Requirements {
        require: vec![Requirement::parse("lower_gte_9000=true").unwrap()],
        ..required()
    };
    assert_eq!(
        code(verify(
            &present(
                token,
                &holder,
                &["lower_bp", "state", "flags", "lower_gte_9000"]
            ),
            &bundle,
            &strict,
            None,
            T0
        )),
        "claims.requirement_unmet"
    );
}

fn status_uri(token: &str) -> (u64, String) {
    let payload = payload_of(token);
    let place = &payload["status"]["status_list"];
    (
        place["idx"].as_u64().unwrap(),
        place["uri"].as_str().unwrap().to_owned(),
    )
}

fn payload_of(token: &str) -> Value {
    let jwt = token.split('~').next().unwrap();
    serde_json::from_slice(&b64::url_decode(jwt.split('.').nth(1).unwrap()).unwrap()).unwrap()
}

/// Re-signs the token's payload after a change, as only a dishonest issuer could, and presents it.
fn resigned(
    service: &Service,
    token: &str,
    holder: &SecretKey,
    change: impl FnOnce(&mut Value),
) -> String {
    let mut payload = payload_of(token);
    change(&mut payload);
    let now = service.clock.now_s();
    let key = goodstanding::token::keys::signing_key(&service.app, KeyUse::Token, now).unwrap();
    let jwt = key.sign_service("dc+sd-jwt", &payload).unwrap();
    let disclosures = token.split_once('~').unwrap().1;
    present(&format!("{jwt}~{disclosures}"), holder, &USUAL)
}

/// Changes one character in the middle of a text to another of the same alphabet.
fn flip(text: &str, at: usize) -> String {
    let mut bytes = text.as_bytes().to_vec();
    bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
    String::from_utf8(bytes).unwrap()
}

#[tokio::test]
async fn one_byte_changed_anywhere_is_rejected_with_the_code_of_that_place() {
    let service = market().await;
    let holder = agent(10);
    let (_, issued) = request(&service, &holder).await;
    let token = issued["token"].as_str().unwrap();
    let bundle = TrustBundle::parse(
        &service.get("/v1/trust-bundle").await.text().await.unwrap(),
        None,
        T0,
    )
    .unwrap();
    let verdict = |presented: &str| match verify(presented, &bundle, &required(), None, T0) {
        Ok(_) => "accepted",
        Err(error) => error.code().as_str(),
    };
    let good = present(token, &holder, &USUAL);
    assert_eq!(verdict(&good), "accepted");

    // As anyone who handles the token could change it.
    let jwt_end = good.find('~').unwrap();
    let payload_start = good.find('.').unwrap() + 1;
    let signature_start = good[..jwt_end].rfind('.').unwrap();
    let payload = b64::url_decode(&good[payload_start..signature_start]).unwrap();
    let digest = payload.windows(7).position(|w| w == b"\"_sd\":[").unwrap() + 12;
    let changed = b64::url_encode(flip(std::str::from_utf8(&payload).unwrap(), digest).as_bytes());
    let changed = format!(
        "{}{changed}{}",
        &good[..payload_start],
        &good[signature_start..]
    );
    assert_eq!(verdict(&changed), "token.signature_invalid");
    assert_eq!(
        verdict(&flip(&good, jwt_end - 20)),
        "token.signature_invalid"
    );
    let stripped = sdjwt::select(token, &USUAL).unwrap();
    // A character of the salt: what is left is still a disclosure, but not one that the issuer committed to.
    let disclosure = stripped.split('~').nth(1).unwrap();
    let plain = String::from_utf8(b64::url_decode(disclosure).unwrap()).unwrap();
    let other = b64::url_encode(flip(&plain, 5).as_bytes());
    assert_eq!(
        verdict(&bind(
            &stripped.replacen(disclosure, &other, 1),
            &holder,
            NONCE
        )),
        "disclosure.unmatched"
    );
    // Disclosures come before the key binding, so the same change without a new binding is the same refusal.
    assert_eq!(
        verdict(&good.replacen(disclosure, &other, 1)),
        "disclosure.unmatched"
    );
    assert_eq!(
        verdict(&flip(&good, good.len() - 20)),
        "holder.signature_invalid"
    );

    // As the issuer itself could, who holds the token key but cannot rewrite the log.
    let anchor = payload_of(token)["anchor"].clone();
    let change = |name: &'static str, text: String| {
        move |payload: &mut Value| payload["anchor"][name] = text.into()
    };
    let path = anchor["path"].as_str().unwrap();
    assert_eq!(
        verdict(&resigned(
            &service,
            token,
            &holder,
            change("path", flip(path, 5))
        )),
        "anchor.statement_not_in_tree"
    );
    let proof = anchor["proof"].as_str().unwrap();
    let hash = proof.find("index").unwrap() + 20;
    assert_eq!(
        verdict(&resigned(
            &service,
            token,
            &holder,
            change("proof", flip(proof, hash))
        )),
        "anchor.entry_not_in_log"
    );
    let signature = proof.rfind(' ').unwrap() + 20;
    assert_eq!(
        verdict(&resigned(
            &service,
            token,
            &holder,
            change("proof", flip(proof, signature))
        )),
        "checkpoint.signature_invalid"
    );
    // The root inside the checkpoint: the path no longer leads to it, before its signature is even looked at.
    let root = proof.find("\n\n").unwrap()
        + proof[proof.find("\n\n").unwrap() + 2..]
            .match_indices('\n')
            .nth(1)
            .unwrap()
            .0
        + 8;
    assert_eq!(
        verdict(&resigned(
            &service,
            token,
            &holder,
            change("proof", flip(proof, root))
        )),
        "anchor.entry_not_in_log"
    );
    let entry = anchor["epoch_entry"].as_str().unwrap();
    let in_root = entry.find("\"score_root\":\"").unwrap() + 20;
    assert_eq!(
        verdict(&resigned(
            &service,
            token,
            &holder,
            change("epoch_entry", flip(entry, in_root))
        )),
        "anchor.statement_not_in_tree"
    );
    let inflated = resigned(&service, token, &holder, |payload| {
        payload["epoch"] = json!(2);
    });
    assert_eq!(verdict(&inflated), "anchor.epoch_mismatch");
    let other = resigned(&service, token, &holder, |payload| {
        payload["sub"] = json!(agent(11).did().to_string());
    });
    assert_eq!(verdict(&other), "token.holder_key_mismatch");
    // A digest nobody disclosed, changed near its end so that the order stays: the statement is another one.
    let disclosed: Vec<String> = stripped
        .split('~')
        .skip(1)
        .filter(|d| !d.is_empty())
        .map(sdjwt::digest)
        .collect();
    let swapped = resigned(&service, token, &holder, |payload| {
        let sd = payload["_sd"].as_array_mut().unwrap();
        let hidden = sd
            .iter_mut()
            .find(|d| !disclosed.iter().any(|known| *d == known))
            .unwrap();
        *hidden = flip(hidden.as_str().unwrap(), 40).into();
    });
    assert_eq!(verdict(&swapped), "anchor.statement_not_in_tree");

    // The trust bundle cannot be changed either: here, whose it says it is.
    let jws = service.get("/v1/trust-bundle").await.text().await.unwrap();
    let mut parts: Vec<String> = jws.split('.').map(str::to_owned).collect();
    let payload = String::from_utf8(b64::url_decode(&parts[1]).unwrap()).unwrap();
    parts[1] = b64::url_encode(payload.replacen("http://127", "http://128", 1).as_bytes());
    let changed = TrustBundle::parse(&parts.join("."), None, T0);
    assert_eq!(
        changed.unwrap_err().code().as_str(),
        "bundle.signature_invalid"
    );
    service.stop().await;
}

#[tokio::test]
async fn tokens_are_given_to_the_holder_of_the_key_only() {
    let service = market().await;
    let holder = agent(10);
    let prove = |issuer: &str, nonce: &str, now: u64| {
        goodstanding::token::possession::prove(&holder, issuer, nonce, now).unwrap()
    };
    let post = async |proof: String| {
        let response = service.post("/v1/tokens", "application/jwt", proof).await;
        (
            response.status().as_u16(),
            response.json::<Value>().await.unwrap()["code"].clone(),
        )
    };
    let nonce = async || {
        let answer: Value = service
            .post("/oid4vci/nonce", "", "")
            .await
            .json()
            .await
            .unwrap();
        answer["c_nonce"].as_str().unwrap().to_owned()
    };
    let issuer = service.app.issuer.clone();
    assert_eq!(
        post("x".into()).await,
        (422, "token.holder_unproven".into())
    );
    assert_eq!(
        post(prove("https://other.example", &nonce().await, T0)).await,
        (422, "token.holder_unproven".into())
    );
    assert_eq!(
        post(prove(&issuer, "made-up", T0)).await,
        (400, "token.nonce_unknown".into())
    );
    assert_eq!(
        post(prove(&issuer, &nonce().await, T0 - 900)).await,
        (422, "token.holder_unproven".into())
    );
    let good = prove(&issuer, &nonce().await, T0);
    assert_eq!(
        post(flip(&good, good.len() - 10)).await,
        (422, "token.holder_unproven".into())
    );
    assert_eq!(post(good.clone()).await.0, 200);
    assert_eq!(post(good).await, (400, "token.nonce_unknown".into()));
    // A report is signed by the same key, but it is no proof.
    let report = sign(&holder, &payload(&holder, &agent(0), "t-900", T0));
    assert_eq!(post(report).await, (422, "token.holder_unproven".into()));
    // An agent that no epoch knows has nothing to be certified.
    let stranger = agent(999);
    assert_eq!(
        request(&service, &stranger).await.1["code"],
        "agent.unknown"
    );
    service.stop().await;
}

#[tokio::test]
async fn statements_can_be_rebuilt_by_anyone_from_what_is_served() {
    use goodstanding_verify::{claims::Claims, did::Did, merkle, statement};
    let service = market().await;
    let epoch = service.get_json("/v1/epochs/1").await;
    let salt = service.get_json("/v1/epochs/1/salt-key").await;
    let salt: [u8; 32] = b64::std_decode(salt["salt_key"].as_str().unwrap())
        .unwrap()
        .try_into()
        .unwrap();
    let commitment = b64::std_encode(goodstanding_verify::digest::sha256(&salt).0);
    assert_eq!(epoch["salt_key_sha256"], commitment);
    let statements = service
        .get("/v1/epochs/1/statements")
        .await
        .text()
        .await
        .unwrap();
    let mut leaves = Vec::new();
    for line in statements.lines() {
        let row: Value = serde_json::from_str(line).unwrap();
        let did: Did = row["agent"].as_str().unwrap().parse().unwrap();
        let claims: Claims = serde_json::from_value(row["claims"].clone()).unwrap();
        let disclosures = statement::disclosures(&claims, &salt, &did).unwrap();
        leaves.push(
            statement::Statement::new(did, 1, disclosures.iter().map(|d| d.digest))
                .unwrap()
                .leaf_hash(),
        );
    }
    assert_eq!(leaves.len(), 10);
    assert_eq!(epoch["score_root"], b64::std_encode(merkle::root(&leaves)));
    let agent_page = service
        .get_json(&format!("/v1/agents/{}", agent(10).did()))
        .await;
    assert_eq!(agent_page["epoch"], 1);
    assert_eq!(
        service
            .get_json(&format!("/v1/agents/{}/history", agent(10).did()))
            .await["items"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    let explanation = service
        .get_json(&format!("/v1/agents/{}/explanation", agent(10).did()))
        .await;
    assert_eq!(explanation["epoch"], 1);
    service.stop().await;
}

#[tokio::test]
async fn an_epoch_recomputes_to_the_same_bytes_on_any_number_of_threads() {
    use goodstanding::epoch::{compute, evidence};
    let service = market().await;
    let stored = service.app.store.epoch(Some(1)).await.unwrap().unwrap();
    let entry = goodstanding::epoch::entry_of(&stored).unwrap();
    let store = service.app.store.as_ref();
    let (_, policy) = evidence::policy_at(store, entry.log_size).await.unwrap();
    let admitted = evidence::read(store, entry.log_size, entry.as_of)
        .await
        .unwrap();
    let logged = store.statements(1, 0, 1000).await.unwrap();
    for threads in [1, 2, 8] {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        let computed = pool
            .install(|| {
                compute::compute(
                    1,
                    entry.as_of,
                    admitted.clone(),
                    policy.clone(),
                    stored.salt_key,
                    0,
                )
            })
            .unwrap();
        assert_eq!(computed.score_root, entry.score_root.0, "{threads} threads");
        let claims: Vec<_> = computed
            .statements
            .into_iter()
            .map(|(agent, _, claims)| (agent, claims))
            .collect();
        let before: Vec<_> = logged.iter().map(|s| (s.agent, s.claims.clone())).collect();
        assert_eq!(claims, before, "{threads} threads");
    }
    service.stop().await;
}
