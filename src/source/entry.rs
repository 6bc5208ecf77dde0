//! Everything about one path but its contents, taken in one go with as few questions to the kernel as possible;
//! a file is handed out open, so that what was described is what is read.

use super::attributes::{self, Attributes};
use super::folder::Folder;
use super::look::{Form, Look};
use super::open;
use super::path_error;
use super::read::Reading;
use crate::error::{Error, Result};
use crate::model::{Entry, Shape, Size, TreePath};
use rustix::fs::readlinkat;
use rustix::io::Errno;
use std::os::fd::AsFd;

/// What a name turned out to be.
#[derive(Debug)]
pub enum Found {
    /// There is no such name.
    Gone,
    /// Counted and skipped.
    Socket,
    Here(Box<Subject>),
}

/// A path described, its look (the stamp in it is the one to keep), and a file's contents ready to be read.
#[derive(Debug)]
pub struct Subject {
    pub entry: Entry,
    pub look: Look,
    pub file: Option<Reading>,
}

impl Folder {
    /// Describes a name in here.
    pub fn subject(&self, name: &[u8]) -> Result<Found> {
        match self.look(name)? {
            None => Ok(Found::Gone),
            Some(look) => self.subject_seen(name, &look),
        }
    }

    /// Describes a name that was just looked at: one question less. What it is now wins, should it have
    /// changed; became it another kind of thing meanwhile, that is an error of its path.
    pub fn subject_seen(&self, name: &[u8], look: &Look) -> Result<Found> {
        let path = self.path_of(name)?;
        let subject = match look.form {
            Form::Socket => return Ok(Found::Socket),
            Form::File => self.describe_file(name, path, look),
            Form::Dir => self.child(name).and_then(|folder| folder.itself()),
            Form::Symlink => self.describe_link(name, &path),
            Form::Fifo => self.describe_special(name, &path, look, Shape::Fifo),
            Form::CharDevice(device) => self.describe_special(name, &path, look, Shape::CharDevice(device)),
            Form::BlockDevice(device) => self.describe_special(name, &path, look, Shape::BlockDevice(device)),
        };
        match subject {
            Ok(subject) => Ok(Found::Here(Box::new(subject))),
            Err(e) if e.io_kind() == Some(std::io::ErrorKind::NotFound) => Ok(Found::Gone),
            Err(e) => Err(e),
        }
    }

    /// Describes this folder itself.
    pub fn itself(&self) -> Result<Subject> {
        let look = Look::at(self.as_fd(), b"").map_err(|e| path_error("look at", self.path(), e))?;
        let xattrs = match attributes::of_open(self.as_fd()) {
            Err(Errno::BADF) => attributes::of_named(self.as_fd()),
            other => other,
        };
        let xattrs = xattrs.map_err(|e| xattr_error(self.path(), e))?;
        Ok(Subject { entry: self.entry(Shape::Dir, &look, xattrs), look, file: None })
    }

    fn describe_file(&self, name: &[u8], path: TreePath, seen: &Look) -> Result<Subject> {
        let fd = open::name(self.as_fd(), name, open::FILE).map_err(|e| path_error("open", &path, e))?;
        let look = Look::at(fd.as_fd(), b"").map_err(|e| path_error("look at", &path, e))?;
        if !look.is_same_thing(seen) {
            return Err(swapped(&path));
        }
        let xattrs = attributes::of_open(fd.as_fd()).map_err(|e| xattr_error(&path, e))?;
        let entry = self.entry(Shape::File, &look, xattrs);
        Ok(Subject { entry, look, file: Some(Reading::of(fd, path, look)) })
    }

    fn describe_link(&self, name: &[u8], path: &TreePath) -> Result<Subject> {
        let target = readlinkat(self.as_fd(), name, Vec::new()).map_err(|e| match e {
            Errno::INVAL => swapped(path),
            e => path_error("read the link", path, e),
        })?;
        let look = Look::at(self.as_fd(), name).map_err(|e| path_error("look at", path, e))?;
        if look.form != Form::Symlink {
            return Err(swapped(path));
        }
        let xattrs = attributes::of_name(self.as_fd(), name).map_err(|e| xattr_error(path, e))?;
        Ok(Subject { entry: self.entry(Shape::Symlink(target.into_bytes()), &look, xattrs), look, file: None })
    }

    fn describe_special(&self, name: &[u8], path: &TreePath, look: &Look, shape: Shape) -> Result<Subject> {
        let xattrs = attributes::of_name(self.as_fd(), name).map_err(|e| xattr_error(path, e))?;
        Ok(Subject { entry: self.entry(shape, look, xattrs), look: *look, file: None })
    }

    fn entry(&self, shape: Shape, look: &Look, xattrs: Attributes) -> Entry {
        let size = if shape == Shape::File { look.stamp.size } else { 0 };
        Entry {
            shape,
            mode: look.mode,
            uid: look.uid,
            gid: look.gid,
            user: self.owners().user(look.uid),
            group: self.owners().group(look.gid),
            mtime: look.mtime,
            birth: look.birth,
            size: Size(size),
            xattrs,
            link: look.link(),
        }
    }
}

fn swapped(path: &TreePath) -> Error {
    Error::path(format!("open {path}")).because("it was replaced while it was looked at").remedy("it is tried again")
}

fn xattr_error(path: &TreePath, errno: Errno) -> Error {
    if errno == Errno::TOOBIG {
        return Error::path(format!("read the extended attributes of {path}"))
            .because("they are more than 1 MiB")
            .remedy("remove what is not needed, or exclude it");
    }
    path_error("read the extended attributes of", path, errno)
}
