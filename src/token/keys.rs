//! The service's keys at work: which one signs now, what the log says of each, and how they are changed.
//!
//! Which key signs is a function of the log's key events and the clock. A key signs only once a published checkpoint covers
//! the event that adds it, so that nobody meets a signature whose key they cannot look up; a revoked one stops at once.

use std::sync::Arc;

use goodstanding_verify::{
    entry::{KeyAction, KeyEntry, KeyUse},
    jwk::Jwk,
    keyring::{KeyRing, RingKey},
};
use serde::Serialize;

use crate::{
    app::App,
    code::{Code, Fault},
    keys::{
        SecretKey,
        change::{self, Change, Plan},
    },
};

/// The ring of the key events with index below `size`.
///
/// # Errors
/// `key.event_invalid` when the log's events contradict each other.
pub fn ring(events: &[(u64, KeyEntry)], size: u64) -> Result<KeyRing, Fault> {
    let events: Vec<KeyEntry> = events
        .iter()
        .filter(|(index, _)| *index < size)
        .map(|(_, event)| *event)
        .collect();
    change::after(&KeyRing::default(), &events)
}

fn published_size(app: &App) -> u64 {
    // What bundles are made over: verifiers know a key from there.
    let published = app.log.shared().witnessed.borrow();
    published.as_ref().map_or(0, |published| published.size)
}

/// The key that signs at `now` (Unix seconds).
///
/// # Errors
/// `log.not_published` while no published checkpoint covers a key that may, `key.unusable` when its file is missing.
pub fn signing_key(app: &App, usage: KeyUse, now: u64) -> Result<SecretKey, Fault> {
    let events = app.log.shared().keys();
    let published = ring(&events, published_size(app))?;
    let newest = ring(&events, u64::MAX)?;
    let unpublished = || {
        Fault::new(
            Code::NotPublished,
            format!("no published checkpoint covers a {usage} key that may sign now"),
        )
    };
    let key = published.signing(usage, now).ok_or_else(unpublished)?;
    let kid = key.jwk.thumbprint();
    if newest
        .key(usage, &kid)
        .is_none_or(|key| key.revoked.is_some())
    {
        return Err(unpublished());
    }
    app.keys.secret(usage, &kid)
}

/// The key that signs the end of a log, whose last checkpoints may never be published: any that may sign now.
///
/// # Errors
/// `key.unusable` when there is none, or its file is missing.
pub fn last_key(app: &App, usage: KeyUse, now: u64) -> Result<SecretKey, Fault> {
    if let Ok(key) = signing_key(app, usage, now) {
        return Ok(key);
    }
    let newest = ring(&app.log.shared().keys(), u64::MAX)?;
    let none = || Fault::new(Code::KeyUnusable, format!("no {usage} key may sign now"));
    let key = newest.signing(usage, now).ok_or_else(none)?;
    app.keys.secret(usage, &key.jwk.thumbprint())
}

/// Refuses to go on when a key that signs, or will, has no file.
///
/// # Errors
/// `key.unusable`, saying which and what to do.
pub fn check_secrets(app: &App) -> Result<(), Fault> {
    let now = app.clock.now_s();
    let ring = ring(&app.log.shared().keys(), u64::MAX)?;
    for key in ring.keys() {
        let ends_later = key.to.is_none_or(|to| to > now.max(key.from));
        if key.revoked.is_none() && ends_later {
            app.keys.secret(key.usage, &key.jwk.thumbprint())?;
        }
    }
    Ok(())
}

/// A key as it is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Listed {
    /// What it signs.
    #[serde(rename = "use")]
    pub usage: KeyUse,
    /// Its thumbprint.
    pub kid: String,
    /// The key.
    pub jwk: Jwk,
    /// It signs from this time on, Unix seconds.
    pub from: u64,
    /// It signs until this time, Unix seconds; `null` = no end is set.
    pub to: Option<u64>,
    /// When it was revoked, Unix seconds; `null` = it was not.
    pub revoked: Option<u64>,
    /// `announced`, `active` (the one that signs), `valid` (it could, another one does), `retired` or `revoked`.
    pub state: &'static str,
    /// Whether a published checkpoint covers the event that added it.
    pub published: bool,
}

