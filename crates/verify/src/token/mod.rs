//! Reputation tokens (SD-JWT VC over a logged statement): verification offline, in one fixed order, each failure with its code.
//!
//! The order is that of the public contract: sizes and syntax, header, issuer key, signature, times, holder key,
//! disclosures, key binding, anchored epoch, statement in the score tree, entry in the log, checkpoint and witnesses,
//! freshness, status, requirements. What the caller does not ask for stays safe by default: key binding is required unless
//! waived, `lower_bp`, `state` and `flags` must be disclosed, and a status that was not checked is never called valid.

mod anchor;
mod disclosed;
mod holder;
mod payload;
mod requirement;

use std::fmt;

use serde::Serialize;
use serde_json::{Map, Value};

pub use holder::{HolderCheck, KB_TYP, MAX_KB_SKEW_S};
pub use requirement::Requirement;

use crate::{
    CLOCK_SKEW_S,
    bundle::TrustBundle,
    code::{Code, Error, excerpt},
    did::Did,
    entry::KeyUse,
    jwk::Jwk,
    jws::{Compact, SERVICE_ALGS},
    sdjwt::SdJwt,
    statement::MAX_DISCLOSURES,
    status::StatusList,
    witness_policy::{Quorum, WitnessPolicy},
};
use payload::TokenPayload;

/// `typ` of a token.
pub const TOKEN_TYP: &str = "dc+sd-jwt";
/// Largest token with its disclosures, bytes.
pub const MAX_TOKEN_BYTES: usize = 65_536;
/// Largest key-binding JWT, bytes.
pub const MAX_KB_BYTES: usize = 4_096;
/// What follows the issuer in the `vct` of a token.
pub const VCT_SUFFIX: &str = "/vct/agent-reputation/1";
/// Claims without which a token says nothing one could rely on.
pub const ALWAYS_REQUIRED: [&str; 3] = ["lower_bp", "state", "flags"];

/// What a relying party asks of a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirements {
    /// Whether the presenter must prove to hold the subject's key.
    pub holder: HolderCheck,
    /// Smallest acceptable `lower_bp`.
    pub min_lower_bp: Option<u16>,
    /// Oldest acceptable epoch entry (and, with a quorum, cosignature), seconds.
    pub max_age_s: Option<u64>,
    /// Further requirements on disclosed claims.
    pub require: Vec<Requirement>,
}

impl Requirements {
    /// Only this holder check and the safe defaults.
    pub fn new(holder: HolderCheck) -> Self {
        Self {
            holder,
            min_lower_bp: None,
            max_age_s: None,
            require: Vec::new(),
        }
    }
}

/// Whether the presenter is the subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Holder {
    /// A key-binding JWT for the relying party's `aud` and `nonce` verified.
    #[serde(rename = "proven")]
    Proven,
    /// Nobody asked.
    #[serde(rename = "not proven")]
    NotProven,
}

/// Whether the log's checkpoint was witnessed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Witnessed {
    /// The policy in force wants no quorum.
    Unwitnessed,
    /// The quorum is met.
    Quorum {
        /// Witnesses that cosigned.
        cosigned: usize,
        /// Witnesses of the quorum.
        total: usize,
    },
}

impl fmt::Display for Witnessed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unwitnessed => f.write_str("unwitnessed"),
            Self::Quorum { cosigned, total } => write!(f, "{cosigned} of {total}"),
        }
    }
}

impl Serialize for Witnessed {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Whether the token's status is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// A current status list says so.
    Valid,
    /// No status list was at hand.
    Unchecked,
}

/// What a verified token says.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Verdict {
    /// The issuer.
    pub issuer: String,
    /// The agent.
    pub subject: Did,
    /// Number of the epoch.
    pub epoch: u64,
    /// Whether the presenter is the subject.
    pub holder: Holder,
    /// Whether the checkpoint was witnessed.
    pub witnessed: Witnessed,
    /// Whether the token's status is known.
    pub status: Status,
    /// Log time of the epoch entry, Unix milliseconds.
    pub entry_at: u64,
    /// What time the score is of, Unix seconds: the epoch's `as_of`. Before `entry_at`, and by much where old trades were imported.
    pub as_of: u64,
    /// Issue time, Unix seconds.
    pub iat: u64,
    /// Expiry, Unix seconds.
    pub exp: u64,
    /// The disclosed claims.
    pub claims: Map<String, Value>,
    /// Thumbprint of the key that signed the token.
    pub kid: String,
}

