//! The registry of stable error codes, and the one error type of this crate.
//!
//! One code = one meaning. Programs branch on [`Code`]; people read the detail, which may change.

use std::fmt;

/// Longest piece of input that a detail repeats, characters.
const MAX_ECHO: usize = 80;

macro_rules! codes {
    ($($variant:ident = $name:literal, $title:literal, $meaning:literal;)+) => {
        /// What went wrong. The wire name is [`Code::as_str`].
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Code {
            $(#[doc = concat!("`", $name, "`: ", $title)] $variant,)+
        }

        impl Code {
            /// Every code, in the order of the registry.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// Stable wire name, for example `token.signature_invalid`.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// A few words for a heading.
            pub const fn title(self) -> &'static str {
                match self { $(Self::$variant => $title,)+ }
            }

            /// One sentence that says what to do about it.
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$variant => $meaning,)+ }
            }
        }
    };
}

codes! {
    ReportTooLarge = "report.too_large", "Report too large", "Send at most 16,384 bytes; refer to large evidence by its hash.";
    ReportMalformed = "report.malformed", "Not a report", "Send one compact JWS: three base64url parts, the payload a JSON object at most 32 levels deep, the signature 64 bytes.";
    ReportHeaderInvalid = "report.header_invalid", "Header members wrong", "Make the JOSE header a JSON object with exactly the string members alg, typ and kid.";
    ReportAlgUnsupported = "report.alg_unsupported", "Algorithm not supported", "Sign with alg EdDSA and an Ed25519 key.";
    ReportTypWrong = "report.typ_wrong", "Not a trade outcome", "Set typ to trade-outcome+jwt.";
    ReportKidMismatch = "report.kid_mismatch", "Key id is not the reporter's", "Set kid to iss, a number sign and the multibase part of iss.";
    ReportDuplicateMember = "report.duplicate_member", "Member given twice", "Name every JSON member once; escaped spellings of one name count as the same.";
    ReportUnknownMember = "report.unknown_member", "Unknown member", "Remove the member that the detail points at.";
    ReportMemberMissing = "report.member_missing", "Member missing", "Add the member that the detail points at.";
    ReportMemberInvalid = "report.member_invalid", "Member invalid", "Correct the type, length, range or pattern of the member that the detail points at.";
    ReportNumberOutOfRange = "report.number_out_of_range", "Number not allowed", "Use integers within ±(2^53−1); write amounts as strings.";
    ReportDidInvalid = "report.did_invalid", "Not a did:key", "Use a did:key of an Ed25519 key in its canonical spelling.";
    ReportKeyWeak = "report.key_weak", "Weak key", "Make a new key: this one has small order and proves nothing.";
    ReportSignatureInvalid = "report.signature_invalid", "Signature does not verify", "Sign the exact bytes of header and payload with the key of iss.";
    ReportSelfRating = "report.self_rating", "Reporter rates itself", "Report on the counterparty: sub must differ from iss.";
    ReportAmountInvalid = "report.amount_invalid", "Amount invalid", "Write amounts as decimal strings: up to nine digits, then up to nine decimals.";
    ReportAmountZero = "report.amount_zero", "Amount is zero", "State the price; only trades with a swap_id may be free.";
    ReportQualityRequired = "report.quality_required", "Quality missing", "Add outcome.quality_bp to fulfilled and partial outcomes.";
    ReportClaimNotSeller = "report.claim_not_seller", "Only sellers claim quality", "Remove outcome.claimed_quality_bp or report as the seller.";
    ReportAuctionNotAllowed = "report.auction_not_allowed", "No auction in this kind of trade", "Remove trade.auction; compute_auction and service trades may have one.";
    ReportClosedAfterSigned = "report.closed_after_signed", "Closed after it was signed", "Sign after the trade closed: closed_at must not exceed iat.";
    ReportFutureDated = "report.future_dated", "Signed in the future", "Check the reporter's clock: iat is ahead of the log.";
    ReportTooOld = "report.too_old", "Trade too old", "Report sooner: the policy limits the time from closing to logging.";
    ReportEvidenceInvalid = "report.evidence_invalid", "Evidence invalid", "Give hash evidence only sha256, other evidence its document, a matching sha256 if any, and terms at most once.";
    ReportTermsInvalid = "report.terms_invalid", "Terms invalid", "Attach the counterparty's trade-terms+jwt as it was signed.";
    ReportTermsMismatch = "report.terms_mismatch", "Terms are of another trade", "Attach the terms that the counterparty signed for this very trade.";
    ReportTermsTime = "report.terms_time", "Closed outside the terms", "The trade must close between the terms' iat and exp.";
    ReportAttestationInvalid = "report.attestation_invalid", "Attestation invalid", "Attach the marketplace's trade-attestation+jwt as it was signed.";
    ReportAttestationMismatch = "report.attestation_mismatch", "Attestation is of another trade", "Attach the attestation of this very trade and outcome.";
    ReportBidInvalid = "report.bid_invalid", "Bid document invalid", "Attach the bidder's own auction-bid+jwt of this auction, or no document.";

    AmountInvalid = "amount.invalid", "Not an amount", "Write a decimal string: up to nine digits without leading zeros, then up to nine decimals.";
    DigestInvalid = "digest.invalid", "Not a SHA-256 digest", "Write 43 characters of base64url, 44 of base64 or 64 of lowercase hex.";
    DidInvalid = "did.invalid", "Not a did:key", "Use a did:key of an Ed25519 key in its canonical spelling.";
    KeyWeak = "key.weak", "Weak key", "Make a new key: this one has small order and proves nothing.";
    JwkInvalid = "jwk.invalid", "Not an Ed25519 JWK", "Use a public JWK with kty OKP, crv Ed25519 and 32 bytes of x.";
    JsonMalformed = "json.malformed", "Not acceptable JSON", "Send UTF-8 JSON, at most 32 levels deep, with nothing after it.";
    JsonDuplicateMember = "json.duplicate_member", "JSON member given twice", "Name every member once.";
    JsonNumberOutOfRange = "json.number_out_of_range", "JSON number not allowed", "Use integers within ±(2^53−1).";
    JsonNotCanonical = "json.not_canonical", "Not canonical JSON", "Send the RFC 8785 form of the document.";
    JwsMalformed = "jws.malformed", "Not a compact JWS", "Send three base64url parts: a JSON header, a JSON object as payload and a signature of 64 bytes.";
    JwsHeaderInvalid = "jws.header_invalid", "JWS header members wrong", "Give the header exactly the string members alg, typ and kid.";
    JwsAlgUnsupported = "jws.alg_unsupported", "JWS algorithm not supported", "Sign with alg EdDSA.";
    JwsTypWrong = "jws.typ_wrong", "JWS of another type", "Set typ to the type that is expected here.";
    JwsKidMismatch = "jws.kid_mismatch", "JWS key id wrong", "Set kid to the id of the key that signs.";
    JwsSignatureInvalid = "jws.signature_invalid", "JWS signature does not verify", "Sign the exact bytes of header and payload with the named key.";

    NoteMalformed = "note.malformed", "Not a signed note", "Send the note verbatim, with its blank line and signature lines.";
    NoteKeyInvalid = "note.key_invalid", "Not a verifier key", "Write the key as name+hash+base64, as its owner publishes it.";
    NoteSignatureInvalid = "note.signature_invalid", "Note signature does not verify", "Get the note again: a known key's signature is missing or wrong.";
    CheckpointMalformed = "checkpoint.malformed", "Not a checkpoint", "Send the checkpoint verbatim: origin, size, root, blank line, signatures.";
    CheckpointOriginMismatch = "checkpoint.origin_mismatch", "Checkpoint of another log", "Use a checkpoint of the log that the trust bundle names.";
    CheckpointSignatureInvalid = "checkpoint.signature_invalid", "Checkpoint signature does not verify", "Do not rely on it: the log's or a known witness's signature is missing or wrong.";
    CheckpointQuorumMissed = "checkpoint.quorum_missed", "Too few witnesses", "Get a checkpoint that the witness policy's quorum has cosigned.";
    ProofMalformed = "proof.malformed", "Not a tlog-proof", "Send the proof file verbatim, newlines included.";
    ProofInclusionInvalid = "proof.inclusion_invalid", "Not in the tree", "Do not rely on the entry: the path does not lead from it to the root.";
    ProofConsistencyInvalid = "proof.consistency_invalid", "Trees do not agree", "Keep both checkpoints and alert: the later tree does not extend the earlier one.";
    TileMalformed = "tile.malformed", "Not a tile", "Fetch the tile or bundle again at the width that its path says.";
    TileInconsistent = "tile.inconsistent", "Tile of another tree", "Do not use the tile: it does not belong to the checkpoint's tree.";
    WitnessMalformed = "witness.malformed", "Not a witness message", "Speak C2SP tlog-witness: the detail says which part is not.";
    WitnessCosignatureInvalid = "witness.cosignature_invalid", "Cosignature does not verify", "Do not count this witness: its signature is not over the checkpoint it was asked about.";
    WitnessPolicyMalformed = "witness_policy.malformed", "Not a witness policy", "Write log, witness, group and exactly one quorum line, names before their use.";
    EntryMalformed = "entry.malformed", "Not a log entry", "Stop: the log holds bytes that are not an entry in canonical form.";
    LogUnsupportedVersion = "log.unsupported_version", "Entry of an unknown version", "Update this software: the log uses an entry version or kind it does not know.";
    KeyEventInvalid = "key.event_invalid", "Key event out of order", "Add a key before retiring or revoking it, and do each at most once.";
    StatementMalformed = "statement.malformed", "Not a statement", "Send the statement's canonical bytes as the service publishes them.";

    BundleTooLarge = "bundle.too_large", "Trust bundle too large", "A trust bundle has at most 1 MiB.";
    BundleMalformed = "bundle.malformed", "Not a trust bundle", "Fetch the trust bundle again and keep its bytes.";
    BundleTypWrong = "bundle.typ_wrong", "Not a trust bundle", "Pass the service's trust bundle: its typ is trust-bundle+jwt.";
    BundleSignatureInvalid = "bundle.signature_invalid", "Bundle signature does not verify", "Do not use it; fetch the trust bundle again from a place you trust.";
    BundleKeyUnknown = "bundle.key_unknown", "Bundle signed by an unknown key", "Use a bundle signed by a current bundle key, or start anew with a pin.";
    BundlePinMismatch = "bundle.pin_mismatch", "Bundle signed by another key than pinned", "Compare the thumbprint with the one that the issuer publishes.";
    BundleExpired = "bundle.expired", "Trust bundle expired", "Fetch a new trust bundle.";
    BundleNotYetValid = "bundle.not_yet_valid", "Trust bundle from the future", "Check this machine's clock.";
    BundleIntegrityMismatch = "bundle.integrity_mismatch", "Type metadata altered", "Fetch the trust bundle again: a metadata document does not match its integrity value.";
    BundleIssuerChanged = "bundle.issuer_changed", "Update of another issuer", "Keep the held bundle: an update must have the same iss.";
    BundleLogChanged = "bundle.log_changed", "Update of another log", "Keep the held bundle: an update must name the same log key.";
    BundleVersionNotNewer = "bundle.version_not_newer", "Update is not newer", "Keep the held bundle: an update must have a higher version.";
    BundleWeakerWitnesses = "bundle.weaker_witnesses", "Weaker witnesses", "Accept the weaker witness policy explicitly, or keep the held one.";
    BundleKeyUnproven = "bundle.key_unproven", "Bundle key not in the log", "Do not use it: a key lacks a valid proof of its key entry.";

    TokenTooLarge = "token.too_large", "Token too large", "A token has at most 64 KiB and 64 disclosures, its key-binding JWT at most 4 KiB.";
    TokenMalformed = "token.malformed", "Not a reputation token", "Present the token as issued: a JWT, disclosures and, at the end, the key-binding JWT, joined by tildes.";
    TokenHeaderInvalid = "token.header_invalid", "Token header members wrong", "Present a token of this service: its header has exactly alg, typ and kid.";
    TokenTypWrong = "token.typ_wrong", "Not an SD-JWT credential", "Present a token whose typ is dc+sd-jwt.";
    TokenAlgUnsupported = "token.alg_unsupported", "Token algorithm not supported", "Present a token signed with EdDSA or Ed25519.";
    TokenCritPresent = "token.crit_present", "Critical header not understood", "Present a token without crit.";
    TokenIssuerUnknown = "token.issuer_unknown", "Issuer not trusted", "Load the trust bundle of the token's issuer.";
    TokenVctUnknown = "token.vct_unknown", "Credential type not known", "Load a trust bundle that lists the token's vct.";
    TokenKeyUnknown = "token.key_unknown", "Token key not in the bundle", "Update the trust bundle; the token is signed by a key it does not list for tokens.";
    TokenKeyRevoked = "token.key_revoked", "Token key revoked", "Ask the holder for a token signed by a current key.";
    TokenKeyNotValid = "token.key_not_valid", "Token key not valid at issue", "Refuse the token: its key was not in use when it was issued.";
    TokenSignatureInvalid = "token.signature_invalid", "Token signature does not verify", "Refuse the token.";
    TokenNotYetValid = "token.not_yet_valid", "Token not yet valid", "Check this machine's clock, or wait until nbf.";
    TokenExpired = "token.expired", "Token expired", "Ask the holder for a fresh token.";
    TokenHolderKeyMismatch = "token.holder_key_mismatch", "Holder key is not the subject's", "Refuse the token: cnf.jwk must be the key of sub.";
    DisclosureMalformed = "disclosure.malformed", "Disclosure malformed", "Present the disclosures as issued.";
    DisclosureDuplicate = "disclosure.duplicate", "Disclosure given twice", "Present every disclosure and every claim once.";
    DisclosureUnmatched = "disclosure.unmatched", "Disclosure not in the token", "Present only disclosures of this very token.";
    HolderMissing = "holder.missing", "Key binding missing", "Ask the holder to present with a key-binding JWT for your aud and nonce.";
    HolderMalformed = "holder.malformed", "Key binding malformed", "Append a kb+jwt with exactly iat, aud, nonce and sd_hash.";
    HolderSignatureInvalid = "holder.signature_invalid", "Key binding does not verify", "Refuse it: the presenter does not hold the subject's key.";
    HolderAudMismatch = "holder.aud_mismatch", "Presented to somebody else", "Ask for a presentation to your own aud.";
    HolderNonceMismatch = "holder.nonce_mismatch", "Nonce does not match", "Ask for a presentation with the nonce you sent.";
    HolderSdHashMismatch = "holder.sd_hash_mismatch", "Key binding of another presentation", "Refuse it: the disclosures were changed after the holder signed.";
    HolderIatOutOfRange = "holder.iat_out_of_range", "Key binding too old or from the future", "Ask for a fresh presentation; iat may differ from now by 300 s.";
    AnchorMalformed = "anchor.malformed", "Anchor malformed", "Present the token as issued: its anchor must hold an entry, a path and a tlog-proof.";
    AnchorKindWrong = "anchor.kind_wrong", "Anchored to another kind of entry", "Refuse the token: its anchor must be an epoch entry.";
    AnchorEpochMismatch = "anchor.epoch_mismatch", "Anchored to another epoch", "Refuse the token: its epoch is not the anchored entry's number.";
    AnchorIndexOutOfRange = "anchor.index_out_of_range", "Anchor index beyond the epoch", "Refuse the token: the epoch has fewer statements.";
    AnchorStatementNotInTree = "anchor.statement_not_in_tree", "Statement not in the epoch", "Refuse the token: its claims are not those that the epoch committed to.";
    AnchorEntryNotInLog = "anchor.entry_not_in_log", "Epoch not in the log", "Refuse the token: its epoch entry is not under the checkpoint.";
    FreshnessTooOld = "freshness.too_old", "Score too old", "Ask the holder for a token of a newer epoch.";
    FreshnessFromFuture = "freshness.from_future", "Score from the future", "Check this machine's clock; the log's or the witnesses' times are ahead of it.";
    SuccessorMalformed = "successor.malformed", "Not a successor notice", "Fetch the notice again and keep its bytes.";
    SuccessorSignatureInvalid = "successor.signature_invalid", "Successor notice signature does not verify", "Do not follow it: no bundle key that you hold and that was in use signed this notice.";
    SuccessorLogMismatch = "successor.log_mismatch", "Successor notice of another log", "Check it with a trust bundle of the log that it is about.";
    StatusMalformed = "status.malformed", "Not a status list", "Fetch the status list again and keep its bytes.";
    StatusSignatureInvalid = "status.signature_invalid", "Status list signature does not verify", "Fetch the status list again; no current status key of the bundle signed this one.";
    StatusUriMismatch = "status.uri_mismatch", "Another status list", "Pass the status list that the token refers to.";
    StatusExpired = "status.expired", "Status list expired", "Fetch the current status list.";
    StatusNotYetValid = "status.not_yet_valid", "Status list from the future", "Check this machine's clock.";
    StatusIndexOutOfRange = "status.index_out_of_range", "Not in the status list", "Refuse the token: the list has no such index.";
    StatusRevoked = "status.revoked", "Token revoked", "Refuse the token; ask the holder for a new one.";
    StatusSuspended = "status.suspended", "Token suspended", "Refuse the token for now.";
    ClaimsMalformed = "claims.malformed", "Claim malformed", "Refuse the token: a disclosed claim has another name or type than the format allows.";
    ClaimsRequiredMissing = "claims.required_missing", "Required claim not disclosed", "Ask the holder to disclose the claim that the detail names.";
    ClaimsLowerBoundTooLow = "claims.lower_bound_too_low", "Score too low", "The agent's lower bound is below your minimum.";
    ClaimsRequirementUnmet = "claims.requirement_unmet", "Requirement not met", "The disclosed claim does not meet the requirement that the detail names.";
    RequirementMalformed = "requirement.malformed", "Not a requirement", "Write NAME, NAME=VALUE, NAME>=N or NAME<=N.";
}

