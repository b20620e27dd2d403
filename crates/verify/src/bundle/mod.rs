//! Trust bundles (`docs/FORMATS.md` §7): the one file a relying party needs to verify tokens offline.
//!
//! A bundle is checked against itself — signed by one of its own bundle keys, every key proven to be in the log that it
//! names — so the first one must come from a trusted place, or be pinned. Later ones extend it: [`TrustBundle::accept_update`].

mod payload;

pub use payload::{BundleKey, BundlePayload, BundleProof, VctMetadata};

use crate::{
    CLOCK_SKEW_S,
    code::{Code, Error, excerpt},
    entry::{Body, Entry, KeyAction, KeyEntry, KeyUse},
    jws::{Compact, SERVICE_ALGS},
    note::VerifierKey,
    proof::TlogProof,
    witness_policy::WitnessPolicy,
};

/// `typ` of a trust bundle.
pub const BUNDLE_TYP: &str = "trust-bundle+jwt";
/// Largest trust bundle, bytes of the compact JWS.
pub const MAX_BUNDLE_BYTES: usize = 1 << 20;

/// A verified trust bundle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustBundle {
    payload: BundlePayload,
    log: VerifierKey,
    /// The bundle's own witness policy.
    policy: WitnessPolicy,
    /// What the relying party wants instead.
    policy_override: Option<WitnessPolicy>,
    /// Thumbprint of the signing key.
    signer: String,
}

impl TrustBundle {
    /// Verifies a bundle. `pin`: the thumbprint that its signing key must have. `now`: Unix seconds.
    ///
    /// # Errors
    /// `bundle.*`, `witness_policy.malformed`, `checkpoint.*`: the first check that fails.
    pub fn parse(jws: &str, pin: Option<&str>, now: u64) -> Result<Self, Error> {
        let bundle = Self::parse_any_time(jws, pin)?;
        bundle.check_times(now)?;
        Ok(bundle)
    }

    /// As [`TrustBundle::parse`] without looking at `iat` and `exp`: for a held bundle that may have expired and waits for
    /// its update.
    ///
    /// # Errors
    /// As [`TrustBundle::parse`] but `bundle.expired` and `bundle.not_yet_valid`.
    pub fn parse_any_time(jws: &str, pin: Option<&str>) -> Result<Self, Error> {
        let malformed = |error: Error| error.recode(Code::BundleMalformed);
        if jws.len() > MAX_BUNDLE_BYTES {
            return Err(Error::new(
                Code::BundleTooLarge,
                format!("{} bytes", jws.len()),
            ));
        }
        let compact = Compact::parse(jws).map_err(malformed)?;
        let kid = compact
            .exact_header(BUNDLE_TYP, SERVICE_ALGS)
            .map_err(|error| match error.code() {
                Code::JwsTypWrong => error.recode(Code::BundleTypWrong),
                _ => malformed(error),
            })?;
        let payload = BundlePayload::read(&compact.payload_json().map_err(malformed)?)?;
        payload.check_signer(&compact, kid)?;
        if pin.is_some_and(|pin| pin != kid) {
            return Err(Error::new(
                Code::BundlePinMismatch,
                format!("signed by {}", excerpt(kid)),
            ));
        }
        let log = VerifierKey::parse(&payload.log)
            .map_err(|e| Error::new(Code::BundleMalformed, format!("/log: {}", e.detail())))?;
        let policy = WitnessPolicy::parse(&payload.witness_policy)?;
        if !policy.logs().eq([&log]) {
            return Err(Error::new(
                Code::BundleMalformed,
                "/witness_policy: its log line is not /log alone",
            ));
        }
        payload.check_metadata()?;
        policy.evaluate(&crate::checkpoint::SignedCheckpoint::parse(
            &payload.checkpoint,
        )?)?;
        check_keys(&payload, &policy)?;
        Ok(Self {
            signer: kid.to_owned(),
            log,
            policy,
            policy_override: None,
            payload,
        })
    }

    /// Checks the bundle's times, with 60 s of tolerance. `now`: Unix seconds.
    ///
    /// # Errors
    /// `bundle.not_yet_valid`, `bundle.expired`.
    pub fn check_times(&self, now: u64) -> Result<(), Error> {
        let BundlePayload { iat, exp, .. } = self.payload;
        if iat > now.saturating_add(CLOCK_SKEW_S) {
            return Err(Error::new(
                Code::BundleNotYetValid,
                format!("iat {iat}, now {now}"),
            ));
        }
        if exp.saturating_add(CLOCK_SKEW_S) <= now {
            return Err(Error::new(
                Code::BundleExpired,
                format!("exp {exp}, now {now}"),
            ));
        }
        Ok(())
    }

