//! Times as people type and read them.

use super::Failure;
use crate::catalog::When;
use crate::clock::Wall;
use crate::config::duration;
use crate::error::Error;
use jiff::Timestamp;
use jiff::civil::{DateTime, Time};
use jiff::tz::TimeZone;

/// RFC 3339, local `YYYY-MM-DD HH:MM` (or with seconds, or the date alone), or how long ago: `3d`.
pub fn when(text: Option<&str>, now: Wall) -> Result<When, Failure> {
    let Some(text) = text else { return Ok(When::Now) };
    let text = text.trim();
    let parsed = text
        .parse::<Timestamp>()
        .ok()
        .or_else(|| {
            text.replace(' ', "T").parse::<DateTime>().ok()?.to_zoned(TimeZone::system()).ok().map(|z| z.timestamp())
        })
        .map(|t| Wall(t.as_millisecond()));
    let ago = || {
        duration::parse(text).ok().map(|d| Wall(now.0.saturating_sub(i64::try_from(d.as_millis()).unwrap_or(i64::MAX))))
    };
    parsed.or_else(ago).map(When::At).ok_or_else(|| {
        Failure::Usage(
            Error::operator(format!("understand the time '{text}'"))
                .remedy("write it like 2026-11-23T08:00:00Z, \"2026-11-23 08:00\" or 3d"),
        )
    })
}

/// A time ahead: `18:00` (the next one), `tomorrow` (its midnight), or as [`when`] reads them, but not how long ago.
pub fn ahead(text: &str, now: Wall, zone: &TimeZone) -> Result<Wall, Failure> {
    let text = text.trim();
    let today = Timestamp::from_millisecond(now.0).unwrap_or(Timestamp::MIN).to_zoned(zone.clone()).date();
    let at = |local: DateTime| local.to_zoned(zone.clone()).ok().map(|z| Wall(z.timestamp().as_millisecond()));
    let tomorrow = today.tomorrow().unwrap_or(today);
    let clock = || {
        let time: Time = text.contains(':').then(|| text.parse().ok())??;
        at(today.to_datetime(time)).filter(|at| *at > now).or_else(|| at(tomorrow.to_datetime(time)))
    };
    let parsed = if text == "tomorrow" {
        at(tomorrow.to_datetime(Time::midnight()))
    } else {
        text.parse::<Timestamp>()
            .ok()
            .map(|t| Wall(t.as_millisecond()))
            .or_else(|| at(text.replace(' ', "T").parse::<DateTime>().ok()?))
            .or_else(clock)
    };
    let refused = |what: &str| {
        let remedy = "write a time ahead like 18:00, tomorrow, \"2026-11-24 06:00\" or 2026-11-24T05:00:00Z";
        Failure::Usage(Error::operator(format!("understand the time '{text}'{what}")).remedy(remedy))
    };
    match parsed {
        Some(at) if at > now => Ok(at),
        Some(_) => Err(refused(": it is past")),
        None => Err(refused("")),
    }
}

/// Local, to the second.
pub fn local(at: Wall) -> String {
    Timestamp::from_millisecond(at.0).map_or_else(
        |_| "unknown time".to_owned(),
        |t| t.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S").to_string(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_ahead_is_the_next_of_its_kind_and_never_past() {
        let wall = |text: &str| Wall(text.parse::<Timestamp>().unwrap().as_millisecond());
        let (now, berlin) = (wall("2026-11-23T12:00:00Z"), TimeZone::get("Europe/Berlin").unwrap());
        for (text, at) in [
            ("18:00", "2026-11-23T17:00:00Z"),
            ("06:30", "2026-11-24T05:30:00Z"),
            ("13:00", "2026-11-24T12:00:00Z"),
            ("tomorrow", "2026-11-23T23:00:00Z"),
            ("2026-11-24 06:00", "2026-11-24T05:00:00Z"),
            ("2026-11-24", "2026-11-23T23:00:00Z"),
            ("2026-11-24T06:00:00Z", "2026-11-24T06:00:00Z"),
        ] {
            assert_eq!(ahead(text, now, &berlin).ok(), Some(wall(at)), "{text}");
        }
        for bad in ["", "2026-11-23 08:00", "2h", "25:00", "18", "next week", "1800"] {
            assert!(ahead(bad, now, &berlin).is_err(), "{bad}");
        }
    }

    #[test]
    fn three_ways_to_say_when() {
        let now = Wall(10 * 86_400_000);
        assert_eq!(when(None, now).ok(), Some(When::Now));
        assert_eq!(when(Some("3d"), now).ok(), Some(When::At(Wall(7 * 86_400_000))));
        assert_eq!(when(Some("1970-01-02T00:00:00Z"), now).ok(), Some(When::At(Wall(86_400_000))));
        assert!(matches!(when(Some("2026-11-23 08:00"), now), Ok(When::At(_))));
        assert!(matches!(when(Some("2026-11-23"), now), Ok(When::At(_))));
        assert!(when(Some("yesterday-ish"), now).is_err());
    }
}
