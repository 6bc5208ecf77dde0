//! Every door by which bytes that somebody else may have written come in. Behind each stands a reader that must answer
//! with a value or with an error that says Damaged or Operator: never with a panic, never by taking more memory than its
//! limits say. `fuzz/` and `tests/fuzz_corpus.rs` knock at the same doors.

use panicroom::config::{self, VaultUrl};
use panicroom::error::{Error, Kind};
use panicroom::filter::{DefaultExcludes, FileOrDir, Filter, InPlace};
use panicroom::format::pack::{NewPack, PackRecord, read_own_record};
use panicroom::format::segment::{
    Builder, Opened, Record, entry_from_cbor, entry_to_cbor, numbers_from_cbor, numbers_to_cbor,
};
use panicroom::format::{HEADER, Header, Name, ObjectKind, key_file, vault};
use panicroom::model::{TreePath, VaultId};
use panicroom::seal::compress::{Compressor, Decompressor};
use panicroom::seal::keys::{OpenKeys, Secret};
use panicroom::seal::{Entropy, words};
use std::path::Path;

pub const VAULT: VaultId = VaultId([0x5a; 16]);

/// The same every time, so that a finding can be repeated.
#[derive(Debug)]
struct Still;

impl Entropy for Still {
    fn fill(&self, out: &mut [u8]) {
        out.fill(7);
    }
}

pub fn keys() -> OpenKeys {
    Secret::from_bytes([9; 32]).open_keys(VAULT)
}

#[track_caller]
fn answered<T>(answer: Result<T, Error>) -> Option<T> {
    match answer {
        Ok(value) => Some(value),
        Err(e) => {
            assert!(matches!(e.kind(), Kind::Damaged | Kind::Operator), "an error of kind {:?}: {e}", e.kind());
            None
        }
    }
}

fn text(data: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(data)
}

/// Names of objects in a listing.
pub fn name(data: &[u8]) {
    if let Some(name) = Name::parse(&text(data)) {
        // The words at the end of a rescue file's name are nobody's business.
        assert!(matches!(name, Name::Rescue(_)) || name.to_string() == text(data));
    }
}

/// `meta_vault` as it lies in the vault, for whoever holds `keys`.
pub fn vault_object(data: &[u8], keys: &OpenKeys) {
    if let Some(file) = answered(vault::VaultFile::read(data)) {
        answered(file.label(&keys.seal));
    }
}

/// A segment or a merge as it lies in the vault.
pub fn log_object(data: &[u8], keys: &OpenKeys) {
    let mut bench = Decompressor::new().expect("a decompressor");
    for kind in [ObjectKind::Segment, ObjectKind::Merge] {
        if let Some(opened) = answered(Opened::open(data, kind, keys.seal.vault, &keys.seal.meta, &mut bench)) {
            read_records(&opened);
        }
    }
}

/// What a segment says inside its seal: a stranger cannot write it, a fault of ours can.
pub fn log_text(data: &[u8]) {
    let keys = keys();
    let header = Header::new(ObjectKind::Segment, VAULT, &Still).to_bytes();
    let Ok(frame) = Compressor::new(1).and_then(|mut c| c.frame(data)) else { return };
    let object = [&header[..], &keys.seal.meta.seal(&header, &Still, &frame)].concat();
    log_object(&object, &keys);
    // And whatever else the seal may hold.
    let object = [&header[..], &keys.seal.meta.seal(&header, &Still, data)].concat();
    log_object(&object, &keys);
}

fn read_records(opened: &Opened) {
    let mut again = Builder::new();
    answered(opened.records(|record| {
        if let Record::Pack(pack) = &record {
            walk_pack(pack);
        }
        again.repeat(&record);
        Ok(())
    }));
}

/// Whoever got a pack's record may ask it anything.
fn walk_pack(pack: &PackRecord) {
    let blocks = pack.table.starts().count();
    for block in 0..=blocks {
        let range = pack.range(block);
        assert!(range.is_none_or(|r| r.start <= r.end));
    }
    assert_eq!(answered(PackRecord::from_cbor(&pack.to_cbor())).as_ref(), Some(pack));
}

/// A whole pack, read without a log.
pub fn pack_object(data: &[u8], keys: &OpenKeys) {
    if let Some(pack) = answered(read_own_record(data, &keys.seal.meta, keys.seal.vault)) {
        walk_pack(&pack);
    }
}

