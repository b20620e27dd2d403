//! Tokens against a fixed trust bundle. A raw text that verifies has an issuer-signed JWT of the golden tokens, byte for byte.
//! A plain one is signed with the issuer's stolen key, and still reveals nothing but what the log anchors.
#![no_main]

use std::{collections::BTreeSet, sync::LazyLock};

use goodstanding_fuzz::{BUNDLE, NOW, STATEMENTS, STATUS_LISTS, TOKENS, text, token};
use goodstanding_verify::{
    Code,
    sdjwt::{SdJwt, issued},
    token::{Holder, HolderCheck, Requirements, Status, Verdict, verify},
};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

static GOLDEN: LazyLock<BTreeSet<&str>> =
    LazyLock::new(|| TOKENS.cases().map(|case| text(case, "token")).collect());
static GOLDEN_JWTS: LazyLock<BTreeSet<&str>> = LazyLock::new(|| {
    let parts = GOLDEN.iter().filter_map(|token| SdJwt::parse(token).ok());
    parts.map(|parts| parts.jwt).collect()
});
static STRICT: LazyLock<Requirements> = LazyLock::new(|| {
    let case = TOKENS.case("presented_three_claims");
    Requirements::new(HolderCheck::Required {
        aud: text(case, "aud").to_owned(),
        nonce: text(case, "nonce").to_owned(),
    })
});
static LAX: LazyLock<Requirements> = LazyLock::new(|| Requirements::new(HolderCheck::Waived));

fuzz_target!(|input: &str| {
    let signed = token(input);
    let presented = signed.as_deref().unwrap_or(input);
    let list = text(STATUS_LISTS.case("valid"), "jws");
    let lax = verify(presented, &BUNDLE, &LAX, None, NOW);
    let strict = verify(presented, &BUNDLE, &STRICT, Some(list), NOW);
    match (&lax, &strict) {
        (Ok(lax), Ok(strict)) => {
            assert_eq!(
                (strict.holder, strict.status),
                (Holder::Proven, Status::Valid)
            );
            let (holder, status) = (lax.holder, lax.status);
            let strict = Verdict {
                holder,
                status,
                ..strict.clone()
            };
            assert_eq!(*lax, strict);
        }
        (Err(error), Ok(_)) => panic!("who asks for less is refused: {error}"),
        (_, Err(_)) => {}
    }
    let Ok(verdict) = lax else { return };
    assert_eq!(
        (verdict.holder, verdict.status),
        (Holder::NotProven, Status::Unchecked)
    );
    anchored(&verdict);
    let parts = SdJwt::parse(presented).expect("it verified");
    if let (Ok(_), [_, rest @ ..], Some(kb)) = (&strict, &parts.disclosures[..], parts.kb_jwt) {
        // Nobody but the holder may leave a disclosure out, asked for or not.
        let fewer = format!("{}{kb}", issued(parts.jwt, rest));
        let code = |req| verify(&fewer, &BUNDLE, req, None, NOW).map_err(|error| error.code());
        assert_eq!(code(&STRICT), Err(Code::HolderSdHashMismatch));
        assert_eq!(code(&LAX), Err(Code::HolderSdHashMismatch));
    }
    if signed.is_none() {
        assert!(GOLDEN_JWTS.contains(parts.jwt));
        // The holder's signature covers the rest.
        assert!(strict.is_err() || GOLDEN.contains(presented));
    }
});

/// The claims are those of the golden epoch's statement about this agent.
fn anchored(verdict: &Verdict) {
    let subject = verdict.subject.to_string();
    let is_it = |s: &&Value| s["agent"] == subject && s["epoch"] == verdict.epoch;
    let epoch = STATEMENTS.case("epoch_of_three_agents");
    let statements = epoch["statements"].as_array().expect("statements");
    let statement = statements.iter().find(is_it).expect("a logged statement");
    for (name, value) in &verdict.claims {
        assert_eq!(statement["claims"].get(name), Some(value), "{name}");
    }
}
