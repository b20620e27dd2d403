//! The end of a log: nothing is written any more, everything is read, and the notice proves what goes on.

use goodstanding::{
    app::{App, Open},
    clock::Clock,
    token::{bundle::trust_bundle, successor::end},
};
use goodstanding_verify::{
    bundle::TrustBundle,
    successor::{EndReason, Notice, Successor},
};
use serde_json::{Value, json};

use crate::support::{Service, T0, agent, report};

fn next() -> Successor {
    let key = goodstanding::keys::SecretKey::from_seed(&[9; 32]);
    let vkey = goodstanding::log::sign::LogSigner::new("next.example/log", key).vkey();
    Successor::new(
        "next.example/log".into(),
        vkey,
        Some("https://next.example".into()),
    )
    .unwrap()
}

#[tokio::test]
async fn an_ended_log_refuses_writes_names_its_successor_and_goes_on_being_read() {
    let service = Service::start(T0).await;
    let (_, first) = service
        .submit(report(&agent(1), &agent(2), "t-1", T0 - 60))
        .await;
    service.app.log.publish().await.unwrap();
    let held = service.get("/v1/trust-bundle").await.text().await.unwrap();
    let held = TrustBundle::parse(&held, None, T0).unwrap();
    // One more that is acknowledged and not published yet: it belongs to the last tree.
    service
        .submit(report(&agent(1), &agent(2), "t-2", T0 - 60))
        .await;
    let size = service.log_size();
    let notice = end(&service.app, EndReason::Retired, Some(next()))
        .await
        .unwrap();

    let said = Notice::verify(&notice, &held).unwrap();
    assert_eq!(
        (said.size, said.reason, said.successor.as_ref()),
        (size, EndReason::Retired, Some(&next()))
    );
    assert_eq!(said.vkey, service.app.signer.vkey());
    let response = service.get("/v1/log/successor").await;
    assert_eq!(
        response.headers()["content-type"],
        "application/log-successor+jwt"
    );
    assert_eq!(response.text().await.unwrap(), notice);

    let (status, problem) = service
        .submit(report(&agent(1), &agent(2), "t-3", T0 - 60))
        .await;
    assert_eq!((status, &problem["code"]), (409, &json!("log.ended")));
    let detail = problem["detail"].as_str().unwrap();
    assert!(
        detail.contains("next.example/log") && detail.contains("https://next.example"),
        "{detail}"
    );
    for refused in [
        goodstanding::epoch::run(&service.app, None)
            .await
            .unwrap_err(),
        end(&service.app, EndReason::Retired, None)
            .await
            .unwrap_err(),
        goodstanding::token::issue::issue(&service.app, &agent(2).did())
            .await
            .unwrap_err(),
        service
            .app
            .log
            .set_aliases(vec![("x".into(), agent(1).did())])
            .await
            .unwrap_err(),
    ] {
        assert_eq!(refused.code(), "log.ended");
    }
    let id = first["report_id"].as_str().unwrap();
    for path in [
        "/checkpoint",
        "/v1/trust-bundle",
        "/v1/log/bodies",
        "/v1/keys",
        &format!("/v1/reports/{id}/receipt"),
    ] {
        assert_eq!(service.get(path).await.status(), 200, "{path}");
    }
    let url = service.url.clone();
    let data = service.stop().await;

    // So it stays, also for the next process, and also without the key.
    std::fs::remove_file(data.path().join("keys/log.json")).unwrap();
    let open = Open {
        issuer: Some(url),
        clock: Clock::manual((T0 + 100) * 1000),
        ..Open::new(data.path())
    };
    let app = App::open(open).await.unwrap();
    assert_eq!(app.log.shared().ended().unwrap().notice, notice);
    trust_bundle(&app).await.unwrap();
    app.close().await;
}

