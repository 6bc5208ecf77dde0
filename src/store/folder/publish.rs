//! How a whole file gets its name, once and never over another.
//!
//! First `renameat2` without replacing (every local disk file system, exFAT and FAT included); where a file system
//! does not know that, a hard link (NFS); where it has neither (some FUSE drivers), a rename after a look, under a
//! lock file that every panicroom takes: then two of us never meet, and only a foreign program that makes the very
//! same name within that instant could be overwritten.

use crate::store::ObjectName;
use rustix::fd::{AsFd, BorrowedFd};
use rustix::fs::{self, AtFlags, FlockOperation, Mode, OFlags, RenameFlags};
use rustix::io::Errno;
use std::fs::File;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

/// Every temporary file of ours begins so.
const PREFIX: &str = ".tmp-panicroom-";
const LOCK: &str = ".tmp-panicroom-lock";

static COUNTER: AtomicU64 = AtomicU64::new(0);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Published {
    Done,
    /// The name exists; nothing was changed.
    Taken,
}

/// A file without a final name. Dropped, it goes away.
pub(super) struct Temporary<'a> {
    folder: BorrowedFd<'a>,
    name: Option<String>,
    pub(super) file: File,
}

impl<'a> Temporary<'a> {
    /// A new empty file, locked while it lives so that [`remove_leftovers`] knows it from what a death left.
    pub(super) fn new(folder: &'a impl AsFd) -> Result<Self, Errno> {
        let folder = folder.as_fd();
        loop {
            let name = next_name();
            let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC | OFlags::NOFOLLOW;
            match fs::openat(folder, &name, flags, Mode::from_raw_mode(0o600)) {
                Ok(fd) => {
                    let temporary = Self { folder, name: Some(name), file: File::from(fd) };
                    // Without locks the file is merely not protected from a second start.
                    let _ = fs::flock(&temporary.file, FlockOperation::NonBlockingLockExclusive);
                    return Ok(temporary);
                }
                Err(Errno::EXIST) => {}
                Err(e) => return Err(e),
            }
        }
    }

    /// A second name for a spooled file; None where the file system cannot do that.
    pub(super) fn linked(folder: &'a impl AsFd, spooled: &Path) -> Result<Option<Self>, Errno> {
        let folder = folder.as_fd();
        loop {
            let name = next_name();
            match fs::linkat(fs::CWD, spooled, folder, &name, AtFlags::empty()) {
                Ok(()) => {}
                Err(Errno::EXIST) => continue,
                Err(e @ (Errno::NOSPC | Errno::DQUOT | Errno::ROFS | Errno::IO)) => return Err(e),
                Err(_) => return Ok(None),
            }
            let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
            return match fs::openat(folder, &name, flags, Mode::empty()) {
                Ok(fd) => {
                    let _ = fs::flock(&fd, FlockOperation::NonBlockingLockExclusive);
                    Ok(Some(Self { folder, name: Some(name), file: File::from(fd) }))
                }
                Err(e) => {
                    let _ = fs::unlinkat(folder, &name, AtFlags::empty());
                    Err(e)
                }
            };
        }
    }

    /// Its name until it is published.
    pub(super) fn name(&self) -> &str {
        self.name.as_deref().expect("not published yet")
    }

    /// Gives it its final name. The caller syncs the folder after it.
    pub(super) fn publish(mut self, name: &ObjectName) -> Result<Published, Errno> {
        let from = self.name.clone().expect("not published yet");
        let way = match fs::renameat_with(self.folder, &from, self.folder, name.as_str(), RenameFlags::NOREPLACE) {
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => self.link(&from, name),
            Ok(()) => {
                self.name = None;
                Ok(())
            }
            Err(e) => Err(e),
        };
        match way {
            Ok(()) => Ok(Published::Done),
            Err(Errno::EXIST) => Ok(Published::Taken),
            Err(e) => Err(e),
        }
    }

