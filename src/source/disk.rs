//! Whether the disks beneath a folder sleep, as far as the kernel tells. No disk is asked: only `/proc` and `/sys` are
//! read.
//!
//! Most disks fall asleep by themselves (a timer in the drive, set by `hdparm -S` or its maker), and the kernel does not
//! know: only a command to the drive would tell, and for that the daemon has no right. So what is told is this:
//!
//! | what is seen | taken for |
//! |---|---|
//! | not rotational (`queue/rotational` is 0) | awake: it has nothing to wake |
//! | the kernel put it to sleep itself (`device/power/runtime_status` is `suspended`) | asleep |
//! | its counters (`stat`) moved within [`SPINS`] | awake: somebody used it |
//! | anything else | perhaps asleep |
//! | no disk is known (ZFS, network, FUSE, RAM) | not told |
//!
//! A disk whose counters do not move is not written to either: since they last moved nothing there changed, and a walk after
//! that has nothing to find.

use crate::clock::Steady;
use crate::model::TreePath;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A disk that was used this lately spins: no drive's timer is shorter in practice, and whoever asks every minute sees it.
pub const SPINS: Duration = Duration::from_secs(180);
/// Devices beneath devices (LUKS on LVM on RAID on partitions): a bound, not a wish.
const DEEP: usize = 10;

/// What is known of the disks of a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sleep {
    /// Nothing is to be learnt.
    NotTold,
    Awake,
    /// At least one of them.
    PerhapsAsleep,
    Asleep,
}

/// What was seen of the disks of a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    pub sleep: Sleep,
    /// When their counters last moved; None: not since they are looked at.
    pub used: Option<Steady>,
}

/// Looks at the counters of disks now and then.
#[derive(Debug)]
pub struct Disks {
    sys: PathBuf,
    mounts: PathBuf,
    /// Reads and writes so far, and since when they stand still; by name.
    used: BTreeMap<PathBuf, (u64, Option<Steady>)>,
}

impl Default for Disks {
    fn default() -> Self {
        Self::at("/sys", "/proc/self/mountinfo")
    }
}

impl Disks {
    /// `sys`: where sysfs lies; `mounts`: the kernel's table of mounts.
    pub fn at(sys: impl Into<PathBuf>, mounts: impl Into<PathBuf>) -> Self {
        Self { sys: sys.into(), mounts: mounts.into(), used: BTreeMap::new() }
    }

    /// The sleepiest of the disks that a walk of this folder reads, and when one of them was last seen in use. Ask every
    /// minute or so: the first time nothing is known of who uses them.
    pub fn ask(&mut self, folder: &TreePath, now: Steady) -> Seen {
        let table = fs::read(&self.mounts).unwrap_or_default();
        let disks: Vec<PathBuf> = beneath(&table, folder).iter().flat_map(|m| self.disks_of(m)).collect();
        let sleep = disks.iter().map(|disk| self.judge(disk, now)).max().unwrap_or(Sleep::NotTold);
        let used = disks.iter().filter_map(|disk| self.used.get(disk)?.1).max();
        Seen { sleep, used }
    }

    fn judge(&mut self, disk: &Path, now: Steady) -> Sleep {
        let told = |file: &str| fs::read_to_string(disk.join(file)).map(|t| t.trim().to_owned()).unwrap_or_default();
        if told("queue/rotational") == "0" {
            return Sleep::Awake;
        }
        // Reads and writes completed: Documentation/block/stat.rst.
        let stat = told("stat");
        let numbers: Vec<u64> = stat.split_whitespace().filter_map(|n| n.parse().ok()).collect();
        let suspended = told("device/power/runtime_status") == "suspended";
        let (Some(reads), Some(writes)) = (numbers.first(), numbers.get(4)) else {
            return if suspended { Sleep::Asleep } else { Sleep::NotTold };
        };
        let count = reads.wrapping_add(*writes);
        let (last, moved) = self.used.entry(disk.to_owned()).or_insert((count, None));
        if *last != count {
            (*last, *moved) = (count, Some(now));
        }
        match moved {
            _ if suspended => Sleep::Asleep,
            Some(at) if now.since(*at) < SPINS => Sleep::Awake,
            _ => Sleep::PerhapsAsleep,
        }
    }

    /// The whole disks a mount lies on.
    fn disks_of(&self, mount: &Mount) -> Vec<PathBuf> {
        let mut out = vec![];
        let by_number = self.sys.join("dev/block").join(&mount.device);
        let name = mount.source.strip_prefix("/dev/").unwrap_or_default();
        // Device mapper's names are links of udev's, which a sandbox hides; its numbers are right anyway.
        if by_number.exists() {
            whole(&by_number, DEEP, &mut out);
        } else if !name.is_empty() {
            // Btrfs has a number of its own: by the name of one of its devices all are found.
            for device in self.fellows(name) {
                whole(&self.sys.join("class/block").join(device), DEEP, &mut out);
            }
        }
        out
    }

