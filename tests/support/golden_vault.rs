//! Writes the golden vault: everything the format can say, in a few hundred kilobytes. Run once for a format version;
//! the bytes are then kept in the tree for ever and this text only says what is in them.

use super::expected::{Expected, States, Tree, hex};
use panicroom::chunk::Chunker;
use panicroom::clock::Wall;
use panicroom::format::pack::{Bench, NewPack, PackRecord, Table};
use panicroom::format::segment::{Builder, Heartbeat, Record, SegmentHead};
use panicroom::format::{Name, key_file, vault};
use panicroom::model::{
    Content, Device, Entry, FileTime, HardLink, Piece, SegmentNo, Seq, Sha256, Shape, Size, Tier, TreePath, VaultId,
    Version, WriterId,
};
use panicroom::seal::compress::Compressor;
use panicroom::seal::keys::{SealKeys, Secret, WrapCost};
use panicroom::seal::{Entropy, sha256};
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

pub const SECRET: [u8; 32] = *b"golden secret of the first vault";
pub const VAULT: VaultId = VaultId(*b"golden vault  v1");
pub const PASSPHRASE: &str = "three green parrots, née 1970";
/// The first capture; everything else is counted from here.
const BEGIN: i64 = 1_700_000_000_000;
/// Between the first round and the second.
const BETWEEN: i64 = BEGIN + 500_000;

/// Splitmix64: the same bytes in every run. (The key boxes' inner randomness is libsodium's own.)
#[derive(Debug)]
pub struct Seeded(AtomicU64);

impl Seeded {
    pub fn new(seed: u64) -> Self {
        Self(AtomicU64::new(seed))
    }
    fn next(&self) -> u64 {
        let mut z = self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

impl Entropy for Seeded {
    fn fill(&self, out: &mut [u8]) {
        for part in out.chunks_mut(8) {
            part.copy_from_slice(&self.next().to_le_bytes()[..part.len()]);
        }
    }
}

/// Text that shrinks, `len` bytes of it.
fn prose(topic: &str, len: usize) -> Vec<u8> {
    (0..).flat_map(|i| format!("{i}: {topic}, and so on.\n").into_bytes()).take(len).collect()
}

/// Bytes that do not shrink.
fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut out = vec![0; len];
    Seeded::new(seed).fill(&mut out);
    out
}

struct Scribe {
    folder: PathBuf,
    keys: SealKeys,
    entropy: Seeded,
    chunker: Chunker,
    bench: Bench,
    compressor: Compressor,
    builder: Builder,
    records: Vec<Record>,
    segments: Vec<Sha256>,
    seq: u64,
    clock: i64,
    chunks: HashMap<(Sha256, u32), Vec<u8>>,
    tree: Tree,
}

impl Scribe {
    fn put(&self, name: &str, bytes: &[u8]) {
        std::fs::write(self.folder.join(name), bytes).expect("writes the golden vault");
    }

    /// A pack of these blocks of chunks: its hash, and its record for the log.
    fn pack(&mut self, tier: Tier, blocks: &[&[Vec<u8>]]) -> (Sha256, PackRecord) {
        let new = NewPack::begin(&self.keys, &self.entropy);
        let (mut bytes, mut table) = (new.head(), Table::new(tier));
        for (i, chunks) in (0..).zip(blocks) {
            let ids = chunks.iter().map(|c| (self.chunker.id(c), u32::try_from(c.len()).unwrap())).collect();
            let block = new.sealer().seal(i, chunks.concat(), ids, &mut self.bench, &self.chunker).unwrap().0;
            bytes.extend_from_slice(&block.bytes);
            table.push(&block);
        }
        bytes.extend(new.tail(&table, bytes.len() as u64, &self.entropy));
        let hash = sha256(&bytes);
        self.put(&Name::Pack(tier, hash).to_string(), &bytes);
        for (i, chunk) in (0..).zip(blocks.iter().flat_map(|b| b.iter())) {
            self.chunks.insert((hash, i), chunk.clone());
        }
        let size = bytes.len() as u64;
        (hash, new.record(hash, size, table))
    }

    fn tell(&mut self, record: Record) {
        self.builder.repeat(&record);
        self.records.push(record);
    }

    fn next_seq(&mut self) -> Seq {
        self.seq += 1;
        self.clock += 1_000;
        Seq(self.seq)
    }

    fn bytes(&self, content: &Content) -> Vec<u8> {
        let piece = |p: &Piece| match p {
            Piece::Hole(n) => vec![0; usize::try_from(*n).unwrap()],
            Piece::Run { pack, first, count } => {
                (*first..first + count).flat_map(|i| self.chunks[&(*pack, i)].clone()).collect()
            }
        };
        content.iter().flat_map(piece).collect()
    }

