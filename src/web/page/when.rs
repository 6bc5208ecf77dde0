//! A page of its own for "when is each folder safe, and when would it be, if": plain forms, so it needs no script.

use super::super::phrase::{counted, moment, span, time_of_day};
use super::size;
use crate::clock::Wall;
use crate::daemon::console::{ForecastStatus, RootForecast};
use crate::error::Result;
use askama::Template;
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};
use jiff::tz::TimeZone;

#[derive(Template)]
#[template(path = "when.html")]
struct When<'a> {
    rows: Vec<Row<'a>>,
    what_if: &'a [String],
    assumptions: &'a [String],
    error: String,
    as_of: String,
}

struct Row<'a> {
    path: &'a str,
    vault: &'a str,
    safe: String,
    range: String,
    waiting: String,
}

/// The forecast, or why there is none.
pub fn html(told: &Result<ForecastStatus>, now: Wall) -> Response {
    let zone = TimeZone::system();
    let empty = ForecastStatus::default();
    let document = told.as_ref().unwrap_or(&empty);
    let page = When {
        rows: document.roots.iter().map(|root| row(root, now, &zone)).collect(),
        what_if: &document.what_if,
        assumptions: &document.assumptions,
        error: told.as_ref().err().map_or_else(String::new, ToString::to_string),
        as_of: time_of_day(now, &zone),
    };
    match page.render() {
        Ok(text) => Html(text).into_response(),
        Err(error) => {
            tracing::warn!(%error, "the page cannot be drawn");
            super::super::plain(StatusCode::INTERNAL_SERVER_ERROR, "the page cannot be drawn; see /api/v1/forecast")
        }
    }
}

fn row<'a>(root: &'a RootForecast, now: Wall, zone: &TimeZone) -> Row<'a> {
    let when = |at: &Option<String>| at.as_deref().map_or_else(|| "never".to_owned(), |at| moment(at, now, zone));
    let (safe, range) = match root.state.as_str() {
        "safe" => ("is safe".to_owned(), String::new()),
        "failed" => (format!("not before {} can be read", counted(root.failed, "path", "paths")), String::new()),
        "unknown" => ("not known yet".to_owned(), String::new()),
        "never" => ("never, as things are".to_owned(), String::new()),
        _ => (
            format!("{}, in about {}", when(&root.likely), span(root.likely_s.unwrap_or(0))),
            format!("{} and {}", when(&root.earliest), when(&root.latest)),
        ),
    };
    let waiting = root.waiting_bytes.max(root.to_send_bytes);
    Row {
        path: &root.path,
        vault: &root.vault,
        safe,
        range,
        waiting: if waiting == 0 { "nothing".into() } else { size(waiting) },
    }
}
