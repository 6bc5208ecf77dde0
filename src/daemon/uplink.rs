//! What may go over the uplink now: the one place where the configured limit, the calendar, the operator's orders, the caps
//! and the links meet. What comes out goes to the house's line and to every vault.
//!
//! It is looked at every second: the wall clock may jump, and an answer that rests on the time of day is never kept longer.
//! Only when the calendar changes next is remembered, as long as nothing can have moved it ([`Ahead`]).
//! Orders and what was used of the caps are on the disk (`orders`, `usage`); everything else is worked out anew at a start,
//! so dying here loses at most what was counted in the last half minute.

pub mod decide;
mod tell;
pub mod usage;

pub use decide::{Hold, May, Now, Why};

use super::home::Home;
use super::orders::Orders;
use super::run::Vault;
use crate::clock::{Clock, Steady, Wall};
use crate::config::UplinkSettings;
use crate::daemon::open::House;
use crate::error::Result;
use crate::model::Rate;
use crate::store::throttle::Line;
use crate::uplink::calendar::{Ahead, Calendar};
use crate::worker::{Faults, Nudge};
use decide::Given;
use jiff::tz::TimeZone;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use usage::Usage;

/// How often it is looked at.
pub const LOOK: Duration = Duration::from_secs(1);
/// An order that ended stays in the file for so long, in case it was only the clock that had jumped.
const AFTERWARDS: Duration = Duration::from_secs(600);

/// Which zone the hours of the calendar are in.
#[derive(Clone, Debug)]
pub enum Place {
    /// Where this machine is, as it says from moment to moment.
    Here,
    At(TimeZone),
}

#[derive(Debug)]
pub struct Uplink {
    settings: UplinkSettings,
    calendar: Calendar,
    home: Home,
    clock: Arc<dyn Clock>,
    faults: Faults,
    place: Place,
    pub line: Line,
    /// Rung when something was ordered or a link changed.
    pub bell: Nudge,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    orders: Orders,
    /// When this process first knew of the limit and of the pause.
    known: (Steady, Steady),
    /// Since when an order has ended that is still in the file.
    ended: Option<Steady>,
    usage: Usage,
    /// Bytes of each vault that were counted before.
    counted: BTreeMap<String, u64>,
    link: Option<String>,
    /// When the calendar changes, as it was last found.
    ahead: Ahead,
}

impl Uplink {
    /// Operator: the orders cannot be read.
    pub fn open(house: &House, place: Place) -> Result<Self> {
        let settings = house.settings.uplink.clone();
        let (wall, now) = (house.clock.wall(), house.clock.steady());
        let orders = Orders::read(&house.home)?;
        let usage = Usage::read(&house.home, &settings, wall, now);
        if let Some(lost) = &usage.lost {
            tracing::error!("{lost}");
        }
        let calendar = Calendar::new(settings.calendar.clone(), settings.limit);
        let ahead = Ahead::default();
        let state =
            State { orders, known: (now, now), ended: None, usage, counted: BTreeMap::new(), link: None, ahead };
        let given = given(&state, &calendar, &settings);
        let rates = given.decide(wall, now, &place.zone()).rates;
        Ok(Self {
            calendar,
            home: house.home.clone(),
            clock: Arc::clone(&house.clock),
            faults: house.faults.clone(),
            place,
            line: Line::new(rates, Arc::clone(&house.clock)),
            bell: Nudge::new(),
            settings,
            state: Mutex::new(state),
        })
    }

    /// What is lost of the counts, to be said; None: nothing.
    pub fn lost(&self) -> Option<String> {
        self.state().usage.lost.clone()
    }

    pub fn now(&self) -> Now {
        let state = self.state();
        self.decide(&state)
    }

    fn decide(&self, state: &State) -> Now {
        given(state, &self.calendar, &self.settings).decide(self.clock.wall(), self.clock.steady(), &self.place.zone())
    }

