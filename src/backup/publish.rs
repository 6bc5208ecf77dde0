//! Stored packs and complete versions to a segment of the log: what it names, once it is stored, is safe.
//!
//! A segment is sealed once, synced in the spool, and named by one transaction; from then on exactly these bytes go to
//! the vault, however often it takes. The next publication begins when all segments of the last one are stored, so
//! what is published later never overtakes. Dying before the transaction leaves an orphan file.
//!
//! Nothing is named that was not stored before (promise 1); a deletion only after all of its root that was noticed
//! before it (promise 14).

use super::{Engine, SOON};
use crate::catalog::{CatalogPiece, DrillId, LogRow, NodeId, SegmentRow, State};
use crate::clock::Wall;
use crate::error::{Error, Result};
use crate::format::Name;
use crate::format::segment::{Builder, Heartbeat, PART, SealedObject, SegmentHead};
use crate::model::{Content, Piece, SegmentNo, Seq, Sha256, TreePath, Version, WriterId};
use crate::seal::compress::Compressor;
use std::collections::HashMap;
use std::sync::atomic::Ordering;

/// Records asked for at once, by number.
const PAGE: usize = 2000;
/// Records read whole at once: of very long files, even these are megabytes.
const TOGETHER: usize = 64;
/// The same for records of packs: each may list tens of thousands of chunks.
const PACKS: usize = 2;

/// Deletions of one publication; the others follow in the next.
const MOST_DELETIONS: usize = 100_000;

/// Whether a publication would say anything new.
pub fn anything_to_publish(engine: &Engine) -> Result<bool> {
    let catalog = &engine.catalog;
    let deletions = || {
        engine
            .roots
            .iter()
            .map(|r| catalog.ready_deletions(r.id, 0, 1))
            .try_fold(false, |any, d| Ok(any || !d?.is_empty()))
    };
    Ok(!catalog.ready_versions(Seq(0), 1)?.is_empty()
        || !catalog.unpublished_packs(0, 1)?.is_empty()
        || !catalog.unpublished_losses()?.is_empty()
        || !catalog.unpublished_drills()?.is_empty()
        || deletions()?)
}

/// Why a publication happens now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Occasion {
    /// There is something new to name.
    News,
    /// Nothing is new; the log says that we live.
    Heartbeat,
}

impl Engine {
    /// Whether to publish now: when the queue is drained; while it is not, on the timetable, and soon after the last of
    /// what goes before all that waits was stored; before a window closes; and to say that we live.
    pub fn occasion(&self) -> Result<Option<Occasion>> {
        let catalog = &self.catalog;
        if self.segment_is_under_way()? {
            return Ok(None);
        }
        let since = catalog.last_segment()?.map(|s| self.clock.wall().since(s.written));
        if anything_to_publish(self)? {
            let (due, _) = catalog.queue(self.now_ms())?;
            let capturing = self.figures.capturing.load(Ordering::SeqCst) > 0;
            let walking = self.figures.walking.load(Ordering::SeqCst) > 0;
            let (packs, _) = catalog.spooled_packs()?;
            // Packs that may not go hold up no others: what is stored is named by the log, which still goes.
            let held = self.figures.packs_wait.load(Ordering::SeqCst);
            let rest = held && !catalog.unpublished_packs(0, 1)?.is_empty();
            let drained = (due.rows == 0 && packs == 0 || rest) && !capturing && !walking;
            let first_mark = catalog.fact::<i64>("unpublished_since")?;
            let now = self.clock.wall();
            let Some(first) = first_mark.map(Wall) else {
                self.faults.at("publish.since")?;
                catalog.set_fact("unpublished_since", now.0)?;
                return Ok(drained.then_some(Occasion::News));
            };
            let waited = first > now || now.since(first) >= self.settings.publish_every;
            let soon = since.is_none_or(|s| s >= self.settings.publish_every.min(SOON)) && self.foremost_is_stored()?;
            let last_call = self.figures.last_call.load(Ordering::SeqCst);
            return Ok((drained || waited || soon || last_call).then_some(Occasion::News));
        }
        let heartbeat = since.is_some_and(|s| s >= self.settings.heartbeat);
        Ok(heartbeat.then_some(Occasion::Heartbeat))
    }