/// Verifies a presented token against a trust bundle. `status_list`: the status list JWT that the token refers to, if it is at
/// hand. `now`: Unix seconds.
///
/// # Errors
/// The first check that fails, in the order above: `token.*`, `disclosure.*`, `holder.*`, `anchor.*`, `proof.malformed`,
/// `checkpoint.*`, `freshness.*`, `status.*`, `claims.*`.
pub fn verify(
    token: &str,
    bundle: &TrustBundle,
    req: &Requirements,
    status_list: Option<&str>,
    now: u64,
) -> Result<Verdict, Error> {
    // Sizes and syntax.
    let too_large = |what: &str| Err(Error::new(Code::TokenTooLarge, what));
    if token.len() > MAX_TOKEN_BYTES.saturating_add(MAX_KB_BYTES) {
        return too_large("more than 68 KiB");
    }
    let parts = SdJwt::parse(token)?;
    if parts.presented.len() > MAX_TOKEN_BYTES {
        return too_large("more than 64 KiB");
    }
    if parts.kb_jwt.is_some_and(|kb| kb.len() > MAX_KB_BYTES) {
        return too_large("key-binding JWT of more than 4 KiB");
    }
    if parts.disclosures.len() > MAX_DISCLOSURES {
        return too_large("more than 64 disclosures");
    }
    let malformed = |error: Error| error.recode(Code::TokenMalformed);
    let compact = Compact::parse(parts.jwt).map_err(malformed)?;
    let payload = compact.payload_json().map_err(malformed)?;
    let kid = check_header(&compact)?;
    let payload = TokenPayload::read(&payload)?;

    // Issuer, key, signature, times, holder key.
    check_issuer(&compact, kid, &payload, bundle)?;
    check_times(&payload, now)?;
    if payload.cnf != Jwk::from(payload.sub) {
        return Err(Error::new(
            Code::TokenHolderKeyMismatch,
            "/cnf/jwk is not the key of /sub",
        ));
    }

    // What the holder shows, and that it is the holder who shows it.
    let claims = disclosed::read(&parts.disclosures, &payload.sd)?;
    let holder = holder::check(&parts, &payload.cnf, &req.holder, now)?;

    // The way from the statement to the witnessed checkpoint.
    let anchored = anchor::check(&payload, bundle.witness_policy())?;
    check_freshness(
        anchored.at,
        &anchored.quorum,
        bundle.witness_policy(),
        req.max_age_s,
        now,
    )?;

    // Status and the relying party's own requirements.
    let status = match status_list {
        None => Status::Unchecked,
        Some(list) => {
            StatusList::verify(list, payload.status_uri, bundle, now)?
                .check(payload.status_index)?;
            Status::Valid
        }
    };
    requirement::check(&claims, req)?;
    let witnessed = match anchored.quorum {
        Quorum {
            required: false, ..
        } => Witnessed::Unwitnessed,
        Quorum {
            witnesses, total, ..
        } => Witnessed::Quorum {
            cosigned: witnesses.len(),
            total,
        },
    };
    Ok(Verdict {
        issuer: payload.iss.to_owned(),
        subject: payload.sub,
        epoch: payload.epoch,
        holder,
        witnessed,
        status,
        entry_at: anchored.at,
        as_of: anchored.as_of,
        iat: payload.iat,
        exp: payload.exp,
        claims,
        kid: kid.to_owned(),
    })
}

