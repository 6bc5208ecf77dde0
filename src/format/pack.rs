//! Packs: sealed blocks, a sealed table of contents, a name that is the hash of it all (docs/format.md section 4).
//!
//! Writing: [`NewPack::begin`] makes the head; [`BlockSealer`]s seal blocks on any thread and prove each one at
//! once, while its key is in memory; [`NewPack::tail`] closes the pack. Reading: a [`PackRecord`] from the log (or
//! the pack's own table) and the keys make a [`PackOpener`]. What lies between, files and order, is not known here.

use super::wire::PackMap;
use super::{Header, MAX_BLOCK, MAX_CHUNKS, MAX_PACK, ObjectKind};
use crate::chunk::{self, Chunker};
use crate::error::{Error, Result};
use crate::model::{ChunkId, Sha256, Tier, VaultId};
use crate::seal::compress::{Codec, Compressor, Decompressor};
use crate::seal::keys::{KEY_BOX, OpenKeys, SealKeys};
use crate::seal::{Entropy, HeaderBytes, MetaKey, PackKey, SEALED_EXTRA, TAG};

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

    /// The first [`HEAD`] bytes.
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

/// Buffers are kept up to this size between blocks.
const KEPT: usize = 2 << 20;

/// Reused buffers and contexts of one thread that seals or opens.
#[derive(Debug)]
pub struct Bench {
    compressor: Compressor,
    stored: Vec<u8>,
    opener: OpenBench,
}

/// Reused buffers and context of one thread that opens.
#[derive(Debug)]
pub struct OpenBench {
    decompressor: Decompressor,
    sealed: Vec<u8>,
    text: Vec<u8>,
}

impl Bench {
    pub fn new(level: i32) -> Result<Self> {
        Ok(Self { compressor: Compressor::new(level)?, stored: vec![], opener: OpenBench::new()? })
    }
}

