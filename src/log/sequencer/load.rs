//! What the sequencer reads back from the store before it writes, and what the store must not have lost.

use goodstanding_verify::checkpoint::SignedCheckpoint;

use super::Sequencer;
use crate::{
    code::{Code, Fault},
    log::{plan::State, prove::edge},
    store::Head,
};

impl Sequencer {
    /// Reloads what an earlier failure left in doubt.
    pub(super) async fn refresh(&mut self) -> Result<(), Fault> {
        if self.stale {
            self.reload().await?;
        }
        Ok(())
    }

    /// Loads again after something of which the outcome is not known. What the store shows now may be what it did not make durable, and anything
    /// that it shows may be acknowledged from here on: so a commit of this turn comes after it first.
    pub(super) async fn reload(&mut self) -> Result<(), Fault> {
        let head = self.store.head().await?;
        let state = self.check(head.as_ref()).await?;
        if let Some(head) = &head {
            self.store.confirm(head).await?;
        }
        self.adopt(head, state).await
    }

    /// Loads at the start, of a turn too, which began with a commit.
    pub(super) async fn load(&mut self) -> Result<(), Fault> {
        let head = self.store.head().await?;
        let state = self.check(head.as_ref()).await?;
        self.adopt(head, state).await
    }

    /// Reads the edge of the tree back from the store and checks that it belongs to the head and to what was known before.
    async fn check(&self, head: Option<&Head>) -> Result<State, Fault> {
        self.check_forward(head).await?;
        Ok(match head {
            None => State::default(),
            Some(head) => {
                let edge = edge(self.store.as_ref(), head.size).await?;
                if edge.root() != head.root
                    || !self.signer.is_checkpoint(head.size, &head.root, &head.note)
                {
                    let detail = format!(
                        "the tiles of size {} do not add up to the signed root",
                        head.size
                    );
                    return Err(Fault::new(Code::StoreCorrupt, detail));
                }
                State {
                    edge,
                    at_ms: head.at_ms,
                    begun: true,
                }
            }
        })
    }

    async fn adopt(&mut self, head: Option<Head>, state: State) -> Result<(), Fault> {
        self.state = state;
        let size = head.as_ref().map_or(0, |head| head.size);
        self.shared.tell.head.send_replace(head);
        self.shared.load(self.store.as_ref(), size).await?;
        self.stale = false;
        Ok(())
    }

    /// What this process saw committed may have been acknowledged: a store that is behind it, or has another tree, lost it.
    async fn check_forward(&self, head: Option<&Head>) -> Result<(), Fault> {
        let size = head.map_or(0, |head| head.size);
        let (known, root) = (self.state.edge.size(), self.state.edge.root());
        let same = size >= known && edge(self.store.as_ref(), known).await?.root() == root;
        if same {
            return Ok(());
        }
        let detail = format!(
            "the database lost entries that were committed: {known} were known, it has {size} or others"
        );
        Err(Fault::new(Code::StoreCorrupt, detail))
    }

    /// Refuses a database that is behind, or has another tree than, what the guard and its own last publishing promised.
    pub(super) async fn check_guard(&self) -> Result<(), Fault> {
        let size = self.state.edge.size();
        let published = self.shared.published.borrow().clone();
        let published = published
            .map(|p| SignedCheckpoint::parse(&p.note).map(|s| s.checkpoint().clone()))
            .transpose()?;
        for promised in self.guard.read()?.into_iter().chain(published) {
            let promised_size = promised.size;
            if size < promised_size {
                let detail = format!(
                    "the database ends at {size} entries, but {promised_size} were published; restore a newer copy of it, or end this log and name its successor"
                );
                return Err(Fault::new(Code::LogBehindGuard, detail));
            }
            if edge(self.store.as_ref(), promised_size).await?.root() != promised.root {
                let detail = format!(
                    "the database has another tree of {promised_size} entries than the one that was published; put the database that published it back"
                );
                return Err(Fault::new(Code::LogBehindGuard, detail));
            }
        }
        Ok(())
    }

    /// After a crash between publishing in the database and in the guard, the guard catches up.
    pub(super) fn renew_guard(&self) -> Result<(), Fault> {
        let published = self.shared.published.borrow().clone();
        match published {
            Some(published) if self.guard.read()?.is_none_or(|g| g.size < published.size) => {
                self.guard.write(&published)
            }
            _ => Ok(()),
        }
    }
}
