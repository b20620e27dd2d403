//! What can be checked of an entry without knowing the others: its leaf, its form, its report's bytes and signatures.
//! Pure, and as parallel as the machine is.

use std::{collections::HashMap, sync::Mutex};

use goodstanding_verify::{
    code::Code as VerifyCode,
    digest::sha256,
    entry::{Body, Entry},
    keycache::KeyCache,
    merkle::{Hash, leaf_hash},
    report::{Report, Role},
    tile::parse_bundle,
};
use rayon::prelude::*;

use super::{
    finding::{Disagreement, Failure, Place},
    source::ServedBody,
    tree::Window,
};
use crate::code::{Code, Fault};

/// Keys that one thread keeps at hand.
const KEYS: usize = 16_384;

/// A digest cut to 16 bytes: what the index knows things by.
pub(super) type Key = [u8; 16];

/// What came of a report's bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Bytes {
    /// Verified.
    Report(Box<Checked>),
    /// Said to be erased, by the entry at this index where that is said too.
    Erased(Option<u64>),
    /// Not served.
    Absent,
}

/// A verified report with its keys in the index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Checked {
    /// The report.
    pub(super) report: Report,
    /// Reporter and jti.
    pub(super) jti: Key,
    /// The reporter's side of the trade.
    pub(super) side: Key,
    /// The counterparty's side of the same trade.
    pub(super) other_side: Key,
}

/// An entry on its own.
#[derive(Debug)]
pub(super) struct Item {
    /// Index.
    pub(super) index: u64,
    /// Its leaf hash, which is also its bytes'.
    pub(super) leaf: Hash,
    /// The entry.
    pub(super) entry: Entry,
    /// Its bytes, unless it is a report.
    pub(super) bytes: Option<Vec<u8>>,
    /// The report's bytes, if it is one.
    pub(super) body: Option<Bytes>,
}

/// Entries that one worker takes at a time: few enough that none waits long for another, also on a busy machine.
const SHARE: usize = 64;

/// Keys that were seen, lent to whoever works.
#[derive(Debug, Default)]
pub(super) struct Workers {
    idle: Mutex<Vec<KeyCache>>,
}

impl Workers {
    /// Works with a cache that nobody else has meanwhile. There are never more than workers.
    fn with_cache<T>(&self, work: impl FnOnce(&KeyCache) -> T) -> T {
        let idle = self.idle.lock().ok().and_then(|mut idle| idle.pop());
        let cache = idle.unwrap_or_else(|| KeyCache::new(KEYS));
        let done = work(&cache);
        if let Ok(mut idle) = self.idle.lock() {
            idle.push(cache);
        }
        done
    }

    /// Checks every entry of a window on its own. What is wrong with an entry stands in its place, so that the first
    /// disagreement in the log's order is the one that is told.
    pub(super) fn check(&self, window: &Window) -> Vec<Result<Item, Failure>> {
        let mut slices: Vec<(u64, Result<&[u8], Failure>)> = Vec::new();
        let mut index = window.from;
        for (path, bytes) in &window.bundles {
            match parse_bundle(bytes, path.width) {
                Ok(entries) => {
                    for entry in entries {
                        slices.push((index, Ok(entry)));
                        index += 1;
                    }
                }
                Err(error) => {
                    let failure =
                        Failure::caused(Code::AuditTileInvalid, Place::Tile(*path), error);
                    // Nothing behind it can be read; whoever goes in order stops here.
                    slices.push((index.max(window.start), Err(failure)));
                    break;
                }
            }
        }
        slices.retain(|(index, _)| (window.start..window.end).contains(index));
        let bodies: HashMap<u64, &ServedBody> = window
            .bodies
            .iter()
            .map(|body| (body.index, body))
            .collect();
        let parts: Vec<Vec<_>> = slices
            .par_chunks(SHARE)
            .map(|slices| {
                self.with_cache(|cache| {
                    let check = |(index, bytes): &(u64, Result<&[u8], Failure>)| {
                        let bytes = bytes.as_ref().map_err(Clone::clone)?;
                        let place = usize::try_from(index - window.from).unwrap_or(usize::MAX);
                        let leaf = window.leaves.get(place);
                        check(*index, bytes, leaf, bodies.get(index).copied(), cache)
                    };
                    slices.iter().map(check).collect()
                })
            })
            .collect();
        parts.into_iter().flatten().collect()
    }
}

