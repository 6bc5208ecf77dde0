//! Parts to packs: known chunks stop here, new ones are laid in blocks, compressed, sealed and proved on worker
//! threads, and written in order into the spool; then ONE transaction says pack, places, versions now complete and
//! dirty rows settled.
//!
//! One pack a lane (a tier, and a place in the order) is open at a time: what goes first never waits for what goes later to
//! fill a pack. Writer and closer ([`write`]) take what they are told in order, so packs commit in
//! the order they were closed, and a version commits after every pack it needs. Dying before the transaction leaves dirty rows and
//! an orphan file; dying after it leaves the pack to the uploader.
//!
//! Held in memory: the block being filled, those being sealed, and where the chunks of packs not yet committed lie.

mod write;

use super::Engine;
use super::capture::{Lane, Message, Part, Stretch, Taken, Turns, Whose};
use crate::catalog::{CatalogPiece, FirstWalks, KeptContent, Known, NodeId, Origin, Outcome, RootId, Settled};
use crate::error::{Error, Result};
use crate::format::MAX_BLOCK;
use crate::format::pack::{Bench, BlockSealer, NewPack, SealedBlock};
use crate::format::segment::PACK_CHUNKS;
use crate::model::{ChunkId, Seq, Tier};
use crate::seal::TAG;
use crate::seal::compress::KEPT;
use crossbeam_channel::{Receiver, Sender, bounded};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use write::{Closing, Closings, Writer};

/// A block is sealed once this much lies in it; a larger chunk stands alone.
const BLOCK: usize = 1 << 20;
/// Settled paths that need no pack are committed in lots of this size.
const LOT: usize = 2000;
/// Paths that may wait for one pack: of very small files, a pack is closed before it is full.
const MOST_WAITING: usize = 32_768;
/// How much a pack may stop short of its target: half a block.
const SHORT: u64 = 512 << 10;

/// How far the writing of one pack has come.
#[derive(Debug, Default)]
struct Meter {
    text: AtomicU64,
    sealed: AtomicU64,
}

/// The way back for the buffers of blocks, to whoever fills the next one.
#[derive(Clone)]
struct Texts(Sender<Vec<u8>>);

impl Texts {
    fn give(&self, mut text: Vec<u8>) {
        if (BLOCK / 2..=KEPT).contains(&text.capacity()) {
            text.clear();
            let _ = self.0.try_send(text);
        }
    }
}

/// A block on its way to a sealing thread, and where the result goes.
struct Job {
    sealer: BlockSealer,
    number: u32,
    text: Vec<u8>,
    chunks: Vec<(ChunkId, u32)>,
    done: Sender<Result<SealedBlock>>,
}

/// Whose a chunk is that was never seen before.
type Owner = (RootId, Origin);
/// Bytes of a pack's chunks by whose they are.
type Fresh = BTreeMap<Owner, u64>;

/// To the writer, in order.
enum Order {
    Begin { id: i64, pack: NewPack, lane: Lane, root: RootId, meter: Arc<Meter> },
    Block { id: i64, sealed: Receiver<Result<SealedBlock>> },
    Finish { id: i64, settled: Vec<Settled>, fresh: Fresh },
    Commit(Vec<Settled>),
}

/// The pack being filled.
struct Open {
    id: i64,
    sealer: BlockSealer,
    meter: Arc<Meter>,
    /// Chunks given a number so far, sealed or not.
    chunks: u32,
    blocks: u32,
    /// Text handed to the sealers so far.
    dispatched: u64,
    text: Vec<u8>,
    list: Vec<(ChunkId, u32)>,
    settled: Vec<Settled>,
    fresh: Fresh,
}

impl Open {
    /// Bytes the pack will have once all that lies in it is sealed: the block being filled too, for on a slow line a block
    /// is as much as a pack.
    fn expected(&self) -> u64 {
        let (text, sealed) = (self.meter.text.load(Ordering::Relaxed), self.meter.sealed.load(Ordering::Relaxed));
        let under_way = (self.dispatched + self.text.len() as u64).saturating_sub(text);
        sealed + (under_way * sealed).checked_div(text).unwrap_or(under_way)
    }
}

/// Fills packs from messages. One a capture.
struct Packer<'a> {
    engine: &'a Engine,
    jobs: Sender<Job>,
    orders: Sender<Order>,
    /// Emptied stretches on their way back to the readers, and emptied texts of blocks from the sealers.
    spares: &'a Sender<Stretch>,
    texts: Receiver<Vec<u8>>,
    closings: &'a Closings,
    turns: &'a Turns,
    walks: &'a FirstWalks,
    open: HashMap<Lane, Open>,
    /// Chunks of packs not yet committed.
    recent: HashMap<ChunkId, (Tier, i64, u32)>,
    /// Content so far of long files.
    long: HashMap<NodeId, Vec<CatalogPiece>>,
    /// Settled paths that need no open pack.
    free: Vec<Settled>,
    /// Settled paths that need several open packs.
    several: Vec<Settled>,
}

