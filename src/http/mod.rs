//! The HTTP API: router, lifecycle, and one file per noun.
//!
//! Handlers hold no transaction and no lock across a database write: they check, hand over to the writer, and wait. A
//! handler that is dropped because its client went away leaves nothing behind but the work it had handed over.

mod agents;
mod aliases;
mod cached;
mod epochs;
mod erasure;
mod health;
mod keys;
mod log;
pub mod openapi;
pub mod problem;
mod proofs;
mod query;
mod reports;
mod service;
mod tiles;
mod tokens;
mod visible;

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    Router,
    extract::{DefaultBodyLimit, MatchedPath, Request},
    http::{HeaderName, Method, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use goodstanding_verify::did::Did;
use tokio::{net::TcpListener, sync::Semaphore};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower_http::{
    catch_panic::CatchPanicLayer,
    classify::ServerErrorsFailureClass,
    compression::CompressionLayer,
    cors::CorsLayer,
    request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer},
    timeout::RequestBodyTimeoutLayer,
    trace::TraceLayer,
};

use crate::{
    app::App,
    code::{Code, Fault},
    config::{Config, Visibility},
    ingest::quota::Quota,
    log::cluster::Role,
};
use problem::Failed;

/// What every handler can reach.
#[derive(Debug)]
pub struct Api {
    /// The open data directory.
    pub app: Arc<App>,
    /// Reports per client address.
    pub quota: Quota<IpAddr>,
    /// Tokens per client address.
    pub token_quota: Quota<IpAddr>,
    /// Tokens per agent.
    pub agent_quota: Quota<Did>,
    /// Bulk submissions that may be held in memory at a time.
    pub bulk: Semaphore,
    /// Who may read reports, agents, statements and salts.
    pub visibility: Visibility,
}

/// Bulk submissions at a time, each at most 32 MiB.
const BULK_AT_A_TIME: usize = 8;
/// Token requests and nonces a minute of one address.
const TOKENS_PER_ADDRESS: u32 = 600;
/// Tokens a minute of one agent; it needs one a day.
const TOKENS_PER_AGENT: u32 = 10;
/// How long a client may stay silent in the middle of a body.
const BODY_SILENCE: Duration = Duration::from_secs(30);

type State = axum::extract::State<Arc<Api>>;

/// A page of a list.
#[derive(Debug, serde::Serialize)]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// Where the next page begins; `null` at the end.
    pub next_cursor: Option<String>,
}

/// Every route of the service.
pub fn router(api: Arc<Api>) -> Router {
    layered(everything(&api), api)
}

/// What a process tells that writes and answers nobody else.
fn health_only() -> Router<Arc<Api>> {
    Router::new()
        .route("/livez", get(health::live))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(health::metrics))
}

fn everything(api: &Arc<Api>) -> Router<Arc<Api>> {
    // What `visibility` is about: no route that shows bodies, agents, statements or salts stands anywhere else.
    let guarded = Router::new()
        .route("/v1/reports", post(reports::submit).get(reports::list))
        .route("/v1/reports/{id}", get(reports::show))
        .route("/v1/agents/{did}", get(agents::show))
        .route("/v1/agents/{did}/explanation", get(agents::explanation))
        .route("/v1/agents/{did}/history", get(agents::history))
        .route("/v1/epochs/{number}/statements", get(epochs::statements))
        .route("/v1/epochs/{number}/salt-key", get(epochs::salt_key))
        .route("/v1/log/bodies", get(log::bodies))
        .route_layer(middleware::from_fn_with_state(api.clone(), visible::guard));
    Router::new()
        .merge(guarded)
        .route("/v1/reports/{id}/receipt", get(reports::receipt))
        .route("/v1/reports/{id}/erasure", post(erasure::erase))
        .route("/v1/aliases", get(aliases::list).post(aliases::name))
        .route("/v1/epochs", get(epochs::list).post(epochs::run))
        .route("/v1/epochs/{number}", get(epochs::show))
        .route("/v1/log/checkpoints", get(log::checkpoints))
        .route("/v1/log/successor", get(keys::successor))
        .route("/v1/keys", get(keys::list).post(keys::change))
        .route("/v1/tokens", post(tokens::issue))
        .route("/oid4vci/nonce", post(tokens::nonce))
        .route("/v1/trust-bundle", get(tokens::trust_bundle))
        .route("/v1/status-lists", get(tokens::status_lists))
        .route("/v1/status-lists/{n}", get(tokens::status_list))
        .route("/.well-known/jwt-vc-issuer", get(tokens::issuer_metadata))
        .route("/.well-known/jwks.json", get(tokens::jwks))
        .route("/vct/agent-reputation/1", get(tokens::type_metadata))
        .route("/v1/errors", get(service::errors))
        .route("/openapi.json", get(service::openapi))
        .merge(health_only())
        .layer(CompressionLayer::new())
        // Not compressed in passing: see `cached`.
        .route("/checkpoint", get(tiles::checkpoint))
        .route("/tile/{*path}", get(tiles::tile))
        .route("/v1/log/consistency", get(proofs::consistency))
        .route("/v1/log/inclusion", get(proofs::inclusion))
}

