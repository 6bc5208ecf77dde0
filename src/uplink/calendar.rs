//! What the calendar allows at an instant, and until when: windows of the week laid over a place's local time.
//!
//! The answer rests on nothing but the instant, the zone and the entries: a wall clock that jumps changes the question,
//! never the rules. An entry holds while a clock on the wall there shows a time inside it. So an hour that the clocks
//! skip in spring is no part of any window (one that lies in it whole does not come that day), and an hour they show
//! twice in autumn is in the window both times. The last entry that holds decides; where none does, the plain limit.

use crate::clock::Wall;
use crate::model::{Rate, window};
use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use std::time::Duration;

mod ahead;

pub use crate::model::{Allowed, Window};
pub use ahead::Ahead;

/// The end of a window is the log's alone: no pack begins in it.
pub const LOG_ALONE: Duration = Duration::from_secs(60);
/// How far ahead a change is looked for, days: whatever a week of windows does it has done by then, even in a week that
/// begins twice.
const AHEAD: i64 = 8;
const DAY_MS: i64 = 86_400_000;

/// The windows, in the order of the configuration, and what holds outside them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Calendar {
    windows: Vec<Window>,
    otherwise: Option<Rate>,
    /// It rests on nothing else, and is asked every second.
    shortest_run: Option<u64>,
}

/// What is allowed at an instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    pub allowed: Allowed,
    /// The first instant at which something else is allowed; None: not within [`AHEAD`] days.
    pub until: Option<Wall>,
    /// While something is allowed, the first instant at which nothing is; None: not within [`AHEAD`] days.
    pub shuts_at: Option<Wall>,
    /// Which entry decided, from 0; None: none, the plain limit holds.
    pub entry: Option<usize>,
}

/// A part of a weekday, by the clock on the wall.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// Minutes after midnight; `to` is not in it.
    pub from: u16,
    pub to: u16,
    pub allowed: Allowed,
    pub entry: Option<usize>,
}

impl Calendar {
    /// `otherwise` is the limit where no window holds; None: no limit.
    pub fn new(windows: Vec<Window>, otherwise: Option<Rate>) -> Self {
        let mut calendar = Self { windows, otherwise, shortest_run: None };
        calendar.shortest_run = calendar.find_shortest_run();
        calendar
    }

    pub fn windows(&self) -> &[Window] {
        &self.windows
    }

    /// What the clock on the wall decides: day 0 is Monday.
    fn shown(&self, weekday: u8, minute: u16) -> (Allowed, Option<usize>) {
        match self.windows.iter().rposition(|w| w.holds(weekday, minute)) {
            Some(at) => (self.windows[at].allowed, Some(at)),
            None => (self.otherwise.into(), None),
        }
    }

    fn decide(&self, now: Timestamp, zone: &TimeZone) -> (Allowed, Option<usize>) {
        let local = zone.to_datetime(now);
        let weekday = local.date().weekday().to_monday_zero_offset().unsigned_abs();
        self.shown(weekday, minute_of(local.time()))
    }

    /// What holds now and until when.
    pub fn at(&self, now: Wall, zone: &TimeZone) -> Stretch {
        let instant = instant(now);
        let (allowed, entry) = self.decide(instant, zone);
        let borders = self.borders(instant, zone);
        let first = |wanted: &dyn Fn(Allowed) -> bool| {
            borders.iter().find(|at| wanted(self.decide(**at, zone).0)).map(|at| Wall(at.as_millisecond()))
        };
        let until = first(&|then| then != allowed);
        let shuts_at = if allowed == Allowed::Off { None } else { first(&|then| then == Allowed::Off) };
        Stretch { allowed, until, shuts_at, entry }
    }

    /// The first instant from `from` on at which nothing is allowed; None: not within [`AHEAD`] days.
    pub fn off_from(&self, from: Wall, zone: &TimeZone) -> Option<Wall> {
        let then = self.at(from, zone);
        if then.allowed == Allowed::Off { Some(from) } else { then.shuts_at }
    }

    /// What is allowed at `now`, or, where that is nothing, what will be when something is again; None: never.
    pub fn next_open(&self, now: Wall, zone: &TimeZone) -> Option<Allowed> {
        self.open_from(self.at(now, zone), zone)
    }

