//! tlog-tiles as caches, browsers and auditors meet it, and proofs on demand.

use std::{collections::HashSet, io::Read as _};

use goodstanding_verify::{
    b64,
    checkpoint::SignedCheckpoint,
    merkle::{EMPTY_ROOT, Hash, verify_consistency},
    tile::{TileId, TilePath, parse_bundle},
    tile_reader::TileReader,
};
use reqwest::{Method, Response, StatusCode};
use serde_json::Value;

use crate::support::{Service, T0, agent, report, verifier};

/// A service with a log of some hundred entries, published at several sizes; those, with their roots.
async fn grown() -> (Service, Vec<(u64, Hash)>) {
    let service = Service::start(T0).await;
    let mut published = vec![newest(&service).await];
    let mut sent = 0;
    for batch in [1_u32, 250, 1, 1, 300] {
        let lines: Vec<String> = (sent..sent + batch)
            .map(|n| report(&agent(n % 50), &agent(60), &format!("t-{n}"), T0 - 60))
            .collect();
        sent += batch;
        service.submit_lines(&lines).await;
        published.push(newest(&service).await);
    }
    (service, published)
}

/// Publishes and reads the checkpoint.
async fn newest(service: &Service) -> (u64, Hash) {
    service.app.log.publish().await.unwrap();
    let note = service.get("/checkpoint").await.text().await.unwrap();
    let key = verifier(&service.app.signer.vkey());
    let signed = SignedCheckpoint::parse(&note).unwrap();
    let checkpoint = signed.verify_log(&key).unwrap();
    (checkpoint.size, checkpoint.root)
}

async fn ask(service: &Service, method: Method, path: &str, headers: &[(&str, &str)]) -> Response {
    let mut request = service
        .client
        .request(method, format!("{}{path}", service.url));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.send().await.unwrap()
}

fn header<'a>(response: &'a Response, name: &str) -> Option<&'a str> {
    response.headers().get(name).map(|v| v.to_str().unwrap())
}

#[tokio::test]
async fn media_types_freshness_and_tags_are_those_of_the_standard() {
    let (service, _) = grown().await;
    let immutable = "public, max-age=31536000, immutable";
    let mut tags = HashSet::new();
    for (path, kind, fresh) in [
        (
            "/checkpoint",
            "text/plain; charset=utf-8",
            "public, max-age=1",
        ),
        ("/tile/0/000", "application/octet-stream", immutable),
        ("/tile/0/000.p/3", "application/octet-stream", immutable),
        ("/tile/1/000.p/2", "application/octet-stream", immutable),
        ("/tile/entries/000", "application/octet-stream", immutable),
        (
            "/tile/entries/001.p/9",
            "application/octet-stream",
            immutable,
        ),
    ] {
        let response = service.get(path).await;
        assert_eq!(response.status(), 200, "{path}");
        assert_eq!(header(&response, "content-type"), Some(kind), "{path}");
        assert_eq!(header(&response, "cache-control"), Some(fresh), "{path}");
        assert_eq!(header(&response, "content-encoding"), None, "{path}");
        let tag = header(&response, "etag").unwrap().to_owned();
        assert!(
            tag.starts_with('"') && tag.ends_with('"'),
            "{tag} is strong"
        );
        assert!(tags.insert(tag.clone()), "{path} shares a tag");
        let length = header(&response, "content-length").unwrap().to_owned();
        let body = response.bytes().await.unwrap();
        assert_eq!(body.len().to_string(), length);

        // HEAD says the same and sends nothing.
        let head = ask(&service, Method::HEAD, path, &[]).await;
        assert_eq!(head.status(), 200, "{path}");
        assert_eq!(header(&head, "etag"), Some(tag.as_str()));
        assert_eq!(header(&head, "content-length"), Some(length.as_str()));
        assert_eq!(header(&head, "content-type"), Some(kind));
        assert!(head.bytes().await.unwrap().is_empty());

        // Whoever has it is told so, and is told again how long it stays fresh.
        for named in [
            tag.clone(),
            format!("W/{tag}"),
            format!("\"x\", {tag}"),
            "*".to_owned(),
        ] {
            let again = ask(&service, Method::GET, path, &[("if-none-match", &named)]).await;
            assert_eq!(again.status(), StatusCode::NOT_MODIFIED, "{path} {named}");
            assert_eq!(header(&again, "etag"), Some(tag.as_str()));
            assert_eq!(header(&again, "cache-control"), Some(fresh));
            assert!(again.bytes().await.unwrap().is_empty());
        }
        let other = ask(&service, Method::GET, path, &[("if-none-match", "\"x\"")]).await;
        assert_eq!(other.status(), 200);
        assert_eq!(other.bytes().await.unwrap(), body);
    }
    service.stop().await;
}

