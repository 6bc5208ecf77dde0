//! `polite`: how fast the uplink may be used so that nobody else notices. Arithmetic only.
//!
//! In the manner of LEDBAT (RFC 6817), TCP-LP and Vegas: the round-trip time of our own uploads, less the lowest
//! one of the last minutes, is the queue before the bottleneck. A queue of [`TARGET_S`] is aimed at: enough to
//! know that the line is full, too little to be felt. Unlike LEDBAT this steers a rate and not a window, for the
//! bytes are paced before they reach the socket. What the line really takes is measured (bytes acknowledged), and
//! the rate is that, times a little more while the queue is short and a little less while it is long: so the
//! queue itself settles, and does not swing as it would were the rate only pushed up and down.
//!
//! One controller for each vault. Its connections are told apart by `Sample::connection`; what they deliver is
//! added up, their queue is the shortest that any of them saw (they share the uplink, the longer ones have other
//! troubles), and they share one base: a new connection that begins in somebody's full queue knows better at once.
//!
//! Seen are round trips: a full queue on the way back (somebody's download) is given way to as well. A line that
//! drops instead of queueing shows no delay; there the kernel's own congestion control is what it always was.
//! Nothing here survives a death: every start begins slowly and learns anew.

mod base;
mod ear;
#[cfg(test)]
mod promises;
#[cfg(test)]
mod trial;

use crate::clock::Steady;
use crate::model::Rate;
use base::{Base, Way};
use ear::{Ear, News};
use std::time::Duration;

/// The queue aimed at, seconds. RFC 6817 allows 100 ms; a call or a game feels 25.
const TARGET_S: f64 = 0.010;
/// On a slow line half a segment of our own is part of it; it is never less than this.
const TARGET_LEAST_S: f64 = 0.004;
/// Less than this part of it is called no queue at all.
const TRACE: f64 = 0.4;
/// From here on somebody else is there, and the base is not to be learnt from it.
const TAKEN_S: f64 = 0.025;
/// Shortest time between two decisions, seconds; twice the empty way where that is longer.
const PERIOD_S: f64 = 0.2;
const PERIOD_MOST_S: f64 = 0.5;
/// Acknowledgements a decision wants, for which it waits up to so many periods.
const ACKS: u64 = 3;
const PATIENCE: f64 = 4.0;
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
/// Where every start begins, bytes per second.
const START: f64 = 32_000.0;
/// What is always sent, or nothing would ever be heard again: bytes per second, and share of what the line takes.
const FLOOR: f64 = 4_000.0;
const FLOOR_SHARE: f64 = 0.02;
/// So long without an empty way, and we stand aside for a moment to see whether the queue is our own.
const DIP_EVERY_S: f64 = 20.0;
const DIP_TO: f64 = 0.5;
const DIP_FOR_S: f64 = 0.4;
/// Nothing heard for so long: nothing was sent, seconds.
const PAUSE_S: f64 = 2.0;
/// Longest that a single segment waits for its acknowledgement (Linux: 40 ms), and a little.
const PATIENCE_S: f64 = 0.045;
/// A rate is low below this share of what the line is known to take.
const LOW: f64 = 0.6;
/// A full segment, bytes.
const SEGMENT: f64 = 1448.0;
/// Two segments, bytes: receivers acknowledge every second one at once.
const GRANT_LEAST: u64 = 2896;
/// A grant takes 4 ms of the line where it is fast.
const GRANTS_PER_SECOND: u64 = 250;
/// A rate below this share of what the line is known to take is put to the test when a queue held it down for so long,
/// and so long after that was wrong, seconds. It is raised by this, for so long and two ways. A queue that rises by more
/// than this is our own, seconds.
const TRY_BELOW: f64 = 0.95;
const TRY_FIRST_S: f64 = 0.8;
const TRY_AGAIN_S: f64 = 3.0;
const TRY_BY: f64 = 1.15;
const TRY_FOR_S: f64 = 0.4;
const RISEN_S: f64 = 0.006;
/// Of an excuse that is not needed this share is left after a decision.
const EXCUSED: f64 = 0.9;
/// What the line is known to take fades by this share in a second.
const FADE: f64 = 0.01;
/// What is left of it when trusting it made a queue within this time and four ways, seconds.
const SPRINT_S: f64 = 0.8;
const SOBER: f64 = 0.7;
/// A rest this long, seconds: half of the old rate is believed.
const REST_S: f64 = 10.0;
/// A connection not heard for so long is gone.
const GONE: Duration = Duration::from_secs(20);
/// More connections than anybody opens to one vault.
const EARS: usize = 16;

