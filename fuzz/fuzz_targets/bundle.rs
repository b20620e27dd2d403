//! Trust bundles, raw or plain (signed with the stolen bundle key). A raw text that verifies is a golden bundle. A plain one
//! names keys that the log has, or names another log; and an update weakens nothing.
#![no_main]

use std::{collections::BTreeSet, sync::LazyLock};

use goodstanding_fuzz::{BUNDLE, BUNDLES, LOG, LOG_KEY, NOW, jws, text};
use goodstanding_verify::{
    bundle::TrustBundle,
    entry::{Body, Entry, KeyAction, KeyEntry},
    note::VerifierKey,
};
use libfuzzer_sys::fuzz_target;

static GOLDEN: LazyLock<BTreeSet<&str>> =
    LazyLock::new(|| BUNDLES.cases().map(|case| text(case, "jws")).collect());
static ADDED: LazyLock<Vec<KeyEntry>> = LazyLock::new(|| {
    let entries = LOG["entries_jcs"].as_array().expect("entries");
    let keys = entries.iter().filter_map(|entry| {
        let entry = Entry::parse(entry.as_str()?.as_bytes()).ok()?;
        match entry.body {
            Body::Key(key) if key.action == KeyAction::Add => Some(key),
            _ => None,
        }
    });
    keys.collect()
});
/// The log's key under other origins, which the vectors have too.
static OTHER_LOGS: LazyLock<BTreeSet<String>> = LazyLock::new(|| {
    let logs = BUNDLES.cases().filter_map(|case| {
        let golden = TrustBundle::parse(case["jws"].as_str()?, None, NOW).ok()?;
        Some(golden.log().to_string())
    });
    logs.collect()
});

fuzz_target!(|input: &str| {
    let signed = jws(input);
    let jws = signed.as_deref().unwrap_or(input);
    let any_time = TrustBundle::parse_any_time(jws, None);
    let parsed = TrustBundle::parse(jws, None, NOW);
    let bundle = match any_time {
        Ok(bundle) => bundle,
        Err(error) => {
            assert_eq!(parsed, Err(error));
            return;
        }
    };
    let timely = bundle.check_times(NOW);
    assert_eq!(parsed, timely.map(|()| bundle.clone()));
    assert!(signed.is_some() || GOLDEN.contains(jws));
    assert!(TrustBundle::parse_any_time(jws, Some(bundle.signer())).is_ok());
    assert!(TrustBundle::parse_any_time(jws, Some("another")).is_err());
    assert!(OTHER_LOGS.contains(&bundle.log().to_string()));
    if bundle.log() == &*LOG_KEY {
        for key in bundle.keys() {
            let is_key = |entry: &KeyEntry| {
                (entry.jwk, entry.usage, entry.from) == (key.jwk, key.usage, key.from)
            };
            assert!(ADDED.iter().any(is_key), "{key:?} is not in the log");
        }
    }

    let update = |weaker| BUNDLE.accept_update(jws, weaker, NOW);
    if let Ok(newer) = update(false) {
        assert_eq!(update(true).as_ref(), Ok(&newer));
        assert_eq!((newer.iss(), newer.log()), (BUNDLE.iss(), BUNDLE.log()));
        assert!(newer.version() > BUNDLE.version());
        assert!(
            !newer
                .witness_policy()
                .is_weaker_than(BUNDLE.witness_policy())
        );
        // With the witnesses of before it is no weaker either, and it never replaces itself.
        let witnesses: Vec<&VerifierKey> =
            newer.witness_policy().witnesses().map(|w| w.1).collect();
        assert!(witnesses.len() >= BUNDLE.witness_policy().witnesses().count());
        assert!(newer.accept_update(jws, true, NOW).is_err());
    }
});
