//! A name the page may be called by, as `[http] hosts` lists it: `nas.lan`, or `nas.lan:8420` for that port alone.

use std::fmt;

/// A host name in lower case, and the port it is bound to; None: any port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostName {
    name: String,
    port: Option<u16>,
}

/// RFC 1035: of a whole name, and of each of its parts.
const NAME_MAX: usize = 253;
const LABEL_MAX: usize = 63;

impl HostName {
    /// The refusal brings its remedy after a semicolon.
    pub fn parse(text: &str) -> Result<Self, String> {
        let refuse = |remedy: &str| Err(format!("'{}' is not a host name; {remedy}", text.escape_debug()));
        if text.contains('/') {
            return refuse("write the name alone, like \"nas.lan\": no http:// and no path");
        }
        if text.contains('*') {
            return refuse("list every name in full: a pattern would let foreign names in");
        }
        if !text.is_ascii() {
            return refuse("write it as browsers send it, beginning with \"xn--\"");
        }
        if text.parse::<std::net::IpAddr>().is_ok() || text.parse::<std::net::SocketAddr>().is_ok() {
            return refuse("an address needs no entry: the page answers to the one it listens on");
        }
        let (name, port) = match text.split_once(':') {
            None => (text, None),
            Some((name, port)) => match port.parse::<u16>() {
                Ok(number) if number > 0 && !port.starts_with(['+', '0']) => (name, Some(number)),
                _ => return refuse("a port is a number from 1 to 65535, like \"nas.lan:8420\""),
            },
        };
        let last = name.rsplit('.').next().unwrap_or_default();
        // Browsers read a name that ends in a number as an address.
        let is_number = !last.is_empty() && last.bytes().all(|b| b.is_ascii_digit());
        if name.len() > NAME_MAX || is_number || !name.split('.').all(is_label) {
            return refuse("write it like \"nas.lan\" or \"nas.lan:8420\"");
        }
        Ok(Self { name: name.to_ascii_lowercase(), port })
    }

    /// Whether a request for `name`, and for `port` where it said one, is for this host. Browsers leave out the port
    /// that goes with http or https.
    pub fn is(&self, name: &str, port: Option<u16>) -> bool {
        let port_fits = self.port.is_none_or(|own| port.map_or(matches!(own, 80 | 443), |asked| asked == own));
        port_fits && self.name.eq_ignore_ascii_case(name)
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

/// Underscores are no part of a proper name, yet some routers hand out names with them.
fn is_label(label: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    (1..=LABEL_MAX).contains(&label.len())
        && label.bytes().all(plain)
        && !label.starts_with('-')
        && !label.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stands_for_every_port_and_one_with_a_port_for_that_port() {
        let any = HostName::parse("NAS.lan").unwrap();
        assert!(any.is("nas.lan", None) && any.is("nas.LAN", Some(8420)) && any.is("nas.lan", Some(1)));
        assert!(!any.is("lan", None) && !any.is("evil.nas.lan", None) && !any.is("nas.lan.", None));
        let one = HostName::parse("nas.lan:8420").unwrap();
        assert!(one.is("nas.lan", Some(8420)) && !one.is("nas.lan", Some(8421)) && !one.is("nas.lan", None));
        let plain = HostName::parse("nas:80").unwrap();
        assert!(plain.is("nas", None) && plain.is("nas", Some(80)) && !plain.is("nas", Some(8420)));
        assert_eq!((any.to_string(), one.to_string()), ("nas.lan".to_owned(), "nas.lan:8420".to_owned()));
    }

    #[test]
    fn what_is_no_name_is_refused_with_the_remedy() {
        for (wrong, remedy) in [
            ("http://nas.lan", "no http://"),
            ("nas.lan/", "no path"),
            ("*.lan", "list every name"),
            ("*", "list every name"),
            ("größe.lan", "xn--"),
            ("192.0.2.7", "an address needs no entry"),
            ("192.0.2.7:8420", "an address needs no entry"),
            ("::1", "an address needs no entry"),
            ("[::1]:8420", "an address needs no entry"),
            ("nas.lan:", "a port is a number"),
            ("nas.lan:0", "a port is a number"),
            ("nas.lan:+80", "a port is a number"),
            ("nas.lan:65536", "a port is a number"),
            ("nas.lan:80:80", "a port is a number"),
            ("", "write it like"),
            (":8420", "write it like"),
            (".lan", "write it like"),
            ("nas.lan.", "write it like"),
            ("nas lan", "write it like"),
            ("-nas", "write it like"),
            ("user@nas", "write it like"),
            ("1.2.3", "write it like"),
            (&"a".repeat(64), "write it like"),
            (&"a.".repeat(127).repeat(2)[..], "write it like"),
        ] {
            let said = HostName::parse(wrong).unwrap_err();
            assert!(said.contains(remedy) && said.contains("; "), "{wrong}: {said}");
        }
    }
}
