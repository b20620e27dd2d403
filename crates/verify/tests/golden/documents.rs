//! Keys, and what agents sign.

use goodstanding_verify::{
    did::Did,
    digest::sha256,
    jwk::Jwk,
    jws,
    keycache::KeyCache,
    report::{Report, TimeLimits},
};
use serde_json::{Value, json};

use crate::{Check, hash, text, vectors};

#[test]
fn keys() {
    let mut check = Check::default();
    for case in vectors("keys.json") {
        if case.get("public_hex").is_none() || case.get("code").is_some_and(|code| !code.is_null())
        {
            let did = case.get("did").and_then(Value::as_str);
            match did {
                Some(did) => drop(check.outcome(&case, Did::parse(did))),
                None => drop(check.outcome(&case, Jwk::parse(&case["jwk"]))),
            }
            continue;
        }
        let key = hash(&case["public_hex"]);
        let did = check.outcome(&case, Did::from_key_bytes(&key)).unwrap();
        check.equal(&case, "did", did.to_string(), text(&case, "did").to_owned());
        check.equal(
            &case,
            "parsed",
            Did::parse(text(&case, "did")).ok(),
            Some(did),
        );
        check.equal(&case, "kid", did.method_id(), text(&case, "kid").to_owned());
        let jwk = Jwk::parse(&case["jwk"]).unwrap();
        check.equal(&case, "jwk", jwk, Jwk::from(did));
        check.equal(
            &case,
            "thumbprint",
            jwk.thumbprint(),
            text(&case, "thumbprint").to_owned(),
        );
    }
}

#[test]
fn reports() {
    let mut check = Check::default();
    let cache = KeyCache::new(16);
    for case in vectors("reports.json") {
        let jws = text(&case, "jws");
        let timed = |report: Report| match case.get("at").and_then(Value::as_u64) {
            None => Ok(report),
            Some(at) => {
                let max_age_s = case["max_age_s"].as_u64().unwrap();
                report
                    .check_times(
                        at,
                        &TimeLimits {
                            max_age_s,
                            ..TimeLimits::default()
                        },
                    )
                    .map(|()| report)
            }
        };
        // With keys at hand the verdict is the same, whether they were there before or not.
        for _ in 0..2 {
            let cached = Report::verify_with(jws, &cache);
            check.equal(&case, "with a cache", cached, Report::verify(jws));
        }
        if let Some(report) = check.outcome(&case, Report::verify(jws).and_then(timed)) {
            check.equal(
                &case,
                "id",
                report.id.to_string(),
                text(&case, "id").to_owned(),
            );
            check.equal(
                &case,
                "admitted",
                Report::parse_admitted(jws),
                Ok(report.clone()),
            );
            let payload = &case["payload"];
            check.equal(&case, "iss", json!(report.iss), payload["iss"].clone());
            check.equal(&case, "sub", json!(report.sub), payload["sub"].clone());
            check.equal(&case, "jti", json!(report.jti), payload["jti"].clone());
            check.equal(
                &case,
                "trade.id",
                json!(report.trade.id),
                payload["trade"]["id"].clone(),
            );
            check.equal(
                &case,
                "trade.kind",
                json!(report.trade.kind),
                payload["trade"]["kind"].clone(),
            );
            check.equal(
                &case,
                "status",
                json!(report.outcome.status),
                payload["outcome"]["status"].clone(),
            );
            let evidence = payload["evidence"].as_array().map_or(0, Vec::len);
            check.equal(&case, "evidence", report.evidence.len(), evidence);
        }
    }
}

#[test]
fn terms() {
    let mut check = Check::default();
    for case in vectors("terms.json") {
        let jws = text(&case, "jws");
        if let Some(document) = check.outcome(&case, jws::verify_agent(jws, text(&case, "typ"))) {
            check.equal(
                &case,
                "signer",
                document.iss.to_string(),
                text(&case, "signer").to_owned(),
            );
            check.equal(&case, "payload", document.payload, case["payload"].clone());
            check.equal(
                &case,
                "sha256",
                sha256(jws.as_bytes()).to_string(),
                text(&case, "sha256").to_owned(),
            );
        }
    }
}
