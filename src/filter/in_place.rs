//! Files that change in place (disk images, databases, mail stores), by their names: cut at fixed places so that a
//! few changed pages cost kilobytes of uplink.

use crate::error::{Error, Result};
use crate::model::TreePath;
use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Globs without `/` are for the file's name, others for the whole path; upper and lower case are the same.
#[derive(Clone, Debug)]
pub struct InPlace {
    names: GlobSet,
    paths: GlobSet,
}

impl InPlace {
    /// Operator, where a glob cannot be read.
    pub fn new(globs: &[String]) -> Result<Self> {
        let (mut names, mut paths) = (GlobSetBuilder::new(), GlobSetBuilder::new());
        let wrong = |glob: &str, e: globset::Error| {
            Error::operator(format!("read the glob `{glob}` of fixed_chunks"))
                .because(e)
                .remedy("write it like \"*.qcow2\"")
        };
        for glob in globs {
            let whole = glob.contains('/');
            let built = GlobBuilder::new(glob)
                .case_insensitive(true)
                .literal_separator(whole)
                .build()
                .map_err(|e| wrong(glob, e))?;
            if whole {
                paths.add(built)
            } else {
                names.add(built)
            };
        }
        let build = |set: GlobSetBuilder| set.build().map_err(|e| wrong("(all)", e));
        Ok(Self { names: build(names)?, paths: build(paths)? })
    }

    /// `name` in `folder`.
    pub fn matches(&self, folder: &TreePath, name: &[u8]) -> bool {
        self.names.is_match(Path::new(OsStr::from_bytes(name)))
            || (!self.paths.is_empty() && folder.join(name).is_some_and(|path| self.paths.is_match(path.as_path())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_whole_paths_match_whatever_their_case() {
        let globs = ["*.qcow2".to_owned(), "ibdata*".to_owned(), "/srv/mail/**".to_owned()];
        let set = InPlace::new(&globs).unwrap();
        let vm = TreePath::from_bytes("/vm").unwrap();
        assert!(set.matches(&vm, b"disk.QCOW2") && set.matches(&vm, b"ibdata1"));
        assert!(!set.matches(&vm, b"disk.qcow2.txt") && !set.matches(&vm, b"inbox"));
        assert!(set.matches(&TreePath::from_bytes("/srv/mail/a").unwrap(), b"inbox"));
        assert!(InPlace::new(&["a[".to_owned()]).is_err());
    }
}