impl Engine {
    /// Packs everything the readers send, until they are done.
    pub(super) fn pack_all(&self, messages: Receiver<Message>, spares: &Sender<Stretch>, turns: &Turns) -> Result<()> {
        let walks = self.catalog.first_walks()?;
        let threads = std::thread::available_parallelism().map_or(2, usize::from).clamp(1, 4);
        let (jobs_in, jobs_out) = bounded::<Job>(1);
        let (orders_in, orders_out) = bounded::<Order>(threads + 1);
        let (texts_in, texts_out) = bounded::<Vec<u8>>(threads);
        let texts_in = Texts(texts_in);
        let (closings_in, closings_out) = bounded::<Closing<'_>>(1);
        let closings = Closings::default();
        std::thread::scope(|s| {
            for _ in 0..threads {
                let (jobs, texts) = (jobs_out.clone(), texts_in.clone());
                s.spawn(move || self.seal_blocks(&jobs, &texts));
            }
            drop(jobs_out);
            let (told, walks) = (&closings, &walks);
            let closer = s.spawn(move || self.close_packs(&closings_out, told, turns, walks));
            let writer = s.spawn(move || Writer::new(self, closings_in, texts_in).run(&orders_out));
            let mut packer = Packer {
                engine: self,
                jobs: jobs_in,
                orders: orders_in,
                spares,
                texts: texts_out,
                closings: told,
                turns,
                walks,
                open: HashMap::new(),
                recent: HashMap::new(),
                long: HashMap::new(),
                free: vec![],
                several: vec![],
            };
            let packed = messages.iter().try_for_each(|m| packer.message(m)).and_then(|()| packer.close_all());
            // Nothing more comes: readers that still wait are told by the channel, workers end with theirs.
            drop(messages);
            drop(packer);
            let written = writer.join().expect("the writer does not panic");
            let closed = closer.join().expect("the closer does not panic");
            // Where several failed, the last one in the chain has the true reason.
            closed.and(written).and(packed)
        })
    }

    fn seal_blocks(&self, jobs: &Receiver<Job>, texts: &Texts) {
        let mut bench = Bench::new(self.settings.level);
        for job in jobs {
            let sealed = match &mut bench {
                Ok(bench) => job.sealer.seal(job.number, job.text, job.chunks, bench, &self.chunker),
                Err(e) => Err(Error::new(e.kind(), e.to_string())),
            };
            // The writer may have failed meanwhile.
            let _ = job.done.send(sealed.map(|(block, spare)| {
                texts.give(spare.unwrap_or_default());
                block
            }));
        }
    }
}

fn stopped<T>(_: crossbeam_channel::SendError<T>) -> Error {
    Error::stopping()
}

