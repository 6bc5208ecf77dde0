//! The spool: sealed objects not yet in the vault, one synced file each, named as they will be named there.
//!
//! Dying while a file is written leaves a `.tmp-` file, removed at the next start. Dying after its rename and before
//! the catalog's transaction leaves a file no row names: removed at the next start too. A file whose sync failed is
//! discarded: what the kernel says about it afterwards proves nothing.

use crate::error::{Error, Kind, Result};
use crate::model::Sha256;
use crate::seal::Sha256Stream;
use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

const TEMPORARY: &str = ".tmp-";

#[derive(Debug)]
pub struct Spool {
    dir: PathBuf,
    next: AtomicU64,
}

fn trouble(doing: String, e: std::io::Error) -> Error {
    let full = matches!(e.kind(), std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded);
    let refused = matches!(e.kind(), std::io::ErrorKind::ReadOnlyFilesystem | std::io::ErrorKind::PermissionDenied);
    let error = Error::new(if full || refused { Kind::Operator } else { Kind::Retry }, doing).because(e);
    match (full, refused) {
        (true, _) => error.remedy("free space on the disk that holds the state folder; nothing is lost"),
        (_, true) => error.remedy("make the state folder writable for the daemon"),
        _ => error,
    }
}

impl Spool {
    /// Makes the folder (0700) where it is missing and removes what a death left half written.
    pub fn open(dir: &Path) -> Result<Self> {
        let doing = || format!("open the spool {}", dir.display());
        if !dir.is_dir() {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(|e| trouble(doing(), e))?;
        }
        for entry in fs::read_dir(dir).map_err(|e| trouble(doing(), e))? {
            let entry = entry.map_err(|e| trouble(doing(), e))?;
            if entry.file_name().to_string_lossy().starts_with(TEMPORARY) {
                fs::remove_file(entry.path()).map_err(|e| trouble(doing(), e))?;
            }
        }
        Ok(Self { dir: dir.to_owned(), next: AtomicU64::new(0) })
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// A new file, to be written from front to end.
    pub fn begin(&self) -> Result<Writing<'_>> {
        let path = self.dir.join(format!("{TEMPORARY}{}", self.next.fetch_add(1, Ordering::Relaxed)));
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .map_err(|e| trouble(format!("create {}", path.display()), e))?;
        Ok(Writing { spool: self, file, path, hash: Sha256Stream::new(), size: 0, kept: false })
    }

    /// Removes every file no row names. How many there were.
    pub fn sweep(&self, named: &BTreeSet<String>) -> Result<u64> {
        let mut removed = 0;
        for name in self.names()? {
            if !named.contains(&name) {
                self.remove(&name)?;
                removed += 1;
            }
        }
        Ok(removed)
    }

    fn names(&self) -> Result<Vec<String>> {
        let doing = || format!("list the spool {}", self.dir.display());
        let mut out = vec![];
        for entry in fs::read_dir(&self.dir).map_err(|e| trouble(doing(), e))? {
            out.push(entry.map_err(|e| trouble(doing(), e))?.file_name().to_string_lossy().into_owned());
        }
        Ok(out)
    }

    /// Gone already is gone.
    pub fn remove(&self, name: &str) -> Result<()> {
        match fs::remove_file(self.path(name)) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                Err(trouble(format!("remove {name} from the spool"), e))
            }
            _ => Ok(()),
        }
    }

    /// Whether the file is there with this size: what a start can check of every row at no cost.
    pub fn holds(&self, name: &str, size: u64) -> bool {
        fs::metadata(self.path(name)).is_ok_and(|m| m.is_file() && m.len() == size)
    }

    /// Reads the whole file and proves it. Damaged: missing, cut or rotten.
    pub fn prove(&self, name: &str, hash: Sha256) -> Result<()> {
        use std::io::Read;
        let doing = || format!("read {name} in the spool");
        let mut file = match File::open(self.path(name)) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Err(Error::damaged(doing()).because(e)),
            other => other.map_err(|e| trouble(doing(), e))?,
        };
        let (mut stream, mut buffer) = (Sha256Stream::new(), vec![0; 256 << 10]);
        loop {
            match file.read(&mut buffer) {
                Ok(0) => break,
                Ok(n) => stream.update(&buffer[..n]),
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                Err(e) => return Err(Error::damaged(doing()).because(e)),
            }
        }
        if stream.finish() == hash {
            Ok(())
        } else {
            Err(Error::damaged(doing()).because("its bytes are not those that were sealed"))
        }
    }

    fn sync(&self) -> std::io::Result<()> {
        File::open(&self.dir)?.sync_all()
    }
}

/// A file of the spool being written; dropped unfinished, it goes.
#[derive(Debug)]
pub struct Writing<'a> {
    spool: &'a Spool,
    file: File,
    path: PathBuf,
    hash: Sha256Stream,
    size: u64,
    kept: bool,
}

impl Writing<'_> {
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write_all(bytes).map_err(|e| trouble(format!("write {} in the spool", self.path.display()), e))?;
        self.hash.update(bytes);
        self.size += bytes.len() as u64;
        Ok(())
    }
    pub fn size(&self) -> u64 {
        self.size
    }
    pub fn hash_so_far(&self) -> Sha256 {
        self.hash.clone().finish()
    }
    /// Syncs the file, names it and syncs the folder: when this returns Ok it survives a power cut.
    pub fn finish(mut self, name: &str) -> Result<()> {
        let doing = || format!("sync {name} in the spool");
        self.file.sync_all().map_err(|e| trouble(doing(), e))?;
        fs::rename(&self.path, self.spool.path(name)).map_err(|e| trouble(doing(), e))?;
        self.kept = true;
        self.spool.sync().map_err(|e| trouble(doing(), e))
    }
}

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        if !self.kept {
            // The next start removes it if this cannot.
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seal::sha256;

    #[test]
    fn only_finished_files_stay_and_only_named_ones_survive_a_sweep() {
        let dir = tempfile::tempdir().unwrap();
        let spool = Spool::open(&dir.path().join("spool")).unwrap();
        let mut kept = spool.begin().unwrap();
        kept.write(b"sealed ").unwrap();
        kept.write(b"bytes").unwrap();
        assert_eq!(kept.hash_so_far(), sha256(b"sealed bytes"));
        kept.finish("data_1").unwrap();
        drop(spool.begin().unwrap());
        fs::write(spool.path(".tmp-99"), b"half").unwrap();
        fs::write(spool.path("data_2"), b"orphan").unwrap();
        let spool = Spool::open(&dir.path().join("spool")).unwrap();
        assert_eq!(spool.sweep(&BTreeSet::from(["data_1".to_owned()])).unwrap(), 1);
        assert_eq!(spool.names().unwrap(), ["data_1"]);
        assert!(spool.holds("data_1", 12) && !spool.holds("data_1", 11) && !spool.holds("data_2", 6));
    }

    #[test]
    fn rot_in_the_spool_is_damage_not_a_reason_to_retry() {
        let dir = tempfile::tempdir().unwrap();
        let spool = Spool::open(dir.path()).unwrap();
        fs::write(spool.path("data_1"), b"rotten").unwrap();
        assert!(spool.prove("data_1", sha256(b"rotten")).is_ok());
        assert_eq!(spool.prove("data_1", sha256(b"sound")).unwrap_err().kind(), Kind::Damaged);
        assert_eq!(spool.prove("data_2", sha256(b"sound")).unwrap_err().kind(), Kind::Damaged);
    }
}