    /// Verifies a later bundle and returns it, if it may replace this one: same issuer and log, higher version, signed by
    /// an unrevoked bundle key of this one that was in use, not signed before it, witnesses no weaker unless `accept_weaker`. An override of the witness policy
    /// stays in force.
    ///
    /// # Errors
    /// As [`TrustBundle::parse`], and `bundle.issuer_changed`, `bundle.log_changed`, `bundle.version_not_newer`,
    /// `bundle.key_unknown`, `bundle.weaker_witnesses`.
    pub fn accept_update(
        &self,
        newer_jws: &str,
        accept_weaker: bool,
        now: u64,
    ) -> Result<Self, Error> {
        let mut newer = Self::parse(newer_jws, None, now)?;
        let refuse = |code, detail: String| Err(Error::new(code, detail));
        if newer.payload.iss != self.payload.iss {
            return refuse(
                Code::BundleIssuerChanged,
                format!("iss {}", excerpt(&newer.payload.iss)),
            );
        }
        if newer.log != self.log {
            return refuse(
                Code::BundleLogChanged,
                format!("log {}", excerpt(&newer.payload.log)),
            );
        }
        if newer.payload.version <= self.payload.version {
            return refuse(
                Code::BundleVersionNotNewer,
                format!(
                    "version {}, held {}",
                    newer.payload.version, self.payload.version
                ),
            );
        }
        // A key that was retired may have fallen into other hands: it could still date a bundle back to when it signed.
        if newer.payload.iat < self.payload.iat {
            return refuse(
                Code::BundleVersionNotNewer,
                format!("iat {}, held {}", newer.payload.iat, self.payload.iat),
            );
        }
        if self
            .key(&newer.signer, KeyUse::Bundle)
            .is_none_or(|key| key.revoked.is_some() || !key.covers(newer.payload.iat))
        {
            return refuse(
                Code::BundleKeyUnknown,
                format!(
                    "{} is no bundle key of the held bundle, or was not in use",
                    newer.signer
                ),
            );
        }
        if !accept_weaker && newer.policy.is_weaker_than(&self.policy) {
            return refuse(
                Code::BundleWeakerWitnesses,
                "/witness_policy asks for less than the held bundle's".to_owned(),
            );
        }
        newer.policy_override.clone_from(&self.policy_override);
        Ok(newer)
    }

    /// The bundle with the relying party's own witness policy, which must name the bundle's log.
    ///
    /// # Errors
    /// `witness_policy.malformed`; `bundle.log_changed` if it names another log; `bundle.weaker_witnesses` if it asks for
    /// less than the bundle's and `accept_weaker` is false.
    pub fn with_witness_policy(&self, text: &str, accept_weaker: bool) -> Result<Self, Error> {
        let policy = WitnessPolicy::parse(text)?;
        if !policy.logs().eq([&self.log]) {
            return Err(Error::new(
                Code::BundleLogChanged,
                "the policy's log line is not the bundle's log alone",
            ));
        }
        if !accept_weaker && policy.is_weaker_than(&self.policy) {
            return Err(Error::new(
                Code::BundleWeakerWitnesses,
                "the policy asks for less than the bundle's",
            ));
        }
        Ok(Self {
            policy_override: Some(policy),
            ..self.clone()
        })
    }

    /// Everything the bundle says.
    pub fn payload(&self) -> &BundlePayload {
        &self.payload
    }

    /// The issuer.
    pub fn iss(&self) -> &str {
        &self.payload.iss
    }

    /// Rises with every change.
    pub fn version(&self) -> u64 {
        self.payload.version
    }

    /// The log's key; its name is the origin.
    pub fn log(&self) -> &VerifierKey {
        &self.log
    }

    /// All keys, revoked ones included.
    pub fn keys(&self) -> &[BundleKey] {
        &self.payload.keys
    }

    /// The key with this thumbprint and use, revoked or not.
    pub fn key(&self, kid: &str, usage: KeyUse) -> Option<&BundleKey> {
        self.payload.key(kid, usage)
    }

    /// Thumbprint of the key that signed the bundle.
    pub fn signer(&self) -> &str {
        &self.signer
    }

    /// The witness policy in force.
    pub fn witness_policy(&self) -> &WitnessPolicy {
        self.policy_override.as_ref().unwrap_or(&self.policy)
    }

    /// The type metadata of a credential type.
    pub fn vct(&self, vct: &str) -> Option<&VctMetadata> {
        self.payload.vct.iter().find(|metadata| metadata.vct == vct)
    }
}

/// Every key must have a proven `add` entry, and no key may hide a proven revocation.
fn check_keys(payload: &BundlePayload, policy: &WitnessPolicy) -> Result<(), Error> {
    let mut added: Vec<KeyEntry> = Vec::new();
    let mut revoked: Vec<KeyEntry> = Vec::new();
    for (index, BundleProof { entry, proof }) in payload.proofs.iter().enumerate() {
        let unproven = |error: Error| {
            Error::new(
                Code::BundleKeyUnproven,
                format!("/proofs/{index}: {}", error.detail()),
            )
        };
        let parsed = Entry::parse(entry.as_bytes()).map_err(unproven)?;
        TlogProof::parse(proof)
            .and_then(|proof| proof.verify(entry.as_bytes(), policy))
            .map_err(unproven)?;
        match parsed.body {
            Body::Key(key) if key.action == KeyAction::Add => added.push(key),
            Body::Key(key) if key.action == KeyAction::Revoke => revoked.push(key),
            Body::Key(_) => {}
            _ => {
                return Err(Error::new(
                    Code::BundleKeyUnproven,
                    format!("/proofs/{index}: not a key entry"),
                ));
            }
        }
    }
    for (index, key) in payload.keys.iter().enumerate() {
        let is_key = |entry: &KeyEntry| entry.jwk == key.jwk && entry.usage == key.usage;
        if !added
            .iter()
            .any(|entry| is_key(entry) && entry.from == key.from)
        {
            return Err(Error::new(
                Code::BundleKeyUnproven,
                format!("/keys/{index}: no add entry with its jwk, use and from"),
            ));
        }
        if key.revoked.is_none() && revoked.iter().any(is_key) {
            return Err(Error::new(
                Code::BundleMalformed,
                format!("/keys/{index}: the log revokes it, the bundle does not"),
            ));
        }
    }
    Ok(())
}
