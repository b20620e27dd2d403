//! Ed25519 public keys as JWK (RFC 8037) and their thumbprints (RFC 7638).

use serde_json::{Value, json};

use crate::{
    b64,
    code::{Code, Error},
    did::{Did, check_public_key, verify_strict},
    digest::sha256,
};

/// A public Ed25519 key: `{"crv":"Ed25519","kty":"OKP","x":"…"}`. Never weak.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Jwk {
    /// The 32 bytes of the public key.
    pub x: [u8; 32],
}

impl Jwk {
    /// The key of these bytes.
    ///
    /// # Errors
    /// `jwk.invalid` if they are not a canonical point, `key.weak` if it has small order.
    pub fn from_key_bytes(x: &[u8; 32]) -> Result<Self, Error> {
        check_public_key(x, Code::JwkInvalid)?;
        Ok(Self { x: *x })
    }

    /// Reads a JWK with exactly the members `crv`, `kty`, `x`.
    ///
    /// # Errors
    /// `jwk.invalid`, `key.weak`.
    pub fn parse(value: &Value) -> Result<Self, Error> {
        Self::read(value, &["crv", "kty", "x"])
    }

    /// Reads a JWK of somebody else's making: `kid`, `use` and `alg` may be there too, a private part may not.
    ///
    /// # Errors
    /// `jwk.invalid`, also if `alg` or `use` is not one for Ed25519 signatures; `key.weak`.
    pub fn parse_foreign(value: &Value) -> Result<Self, Error> {
        let key = Self::read(value, &["crv", "kty", "x", "kid", "use", "alg"])?;
        let optional = |name: &str, allowed: &[&str]| match value.get(name) {
            None => Ok(()),
            Some(Value::String(text)) if allowed.is_empty() || allowed.contains(&text.as_str()) => {
                Ok(())
            }
            Some(_) => Err(Error::new(
                Code::JwkInvalid,
                format!("/{name}: not for Ed25519 signatures"),
            )),
        };
        optional("alg", &["EdDSA", "Ed25519"])?;
        optional("use", &["sig"])?;
        optional("kid", &[])?;
        Ok(key)
    }

    fn read(value: &Value, known: &[&str]) -> Result<Self, Error> {
        let invalid = |why: &str| Error::new(Code::JwkInvalid, why);
        let members = value.as_object().ok_or_else(|| invalid("not an object"))?;
        if members.keys().any(|name| !known.contains(&name.as_str())) {
            return Err(invalid("a member that does not belong here"));
        }
        // The curve matters: the same 32 bytes under another one would be another key.
        for (name, wanted) in [("kty", "OKP"), ("crv", "Ed25519")] {
            if members.get(name).and_then(Value::as_str) != Some(wanted) {
                return Err(invalid(&format!("/{name}: not {wanted}")));
            }
        }
        let x = members
            .get("x")
            .and_then(Value::as_str)
            .and_then(b64::url_decode_32);
        Self::from_key_bytes(&x.ok_or_else(|| invalid("/x: not 32 bytes of base64url"))?)
    }

    /// The thumbprint: base64url of SHA-256 of the canonical key (RFC 7638 §3, members of RFC 8037 A.3).
    pub fn thumbprint(&self) -> String {
        let x = b64::url_encode(self.x);
        sha256(format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#).as_bytes()).to_string()
    }

    /// The key as a JSON object with exactly `crv`, `kty`, `x`.
    pub fn to_value(&self) -> Value {
        json!({"crv": "Ed25519", "kty": "OKP", "x": b64::url_encode(self.x)})
    }

    /// Checks a signature with the strict rule (no small-order key or R, canonical S).
    pub fn verify_strict(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        verify_strict(&self.x, message, signature)
    }
}

impl From<Did> for Jwk {
    fn from(did: Did) -> Self {
        Self {
            x: *did.key_bytes(),
        }
    }
}

impl std::fmt::Debug for Jwk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Jwk({})", self.thumbprint())
    }
}

impl serde::Serialize for Jwk {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_value().serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exact_and_foreign() {
        let x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
        let exact = json!({"kty": "OKP", "crv": "Ed25519", "x": x});
        let key = Jwk::parse(&exact).unwrap();
        assert_eq!(key.to_value(), exact);
        assert_eq!(
            key.thumbprint(),
            "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
        );
        let foreign = json!({"kty": "OKP", "crv": "Ed25519", "x": x, "kid": "k", "use": "sig", "alg": "EdDSA"});
        assert_eq!(Jwk::parse_foreign(&foreign), Ok(key));
        for bad in [
            foreign,
            json!({"kty": "OKP", "crv": "P-256", "x": x}),
            json!({"kty": "EC", "crv": "Ed25519", "x": x}),
            json!({"kty": "OKP", "crv": "Ed25519", "x": "AAAA"}),
            json!({"kty": "OKP", "crv": "Ed25519"}),
            json!([]),
        ] {
            assert_eq!(
                Jwk::parse(&bad).unwrap_err().code(),
                Code::JwkInvalid,
                "{bad}"
            );
        }
        for (name, value) in [("alg", "ES256"), ("use", "enc"), ("d", "x")] {
            let mut bad = exact.clone();
            bad[name] = json!(value);
            assert_eq!(
                Jwk::parse_foreign(&bad).unwrap_err().code(),
                Code::JwkInvalid
            );
        }
        let weak = json!({"kty": "OKP", "crv": "Ed25519", "x": b64::url_encode([0; 32])});
        assert_eq!(Jwk::parse(&weak).unwrap_err().code(), Code::KeyWeak);
    }
}