    /// As [`next_open`](Self::next_open), where it is known what is allowed now.
    pub fn open_from(&self, stretch: Stretch, zone: &TimeZone) -> Option<Allowed> {
        if stretch.allowed != Allowed::Off {
            return Some(stretch.allowed);
        }
        stretch.until.map(|until| self.decide(instant(until), zone).0)
    }

    /// Every instant of the days ahead at which the answer may change, in order: a clock on the wall passes the begin
    /// or end of a window or midnight, or it is set forward or back.
    fn borders(&self, now: Timestamp, zone: &TimeZone) -> Vec<Timestamp> {
        if self.windows.is_empty() {
            return Vec::new();
        }
        let last = instant(Wall(now.as_millisecond().saturating_add(AHEAD * DAY_MS)));
        let mut minutes: Vec<u16> = self.windows.iter().flat_map(|w| [w.from(), w.to() % window::DAY]).collect();
        minutes.push(0);
        minutes.sort_unstable();
        minutes.dedup();
        let mut found: Vec<Timestamp> =
            zone.following(now).map(|t| t.timestamp()).take_while(|at| *at <= last).collect();
        let today = zone.to_datetime(now).date();
        for day in (-1..=AHEAD + 1).filter_map(|n| today.checked_add(n.days()).ok()) {
            for minute in &minutes {
                found.extend(shows(day, *minute, zone));
            }
        }
        found.retain(|at| *at > now && *at <= last);
        found.sort_unstable();
        found.dedup();
        found
    }

    /// The fewest bytes that go without a break between two times that are shut, at the limits of the calendar; None: the
    /// week is never shut, or no stretch of it is bounded. What is bigger may be cut off every time it is sent.
    pub fn shortest_run(&self) -> Option<u64> {
        self.shortest_run
    }

    fn find_shortest_run(&self) -> Option<u64> {
        if self.windows.is_empty() {
            return None;
        }
        let parts: Vec<Part> = self.week().into_iter().flatten().collect();
        let begin = parts.iter().position(|p| p.allowed == Allowed::Off)?;
        let (mut runs, mut run) = (Vec::new(), None);
        for part in parts[begin..].iter().chain(&parts[..begin]).chain(parts.get(begin)) {
            match part.allowed {
                Allowed::Off => runs.extend(run.take()),
                Allowed::At(rate) => {
                    let bytes = rate.get().saturating_mul(u64::from(part.to - part.from) * 60);
                    run = Some(run.unwrap_or(0u64).saturating_add(bytes));
                }
                Allowed::Unlimited => run = Some(u64::MAX),
            }
        }
        runs.into_iter().min().filter(|bytes| *bytes < u64::MAX)
    }

    /// Every day of the week, Monday first, whole and without gaps, as it is on a day of 24 hours.
    pub fn week(&self) -> [Vec<Part>; 7] {
        [0, 1, 2, 3, 4, 5, 6].map(|weekday| {
            let mut parts: Vec<Part> = Vec::new();
            for minute in 0..window::DAY {
                let (allowed, entry) = self.shown(weekday, minute);
                match parts.last_mut() {
                    Some(part) if (part.allowed, part.entry) == (allowed, entry) => part.to = minute + 1,
                    _ => parts.push(Part { from: minute, to: minute + 1, allowed, entry }),
                }
            }
            parts
        })
    }
}

fn minute_of(time: Time) -> u16 {
    u16::from(time.hour().unsigned_abs()) * 60 + u16::from(time.minute().unsigned_abs())
}

/// The instants at which a clock on the wall shows this minute: two where it is set back over it, and where it is set
/// forward over it one that is of no use and does no harm.
fn shows(day: Date, minute: u16, zone: &TimeZone) -> impl Iterator<Item = Timestamp> + use<> {
    let hour = i8::try_from(minute / 60).unwrap_or(0);
    let minute = i8::try_from(minute % 60).unwrap_or(0);
    let shown = zone.to_ambiguous_timestamp(day.at(hour, minute, 0, 0));
    [shown.earlier(), shown.later()].into_iter().filter_map(Result::ok)
}

/// Beyond the years a calendar knows, its last.
pub(super) fn instant(at: Wall) -> Timestamp {
    Timestamp::from_millisecond(at.0).unwrap_or(if at.0 < 0 { Timestamp::MIN } else { Timestamp::MAX })
}

#[cfg(test)]
mod tests;
