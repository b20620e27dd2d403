//! What the fuzz targets share: the golden vectors, and signing.
//!
//! A fuzzer cannot guess a signature, and a changed bit of base64 seldom is a changed document. So the targets for signed
//! documents also take a plain form, one line of header and then the payload, and sign it with the keys of the vectors.

pub mod naive;

use std::{collections::BTreeSet, sync::LazyLock};

use ed25519_dalek::{Signer as _, SigningKey};
use goodstanding_verify::{
    b64, bundle::TrustBundle, note::VerifierKey, sdjwt, witness_policy::WitnessPolicy,
};
use serde_json::Value;

/// Time at which the valid vectors are valid, Unix seconds.
pub const NOW: u64 = 1_767_229_600;

/// A file of golden vectors, all its cases.
pub struct Vectors(Vec<Value>);

impl Vectors {
    fn read(text: &str) -> Self {
        Self(serde_json::from_str(text).expect("a list of cases"))
    }

    /// The cases.
    pub fn cases(&self) -> impl Iterator<Item = &Value> {
        self.0.iter()
    }

    /// The case of this name.
    pub fn case(&self, name: &str) -> &Value {
        let found = self.0.iter().find(|case| case["name"] == name);
        found.unwrap_or_else(|| panic!("no vector {name}"))
    }
}

macro_rules! vectors {
    ($($(#[doc = $doc:literal])+ $name:ident = $file:literal;)+) => {$(
        $(#[doc = $doc])+
        pub static $name: LazyLock<Vectors> =
            LazyLock::new(|| Vectors::read(include_str!(concat!("../../tests/vectors/", $file))));
    )+};
}

vectors! {
    /// `keys.json`
    KEYS = "keys.json";
    /// `log.json`
    LOGS = "log.json";
    /// `checkpoints.json`
    CHECKPOINTS = "checkpoints.json";
    /// `statement.json`
    STATEMENTS = "statement.json";
    /// `trust-bundle.json`
    BUNDLES = "trust-bundle.json";
    /// `status-list.json`
    STATUS_LISTS = "status-list.json";
    /// `token.json`
    TOKENS = "token.json";
}

/// The golden log.
pub static LOG: LazyLock<&Value> = LazyLock::new(|| LOGS.case("log_of_the_entries"));

/// The golden log's key.
pub static LOG_KEY: LazyLock<VerifierKey> =
    LazyLock::new(|| VerifierKey::parse(text(&LOG, "log_vkey")).expect("the log's key"));

/// The witness policy of most checkpoints: two of three.
pub static POLICY: LazyLock<WitnessPolicy> = LazyLock::new(|| {
    let case = CHECKPOINTS.case("two_of_three");
    WitnessPolicy::parse(text(case, "witness_policy")).expect("a policy")
});

/// The trust bundle that most tokens are verified with.
pub static BUNDLE: LazyLock<TrustBundle> = LazyLock::new(|| {
    let case = BUNDLES.case("valid");
    TrustBundle::parse(text(case, "jws"), None, NOW).expect("a valid bundle")
});

/// Every checkpoint text that a key of the vectors signed.
pub static SIGNED_TEXTS: LazyLock<BTreeSet<String>> = LazyLock::new(|| {
    let mut notes = vec![
        text(&LOG, "signed_checkpoint"),
        text(&LOG, "signed_checkpoint_empty_log"),
    ];
    notes.extend(
        CHECKPOINTS
            .cases()
            .map(|case| text(case, "signed_checkpoint")),
    );
    let texts = notes.into_iter().filter_map(|note| note.split_once("\n\n"));
    texts.map(|(text, _)| format!("{text}\n")).collect()
});

/// A member that must be a string.
pub fn text<'a>(case: &'a Value, name: &str) -> &'a str {
    case[name]
        .as_str()
        .unwrap_or_else(|| panic!("{name} of {}", case["name"]))
}

/// The bytes of hex of the fixed length 32.
pub fn hash(hex: &Value) -> [u8; 32] {
    let hex = hex.as_str().expect("hex");
    let byte = |i: usize| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).expect("hex");
    std::array::from_fn(byte)
}

