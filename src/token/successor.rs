//! Ending a log: the signed notice that names its successor.

use goodstanding_verify::{
    digest::Digest,
    entry::KeyUse,
    successor::{EndReason, Notice, SUCCESSOR_TYP, Successor},
};

use super::keys::last_key;
use crate::{
    app::App,
    code::{Code, Fault},
    log::end::Ended,
};

/// Ends the log for good: publishes what it has, signs the notice with the bundle key, and refuses every write from then on.
///
/// # Errors
/// `log.ended` when it has ended already, `log.moved` when something was logged meanwhile, `key.unusable` when the bundle key is missing too, or the store's.
pub async fn end(
    app: &App,
    reason: EndReason,
    successor: Option<Successor>,
) -> Result<String, Fault> {
    app.log.shared().check_open()?;
    // Heads were signed when they were written: this needs no key. A stolen key may have turned the witnesses against this
    // tree for good, so the end does not wait for them.
    app.log.publish_if_witnessed().await?;
    // What was acknowledged belongs to the last tree, published or not.
    let head = app.log.shared().head.borrow().clone();
    let head = head.ok_or_else(|| Fault::new(Code::NotPublished, "the log has no entry"))?;
    let now = app.clock.now_s();
    let notice = Notice {
        iss: app.issuer.clone(),
        iat: now,
        origin: app.signer.origin().to_owned(),
        vkey: app.signer.vkey(),
        size: head.size,
        root: Digest(head.root),
        reason,
        successor: successor.clone(),
    };
    let jws = last_key(app, KeyUse::Bundle, now)?
        .sign_service(SUCCESSOR_TYP, &notice)
        .map_err(|e| Fault::new(Code::Internal, e.to_string()))?;
    let ended = Ended::new(reason, successor.as_ref(), jws.clone());
    app.log.end(ended, head.size).await?;
    Ok(jws)
}
