//! Segments and merges of the log (docs/format.md section 5): records in, sealed bytes out, and back.
//!
//! A [`Builder`] takes records until [`Builder::is_full`], so that a sealed segment never passes its bound; a long
//! version goes in parts. Reading hands over record by record: nothing larger than one segment is held.

use super::wire::{Bytes, DeletionMap, LostMap, PackMap, StatusMap, TakeoverMap, VersionMap};
use super::{Header, MAX_SEGMENT, MAX_SEGMENT_MAP, ObjectKind, pack::PackRecord};
use crate::clock::Wall;
use crate::error::{Error, Result};
use crate::model::{
    Content, Device, Entry, FileTime, HardLink, Piece, SegmentNo, Seq, Sha256, Shape, Size, TreePath, Version, WriterId,
};
use crate::seal::compress::{Compressor, Decompressor};
use crate::seal::keys::SealKeys;
use crate::seal::{Entropy, MetaKey, sha256};
use minicbor::data::Type;
use minicbor::{Decoder, Encoder};
use std::collections::HashMap;

/// A builder takes no more records above this many bytes of them: with one record of at most ~3 MiB on top, even
/// what does not compress stays below [`MAX_SEGMENT`].
const FULL: usize = 5 << 20;
/// Most pieces of one part of a version.
pub const PART: usize = 50_000;
/// A writer closes a pack at this many chunks, so that its record stays small beside [`FULL`].
pub const PACK_CHUNKS: usize = 65_536;

/// One record of the log.
#[derive(Clone, Debug, PartialEq)]
pub enum Record {
    Pack(PackRecord),
    /// The only or the first part of a version; `more` when parts follow.
    Version {
        version: Version,
        more: bool,
    },
    /// A further part: content only.
    Part {
        path: TreePath,
        seq: Seq,
        part: u32,
        content: Content,
        more: bool,
    },
    Deletion {
        path: TreePath,
        seq: Seq,
        noticed: Wall,
    },
    Lost {
        hash: Sha256,
        seq: Seq,
    },
    Takeover {
        writer: WriterId,
        before: Option<WriterId>,
        at: Wall,
    },
    Status(Heartbeat),
    /// Written by a later release.
    Unknown(u64),
}

/// What a status record tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Heartbeat {
    pub at: Wall,
    pub lag_s: u64,
    pub files: u64,
    pub bytes: u64,
    pub safe_files: u64,
    pub safe_bytes: u64,
    pub dirty: u64,
    pub failed: u64,
    pub torn: u64,
}

/// What names a segment besides its records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentHead {
    pub number: SegmentNo,
    pub writer: WriterId,
    pub before: Option<Sha256>,
    pub written: Wall,
}

/// Sealed bytes and their hash.
#[derive(Clone, Debug)]
pub struct SealedObject {
    pub bytes: Vec<u8>,
    pub hash: Sha256,
}

/// Takes records for one segment or merge.
#[derive(Debug, Default)]
pub struct Builder {
    packs: Vec<Sha256>,
    places: HashMap<Sha256, u64>,
    records: Vec<u8>,
    count: u64,
}

