//! Log entries: reading and writing are the identity on bytes.
#![no_main]

use goodstanding_verify::{entry::Entry, json};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    identity(bytes);
    // Few changes of canonical bytes are canonical, so put them right.
    if let Some(canonical) = json::parse(bytes)
        .ok()
        .and_then(|v| json::canonical(&v).ok())
    {
        identity(&canonical);
    }
});

fn identity(bytes: &[u8]) {
    if let Ok(entry) = Entry::parse(bytes) {
        let written = entry.to_bytes();
        assert_eq!(written.as_deref(), Ok(bytes));
    }
}
