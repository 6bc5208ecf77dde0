//! `[walk]` and `[kind]`: how much of the machine is taken, and when.

use super::section::Section;
use super::value::every;
use super::{Cpu, WalkSettings, defaults};
use crate::error::Result;
use crate::model::Hours;
use std::time::Duration;

/// How often every root is walked unless it says otherwise, and when.
pub(super) fn walks(section: &mut Section) -> Result<(Duration, WalkSettings)> {
    let hours = |t: &str| if t == "always" { Ok(None) } else { t.parse::<Hours>().map(Some) };
    let every = every(section, "every")?.unwrap_or(defaults::WALK_EVERY);
    let hours = section.read("hours", hours)?.and_then(|g| g.value);
    let wake = section.truth("wake")?.is_some_and(|g| g.value);
    Ok((every, WalkSettings { hours, wake }))
}

pub(super) fn cpu(section: &mut Section) -> Result<Cpu> {
    Ok(section.read("cpu", read)?.map_or(Cpu::All, |g| g.value))
}

fn read(text: &str) -> std::result::Result<Cpu, String> {
    let bad =
        || format!("'{}' is no part of the processors; write it like \"2\", \"50 %\" or \"all\"", text.escape_debug());
    let number = |t: &str, most: u16| {
        let t = t.trim();
        let plain = !t.is_empty() && t.bytes().all(|b| b.is_ascii_digit());
        t.parse::<u16>().ok().filter(|n| plain && (1..=most).contains(n)).ok_or_else(bad)
    };
    match text.trim() {
        "all" => Ok(Cpu::All),
        t => match t.strip_suffix('%') {
            Some(percent) => Ok(Cpu::Percent(number(percent, 100)?)),
            None => Ok(Cpu::Processors(number(t, 1024)?)),
        },
    }
}

impl Cpu {
    /// How many of `there` processors to work on: at least one, at most all.
    pub fn of(self, there: usize) -> usize {
        let wanted = match self {
            Self::All => there,
            Self::Processors(n) => usize::from(n),
            Self::Percent(percent) => there.saturating_mul(usize::from(percent)) / 100,
        };
        wanted.clamp(1, there.max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_the_processors_is_at_least_one_and_at_most_all() {
        for (text, of_eight) in [("all", 8), ("2", 2), ("9", 8), ("50 %", 4), ("1%", 1), ("100 %", 8)] {
            assert_eq!(read(text).unwrap().of(8), of_eight, "{text}");
        }
        assert_eq!(read("50 %").unwrap().of(1), 1);
        for bad in ["0", "", "%", "101 %", "-1", "half", "1.5", "+2"] {
            assert!(read(bad).unwrap_err().contains(&format!("'{bad}'")), "{bad}");
        }
    }
}
