//! What is signed beside the log: the trust bundle that is served against the one that is held, its witnesses, its keys, and
//! the notice that the log has ended.

use std::collections::BTreeMap;

use goodstanding_verify::{
    b64, bundle::TrustBundle, checkpoint::SignedCheckpoint, code::Code as VerifyCode,
    entry::KeyUse, note::VerifierKey, successor::Notice,
};

use super::{
    finding::{Disagreement, Failure, Place},
    head::{Head, size_in},
    replay::Replay,
    run::Options,
    source::{ServedPolicy, Source},
    state::{Seen, State},
};
use crate::code::{Code, Fault};

fn wrong(detail: impl Into<String>) -> Failure {
    Failure::at(Code::AuditTrustBundle, Place::TrustBundle, detail)
}

/// The bundle that the source serves: of this log, and the held one or one that may take its place.
///
/// # Errors
/// `audit.trust_bundle_wrong`.
pub(super) async fn bundle(
    source: &dyn Source,
    log: &VerifierKey,
    options: &Options,
) -> Result<Option<TrustBundle>, Failure> {
    let Some(jws) = source.trust_bundle().await? else {
        return Ok(None);
    };
    let refused = |cause: goodstanding_verify::Error| {
        Failure::caused(Code::AuditTrustBundle, Place::TrustBundle, cause)
    };
    let bundle = TrustBundle::parse_any_time(&jws, None).map_err(refused)?;
    if bundle.log() != log {
        return Err(wrong(format!(
            "it names the log {}, not {log}",
            bundle.log()
        )));
    }
    let Some(held) = &options.trust else {
        return Ok(Some(bundle));
    };
    if bundle.iss() != held.iss() {
        return Err(wrong(format!(
            "it is of {}, the held one of {}",
            bundle.iss(),
            held.iss()
        )));
    }
    let (version, held_version) = (bundle.version(), held.version());
    if version < held_version {
        return Err(wrong(format!(
            "it has version {version}, the held one is newer: version {held_version}"
        )));
    }
    if version > held_version {
        let accept_weaker = options.accept_weaker || options.witness_policy.is_some();
        held.accept_update(&jws, accept_weaker, options.now_s)
            .map_err(refused)?;
    }
    Ok(Some(bundle))
}

/// A bundle's own checkpoint: a beginning of the log.
///
/// # Errors
/// Never for a bundle that was parsed.
pub(super) fn seen_in(bundle: &TrustBundle) -> Result<Seen, Fault> {
    let note = &bundle.payload().checkpoint;
    let signed = SignedCheckpoint::parse(note)?;
    let checkpoint = signed.checkpoint();
    Ok(Seen {
        size: checkpoint.size,
        root: b64::std_encode(checkpoint.root),
        at_s: bundle.payload().iat,
        note: note.clone(),
    })
}

/// The witnesses that count: given, of the held bundle, or as the log itself says. What the log says is remembered, and may
/// not become less.
///
/// # Errors
/// `audit.trust_bundle_wrong` when it asks for less than before, `parameter.invalid` for a policy of another log.
pub(super) async fn witness_policy(
    source: &dyn Source,
    options: &Options,
    bundle: Option<&TrustBundle>,
    state: &mut State,
) -> Result<Option<ServedPolicy>, Failure> {
    let of_bundle = |bundle: &TrustBundle| ServedPolicy {
        policy: bundle.witness_policy().clone(),
        fails_open: false,
    };
    let served = match bundle {
        Some(bundle) => Some(of_bundle(bundle)),
        None => source.witnesses(&state.log).await?,
    };
    let held = options.trust.as_ref().map(of_bundle);
    if options.witness_policy.is_none() {
        let says = served.as_ref().or(held.as_ref());
        if let Some(before) = &state.witness_policy
            && !options.accept_weaker
        {
            let is_weaker = match says {
                Some(now) => now.policy.is_weaker_than(before),
                None => before.wants_quorum(),
            };
            if is_weaker {
                return Err(wrong(
                    "the log's witness policy asks for less than the one remembered; \
                     --accept-weaker takes it, --witness-policy names another",
                ));
            }
        }
        if let Some(served) = &served {
            state.witness_policy = Some(served.policy.clone());
        } else if options.accept_weaker {
            state.witness_policy = None;
        }
    }
    let given = options.witness_policy.as_ref().map(|policy| ServedPolicy {
        policy: policy.clone(),
        fails_open: false,
    });
    let counts = given.or(held).or(served);
    if let Some(counts) = &counts
        && !counts.policy.logs().any(|named| *named == state.log)
    {
        let detail = format!("the witness policy has no line for the log {}", state.log);
        return Err(Fault::new(Code::ParameterInvalid, detail).into());
    }
    Ok(counts)
}

