//! Trust bundles, status lists and tokens.

use std::collections::BTreeSet;

use goodstanding_verify::{
    bundle::TrustBundle,
    status::StatusList,
    successor::Notice,
    token::{self, HolderCheck, Requirement, Requirements},
};
use serde_json::{Value, json};

use crate::{Check, text, vectors};

fn bundle(name: &str) -> (String, u64) {
    let cases = vectors("trust-bundle.json");
    let case = cases
        .iter()
        .find(|case| case["name"] == name)
        .unwrap_or_else(|| panic!("no bundle {name}"));
    (text(case, "jws").to_owned(), case["now"].as_u64().unwrap())
}

#[test]
fn trust_bundles() {
    let mut check = Check::default();
    for case in vectors("trust-bundle.json") {
        let (jws, now) = (text(&case, "jws"), case["now"].as_u64().unwrap());
        let outcome = match case.get("held").and_then(Value::as_str) {
            Some(held) => {
                let (held, held_now) = bundle(held);
                let held = TrustBundle::parse(&held, None, held_now).unwrap();
                held.accept_update(jws, case["accept_weaker"].as_bool().unwrap(), now)
            }
            None => TrustBundle::parse(jws, case.get("pin").and_then(Value::as_str), now),
        };
        if let Some(bundle) = check.outcome(&case, outcome)
            && let Some(payload) = case.get("payload")
        {
            check.equal(&case, "payload", &json!(bundle.payload()), payload);
        }
    }
}

#[test]
fn status_lists() {
    let mut check = Check::default();
    for case in vectors("status-list.json") {
        let (held, held_now) = bundle(text(&case, "trust_bundle"));
        let held = TrustBundle::parse(&held, None, held_now).unwrap();
        let now = case["now"].as_u64().unwrap();
        let list = StatusList::verify(text(&case, "jws"), text(&case, "uri"), &held, now);
        let outcome =
            list.and_then(|list| list.check(case["idx"].as_u64().unwrap()).map(|()| list));
        if let Some(list) = check.outcome(&case, outcome)
            && let Some(revoked) = case.get("revoked").and_then(Value::as_array)
        {
            let revoked: BTreeSet<u64> = revoked
                .iter()
                .map(|index| index.as_u64().unwrap())
                .collect();
            let found: BTreeSet<u64> = (0..1 << 17)
                .filter(|index| list.get(*index) == Some(1))
                .collect();
            check.equal(&case, "revoked", found, revoked);
        }
    }
}

#[test]
fn notices_of_the_end_of_a_log() {
    let mut check = Check::default();
    for case in vectors("successor.json") {
        let (held, held_now) = bundle(text(&case, "trust_bundle"));
        let held = TrustBundle::parse(&held, None, held_now).unwrap();
        let outcome = Notice::verify(text(&case, "jws"), &held);
        if let Some(notice) = check.outcome(&case, outcome) {
            check.equal(&case, "payload", &json!(notice), &case["payload"]);
        }
    }
}

#[test]
fn tokens() {
    let mut check = Check::default();
    for case in vectors("token.json") {
        let (held, held_now) = bundle(text(&case, "trust_bundle"));
        let held = TrustBundle::parse(&held, None, held_now).unwrap();
        let holder = if case["key_binding"].as_bool().unwrap() {
            HolderCheck::Required {
                aud: text(&case, "aud").to_owned(),
                nonce: text(&case, "nonce").to_owned(),
            }
        } else {
            HolderCheck::Waived
        };
        let requirements = Requirements {
            holder,
            min_lower_bp: case["min_lower_bp"]
                .as_u64()
                .map(|bp| u16::try_from(bp).unwrap()),
            max_age_s: case["max_age_s"].as_u64(),
            require: case["require"]
                .as_array()
                .unwrap()
                .iter()
                .map(|r| Requirement::parse(r.as_str().unwrap()).unwrap())
                .collect(),
        };
        let now = case["now"].as_u64().unwrap();
        let lists = vectors("status-list.json");
        let list = case["status_list"].as_str().map(|name| {
            let list = lists
                .iter()
                .find(|list| list["name"] == name)
                .unwrap_or_else(|| panic!("no list {name}"));
            text(list, "jws")
        });
        let outcome = token::verify(text(&case, "token"), &held, &requirements, list, now);
        if let Some(verdict) = check.outcome(&case, outcome) {
            let (found, wanted) = (json!(verdict), &case["result"]);
            for (name, theirs) in [
                ("subject", "sub"),
                ("epoch", "epoch"),
                ("entry_at", "epoch_at_ms"),
                ("holder", "holder"),
                ("status", "status"),
                ("claims", "claims"),
            ] {
                check.equal(&case, name, &found[name], &wanted[theirs]);
            }
            let witnessed = found["witnessed"] != "unwitnessed";
            check.equal(
                &case,
                "witnessed",
                Some(witnessed),
                wanted["witnessed"].as_bool(),
            );
        }
    }
}
