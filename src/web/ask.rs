//! What may be asked of a running daemon, as JSON: the requests of the page and of the control socket, read in one
//! place. Anything not exactly understood is refused: a misspelt limit must never mean "no limit".

use crate::clock::Wall;
use crate::config::duration;
use crate::daemon::console::{Bound, Console, Lasting, VerifyAsk};
use crate::error::{Error, Kind, Result};
use crate::model::{Rate, TreePath};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

/// One request of an operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    Status,
    Pause(Lasting),
    Resume,
    Rescan,
    Limit(Bound, Lasting),
    Explain(TreePath),
    /// What is supposed: entries of the calendar, or `limit RATE`.
    Forecast(Vec<String>),
    /// Answered when everything noticed by then is safe or failed: hours, perhaps.
    Backup,
    /// Answered when the vaults were looked through: hours, perhaps.
    Verify(VerifyAsk),
}

impl Ask {
    /// `{"ask": "limit", "rate": 250000, "for": "2h"}`. Operator: not a request we know.
    pub fn of_json(request: &Value) -> Result<Self> {
        let fields = request.as_object().ok_or_else(|| unknown("a request is one JSON object"))?;
        let what = fields.get("ask").and_then(Value::as_str).ok_or_else(|| unknown("a request names its \"ask\""))?;
        let allowed: &[&str] = match what {
            "limit" => &["ask", "rate", "for", "until"],
            "pause" => &["ask", "for", "until"],
            "explain" => &["ask", "path_b64"],
            "forecast" => &["ask", "what_if"],
            "verify" => &["ask", "vault", "level", "sample", "heal", "acknowledge"],
            _ => &["ask"],
        };
        if let Some(key) = fields.keys().find(|key| !allowed.contains(&key.as_str())) {
            return Err(unknown(&format!("{what} knows no \"{key}\"")));
        }
        match what {
            "status" => Ok(Self::Status),
            "pause" => Ok(Self::Pause(lasting(fields)?)),
            "resume" => Ok(Self::Resume),
            "rescan" => Ok(Self::Rescan),
            "backup" => Ok(Self::Backup),
            "limit" => Ok(Self::Limit(rate(fields)?, lasting(fields)?)),
            "explain" => Ok(Self::Explain(path(fields)?)),
            "forecast" => Ok(Self::Forecast(what_if(fields)?)),
            "verify" => Ok(Self::Verify(verify(fields)?)),
            other => Err(unknown(&format!("nothing is called \"{other}\""))),
        }
    }

    /// The body of a POST to the route of that name; nothing at all stands for `{}`.
    pub(super) fn of_body(what: &str, body: &[u8]) -> Result<Self> {
        let mut fields: Map<String, Value> = if body.is_empty() {
            Map::new()
        } else {
            serde_json::from_slice(body).map_err(|e| unknown("a body is one JSON object").because(e))?
        };
        if fields.insert("ask".into(), what.into()).is_some() {
            return Err(unknown("the route says what is asked, not the body"));
        }
        Self::of_json(&Value::Object(fields))
    }

    pub fn to_json(&self) -> Value {
        match self {
            Self::Status => json!({ "ask": "status" }),
            Self::Pause(how_long) => with_end(json!({ "ask": "pause" }), *how_long),
            Self::Resume => json!({ "ask": "resume" }),
            Self::Rescan => json!({ "ask": "rescan" }),
            Self::Backup => json!({ "ask": "backup" }),
            Self::Limit(bound, how_long) => {
                let rate = match bound {
                    Bound::At(rate) => json!(rate.get()),
                    Bound::Unlimited => Value::Null,
                    Bound::Configured => json!(CONFIGURED),
                };
                with_end(json!({ "ask": "limit", "rate": rate }), *how_long)
            }
            Self::Verify(v) => json!({ "ask": "verify", "vault": v.vault, "level": v.level, "sample": v.sample,
                "heal": v.heal, "acknowledge": v.acknowledge }),
            Self::Forecast(what_if) => json!({ "ask": "forecast", "what_if": what_if }),
            Self::Explain(path) => json!({ "ask": "explain", "path_b64": STANDARD.encode(path.as_bytes()) }),
        }
    }

    /// Blocks as long as the daemon takes. The answer is the status document, an explanation, or `true`.
    pub fn put_to(&self, console: &dyn Console) -> Result<Value> {
        match self {
            Self::Status => document(&console.status()),
            Self::Explain(path) => document(&console.explain(path)?),
            Self::Forecast(what_if) => document(&console.forecast(what_if)?),
            Self::Verify(asked) => document(&console.verify(asked)?),
            Self::Pause(how_long) => console.pause(*how_long).map(|()| Value::Bool(true)),
            Self::Resume => console.resume().map(|()| Value::Bool(true)),
            Self::Rescan => console.rescan().map(|()| Value::Bool(true)),
            Self::Backup => console.backup_now().map(|()| Value::Bool(true)),
            Self::Limit(bound, how_long) => console.limit(*bound, *how_long).map(|()| Value::Bool(true)),
        }
    }
}

