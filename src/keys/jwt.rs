//! jsonwebtoken over ed25519-dalek: the crypto provider, and the one function that signs a JWS for us.
//!
//! jsonwebtoken's own backends are not used: `rust_crypto` panics on a short Ed25519 key from the wire and pulls
//! an `rsa` with an open advisory, `aws_lc_rs` needs a C toolchain. Neither verifies strictly.

use std::sync::Once;

use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use jsonwebtoken::{
    Algorithm, DecodingKey, EncodingKey, Header,
    crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils},
    errors::{Error, ErrorKind, Result},
};
use serde::Serialize;
use signature::{Error as SignatureError, Signer, Verifier};

struct Ed25519Signer(SigningKey);

impl Signer<Vec<u8>> for Ed25519Signer {
    fn try_sign(&self, message: &[u8]) -> std::result::Result<Vec<u8>, SignatureError> {
        Ok(self.0.sign(message).to_bytes().to_vec())
    }
}

impl JwtSigner for Ed25519Signer {
    fn algorithm(&self) -> Algorithm {
        Algorithm::EdDSA
    }
}

struct Ed25519Verifier(VerifyingKey);

impl Verifier<Vec<u8>> for Ed25519Verifier {
    fn verify(
        &self,
        message: &[u8],
        signature: &Vec<u8>,
    ) -> std::result::Result<(), SignatureError> {
        let signature = Signature::from_slice(signature).map_err(|_| SignatureError::new())?;
        self.0
            .verify_strict(message, &signature)
            .map_err(|_| SignatureError::new())
    }
}

impl JwtVerifier for Ed25519Verifier {
    fn algorithm(&self) -> Algorithm {
        Algorithm::EdDSA
    }
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature is jsonwebtoken's"
)]
fn signer(algorithm: &Algorithm, key: &EncodingKey) -> Result<Box<dyn JwtSigner>> {
    let seed = match algorithm {
        Algorithm::EdDSA => <[u8; 32]>::try_from(key.as_bytes()),
        _ => return Err(ErrorKind::InvalidAlgorithm.into()),
    };
    let seed = seed.map_err(|_| Error::from(ErrorKind::InvalidKeyFormat))?;
    Ok(Box::new(Ed25519Signer(SigningKey::from_bytes(&seed))))
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature is jsonwebtoken's"
)]
fn verifier(algorithm: &Algorithm, key: &DecodingKey) -> Result<Box<dyn JwtVerifier>> {
    let public = match algorithm {
        Algorithm::EdDSA => <[u8; 32]>::try_from(key.try_get_as_bytes()?),
        _ => return Err(ErrorKind::InvalidAlgorithm.into()),
    };
    let key = public
        .ok()
        .and_then(|bytes| VerifyingKey::from_bytes(&bytes).ok())
        .filter(|key| !key.is_weak())
        .ok_or_else(|| Error::from(ErrorKind::InvalidKeyFormat))?;
    Ok(Box::new(Ed25519Verifier(key)))
}

static PROVIDER: CryptoProvider = CryptoProvider {
    signer_factory: signer,
    verifier_factory: verifier,
    // JWK helpers are never called: JWKs are built and read by goodstanding-verify.
    key_utils: KeyUtils::new_unimplemented(),
};

/// Makes our provider jsonwebtoken's default; may be called any number of times.
pub fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // A second provider can only have come from this process's own tests; ours stays the behaviour we test.
        let _ = PROVIDER.install_default();
    });
}

/// Signs `claims` as a compact JWS with exactly the header members `alg`, `typ`, `kid`.
///
/// # Errors
/// When `claims` cannot be serialized as JSON.
pub fn sign<T: Serialize>(key: &SigningKey, typ: &str, kid: &str, claims: &T) -> Result<String> {
    let header = Header {
        typ: Some(typ.to_owned()),
        kid: Some(kid.to_owned()),
        ..Header::new(Algorithm::EdDSA)
    };
    sign_with_header(key, &header, claims)
}

