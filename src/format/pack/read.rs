//! Opening: a [`PackRecord`] from the log (or the pack's own table) and the keys make a [`PackOpener`], which hands over
//! block by block, each chunk proved by its id.

use super::{BlockInfo, HEAD, PackRecord, TRAILER, Table};
use crate::chunk::Chunker;
use crate::error::{Error, Result};
use crate::format::wire::PackMap;
use crate::format::{Header, ObjectKind};
use crate::model::{ChunkId, VaultId};
use crate::seal::compress::{Codec, Decompressor, KEPT};
use crate::seal::keys::{KEY_BOX, OpenKeys};
use crate::seal::{HeaderBytes, MetaKey, PackKey};

/// Reused buffers and context of one thread that opens.
#[derive(Debug)]
pub struct OpenBench {
    decompressor: Decompressor,
    sealed: Vec<u8>,
    text: Vec<u8>,
}

impl OpenBench {
    /// Gives back what one unusually long chunk made of the buffers.
    pub(super) fn let_go(&mut self) {
        for buffer in [&mut self.sealed, &mut self.text] {
            buffer.clear();
            buffer.shrink_to(KEPT);
        }
    }

    pub fn new() -> Result<Self> {
        Ok(Self { decompressor: Decompressor::new()?, sealed: vec![], text: vec![] })
    }

    /// The text opened last.
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    /// Opens a block and proves each chunk against its id. The text lies in the bench until the next call.
    pub(super) fn open(
        &mut self,
        key: &PackKey,
        header: &HeaderBytes,
        block: u32,
        sealed: &[u8],
        info: &BlockInfo,
        ids: &mut dyn Iterator<Item = (ChunkId, u32)>,
        chunker: &Chunker,
    ) -> Result<&[u8]> {
        // What was kept raw is opened where it is wanted.
        let opened = if info.codec == Codec::Raw { &mut self.text } else { &mut self.sealed };
        opened.clear();
        opened.extend_from_slice(sealed);
        key.open_block(header, block, opened)?;
        if info.codec == Codec::Zstd {
            self.decompressor.decompress(&self.sealed, info.codec, info.text as usize, &mut self.text)?;
        }
        if self.text.len() != info.text as usize {
            return Err(Error::damaged("open a block: its length is not what the table says"));
        }
        let mut at = 0;
        for (id, len) in ids {
            let chunk = self
                .text
                .get(at..at + len as usize)
                .ok_or_else(|| Error::damaged("open a block: shorter than its chunks"))?;
            if chunker.id(chunk) != id {
                return Err(Error::damaged(format!("open a block: a chunk is not what its id says ({id})")));
            }
            at += len as usize;
        }
        Ok(&self.text)
    }
}

/// Opens blocks of one pack.
#[derive(Debug)]
pub struct PackOpener<'a> {
    record: &'a PackRecord,
    header: HeaderBytes,
    key: PackKey,
    starts: Vec<(u64, u32)>,
}

impl<'a> PackOpener<'a> {
    pub fn new(record: &'a PackRecord, keys: &OpenKeys) -> Result<Self> {
        let key = keys.pack_key(&record.key_box)?;
        Ok(Self { record, header: record.header(keys.seal.vault), key, starts: record.table.starts().collect() })
    }

    /// The block that holds chunk number `chunk`, that block's first chunk, and its place in the object.
    pub fn block_of(&self, chunk: u32) -> Option<usize> {
        let at = self.starts.partition_point(|(_, first)| *first <= chunk).checked_sub(1)?;
        (chunk < self.starts[at].1 + self.record.table.blocks[at].chunks).then_some(at)
    }
    pub fn first_chunk(&self, block: usize) -> u32 {
        self.starts[block].1
    }
    pub fn range(&self, block: usize) -> std::ops::Range<u64> {
        let start = self.starts[block].0;
        start..start + u64::from(self.record.table.blocks[block].sealed)
    }

    /// The chunks of block number `block` laid end to end, each proved; Damaged otherwise.
    pub fn open<'b>(
        &self,
        block: usize,
        sealed: &[u8],
        bench: &'b mut OpenBench,
        chunker: &Chunker,
    ) -> Result<&'b [u8]> {
        let (info, first) = (&self.record.table.blocks[block], self.starts[block].1 as usize);
        let (ids, lens) = (&self.record.table.ids[first..], &self.record.table.lens[first..]);
        let mut chunks = ids.iter().copied().zip(lens.iter().copied()).take(info.chunks as usize);
        let number = u32::try_from(block).map_err(|_| Error::damaged("open a block: its number is out of bounds"))?;
        bench.open(&self.key, &self.header, number, sealed, info, &mut chunks, chunker)
    }
}

/// Reads a pack's own table: for packs without a log. `object` is the whole pack.
pub fn read_own_record(object: &[u8], meta: &MetaKey, vault: VaultId) -> Result<PackRecord> {
    let (header, rest) = Header::split(object, ObjectKind::Pack, Some(vault))?;
    let bytes = header.to_bytes();
    let cut = || Error::damaged("read a pack's own table: the pack is cut");
    let trailer = object.len().checked_sub(TRAILER).filter(|at| *at >= HEAD).ok_or_else(cut)?;
    let place = meta.open(&bytes, &object[trailer..])?;
    let number = |at: usize| place.get(at..at + 8).map(|b| u64::from_le_bytes(b.try_into().expect("eight bytes")));
    let (offset, size) = number(0).zip(number(8)).ok_or_else(cut)?;
    let range = usize::try_from(offset)
        .ok()
        .zip(usize::try_from(offset.saturating_add(size)).ok())
        .filter(|(_, end)| *end == trailer)
        .ok_or_else(cut)?;
    let text = meta.open(&bytes, object.get(range.0..range.1).ok_or_else(cut)?)?;
    let (len, map) = text.split_first_chunk::<4>().ok_or_else(cut)?;
    let map = map.get(..u32::from_le_bytes(*len) as usize).ok_or_else(cut)?;
    let map: PackMap = minicbor::decode(map).map_err(|e| Error::damaged("read a pack's own table").because(e))?;
    let key_box = rest[..KEY_BOX].try_into().map_err(|_| cut())?;
    Ok(PackRecord {
        hash: crate::seal::sha256(object),
        size: object.len() as u64,
        random: header.random,
        key_box,
        table: Table::from_map(&map)?,
    })
}
