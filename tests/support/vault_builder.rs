//! Builds small vaults with the format alone, on the memory store: what a writer would have left there.

use panicroom::chunk::Chunker;
use panicroom::clock::{SystemClock, Wall};
use panicroom::format::pack::{Bench, NewPack, PackRecord, Table};
use panicroom::format::segment::{Builder, Record, SegmentHead};
use panicroom::format::{Name, vault};
use panicroom::model::{
    ChunkId, Content, Entry, FileTime, Piece, SegmentNo, Seq, Sha256, Shape, Size, Tier, TreePath, VaultId, Version,
    WriterId,
};
use panicroom::seal::compress::Compressor;
use panicroom::seal::keys::{OpenKeys, Secret};
use panicroom::seal::{SystemEntropy, sha256};
use panicroom::store::ObjectName;
use panicroom::store::memory::MemoryStore;
use std::collections::HashMap;

pub const VAULT: VaultId = VaultId([0x5a; 16]);

/// A stretch of a file to be.
#[derive(Clone, Debug)]
pub enum Part {
    Data(Vec<u8>),
    Hole(u64),
}

#[derive(Clone, Copy, Debug)]
enum Laid {
    Hole(u64),
    Run { pack: usize, first: u32, count: u32 },
}

enum Pending {
    Version(Box<Version>, Vec<Laid>),
    Deletion(TreePath, Seq, Wall),
    Lost(Sha256, Seq),
}

pub struct VaultBuilder {
    pub store: MemoryStore,
    pub secret: Secret,
    pub keys: OpenKeys,
    /// Chunks are cut at so many bytes, blocks closed at so many chunks.
    pub chunk: usize,
    pub block: usize,
    pub tier: Tier,
    /// Off: every chunk is stored again.
    pub dedup: bool,
    chunker: Chunker,
    bench: Bench,
    compressor: Compressor,
    open: Vec<Vec<u8>>,
    packs: Vec<Option<Sha256>>,
    known: HashMap<ChunkId, (usize, u32)>,
    unpublished: Vec<PackRecord>,
    pending: Vec<Pending>,
    segments: Vec<Sha256>,
    records: Vec<Vec<Record>>,
    seq: u64,
    pub now: i64,
}

pub fn p(path: &str) -> TreePath {
    TreePath::from_bytes(path).unwrap()
}

pub fn object(name: Name) -> ObjectName {
    name.into()
}

/// Bytes nobody can squeeze, the same for the same seed.
pub fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut z = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    (0..len)
        .map(|_| {
            z ^= z << 13;
            z ^= z >> 7;
            z ^= z << 17;
            u8::try_from(z >> 56).unwrap()
        })
        .collect()
}

impl VaultBuilder {
    pub fn new() -> Self {
        Self::on(MemoryStore::new(SystemClock::shared()))
    }
    /// On a store of its own kind, with nothing in it.
    pub fn on(store: MemoryStore) -> Self {
        let secret = Secret::from_bytes([9; 32]);
        let keys = secret.open_keys(VAULT);
        let label = vault::Label { created: Wall(0), host: b"builder".to_vec() };
        store.put(&object(Name::Vault), &vault::write(&keys.seal, &label, &SystemEntropy));
        Self {
            store,
            chunker: Chunker::new(keys.seal.cut_key(), keys.seal.chunk_key()),
            secret,
            keys,
            chunk: 1000,
            block: 4,
            tier: Tier::Cold,
            dedup: true,
            bench: Bench::new(1).unwrap(),
            compressor: Compressor::new(1).unwrap(),
            open: vec![],
            packs: vec![None],
            known: HashMap::new(),
            unpublished: vec![],
            pending: vec![],
            segments: vec![],
            records: vec![],
            seq: 0,
            now: 1_000_000,
        }
    }

    fn next_seq(&mut self) -> Seq {
        self.seq += 1;
        self.now += 1000;
        Seq(self.seq)
    }

