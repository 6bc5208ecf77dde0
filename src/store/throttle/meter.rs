//! How fast it went lately, for people.

use crate::clock::Steady;

/// The shown rate is the mean over so many whole seconds.
const SECONDS: usize = 8;

/// Bytes by whole second of the steady clock: a ring of the last [`SECONDS`] and the one that runs.
#[derive(Debug)]
pub(super) struct Meter {
    second: u64,
    began: u64,
    bytes: [u64; SECONDS + 1],
}

impl Meter {
    pub(super) fn new(now: Steady) -> Self {
        Self { second: now.0.as_secs(), began: now.0.as_secs(), bytes: [0; SECONDS + 1] }
    }
    fn slot(second: u64) -> usize {
        usize::try_from(second % (SECONDS as u64 + 1)).expect("below the ring's length")
    }
    fn roll(&mut self, now: Steady) {
        let second = now.0.as_secs();
        for passed in 0..second.saturating_sub(self.second).min(SECONDS as u64 + 1) {
            self.bytes[Self::slot(second - passed)] = 0;
        }
        self.second = self.second.max(second);
    }
    pub(super) fn count(&mut self, n: u64, now: Steady) {
        self.roll(now);
        self.bytes[Self::slot(self.second)] += n;
    }
    /// As [`mean`](Self::mean), but what began a moment ago is not made less by the rest before it.
    pub(super) fn lately(&mut self, now: Steady) -> u64 {
        let mean = self.mean(now);
        let last = self.second.checked_sub(1).map_or(0, |second| self.bytes[Self::slot(second)]);
        mean.max(last).max(self.bytes[Self::slot(self.second)])
    }
    /// Bytes per second.
    pub(super) fn mean(&mut self, now: Steady) -> u64 {
        self.roll(now);
        let running = self.bytes[Self::slot(self.second)];
        let whole = (self.second - self.began).min(SECONDS as u64);
        if whole == 0 {
            return running;
        }
        (self.bytes.iter().sum::<u64>() - running) / whole
    }
}
