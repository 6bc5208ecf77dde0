//! From a vault and its words to files on a disk, on vaults built with the format alone.

#[path = "support/vault_builder.rs"]
mod vault_builder;

use panicroom::catalog::jobs::JobFile;
use panicroom::catalog::{Catalog, When};
use panicroom::clock::{SystemClock, Wall};
use panicroom::error::{Error, Kind};
use panicroom::format::Name;
use panicroom::model::{HardLink, SegmentNo, Shape, Tier, TreePath};
use panicroom::place::{Clobber, Target};
use panicroom::restore::{Fetching, Layout, Plan, Planning, Progress, Report, Wanted, fetch, plan, preview};
use panicroom::store::memory::{Call, Fault};
use panicroom::store::retry::{Backoff, Patience, Patient};
use panicroom::store::{ObjectName, ObjectStore};
use panicroom::upkeep::rebuild::{self, rebuild};
use panicroom::upkeep::unlock::{open_vault, secret_from};
use panicroom::worker::{Faults, Stop};
use proptest::prelude::*;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;
use vault_builder::{Part, VaultBuilder, noise, object, p};

/// A machine that has never seen the vault.
struct Machine {
    dir: tempfile::TempDir,
    catalog: Catalog,
    log: rebuild::Report,
}

impl Machine {
    fn new(vault: &VaultBuilder) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let catalog = Catalog::open(&dir.path().join("catalog.db")).unwrap();
        let log = rebuild(&vault.store, &vault.keys.seal, &catalog, &[], &Stop::new(), &|_, _| {}).unwrap();
        fs::create_dir(dir.path().join("out")).unwrap();
        Self { dir, catalog, log }
    }

    fn out(&self) -> PathBuf {
        self.dir.path().join("out")
    }
    fn at(&self, path: &str) -> PathBuf {
        self.out().join(path.trim_start_matches('/'))
    }
    fn read(&self, path: &str) -> Vec<u8> {
        fs::read(self.at(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
    }
    fn has(&self, path: &str) -> bool {
        self.at(path).symlink_metadata().is_ok()
    }

    fn job(&self, name: &str) -> JobFile {
        JobFile::open(&self.dir.path().join(name)).unwrap()
    }

    fn plan(&self, vault: &VaultBuilder, job: &JobFile, wanted: &Wanted) -> Result<Plan, Error> {
        let target = Target::open(&self.out()).unwrap();
        let planning = Planning {
            catalog: &self.catalog,
            store: &vault.store,
            keys: &vault.keys.seal,
            target: &target,
            target_path: &self.out(),
            progress: &Progress::default(),
            faults: &Faults::default(),
            stop: &Stop::new(),
            now: Wall(0),
        };
        // A plan alone says the same, of every vault that is restored here. How much is free is another's to say.
        let alone = preview(&planning, wanted, &self.job("preview"));
        let plan = plan(&planning, wanted, job);
        match (&alone, &plan) {
            (Ok(alone), Ok(plan)) => assert_eq!(alone, &Plan { free_bytes: alone.free_bytes, ..plan.clone() }),
            (alone, plan) => assert_eq!(format!("{alone:?}"), format!("{plan:?}")),
        }
        JobFile::remove(&self.dir.path().join("preview"), &Faults::default()).unwrap();
        plan
    }

    fn fetch(&self, vault: &VaultBuilder, job: &JobFile) -> Result<Report, Error> {
        let target = Target::open(&self.out()).unwrap();
        let (progress, stop) = (Progress::default(), Stop::new());
        let fetching = Fetching {
            catalog: &self.catalog,
            store: &vault.store,
            keys: &vault.keys,
            target: &target,
            progress: &progress,
            clock: &*SystemClock::shared(),
            faults: &Faults::default(),
            stop: &stop,
            threads: 2,
            batch_bytes: 4000,
        };
        let report = fetch(&fetching, job)?;
        let seen = progress.look();
        assert_eq!((seen.files, seen.bytes > seen.bytes_total), (seen.files_total, false));
        Ok(report)
    }

    fn restore(&self, vault: &VaultBuilder, wanted: &Wanted) -> (Plan, Report) {
        let name = format!("job-{}", fs::read_dir(self.dir.path()).unwrap().count());
        let job = self.job(&name);
        let plan = self.plan(vault, &job, wanted).unwrap();
        (plan, self.fetch(vault, &job).unwrap())
    }
}

fn all() -> Wanted {
    Wanted { paths: vec![], when: When::Now, layout: Layout::Whole, clobber: Clobber::Keep }
}
fn only(paths: &[&str]) -> Wanted {
    Wanted { paths: paths.iter().map(|s| p(s)).collect(), ..all() }
}
fn at(when: i64) -> Wanted {
    Wanted { when: When::At(Wall(when)), ..all() }
}

fn clean(report: &Report) {
    assert_eq!((report.failed, report.skipped, &report.failures), (0, 0, &vec![]), "{report:?}");
}
fn failed(report: &Report) -> Vec<String> {
    report.failures.iter().map(|(path, _)| path.to_string()).collect()
}

fn restored(vault: &VaultBuilder) -> Machine {
    let machine = Machine::new(vault);
    assert!(machine.log.is_sound(), "{:?}", machine.log);
    clean(&machine.restore(vault, &all()).1);
    machine
}

#[test]
fn a_vault_and_its_words_are_enough_to_get_everything_back() {
    let mut v = VaultBuilder::new();
    v.folder("/d");
    v.folder("/d/sub");
    let large = noise(1, 25_300);
    v.file("/d/small", b"one chunk");
    v.file("/d/sub/large", &large);
    v.version("/d/empty", &[], |_| {});
    v.symlink("/d/link", b"/nowhere/\xff");
    v.version("/d/pipe", &[], |v| (v.entry.shape, v.entry.mode) = (Shape::Fifo, 0o620));
    v.version("/d/old", &[Part::Data(b"before 1970".to_vec())], |v| {
        (v.entry.mtime.secs, v.entry.mtime.nanos, v.entry.mode) = (-5, 700_000_000, 0o400);
    });
    v.publish();
    v.version("/d/late", &[Part::Data(b"later".to_vec())], |v| {
        v.entry.xattrs = vec![(b"user.note".to_vec(), b"kept".to_vec())];
    });
    v.publish();

    let file = open_vault(&v.store, &Stop::new()).unwrap();
    let secret = secret_from(&v.store, &file, &v.secret.words().join(" "), &Stop::new()).unwrap();
    assert_eq!(secret, v.secret);
    let m = restored(&v);
    assert_eq!((m.read("/d/small"), m.read("/d/late")), (b"one chunk".to_vec(), b"later".to_vec()));
    assert!(m.read("/d/sub/large") == large && m.read("/d/empty").is_empty());
    assert_eq!(fs::read_link(m.at("/d/link")).unwrap().as_os_str().as_bytes(), b"/nowhere/\xff");
    assert!(fs::symlink_metadata(m.at("/d/pipe")).unwrap().file_type().is_fifo());
    let old = fs::metadata(m.at("/d/old")).unwrap();
    assert_eq!((old.mtime(), old.mtime_nsec(), old.permissions().mode() & 0o7777), (-5, 700_000_000, 0o400));
    let folder = fs::metadata(m.at("/d/sub")).unwrap();
    assert_eq!((folder.mtime(), folder.permissions().mode() & 0o7777), (1_500_000_002, 0o750));
    assert_eq!(leftovers(&m.out()), [] as [PathBuf; 0]);
}

/// Parts of ours that were left behind.
fn leftovers(dir: &Path) -> Vec<PathBuf> {
    let mut out = vec![];
    for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            out.extend(leftovers(&entry.path()));
        } else if entry.file_name().as_bytes().starts_with(b".panicroom") {
            out.push(entry.path());
        }
    }
    out
}

