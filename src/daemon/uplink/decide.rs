//! From the settings, the calendar, the orders, the caps and the links to what may go now: pure, and the only place that
//! weighs them.
//!
//! What forbids beats what allows, the strongest first: a pause, a link that is not to be used, a window that is off, a cap
//! that is used up. An ordered limit stands in the place of the configured one and of the calendar, `off` included: who
//! orders a limit now wants it now.

use super::usage::Usage;
use crate::clock::{Steady, Wall};
use crate::daemon::orders::{Ordered, Orders, Term};
use crate::model::{Allowed, Rate};
use crate::uplink::Rates;
use crate::uplink::calendar::{Calendar, Stretch};
use crate::uplink::cap::{Cap, Span};
use jiff::tz::TimeZone;

/// Packs are closed at this part of a cap, which is half of what is kept back for one: its last block may lie beyond that.
const PACKS_OF_CAP: u64 = 32;
/// Packs get no smaller than this, bytes.
const LEAST_PACK: u64 = 1 << 20;
/// An object that is cut off costs at most so much of the line, seconds.
const PACK_SECONDS: u64 = 600;

/// Why nothing goes, or nothing but the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hold {
    /// The operator said so.
    Paused(Term),
    /// The link is not one to use: why.
    Link(String),
    /// The calendar's entry of this number is off.
    Window(usize),
    /// It is used up but for its reserve, which is the log's.
    Cap(Span),
    /// Not even the log may go.
    CapAndReserve(Span),
}

/// What may be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum May {
    Everything,
    /// Segments only.
    Log,
    Nothing,
}

/// Where the limit for what is sent comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    Configured,
    Ordered(Term),
    /// The calendar's entry of this number.
    Window(usize),
}

/// What may go now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Now {
    /// Limits of the line, also while nothing may go: then as they will be.
    pub rates: Rates,
    pub why: Why,
    /// What holds for folders: neither caps nor links are for them.
    pub hold: Option<Hold>,
    /// What holds for buckets.
    pub hold_of_buckets: Option<Hold>,
    /// When this may change by itself; None: it does not.
    pub until: Option<Wall>,
    /// When the calendar will be off next; while an order stands in its place, after that. None: it will not, or is.
    pub shuts_at: Option<Wall>,
    /// Most bytes a pack may have; None: as configured.
    pub pack_bound: Option<u64>,
    /// So little of a cap is left that packs go one at a time: several at once would pass it.
    pub one_at_a_time: bool,
    /// Something is left of every cap: what is under way may end, though nothing begins.
    pub underway_ends: bool,
}

/// What a decision rests on.
#[derive(Debug)]
pub struct Given<'a> {
    pub calendar: &'a Calendar,
    pub download: Option<Rate>,
    pub orders: &'a Orders,
    /// When this process first knew of the limit and of the pause.
    pub known: (Steady, Steady),
    pub usage: &'a Usage,
    pub link: Option<&'a str>,
}

impl Hold {
    pub fn may(&self) -> May {
        if matches!(self, Self::Cap(_)) { May::Log } else { May::Nothing }
    }
}

impl Now {
    pub fn hold_of(&self, is_bucket: bool) -> Option<&Hold> {
        if is_bucket { self.hold_of_buckets.as_ref() } else { self.hold.as_ref() }
    }
    /// For a vault with this limit of its own, bytes; 0: as configured.
    pub fn pack_bound_of(&self, own: Option<Rate>) -> u64 {
        let own = own.map(|rate| rate.get().saturating_mul(PACK_SECONDS).max(LEAST_PACK));
        [self.pack_bound, own].into_iter().flatten().min().unwrap_or(0)
    }
}

