//! The uplink of one vault, shared by everything that goes to it or comes from it: its own limits, its place on the
//! house's [`Line`], a clock and the waiting.
//!
//! Connections ask for each piece they write or read ([`take`](Throttle::take)), folder copies wait on their thread;
//! either way nobody waits longer than [`LOOK`] before asking again, so that a new limit, a pause or a resume is felt
//! at once. What is counted is what goes over the wire, everything included. Holds no durable state: after a death the
//! next start begins with an empty bucket, never with a burst.

mod closing;
mod line;
mod meter;
mod polite;

pub use closing::{ENDS_WITHIN, Underway};
pub use line::{Both, Line, Way};
pub use polite::MannersState;

use crate::clock::{Clock, Steady};
use crate::error::Result;
use crate::model::Rate;
use crate::uplink::manners::{Manners, Sample};
use crate::uplink::{Bucket, Grant, Rates};
use crate::worker::Stop;
use closing::Shut;
use line::Seat;
use meter::Meter;
use polite::Polite;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

/// Longest wait before asking again.
pub const LOOK: Duration = Duration::from_millis(200);

/// One vault's part of the line. Cloned into everything that sends to the vault.
#[derive(Clone, Debug)]
pub struct Throttle(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    seat: Seat,
    state: Mutex<State>,
    /// Bytes of bodies.
    sent: AtomicU64,
}

#[derive(Debug)]
struct State {
    up: Bucket,
    down: Bucket,
    flow: Flow,
    shut: Option<Shut>,
    polite: Option<Polite>,
    meter: Meter,
    wire: Both,
    /// What was told of it: never less than before.
    told: Both,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flow {
    Open,
    Paused,
}

/// What goes up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freight {
    /// An object: stands still in a pause, and gives way where manners are kept.
    Body,
    /// Everything else: questions, greetings, acknowledgements. Under the limits too.
    Talk,
}

impl State {
    fn way(&mut self, way: Way) -> &mut Bucket {
        match way {
            Way::Up => &mut self.up,
            Way::Down => &mut self.down,
        }
    }
    fn count(&mut self, way: Way, bytes: u64, now: Steady) {
        *self.wire.way(way) += bytes;
        if way == Way::Up {
            self.meter.count(bytes, now);
        }
    }
}

impl Throttle {
    /// A line of its own with one limit, for what is sent.
    pub fn new(rate: Option<Rate>, clock: Arc<dyn Clock>) -> Self {
        Self::on(&Line::new(Rates::FREE, clock), Rates::up(rate))
    }

    /// A place on a line that others use too, with limits of its own.
    pub fn on(line: &Line, rates: Rates) -> Self {
        let now = line.clock().steady();
        let state = State {
            up: Bucket::new(rates.up, now),
            down: Bucket::new(rates.down, now),
            flow: Flow::Open,
            shut: None,
            polite: None,
            meter: Meter::new(now),
            wire: Both::default(),
            told: Both::default(),
        };
        Self(Arc::new(Inner { seat: line.sit(), state: Mutex::new(state), sent: AtomicU64::new(0) }))
    }

    /// New limits of its own, felt at once by what is on its way.
    pub fn set(&self, rates: Rates) {
        let now = self.now();
        let mut state = self.state();
        state.up.set(rates.up, now);
        state.down.set(rates.down, now);
    }
    /// Its own limits; the line's hold beside them.
    pub fn rates(&self) -> Rates {
        let state = self.state();
        Rates { up: state.up.rate(), down: state.down.rate() }
    }
    /// The limit for what is sent as it is now: the lower of its own and the line's.
    pub fn rate(&self) -> Option<Rate> {
        self.rates().and(self.0.seat.line().rates()).up
    }

    /// What may go now this way: the lowest of its own limit, the line's, and on the way up what manners allow.
    pub fn pace(&self, way: Way) -> Option<Rate> {
        let limits = self.rates().and(self.0.seat.line().rates());
        match way {
            Way::Down => limits.down,
            Way::Up => {
                let polite = self.state().polite.as_ref().and_then(Polite::pace);
                [limits.up, polite].into_iter().flatten().min()
            }
        }
    }

    /// Keeps manners from now on; None: the limits alone.
    pub fn mannered(&self, polite: Option<Manners>) {
        let now = self.now();
        self.state().polite = polite.map(|manners| Polite::new(manners, now));
    }
    pub fn is_mannered(&self) -> bool {
        self.state().polite.as_ref().is_some_and(Polite::listens)
    }
    pub fn manners(&self) -> MannersState {
        let now = self.now();
        self.state().polite.as_ref().map_or(MannersState::Off, |polite| polite.state(now))
    }
    /// What a connection sees of the way.
    pub fn hear(&self, sample: &Sample) {
        let now = self.now();
        if let Some(polite) = &mut self.state().polite {
            polite.hear(sample, now);
        }
    }
    /// The system does not tell of connections: the limits alone, said once.
    pub fn hears_nothing(&self) {
        if let Some(polite) = &mut self.state().polite {
            polite.give_up();
        }
    }

