//! The line in words: what may go now, what is left of the caps, and the week.
//!
//! The week is drawn once, when the page is asked for: it changes only with the configuration, and with that the daemon
//! starts anew and the page loads anew. Its bars are plain drawing with numbers in attributes (no styles, which the page's
//! rules forbid), and beside them the same is said in words, for whoever does not see them.

use super::size;
use crate::clock::Wall;
use crate::daemon::console::{CapStatus, PartStatus, Status, UplinkStatus};
use crate::web::phrase::moment;
use jiff::tz::TimeZone;
use serde::Serialize;

const DAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

#[derive(Default, Serialize)]
pub(super) struct CapWords {
    key: String,
    pub(super) name: String,
    pub(super) percent: u64,
    pub(super) used: String,
    pub(super) left: String,
    pub(super) counted: String,
    pub(super) state: &'static str,
}

/// Days after each other that are alike.
pub(super) struct DayWords {
    pub(super) name: String,
    pub(super) parts: Vec<PartWords>,
}

pub(super) struct PartWords {
    /// `off`, `low`, `limited`, `unlimited`: the colour.
    pub(super) state: &'static str,
    /// Minutes after midnight, and how many.
    pub(super) from: u16,
    pub(super) length: u16,
    pub(super) words: String,
}

/// The limit that the controls show: the line's, where vaults that keep to less are named beside it.
pub(super) fn limit(status: &Status) -> Option<u64> {
    match status.uplink.as_ref().filter(|u| !u.own_limits.is_empty()) {
        Some(uplink) => uplink.up_bytes_per_s,
        None => status.limit_bytes_per_s,
    }
}

/// What the controls show of the line.
pub(super) fn sentence(uplink: Option<&UplinkStatus>) -> String {
    let Some(uplink) = uplink else { return String::new() };
    let is_more = uplink.hold.is_some() || uplink.why != "configured" || uplink.until.is_some();
    let now = is_more.then(|| uplink.now.clone());
    let lost = uplink.caps_lost.as_ref().filter(|_| is_more).map(|lost| format!("{lost}."));
    let said: Vec<String> = now.into_iter().chain(lost).chain(uplink.own_limits.iter().cloned()).collect();
    said.join(" ")
}

pub(super) fn caps(uplink: Option<&UplinkStatus>, now: Wall, zone: &TimeZone) -> Vec<CapWords> {
    uplink.map_or_else(Vec::new, |u| u.caps.iter().map(|cap| CapWords::of(cap, now, zone)).collect())
}

impl CapWords {
    pub(super) fn key(&self) -> &str {
        &self.key
    }

    fn of(cap: &CapStatus, now: Wall, zone: &TimeZone) -> Self {
        let percent = u128::from(cap.used) * 100 / u128::from(cap.bytes.max(1));
        let percent = u64::try_from(percent).unwrap_or(100).min(100);
        Self {
            key: cap.span.clone(),
            name: if cap.span == "day" { "Today" } else { "This month" }.to_owned(),
            percent,
            used: format!("{} of {} used", size(cap.used), size(cap.bytes)),
            left: format!("{} left until {}", size(cap.left), moment(&cap.resets, now, zone)),
            counted: cap.counted_since.as_deref().map_or_else(String::new, |at| {
                format!("counted since {}; what went before is not known", moment(at, now, zone))
            }),
            state: if cap.left == 0 { "warning" } else { "busy" },
        }
    }
}

pub(super) fn week(uplink: Option<&UplinkStatus>) -> Vec<DayWords> {
    let days = uplink.map_or(&[][..], |u| &u.week);
    let most = days.iter().flatten().filter_map(|p| p.bytes_per_s).max().unwrap_or(0);
    let mut out = Vec::new();
    let mut at = 0;
    while at < days.len().min(DAYS.len()) {
        let end = (at + 1..days.len().min(DAYS.len())).find(|n| days[*n] != days[at]).unwrap_or(days.len());
        let name = match end - at {
            1 => DAYS[at].to_owned(),
            _ => format!("{} to {}", DAYS[at], DAYS[end - 1]),
        };
        out.push(DayWords { name, parts: days[at].iter().map(|part| PartWords::of(part, most)).collect() });
        at = end;
    }
    out
}

impl PartWords {
    /// `most`: the highest limit of the week.
    fn of(part: &PartStatus, most: u64) -> Self {
        let (from, to) = (minute(&part.from), minute(&part.to));
        let state = match (part.bytes_per_s, part.allowed.as_str()) {
            (Some(rate), _) if rate < most.div_ceil(2) => "low",
            (Some(_), _) => "limited",
            (None, "off") => "off",
            _ => "unlimited",
        };
        let allowed = part.bytes_per_s.map_or_else(|| part.allowed.clone(), super::both_rates);
        Self { state, from, length: to.saturating_sub(from), words: format!("{}–{} {allowed}", part.from, part.to) }
    }
}

/// Of `08:00`; 0 for what is none.
fn minute(text: &str) -> u16 {
    let parsed = || {
        let (hour, minute) = text.split_once(':')?;
        Some(hour.parse::<u16>().ok()?.min(24) * 60 + minute.parse::<u16>().ok()?)
    };
    parsed().unwrap_or(0).min(24 * 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(from: &str, to: &str, allowed: &str, bytes_per_s: Option<u64>) -> PartStatus {
        PartStatus { from: from.into(), to: to.into(), allowed: allowed.into(), bytes_per_s, entry: None }
    }

    #[test]
    fn days_that_are_alike_are_one_row_and_say_the_same_as_their_bars() {
        let work = vec![part("00:00", "08:00", "unlimited", None), part("08:00", "24:00", "62.5 kB/s", Some(62_500))];
        let rest = vec![part("00:00", "24:00", "off", None)];
        let mut days = vec![work; 5];
        days.extend([rest.clone(), rest]);
        let status = UplinkStatus { week: days, ..UplinkStatus::default() };
        let rows = week(Some(&status));
        assert_eq!(
            rows.iter().map(|r| r.name.as_str()).collect::<Vec<_>>(),
            ["Monday to Friday", "Saturday to Sunday"]
        );
        let day = &rows[0].parts[1];
        assert_eq!((day.state, day.from, day.length), ("limited", 480, 960));
        assert_eq!(day.words, "08:00–24:00 500\u{a0}kbit/s (62.5\u{a0}kB/s)");
        assert_eq!((rows[1].parts[0].state, rows[0].parts[0].state), ("off", "unlimited"));
        assert!(week(None).is_empty());
    }

    #[test]
    fn a_cap_says_what_is_left_and_what_is_not_known() {
        let mut cap = CapStatus {
            span: "month".into(),
            bytes: 1_000,
            used: 990,
            left: 0,
            reserve: 10,
            since: "2026-08-01T00:00:00Z".into(),
            resets: "2026-09-01T00:00:00Z".into(),
            counted_since: None,
        };
        let now = Wall("2026-08-03T14:00:00Z".parse::<jiff::Timestamp>().unwrap().as_millisecond());
        let words = CapWords::of(&cap, now, &TimeZone::UTC);
        assert_eq!((words.percent, words.state, words.counted.as_str()), (99, "warning", ""));
        assert_eq!(words.left, "0\u{a0}B left until 1 Sep 00:00");
        cap.counted_since = Some("2026-08-02T10:00:00Z".into());
        assert!(CapWords::of(&cap, now, &TimeZone::UTC).counted.starts_with("counted since 2 Aug 10:00"));
    }
}