fn check(
    index: u64,
    bytes: &[u8],
    expected: Option<&Hash>,
    body: Option<&ServedBody>,
    cache: &KeyCache,
) -> Result<Item, Failure> {
    let place = Place::Entry(index);
    let leaf = leaf_hash(bytes);
    if expected != Some(&leaf) {
        let detail = "the served bytes are not those of the signed tree";
        return Err(Failure::at(Code::AuditEntryBytes, place, detail));
    }
    let entry = Entry::parse(bytes).map_err(|error| match error.code() {
        VerifyCode::LogUnsupportedVersion => {
            Failure::from(Disagreement::unsupported(place.clone(), &error))
        }
        _ => Failure::caused(Code::AuditEntryInvalid, place.clone(), error),
    })?;
    let Body::Report { id, .. } = entry.body else {
        if body.is_some() {
            let detail = format!(
                "a report is served for an entry of kind {}",
                entry.body.kind()
            );
            return Err(Failure::at(Code::AuditBodyAltered, place, detail));
        }
        return Ok(Item {
            index,
            leaf,
            entry,
            bytes: Some(bytes.to_vec()),
            body: None,
        });
    };
    let body = match body.map(|body| (body.jws.as_deref(), body.erased_by)) {
        None => Bytes::Absent,
        Some((None, by)) => Bytes::Erased(by),
        Some((Some(jws), _)) => {
            let altered = || {
                let detail = format!("the served bytes do not hash to {id}");
                Failure::at(Code::AuditBodyAltered, Place::Entry(index), detail)
            };
            match Report::verify_with(jws, cache) {
                Ok(report) if report.id == id => Bytes::Report(Box::new(Checked::new(report))),
                Err(error) if sha256(jws.as_bytes()).0 == id.0 => {
                    return Err(Failure::caused(
                        Code::AuditReport,
                        place,
                        Fault::from(error),
                    ));
                }
                _ => return Err(altered()),
            }
        }
    };
    Ok(Item {
        index,
        leaf,
        entry,
        bytes: None,
        body: Some(body),
    })
}

impl Checked {
    fn new(report: Report) -> Self {
        let (iss, sub) = (report.iss.key_bytes(), report.sub.key_bytes());
        let trade = [
            report.trade.market.as_bytes(),
            b"\0",
            report.trade.id.as_bytes(),
        ];
        let side = |one: &[u8; 32], other: &[u8; 32]| {
            key(b"side", &[one, other, trade[0], trade[1], trade[2]])
        };
        Self {
            jti: key(b"jti", &[iss, report.jti.as_bytes()]),
            side: side(iss, sub),
            other_side: side(sub, iss),
            report,
        }
    }

    /// Whether the reporter sold.
    pub(super) fn is_seller(&self) -> bool {
        self.report.trade.role == Role::Seller
    }
}

/// A key of the index: the tag keeps different things apart; no part but the last two can vary in length, and texts of
/// reports have no zero byte.
fn key(tag: &[u8], parts: &[&[u8]]) -> Key {
    let mut bytes = Vec::with_capacity(256);
    bytes.extend_from_slice(tag);
    for part in parts {
        bytes.extend_from_slice(part);
    }
    cut(&sha256(&bytes).0)
}

/// The first 16 bytes of a digest.
pub(super) fn cut(digest: &[u8; 32]) -> Key {
    let mut key = Key::default();
    key.copy_from_slice(&digest[..16]);
    key
}
