//! Tlog-proofs: reading and writing are the identity on text; the verdict is that of the RFC's own algorithm, and of the
//! golden log only the paths that its leaves have are taken.
#![no_main]

use std::sync::LazyLock;

use goodstanding_fuzz::{LOG, POLICY, hash, naive};
use goodstanding_verify::{
    checkpoint::Checkpoint,
    merkle::{Hash, leaf_hash},
    proof::TlogProof,
};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

static ENTRIES: LazyLock<Vec<&str>> = LazyLock::new(|| {
    let entries = LOG["entries_jcs"].as_array().expect("entries");
    entries.iter().filter_map(Value::as_str).collect()
});
static LEAVES: LazyLock<Vec<Hash>> =
    LazyLock::new(|| ENTRIES.iter().map(|e| leaf_hash(e.as_bytes())).collect());
static ROOTS: LazyLock<Vec<Hash>> = LazyLock::new(|| {
    let roots = LOG["roots_hex"].as_array().expect("roots");
    roots.iter().map(hash).collect()
});

fuzz_target!(|text: &str| {
    let Ok(proof) = TlogProof::parse(text) else {
        return;
    };
    assert_eq!(proof.to_string(), text);
    let index = usize::try_from(proof.index).expect("64 bits");
    let entry = ENTRIES.get(index).copied().unwrap_or("no entry");
    let leaf = leaf_hash(entry.as_bytes());

    // Under every root that the golden log ever had.
    for (size, root) in ROOTS.iter().enumerate() {
        let checkpoint = Checkpoint::new("goodstanding.example/log", size as u64, *root);
        let verdict = proof.verify_inclusion(entry.as_bytes(), &checkpoint);
        let is_leaf = index < size;
        let truth = is_leaf && proof.path == naive::inclusion_path(&LEAVES[..size], index);
        assert_eq!(verdict.is_ok(), truth, "size {size}");
    }

    // Under its own checkpoint, and with signatures and quorum.
    let Ok(signed) = proof.signed_checkpoint() else {
        assert!(proof.verify(entry.as_bytes(), &POLICY).is_err());
        return;
    };
    assert_eq!(signed.to_string(), proof.checkpoint);
    let checkpoint = signed.checkpoint();
    let (size, root) = (checkpoint.size, &checkpoint.root);
    let verdict = proof.verify_inclusion(entry.as_bytes(), checkpoint);
    let truth = naive::includes(proof.index, size, &leaf, &proof.path, root);
    assert_eq!(verdict.is_ok(), truth);
    let verdict = proof.verify(entry.as_bytes(), &POLICY);
    assert_eq!(verdict.is_ok(), truth && POLICY.evaluate(&signed).is_ok());
    if let Ok(proven) = verdict {
        // The log signed it, so it is one of its trees.
        assert_eq!(ROOTS.get(proven.checkpoint.size as usize), Some(root));
    }
});
