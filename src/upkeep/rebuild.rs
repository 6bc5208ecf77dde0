//! A catalog from the vault alone: every segment of the log, merges first, record by record into rows.
//!
//! Nothing is skipped in silence and nothing ends it but the vault or the disk failing: a segment that does not
//! open, a record that makes no sense, a number missing or double is reported, and everything else is used
//! (promise 9). Only what a later release wrote ends it: this one would take an old state for the newest. One
//! transaction a segment; never more than one segment is held.
//!
//! Dying here leaves a catalog half filled: the caller rebuilds into a new file and gives it its name when whole.

use crate::catalog::{Catalog, Importer, Part, SegmentRow};
use crate::clock::Wall;
use crate::error::{Error, Kind, Result};
use crate::format::log::{LogIndex, Reading};
use crate::format::segment::{Opened, Record};
use crate::format::{LOG_PREFIX, MAX_SEGMENT, Name, ObjectKind};
use crate::model::{SegmentNo, Seq, Sha256, TreePath, WriterId};
use crate::seal::compress::Decompressor;
use crate::seal::keys::SealKeys;
use crate::seal::sha256;
use crate::store::{Cover, Depth, ObjectStore};
use crate::worker::Stop;
use std::collections::{BTreeMap, HashMap};

/// Objects read at once, and their bytes together.
const AHEAD: (usize, u64) = (16, 24 << 20);
/// Problems told one by one; beyond that only counted.
const TOLD: usize = 1000;

/// Neighbouring segments of which nothing could be read, neither themselves nor by a merge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lost {
    pub from: SegmentNo,
    pub to: SegmentNo,
    /// Names of their objects, as far as known: a listing shows the damaged ones, a segment names the one before it.
    pub names: Vec<String>,
    /// When the segments around them were written: what was published between the two is what may be missing.
    pub after: Option<Wall>,
    pub before: Option<Wall>,
}

/// What was found in the log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    pub segments: u64,
    pub versions: u64,
    pub deletions: u64,
    pub packs: u64,
    /// Numbers no segment has.
    pub gaps: Vec<SegmentNo>,
    /// Numbers two segments claim: two writers met.
    pub doubles: Vec<SegmentNo>,
    /// What of the log is lost altogether.
    pub lost: Vec<Lost>,
    /// Objects that could not be read, and why.
    pub unreadable: Vec<(String, String)>,
    /// Records and chains that make no sense, in words.
    pub oddities: Vec<String>,
    /// Records of types a later release writes.
    pub unknown_records: u64,
    /// Versions whose later parts are missing: they do not exist.
    pub incomplete_versions: u64,
    /// Highest number there is, 0 for an empty log.
    pub last_segment: SegmentNo,
    /// Objects of the log behind a delete marker, or beneath other bytes: read all the same, and an alarm.
    pub hidden: u64,
    pub overwritten: u64,
    /// Why nobody could look behind what is missing, where that is so.
    pub unseen: Option<&'static str>,
    /// Who wrote last.
    pub last_writer: Option<WriterId>,
    pub last_written: Option<Wall>,
}

impl Report {
    /// Whether the whole log was there and made sense.
    pub fn is_sound(&self) -> bool {
        self.gaps.is_empty()
            && self.doubles.is_empty()
            && self.unreadable.is_empty()
            && self.oddities.is_empty()
            && self.incomplete_versions == 0
    }

    fn met(&mut self, path: &TreePath, seq: Seq, kept: Seq) {
        if seq != kept {
            self.odd(format!("{path}: another record has its seq {}: two writers met", seq.0));
        }
    }

    fn odd(&mut self, text: String) {
        if self.oddities.len() < TOLD {
            self.oddities.push(text);
        }
    }
}

