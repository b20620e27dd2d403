//! The service's keys over HTTP: who may change them, what signs when, and what relying parties make of it.

use goodstanding::{
    log::sequencer::Event,
    token::access::{self, Role},
};
use goodstanding_verify::{
    bundle::TrustBundle,
    entry::{Body, KeyUse},
    status::StatusList,
    token::{HolderCheck, Requirements, verify},
};
use serde_json::{Value, json};

use crate::support::{Service, T0, agent, payload, sign};

const DAY: u64 = 86_400;
const WEEK: u64 = 7 * DAY;

/// A service with one epoch, so that there can be tokens.
async fn market() -> Service {
    let service = Service::start(T0).await;
    for n in 0..12 {
        let (buyer, seller) = (agent(n % 3), agent(10 + n % 2));
        let body = payload(&buyer, &seller, &format!("t-{n}"), T0 - 60);
        assert_eq!(service.submit(sign(&buyer, &body)).await.0, 201);
    }
    service.set_seeds(&[0]).await;
    goodstanding::epoch::run(&service.app, None).await.unwrap();
    service.app.log.publish().await.unwrap();
    service
}

fn operator(service: &Service) -> String {
    service.bearer(Role::Operator)
}

async fn change(service: &Service, token: &str, body: Value) -> (u16, Value) {
    let response = service
        .client
        .post(format!("{}/v1/keys", service.url))
        .bearer_auth(token)
        .json(&body)
        .send()
        .await
        .unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

async fn bundle(service: &Service) -> String {
    let response = service.get("/v1/trust-bundle").await;
    assert_eq!(response.status(), 200);
    response.text().await.unwrap()
}

/// The keys of a use with this state, by thumbprint.
async fn kids(service: &Service, usage: &str, state: &str) -> Vec<String> {
    let listed = service.get_json("/v1/keys").await;
    let items = listed["items"].as_array().unwrap();
    items
        .iter()
        .filter(|key| key["use"] == usage && key["state"] == state)
        .map(|key| key["kid"].as_str().unwrap().to_owned())
        .collect()
}

async fn token(service: &Service) -> String {
    goodstanding::token::issue::issue(&service.app, &agent(10).did())
        .await
        .unwrap()
        .token
}

fn at(service: &Service, seconds: u64) {
    service.clock.set_ms(seconds * 1000);
}

fn kid_of(jws: &str) -> String {
    let head = jws.split('.').next().unwrap();
    let head: Value =
        serde_json::from_slice(&goodstanding_verify::b64::url_decode(head).unwrap()).unwrap();
    head["kid"].as_str().unwrap().to_owned()
}

fn code<T: std::fmt::Debug>(result: Result<T, goodstanding_verify::Error>) -> &'static str {
    result.unwrap_err().code().as_str()
}

#[tokio::test]
async fn the_log_begins_with_a_key_of_every_use_and_anybody_may_see_them() {
    let service = Service::start(T0).await;
    service.app.log.publish().await.unwrap();
    let listed = service.get_json("/v1/keys").await;
    assert_eq!(listed["log"], service.app.signer.vkey());
    let uses: Vec<_> = listed["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|key| {
            assert_eq!(
                (&key["state"], &key["published"], &key["from"]),
                (&json!("active"), &json!(true), &json!(T0))
            );
            key["use"].as_str().unwrap().to_owned()
        })
        .collect();
    assert_eq!(uses, ["token", "status", "bundle", "casework"]);
    let held = TrustBundle::parse(&bundle(&service).await, None, T0).unwrap();
    assert_eq!(held.keys().len(), 4);
    service.stop().await;
}

