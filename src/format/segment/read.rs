//! Sealed bytes in, records out. They are handed over one by one: nothing larger than one segment is held. A record of
//! a later release is passed on as its number, so that a reader goes on with the next.

use super::entry::entry_from_map;
use super::{Heartbeat, Receipt, Record};
use crate::clock::Wall;
use crate::error::{Error, Result};
use crate::format::pack::PackRecord;
use crate::format::wire::{Bytes, DeletionMap, LostMap, PackMap, StatusMap, TakeoverMap, VersionMap};
use crate::format::{Header, MAX_SEGMENT, MAX_SEGMENT_MAP, ObjectKind};
use crate::model::{Content, Piece, SegmentNo, Seq, Sha256, TreePath, VaultId, Version, WriterId};
use crate::seal::MetaKey;
use crate::seal::compress::Decompressor;
use minicbor::data::Type;
use minicbor::{Decoder, decode};

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
        keys_vault: VaultId,
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

    fn parse(map: Vec<u8>) -> std::result::Result<Self, decode::Error> {
        let mut d = Decoder::new(&map);
        let bad = decode::Error::message;
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
        let damaged = |e: decode::Error| Error::damaged("read a record of the log").because(e);
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

    fn record(&self, d: &mut Decoder<'_>) -> std::result::Result<Result<Record>, decode::Error> {
        let parts = d.array()?;
        if parts != Some(2) || d.datatype()? == Type::Array {
            return Err(decode::Error::message("a record is not a pair"));
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
            5 => takeover(&d.decode()?),
            6 => Ok(Record::Status(heartbeat(&d.decode()?))),
            // One of a kind this release does not know must not cost the records after it.
            7 => Ok(Receipt::from_map(d.decode()?).map_or(Record::Unknown(7), Record::Drill)),
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

fn takeover(m: &TakeoverMap) -> Result<Record> {
    let writer = |b: &[u8]| WriterId::from_slice(b).ok_or_else(|| Error::damaged("read a takeover record: writer id"));
    Ok(Record::Takeover {
        writer: writer(&m.writer)?,
        before: m.before.as_deref().map(|b| writer(b)).transpose()?,
        at: Wall(m.at),
    })
}

fn heartbeat(m: &StatusMap) -> Heartbeat {
    Heartbeat {
        at: Wall(m.at),
        lag_s: m.lag,
        files: m.files,
        bytes: m.bytes,
        safe_files: m.safe_files,
        safe_bytes: m.safe_bytes,
        dirty: m.dirty,
        failed: m.failed,
        torn: m.torn,
    }
}
