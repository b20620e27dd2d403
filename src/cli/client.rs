//! The other side of the HTTP API.

use std::time::Duration;

use reqwest::{Method, StatusCode, header};
use serde_json::Value;

use super::output::Refusal;
use crate::{
    code::{Code, Fault},
    keys::SecretKey,
    token::possession,
};

/// How long one request may take.
const TIMEOUT: Duration = Duration::from_mins(2);
/// Longest single wait that a service can ask for before we give up.
const LONGEST_WAIT_S: u64 = 120;
/// Refusals in a row before we give up.
const MOST_REFUSALS: u32 = 20;

/// A service at a URL. Its debug form leaves the token out.
#[derive(Clone)]
pub(super) struct Client {
    base: String,
    http: reqwest::Client,
    /// An operator's token.
    bearer: Option<String>,
}

/// One line of a bulk answer.
pub(super) type LineAnswer = Result<Stored, Refusal>;

/// A report that the service has.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub(super) struct Stored {
    pub(super) report_id: String,
    pub(super) leaf_index: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) receipt: Option<String>,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Client({})", self.base)
    }
}

impl Client {
    /// A client for the service at `url`.
    pub(super) fn new(url: &str) -> Result<Self, Fault> {
        let bad = |why: &str| Fault::new(Code::ServerUnreachable, format!("{url}: {why}"));
        let parsed = reqwest::Url::parse(url).map_err(|e| bad(&e.to_string()))?;
        if !matches!(parsed.scheme(), "http" | "https") {
            return Err(bad("not an http(s) URL"));
        }
        let http = crate::net::builder_for(&parsed)
            .timeout(TIMEOUT)
            .build()
            .map_err(|e| bad(&crate::net::causes(&e)))?;
        Ok(Self {
            base: url.trim_end_matches('/').to_owned(),
            http,
            bearer: None,
        })
    }

    /// The same, with a bearer token in every request.
    pub(super) fn with_bearer(self, token: &str) -> Self {
        Self {
            bearer: Some(token.to_owned()),
            ..self
        }
    }

    /// The JSON answer to a `POST` of a JSON document, which may have to wait for its turn.
    pub(super) async fn post_document(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        self.patiently(async || {
            let body = match body {
                Value::Null => String::new(),
                body => body.to_string(),
            };
            self.post_json(path, "application/json", body).await
        })
        .await
    }

    /// The body of `GET path`, which may take a moment to be there.
    pub(super) async fn get(&self, path: &str) -> anyhow::Result<String> {
        self.patiently(async || self.send(Method::GET, path, None).await)
            .await
    }

    /// The body of `GET path` as JSON.
    pub(super) async fn get_json(&self, path: &str) -> anyhow::Result<Value> {
        self.json(path, &self.get(path).await?)
    }

    /// The body of the answer to a `POST`.
    async fn post(
        &self,
        path: &str,
        content_type: &'static str,
        body: String,
    ) -> anyhow::Result<String> {
        self.send(Method::POST, path, Some((content_type, body)))
            .await
    }

    async fn post_json(
        &self,
        path: &str,
        content_type: &'static str,
        body: String,
    ) -> anyhow::Result<Value> {
        self.json(path, &self.post(path, content_type, body).await?)
    }

    fn json(&self, path: &str, text: &str) -> anyhow::Result<Value> {
        serde_json::from_str(text).map_err(|_| self.odd(path, "the answer is not JSON").into())
    }