    /// Objects stand still until [`resume`](Self::resume).
    pub fn pause(&self) {
        self.state().flow = Flow::Paused;
    }
    pub fn resume(&self) {
        self.state().flow = Flow::Open;
    }
    pub fn paused(&self) -> bool {
        self.state().flow == Flow::Paused
    }

    /// Nothing new is to begin until [`open`](Self::open); what is under way: [`Underway::goes_on`].
    pub fn shut(&self) {
        let now = self.now();
        let mut state = self.state();
        if state.shut.is_none() {
            let had = state.meter.lately(now);
            state.shut = Some(Shut { at: now, had });
        }
    }
    pub fn open(&self) {
        self.state().shut = None;
    }
    pub fn is_shut(&self) -> bool {
        self.state().shut.is_some()
    }
    fn shut_since(&self) -> Option<(Shut, Steady)> {
        let now = self.now();
        self.state().shut.map(|shut| (shut, now))
    }
    /// An object is about to be sent.
    pub fn begin(&self) -> Underway {
        Underway::begin(self)
    }

    /// Takes up to `want` bytes of the wire and counts them, or says how long to wait before asking again.
    pub fn take(&self, way: Way, want: u64, freight: Freight) -> Grant {
        let now = self.now();
        let mut state = self.state();
        if state.flow == Flow::Paused && freight == Freight::Body {
            return Grant::Wait(LOOK);
        }
        let polite = match &mut state.polite {
            Some(polite) if freight == Freight::Body => polite.offer(want, now),
            _ => Grant::Go(want),
        };
        let own = match polite {
            Grant::Go(n) => state.way(way).offer(n, now),
            wait @ Grant::Wait(_) => wait,
        };
        let granted = match own {
            Grant::Go(n) => self.0.seat.take(way, n, now),
            wait @ Grant::Wait(_) => wait,
        };
        match granted {
            Grant::Go(n) => {
                state.way(way).charge(n, now);
                if let Some(polite) = &mut state.polite
                    && freight == Freight::Body
                {
                    polite.charge(n, now);
                }
                state.count(way, n, now);
                Grant::Go(n)
            }
            Grant::Wait(by) => Grant::Wait(by.min(LOOK)),
        }
    }

    /// Counts bytes that went without asking; later ones wait for them.
    pub fn charge(&self, way: Way, bytes: u64) {
        let now = self.now();
        let mut state = self.state();
        state.way(way).charge(bytes, now);
        state.count(way, bytes, now);
        self.0.seat.charge(way, bytes, now);
    }

    /// Gives back what was taken and did not go.
    pub fn refund(&self, way: Way, bytes: u64) {
        let now = self.now();
        let mut state = self.state();
        state.way(way).refund(bytes, now);
        let wire = state.wire.way(way);
        *wire = wire.saturating_sub(bytes);
        self.0.seat.refund(way, bytes, now);
    }

    /// Where no wire is: blocks until some of `want` may go, and counts it as body. Stopping when asked to stop.
    pub fn wait(&self, want: u64, stop: &Stop) -> Result<u64> {
        loop {
            stop.check()?;
            match self.take(Way::Up, want, Freight::Body) {
                Grant::Go(n) => {
                    self.count_body(n);
                    return Ok(n);
                }
                Grant::Wait(by) => {
                    stop.wait(by);
                }
            }
        }
    }

    /// Blocks until all `bytes` may be called sent. Retry: sending was shut meanwhile.
    pub fn wait_all(&self, bytes: u64, stop: &Stop) -> Result<()> {
        let underway = self.begin();
        let mut left = bytes;
        while left > 0 {
            underway.goes_on(left)?;
            left -= self.wait(left, stop)?;
        }
        Ok(())
    }

    /// Bytes of a body that were handed to the wire.
    pub fn count_body(&self, bytes: u64) {
        self.0.sent.fetch_add(bytes, Ordering::Relaxed);
    }
    /// Bytes of bodies sent so far, retries included.
    pub fn sent_bytes(&self) -> u64 {
        self.0.sent.load(Ordering::Relaxed)
    }
    /// Everything that went over the wire so far: heads, TLS, packets and what the kernel repeated. It only grows: what
    /// was taken for a moment, told, and given back stays told, and is not told again.
    pub fn wire_bytes(&self) -> Both {
        let mut state = self.state();
        let (told, wire) = (state.told, state.wire);
        state.told = Both { up: told.up.max(wire.up), down: told.down.max(wire.down) };
        state.told
    }

    /// What went out over the wire, mean of the last seconds, bytes per second.
    pub fn rate_bytes_per_s(&self) -> u64 {
        let now = self.now();
        self.state().meter.mean(now)
    }

    /// As [`rate_bytes_per_s`](Self::rate_bytes_per_s), but what began a moment ago is not made less by the rest before it.
    pub fn lately(&self) -> u64 {
        let now = self.now();
        self.state().meter.lately(now)
    }

