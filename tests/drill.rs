//! Drills on the memory double and a clock that waits for nobody: what is chosen within its bounds, thawed once, read,
//! restored, compared and written down (promise 11). What is asked for is money, so every call is counted.

#[path = "support/fast_clock.rs"]
mod fast_clock;
#[path = "support/vault_builder.rs"]
#[expect(dead_code, reason = "shared: each test uses its part of it")]
mod vault_builder;

use fast_clock::FastClock;
use panicroom::catalog::Catalog;
use panicroom::catalog::jobs::{FileState, JobFile};
use panicroom::clock::{Clock, Wall};
use panicroom::error::{Kind, Result};
use panicroom::format::Name;
use panicroom::format::segment::{Builder, Receipt, SegmentHead};
use panicroom::model::{Proof, SegmentNo, Sha256, Size, Speed, Tier, Verdict, WriterId};
use panicroom::place::Target;
use panicroom::restore::drill::{Bounds, Chosen, Drilling, Gathering, findings};
use panicroom::restore::thaw::agree;
use panicroom::restore::thaw::pace::Terms;
use panicroom::restore::{Plan, Progress};
use panicroom::seal::SystemEntropy;
use panicroom::seal::compress::Compressor;
use panicroom::store::memory::{Call, MemoryStore};
use panicroom::store::{ObjectName, ObjectStore, Requests};
use panicroom::upkeep::rebuild::rebuild;
use panicroom::worker::{Faults, Stop};
use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use vault_builder::{VaultBuilder, noise, object, p};

const HOUR: Duration = Duration::from_secs(3600);
const ID: [u8; 16] = [3; 16];

/// A cold vault: two files in each pack, one file over two packs; and a machine that has never seen it.
struct Cold {
    vault: VaultBuilder,
    clock: Arc<FastClock>,
    catalog: Catalog,
    dir: tempfile::TempDir,
    packs: Vec<Sha256>,
}

impl Cold {
    fn new(packs: u64, takes: Option<Duration>) -> Self {
        let clock = FastClock::at(Wall(1_700_000_000_000));
        let store = MemoryStore::new(clock.clone());
        let mut vault = VaultBuilder::on(if let Some(takes) = takes { store.cold(takes) } else { store });
        vault.folder("/d");
        let mut hashes = vec![];
        for n in 0..packs {
            vault.file(&format!("/d/file{n:02}"), &noise(n, 9000));
            vault.file(&format!("/d/small{n:02}"), &noise(100 + n, 700));
            hashes.extend(vault.cut_pack());
        }
        vault.publish();
        let dir = tempfile::tempdir().unwrap();
        let catalog = Catalog::open(&dir.path().join("catalog.db")).unwrap();
        rebuild(&vault.store, &vault.keys.seal, &catalog, &[], &Stop::new(), &|_, _| {}).unwrap();
        fs::create_dir(dir.path().join("scratch")).unwrap();
        Self { vault, clock, catalog, dir, packs: hashes }
    }

