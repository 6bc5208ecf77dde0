//! From the text of the file to [`Settings`]: section by section, then what must hold between them.

use super::nearest::nearest;
use super::section::{File, Given, Section, heading, in_order};
use super::{
    AlertSettings, KEYS, Priority, RootSettings, Secret, Settings, VaultSettings, VaultUrl, defaults, duration, url,
};
use crate::error::{Error, Kind, Result};
use crate::model::{Rate, Size, Tier, TreePath};
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;
use toml::de::{DeTable, DeValue};

/// Reads the text of the config file `name`. `load` gives the text of a `filter_file`; a relative one is
/// looked for beside the config file. The first mistake in the file is the one reported, kind Operator.
pub fn parse(name: &Path, text: &str, load: &mut dyn FnMut(&Path) -> Result<String>) -> Result<Settings> {
    let file = File { name, text };
    let document = DeTable::parse(text).map_err(|e| {
        let line = file.line(&e.span().unwrap_or(0..0));
        file.error(line, e.message().replace('\n', ", ")).remedy("mend the TOML of this line")
    })?;
    let Sections { roots, vaults, mut uplink, mut state, mut publish, mut walk, mut http, mut alert } =
        Sections::sort(file, document.into_inner())?;
    let walk_every = every(&mut walk, "every")?.unwrap_or(defaults::WALK_EVERY);
    let mut found = Found {
        roots: Vec::new(),
        vaults: Vec::new(),
        state_dir: state.read("dir", path)?,
        spool_size: state.read("spool_size", |t| t.parse::<Size>())?,
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
    let uplink_limit = limit(&mut uplink)?;
    let publish_every = every(&mut publish, "every")?.unwrap_or(defaults::PUBLISH_EVERY);
    let http_listen = listen(&mut http)?;
    let alert_settings = alerts(&mut alert)?;
    [uplink, state, publish, walk, http, alert].into_iter().for_each(Section::close);
    found.together(file)?;
    let (state_dir, spool_size) = (found.state_dir(), found.spool_size());
    Ok(Settings {
        roots: found.roots.into_iter().map(|r| r.value).collect(),
        vaults: found.vaults.into_iter().map(|v| v.value).collect(),
        uplink_limit,
        state_dir,
        spool_size,
        publish_every,
        http_listen,
        alert: alert_settings,
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
    http: Section<'a>,
    alert: Section<'a>,
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
            http: Section::empty(file, "http"),
            alert: Section::empty(file, "alert"),
        };
        for (key, value) in in_order(document) {
            let line = file.line(&key.span());
            let Some((name, _)) = KEYS.iter().find(|(name, _)| *name == key.get_ref().as_ref()) else {
                return Err(unknown_section(file, line, key.get_ref()));
            };
            match *name {
                "root" => out.roots = several(file, "root", line, value.into_inner())?,
                "vault" => out.vaults = several(file, "vault", line, value.into_inner())?,
                "uplink" => out.uplink = Section::open(file, "uplink", value)?,
                "state" => out.state = Section::open(file, "state", value)?,
                "publish" => out.publish = Section::open(file, "publish", value)?,
                "walk" => out.walk = Section::open(file, "walk", value)?,
                "http" => out.http = Section::open(file, "http", value)?,
                _ => out.alert = Section::open(file, "alert", value)?,
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

fn unknown_section(file: File, line: usize, key: &str) -> Error {
    let names = KEYS.map(|(name, _)| name);
    if let Some((owner, _)) = KEYS.iter().find(|(_, keys)| keys.contains(&key)) {
        let owner = heading(owner);
        return file.error(line, format!("'{key}' stands outside any section")).remedy(format!("put it below {owner}"));
    }
    let error = file.error(line, format!("unknown section '{}'", key.escape_debug()));
    match nearest(key, names) {
        Some(near) => error.remedy(format!("did you mean {}?", heading(near))),
        None => error.remedy(format!("known are {}", names.map(heading).join(", "))),
    }
}

/// What was read so far, with the lines of its headings, for what must hold between sections.
struct Found {
    roots: Vec<Given<RootSettings>>,
    vaults: Vec<Given<VaultSettings>>,
    state_dir: Option<Given<TreePath>>,
    spool_size: Option<Given<Size>>,
}

impl Found {
    fn state_dir(&self) -> TreePath {
        let default = || TreePath::from_typed(defaults::STATE_DIR.as_ref()).unwrap_or_else(TreePath::root);
        self.state_dir.as_ref().map_or_else(default, |g| g.value.clone())
    }
    fn spool_size(&self) -> Size {
        self.spool_size.as_ref().map_or(defaults::SPOOL_SIZE, |g| g.value)
    }

    fn add_root(&mut self, file: File, new: Given<RootSettings>) -> Result<()> {
        if let Some(twin) = self.roots.iter().find(|r| r.value.path == new.value.path) {
            return Err(file
                .error(new.line, format!("root {} was named before, in line {}", new.value.path, twin.line))
                .remedy("keep one of the two"));
        }
        self.roots.push(new);
        Ok(())
    }

    fn add_vault(&mut self, file: File, new: Given<VaultSettings>) -> Result<()> {
        // Names become names of files, and not every file system tells upper from lower case.
        let same_name = |v: &&Given<VaultSettings>| v.value.name.eq_ignore_ascii_case(&new.value.name);
        if let Some(twin) = self.vaults.iter().find(same_name) {
            return Err(file
                .error(new.line, format!("vault '{}' was named before, in line {}", new.value.name, twin.line))
                .remedy("give each vault a name of its own"));
        }
        if let Some(twin) = self.vaults.iter().find(|v| same_place(&v.value.url, &new.value.url)) {
            return Err(file
                .error(new.line, format!("vaults '{}' and '{}' are one place", twin.value.name, new.value.name))
                .remedy("give each vault a folder or prefix of its own, or keep one of the two"));
        }
        self.vaults.push(new);
        Ok(())
    }

    fn together(&self, file: File) -> Result<()> {
        let state_dir = self.state_dir();
        for Given { value: root, line } in &self.roots {
            if !self.vaults.iter().any(|v| v.value.roots.contains(&root.path)) {
                return Err(file
                    .error(*line, format!("root {} goes into no vault", root.path))
                    .remedy("add it to the roots of a vault, or take it out"));
            }
            if root.path.is_within(&state_dir) {
                return Err(file
                    .error(*line, format!("root {} lies in the state folder {state_dir}", root.path))
                    .remedy("choose another [state] dir or another root"));
            }
            let holder = self.vaults.iter().find(|v| match &v.value.url {
                VaultUrl::Folder(folder) => root.path.is_within(folder),
                VaultUrl::S3(_) => false,
            });
            if let Some(holder) = holder {
                return Err(file
                    .error(*line, format!("root {} lies in the folder of vault '{}'", root.path, holder.value.name))
                    .remedy("choose another folder for the vault or another root"));
            }
        }
        for Given { value: vault, line } in &self.vaults {
            if self.spool_size().0 < vault.pack_size.0.saturating_mul(2) {
                let line = self.spool_size.as_ref().map_or(*line, |g| g.line);
                return Err(file
                    .error(line, format!("spool_size holds less than two packs of vault '{}'", vault.name))
                    .remedy("make [state] spool_size at least twice pack_size"));
            }
            if matches!(&vault.url, VaultUrl::Folder(folder) if *folder == state_dir) {
                return Err(file
                    .error(*line, format!("vault '{}' is the state folder", vault.name))
                    .remedy("give the vault a folder of its own"));
            }
        }
        Ok(())
    }
}

/// However it is reached: two writers in one place would fight.
fn same_place(a: &VaultUrl, b: &VaultUrl) -> bool {
    match (a, b) {
        (VaultUrl::Folder(a), VaultUrl::Folder(b)) => a == b,
        (VaultUrl::S3(a), VaultUrl::S3(b)) => (&a.name, &a.prefix, &a.endpoint) == (&b.name, &b.prefix, &b.endpoint),
        _ => false,
    }
}

fn root(
    file: File,
    section: &mut Section,
    walk_every: Duration,
    load: &mut dyn FnMut(&Path) -> Result<String>,
) -> Result<Given<RootSettings>> {
    let path = required(file, section, "path", path)?;
    let quiet = section.read("quiet", duration::parse)?;
    let quiet_max = section.read("quiet_max", duration::parse)?;
    let line = quiet_max.as_ref().or(quiet.as_ref()).map_or(section.line, |g| g.line);
    let quiet = quiet.map_or(defaults::QUIET, |g| g.value);
    let quiet_max = quiet_max.map_or(defaults::QUIET_MAX.max(quiet), |g| g.value);
    if quiet_max < quiet {
        return Err(section.error(line, "quiet_max", "shorter than quiet").remedy("make it at least as long as quiet"));
    }
    Ok(Given {
        line: path.line,
        value: RootSettings {
            path: path.value,
            tier: section.read("tier", tier)?.map_or(defaults::TIER, |g| g.value),
            priority: section.read("priority", priority)?.map_or_else(Priority::default, |g| g.value),
            quiet,
            quiet_max,
            filter: filter(file, section, load)?,
            default_excludes: section.truth("default_excludes")?.map_or(defaults::DEFAULT_EXCLUDES, |g| g.value),
            marker: section.read("marker", marker)?.and_then(|g| g.value),
            cachedir_tag: section.truth("cachedir_tag")?.map_or(defaults::CACHEDIR_TAG, |g| g.value),
            filesystems: values(section.list("filesystems")?).unwrap_or_default(),
            fixed_chunks: values(section.list("fixed_chunks")?)
                .unwrap_or_else(|| defaults::FIXED_CHUNKS.map(str::to_owned).to_vec()),
            walk_every: every(section, "walk_every")?.unwrap_or(walk_every),
        },
    })
}

fn filter(file: File, section: &mut Section, load: &mut dyn FnMut(&Path) -> Result<String>) -> Result<Vec<String>> {
    let mut lines = values(section.list("filter")?).unwrap_or_default();
    if let Some(given) = section.read("filter_file", |t| {
        if t.is_empty() {
            Err("names no file; write filter_file = \"exclude.txt\"".to_owned())
        } else {
            Ok(t.to_owned())
        }
    })? {
        let beside = file.name.parent().unwrap_or(Path::new("")).join(&given.value);
        let text = load(&beside).map_err(|e| {
            e.during(&format!("{}:{}: filter_file", file.name.display(), given.line)).as_kind(Kind::Operator)
        })?;
        lines.extend(text.lines().map(str::to_owned));
    }
    Ok(lines)
}

fn vault(file: File, section: &mut Section, roots: &[Given<RootSettings>]) -> Result<Given<VaultSettings>> {
    let name = required(file, section, "name", vault_name)?;
    let url = required(file, section, "url", VaultUrl::parse_part)?;
    let url = Given { line: url.line, value: address(section, url)? };
    let credentials_file = section.read("credentials_file", path)?;
    if let (VaultUrl::Folder(_), Some(given)) = (&url.value, &credentials_file) {
        return Err(only_s3(section, given.line, "credentials_file"));
    }
    let gather = match url.value {
        VaultUrl::Folder(_) => defaults::GATHER_FOLDER,
        VaultUrl::S3(_) => defaults::GATHER_S3,
    };
    Ok(Given {
        line: name.line,
        value: VaultSettings {
            name: name.value,
            url: url.value,
            credentials_file: credentials_file.map(|g| g.value),
            pack_size: section.read("pack_size", pack_size)?.map_or(defaults::PACK_SIZE, |g| g.value),
            gather: section.read("gather", duration::parse)?.map_or(gather, |g| g.value),
            limit: limit(section)?,
            roots: roots_of_vault(section, roots)?,
            level: level(section)?,
        },
    })
}

/// The address and what further keys say of it; saying two things of one is refused.
fn address(section: &mut Section, url: Given<VaultUrl>) -> Result<VaultUrl> {
    let region = section.read("region", url::region)?;
    let endpoint = section.read("endpoint", url::endpoint)?;
    let path_style = section.truth("path_style")?;
    let class = section.read("class", |t| Ok(t.to_owned()))?;
    let VaultUrl::S3(mut bucket) = url.value else {
        let lines = [
            ("region", region.map(|g| g.line)),
            ("endpoint", endpoint.map(|g| g.line)),
            ("path_style", path_style.map(|g| g.line)),
            ("class", class.map(|g| g.line)),
        ];
        let alien = lines.into_iter().find_map(|(key, line)| Some((key, line?)));
        return alien.map_or(Ok(url.value), |(key, line)| Err(only_s3(section, line, key)));
    };
    let class_line = class.as_ref().map_or(url.line, |g| g.line);
    one_word(section, "region", &mut bucket.region, region)?;
    one_word(section, "endpoint", &mut bucket.endpoint, endpoint)?;
    one_word(section, "path_style", &mut bucket.path_style, path_style)?;
    one_word(section, "class", &mut bucket.class, class)?;
    bucket.check_class().map_err(|e| section.error(class_line, "class", e))?;
    Ok(VaultUrl::S3(bucket))
}

fn one_word<T: PartialEq>(section: &Section, key: &str, in_url: &mut Option<T>, given: Option<Given<T>>) -> Result<()> {
    let Some(given) = given else { return Ok(()) };
    if in_url.as_ref().is_some_and(|there| *there != given.value) {
        return Err(section.error(given.line, key, "the url says another one").remedy("say it once"));
    }
    *in_url = Some(given.value);
    Ok(())
}

fn only_s3(section: &Section, line: usize, key: &str) -> Error {
    section.error(line, key, "means nothing for a folder").remedy("take it out, or give an s3:// url")
}

/// Without `roots`: all of them.
fn roots_of_vault(section: &mut Section, roots: &[Given<RootSettings>]) -> Result<Vec<TreePath>> {
    let Some(list) = section.list("roots")? else {
        return Ok(roots.iter().map(|r| r.value.path.clone()).collect());
    };
    let mut out: Vec<TreePath> = Vec::with_capacity(list.len());
    for given in list {
        let named = path(&given.value).map_err(|e| section.error(given.line, "roots", e))?;
        if !roots.iter().any(|r| r.value.path == named) {
            let known: Vec<String> = roots.iter().map(|r| r.value.path.to_string()).collect();
            let error = section.error(given.line, "roots", format!("no root has the path {named}"));
            return Err(match nearest(&named.to_string(), known.iter().map(String::as_str)) {
                Some(near) => error.remedy(format!("did you mean '{near}'?")),
                None => error.remedy(format!("add a [[root]] with it; there are {}", known.join(", "))),
            });
        }
        if !out.contains(&named) {
            out.push(named);
        }
    }
    if out.is_empty() {
        let line = section.line;
        return Err(section.error(line, "roots", "an empty list").remedy("name a root, or leave it out for all"));
    }
    Ok(out)
}

fn level(section: &mut Section) -> Result<i32> {
    let Some(given) = section.whole("level")? else { return Ok(defaults::LEVEL) };
    let (least, most) = (defaults::LEVELS.start(), defaults::LEVELS.end());
    i32::try_from(given.value).ok().filter(|n| defaults::LEVELS.contains(n)).ok_or_else(|| {
        section
            .error(given.line, "level", format!("{} is out of range", given.value))
            .remedy(format!("choose {least} (fast) to {most} (small)"))
    })
}

fn limit(section: &mut Section) -> Result<Option<Rate>> {
    let read = |t: &str| if t == "none" { Ok(None) } else { t.parse::<Rate>().map(Some) };
    Ok(section.read("limit", read)?.and_then(|g| g.value))
}

fn every(section: &mut Section, key: &'static str) -> Result<Option<Duration>> {
    let read = |t: &str| {
        let every = duration::parse(t)?;
        let least = duration::text(defaults::EVERY_MIN);
        if every < defaults::EVERY_MIN {
            Err(format!("'{t}' is too often; make it at least {least}"))
        } else {
            Ok(every)
        }
    };
    Ok(section.read(key, read)?.map(|g| g.value))
}

fn listen(section: &mut Section) -> Result<Option<SocketAddr>> {
    let read = |t: &str| {
        if t == "off" {
            return Ok(None);
        }
        let address = t.strip_prefix("localhost:").map(|port| format!("127.0.0.1:{port}"));
        address.as_deref().unwrap_or(t).parse().map(Some).map_err(|_| {
            format!("'{t}' is not an address with a port; write it like \"{}\", or \"off\"", defaults::HTTP_LISTEN)
        })
    };
    let default = || defaults::HTTP_LISTEN.parse().ok();
    Ok(section.read("listen", read)?.map_or_else(default, |g| g.value))
}

fn alerts(section: &mut Section) -> Result<AlertSettings> {
    let command = |t: &str| {
        if t.trim().is_empty() { Err("is empty; leave it out for none".to_owned()) } else { Ok(Secret::new(t)) }
    };
    let ping = |t: &str| {
        let host = t.strip_prefix("https://").or_else(|| t.strip_prefix("http://")).unwrap_or_default();
        let plain = |c: char| !c.is_control() && !c.is_whitespace();
        if host.is_empty() || host.starts_with('/') || !host.chars().all(plain) {
            return Err("not a web address; write it like \"https://hc-ping.com/your-id\"".to_owned());
        }
        Ok(Secret::new(t))
    };
    let lag = |t: &str| {
        let lag = duration::parse(t)?;
        if lag.is_zero() { Err("0 would always be an alarm; write it like \"2d\"".to_owned()) } else { Ok(lag) }
    };
    Ok(AlertSettings {
        command: section.read("command", command)?.map(|g| g.value),
        ping_url: section.read("ping_url", ping)?.map(|g| g.value),
        lag: section.read("lag", lag)?.map_or(defaults::ALERT_LAG, |g| g.value),
    })
}

fn required<T>(
    file: File,
    section: &mut Section,
    key: &'static str,
    read: impl FnOnce(&str) -> std::result::Result<T, String>,
) -> Result<Given<T>> {
    let missing = file.error(section.line, format!("{key} is missing")).remedy(format!("add {key} = \"…\""));
    section.read(key, read)?.ok_or(missing)
}

fn values(list: Option<Vec<Given<String>>>) -> Option<Vec<String>> {
    list.map(|items| items.into_iter().map(|g| g.value).collect())
}

fn path(text: &str) -> std::result::Result<TreePath, String> {
    TreePath::from_typed(text.as_ref()).ok_or_else(|| {
        format!(
            "'{}' is not an absolute path without '..'; write it from the top, beginning with /",
            text.escape_debug()
        )
    })
}

fn tier(text: &str) -> std::result::Result<Tier, String> {
    match text {
        "cold" => Ok(Tier::Cold),
        "hot" => Ok(Tier::Hot),
        _ => Err(choice(text, &["cold", "hot"])),
    }
}

fn priority(text: &str) -> std::result::Result<Priority, String> {
    match text {
        "first" => Ok(Priority::First),
        "normal" => Ok(Priority::Normal),
        "last" => Ok(Priority::Last),
        _ => Err(choice(text, &["first", "normal", "last"])),
    }
}

fn choice(text: &str, known: &[&str]) -> String {
    format!("'{}' is none of the choices; write one of \"{}\"", text.escape_debug(), known.join("\", \""))
}

/// Empty: no marker.
fn marker(text: &str) -> std::result::Result<Option<String>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    if crate::model::path::is_name(text.as_bytes()) {
        return Ok(Some(text.to_owned()));
    }
    Err("is not the name of one file; write it like \".nobackup\"".to_owned())
}

fn pack_size(text: &str) -> std::result::Result<Size, String> {
    let size: Size = text.parse()?;
    if (defaults::PACK_SIZE_MIN..=defaults::PACK_SIZE_MAX).contains(&size) {
        return Ok(size);
    }
    let mib = |s: Size| s.0 >> 20;
    let (least, most) = (mib(defaults::PACK_SIZE_MIN), mib(defaults::PACK_SIZE_MAX));
    Err(format!("'{text}' is out of range; choose {least} MiB to {most} MiB"))
}

/// It becomes the name of files.
fn vault_name(text: &str) -> std::result::Result<String, String> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    let good = (1..=64).contains(&text.len()) && text.bytes().all(plain) && text.as_bytes()[0].is_ascii_alphanumeric();
    if good {
        return Ok(text.to_owned());
    }
    Err(format!("'{}' cannot name a vault; use letters, digits, '.', '_', '-', at most 64", text.escape_debug()))
}
