//! The trust bundle: all a verifier needs beside a token, in one signed file.

use goodstanding_verify::{
    bundle::{BundleKey, BundlePayload, BundleProof, VctMetadata},
    entry::KeyUse,
};

use super::{
    keys::{self, signing_key},
    metadata, status, vct,
};
use crate::{
    app::App,
    code::{Code, Fault},
    log::prove::entry_proof,
    store::Published,
};

/// Life of a bundle, seconds.
const LIFE_S: u64 = 7 * 86_400;

/// A bundle that was made, with its version.
pub type Made = (u64, String);

/// The bundle over the newest published checkpoint.
///
/// `version` = entries published × 100,000 + days since 1970: it rises with every change of the log, and daily when
/// nothing changes, so that an expired bundle can be renewed. The same version is always the same bytes from one process.
///
/// # Errors
/// `log.not_published` before the first checkpoint that covers the keys.
pub async fn trust_bundle(app: &App) -> Result<String, Fault> {
    let published = provable(app)?;
    let version = published
        .size
        .saturating_mul(100_000)
        .saturating_add(app.clock.now_s() / 86_400);
    let mut made = app.bundle.lock().await;
    if let Some((_, jws)) = made.as_ref().filter(|(held, _)| *held == version) {
        return Ok(jws.clone());
    }
    let jws = make(app, &published, version).await?;
    *made = Some((version, jws.clone()));
    Ok(jws)
}

async fn make(app: &App, published: &Published, version: u64) -> Result<String, Fault> {
    let events = app.log.shared().keys();
    let ring = keys::ring(&events, published.size)?;
    let now = app.clock.now_s();
    // The very first checkpoints may cover only some of the keys that the log begins with.
    for usage in KeyUse::ALL.iter().copied() {
        if ring.signing(usage, now).is_none() {
            let detail = format!("the published checkpoint covers no {usage} key that signs yet");
            return Err(Fault::new(Code::NotPublished, detail));
        }
    }
    let signer = signing_key(app, KeyUse::Bundle, now)?;
    let mut proofs = Vec::new();
    for (index, bytes) in app.store.events("key", published.size).await? {
        let text = String::from_utf8(bytes)
            .map_err(|_| Fault::new(Code::StoreCorrupt, "an entry is not text"))?;
        proofs.push(BundleProof {
            entry: text,
            proof: entry_proof(&app.tiles, index, published).await?,
        });
    }
    let keys = ring
        .keys()
        .iter()
        .map(|key| BundleKey {
            to: key.to,
            revoked: key.revoked,
            ..BundleKey::new(key.jwk, key.usage, key.from)
        })
        .collect();
    let document = metadata::document(&app.issuer);
    let payload = BundlePayload {
        iss: app.issuer.clone(),
        iat: now,
        exp: now + LIFE_S,
        version,
        keys,
        log: app.signer.vkey(),
        witness_policy: app.log.shared().witness_policy.to_string(),
        status: status::aggregation_uri(&app.issuer),
        vct: vec![VctMetadata {
            vct: vct(&app.issuer),
            integrity: metadata::integrity(&document),
            metadata: document,
        }],
        checkpoint: published.note.clone(),
        proofs,
    };
    signer
        .sign_service("trust-bundle+jwt", &payload)
        .map_err(|e| Fault::new(Code::Internal, e.to_string()))
}

/// The checkpoint that tokens and bundles are anchored in: the newest one that verifiers accept, which is the newest one
/// with a quorum where a quorum is asked for.
///
/// # Errors
/// `log.not_published` when there is none yet.
pub fn provable(app: &App) -> Result<Published, Fault> {
    let witnessed = app.log.shared().witnessed.borrow().clone();
    witnessed.ok_or_else(|| {
        Fault::new(
            Code::NotPublished,
            "no checkpoint with a witness quorum has been published yet",
        )
    })
}

/// The newest published checkpoint.
///
/// # Errors
/// `log.not_published` when there is none yet.
pub fn published(app: &App) -> Result<Published, Fault> {
    let published = app.log.shared().published.borrow().clone();
    published.ok_or_else(|| Fault::new(Code::NotPublished, "no checkpoint has been published yet"))
}
