//! The target folder and the folders beneath it, reached and made one component at a time.

use super::{Shortfall, dress, place_error};
use crate::error::{Doing, Error, Kind, Result};
use crate::model::{Entry, FileTime, Shape, Size, TreePath};
use rustix::fs::{
    AtFlags, CWD, FileType, FlockOperation, Mode, OFlags, StatxFlags, flock, fstatvfs, makedev, mkdirat, openat, statx,
    syncfs,
};
use rustix::io::Errno;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::{Arc, Mutex};

/// Folder handles kept open for the next name in the same place.
const KEPT_OPEN: usize = 32;

/// File systems beneath one target that are synced by [`Target::sync`]; a restore in place may meet several.
const DISKS: usize = 64;

/// Modes and rights while work goes on in a folder or at a file: ours alone until it is dressed.
const OURS_FOLDER: Mode = Mode::RWXU;

/// The folder everything is restored beneath. Paths are given as [`TreePath`]s that begin at the target.
#[derive(Debug)]
pub struct Target {
    top: Arc<OwnedFd>,
    /// Of the restore, in the names of its parts.
    mark: String,
    open: Mutex<Vec<(TreePath, Arc<OwnedFd>)>>,
    disks: Mutex<Vec<(u64, Arc<OwnedFd>)>>,
}

/// What stands at a path of the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    pub kind: FileType,
    pub size: Size,
    pub mtime: FileTime,
    pub dev: u64,
    pub ino: u64,
    pub nlink: u32,
}

impl Standing {
    /// Whether it has the kind, size and time of `entry`: as good as restored, unless somebody doubts it.
    pub fn is_like(&self, entry: &Entry) -> bool {
        let (kind, size) = match &entry.shape {
            Shape::File => (FileType::RegularFile, Some(entry.size)),
            Shape::Dir => (FileType::Directory, None),
            Shape::Symlink(target) => (FileType::Symlink, Some(Size(target.len() as u64))),
            Shape::Fifo => (FileType::Fifo, None),
            Shape::CharDevice(_) => (FileType::CharacterDevice, None),
            Shape::BlockDevice(_) => (FileType::BlockDevice, None),
        };
        self.kind == kind && self.mtime == entry.mtime && size.is_none_or(|s| s == self.size)
    }

    /// Whether it is a file with the time of `entry`, and no longer than it: what a power cut may make of one that was
    /// named before its contents were synced.
    pub fn is_left_of(&self, entry: &Entry) -> bool {
        self.kind == FileType::RegularFile && self.mtime == entry.mtime && self.size <= entry.size
    }
}

impl Target {
    /// Opens the folder, making it where it is missing. Links in the operator's own path are followed.
    pub fn open(path: &Path) -> Result<Self> {
        let doing = || format!("open the restore target {}", path.display());
        std::fs::create_dir_all(path).doing(Kind::Operator, doing)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let top = openat(CWD, path, flags, Mode::empty()).map_err(std::io::Error::from).doing(Kind::Operator, doing)?;
        let target = Self { top: Arc::new(top), mark: String::new(), open: Mutex::default(), disks: Mutex::default() };
        target.note_disk(&target.top).map_err(|e| place_error("look at", &TreePath::root(), e))?;
        Ok(target)
    }

    /// For a restore of this mark: its parts are told from those of any other, which may be at work in a folder beneath
    /// or above this one.
    #[must_use]
    pub fn marked(self, mark: &str) -> Self {
        Self { mark: format!("{mark}-"), ..self }
    }

    /// The name a thing has until it is whole; `part` is unique within the job.
    pub(super) fn part_name(&self, part: u64) -> Vec<u8> {
        format!(".panicroom-part-{}{part}", self.mark).into_bytes()
    }

    /// Makes this process the only one that restores into the folder, until the target is dropped or the process
    /// dies. Operator, naming the other where it can be found, while another has it. Where the file system knows no
    /// such locks (some network shares) nothing is held, and the log says so.
    pub fn claim(&self) -> Result<()> {
        match flock(&*self.top, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(()),
            Err(Errno::AGAIN) => {
                let who = self.holder().map_or(String::new(), |pid| format!(" (process {pid})"));
                Err(Error::operator(format!("claim the restore target: another restore into it is at work{who}"))
                    .remedy("wait until it has ended, or stop it; or restore into another folder"))
            }
            Err(e) => {
                let e = std::io::Error::from(e);
                tracing::warn!("the restore target cannot be locked: {e}; start no second restore into it");
                Ok(())
            }
        }
    }

    /// Who holds the lock, as the kernel lists it: device, inode and process.
    fn holder(&self) -> Option<u32> {
        let ino = stand(self.top.as_fd(), b"").ok()?.ino.to_string();
        let locks = std::fs::read_to_string("/proc/locks").ok()?;
        locks.lines().find_map(|line| {
            // 1: FLOCK  ADVISORY  WRITE 4711 08:01:131074 0 EOF
            let words: Vec<&str> = line.split_whitespace().collect();
            let [_, "FLOCK", _, _, pid, place, ..] = words[..] else { return None };
            (place.rsplit(':').next()? == ino).then(|| pid.parse().ok()).flatten()
        })
    }

    /// Bytes an ordinary user may still write here.
    pub fn free(&self) -> Result<Size> {
        let stat = fstatvfs(&*self.top).map_err(|e| place_error("ask for the room beneath", &TreePath::root(), e))?;
        Ok(Size(stat.f_bavail.saturating_mul(stat.f_frsize)))
    }

    /// Makes a folder and those above it; missing ones are ours alone (0700) until dressed.
    pub fn folder(&self, path: &TreePath) -> Result<()> {
        self.reach(path, Missing::Make).map(drop)
    }