#[tokio::test]
async fn bundles_chain_through_rotations() {
    let service = market().await;
    let operator = operator(&service);
    let mut held = TrustBundle::parse(&bundle(&service).await, None, T0).unwrap();
    let mut now = T0;
    let mut signers = vec![held.signer().to_owned()];
    for _ in 0..3 {
        let (status, changed) = change(
            &service,
            &operator,
            json!({"use": "bundle", "action": "rotate"}),
        )
        .await;
        assert_eq!(status, 201, "{changed}");
        assert_eq!(changed["events"].as_array().unwrap().len(), 2);
        assert_eq!(changed["events"][0]["from"], now + WEEK);
        // Asked again, nothing is logged.
        let (status, again) = change(
            &service,
            &operator,
            json!({"use": "bundle", "action": "rotate"}),
        )
        .await;
        assert_eq!((status, &again["changed"]), (200, &json!(false)));
        // A relying party that comes by once in the life of a bundle follows, with the old key and over to the new one.
        for step in [6 * DAY, 6 * DAY] {
            now += step;
            at(&service, now);
            held = held
                .accept_update(&bundle(&service).await, false, now)
                .unwrap();
        }
        assert!(!signers.contains(&held.signer().to_owned()));
        signers.push(held.signer().to_owned());
    }
    assert_eq!(signers.len(), 4);
    assert_eq!(held.keys().len(), 7);
    service.stop().await;
}

#[tokio::test]
async fn a_retired_bundle_key_cannot_date_a_bundle_back() {
    let service = market().await;
    let operator = operator(&service);
    let old = service
        .app
        .keys
        .secret(KeyUse::Bundle, &kids(&service, "bundle", "active").await[0])
        .unwrap();
    let (status, _) = change(
        &service,
        &operator,
        json!({"use": "bundle", "action": "rotate", "from": T0 + 10}),
    )
    .await;
    assert_eq!(status, 201);
    at(&service, T0 + 20);
    let newest = bundle(&service).await;
    let held = TrustBundle::parse(&newest, None, T0 + 20).unwrap();
    assert_ne!(held.signer(), old.thumbprint());
    let mut forged = held.payload().clone();
    forged.version += 1;
    for (iat, expected) in [
        (T0 + 5, "bundle.version_not_newer"),
        (T0 + 20, "bundle.key_unknown"),
    ] {
        forged.iat = iat;
        let jws = old.sign_service("trust-bundle+jwt", &forged).unwrap();
        assert_eq!(code(held.accept_update(&jws, false, T0 + 20)), expected);
    }
    service.stop().await;
}

#[tokio::test]
async fn tokens_and_status_lists_outlive_the_retirement_of_their_key_and_not_its_revocation() {
    let service = market().await;
    let operator = operator(&service);
    let any_holder = Requirements::new(HolderCheck::Waived);
    let old = token(&service).await;
    let old_list = service
        .get("/v1/status-lists/1")
        .await
        .text()
        .await
        .unwrap();
    let list_uri = format!("{}/v1/status-lists/1", service.url);
    for usage in ["token", "status"] {
        let (status, changed) = change(
            &service,
            &operator,
            json!({"use": usage, "action": "rotate", "from": T0}),
        )
        .await;
        assert_eq!(status, 201, "{changed}");
    }
    at(&service, T0 + 10);
    let new = token(&service).await;
    assert_ne!(kid_of(&old), kid_of(&new));
    let held = TrustBundle::parse(&bundle(&service).await, None, T0 + 10).unwrap();
    for token in [&old, &new] {
        verify(token, &held, &any_holder, None, T0 + 10).unwrap();
    }
    StatusList::verify(&old_list, &list_uri, &held, T0 + 10).unwrap();
    // Both are in the key set that ordinary JWT libraries fetch.
    let jwks = service.get_json("/.well-known/jwks.json").await;
    assert_eq!(jwks["keys"].as_array().unwrap().len(), 2);

    for (usage, kid) in [("token", kid_of(&old)), ("status", kid_of(&old_list))] {
        let (status, changed) = change(
            &service,
            &operator,
            json!({"use": usage, "action": "revoke", "kid": kid, "reason": "left on a train"}),
        )
        .await;
        // Another key signs: nothing has to take its place.
        assert_eq!(status, 201, "{changed}");
        assert_eq!(changed["events"].as_array().unwrap().len(), 1);
    }
    let held = TrustBundle::parse(&bundle(&service).await, None, T0 + 10).unwrap();
    assert_eq!(
        code(verify(&old, &held, &any_holder, None, T0 + 10)),
        "token.key_revoked"
    );
    verify(&new, &held, &any_holder, None, T0 + 10).unwrap();
    assert_eq!(
        code(StatusList::verify(&old_list, &list_uri, &held, T0 + 10)),
        "status.signature_invalid"
    );
    let jwks = service.get_json("/.well-known/jwks.json").await;
    assert_eq!(jwks["keys"].as_array().unwrap().len(), 1);
    service.stop().await;
}

