//! A vault on a disk that fails (an ext4 image whose backing is taken away beneath it: the kernel says EIO, as of bad
//! sectors). A spot costs the files that lie on it, by name, and no others, and is healed from this machine; a disk that
//! gives nothing back is for its owner, and nothing in it is called damaged. Needs root to mount.

#[path = "support/machine.rs"]
#[expect(dead_code, reason = "shared: each test uses its part of it")]
mod machine;

use machine::{Machine, Mounted, noise, packs, skip};
use rustix::fs::{Advice, fadvise};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

const FILES: u64 = 6;

/// A vault on a disk of its own, with some files in it.
struct Disk {
    machine: Machine,
    image: PathBuf,
    _mounted: Mounted,
}

impl Disk {
    /// None where nothing can be mounted.
    fn new() -> Option<Self> {
        let machine = Machine::bare();
        let image = machine.path("image");
        let mounted = Mounted::ext4(&machine.vault(), &image, 96 << 20)?;
        for n in 0..FILES {
            fs::write(machine.data().join(format!("large{n}")), noise(n, 3_000_000)).unwrap();
        }
        let config = fs::read_to_string(machine.config()).unwrap();
        fs::write(machine.config(), config.replace("url = ", "pack_size = \"4 MiB\"\nurl = ")).unwrap();
        machine.init();
        machine.backup().exits(0);
        rustix::fs::sync();
        Some(Self { machine, image, _mounted: mounted })
    }

    /// From this byte of the disk on nothing can be read.
    fn fails_from(&self, at: u64) {
        File::options().write(true).open(&self.image).unwrap().set_len(at).unwrap();
        for (name, _) in self.machine.objects() {
            let file = File::open(self.machine.vault().join(name)).unwrap();
            fadvise(file, 0, None, Advice::DontNeed).unwrap();
        }
    }

    /// The pack that lies last on the disk, and the byte in the middle of its last stretch.
    fn last_pack(&self) -> (String, u64) {
        let objects = self.machine.objects();
        let places =
            packs(&objects).into_iter().map(|(name, _)| (name.clone(), middle(&self.machine.vault().join(name))));
        places.max_by_key(|(_, at)| *at).unwrap()
    }

    fn restore(&self, out: &str) -> machine::Ran {
        let words = self.machine.words().display().to_string();
        self.machine.run(&["restore", "--to", out, "--key-file", &words])
    }

    fn back(&self, out: &str, n: u64) -> bool {
        let name = self.machine.data().join(format!("large{n}"));
        fs::read(self.machine.path(out).join(name.strip_prefix("/").unwrap())).is_ok_and(|b| b == noise(n, 3_000_000))
    }
}

/// Where on the disk the middle of a file's last stretch lies, by `filefrag -v`: "0: 0.. 8191: 10241.. 18432: …".
fn middle(path: &Path) -> u64 {
    let out = Command::new("filefrag").args(["-v", "-b1024"]).arg(path).output().unwrap();
    let text = String::from_utf8(out.stdout).unwrap();
    let last = text.lines().rfind(|l| l.trim_start().starts_with(|c: char| c.is_ascii_digit())).expect("a stretch");
    let physical = last.split(':').nth(2).unwrap();
    let (from, to) = physical.split_once("..").unwrap();
    let block = |n: &str| n.trim().parse::<u64>().unwrap();
    u64::midpoint(block(from), block(to)) * 1024
}

#[test]
fn a_spot_costs_its_own_files_by_name_and_is_healed_and_a_dead_disk_is_the_owners() {
    let Some(disk) = Disk::new() else {
        return skip("a failing disk", "nothing can be mounted here");
    };
    let (pack, at) = disk.last_pack();
    disk.fails_from(at);
    if fs::read(disk.machine.vault().join(&pack)).is_ok() {
        return skip("a failing disk", "this kernel reads nothings where the backing of a loop device ends");
    }

    let mut ran = disk.restore("out").exits(3).says("the disk gives back others");
    let lost: Vec<u64> = (0..FILES).filter(|n| !disk.back("out", *n)).collect();
    assert!((1..=2).contains(&lost.len()), "{lost:?}: {ran:#?}");
    for n in lost {
        ran = ran.says(&format!("large{n}"));
    }

    disk.machine.run(&["verify", "--level", "read"]).says(&pack);
    disk.machine.backup().exits(0);
    disk.restore("again").exits(0);
    assert!((0..FILES).all(|n| disk.back("again", n)));

    disk.fails_from(0);
    let ran = disk.restore("never").exits(4).says("the disk reports errors: check its cable and its health");
    ran.says_not("damaged");
}