/// One look at one upload connection, as the kernel tells it (TCP_INFO). Wanted every 20 to 100 ms while it sends.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// Any number that is this connection's own as long as the controller lives.
    pub connection: u64,
    pub at: Steady,
    /// Smoothed: `tcpi_rtt`.
    pub rtt: Duration,
    /// `tcpi_min_rtt`; zero where it is not to be had.
    pub min_rtt: Duration,
    /// Bytes so far: `tcpi_bytes_acked`.
    pub acked: u64,
    /// Segments that came in so far, nearly all of them acknowledgements: `tcpi_segs_in`.
    pub acks: u64,
    /// Bytes on their way: `tcpi_unacked` times `tcpi_snd_mss`.
    pub unacked: u64,
    /// Bytes waiting in the socket: `tcpi_notsent_bytes`.
    pub unsent: u64,
}

/// The controller of one vault's uploads.
#[derive(Clone, Debug)]
pub struct Manners {
    rate: f64,
    /// What the line is known to take, bytes per second: the last rate at which a queue of our own was seen.
    takes: Option<f64>,
    base: Base,
    queue: Option<f64>,
    ears: Vec<Ear>,
    now: Period,
    /// What went in the last periods, bytes per second.
    went: f64,
    calm: u32,
    /// Seconds for which the queue has been somebody else's.
    taken: f64,
    /// The queue and what went, one decision ago.
    before: (f64, f64),
    begun: bool,
    /// Seconds in which a queue would mean that too much was trusted.
    sprint: f64,
    /// Heard seconds since the way was last seen empty.
    full: f64,
    dip: Option<Dip>,
    trial: Trial,
    /// Part of the queue that is not ours and not counted, seconds.
    excuse: f64,
}

/// Standing aside: what comes back, and how much of it is left, seconds.
#[derive(Clone, Copy, Debug)]
struct Dip {
    back: f64,
    left: f64,
}

/// Whether a queue that may not be ours is being put to the test.
#[derive(Clone, Copy, Debug)]
enum Trial {
    /// Not before so many seconds of doubt.
    Waiting(f64),
    /// The rate was raised; what it was, what was seen before, seconds left.
    Raised { from: f64, queue: f64, left: f64 },
}

/// What was heard since the last decision.
#[derive(Clone, Copy, Debug)]
struct Period {
    since: Option<Steady>,
    bytes: u64,
    acks: u64,
    lowest: f64,
    silence: f64,
    unsent: u64,
}

impl Period {
    fn from(since: Option<Steady>) -> Self {
        Self { since, bytes: 0, acks: 0, lowest: f64::INFINITY, silence: 0.0, unsent: 0 }
    }

    fn add(&mut self, news: News) {
        self.bytes += news.bytes;
        self.acks += news.acks;
        self.lowest = self.lowest.min(news.rtt.unwrap_or(f64::INFINITY));
        self.silence = self.silence.max(news.silence);
    }
}

impl Default for Manners {
    fn default() -> Self {
        Self::new()
    }
}

impl Manners {
    pub fn new() -> Self {
        Self {
            rate: START,
            takes: None,
            base: Base::new(),
            queue: None,
            ears: Vec::new(),
            now: Period::from(None),
            went: 0.0,
            calm: 0,
            taken: 0.0,
            before: (0.0, 0.0),
            begun: false,
            sprint: 0.0,
            full: 0.0,
            dip: None,
            trial: Trial::Waiting(TRY_FIRST_S),
            excuse: 0.0,
        }
    }

