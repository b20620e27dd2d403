//! One witness: `POST <url>/add-checkpoint` and what its answer means.

use std::time::{Duration, Instant};

use goodstanding_verify::{
    checkpoint::SignedCheckpoint,
    note::{Signature, VerifierKey},
    witness::{AddCheckpoint, MAX_ANSWER_BYTES, cosignature, told_size},
};
use reqwest::{StatusCode, header};

use crate::{
    code::{Code, Fault},
    log::{prove, tiles::Tiles},
};

/// How far the time of a cosignature may be from ours, seconds: verifiers judge the age of a token by it.
const MOST_SKEW_S: u64 = 300;

/// A witness that is asked, and what it was last known to have.
#[derive(Clone, Debug)]
pub struct Witness {
    /// Name in the policy.
    pub name: String,
    /// Its cosigning key.
    pub key: VerifierKey,
    /// `add-checkpoint` under its submission prefix.
    url: reqwest::Url,
    http: reqwest::Client,
    /// Size that it cosigned last, as far as we know; a guess costs one more request.
    known: u64,
}

/// Why a witness gave no cosignature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// A word for metrics: `unreachable`, `timeout`, `status`, `malformed`, `lying`, `ahead`, `conflict`.
    pub kind: &'static str,
    /// What happened, for people.
    pub detail: String,
}

/// What one question came to.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The witness as it is known now.
    pub witness: Witness,
    /// Its signature line and the time it names (Unix seconds), or why there is none.
    pub outcome: Result<(Signature, u64), Refused>,
    /// How long it took.
    pub took: Duration,
}

fn refused(kind: &'static str, detail: impl Into<String>) -> Refused {
    Refused {
        kind,
        detail: detail.into(),
    }
}

impl Witness {
    /// A witness that nothing is known of yet, under its submission prefix.
    ///
    /// # Errors
    /// `witness.settings_invalid` when the prefix is no http(s) URL, or no client can be made for it.
    pub fn new(name: &str, key: &VerifierKey, prefix: &str) -> Result<Self, Fault> {
        let invalid = |why: &str| {
            Fault::new(
                Code::WitnessSettings,
                format!("witness {name}, {prefix}: {why}"),
            )
        };
        let url = format!("{}/add-checkpoint", prefix.trim_end_matches('/'));
        let url = reqwest::Url::parse(&url).map_err(|e| invalid(&e.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(invalid("not an http(s) URL"));
        }
        let http = crate::net::builder_for(&url)
            .build()
            .map_err(|e| invalid(&crate::net::causes(&e)))?;
        Ok(Self {
            name: name.to_owned(),
            key: key.clone(),
            url,
            http,
            known: 0,
        })
    }

    /// Asks for a cosignature of `signed`, whose tree `tiles` has. `now_s`: Unix seconds.
    pub async fn ask(
        mut self,
        tiles: &Tiles,
        signed: &SignedCheckpoint,
        timeout: Duration,
        now_s: u64,
    ) -> Answer {
        let started = Instant::now();
        let asked = tokio::time::timeout(timeout, self.exchange(tiles, signed, now_s)).await;
        let outcome = asked.unwrap_or_else(|_| {
            let detail = format!("no answer within {} ms", timeout.as_millis());
            Err(refused("timeout", detail))
        });
        Answer {
            witness: self,
            outcome,
            took: started.elapsed(),
        }
    }

    async fn exchange(
        &mut self,
        tiles: &Tiles,
        signed: &SignedCheckpoint,
        now_s: u64,
    ) -> Result<(Signature, u64), Refused> {
        let size = signed.checkpoint().size;
        // What it knows can have changed without us: it tells its size once, and is asked again from there.
        for attempt in 0..2 {
            let old = self.known.min(size);
            let request = AddCheckpoint {
                old,
                proof: consistency(tiles, old, size).await?,
                checkpoint: signed.to_string(),
            };
            let (status, body) = post(&self.http, &self.url, request.to_string()).await?;
            match status {
                StatusCode::OK => {
                    let (line, time) = cosignature(&body, signed, &self.key)
                        .map_err(|e| refused(kind_of(&e), e.to_string()))?;
                    if time.abs_diff(now_s) > MOST_SKEW_S {
                        let detail =
                            format!("its cosignature is of {time}, and it is {now_s} here");
                        return Err(refused("lying", detail));
                    }
                    self.known = size;
                    return Ok((line, time));
                }
                StatusCode::CONFLICT => {
                    let told = told_size(&body).map_err(|e| refused("malformed", e.to_string()))?;
                    if told > size {
                        let detail = format!(
                            "it says that it has cosigned {told} entries of this log, which has {size}: \
                             either it lies or this log was restored from an old copy"
                        );
                        return Err(refused("ahead", detail));
                    }
                    if attempt > 0 || told == old {
                        let detail = format!("it answers 409 with {told} to a proof from {old}");
                        return Err(refused("conflict", detail));
                    }
                    self.known = told;
                }
                other => {
                    // After a refusal nothing is certain but what it will say itself.
                    self.known = 0;
                    let text: String = body.chars().filter(|c| !c.is_control()).take(120).collect();
                    return Err(refused("status", format!("it answers {other}: {text}")));
                }
            }
        }
        Err(refused("conflict", "it keeps answering 409"))
    }
}

fn kind_of(error: &goodstanding_verify::Error) -> &'static str {
    match error.code() {
        goodstanding_verify::Code::WitnessCosignatureInvalid => "lying",
        _ => "malformed",
    }
}

async fn consistency(tiles: &Tiles, old: u64, new: u64) -> Result<Vec<[u8; 32]>, Refused> {
    prove::consistency(tiles, old, new)
        .await
        .map_err(|fault: Fault| {
            let kind = if fault.is(Code::StoreCorrupt) {
                "corrupt"
            } else {
                "store"
            };
            refused(kind, fault.to_string())
        })
}

/// Sends a request and reads at most [`MAX_ANSWER_BYTES`] of the answer.
async fn post(
    http: &reqwest::Client,
    url: &reqwest::Url,
    body: String,
) -> Result<(StatusCode, String), Refused> {
    let unreachable = |e: reqwest::Error| {
        let kind = if e.is_timeout() {
            "timeout"
        } else {
            "unreachable"
        };
        refused(kind, crate::net::causes(&e))
    };
    let mut response = http
        .post(url.clone())
        .header(header::CONTENT_TYPE, "text/plain; charset=utf-8")
        .body(body)
        .send()
        .await
        .map_err(unreachable)?;
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > MAX_ANSWER_BYTES {
            return Err(refused("malformed", "an answer of more than 64 KiB"));
        }
    }
    let text =
        String::from_utf8(bytes).map_err(|_| refused("malformed", "an answer that is not text"))?;
    Ok((response.status(), text))
}
