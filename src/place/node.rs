//! Everything that is neither file nor folder: links of both kinds, fifos and device nodes. Made under a part's
//! name, dressed, then named, so that a name is never half of what it was.

use super::part::{Taken, clear_part, take_name};
use super::target::{Target, stand};
use super::{Clobber, Placed, Skip, dress, place_error};
use crate::error::{Error, Result};
use crate::model::{Entry, Shape, TreePath};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, linkat, makedev, mknodat, openat, symlinkat};
use rustix::io::Errno;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

impl Target {
    /// Makes `path` another name of the restored file `existing`.
    pub fn link(&self, existing: &TreePath, path: &TreePath, part: u64, clobber: Clobber) -> Result<Placed> {
        let (from, from_name) = self.existing_spot(existing)?;
        let (dir, name) = self.spot(path)?;
        let first = stand(from.as_fd(), from_name).map_err(|e| place_error("link to", existing, e))?;
        if first.kind != FileType::RegularFile {
            return Err(Error::path(format!("link {path} to {existing} in the restore target"))
                .because("that is not a plain file"));
        }
        let temporary = self.part_name(part);
        clear_part(dir.as_fd(), &temporary).map_err(|e| place_error("clear the part of", path, e))?;
        match linkat(&*from, from_name, &*dir, &temporary[..], AtFlags::empty()) {
            Ok(()) => {}
            Err(Errno::PERM | Errno::OPNOTSUPP | Errno::MLINK | Errno::XDEV) => {
                return Ok(Placed::Skipped(Skip::Unsupported));
            }
            Err(e) => return Err(place_error("link", path, e)),
        }
        let placed = named(dir.as_fd(), &temporary, name, Vec::new(), clobber, path);
        // Renaming one name of a file over another of the same file does nothing at all: the part is still there.
        clear_part(dir.as_fd(), &temporary).map_err(|e| place_error("clear the part of", path, e))?;
        placed
    }

    /// Makes a symbolic link, fifo or device node of its entry. Its target's bytes are kept as they are; nothing
    /// ever follows it.
    pub fn node(&self, path: &TreePath, entry: &Entry, part: u64, clobber: Clobber) -> Result<Placed> {
        let (dir, name) = self.spot(path)?;
        let temporary = self.part_name(part);
        clear_part(dir.as_fd(), &temporary).map_err(|e| place_error("clear the part of", path, e))?;
        match make(dir.as_fd(), &temporary, &entry.shape) {
            Ok(()) => {}
            Err(Errno::PERM | Errno::OPNOTSUPP | Errno::INVAL) => return Ok(Placed::Skipped(Skip::Unsupported)),
            Err(e) => return Err(place_error("create", path, e)),
        }
        let short =
            dress_node(dir.as_fd(), &temporary, entry).map_err(|e| place_error("set the metadata of", path, e))?;
        named(dir.as_fd(), &temporary, name, short, clobber, path)
    }
}

fn make(dir: BorrowedFd<'_>, name: &[u8], shape: &Shape) -> rustix::io::Result<()> {
    let ours = Mode::RUSR | Mode::WUSR;
    match shape {
        Shape::Symlink(target) => symlinkat(&target[..], dir, name),
        Shape::Fifo => mknodat(dir, name, FileType::Fifo, ours, 0),
        Shape::CharDevice(d) => mknodat(dir, name, FileType::CharacterDevice, ours, makedev(d.major, d.minor)),
        Shape::BlockDevice(d) => mknodat(dir, name, FileType::BlockDevice, ours, makedev(d.major, d.minor)),
        Shape::File | Shape::Dir => Err(Errno::EXIST),
    }
}

/// By a handle of the very thing: should somebody who may write in the folder have put another in its place,
/// theirs is not given away.
fn dress_node(dir: BorrowedFd<'_>, name: &[u8], entry: &Entry) -> rustix::io::Result<Vec<super::Shortfall>> {
    let handle: OwnedFd = openat(dir, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
    let made = stand(handle.as_fd(), b"")?;
    let expected = match entry.shape {
        Shape::Symlink(_) => FileType::Symlink,
        Shape::Fifo => FileType::Fifo,
        Shape::CharDevice(_) => FileType::CharacterDevice,
        _ => FileType::BlockDevice,
    };
    if made.kind != expected || made.nlink != 1 {
        return Err(Errno::AGAIN);
    }
    match expected {
        FileType::Symlink => dress::link(handle.as_fd(), dir, name, entry),
        _ => dress::special(handle.as_fd(), entry),
    }
}

fn named(
    dir: BorrowedFd<'_>,
    temporary: &[u8],
    name: &[u8],
    short: Vec<super::Shortfall>,
    clobber: Clobber,
    path: &TreePath,
) -> Result<Placed> {
    match take_name(dir, temporary, name, clobber) {
        Ok(Taken::Yes) => Ok(Placed::Done(short)),
        Ok(Taken::Exists) => {
            clear_part(dir, temporary).map_err(|e| place_error("clear the part of", path, e))?;
            Ok(Placed::Skipped(Skip::Exists))
        }
        Err(e) => Err(place_error("name", path, e)),
    }
}