/// The header: type, algorithm, no `crit`, and nothing else but `kid`.
fn check_header<'a>(compact: &'a Compact<'_>) -> Result<&'a str, Error> {
    let typ = compact.header_str("typ");
    if typ != Some(TOKEN_TYP) {
        return Err(Error::new(
            Code::TokenTypWrong,
            format!("typ {}", excerpt(typ.unwrap_or("missing"))),
        ));
    }
    let alg = compact.header_str("alg");
    if !alg.is_some_and(|alg| SERVICE_ALGS.contains(&alg)) {
        return Err(Error::new(
            Code::TokenAlgUnsupported,
            format!("alg {}", excerpt(alg.unwrap_or("missing"))),
        ));
    }
    if compact.header().contains_key("crit") {
        return Err(Error::new(Code::TokenCritPresent, "crit"));
    }
    compact
        .exact_header(TOKEN_TYP, SERVICE_ALGS)
        .map_err(|error| error.recode(Code::TokenHeaderInvalid))
}

fn check_issuer(
    compact: &Compact<'_>,
    kid: &str,
    payload: &TokenPayload<'_>,
    bundle: &TrustBundle,
) -> Result<(), Error> {
    let refuse = |code, detail: String| Err(Error::new(code, detail));
    if payload.iss != bundle.iss() {
        return refuse(
            Code::TokenIssuerUnknown,
            format!("iss {}", excerpt(payload.iss)),
        );
    }
    let is_ours = payload.vct.strip_prefix(bundle.iss()) == Some(VCT_SUFFIX);
    if !is_ours || bundle.vct(payload.vct).is_none() {
        return refuse(
            Code::TokenVctUnknown,
            format!("vct {}", excerpt(payload.vct)),
        );
    }
    let Some(key) = bundle.key(kid, KeyUse::Token) else {
        return refuse(Code::TokenKeyUnknown, format!("kid {}", excerpt(kid)));
    };
    if let Some(revoked) = key.revoked {
        return refuse(Code::TokenKeyRevoked, format!("revoked at {revoked}"));
    }
    if !key.covers(payload.iat) {
        return refuse(
            Code::TokenKeyNotValid,
            format!("not in use at iat {}", payload.iat),
        );
    }
    if !compact.is_signed_by(&key.jwk.x) {
        return refuse(
            Code::TokenSignatureInvalid,
            "not signed by the key that kid names".to_owned(),
        );
    }
    Ok(())
}

fn check_times(payload: &TokenPayload<'_>, now: u64) -> Result<(), Error> {
    let TokenPayload { iat, nbf, exp, .. } = *payload;
    if iat.max(nbf) > now.saturating_add(CLOCK_SKEW_S) {
        return Err(Error::new(
            Code::TokenNotYetValid,
            format!("iat {iat}, nbf {nbf}, now {now}"),
        ));
    }
    if exp.saturating_add(CLOCK_SKEW_S) <= now {
        return Err(Error::new(
            Code::TokenExpired,
            format!("exp {exp}, now {now}"),
        ));
    }
    Ok(())
}

/// The epoch entry must not come from the future nor be too old, and neither may the cosignatures that make the quorum.
fn check_freshness(
    at_ms: u64,
    quorum: &Quorum,
    policy: &WitnessPolicy,
    max_age_s: Option<u64>,
    now: u64,
) -> Result<(), Error> {
    let latest = now.saturating_add(CLOCK_SKEW_S);
    let from_future = |detail: String| Err(Error::new(Code::FreshnessFromFuture, detail));
    if at_ms > latest.saturating_mul(1_000) {
        return from_future(format!("epoch entry at {at_ms} ms, now {now} s"));
    }
    if !policy.is_met(quorum, |time| time <= latest) {
        return from_future(format!("cosignatures after now {now}"));
    }
    let Some(max_age_s) = max_age_s else {
        return Ok(());
    };
    let too_old = |detail: String| Err(Error::new(Code::FreshnessTooOld, detail));
    let oldest = now.saturating_sub(max_age_s);
    if at_ms < oldest.saturating_mul(1_000) {
        return too_old(format!(
            "epoch entry at {at_ms} ms is more than {max_age_s} s old"
        ));
    }
    if !policy.is_met(quorum, |time| (oldest..=latest).contains(&time)) {
        return too_old(format!("cosignatures are more than {max_age_s} s old"));
    }
    Ok(())
}