    fn lay(&mut self, parts: &[Part]) -> (Vec<Laid>, u64) {
        let (mut laid, mut size): (Vec<Laid>, u64) = (vec![], 0);
        for part in parts {
            match part {
                Part::Hole(n) => {
                    laid.push(Laid::Hole(*n));
                    size += n;
                }
                Part::Data(bytes) => {
                    size += bytes.len() as u64;
                    for chunk in bytes.chunks(self.chunk) {
                        let (pack, number) = self.place(chunk);
                        match laid.last_mut() {
                            Some(Laid::Run { pack: p, first, count }) if *p == pack && *first + *count == number => {
                                *count += 1;
                            }
                            _ => laid.push(Laid::Run { pack, first: number, count: 1 }),
                        }
                    }
                }
            }
        }
        (laid, size)
    }

    fn place(&mut self, chunk: &[u8]) -> (usize, u32) {
        let id = self.chunker.id(chunk);
        if let Some(known) = self.known.get(&id).filter(|_| self.dedup) {
            return *known;
        }
        let place = (self.packs.len() - 1, u32::try_from(self.open.len()).unwrap());
        self.open.push(chunk.to_vec());
        self.known.insert(id, place);
        place
    }

    /// A version of anything; `change` makes it what it should be.
    pub fn version(&mut self, path: &str, parts: &[Part], change: impl FnOnce(&mut Version)) -> Seq {
        let (laid, size) = self.lay(parts);
        let seq = self.next_seq();
        let entry = Entry {
            uid: rustix::process::geteuid().as_raw(),
            gid: rustix::process::getegid().as_raw(),
            mtime: FileTime { secs: 1_500_000_000 + i64::try_from(self.seq).unwrap(), nanos: 123_000_000 },
            size: Size(size),
            ..Entry::bare(Shape::File, 0o640)
        };
        let mut version = Version { path: p(path), seq, captured: Wall(self.now), entry, content: vec![], torn: false };
        change(&mut version);
        if version.entry.shape != Shape::File {
            version.entry.size = Size(0);
        }
        self.pending.push(Pending::Version(Box::new(version), laid));
        seq
    }

    pub fn file(&mut self, path: &str, bytes: &[u8]) -> Seq {
        self.version(path, &[Part::Data(bytes.to_vec())], |_| {})
    }
    pub fn folder(&mut self, path: &str) -> Seq {
        self.version(path, &[], |v| (v.entry.shape, v.entry.mode) = (Shape::Dir, 0o750))
    }
    pub fn symlink(&mut self, path: &str, target: &[u8]) -> Seq {
        self.version(path, &[], |v| (v.entry.shape, v.entry.mode) = (Shape::Symlink(target.to_vec()), 0o777))
    }
    pub fn delete(&mut self, path: &str) -> Seq {
        let seq = self.next_seq();
        self.pending.push(Pending::Deletion(p(path), seq, Wall(self.now)));
        seq
    }
    pub fn lose(&mut self, pack: Sha256) {
        let seq = self.next_seq();
        self.pending.push(Pending::Lost(pack, seq));
    }

    /// Seals the open pack; nothing when it is empty.
    pub fn cut_pack(&mut self) -> Option<Sha256> {
        if self.open.is_empty() {
            return None;
        }
        let new = NewPack::begin(&self.keys.seal, &SystemEntropy);
        let (mut bytes, mut table) = (new.head(), Table::new(self.tier));
        for (i, chunks) in (0..).zip(std::mem::take(&mut self.open).chunks(self.block)) {
            let ids = chunks.iter().map(|c| (self.chunker.id(c), u32::try_from(c.len()).unwrap())).collect();
            let block = new.sealer().seal(i, chunks.concat(), ids, &mut self.bench, &self.chunker).unwrap().0;
            bytes.extend_from_slice(&block.bytes);
            table.push(&block);
        }
        bytes.extend(new.tail(&table, bytes.len() as u64, &SystemEntropy));
        let hash = sha256(&bytes);
        self.store.put(&object(Name::Pack(self.tier, hash)), &bytes);
        self.unpublished.push(new.record(hash, bytes.len() as u64, table));
        *self.packs.last_mut().unwrap() = Some(hash);
        self.packs.push(None);
        Some(hash)
    }

