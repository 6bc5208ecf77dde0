//! A reader of vaults for tests: all in memory, straight from the log's records and docs/format.md section 6. It shares
//! no code with catalog, rebuild or restore, so it does not repeat their mistakes.

use super::tree::{Thing, Tree};
use panicroom::chunk::Chunker;
use panicroom::clock::Wall;
use panicroom::format::log::{LogIndex, Reading};
use panicroom::format::pack::{OpenBench, PackOpener, PackRecord};
use panicroom::format::segment::{Opened, Record};
use panicroom::format::{Name, ObjectKind};
use panicroom::model::{ChunkId, Piece, Seq, Sha256, Shape, TreePath, Version};
use panicroom::seal::compress::Decompressor;
use panicroom::seal::keys::OpenKeys;
use panicroom::seal::sha256;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// What the log calls now.
pub const NOW: Wall = Wall(i64::MAX);

/// Objects of a vault by name.
pub type Objects = BTreeMap<String, Vec<u8>>;

/// One record of a path: when, and the version or None for a deletion.
type History = BTreeMap<Seq, (Wall, Option<Version>)>;

pub struct ReadVault {
    objects: Objects,
    keys: OpenKeys,
    chunker: Chunker,
    history: BTreeMap<TreePath, History>,
    /// That the log names.
    pub packs: HashMap<Sha256, PackRecord>,
    lost: BTreeSet<Sha256>,
    /// Chunks of packs opened so far.
    opened: RefCell<HashMap<Sha256, Vec<Vec<u8>>>>,
}

/// The records of one segment.
pub fn records_of(object: &[u8], keys: &OpenKeys) -> Vec<Record> {
    let mut bench = Decompressor::new().unwrap();
    let segment = Opened::open(object, ObjectKind::Segment, keys.seal.vault, &keys.seal.meta, &mut bench).unwrap();
    let mut out = vec![];
    segment
        .records(|record| {
            out.push(record);
            Ok(())
        })
        .unwrap();
    out
}

impl ReadVault {
    /// Reads the whole log, which must be without gaps, doubles and foreign bytes.
    pub fn open(objects: Objects, keys: OpenKeys) -> Self {
        let chunker = Chunker::new(keys.seal.cut_key(), keys.seal.chunk_key());
        let mut log = LogIndex::default();
        // Merges are never needed: the segments they repeat are read themselves.
        let segments = objects.keys().filter_map(|name| Name::parse(name)).filter(|n| matches!(n, Name::Segment(..)));
        segments.for_each(|name| log.add(name));
        assert!(log.gaps().is_empty() && log.doubles().is_empty(), "the log has gaps or doubles: {log:?}");
        let mut vault = Self {
            objects,
            keys,
            chunker,
            history: BTreeMap::new(),
            packs: HashMap::new(),
            lost: BTreeSet::new(),
            opened: RefCell::default(),
        };
        for reading in log.readings() {
            let Reading::Segment(name @ Name::Segment(_, hash)) = reading else {
                panic!("no merges here: {reading:?}")
            };
            let object = vault.objects[&name.to_string()].clone();
            assert_eq!(sha256(&object), hash, "{name} is what its name says");
            for record in records_of(&object, &vault.keys) {
                vault.take(record);
            }
        }
        vault
    }

    fn take(&mut self, record: Record) {
        match record {
            Record::Pack(pack) => {
                self.packs.insert(pack.hash, pack);
            }
            Record::Version { version, more } => {
                assert!(!more, "no test has a version of several parts");
                let twice = self
                    .history
                    .entry(version.path.clone())
                    .or_default()
                    .insert(version.seq, (version.captured, Some(version)));
                assert!(twice.is_none(), "a seq twice: {twice:?}");
            }
            Record::Deletion { path, seq, noticed } => {
                let twice = self.history.entry(path).or_default().insert(seq, (noticed, None));
                assert!(twice.is_none(), "a seq twice: {twice:?}");
            }
            Record::Lost { hash, .. } => {
                self.lost.insert(hash);
            }
            Record::Part { .. } | Record::Takeover { .. } | Record::Status(_) | Record::Drill(_) => {}
            Record::Unknown(n) => panic!("record of unknown type {n}"),
        }
    }

