//! A server that shows a log with one thing altered.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Router,
    body::Bytes,
    extract::{Path, State},
    http::StatusCode,
    routing::get,
};

/// What is done to one resource.
#[derive(Clone, Debug)]
pub(crate) enum Alteration {
    /// One bit of this byte is another.
    Flipped(usize),
    /// The last so many bytes are missing.
    Shortened(usize),
    /// So many zero bytes follow.
    Lengthened(usize),
    /// These bytes stand at this place.
    Written(usize, Vec<u8>),
    /// Another resource is served in its place.
    Replaced(String),
    /// It is not there.
    Missing,
}

/// Alterations by name: the resource and what is done to it.
pub(crate) type Alterations = BTreeMap<String, (String, Alteration)>;

struct Shown {
    log: String,
    client: reqwest::Client,
    alterations: Alterations,
}

/// Serves the log at `log` once for every alteration, under `<returned URL>/<name>/`.
pub(crate) async fn serve(log: &str, alterations: Alterations) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let shown = Shown {
        log: log.to_owned(),
        client: goodstanding::net::builder().build().unwrap(),
        alterations,
    };
    let router = Router::new()
        .route("/{name}/{*path}", get(altered))
        .with_state(Arc::new(shown));
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

async fn altered(
    State(shown): State<Arc<Shown>>,
    Path((name, path)): Path<(String, String)>,
) -> (StatusCode, Bytes) {
    let (resource, alteration) = &shown.alterations[&name];
    let alteration = Some(alteration).filter(|_| *resource == path);
    let path = match alteration {
        Some(Alteration::Replaced(other)) => other,
        Some(Alteration::Missing) => return (StatusCode::NOT_FOUND, Bytes::new()),
        _ => &path,
    };
    let response = shown.client.get(format!("{}/{path}", shown.log));
    let response = response.send().await.unwrap();
    let status = StatusCode::from_u16(response.status().as_u16()).unwrap();
    let mut bytes = response.bytes().await.unwrap().to_vec();
    match alteration {
        Some(Alteration::Flipped(at)) => bytes[*at] ^= 1,
        Some(Alteration::Shortened(by)) => bytes.truncate(bytes.len() - by),
        Some(Alteration::Lengthened(by)) => bytes.extend(vec![0; *by]),
        Some(Alteration::Written(at, new)) => bytes[*at..at + new.len()].copy_from_slice(new),
        _ => {}
    }
    (status, bytes.into())
}