impl Packer<'_> {
    fn message(&mut self, message: Message) -> Result<()> {
        self.engine.stop.check()?;
        self.forget_committed();
        match message {
            Message::Whole { stretch, lane, paths } => {
                let mut laid = self.lay(&stretch, lane)?;
                for (parts, taken) in paths {
                    let owner = self.owner(Whose::of(&taken.row));
                    let mut content = vec![];
                    for _ in 0..parts {
                        laid.next(self, owner, &mut content)?;
                    }
                    self.complete(taken, &content)?;
                }
                self.give_back(stretch);
            }
            Message::Stretch { file, whose, lane, stretch } => {
                let mut content = self.long.remove(&file).unwrap_or_default();
                let (mut laid, owner) = (self.lay(&stretch, lane)?, self.owner(whose));
                for _ in 0..stretch.parts.len() {
                    laid.next(self, owner, &mut content)?;
                }
                self.long.insert(file, content);
                self.give_back(stretch);
            }
            Message::End { file, taken } => {
                let content = self.long.remove(&file).unwrap_or_default();
                self.complete(*taken, &content)?;
            }
            Message::Dropped { file } => {
                self.long.remove(&file);
            }
            Message::Border(rank) => {
                // Its own, and those that hold something it needs.
                let ends = |(lane, open): (&Lane, &Open)| {
                    (lane.rank == rank || open.settled.iter().any(|one| one.row.rank <= rank)).then_some(*lane)
                };
                let lanes: Vec<Lane> = self.open.iter().filter_map(ends).collect();
                lanes.into_iter().try_for_each(|lane| self.finish(lane))?;
                if self.several.iter().any(|one| one.row.rank <= rank) {
                    self.finish_all()?;
                }
                self.commit_free()?;
            }
        }
        if self.free.len() >= LOT {
            self.commit_free()?;
        }
        Ok(())
    }

    fn owner(&self, whose: Whose) -> Owner {
        (whose.root, self.walks.origin(whose.root, whose.notice))
    }

    /// What a commit wrote is found in the catalog from now on.
    fn forget_committed(&mut self) {
        let ids = std::mem::take(&mut *self.closings.committed.lock().expect("committed lock"));
        if !ids.is_empty() {
            self.recent.retain(|_, (_, pack, _)| !ids.contains(pack));
        }
    }

    /// A stretch ready to be packed: what is known of its chunks is asked for all of them at once.
    fn lay<'s>(&self, stretch: &'s Stretch, lane: Lane) -> Result<Laid<'s>> {
        let ids: Vec<ChunkId> = stretch.parts.iter().filter_map(chunk_id).collect();
        let known = self.engine.catalog.known(&ids, lane.tier)?.into_iter();
        Ok(Laid { parts: stretch.parts.iter(), text: &stretch.text, known, lane })
    }

    /// The reader's buffers go back to it.
    fn give_back(&self, mut stretch: Stretch) {
        if stretch.text.capacity() <= KEPT {
            stretch.parts.clear();
            stretch.text.clear();
            let _ = self.spares.try_send(stretch);
        }
    }

    /// A chunk never seen goes into the open pack of its lane.
    fn add(&mut self, id: ChunkId, bytes: &[u8], lane: Lane, owner: Owner) -> Result<(i64, u32)> {
        if !self.open.contains_key(&lane) {
            self.begin(lane, owner.0)?;
        }
        let open = self.open.get_mut(&lane).expect("just begun");
        if !open.text.is_empty() && open.text.len() + bytes.len() > BLOCK {
            self.dispatch(lane)?;
        }
        let open = self.open.get_mut(&lane).expect("still open");
        debug_assert!(bytes.len() as u64 <= MAX_BLOCK);
        let place = (open.id, open.chunks);
        *open.fresh.entry(owner).or_default() += bytes.len() as u64;
        open.text.reserve_exact(bytes.len() + TAG);
        open.text.extend_from_slice(bytes);
        open.list.push((id, u32::try_from(bytes.len()).expect("a chunk is at most 4 MiB")));
        open.chunks += 1;
        self.recent.insert(id, (lane.tier, place.0, place.1));
        let (full, many) = (open.text.len() >= BLOCK, open.chunks as usize >= PACK_CHUNKS);
        if full {
            self.dispatch(lane)?;
        }
        let open = &self.open[&lane];
        let target = self.engine.pack_target();
        if many || open.expected() + SHORT.min(target / 8) >= target {
            self.finish(lane)?;
        }
        Ok(place)
    }

    /// Opens a pack once the spool has room for it.
    fn begin(&mut self, lane: Lane, root: RootId) -> Result<()> {
        let engine = self.engine;
        loop {
            let room = engine.room(self.turns)?;
            self.turns.tell_room(room);
            if room.free > 0 {
                break;
            }
            // What is open takes room too, and gives it back only when it is sent.
            if let Some(last) = self.open.keys().max().copied() {
                self.finish(last)?;
                continue;
            }
            engine.bells.upload.ring();
            if engine.stop.wait(Duration::from_millis(100)) {
                return Err(Error::stopping());
            }
        }
        let pack = NewPack::begin(&engine.keys, &*engine.entropy);
        let (id, meter) = (engine.catalog.new_pack_id(), Arc::new(Meter::default()));
        let open = Open {
            id,
            sealer: pack.sealer(),
            meter: Arc::clone(&meter),
            chunks: 0,
            blocks: 0,
            dispatched: 0,
            text: vec![],
            list: vec![],
            settled: vec![],
            fresh: Fresh::new(),
        };
        self.open.insert(lane, open);
        self.turns.opened(lane.rank);
        self.orders.send(Order::Begin { id, pack, lane, root, meter }).map_err(stopped)
    }

    fn dispatch(&mut self, lane: Lane) -> Result<()> {
        let Some(open) = self.open.get_mut(&lane).filter(|o| !o.text.is_empty()) else { return Ok(()) };
        let (done, sealed) = bounded(1);
        let text = self.texts.try_recv().unwrap_or_else(|_| Vec::with_capacity(BLOCK + TAG));
        let job = Job {
            sealer: open.sealer.clone(),
            number: open.blocks,
            text: std::mem::replace(&mut open.text, text),
            chunks: std::mem::take(&mut open.list),
            done,
        };
        open.dispatched += job.text.len() as u64;
        open.blocks += 1;
        self.orders.send(Order::Block { id: open.id, sealed }).map_err(stopped)?;
        self.jobs.send(job).map_err(stopped)
    }

    /// Closes the open pack of a lane with the paths that wait for it.
    fn finish(&mut self, lane: Lane) -> Result<()> {
        self.dispatch(lane)?;
        if let Some(open) = self.open.remove(&lane) {
            if !self.open.keys().any(|other| other.rank == lane.rank) {
                self.turns.closed(lane.rank);
                self.turns.tell_room(self.engine.room(self.turns)?);
            }
            self.orders
                .send(Order::Finish { id: open.id, settled: open.settled, fresh: open.fresh })
                .map_err(stopped)?;
        }
        if !self.several.is_empty() {
            let several = std::mem::take(&mut self.several);
            self.finish_all()?;
            self.orders.send(Order::Commit(several)).map_err(stopped)?;
        }
        Ok(())
    }

    /// The foremost first.
    fn finish_all(&mut self) -> Result<()> {
        while let Some(lane) = self.open.keys().min().copied() {
            self.finish(lane)?;
        }
        Ok(())
    }

    fn close_all(&mut self) -> Result<()> {
        self.finish_all()?;
        self.commit_free()
    }

    fn commit_free(&mut self) -> Result<()> {
        if self.free.is_empty() {
            Ok(())
        } else {
            self.orders.send(Order::Commit(std::mem::take(&mut self.free))).map_err(stopped)
        }
    }

    /// A path is whole: it waits for the open packs it needs, or for none.
    fn complete(&mut self, taken: Taken, content: &[CatalogPiece]) -> Result<()> {
        let needs =
            |open: &Open| content.iter().any(|p| matches!(p, CatalogPiece::Run { pack, .. } if *pack == open.id));
        let settled = self.settled(taken, content)?;
        let mut needed = self.open.iter_mut().filter(|(_, open)| needs(open));
        match (needed.next(), needed.next()) {
            (None, _) => self.free.push(settled),
            (Some((lane, open)), None) => {
                let lane = *lane;
                open.settled.push(settled);
                if open.settled.len() >= MOST_WAITING {
                    self.finish(lane)?;
                }
            }
            (Some(_), Some(_)) => {
                self.several.push(settled);
                if self.several.len() >= LOT {
                    self.finish_all()?;
                }
            }
        }
        Ok(())
    }

    /// With its content, or as the same again when nothing about it changed.
    fn settled(&self, taken: Taken, content: &[CatalogPiece]) -> Result<Settled> {
        let Taken { row, captured, mut outcome, before, .. } = taken;
        if let Outcome::Version(version) = &mut outcome {
            version.content = KeptContent::of(content);
            // Seq 0: the only version it had was lost with its pack.
            let compared = before.filter(|seq| !version.torn && *seq != Seq(0));
            if compared.map_or(Ok(false), |seq| self.engine.catalog.is_same(seq, version))? {
                outcome = Outcome::Same { stamp: version.stamp, again: version.again };
            }
        }
        Ok(Settled { row, captured, outcome })
    }
}