/// So much may be supposed at once.
pub(super) const MOST_SUPPOSED: usize = 50;
/// What takes an ordered limit back.
pub const CONFIGURED: &str = "configured";

/// Bytes per second as a number, a rate as people write it, null for none, or `configured`; it must be there.
fn rate(fields: &Map<String, Value>) -> Result<Bound> {
    let bad = || {
        unknown(
            "\"rate\" is bytes per second from 1 up, a text like \"2 Mbit/s\", null for no limit, or \"configured\"",
        )
    };
    match fields.get("rate").ok_or_else(bad)? {
        Value::Null => Ok(Bound::Unlimited),
        Value::Number(n) => n.as_u64().and_then(Rate::bytes_per_second).map(Bound::At).ok_or_else(bad),
        Value::String(text) => bound(text).map_err(|said| unknown(&said)),
        _ => Err(bad()),
    }
}

/// `2 Mbit/s`, `none`, `configured`.
pub fn bound(text: &str) -> std::result::Result<Bound, String> {
    match text.trim().to_ascii_lowercase().as_str() {
        "none" => Ok(Bound::Unlimited),
        CONFIGURED => Ok(Bound::Configured),
        _ => text.parse().map(Bound::At),
    }
}

/// `for`: a length of time; `until`: RFC 3339, `tomorrow`, or `change` for when the calendar allows something else. One of
/// the two, or neither: for good.
fn lasting(fields: &Map<String, Value>) -> Result<Lasting> {
    let said = |key: &str| match fields.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.trim())),
        Some(_) => Err(unknown(&format!("\"{key}\" is a text"))),
    };
    match (said("for")?, said("until")?) {
        (None, None) => Ok(Lasting::Always),
        (Some(_), Some(_)) => Err(unknown("give \"for\" or \"until\", not both")),
        (Some(length), None) => match duration::parse(length) {
            Ok(length) if !length.is_zero() => Ok(Lasting::For(length)),
            Ok(_) => Err(unknown("\"for\" no time at all is no order")),
            Err(said) => Err(unknown(&said)),
        },
        (None, Some("tomorrow")) => Ok(Lasting::Tomorrow),
        (None, Some("change")) => Ok(Lasting::Change),
        (None, Some(time)) => match time.parse::<Timestamp>() {
            Ok(at) => Ok(Lasting::Until(Wall(at.as_millisecond()))),
            Err(_) => Err(unknown("\"until\" is a time like 2026-11-23T18:00:00Z, \"tomorrow\" or \"change\"")),
        },
    }
}

fn with_end(mut ask: Value, lasting: Lasting) -> Value {
    match lasting {
        Lasting::Always => {}
        Lasting::For(length) => ask["for"] = duration::text(length).into(),
        Lasting::Tomorrow => ask["until"] = "tomorrow".into(),
        Lasting::Change => ask["until"] = "change".into(),
        Lasting::Until(at) => {
            let at =
                Timestamp::from_millisecond(at.0).unwrap_or(if at.0 < 0 { Timestamp::MIN } else { Timestamp::MAX });
            ask["until"] = at.to_string().into();
        }
    }
    ask
}

fn path(fields: &Map<String, Value>) -> Result<TreePath> {
    fields
        .get("path_b64")
        .and_then(Value::as_str)
        .and_then(|text| STANDARD.decode(text).ok())
        .and_then(TreePath::from_bytes)
        .ok_or_else(|| unknown("\"path_b64\" is an absolute path in base64"))
}

/// Nothing supposed may be left out.
fn what_if(fields: &Map<String, Value>) -> Result<Vec<String>> {
    let bad = || unknown("\"what_if\" is a list of at most 50 texts like \"daily 23:00-06:00 5 Mbit/s\"");
    match fields.get("what_if") {
        None | Some(Value::Null) => Ok(vec![]),
        Some(Value::Array(list)) if list.len() <= MOST_SUPPOSED => {
            list.iter().map(|one| one.as_str().map(str::to_owned).ok_or_else(bad)).collect()
        }
        Some(_) => Err(bad()),
    }
}

/// Every key but the level may be left out; none may be of another kind.
fn verify(fields: &Map<String, Value>) -> Result<VerifyAsk> {
    let truth = |key: &str| match fields.get(key) {
        None | Some(Value::Null) => Ok(false),
        Some(Value::Bool(said)) => Ok(*said),
        Some(_) => Err(unknown(&format!("\"{key}\" is true or false"))),
    };
    let sample = match fields.get("sample") {
        None | Some(Value::Null) => None,
        Some(n) => Some(n.as_u64().filter(|n| *n > 0).ok_or_else(|| unknown("\"sample\" is a number of packs"))?),
    };
    let vault = match fields.get("vault") {
        None | Some(Value::Null) => None,
        Some(name) => Some(name.as_str().ok_or_else(|| unknown("\"vault\" is a name"))?.to_owned()),
    };
    let level = fields.get("level").and_then(Value::as_str).ok_or_else(|| unknown("\"level\" is missing"))?;
    Ok(VerifyAsk { vault, level: level.to_owned(), sample, heal: truth("heal")?, acknowledge: truth("acknowledge")? })
}

