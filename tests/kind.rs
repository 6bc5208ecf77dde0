//! Kind to the machine: what others have in the page cache stays there, and access times are left alone. With real disks,
//! mounts and the real binary; skipped, and said, where this machine has none of them to try on.

use panicroom::model::TreePath;
use panicroom::source::{Finish, Found, Reading, Root, Step};
use rustix::fs::{Advice, fadvise};
use rustix::io::{ReadWriteFlags, pread, preadv2};
use std::fs::{self, File};
use std::io::IoSliceMut;
use std::path::{Path, PathBuf};
use std::process::Command;

const MIB: u64 = 1 << 20;

/// Whether the page at `at` is cached. Asking may read it in, so ask about a page once.
fn is_cached(file: &File, at: u64) -> bool {
    preadv2(file, &mut [IoSliceMut::new(&mut [0])], at, ReadWriteFlags::NOWAIT).is_ok()
}

fn on_disk_alone(path: &Path, size: u64) -> File {
    fs::write(path, vec![7; usize::try_from(size).unwrap()]).unwrap();
    let file = File::open(path).unwrap();
    file.sync_all().unwrap();
    fadvise(&file, 0, None, Advice::DontNeed).unwrap();
    file
}

/// Whether kernel and file system take away what a reading brought: Linux 6.14.
fn takes_pages_away(file: &File) -> bool {
    preadv2(file, &mut [IoSliceMut::new(&mut [0])], 0, ReadWriteFlags::from_bits_retain(0x80)).is_ok()
}

fn reading(dir: &Path, name: &str) -> Reading {
    let root = Root::open(&TreePath::from_typed(dir).unwrap()).unwrap();
    let Found::Here(subject) = root.top().subject(name.as_bytes()).unwrap() else { panic!("{name} is not there") };
    subject.file.unwrap()
}

fn read_through(dir: &Path, name: &str) {
    let (mut reading, mut buffer) = (reading(dir, name), vec![0; 256 << 10]);
    while reading.step(&mut buffer).unwrap() != Step::End {}
    assert!(matches!(reading.finish().unwrap(), Finish::Unchanged(_)));
}

#[test]
fn pages_others_had_cached_stay_and_those_a_reading_brings_go() {
    let dir = tempfile::tempdir().unwrap();
    let large = on_disk_alone(&dir.path().join("large"), 32 * MIB);
    let small = on_disk_alone(&dir.path().join("small"), 100_000);
    if is_cached(&large, 31 * MIB) || !takes_pages_away(&large) {
        eprintln!(
            "SKIPPED: no disk beneath {}, or a kernel or file system without RWF_DONTCACHE",
            dir.path().display()
        );
        return;
    }
    // Somebody else works with a part of it.
    pread(&large, &mut vec![0; 64 << 10][..], 8 * MIB).unwrap();
    read_through(dir.path(), "large");
    read_through(dir.path(), "small");
    assert!(is_cached(&large, 8 * MIB + 4096), "what was cached before stays");
    let left: Vec<u64> = [1, 5, 20, 25].into_iter().filter(|mib| is_cached(&large, mib * MIB)).collect();
    assert!(left.is_empty(), "of the large file, {left:?} MiB are cached now");
    assert!(!is_cached(&small, 50_000), "the small file is cached now");
}

/// Set in the child that runs inside.
const INSIDE: &str = "PANICROOM_KIND_TEST_INSIDE";

/// Runs this test again with mounts of its own; whether this is that run.
fn inside(test: &str) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    let dir = tempfile::tempdir().unwrap();
    let mount = "mount -t tmpfs -o strictatime none \"$0\"";
    let mut trial = Command::new("unshare");
    trial.args(["-m", "sh", "-c", mount]).arg(dir.path());
    if !trial.output().is_ok_and(|o| o.status.success()) {
        eprintln!("SKIPPED {test}: no mounts of its own to be had (needs root and unshare)");
        return false;
    }
    let mut again = Command::new("unshare");
    again.arg("-m").arg(std::env::current_exe().unwrap()).args(["--exact", test, "--nocapture"]).env(INSIDE, "yes");
    assert!(again.status().unwrap().success(), "{test} failed with mounts of its own");
    false
}

fn run(program: &str, args: &[&str]) {
    let out = Command::new(program).args(args).output().unwrap();
    assert!(out.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&out.stderr));
}

/// A disk that notes every read, with files and folders last read long ago.
struct Attentive {
    dir: tempfile::TempDir,
}

