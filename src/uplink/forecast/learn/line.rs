//! What a line gives of what it is allowed, by the hour of the day.

use super::{DAY, HALF_LIFE, SURE};
use crate::clock::Wall;
use crate::model::{Allowed, Rate};
use crate::uplink::forecast::{Case, real, whole};
use std::time::Duration;

/// Hours of the day, by UTC: a change of the clocks moves what was learnt by one, which fades like everything.
const HOURS: usize = 24;
/// So much of all hours is added to what is known of one, seconds: an hour seen once says little.
const LENT: f64 = 4.0 * 3600.0;
/// A line is bound by its limit when it carries at least this part of it.
const BOUND: f64 = 0.9;
/// A line that carries less than this part of its limit is down, or as good as.
const DOWN: f64 = 0.02;
/// Where nothing was measured, a limit is used like this: heads, pauses between objects, outages.
const UNSEEN: f64 = 0.95;
/// Before anything is known of what is sent twice, so much counts as stored at the first go: what the line carries in six
/// hours, at most so many bytes.
const TRUSTED_S: f64 = 6.0 * 3600.0;
const TRUSTED: f64 = 1e8;
/// Body bytes after which half of what was sent twice is forgotten.
const LANDED_MEMORY: f64 = 64e9;
/// The longest absence that says something about the days to come.
const LONGEST_ABSENCE: f64 = 24.0 * 3600.0;
/// How far days differ from what was expected where none was seen; counts as one day.
const UNSEEN_SPREAD: f64 = 0.2;

/// What one look at the line tells: some seconds in which something waited to be sent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Heard {
    /// When the look ends.
    pub at: Wall,
    pub seconds: f64,
    /// What was allowed for all of it.
    pub allowed: Allowed,
    /// Body bytes that went.
    pub sent: u64,
}

/// Fading sums of one hour of the day.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Hour {
    /// Seconds in which the line was there, and in which it was not.
    up: f64,
    down: f64,
    /// Under a limit that bound it: seconds of the limit, and seconds' worth of it that went.
    bound: f64,
    used: f64,
    /// While it gave all it had: seconds and bytes.
    full: f64,
    bytes: f64,
}

impl Hour {
    fn fields(&mut self) -> [&mut f64; 6] {
        [&mut self.up, &mut self.down, &mut self.bound, &mut self.used, &mut self.full, &mut self.bytes]
    }
    fn fade(&mut self, by: f64) {
        self.fields().into_iter().for_each(|f| *f *= by);
    }
    fn add(&mut self, mut other: Hour, part: f64) {
        for (mine, theirs) in self.fields().into_iter().zip(other.fields()) {
            *mine += *theirs * part;
        }
    }
    fn seconds(&self) -> f64 {
        self.up + self.down
    }
}

/// What the line of one vault gives.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Given {
    hours: [Hour; HOURS],
    last: Option<Wall>,
    /// The most that went over a whole look, bytes per second; fades slowly.
    fastest: f64,
    /// Body bytes that went, and bytes that were stored by them: what is sent twice is the difference.
    sent: f64,
    stored: f64,
    /// Body bytes that went since something was last stored. What a death ends goes again: kept with `sent`.
    under_way: f64,
    /// The day that runs: bytes that went, bytes that were expected, seconds.
    day: [f64; 3],
    /// Of days that ended: their number, and the squares of how far off each was. Fading.
    days: f64,
    squares: f64,
    /// Seconds a request takes beyond its bytes; fading mean and its weight.
    request: [f64; 2],
}

impl Given {
    /// One look, a minute or so. Looks in which nothing waited, or nothing was allowed, tell nothing and are left out.
    pub fn hear(&mut self, heard: &Heard) {
        if heard.seconds <= 0.0 || heard.allowed == Allowed::Off {
            return;
        }
        self.fade_to(heard.at);
        let went = real(heard.sent);
        let rate = went / heard.seconds;
        self.judge_day(heard, went);
        self.fastest = self.fastest.max(rate);
        let hour = &mut self.hours[hour_of(heard.at)];
        let limit = match heard.allowed {
            Allowed::At(limit) => Some(real(limit.get())),
            _ => None,
        };
        let least = limit.unwrap_or(self.fastest) * DOWN;
        if rate <= least {
            hour.down += heard.seconds;
            return;
        }
        hour.up += heard.seconds;
        match limit {
            Some(limit) if rate >= BOUND * limit => {
                hour.bound += heard.seconds;
                hour.used += went / limit;
            }
            _ => {
                hour.full += heard.seconds;
                hour.bytes += went;
            }
        }
    }

