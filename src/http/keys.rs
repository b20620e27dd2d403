//! `/v1/keys`, and the notice of a log that has ended.

use axum::{
    Json,
    body::Body,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use goodstanding_verify::entry::KeyUse;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    problem::Failed,
    query::{authorization, invalid, json_body},
};
use crate::{
    code::{Code, Fault},
    keys::change::{Change, From},
    token::{
        access::{Role, require},
        keys,
    },
};

/// Longest reason, characters.
const REASON: usize = 200;

/// `GET /v1/keys`: every key of the service that the log names, with its validity, and the log's own.
pub(super) async fn list(State(api): super::State) -> Result<Json<Value>, Failed> {
    Ok(Json(json!({
        "items": keys::list_of(&api.app)?,
        "next_cursor": null,
        "log": api.app.signer.vkey(),
    })))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    r#use: String,
    action: String,
    #[serde(default)]
    kid: Option<String>,
    #[serde(default)]
    from: Option<When>,
    #[serde(default)]
    reason: Option<String>,
}

/// A time: Unix seconds, or `"now"`, which is this clock's.
#[derive(Clone, Copy, Deserialize)]
#[serde(untagged, expecting = "from takes Unix seconds or \"now\"")]
enum When {
    At(u64),
    Word(Word),
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Word {
    Now,
}

impl Wanted {
    fn change(&self) -> Result<Change, Fault> {
        if self.r#use == "log" {
            return Err(Fault::new(
                Code::KeyLogFixed,
                "a log ends where its key ends",
            ));
        }
        let usage = KeyUse::parse(&self.r#use)
            .ok_or_else(|| invalid("use takes token, status, bundle or casework"))?;
        if matches!(self.from, Some(When::At(from)) if from > 1 << 53) {
            return Err(invalid("from takes Unix seconds"));
        }
        let kid = || {
            let kid = self.kid.clone();
            kid.ok_or_else(|| invalid("kid names the key that this is about"))
        };
        match (self.action.as_str(), &self.kid, self.from) {
            ("rotate", None, from) => Ok(Change::Rotate {
                usage,
                from: match from {
                    None => From::Announced,
                    Some(When::Word(Word::Now)) => From::Now,
                    Some(When::At(from)) => From::At(from),
                },
            }),
            ("rotate", Some(_), _) => Err(invalid("rotate takes no kid: it makes a new key")),
            ("retire", _, from) => Ok(Change::Retire {
                usage,
                kid: kid()?,
                from: match from {
                    None | Some(When::Word(Word::Now)) => None,
                    Some(When::At(from)) => Some(from),
                },
            }),
            ("revoke", _, None) => Ok(Change::Revoke { usage, kid: kid()? }),
            ("revoke", _, Some(_)) => Err(invalid("revoke takes no from: it is at once")),
            _ => Err(invalid("action takes rotate, retire or revoke")),
        }
    }
}

/// `POST /v1/keys` (operator) `{"use", "action", "kid"?, "from"?, "reason"?}`: rotates, retires or revokes a key; `from` is Unix seconds or `"now"`. 201 when
/// something was logged, 200 when it had been done before.
pub(super) async fn change(
    State(api): super::State,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Failed> {
    require(&api.app, authorization(&headers), Role::Operator)?;
    let wanted: Wanted = json_body(&headers, body).await?;
    let change = wanted.change()?;
    if wanted
        .reason
        .as_ref()
        .is_some_and(|reason| reason.chars().count() > REASON)
    {
        return Err(invalid(&format!("reason takes at most {REASON} characters")).into());
    }
    let changed = keys::change(&api.app, change, wanted.reason).await?;
    let status = if changed.changed {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    Ok((status, Json(changed)).into_response())
}

/// `GET /v1/log/successor`: the signed notice of a log that has ended.
pub(super) async fn successor(State(api): super::State) -> Result<Response, Failed> {
    let ended = api.app.log.shared().ended();
    let ended = ended.ok_or_else(|| Fault::new(Code::LogNotEnded, "this log goes on"))?;
    let headers = [
        (header::CONTENT_TYPE, "application/log-successor+jwt"),
        (header::CACHE_CONTROL, "public, max-age=60"),
    ];
    Ok((headers, ended.notice.clone()).into_response())
}
