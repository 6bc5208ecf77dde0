//! "What if?": another limit, other windows, as they would be written in the config.

use crate::error::{Error, Result};
use crate::model::{Rate, Window};
use crate::uplink::calendar::Calendar;

/// One thing that is supposed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Supposed {
    /// The limit outside the calendar's windows; None: no limit.
    Limit(Option<Rate>),
    /// A window more, that wins over those before it.
    Window(Window),
}

impl Supposed {
    /// `limit 5 Mbit/s`, `limit none`, or an entry of the calendar. Operator: it is neither.
    pub fn read(text: &str) -> Result<Self> {
        let wrong = |said: String| {
            Error::operator(format!("understand what is supposed: {said}"))
                .remedy("write it like \"limit 5 Mbit/s\", \"limit none\" or \"daily 23:00-06:00 5 Mbit/s\"")
        };
        let text = text.trim();
        match text.split_once(char::is_whitespace) {
            Some((word, rate)) if word.eq_ignore_ascii_case("limit") => match rate.trim() {
                none if none.eq_ignore_ascii_case("none") => Ok(Self::Limit(None)),
                rate => rate.parse().map(|rate| Self::Limit(Some(rate))).map_err(wrong),
            },
            _ => text.parse().map(Self::Window).map_err(wrong),
        }
    }
}

/// The configured calendar, with all that on top.
pub(super) fn calendar(configured: &Calendar, limit: Option<Rate>, supposed: &[Supposed]) -> Calendar {
    let (mut windows, mut otherwise) = (configured.windows().to_vec(), limit);
    for one in supposed {
        match one {
            Supposed::Limit(rate) => otherwise = *rate,
            Supposed::Window(window) => windows.push(window.clone()),
        }
    }
    Calendar::new(windows, otherwise)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    #[test]
    fn limits_and_windows_are_written_as_everywhere() {
        let rate = Rate::bytes_per_second(625_000);
        assert_eq!(Supposed::read(" limit 5 Mbit/s").unwrap(), Supposed::Limit(rate));
        assert_eq!(Supposed::read("LIMIT none").unwrap(), Supposed::Limit(None));
        let window = "daily 23:00-06:00 5 Mbit/s";
        assert_eq!(Supposed::read(window).unwrap(), Supposed::Window(window.parse().unwrap()));
        for bad in ["", "limit", "limit fast", "5 Mbit/s", "daily", "at night 5 Mbit/s"] {
            assert_eq!(Supposed::read(bad).unwrap_err().kind(), Kind::Operator, "{bad}");
        }
    }
}
