//! Which paths of a root are chosen: the `+`/`-` glob list exactly as duplicity reads it, and behind it a
//! shipped list of folders that hold nothing of the user's.
//!
//! Pure: no file is opened here. The walk asks [`Filter::folder`] once per folder and [`Folder::decide`] once
//! per name; `explain` asks [`Filter::explain`]. Nothing here can die half-way.
//!
//! # The list
//! A line is `+ GLOB`, `- GLOB` or `GLOB` (which includes). Globs are absolute: `*` and `?` stay within a name,
//! `**` does not, `[a-z]` and `[!a-z]` are classes. `ignorecase:` before the glob ignores case. One pair of
//! quotes around the glob goes. Blank lines and lines that begin with `#` say nothing.
//!
//! - The first line that matches decides. What no line matches is included.
//! - A line matches what its glob names and everything beneath. A last `/` asks for a folder.
//! - A folder on the way to what a `+` line may include is walked, and is chosen if something in it is. A *file*
//!   that lies on such a way (with `+ /data/**.jpg`: any file in `/data`) is not chosen unless another line
//!   includes it: this is duplicity's, even where no line excludes.
//! - A glob that cannot match this root is put aside ([`Filter::aside`]); duplicity would refuse the list.
//! - A last line that includes is allowed; duplicity would call it redundant.

mod class;
mod defaults;
mod folder;
mod glob;
mod in_place;
mod letter;
mod line;
mod marker;
mod order;
mod step;

pub use defaults::{DEFAULT_EXCLUDES, DefaultExclude, DefaultExcludes};
pub use folder::Folder;
pub use in_place::InPlace;
pub use line::Line;
pub use marker::{CACHEDIR_SIGNATURE, CACHEDIR_TAG, CacheFolders, Markers, is_cachedir_tag};
pub use order::{Order, OrderReason};

use std::fmt;

use crate::error::Result;
use crate::model::TreePath;
use line::Saying;

/// The list of one root, ready to be asked.
#[derive(Debug)]
pub struct Filter {
    root: TreePath,
    list: Box<str>,
    lines: Vec<Line>,
    aside: Vec<Line>,
    defaults: DefaultExcludes,
}

/// Whether a line includes or excludes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    Plus,
    Minus,
}

/// What a path is, as far as a filter cares: a symlink to a folder is a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileOrDir {
    File,
    Dir,
}

/// What becomes of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Include,
    /// Not chosen; of a folder: neither walked nor watched.
    Exclude,
    /// Only of a folder: walked and watched, and chosen if something beneath it is.
    Descend,
}

/// A verdict and what led to it.
#[derive(Clone, Copy, Debug)]
pub struct Decision<'f> {
    pub verdict: Verdict,
    pub rule: Rule<'f>,
}

/// What decided about a path.
#[derive(Clone, Copy, Debug)]
pub enum Rule<'f> {
    /// This line of the list named so.
    Line { list: &'f str, line: &'f Line },
    /// The path is, or lies beneath, a folder of this shipped name.
    Default(&'static DefaultExclude),
    /// Nothing: what no line names is included, and so is the root itself.
    Unnamed,
}

impl Decision<'_> {
    const ROOT: Self = Self { verdict: Verdict::Include, rule: Rule::Unnamed };
}

impl Filter {
    /// Reads a list from the bytes of a file. `list` names it in errors and explanations.
    ///
    /// # Errors
    /// Operator, with name and line number: a line that can match no absolute path, `//` in a path, a range that
    /// ends before it begins.
    pub fn parse(list: &str, text: &[u8], root: &TreePath, defaults: DefaultExcludes) -> Result<Self> {
        let text = text.strip_prefix("\u{feff}".as_bytes()).unwrap_or(text);
        Self::of_lines(list, split_lines(text), root, defaults)
    }

