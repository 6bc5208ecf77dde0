//! What looks like a queue of ours and is none: the far side's patience with single segments (it acknowledges them up to
//! 40 ms late), or somebody who keeps a short queue. Held down by that for ever, a rate would never come back.
//!
//! So a rate that a queue held down for a while, below what the line is known to take, is raised a little. Our own queue
//! grows by that within half a second; what does not grow is excused: not counted from then on, as long as it is there.

/// A rate below this share of what the line is known to take is put to the test after so many seconds of doubt, and so
/// long after that was wrong.
const BELOW: f64 = 0.95;
const FIRST_S: f64 = 0.8;
const AGAIN_S: f64 = 3.0;
/// It is raised by this, for so many seconds and two ways. A queue that rises by more than that is our own, seconds.
const RAISED: f64 = 1.15;
const FOR_S: f64 = 0.4;
const RISEN_S: f64 = 0.006;
/// Of an excuse that is not needed this share is left after a decision.
const LEFT: f64 = 0.9;
/// Longest that a single segment waits for its acknowledgement (Linux: 40 ms), and a little. No longer queue is excused.
pub(super) const PATIENCE_S: f64 = 0.045;

/// What a decision sees, in bytes per second and seconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    pub rate: f64,
    pub takes: f64,
    /// What of the queue is not excused yet, and the queue aimed at.
    pub queue: f64,
    pub target: f64,
    /// The empty way.
    pub way: f64,
    /// Whether what was allowed was sent.
    pub used: bool,
    /// Since the last decision.
    pub seconds: f64,
}

/// What is to be done with the rate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Test {
    /// Nothing is being tried.
    None,
    /// This rate, and no other decision.
    Hold(f64),
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Doubt {
    state: State,
    /// Part of the queue that is not ours, seconds.
    excuse: f64,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// Not before so many seconds of doubt.
    Waiting(f64),
    /// The rate was raised: what it was, what was seen before, seconds left.
    Raised { from: f64, queue: f64, left: f64 },
}

impl Doubt {
    pub fn new() -> Self {
        Self { state: State::Waiting(FIRST_S), excuse: 0.0 }
    }

    pub fn excuse(&self) -> f64 {
        self.excuse
    }
    pub fn tries(&self) -> bool {
        matches!(self.state, State::Raised { .. })
    }

    /// An excuse lasts no longer than what it excuses; `surely`: we stand aside, what is left is not ours.
    pub fn see(&mut self, queue: f64, surely: bool) {
        if queue < self.excuse {
            self.excuse = if surely { queue } else { (self.excuse * LEFT).max(queue) };
        }
    }

    pub fn test(&mut self, seen: Seen) -> Test {
        let Seen { rate, queue, seconds, .. } = seen;
        let low = rate < seen.takes * BELOW;
        let doubtful = low && queue > seen.target && queue < seen.target + PATIENCE_S;
        match self.state {
            State::Waiting(left) => {
                let over = doubtful && left <= seconds;
                self.state = match doubtful {
                    true if over => State::Raised { from: rate, queue, left: FOR_S + 2.0 * seen.way },
                    true => State::Waiting(left - seconds),
                    false => State::Waiting(left.max(FIRST_S)),
                };
                if over { Test::Hold(rate * RAISED) } else { Test::None }
            }
            State::Raised { from, queue: before, left } if left > seconds && queue < before + PATIENCE_S => {
                self.state = State::Raised { from, queue: before, left: left - seconds };
                Test::Hold(rate)
            }
            State::Raised { queue: before, .. } if seen.used && queue < before + RISEN_S => {
                self.excuse = (self.excuse + queue).min(PATIENCE_S);
                self.state = State::Waiting(FIRST_S);
                Test::None
            }
            State::Raised { from, .. } => {
                self.state = State::Waiting(AGAIN_S);
                Test::Hold(from)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(rate: f64, queue: f64) -> Seen {
        Seen { rate, takes: 100.0, queue, target: 0.010, way: 0.020, used: true, seconds: 0.2 }
    }

    /// Decides until something is tried, and on to its end: what is excused, and the rate.
    fn tried(queue_of: impl Fn(f64) -> f64) -> (f64, f64) {
        let (mut doubt, mut rate, mut began) = (Doubt::new(), 50.0, false);
        for _ in 0..20 {
            if let Test::Hold(new) = doubt.test(seen(rate, queue_of(rate))) {
                rate = new;
            }
            began |= doubt.tries();
            if began && !doubt.tries() {
                break;
            }
        }
        (doubt.excuse(), rate)
    }

    #[test]
    fn a_queue_that_does_not_grow_with_our_rate_is_excused() {
        let (excuse, rate) = tried(|_| 0.025);
        assert!((excuse - 0.025).abs() < 1e-9 && rate > 55.0, "{excuse} {rate}");
    }

    #[test]
    fn a_queue_that_grows_with_our_rate_is_ours_and_the_rate_returns() {
        let (excuse, rate) = tried(|rate| if rate > 50.0 { 0.040 } else { 0.025 });
        assert!(excuse.abs() < 1e-9 && (rate - 50.0).abs() < 1e-9, "{excuse} {rate}");
    }

    #[test]
    fn a_long_queue_is_never_put_to_the_test_and_an_excuse_ends_with_its_reason() {
        let mut doubt = Doubt::new();
        for _ in 0..100 {
            assert_eq!(doubt.test(seen(50.0, 0.2)), Test::None);
        }
        doubt.excuse = 0.030;
        doubt.see(0.0, false);
        assert!(doubt.excuse() < 0.030 && doubt.excuse() > 0.020);
        doubt.see(0.004, true);
        assert!((doubt.excuse() - 0.004).abs() < 1e-9);
    }
}
