//! Where a vault is, in one line: `file:///mnt/usb/vault`,
//! `s3://bucket/prefix?region=…&endpoint=…&path_style=true&class=…`, and the older
//! `s3://s3-REGION.amazonaws.com/BUCKET`. Used for `[[vault]] url` and for `--vault`.
//!
//! A vault's address never holds a password: one that does is refused without being repeated.

use super::defaults;
use super::nearest::nearest;
use crate::model::TreePath;
use std::fmt;

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
    S3(Bucket),
}

/// A bucket and how to reach it; what is None was not said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bucket {
    pub name: String,
    /// Without slashes at either end; empty: the bucket's top.
    pub prefix: String,
    pub region: Option<String>,
    /// `https://host:port`, without a path.
    pub endpoint: Option<String>,
    pub path_style: Option<bool>,
    /// Of cold packs.
    pub class: Option<String>,
}

impl Bucket {
    /// Whether the bucket's name goes into the path instead of the host name. Unless said: yes for a server
    /// of one's own and for a name with dots, which no wildcard certificate covers.
    pub fn path_style(&self) -> bool {
        self.path_style.unwrap_or(self.endpoint.is_some() || self.name.contains('.'))
    }
    pub fn class(&self) -> &str {
        self.class.as_deref().unwrap_or(defaults::CLASS)
    }

    pub(super) fn check_class(&self) -> Result<(), String> {
        let class = self.class();
        let plain = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_';
        let shaped = !class.is_empty() && class.bytes().all(plain);
        if shaped && (self.endpoint.is_some() || CLASSES.contains(&class)) {
            return Ok(());
        }
        let near = nearest(&class.replace(['-', ' '], "_"), CLASSES).unwrap_or(defaults::CLASS);
        Err(format!("'{class}' is not a storage class; did you mean \"{near}\"?"))
    }
}

impl VaultUrl {
    /// The error says what would be right.
    pub fn parse(text: &str) -> Result<Self, String> {
        let url = Self::parse_part(text)?;
        if let Self::S3(bucket) = &url {
            bucket.check_class()?;
        }
        Ok(url)
    }

