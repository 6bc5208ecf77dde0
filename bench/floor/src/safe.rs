//! The pipeline with what the promises of panicroom cost, and no more than that:
//!
//! - chunk ids keyed; whole chunks laid in blocks of about 1 MiB, compressed (random data found by a cheap test and
//!   kept raw), sealed with ChaCha20-Poly1305;
//! - every block opened again at once, decompressed, and every chunk id in it computed again;
//! - a pack is hashed (SHA-256), written and synced, its folder synced, then noted in a journal that is synced; read
//!   back from its file and hashed again; linked into the vault, the vault's folder synced;
//! - a table in each pack, and a log: every chunk id with its place, every file with its path, stamp, owner, mode and
//!   content, compressed, sealed, synced.
//!
//! Less than the program all the same: no watching, no catalog to look things up in later, no restore, no second look
//! at a file after it was read, metadata kept in memory until the end, and a faster cipher library (AWS-LC).

use crate::{AVG, MAX, MIN, key, nonce, seal, walk};
use aws_lc_rs::{aead, digest};
use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Instant;

const BLOCK: usize = 1 << 20;
const PACK: usize = 25_000_000;
const SEGMENT: usize = 16 << 20;

type Id = [u8; 32];

/// What all threads share.
struct Shared {
    out: PathBuf,
    spool: PathBuf,
    level: i32,
    /// Where each chunk lies: pack and number in it.
    places: Mutex<HashMap<Id, (u64, u32)>>,
    journal: Mutex<File>,
    records: Mutex<Vec<Vec<u8>>>,
    packs: AtomicU64,
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
}

fn sync_folder(d: &Path) {
    File::open(d).unwrap().sync_all().unwrap();
}

/// Whether four samples do not shrink.
fn looks_random(text: &[u8], quick: &mut zstd::bulk::Compressor<'_>) -> bool {
    const SAMPLE: usize = 4096;
    if text.len() < 8 * SAMPLE {
        return false;
    }
    let stride = (text.len() - SAMPLE) / 3;
    let sample: Vec<u8> = (0..4).flat_map(|i| &text[i * stride..][..SAMPLE]).copied().collect();
    quick.compress(&sample).unwrap().len() * 100 >= sample.len() * 98
}

/// One thread's pack and everything that is used again and again.
struct Packer<'a> {
    shared: &'a Shared,
    key: aead::LessSafeKey,
    zstd: zstd::bulk::Compressor<'static>,
    quick: zstd::bulk::Compressor<'static>,
    unzstd: zstd::bulk::Decompressor<'static>,
    squeezed: Vec<u8>,
    opened: Vec<u8>,
    check: Vec<u8>,
    text: Vec<u8>,
    list: Vec<(Id, u32)>,
    id: u64,
    pack: Vec<u8>,
    table: Vec<u8>,
    chunks: u32,
    blocks: u64,
}

impl<'a> Packer<'a> {
    fn new(shared: &'a Shared) -> Self {
        Self {
            shared,
            key: key(&aead::CHACHA20_POLY1305),
            zstd: zstd::bulk::Compressor::new(shared.level).unwrap(),
            quick: zstd::bulk::Compressor::new(-1).unwrap(),
            unzstd: zstd::bulk::Decompressor::new().unwrap(),
            squeezed: vec![0; zstd::zstd_safe::compress_bound(MAX)],
            opened: Vec::with_capacity(MAX + 16),
            check: vec![0; MAX + BLOCK],
            text: Vec::with_capacity(MAX),
            list: vec![],
            id: shared.packs.fetch_add(1, Relaxed),
            pack: Vec::with_capacity(PACK + 2 * MAX),
            table: vec![],
            chunks: 0,
            blocks: 0,
        }
    }

    /// Where the chunk lies; it is stored when nobody had it.
    fn chunk(&mut self, data: &[u8]) -> (u64, u32) {
        let id = *blake3::keyed_hash(&[7; 32], data).as_bytes();
        let place = {
            let mut places = self.shared.places.lock().unwrap();
            if let Some(place) = places.get(&id) {
                return *place;
            }
            places.insert(id, (self.id, self.chunks));
            (self.id, self.chunks)
        };
        self.chunks += 1;
        if !self.text.is_empty() && self.text.len() + data.len() > BLOCK {
            self.block();
        }
        self.text.extend_from_slice(data);
        self.list.push((id, data.len() as u32));
        if self.text.len() >= BLOCK {
            self.block();
        }
        if self.pack.len() > PACK {
            self.finish();
        }
        place
    }