/// Every key that these events name, at `now` (Unix seconds), in the order they were added.
///
/// # Errors
/// `key.event_invalid` when the log's events contradict each other.
pub fn list(
    events: &[(u64, KeyEntry)],
    published_size: u64,
    now: u64,
) -> Result<Vec<Listed>, Fault> {
    let all = ring(events, u64::MAX)?;
    let published = ring(events, published_size)?;
    let shown = all.keys().iter().map(|key| {
        let kid = key.jwk.thumbprint();
        Listed {
            usage: key.usage,
            state: state(&all, key, now),
            published: published.key(key.usage, &kid).is_some(),
            kid,
            jwk: key.jwk,
            from: key.from,
            to: key.to,
            revoked: key.revoked,
        }
    });
    Ok(shown.collect())
}

fn state(ring: &KeyRing, key: &RingKey, now: u64) -> &'static str {
    if key.revoked.is_some() {
        "revoked"
    } else if key.to.is_some_and(|to| to <= now.max(key.from)) {
        "retired"
    } else if key.from > now {
        "announced"
    } else if ring.signing(key.usage, now) == Some(key) {
        "active"
    } else {
        "valid"
    }
}

/// [`list`] of an open data directory.
///
/// # Errors
/// As [`list`].
pub fn list_of(app: &App) -> Result<Vec<Listed>, Fault> {
    let events = app.log.shared().keys();
    list(&events, published_size(app), app.clock.now_s())
}

/// A logged key event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LoggedEvent {
    /// Index of its entry.
    pub leaf_index: u64,
    /// What the key signs.
    #[serde(rename = "use")]
    pub usage: KeyUse,
    /// What happened to it.
    pub action: KeyAction,
    /// Its thumbprint.
    pub kid: String,
    /// When that takes effect, Unix seconds.
    pub from: u64,
}

/// What a change came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Changed {
    /// `false`: it had been done before.
    pub changed: bool,
    /// What was logged.
    pub events: Vec<LoggedEvent>,
    /// Every key of this use afterwards.
    pub keys: Vec<Listed>,
    /// Whether a published checkpoint covers what was logged; without a quorum of witnesses it is durable and waits.
    pub published: bool,
}

/// Changes keys: makes the new one's file, logs the events in one commit, and publishes them.
///
/// An interruption leaves at most a key file that no event names; the next change of that use takes it.
///
/// # Errors
/// Those of [`change::plan`], `log.ended`, or the store's.
pub async fn change(
    app: &Arc<App>,
    change: Change,
    reason: Option<String>,
) -> Result<Changed, Fault> {
    let app = app.clone();
    // In a task of its own: what a client that goes away began is finished all the same.
    #[expect(
        clippy::disallowed_methods,
        reason = "awaited right here; it only has to outlive a dropped handler"
    )]
    let changed = tokio::spawn(async move { change_alone(&app, &change, reason).await });
    changed
        .await
        .map_err(|e| Fault::new(Code::Internal, e.to_string()))?
}

async fn change_alone(
    app: &App,
    change: &Change,
    reason: Option<String>,
) -> Result<Changed, Fault> {
    let _one_at_a_time = app.key_change.lock().await;
    app.log.shared().check_open()?;
    let usage = change.usage();
    let ring = ring(&app.log.shared().keys(), u64::MAX)?;
    let planned = change::plan(&ring, change, app.clock.now_s(), || {
        let is_logged = |kid: &str| ring.key(usage, kid).is_some();
        Ok(Jwk::from(app.keys.fresh(usage, is_logged)?.did()))
    })?;
    let (events, published) = match planned {
        Plan::Announced(key) => {
            let kid = key.jwk.thumbprint();
            let keys = list_of(app)?;
            let key = keys.iter().find(|k| k.usage == usage && k.kid == kid);
            (Vec::new(), key.is_some_and(|key| key.published))
        }
        Plan::Events(events) => {
            let first = app.log.log_keys(events.clone(), None).await?;
            let published = app.log.publish_if_witnessed().await?;
            let logged = (first..)
                .zip(events)
                .map(|(leaf_index, event)| LoggedEvent {
                    leaf_index,
                    usage,
                    action: event.action,
                    kid: event.jwk.thumbprint(),
                    from: event.from,
                });
            (logged.collect(), published)
        }
    };
    for event in &events {
        tracing::info!(
            key.usage = %usage, key.action = %event.action, key.kid = event.kid, key.from = event.from,
            reason = reason.as_deref().unwrap_or_default(), "key event logged"
        );
    }
    let mut keys = list_of(app)?;
    keys.retain(|key| key.usage == usage);
    Ok(Changed {
        changed: !events.is_empty(),
        events,
        keys,
        published,
    })
}