/// The table of a pack inside its seal, and the same bytes as a record of the log.
pub fn pack_table(data: &[u8]) {
    if let Some(pack) = answered(PackRecord::from_cbor(data)) {
        walk_pack(&pack);
    }
    let keys = keys();
    let mut object = NewPack::begin(&keys.seal, &Still).head();
    let header = object[..HEADER].try_into().expect("a header");
    let said = u32::try_from(data.len()).unwrap_or(u32::MAX).to_le_bytes();
    for text in [[&said[..], data].concat(), data.to_vec()] {
        let start = object.len();
        let table = keys.seal.meta.seal(&header, &Still, &text);
        let place = [(start as u64).to_le_bytes(), (table.len() as u64).to_le_bytes()].concat();
        object.extend(table);
        object.extend(keys.seal.meta.seal(&header, &Still, &place));
        pack_object(&object, &keys);
        object.truncate(start);
    }
}

/// Metadata of a path and lists of numbers, as the catalog keeps them and the log says them.
pub fn entry(data: &[u8]) {
    if let Some(read) = answered(entry_from_cbor(data)) {
        // What has no meaning for its shape (the size of a device) is not said again; what is said stays.
        let entry = answered(entry_from_cbor(&entry_to_cbor(&read))).expect("its own bytes");
        assert_eq!(answered(entry_from_cbor(&entry_to_cbor(&entry))), Some(entry));
    }
    if let Some(numbers) = answered(numbers_from_cbor(data)) {
        assert_eq!(answered(numbers_from_cbor(&numbers_to_cbor(&numbers))), Some(numbers));
    }
}

/// Whether stretching the passphrase of a key object costs more than a try is worth; its limits allow a gigabyte.
fn is_dear(object: &[u8]) -> bool {
    let mut d = minicbor::Decoder::new(object.get(HEADER..).unwrap_or_default());
    let (mut operations, mut memory) = (0, 0);
    let Ok(Some(fields)) = d.map() else { return false };
    for _ in 0..fields.min(16) {
        match d.u64() {
            Ok(2) => operations = d.u64().unwrap_or(0),
            Ok(3) => memory = d.u64().unwrap_or(0),
            Ok(_) if d.skip().is_ok() => {}
            _ => break,
        }
    }
    operations > 2 || memory > 9 << 20
}

/// A key object as it lies in the vault, with a passphrase.
pub fn key_object(data: &[u8], vault: VaultId) {
    if !is_dear(data) {
        answered(key_file::open(data, vault, &[0; 32], "six words that nobody guesses"));
    }
}

/// The machine's own key file.
pub fn machine_keys(data: &[u8]) {
    if let Some(keys) = answered(key_file::parse_machine_text(&text(data))) {
        let again = answered(key_file::parse_machine_text(&key_file::machine_text(&keys))).expect("its own text");
        assert_eq!((again.vault, again.check), (keys.vault, keys.check));
    }
}

/// What somebody types as the recovery words.
pub fn recovery_words(data: &[u8]) {
    let secret = Secret::from_bytes([9; 32]);
    let _ = words::look_like_words(&text(data));
    if let Some(read) = answered(words::parse(&text(data), VAULT, &secret.check(VAULT))) {
        assert!(read == secret, "only the words of the vault open it");
    }
}

/// A filter list, and the globs of files that change in place.
pub fn filter(data: &[u8]) {
    let root = TreePath::from_bytes("/data").expect("a path");
    let paths = ["/data", "/data/a", "/data/a/b.c", "/data/.cache/x/y/z", "/data/[a]*?\\"];
    let paths = paths.map(|p| TreePath::from_bytes(p).expect("a path"));
    if let Some(filter) = answered(Filter::parse("list", data, &root, DefaultExcludes::Off)) {
        for path in &paths {
            for what in [FileOrDir::File, FileOrDir::Dir] {
                let _ = filter.explain(path, what).verdict;
            }
        }
    }
    let globs: Vec<String> = text(data).lines().take(16).map(str::to_owned).collect();
    if let Some(globs) = answered(InPlace::new(&globs)) {
        for path in &paths {
            let _ = globs.matches(path, b"name.db");
        }
    }
}

/// The config file, and addresses of vaults.
pub fn settings(data: &[u8]) {
    let text = text(data);
    if let Some(settings) = answered(config::parse(Path::new("config.toml"), &text, &mut |_| Ok(b"- **.bak".to_vec())))
    {
        assert!(!settings.roots.is_empty() && !settings.vaults.is_empty());
    }
    for line in text.lines().take(16) {
        if let Ok(url) = VaultUrl::parse(line) {
            assert_eq!(VaultUrl::parse(&url.to_string()).as_ref(), Ok(&url), "an address reads back");
        }
        if let Ok(host) = config::HostName::parse(line) {
            assert_eq!(config::HostName::parse(&host.to_string()), Ok(host));
        }
    }
}

/// A path as the log says it.
pub fn path(data: &[u8]) {
    if let Some(path) = TreePath::from_bytes(data) {
        let climbs = path.as_bytes().split(|b| *b == b'/').any(|part| part == b"..");
        assert!(path.as_bytes().starts_with(b"/") && !climbs);
    }
}
