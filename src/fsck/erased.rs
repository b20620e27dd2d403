//! What the database says of erased reports, against the entries that erased them.

use std::collections::BTreeMap;

use goodstanding_verify::{
    b64,
    entry::{Body, Entry},
};

use super::{Findings, walk::Told};
use crate::{
    code::Code,
    store::{
        Error,
        snapshot::{ErasedRow, Snapshot},
    },
};

/// Rows fetched at a time.
const PAGE: u32 = 1000;

/// Which reports the log's entries erase.
async fn entries(snapshot: &mut dyn Snapshot, told: &mut Told) -> Result<(), Error> {
    let mut from = 0;
    loop {
        let page = snapshot.events("erasure", from, PAGE).await?;
        let Some((last, _)) = page.last() else {
            return Ok(());
        };
        from = last.saturating_add(1);
        for (index, bytes) in page {
            if let Ok(Entry {
                body: Body::Erasure { of, .. },
                ..
            }) = Entry::parse(&bytes)
            {
                told.erased.insert(of.0, index);
            }
        }
    }
}

/// The erased reports that the database knows and the log confirms, by index. Whatever does not agree is named.
pub(super) async fn read(
    snapshot: &mut dyn Snapshot,
    told: &mut Told,
    findings: &mut Findings,
) -> Result<BTreeMap<u64, [u8; 32]>, Error> {
    entries(snapshot, told).await?;
    let mut gone = BTreeMap::new();
    let mut unexplained = told.erased.clone();
    let mut rows = Vec::new().into_iter();
    let mut from = 0;
    loop {
        let Some(ErasedRow { idx: index, id, by }) = rows.next() else {
            rows = snapshot.erased(from, PAGE).await?.into_iter();
            match rows.as_slice().last() {
                Some(last) => from = last.idx.saturating_add(1),
                None => break,
            }
            continue;
        };
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
