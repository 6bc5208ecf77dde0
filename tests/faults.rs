//! The world around the way in misbehaves: a store that fails in every way it can, packs lost in spool and vault, a
//! spool that is full all the time. In the end the vault is what the source is, and nothing was called stored or safe
//! that was not (promises 1 to 4, 6).

#[path = "support/bed.rs"]
mod bed;
#[path = "support/read_vault.rs"]
mod read_vault;
#[path = "support/tree.rs"]
mod tree;
#[path = "support/witness.rs"]
mod witness;

use bed::{Bed, noise, write};
use panicroom::backup::upload::Uploaded;
use panicroom::catalog::State;
use panicroom::error::Kind;
use panicroom::format::Name;
use panicroom::model::{Size, TreePath};
use panicroom::source::watch::{Depth, Hint, Taken};
use panicroom::store::ObjectName;
use panicroom::store::memory::Fault;
use panicroom::worker::Faults;
use read_vault::NOW;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;
use tree::{Tree, look};

/// Some small files and one of several packs.
fn fill(top: &Path, seed: u64) {
    for n in 0..9 {
        write(&top.join(format!("folder{}/file{n}", n % 3)), &noise(seed + n, 30_000));
    }
    write(&top.join("large"), &noise(seed + 100, 2_500_000));
}

/// A bench with one pass behind it.
fn backed_up() -> (Bed, Tree) {
    let bed = Bed::new();
    fill(&bed.source(), 0);
    bed.pass().unwrap();
    let now = look(&bed.source());
    bed.check_end(&now);
    (bed, now)
}

#[test]
fn a_store_that_fails_at_random_changes_nothing_in_the_end() {
    for seed in 0..8 {
        let mut bed = Bed::new();
        bed.store.memory.random_faults(seed, 0.4);
        for round in 0..3 {
            fill(&bed.source(), seed + 3 * round);
            bed.pass().unwrap_or_else(|e| panic!("seed {seed}: {e}"));
            bed.check_end(&look(&bed.source()));
            bed.reopen(Faults::default());
        }
        bed.check_rebuilt(&look(&bed.source()));
    }
}

#[test]
fn promise_2_a_pack_the_vault_kept_wrongly_is_never_stored_and_its_files_are_sealed_anew() {
    for fault in [Fault::CutKept, Fault::Flipped] {
        let bed = Bed::new();
        fill(&bed.source(), 0);
        bed.store.memory.next_faults([fault]);
        bed.pass().unwrap();
        bed.check_end(&look(&bed.source()));
    }
}

#[test]
fn a_vault_that_keeps_everything_wrongly_is_an_alarm_in_the_end_and_nothing_is_safe() {
    let bed = Bed::new();
    fill(&bed.source(), 0);
    bed.store.memory.next_faults([Fault::Flipped; 100]);
    let kind = bed.pass().unwrap_err().kind();
    assert!(matches!(kind, Kind::Operator | Kind::Damaged), "{kind:?}");
    let counts = bed.engine().catalog.root_counts(bed.engine().roots[0].id).unwrap();
    assert_eq!((counts.files, counts.safe_files), (10, 0));
}

#[test]
fn a_segment_that_was_confirmed_and_is_not_there_is_sent_again() {
    let (bed, _) = backed_up();
    fs::set_permissions(bed.source().join("large"), fs::Permissions::from_mode(0o600)).unwrap();
    // A change of metadata sends one object: the segment.
    bed.store.memory.next_faults([Fault::Vanished]);
    bed.pass().unwrap();
    bed.check_end(&look(&bed.source()));
}

