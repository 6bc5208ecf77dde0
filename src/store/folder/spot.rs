//! A file that the disk cannot give back: a spot of bad sectors, or the whole disk? A spot is damage of that object: a
//! restore goes on around it, takes its chunks from elsewhere or names the files, and a look through the vault calls it
//! lost. A disk that gives nothing back is for its owner: plugged in again, all of it may be well.

use super::{FolderStore, forget};
use crate::error::{Error, Kind};
use crate::store::ObjectName;
use rustix::fs;
use rustix::io::Errno;
use std::os::unix::fs::FileExt;

/// So many other objects are asked whether the disk gives anything back at all.
const ASKED: usize = 3;

/// What a file system says of bytes or of a file's table that the disk does not give back, or gives back otherwise:
/// EIO of the disk, EBADMSG and EUCLEAN of checksums (ext4, XFS, UBIFS).
pub(super) fn is_spot(errno: Errno) -> bool {
    matches!(errno, Errno::IO | Errno::BADMSG | Errno::UCLEAN)
}

impl FolderStore {
    /// What an error at opening or reading this object means. `doing` reads on into "the vault's folder".
    pub(super) fn unread(&self, name: &ObjectName, doing: &str, errno: Errno) -> Error {
        let error = self.trouble().error(doing, errno);
        if is_spot(errno) && self.gives_back_others(name) {
            return error.as_kind(Kind::Damaged).remedy("the disk gives back others: it is failing, replace it");
        }
        error
    }

    fn gives_back_others(&self, but: &ObjectName) -> bool {
        let Ok(folder) = fs::Dir::read_from(&self.folder) else { return false };
        let names = folder.flatten().filter_map(|entry| entry.file_name().to_str().ok().and_then(ObjectName::new));
        names.filter(|name| name != but).take(ASKED).any(|name| {
            let Ok(Some((file, size))) = self.open_object(&name) else { return false };
            // Not what the cache still knows of a disk that is gone.
            forget(&file);
            size > 0 && file.read_exact_at(&mut [0], size - 1).is_ok()
        })
    }
}