/// A stretch of which some parts are packed.
struct Laid<'s> {
    parts: std::slice::Iter<'s, Part>,
    /// From the next part's chunk on.
    text: &'s [u8],
    known: std::vec::IntoIter<Option<Known>>,
    lane: Lane,
}

impl Laid<'_> {
    /// Packs the next part, if need be, and adds its place to the content.
    fn next(&mut self, packer: &mut Packer<'_>, owner: Owner, content: &mut Vec<CatalogPiece>) -> Result<()> {
        match *self.parts.next().expect("as many parts as were counted") {
            Part::Hole(n) => match content.last_mut() {
                Some(CatalogPiece::Hole(before)) => *before += n,
                _ => content.push(CatalogPiece::Hole(n)),
            },
            Part::Chunk { id, len } => {
                let bytes;
                (bytes, self.text) = self.text.split_at(len as usize);
                let stored = self.known.next().flatten().map(|k| (k.pack, k.number));
                let recent = || packer.recent.get(&id).filter(|r| r.0.serves(self.lane.tier)).map(|r| (r.1, r.2));
                let (pack, number) = match stored.or_else(recent) {
                    Some(place) => place,
                    None => packer.add(id, bytes, self.lane, owner)?,
                };
                push_run(content, pack, number);
            }
        }
        Ok(())
    }
}

fn chunk_id(part: &Part) -> Option<ChunkId> {
    match part {
        Part::Chunk { id, .. } => Some(*id),
        Part::Hole(_) => None,
    }
}

fn push_run(content: &mut Vec<CatalogPiece>, pack: i64, number: u32) {
    if let Some(CatalogPiece::Run { pack: last, first, count }) = content.last_mut()
        && *last == pack
        && *first + *count == number
    {
        *count += 1;
        return;
    }
    content.push(CatalogPiece::Run { pack, first: number, count: 1 });
}
