//! One unit of work: a stretch of neighbouring blocks of one pack, read at once, opened, proved, and written where
//! they belong. Any thread; holds one stretch and one block.
//!
//! A stretch that cannot be read is read block by block, and a block that does not open is read once more: what is
//! lost is lost by the block, and its pieces are handed back as broken.

use super::layout::Starts;
use super::progress::Progress;
use super::second::SecondLook;
use crate::catalog::jobs::FileRow;
use crate::chunk::Chunker;
use crate::error::{Error, Kind, Result};
use crate::format::pack::{OpenBench, PackOpener, PackRecord};
use crate::model::{Entry, Size, TreePath};
use crate::place::{Clobber, Partial, Placed, Shortfall, Target};
use crate::seal::keys::OpenKeys;
use crate::store::{ObjectName, ObjectStore};
use crate::worker::{Faults, Stop};
use std::collections::HashSet;
use std::ops::Range;
use std::sync::{Arc, Mutex};

/// Parts of larger files held open.
const OPEN_PARTS: usize = 64;

pub(super) struct PackAt {
    pub id: i64,
    pub name: ObjectName,
    pub record: PackRecord,
    pub starts: Starts,
}

#[derive(Clone, Debug)]
pub(super) enum Owner {
    /// The chunk is the whole file.
    Small {
        id: i64,
        path: TreePath,
        entry: Box<Entry>,
    },
    Part(Arc<FileRow>),
}

impl Owner {
    pub fn path(&self) -> &TreePath {
        match self {
            Self::Small { path, .. } => path,
            Self::Part(file) => &file.path,
        }
    }
    pub fn id(&self) -> i64 {
        match self {
            Self::Small { id, .. } => *id,
            Self::Part(file) => file.id,
        }
    }
    /// The job's row, where there is one.
    pub fn row(&self) -> Option<i64> {
        match self {
            Self::Small { .. } => None,
            Self::Part(file) => Some(file.id),
        }
    }
}

/// Chunks of one block and where in a file they go.
#[derive(Clone, Debug)]
pub(super) struct Slice {
    pub chunks: Range<u32>,
    pub offset: u64,
    pub origin: i64,
    pub owner: Owner,
}

pub(super) struct UnitBlock {
    pub block: usize,
    pub slices: Vec<Slice>,
}

pub(super) struct Unit {
    pub batch: u64,
    pub pack: Arc<PackAt>,
    /// Neighbours in the pack, in order.
    pub blocks: Vec<UnitBlock>,
}

/// What is not as it was, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shortfalls {
    pub owner: u64,
    pub set_id: u64,
    pub mode: u64,
    pub time: u64,
    pub attributes: u64,
    /// Things the target or whoever restores cannot have: devices, links.
    pub unsupported: u64,
}

impl Shortfalls {
    pub(super) fn note(&mut self, short: &[Shortfall]) {
        for one in short {
            *match one {
                Shortfall::Owner => &mut self.owner,
                Shortfall::SetId => &mut self.set_id,
                Shortfall::Mode => &mut self.mode,
                Shortfall::Time => &mut self.time,
                Shortfall::Attribute(_) => &mut self.attributes,
            } += 1;
        }
    }
    /// By the names of the job's counters.
    pub(super) fn counts(&self) -> [(&'static str, u64); 6] {
        [
            ("short_owner", self.owner),
            ("short_set_id", self.set_id),
            ("short_mode", self.mode),
            ("short_time", self.time),
            ("short_attributes", self.attributes),
            ("unsupported", self.unsupported),
        ]
    }
    pub(super) fn add(&mut self, other: Self) {
        self.owner += other.owner;
        self.set_id += other.set_id;
        self.mode += other.mode;
        self.time += other.time;
        self.attributes += other.attributes;
        self.unsupported += other.unsupported;
    }
}

/// What became of one thing that was to be placed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Became {
    Done,
    /// Its name was taken by something else, which is kept.
    Skipped,
    Unsupported,
}

/// What one or more units came to.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub bytes: u64,
    pub done: u64,
    pub skipped: u64,
    /// File and chunks written of it.
    pub written: Vec<(i64, u64)>,
    pub failed: Vec<(Option<i64>, TreePath, String)>,
    pub broken: Vec<(Arc<PackAt>, Slice, String)>,
    pub short: Shortfalls,
}

impl std::fmt::Debug for PackAt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.name)
    }
}

