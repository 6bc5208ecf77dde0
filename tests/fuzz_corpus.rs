//! Bytes that were changed in every way: what the golden vault holds, and what people write, is flipped, cut, spliced,
//! stretched and repeated, many thousand times, the same on every run, and shown to each door of `support/doors.rs`.
//! No door may panic, answer with another kind of error than Damaged or Operator, or take more memory than its limits
//! say. `fuzz/` goes on from here for as long as somebody lets it.

#[path = "support/doors.rs"]
mod doors;

use panicroom::format::segment::{Opened, Record, entry_to_cbor, numbers_to_cbor};
use panicroom::format::{HEADER, Header, Name, ObjectKind, key_file, vault};
use panicroom::seal::compress::Decompressor;
use panicroom::seal::keys::{OpenKeys, WrapCost};
use panicroom::seal::{SystemEntropy, words};
use std::path::PathBuf;

/// What all doors together may take at their worst: a segment's map of 64 MiB, its frame, and what the tests
/// themselves hold. A length that was believed unchecked would be gigabytes.
const MOST_KIB: u64 = 256 << 10;

fn golden() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/v1")
}

/// Objects of the golden vault whose names `of` chooses.
fn objects(of: impl Fn(&Name) -> bool) -> Vec<Vec<u8>> {
    let entries = std::fs::read_dir(golden().join("vault")).unwrap().map(|e| e.unwrap().path());
    let mut paths: Vec<PathBuf> =
        entries.filter(|p| Name::parse(p.file_name().unwrap().to_str().unwrap()).is_some_and(|n| of(&n))).collect();
    paths.sort();
    assert!(!paths.is_empty(), "the golden vault holds some of each");
    paths.into_iter().map(|p| std::fs::read(p).unwrap()).collect()
}

fn golden_keys() -> OpenKeys {
    let file = vault::VaultFile::read(&objects(|n| *n == Name::Vault)[0]).unwrap();
    let text = std::fs::read_to_string(golden().join("words.txt")).unwrap();
    words::parse(&text, file.id, &file.check).unwrap().open_keys(file.id)
}

fn is_log(name: &Name) -> bool {
    matches!(name, Name::Segment(..) | Name::Merge(..))
}

/// What the golden log says inside its seals.
fn log_texts(keys: &OpenKeys) -> Vec<Vec<u8>> {
    let mut bench = Decompressor::new().unwrap();
    let open = |object: Vec<u8>| {
        let header = object[..HEADER].try_into().unwrap();
        bench.frame(&keys.seal.meta.open(&header, &object[HEADER..]).unwrap(), 64 << 20).unwrap()
    };
    objects(is_log).into_iter().map(open).collect()
}

fn records(keys: &OpenKeys) -> Vec<Record> {
    let (mut out, mut bench) = (vec![], Decompressor::new().unwrap());
    for object in objects(|n| matches!(n, Name::Segment(..))) {
        let opened = Opened::open(&object, ObjectKind::Segment, keys.seal.vault, &keys.seal.meta, &mut bench).unwrap();
        opened
            .records(|record| {
                out.push(record);
                Ok(())
            })
            .unwrap();
    }
    out
}

/// A row of numbers that is the same on every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.roll() % end.max(1) as u64).unwrap()
    }
    fn range(&mut self, len: usize) -> std::ops::Range<usize> {
        let start = self.below(len + 1);
        start..start + self.below((len - start + 1).min(64))
    }
}

