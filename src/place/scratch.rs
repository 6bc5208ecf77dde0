//! A folder for what is restored only to be looked at: ours alone, and removed with all it holds.
//!
//! It is the one place where this program deletes what it restored, so it is only ever a folder of a name of our own.
//! Dying in a removal leaves a part of it, which the next removal takes.

use crate::error::{Doing, Error, Kind, Result};
use crate::worker::Faults;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// What every scratch folder's name begins with.
const PREFIX: &str = "panicroom-drill-";

/// A scratch folder of the job `id` in `folder`, made where it is missing. Operator: it cannot be, or another's folder
/// of the name is there.
pub fn make(folder: &Path, id: &str) -> Result<PathBuf> {
    let path = path(folder, id);
    let doing = || format!("make the scratch folder {}", path.display());
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).doing(Kind::Operator, doing)?;
    match fs::DirBuilder::new().mode(0o700).create(&path) {
        Err(e) if e.kind() != ErrorKind::AlreadyExists => return Err(Error::operator(doing()).because(e)),
        _ => {}
    }
    let there = fs::symlink_metadata(&path).doing(Kind::Operator, doing)?;
    if !there.is_dir() || there.permissions().mode() & 0o077 != 0 {
        return Err(Error::operator(doing())
            .because("something that is not a folder of ours alone is there")
            .remedy("move it away, or name another folder with '--scratch'"));
    }
    Ok(path)
}

/// Where it is, made or not.
pub fn path(folder: &Path, id: &str) -> PathBuf {
    folder.join(format!("{PREFIX}{id}"))
}

/// Removes a scratch folder and all it holds; links are removed, never followed. Nothing is there: well.
pub fn remove(path: &Path, faults: &Faults) -> Result<()> {
    let doing = || format!("remove the scratch folder {}", path.display());
    let is_ours = path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with(PREFIX));
    if !is_ours {
        return Err(Error::operator(doing()).because("it has not the name of one"));
    }
    faults.at("scratch.remove")?;
    match fs::remove_dir_all(path) {
        Err(e) if e.kind() == ErrorKind::PermissionDenied => {
            // Restored folders have the rights they had; as their owner we may change them.
            open_up(path);
            fs::remove_dir_all(path).doing(Kind::Operator, doing)
        }
        Err(e) if e.kind() != ErrorKind::NotFound => Err(Error::operator(doing()).because(e)),
        _ => Ok(()),
    }
}

/// As far as it goes: what cannot be removed after it is named then.
fn open_up(folder: &Path) {
    let _ = fs::set_permissions(folder, fs::Permissions::from_mode(0o700));
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        if entry.file_type().is_ok_and(|t| t.is_dir()) {
            open_up(&entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scratch_folder_is_ours_alone_and_goes_with_all_it_holds_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let scratch = make(dir.path(), "ab12").unwrap();
        assert_eq!(fs::metadata(&scratch).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(make(dir.path(), "ab12").unwrap(), scratch, "a second life finds it");
        fs::create_dir_all(scratch.join("a/b")).unwrap();
        fs::write(scratch.join("a/b/f"), "x").unwrap();
        fs::write(dir.path().join("outside"), "stays").unwrap();
        std::os::unix::fs::symlink(dir.path(), scratch.join("a/out")).unwrap();
        fs::set_permissions(scratch.join("a/b"), fs::Permissions::from_mode(0o500)).unwrap();
        remove(&scratch, &Faults::default()).unwrap();
        remove(&scratch, &Faults::default()).unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        assert_eq!(fs::read(dir.path().join("outside")).unwrap(), b"stays");
        assert!(remove(dir.path(), &Faults::default()).is_err() && dir.path().exists(), "no other folder is removed");
    }

    #[test]
    fn a_folder_that_others_can_read_and_a_link_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(path(dir.path(), "1")).unwrap();
        fs::set_permissions(path(dir.path(), "1"), fs::Permissions::from_mode(0o755)).unwrap();
        std::os::unix::fs::symlink("/tmp", path(dir.path(), "2")).unwrap();
        for id in ["1", "2"] {
            assert!(make(dir.path(), id).unwrap_err().to_string().contains("--scratch"));
        }
    }
}
