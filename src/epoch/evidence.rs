//! What a log prefix holds: its policy and its reports.

use std::sync::{Arc, Mutex};

use goodstanding_score::{evidence::Ledger, policy::Policy};
use goodstanding_verify::{
    entry::{Body, Entry},
    keycache::KeyCache,
    report::Report,
};
use rayon::prelude::*;

use crate::{
    code::{Code, Fault},
    ingest::blocking,
    log::sequencer::CurrentPolicy,
    store::{Store, StoredReport},
};

/// Bodies fetched at a time.
const PAGE: u32 = 5000;

/// Bodies that one thread parses at a time.
const PART: usize = 256;

/// Keys that a thread remembers at most, twice; 350 bytes each.
const CACHED_KEYS: usize = 50_000;

/// The last policy below `log_size` and its index.
///
/// # Errors
/// `store.corrupt` when there is none: a log begins with one.
pub async fn policy_at(store: &dyn Store, log_size: u64) -> Result<(u64, Policy), Fault> {
    let newest = newest_policy(store, log_size).await?;
    Ok((newest.index, newest.policy))
}

/// The last policy below `log_size`.
///
/// # Errors
/// `store.corrupt` when there is none: a log begins with one.
pub async fn newest_policy(store: &dyn Store, log_size: u64) -> Result<CurrentPolicy, Fault> {
    let entries = store.events("policy", log_size).await?;
    let (index, bytes) = entries
        .last()
        .ok_or_else(|| Fault::new(Code::StoreCorrupt, "the log has no policy entry"))?;
    match Entry::parse(bytes)?.body {
        Body::Policy { version, policy } => Ok(CurrentPolicy {
            index: *index,
            version,
            policy: Policy::parse(&policy)?,
        }),
        _ => Err(Fault::new(
            Code::StoreCorrupt,
            "a policy row is not a policy entry",
        )),
    }
}

/// How many erasures a log prefix holds.
///
/// # Errors
/// When the store is unavailable.
pub async fn erasures(store: &dyn Store, log_size: u64) -> Result<u64, Fault> {
    let entries = store.events("erasure", log_size).await?;
    Ok(u64::try_from(entries.len()).unwrap_or(u64::MAX))
}

/// Every report that an epoch over entries with index < `log_size` and `at` ≤ `as_of` covers.
///
/// The bodies were verified when they were admitted; here they are only parsed again, a page at a time, and what is parsed is not
/// kept.
///
/// # Errors
/// `store.corrupt` when a body no longer parses or hashes to another id.
pub async fn read(store: &dyn Store, log_size: u64, as_of: u64) -> Result<Ledger, Fault> {
    let mut all = Ledger::default();
    let keys = Arc::new(Keys::default());
    let mut from = 0;
    loop {
        let page = store.bodies(from, log_size, PAGE).await?;
        let Some(last) = page.last() else {
            return Ok(all);
        };
        from = last.index + 1;
        let lent = keys.clone();
        all = blocking(move || {
            for part in parse(&page, as_of, &lent)? {
                all.append(part);
            }
            Ok::<_, Fault>(all)
        })
        .await??;
    }
}

/// Keys that were read, lent to whoever parses.
#[derive(Debug, Default)]
struct Keys(Mutex<Vec<KeyCache>>);

impl Keys {
    /// Works with a cache that nobody else has meanwhile. There are never more of them than threads.
    fn with<T>(&self, work: impl FnOnce(&KeyCache) -> T) -> T {
        let idle = self.0.lock().ok().and_then(|mut idle| idle.pop());
        let cache = idle.unwrap_or_else(|| KeyCache::new(CACHED_KEYS));
        let done = work(&cache);
        if let Ok(mut idle) = self.0.lock() {
            idle.push(cache);
        }
        done
    }
}

/// A page in parallel, as ledgers in log order.
fn parse(page: &[StoredReport], as_of: u64, keys: &Keys) -> Result<Vec<Ledger>, Fault> {
    let covered = |stored: &&StoredReport| stored.at_ms <= as_of.saturating_mul(1000);
    let part = |part: &[StoredReport], keys: &KeyCache| {
        let mut ledger = Ledger::default();
        for stored in part.iter().filter(covered) {
            let report = Report::parse_admitted_with(&stored.jws, keys)?;
            if report.id != stored.id {
                return Err(Fault::new(
                    Code::StoreCorrupt,
                    format!("body {} is not of report {}", stored.index, stored.id),
                ));
            }
            ledger.push(stored.index, stored.at_ms, &report);
        }
        Ok(ledger)
    };
    page.par_chunks(PART)
        .map(|reports| keys.with(|keys| part(reports, keys)))
        .collect()
}