/// Fills a new catalog. `roots` are those of the config, none where only a restore is wanted. `progress` is told
/// how many objects of the log were read, and of how many.
pub fn rebuild(
    store: &dyn ObjectStore,
    keys: &SealKeys,
    catalog: &Catalog,
    roots: &[TreePath],
    stop: &Stop,
    progress: &dyn Fn(u64, u64),
) -> Result<Report> {
    if catalog.last_segment()?.is_some() {
        return Err(Error::operator("rebuild a catalog: this one is not empty")
            .remedy("move it aside; a rebuild fills a new file"));
    }
    let (mut index, mut sizes) = (LogIndex::default(), BTreeMap::new());
    let (mut hidden, mut overwritten) = (0, 0);
    let inventory = store.inventory(LOG_PREFIX, &mut |held| {
        stop.check()?;
        if let Some(name) = Name::parse(held.object.name.as_str()) {
            index.add(name);
            sizes.insert(name, held.object.size);
            hidden += u64::from(held.cover == Cover::DeleteMarker);
            overwritten += u64::from(held.cover == Cover::OtherBytes);
        }
        Ok(())
    })?;
    let mut work = Work {
        store,
        keys,
        catalog,
        stop,
        sizes,
        bench: Decompressor::new()?,
        open: HashMap::new(),
        ahead: HashMap::new(),
        before: None,
        covered: (SegmentNo::default(), None),
        report: Report {
            gaps: index.gaps(),
            doubles: index.doubles(),
            last_segment: index.last().unwrap_or_default(),
            hidden,
            overwritten,
            unseen: if let Depth::Surface(why) = inventory.depth { Some(why) } else { None },
            ..Report::default()
        },
    };
    let readings = index.readings();
    let mut read = 0;
    while read < readings.len() {
        let group = work.read_ahead(&readings[read..])?;
        for reading in &readings[read..read + group] {
            progress(read as u64, readings.len() as u64);
            match reading {
                Reading::Segment(name) => work.segment(*name)?,
                Reading::Merge(name, segments) => work.merge(*name, segments)?,
            }
            read += 1;
        }
    }
    work.end(&index);
    work.drop_incomplete()?;
    let ends = index.last().unwrap_or_default();
    catalog.keep_log_end(ends, index.segment(ends))?;
    catalog.finish_import(roots)?;
    progress(readings.len() as u64, readings.len() as u64);
    Ok(work.report)
}

/// Split versions whose last part was not read yet: under which seq each is kept, and the part that must come next.
type OpenVersions = HashMap<(Seq, TreePath), (Seq, u32)>;

struct Work<'a> {
    store: &'a dyn ObjectStore,
    keys: &'a SealKeys,
    catalog: &'a Catalog,
    stop: &'a Stop,
    sizes: BTreeMap<Name, u64>,
    bench: Decompressor,
    open: OpenVersions,
    /// Objects read and not yet used.
    ahead: HashMap<Name, Result<Vec<u8>>>,
    /// Number and hash of the segment read last.
    before: Option<(SegmentNo, Sha256)>,
    /// The last number all before which was read or is told as lost, and when the last segment was written.
    covered: (SegmentNo, Option<Wall>),
    report: Report,
}

