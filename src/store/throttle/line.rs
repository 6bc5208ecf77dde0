//! The house's line to the outside: its limits hold for all vaults together, which share them fairly.

use crate::clock::{Clock, Steady};
use crate::uplink::{Grant, Rates, Share, Taker};
use std::sync::{Arc, Mutex, MutexGuard};

/// Which way bytes go, seen from this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    Up,
    Down,
}

/// Bytes of both ways.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Both {
    pub up: u64,
    pub down: u64,
}

impl Both {
    pub(super) fn way(&mut self, way: Way) -> &mut u64 {
        match way {
            Way::Up => &mut self.up,
            Way::Down => &mut self.down,
        }
    }
}

/// The line shared by the throttles of all vaults. Cloned: the same line.
#[derive(Clone, Debug)]
pub struct Line(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    up: Share,
    down: Share,
}

impl State {
    fn way(&mut self, way: Way) -> &mut Share {
        match way {
            Way::Up => &mut self.up,
            Way::Down => &mut self.down,
        }
    }
}

/// A throttle's place on the line, given up when dropped.
#[derive(Debug)]
pub(super) struct Seat {
    line: Line,
    up: Taker,
    down: Taker,
}

impl Line {
    pub fn new(rates: Rates, clock: Arc<dyn Clock>) -> Self {
        let now = clock.steady();
        let state = State { up: Share::new(rates.up, now), down: Share::new(rates.down, now) };
        Self(Arc::new(Inner { clock, state: Mutex::new(state) }))
    }

    /// New limits, felt at once by what is on its way.
    pub fn set(&self, rates: Rates) {
        let now = self.0.clock.steady();
        let mut state = self.state();
        state.up.set(rates.up, now);
        state.down.set(rates.down, now);
    }
    pub fn rates(&self) -> Rates {
        let state = self.state();
        Rates { up: state.up.rate(), down: state.down.rate() }
    }

    pub(super) fn sit(&self) -> Seat {
        let mut state = self.state();
        let (up, down) = (state.up.join(), state.down.join());
        Seat { line: self.clone(), up, down }
    }
    pub(super) fn clock(&self) -> &dyn Clock {
        &*self.0.clock
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().expect("line lock")
    }
}

impl Seat {
    pub(super) fn line(&self) -> &Line {
        &self.line
    }
    pub(super) fn take(&self, way: Way, want: u64, now: Steady) -> Grant {
        self.line.state().way(way).take(self.taker(way), want, now)
    }
    pub(super) fn charge(&self, way: Way, bytes: u64, now: Steady) {
        self.line.state().way(way).charge(self.taker(way), bytes, now);
    }
    pub(super) fn refund(&self, way: Way, bytes: u64, now: Steady) {
        self.line.state().way(way).refund(self.taker(way), bytes, now);
    }
    fn taker(&self, way: Way) -> Taker {
        match way {
            Way::Up => self.up,
            Way::Down => self.down,
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut state = self.line.state();
        state.up.leave(self.up);
        state.down.leave(self.down);
    }
}
