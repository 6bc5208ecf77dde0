//! Dying while files come back: a restore is cut off at every step, by a kill and by a power cut, and gone on with. In the
//! end stands what an undisturbed one leaves, the report says the same, no part of ours lies about, and nothing that
//! was settled is read again (promises 4 and 11).

use super::deaths::{Cut, Deaths};
use super::portable::portable;
use super::site::Site;
use super::vault_builder::p;
use panicroom::catalog::When;
use panicroom::catalog::jobs::{Cursor, JobFile, ThingKind, Whose};
use panicroom::clock::{SystemClock, Wall};
use panicroom::error::{Kind, Result};
use panicroom::format::Name;
use panicroom::model::{Entry, Sha256, Shape, TreePath};
use panicroom::place::{Clobber, Target};
use panicroom::restore::{Fetching, Layout, Plan, Planning, Progress, Report, Wanted, fetch, plan};
use panicroom::store::memory::Call;
use panicroom::worker::{Faults, Stop};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

pub const STEPS: [&str; 27] = [
    "plan.begin",
    "plan.link",
    "plan.items",
    "plan.failures",
    "plan.pack",
    "plan.end",
    "plan.ended",
    "fetch.begin",
    "small.write",
    "small.name",
    "small.named",
    "part.write",
    "settle.pack",
    "settle.sync",
    "settle.note",
    "name.file",
    "name.note",
    "name.again",
    "thing.place",
    "thing.sync",
    "thing.note",
    "part.clear",
    "folder.dress",
    "folder.failed",
    "folder.sync",
    "fetch.end",
    "fetch.ended",
];

/// Taken between plan and fetch: kept, and counted as skipped.
const TAKEN: [&str; 4] = ["d/s4", "d/deep/large", "d/three", "d/taken"];

/// One restore from a site, through as many lives as it takes.
struct Trip<'a> {
    site: &'a Site,
    dir: tempfile::TempDir,
    taken: bool,
    /// Steps of the plan.
    planned: u64,
}

impl<'a> Trip<'a> {
    fn new(site: &'a Site) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("out")).unwrap();
        Self { site, dir, taken: false, planned: 0 }
    }
    fn out(&self) -> PathBuf {
        self.dir.path().join("out")
    }
    fn job_path(&self) -> PathBuf {
        self.dir.path().join("job.db")
    }
    fn job(&self) -> JobFile {
        JobFile::open(&self.job_path()).unwrap()
    }

    /// As the command does it: a job without its plan begins anew, any other goes on.
    fn live(&mut self, faults: &Faults) -> Result<Report> {
        let mut job = self.job();
        let target = Target::open(&self.out())?.marked("trip");
        let (progress, stop) = (Progress::default(), Stop::new());
        let Site { vault, catalog, .. } = self.site;
        if Plan::of(&job)?.is_none() {
            drop(job);
            JobFile::remove(&self.job_path(), &Faults::default())?;
            job = self.job();
            let planning = Planning {
                catalog,
                store: &vault.store,
                keys: &vault.keys.seal,
                target: &target,
                target_path: &self.out(),
                progress: &progress,
                faults,
                stop: &stop,
                now: Wall(0),
            };
            let wanted = Wanted {
                paths: vec![p("/d"), p("/none")],
                when: When::Now,
                layout: Layout::Whole,
                clobber: Clobber::Keep,
            };
            plan(&planning, &wanted, &job)?;
            self.planned = faults.told().0;
        }
        if !std::mem::replace(&mut self.taken, true) {
            fs::create_dir_all(self.out().join("d/deep")).unwrap();
            for path in &TAKEN[..3] {
                fs::write(self.out().join(path), b"somebody's").unwrap();
            }
            symlink("theirs", self.out().join(TAKEN[3])).unwrap();
        }
        let (cursor, begin) = (job.cursor()?, vault.store.calls().len());
        let fetching = Fetching {
            catalog,
            store: &vault.store,
            keys: &vault.keys,
            target: &target,
            progress: &progress,
            clock: &*SystemClock::shared(),
            faults,
            stop: &stop,
            threads: 2,
            batch_bytes: 4000,
        };
        let outcome = fetch(&fetching, &job);
        self.check_reads(&job, cursor, begin);
        if outcome.is_ok() {
            let seen = progress.look();
            assert_eq!(seen.files, seen.files_total, "the bar is full");
        }
        outcome
    }

