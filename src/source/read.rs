//! Reading one file from end to end: data as data, holes as holes, and at the end the question whether it was
//! the same file throughout.

use super::look::{Form, Look};
use super::path_error;
use crate::error::Result;
use crate::model::{Stamp, TreePath};
use rustix::fs::{Advice, SeekFrom, fadvise, seek};
use rustix::io::{Errno, pread};
use std::num::NonZeroU64;
use std::os::fd::{AsFd, OwnedFd};

/// What came next in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// This many bytes (at least 1) at the front of the buffer.
    Data(usize),
    /// This many zero bytes (at least 1) that take no room on the disk.
    Hole(u64),
    End,
}

/// How a reading ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finish {
    /// Nothing touched the file from opening to now.
    Unchanged(Stamp),
    /// What was read may be torn.
    Changed,
}

/// A regular file being read from its beginning, or from where an earlier reading of the same stamp stopped.
#[derive(Debug)]
pub struct Reading {
    fd: OwnedFd,
    path: TreePath,
    look: Look,
    at: u64,
    /// Up to where what follows `at` is known to be data.
    data_until: u64,
    /// Up to where read pages were given back.
    given_back: u64,
    short: bool,
}

/// Below this a file is not worth telling the kernel how it will be read, and its pages are left alone.
const LARGE: u64 = 1 << 20;

/// Read pages are given back in stretches of this size, so that a backup does not push the whole page cache
/// out. (Pages somebody else had cached go with them: the price of not asking page by page.)
const GIVE_BACK: u64 = 8 << 20;

impl Reading {
    pub(super) fn of(fd: OwnedFd, path: TreePath, look: Look) -> Self {
        debug_assert_eq!(look.form, Form::File);
        if look.stamp.size > LARGE {
            // Advice is never worth an error.
            let _ = fadvise(&fd, 0, None, Advice::Sequential);
        }
        // A file that keeps at least its size on disk has no hole worth asking for.
        let data_until = if look.kept >= look.stamp.size { look.stamp.size } else { 0 };
        Self { fd, path, look, at: 0, data_until, given_back: 0, short: false }
    }

    pub fn path(&self) -> &TreePath {
        &self.path
    }
    /// What the file was when it was opened.
    pub fn look(&self) -> &Look {
        &self.look
    }
    /// Bytes from the beginning, holes included.
    pub fn position(&self) -> u64 {
        self.at
    }
    /// Goes on from `offset`: only right when the stamp is that of the reading that got there.
    pub fn start_at(&mut self, offset: u64) {
        self.at = offset;
        self.given_back = offset;
        if self.look.kept < self.look.stamp.size {
            self.data_until = 0;
        }
    }

    /// The next stretch, up to the size the file had when it was opened. `buffer` must not be empty; it is filled
    /// as far as the stretch goes.
    pub fn step(&mut self, buffer: &mut [u8]) -> Result<Step> {
        let size = self.look.stamp.size;
        if self.at >= size || self.short {
            return Ok(Step::End);
        }
        if self.at >= self.data_until {
            let hole = self.find_data(size).map_err(|e| path_error("read", &self.path, e))?;
            if hole > 0 {
                self.at += hole;
                return Ok(Step::Hole(hole));
            }
        }
        let wanted = usize::try_from(self.data_until - self.at).unwrap_or(usize::MAX).min(buffer.len());
        let mut filled = 0;
        while filled < wanted {
            match pread(&self.fd, &mut buffer[filled..wanted], self.at + filled as u64) {
                Ok(0) => {
                    self.short = true;
                    break;
                }
                Ok(n) => filled += n,
                Err(Errno::INTR) => {}
                Err(e) => return Err(path_error("read", &self.path, e)),
            }
        }
        self.at += filled as u64;
        self.give_back(GIVE_BACK);
        Ok(if filled == 0 { Step::End } else { Step::Data(filled) })
    }

    /// Length of the hole that begins here, 0 for data; sets how far the data after it goes. A file system that
    /// cannot say has no holes.
    fn find_data(&mut self, size: u64) -> rustix::io::Result<u64> {
        let data = match seek(&self.fd, SeekFrom::Data(self.at)) {
            Ok(data) => data.clamp(self.at, size),
            Err(Errno::NXIO) => size,
            Err(Errno::INVAL | Errno::OPNOTSUPP) => {
                self.data_until = size;
                return Ok(0);
            }
            Err(e) => return Err(e),
        };
        self.data_until = match seek(&self.fd, SeekFrom::Hole(data)) {
            _ if data == size => size,
            Ok(hole) if hole > data => hole.min(size),
            // Shrunk beneath us, or a file system that cannot say: reading will tell.
            _ => size,
        };
        Ok(data - self.at)
    }

    /// Gives back what was read since the last time, once that is `at_least` so many bytes.
    fn give_back(&mut self, at_least: u64) {
        let done = self.at - self.given_back;
        if self.look.stamp.size <= LARGE || done < at_least {
            return;
        }
        if let Some(len) = NonZeroU64::new(done) {
            let _ = fadvise(&self.fd, self.given_back, Some(len), Advice::DontNeed);
        }
        self.given_back = self.at;
    }

    /// Looks again through the same handle. Call it after `End`.
    pub fn finish(mut self) -> Result<Finish> {
        self.give_back(1);
        let now = Look::at(self.fd.as_fd(), b"").map_err(|e| path_error("look at", &self.path, e))?;
        let same = now.stamp == self.look.stamp && now.is_same_thing(&self.look) && !self.short;
        Ok(if same { Finish::Unchanged(now.stamp) } else { Finish::Changed })
    }
}
