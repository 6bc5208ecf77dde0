//! Records in, sealed bytes out. A [`Builder`] takes records until [`Builder::is_full`], so that a sealed segment never
//! passes its bound; a long version goes in parts.

use super::entry::entry_to_map;
use super::{FULL, Heartbeat, Receipt, Record, SealedObject, SegmentHead};
use crate::clock::Wall;
use crate::error::{Error, Result};
use crate::format::pack::PackRecord;
use crate::format::wire::{DeletionMap, LostMap, StatusMap, TakeoverMap, VersionMap};
use crate::format::{Header, MAX_SEGMENT, ObjectKind};
use crate::model::{Piece, SegmentNo, Seq, Sha256, TreePath, Version, WriterId};
use crate::seal::compress::Compressor;
use crate::seal::keys::SealKeys;
use crate::seal::{Entropy, sha256};
use minicbor::Encoder;
use std::collections::HashMap;

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

    pub(super) fn push(&mut self, number: u8, map: impl minicbor::Encode<()>) {
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

    pub fn drill(&mut self, receipt: &Receipt) {
        self.push(7, receipt.to_map());
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
            Record::Drill(receipt) => self.drill(receipt),
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
