//! The page: the status document in words. The words are made once, here; the template puts them into slots when the
//! page is asked for, and the live stream sends the same words as JSON for the script to put into the same slots. So
//! the page says the same with and without JavaScript, and the script knows no wording and no arithmetic.
//!
//! Slots: an element with `data-text="x"` holds the text `x`, `data-show="x"` is there only while `x` is not empty,
//! `data-mark="x"` carries `x` in its `data-state` for the colours, `data-bar="x"` is a bar at `x` per cent, and
//! `data-list="x"` holds one copy of the template `x` per item, known by its `key`.

mod line;
pub(super) mod when;

use super::phrase::{UNKNOWN, ago, count, counted, moment, span, time_of_day};
use crate::clock::Wall;
use crate::daemon::console::{Event, FailedPath, Mood, Overall, RootStatus, Status, VaultStatus, VerifyStatus};
use crate::model::Size;
use askama::Template;
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};
use jiff::tz::TimeZone;
use serde::Serialize;

/// Rows shown of the failed and of the events; the rest is counted.
const ROWS: usize = 100;

#[derive(Template)]
#[template(path = "page.html")]
struct Page<'a> {
    view: &'a View,
    week: Vec<line::DayWords>,
    /// Of its hours.
    zone: &'a str,
    /// What the script copies for an item that comes while the page is open.
    blank: Blank,
    token: &'a str,
}

#[derive(Default)]
struct Blank {
    root: RootWords,
    vault: VaultWords,
    cap: line::CapWords,
    failed: FailedWords,
    event: EventWords,
}

/// Every text of the page; an empty one is not shown.
#[derive(Serialize)]
struct View {
    start: String,
    mood: &'static str,
    headline: String,
    advice: String,
    state: &'static str,
    state_words: &'static str,
    sum: String,
    limit: String,
    /// What may go now and why, where that is more than a limit.
    line: String,
    /// An ordered limit stands.
    ordered: &'static str,
    /// The calendar will allow something else.
    changes: &'static str,
    caps: Vec<line::CapWords>,
    paused: &'static str,
    running: &'static str,
    about: String,
    as_of: String,
    roots: Vec<RootWords>,
    roots_none: &'static str,
    vaults: Vec<VaultWords>,
    failed: Vec<FailedWords>,
    failed_count: String,
    failed_more: String,
    events: Vec<EventWords>,
    events_none: &'static str,
}

#[derive(Default, Serialize)]
struct RootWords {
    key: String,
    path: String,
    state: String,
    state_words: String,
    percent: u64,
    percent_words: String,
    /// What the counted files are called: safe, or copied where one fire takes both.
    counted_as: &'static str,
    files: String,
    bytes: String,
    waiting: String,
    lag: String,
    eta: String,
    failed: String,
    torn: String,
    same_disk: String,
    error: String,
}

#[derive(Default, Serialize)]
struct VaultWords {
    key: String,
    name: String,
    url: String,
    state: String,
    state_words: String,
    stored: String,
    objects: String,
    queued: String,
    spool: String,
    rate: String,
    /// Its own, beside the line's.
    limit: String,
    manners: String,
    sent: String,
    requests: String,
    eta: String,
    segment: String,
    /// When it was last looked through, each way.
    verified: String,
    error: String,
}

#[derive(Default, Serialize)]
struct FailedWords {
    key: String,
    path: String,
    error: String,
    since: String,
}

#[derive(Default, Serialize)]
struct EventWords {
    key: String,
    at: String,
    level: String,
    text: String,
}

/// The page as it is asked for.
pub(super) fn html(status: &Status, now: Wall, token: &str, start: &str) -> Response {
    let view = View::of(status, now, start, &TimeZone::system());
    let uplink = status.uplink.as_ref();
    let (week, zone) = (line::week(uplink), uplink.map_or("", |u| u.zone.as_str()));
    match (Page { view: &view, week, zone, blank: Blank::default(), token }).render() {
        Ok(text) => Html(text).into_response(),
        Err(error) => {
            tracing::warn!(%error, "the page cannot be drawn");
            super::plain(StatusCode::INTERNAL_SERVER_ERROR, "the page cannot be drawn; /api/v1/status has the figures")
        }
    }
}

