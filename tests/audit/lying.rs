//! A service that changes one answer on its way.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode, Uri, header},
    response::{IntoResponse as _, Response},
};
use goodstanding::audit::{Disagreement, Failure, HttpSource, Options, Place, Summary, audit};
use goodstanding_verify::tile::{TileId, TilePath};
use std::io::Write as _;

use crate::{
    forge::{found, market},
    support::{Service, agent},
};

/// What the double answers instead, if anything: path with query, and the honest body.
type Lie = dyn Fn(&str, &Bytes) -> Option<Response> + Send + Sync;

struct Double {
    upstream: String,
    client: reqwest::Client,
    lie: Box<Lie>,
}

async fn forward(State(double): State<Arc<Double>>, uri: Uri) -> Response {
    let path = uri.path_and_query().unwrap().as_str();
    let answer = double
        .client
        .get(format!("{}{path}", double.upstream))
        .send()
        .await
        .unwrap();
    let status = answer.status();
    let body = answer.bytes().await.unwrap();
    (double.lie)(path, &body)
        .unwrap_or_else(|| (StatusCode::from_u16(status.as_u16()).unwrap(), body).into_response())
}

/// Audits the service through the double.
pub(crate) async fn through(
    service: &Service,
    options: &Options,
    lie: impl Fn(&str, &Bytes) -> Option<Response> + Send + Sync + 'static,
) -> Result<Summary, Failure> {
    let double = Double {
        upstream: service.url.clone(),
        client: goodstanding::net::builder().build().unwrap(),
        lie: Box::new(lie),
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let app = Router::new().fallback(forward).with_state(Arc::new(double));
    let served = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    let source = HttpSource::new(&url).unwrap();
    let done = audit(&source, options, &|_, _| ()).await;
    served.abort();
    done
}

async fn caught(
    service: &Service,
    lie: impl Fn(&str, &Bytes) -> Option<Response> + Send + Sync + 'static,
) -> Disagreement {
    found(through(service, &Options::default(), lie).await)
}

fn replaced(body: &Bytes, from: &str, to: &str) -> Response {
    let text = String::from_utf8(body.to_vec()).unwrap();
    assert!(text.contains(from), "{from}");
    text.replacen(from, to, 1).into_response()
}

fn not_found() -> Response {
    StatusCode::NOT_FOUND.into_response()
}

#[tokio::test]
async fn one_answer_changed() {
    let service = market().await;
    let flip = |body: &Bytes| {
        let mut bytes = body.to_vec();
        bytes[40] ^= 1;
        bytes.into_response()
    };
    let cut = caught(&service, move |path, body| {
        (path == "/tile/0/001").then(|| flip(body))
    })
    .await;
    assert_eq!(cut.code(), "audit.tile_invalid");
    assert_eq!(
        cut.place(),
        &Place::Tile(TileId { level: 0, n: 1 }.path(256))
    );

    let entry = caught(&service, move |path, body| {
        (path == "/tile/entries/001").then(|| flip(body))
    })
    .await;
    assert_eq!(entry.code(), "audit.entry_altered");
    assert_eq!(entry.place(), &Place::Entry(256));

    let gone = caught(&service, |path, _| {
        path.starts_with("/tile/entries/001").then(not_found)
    })
    .await;
    assert_eq!(gone.code(), "audit.missing");
    assert_eq!(gone.place(), &Place::Tile(TilePath::entries(1, 256)));

    // A body is left out; one is said to be erased, and no entry says so.
    let withheld = caught(&service, |path, body| {
        path.starts_with("/v1/log/bodies").then(|| {
            let text = String::from_utf8(body.to_vec()).unwrap();
            let kept = text.lines().filter(|line| !line.contains("\"index\":44,"));
            kept.collect::<Vec<_>>().join("\n").into_response()
        })
    })
    .await;
    assert_eq!(withheld.code(), "audit.body_missing");
    assert_eq!(withheld.place(), &Place::Entry(44));
    let erased = caught(&service, |path, body| {
        path.starts_with("/v1/log/bodies").then(|| {
            let line = |line: &str| {
                if line.contains("\"index\":45,") {
                    r#"{"index":45,"kind":"report","erased":true}"#.to_owned()
                } else {
                    line.to_owned()
                }
            };
            let text = String::from_utf8(body.to_vec()).unwrap();
            text.lines()
                .map(line)
                .collect::<Vec<_>>()
                .join("\n")
                .into_response()
        })
    })
    .await;
    assert_eq!(erased.code(), "audit.body_missing");
    assert_eq!(erased.place(), &Place::Entry(45));

    let salted = caught(&service, |path, _| {
        let other = format!(
            r#"{{"epoch":2,"salt_key":"{}"}}"#,
            goodstanding_verify::b64::std_encode([1; 32])
        );
        (path == "/v1/epochs/2/salt-key").then(|| other.into_response())
    })
    .await;
    assert_eq!(salted.code(), "audit.salt_key_wrong");
    assert!(matches!(salted.place(), Place::Epoch(2, _)));

    let scored = caught(&service, |path, body| {
        (path == "/v1/epochs/1/statements")
            .then(|| replaced(body, "\"lower_bp\":", "\"lower_bp\":1"))
    })
    .await;
    assert_eq!(scored.code(), "audit.statement_wrong");
    let first = (0..8).chain(10..14).map(|n| agent(n).did()).min().unwrap();
    assert_eq!(scored.place(), &Place::Agent(1, first));
    service.stop().await;
}

#[tokio::test]
async fn the_trust_bundle_has_to_be_the_logs() {
    let service = market().await;
    let other = market().await;
    let foreign = other.get("/v1/trust-bundle").await.text().await.unwrap();
    let bundle = caught(&service, move |path, _| {
        (path == "/v1/trust-bundle").then(|| foreign.clone().into_response())
    })
    .await;
    // Its log is another one, so is its key: the checkpoint is not by it.
    assert_eq!(bundle.code(), "audit.checkpoint_invalid");
    let options = Options {
        log_key: Some(service.app.signer.verifier().unwrap()),
        ..Options::default()
    };
    let foreign = other.get("/v1/trust-bundle").await.text().await.unwrap();
    let bundle = found(
        through(&service, &options, move |path, _| {
            (path == "/v1/trust-bundle").then(|| foreign.clone().into_response())
        })
        .await,
    );
    assert_eq!(bundle.code(), "audit.trust_bundle_wrong");
    assert_eq!(bundle.place(), &Place::TrustBundle);
    other.stop().await;
    service.stop().await;
}

#[tokio::test]
async fn what_the_standard_allows_is_no_lie() {
    let service = market().await;
    let size = service.log_size();
    // The log has grown since the checkpoint was served, and dropped its partial tiles and bundles for full ones.
    let checkpoint = service.get("/checkpoint").await.text().await.unwrap();
    let bundle = service.get("/v1/trust-bundle").await.text().await.unwrap();
    crate::forge::trade(&service, 900..1100).await;
    service.app.log.publish().await.unwrap();
    let (log, edge) = (service.url.clone(), size / 256);
    let summary = through(&service, &Options::default(), move |path, _| {
        if path == "/checkpoint" {
            return Some(checkpoint.clone().into_response());
        }
        if path == "/v1/trust-bundle" {
            return Some(bundle.clone().into_response());
        }
        let partial = path.contains(".p/") && path.contains(&format!("/{edge:03}.p/"));
        partial.then(not_found)
    })
    .await
    .unwrap();
    assert_eq!(summary.size, size);
    assert!(
        service.log_size() / 256 > edge,
        "{log}: the full tile is there"
    );

    // Bundles come compressed without having been asked for.
    let summary = through(&service, &Options::default(), |path, body| {
        path.starts_with("/tile/entries/").then(|| {
            let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            gzip.write_all(body).unwrap();
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_ENCODING, "gzip".parse().unwrap());
            (headers, gzip.finish().unwrap()).into_response()
        })
    })
    .await
    .unwrap();
    assert_eq!(summary.size, service.log_size());

    // A busy moment passes.
    let busy = AtomicU32::new(2);
    let left = |n: u32| n.checked_sub(1);
    through(&service, &Options::default(), move |path, _| {
        let now = path == "/tile/0/000"
            && busy
                .fetch_update(Ordering::SeqCst, Ordering::SeqCst, left)
                .is_ok();
        now.then(|| StatusCode::SERVICE_UNAVAILABLE.into_response())
    })
    .await
    .unwrap();
    service.stop().await;
}