#[test]
fn the_state_at_a_time_is_what_was_captured_by_then() {
    let mut v = VaultBuilder::new();
    v.folder("/d");
    v.file("/d/a", b"first");
    v.file("/d/gone", b"still here");
    v.publish();
    let before = v.now;
    v.now += 60_000;
    v.file("/d/a", b"second");
    v.delete("/d/gone");
    v.file("/d/new", b"new");
    v.publish();
    let m = Machine::new(&v);
    clean(&m.restore(&v, &at(before)).1);
    assert_eq!(
        (m.read("/d/a"), m.read("/d/gone"), m.has("/d/new")),
        (b"first".to_vec(), b"still here".to_vec(), false)
    );
    let m = restored(&v);
    assert_eq!((m.read("/d/a"), m.has("/d/gone"), m.read("/d/new")), (b"second".to_vec(), false, b"new".to_vec()));
}

#[test]
fn what_lay_in_a_deleted_folder_or_in_one_that_became_a_file_is_absent() {
    let mut v = VaultBuilder::new();
    for dir in ["/gone", "/changed", "/back"] {
        v.folder(dir);
        v.file(&format!("{dir}/child"), dir.as_bytes());
    }
    v.delete("/gone");
    v.file("/changed", b"a file now");
    v.delete("/back");
    v.folder("/back");
    v.publish();
    let m = restored(&v);
    assert!(!m.has("/gone") && m.read("/changed") == b"a file now" && m.read("/back/child") == b"/back");
}

#[test]
fn a_folder_nobody_recorded_is_made_and_what_it_holds_is_there() {
    let mut v = VaultBuilder::new();
    v.file("/home/anna/notes/a", b"a");
    v.publish();
    let m = restored(&v);
    assert_eq!(m.read("/home/anna/notes/a"), b"a");
    assert_eq!(fs::metadata(m.at("/home/anna")).unwrap().permissions().mode() & 0o7777, 0o755);
}

