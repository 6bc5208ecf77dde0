//! One file against what was recorded of it: read in the stretches its chunks were recorded in, each named again, and
//! where a hole was recorded nothing but zeros. How a file system tells holes today, and how files are cut today, are of no
//! consequence: only bytes are. Memory is one chunk.
//!
//! Reading stops at the first difference. Whether somebody touched the file meanwhile is asked at the end, through the
//! same handle.

use super::Rereading;
use super::layout::{Layout, Recorded};
use crate::catalog::{Compared, LiveFile, Rotten};
use crate::chunk::MAX;
use crate::error::{Error, Kind, Result};
use crate::source::{Finish, Form, Found, Reading, Root, Step};
use std::io::ErrorKind;

/// Read in one go, about: as long as this takes, a stop waits.
const SLICE: u64 = 8 << 20;

/// Why a file was not compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// Its stamp is another, it is gone, torn or not safe yet: backing up sees to it.
    Moving,
    NoRoot,
    NoRight,
    NoRecord,
}

impl Why {
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::Moving => "files that changed since, or are not safe yet, were not compared",
            Self::NoRoot => "a watched folder could not be opened: its files were not compared",
            Self::NoRight => "some files may not be read by this user",
            Self::NoRecord => {
                "of some files the catalog does not tell what they were: 'panicroom rebuild' reads it anew"
            }
        }
    }
}

/// How far a look has come.
pub(super) enum Look<'a> {
    More(Box<Open<'a>>),
    Over { compared: Compared, bytes: u64, why: Option<Why> },
}

impl Look<'_> {
    fn skipped(why: Why) -> Self {
        Self::Over { compared: Compared::NotCompared, bytes: 0, why: Some(why) }
    }
}

/// A file being compared.
pub(super) struct Open<'a> {
    pub(super) file: LiveFile,
    reading: Reading,
    layout: Layout<'a>,
    /// Zeros the file still has before its next data.
    hole: u64,
    at: u64,
    buffer: Vec<u8>,
}

impl<'a> Rereading<'a> {
    /// Begins with a file: opened beneath its root by handle, and only while its stamp is the one that was recorded.
    pub(super) fn open(&self, file: LiveFile) -> Result<Look<'a>> {
        if file.torn || file.dirty || !file.safe || !file.stamp.is_known() {
            return Ok(Look::skipped(Why::Moving));
        }
        let Some(top) = self.roots.iter().find(|root| file.path.is_within(root)) else {
            return Ok(Look::skipped(Why::NoRoot));
        };
        let root = match Root::open(top) {
            Ok(root) => root,
            Err(e) if e.kind() == Kind::Operator => return Ok(Look::skipped(Why::NoRoot)),
            Err(e) => return Err(e),
        };
        let reading = match live(&root, &file) {
            Ok(Some(reading)) => reading,
            Ok(None) => return Ok(Look::skipped(Why::Moving)),
            Err(e) => return trouble(&e, 0).ok_or(e),
        };
        let layout = Layout::of(self.catalog, file.seq)?;
        Ok(Look::More(Box::new(Open { file, reading, layout, hole: 0, at: 0, buffer: vec![] })))
    }

    /// Compares the next stretch.
    pub(super) fn go_on(&self, mut open: Box<Open<'a>>) -> Result<Look<'a>> {
        let until = open.at.saturating_add(SLICE);
        while open.at < until {
            self.stop.check()?;
            let agrees = match open.layout.next()? {
                Recorded::Chunk { id, len } => open.is_chunk(|bytes| self.chunker.id(bytes) == id, len),
                Recorded::Zeros(n) => open.is_zeros(n),
                Recorded::Unknown => return Ok(Look::skipped(Why::NoRecord)),
                Recorded::End => return open.end(true),
            };
            match agrees {
                Ok(true) => {}
                Ok(false) => return open.end(false),
                Err(e) => return trouble(&e, open.at).ok_or(e),
            }
        }
        Ok(Look::More(open))
    }
}