impl Outcome {
    pub fn fail(&mut self, owner: &Owner, reason: &Error) {
        self.failed.push((owner.row(), owner.path().clone(), reason.to_string()));
    }
    pub fn became(&mut self, became: Became) {
        match became {
            Became::Done => self.done += 1,
            Became::Skipped => self.skipped += 1,
            Became::Unsupported => self.short.unsupported += 1,
        }
    }
}

/// Parts of larger files, held open while they are written. Shared by all workers.
#[derive(Debug, Default)]
pub(super) struct OpenParts {
    open: Mutex<Vec<(i64, Arc<Partial>)>>,
    /// Files begun in this run and not finished.
    begun: Mutex<HashSet<i64>>,
}

impl OpenParts {
    /// None: it has its name already. An earlier run gave it, and a power cut took the note.
    fn get(&self, target: &Target, file: &FileRow) -> Result<Option<Arc<Partial>>> {
        let mut open = self.open.lock().expect("parts lock");
        if let Some(at) = open.iter().position(|(id, _)| *id == file.id) {
            let found = open.remove(at);
            let part = Arc::clone(&found.1);
            open.push(found);
            return Ok(Some(part));
        }
        let part_number = file.id.cast_unsigned();
        let is_new = self.begun.lock().expect("parts lock").insert(file.id);
        let part = if is_new && file.untouched {
            target.begin(&file.path, file.entry.size, part_number)?
        } else {
            match target.resume(&file.path, file.entry.size, part_number)? {
                Some(part) => part,
                None if target.look(&file.path)?.is_some_and(|s| s.is_like(&file.entry)) => return Ok(None),
                None => return Err(part_is_gone(&file.path)),
            }
        };
        if open.len() >= OPEN_PARTS {
            open.remove(0);
        }
        let part = Arc::new(part);
        open.push((file.id, Arc::clone(&part)));
        Ok(Some(part))
    }

    pub fn forget(&self, id: i64) {
        self.open.lock().expect("parts lock").retain(|(held, _)| *held != id);
        self.begun.lock().expect("parts lock").remove(&id);
    }
}

pub(super) fn part_is_gone(path: &TreePath) -> Error {
    Error::path(format!("restore {path}: what was restored of it before is gone")).remedy("restore it again by itself")
}

/// Whether an earlier run of the job may have placed things it did not note.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Attempt {
    First,
    Again,
}

/// What one worker holds: a stretch as it was read, and a block opened. Both go round.
pub(super) struct Hands {
    open: OpenBench,
    sealed: Vec<u8>,
}

impl Hands {
    pub fn new() -> Result<Self> {
        Ok(Self { open: OpenBench::new()?, sealed: vec![] })
    }
}

/// What a worker needs; shared by all.
pub(super) struct Bench<'a> {
    pub store: &'a dyn ObjectStore,
    pub keys: &'a OpenKeys,
    pub chunker: &'a Chunker,
    pub target: &'a Target,
    pub clobber: Clobber,
    pub attempt: Attempt,
    pub parts: &'a OpenParts,
    pub faults: &'a Faults,
    pub stop: &'a Stop,
    pub progress: &'a Progress,
    pub second: &'a SecondLook,
}

