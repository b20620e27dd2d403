//! How a process stands that shares a log with others: whether it writes, why it could not, and why its answers are not to be had.

use std::{
    sync::{
        RwLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

use super::cluster::LEASE;
use crate::code::{Code, Fault};

/// How long nobody may be heard of who leads before it is told: a takeover takes one lease and a moment.
const PATIENCE: Duration = Duration::from_secs(LEASE.as_secs() * 3);

/// What it says of itself. A process that has its log to itself writes, and has nothing to say.
#[derive(Debug)]
pub struct Standing {
    leading: AtomicBool,
    unfit: RwLock<Option<Fault>>,
    refusal: RwLock<Option<Fault>>,
    /// When whoever leads was heard of.
    heard: RwLock<Instant>,
    /// Who has the lead's lock although nobody who leads is heard of.
    in_the_way: RwLock<Option<String>>,
}

impl Default for Standing {
    fn default() -> Self {
        Self {
            leading: AtomicBool::new(true),
            unfit: RwLock::default(),
            refusal: RwLock::default(),
            heard: RwLock::new(Instant::now()),
            in_the_way: RwLock::default(),
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

    /// How long nobody was heard of who leads; zero while this process does.
    pub fn silence(&self) -> Duration {
        if self.is_leading() {
            return Duration::ZERO;
        }
        let heard = self.heard.read();
        heard.map_or(Duration::ZERO, |heard| heard.elapsed())
    }

    /// That nobody writes to the log, if nobody who would was heard of for long.
    pub fn unled(&self) -> Option<Fault> {
        let silence = self.silence();
        if silence <= PATIENCE {
            return None;
        }
        let in_the_way = self.in_the_way.read().ok().and_then(|held| held.clone());
        let held = in_the_way.map_or(String::new(), |who| {
            format!("; the lock that whoever leads would need has {who}")
        });
        let detail = format!(
            "no process that writes was heard of for {} s{held}",
            silence.as_secs()
        );
        Some(Fault::new(Code::LogUnled, detail))
    }

    /// Somebody who leads said so that long ago.
    pub(in crate::log) fn heard(&self, ago: Duration) {
        let now = Instant::now();
        let at = now.checked_sub(ago);
        if let Ok(mut slot) = self.heard.write() {
            // Before this machine was started: long enough ago.
            *slot = at.unwrap_or_else(|| now.checked_sub(PATIENCE * 2).unwrap_or(*slot));
        }
    }

    pub(in crate::log) fn set_in_the_way(&self, who: Option<&str>) {
        if let Ok(mut slot) = self.in_the_way.write() {
            *slot = who.map(str::to_owned);
        }
    }

    pub(in crate::log) fn set_leading(&self, leading: bool) {
        self.heard(Duration::ZERO);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_leads_is_heard_of_until_three_leases_have_passed() {
        let standing = Standing::default();
        standing.heard(PATIENCE * 2);
        assert!(standing.unled().is_none(), "it leads itself");
        standing.set_leading(false);
        assert!(standing.unled().is_none(), "it led just now");
        standing.heard(PATIENCE * 2);
        standing.set_in_the_way(Some("pid 7"));
        let fault = standing.unled().unwrap();
        assert!(
            fault.is(Code::LogUnled) && fault.detail().contains("pid 7"),
            "{fault}"
        );
        standing.heard(LEASE);
        assert!(standing.unled().is_none());
        assert!(standing.silence() >= LEASE);
    }
}
