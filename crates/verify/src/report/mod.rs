//! Trade outcome reports (`docs/FORMATS.md` §2): from the bytes of a compact JWS to a [`Report`] that cannot be malformed.
//!
//! The order of the checks is fixed, so every bad report is refused with its most specific code: size, syntax, header,
//! payload, key, signature, rules across members, evidence. Time is the caller's: [`Report::check_times`].

mod evidence;
mod parse;
mod types;
mod words;

use std::fmt;

pub use evidence::{ATTESTATION_TYP, BID_TYP, TERMS_TYP};
pub use types::*;

use crate::{
    b64,
    code::{Code, Error},
    did::Did,
    digest::{Digest, sha256},
    jws::{AGENT_ALGS, Compact},
    keycache::KeyCache,
};

/// Largest report, bytes of the compact JWS.
pub const MAX_REPORT_BYTES: usize = 16_384;
/// `typ` of a report.
pub const REPORT_TYP: &str = "trade-outcome+jwt";

/// The admission limits that depend on the log's time, seconds. Both come from the policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeLimits {
    /// Longest time from closing to logging.
    pub max_age_s: u64,
    /// How far `iat` may be ahead of the log.
    pub max_skew_s: u64,
}

impl Default for TimeLimits {
    fn default() -> Self {
        Self {
            max_age_s: 30 * 86_400,
            max_skew_s: crate::CLOCK_SKEW_S,
        }
    }
}

/// Whether to check the signatures that admission depends on.
#[derive(Clone, Copy, Debug)]
enum Signatures<'k> {
    Check,
    /// With keys that were read before.
    CheckWith(&'k KeyCache),
    /// They were checked when the bytes were admitted.
    Trust,
    /// The same, with keys that were read before.
    TrustWith(&'k KeyCache),
}

impl Signatures<'_> {
    /// Reads a DID, as a known key if it is one.
    fn read_did(self, text: &str) -> Result<Did, Error> {
        match self {
            Self::CheckWith(cache) | Self::TrustWith(cache) => {
                cache.read(text).map(|known| known.did)
            }
            Self::Check | Self::Trust => Did::parse(text),
        }
    }

    /// Whether `compact` is signed by the agent with this DID, whose text is `text`. What is trusted is.
    fn is_signed_by(self, compact: &Compact<'_>, did: &Did, text: Option<&str>) -> bool {
        match (self, text) {
            (Self::Trust | Self::TrustWith(_), _) => true,
            (Self::CheckWith(cache), Some(text)) => cache
                .read(text)
                .is_ok_and(|known| known.did == *did && compact.is_signed_by_cached(&known)),
            _ => compact.is_signed_by(did.key_bytes()),
        }
    }
}

impl Report {
    /// Verifies a report that came from outside.
    ///
    /// # Errors
    /// `report.*`: the first check that fails.
    pub fn verify(jws: &str) -> Result<Self, Error> {
        Self::read(jws, Signatures::Check)
    }

    /// [`Report::verify`] for many reports of the same agents: the same verdict, with the keys that `cache` has.
    ///
    /// # Errors
    /// As [`Report::verify`].
    pub fn verify_with(jws: &str, cache: &KeyCache) -> Result<Self, Error> {
        Self::read(jws, Signatures::CheckWith(cache))
    }

    /// Reads a report whose bytes were admitted before: all checks of [`Report::verify`] but the signatures without which
    /// it would have been refused. A receipt's signature only lifts the report, so it is checked here too.
    ///
    /// # Errors
    /// As [`Report::verify`], without the signature faults.
    pub fn parse_admitted(jws: &str) -> Result<Self, Error> {
        Self::read(jws, Signatures::Trust)
    }

    /// [`Report::parse_admitted`] for many reports of the same agents: the same verdict, with the keys that `cache` has.
    ///
    /// # Errors
    /// As [`Report::parse_admitted`].
    pub fn parse_admitted_with(jws: &str, cache: &KeyCache) -> Result<Self, Error> {
        Self::read(jws, Signatures::TrustWith(cache))
    }

