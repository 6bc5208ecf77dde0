//! A vault looked at without a thaw: what is missing or damaged is found, healed from the source as long as it is little,
//! and named where nothing can heal it; what is not ours is left alone, and a vault that looks empty never makes
//! everything go out again.

#[path = "support/bed.rs"]
mod bed;
#[path = "support/odd_list.rs"]
mod odd_list;
#[path = "support/read_vault.rs"]
mod read_vault;
#[path = "support/tree.rs"]
mod tree;
#[path = "support/witness.rs"]
mod witness;

use bed::{Bed, VAULT, keys, noise, write};
use odd_list::OddList;
use panicroom::catalog::{Again, Check, Wrong};
use panicroom::catalog::{Waiting, Word};
use panicroom::clock::{ManualClock, Wall};
use panicroom::error::{Kind, Result};
use panicroom::format::Name;
use panicroom::model::{Sha256, Tier};
use panicroom::seal::SystemEntropy;
use panicroom::store::memory::Call;
use panicroom::store::{Cover, ObjectName, ObjectStore};
use panicroom::upkeep::heal::{FEW, Healed, Healing};
use panicroom::upkeep::verify::{Keeping, Report, Scope, Verifying, is_not_the_vault, proves};
use panicroom::worker::Faults;
use std::fs;
use std::sync::Arc;
use std::time::Duration;
use tree::look;

/// A bench with several packs in its vault.
fn backed_up() -> Bed {
    let bed = Bed::new();
    for n in 0..8 {
        write(&bed.source().join(format!("file{n}")), &noise(n, 1_500_000));
    }
    bed.pass().unwrap();
    bed
}

fn check_with(bed: &Bed, store: &dyn ObjectStore, check: Check, keeping: Keeping) -> Result<Report> {
    let (engine, open) = (bed.engine(), keys());
    let verifying = Verifying {
        store,
        catalog: &engine.catalog,
        keeping,
        vault: VAULT,
        open: (check == Check::Read).then_some(&open),
        entropy: &SystemEntropy,
        clock: &*engine.clock,
        faults: &Faults::default(),
        stop: &engine.stop,
    };
    verifying.run(check, Scope::All)
}

fn check(bed: &Bed, check: Check) -> Report {
    bed.clock.advance(Duration::from_secs(1));
    check_with(bed, &bed.store.memory, check, Keeping::Catalog).unwrap()
}

fn give_up(bed: &Bed, word: Word) -> Healed {
    let engine = bed.engine();
    Healing { catalog: &engine.catalog, clock: &*engine.clock, faults: &Faults::default() }.give_up(word).unwrap()
}

fn judge(bed: &Bed) -> panicroom::catalog::Judged {
    let engine = bed.engine();
    Healing { catalog: &engine.catalog, clock: &*engine.clock, faults: &Faults::default() }.judge(Again::No).unwrap()
}

/// Packs of the vault, in name order.
fn packs(bed: &Bed) -> Vec<ObjectName> {
    bed.store.memory.names().into_iter().filter(|n| n.as_str().starts_with("data_")).collect()
}

fn safe_files(bed: &Bed) -> (u64, u64) {
    let engine = bed.engine();
    let counts = engine.catalog.root_counts(engine.roots[0].id).unwrap();
    (counts.safe_files, counts.files)
}

fn flip(bed: &Bed, name: &ObjectName) {
    bed.store.memory.damage(name, |bytes| bytes[5000] ^= 1);
}

