//! Where a vault is, in one line: `file:///mnt/usb/vault`,
//! `s3://bucket/prefix?region=…&endpoint=…&path_style=true&class=…`, and the older
//! `s3://s3-REGION.amazonaws.com/BUCKET`. Used for `[[vault]] url` and for `--vault`.
//!
//! A vault's address never holds a password: one that does is refused without being repeated.

use super::defaults;
use super::nearest::nearest;
use super::percent::{escape, unescape};
use crate::error::Error;
use crate::model::TreePath;
use std::fmt;
use std::str::FromStr;

/// Storage classes of S3 itself. Other servers have names of their own: checked only without an endpoint.
const CLASSES: [&str; 9] = [
    "STANDARD",
    "STANDARD_IA",
    "ONEZONE_IA",
    "INTELLIGENT_TIERING",
    "GLACIER_IR",
    "GLACIER",
    "DEEP_ARCHIVE",
    "REDUCED_REDUNDANCY",
    "EXPRESS_ONEZONE",
];

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VaultUrl {
    Folder(TreePath),
    Bucket(Bucket),
}

/// A bucket and how to reach it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bucket {
    pub name: String,
    /// Empty, or ending with `/`: object names follow at once.
    pub prefix: String,
    pub region: Option<String>,
    /// `http://…` or `https://…` of a server that is not AWS, without a path.
    pub endpoint: Option<String>,
    pub addressing: Addressing,
    /// Storage class of cold packs, in capitals; None: [`defaults::CLASS`].
    pub class: Option<String>,
}

/// Where a request names its bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Addressing {
    /// In the host name, as AWS prefers it.
    Host,
    /// In the path: what most other servers know, and the only way for bucket names with dots under TLS.
    Path,
}

impl Addressing {
    /// Unless said otherwise.
    fn usual(name: &str, endpoint: Option<&str>) -> Self {
        if endpoint.is_some() || name.contains('.') { Self::Path } else { Self::Host }
    }
}

impl Bucket {
    /// Host name (or address) and port of its server.
    pub fn door(&self) -> (String, u16) {
        let Some(endpoint) = &self.endpoint else {
            let region = self.region.as_deref().unwrap_or("us-east-1");
            let country = if region.starts_with("cn-") { ".cn" } else { "" };
            return (format!("s3.{region}.amazonaws.com{country}"), 443);
        };
        let (usual, address) = match endpoint.split_once("://") {
            Some(("http", address)) => (80, address),
            Some((_, address)) => (443, address),
            None => (443, endpoint.as_str()),
        };
        let plain = |host: &str| host.trim_start_matches('[').trim_end_matches(']').to_owned();
        match address.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse().ok()?))) {
            // The colons of a bare IPv6 address are no port.
            Some((host, port)) if !host.contains(':') || host.ends_with(']') => (plain(host), port),
            _ => (plain(address), usual),
        }
    }
    pub fn class(&self) -> &str {
        self.class.as_deref().unwrap_or(defaults::CLASS)
    }
}

/// An address of which more may be said elsewhere: in the other keys of its `[[vault]]`.
#[derive(Clone, Debug)]
pub(super) enum Part {
    Folder(TreePath),
    Bucket(Said),
}

/// What was said of a bucket so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Said {
    name: String,
    prefix: String,
    pub(super) region: Option<String>,
    pub(super) endpoint: Option<String>,
    pub(super) path_style: Option<bool>,
    pub(super) class: Option<String>,
}

impl Said {
    /// Nothing more will be said.
    pub(super) fn settle(self) -> Result<Bucket, String> {
        let addressing = match self.path_style {
            Some(true) => Addressing::Path,
            Some(false) => Addressing::Host,
            None => Addressing::usual(&self.name, self.endpoint.as_deref()),
        };
        let class = self.class.map(|c| class(&c, self.endpoint.as_deref())).transpose()?;
        let Self { name, prefix, region, endpoint, .. } = self;
        Ok(Bucket { name, prefix, region, endpoint, addressing, class })
    }
}

impl VaultUrl {
    /// The error says what would be right.
    pub fn parse(text: &str) -> Result<Self, String> {
        match Part::parse(text)? {
            Part::Folder(path) => Ok(Self::Folder(path)),
            Part::Bucket(said) => said.settle().map(Self::Bucket),
        }
    }
}

impl FromStr for VaultUrl {
    type Err = Error;
    /// Operator.
    fn from_str(text: &str) -> crate::error::Result<Self> {
        Self::parse(text).map_err(|e| Error::operator(format!("read the vault's address: {e}")))
    }
}

