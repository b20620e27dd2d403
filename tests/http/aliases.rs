//! `/v1/aliases`: operators name agents and read the names, nobody else does either.

use std::collections::BTreeMap;

use goodstanding::token::access::Role;
use serde_json::{Value, json};

use crate::support::{Service, T0, agent};

async fn name(service: &Service, token: &str, body: &Value) -> (u16, Value) {
    let request = service.client.post(format!("{}/v1/aliases", service.url));
    let response = request.bearer_auth(token).json(body).send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

async fn list(service: &Service, token: &str, query: &str) -> (u16, Value) {
    let url = format!("{}/v1/aliases{query}", service.url);
    let request = service.client.get(url).bearer_auth(token);
    let response = request.send().await.unwrap();
    assert_eq!(response.headers()["cache-control"], "no-store");
    (response.status().as_u16(), response.json().await.unwrap())
}

/// Names and DIDs of agents `numbers`.
fn named(numbers: std::ops::Range<u32>) -> Value {
    let aliases: BTreeMap<_, _> = numbers
        .map(|n| (format!("agent-{n:02}"), agent(n).did().to_string()))
        .collect();
    json!({"aliases": aliases})
}

#[tokio::test]
async fn operators_name_agents_once_and_read_the_names_page_by_page() {
    let service = Service::start(T0).await;
    let token = service.bearer(Role::Operator);
    let done = name(&service, &token, &named(0..5)).await;
    assert_eq!(done, (200, json!({"named": 5, "new": 5})));
    let done = name(&service, &token, &named(0..7)).await;
    assert_eq!(done, (200, json!({"named": 7, "new": 2})));
    let (mut query, mut seen) = ("?limit=3".to_owned(), Vec::new());
    loop {
        let (status, page) = list(&service, &token, &query).await;
        assert_eq!(status, 200);
        seen.extend(page["items"].as_array().unwrap().clone());
        let Some(next) = page["next_cursor"].as_str() else {
            break;
        };
        query = format!("?limit=3&cursor={next}");
    }
    let names: Vec<_> = seen.iter().map(|i| i["alias"].as_str().unwrap()).collect();
    assert_eq!(names.len(), 7);
    assert!(names.is_sorted(), "{names:?}");
    assert_eq!(seen[3]["agent"], agent(3).did().to_string());
    let (_, one) = list(&service, &token, "?alias=agent-06").await;
    assert_eq!(one["items"], json!([seen[6]]));
    let (status, problem) = list(&service, &token, "?alias=nobody").await;
    assert_eq!((status, &problem["code"]), (404, &"agent.unknown".into()));
    service.stop().await;
}

#[tokio::test]
async fn what_is_no_name_or_another_agent_s_names_nobody() {
    let service = Service::start(T0).await;
    let token = service.bearer(Role::Operator);
    let did = agent(1).did().to_string();
    name(&service, &token, &json!({"aliases": {"alice": did}})).await;
    let other = agent(2).did().to_string();
    let long = "x".repeat(129);
    for (body, status, code) in [
        (
            json!({"aliases": {"bob": other, "alice": other}}),
            409,
            "agent.alias_taken",
        ),
        (
            json!({"aliases": {did.as_str(): other}}),
            400,
            "request.parameter_invalid",
        ),
        (
            json!({"aliases": {"": other}}),
            400,
            "request.parameter_invalid",
        ),
        (
            json!({"aliases": {long: other}}),
            400,
            "request.parameter_invalid",
        ),
        (
            json!({"aliases": {"bob": "did:web:x"}}),
            400,
            "request.parameter_invalid",
        ),
        (json!({"names": {}}), 400, "request.parameter_invalid"),
        (
            json!({"aliases": {"bob": "x".repeat(2 << 20)}}),
            413,
            "request.body_too_large",
        ),
    ] {
        let (got, problem) = name(&service, &token, &body).await;
        assert_eq!((got, &problem["code"]), (status, &code.into()), "{problem}");
    }
    let (_, all) = list(&service, &token, "").await;
    assert_eq!(all["items"], json!([{"alias": "alice", "agent": did}]));
    for role in [Role::Analyst, Role::Auditor] {
        let token = service.bearer(role);
        assert_eq!(name(&service, &token, &named(0..1)).await.0, 403);
        assert_eq!(list(&service, &token, "").await.0, 403);
    }
    assert_eq!(service.get("/v1/aliases").await.status(), 401);
    service.stop().await;
}

#[tokio::test]
async fn nobody_is_renamed_and_of_two_at_once_one_wins() {
    let service = Service::start(T0).await;
    let token = service.bearer(Role::Operator);
    let (one, two) = (agent(1).did().to_string(), agent(2).did().to_string());
    let first = json!({"aliases": {"alice": one}});
    assert_eq!(name(&service, &token, &first).await.0, 200);
    for refused in [
        json!({"aliases": {"alicia": one}}),
        json!({"aliases": {"bob": two, "bert": two}}),
        json!({"aliases": {"bob": two, "alicia": one}}),
    ] {
        let (status, problem) = name(&service, &token, &refused).await;
        assert_eq!(
            (status, &problem["code"]),
            (409, &"agent.alias_taken".into())
        );
    }
    let (_, all) = list(&service, &token, "").await;
    assert_eq!(all["items"], json!([{"alias": "alice", "agent": one}]));
    // Past the handler's own look, straight to the writer.
    let log = &service.app.log;
    let (did, other) = (agent(3).did(), agent(4).did());
    let (a, b) = tokio::join!(
        log.set_aliases(vec![("carl".to_owned(), did)]),
        log.set_aliases(vec![("carl".to_owned(), other)]),
    );
    assert_eq!(u8::from(a.is_ok()) + u8::from(b.is_ok()), 1);
    let refused = a.and(b).unwrap_err();
    assert_eq!(refused.code(), "agent.alias_taken");
    let renamed = log.set_aliases(vec![("ann".to_owned(), agent(1).did())]);
    assert_eq!(renamed.await.unwrap_err().code(), "agent.alias_taken");
    service.stop().await;
}

#[tokio::test]
async fn a_name_that_comes_twice_in_one_request_is_refused() {
    let service = Service::start(T0).await;
    let token = service.bearer(Role::Operator);
    let (one, two) = (agent(1).did(), agent(2).did());
    let url = format!("{}/v1/aliases", service.url);
    for body in [
        format!(r#"{{"aliases": {{"a": "{one}", "a": "{two}"}}}}"#),
        format!(r#"{{"aliases": {{"a": "{one}", "a": "{one}"}}}}"#),
        format!(r#"{{"aliases": {{"a": "{one}"}}, "aliases": {{"b": "{two}"}}}}"#),
    ] {
        let request = service.client.post(&url).bearer_auth(&token);
        let request = request.header("content-type", "application/json");
        let response = request.body(body).send().await.unwrap();
        assert_eq!(response.status(), 400);
        let problem: Value = response.json().await.unwrap();
        assert_eq!(problem["code"], "request.parameter_invalid");
    }
    assert_eq!(service.app.store.aliases().await.unwrap(), []);
    service.stop().await;
}

#[tokio::test]
async fn a_name_that_comes_between_two_pages_moves_no_other() {
    let service = Service::start(T0).await;
    let token = service.bearer(Role::Operator);
    name(&service, &token, &named(1..5)).await;
    let (_, page) = list(&service, &token, "?limit=2").await;
    let next = page["next_cursor"].as_str().unwrap();
    name(&service, &token, &named(0..1)).await;
    let (_, rest) = list(&service, &token, &format!("?limit=2&cursor={next}")).await;
    let names = rest["items"].as_array().unwrap().iter();
    let names: Vec<_> = names.map(|i| i["alias"].as_str().unwrap()).collect();
    assert_eq!(names, ["agent-03", "agent-04"]);
    assert_eq!(rest["next_cursor"], Value::Null);
    for cursor in ["x", "____", "AAAA"] {
        let query = format!("?cursor={cursor}");
        let (status, problem) = list(&service, &token, &query).await;
        assert_eq!(
            (status, &problem["code"]),
            (400, &"request.parameter_invalid".into()),
            "{cursor}"
        );
    }
    service.stop().await;
}