#[test]
fn a_sound_vault_is_sound_by_every_check_and_only_the_last_reads_it() {
    let bed = backed_up();
    for check_ in Check::ALL {
        let before = bed.store.memory.calls().len();
        let report = check(&bed, check_);
        assert!(report.is_sound() && report.defects.is_empty(), "{report:?}");
        let calls = &bed.store.memory.calls()[before..];
        let reads = calls.iter().filter(|c| matches!(c, Call::Read(..))).count();
        assert_eq!(reads, if check_ == Check::Read { packs(&bed).len() } else { 0 }, "{check_:?}: {calls:?}");
        if check_ == Check::Inventory {
            assert_eq!(calls.len(), 1, "one listing and nothing else: {calls:?}");
            assert_eq!(report.run.looked, bed.store.memory.names().len() as u64);
        } else {
            assert_eq!(report.run.looked, packs(&bed).len() as u64);
            let coverage = bed.engine().catalog.coverage(check_).unwrap();
            assert_eq!((coverage.packs, coverage.never), (report.run.looked, 0));
        }
        assert_eq!(bed.engine().catalog.last_check(check_).unwrap(), Some(report.run));
        let (proved, not) = proves(check_, report.opened);
        assert!(!proved.is_empty() && not.is_empty() == (check_ == Check::Read));
    }
}

#[test]
fn a_pack_missing_from_the_vault_is_found_healed_and_called_lost_in_the_log() {
    let mut bed = backed_up();
    let now = look(&bed.source());
    let lost = packs(&bed)[1].clone();
    assert!(bed.store.memory.lose(&lost));
    let report = check(&bed, Check::Inventory);
    assert_eq!(report.run.wrong, 1);
    assert_eq!((report.defects[0].wrong, &report.defects[0].name), (Wrong::Missing, &lost.to_string()));
    let healed = give_up(&bed, Word::OfItself);
    assert!(healed.packs == 1 && healed.paths > 0 && healed.waiting == Waiting::default(), "{healed:?}");
    assert!(safe_files(&bed).0 < safe_files(&bed).1);
    assert_eq!(judge(&bed).healed, 0, "not before its files were read again");
    bed.reopen(Faults::default());
    bed.pass().unwrap();
    bed.check_end(&now);
    bed.check_rebuilt(&now);
    let judged = judge(&bed);
    assert_eq!((judged.healed, judged.broken, judged.casualties), (1, 0, 0));
    assert!(check(&bed, Check::Inventory).is_sound());
    assert_eq!(bed.engine().catalog.defects(9).unwrap(), (vec![], 0));
}

#[test]
fn a_flipped_byte_is_seen_by_checksums_and_by_reading_and_healed_into_a_new_pack() {
    for found in [Check::Checksum, Check::Read] {
        let bed = backed_up();
        let (now, broken) = (look(&bed.source()), packs(&bed)[0].clone());
        flip(&bed, &broken);
        assert!(check(&bed, Check::Inventory).is_sound(), "an inventory proves no bytes");
        let report = check(&bed, found);
        assert_eq!((report.run.wrong, report.defects[0].wrong), (1, Wrong::Bytes), "{report:?}");
        assert_eq!(report.defects[0].name, broken.to_string());
        assert_eq!(give_up(&bed, Word::OfItself).packs, 1);
        bed.pass().unwrap();
        bed.check_end(&now);
        assert_eq!(judge(&bed).healed, 1);
        assert!(check(&bed, found).is_sound() && check(&bed, Check::Inventory).is_sound());
        assert!(packs(&bed).contains(&broken), "nothing is deleted, and what is called lost is not called foreign");
        assert_eq!(check(&bed, Check::Inventory).run.unnamed, 0);
    }
}

