//! Disks that are full: the spool's, the catalog's, the vault's, each a small tmpfs of its own. A full disk is said
//! clearly with its remedy, is never taken for an unreadable file (promise 13), loses nothing, and once there is space
//! the same command goes on. Needs root to mount; without it these tests say so and check nothing.

#[path = "support/read_vault.rs"]
mod read_vault;
#[path = "support/tree.rs"]
mod tree;

use panicroom::format::vault::VaultFile;
use panicroom::format::{Name, VAULT_NAME};
use panicroom::seal::{SystemEntropy, random, words};
use read_vault::{NOW, Objects, ReadVault};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tree::{differences, look};

/// A tmpfs of so many KiB, gone with this value.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// None, said aloud, where mounting is not for us.
    fn mount(at: &Path, kib: u32) -> Option<Self> {
        fs::create_dir_all(at).unwrap();
        let size = format!("size={kib}k,mode=700");
        let done = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(at).output();
        if !done.is_ok_and(|o| o.status.success()) {
            eprintln!("SKIPPED, nothing was checked: only root may mount a small disk");
            return None;
        }
        Some(Self(at.to_owned()))
    }
    fn grow(&self, kib: u32) {
        let size = format!("remount,size={kib}k");
        assert!(Command::new("mount").args(["-o", &size]).arg(&self.0).status().unwrap().success());
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

struct Bed {
    dir: tempfile::TempDir,
}

impl Bed {
    /// A source of so many files of so many random bytes, a config, and no vault yet.
    fn new(files: usize, len: usize) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let bed = Self { dir };
        for n in 0..files {
            let folder = bed.at("source").join((n / 100).to_string());
            fs::create_dir_all(&folder).unwrap();
            let seed: [u8; 32] = random(&SystemEntropy);
            let bytes: Vec<u8> = (0..len.div_ceil(32) as u64)
                .flat_map(|i| panicroom::seal::sha256(&[&seed[..], &i.to_le_bytes()].concat()).0)
                .collect();
            fs::write(folder.join(n.to_string()), &bytes[..len]).unwrap();
        }
        let text = format!(
            "[[root]]\npath = \"{}\"\n[[vault]]\nname = \"v\"\nurl = \"file://{}\"\npack_size = \"4 MiB\"\n[state]\ndir = \"{}\"\n[http]\nlisten = \"off\"\n",
            bed.at("source").display(),
            bed.at("vault").display(),
            bed.at("state").display()
        );
        fs::write(bed.at("config.toml"), text).unwrap();
        bed
    }

    fn at(&self, name: &str) -> PathBuf {
        self.dir.path().canonicalize().unwrap().join(name)
    }

    fn run(&self, args: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_panicroom"));
        command.arg("--config").arg(self.at("config.toml")).args(args).output().unwrap()
    }

    fn init(&self) {
        let words = self.at("words");
        let output = self.run(&["init", "--words-file", words.to_str().unwrap()]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    fn vault(&self) -> ReadVault {
        let mut objects = Objects::new();
        for entry in fs::read_dir(self.at("vault")).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            if Name::parse(&name).is_some() {
                objects.insert(name, fs::read(entry.path()).unwrap());
            }
        }
        let file = VaultFile::read(&objects[VAULT_NAME]).unwrap();
        let secret = words::parse(&fs::read_to_string(self.at("words")).unwrap(), file.id, &file.check).unwrap();
        ReadVault::open(objects, secret.open_keys(file.id))
    }

    /// A pass meets the full disk: exit 4, the remedy, and everything in the vault is whole.
    fn check_full(&self, remedy: &str) {
        let output = self.run(&["backup"]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(4), "{said}");
        assert!(said.contains(remedy), "no remedy: {said}");
        let before = self.vault().tree(NOW).unwrap();
        let source = look(&self.at("source"));
        assert!(before.iter().all(|(path, thing)| source.get(path) == Some(thing)));
    }

    /// With space again the same command ends well.
    fn check_goes_on(&self) {
        let output = self.run(&["backup"]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let differing = differences(&self.vault().tree(NOW).unwrap(), &look(&self.at("source")));
        assert!(differing.is_empty(), "{}", differing.join("\n"));
        assert_eq!(self.vault().chunks_sent_twice(), []);
    }
}

#[test]
fn promise_13_a_full_spool_is_the_operators_and_nothing_is_lost() {
    let bed = Bed::new(40, 200_000);
    bed.init();
    let Some(disk) = SmallDisk::mount(&bed.at("state/v/spool"), 1000) else { return };
    bed.check_full("free space on the disk that holds the state folder");
    disk.grow(40_000);
    bed.check_goes_on();
}

#[test]
fn promise_13_a_full_disk_beneath_the_catalog_is_the_operators_and_nothing_is_lost() {
    let bed = Bed::new(6000, 20);
    let Some(disk) = SmallDisk::mount(&bed.at("state"), 700) else { return };
    bed.init();
    bed.check_full("free space on the disk that holds the state folder");
    disk.grow(80_000);
    bed.check_goes_on();
}

#[test]
fn promise_13_a_full_vault_is_the_operators_and_nothing_is_lost() {
    let bed = Bed::new(60, 200_000);
    let Some(disk) = SmallDisk::mount(&bed.at("vault"), 7_000) else { return };
    bed.init();
    bed.check_full("make room there");
    disk.grow(80_000);
    bed.check_goes_on();
}
