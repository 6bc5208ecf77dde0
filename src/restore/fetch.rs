//! Works a job off: the packs in order, neighbouring blocks joined into reads of a few MiB, opened and written on
//! several threads, settled batch by batch on another. What is found damaged is looked for in other packs, round
//! after round, until it is there or nowhere.
//!
//! Memory: one read and one block for each worker, and bounded lists of what is on its way.

use super::finish::Finisher;
use super::layout::starts;
use super::plan::Plan;
use super::progress::{Phase, Progress};
use super::settle::{Event, Settler};
use super::unit::{Attempt, Bench, OpenParts, Outcome, Owner, PackAt, Slice, Unit, UnitBlock};
use crate::catalog::Catalog;
use crate::catalog::jobs::{Cursor, FileRow, JobFile, PieceRow, ThingKind, Whose};
use crate::chunk::Chunker;
use crate::error::{Error, Result};
use crate::format::Name;
use crate::format::pack::OpenBench;
use crate::model::{Size, TreePath};
use crate::place::{Clobber, Target};
use crate::seal::keys::OpenKeys;
use crate::store::{ObjectName, ObjectStore};
use crate::worker::Stop;
use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};

pub use super::unit::Shortfalls;

/// Bytes of one read, about.
const STRETCH: u64 = 8 << 20;
/// A unit has no more pieces than this; a block with more is read again for each so many.
const PIECES: usize = 4096;
/// A batch ends at so many pieces, if not before.
const BATCH_PIECES: u64 = 50_000;
/// How much is read between two syncs, bytes: what a kill can make a restore read again.
pub const BATCH_BYTES: u64 = 512 << 20;
/// Pieces read from the job at once.
const PAGE: usize = 2000;
/// Failures handed back in the report; all of them are in the job.
const TOLD: usize = 1000;

/// What a fetch is done with.
pub struct Fetching<'a> {
    pub catalog: &'a Catalog,
    pub store: &'a dyn ObjectStore,
    pub keys: &'a OpenKeys,
    pub target: &'a Target,
    pub progress: &'a Progress,
    pub stop: &'a Stop,
    /// Threads that read, open and write: at least 1.
    pub threads: usize,
    /// [`BATCH_BYTES`] unless there is a reason.
    pub batch_bytes: u64,
}

/// What came of a job, earlier runs included.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Files restored, or found restored already.
    pub done: u64,
    /// Symlinks, FIFOs, devices restored.
    pub others: u64,
    pub bytes: u64,
    /// Names that were taken by something else, which was kept.
    pub skipped: u64,
    pub failed: u64,
    /// The first of them in path order: path and reason.
    pub failures: Vec<(TreePath, String)>,
    pub shortfalls: Shortfalls,
}

/// Works off a planned job, from wherever an earlier run came to. An error leaves the job to be resumed.
/// Operator: packs are frozen, or the target has no room.
pub fn fetch(with: &Fetching<'_>, job: &JobFile) -> Result<Report> {
    let plan = planned(with, job)?;
    if job.count("runs")? == 0 && !plan.fits() {
        let (needed, free) = (Size(plan.needed_bytes), Size(plan.free_bytes));
        return Err(Error::operator(format!("restore {needed}: the target has room for {free}"))
            .remedy("make room or choose another target, then plan again"));
    }
    let attempt = if job.begin_run()? == 0 { Attempt::First } else { Attempt::Again };
    let clobber = if job.count("clobber")? == 1 { Clobber::Replace } else { Clobber::Keep };
    let parts = OpenParts::default();
    let finisher = Finisher {
        job,
        target: with.target,
        clobber,
        attempt,
        parts: &parts,
        progress: with.progress,
        stop: with.stop,
    };
    start_progress(with.progress, &plan, job)?;
    if job.count("finished")? == 0 {
        finisher.name_whole_files()?;
        let mut cursor = job.cursor()?;
        while job.pack_from(cursor.round, 0)?.is_some() {
            Round { with, job, clobber, attempt, parts: &parts, finisher: &finisher }.run(cursor)?;
            cursor = Cursor { round: cursor.round + 1, ..Cursor::default() };
        }
        with.progress.enter(Phase::Finishing);
        finisher.things(ThingKind::Link)?;
        finisher.things(ThingKind::Other)?;
        finisher.folders()?;
        job.set_fact("finished", 1)?;
    }
    with.progress.enter(Phase::Done);
    report(job, &plan)
}

