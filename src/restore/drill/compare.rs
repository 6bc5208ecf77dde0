//! What was restored, compared: with the file as it lies on this machine, where its stamp says that it was not touched
//! since it was captured; else with what was recorded of it, which the ids of its chunks proved when they were read.
//!
//! Dying here costs comparing one page of files again.

use super::Drilling;
use crate::catalog::Rotten;
use crate::catalog::jobs::{FileState, TriedFile};
use crate::error::{Error, Kind, Result};
use crate::model::{Sha256, TreePath};
use crate::seal::Sha256Stream;
use crate::source::{Finish, Form, Found, Reading, Root, Step, Subject};
use std::io::ErrorKind;

/// Files noted at once.
const PAGE: usize = 100;
/// Bytes read at once.
const BUFFER: usize = 1 << 20;

/// What a comparison came to.
type Became = (FileState, Option<String>);

pub(super) fn compare(with: &Drilling<'_>) -> Result<()> {
    let scratch = TreePath::from_typed(with.scratch)
        .ok_or_else(|| Error::operator(format!("compare in {}: not a plain path", with.scratch.display())))?;
    let mut buffer = vec![0; BUFFER];
    loop {
        let files = with.job.files_left(PAGE)?;
        if files.is_empty() {
            return Ok(());
        }
        let mut became = Vec::with_capacity(files.len());
        for file in &files {
            with.stop.check()?;
            let (state, reason) = one(with, &scratch, file, &mut buffer)?;
            became.push((file.id, state, reason));
        }
        with.faults.at("drill.compared")?;
        with.job.files_tried(&became)?;
    }
}

fn one(with: &Drilling<'_>, scratch: &TreePath, file: &TriedFile, buffer: &mut [u8]) -> Result<Became> {
    if let Some(reason) = with.job.failure_of(&file.path)? {
        // What the scratch folder could not take says nothing about the vault.
        let local = reason.contains("in the restore target");
        return Ok((if local { FileState::Untried } else { FileState::Failed }, Some(reason)));
    }
    let failed = |why: String| Ok((FileState::Failed, Some(why)));
    let there = match restored(scratch, &file.path) {
        Ok(Some(there)) => there,
        Ok(None) => return failed("it was restored, and is not in the scratch folder".to_owned()),
        Err(e) if e.kind() == Kind::Path => return Ok((FileState::Untried, Some(e.to_string()))),
        Err(e) => return Err(e),
    };
    let size = there.look.stamp.size;
    if size != file.size {
        return failed(format!("it came back {size} bytes long, its record says {}", file.size));
    }
    let live = match live(with, file) {
        Ok(live) => live,
        Err(e) if e.kind() == Kind::Retry => return Err(e),
        // Whoever runs a drill need not be able to read everything.
        Err(e) if e.io_kind() == Some(ErrorKind::PermissionDenied) => None,
        Err(e) => return Ok((FileState::Untried, Some(unread(&e)))),
    };
    let (Some(live), Some(copy)) = (live, there.file) else { return Ok((FileState::AsRecorded, None)) };
    let (live, as_it_was) = match hash(with, live, buffer) {
        Ok(read) => read,
        Err(e) if e.kind() == Kind::Path => return Ok((FileState::Untried, Some(unread(&e)))),
        Err(e) => return Err(e),
    };
    if as_it_was == Finish::Changed {
        return Ok((FileState::AsRecorded, None));
    }
    let (copy, _) = hash(with, copy, buffer)?;
    Ok(if live == copy {
        (FileState::AsLive, None)
    } else {
        (FileState::Failed, Some(Rotten::OtherBytes.words().to_owned()))
    })
}

fn unread(e: &Error) -> String {
    format!("it came back as it was recorded; the file on this machine was not compared: {e}")
}

fn hash(with: &Drilling<'_>, mut file: Reading, buffer: &mut [u8]) -> Result<(Sha256, Finish)> {
    let mut sum = Sha256Stream::new();
    loop {
        with.stop.check()?;
        match file.step(buffer)? {
            Step::Data(n) => sum.update(&buffer[..n]),
            Step::Hole(n) => zeros(&mut sum, n, buffer),
            Step::End => break,
        }
    }
    Ok((sum.finish(), file.finish()?))
}

fn zeros(sum: &mut Sha256Stream, mut n: u64, buffer: &mut [u8]) {
    buffer.fill(0);
    while n > 0 {
        let part = usize::try_from(n).unwrap_or(usize::MAX).min(buffer.len());
        sum.update(&buffer[..part]);
        n -= part as u64;
    }
}

/// A file by its path, no link followed beneath `top`; None: there is none.
fn subject(top: &TreePath, path: &TreePath) -> Result<Option<Box<Subject>>> {
    let (Some(parent), Some(name)) = (path.parent(), path.name()) else { return Ok(None) };
    let found = Root::open(top).and_then(|root| root.folder(&parent)).and_then(|folder| folder.subject(name));
    match found {
        Ok(Found::Here(subject)) if subject.look.form == Form::File => Ok(Some(subject)),
        Ok(_) => Ok(None),
        Err(e) if e.io_kind() == Some(ErrorKind::NotFound) => Ok(None),
        Err(e) => Err(e),
    }
}

fn restored(scratch: &TreePath, path: &TreePath) -> Result<Option<Box<Subject>>> {
    let below = path.components().try_fold(scratch.clone(), |at, name| at.join(name));
    let below = below.ok_or_else(|| Error::path(format!("look at {path} in the scratch folder")))?;
    subject(scratch, &below)
}

/// The file on this machine, open; None where its stamp does not say that it is what was captured.
fn live(with: &Drilling<'_>, file: &TriedFile) -> Result<Option<Reading>> {
    let Some(node) = with.catalog.find(&file.path)? else { return Ok(None) };
    let Some(row) = with.catalog.node(node)? else { return Ok(None) };
    if row.dirty || row.seq != file.seq || !row.stamp.is_known() {
        return Ok(None);
    }
    let top = file.path.parent().unwrap_or_else(TreePath::root);
    let found = subject(&top, &file.path)?;
    Ok(found.filter(|found| found.look.stamp == row.stamp).and_then(|found| found.file))
}