impl Builder {
    pub fn new() -> Self {
        Self::default()
    }
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }
    /// Whether to finish this one and begin another.
    pub fn is_full(&self) -> bool {
        self.records.len() + self.packs.len() * 34 >= FULL
    }

    fn push(&mut self, number: u8, map: impl minicbor::Encode<()>) {
        let mut e = Encoder::new(&mut self.records);
        e.array(2).and_then(|e| e.u8(number)).and_then(|e| e.encode(map)).expect("encodes into memory");
        self.count += 1;
    }

    pub fn pack(&mut self, record: &PackRecord) {
        self.push(1, record.to_map());
    }

    /// Part number `part` of a version: its `pieces` of the content; part 0 carries the metadata.
    pub fn version(&mut self, version: &Version, part: u32, pieces: &[Piece], more: bool) {
        let mut map = if part == 0 { entry_to_map(&version.entry) } else { VersionMap::default() };
        map.path = Some(version.path.as_bytes().to_vec().into());
        map.seq = version.seq.0;
        if part == 0 {
            map.captured = Some(version.captured.0);
            map.torn = version.torn.then_some(true);
        }
        map.part = (part > 0 || more).then_some(part);
        map.more = more.then_some(true);
        if !pieces.is_empty() {
            map.content = Some(self.flat(pieces));
        }
        self.push(2, map);
    }

    fn flat(&mut self, pieces: &[Piece]) -> Vec<u64> {
        let mut out = Vec::with_capacity(pieces.len() * 3);
        for piece in pieces {
            match piece {
                Piece::Hole(n) => out.extend([0, *n]),
                Piece::Run { pack, first, count } => {
                    let place = *self.places.entry(*pack).or_insert_with(|| {
                        self.packs.push(*pack);
                        self.packs.len() as u64
                    });
                    out.extend([place, u64::from(*first), u64::from(*count)]);
                }
            }
        }
        out
    }

    pub fn deletion(&mut self, path: &TreePath, seq: Seq, noticed: Wall) {
        self.push(3, DeletionMap { path: path.as_bytes().to_vec().into(), seq: seq.0, noticed: noticed.0 });
    }
    pub fn lost(&mut self, hash: Sha256, seq: Seq) {
        self.push(4, LostMap { hash: hash.0.to_vec().into(), seq: seq.0 });
    }
    pub fn takeover(&mut self, writer: WriterId, before: Option<WriterId>, at: Wall) {
        self.push(
            5,
            TakeoverMap { writer: writer.0.to_vec().into(), before: before.map(|b| b.0.to_vec().into()), at: at.0 },
        );
    }
    pub fn status(&mut self, h: &Heartbeat) {
        let map = StatusMap {
            at: h.at.0,
            lag: h.lag_s,
            files: h.files,
            bytes: h.bytes,
            safe_files: h.safe_files,
            safe_bytes: h.safe_bytes,
            dirty: h.dirty,
            failed: h.failed,
            torn: h.torn,
        };
        self.push(6, map);
    }

    /// A record as it was read: for merges. Parts of versions keep their numbers.
    pub fn repeat(&mut self, record: &Record) {
        match record {
            Record::Pack(p) => self.pack(p),
            Record::Version { version, more } => self.version(version, 0, &version.content, *more),
            Record::Part { path, seq, part, content, more } => {
                let mut map = VersionMap {
                    path: Some(path.as_bytes().to_vec().into()),
                    seq: seq.0,
                    part: Some(*part),
                    more: more.then_some(true),
                    ..VersionMap::default()
                };
                map.content = Some(self.flat(content));
                self.push(2, map);
            }
            Record::Deletion { path, seq, noticed } => self.deletion(path, *seq, *noticed),
            Record::Lost { hash, seq } => self.lost(*hash, *seq),
            Record::Takeover { writer, before, at } => self.takeover(*writer, *before, *at),
            Record::Status(_) | Record::Unknown(_) => {}
        }
    }

    pub fn seal_segment(
        &self,
        head: &SegmentHead,
        keys: &SealKeys,
        compressor: &mut Compressor,
        entropy: &dyn Entropy,
    ) -> Result<SealedObject> {
        let mut map = Vec::with_capacity(self.records.len() + self.packs.len() * 34 + 100);
        let mut e = Encoder::new(&mut map);
        let encoded = (|| {
            e.map(5 + u64::from(head.before.is_some()))?.u8(1)?.u64(head.number.0)?.u8(2)?.bytes(&head.writer.0)?;
            if let Some(before) = head.before {
                e.u8(3)?.bytes(&before.0)?;
            }
            e.u8(4)?.i64(head.written.0)?;
            self.lists(&mut e)
        })();
        encoded.expect("encodes into memory");
        map.extend_from_slice(&self.records);
        seal(&map, ObjectKind::Segment, keys, compressor, entropy)
    }

    /// `repeats`: first and last number, and the hashes of the segments between, in order.
    pub fn seal_merge(
        &self,
        from: SegmentNo,
        to: SegmentNo,
        repeats: &[Sha256],
        written: Wall,
        keys: &SealKeys,
        compressor: &mut Compressor,
        entropy: &dyn Entropy,
    ) -> Result<SealedObject> {
        let mut map = Vec::with_capacity(self.records.len() + 100);
        let hashes: Vec<u8> = repeats.iter().flat_map(|h| h.0).collect();
        let mut e = Encoder::new(&mut map);
        let encoded = (|| {
            e.map(6)?.u8(1)?.u64(from.0)?.u8(7)?.u64(to.0)?.u8(8)?.bytes(&hashes)?.u8(4)?.i64(written.0)?;
            self.lists(&mut e)
        })();
        encoded.expect("encodes into memory");
        map.extend_from_slice(&self.records);
        seal(&map, ObjectKind::Merge, keys, compressor, entropy)
    }

    /// Keys 5 and 6; the records themselves follow.
    fn lists(
        &self,
        e: &mut Encoder<&mut Vec<u8>>,
    ) -> std::result::Result<(), minicbor::encode::Error<std::convert::Infallible>> {
        e.u8(5)?.array(self.packs.len() as u64)?;
        for pack in &self.packs {
            e.bytes(&pack.0)?;
        }
        e.u8(6)?.array(self.count)?;
        Ok(())
    }
}