impl Code {
    /// The code with this wire name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.as_str() == name)
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A refusal: a stable code and a detail for people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {detail}")]
pub struct Error {
    code: Code,
    detail: String,
}

impl Error {
    /// A refusal with this code. `detail` must repeat input only through [`excerpt`].
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self {
            code,
            detail: detail.into(),
        }
    }

    /// The stable code.
    pub fn code(&self) -> Code {
        self.code
    }

    /// What exactly was wrong, in one line.
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// The same detail under another code: for a document inside another document.
    #[must_use]
    pub fn recode(self, code: Code) -> Self {
        Self { code, ..self }
    }
}

/// A piece of input that is safe to repeat: at most 80 characters, control characters replaced.
pub fn excerpt(input: &str) -> String {
    let mut out: String = input
        .chars()
        .take(MAX_ECHO.saturating_sub(1))
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect();
    if input.chars().nth(MAX_ECHO.saturating_sub(1)).is_some() {
        out.push('…');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_are_unique_dotted_and_found_again() {
        let names: BTreeSet<_> = Code::ALL.iter().map(|c| c.as_str()).collect();
        assert_eq!(names.len(), Code::ALL.len());
        for code in Code::ALL {
            assert_eq!(code.as_str().split('.').count(), 2, "{code}");
            assert_eq!(Code::parse(code.as_str()), Some(*code));
            assert!(!code.title().is_empty() && code.meaning().ends_with('.'));
        }
        assert_eq!(Code::parse("no.such"), None);
    }

    #[test]
    fn excerpts_are_short_and_printable() {
        assert_eq!(excerpt("ab\ncd"), "ab\u{fffd}cd");
        assert_eq!(excerpt(&"x".repeat(500)).chars().count(), 80);
        assert_eq!(excerpt(&"x".repeat(79)), "x".repeat(79));
    }

    #[test]
    fn display_is_code_and_detail() {
        let error = Error::new(Code::TokenExpired, "exp 5");
        assert_eq!(error.to_string(), "token.expired: exp 5");
        assert_eq!(
            error.recode(Code::BundleExpired).code(),
            Code::BundleExpired
        );
    }
}
