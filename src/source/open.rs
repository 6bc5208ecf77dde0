//! Opening beneath a handle: no symbolic link, no `..`, no way out, however long the path is.

use crate::model::TreePath;
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat, openat2};
use rustix::io::Errno;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// How a folder is opened. Reading it does not touch its access time where we may ask for that.
pub(super) const FOLDER: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC).union(OFlags::NONBLOCK);

/// How a regular file is opened. Should it have become something else since it was looked at, then opening does
/// not wait for it, and does not make a terminal ours.
pub(super) const FILE: OFlags =
    OFlags::RDONLY.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC).union(OFlags::NONBLOCK).union(OFlags::NOCTTY);

/// A handle that names a thing without opening it; a mount that waits to be made is not woken.
pub(super) const NAMED: OFlags = OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Bytes of a path handed to the kernel at once; `PATH_MAX` is 4096 with its NUL.
const PIECE: usize = 3840;

/// How often a resolution disturbed by renames is tried again before going name by name.
const DISTURBED: usize = 8;

/// Opens one name of a folder.
pub(super) fn name(dir: BorrowedFd<'_>, name: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
    quietly(flags, |flags| openat(dir, name, flags | OFlags::NOFOLLOW, Mode::empty()))
}

/// Opens `rel` (names joined by `/`; empty for the folder itself) beneath `dir`.
pub(super) fn beneath(dir: BorrowedFd<'_>, rel: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
    if rel.is_empty() {
        return name(dir, b".", flags);
    }
    along(dir, rel, flags, resolve)
}

/// Opens a path an operator named: links are followed.
pub(super) fn operators_path(path: &TreePath, flags: OFlags) -> Result<OwnedFd, Errno> {
    if path.as_bytes().len() < PIECE {
        return quietly(flags, |flags| openat(CWD, path.as_bytes(), flags, Mode::empty()));
    }
    let top = openat(CWD, "/", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    along(top.as_fd(), &path.as_bytes()[1..], flags, |dir, piece, flags| {
        quietly(flags, |flags| openat(dir, piece, flags, Mode::empty()))
    })
}

/// Walks `rel` in pieces the kernel takes at once, each opened by `open`.
fn along(
    dir: BorrowedFd<'_>,
    mut rel: &[u8],
    flags: OFlags,
    open: impl Fn(BorrowedFd<'_>, &[u8], OFlags) -> Result<OwnedFd, Errno>,
) -> Result<OwnedFd, Errno> {
    let mut held: Option<OwnedFd> = None;
    loop {
        let at = held.as_ref().map_or(dir, AsFd::as_fd);
        if rel.len() <= PIECE {
            return open(at, rel, flags);
        }
        let cut = rel[..PIECE].iter().rposition(|b| *b == b'/').ok_or(Errno::NAMETOOLONG)?;
        let next = open(at, &rel[..cut], OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC)?;
        rel = &rel[cut + 1..];
        held = Some(next);
    }
}

/// One piece by `openat2`; name by name where the kernel (before 5.6) or a sandbox has none.
fn resolve(dir: BorrowedFd<'_>, piece: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
    let within = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    for _ in 0..DISTURBED {
        match quietly(flags, |flags| openat2(dir, piece, flags, Mode::empty(), within)) {
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(Errno::NOSYS | Errno::PERM) => break,
            other => return other,
        }
    }
    by_name(dir, piece, flags)
}

fn by_name(dir: BorrowedFd<'_>, piece: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
    let mut held: Option<OwnedFd> = None;
    let mut names = piece.split(|b| *b == b'/').peekable();
    while let Some(one) = names.next() {
        let at = held.as_ref().map_or(dir, AsFd::as_fd);
        if names.peek().is_none() {
            return name(at, one, flags);
        }
        held = Some(name(at, one, NAMED | OFlags::DIRECTORY)?);
    }
    Err(Errno::NOENT)
}

/// Without touching the access time; only owners and CAP_FOWNER may ask for that, others are refused it.
fn quietly(flags: OFlags, open: impl Fn(OFlags) -> Result<OwnedFd, Errno>) -> Result<OwnedFd, Errno> {
    if flags.contains(OFlags::PATH) {
        return open(flags);
    }
    match open(flags | OFlags::NOATIME) {
        Err(Errno::PERM) => open(flags),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::io::Read;

    fn read(fd: OwnedFd) -> String {
        let mut text = String::new();
        File::from(fd).read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn both_ways_of_opening_refuse_links_and_ways_out() {
        let tmp = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(tmp.path().join("top/a/b")).unwrap();
        std::fs::write(tmp.path().join("outside"), "out").unwrap();
        std::fs::write(tmp.path().join("top/a/b/f"), "in").unwrap();
        std::os::unix::fs::symlink("a", tmp.path().join("top/l")).unwrap();
        std::os::unix::fs::symlink("../outside", tmp.path().join("top/o")).unwrap();
        let top = File::open(tmp.path().join("top")).unwrap();
        for open in [resolve, by_name] {
            assert_eq!(read(open(top.as_fd(), b"a/b/f", FILE).unwrap()), "in");
            for bad in [&b"l/b/f"[..], b"o"] {
                let error = open(top.as_fd(), bad, FILE).unwrap_err();
                assert!(matches!(error, Errno::LOOP | Errno::NOTDIR), "{error}");
            }
        }
        assert!(resolve(top.as_fd(), b"../outside", FILE).is_err());
    }
}
