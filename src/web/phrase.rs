//! Numbers, spans and moments as people say them. Pure; the zone is handed in.

use crate::clock::Wall;
use jiff::Timestamp;
use jiff::tz::TimeZone;

pub(super) const UNKNOWN: &str = "not known yet";

/// `1,204,331`.
pub(super) fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `1 file`, `2,000 files`.
pub(super) fn counted(n: u64, one: &str, many: &str) -> String {
    format!("{} {}", count(n), if n == 1 { one } else { many })
}

/// A span in the one unit people would use, from seconds to years; rounded down.
pub(super) fn span(seconds: u64) -> String {
    const MINUTE: u64 = 60;
    const HOUR: u64 = 60 * MINUTE;
    const DAY: u64 = 24 * HOUR;
    let (n, one, many) = match seconds {
        s if s < 2 * MINUTE => (s, "second", "seconds"),
        s if s < 2 * HOUR => (s / MINUTE, "minute", "minutes"),
        s if s < 2 * DAY => (s / HOUR, "hour", "hours"),
        s if s < 14 * DAY => (s / DAY, "day", "days"),
        s if s < 730 * DAY => (s / (7 * DAY), "week", "weeks"),
        s => (s / (365 * DAY), "year", "years"),
    };
    counted(n, one, many)
}

/// `14:03` today, else `3 Aug 14:03`, with the year when it is another one. What is no RFC 3339 time stays as it is.
pub(super) fn moment(at: &str, now: Wall, zone: &TimeZone) -> String {
    let Some((at_stamp, now)) = at.parse::<Timestamp>().ok().zip(stamp(now)) else { return at.to_owned() };
    let (at, now) = (at_stamp.to_zoned(zone.clone()), now.to_zoned(zone.clone()));
    let form = match () {
        () if at.date() == now.date() => "%H:%M",
        () if at.year() == now.year() => "%-d %b %H:%M",
        () => "%-d %b %Y %H:%M",
    };
    at.strftime(form).to_string()
}

/// `12 minutes ago (14:03)`; a moment in the future is only named.
pub(super) fn ago(at: &str, now: Wall, zone: &TimeZone) -> String {
    let named = moment(at, now, zone);
    let passed = at.parse::<Timestamp>().ok().zip(stamp(now)).map(|(at, now)| now.as_second() - at.as_second());
    match passed.map(u64::try_from) {
        Some(Ok(seconds)) if seconds < 60 => format!("just now ({named})"),
        Some(Ok(seconds)) => format!("{} ago ({named})", span(seconds)),
        _ => named,
    }
}

/// The clock on the wall, to the second.
pub(super) fn time_of_day(now: Wall, zone: &TimeZone) -> String {
    stamp(now).map_or_else(String::new, |now| now.to_zoned(zone.clone()).strftime("%-d %b %Y, %H:%M").to_string())
}

fn stamp(at: Wall) -> Option<Timestamp> {
    Timestamp::from_millisecond(at.0).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_take_the_unit_people_would() {
        for (seconds, said) in [
            (0, "0 seconds"),
            (1, "1 second"),
            (119, "119 seconds"),
            (120, "2 minutes"),
            (7199, "119 minutes"),
            (7200, "2 hours"),
            (172_800, "2 days"),
            (14 * 86_400, "2 weeks"),
            (800 * 86_400, "2 years"),
        ] {
            assert_eq!(span(seconds), said);
        }
        assert_eq!(count(0), "0");
        assert_eq!(count(1_204_331), "1,204,331");
        assert_eq!(counted(1, "file", "files"), "1 file");
    }

    #[test]
    fn moments_are_as_short_as_the_day_allows() {
        let now = Wall("2026-08-03T14:03:20Z".parse::<Timestamp>().unwrap().as_millisecond());
        let said = |at| moment(at, now, &TimeZone::UTC);
        assert_eq!(said("2026-08-03T09:05:00Z"), "09:05");
        assert_eq!(said("2026-08-02T09:05:00Z"), "2 Aug 09:05");
        assert_eq!(said("2025-12-31T09:05:00Z"), "31 Dec 2025 09:05");
        assert_eq!(said("<b>"), "<b>");
        assert_eq!(ago("2026-08-03T14:03:00Z", now, &TimeZone::UTC), "just now (14:03)");
        assert_eq!(ago("2026-08-03T11:03:20Z", now, &TimeZone::UTC), "3 hours ago (11:03)");
        assert_eq!(ago("2026-08-03T15:03:20Z", now, &TimeZone::UTC), "15:03");
    }
}
