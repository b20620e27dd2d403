//! The end of a log, which stands in three places: the setting, the file beside the database, and the signed notice in both.

use std::io;

use goodstanding_verify::{keyring::KeyRing, merkle::Hash, note::VerifierKey, successor::Notice};

use super::Findings;
use crate::{
    code::Code,
    log::end::{self, Ended, Named},
    store::{Error, snapshot::Snapshot},
};

/// The log as it was read.
pub(super) struct Log<'a> {
    /// Its key, where that is known.
    pub(super) key: Option<&'a VerifierKey>,
    /// All keys that it announced.
    pub(super) ring: &'a KeyRing,
    /// Number of entries.
    pub(super) size: u64,
    /// Root of the tree over them.
    pub(super) root: Hash,
}

/// Checks the end of the log; `file` is what stands in `log.ended`.
///
/// That may be missing: it is made by the next start, and a backup has none.
pub(super) async fn check(
    file: io::Result<Option<String>>,
    snapshot: &mut dyn Snapshot,
    log: &Log<'_>,
    findings: &mut Findings,
) -> Result<(), Error> {
    let mut wrong = |place: &str, why: String| findings.add(Code::FsckEnd, place, why);
    let setting = format!("setting {}", end::META);
    let file = file.unwrap_or_else(|error| {
        wrong(end::FILE, error.to_string());
        None
    });
    let Some(text) = snapshot.meta(end::META).await? else {
        if file.is_some() {
            let why = "says that the log has ended, and the database is from before that";
            wrong(end::FILE, why.to_owned());
        }
        return Ok(());
    };
    let ended = match Ended::parse(&text) {
        Ok(ended) => ended,
        Err(fault) => {
            wrong(&setting, fault.detail().to_owned());
            return Ok(());
        }
    };
    if file.is_some_and(|notice| notice != ended.notice) {
        wrong(
            end::FILE,
            "is not the notice that the database has".to_owned(),
        );
    }
    let (Some(key), Some(iss)) = (log.key, snapshot.meta("issuer").await?) else {
        return Ok(());
    };
    let notice = match Notice::verify_by_ring(&ended.notice, log.ring, &iss, &key.to_string()) {
        Ok(notice) => notice,
        Err(error) => {
            wrong(&setting, format!("the notice: {error}"));
            return Ok(());
        }
    };
    if (notice.size, notice.root.0) != (log.size, log.root) {
        let why = format!(
            "the notice says that the log ended with {} entries and root {}",
            notice.size,
            notice.root.to_std()
        );
        wrong(&setting, why);
    }
    let successor = notice.successor.as_ref().map(Named::from);
    if (notice.reason.as_str(), &successor) != (ended.reason.as_str(), &ended.successor) {
        let why = "reason or successor are not those of the signed notice";
        wrong(&setting, why.to_owned());
    }
    Ok(())
}
