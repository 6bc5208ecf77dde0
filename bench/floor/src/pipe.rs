//! The bare pipeline: what the data costs and nothing else. No metadata, no log, no sync, nothing checked.

use crate::{AVG, MAX, MIN, key, seal, walk};
use aws_lc_rs::aead;
use std::collections::HashSet;
use std::fs;
use std::io::{Read, Write};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Instant;

pub fn pipe(dir: &str, out: &str, threads: usize, lvl: i32) {
    let t0 = Instant::now();
    let mut files = vec![];
    walk(Path::new(dir), &mut files);
    let scan = t0.elapsed();
    files.sort_by_key(|f| if f.1 > 64 << 20 { (0, u64::MAX - f.1) } else { (1, f.2) });
    fs::create_dir_all(out).unwrap();
    let next = AtomicUsize::new(0);
    let (inb, outb, packs) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
    let seen = Mutex::new(HashSet::<[u8; 32]>::new());
    std::thread::scope(|s| {
        for _ in 0..threads {
            s.spawn(|| {
                let k = key(&aead::AES_256_GCM);
                let mut comp = zstd::bulk::Compressor::new(lvl).unwrap();
                let mut cbuf = vec![0u8; zstd::zstd_safe::compress_bound(MAX as usize)];
                let mut pack: Vec<u8> = Vec::with_capacity(32 << 20);
                let mut buf = vec![0u8; 16 << 20];
                let flush = |pack: &mut Vec<u8>| {
                    if !pack.is_empty() {
                        let n = packs.fetch_add(1, Relaxed);
                        let mut f = fs::File::create(format!("{out}/p{n:05}")).unwrap();
                        f.write_all(pack).unwrap();
                        outb.fetch_add(pack.len() as u64, Relaxed);
                        pack.clear();
                    }
                };
                loop {
                    let i = next.fetch_add(1, Relaxed);
                    let Some(f) = files.get(i) else { break };
                    let mut r = fs::File::open(&f.0).unwrap();
                    let (mut have, mut eof) = (0usize, false);
                    loop {
                        while !eof && have < buf.len() {
                            let n = r.read(&mut buf[have..]).unwrap();
                            eof = n == 0 || (have + n) as u64 >= f.1 && f.1 < buf.len() as u64;
                            have += n;
                        }
                        let mut used = 0;
                        for c in fastcdc::v2020::FastCDC::new(&buf[..have], MIN, AVG, MAX) {
                            if !eof && c.offset + c.length == have {
                                break;
                            }
                            let d = &buf[c.offset..c.offset + c.length];
                            used = c.offset + c.length;
                            let id = *blake3::hash(d).as_bytes();
                            if !seen.lock().unwrap().insert(id) {
                                continue;
                            }
                            let l = comp.compress_to_buffer(d, &mut cbuf[..]).unwrap();
                            let start = pack.len();
                            pack.extend_from_slice(if l < d.len() { &cbuf[..l] } else { d });
                            let tag = seal(&k, u64::from_le_bytes(id[..8].try_into().unwrap()), &mut pack[start..]);
                            pack.extend_from_slice(&tag);
                            if pack.len() > 25_000_000 {
                                flush(&mut pack);
                            }
                        }
                        inb.fetch_add(used as u64, Relaxed);
                        buf.copy_within(used..have, 0);
                        have -= used;
                        if eof {
                            break;
                        }
                    }
                }
                flush(&mut pack);
            });
        }
    });
    let s = t0.elapsed().as_secs_f64();
    println!(
        "threads {threads} zstd {lvl}: {} files, in {:.1} MB, out {:.1} MB, {} packs, scan {:.2} s, wall {s:.2} s, {:.0} MB/s",
        files.len(),
        inb.load(Relaxed) as f64 / 1e6,
        outb.load(Relaxed) as f64 / 1e6,
        packs.load(Relaxed),
        scan.as_secs_f64(),
        inb.load(Relaxed) as f64 / 1e6 / s
    );
}