fn planned(with: &Fetching<'_>, job: &JobFile) -> Result<Plan> {
    let Some(plan) = Plan::of(job)? else {
        return Err(Error::operator(format!("resume the restore {}: its plan was not finished", job.path().display()))
            .remedy("start the restore again"));
    };
    let of: Option<Vec<u8>> = job.fact("vault")?;
    if of.as_deref() != Some(&with.keys.seal.vault.0[..]) {
        return Err(
            Error::operator("resume a restore: it is of another vault").remedy("name the vault it was begun from")
        );
    }
    if plan.frozen_packs > 0 {
        return Err(Error::operator(format!(
            "restore from {} packs in cold storage: they must be thawed first",
            plan.frozen_packs
        ))
        .remedy("thaw them, then plan again"));
    }
    Ok(plan)
}

fn start_progress(progress: &Progress, plan: &Plan, job: &JobFile) -> Result<()> {
    use std::sync::atomic::Ordering::Relaxed;
    progress.enter(Phase::Fetching);
    progress.wait_for(None);
    let total = plan.files + plan.others;
    progress.files_total.store(total, Relaxed);
    progress.bytes_total.store(plan.bytes, Relaxed);
    let failed_later = job.failures()?.saturating_sub(plan.failed);
    let placed = ["done", "others", "skipped", "unsupported"].iter().try_fold(0, |n, c| Ok(n + job.count(c)?))?;
    progress.files.store((placed + failed_later).min(total), Relaxed);
    progress.bytes.store(job.count("bytes")?, Relaxed);
    Ok(())
}

fn report(job: &JobFile, plan: &Plan) -> Result<Report> {
    Ok(Report {
        done: job.count("done")? + plan.already,
        others: job.count("others")?,
        bytes: job.count("bytes")?,
        skipped: job.count("skipped")? + plan.skipped,
        failed: job.failures()?,
        failures: job.failures_after(None, TOLD)?,
        shortfalls: Shortfalls {
            owner: job.count("short_owner")?,
            set_id: job.count("short_set_id")?,
            mode: job.count("short_mode")?,
            time: job.count("short_time")?,
            attributes: job.count("short_attributes")?,
            unsupported: job.count("unsupported")?,
        },
    })
}

struct Round<'a> {
    with: &'a Fetching<'a>,
    job: &'a JobFile,
    clobber: Clobber,
    attempt: Attempt,
    parts: &'a OpenParts,
    finisher: &'a Finisher<'a>,
}

/// The first error of any thread; whoever sees one ends.
#[derive(Default)]
struct Abort(Mutex<Option<Error>>);

impl Abort {
    fn raise(&self, e: Error) {
        self.0.lock().expect("abort lock").get_or_insert(e);
    }
    fn raised(&self) -> bool {
        self.0.lock().expect("abort lock").is_some()
    }
}

impl Round<'_> {
    fn run(&self, from: Cursor) -> Result<()> {
        let seal = &self.with.keys.seal;
        let chunker = Chunker::new(seal.cut_key(), seal.chunk_key());
        let bench = Bench {
            store: self.with.store,
            keys: self.with.keys,
            chunker: &chunker,
            target: self.with.target,
            clobber: self.clobber,
            attempt: self.attempt,
            parts: self.parts,
            stop: self.with.stop,
            progress: self.with.progress,
        };
        let settler = Settler { job: self.job, catalog: self.with.catalog, finisher: self.finisher, round: from.round };
        let abort = Abort::default();
        let threads = self.with.threads.max(1);
        let (units, work) = sync_channel::<Unit>(threads);
        let (tell, events) = sync_channel::<Event>(4 * threads + 16);
        let work = Mutex::new(work);
        std::thread::scope(|scope| {
            for _ in 0..threads {
                let (tell, work, abort, bench) = (tell.clone(), &work, &abort, &bench);
                scope.spawn(move || labour(bench, work, &tell, abort));
            }
            let (abort, settler) = (&abort, &settler);
            scope.spawn(move || {
                if let Err(e) = settler.run(&events) {
                    abort.raise(e);
                    // Whoever still sends must not wait for ever.
                    events.iter().for_each(drop);
                }
            });
            let mut cutter = Cutter {
                job: self.job,
                stop: self.with.stop,
                round: from.round,
                units,
                tell,
                abort,
                batch_bytes: self.with.batch_bytes,
                batch: 0,
                sent: 0,
                bytes: 0,
                pieces: 0,
            };
            if let Err(e) = cutter.run(from) {
                abort.raise(e);
            }
        });
        abort.0.into_inner().expect("abort lock").map_or(Ok(()), Err)
    }
}

/// One worker: units until there are no more.
fn labour(bench: &Bench<'_>, work: &Mutex<Receiver<Unit>>, tell: &SyncSender<Event>, abort: &Abort) {
    let mut open = OpenBench::new().map_err(|e| abort.raise(e)).ok();
    loop {
        let Ok(unit) = work.lock().expect("work lock").recv() else { return };
        let Some(open) = open.as_mut().filter(|_| !abort.raised()) else {
            // Taken all the same: whoever cuts units must not wait for ever.
            continue;
        };
        match bench.run(&unit, open) {
            Ok(outcome) => drop(tell.send(Event::Done(unit.batch, outcome))),
            Err(e) => abort.raise(e),
        }
    }
}