impl Given<'_> {
    pub fn limit_order(&self, wall: Wall, now: Steady) -> Option<Term> {
        self.orders.limit_term().filter(|term| term.stands(self.known.0, wall, now))
    }
    pub fn pause_order(&self, wall: Wall, now: Steady) -> Option<Term> {
        self.orders.pause_term().filter(|term| term.stands(self.known.1, wall, now))
    }

    pub fn decide(&self, wall: Wall, now: Steady, zone: &TimeZone) -> Now {
        self.decide_in(self.calendar.at(wall, zone), wall, now, zone)
    }

    /// Where it is known already what the calendar says.
    pub fn decide_in(&self, stretch: Stretch, wall: Wall, now: Steady, zone: &TimeZone) -> Now {
        let order = self.limit_order(wall, now);
        let pause = self.pause_order(wall, now);
        let (allowed, why) = match (order, stretch.entry) {
            (Some(term), _) => (self.orders.limit.and_then(Ordered::rate).into(), Why::Ordered(term)),
            (None, Some(entry)) => (stretch.allowed, Why::Window(entry)),
            (None, None) => (stretch.allowed, Why::Configured),
        };
        let shut = match (allowed, why) {
            (Allowed::Off, Why::Window(entry)) => Some(Hold::Window(entry)),
            _ => None,
        };
        let hold = pause.map(Hold::Paused).or(shut);
        let cap = self.usage.caps().filter_map(|cap| used_up(cap, wall, zone)).max_by_key(|h| h.may() == May::Nothing);
        let link = self.link.map(|text| Hold::Link(text.to_owned()));
        let hold_of_buckets = match &hold {
            Some(Hold::Paused(_)) => hold.clone(),
            _ => link.or_else(|| hold.clone()).or(cap),
        };
        // While it is shut, the limit it will have: packs are made for that.
        let coming = if allowed == Allowed::Off { self.calendar.open_from(stretch, zone) } else { Some(allowed) };
        let up = coming.and_then(Allowed::limit).flatten();
        let ends = [order.and_then(|t| t.until), pause.and_then(|t| t.until)];
        let resets = self.usage.caps().map(|cap| cap.resets_at(wall, zone));
        let change = if order.is_some() { None } else { stretch.until };
        Now {
            shuts_at: match order {
                Some(term) => term.until.and_then(|until| self.calendar.off_from(until, zone)),
                None => stretch.shuts_at,
            },
            rates: Rates { up, down: self.download },
            why,
            hold,
            hold_of_buckets,
            until: ends.into_iter().flatten().chain(change).chain(resets).min(),
            pack_bound: self.pack_bound(up, order),
            one_at_a_time: self.usage.caps().any(|cap| cap.left(wall, zone) < 4 * cap.kept_back()),
            underway_ends: self.usage.caps().all(|cap| cap.left(wall, zone) > 0),
        }
    }

    /// So that an object that is cut off costs little, fits between two times that are shut, and into what is left of a cap.
    fn pack_bound(&self, up: Option<Rate>, order: Option<Term>) -> Option<u64> {
        // An order for good has set the calendar aside.
        let calendar_holds = order.is_none_or(|term| term.until.is_some());
        let run = calendar_holds.then(|| self.calendar.shortest_run()).flatten();
        let bounds = [
            up.map(|rate| rate.get().saturating_mul(PACK_SECONDS)),
            // Half of it, for it begins somewhere in the run.
            run.map(|bytes| bytes / 2),
            self.usage.caps().map(|cap| cap.bytes / PACKS_OF_CAP).min(),
        ];
        bounds.into_iter().flatten().min().map(|bytes| bytes.max(LEAST_PACK))
    }
}

/// A pack begins only while a whole one fits, and what was begun ends in what was kept back: none is cut off by the cap.
fn used_up(cap: &Cap, wall: Wall, zone: &TimeZone) -> Option<Hold> {
    if cap.left_for_log(wall, zone) == 0 {
        Some(Hold::CapAndReserve(cap.span))
    } else if cap.left(wall, zone) < cap.kept_back() {
        Some(Hold::Cap(cap.span))
    } else {
        None
    }
}

#[cfg(test)]
mod tests;
