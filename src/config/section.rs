//! One section of the file: known keys are taken out of it one by one, each with its line; whatever is not
//! known is refused when the section is opened, with the nearest known key.

use super::KEYS;
use super::nearest::nearest;
use crate::error::{Error, Result};
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The file by name and text: turns places in the text into `name:line`.
#[derive(Clone, Copy)]
pub(super) struct File<'a> {
    pub(super) name: &'a Path,
    pub(super) text: &'a str,
}

impl File<'_> {
    pub(super) fn line(&self, span: &Range<usize>) -> usize {
        self.text.char_indices().take_while(|(at, _)| *at < span.start).filter(|(_, c)| *c == '\n').count() + 1
    }
    /// `what` may bring its own remedy after a semicolon.
    pub(super) fn error(&self, line: usize, what: impl std::fmt::Display) -> Error {
        Error::operator(format!("{}:{line}: {what}", self.name.display()))
    }
}

/// A value and the line it stands in.
#[derive(Clone, Debug)]
pub(super) struct Given<T> {
    pub(super) value: T,
    pub(super) line: usize,
}

pub(super) struct Section<'a> {
    file: File<'a>,
    /// As the file spells it, without brackets.
    name: &'static str,
    /// Of its heading, or of the whole file when the section is not in it.
    pub(super) line: usize,
    entries: BTreeMap<String, (usize, DeValue<'a>)>,
}

impl<'a> Section<'a> {
    pub(super) fn empty(file: File<'a>, name: &'static str) -> Self {
        Self { file, name, line: 1, entries: BTreeMap::new() }
    }

    pub(super) fn open(file: File<'a>, name: &'static str, value: Spanned<DeValue<'a>>) -> Result<Self> {
        let line = file.line(&value.span());
        let DeValue::Table(table) = value.into_inner() else {
            return Err(file.error(line, format!("{name} is a section")).remedy(format!("write [{name}]")));
        };
        let mut section = Self { file, name, line, entries: BTreeMap::new() };
        let known = keys_of(name);
        for (key, value) in in_order(table) {
            let at = file.line(&key.span());
            if !known.contains(&key.get_ref().as_ref()) {
                return Err(section.unknown(at, key.get_ref()));
            }
            section.entries.insert(key.into_inner().into_owned(), (at, value.into_inner()));
        }
        Ok(section)
    }

    fn unknown(&self, line: usize, key: &str) -> Error {
        let error = self.file.error(line, format!("unknown key '{}' in {}", key.escape_debug(), heading(self.name)));
        if let Some(near) = nearest(key, keys_of(self.name).iter().copied()) {
            return error.remedy(format!("did you mean '{near}'?"));
        }
        match KEYS.iter().find(|(_, keys)| keys.contains(&key)) {
            Some((other, _)) => error.remedy(format!("'{key}' belongs into {}", heading(other))),
            None => error.remedy(format!("known here: {}", keys_of(self.name).join(", "))),
        }
    }

    pub(super) fn error(&self, line: usize, key: &str, what: impl std::fmt::Display) -> Error {
        self.file.error(line, format!("{key}: {what}"))
    }

    fn take(&mut self, key: &'static str) -> Option<(usize, DeValue<'a>)> {
        debug_assert!(keys_of(self.name).contains(&key), "{key} is missing in KEYS");
        self.entries.remove(key)
    }

    fn wrong(&self, line: usize, key: &str, found: &DeValue, wanted: &str) -> Error {
        self.error(line, key, format!("{} is given where {wanted} is wanted", kind_of(found)))
    }

    /// A string, made into something by `read`, whose error text brings its own remedy.
    pub(super) fn read<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&str) -> std::result::Result<T, String>,
    ) -> Result<Option<Given<T>>> {
        match self.take(key) {
            None => Ok(None),
            Some((line, DeValue::String(text))) => {
                let value = read(&text).map_err(|e| self.error(line, key, e))?;
                Ok(Some(Given { value, line }))
            }
            Some((line, other)) => {
                Err(self.wrong(line, key, &other, "text").remedy(format!("write it in quotes: {key} = \"…\"")))
            }
        }
    }

    pub(super) fn truth(&mut self, key: &'static str) -> Result<Option<Given<bool>>> {
        match self.take(key) {
            None => Ok(None),
            Some((line, DeValue::Boolean(value))) => Ok(Some(Given { value, line })),
            Some((line, other)) => Err(self
                .wrong(line, key, &other, "true or false")
                .remedy(format!("write {key} = true or {key} = false, without quotes"))),
        }
    }

    pub(super) fn whole(&mut self, key: &'static str) -> Result<Option<Given<i64>>> {
        match self.take(key) {
            None => Ok(None),
            Some((line, DeValue::Integer(n))) => match i64::from_str_radix(n.as_str(), n.radix()) {
                Ok(value) => Ok(Some(Given { value, line })),
                Err(_) => Err(self.error(line, key, format!("{n} is out of range"))),
            },
            Some((line, other)) => Err(self
                .wrong(line, key, &other, "a whole number")
                .remedy(format!("write it without quotes: {key} = 3"))),
        }
    }

    /// A list of strings, each with its own line.
    pub(super) fn list(&mut self, key: &'static str) -> Result<Option<Vec<Given<String>>>> {
        let write = || format!("write {key} = [\"…\", \"…\"]");
        match self.take(key) {
            None => Ok(None),
            Some((_, DeValue::Array(array))) => {
                let mut out = Vec::with_capacity(array.len());
                for item in array {
                    let line = self.file.line(&item.span());
                    match item.into_inner() {
                        DeValue::String(text) => out.push(Given { value: text.into_owned(), line }),
                        other => return Err(self.wrong(line, key, &other, "text").remedy(write())),
                    }
                }
                Ok(Some(out))
            }
            Some((line, other)) => Err(self.wrong(line, key, &other, "a list").remedy(write())),
        }
    }

    /// Every known key was asked for.
    pub(super) fn close(self) {
        debug_assert!(self.entries.is_empty(), "keys in KEYS that nobody reads: {:?}", self.entries.keys());
    }
}

pub(super) fn keys_of(section: &str) -> &'static [&'static str] {
    KEYS.iter().find(|(name, _)| *name == section).map_or(&[], |(_, keys)| keys)
}

/// As people write it.
pub(super) fn heading(section: &str) -> String {
    if matches!(section, "root" | "vault") { format!("[[{section}]]") } else { format!("[{section}]") }
}

/// In the order of the text, so that the first mistake in the file is the one reported.
pub(super) fn in_order(
    table: DeTable<'_>,
) -> impl Iterator<Item = (Spanned<toml::de::DeString<'_>>, Spanned<DeValue<'_>>)> {
    let mut pairs: Vec<_> = table.into_iter().collect();
    pairs.sort_by_key(|(key, _)| key.span().start);
    pairs.into_iter()
}

fn kind_of(value: &DeValue) -> &'static str {
    match value {
        DeValue::String(_) => "text",
        DeValue::Integer(_) | DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a section",
    }
}
