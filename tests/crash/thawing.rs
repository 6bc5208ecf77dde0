//! Dying while a restore waits for cold storage: at every step of asking, looking and taking up. The next life goes on,
//! asks at most once more for what it was asking for, and ends with everything back (promises 4 and 11).

use super::deaths::{Cut, Deaths};
use super::fast_clock::FastClock;
use super::vault_builder::{VaultBuilder, noise, object, p};
use panicroom::catalog::jobs::JobFile;
use panicroom::catalog::{Catalog, When};
use panicroom::clock::{Clock, Wall};
use panicroom::error::{Kind, Result};
use panicroom::format::Name;
use panicroom::model::{Rate, Speed, Tier};
use panicroom::place::{Clobber, Target};
use panicroom::restore::thaw::agree;
use panicroom::restore::thaw::pace::Terms;
use panicroom::restore::{Fetching, Layout, Plan, Planning, Progress, Report, Wanted, fetch, plan, waits_for_a_word};
use panicroom::store::ObjectStore;
use panicroom::store::memory::MemoryStore;
use panicroom::upkeep::rebuild::rebuild;
use panicroom::worker::{Faults, Stop};
use std::collections::BTreeSet;
use std::fs;
use std::sync::Arc;
use std::time::Duration;

pub const STEPS: [&str; 12] = [
    "plan.thaw",
    "thaw.agree",
    "thaw.expired",
    "thaw.wave",
    "thaw.ask",
    "thaw.slower",
    "thaw.asked",
    "thaw.look",
    "thaw.turn",
    "thaw.again",
    "thaw.round",
    "thaw.late",
];

const FILES: u64 = 4;

/// What the line is taken for.
#[derive(Clone, Copy, PartialEq)]
enum Line {
    /// Slower than it is: two waves, and nothing expires.
    Underrated,
    /// Much faster than it is: copies go before they are fetched.
    Overrated,
    /// Slower than it is; and no listing tells what is frozen.
    Unseen,
}

struct Trip {
    vault: VaultBuilder,
    clock: Arc<FastClock>,
    catalog: Catalog,
    dir: tempfile::TempDir,
    terms: Terms,
}

impl Trip {
    fn new(line: Line) -> Self {
        let clock = FastClock::at(Wall(1_700_000_000_000));
        let rate = |n| Rate::bytes_per_second(n).unwrap();
        let (real, taken_for) = if line == Line::Overrated { (rate(1), rate(50)) } else { (rate(1000), rate(1)) };
        let store = MemoryStore::new(clock.clone()).cold(Duration::from_secs(5 * 3600)).read_at(real);
        store.refuse(Speed::Expedited);
        let mut vault = VaultBuilder::on(store);
        vault.folder("/d");
        vault.dedup = false;
        vault.chunk = 9000;
        let size = if line == Line::Overrated { 60_000 } else { 30_000 };
        for n in 0..FILES {
            vault.file(&format!("/d/file{n}"), &noise(n, size));
            vault.cut_pack();
        }
        vault.file("/d/hurt", &noise(100, 3000));
        let hurt = vault.cut_pack().unwrap();
        vault.file("/d/hurt again", &noise(100, 3000));
        vault.publish();
        vault.store.damage(&object(Name::Pack(Tier::Cold, hurt)), |b| b[128..].iter_mut().for_each(|b| *b ^= 1));
        if line == Line::Unseen {
            let packs = vault.store.names().into_iter().filter(|n| n.as_str().starts_with("data_"));
            for (n, pack) in packs.enumerate() {
                vault.store.warm(&pack);
                if n > 0 {
                    vault.store.tier_away(&pack);
                }
            }
        }
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("out")).unwrap();
        let catalog = Catalog::open(&dir.path().join("catalog.db")).unwrap();
        rebuild(&vault.store, &vault.keys.seal, &catalog, &[], &Stop::new(), &|_, _| {}).unwrap();
        let terms = Terms {
            downlink: taken_for,
            poll: Duration::from_secs(3600),
            ..Terms::of(Some("GLACIER"), Speed::Expedited)
        };
        Self { vault, clock, catalog, dir, terms }
    }

    /// As the command does it: plan, agree, fetch, each where the last life left it.
    fn live(&self, faults: &Faults) -> Result<Report> {
        let path = self.dir.path().join("job.db");
        let out = self.dir.path().join("out");
        let target = Target::open(&out)?.marked("trip");
        let (progress, stop) = (Progress::default(), Stop::new());
        let mut job = JobFile::open(&path)?;
        if Plan::of(&job)?.is_none() {
            drop(job);
            JobFile::remove(&path, &Faults::default())?;
            job = JobFile::open(&path)?;
            let planning = Planning {
                catalog: &self.catalog,
                store: &self.vault.store,
                keys: &self.vault.keys.seal,
                target: &target,
                target_path: &out,
                progress: &progress,
                faults,
                stop: &stop,
                now: Wall(0),
            };
            let wanted =
                Wanted { paths: vec![p("/d")], when: When::Now, layout: Layout::Whole, clobber: Clobber::Keep };
            plan(&planning, &wanted, &job)?;
        }
        let settle = || if waits_for_a_word(&job)? { agree(&job, &self.terms, u64::MAX, faults) } else { Ok(()) };
        settle()?;
        let fetching = Fetching {
            catalog: &self.catalog,
            store: &self.vault.store,
            keys: &self.vault.keys,
            target: &target,
            progress: &progress,
            clock: &*self.clock,
            faults,
            stop: &stop,
            threads: 1,
            batch_bytes: 15_000,
        };
        match fetch(&fetching, &job) {
            Err(e) if e.kind() == Kind::Operator && waits_for_a_word(&job)? => {
                settle()?;
                fetch(&fetching, &job)
            }
            other => other,
        }
    }

    fn all_back(&self, report: &Report, died: &[&str]) {
        assert_eq!((report.failed, report.done), (0, FILES + 2), "died at {died:?}: {report:?}");
        for n in 0..FILES {
            let found = fs::read(self.dir.path().join(format!("out/d/file{n}"))).unwrap();
            assert!(found.len() >= 20_000 && found == noise(n, found.len()), "file{n}, died at {died:?}");
        }
        for name in ["hurt", "hurt again"] {
            assert!(fs::read(self.dir.path().join("out/d").join(name)).unwrap() == noise(100, 3000), "{name}");
        }
    }
}