/// The bundle's keys are those that the log has announced by then.
///
/// # Errors
/// `audit.trust_bundle_wrong`.
pub(super) fn bundle_keys(bundle: &TrustBundle, replay: &Replay) -> Result<(), Failure> {
    let payload = bundle.payload();
    let size = size_in(&payload.checkpoint);
    let logged = replay.ring_at(size);
    let mine: BTreeMap<(KeyUse, String), _> = logged
        .keys()
        .iter()
        .map(|k| ((k.usage, k.jwk.thumbprint()), (k.from, k.to, k.revoked)))
        .collect();
    let theirs: BTreeMap<(KeyUse, String), _> = payload
        .keys
        .iter()
        .map(|k| ((k.usage, k.kid.clone()), (k.from, k.to, k.revoked)))
        .collect();
    let all = mine.keys().chain(theirs.keys());
    match all.into_iter().find(|id| mine.get(*id) != theirs.get(*id)) {
        None => Ok(()),
        Some((usage, kid)) => Err(wrong(format!(
            "what it says of the {usage} key {kid} is not what the log says below {size}"
        ))),
    }
}

/// The held bundle was signed by a key that the log has announced and not revoked. A bundle alone cannot show that: who has
/// stolen a key leaves its revocation out of the bundles that he signs.
///
/// # Errors
/// `bundle.key_unknown`: no lie of the log, but nothing that the bundle says is worth anything.
pub(super) fn signer_of_held(held: &TrustBundle, replay: &Replay, size: u64) -> Result<(), Fault> {
    let ring = replay.ring_at(size);
    let why = match ring.key(KeyUse::Bundle, held.signer()) {
        Some(key) if key.revoked.is_none() => return Ok(()),
        Some(_) => "has revoked the key",
        None => "never announced the key",
    };
    let detail = format!(
        "the log {why} {} that signed the held trust bundle: take another one, held to a thumbprint that you know (--pin)",
        held.signer()
    );
    Err(goodstanding_verify::Error::new(VerifyCode::BundleKeyUnknown, detail).into())
}

/// The notice that the log has ended, if the source has one: by a bundle key of the service, and about this tree.
///
/// # Errors
/// `audit.trust_bundle_wrong` at the notice; `audit.log_forked` when the log goes on beyond its end, or beside it.
///
/// A source without a bundle is asked by [`ended_by_ring`] instead.
pub(super) async fn ended(
    source: &dyn Source,
    served: Option<&TrustBundle>,
    options: &Options,
    head: &Head<'_>,
) -> Result<Option<Notice>, Failure> {
    if served.is_none() {
        return Ok(None);
    }
    let Some(jws) = source.successor().await? else {
        return Ok(None);
    };
    // The held one may be from before the key that signed it, the served one is the held one's successor.
    let mut verdict = Err(goodstanding_verify::Error::new(
        VerifyCode::SuccessorSignatureInvalid,
        "there is no trust bundle to check it with",
    ));
    for bundle in options.trust.iter().chain(served) {
        verdict = Notice::verify(&jws, bundle);
        if verdict.is_ok() {
            break;
        }
    }
    let notice = verdict
        .map_err(|error| Failure::caused(Code::AuditTrustBundle, Place::Successor, error))?;
    ends(&notice, head)?;
    Ok(Some(notice))
}

/// The same where there is no served bundle: by a bundle key that the entries themselves announce, of the issuer of the held
/// bundle, or else of the one that the source names.
///
/// # Errors
/// Those of [`ended`].
pub(super) async fn ended_by_ring(
    source: &dyn Source,
    replay: &Replay,
    log: &VerifierKey,
    options: &Options,
    head: &Head<'_>,
) -> Result<Option<Notice>, Failure> {
    let Some(jws) = source.successor().await? else {
        return Ok(None);
    };
    let iss = match &options.trust {
        Some(held) => Some(held.iss().to_owned()),
        None => source.issuer().await?,
    };
    let ring = replay.ring_at(head.tree.size());
    let iss = iss.unwrap_or_default();
    let notice = Notice::verify_by_ring(&jws, &ring, &iss, &log.to_string())
        .map_err(|error| Failure::caused(Code::AuditTrustBundle, Place::Successor, error))?;
    ends(&notice, head)?;
    Ok(Some(notice))
}

/// A tree that is not beyond the log's end, nor beside it.
///
/// # Errors
/// `audit.log_forked`.
pub(super) fn ends(notice: &Notice, head: &Head<'_>) -> Result<(), Failure> {
    let size = head.tree.size();
    let forked = |detail: String| {
        let found = Disagreement::new(Code::AuditForked, Place::Checkpoint(size), detail);
        Failure::from(found.with_notes([head.note.clone()]))
    };
    if size > notice.size {
        return Err(forked(format!(
            "it has {size} entries, but the log ended at {}",
            notice.size
        )));
    }
    // A smaller one is from before its end.
    if size == notice.size && head.root != notice.root.0 {
        return Err(forked(format!(
            "its root is not the {} that the log ended with",
            notice.root.to_std()
        )));
    }
    Ok(())
}