#[test]
fn a_torn_version_never_replaces_a_whole_one() {
    let mut v = VaultBuilder::new();
    v.file("/whole", b"whole");
    let torn = |v: &mut panicroom::model::Version| v.torn = true;
    v.version("/whole", &[Part::Data(b"torn".to_vec())], torn);
    v.version("/only-torn", &[Part::Data(b"torn".to_vec())], torn);
    v.file("/deleted-between", b"whole");
    v.delete("/deleted-between");
    v.version("/deleted-between", &[Part::Data(b"torn".to_vec())], torn);
    v.publish();
    let m = restored(&v);
    assert_eq!(m.read("/whole"), b"whole");
    assert_eq!((m.read("/only-torn"), m.read("/deleted-between")), (b"torn".to_vec(), b"torn".to_vec()));
}

#[test]
fn a_split_version_exists_only_with_its_last_part() {
    let mut v = VaultBuilder::new();
    v.file("/other", b"other");
    let parts: Vec<Part> = (0..4).flat_map(|i| [Part::Data(noise(i, 1500)), Part::Hole(5000)]).collect();
    v.version("/split", &parts, |_| {});
    let names = v.publish_split();
    let m = restored(&v);
    let bytes: Vec<u8> = (0..4).flat_map(|i| [noise(i, 1500), vec![0; 5000]].concat()).collect();
    assert!(m.read("/split") == bytes);
    for lost in [names.len() - 1, 3] {
        let kept = v.store.bytes(&object(names[lost])).unwrap();
        v.store.lose(&object(names[lost]));
        let m = Machine::new(&v);
        assert_eq!((m.log.incomplete_versions, m.log.is_sound()), (1, false));
        clean(&m.restore(&v, &all()).1);
        assert!(!m.has("/split") && m.read("/other") == b"other");
        v.store.put(&object(names[lost]), &kept);
    }
}

#[test]
fn hard_links_are_links_again_and_only_those() {
    let mut v = VaultBuilder::new();
    let link = |v: &mut panicroom::model::Version| {
        v.entry.link = Some(HardLink { dev: 1, ino: u64::MAX });
        v.entry.mtime.secs = 7;
    };
    let bytes = noise(3, 4500);
    for path in ["/a/one", "/a/two", "/z/three"] {
        v.version(path, &[Part::Data(bytes.clone())], link);
    }
    v.version("/a/not", &[Part::Data(b"same inode, other content".to_vec())], link);
    // Touched since, and only this name was recorded after that.
    v.version("/a/touched", &[Part::Data(bytes.clone())], |v| {
        link(v);
        v.entry.mtime.secs = 8;
    });
    v.publish();
    let m = Machine::new(&v);
    let (planned, report) = m.restore(&v, &all());
    clean(&report);
    assert_eq!((planned.files, planned.bytes, report.done), (5, 9025, 5));
    let inode = |path: &str| fs::metadata(m.at(path)).unwrap().ino();
    assert!(inode("/a/one") == inode("/a/two") && inode("/a/one") == inode("/z/three"));
    assert_ne!(inode("/a/one"), inode("/a/not"));
    assert!(m.read("/z/three") == bytes && m.read("/a/touched") == bytes);
    assert_eq!(["/a/one", "/a/touched"].map(|path| fs::metadata(m.at(path)).unwrap().mtime()), [7, 8]);
}

#[test]
fn holes_come_back_as_holes() {
    let mut v = VaultBuilder::new();
    v.version("/image", &[Part::Hole(8 << 20), Part::Data(noise(1, 5000)), Part::Hole(64 << 20)], |_| {});
    v.version("/hole", &[Part::Hole(32 << 20)], |_| {});
    v.publish();
    let m = restored(&v);
    for (path, size) in [("/image", (72 << 20) + 5000), ("/hole", 32 << 20)] {
        let meta = fs::metadata(m.at(path)).unwrap();
        assert_eq!(meta.len(), size);
        assert!(meta.blocks() * 512 < 1 << 20, "{path}: {} blocks", meta.blocks());
    }
    let image = m.read("/image");
    assert!(image[8 << 20..][..5000] == noise(1, 5000) && image[..8 << 20].iter().all(|b| *b == 0));
}

