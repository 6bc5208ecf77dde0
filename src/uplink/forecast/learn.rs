//! What a forecast rests on, learnt from what was seen: what the line gives of what it is allowed, by the hour of the
//! day; how many sealed bytes come of a byte of a root's files; how much is new in a day.
//!
//! Everything fades, so that a new contract, another habit or another kind of file is known within days. All is plain
//! sums that [`figures`](Given::figures) turns into numbers to keep and back: a restart goes on from what was kept, and
//! what a death loses is the last minute. Time in which nothing ran while something waited counts as a line that gave
//! nothing: a machine that is off at night is part of how long it takes.

use super::Case;
use crate::clock::Wall;
use crate::model::{Allowed, Rate};
use std::time::Duration;

/// What was seen so long ago weighs half: a week.
const HALF_LIFE: f64 = 7.0 * 86_400.0;
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
/// The longest absence that says something about the days to come.
const LONGEST_ABSENCE: f64 = 24.0 * 3600.0;
/// A range is never narrower than this to either side.
const SURE: f64 = 0.03;
/// How far days differ from what was expected where none was seen; counts as one day.
const UNSEEN_SPREAD: f64 = 0.2;
/// Source bytes after which a ratio has half forgotten what came before.
const RATIO_MEMORY: f64 = 64e9;
/// And after this time: of a first backup that took weeks, what the last one said.
const RATIO_HALF_LIFE: f64 = 2.0 * HALF_LIFE;
/// Source bytes that make one sample of a ratio; on a slow line, or of a quiet root, what a day brought, if it is not next to
/// nothing.
const SAMPLE: f64 = 128e6;
const LEAST_SAMPLE: f64 = 1e6;
/// What is expected of files nothing was seen of, by their mean size: large ones are films and pictures, which hardly shrink;
/// small ones are text and pages, which do. It weighs as much as this many source bytes of the root's own.
const UNSEEN_WEIGHT: f64 = 16e6;
const LARGE: u64 = 2_000_000;
const SMALL: u64 = 50_000;
const DAY: f64 = 86_400.0;

/// A figure and how far it may be off.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    pub low: f64,
    pub likely: f64,
    pub high: f64,
}

