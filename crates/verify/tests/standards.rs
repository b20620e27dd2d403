//! Published vectors of the standards that this crate implements.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::path::PathBuf;

use goodstanding_verify::{
    b64,
    code::Code,
    did::Did,
    digest::{sha256, to_hex},
    json,
    jwk::Jwk,
    jws::{self, Compact},
    sdjwt::{self, Revealed, SdJwt},
    status::{self, StatusList},
};
use serde_json::{Value, json};

/// A file of the shared reference vectors; their absence is a failure, not a skip.
fn shared(file: &str) -> String {
    let root = std::env::var_os("GOODSTANDING_SHARED").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared"),
        PathBuf::from,
    );
    let path = root.join("vectors").join(file);
    std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{}: {error} (set GOODSTANDING_SHARED)", path.display()))
}

fn hex<const N: usize>(text: &str) -> [u8; N] {
    let bytes: Vec<u8> = (0..text.len())
        .step_by(2)
        .map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap())
        .collect();
    bytes.try_into().unwrap()
}

// RFC 8032 §7.1, tests 1 to 3: public key, message, signature.
const RFC8032: [(&str, &[u8], &str); 3] = [
    (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        b"",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        b"\x72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
    (
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        b"\xaf\x82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ),
];

#[test]
fn ed25519() {
    for (key, message, signature) in RFC8032 {
        let did = Did::from_key_bytes(&hex(key)).unwrap();
        let signature: [u8; 64] = hex(signature);
        assert!(did.verify_strict(message, &signature));
        assert!(Jwk::from(did).verify_strict(message, &signature));
        assert!(!did.verify_strict(b"other", &signature));
        for bit in 0..512 {
            let mut bent = signature;
            bent[bit / 8] ^= 1 << (bit % 8);
            assert!(!did.verify_strict(message, &bent), "bit {bit}");
        }
    }
    // The identity point "signs" every message where verification is not strict.
    let mut identity = [0; 32];
    identity[0] = 1;
    assert_eq!(
        Did::from_key_bytes(&identity).unwrap_err().code(),
        Code::KeyWeak
    );
    assert_eq!(
        Jwk::from_key_bytes(&identity).unwrap_err().code(),
        Code::KeyWeak
    );
}

#[test]
fn ed25519_scalar_must_be_canonical() {
    const L: [u8; 32] = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde,
        0x14, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];
    let (key, message, signature) = RFC8032[0];
    let mut bent: [u8; 64] = hex(signature);
    let mut carry = 0_u16;
    for (byte, l) in bent[32..].iter_mut().zip(L) {
        let sum = u16::from(*byte) + u16::from(l) + carry;
        *byte = u8::try_from(sum & 0xff).unwrap();
        carry = sum >> 8;
    }
    assert!(
        !Did::from_key_bytes(&hex(key))
            .unwrap()
            .verify_strict(message, &bent)
    );
}

#[test]
fn rfc8037_jws_and_thumbprint() {
    let jwk = Jwk::parse(&json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"})).unwrap();
    assert_eq!(jwk.x, hex(RFC8032[0].0));
    assert_eq!(
        jwk.thumbprint(),
        "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
    );
    for jws in [
        "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg",
        "eyJhbGciOiJFZDI1NTE5In0.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.UxhIYLHGg39NVCLpQAVD_UcfOmnGSCzLFZoXYkLiIbFccmOb_qObsgjzLKsfJw-4NlccUgvYrEHrRbNV0HcZAQ",
    ] {
        let compact = Compact::parse(jws).unwrap();
        assert_eq!(compact.payload(), b"Example of Ed25519 signing");
        assert!(compact.is_signed_by(&jwk.x));
        assert!(!compact.is_signed_by(&hex(RFC8032[1].0)));
    }
}

/// RFC 7638 §3.1 is about an RSA key; what it tests is the hash of the canonical members.
#[test]
fn rfc7638_rsa_example() {
    let n = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw";
    let members = json!({"kty": "RSA", "n": n, "e": "AQAB"});
    assert_eq!(
        sha256(&json::canonical(&members).unwrap()).to_string(),
        "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
    );
}

#[test]
fn did_key_vectors() {
    for (multibase, key) in [
        (
            "z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK",
            "2e6fcce36701dc791488e0d0b1745cc1e33a4c1c9fcc41c63bd343dbbe0970e6",
        ),
        (
            "z6Mkf5rGMoatrSj1f4CyvuHBeXJELe9RPdzo2PKGNCKVtZxP",
            "095f9a1a595dde755d82786864ad03dfa5a4fbd68832566364e2b65e13cc9e44",
        ),
        (
            "z6MkrJVnaZkeFzdQyMZu1cgjg7k1pZZ6pvBQ7XJPt4swbTQ2",
            "b00d8d938e7f773d51565aad36a623f5344f7f5d1960f9cf3e8e12620ea2810f",
        ),
        (
            "z6MktwupdmLXVVqTzCw4i46r4uGyosGXRnR3XjN4Zq7oMMsw",
            RFC8032[0].0,
        ),
        (
            "z6MkiaMbhXHNA4eJVCCj8dbzKzTgYDKf6crKgHVHid1F1WCT",
            RFC8032[1].0,
        ),
    ] {
        let did = Did::from_key_bytes(&hex(key)).unwrap();
        assert_eq!(did.to_string(), format!("did:key:{multibase}"));
        assert_eq!(did.method_id(), format!("did:key:{multibase}#{multibase}"));
        assert_eq!(Did::parse(&did.to_string()), Ok(did));
    }
}

/// The test files of RFC 8785's author. They hold floating point numbers, which our documents never do, so numbers are
/// canonicalised by the function below our guard.
#[test]
fn jcs_files() {
    for (name, input, digest, output) in JCS {
        let value = json::parse_foreign(input.as_bytes()).unwrap();
        let canonical = serde_jcs::to_vec(&value).unwrap();
        assert_eq!(to_hex(&canonical), output, "{name}");
        assert_eq!(sha256(&canonical).to_hex(), digest, "{name}");
        if !input.contains('.') {
            assert_eq!(json::canonical(&value).unwrap(), canonical, "{name}");
        }
    }
}

#[test]
fn rfc9901_disclosures() {
    let other_spellings = [
        (
            "WyJfMjZiYzRMVC1hYzZxMktJNmNCVzVlcyIsICJmYW1pbHlfbmFtZSIsICJNw7ZiaXVzIl0",
            "X9yH0Ajrdm1Oij4tWso9UzzKJvPoDxwmuEcO3XAdRC0",
        ),
        (
            "WyJfMjZiYzRMVC1hYzZxMktJNmNCVzVlcyIsICJmYW1pbHlfbmFtZSIsICJNXHUwMGY2Yml1cyJd",
            "BwU3T4PB1Wk6TbA1HUOm9XenJYLZfYtJGn8hMl77zwg",
        ),
        (
            "WyJfMjZiYzRMVC1hYzZxMktJNmNCVzVlcyIsImZhbWlseV9uYW1lIiwiTcO2Yml1cyJd",
            "TZjouOTrBKEwUNjNDs9yeMzBoQn8FFLPaJjRRmAtwrM",
        ),
        (
            "WwoiXzI2YmM0TFQtYWM2cTJLSTZjQlc1ZXMiLAoiZmFtaWx5X25hbWUiLAoiTcO2Yml1cyIKXQ",
            "WgTWKMWOEUwzhJXwrq2EuXN2SvhvJ_5-DvEl2DlKC_A",
        ),
    ];
    for (disclosure, digest) in other_spellings {
        assert_eq!(sdjwt::digest(disclosure), digest);
        let revealed = Revealed::parse(disclosure).unwrap();
        assert_eq!(
            (revealed.name.as_deref(), &revealed.value),
            (Some("family_name"), &json!("Möbius"))
        );
    }
    assert_eq!(
        sdjwt::digest("WyJsa2x4RjVqTVlsR1RQVW92TU5JdkNBIiwgIkZSIl0"),
        "w0I8EKcdCtUPkGCNUrfwVp2xEgNjtoIDlOxc9-PlOhs"
    );
    let all: Value = serde_json::from_str(&shared("rfc9901_disclosures.json")).unwrap();
    for (name, case) in all.as_object().unwrap() {
        let disclosure = case["disclosure"].as_str().unwrap();
        assert_eq!(sdjwt::digest(disclosure), case["digest"], "{name}");
        let Revealed { salt, name, value } = Revealed::parse(disclosure).unwrap();
        let contents = name.map_or_else(|| json!([salt, value]), |name| json!([salt, name, value]));
        assert_eq!(contents, case["contents"]);
    }
}

/// The example of RFC 9901 §5. Its ES256 signatures are out of scope: this crate verifies Ed25519 only.
#[test]
fn rfc9901_presentation() {
    let (issued, presented) = (
        shared("rfc9901_issued.txt"),
        shared("rfc9901_presented.txt"),
    );
    let (issued, presented) = (issued.trim(), presented.trim());
    let all = SdJwt::parse(issued).unwrap();
    assert_eq!((all.disclosures.len(), all.kb_jwt), (10, None));
    assert_eq!(sdjwt::issued(all.jwt, &all.disclosures), issued);
    let parts = SdJwt::parse(presented).unwrap();
    assert_eq!(parts.jwt, all.jwt);
    let payload = Compact::parse(parts.jwt).unwrap().payload_json().unwrap();
    let processed = sdjwt::process(&payload, &parts.disclosures).unwrap();
    assert_eq!(
        processed,
        json!({
            "iss": "https://issuer.example.com", "iat": 1_683_000_000, "exp": 1_883_000_000, "sub": "user_42",
            "nationalities": ["US"], "cnf": payload["cnf"], "family_name": "Doe", "given_name": "John",
            "address": {"street_address": "123 Main St", "locality": "Anytown", "region": "Anystate", "country": "US"},
        })
    );
    assert_eq!(
        sdjwt::sd_hash(parts.presented),
        "0_Af-2B-EhLWX5ydh_w2xzwmO6iM66B_2QCEanI4fUY"
    );
    let kb = Compact::parse(parts.kb_jwt.unwrap())
        .unwrap()
        .payload_json()
        .unwrap();
    assert_eq!(kb["sd_hash"], "0_Af-2B-EhLWX5ydh_w2xzwmO6iM66B_2QCEanI4fUY");
    let everything = sdjwt::process(&payload, &all.disclosures).unwrap();
    assert_eq!(everything["nationalities"], json!(["US", "DE"]));
    let chosen = sdjwt::select(issued, &["family_name", "email"]).unwrap();
    assert_eq!(SdJwt::parse(&chosen).unwrap().disclosures.len(), 2);
    assert_eq!(
        sdjwt::select(issued, &["nothing"]).unwrap_err().code(),
        Code::DisclosureUnmatched
    );
}

#[test]
fn sd_jwt_structures() {
    let disclose = |contents: Value| b64::url_encode(contents.to_string());
    let inner = disclose(json!(["s1", "inner", 1]));
    let outer = disclose(json!(["s2", "outer", {"_sd": [sdjwt::digest(&inner)], "open": true}]));
    let element = disclose(json!(["s3", "second"]));
    let payload = json!({
        "_sd_alg": "sha-256",
        "_sd": [sdjwt::digest(&outer), sdjwt::digest("decoy")],
        "list": ["first", {"...": sdjwt::digest(&element)}, {"...": sdjwt::digest("decoy 2")}],
    });
    let run = |list: &[&str]| sdjwt::process(&payload, list);
    assert_eq!(run(&[]).unwrap(), json!({"list": ["first"]}));
    assert_eq!(
        run(&[&inner, &element, &outer]).unwrap(),
        json!({"outer": {"inner": 1, "open": true}, "list": ["first", "second"]})
    );
    // A part of something hidden has nowhere to go.
    assert_eq!(
        run(&[&inner]).unwrap_err().code(),
        Code::DisclosureUnmatched
    );
    assert_eq!(
        run(&[&outer, &outer]).unwrap_err().code(),
        Code::DisclosureDuplicate
    );
    let stranger = disclose(json!(["s4", "x", 1]));
    assert_eq!(
        run(&[&stranger]).unwrap_err().code(),
        Code::DisclosureUnmatched
    );
    for bad in [
        json!(["s"]),
        json!(["s", "_sd", 1]),
        json!(["s", "...", 1]),
        json!([1, "n", 1]),
        json!(["s", 1, 1]),
        json!({}),
    ] {
        assert_eq!(
            run(&[&disclose(bad.clone())]).unwrap_err().code(),
            Code::DisclosureMalformed,
            "{bad}"
        );
    }
    for (bad, code) in [
        (json!({"_sd_alg": "sha-512"}), Code::TokenMalformed),
        (json!({"_sd": "x"}), Code::TokenMalformed),
        (json!({"_sd": [1]}), Code::TokenMalformed),
        (json!({"a": {"...": "x"}}), Code::TokenMalformed),
        (
            json!({"_sd": [sdjwt::digest("d")], "a": {"_sd": [sdjwt::digest("d")]}}),
            Code::DisclosureDuplicate,
        ),
    ] {
        assert_eq!(sdjwt::process(&bad, &[]).unwrap_err().code(), code, "{bad}");
    }
    let clash = json!({"_sd": [sdjwt::digest(&stranger)], "x": 0});
    assert_eq!(
        sdjwt::process(&clash, &[&stranger]).unwrap_err().code(),
        Code::DisclosureDuplicate
    );
    let member_as_element = json!({"list": [{"...": sdjwt::digest(&stranger)}]});
    assert_eq!(
        sdjwt::process(&member_as_element, &[&stranger])
            .unwrap_err()
            .code(),
        Code::DisclosureMalformed
    );
}

/// A chain of disclosures, each inside the one before, ends in an error and not in the end of the stack.
#[test]
fn sd_jwt_nesting_is_bounded() {
    let mut disclosures: Vec<String> = Vec::new();
    let mut value = json!({});
    for i in 0..5_000 {
        disclosures.push(b64::url_encode(
            json!([i.to_string(), "next", value]).to_string(),
        ));
        value = json!({"_sd": [sdjwt::digest(disclosures.last().unwrap())]});
    }
    let list: Vec<&str> = disclosures.iter().map(String::as_str).collect();
    assert_eq!(
        sdjwt::process(&value, &list).unwrap_err().code(),
        Code::DisclosureMalformed
    );
}

/// A set that npm jose and `@sd-jwt/sd-jwt-vc` verified: issuer, disclosures, key binding, and a status list that says invalid.
#[test]
fn ed25519_golden_set() {
    let golden: Value = serde_json::from_str(&shared("ed25519-golden.json")).unwrap();
    let text = |name: &str| golden[name].as_str().unwrap_or_else(|| panic!("no {name}"));
    let key = |name: &str| {
        let value: Value = golden[name].as_str().map_or_else(
            || golden[name].clone(),
            |text| serde_json::from_str(text).unwrap(),
        );
        Jwk::parse_foreign(&value).unwrap()
    };
    let (issuer, holder) = (key("issuer_jwk"), key("holder_jwk"));
    assert_eq!(holder.thumbprint(), text("holder_thumbprint"));
    let presented = text("sd_jwt_vc_kb_presentation (score only)");
    let parts = SdJwt::parse(presented).unwrap();
    let compact = Compact::parse(parts.jwt).unwrap();
    assert_eq!(
        compact.exact_header("dc+sd-jwt", jws::SERVICE_ALGS),
        Ok(issuer.thumbprint().as_str())
    );
    assert!(compact.is_signed_by(&issuer.x));
    let payload = compact.payload_json().unwrap();
    assert_eq!(
        sdjwt::process(&payload, &parts.disclosures).unwrap()["score"],
        json!(0.873)
    );
    let issued = SdJwt::parse(text("sd_jwt_vc_issued")).unwrap();
    assert_eq!(
        issued.disclosures,
        [text("disclosure_score"), text("disclosure_volume_band")]
    );
    assert_eq!(
        sdjwt::digest(text("disclosure_score")),
        text("digest_score")
    );
    assert_eq!(
        sdjwt::digest(text("disclosure_volume_band")),
        text("digest_volume_band")
    );
    assert_eq!(sdjwt::sd_hash(parts.presented), text("sd_hash"));
    let kb = Compact::parse(parts.kb_jwt.unwrap()).unwrap();
    assert!(kb.is_signed_by(&holder.x));
    assert_eq!(kb.payload_json().unwrap()["sd_hash"], text("sd_hash"));

    let list = text("statuslist_jwt (bits=2, 12-entry example list)");
    let uri = "https://rep.example/status/1";
    let read = |uri: &str, key: &Jwk, now: u64| StatusList::verify_with_key(list, uri, key, now);
    let statuses = read(uri, &issuer, 1_767_225_661).unwrap();
    assert_eq!(
        payload["status"]["status_list"],
        json!({"idx": 7, "uri": uri})
    );
    assert_eq!(statuses.check(7).unwrap_err().code(), Code::StatusRevoked);
    assert_eq!(statuses.check(1).unwrap_err().code(), Code::StatusSuspended);
    assert_eq!(statuses.check(3).unwrap_err().code(), Code::StatusMalformed);
    assert_eq!(statuses.check(2), Ok(()));
    assert_eq!(
        statuses.check(12).unwrap_err().code(),
        Code::StatusIndexOutOfRange
    );
    assert_eq!(
        read("https://rep.example/status/2", &issuer, 1_767_225_661)
            .unwrap_err()
            .code(),
        Code::StatusUriMismatch
    );
    assert_eq!(
        read(uri, &holder, 1_767_225_661).unwrap_err().code(),
        Code::StatusSignatureInvalid
    );
    assert_eq!(
        read(uri, &issuer, 1_767_312_060).unwrap_err().code(),
        Code::StatusExpired
    );
    assert_eq!(
        read(uri, &issuer, 1_767_225_539).unwrap_err().code(),
        Code::StatusNotYetValid
    );
}

#[test]
fn status_list_vectors() {
    let one = StatusList::decode(1, "eNrbuRgAAhcBXQ").unwrap();
    assert_eq!(
        (0..16).filter_map(|i| one.get(i)).collect::<Vec<_>>(),
        [1, 0, 0, 1, 1, 1, 0, 1, 1, 1, 0, 0, 0, 1, 0, 1]
    );
    assert_eq!(one.get(16), None);
    assert_eq!(one.get(u64::MAX), None);
    let two = StatusList::decode(2, "eNo76fITAAPfAgc").unwrap();
    assert_eq!(
        (0..12).filter_map(|i| two.get(i)).collect::<Vec<_>>(),
        [1, 2, 0, 3, 0, 1, 0, 1, 1, 2, 3, 3]
    );
    for (bits, lst, wanted) in LONG_LISTS {
        let list = StatusList::decode(*bits, lst).unwrap();
        let found: Vec<(u64, u8)> = (0..1 << 20)
            .filter_map(|i| list.get(i).filter(|v| *v != 0).map(|v| (i, v)))
            .collect();
        assert_eq!(found, *wanted, "{bits} bits");
        assert_eq!(list.get(1 << 20), None);
    }
    let bytes: Vec<u8> = (0..=255).collect();
    let list = StatusList::decode(8, &status::encode(&bytes)).unwrap();
    assert!((0..256).all(|i| list.get(i).map(u64::from) == Some(i)));
    let bomb = status::encode(&vec![0; (1 << 20) + 1]);
    for (bits, lst) in [
        (0, "eNrbuRgAAhcBXQ"),
        (3, "eNrbuRgAAhcBXQ"),
        (16, "eNrbuRgAAhcBXQ"),
        (1, "eNrb"),
        (1, "?"),
        (1, ""),
        (1, bomb.as_str()),
    ] {
        assert_eq!(
            StatusList::decode(bits, lst).unwrap_err().code(),
            Code::StatusMalformed
        );
    }
    assert!(StatusList::decode(1, &status::encode(&vec![0; 1 << 20])).is_ok());
}

/// Name, input, SHA-256 of the output, output in hex.
const JCS: [(&str, &str, &str, &str); 6] = [
    (
        "arrays",
        r##"[
  56,
  {
    "d": true,
    "10": null,
    "1": [ ]
  }
]"##,
        "099601b171cafed97c333f8878d68e7f8c8f795412adb34b2fdcf0e7c7beac42",
        "5b35362c7b2231223a5b5d2c223130223a6e756c6c2c2264223a747275657d5d",
    ),
    (
        "french",
        r##"{
  "peach": "This sorting order",
  "péché": "is wrong according to French",
  "pêche": "but canonicalization MUST",
  "sin":   "ignore locale"
}"##,
        "d99d0ebdcb0033cb858cfa830ae46bc0fb3309413b271f1da828c89901a27ed5",
        "7b227065616368223a225468697320736f7274696e67206f72646572222c2270c3a96368c3a9223a2269732077726f6e67206163636f7264696e6720746f204672656e6368222c2270c3aa636865223a226275742063616e6f6e6963616c697a6174696f6e204d555354222c2273696e223a2269676e6f7265206c6f63616c65227d",
    ),
    (
        "structures",
        r##"{
  "1": {"f": {"f": "hi","F": 5} ,"\n": 56.0},
  "10": { },
  "": "empty",
  "a": { },
  "111": [ {"e": "yes","E": "no" } ],
  "A": { }
}"##,
        "605f65004ec2db7692522a0852c22f1c989e036d547e88963d1a3143cf3195d5",
        "7b22223a22656d707479222c2231223a7b225c6e223a35362c2266223a7b2246223a352c2266223a226869227d7d2c223130223a7b7d2c22313131223a5b7b2245223a226e6f222c2265223a22796573227d5d2c2241223a7b7d2c2261223a7b7d7d",
    ),
    (
        "unicode",
        r##"{
  "Unnormalized Unicode":"A\u030a"
}"##,
        "0d99aad92a125196ff887876643fd3206786a84ddce2cee52ba4ad256d2381d3",
        "7b22556e6e6f726d616c697a656420556e69636f6465223a2241cc8a227d",
    ),
    (
        "values",
        r##"{
  "numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
  "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
  "literals": [null, true, false]
}"##,
        "2d5e01a318d0f0879ab568c4be289c8b1f64ef8921a53c6277d5e069978baacb",
        "7b226c69746572616c73223a5b6e756c6c2c747275652c66616c73655d2c226e756d62657273223a5b3333333333333333332e333333333333332c31652b33302c342e352c302e3030322c31652d32375d2c22737472696e67223a22e282ac245c75303030665c6e4127425c225c5c5c5c5c222f227d",
    ),
    (
        "weird",
        r##"{
  "\u20ac": "Euro Sign",
  "\r": "Carriage Return",
  "\u000a": "Newline",
  "1": "One",
  "\u0080": "Control\u007f",
  "\ud83d\ude02": "Smiley",
  "\u00f6": "Latin Small Letter O With Diaeresis",
  "\ufb33": "Hebrew Letter Dalet With Dagesh",
  "</script>": "Browser Challenge"
}"##,
        "6af595a9aa80110b964b4de3f82a05fa6ae7423005019bacfa2620dddc4e94d1",
        "7b225c6e223a224e65776c696e65222c225c72223a2243617272696167652052657475726e222c2231223a224f6e65222c223c2f7363726970743e223a2242726f77736572204368616c6c656e6765222c22c280223a22436f6e74726f6c7f222c22c3b6223a224c6174696e20536d616c6c204c6574746572204f205769746820446961657265736973222c22e282ac223a224575726f205369676e222c22f09f9882223a22536d696c6579222c22efacb3223a22486562726577204c65747465722044616c6574205769746820446167657368227d",
    ),
];