    /// Seals what lies in the block and proves it.
    fn block(&mut self) {
        if self.text.is_empty() {
            return;
        }
        let start = self.pack.len();
        let raw = looks_random(&self.text, &mut self.quick) || {
            let n = self.zstd.compress_to_buffer(&self.text, &mut self.squeezed[..]).unwrap();
            let raw = n * 100 >= self.text.len() * 98;
            if !raw {
                self.pack.extend_from_slice(&self.squeezed[..n]);
            }
            raw
        };
        if raw {
            self.pack.extend_from_slice(&self.text);
        }
        let number = self.id << 20 | self.blocks;
        let tag = seal(&self.key, number, &mut self.pack[start..]);
        self.pack.extend_from_slice(&tag);

        self.opened.clear();
        self.opened.extend_from_slice(&self.pack[start..]);
        let text = self.key.open_in_place(nonce(number), aead::Aad::empty(), &mut self.opened).unwrap();
        let back: &[u8] = if raw {
            text
        } else {
            let n = self.unzstd.decompress_to_buffer(text, &mut self.check[..]).unwrap();
            &self.check[..n]
        };
        let mut at = 0;
        for (id, len) in &self.list {
            let data = &back[at..at + *len as usize];
            assert!(blake3::keyed_hash(&[7; 32], data) == *id, "a block does not open to what was sealed");
            at += *len as usize;
        }
        assert_eq!(at, back.len());

        self.table.extend(((self.pack.len() - start) as u32).to_le_bytes());
        self.table.extend((self.list.len() as u32).to_le_bytes());
        for (id, len) in self.list.drain(..) {
            self.table.extend(id);
            self.table.extend(len.to_le_bytes());
        }
        self.blocks += 1;
        self.text.clear();
    }

    /// The pack into the spool, the journal and the vault.
    fn finish(&mut self) {
        self.block();
        if self.pack.is_empty() {
            return;
        }
        let mut table = zstd::bulk::compress(&self.table, 3).unwrap();
        let tag = seal(&self.key, self.id << 20 | self.blocks, &mut table);
        self.pack.extend_from_slice(&table);
        self.pack.extend_from_slice(&tag);
        store(self.shared, &format!("data_{:05}", self.id), &self.pack);
        self.shared.records.lock().unwrap().push(std::mem::take(&mut self.table));
        self.pack.clear();
        self.chunks = 0;
        self.blocks = 0;
        self.id = self.shared.packs.fetch_add(1, Relaxed);
    }
}

/// An object on its whole way: spool, journal, proof, vault.
fn store(shared: &Shared, name: &str, bytes: &[u8]) {
    let hash = digest::digest(&digest::SHA256, bytes);
    let (temporary, spooled) = (shared.spool.join(format!(".tmp-{name}")), shared.spool.join(name));
    let mut f = File::create(&temporary).unwrap();
    f.write_all(bytes).unwrap();
    f.sync_all().unwrap();
    fs::rename(&temporary, &spooled).unwrap();
    sync_folder(&shared.spool);
    let note = |what: u8| {
        let mut journal = shared.journal.lock().unwrap();
        journal.write_all(&[&[what], hash.as_ref()].concat()).unwrap();
        journal.sync_data().unwrap();
    };
    note(1);
    let (mut f, mut again, mut buffer) =
        (File::open(&spooled).unwrap(), digest::Context::new(&digest::SHA256), vec![0; 256 << 10]);
    loop {
        let n = f.read(&mut buffer).unwrap();
        if n == 0 {
            break;
        }
        again.update(&buffer[..n]);
    }
    assert!(again.finish().as_ref() == hash.as_ref(), "a spooled object is not what was written");
    fs::hard_link(&spooled, shared.out.join(name)).unwrap();
    sync_folder(&shared.out);
    note(2);
    fs::remove_file(&spooled).unwrap();
    shared.bytes_out.fetch_add(bytes.len() as u64, Relaxed);
}

/// A file's line in the log.
fn record(path: &Path, m: &fs::Metadata, content: &[(u64, u32, u32)]) -> Vec<u8> {
    let mut r = Vec::with_capacity(path.as_os_str().len() + 64);
    r.extend((path.as_os_str().len() as u16).to_le_bytes());
    r.extend(path.as_os_str().as_bytes());
    for n in [m.len(), m.mtime() as u64, m.mtime_nsec() as u64] {
        r.extend(n.to_le_bytes());
    }
    for n in [m.mode(), m.uid(), m.gid()] {
        r.extend(n.to_le_bytes());
    }
    for (pack, first, count) in content {
        r.extend((*pack as u32).to_le_bytes());
        r.extend(first.to_le_bytes());
        r.extend(count.to_le_bytes());
    }
    r
}

