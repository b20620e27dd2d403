//! Whether a copy is the log that it was made of.

use crate::{
    code::{Code, Fault},
    store::snapshot::{HeadRow, Snapshot},
};

/// Epoch entries of one page.
const PAGE: u32 = 500;

/// The head.
pub(super) async fn head(of: &mut dyn Snapshot) -> Result<HeadRow, Fault> {
    let head = of.head().await?;
    head.ok_or_else(|| Fault::new(Code::StoreCorrupt, "the copy has no head"))
}

/// Compares head, newest publishing, and every epoch with its score root. The head's root stands for all entries.
///
/// # Errors
/// `store.corrupt` with what differs.
pub(super) async fn same(from: &mut dyn Snapshot, to: &mut dyn Snapshot) -> Result<(), Fault> {
    let differs =
        |what: &str| Fault::new(Code::StoreCorrupt, format!("the copy has another {what}"));
    if from.head().await? != to.head().await? {
        return Err(differs("head"));
    }
    if from.published().await? != to.published().await? {
        return Err(differs("published checkpoint"));
    }
    let mut next = 0;
    loop {
        // The entry of an epoch has its root.
        let entries = from.events("epoch", next, PAGE).await?;
        if entries != to.events("epoch", next, PAGE).await? {
            return Err(differs("epoch"));
        }
        let Some((last, _)) = entries.last() else {
            break;
        };
        next = last.saturating_add(1);
    }
    let mut next = 0;
    loop {
        let epochs = from.epochs(next, PAGE).await?;
        if epochs != to.epochs(next, PAGE).await? {
            return Err(differs("row of an epoch"));
        }
        let Some(last) = epochs.last() else {
            return Ok(());
        };
        next = last.number.saturating_add(1);
    }
}
