//! From the text of the file to [`Settings`], section by section.

use super::kind::{cpu, walks};
use super::link::links;
use super::nearest::nearest;
use super::section::{File, Section, heading, in_order};
use super::together::Found;
use super::value::{alerts, beside, drills, every, hosts, listen, path, verify};
use super::{KEYS, Settings, defaults, root::root, uplink::uplink, vault::vault};
use crate::error::{Error, Result};
use crate::model::Size;
use std::path::Path;
use toml::de::{DeArray, DeTable, DeValue};

/// Reads the text of the config file `name`. `load` gives the contents of a `filter_file`; a relative one is
/// looked for beside the config file. The first mistake in the file is the one reported, kind Operator.
pub fn parse(name: &Path, text: &str, load: &mut dyn FnMut(&Path) -> Result<Vec<u8>>) -> Result<Settings> {
    let file = File { name, text };
    let document = DeTable::parse(text).map_err(|e| {
        let line = file.line(&e.span().unwrap_or(0..0));
        file.error(line, e.message().replace('\n', ", ")).remedy("mend the TOML of this line")
    })?;
    let sections = Sections::sort(file, document.into_inner())?;
    let Sections { roots, vaults, uplink: mut line, mut state, mut publish, mut walk, mut http, mut alert, .. } =
        sections;
    let Sections { mut prices, verify: mut checks, mut drill, mut kind, .. } = sections;
    let (walk_every, walk_settings) = walks(&mut walk)?;
    let cpu = cpu(&mut kind)?;
    let mut found = Found {
        roots: Vec::new(),
        vaults: Vec::new(),
        state_dir: state.read("dir", path)?,
        spool_size: state.read("spool_size", str::parse::<Size>)?,
    };
    for mut section in roots {
        let root = root(file, &mut section, walk_every, load)?;
        section.close();
        found.add_root(file, root)?;
    }
    for mut section in vaults {
        let vault = vault(file, &mut section, &found.roots)?;
        section.close();
        found.add_vault(file, vault)?;
    }
    let uplink = uplink(&mut line)?;
    let links = links(&mut line)?;
    let publish_every = every(&mut publish, "every")?.unwrap_or(defaults::PUBLISH_EVERY);
    let http_listen = listen(&mut http)?;
    let http_hosts = hosts(&mut http)?;
    let alert_settings = alerts(&mut alert)?;
    let prices_file = beside(file, &mut prices, "file")?;
    let drill_settings = drills(&mut drill)?;
    let verify_settings = verify(&mut checks)?;
    [line, state, publish, walk, kind, http, alert, prices, drill, checks].into_iter().for_each(Section::close);
    found.together(file)?;
    let (state_dir, spool_size) = (found.state_dir(), found.spool_size());
    Ok(Settings {
        file: name.to_owned(),
        roots: found.roots.into_iter().map(|r| r.value).collect(),
        vaults: found.vaults.into_iter().map(|v| v.value).collect(),
        uplink,
        links,
        state_dir,
        spool_size,
        walk: walk_settings,
        cpu,
        publish_every,
        http_listen,
        http_hosts,
        alert: alert_settings,
        prices_file,
        drill: drill_settings,
        verify: verify_settings,
    })
}

/// The document by sections, empty ones where the file has none.
struct Sections<'a> {
    roots: Vec<Section<'a>>,
    vaults: Vec<Section<'a>>,
    uplink: Section<'a>,
    state: Section<'a>,
    publish: Section<'a>,
    walk: Section<'a>,
    kind: Section<'a>,
    http: Section<'a>,
    alert: Section<'a>,
    prices: Section<'a>,
    drill: Section<'a>,
    verify: Section<'a>,
}

impl<'a> Sections<'a> {
    fn sort(file: File<'a>, document: DeTable<'a>) -> Result<Self> {
        let mut out = Self {
            roots: Vec::new(),
            vaults: Vec::new(),
            uplink: Section::empty(file, "uplink"),
            state: Section::empty(file, "state"),
            publish: Section::empty(file, "publish"),
            walk: Section::empty(file, "walk"),
            kind: Section::empty(file, "kind"),
            http: Section::empty(file, "http"),
            alert: Section::empty(file, "alert"),
            prices: Section::empty(file, "prices"),
            drill: Section::empty(file, "drill"),
            verify: Section::empty(file, "verify"),
        };
        for (key, value) in in_order(document) {
            let line = file.line(&key.span());
            let Some((name, _)) = KEYS.iter().find(|(name, _)| *name == key.get_ref().as_ref()) else {
                return Err(unknown_section(file, line, key.get_ref(), value.get_ref()));
            };
            match *name {
                "root" => out.roots = several(file, "root", line, value.into_inner())?,
                "vault" => out.vaults = several(file, "vault", line, value.into_inner())?,
                "uplink" => out.uplink = Section::open(file, "uplink", value)?,
                "state" => out.state = Section::open(file, "state", value)?,
                "publish" => out.publish = Section::open(file, "publish", value)?,
                "walk" => out.walk = Section::open(file, "walk", value)?,
                "kind" => out.kind = Section::open(file, "kind", value)?,
                "http" => out.http = Section::open(file, "http", value)?,
                "alert" => out.alert = Section::open(file, "alert", value)?,
                "prices" => out.prices = Section::open(file, "prices", value)?,
                "drill" => out.drill = Section::open(file, "drill", value)?,
                _ => out.verify = Section::open(file, "verify", value)?,
            }
        }
        let last = file.line(&(file.text.len()..file.text.len()));
        for (name, none, example) in [
            ("root", out.roots.is_empty(), "path = \"/volume1/documents\""),
            ("vault", out.vaults.is_empty(), "name = \"cloud\" and url = \"s3://bucket/prefix\""),
        ] {
            if none {
                let section = heading(name);
                return Err(file.error(last, format!("no {section}")).remedy(format!("add {section} with {example}")));
            }
        }
        Ok(out)
    }
}

fn several<'a>(file: File<'a>, name: &'static str, line: usize, value: DeValue<'a>) -> Result<Vec<Section<'a>>> {
    match value {
        DeValue::Array(items) => items.into_iter().map(|item| Section::open(file, name, item)).collect(),
        _ => Err(file
            .error(line, format!("there can be several {name}s"))
            .remedy(format!("write [[{name}]] with doubled brackets"))),
    }
}

fn unknown_section(file: File, line: usize, key: &str, value: &DeValue) -> Error {
    let names = KEYS.map(|(name, _)| name);
    let sections = |items: &DeArray| items.iter().any(|item| item.get_ref().is_table());
    let is_section = value.is_table() || value.as_array().is_some_and(sections);
    let owner = KEYS.iter().find(|(_, keys)| !is_section && keys.contains(&key));
    if let Some((owner, _)) = owner {
        let owner = heading(owner);
        return file.error(line, format!("'{key}' stands outside any section")).remedy(format!("put it below {owner}"));
    }
    let error = file.error(line, format!("unknown section '{}'", key.escape_debug()));
    match nearest(key, names) {
        Some(near) => error.remedy(format!("did you mean {}?", heading(near))),
        None => error.remedy(format!("known are {}", names.map(heading).join(", "))),
    }
}