#[test]
fn wanted_paths_keep_their_place_or_lose_their_parent() {
    let mut v = VaultBuilder::new();
    v.folder("/home/anna");
    v.folder("/home/anna/docs");
    v.file("/home/anna/docs/a", b"a");
    v.file("/home/anna/b", b"b");
    v.file("/srv/c", b"c");
    v.publish();
    let m = Machine::new(&v);
    let (_, report) = m.restore(&v, &only(&["/home/anna/docs", "/srv/c", "/srv/none"]));
    assert_eq!(failed(&report), ["/srv/none"]);
    assert!(m.has("/home/anna/docs/a") && m.has("/srv/c") && !m.has("/home/anna/b"));
    assert_eq!(fs::metadata(m.at("/home/anna")).unwrap().permissions().mode() & 0o7777, 0o750);
    let m = Machine::new(&v);
    let strip = Wanted { layout: Layout::Strip, ..only(&["/home/anna/docs", "/srv/c"]) };
    clean(&m.restore(&v, &strip).1);
    assert!(m.has("/docs/a") && m.has("/c") && !m.has("/home"));
    let e = m.plan(&v, &m.job("none"), &only(&["/nope"])).unwrap_err();
    assert!(e.kind() == Kind::Operator && e.to_string().contains("/nope"), "{e}");
}

#[test]
fn a_plan_reads_no_contents_and_says_what_a_fetch_then_reads() {
    let mut v = VaultBuilder::new();
    for i in 0..20 {
        v.file(&format!("/f{i}"), &noise(i, 3000));
    }
    v.publish();
    v.file("/other", &noise(99, 3000));
    v.publish();
    let m = Machine::new(&v);
    let job = m.job("job");
    let data = |c: &Call| matches!(c, Call::Read(name, _) if name.as_str().starts_with("data_"));
    let planned = m.plan(&v, &job, &only(&["/f3", "/f4", "/f17"])).unwrap();
    assert!(!v.store.calls().iter().any(data), "a plan reads no pack");
    assert_eq!((planned.files, planned.bytes, planned.packs, planned.frozen_packs), (3, 9000, 1, 0));
    assert!(planned.costs_nothing() && planned.fits() && planned.speeds.len() == 3);
    clean(&m.fetch(&v, &job).unwrap());
    let read: u64 = v
        .store
        .calls()
        .iter()
        .filter_map(|c| match c {
            Call::Read(name, Some(range)) if name.as_str().starts_with("data_") => Some(range.end - range.start),
            _ => None,
        })
        .sum();
    assert_eq!(read, planned.pack_bytes);
    let json = serde_json::to_value(&planned).unwrap();
    for key in ["files", "bytes", "packs", "pack_bytes", "frozen_packs", "speeds"] {
        assert!(json.get(key).is_some(), "{key}");
    }
    assert_eq!(json["speeds"][0]["cost"]["total"], 0.0);
}

#[test]
fn an_existing_file_is_kept_unless_overwriting() {
    let mut v = VaultBuilder::new();
    v.folder("/d");
    v.file("/d/differs", b"from the vault");
    v.file("/d/same", b"from the vault too");
    v.file("/d/missing", &noise(1, 5000));
    v.symlink("/d/link", b"target");
    v.publish();
    let m = restored(&v);
    fs::write(m.at("/d/differs"), b"mine").unwrap();
    fs::remove_file(m.at("/d/missing")).unwrap();
    let (planned, report) = m.restore(&v, &all());
    assert_eq!((planned.files, planned.already, planned.skipped), (1, 2, 1));
    assert_eq!((report.done, report.skipped, report.failed), (3, 1, 0));
    assert!(m.read("/d/differs") == b"mine" && m.read("/d/missing") == noise(1, 5000));
    let overwrite = Wanted { clobber: Clobber::Replace, ..all() };
    clean(&m.restore(&v, &overwrite).1);
    assert_eq!(m.read("/d/differs"), b"from the vault");
}

#[test]
fn promise_11_nothing_is_written_outside_the_target() {
    let mut v = VaultBuilder::new();
    v.folder("/d");
    v.file("/d/f", b"contents");
    v.file("/d/large", &noise(1, 9000));
    v.version("/d/one", &[Part::Data(b"l".to_vec())], |v| v.entry.link = Some(HardLink { dev: 1, ino: 1 }));
    v.version("/d/two", &[Part::Data(b"l".to_vec())], |v| v.entry.link = Some(HardLink { dev: 1, ino: 1 }));
    v.symlink("/d/s", b"x");
    v.file("/ok", b"ok");
    v.publish();
    for clobber in [Clobber::Keep, Clobber::Replace] {
        let m = Machine::new(&v);
        let outside = m.dir.path().join("outside");
        fs::create_dir(&outside).unwrap();
        symlink(&outside, m.at("/d")).unwrap();
        let (_, report) = m.restore(&v, &Wanted { clobber, ..all() });
        assert!(failed(&report).iter().all(|path| path.starts_with("/d")) && report.failed >= 5, "{report:?}");
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
        assert_eq!(m.read("/ok"), b"ok");
    }
}

/// A vault with every kind of object, and the files each of them costs.
struct Matrix {
    vault: VaultBuilder,
    cold: Name,
    hot: Name,
    log_of_packs: Name,
    log_of_versions: Name,
    last: Name,
}

