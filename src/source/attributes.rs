//! Extended attributes: which are kept, and how they are read without opening what must not be opened.
//!
//! Kept: `user.*`, `trusted.*` (as far as we may see them), `security.capability` (file capabilities),
//! `security.NTACL` (Samba), `system.posix_acl_access` and `system.posix_acl_default`, `system.nfs4_acl_xdr`
//! (ZFS and NFSv4). Left out: labels a machine's own policy sets anew (`security.selinux`, `security.ima`,
//! `security.evm`, …) and views a file system computes (`system.*`, `btrfs.*`).

use rustix::fs::{fgetxattr, flistxattr, getxattr, lgetxattr, listxattr, llistxattr};
use rustix::io::Errno;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Names and values, sorted by name.
pub(super) type Attributes = Vec<(Vec<u8>, Vec<u8>)>;

/// Bytes of names and values kept of one path; more is refused, so that a record stays small.
pub(super) const MOST: usize = 1 << 20;

/// The kernel's own bounds for a list of names and for one value (`XATTR_LIST_MAX`, `XATTR_SIZE_MAX`).
const LARGEST: usize = 64 << 10;

pub(super) fn is_kept(name: &[u8]) -> bool {
    const EXACT: [&[u8]; 5] = [
        b"security.capability",
        b"security.NTACL",
        b"system.posix_acl_access",
        b"system.posix_acl_default",
        b"system.nfs4_acl_xdr",
    ];
    name.starts_with(b"user.") || name.starts_with(b"trusted.") || EXACT.contains(&name)
}

/// Attributes of an open file or folder, sorted by name; `E2BIG` when they are more than we keep.
pub(super) fn of_open(fd: BorrowedFd<'_>) -> Result<Attributes, Errno> {
    gather(|list| flistxattr(fd, list), |name, value| fgetxattr(fd, name, value))
}

/// Attributes of a name in a folder, which is not opened: reached through the folder's handle under `/proc`,
/// the last name never followed. Without `/proc` there are none.
pub(super) fn of_name(dir: BorrowedFd<'_>, name: &[u8]) -> Result<Attributes, Errno> {
    let mut path = format!("/proc/self/fd/{}/", dir.as_raw_fd()).into_bytes();
    path.extend_from_slice(name);
    match gather(|list| llistxattr(&path[..], list), |name, value| lgetxattr(&path[..], name, value)) {
        Err(Errno::NOENT) => Ok(Vec::new()),
        other => other,
    }
}

/// Attributes of what an `O_PATH` handle names (not a link).
pub(super) fn of_named(handle: BorrowedFd<'_>) -> Result<Attributes, Errno> {
    let path = format!("/proc/self/fd/{}", handle.as_raw_fd());
    match gather(|list| listxattr(&path, list), |name, value| getxattr(&path, name, value)) {
        Err(Errno::NOENT) => Ok(Vec::new()),
        other => other,
    }
}

fn gather(
    list: impl Fn(&mut [u8]) -> Result<usize, Errno>,
    get: impl Fn(&[u8], &mut [u8]) -> Result<usize, Errno>,
) -> Result<Attributes, Errno> {
    let mut small = [0; 1024];
    let mut large;
    let names = match list(&mut small) {
        Ok(0) | Err(Errno::NOTSUP | Errno::NOSYS) => return Ok(Vec::new()),
        Ok(len) => &small[..len],
        Err(Errno::RANGE) => {
            large = vec![0; LARGEST];
            let len = list(&mut large)?;
            &large[..len]
        }
        Err(e) => return Err(e),
    };
    let mut kept = Vec::new();
    let mut total = 0;
    let mut room = Vec::new();
    for name in names.split(|b| *b == 0).filter(|name| is_kept(name)) {
        room.resize(LARGEST, 0);
        let value = match get(name, &mut room) {
            Ok(len) => room[..len].to_vec(),
            // Gone since it was listed, or not for our eyes: as if it were not listed.
            Err(Errno::NODATA) => continue,
            Err(Errno::PERM | Errno::ACCESS) if name.starts_with(b"trusted.") => continue,
            Err(e) => return Err(e),
        };
        total += name.len() + value.len();
        if total > MOST {
            return Err(Errno::TOOBIG);
        }
        kept.push((name.to_vec(), value));
    }
    kept.sort();
    Ok(kept)
}
