//! `polite`: how fast the uplink may be used so that nobody else notices. Arithmetic only.
//!
//! In the manner of LEDBAT (RFC 6817), TCP-LP and Vegas: the round-trip time of our own uploads, less the lowest
//! one of the last minutes, is the queue before the bottleneck. A queue of 10 ms is aimed at: enough to
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
mod doubt;
mod ear;
#[cfg(test)]
mod promises;
mod steer;
#[cfg(test)]
mod trial;

use crate::clock::Steady;
use crate::model::Rate;
use base::{Base, Way};
use doubt::Doubt;
use ear::{Ear, News};
use std::time::Duration;

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
/// Where every start begins, bytes per second.
const START: f64 = 32_000.0;
/// What is always sent, or nothing would ever be heard again: bytes per second, and share of what the line takes.
const FLOOR: f64 = 4_000.0;
const FLOOR_SHARE: f64 = 0.02;
/// So long without an empty way, and we stand aside for a moment to see whether the queue is our own.
const DIP_EVERY_S: f64 = 20.0;
const DIP_TO: f64 = 0.5;
const DIP_FOR_S: f64 = 0.4;
const DIP_BACK: f64 = 0.97;
/// Nothing heard for so long: nothing was sent, seconds.
const PAUSE_S: f64 = 2.0;
/// A full segment, bytes.
const SEGMENT: f64 = 1448.0;
/// Two segments, bytes: receivers acknowledge every second one at once.
const GRANT_LEAST: u64 = 2896;
/// A grant takes 4 ms of the line where it is fast.
const GRANTS_PER_SECOND: u64 = 250;
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
    doubt: Doubt,
}

/// Standing aside: what comes back, and how much of it is left, seconds.
#[derive(Clone, Copy, Debug)]
struct Dip {
    back: f64,
    left: f64,
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
            doubt: Doubt::new(),
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
        self.doubt.see(queue, self.dip.is_some());
        self.full = if queue < TRACE * self.target() { 0.0 } else { self.full + seconds };
        if let Some(dip) = self.dip {
            return self.stand_aside(dip, queue - self.doubt.excuse(), seconds);
        }
        self.steer(queue, went, seconds);
        self.before = (queue, went);
        if self.full > DIP_EVERY_S && queue < TAKEN_S + self.doubt.excuse() && !self.doubt.tries() {
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

    fn stand_aside(&mut self, dip: Dip, queue: f64, seconds: f64) {
        let left = dip.left - seconds;
        if queue > TAKEN_S {
            self.dip = None;
        } else if left > 0.0 {
            self.dip = Some(Dip { left, ..dip });
        } else {
            self.rate = dip.back * DIP_BACK;
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
