//! The way in: what the kernel says about a watched tree, read as a privileged user may safely read it.
//!
//! A [`Root`] is a watched folder held by its handle; everything beneath is reached from that handle, name by
//! name, and never through a symbolic link, so nobody who can write into the tree can point the daemon
//! elsewhere. What is opened is looked at again through its own handle. Special files are never opened, access
//! times are left alone where the kernel lets us, and paths may be longer than `PATH_MAX`.
//!
//! Nothing here is kept: dying anywhere leaves nothing behind.
//!
//! An error of [`Kind::Path`] is about the one path; an exhausted machine (handles, memory) is
//! [`Kind::Retry`]; a root that is not there is [`Kind::Operator`]. Something that is gone by the time it is
//! asked for is an error whose `io_kind()` is `NotFound`, or `None` where the signature says so.

mod attributes;
pub mod disk;
mod entry;
mod folder;
mod look;
mod mounts;
mod open;
mod owners;
mod read;
pub mod walk;
pub mod watch;

pub use entry::{Found, Subject};
pub use folder::{Folder, Listing, Name};
pub use look::{Form, Look};
pub use mounts::{Crossing, Ground};
pub use owners::Owners;
pub use read::{Finish, Reading, Step};

use crate::error::{Error, Kind, Result};
use crate::model::TreePath;
use rustix::fs::OFlags;
use rustix::io::Errno;
use std::sync::Arc;

/// A watched folder, open.
#[derive(Debug)]
pub struct Root {
    top: Folder,
}

impl Root {
    /// Opens the folder an operator named. Links on the way to it, and one it may itself be, are followed: they
    /// are the operator's own word. None beneath it ever is.
    pub fn open(path: &TreePath) -> Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let fd = open::operators_path(path, flags).map_err(|e| root_error(path, e))?;
        let top = Folder::held(fd, path.clone(), Arc::new(Owners::system())).map_err(|e| e.as_kind(Kind::Operator))?;
        Ok(Self { top })
    }
    pub fn path(&self) -> &TreePath {
        self.top.path()
    }
    /// The device the root lay on when it was opened; another one at the next start means something else is
    /// mounted there, or nothing.
    pub fn dev(&self) -> u64 {
        self.top.dev()
    }
    /// The watched folder itself.
    pub fn top(&self) -> &Folder {
        &self.top
    }
    /// A folder of this root by its full path; any symbolic link on the way is an error: like a file there, it is not a
    /// folder.
    pub fn folder(&self, path: &TreePath) -> Result<Folder> {
        let rel = path.beneath(self.path()).ok_or_else(|| {
            Error::path(format!("open folder {path}")).because(format!("it does not lie beneath {}", self.path()))
        })?;
        let fd = open::beneath(self.top.as_fd(), rel, open::FOLDER)
            .map_err(|e| path_error("open folder", path, if e == Errno::LOOP { Errno::NOTDIR } else { e }))?;
        Folder::held(fd, path.clone(), Arc::clone(self.top.owners()))
    }
}

fn root_error(path: &TreePath, errno: Errno) -> Error {
    let remedy = match errno {
        Errno::NOENT => "it is missing: mount or create it, or take it out of the configuration",
        Errno::NOTDIR => "it is not a folder: name the folder that holds it",
        Errno::ACCESS | Errno::PERM => READ_ALL,
        _ => "see that its disk is well and mounted",
    };
    let kind = if is_exhaustion(errno) { Kind::Retry } else { Kind::Operator };
    Error::new(kind, format!("open the watched folder {path}")).because(std::io::Error::from(errno)).remedy(remedy)
}

const READ_ALL: &str = "give the daemon CAP_DAC_READ_SEARCH, or exclude it";

/// Whether the machine ran out of something: no fault of the path.
fn is_exhaustion(errno: Errno) -> bool {
    matches!(errno, Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::INTR)
}

/// What the kernel said about one path, with what a person can do about it.
fn path_error(doing: &str, path: &TreePath, errno: Errno) -> Error {
    let error = Error::path(format!("{doing} {path}")).because(std::io::Error::from(errno));
    match errno {
        e if is_exhaustion(e) => error.as_kind(Kind::Retry),
        Errno::ACCESS | Errno::PERM => error.remedy(READ_ALL),
        Errno::IO => error.remedy("the disk cannot read it: check the disk, restore the file from a vault"),
        Errno::LOOP => error.remedy("a symbolic link lies where a file or folder was; it is looked at again"),
        // Opening does not wait: somebody (Samba, with kernel oplocks) has a lease, and was now asked to give it up.
        Errno::AGAIN => error.remedy("another program holds it exclusively for a moment; it is tried again"),
        _ => error,
    }
}
