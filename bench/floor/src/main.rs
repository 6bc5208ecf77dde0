//! The floor of a backup pipeline on this machine: a bound to quote against, no product.
//!
//!   floor stages DIR               speed of each stage alone, one core, data in memory
//!   floor pipe DIR OUT T LEVEL     walk, read, FastCDC 1 MiB, BLAKE3, dedup, zstd, AES-256-GCM, 25 MB packs; T threads
//!   floor safe DIR OUT T LEVEL     the same with what panicroom's promises cost: see safe.rs
//!   floor scan DIR T               lstat of every file; T threads

mod pipe;
mod safe;
mod scan;
mod stages;

use aws_lc_rs::aead;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

const MIN: usize = 256 << 10;
const AVG: usize = 1 << 20;
const MAX: usize = 4 << 20;

/// Path, size and inode of every regular file beneath `d`.
fn walk(d: &Path, out: &mut Vec<(PathBuf, u64, u64)>) {
    let mut entries: Vec<_> = fs::read_dir(d).unwrap().map(|x| x.unwrap()).collect();
    entries.sort_by_key(|x| x.file_name());
    for x in entries {
        let kind = x.file_type().unwrap();
        if kind.is_dir() {
            walk(&x.path(), out)
        } else if kind.is_file() {
            let m = x.metadata().unwrap();
            out.push((x.path(), m.len(), m.ino()))
        }
    }
}

fn key(a: &'static aead::Algorithm) -> aead::LessSafeKey {
    aead::LessSafeKey::new(aead::UnboundKey::new(a, &[7; 32]).unwrap())
}

fn nonce(n: u64) -> aead::Nonce {
    let mut nonce = [0u8; 12];
    nonce[..8].copy_from_slice(&n.to_le_bytes());
    aead::Nonce::assume_unique_for_key(nonce)
}

fn seal(k: &aead::LessSafeKey, n: u64, buf: &mut [u8]) -> [u8; 16] {
    let t = k.seal_in_place_separate_tag(nonce(n), aead::Aad::empty(), buf).unwrap();
    t.as_ref().try_into().unwrap()
}

fn main() {
    let a: Vec<String> = std::env::args().collect();
    let word = |i: usize| a.get(i).map_or("", String::as_str);
    let number = |i: usize| word(i).parse::<usize>().expect("a number");
    match word(1) {
        "stages" => stages::stages(word(2)),
        "pipe" => pipe::pipe(word(2), word(3), number(4), number(5) as i32),
        "safe" => safe::safe(word(2), word(3), number(4), number(5) as i32),
        "scan" => scan::scan(word(2), number(3)),
        _ => {
            eprintln!("floor stages DIR | pipe DIR OUT T LEVEL | safe DIR OUT T LEVEL | scan DIR T");
            std::process::exit(2);
        }
    }
}