#[tokio::test]
async fn a_held_bundle_knows_the_token_key_before_it_signs() {
    let service = market().await;
    let operator = operator(&service);
    let (status, _) = change(
        &service,
        &operator,
        json!({"use": "token", "action": "rotate"}),
    )
    .await;
    assert_eq!(status, 201);
    let announced = kids(&service, "token", "announced").await;
    // The last bundle of before the new key signs is good for a week after.
    at(&service, T0 + WEEK - 1);
    assert_ne!(kid_of(&token(&service).await), announced[0]);
    let held = TrustBundle::parse(&bundle(&service).await, None, T0 + WEEK - 1).unwrap();
    at(&service, T0 + WEEK);
    let new = token(&service).await;
    assert_eq!(kid_of(&new), announced[0]);
    verify(
        &new,
        &held,
        &Requirements::new(HolderCheck::Waived),
        None,
        T0 + WEEK,
    )
    .unwrap();
    service.stop().await;
}

#[tokio::test]
async fn revoking_the_key_that_signs_puts_another_in_its_place() {
    let service = market().await;
    let operator = operator(&service);
    for usage in ["token", "status", "bundle", "casework"] {
        let kid = kids(&service, usage, "active").await.remove(0);
        let (status, problem) = change(
            &service,
            &operator,
            json!({"use": usage, "action": "retire", "kid": kid}),
        )
        .await;
        assert_eq!((status, &problem["code"]), (409, &json!("key.only_one")));
        let (status, changed) = change(
            &service,
            &operator,
            json!({"use": usage, "action": "revoke", "kid": kid}),
        )
        .await;
        assert_eq!(status, 201, "{changed}");
        let actions: Vec<_> = changed["events"]
            .as_array()
            .unwrap()
            .iter()
            .map(|e| e["action"].as_str().unwrap())
            .collect();
        assert_eq!(actions, ["add", "revoke"]);
        assert_eq!(
            kids(&service, usage, "revoked").await,
            std::slice::from_ref(&kid)
        );
        assert_ne!(
            kids(&service, usage, "active").await,
            std::slice::from_ref(&kid)
        );
        let (status, problem) = change(
            &service,
            &operator,
            json!({"use": usage, "action": "revoke", "kid": kid}),
        )
        .await;
        assert_eq!(
            (status, &problem["code"]),
            (409, &json!("key.event_invalid"))
        );
    }
    // All of it goes on working, and after a restart too.
    token(&service).await;
    TrustBundle::parse(&bundle(&service).await, None, T0).unwrap();
    let active = kids(&service, "token", "active").await;
    let data = service.stop().await;
    let open = goodstanding::app::Open {
        clock: goodstanding::clock::Clock::manual(T0 * 1000),
        ..goodstanding::app::Open::new(data.path())
    };
    let app = goodstanding::app::App::open(open).await.unwrap();
    let key = goodstanding::token::keys::signing_key(&app, KeyUse::Token, T0).unwrap();
    assert_eq!(key.thumbprint(), active[0]);
    app.close().await;
}

