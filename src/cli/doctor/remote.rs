//! Checks of a running service, from outside.

use std::time::Duration;

use goodstanding_verify::checkpoint::SignedCheckpoint;
use serde_json::Value;

use super::{Check, facts::Facts};
use crate::cli::output::{count, count_of};

/// How long one request may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How many entries may be waiting to be published: a busy second of them.
const LAG: u64 = 100_000;

pub(super) async fn checks(url: &str, facts: &Facts) -> Vec<Check> {
    let base = url.trim_end_matches('/');
    let client = reqwest::Url::parse(base)
        .map_err(|e| e.to_string())
        .and_then(|url| {
            let built = crate::net::builder_for(&url).timeout(TIMEOUT).build();
            built.map_err(|e| crate::net::causes(&e))
        });
    let client = match client {
        Ok(client) => client,
        Err(why) => return vec![Check::problem("service", why, "check the URL")],
    };
    let get = async |path: &str| -> Result<(u16, String), String> {
        let response = client
            .get(format!("{base}{path}"))
            .send()
            .await
            .map_err(|e| crate::net::causes(&e))?;
        let status = response.status().as_u16();
        Ok((status, response.text().await.map_err(|e| e.to_string())?))
    };
    match get("/livez").await {
        Ok((200, _)) => {}
        Ok((status, _)) => {
            return vec![Check::problem(
                "service",
                format!("{base}/livez answers {status}"),
                "check that the URL is the service's",
            )];
        }
        Err(why) => {
            return vec![Check::problem(
                "service",
                why,
                "check the URL and that the service is running",
            )];
        }
    }
    let mut found = vec![Check::ok("service", format!("{base} answers"))];
    let mut log_size = None;
    match get("/readyz").await {
        Ok((status, body)) => {
            let ready: Value = serde_json::from_str(&body).unwrap_or_default();
            log_size = ready["log_size"].as_u64();
            found.push(if status == 200 {
                Check::ok(
                    "ready",
                    format!(
                        "log {}, published {}",
                        ready["log_size"], ready["published_size"]
                    ),
                )
            } else {
                Check::problem(
                    "ready",
                    format!("{status}: {}", ready["checks"]),
                    "the service's log says why",
                )
            });
            found.extend(witnesses(&ready));
            if let Some(ended) = ready["ended"].as_str() {
                found.push(Check::warning(
                    "end",
                    ended,
                    "keep serving it; agents report to its successor",
                ));
            }
        }
        Err(why) => found.push(Check::problem("ready", why, "the service's log says why")),
    }
    match get("/checkpoint").await {
        Ok((200, note)) => found.push(checkpoint(&note, log_size, facts)),
        Ok((status, _)) => found.push(Check::problem(
            "checkpoint",
            format!("/checkpoint answers {status}"),
            "wait a second and try again",
        )),
        Err(why) => found.push(Check::problem(
            "checkpoint",
            why,
            "the service's log says why",
        )),
    }
    found
}

/// What the service says of its witnesses: the quorum, and each that does not answer.
fn witnesses(ready: &Value) -> Vec<Check> {
    const NAME: &str = "witness quorum";
    let report = &ready["witnesses"];
    if report["required"] != true {
        return Vec::new();
    }
    let waits = report["when_missed"] == "wait";
    let size = ready["witnessed_size"].as_u64().unwrap_or(0);
    let mut found = vec![match report["met"].as_bool() {
        Some(true) => Check::ok(NAME, format!("met; {} witnessed", count(size, "entry"))),
        None => Check::warning(
            NAME,
            "no witness was asked yet",
            "wait a second and try again",
        ),
        Some(false) if waits => Check::problem(
            NAME,
            format!(
                "missed: nothing beyond {} is published",
                count(size, "entry")
            ),
            "ask the operators of the witnesses below; docs/WITNESSES.md",
        ),
        Some(false) => Check::problem(
            NAME,
            format!("missed: tokens stay at {}", count(size, "entry")),
            "ask the operators of the witnesses below; docs/WITNESSES.md",
        ),
    }];
    for witness in report["witnesses"].as_array().into_iter().flatten() {
        let name = witness["name"].as_str().unwrap_or_default();
        let said = witness["detail"].as_str().unwrap_or_default();
        match witness["last"].as_str().unwrap_or_default() {
            "ok" => found.push(Check::ok(
                "witness",
                format!(
                    "{name} cosigned {}",
                    count_of(&witness["cosigned_size"], "entry")
                ),
            )),
            "ahead" => found.push(Check::problem(
                "witness",
                format!("{name}: {said}"),
                "if this directory was restored, a newer copy exists: stop, and see docs/OPERATIONS.md",
            )),
            kind => found.push(Check::warning(
                "witness",
                format!("{name}: {kind} {said}"),
                "ask its operator",
            )),
        }
    }
    found
}

fn checkpoint(note: &str, log_size: Option<u64>, facts: &Facts) -> Check {
    const NAME: &str = "checkpoint";
    let signed = match SignedCheckpoint::parse(note) {
        Ok(signed) => signed,
        Err(error) => {
            return Check::problem(
                NAME,
                error.to_string(),
                "something else answers at this URL",
            );
        }
    };
    let size = signed.checkpoint().size;
    let Some(key) = &facts.log_key else {
        return Check::warning(
            NAME,
            format!("{}; its signature was not checked", count(size, "entry")),
            "name the service's data directory with --data",
        );
    };
    if let Err(error) = signed.verify_log(key) {
        return Check::problem(
            NAME,
            error.to_string(),
            "the service at this URL is not the one of this data directory",
        );
    }
    let lag = log_size.unwrap_or(size).saturating_sub(size);
    if lag > LAG {
        let detail = format!("{} published, {lag} waiting", count(size, "entry"));
        return Check::problem(NAME, detail, "the service's log says why publishing fails");
    }
    Check::ok(
        NAME,
        format!(
            "{} published, signed by this log's key, {lag} waiting",
            count(size, "entry")
        ),
    )
}
