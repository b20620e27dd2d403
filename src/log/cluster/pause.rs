//! How long a process that took the lead and could not write keeps away from it.

use std::time::Duration;

use tokio::time::Instant;

/// The first pause, at most: whoever can write looks for the lead more often than that.
const FIRST: Duration = Duration::from_secs(2);
/// Each is twice as long as the one before it, up to 2^4 times the first: half a minute.
const DOUBLINGS: u32 = 4;

/// The pause, growing with every failure.
#[derive(Debug, Default)]
pub(super) struct Pause {
    failures: u32,
    until: Option<Instant>,
    is_due: bool,
}

impl Pause {
    /// After another failure. `random`: any number, so that processes which failed together do not try together.
    pub(super) fn failed(&mut self, random: u16) -> Duration {
        let length = length(self.failures, random);
        self.failures = self.failures.saturating_add(1);
        self.until = Some(Instant::now() + length);
        self.is_due = true;
        length
    }

    /// After it went well.
    pub(super) fn end(&mut self) {
        *self = Self::default();
    }

    /// After what failed would have gone well. That the next pause is longer stays.
    pub(super) fn rehearsed(&mut self) {
        self.is_due = false;
    }

    /// Whether a rehearsal is due before the lead is taken.
    pub(super) fn is_due(&self) -> bool {
        self.is_due
    }

    /// Whether to keep away now.
    pub(super) fn lasts(&self) -> bool {
        self.until.is_some_and(|until| Instant::now() < until)
    }
}

/// Between half of the whole and the whole.
fn length(failures: u32, random: u16) -> Duration {
    let half = FIRST * 2_u32.pow(failures.min(DOUBLINGS)) / 2;
    half + half * u32::from(random) / u32::from(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_bound_and_are_not_all_alike() {
        let bounds = |failures| [0, u16::MAX].map(|random| length(failures, random).as_secs());
        assert_eq!(
            [0, 1, 2, 3, 4, 5].map(bounds),
            [[1, 2], [2, 4], [4, 8], [8, 16], [16, 32], [16, 32]]
        );
        assert_eq!(length(u32::MAX, u16::MAX), Duration::from_secs(32));
        let mut pause = Pause::default();
        assert!(!pause.lasts() && !pause.is_due());
        let lengths: Vec<_> = (0..3).map(|n| pause.failed(n * 30_000)).collect();
        assert!(
            lengths.windows(2).all(|pair| pair[0] < pair[1]),
            "{lengths:?}"
        );
        assert!(pause.lasts() && pause.is_due());
        pause.rehearsed();
        assert!(pause.lasts() && !pause.is_due());
        assert!(
            pause.failed(0) > lengths[2] / 2,
            "not the first pause again"
        );
        pause.end();
        assert!(!pause.lasts() && !pause.is_due());
    }
}