/// The same words for the live stream, as JSON.
pub(super) fn words(status: &Status, now: Wall, start: &str) -> Vec<u8> {
    serde_json::to_vec(&View::of(status, now, start, &TimeZone::system())).unwrap_or_default()
}

fn mood_word(mood: Mood) -> &'static str {
    match mood {
        Mood::Good => "good",
        Mood::Busy => "busy",
        Mood::Warning => "warning",
        Mood::Alarm => "alarm",
    }
}

fn state_words(state: Overall) -> (&'static str, &'static str) {
    match state {
        Overall::Starting => ("starting", "Starting"),
        Overall::Checking => ("checking", "Checking"),
        Overall::Working => ("working", "Working"),
        Overall::Idle => ("idle", "Idle"),
        Overall::Paused => ("paused", "Paused"),
        Overall::Attention => ("attention", "Needs attention"),
        Overall::Stopped => ("stopped", "Stopped"),
    }
}

impl View {
    fn of(status: &Status, now: Wall, start: &str, zone: &TimeZone) -> Self {
        let (state, words) = state_words(status.state);
        let paused = status.state == Overall::Paused;
        let more = status.failed.len().saturating_sub(ROWS) as u64;
        Self {
            start: start.to_owned(),
            mood: mood_word(status.mood),
            headline: status.headline.clone(),
            advice: status.advice.clone().unwrap_or_default(),
            state,
            state_words: words,
            sum: sum(&status.roots),
            limit: line::limit(status).map_or_else(|| "no limit".into(), at_most),
            line: line::sentence(status.uplink.as_ref()),
            ordered: if status.uplink.as_ref().is_some_and(|u| u.ordered.is_some()) { "yes" } else { "" },
            changes: if status.uplink.as_ref().is_some_and(|u| u.calendar_until.is_some()) { "yes" } else { "" },
            caps: line::caps(status.uplink.as_ref(), now, zone),
            paused: if paused { "yes" } else { "" },
            running: if paused { "" } else { "yes" },
            about: format!("panicroom {}, running for {}", status.version, span(status.uptime_s)),
            as_of: time_of_day(now, zone),
            roots: status.roots.iter().map(RootWords::of).collect(),
            roots_none: if status.roots.is_empty() { "No folder is watched." } else { "" },
            vaults: status.vaults.iter().map(|vault| VaultWords::of(vault, now, zone)).collect(),
            failed: status.failed.iter().take(ROWS).map(|path| FailedWords::of(path, now, zone)).collect(),
            failed_count: if status.failed.is_empty() { String::new() } else { failed_count(status) },
            failed_more: if more > 0 {
                format!("and {} more: panicroom status lists them", count(more))
            } else {
                String::new()
            },
            events: status.events.iter().take(ROWS).map(|event| EventWords::of(event, now, zone)).collect(),
            events_none: if status.events.is_empty() { "Nothing yet." } else { "" },
        }
    }
}

/// The list may be shorter than the count of its roots.
fn failed_count(status: &Status) -> String {
    let counted_by_roots: u64 = status.roots.iter().map(|root| root.failed).sum();
    count(counted_by_roots.max(status.failed.len() as u64))
}

/// What lies on its own root's disk is not called safe to people: a fire takes both.
fn word_for(same_disk: bool) -> &'static str {
    if same_disk { "copied" } else { "safe" }
}

fn sum(roots: &[RootStatus]) -> String {
    let of = |part: fn(&RootStatus) -> u64| roots.iter().map(part).fold(0, u64::saturating_add);
    format!(
        "{} of {} {} · {} of {}",
        count(of(|r| r.safe_files)),
        counted(of(|r| r.files), "file", "files"),
        word_for(roots.iter().any(|r| r.same_disk)),
        size(of(|r| r.safe_bytes)),
        size(of(|r| r.bytes))
    )
}

/// With the range, where it says more than the likely time alone.
fn in_about(likely: u64, earliest: Option<u64>, latest: Option<u64>) -> String {
    let (most, least) = (span(likely), earliest.map(span));
    match (least, latest.map(span)) {
        (Some(least), Some(latest)) if least != most || latest != most => {
            format!("in about {most} ({least} to {latest})")
        }
        (Some(least), None) => format!("in about {most}, at best {least}"),
        _ => format!("in about {most}"),
    }
}

