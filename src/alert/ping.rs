//! The ping: one GET of an address only its watcher knows. The address is a secret (who has it can fake our health),
//! so nothing here ever says more of it than the host. The system's certificates are trusted; a redirect is not
//! followed, but named.

use super::Pulse;
use crate::config::Secret;
use crate::error::{Doing, Error, Kind, Result};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use std::str::FromStr;
use std::time::Duration;

const PING_TIME: Duration = Duration::from_secs(20);

/// Where to ping, well and ill.
pub(super) struct Address {
    well: Secret,
    ill: Secret,
    host: String,
}

impl Address {
    /// Operator: not an `http://` or `https://` address, or one with a user name in it.
    pub(super) fn of(url: &Secret) -> Result<Self> {
        let bad = |said: &str| Error::operator(format!("read ping_url: it {said}"));
        let text = url.reveal().split('#').next().unwrap_or("").trim();
        let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
        let rest = rest.ok_or_else(|| bad("does not begin with http:// or https://"))?;
        let authority = rest.split(['/', '?']).next().unwrap_or("");
        if authority.is_empty() || authority.contains('@') {
            return Err(bad("needs a host and may not hold a user name"));
        }
        if !text.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(bad("holds a character no address has"));
        }
        let (path, query) = text.split_at(text.find('?').unwrap_or(text.len()));
        let ill = format!("{}/fail{query}", path.trim_end_matches('/'));
        Ok(Self { well: Secret::new(text), ill: Secret::new(ill), host: authority.to_owned() })
    }
}

pub(super) struct Pinger {
    client: Client<HttpsConnector<HttpConnector>, String>,
    address: Address,
}

impl Pinger {
    /// Operator: no certificates to trust are installed.
    pub(super) fn new(address: Address) -> Result<Self> {
        let connector = HttpsConnectorBuilder::new()
            .with_native_roots()
            .doing(Kind::Operator, || "load the system's certificates for ping_url".into())
            .map_err(|error| error.remedy("install ca-certificates"))?
            .https_or_http()
            .enable_http1()
            .build();
        // Each ping is minutes from the next: no connection is kept.
        let client = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connector);
        Ok(Self { client, address })
    }

    pub(super) async fn send(&self, pulse: Pulse) -> Result<()> {
        let url = match pulse {
            Pulse::Well => &self.address.well,
            Pulse::Ill => &self.address.ill,
        };
        let doing = || format!("ping {}", self.address.host);
        let answer = tokio::time::timeout(PING_TIME, self.client.get(parsed(url)?))
            .await
            .doing(Kind::Retry, doing)?
            .map_err(|error| Error::retry(format!("{}: {}", doing(), deepest(&error))))?;
        match answer.status() {
            status if status.is_success() => Ok(()),
            status if status.is_redirection() => {
                Err(Error::operator(format!("{}: it answers {status}", doing())).remedy("write where it points to"))
            }
            status => Err(Error::retry(format!("{}: it answers {status}", doing()))),
        }
    }
}

/// As the client wants it; the parser's own words are left out, they could quote the secret.
fn parsed<U: FromStr>(url: &Secret) -> Result<U> {
    url.reveal().parse().map_err(|_| Error::operator("read ping_url: it is not an address"))
}

/// The innermost cause says what happened; the layers above only that something did.
fn deepest(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(inner) = error.source() {
        error = inner;
    }
    error.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ill_address_is_the_well_one_with_fail_behind_its_path() {
        for (url, ill) in [
            ("https://hc.example/ping/secret", "https://hc.example/ping/secret/fail"),
            ("https://hc.example/ping/secret/", "https://hc.example/ping/secret/fail"),
            ("http://h:8000/p?k=v#x", "http://h:8000/p/fail?k=v"),
            ("http://h", "http://h/fail"),
        ] {
            assert_eq!(Address::of(&Secret::new(url)).unwrap().ill.reveal(), ill);
        }
    }

    #[test]
    fn what_is_no_address_is_refused_without_being_quoted() {
        for bad in ["", "ftp://h/secret", "https:///secret", "https://user:secret@h/", "https://h/sec ret", "secret"] {
            let said = Address::of(&Secret::new(bad)).err().unwrap();
            assert_eq!(said.kind(), Kind::Operator, "{bad}");
            assert!(!said.to_string().contains("secret"), "{said}");
        }
    }
}