fn seal(
    map: &[u8],
    kind: ObjectKind,
    keys: &SealKeys,
    compressor: &mut Compressor,
    entropy: &dyn Entropy,
) -> Result<SealedObject> {
    let header = Header::new(kind, keys.vault, entropy).to_bytes();
    let sealed = keys.meta.seal(&header, entropy, &compressor.frame(map)?);
    let bytes = [&header[..], &sealed].concat();
    if bytes.len() as u64 > MAX_SEGMENT {
        return Err(Error::damaged(format!("seal a segment: {} bytes is over its bound", bytes.len())));
    }
    let hash = sha256(&bytes);
    Ok(SealedObject { bytes, hash })
}

/// An opened segment or merge.
#[derive(Debug)]
pub struct Opened {
    map: Vec<u8>,
    packs: Vec<Sha256>,
    records: usize,
    pub from: SegmentNo,
    pub to: SegmentNo,
    /// None for merges.
    pub writer: Option<WriterId>,
    pub before: Option<Sha256>,
    pub written: Wall,
}

impl Opened {
    /// Damaged unless it opens, and is of `vault`.
    pub fn open(
        object: &[u8],
        kind: ObjectKind,
        keys_vault: crate::model::VaultId,
        meta: &MetaKey,
        bench: &mut Decompressor,
    ) -> Result<Self> {
        if object.len() as u64 > MAX_SEGMENT {
            return Err(Error::damaged("read a segment: larger than a segment can be"));
        }
        let (header, sealed) = Header::split(object, kind, Some(keys_vault))?;
        let map = bench.frame(&meta.open(&header.to_bytes(), sealed)?, MAX_SEGMENT_MAP)?;
        Self::parse(map).map_err(|e| Error::damaged("read a segment").because(e))
    }

    fn parse(map: Vec<u8>) -> std::result::Result<Self, minicbor::decode::Error> {
        let mut d = Decoder::new(&map);
        let bad = minicbor::decode::Error::message;
        let (mut from, mut to, mut writer, mut before, mut written, mut packs, mut records) =
            (None, None, None, None, Wall(0), vec![], None);
        for _ in 0..d.map()?.ok_or_else(|| bad("a map without a length"))? {
            match d.u64()? {
                1 => from = Some(d.u64()?),
                2 => writer = Some(WriterId::from_slice(d.bytes()?).ok_or_else(|| bad("writer id"))?),
                3 => before = Some(Sha256::from_slice(d.bytes()?).ok_or_else(|| bad("hash before"))?),
                4 => written = Wall(d.i64()?),
                5 => {
                    for _ in 0..d.array()?.ok_or_else(|| bad("a list without a length"))? {
                        packs.push(Sha256::from_slice(d.bytes()?).ok_or_else(|| bad("pack hash"))?);
                    }
                }
                6 => {
                    records = Some(d.position());
                    d.skip()?;
                }
                7 => to = Some(d.u64()?),
                _ => d.skip()?,
            }
        }
        let from = from.ok_or_else(|| bad("no number"))?;
        let records = records.ok_or_else(|| bad("no records"))?;
        Ok(Self {
            packs,
            records,
            from: SegmentNo(from),
            to: SegmentNo(to.unwrap_or(from)),
            writer,
            before,
            written,
            map,
        })
    }