/// Number and unit stay on one line.
fn size(bytes: u64) -> String {
    Size(bytes).to_string().replace(' ', "\u{a0}")
}

fn at_most(bytes_per_s: u64) -> String {
    format!("at most {}", both_rates(bytes_per_s))
}

/// Bits as the uplink is sold, bytes as files are counted.
fn both_rates(bytes_per_s: u64) -> String {
    let bits = size(bytes_per_s.saturating_mul(8));
    let bits = bits.strip_suffix('B').map_or_else(|| bits.clone(), |number| format!("{number}bit/s"));
    format!("{bits} ({}/s)", size(bytes_per_s))
}

impl RootWords {
    fn of(root: &RootStatus) -> Self {
        let percent = percent(root);
        let word = word_for(root.same_disk);
        let state = if root.state == "safe" { word } else { &root.state };
        let working = root.safe_files < root.files || root.dirty > 0;
        Self {
            key: root.path_b64.clone().unwrap_or_else(|| root.path.clone()),
            path: root.path.clone(),
            state: state.to_owned(),
            state_words: capital(state),
            percent,
            percent_words: format!("{percent} % {word}"),
            counted_as: if root.same_disk { "Copied" } else { "Safe" },
            files: format!("{} of {}", count(root.safe_files), counted(root.files, "file", "files")),
            bytes: format!("{} of {}", size(root.safe_bytes), size(root.bytes)),
            waiting: match root.dirty {
                0 => "nothing".into(),
                n => counted(n, "path", "paths"),
            },
            lag: match root.lag_s {
                None => UNKNOWN.into(),
                Some(0) => "none".into(),
                Some(seconds) => span(seconds),
            },
            eta: match root.eta_s {
                _ if !working => String::new(),
                None => UNKNOWN.into(),
                Some(seconds) => in_about(seconds, root.eta_earliest_s, root.eta_latest_s),
            },
            failed: some_of(root.failed, "file could not be read", "files could not be read"),
            torn: some_of(root.changed_while_read, "file changed while read", "files changed while read"),
            same_disk: if root.same_disk {
                "copied, but on the same disk: a fire takes both".into()
            } else {
                String::new()
            },
            error: root.error.clone().unwrap_or_default(),
        }
    }
}

/// Full only when the daemon calls the root safe and every file of it: 99 otherwise.
fn percent(root: &RootStatus) -> u64 {
    let (part, whole) = if root.bytes > 0 { (root.safe_bytes, root.bytes) } else { (root.safe_files, root.files) };
    let all = root.safe_files >= root.files && root.safe_bytes >= root.bytes && root.state == "safe";
    match whole {
        _ if all => 100,
        0 => 0,
        _ => u64::try_from(u128::from(part) * 100 / u128::from(whole)).map_or(99, |p| p.min(99)),
    }
}

fn some_of(n: u64, one: &str, many: &str) -> String {
    if n == 0 { String::new() } else { counted(n, one, many) }
}

impl VaultWords {
    fn of(vault: &VaultStatus, now: Wall, zone: &TimeZone) -> Self {
        let r = vault.requests;
        Self {
            key: vault.name.clone(),
            name: vault.name.clone(),
            url: vault.url.clone(),
            state: vault.state.clone(),
            state_words: capital(&vault.state),
            stored: size(vault.stored_bytes),
            objects: counted(vault.stored_objects, "object", "objects"),
            queued: match vault.queued_files {
                0 => "nothing".into(),
                n => format!("{}, {}", counted(n, "file", "files"), size(vault.queued_bytes)),
            },
            spool: match vault.spool_bytes {
                0 => "empty".into(),
                n => size(n),
            },
            rate: match vault.rate_bytes_per_s {
                None => UNKNOWN.into(),
                Some(0) => "not sending".into(),
                Some(rate) => both_rates(rate),
            },
            limit: vault.limit_bytes_per_s.map_or_else(String::new, at_most),
            manners: vault.manners.as_ref().map_or_else(String::new, |manners| manners.text.clone()),
            sent: size(vault.sent_bytes_total),
            requests: requests([("put", r.put), ("get", r.get), ("head", r.head), ("list", r.list), ("thaw", r.thaw)]),
            eta: match vault.eta_s {
                _ if vault.queued_files == 0 && vault.spool_bytes == 0 => String::new(),
                None => UNKNOWN.into(),
                Some(seconds) => in_about(seconds, vault.eta_earliest_s, vault.eta_latest_s),
            },
            segment: vault.last_segment.as_deref().map_or_else(|| UNKNOWN.into(), |at| ago(at, now, zone)),
            verified: vault.verify.as_ref().map_or_else(|| UNKNOWN.into(), |verify| verified(verify, now, zone)),
            error: vault.last_error.clone().unwrap_or_default(),
        }
    }
}