    /// Changes the operator's orders: kept first. Whoever called makes the vaults obey.
    pub fn order(&self, change: impl FnOnce(&mut Orders)) -> Result<()> {
        let now = self.clock.steady();
        let mut state = self.state();
        let mut orders = state.orders;
        change(&mut orders);
        orders.write(&self.home, &self.faults)?;
        if orders.limit_term() != state.orders.limit_term() || orders.limit != state.orders.limit {
            state.known.0 = now;
        }
        if orders.pause_term() != state.orders.pause_term() {
            state.known.1 = now;
        }
        (state.orders, state.ended) = (orders, None);
        self.bell.ring();
        Ok(())
    }

    /// The link is not one to use, and why; None: it is.
    pub fn link(&self, hold: Option<String>) {
        let mut state = self.state();
        if state.link != hold {
            state.link = hold;
            self.bell.ring();
        }
    }

    /// When the calendar allows something else; None: it does not change.
    pub fn next_change(&self) -> Option<Wall> {
        self.calendar.at(self.clock.wall(), &self.place.zone()).until
    }

    pub fn calendar(&self) -> &Calendar {
        &self.calendar
    }
    /// What holds outside all windows; None: no limit.
    pub fn plain_limit(&self) -> Option<Rate> {
        self.settings.limit
    }
    pub fn zone(&self) -> TimeZone {
        self.place.zone()
    }
    pub fn is_capped(&self) -> bool {
        self.settings.month.is_some() || self.settings.day.is_some()
    }
    /// The caps as they stand.
    pub fn caps(&self) -> Vec<crate::uplink::cap::Cap> {
        self.state().usage.caps().cloned().collect()
    }

    /// Counts what went since the last look, writes it down when that is due, and says what may go now to the line and to
    /// every vault. An error is about keeping the counts; what may go was said nevertheless.
    pub fn settle(&self, vaults: &[Arc<Vault>]) -> Result<Now> {
        let (wall, steady, zone) = (self.clock.wall(), self.clock.steady(), self.place.zone());
        let mut state = self.state();
        for vault in vaults.iter().filter(|v| v.is_bucket()) {
            // What was taken for a moment and given back is not counted twice.
            let wire = vault.throttle.wire_bytes();
            let total = wire.up.saturating_add(wire.down);
            let before = state.counted.insert(vault.settings.name.clone(), total).unwrap_or(0);
            state.usage.count(total.saturating_sub(before), wall, &zone);
        }
        let kept =
            if state.usage.is_due(steady) { state.usage.write(&self.home, &self.faults, steady) } else { Ok(()) };
        self.tidy(&mut state, wall, steady);
        let stretch = state.ahead.at(&self.calendar, wall, &zone);
        let now = given(&state, &self.calendar, &self.settings).decide_in(stretch, wall, steady, &zone);
        self.line.set(now.rates);
        for vault in vaults {
            vault.obey(&now);
        }
        kept.map(|()| now)
    }

    /// Before the end: everything that was counted is on the disk when this returns.
    pub fn close(&self, vaults: &[Arc<Vault>]) -> Result<()> {
        self.settle(vaults)?;
        self.state().usage.write(&self.home, &self.faults, self.clock.steady())
    }

    /// An order that ended some time ago goes from the file. That it could not be removed is no harm: it has ended.
    fn tidy(&self, state: &mut State, wall: Wall, steady: Steady) {
        let given = given(state, &self.calendar, &self.settings);
        let (limit, pause) = (given.limit_order(wall, steady), given.pause_order(wall, steady));
        let mut left = state.orders;
        if limit.is_none() {
            left.set_limit(None, wall, None);
        }
        if pause.is_none() {
            left.lift_pause();
        }
        if left == state.orders {
            state.ended = None;
            return;
        }
        let since = *state.ended.get_or_insert(steady);
        if steady.since(since) >= AFTERWARDS && left.write(&self.home, &self.faults).is_ok() {
            (state.orders, state.ended) = (left, None);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("uplink lock")
    }
}

impl Place {
    fn zone(&self) -> TimeZone {
        match self {
            Self::Here => TimeZone::system(),
            Self::At(zone) => zone.clone(),
        }
    }
}

fn given<'a>(state: &'a State, calendar: &'a Calendar, settings: &UplinkSettings) -> Given<'a> {
    Given {
        calendar,
        download: settings.download,
        orders: &state.orders,
        known: state.known,
        usage: &state.usage,
        link: state.link.as_deref(),
    }
}
