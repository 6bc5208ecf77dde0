//! Where a vault is, as a price list names it: provider, region, class.

use std::net::IpAddr;

/// The provider of whatever stands in the operator's own house: nothing is charged there that could be known.
pub const OWN: &str = "own";

/// Ends of host names, and whose they are. Another host is its own provider, so that a list of one's own can name it.
const HOSTS: [(&str, &str); 9] = [
    ("amazonaws.com", "aws"),
    ("scw.cloud", "scaleway"),
    ("ovh.net", "ovh"),
    ("backblazeb2.com", "backblaze"),
    ("wasabisys.com", "wasabi"),
    ("r2.cloudflarestorage.com", "cloudflare"),
    ("your-objectstorage.com", "hetzner"),
    ("storage.googleapis.com", "google"),
    ("idrivee2.com", "idrive"),
];

/// Names that never leave a house (RFC 6762, 6761, 8375, ICANN's `.internal`, and what routers give out).
const HOME: [&str; 7] = ["localhost", "local", "lan", "home", "internal", "home.arpa", "test"];

/// Where the objects of one class lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Lower case: `aws`, `scaleway`, …, [`OWN`], else the host's name.
    pub provider: String,
    /// None: not said.
    pub region: Option<String>,
    /// As the server spells it.
    pub class: String,
}

impl Place {
    /// A folder: a disk of one's own.
    pub fn folder() -> Self {
        Self { provider: OWN.into(), region: None, class: "STANDARD".into() }
    }

    /// `endpoint` is `https://host:port`; None: Amazon's own.
    pub fn bucket(endpoint: Option<&str>, region: Option<&str>, class: &str) -> Self {
        Self {
            provider: endpoint.map_or_else(|| "aws".into(), provider_of),
            region: region.map(str::to_owned),
            class: class.to_owned(),
        }
    }

    /// The same place in another class: the log and hot packs are kept in `STANDARD`.
    #[must_use]
    pub fn in_class(&self, class: &str) -> Self {
        Self { class: class.to_owned(), ..self.clone() }
    }

    pub fn is_own(&self) -> bool {
        self.provider == OWN
    }
}

fn provider_of(endpoint: &str) -> String {
    let host = host(endpoint).to_ascii_lowercase();
    let ends = |end: &str| host.strip_suffix(end).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
    if is_own(&host) || HOME.iter().any(|end| ends(end)) {
        return OWN.into();
    }
    HOSTS.iter().find(|(end, _)| ends(end)).map_or(host.clone(), |(_, name)| (*name).to_owned())
}

/// Of `https://host:port`, brackets around an IPv6 address taken off.
fn host(endpoint: &str) -> &str {
    let rest = endpoint.split_once("://").map_or(endpoint, |(_, rest)| rest);
    let place = rest.split('/').next().unwrap_or_default();
    if let Some(v6) = place.strip_prefix('[') {
        return v6.split(']').next().unwrap_or_default();
    }
    place.split(':').next().unwrap_or_default().trim_end_matches('.')
}

/// An address nobody routes, or a name without a dot.
fn is_own(host: &str) -> bool {
    match host.parse() {
        Ok(IpAddr::V4(v4)) => {
            let shared = v4.octets()[0] == 100 && (64..128).contains(&v4.octets()[1]);
            v4.is_private() || v4.is_loopback() || v4.is_link_local() || shared
        }
        Ok(IpAddr::V6(v6)) => v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local(),
        Err(_) => !host.contains('.'),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_provider_is_told_by_the_host() {
        for (endpoint, provider) in [
            ("https://s3.fr-par.scw.cloud", "scaleway"),
            ("https://s3.eu-west-par.io.cloud.ovh.net", "ovh"),
            ("https://s3.eu-central-003.backblazeb2.com", "backblaze"),
            ("https://s3.eu-central-1.WASABISYS.com:443", "wasabi"),
            ("https://0123.r2.cloudflarestorage.com", "cloudflare"),
            ("https://fsn1.your-objectstorage.com", "hetzner"),
            ("https://storage.googleapis.com", "google"),
            ("https://s3.eu-central-1.amazonaws.com", "aws"),
            ("https://s3.example.org:9000", "s3.example.org"),
            ("https://notscw.cloud", "notscw.cloud"),
            ("http://127.0.0.1:9000", OWN),
            ("http://192.168.1.7:9000", OWN),
            ("http://100.100.1.7", OWN),
            ("http://[fd00::1]:9000", OWN),
            ("http://[::1]", OWN),
            ("http://nas:9000", OWN),
            ("http://minio.lan", OWN),
            ("http://box.local:3900", OWN),
            ("http://8.8.8.8", "8.8.8.8"),
        ] {
            assert_eq!(Place::bucket(Some(endpoint), None, "STANDARD").provider, provider, "{endpoint}");
        }
        assert_eq!(Place::bucket(None, None, "GLACIER").provider, "aws");
        assert!(Place::folder().is_own());
    }
}