#[test]
fn what_only_a_lost_pack_held_is_named_by_path_and_version_until_it_is_acknowledged() {
    let bed = backed_up();
    let (changed, gone, kept) = (bed.source().join("file1"), bed.source().join("file2"), bed.source().join("file3"));
    write(&changed, &noise(100, 300_000));
    fs::remove_file(&gone).unwrap();
    bed.pass().unwrap();
    // All packs of the first pass, but three at a time may go without asking.
    let first: Vec<_> = bed.engine().catalog.packs_to_see(Tier::Cold, &[], 100).unwrap();
    for pack in &first {
        bed.store.memory.lose(&ObjectName::from(Name::Pack(pack.tier, pack.hash)));
    }
    check(&bed, Check::Inventory);
    assert_eq!(give_up(&bed, Word::Owner).packs, first.len() as u64);
    bed.pass().unwrap();
    let judged = judge(&bed);
    assert!(judged.broken >= 1, "{judged:?}");
    let casualties = bed.engine().catalog.casualties(100).unwrap();
    let paths: Vec<String> = casualties.iter().map(|c| c.path.to_string()).collect();
    assert!(paths.contains(&changed.display().to_string()) && paths.contains(&gone.display().to_string()), "{paths:?}");
    assert!(!paths.contains(&kept.display().to_string()), "it was read again: {paths:?}");
    assert!(casualties.iter().all(|c| !c.is_latest && c.why.contains("listing")), "{casualties:?}");
    let sums = bed.engine().catalog.loss_sums().unwrap();
    assert_eq!((sums.casualties, sums.unseen), (casualties.len() as u64, casualties.len() as u64));
    assert_eq!(bed.engine().catalog.acknowledge_losses().unwrap(), sums.casualties);
    assert_eq!(bed.engine().catalog.loss_sums().unwrap().unseen, 0);
    assert_eq!(safe_files(&bed), (7, 7), "what is there is safe");
}

#[test]
fn a_file_that_comes_back_heals_what_was_lost_with_it() {
    let bed = backed_up();
    let (file, away) = (bed.source().join("file2"), bed.source().with_file_name("away"));
    fs::rename(&file, &away).unwrap();
    bed.pass().unwrap();
    for pack in packs(&bed) {
        bed.store.memory.lose(&pack);
    }
    check(&bed, Check::Inventory);
    give_up(&bed, Word::Owner);
    bed.pass().unwrap();
    assert!(judge(&bed).broken >= 1, "each pack that has a piece of it");
    let casualties = bed.engine().catalog.casualties(100).unwrap();
    assert!(
        !casualties.is_empty() && casualties.iter().all(|c| c.path.to_string().ends_with("file2")),
        "{casualties:?}"
    );
    fs::rename(&away, &file).unwrap();
    bed.pass().unwrap();
    let engine = bed.engine();
    let healing = Healing { catalog: &engine.catalog, clock: &*engine.clock, faults: &Faults::default() };
    assert_eq!(healing.judge(Again::Yes).unwrap().broken, 0);
    assert_eq!(engine.catalog.loss_sums().unwrap().casualties, 0);
}

#[test]
fn promise_10_a_vault_that_looks_emptied_waits_for_the_owner_and_promise_3_its_files_are_not_safe() {
    let bed = backed_up();
    let (all, now) = (packs(&bed), look(&bed.source()));
    assert!(all.len() as u64 > FEW);
    for pack in &all {
        bed.store.memory.lose(pack);
    }
    assert_eq!(check(&bed, Check::Inventory).run.wrong, all.len() as u64);
    for _ in 0..2 {
        let healed = give_up(&bed, Word::OfItself);
        assert_eq!((healed.packs, healed.waiting.packs), (0, all.len() as u64));
        assert!(healed.waiting.bytes > 4_000_000);
        assert_eq!(
            bed.engine().catalog.ranks_due(i64::MAX).unwrap().iter().map(|(_, due)| due.rows).sum::<u64>(),
            0,
            "nothing goes out"
        );
        assert_eq!(safe_files(&bed), (0, 8));
    }
    assert_eq!(give_up(&bed, Word::Owner).paths, 8);
    bed.pass().unwrap();
    bed.check_end(&now);
    assert_eq!(judge(&bed).healed, all.len() as u64);
}