impl Attentive {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let disk = dir.path().join("disk");
        fs::create_dir(&disk).unwrap();
        run("mount", &["-t", "tmpfs", "-o", "strictatime", "none", disk.to_str().unwrap()]);
        fs::create_dir_all(disk.join("root/folder/deeper")).unwrap();
        for (name, size) in [("root/small", 100), ("root/folder/large", 3 * MIB), ("root/folder/deeper/empty", 0)] {
            fs::write(disk.join(name), vec![b'x'; usize::try_from(size).unwrap()]).unwrap();
        }
        std::os::unix::fs::symlink("small", disk.join("root/link")).unwrap();
        let attentive = Self { dir };
        for path in attentive.paths() {
            let long_ago = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000);
            File::open(path).unwrap().set_times(fs::FileTimes::new().set_accessed(long_ago)).unwrap();
        }
        attentive
    }
    fn root(&self) -> PathBuf {
        self.dir.path().join("disk/root")
    }
    fn paths(&self) -> Vec<PathBuf> {
        let names = ["", "small", "folder", "folder/large", "folder/deeper", "folder/deeper/empty"];
        names.iter().map(|n| if n.is_empty() { self.root() } else { self.root().join(n) }).collect()
    }
    /// Those read since.
    fn read(&self) -> Vec<PathBuf> {
        use std::os::unix::fs::MetadataExt;
        self.paths().into_iter().filter(|p| fs::metadata(p).unwrap().atime() != 1_000_000).collect()
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum As {
    Owner,
    /// As the packaged daemon: it may read, and owns nothing.
    SomebodyElse,
}

/// A first backup and a second with a walk, by the real binary.
fn back_up_twice(dir: &Path, root: &Path, who: As) {
    let (home, words) = (dir.join("home"), dir.join("words"));
    let config = format!(
        "[[root]]\npath = \"{}\"\nquiet = \"0s\"\n[[vault]]\nname = \"v\"\nurl = \"file://{}\"\n[state]\ndir = \"{}\"\n[http]\nlisten = \"off\"\n",
        root.display(),
        home.join("vault").display(),
        home.join("state").display()
    );
    fs::create_dir_all(&home).unwrap();
    fs::write(dir.join("config.toml"), config).unwrap();
    let file = dir.join("config.toml");
    let panicroom = |args: &[&str]| {
        let mut all = vec!["--config", file.to_str().unwrap()];
        all.extend(args);
        if who == As::SomebodyElse {
            let mut through = vec!["--reuid=65534", "--clear-groups", "--", env!("CARGO_BIN_EXE_panicroom")];
            through.extend(all);
            run("setpriv", &through);
        } else {
            run(env!("CARGO_BIN_EXE_panicroom"), &all);
        }
    };
    if who == As::SomebodyElse {
        for path in [dir, &home] {
            run("chmod", &["a+rwX", path.to_str().unwrap()]);
        }
    }
    panicroom(&["init", "--words-file", words.to_str().unwrap()]);
    panicroom(&["backup"]);
    panicroom(&["backup"]);
}

#[test]
fn a_backup_leaves_every_access_time_alone() {
    if !inside("a_backup_leaves_every_access_time_alone") {
        return;
    }
    let disk = Attentive::new();
    assert_eq!(disk.read(), Vec::<PathBuf>::new());
    back_up_twice(disk.dir.path(), &disk.root(), As::Owner);
    assert_eq!(disk.read(), Vec::<PathBuf>::new(), "read, and it shows");
    fs::read(disk.root().join("small")).unwrap();
    assert_eq!(disk.read(), [disk.root().join("small")], "this disk does note reads");
}

/// `O_NOATIME` is for owners. The packaged daemon owns nothing; but its unit mounts everything read-only for it
/// (`ProtectSystem=strict`), and reading through such a mount notes nothing either.
#[test]
fn the_packaged_daemon_leaves_them_alone_because_it_sees_disks_read_only() {
    if !inside("the_packaged_daemon_leaves_them_alone_because_it_sees_disks_read_only") {
        return;
    }
    for read_only in [true, false] {
        let disk = Attentive::new();
        if read_only {
            let at = disk.dir.path().join("disk");
            run("mount", &["--bind", at.to_str().unwrap(), at.to_str().unwrap()]);
            run("mount", &["-o", "remount,bind,ro", at.to_str().unwrap()]);
        }
        back_up_twice(disk.dir.path(), &disk.root(), As::SomebodyElse);
        // The other way shows that this disk would have noted it.
        assert_eq!(disk.read().is_empty(), read_only, "{:?}", disk.read());
    }
}
