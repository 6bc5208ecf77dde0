//! What may go, told to people: the `uplink` object of the status document and its sentences.

use super::decide::{Hold, May, Now, Why};
use super::{State, Uplink};
use crate::clock::Wall;
use crate::daemon::console::{CapStatus, HoldStatus, OrderStatus, PartStatus, UplinkStatus};
use crate::daemon::orders::Term;
use crate::daemon::run::Vault;
use crate::daemon::spell::{local, rfc3339};
use crate::model::{Allowed, Rate, Size};
use crate::uplink::Rates;
use crate::uplink::calendar::Part;
use crate::uplink::cap::{Cap, Span};
use jiff::tz::TimeZone;
use std::sync::Arc;

impl Uplink {
    pub fn status(&self, vaults: &[Arc<Vault>]) -> UplinkStatus {
        let (wall, steady, zone) = (self.clock.wall(), self.clock.steady(), self.zone());
        let state = self.state();
        let given = super::given(&state, &self.calendar, &self.settings);
        let now = given.decide(wall, steady, &zone);
        let order = |term: Term| OrderStatus { since: rfc3339(term.since), until: term.until.map(rfc3339) };
        UplinkStatus {
            now: self.sentence(&state, &now, wall, &zone),
            up_bytes_per_s: now.rates.up.map(Rate::get),
            down_bytes_per_s: now.rates.down.map(Rate::get),
            why: match now.why {
                Why::Configured => "configured",
                Why::Ordered(_) => "ordered",
                Why::Window(_) => "window",
            }
            .to_owned(),
            hold: now.hold_of_buckets.as_ref().map(|hold| self.hold(&state, hold, &now, wall, &zone)),
            until: now.until.map(rfc3339),
            calendar_until: self.calendar.at(wall, &zone).until.map(rfc3339),
            zone: zone.iana_name().unwrap_or("UTC").to_owned(),
            ordered: given.limit_order(wall, steady).map(order),
            paused: given.pause_order(wall, steady).map(order),
            caps: state.usage.caps().map(|cap| told(cap, state.usage.since, wall, &zone)).collect(),
            caps_lost: state.usage.lost.clone(),
            own_limits: vaults.iter().filter_map(|v| keeps(&v.settings.name, v.throttle.rates(), now.rates)).collect(),
            week: self.week(),
        }
    }

    fn week(&self) -> Vec<Vec<PartStatus>> {
        if self.calendar.windows().is_empty() {
            return vec![];
        }
        let part = |part: Part| PartStatus {
            from: minute(part.from),
            to: minute(part.to),
            allowed: part.allowed.to_string(),
            bytes_per_s: if let Allowed::At(rate) = part.allowed { Some(rate.get()) } else { None },
            entry: part.entry.map(|at| self.entry(at)),
        };
        self.calendar.week().into_iter().map(|day| day.into_iter().map(part).collect()).collect()
    }

    fn entry(&self, at: usize) -> String {
        self.calendar.windows().get(at).map_or_else(String::new, ToString::to_string)
    }

    /// `At most 62.5 kB/s until 18:00, by the window "mon-fri 08:00-18:00 500 kbit/s".`
    fn sentence(&self, state: &State, now: &Now, wall: Wall, zone: &TimeZone) -> String {
        let held = now.hold_of_buckets.as_ref().map(|hold| self.hold(state, hold, now, wall, zone).text);
        if let Some(text) = held {
            return text;
        }
        let what = now.rates.up.map_or_else(|| "No limit".to_owned(), |rate| format!("At most {rate}"));
        let change = self.calendar.at(wall, zone).until;
        match now.why {
            Why::Configured => match change {
                Some(at) => format!("{what} until {}, outside the calendar's windows.", local(at, wall, zone)),
                None => format!("{what}, as configured."),
            },
            Why::Window(entry) => {
                let until = change.map_or_else(String::new, |at| format!(" until {}", local(at, wall, zone)));
                format!("{what}{until}, by the window \"{}\".", self.entry(entry))
            }
            Why::Ordered(Term { until: Some(until), .. }) => {
                format!("{what} until {}, as ordered; then as configured.", local(until, wall, zone))
            }
            Why::Ordered(_) => {
                let aside = if self.calendar.windows().is_empty() { "" } else { "; the calendar is set aside" };
                format!("{what} from now on, as ordered{aside}.")
            }
        }
    }

