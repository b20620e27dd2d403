//! A service at a URL, spoken to as the public contract says.
//!
//! Every answer is bounded before it is read, every request has a deadline, and what may pass is tried again. What a log
//! that signed a checkpoint has to serve and does not (404) is a disagreement; a server that cannot be reached is not.

use std::{io::Read as _, time::Duration};

use async_trait::async_trait;
use futures_util::{StreamExt as _, TryStreamExt as _, stream, stream::BoxStream};
use goodstanding_verify::{
    b64, bundle::MAX_BUNDLE_BYTES, did::Did, json, successor::MAX_NOTICE_BYTES, tile::TilePath,
};
use reqwest::{Response, StatusCode, header};
use serde::Deserialize;
use serde_json::Value;

use super::{Introduction, ServedBody, ServedStatement, Source, cut, lines::lines, most_bytes};
use crate::{
    audit::finding::{Disagreement, Failure, Place},
    code::{Code, Fault},
};

/// How long a server may say nothing in the middle of an answer.
const SILENCE: Duration = Duration::from_secs(30);
/// How long an answer may take as a whole.
const DEADLINE: Duration = Duration::from_mins(10);
/// How long all statements of an epoch may take.
const LONG_DEADLINE: Duration = Duration::from_hours(4);
/// How often a request is made before we give up.
const TRIES: u32 = 5;
/// Longest wait that a server can ask for.
const LONGEST_WAIT_S: u64 = 30;
/// Redirects that are followed: static hosts use one.
const REDIRECTS: usize = 3;

/// Largest checkpoint, bytes: what a signed note may have.
const CHECKPOINT_BYTES: usize = 1_000_000;
/// Longest line of the bodies: a report of 16,384 bytes and what is around it.
const BODY_LINE: usize = 20_000;
/// Longest line of the statements.
const STATEMENT_LINE: usize = 1 << 20;
/// Largest salt key document, and the most that is read of a refusal.
const SMALL: usize = 65_536;

/// A service as a source.
#[derive(Clone, Debug)]
pub struct HttpSource {
    base: String,
    http: reqwest::Client,
    bearer: Option<Bearer>,
}

/// A bearer token, which its debug form leaves out.
#[derive(Clone)]
struct Bearer(String);

impl std::fmt::Debug for Bearer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Bearer")
    }
}

#[derive(Deserialize)]
struct BodyLine {
    index: u64,
    kind: String,
    jws: Option<String>,
    #[serde(default)]
    erased: bool,
    /// Not served by versions before 0.2.
    #[serde(default)]
    erased_by: Option<u64>,
}

#[derive(Deserialize)]
struct StatementLine {
    agent: Did,
    claims: Value,
}

/// A line of the statements; its claims in canonical form, so that texts can be compared.
fn statement(line: &[u8]) -> Result<ServedStatement, String> {
    let odd = |why: &dyn std::fmt::Display| format!("not a statement: {why}");
    let read: StatementLine = serde_json::from_slice(line).map_err(|e| odd(&e))?;
    let claims = json::canonical(&read.claims).map_err(|e| odd(&e))?;
    Ok(ServedStatement {
        agent: read.agent,
        claims: String::from_utf8(claims).map_err(|e| odd(&e))?,
    })
}

/// Whether a log may show what is there to auditors alone. Nothing else is asked for with a token.
fn is_guarded(path: &str) -> bool {
    let path = path.split_once('?').map_or(path, |(path, _)| path);
    let of_epoch = path.strip_prefix("/v1/epochs/");
    path == "/v1/log/bodies"
        || of_epoch.is_some_and(|p| p.ends_with("/statements") || p.ends_with("/salt-key"))
}

/// A few, and none that gives up TLS.
fn redirects() -> reqwest::redirect::Policy {
    reqwest::redirect::Policy::custom(|attempt| {
        let was_safe = attempt.previous().iter().any(|url| url.scheme() == "https");
        if attempt.previous().len() > REDIRECTS {
            attempt.error("too many redirects")
        } else if was_safe && attempt.url().scheme() != "https" {
            attempt.error("a redirect from https to something else")
        } else {
            attempt.follow()
        }
    })
}