    /// Everything pending as one segment: packs first.
    pub fn publish(&mut self) -> Name {
        self.cut_pack();
        self.publish_packs_into(vec![])
    }

    /// The packs as a segment of their own, then the rest as another.
    pub fn publish_apart(&mut self) -> (Name, Name) {
        self.cut_pack();
        let packs = self.unpublished.drain(..).map(Record::Pack).collect();
        (self.segment(packs), self.publish_packs_into(vec![]))
    }

    fn publish_packs_into(&mut self, mut records: Vec<Record>) -> Name {
        records.extend(self.unpublished.drain(..).map(Record::Pack));
        for one in std::mem::take(&mut self.pending) {
            records.push(match one {
                Pending::Version(mut version, laid) => {
                    version.content = self.content(&laid);
                    Record::Version { version: *version, more: false }
                }
                Pending::Deletion(path, seq, noticed) => Record::Deletion { path, seq, noticed },
                Pending::Lost(hash, seq) => Record::Lost { hash, seq },
            });
        }
        self.segment(records)
    }

    /// The newest pending version, split: its content one piece a part.
    pub fn publish_split(&mut self) -> Vec<Name> {
        self.cut_pack();
        let Some(Pending::Version(mut version, laid)) = self.pending.pop() else { panic!("no version is pending") };
        let content = self.content(&laid);
        let first = self.publish_packs_into(vec![]);
        version.content = vec![content[0]];
        let (path, seq) = (version.path.clone(), version.seq);
        let mut names = vec![first];
        let last = content.len() - 1;
        names.push(self.segment(vec![Record::Version { version: *version, more: last > 0 }]));
        for (part, piece) in content.iter().enumerate().skip(1) {
            let record = Record::Part {
                path: path.clone(),
                seq,
                part: u32::try_from(part).unwrap(),
                content: vec![*piece],
                more: part < last,
            };
            names.push(self.segment(vec![record]));
        }
        names
    }

    fn content(&self, laid: &[Laid]) -> Content {
        laid.iter()
            .map(|l| match *l {
                Laid::Hole(n) => Piece::Hole(n),
                Laid::Run { pack, first, count } => Piece::Run { pack: self.packs[pack].unwrap(), first, count },
            })
            .collect()
    }

    fn segment(&mut self, records: Vec<Record>) -> Name {
        let mut builder = Builder::new();
        for record in &records {
            builder.repeat(record);
        }
        let head = SegmentHead {
            number: SegmentNo(self.segments.len() as u64 + 1),
            writer: WriterId([1; 16]),
            before: self.segments.last().copied(),
            written: Wall(self.now),
        };
        let sealed = builder.seal_segment(&head, &self.keys.seal, &mut self.compressor, &SystemEntropy).unwrap();
        let name = Name::Segment(head.number, sealed.hash);
        self.store.put(&object(name), &sealed.bytes);
        self.segments.push(sealed.hash);
        self.records.push(records);
        name
    }

    /// All segments so far again, as one merge.
    pub fn merge(&mut self) -> Name {
        let mut builder = Builder::new();
        self.records.iter().flatten().for_each(|r| builder.repeat(r));
        let (from, to) = (SegmentNo(1), SegmentNo(self.segments.len() as u64));
        let (keys, compressor) = (&self.keys.seal, &mut self.compressor);
        let sealed =
            builder.seal_merge(from, to, &self.segments, Wall(self.now), keys, compressor, &SystemEntropy).unwrap();
        let name = Name::Merge(from, to, sealed.hash);
        self.store.put(&object(name), &sealed.bytes);
        name
    }
}
