//! The API as documented: OpenAPI, error registry, unknown paths, epochs and their rights.

use serde_json::Value;

use crate::support::{Service, T0, agent, report};

#[test]
fn the_openapi_file_is_what_the_code_describes() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas/openapi.json");
    let text =
        serde_json::to_string_pretty(&goodstanding::http::openapi::document()).unwrap() + "\n";
    if std::env::var_os("UPDATE_OPENAPI").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    assert_eq!(
        std::fs::read_to_string(&path).unwrap(),
        text,
        "regenerate with UPDATE_OPENAPI=1 cargo test --test http openapi"
    );
}

#[tokio::test]
async fn every_documented_operation_exists_and_answers_as_documented() {
    let service = Service::start(T0).await;
    service
        .submit(report(&agent(1), &agent(2), "t-1", T0 - 60))
        .await;
    service.app.log.publish().await.unwrap();
    let document = service.get_json("/openapi.json").await;
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let concrete = path
                .replace("{id}", &"A".repeat(43))
                .replace("{did}", &agent(1).did().to_string())
                .replace("{number}", "1")
                .replace("{n}", "1")
                .replace("{path}", "0/000.p/1");
            let url = format!("{}{concrete}", service.url);
            let response = match method.as_str() {
                "get" => service.client.get(url).send().await.unwrap(),
                _ => service.client.post(url).send().await.unwrap(),
            };
            let status = response.status().as_u16().to_string();
            assert!(
                operation["responses"].get(&status).is_some(),
                "{method} {path} answered {status}, which is not documented"
            );
            assert_ne!(status, "405", "{method} {path}");
            if status.starts_with('4') || status.starts_with('5') {
                assert_eq!(
                    response.headers()["content-type"],
                    "application/problem+json",
                    "{method} {path}"
                );
                assert_ne!(
                    response.json::<Value>().await.unwrap()["code"],
                    "request.not_found",
                    "{method} {path} is not routed"
                );
            }
        }
    }
    service.stop().await;
}

#[tokio::test]
async fn the_error_registry_is_published_and_documented() {
    let service = Service::start(T0).await;
    let registry = service.get_json("/v1/errors").await;
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/ERRORS.md");
    let mut expected = String::from(
        "# Error codes\n\nStable: a code keeps its meaning and is never reused. Problems (RFC 9457) and the command line name them; \
         `GET /v1/errors` serves this list. A code with a status is one that HTTP answers carry.\n\n| code | status | title | what it means and what to do |\n|---|---|---|---|\n",
    );
    for row in registry["items"].as_array().unwrap() {
        let line = format!(
            "| `{}` | {} | {} | {} |\n",
            row["code"].as_str().unwrap(),
            row["status"]
                .as_u64()
                .map_or("–".to_owned(), |s| s.to_string()),
            row["title"].as_str().unwrap(),
            row["meaning"].as_str().unwrap().replace('|', "\\|"),
        );
        expected.push_str(&line);
    }
    if std::env::var_os("UPDATE_ERRORS").is_some() {
        std::fs::write(&path, &expected).unwrap();
    }
    assert_eq!(
        std::fs::read_to_string(&path).unwrap(),
        expected,
        "regenerate with UPDATE_ERRORS=1 cargo test --test http registry"
    );
    service.stop().await;
}

#[tokio::test]
async fn unknown_paths_and_methods_are_problems() {
    let service = Service::start(T0).await;
    for (path, status, code) in [
        ("/v2/reports", 404, "request.not_found"),
        ("/v1/agents/%ff", 400, "request.parameter_invalid"),
    ] {
        let response = service.get(path).await;
        assert_eq!(response.status(), status, "{path}");
        assert_eq!(response.json::<Value>().await.unwrap()["code"], code);
    }
    let response = service
        .client
        .delete(format!("{}/v1/reports", service.url))
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 405);
    assert_eq!(
        response.json::<Value>().await.unwrap()["code"],
        "request.method_not_allowed"
    );
    assert_eq!(service.get_json("/livez").await["status"], "ok");
    service.app.log.publish().await.unwrap();
    assert_eq!(service.get_json("/readyz").await["status"], "ok");
    service.stop().await;
}