    fn scratch(&self) -> PathBuf {
        self.dir.path().canonicalize().unwrap().join("scratch")
    }
    fn job(&self) -> JobFile {
        JobFile::open(&self.dir.path().join("job.db")).unwrap()
    }
    fn choose(&self, proof: Proof, packs: usize) -> Chosen {
        let bounds = Bounds { bytes: 1 << 30, files: 100, packs };
        let (affordable, stop) = (|_, _| true, Stop::new());
        let now = self.clock.wall();
        Gathering { catalog: &self.catalog, proof, bounds, now, seed: 1, affordable: &affordable, stop: &stop }
            .choose()
            .unwrap()
    }
    fn with<T>(&self, job: &JobFile, act: impl FnOnce(&Drilling<'_>) -> T) -> T {
        let target = Target::open(&self.scratch()).unwrap();
        act(&Drilling {
            catalog: &self.catalog,
            store: &self.vault.store,
            keys: &self.vault.keys.seal,
            scratch: &self.scratch(),
            target: &target,
            job,
            progress: &Progress::default(),
            clock: &*self.clock,
            faults: &Faults::default(),
            stop: &Stop::new(),
            threads: 2,
            batch_bytes: 20_000,
        })
    }
    fn plan(&self, proof: Proof, packs: usize) -> Plan {
        let chosen = self.choose(proof, packs);
        self.with(&self.job(), |drill| drill.plan(&chosen, proof, ID)).unwrap()
    }
    fn agree(&self) {
        agree(&self.job(), &Terms::of(Some("DEEP_ARCHIVE"), Speed::Bulk), u64::MAX, &Faults::default()).unwrap();
    }
    fn carry_out(&self) -> Result<Receipt> {
        self.with(&self.job(), |drill| drill.carry_out(Some(&self.vault.keys)))
    }
    fn damage(&self, pack: Sha256) {
        self.vault.store.damage(&object(Name::Pack(Tier::Cold, pack)), |b| b[300] ^= 1);
    }
    fn read(&self) -> BTreeSet<String> {
        let calls = self.vault.store.calls().into_iter();
        let packs = calls.filter_map(|call| match call {
            Call::Read(name, _) if name.as_str().starts_with("data_") => Some(name.as_str().to_owned()),
            _ => None,
        });
        packs.collect()
    }
}

fn is_segment(name: &Name) -> bool {
    matches!(name, Name::Segment(..))
}

#[test]
fn promise_11_a_drill_of_a_frozen_vault_plans_with_a_list_alone_and_thaws_nothing_nobody_agreed_to() {
    for proof in [Proof::Sealed, Proof::Contents] {
        let cold = Cold::new(10, Some(48 * HOUR));
        let before = cold.vault.store.requests();
        let plan = cold.plan(proof, 4);
        assert_eq!((plan.packs, plan.frozen_packs, plan.class.as_deref()), (4, 4, Some("DEEP_ARCHIVE")));
        let error = cold.carry_out().unwrap_err();
        assert!(error.kind() == Kind::Operator && error.to_string().contains("agreed"), "{error}");
        assert_eq!(cold.vault.store.requests().since(before), Requests { list: 1, ..Requests::default() });
    }
}

#[test]
fn a_drill_of_a_frozen_vault_takes_two_days_asks_for_each_pack_once_and_reads_nothing_else() {
    for proof in [Proof::Sealed, Proof::Contents] {
        let cold = Cold::new(10, Some(48 * HOUR));
        cold.plan(proof, 4);
        cold.agree();
        let receipt = cold.carry_out().unwrap();
        assert_eq!((receipt.verdict, receipt.proof, receipt.failed, receipt.id), (Verdict::Proved, proof, 0, ID));
        assert_eq!((receipt.sound.len(), receipt.damaged.len()), (4, 0));
        assert!((48 * HOUR..49 * HOUR).contains(&cold.clock.steady().0), "{:?}", cold.clock.steady());
        let asked: BTreeSet<String> = cold.vault.store.thaws().iter().map(|t| t.name.as_str().to_owned()).collect();
        assert_eq!((asked.len(), cold.vault.store.requests().thaw), (4, 4));
        assert_eq!((cold.read(), cold.vault.store.frozen_reads()), (asked, 0));
        if proof == Proof::Contents {
            assert_eq!((receipt.files, receipt.bytes, receipt.live), (8, 4 * 9700, 0));
            assert_eq!(fs::read_dir(cold.scratch().join("d")).unwrap().count(), 8);
        } else {
            assert_eq!((receipt.files, cold.vault.store.requests().get), (0, 4 + gets_of_the_log(&cold)));
        }
        assert_eq!(cold.carry_out().unwrap(), receipt, "once more is the same receipt, and no call");
    }
}

/// Of an archive that no listing tells of.
#[test]
fn promise_11_a_drill_that_meets_frozen_packs_waits_for_a_word_and_goes_on_after_those_it_read() {
    for proof in [Proof::Sealed, Proof::Contents] {
        let cold = Cold::new(4, Some(12 * HOUR));
        let packs: Vec<_> = cold.packs.iter().map(|hash| object(Name::Pack(Tier::Cold, *hash))).collect();
        for (n, pack) in packs.iter().enumerate() {
            cold.vault.store.warm(pack);
            if n > 0 {
                cold.vault.store.tier_away(pack);
            }
        }
        assert_eq!(cold.plan(proof, 4).frozen_packs, 0);
        let met = cold.carry_out().unwrap_err();
        assert!(met.kind() == Kind::Operator && met.to_string().contains("frozen in INTELLIGENT_TIERING"), "{met}");
        assert_eq!(cold.carry_out().unwrap_err().kind(), Kind::Operator);
        assert_eq!(cold.vault.store.requests().thaw, 0);
        assert!(Plan::of(&cold.job()).unwrap().unwrap().frozen_packs == 3);
        cold.agree();
        let receipt = cold.carry_out().unwrap();
        assert_eq!((receipt.verdict, receipt.sound.len()), (Verdict::Proved, 4));
        assert_eq!(cold.vault.store.thaws().len(), 3);
        let reads = |call: &&Call| matches!(call, Call::Read(name, _) if *name == packs[0]);
        if proof == Proof::Sealed {
            assert_eq!(cold.vault.store.calls().iter().filter(reads).count(), 1, "it was read before");
        }
    }
}

fn gets_of_the_log(cold: &Cold) -> u64 {
    let log = |call: &Call| matches!(call, Call::Read(name, _) if !name.as_str().starts_with("data_"));
    cold.vault.store.calls().iter().filter(|call| log(call)).count() as u64
}

#[test]
fn a_flipped_byte_in_a_pack_fails_the_drill_and_names_pack_and_file() {
    let cold = Cold::new(3, None);
    cold.damage(cold.packs[1]);
    cold.plan(Proof::Sealed, 3);
    let receipt = cold.carry_out().unwrap();
    assert_eq!((receipt.verdict, receipt.failed), (Verdict::Failed, 1));
    assert_eq!((receipt.damaged.clone(), receipt.sound.len()), (vec![cold.packs[1]], 2));
    let found = findings(&cold.job(), 10).unwrap();
    assert!(found.len() == 1 && found[0].0 == format!("data_{}", cold.packs[1]), "{found:?}");

    let cold = Cold::new(3, None);
    cold.damage(cold.packs[1]);
    cold.plan(Proof::Contents, 3);
    let receipt = cold.carry_out().unwrap();
    assert_eq!((receipt.verdict, receipt.damaged.clone()), (Verdict::Failed, vec![cold.packs[1]]));
    assert!(receipt.failed >= 1 && receipt.files == 6 - receipt.failed, "{receipt:?}");
    let found = findings(&cold.job(), 10).unwrap();
    assert!(found.iter().all(|f| f.0.ends_with("01") && f.1 == FileState::Failed), "{found:?}");
    assert!(found[0].2.contains(&format!("data_{}", cold.packs[1])), "{found:?}");
}

#[test]
fn a_pack_that_is_gone_fails_a_drill_and_so_does_one_whose_files_came_back_from_a_copy() {
    let cold = Cold::new(2, None);
    cold.vault.store.lose(&object(Name::Pack(Tier::Cold, cold.packs[0])));
    cold.plan(Proof::Sealed, 2);
    let receipt = cold.carry_out().unwrap();
    assert_eq!((receipt.verdict, receipt.damaged), (Verdict::Failed, vec![cold.packs[0]]));

    let mut cold = Cold::new(2, None);
    cold.vault.dedup = false;
    cold.vault.file("/d/copy", &[noise(0, 9000), noise(100, 700)].concat());
    cold.vault.file("/d/again", &noise(100, 700));
    cold.vault.publish();
    cold.catalog = Catalog::open(&cold.dir.path().join("again.db")).unwrap();
    rebuild(&cold.vault.store, &cold.vault.keys.seal, &cold.catalog, &[], &Stop::new(), &|_, _| {}).unwrap();
    cold.vault.store.damage(&object(Name::Pack(Tier::Cold, cold.packs[0])), |b| b[128..].fill(0));
    cold.plan(Proof::Contents, 2);
    let receipt = cold.carry_out().unwrap();
    assert_eq!((receipt.failed, receipt.damaged), (0, vec![cold.packs[0]]), "every file is back, from elsewhere");
    assert_eq!(receipt.verdict, Verdict::Failed, "the pack that should have had them is not sound");
}

#[test]
fn drill_after_drill_each_vault_is_proved_whole_and_what_was_proved_waits() {
    for proof in [Proof::Sealed, Proof::Contents] {
        let cold = Cold::new(9, None);
        let mut seen: BTreeSet<Sha256> = BTreeSet::new();
        for n in 0..3_u8 {
            let _ = JobFile::remove(&cold.dir.path().join("job.db"), &Faults::default());
            let chosen = cold.choose(proof, 3);
            let plan = cold.with(&cold.job(), |drill| drill.plan(&chosen, proof, [n; 16])).unwrap();
            assert_eq!(plan.packs, 3);
            cold.clock.sleep(HOUR);
            let receipt = cold.carry_out().unwrap();
            seen.extend(&receipt.sound);
            cold.catalog.add_drill(&receipt).unwrap();
        }
        assert_eq!(seen, cold.packs.iter().copied().collect());
        // A fourth begins where the first did; the other proof knows nothing of these.
        let first = cold.catalog.drills(3).unwrap().pop().unwrap().sound;
        let again: BTreeSet<Sha256> = cold.choose(proof, 3).packs.iter().map(|p| p.hash).collect();
        assert!(again.contains(&cold.packs[0]) && first.contains(&cold.packs[0]), "{again:?}");
        let other = if proof == Proof::Sealed { Proof::Contents } else { Proof::Sealed };
        let chosen = cold.choose(other, 1).packs;
        assert_eq!((chosen[0].hash, chosen.len()), (cold.packs[0], 1));
    }
}

#[test]
fn promise_9_what_the_log_says_of_drills_is_known_again_after_a_rebuild_and_said_twice_counts_once() {
    let cold = Cold::new(2, None);
    cold.plan(Proof::Sealed, 2);
    let receipt = cold.carry_out().unwrap();
    let listed = |name: &ObjectName| Name::parse(name.as_str());
    let Some(Name::Segment(_, first)) = cold.vault.store.names().iter().filter_map(listed).find(is_segment) else {
        panic!("a segment is there")
    };
    // Twice in a segment, and once more in a merge.
    let (keys, mut compressor) = (&cold.vault.keys.seal, Compressor::new(1).unwrap());
    let mut builder = Builder::new();
    builder.drill(&receipt);
    builder.drill(&receipt);
    let head = SegmentHead { number: SegmentNo(2), writer: WriterId([1; 16]), before: Some(first), written: Wall(0) };
    let segment = builder.seal_segment(&head, keys, &mut compressor, &SystemEntropy).unwrap();
    cold.vault.store.put(&object(Name::Segment(head.number, segment.hash)), &segment.bytes);
    let merge = builder
        .seal_merge(head.number, head.number, &[segment.hash], Wall(0), keys, &mut compressor, &SystemEntropy)
        .unwrap();
    cold.vault.store.put(&object(Name::Merge(head.number, head.number, merge.hash)), &merge.bytes);
    let catalog = Catalog::open(&cold.dir.path().join("rebuilt.db")).unwrap();
    let report = rebuild(&cold.vault.store, &cold.vault.keys.seal, &catalog, &[], &Stop::new(), &|_, _| {}).unwrap();
    assert_eq!((report.unknown_records, report.oddities), (0, vec![]));
    assert_eq!(catalog.drills(9).unwrap(), std::slice::from_ref(&receipt));
    assert_eq!((catalog.last_proved().unwrap(), catalog.unpublished_drills().unwrap()), (Some(receipt.at), vec![]));
    let sealed = catalog.pack_to_drill(1).unwrap().unwrap().drilled;
    assert_eq!((sealed.sealed, sealed.contents), (Some(receipt.at), None));
}

#[test]
fn what_the_scratch_folder_cannot_take_is_not_held_against_the_vault() {
    let cold = Cold::new(2, None);
    // Something of another kind is in the way of the one folder.
    fs::write(cold.scratch().join("d"), "in the way").unwrap();
    cold.plan(Proof::Contents, 2);
    let receipt = cold.carry_out().unwrap();
    assert_eq!((receipt.verdict, receipt.failed, receipt.files), (Verdict::Partly, 0, 0));
    let found = findings(&cold.job(), 10).unwrap();
    assert!(found.iter().all(|f| f.1 == FileState::Untried) && found.len() == 4, "{found:?}");
}

#[test]
fn a_file_that_no_drill_can_take_is_counted_and_the_rest_is_drilled() {
    let cold = Cold::new(3, None);
    let bounds = Bounds { bytes: 5000, files: 100, packs: 10 };
    let (affordable, stop) = (|_, _| true, Stop::new());
    let gathering = Gathering {
        catalog: &cold.catalog,
        proof: Proof::Contents,
        bounds,
        now: Wall(0),
        seed: 1,
        affordable: &affordable,
        stop: &stop,
    };
    let chosen = gathering.choose().unwrap();
    assert_eq!((chosen.files.len(), chosen.too_large), (0, 6), "their packs are too large, however small they are");
    let two = Bounds { bytes: 30_000, ..bounds };
    let chosen = Gathering { bounds: two, ..gathering }.choose().unwrap();
    assert!(chosen.files.iter().any(|f| f.0 == p("/d/file00")), "{chosen:?}");
    assert!(chosen.pack_bytes <= 30_000 && chosen.too_large == 0, "{} {chosen:?}", Size(chosen.pack_bytes));
}