fn matrix() -> Matrix {
    let mut v = VaultBuilder::new();
    v.file("/cold/small", b"cold and small");
    v.file("/cold/large", &noise(1, 9500));
    let cold = Name::Pack(Tier::Cold, v.cut_pack().unwrap());
    v.tier = Tier::Hot;
    v.file("/hot/small", b"hot and small");
    v.file("/hot/large", &noise(2, 9500));
    let hot = Name::Pack(Tier::Hot, v.cut_pack().unwrap());
    v.tier = Tier::Cold;
    let (log_of_packs, log_of_versions) = v.publish_apart();
    v.file("/last", b"last");
    let last = v.publish();
    Matrix { vault: v, cold, hot, log_of_packs, log_of_versions, last }
}

const HARMS: [&str; 3] = ["missing", "cut", "flipped"];

fn harm(v: &VaultBuilder, name: Name, how: &str) {
    let name = object(name);
    match how {
        "missing" => assert!(v.store.lose(&name)),
        "cut" => v.store.damage(&name, |b| b.truncate(200)),
        _ => v.store.damage(&name, |b| b[190] ^= 1),
    }
}

#[test]
fn a_damaged_pack_costs_its_own_files_by_name_and_nothing_else() {
    for how in HARMS {
        for (pick, prefix) in [(0, "/cold/"), (1, "/hot/")] {
            let m = matrix();
            harm(&m.vault, [m.cold, m.hot][pick], how);
            let machine = Machine::new(&m.vault);
            assert!(machine.log.is_sound());
            let (_, report) = machine.restore(&m.vault, &all());
            assert!(report.failures.iter().all(|(_, why)| why.contains("pack ")), "{report:?}");
            let failed = failed(&report);
            assert!(!failed.is_empty() && failed.iter().all(|f| f.starts_with(prefix)), "{how}: {failed:?}");
            assert_eq!(machine.read("/last"), b"last");
            for (path, seed) in [("/cold/large", 1), ("/hot/large", 2)] {
                assert!(failed.contains(&path.to_owned()) || machine.read(path) == noise(seed, 9500));
                assert_eq!(machine.has(path), !failed.contains(&path.to_owned()), "{how}: {path}");
            }
            assert_eq!(leftovers(&machine.out()), [] as [PathBuf; 0]);
        }
    }
}

#[test]
fn what_somebody_deleted_or_overwrote_lies_beneath_and_comes_back_whole() {
    let m = matrix();
    for name in m.vault.store.names() {
        m.vault.store.hide(&name);
    }
    let machine = Machine::new(&m.vault);
    assert!(machine.log.is_sound() && machine.log.hidden == 3, "{:?}", machine.log);
    clean(&machine.restore(&m.vault, &all()).1);
    assert!(machine.read("/cold/large") == noise(1, 9500) && machine.read("/last") == b"last");

    for (how, junk) in [("cut", b"no".to_vec()), ("other", noise(7, 40_000))] {
        let m = matrix();
        for name in m.vault.store.names() {
            m.vault.store.overwrite(&name, &junk);
        }
        let machine = Machine::new(&m.vault);
        assert!(machine.log.is_sound() && machine.log.overwritten == 3, "{how}: {:?}", machine.log);
        clean(&machine.restore(&m.vault, &all()).1);
        assert!(machine.read("/hot/large") == noise(2, 9500) && machine.read("/last") == b"last", "{how}");
    }
}

#[test]
fn an_overwritten_pack_is_looked_for_once_before_it_is_called_lost() {
    let uncovered = |m: &Matrix| {
        m.vault.store.calls().iter().filter(|c| matches!(c, Call::List(n) if n.starts_with("data_"))).count()
    };
    let m = matrix();
    m.vault.store.overwrite(&object(m.cold), &noise(8, 40_000));
    let machine = Machine::new(&m.vault);
    clean(&machine.restore(&m.vault, &all()).1);
    assert_eq!(uncovered(&m), 1);

    // What came first is ours; damaged itself, nothing else is.
    let m = matrix();
    harm(&m.vault, m.cold, "flipped");
    m.vault.store.overwrite(&object(m.cold), &noise(8, 40_000));
    let machine = Machine::new(&m.vault);
    let (_, report) = machine.restore(&m.vault, &all());
    assert!(report.failed > 0 && failed(&report).iter().all(|f| f.starts_with("/cold/")), "{report:?}");
    assert_eq!(uncovered(&m), 1);
}

#[test]
fn packs_whose_records_are_lost_tell_themselves_what_is_in_them() {
    for how in HARMS {
        let m = matrix();
        harm(&m.vault, m.log_of_packs, how);
        let machine = Machine::new(&m.vault);
        assert!(!machine.log.is_sound());
        let (_, report) = machine.restore(&m.vault, &all());
        clean(&report);
        assert!(machine.read("/cold/large") == noise(1, 9500) && machine.read("/hot/small") == b"hot and small");
    }
}

