//! Answers that caches may keep: strong entity tags, conditional requests (RFC 9110 §13), and how long an answer stays fresh.
//!
//! Such answers are made outside the compression layer. It would give the compressed and the plain bytes one strong tag, and
//! it turns an answer into a 406 without taking away what the answer says of its freshness.

use std::io::Write as _;

use axum::{
    body::Bytes,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use flate2::{Compression, write::GzEncoder};
use goodstanding_verify::b64;
use sha2::{Digest as _, Sha256};

/// How long a cache may answer in our place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fresh {
    /// For ever: the address names these very bytes.
    Immutable,
    /// One second, as often as checkpoints are published (tlog-tiles: a few seconds at most).
    Second,
    /// Not without asking whether it is still the same.
    Ask,
}

impl Fresh {
    fn as_str(self) -> &'static str {
        match self {
            Self::Immutable => "public, max-age=31536000, immutable",
            Self::Second => "public, max-age=1",
            Self::Ask => "no-cache",
        }
    }
}

/// An answer that caches may keep.
#[derive(Clone, Debug)]
pub(super) struct Cached {
    /// Media type of the plain bytes.
    pub(super) content_type: &'static str,
    /// How long it stays fresh.
    pub(super) fresh: Fresh,
    /// The bytes as they are sent.
    pub(super) body: Bytes,
    /// `Some` when the encoding was negotiated: whether the bytes are compressed.
    pub(super) gzip: Option<bool>,
}

impl Cached {
    /// Plain bytes, whatever encodings the client takes.
    pub(super) fn plain(content_type: &'static str, fresh: Fresh, body: impl Into<Bytes>) -> Self {
        Self {
            content_type,
            fresh,
            body: body.into(),
            gzip: None,
        }
    }

    /// The answer to a request with these headers: 304 when the client has it already.
    pub(super) fn answer(self, request: &HeaderMap) -> Response {
        // The tag is of the bytes as sent, so that a compressed and a plain body never share it.
        let digest = Sha256::digest(&self.body);
        let tag = format!("\"{}\"", b64::url_encode(&digest[..16]));
        let mut headers = HeaderMap::new();
        headers.insert(
            header::CACHE_CONTROL,
            HeaderValue::from_static(self.fresh.as_str()),
        );
        if self.gzip.is_some() {
            headers.insert(
                header::VARY,
                HeaderValue::from_static(header::ACCEPT_ENCODING.as_str()),
            );
        }
        let has_it = has(request, &tag);
        if let Ok(tag) = HeaderValue::try_from(tag) {
            headers.insert(header::ETAG, tag);
        }
        if has_it {
            return (StatusCode::NOT_MODIFIED, headers).into_response();
        }
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static(self.content_type),
        );
        if self.gzip == Some(true) {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        (headers, self.body).into_response()
    }
}

/// Whether `If-None-Match` names the tag, by the weak comparison that RFC 9110 §13.1.2 asks for.
fn has(request: &HeaderMap, tag: &str) -> bool {
    let lists = request.get_all(header::IF_NONE_MATCH).into_iter();
    lists
        .filter_map(|value| value.to_str().ok())
        .flat_map(|list| list.split(','))
        .map(str::trim)
        .any(|named| named == "*" || named.strip_prefix("W/").unwrap_or(named) == tag)
}

/// Whether the client says that it takes gzip (RFC 9110 §12.5.3). One that says nothing gets plain bytes.
pub(super) fn takes_gzip(request: &HeaderMap) -> bool {
    let (mut named, mut any) = (None, None);
    let lists = request.get_all(header::ACCEPT_ENCODING).into_iter();
    let items = lists
        .filter_map(|value| value.to_str().ok())
        .flat_map(|list| list.split(','));
    for item in items {
        let (coding, weight) = item.split_once(';').unwrap_or((item, ""));
        let weight = weight.trim().trim_start_matches(['q', 'Q']).trim();
        let refused = weight
            .strip_prefix('=')
            .is_some_and(|q| q.trim().bytes().all(|b| matches!(b, b'0' | b'.')));
        match coding.trim().to_ascii_lowercase().as_str() {
            "gzip" | "x-gzip" => named = Some(!refused),
            "*" => any = Some(!refused),
            _ => {}
        }
    }
    named.or(any).unwrap_or(false)
}

/// The bytes in gzip, if that is shorter.
pub(super) fn gzip(plain: &[u8]) -> Option<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(plain.len() / 2), Compression::default());
    encoder.write_all(plain).ok()?;
    let packed = encoder.finish().ok()?;
    (packed.len() < plain.len()).then_some(packed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(name: &header::HeaderName, values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(name.clone(), value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn who_takes_gzip() {
        for (values, takes) in [
            (vec![], false),
            (vec![""], false),
            (vec!["gzip"], true),
            (vec!["br, GZip;q=0.1"], true),
            (vec!["deflate", "x-gzip"], true),
            (vec!["*"], true),
            (vec!["gzip;q=0"], false),
            (vec!["gzip; q=0.000, *"], false),
            (vec!["*;q=0"], false),
            (vec!["*;q=0, gzip;q=1"], true),
            (vec!["identity"], false),
            (vec!["gzipped"], false),
        ] {
            let headers = with(&header::ACCEPT_ENCODING, &values);
            assert_eq!(takes_gzip(&headers), takes, "{values:?}");
        }
    }

    #[test]
    fn tags_match_weakly_and_in_lists() {
        for (values, is_there) in [
            (vec![], false),
            (vec!["\"a\""], true),
            (vec!["W/\"a\""], true),
            (vec!["\"b\", \"a\""], true),
            (vec!["\"b\"", "\"a\""], true),
            (vec!["*"], true),
            (vec!["a"], false),
            (vec!["\"b\""], false),
            (vec!["\"aa\""], false),
        ] {
            let headers = with(&header::IF_NONE_MATCH, &values);
            assert_eq!(has(&headers, "\"a\""), is_there, "{values:?}");
        }
    }

    #[test]
    fn a_compressed_body_has_a_tag_of_its_own() {
        let plain = Cached {
            gzip: Some(false),
            ..Cached::plain("application/octet-stream", Fresh::Immutable, vec![7; 500])
        };
        let packed = Cached {
            gzip: Some(true),
            body: gzip(&plain.body).unwrap().into(),
            ..plain.clone()
        };
        let plain = plain.answer(&HeaderMap::new());
        let packed = packed.answer(&HeaderMap::new());
        assert_ne!(plain.headers()["etag"], packed.headers()["etag"]);
        for response in [&plain, &packed] {
            assert_eq!(response.headers()["vary"], "accept-encoding");
        }
        assert_eq!(packed.headers()["content-encoding"], "gzip");
        assert!(!plain.headers().contains_key("content-encoding"));
        assert_eq!(gzip(&[1, 2, 3]), None);
    }
}