/// Dies at `cut`, and soon again in the next life; the steps it died at, none when the restore ended before.
fn run_and_die(line: Line, cut: Cut, most: u64) -> Vec<&'static str> {
    let (trip, mut died) = (Trip::new(line), vec![]);
    for faults in [cut.faults(), Faults::die_at(2 + cut.number() % 5)] {
        match trip.live(&faults) {
            Ok(_) => break,
            Err(e) => assert_eq!(e.kind(), Kind::Stopping, "{cut:?}: {e}"),
        }
        died.extend(faults.told().1);
        if line == Line::Overrated {
            // The machine is off for so long that all copies go.
            trip.clock.sleep(Duration::from_secs(10 * 86_400));
        }
    }
    trip.all_back(&trip.live(&Faults::default()).unwrap(), &died);
    if line == Line::Unseen {
        let (asked, paid) = (trip.vault.store.requests().thaw, trip.vault.store.thaws().len() as u64);
        assert!(
            asked <= most + 2 && paid <= FILES + 1,
            "died at {died:?}: {asked} requests, {most} undisturbed, {paid} paid"
        );
        assert!(trip.vault.store.frozen_reads() <= 3, "died at {died:?}: one that shows it, for each life");
    }
    if line == Line::Underrated {
        let (asked, paid) = (trip.vault.store.requests().thaw, trip.vault.store.thaws().len() as u64);
        assert!(asked <= most + 2, "died at {died:?}: {asked} requests, {most} undisturbed");
        assert_eq!(paid, FILES + 2, "died at {died:?}: something is paid for twice");
        assert_eq!(trip.vault.store.frozen_reads(), 0, "died at {died:?}");
    }
    died
}

#[test]
fn promises_4_and_11_hold_wherever_a_thaw_dies() {
    let deaths = Deaths::default();
    for line in [Line::Underrated, Line::Overrated, Line::Unseen] {
        let undisturbed = Trip::new(line);
        undisturbed.all_back(&undisturbed.live(&Faults::default()).unwrap(), &[]);
        let most = undisturbed.vault.store.requests().thaw;
        let waves: BTreeSet<Wall> = undisturbed.vault.store.thaws().iter().map(|t| t.at).collect();
        assert!(waves.len() >= 2 || line == Line::Unseen, "{waves:?}");
        deaths.at_every_step(&STEPS, || (), |(), cut| run_and_die(line, cut, most));
    }
    deaths.were_at(&STEPS);
}