    fn version(&mut self, path: &[u8], content: Content, change: impl FnOnce(&mut Version)) -> Version {
        let seq = self.next_seq();
        let entry = Entry {
            shape: Shape::File,
            mode: 0o644,
            uid: 1000,
            gid: 1000,
            user: Some(b"anna".to_vec()),
            group: None,
            mtime: FileTime { secs: 1_600_000_000 + i64::try_from(self.seq).unwrap(), nanos: 123_456_789 },
            birth: Some(FileTime { secs: 1_500_000_000, nanos: 1 }),
            size: Size(self.bytes(&content).len() as u64),
            xattrs: vec![],
            link: None,
        };
        let path = TreePath::from_bytes(path).unwrap();
        let mut version = Version { path, seq, captured: Wall(BEGIN + self.clock), entry, content, torn: false };
        change(&mut version);
        version
    }

    /// Writes a version that readers must give back until something replaces it.
    fn keep(&mut self, path: &[u8], content: Content, change: impl FnOnce(&mut Version)) {
        let version = self.version(path, content, change);
        self.expect(&version);
        self.tell(Record::Version { version, more: false });
    }

    /// Writes a version that readers must not give back.
    fn hide(&mut self, path: &[u8], content: Content, change: impl FnOnce(&mut Version)) {
        let version = self.version(path, content, change);
        self.tell(Record::Version { version, more: false });
    }

    fn folder(&mut self, path: &[u8], mode: u32) {
        self.keep(path, vec![], |v| (v.entry.shape, v.entry.mode) = (Shape::Dir, mode));
    }

    fn delete(&mut self, path: &[u8]) {
        let seq = self.next_seq();
        self.tree.retain(|key, _| *key != hex(path) && !key.starts_with(&(hex(path) + "2f")));
        let path = TreePath::from_bytes(path).unwrap();
        self.tell(Record::Deletion { path, seq, noticed: Wall(BEGIN + self.clock) });
    }

    fn expect(&mut self, v: &Version) {
        let contents = self.bytes(&v.content);
        self.tree.insert(hex(v.path.as_bytes()), described(v, &contents));
    }

    fn seal_segment(&mut self) {
        let head = SegmentHead {
            number: SegmentNo(self.segments.len() as u64 + 1),
            writer: WriterId(*b"golden writer  1"),
            before: self.segments.last().copied(),
            written: Wall(BEGIN + self.clock),
        };
        let sealed = self.builder.seal_segment(&head, &self.keys, &mut self.compressor, &self.entropy).unwrap();
        self.put(&Name::Segment(head.number, sealed.hash).to_string(), &sealed.bytes);
        self.segments.push(sealed.hash);
        self.builder = Builder::new();
    }