/// One file read, cut and packed; its line for the log.
fn file(path: &Path, packer: &mut Packer<'_>, buf: &mut [u8]) -> Vec<u8> {
    let mut f = File::open(path).unwrap();
    let before = f.metadata().unwrap();
    let mut content: Vec<(u64, u32, u32)> = vec![];
    let (mut have, mut end) = (0, false);
    loop {
        while !end && have < buf.len() {
            let n = f.read(&mut buf[have..]).unwrap();
            end = n == 0;
            have += n;
        }
        let mut used = 0;
        for c in fastcdc::v2020::FastCDC::new(&buf[..have], MIN, AVG, MAX) {
            if !end && c.offset + c.length == have {
                break;
            }
            used = c.offset + c.length;
            let (pack, number) = packer.chunk(&buf[c.offset..used]);
            match content.last_mut() {
                Some((p, first, count)) if *p == pack && *first + *count == number => *count += 1,
                _ => content.push((pack, number, 1)),
            }
        }
        packer.shared.bytes_in.fetch_add(used as u64, Relaxed);
        buf.copy_within(used..have, 0);
        have -= used;
        if end {
            break;
        }
    }
    let after = f.metadata().unwrap();
    assert_eq!((before.len(), before.mtime_nsec()), (after.len(), after.mtime_nsec()), "changed while read");
    record(path, &after, &content)
}

pub fn safe(dir: &str, out: &str, threads: usize, level: i32) {
    let t0 = Instant::now();
    let mut files = vec![];
    walk(Path::new(dir), &mut files);
    files.sort_by_key(|f| if f.1 > 64 << 20 { (0, u64::MAX - f.1) } else { (1, f.2) });
    let out = PathBuf::from(out);
    let spool = PathBuf::from(format!("{}.spool", out.display()));
    for d in [&out, &spool] {
        fs::create_dir_all(d).unwrap();
    }
    let journal = OpenOptions::new().create(true).append(true).open(spool.join("journal")).unwrap();
    let shared = Shared {
        out,
        spool,
        level,
        places: Mutex::default(),
        journal: Mutex::new(journal),
        records: Mutex::default(),
        packs: AtomicU64::new(0),
        bytes_in: AtomicU64::new(0),
        bytes_out: AtomicU64::new(0),
    };
    let next = AtomicUsize::new(0);
    let lines: Mutex<Vec<Vec<u8>>> = Mutex::default();
    std::thread::scope(|s| {
        for _ in 0..threads {
            s.spawn(|| {
                let (mut packer, mut buf, mut mine) = (Packer::new(&shared), vec![0u8; 16 << 20], vec![]);
                while let Some(f) = files.get(next.fetch_add(1, Relaxed)) {
                    mine.push(file(&f.0, &mut packer, &mut buf));
                }
                packer.finish();
                lines.lock().unwrap().append(&mut mine);
            });
        }
    });
    let mut lines = lines.into_inner().unwrap();
    lines.sort_unstable();
    let mut segments = 0u64;
    let (mut text, records) = (vec![], std::mem::take(&mut *shared.records.lock().unwrap()));
    let mut flush = |text: &mut Vec<u8>| {
        let mut sealed = zstd::bulk::compress(text, 3).unwrap();
        let tag = seal(&key(&aead::CHACHA20_POLY1305), u64::MAX - segments, &mut sealed);
        sealed.extend(tag);
        store(&shared, &format!("meta_log_{segments:05}"), &sealed);
        segments += 1;
        text.clear();
    };
    for line in records.iter().chain(&lines) {
        text.extend_from_slice(line);
        if text.len() > SEGMENT {
            flush(&mut text);
        }
    }
    flush(&mut text);
    fs::remove_dir_all(&shared.spool).unwrap();
    let s = t0.elapsed().as_secs_f64();
    let (read, written) = (shared.bytes_in.load(Relaxed) as f64 / 1e6, shared.bytes_out.load(Relaxed) as f64 / 1e6);
    println!(
        "safe, threads {threads} zstd {level}: {} files, in {read:.1} MB, out {written:.1} MB, {segments} segments, wall {s:.2} s, {:.0} MB/s",
        files.len(),
        read / s
    );
}