fn document(shown: &impl serde::Serialize) -> Result<Value> {
    serde_json::to_value(shown).map_err(|e| Error::retry("write the answer as JSON").because(e))
}

fn unknown(said: &str) -> Error {
    Error::operator(format!("understand the request: {said}"))
}

/// How an error travels.
pub(super) fn refusal(error: &Error) -> Value {
    json!({ "error": error.to_string(), "kind": word(error.kind()) })
}

/// The error a refusal tells of; None where `answer` is none.
pub(super) fn refused(answer: &Value) -> Option<Error> {
    let said = answer.get("error")?.as_str()?;
    let kind = answer.get("kind").and_then(Value::as_str).and_then(kind).unwrap_or(Kind::Operator);
    Some(Error::new(kind, said))
}

const KINDS: [(Kind, &str); 5] = [
    (Kind::Retry, "retry"),
    (Kind::Path, "path"),
    (Kind::Damaged, "damaged"),
    (Kind::Operator, "operator"),
    (Kind::Stopping, "stopping"),
];

fn word(kind: Kind) -> &'static str {
    KINDS.iter().find(|(k, _)| *k == kind).map_or("operator", |(_, word)| word)
}

fn kind(word: &str) -> Option<Kind> {
    KINDS.iter().find(|(_, w)| *w == word).map(|(kind, _)| *kind)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn every_request_reads_back_as_it_was_written() {
        let odd = TreePath::from_bytes(b"/a/\xff".to_vec()).unwrap();
        for ask in [
            Ask::Status,
            Ask::Pause(Lasting::Always),
            Ask::Pause(Lasting::For(Duration::from_secs(3600))),
            Ask::Pause(Lasting::Until(Wall(1_800_000_000_123))),
            Ask::Pause(Lasting::Tomorrow),
            Ask::Resume,
            Ask::Rescan,
            Ask::Backup,
            Ask::Limit(Bound::Unlimited, Lasting::Always),
            Ask::Limit(Bound::Configured, Lasting::Always),
            Ask::Limit(Bound::At(Rate::bytes_per_second(250_000).unwrap()), Lasting::Change),
            Ask::Explain(odd),
            Ask::Forecast(vec!["limit none".into()]),
            Ask::Verify(VerifyAsk {
                vault: Some("usb".into()),
                level: "read".into(),
                sample: Some(3),
                heal: true,
                acknowledge: false,
            }),
        ] {
            assert_eq!(Ask::of_json(&ask.to_json()).unwrap(), ask);
        }
    }

    #[test]
    fn a_limit_that_is_not_understood_never_means_no_limit() {
        for body in [
            "",
            "{}",
            r#"{"rat":1}"#,
            r#"{"rate":0}"#,
            r#"{"rate":-5}"#,
            r#"{"rate":1.5}"#,
            r#"{"rate":true}"#,
            r#"{"rate":"fast"}"#,
            r#"{"rate":"2 Mbit"}"#,
            r#"{"rate":1,"x":2}"#,
            r#"{"rate":1,"for":"5"}"#,
            r#"{"rate":1,"for":"0s"}"#,
            r#"{"rate":1,"for":5}"#,
            r#"{"rate":1,"until":"18:00"}"#,
            r#"{"rate":1,"until":"tomorrow","for":"1h"}"#,
            "[]",
            "nonsense",
        ] {
            assert!(Ask::of_body("limit", body.as_bytes()).is_err(), "{body}");
        }
        let free = Ask::Limit(Bound::Unlimited, Lasting::Always);
        assert_eq!(Ask::of_body("limit", br#"{"rate":null}"#).unwrap(), free);
        assert_eq!(Ask::of_body("limit", br#"{"rate":" none ","for":null}"#).unwrap(), free);
        let two = Bound::At(Rate::bytes_per_second(250_000).unwrap());
        let hour = Lasting::For(Duration::from_secs(3600));
        assert_eq!(Ask::of_body("limit", br#"{"rate":"2 Mbit/s","for":"1h"}"#).unwrap(), Ask::Limit(two, hour));
    }

    #[test]
    fn the_route_alone_says_what_is_asked() {
        assert!(Ask::of_body("pause", br#"{"ask":"backup"}"#).is_err());
        assert_eq!(Ask::of_body("pause", b"").unwrap(), Ask::Pause(Lasting::Always));
    }

    #[test]
    fn a_refusal_keeps_its_kind() {
        for (kind, _) in KINDS {
            assert_eq!(refused(&refusal(&Error::new(kind, "x"))).unwrap().kind(), kind);
        }
    }
}