    fn link(&mut self, from: &str, name: &ObjectName) -> Result<(), Errno> {
        match fs::linkat(self.folder, from, self.folder, name.as_str(), AtFlags::empty()) {
            Err(Errno::PERM | Errno::NOTSUP | Errno::NOSYS | Errno::INVAL | Errno::MLINK) => {
                self.look_and_rename(from, name)
            }
            other => other,
        }
    }

    fn look_and_rename(&mut self, from: &str, name: &ObjectName) -> Result<(), Errno> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let lock = fs::openat(self.folder, LOCK, flags, Mode::from_raw_mode(0o600))?;
        fs::flock(&lock, FlockOperation::LockExclusive)?;
        match fs::statat(self.folder, name.as_str(), AtFlags::SYMLINK_NOFOLLOW) {
            Ok(_) => Err(Errno::EXIST),
            Err(Errno::NOENT) => {
                fs::renameat(self.folder, from, self.folder, name.as_str())?;
                self.name = None;
                Ok(())
            }
            Err(e) => Err(e),
        }
    }
}

fn next_name() -> String {
    format!("{PREFIX}{}-{}", std::process::id(), COUNTER.fetch_add(1, Ordering::Relaxed))
}

impl Drop for Temporary<'_> {
    fn drop(&mut self) {
        if let Some(name) = &self.name {
            let _ = fs::unlinkat(self.folder, name, AtFlags::empty());
        }
    }
}

/// Removes temporary files of ours that nobody writes any more. What cannot be removed stays; it does no harm.
pub(super) fn remove_leftovers(folder: &impl AsFd) {
    let Ok(entries) = fs::Dir::read_from(folder) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        if !name.to_bytes().starts_with(PREFIX.as_bytes()) || name.to_bytes() == LOCK.as_bytes() {
            continue;
        }
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let Ok(file) = fs::openat(folder, name, flags, Mode::empty()) else { continue };
        if fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok() {
            match fs::unlinkat(folder, name, AtFlags::empty()) {
                Ok(()) => tracing::info!(?name, "removed a temporary file an earlier end left in the vault's folder"),
                Err(e) => tracing::warn!(?name, error = %e, "a left-over temporary file stays in the vault's folder"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::FileExt;

    #[test]
    fn every_way_of_naming_refuses_a_name_that_exists() {
        let dir = tempfile::tempdir().unwrap();
        let folder = File::open(dir.path()).unwrap();
        let name = ObjectName::new("data_1").unwrap();
        std::fs::write(dir.path().join("data_1"), b"old").unwrap();
        let new = || {
            let t = Temporary::new(&folder).unwrap();
            t.file.write_all_at(b"new", 0).unwrap();
            t
        };
        assert_eq!(new().publish(&name), Ok(Published::Taken));
        let mut linked = new();
        let from = linked.name.clone().unwrap();
        assert_eq!(linked.link(&from, &name), Err(Errno::EXIST));
        assert_eq!(linked.look_and_rename(&from, &name), Err(Errno::EXIST));
        assert_eq!(std::fs::read(dir.path().join("data_1")).unwrap(), b"old");
        let other = ObjectName::new("data_2").unwrap();
        assert_eq!(linked.look_and_rename(&from, &other), Ok(()));
        drop(linked);
        assert_eq!(std::fs::read(dir.path().join("data_2")).unwrap(), b"new");
    }

    #[test]
    fn a_start_removes_what_a_death_left_and_nothing_that_is_being_written() {
        let dir = tempfile::tempdir().unwrap();
        let folder = File::open(dir.path()).unwrap();
        std::fs::write(dir.path().join(".tmp-panicroom-1-7"), b"half").unwrap();
        std::fs::write(dir.path().join(".tmp-somebody"), b"theirs").unwrap();
        let busy = Temporary::new(&folder).unwrap();
        remove_leftovers(&folder);
        let mut names: Vec<_> =
            std::fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        assert_eq!(names, [busy.name.clone().unwrap(), ".tmp-somebody".to_owned()]);
    }
}