#[test]
fn a_listing_that_was_wrong_takes_back_what_it_said() {
    let bed = backed_up();
    let all = packs(&bed);
    let store = OddList::over(&bed.store.memory);
    *store.left_out.lock().unwrap() = all.iter().map(ToString::to_string).take(2).collect();
    let report = check_with(&bed, &store, Check::Inventory, Keeping::Catalog).unwrap();
    assert!(report.is_sound() && report.run.note.contains("asked for by name"), "{report:?}");
    let kept: Vec<_> = all.iter().take(4).map(|pack| (pack, bed.store.memory.bytes(pack).unwrap())).collect();
    for (pack, _) in &kept {
        assert!(bed.store.memory.lose(pack));
    }
    assert_eq!(check(&bed, Check::Inventory).run.wrong, 4);
    assert_eq!(give_up(&bed, Word::OfItself).waiting.packs, 4);
    assert!(safe_files(&bed).0 < 8);
    for (pack, bytes) in &kept {
        bed.store.memory.put(pack, bytes);
    }
    assert!(check(&bed, Check::Inventory).is_sound());
    assert_eq!(give_up(&bed, Word::OfItself), Healed::default());
    assert_eq!(safe_files(&bed), (8, 8));
}

#[test]
fn promise_10_a_vault_that_is_gone_or_of_another_id_is_an_alarm_and_nothing_is_called_lost() {
    let bed = backed_up();
    bed.store.memory.lose(&ObjectName::from(Name::Vault));
    let e = check_with(&bed, &bed.store.memory, Check::Inventory, Keeping::Catalog).unwrap_err();
    assert!(e.kind() == Kind::Operator && e.to_string().contains("no meta_vault") && is_not_the_vault(&e), "{e}");
    let bed = backed_up();
    let newest = bed.store.memory.names().into_iter().rfind(|n| n.as_str().starts_with("meta_log_")).unwrap();
    bed.store.memory.lose(&newest);
    let e = check_with(&bed, &bed.store.memory, Check::Inventory, Keeping::Catalog).unwrap_err();
    assert!(e.kind() == Kind::Operator && e.to_string().contains("behind") && is_not_the_vault(&e), "{e}");
    assert_eq!(bed.engine().catalog.defects(9).unwrap().1, 0);
    assert_eq!(give_up(&bed, Word::Owner), Healed::default());
}

#[test]
fn a_few_a_month_are_healed_unasked_and_no_more() {
    let bed = backed_up();
    let all = packs(&bed);
    for pack in all.iter().take(2) {
        bed.store.memory.lose(pack);
    }
    check(&bed, Check::Inventory);
    assert_eq!(give_up(&bed, Word::OfItself).packs, 2);
    for pack in all.iter().skip(2).take(2) {
        bed.store.memory.lose(pack);
    }
    check(&bed, Check::Inventory);
    assert_eq!(give_up(&bed, Word::OfItself).waiting.packs, 2, "two and two are more than three");
    bed.clock.advance(Duration::from_secs(31 * 86_400));
    assert_eq!(give_up(&bed, Word::OfItself).packs, 2);
}

#[test]
fn what_is_stored_while_the_listing_runs_is_not_missed_from_it() {
    let bed = backed_up();
    let store = OddList::over(&bed.store.memory);
    *store.meanwhile.lock().unwrap() = Some(Box::new(|| {
        for n in 20..24 {
            write(&bed.source().join(format!("new{n}")), &noise(n, 800_000));
        }
        bed.pass().unwrap();
    }));
    let report = check_with(&bed, &store, Check::Inventory, Keeping::Catalog).unwrap();
    assert!(report.is_sound(), "{report:?}");
    assert!(check(&bed, Check::Inventory).is_sound());
}

#[test]
fn what_waits_in_the_spool_is_not_missed_either() {
    let bed = backed_up();
    write(&bed.source().join("new"), &noise(50, 800_000));
    let engine = bed.engine();
    engine.mark_root(&engine.roots[0]).unwrap();
    bed.clock.advance(Duration::from_secs(60));
    engine.walk_due(None).unwrap();
    engine.capture_due().unwrap();
    assert!(engine.catalog.spooled_packs().unwrap().0 > 0);
    let store = OddList::over(&bed.store.memory);
    *store.meanwhile.lock().unwrap() = Some(Box::new(|| bed.send().unwrap()));
    let report = check_with(&bed, &store, Check::Inventory, Keeping::Catalog).unwrap();
    assert!(report.is_sound(), "{report:?}");
}