/// Signs `claims` under a header of the caller's.
///
/// # Errors
/// When `claims` cannot be serialized as JSON.
pub fn sign_with_header<T: Serialize>(
    key: &SigningKey,
    header: &Header,
    claims: &T,
) -> Result<String> {
    install();
    // `from_ed_der` stores the bytes as they are; our signer reads them as the 32-byte seed.
    let seed = zeroize::Zeroizing::new(key.to_bytes());
    jsonwebtoken::encode(header, claims, &EncodingKey::from_ed_der(seed.as_slice()))
}

/// Verifies one of our own JWTs and returns its claims. `exp` must be there; whether it has passed is for the caller to say,
/// who knows the time.
///
/// # Errors
/// When the signature or a required claim is wrong.
pub fn read_own<T: serde::de::DeserializeOwned + Clone>(
    jwt: &str,
    key: &VerifyingKey,
    typ: &str,
    issuer: &str,
    audience: &str,
) -> Result<T> {
    install();
    let mut validation = jsonwebtoken::Validation::new(Algorithm::EdDSA);
    validation.validate_exp = false;
    validation.set_issuer(&[issuer]);
    validation.set_audience(&[audience]);
    // Without this a token with no `iss` at all would pass `set_issuer`.
    validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
    let data =
        jsonwebtoken::decode::<T>(jwt, &DecodingKey::from_ed_der(key.as_bytes()), &validation)?;
    if data.header.typ.as_deref() != Some(typ) {
        return Err(ErrorKind::InvalidToken.into());
    }
    Ok(data.claims)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, serde::Serialize, serde::Deserialize)]
    struct Claims {
        iss: String,
        aud: String,
        sub: String,
        exp: u64,
    }

    fn claims() -> Claims {
        Claims {
            iss: "https://issuer.example".into(),
            aud: "https://issuer.example".into(),
            sub: "ops".into(),
            exp: 4_000_000_000,
        }
    }

    #[test]
    fn rfc_8037_appendix_a_signature() {
        // RFC 8037 A.4: the key of RFC 8032 TEST 1, header {"alg":"EdDSA"}.
        let seed = [
            0x9d, 0x61, 0xb1, 0x9d, 0xef, 0xfd, 0x5a, 0x60, 0xba, 0x84, 0x4a, 0xf4, 0x92, 0xec,
            0x2c, 0xc4, 0x44, 0x49, 0xc5, 0x69, 0x7b, 0x32, 0x69, 0x19, 0x70, 0x3b, 0xac, 0x03,
            0x1c, 0xae, 0x7f, 0x60,
        ];
        install();
        let signature = jsonwebtoken::crypto::sign(
            b"eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc",
            &EncodingKey::from_ed_der(&seed),
            Algorithm::EdDSA,
        )
        .unwrap();
        assert_eq!(
            signature,
            "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
        );
    }

    #[test]
    fn own_tokens_round_trip_and_their_typ_matters() {
        let key = SigningKey::from_bytes(&[7; 32]);
        let jwt = sign(&key, "access+jwt", "kid", &claims()).unwrap();
        let issuer = "https://issuer.example";
        let read = |typ| read_own::<Claims>(&jwt, &key.verifying_key(), typ, issuer, issuer);
        assert_eq!(read("access+jwt").unwrap().sub, "ops");
        assert!(read("trust-bundle+jwt").is_err());
        let other = SigningKey::from_bytes(&[8; 32]).verifying_key();
        assert!(read_own::<Claims>(&jwt, &other, "access+jwt", issuer, issuer).is_err());
    }

    #[test]
    fn a_short_or_weak_public_key_is_an_error_and_not_a_panic() {
        install();
        let key = SigningKey::from_bytes(&[7; 32]);
        let jwt = sign(&key, "x", "kid", &claims()).unwrap();
        let mut validation = jsonwebtoken::Validation::new(Algorithm::EdDSA);
        validation.validate_aud = false;
        let mut identity = [0; 32];
        identity[0] = 1;
        for bytes in [&[1_u8, 2, 3][..], &identity[..], &[0xff; 33][..]] {
            let key = DecodingKey::from_ed_der(bytes);
            assert!(jsonwebtoken::decode::<Claims>(&jwt, &key, &validation).is_err());
        }
    }
}
