//! Reports: admission, idempotence, conflicts, quotas, and every refusal with its own code and nothing stored.

use goodstanding::config::Config;
use serde_json::{Value, json};

use crate::support::{Service, T0, agent, payload, report, sign, vectors};

#[tokio::test]
async fn a_report_is_durable_proven_and_recognised() {
    let service = Service::start(T0).await;
    let (alice, bob) = (agent(1), agent(2));
    let jws = report(&alice, &bob, "t-1", T0 - 60);
    let (status, answer) = service.submit(&jws).await;
    assert_eq!(status, 201, "{answer}");
    assert_eq!(answer["witnessed"], false);
    let index = answer["leaf_index"].as_u64().unwrap();
    let id = answer["report_id"].as_str().unwrap();
    service
        .check_receipt(answer["receipt"].as_str().unwrap(), id, index)
        .await;

    // The same bytes again are the same report, with a receipt that still proves.
    let size = service.log_size();
    let (status, again) = service.submit(&jws).await;
    assert_eq!((status, &again["leaf_index"]), (200, &answer["leaf_index"]));
    service
        .check_receipt(again["receipt"].as_str().unwrap(), id, index)
        .await;
    assert_eq!(service.log_size(), size);

    service.app.log.publish().await.unwrap();
    let receipt = service.get(&format!("/v1/reports/{id}/receipt")).await;
    assert_eq!(
        receipt.headers()["content-type"],
        "text/plain; charset=utf-8"
    );
    service
        .check_receipt(&receipt.text().await.unwrap(), id, index)
        .await;
    let shown = service.get_json(&format!("/v1/reports/{id}")).await;
    assert_eq!(
        (shown["jws"].as_str().unwrap(), &shown["level"]),
        (jws.as_str(), &json!("unilateral"))
    );
    service.stop().await;
}

#[tokio::test]
async fn every_refused_vector_has_its_code_and_leaves_nothing() {
    // Log time never goes back, so the log begins before the earliest case.
    let service = Service::start(T0 - 60 * 86_400).await;
    let size = service.log_size();
    let mut refused = 0;
    for case in vectors("reports.json") {
        let Some(code) = case["code"].as_str() else {
            continue;
        };
        // A file that ends in a newline is what `curl --data-binary @file` sends; the API takes it without the newline.
        if case["name"] == "trailing_newline" {
            continue;
        }
        let at = case["at"].as_u64().unwrap_or(T0 + 3600);
        service.clock.set_ms(at * 1000);
        let (status, problem) = service.submit(case["jws"].as_str().unwrap()).await;
        // A time case sent earlier may have moved log time on, which is why none of them may be admitted at all.
        assert_eq!(problem["code"], code, "{}: {problem}", case["name"]);
        assert_eq!(problem["status"], status);
        assert!((400..500).contains(&status), "{}", case["name"]);
        refused += 1;
    }
    assert!(
        refused >= 150,
        "only {refused} refused cases: are the vectors complete?"
    );
    assert_eq!(service.log_size(), size);
    service.stop().await;
}

#[tokio::test]
async fn a_trade_has_one_current_report_a_reporter() {
    let service = Service::start(T0).await;
    let (alice, bob) = (agent(1), agent(2));
    let first = payload(&alice, &bob, "t-1", T0 - 60);
    let (_, answer) = service.submit(sign(&alice, &first)).await;
    let first_id = answer["report_id"].clone();

    let mut second = first.clone();
    second["jti"] = json!("another-jti");
    second["outcome"]["quality_bp"] = json!(1000);
    let (status, problem) = service.submit(sign(&alice, &second)).await;
    assert_eq!(
        (status, &problem["code"]),
        (409, &json!("report.trade_already_reported"))
    );

    let mut same_jti = first.clone();
    same_jti["trade"]["id"] = json!("t-2");
    let (status, problem) = service.submit(sign(&alice, &same_jti)).await;
    assert_eq!(
        (status, &problem["code"]),
        (409, &json!("report.jti_conflict"))
    );

    let mut stray = first.clone();
    stray["jti"] = json!("a-third-jti");
    stray["trade"]["id"] = json!("t-3");
    stray["supersedes"] = first_id.clone();
    let (status, problem) = service.submit(sign(&alice, &stray)).await;
    assert_eq!(
        (status, &problem["code"]),
        (409, &json!("report.supersedes_wrong"))
    );

    second["supersedes"] = first_id.clone();
    let (status, answer) = service.submit(sign(&alice, &second)).await;
    assert_eq!(status, 201, "{answer}");
    let shown = service
        .get_json(&format!("/v1/reports/{}", first_id.as_str().unwrap()))
        .await;
    assert_eq!(
        (&shown["superseded"], &shown["level"]),
        (&json!(true), &Value::Null)
    );

    // The id of a trade belongs to its two parties: a third agent cannot occupy it.
    let carol = agent(3);
    let (status, _) = service.submit(report(&carol, &bob, "t-1", T0 - 60)).await;
    assert_eq!(status, 201);

    // Bob's side makes it a matched trade.
    let mut other_side = payload(&bob, &alice, "t-1", T0 - 60);
    other_side["trade"]["role"] = json!("seller");
    let (status, answer) = service.submit(sign(&bob, &other_side)).await;
    assert_eq!(status, 201, "{answer}");
    let shown = service
        .get_json(&format!(
            "/v1/reports/{}",
            answer["report_id"].as_str().unwrap()
        ))
        .await;
    assert_eq!(
        (&shown["level"], &shown["level_in_epoch"]),
        (&json!("matched"), &Value::Null)
    );
    service.stop().await;
}