impl HttpSource {
    /// A source for the service at `url`.
    ///
    /// # Errors
    /// `client.unreachable` for anything but an http(s) URL.
    pub fn new(url: &str) -> Result<Self, Fault> {
        let bad = |why: &str| Fault::new(Code::ServerUnreachable, format!("{url}: {why}"));
        let parsed = reqwest::Url::parse(url).map_err(|e| bad(&e.to_string()))?;
        if !matches!(parsed.scheme(), "http" | "https") {
            return Err(bad("not an http(s) URL"));
        }
        let builder = crate::net::builder_for(&parsed)
            .read_timeout(SILENCE)
            .redirect(redirects());
        Ok(Self {
            base: url.trim_end_matches('/').to_owned(),
            http: builder.build().map_err(|e| bad(&e.to_string()))?,
            bearer: None,
        })
    }

    /// The same, with an auditor's bearer token where reports and scores are asked for: for a log that shows them to
    /// auditors alone. Where a redirect leads to another host, the token does not go along.
    ///
    /// # Errors
    /// `request.parameter_invalid` for plain http to another machine, where everybody on the way would read it.
    pub fn with_bearer(self, token: &str) -> Result<Self, Fault> {
        let is_safe = reqwest::Url::parse(&self.base)
            .is_ok_and(|url| url.scheme() == "https" || crate::net::is_here(&url));
        if !is_safe {
            let detail = format!("{}: a token is sent over https only", self.base);
            return Err(Fault::new(Code::ParameterInvalid, detail));
        }
        Ok(Self {
            bearer: Some(Bearer(token.to_owned())),
            ..self
        })
    }

    fn odd(&self, path: &str, why: &str) -> Fault {
        Fault::new(Code::ServerRefused, format!("{}{path}: {why}", self.base))
    }

    fn lost(&self, path: &str, error: &reqwest::Error) -> Fault {
        let mut cause: &dyn std::error::Error = error;
        while let Some(inner) = cause.source() {
            cause = inner;
        }
        Fault::new(
            Code::ServerUnreachable,
            format!("{}{path}: {cause}", self.base),
        )
    }

    /// One request; `None` = 404 or 410. The second value is how long the server asks to wait.
    async fn once(
        &self,
        path: &str,
        deadline: Duration,
    ) -> Result<Option<Response>, (Fault, Option<Duration>)> {
        let moment = Some(Duration::from_millis(500));
        let mut request = self.http.get(format!("{}{path}", self.base));
        if let Some(Bearer(token)) = self.bearer.as_ref().filter(|_| is_guarded(path)) {
            request = request.bearer_auth(token);
        }
        let response = request.timeout(deadline).send().await;
        let response = response.map_err(|e| (self.lost(path, &e), moment))?;
        let status = response.status();
        if status.is_success() {
            return Ok(Some(response));
        }
        if matches!(status, StatusCode::NOT_FOUND | StatusCode::GONE) {
            return Ok(None);
        }
        let asked = response
            .headers()
            .get(header::RETRY_AFTER)
            .and_then(|v| v.to_str().ok())
            .and_then(|v| v.parse().ok())
            .filter(|seconds| *seconds <= LONGEST_WAIT_S)
            .map(Duration::from_secs);
        let body = self.read(path, response, SMALL).await.unwrap_or_default();
        let value: Value = serde_json::from_slice(&body).unwrap_or_default();
        let text = |name| value.get(name).and_then(Value::as_str).unwrap_or_default();
        // Who asks has to do something about these: they keep their own code.
        for code in [Code::AuthMissing, Code::AuthInvalid, Code::AuthForbidden] {
            if text("code") == code.as_str() {
                let detail = format!("{}{path}: {}", self.base, text("detail"));
                return Err((Fault::new(code, detail), None));
            }
        }
        let why = format!("HTTP {status} {} {}", text("code"), text("detail"));
        let passes = status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS;
        let fault = self.odd(path, why.trim_end());
        Err((fault, asked.or(moment).filter(|_| passes)))
    }

    /// A request, again for as long as its failure may pass.
    async fn get(&self, path: &str, deadline: Duration) -> Result<Option<Response>, Fault> {
        let mut tries = 1;
        loop {
            match self.once(path, deadline).await {
                Ok(answer) => return Ok(answer),
                Err((_, Some(wait))) if tries < TRIES => tokio::time::sleep(wait * tries).await,
                Err((fault, _)) => return Err(fault),
            }
            tries += 1;
        }
    }

