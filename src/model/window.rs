//! A window of the week and what may go over the uplink in it, as people write it: `mon-fri 08:00-18:00 500 kbit/s`,
//! `daily 01:00-06:00 unlimited`, `sat,sun off`.
//!
//! Days, then hours (left out: the whole day), then a rate, `off` or `unlimited`. Hours are what a clock on the wall
//! shows, begin included, end not. A window that ends at or before its begin passes midnight and belongs to the day it
//! begins on. What the hours are in a place with summer time is the calendar's to say.

use super::Rate;
use std::fmt;
use std::str::FromStr;

/// Minutes of a day that lasts 24 hours.
pub const DAY: u16 = 24 * 60;
const NAMES: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
const LONG_NAMES: [&str; 7] = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
const EXAMPLE: &str =
    "write it like \"mon-fri 08:00-18:00 500 kbit/s\", \"daily 01:00-06:00 unlimited\" or \"sat,sun off\"";

/// What may go over the uplink.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Allowed {
    /// Nothing.
    Off,
    At(Rate),
    Unlimited,
}

impl Allowed {
    /// As a limit; None where nothing may go.
    pub fn limit(self) -> Option<Option<Rate>> {
        match self {
            Self::Off => None,
            Self::At(rate) => Some(Some(rate)),
            Self::Unlimited => Some(None),
        }
    }
}

impl From<Option<Rate>> for Allowed {
    fn from(limit: Option<Rate>) -> Self {
        limit.map_or(Self::Unlimited, Self::At)
    }
}

impl fmt::Display for Allowed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("off"),
            Self::At(rate) => rate.fmt(f),
            Self::Unlimited => f.write_str("unlimited"),
        }
    }
}

/// One entry of the calendar.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Window {
    /// As it was written, single spaces.
    text: String,
    /// Bit 0 is Monday.
    days: u8,
    /// Minutes after midnight, below [`DAY`].
    from: u16,
    /// Minutes after midnight, 1 to [`DAY`]; at most `from` where the window passes midnight.
    to: u16,
    pub allowed: Allowed,
}

