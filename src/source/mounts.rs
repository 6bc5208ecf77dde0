//! Where a walk may cross from one file system into another: into local disks, and otherwise only where the
//! operator listed it.

use super::folder::Folder;
use super::look::{Form, Look};
use super::{open, path_error};
use crate::error::Result;
use crate::model::TreePath;
use rustix::fs::fstatfs;
use std::os::fd::AsFd;

/// File systems by how a walk treats them, with the names of `/proc/filesystems` and the numbers of `statfs(2)`
/// (from `linux/magic.h` and the file systems' own headers). FUSE has a name per program: `fuse.<program>`.
///
/// | treated as | which |
/// |---|---|
/// | local disk: entered | see [`LOCAL`] |
/// | made up by the kernel: never entered | see [`VIRTUAL`] |
/// | network, FUSE, overlay, anything unknown: entered only where listed | [`ELSEWHERE`] and all others |
type Row = (&'static str, u32);

const LOCAL: &[Row] = &[
    ("ext4", 0xef53),
    ("ext3", 0xef53),
    ("ext2", 0xef53),
    ("xfs", 0x5846_5342),
    ("btrfs", 0x9123_683e),
    ("zfs", 0x2fc1_2fc1),
    ("f2fs", 0xf2f5_2010),
    ("bcachefs", 0xca45_1a4e),
    ("jfs", 0x3153_464a),
    ("vfat", 0x4d44),
    ("msdos", 0x4d44),
    ("exfat", 0x2011_bab0),
    ("ntfs3", 0x7366_746e),
    ("ntfs", 0x5346_544e),
    ("tmpfs", 0x0102_1994),
    ("reiserfs", 0x5265_4973),
    ("hfsplus", 0x482b),
    ("udf", 0x1501_3346),
    ("iso9660", 0x9660),
    ("squashfs", 0x7371_7368),
    ("erofs", 0xe0f5_e1e2),
    ("nilfs2", 0x3434),
    ("ubifs", 0x2405_1905),
];

const VIRTUAL: &[Row] = &[
    ("proc", 0x9fa0),
    ("sysfs", 0x6265_6572),
    ("devtmpfs", 0),
    ("devpts", 0x1cd1),
    ("cgroup", 0x0027_e0eb),
    ("cgroup2", 0x6367_7270),
    ("debugfs", 0x6462_6720),
    ("tracefs", 0x7472_6163),
    ("securityfs", 0x7363_6673),
    ("pstore", 0x6165_676c),
    ("bpf", 0xcafe_4a11),
    ("configfs", 0x6265_6570),
    ("mqueue", 0x1980_0202),
    ("hugetlbfs", 0x9584_58f6),
    ("efivarfs", 0xde5e_81e4),
    ("binfmt_misc", 0x4249_4e4d),
    ("fusectl", 0x6573_5543),
    ("rpc_pipefs", 0x6759_6969),
    ("nsfs", 0x6e73_6673),
    ("selinuxfs", 0xf97c_ff8c),
    ("autofs", 0x0187),
];

const ELSEWHERE: &[Row] = &[
    ("nfs", 0x6969),
    ("cifs", 0xff53_4d42),
    ("smb2", 0xfe53_4d42),
    ("smbfs", 0x517b),
    ("9p", 0x0102_1997),
    ("ceph", 0x00c3_6400),
    ("afs", 0x5346_414f),
    ("coda", 0x7375_7245),
    ("vboxsf", 0x786f_4256),
    ("lustre", 0x0bd0_0bd0),
    ("ocfs2", 0x7461_636f),
    ("gfs2", 0x0116_1970),
    ("fuse", 0x6573_5546),
    ("overlay", 0x794c_7630),
    ("ecryptfs", 0xf15f),
];

/// Where a name of a folder leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ground {
    /// On the file system of its folder.
    Same,
    /// Onto another one (or another subvolume), to be entered.
    Entered { file_system: String },
    /// Onto one that is not entered, and why.
    Refused { file_system: String, why: &'static str },
}

/// Which file systems beneath a root a walk may enter.
#[derive(Clone, Debug, Default)]
pub struct Crossing {
    listed: Vec<String>,
}

impl Crossing {
    /// Local disks, and what is listed: a file system's name (`nfs4`, `fuse.mergerfs`, `overlay`) or the full
    /// path of a place where one is mounted. What the kernel makes up (`proc`, `sysfs`, …) stays out even so.
    pub fn listing(listed: impl IntoIterator<Item = String>) -> Self {
        Self { listed: listed.into_iter().collect() }
    }

    /// Judges a name of `folder` by its look. Costs nothing unless it leads off the folder's file system.
    pub fn judge(&self, folder: &Folder, name: &[u8], look: &Look) -> Result<Ground> {
        // Files of an overlay lie on several devices: only folders are told apart by theirs.
        let elsewhere = look.form == Form::Dir && look.dev != folder.dev();
        if look.automount {
            return Ok(Ground::Refused { file_system: "autofs".into(), why: "its mount has not been made" });
        }
        if !elsewhere && look.mount_root != Some(true) {
            return Ok(Ground::Same);
        }
        let path = folder.path_of(name)?;
        let there = open::name(folder.as_fd(), name, open::NAMED).map_err(|e| path_error("look at", &path, e))?;
        let here = Look::at(there.as_fd(), b"").map_err(|e| path_error("look at", &path, e))?;
        let told = here.mount.and_then(|id| named_by_mount_table(&std::fs::read("/proc/self/mountinfo").ok()?, id));
        let file_system = match told {
            Some(name) => name,
            None => {
                named_by_number(fstatfs(&there).map_err(|e| path_error("ask for the file system of", &path, e))?.f_type)
            }
        };
        Ok(self.decide(file_system, &path))
    }

    fn decide(&self, file_system: String, at: &TreePath) -> Ground {
        let is_in = |rows: &[Row]| rows.iter().any(|(name, _)| *name == file_system);
        let is_listed = || {
            let kin = file_system.split('.').next();
            self.listed.iter().any(|l| *l == file_system || Some(l.as_str()) == kin || l.as_bytes() == at.as_bytes())
        };
        if is_in(VIRTUAL) {
            return Ground::Refused { file_system, why: "the kernel makes it up" };
        }
        if is_in(LOCAL) || is_listed() {
            return Ground::Entered { file_system };
        }
        Ground::Refused { file_system, why: "it is not a local disk and not listed" }
    }
}

/// The type of mount `id`, from the text of `/proc/self/mountinfo` (proc(5)).
fn named_by_mount_table(table: &[u8], id: u64) -> Option<String> {
    let id = id.to_string();
    let line = table.split(|b| *b == b'\n').find(|line| line.split(|b| *b == b' ').next() == Some(id.as_bytes()))?;
    let mut fields = line.split(|b| *b == b' ').skip_while(|field| *field != b"-").skip(1);
    String::from_utf8(fields.next()?.to_vec()).ok()
}

/// The name for a number of `statfs(2)`; the number itself in hex when it is unknown.
fn named_by_number(number: rustix::fs::FsWord) -> String {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the numbers are 32 bits, some as negatives"
    )]
    let number = number as u32;
    let known = LOCAL.iter().chain(VIRTUAL).chain(ELSEWHERE).find(|(_, n)| *n == number && *n != 0);
    known.map_or_else(|| format!("{number:#x}"), |(name, _)| (*name).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_entered(crossing: &Crossing, file_system: &str) -> bool {
        let at = TreePath::from_bytes("/data/mnt").unwrap();
        matches!(crossing.decide(file_system.into(), &at), Ground::Entered { .. })
    }

    #[test]
    fn local_disks_are_entered_and_what_the_kernel_makes_up_never() {
        let unlisted = Crossing::default();
        let all = Crossing::listing(["/data/mnt".to_string(), "proc".to_string()]);
        for (disk, _) in LOCAL {
            assert!(is_entered(&unlisted, disk), "{disk}");
        }
        for (made_up, _) in VIRTUAL {
            assert!(!is_entered(&unlisted, made_up) && !is_entered(&all, made_up), "{made_up}");
        }
        for other in ["nfs4", "cifs", "fuse.sshfs", "fuseblk", "overlay", "0x1234"] {
            assert!(!is_entered(&unlisted, other) && is_entered(&all, other), "{other}");
        }
        let fuse = Crossing::listing(["fuse".to_string()]);
        assert!(is_entered(&fuse, "fuse.mergerfs") && !is_entered(&fuse, "nfs"));
    }

    #[test]
    fn the_mount_table_names_a_mount_even_with_optional_fields() {
        let table =
            b"21 1 8:1 / / rw - ext4 /dev/sda1 rw\n22 21 0:5 / /dev rw,nosuid shared:2 master:1 - devtmpfs dev rw\n";
        assert_eq!(named_by_mount_table(table, 22).as_deref(), Some("devtmpfs"));
        assert_eq!(named_by_mount_table(table, 2), None);
        assert_eq!(named_by_number(0x9fa0), "proc");
        assert_eq!(named_by_number(0x42), "0x42");
    }
}