    /// A whole small answer. Also tried again when it breaks off in the middle.
    async fn bytes(&self, path: &str, most: usize) -> Result<Option<Vec<u8>>, Fault> {
        let mut tries = 1;
        loop {
            let Some(response) = self.get(path, DEADLINE).await? else {
                return Ok(None);
            };
            match self.read(path, response, most).await {
                Ok(bytes) => return Ok(Some(bytes)),
                Err(fault) if tries < TRIES && fault.is(Code::ServerUnreachable) => tries += 1,
                Err(fault) => return Err(fault),
            }
        }
    }

    /// The body of an answer, of at most so many bytes, also if it is compressed (tlog-tiles allows that unasked).
    async fn read(&self, path: &str, response: Response, most: usize) -> Result<Vec<u8>, Fault> {
        let gzip = match response.headers().get(header::CONTENT_ENCODING) {
            None => false,
            Some(value) if value.as_bytes() == b"identity" => false,
            Some(value) if value.as_bytes() == b"gzip" => true,
            Some(_) => return Err(self.odd(path, "a Content-Encoding that nobody asked for")),
        };
        let too_large = || self.odd(path, &format!("more than {most} bytes"));
        let mut bytes = Vec::new();
        let mut chunks = response.bytes_stream();
        while let Some(chunk) = chunks.next().await {
            bytes.extend_from_slice(&chunk.map_err(|e| self.lost(path, &e))?);
            if bytes.len() > most {
                return Err(too_large());
            }
        }
        if !gzip {
            return Ok(bytes);
        }
        let mut plain = Vec::new();
        let limit = u64::try_from(most).unwrap_or(u64::MAX).saturating_add(1);
        flate2::read::MultiGzDecoder::new(bytes.as_slice())
            .take(limit)
            .read_to_end(&mut plain)
            .map_err(|e| self.odd(path, &format!("not gzip: {e}")))?;
        if plain.len() > most {
            return Err(too_large());
        }
        Ok(plain)
    }

    /// The lines of an answer; `None` = not there.
    async fn lines(
        &self,
        path: String,
        most: usize,
        deadline: Duration,
    ) -> Result<Option<BoxStream<'_, Result<Vec<u8>, Fault>>>, Fault> {
        let Some(response) = self.get(&path, deadline).await? else {
            return Ok(None);
        };
        if response.headers().contains_key(header::CONTENT_ENCODING) {
            return Err(self.odd(&path, "a Content-Encoding that nobody asked for"));
        }
        let chunks = response
            .bytes_stream()
            .map_err(move |e| self.lost(&path, &e))
            .boxed();
        Ok(Some(lines(chunks, most).boxed()))
    }

    async fn bodies_once(&self, start: u64, end: u64) -> Result<Vec<ServedBody>, Failure> {
        let path = format!("/v1/log/bodies?start={start}&end={end}");
        let missing = || Failure::Fault(self.odd(&path, "the service does not serve bodies"));
        let mut lines = self
            .lines(path.clone(), BODY_LINE, DEADLINE)
            .await?
            .ok_or_else(missing)?;
        let mut bodies: Vec<ServedBody> = Vec::new();
        while let Some(line) = lines.next().await {
            let line: BodyLine = serde_json::from_slice(&line?)
                .map_err(|e| self.odd(&path, &format!("not a body: {e}")))?;
            let after = bodies.last().is_none_or(|last| last.index < line.index);
            if !after
                || !(start..end).contains(&line.index)
                || line.jws.is_none() != line.erased
                || (line.erased_by.is_some() && !line.erased)
            {
                let why = format!("the line of index {} is out of place or order", line.index);
                return Err(self.odd(&path, &why).into());
            }
            if line.kind != "report" {
                let place = Place::Entry(line.index);
                return Err(Disagreement::unsupported_kind(place, &line.kind).into());
            }
            bodies.push(ServedBody {
                index: line.index,
                jws: line.jws,
                erased_by: line.erased_by,
            });
        }
        Ok(bodies)
    }
}

#[async_trait]
impl Source for HttpSource {
    fn name(&self) -> String {
        self.base.clone()
    }

