//! What one glance (`statx`) says about a name.

use crate::model::{Device, FileTime, HardLink, Stamp};
use rustix::fs::{AtFlags, FileType, Mode, Statx, StatxAttributes, StatxFlags, makedev, statx};
use rustix::io::Errno;
use std::os::fd::BorrowedFd;

/// What kind of thing a name is, sockets included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Form {
    File,
    Dir,
    Symlink,
    Fifo,
    CharDevice(Device),
    BlockDevice(Device),
    Socket,
}

/// What a glance without opening shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    pub form: Form,
    pub stamp: Stamp,
    /// `0o7777` at most.
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    pub dev: u64,
    /// Names of this inode.
    pub nlink: u32,
    pub mtime: FileTime,
    /// None where the file system keeps none.
    pub birth: Option<FileTime>,
    /// Bytes really kept on the disk; less than the size where there are holes (or compression).
    pub kept: u64,
    /// Whether something is mounted right here; None before Linux 5.8.
    pub mount_root: Option<bool>,
    /// Opening it would make a mount: it is left asleep.
    pub automount: bool,
    /// Which mount it lies on; None before Linux 5.8.
    pub mount: Option<u64>,
}

impl Look {
    /// A name of a folder, links not followed; an empty name is the handle itself.
    pub(super) fn at(dir: BorrowedFd<'_>, name: &[u8]) -> Result<Self, Errno> {
        let here = if name.is_empty() { AtFlags::EMPTY_PATH } else { AtFlags::SYMLINK_NOFOLLOW };
        let mask = StatxFlags::BASIC_STATS.difference(StatxFlags::ATIME) | StatxFlags::BTIME | StatxFlags::MNT_ID;
        Ok(Self::from_statx(&statx(dir, name, here | AtFlags::NO_AUTOMOUNT, mask)?))
    }

    fn from_statx(x: &Statx) -> Self {
        let time = |t: rustix::fs::StatxTimestamp| FileTime { secs: t.tv_sec, nanos: t.tv_nsec };
        let has = |flag| StatxFlags::from_bits_retain(x.stx_mask).contains(flag);
        let device = Device { major: x.stx_rdev_major, minor: x.stx_rdev_minor };
        let form = match FileType::from_raw_mode(x.stx_mode.into()) {
            FileType::Directory => Form::Dir,
            FileType::Symlink => Form::Symlink,
            FileType::Fifo => Form::Fifo,
            FileType::CharacterDevice => Form::CharDevice(device),
            FileType::BlockDevice => Form::BlockDevice(device),
            FileType::Socket => Form::Socket,
            FileType::RegularFile | FileType::Unknown => Form::File,
        };
        let mtime = time(x.stx_mtime);
        let mounts = StatxAttributes::MOUNT_ROOT;
        Self {
            form,
            stamp: Stamp {
                size: x.stx_size,
                mtime: mtime.as_nanos_clipped(),
                ctime: time(x.stx_ctime).as_nanos_clipped(),
                ino: x.stx_ino,
            },
            mode: Mode::from_raw_mode(x.stx_mode.into()).bits() & 0o7777,
            uid: x.stx_uid,
            gid: x.stx_gid,
            dev: makedev(x.stx_dev_major, x.stx_dev_minor),
            nlink: x.stx_nlink,
            mtime,
            birth: has(StatxFlags::BTIME).then(|| time(x.stx_btime)),
            kept: x.stx_blocks.saturating_mul(512),
            mount_root: x.stx_attributes_mask.contains(mounts).then(|| x.stx_attributes.contains(mounts)),
            automount: x.stx_attributes.contains(StatxAttributes::AUTOMOUNT),
            mount: has(StatxFlags::MNT_ID).then_some(x.stx_mnt_id),
        }
    }

    /// Whether both are looks at one thing, changed or not.
    pub fn is_same_thing(&self, other: &Look) -> bool {
        self.dev == other.dev && self.stamp.ino == other.stamp.ino && self.form == other.form
    }

    /// The group of names a file with more than one belongs to.
    pub fn link(&self) -> Option<HardLink> {
        (self.form == Form::File && self.nlink > 1).then_some(HardLink { dev: self.dev, ino: self.stamp.ino })
    }
}
