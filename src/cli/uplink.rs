//! `pause` and `limit`: what may go over the line, ordered and shown.

use super::args::{Line, Term};
use super::{Answer, Exit, Failure, ask, time};
use crate::clock::{SystemClock, Wall};
use crate::config::duration;
use crate::daemon::console::{CapStatus, Lasting, UplinkStatus};
use crate::error::Error;
use crate::model::{Rate, Size};
use crate::web::ask::{Ask, bound};
use crate::web::control;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use std::io::Write;

pub fn pause(line: &Line, term: &Term) -> Answer {
    give(line, &Ask::Pause(lasting(term)?))
}

pub fn limit(line: &Line, rate: Option<&str>, term: &Term) -> Answer {
    let Some(rate) = rate else {
        if term.length.is_some() || term.until.is_some() {
            let error = Error::operator("limit the uplink: no RATE is given");
            return Err(Failure::Usage(error.remedy("write 'panicroom limit \"2 Mbit/s\" --for 2h'")));
        }
        return show(line);
    };
    let bound = bound(rate).map_err(|e| Failure::Usage(Error::operator(e)))?;
    give(line, &Ask::Limit(bound, lasting(term)?))
}

fn lasting(term: &Term) -> Result<Lasting, Failure> {
    if let Some(text) = &term.length {
        let length = duration::parse(text).map_err(|e| Failure::Usage(Error::operator(e)))?;
        if length.is_zero() {
            return Err(Failure::Usage(
                Error::operator("give an order for no time at all").remedy("write it like \"2h\""),
            ));
        }
        return Ok(Lasting::For(length));
    }
    match term.until.as_deref() {
        None => Ok(Lasting::Always),
        Some("change") => Ok(Lasting::Change),
        Some(text) => time::ahead(text, SystemClock::shared().wall(), &TimeZone::system()).map(Lasting::Until),
    }
}

/// What holds after it is said, so that nobody has to guess.
fn give(line: &Line, order: &Ask) -> Answer {
    control::ask(&ask::home(line)?.socket(), order)?;
    show(line)
}

fn show(line: &Line) -> Answer {
    let status = ask::fetch(&ask::home(line)?)?;
    let Some(uplink) = status.uplink else { return Ok(Exit::Done) };
    if line.json {
        println!("{}", serde_json::to_string_pretty(&uplink).unwrap_or_default());
    } else {
        // A closed pipe is the reader's choice.
        let _ = print(&uplink, "", &mut std::io::stdout());
    }
    Ok(Exit::Done)
}

/// Whether anything but "no limit" holds.
pub fn says_something(uplink: &UplinkStatus) -> bool {
    let bounds = [uplink.up_bytes_per_s, uplink.down_bytes_per_s];
    let is_plain = uplink.why == "configured" && uplink.hold.is_none() && uplink.caps.is_empty();
    !is_plain || !uplink.own_limits.is_empty() || bounds.iter().any(Option::is_some)
}

pub fn print(uplink: &UplinkStatus, indent: &str, to: &mut dyn Write) -> std::io::Result<()> {
    writeln!(to, "{indent}{}", uplink.now)?;
    for own in &uplink.own_limits {
        writeln!(to, "{indent}{own}")?;
    }
    if let Some(down) = uplink.down_bytes_per_s.and_then(Rate::bytes_per_second) {
        writeln!(to, "{indent}Downloads: at most {down}.")?;
    }
    for cap in &uplink.caps {
        writeln!(to, "{indent}{}", of_cap(cap))?;
    }
    if let Some(lost) = &uplink.caps_lost {
        writeln!(to, "{indent}{lost}")?;
    }
    Ok(())
}

fn of_cap(cap: &CapStatus) -> String {
    let shown = |text: &str| {
        text.parse::<Timestamp>().map_or_else(|_| text.to_owned(), |t| time::local(Wall(t.as_millisecond())))
    };
    let name = if cap.span == "day" { "Today" } else { "This month" };
    let counted = cap.counted_since.as_deref().map_or_else(String::new, |at| format!(", counted since {}", shown(at)));
    format!(
        "{name}: {} of {} used{counted}, {} left until {}.",
        Size(cap.used),
        Size(cap.bytes),
        Size(cap.left),
        shown(&cap.resets)
    )
}
