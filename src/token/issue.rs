//! Issuing a token: one agent's newest statement, signed, with everything that anchors it in the log.

use goodstanding_verify::{
    b64,
    claims::Claims,
    did::Did,
    entry::{Body, Entry, KeyUse},
    sdjwt,
    statement::{self, Statement},
};
use serde::Serialize;
use serde_json::json;

use super::{bundle::provable, keys::signing_key, status, vct};
use crate::{
    app::App,
    code::{Code, Fault},
    log::prove::{entry_proof, inclusion},
    store::{IssuedToken, StoredEpoch, StoredStatement, Tree},
};

/// Tries at drawing a free place in a status list that is at most half full.
const DRAWS: u32 = 64;

/// A token, as handed out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Issued {
    /// The SD-JWT VC with every disclosure.
    pub token: String,
    /// Unix seconds.
    pub expires_at: u64,
}

/// Issues a token over the agent's statement in the newest published epoch.
///
/// # Errors
/// `epoch.unknown` before the first epoch, `agent.unknown` for an agent it does not know, `log.not_published` while the
/// epoch is not covered by a published checkpoint.
pub async fn issue(app: &App, agent: &Did) -> Result<Issued, Fault> {
    app.log.shared().check_open()?;
    let published = provable(app)?;
    let epoch = newest_published(app, published.size).await?;
    let stored = statement_in(app, agent, epoch.number).await?;
    let Body::Epoch(entry) = Entry::parse(&epoch.entry)?.body else {
        return Err(Fault::new(
            Code::StoreCorrupt,
            "an epoch row does not point at an epoch entry",
        ));
    };
    let claims: Claims = serde_json::from_str(&stored.claims)
        .map_err(|e| Fault::new(Code::StoreCorrupt, e.to_string()))?;
    let disclosures = statement::disclosures(&claims, &epoch.salt_key, agent)?;
    let statement = Statement::new(*agent, epoch.number, disclosures.iter().map(|d| d.digest))?;
    let path = inclusion(
        &app.tiles,
        Tree::Epoch(epoch.number),
        stored.leaf,
        entry.statements,
    )
    .await?;
    let epoch_entry = String::from_utf8(epoch.entry)
        .map_err(|_| Fault::new(Code::StoreCorrupt, "an entry is not text"))?;
    let now = app.clock.now_s();
    let exp = now + app.token_life_s;
    let signer = signing_key(app, KeyUse::Token, now)?;
    let place = draw_place(app, agent, epoch.number, now, exp).await?;
    let payload = json!({
        "iss": app.issuer,
        "iat": now,
        "nbf": now,
        "exp": exp,
        "vct": vct(&app.issuer),
        "sub": agent.to_string(),
        "cnf": {"jwk": {"crv": "Ed25519", "kty": "OKP", "x": b64::url_encode(agent.key_bytes())}},
        "status": {"status_list": {"idx": place.idx, "uri": status::uri(&app.issuer, place.list)}},
        "epoch": epoch.number,
        "_sd": statement.sd().iter().map(ToString::to_string).collect::<Vec<_>>(),
        "_sd_alg": "sha-256",
        "anchor": {
            "index": stored.leaf,
            "path": b64::url_encode(path.concat()),
            "epoch_entry": epoch_entry,
            "proof": entry_proof(&app.tiles, epoch.index, &published).await?,
        },
    });
    let jwt = signer
        .sign_service("dc+sd-jwt", &payload)
        .map_err(|e| Fault::new(Code::Internal, e.to_string()))?;
    let disclosures: Vec<_> = disclosures.into_iter().map(|d| d.encoded).collect();
    Ok(Issued {
        token: sdjwt::issued(&jwt, &disclosures),
        expires_at: exp,
    })
}

/// The newest epoch whose entry a published checkpoint covers.
async fn newest_published(app: &App, size: u64) -> Result<StoredEpoch, Fault> {
    let newest = app.store.epochs(u64::MAX >> 1, 2).await?;
    let none = newest.is_empty();
    newest
        .into_iter()
        .find(|epoch| epoch.index < size)
        .ok_or_else(|| {
            if none {
                Fault::new(Code::EpochUnknown, "no epoch has been computed yet")
            } else {
                Fault::new(
                    Code::NotPublished,
                    "the first epoch is not covered by a published checkpoint yet",
                )
            }
        })
}

/// The agent's statement in one epoch.
///
/// # Errors
/// `agent.unknown` when it has none.
pub async fn statement_in(app: &App, agent: &Did, epoch: u64) -> Result<StoredStatement, Fault> {
    let newest = app.store.statements_of(agent, epoch + 1, 1).await?;
    newest
        .into_iter()
        .next()
        .filter(|s| s.epoch == epoch)
        .ok_or_else(|| {
            Fault::new(
                Code::AgentUnknown,
                format!("{agent} is not in epoch {epoch}"),
            )
        })
}

/// Records the token under a random free place: sequential ones would tell verifiers who got a token when.
async fn draw_place(
    app: &App,
    agent: &Did,
    epoch: u64,
    iat: u64,
    exp: u64,
) -> Result<IssuedToken, Fault> {
    let mut list = app.store.newest_status_list().await?.unwrap_or(1);
    if app.store.status_list(list).await?.0 >= status::FULL {
        list += 1;
    }
    for _ in 0..DRAWS {
        let mut bytes = [0; 8];
        getrandom::fill(&mut bytes).map_err(|e| Fault::new(Code::Internal, e.to_string()))?;
        // 2^17 divides 2^64: no place is more likely than another.
        let idx = u64::from_be_bytes(bytes) % status::LIST_SIZE;
        let token = IssuedToken {
            list,
            idx,
            agent: *agent,
            epoch,
            iat,
            exp,
        };
        if app.log.add_token(token).await? {
            return Ok(token);
        }
    }
    Err(Fault::new(
        Code::Internal,
        "no free place in the status list",
    ))
}
