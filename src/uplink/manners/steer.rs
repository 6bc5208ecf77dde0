//! The law: from the queue and what went, the next rate.
//!
//! Where a queue is seen, the rate is what really went, times a little more or less as the queue is shorter or longer than
//! the one aimed at: that alone settles. Where none is seen it grows: fast at the start and towards what the line is known
//! to take, else by a few per cent, more while nothing happens.

use super::doubt::{PATIENCE_S, Seen, Test};
use super::{Manners, PERIOD_S, SEGMENT, TAKEN_S, TRACE, real};

/// The queue aimed at, seconds. RFC 6817 allows 100 ms; a call or a game feels 25.
const TARGET_S: f64 = 0.010;
/// On a slow line half a segment of our own is part of it; it is never less than this.
const TARGET_LEAST_S: f64 = 0.007;
/// How hard the rate answers the queue, over period and way together; above about 1.5 it would swing for ever.
const GAIN: f64 = 0.6;
/// A decision takes at most this away; and takes it where the queue was not shortened by
/// smaller ones in so many seconds and four ways.
const CUT: f64 = 0.5;
const STUBBORN_S: f64 = 0.7;
const SHRINKS: f64 = 0.9;
/// A decision adds this while the way is empty, twice as much after [`CALM`] such, and so on.
const ADD: f64 = 0.03;
const ADD_MOST: f64 = 0.10;
/// The same at the start, and below most of what the line is known to take.
const ADD_BEGIN: f64 = 0.15;
const CALM: u32 = 4;
/// Below the target the addition is made smaller only in the last part of it: one over this.
const LEAN: f64 = 3.0;
/// The same below half of what the line is known to take.
const ADD_KNOWN: f64 = 0.5;
/// Who sends less than this of what is allowed is held up by something else, and learns nothing of the line.
const USED: f64 = 0.7;
/// At the start a short queue is believed only when what goes no longer grows by this.
const FOLLOWS: f64 = 1.05;
/// A rate is low below this share of what the line is known to take.
const LOW: f64 = 0.6;
/// What the line is known to take fades by this share in a second.
const FADE: f64 = 0.01;
/// What is left of it when trusting it made a queue within this time and four ways, seconds.
const SPRINT_S: f64 = 0.8;
const SOBER: f64 = 0.7;

impl Manners {
    /// One decision; everything in seconds and bytes per second.
    pub(super) fn steer(&mut self, queue: f64, went: f64, seconds: f64) {
        let used = went >= USED * self.rate;
        let target = self.target();
        let way = self.base.get().unwrap_or(0.0);
        let queue = (queue - self.patience().max(self.doubt.excuse())).max(0.0);
        let (rate, takes) = (self.rate, self.takes.unwrap_or(0.0));
        if let Test::Hold(rate) = self.doubt.test(Seen { rate, takes, queue, target, way, used, seconds }) {
            self.rate = rate;
            return;
        }
        self.sprint = (self.sprint - seconds).max(0.0);
        let follows = went > self.before.1 * FOLLOWS;
        let free = if self.begun { queue < target * TRACE } else { queue < target || queue < TAKEN_S && follows };
        if free {
            if used {
                self.grow(went);
            }
            return;
        }
        self.calm = 0;
        if queue <= target && !used {
            return;
        }
        self.know(queue, seconds);
        if self.sprint > 0.0 && queue > TAKEN_S {
            // It no longer takes what it took.
            self.sprint = 0.0;
            self.takes = self.takes.map(|t| (t * SOBER).max(self.went).max(went));
        }
        self.begun = true;
        let gain = GAIN / (seconds + way);
        let shrinks = queue < self.before.0 * SHRINKS;
        self.taken = if queue > TAKEN_S && !shrinks { self.taken + seconds } else { 0.0 };
        let answer = if self.taken > STUBBORN_S + 4.0 * way { CUT } else { (1.0 + gain * (target - queue)).max(CUT) };
        let settled = self.went * answer;
        // What looks like a short queue may be the far side's patience: while what goes still follows, a little more.
        let more = ADD * (LEAN * (1.0 - queue / target)).min(1.0);
        let tried = if more > 0.0 { (self.rate * (1.0 + more)).min(went.max(self.went) * (1.0 + ADD)) } else { 0.0 };
        self.rate = settled.max(tried).clamp(self.rate * CUT, self.rate * (1.0 + ADD));
    }

    /// What the line takes: the most that went while a queue stood. Less is believed slowly, and not in a full queue.
    fn know(&mut self, queue: f64, seconds: f64) {
        let takes = self.takes.unwrap_or(0.0);
        let believed = if queue < TAKEN_S { takes * (1.0 - FADE * seconds) } else { takes };
        self.takes = Some(if self.begun { believed.max(self.went) } else { self.went });
    }

    /// At a low rate the far side's patience with single segments looks like a queue, and would hold us down for
    /// ever. So below a share of what the line is known to take, a gap and a half between segments is not counted.
    fn patience(&self) -> f64 {
        let low = self.rate < self.takes.unwrap_or(0.0) * LOW;
        if low { (1.5 * SEGMENT / self.rate).min(PATIENCE_S) } else { 0.0 }
    }

    /// The way is empty and what was allowed was used.
    fn grow(&mut self, went: f64) {
        let doubled = ADD * f64::from(1 << (self.calm / CALM).min(4));
        let add = match self.takes {
            Some(takes) if self.rate < takes * 0.5 => ADD_KNOWN,
            Some(takes) if self.rate < takes * 0.8 => ADD_BEGIN,
            _ if !self.begun => ADD_BEGIN,
            _ => doubled.min(ADD_MOST),
        };
        if add >= ADD_BEGIN {
            self.sprint = SPRINT_S + 4.0 * self.base.get().unwrap_or(0.0);
        }
        self.calm = self.calm.saturating_add(1);
        let most = if real(self.now.unsent) > self.rate * PERIOD_S { went * (1.0 + ADD) } else { f64::INFINITY };
        self.rate = (self.rate * (1.0 + add)).min(most.max(self.rate * CUT));
    }

    /// The queue aimed at now, seconds.
    pub(super) fn target(&self) -> f64 {
        if self.begun { (TARGET_S - SEGMENT / 2.0 / self.rate).max(TARGET_LEAST_S) } else { TARGET_S }
    }
}
