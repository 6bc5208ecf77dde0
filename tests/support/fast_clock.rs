//! A clock on which waiting takes no time: whoever sleeps moves it on. Two days of a thaw are milliseconds.

use panicroom::clock::{Clock, ManualClock, Steady, Wall};
use std::sync::Arc;
use std::time::Duration;

const STEP: Duration = Duration::from_secs(7200);

#[derive(Debug)]
pub struct FastClock(Arc<ManualClock>);

impl FastClock {
    pub fn at(wall: Wall) -> Arc<Self> {
        Arc::new(Self(ManualClock::at(wall)))
    }
}

impl Clock for FastClock {
    fn wall(&self) -> Wall {
        self.0.wall()
    }
    fn steady(&self) -> Steady {
        self.0.steady()
    }
    #[expect(clippy::disallowed_methods, reason = "a real moment for other threads")]
    fn sleep(&self, by: Duration) {
        // Two who sleep at once sleep through the same hours. Long ones go by in steps with a moment between them, so that
        // others see every hour, more often than not. Tests must hold where they do not.
        let until = self.steady().plus(by);
        while self.steady() < until {
            let step = until.since(self.steady()).min(STEP);
            self.0.advance(step);
            if step > STEP / 2 {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    }
}