impl Part {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if let Some(rest) = text.strip_prefix("file://") {
            return folder(rest).map(Self::Folder);
        }
        if let Some(rest) = text.strip_prefix("s3://") {
            return bucket(rest).map(Self::Bucket);
        }
        if text.starts_with('/') {
            return TreePath::from_typed(text.as_ref()).map(Self::Folder).ok_or_else(|| no_folder(text));
        }
        Err("a vault's address begins with file:/// or s3://; \
             write it like \"file:///mnt/usb/vault\" or \"s3://bucket/prefix\""
            .to_owned())
    }
}

fn no_folder(text: &str) -> String {
    format!("'{text}' is not an absolute path without '..'; write it like \"file:///mnt/usb/vault\"")
}

fn folder(rest: &str) -> Result<TreePath, String> {
    let path = rest.strip_prefix("localhost").filter(|r| r.starts_with('/')).unwrap_or(rest);
    if !path.starts_with('/') {
        return Err("a file address has three slashes; write it like \"file:///mnt/usb/vault\"".to_owned());
    }
    let bytes = unescape(path).ok_or_else(|| no_folder(path))?;
    let mended: Vec<&[u8]> = bytes.split(|b| *b == b'/').filter(|n| !n.is_empty() && *n != b".").collect();
    let joined = [b"/".as_slice(), &mended.join(&b'/')].concat();
    TreePath::from_bytes(joined).ok_or_else(|| no_folder(path))
}

fn bucket(rest: &str) -> Result<Said, String> {
    let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (first, path) = place.split_once('/').unwrap_or((place, ""));
    if first.contains('@') {
        return Err("a vault's address must not hold keys or passwords; put them into credentials_file".to_owned());
    }
    let mut found = Said::default();
    let (name, prefix) = match aws_host(first) {
        Some(region) => {
            found.region = Some(region.to_owned());
            path.split_once('/').unwrap_or((path, ""))
        }
        None => (first, path),
    };
    found.name = bucket_name(name)?;
    found.prefix = prefix_of(prefix)?;
    for pair in query.split('&').filter(|p| !p.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let value = unescape(value).and_then(|v| String::from_utf8(v).ok());
        let value = value.ok_or_else(|| format!("'{key}' has an escape that is not text; write '%' as %25"))?;
        match key {
            "region" => found.region = Some(region(&value)?),
            "endpoint" => found.endpoint = Some(endpoint(&value)?),
            "path_style" => found.path_style = Some(truth(&value)?),
            "class" => found.class = Some(value),
            _ => {
                let known = ["region", "endpoint", "path_style", "class"];
                let near = nearest(key, known).unwrap_or("region, endpoint, path_style or class");
                return Err(format!("unknown part '{key}' in the vault's address; did you mean {near}?"));
            }
        }
    }
    Ok(found)
}

/// The region of a host name of S3 itself: `s3-eu-west-1.amazonaws.com`, `s3.eu-west-1.amazonaws.com`.
fn aws_host(host: &str) -> Option<&str> {
    let inner = host.strip_suffix(".amazonaws.com")?;
    if inner == "s3" {
        return Some("us-east-1");
    }
    let region = inner.strip_prefix("s3-").or_else(|| inner.strip_prefix("s3."))?;
    (!region.is_empty() && !region.contains('.')).then_some(region)
}

fn bucket_name(name: &str) -> Result<String, String> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
    let good = (3..=63).contains(&name.len()) && name.bytes().all(plain) && name.as_bytes()[0].is_ascii_alphanumeric();
    if good {
        return Ok(name.to_owned());
    }
    Err(format!("'{name}' is not a bucket's name (3 to 63 letters, digits, dots, hyphens); write s3://bucket/prefix"))
}

fn prefix_of(text: &str) -> Result<String, String> {
    let wrong = || format!("'{text}' cannot be a prefix; use names joined by slashes, without '.' and '..'");
    let typed = unescape(text).and_then(|p| String::from_utf8(p).ok()).ok_or_else(wrong)?;
    let prefix: String = typed.split('/').filter(|c| !c.is_empty()).flat_map(|c| [c, "/"]).collect();
    let plain = |c: &str| c != "." && c != ".." && !c.chars().any(char::is_control);
    // Object names are at most 1024 bytes, of which ours need up to 200.
    if prefix.len() <= 800 && prefix.split('/').all(plain) { Ok(prefix) } else { Err(wrong()) }
}

