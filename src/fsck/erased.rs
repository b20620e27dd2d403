//! What the database says of erased reports, against the entries that erased them.

use std::collections::BTreeMap;

use goodstanding_verify::b64;

use super::{Findings, walk::Told};
use crate::{
    code::Code,
    store::{Error, sqlite::snapshot::Snapshot},
};

/// The erased reports that the database knows and the log confirms, by index. Whatever does not agree is named.
pub(super) async fn read(
    snapshot: &mut Snapshot,
    told: &mut Told,
    findings: &mut Findings,
) -> Result<BTreeMap<u64, [u8; 32]>, Error> {
    let mut gone = BTreeMap::new();
    let mut unexplained = told.erased.clone();
    for (index, id, by) in snapshot.erased().await? {
        let place = format!("erased report {index} ({})", b64::url_encode(&id));
        let id = <[u8; 32]>::try_from(id.as_slice()).ok();
        match id.and_then(|id| Some((id, unexplained.remove(&id)?))) {
            Some((id, entry)) if entry == by => {
                gone.insert(index, id);
            }
            Some((id, entry)) => {
                gone.insert(index, id);
                let detail = format!("column by says {by}, the entry that erased it is {entry}");
                findings.add(Code::FsckErasure, place, detail);
            }
            None => findings.add(Code::FsckErasure, place, "no entry erased it"),
        }
    }
    for (id, entry) in &unexplained {
        let detail = format!(
            "it erased report {}, and the database does not know",
            b64::url_encode(id)
        );
        findings.add(Code::FsckErasure, format_args!("entry {entry}"), detail);
    }
    told.first_erased = gone.keys().next().copied();
    Ok(gone)
}