#[test]
fn a_pack_without_record_that_cannot_be_read_costs_its_files_by_name() {
    let m = matrix();
    harm(&m.vault, m.log_of_packs, "missing");
    harm(&m.vault, m.cold, "missing");
    let machine = Machine::new(&m.vault);
    let (planned, report) = machine.restore(&m.vault, &all());
    assert_eq!(failed(&report), ["/cold/large", "/cold/small"]);
    assert!(planned.failed >= 1);
    assert!(machine.read("/hot/large") == noise(2, 9500) && machine.has("/last"));
}

#[test]
fn a_damaged_segment_is_reported_and_all_others_are_used() {
    for how in HARMS {
        let m = matrix();
        harm(&m.vault, m.log_of_versions, how);
        let machine = Machine::new(&m.vault);
        if how == "missing" {
            assert_eq!(machine.log.gaps, [SegmentNo(2)]);
        } else {
            assert_eq!(machine.log.unreadable.len(), 1, "{:?}", machine.log);
        }
        let [lost] = &machine.log.lost[..] else { panic!("{:?}", machine.log.lost) };
        assert_eq!(
            (lost.from, lost.to, &lost.names),
            (SegmentNo(2), SegmentNo(2), &vec![m.log_of_versions.to_string()])
        );
        assert!(lost.after.is_some() && lost.before >= lost.after, "{lost:?}");
        clean(&machine.restore(&m.vault, &all()).1);
        assert!(machine.has("/last") && !machine.has("/cold"));
    }
}

#[test]
fn a_damaged_vault_file_is_told_from_a_missing_vault() {
    for (how, kind) in [("missing", Kind::Operator), ("cut", Kind::Damaged)] {
        let m = matrix();
        if how == "missing" {
            harm(&m.vault, Name::Vault, how);
        } else {
            m.vault.store.damage(&object(Name::Vault), |b| b.truncate(60));
        }
        assert_eq!(open_vault(&m.vault.store, &Stop::new()).unwrap_err().kind(), kind, "{how}");
    }
}

#[test]
fn merges_stand_for_their_segments_and_the_segments_for_a_damaged_merge() {
    let mut m = matrix();
    let merge = m.vault.merge();
    for name in [m.log_of_packs, m.log_of_versions, m.last] {
        assert!(m.vault.store.bytes(&object(name)).is_some());
    }
    let reads = |v: &VaultBuilder| v.store.calls().iter().filter(|c| matches!(c, Call::Read(..))).count();
    let before = reads(&m.vault);
    let machine = Machine::new(&m.vault);
    assert_eq!(reads(&m.vault) - before, 1, "the merge alone is read");
    assert!(machine.log.is_sound());
    assert_eq!(machine.catalog.last_segment().unwrap().unwrap().number, SegmentNo(3));
    clean(&machine.restore(&m.vault, &all()).1);
    assert!(machine.read("/hot/large") == noise(2, 9500));
    for how in ["cut", "flipped"] {
        harm(&m.vault, merge, how);
        let machine = Machine::new(&m.vault);
        assert_eq!((machine.log.unreadable.len(), &machine.log.lost[..]), (1, &[][..]));
        clean(&machine.restore(&m.vault, &all()).1);
        assert!(machine.read("/cold/large") == noise(1, 9500));
    }
}

#[test]
fn two_segments_of_one_number_are_reported_and_both_used() {
    let m = matrix();
    let mut other = VaultBuilder::new();
    other.file("/of-the-other-writer", b"both are kept");
    let double = other.publish();
    for name in other.store.names().into_iter().filter(is_data) {
        m.vault.store.put(&name, &other.store.bytes(&name).unwrap());
    }
    m.vault.store.put(&object(double), &other.store.bytes(&object(double)).unwrap());
    let machine = Machine::new(&m.vault);
    assert_eq!(machine.log.doubles, [SegmentNo(1)]);
    clean(&machine.restore(&m.vault, &all()).1);
    assert_eq!(machine.read("/cold/small"), b"cold and small");
    assert_eq!(machine.read("/of-the-other-writer"), b"both are kept");
}

#[test]
fn chunks_of_a_lost_pack_are_taken_from_wherever_else_they_lie() {
    let mut v = VaultBuilder::new();
    v.dedup = false;
    v.file("/small", b"the same");
    v.file("/large", &noise(1, 9500));
    let first = v.cut_pack().unwrap();
    v.file("/copies/small", b"the same");
    v.cut_pack();
    v.file("/copies/large", &noise(1, 9500));
    v.cut_pack();
    v.publish();
    for lost in [true, false] {
        if lost {
            v.store.lose(&object(Name::Pack(Tier::Cold, first)));
        } else {
            v.lose(first);
            v.publish();
        }
        let m = restored(&v);
        assert!(m.read("/small") == b"the same" && m.read("/large") == noise(1, 9500));
    }
}

