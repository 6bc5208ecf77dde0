//! A vault's address as people write it, and back.
//!
//! `file:///path` · `s3://bucket/prefix?region=…&endpoint=…&path_style=true&class=…` · the recipe's
//! `s3://s3-REGION.amazonaws.com/BUCKET/prefix`. Parsing only; no address holds a secret.

use crate::error::{Error, Result};
use std::fmt::{self, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::str::FromStr;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VaultUrl {
    /// An absolute path.
    Folder(PathBuf),
    Bucket(Bucket),
}

/// Where in which S3 bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bucket {
    pub name: String,
    /// Empty, or ending with `/`: object names follow at once.
    pub prefix: String,
    pub region: Option<String>,
    /// `http://…` or `https://…` of a server that is not AWS.
    pub endpoint: Option<String>,
    pub addressing: Addressing,
    /// Storage class of `data_` objects, as the server spells it.
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

pub(super) fn of_folder(path: &Path) -> String {
    let mut out = "file://".to_owned();
    encode(path.as_os_str().as_bytes(), b"/", &mut out);
    out
}

impl FromStr for VaultUrl {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        let text = text.trim();
        if let Some(rest) = text.strip_prefix("file://") {
            return folder(text, rest);
        }
        match text.strip_prefix("s3://") {
            Some(rest) => bucket(text, rest).map(Self::Bucket),
            None => Err(wrong(text, "it begins with neither file:// nor s3://")),
        }
    }
}

impl fmt::Display for VaultUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(path) => f.write_str(&of_folder(path)),
            Self::Bucket(bucket) => bucket.fmt(f),
        }
    }
}

impl fmt::Display for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = format!("s3://{}/", self.name);
        encode(self.prefix.trim_end_matches('/').as_bytes(), b"/", &mut out);
        let mut sep = '?';
        let path_style = (self.addressing == Addressing::Path && !self.name.contains('.')).then(|| "true".to_owned());
        for (key, value) in [
            ("region", &self.region),
            ("endpoint", &self.endpoint),
            ("path_style", &path_style),
            ("class", &self.class),
        ] {
            if let Some(value) = value {
                let _ = write!(out, "{sep}{key}=");
                encode(value.as_bytes(), b"/:", &mut out);
                sep = '&';
            }
        }
        f.write_str(out.trim_end_matches('/'))
    }
}

fn wrong(url: &str, why: &str) -> Error {
    Error::operator(format!("read the vault address '{url}': {why}")).remedy(
        "write it like file:///mnt/usb/vault or s3://bucket/prefix?region=eu-central-1 (further: endpoint, path_style, class)",
    )
}

fn folder(url: &str, rest: &str) -> Result<VaultUrl> {
    let bytes = decode(rest).ok_or_else(|| wrong(url, "a % is not followed by two hex digits"))?;
    if !rest.starts_with('/') || bytes.contains(&0) {
        return Err(wrong(url, "the path is not absolute"));
    }
    Ok(VaultUrl::Folder(PathBuf::from(std::ffi::OsString::from_vec(bytes))))
}

fn bucket(url: &str, rest: &str) -> Result<Bucket> {
    let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
    let text = |part: &str| {
        let bytes = decode(part).ok_or_else(|| wrong(url, "a % is not followed by two hex digits"))?;
        String::from_utf8(bytes).map_err(|_| wrong(url, "it is not UTF-8"))
    };
    let place = text(place)?;
    let (host, path) = place.split_once('/').unwrap_or((&place, ""));
    let (name, path, region) = match recipe_region(host) {
        Some(region) => {
            let (name, path) = path.split_once('/').unwrap_or((path, ""));
            (name, path, Some(region))
        }
        None => (host, path, None),
    };
    let mut bucket = Bucket {
        name: name.to_owned(),
        prefix: path.split('/').filter(|p| !p.is_empty()).fold(String::new(), |all, part| all + part + "/"),
        region,
        endpoint: None,
        addressing: if name.contains('.') { Addressing::Path } else { Addressing::Host },
        class: None,
    };
    for pair in query.split('&').filter(|p| !p.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let value = text(value)?;
        match key {
            "region" => bucket.region = Some(value),
            "endpoint" if value.starts_with("http://") || value.starts_with("https://") => {
                bucket.endpoint = Some(value.trim_end_matches('/').to_owned());
            }
            "endpoint" => return Err(wrong(url, "the endpoint begins with neither http:// nor https://")),
            "path_style" if value == "true" => bucket.addressing = Addressing::Path,
            "path_style" if value == "false" && !name.contains('.') => bucket.addressing = Addressing::Host,
            "path_style" => return Err(wrong(url, "path_style is neither true nor, without dots in the name, false")),
            "class" => bucket.class = Some(value.to_ascii_uppercase()),
            _ => return Err(wrong(url, &format!("'{key}' means nothing here"))),
        }
    }
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
    if !(3..=63).contains(&name.len()) || !name.bytes().all(plain) {
        return Err(wrong(url, "there is no bucket name of 3 to 63 letters, digits, dots and hyphens"));
    }
    if bucket.region.as_deref() == Some("") || bucket.class.as_deref() == Some("") {
        return Err(wrong(url, "a value is empty"));
    }
    Ok(bucket)
}