    /// Whether something may be named now, and nothing sealed waits that goes before it or with it: what goes first does
    /// not wait for what goes later to be sent.
    fn foremost_is_stored(&self) -> Result<bool> {
        let Some(number) = self.figures.ready.load(Ordering::SeqCst).checked_sub(1) else { return Ok(false) };
        let foremost = self.catalog.foremost_spooled()?;
        Ok(foremost.is_none_or(|waits| waits.number() as u64 > number))
    }

    fn segment_is_under_way(&self) -> Result<bool> {
        Ok(matches!(self.catalog.spooled(1)?.first(), Some(crate::catalog::SpooledObject::Segment(_))))
    }

    /// Seals the next segments into the spool. How many.
    pub fn publish(&self) -> Result<u64> {
        let mut page = Publication::new(self)?;
        self.figures.ready.store(0, Ordering::SeqCst);
        let takeover = self.catalog.fact::<Vec<u8>>("takeover_from")?;
        if let (Some(before), Some((_, writer))) = (&takeover, self.catalog.identity()?) {
            page.builder.takeover(writer, WriterId::from_slice(before), self.clock.wall());
        }
        let mut after = 0;
        loop {
            let packs = self.catalog.unpublished_packs(after, PACKS)?;
            let Some(last) = packs.last() else { break };
            after = last.id;
            for pack in packs {
                page.builder.pack(&pack.record);
                page.packs.push(pack.id);
                page.seal_if_full()?;
            }
        }
        // Deletions that may go now: asked before this publication's own versions count as published.
        let mut deletions = vec![];
        for root in &self.roots {
            let mut after = 0;
            loop {
                let found = self.catalog.ready_deletions(root.id, after, PAGE)?;
                let Some((last, _)) = found.last() else { break };
                after = *last;
                deletions.extend(found.into_iter().map(|(_, seq)| seq));
                if deletions.len() >= MOST_DELETIONS {
                    break;
                }
            }
        }
        let mut after = Seq(0);
        loop {
            let records = self.catalog.ready_versions(after, PAGE)?;
            let Some(last) = records.last() else { break };
            after = *last;
            page.records(&records)?;
        }
        page.records(&deletions)?;
        for (hash, seq) in self.catalog.unpublished_losses()? {
            page.builder.lost(hash, seq);
            page.losses.push(hash);
        }
        for receipt in self.catalog.unpublished_drills()? {
            page.builder.drill(&receipt);
            page.drills.push(receipt.id);
            page.seal_if_full()?;
        }
        page.builder.status(&self.heartbeat()?);
        page.seal()?;
        let sealed = page.sealed;
        self.faults.at("publish.end")?;
        self.catalog.clear_fact("unpublished_since")?;
        self.faults.at("publish.end")?;
        self.catalog.clear_fact("takeover_from")?;
        self.bells.upload.ring();
        Ok(sealed)
    }

    fn heartbeat(&self) -> Result<Heartbeat> {
        let now = self.clock.wall();
        let mut h = Heartbeat { at: now, ..Heartbeat::default() };
        for root in &self.roots {
            let c = self.catalog.root_counts(root.id)?;
            h.files += c.files;
            h.bytes += c.bytes;
            h.safe_files += c.safe_files;
            h.safe_bytes += c.safe_bytes;
            h.dirty += c.dirty;
            h.failed += c.failed;
            h.torn += c.torn;
            h.lag_s = h.lag_s.max(c.oldest.map_or(0, |at| now.since(at).as_secs()));
        }
        Ok(h)
    }
}

/// One publication under way.
struct Publication<'a> {
    engine: &'a Engine,
    builder: Builder,
    compressor: Compressor,
    packs: Vec<i64>,
    records: Vec<Seq>,
    losses: Vec<Sha256>,
    drills: Vec<DrillId>,
    number: SegmentNo,
    before: Option<Sha256>,
    sealed: u64,
    /// Hashes of packs and paths of folders met lately.
    hashes: HashMap<i64, Sha256>,
    folder: Option<(NodeId, TreePath)>,
}

impl<'a> Publication<'a> {
    fn new(engine: &'a Engine) -> Result<Self> {
        let last = engine.catalog.last_segment()?;
        let (ends, _) = engine.catalog.log_end()?;
        let number = last.map_or(SegmentNo::default(), |s| s.number).max(ends);
        Ok(Self {
            engine,
            builder: Builder::new(),
            compressor: Compressor::new(engine.settings.level)?,
            packs: vec![],
            records: vec![],
            losses: vec![],
            drills: vec![],
            number: number.next(),
            before: last.filter(|s| s.number == number).map(|s| s.hash),
            sealed: 0,
            hashes: HashMap::new(),
            folder: None,
        })
    }

