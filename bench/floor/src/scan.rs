//! lstat of every file: the least a walk can cost.

use std::fs;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

pub fn scan(dir: &str, threads: usize) {
    let t = Instant::now();
    let q = Mutex::new((vec![PathBuf::from(dir)], 0usize));
    let n = AtomicU64::new(0);
    std::thread::scope(|s| {
        for _ in 0..threads {
            s.spawn(|| {
                loop {
                    let d = {
                        let mut g = q.lock().unwrap();
                        match g.0.pop() {
                            Some(d) => {
                                g.1 += 1;
                                d
                            }
                            None if g.1 == 0 => break,
                            None => {
                                drop(g);
                                std::thread::yield_now();
                                continue;
                            }
                        }
                    };
                    let mut sub = vec![];
                    let mut ino = vec![];
                    for e in fs::read_dir(&d).unwrap() {
                        let e = e.unwrap();
                        if e.file_type().unwrap().is_dir() {
                            sub.push(e.path())
                        } else {
                            ino.push((std::os::unix::fs::DirEntryExt::ino(&e), e))
                        }
                    }
                    ino.sort_by_key(|x| x.0);
                    for (_, e) in &ino {
                        e.metadata().unwrap();
                        n.fetch_add(1, Relaxed);
                    }
                    let mut g = q.lock().unwrap();
                    g.0.extend(sub);
                    g.1 -= 1;
                }
            });
        }
    });
    println!("scan threads {threads}: {} files in {:.3} s", n.load(Relaxed), t.elapsed().as_secs_f64());
}
