//! A tree of files as a test sees it: what every path is, to be compared with what a vault gives back.

use panicroom::model::{Entry, FileTime, HardLink, Sha256, Shape, TreePath};
use panicroom::seal::sha256;
use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Everything about a path that must come back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Thing {
    pub shape: Shape,
    pub mode: u32,
    pub owner: (u32, u32),
    pub mtime: FileTime,
    pub size: u64,
    pub link: Option<HardLink>,
    /// Of the contents; None unless a file.
    pub content: Option<Sha256>,
}

pub type Tree = BTreeMap<TreePath, Thing>;

impl Thing {
    pub fn new(entry: &Entry, content: Option<Sha256>) -> Self {
        Self {
            shape: entry.shape.clone(),
            mode: entry.mode,
            owner: (entry.uid, entry.gid),
            mtime: entry.mtime,
            size: entry.size.0,
            link: entry.link,
            content,
        }
    }
}

/// The tree beneath `top`, itself included, as the system has it now. Files, folders and symlinks.
pub fn look(top: &Path) -> Tree {
    let mut tree = Tree::new();
    look_beneath(top, &mut tree);
    tree
}

fn look_beneath(at: &Path, tree: &mut Tree) {
    let meta = std::fs::symlink_metadata(at).unwrap();
    let is_file = meta.is_file();
    let shape = if meta.is_dir() {
        Shape::Dir
    } else if is_file {
        Shape::File
    } else {
        Shape::Symlink(std::fs::read_link(at).unwrap().as_os_str().as_bytes().to_vec())
    };
    let thing = Thing {
        shape,
        mode: meta.mode() & 0o7777,
        owner: (meta.uid(), meta.gid()),
        mtime: FileTime { secs: meta.mtime(), nanos: u32::try_from(meta.mtime_nsec()).unwrap() },
        size: if is_file { meta.len() } else { 0 },
        link: (is_file && meta.nlink() > 1).then(|| HardLink { dev: meta.dev(), ino: meta.ino() }),
        content: is_file.then(|| sha256(&std::fs::read(at).unwrap())),
    };
    tree.insert(TreePath::from_typed(at).unwrap(), thing);
    if meta.is_dir() {
        for entry in std::fs::read_dir(at).unwrap() {
            look_beneath(&entry.unwrap().path(), tree);
        }
    }
}

/// What differs, in words; empty when the trees are equal.
pub fn differences(found: &Tree, wanted: &Tree) -> Vec<String> {
    let paths: BTreeSet<_> = found.keys().chain(wanted.keys()).collect();
    let differing = paths.into_iter().filter(|p| found.get(p) != wanted.get(p));
    differing.map(|p| format!("{p}: {:?} instead of {:?}", found.get(p), wanted.get(p))).collect()
}
