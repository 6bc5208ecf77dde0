//! What follows the contents: whole files get their names; then hard links, other things, folders the deepest first.
//! Everything here can be done twice.

use super::progress::Progress;
use super::unit::{Attempt, Became, OpenParts, Outcome, part_is_gone};
use crate::catalog::jobs::{Batch, FileRow, JobFile, ThingKind, ThingRow};
use crate::error::{Error, Kind, Result};
use crate::model::Entry;
use crate::place::{Clobber, Placed, Skip, Target};
use crate::worker::{Faults, Stop};

/// Rows read and noted at once.
const PAGE: usize = 2000;

pub(super) struct Finisher<'a> {
    pub job: &'a JobFile,
    pub target: &'a Target,
    pub clobber: Clobber,
    pub attempt: Attempt,
    pub parts: &'a OpenParts,
    pub progress: &'a Progress,
    pub faults: &'a Faults,
    pub stop: &'a Stop,
}

fn noted(out: Outcome) -> Batch {
    let mut counts = vec![("done", out.done), ("skipped", out.skipped), ("bytes", out.bytes)];
    counts.extend(out.short.counts());
    counts.retain(|(_, n)| *n > 0);
    Batch { failed: out.failed, counts, ..Batch::default() }
}

impl Finisher<'_> {
    /// Names the files all of whose chunks are on the disk.
    pub fn name_whole_files(&self) -> Result<()> {
        loop {
            let rows = self.job.whole_files(PAGE)?;
            if rows.is_empty() {
                return Ok(());
            }
            let (mut out, mut named, mut kept) = (Outcome::default(), Vec::new(), Vec::new());
            for row in &rows {
                self.stop.check()?;
                self.parts.forget(row.id);
                match self.file(row, &mut out) {
                    Ok(Became::Done) => named.push(row.id),
                    Ok(became) => {
                        kept.push(row.id);
                        out.became(became);
                    }
                    Err(e) if e.kind() == Kind::Path => {
                        out.failed.push((Some(row.id), row.path.clone(), e.to_string()));
                    }
                    Err(e) => return Err(e),
                }
            }
            Progress::add(&self.progress.files, rows.len() as u64);
            self.faults.at("name.note")?;
            self.job.named(&named, &kept, &noted(out))?;
        }
    }

    fn file(&self, row: &FileRow, out: &mut Outcome) -> Result<Became> {
        let number = row.id.cast_unsigned();
        let part = if row.untouched {
            Some(self.target.begin(&row.path, row.entry.size, number)?)
        } else {
            self.target.resume(&row.path, row.entry.size, number)?
        };
        let Some(part) = part else { return self.file_without_part(row, out) };
        self.faults.at("name.file")?;
        let placed = part.finish(&row.entry, self.clobber)?;
        if placed == Placed::Skipped(Skip::Exists) && self.attempt == Attempt::Again {
            return self.file_without_part(row, out);
        }
        self.became(placed, &row.path, &row.entry, out)
    }

    /// An earlier run placed it and was killed before it said so.
    fn file_without_part(&self, row: &FileRow, out: &mut Outcome) -> Result<Became> {
        match self.target.look(&row.path)? {
            Some(standing) if standing.is_like(&row.entry) => {
                // Where files are named by way of a second name, the first may still be there.
                self.target.clear(&row.path, row.id.cast_unsigned())?;
                out.short.note(&self.target.dress_file(&row.path, &row.entry)?);
                Ok(Became::Done)
            }
            Some(_) if self.clobber == Clobber::Keep => Ok(Became::Skipped),
            _ => Err(part_is_gone(&row.path)),
        }
    }

    /// What an earlier run named and did not sync: it stands, or it is named again.
    pub fn look_after_names(&self) -> Result<()> {
        let mut after = 0;
        loop {
            let rows = self.job.named_files(after, PAGE)?;
            let Some(last) = rows.last() else { return Ok(()) };
            after = last.id;
            let mut lost = Vec::new();
            for row in &rows {
                match self.is_like(&row.path, &row.entry) {
                    Ok(true) => {}
                    Err(e) if e.kind() != Kind::Path => return Err(e),
                    _ => lost.push(row.id),
                }
            }
            Progress::add(&self.progress.files, (rows.len() - lost.len()) as u64);
            self.faults.at("name.again")?;
            self.job.name_again(&lost)?;
        }
    }

    fn is_like(&self, path: &crate::model::TreePath, entry: &Entry) -> Result<bool> {
        Ok(self.target.look(path)?.is_some_and(|s| s.is_like(entry)))
    }

    fn became(
        &self,
        placed: Placed,
        path: &crate::model::TreePath,
        entry: &Entry,
        out: &mut Outcome,
    ) -> Result<Became> {
        Ok(match placed {
            Placed::Done(short) => {
                out.short.note(&short);
                Became::Done
            }
            Placed::Skipped(Skip::Unsupported) => Became::Unsupported,
            // What stands there since the plan, and looks as it should, an earlier run of this job put there.
            Placed::Skipped(Skip::Exists) if self.is_like(path, entry)? => Became::Done,
            Placed::Skipped(Skip::Exists) => Became::Skipped,
        })
    }

    /// Hard links and other things, once all files are placed.
    pub fn things(&self, kind: ThingKind) -> Result<()> {
        loop {
            // What is done is not read again: each page is the first.
            let rows = self.job.things(kind, None, PAGE)?;
            if rows.is_empty() {
                return Ok(());
            }
            let mut out = Outcome::default();
            for row in &rows {
                self.stop.check()?;
                self.faults.at("thing.place")?;
                match self.thing(kind, row, &mut out) {
                    Ok(became) => out.became(became),
                    Err(e) if e.kind() == Kind::Path => out.failed.push((None, row.path.clone(), e.to_string())),
                    Err(e) => return Err(e),
                }
            }
            Progress::add(&self.progress.files, rows.len() as u64);
            self.faults.at("thing.sync")?;
            self.target.sync()?;
            let ids: Vec<i64> = rows.iter().map(|r| r.id).collect();
            let mut batch = noted(out);
            if kind == ThingKind::Other {
                rename_count(&mut batch, "done", "others");
            }
            self.faults.at("thing.note")?;
            self.job.things_done(kind, &ids, &batch)?;
        }
    }

    fn thing(&self, kind: ThingKind, row: &ThingRow, out: &mut Outcome) -> Result<Became> {
        let number = row.id.cast_unsigned();
        if let Some(first) = &row.first
            && !self.is_like(first, &row.entry)?
        {
            return Err(Error::path(format!("link {}: the file it names, {first}, is not restored", row.path)));
        }
        let place = |clobber| match &row.first {
            Some(first) => self.target.link(first, &row.path, number, clobber),
            None => self.target.node(&row.path, &row.entry, number, clobber),
        };
        let mut placed = place(self.clobber)?;
        if kind == ThingKind::Link && placed == Placed::Skipped(Skip::Unsupported) {
            return Err(Error::path(format!("link {}: the target cannot have hard links", row.path))
                .remedy("copy the file from its other name"));
        }
        if placed == Placed::Skipped(Skip::Exists) && self.attempt == Attempt::Again {
            let standing = self.target.look(&row.path)?;
            if standing.is_some_and(|s| s.is_like(&row.entry)) {
                // Ours: made once more, since its file may have been placed anew, and so that the report tells what it
                // falls short of.
                placed = place(Clobber::Replace)?;
            } else if standing.is_some_and(|s| s.is_like(&Entry { mtime: s.mtime, ..row.entry.clone() }))
                && kind == ThingKind::Other
            {
                // Where links have no times of their own, nothing tells ours from another.
                return Ok(Became::Done);
            }
        }
        self.became(placed, &row.path, &row.entry, out)
    }

    /// Parts of failed files go; then folders, the deepest first, so that nothing changes their times afterwards. With
    /// them the job is done.
    pub fn folders(&self) -> Result<()> {
        self.clear_failed()?;
        let (mut after, mut out) = (None, Outcome::default());
        loop {
            let rows = self.job.things(ThingKind::Folder, after, PAGE)?;
            let Some(last) = rows.last() else { break };
            after = Some(last.id);
            for row in &rows {
                self.stop.check()?;
                self.faults.at("folder.dress")?;
                match self.target.dress_folder(&row.path, &row.entry) {
                    Ok(short) => out.short.note(&short),
                    Err(e) if e.kind() == Kind::Path => out.failed.push((None, row.path.clone(), e.to_string())),
                    Err(e) => return Err(e),
                }
            }
            let failed = std::mem::take(&mut out.failed);
            self.faults.at("folder.failed")?;
            self.job.add_failures(&failed.into_iter().map(|(_, path, reason)| (path, reason)).collect::<Vec<_>>())?;
        }
        self.faults.at("folder.sync")?;
        self.target.sync()?;
        self.faults.at("fetch.end")?;
        self.job.end(&noted(out))
    }

    fn clear_failed(&self) -> Result<()> {
        let mut after = 0;
        loop {
            let rows = self.job.failed_files(after, PAGE)?;
            let Some(last) = rows.last() else { return Ok(()) };
            after = last.id;
            for row in &rows {
                self.parts.forget(row.id);
                self.faults.at("part.clear")?;
                match self.target.clear(&row.path, row.id.cast_unsigned()) {
                    Err(e) if e.kind() != Kind::Path => return Err(e),
                    _ => {}
                }
            }
        }
    }
}

fn rename_count(batch: &mut Batch, from: &str, to: &'static str) {
    batch.counts.iter_mut().filter(|(name, _)| *name == from).for_each(|(name, _)| *name = to);
}
