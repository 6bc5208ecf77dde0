//! Promise 16: every released format can be read by every later release. `tests/golden/v1` is a vault as the first
//! release wrote it; its bytes never change. `PANICROOM_WRITE_GOLDEN=1` writes a missing one, and never over an old.

#[path = "support/expected.rs"]
mod expected;
#[path = "support/golden_vault.rs"]
mod golden_vault;

use expected::{States, Tree, hex};
use panicroom::chunk::Chunker;
use panicroom::format::log::LogIndex;
use panicroom::format::pack::{OpenBench, PackOpener, PackRecord, read_own_record};
use panicroom::format::segment::{Opened, Record};
use panicroom::format::{Name, ObjectKind, key_file, vault};
use panicroom::model::{Content, Piece, Sha256, Shape, TreePath, Version};
use panicroom::seal::compress::Decompressor;
use panicroom::seal::keys::OpenKeys;
use panicroom::seal::{sha256, words};
use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/v1")
}

fn object(name: &Name) -> Option<Vec<u8>> {
    std::fs::read(folder().join("vault").join(name.to_string())).ok()
}

fn names() -> Vec<Name> {
    let entries = std::fs::read_dir(folder().join("vault")).expect("the golden vault is in the tree");
    let mut names: Vec<_> =
        entries.map(|e| Name::parse(e.unwrap().file_name().to_str().unwrap()).expect("a name of the format")).collect();
    names.sort();
    names
}

fn open_keys() -> OpenKeys {
    let file = vault::VaultFile::read(&object(&Name::Vault).unwrap()).unwrap();
    let text = std::fs::read_to_string(folder().join("words.txt")).unwrap();
    words::parse(&text, file.id, &file.check).unwrap().open_keys(file.id)
}

fn segments() -> Vec<Name> {
    names().into_iter().filter(|n| matches!(n, Name::Segment(..))).collect()
}

fn records(names: &[Name], keys: &OpenKeys) -> Vec<Record> {
    let (mut out, mut bench) = (vec![], Decompressor::new().unwrap());
    for name in names {
        let kind = if matches!(name, Name::Merge(..)) { ObjectKind::Merge } else { ObjectKind::Segment };
        let opened = Opened::open(&object(name).unwrap(), kind, keys.seal.vault, &keys.seal.meta, &mut bench).unwrap();
        opened
            .records(|r| {
                out.push(r);
                Ok(())
            })
            .unwrap();
    }
    out
}

/// The rule of docs/format.md section 6, told as plainly as possible.
fn state(records: &[Record], at: Option<i64>) -> Vec<Version> {
    let mut whole: BTreeMap<(TreePath, u64), Option<Version>> = BTreeMap::new();
    let mut open: HashMap<(TreePath, u64), Version> = HashMap::new();
    for record in records {
        match record {
            Record::Version { version, more } => {
                let key = (version.path.clone(), version.seq.0);
                if *more {
                    open.insert(key, version.clone());
                } else {
                    whole.insert(key, Some(version.clone()));
                }
            }
            Record::Part { path, seq, content, more, .. } => {
                let key = (path.clone(), seq.0);
                open.get_mut(&key).unwrap().content.extend_from_slice(content);
                if !more {
                    whole.insert(key.clone(), open.remove(&key));
                }
            }
            Record::Deletion { path, seq, noticed } if at.is_none_or(|t| noticed.0 <= t) => {
                whole.insert((path.clone(), seq.0), None);
            }
            _ => {}
        }
    }
    let mut last: BTreeMap<TreePath, Option<Version>> = BTreeMap::new();
    for ((path, _), version) in whole {
        let late = version.as_ref().is_some_and(|v| at.is_some_and(|t| v.captured.0 > t));
        let torn = version.as_ref().is_some_and(|v| v.torn);
        let untorn_stands = last.get(&path).is_some_and(|v| v.as_ref().is_some_and(|v| !v.torn));
        if !(late || torn && untorn_stands) {
            last.insert(path, version);
        }
    }
    let is_folder =
        |path: &TreePath| last.get(path).is_none_or(|v| v.as_ref().is_some_and(|v| v.entry.shape == Shape::Dir));
    let stands = |path: &TreePath| std::iter::successors(path.parent(), TreePath::parent).all(|p| is_folder(&p));
    last.iter().filter(|(path, _)| stands(path)).filter_map(|(_, version)| version.clone()).collect()
}

/// Packs by hash, chunks from wherever they can still be read.
struct Packs {
    keys: OpenKeys,
    chunker: Chunker,
    records: HashMap<Sha256, PackRecord>,
}

impl Packs {
    fn read(&self, pack: Sha256, chunk: u32) -> Option<Vec<u8>> {
        let record = &self.records[&pack];
        let bytes = object(&Name::Pack(record.table.tier, pack))?;
        assert_eq!(sha256(&bytes), pack);
        let opener = PackOpener::new(record, &self.keys).unwrap();
        let block = opener.block_of(chunk).unwrap();
        let range = opener.range(block);
        let range = usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap();
        let mut bench = OpenBench::new().unwrap();
        let text = opener.open(block, &bytes[range], &mut bench, &self.chunker).unwrap();
        let sizes = &record.table.lens;
        let (first, chunk) = (opener.first_chunk(block) as usize, chunk as usize);
        let start: u32 = sizes[first..chunk].iter().sum();
        Some(text[start as usize..][..sizes[chunk] as usize].to_vec())
    }

