//! `/v1/reports`.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Extension, Json,
    body::Body,
    extract::{ConnectInfo, Path, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use goodstanding_score::evidence::{Admitted, Evidence};
use goodstanding_verify::report::Report;
use serde::Serialize;
use serde_json::{Value, json};

use super::{
    Api, Page,
    problem::{Failed, Problem},
    query::{Parameters, cursor, invalid, media_type, report_id},
    visible::Asking,
};
use crate::{
    app::App,
    casework::erasure::Erased,
    code::{Code, Fault},
    epoch,
    ingest::{self, quota::client},
    log::prove::entry_proof,
    store::{ReportFilter, StoredErasure, StoredReport},
    token::bundle::published,
};

/// A single JWS is at most 16 KiB; a little more is read so that the answer can say by how much it is too large.
const SINGLE_BYTES: usize = 64 * 1024;
const BULK_BYTES: usize = 32 * 1024 * 1024;
const BULK_LINES: usize = 10_000;
/// The largest body at some 4.5 Mbit/s.
const BODY_DEADLINE: Duration = Duration::from_mins(1);
/// Reports with the same document that are looked at when a level is shown.
const QUOTED: u32 = 8;

/// `POST /v1/reports`: one JWS (`application/jwt`) or one a line (`application/x-ndjson`).
pub(super) async fn submit(
    State(api): super::State,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Failed> {
    let kind = media_type(&headers);
    if headers
        .get(header::CONTENT_ENCODING)
        .is_some_and(|v| v != "identity")
    {
        return Err(Fault::new(
            Code::MediaType,
            "no Content-Encoding is taken; send the body as it is",
        )
        .into());
    }
    match kind.as_str() {
        "application/jwt" => submit_one(&api, peer, body).await,
        "application/x-ndjson" => submit_many(&api, peer, body).await,
        _ => Err(Fault::new(
            Code::MediaType,
            "application/jwt (one report) or application/x-ndjson (one a line)",
        )
        .into()),
    }
}

async fn submit_one(api: &Arc<Api>, peer: SocketAddr, body: Body) -> Result<Response, Failed> {
    take(api, peer, 1)?;
    let jws = text(body, SINGLE_BYTES).await?;
    let (admitted, proof) = ingest::submit_one(&api.app, jws.trim_end().to_owned()).await?;
    let status = if admitted.new {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    let location = format!("/v1/reports/{}", admitted.id);
    let body = json!({
        "report_id": admitted.id.to_string(),
        "leaf_index": admitted.index,
        "receipt": proof,
        "witnessed": false,
    });
    Ok((status, [(header::LOCATION, location)], Json(body)).into_response())
}

async fn submit_many(api: &Arc<Api>, peer: SocketAddr, body: Body) -> Result<Response, Failed> {
    // Whole bodies are held in memory: only so many at a time.
    let busy = || Fault::new(Code::QueueFull, "too many bulk submissions at a time");
    let _place = api.bulk.try_acquire().map_err(|_| busy())?;
    let text = text(body, BULK_BYTES).await?;
    let count = text.trim_end().lines().take(BULK_LINES + 1).count();
    if count > BULK_LINES {
        return Err(Fault::new(Code::TooManyLines, format!("more than {BULK_LINES} lines")).into());
    }
    take(api, peer, u32::try_from(count).unwrap_or(u32::MAX))?;
    let lines: Vec<String> = text
        .trim_end()
        .lines()
        .map(|line| line.trim_end().to_owned())
        .collect();
    drop(text);
    let mut out = String::new();
    for answer in ingest::submit_many(&api.app.log, lines).await? {
        let line = match &answer {
            Ok(receipt) => {
                json!({"report_id": receipt.admitted.id.to_string(), "leaf_index": receipt.admitted.index})
            }
            Err(fault) => json!(Problem::from(fault)),
        };
        out.push_str(&line.to_string());
        out.push('\n');
    }
    Ok(([(header::CONTENT_TYPE, "application/x-ndjson")], out).into_response())
}

fn take(api: &Api, peer: SocketAddr, reports: u32) -> Result<(), Failed> {
    api.quota.take(&client(peer.ip()), reports).map_err(|wait| {
        let detail = format!("an address may send {} reports a minute", api.quota.burst());
        Failed::retry_after(Fault::new(Code::QuotaAddress, detail), wait.as_secs() + 1)
    })
}

async fn text(body: Body, limit: usize) -> Result<String, Fault> {
    // A body that trickles in would hold its place, and there are few for bulk submissions.
    let whole = tokio::time::timeout(BODY_DEADLINE, axum::body::to_bytes(body, limit));
    let late = |_| {
        let detail = format!(
            "the body was not complete after {} s",
            BODY_DEADLINE.as_secs()
        );
        Fault::new(Code::BodyUnreadable, detail)
    };
    let bytes = whole.await.map_err(late)?.map_err(|error| {
        if std::error::Error::source(&error)
            .is_some_and(<dyn std::error::Error + 'static>::is::<http_body_util::LengthLimitError>)
        {
            Fault::new(Code::BodyTooLarge, format!("at most {limit} bytes"))
        } else {
            Fault::new(
                Code::BodyUnreadable,
                "the connection broke before the body was complete",
            )
        }
    })?;
    String::from_utf8(bytes.into())
        .map_err(|_| Fault::new(Code::BodyUnreadable, "the body is not UTF-8"))
}

/// A report as the API shows it.
#[derive(Debug, Serialize)]
pub(super) struct Shown {
    report_id: String,
    leaf_index: u64,
    /// Log time, Unix milliseconds.
    at: u64,
    historical: bool,
    /// Whether a later report of the same reporter replaced it.
    superseded: bool,
    /// Evidence level over the whole log; `null` when superseded.
    level: Option<&'static str>,
    /// Evidence level in the newest epoch; `null` when that epoch does not count it.
    level_in_epoch: Option<&'static str>,
    report: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    jws: Option<String>,
}

/// `GET /v1/reports?subject=&reporter=&market=&trade_id=&since=&limit=&cursor=`.
pub(super) async fn list(
    State(api): super::State,
    Extension(asking): Extension<Asking>,
    parameters: Parameters,
) -> Result<Json<Page<Shown>>, Failed> {
    parameters.only(&[
        "subject", "reporter", "market", "trade_id", "since", "limit", "cursor",
    ])?;
    let limit = parameters.limit()?;
    let since = match parameters.number("since")? {
        None => 0,
        Some(s) => {
            let at_ms = s
                .checked_mul(1000)
                .ok_or_else(|| invalid("since takes Unix seconds"))?;
            api.app.store.index_at(at_ms).await?
        }
    };
    let filter = ReportFilter {
        subject: parameters.did("subject")?,
        reporter: parameters.did("reporter")?,
        market: parameters.text("market"),
        trade_id: parameters.text("trade_id"),
        from_index: parameters.cursor()?.unwrap_or(0).max(since),
        limit: limit + 1,
    };
    asking.list(&filter)?;
    let mut found = api.app.store.reports(&filter).await?;
    let more = found.len() > usize::try_from(limit).unwrap_or(usize::MAX);
    found.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    let next_cursor = found
        .last()
        .filter(|_| more)
        .map(|last| cursor(last.index + 1));
    let scope = Scope::now(&api.app).await?;
    let mut items = Vec::with_capacity(found.len());
    for stored in found {
        items.push(scope.show(&api.app, stored, false).await?);
    }
    Ok(Json(Page { items, next_cursor }))
}

/// `GET /v1/reports/{id}`: the report, or that it was erased.
pub(super) async fn show(
    State(api): super::State,
    Extension(asking): Extension<Asking>,
    Path(id): Path<String>,
) -> Result<Response, Failed> {
    let stored = match stored(&api.app, &id).await? {
        Known::Whole(stored) => stored,
        // That a report was erased, and why, is what the log says to everybody.
        Known::Erased(erased) => return Ok(Json(Erased::of(&erased)?).into_response()),
    };
    asking.report(&stored.jws)?;
    let scope = Scope::now(&api.app).await?;
    Ok(Json(scope.show(&api.app, stored, true).await?).into_response())
}

/// `GET /v1/reports/{id}/receipt`: a tlog-proof under the newest published checkpoint.
pub(super) async fn receipt(
    State(api): super::State,
    Path(id): Path<String>,
) -> Result<Response, Failed> {
    // The entry stays when the report is erased, and so does the proof that it was there.
    let index = match stored(&api.app, &id).await? {
        Known::Whole(stored) => stored.index,
        Known::Erased(erased) => erased.index,
    };
    let proof = entry_proof(&api.app.tiles, index, &published(&api.app)?).await?;
    Ok(([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], proof).into_response())
}

/// A report that the log has.
enum Known {
    Whole(StoredReport),
    Erased(StoredErasure),
}

async fn stored(app: &App, id: &str) -> Result<Known, Fault> {
    let id = report_id(id)?;
    if let Some(stored) = app.store.report(&id).await? {
        return Ok(Known::Whole(stored));
    }
    let erased = app.store.erased(&id).await?;
    erased
        .map(Known::Erased)
        .ok_or_else(|| Fault::new(Code::ReportUnknown, format!("no report {id}")))
}

/// Stored reports as evidence takes them.
fn parsed(
    lists: &[&Vec<StoredReport>],
    covered: impl Fn(&StoredReport) -> bool,
) -> Result<Vec<Admitted>, Fault> {
    let stored = lists
        .iter()
        .flat_map(|list| list.iter())
        .filter(|r| covered(r));
    stored
        .map(|r| {
            let report = Report::parse_admitted(&r.jws)?;
            Ok(Admitted {
                index: r.index,
                at_ms: r.at_ms,
                historical: r.historical,
                report,
            })
        })
        .collect()
}

/// What evidence levels are computed over: the policies in force now and in the newest epoch.
struct Scope {
    policy: Option<Arc<crate::log::sequencer::CurrentPolicy>>,
    epoch: Option<(u64, u64, goodstanding_score::policy::Policy)>,
}

impl Scope {
    async fn now(app: &App) -> Result<Self, Fault> {
        let epoch = match app.store.epoch(None).await? {
            None => None,
            Some(epoch) => {
                let entry = epoch::entry_of(&epoch)?;
                let (_, policy) =
                    epoch::evidence::policy_at(app.store.as_ref(), entry.log_size).await?;
                Some((entry.log_size, entry.as_of.saturating_mul(1000), policy))
            }
        };
        Ok(Self {
            policy: app.log.shared().policy(),
            epoch,
        })
    }

    async fn show(&self, app: &App, stored: StoredReport, whole: bool) -> Result<Shown, Fault> {
        let report = Report::parse_admitted(&stored.jws)?;
        let current = async |before| {
            let trade = &report.trade;
            app.store
                .current_reports(&trade.market, &trade.id, [&report.iss, &report.sub], before)
                .await
        };
        let (now, then) = match &self.epoch {
            None => (current(1 << 53).await?, Vec::new()),
            Some((log_size, ..)) => (current(1 << 53).await?, current(*log_size).await?),
        };
        // Who else brings the same documents decides whether they lift this report.
        let mut quoted = Vec::new();
        let digests = report.evidence.iter().filter_map(|e| match e {
            goodstanding_verify::report::Evidence::Market { sha256, .. }
            | goodstanding_verify::report::Evidence::Receipt { sha256, .. } => Some(sha256.0),
            _ => None,
        });
        for sha256 in digests {
            quoted.extend(app.store.reports_with_document(&sha256, QUOTED).await?);
        }
        let (policy, epoch, id) = (self.policy.clone(), self.epoch.clone(), stored.id);
        let (level, level_in_epoch) = ingest::blocking(move || -> Result<_, Fault> {
            let level = match &policy {
                Some(p) => {
                    Evidence::build(&parsed(&[&now, &quoted], |_| true)?, &p.policy).level_of(&id)
                }
                None => None,
            };
            let level_in_epoch = match &epoch {
                Some((log_size, as_of_ms, policy)) => {
                    let covered = |r: &StoredReport| r.index < *log_size && r.at_ms <= *as_of_ms;
                    Evidence::build(&parsed(&[&then, &quoted], covered)?, policy).level_of(&id)
                }
                None => None,
            };
            Ok((level, level_in_epoch))
        })
        .await??;
        let payload = goodstanding_verify::jws::Compact::parse(&stored.jws)?.payload_json()?;
        Ok(Shown {
            report_id: stored.id.to_string(),
            leaf_index: stored.index,
            at: stored.at_ms,
            historical: stored.historical,
            superseded: stored.superseded_by.is_some(),
            level: level.map(goodstanding_score::evidence::Level::as_str),
            level_in_epoch: level_in_epoch.map(goodstanding_score::evidence::Level::as_str),
            report: payload,
            jws: whole.then_some(stored.jws),
        })
    }
}