pub(super) fn region(text: &str) -> Result<String, String> {
    let good = !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
    if good { Ok(text.to_owned()) } else { Err(format!("'{text}' is not a region; write it like \"eu-central-1\"")) }
}

pub(super) fn endpoint(text: &str) -> Result<String, String> {
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")).map(|h| h.trim_end_matches('/'));
    match host {
        Some(h) if h.contains('@') => {
            Err("an endpoint must not hold keys or passwords; put them into credentials_file".to_owned())
        }
        Some(h) if !h.is_empty() && !h.contains(['/', '?', '#', ' ']) && !h.chars().any(char::is_control) => {
            Ok(text.trim_end_matches('/').to_owned())
        }
        _ => Err("an endpoint is an address without a path; write it like \"https://s3.example.org:9000\"".to_owned()),
    }
}

fn class(text: &str, endpoint: Option<&str>) -> Result<String, String> {
    let class = text.to_uppercase();
    let plain = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_';
    let shaped = !class.is_empty() && class.bytes().all(plain);
    if shaped && (endpoint.is_some() || CLASSES.contains(&class.as_str())) {
        return Ok(class);
    }
    let near = nearest(&class.replace(['-', ' '], "_"), CLASSES).unwrap_or(defaults::CLASS);
    Err(format!("'{}' is not a storage class; did you mean \"{near}\"?", text.escape_debug()))
}

fn truth(text: &str) -> Result<bool, String> {
    match text {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(format!("path_style is true or false, not '{text}'; write path_style=true")),
    }
}

/// What [`VaultUrl::parse`] reads back to the same place; one line, without a secret.
impl fmt::Display for VaultUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(path) => {
                f.write_str("file://")?;
                escape(path.as_bytes(), f)
            }
            Self::Bucket(bucket) => bucket.fmt(f),
        }
    }
}