    /// Nothing ran from `from` to `to`, though something waited: after a power cut, or a night switched off.
    pub fn absent(&mut self, from: Wall, to: Wall) {
        let mut left = to.since(from).as_secs_f64().min(LONGEST_ABSENCE);
        self.fade_to(to);
        let mut at = from;
        while left > 0.0 {
            let part = left.min(600.0);
            self.hours[hour_of(at)].down += part;
            at = at.plus(Duration::from_secs_f64(part));
            left -= part;
        }
    }

    /// `sent` body bytes went, and `stored` bytes are in the vault since the last time: the rest was given up and went again,
    /// or belongs to what is under way.
    pub fn landed(&mut self, sent: u64, stored: u64) {
        self.under_way += real(sent);
        if stored == 0 {
            return;
        }
        self.sent += std::mem::take(&mut self.under_way);
        self.stored += real(stored);
        if self.sent > LANDED_MEMORY {
            self.sent /= 2.0;
            self.stored /= 2.0;
        }
    }

    /// A request took so long beyond its bytes.
    pub fn requested(&mut self, seconds: f64) {
        self.request[0] = self.request[0] * 0.98 + seconds * 0.02;
        self.request[1] = self.request[1] * 0.98 + 0.02;
    }

    /// Seconds of looks it rests on, fading.
    pub fn seconds(&self) -> f64 {
        self.hours.iter().map(Hour::seconds).sum()
    }

    /// The most that ever went over a whole look, lately.
    pub fn fastest(&self) -> Option<Rate> {
        Rate::bytes_per_second(whole(self.fastest.round()))
    }

    /// The part of allowed time in which the line was there; None: never looked.
    pub fn there(&self) -> Option<f64> {
        let all = self.all();
        (all.seconds() > 0.0).then(|| all.up / all.seconds())
    }

    pub(in crate::uplink::forecast) fn request_s(&self) -> f64 {
        if self.request[1] > 0.0 { self.request[0] / self.request[1] } else { 1.0 }
    }

    /// Bytes a second that are stored in the end, where so much is allowed at that time (None: at any). None: no limit,
    /// and nobody ever saw what the line gives.
    pub(in crate::uplink::forecast) fn rate(
        &self,
        allowed: Allowed,
        at: Option<Wall>,
        case: Case,
        days: f64,
    ) -> Option<f64> {
        let mean = self.mean_rate(allowed, at)?;
        let off = self.off_by(days);
        let rate = match case {
            Case::Early => mean * (1.0 + off),
            Case::Likely => mean,
            // More than it ever carried it may carry, but nobody knows.
            Case::Late if self.fastest > 0.0 => mean.min(self.fastest) * (1.0 - off),
            Case::Late => mean * (1.0 - off),
        };
        // Better than the limit it never gets.
        Some(match allowed {
            Allowed::At(limit) => rate.min(real(limit.get())),
            _ => rate,
        })
    }

    fn mean_rate(&self, allowed: Allowed, at: Option<Wall>) -> Option<f64> {
        let all = self.all();
        let mut hour = at.map_or(all, |at| self.hours[hour_of(at)]);
        if at.is_some() && all.seconds() > 0.0 {
            hour.add(all, LENT / all.seconds().max(LENT));
        }
        let stored = self.stored_of_sent();
        let there = if hour.seconds() > 0.0 { hour.up / hour.seconds() } else { UNSEEN };
        let full_rate = if hour.full > 0.0 { Some(hour.bytes / hour.full) } else { None };
        let used = if hour.bound > 0.0 { hour.used / hour.bound } else { UNSEEN.max(0.97) };
        let rate = match allowed {
            Allowed::Off => 0.0,
            Allowed::Unlimited => full_rate.or((self.fastest > 0.0).then_some(self.fastest))?,
            Allowed::At(limit) => {
                let limit = real(limit.get()) * used;
                // How often the line, not the limit, was what bound it; under this limit it then gives the lower of both.
                let part = if hour.up > 0.0 { hour.full / hour.up } else { 0.0 };
                part * full_rate.unwrap_or(limit).min(limit) + (1.0 - part) * limit
            }
        };
        Some(rate * there * stored)
    }