#[tokio::test]
async fn only_bundles_are_compressed_and_under_a_tag_of_their_own() {
    let (service, _) = grown().await;
    let gzip = [("accept-encoding", "gzip, br")];
    for path in ["/tile/entries/000", "/tile/entries/001.p/40"] {
        let plain = service.get(path).await;
        let packed = ask(&service, Method::GET, path, &gzip).await;
        assert_eq!(header(&packed, "content-encoding"), Some("gzip"), "{path}");
        for response in [&plain, &packed] {
            let vary: Vec<_> = response.headers().get_all("vary").iter().collect();
            assert!(
                vary.iter()
                    .any(|v| v.to_str().unwrap().contains("accept-encoding")),
                "{path}: {vary:?}"
            );
        }
        let tag = header(&packed, "etag").unwrap().to_owned();
        assert_ne!(header(&plain, "etag"), Some(tag.as_str()), "{path}");
        let wanted = plain.bytes().await.unwrap();
        let bytes = packed.bytes().await.unwrap();
        assert!(bytes.len() < wanted.len());
        let mut unpacked = Vec::new();
        flate2::read::GzDecoder::new(&bytes[..])
            .read_to_end(&mut unpacked)
            .unwrap();
        assert_eq!(unpacked, wanted, "{path}");
        let again = [gzip[0], ("if-none-match", tag.as_str())];
        let again = ask(&service, Method::GET, path, &again).await;
        assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
        // The tag of the compressed bytes does not stand for the plain ones.
        let plain = ask(&service, Method::GET, path, &[("if-none-match", &tag)]).await;
        assert_eq!(plain.status(), 200);
    }
    for path in [
        "/checkpoint",
        "/tile/0/000",
        "/tile/1/000.p/1",
        "/v1/log/consistency?from=1",
    ] {
        let plain = service.get(path).await;
        let asked = ask(&service, Method::GET, path, &gzip).await;
        assert_eq!(header(&asked, "content-encoding"), None, "{path}");
        assert_eq!(header(&asked, "etag"), header(&plain, "etag"));
        assert_eq!(asked.bytes().await.unwrap(), plain.bytes().await.unwrap());
    }
    service.stop().await;
}

#[tokio::test]
async fn no_error_is_ever_immutable() {
    let (service, published) = grown().await;
    let (size, _) = published[published.len() - 1];
    let beyond = format!("/tile/0/002.p/{}", size % 256 + 1);
    let edge = format!("/tile/0/002.p/{}", size % 256);
    assert_eq!(service.get(&edge).await.status(), 200);
    let refuses_all = [("accept-encoding", "identity;q=0, *;q=0")];
    for (method, path, headers, status) in [
        (Method::GET, beyond.as_str(), &[][..], 404),
        (Method::GET, "/tile/0/999", &[], 404),
        (Method::GET, "/tile/0/000.p/0", &[], 404),
        (Method::GET, "/tile/0/000.p/256", &[], 404),
        (Method::GET, "/tile/0/x000/000", &[], 404),
        (Method::GET, "/tile/64/000", &[], 404),
        (Method::GET, "/tile/63/000", &[], 404),
        (Method::GET, "/tile/entries/002", &[], 404),
        (
            Method::GET,
            "/tile/0/x018/x446/x744/x073/x709/x551/615",
            &[],
            404,
        ),
        (
            Method::GET,
            "/tile/entries/x018/x446/x744/x073/x709/x551/615",
            &[],
            404,
        ),
        (Method::GET, "/tile/0/%ff", &[], 400),
        (Method::HEAD, "/tile/0/999", &[], 404),
        (Method::GET, "/tile/0/999", &[("if-none-match", "*")], 404),
        (Method::POST, "/tile/0/000", &[], 405),
        (Method::DELETE, "/checkpoint", &[], 405),
        (Method::GET, "/tile/", &[], 404),
        (Method::GET, "/v1/log/consistency?from=3&to=2", &[], 400),
        (
            Method::GET,
            "/v1/log/consistency?from=1&to=900000",
            &[],
            404,
        ),
        (Method::GET, "/v1/log/inclusion?index=900000", &[], 404),
    ] {
        let response = ask(&service, method.clone(), path, headers).await;
        assert_eq!(response.status(), status, "{method} {path}");
        let fresh = header(&response, "cache-control");
        assert_eq!(fresh, Some("no-store"), "{method} {path}");
        assert_eq!(header(&response, "etag"), None, "{method} {path}");
    }
    // An answer that a client's wishes do not fit is not turned into an error that caches keep for a year.
    for path in [
        "/checkpoint",
        "/tile/0/000",
        "/tile/entries/000",
        "/v1/log/consistency?from=1&to=2",
    ] {
        let response = ask(&service, Method::GET, path, &refuses_all).await;
        assert_eq!(response.status(), 200, "{path}");
    }
    service.stop().await;
}

