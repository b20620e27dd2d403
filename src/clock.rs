//! The one place that reads the clock, so that tests can turn it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

/// Where the time comes from.
#[derive(Clone, Debug)]
pub enum Clock {
    /// The system's clock.
    System,
    /// A clock that stands still until it is moved; Unix milliseconds.
    Manual(Arc<AtomicU64>),
}

impl Clock {
    /// A clock that stands at `ms` Unix milliseconds.
    pub fn manual(ms: u64) -> Self {
        Self::Manual(Arc::new(AtomicU64::new(ms)))
    }

    /// Moves a manual clock; the system's stays as it is.
    pub fn set_ms(&self, ms: u64) {
        if let Self::Manual(now) = self {
            now.store(ms, Ordering::SeqCst);
        }
    }

    /// Unix milliseconds; 0 when the system's clock stands before 1970.
    pub fn now_ms(&self) -> u64 {
        match self {
            Self::System => SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .ok()
                .and_then(|d| u64::try_from(d.as_millis()).ok())
                .unwrap_or(0),
            Self::Manual(now) => now.load(Ordering::SeqCst),
        }
    }

    /// Unix seconds.
    pub fn now_s(&self) -> u64 {
        self.now_ms() / 1000
    }
}
