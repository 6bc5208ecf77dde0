use super::super::{Mark, Scope, When};
use super::*;
use crate::format::pack::{PackRecord, Table};
use crate::model::{ChunkId, Rank, Sha256, Shape, Size, Tier, TreePath};

struct Bed {
    catalog: Catalog,
    root: RootId,
    _dir: tempfile::TempDir,
}

fn bed() -> Bed {
    let dir = tempfile::tempdir().unwrap();
    let catalog = Catalog::open(&dir.path().join("c.db")).unwrap();
    let path = TreePath::from_bytes("/r").unwrap();
    let root = catalog.roots(std::slice::from_ref(&path)).unwrap()[&path];
    Bed { catalog, root, _dir: dir }
}

fn file(size: u64) -> Entry {
    Entry { size: Size(size), ..Entry::bare(Shape::File, 0o644) }
}

impl Bed {
    fn mark(&self, path: &str) -> queue::DirtyRow {
        let node = self.catalog.ensure(&TreePath::from_bytes(path).unwrap(), self.root).unwrap();
        let mark = Mark {
            new_file: Some(3),
            ..Mark::at_once(node, self.root, Scope::Path, self.catalog.new_notice(), Wall(5))
        };
        self.catalog.mark(&[mark]).unwrap();
        self.catalog.dirty_row(node).unwrap().unwrap()
    }
    #[expect(clippy::unused_self, reason = "reads as the bed's doing")]
    fn version(&self, row: queue::DirtyRow, content: Vec<CatalogPiece>) -> Settled {
        let v = NewVersion {
            entry: KeptEntry::of(&file(3)),
            stamp: Stamp { size: 3, mtime: 1, ctime: 1, ino: row.node.0.cast_unsigned() },
            mount: false,
            content: KeptContent::of(&content),
            torn: false,
            fixed: false,
            again: None,
        };
        Settled { row, captured: Wall(10), outcome: Outcome::Version(Box::new(v)) }
    }
    fn pack(&self, n: u8) -> NewPackRow {
        let table = Table {
            tier: Tier::Cold,
            blocks: vec![crate::format::pack::BlockInfo {
                sealed: 19,
                text: 3,
                codec: crate::seal::compress::Codec::Raw,
                chunks: 1,
            }],
            ids: vec![ChunkId([n; 32])],
            lens: vec![3],
        };
        NewPackRow {
            id: self.catalog.new_pack_id(),
            record: PackRecord { hash: Sha256([n; 32]), size: 300, random: [0; 16], key_box: [0; 80], table },
            rank: Rank::default(),
            root: self.root,
        }
    }
    fn due(&self) -> Vec<(queue::DirtyRow, super::super::NodeRow)> {
        let page = |rank| self.catalog.turn(rank, 0, super::super::Place::TOP, None, 9, &|_| false).unwrap().rows;
        Rank::all().flat_map(page).collect()
    }
    fn counts(&self) -> super::super::RootCounts {
        self.catalog.root_counts(self.root).unwrap()
    }
    fn publishable(&self) -> Vec<Seq> {
        let deletions = self.catalog.ready_deletions(self.root, 0, 100).unwrap();
        let mut all = self.catalog.ready_versions(Seq(0), 100).unwrap();
        all.extend(deletions.into_iter().map(|(_, seq)| seq));
        all
    }
    fn publish(&self, number: u64) {
        let row = objects::SegmentRow {
            number: crate::model::SegmentNo(number),
            hash: Sha256([9; 32]),
            size: 1,
            written: Wall(0),
        };
        self.catalog.segment_sealed(&row, &[], &self.publishable(), &[], &[]).unwrap();
        self.catalog.segment_stored(row.number, Wall(1)).unwrap();
    }
}

#[test]
fn promise_3_a_file_is_safe_only_when_its_pack_and_its_segment_are_stored() {
    let bed = bed();
    let row = bed.mark("/r/a");
    assert_eq!((bed.counts().files, bed.counts().safe_files, bed.counts().dirty), (1, 0, 1));
    let pack = bed.pack(1);
    let settled = bed.version(row, vec![CatalogPiece::Run { pack: pack.id, first: 0, count: 1 }]);
    bed.catalog.commit(Some(&pack), &[settled]).unwrap();
    assert_eq!((bed.counts().files, bed.counts().safe_files, bed.counts().dirty), (1, 0, 0));
    assert_eq!(bed.publishable(), [], "its pack is not stored");
    bed.catalog.pack_stored(pack.id, Wall(0)).unwrap();
    assert_eq!(bed.publishable().len(), 1);
    assert_eq!(bed.counts().oldest, Some(Wall(5)), "the lag counts from when it was noticed");
    bed.publish(1);
    assert_eq!((bed.counts().safe_files, bed.counts().oldest), (1, None));
}

#[test]
fn a_hint_during_a_capture_keeps_the_path_dirty() {
    let bed = bed();
    let seen = bed.mark("/r/a");
    bed.mark("/r/a");
    let settled = bed.version(seen, vec![]);
    bed.catalog.commit(None, &[settled]).unwrap();
    assert_eq!((bed.counts().dirty, bed.counts().safe_files), (1, 0));
}