#[tokio::test]
async fn browsers_may_read_and_revalidate() {
    let (service, _) = grown().await;
    let origin = ("origin", "https://monitor.example");
    for path in [
        "/checkpoint",
        "/tile/0/000",
        "/tile/entries/000",
        "/v1/log/consistency?from=1",
    ] {
        let response = ask(&service, Method::GET, path, &[origin]).await;
        assert_eq!(
            header(&response, "access-control-allow-origin"),
            Some("*"),
            "{path}"
        );
        let exposed = header(&response, "access-control-expose-headers").unwrap();
        assert!(
            exposed == "*" || exposed.contains("etag"),
            "{path}: {exposed}"
        );
        let preflight = [
            origin,
            ("access-control-request-method", "GET"),
            ("access-control-request-headers", "if-none-match"),
        ];
        let response = ask(&service, Method::OPTIONS, path, &preflight).await;
        assert!(response.status().is_success(), "{path}");
        let allowed = header(&response, "access-control-allow-headers").unwrap();
        assert!(
            allowed.to_ascii_lowercase().contains("if-none-match"),
            "{path}: {allowed}"
        );
    }
    service.stop().await;
}

/// Every tile of every tree that was ever published, read by the verifier's own reader; and what is in them, from the bundles.
#[tokio::test]
async fn every_published_tree_can_be_read_tile_by_tile() {
    let (service, published) = grown().await;
    for (size, root) in published {
        let mut reader = TileReader::new(size, root);
        for n in 0..size.div_ceil(256) {
            let id = TileId { level: 0, n };
            while let Some(path) = reader.missing(id) {
                let response = service.get(&format!("/tile/{path}")).await;
                assert_eq!(response.status(), 200, "{path} of {size}");
                reader.add(path, &response.bytes().await.unwrap()).unwrap();
            }
            let hashes = reader.get(id).unwrap();
            let path = TilePath::entries(n, hashes.len());
            let bundle = service
                .get(&format!("/tile/{path}"))
                .await
                .bytes()
                .await
                .unwrap();
            let entries = parse_bundle(&bundle, hashes.len()).unwrap();
            for (entry, hash) in entries.iter().zip(hashes) {
                assert_eq!(&goodstanding_verify::merkle::leaf_hash(entry), hash);
            }
        }
    }
    service.stop().await;
}

fn hash(value: &Value) -> Hash {
    b64::std_decode_32(value.as_str().unwrap()).unwrap()
}

/// Checks an answer of `/v1/log/consistency` as a stranger would, and returns its two trees.
fn extends(answer: &Value) -> ((u64, Hash), (u64, Hash)) {
    let old = (answer["from"].as_u64().unwrap(), hash(&answer["from_root"]));
    let new = (answer["to"].as_u64().unwrap(), hash(&answer["to_root"]));
    let path: Vec<Hash> = answer["hashes"]
        .as_array()
        .unwrap()
        .iter()
        .map(hash)
        .collect();
    verify_consistency(old.0, new.0, &old.1, &new.1, &path).unwrap();
    (old, new)
}