    /// The devices of the Btrfs that has this one; itself where there is none.
    fn fellows(&self, name: &str) -> Vec<std::ffi::OsString> {
        let names = |folder: PathBuf| fs::read_dir(folder).into_iter().flatten().flatten().map(|e| e.file_name());
        names(self.sys.join("fs/btrfs"))
            .map(|id| self.sys.join("fs/btrfs").join(id).join("devices"))
            .find(|devices| devices.join(name).exists())
            .map_or_else(|| vec![name.into()], |devices| names(devices).collect())
    }
}

/// The whole disks a device lies on.
fn whole(device: &Path, deep: usize, out: &mut Vec<PathBuf>) {
    let Ok(device) = fs::canonicalize(device) else { return };
    let device = match device.parent() {
        Some(whole) if device.join("partition").exists() => whole.to_owned(),
        _ => device,
    };
    let mut is_disk = true;
    for slave in fs::read_dir(device.join("slaves")).into_iter().flatten().flatten() {
        is_disk = false;
        if deep > 0 {
            whole(&slave.path(), deep - 1, out);
        }
    }
    if is_disk && !out.contains(&device) {
        out.push(device);
    }
}

/// A line of the table of mounts.
#[derive(Debug, PartialEq, Eq)]
struct Mount {
    /// `major:minor`.
    device: String,
    at: Vec<u8>,
    source: String,
}

/// The mount a folder lies on, and all mounted beneath it.
fn beneath(table: &[u8], folder: &TreePath) -> Vec<Mount> {
    let folder = folder.as_bytes();
    let is_in = |inner: &[u8], outer: &[u8]| {
        outer == b"/" || inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
    };
    let mounts: Vec<Mount> = table.split(|b| *b == b'\n').filter_map(mount).collect();
    // The last of those mounted at one place hides the others.
    let own = mounts.iter().filter(|m| is_in(folder, &m.at)).map(|m| m.at.len()).max();
    let mut out: Vec<Mount> = vec![];
    for mount in mounts {
        let is_own = Some(mount.at.len()) == own && is_in(folder, &mount.at);
        if is_own || is_in(&mount.at, folder) {
            out.retain(|m| m.at != mount.at);
            out.push(mount);
        }
    }
    out
}

/// `36 35 98:0 /in /at rw master:1 - ext3 /dev/sda1 rw`, see proc_pid_mountinfo(5).
fn mount(line: &[u8]) -> Option<Mount> {
    let text = |bytes: &[u8]| std::str::from_utf8(bytes).ok().map(str::to_owned);
    let fields: Vec<&[u8]> = line.split(|b| *b == b' ').collect();
    let rest = fields.iter().position(|f| *f == b"-")?;
    let source = text(&unescape(fields.get(rest + 2)?)).unwrap_or_default();
    Some(Mount { device: text(fields.get(2)?)?, at: unescape(fields.get(4)?), source })
}