#[test]
fn foreign_objects_are_counted_never_touched_never_called_lost() {
    let bed = backed_up();
    let foreign = ["data_x", "_data", "readme.txt", "meta_log_1", "zzz"];
    for name in foreign {
        bed.store.memory.put(&ObjectName::new(name).unwrap(), b"not ours");
    }
    let unknown = Name::Pack(Tier::Cold, Sha256([7; 32]));
    bed.store.memory.put(&ObjectName::from(unknown), b"as if ours");
    let report = check(&bed, Check::Inventory);
    assert!(report.is_sound(), "{report:?}");
    assert_eq!((report.run.foreign, report.run.unnamed), (foreign.len() as u64, 1));
    for check_ in [Check::Checksum, Check::Read] {
        assert_eq!(check(&bed, check_).run.looked, packs(&bed).len() as u64 - 2, "packs of ours alone");
    }
}

#[test]
fn a_delete_marker_and_bytes_put_over_ours_are_alarms_and_no_losses() {
    let bed = backed_up();
    let (all, store) = (packs(&bed), OddList::over(&bed.store.memory));
    store.covers.lock().unwrap().insert(all[0].to_string(), Cover::DeleteMarker);
    store.covers.lock().unwrap().insert(all[1].to_string(), Cover::OtherBytes);
    store.covers.lock().unwrap().insert("meta_vault".to_owned(), Cover::DeleteMarker);
    let report = check_with(&bed, &store, Check::Inventory, Keeping::Catalog).unwrap();
    let wrong: Vec<Wrong> = report.defects.iter().map(|d| d.wrong).collect();
    assert_eq!(wrong, [Wrong::Hidden, Wrong::Covered, Wrong::Hidden]);
    assert_eq!(give_up(&bed, Word::Owner), Healed::default());
    assert_eq!(bed.engine().catalog.defects(9).unwrap().1, 3);
    assert!(check(&bed, Check::Inventory).is_sound(), "and over once they are");
    assert_eq!(bed.engine().catalog.defects(9).unwrap().1, 0);
}

#[test]
fn what_lies_behind_a_marker_or_beneath_other_bytes_is_found_there_by_every_check() {
    let bed = backed_up();
    let all = packs(&bed);
    bed.store.memory.hide(&all[0]);
    bed.store.memory.overwrite(&all[1], b"not what was sealed");
    let report = check(&bed, Check::Inventory);
    let wrong: Vec<Wrong> = report.defects.iter().map(|d| d.wrong).collect();
    assert_eq!(wrong, [Wrong::Hidden, Wrong::Covered]);
    for check_ in [Check::Checksum, Check::Read] {
        let report = check(&bed, check_);
        assert!(report.defects.iter().all(|d| !d.wrong.is_loss()), "{report:?}");
    }
    assert_eq!(give_up(&bed, Word::Owner), Healed::default());
}

#[test]
fn an_alarm_over_other_bytes_ends_with_the_first_look_after_they_were_taken_off_and_no_sooner() {
    for found in [Check::Checksum, Check::Read] {
        for again in Check::ALL {
            let bed = backed_up();
            let pack = packs(&bed).remove(3);
            let standing = || bed.engine().catalog.defects(9).unwrap().1;
            bed.store.memory.overwrite(&pack, b"not what was sealed");
            assert_eq!(check(&bed, found).defects[0].wrong, Wrong::Covered);
            let still = check(&bed, again);
            assert_eq!((still.run.wrong, still.defects[0].wrong), (1, Wrong::Covered), "{found:?}, {again:?}");
            assert!(standing() >= 1, "{found:?}, {again:?}: it lies there yet");
            bed.store.memory.take_off(&pack);
            assert!(check(&bed, again).is_sound(), "{found:?}, {again:?}");
            assert_eq!(standing(), 0, "{found:?}, {again:?}");
            assert_eq!(give_up(&bed, Word::Owner), Healed::default());
        }
    }
}

