//! Ending a log: the signed notice that names its successor.

use goodstanding_verify::{
    checkpoint::SignedCheckpoint,
    digest::Digest,
    entry::KeyUse,
    successor::{EndReason, Notice, SUCCESSOR_TYP, Successor},
};

use super::{bundle::published, keys::signing_key};
use crate::{
    app::App,
    code::{Code, Fault},
    log::end::Ended,
};

/// Ends the log for good: publishes what it has, signs the notice with the bundle key, and refuses every write from then on.
///
/// # Errors
/// `log.ended` when it has ended already, `key.unusable` when the bundle key is missing too, or the store's.
pub async fn end(
    app: &App,
    reason: EndReason,
    successor: Option<Successor>,
) -> Result<String, Fault> {
    app.log.shared().check_open()?;
    // What was acknowledged belongs to the last tree. Heads were signed when they were written: this needs no key.
    app.log.publish().await?;
    let published = published(app)?;
    let last = SignedCheckpoint::parse(&published.note)?;
    let now = app.clock.now_s();
    let notice = Notice {
        iss: app.issuer.clone(),
        iat: now,
        origin: app.signer.origin().to_owned(),
        vkey: app.signer.vkey(),
        size: last.checkpoint().size,
        root: Digest(last.checkpoint().root),
        reason,
        successor: successor.clone(),
    };
    let jws = signing_key(app, KeyUse::Bundle, now)?
        .sign_service(SUCCESSOR_TYP, &notice)
        .map_err(|e| Fault::new(Code::Internal, e.to_string()))?;
    let ended = Ended::new(reason, successor.as_ref(), jws.clone());
    app.log.end(ended).await?;
    Ok(jws)
}
