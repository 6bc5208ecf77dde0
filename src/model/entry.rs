//! What a path is at one moment: its shape, its metadata, the stamp by which it is called unchanged, and the
//! pieces its content is made of.

use super::{Seq, Sha256, Size, TreePath};
use crate::clock::Wall;

/// A time of the file system: whole seconds since 1970 (negative before) and nanoseconds 0..1e9 after them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileTime {
    pub secs: i64,
    pub nanos: u32,
}

impl FileTime {
    /// Nanoseconds since 1970, clipped to what fits (years 1677 to 2262): good for comparing, not for keeping.
    pub fn as_nanos_clipped(self) -> i64 {
        self.secs.saturating_mul(1_000_000_000).saturating_add(i64::from(self.nanos))
    }
}

/// Major and minor number of a device node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Device {
    pub major: u32,
    pub minor: u32,
}

/// What kind of thing a path names. Sockets have no shape: they are counted and skipped.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Shape {
    File,
    Dir,
    /// The bytes of its target, as they are.
    Symlink(Vec<u8>),
    Fifo,
    CharDevice(Device),
    BlockDevice(Device),
}

/// Paths with the same pair are names of one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HardLink {
    pub dev: u64,
    pub ino: u64,
}

/// Everything about a path but its contents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub shape: Shape,
    /// Permission, set-id and sticky bits: `0o7777` at most.
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    /// Names as the machine knew them; None where the id had none.
    pub user: Option<Vec<u8>>,
    pub group: Option<Vec<u8>>,
    pub mtime: FileTime,
    /// Birth time, where the file system keeps one.
    pub birth: Option<FileTime>,
    /// Length of a file in bytes; 0 for every other shape.
    pub size: Size,
    /// Extended attributes by name, POSIX ACLs and file capabilities among them, sorted by name.
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    /// Set for a file with more than one name.
    pub link: Option<HardLink>,
}

impl Entry {
    /// Only this is known of it: owned by id 0, of 1970, empty, with one name.
    pub fn bare(shape: Shape, mode: u32) -> Self {
        Self {
            shape,
            mode,
            uid: 0,
            gid: 0,
            user: None,
            group: None,
            mtime: FileTime::default(),
            birth: None,
            size: Size(0),
            xattrs: vec![],
            link: None,
        }
    }
}

/// How a path is called unchanged: all four equal means not read again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Stamp {
    pub size: u64,
    /// Clipped nanoseconds, see [`FileTime::as_nanos_clipped`].
    pub mtime: i64,
    pub ctime: i64,
    pub ino: u64,
}

impl Stamp {
    /// A catalog made from the log knows sizes and no stamps.
    pub fn is_known(&self) -> bool {
        (self.mtime, self.ctime, self.ino) != (0, 0, 0)
    }
}

/// One stretch of a file's content, in file order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece {
    /// This many zero bytes that are not stored and are restored as a hole.
    Hole(u64),
    /// `count` chunks of this pack, beginning with its chunk number `first` (from 0).
    Run { pack: Sha256, first: u32, count: u32 },
}

/// The content of a file: pieces laid end to end.
pub type Content = Vec<Piece>;

/// One captured state of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    pub path: TreePath,
    pub seq: Seq,
    /// When it was captured; a label.
    pub captured: Wall,
    pub entry: Entry,
    pub content: Content,
    /// The file changed while it was read: what is here may be torn.
    pub torn: bool,
}
