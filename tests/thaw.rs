//! Restores from cold storage, on the memory double and a clock that waits for nobody: days of thawing in milliseconds
//! (promise 11). What is asked for is money, so every request is counted.

#[path = "support/fast_clock.rs"]
mod fast_clock;
#[path = "support/vault_builder.rs"]
#[expect(dead_code, reason = "shared: each test uses its part of it")]
mod vault_builder;

use fast_clock::FastClock;
use panicroom::catalog::jobs::{AskedBefore, JobFile};
use panicroom::catalog::{Catalog, When};
use panicroom::clock::{Clock, Wall};
use panicroom::error::{Kind, Result};
use panicroom::model::{Rate, Speed, Tier};
use panicroom::place::{Clobber, Target};
use panicroom::restore::thaw::agree;
use panicroom::restore::thaw::pace::{Terms, WAVE};
use panicroom::restore::{Fetching, Layout, Plan, Planning, Progress, Report, Wanted, fetch, plan, preview};
use panicroom::store::memory::{Call, Fault, MemoryStore};
use panicroom::store::{ObjectName, ObjectStore, Requests};
use panicroom::upkeep::rebuild::rebuild;
use panicroom::worker::{Faults, Stop};
use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use vault_builder::{VaultBuilder, noise, p};

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

fn rate(n: u64) -> Rate {
    Rate::bytes_per_second(n).unwrap()
}

/// A cold vault of `packs` packs, one file of 9 kB in each, and a machine that has never seen it.
struct Cold {
    vault: VaultBuilder,
    clock: Arc<FastClock>,
    catalog: Catalog,
    dir: tempfile::TempDir,
    packs: u64,
}