/// The signing key of this name in `keys.json`.
pub fn key(name: &str) -> SigningKey {
    SigningKey::from_bytes(&hash(&KEYS.case(name)["seed_hex"]))
}

/// The signing key that a `kid` (did:key method or thumbprint) or a DID names.
fn key_of(id: &str) -> Option<SigningKey> {
    let named = |case: &&Value| ["kid", "did", "thumbprint"].iter().any(|n| case[n] == id);
    let case = KEYS.cases().find(named)?;
    Some(SigningKey::from_bytes(&hash(&case["seed_hex"])))
}

/// The compact JWS of a header and a payload, signed by the key that the header's `kid` names, else by that of the
/// payload's `iss`, else by `fallback`.
pub fn sign(header: &str, payload: &str, fallback: &SigningKey) -> String {
    let id = |json: &str, name| {
        let value: Value = serde_json::from_str(json).ok()?;
        key_of(value.get(name)?.as_str()?)
    };
    let key = id(header, "kid").or_else(|| id(payload, "iss"));
    let input = format!("{}.{}", b64::url_encode(header), b64::url_encode(payload));
    let signature = key.as_ref().unwrap_or(fallback).sign(input.as_bytes());
    format!("{input}.{}", b64::url_encode(signature.to_bytes()))
}

/// The JWS of a plain form: header, newline, payload. `None` for a text of another form, which is a JWS itself.
///
/// Documents within the payload may be plain, too: `{"header": "…", "payload": "…"}` stands for their JWS.
pub fn jws(plain: &str) -> Option<String> {
    let (header, payload) = plain.split_once('\n').filter(|_| plain.starts_with('{'))?;
    let fallback = key("mallory");
    let mut value: Value = serde_json::from_str(payload).unwrap_or_default();
    // Where nothing is to be replaced, the payload stays as it is, double members and all.
    if sign_within(&mut value, &fallback) {
        return Some(sign(header, &value.to_string(), &fallback));
    }
    Some(sign(header, payload, &fallback))
}

fn sign_within(value: &mut Value, fallback: &SigningKey) -> bool {
    let signed = match value {
        Value::Object(members) => match (members.get("header"), members.get("payload")) {
            (Some(Value::String(header)), Some(Value::String(payload))) => {
                sign(header, payload, fallback)
            }
            _ => {
                return members
                    .values_mut()
                    .fold(false, |any, v| sign_within(v, fallback) | any);
            }
        },
        Value::Array(items) => {
            return items
                .iter_mut()
                .fold(false, |any, v| sign_within(v, fallback) | any);
        }
        _ => return false,
    };
    *value = Value::String(signed);
    true
}

/// The presented token of a plain form: lines of header, payload, disclosures (each in JSON) and, if wanted, the header and
/// the payload of a key-binding JWT. In the payloads, `"$sd"` stands for the digests of the disclosures and `$sd_hash` for
/// the right one. `None` for a text of another form.
pub fn token(plain: &str) -> Option<String> {
    let mut lines = plain.split('\n').filter(|_| plain.starts_with('{'));
    let (header, payload) = (lines.next()?, lines.next()?);
    let mut disclosures = Vec::new();
    let mut kb_header = None;
    for line in lines.by_ref() {
        if line.starts_with('{') {
            kb_header = Some(line);
            break;
        }
        disclosures.push(b64::url_encode(line));
    }
    let mut digests: Vec<String> = disclosures.iter().map(|d| sdjwt::digest(d)).collect();
    digests.sort();
    let payload = &payload.replace("\"$sd\"", &Value::from(digests).to_string());
    let mut token = sdjwt::issued(&sign(header, payload, &key("mallory")), &disclosures);
    if let (Some(header), Some(kb)) = (kb_header, lines.next()) {
        let kb = kb.replace("$sd_hash", &sdjwt::sd_hash(&token));
        let value: Value = serde_json::from_str(payload).unwrap_or_default();
        let holder = value["sub"].as_str().and_then(key_of);
        token += &sign(header, &kb, &holder.unwrap_or_else(|| key("mallory")));
    }
    Some(token)
}
