//! Time by injection: nothing else in the house asks the system for the time or sleeps.
//!
//! Two clocks in one: the wall clock labels things for people and may jump either way; the steady clock only
//! grows while the machine runs and is what every wait and rate is counted with. No order of events ever rests
//! on the wall clock (the log's `seq` does that).

use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Milliseconds since 1970-01-01T00:00Z by the wall clock; a label, negative before 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Wall(pub i64);

/// Time since some fixed instant of this process; never goes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Steady(pub Duration);

impl Wall {
    /// Milliseconds from `earlier` to here, 0 when the clock went back.
    pub fn since(self, earlier: Wall) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
    #[must_use]
    pub fn plus(self, by: Duration) -> Wall {
        Wall(self.0.saturating_add(i64::try_from(by.as_millis()).unwrap_or(i64::MAX)))
    }
}

impl Steady {
    pub fn since(self, earlier: Steady) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
    #[must_use]
    pub fn plus(self, by: Duration) -> Steady {
        Steady(self.0.saturating_add(by))
    }
}

pub trait Clock: Send + Sync + std::fmt::Debug {
    fn wall(&self) -> Wall;
    fn steady(&self) -> Steady;
    /// Blocks the calling thread for `by`; a manual clock returns once it was advanced that far.
    fn sleep(&self, by: Duration);
}

/// The machine's own clocks.
#[derive(Debug)]
pub struct SystemClock {
    start: Instant,
}

impl SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that asks the system for the time")]
    pub fn shared() -> Arc<dyn Clock> {
        Arc::new(Self { start: Instant::now() })
    }
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that asks the system for the time")]
    fn wall(&self) -> Wall {
        let ms = |d: Duration| i64::try_from(d.as_millis()).unwrap_or(i64::MAX);
        Wall(match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(after) => ms(after),
            Err(before) => -ms(before.duration()),
        })
    }
    fn steady(&self) -> Steady {
        Steady(self.start.elapsed())
    }
    #[expect(clippy::disallowed_methods, reason = "the one place that sleeps")]
    fn sleep(&self, by: Duration) {
        std::thread::sleep(by);
    }
}

/// A clock that moves only when a test says so.
#[derive(Debug)]
pub struct ManualClock {
    now: Mutex<(Wall, Duration)>,
    moved: Condvar,
}

impl ManualClock {
    pub fn at(wall: Wall) -> Arc<Self> {
        Arc::new(Self { now: Mutex::new((wall, Duration::ZERO)), moved: Condvar::new() })
    }
    /// Time passes: both clocks move on.
    pub fn advance(&self, by: Duration) {
        let mut now = self.now.lock().expect("clock lock");
        now.0 = now.0.plus(by);
        now.1 += by;
        self.moved.notify_all();
    }
    /// Somebody sets the wall clock; no time passes.
    pub fn jump(&self, to: Wall) {
        self.now.lock().expect("clock lock").0 = to;
    }
}

impl Clock for ManualClock {
    fn wall(&self) -> Wall {
        self.now.lock().expect("clock lock").0
    }
    fn steady(&self) -> Steady {
        Steady(self.now.lock().expect("clock lock").1)
    }
    fn sleep(&self, by: Duration) {
        let mut now = self.now.lock().expect("clock lock");
        let until = now.1 + by;
        while now.1 < until {
            now = self.moved.wait(now).expect("clock lock");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jump_of_the_wall_clock_does_not_move_the_steady_one() {
        let clock = ManualClock::at(Wall(5_000));
        clock.advance(Duration::from_secs(1));
        clock.jump(Wall(-1));
        assert_eq!(clock.wall(), Wall(-1));
        assert_eq!(clock.steady(), Steady(Duration::from_secs(1)));
        assert_eq!(clock.wall().since(Wall(10)), Duration::ZERO);
    }
}