    /// The part of what goes that is stored by it, and is not sent again.
    fn stored_of_sent(&self) -> f64 {
        let trusted = (self.fastest * TRUSTED_S).clamp(1.0, TRUSTED);
        ((self.stored + trusted) / (self.sent + trusted)).clamp(0.3, 1.0)
    }

    /// How far the mean of `days` days may be off.
    fn off_by(&self, days: f64) -> f64 {
        let spread = ((self.squares + UNSEEN_SPREAD * UNSEEN_SPREAD) / (self.days + 1.0)).sqrt();
        (1.3 * spread * (0.25 + 0.75 / days.max(1.0).sqrt())).clamp(SURE, 0.6)
    }

    fn all(&self) -> Hour {
        let mut all = Hour::default();
        self.hours.iter().for_each(|h| all.add(*h, 1.0));
        all
    }

    /// What went against what was expected, a day at a time: how sure the next days are.
    fn judge_day(&mut self, heard: &Heard, went: f64) {
        let Some(expected) = self.mean_rate(heard.allowed, Some(heard.at)).filter(|_| self.seconds() > 3600.0) else {
            return;
        };
        self.day[0] += went;
        self.day[1] += expected * heard.seconds;
        self.day[2] += heard.seconds;
        // A day that is open for six hours is a day's worth at night.
        if self.day[2] >= DAY / 4.0 {
            let off = self.day[0] / self.day[1].max(1.0) - 1.0;
            self.days = self.days * 0.95 + 1.0;
            self.squares = self.squares * 0.95 + off * off;
            self.day = [0.0; 3];
        }
    }

    fn fade_to(&mut self, now: Wall) {
        // A clock that jumps ahead makes nobody forget more than a day or two.
        let passed = self.last.map_or(0.0, |last| now.since(last).as_secs_f64().min(2.0 * DAY));
        self.last = Some(now);
        if passed > 0.0 {
            let by = (-passed / HALF_LIFE).exp2();
            self.hours.iter_mut().for_each(|h| h.fade(by));
            // The fastest minute fades more slowly: it is a bound, not a mean.
            self.fastest *= by.powf(0.25);
        }
    }

    /// Everything, as numbers to keep.
    pub fn figures(&self) -> Vec<f64> {
        let mut out = vec![self.last.map_or(f64::NEG_INFINITY, |w| signed(w.0))];
        out.extend([self.fastest, self.sent + self.under_way, self.stored, self.days, self.squares]);
        out.extend(self.day);
        out.extend(self.request);
        for hour in &self.hours {
            let mut hour = *hour;
            out.extend(hour.fields().map(|f| *f));
        }
        out
    }

    /// Back from what was kept; None where it is not that.
    pub fn of_figures(figures: &[f64]) -> Option<Self> {
        let (head, hours) = figures.split_at_checked(11)?;
        if hours.len() != HOURS * 6 || figures.iter().skip(1).any(|f| !f.is_finite() || *f < 0.0) {
            return None;
        }
        let mut given = Self {
            last: head[0].is_finite().then(|| Wall(millis(head[0]))),
            fastest: head[1],
            sent: head[2],
            stored: head[3],
            under_way: 0.0,
            days: head[4],
            squares: head[5],
            day: [head[6], head[7], head[8]],
            request: [head[9], head[10]],
            hours: [Hour::default(); HOURS],
        };
        for (hour, kept) in given.hours.iter_mut().zip(hours.chunks_exact(6)) {
            hour.fields().into_iter().zip(kept).for_each(|(f, k)| *f = *k);
        }
        Some(given)
    }

    /// When it was last told something.
    pub fn last(&self) -> Option<Wall> {
        self.last
    }
}

fn hour_of(at: Wall) -> usize {
    usize::try_from(at.0.div_euclid(3_600_000).rem_euclid(24)).expect("below 24")
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds since 1970 fit")]
fn signed(n: i64) -> f64 {
    n as f64
}

#[expect(clippy::cast_possible_truncation, reason = "milliseconds since 1970 fit; saturates")]
fn millis(x: f64) -> i64 {
    x as i64
}