    /// Hands every record to `each`, in order; the first error ends it.
    pub fn records(&self, mut each: impl FnMut(Record) -> Result<()>) -> Result<()> {
        let damaged = |e: minicbor::decode::Error| Error::damaged("read a record of the log").because(e);
        let mut d = Decoder::new(&self.map);
        d.set_position(self.records);
        let count = d
            .array()
            .map_err(damaged)?
            .ok_or_else(|| Error::damaged("read a record of the log: a list without a length"))?;
        for _ in 0..count {
            let record = self.record(&mut d).map_err(damaged)??;
            each(record)?;
        }
        Ok(())
    }

    fn record(&self, d: &mut Decoder<'_>) -> std::result::Result<Result<Record>, minicbor::decode::Error> {
        let parts = d.array()?;
        if parts != Some(2) || d.datatype()? == Type::Array {
            return Err(minicbor::decode::Error::message("a record is not a pair"));
        }
        Ok(match d.u64()? {
            1 => PackRecord::from_map(&d.decode::<PackMap>()?).map(Record::Pack),
            2 => self.version(d.decode()?),
            3 => {
                let m: DeletionMap = d.decode()?;
                path(m.path).map(|path| Record::Deletion { path, seq: Seq(m.seq), noticed: Wall(m.noticed) })
            }
            4 => {
                let m: LostMap = d.decode()?;
                hash(&m.hash).map(|hash| Record::Lost { hash, seq: Seq(m.seq) })
            }
            5 => {
                let m: TakeoverMap = d.decode()?;
                let writer = |b: &[u8]| {
                    WriterId::from_slice(b).ok_or_else(|| Error::damaged("read a takeover record: writer id"))
                };
                writer(&m.writer).and_then(|w| {
                    Ok(Record::Takeover {
                        writer: w,
                        before: m.before.as_deref().map(|b| writer(b)).transpose()?,
                        at: Wall(m.at),
                    })
                })
            }
            6 => {
                let m: StatusMap = d.decode()?;
                Ok(Record::Status(Heartbeat {
                    at: Wall(m.at),
                    lag_s: m.lag,
                    files: m.files,
                    bytes: m.bytes,
                    safe_files: m.safe_files,
                    safe_bytes: m.safe_bytes,
                    dirty: m.dirty,
                    failed: m.failed,
                    torn: m.torn,
                }))
            }
            n => {
                d.skip()?;
                Ok(Record::Unknown(n))
            }
        })
    }

    fn version(&self, mut m: VersionMap) -> Result<Record> {
        let content = self.content(m.content.take().as_deref().unwrap_or_default())?;
        let (path, seq, more) =
            (path(m.path.take().unwrap_or_else(|| vec![].into()))?, Seq(m.seq), m.more == Some(true));
        if let Some(part) = m.part.filter(|p| *p > 0) {
            return Ok(Record::Part { path, seq, part, content, more });
        }
        let (captured, torn) = (Wall(m.captured.unwrap_or_default()), m.torn == Some(true));
        let entry = entry_from_map(m)?;
        Ok(Record::Version { version: Version { path, seq, captured, entry, content, torn }, more })
    }

    fn content(&self, flat: &[u64]) -> Result<Content> {
        let wrong = || Error::damaged("read a version: its content list is broken");
        let (mut out, mut at) = (Vec::new(), flat.iter());
        while let Some(place) = at.next() {
            let mut number = || at.next().copied().ok_or_else(wrong);
            out.push(match *place {
                0 => Piece::Hole(number()?),
                p => Piece::Run {
                    pack: *usize::try_from(p - 1).ok().and_then(|i| self.packs.get(i)).ok_or_else(wrong)?,
                    first: u32::try_from(number()?).map_err(|_| wrong())?,
                    count: u32::try_from(number()?).map_err(|_| wrong())?,
                },
            });
        }
        Ok(out)
    }
}

fn path(bytes: Bytes) -> Result<TreePath> {
    TreePath::from_bytes(Vec::from(bytes))
        .ok_or_else(|| Error::damaged("read a record: its path could escape or is malformed"))
}

fn hash(bytes: &[u8]) -> Result<Sha256> {
    Sha256::from_slice(bytes).ok_or_else(|| Error::damaged("read a record: a hash has another size"))
}

