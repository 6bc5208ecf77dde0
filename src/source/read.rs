//! Reading one file from end to end: data as data, holes as holes, and at the end the question whether it was
//! the same file throughout.
//!
//! The page cache belongs to others: what they had in it stays, what only we brought goes. Linux 6.14 and later do exactly
//! that when asked (`RWF_DONTCACHE`; ext4, XFS and others). Elsewhere pages of a large file are given back in stretches,
//! unless its first page was cached before we came: then somebody uses it, and it is left alone (measured in
//! `docs/uplink/kind.md`; why not page by page: `docs/decisions/0023-page-cache.md`).

use super::look::{Form, Look};
use super::path_error;
use crate::error::Result;
use crate::model::{Stamp, TreePath};
use rustix::fs::{Advice, SeekFrom, fadvise, seek};
use rustix::io::{Errno, ReadWriteFlags, pread, preadv2};
use std::io::IoSliceMut;
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
    traces: Traces,
    /// Up to where read pages were given back.
    given_back: u64,
    short: bool,
}

/// Below this a file is not worth telling the kernel how it will be read, and its pages are left alone.
const LARGE: u64 = 1 << 20;

/// What happens to the pages a reading brings into the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Traces {
    /// The kernel takes them away again, and only them. Taken for granted until it refuses.
    Taken,
    /// The kernel cannot; they are given back in stretches.
    GivenBack,
    /// The kernel cannot, and somebody uses the file, or it is small: they stay.
    Left,
}

/// `RWF_DONTCACHE` of `linux/fs.h`, which rustix has no name for yet.
const DONT_CACHE: ReadWriteFlags = ReadWriteFlags::from_bits_retain(0x80);

/// Read pages are given back in stretches of this size, so that a backup does not push the whole page cache
/// out.
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
        Self { fd, path, look, at: 0, data_until, traces: Traces::Taken, given_back: 0, short: false }
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
            match self.read_at(self.at + filled as u64, &mut buffer[filled..wanted]) {
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

    fn read_at(&mut self, at: u64, into: &mut [u8]) -> rustix::io::Result<usize> {
        if self.traces == Traces::Taken {
            match preadv2(&self.fd, &mut [IoSliceMut::new(into)], at, DONT_CACHE) {
                Err(Errno::OPNOTSUPP | Errno::INVAL | Errno::NOSYS) => self.traces = self.without_help(at),
                other => return other,
            }
        }
        pread(&self.fd, into, at)
    }

    /// For a kernel or file system that takes no pages away.
    fn without_help(&self, at: u64) -> Traces {
        let mut byte = [0];
        let mut was_cached =
            || preadv2(&self.fd, &mut [IoSliceMut::new(&mut byte)], at, ReadWriteFlags::NOWAIT).is_ok();
        if self.look.stamp.size <= LARGE || was_cached() { Traces::Left } else { Traces::GivenBack }
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
        if self.traces != Traces::GivenBack || done < at_least {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::{Found, Root};
    use std::io::Write;

    const SIZE: usize = 20 << 20;

    fn reading(dir: &std::path::Path) -> Reading {
        let root = Root::open(&TreePath::from_typed(dir).unwrap()).unwrap();
        let Found::Here(subject) = root.top().subject(b"f").unwrap() else { panic!("it is there") };
        subject.file.unwrap()
    }

    /// Whether the page at `at` is cached. Asking may read it in, so ask about a page once.
    fn is_cached(file: &std::fs::File, at: u64) -> bool {
        preadv2(file, &mut [IoSliceMut::new(&mut [0])], at, ReadWriteFlags::NOWAIT).is_ok()
    }

    /// A kernel that takes no pages away; None where files are not on a disk here.
    fn after_reading_without_help(warm: bool) -> Option<(Traces, bool)> {
        let dir = tempfile::tempdir().unwrap();
        let mut file = std::fs::File::create_new(dir.path().join("f")).unwrap();
        file.write_all(&vec![7; SIZE]).unwrap();
        file.sync_all().unwrap();
        let file = std::fs::File::open(dir.path().join("f")).unwrap();
        fadvise(&file, 0, None, Advice::DontNeed).unwrap();
        if is_cached(&file, 5 << 20) {
            eprintln!("SKIPPED: the cache keeps what it is told to drop: no disk beneath the temporary folder");
            return None;
        }
        if warm {
            pread(&file, &mut vec![0; SIZE][..], 0).unwrap();
        }
        let mut reading = reading(dir.path());
        reading.traces = reading.without_help(0);
        let traces = reading.traces;
        let mut buffer = vec![0; 1 << 20];
        while reading.step(&mut buffer).unwrap() != Step::End {}
        assert!(matches!(reading.finish().unwrap(), Finish::Unchanged(_)));
        Some((traces, is_cached(&file, 3 << 20)))
    }

    #[test]
    fn a_large_file_nobody_uses_leaves_nothing_in_the_cache_of_an_older_kernel() {
        assert!(after_reading_without_help(false).is_none_or(|after| after == (Traces::GivenBack, false)));
    }

    #[test]
    fn a_large_file_somebody_uses_stays_in_the_cache_of_an_older_kernel() {
        assert!(after_reading_without_help(true).is_none_or(|after| after == (Traces::Left, true)));
    }
}