impl Work<'_> {
    fn segment(&mut self, name: Name) -> Result<()> {
        let Name::Segment(number, hash) = name else { return Ok(()) };
        let Some(opened) = self.open(name, ObjectKind::Segment)? else { return Ok(()) };
        if opened.from != number {
            self.report.odd(format!("segment {}: it calls itself {}", number.0, opened.from.0));
        }
        if let (Some((last, expected)), Some(told)) = (self.before, opened.before)
            && last.next() == number
            && expected != told
        {
            self.report.odd(format!("segment {}: it follows another segment {} than the one there", number.0, last.0));
        }
        self.before = Some((number, hash));
        self.cover(number, number, opened.written, opened.before);
        let row = SegmentRow { number, hash, size: self.size(name), written: opened.written };
        self.report.last_writer = opened.writer.or(self.report.last_writer);
        self.take(&opened, Some(&row))
    }

    fn merge(&mut self, name: Name, segments: &[Name]) -> Result<()> {
        let Some(opened) = self.open(name, ObjectKind::Merge)? else {
            return segments.iter().try_for_each(|s| self.segment(*s));
        };
        self.take(&opened, None)?;
        if let Name::Merge(from, to, _) = name {
            self.cover(from, to, opened.written, None);
        }
        for one in segments {
            if let Name::Segment(number, hash) = *one {
                self.catalog.import_row(&SegmentRow {
                    number,
                    hash,
                    size: self.size(*one),
                    written: opened.written,
                })?;
                self.before = Some((number, hash));
            }
        }
        Ok(())
    }

    /// The segments `from` to `to` are read. Those between them and the ones before are lost.
    fn cover(&mut self, from: SegmentNo, to: SegmentNo, written: Wall, before: Option<Sha256>) {
        let (last, at) = self.covered;
        if from > last.next() {
            let until = SegmentNo(from.0 - 1);
            self.lose(last.next(), until, (at, Some(written)), before.map(|hash| Name::Segment(until, hash)));
        }
        self.covered = (to.max(last), Some(written));
    }

    /// What a listing shows beyond the last segment that could be read is lost too.
    fn end(&mut self, index: &LogIndex) {
        let (last, at) = self.covered;
        if let Some(end) = index.last().filter(|end| *end > last) {
            self.lose(last.next(), end, (at, None), None);
        }
    }

    fn lose(
        &mut self,
        from: SegmentNo,
        to: SegmentNo,
        (after, before): (Option<Wall>, Option<Wall>),
        told: Option<Name>,
    ) {
        let is_in = |name: &&Name| matches!(name, Name::Segment(n, _) if (from..=to).contains(n));
        let mut names: Vec<String> = self.sizes.keys().filter(is_in).map(Name::to_string).take(TOLD).collect();
        if let Some(name) = told.map(|name| name.to_string()).filter(|name| !names.contains(name)) {
            names.push(name);
        }
        self.report.lost.push(Lost { from, to, names, after, before });
    }

    fn size(&self, name: Name) -> u64 {
        self.sizes.get(&name).copied().unwrap_or_default()
    }

    /// None, with a line in the report, when it cannot be used; an error only when the vault itself fails.
    fn open(&mut self, name: Name, kind: ObjectKind) -> Result<Option<Opened>> {
        match self.try_open(name, kind) {
            Ok(opened) => Ok(Some(opened)),
            Err(e) if e.kind() == Kind::Damaged => {
                self.report.unreadable.push((name.to_string(), e.to_string()));
                Ok(None)
            }
            Err(e) => Err(e),
        }
    }

    fn read(&self, name: Name) -> Result<Vec<u8>> {
        if self.size(name) > MAX_SEGMENT {
            return Err(Error::damaged(format!("read {name}: larger than a segment can be")));
        }
        self.store.read(&name.into(), None, self.stop)
    }

    /// Reads the next few objects at once, since a far vault takes its time for each; how many.
    fn read_ahead(&mut self, readings: &[Reading]) -> Result<usize> {
        self.stop.check()?;
        let mut bytes = 0;
        let names: Vec<Name> = readings
            .iter()
            .map(|(Reading::Segment(name) | Reading::Merge(name, _))| *name)
            .take_while(|name| {
                let first = bytes == 0;
                bytes += self.size(*name).max(1);
                first || bytes <= AHEAD.1
            })
            .take(AHEAD.0)
            .collect();
        let this = &*self;
        let read: Vec<_> = std::thread::scope(|scope| {
            let reads: Vec<_> = names.iter().map(|name| scope.spawn(|| this.read(*name))).collect();
            reads.into_iter().map(|r| r.join().unwrap_or_else(|_| Err(Error::retry("read the log")))).collect()
        });
        let count = names.len();
        self.ahead = names.into_iter().zip(read).collect();
        Ok(count)
    }

    fn try_open(&mut self, name: Name, kind: ObjectKind) -> Result<Opened> {
        let mut object = match self.ahead.remove(&name) {
            Some(object) => object?,
            None => self.read(name)?,
        };
        let is_its_name = |object: &[u8]| name.sum().is_none_or(|sum| sha256(object) == sum);
        if !is_its_name(&object) && self.store.uncover(&name.into())? {
            object = self.read(name)?;
        }
        let is_whole = is_its_name(&object);
        let opened = Opened::open(&object, kind, self.keys.vault, &self.keys.meta, &mut self.bench).map_err(|e| {
            match (e.kind(), is_whole) {
                (Kind::Operator, true) => e.during(&format!("read {name}")),
                // A version of the format is believed only where nothing was changed.
                (Kind::Operator, false) => Error::damaged("read an object: it is not what its name says"),
                _ => e,
            }
        })?;
        if !is_whole {
            self.report.odd(format!("{name}: a sound segment under a name that is not its own"));
        }
        Ok(opened)
    }

    /// One transaction. A record that makes no sense ends its segment there; what came before it stays.
    fn take(&mut self, opened: &Opened, row: Option<&SegmentRow>) -> Result<()> {
        self.report.segments += 1;
        self.report.last_written = self.report.last_written.max(Some(opened.written));
        let (open, report) = (&mut self.open, &mut self.report);
        self.catalog.import(opened.from.0, row, |importer| {
            let (mut failed, mut broken) = (None, None);
            let read = opened.records(|record| {
                record_into(importer, record, open, report).map_err(|e| {
                    // Ours fails the whole; the log's own trouble ends only this segment.
                    failed = Some(e);
                    Error::stopping()
                })
            });
            if let Err(e) = read {
                broken = failed.is_none().then_some(e);
            }
            if let Some(e) = broken {
                report.odd(format!("segment {}: {e}; what follows in it is lost", opened.from.0));
            }
            failed.map_or(Ok(()), Err)
        })
    }

    fn drop_incomplete(&mut self) -> Result<()> {
        if self.open.is_empty() {
            return Ok(());
        }
        let open: Vec<Seq> = self.open.drain().map(|(_, (kept, _))| kept).collect();
        self.report.incomplete_versions += open.len() as u64;
        self.catalog.import(0, None, |importer| open.into_iter().try_for_each(|seq| importer.drop_version(seq)))
    }
}

