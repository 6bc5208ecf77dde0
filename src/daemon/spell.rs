//! Moments, spans and paths as the status document and people read them.

use crate::clock::Wall;
use crate::model::TreePath;
use base64::Engine as _;
use jiff::Timestamp;
use jiff::tz::TimeZone;

/// Milliseconds since 1970 as RFC 3339 in UTC, seconds precision.
pub fn rfc3339(at: Wall) -> String {
    Timestamp::from_millisecond(at.0)
        .map_or_else(|_| "unknown".to_owned(), |t| t.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
}

/// A moment as people near `now` say it: `18:00`, `Tue 06:00`, `1 Dec 00:00`, `1 Dec 2027`.
pub fn local(at: Wall, now: Wall, zone: &TimeZone) -> String {
    let zoned = |at: Wall| Timestamp::from_millisecond(at.0).ok().map(|t| t.to_zoned(zone.clone()));
    let (Some(at), Some(now)) = (zoned(at), zoned(now)) else { return "unknown time".to_owned() };
    let days = now.date().until(at.date()).map_or(i32::MAX, |span| span.get_days());
    let shape = match days {
        0 => "%H:%M",
        1 => "tomorrow %H:%M",
        -5..=6 => "%a %H:%M",
        -180..=180 => "%-d %b %H:%M",
        _ => "%-d %b %Y",
    };
    at.strftime(shape).to_string()
}

/// `3 days`, `5 hours`, `2 minutes`.
pub fn words_for(seconds: u64) -> String {
    let (n, unit) = match seconds {
        s if s >= 2 * 86_400 => (s / 86_400, "days"),
        s if s >= 2 * 3600 => (s / 3600, "hours"),
        s if s >= 120 => (s / 60, "minutes"),
        s => (s, "seconds"),
    };
    format!("{n} {unit}")
}

/// Escaped for people, and the bytes where they are not UTF-8.
pub fn legible(path: &TreePath) -> (String, Option<String>) {
    let b64 = std::str::from_utf8(path.as_bytes())
        .is_err()
        .then(|| base64::engine::general_purpose::STANDARD.encode(path.as_bytes()));
    (path.to_string(), b64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_told_in_the_unit_that_still_says_something() {
        for (seconds, text) in [(119, "119 seconds"), (120, "2 minutes"), (7200, "2 hours"), (172_800, "2 days")] {
            assert_eq!(words_for(seconds), text);
        }
    }

    #[test]
    fn a_moment_is_told_as_short_as_it_is_clear() {
        let wall = |text: &str| Wall(text.parse::<Timestamp>().unwrap().as_millisecond());
        let berlin = TimeZone::get("Europe/Berlin").unwrap();
        for (at, text) in [
            ("2026-11-23T17:00:00Z", "18:00"),
            ("2026-11-23T23:00:00Z", "tomorrow 00:00"),
            ("2026-11-26T05:00:00Z", "Thu 06:00"),
            ("2026-11-22T05:00:00Z", "Sun 06:00"),
            ("2026-11-30T23:00:00Z", "1 Dec 00:00"),
            ("2031-01-01T12:00:00Z", "1 Jan 2031"),
        ] {
            assert_eq!(local(wall(at), wall("2026-11-23T12:00:00Z"), &berlin), text);
        }
    }

    #[test]
    fn a_path_that_is_not_utf8_goes_with_its_bytes() {
        assert_eq!(legible(&TreePath::from_bytes("/a").unwrap()), ("/a".to_owned(), None));
        assert_eq!(legible(&TreePath::from_bytes(b"/\xff".to_vec()).unwrap()).1.as_deref(), Some("L/8="));
    }
}
