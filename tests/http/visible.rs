//! `visibility = "auditors"`: who may read reports, agents, statements and salts, and what stays public.

use goodstanding::{
    config::{Config, Visibility},
    keys::SecretKey,
    token::{access::Role, possession},
};
use goodstanding_verify::{entry::ErasureReason, report::ReportId};
use serde_json::Value;

use crate::support::{Service, T0, agent, report};

async fn start() -> Service {
    let config = Config {
        visibility: Visibility::Auditors,
        ..Config::default()
    };
    Service::configured(T0, config).await
}

/// Status, code and headers of a `GET` with this `Authorization`.
async fn get(service: &Service, path: &str, authorization: Option<&str>) -> (u16, Value) {
    let mut request = service.client.get(format!("{}{path}", service.url));
    if let Some(value) = authorization {
        request = request.header("authorization", value);
    }
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    let cache = response.headers().get("cache-control").cloned();
    assert_eq!(cache.unwrap(), "no-store", "{path}: {status}");
    let text = response.text().await.unwrap();
    let first = text.lines().next().unwrap_or_default();
    (
        status,
        serde_json::from_str(&text)
            .or_else(|_| serde_json::from_str(first))
            .unwrap_or_default(),
    )
}

/// A fresh proof by this agent.
async fn proof(service: &Service, key: &SecretKey) -> String {
    let nonce = service.post("/oid4vci/nonce", "application/json", "").await;
    let nonce: Value = nonce.json().await.unwrap();
    let nonce = nonce["c_nonce"].as_str().unwrap();
    let proof = possession::prove(key, &service.app.issuer, nonce, T0).unwrap();
    format!("Proof {proof}")
}

/// Three reports, an epoch, and the paths of what the setting protects.
async fn market(service: &Service) -> (String, Vec<String>) {
    let (_, body) = service
        .submit(report(&agent(1), &agent(2), "t-1", T0 - 60))
        .await;
    let id = body["report_id"].as_str().unwrap().to_owned();
    for (by, on, trade) in [(2, 1, "t-1"), (3, 2, "t-3")] {
        let jws = report(&agent(by), &agent(on), trade, T0 - 50);
        assert_eq!(service.submit(jws).await.0, 201);
    }
    service.set_seeds(&[1]).await;
    goodstanding::epoch::run(&service.app, None).await.unwrap();
    service.app.log.publish().await.unwrap();
    let did = agent(2).did();
    let paths = vec![
        "/v1/reports".to_owned(),
        format!("/v1/reports/{id}"),
        format!("/v1/agents/{did}"),
        format!("/v1/agents/{did}/explanation"),
        format!("/v1/agents/{did}/history"),
        "/v1/epochs/1/statements".to_owned(),
        "/v1/epochs/1/salt-key".to_owned(),
        "/v1/log/bodies".to_owned(),
    ];
    (id, paths)
}

#[tokio::test]
async fn auditors_read_everything_others_what_the_log_itself_says() {
    let service = start().await;
    let (id, paths) = market(&service).await;
    let bearer = |role| format!("Bearer {}", service.bearer(role));
    let (auditor, operator) = (bearer(Role::Auditor), bearer(Role::Operator));
    for path in &paths {
        let (status, problem) = get(&service, path, None).await;
        assert_eq!(
            (status, &problem["code"]),
            (401, &"auth.missing".into()),
            "{path}"
        );
        let (status, problem) = get(&service, path, Some(&operator)).await;
        assert_eq!(
            (status, &problem["code"]),
            (403, &"auth.forbidden".into()),
            "{path}"
        );
        let (status, problem) = get(&service, path, Some("Bearer x.y.z")).await;
        assert_eq!(
            (status, &problem["code"]),
            (401, &"auth.invalid".into()),
            "{path}"
        );
        let (status, value) = get(&service, path, Some(&auditor)).await;
        assert_eq!(status, 200, "{path}: {value}");
        assert!(value.is_object(), "{path}");
    }
    // A HEAD says nothing either.
    let head = service
        .client
        .head(format!("{}/v1/log/bodies", service.url));
    assert_eq!(head.send().await.unwrap().status(), 401);
    // The log, its epochs and its receipts are what others hold it to.
    for path in [
        "/checkpoint".to_owned(),
        "/v1/epochs".to_owned(),
        "/v1/epochs/1".to_owned(),
        "/v1/keys".to_owned(),
        "/v1/trust-bundle".to_owned(),
        "/v1/log/checkpoints".to_owned(),
        format!("/v1/reports/{id}/receipt"),
        format!("/v1/log/inclusion?report={id}"),
    ] {
        assert_eq!(service.get(&path).await.status(), 200, "{path}");
    }
    // Writing is as open as ever.
    let (status, _) = service
        .submit(report(&agent(1), &agent(3), "t-9", T0 - 40))
        .await;
    assert_eq!(status, 201);
    service.stop().await;
}