#[tokio::test]
async fn lines_are_answered_in_order_also_when_they_depend_on_each_other() {
    let service = Service::start(T0).await;
    let (alice, bob) = (agent(1), agent(2));
    let first = report(&alice, &bob, "t-1", T0 - 60);
    let mut second = payload(&alice, &bob, "t-1", T0 - 60);
    second["jti"] = json!("another-jti");
    second["supersedes"] = json!(
        goodstanding_verify::report::Report::verify(&first)
            .unwrap()
            .id
            .to_string()
    );
    let lines = vec![
        first.clone(),
        "not a report".to_owned(),
        first.clone(),
        sign(&alice, &second),
        report(&alice, &alice, "t-2", T0 - 60),
        report(&bob, &alice, "t-3", T0 - 60),
    ];
    let answers = service.submit_lines(&lines).await;
    let begin = answers[0]["leaf_index"].as_u64().unwrap();
    assert_eq!(answers[1]["code"], "report.malformed");
    assert_eq!(answers[2], answers[0]);
    assert_eq!(answers[3]["leaf_index"], begin + 1);
    assert_eq!(answers[4]["code"], "report.self_rating");
    assert_eq!(answers[5]["leaf_index"], begin + 2);
    // A second time everything is where it was.
    let again = service.submit_lines(&lines).await;
    assert_eq!(answers, again);
    service.stop().await;
}

#[tokio::test]
async fn thousands_of_lines_keep_their_order_and_all_proofs_hold() {
    let service = Service::start(T0).await;
    let lines: Vec<String> = (0..2000)
        .map(|n| {
            report(
                &agent(n % 100),
                &agent(100 + n % 7),
                &format!("t-{n}"),
                T0 - 60,
            )
        })
        .collect();
    let answers = service.submit_lines(&lines).await;
    let begin = answers[0]["leaf_index"].as_u64().unwrap();
    for (n, answer) in (begin..).zip(&answers) {
        assert_eq!(answer["leaf_index"], n, "{answer}");
    }
    service.app.log.publish().await.unwrap();
    for n in [0, 1, 255, 256, 700, 1999] {
        let id = answers[n]["report_id"].as_str().unwrap();
        let proof = service
            .get(&format!("/v1/reports/{id}/receipt"))
            .await
            .text()
            .await
            .unwrap();
        service
            .check_receipt(&proof, id, answers[n]["leaf_index"].as_u64().unwrap())
            .await;
    }
    service.stop().await;
}

