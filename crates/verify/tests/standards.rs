//! Published vectors of the standards that this crate implements.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use goodstanding_verify::{
    code::Code,
    did::Did,
    digest::{sha256, to_hex},
    json,
    jwk::Jwk,
    jws::Compact,
};
use serde_json::json;

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

/// Name, input, SHA-256 of the output, output in hex.
const JCS: [(&str, &str, &str, &str); 6] = [
    (
        "arrays",
        r#"[
  56,
  {
    "d": true,
    "10": null,
    "1": [ ]
  }
]"#,
        "099601b171cafed97c333f8878d68e7f8c8f795412adb34b2fdcf0e7c7beac42",
        "5b35362c7b2231223a5b5d2c223130223a6e756c6c2c2264223a747275657d5d",
    ),
    (
        "french",
        r#"{
  "peach": "This sorting order",
  "péché": "is wrong according to French",
  "pêche": "but canonicalization MUST",
  "sin":   "ignore locale"
}"#,
        "d99d0ebdcb0033cb858cfa830ae46bc0fb3309413b271f1da828c89901a27ed5",
        "7b227065616368223a225468697320736f7274696e67206f72646572222c2270c3a96368c3a9223a2269732077726f6e67206163636f7264696e6720746f204672656e6368222c2270c3aa636865223a226275742063616e6f6e6963616c697a6174696f6e204d555354222c2273696e223a2269676e6f7265206c6f63616c65227d",
    ),
    (
        "structures",
        r#"{
  "1": {"f": {"f": "hi","F": 5} ,"\n": 56.0},
  "10": { },
  "": "empty",
  "a": { },
  "111": [ {"e": "yes","E": "no" } ],
  "A": { }
}"#,
        "605f65004ec2db7692522a0852c22f1c989e036d547e88963d1a3143cf3195d5",
        "7b22223a22656d707479222c2231223a7b225c6e223a35362c2266223a7b2246223a352c2266223a226869227d7d2c223130223a7b7d2c22313131223a5b7b2245223a226e6f222c2265223a22796573227d5d2c2241223a7b7d2c2261223a7b7d7d",
    ),
    (
        "unicode",
        r#"{
  "Unnormalized Unicode":"A\u030a"
}"#,
        "0d99aad92a125196ff887876643fd3206786a84ddce2cee52ba4ad256d2381d3",
        "7b22556e6e6f726d616c697a656420556e69636f6465223a2241cc8a227d",
    ),
    (
        "values",
        r#"{
  "numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
  "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
  "literals": [null, true, false]
}"#,
        "2d5e01a318d0f0879ab568c4be289c8b1f64ef8921a53c6277d5e069978baacb",
        "7b226c69746572616c73223a5b6e756c6c2c747275652c66616c73655d2c226e756d62657273223a5b3333333333333333332e333333333333332c31652b33302c342e352c302e3030322c31652d32375d2c22737472696e67223a22e282ac245c75303030665c6e4127425c225c5c5c5c5c222f227d",
    ),
    (
        "weird",
        r#"{
  "\u20ac": "Euro Sign",
  "\r": "Carriage Return",
  "\u000a": "Newline",
  "1": "One",
  "\u0080": "Control\u007f",
  "\ud83d\ude02": "Smiley",
  "\u00f6": "Latin Small Letter O With Diaeresis",
  "\ufb33": "Hebrew Letter Dalet With Dagesh",
  "</script>": "Browser Challenge"
}"#,
        "6af595a9aa80110b964b4de3f82a05fa6ae7423005019bacfa2620dddc4e94d1",
        "7b225c6e223a224e65776c696e65222c225c72223a2243617272696167652052657475726e222c2231223a224f6e65222c223c2f7363726970743e223a2242726f77736572204368616c6c656e6765222c22c280223a22436f6e74726f6c7f222c22c3b6223a224c6174696e20536d616c6c204c6574746572204f205769746820446961657265736973222c22e282ac223a224575726f205369676e222c22f09f9882223a22536d696c6579222c22efacb3223a22486562726577204c65747465722044616c6574205769746820446167657368227d",
    ),
];