    /// What stands at a path, links not followed; None where there is nothing.
    pub fn look(&self, path: &TreePath) -> Result<Option<Standing>> {
        let (Some(parent), Some(name)) = (path.parent(), path.name()) else {
            return stand(self.top.as_fd(), b"").map(Some).map_err(|e| place_error("look at", path, e));
        };
        let folder = match self.reach(&parent, Missing::Leave) {
            Err(e) if e.io_kind() == Some(std::io::ErrorKind::NotFound) => return Ok(None),
            other => other?,
        };
        match stand(folder.as_fd(), name) {
            Ok(standing) => Ok(Some(standing)),
            Err(Errno::NOENT) => Ok(None),
            Err(e) => Err(place_error("look at", path, e)),
        }
    }

    /// Gives a folder its owner, attributes, mode and time: the last thing done to it, after all it holds.
    pub fn dress_folder(&self, path: &TreePath, entry: &Entry) -> Result<Vec<Shortfall>> {
        let folder = self.reach(path, Missing::Make)?;
        dress::folder(folder.as_fd(), entry).map_err(|e| place_error("set the metadata of", path, e))
    }

    /// Everything placed so far is on the disk when this returns.
    pub fn sync(&self) -> Result<()> {
        let disks = self.disks.lock().expect("disks lock").clone();
        for (_, disk) in disks {
            syncfs(&*disk)
                .map_err(std::io::Error::from)
                .doing(Kind::Operator, || "write the restored files to the disk of the restore target".to_string())?;
        }
        Ok(())
    }

    /// The folder above a path, made where it is missing, and the path's last name.
    pub(super) fn spot<'p>(&self, path: &'p TreePath) -> Result<(Arc<OwnedFd>, &'p [u8])> {
        let (Some(parent), Some(name)) = (path.parent(), path.name()) else {
            return Err(Error::path("restore a file over the restore target itself"));
        };
        Ok((self.reach(&parent, Missing::Make)?, name))
    }

    pub(super) fn existing_spot<'p>(&self, path: &'p TreePath) -> Result<(Arc<OwnedFd>, &'p [u8])> {
        let (Some(parent), Some(name)) = (path.parent(), path.name()) else {
            return Err(Error::path("use the restore target itself as a file"));
        };
        Ok((self.reach(&parent, Missing::Leave)?, name))
    }

    fn reach(&self, path: &TreePath, missing: Missing) -> Result<Arc<OwnedFd>> {
        let (mut at, mut folder) = self.nearest_open(path);
        if at == *path {
            return Ok(folder);
        }
        let rest = path.beneath(&at).unwrap_or_default().to_vec();
        for name in rest.split(|b| *b == b'/') {
            at = at.join(name).ok_or_else(|| Error::path(format!("use {path} as a path")))?;
            folder = Arc::new(step(folder.as_fd(), name, missing).map_err(|e| place_error("open folder", &at, e))?);
        }
        self.note_disk(&folder).map_err(|e| place_error("look at", path, e))?;
        let mut open = self.open.lock().expect("folders lock");
        if open.len() >= KEPT_OPEN {
            open.remove(0);
        }
        open.push((at, Arc::clone(&folder)));
        Ok(folder)
    }

    /// The deepest folder on the way to `path` that is still held open.
    fn nearest_open(&self, path: &TreePath) -> (TreePath, Arc<OwnedFd>) {
        let open = self.open.lock().expect("folders lock");
        let held = open.iter().filter(|(at, _)| path.is_within(at)).max_by_key(|(at, _)| at.as_bytes().len());
        held.cloned().unwrap_or_else(|| (TreePath::root(), Arc::clone(&self.top)))
    }

    fn note_disk(&self, folder: &Arc<OwnedFd>) -> rustix::io::Result<()> {
        let dev = stand(folder.as_fd(), b"")?.dev;
        let mut disks = self.disks.lock().expect("disks lock");
        if disks.len() < DISKS && !disks.iter().any(|(known, _)| *known == dev) {
            disks.push((dev, Arc::clone(folder)));
        }
        Ok(())
    }
}

/// What to do about a folder that is not there.
#[derive(Clone, Copy, Debug)]
enum Missing {
    Make,
    Leave,
}

/// Opens one component; a link or anything else that is no folder is an error.
fn step(dir: BorrowedFd<'_>, name: &[u8], missing: Missing) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let open = || match openat(dir, name, flags, Mode::empty()) {
        // Enough to pass through.
        Err(Errno::ACCESS) => openat(dir, name, flags | OFlags::PATH, Mode::empty()),
        other => other,
    };
    match (open(), missing) {
        (Err(Errno::NOENT), Missing::Make) => match mkdirat(dir, name, OURS_FOLDER) {
            Ok(()) | Err(Errno::EXIST) => open(),
            Err(e) => Err(e),
        },
        (other, _) => other,
    }
}

pub(super) fn stand(dir: BorrowedFd<'_>, name: &[u8]) -> rustix::io::Result<Standing> {
    let flags = if name.is_empty() { AtFlags::EMPTY_PATH } else { AtFlags::SYMLINK_NOFOLLOW };
    let x = statx(dir, name, flags | AtFlags::NO_AUTOMOUNT, StatxFlags::BASIC_STATS)?;
    Ok(Standing {
        kind: FileType::from_raw_mode(x.stx_mode.into()),
        size: Size(x.stx_size),
        mtime: FileTime { secs: x.stx_mtime.tv_sec, nanos: x.stx_mtime.tv_nsec },
        dev: makedev(x.stx_dev_major, x.stx_dev_minor),
        ino: x.stx_ino,
        nlink: x.stx_nlink,
    })
}