impl Spread {
    pub fn exactly(likely: f64) -> Self {
        Self { low: likely, likely, high: likely }
    }
    /// Less to send is the better case.
    pub(super) fn in_case(self, case: Case) -> f64 {
        match case {
            Case::Early => self.low,
            Case::Likely => self.likely,
            Case::Late => self.high,
        }
    }
}

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

    /// `sent` body bytes brought `stored` bytes into the vault: the rest was given up and went again.
    pub fn landed(&mut self, sent: u64, stored: u64) {
        self.sent += real(sent);
        self.stored += real(stored);
        // An object that began earlier ends now: over some gigabytes that evens out.
        if self.sent > RATIO_MEMORY {
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
        Rate::bytes_per_second(whole(self.fastest))
    }

    /// The part of allowed time in which the line was there; None: never looked.
    pub fn there(&self) -> Option<f64> {
        let all = self.all();
        (all.seconds() > 0.0).then(|| all.up / all.seconds())
    }

    pub(super) fn request_s(&self) -> f64 {
        if self.request[1] > 0.0 { self.request[0] / self.request[1] } else { 1.0 }
    }

    /// Bytes a second that are stored in the end, where so much is allowed at that time (None: at any). None: no limit,
    /// and nobody ever saw what the line gives.
    pub(super) fn rate(&self, allowed: Allowed, at: Option<Wall>, case: Case, days: f64) -> Option<f64> {
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
        let stored = if self.sent > 1e8 { (self.stored / self.sent).clamp(0.3, 1.0) } else { 1.0 };
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
        out.extend([self.fastest, self.sent, self.stored, self.days, self.squares]);
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

/// What is known of the files of one root in one vault.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Files {
    /// Source bytes captured and sealed bytes made of them, in samples: sums, and weighted squares of their ratios.
    source: f64,
    sealed: f64,
    samples: f64,
    squares: f64,
    /// The sample that is being gathered, and seconds since the last one was whole.
    open: [f64; 2],
    age: f64,
    /// Bytes of files that became new or other, and the seconds they were watched for. Fading.
    new: f64,
    watched: f64,
}

impl Files {
    /// `source` bytes of files became `sealed` bytes to be sent.
    pub fn sealed(&mut self, source: u64, sealed: u64) {
        self.open[0] += real(source);
        self.open[1] += real(sealed);
        // More sealed than read is a long file on its way: nobody knows what it comes to.
        let a_day_of_it = self.age >= DAY && self.open[0] >= LEAST_SAMPLE && self.open[1] <= self.open[0] * 1.1;
        if self.open[0] < SAMPLE && !a_day_of_it {
            return;
        }
        let [source, sealed] = std::mem::take(&mut self.open);
        // However long nothing came, what comes then makes nobody forget more than half.
        let keep = (-source / RATIO_MEMORY - (self.age / RATIO_HALF_LIFE).min(1.0)).exp2();
        self.age = 0.0;
        self.source = self.source * keep + source;
        self.sealed = self.sealed * keep + sealed;
        let weight = (source / SAMPLE).min(1.0);
        self.samples = self.samples * keep + weight;
        let off = sealed / source - self.sealed / self.source;
        self.squares = self.squares * keep + weight * off * off;
    }

    /// `bytes` became new or other within `seconds`, the first walk aside.
    pub fn changed(&mut self, bytes: u64, seconds: f64) {
        let keep = (-seconds / HALF_LIFE).exp2();
        self.new = self.new * keep + real(bytes);
        self.watched = self.watched * keep + seconds;
        self.age += seconds;
    }

    /// Bytes of files a day that become new or other. Before a day was seen, what was seen is taken for a day's worth.
    pub fn new_per_day(&self) -> u64 {
        if self.watched > 0.0 { whole(self.new / self.watched.max(DAY) * DAY) } else { 0 }
    }

    /// Sealed bytes to a byte of files; None: too few were seen.
    pub fn ratio(&self) -> Option<Spread> {
        // Of an open sample nobody knows how much of it belongs to a long file that is not whole yet.
        let known = self.source > 0.0;
        let (source, sealed) =
            if known { (self.source, self.sealed) } else { (self.open[0], self.open[1].min(self.open[0])) };
        if source < 1e6 {
            return None;
        }
        let likely = (sealed / source).clamp(0.0, 1.1);
        // What is left may be of another kind than what went: the spread of samples, and less of it as they add up.
        let spread = ((self.squares + 0.04) / (self.samples + 1.0)).sqrt();
        let off = (spread * (0.25 + 0.75 / (self.samples + 1.0).sqrt())).max(likely * SURE);
        Some(Spread { low: (likely - off).max(0.0), likely, high: (likely + off).min(1.1) })
    }

    /// The ratio, as far as the root's own files tell, and beyond that as files of about this size (bytes) have it.
    pub fn ratio_or(&self, mean_file: u64) -> Spread {
        let expected = match mean_file {
            LARGE.. => Spread { low: 0.85, likely: 0.98, high: 1.02 },
            SMALL..LARGE => Spread { low: 0.45, likely: 0.8, high: 1.02 },
            _ => Spread { low: 0.25, likely: 0.55, high: 1.02 },
        };
        self.ratio_beside(expected)
    }

    /// The ratio, as far as these files tell, and beyond that what is expected of them.
    pub fn ratio_beside(&self, expected: Spread) -> Spread {
        let Some(seen) = self.ratio() else { return expected };
        let source = if self.source > 0.0 { self.source } else { self.open[0] };
        let own = source / (source + UNSEEN_WEIGHT);
        let mix = |seen: f64, expected: f64| seen * own + expected * (1.0 - own);
        Spread {
            low: mix(seen.low, expected.low),
            likely: mix(seen.likely, expected.likely),
            high: mix(seen.high, expected.high),
        }
    }

    /// Bytes of files that are not whole yet and yet lie in packs already: a film of 50 GB is on its way for days.
    pub fn under_way(&self, ratio: f64) -> u64 {
        whole((self.open[1] - self.open[0] * ratio).max(0.0) / ratio.max(0.05))
    }

    pub fn figures(&self) -> Vec<f64> {
        let [a, b] = self.open;
        vec![self.source, self.sealed, self.samples, self.squares, a, b, self.age, self.new, self.watched]
    }

    pub fn of_figures(figures: &[f64]) -> Option<Self> {
        let [source, sealed, samples, squares, a, b, age, new, watched] = *figures else { return None };
        figures.iter().all(|f| f.is_finite() && *f >= 0.0).then_some(Self {
            source,
            sealed,
            samples,
            squares,
            open: [a, b],
            age,
            new,
            watched,
        })
    }
}

fn hour_of(at: Wall) -> usize {
    usize::try_from(at.0.div_euclid(3_600_000).rem_euclid(24)).expect("below 24")
}

#[expect(clippy::cast_precision_loss, reason = "a forecast needs no more than 15 digits")]
fn real(n: u64) -> f64 {
    n as f64
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds since 1970 fit")]
fn signed(n: i64) -> f64 {
    n as f64
}

#[expect(clippy::cast_possible_truncation, reason = "milliseconds since 1970 fit; saturates")]
fn millis(x: f64) -> i64 {
    x as i64
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "never negative; saturates")]
fn whole(x: f64) -> u64 {
    x.round() as u64
}
