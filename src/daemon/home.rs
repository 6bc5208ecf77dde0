//! The state folder: one lock, one folder a vault with its keys, catalog and spool.
//!
//! `<state>/lock` is held while a daemon or a pass runs: a second one is refused and says who is there.
//! `<state>/orders.json` is what the operator ordered, `usage.json` what was used of the caps,
//! `mistake` what the run before died of, if it was that;
//! `<state>/<vault>/{keys,catalog.db,spool/}`; everything 0700 and 0600.

use crate::clock::Wall;
use crate::error::{Doing, Error, Kind, Result};
use crate::format::key_file;
use crate::model::TreePath;
use crate::seal::keys::SealKeys;
use crate::worker::Faults;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Paths of everything one machine keeps.
#[derive(Clone, Debug)]
pub struct Home {
    dir: PathBuf,
}

/// Paths of what it keeps for one vault.
#[derive(Clone, Debug)]
pub struct VaultHome {
    dir: PathBuf,
}

/// Where a rebuild leaves the catalog before it; milliseconds since 1970 follow.
const BEFORE: &str = "catalog.db.before-";
/// How many of those stay: the last, and the one it was made from should that rebuild have been the mistake.
const KEPT_ASIDE: usize = 2;

/// A file of our own, 0600, whole and synced when this returns; it still has to get its name.
pub fn write_synced(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Gives a file its name in one step, in the place of what has it; both synced.
pub fn name_over(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::rename(from, to)?;
    sync_folder(to)
}

/// Gives a file its name in one step, never that of another.
pub fn name_new(from: &Path, to: &Path) -> std::io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    use rustix::io::Errno;
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        Ok(()) => sync_folder(to),
        // File systems without that kind of rename: a second name does as well, as long as the first goes.
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
            fs::hard_link(from, to)?;
            fs::remove_file(from)?;
            sync_folder(to)
        }
        Err(e) => Err(e.into()),
    }
}

