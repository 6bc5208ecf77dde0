//! Who may look and who may change: names we answer to, the page's own requests, and headers that keep a browser
//! from doing more with an answer than showing it.

use super::{Room, plain};
use crate::config::HostName;
use axum::extract::{Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, HeaderName, HeaderValue, ORIGIN, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

pub(super) const TOKEN: &str = "x-panicroom-token";

/// The secret as the page and its requests carry it.
pub(super) fn token(secret: &[u8; 32]) -> String {
    URL_SAFE_NO_PAD.encode(secret)
}

/// Names the page answers to. A foreign site can point a name of its own at this address, never an address itself:
/// so names are listed, and where we listen on every address any address will do.
pub(super) struct Hosts {
    listening: IpAddr,
    names: Vec<HostName>,
}

impl Hosts {
    pub(super) fn new(listening: IpAddr, names: Vec<HostName>) -> Self {
        Self { listening, names }
    }

    /// `authority` is a host with or without a port; the port is not looked at (tunnels change it) unless a listed name
    /// is bound to one.
    fn know(&self, authority: &str) -> bool {
        let Some((host, port)) = host_and_port(authority) else { return false };
        if let Some(address) = address(host) {
            return self.listening.is_unspecified()
                || address == self.listening
                || address == IpAddr::V4(Ipv4Addr::LOCALHOST)
                || address == IpAddr::V6(Ipv6Addr::LOCALHOST);
        }
        host.eq_ignore_ascii_case("localhost") || self.names.iter().any(|name| name.is(host, port))
    }
}

/// Of `host`, `host:port`, `[v6]`, `[v6]:port`; None where it is none of them.
fn host_and_port(authority: &str) -> Option<(&str, Option<u16>)> {
    let (host, port) = match authority.rfind(']') {
        Some(end) if authority.starts_with('[') => authority.split_at(end + 1),
        Some(_) => return None,
        None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
    };
    let port = match port.strip_prefix(':') {
        None if port.is_empty() => None,
        Some("") => None,
        Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => Some(digits.parse().ok()?),
        _ => return None,
    };
    (!host.is_empty()).then_some((host, port))
}

fn address(host: &str) -> Option<IpAddr> {
    match host.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')) {
        Some(six) => six.parse().ok().map(IpAddr::V6),
        None => host.parse().ok().map(IpAddr::V4),
    }
}

/// The only value of a header; None where there is none, or more than one.
fn sole<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut all = headers.get_all(name).iter();
    let value = all.next()?.to_str().ok()?;
    all.next().is_none().then_some(value)
}

pub(super) async fn our_names_only(State(room): State<Arc<Room>>, request: Request, next: Next) -> Response {
    let in_line = request.uri().authority().is_none_or(|authority| room.hosts.know(authority.as_str()));
    if in_line && sole(request.headers(), &HOST).is_some_and(|host| room.hosts.know(host)) {
        next.run(request).await
    } else {
        plain(
            StatusCode::MISDIRECTED_REQUEST,
            "this is panicroom, and not known by that name; use localhost or the address it listens on, or add the name \
             to hosts under [http] in its config",
        )
    }
}

/// A change must come from our own page: JSON, no foreign origin, and the token of this start.
pub(super) async fn own_page_only(State(room): State<Arc<Room>>, request: Request, next: Next) -> Response {
    match objection(request.headers(), &room.token) {
        None => next.run(request).await,
        Some((code, said)) => plain(code, said),
    }
}

fn objection(headers: &HeaderMap, token: &str) -> Option<(StatusCode, &'static str)> {
    let site = HeaderName::from_static("sec-fetch-site");
    if headers.contains_key(&site) && sole(headers, &site) != Some("same-origin") {
        return Some((StatusCode::FORBIDDEN, "refused: the request came from another site"));
    }
    if headers.contains_key(ORIGIN) && !same_origin(headers) {
        return Some((StatusCode::FORBIDDEN, "refused: the request came from another origin"));
    }
    let given = sole(headers, &HeaderName::from_static(TOKEN)).unwrap_or("");
    if !alike(given.as_bytes(), token.as_bytes()) {
        return Some((StatusCode::FORBIDDEN, "refused: the token is missing or of an earlier start; reload the page"));
    }
    let kind = sole(headers, &CONTENT_TYPE).unwrap_or("");
    if !kind.split(';').next().unwrap_or("").trim().eq_ignore_ascii_case("application/json") {
        return Some((StatusCode::UNSUPPORTED_MEDIA_TYPE, "refused: the body must be application/json"));
    }
    None
}

/// The origin is the very host and port that was asked.
fn same_origin(headers: &HeaderMap) -> bool {
    let Some((origin, host)) = sole(headers, &ORIGIN).zip(sole(headers, &HOST)) else { return false };
    let site = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
    site.is_some_and(|site| site.eq_ignore_ascii_case(host))
}

/// Compares without telling by its time where the first difference is.
fn alike(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |differ, (x, y)| differ | (x ^ y)) == 0
}

/// On every answer, refusals included.
pub(super) async fn harden(mut response: Response) -> Response {
    const HEADERS: [(HeaderName, &str); 7] = [
        (
            CONTENT_SECURITY_POLICY,
            "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'",
        ),
        (X_FRAME_OPTIONS, "DENY"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (CACHE_CONTROL, "no-store"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    ];
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_names_are_known_whatever_the_port() {
        let hosts = Hosts::new("192.0.2.7".parse().unwrap(), vec![HostName::parse("NAS.lan").unwrap()]);
        for ours in ["localhost", "LocalHost:9", "127.0.0.1:8420", "[::1]", "[::1]:8420", "192.0.2.7", "nas.LAN:80"] {
            assert!(hosts.know(ours), "{ours}");
        }
        for foreign in [
            "",
            ":8420",
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "192.0.2.8",
            "localhost:80:80",
            "localhost:x",
            "user@localhost",
            "[::1",
            "::1",
            "[::2]",
            "[localhost]",
        ] {
            assert!(!hosts.know(foreign), "{foreign}");
        }
    }

    #[test]
    fn listening_everywhere_takes_any_address_but_no_new_name() {
        let hosts = Hosts::new("::".parse().unwrap(), vec![]);
        assert!(hosts.know("192.0.2.8:8420") && hosts.know("[2001:db8::1]"));
        assert!(!hosts.know("evil.example:8420"));
    }

    #[test]
    fn a_change_needs_the_token_and_no_foreign_origin() {
        let good = [("host", "localhost:1"), (TOKEN, "secret"), ("content-type", "application/json; charset=utf-8")];
        let with = |more: &[(&str, &str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in good.iter().chain(more) {
                headers.append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
            }
            objection(&headers, "secret").map(|(code, _)| code.as_u16())
        };
        assert_eq!(with(&[]), None);
        assert_eq!(with(&[("origin", "http://localhost:1"), ("sec-fetch-site", "same-origin")]), None);
        for foreign in [
            ("origin", "http://evil.example"),
            ("origin", "http://localhost:2"),
            ("origin", "null"),
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-site", "same-site"),
            ("sec-fetch-site", "none"),
            (TOKEN, "secret"),
        ] {
            assert_eq!(with(&[foreign]), Some(403), "{foreign:?}");
        }
        assert_eq!(with(&[("content-type", "text/plain")]), Some(415));
    }
}
