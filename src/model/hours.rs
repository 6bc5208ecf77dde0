//! Hours of the day, as a clock on the wall shows them: `02:00-05:00`, begin included, end not, over midnight too.

use std::fmt;
use std::str::FromStr;

/// Minutes of a day that lasts 24 hours.
const DAY: u16 = 24 * 60;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hours {
    /// Minutes after midnight, below 24 h; never the same.
    from: u16,
    to: u16,
}

impl Hours {
    /// `minute`: after midnight.
    pub fn hold(self, minute: u16) -> bool {
        self.since_begin(minute) < (self.to + DAY - self.from) % DAY
    }

    /// Minutes since they last began.
    pub fn since_begin(self, minute: u16) -> u16 {
        (minute % DAY + DAY - self.from) % DAY
    }

    /// Minutes until they begin next, at least one.
    pub fn until_begin(self, minute: u16) -> u16 {
        DAY - self.since_begin(minute)
    }
}

impl FromStr for Hours {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let minute = |t: &str| {
            let (hours, minutes) = t.trim().split_once(':')?;
            let two = |t: &str| t.bytes().all(|b| b.is_ascii_digit()) && (1..=2).contains(&t.len());
            if !two(hours) || !two(minutes) || minutes.len() != 2 {
                return None;
            }
            let (hours, minutes): (u16, u16) = (hours.parse().ok()?, minutes.parse().ok()?);
            (minutes < 60 && hours * 60 + minutes <= DAY).then_some((hours * 60 + minutes) % DAY)
        };
        text.split_once('-')
            .and_then(|(from, to)| Some(Self { from: minute(from)?, to: minute(to)? }))
            .filter(|hours| hours.from != hours.to)
            .ok_or_else(|| format!("'{}' are not hours of a day; write them like \"02:00-05:00\"", text.escape_debug()))
    }
}

impl fmt::Display for Hours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}-{:02}:{:02}", self.from / 60, self.from % 60, self.to / 60, self.to % 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn hours_hold_from_their_begin_until_just_before_their_end() {
        let (night, late): (Hours, Hours) = ("2:00-05:00".parse().unwrap(), "22:30-06:00".parse().unwrap());
        for (hours, minute, holds) in [
            (night, 119, false),
            (night, 120, true),
            (night, 299, true),
            (night, 300, false),
            (late, 22 * 60 + 29, false),
            (late, 22 * 60 + 30, true),
            (late, 0, true),
            (late, 360, false),
        ] {
            assert_eq!(hours.hold(minute), holds, "{hours} {minute}");
        }
        assert_eq!("00:00-24:00".parse::<Hours>().ok(), None, "that is always");
        for bad in ["", "2-5", "02:00", "25:00-26:00", "02:60-03:00", "+2:00-03:00", "02:0-03:00", "02:00-02:00"] {
            assert!(bad.parse::<Hours>().unwrap_err().contains(&format!("'{bad}'")), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_reads_as_the_same(from in 0u16..DAY, to in 0u16..DAY, minute in 0u16..DAY) {
            prop_assume!(from != to);
            let hours = Hours { from, to };
            prop_assert_eq!(hours.to_string().parse::<Hours>(), Ok(hours));
            prop_assert_eq!((minute + hours.until_begin(minute)) % DAY, from);
            let other_half = Hours { from: to, to: from };
            prop_assert_ne!(hours.hold(minute), other_half.hold(minute));
        }
    }
}