/// One change more.
fn change(bytes: &mut Vec<u8>, seeds: &[Vec<u8>], dice: &mut Dice) {
    /// Lengths and heads of CBOR and of our own fields that ask for much, or for nothing.
    const GREEDY: [&[u8]; 8] = [
        &[0xff; 8],
        &[0x7f, 0xff, 0xff, 0xff],
        &[0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
        &[0x5b, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff],
        &[0x1b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
        &[0x9f],
        &[0x81; 40],
        &[0; 8],
    ];
    let len = bytes.len();
    match dice.below(8) {
        0 if len > 0 => bytes[dice.below(len)] ^= 1 << dice.below(8),
        1 if len > 0 => bytes[dice.below(len)] = dice.roll().to_le_bytes()[0],
        2 => bytes.truncate(dice.below(len + 1)),
        3 => {
            bytes.drain(dice.range(len));
        }
        4 => {
            let (at, other) = (dice.below(len + 1), &seeds[dice.below(seeds.len())]);
            let piece = other[dice.range(other.len())].to_vec();
            bytes.splice(at..at, piece);
        }
        5 => {
            let (range, at) = (dice.range(len), dice.below(len + 1));
            let piece = bytes[range].repeat(1 + dice.below(20));
            bytes.splice(at..at, piece);
        }
        6 => {
            let (range, greedy) = (dice.range(len), GREEDY[dice.below(GREEDY.len())]);
            bytes.splice(range, greedy.iter().copied());
        }
        _ => bytes.extend((0..dice.below(300)).map(|_| dice.roll().to_le_bytes()[0])),
    }
}

/// The most memory this process ever held, in KiB.
fn most_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|l| l.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Shows the seeds as they are, and `cases` changed ones, to a door.
fn knock(seeds: &[Vec<u8>], cases: u32, door: impl Fn(&[u8])) {
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    for seed in seeds {
        door(seed);
    }
    door(&[]);
    for _ in 0..cases {
        let mut bytes = seeds[dice.below(seeds.len())].clone();
        for _ in 0..=dice.below(5) {
            change(&mut bytes, seeds, &mut dice);
        }
        door(&bytes);
    }
    assert!(most_memory() < MOST_KIB, "{} KiB of memory were taken", most_memory());
}

fn lines(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|t| t.as_bytes().to_vec()).collect()
}

#[test]
fn objects_of_a_vault_that_were_changed_are_damaged_and_nothing_worse() {
    let keys = golden_keys();
    knock(&objects(|n| *n == Name::Vault), 4000, |data| doors::vault_object(data, &keys));
    knock(&objects(is_log), 4000, |data| doors::log_object(data, &keys));
    knock(&objects(|n| matches!(n, Name::Pack(..))), 1000, |data| doors::pack_object(data, &keys));
    let cost = WrapCost { operations: 1, memory: 8 << 20 };
    let secret = panicroom::seal::keys::Secret::from_bytes([9; 32]);
    let (_, cheap) = key_file::write(&secret, doors::VAULT, "a passphrase", cost, &SystemEntropy).unwrap();
    knock(&[cheap], 300, |data| doors::key_object(data, doors::VAULT));
}

#[test]
fn what_lies_inside_a_seal_may_be_anything() {
    let keys = golden_keys();
    knock(&log_texts(&keys), 8000, doors::log_text);
    let records = records(&keys);
    let packs: Vec<Vec<u8>> =
        records.iter().filter_map(|r| if let Record::Pack(p) = r { Some(p.to_cbor()) } else { None }).collect();
    knock(&packs, 8000, doors::pack_table);
    let mut entries: Vec<Vec<u8>> = records
        .iter()
        .filter_map(
            |r| if let Record::Version { version, .. } = r { Some(entry_to_cbor(&version.entry)) } else { None },
        )
        .collect();
    entries.push(numbers_to_cbor(&[0, 1, 300, 70_000, u64::MAX]));
    knock(&entries, 20_000, doors::entry);
    let paths: Vec<Vec<u8>> = records
        .iter()
        .filter_map(
            |r| if let Record::Version { version, .. } = r { Some(version.path.as_bytes().to_vec()) } else { None },
        )
        .collect();
    knock(&paths, 20_000, doors::path);
}

#[test]
fn what_people_write_is_understood_or_refused() {
    let secret = panicroom::seal::keys::Secret::from_bytes([9; 32]);
    let listed = secret.words().join("\n");
    knock(&lines(&[&listed, "abandon zoo", "a passphrase of five words"]), 60, doors::recovery_words);
    let machine = key_file::machine_text(&doors::keys().seal);
    knock(&lines(&[&machine]), 4000, doors::machine_keys);
    let recipe = include_str!("data/recipe-exclude.txt");
    let globs = "- **/*.tmp\n+ /data/[a-z]*/**\n- /data/**/[!x]?{a,b}\n- ignorecase:**/Cache\n**";
    knock(&lines(&[recipe, globs]), 4000, doors::filter);
    let example = include_str!("../config/example.toml");
    let bare: String = example.lines().map(|l| format!("{}\n", l.strip_prefix('#').unwrap_or(l))).collect();
    let small = "[[root]]\npath = \"/data\"\n[[vault]]\nname = \"v\"\nurl = \"s3://b/p?region=eu&class=X\"\n[http]\nhosts = [\"nas\"]\n";
    let urls = "file:///mnt/usb\ns3://bucket/prefix?region=eu-west-1&endpoint=https%3A%2F%2Fh&path_style=true\ns3://s3-eu.amazonaws.com/b\nnas.lan:8420";
    knock(&lines(&[example, &bare, small, urls]), 3000, doors::settings);
    let names: Vec<String> = std::fs::read_dir(golden().join("vault"))
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    knock(&names.iter().map(|n| n.as_bytes().to_vec()).collect::<Vec<_>>(), 20_000, doors::name);
}

/// The header alone decides whether an object is looked at: every bit of it counts.
#[test]
fn every_bit_of_a_header_counts() {
    let object = objects(|n| *n == Name::Vault).remove(0);
    let (whole, _) = Header::split(&object, ObjectKind::Vault, None).unwrap();
    for bit in 0..HEADER * 8 {
        let mut changed = object.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        let read = Header::split(&changed, ObjectKind::Vault, Some(whole.vault));
        // The random bytes are part of every seal: changed, nothing opens.
        assert_eq!(read.is_ok(), bit >= 32 * 8, "bit {bit}");
    }
}
