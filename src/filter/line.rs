//! One line of a filter list: how duplicity reads it, and what it says about a path.

use super::class::BackwardRange;
use super::glob::Glob;
use super::letter::{Case, Letter, casefold, letters};
use super::{FileOrDir, Sign};
use crate::error::{Error, Result};

/// A line that may decide something.
#[derive(Debug)]
pub struct Line {
    number: usize,
    text: Box<str>,
    sign: Sign,
    glob: Glob,
    /// The pattern ended in `/`: what it names must be a folder.
    folders_only: bool,
    /// Of a `+` line: the folders on the way to what it may include.
    ways: Box<[Glob]>,
}

/// What one line says about one path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Saying {
    /// The sign of the line holds.
    Match,
    /// Something beneath may be included (duplicity's "scan").
    Way,
    Nothing,
}

/// What the folder above a path already settles for one line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Above {
    Covered,
    Open,
}

impl Line {
    /// Counted from 1.
    pub fn number(&self) -> usize {
        self.number
    }
    /// As it stands in the list, with what is not UTF-8 shown as `�`.
    pub fn text(&self) -> &str {
        &self.text
    }
    pub fn sign(&self) -> Sign {
        self.sign
    }

    /// None for a blank line or a comment. `list` names the list in errors.
    pub(super) fn read(list: &str, number: usize, line: &[u8]) -> Result<Option<Self>> {
        let whole = letters(line);
        let trimmed = trim(&whole);
        if trimmed.is_empty() || starts(trimmed, "#") {
            return Ok(None);
        }
        let (sign, typed) = match (starts(trimmed, "+ "), starts(trimmed, "- ")) {
            (true, _) => (Sign::Plus, &trimmed[2..]),
            (_, true) => (Sign::Minus, &trimmed[2..]),
            _ => (Sign::Plus, trimmed),
        };
        let typed = unquoted(typed);
        if typed.is_empty() {
            return Ok(None);
        }
        let text = String::from_utf8_lossy(line).trim().into();
        Self::compile(number, text, sign, typed).map(Some).map_err(|fault| fault.named(list, number, line))
    }

    /// A glob without a sign, as a rule of the order has it; `text` is the whole rule.
    pub(super) fn of_glob(list: &str, number: usize, text: &str, glob: &str) -> Result<Self> {
        Self::compile(number, text.into(), Sign::Plus, &letters(glob.as_bytes()))
            .map_err(|fault| fault.named(list, number, text.as_bytes()))
    }

    fn compile(number: usize, text: Box<str>, sign: Sign, typed: &[Letter]) -> std::result::Result<Self, Fault> {
        let (pattern, case) = match after_ignorecase(typed) {
            Some(rest) => (casefold(rest), Case::Ignored),
            None => (typed.to_vec(), Case::Kept),
        };
        let slash = Letter::from('/');
        let (pattern, folders_only) = match pattern.as_slice() {
            [] => return Err(Fault::Empty),
            [only] if *only == slash => (of("/**"), false),
            [names @ .., last] if *last == slash => (names.to_vec(), true),
            _ => (pattern, false),
        };
        let glob = Glob::compile(&pattern, case)?;
        let ways = ways(&pattern, case)?;
        if !glob.can_begin_a_path() {
            return Err(Fault::Relative);
        }
        Ok(Self { number, text, sign, glob, folders_only, ways })
    }

    /// Whether the line can choose anything at or beneath this folder; duplicity refuses a list where one cannot.
    pub(super) fn reaches(&self, root: &[u8]) -> bool {
        self.glob.is(root) || self.glob.covers(folder_of(root)) || self.is_way(root)
    }

    /// A `-` line has no ways: leaving out needs no look beneath. Call after [`Self::reaches`].
    pub(super) fn settle(mut self) -> Self {
        if self.sign == Sign::Minus {
            self.ways = Box::default();
        }
        self
    }

    /// `folder` ends in `/`.
    pub(super) fn above(&self, folder: &[u8]) -> Above {
        if self.glob.covers(folder) { Above::Covered } else { Above::Open }
    }

    /// Whether the line says the same of everything beneath the folder it covers.
    pub(super) fn settles(&self, above: Above) -> bool {
        above == Above::Covered && (!self.folders_only || self.glob.names_nothing_it_covers())
    }

    /// Whether the line says nothing of anything in `folder`, which ends in `/`.
    pub(super) fn is_silent_in(&self, folder: &[u8], above: Above) -> bool {
        let names_nothing = above == Above::Open && self.ways.is_empty() && self.glob.names_only_what_it_covers();
        names_nothing || self.glob.is_elsewhere(folder)
    }