    /// What lay before the cursor is not read again.
    fn check_reads(&self, job: &JobFile, from: Cursor, begin: usize) {
        let settled = |id: &i64| from.round > 0 || *id < from.pack;
        let before: BTreeSet<Sha256> =
            (0..from.pack.max(100)).filter(settled).filter_map(|id| job.pack(id).unwrap()).map(|p| p.hash).collect();
        for call in self.site.vault.store.calls().split_off(begin) {
            if let Call::Read(name, _) = call
                && let Some(Name::Pack(_, hash)) = Name::parse(name.as_str())
                && hash != self.site.copy
            {
                assert!(!before.contains(&hash), "{name} was settled at {from:?} and is read again");
            }
        }
    }

    fn at(&self, path: &TreePath) -> PathBuf {
        self.out().join(path.beneath(&TreePath::root()).map(|b| String::from_utf8(b.to_vec()).unwrap()).unwrap())
    }

    /// Whatever has its name is whole.
    fn check_instant(&self, wanted: &End, died: &str) {
        if !self.out().join("d").exists() {
            return;
        }
        for (path, found) in portable(&self.out().join("d")) {
            let name = String::from_utf8_lossy(&path).into_owned();
            if found.0.shape != Shape::Dir && !name.contains(".panicroom-part-") {
                let (found, wanted) = (timeless(&found).0, wanted.tree.get(&path).map(|w| timeless(w).0));
                assert_eq!(Some(found), wanted, "{name}, died at {died}");
            }
        }
    }

    /// The power goes: what was placed since the last sync is cut short, empty of sense, or not there.
    fn power_cut(&self) {
        let job = self.job();
        let cursor = job.cursor().unwrap();
        let mut next = cursor.pack;
        while let Some(pack) = job.pack_from(cursor.round, next).unwrap() {
            next = pack + 1;
            for piece in job.pieces(cursor.round, pack, (-1, -1, -1), 1000).unwrap() {
                if let Whose::Small { id, path, entry } = piece.whose {
                    self.spoil(id, &path, &entry);
                }
            }
        }
        let target = Target::open(&self.out()).unwrap();
        for row in job.named_files(0, 1000).unwrap() {
            // What its metadata fall short of is told already.
            if row.entry.xattrs.is_empty() && row.id % 2 == 0 && target.look(&row.path).unwrap().is_some() {
                let part = self.at(&row.path).with_file_name(format!(".panicroom-part-trip-{}", row.id));
                fs::rename(self.at(&row.path), part).unwrap();
            }
        }
        for kind in [ThingKind::Link, ThingKind::Other] {
            for row in job.things(kind, None, 1000).unwrap() {
                let ours = target.look(&row.path).unwrap().is_some_and(|s| s.is_like(&row.entry));
                if ours && row.id % 2 == 0 {
                    fs::remove_file(self.at(&row.path)).unwrap();
                }
            }
        }
    }

    fn spoil(&self, id: i64, path: &TreePath, entry: &Entry) {
        let (at, target) = (self.at(path), Target::open(&self.out()).unwrap());
        if !target.look(path).unwrap().is_some_and(|s| s.is_like(entry)) {
            return;
        }
        let when = fs::metadata(&at).unwrap().modified().unwrap();
        match id % 3 {
            0 => fs::remove_file(&at).unwrap(),
            n => {
                let file = fs::File::options().write(true).open(&at).unwrap();
                file.set_len(0).unwrap();
                file.set_len(if n == 1 { entry.size.0 } else { 0 }).unwrap();
                file.set_modified(when).unwrap();
            }
        }
    }

    fn end(&self, report: Report) -> End {
        let tree = portable(&self.out().join("d"));
        let notes = ["across", "odd small", "deep"].map(|name| {
            let mut value = [0; 16];
            let read = rustix::fs::getxattr(self.out().join("d").join(name), "user.note", &mut value);
            read.map(|n| value[..n].to_vec()).ok()
        });
        assert_eq!(self.job().count("finished").unwrap(), 1);
        End { tree, notes, report }
    }

    fn copy_job(from: &Path, to: &Path) {
        for suffix in ["", "-wal", "-shm"] {
            let name = |folder: &Path| folder.join(format!("job.db{suffix}"));
            let _ = fs::remove_file(name(to));
            if name(from).exists() {
                fs::copy(name(from), name(to)).unwrap();
            }
        }
    }
}

/// What a restore leaves.
#[derive(Debug, PartialEq)]
struct End {
    tree: BTreeMap<Vec<u8>, (super::tree::Thing, Option<Vec<u8>>)>,
    notes: [Option<Vec<u8>>; 3],
    report: Report,
}