#[tokio::test]
async fn filters_and_pages() {
    let service = Service::start(T0).await;
    let lines: Vec<String> = (0..25)
        .map(|n| report(&agent(n % 5), &agent(9), &format!("t-{n}"), T0 - 60))
        .collect();
    service.submit_lines(&lines).await;
    let count = |page: &Value| page["items"].as_array().unwrap().len();
    let by = service
        .get_json(&format!("/v1/reports?reporter={}", agent(0).did()))
        .await;
    assert_eq!((count(&by), &by["next_cursor"]), (5, &Value::Null));
    let about = service
        .get_json(&format!("/v1/reports?subject={}&limit=10", agent(9).did()))
        .await;
    assert_eq!(count(&about), 10);
    let next = about["next_cursor"].as_str().unwrap();
    let rest = service
        .get_json(&format!(
            "/v1/reports?subject={}&limit=1000&cursor={next}",
            agent(9).did()
        ))
        .await;
    assert_eq!((count(&rest), &rest["next_cursor"]), (15, &Value::Null));
    let one = service
        .get_json("/v1/reports?market=https://market.example&trade_id=t-3")
        .await;
    assert_eq!(count(&one), 1);
    assert_eq!(
        count(&service.get_json("/v1/reports?market=elsewhere").await),
        0
    );
    assert_eq!(
        count(
            &service
                .get_json(&format!("/v1/reports?since={}", T0 + 1))
                .await
        ),
        0
    );
    assert_eq!(
        count(&service.get_json(&format!("/v1/reports?since={T0}")).await),
        25
    );
    for bad in [
        "subjekt=x",
        "subject=x",
        "limit=0",
        "limit=1001",
        "cursor=x",
        "since=-1",
        "since=1&since=2",
        "limit=1e3",
    ] {
        let response = service.get(&format!("/v1/reports?{bad}")).await;
        assert_eq!(response.status(), 400, "{bad}");
        assert_eq!(
            response.headers()["content-type"],
            "application/problem+json",
            "{bad}"
        );
    }
    service.stop().await;
}

#[tokio::test]
async fn a_key_without_standing_may_only_say_so_much_on_its_word_alone() {
    let service = Service::start(T0).await;
    let lines: Vec<String> = (0..120)
        .map(|n| report(&agent(1), &agent(2), &format!("t-{n}"), T0 - 60))
        .collect();
    let answers = service.submit_lines(&lines).await;
    assert!(answers[..100].iter().all(|a| a["leaf_index"].is_u64()));
    assert!(
        answers[100..]
            .iter()
            .all(|a| a["code"] == "quota.unilateral"),
        "{}",
        answers[100]
    );
    // What the other side has reported is no longer one party's word.
    let mut matching = payload(&agent(2), &agent(1), "t-3", T0 - 60);
    matching["trade"]["role"] = json!("seller");
    assert_eq!(service.submit(sign(&agent(2), &matching)).await.0, 201);
    let (status, problem) = service.submit(&lines[119]).await;
    assert_eq!(
        (status, &problem["code"]),
        (429, &json!("quota.unilateral"))
    );
    // A day later the allowance is whole again.
    service.clock.set_ms((T0 + 86_401) * 1000);
    assert_eq!(service.submit(&lines[119]).await.0, 201);
    service.stop().await;
}

#[tokio::test]
async fn an_address_that_sends_too_much_is_told_when_to_come_back() {
    let config = Config {
        reports_per_minute: 5,
        ..Config::default()
    };
    let service = Service::configured(T0, config).await;
    for n in 0..5 {
        assert_eq!(
            service
                .submit(report(&agent(1), &agent(2), &format!("t-{n}"), T0 - 60))
                .await
                .0,
            201
        );
    }
    let response = service
        .post(
            "/v1/reports",
            "application/jwt",
            report(&agent(1), &agent(2), "t-9", T0 - 60),
        )
        .await;
    assert_eq!(response.status(), 429);
    let wait: u64 = response.headers()["retry-after"]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!((1..=60).contains(&wait));
    let problem: Value = response.json().await.unwrap();
    assert_eq!(problem["code"], "quota.address");
    service.stop().await;
}

#[tokio::test]
async fn bodies_that_are_not_reports() {
    let service = Service::start(T0).await;
    let cases: [(&str, String, u16, &str); 6] = [
        (
            "application/json",
            "{}".into(),
            415,
            "request.media_type_unsupported",
        ),
        ("", String::new(), 415, "request.media_type_unsupported"),
        (
            "application/jwt",
            "x".repeat(70_000),
            413,
            "request.body_too_large",
        ),
        (
            "application/jwt",
            "x".repeat(20_000),
            413,
            "report.too_large",
        ),
        (
            "application/x-ndjson",
            "x\n".repeat(10_001),
            413,
            "request.too_many_lines",
        ),
        (
            "application/x-ndjson",
            "x".repeat(33 * 1024 * 1024),
            413,
            "request.body_too_large",
        ),
    ];
    for (kind, body, status, code) in cases {
        let response = service.post("/v1/reports", kind, body).await;
        assert_eq!(response.status(), status, "{code}");
        let problem: Value = response.json().await.unwrap();
        assert_eq!(problem["code"], code);
    }
    let response = service
        .post("/v1/reports", "application/jwt", vec![0xff_u8, 0xfe])
        .await;
    assert_eq!(
        response.json::<Value>().await.unwrap()["code"],
        "request.body_unreadable"
    );
    service.stop().await;
}