fn record_into(
    importer: &mut Importer<'_>,
    record: Record,
    open: &mut OpenVersions,
    report: &mut Report,
) -> Result<()> {
    match record {
        Record::Pack(pack) => {
            report.packs += 1;
            importer.pack(pack)
        }
        Record::Version { version, more } => {
            let Some(kept) = importer.version(&version)? else { return Ok(()) };
            report.versions += 1;
            report.met(&version.path, version.seq, kept);
            if more {
                open.insert((version.seq, version.path), (kept, 1));
            }
            Ok(())
        }
        Record::Part { path, seq, part, content, more } => {
            // Read before, from a double or a merge; or its first part was lost with its segment.
            let Some((kept, expected)) = open.remove(&(seq, path.clone())) else { return Ok(()) };
            if part < expected {
                open.insert((seq, path), (kept, expected));
                return Ok(());
            }
            if part > expected || importer.part(kept, &content)? == Part::Orphan {
                report.incomplete_versions += 1;
                report.odd(format!("{path}: a version misses its part {expected}"));
                return importer.drop_version(kept);
            }
            if more {
                open.insert((seq, path), (kept, expected + 1));
            }
            Ok(())
        }
        Record::Deletion { path, seq, noticed } => {
            if let Some(kept) = importer.deletion(&path, seq, noticed)? {
                report.deletions += 1;
                report.met(&path, seq, kept);
            }
            Ok(())
        }
        Record::Lost { hash, seq } => importer.lost(hash, seq),
        Record::Drill(receipt) => importer.drill(&receipt),
        Record::Takeover { .. } | Record::Status(_) => Ok(()),
        Record::Unknown(_) => {
            report.unknown_records += 1;
            Ok(())
        }
    }
}
