//! Values that more than one section has, and those of the small sections. An error's text brings the remedy
//! after a semicolon.

use super::section::{File, Given, Section};
use super::{AlertSettings, DrillSettings, HostName, Secret, VerifySettings, defaults, duration};
use crate::error::Result;
use crate::model::{Rate, Size, TreePath};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub(super) fn required<T>(
    file: File,
    section: &mut Section,
    key: &'static str,
    read: impl FnOnce(&str) -> std::result::Result<T, String>,
) -> Result<Given<T>> {
    let missing = file.error(section.line, format!("{key} is missing")).remedy(format!("add {key} = \"…\""));
    section.read(key, read)?.ok_or(missing)
}

pub(super) fn values(list: Option<Vec<Given<String>>>) -> Option<Vec<String>> {
    list.map(|items| items.into_iter().map(|g| g.value).collect())
}

pub(super) fn path(text: &str) -> std::result::Result<TreePath, String> {
    TreePath::from_typed(text.as_ref()).ok_or_else(|| {
        format!(
            "'{}' is not an absolute path without '..'; write it from the top, beginning with /",
            text.escape_debug()
        )
    })
}

pub(super) fn choice(text: &str, known: &[&str]) -> String {
    format!("'{}' is none of the choices; write one of \"{}\"", text.escape_debug(), known.join("\", \""))
}

pub(super) fn limit(section: &mut Section) -> Result<Option<Rate>> {
    rate_or_none(section, "limit")
}

pub(super) fn rate_or_none(section: &mut Section, key: &'static str) -> Result<Option<Rate>> {
    let read = |t: &str| if t == "none" { Ok(None) } else { t.parse::<Rate>().map(Some) };
    Ok(section.read(key, read)?.and_then(|g| g.value))
}

fn often(text: &str) -> std::result::Result<Duration, String> {
    let every = duration::parse(text)?;
    let least = duration::text(defaults::EVERY_MIN);
    if every < defaults::EVERY_MIN {
        Err(format!("'{text}' is too often; make it at least {least}"))
    } else {
        Ok(every)
    }
}

pub(super) fn every(section: &mut Section, key: &'static str) -> Result<Option<Duration>> {
    Ok(section.read(key, often)?.map(|g| g.value))
}

pub(super) fn verify(section: &mut Section) -> Result<VerifySettings> {
    let read = |t: &str| if t == "off" { Ok(None) } else { often(t).map(Some) };
    let mut timetable = |key, default| -> Result<_> { Ok(section.read(key, read)?.map_or(default, |g| g.value)) };
    Ok(VerifySettings {
        inventory: timetable("inventory", Some(defaults::VERIFY_INVENTORY))?,
        checksum: timetable("checksum", Some(defaults::VERIFY_CHECKSUM))?,
        read: timetable("read", Some(defaults::VERIFY_READ))?,
        // It keeps disks awake, and reads everything for each vault: only where it is wanted.
        reread: timetable("reread", None)?,
    })
}

pub(super) fn listen(section: &mut Section) -> Result<Option<SocketAddr>> {
    let read = |t: &str| {
        if t == "off" {
            return Ok(None);
        }
        let address = t.strip_prefix("localhost:").map(|port| format!("127.0.0.1:{port}"));
        address.as_deref().unwrap_or(t).parse().map(Some).map_err(|_| {
            format!("'{t}' is not an address with a port; write it like \"{}\", or \"off\"", defaults::HTTP_LISTEN)
        })
    };
    let default = || defaults::HTTP_LISTEN.parse().ok();
    Ok(section.read("listen", read)?.map_or_else(default, |g| g.value))
}

/// Names the page may be called by; none unless set.
pub(super) fn hosts(section: &mut Section) -> Result<Vec<HostName>> {
    let given = section.list("hosts")?.unwrap_or_default();
    given.into_iter().map(|g| HostName::parse(&g.value).map_err(|e| section.error(g.line, "hosts", e))).collect()
}