#[tokio::test]
async fn only_an_operator_changes_keys_and_only_in_ways_that_make_sense() {
    let service = Service::start(T0).await;
    service.app.log.publish().await.unwrap();
    let operator = operator(&service);
    let roles = [Role::Analyst, Role::Auditor];
    let analyst = access::grant(&service.app, "a", &roles, 3600).unwrap();
    let size = service.log_size();
    let kid = kids(&service, "token", "active").await.remove(0);
    let rotate = json!({"use": "token", "action": "rotate"});
    let (status, problem) = change(&service, &analyst, rotate).await;
    assert_eq!((status, &problem["code"]), (403, &json!("auth.forbidden")));
    for (body, status, code) in [
        (
            json!({"use": "log", "action": "rotate"}),
            409,
            "key.log_fixed",
        ),
        (
            json!({"use": "token", "action": "retire", "kid": "x"}),
            404,
            "key.unknown",
        ),
        (
            json!({"use": "status", "action": "revoke", "kid": kid}),
            404,
            "key.unknown",
        ),
        (
            json!({"use": "token", "action": "rotate", "from": T0 - 61}),
            400,
            "request.parameter_invalid",
        ),
        (
            json!({"use": "token", "action": "rotate", "kid": kid}),
            400,
            "request.parameter_invalid",
        ),
        (
            json!({"use": "token", "action": "retire"}),
            400,
            "request.parameter_invalid",
        ),
        (
            json!({"use": "token", "action": "revoke", "kid": kid, "from": T0}),
            400,
            "request.parameter_invalid",
        ),
        (
            json!({"use": "tokens", "action": "rotate"}),
            400,
            "request.parameter_invalid",
        ),
        (
            json!({"use": "token", "action": "burn"}),
            400,
            "request.parameter_invalid",
        ),
        (
            json!({"use": "token", "action": "rotate", "form": 1}),
            400,
            "request.parameter_invalid",
        ),
        (
            json!({"use": "token", "action": "revoke", "kid": kid, "reason": "x".repeat(201)}),
            400,
            "request.parameter_invalid",
        ),
    ] {
        let (answered, problem) = change(&service, &operator, body.clone()).await;
        assert_eq!(
            (answered, &problem["code"]),
            (status, &json!(code)),
            "{body}"
        );
    }
    assert_eq!(service.log_size(), size);
    assert_eq!(service.get("/v1/log/successor").await.status(), 404);
    service.stop().await;
}

#[tokio::test]
async fn a_key_signs_only_when_its_event_is_published() {
    use goodstanding::{keys::change, token::keys};
    let service = market().await;
    // Straight into the log, without publishing.
    let ring = keys::ring(&service.app.log.shared().keys(), u64::MAX).unwrap();
    let fresh = service
        .app
        .keys
        .fresh(KeyUse::Token, |kid| ring.key(KeyUse::Token, kid).is_some())
        .unwrap();
    let wish = change::Change::Rotate {
        usage: KeyUse::Token,
        from: change::From::At(T0),
    };
    let planned = change::plan(&ring, &wish, T0, || Ok(fresh.did().into())).unwrap();
    let change::Plan::Events(events) = planned else {
        panic!("{planned:?}")
    };
    let old = keys::signing_key(&service.app, KeyUse::Token, T0).unwrap();
    service.app.log.log_keys(events, None).await.unwrap();
    let listed = keys::list_of(&service.app).unwrap();
    let is_published = listed
        .iter()
        .find(|key| key.kid == fresh.thumbprint())
        .unwrap()
        .published;
    let signs = keys::signing_key(&service.app, KeyUse::Token, T0).unwrap();
    // The writer publishes by itself after a second: whichever came first, the two agree.
    let expected = if is_published { &fresh } else { &old };
    assert_eq!(signs.did(), expected.did());
    service.app.log.publish().await.unwrap();
    let signs = keys::signing_key(&service.app, KeyUse::Token, T0).unwrap();
    assert_eq!(signs.did(), fresh.did());
    service.stop().await;
}

