//! What everybody in the process may know of the log without asking the one that writes.

use std::{
    collections::HashSet,
    sync::{Arc, OnceLock, RwLock},
};

use goodstanding_score::policy::Policy;
use goodstanding_verify::{
    did::Did,
    entry::{Body, Entry, KeyEntry},
    witness_policy::WitnessPolicy,
};
use tokio::sync::watch;

use super::WitnessReport;
use crate::{
    code::{Code, Fault},
    log::{
        cluster::Errands,
        end::{self, Ended},
        standing::Standing,
    },
    metrics::Metrics,
    store::{Head, Published, Store},
};

/// The policy in force.
#[derive(Clone, Debug)]
pub struct CurrentPolicy {
    /// Index of its entry.
    pub index: u64,
    /// Its version.
    pub version: u64,
    /// The policy.
    pub policy: Policy,
}

/// What everybody may know of the sequencer without asking it.
#[derive(Debug)]
pub struct Shared {
    /// The newest published checkpoint.
    pub published: watch::Receiver<Option<Published>>,
    /// The newest published checkpoint that the witness quorum cosigned; where no quorum is asked for, the newest of all.
    pub witnessed: watch::Receiver<Option<Published>>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Who has to cosign, for those who verify.
    pub witness_policy: WitnessPolicy,
    pub(in crate::log) witnesses: RwLock<Arc<WitnessReport>>,
    /// The newest signed head.
    pub head: watch::Receiver<Option<Head>>,
    pub(super) policy: RwLock<Option<Arc<CurrentPolicy>>>,
    pub(super) reached: RwLock<Arc<HashSet<Did>>>,
    pub(super) keys: RwLock<Arc<Vec<(u64, KeyEntry)>>>,
    pub(super) ended: RwLock<Option<Arc<Ended>>>,
    standing: Standing,
    errands: OnceLock<Arc<dyn Errands>>,
    pub(in crate::log) tell: Tell,
}

/// The other ends of what is watched.
#[derive(Debug)]
pub(in crate::log) struct Tell {
    pub(in crate::log) head: watch::Sender<Option<Head>>,
    pub(in crate::log) published: watch::Sender<Option<Published>>,
    pub(in crate::log) witnessed: watch::Sender<Option<Published>>,
}

impl Shared {
    /// What is known before the head was read.
    pub(in crate::log) fn new(
        published: Option<Published>,
        witnessed: Option<Published>,
        witness_policy: WitnessPolicy,
        witnesses: WitnessReport,
        metrics: Arc<Metrics>,
    ) -> Self {
        let (head, head_rx) = watch::channel(None);
        let (published, published_rx) = watch::channel(published);
        let (witnessed, witnessed_rx) = watch::channel(witnessed);
        Self {
            published: published_rx,
            witnessed: witnessed_rx,
            metrics,
            witness_policy,
            witnesses: RwLock::new(Arc::new(witnesses)),
            head: head_rx,
            policy: RwLock::default(),
            reached: RwLock::default(),
            keys: RwLock::default(),
            ended: RwLock::default(),
            standing: Standing::default(),
            errands: OnceLock::new(),
            tell: Tell {
                head,
                published,
                witnessed,
            },
        }
    }

    /// The policy in force; `None` before the log has one.
    pub fn policy(&self) -> Option<Arc<CurrentPolicy>> {
        self.policy.read().ok().and_then(|p| p.clone())
    }

    /// How the witnesses are doing; `None` only after a panic.
    pub fn witnesses(&self) -> Option<Arc<WitnessReport>> {
        self.witnesses.read().ok().map(|w| w.clone())
    }

    /// How this process stands among those that share the log.
    pub fn standing(&self) -> &Standing {
        &self.standing
    }

    /// Whether this process writes; always, unless several share a database.
    pub fn is_leading(&self) -> bool {
        self.standing.is_leading()
    }

    /// Who does for other processes, while this one writes, what the sequencer cannot. Once.
    pub fn set_errands(&self, errands: Arc<dyn Errands>) {
        let _ = self.errands.set(errands);
    }

