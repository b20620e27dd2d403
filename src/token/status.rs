//! Status lists (draft-ietf-oauth-status-list): one bit a token, 2^17 tokens a list.

use goodstanding_verify::{entry::KeyUse, status};
use serde::Serialize;

use super::keys::signing_key;
use crate::{
    app::App,
    code::{Code, Fault},
};

/// Tokens of one list.
pub const LIST_SIZE: u64 = 1 << 17;
/// A list that is half full is left: drawing free places at random stays quick.
pub const FULL: u64 = LIST_SIZE / 2;
/// Life of a status list token, seconds.
const LIFE_S: u64 = 86_400;
/// How long a verifier may keep it, seconds.
const TTL_S: u64 = 300;

#[derive(Serialize)]
struct StatusListToken {
    sub: String,
    iat: u64,
    exp: u64,
    ttl: u64,
    status_list: StatusList,
}

#[derive(Serialize)]
struct StatusList {
    bits: u8,
    lst: String,
}

/// URI of a list.
pub fn uri(issuer: &str, list: u64) -> String {
    format!("{issuer}/v1/status-lists/{list}")
}

/// URI of the aggregation.
pub fn aggregation_uri(issuer: &str) -> String {
    format!("{issuer}/v1/status-lists")
}

/// The signed list, `application/statuslist+jwt`.
///
/// # Errors
/// `status.list_unknown` when no token has a place in it.
pub async fn signed_list(app: &App, list: u64) -> Result<String, Fault> {
    let (tokens, revoked) = app.store.status_list(list).await?;
    if tokens == 0 {
        return Err(Fault::new(
            Code::StatusListUnknown,
            format!("there is no status list {list}"),
        ));
    }
    let mut bits = vec![0_u8; usize::try_from(LIST_SIZE / 8).unwrap_or_default()];
    for idx in revoked {
        // Least significant bit first.
        if let Some(byte) = usize::try_from(idx / 8).ok().and_then(|i| bits.get_mut(i)) {
            *byte |= 1 << (idx % 8);
        }
    }
    let now = app.clock.now_s();
    let token = StatusListToken {
        sub: uri(&app.issuer, list),
        iat: now,
        exp: now + LIFE_S,
        ttl: TTL_S,
        status_list: StatusList {
            bits: 1,
            lst: status::encode(&bits),
        },
    };
    signing_key(app, KeyUse::Status, now)?
        .sign_service("statuslist+jwt", &token)
        .map_err(|e| Fault::new(Code::Internal, e.to_string()))
}

/// URIs of all lists.
///
/// # Errors
/// When the store is unavailable.
pub async fn all_lists(app: &App) -> Result<Vec<String>, Fault> {
    let newest = app.store.newest_status_list().await?.unwrap_or(0);
    Ok((1..=newest).map(|list| uri(&app.issuer, list)).collect())
}