/// Blanks and the like stand as `\040`.
fn unescape(field: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((first, after)) = rest.split_first() {
        let octal = after.get(..3).filter(|_| *first == b'\\').and_then(|digits| {
            let text = std::str::from_utf8(digits).ok()?;
            u8::from_str_radix(text, 8).ok()
        });
        out.push(octal.unwrap_or(*first));
        rest = if octal.is_some() { &after[3..] } else { after };
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A machine's `/sys` and table of mounts, made up.
    struct Machine {
        dir: tempfile::TempDir,
        disks: Disks,
    }

    impl Machine {
        fn new(mounts: &str) -> Self {
            let dir = tempfile::tempdir().unwrap();
            fs::write(dir.path().join("mounts"), mounts).unwrap();
            let disks = Disks::at(dir.path().join("sys"), dir.path().join("mounts"));
            Self { dir, disks }
        }
        fn set(&self, file: &str, text: &str) {
            let path = self.dir.path().join("sys").join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        fn link(&self, from: &str, to: &str) {
            let path = self.dir.path().join("sys").join(from);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::os::unix::fs::symlink(self.dir.path().join("sys").join(to), path).unwrap();
        }
        /// A spinning disk with one partition.
        fn disk(&self, name: &str, number: &str) {
            self.set(&format!("devices/{name}/queue/rotational"), "1\n");
            self.set(&format!("devices/{name}/device/power/runtime_status"), "active\n");
            self.set(&format!("devices/{name}/{name}1/partition"), "1\n");
            self.link(&format!("dev/block/{number}"), &format!("devices/{name}/{name}1"));
            self.link(&format!("class/block/{name}1"), &format!("devices/{name}/{name}1"));
            self.used(name, 10, 20);
        }
        fn used(&self, name: &str, reads: u64, writes: u64) {
            self.set(&format!("devices/{name}/stat"), &format!("  {reads} 0 80 1 {writes} 0 160 2 0 3 3\n"));
        }
        fn ask(&mut self, folder: &str, minute: u64) -> Sleep {
            self.disks.ask(&TreePath::from_bytes(folder).unwrap(), Steady(Duration::from_secs(60 * minute))).sleep
        }
    }

    const ROOT: &str = "20 1 259:1 / / rw - ext4 /dev/nvme0n1p1 rw\n";

    #[test]
    fn a_disk_somebody_used_lately_is_awake_and_one_left_alone_perhaps_asleep() {
        let mut machine = Machine::new(&format!("{ROOT}30 20 8:1 / /data rw,noatime - ext4 /dev/sda1 rw\n"));
        machine.disk("sda", "8:1");
        assert_eq!(machine.ask("/data/films", 0), Sleep::PerhapsAsleep, "who knows");
        assert_eq!(machine.ask("/data/films", 1), Sleep::PerhapsAsleep);
        machine.used("sda", 11, 20);
        assert_eq!(machine.ask("/data/films", 2), Sleep::Awake);
        assert_eq!(machine.ask("/data/films", 4), Sleep::Awake);
        assert_eq!(machine.ask("/data/films", 5), Sleep::PerhapsAsleep);
        machine.used("sda", 11, 21);
        assert_eq!(machine.ask("/data", 6), Sleep::Awake);
        machine.set("devices/sda/device/power/runtime_status", "suspended\n");
        assert_eq!(machine.ask("/data", 6), Sleep::Asleep, "the kernel itself stopped it");
        let seen = machine.disks.ask(&TreePath::from_bytes("/data").unwrap(), Steady(Duration::from_secs(3600)));
        assert_eq!(seen.used, Some(Steady(Duration::from_secs(360))), "when it was last used stays known");
    }

    #[test]
    fn what_has_no_platters_has_nothing_to_wake_and_what_has_no_disk_tells_nothing() {
        let mounts =
            format!("{ROOT}30 20 8:1 / /flash rw - ext4 /dev/sda1 rw\n31 20 0:44 / /tank rw - zfs tank/films rw\n");
        let mut machine = Machine::new(&mounts);
        machine.disk("sda", "8:1");
        machine.set("devices/sda/queue/rotational", "0\n");
        assert_eq!(machine.ask("/flash", 0), Sleep::Awake);
        assert_eq!(machine.ask("/tank/x", 0), Sleep::NotTold);
        assert_eq!(
            Disks::at("/nowhere", "/nowhere").ask(&TreePath::from_bytes("/").unwrap(), Steady::default()).sleep,
            Sleep::NotTold
        );
    }

    #[test]
    fn all_disks_of_an_array_a_btrfs_and_of_what_is_mounted_beneath_are_asked() {
        let mounts = format!(
            "{ROOT}30 20 9:0 / /array rw - ext4 /dev/md0 rw\n\
             31 20 0:50 /sub /pool rw - btrfs /dev/sdc1 rw\n\
             32 30 8:65 / /array/with\\040usb rw - ext4 /dev/sde1 rw\n"
        );
        let mut machine = Machine::new(&mounts);
        for (name, number) in [("sda", "8:1"), ("sdb", "8:17"), ("sdc", "8:33"), ("sdd", "8:49"), ("sde", "8:65")] {
            machine.disk(name, number);
            machine.ask("/", 0);
        }
        machine.link("dev/block/9:0", "devices/md0");
        machine.link("devices/md0/slaves/sda1", "devices/sda/sda1");
        machine.link("devices/md0/slaves/sdb1", "devices/sdb/sdb1");
        machine.link("fs/btrfs/some-id/devices/sdc1", "devices/sdc/sdc1");
        machine.link("fs/btrfs/some-id/devices/sdd1", "devices/sdd/sdd1");
        for folder in ["/array", "/pool", "/"] {
            assert_eq!(machine.ask(folder, 1), Sleep::PerhapsAsleep, "{folder}");
        }
        for (used, folder, sleep) in [
            ("sda", "/array", Sleep::PerhapsAsleep),
            ("sdb", "/array", Sleep::PerhapsAsleep),
            ("sdb", "/array/sub", Sleep::Awake),
            ("sde", "/array", Sleep::Awake),
            ("sdc", "/pool", Sleep::PerhapsAsleep),
            ("sdd", "/pool", Sleep::Awake),
        ] {
            machine.used(used, 100, 100);
            machine.ask("/", 2);
            assert_eq!(machine.ask(folder, 2), sleep, "{folder} once {used} was used");
        }
    }

    #[test]
    fn this_machine_is_looked_at_without_trouble() {
        let mut disks = Disks::default();
        for minute in 0..2 {
            disks.ask(&TreePath::from_bytes("/").unwrap(), Steady(Duration::from_secs(minute * 60)));
        }
        assert_eq!(beneath(b"nonsense\n\n1 2 3\n- - -\n", &TreePath::from_bytes("/").unwrap()), []);
    }
}