impl Window {
    pub fn text(&self) -> &str {
        &self.text
    }
    pub fn from(&self) -> u16 {
        self.from
    }
    pub fn to(&self) -> u16 {
        self.to
    }
    fn passes_midnight(&self) -> bool {
        self.to <= self.from
    }
    /// Whether it holds when the clock on the wall shows `minute` of `weekday` (0 is Monday).
    pub fn holds(&self, weekday: u8, minute: u16) -> bool {
        let begins_on = |day: u8| self.days & (1 << (day % 7)) != 0;
        if self.passes_midnight() {
            begins_on(weekday) && minute >= self.from || begins_on(weekday + 6) && minute < self.to
        } else {
            begins_on(weekday) && (self.from..self.to).contains(&minute)
        }
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Window {
    type Err = String;
    /// The error names the entry, what is wrong in it, and the remedy after a semicolon.
    fn from_str(text: &str) -> Result<Self, String> {
        let parts: Vec<&str> = text.split_whitespace().collect();
        let wrong = |what: &str| format!("'{}': {what}; {EXAMPLE}", text.escape_debug());
        let Some((days, rest)) = parts.split_first() else { return Err(wrong("says nothing")) };
        let days = self::days(days).map_err(|what| wrong(&what))?;
        let (hours, rest) = match rest.split_first() {
            Some((hours, rest)) if hours.contains('-') || hours.contains(':') => (Some(*hours), rest),
            _ => (None, rest),
        };
        let (from, to) = hours.map_or(Ok((0, DAY)), self::hours).map_err(|what| wrong(&what))?;
        let allowed = allowed(&rest.join(" ")).map_err(|what| wrong(&what))?;
        Ok(Self { text: parts.join(" "), days, from, to, allowed })
    }
}

fn allowed(text: &str) -> Result<Allowed, String> {
    match text.to_ascii_lowercase().as_str() {
        "off" => Ok(Allowed::Off),
        "unlimited" => Ok(Allowed::Unlimited),
        "" => Err("does not say what may go then".to_owned()),
        _ => text
            .parse()
            .map(Allowed::At)
            .map_err(|_| format!("'{}' is neither a rate, nor \"off\", nor \"unlimited\"", text.escape_debug())),
    }
}

fn day(text: &str) -> Result<u8, String> {
    let lower = text.to_ascii_lowercase();
    let at = NAMES.iter().position(|n| *n == lower).or_else(|| LONG_NAMES.iter().position(|n| *n == lower));
    at.and_then(|at| u8::try_from(at).ok())
        .ok_or_else(|| format!("'{}' is no day: \"daily\", or of {}", text.escape_debug(), NAMES.join(", ")))
}

/// `daily`, `mon`, `mon-fri`, `sat,sun`, `fri-mon`.
fn days(text: &str) -> Result<u8, String> {
    if text.eq_ignore_ascii_case("daily") {
        return Ok(0x7f);
    }
    text.split(',').try_fold(0, |bits, part| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (day(first)?, day(last)?);
        Ok((0..=(last + 7 - first) % 7).fold(bits, |bits, n| bits | 1 << ((first + n) % 7)))
    })
}

/// `08:00-18:00`, `23:30-05:00`, `18:00-24:00`.
fn hours(text: &str) -> Result<(u16, u16), String> {
    let minute = |t: &str| {
        let (h, m) = t.split_once(':')?;
        let number =
            |t: &str| (t.len() <= 2 && t.bytes().all(|b| b.is_ascii_digit())).then(|| t.parse::<u16>().ok())?;
        let (h, m) = (number(h)?, (m.len() == 2).then(|| number(m))??);
        (m < 60 && h * 60 + m <= DAY).then_some(h * 60 + m)
    };
    let wrong = || format!("'{}' are no hours like 08:00-18:00", text.escape_debug());
    let (from, to) = text.split_once('-').ok_or_else(wrong)?;
    let (from, to) = (minute(from).ok_or_else(wrong)?, minute(to).ok_or_else(wrong)?);
    if from == DAY {
        return Err("24:00 is an end; a window that begins then begins at 00:00 of the next day".to_owned());
    }
    if from == to {
        return Err("begins when it ends; leave the hours out for the whole day".to_owned());
    }
    // Midnight as an end is the end of the day it began on.
    Ok((from, if to == 0 { DAY } else { to }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn window(text: &str) -> Window {
        text.parse().unwrap()
    }

    #[test]
    fn the_ways_people_write_a_window_are_understood() {
        let work = window("mon-fri 08:00-18:00 500 kbit/s");
        assert_eq!(work.allowed, Allowed::At("500 kbit/s".parse().unwrap()));
        assert!(work.holds(0, 480) && work.holds(4, 1079) && !work.holds(4, 1080) && !work.holds(5, 600));
        assert!(!work.holds(0, 479));
        let night = window("daily  23:30-05:00   Unlimited");
        assert_eq!(night.text(), "daily 23:30-05:00 Unlimited");
        assert!(night.holds(3, 1410) && night.holds(3, 0) && night.holds(3, 299) && !night.holds(3, 300));
        let weekend = window("Sat,Sunday off");
        assert!(weekend.holds(5, 0) && weekend.holds(6, 1439) && !weekend.holds(0, 0) && !weekend.holds(4, 1439));
        let round = window("fri-mon 2MB/s");
        assert!([4, 5, 6, 0].iter().all(|d| round.holds(*d, 5)) && !round.holds(1, 5) && !round.holds(3, 5));
        assert_eq!(
            window("mon 18:00-00:00 off"),
            Window { text: "mon 18:00-00:00 off".into(), ..window("mon 18:00-24:00 off") }
        );
    }

    #[test]
    fn a_window_over_midnight_belongs_to_the_day_it_begins_on() {
        let friday = window("fri 22:00-02:00 off");
        assert!(friday.holds(4, 1320) && friday.holds(5, 119));
        assert!(!friday.holds(4, 60) && !friday.holds(5, 1320) && !friday.holds(5, 120));
        let sunday = window("sun 22:00-02:00 off");
        assert!(sunday.holds(6, 1400) && sunday.holds(0, 30));
    }

    #[test]
    fn what_is_not_understood_is_named_with_the_remedy() {
        for (text, said) in [
            ("", "says nothing"),
            ("01:00-06:00 off", "no day"),
            ("mon-fry off", "'fry' is no day"),
            ("mon 8-18 off", "no hours"),
            ("mon 08:00 off", "no hours"),
            ("mon 08:00-25:00 off", "no hours"),
            ("mon 08:60-09:00 off", "no hours"),
            ("mon 24:00-06:00 off", "24:00 is an end"),
            ("mon 08:00-08:00 off", "begins when it ends"),
            ("mon 08:00-18:00", "does not say what may go"),
            ("mon", "does not say what may go"),
            ("mon 08:00-18:00 none", "neither a rate"),
            ("mon 08:00-18:00 0 kbit/s", "neither a rate"),
            ("mon, tue off", "no day"),
        ] {
            let e = text.parse::<Window>().unwrap_err();
            assert!(e.contains(said) && e.contains("; write it like \"mon-fri"), "{text}: {e}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_window_or_an_error(text in "\\PC{0,30}|[a-z,-]{0,8} [0-9:-]{0,12} [a-z0-9 /]{0,10}") {
            if let Ok(window) = text.parse::<Window>() {
                prop_assert!(window.from() < DAY && (1..=DAY).contains(&window.to()));
                prop_assert!((0..7).any(|d| (0..DAY).any(|m| window.holds(d, m))));
            }
        }
    }
}
