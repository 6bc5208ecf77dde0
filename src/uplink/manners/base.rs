//! How long the empty way takes: the lowest round-trip time of the last minutes, in buckets as LEDBAT keeps them.
//!
//! Only time in which we were heard counts: an idle night neither teaches nor forgets. While somebody else's queue
//! stands, the memory ages slower, so that an evening of somebody's upload is not learnt as the way itself. A time
//! that moved a little and then stays within a few milliseconds for a minute is a new way (another route), not a queue:
//! short queues that others fill go up and down. Any other new way is learnt within an hour of use.

/// Minutes remembered: BASE_HISTORY of RFC 6817.
const BUCKETS: usize = 10;
const BUCKET_S: f64 = 60.0;
/// The same while we give way, seconds.
const BUCKET_SLOW_S: f64 = 360.0;
/// A time this steady, seconds or share of it, for so long is a way and not a queue.
const STEADY_S: f64 = 0.003;
const STEADY_SHARE: f64 = 0.04;
const STEADY_FOR_S: f64 = 60.0;
/// And only if it is no more than this above the old one, seconds: a deep queue that is full all the time is steady too.
const STEADY_MOST_S: f64 = 0.150;
/// The lowest of so many seconds counts as one time in that.
const LOOK_S: f64 = 5.0;

/// Whether the queue is one we would give way to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Free,
    Taken,
}

#[derive(Clone, Debug)]
pub(super) struct Base {
    /// Newest first; infinite where nothing was heard.
    lowest: [f64; BUCKETS],
    /// Share of the newest bucket that is over.
    filled: f64,
    steady: Spell,
}

/// A stretch of time in which the round-trip times lay between two values.
#[derive(Clone, Copy, Debug)]
struct Spell {
    low: f64,
    high: f64,
    seconds: f64,
    /// The lowest of the look that runs, and how long it has been running.
    lowest: f64,
    looked: f64,
}

impl Spell {
    const NONE: Self = Self { low: f64::INFINITY, high: 0.0, seconds: 0.0, lowest: f64::INFINITY, looked: 0.0 };

    fn add(&mut self, rtt: f64, seconds: f64) {
        self.lowest = self.lowest.min(rtt);
        self.looked += seconds;
        if self.looked < LOOK_S {
            return;
        }
        let (low, high) = (self.low.min(self.lowest), self.high.max(self.lowest));
        let seen = Self { low: self.lowest, high: self.lowest, ..Self::NONE };
        let same = high - low <= STEADY_S.max(low * STEADY_SHARE);
        *self = if same { Self { low, high, seconds: self.seconds + self.looked, ..Self::NONE } } else { seen };
    }
}

impl Base {
    pub fn new() -> Self {
        Self { lowest: [f64::INFINITY; BUCKETS], filled: 0.0, steady: Spell::NONE }
    }

    /// Seconds; None before anything was heard.
    pub fn get(&self) -> Option<f64> {
        Some(self.lowest.iter().copied().fold(f64::INFINITY, f64::min)).filter(|s| s.is_finite())
    }

    /// The lowest time of the last `seconds` in which we were heard.
    pub fn learn(&mut self, rtt: f64, seconds: f64, way: Way) {
        self.filled += seconds / if way == Way::Taken { BUCKET_SLOW_S } else { BUCKET_S };
        if self.filled >= 1.0 {
            self.filled = 0.0;
            self.lowest.rotate_right(1);
            self.lowest[0] = f64::INFINITY;
        }
        self.lowest[0] = self.lowest[0].min(rtt);
        if way == Way::Free {
            self.steady = Spell::NONE;
            return;
        }
        self.steady.add(rtt, seconds);
        let near = self.get().is_some_and(|base| self.steady.low < base + STEADY_MOST_S);
        if self.steady.seconds >= STEADY_FOR_S && near {
            self.lowest = [f64::INFINITY; BUCKETS];
            self.lowest[0] = self.steady.low;
            self.steady = Spell::NONE;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(base: &Base, seconds: f64) -> bool {
        base.get().is_some_and(|b| (b - seconds).abs() < 1e-9)
    }

    #[test]
    fn the_lowest_of_ten_minutes_counts_and_is_forgotten_after_them() {
        let mut base = Base::new();
        assert_eq!(base.get(), None);
        base.learn(0.020, 1.0, Way::Free);
        for second in 0..700 {
            assert!(second > 500 || close(&base, 0.020), "{second}");
            base.learn(0.025, 1.0, Way::Free);
        }
        assert!(close(&base, 0.025));
    }

    #[test]
    fn a_queue_that_others_fill_and_drain_is_not_learnt_within_half_an_hour() {
        let mut base = Base::new();
        base.learn(0.020, 1.0, Way::Free);
        for second in 0..1800 {
            base.learn(0.8 + f64::from(second % 20) * 0.05, 1.0, Way::Taken);
        }
        assert!(close(&base, 0.020));
    }

    #[test]
    fn a_deep_queue_that_is_always_full_is_not_a_way() {
        let mut base = Base::new();
        base.learn(0.020, 1.0, Way::Free);
        for _ in 0..1800 {
            base.learn(1.9, 1.0, Way::Taken);
        }
        assert!(close(&base, 0.020));
    }

    #[test]
    fn a_time_that_moved_and_stays_is_a_new_way_after_a_minute() {
        let mut base = Base::new();
        base.learn(0.020, 1.0, Way::Free);
        for second in 0..70 {
            assert!(second > 55 || close(&base, 0.020), "{second}");
            base.learn(0.060 + f64::from(second % 3) * 0.0005, 1.0, Way::Taken);
        }
        assert!(close(&base, 0.060));
    }
}