fn layered(routes: Router<Arc<Api>>, api: Arc<Api>) -> Router {
    let request_id = HeaderName::from_static("x-request-id");
    routes
        .fallback(service::nothing_here)
        .method_not_allowed_fallback(service::method_not_allowed)
        .layer(middleware::from_fn(problems_everywhere))
        .layer(middleware::from_fn_with_state(api.clone(), believed))
        .layer(middleware::from_fn_with_state(api.clone(), counted))
        .layer(DefaultBodyLimit::disable())
        .layer(RequestBodyTimeoutLayer::new(BODY_SILENCE))
        // Everything here is public and without cookies: verifiers in browsers may read it.
        .layer(cors())
        .layer(TraceLayer::new_for_http().on_failure(failed))
        .layer(PropagateRequestIdLayer::new(request_id.clone()))
        .layer(SetRequestIdLayer::new(request_id, MakeRequestUuid))
        .layer(CatchPanicLayer::custom(|_| {
            Failed::from(Fault::new(Code::Internal, "a handler panicked")).into_response()
        }))
        .with_state(api)
}

/// Logs a request that the service could not serve. A 503 asks for patience (a full queue, witnesses that are missing): nobody has to act,
/// and what has to be acted on said so itself.
fn failed(class: ServerErrorsFailureClass, latency: Duration, _: &tracing::Span) {
    let latency_ms = u64::try_from(latency.as_millis()).unwrap_or(u64::MAX);
    match class {
        ServerErrorsFailureClass::StatusCode(StatusCode::SERVICE_UNAVAILABLE) => {
            tracing::warn!(status = 503, latency_ms, "not now");
        }
        class => tracing::error!(%class, latency_ms, "response failed"),
    }
}

/// Any origin, with the headers that our operations take: the wildcard would not cover `Authorization` (Fetch standard).
fn cors() -> CorsLayer {
    let dpop = HeaderName::from_static("dpop");
    CorsLayer::permissive().allow_headers([
        header::AUTHORIZATION,
        header::CONTENT_TYPE,
        header::IF_NONE_MATCH,
        dpop,
    ])
}

/// Counts a request under its route's template, never under what it asked for.
async fn counted(axum::extract::State(api): State, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let method = request.method().clone();
    let response = next.run(request).await;
    let route = route.as_ref().map_or("none", MatchedPath::as_str);
    let method = match &method {
        m if m == Method::GET => "GET",
        m if m == Method::POST => "POST",
        m if m == Method::HEAD => "HEAD",
        m if m == Method::OPTIONS => "OPTIONS",
        _ => "other",
    };
    let status = response.status().as_u16();
    api.app
        .metrics
        .request(route, method, status, started.elapsed());
    response
}