    /// Reads a list whose lines are already apart, as in the config: line 1 is the first.
    ///
    /// # Errors
    /// As [`Filter::parse`].
    pub fn of_lines<'l>(
        list: &str,
        lines: impl IntoIterator<Item = &'l [u8]>,
        root: &TreePath,
        defaults: DefaultExcludes,
    ) -> Result<Self> {
        let mut filter = Self { root: root.clone(), list: list.into(), lines: vec![], aside: vec![], defaults };
        for (at, line) in lines.into_iter().enumerate() {
            let Some(line) = Line::read(list, at + 1, line)? else { continue };
            let to = if line.reaches(root.as_bytes()) { &mut filter.lines } else { &mut filter.aside };
            to.push(line.settle());
        }
        Ok(filter)
    }

    pub fn root(&self) -> &TreePath {
        &self.root
    }
    /// The lines that can match nothing at or beneath this root, and so say nothing.
    pub fn aside(&self) -> &[Line] {
        &self.aside
    }

    /// What becomes of a path at or beneath the root, as a walk from the root would find it: a folder above that
    /// is left out takes the path with it.
    pub fn explain(&self, path: &TreePath, what: FileOrDir) -> Decision<'_> {
        let mut folders = Vec::new();
        let mut at = path.parent();
        while let Some(folder) = at.filter(|f| f.is_within(&self.root)) {
            at = folder.parent();
            folders.push(folder);
        }
        let shut = folders.iter().rev().map(|f| self.decide(f, FileOrDir::Dir));
        shut.into_iter().find(|d| d.verdict == Verdict::Exclude).unwrap_or_else(|| self.decide(path, what))
    }

    /// duplicity's `Select`: the first match decides, unless a line before it wants a look beneath.
    fn weigh<'f>(
        &'f self,
        lines: impl Iterator<Item = (&'f Line, Saying)>,
        what: FileOrDir,
        default: impl FnOnce() -> Option<&'static DefaultExclude>,
    ) -> Decision<'f> {
        let rule = |line| Rule::Line { list: &self.list, line };
        let mut way = None;
        let mut left_out = None;
        for (line, says) in lines {
            match (says, line.sign()) {
                (Saying::Match, Sign::Plus) => return Decision { verdict: Verdict::Include, rule: rule(line) },
                (Saying::Match, Sign::Minus) => {
                    left_out = Some(rule(line));
                    break;
                }
                (Saying::Way, _) if way.is_none() => way = Some(rule(line)),
                _ => {}
            }
        }
        let left_out = left_out.or_else(|| default().map(Rule::Default));
        let (verdict, rule) = match (way, what) {
            (Some(way), FileOrDir::Dir) => (Verdict::Descend, way),
            (Some(way), FileOrDir::File) => (Verdict::Exclude, left_out.unwrap_or(way)),
            (None, _) => match left_out {
                Some(rule) => (Verdict::Exclude, rule),
                None => (Verdict::Include, Rule::Unnamed),
            },
        };
        Decision { verdict, rule }
    }

    fn default_of(&self, name: &[u8], what: FileOrDir) -> Option<&'static DefaultExclude> {
        match (self.defaults, what) {
            (DefaultExcludes::On, FileOrDir::Dir) => defaults::default_exclude(name),
            _ => None,
        }
    }

    /// The shipped exclude that `folder`, a path beneath the root that ends in `/`, is or lies in. The names of
    /// the root itself do not count: a root that lies in `.snapshots` was asked for.
    fn default_above(&self, folder: &[u8]) -> Option<&'static DefaultExclude> {
        let beneath = folder.strip_prefix(self.root.as_bytes())?;
        beneath.split(|b| *b == b'/').find_map(|name| self.default_of(name, FileOrDir::Dir))
    }
}

/// Lines end as in Python's text files: at a line feed, a carriage return, or both.
fn split_lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|b| *b == b'\n').flat_map(|line| {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        line.split(|b| *b == b'\r')
    })
}

/// For people, as `explain` shows it.
impl fmt::Display for Rule<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line { list, line } => write!(f, "{list}, line {}: {}", line.number(), line.text()),
            Self::Default(exclude) => write!(f, "left out by default: {} ({})", exclude.name, exclude.reason),
            Self::Unnamed => f.write_str("included: no line names it"),
        }
    }
}

#[cfg(test)]
mod tests;
