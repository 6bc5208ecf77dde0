//! What will be allowed, told to a forecast: the calendar, an order that ends, a pause that ends, the vault's own limit and
//! its part of the line, and the caps with what they have left.
//!
//! Beyond eight weeks the calendar is asked by the week, not by the day: a change of the clocks matters no more there.

use super::Room;
use crate::clock::Wall;
use crate::model::{Allowed, Rate};
use crate::uplink::calendar::{Calendar, Part, Stretch};
use crate::uplink::cap::Cap;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use std::time::Duration;

/// Asked exactly so far ahead.
const EXACT: Duration = Duration::from_secs(56 * 86_400);
/// A cap counts heads and packets too: so much of it is bodies.
const BODIES_PERCENT: u64 = 97;
const DAY_MS: i64 = 86_400_000;
const MINUTE_MS: i64 = 60_000;

/// All that decides about the days to come.
#[derive(Clone, Debug)]
pub struct Plan {
    pub now: Wall,
    pub calendar: Calendar,
    pub zone: TimeZone,
    /// In the place of the calendar; with an end, or for good.
    pub ordered: Option<(Allowed, Option<Wall>)>,
    /// Nothing goes; until then, or (None) for good.
    pub paused: Option<Option<Wall>>,
    /// The vault's own limit.
    pub own: Option<Rate>,
    /// So many vaults share the line now, this one included.
    pub sharing: u64,
    pub caps: Vec<Cap>,
    /// How big a pack is now, bytes.
    pub pack: u64,
}

impl Plan {
    /// A teller for one run.
    pub fn teller(&self) -> impl FnMut(Wall, u64) -> Room + use<'_> {
        let week = self.calendar.week();
        let mut periods: Vec<Spent> = self.caps.iter().map(|cap| Spent::now(cap, self)).collect();
        move |at, sent| {
            let Stretch { allowed, mut until, shuts_at, .. } = self.allowed(at, &week);
            let mut left = None;
            for period in &mut periods {
                period.move_to(at, sent, &self.zone);
                left = Some(left.unwrap_or(u64::MAX).min(period.left(sent)));
                until = Some(until.map_or(period.ends, |u: Wall| u.min(period.ends)));
            }
            // Other vaults use the caps too, each its part.
            Room { allowed: self.part_of(allowed), until, shuts_at, left: left.map(|l| l / self.sharing.max(1)) }
        }
    }

    fn part_of(&self, allowed: Allowed) -> Allowed {
        let sharing = self.sharing.max(1);
        match (allowed, self.own) {
            (Allowed::At(rate), own) => {
                let part = Rate::bytes_per_second((rate.get() / sharing).max(1)).unwrap_or(rate);
                Allowed::At(own.map_or(part, |own| own.min(part)))
            }
            (Allowed::Unlimited, Some(own)) => Allowed::At(own),
            (other, _) => other,
        }
    }

    fn allowed(&self, at: Wall, week: &[Vec<Part>; 7]) -> Stretch {
        let stretch = |allowed, until, shuts_at| Stretch { allowed, until, shuts_at, entry: None };
        match self.paused {
            Some(None) => return stretch(Allowed::Off, None, None),
            Some(Some(until)) if at < until => return stretch(Allowed::Off, Some(until), None),
            _ => {}
        }
        match self.ordered {
            Some((allowed, None)) => stretch(allowed, None, None),
            Some((allowed, Some(until))) if at < until => {
                stretch(allowed, Some(until), self.calendar.off_from(until, &self.zone))
            }
            _ => self.of_calendar(at, week),
        }
    }

    /// By the week nobody knows when a window closes: only what is exact tells.
    fn of_calendar(&self, at: Wall, week: &[Vec<Part>; 7]) -> Stretch {
        if at.since(self.now) <= EXACT {
            return self.calendar.at(at, &self.zone);
        }
        let instant = Timestamp::from_millisecond(at.0).unwrap_or(Timestamp::MAX);
        let local = at.0 + i64::from(self.zone.to_offset(instant).seconds()) * 1000;
        // 1970-01-01 was a Thursday; Monday is 0.
        let weekday = usize::try_from((local.div_euclid(DAY_MS) + 3).rem_euclid(7)).unwrap_or(0);
        let into = local.rem_euclid(DAY_MS);
        let minute = u16::try_from(into / MINUTE_MS).unwrap_or(0);
        let (allowed, until) = match week[weekday].iter().find(|part| minute < part.to) {
            Some(_) if self.calendar.windows().is_empty() => (self.calendar.at(at, &self.zone).allowed, None),
            Some(part) => (part.allowed, Some(Wall(at.0 - into + i64::from(part.to) * MINUTE_MS))),
            None => (Allowed::Off, Some(Wall(at.0 - into + DAY_MS))),
        };
        Stretch { allowed, until, shuts_at: None, entry: None }
    }
}

/// What a cap lets through in the period that runs, in body bytes.
#[derive(Debug)]
struct Spent<'a> {
    cap: &'a Cap,
    pack: u64,
    /// What it let through when the period began, or at the begin of the run, and what had been sent then.
    full: u64,
    sent: u64,
    ends: Wall,
}

impl<'a> Spent<'a> {
    fn now(cap: &'a Cap, plan: &Plan) -> Self {
        let mut now = Self { cap, pack: plan.pack, full: 0, sent: 0, ends: cap.resets_at(plan.now, &plan.zone) };
        now.full = now.bodies(cap.left(plan.now, &plan.zone));
        now
    }
    fn move_to(&mut self, at: Wall, sent: u64, zone: &TimeZone) {
        if at >= self.ends {
            self.full = self.bodies(self.cap.bytes - self.cap.reserve);
            (self.sent, self.ends) = (sent, self.cap.resets_at(at, zone));
        }
    }
    fn left(&self, sent: u64) -> u64 {
        self.full.saturating_sub(sent.saturating_sub(self.sent))
    }
    /// The last pack that begins goes beyond what is kept back, by half of itself on average.
    fn bodies(&self, left: u64) -> u64 {
        let kept_back = self.cap.kept_back();
        if left < kept_back { 0 } else { (left - kept_back + self.pack.min(kept_back) / 2) / 100 * BODIES_PERCENT }
    }
}
