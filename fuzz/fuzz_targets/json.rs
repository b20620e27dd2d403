//! Strict JSON: what parses has one canonical form, which parses to the same value and is its own canonical form; and what
//! parses means the same to an ordinary parser.
#![no_main]

use goodstanding_verify::json;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|bytes: &[u8]| {
    let ordinary = serde_json::from_slice::<Value>(bytes);
    let foreign = json::parse_foreign(bytes);
    if let Ok(value) = &foreign {
        assert_eq!(ordinary.as_ref().ok(), Some(value));
    }
    let Ok(value) = json::parse(bytes) else {
        assert!(json::parse_canonical(bytes).is_err());
        return;
    };
    assert_eq!(foreign.as_ref(), Ok(&value));
    let canonical = json::canonical(&value).expect("strict JSON has a canonical form");
    assert_eq!(json::parse(&canonical).as_ref(), Ok(&value));
    assert_eq!(json::canonical(&value).as_ref(), Ok(&canonical));
    assert_eq!(json::parse_canonical(&canonical), Ok(value));
    assert_eq!(json::parse_canonical(bytes).is_ok(), canonical == bytes);
});
