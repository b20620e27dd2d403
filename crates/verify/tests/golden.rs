//! The golden vectors of `tests/vectors`, which an independent generator wrote: equal bytes, or exactly the code they name.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::{collections::BTreeSet, path::Path};

use goodstanding_verify::{
    Error, b64,
    bundle::TrustBundle,
    checkpoint::{Checkpoint, SignedCheckpoint},
    claims::Claims,
    did::Did,
    digest::{sha256, to_hex},
    entry::Entry,
    jwk::Jwk,
    jws,
    merkle::{self, Hash},
    note::VerifierKey,
    proof::TlogProof,
    report::{Report, TimeLimits},
    statement::{self, Statement},
    status::StatusList,
    token::{self, HolderCheck, Requirement, Requirements},
    witness_policy::WitnessPolicy,
};
use serde_json::{Value, json};

fn vectors(file: &str) -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/vectors")
        .join(file);
    let text = std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str::<Value>(&text)
        .unwrap()
        .as_array()
        .unwrap_or_else(|| panic!("{file} is not an array"))
        .clone()
}

fn text<'a>(case: &'a Value, name: &str) -> &'a str {
    case[name]
        .as_str()
        .unwrap_or_else(|| panic!("{}: no {name}", case["name"]))
}

fn hash(hex: &Value) -> Hash {
    let hex = hex.as_str().unwrap();
    let bytes: Vec<u8> = (0..hex.len())
        .step_by(2)
        .map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap())
        .collect();
    bytes.try_into().unwrap()
}

fn hashes(list: &Value) -> Vec<Hash> {
    list.as_array().unwrap().iter().map(hash).collect()
}

/// Collects disagreements, so one run shows all of them.
#[derive(Default)]
struct Check(Vec<String>, usize);

impl Check {
    fn outcome<T>(&mut self, case: &Value, outcome: Result<T, Error>) -> Option<T> {
        self.1 += 1;
        let found = outcome.as_ref().err().map(|error| error.code().as_str());
        let wanted = case["code"].as_str();
        if found != wanted {
            let detail = outcome.as_ref().err().map(ToString::to_string);
            self.0.push(format!(
                "{}: wanted {wanted:?}, found {found:?} ({detail:?})",
                case["name"]
            ));
        }
        outcome.ok()
    }

    fn equal<T: PartialEq + std::fmt::Debug>(
        &mut self,
        case: &Value,
        what: &str,
        found: T,
        wanted: T,
    ) {
        if found != wanted {
            self.0.push(format!(
                "{}: {what}: found {found:?}, wanted {wanted:?}",
                case["name"]
            ));
        }
    }
}

impl Drop for Check {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert!(
                self.0.is_empty(),
                "{} disagreements in {} cases:\n{}",
                self.0.len(),
                self.1,
                self.0.join("\n")
            );
            assert!(self.1 > 0, "no cases");
        }
    }
}

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

#[test]
fn entries() {
    let mut check = Check::default();
    for case in vectors("entries.json") {
        let bytes = b64::std_decode(text(&case, "bytes_base64")).unwrap();
        if let Some(entry) = check.outcome(&case, Entry::parse(&bytes)) {
            check.equal(&case, "bytes", entry.to_bytes(), Ok(bytes.clone()));
            check.equal(
                &case,
                "jcs",
                std::str::from_utf8(&bytes),
                Ok(text(&case, "jcs")),
            );
            check.equal(
                &case,
                "leaf",
                to_hex(&merkle::leaf_hash(&bytes)),
                text(&case, "leaf_hash_hex").to_owned(),
            );
        }
    }
}

#[test]
fn statements() {
    let mut check = Check::default();
    for case in vectors("statement.json") {
        let Some(list) = case.get("statements").and_then(Value::as_array) else {
            let bytes = case
                .get("bytes_base64")
                .and_then(Value::as_str)
                .map_or_else(
                    || text(&case, "statement").as_bytes().to_vec(),
                    |bytes| b64::std_decode(bytes).unwrap(),
                );
            drop(check.outcome(&case, Statement::parse(&bytes)));
            continue;
        };
        let epoch_key = hash(&case["k_epoch_hex"]);
        check.1 += 1;
        check.equal(
            &case,
            "commitment",
            sha256(&epoch_key).to_std(),
            text(&case, "salt_key_sha256").to_owned(),
        );
        let mut leaves = Vec::new();
        for item in list {
            let claims: Claims = serde_json::from_value(item["claims"].clone()).unwrap();
            let agent = Did::parse(text(item, "agent")).unwrap();
            check.equal(
                &case,
                "K_agent",
                statement::agent_key(&epoch_key, &agent),
                hash(&item["k_agent_hex"]),
            );
            let disclosures = statement::disclosures(&claims, &epoch_key, &agent).unwrap();
            for wanted in item["disclosures"].as_array().unwrap() {
                let found = disclosures
                    .iter()
                    .find(|d| d.name == wanted["name"])
                    .expect("a disclosure of that name");
                let encoded = wanted
                    .get("encoded")
                    .or(wanted.get("disclosure"))
                    .and_then(Value::as_str)
                    .unwrap();
                check.equal(&case, "disclosure", found.encoded.as_str(), encoded);
                check.equal(
                    &case,
                    "digest",
                    found.digest.to_string(),
                    text(wanted, "digest").to_owned(),
                );
            }
            check.equal(
                &case,
                "count",
                disclosures.len(),
                item["disclosures"].as_array().unwrap().len(),
            );
            let found = Statement::new(
                agent,
                item["epoch"].as_u64().unwrap(),
                disclosures.iter().map(|d| d.digest),
            )
            .unwrap();
            check.equal(
                &case,
                "statement",
                String::from_utf8(found.to_bytes()).unwrap(),
                text(item, "statement").to_owned(),
            );
            check.equal(
                &case,
                "parsed",
                Statement::parse(text(item, "statement").as_bytes()),
                Ok(found.clone()),
            );
            check.equal(
                &case,
                "leaf",
                found.leaf_hash(),
                hash(&item["leaf_hash_hex"]),
            );
            leaves.push(found.leaf_hash());
        }
        check.equal(
            &case,
            "root",
            merkle::root(&leaves),
            hash(&case["score_root_hex"]),
        );
        for (index, item) in list.iter().enumerate() {
            check.equal(
                &case,
                "path",
                merkle::inclusion_path(&leaves, index),
                Some(hashes(&item["path_hex"])),
            );
        }
    }
}

