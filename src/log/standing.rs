//! How a process stands that shares a log with others: whether it writes, why it could not, and why its answers are not to be had.

use std::sync::{
    RwLock,
    atomic::{AtomicBool, Ordering},
};

use crate::code::{Code, Fault};

/// What it says of itself. A process that has its log to itself writes, and has nothing to say.
#[derive(Debug)]
pub struct Standing {
    leading: AtomicBool,
    unfit: RwLock<Option<Fault>>,
    refusal: RwLock<Option<Fault>>,
}

impl Default for Standing {
    fn default() -> Self {
        Self {
            leading: AtomicBool::new(true),
            unfit: RwLock::default(),
            refusal: RwLock::default(),
        }
    }
}

impl Standing {
    /// Whether this process writes; always, unless several share a database.
    pub fn is_leading(&self) -> bool {
        self.leading.load(Ordering::Acquire)
    }

    /// Why it gave the lead back when it had it last, or did not take it; `None` if nothing was in the way.
    pub fn unfit(&self) -> Option<Fault> {
        self.unfit.read().ok().and_then(|fault| fault.clone())
    }

    /// Why nothing that the database says now is passed on: it is not the log that this process has seen.
    pub fn refusal(&self) -> Option<Fault> {
        self.refusal.read().ok().and_then(|fault| fault.clone())
    }

    pub(in crate::log) fn set_leading(&self, leading: bool) {
        self.leading.store(leading, Ordering::Release);
    }

    pub(in crate::log) fn set_unfit(&self, fault: Option<&Fault>) {
        if let Ok(mut slot) = self.unfit.write() {
            *slot = fault.cloned();
        }
    }

    /// Nothing more is passed on. Returns whether that is news.
    pub(in crate::log) fn refuse(&self, found: &Fault) -> bool {
        let detail = format!("{}: {}", found.code(), found.detail());
        let fault = Fault::new(Code::LogContradicted, detail);
        match self.refusal.write() {
            Ok(mut slot) => slot.replace(fault).is_none(),
            Err(_) => false,
        }
    }

    /// The database is the one that was seen. Returns whether that is news.
    pub(in crate::log) fn believe(&self) -> bool {
        self.refusal
            .write()
            .is_ok_and(|mut slot| slot.take().is_some())
    }
}
