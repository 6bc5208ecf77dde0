//! A folder about to be read: what the list says of it is worked out once, so that each name in it costs little.

use super::line::{Above, Line, Saying, folder_of};
use super::{Decision, DefaultExclude, FileOrDir, Filter};
use crate::model::TreePath;

/// The filter as seen from one folder at or beneath the root. Made by [`Filter::folder`].
#[derive(Debug)]
pub struct Folder<'f> {
    filter: &'f Filter,
    /// The folder's path with a last `/`, and room for a name after it.
    path: Vec<u8>,
    before_name: usize,
    /// The lines that can decide about a name in this folder, in order.
    lines: Vec<(&'f Line, Above)>,
    /// The shipped exclude this folder lies in.
    default: Option<&'static DefaultExclude>,
}

impl<'f> Folder<'f> {
    pub(super) fn new(filter: &'f Filter, folder: &[u8]) -> Self {
        let mut path = folder.to_vec();
        if path.last() != Some(&b'/') {
            path.push(b'/');
        }
        let mut lines = Vec::new();
        for line in &filter.lines {
            let above = line.above(&path);
            if line.is_silent_in(&path, above) {
                continue;
            }
            lines.push((line, above));
            if line.settles(above) {
                break;
            }
        }
        let default = filter.default_above(&path);
        Self { filter, before_name: path.len(), path, lines, default }
    }

    /// What becomes of `name` in this folder: one name, without a `/`. The same as [`Filter::decide`] of the
    /// whole path.
    pub fn decide(&mut self, name: &[u8], what: FileOrDir) -> Decision<'f> {
        self.path.truncate(self.before_name);
        self.path.extend_from_slice(name);
        let path = self.path.as_slice();
        let lines = self.lines.iter().map(|(line, above)| {
            let says = if line.settles(*above) { Saying::Match } else { line.says(path, what, || *above) };
            (*line, says)
        });
        self.filter.weigh(lines, what, || self.default.or_else(|| self.filter.default_of(name, what)))
    }
}

impl Filter {
    /// For a walk: asks once about `folder`, then cheaply about every name in it.
    pub fn folder(&self, folder: &TreePath) -> Folder<'_> {
        Folder::new(self, folder.as_bytes())
    }

    /// What becomes of one path, supposing that the folder it lies in is walked. See [`Filter::explain`] where
    /// that is not known, [`Filter::folder`] where many paths of one folder are asked about.
    pub fn decide(&self, path: &TreePath, what: FileOrDir) -> Decision<'_> {
        if *path == self.root {
            return Decision::ROOT;
        }
        let path = path.as_bytes();
        let folder = folder_of(path);
        let lines = self.lines.iter().map(|line| (line, line.says(path, what, || line.above(folder))));
        let name = &path[folder.len()..];
        self.weigh(lines, what, || self.default_above(folder).or_else(|| self.default_of(name, what)))
    }
}
