//! Verdicts of Rust crates: `signed_note` with `tlog_tiles`, of which only the check functions are used (its tile reader lets forged
//! tiles pass, CVE-2026-56865), and our own verifier on the same cases.

use goodstanding_verify::{
    b64,
    checkpoint::SignedCheckpoint,
    merkle::{Hash, verify_consistency},
    note::VerifierKey,
    proof::TlogProof,
    witness_policy::WitnessPolicy,
};
use serde_json::{Value, json};
use signed_note::{Note, StandardVerifier, Verifier as _, VerifierList};
use tlog_tiles::{Checkpoint, Hash as Theirs, check_record, check_tree, record_hash};

type Verdict<T> = Result<T, String>;

fn text<'a>(case: &'a Value, key: &str) -> &'a str {
    case[key].as_str().unwrap()
}

fn bytes(value: &Value) -> Vec<u8> {
    b64::std_decode(value.as_str().unwrap()).unwrap()
}

fn verdict(case: &Value, outcome: Verdict<Option<(u64, Hash)>>) -> Value {
    let name = &case["name"];
    match outcome {
        Ok(Some((size, root))) => {
            json!({"name": name, "accepted": true, "size": size, "root": b64::std_encode(root)})
        }
        Ok(None) => json!({"name": name, "accepted": true}),
        Err(why) => json!({"name": name, "accepted": false, "why": why}),
    }
}

/// `signed_note` 0.2 and `tlog_tiles` 0.2.
pub(crate) fn foreign(case: &Value) -> Value {
    verdict(case, foreign_outcome(case))
}

fn foreign_outcome(case: &Value) -> Verdict<Option<(u64, Hash)>> {
    let vkey = text(case, "vkey");
    match text(case, "kind") {
        "checkpoint" => {
            let checkpoint = opened(text(case, "note"), vkey)?;
            Ok(Some((checkpoint.size(), checkpoint.hash().0)))
        }
        "inclusion" => {
            let (head, note) = text(case, "receipt").split_once("\n\n").ok_or("no proof")?;
            let checkpoint = opened(note, vkey)?;
            let mut lines = head.split('\n').skip(1);
            let index = lines.next().and_then(|line| line.strip_prefix("index "));
            let index: u64 = index.and_then(|i| i.parse().ok()).ok_or("no index")?;
            let path: Vec<Theirs> = lines
                .map(|line| Theirs::parse_hash(line).map_err(|e| e.to_string()))
                .collect::<Result<_, _>>()?;
            let leaf = record_hash(&bytes(&case["entry"]));
            check_record(&path, checkpoint.size(), *checkpoint.hash(), index, leaf)
                .map_err(|e| e.to_string())?;
            Ok(None)
        }
        "consistency" => {
            let old = opened(text(case, "old"), vkey)?;
            let new = opened(text(case, "note"), vkey)?;
            let proof: Vec<Theirs> = hashes(&case["proof"]).into_iter().map(Theirs).collect();
            check_tree(&proof, new.size(), *new.hash(), old.size(), *old.hash())
                .map_err(|e| e.to_string())?;
            Ok(None)
        }
        kind => panic!("unknown kind {kind}"),
    }
}

fn opened(note: &str, vkey: &str) -> Verdict<Checkpoint> {
    let verifier = StandardVerifier::new(vkey).map_err(|e| e.to_string())?;
    let name = verifier.name().to_owned();
    let note = Note::from_bytes(note.as_bytes()).map_err(|e| e.to_string())?;
    note.verify(&VerifierList::new(vec![Box::new(verifier)]))
        .map_err(|e| e.to_string())?;
    let checkpoint = Checkpoint::from_bytes(note.text()).map_err(|e| e.to_string())?;
    if checkpoint.origin() != name {
        return Err("another origin".to_owned());
    }
    Ok(checkpoint)
}

fn hashes(list: &Value) -> Vec<Hash> {
    let list = list.as_array().unwrap();
    list.iter()
        .map(|hash| bytes(hash).try_into().unwrap())
        .collect()
}

/// Our own verifier: what it accepts is what all the others accept.
pub(crate) fn own(case: &Value) -> Value {
    if case["kind"] == "cosigned" {
        return match own_quorum(case) {
            Ok(names) => json!({"name": case["name"], "accepted": true, "cosigned": names}),
            Err(error) => verdict(case, Err(error.to_string())),
        };
    }
    verdict(case, own_outcome(case).map_err(|e| e.to_string()))
}

fn own_outcome(case: &Value) -> Result<Option<(u64, Hash)>, goodstanding_verify::Error> {
    let log = VerifierKey::parse(text(case, "vkey"))?;
    match text(case, "kind") {
        "checkpoint" => {
            let signed = SignedCheckpoint::parse(text(case, "note"))?;
            let checkpoint = signed.verify_log(&log)?;
            Ok(Some((checkpoint.size, checkpoint.root)))
        }
        "inclusion" => {
            let proof = TlogProof::parse(text(case, "receipt"))?;
            let signed = proof.signed_checkpoint()?;
            proof.verify_inclusion(&bytes(&case["entry"]), signed.verify_log(&log)?)?;
            Ok(None)
        }
        "consistency" => {
            let (old, new) = (
                SignedCheckpoint::parse(text(case, "old"))?,
                SignedCheckpoint::parse(text(case, "note"))?,
            );
            let (old, new) = (old.verify_log(&log)?, new.verify_log(&log)?);
            let proof = hashes(&case["proof"]);
            verify_consistency(old.size, new.size, &old.root, &new.root, &proof)?;
            Ok(None)
        }
        kind => panic!("unknown kind {kind}"),
    }
}

/// Who has cosigned, in alphabetical order, if they are enough.
fn own_quorum(case: &Value) -> Result<Vec<String>, goodstanding_verify::Error> {
    let keys: Vec<&str> = case["witnesses"]
        .as_array()
        .unwrap()
        .iter()
        .map(|key| key.as_str().unwrap())
        .collect();
    let lines: Vec<String> = (0..)
        .zip(&keys)
        .map(|(n, key): (u32, _)| format!("witness w{n} {key}"))
        .collect();
    let lines = lines.join("\n");
    let policy = format!(
        "log {}\n{lines}\ngroup quorum {} w0 w1 w2\nquorum quorum\n",
        text(case, "vkey"),
        case["quorum"]
    );
    let policy = WitnessPolicy::parse(&policy)?;
    let quorum = policy.evaluate(&SignedCheckpoint::parse(text(case, "note"))?)?;
    let name_of = |short: &str| {
        let key = policy
            .witnesses()
            .find(|(name, _)| *name == short)
            .unwrap()
            .1;
        key.name().to_owned()
    };
    let mut names: Vec<String> = quorum
        .witnesses
        .iter()
        .map(|(short, _)| name_of(short))
        .collect();
    names.sort();
    Ok(names)
}