#[tokio::test]
async fn a_service_that_fails_is_not_called_a_liar() {
    let service = market().await;
    let refused = |done: Result<Summary, Failure>| match done {
        Err(Failure::Fault(fault)) => fault.code(),
        other => panic!("{other:?}"),
    };
    let options = Options::default();
    let closed = through(&service, &options, |path, _| {
        path.starts_with("/v1/log/bodies")
            .then(|| StatusCode::FORBIDDEN.into_response())
    });
    assert_eq!(refused(closed.await), "client.refused");
    let endless = through(&service, &options, |path, _| {
        (path == "/tile/0/000").then(|| vec![0_u8; 9000].into_response())
    });
    assert_eq!(refused(endless.await), "client.refused");
    let long = through(&service, &options, |path, _| {
        path.starts_with("/v1/log/bodies")
            .then(|| "x".repeat(100_000).into_response())
    });
    assert_eq!(refused(long.await), "client.refused");
    service.stop().await;
    let source = HttpSource::new("http://127.0.0.1:1").unwrap();
    let nobody = audit(&source, &Options::default(), &|_, _| ()).await;
    assert_eq!(refused(nobody), "client.unreachable");
    assert!(HttpSource::new("https://log.example").is_ok());
    assert!(HttpSource::new("ftp://log.example").is_err());
}

/// Where a token was sent along, and where it was not.
type Sent = Arc<std::sync::Mutex<Vec<(String, Option<String>)>>>;