#[test]
fn packs_lost_in_the_spool_are_read_again() {
    let (mut bed, _) = backed_up();
    fill(&bed.source(), 1000);
    let now = look(&bed.source());
    // It dies before the first new pack is sent: several wait in the spool.
    bed.reopen(Faults::default());
    bed.store.memory.next_faults([Fault::Refused; 1]);
    assert_eq!(bed.pass().unwrap_err().kind(), Kind::Operator);
    let spooled: Vec<_> = fs::read_dir(bed.spool()).unwrap().map(|e| e.unwrap().path()).collect();
    assert!(spooled.len() >= 2, "{spooled:?}");
    fs::remove_file(&spooled[0]).unwrap();
    bed.reopen(Faults::default());
    // And one more rots while the daemon runs.
    let mut bytes = fs::read(&spooled[1]).unwrap();
    bytes[5000] ^= 1;
    fs::write(&spooled[1], bytes).unwrap();
    bed.pass().unwrap();
    bed.check_end(&now);
}

#[test]
fn a_pack_lost_in_the_vault_is_said_in_the_log_and_its_files_are_sent_again() {
    let (mut bed, now) = backed_up();
    let (id, hash, tier, _) = bed.engine().catalog.stored_packs(&[], 1).unwrap()[0];
    assert!(bed.store.memory.lose(&ObjectName::from(Name::Pack(tier, hash))));
    assert!(bed.vault().tree(NOW).is_err());
    let dirty = bed.engine().catalog.pack_lost(id, bed.engine().clock.wall()).unwrap();
    assert!(dirty > 0);
    bed.reopen(Faults::default());
    bed.pass().unwrap();
    bed.check_end(&now);
    bed.check_rebuilt(&now);
}

#[test]
fn promise_8_a_spool_that_holds_two_packs_carries_any_amount() {
    let mut bed = Bed::new();
    for n in 0..6 {
        write(&bed.source().join(format!("large{n}")), &noise(n, 1_500_000));
    }
    bed.engine.as_mut().unwrap().settings.spool_size = Size::mib(2);
    let most = std::thread::scope(|s| {
        let done = panicroom::worker::Stop::new();
        let sender = {
            let (bed, done) = (&bed, done.clone());
            s.spawn(move || {
                let mut most = 0;
                while !done.wait(Duration::from_millis(1)) {
                    most = most.max(bed.engine().catalog.spooled_packs().unwrap().1);
                    while bed.engine().upload_one(&bed.claims).unwrap() != Uploaded::Nothing {}
                }
                most
            })
        };
        bed.pass().unwrap();
        done.ask();
        sender.join().unwrap()
    });
    assert!(most <= 3 << 20, "{most} bytes lay in a spool of 2 MiB");
    bed.check_end(&look(&bed.source()));
}

#[test]
fn promise_14_a_deletion_waits_for_the_walk_that_may_find_the_new_name() {
    let (bed, _) = backed_up();
    let (engine, old) = (bed.engine(), bed.source().join("large"));
    // Moved while nobody watched; only the old name is told of, and the walk that will find the new one is still owed.
    fs::rename(&old, bed.source().join("folder1/moved")).unwrap();
    engine.mark_root(&engine.roots[0]).unwrap();
    let path = TreePath::from_typed(&old).unwrap();
    let hints = vec![Hint { path: path.clone(), depth: Depth::Only }];
    engine.notice(&Taken { hints, lost: vec![] }).unwrap();
    engine.capture_due().unwrap();
    bed.send().unwrap();
    let node = engine.catalog.find(&path).unwrap().unwrap();
    assert_eq!(engine.catalog.history(node).unwrap()[0].state, State::Deleted, "it was looked at");
    assert!(bed.vault().versions(NOW).contains_key(&path), "and is in the vault until its new name is");
    bed.pass().unwrap();
    bed.check_end(&look(&bed.source()));
}

#[test]
fn long_chains_beside_wide_folders_are_walked_to_the_last_one() {
    for round in 0..4 {
        let bed = Bed::new();
        for chain in 0..6 {
            let mut at = bed.source();
            for depth in 0..(3 + (chain * 7 + round) % 9) {
                at = at.join(format!("d{chain}_{depth}"));
                write(&at.join("file"), &noise(chain * 100 + depth, 50));
                fs::create_dir_all(at.join("side/by/side")).unwrap();
            }
        }
        bed.pass().unwrap();
        bed.check_end(&look(&bed.source()));
    }
}
