//! A file on its way: written under a name of our own beside its final one, then dressed and renamed. Parts are
//! sparse: what is never written is a hole.

use super::target::{Target, stand};
use super::{Clobber, Placed, Shortfall, Skip, dress, place_error};
use crate::error::Result;
use crate::model::{Entry, Size, TreePath};
use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, RenameFlags, ftruncate, linkat, openat, renameat, renameat_with, unlinkat,
};
use rustix::io::{Errno, pread, pwrite};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

/// A file being restored. Dropping it leaves the part where it is, to be resumed.
#[derive(Debug)]
pub struct Partial {
    dir: Arc<OwnedFd>,
    fd: OwnedFd,
    path: TreePath,
    /// Its name until it is whole.
    part: Vec<u8>,
}

/// A file of ours that nobody else reads or writes.
const OURS: Mode = Mode::RUSR.union(Mode::WUSR);

impl Target {
    /// Starts a file of this size anew; a part of the same number left by an earlier run goes.
    pub fn begin(&self, path: &TreePath, size: Size, part: u64) -> Result<Partial> {
        let (dir, _) = self.spot(path)?;
        let name = self.part_name(part);
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let create = || openat(&*dir, &name[..], flags, OURS);
        let fd = match create() {
            Err(Errno::EXIST) => {
                clear_part(dir.as_fd(), &name).map_err(|e| place_error("clear the part of", path, e))?;
                create()
            }
            other => other,
        }
        .map_err(|e| place_error("create", path, e))?;
        if size.0 > 0 {
            ftruncate(&fd, size.0).map_err(|e| place_error("create", path, e))?;
        }
        Ok(Partial { dir, fd, path: path.clone(), part: name })
    }

    /// Takes up the part an earlier run left; None where there is none, or none that is surely ours (a plain
    /// file of this size with one name and our own owner).
    pub fn resume(&self, path: &TreePath, size: Size, part: u64) -> Result<Option<Partial>> {
        let (dir, _) = self.spot(path)?;
        let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let name = self.part_name(part);
        let fd = match openat(&*dir, &name[..], flags, Mode::empty()) {
            Ok(fd) => fd,
            Err(Errno::NOENT | Errno::LOOP | Errno::ISDIR | Errno::NXIO) => return Ok(None),
            Err(e) => return Err(place_error("resume", path, e)),
        };
        let stat = rustix::fs::fstat(&fd).map_err(|e| place_error("resume", path, e))?;
        let standing = stand(fd.as_fd(), b"").map_err(|e| place_error("resume", path, e))?;
        let ours = standing.kind == FileType::RegularFile
            && standing.nlink == 1
            && standing.size == size
            && stat.st_uid == rustix::process::geteuid().as_raw();
        Ok(ours.then_some(Partial { dir, fd, path: path.clone(), part: name }))
    }

    /// Clears a part away where there is one.
    pub fn clear(&self, path: &TreePath, part: u64) -> Result<()> {
        let (dir, _) = self.spot(path)?;
        clear_part(dir.as_fd(), &self.part_name(part)).map_err(|e| place_error("clear the part of", path, e))
    }

    /// Gives a file that has its name its metadata once more: whoever named it may not have lived to tell what it fell
    /// short of.
    pub fn dress_file(&self, path: &TreePath, entry: &Entry) -> Result<Vec<Shortfall>> {
        let (dir, name) = self.existing_spot(path)?;
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let dressed = openat(&*dir, name, flags, Mode::empty()).and_then(|fd| {
            let is_file = stand(fd.as_fd(), b"")?.kind == FileType::RegularFile;
            if is_file { dress::special(fd.as_fd(), entry) } else { Err(Errno::AGAIN) }
        });
        dressed.map_err(|e| place_error("set the metadata of", path, e))
    }
}

impl Partial {
    /// Writes at an offset; any order, any thread.
    pub fn write_at(&self, mut offset: u64, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            match pwrite(&self.fd, bytes, offset) {
                Ok(0) => return Err(place_error("write", &self.path, Errno::IO)),
                Ok(n) => {
                    bytes = &bytes[n..];
                    offset += n as u64;
                }
                Err(Errno::INTR) => {}
                Err(e) => return Err(place_error("write", &self.path, e)),
            }
        }
        Ok(())
    }

    /// Reads back what was written, to check what an earlier run left; how many bytes of `into` were filled.
    pub fn read_at(&self, offset: u64, into: &mut [u8]) -> Result<usize> {
        let mut filled = 0;
        while filled < into.len() {
            match pread(&self.fd, &mut into[filled..], offset + filled as u64) {
                Ok(0) => break,
                Ok(n) => filled += n,
                Err(Errno::INTR) => {}
                Err(e) => return Err(place_error("read back", &self.path, e)),
            }
        }
        Ok(filled)
    }

    /// The file is whole: it gets its metadata and its name. Its contents are on the disk only after
    /// [`Target::sync`].
    pub fn finish(self, entry: &Entry, clobber: Clobber) -> Result<Placed> {
        let short =
            dress::file(self.fd.as_fd(), entry).map_err(|e| place_error("set the metadata of", &self.path, e))?;
        let name = self.path.name().unwrap_or_default();
        match take_name(self.dir.as_fd(), &self.part, name, clobber) {
            Ok(Taken::Yes) => Ok(Placed::Done(short)),
            Ok(Taken::Exists) => self.discard().map(|()| Placed::Skipped(Skip::Exists)),
            Err(e) => Err(place_error("name", &self.path, e)),
        }
    }

    /// Gives up: the part goes, nothing else does.
    pub fn discard(self) -> Result<()> {
        clear_part(self.dir.as_fd(), &self.part).map_err(|e| place_error("clear the part of", &self.path, e))
    }
}

pub(super) enum Taken {
    Yes,
    Exists,
}

/// Gives a part its final name, in one step.
pub(super) fn take_name(dir: BorrowedFd<'_>, part: &[u8], name: &[u8], clobber: Clobber) -> rustix::io::Result<Taken> {
    match clobber {
        Clobber::Replace => renameat(dir, part, dir, name).map(|()| Taken::Yes),
        Clobber::Keep => match renameat_with(dir, part, dir, name, RenameFlags::NOREPLACE) {
            Ok(()) => Ok(Taken::Yes),
            Err(Errno::EXIST) => Ok(Taken::Exists),
            // File systems without that kind of rename: a second name does as well, and where there are none
            // of those either, a look before.
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => match linkat(dir, part, dir, name, AtFlags::empty())
            {
                Ok(()) => unlinkat(dir, part, AtFlags::empty()).map(|()| Taken::Yes),
                Err(Errno::EXIST) => Ok(Taken::Exists),
                Err(Errno::PERM | Errno::OPNOTSUPP | Errno::NOSYS) => match stand(dir, name) {
                    Ok(_) => Ok(Taken::Exists),
                    Err(Errno::NOENT) => renameat(dir, part, dir, name).map(|()| Taken::Yes),
                    Err(e) => Err(e),
                },
                Err(e) => Err(e),
            },
            Err(e) => Err(e),
        },
    }
}

/// Removes a part of ours if it is there.
pub(super) fn clear_part(dir: BorrowedFd<'_>, name: &[u8]) -> rustix::io::Result<()> {
    match unlinkat(dir, name, AtFlags::empty()) {
        Err(Errno::NOENT) => Ok(()),
        other => other,
    }
}