/// `s3-REGION.amazonaws.com` and its later spellings; `s3.amazonaws.com` alone always was us-east-1.
fn recipe_region(host: &str) -> Option<String> {
    match host.strip_suffix(".amazonaws.com")? {
        "s3" => Some("us-east-1".to_owned()),
        host => host.strip_prefix("s3-").or_else(|| host.strip_prefix("s3.")).map(str::to_owned),
    }
}

fn encode(bytes: &[u8], also: &[u8], out: &mut String) {
    for &b in bytes {
        if b.is_ascii_alphanumeric() || b"-._~".contains(&b) || also.contains(&b) {
            out.push(char::from(b));
        } else {
            let _ = write!(out, "%{b:02X}");
        }
    }
}

fn decode(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(b) = bytes.next() {
        if b == b'%' {
            let digit = |b: Option<u8>| char::from(b?).to_digit(16);
            out.push(u8::try_from(digit(bytes.next())? * 16 + digit(bytes.next())?).ok()?);
        } else {
            out.push(b);
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;
    use proptest::prelude::*;

    fn bucket(url: &str) -> Bucket {
        match url.parse().unwrap() {
            VaultUrl::Bucket(bucket) => bucket,
            VaultUrl::Folder(path) => panic!("{url} is a folder: {path:?}"),
        }
    }

    #[test]
    fn a_bucket_address_says_all_there_is_to_say() {
        let b = bucket(
            "s3://box/a//b/?region=eu-west-1&endpoint=http://127.0.0.1:8333/&path_style=true&class=deep_archive",
        );
        assert_eq!((b.name.as_str(), b.prefix.as_str()), ("box", "a/b/"));
        assert_eq!(b.region.as_deref(), Some("eu-west-1"));
        assert_eq!(b.endpoint.as_deref(), Some("http://127.0.0.1:8333"));
        assert_eq!((b.addressing, b.class.as_deref()), (Addressing::Path, Some("DEEP_ARCHIVE")));
        assert_eq!(bucket("s3://box").prefix, "");
        assert_eq!(bucket("s3://my.box/x").addressing, Addressing::Path);
    }

    #[test]
    fn the_recipes_address_is_understood() {
        let b = bucket("s3://s3-eu-central-1.amazonaws.com/my-backup-bucket");
        assert_eq!(
            (b.name.as_str(), b.prefix.as_str(), b.region.as_deref()),
            ("my-backup-bucket", "", Some("eu-central-1"))
        );
        let b = bucket("s3://s3.us-east-2.amazonaws.com/bucket/p");
        assert_eq!((b.name.as_str(), b.prefix.as_str(), b.region.as_deref()), ("bucket", "p/", Some("us-east-2")));
        assert_eq!(bucket("s3://s3.amazonaws.com/bucket").region.as_deref(), Some("us-east-1"));
    }

    #[test]
    fn a_wrong_address_is_refused_with_the_right_one_shown() {
        for bad in [
            "",
            "/mnt/usb",
            "file://mnt/usb",
            "file:///a%zz",
            "s3://",
            "s3://a/",
            "s3://box?speed=9",
            "s3://b ox",
            "s3://box?endpoint=127.0.0.1",
            "s3://box?path_style=maybe",
            "s3://my.box?path_style=false",
            "s3://box?region=",
        ] {
            let error = bad.parse::<VaultUrl>().unwrap_err();
            assert!(
                error.kind() == Kind::Operator && error.to_string().contains("s3://bucket/prefix"),
                "{bad}: {error}"
            );
        }
    }

    proptest! {
        #[test]
        fn a_folder_address_leads_back_to_its_folder(path in prop::collection::vec(1u8.., 0..40)) {
            let mut bytes = b"/".to_vec();
            bytes.extend(path);
            let folder = VaultUrl::Folder(PathBuf::from(std::ffi::OsString::from_vec(bytes)));
            prop_assert_eq!(folder.to_string().parse::<VaultUrl>().unwrap(), folder);
        }

        #[test]
        fn a_bucket_address_reads_back(
            name in "[a-z0-9][a-z0-9.-]{2,20}", prefix in "([a-zä %&?=]{1,5}/){0,3}", class in proptest::option::of("[A-Z_]{1,9}"),
            region in proptest::option::of("[a-z0-9-]{1,9}")
        ) {
            prop_assume!(!name.ends_with(".amazonaws.com"));
            let addressing = if name.contains('.') { Addressing::Path } else { Addressing::Host };
            let bucket = Bucket { name, prefix, region, endpoint: None, addressing, class };
            prop_assert_eq!(VaultUrl::Bucket(bucket.clone()).to_string().parse::<VaultUrl>().unwrap(),
                VaultUrl::Bucket(bucket));
        }
    }
}
