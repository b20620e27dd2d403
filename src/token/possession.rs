//! Proof that a requester holds the agent's key: `openid4vci-proof+jwt` (OpenID4VCI 1.0, appendix F.1).

use goodstanding_verify::{did::Did, jwk::Jwk, jws::Compact};
use serde_json::{Map, Value};

use crate::{
    app::App,
    code::{Code, Fault},
    keys::SecretKey,
};

const TYP: &str = "openid4vci-proof+jwt";
/// A proof is longer than this only if somebody stuffs it.
const MOST_BYTES: usize = 4096;
/// Accepted distance of `iat` from our clock, seconds.
const SKEW_S: u64 = 300;

/// Makes a proof for `issuer` over `nonce`.
///
/// # Errors
/// When serialization fails.
pub fn prove(
    key: &SecretKey,
    issuer: &str,
    nonce: &str,
    now_s: u64,
) -> Result<String, jsonwebtoken::errors::Error> {
    let claims = serde_json::json!({"aud": issuer, "iat": now_s, "nonce": nonce});
    key.sign_agent(TYP, &claims)
}

/// A proof that was checked but for its nonce.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proven {
    /// Whose key made it.
    pub agent: Did,
    /// The nonce that it is over; not used up yet.
    pub nonce: String,
}

/// Checks a proof; its nonce is left to the caller to use up.
///
/// # Errors
/// `token.holder_unproven`.
pub fn check(app: &App, proof: &str) -> Result<Proven, Fault> {
    let unproven = |why: &str| Fault::new(Code::TokenHolder, why);
    if proof.len() > MOST_BYTES {
        return Err(unproven("the proof is larger than 4096 bytes"));
    }
    let jws = Compact::parse(proof).map_err(|_| unproven("the proof is not a compact JWS"))?;
    let header = jws.header();
    let payload = jws
        .payload_json()
        .map_err(|_| unproven("the proof's payload is not strict JSON"))?;
    let text = |name: &str| payload.get(name).and_then(Value::as_str);
    if jws.header_str("typ") != Some(TYP) {
        return Err(unproven("typ is not openid4vci-proof+jwt"));
    }
    if !matches!(jws.header_str("alg"), Some("EdDSA" | "Ed25519")) {
        return Err(unproven("alg is not EdDSA"));
    }
    if header.get("crit").is_some() {
        return Err(unproven("crit is not supported"));
    }
    let agent = holder(header)?;
    if !jws.is_signed_by(agent.key_bytes()) {
        return Err(unproven(
            "the signature does not verify under the key in the header",
        ));
    }
    if text("aud") != Some(app.issuer.as_str()) {
        return Err(unproven("aud is not this issuer"));
    }
    let iat = payload
        .get("iat")
        .and_then(Value::as_u64)
        .ok_or_else(|| unproven("iat is missing"))?;
    if iat.abs_diff(app.clock.now_s()) > SKEW_S {
        return Err(unproven(
            "iat is more than five minutes from the service's clock",
        ));
    }
    let nonce = text("nonce").ok_or_else(|| unproven("nonce is missing"))?;
    Ok(Proven {
        agent,
        nonce: nonce.to_owned(),
    })
}

/// The key in the header: exactly one of `jwk` and `kid`.
fn holder(header: &Map<String, Value>) -> Result<Did, Fault> {
    let unproven = |why: &str| Fault::new(Code::TokenHolder, why);
    match (header.get("jwk"), header.get("kid").and_then(Value::as_str)) {
        (Some(jwk), None) => {
            if jwk.get("d").is_some() {
                return Err(unproven(
                    "the header's jwk is a private key; consider it leaked",
                ));
            }
            let jwk = Jwk::parse_foreign(jwk)
                .map_err(|_| unproven("jwk is not an Ed25519 public key"))?;
            Did::from_key_bytes(&jwk.x).map_err(|_| unproven("jwk is a weak key"))
        }
        (None, Some(kid)) => {
            let did = kid.split('#').next().unwrap_or_default();
            let did: Did = did
                .parse()
                .map_err(|_| unproven("kid is not a did:key method"))?;
            if did.method_id() == kid {
                Ok(did)
            } else {
                Err(unproven("kid is not the did:key's own method"))
            }
        }
        _ => Err(unproven("the header needs exactly one of jwk and kid")),
    }
}
