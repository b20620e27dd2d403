//! Statements and score tree of an epoch into the store before the epoch is logged, a chunk at a time.
//!
//! What is staged is nobody's until the commit of the epoch's entry makes it the epoch's, in the same transaction. Until then the writer
//! goes on beside it, and a crash leaves rows that no reader sees and that the next writer removes.

use std::sync::Arc;

use goodstanding_verify::merkle::Hash;

use super::{
    Explained,
    compute::{Making, Terms},
};
use crate::{
    code::{Code, Fault},
    ingest::blocking,
    store::{Error, Staged, StagingKey, Store},
};

/// An epoch whose rows are all staged.
#[derive(Clone, Copy, Debug)]
pub(super) struct Done {
    /// Whose they are.
    pub(super) key: StagingKey,
    /// How many statements.
    pub(super) statements: u64,
    /// Root of the score tree.
    pub(super) score_root: Hash,
}

/// Stages all rows of a scored epoch. Memory holds two chunks at most: one on its way to the store, and the next being made.
///
/// # Errors
/// `epoch.running` when what was staged was taken away meanwhile; `statement.malformed`, `claims.malformed`; the store's. Nothing stays
/// staged then, as far as the store can be reached.
pub(super) async fn all(
    store: &dyn Store,
    explained: &Arc<Explained>,
    terms: Terms,
) -> Result<Done, Fault> {
    let mut key = StagingKey([0; 16]);
    getrandom::fill(&mut key.0)
        .map_err(|e| Fault::new(Code::Internal, format!("no random bytes: {e}")))?;
    let staged = stage(store, explained, terms, key).await;
    if staged.is_err() {
        abandon(store, key).await;
    }
    staged
}

async fn stage(
    store: &dyn Store,
    explained: &Arc<Explained>,
    terms: Terms,
    key: StagingKey,
) -> Result<Done, Fault> {
    if store.claim_staging(Some(key)).await? > 0 {
        while !store.clear_staging(Some(key)).await? {}
    }
    let mut making = Making::new(explained.clone(), terms)?;
    let mut staged: Option<Staged> = None;
    loop {
        let next = blocking(move || {
            let part = making.next_part()?;
            Ok::<_, Fault>((making, part))
        });
        let write = async {
            match &staged {
                None => Ok(()),
                Some(part) => store.stage(key, part).await.map_err(Fault::from),
            }
        };
        let (next, written) = tokio::join!(next, write);
        written?;
        (making, staged) = next??;
        if staged.is_none() {
            break;
        }
    }
    Ok(Done {
        key,
        statements: making.statements(),
        score_root: making.root(),
    })
}

/// Removes what this computation staged, unless it was logged or is another one's by now. Without success the next epoch does, or
/// the next start.
pub(super) async fn abandon(store: &dyn Store, key: StagingKey) {
    loop {
        match store.clear_staging(Some(key)).await {
            Ok(true) | Err(Error::Unstaged) => return,
            Ok(false) => {}
            Err(error) => {
                tracing::warn!(%error, "rows of an epoch that was not logged are still there; the next epoch or start removes them");
                return;
            }
        }
    }
}