/// Lists of 2^20 entries: bits, `lst`, and the entries that are not zero.
const LONG_LISTS: &[(u64, &str, &[(u64, u8)])] = &[
    (
        1,
        "eNrt3AENwCAMAEGogklACtKQPg9LugC9k_ACvreiogEAAKkeCQAAAAAAAAAAAAAAAAAAAIBylgQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAXG9IAAAAAAAAAPwsJAAAAAAAAAAAAAAAvhsSAAAAAAAAAAAA7KpLAAAAAAAAAAAAAAAAAAAAAJsLCQAAAAAAAAAAADjelAAAAAAAAAAAKjDMAQAAAACAZC8L2AEb",
        &[
            (0, 1),
            (1_993, 1),
            (25_460, 1),
            (159_495, 1),
            (495_669, 1),
            (554_353, 1),
            (645_645, 1),
            (723_232, 1),
            (854_545, 1),
            (934_534, 1),
            (1_000_345, 1),
        ],
    ),
    (
        2,
        "eNrt2zENACEQAEEuoaBABP5VIO01fCjIHTMStt9ovGVIAAAAAABAbiEBAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAEB5WwIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAID0ugQAAAAAAAAAAAAAAAAAQG12SgAAAAAAAAAAAAAAAAAAAAAAAAAAAOCSIQEAAAAAAAAAAAAAAAAAAAAAAAD8ExIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAwJEuAQAAAAAAAAAAAAAAAAAAAAAAAMB9SwIAAAAAAAAAAAAAAAAAAACoYUoAAAAAAAAAAAAAAEBqH81gAQw",
        &[
            (0, 1),
            (1_993, 2),
            (25_460, 1),
            (159_495, 3),
            (495_669, 1),
            (554_353, 1),
            (645_645, 2),
            (723_232, 1),
            (854_545, 1),
            (934_534, 2),
            (1_000_345, 3),
        ],
    ),
    (
        4,
        "eNrt0EENgDAQADAIHwImkIIEJEwCUpCEBBQRHOy35Li1EjoOQGabAgAAAAAAAAAAAAAAAAAAACC1SQEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAABADrsCAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAADoxaEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAIIoCgAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAACArpwKAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAGhqVkAzlwIAAAAAiGVRAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAABx3AoAgLpVAQAAAAAAAAAAAAAAwM89rwMAAAAAAAAAAAjsA9xMBMA",
        &[
            (0, 1),
            (1_993, 2),
            (35_460, 3),
            (459_495, 4),
            (595_669, 5),
            (754_353, 6),
            (845_645, 7),
            (923_232, 8),
            (924_445, 9),
            (934_534, 10),
            (1_000_345, 12),
            (1_004_534, 11),
            (1_030_203, 13),
            (1_030_204, 14),
            (1_030_205, 15),
        ],
    ),
];