    /// The records so far as a merge of segments 1 to the last.
    fn seal_merge(&mut self) {
        let mut builder = Builder::new();
        self.records.iter().for_each(|r| builder.repeat(r));
        let (from, to) = (SegmentNo(1), SegmentNo(self.segments.len() as u64));
        let at = Wall(BEGIN + self.clock);
        let (keys, entropy) = (&self.keys, &self.entropy);
        let sealed = builder.seal_merge(from, to, &self.segments, at, keys, &mut self.compressor, entropy).unwrap();
        self.put(&Name::Merge(from, to, sealed.hash).to_string(), &sealed.bytes);
    }
}

/// What a reader must find at the path of this version.
pub fn described(v: &Version, contents: &[u8]) -> Expected {
    let (shape, target) = match &v.entry.shape {
        Shape::File => ("file", String::new()),
        Shape::Dir => ("folder", String::new()),
        Shape::Symlink(target) => ("symlink", hex(target)),
        Shape::Fifo => ("fifo", String::new()),
        Shape::CharDevice(_) => ("char", String::new()),
        Shape::BlockDevice(_) => ("block", String::new()),
    };
    let digest = sha256(contents).to_string();
    Expected {
        name: v.path.to_string(),
        shape: shape.into(),
        mode: format!("{:o}", v.entry.mode),
        uid: v.entry.uid,
        gid: v.entry.gid,
        mtime: (v.entry.mtime.secs, v.entry.mtime.nanos),
        size: v.entry.size.0,
        link: v.entry.link.map_or_else(String::new, |l| format!("{}:{}:{}", l.dev, l.ino, &digest[..8])),
        sha256: if shape == "file" { digest } else { String::new() },
        target,
        torn: v.torn,
        xattrs: v.entry.xattrs.iter().map(|(name, value)| (hex(name), hex(value))).collect(),
    }
}

fn run(pack: Sha256, first: u32, count: u32) -> Piece {
    Piece::Run { pack, first, count }
}

/// Writes the vault and what is expected of it beneath `folder`.
pub fn write(folder: &Path) {
    let objects = folder.join("vault");
    std::fs::create_dir_all(&objects).unwrap();
    let secret = Secret::from_bytes(SECRET);
    let keys = secret.open_keys(VAULT).seal;
    let entropy = Seeded::new(1);
    let label = vault::Label { created: Wall(BEGIN), host: b"golden".to_vec() };
    std::fs::write(objects.join("meta_vault"), vault::write(&keys, &label, &entropy)).unwrap();
    let cost = WrapCost { operations: 1, memory: 8 << 20 };
    let (name, key_object) = key_file::write(&secret, VAULT, PASSPHRASE, cost, &entropy).unwrap();
    std::fs::write(objects.join(name.to_string()), key_object).unwrap();
    let readme = b"This is a panicroom vault.\n";
    std::fs::write(objects.join(format!("meta_rescue_{}_README.md", sha256(readme))), readme).unwrap();
    std::fs::write(folder.join("words.txt"), secret.words().join(" ") + "\n").unwrap();
    std::fs::write(folder.join("passphrase.txt"), format!("{PASSPHRASE}\n")).unwrap();

    let mut s = Scribe {
        folder: objects,
        chunker: Chunker::new(keys.cut_key(), keys.chunk_key()),
        keys,
        entropy,
        bench: Bench::new(3).unwrap(),
        compressor: Compressor::new(3).unwrap(),
        builder: Builder::new(),
        records: vec![],
        segments: vec![],
        seq: 0,
        clock: 0,
        chunks: HashMap::new(),
        tree: BTreeMap::new(),
    };
    let lost = first_round(&mut s);
    s.seal_merge();
    let before = s.tree.clone();
    s.clock = BETWEEN - BEGIN;
    second_round(&mut s, lost);
    let states = States { now: s.tree, before: (BETWEEN, before) };
    std::fs::write(folder.join("expected.json"), serde_json::to_string_pretty(&states).unwrap() + "\n").unwrap();
}

/// Three segments: packs first, then what refers to them, then a version in parts. Gives the pack that gets lost.
fn first_round(s: &mut Scribe) -> Sha256 {
    let small: Vec<_> = (0..10).map(|i| prose(&format!("note {i}"), 150 * (i + 1))).collect();
    let large = [prose("a long letter", 300_000), prose("its second chunk", 70_001)];
    let (cold, cold_record) = s.pack(Tier::Cold, &[&small, &[noise(2, 60_000)], &large, &[noise(3, 9)]]);
    let pages = [noise(4, 65_536), noise(5, 65_536)];
    let (hot, hot_record) = s.pack(Tier::Hot, &[&pages, &[prose("a database page", 65_536)]]);
    let doomed = [prose("what was lost", 5_000), noise(6, 20_000)];
    let (lost, lost_record) = s.pack(Tier::Cold, &[&doomed]);
    for record in [cold_record, hot_record, lost_record] {
        s.tell(Record::Pack(record));
    }
    s.seal_segment();

    s.folder(b"/home/anna", 0o750);
    s.folder(b"/home/anna/notes", 0o700);
    for i in 0..10 {
        s.keep(format!("/home/anna/notes/n{i}").as_bytes(), vec![run(cold, i, 1)], |v| v.entry.mode = 0o600);
    }
    s.keep(b"/home/anna/letter.txt", vec![run(cold, 11, 2)], |v| {
        v.entry.xattrs = vec![(b"user.colour".to_vec(), b"blue\0\xff".to_vec()), (b"user.empty".to_vec(), vec![])];
    });
    s.keep(b"/home/anna/empty", vec![], |v| v.entry.mode = 0o400);
    s.keep(b"/home/anna/photo.raw", vec![run(cold, 10, 1), run(cold, 13, 1)], |_| {});
    let holes = vec![Piece::Hole(1 << 20), run(cold, 10, 1), Piece::Hole(65_536), run(hot, 2, 1), Piece::Hole(4_096)];
    s.keep(b"/home/anna/image.img", holes, |_| {});
    s.keep(b"/home/anna/only-a-hole", vec![Piece::Hole(3 << 20)], |_| {});
    for (path, chunk) in
        [(&b"/home/anna/twin-a"[..], 3), (b"/home/anna/notes/twin-b", 3), (b"/home/anna/not-a-twin", 4)]
    {
        s.keep(path, vec![run(cold, chunk, 1)], |v| {
            v.entry.link = Some(HardLink { dev: 5, ino: u64::MAX >> 1 });
            v.entry.mtime.secs = 1_600_000_000;
        });
    }
    for (path, target) in [(&b"/home/anna/shortcut"[..], &b"notes/n1"[..]), (b"/home/anna/outside", b"/../nowhere\xff")]
    {
        s.keep(path, vec![], |v| (v.entry.shape, v.entry.mode) = (Shape::Symlink(target.to_vec()), 0o777));
    }
    s.keep(b"/home/anna/na\xefve\nname \\ \x1b[31m", vec![run(cold, 1, 1)], |_| {});
    s.keep(b"/home/anna/before 1970", vec![run(cold, 2, 1)], |v| {
        v.entry.mtime = FileTime { secs: -2, nanos: 500_000_000 };
    });
    s.keep(b"/home/anna/pipe", vec![], |v| (v.entry.shape, v.entry.mode) = (Shape::Fifo, 0o620));
    s.keep(b"/home/anna/tool", vec![run(cold, 0, 1)], |v| v.entry.mode = 0o4755);
    s.keep(b"/home/anna/gone.txt", vec![run(cold, 0, 1)], |_| {});
    s.keep(b"/home/anna/null", vec![], |v| {
        v.entry.shape = Shape::CharDevice(Device { major: 1, minor: 3 });
    });
    s.keep(b"/home/anna/rescued", vec![run(lost, 0, 2)], |_| {});
    s.folder(b"/home/anna/was-a-folder", 0o755);
    s.keep(b"/home/anna/was-a-folder/child", vec![run(cold, 0, 1)], |_| {});
    s.folder(b"/home/anna/removed", 0o755);
    s.keep(b"/home/anna/removed/child", vec![run(cold, 0, 1)], |_| {});
    for name in ["torn-later", "torn-after-deletion"] {
        s.keep(format!("/home/anna/{name}").as_bytes(), vec![run(cold, 5, 1)], |_| {});
    }
    s.folder(b"/srv", 0o1777);
    s.keep(b"/srv/unfinished", vec![run(cold, 7, 1)], |_| {});
    s.seal_segment();

    // A version in three parts; the last lies in the next segment.
    let parts: [Content; 3] = [
        vec![run(cold, 11, 2), Piece::Hole(10)],
        vec![run(hot, 0, 2), run(cold, 0, 10)],
        vec![Piece::Hole(8_192), run(hot, 2, 1)],
    ];
    let mut version = s.version(b"/srv/base.img", parts.concat(), |_| {});
    s.expect(&version);
    let (path, seq) = (version.path.clone(), version.seq);
    let [first, second, third] = parts;
    version.content = first;
    s.tell(Record::Version { version, more: true });
    s.tell(Record::Part { path: path.clone(), seq, part: 1, content: second, more: true });
    s.seal_segment();
    s.tell(Record::Part { path, seq, part: 2, content: third, more: false });
    let at = Wall(BEGIN + s.clock);
    s.builder.status(&Heartbeat { at, lag_s: 60, files: 30, bytes: 3 << 20, ..Heartbeat::default() });
    s.seal_segment();
    lost
}

/// Three more segments: changes, deletions, torn captures, a lost pack, a takeover, a version never finished.
fn second_round(s: &mut Scribe, lost: Sha256) {
    let again = [prose("what was lost", 5_000), noise(6, 20_000), prose("a shorter letter", 4_000)];
    let (pack, record) = s.pack(Tier::Cold, &[&again[..1], &again[1..]]);
    s.tell(Record::Pack(record));
    std::fs::remove_file(s.folder.join(Name::Pack(Tier::Cold, lost).to_string())).unwrap();
    let seq = s.next_seq();
    s.tell(Record::Lost { hash: lost, seq });
    s.keep(b"/home/anna/letter.txt", vec![run(pack, 2, 1)], |v| v.entry.mode = 0o640);
    s.seal_segment();

    let (writer, before) = (WriterId(*b"golden writer  2"), Some(WriterId(*b"golden writer  1")));
    s.tell(Record::Takeover { writer, before, at: Wall(BEGIN + s.clock) });
    for path in ["gone.txt", "null", "removed", "was-a-folder", "torn-after-deletion"] {
        s.delete(format!("/home/anna/{path}").as_bytes());
    }
    s.keep(b"/home/anna/was-a-folder", vec![run(pack, 0, 1)], |_| {});
    s.hide(b"/home/anna/removed/child", vec![run(pack, 0, 1)], |_| {});
    s.hide(b"/home/anna/torn-later", vec![run(pack, 0, 1)], |v| v.torn = true);
    s.hide(b"/home/anna/torn-only", vec![run(pack, 0, 1)], |v| v.torn = true);
    for name in ["torn-only", "torn-after-deletion"] {
        s.keep(format!("/home/anna/{name}").as_bytes(), vec![run(pack, 1, 2)], |v| v.torn = true);
    }
    s.seal_segment();

    // Never finished: the version before it stands.
    let version = s.version(b"/srv/unfinished", vec![run(pack, 0, 1)], |v| v.entry.size = Size(99_999));
    s.tell(Record::Version { version, more: true });
    s.seal_segment();
}
