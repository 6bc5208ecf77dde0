//! A folder held by its handle: its names, streamed, and a look at each.

use super::look::{Form, Look};
use super::owners::Owners;
use super::{open, path_error};
use crate::error::{Error, Result};
use crate::model::TreePath;
use crate::model::path::is_name;
use rustix::fs::{FileType, RawDir, SeekFrom, seek};
use rustix::io::Errno;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

/// An open folder. Its path is how it was reached, for texts; the handle is what counts.
#[derive(Debug)]
pub struct Folder {
    fd: OwnedFd,
    path: TreePath,
    look: Look,
    owners: Arc<Owners>,
}

/// One name of a folder, as the folder tells it without a look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    pub name: Box<[u8]>,
    pub ino: u64,
    /// Whether it is a folder, where the file system says so in its list.
    pub is_dir: Option<bool>,
}

impl Folder {
    /// Takes an opened folder; what was opened is looked at through its own handle.
    pub(super) fn held(fd: OwnedFd, path: TreePath, owners: Arc<Owners>) -> Result<Self> {
        let look = Look::at(fd.as_fd(), b"").map_err(|e| path_error("look at folder", &path, e))?;
        if look.form != Form::Dir {
            return Err(path_error("open folder", &path, Errno::NOTDIR));
        }
        Ok(Self { fd, path, look, owners })
    }
    pub fn path(&self) -> &TreePath {
        &self.path
    }
    pub fn dev(&self) -> u64 {
        self.look.dev
    }
    /// What the folder was when it was opened.
    pub fn look_at_itself(&self) -> &Look {
        &self.look
    }
    pub(super) fn owners(&self) -> &Arc<Owners> {
        &self.owners
    }
    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
    /// The full path of a name in here.
    pub fn path_of(&self, name: &[u8]) -> Result<TreePath> {
        self.path
            .join(name)
            .ok_or_else(|| Error::path(format!("use a name in {}", self.path)).because("it is not one component"))
    }

    /// A folder in this one. One we may pass through but not list still opens; listing it is then the error.
    pub fn child(&self, name: &[u8]) -> Result<Folder> {
        let path = self.path_of(name)?;
        let fd = match open::name(self.as_fd(), name, open::FOLDER) {
            Err(Errno::ACCESS) => open::name(self.as_fd(), name, open::NAMED | rustix::fs::OFlags::DIRECTORY),
            other => other,
        };
        let fd = fd.map_err(|e| path_error("open folder", &path, e))?;
        Self::held(fd, path, Arc::clone(&self.owners))
    }

    /// A glance at a name, links not followed, nothing opened; None when there is no such name.
    pub fn look(&self, name: &[u8]) -> Result<Option<Look>> {
        if !is_name(name) {
            return self.path_of(name).map(|_| None);
        }
        match Look::at(self.as_fd(), name) {
            Ok(look) => Ok(Some(look)),
            Err(Errno::NOENT) => Ok(None),
            Err(e) => Err(path_error("look at", &self.path_of(name)?, e)),
        }
    }

    /// The names in here, from the first. One listing of a handle at a time: a second one starts the first over.
    pub fn list(&self) -> Result<Listing<'_>> {
        seek(&self.fd, SeekFrom::Start(0)).map_err(|e| match e {
            Errno::BADF => path_error("list folder", &self.path, Errno::ACCESS),
            e => path_error("list folder", &self.path, e),
        })?;
        Ok(Listing { folder: self, buffer: Vec::with_capacity(LIST_BUFFER), ended: false })
    }
}

/// Bytes asked of the kernel at once: about 2,000 ordinary names.
const LIST_BUFFER: usize = 64 << 10;

/// The names of a folder, a bounded number at a time.
#[derive(Debug)]
pub struct Listing<'a> {
    folder: &'a Folder,
    buffer: Vec<u8>,
    ended: bool,
}

impl Listing<'_> {
    /// Adds names to `into` until it holds at least `enough` or the folder ends; at most one kernel buffer
    /// (64 KiB of names) more than asked. False when there are no more. Names added or removed meanwhile may or
    /// may not be told; all others are told once.
    pub fn next_batch(&mut self, enough: usize, into: &mut Vec<Name>) -> Result<bool> {
        if self.ended {
            return Ok(false);
        }
        let mut dir = RawDir::new(&self.folder.fd, self.buffer.spare_capacity_mut());
        while into.len() < enough || !dir.is_buffer_empty() {
            match dir.next() {
                None => {
                    self.ended = true;
                    return Ok(false);
                }
                Some(Err(e)) => return Err(path_error("list folder", &self.folder.path, e)),
                Some(Ok(entry)) => {
                    let name = entry.file_name().to_bytes();
                    if name == b"." || name == b".." {
                        continue;
                    }
                    let is_dir = match entry.file_type() {
                        FileType::Unknown => None,
                        kind => Some(kind == FileType::Directory),
                    };
                    into.push(Name { name: name.into(), ino: entry.ino(), is_dir });
                }
            }
        }
        Ok(true)
    }
}