/// `list 3 hours ago, checksums 2 days ago`; what was never done is left out.
fn verified(verify: &VerifyStatus, now: Wall, zone: &TimeZone) -> String {
    let looks = [
        ("list", &verify.inventory),
        ("checksums", &verify.checksum),
        ("read", &verify.read),
        ("files here", &verify.reread),
    ];
    let said: Vec<String> = looks
        .iter()
        .filter_map(|(what, look)| Some(format!("{what} {}", ago(&look.as_ref()?.at, now, zone))))
        .collect();
    if said.is_empty() { "not yet".into() } else { said.join(", ") }
}

/// `1,204 put, 3 list`; those never made are left out.
fn requests(made: [(&str, u64); 5]) -> String {
    let said: Vec<String> =
        made.iter().filter(|(_, n)| *n > 0).map(|(what, n)| format!("{} {what}", count(*n))).collect();
    if said.is_empty() { "none".into() } else { said.join(", ") }
}

impl FailedWords {
    fn of(failed: &FailedPath, now: Wall, zone: &TimeZone) -> Self {
        Self {
            key: failed.path_b64.clone().unwrap_or_else(|| failed.path.clone()),
            path: failed.path.clone(),
            error: failed.error.clone(),
            since: format!("since {}", moment(&failed.since, now, zone)),
        }
    }
}

impl EventWords {
    fn of(event: &Event, now: Wall, zone: &TimeZone) -> Self {
        Self {
            key: format!("{} {}", event.at, event.text),
            at: moment(&event.at, now, zone),
            level: event.level.clone(),
            text: event.text.clone(),
        }
    }
}

fn capital(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root(state: &str, safe: (u64, u64), all: (u64, u64)) -> RootStatus {
        RootStatus {
            path: "/a".into(),
            path_b64: None,
            state: state.into(),
            files: all.0,
            bytes: all.1,
            safe_files: safe.0,
            safe_bytes: safe.1,
            dirty: 0,
            failed: 0,
            changed_while_read: 0,
            lag_s: None,
            eta_s: None,
            eta_earliest_s: None,
            eta_latest_s: None,
            eta_at: None,
            progress: None,
            error: None,
            same_disk: false,
        }
    }

    #[test]
    fn the_bar_is_full_only_when_all_is_safe_and_walked() {
        assert_eq!(percent(&root("safe", (2, 9), (2, 9))), 100);
        assert_eq!(percent(&root("safe", (0, 0), (0, 0))), 100);
        assert_eq!(percent(&root("checking", (2, 9), (2, 9))), 99);
        assert_eq!(percent(&root("checking", (0, 0), (0, 0))), 0);
        assert_eq!(percent(&root("working", (1, 999_999), (2, 1_000_000))), 99);
        assert_eq!(percent(&root("failed", (1, 9), (2, 9))), 99);
        assert_eq!(percent(&root("working", (1, u64::MAX / 2), (2, u64::MAX))), 49);
    }

    #[test]
    fn unknown_is_said_never_shown_as_nothing() {
        let words = RootWords::of(&root("working", (1, 1), (2, 2)));
        assert_eq!((words.lag.as_str(), words.eta.as_str()), (UNKNOWN, UNKNOWN));
        let words = RootWords::of(&RootStatus { lag_s: Some(0), ..root("safe", (2, 2), (2, 2)) });
        assert_eq!((words.lag.as_str(), words.eta.as_str()), ("none", ""));
    }

    #[test]
    fn rates_are_said_in_bits_and_bytes() {
        assert_eq!(both_rates(250_000), "2.00\u{a0}Mbit/s (250\u{a0}kB/s)");
        assert_eq!(both_rates(100), "800\u{a0}bit/s (100\u{a0}B/s)");
    }
}
