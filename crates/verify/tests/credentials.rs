//! SD-JWT (RFC 9901) and Token Status List against their published vectors.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::path::PathBuf;

use goodstanding_verify::{
    b64,
    code::Code,
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

/// Entries of a list: index and value.
type Statuses = &'static [(u64, u8)];

/// Lists of 2^20 entries: bits, `lst`, and the entries that are not zero.
const LONG_LISTS: &[(u64, &str, Statuses)] = &[
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
