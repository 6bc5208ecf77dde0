//! The end of a window: nothing begins that would be cut off, and what is stored by then is named in the log in time. So
//! it is safe tonight, and not only when the next window opens.
//!
//! What is first sent in a window begins whatever the time: the estimate is only an estimate, and a short window is to
//! make progress too. What is under way when the window closes is the throttle's affair. Nothing durable: after a death
//! the next start works it out anew.

use crate::clock::Wall;
use crate::model::Rate;
use crate::store::throttle::Throttle;
use crate::uplink::calendar::LOG_ALONE;
use std::sync::Mutex;
use std::time::Duration;

/// By then what is stored is named, whatever is still under way.
const LOG_AT_LATEST: Duration = Duration::from_secs(20);

/// What is known of the window's end.
#[derive(Debug, Default)]
pub(in crate::daemon) struct LastCall(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    shuts_at: Option<Wall>,
    /// A pack was stored since the window opened.
    stored: bool,
    /// What waits would be cut off.
    nothing_fits: bool,
}

impl LastCall {
    /// Sending will be off then; None: it is not to be, or is.
    pub(super) fn look(&self, shuts_at: Option<Wall>) {
        let mut state = self.state();
        if state.shuts_at != shuts_at {
            *state = State { shuts_at, stored: state.stored && shuts_at.is_some(), nothing_fits: false };
        }
    }

    pub(super) fn stored(&self) {
        let mut state = self.state();
        (state.stored, state.nothing_fits) = (true, false);
    }
    /// Nothing that waits ends in time.
    pub(super) fn nothing_fits(&self) {
        self.state().nothing_fits = true;
    }

    /// Packs up to so many bytes end in time; None: any may begin.
    pub(super) fn ends_in_time(&self, now: Wall, throttle: &Throttle) -> Option<u64> {
        let state = self.state();
        let left = state.shuts_at.filter(|_| state.stored)?.since(now);
        let (bodies, wire) = (throttle.sent_bytes(), throttle.wire_bytes().up);
        room(left, throttle.rate(), throttle.lately(), Share::seen(bodies, wire))
    }

    /// Whether nothing begins any more, though something waits.
    pub(in crate::daemon) fn rests(&self, now: Wall) -> bool {
        let state = self.state();
        let is_late = state.shuts_at.is_some_and(|at| at.since(now) <= LOG_ALONE);
        state.stored && (is_late || state.nothing_fits)
    }

    /// Whether what is stored is to be named now; `uploading` objects are under way.
    pub(super) fn is(&self, now: Wall, uploading: u64) -> bool {
        let state = self.state();
        let Some(left) = state.shuts_at.map(|at| at.since(now)) else { return false };
        left <= LOG_AT_LATEST || (state.nothing_fits || left <= LOG_ALONE) && uploading == 0
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().expect("last call lock")
    }
}

/// Per cent of what goes over the wire that is bodies, a little to spare: the rest is heads, TLS and packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Share(u64);

impl Share {
    /// Before so many bytes went, what it is at 16 kbit/s, where packets are smallest.
    const LEAST: u64 = 256 << 10;
    const UNSEEN: Self = Self(80);

    fn seen(bodies: u64, wire: u64) -> Self {
        if wire < Self::LEAST {
            Self::UNSEEN
        } else {
            Self((bodies.saturating_mul(100) / wire).clamp(50, 100) * 97 / 100)
        }
    }
}

/// Bytes of an object that end before the log's last minute, at the lower of the limit and the rate that was seen (bytes
/// per second; 0: none was). None: nobody knows.
fn room(left: Duration, limit: Option<Rate>, seen: u64, share: Share) -> Option<u64> {
    let left = left.saturating_sub(LOG_ALONE).as_secs();
    let rate = [limit.map(Rate::get), Some(seen).filter(|seen| *seen > 0)].into_iter().flatten().min();
    if left == 0 {
        return Some(0);
    }
    rate.map(|rate| left.saturating_mul(rate) / 100 * share.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;

    const MINUTE: i64 = 60_000;

    fn throttle(bytes: u64) -> Throttle {
        Throttle::new(Rate::bytes_per_second(bytes), ManualClock::at(Wall(0)))
    }

    #[test]
    fn nothing_begins_that_would_be_cut_off_but_the_first_of_a_window() {
        let (call, line) = (LastCall::default(), throttle(1000));
        call.look(Some(Wall(60 * MINUTE)));
        assert_eq!(call.ends_in_time(Wall(59 * MINUTE), &line), None, "the first");
        call.stored();
        assert_eq!(call.ends_in_time(Wall(0), &line), Some(59 * 60 * 800));
        assert_eq!(call.ends_in_time(Wall(58 * MINUTE), &line), Some(60 * 800));
        assert_eq!(call.ends_in_time(Wall(59 * MINUTE), &line), Some(0));
        call.look(None);
        call.look(Some(Wall(120 * MINUTE)));
        assert_eq!(call.ends_in_time(Wall(119 * MINUTE), &line), None, "the first of the next window");
    }

    #[test]
    fn a_line_nobody_knows_begins_until_the_last_minute() {
        let (call, line) = (LastCall::default(), Throttle::new(None, ManualClock::at(Wall(0))));
        call.look(Some(Wall(60 * MINUTE)));
        call.stored();
        assert_eq!(call.ends_in_time(Wall(58 * MINUTE), &line), None);
        assert_eq!(call.ends_in_time(Wall(59 * MINUTE), &line), Some(0));
        let slow = room(Duration::from_secs(160), Rate::bytes_per_second(1000), 10, Share::UNSEEN);
        assert_eq!(slow, Some(800), "slower than its limit");
        assert_eq!(Share::seen(96_000, 100_000), Share::UNSEEN, "too little was seen");
        assert_eq!((Share::seen(960_000, 1_000_000), Share::seen(1 << 20, 1 << 20)), (Share(93), Share(97)));
    }

    #[test]
    fn what_is_stored_is_named_once_nothing_is_under_way_and_at_the_latest_before_the_end() {
        let call = LastCall::default();
        assert!(!call.is(Wall(0), 0), "it is never off");
        call.look(Some(Wall(60 * MINUTE)));
        let at = |minutes: i64, seconds: i64| Wall(minutes * MINUTE + seconds * 1000);
        assert!(!call.is(at(50, 0), 0));
        assert!(call.is(at(59, 0), 0) && !call.is(at(59, 0), 1) && call.is(at(59, 40), 1));
        call.nothing_fits();
        assert!(call.is(at(50, 0), 0) && !call.is(at(50, 0), 1));
    }
}
