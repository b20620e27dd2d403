//! JWS compact serialization (RFC 7515) with Ed25519 signatures (RFC 8037), strict.
//!
//! The signed text is kept as it came; nothing is ever re-serialized to check a signature.

use serde_json::{Map, Value};

use crate::{
    b64,
    code::{Code, Error, excerpt},
    did::{Did, verify_strict},
    json,
    jwk::Jwk,
    keycache::CachedKey,
};

/// A compact JWS, taken apart but not yet verified.
#[derive(Clone, Debug, PartialEq)]
pub struct Compact<'a> {
    /// `BASE64URL(header).BASE64URL(payload)`: the signed text.
    signing_input: &'a str,
    header: Map<String, Value>,
    payload: Vec<u8>,
    /// Ed25519 signatures have this length, and so have those of ES256, which are told apart by `alg`.
    signature: [u8; 64],
}

impl<'a> Compact<'a> {
    /// Splits `header.payload.signature`: three non-empty parts of strict base64url, the header a strict JSON
    /// object, the signature 64 bytes.
    ///
    /// # Errors
    /// `jws.malformed`; for the header `jws.header_invalid`, `json.duplicate_member`, `json.number_out_of_range`.
    pub fn parse(jws: &'a str) -> Result<Self, Error> {
        let malformed = |why: &str| Error::new(Code::JwsMalformed, why);
        let parts = jws
            .rsplit_once('.')
            .and_then(|(input, signature)| Some((input, input.split_once('.')?, signature)));
        let Some((signing_input, (header, payload), signature)) = parts else {
            return Err(malformed("not three parts"));
        };
        if payload.contains('.') {
            return Err(malformed("not three parts"));
        }
        let decode = |part: &str, name: &str| match b64::url_decode(part) {
            Some(bytes) if !bytes.is_empty() => Ok(bytes),
            _ => Err(malformed(&format!("{name} is not base64url"))),
        };
        let header = json_of(&decode(header, "header")?, "header", Code::JwsHeaderInvalid)?;
        let Value::Object(header) = header else {
            return Err(Error::new(
                Code::JwsHeaderInvalid,
                "header is not an object",
            ));
        };
        let signature = decode(signature, "signature")?;
        let signature = signature
            .try_into()
            .map_err(|_| malformed("signature is not 64 bytes"))?;
        Ok(Self {
            signing_input,
            header,
            payload: decode(payload, "payload")?,
            signature,
        })
    }

    /// The members of the header.
    pub fn header(&self) -> &Map<String, Value> {
        &self.header
    }

    /// A header member that is a string.
    pub fn header_str(&self, name: &str) -> Option<&str> {
        self.header.get(name)?.as_str()
    }

    /// The decoded payload.
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// The text that is signed.
    pub fn signing_input(&self) -> &'a str {
        self.signing_input
    }

    /// The payload as strict JSON.
    ///
    /// # Errors
    /// `jws.malformed`, `json.duplicate_member`, `json.number_out_of_range`.
    pub fn payload_json(&self) -> Result<Value, Error> {
        json_of(&self.payload, "payload", Code::JwsMalformed)
    }

    /// Checks that the header has exactly the string members `alg`, `typ`, `kid`, an `alg` of `algs` and this `typ`;
    /// returns `kid`.
    ///
    /// # Errors
    /// `jws.header_invalid`, `jws.alg_unsupported`, `jws.typ_wrong`.
    pub fn exact_header(&self, typ: &str, algs: &[&str]) -> Result<&str, Error> {
        let (Some(alg), Some(found), Some(kid), 3) = (
            self.header_str("alg"),
            self.header_str("typ"),
            self.header_str("kid"),
            self.header.len(),
        ) else {
            return Err(Error::new(
                Code::JwsHeaderInvalid,
                "members are not exactly the strings alg, typ, kid",
            ));
        };
        if !algs.contains(&alg) {
            return Err(Error::new(
                Code::JwsAlgUnsupported,
                format!("alg {}", excerpt(alg)),
            ));
        }
        if found != typ {
            return Err(Error::new(
                Code::JwsTypWrong,
                format!("typ {}, not {typ}", excerpt(found)),
            ));
        }
        Ok(kid)
    }

    /// Whether the signature is this key's, by the strict rule.
    pub fn is_signed_by(&self, key: &[u8; 32]) -> bool {
        verify_strict(key, self.signing_input.as_bytes(), &self.signature)
    }

    /// The same, with a key that is decoded already.
    pub(crate) fn is_signed_by_cached(&self, key: &CachedKey) -> bool {
        key.verify_strict(self.signing_input.as_bytes(), &self.signature)
    }
}

