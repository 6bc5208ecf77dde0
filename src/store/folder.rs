//! A folder as a vault: a disk, a share, any mounted file system.
//!
//! Everything goes through a handle of the folder opened at start, after which the caller reads the vault id; and
//! before each call the path must still lead to that very folder. So an unplugged disk is an alarm, and the empty
//! mount point beneath it is never taken for a vault.
//!
//! An object appears under its name only when it is whole and synced ([`publish`]). Dying inside `create` leaves a
//! `.tmp-panicroom-…` file that nobody reads; the next [`FolderStore::open`] removes it, and nothing else is ever
//! removed. A spooled file on the same file system is linked in as it is, without a copy.

pub mod probe;
mod publish;
mod spot;
mod trouble;

use super::body::BodyReader;
use super::proof::Sum;
use super::throttle::Throttle;
use super::{
    Access, Body, Cover, Created, Depth, Held, Inventory, MAX_OBJECT, NewObject, ObjectInfo, ObjectName, ObjectStore,
    Requests, Speed, Thaw,
};
use crate::clock::Wall;
use crate::config::url::VaultUrl;
use crate::error::{Error, Result};
use crate::model::TreePath;
use crate::worker::Stop;
use publish::{Published, Temporary};
use rustix::fd::OwnedFd;
use rustix::fs::{self, Advice, AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;
use std::collections::BTreeSet;
use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use trouble::Trouble;

/// Bytes read, written or hashed between two looks at `stop`.
const PIECE: usize = 256 << 10;
/// Names held at once while listing; a larger folder is gone through several times.
const PAGE: usize = 8192;

#[derive(Debug)]
pub struct FolderStore {
    path: PathBuf,
    folder: OwnedFd,
    /// Device and inode of the folder when it was opened.
    identity: (u64, u64),
    throttle: Throttle,
    requests: Mutex<Requests>,
}

impl FolderStore {
    /// Opens a folder that must be there. Operator when it is not. Left-over temporary files of earlier deaths are
    /// removed, except those somebody is writing at this moment.
    pub fn open(path: &Path, throttle: Throttle) -> Result<Self> {
        let trouble = Trouble(path);
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = fs::open(path, flags, Mode::empty()).map_err(|e| trouble.error("open", e))?;
        let stat = fs::fstat(&folder).map_err(|e| trouble.error("look at", e))?;
        let store = Self {
            path: path.to_owned(),
            folder,
            identity: (stat.st_dev, stat.st_ino),
            throttle,
            requests: Mutex::default(),
        };
        publish::remove_leftovers(&store.folder);
        Ok(store)
    }

    /// As [`open`](Self::open), and makes the folder (0700) where it is missing. Only for starting a vault: an
    /// unmounted disk would otherwise look like an empty one.
    pub fn open_or_create(path: &Path, throttle: Throttle) -> Result<Self> {
        use std::os::unix::fs::DirBuilderExt;
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(|e| Trouble(path).error("make", Errno::from_io_error(&e).unwrap_or(Errno::IO)))?;
        if let Some(parent) = path.parent()
            && let Ok(parent) = File::open(parent)
        {
            parent
                .sync_all()
                .map_err(|e| Trouble(path).error("sync", Errno::from_io_error(&e).unwrap_or(Errno::IO)))?;
        }
        Self::open(path, throttle)
    }

    fn trouble(&self) -> Trouble<'_> {
        Trouble(&self.path)
    }

    fn count(&self, add: impl FnOnce(&mut Requests)) {
        add(&mut self.requests.lock().expect("requests lock"));
    }

    /// The path still leads to the folder that was opened.
    fn still_here(&self) -> Result<()> {
        let stat = fs::stat(&self.path).map_err(|e| self.trouble().error("find", e))?;
        if (stat.st_dev, stat.st_ino) == self.identity {
            return Ok(());
        }
        Err(Error::operator(format!("use the vault's folder {}: another folder is there now", self.path.display()))
            .remedy("plug the disk in and mount it where it was"))
    }

    /// The file of an object and its length; None when there is none.
    fn file(&self, name: &ObjectName) -> Result<Option<(File, u64)>> {
        match self.open_object(name) {
            Ok(found) => Ok(found),
            Err(Errno::LOOP) => Err(odd(name)),
            Err(e) => Err(self.unread(name, &format!("open {name} in"), e)),
        }
    }

    /// As [`file`](Self::file); LOOP: something else has this name.
    fn open_object(&self, name: &ObjectName) -> std::result::Result<Option<(File, u64)>, Errno> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let file = match fs::openat(&self.folder, name.as_str(), flags, Mode::empty()) {
            Ok(fd) => File::from(fd),
            Err(Errno::NOENT) => return Ok(None),
            Err(e) => return Err(e),
        };
        let stat = fs::fstat(&file)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(Errno::LOOP);
        }
        Ok(Some((file, u64::try_from(stat.st_size).unwrap_or(0))))
    }

    fn io(&self, doing: &str, e: &std::io::Error) -> Error {
        self.trouble().error(doing, Errno::from_io_error(e).unwrap_or(Errno::IO))
    }

    fn sync_folder(&self) -> Result<()> {
        match fs::fsync(&self.folder) {
            // Some network file systems cannot sync a folder by itself.
            Err(Errno::INVAL) => fs::syncfs(&self.folder),
            other => other,
        }
        .map_err(|e| self.trouble().error("sync", e))
    }

    /// SHA-256 of a file, as the disk has it where the cache lets go of it.
    fn sum(&self, file: &File, size: u64, stop: &Stop) -> Result<crate::model::Sha256> {
        let mut sum = Sum::default();
        let mut piece = vec![0; PIECE];
        let mut at = 0;
        while at < size {
            stop.check()?;
            let want = piece.len().min(usize::try_from(size - at).unwrap_or(usize::MAX));
            match file.read_at(&mut piece[..want], at) {
                Ok(0) => break,
                Ok(n) => {
                    sum.update(&piece[..n]);
                    at += n as u64;
                }
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                Err(e) => return Err(self.io("read back from", &e)),
            }
        }
        Ok(sum.finish())
    }

    /// Believes a name that exists only after its bytes were synced, read and found to be the very same.
    fn settle(&self, object: &NewObject, file: &File, size: u64, stop: &Stop) -> Result<Created> {
        let name = &object.name;
        if size == object.size {
            file.sync_all().map_err(|e| self.io(&format!("sync {name} in"), &e))?;
            self.sync_folder()?;
            forget(file);
            if self.sum(file, size, stop)? == object.sha256 {
                return Ok(Created::Before);
            }
        }
        Err(Error::damaged(format!("create {name} in {}: other bytes are there under this name", self.path.display()))
            .remedy("the vault was changed by somebody else; nothing is overwritten: look at that file"))
    }

    /// Links the spooled file in beside its place and publishes it; None where that cannot be: another file system,
    /// or one without hard links.
    fn link(&self, object: &NewObject, reader: &BodyReader<'_>, stop: &Stop) -> Result<Option<Published>> {
        let (Body::File(path), Some(spooled)) = (&object.body, reader.file()) else { return Ok(None) };
        let linked = Temporary::linked(&self.folder, path);
        let linked = linked.map_err(|e| self.trouble().error(&format!("link {} into", object.name), e))?;
        let Some(linked) = linked else { return Ok(None) };
        let inode = |file: &File| fs::fstat(file).map(|stat| (stat.st_dev, stat.st_ino));
        if inode(spooled) != inode(&linked.file) {
            return Err(Error::retry(format!("link {}: the spooled file was exchanged meanwhile", object.name)));
        }
        reader.proved(self.sum(&linked.file, object.size, stop)?)?;
        self.throttle.wait_all(object.size, stop)?;
        self.publish(linked, &object.name).map(Some)
    }

    fn publish(&self, temporary: Temporary<'_>, name: &ObjectName) -> Result<Published> {
        let published = temporary.publish(name).map_err(|e| self.trouble().error(&format!("name {name} in"), e))?;
        self.sync_folder()?;
        Ok(published)
    }

    /// Copies the body in beside its place, syncs, reads it back, and publishes it.
    fn copy(&self, object: &NewObject, mut reader: BodyReader<'_>, stop: &Stop) -> Result<Published> {
        let name = &object.name;
        let temporary =
            Temporary::new(&self.folder).map_err(|e| self.trouble().error(&format!("create {name} in"), e))?;
        let mut sent = Sum::default();
        let mut piece = vec![0; PIECE];
        let mut at = 0;
        let underway = self.throttle.begin();
        while reader.left() > 0 {
            underway.goes_on(reader.left()).map_err(|e| e.during(&format!("create {name}")))?;
            let granted = self.throttle.wait(reader.left().min(PIECE as u64), stop)?;
            let bytes = reader.fill(&mut piece[..usize::try_from(granted).expect("at most a piece")])?;
            temporary.file.write_all_at(bytes, at).map_err(|e| self.io(&format!("write {name} to"), &e))?;
            sent.update(bytes);
            at += bytes.len() as u64;
        }
        reader.proved(sent.finish())?;
        // A failed sync may have dropped pages while the cache still shows them: the file goes, whatever it holds.
        temporary.file.sync_all().map_err(|e| self.io(&format!("sync {name} in"), &e))?;
        forget(&temporary.file);
        if self.sum(&temporary.file, object.size, stop)? != object.sha256 {
            return Err(Error::damaged(format!(
                "create {name} in {}: the disk gives back other bytes",
                self.path.display()
            ))
            .remedy("the disk or its cable is failing: replace it"));
        }
        self.publish(temporary, name)
    }

    /// The smallest names after `after`, at most [`PAGE`] of them.
    fn page(&self, prefix: &str, after: Option<&ObjectName>) -> Result<BTreeSet<ObjectName>> {
        let mut page = BTreeSet::new();
        let folder = fs::Dir::read_from(&self.folder).map_err(|e| self.trouble().error("list", e))?;
        for entry in folder {
            let entry = entry.map_err(|e| self.trouble().error("list", e))?;
            let name = entry.file_name().to_str().ok().filter(|n| n.starts_with(prefix)).and_then(ObjectName::new);
            if let Some(name) = name.filter(|name| after.is_none_or(|after| name > after)) {
                page.insert(name);
                if page.len() > PAGE {
                    page.pop_last();
                }
            }
        }
        Ok(page)
    }

    /// How many names are none of a file that a vault could have put there. Hidden ones do not count: some are our own.
    fn strange(&self, prefix: &str) -> Result<u64> {
        let folder = fs::Dir::read_from(&self.folder).map_err(|e| self.trouble().error("list", e))?;
        let mut strange = 0;
        for entry in folder {
            let entry = entry.map_err(|e| self.trouble().error("list", e))?;
            let name = entry.file_name().to_bytes();
            if name.starts_with(b".") || !name.starts_with(prefix.as_bytes()) {
                continue;
            }
            let ours = std::str::from_utf8(name).ok().and_then(ObjectName::new);
            let is_told = match ours {
                Some(name) => self.info(&name)?.is_some(),
                None => false,
            };
            strange += u64::from(!is_told);
        }
        Ok(strange)
    }

    fn info(&self, name: &ObjectName) -> Result<Option<ObjectInfo>> {
        let stat = match fs::statat(&self.folder, name.as_str(), AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(Errno::NOENT) => return Ok(None),
            Err(e) => return Err(self.trouble().error(&format!("look at {name} in"), e)),
        };
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Ok(None);
        }
        Ok(Some(ObjectInfo {
            name: name.clone(),
            size: u64::try_from(stat.st_size).unwrap_or(0),
            etag: None,
            class: None,
            sha256: None,
            modified: Some(Wall(stat.st_mtime.saturating_mul(1000))),
            access: Some(Access::Warm),
        }))
    }
}