    /// As [`VaultUrl::parse`], with the class unchecked: which ones there are depends on an endpoint that may
    /// still come from elsewhere.
    pub(super) fn parse_part(text: &str) -> Result<Self, String> {
        if let Some(rest) = text.strip_prefix("file://") {
            return folder(rest);
        }
        if let Some(rest) = text.strip_prefix("s3://") {
            return bucket(rest).map(Self::S3);
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

fn folder(rest: &str) -> Result<VaultUrl, String> {
    let path = rest.strip_prefix("localhost").filter(|r| r.starts_with('/')).unwrap_or(rest);
    if !path.starts_with('/') {
        return Err("a file address has three slashes; write it like \"file:///mnt/usb/vault\"".to_owned());
    }
    let bytes = unescape(path).ok_or_else(|| no_folder(path))?;
    let mended: Vec<&[u8]> = bytes.split(|b| *b == b'/').filter(|n| !n.is_empty() && *n != b".").collect();
    let joined = [b"/".as_slice(), &mended.join(&b'/')].concat();
    TreePath::from_bytes(joined).map(VaultUrl::Folder).ok_or_else(|| no_folder(path))
}

fn bucket(rest: &str) -> Result<Bucket, String> {
    let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (first, path) = place.split_once('/').unwrap_or((place, ""));
    if first.contains('@') {
        return Err("a vault's address must not hold keys or passwords; put them into credentials_file".to_owned());
    }
    let mut found = Bucket::default();
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
    let wrong = || format!("'{text}' cannot be a prefix; use names joined by single slashes, without '..'");
    let prefix = unescape(text.trim_matches('/')).and_then(|p| String::from_utf8(p).ok()).ok_or_else(wrong)?;
    let component = |c: &str| !c.is_empty() && c != "." && c != ".." && !c.chars().any(char::is_control);
    // Object names are at most 1024 bytes; ours need up to 200 of them and a slash.
    if prefix.is_empty() || (prefix.len() <= 800 && prefix.split('/').all(component)) {
        return Ok(prefix);
    }
    Err(wrong())
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

fn truth(text: &str) -> Result<bool, String> {
    match text {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(format!("path_style is true or false, not '{text}'; write path_style=true")),
    }
}

/// Bytes of a text with `%XX` escapes; None for a broken escape.
fn unescape(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(b) = bytes.next() {
        if b != b'%' {
            out.push(b);
            continue;
        }
        let mut digit = || char::from(bytes.next()?).to_digit(16);
        let (high, low) = (digit()?, digit()?);
        out.push(u8::try_from(high * 16 + low).ok()?);
    }
    Some(out)
}

fn escape(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for part in bytes.utf8_chunks() {
        for c in part.valid().chars() {
            if c.is_control() || c.is_whitespace() || matches!(c, '%' | '?' | '#' | '&' | '=' | '\\' | '"') {
                c.encode_utf8(&mut [0; 4]).bytes().try_for_each(|b| write!(f, "%{b:02X}"))?;
            } else {
                write!(f, "{c}")?;
            }
        }
        part.invalid().iter().try_for_each(|b| write!(f, "%{b:02X}"))?;
    }
    Ok(())
}

/// What [`VaultUrl::parse`] reads back to the same place; one line, without a secret.
impl fmt::Display for VaultUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(path) => {
                f.write_str("file://")?;
                escape(path.as_bytes(), f)
            }
            Self::S3(bucket) => bucket.fmt(f),
        }
    }
}

impl fmt::Display for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3://{}", self.name)?;
        if !self.prefix.is_empty() {
            f.write_str("/")?;
            escape(self.prefix.as_bytes(), f)?;
        }
        let path_style = self.path_style.map(|p| p.to_string());
        let parts = [
            ("region", self.region.as_deref()),
            ("endpoint", self.endpoint.as_deref()),
            ("path_style", path_style.as_deref()),
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
            Ok(VaultUrl::S3(bucket)) => bucket,
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
        assert_eq!((all.name.as_str(), all.prefix.as_str()), ("my.bucket", "nas/one"));
        assert_eq!(all.region.as_deref(), Some("eu-central-1"));
        assert_eq!(all.endpoint.as_deref(), Some("https://s3.example.org:9000"));
        assert_eq!((all.path_style(), all.class()), (false, "COLD"));
        assert_eq!((s3("s3://bucket").class(), s3("s3://bucket").path_style()), ("STANDARD", false));
        assert!(s3("s3://my.bucket").path_style() && s3("s3://bucket?endpoint=http://127.0.0.1:9000").path_style());
    }

    #[test]
    fn the_recipes_address_names_region_and_bucket() {
        let old = s3("s3://s3-eu-west-1.amazonaws.com/backups/nas");
        assert_eq!(
            (old.region.as_deref(), old.name.as_str(), old.prefix.as_str()),
            (Some("eu-west-1"), "backups", "nas")
        );
        assert_eq!(s3("s3://s3.amazonaws.com/backups").region.as_deref(), Some("us-east-1"));
        assert_eq!(s3("s3://s3.eu-west-1.amazonaws.com/backups").region.as_deref(), Some("eu-west-1"));
    }

    #[test]
    fn a_wrong_address_is_refused_with_what_would_be_right() {
        for (text, said) in [
            ("s3://bucket/p?regoin=x", "did you mean region?"),
            ("s3://bucket/p?class=deep_archive", "\"DEEP_ARCHIVE\""),
            ("s3://bucket/p?class=DEEP_ARCHVE", "\"DEEP_ARCHIVE\""),
            ("s3://bucket/p?endpoint=example.org", "https://"),
            ("s3://bucket/a//b", "single slashes"),
            ("s3://bucket/../b", "without '..'"),
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
            path in "(/[a-zA-Z0-9 %?&=#äß\"'.]{1,8}x){1,3}",
            region in proptest::option::of("[a-z]{2}-[a-z]{4}-[1-9]"),
            endpoint in proptest::option::of("https?://[a-z]{1,8}(:[1-9][0-9]{1,3})?"),
            path_style in any::<Option<bool>>(),
        ) {
            let prefix = path.trim_matches('/').to_owned();
            let url = if folder {
                VaultUrl::Folder(TreePath::from_bytes(path).unwrap())
            } else {
                VaultUrl::S3(Bucket { name: "my.bucket".into(), prefix, region, endpoint, path_style, class: None })
            };
            prop_assert_eq!(VaultUrl::parse(&url.to_string()), Ok(url));
        }
    }
}
