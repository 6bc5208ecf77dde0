//! Packs: sealed blocks, a sealed table of contents, a name that is the hash of it all (docs/format.md section 4). Here
//! is what a pack is known by, its table and the log's record of it; beside it, one file seals packs and one opens them.
//!
//! What lies between the chunks, files and order, is not known here. Bytes in, values out, and the reverse: dying here
//! does nothing.

mod read;
mod write;

pub use read::{OpenBench, PackOpener, read_own_record};
pub use write::{Bench, BlockSealer, NewPack, SealedBlock, padded};

use super::wire::PackMap;
use super::{Header, MAX_BLOCK, MAX_CHUNKS, MAX_PACK, ObjectKind};
use crate::chunk;
use crate::error::{Error, Result};
use crate::model::{ChunkId, Sha256, Tier, VaultId};
use crate::seal::compress::Codec;
use crate::seal::keys::KEY_BOX;
use crate::seal::{HeaderBytes, SEALED_EXTRA, TAG};

/// Header and key box: where block 0 begins.
pub const HEAD: usize = super::HEADER + KEY_BOX;
/// Sealed offset and size of the table.
pub const TRAILER: usize = 16 + SEALED_EXTRA;

/// One block as the table tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockInfo {
    /// Sealed size, tag included.
    pub sealed: u32,
    /// Its chunks together.
    pub text: u32,
    pub codec: Codec,
    /// How many chunks.
    pub chunks: u32,
}

/// What is in a pack: blocks in order, and the chunks of all blocks in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    pub tier: Tier,
    pub blocks: Vec<BlockInfo>,
    pub ids: Vec<ChunkId>,
    pub lens: Vec<u32>,
}

/// The log's record of a stored pack: enough to open any block of it by a range read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackRecord {
    pub hash: Sha256,
    pub size: u64,
    pub random: [u8; 16],
    pub key_box: [u8; KEY_BOX],
    pub table: Table,
}

impl Table {
    pub fn new(tier: Tier) -> Self {
        Self { tier, blocks: vec![], ids: vec![], lens: vec![] }
    }

    pub fn push(&mut self, block: &SealedBlock) {
        self.blocks.push(block.info);
        self.ids.extend(block.chunks.iter().map(|c| c.0));
        self.lens.extend(block.chunks.iter().map(|c| c.1));
    }

    /// Offset of each block in the pack, and the number of its first chunk.
    pub fn starts(&self) -> impl Iterator<Item = (u64, u32)> {
        self.blocks.iter().scan((HEAD as u64, 0), |at, b| {
            let here = *at;
            *at = (at.0 + u64::from(b.sealed), at.1 + b.chunks);
            Some(here)
        })
    }

    fn to_map(&self) -> PackMap {
        let blocks = self
            .blocks
            .iter()
            .flat_map(|b| [u64::from(b.sealed), u64::from(b.text), u64::from(b.codec.number()), u64::from(b.chunks)]);
        PackMap {
            hash: None,
            tier: u8::from(self.tier == Tier::Hot),
            random: None,
            key_box: None,
            size: None,
            blocks: blocks.collect(),
            ids: self.ids.iter().flat_map(|id| id.0).collect::<Vec<u8>>().into(),
            lens: self.lens.clone(),
        }
    }

    /// Damaged unless every sum agrees and every bound holds.
    fn from_map(map: &PackMap) -> Result<Self> {
        let wrong = |what: &str| Error::damaged(format!("read a pack's table: {what}"));
        let tier = match map.tier {
            0 => Tier::Cold,
            1 => Tier::Hot,
            _ => return Err(wrong("unknown tier")),
        };
        if map.lens.len() > MAX_CHUNKS
            || map.ids.len() != map.lens.len() * ChunkId::LEN
            || !map.blocks.len().is_multiple_of(4)
        {
            return Err(wrong("its lists do not fit together"));
        }
        let mut lens = map.lens.iter();
        let mut blocks = Vec::with_capacity(map.blocks.len() / 4);
        for b in map.blocks.chunks_exact(4) {
            let codec = Codec::from_number(b[2]).ok_or_else(|| wrong("unknown codec"))?;
            let sum = |n: usize, it: &mut std::slice::Iter<'_, u32>| {
                it.by_ref().take(n).try_fold((0u64, 0usize), |(s, k), l| {
                    (*l > 0 && *l as usize <= chunk::MAX).then_some((s + u64::from(*l), k + 1))
                })
            };
            let chunks = usize::try_from(b[3])
                .ok()
                .filter(|n| *n > 0 && *n <= MAX_CHUNKS)
                .ok_or_else(|| wrong("a block without chunks"))?;
            if b[1] > MAX_BLOCK
                || b[0] > b[1] + TAG as u64
                || b[0] < TAG as u64
                || sum(chunks, &mut lens) != Some((b[1], chunks))
            {
                return Err(wrong("a block's sizes do not agree"));
            }
            let small = |n: u64| u32::try_from(n).expect("bounded above");
            blocks.push(BlockInfo { sealed: small(b[0]), text: small(b[1]), codec, chunks: small(b[3]) });
        }
        if lens.next().is_some() || blocks.iter().map(|b| u64::from(b.sealed)).sum::<u64>() > MAX_PACK {
            return Err(wrong("its blocks do not fit its chunks"));
        }
        let ids = map.ids.chunks_exact(ChunkId::LEN).map(|c| ChunkId::from_slice(c).expect("32 bytes")).collect();
        Ok(Self { tier, blocks, ids, lens: map.lens.clone() })
    }
}

impl PackRecord {
    pub(super) fn to_map(&self) -> PackMap {
        PackMap {
            hash: Some(self.hash.0.to_vec().into()),
            random: Some(self.random.to_vec().into()),
            key_box: Some(self.key_box.to_vec().into()),
            size: Some(self.size),
            ..self.table.to_map()
        }
    }
    pub(super) fn from_map(map: &PackMap) -> Result<Self> {
        let wrong = || Error::damaged("read a pack record: a field is missing or has another size");
        let field = |b: &Option<super::wire::Bytes>| b.as_ref().map(|b| b.to_vec()).ok_or_else(wrong);
        Ok(Self {
            hash: Sha256::from_slice(&field(&map.hash)?).ok_or_else(wrong)?,
            size: map.size.filter(|s| *s <= MAX_PACK).ok_or_else(wrong)?,
            random: field(&map.random)?.try_into().map_err(|_| wrong())?,
            key_box: field(&map.key_box)?.try_into().map_err(|_| wrong())?,
            table: Table::from_map(map)?,
        })
    }
    /// As one CBOR map: what the log and the catalog keep.
    pub fn to_cbor(&self) -> Vec<u8> {
        minicbor::to_vec(self.to_map()).expect("encodes into memory")
    }
    pub fn from_cbor(bytes: &[u8]) -> Result<Self> {
        let map = minicbor::decode(bytes).map_err(|e| Error::damaged("read a pack record").because(e))?;
        Self::from_map(&map)
    }
    pub fn header(&self, vault: VaultId) -> HeaderBytes {
        Header { kind: ObjectKind::Pack, vault, random: self.random }.to_bytes()
    }
    /// Where block number `block` lies in the object.
    pub fn range(&self, block: usize) -> Option<std::ops::Range<u64>> {
        let (offset, _) = self.table.starts().nth(block)?;
        Some(offset..offset + u64::from(self.table.blocks[block].sealed))
    }
}

#[cfg(test)]
mod tests;
