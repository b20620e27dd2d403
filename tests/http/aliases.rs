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
