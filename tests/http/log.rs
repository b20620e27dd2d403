//! The log as a stranger reads it: checkpoint, tiles and entries add up.

use goodstanding_verify::{
    checkpoint::SignedCheckpoint,
    merkle::{self, leaf_hash, verify_consistency},
};

use crate::support::{Service, T0, agent, report, verifier};

/// Reads all published entries through the bundles alone.
async fn entries(service: &Service, size: u64) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    let mut n = 0;
    while n * 256 < size {
        let width = (size - n * 256).min(256);
        let path = if width == 256 {
            format!("/tile/entries/{n:03}")
        } else {
            format!("/tile/entries/{n:03}.p/{width}")
        };
        let response = service.get(&path).await;
        assert_eq!(response.status(), 200, "{path}");
        let bytes = response.bytes().await.unwrap();
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let length = usize::from(u16::from_be_bytes([rest[0], rest[1]]));
            all.push(rest[2..2 + length].to_vec());
            rest = &rest[2 + length..];
        }
        n += 1;
    }
    all
}

#[tokio::test]
async fn checkpoint_tiles_and_entries_add_up_at_every_published_size() {
    let service = Service::start(T0).await;
    let key = verifier(&service.app.signer.vkey());
    let mut seen: Vec<(u64, [u8; 32])> = Vec::new();
    let mut sent = 0;
    for batch in [1_u32, 3, 200, 60, 300, 1] {
        let lines: Vec<String> = (sent..sent + batch)
            .map(|n| report(&agent(n % 50), &agent(60), &format!("t-{n}"), T0 - 60))
            .collect();
        sent += batch;
        service.submit_lines(&lines).await;
        service.app.log.publish().await.unwrap();
        let note = service.get("/checkpoint").await.text().await.unwrap();
        let signed = SignedCheckpoint::parse(&note).unwrap();
        let checkpoint = signed.verify_log(&key).unwrap().clone();
        let leaves: Vec<_> = entries(&service, checkpoint.size)
            .await
            .iter()
            .map(|e| leaf_hash(e))
            .collect();
        assert_eq!(leaves.len() as u64, checkpoint.size);
        assert_eq!(merkle::root(&leaves), checkpoint.root);
        // Hash tiles hold those very leaf hashes, also at the narrower widths of older checkpoints.
        for (size, root) in seen
            .iter()
            .copied()
            .chain([(checkpoint.size, checkpoint.root)])
        {
            let width = size % 256;
            if width > 0 {
                let tile = service
                    .get(&format!("/tile/0/{:03}.p/{width}", size / 256))
                    .await
                    .bytes()
                    .await
                    .unwrap();
                let start = usize::try_from(size - width).unwrap();
                assert_eq!(tile, leaves[start..usize::try_from(size).unwrap()].concat());
            }
            let proof = merkle::consistency_path(&leaves, usize::try_from(size).unwrap()).unwrap();
            verify_consistency(size, checkpoint.size, &root, &checkpoint.root, &proof).unwrap();
        }
        seen.push((checkpoint.size, checkpoint.root));
    }
    assert!(service.log_size() > 512);
    let parent = service.get("/tile/1/000.p/2").await.bytes().await.unwrap();
    let children = service.get("/tile/0/001").await.bytes().await.unwrap();
    let hashes: Vec<[u8; 32]> = children.chunks(32).map(|c| c.try_into().unwrap()).collect();
    assert_eq!(parent[32..], merkle::root(&hashes));
    service.stop().await;
}

#[tokio::test]
async fn only_what_is_published_is_served() {
    let service = Service::start(T0).await;
    service.app.log.publish().await.unwrap();
    let size = service.log_size();
    for path in [
        "/tile/0/000",
        "/tile/0/000.p/255",
        "/tile/1/000.p/1",
        "/tile/0/0",
        "/tile/entries/001",
        "/tile/9/000",
        "/tile/x",
    ] {
        let response = service.get(path).await;
        assert_eq!(response.status(), 404, "{path}");
        assert_eq!(response.headers()["cache-control"], "no-store", "{path}");
    }
    let response = service.get(&format!("/tile/0/000.p/{size}")).await;
    assert_eq!(response.status(), 200);
    assert!(
        response.headers()["cache-control"]
            .to_str()
            .unwrap()
            .contains("immutable")
    );
    service.stop().await;
}

#[tokio::test]
async fn a_range_that_ends_before_it_begins_is_refused() {
    let service = Service::start(T0).await;
    service.app.log.publish().await.unwrap();
    let size = service.log_size();
    for (path, status, code) in [
        (
            "/v1/log/bodies?start=2&end=1".to_owned(),
            400,
            "request.parameter_invalid",
        ),
        (
            "/v1/log/consistency?from=2&to=1".to_owned(),
            400,
            "request.parameter_invalid",
        ),
        (
            format!("/v1/log/bodies?start={}", size + 1),
            404,
            "log.leaf_unknown",
        ),
    ] {
        let response = service.get(&path).await;
        assert_eq!(response.status(), status, "{path}");
        let problem: serde_json::Value = response.json().await.unwrap();
        assert_eq!(problem["code"], code, "{path}");
    }
    // An empty range is one, also at the very end: who polls for more has reached it.
    for path in ["?start=1&end=1".to_owned(), format!("?start={size}")] {
        let response = service.get(&format!("/v1/log/bodies{path}")).await;
        assert_eq!(response.status(), 200, "{path}");
        assert_eq!(response.text().await.unwrap(), "", "{path}");
    }
    service.stop().await;
}

#[tokio::test]
async fn publishing_is_at_most_once_a_second_and_receipts_wait_for_it() {
    let service = Service::start(T0).await;
    service.app.log.publish().await.unwrap();
    let (_, first) = service
        .submit(report(&agent(1), &agent(2), "t-1", T0 - 60))
        .await;
    let id = first["report_id"].as_str().unwrap();
    let early = service.get(&format!("/v1/reports/{id}/receipt")).await;
    if early.status() == 503 {
        assert!(early.headers().contains_key("retry-after"));
    }
    let mut published = service.app.log.shared().published.clone();
    let index = first["leaf_index"].as_u64().unwrap();
    let covered = published.wait_for(|p| p.as_ref().is_some_and(|p| p.size > index));
    tokio::time::timeout(std::time::Duration::from_secs(10), covered)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        service
            .get(&format!("/v1/reports/{id}/receipt"))
            .await
            .status(),
        200
    );
    service.stop().await;
}
