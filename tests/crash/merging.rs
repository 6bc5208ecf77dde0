//! Dying while segments are merged: a merge is never needed, and one made twice does no harm.

use super::bed::keys;
use panicroom::catalog::{Catalog, SegmentRow};
use panicroom::clock::{ManualClock, Wall};
use panicroom::error::Kind;
use panicroom::format::Name;
use panicroom::format::segment::{Builder, Heartbeat, SegmentHead};
use panicroom::model::{SegmentNo, Seq, TreePath, WriterId};
use panicroom::seal::SystemEntropy;
use panicroom::seal::compress::Compressor;
use panicroom::store::ObjectName;
use panicroom::store::memory::MemoryStore;
use panicroom::upkeep::merge::Merging;
use panicroom::upkeep::rebuild;
use panicroom::worker::{Faults, Stop};
use std::collections::BTreeSet;

pub const STEPS: [&str; 2] = ["merge.put", "merge.note"];

const SEGMENTS: u64 = 70;

/// A log of small segments, in the vault and in the catalog.
fn long_log(catalog: &Catalog, store: &MemoryStore) {
    let (keys, mut before) = (keys().seal, None);
    for n in 1..=SEGMENTS {
        let mut builder = Builder::new();
        builder.deletion(&TreePath::root().join(format!("gone{n}").as_bytes()).unwrap(), Seq(n), Wall(0));
        builder.status(&Heartbeat::default());
        let head = SegmentHead { number: SegmentNo(n), writer: WriterId([1; 16]), before, written: Wall(0) };
        let sealed = builder.seal_segment(&head, &keys, &mut Compressor::new(1).unwrap(), &SystemEntropy).unwrap();
        before = Some(sealed.hash);
        let size = sealed.bytes.len() as u64;
        let row = SegmentRow { number: head.number, hash: sealed.hash, size, written: Wall(0) };
        store.put(&ObjectName::new(Name::Segment(row.number, row.hash).to_string()).unwrap(), &sealed.bytes);
        catalog.segment_sealed(&row, &[], &[], &[], &[]).unwrap();
        catalog.segment_stored(row.number, Wall(0)).unwrap();
    }
}

/// What a catalog made of the vault alone says: it is sound, and every record is there.
fn check_log(store: &MemoryStore) {
    let dir = tempfile::tempdir().unwrap();
    let catalog = Catalog::open(&dir.path().join("c.db")).unwrap();
    let report = rebuild::rebuild(store, &keys().seal, &catalog, &[], &Stop::new(), &|_, _| {}).unwrap();
    assert!(report.is_sound(), "{report:?}");
    assert_eq!((report.deletions, report.last_segment), (SEGMENTS, SegmentNo(SEGMENTS)));
}

#[test]
fn promise_9_the_log_is_whole_wherever_a_merge_dies() {
    let mut died = BTreeSet::new();
    for at in 1.. {
        let dir = tempfile::tempdir().unwrap();
        let (path, store) = (dir.path().join("c.db"), MemoryStore::new(ManualClock::at(Wall(0))));
        let (keys, entropy, stop, faults) = (keys().seal, SystemEntropy, Stop::new(), Faults::die_at(at));
        let merge = |catalog: &Catalog, faults: &Faults| {
            let (store, keys, entropy, stop) = (&store, &keys, &entropy, &stop);
            Merging { store, keys, catalog, entropy, level: 1, now: Wall(0), faults, stop }.merge_due()
        };
        let catalog = Catalog::open(&path).unwrap();
        long_log(&catalog, &store);
        let outcome = merge(&catalog, &faults);
        check_log(&store);
        drop(catalog);
        let Some(step) = faults.told().1 else {
            assert_eq!(outcome.unwrap(), Some((SegmentNo(1), SegmentNo(SEGMENTS))));
            break;
        };
        assert_eq!(outcome.unwrap_err().kind(), Kind::Stopping);
        died.insert(step);
        let catalog = Catalog::open(&path).unwrap();
        assert_eq!(merge(&catalog, &Faults::default()).unwrap(), Some((SegmentNo(1), SegmentNo(SEGMENTS))), "{step}");
        assert_eq!(merge(&catalog, &Faults::default()).unwrap(), None, "{step}");
        check_log(&store);
    }
    assert_eq!(died, BTreeSet::from(STEPS));
}