#[test]
fn an_archive_class_on_the_log_or_on_a_hot_pack_is_an_alarm_with_its_reason() {
    let bed = backed_up();
    let store = OddList::over(&bed.store.memory);
    store.classes.lock().unwrap().insert("meta_vault".to_owned(), "DEEP_ARCHIVE".to_owned());
    store.classes.lock().unwrap().insert(packs(&bed)[0].to_string(), "DEEP_ARCHIVE".to_owned());
    let report = check_with(&bed, &store, Check::Inventory, Keeping::Catalog).unwrap();
    assert_eq!((report.run.wrong, report.defects[0].wrong), (1, Wrong::Archived));
    assert!(report.defects[0].said.contains("lifecycle"), "{report:?}");
    let hot = ObjectName::from(Name::Pack(Tier::Hot, Sha256([7; 32])));
    bed.store.memory.put(&hot, b"hot, of no log");
    store.classes.lock().unwrap().remove("meta_vault");
    store.classes.lock().unwrap().insert(hot.to_string(), "GLACIER".to_owned());
    let report = check_with(&bed, &store, Check::Inventory, Keeping::Catalog).unwrap();
    assert_eq!((report.run.wrong, report.defects[0].wrong), (1, Wrong::Archived));
    assert!(report.defects[0].said.contains("take hot_ out of it"), "{report:?}");
}

#[test]
fn another_etag_is_settled_by_the_servers_checksum_and_is_for_the_owner_where_there_is_none() {
    let bed = backed_up();
    let (all, mut store) = (packs(&bed), OddList::over(&bed.store.memory));
    let told = |store: &OddList<'_>, n: usize, etag: &str| {
        store.etags.lock().unwrap().insert(all[n].to_string(), etag.to_owned());
    };
    for n in 0..all.len() {
        told(&store, n, "one");
    }
    assert!(check_with(&bed, &store, Check::Inventory, Keeping::Catalog).unwrap().is_sound(), "learnt");
    told(&store, 0, "two");
    assert!(check_with(&bed, &store, Check::Inventory, Keeping::Catalog).unwrap().is_sound(), "the bytes are the same");
    store.no_sums = true;
    assert!(check_with(&bed, &store, Check::Inventory, Keeping::Catalog).unwrap().is_sound(), "learnt anew");
    told(&store, 0, "three");
    let report = check_with(&bed, &store, Check::Inventory, Keeping::Catalog).unwrap();
    assert_eq!(report.defects[0].wrong, Wrong::Etag);
    assert_eq!(give_up(&bed, Word::Owner), Healed::default(), "no loss until its bytes were read");
    store.no_sums = false;
    flip(&bed, &all[0]);
    let report = check_with(&bed, &store, Check::Inventory, Keeping::Catalog).unwrap();
    assert_eq!(report.defects[0].wrong, Wrong::Bytes);
    assert_eq!(give_up(&bed, Word::OfItself).packs, 1);
}

#[test]
fn a_segment_of_another_etag_is_read_and_only_other_bytes_are_an_alarm() {
    let bed = backed_up();
    let store = OddList::over(&bed.store.memory);
    let segment = bed.store.memory.names().into_iter().find(|n| n.as_str().starts_with("meta_log_")).unwrap();
    let told = |etag: &str| {
        store.etags.lock().unwrap().insert(segment.to_string(), etag.to_owned());
        check_with(&bed, &store, Check::Inventory, Keeping::Catalog).unwrap()
    };
    assert!(told("one").is_sound(), "learnt");
    let reads = bed.store.memory.requests().get;
    assert!(told("two").is_sound(), "the bytes are the same");
    assert!(told("two").is_sound(), "learnt anew");
    assert_eq!(bed.store.memory.requests().get - reads, 1);
    bed.store.memory.damage(&segment, |bytes| bytes[300] ^= 1);
    let report = told("three");
    assert_eq!((report.run.wrong, report.defects[0].wrong), (1, Wrong::Bytes), "{report:?}");
    assert_eq!(report.defects[0].name, segment.to_string());
    assert_eq!(told("three").run.wrong, 1, "for as long as it is so");
}

