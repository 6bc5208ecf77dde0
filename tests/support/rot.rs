//! What a failing disk does to a file: one bit, and the stamp as it was. No disk to be had does that to order, so the
//! stamp the catalog keeps is set to the one the file has after the flip.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

/// Flips a bit of `file`, of which nobody shall notice.
pub fn rot(catalog: &Path, file: &Path, at: u64) {
    let modified = fs::metadata(file).unwrap().modified().unwrap();
    let open = File::options().read(true).write(true).open(file).unwrap();
    let mut byte = [0];
    open.read_exact_at(&mut byte, at).unwrap();
    open.write_all_at(&[byte[0] ^ 0x10], at).unwrap();
    open.set_modified(modified).unwrap();
    drop(open);
    keep_stamp(catalog, file);
}

/// A catalog cannot tell a change from none once the stamp it keeps is that of the file.
pub fn keep_stamp(catalog: &Path, file: &Path) {
    let meta = fs::metadata(file).unwrap();
    let nanos = |secs: i64, nanos: i64| secs * 1_000_000_000 + nanos;
    let done = rusqlite::Connection::open(catalog)
        .unwrap()
        .execute(
            "UPDATE node SET mtime = ?, ctime = ? WHERE ino = ? AND size = ? AND shape = 0",
            (
                nanos(meta.mtime(), meta.mtime_nsec()),
                nanos(meta.ctime(), meta.ctime_nsec()),
                meta.ino().cast_signed(),
                meta.size().cast_signed(),
            ),
        )
        .unwrap();
    assert!(done > 0, "{} is in the catalog", file.display());
}