#[test]
fn promise_14_a_deletion_waits_for_all_that_was_noticed_before_it() {
    let bed = bed();
    let old = bed.mark("/r/old");
    bed.catalog.commit(None, &[bed.version(old, vec![])]).unwrap();
    bed.publish(1);
    // A move: both names are noticed; the old one is found gone first.
    let (gone, new) = (bed.mark("/r/old"), bed.mark("/r/new"));
    bed.catalog.commit(None, &[Settled { row: gone, captured: Wall(20), outcome: Outcome::Gone }]).unwrap();
    assert_eq!(bed.publishable(), [], "the new name is not captured");
    let pack = bed.pack(1);
    bed.catalog
        .commit(Some(&pack), &[bed.version(new, vec![CatalogPiece::Run { pack: pack.id, first: 0, count: 1 }])])
        .unwrap();
    assert_eq!(bed.publishable(), [], "the new name is not stored");
    bed.catalog.pack_stored(pack.id, Wall(0)).unwrap();
    assert_eq!(bed.publishable().len(), 1, "the new name alone");
    bed.publish(2);
    assert_eq!(bed.publishable().len(), 1, "now the deletion");
    let old = bed.catalog.find(&TreePath::from_bytes("/r/old").unwrap()).unwrap().unwrap();
    assert!(bed.catalog.present(old, When::Now).unwrap().is_none());
    assert!(bed.catalog.present(old, When::At(Wall(15))).unwrap().is_some());
}

#[test]
fn a_lost_pack_makes_its_files_dirty_and_its_chunks_unknown_at_once() {
    let bed = bed();
    let (a, pack) = (bed.mark("/r/a"), bed.pack(1));
    let run = vec![CatalogPiece::Run { pack: pack.id, first: 0, count: 1 }];
    bed.catalog.commit(Some(&pack), &[bed.version(a, run.clone())]).unwrap();
    assert!(bed.catalog.known(&[ChunkId([1; 32])], Tier::Cold).unwrap()[0].is_some());
    assert!(
        bed.catalog.known(&[ChunkId([1; 32])], Tier::Hot).unwrap()[0].is_none(),
        "a cold place does not serve a hot root"
    );
    assert_eq!(bed.catalog.pack_lost(pack.id, Wall(30)).unwrap(), 1);
    assert!(bed.catalog.known(&[ChunkId([1; 32])], Tier::Cold).unwrap()[0].is_none());
    assert_eq!((bed.counts().dirty, bed.counts().safe_files), (1, 0));
    let row = bed.due()[0].0.clone();
    bed.catalog.commit(None, &[bed.version(row, run)]).unwrap();
    assert_eq!(bed.counts().dirty, 1, "a capture that used the lost pack does not count");
}

#[test]
fn a_torn_version_never_replaces_a_whole_one_as_the_default() {
    let bed = bed();
    let mut torn = bed.version(bed.mark("/r/a"), vec![]);
    bed.catalog.commit(None, &[bed.version(bed.mark("/r/a"), vec![])]).unwrap();
    torn.row = bed.mark("/r/a");
    if let Outcome::Version(v) = &mut torn.outcome {
        v.torn = true;
        v.entry = KeptEntry::of(&Entry { mode: 0, ..file(3) });
    }
    let node = torn.row.node;
    bed.catalog.commit(None, &[torn]).unwrap();
    let shown = bed.catalog.present(node, When::Now).unwrap().unwrap();
    assert!(!shown.torn && shown.entry.mode == 0o644);
    assert_eq!((bed.counts().torn, bed.counts().safe_files), (1, 0));
}

#[test]
fn what_lay_in_a_deleted_folder_is_looked_at_and_follows() {
    let bed = bed();
    for path in ["/r/d", "/r/d/a", "/r/d/b"] {
        let mut one = bed.version(bed.mark(path), vec![]);
        if let (Outcome::Version(v), "/r/d") = (&mut one.outcome, path) {
            v.entry = KeptEntry::of(&Entry { shape: Shape::Dir, ..file(0) });
        }
        bed.catalog.commit(None, &[one]).unwrap();
    }
    assert_eq!(bed.counts().files, 2);
    let row = bed.mark("/r/d");
    bed.catalog.commit(None, &[Settled { row, captured: Wall(20), outcome: Outcome::Gone }]).unwrap();
    let due = bed.due();
    assert_eq!(due.len(), 2);
    for (row, _) in due {
        bed.catalog.commit(None, &[Settled { row, captured: Wall(20), outcome: Outcome::Gone }]).unwrap();
    }
    assert_eq!((bed.counts().files, bed.counts().dirty), (0, 0));
}

#[test]
fn a_look_that_saw_nothing_new_takes_back_no_loss_that_came_meanwhile() {
    let bed = bed();
    let catalog = &bed.catalog;
    let pack = bed.pack(1);
    let run = CatalogPiece::Run { pack: pack.id, first: 0, count: 1 };
    let version = bed.version(bed.mark("/r/a"), vec![run]);
    let node = version.row.node;
    catalog.commit(Some(&pack), &[version]).unwrap();
    let stamp = catalog.node(node).unwrap().unwrap().stamp;
    // A hint without a change: it is looked at, and the pack is lost before that is written down.
    let looked = bed.mark("/r/a");
    catalog.pack_lost(pack.id, Wall(20)).unwrap();
    let same = Outcome::Same { stamp, again: None };
    catalog.commit(None, &[Settled { row: looked, captured: Wall(30), outcome: same }]).unwrap();
    assert_ne!(catalog.node(node).unwrap().unwrap().stamp, stamp, "it is not known as it is in the vault");
    assert!(catalog.dirty_row(node).unwrap().is_some(), "it is read again");
}
