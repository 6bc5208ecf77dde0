//! `status --forecast`: when is each root safe, and when would it be, if.

use super::args::Line;
use super::{Answer, Exit, ask};
use crate::clock::Wall;
use crate::daemon::checks::count;
use crate::daemon::console::{ForecastStatus, RootForecast};
use crate::daemon::spell::local;
use crate::error::{Doing, Kind};
use crate::model::Size;
use crate::web::ask::Ask;
use crate::web::control;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use std::io::Write;

pub fn forecast(line: &Line, what_if: &[String]) -> Answer {
    let home = ask::home(line)?;
    let value = control::ask(&home.socket(), &Ask::Forecast(what_if.to_vec()))?;
    if line.json {
        println!("{value:#}");
        return Ok(Exit::Done);
    }
    let told: ForecastStatus =
        serde_json::from_value(value).doing(Kind::Damaged, || "read the daemon's forecast".to_owned())?;
    // A closed pipe is the reader's choice.
    let _ = print(&told, &TimeZone::system(), &mut std::io::stdout());
    Ok(Exit::Done)
}

fn print(told: &ForecastStatus, zone: &TimeZone, to: &mut dyn Write) -> std::io::Result<()> {
    let many = told.roots.iter().any(|r| r.vault != told.roots[0].vault);
    let rows: Vec<[String; 4]> = told.roots.iter().map(|root| row(root, &told.at, many, zone)).collect();
    let head = ["ROOT", "WAITING", "SAFE BY", "RANGE"].map(str::to_owned);
    let width = |column: usize| rows.iter().chain([&head]).map(|r| r[column].chars().count()).max().unwrap_or(0);
    let widths = [width(0), width(1), width(2)];
    for [root, waiting, safe, range] in std::iter::once(&head).chain(&rows) {
        writeln!(to, "{root:a$}  {waiting:>b$}  {safe:c$}  {range}", a = widths[0], b = widths[1], c = widths[2])?;
    }
    writeln!(to)?;
    for text in &told.what_if {
        writeln!(to, "Supposed: {text}")?;
    }
    told.assumptions.iter().try_for_each(|text| writeln!(to, "{text}"))
}

fn row(root: &RootForecast, now: &str, many: bool, zone: &TimeZone) -> [String; 4] {
    let name = if many { format!("{} in {}", root.path, root.vault) } else { root.path.clone() };
    let moment = |text: &Option<String>| {
        let wall = |text: &str| text.parse::<Timestamp>().ok().map(|t| Wall(t.as_millisecond()));
        let at = text.as_deref().and_then(wall).zip(wall(now));
        at.map_or_else(|| "never".to_owned(), |(at, now)| local(at, now, zone))
    };
    let (safe, range) = match root.state.as_str() {
        "safe" => ("is safe".to_owned(), String::new()),
        "failed" => (format!("not before {} can be read", count(root.failed, "path", "paths")), String::new()),
        "unknown" => ("not known yet".to_owned(), String::new()),
        "never" => ("never, as things are".to_owned(), best_case(root, &moment)),
        _ => (moment(&root.likely), format!("{} to {}", moment(&root.earliest), moment(&root.latest))),
    };
    let waiting = if root.waiting_bytes + root.to_send_bytes == 0 {
        "-".to_owned()
    } else {
        Size(root.waiting_bytes.max(root.to_send_bytes)).to_string()
    };
    [name, waiting, safe, range]
}

fn best_case(root: &RootForecast, moment: &dyn Fn(&Option<String>) -> String) -> String {
    if root.earliest.is_some() { format!("at best {}", moment(&root.earliest)) } else { String::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_says_when_each_root_is_safe_and_what_that_rests_on() {
        let row = |path: &str, state: &str, likely: Option<&str>| RootForecast {
            path: path.into(),
            vault: "cloud".into(),
            state: state.into(),
            waiting_bytes: 5_000_000_000,
            earliest: likely.map(str::to_owned),
            likely: likely.map(str::to_owned),
            latest: None,
            ..RootForecast::default()
        };
        let told = ForecastStatus {
            at: "2026-11-23T12:00:00Z".into(),
            what_if: vec!["limit 5 Mbit/s".into()],
            roots: vec![
                row("/documents", "waiting", Some("2026-11-26T05:00:00Z")),
                RootForecast { waiting_bytes: 0, ..row("/photos", "safe", None) },
                row("/videos", "never", None),
                RootForecast { waiting_bytes: 0, failed: 1, ..row("/locked", "failed", None) },
            ],
            assumptions: vec!["cloud: next to nothing was sent yet.".into()],
        };
        let mut out = vec![];
        print(&told, &TimeZone::UTC, &mut out).unwrap();
        let out = String::from_utf8(out).unwrap();
        let lines: Vec<&str> = out.lines().collect();
        assert_eq!(lines[1], "/documents  5.00 GB  Thu 05:00                      Thu 05:00 to never");
        assert!(lines[2].starts_with("/photos           -  is safe"), "{out}");
        assert!(lines[3].contains("never, as things are"), "{out}");
        assert!(lines[4].contains("not before 1 path can be read"), "{out}");
        assert_eq!(&lines[6..], ["Supposed: limit 5 Mbit/s", "cloud: next to nothing was sent yet."]);
    }
}