    fn records(&mut self, seqs: &[Seq]) -> Result<()> {
        for few in seqs.chunks(TOGETHER) {
            for row in self.engine.catalog.log_rows(few)? {
                self.record(row)?;
                self.seal_if_full()?;
            }
        }
        Ok(())
    }

    fn record(&mut self, row: LogRow) -> Result<()> {
        let path = self.path(row.parent, &row.name)?;
        match row.state {
            State::Deleted => self.builder.deletion(&path, row.seq, row.captured),
            State::Version { entry, torn } => {
                let content = self.content(row.content)?;
                let LogRow { seq, captured, .. } = row;
                let version = Version { path, seq, captured, entry: *entry, content: vec![], torn };
                let mut parts = content.chunks(PART).enumerate().peekable();
                if parts.peek().is_none() {
                    self.builder.version(&version, 0, &[], false);
                }
                while let Some((number, pieces)) = parts.next() {
                    let part =
                        u32::try_from(number).map_err(|_| Error::damaged("publish a version: too many parts"))?;
                    self.builder.version(&version, part, pieces, parts.peek().is_some());
                    if parts.peek().is_some() {
                        self.seal_if_full()?;
                    }
                }
            }
        }
        self.records.push(row.seq);
        Ok(())
    }

    fn path(&mut self, parent: NodeId, name: &[u8]) -> Result<TreePath> {
        if self.folder.as_ref().is_none_or(|(id, _)| *id != parent) {
            let path = if parent == NodeId::TOP { TreePath::root() } else { self.engine.catalog.path_of(parent)? };
            self.folder = Some((parent, path));
        }
        let (_, folder) = self.folder.as_ref().expect("just set");
        folder.join(name).ok_or_else(|| Error::damaged("publish a version: a name is no name"))
    }

    fn content(&mut self, pieces: Vec<CatalogPiece>) -> Result<Content> {
        pieces
            .into_iter()
            .map(|piece| {
                Ok(match piece {
                    CatalogPiece::Hole(n) => Piece::Hole(n),
                    CatalogPiece::Run { pack, first, count } => Piece::Run { pack: self.hash(pack)?, first, count },
                })
            })
            .collect()
    }

    fn hash(&mut self, pack: i64) -> Result<Sha256> {
        if let Some(hash) = self.hashes.get(&pack) {
            return Ok(*hash);
        }
        let hash = self
            .engine
            .catalog
            .pack_hash(pack)?
            .ok_or_else(|| Error::damaged("publish a version: a pack it needs is missing from the catalog"))?;
        if self.hashes.len() >= 4096 {
            self.hashes.clear();
        }
        self.hashes.insert(pack, hash);
        Ok(hash)
    }

    fn seal_if_full(&mut self) -> Result<()> {
        if self.builder.is_full() { self.seal() } else { Ok(()) }
    }

    fn seal(&mut self) -> Result<()> {
        if self.builder.is_empty() {
            return Ok(());
        }
        let engine = self.engine;
        let (_, writer) =
            engine.catalog.identity()?.ok_or_else(|| Error::damaged("publish: the catalog has no identity"))?;
        let head = SegmentHead { number: self.number, writer, before: self.before, written: engine.clock.wall() };
        let SealedObject { bytes, hash } =
            self.builder.seal_segment(&head, &engine.keys, &mut self.compressor, &*engine.entropy)?;
        engine.faults.at("segment.write")?;
        let mut file = engine.spool.begin()?;
        file.write(&bytes)?;
        file.finish(&Name::Segment(self.number, hash).to_string())?;
        engine.faults.at("segment.commit")?;
        let row = SegmentRow { number: self.number, hash, size: bytes.len() as u64, written: head.written };
        engine.catalog.segment_sealed(&row, &self.packs, &self.records, &self.losses, &self.drills)?;
        self.builder = Builder::new();
        self.packs.clear();
        self.records.clear();
        self.losses.clear();
        self.drills.clear();
        self.before = Some(hash);
        self.number = self.number.next();
        self.sealed += 1;
        Ok(())
    }
}