    /// What all connections together may send now. A plain limit below it is kept beside it, not told to it.
    pub fn rate(&self) -> Rate {
        whole(self.rate.max(self.floor()))
    }

    /// The most that should go at once, bytes: no burst is felt, and yet no segment goes alone, for a single one may
    /// be acknowledged late, which looks like a queue.
    pub fn grant(&self) -> u64 {
        (self.rate().get() / GRANTS_PER_SECOND).max(GRANT_LEAST)
    }

    /// The queue before the bottleneck as last seen; None before anything was heard.
    pub fn delay(&self) -> Option<Duration> {
        self.queue.map(|s| Duration::from_secs_f64(s.clamp(0.0, 3600.0)))
    }

    /// Whether the line is left to somebody else just now.
    pub fn gives_way(&self) -> bool {
        self.queue.is_some_and(|q| q > TAKEN_S) && self.takes.is_some_and(|t| self.rate < t / 2.0)
    }

    pub fn hear(&mut self, sample: &Sample) {
        if let Some(last) = self.ears.iter().map(|e| e.heard).max() {
            let gap = sample.at.since(last).as_secs_f64();
            if gap > PAUSE_S {
                self.rest(gap);
            }
        }
        self.ears.retain(|e| sample.at.since(e.heard) < GONE);
        let known = self.ears.iter().position(|e| e.connection == sample.connection);
        let Some(known) = known else {
            if self.ears.len() < EARS {
                self.ears.push(Ear::new(sample));
            }
            self.now.since.get_or_insert(sample.at);
            return;
        };
        let news = self.ears[known].hear(sample);
        self.now.add(news);
        self.now.unsent = if news.bytes > 0 { sample.unsent } else { self.now.unsent.max(sample.unsent) };
        let since = *self.now.since.get_or_insert(sample.at);
        let passed = sample.at.since(since).as_secs_f64();
        let period = (2.0 * self.base.get().unwrap_or(0.0)).clamp(PERIOD_S, PERIOD_MOST_S);
        if passed >= period && (self.now.acks >= ACKS || passed >= period * PATIENCE) {
            self.decide(passed);
            self.now = Period::from(Some(sample.at));
        }
    }

    /// Once a period: what was heard in the last `seconds` becomes a new rate.
    fn decide(&mut self, seconds: f64) {
        if self.now.bytes == 0 && self.now.silence == 0.0 {
            return;
        }
        let went = real(self.now.bytes) / seconds;
        self.went = if self.went > 0.0 { self.went * 0.5 + went * 0.5 } else { went };
        let Some(queue) = self.listen(seconds) else { return };
        if queue < self.excuse {
            self.excuse = if self.dip.is_some() { queue } else { (self.excuse * EXCUSED).max(queue) };
        }
        self.full = if queue < TRACE * self.target() { 0.0 } else { self.full + seconds };
        if let Some(dip) = self.dip {
            return self.stand_aside(dip, queue, seconds);
        }
        self.steer(queue, went, seconds);
        self.before = (queue, went);
        if self.full > DIP_EVERY_S && queue < TAKEN_S + self.excuse && matches!(self.trial, Trial::Waiting(_)) {
            self.dip = Some(Dip { back: self.rate, left: DIP_FOR_S });
            self.rate *= DIP_TO;
            self.full = 0.0;
        }
        self.rate = self.rate.max(self.floor());
    }

    /// The queue now, seconds; learns the base on the way.
    fn listen(&mut self, seconds: f64) -> Option<f64> {
        let before = self.queue.unwrap_or(0.0);
        if self.now.lowest.is_finite() {
            let way = if before > TAKEN_S { Way::Taken } else { Way::Free };
            self.base.learn(self.now.lowest, seconds, way);
        }
        let base = self.base.get()?;
        let seen = if self.now.lowest.is_finite() { (self.now.lowest - base).max(0.0) } else { before };
        // Nothing came back for longer than a way and the gap between two packets can explain.
        let waited = self.now.silence - base - PERIOD_S - 2.0 * SEGMENT / self.rate;
        let queue = if waited > TAKEN_S { seen.max(waited) } else { seen };
        self.queue = Some(queue);
        Some(queue)
    }