#[tokio::test]
async fn what_could_not_be_read_back_is_not_logged() {
    use goodstanding::log::sequencer::Event;
    use goodstanding_verify::entry::Body;
    let service = Service::start(T0).await;
    let size = service.log_size();
    let policy = goodstanding_score::policy::Policy::preset("agent-market").unwrap();
    let mut broken = policy.to_value();
    broken["admission"]["max_age_s"] = serde_json::json!("soon");
    for (version, policy, code) in [
        (2, broken, "policy.member_invalid"),
        (3, policy.to_value(), "policy.version_wrong"),
        (1, policy.to_value(), "policy.version_wrong"),
    ] {
        let event = Event {
            body: Body::Policy { version, policy },
            at_ms: None,
            epoch: None,
        };
        assert_eq!(service.app.log.log(event).await.unwrap_err().code(), code);
    }
    assert_eq!(service.log_size(), size);
    service.stop().await;
}

#[tokio::test]
async fn a_clock_that_was_set_back_far_stops_admission_and_not_the_service() {
    let service = Service::start(T0).await;
    service.clock.set_ms((T0 - 30) * 1000);
    let jws = report(&agent(1), &agent(2), "t-1", T0 - 60);
    assert_eq!(service.submit(&jws).await.0, 201);
    service.clock.set_ms((T0 - 3600) * 1000);
    let (status, problem) = service
        .submit(report(&agent(1), &agent(2), "t-2", T0 - 3700))
        .await;
    assert_eq!(
        (status, &problem["code"]),
        (503, &"log.clock_behind".into())
    );
    service.app.log.publish().await.unwrap();
    assert_eq!(service.get("/checkpoint").await.status(), 200);
    service.clock.set_ms(T0 * 1000);
    assert_eq!(
        service
            .submit(report(&agent(1), &agent(2), "t-2", T0 - 60))
            .await
            .0,
        201
    );
    service.stop().await;
}

#[tokio::test]
async fn a_service_whose_writer_is_gone_is_not_ready_and_says_so_to_reporters() {
    let service = Service::start(T0).await;
    assert_eq!(service.get_json("/readyz").await["checks"]["writer"], true);
    service.app.log.stop().await;
    let response = service.get("/readyz").await;
    assert_eq!(response.status(), 503);
    assert!(response.headers().contains_key("retry-after"));
    let (status, problem) = service
        .submit(report(&agent(1), &agent(2), "t-1", T0 - 60))
        .await;
    assert_eq!((status, &problem["code"]), (503, &"log.closed".into()));
    service.stop().await;
}

#[tokio::test]
async fn only_an_operator_computes_epochs() {
    use goodstanding::token::access::{Role, grant};
    let service = Service::start(T0).await;
    let post = async |bearer: Option<String>| {
        let mut request = service.client.post(format!("{}/v1/epochs", service.url));
        if let Some(bearer) = bearer {
            request = request.bearer_auth(bearer);
        }
        let response = request.send().await.unwrap();
        (
            response.status().as_u16(),
            response.json::<Value>().await.unwrap()["code"].clone(),
        )
    };
    assert_eq!(post(None).await, (401, "auth.missing".into()));
    assert_eq!(
        post(Some("x.y.z".into())).await,
        (401, "auth.invalid".into())
    );
    let analyst = grant(&service.app, "ann", &[Role::Analyst], 60 * 60 * 24 * 36_500).unwrap();
    assert_eq!(post(Some(analyst)).await, (403, "auth.forbidden".into()));
    let operator = grant(
        &service.app,
        "ops",
        &[Role::Operator],
        60 * 60 * 24 * 36_500,
    )
    .unwrap();
    assert_eq!(
        post(Some(operator.clone())).await,
        (409, "epoch.no_reports".into())
    );
    service
        .submit(report(&agent(1), &agent(2), "t-1", T0 - 60))
        .await;
    assert_eq!(
        post(Some(operator.clone())).await,
        (422, "policy.no_seeds".into())
    );
    // What is logged cannot be taken back: milliseconds instead of seconds are refused before anything is computed.
    let future = service
        .client
        .post(format!("{}/v1/epochs?as_of={}", service.url, T0 * 1000))
        .bearer_auth(operator)
        .send()
        .await
        .unwrap();
    assert_eq!(future.status(), 422);
    assert_eq!(
        future.json::<Value>().await.unwrap()["code"],
        "epoch.as_of_in_future"
    );
    service.stop().await;
}