impl ObjectStore for FolderStore {
    fn create(&self, object: &NewObject, stop: &Stop) -> Result<Created> {
        self.count(|r| r.put += 1);
        self.still_here()?;
        if let Some((file, size)) = self.file(&object.name)? {
            return self.settle(object, &file, size, stop);
        }
        let reader = BodyReader::open(object)?;
        let published = match self.link(object, &reader, stop)? {
            Some(published) => published,
            None => self.copy(object, reader, stop)?,
        };
        self.still_here()?;
        if published == Published::Done {
            return Ok(Created::Now);
        }
        match self.file(&object.name)? {
            Some((file, size)) => self.settle(object, &file, size, stop),
            None => Err(Error::retry(format!("create {}: its name was taken and is gone again", object.name))),
        }
    }

    fn read_into(&self, name: &ObjectName, range: Option<Range<u64>>, into: &mut Vec<u8>, stop: &Stop) -> Result<()> {
        self.count(|r| r.get += 1);
        self.still_here()?;
        let missing = || Error::damaged(format!("read {name} in {}: there is no such object", self.path.display()));
        let (file, size) = self.file(name)?.ok_or_else(missing)?;
        let range = range.unwrap_or(0..size);
        let length = range.end.saturating_sub(range.start);
        if range.end > size || length > MAX_OBJECT {
            return Err(Error::damaged(format!("read {name} in {}: it is {size} bytes long", self.path.display())));
        }
        into.resize(usize::try_from(length).expect("at most MAX_OBJECT"), 0);
        let mut at = range.start;
        for piece in into.chunks_mut(PIECE * 4) {
            stop.check()?;
            file.read_exact_at(piece, at).map_err(|e| {
                self.unread(name, &format!("read {name} in"), Errno::from_io_error(&e).unwrap_or(Errno::IO))
            })?;
            at += piece.len() as u64;
        }
        Ok(())
    }

