//! One `[[root]]`.

use super::section::{File, Given, Section};
use super::value::{choice, every, path, required, values};
use super::{FilterList, RootSettings, defaults, duration};
use crate::error::{Kind, Result};
use crate::model::{OrderRule, Priority, Tier};
use std::path::Path;
use std::time::Duration;

pub(super) fn root(
    file: File,
    section: &mut Section,
    walk_every: Duration,
    load: &mut dyn FnMut(&Path) -> Result<Vec<u8>>,
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
            order: order(section)?,
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

fn filter(file: File, section: &mut Section, load: &mut dyn FnMut(&Path) -> Result<Vec<u8>>) -> Result<FilterList> {
    let lines = section.list("filter")?;
    let from = section.read("filter_file", |t| {
        if t.is_empty() { Err("names no file; write it like \"exclude.txt\"".to_owned()) } else { Ok(t.to_owned()) }
    })?;
    let Some(from) = from else {
        return Ok(FilterList::Lines(values(lines).unwrap_or_default()));
    };
    if lines.is_some() {
        return Err(section
            .error(from.line, "filter_file", "there is a filter too, and the first line that matches decides")
            .remedy("keep one of the two"));
    }
    let path = file.name.parent().unwrap_or(Path::new("")).join(&from.value);
    let contents = load(&path).map_err(|e| {
        let known = e.remedy_text().is_some();
        let e = e.during(&format!("{}:{}: filter_file", file.name.display(), from.line)).as_kind(Kind::Operator);
        if known { e } else { e.remedy("write its path from the top, or relative to the config file") }
    })?;
    Ok(FilterList::File { path, contents })
}

fn tier(text: &str) -> std::result::Result<Tier, String> {
    match text {
        "cold" => Ok(Tier::Cold),
        "hot" => Ok(Tier::Hot),
        _ => Err(choice(text, &["cold", "hot"])),
    }
}

fn priority(text: &str) -> std::result::Result<Priority, String> {
    Priority::from_word(text).ok_or_else(|| choice(text, &Priority::ALL.map(Priority::word)))
}

/// Whether a glob can be read is found out where the filter's are.
fn order(section: &mut Section) -> Result<Vec<OrderRule>> {
    let Some(lines) = section.list("order")? else { return Ok(vec![]) };
    let rule = |line: Given<String>| {
        let (word, glob) = line.value.trim().split_once(char::is_whitespace).unwrap_or((line.value.trim(), ""));
        let priority = priority(word).map_err(|e| section.error(line.line, "order", e))?;
        match glob.trim() {
            "" => Err(section
                .error(line.line, "order", format!("'{word}' is said of nothing"))
                .remedy(format!("write a glob behind it: \"{word} **/*.doc*\""))),
            glob => Ok(OrderRule { priority, glob: glob.to_owned() }),
        }
    };
    lines.into_iter().map(rule).collect()
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
