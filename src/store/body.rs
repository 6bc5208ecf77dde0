//! Reading the body of a new object, and telling trouble with our own spooled bytes from trouble of the vault
//! (promise 13): the first carries [`BodyDamage`] as its cause.

use super::{Body, MAX_OBJECT, NewObject};
use crate::error::{Error, Result};
use crate::model::Sha256;
use std::fs::File;
use std::io::{Cursor, ErrorKind, Read};

/// Our own bytes are gone or not what was sealed; the vault is not to blame.
#[derive(Debug, thiserror::Error)]
enum BodyDamage {
    #[error("the spooled file is gone")]
    Gone,
    #[error("the spooled bytes are {found} long, not {sealed}")]
    Length { found: u64, sealed: u64 },
    #[error("the spooled bytes are not the ones that were sealed")]
    Changed,
    #[error("the spooled file cannot be read: {0}")]
    Unreadable(std::io::Error),
}

/// Whether this error of `create` is about the body that was handed in, not about the vault.
pub fn is_body_damage(error: &Error) -> bool {
    std::error::Error::source(error).is_some_and(<dyn std::error::Error>::is::<BodyDamage>)
}

fn damage(object: &NewObject, what: BodyDamage) -> Error {
    Error::damaged(format!("send {} from the spool", object.name)).because(what)
}

/// The bytes of one body, from the start; ends with an error unless it gave exactly the sealed length.
#[derive(Debug)]
pub(super) struct BodyReader<'a> {
    object: &'a NewObject,
    from: From<'a>,
    done: u64,
}

#[derive(Debug)]
enum From<'a> {
    File(File),
    Bytes(Cursor<&'a [u8]>),
}

impl<'a> BodyReader<'a> {
    pub(super) fn open(object: &'a NewObject) -> Result<Self> {
        let (from, found) = match &object.body {
            Body::Bytes(bytes) => (From::Bytes(Cursor::new(bytes.as_slice())), bytes.len() as u64),
            Body::File(path) => {
                let file = File::open(path).map_err(|e| match e.kind() {
                    ErrorKind::NotFound => damage(object, BodyDamage::Gone),
                    ErrorKind::PermissionDenied => Error::operator(format!("open the spooled {}", path.display()))
                        .because(e)
                        .remedy("give the state folder back to the daemon's user"),
                    _ if passing(&e) => Error::retry(format!("open the spooled {}", path.display())).because(e),
                    _ => damage(object, BodyDamage::Unreadable(e)),
                })?;
                let found = file.metadata().map_err(|e| damage(object, BodyDamage::Unreadable(e)))?.len();
                (From::File(file), found)
            }
        };
        if found != object.size || found > MAX_OBJECT {
            return Err(damage(object, BodyDamage::Length { found, sealed: object.size }));
        }
        Ok(Self { object, from, done: 0 })
    }

    /// The file beneath, where there is one.
    pub(super) fn file(&self) -> Option<&File> {
        match &self.from {
            From::File(file) => Some(file),
            From::Bytes(_) => None,
        }
    }

    pub(super) fn left(&self) -> u64 {
        self.object.size - self.done
    }

    /// Fills `buffer`, or as much of it as is left.
    pub(super) fn fill<'b>(&mut self, buffer: &'b mut [u8]) -> Result<&'b [u8]> {
        let want = usize::try_from(self.left()).unwrap_or(usize::MAX).min(buffer.len());
        let buffer = &mut buffer[..want];
        let read = match &mut self.from {
            From::File(file) => file.read_exact(buffer),
            From::Bytes(bytes) => bytes.read_exact(buffer),
        };
        read.map_err(|e| match e.kind() {
            ErrorKind::UnexpectedEof => {
                damage(self.object, BodyDamage::Length { found: self.done, sealed: self.object.size })
            }
            _ => damage(self.object, BodyDamage::Unreadable(e)),
        })?;
        self.done += want as u64;
        Ok(buffer)
    }

    /// What was read must be what was sealed.
    pub(super) fn proved(&self, sum: Sha256) -> Result<()> {
        if sum == self.object.sha256 { Ok(()) } else { Err(damage(self.object, BodyDamage::Changed)) }
    }
}

fn passing(e: &std::io::Error) -> bool {
    // Out of descriptors or memory: nothing is wrong with the bytes.
    use rustix::io::Errno;
    matches!(Errno::from_io_error(e), Some(Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::INTR | Errno::AGAIN))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;
    use crate::store::ObjectName;
    use crate::store::proof::Sum;

    fn object(body: Body, size: u64) -> NewObject {
        NewObject { name: ObjectName::new("data_1").unwrap(), body, size, sha256: Sum::of(b"abc") }
    }

    #[test]
    fn a_spooled_file_that_is_gone_or_cut_is_not_the_vaults_fault() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pack");
        let gone = BodyReader::open(&object(Body::File(path.clone()), 3)).unwrap_err();
        assert!(is_body_damage(&gone) && gone.kind() == Kind::Damaged);
        std::fs::write(&path, b"ab").unwrap();
        assert!(is_body_damage(&BodyReader::open(&object(Body::File(path.clone()), 3)).unwrap_err()));
        std::fs::write(&path, b"abd").unwrap();
        let changed = object(Body::File(path), 3);
        let mut reader = BodyReader::open(&changed).unwrap();
        let sum = Sum::of(reader.fill(&mut [0; 10]).unwrap());
        assert!(is_body_damage(&reader.proved(sum).unwrap_err()));
        assert!(!is_body_damage(&Error::damaged("read data_1 from the vault")));
    }
}