#[test]
fn a_server_without_checksums_says_so_and_is_not_asked_for_ever() {
    let bed = Bed::new();
    for n in 0..20 {
        write(&bed.source().join(format!("file{n}")), &noise(n, 1_500_000));
    }
    bed.pass().unwrap();
    let mut store = OddList::over(&bed.store.memory);
    store.no_sums = true;
    let before = bed.store.memory.requests().head;
    let report = check_with(&bed, &store, Check::Checksum, Keeping::Catalog).unwrap();
    assert!(packs(&bed).len() > 16);
    assert_eq!((report.run.looked, report.run.skipped), (0, 16), "{report:?}");
    assert_eq!(bed.store.memory.requests().head - before, 16);
    assert!(report.is_sound() && report.run.note.contains("keeps no checksum"), "{report:?}");
}

#[test]
fn what_cannot_be_looked_at_is_said_where_only_the_surface_was_seen() {
    let bed = backed_up();
    let mut store = OddList::over(&bed.store.memory);
    store.surface = Some("this key may not list versions");
    let report = check_with(&bed, &store, Check::Inventory, Keeping::Catalog).unwrap();
    assert!(report.run.note.contains("this key may not list versions"), "{report:?}");
}

#[test]
fn a_look_without_a_catalog_of_ones_own_writes_nothing_down() {
    let bed = backed_up();
    let changes = bed.engine().catalog.changes().unwrap();
    bed.store.memory.lose(&packs(&bed)[0]);
    for check_ in Check::ALL {
        let report = check_with(&bed, &bed.store.memory, check_, Keeping::Nothing).unwrap();
        assert_eq!(report.run.wrong, 1, "{report:?}");
    }
    assert_eq!(bed.engine().catalog.changes().unwrap(), changes);
}

#[test]
fn a_sample_takes_those_looked_at_longest_ago() {
    let bed = backed_up();
    let engine = bed.engine();
    let verifying = Verifying {
        store: &bed.store.memory,
        catalog: &engine.catalog,
        keeping: Keeping::Catalog,
        vault: VAULT,
        open: None,
        entropy: &SystemEntropy,
        clock: &*engine.clock,
        faults: &Faults::default(),
        stop: &engine.stop,
    };
    let all = packs(&bed).len() as u64;
    for round in 1..=all {
        bed.clock.advance(Duration::from_secs(60));
        assert_eq!(verifying.run(Check::Checksum, Scope::Sample(1)).unwrap().run.looked, 1);
        assert_eq!(engine.catalog.coverage(Check::Checksum).unwrap().never, all - round, "each has its turn");
    }
    let looked = Verifying { keeping: Keeping::Nothing, ..verifying };
    assert_eq!(looked.run(Check::Read, Scope::Sample(3)).unwrap().run.looked, 3);
}

#[test]
fn nothing_frozen_is_ever_read() {
    let clock = ManualClock::at(Wall(0));
    let cold = panicroom::store::memory::MemoryStore::new(Arc::clone(&clock) as _).cold(Duration::from_secs(3600));
    let bed = backed_up();
    for name in bed.store.memory.names() {
        cold.put(&name, &bed.store.memory.bytes(&name).unwrap());
    }
    let all = packs(&bed);
    cold.thaw(&all[0], panicroom::store::Speed::Bulk, 7).unwrap();
    clock.advance(Duration::from_secs(7200));
    for check_ in Check::ALL {
        let report = check_with(&bed, &cold, check_, Keeping::Nothing).unwrap();
        assert!(report.is_sound(), "{report:?}");
        if check_ == Check::Read {
            assert_eq!((report.run.looked, report.run.skipped), (1, all.len() as u64 - 1));
            assert!(report.run.note.contains("frozen"), "{report:?}");
        }
    }
    assert_eq!((cold.frozen_reads(), cold.requests().thaw), (0, 1));
}