    fn steer(&mut self, queue: f64, went: f64, seconds: f64) {
        let used = went >= USED * self.rate;
        let target = self.target();
        let queue = (queue - self.patience().max(self.excuse)).max(0.0);
        if self.tried(queue, used, seconds) {
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
        let gain = GAIN / (seconds + self.base.get().unwrap_or(0.0));
        let shrinks = queue < self.before.0 * SHRINKS;
        self.taken = if queue > TAKEN_S && !shrinks { self.taken + seconds } else { 0.0 };
        let answer = if self.taken > STUBBORN_S + 4.0 * self.base.get().unwrap_or(0.0) {
            CUT
        } else {
            (1.0 + gain * (target - queue)).max(CUT)
        };
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

    /// What looks like a queue of ours and is none: the far side's patience at any rate, or somebody who keeps a short
    /// queue. A rate held down by it for a while is raised a little: our own queue grows by that, the others do not,
    /// and are not counted from then on. True while that is tried.
    fn tried(&mut self, queue: f64, used: bool, seconds: f64) -> bool {
        let low = self.rate < self.takes.unwrap_or(0.0) * TRY_BELOW;
        let target = self.target();
        let doubtful = low && queue > target && queue < target + PATIENCE_S;
        match self.trial {
            Trial::Waiting(left) if !doubtful => self.trial = Trial::Waiting(left.max(TRY_FIRST_S)),
            Trial::Waiting(left) if left > seconds => self.trial = Trial::Waiting(left - seconds),
            Trial::Waiting(_) => {
                let left = TRY_FOR_S + 2.0 * self.base.get().unwrap_or(0.0);
                self.trial = Trial::Raised { from: self.rate, queue, left };
                self.rate *= TRY_BY;
            }
            Trial::Raised { from, queue: before, left } if left > seconds && queue < before + PATIENCE_S => {
                self.trial = Trial::Raised { from, queue: before, left: left - seconds };
            }
            Trial::Raised { queue: before, .. } if used && queue < before + RISEN_S => {
                self.excuse = (self.excuse + queue).min(PATIENCE_S);
                self.trial = Trial::Waiting(TRY_FIRST_S);
                return false;
            }
            Trial::Raised { from, .. } => {
                self.rate = from;
                self.trial = Trial::Waiting(TRY_AGAIN_S);
                return true;
            }
        }
        matches!(self.trial, Trial::Raised { .. })
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

    fn stand_aside(&mut self, dip: Dip, queue: f64, seconds: f64) {
        let left = dip.left - seconds;
        if queue > TAKEN_S {
            self.dip = None;
        } else if left > 0.0 {
            self.dip = Some(Dip { left, ..dip });
        } else {
            self.rate = dip.back * (1.0 - ADD);
            self.went = self.rate;
            self.dip = None;
        }
    }

    /// Nothing was sent for so long: nothing is learnt of it, but after a long rest half of the rate is believed.
    fn rest(&mut self, gap: f64) {
        self.now = Period::from(None);
        self.calm = 0;
        if gap > REST_S {
            self.rate = (self.rate / 2.0).max(self.rate.min(START));
            self.dip = None;
        }
    }

    fn target(&self) -> f64 {
        (TARGET_S - SEGMENT / 2.0 / self.rate).max(TARGET_LEAST_S)
    }

    fn floor(&self) -> f64 {
        FLOOR.max(self.takes.unwrap_or(0.0) * FLOOR_SHARE)
    }
}

#[expect(clippy::cast_precision_loss, reason = "rates and round trips are not counted to the byte")]
fn real(bytes: u64) -> f64 {
    bytes as f64
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped first")]
fn whole(rate: f64) -> Rate {
    Rate::bytes_per_second(rate.clamp(1.0, 1e12) as u64).expect("at least one")
}