#[tokio::test]
async fn what_would_leave_a_use_without_a_key_is_never_logged() {
    use goodstanding_verify::entry::{KeyAction, KeyEntry};
    let service = Service::start(T0).await;
    let size = service.log_size();
    let logged = service.app.log.shared().keys();
    let (_, first) = logged[0];
    for (action, code) in [
        (KeyAction::Revoke, "key.only_one"),
        (KeyAction::Retire, "key.only_one"),
        (KeyAction::Add, "key.event_invalid"),
    ] {
        let event = KeyEntry { action, ..first };
        let fault = service
            .app
            .log
            .log_keys(vec![event], None)
            .await
            .unwrap_err();
        assert_eq!(fault.code(), code);
        let event = Event {
            body: Body::Key(event),
            at_ms: None,
            epoch: None,
        };
        assert_eq!(service.app.log.log(event).await.unwrap_err().code(), code);
    }
    assert_eq!(service.log_size(), size);
    service.stop().await;
}

#[tokio::test]
async fn a_revoked_access_token_is_refused_at_once() {
    let service = Service::start(T0).await;
    let (one, two) = (operator(&service), operator(&service));
    let body = json!({"use": "log", "action": "rotate"});
    let status = async |token: &str| change(&service, token, body.clone()).await.0;
    assert_eq!((status(&one).await, status(&two).await), (409, 409));
    let on_record = service.app.access.list().unwrap();
    // As another process would, beside the running service.
    let beside = goodstanding::token::access_book::AccessBook::new(service.data.path());
    beside.revoke(Some(&on_record[0].jti), T0).unwrap();
    assert_eq!((status(&one).await, status(&two).await), (401, 409));
    beside.revoke(None, T0).unwrap();
    assert_eq!((status(&one).await, status(&two).await), (401, 401));
    service.stop().await;
}

#[tokio::test]
async fn every_published_checkpoint_is_kept_and_listed() {
    let service = Service::start(T0).await;
    service.app.log.publish().await.unwrap();
    let mut notes = vec![service.get("/checkpoint").await.text().await.unwrap()];
    for n in 0..5 {
        let body = payload(&agent(1), &agent(2), &format!("t-{n}"), T0 - 60);
        service.submit(sign(&agent(1), &body)).await;
        service.app.log.publish().await.unwrap();
        notes.push(service.get("/checkpoint").await.text().await.unwrap());
    }
    let mut listed = Vec::new();
    let mut path = "/v1/log/checkpoints?limit=2".to_owned();
    loop {
        let page = service.get_json(&path).await;
        listed.extend(page["items"].as_array().unwrap().iter().cloned());
        match page["next_cursor"].as_str() {
            Some(cursor) => path = format!("/v1/log/checkpoints?limit=2&cursor={cursor}"),
            None => break,
        }
    }
    // Those that were published in between by themselves are there too.
    let listed_notes: Vec<_> = listed.iter().map(|c| c["note"].as_str().unwrap()).collect();
    for note in &notes {
        assert!(listed_notes.contains(&note.as_str()));
    }
    let sizes: Vec<_> = listed.iter().map(|c| c["size"].as_u64().unwrap()).collect();
    assert!(sizes.is_sorted_by(|a, b| a < b));
    service.stop().await;
}

#[tokio::test]
async fn now_is_the_service_s_now_however_late_the_client_s_clock_is() {
    let service = Service::start(T0).await;
    let token = operator(&service);
    // An hour after whatever the client may have read.
    let now = T0 + 3600;
    at(&service, now);
    let wish = json!({"use": "casework", "action": "rotate", "from": "now"});
    let (status, changed) = change(&service, &token, wish).await;
    assert_eq!(status, 201, "{changed}");
    assert_eq!(changed["published"], true);
    assert_eq!(changed["events"][0]["from"], now);
    let old = changed["events"][1]["kid"].as_str().unwrap();
    let new = changed["events"][0]["kid"].as_str().unwrap();
    assert_eq!(kids(&service, "casework", "active").await, [new]);
    assert_eq!(kids(&service, "casework", "retired").await, [old]);
    for from in [json!("later"), json!(-1), json!(1.5), json!("")] {
        let wish = json!({"use": "casework", "action": "rotate", "from": from});
        let (status, problem) = change(&service, &token, wish).await;
        assert_eq!(
            (status, &problem["code"]),
            (400, &"request.parameter_invalid".into()),
            "{from}"
        );
    }
    service.stop().await;
}