impl Bench<'_> {
    /// An error ends the whole fetch: the vault or the target itself fails, or it is to stop.
    pub fn run(&self, unit: &Unit, hands: &mut Hands) -> Result<Outcome> {
        self.stop.check()?;
        let mut out = Outcome::default();
        let opener = match PackOpener::new(&unit.pack.record, self.keys) {
            Ok(opener) => opener,
            Err(e) => {
                unit.blocks.iter().for_each(|b| broken(&mut out, &unit.pack, b, &e));
                return Ok(out);
            }
        };
        let (Some(first), Some(last)) = (unit.blocks.first(), unit.blocks.last()) else { return Ok(out) };
        let stretch = opener.range(first.block).start..opener.range(last.block).end;
        let Hands { open, sealed } = hands;
        let bytes = match self.store.read_into(&unit.pack.name, Some(stretch.clone()), sealed, self.stop) {
            Ok(()) => Some(sealed.as_slice()),
            Err(e) if e.kind() == Kind::Damaged => None,
            Err(e) => return Err(e),
        };
        for block in &unit.blocks {
            let range = opener.range(block.block);
            let held = bytes.and_then(|bytes| {
                let at = usize::try_from(range.start - stretch.start).ok()?;
                let end = usize::try_from(range.end - stretch.start).ok()?;
                bytes.get(at..end)
            });
            let mut opened = self.opened(unit, &opener, block.block, held, open);
            if opened.as_ref().is_err_and(|e| e.kind() == Kind::Damaged) && self.second.look(self.store, &unit.pack)? {
                opened = self.opened(unit, &opener, block.block, None, open);
            }
            match opened {
                Ok(()) => self.place(unit, &opener, block, open.text(), &mut out)?,
                Err(e) if e.kind() == Kind::Damaged => broken(&mut out, &unit.pack, block, &e),
                Err(e) => return Err(e),
            }
        }
        Progress::add(&self.progress.files, out.done + out.skipped);
        Progress::add(&self.progress.bytes, out.bytes);
        Ok(out)
    }

    /// Afterwards the bench holds the block's text.
    fn opened(
        &self,
        unit: &Unit,
        opener: &PackOpener<'_>,
        block: usize,
        held: Option<&[u8]>,
        open: &mut OpenBench,
    ) -> Result<()> {
        if let Some(held) = held
            && opener.open(block, held, open, self.chunker).is_ok()
        {
            return Ok(());
        }
        let again = self.store.read(&unit.pack.name, Some(opener.range(block)), self.stop)?;
        opener.open(block, &again, open, self.chunker).map(drop)
    }

    fn place(
        &self,
        unit: &Unit,
        opener: &PackOpener<'_>,
        block: &UnitBlock,
        text: &[u8],
        out: &mut Outcome,
    ) -> Result<()> {
        let starts = &unit.pack.starts;
        let begin = starts[opener.first_chunk(block.block) as usize];
        for slice in &block.slices {
            let at = |chunk: u32| usize::try_from(starts[chunk as usize] - begin).expect("within a block");
            let bytes = &text[at(slice.chunks.start)..at(slice.chunks.end)];
            match self.write(slice, bytes, out) {
                Ok(()) => {}
                Err(e) if e.kind() == Kind::Path => out.fail(&slice.owner, &e),
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    fn write(&self, slice: &Slice, bytes: &[u8], out: &mut Outcome) -> Result<()> {
        match &slice.owner {
            Owner::Small { id, path, entry } => {
                let became = self.small(*id, path, entry, bytes, &mut out.short)?;
                out.became(became);
            }
            Owner::Part(file) => {
                if slice.offset + bytes.len() as u64 > file.entry.size.0 {
                    return Err(Error::path(format!("restore {}: its content is longer than its record", file.path)));
                }
                self.faults.at("part.write")?;
                if let Some(part) = self.parts.get(self.target, file)? {
                    part.write_at(slice.offset, bytes)?;
                }
                out.written.push((file.id, u64::from(slice.chunks.end - slice.chunks.start)));
            }
        }
        out.bytes += bytes.len() as u64;
        Ok(())
    }

    /// Opened, written, dressed and named in one go.
    fn small(&self, id: i64, path: &TreePath, entry: &Entry, bytes: &[u8], short: &mut Shortfalls) -> Result<Became> {
        if entry.size.0 != bytes.len() as u64 {
            return Err(Error::path(format!(
                "restore {path}: its content is {} bytes long, its record says {}",
                bytes.len(),
                entry.size.0
            )));
        }
        let place = |clobber| {
            // The one write gives it its size.
            self.faults.at("small.write")?;
            let part = self.target.begin(path, Size(0), id.cast_unsigned())?;
            part.write_at(0, bytes)?;
            self.faults.at("small.name")?;
            let placed = part.finish(entry, clobber)?;
            self.faults.at("small.named")?;
            Ok(placed)
        };
        let mut placed = place(self.clobber)?;
        if matches!(placed, Placed::Skipped(_)) {
            let standing = self.target.look(path)?;
            match self.attempt {
                // Nothing was there when the job was planned, so this is what an earlier run named before its batch was
                // synced; after a power cut its contents may not be what its stamp says, or not be there at all.
                Attempt::Again if standing.is_some_and(|s| s.is_left_of(entry)) => placed = place(Clobber::Replace)?,
                _ if standing.is_some_and(|s| s.is_like(entry)) => {}
                _ => return Ok(Became::Skipped),
            }
        }
        if let Placed::Done(shortfalls) = placed {
            short.note(&shortfalls);
        }
        Ok(Became::Done)
    }
}

fn broken(out: &mut Outcome, pack: &Arc<PackAt>, block: &UnitBlock, reason: &Error) {
    let reason = reason.to_string();
    out.broken.extend(block.slices.iter().map(|s| (Arc::clone(pack), s.clone(), reason.clone())));
}