    /// `above` is asked only where it matters.
    pub(super) fn says(&self, path: &[u8], what: FileOrDir, above: impl FnOnce() -> Above) -> Saying {
        if self.glob.is(path) {
            // duplicity: a file named by `x/` is no match, not even where it lies within another `x`, and no way.
            if self.folders_only && what == FileOrDir::File { Saying::Nothing } else { Saying::Match }
        } else if above() == Above::Covered {
            Saying::Match
        } else if self.is_way(path) {
            Saying::Way
        } else {
            Saying::Nothing
        }
    }

    fn is_way(&self, path: &[u8]) -> bool {
        self.ways.iter().any(|way| way.is(path))
    }
}

/// A path up to its last `/`, that included.
pub(super) fn folder_of(path: &[u8]) -> &[u8] {
    let len = path.iter().rposition(|b| *b == b'/').map_or(0, |at| at + 1);
    &path[..len]
}

/// The pattern cut after each of its names, up to its first `**`: what leads to a match.
fn ways(pattern: &[Letter], case: Case) -> std::result::Result<Box<[Glob]>, Fault> {
    let star = Letter::from('*');
    let slash = Letter::from('/');
    let end = pattern.windows(2).position(|two| two == [star, star]).map_or(pattern.len(), |at| at + 2);
    let pattern = &pattern[..end];
    let slashes: Vec<usize> = (0..end).filter(|at| pattern[*at] == slash).collect();
    if slashes.windows(2).any(|two| two[1] == two[0] + 1) {
        return Err(Fault::DoubleSlash);
    }
    let cuts = slashes.into_iter().map(|at| at.max(1)).chain([end]);
    Ok(cuts.map(|cut| Glob::compile(&pattern[..cut], case)).collect::<std::result::Result<_, _>>()?)
}

/// What is wrong with a line.
#[derive(Debug, PartialEq, Eq)]
enum Fault {
    Empty,
    Relative,
    DoubleSlash,
    BackwardRange,
}

impl From<BackwardRange> for Fault {
    fn from(_: BackwardRange) -> Self {
        Self::BackwardRange
    }
}

impl Fault {
    fn named(&self, list: &str, number: usize, line: &[u8]) -> Error {
        let (what, remedy) = match self {
            Self::Empty => ("there is no path after `ignorecase:`", "write the path right after the colon"),
            Self::Relative => (
                "no absolute path can match",
                "begin it with `/`, or with `**/` for any folder, right after `+ ` or `- `",
            ),
            Self::DoubleSlash => ("two slashes stand side by side", "write one"),
            Self::BackwardRange => ("a range in [ ] ends before it begins", "write the lower end first, as in [a-z]"),
        };
        let line = String::from_utf8_lossy(line);
        Error::operator(format!("read filter {list}, line {number}, `{}`: {what}", line.trim())).remedy(remedy)
    }
}

fn of(text: &str) -> Vec<Letter> {
    letters(text.as_bytes())
}

fn starts(text: &[Letter], with: &str) -> bool {
    text.starts_with(&of(with))
}

/// What follows `ignorecase:`, itself in any case.
fn after_ignorecase(typed: &[Letter]) -> Option<&[Letter]> {
    const PREFIX: &str = "ignorecase:";
    let (prefix, rest) = typed.split_at_checked(PREFIX.len())?;
    let same = |(a, b): (&Letter, u8)| u8::try_from(*a).is_ok_and(|a| a.eq_ignore_ascii_case(&b));
    prefix.iter().zip(PREFIX.bytes()).all(same).then_some(rest)
}

/// Python's `str.strip`: Unicode's white space, and the four separators of ASCII.
fn trim(mut text: &[Letter]) -> &[Letter] {
    let blank = |letter: &Letter| {
        char::from_u32(*letter).is_some_and(|c| c.is_whitespace() || matches!(c, '\u{1c}'..='\u{1f}'))
    };
    while let [first, rest @ ..] = text
        && blank(first)
    {
        text = rest;
    }
    while let [rest @ .., last] = text
        && blank(last)
    {
        text = rest;
    }
    text
}

/// One pair of quotes around the whole goes; a lone quote is a pair to duplicity.
fn unquoted(text: &[Letter]) -> &[Letter] {
    let quote = |letter: &Letter| *letter == Letter::from('\'') || *letter == Letter::from('"');
    match text {
        [only] if quote(only) => &[],
        [first, inner @ .., last] if first == last && quote(first) => inner,
        _ => text,
    }
}