#[tokio::test]
async fn an_agent_reads_its_own_with_a_proof_that_is_good_once() {
    let service = start().await;
    let (id, paths) = market(&service).await;
    let (one, two, three) = (agent(1), agent(2), agent(3));
    let did = two.did();
    let mine = [
        format!("/v1/agents/{did}"),
        format!("/v1/agents/{did}/explanation"),
        format!("/v1/agents/{did}/history"),
        format!("/v1/reports/{id}"),
        format!("/v1/reports?subject={did}"),
        format!("/v1/reports?reporter={did}"),
    ];
    for path in &mine {
        let fresh = proof(&service, &two).await;
        let (status, value) = get(&service, path, Some(&fresh)).await;
        assert_eq!(status, 200, "{path}: {value}");
        let (status, problem) = get(&service, path, Some(&fresh)).await;
        assert_eq!(
            (status, &problem["code"]),
            (400, &"token.nonce_unknown".into()),
            "{path}"
        );
    }
    // Its reporter reads the report as well, and a third party does not.
    let path = format!("/v1/reports/{id}");
    let by_one = proof(&service, &one).await;
    assert_eq!(get(&service, &path, Some(&by_one)).await.0, 200);
    for path in mine.iter().chain(&paths) {
        let by_three = proof(&service, &three).await;
        let (status, problem) = get(&service, path, Some(&by_three)).await;
        assert_eq!(
            (status, &problem["code"]),
            (403, &"auth.forbidden".into()),
            "{path}"
        );
    }
    // A key that the log has never heard of uses up no nonce.
    let stranger = proof(&service, &agent(99)).await;
    for _ in 0..2 {
        let (status, problem) = get(&service, &mine[0], Some(&stranger)).await;
        assert_eq!((status, &problem["code"]), (404, &"agent.unknown".into()));
    }
    let (status, problem) = get(&service, &mine[0], Some("Proof x.y.z")).await;
    assert_eq!(
        (status, &problem["code"]),
        (422, &"token.holder_unproven".into())
    );
    service.stop().await;
}

#[tokio::test]
async fn an_agent_is_shown_nothing_of_what_its_counterparties_are_worth() {
    let service = start().await;
    market(&service).await;
    let two = agent(2);
    let path = format!("/v1/agents/{}/explanation", two.did());
    let auditor = format!("Bearer {}", service.bearer(Role::Auditor));
    let (_, all) = get(&service, &path, Some(&auditor)).await;
    let fresh = proof(&service, &two).await;
    let (_, own) = get(&service, &path, Some(&fresh)).await;
    let mut expected = all;
    let contributions = expected["contributions"].as_array_mut().unwrap();
    assert!(!contributions.is_empty());
    for contribution in contributions {
        for name in ["flow_q48", "credibility_q32", "credibility_bp"] {
            let members = contribution.as_object_mut().unwrap();
            assert!(members.remove(name).is_some(), "{name}");
        }
    }
    assert_eq!(own, expected);
    assert!(own["credibility_q32"].is_u64(), "its own it sees");
    service.stop().await;
}

#[tokio::test]
async fn an_agent_whose_reports_were_all_erased_still_reads_its_statements() {
    let service = start().await;
    market(&service).await;
    let (_, body) = service
        .submit(report(&agent(1), &agent(4), "t-4", T0 - 45))
        .await;
    goodstanding::epoch::run(&service.app, None).await.unwrap();
    let id = ReportId::parse(body["report_id"].as_str().unwrap()).unwrap();
    let reason = ErasureReason::CourtOrder;
    let done = goodstanding::casework::erasure::erase(&service.app, id, reason).await;
    assert!(done.unwrap().published);
    let four = agent(4);
    let path = format!("/v1/agents/{}/history", four.did());
    let fresh = proof(&service, &four).await;
    let (status, history) = get(&service, &path, Some(&fresh)).await;
    assert_eq!(status, 200, "{history}");
    assert_eq!(history["items"][0]["epoch"], 2);
    service.stop().await;
}

/// The description offers an agent's proof exactly where one is of use.
#[tokio::test]
async fn a_proof_is_offered_where_it_opens_something() {
    let service = start().await;
    let (_, paths) = market(&service).await;
    let described = service.get_json("/openapi.json").await;
    let offered: Vec<_> = described["paths"]
        .as_object()
        .unwrap()
        .iter()
        .filter(|(_, operations)| {
            let security = operations["get"]["security"].as_array();
            security.is_some_and(|all| all.iter().any(|one| one.get("holder").is_some()))
        })
        .map(|(path, _)| path.as_str())
        .collect();
    assert_eq!(
        offered,
        [
            "/v1/agents/{did}",
            "/v1/agents/{did}/explanation",
            "/v1/agents/{did}/history",
            "/v1/reports",
            "/v1/reports/{id}",
        ]
    );
    let two = agent(2);
    for path in paths
        .iter()
        .filter(|path| path.starts_with("/v1/epochs/") || path.as_str() == "/v1/log/bodies")
    {
        let fresh = proof(&service, &two).await;
        assert_eq!(get(&service, path, Some(&fresh)).await.0, 403, "{path}");
    }
    service.stop().await;
}