    /// The version that counts, at a time or now.
    fn counting(history: &History, at: Wall) -> Option<&Version> {
        let mut torn = None;
        for (captured, version) in history.values().rev() {
            match version {
                _ if *captured > at => {}
                None => break,
                Some(version) if version.torn => torn = torn.or(Some(version)),
                Some(version) => return Some(version),
            }
        }
        torn
    }

    fn is_hidden(&self, path: &TreePath, at: Wall) -> bool {
        std::iter::successors(path.parent(), TreePath::parent).any(|above| {
            self.history
                .get(&above)
                .filter(|h| h.values().any(|(captured, _)| *captured <= at))
                .is_some_and(|h| !Self::counting(h, at).is_some_and(|v| v.entry.shape == Shape::Dir))
        })
    }

    /// Versions of all paths that are there, as of now ([`Wall`] of the largest number) or of a time.
    pub fn versions(&self, at: Wall) -> BTreeMap<TreePath, &Version> {
        let there = self.history.iter().filter_map(|(path, h)| Some((path.clone(), Self::counting(h, at)?)));
        there.filter(|(path, _)| !self.is_hidden(path, at)).collect()
    }

    /// The contents, every chunk proved; what stands in the way otherwise.
    pub fn content(&self, version: &Version) -> Result<Vec<u8>, String> {
        let mut out = vec![];
        for piece in &version.content {
            match piece {
                Piece::Hole(n) => out.resize(out.len() + usize::try_from(*n).unwrap(), 0),
                Piece::Run { pack, first, count } => {
                    self.open_pack(*pack).map_err(|e| format!("{}: {e}", version.path))?;
                    let chunks = &self.opened.borrow()[pack];
                    for n in *first..*first + *count {
                        out.extend_from_slice(chunks.get(n as usize).ok_or("no such chunk")?);
                    }
                }
            }
        }
        if out.len() as u64 == version.entry.size.0 { Ok(out) } else { Err(format!("{}: wrong size", version.path)) }
    }

    fn open_pack(&self, hash: Sha256) -> Result<(), String> {
        if self.opened.borrow().contains_key(&hash) {
            return Ok(());
        }
        if self.lost.contains(&hash) {
            return Err(format!("pack {hash} is called lost"));
        }
        let record = self.packs.get(&hash).ok_or_else(|| format!("pack {hash} has no record"))?;
        let object = self
            .objects
            .get(&Name::Pack(record.table.tier, hash).to_string())
            .ok_or_else(|| format!("pack {hash} is missing"))?;
        let opener = PackOpener::new(record, &self.keys).map_err(|e| e.to_string())?;
        let mut bench = OpenBench::new().unwrap();
        let mut lens = record.table.lens.iter().map(|l| *l as usize);
        let mut chunks = vec![];
        for (number, block) in record.table.blocks.iter().enumerate() {
            let range = opener.range(number);
            let sealed = object
                .get(usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap())
                .ok_or_else(|| format!("pack {hash} is cut"))?;
            let mut text = opener.open(number, sealed, &mut bench, &self.chunker).map_err(|e| e.to_string())?;
            for len in lens.by_ref().take(block.chunks as usize) {
                let (chunk, rest) = text.split_at(len);
                chunks.push(chunk.to_vec());
                text = rest;
            }
        }
        self.opened.borrow_mut().insert(hash, chunks);
        Ok(())
    }

    /// The whole state, contents read.
    pub fn tree(&self, at: Wall) -> Result<Tree, String> {
        let mut tree = Tree::new();
        for (path, version) in self.versions(at) {
            assert!(!version.torn, "{path} was torn, but nothing changes while these tests read");
            let content = match version.entry.shape {
                Shape::File => Some(sha256(&self.content(version)?)),
                _ => None,
            };
            tree.insert(path, Thing::new(&version.entry, content));
        }
        Ok(tree)
    }

    /// Chunks that lie in more than one pack that is not lost: sent twice for nothing.
    pub fn chunks_sent_twice(&self) -> Vec<ChunkId> {
        let mut seen = BTreeSet::new();
        let sound = self.packs.values().filter(|p| !self.lost.contains(&p.hash));
        sound.flat_map(|p| p.table.ids.iter().copied()).filter(|id| !seen.insert(*id)).collect()
    }
}