/// Cuts the pieces of each pack into units.
struct Cutter<'a> {
    job: &'a JobFile,
    stop: &'a Stop,
    round: u32,
    units: SyncSender<Unit>,
    tell: SyncSender<Event>,
    abort: &'a Abort,
    batch_bytes: u64,
    batch: u64,
    /// Units, bytes and pieces of the batch so far.
    sent: u64,
    bytes: u64,
    pieces: u64,
}

/// A piece that goes on in the next block.
struct Carried {
    chunks: std::ops::Range<u32>,
    first: u32,
    offset: u64,
    origin: i64,
    file: Arc<FileRow>,
}

impl Cutter<'_> {
    fn run(&mut self, from: Cursor) -> Result<()> {
        let (mut next, mut chunk) = (from.pack, from.chunk);
        while let Some(pack) = self.job.pack_from(self.round, next)? {
            self.pack(pack, if pack == from.pack { chunk } else { 0 })?;
            (next, chunk) = (pack + 1, 0);
            if self.bytes >= self.batch_bytes || self.pieces >= BATCH_PIECES {
                self.close(Cursor { round: self.round, pack: next, chunk: 0 })?;
            }
        }
        self.close(Cursor { round: self.round, pack: next, chunk: 0 })
    }

    fn close(&mut self, cursor: Cursor) -> Result<()> {
        self.say(Event::Close { batch: self.batch, units: self.sent, cursor })?;
        (self.batch, self.sent, self.bytes, self.pieces) = (self.batch + 1, 0, 0, 0);
        Ok(())
    }

    fn say(&self, event: Event) -> Result<()> {
        self.tell.send(event).map_err(|_| Error::stopping())
    }

    fn send(&mut self, pack: &Arc<PackAt>, blocks: &mut Vec<UnitBlock>) -> Result<()> {
        self.stop.check()?;
        if blocks.is_empty() {
            return Ok(());
        }
        if self.abort.raised() {
            return Err(Error::stopping());
        }
        self.sent += 1;
        self.pieces += blocks.iter().map(|b| b.slices.len() as u64).sum::<u64>();
        self.bytes += blocks.iter().map(|b| u64::from(pack.record.table.blocks[b.block].sealed)).sum::<u64>();
        let unit = Unit { batch: self.batch, pack: Arc::clone(pack), blocks: std::mem::take(blocks) };
        self.units.send(unit).map_err(|_| Error::stopping())
    }

    /// All pieces of a pack from chunk `from` on.
    fn pack(&mut self, id: i64, from: u32) -> Result<()> {
        let mut pieces = Pieces {
            job: self.job,
            round: self.round,
            pack: id,
            after: (-1, -1, -1),
            page: VecDeque::new(),
            ended: false,
        };
        let found = self.job.pack(id)?;
        let Some((record, hash, tier)) = found.and_then(|p| p.record.map(|r| (r, p.hash, p.tier))) else {
            let e = Error::path("no segment of the log tells what is in its pack, and the pack itself cannot be read");
            return self.fail_all(&mut pieces, &e);
        };
        let name = ObjectName::new(Name::Pack(tier, hash).to_string()).ok_or_else(|| Error::damaged("name a pack"))?;
        let pack = Arc::new(PackAt { id, name, starts: starts(&record), record });
        let firsts: Vec<u32> = pack.record.table.starts().map(|(_, first)| first).collect();
        let chunks = u32::try_from(pack.record.table.lens.len()).unwrap_or(u32::MAX);
        let (mut carried, mut blocks): (Vec<Carried>, Vec<UnitBlock>) = (Vec::new(), Vec::new());
        let (mut at, mut stretch) = (from, 0u64);
        loop {
            if carried.is_empty() {
                match pieces.peek()? {
                    None => break,
                    Some(piece) if u64::from(piece.first) + u64::from(piece.count) > u64::from(chunks) => {
                        let e = Error::path("its pack has fewer chunks than it names");
                        pieces.fail_next(&e, self)?;
                        continue;
                    }
                    Some(piece) if piece.first + piece.count <= from => {
                        pieces.next()?;
                        continue;
                    }
                    Some(piece) => at = piece.first.max(from),
                }
            }
            let block = firsts.partition_point(|first| *first <= at) - 1;
            let end = firsts.get(block + 1).copied().unwrap_or(chunks);
            if blocks.last().is_some_and(|b| b.block + 1 != block) || stretch >= STRETCH {
                self.send(&pack, &mut blocks)?;
                stretch = 0;
                if self.bytes >= self.batch_bytes || self.pieces >= BATCH_PIECES {
                    self.close(Cursor { round: self.round, pack: id, chunk: at })?;
                }
            }
            let mut slices: Vec<Slice> = carried.iter().map(|c| c.slice(at, end, &pack)).collect();
            carried.retain(|c| c.chunks.end > end);
            while let Some(first) = pieces.peek()?.map(|p| p.first).filter(|first| *first < end) {
                let Some(piece) = pieces.next()? else { break };
                let last = first.saturating_add(piece.count);
                if last <= from || last > chunks {
                    if last > chunks {
                        let e = Error::path("its pack has fewer chunks than it names");
                        self.fail_one(piece.whose, &e)?;
                    }
                    continue;
                }
                let whole = Carried::of(piece);
                match whole {
                    Ok(carry) => {
                        slices.push(carry.slice(at, end, &pack));
                        if last > end {
                            carried.push(carry);
                        }
                    }
                    Err(slice) => slices.push(*slice),
                }
                if slices.len() >= PIECES {
                    blocks.push(UnitBlock { block, slices: std::mem::take(&mut slices) });
                    self.send(&pack, &mut blocks)?;
                    stretch = 0;
                }
            }
            if !slices.is_empty() {
                stretch += u64::from(pack.record.table.blocks[block].sealed);
                let many = slices.len() + blocks.iter().map(|b| b.slices.len()).sum::<usize>() >= PIECES;
                blocks.push(UnitBlock { block, slices });
                if many {
                    self.send(&pack, &mut blocks)?;
                    stretch = 0;
                }
            }
            at = end;
        }
        self.send(&pack, &mut blocks)
    }

    fn fail_all(&mut self, pieces: &mut Pieces<'_>, reason: &Error) -> Result<()> {
        while let Some(piece) = pieces.next()? {
            self.fail_one(piece.whose, reason)?;
        }
        Ok(())
    }

    fn fail_one(&mut self, whose: Whose, reason: &Error) -> Result<()> {
        let mut outcome = Outcome::default();
        outcome.fail(&owner(whose), reason);
        self.sent += 1;
        self.say(Event::Done(self.batch, outcome))
    }
}