    fn head(&self, name: &ObjectName) -> Result<Option<ObjectInfo>> {
        self.count(|r| r.head += 1);
        self.still_here()?;
        self.info(name)
    }

    fn inventory(&self, prefix: &str, each: &mut dyn FnMut(Held) -> Result<()>) -> Result<Inventory> {
        self.list(prefix, &mut |object| each(Held { object, cover: Cover::Bare }))?;
        Ok(Inventory { depth: Depth::Versions, strange: self.strange(prefix)? })
    }

    fn list(&self, prefix: &str, each: &mut dyn FnMut(ObjectInfo) -> Result<()>) -> Result<()> {
        self.still_here()?;
        let mut after: Option<ObjectName> = None;
        loop {
            self.count(|r| r.list += 1);
            let page = self.page(prefix, after.as_ref())?;
            let last = page.len() < PAGE;
            for name in &page {
                if let Some(info) = self.info(name)? {
                    each(info)?;
                }
            }
            after = page.into_iter().next_back().or(after);
            if last {
                return self.still_here();
            }
        }
    }

    fn thaw(&self, name: &ObjectName, _speed: Speed, _days: u32) -> Result<Thaw> {
        self.count(|r| r.thaw += 1);
        self.still_here()?;
        match self.info(name)? {
            Some(_) => Ok(Thaw::Ready),
            None => Err(Error::damaged(format!("thaw {name} in {}: there is no such object", self.path.display()))),
        }
    }

    fn may_freeze(&self) -> bool {
        false
    }

    fn requests(&self) -> Requests {
        *self.requests.lock().expect("requests lock")
    }
    fn sent_bytes(&self) -> u64 {
        self.throttle.sent_bytes()
    }
    fn url(&self) -> String {
        TreePath::from_typed(&self.path)
            .map_or_else(|| self.path.display().to_string(), |path| VaultUrl::Folder(path).to_string())
    }
}

/// Asks the cache to let go, so that the next read comes from the disk; a file system may ignore it.
fn forget(file: &File) {
    let _ = fs::fadvise(file, 0, None, Advice::DontNeed);
}

fn odd(name: &ObjectName) -> Error {
    Error::damaged(format!("open {name}: it is not a regular file")).remedy("the vault was changed by somebody else")
}

#[cfg(test)]
mod tests;
