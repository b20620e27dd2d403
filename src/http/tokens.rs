//! Tokens and what their verifiers fetch ahead of time.

use std::net::SocketAddr;

use axum::{
    Json,
    extract::{ConnectInfo, Path, State},
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
};
use goodstanding_verify::entry::KeyUse;
use serde_json::{Value, json};

use super::{
    problem::Failed,
    query::{media_type, number},
};
use crate::{
    app::App,
    code::{Code, Fault},
    epoch,
    ingest::quota::{Quota, client},
    token::{bundle, issue, keys::list_of, metadata, possession, status},
};

const NO_STORE: (header::HeaderName, &str) = (header::CACHE_CONTROL, "no-store");
/// A proof JWT is a few hundred bytes.
const PROOF_BYTES: usize = 8192;

/// `POST /v1/tokens`: a proof JWT (`application/jwt`), or JSON `{"proof": "…"}` → `{token, expires_at}`.
pub(super) async fn issue(
    State(api): super::State,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    body: axum::body::Body,
) -> Result<Response, Failed> {
    limit(&api.token_quota, &client(peer.ip()))?;
    let kind = media_type(&headers);
    if !matches!(kind.as_str(), "application/jwt" | "application/json") {
        let detail = r#"application/jwt (a proof) or application/json ({"proof": "…"})"#;
        return Err(Fault::new(Code::MediaType, detail).into());
    }
    let bytes = axum::body::to_bytes(body, PROOF_BYTES).await.map_err(|_| {
        Fault::new(
            Code::BodyTooLarge,
            format!("a proof has at most {PROOF_BYTES} bytes"),
        )
    })?;
    let text = String::from_utf8(bytes.into())
        .map_err(|_| Fault::new(Code::BodyUnreadable, "the body is not UTF-8"))?;
    let proof = match serde_json::from_str::<Value>(&text) {
        Ok(value) => value
            .get("proof")
            .and_then(Value::as_str)
            .map(str::to_owned)
            .unwrap_or_default(),
        Err(_) => text.trim().to_owned(),
    };
    let proven = possession::check(&api.app, &proof)?;
    let agent = proven.agent;
    // A nonce is used up only by an agent that can get a token at all: throwaway keys cannot exhaust the table.
    let epoch = epoch::latest(api.app.store.as_ref()).await?;
    issue::statement_in(&api.app, &agent, epoch.number).await?;
    limit(&api.agent_quota, &agent)?;
    api.app.nonces.take(&proven.nonce, api.app.clock.now_s())?;
    let issued = issue::issue(&api.app, &agent).await?;
    Ok(([NO_STORE], Json(issued)).into_response())
}

/// `POST /oid4vci/nonce` → `{c_nonce}`.
pub(super) async fn nonce(
    State(api): super::State,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
) -> Result<Response, Failed> {
    limit(&api.token_quota, &client(peer.ip()))?;
    let nonce = api.app.nonces.issue(api.app.clock.now_s())?;
    Ok(([NO_STORE], Json(json!({"c_nonce": nonce}))).into_response())
}

pub(super) fn limit<K: std::hash::Hash + Eq + Clone>(
    quota: &Quota<K>,
    key: &K,
) -> Result<(), Failed> {
    quota.take(key, 1).map_err(|wait| {
        let fault = Fault::new(
            Code::QuotaTokens,
            format!("at most {} a minute", quota.burst()),
        );
        Failed::retry_after(fault, wait.as_secs() + 1)
    })
}

/// `GET /v1/trust-bundle`.
pub(super) async fn trust_bundle(State(api): super::State) -> Result<Response, Failed> {
    let jws = bundle::trust_bundle(&api.app).await?;
    let headers = [
        (header::CONTENT_TYPE, "application/trust-bundle+jwt"),
        (header::CACHE_CONTROL, "public, max-age=60"),
    ];
    Ok((headers, jws).into_response())
}

/// `GET /v1/status-lists`: the aggregation.
pub(super) async fn status_lists(State(api): super::State) -> Result<Json<Value>, Failed> {
    Ok(Json(
        json!({"status_lists": status::all_lists(&api.app).await?}),
    ))
}

/// `GET /v1/status-lists/{n}`.
pub(super) async fn status_list(
    State(api): super::State,
    Path(n): Path<String>,
) -> Result<Response, Failed> {
    let jws = status::signed_list(&api.app, number(&n)?).await?;
    let headers = [
        (header::CONTENT_TYPE, "application/statuslist+jwt"),
        (header::CACHE_CONTROL, "public, max-age=60"),
    ];
    Ok((headers, jws).into_response())
}

/// `GET /.well-known/jwt-vc-issuer`.
pub(super) async fn issuer_metadata(State(api): super::State) -> Result<Json<Value>, Failed> {
    Ok(Json(
        json!({"issuer": api.app.issuer, "jwks": {"keys": keys(&api.app)?}}),
    ))
}

/// `GET /.well-known/jwks.json`.
pub(super) async fn jwks(State(api): super::State) -> Result<Json<Value>, Failed> {
    Ok(Json(json!({"keys": keys(&api.app)?})))
}

/// The logged, unrevoked token keys. No `alg`: strict clients would pin one of `EdDSA` and `Ed25519`.
fn keys(app: &App) -> Result<Vec<Value>, Fault> {
    let mut keys = Vec::new();
    for key in list_of(app)? {
        if key.usage == KeyUse::Token && key.revoked.is_none() {
            let mut jwk = key.jwk.to_value();
            if let Some(members) = jwk.as_object_mut() {
                members.insert("kid".into(), key.kid.into());
                members.insert("use".into(), "sig".into());
            }
            keys.push(jwk);
        }
    }
    Ok(keys)
}

/// `GET /vct/agent-reputation/1`.
pub(super) async fn type_metadata(State(api): super::State) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "application/json"),
        (header::CACHE_CONTROL, "public, max-age=3600"),
    ];
    (headers, metadata::document(&api.app.issuer)).into_response()
}