fn sync_folder(of: &Path) -> std::io::Result<()> {
    let folder = of.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

/// A file that belongs to the one at `path`.
fn with(path: &Path, suffix: &str) -> PathBuf {
    PathBuf::from(format!("{}{suffix}", path.display()))
}

/// Held while this process owns the state folder.
#[derive(Debug)]
pub struct StateLock(#[expect(dead_code, reason = "held for its lock")] File);

fn make_dir(dir: &Path) -> Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(|e| refused("create the state folder", dir, e))
}

fn refused(doing: &str, path: &Path, e: std::io::Error) -> Error {
    let remedy = match e.kind() {
        std::io::ErrorKind::StorageFull => "free space on the disk that holds the state folder",
        std::io::ErrorKind::NotFound => "see that its disk is mounted",
        _ => "make it writable for the user the daemon runs as",
    };
    Error::operator(format!("{doing} {}", path.display())).because(e).remedy(remedy)
}

impl Home {
    pub fn new(dir: &TreePath) -> Self {
        Self { dir: dir.as_path().to_owned() }
    }

    /// Operator: another process has it, or it cannot be written.
    pub fn lock(&self) -> Result<StateLock> {
        make_dir(&self.dir)?;
        let path = self.dir.join("lock");
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(|e| refused("open", &path, e))?;
        match file.try_lock() {
            Ok(()) => {
                file.set_len(0)
                    .and_then(|()| writeln!(file, "{}", std::process::id()))
                    .map_err(|e| refused("write", &path, e))?;
                Ok(StateLock(file))
            }
            Err(fs::TryLockError::WouldBlock) => {
                let who = fs::read_to_string(&path).unwrap_or_default();
                Err(Error::operator(format!(
                    "use the state folder {}: another panicroom has it (process {})",
                    self.dir.display(),
                    who.trim()
                ))
                .remedy("it is at work already: ask it with 'panicroom status'; or stop it first"))
            }
            Err(fs::TryLockError::Error(e)) => Err(refused("lock", &path, e)),
        }
    }

    /// Whether a daemon or a pass holds the state folder now.
    pub fn is_held(&self) -> bool {
        File::open(self.dir.join("lock"))
            .is_ok_and(|f| matches!(f.try_lock_shared(), Err(fs::TryLockError::WouldBlock)))
    }

    pub fn socket(&self) -> PathBuf {
        self.dir.join("socket")
    }

    pub fn orders(&self) -> PathBuf {
        self.dir.join("orders.json")
    }

    pub fn usage(&self) -> PathBuf {
        self.dir.join("usage.json")
    }

    pub(super) fn mistake(&self) -> PathBuf {
        self.dir.join("mistake")
    }
    pub fn jobs(&self) -> PathBuf {
        self.dir.join("jobs")
    }

    pub fn vault(&self, name: &str) -> VaultHome {
        VaultHome { dir: self.dir.join(name) }
    }
}

impl VaultHome {
    pub fn catalog(&self) -> PathBuf {
        self.dir.join("catalog.db")
    }
    pub fn spool(&self) -> PathBuf {
        self.dir.join("spool")
    }
    /// See [`super::sheet`].
    pub(super) fn sheet(&self) -> PathBuf {
        self.dir.join("sheet")
    }
    fn key_path(&self) -> PathBuf {
        self.dir.join("keys")
    }

    pub fn has_keys(&self) -> bool {
        self.key_path().exists()
    }

    /// Operator: there are none, or they are broken.
    pub fn keys(&self) -> Result<SealKeys> {
        let path = self.key_path();
        let text = fs::read_to_string(&path).map(zeroize::Zeroizing::new).map_err(|e| match e.kind() {
            std::io::ErrorKind::NotFound => Error::operator(format!("read the keys {}", path.display()))
                .because(e)
                .remedy("'panicroom init' starts this vault; 'panicroom rebuild' with the recovery words brings back one that exists"),
            _ => refused("read the keys", &path, e),
        })?;
        key_file::parse_machine_text(&text).map_err(|e| e.during(&path.display().to_string()))
    }

    /// 0600, synced with its folder when this returns. Replaces older ones only as a whole.
    pub fn write_keys(&self, keys: &SealKeys, faults: &Faults) -> Result<()> {
        make_dir(&self.dir)?;
        let (path, temporary) = (self.key_path(), self.dir.join(".tmp-keys"));
        let refused = |e| refused("write the keys", &path, e);
        write_synced(&temporary, key_file::machine_text(keys).as_bytes()).map_err(refused)?;
        faults.at("keys.name")?;
        name_over(&temporary, &path).map_err(refused)
    }

    /// Where a catalog is rebuilt before it gets its name; what an earlier try left there goes.
    pub fn new_catalog(&self) -> Result<PathBuf> {
        make_dir(&self.dir)?;
        let path = self.dir.join("catalog.new");
        for suffix in ["", "-wal", "-shm"] {
            match fs::remove_file(with(&path, suffix)) {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(refused("remove", &path, e)),
                _ => {}
            }
        }
        Ok(path)
    }

    /// Gives a rebuilt catalog, closed, its name. The one before it is kept as `catalog.db.before-…`; of those the newest
    /// [`KEPT_ASIDE`] stay. Dying anywhere leaves one of the two under the name.
    pub fn name_catalog(&self, new: &Path, now: Wall, faults: &Faults) -> Result<()> {
        let log = with(new, "-wal");
        if fs::metadata(&log).is_ok_and(|m| m.len() > 0) {
            return Err(Error::damaged(format!(
                "name the rebuilt catalog {}: part of it still lies in {}",
                new.display(),
                log.display()
            )));
        }
        let doing = || format!("name the rebuilt catalog {}", new.display());
        let aside = (0..1000)
            .map(|n| self.dir.join(format!("{BEFORE}{}", now.0.saturating_add(n))))
            .find(|path| !path.exists())
            .ok_or_else(|| Error::operator(doing()).remedy("remove old catalogs beside it"))?;
        faults.at("rebuild.aside")?;
        self.keep_beside(&aside).doing(Kind::Operator, doing)?;
        faults.at("rebuild.name")?;
        fs::rename(new, self.catalog())
            .and_then(|()| File::open(&self.dir)?.sync_all())
            .map_err(|e| refused("name the rebuilt catalog", new, e))?;
        faults.at("rebuild.tidy")?;
        self.remove_older(&aside).doing(Kind::Operator, || format!("remove old catalogs from {}", self.dir.display()))
    }

    /// The catalog gets `aside` as a second name, so that there is always one under its own; its log must go, or it would
    /// be taken for part of the next.
    fn keep_beside(&self, aside: &Path) -> std::io::Result<()> {
        let catalog = self.catalog();
        if !catalog.exists() {
            return Ok(());
        }
        // Where there are no hard links, a moment without a catalog is all that is left: a start then rebuilds it.
        fs::hard_link(&catalog, aside).or_else(|_| fs::rename(&catalog, aside))?;
        for suffix in ["-wal", "-shm"] {
            match fs::rename(with(&catalog, suffix), with(aside, suffix)) {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e),
                _ => {}
            }
        }
        Ok(())
    }

    /// Only once the new catalog is in place. What was just put aside stays whatever the clock says of it.
    fn remove_older(&self, newest: &Path) -> std::io::Result<()> {
        let mut old = vec![];
        for entry in fs::read_dir(&self.dir)? {
            let path = entry?.path();
            let at = path.file_name().and_then(|n| n.to_str()?.strip_prefix(BEFORE)?.parse::<i64>().ok());
            old.extend(at.filter(|_| path != newest).map(|at| (at, path)));
        }
        old.sort_unstable_by_key(|(at, _)| std::cmp::Reverse(*at));
        let stay = KEPT_ASIDE - usize::from(newest.exists());
        for (_, path) in old.into_iter().skip(stay) {
            for suffix in ["-wal", "-shm", ""] {
                match fs::remove_file(with(&path, suffix)) {
                    Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e),
                    _ => {}
                }
            }
        }
        Ok(())
    }

    /// Moves a broken catalog out of the way, for people to look at; where it went.
    pub fn put_catalog_aside(&self, label: &str) -> Result<PathBuf> {
        let aside = self.dir.join(format!("catalog.db.{label}"));
        for suffix in ["", "-wal", "-shm"] {
            let from = self.dir.join(format!("catalog.db{suffix}"));
            if from.exists() {
                fs::rename(&from, with(&aside, suffix))
                    .doing(Kind::Operator, || format!("move {} aside", from.display()))?;
            }
        }
        Ok(aside)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::VaultId;
    use crate::seal::keys::Secret;

    #[test]
    fn a_second_process_is_refused_and_told_who_is_there() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::new(&TreePath::from_typed(dir.path()).unwrap());
        assert!(!home.is_held());
        let lock = home.lock().unwrap();
        assert!(home.is_held());
        let e = home.lock().unwrap_err();
        assert_eq!(e.kind(), Kind::Operator);
        assert!(e.to_string().contains(&std::process::id().to_string()), "{e}");
        drop(lock);
        assert!(home.lock().is_ok());
    }

    #[test]
    fn of_old_catalogs_the_newest_two_stay_and_nothing_else_is_touched() {
        let dir = tempfile::tempdir().unwrap();
        let vault = Home::new(&TreePath::from_typed(dir.path()).unwrap()).vault("v");
        let file = |name: &str| dir.path().join("v").join(name);
        let names = || {
            let all =
                fs::read_dir(dir.path().join("v")).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
            all.collect::<std::collections::BTreeSet<_>>()
        };
        // Its last rebuild was dated by a clock that was ahead.
        for name in ["7", "7-wal", "7-shm", "9", "5000", "5000-wal", "soon"] {
            fs::create_dir_all(dir.path().join("v")).unwrap();
            fs::write(file(&format!("catalog.db.before-{name}")), name).unwrap();
        }
        fs::write(file("catalog.db.damaged-1"), "for people to look at").unwrap();
        fs::write(vault.catalog(), "the last one").unwrap();
        fs::write(file("catalog.db-wal"), "its log").unwrap();
        let before = names();
        let missing = vault.name_catalog(&file("nowhere"), Wall(100), &Faults::default());
        assert_eq!(missing.unwrap_err().kind(), Kind::Operator);
        assert!(names().is_superset(&before.into_iter().filter(|n| n != "catalog.db-wal").collect()), "{:?}", names());
        assert_eq!(fs::read(vault.catalog()).unwrap(), b"the last one", "still under its name");
        let new = vault.new_catalog().unwrap();
        fs::write(&new, "the new one").unwrap();
        vault.name_catalog(&new, Wall(100), &Faults::default()).unwrap();
        assert_eq!(fs::read(vault.catalog()).unwrap(), b"the new one");
        assert_eq!(fs::read(file("catalog.db.before-101")).unwrap(), b"the last one");
        let stay = ["101", "5000", "5000-wal", "soon"].map(|n| format!("catalog.db.before-{n}"));
        let others = ["catalog.db", "catalog.db.damaged-1"].map(str::to_owned);
        assert_eq!(names(), stay.into_iter().chain(others).collect());
    }

    #[test]
    fn promise_15_keys_are_for_the_owner_alone() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let vault = Home::new(&TreePath::from_typed(dir.path()).unwrap()).vault("v");
        assert!(vault.keys().unwrap_err().to_string().contains("panicroom init"));
        let keys = Secret::from_bytes([1; 32]).open_keys(VaultId([2; 16])).seal;
        vault.write_keys(&keys, &Faults::default()).unwrap();
        assert_eq!(vault.keys().unwrap().vault, VaultId([2; 16]));
        assert_eq!(fs::metadata(vault.key_path()).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
