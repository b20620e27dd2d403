//! Status lists: a raw text that verifies is a golden list; a plain one is signed with the status key. What is inflated stays
//! within its limit and is read the same bit by bit. A text that is no document is the list itself.
#![no_main]

use std::{collections::BTreeSet, sync::LazyLock};

use goodstanding_fuzz::{BUNDLE, NOW, STATUS_LISTS, jws, text};
use goodstanding_verify::{
    Code, b64,
    status::{MAX_INFLATED_BYTES, StatusList, encode},
};
use libfuzzer_sys::fuzz_target;

static GOLDEN: LazyLock<BTreeSet<&str>> =
    LazyLock::new(|| STATUS_LISTS.cases().map(|c| text(c, "jws")).collect());

fuzz_target!(|data: &[u8]| {
    if let Ok(input) = std::str::from_utf8(data) {
        let signed = jws(input);
        let jws = signed.as_deref().unwrap_or(input);
        let uri = text(STATUS_LISTS.case("valid"), "uri");
        if let Ok(list) = StatusList::verify(jws, uri, &BUNDLE, NOW) {
            assert!(signed.is_some() || GOLDEN.contains(jws));
            assert!(StatusList::verify(jws, "another", &BUNDLE, NOW).is_err());
            for index in [0, 1, 4711, u64::MAX] {
                check(&list, index);
            }
        }
    }
    let Some((bits, bytes)) = data.split_first() else {
        return;
    };
    let bits = 1 << (bits % 4);
    // The bytes as zlib, and as what zlib is of.
    let inflated = StatusList::decode(bits, &b64::url_encode(bytes));
    if let Ok(list) = inflated {
        let beyond = (MAX_INFLATED_BYTES as u64 * 8) / bits;
        assert_eq!(list.get(beyond), None);
    }
    let list = StatusList::decode(bits, &encode(bytes)).expect("its own encoding");
    let values = 8 / bits;
    for (n, byte) in (0_u64..).zip(bytes) {
        let value = |k| u16::from(list.get(n * values + k).expect("in the list")) << (k * bits);
        assert_eq!((0..values).map(value).sum::<u16>(), u16::from(*byte));
    }
    check(&list, u64::from(bytes.first().copied().unwrap_or(0)));
    assert_eq!(list.get(bytes.len() as u64 * values), None);
    assert_eq!(StatusList::decode(3, &encode(bytes)).ok(), None);
});

fn check(list: &StatusList, index: u64) {
    let code = list.check(index).err().map(|error| error.code());
    let wanted = match list.get(index) {
        Some(0) => None,
        Some(1) => Some(Code::StatusRevoked),
        Some(2) => Some(Code::StatusSuspended),
        Some(_) => Some(Code::StatusMalformed),
        None => Some(Code::StatusIndexOutOfRange),
    };
    assert_eq!(code, wanted);
}