fn json_of(bytes: &[u8], part: &str, malformed: Code) -> Result<Value, Error> {
    json::parse(bytes).map_err(|fault| {
        let code = if fault.code() == Code::JsonMalformed {
            malformed
        } else {
            fault.code()
        };
        Error::new(code, format!("{part}: {fault}"))
    })
}

/// What agents sign with.
pub const AGENT_ALGS: &[&str] = &["EdDSA"];
/// What the service may sign with: the name of RFC 8037 and that of RFC 9864.
pub const SERVICE_ALGS: &[&str] = &["EdDSA", "Ed25519"];

/// A document that an agent signed and whose `iss` is that agent. The other payload members are not checked.
#[derive(Clone, Debug, PartialEq)]
pub struct AgentDocument {
    /// Who signed.
    pub iss: Did,
    /// The whole payload, an object, `iss` included.
    pub payload: Value,
}

/// Verifies a JWS of an agent: header exactly `alg` `EdDSA`, `typ`, `kid`; payload an object with a did:key `iss`; `kid`
/// the verification method of `iss`; signature by its key.
///
/// # Errors
/// `jws.*`, `json.*`, `did.invalid`, `key.weak`: the first check that fails.
pub fn verify_agent(jws: &str, typ: &str) -> Result<AgentDocument, Error> {
    let compact = Compact::parse(jws)?;
    let document = agent_unverified(&compact, typ)?;
    if compact.is_signed_by(document.iss.key_bytes()) {
        Ok(document)
    } else {
        Err(Error::new(Code::JwsSignatureInvalid, "not signed by iss"))
    }
}

/// All of [`verify_agent`] but the signature.
pub(crate) fn agent_unverified(compact: &Compact<'_>, typ: &str) -> Result<AgentDocument, Error> {
    agent_read_by(compact, typ, Did::parse)
}

/// [`agent_unverified`] with the caller's way to read a DID.
pub(crate) fn agent_read_by(
    compact: &Compact<'_>,
    typ: &str,
    read: impl Fn(&str) -> Result<Did, Error>,
) -> Result<AgentDocument, Error> {
    let kid = compact.exact_header(typ, AGENT_ALGS)?;
    let payload = compact.payload_json()?;
    let text = payload.get("iss").and_then(Value::as_str);
    let text = text.ok_or_else(|| Error::new(Code::JwsMalformed, "payload has no string iss"))?;
    let iss = read(text)?;
    // A DID that was read has one spelling only: comparing texts compares keys.
    if Did::is_method_of(text, kid) {
        Ok(AgentDocument { iss, payload })
    } else {
        Err(Error::new(
            Code::JwsKidMismatch,
            "kid is not the verification method of iss",
        ))
    }
}

/// Verifies a JWS of the service: header exactly `alg`, `typ`, `kid`; `kid` the thumbprint of `key`; signature by it.
/// Returns the payload, an object.
///
/// # Errors
/// `jws.*`, `json.*`: the first check that fails.
pub fn verify_service(jws: &str, typ: &str, key: &Jwk) -> Result<Value, Error> {
    let compact = Compact::parse(jws)?;
    let kid = compact.exact_header(typ, SERVICE_ALGS)?;
    if kid != key.thumbprint() {
        return Err(Error::new(
            Code::JwsKidMismatch,
            format!("kid {}", excerpt(kid)),
        ));
    }
    let payload = compact.payload_json()?;
    if !payload.is_object() {
        return Err(Error::new(Code::JwsMalformed, "payload is not an object"));
    }
    if compact.is_signed_by(&key.x) {
        Ok(payload)
    } else {
        Err(Error::new(
            Code::JwsSignatureInvalid,
            "not signed by the key that kid names",
        ))
    }
}