    pub(in crate::log) fn errands(&self) -> Option<Arc<dyn Errands>> {
        self.errands.get().cloned()
    }

    /// Every key event of the log with its index, in order, published or not.
    pub fn keys(&self) -> Arc<Vec<(u64, KeyEntry)>> {
        self.keys.read().map(|k| k.clone()).unwrap_or_default()
    }

    /// That the log has ended, if it has.
    pub fn ended(&self) -> Option<Arc<Ended>> {
        self.ended.read().ok().and_then(|e| e.clone())
    }

    /// Refuses when the log has ended.
    ///
    /// # Errors
    /// `log.ended`, naming the successor.
    pub fn check_open(&self) -> Result<(), Fault> {
        match self.ended() {
            None => Ok(()),
            Some(ended) => Err(ended.refusal()),
        }
    }
}

impl Shared {
    /// Entries under the newest signed head.
    pub fn size(&self) -> u64 {
        self.head.borrow().as_ref().map_or(0, |head| head.size)
    }

    /// Reads from the store what the first `size` entries, those of the head, say.
    pub(in crate::log) async fn load(&self, store: &dyn Store, size: u64) -> Result<(), Fault> {
        self.load_end(store).await?;
        self.load_keys(store, size).await?;
        self.load_policy(store, size).await?;
        self.load_reached(store).await
    }

    pub(in crate::log) async fn load_end(&self, store: &dyn Store) -> Result<(), Fault> {
        let ended = store.meta(end::META).await?;
        let ended = ended.map(|text| Ended::parse(&text)).transpose()?;
        if let Ok(mut slot) = self.ended.write() {
            *slot = ended.map(Arc::new);
        }
        Ok(())
    }

    async fn load_keys(&self, store: &dyn Store, size: u64) -> Result<(), Fault> {
        let mut events = Vec::new();
        for (index, bytes) in store.events("key", size).await? {
            match Entry::parse(&bytes)?.body {
                Body::Key(event) => events.push((index, event)),
                _ => {
                    return Err(Fault::new(
                        Code::StoreCorrupt,
                        format!("entry {index} is not a key entry"),
                    ));
                }
            }
        }
        if let Ok(mut slot) = self.keys.write() {
            *slot = Arc::new(events);
        }
        Ok(())
    }

    /// What was just committed is known without reading it back: a key that was revoked must not sign once more.
    pub(super) fn learn_keys(&self, first: u64, events: &[KeyEntry]) {
        if let Ok(mut slot) = self.keys.write() {
            // After a commit of which nobody knew what became, they were read back already.
            if slot.last().is_some_and(|(newest, _)| *newest >= first) {
                return;
            }
            let mut all = slot.as_ref().clone();
            all.extend((first..).zip(events.iter().copied()));
            *slot = Arc::new(all);
        }
    }

    pub(super) async fn load_policy(&self, store: &dyn Store, size: u64) -> Result<(), Fault> {
        let entries = store.events("policy", size).await?;
        let current = match entries.last() {
            None => None,
            Some((index, bytes)) => match Entry::parse(bytes)?.body {
                Body::Policy { version, policy } => Some(Arc::new(CurrentPolicy {
                    index: *index,
                    version,
                    policy: Policy::parse(&policy)?,
                })),
                _ => {
                    return Err(Fault::new(
                        Code::StoreCorrupt,
                        "a policy row is not a policy entry",
                    ));
                }
            },
        };
        if let Ok(mut slot) = self.policy.write() {
            *slot = current;
        }
        Ok(())
    }

    pub(super) async fn load_reached(&self, store: &dyn Store) -> Result<(), Fault> {
        let mut reached: HashSet<Did> = store.reached().await?.into_iter().collect();
        // Trust roots are reached by definition, also before the first epoch.
        if let Some(policy) = self.policy() {
            reached.extend(policy.policy.seeds.iter().copied());
        }
        if let Ok(mut slot) = self.reached.write() {
            *slot = Arc::new(reached);
        }
        Ok(())
    }
}
