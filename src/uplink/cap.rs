//! How many bytes a month or a day may take, and what is left: periods of local time, and a count for each.
//!
//! Bytes count both ways, sent and received: that is how providers count. When the cap is used up but for its reserve,
//! packs wait; the reserve is for the log (`meta_`), so that what is stored still becomes safe.
//!
//! A clock that is set back never gives bytes twice. Each count holds the bytes since its period was first seen, whatever
//! periods the clock showed in between: coming back to one finds all of them counted. A period that is new to the book
//! begins at 0 only if the clock came to it as clocks do; else it takes over the count of the one before it.

use super::calendar::instant;
use crate::clock::Wall;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

/// A pack takes no more than this part of a cap.
const PARTS: u64 = 16;
/// `pack_size` goes no higher, bytes.
const BIGGEST_PACK: u64 = 64 << 20;

/// So many periods are remembered. The oldest go: a clock that is set back further takes over the oldest count kept.
const KEPT: usize = 6;

/// What a cap is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Span {
    /// From midnight to midnight, local time.
    Day,
    /// From midnight before the billing day to midnight before the next. 1 to 31; in a shorter month its last day.
    Month { billing_day: u8 },
}

/// From when to when a count runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Period {
    /// Its first day, which is its name.
    pub first: Date,
    pub begins: Wall,
    /// The first instant of the next.
    pub ends: Wall,
}

/// Bytes since a period was first seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    pub first: Date,
    pub bytes: u64,
}

/// The counts of one cap, oldest period first, at most [`KEPT`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Book {
    counts: Vec<Count>,
    /// When something was last looked up or counted; None: never.
    seen: Option<Wall>,
}

/// A bound for a span, and what was counted against it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cap {
    pub span: Span,
    /// Bytes a period, reserve included.
    pub bytes: u64,
    /// Bytes of them that only the log may use.
    pub reserve: u64,
    book: Book,
}

impl Span {
    pub fn period(self, now: Wall, zone: &TimeZone) -> Period {
        let today = zone.to_datetime(instant(now)).date();
        let (first, next) = match self {
            Self::Day => (today, today.saturating_add(1.day())),
            Self::Month { billing_day } => {
                let this = on(today, billing_day);
                let month = |by: i64| on(today.first_of_month().saturating_add(by.months()), billing_day);
                if this <= today { (this, month(1)) } else { (month(-1), this) }
            }
        };
        Period { first, begins: midnight(first, zone), ends: midnight(next, zone) }
    }
}

/// The billing day in the month of `day`.
fn on(day: Date, billing_day: u8) -> Date {
    let last = day.days_in_month();
    let nth = i8::try_from(billing_day).unwrap_or(last).clamp(1, last);
    day.first_of_month().saturating_add((i64::from(nth) - 1).days())
}

/// When a day begins: where its midnight is skipped, after the gap.
fn midnight(day: Date, zone: &TimeZone) -> Wall {
    let shown = zone.to_ambiguous_timestamp(day.at(0, 0, 0, 0)).compatible();
    Wall(shown.map_or(i64::MAX, Timestamp::as_millisecond))
}

impl Book {
    /// As it was kept. Whatever order and number they come in, the newest [`KEPT`] periods stay.
    pub fn new(counts: impl IntoIterator<Item = Count>, seen: Option<Wall>) -> Self {
        let mut book = Self { counts: counts.into_iter().collect(), seen };
        book.counts.sort_by_key(|c| c.first);
        // Of a period named twice the higher count.
        book.counts.dedup_by(|later, kept| {
            let same = later.first == kept.first;
            if same {
                kept.bytes = kept.bytes.max(later.bytes);
            }
            same
        });
        book.forget();
        book
    }
    pub fn counts(&self) -> &[Count] {
        &self.counts
    }
    pub fn seen(&self) -> Option<Wall> {
        self.seen
    }

    fn forget(&mut self) {
        let too_many = self.counts.len().saturating_sub(KEPT);
        self.counts.drain(..too_many);
    }

    /// What the period of `now` has used, by the clock of `now`.
    fn used(&self, span: Span, now: Wall, zone: &TimeZone) -> u64 {
        let period = span.period(now, zone);
        let at = self.counts.partition_point(|c| c.first < period.first);
        match self.counts.get(at) {
            Some(count) if count.first == period.first => return count.bytes,
            None if self.seen.is_none_or(|seen| seen < period.begins) => return 0,
            _ => {}
        }
        // The clock has been ahead of this period. Only the one that follows a known one directly came by itself.
        let before = span.period(Wall(period.begins.0.saturating_sub(1)), zone).first;
        match at.checked_sub(1).map(|at| self.counts[at]) {
            Some(count) if count.first == before && self.seen.is_some_and(|seen| seen < period.begins) => 0,
            Some(count) => count.bytes,
            None => self.counts.first().map_or(0, |c| c.bytes),
        }
    }

    fn count(&mut self, span: Span, bytes: u64, now: Wall, zone: &TimeZone) {
        let used = self.used(span, now, zone);
        let first = span.period(now, zone).first;
        if let Err(at) = self.counts.binary_search_by_key(&first, |c| c.first) {
            self.counts.insert(at, Count { first, bytes: used });
        }
        for count in &mut self.counts {
            count.bytes = count.bytes.saturating_add(bytes);
        }
        self.forget();
        self.seen = Some(now);
    }
}

impl Cap {
    /// `reserve` is cut to the cap.
    pub fn new(span: Span, bytes: u64, reserve: u64, book: Book) -> Self {
        Self { span, bytes, reserve: reserve.min(bytes), book }
    }
    /// No pack begins while less than this is left, so that none is cut off by the cap: no pack is bigger.
    pub fn kept_back(&self) -> u64 {
        (self.bytes / PARTS).min(BIGGEST_PACK)
    }
    pub fn book(&self) -> &Book {
        &self.book
    }
    /// Counts bytes that went, and where 0 of them did that this period was seen.
    pub fn count(&mut self, bytes: u64, now: Wall, zone: &TimeZone) {
        self.book.count(self.span, bytes, now, zone);
    }
    pub fn used(&self, now: Wall, zone: &TimeZone) -> u64 {
        self.book.used(self.span, now, zone)
    }
    /// What anything may still use: the reserve is not in it.
    pub fn left(&self, now: Wall, zone: &TimeZone) -> u64 {
        (self.bytes - self.reserve).saturating_sub(self.used(now, zone))
    }
    /// What the log may still use.
    pub fn left_for_log(&self, now: Wall, zone: &TimeZone) -> u64 {
        self.bytes.saturating_sub(self.used(now, zone))
    }
    pub fn resets_at(&self, now: Wall, zone: &TimeZone) -> Wall {
        self.span.period(now, zone).ends
    }
}

#[cfg(test)]
mod tests;
