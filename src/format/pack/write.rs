//! Sealing: [`NewPack::begin`] makes the head; [`BlockSealer`]s seal blocks on any thread and prove each one at once,
//! while its key is in memory; [`NewPack::tail`] closes the pack.

use super::{BlockInfo, OpenBench, PackRecord, TRAILER, Table};
use crate::chunk::Chunker;
use crate::error::{Error, Result};
use crate::format::{Header, ObjectKind};
use crate::model::{ChunkId, Sha256};
use crate::seal::compress::{Codec, Compressor, Stored};
use crate::seal::keys::{KEY_BOX, SealKeys};
use crate::seal::{Entropy, HeaderBytes, MetaKey, PackKey, SEALED_EXTRA};

/// A pack being written.
#[derive(Clone, Debug)]
pub struct NewPack {
    header: Header,
    key_box: [u8; KEY_BOX],
    key: PackKey,
    meta: MetaKey,
}

impl NewPack {
    pub fn begin(keys: &SealKeys, entropy: &dyn Entropy) -> Self {
        let (key, key_box) = keys.new_pack_key(entropy);
        Self { header: Header::new(ObjectKind::Pack, keys.vault, entropy), key_box, key, meta: keys.meta.clone() }
    }

    /// The first [`HEAD`](super::HEAD) bytes.
    pub fn head(&self) -> Vec<u8> {
        [&self.header.to_bytes()[..], &self.key_box[..]].concat()
    }

    pub fn sealer(&self) -> BlockSealer {
        BlockSealer { header: self.header.to_bytes(), key: self.key.clone() }
    }

    /// Table and trailer, padded: what follows the blocks when `written` bytes, head included, came before.
    pub fn tail(&self, table: &Table, written: u64, entropy: &dyn Entropy) -> Vec<u8> {
        let map = minicbor::to_vec(table.to_map()).expect("encodes into memory");
        let bare = written + (4 + map.len() + SEALED_EXTRA + TRAILER) as u64;
        let padding = usize::try_from(padded(bare) - bare).expect("less than a 256th of a pack");
        let mut text = Vec::with_capacity(4 + map.len() + padding);
        text.extend_from_slice(&u32::try_from(map.len()).expect("bounded by the number of chunks").to_le_bytes());
        text.extend_from_slice(&map);
        text.resize(4 + map.len() + padding, 0);
        let header = self.header.to_bytes();
        let mut out = self.meta.seal(&header, entropy, &text);
        let place = [written.to_le_bytes(), (out.len() as u64).to_le_bytes()].concat();
        out.extend_from_slice(&self.meta.seal(&header, entropy, &place));
        out
    }

    pub fn record(&self, hash: Sha256, size: u64, table: Table) -> PackRecord {
        PackRecord { hash, size, random: self.header.random, key_box: self.key_box, table }
    }
}

/// The next multiple of 2^(floor(log2 size) − 8): sizes tell less.
pub fn padded(size: u64) -> u64 {
    let step = 1u64 << size.max(1).ilog2().saturating_sub(8);
    size.next_multiple_of(step)
}

/// A sealed and proved block.
#[derive(Clone, Debug)]
pub struct SealedBlock {
    pub bytes: Vec<u8>,
    pub info: BlockInfo,
    pub chunks: Vec<(ChunkId, u32)>,
}

/// Reused buffers and contexts of one thread that seals or opens.
#[derive(Debug)]
pub struct Bench {
    compressor: Compressor,
    opener: OpenBench,
}

impl Bench {
    pub fn new(level: i32) -> Result<Self> {
        Ok(Self { compressor: Compressor::new(level)?, opener: OpenBench::new()? })
    }
}

/// Seals blocks of one pack on any thread.
#[derive(Clone, Debug)]
pub struct BlockSealer {
    header: HeaderBytes,
    key: PackKey,
}

impl BlockSealer {
    /// Seals block number `block` and at once opens it again and proves every chunk: what leaves here can be
    /// restored. `text` is the chunks laid end to end; its buffer comes back where the sealed bytes did not take it.
    pub fn seal(
        &self,
        block: u32,
        text: Vec<u8>,
        chunks: Vec<(ChunkId, u32)>,
        bench: &mut Bench,
        chunker: &Chunker,
    ) -> Result<(SealedBlock, Option<Vec<u8>>)> {
        let length = text.len();
        let (codec, mut bytes, spare) = match bench.compressor.compress(text)? {
            Stored::Raw(text) => (Codec::Raw, text, None),
            Stored::Zstd { frame, text } => (Codec::Zstd, frame, Some(text)),
        };
        self.key.seal_block(&self.header, block, &mut bytes);
        let size = |n: usize| u32::try_from(n).map_err(|_| Error::damaged("seal a block: too large"));
        let info = BlockInfo { sealed: size(bytes.len())?, text: size(length)?, codec, chunks: size(chunks.len())? };
        bench
            .opener
            .open(&self.key, &self.header, block, &bytes, &info, &mut chunks.iter().copied(), chunker)
            .map_err(|e| {
                e.during("prove a block just sealed")
                    .remedy("memory or processor errors are likely: test the machine's memory")
            })?;
        bench.opener.let_go();
        Ok((SealedBlock { bytes, info, chunks }, spare))
    }
}