    pub fn now(&self) -> Steady {
        self.0.seat.line().clock().steady()
    }
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().expect("throttle lock")
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
            assert_eq!(throttle.take(Way::Up, 500, Freight::Body), Grant::Go(500));
            clock.advance(Duration::from_millis(500));
        }
        assert_eq!(throttle.rate_bytes_per_s(), 1000);
        clock.advance(Duration::from_secs(60));
        assert_eq!(throttle.rate_bytes_per_s(), 0);
        assert_eq!(throttle.wire_bytes(), Both { up: 10_000, down: 0 });
    }

    #[test]
    fn everything_that_shares_a_throttle_shares_its_limit() {
        let clock = ManualClock::at(Wall(0));
        let throttle = Throttle::new(rate(1_000_000), clock.clone());
        let mut sent = 0;
        for _ in 0..1000 {
            clock.advance(Duration::from_millis(10));
            for user in [throttle.clone(), throttle.clone(), throttle.clone()] {
                while let Grant::Go(n) = user.take(Way::Up, 10_000, Freight::Body) {
                    sent += n;
                }
            }
        }
        assert!((9_700_000..=10_050_000).contains(&sent), "{sent}");
    }

    #[test]
    fn promise_7_the_vaults_of_a_line_keep_its_limit_together_and_each_its_own_both_ways() {
        let clock = ManualClock::at(Wall(0));
        let line = Line::new(Rates { up: rate(100_000), down: rate(50_000) }, clock.clone());
        let (small, large) = (Throttle::on(&line, Rates::up(rate(20_000))), Throttle::on(&line, Rates::FREE));
        assert_eq!((small.rate(), large.rate()), (rate(20_000), rate(100_000)));
        let mut got = [0u64; 3];
        for _ in 0..10_000 {
            clock.advance(Duration::from_millis(1));
            for (i, (user, way)) in [(&small, Way::Up), (&large, Way::Up), (&large, Way::Down)].iter().enumerate() {
                if let Grant::Go(n) = user.take(*way, 10_000, Freight::Body) {
                    got[i] += n;
                }
            }
        }
        assert!((190_000..=200_000).contains(&got[0]), "its own limit: {got:?}");
        assert!((970_000..=1_000_000).contains(&(got[0] + got[1])), "the line's, all of it: {got:?}");
        assert!((485_000..=500_000).contains(&got[2]), "the way down: {got:?}");
    }

    #[test]
    fn a_pause_holds_everything_and_a_resume_brings_no_burst() {
        let clock = ManualClock::at(Wall(0));
        let throttle = Throttle::new(rate(20_000), clock.clone());
        throttle.pause();
        clock.advance(Duration::from_secs(100));
        assert!(matches!(throttle.take(Way::Up, 1, Freight::Body), Grant::Wait(_)));
        throttle.resume();
        let mut sent = 0;
        while let Grant::Go(n) = throttle.take(Way::Up, 1 << 20, Freight::Body) {
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

    #[test]
    fn what_is_charged_is_paid_and_what_is_given_back_is_not() {
        let clock = ManualClock::at(Wall(0));
        let throttle = Throttle::new(rate(10_000), clock.clone());
        throttle.charge(Way::Up, 10_000);
        clock.advance(Duration::from_millis(900));
        assert!(matches!(throttle.take(Way::Up, 1000, Freight::Body), Grant::Wait(_)));
        clock.advance(Duration::from_millis(400));
        assert_eq!(throttle.take(Way::Up, 1000, Freight::Body), Grant::Go(1000));
        throttle.refund(Way::Up, 1000);
        assert_eq!(throttle.take(Way::Up, 1000, Freight::Body), Grant::Go(1000));
        assert_eq!(throttle.wire_bytes().up, 11_000);
        throttle.refund(Way::Up, 1000);
        assert_eq!(throttle.wire_bytes().up, 11_000, "what was told stays");
        throttle.charge(Way::Up, 1000);
        assert_eq!(throttle.wire_bytes().up, 11_000, "and is not told again");
    }

    #[test]
    fn when_it_is_shut_an_object_with_under_a_minute_to_go_ends_and_another_is_given_up() {
        let clock = ManualClock::at(Wall(0));
        let throttle = Throttle::new(None, clock.clone());
        let underway = throttle.begin();
        for _ in 0..10 {
            assert_eq!(throttle.take(Way::Up, 1000, Freight::Body), Grant::Go(1000));
            clock.advance(Duration::from_secs(1));
        }
        throttle.shut();
        assert!(throttle.is_shut());
        assert!(underway.goes_on(59_000).is_ok());
        let given_up = underway.goes_on(61_000).unwrap_err();
        assert_eq!(given_up.kind(), crate::error::Kind::Retry);
        assert!(given_up.to_string().contains("the window closed; it is sent again"), "{given_up}");
        clock.advance(Duration::from_secs(50));
        assert!(underway.goes_on(11_000).is_err(), "it is slower than it was: no later than the minute");
        assert!(underway.goes_on(900).is_ok());
        clock.advance(Duration::from_secs(30));
        assert!(underway.goes_on(900).is_err());
        assert!(throttle.begin().goes_on(1 << 20).is_ok(), "what begins in spite of it was let through on purpose");
        throttle.open();
        assert!(underway.goes_on(1 << 30).is_ok());
    }
}
