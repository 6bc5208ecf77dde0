//! One `[[vault]]`.

use super::nearest::nearest;
use super::section::{File, Given, Section};
use super::url::Part;
use super::value::{limit, path, rate_or_none, required};
use super::{RootSettings, VaultSettings, VaultUrl, defaults, duration, url};
use crate::error::{Error, Result};
use crate::model::{Size, TreePath};

pub(super) fn vault(file: File, section: &mut Section, roots: &[Given<RootSettings>]) -> Result<Given<VaultSettings>> {
    let name = required(file, section, "name", vault_name)?;
    let url = required(file, section, "url", Part::parse)?;
    let url = Given { line: url.line, value: address(section, url)? };
    let credentials_file = section.read("credentials_file", path)?;
    if let (VaultUrl::Folder(_), Some(given)) = (&url.value, &credentials_file) {
        return Err(only_s3(section, given.line, "credentials_file"));
    }
    let gather = match url.value {
        VaultUrl::Folder(_) => defaults::GATHER_FOLDER,
        VaultUrl::Bucket(_) => defaults::GATHER_S3,
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
            download: rate_or_none(section, "download")?,
            roots: roots_of_vault(section, roots)?,
            level: level(section)?,
            rescue_program: section.read("rescue_program", path)?.map(|g| g.value),
        },
    })
}

/// The address and what further keys say of it; saying two things of one is refused.
fn address(section: &mut Section, url: Given<Part>) -> Result<VaultUrl> {
    let region = section.read("region", url::region)?;
    let endpoint = section.read("endpoint", url::endpoint)?;
    let path_style = section.truth("path_style")?;
    let class = section.read("class", |t| Ok(t.to_owned()))?;
    let mut said = match url.value {
        Part::Bucket(said) => said,
        Part::Folder(folder) => {
            let lines = [
                ("region", region.map(|g| g.line)),
                ("endpoint", endpoint.map(|g| g.line)),
                ("path_style", path_style.map(|g| g.line)),
                ("class", class.map(|g| g.line)),
            ];
            let alien = lines.into_iter().find_map(|(key, line)| Some((key, line?)));
            return alien.map_or(Ok(VaultUrl::Folder(folder)), |(key, line)| Err(only_s3(section, line, key)));
        }
    };
    let class_line = class.as_ref().map_or(url.line, |g| g.line);
    one_word(section, "region", &mut said.region, region)?;
    one_word(section, "endpoint", &mut said.endpoint, endpoint)?;
    one_word(section, "path_style", &mut said.path_style, path_style)?;
    one_word(section, "class", &mut said.class, class)?;
    said.settle().map(VaultUrl::Bucket).map_err(|e| section.error(class_line, "class", e))
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
