//! Each stage of the data path alone: one core, data in memory.

use crate::{AVG, MAX, MIN, key, seal, walk};
use aws_lc_rs::{aead, digest};
use std::collections::HashSet;
use std::fs;
use std::path::Path;
use std::time::Instant;

pub fn stages(dir: &str) {
    let mut files = vec![];
    walk(Path::new(dir), &mut files);
    let t = Instant::now();
    let data: Vec<Vec<u8>> = files.iter().map(|f| fs::read(&f.0).unwrap()).collect();
    let total: usize = data.iter().map(|d| d.len()).sum();
    let say = |what: &str, bytes: usize, t: Instant| {
        let s = t.elapsed().as_secs_f64();
        println!("{what:26} {:9.1} MB  {s:7.2} s  {:8.0} MB/s", bytes as f64 / 1e6, bytes as f64 / 1e6 / s);
    };
    say("read into new memory", total, t);
    let t = Instant::now();
    let mut chunks: Vec<&[u8]> = vec![];
    for d in &data {
        for c in fastcdc::v2020::FastCDC::new(d, MIN, AVG, MAX) {
            chunks.push(&d[c.offset..c.offset + c.length]);
        }
    }
    say("FastCDC 256K/1M/4M", total, t);
    let t = Instant::now();
    let ids: Vec<[u8; 32]> = chunks.iter().map(|c| *blake3::hash(c).as_bytes()).collect();
    say("BLAKE3 per chunk", total, t);
    let t = Instant::now();
    let mut x = 0u8;
    for c in &chunks {
        x ^= digest::digest(&digest::SHA256, c).as_ref()[0];
    }
    say("SHA-256 per chunk", total, t);
    let t = Instant::now();
    for c in &chunks {
        x ^= blake3::hash(&c[..c.len().min(16)]).as_bytes()[0];
    }
    say("(16-byte hashes, overhead)", chunks.len() * 16, t);
    let mut seen = HashSet::new();
    let uniq: Vec<&[u8]> = chunks.iter().zip(&ids).filter(|(_, i)| seen.insert(**i)).map(|(c, _)| *c).collect();
    let ub: usize = uniq.iter().map(|c| c.len()).sum();
    println!("chunks {} unique {} unique MB {:.1}", chunks.len(), uniq.len(), ub as f64 / 1e6);
    let mut out = vec![0u8; zstd::zstd_safe::compress_bound(MAX as usize)];
    let mut kept: Vec<Vec<u8>> = vec![];
    for lvl in [-3, 1, 3, 6] {
        let mut c = zstd::bulk::Compressor::new(lvl).unwrap();
        let t = Instant::now();
        let mut n = 0;
        for u in &uniq {
            let l = c.compress_to_buffer(u, &mut out[..]).unwrap();
            n += l.min(u.len());
        }
        say(&format!("zstd {lvl} (of unique in)"), ub, t);
        println!("    out {:.1} MB", n as f64 / 1e6);
    }
    let mut c = zstd::bulk::Compressor::new(1).unwrap();
    for u in &uniq {
        let l = c.compress_to_buffer(u, &mut out[..]).unwrap(); // untimed: the copies' first touch is slow here
        kept.push(if l < u.len() { out[..l].to_vec() } else { u.to_vec() });
    }
    let kb: usize = kept.iter().map(|c| c.len()).sum();
    for (n, a) in [("AES-256-GCM (of packed)", &aead::AES_256_GCM), ("ChaCha20-Poly1305", &aead::CHACHA20_POLY1305)] {
        let k = key(a);
        let t = Instant::now();
        for (i, c) in kept.iter_mut().enumerate() {
            x ^= seal(&k, i as u64, c)[0];
        }
        say(n, kb, t);
    }
    let mut dst = vec![0u8; MAX as usize];
    let t = Instant::now();
    let mut d = zstd::bulk::Decompressor::new().unwrap();
    let comp: Vec<Vec<u8>> = uniq.iter().take(600).map(|u| zstd::bulk::compress(u, 3).unwrap()).collect();
    let _ = t;
    let t = Instant::now();
    let n: usize = comp.iter().map(|c| d.decompress_to_buffer(c, &mut dst[..]).unwrap()).sum();
    say("unzstd (600 chunks, out)", n, t);
    eprintln!("{x}");
}
