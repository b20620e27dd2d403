//! The two base64 alphabets of RFC 4648, strict: one text for one byte string.
//!
//! base64url (§5) is unpadded, as RFC 7515 wants it; base64 (§4) is padded. Non-zero trailing bits, whitespace and the
//! other alphabet are refused, so nobody can respell signed text.

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};

/// Unpadded base64url of `bytes`.
pub fn url_encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes.as_ref())
}

/// Appends unpadded base64url of `bytes` to a text that is given as its bytes.
pub(crate) fn url_append(text: &mut Vec<u8>, bytes: &[u8]) {
    let start = text.len();
    let more = base64::encoded_len(bytes.len(), false).unwrap_or_default();
    text.resize(start.saturating_add(more), 0);
    let written = text
        .get_mut(start..)
        .map(|place| URL_SAFE_NO_PAD.encode_slice(bytes, place));
    // The place is of exactly the size that is asked for.
    debug_assert!(matches!(written, Some(Ok(length)) if length == more));
}

/// The bytes of unpadded base64url, or `None`.
pub fn url_decode(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

/// Padded base64 of `bytes`.
pub fn std_encode(bytes: impl AsRef<[u8]>) -> String {
    STANDARD.encode(bytes.as_ref())
}

/// The bytes of padded base64, or `None`.
pub fn std_decode(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

/// Thirty-two bytes of padded base64 (44 characters), or `None`.
pub fn std_decode_32(text: &str) -> Option<[u8; 32]> {
    if text.len() != 44 {
        return None;
    }
    std_decode(text)?.try_into().ok()
}

/// Thirty-two bytes of unpadded base64url (43 characters), or `None`.
pub fn url_decode_32(text: &str) -> Option<[u8; 32]> {
    if text.len() != 43 {
        return None;
    }
    url_decode(text)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_text_for_one_byte_string() {
        assert_eq!(url_encode([0xfb, 0xff]), "-_8");
        let mut text = b"x".to_vec();
        url_append(&mut text, &[0xfb, 0xff]);
        url_append(&mut text, &[]);
        url_append(&mut text, &[0; 3]);
        assert_eq!(text, b"x-_8AAAA");
        assert_eq!(url_decode("-_8"), Some(vec![0xfb, 0xff]));
        for bad in ["-_9", "-_8=", "+/8", "-_8 ", "-", "-_8\n"] {
            assert_eq!(url_decode(bad), None, "{bad}");
        }
        assert_eq!(std_encode([0xfb, 0xff]), "+/8=");
        for bad in ["+/8", "+/9=", "-_8=", "+/8=\n"] {
            assert_eq!(std_decode(bad), None, "{bad}");
        }
        assert_eq!(std_decode_32(&std_encode([7; 32])), Some([7; 32]));
        assert_eq!(url_decode_32(&url_encode([7; 32])), Some([7; 32]));
        assert_eq!(url_decode_32(&url_encode([7; 31])), None);
    }
}
