//! What may be asked of a running daemon, as JSON: the requests of the page and of the control socket, read in one
//! place. Anything not exactly understood is refused: a misspelt limit must never mean "no limit".

use crate::daemon::console::{Console, VerifyAsk};
use crate::error::{Error, Kind, Result};
use crate::model::{Rate, TreePath};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

/// One request of an operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    Status,
    Pause,
    Resume,
    Rescan,
    /// None: no limit.
    Limit(Option<Rate>),
    Explain(TreePath),
    /// Answered when everything noticed by then is safe or failed: hours, perhaps.
    Backup,
    /// Answered when the vaults were looked through: hours, perhaps.
    Verify(VerifyAsk),
}

impl Ask {
    /// `{"ask": "limit", "rate": 250000}`. Operator: not a request we know.
    pub fn of_json(request: &Value) -> Result<Self> {
        let fields = request.as_object().ok_or_else(|| unknown("a request is one JSON object"))?;
        let what = fields.get("ask").and_then(Value::as_str).ok_or_else(|| unknown("a request names its \"ask\""))?;
        let allowed: &[&str] = match what {
            "limit" => &["ask", "rate"],
            "explain" => &["ask", "path_b64"],
            "verify" => &["ask", "vault", "level", "sample", "heal", "acknowledge"],
            _ => &["ask"],
        };
        if let Some(key) = fields.keys().find(|key| !allowed.contains(&key.as_str())) {
            return Err(unknown(&format!("{what} knows no \"{key}\"")));
        }
        match what {
            "status" => Ok(Self::Status),
            "pause" => Ok(Self::Pause),
            "resume" => Ok(Self::Resume),
            "rescan" => Ok(Self::Rescan),
            "backup" => Ok(Self::Backup),
            "limit" => Ok(Self::Limit(rate(fields)?)),
            "explain" => Ok(Self::Explain(path(fields)?)),
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
            Self::Pause => json!({ "ask": "pause" }),
            Self::Resume => json!({ "ask": "resume" }),
            Self::Rescan => json!({ "ask": "rescan" }),
            Self::Backup => json!({ "ask": "backup" }),
            Self::Limit(rate) => json!({ "ask": "limit", "rate": rate.map(Rate::get) }),
            Self::Verify(v) => json!({ "ask": "verify", "vault": v.vault, "level": v.level, "sample": v.sample,
                "heal": v.heal, "acknowledge": v.acknowledge }),
            Self::Explain(path) => json!({ "ask": "explain", "path_b64": STANDARD.encode(path.as_bytes()) }),
        }
    }

    /// Blocks as long as the daemon takes. The answer is the status document, an explanation, or `true`.
    pub fn put_to(&self, console: &dyn Console) -> Result<Value> {
        match self {
            Self::Status => document(&console.status()),
            Self::Explain(path) => document(&console.explain(path)?),
            Self::Verify(asked) => document(&console.verify(asked)?),
            Self::Pause => console.pause().map(|()| Value::Bool(true)),
            Self::Resume => console.resume().map(|()| Value::Bool(true)),
            Self::Rescan => console.rescan().map(|()| Value::Bool(true)),
            Self::Backup => console.backup_now().map(|()| Value::Bool(true)),
            Self::Limit(rate) => console.limit(*rate).map(|()| Value::Bool(true)),
        }
    }
}

/// Bytes per second as a number, a rate as people write it, or null for none; it must be there.
fn rate(fields: &Map<String, Value>) -> Result<Option<Rate>> {
    let bad = || unknown("\"rate\" is bytes per second from 1 up, a text like \"2 Mbit/s\", or null for no limit");
    match fields.get("rate").ok_or_else(bad)? {
        Value::Null => Ok(None),
        Value::Number(n) => n.as_u64().and_then(Rate::bytes_per_second).map(Some).ok_or_else(bad),
        Value::String(text) if text.trim().eq_ignore_ascii_case("none") => Ok(None),
        Value::String(text) => text.parse().map(Some).map_err(|said: String| unknown(&said)),
        _ => Err(bad()),
    }
}

fn path(fields: &Map<String, Value>) -> Result<TreePath> {
    fields
        .get("path_b64")
        .and_then(Value::as_str)
        .and_then(|text| STANDARD.decode(text).ok())
        .and_then(TreePath::from_bytes)
        .ok_or_else(|| unknown("\"path_b64\" is an absolute path in base64"))
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

    #[test]
    fn every_request_reads_back_as_it_was_written() {
        let odd = TreePath::from_bytes(b"/a/\xff".to_vec()).unwrap();
        for ask in [
            Ask::Status,
            Ask::Pause,
            Ask::Resume,
            Ask::Rescan,
            Ask::Backup,
            Ask::Limit(None),
            Ask::Limit(Rate::bytes_per_second(250_000)),
            Ask::Explain(odd),
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
            "[]",
            "nonsense",
        ] {
            assert!(Ask::of_body("limit", body.as_bytes()).is_err(), "{body}");
        }
        assert_eq!(Ask::of_body("limit", br#"{"rate":null}"#).unwrap(), Ask::Limit(None));
        assert_eq!(Ask::of_body("limit", br#"{"rate":" none "}"#).unwrap(), Ask::Limit(None));
        let two = Rate::bytes_per_second(250_000);
        assert_eq!(Ask::of_body("limit", br#"{"rate":"2 Mbit/s"}"#).unwrap(), Ask::Limit(two));
    }

    #[test]
    fn the_route_alone_says_what_is_asked() {
        assert!(Ask::of_body("pause", br#"{"ask":"backup"}"#).is_err());
        assert_eq!(Ask::of_body("pause", b"").unwrap(), Ask::Pause);
    }

    #[test]
    fn a_refusal_keeps_its_kind() {
        for (kind, _) in KINDS {
            assert_eq!(refused(&refusal(&Error::new(kind, "x"))).unwrap().kind(), kind);
        }
    }
}