    fn read(jws: &str, signatures: Signatures<'_>) -> Result<Self, Error> {
        if jws.len() > MAX_REPORT_BYTES {
            return Err(Error::new(
                Code::ReportTooLarge,
                format!("{} bytes", jws.len()),
            ));
        }
        let compact = Compact::parse(jws).map_err(as_report_error)?;
        let kid = compact
            .exact_header(REPORT_TYP, AGENT_ALGS)
            .map_err(as_report_error)?;
        let payload = compact.payload_json().map_err(as_report_error)?;
        let parse::Draft {
            mut report,
            evidence,
            bids,
        } = parse::payload(&payload, ReportId(sha256(jws.as_bytes()).0), signatures)?;
        let iss = payload.get("iss").and_then(serde_json::Value::as_str);
        // A DID that was read has one spelling only: comparing texts compares keys.
        if !iss.is_some_and(|iss| Did::is_method_of(iss, kid)) {
            return Err(Error::new(
                Code::ReportKidMismatch,
                "kid is not the verification method of iss",
            ));
        }
        if !signatures.is_signed_by(&compact, &report.iss, iss) {
            return Err(Error::new(
                Code::ReportSignatureInvalid,
                "not signed by iss",
            ));
        }
        report.check_rules()?;
        evidence::bids(&mut report, &bids, signatures)?;
        report.evidence = evidence::all(&report, &evidence, signatures)?;
        Ok(report)
    }

    /// The rules across members.
    fn check_rules(&self) -> Result<(), Error> {
        let rule = |code, detail: &str| Err(Error::new(code, detail));
        let Self { trade, outcome, .. } = self;
        if self.iss == self.sub {
            return rule(Code::ReportSelfRating, "/sub equals /iss");
        }
        if trade.amount.is_zero() && trade.swap_id.is_none() {
            return rule(
                Code::ReportAmountZero,
                "/trade/amount is zero and /trade/swap_id missing",
            );
        }
        if outcome.quality_bp.is_none()
            && matches!(outcome.status, Status::Fulfilled | Status::Partial)
        {
            return rule(Code::ReportQualityRequired, "/outcome/quality_bp missing");
        }
        if outcome.claimed_quality_bp.is_some() && trade.role != Role::Seller {
            return rule(
                Code::ReportClaimNotSeller,
                "/outcome/claimed_quality_bp by the buyer",
            );
        }
        if trade.auction.is_some()
            && !matches!(trade.kind, TradeKind::ComputeAuction | TradeKind::Service)
        {
            return rule(
                Code::ReportAuctionNotAllowed,
                "/trade/auction in this /trade/kind",
            );
        }
        if trade.closed_at > self.iat {
            return rule(
                Code::ReportClosedAfterSigned,
                "/trade/closed_at is after /iat",
            );
        }
        Ok(())
    }

    /// Checks the report's times against the log's (Unix seconds): `iat` at most `max_skew_s` ahead of it, `closed_at`
    /// at most `max_age_s` behind it.
    ///
    /// # Errors
    /// `report.future_dated`, `report.too_old`.
    pub fn check_times(&self, at_s: u64, limits: &TimeLimits) -> Result<(), Error> {
        if self.iat > at_s.saturating_add(limits.max_skew_s) {
            return Err(Error::new(
                Code::ReportFutureDated,
                format!("/iat {} is ahead of the log's {at_s}", self.iat),
            ));
        }
        if at_s.saturating_sub(self.trade.closed_at) > limits.max_age_s {
            let detail = format!(
                "/trade/closed_at {} is more than {} s before {at_s}",
                self.trade.closed_at, limits.max_age_s
            );
            return Err(Error::new(Code::ReportTooOld, detail));
        }
        Ok(())
    }

    /// The buyer of the trade.
    pub fn buyer(&self) -> Did {
        match self.trade.role {
            Role::Buyer => self.iss,
            Role::Seller => self.sub,
        }
    }

    /// The seller of the trade.
    pub fn seller(&self) -> Did {
        match self.trade.role {
            Role::Buyer => self.sub,
            Role::Seller => self.iss,
        }
    }
}

/// General codes as a report's own.
fn as_report_error(error: Error) -> Error {
    let code = match error.code() {
        Code::JsonDuplicateMember => Code::ReportDuplicateMember,
        Code::JsonNumberOutOfRange => Code::ReportNumberOutOfRange,
        Code::JwsHeaderInvalid => Code::ReportHeaderInvalid,
        Code::JwsAlgUnsupported => Code::ReportAlgUnsupported,
        Code::JwsTypWrong => Code::ReportTypWrong,
        _ => Code::ReportMalformed,
    };
    error.recode(code)
}

impl ReportId {
    /// Reads the 43 characters of base64url.
    ///
    /// # Errors
    /// `digest.invalid`.
    pub fn parse(text: &str) -> Result<Self, Error> {
        Digest::parse_url(text).map(|digest| Self(digest.0))
    }
}

impl fmt::Display for ReportId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&b64::url_encode(self.0))
    }
}

impl fmt::Debug for ReportId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ReportId({self})")
    }
}

impl std::str::FromStr for ReportId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::parse(text)
    }
}

impl serde::Serialize for ReportId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