#[test]
fn a_pack_damaged_in_one_block_costs_that_block_alone() {
    let mut v = VaultBuilder::new();
    for i in 0..12 {
        v.file(&format!("/f{i:02}"), &noise(i, 1000));
    }
    let pack = v.cut_pack().unwrap();
    v.publish();
    v.store.damage(&object(Name::Pack(Tier::Cold, pack)), |b| b[128 + 4016 + 100] ^= 1);
    let m = Machine::new(&v);
    let (_, report) = m.restore(&v, &all());
    assert_eq!(failed(&report), ["/f04", "/f05", "/f06", "/f07"]);
    assert_eq!(report.done, 8);
}

#[test]
fn a_bit_flipped_on_the_way_is_read_again() {
    let mut v = VaultBuilder::new();
    v.file("/f", &noise(1, 2500));
    v.publish();
    let m = Machine::new(&v);
    let job = m.job("job");
    m.plan(&v, &job, &all()).unwrap();
    v.store.next_faults([Fault::Flipped]);
    clean(&m.fetch(&v, &job).unwrap());
    assert!(m.read("/f") == noise(1, 2500));
}

#[test]
fn promise_11_a_restore_that_was_stopped_goes_on_and_reads_nothing_settled_again() {
    let mut v = VaultBuilder::new();
    for i in 0..40 {
        v.file(&format!("/s{i}"), &noise(i, 900));
        if i % 10 == 9 {
            v.file(&format!("/large{i}"), &noise(100 + i, 12_000));
        }
        if i % 2 == 1 {
            v.cut_pack();
        }
    }
    v.version("/empty", &[], |_| {});
    v.publish();
    let m = Machine::new(&v);
    let job = m.job("job");
    m.plan(&v, &job, &all()).unwrap();
    let begin = v.store.calls().len();
    for _ in 0..3 {
        v.store.next_faults([Fault::None, Fault::None, Fault::None, Fault::Refused]);
        let e = m.fetch(&v, &job).unwrap_err();
        assert_eq!(e.kind(), Kind::Operator, "{e}");
    }
    drop(job);
    // Two workers may each have a unit of the next reads in hand; the script is over by now.
    let job = m.job("job");
    let report = m.fetch(&v, &job).unwrap();
    clean(&report);
    assert_eq!(report.done, 45);
    for i in 0..40 {
        assert!(m.read(&format!("/s{i}")) == noise(i, 900), "{i}");
    }
    for i in [9, 19, 29, 39] {
        assert!(m.read(&format!("/large{i}")) == noise(100 + i, 12_000));
    }
    let reads = v.store.calls().split_off(begin).iter().filter(|c| matches!(c, Call::Read(..))).count();
    // 20 packs, one read each; a run that is stopped loses what its workers and queue had in hand.
    assert!(reads <= 20 + 3 * 4, "{reads} reads");
    assert_eq!(leftovers(&m.out()), [] as [PathBuf; 0]);
    assert_eq!(m.fetch(&v, &job).unwrap(), report, "a finished job stays finished");
}

#[test]
fn promise_11_a_restore_over_a_rude_store_ends_whole() {
    let mut v = VaultBuilder::new();
    for i in 0..30 {
        v.file(&format!("/s{i}"), &noise(i, 900));
        if i % 3 == 2 {
            v.file(&format!("/large{i}"), &noise(100 + i, 7000));
            v.cut_pack();
        }
    }
    v.publish();
    for seed in 0..6 {
        v.store.random_faults(seed, 0.4);
        let soon = Backoff::between(Duration::from_nanos(1), Duration::from_nanos(9), seed);
        let stop = Stop::new();
        let store = Patient::new(&v.store, Patience::AsLongAsItTakes, soon, stop.clone(), |_| {});
        let file = open_vault(&store, &stop).unwrap();
        assert_eq!(secret_from(&store, &file, &v.secret.words().join(" "), &stop).unwrap(), v.secret);
        let dir = tempfile::tempdir().unwrap();
        let catalog = Catalog::open(&dir.path().join("catalog.db")).unwrap();
        let log = rebuild(&store, &v.keys.seal, &catalog, &[], &stop, &|_, _| {}).unwrap();
        assert!(log.is_sound(), "seed {seed}: {log:?}");
        let m = Machine { dir, catalog, log };
        fs::create_dir(m.out()).unwrap();
        let (target, progress, job) = (Target::open(&m.out()).unwrap(), Progress::default(), m.job("job"));
        let planning = Planning {
            catalog: &m.catalog,
            store: &store,
            keys: &v.keys.seal,
            target: &target,
            target_path: &m.out(),
            progress: &progress,
            faults: &Faults::default(),
            stop: &stop,
            now: Wall(0),
        };
        plan(&planning, &all(), &job).unwrap();
        let fetching = Fetching {
            catalog: &m.catalog,
            store: &store,
            keys: &v.keys,
            target: &target,
            progress: &progress,
            clock: &*SystemClock::shared(),
            faults: &Faults::default(),
            stop: &stop,
            threads: 3,
            batch_bytes: 4000,
        };
        clean(&fetch(&fetching, &job).unwrap());
        for i in 0..30 {
            assert!(m.read(&format!("/s{i}")) == noise(i, 900), "seed {seed}: {i}");
        }
        assert!(m.read("/large29") == noise(129, 7000));
    }
}