fn entry_to_map(entry: &Entry) -> VersionMap {
    let bytes = |b: &Vec<u8>| Bytes::from(b.clone());
    let (shape, target, device) = match &entry.shape {
        Shape::File => (0, None, None),
        Shape::Dir => (1, None, None),
        Shape::Symlink(target) => (2, Some(bytes(target)), None),
        Shape::Fifo => (3, None, None),
        Shape::CharDevice(d) => (4, None, Some(d)),
        Shape::BlockDevice(d) => (5, None, Some(d)),
    };
    VersionMap {
        shape: Some(shape),
        mode: Some(entry.mode),
        uid: Some(entry.uid),
        gid: Some(entry.gid),
        user: entry.user.as_ref().map(bytes),
        group: entry.group.as_ref().map(bytes),
        mtime: Some(entry.mtime.secs),
        mtime_nanos: Some(entry.mtime.nanos),
        birth: entry.birth.map(|b| b.secs),
        birth_nanos: entry.birth.map(|b| b.nanos),
        size: (entry.shape == Shape::File).then_some(entry.size.0),
        target,
        xattrs: (!entry.xattrs.is_empty())
            .then(|| entry.xattrs.iter().flat_map(|(n, v)| [bytes(n), bytes(v)]).collect()),
        major: device.map(|d| d.major),
        minor: device.map(|d| d.minor),
        link_dev: entry.link.map(|l| l.dev),
        link_ino: entry.link.map(|l| l.ino),
        ..VersionMap::default()
    }
}

fn entry_from_map(m: VersionMap) -> Result<Entry> {
    let wrong = |what: &str| Error::damaged(format!("read a version: {what}"));
    let device = Device { major: m.major.unwrap_or_default(), minor: m.minor.unwrap_or_default() };
    let shape = match m.shape {
        Some(0) => Shape::File,
        Some(1) => Shape::Dir,
        Some(2) => Shape::Symlink(m.target.ok_or_else(|| wrong("a symlink without a target"))?.into()),
        Some(3) => Shape::Fifo,
        Some(4) => Shape::CharDevice(device),
        Some(5) => Shape::BlockDevice(device),
        _ => return Err(wrong("unknown shape")),
    };
    let time = |secs: i64, nanos: Option<u32>| {
        let nanos = nanos.unwrap_or_default();
        if nanos < 1_000_000_000 {
            Ok(FileTime { secs, nanos })
        } else {
            Err(wrong("a time of a billion nanoseconds and more"))
        }
    };
    let mut pairs = m.xattrs.unwrap_or_default().into_iter().map(Vec::from);
    let mut xattrs = vec![];
    while let Some(name) = pairs.next() {
        xattrs.push((name, pairs.next().ok_or_else(|| wrong("an attribute without a value"))?));
    }
    Ok(Entry {
        shape,
        mode: m.mode.unwrap_or(0o600) & 0o7777,
        uid: m.uid.unwrap_or_default(),
        gid: m.gid.unwrap_or_default(),
        user: m.user.map(Vec::from),
        group: m.group.map(Vec::from),
        mtime: time(m.mtime.unwrap_or_default(), m.mtime_nanos)?,
        birth: m.birth.map(|b| time(b, m.birth_nanos)).transpose()?,
        size: Size(m.size.unwrap_or_default()),
        xattrs,
        link: m.link_dev.zip(m.link_ino).map(|(dev, ino)| HardLink { dev, ino }),
    })
}

/// An entry as the catalog keeps it: the same CBOR as in the log, without path and content.
pub fn entry_to_cbor(entry: &Entry) -> Vec<u8> {
    minicbor::to_vec(entry_to_map(entry)).expect("encodes into memory")
}

pub fn entry_from_cbor(bytes: &[u8]) -> Result<Entry> {
    entry_from_map(minicbor::decode(bytes).map_err(|e| Error::damaged("read an entry").because(e))?)
}

/// A list of numbers, as contents are kept.
pub fn numbers_to_cbor(numbers: &[u64]) -> Vec<u8> {
    minicbor::to_vec(numbers).expect("encodes into memory")
}

pub fn numbers_from_cbor(bytes: &[u8]) -> Result<Vec<u64>> {
    minicbor::decode(bytes).map_err(|e| Error::damaged("read a list of numbers").because(e))
}

#[cfg(test)]
#[path = "segment_tests.rs"]
mod tests;