impl Open<'_> {
    fn is_chunk(&mut self, is_it: impl FnOnce(&[u8]) -> bool, len: u32) -> Result<bool> {
        let len = usize::try_from(len).unwrap_or(usize::MAX).min(MAX);
        self.buffer.resize(len, 0);
        let mut done = 0;
        while done < len {
            if self.hole > 0 {
                let n = usize::try_from(self.hole).unwrap_or(usize::MAX).min(len - done);
                self.buffer[done..done + n].fill(0);
                self.hole -= n as u64;
                done += n;
                continue;
            }
            match self.reading.step(&mut self.buffer[done..])? {
                Step::Data(n) => done += n,
                Step::Hole(n) => self.hole = n,
                Step::End => return Ok(false),
            }
        }
        self.at += len as u64;
        Ok(is_it(&self.buffer))
    }

    fn is_zeros(&mut self, mut left: u64) -> Result<bool> {
        self.at += left;
        self.buffer.resize(MAX, 0);
        while left > 0 {
            if self.hole > 0 {
                let n = self.hole.min(left);
                (self.hole, left) = (self.hole - n, left - n);
                continue;
            }
            let most = usize::try_from(left).unwrap_or(usize::MAX).min(MAX);
            match self.reading.step(&mut self.buffer[..most])? {
                Step::Data(n) if self.buffer[..n].iter().any(|b| *b != 0) => return Ok(false),
                Step::Data(n) => left -= n as u64,
                Step::Hole(n) => self.hole = n,
                Step::End => return Ok(false),
            }
        }
        Ok(true)
    }

    fn end<'a>(self, agrees: bool) -> Result<Look<'a>> {
        let (size, bytes) = (self.file.stamp.size, self.reading.position());
        let finish = match self.reading.finish() {
            Ok(finish) => finish,
            Err(e) => return trouble(&e, bytes).ok_or(e),
        };
        Ok(match finish {
            Finish::Unchanged(stamp) if stamp == self.file.stamp => {
                if agrees && self.at != size {
                    return Ok(Look::skipped(Why::NoRecord));
                }
                let wrong = || Compared::Wrong(Rotten::OtherBytes, Rotten::OtherBytes.words().to_owned());
                Look::Over { compared: if agrees { Compared::AsCaptured } else { wrong() }, bytes, why: None }
            }
            _ => Look::skipped(Why::Moving),
        })
    }
}

/// The file, open; None where its stamp does not say that it is what was captured.
fn live(root: &Root, file: &LiveFile) -> Result<Option<Reading>> {
    let name = file.path.name().unwrap_or_default();
    let folder = match file.path.parent() {
        Some(parent) => root.folder(&parent)?,
        None => return Ok(None),
    };
    let Some(look) = folder.look(name)?.filter(|look| look.form == Form::File && look.stamp == file.stamp) else {
        return Ok(None);
    };
    let Found::Here(subject) = folder.subject_seen(name, &look)? else { return Ok(None) };
    Ok(subject.file.filter(|_| subject.look.stamp == file.stamp))
}

/// What cannot be read though its stamp can be seen is a finding; None: the machine's trouble, not the file's.
fn trouble<'a>(e: &Error, at: u64) -> Option<Look<'a>> {
    if e.kind() != Kind::Path {
        return None;
    }
    Some(match e.io_kind() {
        // Gone, or somebody holds it for a moment.
        Some(ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::WouldBlock) => Look::skipped(Why::Moving),
        Some(ErrorKind::PermissionDenied) => Look::skipped(Why::NoRight),
        _ => {
            let said = format!("{e}; {}", Rotten::Unreadable.words());
            Look::Over { compared: Compared::Wrong(Rotten::Unreadable, said), bytes: at, why: None }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    fn of(errno: i32) -> Option<(Compared, Option<Why>)> {
        let e = Error::path("read /a").because(io::Error::from_raw_os_error(errno));
        trouble(&e, 7).map(|look| match look {
            Look::Over { compared, why, .. } => (compared, why),
            Look::More(_) => panic!("it is over"),
        })
    }

    #[test]
    fn a_file_that_cannot_be_read_is_a_finding_and_one_that_may_not_be_read_is_none() {
        let (eio, enoent, eacces, eagain) = (5, 2, 13, 11);
        let Some((Compared::Wrong(Rotten::Unreadable, said), None)) = of(eio) else { panic!("{:?}", of(eio)) };
        assert!(said.contains("/a") && said.contains("disk"), "{said}");
        for (errno, why) in [(enoent, Why::Moving), (eagain, Why::Moving), (eacces, Why::NoRight)] {
            assert_eq!(of(errno), Some((Compared::NotCompared, Some(why))));
        }
        assert!(trouble(&Error::retry("open /a"), 0).is_none(), "an exhausted machine says nothing about a file");
    }
}