#[test]
fn a_restore_into_too_little_room_is_refused_before_it_begins() {
    let mut v = VaultBuilder::new();
    v.file("/f", b"x");
    v.publish();
    let m = Machine::new(&v);
    let job = m.job("job");
    let mut planned = m.plan(&v, &job, &all()).unwrap();
    planned.needed_bytes = u64::MAX;
    job.set_fact("plan", serde_json::to_string(&planned).unwrap()).unwrap();
    let e = m.fetch(&v, &job).unwrap_err();
    assert!(e.kind() == Kind::Operator && e.to_string().contains("room"), "{e}");
    assert!(!m.has("/f"));
}

#[test]
fn many_copies_of_one_chunk_read_its_block_about_once() {
    let mut v = VaultBuilder::new();
    v.folder("/d");
    for i in 0..3000 {
        v.file(&format!("/d/{i}"), b"all the same");
    }
    v.publish();
    let m = restored(&v);
    assert_eq!(fs::read_dir(m.at("/d")).unwrap().count(), 3000);
    let data = v.store.calls().iter().filter(|c| matches!(c, Call::Read(n, Some(_)) if is_data(n))).count();
    assert_eq!(data, 1);
}

fn is_data(name: &ObjectName) -> bool {
    name.as_str().starts_with("data_")
}

#[derive(Clone, Debug)]
struct Plot {
    files: Vec<Vec<(u8, u16, bool)>>,
    chunk: usize,
    block: usize,
    cut: usize,
    kills: Vec<u8>,
}

fn plots() -> impl Strategy<Value = Plot> {
    let file = proptest::collection::vec((0u8..20, 1u16..6000, proptest::bool::weighted(0.2)), 0..5);
    (
        proptest::collection::vec(file, 1..25),
        50usize..2500,
        1usize..6,
        1usize..8,
        proptest::collection::vec(0u8..40, 0..4),
    )
        .prop_map(|(files, chunk, block, cut, kills)| Plot { files, chunk, block, cut, kills })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn whatever_was_cut_shared_and_interrupted_comes_back_as_it_was(plot in plots()) {
        let mut v = VaultBuilder::new();
        (v.chunk, v.block) = (plot.chunk, plot.block);
        let mut expected: Vec<(String, Vec<u8>)> = vec![];
        for (i, parts) in plot.files.iter().enumerate() {
            let path = format!("/d{}/f{i}", i % 3);
            let made: Vec<Part> = parts
                .iter()
                .map(|(seed, len, hole)| {
                    let len = usize::from(*len);
                    if *hole { Part::Hole(len as u64) } else { Part::Data(noise(u64::from(*seed), len)) }
                })
                .collect();
            let bytes = made
                .iter()
                .flat_map(|part| match part {
                    Part::Data(d) => d.clone(),
                    Part::Hole(n) => vec![0; usize::try_from(*n).unwrap()],
                })
                .collect();
            v.version(&path, &made, |_| {});
            expected.push((path, bytes));
            if i % plot.cut == 0 {
                v.cut_pack();
            }
        }
        v.publish();
        let m = Machine::new(&v);
        let job = m.job("job");
        m.plan(&v, &job, &all()).unwrap();
        for kill in &plot.kills {
            let script = (0..*kill).map(|_| Fault::None).chain([Fault::Refused]);
            v.store.next_faults(script);
            let _ = m.fetch(&v, &job);
        }
        // What is left of the script strikes once more at most.
        let report = (0..5).find_map(|_| m.fetch(&v, &job).ok()).unwrap();
        clean(&report);
        prop_assert_eq!(report.done, expected.len() as u64);
        for (path, bytes) in &expected {
            prop_assert!(m.read(path) == *bytes, "{}", path);
        }
        prop_assert_eq!(leftovers(&m.out()), [] as [PathBuf; 0]);
    }
}

/// Keeps the imports of helpers honest.
#[test]
fn a_machine_knows_its_vault_by_name() {
    let v = VaultBuilder::new();
    assert!(v.store.url().contains("memory"), "{}", v.store.url());
    assert_eq!(TreePath::root(), p("/"));
}