#[tokio::test]
async fn a_log_whose_key_is_lost_can_still_say_so() {
    let service = Service::start(T0).await;
    service.app.log.publish().await.unwrap();
    let held = service.get("/v1/trust-bundle").await.text().await.unwrap();
    let held = TrustBundle::parse(&held, None, T0).unwrap();
    let size = service.log_size();
    let data = service.stop().await;
    std::fs::remove_file(data.path().join("keys/log.json")).unwrap();
    let open = || Open {
        clock: Clock::manual((T0 + 100) * 1000),
        ..Open::new(data.path())
    };
    let fault = App::open(open()).await.unwrap_err();
    assert_eq!(fault.code(), "key.unusable");
    let app = App::open(Open {
        repair: true,
        ..open()
    })
    .await
    .unwrap();
    // It signs nothing any more, whoever asks.
    let refused = goodstanding::token::keys::change(
        &app,
        goodstanding::keys::change::Change::Rotate {
            usage: goodstanding_verify::entry::KeyUse::Token,
            from: goodstanding::keys::change::From::Announced,
        },
        None,
    )
    .await
    .unwrap_err();
    assert_eq!(refused.code(), "key.unusable");
    let notice = end(&app, EndReason::Lost, None).await.unwrap();
    app.close().await;
    let said = Notice::verify(&notice, &held).unwrap();
    assert_eq!((said.size, said.reason), (size, EndReason::Lost));
    App::open(open()).await.unwrap().close().await;
}

#[tokio::test]
async fn another_key_in_the_place_of_the_logs_is_refused() {
    let service = Service::start(T0).await;
    let data = service.stop().await;
    let path = data.path().join("keys/log.json");
    std::fs::remove_file(&path).unwrap();
    let other = goodstanding::keys::SecretKey::from_seed(&[5; 32]);
    goodstanding::keys::KeyFile::create(&other, &path).unwrap();
    let fault = App::open(Open::new(data.path())).await.unwrap_err();
    assert_eq!(fault.code(), "key.unusable");
}

#[tokio::test]
async fn a_notice_is_believed_only_from_a_held_bundle_key_and_about_the_held_log() {
    let service = Service::start(T0).await;
    service.app.log.publish().await.unwrap();
    let held = service.get("/v1/trust-bundle").await.text().await.unwrap();
    let held = TrustBundle::parse(&held, None, T0).unwrap();
    let key = goodstanding::token::keys::signing_key(
        &service.app,
        goodstanding_verify::entry::KeyUse::Bundle,
        T0,
    )
    .unwrap();
    let token_key = goodstanding::token::keys::signing_key(
        &service.app,
        goodstanding_verify::entry::KeyUse::Token,
        T0,
    )
    .unwrap();
    let good = json!({
        "iss": service.url, "iat": T0, "origin": service.app.signer.origin(), "vkey": service.app.signer.vkey(),
        "size": 5, "root": goodstanding_verify::b64::std_encode([7; 32]), "reason": "compromised", "successor": next(),
    });
    let verify =
        |signer: &goodstanding::keys::SecretKey, typ: &str, change: &dyn Fn(&mut Value)| {
            let mut body = good.clone();
            change(&mut body);
            let jws = signer.sign_service(typ, &body).unwrap();
            Notice::verify(&jws, &held)
                .map(|_| ())
                .map_err(|e| e.code().as_str())
        };
    let typ = "log-successor+jwt";
    assert_eq!(verify(&key, typ, &|_| {}), Ok(()));
    assert_eq!(
        verify(&key, typ, &|b| {
            b.as_object_mut().unwrap().remove("successor");
        }),
        Ok(())
    );
    let malformed = Err("successor.malformed");
    for (member, value) in [
        ("reason", json!("bored")),
        ("root", json!("x")),
        ("size", json!(-1)),
        ("origin", json!("other.example")),
        ("extra", json!(1)),
        ("successor", json!({"origin": "x", "vkey": next().vkey})),
        (
            "successor",
            json!({"origin": "next.example/log", "vkey": next().vkey, "url": "file:///etc/passwd"}),
        ),
    ] {
        assert_eq!(
            verify(&key, typ, &|b| b[member] = value.clone()),
            malformed,
            "{member} {value}"
        );
    }
    assert_eq!(verify(&key, "trust-bundle+jwt", &|_| {}), malformed);
    let untrusted = Err("successor.signature_invalid");
    assert_eq!(verify(&token_key, typ, &|_| {}), untrusted);
    assert_eq!(verify(&agent(1), typ, &|_| {}), untrusted);
    // The key was not in use yet.
    assert_eq!(verify(&key, typ, &|b| b["iat"] = json!(T0 - 1)), untrusted);
    let elsewhere = Err("successor.log_mismatch");
    assert_eq!(
        verify(&key, typ, &|b| b["iss"] = json!("https://x.example")),
        elsewhere
    );
    assert_eq!(
        verify(&key, typ, &|b| {
            b["origin"] = json!("next.example/log");
            b["vkey"] = json!(next().vkey);
        }),
        elsewhere
    );
    service.stop().await;
}