#[test]
fn log() {
    let mut check = Check::default();
    for case in vectors("log.json") {
        check.1 += 1;
        let key = VerifierKey::parse(text(&case, "log_vkey")).unwrap();
        let policy = WitnessPolicy::parse(&format!("log {key}\nquorum none\n")).unwrap();
        let entries: Vec<&str> = case["entries_jcs"]
            .as_array()
            .unwrap()
            .iter()
            .map(|e| e.as_str().unwrap())
            .collect();
        let leaves: Vec<Hash> = entries
            .iter()
            .map(|entry| merkle::leaf_hash(entry.as_bytes()))
            .collect();
        check.equal(
            &case,
            "leaves",
            leaves.clone(),
            hashes(&case["leaf_hashes_hex"]),
        );
        let roots = hashes(&case["roots_hex"]);
        for (size, root) in roots.iter().enumerate() {
            check.equal(&case, "root", merkle::root(&leaves[..size]), *root);
        }
        let signed = SignedCheckpoint::parse(text(&case, "signed_checkpoint")).unwrap();
        check.equal(
            &case,
            "checkpoint",
            signed.to_string(),
            text(&case, "signed_checkpoint").to_owned(),
        );
        let body = Checkpoint::new(key.name(), leaves.len() as u64, merkle::root(&leaves)).body();
        check.equal(
            &case,
            "body",
            body,
            text(&case, "checkpoint_text").to_owned(),
        );
        signed.verify_log(&key).unwrap();
        let empty = SignedCheckpoint::parse(text(&case, "signed_checkpoint_empty_log")).unwrap();
        check.equal(
            &case,
            "empty",
            empty.verify_log(&key).unwrap().root,
            merkle::EMPTY_ROOT,
        );
        for item in case["proofs"].as_array().unwrap() {
            let proof = item.as_str().or(item["proof"].as_str()).unwrap();
            let parsed = TlogProof::parse(proof).unwrap();
            check.equal(&case, "proof text", parsed.to_string(), proof.to_owned());
            let index = usize::try_from(parsed.index).unwrap();
            let size = parsed.signed_checkpoint().unwrap().checkpoint().size;
            let leaves = &leaves[..usize::try_from(size).unwrap()];
            check.equal(
                &case,
                "path",
                merkle::inclusion_path(leaves, index).as_ref(),
                Some(&parsed.path),
            );
            parsed.verify(entries[index].as_bytes(), &policy).unwrap();
            assert!(
                parsed
                    .verify(entries[(index + 1) % entries.len()].as_bytes(), &policy)
                    .is_err()
            );
        }
        for item in case["consistency"].as_array().unwrap() {
            let size = |name: &str, other: &str| {
                usize::try_from(
                    item.get(name)
                        .or(item.get(other))
                        .unwrap()
                        .as_u64()
                        .unwrap(),
                )
                .unwrap()
            };
            let (old, new) = (size("old", "from"), size("new", "to"));
            let path = hashes(&item["hashes_hex"]);
            if old > 0 && old <= new {
                check.equal(
                    &case,
                    "consistency",
                    merkle::consistency_path(&leaves[..new], old),
                    Some(path.clone()),
                );
            }
            merkle::verify_consistency(old as u64, new as u64, &roots[old], &roots[new], &path)
                .unwrap();
        }
    }
}

#[test]
fn checkpoints() {
    let mut check = Check::default();
    for case in vectors("checkpoints.json") {
        let policy = WitnessPolicy::parse(text(&case, "witness_policy")).unwrap();
        let outcome = SignedCheckpoint::parse(text(&case, "signed_checkpoint"))
            .and_then(|signed| policy.evaluate(&signed));
        if let Some(quorum) = check.outcome(&case, outcome) {
            let times: Vec<u64> = quorum.witnesses.iter().map(|(_, time)| *time).collect();
            check.equal(
                &case,
                "times",
                json!(times),
                case["cosignature_times"].clone(),
            );
        }
    }
}

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
        if let Some(bundle) = check.outcome(&case, outcome) {
            if let Some(payload) = case.get("payload") {
                check.equal(&case, "payload", &json!(bundle.payload()), payload);
            }
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
