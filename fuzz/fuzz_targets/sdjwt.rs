//! SD-JWT: taking apart and putting together are inverse, and so are hiding members and disclosing them.
//!
//! The text is a token, or a JSON payload and lines of disclosures in JSON, in which `#0` to `#9` stand for the digests of
//! these lines.
#![no_main]

use goodstanding_verify::{b64, json, sdjwt};
use libfuzzer_sys::fuzz_target;
use serde_json::{Map, Value, json};

fuzz_target!(|text: &str| {
    parse(text);
    let mut lines: Vec<String> = text.split('\n').map(str::to_owned).collect();
    let mut disclosures = Vec::new();
    // From the last line on, since disclosures may hold the digests of later ones only.
    for n in (1..lines.len()).rev() {
        let disclosure = b64::url_encode(&lines[n]);
        let digest = sdjwt::digest(&disclosure);
        if n <= 10 {
            let mark = format!("\"#{}\"", n - 1);
            for earlier in &mut lines[..n] {
                *earlier = earlier.replace(&mark, &format!("\"{digest}\""));
            }
        }
        disclosures.push(disclosure);
    }
    let Ok(payload) = json::parse_foreign(lines[0].as_bytes()) else {
        return;
    };
    let disclosures: Vec<&str> = disclosures.iter().map(String::as_str).collect();
    if let Ok(processed) = sdjwt::process(&payload, &disclosures) {
        assert!(!hides(&processed) && processed.get("_sd_alg").is_none());
        assert_eq!(sdjwt::process(&processed, &[]).as_ref(), Ok(&processed));
    }
    if lines.len() == 1 && payload.get("_sd_alg").is_none() && !hides(&payload) {
        let mut hidden = payload.clone();
        let mut disclosures = Vec::new();
        hide(&mut hidden, &mut disclosures);
        let disclosures: Vec<&str> = disclosures.iter().map(String::as_str).collect();
        // Nesting beyond what is read is the one way to fail: the salted arrays add no level.
        assert_eq!(sdjwt::process(&hidden, &disclosures).as_ref(), Ok(&payload));
        assert!(sdjwt::process(&hidden, &[]).is_ok());
    }
});

fn parse(token: &str) {
    let Ok(parts) = sdjwt::SdJwt::parse(token) else {
        assert!(sdjwt::select(token, &[]).is_err());
        return;
    };
    assert_eq!(
        sdjwt::issued(parts.jwt, &parts.disclosures),
        parts.presented
    );
    let kb = parts.kb_jwt.unwrap_or_default();
    assert_eq!(format!("{}{kb}", parts.presented), token);
    let revealed: Result<Vec<_>, _> = parts
        .disclosures
        .iter()
        .map(|disclosure| sdjwt::Revealed::parse(disclosure))
        .collect();
    let Ok(revealed) = revealed else { return };
    let names: Vec<&str> = revealed.iter().filter_map(|r| r.name.as_deref()).collect();
    let all = sdjwt::select(token, &names).expect("every name is there");
    let none = sdjwt::select(token, &[]).expect("no name is missing");
    assert_eq!(none, sdjwt::issued::<&str>(parts.jwt, &[]));
    let selected = sdjwt::SdJwt::parse(&all).expect("a token");
    assert_eq!(selected.disclosures.len(), names.len());
    assert_eq!(sdjwt::select(&all, &names).as_ref(), Ok(&all));
}

/// Whether a value has members or elements that stand for hidden ones.
fn hides(value: &Value) -> bool {
    match value {
        Value::Array(items) => items.iter().any(hides),
        Value::Object(members) => {
            members.contains_key("_sd")
                || members.contains_key("...")
                || members.values().any(hides)
        }
        _ => false,
    }
}

/// Hides every other member and element, inner ones first.
fn hide(value: &mut Value, disclosures: &mut Vec<String>) {
    let disclose = |disclosures: &mut Vec<String>, content: &[Value]| {
        let mut parts = vec![json!(disclosures.len().to_string())];
        parts.extend_from_slice(content);
        let disclosure = b64::url_encode(Value::Array(parts).to_string());
        let digest = sdjwt::digest(&disclosure);
        disclosures.push(disclosure);
        digest
    };
    match value {
        Value::Array(items) => {
            for (n, item) in items.iter_mut().enumerate() {
                hide(item, disclosures);
                if n % 2 == 0 {
                    *item = json!({"...": disclose(disclosures, &[item.take()])});
                }
            }
        }
        Value::Object(members) => {
            let mut digests = Vec::new();
            let mut open = Map::new();
            for (n, (name, mut member)) in std::mem::take(members).into_iter().enumerate() {
                hide(&mut member, disclosures);
                if n % 2 == 0 {
                    digests.push(json!(disclose(disclosures, &[json!(name), member])));
                } else {
                    open.insert(name, member);
                }
            }
            if !digests.is_empty() {
                open.insert("_sd".to_owned(), Value::Array(digests));
            }
            *members = open;
        }
        _ => {}
    }
}
