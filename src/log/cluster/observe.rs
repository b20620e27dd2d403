//! What a process that does not write reads of what the other writes, and when it believes none of it.

use goodstanding_verify::checkpoint::{Checkpoint, SignedCheckpoint};

use super::follow::Following;
use crate::{
    code::{Code, Fault},
    log::{
        prove::edge,
        sequencer::{is_witnessed, newest_witnessed},
    },
    store::{Head, Published},
};

impl Following {
    /// Reads what was written since. A log that contradicts what this process saw is not passed on, by nobody here, before it does
    /// no longer.
    ///
    /// # Errors
    /// `store.unavailable`; `store.corrupt`, `log.behind_guard` or `data.other_copy` when the log does not extend what was seen
    /// or published.
    pub(super) async fn observe(&mut self) -> Result<(), Fault> {
        let read = self.read_on().await;
        let standing = self.shared.standing();
        match &read {
            Ok(()) => {
                if standing.believe() {
                    tracing::info!("the database is the log that was seen again");
                }
            }
            Err(fault) if contradicts(fault) => {
                if standing.refuse(fault) {
                    tracing::error!(code = fault.code(), error = %fault, "nothing is passed on any more");
                }
            }
            Err(fault) => {
                tracing::warn!(code = fault.code(), error = %fault, "the log cannot be followed");
            }
        }
        read
    }

    async fn read_on(&mut self) -> Result<(), Fault> {
        if let Some(fault) = &self.other_past {
            return Err(fault.clone());
        }
        let store = self.parts.store.as_ref();
        let head = store.head().await?;
        let known = self.shared.head.borrow().clone();
        if !self.is_held {
            self.hold_guard(head.as_ref()).await?;
            self.is_held = true;
        }
        let is_new = head != known;
        if is_new {
            self.check_head(head.as_ref(), known.as_ref()).await?;
        }
        let mut published = store.published().await?;
        let was_published = published != *self.shared.published.borrow();
        if was_published {
            // The guard follows the database, and may be another process's too: what it says first, the database says after.
            let promised = self.parts.guard.read()?;
            published = store.published().await?;
            self.check_published(published.as_ref(), promised).await?;
        }
        // Nothing is learnt of a log before all of it is believed.
        if is_new {
            let size = head.as_ref().map_or(0, |head| head.size);
            self.shared.load(store, size).await?;
            self.shared.tell.head.send_replace(head);
        } else {
            // The end of a log is no entry.
            self.shared.load_end(store).await?;
        }
        if was_published {
            self.learn_published(published).await?;
        }
        Ok(())
    }

    /// The database has what this process's own guard promised, also where this process never writes; a process that has no guard yet,
    /// or an older one, gets what is published.
    async fn hold_guard(&self, head: Option<&Head>) -> Result<(), Fault> {
        let (store, size) = (self.parts.store.as_ref(), head.map_or(0, |head| head.size));
        let promised = self.parts.guard.read()?;
        if let Some(promised) = &promised
            && (size < promised.size || edge(store, promised.size).await?.root() != promised.root)
        {
            let detail = format!(
                "the database ends at {size} entries, and {} were published, or others than it has; name the database that published them, or restore a newer copy of it",
                promised.size
            );
            return Err(Fault::new(Code::LogBehindGuard, detail));
        }
        let Some(published) = store.published().await? else {
            return Ok(());
        };
        SignedCheckpoint::parse(&published.note)?.verify_log(&self.parts.signer.verifier()?)?;
        if promised.is_none_or(|promised| promised.size < published.size) {
            self.parts.guard.write(&published)?;
        }
        Ok(())
    }

    /// A log that does not extend what was seen lost something.
    async fn check_head(&self, head: Option<&Head>, known: Option<&Head>) -> Result<(), Fault> {
        if let Some(head) = head
            && !self
                .parts
                .signer
                .is_checkpoint(head.size, &head.root, &head.note)
        {
            let detail = format!(
                "the head of {} entries is not signed by this log",
                head.size
            );
            return Err(Fault::new(Code::StoreCorrupt, detail));
        }
        let Some(&Head { size, root, .. }) = known else {
            return Ok(());
        };
        let store = self.parts.store.as_ref();
        let still = head.is_some_and(|head| head.size >= size);
        if still && edge(store, size).await?.root() == root {
            return Ok(());
        }
        let detail =
            format!("the database lost entries: {size} were seen, and it has fewer or others");
        Err(Fault::new(Code::StoreCorrupt, detail))
    }

    /// What is published extends what this process's own guard says.
    async fn check_published(
        &self,
        published: Option<&Published>,
        promised: Option<Checkpoint>,
    ) -> Result<(), Fault> {
        let size = published.map_or(0, |p| p.size);
        let Some(promised) = promised else {
            return Ok(());
        };
        let store = self.parts.store.as_ref();
        if size >= promised.size && edge(store, promised.size).await?.root() == promised.root {
            return Ok(());
        }
        let detail = format!(
            "the database has {size} published entries, and this process saw another tree of {} published",
            promised.size
        );
        Err(Fault::new(Code::LogBehindGuard, detail))
    }

    async fn learn_published(&self, published: Option<Published>) -> Result<(), Fault> {
        let Some(published) = published else {
            return Ok(());
        };
        SignedCheckpoint::parse(&published.note)?.verify_log(&self.parts.signer.verifier()?)?;
        let policy = &self.parts.witnesses.policy;
        let witnessed = if is_witnessed(&published.note, policy) {
            Some(published.clone())
        } else {
            newest_witnessed(self.parts.store.as_ref(), policy).await?
        };
        self.parts.guard.write(&published)?;
        self.shared.tell.witnessed.send_replace(witnessed);
        self.shared.tell.published.send_replace(Some(published));
        Ok(())
    }
}

/// Whether this is the database's word against what was seen. That it cannot be asked is not.
pub(super) fn contradicts(fault: &Fault) -> bool {
    let silent = [
        Code::StoreUnavailable,
        Code::StoreUnsupported,
        Code::Internal,
    ];
    !silent.iter().any(|code| fault.is(*code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_no_contradiction() {
        for (code, is) in [
            (Code::StoreUnavailable, false),
            (Code::StoreUnsupported, false),
            (Code::StoreCorrupt, true),
            (Code::LogBehindGuard, true),
            (Code::DataOtherCopy, true),
        ] {
            assert_eq!(contradicts(&Fault::new(code, "")), is, "{code:?}");
        }
        let unsigned = Fault::from(SignedCheckpoint::parse("no note").unwrap_err());
        assert!(contradicts(&unsigned), "{unsigned}");
    }
}
