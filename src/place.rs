//! The way out: restored files, written beneath one target folder and nowhere else (promise 11).
//!
//! Every name is reached from the target's handle one component at a time, and a symbolic link where a folder
//! should be is an error of that path, never a way. A thing is made under a name of our own
//! (`.panicroom-part-<job>-<n>`), dressed through its own handle (owner, attributes, mode, time), and only then takes
//! its name in one step: whoever looks sees the old thing, the new thing, or nothing, never a half. Nothing is
//! ever deleted but our own parts.
//!
//! Dying anywhere leaves parts, which the next run of the same job takes up again ([`Target::resume`]) or
//! replaces, since it gives the same number `n` for the same thing.
//!
//! What could not be set (an owner without root, an attribute the file system has no room for) is a
//! [`Shortfall`] for the report, not an error. A full target is [`Kind::Operator`]; only what is wrong with the
//! one path is [`Kind::Path`].

mod dress;
mod node;
mod part;
pub mod scratch;
mod target;

pub use dress::Shortfall;
pub use part::Partial;
pub use target::{Standing, Target};

use crate::error::{Error, Kind};
use crate::model::TreePath;
use rustix::io::Errno;

/// What to do when the name is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clobber {
    /// Leave what is there.
    Keep,
    /// Take its place, unless it is a folder.
    Replace,
}

/// What became of a thing that was to be placed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Placed {
    Done(Vec<Shortfall>),
    Skipped(Skip),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Skip {
    /// The name was taken and is to be kept.
    Exists,
    /// The file system, or who we run as, cannot have such a thing (device nodes, links).
    Unsupported,
}

/// What the kernel said while a path of the target was worked on, sorted by whose matter it is.
fn place_error(doing: &str, path: &TreePath, errno: Errno) -> Error {
    let text = format!("{doing} {path} in the restore target");
    let error = |kind| Error::new(kind, text.clone()).because(std::io::Error::from(errno));
    match errno {
        Errno::NOSPC | Errno::DQUOT => {
            error(Kind::Operator).remedy("the restore target is full: make room, then resume the restore")
        }
        Errno::ROFS => error(Kind::Operator).remedy("the restore target is read-only: choose another"),
        Errno::IO | Errno::NODEV | Errno::NXIO | Errno::STALE => {
            error(Kind::Operator).remedy("the restore target's disk fails: check it, then resume the restore")
        }
        Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::INTR => error(Kind::Retry),
        Errno::LOOP | Errno::NOTDIR => error(Kind::Path)
            .remedy("something that is no folder is in the way; links are never followed: move it away"),
        Errno::ISDIR | Errno::NOTEMPTY => error(Kind::Path).remedy("a folder is in the way: move it away"),
        Errno::FBIG => error(Kind::Path).remedy("the target's file system has no files this large"),
        Errno::ACCESS | Errno::PERM => error(Kind::Path).remedy("restore as root, or to a folder you may write to"),
        _ => error(Kind::Path),
    }
}