    fn odd(&self, path: &str, why: &str) -> Fault {
        Fault::new(Code::ServerRefused, format!("{}{path}: {why}", self.base))
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<(&'static str, String)>,
    ) -> anyhow::Result<String> {
        let url = format!("{}{path}", self.base);
        let mut request = self.http.request(method, &url);
        if let Some(token) = &self.bearer {
            request = request.bearer_auth(token);
        }
        if let Some((content_type, body)) = body {
            request = request
                .header(header::CONTENT_TYPE, content_type)
                .body(body);
        }
        let lost = |e: &reqwest::Error| {
            Fault::new(Code::ServerUnreachable, format!("{url}: {}", root_cause(e)))
        };
        let response = request.send().await.map_err(|e| lost(&e))?;
        let status = response.status();
        let wait = response
            .headers()
            .get(header::RETRY_AFTER)
            .and_then(|v| v.to_str().ok())
            .and_then(|v| v.parse().ok());
        let text = response.text().await.map_err(|e| lost(&e))?;
        if status.is_success() {
            Ok(text)
        } else {
            Err(refusal(status, &text, wait).into())
        }
    }

    /// Sends one report.
    pub(super) async fn submit(&self, jws: &str) -> anyhow::Result<Stored> {
        let value = self
            .patiently(async || {
                self.post_json("/v1/reports", "application/jwt", jws.to_owned())
                    .await
            })
            .await?;
        stored(&value).ok_or_else(|| self.odd("/v1/reports", "no report_id in the answer").into())
    }

    /// Sends many reports; answers in their order. Where the service asks for patience, it gets it.
    pub(super) async fn submit_many(&self, lines: &[String]) -> anyhow::Result<Vec<LineAnswer>> {
        let mut answers: Vec<Option<LineAnswer>> = vec![None; lines.len()];
        for round in 0..MOST_REFUSALS {
            let open: Vec<usize> = (0..lines.len())
                .filter(|i| answers[*i].as_ref().is_none_or(is_transient))
                .collect();
            if open.is_empty() {
                break;
            }
            if round > 0 {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            let body = open
                .iter()
                .fold(String::new(), |body, i| body + &lines[*i] + "\n");
            let text = self
                .patiently(async || {
                    self.post("/v1/reports", "application/x-ndjson", body.clone())
                        .await
                })
                .await?;
            let got: Vec<_> = text
                .lines()
                .map(line_answer)
                .collect::<Option<_>>()
                .unwrap_or_default();
            if got.len() != open.len() {
                let why = format!("{} answers to {} reports", got.len(), open.len());
                return Err(self.odd("/v1/reports", &why).into());
            }
            for (place, answer) in open.into_iter().zip(got) {
                answers[place] = Some(answer);
            }
        }
        Ok(answers.into_iter().flatten().collect())
    }

    /// Repeats a request for as long as the service says when to come back.
    async fn patiently<T>(
        &self,
        request: impl AsyncFn() -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        let mut tries = 0;
        loop {
            let error = match request().await {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            tries += 1;
            let wait = error
                .downcast_ref::<Refusal>()
                .and_then(|refusal| refusal.retry_after_s);
            match wait.filter(|wait| *wait <= LONGEST_WAIT_S && tries < MOST_REFUSALS) {
                Some(wait) => tokio::time::sleep(Duration::from_secs(wait.max(1))).await,
                None => return Err(error),
            }
        }
    }

    /// The issuer's URL, as it names itself.
    async fn issuer(&self) -> anyhow::Result<String> {
        let path = "/.well-known/jwt-vc-issuer";
        let issuer = self
            .get_json(path)
            .await?
            .get("issuer")
            .and_then(Value::as_str)
            .map(str::to_owned);
        issuer.ok_or_else(|| self.odd(path, "no issuer in the answer").into())
    }

    /// Proves possession of the key and gets the agent's token: the answer of `POST /v1/tokens`.
    pub(super) async fn request_token(&self, key: &SecretKey, now_s: u64) -> anyhow::Result<Value> {
        let issuer = self.issuer().await?;
        self.patiently(async || {
            let nonce = self
                .post_json("/oid4vci/nonce", "application/json", String::new())
                .await?;
            let nonce = nonce
                .get("c_nonce")
                .and_then(Value::as_str)
                .ok_or_else(|| self.odd("/oid4vci/nonce", "no c_nonce"))?;
            let proof = possession::prove(key, &issuer, nonce, now_s)?;
            let answer = self
                .post_json("/v1/tokens", "application/jwt", proof)
                .await?;
            match answer.get("token") {
                Some(Value::String(_)) => Ok(answer),
                _ => Err(self.odd("/v1/tokens", "no token in the answer").into()),
            }
        })
        .await
    }
}

fn is_transient(answer: &LineAnswer) -> bool {
    answer
        .as_ref()
        .is_err_and(|refusal| matches!(refusal.code, "ingest.queue_full" | "store.unavailable"))
}

fn stored(value: &Value) -> Option<Stored> {
    Some(Stored {
        report_id: value.get("report_id")?.as_str()?.to_owned(),
        leaf_index: value.get("leaf_index")?.as_u64()?,
        receipt: value
            .get("receipt")
            .and_then(Value::as_str)
            .map(str::to_owned),
    })
}

fn line_answer(line: &str) -> Option<LineAnswer> {
    let value: Value = serde_json::from_str(line).ok()?;
    stored(&value)
        .map(Ok)
        .or_else(|| problem(&value, None).map(Err))
}

/// A problem document as a refusal.
fn problem(value: &Value, retry_after_s: Option<u64>) -> Option<Refusal> {
    let text = |name| value.get(name).and_then(Value::as_str);
    let detail = text("detail").or(text("title")).unwrap_or_default();
    Some(Refusal::new(
        text("code")?,
        detail.to_owned(),
        retry_after_s,
    ))
}

fn refusal(status: StatusCode, body: &str, retry_after_s: Option<u64>) -> Refusal {
    let value: Value = serde_json::from_str(body).unwrap_or_default();
    problem(&value, retry_after_s).unwrap_or_else(|| Refusal {
        code: Code::ServerRefused.as_str(),
        detail: format!("HTTP {status}"),
        retry_after_s,
    })
}

/// The innermost reason: "connection refused" says more than "error sending request".
fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_http_or_https() {
        assert!(
            Client::new("http://127.0.0.1:8080/").is_ok_and(|c| c.base == "http://127.0.0.1:8080")
        );
        assert!(Client::new("https://example.org").is_ok());
        for bad in ["ftp://x", "nonsense"] {
            let fault = Client::new(bad).err();
            assert!(
                fault.is_some_and(|f| f.is(Code::ServerUnreachable)),
                "{bad}"
            );
        }
    }

    #[test]
    fn answers_are_read() {
        assert_eq!(
            line_answer(r#"{"report_id":"x","leaf_index":7}"#)
                .unwrap()
                .unwrap()
                .leaf_index,
            7
        );
        let refused = line_answer(r#"{"code":"report.too_old","detail":"d"}"#)
            .unwrap()
            .unwrap_err();
        assert_eq!(
            (refused.code, refused.detail.as_str()),
            ("report.too_old", "d")
        );
        assert!(line_answer("{}").is_none());
        let odd = refusal(StatusCode::BAD_GATEWAY, "<html>", None);
        assert_eq!(
            (odd.code, odd.detail.as_str()),
            ("client.refused", "HTTP 502 Bad Gateway")
        );
    }
}