impl OpenBench {
    /// Gives back what one unusually long chunk made of the buffers.
    fn let_go(&mut self) {
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
    fn open(
        &mut self,
        key: &PackKey,
        header: &HeaderBytes,
        block: u32,
        sealed: &[u8],
        info: &BlockInfo,
        ids: &mut dyn Iterator<Item = (ChunkId, u32)>,
        chunker: &Chunker,
    ) -> Result<&[u8]> {
        self.sealed.clear();
        self.sealed.extend_from_slice(sealed);
        key.open_block(header, block, &mut self.sealed)?;
        self.decompressor.decompress(&self.sealed, info.codec, info.text as usize, &mut self.text)?;
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

/// Seals blocks of one pack on any thread.
#[derive(Clone, Debug)]
pub struct BlockSealer {
    header: HeaderBytes,
    key: PackKey,
}

impl BlockSealer {
    /// Seals block number `block` and at once opens it again and proves every chunk: what leaves here can be
    /// restored. `text` is the chunks laid end to end.
    pub fn seal(
        &self,
        block: u32,
        text: &[u8],
        chunks: Vec<(ChunkId, u32)>,
        bench: &mut Bench,
        chunker: &Chunker,
    ) -> Result<SealedBlock> {
        let codec = bench.compressor.compress(text, &mut bench.stored)?;
        // As large as it stays: it waits for its turn to be written.
        let mut bytes = Vec::with_capacity(bench.stored.len() + TAG);
        bytes.extend_from_slice(&bench.stored);
        bench.stored.clear();
        bench.stored.shrink_to(KEPT);
        self.key.seal_block(&self.header, block, &mut bytes);
        let size = |n: usize| u32::try_from(n).map_err(|_| Error::damaged("seal a block: too large"));
        let info =
            BlockInfo { sealed: size(bytes.len())?, text: size(text.len())?, codec, chunks: size(chunks.len())? };
        bench
            .opener
            .open(&self.key, &self.header, block, &bytes, &info, &mut chunks.iter().copied(), chunker)
            .map_err(|e| {
                e.during("prove a block just sealed")
                    .remedy("memory or processor errors are likely: test the machine's memory")
            })?;
        bench.opener.let_go();
        Ok(SealedBlock { bytes, info, chunks })
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seal::keys::Secret;
    use crate::seal::{SystemEntropy, sha256};
    use proptest::prelude::*;

    const VAULT: VaultId = VaultId([3; 16]);

    fn keys() -> OpenKeys {
        Secret::from_bytes([1; 32]).open_keys(VAULT)
    }

    fn build(chunks: &[Vec<Vec<u8>>]) -> (Vec<u8>, PackRecord, Chunker) {
        let keys = keys().seal;
        let chunker = Chunker::new(keys.cut_key(), keys.chunk_key());
        let pack = NewPack::begin(&keys, &SystemEntropy);
        let mut bench = Bench::new(3).unwrap();
        let (mut object, mut table) = (pack.head(), Table::new(Tier::Cold));
        for (i, block) in chunks.iter().enumerate() {
            let list = block.iter().map(|c| (chunker.id(c), u32::try_from(c.len()).unwrap())).collect();
            let sealed =
                pack.sealer().seal(u32::try_from(i).unwrap(), &block.concat(), list, &mut bench, &chunker).unwrap();
            object.extend_from_slice(&sealed.bytes);
            table.push(&sealed);
        }
        let tail = pack.tail(&table, object.len() as u64, &SystemEntropy);
        object.extend_from_slice(&tail);
        let record = pack.record(sha256(&object), object.len() as u64, table);
        (object, record, chunker)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn every_chunk_comes_back_from_the_record_and_from_the_pack_alone(
            chunks in proptest::collection::vec(proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..3000), 1..6), 1..5)
        ) {
            let (object, record, chunker) = build(&chunks);
            prop_assert_eq!(&read_own_record(&object, &keys().seal.meta, VAULT).unwrap(), &record);
            prop_assert_eq!(&PackRecord::from_cbor(&record.to_cbor()).unwrap(), &record);
            prop_assert_eq!(padded(object.len() as u64), object.len() as u64);
            let open_keys = keys();
            let opener = PackOpener::new(&record, &open_keys).unwrap();
            let mut bench = OpenBench::new().unwrap();
            let mut number = 0;
            for (i, block) in chunks.iter().enumerate() {
                let range = opener.range(i);
                prop_assert_eq!(Some(range.clone()), record.range(i));
                let sealed = &object[usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap()];
                prop_assert_eq!(opener.open(i, sealed, &mut bench, &chunker).unwrap(), &block.concat()[..]);
                for _ in block {
                    prop_assert_eq!(opener.block_of(number), Some(i));
                    number += 1;
                }
            }
            prop_assert_eq!(opener.block_of(number), None);
        }
    }

    #[test]
    fn a_table_whose_sums_do_not_agree_is_refused() {
        let (_, record, _) = build(&[vec![b"one".to_vec(), b"two".to_vec()], vec![b"three".to_vec()]]);
        let spoil = |f: &dyn Fn(&mut PackMap)| {
            let mut map = record.to_map();
            f(&mut map);
            PackRecord::from_map(&map).is_err()
        };
        assert!(!spoil(&|_| {}));
        assert!(spoil(&|m| m.lens[0] = 4));
        assert!(spoil(&|m| m.lens[0] = 0));
        assert!(spoil(&|m| m.blocks[1] = 1 << 40));
        assert!(spoil(&|m| m.blocks[3] = 1));
        assert!(spoil(&|m| m.blocks[2] = 9));
        assert!(spoil(&|m| m.blocks.truncate(7)));
        assert!(spoil(&|m| m.lens.truncate(2)));
        assert!(spoil(&|m| m.size = Some(1 << 40)));
    }

    #[test]
    fn a_size_is_padded_by_less_than_a_256th() {
        for size in [1u64, 200, 511, 512, 513, 1000, 65_537, 26_000_001] {
            let p = padded(size);
            assert!(p >= size && (p - size) * 256 <= size, "{size} → {p}");
        }
    }

    #[test]
    fn a_pack_cut_or_flipped_is_noticed_when_its_table_is_read() {
        let (object, _, _) = build(&[vec![b"some text".to_vec()]]);
        let meta = keys().seal.meta;
        assert!(read_own_record(&object[..object.len() - 1], &meta, VAULT).is_err());
        let mut flipped = object.clone();
        *flipped.last_mut().unwrap() ^= 1;
        assert!(read_own_record(&flipped, &meta, VAULT).is_err());
    }
}