    fn hold(&self, state: &State, hold: &Hold, now: &Now, wall: Wall, zone: &TimeZone) -> HoldStatus {
        let at = |at: Wall| local(at, wall, zone);
        let (kind, text) = match hold {
            Hold::Paused(Term { until: Some(until), .. }) => {
                ("paused", format!("Paused until {}: nothing is sent.", at(*until)))
            }
            Hold::Paused(Term { since, .. }) => {
                ("paused", format!("Paused since {} until somebody resumes: nothing is sent.", at(*since)))
            }
            Hold::Link(why) => ("link", format!("Nothing is sent: {why}.")),
            Hold::Window(entry) => {
                let opens =
                    self.calendar.at(wall, zone).until.map_or_else(String::new, |u| format!(" until {}", at(u)));
                ("window", format!("Nothing is sent{opens}, by the window \"{}\".", self.entry(*entry)))
            }
            Hold::Cap(span) => ("cap", cap_sentence(state, *span, "only the log still goes", wall, zone)),
            Hold::CapAndReserve(span) => ("cap", cap_sentence(state, *span, "nothing is sent", wall, zone)),
        };
        let log_goes = hold.may() == May::Log;
        HoldStatus { kind: kind.to_owned(), text, log_goes, folders_too: now.hold.is_some() }
    }
}

/// `Vault main keeps its own limit of 400 kB/s.` None: the line's limits are as low.
fn keeps(name: &str, own: Rates, line: Rates) -> Option<String> {
    let lower = |own: Option<Rate>, line: Option<Rate>| own.filter(|own| line.is_none_or(|line| *own < line));
    let what = match (lower(own.up, line.up), lower(own.down, line.down)) {
        (None, None) => return None,
        (Some(up), None) => format!("{up}"),
        (None, Some(down)) => format!("{down} for downloads"),
        (Some(up), Some(down)) => format!("{up}, and of {down} for downloads"),
    };
    Some(format!("Vault {name} keeps its own limit of {what}."))
}

fn cap_sentence(state: &State, span: Span, what: &str, wall: Wall, zone: &TimeZone) -> String {
    let Some(cap) = state.usage.caps().find(|cap| cap.span == span) else { return String::new() };
    let name = if span == Span::Day { "today" } else { "this month" };
    let resets = local(cap.resets_at(wall, zone), wall, zone);
    format!("The {} for {name} are used up: {what} until {resets}.", Size(cap.bytes))
}

fn told(cap: &Cap, since: Wall, wall: Wall, zone: &TimeZone) -> CapStatus {
    let period = cap.span.period(wall, zone);
    CapStatus {
        span: if cap.span == Span::Day { "day" } else { "month" }.to_owned(),
        bytes: cap.bytes,
        used: cap.used(wall, zone),
        left: cap.left(wall, zone),
        reserve: cap.reserve,
        since: rfc3339(period.begins),
        resets: rfc3339(period.ends),
        counted_since: (since > period.begins && since <= wall).then(|| rfc3339(since)),
    }
}

fn minute(of_day: u16) -> String {
    format!("{:02}:{:02}", of_day / 60, of_day % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(bytes: u64) -> Option<Rate> {
        Rate::bytes_per_second(bytes)
    }

    #[test]
    fn a_vaults_own_limit_is_said_where_it_is_lower_than_the_lines() {
        let own = Rates { up: rate(400_000), down: None };
        let said = keeps("main", own, Rates::FREE);
        assert_eq!(said.as_deref(), Some("Vault main keeps its own limit of 400 kB/s."));
        assert_eq!(keeps("main", own, Rates::up(rate(400_000))), None);
        assert_eq!(keeps("main", own, Rates::up(rate(100_000))), None);
        assert_eq!(keeps("main", Rates::FREE, Rates::FREE), None);
        let both = Rates { up: rate(400_000), down: rate(2_000_000) };
        let said = keeps("main", both, Rates::FREE).unwrap();
        assert_eq!(said, "Vault main keeps its own limit of 400 kB/s, and of 2.00 MB/s for downloads.");
    }
}