#[tokio::test]
async fn consistency_between_all_published_trees_and_from_any_size() {
    let (service, published) = grown().await;
    let last = published[published.len() - 1];
    for new in &published {
        for old in published.iter().filter(|old| old.0 <= new.0) {
            let path = format!("/v1/log/consistency?from={}&to={}", old.0, new.0);
            let response = service.get(&path).await;
            assert_eq!(
                header(&response, "cache-control"),
                Some("public, max-age=31536000, immutable")
            );
            assert_eq!(extends(&response.json().await.unwrap()), (*old, *new));
        }
    }
    // Any size, not only published ones; `to` is the newest published by default, and that answer is asked for again.
    for from in (0..=last.0).step_by(41) {
        let response = service
            .get(&format!("/v1/log/consistency?from={from}"))
            .await;
        assert_eq!(header(&response, "cache-control"), Some("no-cache"));
        let (old, new) = extends(&response.json().await.unwrap());
        assert_eq!((old.0, new), (from, last));
    }
    let empty = service.get_json("/v1/log/consistency?from=0&to=5").await;
    assert_eq!(hash(&empty["from_root"]), EMPTY_ROOT);
    assert_eq!(empty["hashes"], Value::Array(Vec::new()));
    for (query, status, code) in [
        ("", 400, "request.parameter_invalid"),
        ("to=5", 400, "request.parameter_invalid"),
        ("from=x", 400, "request.parameter_invalid"),
        ("from=-1", 400, "request.parameter_invalid"),
        ("from=1&form=2", 400, "request.parameter_invalid"),
        ("from=1&from=1", 400, "request.parameter_invalid"),
        ("from=5&to=4", 400, "request.parameter_invalid"),
        ("from=1&to=9007199254740992", 404, "log.leaf_unknown"),
        ("from=9007199254740992", 404, "log.leaf_unknown"),
    ] {
        let response = service.get(&format!("/v1/log/consistency?{query}")).await;
        assert_eq!(response.status(), status, "{query}");
        assert_eq!(
            response.json::<Value>().await.unwrap()["code"],
            code,
            "{query}"
        );
    }
    service.stop().await;
}

#[tokio::test]
async fn inclusion_by_index_by_report_and_under_every_published_checkpoint() {
    let (service, published) = grown().await;
    let (newest, _) = published[published.len() - 1];
    let listed = service.get_json("/v1/reports?limit=1").await;
    let first = &listed["items"][0];
    let (id, index) = (
        first["report_id"].as_str().unwrap(),
        first["leaf_index"].as_u64().unwrap(),
    );
    for path in [
        format!("/v1/log/inclusion?report={id}"),
        format!("/v1/log/inclusion?index={index}"),
        format!("/v1/reports/{id}/receipt"),
    ] {
        let response = service.get(&path).await;
        assert_eq!(
            header(&response, "content-type"),
            Some("text/plain; charset=utf-8"),
            "{path}"
        );
        service
            .check_receipt(&response.text().await.unwrap(), id, index)
            .await;
    }
    for (size, root) in &published {
        for index in [0, size / 2, size - 1] {
            let path = format!("/v1/log/inclusion?index={index}&size={size}");
            let text = service.get(&path).await.text().await.unwrap();
            let proof = goodstanding_verify::proof::TlogProof::parse(&text).unwrap();
            assert_eq!(proof.index, index);
            let signed = SignedCheckpoint::parse(&proof.checkpoint).unwrap();
            assert_eq!(
                (signed.checkpoint().size, signed.checkpoint().root),
                (*size, *root)
            );
            let entry = service.entry(index).await;
            proof.verify(&entry, &service.witness_policy()).unwrap();
            assert!(proof.verify(b"{}", &service.witness_policy()).is_err());
        }
    }
    let (first_size, _) = published[0];
    for (query, status, code) in [
        (String::new(), 400, "request.parameter_invalid"),
        (
            format!("index=1&report={id}"),
            400,
            "request.parameter_invalid",
        ),
        ("report=x".to_owned(), 400, "request.parameter_invalid"),
        (format!("report={}", "A".repeat(43)), 404, "report.unknown"),
        (format!("index={newest}"), 404, "log.leaf_unknown"),
        (
            format!("index=0&size={}", first_size - 1),
            404,
            "log.checkpoint_unknown",
        ),
        (
            format!("index=0&size={}", newest + 1),
            404,
            "log.checkpoint_unknown",
        ),
        (
            format!("index={first_size}&size={first_size}"),
            404,
            "log.leaf_unknown",
        ),
    ] {
        let response = service.get(&format!("/v1/log/inclusion?{query}")).await;
        assert_eq!(response.status(), status, "{query}");
        assert_eq!(
            response.json::<Value>().await.unwrap()["code"],
            code,
            "{query}"
        );
    }
    service.stop().await;
}