fn owner(whose: Whose) -> Owner {
    match whose {
        Whose::Small { id, path, entry } => Owner::Small { id, path, entry },
        Whose::Part(file) => Owner::Part(Arc::new(file)),
    }
}

impl Carried {
    /// A piece of a larger file; a small file is one slice and never goes on.
    fn of(piece: PieceRow) -> std::result::Result<Self, Box<Slice>> {
        let chunks = piece.first..piece.first.saturating_add(piece.count);
        match owner(piece.whose) {
            Owner::Part(file) => {
                Ok(Self { chunks, first: piece.first, offset: piece.offset, origin: piece.origin, file })
            }
            small @ Owner::Small { .. } => {
                Err(Box::new(Slice { chunks, offset: piece.offset, origin: piece.origin, owner: small }))
            }
        }
    }

    /// The part of it between the chunks `at` and `end`.
    fn slice(&self, at: u32, end: u32, pack: &PackAt) -> Slice {
        let chunks = self.chunks.start.max(at)..self.chunks.end.min(end);
        let offset = self.offset + pack.starts[chunks.start as usize] - pack.starts[self.first as usize];
        Slice { chunks, offset, origin: self.origin, owner: Owner::Part(Arc::clone(&self.file)) }
    }
}

/// The pieces of one pack, page by page.
struct Pieces<'a> {
    job: &'a JobFile,
    round: u32,
    pack: i64,
    after: (i64, i64, i64),
    page: VecDeque<PieceRow>,
    ended: bool,
}

impl Pieces<'_> {
    fn fill(&mut self) -> Result<()> {
        if self.page.is_empty() && !self.ended {
            self.page = self.job.pieces(self.round, self.pack, self.after, PAGE)?.into();
            self.ended = self.page.len() < PAGE;
            if let Some(last) = self.page.back() {
                let file = match &last.whose {
                    Whose::Small { id, .. } => *id,
                    Whose::Part(file) => file.id,
                };
                self.after = (i64::from(last.first), file, last.offset.cast_signed());
            }
        }
        Ok(())
    }
    fn peek(&mut self) -> Result<Option<&PieceRow>> {
        self.fill()?;
        Ok(self.page.front())
    }
    fn next(&mut self) -> Result<Option<PieceRow>> {
        self.fill()?;
        Ok(self.page.pop_front())
    }
    fn fail_next(&mut self, reason: &Error, cutter: &mut Cutter<'_>) -> Result<()> {
        match self.next()? {
            Some(piece) => cutter.fail_one(piece.whose, reason),
            None => Ok(()),
        }
    }
}