impl fmt::Display for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3://{}", self.name)?;
        if !self.prefix.is_empty() {
            f.write_str("/")?;
            escape(self.prefix.trim_end_matches('/').as_bytes(), f)?;
        }
        let path_style = match self.addressing {
            usual if usual == Addressing::usual(&self.name, self.endpoint.as_deref()) => None,
            Addressing::Path => Some("true"),
            Addressing::Host => Some("false"),
        };
        let parts = [
            ("region", self.region.as_deref()),
            ("endpoint", self.endpoint.as_deref()),
            ("path_style", path_style),
            ("class", self.class.as_deref()),
        ];
        let mut mark = '?';
        for (key, value) in parts {
            if let Some(value) = value {
                write!(f, "{mark}{key}=")?;
                escape(value.as_bytes(), f)?;
                mark = '&';
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn s3(text: &str) -> Bucket {
        match VaultUrl::parse(text) {
            Ok(VaultUrl::Bucket(bucket)) => bucket,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn a_folder_is_an_absolute_path_by_address_or_by_itself() {
        for (text, path) in [
            ("file:///mnt/usb/vault", "/mnt/usb/vault"),
            ("file:///mnt//usb/./vault/", "/mnt/usb/vault"),
            ("file://localhost/mnt/usb", "/mnt/usb"),
            ("file:///mnt/my%20disk/100%25", "/mnt/my disk/100%"),
            ("file:///mnt/my disk", "/mnt/my disk"),
            ("/mnt/usb", "/mnt/usb"),
        ] {
            assert_eq!(VaultUrl::parse(text), Ok(VaultUrl::Folder(TreePath::from_bytes(path).unwrap())), "{text}");
        }
        for bad in ["file://mnt/usb", "file:///a/../b", "file:///a%2", "mnt/usb", "ftp://x", "", "file:///a%00b"] {
            assert!(VaultUrl::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_bucket_comes_with_prefix_and_the_ways_to_reach_it() {
        let all = s3(
            "s3://my.bucket/nas/one/?region=eu-central-1&endpoint=https%3A%2F%2Fs3.example.org%3A9000&path_style=false&class=COLD",
        );
        assert_eq!((all.name.as_str(), all.prefix.as_str()), ("my.bucket", "nas/one/"));
        assert_eq!(all.region.as_deref(), Some("eu-central-1"));
        assert_eq!(all.endpoint.as_deref(), Some("https://s3.example.org:9000"));
        assert_eq!((all.addressing, all.class()), (Addressing::Host, "COLD"));
        assert_eq!((s3("s3://bucket").class(), s3("s3://bucket").addressing), ("STANDARD", Addressing::Host));
        for path_style in ["s3://my.bucket", "s3://bucket?endpoint=http://127.0.0.1:9000"] {
            assert_eq!(s3(path_style).addressing, Addressing::Path);
        }
        assert_eq!(s3("s3://bucket/a//b/?class=deep_archive").prefix, "a/b/");
        assert_eq!(s3("s3://bucket/p?class=deep_archive").class(), "DEEP_ARCHIVE");
    }

    #[test]
    fn the_recipes_address_names_region_and_bucket() {
        let old = s3("s3://s3-eu-west-1.amazonaws.com/backups/nas");
        assert_eq!(
            (old.region.as_deref(), old.name.as_str(), old.prefix.as_str()),
            (Some("eu-west-1"), "backups", "nas/")
        );
        assert_eq!(s3("s3://s3.amazonaws.com/backups").region.as_deref(), Some("us-east-1"));
        assert_eq!(s3("s3://s3.eu-west-1.amazonaws.com/backups").region.as_deref(), Some("eu-west-1"));
    }

    #[test]
    fn a_wrong_address_is_refused_with_what_would_be_right() {
        for (text, said) in [
            ("s3://bucket/p?regoin=x", "did you mean region?"),
            ("s3://bucket/p?class=deep-archive", "\"DEEP_ARCHIVE\""),
            ("s3://bucket/p?class=DEEP_ARCHVE", "\"DEEP_ARCHIVE\""),
            ("s3://bucket/p?endpoint=example.org", "https://"),
            ("s3://bucket/../b", "without '.' and '..'"),
            ("s3://b", "3 to 63"),
            ("s3://", "3 to 63"),
            ("s3://bucket?path_style=yes", "path_style=true"),
        ] {
            assert!(VaultUrl::parse(text).is_err_and(|e| e.contains(said)), "{text}: {:?}", VaultUrl::parse(text));
        }
    }

    #[test]
    fn a_password_in_an_address_is_refused_and_not_repeated() {
        for text in ["s3://AKIA:hunter2@bucket/p", "s3://bucket/p?endpoint=https://me:hunter2@host"] {
            assert!(VaultUrl::parse(text).is_err_and(|e| !e.contains("hunter2") && e.contains("credentials_file")));
        }
    }

    proptest! {
        #[test]
        fn an_address_reads_back_what_it_prints(
            folder in any::<bool>(),
            name in prop_oneof![Just("my.bucket"), Just("bucket")],
            path in "(/[a-zA-Z0-9 %?&=#äß\"'.]{1,8}x){1,3}",
            region in proptest::option::of("[a-z]{2}-[a-z]{4}-[1-9]"),
            endpoint in proptest::option::of("https?://[a-z]{1,8}(:[1-9][0-9]{1,3})?"),
            path_style in any::<bool>(),
        ) {
            let prefix = path[1..].to_owned() + "/";
            let addressing = if path_style { Addressing::Path } else { Addressing::Host };
            let url = if folder {
                VaultUrl::Folder(TreePath::from_bytes(path).unwrap())
            } else {
                VaultUrl::Bucket(Bucket { name: name.to_owned(), prefix, region, endpoint, addressing, class: None })
            };
            prop_assert_eq!(VaultUrl::parse(&url.to_string()), Ok(url));
        }
    }

    #[test]
    fn the_door_of_a_bucket_is_its_servers() {
        let door = |url: &str| match url.parse().unwrap() {
            VaultUrl::Bucket(bucket) => bucket.door(),
            VaultUrl::Folder(_) => panic!("{url}"),
        };
        for (url, host, port) in [
            ("s3://box/p", "s3.us-east-1.amazonaws.com", 443),
            ("s3://box/p?region=eu-central-1", "s3.eu-central-1.amazonaws.com", 443),
            ("s3://box/p?region=cn-north-1", "s3.cn-north-1.amazonaws.com.cn", 443),
            ("s3://box/p?endpoint=https://s3.example.org", "s3.example.org", 443),
            ("s3://box/p?endpoint=http://nas.lan:8333", "nas.lan", 8333),
            ("s3://box/p?endpoint=http://127.0.0.1", "127.0.0.1", 80),
            ("s3://box/p?endpoint=http://[::1]:9000", "::1", 9000),
            ("s3://box/p?endpoint=https://[2001:db8::7]", "2001:db8::7", 443),
        ] {
            assert_eq!(door(url), (host.to_owned(), port), "{url}");
        }
    }
}
