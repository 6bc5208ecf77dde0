//! Times as people type and read them.

use super::Failure;
use crate::catalog::When;
use crate::clock::Wall;
use crate::config::duration;
use crate::error::Error;
use jiff::Timestamp;
use jiff::civil::DateTime;
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