impl Cold {
    fn new(packs: u64, takes: Duration, more: impl FnOnce(MemoryStore) -> MemoryStore) -> Self {
        Self::with(packs, takes, Tier::Cold, more)
    }
    fn with(packs: u64, takes: Duration, tier: Tier, more: impl FnOnce(MemoryStore) -> MemoryStore) -> Self {
        let clock = FastClock::at(Wall(1_700_000_000_000));
        let mut vault = VaultBuilder::on(more(MemoryStore::new(clock.clone()).cold(takes)));
        vault.tier = tier;
        vault.folder("/d");
        for n in 0..packs {
            vault.file(&format!("/d/file{n:02}"), &noise(n, 9000));
            vault.cut_pack();
        }
        vault.publish();
        let dir = tempfile::tempdir().unwrap();
        let catalog = Catalog::open(&dir.path().join("catalog.db")).unwrap();
        rebuild(&vault.store, &vault.keys.seal, &catalog, &[], &Stop::new(), &|_, _| {}).unwrap();
        fs::create_dir(dir.path().join("out")).unwrap();
        Self { vault, clock, catalog, dir, packs }
    }
    fn out(&self) -> PathBuf {
        self.dir.path().join("out")
    }
    fn job(&self) -> JobFile {
        JobFile::open(&self.dir.path().join("job.db")).unwrap()
    }
    fn plan(&self, paths: &[&str]) -> Plan {
        self.planned(paths, |planning, wanted| plan(planning, wanted, &self.job()))
    }
    /// A plan alone: no job comes of it.
    fn preview(&self, paths: &[&str]) -> Plan {
        self.planned(paths, |planning, wanted| {
            preview(planning, wanted, &JobFile::open(&self.dir.path().join("preview.db"))?)
        })
    }
    fn planned(&self, paths: &[&str], how: impl FnOnce(&Planning<'_>, &Wanted) -> Result<Plan>) -> Plan {
        let target = Target::open(&self.out()).unwrap();
        let planning = Planning {
            catalog: &self.catalog,
            store: &self.vault.store,
            keys: &self.vault.keys.seal,
            target: &target,
            target_path: &self.out(),
            progress: &Progress::default(),
            faults: &Faults::default(),
            stop: &Stop::new(),
            now: Wall(0),
        };
        let paths = paths.iter().map(|path| p(path)).collect();
        let wanted = Wanted { paths, when: When::Now, layout: Layout::Whole, clobber: Clobber::Keep };
        how(&planning, &wanted).unwrap()
    }
    fn agree(&self, terms: Terms) {
        agree(&self.job(), &terms, u64::MAX, &Faults::default()).unwrap();
    }
    fn fetch(&self) -> Result<Report> {
        self.fetch_with(2)
    }
    fn fetch_with(&self, threads: usize) -> Result<Report> {
        let target = Target::open(&self.out()).unwrap();
        let fetching = Fetching {
            catalog: &self.catalog,
            store: &self.vault.store,
            keys: &self.vault.keys,
            target: &target,
            progress: &Progress::default(),
            clock: &*self.clock,
            faults: &Faults::default(),
            stop: &Stop::new(),
            threads,
            batch_bytes: 20_000,
        };
        fetch(&fetching, &self.job())
    }

    #[track_caller]
    fn all_back(&self, report: &Report) {
        assert_eq!((report.failed, report.skipped, report.done), (0, 0, self.packs), "{report:?}");
        for n in 0..self.packs {
            let path = self.out().join(format!("d/file{n:02}"));
            assert!(fs::read(&path).unwrap() == noise(n, 9000), "{}", path.display());
        }
    }
    /// Each pack asked for exactly once.
    #[track_caller]
    fn asked_once(&self) {
        let asked = self.vault.store.thaws();
        let names: BTreeSet<ObjectName> = asked.iter().map(|a| a.name.clone()).collect();
        assert_eq!((names.len() as u64, asked.len() as u64), (self.packs, self.packs));
        assert_eq!(self.vault.store.requests().thaw, self.packs, "no request was in vain");
        assert_eq!(self.vault.store.frozen_reads(), 0, "no frozen object is read");
    }
    fn passed(&self) -> Duration {
        self.clock.steady().0
    }
}

fn deep() -> Terms {
    Terms::of(Some("DEEP_ARCHIVE"), Speed::Bulk)
}

#[test]
fn promise_11_a_plan_makes_no_call_but_lists_and_nothing_is_asked_for_before_it_was_agreed_on() {
    let cold = Cold::new(3, 48 * HOUR, |store| store);
    let before = cold.vault.store.requests();
    let planned = cold.plan(&[]);
    assert_eq!(cold.vault.store.requests().since(before), Requests { list: 1, ..Requests::default() });
    assert_eq!((planned.frozen_packs, planned.packs, planned.class.as_deref()), (3, 3, Some("DEEP_ARCHIVE")));
    assert!(planned.frozen_bytes > planned.pack_bytes && planned.pack_bytes > 27_000 && !planned.costs_nothing());
    let error = cold.fetch().unwrap_err();
    assert!(error.kind() == Kind::Operator && error.to_string().contains("agreed"), "{error}");
    assert_eq!(cold.vault.store.requests().since(before), Requests { list: 1, ..Requests::default() });
}

#[test]
fn a_frozen_vault_comes_back_after_two_days_each_pack_asked_for_once_and_none_read_frozen() {
    for lists in [true, false] {
        let cold = Cold::new(40, 48 * HOUR, |store| if lists { store } else { store.without_thaws_in_lists() });
        assert_eq!(cold.plan(&[]).frozen_packs, 40);
        cold.agree(deep());
        let before = cold.vault.store.requests();
        cold.all_back(&cold.fetch().unwrap());
        cold.asked_once();
        assert!((48 * HOUR..49 * HOUR).contains(&cold.passed()), "{:?}", cold.passed());
        assert!(cold.vault.store.thaws().iter().all(|asked| asked.days == 2));
        // Every quarter of an hour for two days: one listing, where listings tell.
        let calls = cold.vault.store.requests().since(before);
        assert!(calls.list <= 200 && calls.head <= if lists { 0 } else { 200 * 40 }, "{calls:?}");
    }
}

#[test]
fn a_few_packs_are_looked_at_one_by_one_and_a_listing_is_saved() {
    let cold = Cold::new(30, 12 * HOUR, |store| store);
    cold.plan(&["/d/file07"]);
    cold.agree(Terms::of(Some("DEEP_ARCHIVE"), Speed::Standard));
    let before = cold.vault.store.requests();
    assert_eq!(cold.fetch().unwrap().done, 1);
    let calls = cold.vault.store.requests().since(before);
    assert_eq!((calls.list, calls.thaw), (0, 1));
    assert!(calls.head <= 50, "{calls:?}");
}

#[test]
fn frozen_packs_behind_delete_markers_or_beneath_other_bytes_are_planned_thawed_and_come_back() {
    for lists in [true, false] {
        let cold = Cold::new(40, 48 * HOUR, |store| if lists { store } else { store.without_thaws_in_lists() });
        for number in 0..40 {
            let pack = pack_of(&cold, number);
            match number % 4 {
                0 => cold.vault.store.hide(&pack),
                // Warm, as what an overwriter puts is.
                1 => cold.vault.store.overwrite(&pack, &noise(number, 500)),
                _ => {}
            }
        }
        let alone = cold.preview(&[]);
        let before = cold.vault.store.requests();
        let planned = cold.plan(&[]);
        assert_eq!(cold.vault.store.requests().since(before), Requests { list: 1, ..Requests::default() });
        assert_eq!(alone, Plan { free_bytes: alone.free_bytes, ..planned.clone() });
        assert_eq!((planned.frozen_packs, planned.hidden_packs, planned.overwritten_packs), (40, 10, 10));
        assert_eq!(planned.failed, 0, "nothing of it is lost");
        cold.agree(deep());
        cold.all_back(&cold.fetch().unwrap());
        cold.asked_once();
    }
}

#[test]
fn a_slow_line_is_fed_in_waves_that_neither_expire_nor_lie_idle_for_long() {
    let line = rate(3);
    let cold = Cold::new(90, 48 * HOUR, |store| store.read_at(line));
    let planned = cold.plan(&[]);
    cold.agree(Terms { downlink: line, ..deep() });
    cold.all_back(&cold.fetch().unwrap());
    cold.asked_once();
    let asked = cold.vault.store.thaws();
    // Time goes on while a wave is asked for.
    let mut waves: Vec<Vec<Wall>> = vec![];
    for asked in &asked {
        match waves.last_mut().filter(|wave| asked.at.since(wave[0]) < WAVE / 2) {
            Some(wave) => wave.push(asked.at),
            None => waves.push(vec![asked.at]),
        }
    }
    assert!(waves.len() >= 4 && waves.iter().all(|wave| wave.len() <= 45), "{waves:?}");
    assert!(asked.iter().all(|a| a.days <= 4), "{asked:?}");
    // The line is busy from the first thaw on.
    let line_time = Duration::from_secs(planned.pack_bytes / line.get());
    assert!(cold.passed() < 48 * HOUR + line_time + 12 * HOUR, "{:?} for {line_time:?}", cold.passed());
}

#[test]
fn copies_that_would_expire_half_way_are_asked_for_again_in_time_and_only_those() {
    // Taken for a hundred times faster than it is: all is asked for at once, for two days.
    let line = rate(1);
    let cold = Cold::new(30, 12 * HOUR, |store| store.read_at(line));
    let planned = cold.plan(&[]);
    cold.agree(Terms { downlink: rate(100), ..deep() });
    cold.all_back(&cold.fetch().unwrap());
    let thaws = cold.vault.store.thaws();
    assert_eq!(thaws.iter().filter(|a| a.at == thaws[0].at).count(), 30);
    let asked = cold.vault.store.requests().thaw;
    let days = planned.pack_bytes / line.get() / DAY.as_secs();
    assert!(asked > 30 && asked <= 30 + 30 * days, "{asked} requests in {days} days");
    // How many depends on who gets his turn when: the clock goes on while a thread waits for the processor.
    assert!(thaws.len() < 60, "kept for longer while they are there: {asked} requests, {} thaws", thaws.len());
}

#[test]
fn promise_11_what_is_asked_for_again_beyond_what_was_shown_waits_for_a_word() {
    // As above: copies go before the line has brought them.
    let cold = Cold::new(30, 12 * HOUR, |store| store.read_at(rate(1)));
    cold.plan(&[]);
    let terms = Terms { downlink: rate(100), ..deep() };
    agree(&cold.job(), &terms, 0, &Faults::default()).unwrap();
    let stopped = cold.fetch().unwrap_err();
    assert_eq!(stopped.kind(), Kind::Operator, "{stopped}");
    assert!(stopped.to_string().contains("went before they were fetched"), "{stopped}");
    assert_eq!((cold.vault.store.thaws().len(), cold.vault.store.requests().thaw), (30, 30), "nothing twice unasked");
    let AskedBefore { gone, all } = cold.job().thaws_asked_before().unwrap();
    assert!(gone.packs > 0 && all.packs >= gone.packs && all.packs < 30, "{gone:?} of {all:?}");
    assert_eq!(cold.fetch().unwrap_err().kind(), Kind::Operator, "nor by the next run");
    assert_eq!(cold.vault.store.requests().thaw, 30);
    // What was asked for and is not here is all that may be gone.
    cold.job().set_may_thaw_again(all.bytes).unwrap();
    cold.all_back(&cold.fetch().unwrap());
}

#[test]
fn a_copy_that_goes_before_its_time_is_found_by_the_read_and_asked_for_again() {
    let cold = Cold::new(6, 5 * HOUR, |store| store.read_at(rate(10)));
    cold.plan(&[]);
    cold.agree(Terms::of(Some("GLACIER"), Speed::Standard));
    let names: Vec<_> = cold.vault.store.names().into_iter().filter(|n| n.as_str().starts_with("data_")).collect();
    let report = std::thread::scope(|s| {
        s.spawn(|| {
            // As soon as something is read, everything freezes.
            let read = |call: &Call| matches!(call, Call::Read(name, _) if name.as_str().starts_with("data_"));
            while !cold.vault.store.calls().iter().any(read) {
                std::thread::yield_now();
            }
            for name in &names {
                cold.vault.store.freeze(name);
            }
        });
        cold.fetch().unwrap()
    });
    cold.all_back(&report);
    let asked = cold.vault.store.thaws().len();
    assert!((6..=12).contains(&asked), "{asked}");
}

#[test]
fn a_speed_that_is_refused_is_replaced_by_the_next_cheaper_one() {
    let cold = Cold::new(4, 12 * HOUR, |store| store);
    cold.vault.store.refuse(Speed::Expedited);
    cold.plan(&[]);
    cold.agree(Terms::of(Some("GLACIER"), Speed::Expedited));
    cold.all_back(&cold.fetch().unwrap());
    let speeds: Vec<Speed> = cold
        .vault
        .store
        .calls()
        .into_iter()
        .filter_map(|call| if let Call::Thaw(_, speed) = call { Some(speed) } else { None })
        .collect();
    assert_eq!(speeds, [[Speed::Expedited].as_slice(), &[Speed::Standard; 4]].concat());
    let cold = Cold::new(1, HOUR, |store| store);
    for speed in Speed::ALL {
        cold.vault.store.refuse(speed);
    }
    cold.plan(&[]);
    cold.agree(Terms::of(Some("GLACIER"), Speed::Expedited));
    assert_eq!(cold.fetch().unwrap_err().kind(), Kind::Operator);
}

#[test]
fn what_is_wanted_most_is_fetched_first() {
    let cold = Cold::new(8, HOUR, |store| store);
    cold.plan(&["/d/file06", "/d/file02", "/d/file04"]);
    cold.agree(Terms::of(Some("GLACIER"), Speed::Expedited));
    assert_eq!(cold.fetch_with(1).unwrap().done, 3);
    let asked: Vec<_> = cold.vault.store.thaws().into_iter().map(|a| a.name).collect();
    let read: Vec<_> = cold
        .vault
        .store
        .calls()
        .into_iter()
        .filter_map(|call| match call {
            Call::Read(name, _) if name.as_str().starts_with("data_") => Some(name),
            _ => None,
        })
        .collect();
    let packs: Vec<_> = [6, 2, 4].map(|n| pack_of(&cold, n)).into();
    assert_eq!(asked, packs);
    assert_eq!(read, packs);
}

/// The pack with the contents of a file: its size and place in the log tell.
fn pack_of(cold: &Cold, number: u64) -> ObjectName {
    let pack = i64::try_from(number).unwrap() + 1;
    let (record, _) = cold.catalog.pack_record(pack).unwrap().unwrap();
    panicroom::format::Name::Pack(record.table.tier, record.hash).into()
}

/// Of so many packs the first few can be read, and the others lie in an archive of which no listing tells.
fn tiered(packs: u64, warm: u64) -> Cold {
    let cold = Cold::new(packs, 12 * HOUR, |store| store);
    for number in 0..packs {
        let pack = pack_of(&cold, number);
        cold.vault.store.warm(&pack);
        if number >= warm {
            cold.vault.store.tier_away(&pack);
        }
    }
    cold
}

#[test]
fn promise_11_what_shows_itself_frozen_when_it_is_read_is_planned_priced_thawed_and_what_came_before_stays() {
    // A few are looked at one by one, more by a listing and what it does not tell.
    for packs in [12, 40] {
        let cold = tiered(packs, 6);
        let planned = cold.plan(&[]);
        assert_eq!((planned.frozen_packs, planned.untold_packs), (0, packs - 6));
        let met = cold.fetch_with(1).unwrap_err();
        assert!(met.kind() == Kind::Operator && met.to_string().contains("frozen in INTELLIGENT_TIERING"), "{met}");
        let late = Plan::of(&cold.job()).unwrap().unwrap();
        let class = late.class.as_deref();
        assert_eq!((late.frozen_packs, late.untold_packs, class), (packs - 6, 0, Some("INTELLIGENT_TIERING")));
        assert!(
            late.frozen_bytes > 9000 * (packs - 6) && late.packs >= packs - 6 && late.pack_bytes < planned.pack_bytes
        );
        let calls = cold.vault.store.requests();
        assert!(cold.fetch().unwrap_err().to_string().contains("agreed"));
        assert_eq!(cold.vault.store.requests(), calls, "nothing more before it was agreed on");
        assert_eq!(calls.thaw, 0);

        cold.agree(Terms::of(class, Speed::Standard));
        cold.all_back(&cold.fetch_with(1).unwrap());
        assert_eq!(cold.vault.store.requests().thaw, packs - 6, "each once, and none that can be read");
        assert_eq!(cold.vault.store.frozen_reads(), 1, "the one that showed it");
        let read = |number| {
            let name = pack_of(&cold, number);
            cold.vault.store.calls().iter().filter(|call| matches!(call, Call::Read(read, _) if *read == name)).count()
        };
        assert_eq!([read(0), read(1), read(2)], [1, 1, 1], "what was settled is not fetched again");
    }
}

#[test]
fn hot_packs_that_a_rule_moved_to_an_archive_are_planned_waited_for_and_come_back() {
    for lists in [true, false] {
        let cold = Cold::with(40, 12 * HOUR, Tier::Hot, |s| if lists { s } else { s.without_thaws_in_lists() });
        assert_eq!(cold.plan(&[]).frozen_packs, 0);
        for number in 0..40 {
            cold.vault.store.archive(&pack_of(&cold, number), "GLACIER");
        }
        let before = cold.vault.store.requests();
        let planned = cold.preview(&[]);
        assert_eq!((planned.frozen_packs, planned.class.as_deref()), (40, Some("GLACIER")));
        assert_eq!(cold.vault.store.requests().since(before), Requests { list: 1, ..Requests::default() });
        // The job was planned before the rule came.
        assert!(cold.fetch().unwrap_err().to_string().contains("frozen in GLACIER"));
        cold.agree(Terms::of(Some("GLACIER"), Speed::Bulk));
        let (asking, refused) = (cold.vault.store.requests(), cold.vault.store.frozen_reads());
        cold.all_back(&cold.fetch().unwrap());
        let calls = cold.vault.store.requests().since(asking);
        assert_eq!((calls.thaw, cold.vault.store.frozen_reads()), (40, refused));
        assert!(!lists || calls.head == 0, "listings tell: {calls:?}");
    }
}

#[test]
fn promise_11_what_froze_after_it_was_agreed_on_is_asked_for_within_what_was_shown_alone() {
    let cold = Cold::new(8, 12 * HOUR, |store| store);
    let warm: Vec<_> = (0..4).map(|number| pack_of(&cold, number)).collect();
    for pack in &warm {
        cold.vault.store.warm(pack);
    }
    assert_eq!(cold.plan(&[]).frozen_packs, 4);
    for pack in &warm {
        cold.vault.store.archive(pack, "DEEP_ARCHIVE");
    }
    agree(&cold.job(), &deep(), 0, &Faults::default()).unwrap();
    let stopped = cold.fetch().unwrap_err();
    assert!(stopped.kind() == Kind::Operator && stopped.to_string().contains("more than was shown"), "{stopped}");
    let asked: BTreeSet<_> = cold.vault.store.thaws().into_iter().map(|a| a.name).collect();
    assert!(warm.iter().all(|pack| !asked.contains(pack)), "{asked:?}");
    let AskedBefore { all, .. } = cold.job().thaws_asked_before().unwrap();
    cold.job().set_may_thaw_again(all.bytes).unwrap();
    cold.all_back(&cold.fetch().unwrap());
    assert_eq!(cold.vault.store.thaws().len(), 8);
}

#[test]
fn a_read_refused_as_frozen_of_what_looks_readable_ends_with_the_job_kept() {
    let cold = Cold::new(3, HOUR, |store| store);
    for number in 0..3 {
        cold.vault.store.warm(&pack_of(&cold, number));
    }
    cold.plan(&[]);
    cold.vault.store.next_faults([Fault::Frozen]);
    let refused = cold.fetch_with(1).unwrap_err();
    assert!(refused.to_string().contains("goes on from here"), "{refused}");
    assert!(!Plan::of(&cold.job()).unwrap().unwrap().needs_terms());
    cold.all_back(&cold.fetch().unwrap());
}

#[test]
fn where_nothing_is_frozen_nothing_is_asked_and_nothing_more_is_looked_at() {
    let cold = Cold::new(5, HOUR, |store| store);
    let names: Vec<_> = cold.vault.store.names();
    for name in names.iter().filter(|n| n.as_str().starts_with("data_")) {
        cold.vault.store.warm(name);
    }
    let before = cold.vault.store.requests();
    assert_eq!(cold.plan(&[]).frozen_packs, 0);
    cold.all_back(&cold.fetch().unwrap());
    assert_eq!(cold.vault.store.requests().since(before), Requests { list: 1, get: 5, ..Requests::default() });
}
