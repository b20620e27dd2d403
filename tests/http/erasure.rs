//! Erasure: the tree stays, the bytes go, later epochs do without them, and only an operator may.

use goodstanding::token::access::{self, Role};
use goodstanding_verify::{
    entry::{Body, Entry, ErasureReason},
    report::ReportId,
};
use serde_json::{Value, json};

use crate::support::{Service, T0, agent, payload, report, sign};

fn operator(service: &Service) -> String {
    service.bearer(Role::Operator)
}

async fn erase(service: &Service, token: &str, id: &str, reason: &str) -> (u16, Value) {
    let response = service
        .client
        .post(format!("{}/v1/reports/{id}/erasure", service.url))
        .bearer_auth(token)
        .json(&json!({"reason": reason}))
        .send()
        .await
        .unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

async fn bodies(service: &Service) -> Vec<Value> {
    let text = service.get("/v1/log/bodies").await.text().await.unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

async fn claims_of(service: &Service, n: u32) -> Value {
    service
        .get_json(&format!("/v1/agents/{}", agent(n).did()))
        .await["claims"]
        .clone()
}

#[tokio::test]
async fn the_tree_stays_and_later_epochs_do_without_the_report() {
    let service = Service::start(T0).await;
    service.set_seeds(&[1]).await;
    let token = operator(&service);
    let jws = report(&agent(1), &agent(2), "to-be-erased", T0 - 60);
    let (_, first) = service.submit(&jws).await;
    service
        .submit(report(&agent(1), &agent(2), "stays", T0 - 60))
        .await;
    let id = first["report_id"].as_str().unwrap().to_owned();
    let index = first["leaf_index"].as_u64().unwrap();
    let old_receipt = first["receipt"].as_str().unwrap().to_owned();
    goodstanding::epoch::run(&service.app, None).await.unwrap();
    let explanation = format!("/v1/agents/{}/explanation", agent(2).did());
    assert_eq!(service.get(&explanation).await.status(), 200);
    let before = service.get("/v1/epochs/1/statements").await.text().await;
    assert_eq!(claims_of(&service, 2).await["reports"], 2);
    let size = service.log_size();

    let (status, mut erased) = erase(&service, &token, &id, "personal_data").await;
    assert_eq!(status, 201, "{erased}");
    let published = erased.as_object_mut().unwrap().remove("published");
    assert_eq!(published, Some(true.into()));
    assert_eq!(
        erased,
        json!({
            "report_id": id, "leaf_index": index, "erased": true, "reason": "personal_data",
            "erasure_index": size, "erased_at": T0 * 1000,
        })
    );
    // The log says it, and it is published.
    let entry = Entry::parse(&service.entry(size).await).unwrap();
    let Body::Erasure { of, reason } = entry.body else {
        panic!("{entry:?}")
    };
    assert_eq!(
        (of.to_string(), reason),
        (id.clone(), ErasureReason::PersonalData)
    );
    assert_eq!(service.log_size(), size + 1);

    // The report is known, but not its content; what proved that it is in the log still does.
    assert_eq!(service.get_json(&format!("/v1/reports/{id}")).await, erased);
    service.check_receipt(&old_receipt, &id, index).await;
    let receipt = service.get(&format!("/v1/reports/{id}/receipt")).await;
    assert_eq!(receipt.status(), 200);
    service
        .check_receipt(&receipt.text().await.unwrap(), &id, index)
        .await;
    let listed = service.get_json("/v1/reports").await;
    assert_eq!(listed["items"].as_array().unwrap().len(), 1);
    let streamed = bodies(&service).await;
    assert_eq!(streamed.len(), 2);
    assert_eq!(
        streamed[0],
        json!({"index": index, "kind": "report", "erased": true, "erased_by": size})
    );
    assert!(streamed[1]["jws"].is_string());

    // The epoch before stays as it was, but what made it is gone; the next one does without.
    assert_eq!(
        service
            .get("/v1/epochs/1/statements")
            .await
            .text()
            .await
            .unwrap(),
        before.unwrap()
    );
    let explained = service.get(&explanation).await;
    assert_eq!(explained.status(), 409);
    let problem: Value = explained.json().await.unwrap();
    assert_eq!(problem["code"], "epoch.not_recomputable");
    goodstanding::epoch::run(&service.app, None).await.unwrap();
    assert_eq!(service.get(&explanation).await.status(), 200);
    for n in [1, 2] {
        assert_eq!(claims_of(&service, n).await["erased_reports"], 1, "{n}");
    }
    assert_eq!(claims_of(&service, 2).await["reports"], 1);

    // Once is enough, and the same bytes do not come back.
    let (status, problem) = erase(&service, &token, &id, "malware").await;
    assert_eq!((status, &problem["code"]), (409, &json!("report.erased")));
    let (status, problem) = service.submit(&jws).await;
    assert_eq!((status, &problem["code"]), (409, &json!("report.erased")));
    service.stop().await;
}

#[tokio::test]
async fn only_an_operator_erases_only_what_is_there_and_only_for_a_listed_reason() {
    let service = Service::start(T0).await;
    let (_, first) = service
        .submit(report(&agent(1), &agent(2), "t", T0 - 60))
        .await;
    service.app.log.publish().await.unwrap();
    let id = first["report_id"].as_str().unwrap();
    let size = service.log_size();
    let roles = [Role::Analyst, Role::Auditor];
    let analyst = access::grant(&service.app, "a", &roles, 3600).unwrap();
    let operator = operator(&service);
    let unknown = ReportId([7; 32]).to_string();
    for (token, id, reason, status, code) in [
        (analyst.as_str(), id, "malware", 403, "auth.forbidden"),
        ("nonsense", id, "malware", 401, "auth.invalid"),
        (&operator, &unknown, "malware", 404, "report.unknown"),
        (&operator, "x", "malware", 400, "request.parameter_invalid"),
        (&operator, id, "spite", 400, "request.parameter_invalid"),
    ] {
        let (answered, problem) = erase(&service, token, id, reason).await;
        assert_eq!((answered, &problem["code"]), (status, &json!(code)));
    }
    let plain = service
        .post(
            &format!("/v1/reports/{id}/erasure"),
            "application/json",
            r#"{"reason":"malware"}"#,
        )
        .await;
    assert_eq!(plain.status(), 401);
    // An epoch that is being computed would see half of it.
    let running = service.app.epoch_running.lock().await;
    let (status, problem) = erase(&service, &operator, id, "malware").await;
    assert_eq!((status, &problem["code"]), (503, &json!("epoch.running")));
    drop(running);
    assert_eq!(service.log_size(), size);
    assert_eq!(bodies(&service).await.len(), 1);
    service.stop().await;
}

/// Three reports of one reporter on one trade, each replacing the one before: their ids.
async fn chain(service: &Service) -> [String; 3] {
    let mut ids = Vec::new();
    for n in 0..3 {
        let mut body = payload(&agent(1), &agent(2), "chain", T0 - 60);
        body["jti"] = json!(format!("jti-of-the-chain-{n}"));
        if let Some(last) = ids.last() {
            body["supersedes"] = json!(last);
        }
        let (status, answer) = service.submit(sign(&agent(1), &body)).await;
        assert_eq!(status, 201, "{answer}");
        ids.push(answer["report_id"].as_str().unwrap().to_owned());
    }
    ids.try_into().unwrap()
}

#[tokio::test]
async fn a_chain_closes_over_the_gap() {
    // Which of the three is erased, and which one counts afterwards.
    for (erased, counts) in [(0, 2), (1, 2), (2, 1)] {
        let service = Service::start(T0).await;
        let ids = chain(&service).await;
        let token = operator(&service);
        assert_eq!(
            erase(&service, &token, &ids[erased], "author_request")
                .await
                .0,
            201
        );
        for (n, id) in ids.iter().enumerate().filter(|(n, _)| *n != erased) {
            let shown = service.get_json(&format!("/v1/reports/{id}")).await;
            assert_eq!(shown["superseded"], n != counts, "{erased} {n}");
            assert_eq!(shown["level"].is_null(), n != counts, "{erased} {n}");
        }
        // What may come next is what replaces the one that counts.
        let mut next = payload(&agent(1), &agent(2), "chain", T0 - 60);
        next["jti"] = json!("jti-of-the-next-one");
        let (status, problem) = service.submit(sign(&agent(1), &next)).await;
        assert_eq!(
            (status, &problem["code"]),
            (409, &json!("report.trade_already_reported"))
        );
        next["supersedes"] = json!(ids[counts]);
        assert_eq!(service.submit(sign(&agent(1), &next)).await.0, 201);
        service.stop().await;
    }
}

/// Everything that lies in a data directory, its keys apart.
fn files(data: &std::path::Path) -> Vec<u8> {
    let mut all = Vec::new();
    for file in std::fs::read_dir(data).unwrap() {
        let path = file.unwrap().path();
        if path.is_file() {
            all.extend(std::fs::read(path).unwrap());
        }
    }
    all
}

fn finds(all: &[u8], text: &str) -> bool {
    all.windows(text.len()).any(|w| w == text.as_bytes())
}

#[tokio::test]
async fn a_reader_delays_the_last_bytes_and_a_crash_before_they_are_gone_is_mended() {
    use sqlx::{Connection as _, SqliteConnection};
    let service = Service::start(T0).await;
    let secret = "a-trade-id-that-somebody-is-reading";
    let (_, first) = service
        .submit(report(&agent(1), &agent(2), secret, T0 - 60))
        .await;
    let database = service.data.path().join("goodstanding.sqlite");
    let mut reader = SqliteConnection::connect(&format!("sqlite://{}?mode=ro", database.display()))
        .await
        .unwrap();
    for sql in ["BEGIN", "SELECT count(*) FROM bodies"] {
        sqlx::query(sql).fetch_all(&mut reader).await.unwrap();
    }
    let id = first["report_id"].as_str().unwrap();
    let token = operator(&service);
    assert_eq!(erase(&service, &token, id, "personal_data").await.0, 201);
    assert!(finds(&files(service.data.path()), secret));

    // What a machine that fails at this moment would find when it is back.
    let crashed = tempfile::tempdir().unwrap();
    for name in [
        "goodstanding.sqlite",
        "goodstanding.sqlite-wal",
        "head.guard",
        "log.state",
    ] {
        std::fs::copy(service.data.path().join(name), crashed.path().join(name)).unwrap();
    }
    std::fs::create_dir(crashed.path().join("keys")).unwrap();
    for key in std::fs::read_dir(service.data.path().join("keys")).unwrap() {
        let key = key.unwrap();
        std::fs::copy(
            key.path(),
            crashed.path().join("keys").join(key.file_name()),
        )
        .unwrap();
    }
    let open = goodstanding::app::Open {
        clock: service.clock.clone(),
        ..goodstanding::app::Open::new(crashed.path())
    };
    let app = goodstanding::app::App::open(open).await.unwrap();
    assert!(!finds(&files(crashed.path()), secret));
    let id = ReportId::parse(id).unwrap();
    assert!(app.store.erased(&id).await.unwrap().is_some());
    app.close().await;

    // And when the reader lets go, the writer gets them by itself.
    sqlx::query("ROLLBACK").execute(&mut reader).await.unwrap();
    while finds(&files(service.data.path()), secret) {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    reader.close().await.unwrap();
    service.stop().await;
}

#[tokio::test]
async fn what_only_the_erased_report_knew_is_gone_from_the_files() {
    let service = Service::start(T0).await;
    // Neighbours before and after, so that pages split and rows move.
    let lines = |from: u32, to: u32| -> Vec<String> {
        (from..to)
            .map(|n| {
                report(
                    &agent(n % 40),
                    &agent(50),
                    &format!("t-{:08}", n * 7919 % 1000),
                    T0 - 60,
                )
            })
            .collect()
    };
    service.submit_lines(&lines(0, 300)).await;
    let secret = "a-very-private-trade-id-of-somebody";
    let mut body = payload(&agent(77), &agent(78), secret, T0 - 60);
    body["trade"]["market"] = json!("https://a-very-private-market.example");
    body["jti"] = json!("a-very-private-jti");
    let jws = sign(&agent(77), &body);
    let (_, first) = service.submit(&jws).await;
    service.submit_lines(&lines(300, 600)).await;
    let parts: Vec<&str> = jws.split('.').collect();
    let (payload_part, signature) = (parts[1], parts[2]);
    let traces = [
        &payload_part[..60],
        &payload_part[payload_part.len() - 60..],
        signature,
        secret,
        "a-very-private-market",
        "a-very-private-jti",
    ];
    let held = files(service.data.path());
    for trace in traces {
        assert!(finds(&held, trace), "{trace} should have been there");
    }
    let id = first["report_id"].as_str().unwrap();
    let token = operator(&service);
    assert_eq!(erase(&service, &token, id, "personal_data").await.0, 201);
    let left = files(service.data.path());
    for trace in traces {
        assert!(!finds(&left, trace), "{trace} is still there");
    }
    // Parties that nothing else names are gone as well.
    assert!(!left.windows(32).any(|w| w == agent(77).did().key_bytes()));
    assert!(left.windows(32).any(|w| w == agent(50).did().key_bytes()));
    service.stop().await;
}

#[tokio::test]
async fn a_document_of_an_erased_report_bears_on_nothing_any_more() {
    let service = Service::start(T0).await;
    let attestor = agent(9);
    let attestation = |trade: &str| {
        let claims = json!({
            "iss": attestor.did().to_string(), "trade_id": trade, "market": "https://market.example",
            "buyer": agent(1).did().to_string(), "seller": agent(2).did().to_string(),
            "amount": "0.0001", "currency": "USDC", "outcome": "fulfilled", "iat": T0 - 60,
        });
        attestor
            .sign_agent("trade-attestation+jwt", &claims)
            .unwrap()
    };
    let mut body = payload(&agent(1), &agent(2), "attested", T0 - 60);
    body["evidence"] = json!([{"type": "market", "document": attestation("attested")}]);
    let (status, first) = service.submit(sign(&agent(1), &body)).await;
    assert_eq!(status, 201, "{first}");
    let sha256 = goodstanding_verify::digest::sha256(attestation("attested").as_bytes()).0;
    let known = service.app.store.known_documents(&[sha256]).await.unwrap();
    assert_eq!(known, [sha256]);
    let id = first["report_id"].as_str().unwrap();
    let token = operator(&service);
    assert_eq!(erase(&service, &token, id, "court_order").await.0, 201);
    let known = service.app.store.known_documents(&[sha256]).await.unwrap();
    assert!(known.is_empty());
    service.stop().await;
}