/// An undisturbed restore, and how many steps its plan has.
fn undisturbed(site: &Site) -> (End, u64) {
    let mut trip = Trip::new(site);
    let report = trip.live(&Faults::die_at(0)).unwrap();
    let end = trip.end(report);
    let failed: Vec<_> = end.report.failures.iter().map(|(path, _)| path.to_string()).collect();
    assert_eq!(failed, ["/d/losing", "/d/lost small", "/none"]);
    let report = &end.report;
    assert_eq!((report.skipped, report.done, report.others), (4, 16, 2), "{report:?}");
    assert_eq!(report.shortfalls.attributes, if end.notes[0].is_some() { 5 } else { 8 }, "{report:?}");
    (end, trip.planned)
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Blow {
    Kill,
    PowerCut,
    /// It takes what the job noted in the last life, too: such notes are not synced one by one.
    PowerCutOfTheJob,
}

/// Dies at `cut`, and again in the next life; the steps it died at, none when the restore ended before.
fn run_and_die(site: &Site, wanted: &End, planned: u64, blow: Blow, cut: Cut) -> Vec<&'static str> {
    let lives = match blow {
        Blow::PowerCutOfTheJob => [Faults::die_at(planned + 2 + cut.number() * 5 % 60), cut.faults()],
        _ => [cut.faults(), Faults::die_at(1 + cut.number() % 13)],
    };
    let (mut trip, kept, mut died) = (Trip::new(site), tempfile::tempdir().unwrap(), vec![]);
    for faults in lives {
        match trip.live(&faults) {
            Ok(_) => break,
            Err(e) => assert_eq!(e.kind(), Kind::Stopping, "{blow:?} {cut:?}: {e}"),
        }
        let step = faults.told().1.unwrap();
        if blow == Blow::Kill {
            trip.check_instant(wanted, step);
        }
        died.push(step);
        if blow == Blow::PowerCutOfTheJob {
            if died.len() == 1 {
                Trip::copy_job(trip.dir.path(), kept.path());
            } else {
                Trip::copy_job(kept.path(), trip.dir.path());
            }
        }
        if blow != Blow::Kill {
            trip.power_cut();
        }
    }
    let report = trip.live(&Faults::default()).unwrap();
    let end = trip.end(report);
    assert_eq!(end.report, wanted.report, "{blow:?} {cut:?}: died at {died:?}");
    for path in end.tree.keys().chain(wanted.tree.keys()) {
        let name = String::from_utf8_lossy(path);
        assert_eq!(end.tree.get(path).map(timeless), wanted.tree.get(path).map(timeless), "{name}: {blow:?}, {died:?}");
    }
    assert_eq!(end.notes, wanted.notes, "died at {died:?}");
    let deaths = usize::from(blow == Blow::PowerCutOfTheJob);
    if died.len() <= deaths { vec![] } else { died }
}

/// What was there before has the time at which it was put there.
fn timeless(thing: &(super::tree::Thing, Option<Vec<u8>>)) -> (super::tree::Thing, Option<Vec<u8>>) {
    let (mut thing, name) = thing.clone();
    if thing.mtime.secs > 1_600_000_000 {
        thing.mtime.secs = 0;
        thing.mtime.nanos = 0;
    }
    (thing, name)
}

#[test]
fn promises_4_and_11_hold_wherever_a_restore_dies() {
    let deaths = Deaths::default();
    for blow in [Blow::Kill, Blow::PowerCut, Blow::PowerCutOfTheJob] {
        let place = || {
            let site = Site::new();
            let (wanted, planned) = undisturbed(&site);
            (site, wanted, planned)
        };
        deaths.at_every_step(&STEPS, place, |(site, wanted, planned), cut| {
            run_and_die(site, wanted, *planned, blow, cut)
        });
    }
    deaths.were_at(&STEPS);
    deaths.were_only_at(&STEPS);
}

pub const REMOVING: [&str; 1] = ["job.remove"];

#[test]
fn a_job_removed_by_half_is_no_job_and_harms_none() {
    let (dir, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let job = JobFile::open(&dir.path().join("job.db")).unwrap();
    job.set_fact("plan", "of old").unwrap();
    for at in 1.. {
        for suffix in ["", "-wal", "-shm"] {
            let name = format!("job.db{suffix}");
            fs::copy(dir.path().join(&name), copy.path().join(&name)).unwrap();
        }
        let (path, faults) = (copy.path().join("job.db"), Faults::die_at(at));
        let removed = JobFile::remove(&path, &faults);
        let fresh = JobFile::open(&path).unwrap();
        let known = fresh.fact::<String>("plan").unwrap();
        assert_eq!(known.is_some(), at == 1, "whole until its file goes, then nothing");
        fresh.set_fact("plan", "new").unwrap();
        drop(fresh);
        assert_eq!(JobFile::open(&path).unwrap().fact::<String>("plan").unwrap().as_deref(), Some("new"));
        if removed.is_ok() {
            break;
        }
        assert_eq!(faults.told().1, Some(REMOVING[0]));
    }
}