    fn chunk(&self, pack: Sha256, chunk: u32) -> Vec<u8> {
        let id = self.records[&pack].table.ids[chunk as usize];
        let elsewhere = self.records.iter().flat_map(|(hash, record)| {
            (0..).zip(&record.table.ids).filter(move |(_, other)| **other == id).map(|(i, _)| (*hash, i))
        });
        std::iter::once((pack, chunk)).chain(elsewhere).find_map(|(p, c)| self.read(p, c)).expect("a place that reads")
    }

    fn contents(&self, content: &Content) -> Vec<u8> {
        content
            .iter()
            .flat_map(|piece| match piece {
                Piece::Hole(n) => vec![0; usize::try_from(*n).unwrap()],
                Piece::Run { pack, first, count } => {
                    (*first..first + count).flat_map(|c| self.chunk(*pack, c)).collect()
                }
            })
            .collect()
    }
}

fn tree(records: &[Record], at: Option<i64>, keys: OpenKeys) -> Tree {
    let packs = records.iter().filter_map(|r| if let Record::Pack(p) = r { Some((p.hash, p.clone())) } else { None });
    let chunker = Chunker::new(keys.seal.cut_key(), keys.seal.chunk_key());
    let packs = Packs { chunker, records: packs.collect(), keys };
    let entry = |v: Version| (hex(v.path.as_bytes()), golden_vault::described(&v, &packs.contents(&v.content)));
    state(records, at).into_iter().map(entry).collect()
}

fn states() -> States {
    serde_json::from_slice(&std::fs::read(folder().join("expected.json")).unwrap()).unwrap()
}

#[test]
fn a_golden_vault_is_written_once_and_never_over_an_old_one() {
    if std::env::var_os("PANICROOM_WRITE_GOLDEN").is_some() && !folder().join("expected.json").exists() {
        golden_vault::write(&folder());
    }
    assert!(folder().join("expected.json").exists(), "the golden vault is part of the source tree");
}

#[test]
fn every_object_is_what_its_name_says() {
    for name in names() {
        let (Name::Key(hash) | Name::Pack(_, hash) | Name::Segment(_, hash) | Name::Merge(_, _, hash)) = name else {
            continue;
        };
        assert_eq!(sha256(&object(&name).unwrap()), hash, "{name}");
    }
}

#[test]
fn the_segments_give_back_the_state_of_every_path() {
    let records = records(&segments(), &open_keys());
    let States { now, before } = states();
    assert_eq!(tree(&records, None, open_keys()), now);
    assert_eq!(tree(&records, Some(before.0), open_keys()), before.1);
}

#[test]
fn the_merge_with_the_segments_after_it_gives_back_the_same() {
    let merge = names().into_iter().find(|n| matches!(n, Name::Merge(..))).unwrap();
    let Name::Merge(from, to, _) = merge else { unreachable!("found as a merge") };
    let after = segments().into_iter().filter(|n| !matches!(n, Name::Segment(i, _) if (from..=to).contains(i)));
    let read: Vec<_> = std::iter::once(merge).chain(after).collect();
    assert_eq!(tree(&records(&read, &open_keys()), None, open_keys()), states().now);
}

#[test]
fn the_log_has_no_gaps_and_each_segment_names_the_one_before() {
    let mut index = LogIndex::default();
    for name in names() {
        index.add(name);
    }
    assert_eq!((index.gaps(), index.doubles()), (vec![], vec![]));
    let (keys, mut before) = (open_keys(), None);
    let mut bench = Decompressor::new().unwrap();
    for name in segments() {
        let bytes = object(&name).unwrap();
        let opened = Opened::open(&bytes, ObjectKind::Segment, keys.seal.vault, &keys.seal.meta, &mut bench).unwrap();
        assert_eq!(opened.before, before);
        before = Some(sha256(&bytes));
    }
}

#[test]
fn every_pack_tells_its_own_table_as_the_log_does() {
    let keys = open_keys();
    let mut packs = 0;
    for record in records(&segments(), &keys) {
        if let Record::Pack(record) = record
            && let Some(bytes) = object(&Name::Pack(record.table.tier, record.hash))
        {
            assert_eq!(read_own_record(&bytes, &keys.seal.meta, keys.seal.vault).unwrap(), record);
            packs += 1;
        }
    }
    assert_eq!(packs, 3);
}

#[test]
fn the_passphrase_opens_what_the_words_open() {
    let name = names().into_iter().find(|n| matches!(n, Name::Key(_))).unwrap();
    let file = vault::VaultFile::read(&object(&Name::Vault).unwrap()).unwrap();
    let open = |p: &str| key_file::open(&object(&name).unwrap(), file.id, &file.check, p).unwrap();
    let typed = std::fs::read_to_string(folder().join("passphrase.txt")).unwrap();
    let words = std::fs::read_to_string(folder().join("words.txt")).unwrap();
    assert_eq!(open(typed.trim_end()).unwrap().words().join(" "), words.trim_end());
    assert!(open("three green parrots").is_none());
}
