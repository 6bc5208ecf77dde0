//! The uplink of one vault, shared by everything that sends to it: a [`Bucket`] with a clock and the waiting.
//!
//! Network bodies await a grant, folder copies wait for one on their thread; either way nobody waits longer than
//! [`LOOK`] before asking again, so that a new limit, a pause or a resume is felt at once. Holds no durable state:
//! after a death the next start begins with an empty bucket, never with a burst.

use crate::clock::{Clock, Steady};
use crate::error::Result;
use crate::model::Rate;
use crate::uplink::{Bucket, Grant};
use crate::worker::Stop;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

/// Longest wait before asking again.
const LOOK: Duration = Duration::from_millis(200);
/// The shown rate is the mean over so many whole seconds.
const SECONDS: usize = 8;

/// One uplink. Cloned into everything that sends to the vault.
#[derive(Clone, Debug)]
pub struct Throttle(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
    total: AtomicU64,
}

#[derive(Debug)]
struct State {
    bucket: Bucket,
    flow: Flow,
    meter: Meter,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flow {
    Open,
    Paused,
}

impl Throttle {
    pub fn new(rate: Option<Rate>, clock: Arc<dyn Clock>) -> Self {
        let now = clock.steady();
        let state = State { bucket: Bucket::new(rate, now), flow: Flow::Open, meter: Meter::new(now) };
        Self(Arc::new(Inner { clock, state: Mutex::new(state), total: AtomicU64::new(0) }))
    }

    /// A new limit, felt at once by what is on its way; None for no limit.
    pub fn set(&self, rate: Option<Rate>) {
        let now = self.0.clock.steady();
        self.state().bucket.set(rate, now);
    }
    pub fn rate(&self) -> Option<Rate> {
        self.state().bucket.rate()
    }
    /// Nothing more goes until [`resume`](Self::resume); bodies on their way stand still.
    pub fn pause(&self) {
        self.state().flow = Flow::Paused;
    }
    pub fn resume(&self) {
        self.state().flow = Flow::Open;
    }
    pub fn paused(&self) -> bool {
        self.state().flow == Flow::Paused
    }

    /// Takes up to `want` bytes and counts them as sent, or says how long to wait before asking again.
    pub fn take(&self, want: u64) -> Grant {
        let now = self.0.clock.steady();
        let mut state = self.state();
        if state.flow == Flow::Paused {
            return Grant::Wait(LOOK);
        }
        match state.bucket.take(want, now) {
            Grant::Go(n) => {
                state.meter.count(n, now);
                self.0.total.fetch_add(n, Ordering::Relaxed);
                Grant::Go(n)
            }
            Grant::Wait(by) => Grant::Wait(by.min(LOOK)),
        }
    }

    /// Blocks until some of `want` may go; Stopping when asked to stop.
    pub fn wait(&self, want: u64, stop: &Stop) -> Result<u64> {
        loop {
            stop.check()?;
            match self.take(want) {
                Grant::Go(n) => return Ok(n),
                Grant::Wait(by) => {
                    stop.wait(by);
                }
            }
        }
    }

    /// Blocks until all `bytes` may be called sent.
    pub fn wait_all(&self, bytes: u64, stop: &Stop) -> Result<()> {
        let mut left = bytes;
        while left > 0 {
            left -= self.wait(left, stop)?;
        }
        Ok(())
    }

    /// Counts bytes that go without waiting (the heads of requests); later ones wait for them.
    pub fn charge(&self, bytes: u64) {
        let now = self.0.clock.steady();
        self.state().bucket.charge(bytes, now);
    }

    /// Bytes of bodies sent so far, retries included.
    pub fn sent_bytes(&self) -> u64 {
        self.0.total.load(Ordering::Relaxed)
    }

    /// Mean of the last seconds, bytes per second.
    pub fn rate_bytes_per_s(&self) -> u64 {
        let now = self.0.clock.steady();
        self.state().meter.mean(now)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().expect("throttle lock")
    }
}

/// Bytes by whole second of the steady clock: a ring of the last [`SECONDS`] and the one that runs.
#[derive(Debug)]
struct Meter {
    second: u64,
    began: u64,
    bytes: [u64; SECONDS + 1],
}

impl Meter {
    fn new(now: Steady) -> Self {
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
    fn count(&mut self, n: u64, now: Steady) {
        self.roll(now);
        self.bytes[Self::slot(self.second)] += n;
    }
    fn mean(&mut self, now: Steady) -> u64 {
        self.roll(now);
        let running = self.bytes[Self::slot(self.second)];
        let whole = (self.second - self.began).min(SECONDS as u64);
        if whole == 0 {
            return running;
        }
        (self.bytes.iter().sum::<u64>() - running) / whole
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{ManualClock, Wall};

    fn rate(n: u64) -> Option<Rate> {
        Rate::bytes_per_second(n)
    }

    #[test]
    fn the_shown_rate_is_what_went_out_in_the_last_seconds() {
        let clock = ManualClock::at(Wall(0));
        let throttle = Throttle::new(None, clock.clone());
        for _ in 0..20 {
            assert_eq!(throttle.take(500), Grant::Go(500));
            clock.advance(Duration::from_millis(500));
        }
        assert_eq!(throttle.rate_bytes_per_s(), 1000);
        clock.advance(Duration::from_secs(60));
        assert_eq!(throttle.rate_bytes_per_s(), 0);
        assert_eq!(throttle.sent_bytes(), 10_000);
    }

    #[test]
    fn everything_that_shares_a_throttle_shares_its_limit() {
        let clock = ManualClock::at(Wall(0));
        let throttle = Throttle::new(rate(1_000_000), clock.clone());
        let mut sent = 0;
        for _ in 0..1000 {
            clock.advance(Duration::from_millis(10));
            for user in [throttle.clone(), throttle.clone(), throttle.clone()] {
                while let Grant::Go(n) = user.take(10_000) {
                    sent += n;
                }
            }
        }
        assert!((9_700_000..=10_050_000).contains(&sent), "{sent}");
    }

    #[test]
    fn a_pause_holds_everything_and_a_resume_brings_no_burst() {
        let clock = ManualClock::at(Wall(0));
        let throttle = Throttle::new(rate(20_000), clock.clone());
        throttle.pause();
        clock.advance(Duration::from_secs(100));
        assert!(matches!(throttle.take(1), Grant::Wait(_)));
        throttle.resume();
        let mut sent = 0;
        while let Grant::Go(n) = throttle.take(1 << 20) {
            sent += n;
        }
        assert!(sent <= crate::uplink::slice(rate(20_000).unwrap()), "{sent}");
    }

    #[test]
    fn a_wait_ends_when_asked_to_stop() {
        let throttle = Throttle::new(rate(1), ManualClock::at(Wall(0)));
        let stop = Stop::new();
        stop.ask();
        assert_eq!(throttle.wait(5, &stop).unwrap_err().kind(), crate::error::Kind::Stopping);
    }
}
