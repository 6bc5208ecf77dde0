//! `[uplink]`: what may go over the line, and when.

use super::section::{Given, Section};
use super::value::{limit, rate_or_none};
use super::{Reserve, UplinkSettings, defaults};
use crate::error::{Error, Result};
use crate::model::{Allowed, Size, Window, window};

pub(super) fn uplink(section: &mut Section) -> Result<UplinkSettings> {
    let limit = limit(section)?;
    let download = rate_or_none(section, "download")?;
    let calendar = calendar(section)?;
    let month = section.read("month", cap)?.and_then(|g| g.value);
    let day = section.read("day", cap)?.and_then(|g| g.value);
    let billing_day = section.whole("billing_day")?;
    let reserve = section.read("reserve", reserve)?;
    let polite = section.truth("polite")?.map_or(defaults::POLITE, |given| given.value);
    if let (Some(given), None) = (&billing_day, month) {
        return Err(nothing_without(section, given.line, "billing_day", "month = \"200 GB\""));
    }
    if let (Some(given), None, None) = (&reserve, month, day) {
        return Err(nothing_without(section, given.line, "reserve", "month = \"200 GB\" or day = \"20 GB\""));
    }
    let billing_day = billing_day.map_or(Ok(defaults::BILLING_DAY), |given| day_of_month(section, &given))?;
    Ok(UplinkSettings {
        limit,
        download,
        calendar,
        month,
        day,
        billing_day,
        reserve: reserve.map_or(defaults::RESERVE, |g| g.value),
        polite,
    })
}

/// In the order of the file, and not shut for ever.
fn calendar(section: &mut Section) -> Result<Vec<Window>> {
    let given = section.list("calendar")?.unwrap_or_default();
    let (mut windows, mut last) = (Vec::with_capacity(given.len()), 0);
    for entry in given {
        windows.push(entry.value.parse::<Window>().map_err(|e| section.error(entry.line, "calendar", e))?);
        last = entry.line;
    }
    let shut =
        |day, minute| windows.iter().rev().find(|w| w.holds(day, minute)).is_some_and(|w| w.allowed == Allowed::Off);
    if (0..7).all(|day| (0..window::DAY).all(|minute| shut(day, minute))) {
        return Err(section
            .error(last, "calendar", "nothing may ever go")
            .remedy("leave some hours open; to stop for a while there is 'panicroom pause'"));
    }
    Ok(windows)
}

fn cap(text: &str) -> std::result::Result<Option<Size>, String> {
    if text == "none" {
        return Ok(None);
    }
    match text.parse::<Size>()? {
        Size(0) => Err("0 would let nothing go; write it like \"200 GB\", or \"none\"".to_owned()),
        size => Ok(Some(size)),
    }
}

fn day_of_month(section: &Section, given: &Given<i64>) -> Result<u8> {
    u8::try_from(given.value).ok().filter(|day| (1..=31).contains(day)).ok_or_else(|| {
        section
            .error(given.line, "billing_day", format!("{} is no day of a month", given.value))
            .remedy("choose 1 to 31; in a shorter month its last day counts")
    })
}

fn reserve(text: &str) -> std::result::Result<Reserve, String> {
    let wrong = || format!("'{}' is no reserve; write it like \"1 %\" (0 to 50) or \"500 MB\"", text.escape_debug());
    match text.trim().strip_suffix('%') {
        Some(number) => number.trim().parse::<u8>().ok().filter(|n| *n <= 50).map(Reserve::Percent).ok_or_else(wrong),
        None => text.parse::<Size>().map(Reserve::Bytes).map_err(|_| wrong()),
    }
}

fn nothing_without(section: &Section, line: usize, key: &str, needs: &str) -> Error {
    section.error(line, key, "means nothing without a cap").remedy(format!("add {needs}, or take it out"))
}