/// The path of another file; a relative one is looked for beside the config file.
pub(super) fn beside(file: File, section: &mut Section, key: &'static str) -> Result<Option<PathBuf>> {
    let read = |t: &str| {
        if t.trim().is_empty() {
            Err("names no file; write it like \"prices.toml\"".to_owned())
        } else {
            Ok(t.to_owned())
        }
    };
    let folder = file.name.parent().unwrap_or(Path::new(""));
    Ok(section.read(key, read)?.map(|g| folder.join(g.value)))
}

pub(super) fn alerts(section: &mut Section) -> Result<AlertSettings> {
    let command = |t: &str| {
        if t.trim().is_empty() { Err("is empty; leave it out for none".to_owned()) } else { Ok(Secret::new(t)) }
    };
    let ping = |t: &str| {
        let host = t.strip_prefix("https://").or_else(|| t.strip_prefix("http://")).unwrap_or_default();
        let plain = |c: char| !c.is_control() && !c.is_whitespace();
        if host.is_empty() || host.starts_with('/') || !host.chars().all(plain) {
            return Err("not a web address; write it like \"https://hc-ping.com/your-id\"".to_owned());
        }
        Ok(Secret::new(t))
    };
    let lag = |t: &str| {
        let lag = duration::parse(t)?;
        if lag.is_zero() { Err("0 would always be an alarm; write it like \"2d\"".to_owned()) } else { Ok(lag) }
    };
    Ok(AlertSettings {
        command: section.read("command", command)?.map(|g| g.value),
        ping_url: section.read("ping_url", ping)?.map(|g| g.value),
        lag: section.read("lag", lag)?.map_or(defaults::ALERT_LAG, |g| g.value),
    })
}

pub(super) fn drills(section: &mut Section) -> Result<DrillSettings> {
    let most = |t: &str| {
        let bytes = t.parse::<Size>()?;
        if bytes.0 == 0 { Err("0 would drill nothing; write it like \"1 GB\"".to_owned()) } else { Ok(bytes) }
    };
    let after = |t: &str| {
        let after = duration::parse(t)?;
        if after.is_zero() { Err("0 would always be due; write it like \"180d\"".to_owned()) } else { Ok(after) }
    };
    let usual = DrillSettings::default();
    Ok(DrillSettings {
        budget: section.read("budget", money)?.map_or(usual.budget, |g| g.value),
        bytes: section.read("bytes", most)?.map_or(usual.bytes, |g| g.value),
        warn_after: section.read("warn_after", after)?.map_or(usual.warn_after, |g| g.value),
    })
}

/// Millionths of an amount such as `0.05`; in which currency, the price list says. At most a million.
pub fn money(text: &str) -> std::result::Result<u64, String> {
    let bad = || format!("'{}' is not an amount of money; write it like \"0.05\"", text.escape_debug());
    let (whole, part) = text.trim().split_once('.').unwrap_or((text.trim(), ""));
    let digits = |t: &str| !t.is_empty() && t.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || whole.len() > 7 || !(part.is_empty() && !text.contains('.') || digits(part)) || part.len() > 6
    {
        return Err(bad());
    }
    let micros: u64 = format!("{part:0<6}").parse().map_err(|_| bad())?;
    let whole: u64 = whole.parse().map_err(|_| bad())?;
    Ok(whole * 1_000_000 + micros).and_then(|n| if n <= 1_000_000_000_000 { Ok(n) } else { Err(bad()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_of_money_is_read_exactly_or_not_at_all() {
        for (text, micros) in [("0.05", 50_000), ("0", 0), ("1", 1_000_000), ("12.3", 12_300_000), ("0.000001", 1)] {
            assert_eq!(money(text), Ok(micros), "{text}");
        }
        for bad in ["", ".", "1.", ".5", "-1", "1e3", "0.05 USD", "0,05", "9999999", "0.0000001", "ä"] {
            assert!(money(bad).is_err_and(|e| e.contains("0.05")), "{bad}");
        }
    }
}
