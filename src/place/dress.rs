//! Owner, attributes, mode and time, set through a handle of the very thing, in the order in which none undoes
//! another: owner (it clears set-id bits and capabilities), attributes (while we may still write), mode, time.

use crate::model::{Entry, Shape};
use rustix::fs::{
    AtFlags, CWD, Gid, Mode, Timespec, Timestamps, UTIME_OMIT, Uid, XattrFlags, chmodat, chownat, fchmod, fremovexattr,
    fsetxattr, futimens, lremovexattr, lsetxattr, utimensat,
};
use rustix::io::Errno;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Something about a restored path that is not as it was; counted in the report.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Shortfall {
    /// It belongs to whoever restores.
    Owner,
    /// Set-user and set-group bits were left out, since the owner is not the one they were given to.
    SetId,
    Mode,
    Time,
    /// The attribute of this name.
    Attribute(Vec<u8>),
}

const SET_ID: u32 = 0o6000;
const ACCESS_ACL: &[u8] = b"system.posix_acl_access";
const DEFAULT_ACL: &[u8] = b"system.posix_acl_default";

/// How the thing is reached.
enum Reach<'a> {
    /// Open for reading or writing.
    Open(BorrowedFd<'a>),
    /// Named by an `O_PATH` handle, as nothing may open it; the path is its place under `/proc/self/fd`.
    Named { handle: BorrowedFd<'a>, by_handle: String },
    /// A link, named in a folder; the path is that of the name, which is never followed.
    Link { handle: BorrowedFd<'a>, dir: BorrowedFd<'a>, name: &'a [u8] },
}

pub(super) fn file(fd: BorrowedFd<'_>, entry: &Entry) -> rustix::io::Result<Vec<Shortfall>> {
    dress(&Reach::Open(fd), entry)
}

pub(super) fn folder(fd: BorrowedFd<'_>, entry: &Entry) -> rustix::io::Result<Vec<Shortfall>> {
    dress(&Reach::Open(fd), entry)
}

/// A fifo, a device node or a file that is not to be opened, by an `O_PATH` handle of it.
pub(super) fn special(handle: BorrowedFd<'_>, entry: &Entry) -> rustix::io::Result<Vec<Shortfall>> {
    dress(&Reach::Named { handle, by_handle: format!("/proc/self/fd/{}", handle.as_raw_fd()) }, entry)
}

/// A symbolic link, by an `O_PATH` handle of it and its name.
pub(super) fn link(
    handle: BorrowedFd<'_>,
    dir: BorrowedFd<'_>,
    name: &[u8],
    entry: &Entry,
) -> rustix::io::Result<Vec<Shortfall>> {
    dress(&Reach::Link { handle, dir, name }, entry)
}

fn dress(thing: &Reach<'_>, entry: &Entry) -> rustix::io::Result<Vec<Shortfall>> {
    let mut short = Vec::new();
    let owned = match thing.own(Some(entry.uid), Some(entry.gid)) {
        Ok(()) => true,
        Err(e) => {
            fatal(e)?;
            short.push(Shortfall::Owner);
            // At least the group, where we are a member. What fails here is already told.
            let _ = thing.own(None, Some(entry.gid));
            false
        }
    };
    let mut mode = entry.mode & 0o7777;
    if !owned && mode & SET_ID != 0 {
        mode &= !SET_ID;
        short.push(Shortfall::SetId);
    }
    drop_inherited_acls(thing, entry);
    for (name, value) in &entry.xattrs {
        if let Err(e) = thing.attribute(name, value) {
            fatal(e)?;
            short.push(Shortfall::Attribute(name.clone()));
            if name == ACCESS_ACL {
                mode &= without_acl(value);
            }
        }
    }
    if !matches!(entry.shape, Shape::Symlink(_))
        && let Err(e) = thing.mode(mode)
    {
        fatal(e)?;
        short.push(Shortfall::Mode);
    }
    if let Err(e) = thing.time(entry) {
        fatal(e)?;
        short.push(Shortfall::Time);
    }
    Ok(short)
}

/// What is no shortfall of one path but an end of the work: a full or failing disk.
fn fatal(errno: Errno) -> rustix::io::Result<()> {
    match errno {
        Errno::DQUOT | Errno::IO | Errno::ROFS | Errno::NOMEM => Err(errno),
        // For attributes ENOSPC often means "larger than this file system keeps": a full disk shows itself on the
        // next write.
        _ => Ok(()),
    }
}

/// A new thing takes over its folder's default ACL; one that had none of its own must not keep it.
fn drop_inherited_acls(thing: &Reach<'_>, entry: &Entry) {
    let acls: &[&[u8]] = match entry.shape {
        Shape::Symlink(_) => &[],
        Shape::Dir => &[ACCESS_ACL, DEFAULT_ACL],
        _ => &[ACCESS_ACL],
    };
    for acl in acls {
        if !entry.xattrs.iter().any(|(name, _)| name == acl) {
            // Usually there is none.
            let _ = thing.drop_attribute(acl);
        }
    }
}

/// The mode bits that stay when an ACL cannot be set: with one, the group bits of the mode are its mask, and
/// may be wider than what the group itself was given. Layout: version (4 bytes), then entries of tag, rights
/// (2 bytes each) and id (4 bytes), little-endian; tag 4 is the owning group (`linux/posix_acl_xattr.h`).
fn without_acl(acl: &[u8]) -> u32 {
    let entries = acl.get(4..).unwrap_or_default().chunks_exact(8);
    let group = entries.map(|e| (u16::from_le_bytes([e[0], e[1]]), e[2])).find(|(tag, _)| *tag == 4);
    0o7707 | (u32::from(group.map_or(0, |(_, rights)| rights & 7)) << 3)
}

impl Reach<'_> {
    fn own(&self, uid: Option<u32>, gid: Option<u32>) -> rustix::io::Result<()> {
        // u32::MAX is "leave as it is" to the kernel.
        let (uid, gid) = (uid.filter(|id| *id != u32::MAX), gid.filter(|id| *id != u32::MAX));
        let fd = match self {
            Self::Open(fd) => fd,
            Self::Named { handle, .. } | Self::Link { handle, .. } => handle,
        };
        chownat(fd, "", uid.map(Uid::from_raw), gid.map(Gid::from_raw), AtFlags::EMPTY_PATH)
    }

    fn mode(&self, mode: u32) -> rustix::io::Result<()> {
        let mode = Mode::from_bits_retain(mode);
        match self {
            Self::Open(fd) => fchmod(fd, mode),
            Self::Named { by_handle, .. } => chmodat(CWD, by_handle, mode, AtFlags::empty()),
            Self::Link { .. } => Ok(()),
        }
    }

    fn time(&self, entry: &Entry) -> rustix::io::Result<()> {
        let times = Timestamps {
            last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
            last_modification: Timespec { tv_sec: entry.mtime.secs, tv_nsec: entry.mtime.nanos.into() },
        };
        match self {
            Self::Open(fd) => futimens(fd, &times),
            Self::Named { by_handle, .. } => utimensat(CWD, by_handle, &times, AtFlags::empty()),
            Self::Link { dir, name, .. } => utimensat(dir, *name, &times, AtFlags::SYMLINK_NOFOLLOW),
        }
    }

    fn attribute(&self, name: &[u8], value: &[u8]) -> rustix::io::Result<()> {
        match self {
            Self::Open(fd) => fsetxattr(fd, name, value, XattrFlags::empty()),
            Self::Named { by_handle, .. } => rustix::fs::setxattr(by_handle, name, value, XattrFlags::empty()),
            Self::Link { .. } => lsetxattr(self.link_path(), name, value, XattrFlags::empty()),
        }
    }

    fn drop_attribute(&self, name: &[u8]) -> rustix::io::Result<()> {
        match self {
            Self::Open(fd) => fremovexattr(fd, name),
            Self::Named { by_handle, .. } => rustix::fs::removexattr(by_handle, name),
            Self::Link { .. } => lremovexattr(self.link_path(), name),
        }
    }

    fn link_path(&self) -> Vec<u8> {
        let Self::Link { dir, name, .. } = self else { return Vec::new() };
        let mut path = format!("/proc/self/fd/{}/", dir.as_raw_fd()).into_bytes();
        path.extend_from_slice(name);
        path
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_acl_never_widens_what_the_group_may_do() {
        let entry = |tag: u16, rights: u16| [tag.to_le_bytes(), rights.to_le_bytes()].concat();
        let mut acl = 2u32.to_le_bytes().to_vec();
        for (tag, rights) in [(1, 7), (2, 7), (4, 4), (16, 7), (32, 0)] {
            acl.extend(entry(tag, rights));
            acl.extend(u32::MAX.to_le_bytes());
        }
        assert_eq!(0o770 & without_acl(&acl), 0o740);
        assert_eq!(0o770 & without_acl(b""), 0o700);
    }
}