    async fn checkpoint(&self) -> Result<String, Failure> {
        let path = "/checkpoint";
        let bytes = self.bytes(path, CHECKPOINT_BYTES).await?;
        let bytes = bytes.ok_or_else(|| self.odd(path, "there is no log here (404)"))?;
        Ok(String::from_utf8(bytes).map_err(|_| self.odd(path, "not text"))?)
    }

    async fn tile(&self, path: TilePath) -> Result<Vec<u8>, Failure> {
        let most = most_bytes(path.full());
        if let Some(bytes) = self.bytes(&format!("/tile/{path}"), most).await? {
            return Ok(bytes);
        }
        // A log may drop a partial tile once the full one is there.
        if path.full() != path
            && let Some(bytes) = self.bytes(&format!("/tile/{}", path.full()), most).await?
            && let Some(bytes) = cut(path, bytes)
        {
            return Ok(bytes);
        }
        let detail = "the service does not have it, although its checkpoint covers it";
        Err(Failure::at(Code::AuditMissing, Place::Tile(path), detail))
    }

    fn tells_erased(&self) -> bool {
        true
    }

    async fn bodies(&self, start: u64, end: u64) -> Result<Vec<ServedBody>, Failure> {
        let mut tries = 1;
        loop {
            match self.bodies_once(start, end).await {
                Err(Failure::Fault(fault))
                    if tries < TRIES && fault.is(Code::ServerUnreachable) =>
                {
                    tries += 1;
                }
                done => return done,
            }
        }
    }

    fn statements(
        &self,
        epoch: u64,
        index: u64,
    ) -> BoxStream<'_, Result<ServedStatement, Failure>> {
        let path = format!("/v1/epochs/{epoch}/statements");
        let opened = async move {
            let lines = self
                .lines(path.clone(), STATEMENT_LINE, LONG_DEADLINE)
                .await?;
            let Some(lines) = lines else {
                let detail = "the service does not serve its statements".to_owned();
                return Err(Failure::at(
                    Code::AuditMissing,
                    Place::Epoch(epoch, index),
                    detail,
                ));
            };
            Ok(lines.map_err(Failure::from).and_then(move |line| {
                let read = statement(&line);
                std::future::ready(read.map_err(|why| self.odd(&path, &why).into()))
            }))
        };
        stream::once(opened).try_flatten().boxed()
    }

    async fn salt_key(&self, epoch: u64) -> Result<Option<[u8; 32]>, Failure> {
        let path = format!("/v1/epochs/{epoch}/salt-key");
        let Some(bytes) = self.bytes(&path, SMALL).await? else {
            return Ok(None);
        };
        let value: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        let key = value.get("salt_key").and_then(Value::as_str);
        match key.and_then(b64::std_decode_32) {
            Some(key) => Ok(Some(key)),
            None => Err(self.odd(&path, "no salt_key of 32 bytes of base64").into()),
        }
    }

    async fn trust_bundle(&self) -> Result<Option<String>, Failure> {
        let path = "/v1/trust-bundle";
        let Some(bytes) = self.bytes(path, MAX_BUNDLE_BYTES).await? else {
            return Ok(None);
        };
        let text = String::from_utf8(bytes).map_err(|_| self.odd(path, "not text"))?;
        Ok(Some(text.trim().to_owned()))
    }

    async fn successor(&self) -> Result<Option<String>, Failure> {
        let path = "/v1/log/successor";
        let Some(bytes) = self.bytes(path, MAX_NOTICE_BYTES).await? else {
            return Ok(None);
        };
        let text = String::from_utf8(bytes).map_err(|_| self.odd(path, "not text"))?;
        Ok(Some(text.trim().to_owned()))
    }

    async fn introduction(&self) -> Result<Introduction, Failure> {
        let path = "/v1/trust-bundle";
        let none = || {
            self.odd(
                path,
                "there is no trust bundle; name the log's key with --log-key",
            )
        };
        let bundle = self.trust_bundle().await?.ok_or_else(none)?;
        let bundle = goodstanding_verify::bundle::TrustBundle::parse_any_time(&bundle, None)
            .map_err(|e| Failure::caused(Code::AuditTrustBundle, Place::TrustBundle, e))?;
        Ok(Introduction {
            vkey: bundle.payload().log.clone(),
            from: format!("{}{path}", self.base),
        })
    }

    async fn agent_of_alias(&self, _alias: &str) -> Result<Option<Did>, Failure> {
        Ok(None)
    }
}
