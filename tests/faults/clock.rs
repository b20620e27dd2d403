//! A clock that goes backwards: a little is tolerated, more closes the log until the clock is right again.

use std::process::Command;

use goodstanding::{app::App, ingest};
use goodstanding_verify::entry::Entry;
use serde_json::Value;

use super::{
    check::full_check,
    grow::{at, fresh},
    server::Server,
    strace::output_of,
};
use crate::support::{Service, T0, agent, report};

fn now_s() -> u64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_secs()
}

#[tokio::test]
async fn log_time_never_goes_back_with_the_clock() {
    let service = Service::start(T0).await;
    let send = async |name: &str| {
        let (status, answer) = service
            .submit(report(&agent(1), &agent(2), name, T0 - 120))
            .await;
        (status, answer["code"].as_str().map(str::to_owned))
    };
    assert_eq!(send("on-time").await.0, 201);
    service.clock.set_ms((T0 - 60) * 1000);
    assert_eq!(send("a-minute-back").await.0, 201);
    assert_eq!(service.get("/readyz").await.status(), 200);

    service.clock.set_ms((T0 - 60) * 1000 - 1);
    let refused = (503, Some("log.clock_behind".to_owned()));
    assert_eq!(send("too-far-back").await, refused);
    let ready = service.get("/readyz").await;
    assert_eq!(ready.status(), 503);
    assert!(ready.headers().contains_key("retry-after"));
    let ready: Value = ready.json().await.unwrap();
    assert_eq!(ready["checks"]["clock"], false);
    assert_eq!(ready["checks"]["database"], true);
    // What is there can be read all the same.
    assert_eq!(service.get("/checkpoint").await.status(), 200);

    service.clock.set_ms((T0 + 5) * 1000);
    assert_eq!(send("too-far-back").await.0, 201);
    service.app.log.publish().await.unwrap();
    let size = service.log_size();
    let entries = service.app.store.entries(0, size).await.unwrap();
    let times: Vec<u64> = entries
        .iter()
        .map(|e| Entry::parse(e).unwrap().at)
        .collect();
    assert!(times.is_sorted(), "{times:?}");
    let newest = times.last().copied();
    assert_eq!(newest, Some((T0 + 5) * 1000));

    // Across a restart, with a clock that went back while nobody looked.
    let data = service.stop().await;
    let open = goodstanding::app::Open {
        issuer: None,
        origin: None,
        ..at(data.path(), T0 - 300)
    };
    let clock = open.clock.clone();
    let app = App::open(open).await.unwrap();
    let jws = report(&agent(3), &agent(2), "after", T0 - 360);
    let behind = ingest::submit_one(&app, jws.clone()).await.unwrap_err();
    assert_eq!(behind.code(), "log.clock_behind");
    clock.set_ms((T0 - 50) * 1000);
    let (admitted, _) = ingest::submit_one(&app, jws).await.unwrap();
    let bytes = app.store.entries(admitted.index, size + 1).await.unwrap();
    assert_eq!(Some(Entry::parse(&bytes[0]).unwrap().at), newest);
    app.close().await;
    full_check(data.path()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_real_clock_behind_the_log_is_refused_by_service_and_command() {
    let client = goodstanding::net::builder().build().unwrap();
    for (ahead_s, tolerated) in [(40, true), (600, false)] {
        let data = tempfile::tempdir().unwrap();
        App::open(at(data.path(), now_s() + ahead_s))
            .await
            .unwrap()
            .close()
            .await;
        let jws = fresh("real", 0, now_s() - 1);
        let file = data.path().join("report.jwt");
        std::fs::write(&file, &jws).unwrap();
        let mut submit = Command::new(env!("CARGO_BIN_EXE_goodstanding"));
        submit.args(["--json", "submit", file.to_str().unwrap(), "--data"]);
        let output = output_of(submit.arg(data.path()));
        let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
        if tolerated {
            assert_eq!(output.status.code(), Some(0), "{answer}");
        } else {
            assert_eq!(output.status.code(), Some(1), "{answer}");
            assert_eq!(answer["error"]["code"], "log.clock_behind");
        }

        let mut server = Server::start(data.path(), &[]);
        let response = client
            .post(format!("{}/v1/reports", server.url))
            .header("content-type", "application/jwt")
            .body(jws)
            .send()
            .await
            .unwrap();
        // The command's report is recognised, or neither gets in.
        assert_eq!(response.status(), if tolerated { 200 } else { 503 });
        let ready = client.get(format!("{}/readyz", server.url)).send().await;
        assert_eq!(ready.unwrap().status(), if tolerated { 200 } else { 503 });
        server.kill();
        let checked = full_check(data.path()).await;
        assert_eq!(checked.size(), 5 + u64::from(tolerated));
    }
}
