//! What a log prefix holds: its policy and its reports.

use goodstanding_score::{evidence::Admitted, policy::Policy};
use goodstanding_verify::{
    entry::{Body, Entry},
    report::Report,
};
use rayon::prelude::*;

use crate::{
    code::{Code, Fault},
    ingest::blocking,
    log::sequencer::CurrentPolicy,
    store::Store,
};

/// Bodies fetched at a time.
const PAGE: u32 = 5000;

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
/// The bodies were verified when they were admitted; here they are only parsed again.
///
/// # Errors
/// `store.corrupt` when a body no longer parses or hashes to another id.
pub async fn read(store: &dyn Store, log_size: u64, as_of: u64) -> Result<Vec<Admitted>, Fault> {
    let mut all = Vec::new();
    let mut from = 0;
    loop {
        let page = store.bodies(from, log_size, PAGE).await?;
        let Some(last) = page.last() else {
            return Ok(all);
        };
        from = last.index + 1;
        let parsed = blocking(move || {
            page.into_par_iter()
                .filter(|stored| stored.at_ms <= as_of.saturating_mul(1000))
                .map(|stored| {
                    let report = Report::parse_admitted(&stored.jws)?;
                    if report.id != stored.id {
                        return Err(Fault::new(
                            Code::StoreCorrupt,
                            format!("body {} is not of report {}", stored.index, stored.id),
                        ));
                    }
                    Ok(Admitted {
                        index: stored.index,
                        at_ms: stored.at_ms,
                        historical: stored.historical,
                        report,
                    })
                })
                .collect::<Result<Vec<_>, Fault>>()
        })
        .await??;
        all.extend(parsed);
    }
}
