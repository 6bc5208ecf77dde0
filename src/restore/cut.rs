//! The pieces of each pack, in pack order, cut into units of work: neighbouring blocks joined into stretches, each
//! block's pieces with it. Pieces are read from the job page by page; a piece over several blocks is carried along.

use super::fetch::{Abort, Fetching};
use super::layout::starts;
use super::settle::Event;
use super::thaw::{Thawer, Turn};
use super::unit::{Outcome, Owner, PackAt, Slice, Unit, UnitBlock};
use crate::catalog::jobs::{Cursor, FileRow, JobFile, PieceRow, Whose};
use crate::error::{Error, Result};
use crate::format::Name;
use crate::store::ObjectName;
use crate::worker::Stop;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;

/// Bytes of one read, about.
const STRETCH: u64 = 8 << 20;
/// A unit has no more pieces than this; a block with more is read again for each so many.
const PIECES: usize = 4096;
/// A batch ends at so many pieces, if not before.
const BATCH_PIECES: u64 = 50_000;
/// Pieces read from the job at once.
const PAGE: usize = 2000;

/// Cuts the pieces of each pack into units.
pub(super) struct Cutter<'a> {
    job: &'a JobFile,
    stop: &'a Stop,
    round: u32,
    units: SyncSender<Unit>,
    tell: SyncSender<Event>,
    abort: &'a Abort,
    batch_bytes: u64,
    batch: u64,
    /// Place of the pack in hand in the order of fetching: its id, or its turn.
    at: i64,
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

impl<'a> Cutter<'a> {
    pub fn new(
        job: &'a JobFile,
        with: &'a Fetching<'_>,
        round: u32,
        units: SyncSender<Unit>,
        tell: SyncSender<Event>,
        abort: &'a Abort,
    ) -> Self {
        let (stop, batch_bytes) = (with.stop, with.batch_bytes);
        Self { job, stop, round, units, tell, abort, batch_bytes, batch: 0, at: 0, sent: 0, bytes: 0, pieces: 0 }
    }

    /// In the order of ids, or where there is cold storage in that of thawing.
    pub fn run(&mut self, from: Cursor, mut thawer: Option<&mut Thawer<'_>>) -> Result<()> {
        let mut next = from.pack;
        loop {
            let turn = match &mut thawer {
                Some(thawer) => thawer.next(next)?,
                None => match self.job.pack_from(self.round, next)? {
                    Some(pack) => Turn::Pack { turn: pack, pack, chunk: 0 },
                    None => Turn::Over,
                },
            };
            let at = |turn, chunk| if turn == from.pack && from.chunk > 0 { from.chunk } else { chunk };
            match turn {
                Turn::Pack { turn, pack, chunk } => {
                    self.at = turn;
                    self.pack(pack, at(turn, chunk))?;
                    next = turn + 1;
                }
                Turn::Unpaid { turn, pack } => {
                    let e = Error::path("another copy of it lies frozen in a pack that was not in the plan")
                        .remedy("restore it again by itself: its price is shown then");
                    self.fail_all(&mut Pieces::of(self.job, self.round, pack), &e)?;
                    next = turn + 1;
                }
                Turn::NotYet => {
                    if self.sent > 0 {
                        self.close(Cursor { round: self.round, pack: next, chunk: 0 })?;
                    }
                    if let Some(thawer) = &mut thawer {
                        thawer.wait(&|| self.abort.raised())?;
                    }
                    if self.abort.raised() {
                        return Err(Error::stopping());
                    }
                }
                Turn::Over => break,
            }
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
        let mut pieces = Pieces::of(self.job, self.round, id);
        let found = self.job.pack(id)?;
        let Some((record, hash, tier)) = found.and_then(|p| p.record.map(|r| (r, p.hash, p.tier))) else {
            let e = Error::path("no segment of the log tells what is in its pack, and the pack itself cannot be read");
            return self.fail_all(&mut pieces, &e);
        };
        let name = ObjectName::from(Name::Pack(tier, hash));
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
                    self.close(Cursor { round: self.round, pack: self.at, chunk: at })?;
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

impl<'a> Pieces<'a> {
    fn of(job: &'a JobFile, round: u32, pack: i64) -> Self {
        Self { job, round, pack, after: (-1, -1, -1), page: VecDeque::new(), ended: false }
    }

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
