//! Entries, statements, the tree over them and its checkpoints.

use goodstanding_verify::{
    b64,
    checkpoint::{Checkpoint, SignedCheckpoint},
    claims::Claims,
    did::Did,
    digest::{sha256, to_hex},
    entry::Entry,
    merkle::{self, Hash},
    note::VerifierKey,
    proof::TlogProof,
    statement::{self, Statement},
    witness_policy::WitnessPolicy,
};
use serde_json::{Value, json};

use crate::{Check, hash, hashes, text, vectors};

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
        check.cases += 1;
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
        check.cases += 1;
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
