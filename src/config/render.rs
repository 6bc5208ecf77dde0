//! The config file `quickstart` writes: few lines, each explained, that [`super::parse`] reads back to the
//! very settings asked for.

use super::{VaultUrl, duration};
use crate::error::{Error, Result};
use crate::model::{Rate, TreePath};
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

/// What `quickstart` settles; None leaves a setting to its default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sketch {
    pub root: TreePath,
    pub vault_name: String,
    pub vault: VaultUrl,
    pub quiet: Option<Duration>,
    pub gather: Option<Duration>,
    pub listen: Listen,
    /// Of the whole uplink; None: no bound.
    pub limit: Option<Rate>,
    pub state_dir: TreePath,
}

/// Where the page is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listen {
    Default,
    Off,
    At(SocketAddr),
}

impl Sketch {
    /// Operator: a path that is not UTF-8, which a TOML file cannot hold.
    pub fn text(&self) -> Result<String> {
        let mut out = String::from(
            "# Written by `panicroom quickstart`; yours to change. Every setting is explained in example.toml.\n\n",
        );
        let mut section = |heading: &str, lines: &[(&str, Option<String>)]| {
            if lines.iter().any(|(_, value)| value.is_some()) {
                let _ = writeln!(out, "{heading}");
                for (key, value) in lines {
                    if let Some(value) = value {
                        let _ = writeln!(out, "{key} = {}", quoted(value));
                    }
                }
                out.push('\n');
            }
        };
        let (quiet, gather) = (self.quiet.map(duration::text), self.gather.map(duration::text));
        section("[[root]]", &[("path", Some(utf8(&self.root)?)), ("quiet", quiet)]);
        section(
            "[[vault]]",
            &[("name", Some(self.vault_name.clone())), ("url", Some(self.vault.to_string())), ("gather", gather)],
        );
        // In bytes: what a person reads as "2.00 MB/s" is rounded.
        section("[uplink]", &[("limit", self.limit.map(|rate| format!("{} B/s", rate.get())))]);
        section("[state]", &[("dir", Some(utf8(&self.state_dir)?))]);
        let listen = match self.listen {
            Listen::Default => None,
            Listen::Off => Some("off".to_owned()),
            Listen::At(address) => Some(address.to_string()),
        };
        section("[http]", &[("listen", listen)]);
        out.truncate(out.trim_end().len() + 1);
        Ok(out)
    }
}

/// Sections to put at the end of a config that is there: more roots, and a vault of a name not yet taken.
pub fn more(roots: &[TreePath], vault: Option<(&str, &VaultUrl)>) -> Result<String> {
    let mut out = String::new();
    for root in roots {
        let _ = writeln!(out, "\n[[root]]\npath = {}", quoted(&utf8(root)?));
    }
    if let Some((name, url)) = vault {
        let _ = writeln!(out, "\n[[vault]]\nname = {}\nurl = {}", quoted(name), quoted(&url.to_string()));
    }
    Ok(out)
}

fn utf8(path: &TreePath) -> Result<String> {
    std::str::from_utf8(path.as_bytes()).map(str::to_owned).map_err(|_| {
        Error::operator(format!("write {path} into a config file: its name is not UTF-8"))
            .remedy("rename that folder, or reach it by a bind mount with a plain name")
    })
}

fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

#[cfg(test)]
mod tests {
    use super::super::{defaults, parse};
    use super::*;
    use proptest::prelude::*;
    use std::path::Path;

    fn sketch() -> Sketch {
        Sketch {
            root: TreePath::from_bytes("/home/me/Döcs \"a\\b'").unwrap(),
            vault_name: "local".into(),
            vault: VaultUrl::parse("file:///home/me/.local/share/panicroom/vault").unwrap(),
            quiet: Some(Duration::from_secs(2)),
            gather: Some(Duration::ZERO),
            listen: Listen::Off,
            limit: Rate::bytes_per_second(123_457),
            state_dir: TreePath::from_bytes("/home/me/.local/share/panicroom/state").unwrap(),
        }
    }

    #[test]
    fn what_was_left_out_is_the_default() {
        let bare = Sketch { quiet: None, gather: None, listen: Listen::Default, limit: None, ..sketch() };
        let settings = parse(Path::new("c"), &bare.text().unwrap(), &mut |_| unreachable!("no filter_file")).unwrap();
        assert_eq!(settings.roots[0].quiet, defaults::QUIET);
        assert_eq!(settings.http_listen, defaults::HTTP_LISTEN.parse().ok());
        assert_eq!(settings.uplink.limit, None);
    }

    #[test]
    fn what_is_put_at_the_end_is_read_beside_what_was_there() {
        let url = VaultUrl::parse("s3://bucket/prefix?region=eu-central-1").unwrap();
        let root = TreePath::from_bytes("/srv/\"photos\"").unwrap();
        let text = sketch().text().unwrap() + &more(std::slice::from_ref(&root), Some(("cloud", &url))).unwrap();
        let read = parse(Path::new("c"), &text, &mut |_| unreachable!("no filter_file")).unwrap();
        assert_eq!((read.roots.len(), &read.roots[1].path), (2, &root));
        assert_eq!((read.vaults.len(), &read.vaults[1].url), (2, &url));
        assert_eq!(read.vaults[0].roots.len(), 2);
    }

    #[test]
    fn a_folder_whose_name_is_not_text_is_refused_with_the_remedy() {
        let odd = Sketch { root: TreePath::from_bytes(*b"/a\xff").unwrap(), ..sketch() };
        assert!(odd.text().unwrap_err().to_string().contains("bind mount"));
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back_to_the_same_settings(
            root in "/[^/\u{0}]{1,12}x", quiet in 0..100_000u64, gather in 0..100_000u64, limit in 1..u64::from(u32::MAX),
            port in any::<u16>(), off in any::<bool>(),
        ) {
            let address = SocketAddr::from(([127, 0, 0, 1], port));
            let asked = Sketch {
                root: TreePath::from_bytes(root.clone()).unwrap(),
                quiet: Some(Duration::from_millis(quiet)),
                gather: Some(Duration::from_millis(gather)),
                limit: Rate::bytes_per_second(limit),
                listen: if off { Listen::Off } else { Listen::At(address) },
                ..sketch()
            };
            let read = parse(Path::new("c"), &asked.text().unwrap(), &mut |_| unreachable!("no filter_file")).unwrap();
            prop_assert_eq!(&read.roots[0].path, &asked.root);
            prop_assert_eq!(Some(read.roots[0].quiet), asked.quiet);
            prop_assert_eq!(&read.vaults[0].name, &asked.vault_name);
            prop_assert_eq!(&read.vaults[0].url, &asked.vault);
            prop_assert_eq!(Some(read.vaults[0].gather), asked.gather);
            prop_assert_eq!(read.uplink.limit, asked.limit);
            prop_assert_eq!(read.state_dir, asked.state_dir);
            prop_assert_eq!(read.http_listen, (!off).then_some(address));
        }
    }
}