/// Refuses whatever the database would have to answer while that is not the log which this process has seen.
async fn believed(axum::extract::State(api): State, request: Request, next: Next) -> Response {
    const OWN: [&str; 5] = [
        "/livez",
        "/readyz",
        "/metrics",
        "/v1/errors",
        "/openapi.json",
    ];
    let route = request.extensions().get::<MatchedPath>();
    let is_own = route.is_some_and(|route| OWN.contains(&route.as_str()));
    match api.app.log.shared().standing().refusal() {
        Some(refusal) if !is_own => Failed::from(refusal).into_response(),
        _ => next.run(request).await,
    }
}

/// Rejections that axum makes by itself (a path segment that is not UTF-8, say) become problems too.
async fn problems_everywhere(request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    let is_plain = response
        .headers()
        .get(header::CONTENT_TYPE)
        .is_none_or(|kind| kind.as_bytes().starts_with(b"text/plain"));
    if response.status() == StatusCode::BAD_REQUEST && is_plain {
        return Failed::from(Fault::new(
            Code::ParameterInvalid,
            "a path or query parameter could not be read",
        ))
        .into_response();
    }
    response
}

/// Serves until `stop`, then finishes open requests for at most the configured time.
///
/// # Errors
/// When the listener fails.
pub async fn serve(
    app: Arc<App>,
    config: Config,
    listener: TcpListener,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let api = Arc::new(Api {
        app: app.clone(),
        quota: Quota::per_minute(config.reports_per_minute),
        token_quota: Quota::per_minute(TOKENS_PER_ADDRESS),
        agent_quota: Quota::per_minute(TOKENS_PER_AGENT),
        bulk: Semaphore::new(BULK_AT_A_TIME),
        visibility: config.visibility,
    });
    let tasks = TaskTracker::new();
    tasks.spawn(tend(api.clone(), stop.clone()));
    if config.epoch_interval_s > 0 {
        tasks.spawn(epochs_on_schedule(
            app,
            Duration::from_secs(config.epoch_interval_s),
            stop.clone(),
        ));
    }
    tasks.close();
    let routes = match config.role {
        Role::All | Role::Api => everything(&api),
        Role::Sequencer => health_only(),
    };
    let service = layered(routes, api).into_make_service_with_connect_info::<SocketAddr>();
    let server =
        axum::serve(listener, service).with_graceful_shutdown(stop.clone().cancelled_owned());
    let mut server = std::pin::pin!(server.into_future());
    let drained = async {
        stop.cancelled().await;
        tokio::time::sleep(config.drain()).await;
    };
    tokio::select! {
        ended = &mut server => ended?,
        () = drained => tracing::warn!("open requests were cut off after the drain time"),
    }
    stop.cancel();
    tasks.wait().await;
    Ok(())
}

/// Keeps the quota table small, and nothing in memory that was erased.
async fn tend(api: Arc<Api>, stop: CancellationToken) {
    while tokio::time::timeout(Duration::from_mins(1), stop.cancelled())
        .await
        .is_err()
    {
        api.quota.forget_idle();
        api.token_quota.forget_idle();
        api.agent_quota.forget_idle();
        if let Err(fault) = crate::epoch::forget_erased(&api.app).await {
            tracing::warn!(code = fault.code(), error = %fault, "whether a kept explanation was erased is not known");
        }
    }
}

/// Computes an epoch at every interval, unless nothing can be scored yet.
async fn epochs_on_schedule(app: Arc<App>, every: Duration, stop: CancellationToken) {
    while tokio::time::timeout(every, stop.cancelled()).await.is_err() {
        // One process of several is enough.
        if !app.log.shared().is_leading() {
            continue;
        }
        match crate::epoch::run_if_changed(&app).await {
            Ok(_) => {}
            Err(fault)
                if fault.code() == "policy.no_seeds"
                    || fault.is(Code::EpochNoReports)
                    || fault.is(Code::EpochUnchanged)
                    || fault.is(Code::LogEnded) =>
            {
                tracing::info!(code = fault.code(), "no epoch this time");
            }
            Err(fault) => {
                tracing::error!(code = fault.code(), error = %fault, "the scheduled epoch failed");
            }
        }
    }
}
