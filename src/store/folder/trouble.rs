//! What an error of the vault's file system means for the vault: never anything about a source path (promise 13).

use crate::error::{Error, Kind};
use rustix::io::Errno;
use std::path::Path;

/// Errors of the folder at this path.
pub(super) struct Trouble<'a>(pub(super) &'a Path);

impl Trouble<'_> {
    /// `doing` reads on into "the vault's folder".
    pub(super) fn error(&self, doing: &str, errno: Errno) -> Error {
        let (kind, remedy) = judge(errno);
        let error = Error::new(kind, format!("{doing} the vault's folder {}", self.0.display()))
            .because(std::io::Error::from(errno));
        match remedy {
            Some(remedy) => error.remedy(remedy),
            None => error,
        }
    }
}

fn judge(errno: Errno) -> (Kind, Option<&'static str>) {
    match errno {
        Errno::NOSPC | Errno::DQUOT => (Kind::Operator, Some("make room there; nothing is lost meanwhile")),
        Errno::ROFS => (Kind::Operator, Some("it is mounted read-only: check the disk and mount it writable")),
        Errno::ACCESS | Errno::PERM => (Kind::Operator, Some("give the daemon's user the right to write there")),
        Errno::NOENT | Errno::NOTDIR | Errno::NODEV | Errno::NXIO | Errno::NOTCONN | Errno::NOMEDIUM => {
            (Kind::Operator, Some("is the disk plugged in and mounted?"))
        }
        Errno::FBIG => (Kind::Operator, Some("this file system holds no file so large: use a smaller pack_size")),
        Errno::IO => (Kind::Operator, Some("the disk reports errors: check its cable and its health")),
        Errno::NAMETOOLONG | Errno::LOOP => (Kind::Operator, Some("check the vault's url")),
        _ => (Kind::Retry, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_trouble_of_a_vault_is_ever_about_a_source_path() {
        for errno in [Errno::NOSPC, Errno::ROFS, Errno::ACCESS, Errno::NOENT, Errno::IO, Errno::BUSY, Errno::STALE] {
            let error = Trouble(Path::new("/mnt/usb")).error("open", errno);
            assert!(matches!(error.kind(), Kind::Operator | Kind::Retry), "{error}");
            assert_eq!(error.kind() == Kind::Operator, error.remedy_text().is_some(), "{error}");
        }
    }
}