#[tokio::test]
async fn a_token_is_sent_where_it_is_needed_and_nowhere_else() {
    let service = market().await;
    let (sent, upstream) = (Sent::default(), service.url.clone());
    let record = {
        let sent = sent.clone();
        let client = goodstanding::net::builder().build().unwrap();
        move |uri: Uri, headers: HeaderMap| {
            let path = uri.path_and_query().unwrap().as_str().to_owned();
            let token = headers.get(header::AUTHORIZATION);
            let token = token.map(|value| value.to_str().unwrap().to_owned());
            sent.lock().unwrap().push((path.clone(), token));
            let asked = client.get(format!("{upstream}{path}")).send();
            async move {
                let answer = asked.await.unwrap();
                let status = StatusCode::from_u16(answer.status().as_u16()).unwrap();
                (status, answer.bytes().await.unwrap())
            }
        }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let app = Router::new().fallback(record);
    let served = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    let source = HttpSource::new(&url)
        .unwrap()
        .with_bearer("secret")
        .unwrap();
    audit(&source, &Options::default(), &|_, _| ())
        .await
        .unwrap();
    served.abort();
    let sent = sent.lock().unwrap().clone();
    let mut kinds = std::collections::BTreeSet::new();
    for (path, token) in sent {
        let kind = ["/v1/log/bodies?", "/statements", "/salt-key"]
            .into_iter()
            .find(|kind| path.contains(kind));
        let expected = kind.map(|_| "Bearer secret".to_owned());
        assert_eq!(token, expected, "{path}");
        kinds.insert(kind);
    }
    assert_eq!(kinds.len(), 4, "{kinds:?}");
    service.stop().await;

    // Over https, or to this machine.
    for (url, good) in [
        ("https://log.example", true),
        ("http://localhost:1", true),
        ("http://127.0.0.2:1/", true),
        ("http://[::1]:1", true),
        ("http://log.example", false),
        ("http://127.0.0.1.example", false),
        ("http://192.0.2.1", false),
    ] {
        let done = HttpSource::new(url).unwrap().with_bearer("secret");
        assert_eq!(done.is_ok(), good, "{url}");
        if let Err(fault) = done {
            assert_eq!(fault.code(), "request.parameter_invalid");
        }
    }
}

#[tokio::test]
async fn lines_that_nobody_asked_for() {
    let service = market().await;
    let size = service.log_size();
    let refused = |done: Result<Summary, Failure>| match done {
        Err(Failure::Fault(fault)) => fault.code(),
        other => panic!("{other:?}"),
    };
    let with = |line: String, first: bool| {
        move |path: &str, body: &Bytes| {
            path.starts_with("/v1/log/bodies").then(|| {
                let text = String::from_utf8(body.to_vec()).unwrap();
                let lines = if first {
                    [line.clone(), text]
                } else {
                    [text.trim_end().to_owned(), line.clone()]
                };
                lines.join("\n").into_response()
            })
        }
    };
    // Beyond what was asked for, whatever it calls itself.
    for kind in ["report", "rumour"] {
        let line = format!(r#"{{"index":{size},"kind":"{kind}","erased":true}}"#);
        let beyond = through(&service, &Options::default(), with(line, false)).await;
        assert_eq!(refused(beyond), "client.refused");
    }
    let line = r#"{"index":0,"kind":"rumour","jws":"x"}"#.to_owned();
    let unknown = caught(&service, with(line, true)).await;
    assert_eq!(unknown.code(), "log.unsupported_version");
    assert_eq!(unknown.place(), &Place::Entry(0));
    // A report for an entry that is none.
    let line = r#"{"index":0,"kind":"report","erased":true}"#.to_owned();
    let stray = caught(&service, with(line, true)).await;
    assert_eq!(stray.code(), "audit.body_altered");
    assert_eq!(stray.place(), &Place::Entry(0));
    service.stop().await;
}

#[tokio::test]
async fn statements_end_where_the_epoch_says() {
    let service = market().await;
    let items = service.get_json("/v1/reports?trade_id=t-1").await;
    let id = items["items"][0]["report_id"].as_str().unwrap();
    let id = goodstanding_verify::b64::url_decode_32(id).unwrap();
    goodstanding::casework::erasure::erase(
        &service.app,
        goodstanding_verify::report::ReportId(id),
        goodstanding_verify::entry::ErasureReason::AuthorRequest,
    )
    .await
    .unwrap();
    service.app.log.publish().await.unwrap();
    let summary = through(&service, &Options::default(), |_, _| None)
        .await
        .unwrap();
    assert_eq!(summary.epochs_not_recomputable, 2);
    let last = (0..8).chain(10..14).map(|n| agent(n).did()).max().unwrap();
    let beyond = (20..9_999)
        .map(|n| agent(n).did())
        .find(|did| *did > last)
        .unwrap();
    let found = caught(&service, move |path, body| {
        (path == "/v1/epochs/1/statements").then(|| {
            let text = String::from_utf8(body.to_vec()).unwrap();
            let more = text.lines().last().unwrap();
            let more = more.replace(&last.to_string(), &beyond.to_string());
            format!("{}\n{more}\n", text.trim_end()).into_response()
        })
    })
    .await;
    assert_eq!(found.code(), "audit.statement_wrong");
    assert_eq!(found.place(), &Place::Agent(1, beyond));
    assert!(found.detail().contains("beyond the epoch's"), "{found}");
    service.stop().await;
}
